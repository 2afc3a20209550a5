/*
 * Files of other writers: every Parquet file of the conformance data is read in full, and its values are held against
 * tests/data/parquet.tsv. A line there is either
 *
 *   path, rows, columns, digest of the rows (row_text.h), who else reads the same values
 *   path, -, -, error code and a part of its text, why that is right
 *
 * tests/interop/parquet_conformance.py made the table, after comparing each row with what DuckDB, pyarrow and
 * hyparquet's expected rows say. The data is found by WEIR_DATA, default ../shared/data; without it the test says so
 * and passes. With the path of a file as its argument the program prints the rows instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/os.h"
#include "format/parquet/parquet.h"
#include "row_text.h"

#define FILE_LIMIT ((size_t)256 << 20)
#define TABLE      "tests/data/parquet.tsv"

struct found {
	int code;
	uint64_t rows, digest;
	uint32_t columns;
};

/* Reads a file whole; each row's text goes to out, where there is one, and into the digest. */
static void read_rows(struct pq_reader *reader, FILE *out, struct found *found, struct weir_error *err)
{
	struct weir_buf line = WEIR_BUF_INIT;
	struct weir_batch *batch = NULL;
	while ((found->code = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++) {
			line.size = 0;
			row_text(&line, batch, row);
			found->digest = weir_hash64_seeded(line.data, line.size, found->digest);
			if (out != NULL)
				fwrite(line.data, 1, line.size, out);
		}
		found->rows += batch->row_count;
		weir_batch_release(batch);
	}
	weir_buf_done(&line);
}

static struct found read_file(const char *path, FILE *out, struct weir_error *err)
{
	struct pq_file *file = NULL;
	struct pq_reader *reader = NULL;
	struct found found = {0};
	char *data = NULL;
	size_t size = 0;
	found.code = weir_os_read_all(weir_os_real(), path, FILE_LIMIT, &data, &size, err);
	struct weir_slice memory = {data, size};
	if (found.code == 0)
		found.code = pq_file_open(weir_source_from_memory(&memory, weir_str_from(path)), &file, err);
	if (found.code == 0)
		found.code = pq_reader_open(file, NULL, &reader, err);
	if (found.code == 0) {
		found.columns = pq_file_schema(file)->field_count;
		read_rows(reader, out, &found, err);
	}
	pq_reader_close(reader);
	pq_file_free(file);
	free(data);
	return found;
}

/* Field i of a tab-separated line, which is cut in place. */
static const char *take_field(char **line)
{
	char *field = *line, *end = field != NULL ? strpbrk(field, "\t\n") : NULL;
	*line = NULL;
	if (end != NULL) {
		*line = *end == '\t' ? end + 1 : NULL;
		*end = '\0';
	}
	return field != NULL ? field : "";
}

static bool as_expected(const struct found *found, const char *const fields[5], const char *text)
{
	if (strcmp(fields[1], "-") == 0) /* "-4 a part of the text" */
		return found->code == atoi(fields[3]) && strstr(text, strchr(fields[3], ' ') + 1) != NULL;
	return found->code == 0 && found->rows == strtoull(fields[1], NULL, 10) &&
		found->columns == strtoull(fields[2], NULL, 10) && found->digest == strtoull(fields[3], NULL, 16);
}

struct tally {
	unsigned read, refused, wrong;
};

static void check_line(const char *root, char *line, struct tally *tally)
{
	char path[1024], text[1200];
	const char *fields[5];
	struct weir_error err = WEIR_ERROR_INIT;
	for (unsigned i = 0; i < 5; i++)
		fields[i] = take_field(&line);
	snprintf(path, sizeof path, "%s/%s", root, fields[0]);
	struct found found = read_file(path, NULL, &err);
	weir_error_text(&err, text, sizeof text);
	if (!as_expected(&found, fields, text)) {
		printf("%s: %llu rows, %u columns, digest %016llx, code %d %s; expected %s %s %s\n", fields[0],
			(unsigned long long)found.rows, found.columns, (unsigned long long)found.digest, found.code,
			found.code != 0 ? text : "", fields[1], fields[2], fields[3]);
		tally->wrong++;
	}
	tally->read += found.code == 0;
	tally->refused += found.code != 0;
}

static void test_files_of_others(void **state)
{
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char path[1024], line[4096];
	struct tally tally = {0};
	(void)state;
	snprintf(path, sizeof path, "%s/D_conformance", root);
	FILE *file = fopen(path, "r"), *table = fopen(TABLE, "r");
	assert_non_null(table);
	if (file == NULL) {
		printf("no conformance data at %s (WEIR_DATA): nothing was compared\n", root);
		fclose(table);
		return;
	}
	fclose(file);
	assert_non_null(fgets(line, sizeof line, table)); /* the heads of columns */
	while (fgets(line, sizeof line, table) != NULL)
		check_line(root, line, &tally);
	fclose(table);
	printf("%u files read, %u refused with an error, %u not as expected\n", tally.read, tally.refused, tally.wrong);
	assert_int_equal(tally.wrong, 0);
	assert_true(tally.read > 300);
}

/* Rows to stdout; on stderr "rows columns digest", or "code text". */
static int print_file(const char *path)
{
	char text[1200];
	struct weir_error err = WEIR_ERROR_INIT;
	struct found found = read_file(path, stdout, &err);
	if (found.code != 0)
		fprintf(stderr, "%d %s\n", found.code, weir_error_text(&err, text, sizeof text));
	else
		fprintf(stderr, "%llu %u %016llx\n", (unsigned long long)found.rows, found.columns,
			(unsigned long long)found.digest);
	return found.code != 0;
}

int main(int count, char **texts)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_others),
	};
	if (count > 1)
		return print_file(texts[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
