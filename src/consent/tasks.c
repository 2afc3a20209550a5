/*
 * Re-index tasks, and the guard that opens them again for an epoch that was evaluated before a change.
 * docs/CONSENT.md, "What a change does"; docs/GUARANTEES.md, G1 and G2.
 *
 * The tables say what is true. Memory has the fence only; it is read back wherever another change than
 * an append may have moved it, under append_lock, so that no append is half way in between.
 */
#include "consent/consent_int.h"

#include <stdlib.h>

/* ---- reading ---- */

struct reading {
	const struct consent_vocabulary *vocabulary;
	struct weir_arena *arena;
	struct consent_task *tasks;
	uint32_t count, capacity;
};

static int read_task(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct reading *reading = context;
	(void)count;
	int purpose = consent_purpose_any(reading->vocabulary, values[1].text);
	if (purpose < 0)
		return weir_fail(
			err, WEIR_E_CORRUPT, "a consent task names a purpose that the lake never had; run weir check");
	if (reading->count == reading->capacity) {
		uint32_t capacity = reading->capacity * 2;
		struct consent_task *tasks = weir_arena_calloc(reading->arena, capacity, sizeof *tasks);
		memcpy(tasks, reading->tasks, reading->count * sizeof *tasks);
		reading->tasks = tasks;
		reading->capacity = capacity;
	}
	reading->tasks[reading->count++] = (struct consent_task){
		.subject = weir_arena_str(reading->arena, values[0].text),
		.purpose = (uint32_t)purpose,
		.lsn = (uint64_t)values[2].integer,
		.generation = (uint64_t)values[3].integer,
		.removes = values[4].integer != 0,
		.created_us = values[5].integer,
	};
	return 0;
}

int consent_tasks_open(struct consent *consent, struct weir_arena *arena, uint32_t limit,
	struct consent_task **ret_tasks, uint32_t *ret_count, struct weir_error *err)
{
	struct reading reading = {.vocabulary = &consent->vocabulary, .arena = arena, .capacity = 16};
	reading.tasks = weir_arena_calloc(arena, reading.capacity, sizeof *reading.tasks);
	int code = control_query(consent->control,
		"SELECT subject, purpose, lsn, generation, removes, created_us FROM weir_tasks WHERE state = 'open'"
		" ORDER BY removes DESC, first_lsn, subject, purpose LIMIT ?1",
		(struct control_value[]){CONTROL_I(limit)}, 1, read_task, &reading, err);
	if (code != 0)
		return code;
	*ret_tasks = reading.tasks;
	*ret_count = reading.count;
	return 0;
}

uint64_t consent_tasks_open_count(struct consent *consent)
{
	int64_t count;
	if (atomic_exchange(&consent->tasks_moved, false)) {
		if (control_query_int(consent->control, "SELECT COUNT(*) FROM weir_tasks WHERE state = 'open'", NULL, 0,
			    &count, NULL) == 0)
			atomic_store(&consent->open_tasks, (uint64_t)count);
		else
			atomic_store(&consent->tasks_moved, true);
	}
	return atomic_load(&consent->open_tasks);
}

/* ---- done ---- */

void consent_stage_tasks_moved(struct consent *consent, struct control_change *change, const struct consent_task *tasks,
	const uint64_t *rows, uint32_t count)
{
	int64_t now_us = weir_now_us(&consent->clock);
	for (uint32_t i = 0; i < count; i++) {
		const struct consent_task *task = &tasks[i];
		control_change_sql(change, "consent task", 1,
			"UPDATE weir_tasks SET rows_done = rows_done + ?5, rows_todo = rows_done + ?5,"
			" started_us = CASE WHEN started_us = 0 THEN ?6 ELSE started_us END"
			" WHERE subject = ?1 AND purpose = ?2 AND lsn = ?3 AND generation = ?4 AND state = 'open'",
			(struct control_value[]){CONTROL_T(task->subject),
				CONTROL_T(consent->vocabulary.purposes[task->purpose]), CONTROL_I(task->lsn),
				CONTROL_I(task->generation), CONTROL_I(rows[i]), CONTROL_I(now_us)},
			6);
	}
}

