/*
 * Private to sql: the instance, running statements, and vectors <-> columns. Only files of this
 * directory include it, and so duckdb.h.
 */
#ifndef WEIR_SQL_SQL_INT_H
#define WEIR_SQL_SQL_INT_H

#include <pthread.h>

/* The header is that of another project: its warnings are not ours. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <duckdb.h>
#pragma GCC diagnostic pop

#include "sql/sql.h"

#define SQL_MAX_TEXT_BYTES (1U << 20) /* one statement */
#define SQL_MAX_COLUMNS    1024       /* of a relation or result */
#define SQL_MAX_TYPE_DEPTH 16         /* LIST of STRUCT of ... */
/* The cardinality that a fed relation declares, so that it is never the build side of a join. */
#define SQL_FED_ROWS 1000000000ULL

struct sql_lookup_entry {
	char *name, *path;
};

struct sql {
	duckdb_database database;
	duckdb_connection connection; /* the instance's own: settings and lookups; under lock */
	pthread_mutex_t lock;
	bool sealed; /* no file can be reached and no setting changed any more */
	struct sql_options options;
	char *spill_directory;
	struct sql_lookup_entry *lookups; /* a session loads them into an instance of its own */
	size_t lookup_count, lookup_capacity;
	struct sql_transform *transforms; /* list of living ones, under lock */
};

/* ---- instance.c ---- */
/* What all of one instance's statements may take together. */
uint64_t sql_memory_bytes(const struct sql_options *options);
/* Runs text; the first column of row 0 as text into ret_value (malloc'ed, may be NULL) where that is not NULL. */
int sql_run(duckdb_connection connection, const char *text, char **ret_value, struct weir_error *err);
/* No file outside of files, no settings, no extensions from now on. Call once; files may be none. */
int sql_seal(duckdb_connection connection, const struct weir_str *files, uint32_t file_count, struct weir_error *err);
/* "text" with quotes doubled, between quotes (' or "). */
void sql_quote(struct weir_buf *out, struct weir_str text, char quote);

/* ---- error.c ---- */
/* DuckDB's message for the SQL in file name: the line goes into the error's place. masked: values of rows, which
 * messages of a running statement may quote, are left out. */
int sql_fail(struct weir_error *err, int code, const char *name, const char *message, bool masked);

/* ---- type.c ---- */
duckdb_logical_type sql_type_from_field(const struct weir_field *field);
/* A field (name "") of DuckDB's type; false where weir has no such type. */
bool sql_type_to_field(
	struct weir_arena *arena, duckdb_logical_type type, unsigned depth, struct weir_field *ret_field);
/* Writes the type that a column is cast to. Returns 1 where it differs from type, 0 where not, -1 where there is none
 * (only if not lenient; lenient takes text for what weir lacks). */
int sql_type_cast(duckdb_logical_type type, bool lenient, unsigned depth, struct weir_buf *out);
/* "DECIMAL(38, 0)", "HUGEINT": for error texts. */
void sql_type_name(duckdb_logical_type type, struct weir_buf *out);

/* ---- vector.c ---- */
/* Fills a vector of DuckDB's from rows [0, rows) of a column: views point into the column's bytes. */
void sql_vector_fill(
	duckdb_vector vector, const struct weir_field *field, const struct weir_column *column, uint32_t rows);
/* The chunk as a batch that owns it; its columns point into the chunk's vectors. */
struct weir_batch *sql_chunk_adopt(duckdb_data_chunk take_chunk, const struct weir_schema *schema);

/* ---- statement.c ---- */
/*
 * Prepares one statement for results of weir's types; where a column needs a cast, the statement is wrapped in one more
 * SELECT. ret_schema (in arena) has the result's columns. name: the file, for errors.
 */
int sql_prepare(duckdb_connection connection, struct weir_str text, const char *name, bool lenient,
	struct weir_arena *arena, duckdb_prepared_statement *ret_statement, struct weir_schema **ret_schema,
	struct weir_error *err);
/* Runs a query with text as its one parameter; the caller destroys the result in any case. */
bool sql_query_about(duckdb_connection connection, const char *query, struct weir_str text, duckdb_result *result);
/* True where text only picks columns of relation: ret_columns (in arena) has input's index of each. */
bool sql_projection(duckdb_connection connection, struct weir_str text, const char *relation,
	const struct weir_schema *input, const struct weir_schema *output, struct weir_arena *arena,
	const uint32_t **ret_columns);

/* ---- guard.c ---- */
/*
 * Refuses a statement that names anything but the relations given ("ns.name") and names of its own WITH clauses, or a
 * table function that could reach a file or run text.
 */
int sql_guard(duckdb_connection connection, struct weir_str text, const struct weir_str *relations,
	size_t relation_count, struct weir_error *err);

/* ---- transform.c ---- */
/* Registers the table function by which batches enter; once an instance. */
int sql_register_rows(struct sql *sql, struct weir_error *err);

/* ---- functions.c ---- */
int sql_register_functions(duckdb_connection connection, struct weir_error *err);

#endif
