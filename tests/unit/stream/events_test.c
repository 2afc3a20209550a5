/* What a stream makes of single events: duplicates, lateness, refusals, and the numbers that account for each (E2, E3, E5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "support/lake/lake_fixture.h"

#define SILVER  "silver.telemetry"
#define BRONZE  "bronze.telemetry"
#define LETTERS "bronze.dead_letters"

static const char *join(struct lake_fixture *lake, const char *const *events, unsigned count)
{
	struct weir_buf text = WEIR_BUF_INIT;
	for (unsigned i = 0; i < count; i++)
		weir_buf_printf(&text, "%s%s", i > 0 ? "\n" : "", events[i]);
	const char *result = weir_arena_cstr(lake->arena, weir_buf_str(&text));
	weir_buf_done(&text);
	return result;
}

static void a_repeat_within_a_request_adds_nothing(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *events[] = {
		lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100"),
		lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100"),
		lake_event(&lake, 2, "a1", LAKE_NOW, NULL, "\"heart_rate\": 101"),
		lake_event(&lake, 1, "a1", LAKE_NOW + 1000000, NULL,
			"\"heart_rate\": 102"), /* the id decides, not the content */
	};
	struct ingest_result result = lake_post(&lake, join(&lake, events, 4));
	assert_int_equal(result.accepted, 2);
	assert_int_equal(result.duplicates, 2);
	assert_int_equal(result.rejected, 0);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2);
	assert_int_equal(lake_count(&lake, SILVER, "heart_rate", "100", NULL), 1);
	assert_int_equal(lake_counter(&lake, "api", "duplicate"), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void a_repeat_in_a_later_request_adds_nothing(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *event = lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100");
	lake_post(&lake, event);
	lake_post(&lake, event); /* of the same epoch */
	lake_flush(&lake);
	lake_post(&lake, event); /* of another */
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 1);
	assert_int_equal(lake_count(&lake, BRONZE, NULL), 1);
	assert_int_equal(lake_counter(&lake, "api", "duplicate"), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void the_same_id_of_another_key_is_another_event(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	lake_post(&lake, lake_event(&lake, 1, "a2", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void ids_are_known_after_a_restart(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *event = lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100");
	const char *other = lake_event(&lake, 2, "a2", LAKE_NOW, NULL, "\"heart_rate\": 100");
	lake_post(&lake, event);
	lake_post(&lake, other);
	lake_flush(&lake);
	lake_reopen(&lake);
	lake_post(&lake, event);
	lake_post(&lake, other);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2);
	assert_int_equal(lake_counter(&lake, "api", "duplicate"), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void an_id_counts_for_the_window_by_arrival(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *event = lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100");
	lake_post(&lake, event);
	lake_flush(&lake);
	lake_advance(&lake, 23 * WEIR_US_PER_HOUR);
	lake_post(&lake, event);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 1);
	lake_advance(&lake, 27 * WEIR_US_PER_HOUR); /* of the first; a generation is an eighth of 24 h */
	lake_post(&lake, event);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2); /* an id of the API counts for 24 h */
	lake_check_counters(&lake);
	lake_close(&lake); /* the lake's check holds ids against the window, too: it is asked where they are distinct */
	lake_done(&lake);
}

/* Six small files of a day become one, in which rows that came hours apart stand in one batch. */
static void an_id_is_known_after_compaction_and_restart(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *last = NULL;
	lake.clock.time_us -= 7 * WEIR_US_PER_HOUR; /* 01:00 */
	for (unsigned i = 0; i < 8; i++) {
		last = lake_event(&lake, i, "a1", lake.clock.time_us, NULL, "\"heart_rate\": 100");
		lake_post(&lake, last);
		lake_flush(&lake);
		lake_advance(&lake, 3 * WEIR_US_PER_HOUR);
	}
	lake_settle_all(&lake); /* the last arrived at 22:00; now it is 01:00 */
	assert_true(lake_files(&lake, BRONZE) < 8);
	lake_reopen(&lake);
	lake_advance(&lake, 12 * WEIR_US_PER_HOUR); /* 13:00: within 24 h of the last, but not of the first */
	lake_post(&lake, last);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 8);
	assert_int_equal(lake_counter(&lake, "api", "duplicate"), 1);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void late_rows_are_kept_and_flagged(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 1"));
	lake_post(&lake, lake_event(&lake, 2, "a1", LAKE_NOW - 4 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 2"));
	lake_post(&lake, lake_event(&lake, 3, "a1", LAKE_NOW - 5 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 3"));
	lake_post(
		&lake, lake_event(&lake, 4, "a1", LAKE_NOW - 5 * WEIR_US_PER_MINUTE - 1000, NULL, "\"heart_rate\": 4"));
	lake_post(&lake, lake_event(&lake, 5, "a1", LAKE_NOW - WEIR_US_PER_DAY, NULL, "\"heart_rate\": 5"));
	lake_flush(&lake);
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "1", NULL), "false");
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "2", NULL), "false");
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "3", NULL), "false");
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "4", NULL), "true");
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "5", NULL), "true"); /* beyond: keep */
	assert_int_equal(lake_counter(&lake, "api", "late"), 2);
	assert_int_equal(lake_count(&lake, LETTERS, NULL), 0);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void history_neither_moves_the_watermark_nor_is_late(void **state)
{
	struct lake_fixture lake;
	struct ingest_result result;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *file = lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 1");
	assert_int_equal(lake_upload(&lake, "one.ndjson", "", weir_str_from(file), NULL, &result, &err), 0);
	lake_post(&lake, lake_event(&lake, 2, "a1", LAKE_NOW - WEIR_US_PER_DAY, NULL, "\"heart_rate\": 2"));
	file = lake_event(&lake, 3, "a1", LAKE_NOW - 3 * WEIR_US_PER_DAY, NULL, "\"heart_rate\": 3");
	assert_int_equal(lake_upload(&lake, "two.ndjson", "", weir_str_from(file), NULL, &result, &err), 0);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, "is_late", "false", NULL), 3);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void lateness_beyond_the_allowed_is_a_dead_letter(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_SHOP); /* delay 1 m, allowed 1 d, beyond: dead_letter */
	const int64_t edge_us = LAKE_NOW - WEIR_US_PER_MINUTE - WEIR_US_PER_DAY;
	lake_post(&lake, lake_visit(&lake, 1, "c1", LAKE_NOW, "home"));
	lake_post(&lake, lake_visit(&lake, 2, "c2", edge_us, "edge"));
	lake_post(&lake, lake_visit(&lake, 3, "c3", edge_us - 1000, "gone"));
	lake_flush(&lake);
	assert_string_equal(lake_value(&lake, "silver.visits", "is_late", "page", "edge", NULL), "true");
	assert_int_equal(lake_count(&lake, "silver.visits", "page", "gone", NULL), 0);
	assert_int_equal(lake_count(&lake, LETTERS, NULL), 1);
	assert_string_equal(lake_value(&lake, LETTERS, "error_type", NULL), "late");
	assert_string_equal(lake_value(&lake, LETTERS, "field", NULL), "visited_at");
	assert_non_null(strstr(lake_value(&lake, LETTERS, "payload", NULL), "\"gone\""));
	assert_int_equal(lake_counter(&lake, "api", "late"), 1);
	assert_int_equal(lake_counter(&lake, "api", "dead_letter"), 1);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void an_event_from_the_future_is_refused_and_moves_nothing(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE); /* max_ahead 10 m */
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW + 10 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 1"));
	lake_post(&lake,
		lake_event(&lake, 2, "a1", LAKE_NOW + 10 * WEIR_US_PER_MINUTE + 1000, NULL, "\"heart_rate\": 2"));
	lake_post(&lake, lake_event(&lake, 3, "a1", LAKE_NOW + 900 * WEIR_US_PER_DAY, NULL, "\"heart_rate\": 3"));
	lake_post(&lake, lake_event(&lake, 4, "a1", LAKE_NOW + 6 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 4"));
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2);
	assert_int_equal(lake_count(&lake, SILVER, "is_late", "true", NULL), 0);
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "ahead", "field", "timestamp", NULL), 2);
	assert_int_equal(lake_number(&lake, "SELECT MAX(max_event_us) FROM weir_watermarks"),
		LAKE_NOW + 10 * WEIR_US_PER_MINUTE);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void the_watermark_survives_a_restart(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 1"));
	lake_flush(&lake);
	lake_reopen(&lake);
	lake_post(&lake, lake_event(&lake, 2, "a1", LAKE_NOW - 6 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 2"));
	lake_flush(&lake);
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "2", NULL), "true");
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* An athlete whose events go to the partition. */
static const char *athlete_of(struct lake_fixture *lake, uint32_t partition)
{
	for (unsigned i = 0;; i++) {
		const char *athlete = weir_arena_printf(lake->arena, "a%u", i);
		if (stream_partition(lake->engine->streams[0], weir_str_from(athlete)) == partition)
			return athlete;
	}
}

static void an_idle_partition_does_not_stall(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE); /* two partitions; idle: 30 s, delay: 5 m */
	struct stream *stream = lake.engine->streams[0];
	const char *quiet = athlete_of(&lake, 0), *busy = athlete_of(&lake, 1);
	const int64_t delay_us = 5 * WEIR_US_PER_MINUTE;
	lake_permit(&lake, busy, "research", NULL);
	lake_post(&lake, lake_event(&lake, 1, quiet, LAKE_NOW, NULL, "\"heart_rate\": 1"));
	lake_post(&lake, lake_event(&lake, 2, busy, LAKE_NOW + WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 2"));
	lake_flush(&lake);
	assert_true(stream_numbers(stream).watermark_us == LAKE_NOW - delay_us); /* of the slower one */
	lake_advance(&lake, 20 * WEIR_US_PER_MINUTE);
	lake_post(&lake, lake_event(&lake, 3, busy, LAKE_NOW + 20 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 3"));
	lake_post(&lake, lake_event(&lake, 4, busy, LAKE_NOW + 14 * WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 4"));
	lake_flush(&lake);
	/* The watermark goes on, what is late is known as late, and rows are in gold. */
	assert_true(stream_numbers(stream).watermark_us == LAKE_NOW + 20 * WEIR_US_PER_MINUTE - delay_us);
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "4", NULL), "true");
	assert_int_equal(lake_count(&lake, "gold.athlete_data", "athlete_id", busy, NULL), 3);
	/* The quiet one comes back with what is old for the others: by its own watermark it is not late. */
	lake_post(&lake, lake_event(&lake, 5, quiet, LAKE_NOW + WEIR_US_PER_MINUTE, NULL, "\"heart_rate\": 5"));
	lake_flush(&lake);
	assert_string_equal(lake_value(&lake, SILVER, "is_late", "heart_rate", "5", NULL), "false");
	assert_true(stream_numbers(stream).watermark_us == LAKE_NOW + WEIR_US_PER_MINUTE - delay_us);
	lake_advance(&lake, WEIR_US_PER_HOUR); /* all are silent: it does not go back */
	assert_true(stream_numbers(stream).watermark_us == LAKE_NOW + 20 * WEIR_US_PER_MINUTE - delay_us);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void what_the_door_refused_is_a_dead_letter(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *events[] = {
		lake_event(&lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 1"),
		"{\"event_id\": \"no uuid\", \"athlete_id\": \"a1\", \"timestamp\": \"2025-02-01T08:00:00Z\", "
		"\"metrics\": {}}",
		"{\"event_id\": \"00000000-0000-4000-8000-0000000000aa\", \"timestamp\": \"2025-02-01T08:00:00Z\", "
		"\"metrics\": {}}",
		lake_event(&lake, 2, "a1", LAKE_NOW, NULL, "\"heart_rate\": 2"),
	};
	struct ingest_result result = lake_post(&lake, join(&lake, events, 4));
	assert_int_equal(result.accepted, 2);
	assert_int_equal(result.rejected, 2);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 2);
	assert_int_equal(
		lake_count(&lake, LETTERS, "error_type", "invalid", "payload", events[1], "field", "event_id", NULL),
		1);
	assert_int_equal(
		lake_count(&lake, LETTERS, "error_type", "invalid", "payload", events[2], "field", "athlete_id", NULL),
		1);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* E2: one dead letter for an event that is refused, however often it comes. */
static void an_event_refused_twice_has_one_letter(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	const char *ahead = lake_event(&lake, 1, "a1", LAKE_NOW + WEIR_US_PER_DAY, NULL, "\"heart_rate\": 1");
	lake_post(&lake, ahead);
	lake_post(&lake, ahead);
	lake_flush(&lake);
	lake_post(&lake, ahead);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "ahead", NULL), 1);
	lake_check_counters(&lake);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_repeat_within_a_request_adds_nothing),
		cmocka_unit_test(a_repeat_in_a_later_request_adds_nothing),
		cmocka_unit_test(the_same_id_of_another_key_is_another_event),
		cmocka_unit_test(ids_are_known_after_a_restart),
		cmocka_unit_test(an_id_counts_for_the_window_by_arrival),
		cmocka_unit_test(an_id_is_known_after_compaction_and_restart),
		cmocka_unit_test(late_rows_are_kept_and_flagged),
		cmocka_unit_test(history_neither_moves_the_watermark_nor_is_late),
		cmocka_unit_test(lateness_beyond_the_allowed_is_a_dead_letter),
		cmocka_unit_test(an_event_from_the_future_is_refused_and_moves_nothing),
		cmocka_unit_test(the_watermark_survives_a_restart),
		cmocka_unit_test(an_idle_partition_does_not_stall),
		cmocka_unit_test(what_the_door_refused_is_a_dead_letter),
		cmocka_unit_test(an_event_refused_twice_has_one_letter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
