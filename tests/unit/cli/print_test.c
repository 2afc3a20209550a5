/* Tables, numbers and progress as people see them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static void test_table(void **state)
{
	static const struct {
		const char *csv, *text;
	} cases[] = {
		{"name,n\r\na,1\r\nlonger,22\r\n", "name     n\na        1\nlonger  22\n"},
		{"a,b\r\n", "a  b\n"},
		{"", ""},
		{"a,b\r\n\"x,\"\"y\"\"\",\r\n", "a      b\nx,\"y\"  \n"},
		{"a\r\n\"two\r\nlines\"\r\n", "a\ntwo  lines\n"},
		{"a,b\r\n\xc3\xa4,x\r\nbb,y", "a   b\n\xc3\xa4   x\nbb  y\n"},
		{"t\r\n\x1b[2J\r\n", "t\n [2J\n"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[512] = "";
		struct cli_table *table = cli_table_new();
		cli_table_csv(table, weir_str_from(cases[i].csv));
		FILE *out = fmemopen(text, sizeof text - 1, "w");
		cli_table_print(table, out);
		fclose(out);
		cli_table_free(table);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_numbers(void **state)
{
	char bytes[24], count[32];
	(void)state;
	cli_bytes_text(0, bytes);
	assert_string_equal(bytes, "0 B");
	cli_bytes_text(1023, bytes);
	assert_string_equal(bytes, "1023 B");
	cli_bytes_text(1536, bytes);
	assert_string_equal(bytes, "1.5 KiB");
	cli_bytes_text(UINT64_MAX, bytes);
	assert_string_equal(bytes, "16777216.0 TiB");
	cli_count_text(0, count);
	assert_string_equal(count, "0");
	cli_count_text(999, count);
	assert_string_equal(count, "999");
	cli_count_text(1234567, count);
	assert_string_equal(count, "1,234,567");
	cli_count_text(UINT64_MAX, count);
	assert_string_equal(count, "18,446,744,073,709,551,615");
}

static void test_progress(void **state)
{
	static const struct {
		uint64_t done, total, events;
		unsigned width;
		const char *text;
	} cases[] = {
		{0, 0, 0, 80, "f.json  0 B"},
		{2048, 0, 12, 80, "f.json  2.0 KiB  12 events"},
		{512, 1024, 1234, 80, "f.json  [#####.....]   50 %  512 B of 1.0 KiB  1,234 events"},
		{512, 1024, 0, 60, "f.json   50 %  512 B of 1.0 KiB"},
		{1024, 1024, 0, 120, "f.json  [##############################]  100 %  1.0 KiB of 1.0 KiB"},
		{4096, 1024, 0, 60, "f.json  100 %  4.0 KiB of 1.0 KiB"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_buf text = WEIR_BUF_INIT;
		cli_progress_text("dir/f.json", cases[i].done, cases[i].total, cases[i].events, cases[i].width, &text);
		assert_string_equal(weir_buf_cstr(&text), cases[i].text);
		weir_buf_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_progress),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
