/* Paths, Host and Origin, tokens and roles: who gets in where. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "serve/serve_int.h"

static struct weir_arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = weir_arena_new(0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	weir_arena_free(arena);
	return 0;
}

static void test_pattern(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool fits;
		const char *first, *second;
	} cases[] = {
		{"/", "/", true, "", ""},
		{"/", "/x", false, "", ""},
		{"/a/b", "/a/b", true, "", ""},
		{"/a/b", "/a/b/", false, "", ""},
		{"/r/{s}", "/r/athlete-1", true, "athlete-1", ""},
		{"/r/{s}", "/r/a%2Fb%20c", true, "a/b c", ""},
		{"/r/{s}", "/r/", false, "", ""},
		{"/r/{s}", "/r/a/b", false, "", ""},
		{"/r/{s}/{p}", "/r/a/b", true, "a", "b"},
		{"/r/{s}/rows", "/r/a/rows", true, "a", ""},
		{"/r/{s}/rows", "/r/a/row", false, "", ""},
		{"/r/{s}", "/r/%zz", false, "", ""},
		{"/r/{s}", "/r/%00", false, "", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_str values[SERVE_PATH_VALUES] = {{0}};
		bool fits = router_pattern_match(cases[i].pattern, weir_str_from(cases[i].path), arena, values);
		if (fits != cases[i].fits)
			print_error("%s on %s\n", cases[i].pattern, cases[i].path);
		assert_int_equal(fits, cases[i].fits);
		if (fits) {
			assert_true(weir_str_is(values[0], cases[i].first));
			assert_true(weir_str_is(values[1], cases[i].second));
		}
	}
}

static void test_host(void **state)
{
	static const struct {
		const char *host;
		bool loopback;
	} cases[] = {
		{"127.0.0.1", true},
		{"127.0.0.1:8080", true},
		{"localhost", true},
		{"LocalHost:99", true},
		{"[::1]:80", true},
		{"127.1.2.3", true},
		{"127.evil.example", false},
		{"127.0.0.1.evil.example", false},
		{"evil.example", false},
		{"localhost.evil.example", false},
		{"[::2]", false},
		{"", false},
		{"[::1", false},
		{"10.0.0.1", false},
		{"127.0.1", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool loopback = admit_host_is_loopback(weir_str_from(cases[i].host));
		if (loopback != cases[i].loopback)
			print_error("Host: %s\n", cases[i].host);
		assert_int_equal(loopback, cases[i].loopback);
	}
}

static void test_origin(void **state)
{
	(void)state;
	assert_true(admit_same_origin(WEIR_STR("http://localhost:8080"), WEIR_STR("localhost:8080")));
	assert_true(admit_same_origin(WEIR_STR("https://lake.example"), WEIR_STR("Lake.Example")));
	assert_false(admit_same_origin(WEIR_STR("http://localhost:8081"), WEIR_STR("localhost:8080")));
	assert_false(admit_same_origin(WEIR_STR("http://evil.example"), WEIR_STR("localhost:8080")));
	assert_false(admit_same_origin(WEIR_STR("null"), WEIR_STR("null")));
	assert_false(admit_same_origin(WEIR_STR("file://"), WEIR_STR("")));
}

/* Secrets "weir_ROLE" are tokens of that role. */
static int authenticate(
	struct serve_app *app, struct weir_str secret, struct access_identity *ret_identity, struct weir_error *err)
{
	static const char *const secrets[] = {
		"weir_ingest", "weir_subject", "weir_consumer", "weir_auditor", "weir_operator"};
	(void)app;
	for (unsigned i = 0; i < 5; i++) {
		if (weir_str_is(secret, secrets[i])) {
			*ret_identity = (struct access_identity){.role = (enum access_role)i};
			return 0;
		}
	}
	return weir_fail(err, WEIR_E_DENIED, "unknown");
}

static const struct serve_route ingest = {.method = "POST", .pattern = "/i", .roles = SERVE_OPERATOR | SERVE_INGEST};
static const struct serve_route query = {.method = "GET", .pattern = "/q", .roles = SERVE_CONSUMER};
static const struct serve_route health = {.method = "GET", .pattern = "/h", .roles = SERVE_ANYONE};
static const struct serve_route status = {.method = "GET", .pattern = "/s", .roles = SERVE_OPERATOR};

