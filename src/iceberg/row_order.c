/*
 * A table's default sort order (table specification, "Sorting"), made ready for rows: each of its fields becomes a column of
 * keys, the transformed values, and weir_batches_order does the rest. An order that rows cannot be put in, because weir does not
 * know its transform, or its column is gone or inside a list or a map, is none: such files are written unsorted, and say so.
 */
#include "column/order.h"
#include "iceberg/internal.h"

#define DEPTH_MAX ICE_TYPE_DEPTH_MAX

struct key {
	uint32_t path[DEPTH_MAX]; /* of the source, from the top-level column into structs */
	uint32_t depth;
	struct ice_transform transform;
	struct weir_field field; /* of the keys */
};

struct ice_row_order {
	int32_t id;
	struct key *keys;
	struct weir_order order;   /* of the key columns */
	struct weir_schema schema; /* the same */
};

static bool find_source(const struct weir_field *fields, uint32_t count, int32_t id, struct key *key)
{
	for (uint32_t i = 0; i < count && key->depth < DEPTH_MAX; i++) {
		const struct weir_field *field = &fields[i];
		key->path[key->depth++] = i;
		if (field->id == id) {
			key->field = *field;
			return !weir_type_is_nested(field->type);
		}
		if (field->type == WEIR_STRUCT && find_source(field->children, field->child_count, id, key))
			return true;
		key->depth--;
	}
	return false;
}

/* Is the transform one of the source's type? Others would give nulls, which are in any order. */
static bool suits(struct ice_transform transform, enum weir_type type)
{
	bool is_time = type == WEIR_TIMESTAMP || type == WEIR_TIMESTAMPTZ || type == WEIR_TIMESTAMP_NS ||
		type == WEIR_TIMESTAMPTZ_NS;
	bool is_exact = type == WEIR_INT32 || type == WEIR_INT64 || type == WEIR_DECIMAL || weir_type_is_text(type);
	switch (transform.kind) {
	case ICE_IDENTITY:
		return true;
	case ICE_YEAR:
	case ICE_MONTH:
	case ICE_DAY:
		return is_time || type == WEIR_DATE;
	case ICE_HOUR:
		return is_time;
	case ICE_TRUNCATE:
		return is_exact && type != WEIR_FIXED;
	case ICE_BUCKET:
		return is_exact || is_time || type == WEIR_DATE || type == WEIR_TIME || type == WEIR_UUID;
	case ICE_VOID:
	case ICE_UNKNOWN_TRANSFORM:
		break;
	}
	return false;
}

static bool make_key(const struct weir_schema *schema, const struct ice_sort_field *field, struct key *key)
{
	key->transform = field->transform;
	if (!find_source(schema->fields, schema->field_count, field->source_id, key) ||
		!suits(field->transform, key->field.type))
		return false;
	key->field.type = ice_transform_result(field->transform, key->field.type);
	return true;
}

struct ice_row_order *ice_row_order_new(
	struct weir_arena *arena, const struct ice_metadata *metadata, const struct weir_schema *schema)
{
	const struct ice_sort_order *declared = NULL;
	for (uint32_t i = 0; i < metadata->sort_order_count; i++)
		if (metadata->sort_orders[i].id == metadata->default_sort_order_id)
			declared = &metadata->sort_orders[i];
	if (declared == NULL || declared->id == 0 || declared->field_count == 0 ||
		declared->field_count > WEIR_ORDER_COLUMNS)
		return NULL;
	struct ice_row_order *order = weir_arena_zalloc(arena, sizeof *order);
	order->id = declared->id;
	order->keys = weir_arena_calloc(arena, declared->field_count, sizeof *order->keys);
	order->schema.fields = weir_arena_calloc(arena, declared->field_count, sizeof *order->schema.fields);
	for (uint32_t i = 0; i < declared->field_count; i++) {
		const struct ice_sort_field *field = &declared->fields[i];
		uint32_t at = order->order.count;
		if (field->transform.kind == ICE_VOID) /* null in every row */
			continue;
		if (!make_key(schema, field, &order->keys[at]))
			return NULL;
		order->schema.fields[at] = order->keys[at].field;
		order->order.columns[at] = at;
		order->order.descending |= (uint32_t)field->descending << at;
		order->order.nulls_last |= (uint32_t)field->nulls_last << at;
		order->order.count++;
	}
	order->schema.field_count = order->order.count;
	return order->order.count > 0 ? order : NULL;
}

