/* The consent log, fence, tasks and the epoch's guard over a real control database. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "consent/consent.h"
#include "unit/consent/fixture.h"

struct lake {
	char dir[64], path[96];
	struct control *control;
	struct consent *consent;
	struct weir_manual_clock clock;
	struct weir_arena *arena;
	struct consent_vocabulary vocabulary;
};

static void open_lake(struct lake *lake)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_options options = {.url = lake->path, .unsafe_no_sync = true};
	if (control_open(&options, &lake->control, &err) != 0)
		fail_msg("%s", err.message);
	if (consent_open(lake->control, &lake->vocabulary, weir_clock_manual(&lake->clock), &lake->consent, &err) != 0)
		fail_msg("%s", err.message);
}

static void close_lake(struct lake *lake)
{
	consent_close(lake->consent);
	control_close(lake->control);
}

static void reopen(struct lake *lake)
{
	close_lake(lake);
	open_lake(lake);
}

static int setup(void **state)
{
	struct lake *lake = weir_zalloc(sizeof *lake);
	snprintf(lake->dir, sizeof lake->dir, "/tmp/consent-test-XXXXXX");
	assert_non_null(mkdtemp(lake->dir));
	snprintf(lake->path, sizeof lake->path, "%s/control.db", lake->dir);
	lake->clock.time_us = 1000000;
	lake->arena = weir_arena_new(0);
	lake->vocabulary = fixture_vocabulary;
	open_lake(lake);
	*state = lake;
	return 0;
}

static int teardown(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct lake *lake = *state;
	close_lake(lake);
	for (unsigned i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s%s", lake->path, suffixes[i]);
		unlink(path);
	}
	rmdir(lake->dir);
	weir_arena_free(lake->arena);
	free(lake);
	return 0;
}

/* ---- short hands ---- */

#define ONE(purpose) "\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"" purpose "\"}"
#define BOTH         "\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"research\"},{\"value\":\"education\"}]}"
#define RUNNING      ",\"activity\":{\"operator\":\"EQUALS\",\"value\":\"running\"}"

static const char *rule_json(
	struct lake *lake, const char *subject, const char *rule_id, const char *effect, const char *dimensions)
{
	return weir_arena_printf(lake->arena,
		"{\"userId\":\"%s\",\"ruleId\":\"%s\",\"effect\":\"%s\",\"dimensions\":{%s}}", subject, rule_id, effect,
		dimensions);
}

static struct consent_change post_change(struct lake *lake, const char *json)
{
	struct consent_rule *rule = weir_arena_zalloc(lake->arena, sizeof *rule);
	struct consent_problem problem;
	struct weir_error err = WEIR_ERROR_INIT;
	if (consent_rule_parse(
		    consent_vocabulary_of(lake->consent), lake->arena, weir_str_from(json), rule, &problem, &err) != 0)
		fail_msg("%s", err.message);
	return (struct consent_change){.kind = CONSENT_CHANGE_POST, .rule = rule};
}

static struct consent_changed append(struct lake *lake, const struct consent_change *change)
{
	struct consent_changed changed;
	struct weir_error err = WEIR_ERROR_INIT;
	if (consent_append(lake->consent, change, 1, &changed, &err) != 0)
		fail_msg("%s", err.message);
	return changed;
}

static struct consent_changed post(
	struct lake *lake, const char *subject, const char *rule_id, const char *effect, const char *dimensions)
{
	struct consent_change change = post_change(lake, rule_json(lake, subject, rule_id, effect, dimensions));
	return append(lake, &change);
}

static struct consent_changed withdraw(struct lake *lake, const char *subject, uint32_t purpose)
{
	struct consent_change change = {
		.kind = CONSENT_CHANGE_WITHDRAW, .subject = weir_str_from(subject), .purpose = purpose};
	return append(lake, &change);
}

static struct consent_changed remove_rule(struct lake *lake, const char *subject, const char *rule_id)
{
	struct consent_change change = {
		.kind = CONSENT_CHANGE_REMOVE, .subject = weir_str_from(subject), .rule_id = weir_str_from(rule_id)};
	return append(lake, &change);
}

/* The smallest consent_lsn of a row of the pair that is shown, 0 where all are. */
static uint64_t hidden_below(struct lake *lake, const char *subject, uint32_t purpose)
{
	struct consent_fence *fence = consent_fence_ref(lake->consent);
	uint64_t lsn = 0;
	while (consent_fence_hides(fence, weir_str_from(subject), purpose, lsn))
		lsn++;
	consent_fence_unref(fence);
	return lsn;
}

static uint64_t possible(struct lake *lake, const char *subject)
{
	struct consent_rules *rules = consent_rules_newest(lake->consent);
	uint64_t mask = consent_rules_possible(rules, weir_str_from(subject));
	consent_rules_unref(rules);
	return mask;
}

