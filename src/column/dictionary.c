#include "column/dictionary.h"

#include <stdlib.h>

#include "base/hash.h"

#define EMPTY UINT32_MAX

struct weir_dict_builder {
	struct weir_arena *arena;
	struct weir_view *values; /* malloc'ed while building */
	uint64_t *hashes;
	uint32_t count, capacity, hash_capacity;
	uint32_t *slots; /* code or EMPTY; slot_count is a power of two */
	uint32_t slot_count;
};

struct weir_dict_builder *weir_dict_builder_new(struct weir_arena *arena)
{
	struct weir_dict_builder *builder = weir_zalloc(sizeof *builder);
	builder->arena = arena;
	builder->slot_count = 64;
	builder->slots = weir_alloc(builder->slot_count * sizeof *builder->slots);
	memset(builder->slots, 0xff, builder->slot_count * sizeof *builder->slots);
	return builder;
}

void weir_dict_builder_free(struct weir_dict_builder *builder)
{
	if (builder == NULL)
		return;
	free(builder->values);
	free(builder->hashes);
	free(builder->slots);
	free(builder);
}

static void grow_slots(struct weir_dict_builder *builder)
{
	builder->slot_count *= 2;
	builder->slots = weir_realloc(builder->slots, builder->slot_count, sizeof *builder->slots);
	memset(builder->slots, 0xff, builder->slot_count * sizeof *builder->slots);
	for (uint32_t code = 0; code < builder->count; code++) {
		uint32_t at = (uint32_t)builder->hashes[code] & (builder->slot_count - 1);
		while (builder->slots[at] != EMPTY)
			at = (at + 1) & (builder->slot_count - 1);
		builder->slots[at] = code;
	}
}

uint32_t weir_dict_add(struct weir_dict_builder *builder, const struct weir_view *value)
{
	struct weir_str text = weir_view_str(value);
	uint64_t hash = weir_hash64(text.data, text.size);
	uint32_t at = (uint32_t)hash & (builder->slot_count - 1);
	for (; builder->slots[at] != EMPTY; at = (at + 1) & (builder->slot_count - 1)) {
		uint32_t code = builder->slots[at];
		if (builder->hashes[code] == hash && weir_view_equal(&builder->values[code], value))
			return code;
	}
	uint32_t code = builder->count;
	WEIR_GROW(builder->values, builder->count, builder->capacity);
	WEIR_GROW(builder->hashes, builder->count, builder->hash_capacity);
	if (text.size > sizeof value->u.inlined)
		text.data = weir_arena_copy(builder->arena, text.data, text.size);
	builder->values[code] = weir_view_from(text);
	builder->hashes[code] = hash;
	builder->slots[at] = code;
	builder->count++;
	if (builder->count * 2 > builder->slot_count)
		grow_slots(builder);
	return code;
}

uint32_t weir_dict_count(const struct weir_dict_builder *builder)
{
	return builder->count;
}

const struct weir_dict *weir_dict_finish(struct weir_dict_builder *builder)
{
	struct weir_dict *dict = weir_arena_alloc(builder->arena, sizeof *dict);
	dict->count = builder->count;
	dict->values = weir_arena_copy(builder->arena, builder->values, builder->count * sizeof *builder->values);
	return dict;
}

const struct weir_dict *weir_dict_single(struct weir_arena *arena, struct weir_str value)
{
	struct weir_view *view = weir_arena_alloc(arena, sizeof *view);
	struct weir_dict *dict = weir_arena_alloc(arena, sizeof *dict);
	*view = weir_view_from(weir_arena_str(arena, value));
	*dict = (struct weir_dict){1, view};
	return dict;
}

/* Codes of one batch's column; neighbours are often equal, so the previous value is tried first. */
static bool encode_batch(struct weir_dict_builder *builder, const struct weir_column *column, uint32_t rows,
	uint32_t max_distinct, uint32_t *codes)
{
	const struct weir_view *views = column->values, *previous = NULL;
	uint32_t code = 0;
	for (uint32_t row = 0; row < rows; row++) {
		codes[row] = 0;
		if (!weir_column_is_valid(column, row))
			continue;
		if (previous == NULL || !weir_view_equal(previous, &views[row])) {
			code = weir_dict_add(builder, &views[row]);
			if (builder->count > max_distinct)
				return false;
			previous = &views[row];
		}
		codes[row] = code;
	}
	return true;
}

bool weir_batches_encode(struct weir_arena *arena, struct weir_batch *const *batches, uint32_t count, uint32_t column,
	uint32_t max_distinct)
{
	static const struct weir_view empty;
	struct weir_dict_builder *builder = weir_dict_builder_new(arena);
	uint32_t **codes = weir_zalloc(count * sizeof *codes);
	bool fits = count > 0;
	for (uint32_t i = 0; i < count && fits; i++) {
		WEIR_ASSERT(batches[i]->columns[column].layout == WEIR_VIEW);
		codes[i] = weir_arena_alloc(arena, batches[i]->row_count * sizeof **codes);
		fits = encode_batch(
			builder, &batches[i]->columns[column], batches[i]->row_count, max_distinct, codes[i]);
	}
	if (fits) {
		if (builder->count == 0)
			weir_dict_add(builder, &empty); /* a column of nulls: their code must be in the dictionary */
		const struct weir_dict *dict = weir_dict_finish(builder);
		for (uint32_t i = 0; i < count; i++) {
			batches[i]->columns[column].layout = WEIR_DICT;
			batches[i]->columns[column].dict = dict;
			batches[i]->columns[column].values = codes[i];
		}
	}
	free(codes);
	weir_dict_builder_free(builder);
	return fits;
}

static int compare_values(const void *a, const void *b)
{
	const struct weir_view *const *left = a, *const *right = b;
	return weir_str_compare(weir_view_str(*left), weir_view_str(*right));
}

const uint32_t *weir_dict_ranks(struct weir_arena *arena, const struct weir_dict *dict)
{
	uint32_t *ranks = weir_arena_alloc(arena, dict->count * sizeof *ranks);
	const struct weir_view **sorted = weir_alloc(dict->count * sizeof *sorted);
	for (uint32_t i = 0; i < dict->count; i++)
		sorted[i] = &dict->values[i];
	qsort(sorted, dict->count, sizeof *sorted, compare_values);
	for (uint32_t i = 0; i < dict->count; i++)
		ranks[sorted[i] - dict->values] = i;
	free(sorted);
	return ranks;
}
