/* One statement: prepared for weir's types, and its parsed form (json_serialize_sql) looked at. */
#include "sql/sql_int.h"

#include <stdlib.h>
#include <strings.h>

/* text without spaces and semicolons at its end. */
static struct weir_str trim_end(struct weir_str text)
{
	while (text.size > 0 && memchr(" \t\r\n;", text.data[text.size - 1], 5) != NULL)
		text.size--;
	return text;
}

/* Prepares text, which must be one SELECT (lenient: or EXPLAIN). */
static int prepare_one(duckdb_connection connection, const char *text, const char *name, bool lenient,
	duckdb_prepared_statement *ret_statement, struct weir_error *err)
{
	duckdb_extracted_statements extracted = NULL;
	duckdb_prepared_statement statement = NULL;
	int code = 0;
	idx_t count = duckdb_extract_statements(connection, text, &extracted);
	const char *message = count == 0 ? duckdb_extract_statements_error(extracted) : NULL;
	if (message != NULL) {
		code = sql_fail(err, WEIR_E_INPUT, name, message, false);
	} else if (count != 1) {
		code = weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"holds %u statements; write one SELECT", (unsigned)count);
	} else if (duckdb_prepare_extracted_statement(connection, extracted, 0, &statement) != DuckDBSuccess) {
		code = sql_fail(err, WEIR_E_INPUT, name, duckdb_prepare_error(statement), false);
	} else {
		duckdb_statement_type type = duckdb_prepared_statement_type(statement);
		if (type != DUCKDB_STATEMENT_TYPE_SELECT && !(lenient && type == DUCKDB_STATEMENT_TYPE_EXPLAIN))
			code = weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
				"is not a SELECT; nothing else is run here");
		else if (duckdb_nparams(statement) > 0)
			code = weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
				"has parameters; write the values out");
	}
	duckdb_destroy_extracted(&extracted);
	if (code < 0)
		duckdb_destroy_prepare(&statement);
	else
		*ret_statement = statement;
	return code;
}

/* The text wrapped so that each column has one of weir's types; out stays empty where it needs no cast. */
static int wrap(duckdb_prepared_statement statement, struct weir_str text, const char *name, bool lenient,
	struct weir_buf *out, struct weir_error *err)
{
	idx_t count = duckdb_prepared_statement_column_count(statement);
	struct weir_buf list = WEIR_BUF_INIT, names = WEIR_BUF_INIT, type_text = WEIR_BUF_INIT;
	bool changed = false;
	int code = 0;
	for (idx_t i = 0; code == 0 && i < count; i++) {
		duckdb_logical_type type = duckdb_prepared_statement_column_logical_type(statement, i);
		type_text.size = 0;
		int cast = sql_type_cast(type, lenient, 0, &type_text);
		if (cast < 0) {
			const char *column = duckdb_prepared_statement_column_name(statement, i);
			type_text.size = 0;
			sql_type_name(type, &type_text);
			code = weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
				"column '%s' is of type %s, which no table has; cast it, as in CAST(... AS BIGINT)",
				column, weir_buf_cstr(&type_text));
			duckdb_free((void *)(uintptr_t)column);
		}
		duckdb_destroy_logical_type(&type);
		weir_buf_printf(&names, "%sc%u", i > 0 ? ", " : "", (unsigned)i);
		weir_buf_printf(&list, "%sc%u", i > 0 ? ", " : "", (unsigned)i);
		if (cast > 0)
			weir_buf_printf(&list, "::%s", weir_buf_cstr(&type_text));
		changed |= cast > 0;
	}
	/* On the first line, so that the lines of errors stay right; a comment may end the text. */
	if (code == 0 && changed)
		weir_buf_printf(out, "SELECT %s FROM (%.*s\n) AS q(%s)", weir_buf_cstr(&list), WEIR_STR_ARG(text),
			weir_buf_cstr(&names));
	weir_buf_done(&list);
	weir_buf_done(&names);
	weir_buf_done(&type_text);
	return code;
}

int sql_prepare(duckdb_connection connection, struct weir_str text, const char *name, bool lenient,
	struct weir_arena *arena, duckdb_prepared_statement *ret_statement, struct weir_schema **ret_schema,
	struct weir_error *err)
{
	struct weir_buf wrapped = WEIR_BUF_INIT;
	duckdb_prepared_statement statement = NULL, cast = NULL;
	if (text.size > SQL_MAX_TEXT_BYTES)
		return weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"is longer than %u bytes", SQL_MAX_TEXT_BYTES);
	text = trim_end(text);
	int code = prepare_one(connection, weir_arena_cstr(arena, text), name, lenient, &statement, err);
	if (code < 0)
		return code;
	idx_t count = duckdb_prepared_statement_column_count(statement);
	if (count == 0 || count > SQL_MAX_COLUMNS) {
		code = weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"has %u columns; 1 to %d are possible", (unsigned)count, SQL_MAX_COLUMNS);
		goto done;
	}
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = (uint32_t)count;
	schema->fields = weir_arena_calloc(arena, count, sizeof *schema->fields);
	code = wrap(statement, text, name, lenient, &wrapped, err);
	if (code == 0 && wrapped.size > 0)
		code = prepare_one(connection, weir_buf_cstr(&wrapped), name, lenient, &cast, err);
	for (idx_t i = 0; code == 0 && i < count; i++) {
		const char *column = duckdb_prepared_statement_column_name(statement, i);
		duckdb_logical_type type =
			duckdb_prepared_statement_column_logical_type(cast != NULL ? cast : statement, i);
		if (!sql_type_to_field(arena, type, 0, &schema->fields[i]))
			code = weir_fail_at(err, WEIR_E_INTERNAL, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
				"column '%s' has a type that was to be cast", column);
		schema->fields[i].name = weir_arena_str(arena, weir_str_from(column));
		duckdb_destroy_logical_type(&type);
		duckdb_free((void *)(uintptr_t)column);
	}
	if (code == 0) {
		*ret_statement = cast != NULL ? cast : statement;
		*ret_schema = schema;
		if (cast != NULL)
			duckdb_destroy_prepare(&statement);
		statement = cast = NULL;
	}