static uint32_t open_tasks(struct lake *lake, struct consent_task **ret_tasks)
{
	uint32_t count;
	struct weir_error err = WEIR_ERROR_INIT;
	if (consent_tasks_open(lake->consent, lake->arena, 1000, ret_tasks, &count, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(consent_tasks_open_count(lake->consent), count);
	return count;
}

typedef void stage_fn(struct consent *consent, struct control_change *change, const struct consent_task *tasks,
	const uint64_t *rows, uint32_t count);

static int stage_and_commit(
	struct lake *lake, stage_fn *stage, const struct consent_task *tasks, uint32_t count, uint64_t rows)
{
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	struct control_result result;
	uint64_t *row_counts = weir_arena_calloc(lake->arena, count, sizeof *row_counts);
	for (uint32_t i = 0; i < count; i++)
		row_counts[i] = rows;
	stage(lake->consent, change, tasks, row_counts, count);
	assert_int_equal(control_commit(lake->control, change, &result, NULL), 0);
	control_change_free(change);
	if (result.outcome == CONTROL_CONFLICT) {
		assert_string_equal(result.conflict, "consent task");
		return WEIR_E_CONFLICT;
	}
	consent_tasks_finished(lake->consent, tasks, count);
	return 0;
}

static int finish(struct lake *lake, const struct consent_task *tasks, uint32_t count, uint64_t rows)
{
	return stage_and_commit(lake, consent_stage_tasks_done, tasks, count, rows);
}

static void finish_all(struct lake *lake)
{
	struct consent_task *tasks;
	uint32_t count = open_tasks(lake, &tasks);
	assert_int_equal(finish(lake, tasks, count, 0), 0);
	assert_int_equal(open_tasks(lake, &tasks), 0);
}

/* An epoch that was evaluated at E commits now. */
static uint64_t commit_epoch(struct lake *lake, uint64_t evaluated_lsn)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_result result;
	unsigned index = consent_stage_guard(lake->consent, change, evaluated_lsn);
	assert_int_equal(control_commit(lake->control, change, &result, NULL), 0);
	assert_int_equal(result.outcome, CONTROL_DONE);
	control_change_free(change);
	uint64_t head = (uint64_t)result.returned[index];
	assert_int_equal(consent_guard_done(lake->consent, evaluated_lsn, head, NULL), 0);
	return head;
}

/* ---- the log ---- */

static void test_numbers_and_idempotence(void **state)
{
	struct lake *lake = *state;
	assert_int_equal(consent_head(lake->consent), 0);
	struct consent_changed first = post(lake, "ann", "default", "permit", BOTH);
	assert_int_equal(first.lsn, 1);
	assert_int_equal(first.version, 1);
	assert_int_equal(first.removes, 0);
	assert_int_equal(first.adds, 1 << RESEARCH | 1 << EDUCATION);
	/* An equal body is no change, however it is spelled. */
	struct consent_changed again = post(lake, "ann", "default", "permit",
		"\"purpose\":{\"values\":[{\"value\":\"education\",\"type\":\"text\"},{\"value\":\"research\"}],"
		"\"operator\":\"IN\"}");
	assert_true(again.nothing);
	assert_int_equal(again.lsn, 1);
	struct consent_changed gone = withdraw(lake, "ann", RESEARCH);
	assert_int_equal(gone.lsn, 2);
	assert_int_equal(gone.removes, 1 << RESEARCH);
	struct consent_changed twice = withdraw(lake, "ann", RESEARCH);
	assert_true(twice.nothing);
	assert_int_equal(twice.lsn, 2);
	assert_int_equal(possible(lake, "ann"), 1 << EDUCATION);
	/* The same body after the withdrawal is a new permit. */
	struct consent_changed renewed = post(lake, "ann", "default", "permit", BOTH);
	assert_false(renewed.nothing);
	assert_int_equal(renewed.lsn, 3);
	assert_int_equal(renewed.version, 2);
	assert_int_equal(renewed.adds, 1 << RESEARCH);
	assert_int_equal(renewed.removes, 0);
	assert_int_equal(withdraw(lake, "ann", RESEARCH).lsn, 4);
	assert_true(remove_rule(lake, "ann", "other").nothing);
	assert_int_equal(remove_rule(lake, "ann", "default").removes, 1 << EDUCATION);
	assert_int_equal(possible(lake, "ann"), 0);
	assert_int_equal(consent_subject_lsn(lake->consent, WEIR_STR("ann")), 5);
	assert_int_equal(consent_subject_lsn(lake->consent, WEIR_STR("bob")), 0);
	assert_int_equal(consent_head(lake->consent), 5);
}

static void test_masks(void **state)
{
	struct lake *lake = *state;
	post(lake, "ann", "default", "permit", BOTH);
	/* One more purpose, all else equal: nothing goes. */
	struct consent_changed wider = post(lake, "ann", "default", "permit",
		"\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"research\"},{\"value\":\"education\"},{"
		"\"value\":\"coaching\"}]}");
	assert_int_equal(wider.removes, 0);
	assert_int_equal(wider.adds, 1 << COACHING);
	struct consent_changed fewer = post(lake, "ann", "default", "permit", ONE("research"));
	assert_int_equal(fewer.removes, 1 << EDUCATION | 1 << COACHING);
	assert_int_equal(fewer.adds, 0);
	struct consent_changed narrower = post(lake, "ann", "default", "permit", ONE("research") RUNNING);
	assert_int_equal(narrower.removes, 1 << RESEARCH);
	assert_int_equal(narrower.adds, 1 << RESEARCH);
	/* A deny can only take what some permit gave. */
	struct consent_changed deny = post(lake, "ann", "no", "deny", "");
	assert_int_equal(deny.removes, 1 << RESEARCH);
	assert_int_equal(deny.adds, 0);
	struct consent_changed lifted = remove_rule(lake, "ann", "no");
	assert_int_equal(lifted.removes, 0);
	assert_int_equal(lifted.adds, 1 << RESEARCH);
	assert_int_equal(post(lake, "bob", "no", "deny", "").removes, 0);
	/* From deny to permit brings back what was denied, under this rule or another. */
	post(lake, "cyd", "all", "permit", BOTH);
	post(lake, "cyd", "x", "deny", BOTH);
	struct consent_changed turned = post(lake, "cyd", "x", "permit", ONE("research"));
	assert_int_equal(turned.removes, 0);
	assert_int_equal(turned.adds, 1 << RESEARCH | 1 << EDUCATION);
}

static void test_if_match(void **state)
{
	struct lake *lake = *state;
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_changed changed[2];
	struct consent_change change = post_change(lake, rule_json(lake, "ann", "default", "permit", BOTH));
	change.has_if_match = true;
	change.if_match = 1;
	assert_int_equal(consent_append(lake->consent, &change, 1, changed, &err), WEIR_E_CONFLICT);
	assert_non_null(strstr(err.message, "stale"));
	assert_null(strstr(err.message, "ann"));
	change.if_match = 0;
	assert_int_equal(consent_append(lake->consent, &change, 1, changed, &err), 0);
	assert_int_equal(
		consent_append(lake->consent, &change, 1, changed, &err), WEIR_E_CONFLICT); /* read before the first */
	/* One stale change of a call refuses the whole call, and uses no number. */
	struct consent_change two[2] = {post_change(lake, rule_json(lake, "bob", "default", "permit", BOTH)),
		{.kind = CONSENT_CHANGE_REMOVE,
			.subject = WEIR_STR("ann"),
			.rule_id = WEIR_STR("default"),
			.has_if_match = true,
			.if_match = 7}};
	assert_int_equal(consent_append(lake->consent, two, 2, changed, &err), WEIR_E_CONFLICT);
	assert_non_null(strstr(err.message, "change 2 of 2: stale"));
	assert_int_equal(possible(lake, "bob"), 0);
	two[1].if_match = consent_subject_lsn(lake->consent, WEIR_STR("ann"));
	assert_int_equal(consent_append(lake->consent, two, 2, changed, &err), 0);
	assert_int_equal(changed[0].lsn, 2);
	assert_int_equal(changed[1].lsn, 3);
}

/* Rows that another process appended: the number is refused by the database, memory is read anew, and the change
 * follows. */
static void test_log_moved(void **state)
{
	struct lake *lake = *state;
	post(lake, "ann", "default", "permit", BOTH);
	struct consent *other;
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(
		consent_open(lake->control, &lake->vocabulary, weir_clock_manual(&lake->clock), &other, &err), 0);
	struct consent_change gone = {.kind = CONSENT_CHANGE_WITHDRAW, .subject = WEIR_STR("ann"), .purpose = RESEARCH};
	struct consent_changed changed;
	assert_int_equal(consent_append(other, &gone, 1, &changed, &err), 0);
	assert_int_equal(possible(lake, "ann"), 1 << RESEARCH | 1 << EDUCATION);
	assert_int_equal(post(lake, "bob", "default", "permit", BOTH).lsn, 3);
	assert_int_equal(possible(lake, "ann"), 1 << EDUCATION);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 2);
	consent_close(other);
}