void consent_stage_tasks_done(struct consent *consent, struct control_change *change, const struct consent_task *tasks,
	const uint64_t *rows, uint32_t count)
{
	int64_t now_us = weir_now_us(&consent->clock);
	for (uint32_t i = 0; i < count; i++) {
		const struct consent_task *task = &tasks[i];
		struct weir_str purpose = consent->vocabulary.purposes[task->purpose];
		control_change_sql(change, "consent task", 1,
			"UPDATE weir_tasks SET state = 'done', reopened = 0, rows_done = rows_done + ?5,"
			" rows_todo = rows_done + ?5, done_us = ?6"
			" WHERE subject = ?1 AND purpose = ?2 AND lsn = ?3 AND generation = ?4 AND state = 'open'",
			(struct control_value[]){CONTROL_T(task->subject), CONTROL_T(purpose), CONTROL_I(task->lsn),
				CONTROL_I(task->generation), CONTROL_I(rows[i]), CONTROL_I(now_us)},
			6);
		control_change_sql(change, "fence", CONTROL_ANY,
			"DELETE FROM weir_fence WHERE subject = ?1 AND purpose = ?2 AND lsn <= ?3",
			(struct control_value[]){CONTROL_T(task->subject), CONTROL_T(purpose), CONTROL_I(task->lsn)},
			3);
	}
}

/* Takes over into own what the database says of one pair. */
static int refresh_pair(
	struct consent *consent, struct consent_fence *own, const struct consent_task *task, struct weir_error *err)
{
	int64_t lsn;
	struct weir_str purpose = consent->vocabulary.purposes[task->purpose];
	int code = control_query_int(consent->control, "SELECT lsn FROM weir_fence WHERE subject = ?1 AND purpose = ?2",
		(struct control_value[]){CONTROL_T(task->subject), CONTROL_T(purpose)}, 2, &lsn, err);
	if (code != 0 && code != WEIR_E_NOT_FOUND)
		return code;
	consent_fence_lift(own, task->subject, task->purpose);
	if (code == 0)
		consent_fence_put(own, task->subject, task->purpose, (uint64_t)lsn);
	return 0;
}

/* Brings the fence up to date for these pairs; reads all of it where they are many, or where an earlier call failed. An
 * entry is looked up rather than dropped: a guard may have fenced the pair again since its task was done. Under
 * append_lock. */
static int refresh_fence(
	struct consent *consent, const struct consent_task *tasks, uint32_t count, struct weir_error *err)
{
	int code = 0;
	atomic_store(&consent->tasks_moved, true);
	if (consent->fence_behind || (uint64_t)count * 8 >= consent_fence_count(consent->fence)) {
		code = consent_load_fence(consent, err);
	} else if (count > 0) {
		struct consent_fence *own = consent_fence_copy(consent->fence);
		for (uint32_t i = 0; i < count && code == 0; i++)
			code = refresh_pair(consent, own, &tasks[i], err);
		if (code == 0)
			consent_publish_fence(consent, own);
		else
			consent_fence_unref(own);
	}
	consent->fence_behind = code != 0;
	return code;
}

void consent_tasks_finished(struct consent *consent, const struct consent_task *tasks, uint32_t count)
{
	struct weir_error ignored = WEIR_ERROR_INIT; /* a fence that stays behind is loaded with the next change */
	pthread_mutex_lock(&consent->append_lock);
	refresh_fence(consent, tasks, count, &ignored);
	pthread_mutex_unlock(&consent->append_lock);
}

/* ---- tasks with nothing to do ---- */

#define CLOSE_SQL \
	"UPDATE weir_tasks SET state = 'done', rows_done = 0, rows_todo = 0, done_us = ?1" \
	" WHERE state = 'open' AND reopened = 0 AND rows_done = 0 AND lsn <= ?2"
#define UNCOVERED_SQL \
	"DELETE FROM weir_fence WHERE NOT EXISTS (SELECT 1 FROM weir_tasks WHERE weir_tasks.subject = " \
	"weir_fence.subject" \
	" AND weir_tasks.purpose = weir_fence.purpose AND weir_tasks.state = 'open')"

