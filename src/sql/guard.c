/*
 * What free SQL may name. A statement is looked at as DuckDB itself parses it (json_serialize_sql, which
 * takes SELECT and its like alone), and everything that it reads from must be known:
 *
 *   BASE_TABLE      a relation of the session ("gold.readings"), information_schema.tables or .columns, or
 *                   a name of a WITH clause, which must look like a name: 'x.parquet' is a file to DuckDB
 *   TABLE_FUNCTION  one of a few that make rows of their arguments; never one that reads a file or runs text
 *   SHOW_REF        SHOW TABLES, and DESCRIBE or SUMMARIZE of a query, whose parts are looked at like any other
 */
#include "sql/sql_int.h"

#include <ctype.h>
#include <strings.h>

static const char *const harmless_functions[] = {
	"unnest", "range", "generate_series", "repeat", "json_each", "json_tree"};
static const char *const harmless_tables[] = {"information_schema.tables", "information_schema.columns"};

/* One row for each thing that the statement reads from or names, and one for the whole: how many statements, or its
 * error. */
static const char guard_query[] =
	"WITH parsed AS (SELECT json_serialize_sql($1::VARCHAR)::JSON AS j), "
	"node AS (SELECT t.value AS v, t.path AS p, json_extract_string(t.value, '$.type') AS kind "
	"FROM parsed, json_tree(parsed.j) t WHERE t.type = 'OBJECT') "
	"SELECT 'STATEMENTS', coalesce(json_extract_string(j, '$.error_message'), ''), "
	"json_array_length(j, '$.statements')::VARCHAR, '' FROM parsed "
	"UNION ALL SELECT kind, json_extract_string(v, '$.catalog_name'), json_extract_string(v, '$.schema_name'), "
	"json_extract_string(v, '$.table_name') FROM node WHERE kind = 'BASE_TABLE' "
	"UNION ALL SELECT kind, '', '', json_extract_string(v, '$.function.function_name') FROM node WHERE kind = "
	"'TABLE_FUNCTION' "
	"UNION ALL SELECT kind, coalesce(json_type(v, '$.query'), 'NULL'), '', json_extract_string(v, '$.table_name') "
	"FROM node "
	"WHERE kind = 'SHOW_REF' "
	"UNION ALL SELECT 'CTE', '', '', json_extract_string(v, '$.key') FROM node WHERE p LIKE '%cte_map.map'";

enum { G_KIND, G_A, G_B, G_NAME, G_COLUMNS };

/* The value at (row, column) in arena; "" for NULL. */
static struct weir_str cell(struct weir_arena *arena, duckdb_result *result, idx_t row, idx_t column)
{
	char *value = duckdb_value_varchar(result, column, row);
	struct weir_str text = weir_arena_str(arena, weir_str_from(value != NULL ? value : ""));
	duckdb_free(value);
	return text;
}

static bool equal_fold(struct weir_str a, struct weir_str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.data, b.data, a.size) == 0);
}

static bool is_plain_name(struct weir_str name)
{
	for (size_t i = 0; i < name.size; i++) {
		if (!isalnum((unsigned char)name.data[i]) && name.data[i] != '_')
			return false;
	}
	return name.size > 0;
}

static bool is_among(struct weir_str name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (equal_fold(name, weir_str_from(names[i])))
			return true;
	}
	return false;
}

static bool is_with_name(struct weir_arena *arena, duckdb_result *result, struct weir_str name)
{
	if (!is_plain_name(name))
		return false;
	for (idx_t row = 0; row < duckdb_row_count(result); row++) {
		if (weir_str_is(cell(arena, result, row, G_KIND), "CTE") &&
			equal_fold(cell(arena, result, row, G_NAME), name))
			return true;
	}
	return false;
}

