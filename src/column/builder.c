#include "column/builder.h"

#include <stdlib.h>

/* The growing children of a map<string, string> column. */
struct map_entries {
	struct weir_view *keys, *values;
	uint32_t count, capacity;
	uint32_t row_start; /* entries of finished rows */
};

struct weir_builder {
	const struct weir_schema *schema;
	struct weir_arena *arena; /* of the batch being built */
	struct weir_batch *batch;
	struct map_entries *maps; /* one a column; used for maps only */
	bool *set;                /* columns of the current row that have a value */
};

static void start(struct weir_builder *builder)
{
	builder->arena = weir_arena_new(0);
	builder->batch = weir_batch_new(builder->arena, builder->schema, WEIR_BATCH_ROWS);
	for (uint32_t i = 0; i < builder->schema->field_count; i++)
		builder->maps[i] = (struct map_entries){0};
}

struct weir_builder *weir_builder_new(const struct weir_schema *schema)
{
	struct weir_builder *builder = weir_zalloc(sizeof *builder);
	builder->schema = schema;
	builder->maps = weir_zalloc(schema->field_count * sizeof *builder->maps);
	builder->set = weir_zalloc(schema->field_count * sizeof *builder->set);
	start(builder);
	return builder;
}

void weir_builder_free(struct weir_builder *builder)
{
	if (builder == NULL)
		return;
	weir_arena_free(builder->arena);
	free(builder->maps);
	free(builder->set);
	free(builder);
}

static struct weir_column *cell(struct weir_builder *builder, uint32_t column, uint32_t *ret_row)
{
	WEIR_ASSERT(column < builder->schema->field_count && builder->batch->row_count < WEIR_BATCH_ROWS);
	builder->set[column] = true;
	*ret_row = builder->batch->row_count;
	return &builder->batch->columns[column];
}

void weir_builder_bool(struct weir_builder *builder, uint32_t column, bool value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	WEIR_ASSERT(to->type == WEIR_BOOL);
	((uint8_t *)to->values)[row] = value;
}

void weir_builder_i64(struct weir_builder *builder, uint32_t column, int64_t value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	if (to->type == WEIR_INT32 || to->type == WEIR_DATE) {
		((int32_t *)to->values)[row] = (int32_t)value;
		return;
	}
	WEIR_ASSERT(to->layout == WEIR_FLAT && weir_type_width(to->type) == 8 && to->type != WEIR_DOUBLE);
	((int64_t *)to->values)[row] = value;
}

void weir_builder_double(struct weir_builder *builder, uint32_t column, double value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	WEIR_ASSERT(to->type == WEIR_DOUBLE || to->type == WEIR_FLOAT);
	if (to->type == WEIR_DOUBLE)
		((double *)to->values)[row] = value;
	else
		((float *)to->values)[row] = (float)value;
}

static struct weir_view own(struct weir_builder *builder, struct weir_str value)
{
	if (value.size > 12)
		value.data = weir_arena_copy(builder->arena, value.data, value.size);
	return weir_view_from(value);
}

void weir_builder_str(struct weir_builder *builder, uint32_t column, struct weir_str value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	WEIR_ASSERT(weir_type_is_text(to->type) && value.size <= UINT32_MAX);
	((struct weir_view *)to->values)[row] = own(builder, value);
}

void weir_builder_uuid(struct weir_builder *builder, uint32_t column, const struct weir_uuid *value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	WEIR_ASSERT(to->type == WEIR_UUID);
	((struct weir_uuid *)to->values)[row] = *value;
}

void weir_builder_decimal(struct weir_builder *builder, uint32_t column, weir_int128 value)
{
	uint32_t row;
	struct weir_column *to = cell(builder, column, &row);
	WEIR_ASSERT(to->type == WEIR_DECIMAL);
	((weir_int128 *)to->values)[row] = value;
}

void weir_builder_map_start(struct weir_builder *builder, uint32_t column)
{
	uint32_t row;
	WEIR_ASSERT(cell(builder, column, &row)->type == WEIR_MAP);
}

