// uses: weir_iceberg
/*
 * How fast weir plans, commits to and scans Iceberg tables. DIR holds control.db (a SQL catalog that other engines open
 * too) and warehouse; tables are in the namespace bench.
 *
 *   iceberg_bench files DIR TABLE COUNT                        a table of COUNT data files that are only spoken of: 400 days,
 *                                                              each file has a part of a day and bounds for each column
 *   iceberg_bench plan DIR TABLE LOW HIGH TIMES                the files with LOW <= time < HIGH (microseconds; - -: all)
 *   iceberg_bench commit DIR TABLE COMMITS                     appends of one such file each; a line of milliseconds each
 *   iceberg_bench fill DIR TABLE INPUT.parquet FILES           a table of the input's rows, in so many files
 *   iceberg_bench scan DIR TABLE THREADS TIMES COLUMN LOW HIGH the rows with LOW <= COLUMN <= HIGH, every column of them
 *   iceberg_bench uri DIR TABLE                                the metadata file of the current version
 *
 * The last line is the least milliseconds of TIMES (by the clock; a scan with one thread: of CPU), what was found (files, rows), cells with a value (scan; bytes for
 * fill), and the peak memory of the process. Planning opens the table anew each time, with nothing cached; a scan opens it
 * anew with the cache of an earlier one, as a running server has it.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "base/uuid.h"
#include "iceberg/table.h"
#include "measure.h"

#define START_MS     1735689600000 /* 2025-01-01T00:00:00Z */
#define START_DAY    20089
#define DAYS         400
#define FILE_ROWS    10000
#define BATCH_FILES  5000 /* of a commit that makes the table */
#define CACHE_BYTES  (512ULL << 20)
#define THREADS_MAX  16
#define INPUT_LIMIT  ((size_t)4 << 30)
#define ROW_GROUP_MS 1000 /* between the snapshots that make the table */

struct bench {
	struct weir_arena *arena;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	struct ice_name name;
	int64_t now_ms;
};

static _Noreturn void stop(const struct weir_error *err)
{
	char text[1200];
	fprintf(stderr, "iceberg_bench: %s\n", weir_error_text(err, text, sizeof text));
	exit(1);
}

static void need(int code, const struct weir_error *err)
{
	if (code != 0)
		stop(err);
}

static double read_clock(clockid_t clock)
{
	struct timespec at;
	clock_gettime(clock, &at);
	return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static double now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void say(double ms, uint64_t found, uint64_t cells)
{
	printf("%.3f %llu %llu %lld\n", ms, (unsigned long long)found, (unsigned long long)cells, measure_peak_bytes());
}

static void bench_open(struct bench *bench, const char *dir, const char *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*bench = (struct bench){.arena = weir_arena_new(0),
		.cache = ice_cache_new(CACHE_BYTES),
		.name = {WEIR_STR("bench"), weir_str_from(table)},
		.now_ms = START_MS};
	struct control_options options = {.url = weir_arena_printf(bench->arena, "%s/control.db", dir)};
	need(store_local_open(
		     weir_os_real(), weir_arena_printf(bench->arena, "%s/warehouse", dir), &bench->store, &err),
		&err);
	need(control_open(&options, &bench->control, &err), &err);
}

static void bench_close(struct bench *bench)
{
	control_close(bench->control);
	ice_cache_free(bench->cache);
	store_close(bench->store);
	weir_arena_free(bench->arena);
}

static struct ice_table *load(struct bench *bench)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	need(ice_table_load(bench->store, bench->control, bench->cache, bench->name, &table, &err), &err);
	return table;
}

static void commit(struct bench *bench, const struct control_change *change)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	need(control_commit(bench->control, change, &result, &err), &err);
	if (result.outcome != CONTROL_DONE) {
		fprintf(stderr, "iceberg_bench: conflict on %s\n", result.conflict);
		exit(1);
	}
}

static struct weir_str new_prefix(struct weir_arena *arena)
{
	struct weir_uuid uuid = weir_uuid_v7(weir_clock_system().now_us(NULL));
	char *text = weir_arena_alloc(arena, WEIR_UUID_TEXT);
	weir_uuid_format(&uuid, text);
	return weir_str_from(text);
}

