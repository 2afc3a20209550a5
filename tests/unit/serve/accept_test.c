/* Accept and Accept-Encoding, as browsers, curl and scripts send them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "serve/serve_int.h"

static void test_choose(void **state)
{
	static const char *const offered[] = {
		"application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"};
	static const struct {
		const char *accept;
		int choice;
	} cases[] = {
		{"", 0},
		{"*/*", 0},
		{"text/csv", 2},
		{"TEXT/CSV; header=present", 2},
		{"text/*", 2},
		{"application/*", 0},
		{"text/html,application/xhtml+xml,*/*;q=0.8", 0},
		{"application/json;q=0.5, text/csv", 2},
		{"application/json;q=0, */*", 1},
		{"text/csv;q=0", -1},
		{"image/png", -1},
		{"text/csvx", -1},
		{"application/vnd.apache.parquet, application/json;q=0.9", 3},
		{" , text/csv", 2},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int choice = accept_choose(weir_str_from(cases[i].accept), offered, 4);
		if (choice != cases[i].choice)
			print_error("Accept: %s\n", cases[i].accept);
		assert_int_equal(choice, cases[i].choice);
	}
}

static void test_gzip(void **state)
{
	static const struct {
		const char *header;
		bool gzip;
	} cases[] = {
		{"", false},
		{"gzip", true},
		{"deflate, gzip;q=1.0, *;q=0.5", true},
		{"gzip;q=0", false},
		{"br", false},
		{"*", true},
		{"*;q=0", false},
		{"gzip;q=0, *", false},
		{"x-gzip", true},
		{"identity", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(accept_gzip(weir_str_from(cases[i].header)), cases[i].gzip);
}

static void test_is(void **state)
{
	(void)state;
	assert_true(accept_is(WEIR_STR("text/csv"), "text/csv"));
	assert_true(accept_is(WEIR_STR("Text/CSV ; charset=utf-8"), "text/csv"));
	assert_false(accept_is(WEIR_STR("text/csvx"), "text/csv"));
	assert_false(accept_is(WEIR_STR(""), "text/csv"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
