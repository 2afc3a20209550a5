/*
 * Comparisons in three-valued logic, over values, batches and bounds.
 *
 * In: terms (column OP literals), sorted IN lists. Out: truths. Invariants: a null or NaN never makes
 * a comparison TRUE or FALSE, and expr_term_may_match errs only towards true. No memory is allocated,
 * nothing is shared: any thread may call with its own arguments.
 */
#include "expr/expr.h"

#include <math.h>
#include <stdlib.h>

/* Kinds that compare with each other share a class; integers and numbers do. */
static int class_of(const struct expr_value *value)
{
	switch (value->kind) {
	case EXPR_NUMBER:
	case EXPR_INTEGER:
		return 0;
	case EXPR_TEXT:
		return 1;
	case EXPR_BOOLEAN:
		return 2;
	case EXPR_UUID:
		return 3;
	}
	return 4;
}

static int order_i64(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

/* Exact: a double of 2^63 or more is past every integer, and below that its floor is an integer. */
static int order_i64_double(int64_t a, double b)
{
	if (b >= 9223372036854775808.0)
		return -1;
	if (b < -9223372036854775808.0)
		return 1;
	double whole = floor(b);
	int order = order_i64(a, (int64_t)whole);
	return order != 0 ? order : (whole < b ? -1 : 0);
}

static bool is_nan(const struct expr_value *value)
{
	return value->kind == EXPR_NUMBER && isnan(value->u.number);
}

bool expr_compare(const struct expr_value *a, const struct expr_value *b, int *ret_order)
{
	if (class_of(a) != class_of(b) || is_nan(a) || is_nan(b))
		return false;
	switch (a->kind) {
	case EXPR_TEXT:
		*ret_order = weir_str_compare(a->u.text, b->u.text);
		return true;
	case EXPR_BOOLEAN:
		*ret_order = (int)a->u.boolean - (int)b->u.boolean;
		return true;
	case EXPR_UUID:
		*ret_order = memcmp(a->u.uuid.bytes, b->u.uuid.bytes, sizeof a->u.uuid.bytes);
		return true;
	case EXPR_INTEGER:
		*ret_order = b->kind == EXPR_INTEGER ? order_i64(a->u.integer, b->u.integer)
						     : order_i64_double(a->u.integer, b->u.number);
		return true;
	case EXPR_NUMBER:
		if (b->kind == EXPR_INTEGER)
			*ret_order = -order_i64_double(b->u.integer, a->u.number);
		else
			*ret_order = a->u.number < b->u.number ? -1 : a->u.number > b->u.number;
		return true;
	}
	return false;
}

/* A total order for lists: by class, then by value, NaN last among the numbers. */
static int total_order(const struct expr_value *a, const struct expr_value *b)
{
	int order = class_of(a) - class_of(b);
	if (order == 0 && !expr_compare(a, b, &order))
		order = (int)is_nan(a) - (int)is_nan(b);
	return order;
}

static int sort_order(const void *a, const void *b)
{
	return total_order(a, b);
}

void expr_values_sort(struct expr_value *values, uint32_t count)
{
	if (count > 1)
		qsort(values, count, sizeof *values, sort_order);
}

/* Index of the first list value that is not below value. */
static uint32_t lower_bound(const struct expr_term *term, const struct expr_value *value)
{
	uint32_t low = 0, high = term->value_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (total_order(&term->values[middle], value) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum expr_truth in_list(const struct expr_term *term, const struct expr_value *value)
{
	int order;
	if (term->value_count == 0)
		return EXPR_FALSE;
	uint32_t at = lower_bound(term, value);
	if (at < term->value_count && expr_compare(&term->values[at], value, &order) && order == 0)
		return EXPR_TRUE;
	/* The list is sorted by class: where its ends compare with the value, all of it does. */
	bool comparable = expr_compare(&term->values[0], value, &order) &&
		expr_compare(&term->values[term->value_count - 1], value, &order);
	return comparable ? EXPR_FALSE : EXPR_UNKNOWN;
}

static bool order_holds(enum expr_op op, int order)
{
	switch (op) {
	case EXPR_EQ:
		return order == 0;
	case EXPR_NE:
		return order != 0;
	case EXPR_LT:
		return order < 0;
	case EXPR_LE:
		return order <= 0;
	case EXPR_GT:
		return order > 0;
	case EXPR_GE:
		return order >= 0;
	default:
		return false;
	}
}

enum expr_truth expr_term_value(const struct expr_term *term, const struct expr_value *value)
{
	int order;
	if (term->op == EXPR_IS_NULL)
		return value == NULL ? EXPR_TRUE : EXPR_FALSE;
	if (term->op == EXPR_NOT_NULL)
		return value == NULL ? EXPR_FALSE : EXPR_TRUE;
	if (value == NULL || is_nan(value))
		return EXPR_UNKNOWN;
	if (term->op == EXPR_IN)
		return in_list(term, value);
	if (term->op == EXPR_NOT_IN)
		return (enum expr_truth)(2 - (int)in_list(term, value));
	if (term->value_count == 0 || !expr_compare(value, &term->values[0], &order))
		return EXPR_UNKNOWN;
	return order_holds(term->op, order) ? EXPR_TRUE : EXPR_FALSE;
}

static bool list_meets(const struct expr_term *term, const struct expr_bounds *bounds)
{
	int order;
	if (term->value_count == 0)
		return false;
	if (!bounds->has_min || !bounds->has_max)
		return true;
	/* Another kind in the list may compare in a way that the order of the list does not show. */
	if (!expr_compare(&term->values[0], &bounds->min, &order) ||
		!expr_compare(&term->values[term->value_count - 1], &bounds->max, &order))
		return true;
	uint32_t at = lower_bound(term, &bounds->min);
	return at < term->value_count && expr_compare(&term->values[at], &bounds->max, &order) && order <= 0;
}

/* All non-null values are one and the same: bounds that meet leave no room, even truncated ones. */
static bool is_constant(const struct expr_bounds *bounds)
{
	int order;
	return bounds->has_min && bounds->has_max && expr_compare(&bounds->min, &bounds->max, &order) && order == 0;
}

bool expr_term_may_match(const struct expr_term *term, const struct expr_bounds *bounds)
{
	int order;
	if (term->op == EXPR_IS_NULL)
		return !bounds->has_null_count || bounds->null_count > 0;
	if (bounds->has_null_count && bounds->null_count >= bounds->row_count)
		return false;
	if (term->op == EXPR_NOT_NULL)
		return true;
	if (term->op == EXPR_IN)
		return list_meets(term, bounds);
	if (term->op == EXPR_NOT_IN)
		return !is_constant(bounds) || expr_term_value(term, &bounds->min) != EXPR_FALSE;
	if (term->value_count == 0)
		return false;
	const struct expr_value *value = &term->values[0];
	bool below = bounds->has_min && expr_compare(value, &bounds->min, &order) && order < 0;
	bool at_min = bounds->has_min && expr_compare(value, &bounds->min, &order) && order <= 0;
	bool above = bounds->has_max && expr_compare(value, &bounds->max, &order) && order > 0;
	bool at_max = bounds->has_max && expr_compare(value, &bounds->max, &order) && order >= 0;
	switch (term->op) {
	case EXPR_EQ:
		return !below && !above;
	case EXPR_NE:
		return !(is_constant(bounds) && at_min && at_max);
	case EXPR_LT:
		return !at_min;
	case EXPR_LE:
		return !below;
	case EXPR_GT:
		return !at_max;
	case EXPR_GE:
		return !above;
	default:
		return true;
	}
}
