/*
 * json_validate against the JSON test suite of RFC 8259 (y_ files are JSON, n_ files are not). The files
 * are not part of the project: WEIR_DATA names their folder (../shared/data by default), and without it
 * only the cases written here are tested.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "format/json/json_events.h"

static void test_own_cases(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t offset; /* -1: it is JSON */
	} cases[] = {
		{"{}", -1},
		{"[]", -1},
		{" \t\r\n0 ", -1},
		{"\"\\u0000\\ud83d\\ude00\"", -1},
		{"-0.0e-0", -1},
		{"\"a text that is longer than a vector of sixteen bytes, \xc3\xa9 and so on\"", -1},
		{"1e308", -1},
		{"", 0},
		{"01", 0},
		{"-", 1},
		{"+1", 0},
		{".5", 0},
		{"1.", 2},
		{"1e", 2},
		{"1e309", 0},
		{"NaN", 0},
		{"Infinity", 0},
		{"nul", 0},
		{"[1,]", 3},
		{"[1 2]", 3},
		{"{\"a\":1,}", 7},
		{"{a:1}", 1},
		{"{\"a\" 1}", 5},
		{"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 18},
		{"{\"a\":1,\"\\u0061\":2}", 7},
		{"[] []", 3},
		{"\"a text that is longer than sixteen bytes\x1f\"", 41},
		{"\"0123456789abcdef\xed\xa0\x80\"", 17},
		{"\"0123456789abcdef", 0},
		{"'a'", 0},
		{"[\"\\x\"]", 2},
		{"\"\\ud800\\u0041\"", 1},
		{"/**/1", 0},
		{"\"\\udc00\"", 1},
		{"\"\\ud800\"", 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t offset = 12345;
		struct weir_error err = WEIR_ERROR_INIT;
		int code = json_validate(weir_str_from(cases[i].text), true, &offset, &err);
		if (cases[i].offset < 0 ? code != 0 : code != WEIR_E_INPUT || offset != (uint64_t)cases[i].offset)
			fail_msg("%s: code %d, offset %llu: %s", cases[i].text, code, (unsigned long long)offset,
				err.message);
	}
}

static void test_depth(void **state)
{
	(void)state;
	char text[2 * JSON_MAX_DEPTH + 3];
	struct weir_error err = WEIR_ERROR_INIT;
	for (size_t depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_validate((struct weir_str){text, 2 * depth}, true, NULL, &err),
			depth <= JSON_MAX_DEPTH ? 0 : WEIR_E_INPUT);
	}
}

/* More names than the few that are compared one by one, with and without one that comes twice. */
static void test_many_names(void **state)
{
	(void)state;
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	weir_buf_putc(&text, '{');
	for (int i = 0; i < 1000; i++)
		weir_buf_printf(&text, "\"name_%d\":%d,", i, i);
	size_t size = text.size;
	weir_buf_puts(&text, "\"name_1000\":0}");
	assert_int_equal(json_validate(weir_buf_str(&text), true, NULL, &err), 0);
	for (int twice = 0; twice < 1000; twice += 37) {
		uint64_t offset = 0;
		text.size = size;
		weir_buf_printf(&text, "\"name_%d\":0}", twice);
		assert_int_equal(json_validate(weir_buf_str(&text), false, NULL, &err), 0);
		assert_int_equal(json_validate(weir_buf_str(&text), true, &offset, &err), WEIR_E_INPUT);
		assert_int_equal(offset, size);
	}
	weir_buf_done(&text);
}

/* Two files of the suite have one name twice, which the RFC leaves open: JSON, but refused as an event. */
static void check_file(const char *folder, const char *name, char kind)
{
	static char data[1 << 20];
	char path[1024];
	struct weir_error err = WEIR_ERROR_INIT;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t size = fread(data, 1, sizeof data, file);
	fclose(file);
	/* A buffer of exactly the file's size, so that a sanitizer sees a byte too far. */
	char *exact = weir_alloc(size);
	memcpy(exact, data, size);
	int code = json_validate((struct weir_str){exact, size}, false, NULL, &err);
	if ((kind == 'y' && code != 0) || (kind == 'n' && code != WEIR_E_INPUT))
		fail_msg("%s: %s", name, code == 0 ? "accepted" : err.message);
	if (strstr(name, "duplicated_key") != NULL)
		assert_int_equal(json_validate((struct weir_str){exact, size}, true, NULL, &err), WEIR_E_INPUT);
	free(exact);
}

static void test_suite(void **state)
{
	(void)state;
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char folder[512];
	int count = 0;
	snprintf(folder, sizeof folder, "%s/D_conformance/json-testsuite/test_parsing", root);
	DIR *dir = opendir(folder);
	if (dir == NULL) {
		print_message("no data at %s: set WEIR_DATA; the suite was not tested\n", folder);
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		if (strstr(entry->d_name, ".json") != NULL) {
			check_file(folder, entry->d_name, entry->d_name[0]);
			count++;
		}
	closedir(dir);
	print_message("%d files\n", count);
	assert_true(count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_cases),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_suite),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
