/*
 * Transforms: a SELECT over a relation that is fed with record batches.
 *
 * The relation is a temporary view of the transform's own connection over the table function
 * weir_rows(token). The token is random, so that SQL cannot name the rows of another transform. During a
 * run the function hands out transform->batches, one a call; each scan has a cursor of its own.
 *
 * Threads: one transform, one thread at a time; the list of transforms is under the instance's lock.
 */
#include "sql/sql_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/rng.h"

struct sql_transform {
	struct sql *sql;
	struct sql_transform *next; /* sql->transforms */
	uint64_t token;
	struct weir_arena *arena;
	const char *name;
	const struct weir_schema *input;
	struct weir_schema *output;
	duckdb_connection connection;
	duckdb_prepared_statement statement;
	struct weir_batch *const *batches; /* of the run that is going on */
	uint32_t batch_count;
	bool projection;
	const uint32_t *projected;
};

/* ---- the table function ---- */

struct scan {
	uint32_t next_batch;
	uint32_t column_count;
	uint32_t columns[]; /* of the input, in the order of the chunk; SQL_MAX_COLUMNS: none that is read */
};

static void rows_bind(duckdb_bind_info info)
{
	struct sql *sql = duckdb_bind_get_extra_info(info);
	duckdb_value parameter = duckdb_bind_get_parameter(info, 0);
	uint64_t token = duckdb_get_uint64(parameter);
	duckdb_destroy_value(&parameter);
	pthread_mutex_lock(&sql->lock);
	struct sql_transform *transform = sql->transforms;
	while (transform != NULL && transform->token != token)
		transform = transform->next;
	pthread_mutex_unlock(&sql->lock);
	if (transform == NULL) {
		duckdb_bind_set_error(info, "weir_rows is not for use in SQL");
		return;
	}
	for (uint32_t i = 0; i < transform->input->field_count; i++) {
		const struct weir_field *field = &transform->input->fields[i];
		duckdb_logical_type type = sql_type_from_field(field);
		duckdb_bind_add_result_column(info, weir_arena_cstr(transform->arena, field->name), type);
		duckdb_destroy_logical_type(&type);
	}
	duckdb_bind_set_cardinality(info, SQL_FED_ROWS, false);
	duckdb_bind_set_bind_data(info, transform, NULL);
}

static void rows_init(duckdb_init_info info)
{
	struct sql_transform *transform = duckdb_init_get_bind_data(info);
	idx_t count = duckdb_init_get_column_count(info);
	struct scan *scan = weir_zalloc(sizeof *scan + count * sizeof *scan->columns);
	scan->column_count = (uint32_t)count;
	for (idx_t i = 0; i < count; i++) {
		idx_t column = duckdb_init_get_column_index(info, i);
		scan->columns[i] = column < transform->input->field_count ? (uint32_t)column : SQL_MAX_COLUMNS;
	}
	duckdb_init_set_max_threads(info, 1);
	duckdb_init_set_init_data(info, scan, free);
}

static void rows_next(duckdb_function_info info, duckdb_data_chunk output)
{
	const struct sql_transform *transform = duckdb_function_get_bind_data(info);
	struct scan *scan = duckdb_function_get_init_data(info);
	while (scan->next_batch < transform->batch_count && transform->batches[scan->next_batch]->row_count == 0)
		scan->next_batch++;
	if (scan->next_batch == transform->batch_count) {
		duckdb_data_chunk_set_size(output, 0);
		return;
	}
	const struct weir_batch *batch = transform->batches[scan->next_batch++];
	WEIR_ASSERT(batch->row_count <= WEIR_BATCH_ROWS);
	for (uint32_t i = 0; i < scan->column_count; i++) {
		uint32_t column = scan->columns[i];
		if (column < transform->input->field_count)
			sql_vector_fill(duckdb_data_chunk_get_vector(output, i), &transform->input->fields[column],
				&batch->columns[column], batch->row_count);
	}
	duckdb_data_chunk_set_size(output, batch->row_count);
}

int sql_register_rows(struct sql *sql, struct weir_error *err)
{
	duckdb_table_function function = duckdb_create_table_function();
	duckdb_logical_type parameter = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);
	duckdb_table_function_set_name(function, "weir_rows");
	duckdb_table_function_add_parameter(function, parameter);
	duckdb_table_function_set_extra_info(function, sql, NULL);
	duckdb_table_function_set_bind(function, rows_bind);
	duckdb_table_function_set_init(function, rows_init);
	duckdb_table_function_set_function(function, rows_next);
	duckdb_table_function_supports_projection_pushdown(function, true);
	duckdb_state state = duckdb_register_table_function(sql->connection, function);
	duckdb_destroy_logical_type(&parameter);
	duckdb_destroy_table_function(&function);
	return state == DuckDBSuccess
		? 0
		: weir_fail(err, WEIR_E_INTERNAL, "cannot register the relation's table function");
}

/* ---- transforms ---- */

