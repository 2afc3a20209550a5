/*
 * Scans of the lake's own tables, planned by the server: who may plan which, that a slice's plan has files of its purposes
 * alone, that removals are waited for, and that each plan and each of its tasks is audited.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "access/catalog_int.h"
#include "iceberg_asker.h"

#define GOLD "namespaces/gold/tables/athlete_data"

static void expect(const struct asker *asker, const char *method, const char *path, const char *body, unsigned status)
{
	json_t *answer;
	unsigned got = ask(asker, method, path, body, &answer);
	if (got != status)
		fail_msg("%s %s: %u, not %u (%s)", method, path, got, status,
			json_string_value(json_object_get(json_object_get(answer, "error"), "message")));
	json_decref(answer);
}

struct found {
	uint64_t rows;
	unsigned files, others; /* files of another purpose */
};

/* Rows and files of a plan's answer; purpose NULL: any. */
static struct found count(const json_t *answer, const char *purpose)
{
	struct found found = {0};
	json_t *task;
	size_t index;
	json_array_foreach(json_object_get(answer, "file-scan-tasks"), index, task)
	{
		const json_t *file = json_object_get(task, "data-file");
		const char *is = json_string_value(json_array_get(json_object_get(file, "partition"), 0));
		found.rows += (uint64_t)json_integer_value(json_object_get(file, "record-count"));
		found.files++;
		found.others += purpose != NULL && (is == NULL || strcmp(is, purpose) != 0);
	}
	return found;
}

static void a_slice_is_planned_alone(void **state)
{
	static const struct {
		const char *purpose, *filter;
		unsigned rows;
	} cases[] = {
		{"research", "{}", 30},
		{"education", "{}", 20},
		{"marketing", "{}", 0},
		/* What it asks for widens nothing. */
		{"education", "{\"filter\": {\"type\": \"eq\", \"term\": \"purpose\", \"value\": \"research\"}}", 0},
		{"education",
			"{\"filter\": {\"type\": \"or\", \"left\": true, \"right\": {\"type\": \"eq\", \"term\": "
			"\"purpose\", \"value\": \"research\"}}}",
			20},
	};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, cases[i].purpose)};
		json_t *answer;
		assert_int_equal(ask(&consumer, "POST", GOLD "/plan", cases[i].filter, &answer), 200);
		struct found found = count(answer, cases[i].purpose);
		assert_int_equal(found.rows, cases[i].rows);
		assert_int_equal(found.others, 0);
		json_decref(answer);
	}
	struct asker operator= {.lake = &lake};
	json_t *whole;
	assert_int_equal(ask(&operator, "POST", GOLD "/plan", "{}", &whole), 200);
	assert_int_equal(count(whole, NULL).rows, 50);
	json_decref(whole);
	lake_done(&lake);
}

static void roles_plan_what_they_may_load(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker operator= {.lake = &lake};
	struct asker auditor = {.lake = &lake, .token = token_of(&lake, ACCESS_AUDITOR, NULL)};
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	static const char *const layers[] = {"bronze/tables/telemetry", "silver/tables/telemetry",
		"gold/tables/athlete_data", "history/tables/athlete_data", "audit/tables/access"};
	for (unsigned i = 0; i < 5; i++) {
		const char *path = weir_arena_printf(lake.arena, "namespaces/%s/plan", layers[i]);
		expect(&operator, "POST", path, "{}", i == 3 ? 403 : 200);
		expect(&auditor, "POST", path, "{}", 200);
		expect(&consumer, "POST", path, "{}", i == 2 ? 200 : 403);
	}
	expect(&operator, "POST", "namespaces/gold/tables/none/plan", "{}", 404);
	expect(&operator, "POST", GOLD "/plan", "no json", 400);
	expect(&operator, "POST", GOLD "/tasks", "{}", 400);
	expect(&operator, "POST", GOLD "/tasks", "{\"plan-task\": \"none\"}", 404);
	expect(&operator, "GET", GOLD "/plan/none", NULL, 404);
	expect(&operator, "DELETE", GOLD "/plan/none", NULL, 404);
	/* A plan's id goes back and forth; one of the operator's gives a consumer its slice, and no more. */
	json_t *answer;
	assert_int_equal(ask(&operator, "POST", GOLD "/plan", "{}", &answer), 200);
	const char *id = json_string_value(json_object_get(answer, "plan-id"));
	const char *path = weir_arena_printf(lake.arena, GOLD "/plan/%s", id);
	json_decref(answer);
	struct asker education = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "education")};
	assert_int_equal(ask(&education, "GET", path, NULL, &answer), 200);
	assert_int_equal(count(answer, "education").rows, 20);
	assert_int_equal(count(answer, "education").others, 0);
	json_decref(answer);
	expect(&education, "DELETE", path, NULL, 204);
	lake_done(&lake);
}

