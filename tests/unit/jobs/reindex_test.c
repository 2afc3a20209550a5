/* Re-index tasks: what goes goes to history and leaves no file, what comes comes once (G1, G2, G4, G5, G6). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "support/hook_os.h"
#include "support/lake/lake_fixture.h"

#define GOLD    "gold.athlete_data"
#define HISTORY "history.athlete_data"

static void post_some(struct lake_fixture *lake, const char *athlete, unsigned first, unsigned count)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char metrics[32];
	for (unsigned i = 0; i < count; i++) {
		snprintf(metrics, sizeof metrics, "\"heart_rate\": %u", 80 + i);
		weir_buf_printf(&text, "%s\n",
			lake_event(lake, first + i, athlete, LAKE_NOW - (int64_t)i * WEIR_US_PER_DAY,
				i % 2 == 0 ? "\"activity\": \"running\"" : "\"activity\": \"cycling\"", metrics));
	}
	lake_post(lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(lake);
}

static const char *number(struct lake_fixture *lake, uint64_t value)
{
	return weir_arena_printf(lake->arena, "%llu", (unsigned long long)value);
}

struct listing {
	struct weir_str names[512];
	uint32_t count;
	struct weir_arena *arena;
};

static void note_name(void *context, const char *path, const char *name_below, struct weir_str content)
{
	struct listing *listing = context;
	(void)path;
	(void)content;
	if (listing->count < 512)
		listing->names[listing->count++] = weir_arena_str(listing->arena, weir_str_from(name_below));
}

static uint32_t count_snapshots(struct lake_fixture *lake, const char *name)
{
	struct ice_table *table = ice_registry_table(engine_registry(lake->engine), lake_table(lake, name));
	uint32_t count = ice_table_metadata(table)->snapshot_count;
	ice_table_unref(table);
	return count;
}

static void a_withdrawn_row_goes_to_history(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	uint64_t granted = lake_permit(&lake, "a1", "research", "education", NULL);
	lake_permit(&lake, "a2", "research", NULL);
	post_some(&lake, "a1", 0, 6);
	post_some(&lake, "a2", 100, 4);
	post_some(&lake, "a3", 200, 3);
	lake_settle(&lake);
	uint64_t head = consent_head(engine_consent(lake.engine, 0));
	struct listing before = {.arena = lake.arena}, after = {.arena = lake.arena};
	lake_each_file(&lake, "data/warehouse/gold", note_name, &before);
	assert_true(count_snapshots(&lake, GOLD) >= 2);
	uint64_t revoked = lake_withdraw(&lake, "a1", "research");
	assert_true(revoked > head && granted < revoked);
	assert_int_equal(jobs_tasks_open(lake.engine->jobs), 1);
	lake_settle(&lake);
	assert_int_equal(jobs_tasks_open(lake.engine->jobs), 0);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", "purpose", "research", NULL), 0);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", "purpose", "education", NULL), 6);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a2", "purpose", "research", NULL), 4);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 6);
	assert_int_equal(lake_count(&lake, HISTORY, "athlete_id", "a1", "purpose", "research", "granted_lsn",
				 number(&lake, head), "revoked_lsn", number(&lake, revoked), "revoked_at",
				 number(&lake, LAKE_NOW), NULL),
		6);
	/* The snapshots that had the rows are gone, and so are their files: at once, without a sweep. */
	assert_int_equal(count_snapshots(&lake, GOLD), 1);
	lake_each_file(&lake, "data/warehouse/gold", note_name, &after);
	assert_int_equal(lake_number(&lake, "SELECT COUNT(*) FROM weir_doomed_files WHERE name LIKE 'gold/%'"), 0);
	uint32_t kept = 0;
	for (uint32_t i = 0; i < before.count; i++)
		for (uint32_t j = 0; j < after.count; j++)
			if (weir_str_equal(before.names[i], after.names[j])) {
				printf("kept %.*s\n", WEIR_STR_ARG(before.names[i]));
				kept++;
				/* Only data files of purposes and subjects that nothing was taken from stay. */
				assert_non_null(memmem(before.names[i].data, before.names[i].size, ".parquet", 8));
			}
	assert_true(kept < before.count);
	lake_withdraw(&lake, "a1", "research"); /* idempotent */
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 6);
	lake_done(&lake);
}