/* Adds the transform to the instance; the first one seals it. */
static int enlist(struct sql_transform *transform, struct weir_error *err)
{
	struct sql *sql = transform->sql;
	int code = 0;
	weir_random_bytes(&transform->token, sizeof transform->token);
	pthread_mutex_lock(&sql->lock);
	if (!sql->sealed)
		code = sql_seal(sql->connection, NULL, 0, err);
	if (code == 0) {
		sql->sealed = true;
		transform->next = sql->transforms;
		sql->transforms = transform;
	}
	pthread_mutex_unlock(&sql->lock);
	return code;
}

static void delist(struct sql_transform *transform)
{
	pthread_mutex_lock(&transform->sql->lock);
	struct sql_transform **at = &transform->sql->transforms;
	while (*at != NULL && *at != transform)
		at = &(*at)->next;
	if (*at != NULL)
		*at = transform->next;
	pthread_mutex_unlock(&transform->sql->lock);
}

static int create_relation(struct sql_transform *transform, const char *relation, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_puts(&text, "CREATE TEMP VIEW ");
	sql_quote(&text, weir_str_from(relation), '"');
	weir_buf_printf(&text, " AS FROM weir_rows(%" PRIu64 "::UBIGINT)", transform->token);
	int code = sql_run(transform->connection, weir_buf_cstr(&text), NULL, err);
	weir_buf_done(&text);
	return code;
}

int sql_transform_new(struct sql *sql, struct weir_str text, const char *name, const char *relation,
	const struct weir_schema *input, struct sql_transform **ret_transform, struct weir_error *err)
{
	if (input->field_count == 0 || input->field_count > SQL_MAX_COLUMNS)
		return weir_fail(err, WEIR_E_LIMIT, "a relation has 1 to %d columns, not %u", SQL_MAX_COLUMNS,
			input->field_count);
	struct weir_arena *arena = weir_arena_new(0);
	struct sql_transform *transform = weir_arena_zalloc(arena, sizeof *transform);
	transform->sql = sql;
	transform->arena = arena;
	transform->name = weir_arena_cstr(arena, weir_str_from(name));
	transform->input = weir_schema_copy(arena, input);
	int code = enlist(transform, err);
	if (code == 0 && duckdb_connect(sql->database, &transform->connection) != DuckDBSuccess)
		code = weir_fail(err, WEIR_E_NO_MEMORY, "cannot connect to DuckDB");
	if (code == 0)
		code = create_relation(transform, relation, err);
	if (code == 0)
		code = sql_prepare(transform->connection, text, transform->name, false, arena, &transform->statement,
			&transform->output, err);
	if (code < 0) {
		sql_transform_free(transform);
		return code;
	}
	transform->projection = sql_projection(transform->connection, text, relation, transform->input,
		transform->output, arena, &transform->projected);
	*ret_transform = transform;
	return 0;
}

void sql_transform_free(struct sql_transform *transform)
{
	if (transform == NULL)
		return;
	duckdb_destroy_prepare(&transform->statement);
	duckdb_disconnect(&transform->connection);
	delist(transform);
	weir_arena_free(transform->arena);
}

const struct weir_schema *sql_transform_schema(const struct sql_transform *transform)
{
	return transform->output;
}

bool sql_transform_is_projection(const struct sql_transform *transform, const uint32_t **ret_columns)
{
	if (transform->projection)
		*ret_columns = transform->projected;
	return transform->projection;
}

/* Takes the result's chunks. Texts of an error may quote rows: they are masked. */
static int collect(struct sql_transform *transform, duckdb_result *result, struct weir_batch ***ret_batches,
	uint32_t *ret_count, struct weir_error *err)
{
	struct weir_batch **batches = NULL;
	size_t count = 0, capacity = 0;
	duckdb_data_chunk chunk;
	while ((chunk = duckdb_fetch_chunk(*result)) != NULL) {
		if (duckdb_data_chunk_get_size(chunk) == 0) {
			duckdb_destroy_data_chunk(&chunk);
			continue;
		}
		WEIR_GROW(batches, count, capacity);
		batches[count++] = sql_chunk_adopt(chunk, transform->output);
	}
	const char *message = duckdb_result_error(result);
	if (message != NULL) {
		for (size_t i = 0; i < count; i++)
			weir_batch_release(batches[i]);
		free(batches);
		return sql_fail(err, WEIR_E_INPUT, transform->name, message, true);
	}
	*ret_batches = batches;
	*ret_count = (uint32_t)count;
	return 0;
}

int sql_transform_run(struct sql_transform *transform, struct weir_batch *const *batches, uint32_t count,
	struct weir_batch ***ret_batches, uint32_t *ret_count, struct weir_error *err)
{
	duckdb_result result;
	int code;
	transform->batches = batches;
	transform->batch_count = count;
	if (duckdb_execute_prepared_streaming(transform->statement, &result) != DuckDBSuccess)
		code = sql_fail(err, WEIR_E_INPUT, transform->name, duckdb_result_error(&result), true);
	else
		code = collect(transform, &result, ret_batches, ret_count, err);
	duckdb_destroy_result(&result);
	transform->batches = NULL;
	transform->batch_count = 0;
	return code;
}
