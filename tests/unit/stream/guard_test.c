/*
 * A change of consent that comes while an epoch's files are written, after its rules were taken (G2): its task waits
 * for the epoch, and one that ended in spite of that is open again, with its fence, by the epoch's own transaction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "support/hook_os.h"
#include "support/lake/lake_fixture.h"

#define GOLD    "gold.athlete_data"
#define HISTORY "history.athlete_data"

struct race {
	struct lake_fixture lake;
	struct hook_os hook;
	void (*change)(struct race *race);
	uint64_t tasks_after; /* open ones, when the change and the work on it were over */
	unsigned times;
};

static struct consent *consent_of(struct race *race)
{
	return engine_consent(race->lake.engine, 0);
}

/* The first file of gold is opened: the rules are taken, nothing is committed. */
static int at_first_gold_file(void *context, const char *path, struct weir_error *err)
{
	struct race *race = context;
	(void)err;
	if (path == NULL || strstr(path, "/warehouse/gold/") == NULL || race->times > 0)
		return 0;
	race->times++;
	race->change(race);
	race->tasks_after = jobs_tasks_open(race->lake.engine->jobs);
	return 0;
}

/* A lake with the rules of a1, one row of a1 in gold, and one more event that is in the log alone. */
static void race_start(struct race *race, void (*change)(struct race *race))
{
	*race = (struct race){.change = change};
	lake_start(&race->lake, LAKE_ATHLETE);
	lake_permit(&race->lake, "a1", "research", NULL);
	lake_permit(&race->lake, "a3", "research", NULL);
	lake_settle(&race->lake);
	lake_close(&race->lake);
	hook_os_init(&race->hook, weir_os_real());
	race->hook.context = race;
	race->lake.os = &race->hook.os;
	lake_open(&race->lake);
	lake_post(&race->lake, lake_event(&race->lake, 1, "a1", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	lake_post(&race->lake, lake_event(&race->lake, 2, "a2", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	lake_post(&race->lake, lake_event(&race->lake, 3, "a3", LAKE_NOW, NULL, "\"heart_rate\": 100"));
	race->hook.before = at_first_gold_file;
	lake_flush(&race->lake);
	race->hook.before = NULL;
	assert_int_equal(race->times, 1);
}

static uint64_t visible(struct race *race, const char *subject)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
	struct access *access = engine_access(race->lake.engine);
	LAKE_OK(&race->lake, access_subject_rows(access, 0, weir_str_from(subject), counts, &err), &err);
	return counts[0];
}

/* Ends all tasks as a re-indexer would that found nothing to do and did not wait for the epoch. */
static void end_tasks(struct race *race)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_task *tasks;
	struct control_result result;
	uint32_t count;
	uint64_t rows[8] = {0};
	LAKE_OK(&race->lake, consent_tasks_open(consent_of(race), race->lake.arena, 8, &tasks, &count, &err), &err);
	assert_true(count > 0);
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	consent_stage_tasks_done(consent_of(race), change, tasks, rows, count);
	LAKE_OK(&race->lake, control_commit(engine_control(race->lake.engine), change, &result, &err), &err);
	assert_int_equal(result.outcome, CONTROL_DONE);
	control_change_free(change);
	consent_tasks_finished(consent_of(race), tasks, count);
}

static void withdraw_and_work(struct race *race)
{
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	lake_withdraw(&race->lake, "a1", "research");
	LAKE_OK(&race->lake, jobs_reindex(race->lake.engine->jobs, &did, &err), &err);
}

static void a_task_waits_for_the_epoch_that_missed_its_change(void **state)
{
	struct race race;
	(void)state;
	race_start(&race, withdraw_and_work);
	assert_int_equal(race.tasks_after, 1); /* the removal would have found nothing to remove */
	assert_int_equal(lake_count(&race.lake, GOLD, "athlete_id", "a1", NULL), 1);
	assert_int_equal(visible(&race, "a1"), 0);
	lake_settle(&race.lake);
	assert_int_equal(lake_count(&race.lake, GOLD, "athlete_id", "a1", NULL), 0);
	assert_int_equal(lake_count(&race.lake, HISTORY, "athlete_id", "a1", NULL), 1);
	assert_int_equal(visible(&race, "a3"), 1);
	lake_done(&race.lake);
}

static void withdraw_and_end(struct race *race)
{
	lake_withdraw(&race->lake, "a1", "research");
	end_tasks(race);
}

static void a_removal_that_ended_too_early_is_open_again_and_fenced(void **state)
{
	struct race race;
	(void)state;
	race_start(&race, withdraw_and_end);
	assert_int_equal(race.tasks_after, 0);
	assert_int_equal(lake_count(&race.lake, GOLD, "athlete_id", "a1", NULL), 1); /* the epoch did not know */
	assert_int_equal(visible(&race, "a1"), 0);
	assert_int_equal(jobs_tasks_open(race.lake.engine->jobs), 1);
	lake_reopen(
		&race.lake); /* and it is so in the control database, not in memory alone: a start removes what is open */
	assert_int_equal(lake_count(&race.lake, GOLD, "athlete_id", "a1", NULL), 0);
	assert_int_equal(visible(&race, "a3"), 1);
	lake_done(&race.lake);
}

static void grant_and_end(struct race *race)
{
	lake_permit(&race->lake, "a2", "research", NULL);
	end_tasks(race);
}

static void a_grant_that_the_epoch_missed_is_filled_in(void **state)
{
	struct race race;
	(void)state;
	race_start(&race, grant_and_end);
	assert_int_equal(race.tasks_after, 0);
	assert_int_equal(visible(&race, "a2"), 0); /* the epoch did not know */
	assert_int_equal(jobs_tasks_open(race.lake.engine->jobs), 1);
	lake_settle(&race.lake);
	assert_int_equal(visible(&race, "a2"), 1);
	assert_int_equal(visible(&race, "a1"), 1);
	lake_done(&race.lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_waits_for_the_epoch_that_missed_its_change),
		cmocka_unit_test(a_removal_that_ended_too_early_is_open_again_and_fenced),
		cmocka_unit_test(a_grant_that_the_epoch_missed_is_filled_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
