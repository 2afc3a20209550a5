/*
 * DuckDB behind weir's faces: the only module that includes duckdb.h. Names begin with sql_.
 *
 * Two uses: transforms (a prepared SELECT over a relation that is fed with record batches; streams,
 * inputs and gold's columns), and free SQL over views of exactly named Parquet files. Never names
 * access, store or iceberg: it takes batches and files.
 */
#ifndef WEIR_SQL_SQL_H
#define WEIR_SQL_SQL_H

#include "base/buf.h"
#include "column/batch.h"

/* ---- an instance ---- */
struct sql;

struct sql_options {
	unsigned threads;            /* 1 for transforms: SQL runs on the caller's thread */
	uint64_t memory_bytes;       /* 0: 256 MiB */
	const char *spill_directory; /* NULL: none; emptied by the caller */
};
/*
 * In memory; extensions cannot be installed or loaded from the network. 17 ms, 42 MB. SQL has two functions of weir's
 * own, on MAP(VARCHAR, VARCHAR): metric(m, name) is the entry as DOUBLE where it is a whole JSON number;
 * metrics_rest(m, name, ...) is the map without the entries that metric gives.
 */
int sql_open(const struct sql_options *options, struct sql **ret_sql, struct weir_error *err);
void sql_close(struct sql *sql); /* after its transforms and results are freed */
/* CREATE TABLE lookup.NAME AS the CSV file (header; types sniffed: text, numbers, dates, timestamps with time zone).
 * Before the first transform, which seals the instance (no file, no setting from then on): WEIR_E_BUSY after it. */
int sql_load_lookup(struct sql *sql, struct weir_str name, const char *csv_path, struct weir_error *err);
/* The instance's thread-safe parts: one sql may be used by several threads, each with transforms of its own (each has
 * its connection). */

/* ---- transforms ---- */
struct sql_transform;

/*
 * Prepares `text` (one SELECT, in file `name` for errors) over relation `relation` whose rows come from batches of
 * `input`. Blocks enter by a table function of declared cardinality 1e9, strings as views that point into the batches.
 * Errors (WEIR_E_INPUT) carry DuckDB's message and the line in the file.
 * Types: weir's schema types <-> BOOLEAN, INTEGER, BIGINT, FLOAT, DOUBLE, DECIMAL, DATE, TIME, TIMESTAMP, TIMESTAMPTZ,
 * VARCHAR, UUID, BLOB, MAP(VARCHAR, VARCHAR), LIST and STRUCT of these; an output of HUGEINT, ENUM and the like:
 * smaller integers widen to int or long, ENUM to string, else an error that names the column and its type.
 */
int sql_transform_new(struct sql *sql, struct weir_str text, const char *name, const char *relation,
	const struct weir_schema *input, struct sql_transform **ret_transform, struct weir_error *err);
void sql_transform_free(struct sql_transform *transform);
const struct weir_schema *sql_transform_schema(const struct sql_transform *transform); /* of the output; ids 0 */
/* True where the SELECT only picks and renames columns of its relation, without WHERE, ORDER, LIMIT or joins:
 * ret_columns[i] is the input column of output i (as many as the output has fields), and no SQL need run at all. */
bool sql_transform_is_projection(const struct sql_transform *transform, const uint32_t **ret_columns);
/*
 * Runs it over the batches: 65,536 rows an execution are best. Results are adopted a chunk at a time: each batch
 * is owned by itself (release) and outlives the transform's next run; its schema is the transform's, which must live as
 * long. Input batches may go after the call. Rows keep the order of the input where the SQL keeps it: a join does not
 * (and gives more and smaller batches), so rows are matched by a key, never by position. Not thread-safe on one
 * transform. A failing row fails the call (WEIR_E_INPUT): callers bisect. *ret_batches is malloc'ed (free it),
 * ret_count its size.
 */
int sql_transform_run(struct sql_transform *transform, struct weir_batch *const *batches, uint32_t count,
	struct weir_batch ***ret_batches, uint32_t *ret_count, struct weir_error *err);

/* ---- free SQL over files ---- */
struct sql_session;

/* One table as a view: columns by field id from exactly these files, less what hides. */
struct sql_hidden {
	struct weir_str subject, purpose;
	int64_t lsn; /* rows of the pair with consent_lsn < lsn are left out */
};
/* Rows of one file that are deleted: from .. to - 1, counted from 0. */
struct sql_deleted {
	uint32_t file; /* of the view's */
	uint64_t from, to;
};
struct sql_view {
	struct weir_str ns, name; /* SELECT ... FROM ns.name */
	const struct weir_schema *schema;
	const struct weir_str *files; /* local paths; none: an empty relation */
	uint32_t file_count;
	struct weir_str
		refusal; /* with no files: reading the view is this error, describing it is not; "": it is empty */
	struct weir_str subject_column; /* of hidden; "" where there is no fence */
	const struct sql_hidden *hidden;
	uint32_t hidden_count;
	const struct sql_deleted *deleted; /* are in no answer */
	uint32_t deleted_count;
};
/*
 * Sees these views and the lookups of sql and nothing else: no other file, no network, no settings; nor the views'
 * files, but through the views. It has an instance of its own (17 ms): which files may be read is a property of an
 * instance. Errors of opening a file name the view.
 */
int sql_session_new(struct sql *sql, const struct sql_view *views, uint32_t view_count,
	struct sql_session **ret_session, struct weir_error *err);
void sql_session_free(struct sql_session *session);
/*
 * Runs one statement (SELECT and its like; DESCRIBE, SUMMARIZE, SHOW TABLES, EXPLAIN; nothing that writes). Batches
 * come one at a time by next, as of transforms; types that weir lacks come as text, large integers as DECIMAL. One
 * result at a time; it is freed before its session. WEIR_E_DENIED: it names what the session does not have;
 * WEIR_E_CANCELLED: interrupted; WEIR_E_LIMIT: out of its memory. Errors never quote rows.
 */
struct sql_result;
int sql_session_query(
	struct sql_session *session, struct weir_str text, struct sql_result **ret_result, struct weir_error *err);
const struct weir_schema *sql_result_schema(const struct sql_result *result);
int sql_result_next(struct sql_result *result, struct weir_batch **ret_batch, struct weir_error *err);
void sql_result_free(struct sql_result *result);
/* From another thread: what runs ends with WEIR_E_CANCELLED. A statement that is just about to start may not have heard
 * it: call again until it ends. */
void sql_session_interrupt(struct sql_session *session);

#endif
