/*
 * Building batches row by row. A builder owns an arena per batch; texts are copied into it. Use:
 * set columns of the current row in any order (those not set are null), then weir_builder_end_row;
 * when weir_builder_full, take the batch.
 */
#ifndef WEIR_COLUMN_BUILDER_H
#define WEIR_COLUMN_BUILDER_H

#include "column/batch.h"

struct weir_builder;

struct weir_builder *weir_builder_new(const struct weir_schema *schema); /* the schema outlives it */
void weir_builder_free(struct weir_builder *builder);

void weir_builder_bool(struct weir_builder *builder, uint32_t column, bool value);
void weir_builder_i64(struct weir_builder *builder, uint32_t column, int64_t value);   /* any integer or time type */
void weir_builder_double(struct weir_builder *builder, uint32_t column, double value); /* float or double */
void weir_builder_str(struct weir_builder *builder, uint32_t column, struct weir_str value); /* string, binary, fixed */
void weir_builder_uuid(struct weir_builder *builder, uint32_t column, const struct weir_uuid *value);
void weir_builder_decimal(struct weir_builder *builder, uint32_t column, weir_int128 value);
/* One entry of a map<string, string> of the current row; the row's map is non-null from then on. */
void weir_builder_map_entry(struct weir_builder *builder, uint32_t column, struct weir_str key, struct weir_str value);
/* Makes the row's map non-null (and empty) where no entry follows. */
void weir_builder_map_start(struct weir_builder *builder, uint32_t column);
void weir_builder_end_row(struct weir_builder *builder);
void weir_builder_drop_row(struct weir_builder *builder); /* forget what was set of the current row */
uint32_t weir_builder_rows(const struct weir_builder *builder);
bool weir_builder_full(const struct weir_builder *builder); /* WEIR_BATCH_ROWS rows */
/* Copy a row of another batch whose column `from` has the same type. */
void weir_builder_copy(struct weir_builder *builder, uint32_t column, const struct weir_column *from, uint32_t row);
/* The rows so far as a batch that the caller releases; the builder starts anew. NULL where empty. */
struct weir_batch *weir_builder_take(struct weir_builder *builder);

#endif