static void test_limits(void **state)
{
	struct lake *lake = *state;
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_changed changed;
	for (unsigned i = 0; i < 256; i++)
		post(lake, "ann", weir_arena_printf(lake->arena, "rule-%u", i), "permit", BOTH);
	struct consent_change change = post_change(lake, rule_json(lake, "ann", "one-more", "permit", BOTH));
	assert_int_equal(consent_append(lake->consent, &change, 1, &changed, &err), WEIR_E_LIMIT);
	assert_int_equal(consent_append(lake->consent, &change, CONSENT_APPEND_MAX + 1, &changed, &err), WEIR_E_LIMIT);
	struct consent_rule broken = {.subject = WEIR_STR("bob"), .rule_id = WEIR_STR("x"), .body = WEIR_STR("{")};
	change.rule = &broken;
	assert_int_equal(consent_append(lake->consent, &change, 1, &changed, &err), WEIR_E_INPUT);
	assert_int_equal(consent_head(lake->consent), 256);
}

/* ---- restart ---- */

static void count_rule(void *context, const struct consent_rule_view *rule)
{
	*(uint64_t *)context = *(uint64_t *)context * 31 + rule->lsn * 7 + rule->version + rule->purposes * 3;
}

static void count_withdrawn(void *context, uint32_t purpose, uint64_t lsn)
{
	*(uint64_t *)context = *(uint64_t *)context * 31 + purpose + lsn;
}

