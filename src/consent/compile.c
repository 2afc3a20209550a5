/*
 * From a body to tests. A body that does not compile is broken: as a permit it gives nothing, as a
 * deny it denies everything ("When a rule holds"). Runs under the intern lock.
 */
#include "consent/compiled.h"

#include <stdlib.h>

static int address_order(const void *left, const void *right)
{
	uintptr_t a = (uintptr_t) * (void *const *)left, b = (uintptr_t) * (void *const *)right;
	return a < b ? -1 : a > b;
}

static bool is_list(enum consent_operator op)
{
	return op == CONSENT_IN || op == CONSENT_NOT_IN || op == CONSENT_EQUALS || op == CONSENT_NOT_EQUALS;
}

static void compile_text_list(struct consent_intern *intern, struct weir_arena *arena,
	const struct consent_condition *condition, struct consent_test *test)
{
	test->texts = weir_arena_calloc(arena, condition->literal_count, sizeof *test->texts);
	test->text_count = condition->literal_count;
	for (uint32_t i = 0; i < condition->literal_count; i++)
		test->texts[i] = consent_intern_text(intern, condition->literals[i].text);
	qsort(test->texts, test->text_count, sizeof *test->texts, address_order);
}

static struct expr_value value_of(struct weir_arena *arena, const struct consent_literal *literal)
{
	switch (literal->kind) {
	case CONSENT_VALUE_NUMBER:
		return (struct expr_value){.kind = EXPR_NUMBER, .u.number = literal->number};
	case CONSENT_VALUE_BOOLEAN:
		return (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = literal->boolean};
	default:
		return (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_arena_str(arena, literal->text)};
	}
}

/* One term, or two for BETWEEN. */
static void compile_terms(
	struct weir_arena *arena, const struct consent_condition *condition, struct consent_test *test)
{
	static const enum expr_op ops[CONSENT_OPERATORS] = {[CONSENT_IN] = EXPR_IN,
		[CONSENT_NOT_IN] = EXPR_NOT_IN,
		[CONSENT_EQUALS] = EXPR_EQ,
		[CONSENT_NOT_EQUALS] = EXPR_NE,
		[CONSENT_BETWEEN] = EXPR_GE,
		[CONSENT_LT] = EXPR_LT,
		[CONSENT_LE] = EXPR_LE,
		[CONSENT_GT] = EXPR_GT,
		[CONSENT_GE] = EXPR_GE};
	struct expr_value *values = weir_arena_calloc(arena, condition->literal_count, sizeof *values);
	for (uint32_t i = 0; i < condition->literal_count; i++)
		values[i] = value_of(arena, &condition->literals[i]);
	bool between = condition->op == CONSENT_BETWEEN;
	if (!between)
		expr_values_sort(values, condition->literal_count);
	test->terms[0] = (struct expr_term){
		.op = ops[condition->op], .values = values, .value_count = between ? 1 : condition->literal_count};
	if (between)
		test->terms[1] = (struct expr_term){.op = EXPR_LE, .values = values + 1, .value_count = 1};
	test->term_count = between ? 2 : 1;
}

/* The instants that satisfy the condition, or, where negated, those that do not. */
static void compile_time(struct weir_arena *arena, const struct consent_condition *condition, struct consent_test *test)
{
	const struct consent_literal *literals = condition->literals;
	struct consent_interval *out = weir_arena_calloc(arena, condition->literal_count + 1, sizeof *out);
	uint32_t count = 0;
	switch (condition->op) {
	case CONSENT_LT:
		out[count++] = (struct consent_interval){INT64_MIN, literals[0].first_us - 1};
		break;
	case CONSENT_LE:
		out[count++] = (struct consent_interval){INT64_MIN, literals[0].last_us};
		break;
	case CONSENT_GT:
		out[count++] = (struct consent_interval){literals[0].last_us + 1, INT64_MAX};
		break;
	case CONSENT_GE:
		out[count++] = (struct consent_interval){literals[0].first_us, INT64_MAX};
		break;
	case CONSENT_BETWEEN:
		out[count++] = (struct consent_interval){literals[0].first_us, literals[1].last_us};
		break;
	default: /* lists: sorted by first instant; those that touch become one */
		for (uint32_t i = 0; i < condition->literal_count; i++) {
			if (count > 0 && literals[i].first_us <= out[count - 1].last_us + 1) {
				if (literals[i].last_us > out[count - 1].last_us)
					out[count - 1].last_us = literals[i].last_us;
			} else {
				out[count++] = (struct consent_interval){literals[i].first_us, literals[i].last_us};
			}
		}
	}
	test->intervals = out;
	test->interval_count = count;
}

static void compile_condition(struct consent_intern *intern, struct weir_arena *arena,
	const struct consent_vocabulary *vocabulary, const struct consent_condition *condition,
	struct consent_test *test)
{
	test->kind = vocabulary->dimensions[condition->dimension].kind;
	test->op = condition->op;
	test->negated = condition->op == CONSENT_NOT_IN || condition->op == CONSENT_NOT_EQUALS;
	test->dimension = condition->dimension;
	test->metric_column = condition->metric_column;
	test->metric = weir_arena_str(arena, condition->metric);
	if (condition->op == CONSENT_EXISTS)
		return;
	if (test->kind == CONSENT_DIM_TEXT && is_list(condition->op))
		compile_text_list(intern, arena, condition, test);
	else if (test->kind == CONSENT_DIM_TIME)
		compile_time(arena, condition, test);
	else
		compile_terms(arena, condition, test);
}

/* Texts are compared by address, times by two numbers, a metric may have to be searched in a map. */
static int cost_order(const void *left, const void *right)
{
	static const int cost[] = {[CONSENT_DIM_TEXT] = 0,
		[CONSENT_DIM_TIME] = 1,
		[CONSENT_DIM_NUMBER] = 2,
		[CONSENT_DIM_BOOLEAN] = 2,
		[CONSENT_DIM_METRICS] = 3};
	const struct consent_test *a = left, *b = right;
	return cost[a->kind] - cost[b->kind];
}

void consent_compile(
	struct consent_intern *intern, const struct consent_vocabulary *vocabulary, struct consent_compiled *compiled)
{
	struct weir_arena *scratch = weir_arena_new(0);
	struct consent_model model;
	struct consent_problem problem;
	if (consent_model_parse(vocabulary, scratch, compiled->body, CONSENT_STORED, &model, &problem, NULL) != 0) {
		compiled->broken = true;
		compiled->effect = consent_body_effect(compiled->body);
		compiled->purposes = compiled->effect == CONSENT_DENY ? UINT64_MAX : 0;
		goto done;
	}
	compiled->effect = model.effect;
	compiled->purposes = model.purposes;
	compiled->tests = weir_arena_calloc(compiled->arena, model.condition_count, sizeof *compiled->tests);
	compiled->test_count = model.condition_count;
	for (uint32_t i = 0; i < model.condition_count; i++)
		compile_condition(intern, compiled->arena, vocabulary, &model.conditions[i], &compiled->tests[i]);
	if (compiled->test_count > 1)
		qsort(compiled->tests, compiled->test_count, sizeof *compiled->tests, cost_order);
done:
	weir_arena_free(scratch);
}
