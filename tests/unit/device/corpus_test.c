/*
 * Real files of devices against tests/data/telemetry.tsv, which names each of them; its numbers are held against other
 * decoders' CSV files beside them and against VERIFY/ (what independent readers say of each file). The files are not
 * part of the project: WEIR_DATA names their folder (../shared/data by default), and without it the tests say so and
 * pass.
 */
#include <ftw.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* The folder of the data; NULL, and said, where there is none. */
static const char *data_root(void)
{
	const char *root = getenv("WEIR_DATA") != NULL ? getenv("WEIR_DATA") : "../shared/data";
	char probe[1024];
	snprintf(probe, sizeof probe, "%s/A_telemetry", root);
	FILE *there = fopen(probe, "r");
	if (there == NULL) {
		print_message("no data at %s: set WEIR_DATA; nothing was tested\n", root);
		return NULL;
	}
	fclose(there);
	return root;
}

/* The table's lines, with their ends. */
struct table {
	char lines[256][1024];
	int count;
};

static void read_table(struct table *table)
{
	FILE *tsv = fopen("tests/data/telemetry.tsv", "r");
	assert_non_null(tsv);
	assert_non_null(fgets(table->lines[0], sizeof table->lines[0], tsv));
	assert_string_equal(table->lines[0], "path\tpoints\theart_rates\tfirst_time\tlast_time\terror\n");
	for (table->count = 0; fgets(table->lines[table->count], sizeof table->lines[0], tsv) != NULL; table->count++)
		assert_true(table->count < 255);
	fclose(tsv);
	assert_true(table->count > 0);
}

/* A line of the table by its file, split; false: it is not named. */
static bool find_line(struct table *table, const char *path, char *cells[TSV_COLUMNS])
{
	static char line[1024];
	size_t size = strlen(path);
	for (int i = 0; i < table->count; i++)
		if (strncmp(table->lines[i], path, size) == 0 && table->lines[i][size] == '\t') {
			memcpy(line, table->lines[i], sizeof line);
			split(line, cells);
			return true;
		}
	return false;
}

static void test_every_line(void **state)
{
	struct table table;
	const char *root = data_root();
	(void)state;
	if (root == NULL)
		return;
	read_table(&table);
	for (int i = 0; i < table.count; i++) {
		char *cells[TSV_COLUMNS];
		split(table.lines[i], cells);
		check_file(root, cells);
	}
	print_message("%d files\n", table.count);
}

/* ---- no file is forgotten ---- */

static struct walk {
	struct table table;
	size_t root_size;
	int files, forgotten;
} walked; /* nftw takes no context */

static int visit(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	const char *end = strrchr(path, '.'), *name = path + walked.root_size + 1;
	char *cells[TSV_COLUMNS];
	(void)info;
	(void)where;
	if (kind != FTW_F || end == NULL ||
		(strcasecmp(end, ".fit") != 0 && strcasecmp(end, ".tcx") != 0 && strcasecmp(end, ".gpx") != 0))
		return 0;
	walked.files++;
	if (!find_line(&walked.table, name, cells)) {
		print_error("tests/data/telemetry.tsv does not name %s\n", name);
		walked.forgotten++;
	}
	return 0;
}

static void test_every_file_is_named(void **state)
{
	const char *root = data_root();
	char folder[1024];
	(void)state;
	if (root == NULL)
		return;
	read_table(&walked.table);
	walked.root_size = strlen(root);
	snprintf(folder, sizeof folder, "%s/A_telemetry", root);
	assert_int_equal(nftw(folder, visit, 16, FTW_PHYS), 0);
	assert_int_equal(walked.forgotten, 0);
	assert_int_equal(walked.files, walked.table.count);
}

/* ---- what others make of the files ---- */

/* The cell of a line by its number, from 0; empty where there are fewer. */
static const char *cell_of(const char *line, int number, char separator)
{
	static char cell[256];
	for (; number > 0 && line != NULL; number--) {
		line = strchr(line, separator);
		line = line != NULL ? line + 1 : NULL;
	}
	size_t size = line != NULL ? strcspn(line, separator == ',' ? ",\r\n" : "\t\r\n") : 0;
	snprintf(cell, sizeof cell, "%.*s", (int)(size < sizeof cell - 1 ? size : sizeof cell - 1),
		line != NULL ? line : "");
	return cell;
}

/* VERIFY: points, or (FIT, with a note) that the file is damaged. points: the number's column; note: the remark's,
 * or -1. */
static int check_verify(const char *root, const char *file, int points, int note, struct table *table)
{
	char path[1024], line[1024];
	int compared = 0;
	snprintf(path, sizeof path, "%s/VERIFY/%s", root, file);
	FILE *in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(line, sizeof line, in) != NULL) {
		char *cells[TSV_COLUMNS];
		if (!find_line(table, cell_of(line, 0, '\t'), cells))
			continue;
		bool damaged = note >= 0 && cell_of(line, note, '\t')[0] != '\0';
		bool same = damaged || strcmp(cell_of(line, points, '\t'), cells[POINTS]) == 0;
		if (damaged != (cells[ERROR_TEXT][0] != '\0') || !same)
			fail_msg("%s: %s points, error \"%s\"; VERIFY has %s", cells[PATH], cells[POINTS],
				cells[ERROR_TEXT], line);
		compared++;
	}
	fclose(in);
	return compared;
}

