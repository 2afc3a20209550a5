/* Documents of every format, found by name, content type or first bytes, packed or not, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "column/builder.h"
#include "format/parquet/parquet.h"
#include "gen/device_files.h"
#include "support/lake/lake_fixture.h"
#include "support/gzip.h"

#define SILVER "silver.telemetry"
#define POINTS 20

static const char one[] = "{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\","
			  " \"timestamp\": \"2025-02-01T07:00:00Z\", \"activity\": \"running\", \"metrics\": "
			  "{\"heart_rate\": 120, \"x\": \"y\"}}";
static const char array[] = "[{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", "
			    "\"timestamp\": \"2025-02-01T07:00:00Z\", \"metrics\": {\"heart_rate\": 1}},"
			    "{\"event_id\": \"00000000-0000-4000-8000-000000000002\", \"athlete_id\": \"a1\", "
			    "\"timestamp\": \"2025-02-01T07:00:01Z\", \"metrics\": {\"heart_rate\": 2}}]";
static const char lines[] = "{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"athlete_id\": \"a1\", "
			    "\"timestamp\": \"2025-02-01T07:00:00Z\", \"metrics\": {\"heart_rate\": 1}}\n\n"
			    "{\"event_id\": \"00000000-0000-4000-8000-000000000002\", \"athlete_id\": \"a1\", "
			    "\"timestamp\": \"2025-02-01T07:00:01Z\", \"metrics\": {\"heart_rate\": 2}}\r\n"
			    "{\"event_id\": \"00000000-0000-4000-8000-000000000003\", \"athlete_id\": \"a1\", "
			    "\"timestamp\": \"2025-02-01T07:00:02Z\", \"metrics\": {\"heart_rate\": 3}}";
static const char csv[] =
	"event_id,athlete_id,timestamp,activity,metrics.heart_rate,metrics.note\r\n"
	"00000000-0000-4000-8000-000000000001,a1,2025-02-01T07:00:00Z,running,120,\"a, \"\"b\"\"\"\r\n"
	"00000000-0000-4000-8000-000000000002,a1,2025-02-01T07:00:01+01:00,,121,\r\n";
static const char whoop[] =
	"{\"cycle_id\": 1, \"created_at\": \"2025-01-31T06:00:00Z\", \"updated_at\": \"2025-01-31T07:00:00Z\","
	" \"score_state\": \"SCORED\", \"score\": {\"recovery_score\": 44, \"resting_heart_rate\": 64}}";
static const char whoop_page[] = "{\"records\": [{\"cycle_id\": 1, \"created_at\": \"2025-01-31T06:00:00Z\", "
				 "\"updated_at\": \"2025-01-31T07:00:00Z\", \"score_state\": \"SCORED\","
				 " \"score\": {\"recovery_score\": 44}}, {\"cycle_id\": 2, \"created_at\": "
				 "\"2025-02-01T06:00:00Z\", \"updated_at\": \"2025-02-01T07:00:00Z\","
				 " \"score_state\": \"PENDING_SCORE\"}], \"next_token\": null}";

/* event_id uuid, athlete_id, timestamp timestamptz, "metrics.heart_rate" double, as another program might write them. */
static void make_parquet(struct weir_buf *out)
{
	struct weir_field fields[] = {{.name = WEIR_STR("event_id"), .type = WEIR_UUID, .id = 1},
		{.name = WEIR_STR("athlete_id"), .type = WEIR_STRING, .id = 2},
		{.name = WEIR_STR("timestamp"), .type = WEIR_TIMESTAMPTZ, .id = 3},
		{.name = WEIR_STR("metrics.heart_rate"), .type = WEIR_DOUBLE, .id = 4}};
	struct weir_schema schema = {.field_count = 4, .fields = fields};
	struct weir_builder *builder = weir_builder_new(&schema);
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct pq_write_options options = {.codec = CODEC_ZSTD, .level = 1};
	struct pq_writer *writer;
	struct pq_file_info info;
	for (unsigned i = 0; i < POINTS; i++) {
		struct weir_uuid id = {{0}};
		id.bytes[6] = 0x40;
		id.bytes[8] = 0x80;
		id.bytes[15] = (uint8_t)i;
		weir_builder_uuid(builder, 0, &id);
		weir_builder_str(builder, 1, WEIR_STR("a1"));
		weir_builder_i64(builder, 2, LAKE_NOW - 1000000 * (int64_t)i);
		weir_builder_double(builder, 3, 100.0 + i);
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	assert_int_equal(pq_writer_open(weir_sink_to_buf(out), &schema, &options, &writer, &err), 0);
	assert_int_equal(pq_writer_add(writer, batch, NULL, &err), 0);
	assert_int_equal(pq_writer_close(writer, arena, &info, &err), 0);
	weir_batch_release(batch);
	weir_builder_free(builder);
	weir_arena_free(arena);
}

struct document {
	const char *what, *name, *content_type;
	const char *text; /* NULL: made */
	int device;       /* GEN_..., -1: none */
	const char *athlete;
	uint64_t rows;
	const char *column, *value; /* that so many rows have */
	uint64_t having;
};

static const struct document documents[] = {
	{"one event by name", "a.json", "", one, -1, NULL, 1, "heart_rate", "120", 1},
	{"an array by name", "a.JSON", "", array, -1, NULL, 2, "heart_rate", "2", 1},
	{"lines by name", "a.ndjson", "", lines, -1, NULL, 3, "heart_rate", "3", 1},
	{"lines by another name", "a.jsonl", "", lines, -1, NULL, 3, "heart_rate", "3", 1},
	{"one event by type", "", "application/json; charset=utf-8", one, -1, NULL, 1, "activity", "running", 1},
	{"lines by type", "", "application/x-ndjson", lines, -1, NULL, 3, "heart_rate", "1", 1},
	{"one event by its first byte", "unknown.bin", "", one, -1, NULL, 1, "sport", "null", 0},
	{"an array by its first byte", "", "", array, -1, NULL, 2, "heart_rate", "1", 1},
	{"lines by their first byte", "", "", lines, -1, NULL, 3, "heart_rate", "1", 1},
	{"csv by name", "a.csv", "", csv, -1, NULL, 2, "heart_rate", "121", 1},
	{"csv by type", "", "text/csv", csv, -1, NULL, 2, "activity", "running", 1},
	{"parquet by name", "a.parquet", "", NULL, -1, NULL, POINTS, "heart_rate", "119", 1},
	{"parquet by its first bytes", "a.bin", "", NULL, -1, NULL, POINTS, "heart_rate", "119", 1},
	{"fit by name", "a.fit", "", NULL, GEN_FIT, "a1", POINTS, "activity", "running", POINTS},
	{"fit by its first bytes", "a.bin", "", NULL, GEN_FIT, "a1", POINTS, "athlete_id", "a1", POINTS},
	{"tcx by name", "a.tcx", "", NULL, GEN_TCX, "a1", POINTS, "source", "tcx", POINTS},
	{"tcx by its first bytes", "a", "", NULL, GEN_TCX, "a1", POINTS, "source", "tcx", POINTS},
	{"gpx by name", "a.gpx", "", NULL, GEN_GPX, "a1", POINTS, "source", "gpx", POINTS},
	{"gpx by type", "", "application/gpx+xml", NULL, GEN_GPX, "a1", POINTS, "source", "gpx", POINTS},
	{"gpx by its first bytes", "", "", NULL, GEN_GPX, "a1", POINTS, "source", "gpx", POINTS},
	{"whoop by its members", "a.json", "", whoop, -1, "a1", 1, "kind", "aggregate", 1},
	{"a page of whoop records", "a.json", "", whoop_page, -1, "a1", 2, "kind", "aggregate", 2},
};

static void make_document(const struct document *document, struct weir_buf *out)
{
	static const struct gen_device_session session = {.seed = 3,
		.start_us = LAKE_NOW - WEIR_US_PER_HOUR,
		.points = POINTS,
		.step_s = 1,
		.activity = "running",
		.serial = 5};
	if (document->text != NULL)
		weir_buf_puts(out, document->text);
	else if (document->device >= 0)
		gen_write_device_file(&session, (enum gen_device_format)document->device, out);
	else
		make_parquet(out);
}

static void check_document(const struct document *document, const char *name, struct weir_str content, bool by_file)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result = {0};
	int status;
	lake_start(&lake, LAKE_ATHLETE);
	printf("%s%s\n", document->what, by_file ? ", as a file" : "");
	if (by_file) {
		char path[1200];
		struct ingest_kv set = {
			WEIR_STR("athlete_id"), weir_str_from(document->athlete != NULL ? document->athlete : "")};
		snprintf(path, sizeof path, "%s/%s", lake.directory, name);
		FILE *file = fopen(path, "wb");
		assert_non_null(file);
		assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
		fclose(file);
		status = ingest_file(engine_ingest(lake.engine), 0, path, &set, document->athlete != NULL, NULL, NULL,
			lake.arena, &result, &err);
	} else {
		status = lake_upload(&lake, name, document->content_type, content, document->athlete, &result, &err);
	}
	LAKE_OK(&lake, status, &err);
	assert_int_equal(result.rejected, 0);
	assert_int_equal(result.accepted, document->rows);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), document->rows);
	assert_int_equal(lake_count(&lake, SILVER, document->column, document->value, NULL), document->having);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void every_format_is_read(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof documents / sizeof documents[0]; i++) {
		struct weir_buf content = WEIR_BUF_INIT;
		make_document(&documents[i], &content);
		check_document(&documents[i], documents[i].name, weir_buf_str(&content), false);
		weir_buf_done(&content);
	}
}

