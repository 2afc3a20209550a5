/*
 * Files of other writers: every Parquet file of the conformance data is read in full, and its rows are
 * counted against VERIFY/parquet.tsv (what DuckDB and hyparquet read). The data is found by WEIR_DATA,
 * default ../shared/data; without it the test says so and passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "format/parquet/parquet.h"

#define FILE_LIMIT ((size_t)256 << 20)

/* Files that are refused, and why that is right. */
static const struct {
	const char *path;
	int code;
} refused[] = {
	/* Checksums that do not match; engines that do not look read on. */
	{"parquet-testing/data/datapage_v1-corrupt-checksum.parquet", WEIR_E_CORRUPT},
	{"parquet-testing/data/rle-dict-uncompressed-corrupt-checksum.parquet", WEIR_E_CORRUPT},
	/* Levels past their maximum, and more values than the column chunk has. */
	{"parquet-testing/bad_data/ARROW-GH-45185.parquet", WEIR_E_CORRUPT},
	{"parquet-testing/bad_data/ARROW-RS-GH-6229-LEVELS.parquet", WEIR_E_CORRUPT},
	/* A page of 1 GiB. */
	{"parquet-testing/data/large_string_map.brotli.parquet", WEIR_E_LIMIT},
};

static int expected_refusal(const char *path)
{
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if (weir_str_has_suffix(weir_str_from(path), weir_str_from(refused[i].path)))
			return refused[i].code;
	return 0;
}

static int count_rows(const char *path, uint64_t *ret_rows, struct weir_error *err)
{
	struct pq_file *file = NULL;
	struct pq_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	char *data = NULL;
	size_t size = 0;
	*ret_rows = 0;
	int code = weir_os_read_all(weir_os_real(), path, FILE_LIMIT, &data, &size, err);
	struct weir_slice memory = {data, size};
	if (code == 0)
		code = pq_file_open(weir_source_from_memory(&memory, weir_str_from(path)), &file, err);
	if (code == 0)
		code = pq_reader_open(file, NULL, &reader, err);
	while (code == 0 && (code = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		*ret_rows += batch->row_count;
		weir_batch_release(batch);
	}
	pq_reader_close(reader);
	pq_file_free(file);
	free(data);
	return code;
}

/* Field i of a tab-separated line, which is cut in place. */
static char *take_field(char **line)
{
	char *field = *line, *end = field != NULL ? strpbrk(field, "\t\n") : NULL;
	*line = NULL;
	if (end != NULL) {
		*line = *end == '\t' ? end + 1 : NULL;
		*end = '\0';
	}
	return field;
}

static bool is_number(const char *text)
{
	return text != NULL && text[0] >= '0' && text[0] <= '9';
}

struct tally {
	unsigned read, refused, wrong;
};

/* path, DuckDB's rows, columns, scan, hyparquet's rows by footer, rows read. */
static void check_line(const char *root, char *line, struct tally *tally)
{
	char path[1024], text[1200], *fields[6];
	for (unsigned i = 0; i < 6; i++)
		fields[i] = take_field(&line);
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t rows;
	snprintf(path, sizeof path, "%s/%s", root, fields[0]);
	int code = count_rows(path, &rows, &err);
	bool scanned = fields[3] != NULL && strncmp(fields[3], "ok ", 3) == 0;
	bool readable = scanned || is_number(fields[5]);
	uint64_t wanted = scanned ? strtoull(fields[3] + 3, NULL, 10) : readable ? strtoull(fields[5], NULL, 10) : 0;
	int refusal = expected_refusal(path);
	bool good = refusal != 0 ? code == refusal : code == 0 ? !readable || rows == wanted : !readable;
	if (!good) {
		printf("%s: %llu rows, %llu expected; %s\n", fields[0], (unsigned long long)rows,
			(unsigned long long)wanted, weir_error_text(&err, text, sizeof text));
		tally->wrong++;
	}
	tally->read += code == 0;
	tally->refused += code != 0;
}

static void test_files_of_others(void **state)
{
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char path[1024], line[4096];
	struct tally tally = {0};
	(void)state;
	snprintf(path, sizeof path, "%s/VERIFY/parquet.tsv", root);
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		printf("no conformance data at %s (WEIR_DATA): nothing was compared\n", root);
		return;
	}
	assert_non_null(fgets(line, sizeof line, file)); /* the heads of columns */
	while (fgets(line, sizeof line, file) != NULL)
		check_line(root, line, &tally);
	fclose(file);
	printf("%u files read, %u refused with an error, %u not as expected\n", tally.read, tally.refused, tally.wrong);
	assert_int_equal(tally.wrong, 0);
	assert_true(tally.read > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
