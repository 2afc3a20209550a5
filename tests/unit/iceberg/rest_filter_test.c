/*
 * Filters of REST clients: which files they leave, what of them is left to test in each, and what is refused; scans of
 * what was appended between two snapshots.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iceberg/rest_filter.h"
#include "unit/iceberg/ice_lake.h"

#define DAY_20000 "2024-10-04" /* since 1970-01-01 */

/* JSON in single quotes. */
static json_t *parse(const char *text)
{
	char *quoted = strdup(text);
	for (char *at = quoted; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	json_error_t problem;
	json_t *json = json_loads(quoted, JSON_DECODE_ANY, &problem);
	if (json == NULL)
		fail_msg("%s: %s", text, problem.text);
	free(quoted);
	return json;
}

/*
 * file   purpose    partition (activity, context, day)   subject
 * 0      research   of the landing spec: none            a
 * 1      research   of the landing spec: none            m
 * 2      coaching   of the landing spec: none            z
 * 3      coaching   run, null, day 20000                 b
 */
static struct ice_table *table_of_four(struct ice_lake *lake)
{
	lake_create(lake);
	struct ice_table *table = lake_load(lake);
	struct ice_data_file files[4] = {lake_file(lake, "research", "a"), lake_file(lake, "research", "m"),
		lake_file(lake, "coaching", "z"), lake_file(lake, "coaching", "b")};
	struct ice_partition_value cell[4] = {files[3].partition[0],
		{.value = {.kind = EXPR_TEXT, .u.text = WEIR_STR("run")}}, {.is_null = true},
		{.value = {.kind = EXPR_INTEGER, .u.integer = 20000}}};
	files[3].spec_id = 0;
	files[3].partition = cell;
	files[3].partition_count = 4;
	return lake_append(lake, table, files, 4, 0);
}

/* Bit i: file i (by its number in the name) is planned. */
static unsigned planned(struct ice_table *table, const struct ice_rest_filter *filter)
{
	struct ice_file_list *list = lake_plan(table, ice_rest_filter_terms(filter));
	unsigned found = 0;
	for (uint32_t i = 0; i < list->count; i++) {
		struct weir_str path = list->files[i]->path;
		if (ice_rest_filter_may_match(filter, list->files[i]))
			found |= 1U << (path.data[path.size - strlen("0.parquet")] - '0');
	}
	ice_file_list_free(list);
	return found;
}

static void check_residual(struct ice_table *table, const struct ice_rest_filter *filter, unsigned number,
	const char *expected, const char *text)
{
	struct ice_file_list *list = lake_plan(table, NULL);
	json_t *wanted = parse(expected);
	for (uint32_t i = 0; i < list->count; i++) {
		struct weir_str path = list->files[i]->path;
		if ((unsigned)(path.data[path.size - strlen("0.parquet")] - '0') != number)
			continue;
		json_t *left = ice_rest_filter_residual(filter, list->files[i]);
		char *shown = json_dumps(left, JSON_ENCODE_ANY);
		if (!json_equal(left, wanted))
			fail_msg("%s: of file %u is left %s, not %s", text, number, shown, expected);
		free(shown);
		json_decref(left);
	}
	json_decref(wanted);
	ice_file_list_free(list);
}

#define EQ(column, value) "{'type': 'eq', 'term': '" column "', 'value': '" value "'}"

static void files_and_residuals(void **state)
{
	static const struct {
		const char *filter;
		unsigned files;      /* bits */
		const char *of_file; /* what is left for file 3 */
	} cases[] = {
		{"true", 15, "true"},
		{"{'type': 'true'}", 15, "true"},
		{"false", 0, "false"},
		{EQ("purpose", "research"), 3, "false"},
		{EQ("purpose", "coaching"), 12, "true"},
		{EQ("subject", "a"), 1, EQ("subject", "a")},
		{"{'type': 'not', 'child': " EQ("subject", "a") "}", 14,
			"{'type': 'not-eq', 'term': 'subject', 'value': 'a'}"},
		/* Nulls differ from every value: file 3's context is null in all rows. */
		{"{'type': 'not-eq', 'term': 'event_context', 'value': 'x'}", 15, "true"},
		{EQ("event_context", "x"), 7, "false"},
		{"{'type': 'is-null', 'term': 'event_context'}", 15, "true"},
		{"{'type': 'not-null', 'child': {'type': 'reference', 'name': 'event_context'}}", 7, "false"},
		{"{'type': 'and', 'left': " EQ("purpose", "coaching") ", 'right': " EQ("subject", "b") "}", 8,
			EQ("subject", "b")},
		{"{'type': 'or', 'left': " EQ("subject", "m") ", 'right': " EQ("subject", "z") "}", 6,
			"{'type': 'or', 'left': " EQ("subject", "m") ", 'right': " EQ("subject", "z") "}"},
		{"{'type': 'or', 'left': " EQ("purpose", "coaching") ", 'right': " EQ("subject", "m") "}", 14, "true"},
		{"{'type': 'not', 'child': {'type': 'or', 'left': " EQ("purpose", "coaching") ", 'right': " EQ(
			 "subject", "m") "}}",
			1, "false"},
		{"{'type': 'in', 'term': 'subject', 'values': ['m', 'b']}", 10,
			"{'type': 'in', 'term': 'subject', 'values': ['m', 'b']}"},
		{"{'type': 'in', 'term': 'subject', 'values': []}", 0, "false"},
		{"{'type': 'not-in', 'term': 'purpose', 'values': ['coaching', 'x']}", 3, "false"},
		{"{'type': 'not-in', 'term': 'purpose', 'values': []}", 15, "true"},
		{"{'type': 'starts-with', 'term': 'purpose', 'value': 'res'}", 3, "false"},
		{"{'type': 'starts-with', 'term': 'activity', 'value': 'ru'}", 15, "true"},
		{"{'type': 'not-starts-with', 'term': 'activity', 'value': 'ru'}", 15, "false"},
		/* Days: what lies in another day is decided, what lies in the same is not. Integers are microseconds. */
		{"{'type': 'lt', 'term': 'timestamp', 'value': '" DAY_20000 "T00:00:00+00:00'}", 15,
			"{'type': 'lt', 'term': 'timestamp', 'value': '" DAY_20000 "T00:00:00+00:00'}"},
		{"{'type': 'lt', 'term': 'timestamp', 'value': '2024-10-03T00:00:00+00:00'}", 7, "false"},
		{"{'type': 'gt', 'term': 'timestamp', 'value': '2024-10-03T00:00:00+00:00'}", 15, "true"},
		{"{'type': 'gt-eq', 'term': 'timestamp', 'value': 1727913600000000}", 15, "true"},
		{"{'type': 'lt-eq', 'left': {'type': 'literal', 'value': 1727913600000000}, 'right': {'type':"
		 " 'reference', 'id': 5}}",
			15, "true"},
		/* What nothing is known of stays as it was written. */
		{"{'type': 'eq', 'term': {'type': 'transform', 'transform': 'bucket[4]', 'term': 'subject'}, 'value': "
		 "1}",
			15,
			"{'type': 'eq', 'term': {'type': 'transform', 'transform': 'bucket[4]', 'term': 'subject'}, "
			"'value': 1}"},
		{"{'type': 'eq', 'term': 'subject', 'value': 7}", 15, "{'type': 'eq', 'term': 'subject', 'value': 7}"},
		{"{'type': 'eq', 'term': 'raw.key', 'value': 'k'}", 15,
			"{'type': 'eq', 'term': 'raw.key', 'value': 'k'}"},
	};
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_rest_filter *filter;
	(void)state;
	struct ice_table *table = table_of_four(&lake);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *json = parse(cases[i].filter);
		lake_check(ice_rest_filter_new(table, ice_table_schema(table), json, true, &filter, &err), &err);
		unsigned files = planned(table, filter);
		if (files != cases[i].files)
			fail_msg("%s: files %x, not %x", cases[i].filter, files, cases[i].files);
		check_residual(table, filter, 3, cases[i].of_file, cases[i].filter);
		ice_rest_filter_free(filter);
		json_decref(json);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

static void refused(void **state)
{
	static const struct {
		const char *filter, *says;
	} cases[] = {
		{"7", "predicate of type ''"},
		{"'subject'", "predicate of type ''"},
		{"{'type': 'near', 'term': 'subject'}", "'near'"},
		{EQ("nowhere", "a"), "Cannot find field 'nowhere'"},
		{EQ("SUBJECT", "a"), "Cannot find field"},
		{"{'type': 'eq', 'term': 'subject'}", "without a value"},
		{"{'type': 'eq', 'term': 'subject', 'value': []}", "without a value"},
		{"{'type': 'eq', 'value': 'a'}", "without a"},
		{"{'type': 'in', 'term': 'subject', 'value': 'a'}", "without an array"},
		{"{'type': 'and', 'left': true}", "predicate of type ''"},
		{"{'type': 'not'}", "predicate of type ''"},
	};
	struct ice_lake lake = lake_open(1U << 20);
	struct ice_rest_filter *filter;
	(void)state;
	struct ice_table *table = table_of_four(&lake);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *json = parse(cases[i].filter);
		if (ice_rest_filter_new(table, ice_table_schema(table), json, true, &filter, &err) != WEIR_E_INPUT ||
			strstr(err.message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].filter, err.message);
		json_decref(json);
	}
	/* Names in another case, where the client does not mind. */
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *json = parse(EQ("SUBJECT", "a"));
	lake_check(ice_rest_filter_new(table, ice_table_schema(table), json, false, &filter, &err), &err);
	assert_int_equal(planned(table, filter), 1);
	ice_rest_filter_free(filter);
	json_decref(json);
	/* Deeper than a stack should bear. */
	json = json_true();
	for (unsigned i = 0; i < ICE_REST_FILTER_DEPTH + 10; i++)
		json = json_pack("{s:s,s:o}", "type", "not", "child", json);
	assert_int_equal(ice_rest_filter_new(table, ice_table_schema(table), json, false, &filter, &err), WEIR_E_INPUT);
	json_decref(json);
	ice_table_unref(table);
	lake_close(&lake);
}

static uint32_t appended(struct ice_table *table, int64_t after, int64_t until)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list;
	lake_check(ice_plan_appends(table, after, until, NULL, &list, &err), &err);
	uint32_t count = list->count;
	ice_file_list_free(list);
	return count;
}