struct removal {
	struct lake_fixture lake;
	struct hook_os hook;
	uint64_t lsn;
	unsigned destroyed, done_before;
};

static const char *state_of(struct removal *removal)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_progress progress;
	struct consent *consent = engine_consent(removal->lake.engine, 0);
	LAKE_OK(&removal->lake, consent_change_progress(consent, removal->lsn, &progress, &err), &err);
	return progress.state;
}

static int at_destruction(void *context, const char *path, struct weir_error *err)
{
	struct removal *removal = context;
	(void)err;
	if (path == NULL || strstr(path, "/warehouse/gold/") == NULL || lake_count(&removal->lake, GOLD, NULL) > 0)
		return 0;
	removal->destroyed++; /* or a directory's sync after it */
	removal->done_before += strcmp(state_of(removal), "done") == 0;
	return 0;
}

/* A removal calls itself done when the files are gone, not when the tables no longer name them. */
static void a_removal_is_done_when_no_byte_is_left(void **state)
{
	struct removal removal = {.destroyed = 0};
	(void)state;
	lake_start(&removal.lake, LAKE_ATHLETE);
	lake_close(&removal.lake);
	hook_os_init(&removal.hook, weir_os_real());
	removal.hook.context = &removal;
	removal.lake.os = &removal.hook.os;
	lake_open(&removal.lake);
	lake_permit(&removal.lake, "a1", "research", NULL);
	post_some(&removal.lake, "a1", 0, 6);
	lake_settle(&removal.lake);
	removal.lsn = lake_withdraw(&removal.lake, "a1", "research");
	assert_string_equal(state_of(&removal), "fenced");
	removal.hook.before = at_destruction;
	lake_settle(&removal.lake);
	removal.hook.before = NULL;
	assert_true(removal.destroyed > 0);
	assert_int_equal(removal.done_before, 0);
	assert_string_equal(state_of(&removal), "done");
	lake_done(&removal.lake);
}

static void a_narrower_rule_takes_what_it_no_longer_gives(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", "education", NULL);
	post_some(&lake, "a1", 0, 10);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 20);
	uint64_t lsn = lake_rule(&lake,
		"{\"userId\": \"a1\", \"dimensions\": {\"purpose\": {\"operator\": \"IN\", \"values\": [{\"value\": "
		"\"research\"}, "
		"{\"value\": \"education\"}]}, \"activity\": {\"operator\": \"EQUALS\", \"value\": \"running\"},"
		" \"metric_conditions\": {\"heart_rate\": {\"operator\": \"LT\", \"value\": 86}}}}");
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 6); /* 80, 82, 84 */
	assert_int_equal(lake_count(&lake, GOLD, "activity", "cycling", NULL), 0);
	assert_int_equal(lake_count(&lake, HISTORY, "revoked_lsn", number(&lake, lsn), NULL), 14);
	/* Rows that stay keep their number (CONSENT.md: it is not rewritten when a later change leaves the decision as it was). */
	assert_int_equal(lake_count(&lake, GOLD, "consent_lsn", number(&lake, lsn), NULL), 0);
	lake_permit(&lake, "a1", "research", "education", NULL); /* wide again: they come back, once */
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 20);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 14);
	assert_int_equal(lake_count(&lake, GOLD, "consent_version", "1", NULL), 6);
	assert_int_equal(lake_count(&lake, GOLD, "consent_version", "3", NULL), 14);
	lake_done(&lake);
}

static void a_deny_outweighs_and_its_removal_gives_back(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", "education", NULL);
	post_some(&lake, "a1", 0, 10);
	lake_rule(&lake,
		"{\"userId\": \"a1\", \"ruleId\": \"no-cycling\", \"effect\": \"deny\", \"dimensions\": {\"activity\": "
		"{\"operator\": \"EQUALS\", "
		"\"value\": \"cycling\"}}}");
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 10);
	assert_int_equal(lake_count(&lake, GOLD, "activity", "cycling", NULL), 0);
	lake_permit(&lake, "a1", "research", "education", "marketing",
		NULL); /* a backfill does not bring what a deny holds */
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "activity", "cycling", NULL), 0);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "marketing", NULL), 5);
	lake_remove_rule(&lake, "a1", "no-cycling");
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 30);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 10);
	lake_done(&lake);
}

