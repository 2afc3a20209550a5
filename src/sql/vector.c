/*
 * Vectors <-> columns. Both sides have the same layout but for three types:
 *
 *   UUID     DuckDB: int128 with the top bit flipped, little-endian; weir: 16 bytes, most significant first
 *   DECIMAL  DuckDB: int16, int32, int64 or int128 by its precision; weir: int128
 *   MAP      DuckDB: list of struct(key, value); weir: span with two children
 *
 * In: text goes in as views (the 16 bytes are copied, the text is not). Out: a batch points into the
 * chunk's vectors and owns the chunk.
 */
#include "sql/sql_int.h"

#include <stdlib.h>

_Static_assert(sizeof(duckdb_string_t) == sizeof(struct weir_view), "views are DuckDB's strings");
_Static_assert(sizeof(duckdb_list_entry) == sizeof(struct weir_span), "spans are DuckDB's list entries");
_Static_assert(sizeof(duckdb_hugeint) == sizeof(struct weir_uuid), "a UUID is an int128");

#define TOP_BIT (1ULL << 63)

static uint64_t load_be64(const uint8_t *bytes)
{
	uint64_t value;
	memcpy(&value, bytes, sizeof value);
	return __builtin_bswap64(value);
}

static void store_be64(uint8_t *bytes, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(bytes, &value, sizeof value);
}

/* ---- columns -> vectors ---- */

static void fill_validity(duckdb_vector vector, const struct weir_column *column, uint32_t rows)
{
	if (column->valid == NULL)
		return;
	bool nulls = false;
	for (uint32_t i = 0; i < rows / 64; i++)
		nulls |= column->valid[i] != UINT64_MAX;
	if (rows % 64 > 0)
		nulls |= (~column->valid[rows / 64] & ((1ULL << rows % 64) - 1)) != 0;
	if (!nulls) /* DuckDB is faster on vectors that are known to have none */
		return;
	duckdb_vector_ensure_validity_writable(vector);
	uint64_t *words = duckdb_vector_get_validity(vector);
	memcpy(words, column->valid, ((rows + 63) / 64) * sizeof *words);
}

static void fill_uuids(duckdb_hugeint *target, const struct weir_uuid *values, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		target[i].upper = (int64_t)(load_be64(values[i].bytes) ^ TOP_BIT);
		target[i].lower = load_be64(values[i].bytes + 8);
	}
}

static void fill_decimals(void *target, uint8_t precision, const weir_int128 *values, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i++) {
		if (precision <= 4)
			((int16_t *)target)[i] = (int16_t)values[i];
		else if (precision <= 9)
			((int32_t *)target)[i] = (int32_t)values[i];
		else if (precision <= 18)
			((int64_t *)target)[i] = (int64_t)values[i];
		else
			memcpy((char *)target + i * sizeof *values, &values[i], sizeof *values);
	}
}

static void fill_text(struct weir_view *target, const struct weir_column *column, uint32_t rows)
{
	if (column->layout == WEIR_DICT) {
		const uint32_t *codes = column->values;
		for (uint32_t i = 0; i < rows; i++)
			target[i] = weir_column_is_valid(column, i) ? column->dict->values[codes[i]]
								    : (struct weir_view){0};
	} else {
		memcpy(target, column->values, rows * sizeof *target);
	}
}

static void fill_spans(
	duckdb_vector vector, const struct weir_field *field, const struct weir_column *column, uint32_t rows)
{
	duckdb_list_vector_reserve(vector, column->child_rows);
	duckdb_list_vector_set_size(vector, column->child_rows);
	memcpy(duckdb_vector_get_data(vector), column->values, rows * sizeof(struct weir_span));
	duckdb_vector child = duckdb_list_vector_get_child(vector);
	if (field->type == WEIR_LIST) {
		sql_vector_fill(child, &field->children[0], &column->children[0], column->child_rows);
		return;
	}
	for (uint32_t i = 0; i < 2; i++)
		sql_vector_fill(duckdb_struct_vector_get_child(child, i), &field->children[i], &column->children[i],
			column->child_rows);
}

void sql_vector_fill(
	duckdb_vector vector, const struct weir_field *field, const struct weir_column *column, uint32_t rows)
{
	if (rows == 0)
		return;
	fill_validity(vector, column, rows);
	switch (field->type) {
	case WEIR_UUID:
		fill_uuids(duckdb_vector_get_data(vector), column->values, rows);
		break;
	case WEIR_DECIMAL:
		fill_decimals(duckdb_vector_get_data(vector), field->precision, column->values, rows);
		break;
	case WEIR_STRING:
	case WEIR_BINARY:
	case WEIR_FIXED:
		fill_text(duckdb_vector_get_data(vector), column, rows);
		break;
	case WEIR_LIST:
	case WEIR_MAP:
		fill_spans(vector, field, column, rows);
		break;
	case WEIR_STRUCT:
		for (uint32_t i = 0; i < field->child_count; i++)
			sql_vector_fill(duckdb_struct_vector_get_child(vector, i), &field->children[i],
				&column->children[i], rows);
		break;
	default:
		memcpy(duckdb_vector_get_data(vector), column->values, (size_t)rows * weir_type_width(field->type));
	}
}