static const struct {
	const struct serve_route *route;
	enum serve_door door;
	const char *host, *origin, *authorization;
	unsigned status; /* 200: let in */
} admissions[] = {
	{&ingest, SERVE_DOOR_LOOPBACK, "localhost:8080", "", "", 200},
	{&ingest, SERVE_DOOR_LOOPBACK, "localhost:8080", "http://localhost:8080", "", 200},
	{&ingest, SERVE_DOOR_LOOPBACK, "localhost:8080", "http://evil.example", "", 403},
	{&ingest, SERVE_DOOR_LOOPBACK, "localhost:8080", "null", "", 403},
	{&ingest, SERVE_DOOR_LOOPBACK, "evil.example", "http://evil.example", "", 403},
	{&status, SERVE_DOOR_LOOPBACK, "evil.example", "", "", 403},
	{&status, SERVE_DOOR_LOOPBACK, "localhost", "http://other.example", "", 200},
	{&status, SERVE_DOOR_LOOPBACK, "localhost", "", "Bearer weir_wrong", 401},
	{&status, SERVE_DOOR_LOOPBACK, "localhost", "", "Bearer weir_consumer", 403},
	{&health, SERVE_DOOR_OPEN, "lake.example", "", "", 200},
	{&status, SERVE_DOOR_OPEN, "lake.example", "", "", 401},
	{&status, SERVE_DOOR_OPEN, "lake.example", "", "Basic d2Vpcg==", 401},
	{&status, SERVE_DOOR_OPEN, "lake.example", "", "Bearer ", 401},
	{&status, SERVE_DOOR_OPEN, "lake.example", "", "bearer weir_operator", 200},
	{&status, SERVE_DOOR_OPEN, "lake.example", "", "Bearer weir_ingest", 403},
	{&ingest, SERVE_DOOR_OPEN, "lake.example", "", "Bearer weir_ingest", 200},
	{&ingest, SERVE_DOOR_OPEN, "lake.example", "https://evil.example", "Bearer weir_ingest", 403},
	{&query, SERVE_DOOR_LOOPBACK, "localhost", "", "", 401},
	{&query, SERVE_DOOR_UNIX, "weir", "", "", 401},
	{&query, SERVE_DOOR_LOOPBACK, "localhost", "", "Bearer weir_consumer", 200},
	{&query, SERVE_DOOR_LOOPBACK, "localhost", "", "Bearer weir_operator", 403},
	{&status, SERVE_DOOR_UNIX, "weir", "", "", 200},
};

static void test_admission(void **state)
{
	struct serve_app app = {.authenticate = authenticate, .local_operator = {.role = ACCESS_OPERATOR}};
	(void)state;
	for (size_t i = 0; i < sizeof admissions / sizeof admissions[0]; i++) {
		struct serve_call call;
		call_init(&call, &app, arena);
		call.route = admissions[i].route;
		call.method = weir_str_from(call.route->method);
		struct admit_headers headers = {weir_str_from(admissions[i].host), weir_str_from(admissions[i].origin),
			weir_str_from(admissions[i].authorization)};
		bool in = admit(&call, admissions[i].door, &headers);
		unsigned got = in ? 200 : call.status;
		if (got != admissions[i].status)
			print_error("admission %zu\n", i);
		assert_int_equal(got, admissions[i].status);
		if (got == 401) {
			assert_int_equal(call.header_count, 1);
			assert_true(weir_str_is(call.headers[0].key, "WWW-Authenticate"));
		}
		call_done(&call);
	}
}

/* One same 403: nothing of it depends on what was asked. */
static void test_denied_alike(void **state)
{
	struct serve_app app = {.authenticate = authenticate};
	struct serve_call calls[2];
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	call_init(&calls[0], &app, arena);
	call_init(&calls[1], &app, arena);
	calls[0].route = calls[1].route = &status;
	calls[0].method = WEIR_STR("GET");
	struct admit_headers headers = {.authorization = WEIR_STR("Bearer weir_ingest")};
	assert_false(admit(&calls[0], SERVE_DOOR_OPEN, &headers));
	assert_int_equal(admit_deny(&err), WEIR_E_DENIED);
	problem_reply_error(&calls[1], &err);
	assert_int_equal(calls[1].status, 403);
	assert_true(weir_str_equal(weir_buf_str(&calls[0].out), weir_buf_str(&calls[1].out)));
	call_done(&calls[0]);
	call_done(&calls[1]);
}

static void test_problem(void **state)
{
	struct serve_app app = {0};
	struct serve_call call;
	struct ingest_error errors[] = {{.index = 3,
		.event_id = WEIR_STR("e\"1"),
		.field = WEIR_STR("metrics.heart_rate"),
		.value = WEIR_STR("fast"),
		.problem = "is not a number",
		.remedy = "send bpm"}};
	(void)state;
	call_init(&call, &app, arena);
	problem_reply(&call,
		&(struct problem){.status = 422, .detail = "one event is wrong", .errors = errors, .error_count = 1});
	assert_true(weir_str_is(weir_buf_str(&call.out),
		"{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,\"detail\":\"one event "
		"is wrong\",\"errors\":"
		"[{\"index\":3,\"event_id\":\"e\\\"1\",\"field\":\"metrics.heart_rate\",\"value\":\"fast\",\"problem\":"
		"\"is not a number\","
		"\"remedy\":\"send bpm\"}]}"));
	assert_string_equal(call.reply_type, "application/problem+json");
	/* What failed inside is for the operator; others learn nothing of paths. */
	struct weir_error err = WEIR_ERROR_INIT;
	weir_fail_at(&err, WEIR_E_IO, WEIR_STR("/secret/path"), 1, "cannot read");
	call.identity.role = ACCESS_CONSUMER;
	problem_reply_error(&call, &err);
	assert_int_equal(call.status, 500);
	assert_null(memmem(call.out.data, call.out.size, "secret", 6));
	assert_null(memmem(call.out.data, call.out.size, "cannot read", 11));
	call_done(&call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pattern),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_admission),
		cmocka_unit_test(test_denied_alike),
		cmocka_unit_test(test_problem),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