static void stage_close(struct control_change *change, const struct weir_str *subjects, uint32_t count, int64_t now_us,
	uint64_t upto_lsn)
{
	struct control_value values[] = {CONTROL_I(now_us), CONTROL_I(upto_lsn), CONTROL_N};
	if (subjects == NULL) {
		control_change_sql(change, "consent task", CONTROL_ANY, CLOSE_SQL, values, 2);
		control_change_sql(change, "fence", CONTROL_ANY, UNCOVERED_SQL, NULL, 0);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		values[2] = CONTROL_T(subjects[i]);
		control_change_sql(change, "consent task", CONTROL_ANY, CLOSE_SQL " AND subject = ?3", values, 3);
		control_change_sql(change, "fence", CONTROL_ANY, UNCOVERED_SQL " AND subject = ?1", &values[2], 1);
	}
}

int consent_tasks_close_empty(struct consent *consent, uint64_t upto_lsn, const struct weir_str *subjects,
	uint32_t count, uint64_t *ret_closed, struct weir_error *err)
{
	static const char open_sql[] = "SELECT COUNT(*) FROM weir_tasks WHERE state = 'open'";
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	struct control_result result;
	pthread_mutex_lock(&consent->append_lock);
	unsigned before = control_change_returning(change, "consent task", open_sql, NULL, 0);
	stage_close(change, subjects, count, weir_now_us(&consent->clock), upto_lsn);
	unsigned after = control_change_returning(change, "consent task", open_sql, NULL, 0);
	int code = control_commit(consent->control, change, &result, err);
	if (code == 0)
		code = refresh_fence(consent, NULL, UINT32_MAX, err);
	else if (code == WEIR_E_UNKNOWN)
		consent->fence_behind = true;
	pthread_mutex_unlock(&consent->append_lock);
	if (code == 0)
		*ret_closed = (uint64_t)(result.returned[before] - result.returned[after]);
	control_change_free(change);
	return code;
}

/* ---- the epoch's guard (G2) ---- */

unsigned consent_stage_guard(struct consent *consent, struct control_change *change, uint64_t evaluated_lsn)
{
	/* A task's row names the newest change of its pair, so the rows above evaluated_lsn are exactly the pairs
	 * that the epoch's evaluation may have missed, done or not. */
	struct control_value values[] = {CONTROL_I(evaluated_lsn), CONTROL_I(weir_now_us(&consent->clock))};
	control_change_sql(change, "fence", CONTROL_ANY,
		"INSERT INTO weir_fence(subject, purpose, lsn) SELECT subject, purpose, removes_lsn FROM weir_tasks"
		" WHERE lsn > ?1 AND removes_lsn > ?1" CONSENT_SQL_FENCE_CONFLICT,
		values, 1);
	control_change_sql(change, "consent task", CONTROL_ANY,
		"UPDATE weir_tasks SET removes = CASE WHEN removes_lsn > ?1 OR (state = 'open' AND removes = 1) THEN 1 "
		"ELSE 0 END,"
		" first_lsn = CASE WHEN state = 'open' THEN first_lsn ELSE ?1 + 1 END,"
		" created_us = CASE WHEN state = 'open' THEN created_us ELSE ?2 END,"
		" state = 'open', reopened = 1, generation = generation + 1, rows_done = CASE WHEN state = 'open' THEN "
		"rows_done ELSE 0 END, rows_todo = 0, started_us = 0, done_us = 0 WHERE lsn > ?1",
		values, 2);
	return control_change_returning(
		change, "consent log", "SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log", NULL, 0);
}

struct refencing {
	struct consent *consent;
	struct consent_fence *own;
};

static int refence(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct refencing *refencing = context;
	(void)count;
	int purpose = consent_purpose_any(&refencing->consent->vocabulary, values[1].text);
	if (purpose < 0)
		return weir_fail(
			err, WEIR_E_CORRUPT, "the fence names a purpose that the lake never had; run weir check");
	consent_fence_put(refencing->own, values[0].text, (uint32_t)purpose, (uint64_t)values[2].integer);
	return 0;
}

int consent_guard_done(struct consent *consent, uint64_t evaluated_lsn, uint64_t head, struct weir_error *err)
{
	if (head <= evaluated_lsn)
		return 0;
	pthread_mutex_lock(&consent->append_lock);
	struct refencing refencing = {consent, consent_fence_copy(consent->fence)};
	int code = control_query(consent->control, "SELECT subject, purpose, lsn FROM weir_fence WHERE lsn > ?1",
		(struct control_value[]){CONTROL_I(evaluated_lsn)}, 1, refence, &refencing, err);
	if (code == 0) {
		consent_publish_fence(consent, refencing.own);
	} else {
		consent_fence_unref(refencing.own);
		consent->fence_behind = true;
	}
	atomic_store(&consent->tasks_moved, true);
	pthread_mutex_unlock(&consent->append_lock);
	return code;
}

