/*
 * Ordering rows: the permutation that sorts the rows of several batches by one or two leading columns
 * (text by bytes, numbers and times by value, nulls first) and then by a column of identity, so that the order
 * is total and every file of a table has the same one.
 */
#ifndef WEIR_COLUMN_ORDER_H
#define WEIR_COLUMN_ORDER_H

#include "column/batch.h"

#define WEIR_ORDER_COLUMNS 3 /* two that lead, and the identity */

struct weir_order {
	uint32_t columns[WEIR_ORDER_COLUMNS];
	uint32_t count;
};

/* picks[0 .. rows-1] in order; malloc'ed. The first two columns may be any type but maps, lists, structs; text should be DICT. */
struct weir_pick *weir_batches_order(
	struct weir_batch *const *batches, uint32_t count, const struct weir_order *order, uint64_t *ret_rows);
/* <0, 0, >0: two rows by the order's columns; nulls first. */
int weir_rows_compare(const struct weir_order *order, const struct weir_batch *a, uint32_t row_a,
	const struct weir_batch *b, uint32_t row_b);
int weir_cells_compare(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b);

#endif
