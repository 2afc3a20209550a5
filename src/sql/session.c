/*
 * Free SQL over exactly named Parquet files.
 *
 * A session has an instance of its own (about 17 ms): what a file may be read is a setting of the
 * instance, not of a connection. It is made open, gets lookups, fences and views, and is then sealed. The files of
 * a view may be read by the view alone: a statement is held against the session's relations in its parsed form, so that
 * nobody reads a file directly and sees rows that the view hides.
 *
 * Threads: one at a time, but for sql_session_interrupt.
 */
#include "sql/sql_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/rng.h"

struct sql_session {
	struct sql *instance;
	struct weir_arena *arena;
	struct weir_str *relations; /* "gold.visits", "lookup.countries" */
	size_t relation_count;
	bool interrupted; /* atomic */
};

struct sql_result {
	struct sql_session *session;
	struct weir_arena *arena;
	duckdb_prepared_statement statement;
	duckdb_result result;
	struct weir_schema *schema;
};

/* The type of a field as SQL writes it. */
static void put_type(const struct weir_field *field, struct weir_buf *out)
{
	duckdb_logical_type type = sql_type_from_field(field);
	sql_type_cast(type, true, 0, out);
	duckdb_destroy_logical_type(&type);
}

/* SELECT columns by field id from the files; a column that a file lacks is NULL. */
static void put_scan(const struct sql_view *view, struct weir_buf *out)
{
	struct weir_buf type = WEIR_BUF_INIT;
	weir_buf_puts(out, "SELECT ");
	for (uint32_t i = 0; i < view->schema->field_count; i++) {
		const struct weir_field *field = &view->schema->fields[i];
		weir_buf_puts(out, i > 0 ? ", " : "");
		if (view->file_count == 0) {
			weir_buf_puts(out, "NULL::");
			put_type(field, out);
			weir_buf_puts(out, " AS ");
		}
		sql_quote(out, field->name, '"');
	}
	if (view->file_count == 0) {
		weir_buf_puts(out, " WHERE ");
		if (view->refusal.size > 0) {
			weir_buf_puts(out, "error(");
			sql_quote(out, view->refusal, '\'');
			weir_buf_puts(out, ")::BOOLEAN");
		} else {
			weir_buf_puts(out, "false");
		}
		return;
	}
	weir_buf_puts(out, " FROM read_parquet([");
	for (uint32_t i = 0; i < view->file_count; i++) {
		weir_buf_puts(out, i > 0 ? ", " : "");
		sql_quote(out, view->files[i], '\'');
	}
	weir_buf_puts(out, "], schema = MAP {");
	for (uint32_t i = 0; i < view->schema->field_count; i++) {
		const struct weir_field *field = &view->schema->fields[i];
		weir_buf_printf(out, "%s%" PRId32 ": {name: ", i > 0 ? ", " : "", field->id);
		sql_quote(out, field->name, '\'');
		weir_buf_puts(out, ", type: ");
		type.size = 0;
		put_type(field, &type);
		sql_quote(out, weir_buf_str(&type), '\'');
		weir_buf_puts(out, ", default_value: NULL}");
	}
	weir_buf_puts(out, "}");
	/* Two columns more; the second has this name always, and DuckDB refuses the view of a table that has it too. */
	weir_buf_puts(out, view->deleted_count > 0 ? ", filename = '_weir_file', file_row_number = true) AS f" : ")");
	weir_buf_done(&type);
}

/* Deleted rows as a table of their own, and the condition of the scan that leaves them out. */
static int put_deleted(struct sql_session *session, uint32_t index, const struct sql_view *view, struct weir_buf *out,
	struct weir_error *err)
{
	if (view->deleted_count == 0)
		return 0;
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_printf(
		&text, "CREATE TABLE weir.deleted_%u AS SELECT file, unnest(range(a, b)) AS row FROM (VALUES ", index);
	for (uint32_t i = 0; i < view->deleted_count; i++) {
		const struct sql_deleted *deleted = &view->deleted[i];
		weir_buf_puts(&text, i > 0 ? ", (" : "(");
		sql_quote(&text, view->files[deleted->file], '\'');
		weir_buf_printf(
			&text, "::VARCHAR, %" PRIu64 "::BIGINT, %" PRIu64 "::BIGINT)", deleted->from, deleted->to);
	}
	weir_buf_puts(&text, ") AS r(file, a, b)");
	int code = sql_run(session->instance->connection, weir_buf_cstr(&text), NULL, err);
	weir_buf_done(&text);
	weir_buf_printf(out,
		" WHERE NOT EXISTS (FROM weir.deleted_%u x WHERE x.file = f._weir_file AND x.row = f.file_row_number)",
		index);
	return code;
}