void weir_builder_map_entry(struct weir_builder *builder, uint32_t column, struct weir_str key, struct weir_str value)
{
	struct map_entries *map = &builder->maps[column];
	weir_builder_map_start(builder, column);
	if (map->count == map->capacity) {
		uint32_t capacity = map->capacity > 0 ? map->capacity * 2 : 1024;
		struct weir_view *keys = weir_arena_calloc(builder->arena, capacity, sizeof *keys);
		struct weir_view *values = weir_arena_calloc(builder->arena, capacity, sizeof *values);
		if (map->count > 0) {
			memcpy(keys, map->keys, map->count * sizeof *keys);
			memcpy(values, map->values, map->count * sizeof *values);
		}
		*map = (struct map_entries){keys, values, map->count, capacity, map->row_start};
	}
	map->keys[map->count] = own(builder, key);
	map->values[map->count++] = own(builder, value);
}

void weir_builder_end_row(struct weir_builder *builder)
{
	uint32_t row = builder->batch->row_count;
	WEIR_ASSERT(row < WEIR_BATCH_ROWS);
	for (uint32_t i = 0; i < builder->schema->field_count; i++) {
		struct weir_column *column = &builder->batch->columns[i];
		struct map_entries *map = &builder->maps[i];
		if (!builder->set[i])
			weir_column_set_null(column, row);
		builder->set[i] = false;
		if (column->layout == WEIR_SPAN)
			((struct weir_span *)column->values)[row] =
				(struct weir_span){map->row_start, map->count - map->row_start};
		map->row_start = map->count;
	}
	builder->batch->row_count++;
}

void weir_builder_drop_row(struct weir_builder *builder)
{
	for (uint32_t i = 0; i < builder->schema->field_count; i++) {
		if (builder->set[i] && weir_type_is_text(builder->batch->columns[i].type))
			((struct weir_view *)builder->batch->columns[i].values)[builder->batch->row_count] =
				(struct weir_view){0};
		builder->set[i] = false;
		builder->maps[i].count = builder->maps[i].row_start;
	}
}

uint32_t weir_builder_rows(const struct weir_builder *builder)
{
	return builder->batch->row_count;
}

bool weir_builder_full(const struct weir_builder *builder)
{
	return builder->batch->row_count == WEIR_BATCH_ROWS;
}

void weir_builder_copy(struct weir_builder *builder, uint32_t column, const struct weir_column *from, uint32_t row)
{
	uint32_t to_row;
	if (!weir_column_is_valid(from, row))
		return;
	if (weir_type_is_text(from->type)) {
		weir_builder_str(builder, column, weir_column_str(from, row));
	} else if (from->layout == WEIR_SPAN) {
		const struct weir_span *span = (const struct weir_span *)from->values + row;
		weir_builder_map_start(builder, column);
		for (uint64_t k = span->offset; k < span->offset + span->length; k++)
			weir_builder_map_entry(builder, column, weir_column_str(&from->children[0], (uint32_t)k),
				weir_column_is_valid(&from->children[1], (uint32_t)k)
					? weir_column_str(&from->children[1], (uint32_t)k)
					: WEIR_STR(""));
	} else {
		size_t width = weir_type_width(from->type);
		struct weir_column *to = cell(builder, column, &to_row);
		WEIR_ASSERT(to->type == from->type && to->layout == WEIR_FLAT);
		memcpy((char *)to->values + to_row * width, (const char *)from->values + row * width, width);
	}
}

static void release(struct weir_batch *batch)
{
	weir_arena_free(batch->owner);
}

struct weir_batch *weir_builder_take(struct weir_builder *builder)
{
	struct weir_batch *batch = builder->batch;
	if (batch->row_count == 0)
		return NULL;
	for (uint32_t i = 0; i < builder->schema->field_count; i++) {
		struct weir_column *column = &batch->columns[i];
		struct map_entries *map = &builder->maps[i];
		if (column->type != WEIR_MAP)
			continue;
		column->child_rows = map->count;
		column->children[0].values = map->keys;
		column->children[1].values = map->values;
		column->children[0].valid = column->children[1].valid = NULL;
	}
	batch->owner = builder->arena;
	batch->release = release;
	start(builder);
	return batch;
}
