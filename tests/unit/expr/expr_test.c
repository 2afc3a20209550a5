/* Three-valued comparisons: values, lists, batches, bounds; and that bounds never exclude a row that matches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"
#include "expr/expr.h"

static struct expr_value integer(int64_t value)
{
	return (struct expr_value){.kind = EXPR_INTEGER, .u.integer = value};
}

static struct expr_value number(double value)
{
	return (struct expr_value){.kind = EXPR_NUMBER, .u.number = value};
}

static struct expr_value text(const char *value)
{
	return (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_str_from(value)};
}

static void test_values(void **state)
{
	const struct {
		struct expr_value value;
		enum expr_op op;
		struct expr_value literal;
		enum expr_truth truth;
	} cases[] = {
		{integer(3), EXPR_EQ, integer(3), EXPR_TRUE},
		{integer(3), EXPR_LT, number(3.5), EXPR_TRUE},
		{number(3.5), EXPR_GT, integer(3), EXPR_TRUE},
		{integer(INT64_MAX), EXPR_LT, number(9223372036854775808.0), EXPR_TRUE},
		{integer(INT64_MAX - 1), EXPR_EQ, number(9223372036854775807.0), EXPR_FALSE},
		{integer(-4), EXPR_LT, number(-3.5), EXPR_TRUE},
		{number((double)NAN), EXPR_EQ, number((double)NAN), EXPR_UNKNOWN},
		{number((double)NAN), EXPR_NE, integer(1), EXPR_UNKNOWN},
		{text("b"), EXPR_GE, text("abc"), EXPR_TRUE},
		{text("ab"), EXPR_LT, text("abc"), EXPR_TRUE},
		{text("3"), EXPR_EQ, integer(3), EXPR_UNKNOWN},
		{text("x"), EXPR_NE, text("y"), EXPR_TRUE},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct expr_term term = {1, cases[i].op, &cases[i].literal, 1};
		if (expr_term_value(&term, &cases[i].value) != cases[i].truth)
			fail_msg("case %zu", i);
		assert_int_equal(expr_term_value(&term, NULL), EXPR_UNKNOWN);
	}
}

static void test_lists_and_nulls(void **state)
{
	struct expr_value list[] = {integer(7), integer(-2), number(3.5), integer(100)};
	struct expr_value mixed[] = {integer(7), text("a")};
	struct expr_value seven = integer(7), eight = integer(8), half = number(3.5), a = text("a");
	(void)state;
	expr_values_sort(list, 4);
	expr_values_sort(mixed, 2);
	struct expr_term in = {1, EXPR_IN, list, 4}, not_in = {1, EXPR_NOT_IN, list, 4};
	struct expr_term in_mixed = {1, EXPR_IN, mixed, 2}, empty = {1, EXPR_IN, NULL, 0};
	struct expr_term is_null = {1, EXPR_IS_NULL, NULL, 0}, not_null = {1, EXPR_NOT_NULL, NULL, 0};
	assert_int_equal(expr_term_value(&in, &seven), EXPR_TRUE);
	assert_int_equal(expr_term_value(&in, &half), EXPR_TRUE);
	assert_int_equal(expr_term_value(&in, &eight), EXPR_FALSE);
	assert_int_equal(expr_term_value(&not_in, &eight), EXPR_TRUE);
	assert_int_equal(expr_term_value(&not_in, NULL), EXPR_UNKNOWN);
	assert_int_equal(expr_term_value(&in, &a), EXPR_UNKNOWN);
	assert_int_equal(expr_term_value(&in_mixed, &a), EXPR_TRUE);
	assert_int_equal(expr_term_value(&in_mixed, &eight), EXPR_UNKNOWN);
	assert_int_equal(expr_term_value(&empty, &eight), EXPR_FALSE);
	assert_int_equal(expr_term_value(&is_null, NULL), EXPR_TRUE);
	assert_int_equal(expr_term_value(&not_null, NULL), EXPR_FALSE);
}

static void test_batch(void **state)
{
	struct weir_field fields[] = {
		{.name = WEIR_STR("n"), .id = 1, .type = WEIR_INT32},
		{.name = WEIR_STR("s"), .id = 2, .type = WEIR_STRING},
	};
	struct weir_schema schema = {.field_count = 2, .fields = fields};
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *batch = weir_batch_new(arena, &schema, 4);
	struct weir_view words[] = {weir_view_from(WEIR_STR("run")), weir_view_from(WEIR_STR("ride"))};
	struct weir_dict dict = {2, words};
	uint32_t codes[] = {0, 1, 0, 1};
	uint8_t truth[4];
	(void)state;
	batch->row_count = 4;
	for (int32_t i = 0; i < 4; i++)
		((int32_t *)batch->columns[0].values)[i] = i;
	batch->columns[1].layout = WEIR_DICT;
	batch->columns[1].dict = &dict;
	batch->columns[1].values = codes;
	weir_column_set_null(&batch->columns[1], 3);
	struct expr_value run = text("run"), one = integer(1);
	struct expr_term terms[] = {{1, EXPR_GE, &one, 1}, {2, EXPR_EQ, &run, 1}};
	struct expr_filter filter = {terms, 2};
	expr_filter_batch(&filter, batch, truth);
	const uint8_t expected[] = {EXPR_FALSE, EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN};
	assert_memory_equal(truth, expected, 4);
	struct expr_term absent = {9, EXPR_IS_NULL, NULL, 0};
	struct expr_filter on_absent = {&absent, 1};
	expr_filter_batch(&on_absent, batch, truth);
	assert_int_equal(truth[0], EXPR_TRUE);
	weir_arena_free(arena);
}

/* Random groups of values: a term that holds for one of them must be found possible. */
static void test_bounds_are_safe(void **state)
{
	struct weir_rng rng = weir_rng_new(7);
	unsigned skipped = 0;
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct expr_value values[3], list[3];
		struct expr_bounds bounds = {.has_min = true, .has_max = true, .has_null_count = true, .row_count = 3};
		bool matches = false;
		uint32_t list_count = 1 + (uint32_t)weir_rng_below(&rng, 3);
		enum expr_op op = (enum expr_op)weir_rng_below(&rng, EXPR_IS_NULL);
		for (unsigned i = 0; i < 3; i++) {
			values[i] = integer((int64_t)weir_rng_below(&rng, 6));
			list[i] = integer((int64_t)weir_rng_below(&rng, 6));
		}
		expr_values_sort(values, 3);
		bounds.min = values[0];
		bounds.max = values[2];
		expr_values_sort(list, list_count);
		struct expr_term term = {1, op, list, list_count};
		for (unsigned i = 0; i < 3; i++)
			matches |= expr_term_value(&term, &values[i]) == EXPR_TRUE;
		bool may = expr_term_may_match(&term, &bounds);
		if (matches && !may)
			fail_msg(
				"op %d excluded [%d, %d]", (int)op, (int)values[0].u.integer, (int)values[2].u.integer);
		skipped += !may;
	}
	assert_true(skipped > 3000);
}

static void test_bounds_of_nulls(void **state)
{
	struct expr_value one = integer(1);
	struct expr_term eq = {1, EXPR_EQ, &one, 1}, is_null = {1, EXPR_IS_NULL, NULL, 0};
	struct expr_bounds all_null = {.has_null_count = true, .null_count = 5, .row_count = 5};
	struct expr_bounds no_null = {.has_null_count = true, .row_count = 5}, nothing = {.row_count = 5};
	(void)state;
	assert_false(expr_term_may_match(&eq, &all_null));
	assert_true(expr_term_may_match(&is_null, &all_null));
	assert_false(expr_term_may_match(&is_null, &no_null));
	assert_true(expr_term_may_match(&eq, &nothing));
	assert_true(expr_term_may_match(&is_null, &nothing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_lists_and_nulls),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_bounds_are_safe),
		cmocka_unit_test(test_bounds_of_nulls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
