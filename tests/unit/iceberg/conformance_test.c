/*
 * Every table of the conformance data, by each of its metadata files, held against tests/data/iceberg.tsv: the number of
 * rows and a digest of their values, or the error. tests/interop/iceberg_conformance.py makes that file with another
 * engine's answers. With an argument: prints the rows of one metadata file (or of all, as the table has them).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/os.h"
#include "column/text.h"
#include "iceberg/internal.h"

#define TABLES "D_conformance/duckdb-iceberg-tables"

static void put_cell(
	struct weir_buf *out, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char text[WEIR_VALUE_TEXT];
	if (!weir_column_is_valid(column, row)) {
		weir_buf_puts(out, "null");
		return;
	}
	switch (field->type) {
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		weir_buf_printf(out, "%.17g", weir_column_double(column, row));
		break;
	case WEIR_DATE:
	case WEIR_TIME:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		weir_buf_printf(out, "%" PRId64, weir_column_i64(column, row));
		break;
	case WEIR_FIXED:
	case WEIR_BINARY: {
		struct weir_str bytes = weir_column_str(column, row);
		for (size_t i = 0; i < bytes.size; i++)
			weir_buf_printf(out, "%02x", (uint8_t)bytes.data[i]);
		break;
	}
	case WEIR_LIST:
	case WEIR_MAP: {
		const struct weir_span *span = (const struct weir_span *)column->values + row;
		weir_buf_putc(out, '[');
		for (uint64_t k = span->offset; k < span->offset + span->length; k++) {
			weir_buf_puts(out, k > span->offset ? "," : "");
			put_cell(out, &field->children[0], &column->children[0], (uint32_t)k);
			if (field->type == WEIR_MAP) {
				weir_buf_putc(out, '=');
				put_cell(out, &field->children[1], &column->children[1], (uint32_t)k);
			}
		}
		weir_buf_putc(out, ']');
		break;
	}
	case WEIR_STRUCT:
		weir_buf_putc(out, '{');
		for (uint32_t i = 0; i < field->child_count; i++) {
			weir_buf_puts(out, i > 0 ? "," : "");
			put_cell(out, &field->children[i], &column->children[i], row);
		}
		weir_buf_putc(out, '}');
		break;
	default: {
		struct weir_str value = weir_column_text(field, column, row, text);
		weir_buf_append(out, value.data, value.size);
	}
	}
}

struct rows {
	char **lines;
	uint32_t count, capacity;
};

static void add_rows(struct rows *rows, const struct weir_batch *batch)
{
	for (uint32_t row = 0; row < batch->row_count; row++) {
		struct weir_buf line = WEIR_BUF_INIT;
		for (uint32_t i = 0; i < batch->schema->field_count; i++) {
			weir_buf_puts(&line, i > 0 ? "\t" : "");
			put_cell(&line, &batch->schema->fields[i], &batch->columns[i], row);
		}
		WEIR_GROW(rows->lines, rows->count, rows->capacity);
		rows->lines[rows->count++] = weir_strdup(weir_buf_cstr(&line));
		weir_buf_done(&line);
	}
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int scan(struct store *store, const char *path, struct rows *rows, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct ice_table *table = NULL;
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int code = ice_table_open_moved(store, NULL, (struct ice_name){WEIR_STR("d"), WEIR_STR("t")},
		store_uri(store, arena, weir_str_from(path)), &table, err);
	if (code == 0)
		code = ice_plan(table, -1, NULL, &files, err);
	if (code == 0)
		code = ice_reader_open(table, files->files, files->count, NULL, NULL, &reader, err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		add_rows(rows, batch);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(table);
	weir_arena_free(arena);
	if (rows->count > 0)
		qsort(rows->lines, rows->count, sizeof *rows->lines, by_bytes);
	return code;
}

/* "rows\tdigest", or "code\t" and the error's text without places. */
static void answer(struct store *store, const char *path, bool print, char *out, size_t size)
{
	struct rows rows = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	uint8_t digest[WEIR_SHA256_SIZE];
	char hex[2 * WEIR_SHA256_SIZE + 1];
	int code = scan(store, path, &rows, &err);
	struct weir_sha256 *state = weir_sha256_new();
	for (uint32_t i = 0; i < rows.count; i++) {
		if (print)
			printf("%s\n", rows.lines[i]);
		weir_sha256_part(state, rows.lines[i], strlen(rows.lines[i]));
		weir_sha256_part(state, "\n", 1);
		free(rows.lines[i]);
	}
	weir_sha256_finish(state, digest);
	weir_hex(digest, 8, hex);
	if (code == 0)
		snprintf(out, size, "%u\t%.16s", rows.count, hex);
	else
		snprintf(out, size, "%s\t%s", weir_code_name(code), err.message);
	free(rows.lines);
}

static void data_path(char *out, size_t size)
{
	const char *root = getenv("WEIR_DATA");
	snprintf(out, size, "%s/" TABLES, root != NULL ? root : "../shared/data");
}

static void test_tables(void **state)
{
	char root[512], *table;
	size_t size;
	unsigned tested = 0, wrong = 0;
	struct store *store;
	struct weir_error err = WEIR_ERROR_INIT;
	bool is_directory = false;
	(void)state;
	data_path(root, sizeof root);
	struct weir_file_info info;
	if (weir_os_real()->stat(weir_os_real()->self, root, &info, &err) == 0)
		is_directory = info.is_directory;
	if (!is_directory) {
		print_message("absent, not tested: %s\n", root);
		return;
	}
	assert_int_equal(weir_os_read_all(weir_os_real(), "tests/data/iceberg.tsv", 1U << 20, &table, &size, &err), 0);
	assert_int_equal(store_local_open(weir_os_real(), root, &store, &err), 0);
	char *save = NULL, *text = weir_zalloc(size + 1);
	memcpy(text, table, size);
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char given[1200];
		char *first = strchr(line, '\t');
		if (line[0] == '#' || first == NULL)
			continue;
		*first = '\0';
		answer(store, line, false, given, sizeof given);
		size_t expected = strcspn(first + 1, "\t");
		expected += 1 + strcspn(first + 2 + expected, "\t");
		if (strlen(given) != expected || strncmp(first + 1, given, expected) != 0) {
			print_error("%s:\n  %.*s expected\n  %s\n", line, (int)expected, first + 1, given);
			wrong++;
		}
		tested++;
	}
	print_message("%u metadata files of %s\n", tested, root);
	assert_true(tested > 80);
	assert_int_equal(wrong, 0);
	store_close(store);
	free(text);
	free(table);
}

/* ROOT FILE...: one line each, with `rows` before the files their rows as well. */
static int print_answers(int argc, char **argv)
{
	struct store *store;
	struct weir_error err = WEIR_ERROR_INIT;
	bool rows = false;
	if (store_local_open(weir_os_real(), argv[1], &store, &err) != 0)
		return 1;
	for (int i = 2; i < argc; i++) {
		char given[1200];
		if (strcmp(argv[i], "rows") == 0) {
			rows = true;
			continue;
		}
		answer(store, argv[i], rows, given, sizeof given);
		printf("%s\t%s\n", argv[i], given);
	}
	store_close(store);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tables)};
	if (argc > 2)
		return print_answers(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
