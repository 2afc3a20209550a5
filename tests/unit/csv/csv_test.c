/* CSV in both directions: quoting, line ends, faults by row, blocks of any size. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "column/builder.h"
#include "format/csv/csv.h"
#include "format/json/json_events.h"
#include "support/pieces.h"

/* The whole file as "a|b;c|~;" with ~ for null, then "!LINE problem" for each bad row. */
static void render(const char *text, size_t size, size_t step, struct weir_buf *out)
{
	struct pieces pieces = {{text, size}, 0, step};
	struct csv_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	int code = csv_reader_open((struct weir_byte_reader){read_piece, &pieces}, WEIR_STR("t.csv"), &reader, &err);
	if (code != 0) {
		weir_buf_printf(out, "E%d@%lld", code, (long long)err.offset);
		return;
	}
	const struct weir_schema *schema = csv_reader_schema(reader);
	for (uint32_t i = 0; i < schema->field_count; i++)
		weir_buf_printf(out, "%s%.*s", i > 0 ? "|" : "", WEIR_STR_ARG(schema->fields[i].name));
	weir_buf_puts(out, ";");
	while ((code = csv_reader_next(reader, &batch, &err)) == 0) {
		const struct csv_problem *problems;
		uint32_t count = csv_reader_problems(reader, &problems);
		for (uint32_t row = 0; batch != NULL && row < batch->row_count; row++) {
			for (uint32_t i = 0; i < schema->field_count; i++) {
				struct weir_str value = weir_column_is_valid(&batch->columns[i], row)
					? weir_column_str(&batch->columns[i], row)
					: WEIR_STR("~");
				weir_buf_printf(out, "%s%.*s", i > 0 ? "|" : "", WEIR_STR_ARG(value));
			}
			weir_buf_puts(out, ";");
		}
		for (uint32_t i = 0; i < count; i++)
			weir_buf_printf(out, "!%llu@%llu [%.*s] %s;", (unsigned long long)problems[i].line,
				(unsigned long long)problems[i].offset, WEIR_STR_ARG(problems[i].row),
				problems[i].problem);
		if (batch == NULL)
			break;
		weir_batch_release(batch);
	}
	if (code != 0)
		weir_buf_printf(out, "E%d@%lld", code, (long long)err.offset);
	csv_reader_close(reader);
}

static void test_reading(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"a,b\n1,2\n", "a|b;1|2;"},
		{"a,b\r\n1,2\r\n3,\r\n", "a|b;1|2;3|~;"},
		{"\xef\xbb\xbf"
		 "a,b\n1,2",
			"a|b;1|2;"},
		{"a,b\n\"\",\n", "a|b;|~;"},
		{"a,b\n\"x\"\"y\",\"1\n2\"\n", "a|b;x\"y|1\n2;"},
		{"a,b\n\"x,y\",\"1\r\n2\"\r\n", "a|b;x,y|1\r\n2;"},
		{"a,b\n5\" disk,x\n", "a|b;5\" disk|x;"},
		{"a,b\n\n1,2\n\r\n3,4\n", "a|b;1|2;3|4;"},
		{"a,b\n1\n1,2,3\n4,5\n",
			"a|b;4|5;!2@4 [1] has fewer fields than the header;"
			"!3@6 [1,2,3] has more fields than the header;"},
		{"a,b\n\"x\"y,1\n\"q\n\"\"\",2\n",
			"a|b;q\n\"|2;!2@4 [\"x\"y,1] text follows a closing quote: double "
			"the quotes inside a field;"},
		{"a,b\n\"1\n2\",3\n4\n", "a|b;1\n2|3;!4@12 [4] has fewer fields than the header;"},
		{"a,b\n1,\"2\n", "a|b;!2@4 [1,\"2] a quote is not closed;"},
		{"a,b\n\xff,1\n", "a|b;!2@4 [\xff,1] is not UTF-8;"},
		{"a\n \n", "a; ;"},
		{"a,b\n1,\"2\"\r\"3\"\n4,\"5\"\r",
			"a|b;4|5;!2@4 [1,\"2\"\r\"3\"] text follows a closing quote: double the "
			"quotes inside a field;"},
		{"", "E-1@0"},
		{"a,a\n", "E-1@0"},
		{"a,\n", "E-1@0"},
		{"a", "a;"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (size_t step = 1; step < 64; step += step < 8 ? 1 : 13) {
			struct weir_buf out = WEIR_BUF_INIT;
			render(cases[i].text, strlen(cases[i].text), step, &out);
			if (!weir_str_is(weir_buf_str(&out), cases[i].expected))
				fail_msg("case %zu, pieces of %zu: %s", i, step, weir_buf_cstr(&out));
			weir_buf_done(&out);
		}
}