static int check_table(struct weir_arena *arena, duckdb_result *result, idx_t row, const struct weir_str *relations,
	size_t relation_count, struct weir_error *err)
{
	struct weir_str catalog = cell(arena, result, row, G_A), schema = cell(arena, result, row, G_B),
			table = cell(arena, result, row, G_NAME);
	struct weir_str full = weir_str_from(weir_arena_printf(
		arena, "%.*s%s%.*s", WEIR_STR_ARG(schema), schema.size > 0 ? "." : "", WEIR_STR_ARG(table)));
	if (catalog.size == 0 && schema.size == 0 && is_with_name(arena, result, table))
		return 0;
	for (size_t i = 0; catalog.size == 0 && schema.size > 0 && i < relation_count; i++) {
		if (equal_fold(relations[i], full))
			return 0;
	}
	if (catalog.size == 0 && is_among(full, harmless_tables, sizeof harmless_tables / sizeof *harmless_tables))
		return 0;
	return weir_fail(err, WEIR_E_DENIED,
		"there is no table '%.*s' here; SHOW TABLES lists those that there are, as in %.*s",
		full.size > 100 ? 100 : (int)full.size, full.data, relation_count > 0 ? (int)relations[0].size : 4,
		relation_count > 0 ? relations[0].data : "none");
}

static int check_row(struct weir_arena *arena, duckdb_result *result, idx_t row, const struct weir_str *relations,
	size_t relation_count, struct weir_error *err)
{
	struct weir_str kind = cell(arena, result, row, G_KIND), a = cell(arena, result, row, G_A),
			name = cell(arena, result, row, G_NAME);
	if (weir_str_is(kind, "STATEMENTS")) {
		struct weir_str count = cell(arena, result, row, G_B);
		if (a.size > 0)
			return sql_fail(err, WEIR_E_INPUT, "query", weir_arena_cstr(arena, a), false);
		return weir_str_is(count, "1")
			? 0
			: weir_fail(err, WEIR_E_INPUT, "write one statement, not %.*s", WEIR_STR_ARG(count));
	}
	if (weir_str_is(kind, "BASE_TABLE"))
		return check_table(arena, result, row, relations, relation_count, err);
	if (weir_str_is(kind, "TABLE_FUNCTION") &&
		!is_among(name, harmless_functions, sizeof harmless_functions / sizeof *harmless_functions))
		return weir_fail(err, WEIR_E_DENIED, "the table function '%.*s' cannot be used here",
			name.size > 100 ? 100 : (int)name.size, name.data);
	if (weir_str_is(kind, "SHOW_REF") && !weir_str_is(a, "OBJECT") && !weir_str_is(name, "\"tables\"") &&
		!weir_str_is(name, "__show_tables_expanded"))
		return weir_fail(
			err, WEIR_E_DENIED, "only SHOW TABLES, DESCRIBE and SUMMARIZE of a table are possible here");
	return 0;
}

/* Skips the word at the start (in any case) and the spaces around it; false where it is not there. */
static bool skip_word(struct weir_str *text, const char *word)
{
	struct weir_str rest = *text;
	while (rest.size > 0 && isspace((unsigned char)rest.data[0]))
		rest = (struct weir_str){rest.data + 1, rest.size - 1};
	size_t size = strlen(word);
	if (rest.size <= size || strncasecmp(rest.data, word, size) != 0 || !isspace((unsigned char)rest.data[size]))
		return false;
	*text = (struct weir_str){rest.data + size, rest.size - size};
	return true;
}

int sql_guard(duckdb_connection connection, struct weir_str text, const struct weir_str *relations,
	size_t relation_count, struct weir_error *err)
{
	if (text.size > SQL_MAX_TEXT_BYTES)
		return weir_fail(
			err, WEIR_E_LIMIT, "a statement may have %u bytes, not %zu", SQL_MAX_TEXT_BYTES, text.size);
	/* EXPLAIN has no parsed form; what it explains has. */
	if (skip_word(&text, "EXPLAIN"))
		skip_word(&text, "ANALYZE");
	struct weir_arena *arena = weir_arena_new(0);
	duckdb_result result;
	int code = 0;
	if (!sql_query_about(connection, guard_query, text, &result))
		code = sql_fail(err, WEIR_E_INPUT, "query", duckdb_result_error(&result), false);
	idx_t rows = code == 0 ? duckdb_row_count(&result) : 0;
	if (code == 0 && rows == 0)
		code = weir_fail(err, WEIR_E_INTERNAL, "the statement could not be looked at");
	for (idx_t row = 0; code == 0 && row < rows; row++)
		code = check_row(arena, &result, row, relations, relation_count, err);
	duckdb_destroy_result(&result);
	weir_arena_free(arena);
	return code;
}
