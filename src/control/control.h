/*
 * The control database: everything that one commit must change together lives here, in one SQL
 * database: table pointers (the Iceberg JDBC catalog), stream offsets, counters, consent log, rules,
 * fence, tasks, pending and doomed files, tokens.
 *
 * A transaction is a value: an ordered list of SQL statements with bound values, each with the number
 * of rows that it must change. The writer runs it; where a count is off, nothing of that change
 * happens and it is a CONFLICT that names the statement. One thread owns the only writing
 * connection; changes wait in a queue by priority and all that wait commit together (each under its
 * own savepoint), so a commit costs one sync however many callers wait. Statements are in the SQL that
 * SQLite and PostgreSQL share.
 *
 * Reading takes a connection of a pool; a control_read sees one snapshot from its first query on.
 */
#ifndef WEIR_CONTROL_CONTROL_H
#define WEIR_CONTROL_CONTROL_H

#include "base/arena.h"
#include "base/error.h"
#include "base/time.h"

struct control;
struct control_change;

enum control_priority { CONTROL_CONSENT, CONTROL_EPOCH, CONTROL_BACKGROUND };

/* A bound value or a result. */
struct control_value {
	enum { CONTROL_NULL, CONTROL_INT, CONTROL_TEXT, CONTROL_BLOB } kind;
	int64_t integer;
	struct weir_str text; /* TEXT and BLOB */
};
#define CONTROL_I(value) ((struct control_value){.kind = CONTROL_INT, .integer = (int64_t)(value)})
#define CONTROL_T(value) ((struct control_value){.kind = CONTROL_TEXT, .text = (value)})
#define CONTROL_B(value) ((struct control_value){.kind = CONTROL_BLOB, .text = (value)})
#define CONTROL_N        ((struct control_value){.kind = CONTROL_NULL})

/*
 * Opens the database, makes the base schema below where it is missing, and starts the writer thread.
 *   sqlite:PATH (or a path alone)   created where it is missing: mode 0600, secure_delete on, WAL, synchronous FULL
 *   postgresql://USER@HOST/NAME     with the parameters that libpq knows; a secret stands there as ${env:NAME} or
 *                                   ${file:PATH}, never itself (WEIR_E_INPUT). One process writes: where another does,
 *                                   WEIR_E_BUSY says which
 */
struct control_options {
	const char *url;
	const char *sqlite_vfs; /* NULL: SQLite's own */
	bool exclusive;        /* SQLite's locking_mode EXCLUSIVE: for the simulated disk, which has no shared memory */
	unsigned reconnect_ms; /* PostgreSQL: how long a lost connection is tried for; 0: 5 s */
	bool unsafe_no_sync;   /* tests and benchmarks that do not measure durability */
};
int control_open(const struct control_options *options, struct control **ret_control, struct weir_error *err);
void control_close(struct control *control); /* finishes what is queued; truncates SQLite's WAL */

/*
 * Base schema, made by control_open (other modules add theirs by control_migrate):
 *   iceberg_tables, iceberg_namespace_properties        as in PEERS: JDBC schema V1, catalog_name 'weir'
 *   weir_meta(key TEXT PRIMARY KEY, value TEXT)
 *   weir_owned(namespace TEXT PRIMARY KEY)              namespaces whose tables only weir may change: a trigger on
 *                                                       iceberg_tables refuses others, naming the remedy
 *   weir_offsets(stream TEXT, partition INTEGER, next_offset INTEGER, PRIMARY KEY(stream, partition))
 *   weir_counters(stream TEXT, channel TEXT, result TEXT, count INTEGER, PRIMARY KEY(stream, channel, result))
 *   weir_pending_files(prefix TEXT PRIMARY KEY, created_us INTEGER)
 *   weir_doomed_files(name TEXT PRIMARY KEY, doomed_us INTEGER)
 *   weir_tokens(id TEXT PRIMARY KEY, hash BLOB UNIQUE, role TEXT, consumer TEXT, purposes TEXT, created_us INTEGER,
 *               revoked_us INTEGER)
 * and of the database's own: SQLite's weir_guard(open INTEGER), 1 only inside the writer's transaction; PostgreSQL's
 * weir_writer(one, epoch, commits, holder), the lease.
 */

