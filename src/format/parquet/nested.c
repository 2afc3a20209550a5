/*
 * Levels and dense values of leaves into columns (the reverse of Dremel's shredding).
 *
 * A node has a slot for each entry of a leaf below it whose repetition level is at most slot_rep and
 * whose definition level is at least slot_def: those entries begin an instance of the node within an
 * existing parent. A slot is not null where the definition level reaches the node's own. Leaves of one
 * parent must agree on the number of slots; a file in which they do not is corrupt.
 */
#include <stdlib.h>

#include "format/parquet/read_int.h"

struct assembly {
	struct pq_cursor *const *cursors;
	struct pq_holder *holder;
	struct weir_error *err;
};

/* A column of nulls, safe to read. */
static void all_null(
	struct weir_arena *arena, const struct weir_field *field, uint32_t rows, struct weir_column *column)
{
	*column = (struct weir_column){.type = field->type, .child_count = field->child_count};
	column->layout = weir_type_is_text(field->type)               ? WEIR_VIEW
		: field->type == WEIR_LIST || field->type == WEIR_MAP ? WEIR_SPAN
		: field->type == WEIR_STRUCT                          ? WEIR_GROUP
								      : WEIR_FLAT;
	column->valid = weir_arena_calloc(arena, ((size_t)rows + 63) / 64, 8);
	column->values = weir_arena_calloc(arena, rows, weir_type_width(field->type));
	column->children = weir_arena_calloc(arena, field->child_count, sizeof *column->children);
	for (uint32_t i = 0; i < field->child_count; i++)
		all_null(arena, &field->children[i], column->layout == WEIR_GROUP ? rows : 0, &column->children[i]);
}

/* Definition levels of a node's slots, in order; *ret_levels NULL where all are the highest. */
static int slot_levels(const struct assembly *assembly, const struct pq_node *node, const struct pq_cursor *cursor,
	uint32_t slots, const uint8_t **ret_levels)
{
	const struct pq_leaf_data *data = &cursor->data;
	uint32_t found = 0;
	*ret_levels = data->defs;
	if (cursor->leaf.max_rep == 0) {
		found = data->entry_count;
		if (cursor->leaf.max_def == 0)
			*ret_levels = NULL;
	} else {
		uint8_t *levels = weir_arena_alloc(assembly->holder->arena, slots);
		for (uint32_t i = 0; i < data->entry_count; i++) {
			if (data->reps[i] > node->slot_rep || data->defs[i] < node->slot_def)
				continue;
			if (found < slots)
				levels[found] = data->defs[i];
			found++;
		}
		*ret_levels = levels;
	}
	if (found != slots)
		return pq_cursor_corrupt(
			cursor, cursor->offset, "its levels do not agree with its neighbours'", assembly->err);
	return 0;
}

/* A bit a slot, without a branch: nulls come in no order that could be guessed. Bits past the last slot are set. */
static void set_valid(const struct assembly *assembly, const uint8_t *levels, uint8_t needed, uint32_t slots,
	struct weir_column *column)
{
	uint32_t nulls = 0;
	for (uint32_t i = 0; levels != NULL && i < slots; i++)
		nulls += levels[i] < needed;
	if (nulls == 0)
		return;
	column->valid = weir_validity_new(assembly->holder->arena, slots);
	for (uint32_t first = 0; first < slots; first += 64) {
		uint32_t count = slots - first < 64 ? slots - first : 64;
		uint64_t missing = 0;
		for (uint32_t i = 0; i < count; i++)
			missing |= (uint64_t)(levels[first + i] < needed) << i;
		column->valid[first / 64] &= ~missing;
	}
}

static inline void spread_width(char *to, const char *from, const uint64_t *valid, uint32_t slots, size_t width)
{
	memset(to, 0, slots * width);
	for (uint32_t first = 0; first < slots; first += 64) {
		uint64_t bits = valid[first / 64];
		if (slots - first < 64)
			bits &= (1ULL << (slots - first)) - 1;
		if (bits == UINT64_MAX) {
			memcpy(to + first * width, from, 64 * width);
			from += 64 * width;
			continue;
		}
		for (; bits != 0; bits &= bits - 1, from += width)
			memcpy(to + (first + (uint32_t)__builtin_ctzll(bits)) * width, from, width);
	}
}

/* Dense values to the slots that are not null; zeros to the others. */
static void spread(char *to, const char *from, const uint64_t *valid, uint32_t slots, uint32_t width)
{
	switch (width) { /* constant sizes become plain moves */
	case 1:
		spread_width(to, from, valid, slots, 1);
		break;
	case 4:
		spread_width(to, from, valid, slots, 4);
		break;
	case 8:
		spread_width(to, from, valid, slots, 8);
		break;
	default:
		spread_width(to, from, valid, slots, 16);
	}
}

/* in_arena: dense is the holder's, and serves as it is where no slot is null. The column's validity is set. */
static void place_values(const struct assembly *assembly, void *dense, bool in_arena, uint32_t count, uint32_t slots,
	uint32_t width, struct weir_column *column)
{
	if (count == slots && in_arena && dense != NULL) {
		column->values = dense;
		return;
	}
	column->values = weir_arena_alloc(assembly->holder->arena, (size_t)slots * width);
	if (count == slots && count > 0)
		memcpy(column->values, dense, (size_t)count * width);
	else if (slots > 0)
		spread(column->values, dense, column->valid, slots, width);
}