/* ---- progress of one change ---- */

struct progress {
	struct weir_arena *arena;
	struct weir_str subject; /* empty: a change of the vocabulary touches many */
	bool found;
	int64_t at_us;
	uint64_t open, open_removing, rows_done, rows_todo, removing;
	int64_t done_us;
	int64_t doomed; /* files out of the tables that may hold what was removed, and are not destroyed yet */
};

static int read_change(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct progress *progress = context;
	(void)count;
	(void)err;
	progress->found = true;
	progress->at_us = values[0].integer;
	if (values[1].kind == CONTROL_TEXT)
		progress->subject = weir_arena_str(progress->arena, values[1].text);
	return 0;
}

static int read_sums(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct progress *progress = context;
	(void)count;
	(void)err;
	progress->open = (uint64_t)values[0].integer;
	progress->open_removing = (uint64_t)values[1].integer;
	progress->removing = (uint64_t)values[2].integer;
	progress->rows_done = (uint64_t)values[3].integer;
	progress->rows_todo = (uint64_t)values[4].integer;
	progress->done_us = values[5].integer;
	return 0;
}

static int read_doomed(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct progress *progress = context;
	(void)count;
	(void)err;
	progress->doomed = values[0].integer;
	return 0;
}

/* Tasks that cover change ?1: opened by it or before it, and not closed before it. */
#define COVER_SQL \
	"SELECT COUNT(CASE WHEN state = 'open' THEN 1 END), COUNT(CASE WHEN state = 'open' AND removes = 1 THEN 1 " \
	"END)," \
	" COUNT(CASE WHEN removes_lsn >= ?1 THEN 1 END), COALESCE(SUM(rows_done), 0), COALESCE(SUM(rows_todo), 0)," \
	" COALESCE(MAX(done_us), 0) FROM weir_tasks WHERE first_lsn <= ?1 AND lsn >= ?1"

int consent_change_progress(
	struct consent *consent, uint64_t lsn, struct consent_progress *ret_progress, struct weir_error *err)
{
	struct progress progress = {.arena = weir_arena_new(1024)};
	struct control_read *read = NULL;
	int code = control_read_begin(consent->control, &read, err);
	if (code == 0)
		code = control_read_query(read, "SELECT at_us, subject FROM weir_consent_log WHERE lsn = ?1",
			(struct control_value[]){CONTROL_I(lsn)}, 1, read_change, &progress, err);
	if (code == 0 && !progress.found)
		code = weir_fail(err, WEIR_E_NOT_FOUND, "the consent log has no change %llu", (unsigned long long)lsn);
	struct control_value values[] = {CONTROL_I(lsn), CONTROL_T(progress.subject)};
	if (code == 0 && progress.subject.size > 0)
		code = control_read_query(read, COVER_SQL " AND subject = ?2", values, 2, read_sums, &progress, err);
	else if (code == 0)
		code = control_read_query(read, COVER_SQL, values, 1, read_sums, &progress, err);
	/* The tasks are done when their rows are in no table; the files that had them are destroyed right after that. */
	if (code == 0 && progress.open == 0 && progress.removing > 0 && progress.rows_done > 0)
		code = control_read_query(read, "SELECT COUNT(*) FROM weir_doomed_files WHERE doomed_us <= ?1",
			(struct control_value[]){CONTROL_I(progress.done_us)}, 1, read_doomed, &progress, err);
	control_read_end(read);
	if (code == 0) {
		bool done = progress.open == 0 && progress.doomed == 0;
		const char *state = done                                   ? "done"
			: progress.open > 0 && progress.open_removing == 0 ? "backfilling"
			: progress.rows_done > 0                           ? "removing"
									   : "fenced";
		*ret_progress = (struct consent_progress){.state = state,
			.rows_done = progress.rows_done,
			.rows_todo = progress.rows_todo,
			.at_us = progress.at_us,
			.invisible_us = progress.removing > 0 ? progress.at_us : 0,
			.done_us = !done                            ? 0
				: progress.done_us > progress.at_us ? progress.done_us
								    : progress.at_us};
	}
	weir_arena_free(progress.arena);
	return code;
}
