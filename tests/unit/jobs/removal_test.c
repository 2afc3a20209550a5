/* A removal in two commits: deletes first, then the rewrite; and whatever may come between them (G3, G4, G5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "iceberg/revise.h"
#include "support/hook_os.h"
#include "support/lake/lake_fixture.h"

#define GOLD    "gold.athlete_data"
#define HISTORY "history.athlete_data"
#define MINE    "athlete-kilo" /* whose rows go; "athlete-mike"'s stay */

/* What happens once the deletes are committed, at a call to the disk. */
enum between { NOTHING, LOOK, DIE, FAIL, WIDEN, NARROW, WATCH };

struct removal {
	struct lake_fixture lake;
	struct hook_os hook;
	enum between between;
	unsigned calls;  /* of those after the deletes, the one at which it happens */
	uint64_t deltas; /* of before */
	uint64_t lsn;
	bool before_deletes; /* it happens while they are written, not after */
	unsigned happened, destroyed, done_before;
};

static struct jobs *jobs_of(struct removal *removal)
{
	return removal->lake.engine->jobs;
}

static int64_t delete_files(struct removal *removal)
{
	struct ice_table *table =
		ice_registry_table(engine_registry(removal->lake.engine), lake_table(&removal->lake, GOLD));
	int64_t count = -1;
	assert_true(weir_str_to_i64(
		ice_summary(ice_metadata_current(ice_table_metadata(table)), "total-delete-files"), &count));
	ice_table_unref(table);
	return count;
}

static const char *state_of(struct removal *removal)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_progress progress;
	LAKE_OK(&removal->lake,
		consent_change_progress(engine_consent(removal->lake.engine, 0), removal->lsn, &progress, &err), &err);
	return progress.state;
}

struct marks {
	unsigned deletes, vectors, subjects;
};

static void look_at_file(void *context, const char *path, const char *name_below, struct weir_str content)
{
	struct marks *marks = context;
	(void)path;
	if (strstr(name_below, "-deletes") == NULL)
		return;
	marks->deletes++;
	assert_true(memmem(content.data, content.size, "file_path", 9) != NULL || memcmp(content.data, "PFA1", 4) == 0);
	marks->vectors += memcmp(content.data, "PFA1", 4) == 0;
	marks->subjects += memmem(content.data, content.size, MINE, strlen(MINE)) != NULL ||
		memmem(content.data, content.size, "athlete_id", 10) != NULL ||
		memmem(content.data, content.size, "heart_rate", 10) != NULL;
}

static struct marks marks_of(struct removal *removal)
{
	struct marks marks = {0};
	lake_each_file(&removal->lake, "data/warehouse/gold", look_at_file, &marks);
	return marks;
}

/* The rows are out of the newest snapshot and in history; their bytes are there, and so the task is open. */
static void look(struct removal *removal)
{
	struct lake_fixture *lake = &removal->lake;
	struct marks marks = marks_of(removal);
	int status;
	LAKE_CHECK(lake, lake_count(lake, GOLD, "athlete_id", MINE, "purpose", "research", NULL) == 0);
	LAKE_CHECK(lake, lake_count(lake, GOLD, "athlete_id", MINE, NULL) == 6);
	LAKE_CHECK(lake, lake_count(lake, GOLD, "athlete_id", "athlete-mike", NULL) == 8);
	LAKE_CHECK(lake, lake_count(lake, HISTORY, NULL) == 6);
	LAKE_CHECK(lake, delete_files(removal) > 0);
	LAKE_CHECK(lake, marks.deletes > 0 && marks.subjects == 0);
	LAKE_CHECK(lake, jobs_tasks_open(jobs_of(removal)) == 1);
	LAKE_CHECK(lake, lake_number(lake, "SELECT COUNT(*) FROM weir_fence") == 1);
	LAKE_CHECK(lake, strcmp(state_of(removal), "removing") == 0);
	LAKE_CHECK(lake, lake_sql_rows(lake, "SELECT * FROM gold.athlete_data", false, &status) == 14 && status == 0);
	lake_check_sound(lake);
}