static uint64_t digest(struct lake *lake, const char *subject)
{
	struct consent_rules *rules = consent_rules_newest(lake->consent);
	uint64_t sum = consent_rules_changes(rules, weir_str_from(subject)) + consent_rules_lsn(rules) * 1000;
	consent_rules_each(rules, weir_str_from(subject), count_rule, count_withdrawn, &sum);
	consent_rules_unref(rules);
	return sum + consent_subject_lsn(lake->consent, weir_str_from(subject)) +
		hidden_below(lake, subject, RESEARCH) * 17 + hidden_below(lake, subject, EDUCATION) * 19;
}

static void test_restart(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", BOTH);
	post(lake, "ann", "no", "deny", ONE("education"));
	post(lake, "bob", "default", "permit", BOTH RUNNING);
	withdraw(lake, "bob", RESEARCH);
	post(lake, "bob", "extra", "permit", ONE("coaching"));
	remove_rule(lake, "bob", "extra");
	post(lake, "cyd", "gone", "permit", BOTH);
	remove_rule(lake, "cyd", "gone");
	uint64_t ann = digest(lake, "ann"), bob = digest(lake, "bob"), cyd = digest(lake, "cyd");
	uint32_t count = open_tasks(lake, &tasks);
	reopen(lake);
	assert_int_equal(digest(lake, "ann"), ann);
	assert_int_equal(digest(lake, "bob"), bob);
	assert_int_equal(digest(lake, "cyd"), cyd);
	assert_int_equal(open_tasks(lake, &tasks), count);
	assert_int_equal(consent_head(lake->consent), 8);
	assert_int_equal(post(lake, "ann", "default", "permit", ONE("research")).lsn, 9);
}

/* ---- fence and tasks ---- */

static void test_fence(void **state)
{
	struct lake *lake = *state;
	post(lake, "ann", "default", "permit", BOTH);
	struct consent_fence *before = consent_fence_ref(lake->consent);
	uint64_t generation = consent_fence_generation(lake->consent);
	assert_int_equal(consent_fence_count(before), 0);
	uint64_t n = withdraw(lake, "ann", RESEARCH).lsn;
	assert_true(consent_fence_generation(lake->consent) > generation);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	assert_int_equal(hidden_below(lake, "ann", EDUCATION), 0);
	assert_int_equal(hidden_below(lake, "bob", RESEARCH), 0);
	struct consent_fence *after = consent_fence_ref(lake->consent);
	assert_true(consent_fence_touches(after, RESEARCH));
	assert_false(consent_fence_touches(after, EDUCATION));
	assert_false(consent_fence_hides(before, WEIR_STR("ann"), RESEARCH, 0)); /* a copy of its moment */
	consent_fence_unref(before);
	consent_fence_unref(after);
	/* A later withdrawal of the same pair raises the number. */
	post(lake, "ann", "default", "permit", BOTH);
	uint64_t later = withdraw(lake, "ann", RESEARCH).lsn;
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), later);
	generation = consent_fence_generation(lake->consent);
	finish_all(lake);
	assert_true(consent_fence_generation(lake->consent) > generation);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 0);
	reopen(lake);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 0);
}

