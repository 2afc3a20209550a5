/* Percent-encoding, query strings and file names of uploads. */
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

static void test_decode(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
		bool plus;
	} cases[] = {
		{"plain", "plain", false},
		{"", "", false},
		{"a%20b", "a b", false},
		{"a+b", "a+b", false},
		{"a+b", "a b", true},
		{"%C3%A4", "\xc3\xa4", false},
		{"%c3%a4", "\xc3\xa4", false},
		{"%", NULL, false},
		{"%4", NULL, false},
		{"%4g", NULL, false},
		{"a%00b", NULL, false},
		{"%2F", "/", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_str out;
		bool good = url_decode(arena, weir_str_from(cases[i].in), cases[i].plus, &out);
		assert_int_equal(good, cases[i].out != NULL);
		if (good)
			assert_true(weir_str_is(out, cases[i].out));
	}
}

static void test_encode_comes_back(void **state)
{
	(void)state;
	char all[255];
	for (unsigned i = 0; i < sizeof all; i++)
		all[i] = (char)(i + 1);
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_str back;
	url_encode(&text, (struct weir_str){all, sizeof all});
	assert_true(url_decode(arena, weir_buf_str(&text), true, &back));
	assert_true(weir_str_equal(back, (struct weir_str){all, sizeof all}));
	weir_buf_done(&text);
}

static void test_query(void **state)
{
	struct serve_pair pairs[SERVE_PARAMETERS];
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t count = 0;
	(void)state;
	assert_int_equal(url_query(arena, WEIR_STR("a=1&b=x%20y&&flag&e=&u=a%26b%3Dc"), pairs, &count, &err), 0);
	assert_int_equal(count, 5);
	assert_true(weir_str_is(pairs[1].value, "x y"));
	assert_true(weir_str_is(pairs[2].key, "flag") && pairs[2].value.size == 0);
	assert_true(weir_str_is(pairs[4].value, "a&b=c"));
	assert_int_equal(url_query(arena, WEIR_STR(""), pairs, &count, &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(url_query(arena, WEIR_STR("a=%zz"), pairs, &count, &err), WEIR_E_INPUT);
	assert_int_equal(url_query(arena, WEIR_STR("a=%ff"), pairs, &count, &err), WEIR_E_INPUT);
	assert_int_equal(url_query(arena, WEIR_STR("a=1&b=2&a=3"), pairs, &count, &err), WEIR_E_INPUT);
	struct weir_buf many = WEIR_BUF_INIT;
	for (unsigned i = 0; i <= SERVE_PARAMETERS; i++)
		weir_buf_printf(&many, "p%u=1&", i);
	assert_int_equal(url_query(arena, weir_buf_str(&many), pairs, &count, &err), WEIR_E_LIMIT);
	weir_buf_done(&many);
}

static void test_file_name(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"run.fit", "run.fit"},
		{"/etc/passwd", "passwd"},
		{"..\\..\\x.json", "x.json"},
		{"../../..", ""},
		{".bashrc", "bashrc"},
		{"a/", ""},
		{"tab\tname.csv", "tab_name.csv"},
		{"two words.gpx.gz", "two words.gpx.gz"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(weir_str_is(url_file_name(arena, weir_str_from(cases[i].in)), cases[i].out));
	char longer[600];
	memset(longer, 'x', sizeof longer);
	memcpy(longer + sizeof longer - 5, ".json", 5);
	struct weir_str cut = url_file_name(arena, (struct weir_str){longer, sizeof longer});
	assert_true(cut.size <= 200 && weir_str_has_suffix(cut, WEIR_STR(".json")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_encode_comes_back),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_file_name),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