static int at_call(void *context, const char *path, struct weir_error *err)
{
	struct removal *removal = context;
	struct lake_fixture *lake = &removal->lake;
	if (removal->between == WATCH) { /* the files are destroyed: is it told as done before? */
		if (path == NULL || strstr(path, "/warehouse/gold/") == NULL || delete_files(removal) > 0)
			return 0;
		removal->destroyed++;
		removal->done_before += strcmp(state_of(removal), "done") == 0;
		return 0;
	}
	bool early = removal->before_deletes && path != NULL && strstr(path, "-deletes") != NULL;
	bool late = !removal->before_deletes && jobs_numbers(jobs_of(removal)).deltas > removal->deltas;
	if (!early && (!late || removal->calls-- > 0))
		return 0;
	removal->before_deletes = false;
	enum between between = removal->between;
	removal->between = between == NARROW ? WATCH : NOTHING;
	removal->happened++;
	if (between == NOTHING)
		removal->happened--, removal->calls = 0;
	else if (between == LOOK)
		look(removal);
	else if (between == DIE)
		_exit(0);
	else if (between == FAIL)
		return weir_fail(err, WEIR_E_IO, "the disk was told to fail");
	else if (between == WIDEN)
		lake_permit(lake, MINE, "research", "education", NULL);
	else if (between == NARROW) {
		lake_permit(lake, MINE, "research", "education", NULL);
		removal->lsn = lake_withdraw(lake, MINE, "research");
	}
	return 0;
}

/* Six rows of MINE for each of two purposes, eight of another athlete. */
static void begin(struct removal *removal)
{
	struct lake_fixture *lake = &removal->lake;
	struct weir_buf text = WEIR_BUF_INIT;
	*removal = (struct removal){.between = NOTHING};
	lake_start(lake, LAKE_ATHLETE);
	lake_close(lake);
	hook_os_init(&removal->hook, weir_os_real());
	removal->hook.context = removal;
	lake->os = &removal->hook.os;
	lake->delta_from_bytes = 1;
	lake_open(lake);
	lake_permit(lake, MINE, "research", "education", NULL);
	lake_permit(lake, "athlete-mike", "research", NULL);
	for (unsigned i = 0; i < 14; i++)
		weir_buf_printf(&text, "%s\n",
			lake_event(lake, i, i < 6 ? MINE : "athlete-mike", LAKE_NOW - (int64_t)i * WEIR_US_PER_MINUTE,
				NULL, "\"heart_rate\": 90"));
	lake_post(lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(lake);
	lake_settle(lake);
	assert_int_equal(lake_count(lake, GOLD, NULL), 20);
}

/* Withdraws, and does the work while something comes between; returns what the work said. */
static int withdraw(struct removal *removal, enum between between, unsigned calls, struct weir_error *err)
{
	bool did = true;
	int status = 0;
	removal->lsn = lake_withdraw(&removal->lake, MINE, "research");
	removal->between = between;
	removal->calls = calls;
	removal->deltas = jobs_numbers(jobs_of(removal)).deltas;
	removal->hook.before = at_call;
	while (status == 0 && did)
		status = jobs_reindex(jobs_of(removal), &did, err);
	removal->hook.before = NULL;
	return status;
}

/* Nothing is left of what was between, and history has each stay that ended once. */
static void ends_well(struct removal *removal)
{
	struct lake_fixture *lake = &removal->lake;
	assert_int_equal(jobs_tasks_open(jobs_of(removal)), 0);
	assert_int_equal(delete_files(removal), 0);
	assert_int_equal(marks_of(removal).deletes, 0);
	assert_int_equal(lake_number(lake, "SELECT COUNT(*) FROM weir_doomed_files WHERE name LIKE 'gold/%'"), 0);
	assert_int_equal(lake_number(lake, "SELECT COUNT(*) FROM weir_fence"), 0);
	assert_int_equal(lake_count(lake, HISTORY, NULL), 6);
	assert_int_equal(lake_count(lake, GOLD, "athlete_id", MINE, "purpose", "education", NULL), 6);
	assert_int_equal(lake_count(lake, GOLD, "athlete_id", "athlete-mike", NULL), 8);
	assert_string_equal(state_of(removal), "done");
	lake_check_sound(lake);
}

static void rows_go_before_their_bytes(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	for (unsigned calls = 0; calls < 12; calls += 3) {
		begin(&removal);
		assert_int_equal(withdraw(&removal, LOOK, calls, &err), 0);
		assert_int_equal(removal.happened, 1);
		assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 14);
		ends_well(&removal);
		assert_int_equal(jobs_numbers(jobs_of(&removal)).rows_removed, 6);
		lake_done(&removal.lake);
	}
}

