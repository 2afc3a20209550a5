/*
 * Typed comparisons in three-valued logic: over a batch (a truth a row), and over what is known of
 * many rows (min, max, null count), for skipping pages, row groups, files and manifests. Consent,
 * page skipping, manifest pruning and access all use this one.
 *
 * Text compares by bytes, numbers as doubles (integers among integers exactly), times as
 * microseconds, decimals by their unscaled number. A comparison with a null or NaN is UNKNOWN.
 */
#ifndef WEIR_EXPR_EXPR_H
#define WEIR_EXPR_EXPR_H

#include "column/batch.h"

enum expr_truth { EXPR_FALSE = 0, EXPR_UNKNOWN = 1, EXPR_TRUE = 2 }; /* AND is min, OR is max, NOT is 2 - x */

enum expr_op {
	EXPR_EQ,
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_IN,
	EXPR_NOT_IN,
	EXPR_IS_NULL,
	EXPR_NOT_NULL,
};

enum expr_kind { EXPR_TEXT, EXPR_NUMBER, EXPR_INTEGER, EXPR_BOOLEAN, EXPR_UUID };

/* A literal. Integers stand for every integer, date and time column (days, microseconds). */
struct expr_value {
	enum expr_kind kind;
	union {
		struct weir_str text; /* also binary and fixed */
		double number;
		int64_t integer;
		bool boolean;
		struct weir_uuid uuid;
	} u;
};

/* column OP values; IN lists are sorted by expr_values_sort. The column is named by field id. */
struct expr_term {
	int32_t field_id;
	enum expr_op op;
	const struct expr_value *values;
	uint32_t value_count;
};

/* All of the terms (AND). Empty: always true. */
struct expr_filter {
	const struct expr_term *terms;
	uint32_t term_count;
};

/* What is known of a group of rows. A missing bound says nothing. */
struct expr_bounds {
	bool has_min, has_max;
	struct expr_value min, max; /* text bounds may be truncated: min is <=, max is >= every value */
	bool has_null_count;
	uint64_t null_count;
	uint64_t row_count;
};

void expr_values_sort(struct expr_value *values, uint32_t count);
/* The value of a valid cell as a literal of the column's kind. */
struct expr_value expr_value_of(const struct weir_column *column, uint32_t row);
/* Order of two values: <0, 0, >0. False where they do not compare (text against number, NaN). */
bool expr_compare(const struct expr_value *a, const struct expr_value *b, int *ret_order);
enum expr_truth expr_term_value(const struct expr_term *term, const struct expr_value *value_or_null);
/* ret_truth holds batch->row_count bytes of enum expr_truth; a column the schema lacks counts as null. */
void expr_filter_batch(const struct expr_filter *filter, const struct weir_batch *batch, uint8_t *ret_truth);
/* Could any row of the group make the term true? false only where it is certain that none does. */
bool expr_term_may_match(const struct expr_term *term, const struct expr_bounds *bounds);

#endif