static bool keeps_values(enum pq_convert convert)
{
	return convert == PQ_AS_IS || convert == PQ_BOOL_BYTE || convert == PQ_BYTES_VIEW;
}

static int assemble_leaf(
	const struct assembly *assembly, const struct pq_target *target, uint32_t slots, struct weir_column *column)
{
	const struct pq_node *node = target->node;
	const struct pq_cursor *cursor = assembly->cursors[node->leaf];
	const struct pq_leaf_data *data = &cursor->data;
	struct weir_arena *arena = assembly->holder->arena;
	const uint8_t *levels;
	int code = slot_levels(assembly, node, cursor, slots, &levels);
	if (code != 0)
		return code;
	set_valid(assembly, levels, node->def, slots, column);
	bool flat = cursor->leaf.max_rep == 0; /* its values are in the holder's arena */
	bool coded = data->coded && data->value_count > 0 && data->dictionary.dict != NULL;
	if (coded && target->convert == PQ_BYTES_VIEW) {
		column->layout = WEIR_DICT;
		column->dict = data->dictionary.dict;
		place_values(assembly, data->codes, flat, data->value_count, slots, 4, column);
		return 0;
	}
	void *dense = data->values;
	if (coded) {
		struct weir_view *views = weir_arena_alloc(arena, (size_t)data->value_count * sizeof *views);
		for (uint32_t i = 0; i < data->value_count; i++)
			views[i] = data->dictionary.dict->values[data->codes[i]];
		dense = views;
		flat = true;
	}
	uint32_t width = weir_type_width(target->field->type);
	if (!keeps_values(target->convert)) {
		void *converted = weir_arena_alloc(arena, (size_t)data->value_count * width);
		if (!pq_convert_values(target->convert, dense, data->value_count, node->type_length, converted))
			return pq_cursor_corrupt(
				cursor, cursor->offset, "a value is out of the range of its type", assembly->err);
		dense = converted;
		flat = true;
	}
	place_values(assembly, dense, flat, data->value_count, slots, width, column);
	return 0;
}

static int assemble(
	const struct assembly *assembly, const struct pq_target *target, uint32_t slots, struct weir_column *column);

static int assemble_children(
	const struct assembly *assembly, const struct pq_target *target, uint32_t slots, struct weir_column *column)
{
	for (uint32_t i = 0; i < target->field->child_count; i++) {
		int code = assemble(assembly, &target->children[i], slots, &column->children[i]);
		if (code != 0)
			return code;
	}
	return 0;
}

/* Lengths of lists: a slot's own entry counts if it has an item, and so do those that repeat at this level. */
static int assemble_span(
	const struct assembly *assembly, const struct pq_target *target, uint32_t slots, struct weir_column *column)
{
	const struct pq_node *node = target->node;
	const struct pq_cursor *cursor = assembly->cursors[node->first_leaf];
	const struct pq_leaf_data *data = &cursor->data;
	struct weir_span *spans = weir_arena_calloc(assembly->holder->arena, slots, sizeof *spans);
	uint32_t slot = 0, items = 0;
	column->values = spans;
	for (uint32_t i = 0; i < data->entry_count; i++) {
		if (data->reps[i] <= node->slot_rep && data->defs[i] >= node->slot_def && slot++ < slots)
			spans[slot - 1].offset = items;
		if (data->reps[i] > node->item_rep || data->defs[i] < node->item_def || data->defs[i] < node->slot_def)
			continue;
		if (slot == 0 || slot > slots)
			return pq_cursor_corrupt(
				cursor, cursor->offset, "a list begins outside of every row", assembly->err);
		spans[slot - 1].length++;
		items++;
	}
	column->child_rows = items;
	return assemble_children(assembly, target, items, column);
}

static int assemble(
	const struct assembly *assembly, const struct pq_target *target, uint32_t slots, struct weir_column *column)
{
	const struct weir_field *field = target->field;
	struct weir_arena *arena = assembly->holder->arena;
	if (target->node == NULL) {
		all_null(arena, field, slots, column);
		return 0;
	}
	*column = (struct weir_column){.type = field->type, .child_count = field->child_count};
	column->layout = weir_type_is_text(field->type) ? WEIR_VIEW : WEIR_FLAT;
	if (!weir_type_is_nested(field->type))
		return assemble_leaf(assembly, target, slots, column);
	const uint8_t *levels;
	int code = slot_levels(assembly, target->node, assembly->cursors[target->node->first_leaf], slots, &levels);
	if (code != 0)
		return code;
	set_valid(assembly, levels, target->node->def, slots, column);
	column->children = weir_arena_calloc(arena, field->child_count, sizeof *column->children);
	column->layout = field->type == WEIR_STRUCT ? WEIR_GROUP : WEIR_SPAN;
	if (field->type == WEIR_STRUCT)
		return assemble_children(assembly, target, slots, column);
	return assemble_span(assembly, target, slots, column);
}

int pq_assemble(const struct pq_target *target, struct pq_cursor *const *cursors, uint32_t slots,
	struct pq_holder *holder, struct weir_column *ret_column, struct weir_error *err)
{
	struct assembly assembly = {cursors, holder, err};
	return assemble(&assembly, target, slots, ret_column);
}
