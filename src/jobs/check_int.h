/*
 * What the files behind check.h share: the lake as of one control read, and the first thing that was found wrong.
 *
 * A step returns 0, or a negative code. Where it found a break it records it with check_break and returns what that
 * returns; jobs_check turns it into its answer. One thread.
 */
#ifndef WEIR_JOBS_CHECK_INT_H
#define WEIR_JOBS_CHECK_INT_H

#include "iceberg/sorted.h"
#include "jobs/check.h"

#define CHECK_GRACE_US   (10 * WEIR_US_PER_MINUTE) /* younger files that nothing names may belong to a writer */
#define CHECK_ATTEMPTS   5
#define CHECK_GROUP_ROWS (1U << 18) /* silver rows that are compared with gold at a time */
#define CHECK_GROUP_KEYS 16         /* keys of history that are held at a time, for each of those rows */

/* ---- sets of 128-bit keys (check_set.c) ---- */
struct check_key {
	uint64_t a, b;
};
struct check_slot {
	struct check_key key;
	uint64_t value; /* 0: empty */
};
struct check_set {
	struct check_slot *slots; /* open addressing, at most half full */
	uint64_t capacity, count;
};
/* A key over parts, from a start that is random for each check: nobody can make two texts meet. */
struct check_key check_key_add(struct check_key key, struct weir_str part);
/* The key's value, to be set where it is 0 (then the key is new). Valid until the next call. */
uint64_t *check_set_put(struct check_set *set, struct check_key key);
uint64_t check_set_get(const struct check_set *set, struct check_key key); /* 0: not there */
void check_set_clear(struct check_set *set);
void check_set_done(struct check_set *set);

/* ---- the lake at one moment ---- */
struct check_table {
	struct ice_table *table;
	const char *what;            /* "gold.NAME" */
	uint32_t lake_table;         /* UINT32_MAX: none of lake.yaml */
	struct ice_file_list *files; /* live */
	uint64_t rows;               /* that were read */
	struct check_key traces;     /* sum of the trace ids' keys: equal for equal sets of rows in any order */
	bool unsorted_subjects;      /* some file is not in the order of the leading sort column */
};

/* Of one stream, as its one transaction says. */
struct check_stream {
	uint64_t offsets, accepted, duplicates, dead_letters;
	uint64_t letter_rows; /* counted in bronze.dead_letters */
};

struct check {
	const struct check_config *config;
	struct weir_arena *arena; /* of one attempt */
	struct ice_cache *cache;  /* own: what is proved is what lies on disk */
	struct store *store;
	int64_t now_us;
	uint64_t group_rows;
	struct check_key seed;

	struct check_table *tables; /* as in the registry, then tables that the lake had once */
	uint32_t table_count, table_capacity;
	struct weir_str *foreign; /* places of other engines' tables, with a '/' at the end */
	uint32_t foreign_count, foreign_capacity;
	struct check_stream *streams;
	struct consent_rules **rules; /* by consent section */
	uint64_t head, open_tasks, fence;
	struct check_set tasks;   /* (subject, purpose) with an open task */
	struct check_set doomed;  /* names */
	struct weir_str *pending; /* prefixes */
	uint32_t pending_count, pending_capacity;

	uint64_t files, objects;                               /* that were looked at */
	uint64_t deleted_rows;                                 /* whose files wait for their rewrite */
	struct weir_buf proved;                                /* members of the answer's array */
	struct weir_json json;                                 /* into proved */
	struct weir_buf found;                                 /* the break, an object; empty: none */
	char unsorted[STORE_NAME_MAX + 1], unsorted_what[256]; /* the first file that is not in its table's order */
	char missing[STORE_NAME_MAX + 1]; /* the file that an earlier attempt did not find, then this one's */
	bool noted;                       /* this attempt's is in `missing` */
};

/* ---- the answer (check.c) ---- */
struct check_break {
	const char *check, *guarantee, *table;
	struct weir_str file;     /* size 0: none */
	struct weir_str trace_id; /* the row; size 0: none */
	struct weir_str purpose;
	const char *what;
	const char *expected, *found;
};
/* Records the first break. Returns WEIR_E_CORRUPT. */
int check_break(struct check *check, const struct check_break *found, struct weir_error *err);
/* The break of an object that a table needs and the store lacks; the first time it may have been a removal, so that the
 * check starts over (WEIR_E_NOT_FOUND). */
int check_missing(
	struct check *check, const char *check_name, const char *table, struct weir_str name, struct weir_error *err);
/* Begins an object of "proved" in check->json; the caller adds numbers and ends it. */
struct weir_json *check_proved(struct check *check, const char *name, const char *guarantee, const char *what);
struct check_table *check_table_of(struct check *check, uint32_t lake_table);
/* An integer's digits, in the attempt's arena. */
const char *check_number(struct check *check, uint64_t value);
/* The fields of a schema that are named, once each; names that it lacks are left out. In arena. */
struct weir_schema *check_projection(
	struct weir_arena *arena, const struct weir_schema *schema, const struct weir_str *names, uint32_t count);

/* ---- the steps ---- */
int check_pin(struct check *check, struct weir_error *err);      /* check_pin.c */
int check_files(struct check *check, struct weir_error *err);    /* check_files.c */
int check_order(struct check *check, struct weir_error *err);    /* check_files.c */
int check_orphans(struct check *check, struct weir_error *err);  /* check_orphans.c */
int check_counters(struct check *check, struct weir_error *err); /* check_counters.c */
int check_consent(struct check *check, struct weir_error *err);  /* check_consent.c */
int check_history(struct check *check, struct weir_error *err);  /* check_history.c */

#endif