/* "Sun Sep 25 06:00:22 PDT 2011", or seconds since 1989-12-31; INT64_MIN: no date (a device's own clock counts from 0). */
static int64_t other_time(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char month[4], spelled[40];
	int day, hour, minute, second, year;
	int64_t us;
	if (sscanf(text, "%*s %3s %d %d:%d:%d PDT %d", month, &day, &hour, &minute, &second, &year) == 6) {
		snprintf(spelled, sizeof spelled, "%04d-%02d-%02dT%02d:%02d:%02d-07:00", year,
			(int)(strstr(months, month) - months) / 3 + 1, day, hour, minute, second);
		assert_true(weir_time_parse(weir_str_from(spelled), WEIR_ZONE_REQUIRED, &us));
		return us;
	}
	long long seconds = atoll(text);
	return seconds >= 0x10000000 ? (seconds + 631065600) * WEIR_US_PER_SECOND : INT64_MIN;
}

/* The value after the field's name in a line of messages ("record,timestamp,"1",s,..."); empty where it has none. */
static const char *field_of(const char *line, const char *name)
{
	static char value[64];
	char wanted[64];
	snprintf(wanted, sizeof wanted, ",%s,\"", name);
	const char *at = strstr(line, wanted);
	size_t size = at != NULL ? strcspn(at + strlen(wanted), "\"") : 0;
	snprintf(value, sizeof value, "%.*s", (int)size, at != NULL ? at + strlen(wanted) : "");
	return value;
}

/* The CSV decode beside a file: one record a line, or all messages of which records count. False: there is none. */
static bool read_decode(const char *root, const char *path, struct outcome *other)
{
	char name[1024], line[4096];
	int size = (int)(strlen(path) - strlen(".fit"));
	snprintf(name, sizeof name, "%s/%.*s-records.csv", root, size, path);
	FILE *in = fopen(name, "r");
	bool messages = in == NULL;
	if (messages) {
		snprintf(name, sizeof name, "%s/%.*s.csv", root, size, path);
		in = fopen(name, "r");
	}
	*other = (struct outcome){.first_us = INT64_MAX, .last_us = INT64_MIN};
	for (bool first = true; in != NULL && fgets(line, sizeof line, in) != NULL; first = false) {
		if (first || (messages && (strncmp(line, "Data,", 5) != 0 || strstr(line, ",record,") == NULL)))
			continue;
		char rate[64];
		snprintf(rate, sizeof rate, "%.60s", messages ? field_of(line, "heart_rate") : cell_of(line, 1, ','));
		int64_t us = other_time(messages ? field_of(line, "timestamp") : cell_of(line, 0, ','));
		other->points++;
		other->heart_rates += rate[0] != '\0' && strcmp(rate, "null") != 0;
		other->first_us = us != INT64_MIN && us < other->first_us ? us : other->first_us;
		other->last_us = us > other->last_us ? us : other->last_us;
	}
	if (in != NULL)
		fclose(in);
	return in != NULL;
}

static void check_decode(const struct outcome *other, char *cells[TSV_COLUMNS])
{
	char first[WEIR_TIME_TEXT] = "", last[WEIR_TIME_TEXT] = "";
	if (other->last_us != INT64_MIN) {
		weir_time_format(other->first_us, first);
		weir_time_format(other->last_us, last);
	}
	/* This decode leaves out the one record that has no heart rate; VERIFY counts it. */
	long left_out = strstr(cells[PATH], "/compressed-speed-distance.fit") != NULL ? 1 : 0;
	if (other->points + left_out != atol(cells[POINTS]) || other->heart_rates != atol(cells[HEART_RATES]) ||
		strcmp(first, cells[FIRST_TIME]) != 0 || strcmp(last, cells[LAST_TIME]) != 0)
		fail_msg("%s: %s, %s, %s, %s; its decode has %ld, %ld, %s, %s", cells[PATH], cells[POINTS],
			cells[HEART_RATES], cells[FIRST_TIME], cells[LAST_TIME], other->points, other->heart_rates,
			first, last);
}

static void test_others_agree(void **state)
{
	struct table table;
	const char *root = data_root();
	int decodes = 0;
	(void)state;
	if (root == NULL)
		return;
	read_table(&table);
	int compared = check_verify(root, "fit.tsv", 4, 10, &table) + check_verify(root, "xml.tsv", 2, -1, &table);
	for (int i = 0; i < table.count; i++) {
		char *cells[TSV_COLUMNS];
		struct outcome other;
		split(table.lines[i], cells);
		if (!read_decode(root, cells[PATH], &other))
			continue;
		check_decode(&other, cells);
		decodes++;
	}
	print_message("%d files and %d decodes compared\n", compared, decodes);
	assert_int_equal(compared, table.count);
	assert_true(decodes > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_line),
		cmocka_unit_test(test_every_file_is_named), cmocka_unit_test(test_others_agree)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
