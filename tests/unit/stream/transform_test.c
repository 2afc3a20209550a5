/* A silver transform that fails, drops or doubles rows: each such event alone becomes a dead letter (E2, E3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "support/lake/lake_fixture.h"

#define SILVER  "silver.visits"
#define LETTERS "bronze.dead_letters"

/* The shop, but: the page "/boom" fails, "/gone" (and all that no category knows) is dropped, "/twice" is doubled. */
static void start_bad_shop(struct lake_fixture *lake)
{
	lake_copy(lake, LAKE_SHOP, false);
	lake_edit(lake, "silver.sql", "LEFT JOIN", "JOIN");
	lake_edit(lake, "silver.sql", "v.items,",
		"CASE WHEN v.page = '/boom' THEN CAST(v.page AS BIGINT) ELSE v.items END AS items,");
	lake_edit(lake, "categories.csv", "/checkout,", "/boom,bad\n/twice,one\n/twice,two\n/checkout,");
	lake_open(lake);
}

static void post_visits(struct lake_fixture *lake, unsigned first, const char *const *pages, unsigned count)
{
	struct weir_buf text = WEIR_BUF_INIT;
	for (unsigned i = 0; i < count; i++)
		weir_buf_printf(&text, "%s\n", lake_visit(lake, first + i, "c1", LAKE_NOW, pages[i]));
	struct ingest_result result = lake_post(lake, weir_buf_cstr(&text));
	assert_int_equal(result.accepted, count); /* the door cannot know */
	weir_buf_done(&text);
}

static uint64_t letters(struct lake_fixture *lake, const char *id)
{
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_printf(&text, "%s", id);
	uint64_t rows = lake_count(lake, LETTERS, "error_type", "transform", "payload", weir_buf_cstr(&text), NULL);
	weir_buf_done(&text);
	return rows;
}

static void each_bad_row_alone_is_a_letter(void **state)
{
	static const char *const pages[] = {
		"/shoes/trail", "/boom", "/shoes/road", "/gone", "/twice", "/checkout", "/boom", "/watches/gps"};
	struct lake_fixture lake;
	(void)state;
	start_bad_shop(&lake);
	post_visits(&lake, 1, pages, 8);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 4);
	assert_int_equal(lake_count(&lake, "bronze.visits", NULL), 4);
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "transform", NULL), 4);
	for (unsigned i = 0; i < 8; i++) {
		bool bad = i == 1 || i == 3 || i == 4 || i == 6;
		assert_int_equal(letters(&lake, lake_visit(&lake, 1 + i, "c1", LAKE_NOW, pages[i])), bad);
		assert_int_equal(lake_count(&lake, SILVER, "page", pages[i], NULL), !bad);
	}
	assert_int_equal(lake_counter(&lake, "api", "accepted"), 4);
	assert_int_equal(lake_counter(&lake, "api", "dead_letter"), 4);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* Bisection goes down batches and rows: many, over several blocks, with failures at the ends. */
static void failures_among_many_are_found(void **state)
{
	enum { EVENTS = 5000 };
	struct lake_fixture lake;
	struct weir_buf text = WEIR_BUF_INIT;
	(void)state;
	start_bad_shop(&lake);
	unsigned bad = 0;
	for (unsigned i = 0; i < EVENTS; i++) {
		bool fails = i == 0 || i == 2047 || i == 2048 || i == 3333 || i == EVENTS - 1;
		bool drops = i == 1 || i == 4095;
		bad += fails || drops;
		weir_buf_printf(&text, "%s\n",
			lake_visit(&lake, i, "c1", LAKE_NOW,
				fails               ? "/boom"
					: drops     ? "/gone"
					: i == 4096 ? "/twice"
						    : "/checkout"));
	}
	bad++; /* the doubled one */
	lake_post(&lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, LETTERS, "error_type", "transform", NULL), bad);
	assert_int_equal(lake_count(&lake, SILVER, NULL), EVENTS - bad);
	assert_int_equal(lake_count(&lake, SILVER, "page", "/checkout", NULL), EVENTS - bad);
	lake_check_counters(&lake);
	lake_done(&lake);
}