static void every_format_is_read_packed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof documents / sizeof documents[0]; i++) {
		struct weir_buf content = WEIR_BUF_INIT, packed = WEIR_BUF_INIT;
		char name[64];
		snprintf(name, sizeof name, "%s.gz", documents[i].name[0] != '\0' ? documents[i].name : "x");
		make_document(&documents[i], &content);
		test_gzip(weir_buf_str(&content), &packed);
		check_document(&documents[i], name, weir_buf_str(&packed), false);
		weir_buf_done(&content);
		weir_buf_done(&packed);
	}
}

static void every_format_is_read_from_a_file(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof documents / sizeof documents[0]; i++) {
		struct weir_buf content = WEIR_BUF_INIT, packed = WEIR_BUF_INIT;
		char name[64];
		if (documents[i].content_type[0] != '\0') /* files have none */
			continue;
		make_document(&documents[i], &content);
		snprintf(name, sizeof name, "%s", documents[i].name[0] != '\0' ? documents[i].name : "x");
		check_document(&documents[i], name, weir_buf_str(&content), true);
		snprintf(name, sizeof name, "%s.gz", documents[i].name[0] != '\0' ? documents[i].name : "x");
		test_gzip(weir_buf_str(&content), &packed);
		check_document(&documents[i], name, weir_buf_str(&packed), true);
		weir_buf_done(&content);
		weir_buf_done(&packed);
	}
}

