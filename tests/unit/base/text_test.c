/* Numbers in text, UTF-8, distances, JSON writing, UUIDs, base64. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"

static void test_numbers(void **state)
{
	int64_t i;
	uint64_t u;
	double d;
	(void)state;
	assert_true(weir_str_to_i64(WEIR_STR("-9223372036854775808"), &i) && i == INT64_MIN);
	assert_false(weir_str_to_i64(WEIR_STR("9223372036854775808"), &i));
	assert_false(weir_str_to_i64(WEIR_STR("-"), &i));
	assert_true(weir_str_to_u64(WEIR_STR("18446744073709551615"), &u) && u == UINT64_MAX);
	assert_false(weir_str_to_u64(WEIR_STR("18446744073709551616"), &u));
	assert_true(weir_str_to_double(WEIR_STR("-1.5e3"), &d) && d == -1500);
	static const char *const refused[] = {"", "+1", "01", "1.", ".5", "1e", "nan", "0x1", "1 ", "--1"};
	for (size_t k = 0; k < sizeof refused / sizeof refused[0]; k++)
		assert_false(weir_str_to_double(weir_str_from(refused[k]), &d));
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		bool fine;
	} cases[] = {
		{"plain", 5, true},
		{"\xc3\xa9", 2, true},
		{"\xf0\x9f\x8f\x83", 4, true},
		{"\xc0\x80", 2, false},
		{"\xed\xa0\x80", 3, false},
		{"\xf4\x90\x80\x80", 4, false},
		{"\xe2\x82", 2, false},
		{"\x80", 1, false},
		{"eight by\xc3\xa9", 10, true},
		{"eight by\xc3", 9, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(weir_utf8_valid((struct weir_str){cases[i].text, cases[i].size}), cases[i].fine);
}

static void test_trim(void **state)
{
	static const char *const cases[][2] = {
		{"", ""}, {" \t\r\n ", ""}, {"a b", "a b"}, {"\n a b\t", "a b"}, {"a ", "a"}, {"\v", "\v"}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(weir_str_is(weir_str_trim(weir_str_from(cases[i][0])), cases[i][1]));
	assert_int_equal(weir_str_trim((struct weir_str){0}).size, 0);
}

static void test_distance(void **state)
{
	(void)state;
	assert_int_equal(weir_str_distance(WEIR_STR("stream"), WEIR_STR("streams")), 1);
	assert_int_equal(weir_str_distance(WEIR_STR("kitten"), WEIR_STR("sitting")), 3);
	assert_int_equal(weir_str_distance(WEIR_STR(""), WEIR_STR("abc")), 3);
}

static void test_json(void **state)
{
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	(void)state;
	weir_json_object(&json);
	weir_json_key_cstring(&json, "a\"b", "tab\tnew\nline \x01 \xff");
	weir_json_key(&json, "list");
	weir_json_array(&json);
	weir_json_int(&json, -1);
	weir_json_double(&json, 0.1);
	weir_json_double(&json, NAN);
	weir_json_bool(&json, true);
	weir_json_null(&json);
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	assert_string_equal(weir_buf_cstr(&out),
		"{\"a\\\"b\":\"tab\\tnew\\nline \\u0001 \xef\xbf\xbd\",\"list\":[-1,0.1,null,true,null]}");
	weir_buf_done(&out);
}

static void test_doubles_read_back(void **state)
{
	struct weir_rng rng = weir_rng_new(7);
	(void)state;
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"}, {-0.5, "-0.5"}, {47.37, "47.37"}, {-122.000001, "-122.000001"}, {0.001, "0.001"},
		{123456789, "123456789"}, {1e300, "1e+300"}, {0.1 + 0.2, "0.30000000000000004"},
		{999999.9, "999999.9"}};
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[32];
		weir_double_format(cases[i].value, text);
		assert_string_equal(text, cases[i].text);
	}
	for (unsigned i = 0; i < 100000; i++) { /* what sensors say */
		char text[32];
		double value = (double)((int64_t)weir_rng_below(&rng, 2000000000) - 1000000000) / 1e4;
		weir_double_format(value, text);
		assert_true(strtod(text, NULL) == value);
	}
	for (unsigned i = 0; i < 100000; i++) {
		char text[32];
		uint64_t bits = weir_rng_next(&rng);
		double value;
		memcpy(&value, &bits, sizeof value);
		if (!isfinite(value))
			continue;
		weir_double_format(value, text);
		assert_true(strtod(text, NULL) == value);
	}
}