static void test_task_order_and_conflict(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks, stale;
	post(lake, "ann", "default", "permit", ONE("research"));
	post(lake, "bob", "default", "permit", ONE("research"));
	finish_all(lake);
	post(lake, "cyd", "default", "permit", ONE("research"));
	lake->clock.time_us += 5;
	withdraw(lake, "bob", RESEARCH);
	withdraw(lake, "ann", RESEARCH);
	assert_int_equal(open_tasks(lake, &tasks), 3);
	assert_true(weir_str_is(tasks[0].subject, "bob") && tasks[0].removes);
	assert_true(weir_str_is(tasks[1].subject, "ann") && tasks[1].removes);
	assert_true(weir_str_is(tasks[2].subject, "cyd") && !tasks[2].removes);
	assert_int_equal(tasks[0].created_us, lake->clock.time_us);
	/* A change of the pair while its task ran: the task may not be done. */
	stale = tasks[0];
	post(lake, "bob", "default", "permit", ONE("research"));
	assert_int_equal(finish(lake, &stale, 1, 3), WEIR_E_CONFLICT);
	assert_true(hidden_below(lake, "bob", RESEARCH) > 0);
	assert_int_equal(open_tasks(lake, &tasks), 3);
	assert_true(tasks[0].generation > stale.generation && tasks[0].lsn > stale.lsn && tasks[0].removes);
	/* None of a change's tasks is done where one conflicts. */
	struct consent_task mixed[2] = {tasks[1], stale};
	assert_int_equal(finish(lake, mixed, 2, 3), WEIR_E_CONFLICT);
	assert_int_equal(open_tasks(lake, &tasks), 3);
	finish_all(lake);
	struct consent_fence *fence = consent_fence_ref(lake->consent);
	assert_int_equal(consent_fence_count(fence), 0);
	consent_fence_unref(fence);
}

static void test_progress(void **state)
{
	struct lake *lake = *state;
	struct consent_progress progress;
	struct consent_task *tasks;
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t posted = post(lake, "ann", "default", "permit", ONE("research")).lsn;
	assert_int_equal(consent_change_progress(lake->consent, posted, &progress, &err), 0);
	assert_string_equal(progress.state, "backfilling");
	assert_int_equal(progress.invisible_us, 0);
	assert_int_equal(progress.done_us, 0);
	lake->clock.time_us += 10;
	finish_all(lake);
	assert_int_equal(consent_change_progress(lake->consent, posted, &progress, &err), 0);
	assert_string_equal(progress.state, "done");
	assert_int_equal(progress.done_us, lake->clock.time_us);
	lake->clock.time_us += 10;
	uint64_t gone = withdraw(lake, "ann", RESEARCH).lsn;
	assert_int_equal(consent_change_progress(lake->consent, gone, &progress, &err), 0);
	assert_string_equal(progress.state, "fenced");
	assert_int_equal(progress.at_us, lake->clock.time_us);
	assert_int_equal(progress.invisible_us, lake->clock.time_us);
	assert_int_equal(consent_change_progress(lake->consent, posted, &progress, &err), 0);
	assert_string_equal(progress.state, "done");
	open_tasks(lake, &tasks);
	/* Five rows are out of sight; the task, and its fence, are there until their bytes are gone too. */
	assert_int_equal(stage_and_commit(lake, consent_stage_tasks_moved, tasks, 1, 5), 0);
	assert_int_equal(consent_change_progress(lake->consent, gone, &progress, &err), 0);
	assert_string_equal(progress.state, "removing");
	assert_int_equal(progress.rows_done, 5);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	struct consent_fence *fence = consent_fence_ref(lake->consent);
	assert_int_equal(consent_fence_count(fence), 1);
	consent_fence_unref(fence);
	/* A newer change of the pair: the rows that the task moved are not forgotten, and it is another task to whoever read it. */
	struct consent_task *before = tasks;
	post(lake, "ann", "default", "permit", BOTH);
	gone = withdraw(lake, "ann", RESEARCH).lsn;
	assert_int_equal(stage_and_commit(lake, consent_stage_tasks_moved, before, 1, 1), WEIR_E_CONFLICT);
	assert_int_equal(open_tasks(lake, &tasks), 2); /* the first removes */
	lake->clock.time_us += 10;
	assert_int_equal(finish(lake, tasks, 1, 3), 0);
	assert_int_equal(consent_change_progress(lake->consent, gone, &progress, &err), 0);
	assert_string_equal(progress.state, "done");
	assert_int_equal(progress.rows_done, 8);
	assert_int_equal(progress.done_us, lake->clock.time_us);
	assert_int_equal(consent_change_progress(lake->consent, 99, &progress, &err), WEIR_E_NOT_FOUND);
}

/* ---- the guard (G2) ---- */