/* What cannot be read at all: an error that says so, and nothing in the log. */
static void broken_documents_are_refused_whole(void **state)
{
	static const struct {
		const char *name, *content, *athlete, *says;
		int code;
	} table[] = {
		{"a.json", "{\"event_id\": ", NULL, "", WEIR_E_INPUT},
		{"a.json", "", NULL, "", WEIR_E_INPUT},
		{"a.json", "[{}, 5", NULL, "", WEIR_E_INPUT},
		{"a.gpx", "<gpx><trk>", "a1", "", WEIR_E_INPUT},
		{"a.tcx", "no xml at all", "a1", "", WEIR_E_INPUT},
		{"a.fit", "no fit at all", "a1", "", WEIR_E_INPUT},
		{"a.parquet", "PAR1 not really PAR1", NULL, "", WEIR_E_CORRUPT},
		{"a.csv.gz", "not packed", NULL, "", WEIR_E_INPUT},
		{"a.exe", "MZ", NULL, "a.exe", WEIR_E_UNSUPPORTED},
		{"a.fit", "any", NULL, "athlete_id", WEIR_E_INPUT},
		{"a.gpx", "<gpx/>", NULL, "athlete_id", WEIR_E_INPUT},
	};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct ingest_result result = {0};
		char text[1200];
		int status = lake_upload(
			&lake, table[i].name, "", weir_str_from(table[i].content), table[i].athlete, &result, &err);
		weir_error_text(&err, text, sizeof text);
		printf("%s (%s): %d %s\n", table[i].name, table[i].content, status, text);
		assert_true(status == table[i].code || (status == WEIR_E_CORRUPT && table[i].code == WEIR_E_INPUT));
		assert_non_null(strstr(text, table[i].says));
		assert_true(err.message[0] != '\0');
	}
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 0);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* In NDJSON and CSV a broken line is one bad event; its neighbours go in. */
static void a_broken_line_is_one_bad_event(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result;
	struct weir_buf text = WEIR_BUF_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	weir_buf_printf(&text, "%s\n{\"event_id\": \n%s\n", lake_event(&lake, 1, "a1", LAKE_NOW, NULL, ""),
		lake_event(&lake, 2, "a1", LAKE_NOW, NULL, ""));
	LAKE_OK(&lake, lake_upload(&lake, "a.ndjson", "", weir_buf_str(&text), NULL, &result, &err), &err);
	assert_int_equal(result.accepted, 2);
	assert_int_equal(result.rejected, 1);
	assert_int_equal(result.errors[0].index, 1);
	static const char ragged[] = "event_id,athlete_id,timestamp,metrics.heart_rate\n"
				     "00000000-0000-4000-8000-000000000011,a1,2025-02-01T07:00:00Z,120\n"
				     "00000000-0000-4000-8000-000000000012,a1\n"
				     "00000000-0000-4000-8000-000000000013,a1,2025-02-01T07:00:00Z,122\n";
	LAKE_OK(&lake, lake_upload(&lake, "a.csv", "", weir_str_from(ragged), NULL, &result, &err), &err);
	assert_int_equal(result.accepted, 2);
	assert_int_equal(result.rejected, 1);
	assert_int_equal(result.errors[0].index, 1);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 4);
	assert_int_equal(
		lake_count(&lake, "bronze.dead_letters", "payload", "00000000-0000-4000-8000-000000000012,a1", NULL),
		1);
	lake_check_counters(&lake);
	lake_done(&lake);
	weir_buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_is_read),
		cmocka_unit_test(every_format_is_read_packed),
		cmocka_unit_test(every_format_is_read_from_a_file),
		cmocka_unit_test(broken_documents_are_refused_whole),
		cmocka_unit_test(a_broken_line_is_one_bad_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