static void a_backfill_brings_each_row_once(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	post_some(&lake, "a1", 0, 10);
	post_some(&lake, "a2", 100, 10);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 0);
	uint64_t lsn = lake_permit(&lake, "a1", "research", NULL);
	post_some(&lake, "a1", 50, 5); /* under the rule, before its task: an epoch and a backfill meet */
	assert_int_equal(lake_count(&lake, GOLD, NULL), 5);
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", "purpose", "research", "consent_lsn",
				 number(&lake, lsn), NULL),
		15);
	assert_int_equal(lake_count(&lake, GOLD, NULL), 15);
	lake_permit(&lake, "a1", "research", "coaching", NULL);
	lake_settle(&lake);
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "research", NULL), 15);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "coaching", NULL), 15);
	lake_withdraw(&lake, "a1", "coaching"); /* a grant and its end before any task: nothing comes */
	lake_permit(&lake, "a1", "research", "coaching", NULL);
	lake_withdraw(&lake, "a1", "coaching");
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "coaching", NULL), 0);
	assert_int_equal(lake_count(&lake, HISTORY, "purpose", "coaching", NULL), 15);
	lake_done(&lake);
}

/* 14 append racing a revocation: acknowledged under the old rules, committed after the withdrawal. */
static void an_epoch_that_commits_after_a_withdrawal_leaves_nothing(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", NULL);
	lake_permit(&lake, "a2", "research", NULL);
	post_some(&lake, "a1", 0, 3);
	lake_post(&lake, lake_event(&lake, 10, "a1", LAKE_NOW, NULL, ""));
	lake_post(&lake, lake_event(&lake, 11, "a2", LAKE_NOW, NULL, ""));
	LAKE_OK(&lake, stream_step(lake.engine->streams[0], false, &did, &err), &err); /* taken, not closed */
	lake_withdraw(&lake, "a1", "research");
	lake_settle(&lake);
	lake_flush(&lake);
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", NULL), 0);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a2", NULL), 1);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 3);
	lake_done(&lake);
}

/* A change that is in the database and not in memory yet, as between an append's commit and its publication: another hand on the
 * same log makes it. A round that meets its task there does not end it by the rules of before. */
static void a_task_waits_until_its_change_is_known(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent *other;
	struct consent_changed changed;
	bool did;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", NULL);
	lake_permit(&lake, "a2", "research", NULL);
	post_some(&lake, "a1", 0, 4);
	post_some(&lake, "a2", 100, 4);
	lake_settle(&lake);
	lake_withdraw(&lake, "a2", "research");
	LAKE_OK(&lake,
		consent_open(
			lake.engine->control, &lake.engine->vocabularies[0], lake.engine->options.clock, &other, &err),
		&err);
	const struct consent_change change = {.kind = CONSENT_CHANGE_WITHDRAW,
		.subject = WEIR_STR("a1"),
		.purpose = (uint32_t)consent_purpose_index(consent_vocabulary_of(other), WEIR_STR("research"))};
	LAKE_OK(&lake, consent_append(other, &change, 1, &changed, &err), &err);
	consent_close(other);
	LAKE_OK(&lake, jobs_reindex(lake.engine->jobs, &did, &err), &err);
	assert_true(did);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a2", NULL), 0);
	assert_int_equal(
		lake_number(&lake, "SELECT COUNT(*) FROM weir_tasks WHERE state = 'open' AND subject = 'a1'"), 1);
	lake_permit(&lake, "a3", "research", NULL); /* finds that the log moved, and reads it again */
	lake_settle(&lake);
	assert_int_equal(lake_count(&lake, GOLD, "athlete_id", "a1", NULL), 0);
	assert_int_equal(lake_count(&lake, HISTORY, NULL), 8);
	lake_done(&lake);
}