static void test_limits(void **state)
{
	(void)state;
	size_t size = CSV_MAX_FIELD_BYTES + 100;
	char *text = weir_alloc(size);
	memset(text, 'x', size);
	memcpy(text, "a,b\n1,2\n\"", 9);
	struct weir_buf out = WEIR_BUF_INIT;
	render(text, size, 65536, &out);
	assert_string_equal(weir_buf_cstr(&out), "a|b;E-9@8");
	weir_buf_done(&out);
	free(text);
}

static void test_many_bad_rows(void **state)
{
	(void)state;
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_puts(&text, "a,b\n");
	for (int i = 0; i < 5000; i++)
		weir_buf_puts(&text, "1\n");
	weir_buf_puts(&text, "1,2\n");
	struct pieces pieces = {weir_buf_str(&text), 0, 1000};
	struct csv_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	const struct csv_problem *problems;
	uint32_t rows = 0, bad = 0;
	assert_int_equal(
		csv_reader_open((struct weir_byte_reader){read_piece, &pieces}, WEIR_STR("t"), &reader, &err), 0);
	while (csv_reader_next(reader, &batch, &err) == 0 && batch != NULL) {
		rows += batch->row_count;
		bad += csv_reader_problems(reader, &problems);
		if (batch->row_count > 0)
			assert_int_equal(csv_reader_line(reader, 0), 5002);
		weir_batch_release(batch);
	}
	assert_int_equal(rows, 1);
	assert_int_equal(bad, 5000);
	csv_reader_close(reader);
	weir_buf_done(&text);
}

static void test_writing(void **state)
{
	(void)state;
	struct weir_field map[] = {
		{.name = WEIR_STR("key"), .type = WEIR_STRING}, {.name = WEIR_STR("value"), .type = WEIR_STRING}};
	struct weir_field fields[] = {{.name = WEIR_STR("text"), .type = WEIR_STRING},
		{.name = WEIR_STR("at, UTC"), .type = WEIR_TIMESTAMPTZ}, {.name = WEIR_STR("n"), .type = WEIR_DOUBLE},
		{.name = WEIR_STR("price"), .type = WEIR_DECIMAL, .precision = 9, .scale = 2},
		{.name = WEIR_STR("m"), .type = WEIR_MAP, .children = map, .child_count = 2},
		{.name = WEIR_STR("ok"), .type = WEIR_BOOL}};
	const struct weir_schema schema = {.field_count = 6, .fields = fields};
	struct weir_builder *builder = weir_builder_new(&schema);
	weir_builder_str(builder, 0, WEIR_STR("say \"hi\""));
	weir_builder_i64(builder, 1, 1738396800250000LL);
	weir_builder_double(builder, 2, 210.5);
	weir_builder_decimal(builder, 3, -5);
	weir_builder_map_entry(builder, 4, WEIR_STR("k"), WEIR_STR("v"));
	weir_builder_bool(builder, 5, true);
	weir_builder_end_row(builder);
	weir_builder_str(builder, 0, WEIR_STR(""));
	weir_builder_decimal(builder, 3, 123456);
	weir_builder_end_row(builder);
	weir_builder_str(builder, 0, WEIR_STR("\xef\xbb\xbfx"));
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	struct weir_buf out = WEIR_BUF_INIT;
	csv_write_header(&schema, &out);
	csv_write_row(batch, 0, &out);
	csv_write_row(batch, 1, &out);
	csv_write_row(batch, 2, &out);
	assert_string_equal(weir_buf_cstr(&out),
		"text,\"at, UTC\",n,price,m,ok\r\n"
		"\"say \"\"hi\"\"\",2025-02-01T08:00:00.250Z,210.5,-0.05,\"{\"\"k\"\":\"\"v\"\"}\",true\r\n"
		"\"\",,,1234.56,,\r\n\"\xef\xbb\xbfx\",,,,,\r\n");
	weir_buf_done(&out);
	weir_batch_release(batch);
	weir_builder_free(builder);
}

