/*
 * Ordering rows: the permutation that sorts the rows of several batches by columns: text by bytes, numbers and times by
 * value, floats by -infinity < -0 < 0 < infinity < NaN. Where none is said to descend or to have its nulls last, all ascend
 * with nulls first. Rows that are equal in all columns keep the order in which they came.
 */
#ifndef WEIR_COLUMN_ORDER_H
#define WEIR_COLUMN_ORDER_H

#include "column/batch.h"

#define WEIR_ORDER_COLUMNS 16

struct weir_order {
	uint32_t columns[WEIR_ORDER_COLUMNS];
	uint32_t count;
	uint32_t descending, nulls_last; /* bit i: of columns[i] */
};

/* picks[0 .. rows-1] in order; malloc'ed. Columns may be any type but maps, lists, structs; text should be DICT. */
struct weir_pick *weir_batches_order(
	struct weir_batch *const *batches, uint32_t count, const struct weir_order *order, uint64_t *ret_rows);
/* <0, 0, >0: two rows by the order's columns. */
int weir_rows_compare(const struct weir_order *order, const struct weir_batch *a, uint32_t row_a,
	const struct weir_batch *b, uint32_t row_b);
/* Ascending, nulls first. */
int weir_cells_compare(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b);

#endif