/* The fence as a table of its own, and the condition that leaves its rows out. */
static int put_fence(struct sql_session *session, uint32_t index, const struct sql_view *view, struct weir_buf *out,
	struct weir_error *err)
{
	if (view->hidden_count == 0)
		return 0;
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_printf(&text, "CREATE TABLE weir.hidden_%u AS SELECT * FROM (VALUES ", index);
	for (uint32_t i = 0; i < view->hidden_count; i++) {
		const struct sql_hidden *hidden = &view->hidden[i];
		weir_buf_puts(&text, i > 0 ? ", (" : "(");
		sql_quote(&text, hidden->subject, '\'');
		weir_buf_puts(&text, "::VARCHAR, ");
		sql_quote(&text, hidden->purpose, '\'');
		weir_buf_printf(&text, "::VARCHAR, %" PRId64 "::BIGINT)", hidden->lsn);
	}
	weir_buf_puts(&text, ") AS h(subject, purpose, lsn)");
	int code = sql_run(session->instance->connection, weir_buf_cstr(&text), NULL, err);
	weir_buf_done(&text);
	weir_buf_printf(out, " WHERE NOT EXISTS (FROM weir.hidden_%u h WHERE h.subject = d.", index);
	sql_quote(out, view->subject_column, '"');
	weir_buf_puts(out, "::VARCHAR AND h.purpose = d.purpose AND d.consent_lsn < h.lsn)");
	return code;
}

static int create_view(struct sql_session *session, uint32_t index, const struct sql_view *view, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_puts(&text, "CREATE SCHEMA IF NOT EXISTS ");
	sql_quote(&text, view->ns, '"');
	weir_buf_puts(&text, "; CREATE VIEW ");
	sql_quote(&text, view->ns, '"');
	weir_buf_putc(&text, '.');
	sql_quote(&text, view->name, '"');
	weir_buf_puts(&text, " AS SELECT * FROM (");
	put_scan(view, &text);
	int code = put_deleted(session, index, view, &text, err);
	weir_buf_puts(&text, ") AS d");
	if (code == 0)
		code = put_fence(session, index, view, &text, err);
	if (code == 0)
		code = sql_run(session->instance->connection, weir_buf_cstr(&text), NULL, err);
	weir_buf_done(&text);
	if (code < 0)
		return weir_error_wrap(err, code, "view %.*s.%.*s", WEIR_STR_ARG(view->ns), WEIR_STR_ARG(view->name));
	session->relations[session->relation_count++] = weir_str_from(
		weir_arena_printf(session->arena, "%.*s.%.*s", WEIR_STR_ARG(view->ns), WEIR_STR_ARG(view->name)));
	return 0;
}

static int open_instance(struct sql *sql, struct sql_session *session, struct weir_error *err)
{
	struct sql_options options = sql->options;
	if (options.spill_directory != NULL) {
		/* Two instances must not share a directory: their files have the same names. */
		uint64_t number;
		weir_random_bytes(&number, sizeof number);
		options.spill_directory = weir_arena_printf(
			session->arena, "%s/session-%016" PRIx64, sql->options.spill_directory, number);
	}
	int code = sql_open(&options, &session->instance, err);
	for (size_t i = 0; code == 0 && i < sql->lookup_count; i++) {
		struct weir_str name = weir_str_from(sql->lookups[i].name);
		code = sql_load_lookup(session->instance, name, sql->lookups[i].path, err);
		session->relations[session->relation_count++] =
			weir_str_from(weir_arena_printf(session->arena, "lookup.%.*s", WEIR_STR_ARG(name)));
	}
	if (code == 0)
		code = sql_run(session->instance->connection, "CREATE SCHEMA weir", NULL, err);
	return code;
}