/* What was appended, though some of it is gone since; other operations are passed over. */
static void appends_between_snapshots(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list;
	struct ice_data_file files[4] = {lake_file(&lake, "research", "a"), lake_file(&lake, "coaching", "b"),
		lake_file(&lake, "research", "c"), lake_file(&lake, "research", "d")};
	int64_t ids[4];
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	table = lake_append(&lake, table, files, 2, 0);
	ids[0] = ice_table_metadata(table)->current_snapshot_id;
	table = lake_append(&lake, table, &files[2], 1, 0);
	ids[1] = ice_table_metadata(table)->current_snapshot_id;
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_OVERWRITE, .removed = &files[2].path, .removed_count = 1});
	ids[2] = ice_table_metadata(table)->current_snapshot_id;
	table = lake_append(&lake, table, &files[3], 1, 0);
	ids[3] = ice_table_metadata(table)->current_snapshot_id;
	assert_int_equal(appended(table, -1, ids[3]), 4);
	assert_int_equal(appended(table, ids[0], ids[3]), 2);
	assert_int_equal(appended(table, ids[0], ids[1]), 1);
	assert_int_equal(appended(table, ids[1], ids[2]), 0);
	assert_int_equal(appended(table, ids[3], ids[3]), 0);
	assert_int_equal(ice_plan_appends(table, ids[3], ids[0], NULL, &list, &err), WEIR_E_NOT_FOUND);
	assert_int_equal(ice_plan_appends(table, -1, 12345, NULL, &list, &err), WEIR_E_NOT_FOUND);
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_residuals),
		cmocka_unit_test(refused),
		cmocka_unit_test(appends_between_snapshots),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