static void test_guard_opens_again(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", BOTH);
	post(lake, "bob", "default", "permit", BOTH);
	finish_all(lake);
	uint64_t evaluated = consent_head(lake->consent);
	assert_int_equal(commit_epoch(lake, evaluated), evaluated);
	assert_int_equal(open_tasks(lake, &tasks), 0);
	/* Withdrawn and even removed while an epoch that was evaluated before is on its way. */
	uint64_t n = withdraw(lake, "ann", RESEARCH).lsn;
	finish_all(lake);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 0);
	assert_int_equal(commit_epoch(lake, evaluated), n);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	assert_true(weir_str_is(tasks[0].subject, "ann") && tasks[0].purpose == RESEARCH && tasks[0].removes);
	struct consent_progress progress;
	assert_int_equal(consent_change_progress(lake->consent, n, &progress, NULL), 0);
	assert_string_equal(progress.state, "fenced");
	/* A task that read an older snapshot cannot be done after the guard. */
	struct consent_task read_before = tasks[0];
	commit_epoch(lake, evaluated);
	assert_int_equal(finish(lake, &read_before, 1, 0), WEIR_E_CONFLICT);
	reopen(lake);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	finish_all(lake);
	assert_int_equal(commit_epoch(lake, n), n);
	assert_int_equal(open_tasks(lake, &tasks), 0);
}

/* A withdrawal, then a new permit, then an epoch from before both: its rows are hidden although the newest change
 * only adds. */
static void test_guard_remembers_removal(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", ONE("research"));
	finish_all(lake);
	uint64_t evaluated = consent_head(lake->consent);
	uint64_t n = withdraw(lake, "ann", RESEARCH).lsn;
	finish_all(lake);
	post(lake, "ann", "default", "permit", ONE("research") RUNNING);
	finish_all(lake);
	commit_epoch(lake, evaluated);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	assert_true(tasks[0].removes);
	finish_all(lake);
	/* Evaluated between the two: only the permit was missed. */
	commit_epoch(lake, n);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 0);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	assert_false(tasks[0].removes);
}

/* The guard between a removal's commit and its lifting in memory keeps the entry. */
static void test_guard_before_finished(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", ONE("research"));
	finish_all(lake);
	uint64_t evaluated = consent_head(lake->consent), n = withdraw(lake, "ann", RESEARCH).lsn;
	uint32_t count = open_tasks(lake, &tasks);
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	struct control_result result;
	consent_stage_tasks_done(lake->consent, change, tasks, (uint64_t[]){1}, count);
	assert_int_equal(control_commit(lake->control, change, &result, NULL), 0);
	assert_int_equal(result.outcome, CONTROL_DONE);
	control_change_free(change);
	commit_epoch(lake, evaluated);
	consent_tasks_finished(lake->consent, tasks, count);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	/* The same where the fence is too large to be read whole. */
	for (unsigned i = 0; i < 40; i++) {
		const char *other = weir_arena_printf(lake->arena, "other-%u", i);
		post(lake, other, "default", "permit", ONE("research"));
		withdraw(lake, other, RESEARCH);
	}
	consent_tasks_finished(lake->consent, tasks, count);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), n);
	open_tasks(lake, &tasks);
	assert_true(weir_str_is(tasks[0].subject, "ann"));
	assert_int_equal(finish(lake, tasks, 1, 0), 0);
	assert_int_equal(hidden_below(lake, "ann", RESEARCH), 0);
	assert_true(hidden_below(lake, "other-7", RESEARCH) > 0);
}

/* ---- tasks with nothing to do ---- */

static void test_close_empty(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	uint64_t closed;
	enum { SUBJECTS = 2000 };
	struct consent_change *changes = weir_arena_calloc(lake->arena, SUBJECTS, sizeof *changes);
	struct consent_changed *changed = weir_arena_calloc(lake->arena, SUBJECTS, sizeof *changed);
	struct weir_str *subjects = weir_arena_calloc(lake->arena, SUBJECTS, sizeof *subjects);
	for (unsigned i = 0; i < SUBJECTS; i++) {
		const char *name = weir_arena_printf(lake->arena, "s-%u", i);
		subjects[i] = weir_str_from(name);
		changes[i] = post_change(lake, rule_json(lake, name, "default", "permit", BOTH));
	}
	assert_int_equal(consent_append(lake->consent, changes, SUBJECTS, changed, NULL), 0);
	assert_int_equal(changed[SUBJECTS - 1].lsn, SUBJECTS);
	assert_int_equal(consent_tasks_open_count(lake->consent), 2 * SUBJECTS);
	uint64_t seen = consent_head(lake->consent);
	commit_epoch(lake, seen - 1);    /* brings rows of s-1999 evaluated before its rule */
	withdraw(lake, "s-7", RESEARCH); /* newer than what the caller looked at */
	assert_int_equal(consent_tasks_close_empty(lake->consent, seen, subjects, 10, &closed, NULL), 0);
	assert_int_equal(closed, 19);
	assert_int_equal(consent_tasks_close_empty(lake->consent, seen, NULL, 0, &closed, NULL), 0);
	assert_int_equal(closed, 2 * SUBJECTS - 19 - 3);
	assert_int_equal(open_tasks(lake, &tasks), 3);
	assert_true(weir_str_is(tasks[0].subject, "s-7"));
	assert_true(weir_str_is(tasks[1].subject, "s-1999"));
	assert_true(hidden_below(lake, "s-7", RESEARCH) > 0);
	assert_int_equal(
		consent_tasks_close_empty(lake->consent, consent_head(lake->consent), NULL, 0, &closed, NULL), 0);
	assert_int_equal(closed, 1); /* what the guard opened stays */
	assert_int_equal(hidden_below(lake, "s-7", RESEARCH), 0);
	assert_int_equal(open_tasks(lake, &tasks), 2);
	assert_true(weir_str_is(tasks[0].subject, "s-1999"));
	finish_all(lake);
}

