/* Parsing, canonical bodies, sets and single decisions, by table. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/time.h"
#include "unit/consent/fixture.h"

#define P                "\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"research\"}]}"
#define RULE(dimensions) "{\"userId\":\"a\",\"dimensions\":{" P "," dimensions "}}"
#define DENY(dimensions) "{\"userId\":\"a\",\"ruleId\":\"d\",\"effect\":\"deny\",\"dimensions\":{" dimensions "}}"

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static const struct {
		const char *json, *path, *problem;
	} cases[] = {
		{"", "", "JSON"},
		{"[]", "", "not an object"},
		{"{\"userId\":\"a\",\"userId\":\"b\"}", "", "twice"},
		{"{\"dimensions\":{" P "}}", "/userId", "missing"},
		{"{\"userId\":7,\"dimensions\":{" P "}}", "/userId", "not a text"},
		{"{\"userId\":\"\",\"dimensions\":{" P "}}", "/userId", "not a text"},
		{"{\"userId\":\"a\",\"ruleId\":\"\",\"dimensions\":{" P "}}", "/ruleId", "not a text"},
		{"{\"userId\":\"a\",\"effect\":\"allow\",\"dimensions\":{" P "}}", "/effect", "unknown effect"},
		{"{\"userId\":\"a\",\"note\":1,\"dimensions\":{" P "}}", "/note", "unknown member"},
		{"{\"userId\":\"a\"}", "/dimensions/purpose", "names its purposes"},
		{"{\"userId\":\"a\",\"dimensions\":{\"activity\":{\"operator\":\"EQUALS\",\"value\":\"running\"}}}",
			"/dimensions/purpose", "names its purposes"},
		{"{\"userId\":\"a\",\"dimensions\":{\"purpose\":{\"operator\":\"NOT_IN\",\"values\":[{\"value\":"
		 "\"research\"}]}}}",
			"/dimensions/purpose", "names its purposes"},
		{"{\"userId\":\"a\",\"dimensions\":{\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"reserch\"}}}",
			"/dimensions/purpose", "unknown purpose"},
		{"{\"userId\":\"a\",\"effect\":\"deny\",\"dimensions\":{\"purpose\":{\"operator\":\"EXISTS\"}}}",
			"/dimensions/purpose", "no order"},
		{RULE("\"mood\":{\"operator\":\"EQUALS\",\"value\":\"x\"}"), "/dimensions/mood", "unknown dimension"},
		{RULE("\"a/~\":{\"operator\":\"EQUALS\",\"value\":\"x\"}"), "/dimensions/a~1~0", "unknown dimension"},
		{RULE("\"consumer\":{\"operator\":\"EQUALS\",\"value\":\"x\"}"), "/dimensions/consumer",
			"needs a mart"},
		{RULE("\"activity\":{\"operator\":\"LIKE\",\"value\":\"x\"}"), "/dimensions/activity/operator",
			"unknown operator"},
		{RULE("\"activity\":{\"value\":\"x\"}"), "/dimensions/activity/operator", "no operator"},
		{RULE("\"activity\":\"running\""), "/dimensions/activity", "not an object"},
		{RULE("\"activity\":{\"operator\":\"EQUALS\",\"value\":1}"), "/dimensions/activity/value",
			"wrong type"},
		{RULE("\"activity\":{\"operator\":\"EQUALS\",\"value\":\"x\",\"case\":1}"), "/dimensions/activity/case",
			"unknown member"},
		{RULE("\"activity\":{\"operator\":\"EQUALS\",\"value\":\"x\",\"values\":[]}"), "/dimensions/activity",
			"both"},
		{RULE("\"activity\":{\"operator\":\"EQUALS\",\"values\":[{\"value\":\"x\"},{\"value\":\"y\"}]}"),
			"/dimensions/activity/values", "number of values"},
		{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[]}"), "/dimensions/activity/values",
			"number of values"},
		{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[\"x\"]}"), "/dimensions/activity/values/0",
			"not an object"},
		{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[{\"value\":\"x\"},{}]}"),
			"/dimensions/activity/values/1", "no value"},
		{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[{\"value\":\"x\",\"tpye\":1}]}"),
			"/dimensions/activity/values/0/tpye", "unknown member"},
		{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[{\"value\":\"x\",\"type\":\"date\"}]}"),
			"/dimensions/activity/values/0/type", "does not fit"},
		{RULE("\"activity\":{\"operator\":\"EXISTS\",\"value\":\"x\"}"), "/dimensions/activity/value",
			"number of values"},
		{RULE("\"activity\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":\"b\"},{\"value\":\"a\"}]}"),
			"/dimensions/activity/values", "reversed"},
		{RULE("\"altitude\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":2},{\"value\":1.5}]}"),
			"/dimensions/altitude/values", "reversed"},
		{RULE("\"altitude\":{\"operator\":\"LT\",\"value\":1e999}"), "", "JSON"},
		{RULE("\"indoor\":{\"operator\":\"LT\",\"value\":true}"), "/dimensions/indoor/value", "no order"},
		{RULE("\"time\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":\"2025-12-31\"},{\"value\":\"2025-02-"
		      "01\"}]}"),
			"/dimensions/time/values", "reversed"},
		{RULE("\"time\":{\"operator\":\"LT\",\"value\":\"2025-02-30\"}"), "/dimensions/time/value", "neither"},
		{RULE("\"time\":{\"operator\":\"LT\",\"value\":\"2025-02-01T08:00:00\"}"), "/dimensions/time/value",
			"neither"},
		{RULE("\"time\":{\"operator\":\"LT\",\"value\":\"0001-01-01T00:00:00+23:00\"}"),
			"/dimensions/time/value", "years"},
		{RULE("\"time\":{\"operator\":\"IN\",\"values\":[{\"value\":\"2025-02-01T08:00:00Z\",\"type\":\"date\"}"
		      "]}"),
			"/dimensions/time/values/0/value", "not a date"},
		{RULE("\"time\":{\"operator\":\"LT\",\"value\":1738368000}"), "/dimensions/time/value", "wrong type"},
		{RULE("\"metric_conditions\":{}"), "/dimensions/metric_conditions", "no metric"},
		{RULE("\"metric_conditions\":{\"heart_rate\":{\"operator\":\"NEAR\",\"value\":95}}"),
			"/dimensions/metric_conditions/heart_rate/operator", "unknown operator"},
		{RULE("\"metric_conditions\":{\"heart_rate\":{\"operator\":\"IN\",\"values\":[{\"value\":1},{\"value\":"
		      "\"x\"}]}}"),
			"/dimensions/metric_conditions/heart_rate/values", "several types"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct consent_rule rule;
		struct consent_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		int code = consent_rule_parse(
			&fixture_vocabulary, arena, weir_str_from(cases[i].json), &rule, &problem, &err);
		if (code != WEIR_E_INPUT || !weir_str_is(problem.path, cases[i].path) ||
			strstr(problem.problem, cases[i].problem) == NULL || problem.remedy == NULL)
			fail_msg("case %zu %s: %d, path %.*s, %s", i, cases[i].json, code, WEIR_STR_ARG(problem.path),
				problem.problem != NULL ? problem.problem : "accepted");
		weir_arena_free(arena);
	}
}

/* A vocabulary without a map knows every metric by name. */
static void test_unknown_metric(void **state)
{
	(void)state;
	struct consent_dimension dimensions[6];
	memcpy(dimensions, fixture_dimensions, sizeof dimensions);
	dimensions[5].map = WEIR_STR("");
	struct consent_vocabulary vocabulary = fixture_vocabulary;
	vocabulary.dimensions = dimensions;
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_rule rule;
	struct consent_problem problem;
	const char *json = RULE("\"metric_conditions\":{\"spo2\":{\"operator\":\"LT\",\"value\":95}}");
	assert_int_equal(
		consent_rule_parse(&vocabulary, arena, weir_str_from(json), &rule, &problem, NULL), WEIR_E_INPUT);
	assert_string_equal(problem.problem, "unknown metric");
	assert_int_equal(consent_rule_parse(&fixture_vocabulary, arena, weir_str_from(json), &rule, &problem, NULL), 0);
	weir_arena_free(arena);
}

