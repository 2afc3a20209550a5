/* Dictionary-coding text: distinct values once, rows as codes; and the order of the values. */
#ifndef WEIR_COLUMN_DICTIONARY_H
#define WEIR_COLUMN_DICTIONARY_H

#include "column/batch.h"

struct weir_dict_builder;

/* The dictionary and the bytes of its values live in arena. */
struct weir_dict_builder *weir_dict_builder_new(struct weir_arena *arena);
void weir_dict_builder_free(struct weir_dict_builder *builder);
/* The value's code: 0, 1, 2, ... in order of first appearance. */
uint32_t weir_dict_add(struct weir_dict_builder *builder, const struct weir_view *value);
uint32_t weir_dict_count(const struct weir_dict_builder *builder);
const struct weir_dict *weir_dict_finish(struct weir_dict_builder *builder);

/* A dictionary of one value, for columns that are the same in every row. */
const struct weir_dict *weir_dict_single(struct weir_arena *arena, struct weir_str value);

/*
 * Turns text column `column` of all batches (VIEW) into DICT over one shared dictionary; false, and nothing
 * changes, where more than max_distinct values differ. Codes and dictionary live in arena. Null rows get code 0.
 */
bool weir_batches_encode(struct weir_arena *arena, struct weir_batch *const *batches, uint32_t count, uint32_t column,
	uint32_t max_distinct);

/* rank[code]: position of each value in byte order; in arena. */
const uint32_t *weir_dict_ranks(struct weir_arena *arena, const struct weir_dict *dict);

#endif