static void create(
	struct bench *bench, const struct weir_schema *schema, const struct ice_spec *spec, const char *level)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct ice_kv properties[] = {
		{WEIR_STR("write.parquet.compression-codec"), WEIR_STR("zstd")},
		{WEIR_STR("write.parquet.compression-level"), weir_str_from(level)},
	};
	struct ice_definition definition = {.name = bench->name,
		.schema = schema,
		.specs = spec,
		.spec_count = 1,
		.properties = properties,
		.property_count = 2,
		.location =
			weir_str_from(weir_arena_printf(bench->arena, "bench/%.*s", WEIR_STR_ARG(bench->name.table)))};
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	need(ice_table_create(bench->store, &definition, bench->now_ms, change, &err), &err);
	commit(bench, change);
	control_change_free(change);
}

/* The next version: the table handle is given up for the new one's. */
static struct ice_table *append(
	struct bench *bench, struct ice_table *take_table, const struct ice_data_file *files, uint32_t count)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct ice_prepared *prepared;
	const char *const *doomed;
	struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.added = files,
		.added_count = count,
		.prefix = new_prefix(arena),
		.now_ms = bench->now_ms += ROW_GROUP_MS};
	need(ice_prepare(take_table, &edit, &prepared, &err), &err);
	ice_stage(prepared, change);
	commit(bench, change);
	struct ice_table *next = ice_prepared_table(prepared);
	uint32_t doomed_count = ice_prepared_doomed(prepared, &doomed);
	if (doomed_count > 0)
		need(store_delete_many(bench->store, doomed, doomed_count, &err), &err);
	ice_prepared_free(prepared);
	control_change_free(change);
	weir_arena_free(arena);
	ice_table_unref(take_table);
	return next;
}

/* ---- files that are only spoken of ---- */

enum { EVENT_ID, ATHLETE, TIME, ACTIVITY, CONTEXT, HEART_RATE, POWER, LATITUDE, LONGITUDE, COLUMNS };

#define FIELD(text, number, kind) \
	{ \
		.name = {text, sizeof(text) - 1}, .id = (number) + 1, .type = kind \
	}

static struct weir_field columns[COLUMNS] = {
	FIELD("event_id", EVENT_ID, WEIR_UUID),
	FIELD("athlete_id", ATHLETE, WEIR_STRING),
	FIELD("time", TIME, WEIR_TIMESTAMPTZ),
	FIELD("activity", ACTIVITY, WEIR_STRING),
	FIELD("event_context", CONTEXT, WEIR_STRING),
	FIELD("heart_rate", HEART_RATE, WEIR_DOUBLE),
	FIELD("power_watts", POWER, WEIR_DOUBLE),
	FIELD("gps_lat", LATITUDE, WEIR_DOUBLE),
	FIELD("gps_lon", LONGITUDE, WEIR_DOUBLE),
};
static const struct weir_schema schema = {.field_count = COLUMNS, .fields = columns};

static struct ice_partition_field day_field = {
	.source_id = TIME + 1, .field_id = 1000, .name = {"time_day", 8}, .transform = {ICE_DAY, 0}};
static const struct ice_spec by_day = {0, 1, &day_field};

static struct weir_str bound(
	struct weir_arena *arena, enum weir_type type, const struct weir_field *field, int64_t number, const char *text)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = number};
	if (type == WEIR_DOUBLE)
		value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = (double)number / 8};
	if (type == WEIR_STRING)
		value = (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_str_from(text)};
	if (type == WEIR_UUID) {
		value = (struct expr_value){.kind = EXPR_UUID};
		for (unsigned i = 0; i < 8; i++)
			value.u.uuid.bytes[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
	}
	ice_value_encode(&value, field, &bytes);
	struct weir_str result = weir_arena_str(arena, weir_buf_str(&bytes));
	weir_buf_done(&bytes);
	return result;
}