/* ---- canonical bodies ---- */

static void test_canonical(void **state)
{
	static const struct {
		const char *json, *body;
	} cases[] = {
		{"{\"dimensions\":{\"time\":{\"operator\":\"BETWEEN\",\"values\":[{\"type\":\"date\",\"value\":\"2025-"
		 "02-01\"},"
		 "{\"value\":\"2025-12-31T23:00:00.5+01:00\"}]}, "
		 "\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"research\"},"
		 "{\"value\":\"education\"},{\"value\":\"research\"}]},\"activity\":{\"value\":\"running\","
		 "\"operator\":\"EQUALS\"}},"
		 "\"ruleId\":\"x\",\"userId\":\"a\"}",
			"{\"dimensions\":{\"activity\":{\"operator\":\"EQUALS\",\"values\":[{\"value\":\"running\"}]},"
			"\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"education\"},{\"value\":"
			"\"research\"}]},"
			"\"time\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":\"2025-02-01\"},"
			"{\"value\":\"2025-12-31T22:00:00.500Z\"}]}},\"effect\":\"permit\"}"},
		{"{\"userId\":\"a\",\"effect\":\"deny\"}", "{\"dimensions\":{},\"effect\":\"deny\"}"},
		{DENY("\"metric_conditions\":{\"power_watts\":{\"operator\":\"EXISTS\"},\"heart_rate\":{\"operator\":"
		      "\"NOT_IN\","
		      "\"values\":[{\"value\":3.0},{\"value\":-0.0},{\"value\":0}]}}"),
			"{\"dimensions\":{\"metric_conditions\":{\"heart_rate\":{\"operator\":\"NOT_IN\",\"values\":[{"
			"\"value\":0},"
			"{\"value\":3}]},\"power_watts\":{\"operator\":\"EXISTS\"}}},\"effect\":\"deny\"}"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct consent_edit edit = fixture_post(arena, cases[i].json, 1, 1);
		char *body = weir_arena_cstr(arena, edit.body);
		/* Whether numbers are written 3 or 3.0 is the JSON writer's affair: compare as documents. */
		json_t *got = json_loads(body, 0, NULL), *want = json_loads(cases[i].body, 0, NULL);
		char *got_text = json_dumps(got, JSON_COMPACT), *want_text = json_dumps(want, JSON_COMPACT);
		assert_string_equal(got_text, want_text);
		/* A body posted again is itself. */
		char *again = weir_arena_printf(arena, "{\"userId\":\"b\",%s", body + 1);
		assert_true(weir_str_equal(fixture_post(arena, again, 1, 1).body, edit.body));
		free(got_text);
		free(want_text);
		json_decref(got);
		json_decref(want);
		weir_arena_free(arena);
	}
}

/* ---- decisions ---- */

static void row_common(struct weir_builder *builder, const char *time)
{
	int64_t at;
	weir_builder_str(builder, ATHLETE, WEIR_STR("a"));
	if (weir_time_parse(weir_str_from(time), WEIR_ZONE_REQUIRED, &at))
		weir_builder_i64(builder, TIMESTAMP, at);
}

/* The masks of a batch under rules posted 1, 2, ... by both evaluators, which must agree. */
static uint64_t decide(struct consent_rules *rules, const struct weir_batch *batch, uint32_t row)
{
	struct consent_binding *binding;
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t masks[WEIR_BATCH_ROWS], plain;
	uint32_t versions[WEIR_BATCH_ROWS];
	assert_int_equal(consent_binding_new(rules, batch->schema, &binding, &err), 0);
	assert_int_equal(consent_evaluate(binding, batch, masks, versions, &err), 0);
	assert_int_equal(consent_evaluate_plain(rules, batch, row, &plain, &err), 0);
	assert_int_equal(masks[row], plain);
	assert_int_equal(versions[row], consent_rules_changes(rules, WEIR_STR("a")));
	consent_binding_free(binding);
	return masks[row];
}

/* One row for the tables below; NULL: column is null. */
struct sample {
	const char *time, *from, *until, *activity;
	double heart_rate; /* 0: null */
	const char *raw_key, *raw_value;
};

static struct weir_batch *sample_batch(const struct sample *sample)
{
	struct weir_builder *builder = weir_builder_new(&fixture_schema);
	int64_t at;
	row_common(builder, sample->time != NULL ? sample->time : "");
	if (sample->from != NULL && weir_time_parse(weir_str_from(sample->from), WEIR_ZONE_REQUIRED, &at))
		weir_builder_i64(builder, PERIOD_START, at);
	if (sample->until != NULL && weir_time_parse(weir_str_from(sample->until), WEIR_ZONE_REQUIRED, &at))
		weir_builder_i64(builder, PERIOD_END, at);
	if (sample->activity != NULL)
		weir_builder_str(builder, ACTIVITY, weir_str_from(sample->activity));
	if (sample->heart_rate != 0)
		weir_builder_double(builder, HEART_RATE, sample->heart_rate);
	if (sample->raw_key != NULL)
		weir_builder_map_entry(builder, RAW, weir_str_from(sample->raw_key), weir_str_from(sample->raw_value));
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	weir_builder_free(builder);
	return batch;
}

#define ALL              "{\"userId\":\"a\",\"ruleId\":\"all\",\"dimensions\":{" P "}}"
#define TIME(op, value)  "\"time\":{\"operator\":\"" op "\",\"value\":\"" value "\"}"
#define HEART(condition) "\"metric_conditions\":{\"heart_rate\":{" condition "}}"
#define NOON             "2025-02-01T12:00:00Z"

static void test_decisions(void **state)
{
	static const struct {
		const char *rules[2];
		struct sample row;
		bool permitted;
	} cases[] = {
		{{NULL}, {.time = NOON}, false},
		{{ALL}, {.time = NOON}, true},
		/* a date is its UTC day */
		{{RULE(TIME("EQUALS", "2025-02-01"))}, {.time = "2025-02-01T00:00:00Z"}, true},
		{{RULE(TIME("EQUALS", "2025-02-01"))}, {.time = "2025-02-01T23:59:59.999999Z"}, true},
		{{RULE(TIME("EQUALS", "2025-02-01"))}, {.time = "2025-02-02T00:00:00Z"}, false},
		{{RULE(TIME("LT", "2025-02-01"))}, {.time = "2025-02-01T00:00:00Z"}, false},
		{{RULE(TIME("LT", "2025-02-01"))}, {.time = "2025-01-31T23:59:59.999999Z"}, true},
		{{RULE(TIME("LE", "2025-02-01"))}, {.time = "2025-02-01T23:59:59.999999Z"}, true},
		{{RULE(TIME("LE", "2025-02-01"))}, {.time = "2025-02-02T00:00:00Z"}, false},
		{{RULE(TIME("GT", "2025-02-01"))}, {.time = "2025-02-01T23:59:59.999999Z"}, false},
		{{RULE(TIME("GT", "2025-02-01"))}, {.time = "2025-02-02T00:00:00Z"}, true},
		{{RULE(TIME("GE", "2025-02-01"))}, {.time = "2025-02-01T00:00:00Z"}, true},
		{{RULE(TIME("NOT_EQUALS", "2025-02-01"))}, {.time = NOON}, false},
		{{RULE("\"time\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":\"2025-02-01\"},{\"value\":\"2025-02-"
		       "02\"}]}")},
			{.time = "2025-02-02T23:59:59.999999Z"}, true},
		{{RULE(TIME("GE", "2025-02-01"))}, {.time = NULL}, false},
		{{ALL, DENY(TIME("GE", "2025-02-01"))}, {.time = NULL}, false},
		/* the period of an aggregate: all of it for a permit, an instant for a deny */
		{{RULE(TIME("EQUALS", "2025-02-01"))},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-01T23:59:59Z"}, true},
		{{RULE(TIME("EQUALS", "2025-02-01"))},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-02T00:00:00Z"}, false},
		{{ALL, DENY(TIME("EQUALS", "2025-02-02"))},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-02T00:00:00Z"}, false},
		{{ALL, DENY(TIME("EQUALS", "2025-02-03"))},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-02T00:00:00Z"}, true},
		{{RULE(TIME("NOT_EQUALS", "2025-02-02"))},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-02T00:00:00Z"}, false},
		{{RULE("\"time\":{\"operator\":\"IN\",\"values\":[{\"value\":\"2025-02-02\"},{\"value\":\"2025-02-01\"}"
		       "]}")},
			{.time = NOON, .from = "2025-02-01T00:00:00Z", .until = "2025-02-02T12:00:00Z"}, true},
		{{RULE(TIME("GE", "2025-02-01"))}, {.time = NOON, .until = "2025-02-02T00:00:00Z"}, false},
		{{ALL, DENY(TIME("LT", "2025-01-01"))}, {.time = NOON, .until = "2025-02-02T00:00:00Z"}, false},
		/* missing and NaN are unknown: a permit does not hold, a deny does */
		{{RULE("\"activity\":{\"operator\":\"NOT_EQUALS\",\"value\":\"running\"}")}, {.time = NOON}, false},
		{{ALL, DENY("\"activity\":{\"operator\":\"NOT_EQUALS\",\"value\":\"running\"}")}, {.time = NOON},
			false},
		{{ALL, DENY("\"activity\":{\"operator\":\"EQUALS\",\"value\":\"running\"}")},
			{.time = NOON, .activity = "rowing"}, true},
		{{RULE(HEART("\"operator\":\"LT\",\"value\":95"))}, {.time = NOON, .heart_rate = 94.5}, true},
		{{RULE(HEART("\"operator\":\"LT\",\"value\":95"))}, {.time = NOON}, false},
		{{RULE(HEART("\"operator\":\"NOT_IN\",\"values\":[{\"value\":95}]"))},
			{.time = NOON, .heart_rate = __builtin_nan("")}, false},
		{{ALL, DENY(HEART("\"operator\":\"LT\",\"value\":95"))},
			{.time = NOON, .heart_rate = __builtin_nan("")}, false},
		{{RULE(HEART("\"operator\":\"EXISTS\""))}, {.time = NOON, .heart_rate = __builtin_nan("")}, false},
		{{ALL, DENY(HEART("\"operator\":\"EXISTS\""))}, {.time = NOON}, true},
		/* another type is unknown */
		{{RULE(HEART("\"operator\":\"NOT_EQUALS\",\"value\":\"high\""))}, {.time = NOON, .heart_rate = 95},
			false},
		/* one false condition makes a rule false, whatever is unknown */
		{{ALL,
			 DENY("\"activity\":{\"operator\":\"EQUALS\",\"value\":\"running\"}," HEART(
				 "\"operator\":\"LT\",\"value\":95"))},
			{.time = NOON, .heart_rate = 96}, true},
		/* raw metrics */
		{{RULE("\"metric_conditions\":{\"spo2\":{\"operator\":\"GE\",\"value\":90}}")},
			{.time = NOON, .raw_key = "spo2", .raw_value = "9.7e1"}, true},
		{{RULE("\"metric_conditions\":{\"spo2\":{\"operator\":\"GE\",\"value\":90}}")},
			{.time = NOON, .raw_key = "spo2", .raw_value = "97 %"}, false},
		{{RULE("\"metric_conditions\":{\"zone\":{\"operator\":\"EQUALS\",\"value\":\"easy\"}}")},
			{.time = NOON, .raw_key = "zone", .raw_value = "easy"}, true},
		{{RULE("\"metric_conditions\":{\"zone\":{\"operator\":\"EQUALS\",\"value\":\"1\"}}")},
			{.time = NOON, .raw_key = "zone", .raw_value = "1"}, false},
		{{RULE("\"metric_conditions\":{\"spo2\":{\"operator\":\"EXISTS\"}}")},
			{.time = NOON, .raw_key = "spo", .raw_value = "1"}, false},
		/* a deny's purposes */
		{{ALL, DENY("\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"education\"}")}, {.time = NOON}, true},
		{{ALL, DENY("\"purpose\":{\"operator\":\"NOT_EQUALS\",\"value\":\"education\"}")}, {.time = NOON},
			false},
		{{ALL, DENY("\"purpose\":{\"operator\":\"NOT_IN\",\"values\":[{\"value\":\"research\"}]}")},
			{.time = NOON}, true},
		{{ALL, "{\"userId\":\"a\",\"ruleId\":\"d\",\"effect\":\"deny\"}"}, {.time = NOON}, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
		struct consent_edit edits[2];
		uint32_t count = 0;
		for (; count < 2 && cases[i].rules[count] != NULL; count++)
			edits[count] = fixture_post(arena, cases[i].rules[count], count + 1, 1);
		struct consent_rules *rules = consent_rules_apply(empty, edits, count, count);
		struct weir_batch *batch = sample_batch(&cases[i].row);
		bool permitted = (decide(rules, batch, 0) & 1U << RESEARCH) != 0;
		if (permitted != cases[i].permitted)
			fail_msg("case %zu: %s", i, permitted ? "permitted" : "denied");
		weir_batch_release(batch);
		consent_rules_unref(rules);
		consent_rules_unref(empty);
		weir_arena_free(arena);
	}
}

/* ---- sets ---- */

static struct consent_rules *apply(struct consent_rules *take_base, const struct consent_edit *edit)
{
	struct consent_rules *next = consent_rules_apply(take_base, edit, 1, edit->lsn);
	consent_rules_unref(take_base);
	return next;
}

static void test_withdrawal_and_versions(void **state)
{
	(void)state;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *batch = sample_batch(&(struct sample){.time = NOON});
	const char *both = "{\"userId\":\"a\",\"dimensions\":{\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":"
			   "\"research\"},"
			   "{\"value\":\"coaching\"}]}}}";
	struct consent_edit post = fixture_post(arena, both, 1, 1);
	struct consent_rules *rules = apply(consent_rules_new(&fixture_vocabulary), &post);
	assert_int_equal(decide(rules, batch, 0), 1U << RESEARCH | 1U << COACHING);
	struct consent_edit withdraw = {
		.kind = CONSENT_WITHDRAW, .subject = WEIR_STR("a"), .purpose = RESEARCH, .lsn = 2};
	struct consent_rules *before = consent_rules_ref(rules);
	rules = apply(rules, &withdraw);
	assert_int_equal(decide(rules, batch, 0), 1U << COACHING);
	assert_int_equal(consent_rules_possible(rules, WEIR_STR("a")), 1U << COACHING);
	/* The set before still says what it said. */
	assert_int_equal(decide(before, batch, 0), 1U << RESEARCH | 1U << COACHING);
	consent_rules_unref(before);
	/* Another rule's later version does not revive the withdrawn one; its own next version does. */
	struct consent_edit deny =
		fixture_post(arena, DENY("\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"coaching\"}"), 3, 1);
	rules = apply(rules, &deny);
	assert_int_equal(decide(rules, batch, 0), 0);
	post.lsn = 4;
	post.version = 2;
	rules = apply(rules, &post);
	assert_int_equal(decide(rules, batch, 0), 1U << RESEARCH);
	struct consent_edit remove = {
		.kind = CONSENT_REMOVE, .subject = WEIR_STR("a"), .rule_id = WEIR_STR("d"), .lsn = 5};
	rules = apply(rules, &remove);
	assert_int_equal(decide(rules, batch, 0), 1U << RESEARCH | 1U << COACHING);
	assert_int_equal(consent_rules_changes(rules, WEIR_STR("a")), 5);
	assert_int_equal(consent_rules_subjects(rules), 1);
	assert_int_equal(consent_rules_lsn(rules), 5);
	consent_rules_unref(rules);
	weir_batch_release(batch);
	weir_arena_free(arena);
}

static void test_broken_rules(void **state)
{
	(void)state;
	static const struct {
		const char *permit, *deny;
		uint64_t mask;
	} cases[] = {
		{NULL, NULL, 1},
		{NULL, "{\"dimensions\":{\"mood\":{\"operator\":\"EXISTS\"}},\"effect\":\"deny\"}", 0},
		{NULL, "not JSON at all", 0},
		{NULL, "{\"dimensions\":{\"mood\":{\"operator\":\"EXISTS\"}},\"effect\":\"permit\"}", 1},
		{NULL,
			"{\"dimensions\":{\"mood\":{\"operator\":\"EXISTS\"},\"purpose\":{\"operator\":\"EQUALS\","
			"\"values\":"
			"[{\"value\":\"marketing\"}]}},\"effect\":\"deny\"}",
			0},
		/* A purpose that the lake lost takes nothing else with it. */
		{NULL,
			"{\"dimensions\":{\"purpose\":{\"operator\":\"EQUALS\",\"values\":[{\"value\":\"gone\"}]}},"
			"\"effect\":\"deny\"}",
			1},
		{"{\"dimensions\":{\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"coaching\"},{\"value\":"
		 "\"gone\"}]}},"
		 "\"effect\":\"permit\"}",
			NULL, 1U << COACHING},
	};
	struct weir_batch *batch = sample_batch(&(struct sample){.time = NOON});
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct consent_edit edits[2] = {fixture_post(arena, ALL, 1, 1)};
		uint32_t count = 1;
		if (cases[i].permit != NULL)
			edits[0].body = weir_str_from(cases[i].permit);
		if (cases[i].deny != NULL)
			edits[count++] = (struct consent_edit){.kind = CONSENT_POST,
				.subject = WEIR_STR("a"),
				.rule_id = WEIR_STR("broken"),
				.body = weir_str_from(cases[i].deny),
				.lsn = 2,
				.version = 1};
		struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
		struct consent_rules *rules = consent_rules_apply(empty, edits, count, 2);
		assert_int_equal(decide(rules, batch, 0), cases[i].mask);
		consent_rules_unref(rules);
		consent_rules_unref(empty);
		weir_arena_free(arena);
	}
	weir_batch_release(batch);
}

/* Many subjects: growth of partitions, sharing between sets, order of edits within one call. */
static void test_many_subjects(void **state)
{
	(void)state;
	enum { SUBJECTS = 20000 };
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_edit *edits = weir_arena_calloc(arena, SUBJECTS * 2, sizeof *edits);
	struct consent_edit post = fixture_post(arena, ALL, 0, 1);
	for (uint32_t i = 0; i < SUBJECTS; i++) {
		const char *name = weir_arena_printf(arena, "subject-%u", i);
		edits[i] = post;
		edits[i].subject = weir_str_from(name);
		edits[i].lsn = i + 1;
		edits[SUBJECTS + i] = (struct consent_edit){.kind = CONSENT_WITHDRAW,
			.subject = edits[i].subject,
			.purpose = RESEARCH,
			.lsn = SUBJECTS + i + 1};
	}
	struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
	struct consent_rules *posted = consent_rules_apply(empty, edits, SUBJECTS, SUBJECTS);
	struct consent_rules *half =
		consent_rules_apply(posted, edits + SUBJECTS, SUBJECTS / 2, SUBJECTS + SUBJECTS / 2);
	assert_int_equal(consent_rules_subjects(posted), SUBJECTS);
	assert_int_equal(consent_rules_subjects(half), SUBJECTS);
	for (uint32_t i = 0; i < SUBJECTS; i++) {
		assert_int_equal(consent_rules_possible(posted, edits[i].subject), 1U << RESEARCH);
		assert_int_equal(consent_rules_possible(half, edits[i].subject), i < SUBJECTS / 2 ? 0 : 1U << RESEARCH);
		assert_int_equal(consent_rules_changes(half, edits[i].subject), i < SUBJECTS / 2 ? 2 : 1);
	}
	assert_int_equal(consent_rules_changes(half, WEIR_STR("nobody")), 0);
	consent_rules_unref(posted);
	consent_rules_unref(empty);
	consent_rules_unref(half);
	weir_arena_free(arena);
}

/* ---- explanations ---- */

static void test_explain(void **state)
{
	(void)state;
	static const struct {
		const char *rules[2];
		const char *needles[4];
	} cases[] = {
		{{NULL}, {"\"permitted\":false", "the data subject has no rule"}},
		{{ALL},
			{"\"permitted\":true", "permit rule all (version 1) holds and no deny does",
				"\"holds\":\"true\""}},
		{{ALL, DENY(HEART("\"operator\":\"LT\",\"value\":95"))},
			{"\"permitted\":false",
				"deny rule d (version 2) is unknown for this row, and an unknown deny holds",
				"\"truth\":\"unknown\",\"why\":\"the row has no value to compare\"",
				"\"metric\":\"heart_rate\""}},
		{{RULE("\"activity\":{\"operator\":\"IN\",\"values\":[{\"value\":\"rowing\"}]}")},
			{"no permit for research holds for this row", "\"value\":\"running\"",
				"\"values\":[\"rowing\"]", "the row's value does not satisfy it"}},
	};
	struct weir_batch *batch = sample_batch(&(struct sample){.time = NOON, .activity = "running"});
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct consent_edit edits[2];
		uint32_t count = 0;
		for (; count < 2 && cases[i].rules[count] != NULL; count++)
			edits[count] = fixture_post(arena, cases[i].rules[count], count + 1, count + 1);
		struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
		struct consent_rules *rules = consent_rules_apply(empty, edits, count, count);
		struct weir_buf buf = WEIR_BUF_INIT;
		struct weir_json json = weir_json_to(&buf);
		assert_int_equal(consent_explain(rules, batch, 0, RESEARCH, &json, NULL), 0);
		char *text = weir_buf_cstr(&buf);
		json_t *parsed = json_loads(text, 0, NULL);
		assert_non_null(parsed);
		json_decref(parsed);
		for (unsigned n = 0; n < 4 && cases[i].needles[n] != NULL; n++)
			if (strstr(text, cases[i].needles[n]) == NULL)
				fail_msg("case %zu lacks %s: %s", i, cases[i].needles[n], text);
		weir_buf_done(&buf);
		consent_rules_unref(rules);
		consent_rules_unref(empty);
		weir_arena_free(arena);
	}
	weir_batch_release(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unknown_metric),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_withdrawal_and_versions),
		cmocka_unit_test(test_broken_rules),
		cmocka_unit_test(test_many_subjects),
		cmocka_unit_test(test_explain),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