/* As another engine would, while weir is down. */
static void upgrade_gold(struct removal *removal)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct lake_fixture *lake = &removal->lake;
	struct ice_evolve_step step = {ICE_UPGRADE, WEIR_STR(""), WEIR_STR(""), WEIR_STR("")};
	struct ice_evolution evolution = {&step, 1};
	struct ice_table *table = ice_registry_table(engine_registry(lake->engine), lake_table(lake, GOLD));
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_result result;
	struct ice_prepared *prepared;
	step.path = WEIR_STR("3");
	LAKE_OK(lake,
		ice_revise(table, ice_revise_evolve, &evolution, WEIR_STR("upgrade"), LAKE_NOW / 1000, &prepared, &err),
		&err);
	ice_stage(prepared, change);
	LAKE_OK(lake, control_commit(engine_control(lake->engine), change, &result, &err), &err);
	control_change_free(change);
	ice_prepared_free(prepared);
	ice_table_unref(table);
	lake_reopen(lake);
}

/* Version 3 has vectors, one a file: a second round takes up what the first one's held. */
static void in_version_3_the_deletes_are_vectors(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	begin(&removal);
	upgrade_gold(&removal);
	assert_int_equal(withdraw(&removal, FAIL, 3, &err), WEIR_E_IO);
	look(&removal);
	assert_int_equal(marks_of(&removal).vectors, 1);
	lake_withdraw(&removal.lake, "athlete-mike", "research");
	assert_int_equal(withdraw(&removal, FAIL, 3, &err), WEIR_E_IO);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 6);
	assert_int_equal(lake_count(&removal.lake, HISTORY, NULL), 14);
	assert_int_equal(delete_files(&removal), 1);
	lake_check_sound(&removal.lake);
	lake_settle(&removal.lake);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 6);
	assert_int_equal(lake_count(&removal.lake, HISTORY, NULL), 14);
	assert_int_equal(delete_files(&removal), 0);
	assert_int_equal(marks_of(&removal).deletes, 0);
	lake_done(&removal.lake);
}

/* The rewrite of what is small follows at once: one commit. */
static void what_is_small_is_one_commit(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	begin(&removal);
	removal.lake.delta_from_bytes = 0;
	lake_reopen(&removal.lake);
	assert_int_equal(withdraw(&removal, LOOK, 0, &err), 0);
	assert_int_equal(removal.happened, 0);
	assert_int_equal(jobs_numbers(jobs_of(&removal)).deltas, 0);
	ends_well(&removal);
	lake_done(&removal.lake);
}

static void die_between(struct lake_fixture *lake, void *context)
{
	struct removal *removal = context;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)lake;
	withdraw(removal, DIE, removal->calls, &err);
	_exit(7); /* it was to die before */
}

static void a_death_between_is_gone_on_from(void **state)
{
	struct removal removal;
	(void)state;
	for (unsigned calls = 0; calls <= 9; calls += 3) {
		begin(&removal);
		lake_close(&removal.lake);
		removal.calls = calls;
		lake_crash(&removal.lake, die_between, &removal);
		lake_open(&removal.lake); /* which ends open removals */
		removal.lsn = consent_head(engine_consent(removal.lake.engine, 0));
		assert_int_equal(jobs_numbers(jobs_of(&removal)).resumed, 1);
		assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 14);
		ends_well(&removal);
		lake_done(&removal.lake);
	}
}

/* The newer change wins, as it does without the deletes: the rows are there again, decided under its number. */
static void a_newer_change_between_starts_over(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	begin(&removal);
	assert_int_equal(withdraw(&removal, WIDEN, 3, &err), 0);
	assert_int_equal(removal.happened, 1);
	assert_int_equal(lake_count(&removal.lake, GOLD, "athlete_id", MINE, "purpose", "research", NULL), 6);
	assert_int_equal(
		lake_count(&removal.lake, GOLD, "consent_lsn",
			weir_arena_printf(removal.lake.arena, "%llu", (unsigned long long)removal.lsn + 1), NULL),
		6);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 20);
	ends_well(&removal);
	lake_done(&removal.lake);
}

/* Not even the deletes are committed: the rows never went, and keep their number. */
static void a_newer_change_before_the_deletes_starts_over(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	begin(&removal);
	removal.before_deletes = true;
	assert_int_equal(withdraw(&removal, WIDEN, 0, &err), 0);
	assert_int_equal(removal.happened, 1);
	assert_int_equal(jobs_numbers(jobs_of(&removal)).deltas, 0);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 20);
	assert_int_equal(lake_count(&removal.lake, HISTORY, NULL), 0);
	assert_int_equal(
		lake_count(&removal.lake, GOLD, "consent_lsn",
			weir_arena_printf(removal.lake.arena, "%llu", (unsigned long long)removal.lsn + 1), NULL),
		0);
	assert_int_equal(marks_of(&removal).deletes, 0); /* what was written is destroyed */
	lake_done(&removal.lake);
}