/* File n of count: its part of a day. */
static struct ice_data_file spoken_file(
	const struct bench *bench, struct weir_arena *arena, const char *kind, uint64_t n, uint64_t count)
{
	int64_t length = DAYS * WEIR_US_PER_DAY / (int64_t)count;
	int64_t low = START_MS * WEIR_US_PER_MS + (int64_t)n * length;
	int64_t high = low + length - 1;
	int32_t day = weir_day_of(low);
	char date[WEIR_TIME_TEXT];
	if (weir_day_of(high) != day)
		high = (int64_t)(day + 1) * WEIR_US_PER_DAY - 1;
	weir_date_format(day, date);
	const char *name = weir_arena_printf(arena, "bench/%.*s/data/time_day=%s/%s-%08llu.parquet",
		WEIR_STR_ARG(bench->name.table), date, kind, (unsigned long long)n);
	struct ice_partition_value *partition = weir_arena_zalloc(arena, sizeof *partition);
	partition->value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = day};
	struct ice_column_metrics *metrics = weir_arena_calloc(arena, COLUMNS, sizeof *metrics);
	for (uint32_t c = 0; c < COLUMNS; c++) {
		const struct weir_field *field = &columns[c];
		int64_t least = c == TIME ? low : (int64_t)(n * 2654435761U % 997);
		int64_t most = c == TIME ? high : least + 4000;
		metrics[c] = (struct ice_column_metrics){.field_id = field->id,
			.size_bytes = 40000 + (int64_t)(n % 1000),
			.value_count = FILE_ROWS,
			.null_count = c >= HEART_RATE ? (int64_t)(n % 50) : 0,
			.nan_count = field->type == WEIR_DOUBLE ? 0 : -1,
			.has_lower = true,
			.has_upper = true,
			.lower = bound(arena, field->type, field, least,
				weir_arena_printf(arena, "athlete-%05llu", (unsigned long long)(n % 700))),
			.upper = bound(arena, field->type, field, most,
				weir_arena_printf(arena, "athlete-%05llu", (unsigned long long)(n % 700 + 9000)))};
	}
	int64_t *splits = weir_arena_calloc(arena, 1, sizeof *splits);
	splits[0] = 4;
	return (struct ice_data_file){ICE_NEW_FILE, .content = ICE_DATA,
		.path = store_uri(bench->store, arena, weir_str_from(name)), .format = WEIR_STR("PARQUET"),
		.partition_count = 1, .partition = partition, .record_count = FILE_ROWS,
		.size_bytes = 400000 + (int64_t)(n % 9000), .metric_count = COLUMNS, .metrics = metrics,
		.split_count = 1, .split_offsets = splits};
}

static int run_files(struct bench *bench, uint64_t count)
{
	double start = now();
	create(bench, &schema, &by_day, "1");
	struct ice_table *table = load(bench);
	for (uint64_t first = 0; first < count; first += BATCH_FILES) {
		struct weir_arena *arena = weir_arena_new(0);
		uint32_t some = (uint32_t)(count - first < BATCH_FILES ? count - first : BATCH_FILES);
		struct ice_data_file *files = weir_arena_calloc(arena, some, sizeof *files);
		for (uint32_t i = 0; i < some; i++)
			files[i] = spoken_file(bench, arena, "part", first + i, count);
		table = append(bench, table, files, some);
		weir_arena_free(arena);
	}
	ice_table_unref(table);
	say(now() - start, count, 0);
	return 0;
}

static int run_plan(struct bench *bench, const char *low, const char *high, unsigned times)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct expr_value values[2] = {
		{.kind = EXPR_INTEGER, .u.integer = atoll(low)}, {.kind = EXPR_INTEGER, .u.integer = atoll(high)}};
	const struct expr_term terms[2] = {{TIME + 1, EXPR_GE, &values[0], 1}, {TIME + 1, EXPR_LT, &values[1], 1}};
	const struct expr_filter filter = {terms, strcmp(low, "-") != 0 ? 2 : 0};
	double best = 1e12;
	uint32_t found = 0;
	for (unsigned i = 0; i < times; i++) {
		struct ice_file_list *list;
		ice_cache_free(bench->cache);
		bench->cache = ice_cache_new(CACHE_BYTES);
		double start = now();
		struct ice_table *table = load(bench);
		need(ice_plan(table, -1, &filter, &list, &err), &err);
		double took = now() - start;
		best = took < best ? took : best;
		found = list->count;
		ice_file_list_free(list);
		ice_table_unref(table);
	}
	say(best, found, 0);
	return 0;
}

static int run_commit(struct bench *bench, unsigned commits)
{
	struct ice_table *table = load(bench);
	double whole = now();
	bench->now_ms = ice_table_metadata(table)->last_updated_ms;
	for (unsigned i = 0; i < commits; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct ice_data_file file = spoken_file(bench, arena, "more", i, commits);
		double start = now();
		table = append(bench, table, &file, 1);
		printf("%.3f\n", now() - start);
		weir_arena_free(arena);
	}
	ice_table_unref(table);
	say(now() - whole, commits, 0);
	return 0;
}

/* ---- a table of real rows ---- */

/* Ids for a schema that has none, level by level as Iceberg gives them. */
static void give_ids(struct weir_field *fields, uint32_t count, int32_t *next)
{
	for (uint32_t i = 0; i < count; i++)
		fields[i].id = ++*next;
	for (uint32_t i = 0; i < count; i++)
		give_ids(fields[i].children, fields[i].child_count, next);
}

