/* weir parquet on a file of the fuzzer's corpus: what people see, the JSON, and what is no Parquet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define FILE_OF_80_ROWS "tests/fuzz/corpus/parquet_fuzz/zstd.parquet"

/* What the command prints; the caller frees it. */
static char *run(const char *file, const char *rows, bool json, int *ret_exit)
{
	const char *texts[] = {"parquet", file, "--rows", rows, "--json"};
	FILE *before = stdout;
	struct cli_args args;
	char *text = NULL;
	size_t size = 0;
	assert_true(cli_parse(json ? 5 : 4, texts, cli_commands(), &args, stderr, stderr, ret_exit));
	stdout = open_memstream(&text, &size);
	*ret_exit = args.command->run(&args);
	fclose(stdout);
	stdout = before;
	cli_args_done(&args);
	return text;
}

static void test_text(void **state)
{
	int code;
	char *text = run(FILE_OF_80_ROWS, "2", false, &code);
	(void)state;
	assert_int_equal(code, CLI_DONE);
	assert_non_null(strstr(text, "80 rows, 2 row groups, 22 columns"));
	assert_non_null(strstr(text, "dec18"));
	assert_non_null(strstr(text, "decimal(18, 3)"));
	assert_non_null(strstr(text, "\nrow group 1: 20 rows"));
	assert_non_null(strstr(text, "DELTA_BINARY_PACKED"));
	assert_non_null(strstr(text, "2023-11-14T22:14:19.000177")); /* a maximum */
	assert_non_null(strstr(text, "{\"k0\":\"v1\"}"));            /* of the second row */
	assert_null(strstr(text, "{\"k0\":\"v2\""));                 /* of the third */
	free(text);
}

static void test_json(void **state)
{
	int code;
	char *text = run(FILE_OF_80_ROWS, "3", true, &code);
	json_t *all = json_loads(text, 0, NULL), *group, *column;
	(void)state;
	assert_int_equal(code, CLI_DONE);
	assert_non_null(all);
	assert_int_equal(json_integer_value(json_object_get(all, "row_count")), 80);
	assert_int_equal(json_array_size(json_object_get(all, "columns")), 22);
	assert_int_equal(json_array_size(json_object_get(all, "rows")), 3);
	group = json_array_get(json_object_get(all, "row_groups"), 0);
	assert_int_equal(json_integer_value(json_object_get(group, "row_count")), 60);
	column = json_array_get(json_object_get(group, "columns"), 0);
	assert_string_equal(json_string_value(json_object_get(column, "path")), "id");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(column, "encodings"), 0)), "DELTA_BINARY_PACKED");
	assert_int_equal(json_integer_value(json_object_get(column, "max")), 59);
	assert_true(json_is_true(json_object_get(column, "bloom_filter")));
	assert_int_equal(json_integer_value(json_object_get(column, "null_count")), 0);
	json_decref(all);
	free(text);
	text = run(FILE_OF_80_ROWS, "1000", true, &code); /* all of them */
	all = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(all, "rows")), 80);
	json_decref(all);
	free(text);
}

static void test_refused(void **state)
{
	int code;
	(void)state;
	free(run("docs/reference/cli.md", "1", false, &code));
	assert_int_equal(code, CLI_FAILED);
	free(run("no/such/file", "1", true, &code));
	assert_int_equal(code, CLI_FAILED);
	free(run("tests", "1", false, &code));
	assert_int_equal(code, CLI_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