done:
	duckdb_destroy_prepare(&statement);
	duckdb_destroy_prepare(&cast);
	weir_buf_done(&wrapped);
	return code;
}

bool sql_query_about(duckdb_connection connection, const char *query, struct weir_str text, duckdb_result *result)
{
	duckdb_prepared_statement statement = NULL;
	memset(result, 0, sizeof *result);
	bool good = duckdb_prepare(connection, query, &statement) == DuckDBSuccess &&
		duckdb_bind_varchar_length(statement, 1, text.data, text.size) == DuckDBSuccess &&
		duckdb_execute_prepared(statement, result) == DuckDBSuccess;
	duckdb_destroy_prepare(&statement);
	return good;
}

/*
 * A row for each column of the SELECT, if it is a plain one over one table: its class, the names of its reference, the
 * table, and the table's alias. No row where the statement has anything else: WHERE, GROUP BY, DISTINCT, WITH, LIMIT, a
 * join ...
 */
static const char projection_query[] =
	"WITH parsed AS (SELECT json_serialize_sql($1::VARCHAR)::JSON AS j), "
	"node AS (SELECT json_extract(j, '$.statements[0].node') AS n FROM parsed WHERE json_array_length(j, "
	"'$.statements') = 1), "
	"item AS (SELECT n, unnest(CAST(json_extract(n, '$.select_list') AS JSON[])) AS e FROM node "
	"WHERE json_extract_string(n, '$.type') = 'SELECT_NODE' AND json_array_length(n, '$.modifiers') = 0 "
	"AND json_array_length(n, '$.cte_map.map') = 0 AND json_array_length(n, '$.group_expressions') = 0 "
	"AND json_array_length(n, '$.group_sets') = 0 AND json_extract_string(n, '$.aggregate_handling') = "
	"'STANDARD_HANDLING' "
	"AND json_extract_string(n, '$.where_clause') IS NULL AND json_extract_string(n, '$.having') IS NULL AND "
	"json_extract_string(n, '$.qualify') IS NULL AND json_extract_string(n, '$.sample') IS NULL "
	"AND json_extract_string(n, '$.from_table.type') = 'BASE_TABLE' AND json_extract_string(n, "
	"'$.from_table.sample') IS NULL "
	"AND json_extract_string(n, '$.from_table.at_clause') IS NULL AND json_array_length(n, "
	"'$.from_table.column_name_alias') = 0 "
	"AND json_extract_string(n, '$.from_table.schema_name') = '' AND json_extract_string(n, "
	"'$.from_table.catalog_name') = '') "
	"SELECT json_extract_string(e, '$.class'), json_array_length(e, '$.column_names')::VARCHAR, "
	"json_extract_string(e, '$.column_names[0]'), "
	"json_extract_string(e, '$.column_names[1]'), json_extract_string(n, '$.from_table.table_name'), "
	"json_extract_string(n, '$.from_table.alias') FROM item";

static bool equal_fold(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcasecmp(a, b) == 0;
}

static uint32_t find_fold(const struct weir_schema *schema, const char *name)
{
	for (uint32_t i = 0; name != NULL && i < schema->field_count; i++) {
		const struct weir_str field = schema->fields[i].name;
		if (field.size == strlen(name) && strncasecmp(field.data, name, field.size) == 0)
			return i;
	}
	return WEIR_NO_FIELD;
}

/* The input's column that an item is, or WEIR_NO_FIELD. values: the columns of projection_query. */
static uint32_t projected_column(char *const values[6], const char *relation, const struct weir_schema *input)
{
	const char *table = values[5] != NULL && values[5][0] != '\0' ? values[5] : values[4];
	if (!equal_fold(values[0], "COLUMN_REF") || !equal_fold(values[4], relation))
		return WEIR_NO_FIELD;
	if (equal_fold(values[1], "1"))
		return find_fold(input, values[2]);
	/* "t.a": the table's column, unless t is a column too, a struct. */
	if (equal_fold(values[1], "2") && equal_fold(values[2], table) && find_fold(input, values[2]) == WEIR_NO_FIELD)
		return find_fold(input, values[3]);
	return WEIR_NO_FIELD;
}

bool sql_projection(duckdb_connection connection, struct weir_str text, const char *relation,
	const struct weir_schema *input, const struct weir_schema *output, struct weir_arena *arena,
	const uint32_t **ret_columns)
{
	duckdb_result result;
	bool plain = sql_query_about(connection, projection_query, trim_end(text), &result) &&
		duckdb_row_count(&result) == output->field_count;
	uint32_t *columns = weir_arena_calloc(arena, output->field_count, sizeof *columns);
	for (uint32_t i = 0; plain && i < output->field_count; i++) {
		char *values[6];
		for (idx_t k = 0; k < 6; k++)
			values[k] = duckdb_value_varchar(&result, k, i);
		columns[i] = projected_column(values, relation, input);
		for (idx_t k = 0; k < 6; k++)
			duckdb_free(values[k]);
		plain = columns[i] != WEIR_NO_FIELD && input->fields[columns[i]].type == output->fields[i].type;
	}
	duckdb_destroy_result(&result);
	if (plain)
		*ret_columns = columns;
	return plain;
}