/* ---- vectors -> columns ---- */

struct adopted {
	struct weir_batch batch;
	duckdb_data_chunk chunk;
	struct weir_arena *arena;
};

static void release_adopted(struct weir_batch *batch)
{
	struct adopted *adopted = batch->owner;
	duckdb_destroy_data_chunk(&adopted->chunk);
	weir_arena_free(adopted->arena); /* the batch itself lies in it */
}

/* A null row's 16 bytes are whatever the vector had: an empty view or span is safe to read. */
static void clear_nulls(struct weir_column *column, uint32_t rows)
{
	struct weir_view *values = column->values;
	if (column->valid == NULL)
		return;
	for (uint32_t i = 0; i < rows; i++) {
		if (!weir_column_is_valid(column, i))
			memset(&values[i], 0, sizeof values[i]);
	}
}

static void adopt_uuids(void *values, uint32_t rows)
{
	/* In place: the chunk is ours. */
	uint8_t *bytes = values;
	for (uint32_t i = 0; i < rows; i++, bytes += sizeof(duckdb_hugeint)) {
		duckdb_hugeint value;
		memcpy(&value, bytes, sizeof value);
		store_be64(bytes, (uint64_t)value.upper ^ TOP_BIT);
		store_be64(bytes + 8, value.lower);
	}
}

static void *adopt_decimals(struct weir_arena *arena, void *values, uint8_t precision, uint32_t rows)
{
	if (precision > 18)
		return values;
	weir_int128 *wide = weir_arena_alloc(arena, (rows + 1) * sizeof *wide);
	for (uint32_t i = 0; i < rows; i++) {
		if (precision <= 4)
			wide[i] = ((const int16_t *)values)[i];
		else if (precision <= 9)
			wide[i] = ((const int32_t *)values)[i];
		else
			wide[i] = ((const int64_t *)values)[i];
	}
	return wide;
}

static void adopt_vector(struct weir_arena *arena, duckdb_vector vector, const struct weir_field *field, uint32_t rows,
	struct weir_column *column)
{
	column->type = field->type;
	column->layout = weir_type_is_text(field->type) ? WEIR_VIEW : WEIR_FLAT;
	column->valid = duckdb_vector_get_validity(vector);
	column->values = field->type == WEIR_STRUCT ? NULL : duckdb_vector_get_data(vector);
	if (field->type == WEIR_UUID) {
		adopt_uuids(column->values, rows);
	} else if (field->type == WEIR_DECIMAL) {
		column->values = adopt_decimals(arena, column->values, field->precision, rows);
	} else if (weir_type_is_text(field->type)) {
		clear_nulls(column, rows);
	} else if (weir_type_is_nested(field->type)) {
		column->child_count = field->child_count;
		column->children = weir_arena_calloc(arena, field->child_count, sizeof *column->children);
		column->layout = field->type == WEIR_STRUCT ? WEIR_GROUP : WEIR_SPAN;
		duckdb_vector inner = vector;
		column->child_rows = rows;
		if (field->type != WEIR_STRUCT) {
			clear_nulls(column, rows);
			column->child_rows = (uint32_t)duckdb_list_vector_get_size(vector);
			inner = duckdb_list_vector_get_child(vector);
		}
		for (uint32_t i = 0; i < field->child_count; i++)
			adopt_vector(arena, field->type == WEIR_LIST ? inner : duckdb_struct_vector_get_child(inner, i),
				&field->children[i], column->child_rows, &column->children[i]);
		if (field->type == WEIR_STRUCT)
			column->child_rows = 0;
	}
}

struct weir_batch *sql_chunk_adopt(duckdb_data_chunk take_chunk, const struct weir_schema *schema)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct adopted *adopted = weir_arena_zalloc(arena, sizeof *adopted);
	adopted->chunk = take_chunk;
	adopted->arena = arena;
	adopted->batch = (struct weir_batch){.schema = schema,
		.row_count = (uint32_t)duckdb_data_chunk_get_size(take_chunk),
		.columns = weir_arena_calloc(arena, schema->field_count, sizeof *adopted->batch.columns),
		.release = release_adopted,
		.owner = adopted};
	for (uint32_t i = 0; i < schema->field_count; i++)
		adopt_vector(arena, duckdb_data_chunk_get_vector(take_chunk, i), &schema->fields[i],
			adopted->batch.row_count, &adopted->batch.columns[i]);
	return &adopted->batch;
}