static struct weir_str read_file(struct weir_arena *arena, const char *folder, const char *name, const char *ending)
{
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char *path = weir_arena_printf(arena, "%s/D_conformance/csv-spectrum/%s/%s.%s", root, folder, name, ending);
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return (struct weir_str){0};
	char *data = weir_arena_alloc(arena, 65536);
	size_t size = fread(data, 1, 65536, file);
	fclose(file);
	return (struct weir_str){data, size};
}

/* Each cell of the CSV file is what the collection's JSON file says. */
static void check_spectrum_file(struct weir_arena *arena, const char *name, struct weir_str csv)
{
	struct weir_str json = read_file(arena, "json", name, "json");
	struct pieces pieces = {csv, 0, 7};
	struct csv_reader *reader = NULL;
	struct weir_batch *batch = NULL, **expected;
	const struct weir_schema *schema;
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t count;
	assert_int_equal(json_document_rows(json, arena, &schema, &expected, &count, &err), 0);
	assert_int_equal(count, 1);
	assert_int_equal(
		csv_reader_open((struct weir_byte_reader){read_piece, &pieces}, weir_str_from(name), &reader, &err), 0);
	assert_int_equal(csv_reader_next(reader, &batch, &err), 0);
	assert_non_null(batch);
	assert_int_equal(batch->row_count, expected[0]->row_count);
	assert_int_equal(batch->schema->field_count, schema->field_count);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		uint32_t column = weir_schema_find(batch->schema, schema->fields[i].name);
		assert_int_not_equal(column, WEIR_NO_FIELD);
		/* The collection's two files of this name differ in this number. */
		if (weir_str_is(schema->fields[i].name, "Contact Phone Number"))
			continue;
		for (uint32_t row = 0; row < batch->row_count; row++) {
			struct weir_str wanted = weir_column_str(&expected[0]->columns[i], row);
			struct weir_str actual = weir_column_is_valid(&batch->columns[column], row)
				? weir_column_str(&batch->columns[column], row)
				: WEIR_STR("");
			if (!weir_str_equal(wanted, actual))
				fail_msg("%s, row %u: \"%.*s\", expected \"%.*s\"", name, row, WEIR_STR_ARG(actual),
					WEIR_STR_ARG(wanted));
		}
	}
	weir_batch_release(batch);
	csv_reader_close(reader);
}

/* The csv-spectrum collection, which is not part of the project: WEIR_DATA names the folder that has it. */
static void test_spectrum(void **state)
{
	(void)state;
	static const char *const names[] = {"comma_in_quotes", "empty", "empty_crlf", "escaped_quotes", "json",
		"location_coordinates", "newlines", "newlines_crlf", "quotes_and_newlines", "simple", "simple_crlf",
		"utf8"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_str csv = read_file(arena, "csvs", names[i], "csv");
		if (csv.data != NULL)
			check_spectrum_file(arena, names[i], csv);
		else
			print_message("%s.csv is not there: set WEIR_DATA; it was not tested\n", names[i]);
		weir_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_many_bad_rows),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_spectrum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
