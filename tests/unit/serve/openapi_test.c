/* /openapi.json says what the router does, and docs/reference/http.md and iceberg-rest.md name every route, and no others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/os.h"
#include "serve/serve_int.h"

static struct router router;
static struct weir_arena *arena;

static int set_up(void **state)
{
	static const struct lake_where where[] = {{.parameter = {"activity", 8}}, {.parameter = {"startDate", 9}}};
	static const struct lake_query query = {.route = {"/api/query", 10}, .where = where, .where_count = 2};
	static const struct weir_str ask[] = {{"athlete_id", 10}, {"stream", 6}};
	static const struct lake_input inputs[] = {{.ask = ask, .ask_count = 1}, {.ask = ask, .ask_count = 2}};
	static const struct lake_stream stream = {.inputs = inputs, .input_count = 2};
	static const struct lake lake = {.queries = &query, .query_count = 1, .streams = &stream, .stream_count = 1};
	(void)state;
	arena = weir_arena_new(0);
	routes_fill(&router, &lake, arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	weir_arena_free(arena);
	return 0;
}

static bool has_parameter(const json_t *operation, const char *name, size_t size)
{
	size_t index;
	const json_t *parameter;
	json_array_foreach(json_object_get(operation, "parameters"), index, parameter)
	{
		const char *text = json_string_value(json_object_get(parameter, "name"));
		if (strlen(text) == size && memcmp(text, name, size) == 0)
			return true;
	}
	return false;
}

static void test_same(void **state)
{
	struct weir_buf text = WEIR_BUF_INIT;
	(void)state;
	openapi_write(&router, "athlete", &text);
	json_t *document = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(document);
	json_t *paths = json_object_get(document, "paths"), *operations, *operation;
	const char *path, *method;
	unsigned count = 0;
	json_object_foreach(paths, path, operations)
	{
		json_object_foreach(operations, method, operation)
		{
			/* Each operation leads to its route. */
			struct serve_call call;
			char upper[8] = "";
			for (size_t i = 0; method[i] != '\0' && i < 7; i++)
				upper[i] = (char)toupper((unsigned char)method[i]);
			call_init(&call, NULL, arena);
			call.method = weir_str_from(upper);
			call.path = weir_str_from(path);
			assert_int_equal(router_match(&router, &call), 200);
			assert_string_equal(call.route->pattern, path);
			assert_string_equal(
				call.route->summary, json_string_value(json_object_get(operation, "summary")));
			assert_int_equal(json_is_object(json_object_get(operation, "requestBody")),
				call.route->body != SERVE_NO_BODY);
			for (const char *at = call.route->parameters; at != NULL && *at != '\0';) {
				size_t size = strcspn(at, " ");
				assert_true(has_parameter(operation, at, size));
				at += size + strspn(at + size, " ");
			}
			call_done(&call);
			count++;
		}
	}
	assert_int_equal(count, router.count);
	json_decref(document);
	weir_buf_done(&text);
}

static void test_lake_parameters(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < router.count; i++) {
		if (strcmp(router.routes[i].pattern, "/api/query") == 0)
			assert_string_equal(
				router.routes[i].parameters, "purpose activity startDate columns limit cursor explain");
		if (strcmp(router.routes[i].pattern, "/api/ingest/batch") == 0)
			assert_string_equal(router.routes[i].parameters, "stream filename athlete_id");
	}
}

static void test_routes(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < router.count; i++) {
		const struct serve_route *route = &router.routes[i];
		bool write = strcmp(route->method, "GET") != 0;
		assert_non_null(route->handler);
		assert_true(route->roles != 0);
		assert_true((route->body == SERVE_NO_BODY) == (route->body_bytes == 0));
		/* Nobody writes without a role, and /api/admin is the operator's alone. */
		bool gives_token = strcmp(route->pattern, "/iceberg/v1/oauth/tokens") == 0; /* for a secret */
		assert_false(write && !gives_token && strcmp(route->method, "HEAD") != 0 &&
			(route->roles & SERVE_ANYONE) != 0);
		if (strncmp(route->pattern, "/api/admin", 10) == 0)
			assert_int_equal(route->roles, SERVE_OPERATOR);
		for (uint32_t j = 0; j < i; j++)
			assert_false(strcmp(router.routes[j].pattern, route->pattern) == 0 &&
				strcmp(router.routes[j].method, route->method) == 0);
	}
}

static void test_page(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	static const char *const names[] = {"docs/reference/http.md", "docs/reference/iceberg-rest.md"};
	char *pages[2], line[160];
	size_t size;
	unsigned rows = 0;
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(weir_os_read_all(weir_os_real(), names[i], 1 << 20, &pages[i], &size, &err), 0);
	for (uint32_t i = 0; i < router.count; i++) {
		unsigned page = strncmp(router.routes[i].pattern, "/iceberg/", 9) == 0;
		snprintf(line, sizeof line, "\n| `%s %s` |", router.routes[i].method, router.routes[i].pattern);
		if (strstr(pages[page], line) == NULL)
			print_error("%s lacks %s %s\n", names[page], router.routes[i].method, router.routes[i].pattern);
		assert_non_null(strstr(pages[page], line));
	}
	for (unsigned i = 0; i < 2; i++) {
		for (const char *at = pages[i]; (at = strstr(at, "\n| `")) != NULL; at++) {
			bool route = strncmp(at + 4, "GET /", 5) == 0 || strncmp(at + 4, "POST /", 6) == 0 ||
				strncmp(at + 4, "HEAD /", 6) == 0 || strncmp(at + 4, "DELETE /", 8) == 0;
			rows += route;
		}
		free(pages[i]);
	}
	assert_int_equal(rows, router.count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_lake_parameters),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_page),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