int sql_session_new(struct sql *sql, const struct sql_view *views, uint32_t view_count,
	struct sql_session **ret_session, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct sql_session *session = weir_arena_zalloc(arena, sizeof *session);
	session->arena = arena;
	session->relations = weir_arena_calloc(arena, view_count + sql->lookup_count, sizeof *session->relations);
	uint32_t file_count = 0;
	int code = open_instance(sql, session, err);
	for (uint32_t i = 0; code == 0 && i < view_count; i++) {
		code = create_view(session, i, &views[i], err);
		file_count += views[i].file_count;
	}
	struct weir_str *files = weir_arena_calloc(arena, file_count, sizeof *files);
	file_count = 0;
	for (uint32_t i = 0; i < view_count; i++) {
		for (uint32_t k = 0; k < views[i].file_count; k++)
			files[file_count++] = views[i].files[k];
	}
	if (code == 0)
		code = sql_seal(session->instance->connection, files, file_count, err);
	if (code < 0) {
		sql_session_free(session);
		return code;
	}
	session->instance->sealed = true;
	*ret_session = session;
	return 0;
}

void sql_session_free(struct sql_session *session)
{
	if (session == NULL)
		return;
	sql_close(session->instance);
	weir_arena_free(session->arena);
}

void sql_session_interrupt(struct sql_session *session)
{
	__atomic_store_n(&session->interrupted, true, __ATOMIC_RELEASE);
	duckdb_interrupt(session->instance->connection);
}

/* What an interrupted statement fails with depends on how far it was: in the middle of its planning it may be anything. */
static int cancelled(struct sql_session *session, int code, struct weir_error *err)
{
	return code < 0 && __atomic_load_n(&session->interrupted, __ATOMIC_ACQUIRE)
		? weir_fail(err, WEIR_E_CANCELLED, "the query was interrupted")
		: code;
}

static int run_error(const struct sql_session *session, duckdb_result *result, struct weir_error *err)
{
	duckdb_error_type type = duckdb_result_error_type(result);
	int code = type == DUCKDB_ERROR_INTERRUPT ? WEIR_E_CANCELLED
		: type == DUCKDB_ERROR_IO         ? WEIR_E_IO
						  : WEIR_E_INPUT;
	if (type == DUCKDB_ERROR_OUT_OF_MEMORY) /* its own remedies are settings that nobody can make here */
		return weir_fail_at(err, WEIR_E_LIMIT, WEIR_STR("query"), WEIR_ERROR_NO_OFFSET,
			"it takes more than the %llu MiB of memory that one query has: ask for a part of the rows at a "
			"time (WHERE), or for fewer columns",
			(unsigned long long)sql_memory_bytes(&session->instance->options) >> 20);
	return sql_fail(err, code, "query", duckdb_result_error(result), true);
}

int sql_session_query(
	struct sql_session *session, struct weir_str text, struct sql_result **ret_result, struct weir_error *err)
{
	duckdb_connection connection = session->instance->connection;
	int code = sql_guard(connection, text, session->relations, session->relation_count, err);
	if (code < 0)
		return cancelled(session, code, err);
	struct weir_arena *arena = weir_arena_new(0);
	struct sql_result *result = weir_arena_zalloc(arena, sizeof *result);
	result->session = session;
	result->arena = arena;
	code = sql_prepare(connection, text, "query", true, arena, &result->statement, &result->schema, err);
	if (code == 0 && duckdb_execute_prepared_streaming(result->statement, &result->result) != DuckDBSuccess)
		code = run_error(session, &result->result, err);
	if (code < 0) {
		sql_result_free(result);
		return cancelled(session, code, err);
	}
	*ret_result = result;
	return 0;
}

const struct weir_schema *sql_result_schema(const struct sql_result *result)
{
	return result->schema;
}

int sql_result_next(struct sql_result *result, struct weir_batch **ret_batch, struct weir_error *err)
{
	duckdb_data_chunk chunk;
	while ((chunk = duckdb_fetch_chunk(result->result)) != NULL) {
		if (duckdb_data_chunk_get_size(chunk) > 0) {
			*ret_batch = sql_chunk_adopt(chunk, result->schema);
			return 0;
		}
		duckdb_destroy_data_chunk(&chunk);
	}
	if (duckdb_result_error(&result->result) != NULL)
		return cancelled(result->session, run_error(result->session, &result->result, err), err);
	*ret_batch = NULL;
	return 0;
}

void sql_result_free(struct sql_result *result)
{
	if (result == NULL)
		return;
	duckdb_destroy_result(&result->result);
	duckdb_destroy_prepare(&result->statement);
	weir_arena_free(result->arena);
}