/* ---- the vocabulary ---- */

static void test_purpose_taken_and_back(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", BOTH);
	post(lake, "bob", "default", "permit", ONE("coaching"));
	finish_all(lake);
	/* Education goes, and the purposes change places. */
	static const struct weir_str fewer[] = {{"coaching", 8}, {"research", 8}, {"marketing", 9}};
	lake->vocabulary.purposes = fewer;
	lake->vocabulary.purpose_count = 3;
	reopen(lake);
	assert_int_equal(consent_head(lake->consent), 3);
	assert_int_equal(possible(lake, "ann"), 1 << 1);
	assert_int_equal(possible(lake, "bob"), 1 << 0);
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(lake->consent);
	assert_int_equal(vocabulary->purpose_count, 3);
	assert_int_equal(vocabulary->retired_count, 1);
	assert_true(weir_str_is(vocabulary->purposes[3], "education"));
	assert_int_equal(consent_purpose_index(vocabulary, WEIR_STR("education")), -1);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	assert_true(weir_str_is(tasks[0].subject, "ann") && tasks[0].purpose == 3 && tasks[0].removes);
	assert_int_equal(hidden_below(lake, "ann", 3), 3);
	struct consent_progress progress;
	assert_int_equal(consent_change_progress(lake->consent, 3, &progress, NULL), 0);
	assert_string_equal(progress.state, "fenced");
	finish_all(lake);
	assert_int_equal(hidden_below(lake, "ann", 3), 0);
	/* Nothing changed: no number is used. */
	reopen(lake);
	assert_int_equal(consent_head(lake->consent), 3);
	assert_int_equal(consent_vocabulary_of(lake->consent)->retired_count, 0);
	lake->vocabulary = fixture_vocabulary;
	reopen(lake);
	assert_int_equal(consent_head(lake->consent), 4);
	assert_int_equal(open_tasks(lake, &tasks), 1);
	assert_true(weir_str_is(tasks[0].subject, "ann") && tasks[0].purpose == EDUCATION && !tasks[0].removes);
	assert_int_equal(possible(lake, "ann"), 1 << RESEARCH | 1 << EDUCATION);
}

static void test_dimension_taken(void **state)
{
	struct lake *lake = *state;
	struct consent_task *tasks;
	post(lake, "ann", "default", "permit", BOTH RUNNING);
	withdraw(lake, "ann", EDUCATION);
	post(lake, "ann", "default", "permit", BOTH RUNNING);
	post(lake, "bob", "default", "permit", BOTH);
	post(lake, "cyd", "default", "permit", BOTH);
	post(lake, "cyd", "no", "deny", "\"activity\":{\"operator\":\"EQUALS\",\"value\":\"rowing\"}");
	finish_all(lake);
	lake->vocabulary.dimensions = fixture_dimensions + 1;
	lake->vocabulary.dimension_count = 5;
	reopen(lake);
	assert_int_equal(possible(lake, "ann"), 0);
	assert_int_equal(possible(lake, "bob"), 1 << RESEARCH | 1 << EDUCATION);
	assert_int_equal(open_tasks(lake, &tasks), 8); /* ann and cyd, four purposes each */
	assert_true(hidden_below(lake, "ann", RESEARCH) > 0 && hidden_below(lake, "cyd", EDUCATION) > 0);
	assert_int_equal(hidden_below(lake, "bob", RESEARCH), 0);
	/* A withdrawal now outranks the permit that sleeps, though it was withdrawn once before that was posted. */
	assert_int_equal(withdraw(lake, "ann", EDUCATION).lsn, 8);
	assert_true(withdraw(lake, "ann", EDUCATION).nothing);
	lake->vocabulary = fixture_vocabulary;
	reopen(lake);
	assert_int_equal(possible(lake, "ann"), 1 << RESEARCH);
}

/* ---- threads ---- */

enum { WRITERS = 4, ROUNDS = 40 };

struct writer {
	struct lake *lake;
	struct consent_change *changes;
	unsigned number;
	atomic_bool *stop;
	const struct weir_batch *batch;
	uint64_t last_lsn;
	unsigned failures;
};