/* The round that ends the task moves no row any more: the files of what the deletes took are waited for all the same. */
static void a_removal_is_done_when_the_rewritten_files_are_destroyed(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	begin(&removal);
	assert_int_equal(withdraw(&removal, NARROW, 3, &err), 0);
	assert_int_equal(removal.happened, 1);
	assert_true(removal.destroyed > 0);
	assert_int_equal(removal.done_before, 0);
	ends_well(&removal);
	lake_done(&removal.lake);
}

/* Small files by the dozen, which compaction would merge: not those that have deletes. */
static void compaction_leaves_files_with_deletes_alone(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	bool did = true;
	(void)state;
	begin(&removal);
	for (unsigned i = 0; i < 12; i++) {
		lake_post(
			&removal.lake, lake_event(&removal.lake, 100 + i, MINE, LAKE_NOW, NULL, "\"heart_rate\": 90"));
		lake_flush(&removal.lake);
	}
	assert_int_equal(withdraw(&removal, FAIL, 3, &err), WEIR_E_IO);
	int64_t deletes = delete_files(&removal);
	assert_int_equal(deletes, 13);
	for (unsigned i = 0; i < 20 && did; i++)
		LAKE_OK(&removal.lake, jobs_compact(jobs_of(&removal), &did, &err), &err);
	assert_int_equal(delete_files(&removal), deletes);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 14 + 12);
	lake_check_sound(&removal.lake);
	lake_settle_all(&removal.lake);
	assert_int_equal(delete_files(&removal), 0);
	assert_int_equal(marks_of(&removal).deletes, 0);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 14 + 12);
	assert_int_equal(lake_count(&removal.lake, HISTORY, NULL), 18);
	lake_done(&removal.lake);
}

/* Whatever the tasks say: files with deletes are rewritten, and until then the check calls it a break. */
static void deletes_are_work_without_a_task(void **state)
{
	struct removal removal;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&text);
	struct control_result result;
	bool did, sound = true;
	(void)state;
	begin(&removal);
	assert_int_equal(withdraw(&removal, FAIL, 3, &err), WEIR_E_IO);
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	control_change_sql(change, "task", 1, "UPDATE weir_tasks SET state = 'done' WHERE state = 'open'", NULL, 0);
	control_change_sql(change, "fence", 1, "DELETE FROM weir_fence", NULL, 0);
	LAKE_OK(&removal.lake, control_commit(engine_control(removal.lake.engine), change, &result, &err), &err);
	control_change_free(change);
	LAKE_OK(&removal.lake, engine_check(removal.lake.engine, &json, &sound, &err), &err);
	assert_false(sound);
	assert_non_null(strstr(weir_buf_cstr(&text), "the file has deletes, and no open task is to rewrite it"));
	weir_buf_done(&text);
	consent_tasks_finished(engine_consent(removal.lake.engine, 0), NULL, 0); /* memory follows */
	LAKE_OK(&removal.lake, jobs_reindex(jobs_of(&removal), &did, &err), &err);
	assert_true(did);
	assert_int_equal(lake_count(&removal.lake, GOLD, NULL), 14);
	assert_int_equal(delete_files(&removal), 0);
	assert_int_equal(marks_of(&removal).deletes, 0);
	LAKE_OK(&removal.lake, jobs_reindex(jobs_of(&removal), &did, &err), &err);
	assert_false(did);
	lake_done(&removal.lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_go_before_their_bytes),
		cmocka_unit_test(in_version_3_the_deletes_are_vectors),
		cmocka_unit_test(what_is_small_is_one_commit),
		cmocka_unit_test(a_death_between_is_gone_on_from),
		cmocka_unit_test(a_newer_change_between_starts_over),
		cmocka_unit_test(a_newer_change_before_the_deletes_starts_over),
		cmocka_unit_test(a_removal_is_done_when_the_rewritten_files_are_destroyed),
		cmocka_unit_test(compaction_leaves_files_with_deletes_alone),
		cmocka_unit_test(deletes_are_work_without_a_task),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