static void an_epoch_of_failures_alone_commits(void **state)
{
	static const char *const pages[] = {"/boom", "/gone"};
	struct lake_fixture lake;
	(void)state;
	start_bad_shop(&lake);
	post_visits(&lake, 1, pages, 2);
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, SILVER, NULL), 0);
	assert_int_equal(lake_count(&lake, LETTERS, NULL), 2);
	lake_check_counters(&lake);
	lake_reopen(&lake); /* and is not read again */
	lake_flush(&lake);
	assert_int_equal(lake_count(&lake, LETTERS, NULL), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* E6: once the SQL is mended, letters are replayed into rows; a second replay adds nothing. */
static void letters_are_replayed_once_the_sql_is_mended(void **state)
{
	static const char *const pages[] = {"/checkout", "/boom", "/gone"};
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t accepted, rejected;
	(void)state;
	start_bad_shop(&lake);
	post_visits(&lake, 1, pages, 3);
	lake_flush(&lake);
	lake_close(&lake);
	lake_edit(&lake, "silver.sql", "JOIN", "LEFT JOIN");
	lake_edit(&lake, "silver.sql",
		"CASE WHEN v.page = '/boom' THEN CAST(v.page AS BIGINT) ELSE v.items END AS items,", "v.items,");
	lake_open(&lake);
	const char *boom =
		lake_value(&lake, LETTERS, "trace_id", "payload", lake_visit(&lake, 2, "c1", LAKE_NOW, "/boom"), NULL);
	const char *gone =
		lake_value(&lake, LETTERS, "trace_id", "payload", lake_visit(&lake, 3, "c1", LAKE_NOW, "/gone"), NULL);
	struct weir_str traces[] = {weir_str_from(boom), weir_str_from(gone)};
	for (unsigned i = 0; i < 2; i++) {
		LAKE_OK(&lake, engine_replay(lake.engine, traces, 2, &accepted, &rejected, &err), &err);
		lake_flush(&lake);
		assert_int_equal(lake_count(&lake, SILVER, NULL), 3);
		assert_int_equal(lake_count(&lake, SILVER, "page", "/boom", NULL), 1);
		assert_int_equal(lake_counter(&lake, "dlq", "accepted"), 2);
		assert_int_equal(lake_counter(&lake, "dlq", "duplicate"), 2 * i);
	}
	assert_int_equal(lake_count(&lake, LETTERS, NULL) - lake_count(&lake, LETTERS, "replayed_at", "null", NULL), 2);
	lake_check_counters(&lake);
	lake_done(&lake);
}

/* The event itself and the replay of its letter meet in one epoch. */
static void a_replay_and_a_repeat_in_one_epoch_are_one_row(void **state)
{
	static const char *const pages[] = {"/checkout", "/boom"};
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t accepted, rejected;
	(void)state;
	for (int order = 0; order < 2; order++) {
		start_bad_shop(&lake);
		post_visits(&lake, 1, pages, 2);
		lake_flush(&lake);
		lake_close(&lake);
		lake_edit(&lake, "silver.sql",
			"CASE WHEN v.page = '/boom' THEN CAST(v.page AS BIGINT) ELSE v.items END AS items,",
			"v.items,");
		lake_advance(&lake,
			10 * WEIR_US_PER_DAY); /* past the window: the API's repeat is an event of its own again */
		lake_open(&lake);
		const char *event = lake_visit(&lake, 2, "c1", LAKE_NOW, "/boom");
		const char *trace = lake_value(&lake, LETTERS, "trace_id", NULL);
		struct weir_str traces[] = {weir_str_from(trace)};
		if (order == 0)
			lake_post(&lake, event);
		LAKE_OK(&lake, engine_replay(lake.engine, traces, 1, &accepted, &rejected, &err), &err);
		if (order == 1)
			lake_post(&lake, event);
		lake_flush(&lake);
		assert_int_equal(lake_count(&lake, SILVER, "page", "/boom", NULL), 1);
		lake_check_counters(&lake);
		lake_done(&lake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bad_row_alone_is_a_letter),
		cmocka_unit_test(failures_among_many_are_found),
		cmocka_unit_test(an_epoch_of_failures_alone_commits),
		cmocka_unit_test(letters_are_replayed_once_the_sql_is_mended),
		cmocka_unit_test(a_replay_and_a_repeat_in_one_epoch_are_one_row),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