static void *write_main(void *context)
{
	struct writer *writer = context;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct consent_changed changed;
		if (consent_append(writer->lake->consent, &writer->changes[i], 1, &changed, NULL) != 0 ||
			changed.lsn <= writer->last_lsn || consent_head(writer->lake->consent) < changed.lsn)
			writer->failures++;
		writer->last_lsn = changed.lsn;
	}
	return NULL;
}

static void *read_main(void *context)
{
	struct writer *reader = context;
	uint64_t last = 0;
	while (!atomic_load(reader->stop)) {
		struct consent_rules *rules = consent_rules_newest(reader->lake->consent);
		struct consent_fence *fence = consent_fence_ref(reader->lake->consent);
		if (consent_rules_lsn(rules) < last)
			reader->failures++;
		last = consent_rules_lsn(rules);
		consent_rules_possible(rules, WEIR_STR("w-1"));
		/* A row of w-1 may be in one purpose or two, or in none, whatever is posted and dropped meanwhile. */
		struct consent_binding *binding;
		uint64_t mask[1], plain;
		if (consent_binding_new(rules, &fixture_schema, &binding, NULL) != 0 ||
			consent_evaluate(binding, reader->batch, mask, NULL, NULL) != 0 ||
			consent_evaluate_plain(rules, reader->batch, 0, &plain, NULL) != 0 || mask[0] != plain)
			reader->failures++;
		consent_binding_free(binding);
		consent_fence_hides(fence, WEIR_STR("w-1"), RESEARCH, 1);
		consent_tasks_open_count(reader->lake->consent);
		consent_fence_generation(reader->lake->consent);
		consent_rules_unref(rules);
		consent_fence_unref(fence);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct lake *lake = *state;
	pthread_t threads[WRITERS + 1];
	struct writer writers[WRITERS + 1];
	atomic_bool stop = false;
	struct weir_builder *builder = weir_builder_new(&fixture_schema);
	weir_builder_str(builder, ATHLETE, WEIR_STR("w-1"));
	weir_builder_str(builder, ACTIVITY, WEIR_STR("running"));
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	weir_builder_free(builder);
	for (unsigned w = 0; w <= WRITERS; w++) {
		writers[w] = (struct writer){.lake = lake, .number = w, .stop = &stop, .batch = batch};
		writers[w].changes = weir_arena_calloc(lake->arena, ROUNDS, sizeof *writers[w].changes);
		const char *name = weir_arena_printf(lake->arena, "w-%u", w);
		for (unsigned i = 0; w < WRITERS && i < ROUNDS; i++)
			writers[w].changes[i] = i % 2 == 0
				? post_change(lake,
					  rule_json(lake, name, "default", "permit",
						  i % 4 == 0 ? BOTH RUNNING : ONE("research")))
				: (struct consent_change){.kind = CONSENT_CHANGE_WITHDRAW,
					  .subject = weir_str_from(name),
					  .purpose = RESEARCH};
	}
	for (unsigned w = 0; w <= WRITERS; w++)
		assert_int_equal(
			pthread_create(&threads[w], NULL, w < WRITERS ? write_main : read_main, &writers[w]), 0);
	for (unsigned i = 0; i < 10; i++) {
		struct consent_task *tasks;
		uint32_t count;
		assert_int_equal(consent_tasks_open(lake->consent, lake->arena, 3, &tasks, &count, NULL), 0);
		finish(lake, tasks, count, 0);
		commit_epoch(lake, consent_head(lake->consent));
	}
	for (unsigned w = 0; w <= WRITERS; w++) {
		if (w == WRITERS)
			atomic_store(&stop, true);
		pthread_join(threads[w], NULL);
		assert_int_equal(writers[w].failures, 0);
	}
	weir_batch_release(batch);
	assert_int_equal(consent_head(lake->consent), WRITERS * ROUNDS);
	uint64_t sums[WRITERS];
	for (unsigned w = 0; w < WRITERS; w++)
		sums[w] = digest(lake, weir_arena_printf(lake->arena, "w-%u", w));
	reopen(lake);
	for (unsigned w = 0; w < WRITERS; w++)
		assert_int_equal(digest(lake, weir_arena_printf(lake->arena, "w-%u", w)), sums[w]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers_and_idempotence),
		TEST(test_masks),
		TEST(test_if_match),
		TEST(test_log_moved),
		TEST(test_limits),
		TEST(test_restart),
		TEST(test_fence),
		TEST(test_task_order_and_conflict),
		TEST(test_progress),
		TEST(test_guard_opens_again),
		TEST(test_guard_remembers_removal),
		TEST(test_guard_before_finished),
		TEST(test_close_empty),
		TEST(test_purpose_taken_and_back),
		TEST(test_dimension_taken),
		TEST(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
