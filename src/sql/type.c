/* weir's types and DuckDB's. */
#include "sql/sql_int.h"

#include <stdlib.h>

/* Types that are the same in both; nested ones and decimals are handled apart. */
static const struct {
	enum weir_type weir;
	duckdb_type duckdb;
	const char *name;
} same_types[] = {
	{WEIR_BOOL, DUCKDB_TYPE_BOOLEAN, "BOOLEAN"},
	{WEIR_INT32, DUCKDB_TYPE_INTEGER, "INTEGER"},
	{WEIR_INT64, DUCKDB_TYPE_BIGINT, "BIGINT"},
	{WEIR_FLOAT, DUCKDB_TYPE_FLOAT, "FLOAT"},
	{WEIR_DOUBLE, DUCKDB_TYPE_DOUBLE, "DOUBLE"},
	{WEIR_DATE, DUCKDB_TYPE_DATE, "DATE"},
	{WEIR_TIME, DUCKDB_TYPE_TIME, "TIME"},
	{WEIR_TIMESTAMP, DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP"},
	{WEIR_TIMESTAMPTZ, DUCKDB_TYPE_TIMESTAMP_TZ, "TIMESTAMPTZ"},
	{WEIR_STRING, DUCKDB_TYPE_VARCHAR, "VARCHAR"},
	{WEIR_UUID, DUCKDB_TYPE_UUID, "UUID"},
	{WEIR_BINARY, DUCKDB_TYPE_BLOB, "BLOB"},
};
#define SAME_TYPES (sizeof same_types / sizeof *same_types)

/* What else becomes one of them without loss; hard: only where text or a wider number will do. */
static const struct {
	duckdb_type from;
	const char *to, *name;
	bool lenient_only;
} cast_types[] = {
	{DUCKDB_TYPE_TINYINT, "INTEGER", "TINYINT", false},
	{DUCKDB_TYPE_SMALLINT, "INTEGER", "SMALLINT", false},
	{DUCKDB_TYPE_UTINYINT, "INTEGER", "UTINYINT", false},
	{DUCKDB_TYPE_USMALLINT, "INTEGER", "USMALLINT", false},
	{DUCKDB_TYPE_UINTEGER, "BIGINT", "UINTEGER", false},
	{DUCKDB_TYPE_ENUM, "VARCHAR", "ENUM", false},
	{DUCKDB_TYPE_SQLNULL, "VARCHAR", "NULL", false},
	{DUCKDB_TYPE_TIMESTAMP_S, "TIMESTAMP", "TIMESTAMP_S", false},
	{DUCKDB_TYPE_TIMESTAMP_MS, "TIMESTAMP", "TIMESTAMP_MS", false},
	{DUCKDB_TYPE_TIMESTAMP_NS, "VARCHAR", "TIMESTAMP_NS", true},
	{DUCKDB_TYPE_UBIGINT, "DECIMAL(20, 0)", "UBIGINT", true},
	{DUCKDB_TYPE_HUGEINT, "DECIMAL(38, 0)", "HUGEINT", true},
	{DUCKDB_TYPE_UHUGEINT, "VARCHAR", "UHUGEINT", true},
	{DUCKDB_TYPE_INTERVAL, "VARCHAR", "INTERVAL", true},
	{DUCKDB_TYPE_TIME_TZ, "VARCHAR", "TIMETZ", true},
	{DUCKDB_TYPE_BIT, "VARCHAR", "BIT", true},
	{DUCKDB_TYPE_UNION, "VARCHAR", "UNION", true},
};
#define CAST_TYPES (sizeof cast_types / sizeof *cast_types)

duckdb_logical_type sql_type_from_field(const struct weir_field *field)
{
	for (size_t i = 0; i < SAME_TYPES; i++) {
		if (same_types[i].weir == field->type)
			return duckdb_create_logical_type(same_types[i].duckdb);
	}
	if (field->type == WEIR_DECIMAL)
		return duckdb_create_decimal_type(field->precision, field->scale);
	if (field->type == WEIR_FIXED)
		return duckdb_create_logical_type(DUCKDB_TYPE_BLOB);
	duckdb_logical_type *children = weir_alloc((field->child_count + 1) * sizeof *children);
	for (uint32_t i = 0; i < field->child_count; i++)
		children[i] = sql_type_from_field(&field->children[i]);
	duckdb_logical_type type = NULL;
	if (field->type == WEIR_LIST) {
		type = duckdb_create_list_type(children[0]);
	} else if (field->type == WEIR_MAP) {
		type = duckdb_create_map_type(children[0], children[1]);
	} else {
		struct weir_arena *arena = weir_arena_new(0);
		const char **names = weir_arena_calloc(arena, field->child_count, sizeof *names);
		for (uint32_t i = 0; i < field->child_count; i++)
			names[i] = weir_arena_cstr(arena, field->children[i].name);
		type = duckdb_create_struct_type(children, names, field->child_count);
		weir_arena_free(arena);
	}
	for (uint32_t i = 0; i < field->child_count; i++)
		duckdb_destroy_logical_type(&children[i]);
	free(children);
	return type;
}

/* The types inside a nested type: up to limit of them, each to be destroyed; their names (malloc'ed by DuckDB) or NULL.
 */
static idx_t child_count_of(duckdb_logical_type type)
{
	switch (duckdb_get_type_id(type)) {
	case DUCKDB_TYPE_LIST:
	case DUCKDB_TYPE_ARRAY:
		return 1;
	case DUCKDB_TYPE_MAP:
		return 2;
	case DUCKDB_TYPE_STRUCT:
		return duckdb_struct_type_child_count(type);
	default:
		return 0;
	}
}

static duckdb_logical_type child_type_of(duckdb_logical_type type, idx_t index)
{
	switch (duckdb_get_type_id(type)) {
	case DUCKDB_TYPE_LIST:
		return duckdb_list_type_child_type(type);
	case DUCKDB_TYPE_ARRAY:
		return duckdb_array_type_child_type(type);
	case DUCKDB_TYPE_MAP:
		return index == 0 ? duckdb_map_type_key_type(type) : duckdb_map_type_value_type(type);
	default:
		return duckdb_struct_type_child_type(type, index);
	}
}

static bool nested_to_field(
	struct weir_arena *arena, duckdb_logical_type type, unsigned depth, struct weir_field *field)
{
	static const char *const map_names[] = {"key", "value"};
	duckdb_type id = duckdb_get_type_id(type);
	idx_t count = child_count_of(type);
	if (depth >= SQL_MAX_TYPE_DEPTH || count > SQL_MAX_COLUMNS)
		return false;
	field->type = id == DUCKDB_TYPE_LIST ? WEIR_LIST : id == DUCKDB_TYPE_MAP ? WEIR_MAP : WEIR_STRUCT;
	field->child_count = (uint32_t)count;
	field->children = weir_arena_calloc(arena, count, sizeof *field->children);
	for (idx_t i = 0; i < count; i++) {
		duckdb_logical_type inner = child_type_of(type, i);
		bool known = sql_type_to_field(arena, inner, depth + 1, &field->children[i]);
		duckdb_destroy_logical_type(&inner);
		if (!known)
			return false;
		if (id == DUCKDB_TYPE_STRUCT) {
			char *name = duckdb_struct_type_child_name(type, i);
			field->children[i].name = weir_arena_str(arena, weir_str_from(name));
			duckdb_free(name);
		} else {
			field->children[i].name = weir_str_from(id == DUCKDB_TYPE_MAP ? map_names[i] : "element");
		}
		field->children[i].required = id == DUCKDB_TYPE_MAP && i == 0;
	}
	return true;
}

bool sql_type_to_field(struct weir_arena *arena, duckdb_logical_type type, unsigned depth, struct weir_field *ret_field)
{
	duckdb_type id = duckdb_get_type_id(type);
	struct weir_field field = {.name = WEIR_STR("")};
	if (id == DUCKDB_TYPE_DECIMAL) {
		field.type = WEIR_DECIMAL;
		field.precision = duckdb_decimal_width(type);
		field.scale = duckdb_decimal_scale(type);
		*ret_field = field;
		return true;
	}
	if (id == DUCKDB_TYPE_LIST || id == DUCKDB_TYPE_MAP || id == DUCKDB_TYPE_STRUCT) {
		if (!nested_to_field(arena, type, depth, &field))
			return false;
		*ret_field = field;
		return true;
	}
	for (size_t i = 0; i < SAME_TYPES; i++) {
		if (same_types[i].duckdb == id) {
			field.type = same_types[i].weir;
			*ret_field = field;
			return true;
		}
	}
	return false;
}

static int nested_cast(duckdb_logical_type type, bool lenient, unsigned depth, struct weir_buf *out)
{
	duckdb_type id = duckdb_get_type_id(type);
	idx_t count = child_count_of(type);
	/* An array of fixed length becomes a list. */
	int changed = id == DUCKDB_TYPE_ARRAY;
	if (depth >= SQL_MAX_TYPE_DEPTH || count > SQL_MAX_COLUMNS)
		return -1;
	weir_buf_puts(out, id == DUCKDB_TYPE_MAP ? "MAP(" : id == DUCKDB_TYPE_STRUCT ? "STRUCT(" : "");
	for (idx_t i = 0; i < count; i++) {
		weir_buf_puts(out, i > 0 ? ", " : "");
		if (id == DUCKDB_TYPE_STRUCT) {
			char *name = duckdb_struct_type_child_name(type, i);
			sql_quote(out, weir_str_from(name), '"');
			weir_buf_putc(out, ' ');
			duckdb_free(name);
		}
		duckdb_logical_type inner = child_type_of(type, i);
		int inner_changed = sql_type_cast(inner, lenient, depth + 1, out);
		duckdb_destroy_logical_type(&inner);
		if (inner_changed < 0)
			return -1;
		changed |= inner_changed;
	}
	weir_buf_puts(out, id == DUCKDB_TYPE_MAP || id == DUCKDB_TYPE_STRUCT ? ")" : "[]");
	return changed;
}

int sql_type_cast(duckdb_logical_type type, bool lenient, unsigned depth, struct weir_buf *out)
{
	duckdb_type id = duckdb_get_type_id(type);
	if (id == DUCKDB_TYPE_DECIMAL) {
		weir_buf_printf(out, "DECIMAL(%u, %u)", duckdb_decimal_width(type), duckdb_decimal_scale(type));
		return 0;
	}
	if (child_count_of(type) > 0)
		return nested_cast(type, lenient, depth, out);
	for (size_t i = 0; i < SAME_TYPES; i++) {
		if (same_types[i].duckdb == id) {
			weir_buf_puts(out, same_types[i].name);
			return 0;
		}
	}
	for (size_t i = 0; i < CAST_TYPES; i++) {
		if (cast_types[i].from == id && (lenient || !cast_types[i].lenient_only)) {
			weir_buf_puts(out, cast_types[i].to);
			return 1;
		}
	}
	if (!lenient)
		return -1;
	weir_buf_puts(out, "VARCHAR");
	return 1;
}

void sql_type_name(duckdb_logical_type type, struct weir_buf *out)
{
	duckdb_type id = duckdb_get_type_id(type);
	for (size_t i = 0; i < CAST_TYPES; i++) {
		if (cast_types[i].from == id) {
			weir_buf_puts(out, cast_types[i].name);
			return;
		}
	}
	if (child_count_of(type) > 0)
		weir_buf_puts(out, "a nested type with parts that have no such column type");
	else
		weir_buf_printf(out, "DuckDB type %d", (int)id);
}
