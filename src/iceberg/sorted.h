/*
 * Rows of many sorted files in one order: a merge that opens a file only when its lower bound is
 * reached. What queries page through and what compaction rewrites.
 *
 * Each file must be sorted by the order's columns, nulls first, as all of weir's own files are.
 */
#ifndef WEIR_ICEBERG_SORTED_H
#define WEIR_ICEBERG_SORTED_H

#include "column/order.h"
#include "iceberg/table.h"

struct ice_sorted_options {
	const struct weir_schema *projection; /* must hold the order's and the filter's columns */
	struct expr_filter filter;            /* applied exactly: only rows for which it is true come out */
	struct weir_order order;              /* columns of the projection */
	/* True for a row that is to be left out; may be NULL. */
	bool (*skip)(void *context, const struct weir_batch *batch, uint32_t row);
	void *context;
};

struct ice_sorted_counts {
	uint32_t files_opened, files;
	uint64_t rows_read, rows_skipped;
};

struct ice_sorted;
/* The files (of ice_plan) and what options point to outlive it. */
int ice_sorted_open(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count,
	const struct ice_sorted_options *options, struct ice_sorted **ret_sorted, struct weir_error *err);
/* At most max_rows (<= WEIR_BATCH_ROWS) rows in order; NULL at the end. The batch owns itself. */
int ice_sorted_next(
	struct ice_sorted *sorted, uint32_t max_rows, struct weir_batch **ret_batch, struct weir_error *err);
struct ice_sorted_counts ice_sorted_counts(const struct ice_sorted *sorted);
void ice_sorted_close(struct ice_sorted *sorted);

#endif
