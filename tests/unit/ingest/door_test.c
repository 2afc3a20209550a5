/* The door's answers: errors by field and index, trace ids, and files of any size in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
/* after the above */
#include <cmocka.h>

#include "gen/gen.h"
#include "support/lake/lake_fixture.h"

#define SILVER "silver.telemetry"

#define GOOD \
	"{\"event_id\": \"00000000-0000-4000-8000-0000000000%02u\", \"athlete_id\": \"a1\", \"timestamp\": " \
	"\"2025-02-01T07:00:00Z\", \"metrics\": {}}"

static void errors_name_index_field_and_value(void **state)
{
	static const struct {
		const char *event, *field, *value;
	} table[] = {
		{"{\"event_id\": \"nope\", \"athlete_id\": \"a1\", \"timestamp\": \"2025-02-01T07:00:00Z\", "
		 "\"metrics\": {}}",
			"event_id", "nope"},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"\", \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\", \"metrics\": {}}",
			"athlete_id", ""},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-01T07:00:00\", \"metrics\": {}}",
			"timestamp", "2025-02-01T07:00:00"},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-30T07:00:00Z\", \"metrics\": {}}",
			"timestamp", "2025-02-30T07:00:00Z"},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\", \"metrics\": {\"x\": [1]}}",
			"metrics.x", "[1]"},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\"}",
			"metrics", ""},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\", \"metrics\": {}, \"more\": 1}",
			"more", ""},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": 5, \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\", \"metrics\": {}}",
			"athlete_id", "5"},
		{"{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", \"timestamp\": "
		 "\"2025-02-01T07:00:00Z\", \"metrics\": {}, \"kind\": \"x\"}",
			"kind", "x"},
		{"5", "", NULL},
	};
	enum { BAD = sizeof table / sizeof table[0] };
	struct lake_fixture lake;
	struct weir_buf text = WEIR_BUF_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	weir_buf_puts(&text, "[");
	for (unsigned i = 0; i < BAD; i++) {
		weir_buf_printf(&text, GOOD ",", 10 + i);
		weir_buf_printf(&text, "%s%s", table[i].event, i + 1 < BAD ? "," : "]");
	}
	struct ingest_result result = lake_post(&lake, weir_buf_cstr(&text));
	assert_int_equal(result.accepted, BAD);
	assert_int_equal(result.rejected, BAD);
	assert_int_equal(result.error_count, BAD);
	assert_int_equal(result.trace_count, BAD);
	for (unsigned i = 0; i < BAD; i++) {
		const struct ingest_error *error = &result.errors[i];
		printf("%u %.*s = %.*s: %s; %s\n", error->index, WEIR_STR_ARG(error->field), WEIR_STR_ARG(error->value),
			error->problem, error->remedy);
		assert_int_equal(error->index, 2 * i + 1);
		assert_true(weir_str_is(error->field, table[i].field));
		assert_non_null(error->problem);
		assert_non_null(error->remedy);
		if (table[i].value != NULL && table[i].value[0] != '\0')
			assert_non_null(
				memmem(error->value.data, error->value.size, table[i].value, strlen(table[i].value)));
	}
	lake_flush(&lake);
	lake_check_counters(&lake);
	lake_done(&lake);
	weir_buf_done(&text);
}

struct traces {
	struct lake_fixture *lake;
	const struct ingest_result *result;
	uint32_t found;
};

static void match_trace(void *context, const struct weir_batch *batch, uint32_t row)
{
	struct traces *traces = context;
	const char *trace = lake_cell(traces->lake, batch, row, "trace_id");
	unsigned n = (unsigned)strtoul(lake_cell(traces->lake, batch, row, "heart_rate"), NULL, 10);
	assert_true(n < traces->result->trace_count);
	assert_true(weir_str_is(traces->result->trace_ids[n], trace)); /* those of the answer, in the request's order */
	traces->found++;
}

static void trace_ids_are_unique_and_in_order(void **state)
{
	enum { EVENTS = 5000 };
	struct lake_fixture lake;
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[16], metrics[32];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < EVENTS; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % 13);
		snprintf(metrics, sizeof metrics, "\"heart_rate\": %u", i);
		weir_buf_printf(&text, "%s\n", lake_event(&lake, i, athlete, LAKE_NOW, NULL, metrics));
	}
	struct ingest_result result = lake_post(&lake, weir_buf_cstr(&text));
	assert_int_equal(result.trace_count, EVENTS);
	/* Within a partition (the first two digits) they grow with the order of the request. */
	struct weir_str last[2] = {WEIR_STR(""), WEIR_STR("")};
	for (unsigned i = 0; i < EVENTS; i++) {
		struct weir_str trace = result.trace_ids[i];
		assert_int_equal(trace.size, 12);
		assert_true(trace.data[0] == '0' && (trace.data[1] == '0' || trace.data[1] == '1'));
		unsigned partition = trace.data[1] == '1';
		assert_true(last[partition].size == 0 || weir_str_compare(last[partition], trace) < 0);
		last[partition] = trace;
	}
	lake_flush(&lake);
	struct traces traces = {&lake, &result, 0};
	lake_each(&lake, SILVER, match_trace, &traces);
	assert_int_equal(traces.found, EVENTS);
	lake_check_counters(&lake);
	lake_done(&lake);
	weir_buf_done(&text);
}

