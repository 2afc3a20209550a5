/* Content ids: what a file holds counts once, for ever, whatever it is called and however it is packed (E2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "gen/device_files.h"
#include "support/lake/lake_fixture.h"
#include "support/gzip.h"

#define SILVER "silver.telemetry"
#define POINTS 50

static const char whoop[] = "[{\"cycle_id\": 1, \"sleep_id\": 2, \"created_at\": \"2025-01-31T06:00:00Z\", "
			    "\"updated_at\": \"2025-01-31T07:00:00Z\","
			    " \"score_state\": \"SCORED\", \"score\": {\"recovery_score\": 44, \"resting_heart_rate\": "
			    "64, \"hrv_rmssd_milli\": 31.8}},"
			    " {\"cycle_id\": 2, \"sleep_id\": 3, \"created_at\": \"2025-02-01T06:00:00Z\", "
			    "\"updated_at\": \"2025-02-01T07:00:00Z\","
			    " \"score_state\": \"PENDING_SCORE\"}]";

struct sample {
	const char *name, *renamed;
	struct weir_buf content;
	uint64_t rows;
};

enum { SAMPLES = 4 };

static void make_samples(struct sample samples[SAMPLES])
{
	static const struct gen_device_session session = {.seed = 7,
		.start_us = LAKE_NOW - WEIR_US_PER_HOUR,
		.points = POINTS,
		.step_s = 1,
		.activity = "running",
		.serial = 99};
	memset(samples, 0, SAMPLES * sizeof *samples);
	samples[0] = (struct sample){.name = "run.fit", .renamed = "other.fit", .rows = POINTS};
	samples[1] = (struct sample){.name = "run.gpx", .renamed = "no extension", .rows = POINTS};
	samples[2] = (struct sample){.name = "run.tcx", .renamed = "x.y.tcx", .rows = POINTS};
	samples[3] = (struct sample){.name = "recovery.json", .renamed = "again.json", .rows = 2};
	gen_write_device_file(&session, GEN_FIT, &samples[0].content);
	gen_write_device_file(&session, GEN_GPX, &samples[1].content);
	gen_write_device_file(&session, GEN_TCX, &samples[2].content);
	weir_buf_puts(&samples[3].content, whoop);
}

static void give(
	struct lake_fixture *lake, const char *name, struct weir_str content, const char *athlete, uint64_t rows)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result;
	LAKE_OK(lake, lake_upload(lake, name, "", content, athlete, &result, &err), &err);
	assert_int_equal(result.accepted + result.duplicates, rows);
	assert_int_equal(result.rejected, 0);
	lake_flush(lake);
}

static void a_file_given_again_adds_nothing(void **state)
{
	struct sample samples[SAMPLES];
	(void)state;
	make_samples(samples);
	for (unsigned i = 0; i < SAMPLES; i++) {
		struct sample *sample = &samples[i];
		struct weir_str content = weir_buf_str(&sample->content);
		struct lake_fixture lake;
		lake_start(&lake, LAKE_ATHLETE);
		give(&lake, sample->name, content, "a1", sample->rows);
		assert_int_equal(lake_count(&lake, SILVER, "athlete_id", "a1", NULL), sample->rows);
		give(&lake, sample->name, content, "a1", sample->rows);
		give(&lake, sample->renamed, content, "a1", sample->rows);
		assert_int_equal(lake_count(&lake, SILVER, NULL), sample->rows);
		lake_check_counters(&lake);
		lake_done(&lake);
		weir_buf_done(&sample->content);
	}
}

static void gzip_and_time_and_restarts_change_nothing(void **state)
{
	struct sample samples[SAMPLES];
	struct lake_fixture lake;
	uint64_t total = 0;
	(void)state;
	make_samples(samples);
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < SAMPLES; i++) {
		give(&lake, samples[i].name, weir_buf_str(&samples[i].content), "a1", samples[i].rows);
		total += samples[i].rows;
	}
	assert_int_equal(lake_count(&lake, SILVER, NULL), total);
	for (unsigned round = 0; round < 3; round++) {
		if (round > 0)
			lake_advance(&lake, 48 * WEIR_US_PER_HOUR);
		if (round > 1)
			lake_reopen(&lake);
		for (unsigned i = 0; i < SAMPLES; i++) {
			struct weir_buf packed = WEIR_BUF_INIT;
			char name[64];
			snprintf(name, sizeof name, "%u-%s.gz", round, samples[i].name);
			test_gzip(weir_buf_str(&samples[i].content), &packed);
			give(&lake, name, weir_buf_str(&packed), "a1", samples[i].rows);
			give(&lake, samples[i].renamed, weir_buf_str(&samples[i].content), "a1", samples[i].rows);
			weir_buf_done(&packed);
			assert_int_equal(lake_count(&lake, SILVER, NULL), total);
		}
		lake_check_counters(&lake);
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		give(&lake, samples[i].name, weir_buf_str(&samples[i].content), "a2",
			samples[i].rows); /* of somebody else: other events */
		weir_buf_done(&samples[i].content);
	}
	assert_int_equal(lake_count(&lake, SILVER, "athlete_id", "a2", NULL), total);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* Two points of a file that are equal in all are two events, and stay two. */
static void equal_records_of_a_file_are_told_apart_by_their_ordinal(void **state)
{
	static const char gpx[] = "<?xml version=\"1.0\"?><gpx version=\"1.1\" creator=\"t\" "
				  "xmlns=\"http://www.topografix.com/GPX/1/1\"><trk><trkseg>"
				  "<trkpt lat=\"47.1\" lon=\"8.1\"><time>2025-02-01T07:00:00Z</time></trkpt>"
				  "<trkpt lat=\"47.1\" lon=\"8.1\"><time>2025-02-01T07:00:00Z</time></trkpt>"
				  "<trkpt lat=\"47.2\" lon=\"8.1\"><time>2025-02-01T07:00:01Z</time></trkpt>"
				  "</trkseg></trk></gpx>";
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	give(&lake, "a.gpx", weir_str_from(gpx), "a1", 3);
	give(&lake, "b.gpx", weir_str_from(gpx), "a1", 3);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 3);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void a_point_without_time_is_a_letter_once(void **state)
{
	static const char gpx[] = "<?xml version=\"1.0\"?><gpx version=\"1.1\" creator=\"t\" "
				  "xmlns=\"http://www.topografix.com/GPX/1/1\"><trk><trkseg>"
				  "<trkpt lat=\"47.1\" lon=\"8.1\"></trkpt>"
				  "<trkpt lat=\"47.2\" lon=\"8.1\"><time>2025-02-01T07:00:01Z</time></trkpt>"
				  "</trkseg></trk></gpx>";
	struct weir_error err = WEIR_ERROR_INIT;
	struct ingest_result result;
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	LAKE_OK(&lake, lake_upload(&lake, "a.gpx", "", weir_str_from(gpx), "a1", &result, &err), &err);
	assert_int_equal(result.accepted, 1);
	assert_int_equal(result.rejected, 1);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 1);
	assert_int_equal(
		lake_count(&lake, "bronze.dead_letters", "error_type", "no timestamp", "source_file", "a.gpx", NULL),
		1);
	lake_check_counters(&lake);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_given_again_adds_nothing),
		cmocka_unit_test(gzip_and_time_and_restarts_change_nothing),
		cmocka_unit_test(equal_records_of_a_file_are_told_apart_by_their_ordinal),
		cmocka_unit_test(a_point_without_time_is_a_letter_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