static void many_pairs_share_one_rewrite(void **state)
{
	enum { ATHLETES = 40 };
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[16];
	bool did;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned i = 0; i < ATHLETES; i++) {
		snprintf(athlete, sizeof athlete, "a%02u", i);
		lake_permit(&lake, athlete, "research", "education", NULL);
		for (unsigned j = 0; j < 5; j++)
			weir_buf_printf(&text, "%s\n",
				lake_event(&lake, i * 5 + j, athlete, LAKE_NOW, NULL, "\"heart_rate\": 100"));
	}
	lake_post(&lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(&lake);
	lake_settle(&lake);
	uint32_t snapshots = count_snapshots(&lake, HISTORY);
	for (unsigned i = 0; i < ATHLETES / 2; i++) {
		snprintf(athlete, sizeof athlete, "a%02u", i);
		lake_withdraw(&lake, athlete, "research");
	}
	assert_int_equal(jobs_tasks_open(lake.engine->jobs), ATHLETES / 2);
	LAKE_OK(&lake, jobs_reindex(lake.engine->jobs, &did, &err), &err);
	assert_true(did);
	assert_int_equal(jobs_tasks_open(lake.engine->jobs), 0);
	assert_int_equal(count_snapshots(&lake, HISTORY), snapshots + 1); /* one commit */
	assert_int_equal(lake_count(&lake, HISTORY, NULL), ATHLETES / 2 * 5);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "research", NULL), ATHLETES / 2 * 5);
	assert_int_equal(lake_count(&lake, GOLD, "purpose", "education", NULL), ATHLETES * 5);
	lake_done(&lake);
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Any order of grants, narrowings, withdrawals, events, tasks, compactions and restarts ends as the lake's own check has it. */
static void any_order_of_changes_ends_sound(void **state)
{
	struct lake_fixture lake;
	uint64_t random = 20250201;
	const char *given = getenv("WEIR_SEED");
	unsigned event = 0;
	char athlete[8];
	(void)state;
	if (given != NULL)
		random = strtoull(given, NULL, 10);
	printf("WEIR_SEED=%llu\n", (unsigned long long)random);
	lake_start(&lake, LAKE_ATHLETE);
	for (unsigned step = 0; step < 120; step++) {
		snprintf(athlete, sizeof athlete, "a%u", (unsigned)(next_random(&random) % 4));
		switch (next_random(&random) % 9) {
		case 0:
			lake_permit(&lake, athlete, "research", "education", NULL);
			break;
		case 1:
			lake_rule(&lake,
				weir_arena_printf(lake.arena,
					"{\"userId\": \"%s\", \"dimensions\": {\"purpose\": {\"operator\": \"EQUALS\", "
					"\"value\": \"research\"}, "
					"\"activity\": {\"operator\": \"EQUALS\", \"value\": \"running\"}}}",
					athlete));
			break;
		case 2:
			lake_withdraw(&lake, athlete, next_random(&random) % 2 ? "research" : "education");
			break;
		case 3:
			lake_settle(&lake);
			break;
		case 4:
			if (next_random(&random) % 4 == 0)
				lake_settle_all(&lake);
			break;
		case 5:
			if (next_random(&random) % 6 == 0)
				lake_reopen(&lake);
			break;
		default:
			for (unsigned i = 0; i < 3; i++, event++)
				lake_post(&lake,
					lake_event(&lake, event, athlete, LAKE_NOW,
						event % 2 ? "\"activity\": \"running\"" : NULL, "\"heart_rate\": 100"));
			if (next_random(&random) % 2 == 0)
				lake_flush(&lake);
			break;
		}
	}
	lake_flush(&lake);
	lake_settle_all(&lake);
	lake_check_counters(&lake);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_withdrawn_row_goes_to_history),
		cmocka_unit_test(a_removal_is_done_when_no_byte_is_left),
		cmocka_unit_test(a_narrower_rule_takes_what_it_no_longer_gives),
		cmocka_unit_test(a_deny_outweighs_and_its_removal_gives_back),
		cmocka_unit_test(a_backfill_brings_each_row_once),
		cmocka_unit_test(an_epoch_that_commits_after_a_withdrawal_leaves_nothing),
		cmocka_unit_test(a_task_waits_until_its_change_is_known),
		cmocka_unit_test(many_pairs_share_one_rewrite),
		cmocka_unit_test(any_order_of_changes_ends_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