int32_t ice_row_order_id(const struct ice_row_order *order)
{
	return order->id;
}

/* ---- keys ---- */

/* The source's column; in structs a row is null where one around it is. */
static struct weir_column source_of(struct weir_arena *arena, const struct key *key, const struct weir_batch *batch)
{
	struct weir_column column = batch->columns[key->path[0]];
	for (uint32_t d = 1; d < key->depth; d++) {
		struct weir_column child = column.children[key->path[d]];
		if (column.valid != NULL) {
			uint64_t *valid = weir_validity_new(arena, batch->row_count);
			for (uint32_t word = 0; word < (batch->row_count + 63) / 64; word++)
				valid[word] = column.valid[word] & (child.valid != NULL ? child.valid[word] : ~0ULL);
			child.valid = valid;
		}
		column = child;
	}
	return column;
}

/* A decimal of any size: v - (((v % W) + W) % W), unscaled. */
static void put_decimal(struct weir_column *keys, uint32_t row, const struct weir_column *source, uint32_t width)
{
	weir_int128 value;
	memcpy(&value, (const char *)source->values + (size_t)row * sizeof value, sizeof value);
	weir_int128 rest = value % (weir_int128)width;
	value -= rest < 0 ? rest + width : rest;
	memcpy((char *)keys->values + (size_t)row * sizeof value, &value, sizeof value);
}

static void put_value(struct weir_column *keys, uint32_t row, const struct ice_partition_value *value)
{
	if (value->is_null)
		weir_column_set_null(keys, row);
	else if (weir_type_is_text(keys->type))
		((struct weir_view *)keys->values)[row] = weir_view_from(value->value.u.text);
	else if (weir_type_width(keys->type) == sizeof(int32_t))
		((int32_t *)keys->values)[row] = (int32_t)value->value.u.integer;
	else
		((int64_t *)keys->values)[row] = value->value.u.integer;
}

static void fill_keys(struct weir_arena *arena, const struct key *key, enum weir_type type,
	const struct weir_column *source, uint32_t rows, struct weir_column *keys)
{
	for (uint32_t row = 0; row < rows; row++) {
		if (!weir_column_is_valid(source, row)) {
			weir_column_set_null(keys, row);
		} else if (type == WEIR_DECIMAL && key->transform.kind == ICE_TRUNCATE) {
			put_decimal(keys, row, source, key->transform.parameter);
		} else {
			struct expr_value value = ice_cell_value(arena, source, row);
			struct ice_partition_value result = ice_transform_value(key->transform, type, &value);
			put_value(keys, row, &result);
		}
	}
}

static struct weir_batch *keys_of(
	struct weir_arena *arena, const struct ice_row_order *order, const struct weir_batch *batch)
{
	struct weir_batch *keys = weir_batch_new(arena, &order->schema, batch->row_count);
	keys->row_count = batch->row_count;
	for (uint32_t i = 0; i < order->schema.field_count; i++) {
		const struct key *key = &order->keys[i];
		struct weir_column source = source_of(arena, key, batch);
		if (key->transform.kind == ICE_IDENTITY)
			keys->columns[i] = source;
		else
			fill_keys(arena, key, source.type, &source, batch->row_count, &keys->columns[i]);
	}
	return keys;
}

struct weir_pick *ice_row_order_picks(
	void *order, struct weir_batch *const *batches, uint32_t count, uint64_t *ret_rows)
{
	const struct ice_row_order *by = order;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch **keys = weir_arena_calloc(arena, count, sizeof(struct weir_batch *));
	for (uint32_t i = 0; i < count; i++)
		keys[i] = keys_of(arena, by, batches[i]);
	struct weir_pick *picks = weir_batches_order(keys, count, &by->order, ret_rows);
	weir_arena_free(arena);
	return picks;
}