static long peak_kib(void)
{
	struct rusage usage;
	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

struct progress {
	uint64_t calls, bytes;
	struct lake_fixture *lake;
};

/* Without threads nobody takes the blocks while the file is read: epochs are closed here, as shards would. */
static int on_progress(void *context, const struct ingest_progress *progress)
{
	struct progress *seen = context;
	assert_true(progress->bytes_done >= seen->bytes && progress->bytes_done <= progress->bytes_total);
	seen->bytes = progress->bytes_done;
	if (++seen->calls % 8 == 0)
		lake_flush(seen->lake);
	return 0;
}

/* What the engine may hold at once whatever the file's size: an epoch with its columns, DuckDB's memory, caches. A
 * sanitizer's own memory is several times that, and it is slow: there a smaller file is read and only its rows are counted. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BIG_BYTES     ((size_t)4 << 20)
#define BIG_LIMIT_KIB (4L << 20)
#else
#define BIG_BYTES     ((size_t)64 << 20)
#define BIG_LIMIT_KIB (200L << 10)
#endif

static void a_big_file_is_read_in_bounded_memory(void **state)
{
	struct gen_options options = gen_options_default();
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result;
	struct weir_buf piece = WEIR_BUF_INIT;
	struct gen *gen;
	char path[1200];
	size_t written = 0;
	uint64_t lines = 0, bad = 0;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	snprintf(path, sizeof path, "%s/big.ndjson", lake.directory);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	options.subjects = 500;
	options.days = 60;
	LAKE_OK(&lake, gen_open(gen_find(WEIR_STR("athlete")), &options, &gen, &err), &err);
	while (written < BIG_BYTES) {
		struct gen_event event;
		piece.size = 0;
		assert_true(gen_next(gen, &piece, &event));
		assert_int_equal(fwrite(piece.data, 1, piece.size, file), piece.size);
		written += piece.size;
		lines++;
		bad += event.class == GEN_BAD;
	}
	fclose(file);
	gen_close(gen);
	weir_buf_done(&piece);
	lake.clock.time_us += 90 * WEIR_US_PER_DAY; /* nothing of it is ahead */
	struct progress progress = {.lake = &lake};
	long before = peak_kib();
	LAKE_OK(&lake,
		ingest_file(engine_ingest(lake.engine), 0, path, NULL, 0, on_progress, &progress, lake.arena, &result,
			&err),
		&err);
	lake_flush(&lake);
	long grown = peak_kib() - before;
	printf("%llu lines, %zu bytes: %ld KiB more at the peak\n", (unsigned long long)lines, written, grown);
	assert_true(grown < BIG_LIMIT_KIB);
	assert_true(progress.calls >= written >> 21 && progress.bytes == written);
	assert_int_equal(result.accepted + result.duplicates + result.rejected, lines);
	assert_int_equal(result.rejected, bad);
	assert_int_equal(lake_counter(&lake, "file", "accepted") + lake_counter(&lake, "file", "duplicate") +
			lake_counter(&lake, "file", "dead_letter"),
		lines);
	lake_check_counters(&lake);
	lake_close(&lake); /* a check of so much is another test's */
	lake_done(&lake);
}

static int cancel(void *context, const struct ingest_progress *progress)
{
	uint64_t *calls = context;
	(void)progress;
	return ++*calls == 2 ? -1 : 0;
}

/* What was acknowledged before a file was given up stays; giving it again adds the rest, once. */
static void a_cancelled_file_may_be_given_again(void **state)
{
	enum { EVENTS = 20000 };
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result = {0};
	char path[1200];
	uint64_t calls = 0;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	snprintf(path, sizeof path, "%s/some.ndjson", lake.directory);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	for (unsigned i = 0; i < EVENTS; i++)
		fprintf(file, "%s\n", lake_event(&lake, i, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	fclose(file);
	int status =
		ingest_file(engine_ingest(lake.engine), 0, path, NULL, 0, cancel, &calls, lake.arena, &result, &err);
	assert_int_equal(status, WEIR_E_CANCELLED);
	lake_flush(&lake);
	uint64_t first = lake_count(&lake, SILVER, NULL);
	assert_true(first > 0 && first < EVENTS);
	LAKE_OK(&lake, ingest_file(engine_ingest(lake.engine), 0, path, NULL, 0, NULL, NULL, lake.arena, &result, &err),
		&err);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS);
	assert_int_equal(lake_counter(&lake, "file", "duplicate"), first);
	lake_check_counters(&lake);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_name_index_field_and_value),
		cmocka_unit_test(trace_ids_are_unique_and_in_order),
		cmocka_unit_test(a_big_file_is_read_in_bounded_memory),
		cmocka_unit_test(a_cancelled_file_may_be_given_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