/* Runs statements once, under a name and a number that are remembered in weir_meta: version N of NAME's tables. */
int control_migrate(
	struct control *control, const char *name, unsigned version, const char *sql, struct weir_error *err);

/* ---- changes ---- */
struct control_change *control_change_new(enum control_priority priority);
void control_change_free(struct control_change *change);
#define CONTROL_ANY (-1)
/* Adds a statement ("?1" parameters, values are copied). rows: how many rows it must change (or return, for a SELECT
 * that guards the change), or CONTROL_ANY. A key that is taken is a conflict too. what names it in a conflict ("table
 * gold.NAME"). sql must be a string that outlives the change: statements are prepared once by address. */
void control_change_sql(struct control_change *change, const char *what, int rows, const char *sql,
	const struct control_value *values, unsigned value_count);
/* The same for a statement with RETURNING: its first row's first column comes back as result[index]; returns the index.
 * Without a row it is a conflict. At most CONTROL_RESULTS of them a change. */
unsigned control_change_returning(struct control_change *change, const char *what, const char *sql,
	const struct control_value *values, unsigned value_count);

/* Moves a table's pointer if it is `expected` (empty: the table must not exist yet and is inserted). */
void control_swap_table(struct control_change *change, struct weir_str ns, struct weir_str table,
	struct weir_str expected, struct weir_str next);
/* Moves an offset if it is `expected` (0 may be a missing row). */
void control_move_offset(
	struct control_change *change, struct weir_str stream, uint32_t partition, uint64_t expected, uint64_t next);
void control_add_counter(struct control_change *change, struct weir_str stream, struct weir_str channel,
	struct weir_str result, uint64_t more);

#define CONTROL_RESULTS 16
struct control_result {
	enum { CONTROL_DONE, CONTROL_CONFLICT } outcome;
	char conflict[128];                /* what of the statement that did not fit */
	int64_t returned[CONTROL_RESULTS]; /* of RETURNING statements, in order */
	unsigned returned_count;
};
/* Waits until the change is durable, or refused. All errors but WEIR_E_UNKNOWN mean that it did not happen.
 * WEIR_E_UNKNOWN: it may have (the sync failed or the connection was lost, and so did settling it): verify by reading,
 * which fails with WEIR_E_UNKNOWN alike until the database lets the outcome be settled. The change stays the caller's
 * and may be committed again. A thread may hold a control_read meanwhile, but not in exclusive mode. */
int control_commit(struct control *control, const struct control_change *change, struct control_result *ret_result,
	struct weir_error *err);

/* ---- reading ---- */
/* One row; values are borrowed during the call. A negative return stops and is returned. It may not query the same
 * control_read. */
typedef int control_row_fn(void *context, const struct control_value *values, unsigned count, struct weir_error *err);

struct control_read;
int control_read_begin(struct control *control, struct control_read **ret_read, struct weir_error *err);
int control_read_query(struct control_read *read, const char *sql, const struct control_value *values,
	unsigned value_count, control_row_fn *row, void *context, struct weir_error *err);
void control_read_end(struct control_read *take_read);
/* One query in a snapshot of its own. */
int control_query(struct control *control, const char *sql, const struct control_value *values, unsigned value_count,
	control_row_fn *row, void *context, struct weir_error *err);
/* One integer; WEIR_E_NOT_FOUND where there is no row or it is null. */
int control_query_int(struct control *control, const char *sql, const struct control_value *values,
	unsigned value_count, int64_t *ret_value, struct weir_error *err);
/* One text in arena; WEIR_E_NOT_FOUND alike. */
int control_query_text(struct control *control, struct weir_arena *arena, const char *sql,
	const struct control_value *values, unsigned value_count, struct weir_str *ret_value, struct weir_error *err);

/* Takes deleted bytes out of the files: truncates SQLite's WAL (secure_delete overwrote them); on PostgreSQL rewrites
 * the tables that hold dead rows (what that cannot promise is in docs/formats/control.md). Waits for the writer;
 * WEIR_E_BUSY where a reader holds an old snapshot for more than a second. */
int control_scrub(struct control *control, struct weir_error *err);

#endif