static void test_uuid(void **state)
{
	struct weir_uuid uuid;
	char text[WEIR_UUID_TEXT];
	struct weir_rng rng = weir_rng_new(1);
	(void)state;
	assert_true(weir_uuid_parse(WEIR_STR("0188F8A2-1B2C-7DEF-8123-456789ABCDEF"), &uuid));
	weir_uuid_format(&uuid, text);
	assert_string_equal(text, "0188f8a2-1b2c-7def-8123-456789abcdef");
	assert_false(weir_uuid_parse(WEIR_STR("0188F8A2-1B2C-7DEF-8123-456789ABCDE"), &uuid));
	assert_false(weir_uuid_parse(WEIR_STR("0188F8A2x1B2C-7DEF-8123-456789ABCDEF"), &uuid));
	uuid = weir_uuid_v4(&rng);
	assert_int_equal(uuid.bytes[6] >> 4, 4);
	assert_int_equal(uuid.bytes[8] >> 6, 2);
}

static void test_errors_pass_on(void **state)
{
	char text[256];
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	assert_int_equal(weir_error_wrap(&err, 0, "page %d", 3), 0);
	assert_int_equal(weir_error_in(&err, 0, WEIR_STR("a file")), 0);
	assert_string_equal(weir_error_text(&err, text, sizeof text), "");
	weir_fail(&err, WEIR_E_IO, "cut off");
	assert_int_equal(weir_error_wrap(&err, WEIR_E_UNKNOWN, "page %d", 3), WEIR_E_UNKNOWN);
	assert_int_equal(err.code, WEIR_E_UNKNOWN);
	assert_int_equal(weir_error_in(&err, err.code, WEIR_STR("a file")), WEIR_E_UNKNOWN);
	assert_int_equal(weir_error_in(&err, err.code, WEIR_STR("another")), WEIR_E_UNKNOWN);
	assert_string_equal(weir_error_text(&err, text, sizeof text), "a file: page 3: cut off");
	assert_int_equal(weir_error_wrap(NULL, WEIR_E_CORRUPT, "page %d", 3), WEIR_E_CORRUPT);
	assert_int_equal(weir_error_in(NULL, WEIR_E_CORRUPT, WEIR_STR("a file")), WEIR_E_CORRUPT);
}

/* The vectors of RFC 4648, section 10, and the digits in which the alphabets differ. */
static void test_base64(void **state)
{
	static const struct {
		const char *plain, *padded, *url;
	} cases[] = {{"", "", ""}, {"f", "Zg==", "Zg"}, {"fo", "Zm8=", "Zm8"}, {"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"}, {"fooba", "Zm9vYmE=", "Zm9vYmE"}, {"\xff\xef\xbe", "/+++", "_---"}};
	static const char *const refused[] = {"Zg=", "Zg==", "Zm9v+", "Zm 9v", "Zm9v\n"};
	struct weir_buf buf = WEIR_BUF_INIT;
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (int kind = WEIR_BASE64; kind <= WEIR_BASE64URL; kind++) {
			const char *text = kind == WEIR_BASE64 ? cases[i].padded : cases[i].url;
			buf.size = 0;
			weir_base64_write(&buf, (enum weir_base64)kind, weir_str_from(cases[i].plain));
			assert_string_equal(weir_buf_cstr(&buf), text);
			buf.size = 0;
			assert_true(weir_base64_read(&buf, (enum weir_base64)kind, weir_str_from(text)));
			assert_string_equal(weir_buf_cstr(&buf), cases[i].plain);
		}
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		assert_false(weir_base64_read(&buf, WEIR_BASE64URL, weir_str_from(refused[i])));
	assert_false(weir_base64_read(&buf, WEIR_BASE64, WEIR_STR("Zg=v")));
	assert_false(weir_base64_read(&buf, WEIR_BASE64, WEIR_STR("Zg===")));
	buf.size = 0;
	assert_false(weir_base64_read(&buf, WEIR_BASE64, WEIR_STR("Zm9v-")));
	assert_string_equal(weir_buf_cstr(&buf), "foo");
	weir_buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_doubles_read_back),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_errors_pass_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
