/* What the log holds and the tables do not: read again after a crash, each event once (E1, E2, E3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "support/lake/lake_fixture.h"

#define SILVER  "silver.telemetry"
#define GOLD    "gold.athlete_data"
#define LETTERS "bronze.dead_letters"

enum { EVENTS = 300, ATHLETES = 7 };

static void post_range(struct lake_fixture *lake, unsigned from, unsigned to)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[16];
	for (unsigned i = from; i < to; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % ATHLETES);
		weir_buf_printf(
			&text, "%s\n", lake_event(lake, i, athlete, LAKE_NOW + i * 1000, NULL, "\"heart_rate\": 100"));
	}
	struct ingest_result result = lake_post(lake, weir_buf_cstr(&text));
	LAKE_CHECK(lake, result.accepted == to - from);
	weir_buf_done(&text);
}

static void acknowledged_then_dead(struct lake_fixture *lake, void *context)
{
	(void)context;
	lake_permit(lake, "a1", "research", NULL);
	post_range(lake, 0, EVENTS);
}

static void acknowledged_events_survive_a_crash(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_close(&lake);
	lake_crash(&lake, acknowledged_then_dead, NULL);
	lake_open(&lake);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS);
	assert_int_equal(
		lake_count(&lake, GOLD, "athlete_id", "a1", "purpose", "research", NULL), (EVENTS + 5) / ATHLETES);
	lake_check_counters(&lake);
	post_range(&lake, 0, EVENTS); /* what was read from the log is known */
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void half_committed_then_dead(struct lake_fixture *lake, void *context)
{
	(void)context;
	post_range(lake, 0, EVENTS / 2);
	lake_flush(lake);
	post_range(lake, EVENTS / 3, EVENTS); /* some of them again */
}

static void only_what_is_not_committed_is_read_again(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_close(&lake);
	for (int crash = 0; crash < 3; crash++)
		lake_crash(&lake, half_committed_then_dead, NULL);
	lake_open(&lake);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void mixed_then_dead(struct lake_fixture *lake, void *context)
{
	(void)context;
	/* Valid, refused at the door, valid and no longer so under the next schema, valid: in one block. */
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_printf(&text, "%s\n", lake_visit(lake, 1, "c1", LAKE_NOW, "/checkout"));
	weir_buf_puts(&text, "{\"visit_id\": 5}\n");
	weir_buf_puts(&text,
		"{\"visit_id\": \"00000000-0000-4000-8000-000000000002\", \"customer_id\": \"c1\", \"visited_at\": "
		"\"2025-02-01T08:00:00Z\", \"page\": \"/jackets/rain\", \"amount\": 12.5, \"items\": 7}\n");
	weir_buf_printf(&text, "%s\n", lake_visit(lake, 3, "c1", LAKE_NOW, "/shoes/road"));
	struct ingest_result result = lake_post(lake, weir_buf_cstr(&text));
	LAKE_CHECK(lake, result.accepted == 3 && result.rejected == 1);
	weir_buf_done(&text);
}

static void a_schema_that_became_narrower_makes_letters_not_losses(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_copy(&lake, LAKE_SHOP, true);
	lake_close(&lake);
	lake_crash(&lake, mixed_then_dead, NULL);
	lake_edit(&lake, "schemas/visits.schema.json", "\"items\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0}",
		"\"items\": {\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 5}");
	lake_open(&lake);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, "silver.visits", NULL), 2);
	/* Nothing of the row that was refused half-way is in its neighbour. */
	assert_string_equal(lake_value(&lake, "silver.visits", "amount", "page", "/shoes/road", NULL), "null");
	assert_string_equal(lake_value(&lake, "silver.visits", "items", "page", "/shoes/road", NULL), "null");
	assert_string_equal(lake_value(&lake, "silver.visits", "category", "page", "/shoes/road", NULL), "shoes");
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "schema", NULL), 1);
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "invalid", NULL), 1);
	assert_non_null(strstr(lake_value(&lake, LETTERS, "payload", "error_type", "schema", NULL), "/jackets/rain"));
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* The rules that hold when the epoch closes decide, not those of the time of the acknowledgement. */
static void withdrawn_then_dead(struct lake_fixture *lake, void *context)
{
	(void)context;
	lake_permit(lake, "a1", "research", NULL);
	post_range(lake, 0, EVENTS);
	lake_withdraw(lake, "a1", "research");
}

static void a_replay_is_evaluated_under_the_newest_rules(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_close(&lake);
	lake_crash(&lake, withdrawn_then_dead, NULL);
	lake_open(&lake);
	lake_flush(&lake);
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 0);
	lake_check_counters(&lake);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_events_survive_a_crash),
		cmocka_unit_test(only_what_is_not_committed_is_read_again),
		cmocka_unit_test(a_schema_that_became_narrower_makes_letters_not_losses),
		cmocka_unit_test(a_replay_is_evaluated_under_the_newest_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