/* A consumer plans the newest snapshot, and for a minute the ones before it: what it has loaded lately. */
static void a_slices_past_is_not_planned(void **state)
{
	struct lake_fixture lake;
	char body[128];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker operator= {.lake = &lake};
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	json_t *table;
	assert_int_equal(ask(&consumer, "GET", GOLD, NULL, &table), 200);
	json_int_t first =
		json_integer_value(json_object_get(json_object_get(table, "metadata"), "current-snapshot-id"));
	json_decref(table);
	snprintf(body, sizeof body, "{\"snapshot-id\": %lld}", (long long)first);
	expect(&consumer, "POST", GOLD "/plan", body, 200);
	lake_post(&lake, lake_event(&lake, 100, "a0", LAKE_NOW, "\"activity\": \"running\"", "\"heart_rate\": 1"));
	lake_flush(&lake);
	expect(&consumer, "POST", GOLD "/plan", body, 200);
	lake_advance(&lake, 61 * WEIR_US_PER_SECOND);
	expect(&consumer, "POST", GOLD "/plan", body, 400);
	expect(&operator, "POST", GOLD "/plan", body, 200);
	snprintf(body, sizeof body, "{\"start-snapshot-id\": %lld, \"end-snapshot-id\": %lld}", (long long)first,
		(long long)first);
	expect(&consumer, "POST", GOLD "/plan", body, 406);
	expect(&operator, "POST", GOLD "/plan", body, 200);
	lake_done(&lake);
}

static void removals_are_waited_for(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker research = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	struct asker education = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "education")};
	lake_withdraw(&lake, "a1", "education");
	expect(&education, "POST", GOLD "/plan", "{}", 503);
	expect(&research, "POST", GOLD "/plan", "{}", 200); /* nothing of its slice goes */
	lake_settle(&lake);
	json_t *answer;
	assert_int_equal(ask(&education, "POST", GOLD "/plan", "{}", &answer), 200);
	assert_int_equal(count(answer, "education").rows, 10);
	json_decref(answer);
	lake_done(&lake);
}

static void each_plan_is_audited(void **state)
{
	static const char route[] = "/iceberg/v1/plan/gold.athlete_data";
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	json_t *answer;
	assert_int_equal(ask(&consumer, "POST", GOLD "/plan", "{}", &answer), 200);
	const char *path =
		weir_arena_printf(lake.arena, GOLD "/plan/%s", json_string_value(json_object_get(answer, "plan-id")));
	json_decref(answer);
	expect(&consumer, "GET", path, NULL, 200);
	expect(&consumer, "POST", "namespaces/silver/tables/telemetry/plan", "{}", 403);
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	assert_int_equal(
		lake_count(&lake, "audit.access", "route", route, "purpose", "research", "outcome", "allowed", NULL),
		2);
	assert_int_equal(lake_count(&lake, "audit.access", "route", "/iceberg/v1/plan/silver.telemetry", "outcome",
				 "denied", NULL),
		1);
	lake_done(&lake);
}

/* A table's property says how clients plan its scans; what is no mode is not handed on. Of a folder there are no keys. */
static void a_table_says_how_it_is_planned(void **state)
{
	static const struct {
		const char *value, *given;
	} cases[] = {{"server", "server"}, {"client", "client"}, {"both", NULL}};
	static const char schema[] =
		"{\"type\": \"struct\", \"fields\": [{\"id\": 1, \"name\": \"id\", \"required\": false, \"type\": "
		"\"long\"}]}";
	struct lake_fixture lake;
	json_t *answer;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct asker operator= {.lake = &lake};
	expect(&operator, "POST", "namespaces", "{\"namespace\": [\"mine\"]}", 200);
	expect(&operator, "POST", "namespaces/mine/tables",
		weir_arena_printf(lake.arena, "{\"name\": \"t\", \"schema\": %s}", schema), 200);
	assert_int_equal(ask(&operator, "GET", "namespaces/mine/tables/t", NULL, &answer), 200);
	assert_int_equal(json_object_size(json_object_get(answer, "config")), 0); /* DuckDB: anything there is for S3 */
	json_decref(answer);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		expect(&operator, "POST", "namespaces/mine/tables/t",
			weir_arena_printf(lake.arena,
				"{\"requirements\": [], \"updates\": [{\"action\": \"set-properties\", \"updates\": "
				"{\"scan-planning-mode\": \"%s\"}}]}",
				cases[i].value),
			200);
		assert_int_equal(ask(&operator, "GET", "namespaces/mine/tables/t", NULL, &answer), 200);
		const char *given =
			json_string_value(json_object_get(json_object_get(answer, "config"), "scan-planning-mode"));
		assert_true((given == NULL) == (cases[i].given == NULL));
		if (given != NULL)
			assert_string_equal(given, cases[i].given);
		assert_null(json_object_get(answer, "storage-credentials"));
		json_decref(answer);
	}
	assert_int_equal(ask(&operator, "GET", "namespaces/mine/tables/t/credentials", NULL, &answer), 200);
	assert_int_equal(json_array_size(json_object_get(answer, "storage-credentials")), 0);
	json_decref(answer);
	expect(&operator, "GET", "namespaces/history/tables/athlete_data/credentials", NULL, 403);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slice_is_planned_alone),
		cmocka_unit_test(roles_plan_what_they_may_load),
		cmocka_unit_test(a_slices_past_is_not_planned),
		cmocka_unit_test(removals_are_waited_for),
		cmocka_unit_test(each_plan_is_audited),
		cmocka_unit_test(a_table_says_how_it_is_planned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