static struct pq_file *open_input(const char *path, struct weir_slice *memory)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_file *file;
	char *data;
	size_t size;
	need(weir_os_read_all(weir_os_real(), path, INPUT_LIMIT, &data, &size, &err), &err);
	*memory = (struct weir_slice){data, size};
	need(pq_file_open(weir_source_from_memory(memory, weir_str_from(path)), &file, &err), &err);
	return file;
}

static struct ice_writer *new_writer(struct bench *bench, struct ice_table *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_writer *writer;
	const struct ice_write_options options = {
		.prefix = new_prefix(bench->arena), .codec = CODEC_ZSTD, .level = 1, .target_bytes = 1ULL << 40};
	need(ice_writer_open(table, &options, &writer, &err), &err);
	return writer;
}

/* What a writer wrote joins the list; durable first. */
static uint64_t finish_file(
	struct bench *bench, struct ice_writer *take_writer, struct ice_data_file *list, uint32_t *count, uint32_t most)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_written written;
	uint64_t bytes = 0;
	need(ice_writer_close(take_writer, &written, &err), &err);
	need(store_barrier(bench->store, written.handles, written.count, &err), &err);
	for (uint32_t i = 0; i < written.count && *count < most; i++) {
		bytes += (uint64_t)written.files[i].size_bytes;
		list[(*count)++] = *ice_data_file_copy(bench->arena, &written.files[i]);
	}
	ice_written_free(&written);
	return bytes;
}

static int run_fill(struct bench *bench, const char *path, uint32_t files)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_slice memory;
	struct pq_file *input = open_input(path, &memory);
	struct weir_schema *own = weir_schema_copy(bench->arena, pq_file_schema(input));
	const struct ice_spec unpartitioned = {0};
	uint64_t rows = pq_file_row_count(input), seen = 0, bytes = 0;
	int32_t next = 0;
	uint32_t count = 0;
	give_ids(own->fields, own->field_count, &next);
	create(bench, own, &unpartitioned, "1");
	struct ice_table *table = load(bench);
	struct ice_data_file *list = weir_arena_calloc(bench->arena, files + 1, sizeof *list);
	struct ice_writer *writer = NULL;
	struct pq_reader *reader;
	struct weir_batch *batch;
	double start = now();
	need(pq_reader_open(input, NULL, &reader, &err), &err);
	for (;;) {
		need(pq_reader_next(reader, &batch, NULL, &err), &err);
		if (batch == NULL)
			break;
		if (writer == NULL)
			writer = new_writer(bench, table);
		need(ice_writer_add(writer, batch, NULL, &err), &err);
		seen += batch->row_count;
		weir_batch_release(batch);
		if (seen >= rows * (count + 1) / files) {
			bytes += finish_file(bench, writer, list, &count, files + 1);
			writer = NULL;
		}
	}
	pq_reader_close(reader);
	if (writer != NULL)
		bytes += finish_file(bench, writer, list, &count, files + 1);
	ice_table_unref(append(bench, table, list, count));
	say(now() - start, seen, bytes);
	return 0;
}

/* ---- scanning ---- */

struct scan {
	struct ice_table *table;
	const struct ice_file_list *list;
	const struct expr_filter *filter;
	atomic_uint *next; /* file of the list that no thread has taken */
	uint64_t rows, cells;
	pthread_t thread;
};

static void count_matches(struct scan *scan, const struct weir_batch *batch)
{
	uint8_t truth[WEIR_BATCH_ROWS];
	expr_filter_batch(scan->filter, batch, truth);
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (truth[row] != EXPR_TRUE)
			continue;
		scan->rows++;
		for (uint32_t c = 0; c < batch->schema->field_count; c++)
			scan->cells += weir_column_is_valid(&batch->columns[c], row);
	}
}

static void *scan_files(void *context)
{
	struct scan *scan = context;
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_reader *reader;
	struct weir_batch *batch;
	for (uint32_t i; (i = atomic_fetch_add(scan->next, 1)) < scan->list->count;) {
		const struct ice_data_file *file = scan->list->files[i];
		need(ice_reader_open(scan->table, &file, 1, NULL, scan->filter, &reader, &err), &err);
		for (;;) {
			need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
			if (batch == NULL)
				break;
			count_matches(scan, batch);
			weir_batch_release(batch);
		}
		ice_reader_close(reader);
	}
	return NULL;
}

