/*
 * One simulated lake: a disk that forgets, a clock that is moved by hand, the engine on them, and the oracle beside it.
 *
 * Every step is a value with a seed of its own, so that a story from which steps were dropped still means the same for
 * the others. A step returns false at the first thing that is not as it must be; `failure` says what. Errors that the
 * disk was told to make are followed by a restart, after which what was in doubt (a post, a change of consent) is
 * looked up: it is there whole or not at all.
 */
#ifndef WEIR_TESTS_SIM_WORLD_H
#define WEIR_TESTS_SIM_WORLD_H

#include "base/rng.h"
#include "engine/engine.h"
#include "sim/oracle.h"
#include "support/sim_os.h"
#include "support/sim_vfs.h"

#define WORLD_SUBJECTS 5

enum step_kind {
	STEP_POST,
	STEP_CONSENT,
	STEP_ADVANCE,
	STEP_FLUSH,
	STEP_WORK, /* engine_step, a few times */
	STEP_SETTLE,
	STEP_QUERY,
	STEP_RESTART, /* clean */
	STEP_CUT,     /* the power goes now */
	STEP_CUT_AT,  /* it goes in the middle of one of the next steps */
	STEP_FAULT,   /* a call of one of the next steps fails */
	STEP_KILL,    /* the process dies in the middle of one of the next steps; the disk keeps what it saw */
	STEP_RACE,    /* a change of consent arrives while the next step writes its files */
	STEP_BETWEEN, /* one of these happens after the next removal's deletes, before or while its files are rewritten */
	STEP_KINDS,
};

struct step {
	enum step_kind kind;
	uint64_t seed;
};

struct gold_row {
	size_t record; /* of the oracle */
	unsigned purpose;
	uint64_t lsn;
	bool here;      /* in gold, when it was last looked at */
	unsigned stays; /* that ended */
};

struct world {
	const struct lake *lake;
	uint64_t seed;
	struct sim_os *disk;
	struct sim_vfs *vfs;
	struct weir_os os; /* the disk's, with a hook and counters before it */
	struct weir_manual_clock clock;
	int64_t started_us;
	struct engine *engine; /* NULL: down */
	struct oracle oracle;
	struct gold_row *rows;
	size_t row_count, row_capacity;
	bool armed; /* a fault, a cut or a kill is on its way */
	/* in doubt until the next start */
	char **posted;
	bool *posted_valid;
	size_t posted_count;
	int64_t posted_us;
	struct oracle_change doubted[4];
	size_t doubted_count;
	/* the race */
	uint64_t race_seed, race_at;
	bool racing;
	uint64_t race_calls, written_bytes;
	/* between the two commits of a removal */
	enum step_kind between; /* STEP_BETWEEN: nothing */
	uint64_t between_seed, between_calls;
	/* totals */
	unsigned restarts, failed_starts, faults_hit, races;
	uint64_t deltas, resumed;          /* removals in two commits; those that went on after a death between them */
	unsigned audited, audited_perhaps; /* answers of queries, and those that failed */
	char failure[2000];
};

bool world_open(struct world *world, const struct lake *lake, uint64_t seed);
void world_close(struct world *world);
bool world_step(struct world *world, const struct step *step);
/* No more faults; everything committed and settled; then all of it against the oracle. */
bool world_finish(struct world *world, bool check);
const char *step_name(enum step_kind kind);
bool world_fail(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- compare.c ---- */
/* All rows of a table as an array of objects; NULL with the error. */
json_t *world_rows(struct world *world, const char *ns, const char *name, struct weir_error *err);
/* What is in gold now: notes what came and went since the last look, and holds what is visible against the rules. */
bool world_look(struct world *world, bool *ret_read);
bool world_compare(struct world *world);

/* ---- draw.c: events and rules ---- */
void world_subject(struct weir_rng *rng, char *name);
/* An event as JSON (malloc'ed); *ret_valid false where the door must refuse it. */
char *draw_event(struct world *world, struct weir_rng *rng, bool *ret_valid);
struct oracle_change draw_change(struct weir_rng *rng);

#endif
