/*
 * Real files of devices against tests/data/telemetry.tsv, whose numbers agree with other decoders' CSV
 * files beside them. The files are not part of the project: WEIR_DATA names their folder
 * (../shared/data by default), and without it the test says so and passes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/time.h"
#include "format/device/device.h"

enum { PATH, POINTS, HEART_RATES, FIRST_TIME, LAST_TIME, ERROR_TEXT, TSV_COLUMNS };

struct outcome {
	long points, heart_rates;
	int64_t first_us, last_us;
	char error[1200];
};

static void count_batch(const struct weir_batch *batch, struct outcome *outcome)
{
	const struct weir_column *heart_rate = &batch->columns[DEVICE_HEART_RATE];
	const struct weir_column *time = &batch->columns[DEVICE_TIMESTAMP];
	for (uint32_t row = 0; row < batch->row_count; row++) {
		assert_int_equal(weir_column_i64(&batch->columns[DEVICE_ORDINAL], row), outcome->points);
		outcome->points++;
		outcome->heart_rates += weir_column_is_valid(heart_rate, row);
		if (!weir_column_is_valid(time, row))
			continue;
		int64_t us = weir_column_i64(time, row);
		outcome->first_us = us < outcome->first_us ? us : outcome->first_us;
		outcome->last_us = us > outcome->last_us ? us : outcome->last_us;
	}
}

static struct outcome decode(const char *root, const char *path)
{
	struct outcome outcome = {.first_us = INT64_MAX, .last_us = INT64_MIN};
	struct weir_error err = WEIR_ERROR_INIT;
	struct device_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	enum device_format format;
	char name[1024];
	snprintf(name, sizeof name, "%s/%s", root, path);
	FILE *file = fopen(name, "rb");
	if (file == NULL)
		fail_msg("cannot open %s", name);
	fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	rewind(file);
	char *data = weir_alloc(size);
	assert_int_equal(fread(data, 1, size, file), size);
	fclose(file);
	const struct weir_slice memory = {data, size};
	assert_true(device_format_detect(data, size < 4096 ? size : 4096, &format));
	int code = device_reader_open(format, weir_source_from_memory(&memory, weir_str_from(path)), &reader, &err);
	while (code == 0 && (code = device_reader_next(reader, &batch, &err)) == 0 && batch != NULL) {
		count_batch(batch, &outcome);
		weir_batch_release(batch);
	}
	device_reader_close(reader);
	if (code != 0) {
		assert_int_equal(outcome.points, 0);
		snprintf(outcome.error, sizeof outcome.error, "%llu: %s", (unsigned long long)err.offset, err.message);
	}
	free(data);
	return outcome;
}

/* Splits a line at its tabs, in place. */
static void split(char *line, char *cells[TSV_COLUMNS])
{
	char *line_end = line + strcspn(line, "\r\n");
	*line_end = 0;
	for (int i = 0; i < TSV_COLUMNS; i++) {
		char *cell = strsep(&line, "\t");
		cells[i] = cell != NULL ? cell : line_end;
	}
}

static void check_file(const char *root, char *cells[TSV_COLUMNS])
{
	struct outcome outcome = decode(root, cells[PATH]);
	char first[WEIR_TIME_TEXT] = "", last[WEIR_TIME_TEXT] = "";
	if (outcome.last_us != INT64_MIN) {
		weir_time_format(outcome.first_us, first);
		weir_time_format(outcome.last_us, last);
	}
	if (outcome.points != atol(cells[POINTS]) || outcome.heart_rates != atol(cells[HEART_RATES]) ||
	        strcmp(first, cells[FIRST_TIME]) != 0 || strcmp(last, cells[LAST_TIME]) != 0 ||
	        strcmp(outcome.error, cells[ERROR_TEXT]) != 0)
		fail_msg(
		        "%s: %ld points, %ld heart rates, from %s to %s, error \"%s\"; expected %s, %s, %s, %s, \"%s\"",
		        cells[PATH], outcome.points, outcome.heart_rates, first, last, outcome.error, cells[POINTS],
		        cells[HEART_RATES], cells[FIRST_TIME], cells[LAST_TIME], cells[ERROR_TEXT]);
}

static void test_every_file(void **state)
{
	(void)state;
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char line[4096], probe[1024];
	int files = 0;
	snprintf(probe, sizeof probe, "%s/A_telemetry", root);
	FILE *there = fopen(probe, "r");
	if (there == NULL) {
		print_message("no data at %s: set WEIR_DATA; nothing was tested\n", root);
		return;
	}
	fclose(there);
	FILE *tsv = fopen("tests/data/telemetry.tsv", "r");
	assert_non_null(tsv);
	assert_non_null(fgets(line, sizeof line, tsv));
	assert_string_equal(line, "path\tpoints\theart_rates\tfirst_time\tlast_time\terror\n");
	for (; fgets(line, sizeof line, tsv) != NULL; files++) {
		char *cells[TSV_COLUMNS];
		split(line, cells);
		check_file(root, cells);
	}
	fclose(tsv);
	print_message("%d files\n", files);
	assert_true(files > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_file)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