static void scan_once(struct bench *bench, const struct expr_filter *filter, uint32_t threads, struct scan *ret_sum)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct scan scans[THREADS_MAX];
	struct ice_table *table = load(bench);
	struct ice_file_list *list;
	atomic_uint next = 0;
	need(ice_plan(table, -1, filter, &list, &err), &err);
	if (threads > list->count)
		threads = list->count > 0 ? list->count : 1;
	for (uint32_t i = 0; i < threads; i++)
		scans[i] = (struct scan){table, list, filter, &next, 0, 0, 0};
	for (uint32_t i = 1; i < threads; i++)
		if (pthread_create(&scans[i].thread, NULL, scan_files, &scans[i]) != 0)
			abort();
	scan_files(&scans[0]);
	*ret_sum = scans[0];
	for (uint32_t i = 1; i < threads; i++) {
		pthread_join(scans[i].thread, NULL);
		ret_sum->rows += scans[i].rows;
		ret_sum->cells += scans[i].cells;
	}
	ice_file_list_free(list);
	ice_table_unref(table);
}

static struct expr_value literal(enum weir_type type, const char *text)
{
	if (type == WEIR_STRING)
		return (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_str_from(text)};
	return (struct expr_value){.kind = EXPR_INTEGER, .u.integer = atoll(text)};
}

static int run_scan(
	struct bench *bench, uint32_t threads, unsigned times, const char *column, const char *low, const char *high)
{
	struct ice_table *table = load(bench);
	const struct weir_schema *own = ice_table_schema(table);
	uint32_t at = weir_schema_find(own, weir_str_from(column));
	if (at == WEIR_NO_FIELD || threads == 0 || threads > THREADS_MAX) {
		fprintf(stderr, "iceberg_bench: there is no column '%s', or not 1 to %d threads\n", column,
			THREADS_MAX);
		return 1;
	}
	const struct expr_value values[2] = {literal(own->fields[at].type, low), literal(own->fields[at].type, high)};
	const struct expr_term terms[2] = {
		{own->fields[at].id, EXPR_GE, &values[0], 1}, {own->fields[at].id, EXPR_LE, &values[1], 1}};
	const struct expr_filter filter = {terms, 2};
	struct scan sum = {0};
	double best = 1e12;
	for (unsigned i = 0; i < times; i++) {
		clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
		double start = read_clock(clock);
		scan_once(bench, &filter, threads, &sum);
		double took = read_clock(clock) - start;
		best = took < best ? took : best;
	}
	ice_table_unref(table);
	say(best, sum.rows, sum.cells);
	return 0;
}

static int run_uri(struct bench *bench)
{
	struct ice_table *table = load(bench);
	printf("%.*s\n", WEIR_STR_ARG(ice_table_metadata_uri(table)));
	ice_table_unref(table);
	return 0;
}

/* As the program has it (src/cli/main.c): memory of one batch serves the next. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	mallopt(M_ARENA_MAX, 4);
}

int main(int count, char **texts)
{
	struct bench bench;
	int status = 2;
	if (count < 4) {
		fprintf(stderr, "usage: iceberg_bench files|plan|commit|fill|scan|uri DIR TABLE ...\n");
		return 2;
	}
	const char *what = texts[1];
	keep_memory();
	bench_open(&bench, texts[2], texts[3]);
	if (strcmp(what, "files") == 0 && count == 5)
		status = run_files(&bench, strtoull(texts[4], NULL, 10));
	else if (strcmp(what, "plan") == 0 && count == 7)
		status = run_plan(&bench, texts[4], texts[5], (unsigned)atoi(texts[6]));
	else if (strcmp(what, "commit") == 0 && count == 5)
		status = run_commit(&bench, (unsigned)atoi(texts[4]));
	else if (strcmp(what, "fill") == 0 && count == 6)
		status = run_fill(&bench, texts[4], (uint32_t)atoi(texts[5]));
	else if (strcmp(what, "scan") == 0 && count == 9)
		status = run_scan(
			&bench, (uint32_t)atoi(texts[4]), (unsigned)atoi(texts[5]), texts[6], texts[7], texts[8]);
	else if (strcmp(what, "uri") == 0 && count == 4)
		status = run_uri(&bench);
	else
		fprintf(stderr, "iceberg_bench: '%s' takes other words; see the top of iceberg_bench.c\n", what);
	bench_close(&bench);
	return status;
}
