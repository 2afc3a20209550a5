/*
 * The writer: one thread, the only writing connection, whichever database it leads to.
 *
 * It takes all changes that wait, by priority, runs each under a savepoint of one transaction and
 * commits them with one sync. Invariants:
 *   1. A change whose counts do not fit leaves nothing: its savepoint is rolled back, the others go on.
 *   2. A caller hears "done" only after COMMIT returned success, which is after the sync of the log.
 *   3. When the outcome of COMMIT is in doubt (its sync failed, the connection was lost) the writer settles it at
 *      once: the database says whether it happened, for ever. Only where settling fails too is the outcome
 *      WEIR_E_UNKNOWN; then nothing is read and nothing else is committed before it settles.
 */
#include "control/control_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the queue ---- */

int control_job_run(
	struct control *control, enum control_priority priority, struct control_job *job, struct weir_error *err)
{
	WEIR_ASSERT((unsigned)priority < CONTROL_PRIORITIES);
	pthread_cond_init(&job->finished, NULL);
	job->next = NULL;
	job->done = false;
	job->err = WEIR_ERROR_INIT;
	pthread_mutex_lock(&control->lock);
	WEIR_ASSERT(!control->closing);
	if (control->first[priority] == NULL)
		control->first[priority] = job;
	else
		control->last[priority]->next = job;
	control->last[priority] = job;
	pthread_cond_signal(&control->queued);
	while (!job->done)
		pthread_cond_wait(&job->finished, &control->lock);
	pthread_mutex_unlock(&control->lock);
	pthread_cond_destroy(&job->finished);
	if (job->status != 0 && err != NULL)
		*err = job->err;
	return job->status;
}

static struct control_job *first_job(struct control *control, unsigned *ret_priority)
{
	for (unsigned p = 0; p < CONTROL_PRIORITIES; p++) {
		if (control->first[p] != NULL) {
			*ret_priority = p;
			return control->first[p];
		}
	}
	return NULL;
}

/*
 * Waits for work and takes it: changes of all priorities up to CONTROL_BATCH, the most urgent first, or one job
 * of another kind. 0 when closing and nothing is left.
 */
static size_t take_jobs(struct control *control, struct control_job *jobs[CONTROL_BATCH])
{
	unsigned priority;
	size_t count = 0;
	pthread_mutex_lock(&control->lock);
	while (first_job(control, &priority) == NULL && !control->closing)
		pthread_cond_wait(&control->queued, &control->lock);
	struct control_job *job;
	while (count < CONTROL_BATCH && (job = first_job(control, &priority)) != NULL) {
		if (job->kind != CONTROL_JOB_CHANGE && count > 0)
			break;
		control->first[priority] = job->next;
		jobs[count++] = job;
		if (job->kind != CONTROL_JOB_CHANGE)
			break;
	}
	pthread_mutex_unlock(&control->lock);
	return count;
}

/* A job is its caller's again the moment done is set under the lock. */
static void finish_jobs(struct control *control, struct control_job *const *jobs, size_t count)
{
	pthread_mutex_lock(&control->lock);
	for (size_t i = 0; i < count; i++) {
		jobs[i]->done = true;
		pthread_cond_signal(&jobs[i]->finished);
	}
	pthread_mutex_unlock(&control->lock);
}

static void fail_all(struct control_job *const *jobs, size_t count, const struct weir_error *err)
{
	for (size_t i = 0; i < count; i++) {
		jobs[i]->status = err->code;
		jobs[i]->err = *err;
	}
}

/* ---- one change ---- */

static void conflict(struct control_job *job, const char *what)
{
	job->result.outcome = CONTROL_CONFLICT;
	snprintf(job->result.conflict, sizeof job->result.conflict, "%s", what);
}

/* Runs the change under a savepoint. False when the transaction itself is lost. */
static bool run_change(struct control *control, struct control_job *job)
{
	const struct control_backend *backend = control->backend;
	const struct control_change *change = job->change;
	size_t ran = 0;
	job->result = (struct control_result){.outcome = CONTROL_DONE};
	if (change->count > control->ran_capacity) {
		control->ran = weir_realloc(control->ran, change->count, sizeof *control->ran);
		control->ran_capacity = change->count;
	}
	job->status = backend->run(control->writer, change->statements, change->count, control->ran, &ran, &job->err);
	for (size_t i = 0; i < ran && job->result.outcome == CONTROL_DONE; i++) {
		const struct control_statement *statement = &change->statements[i];
		if (!control_fits(statement, &control->ran[i])) {
			conflict(job, statement->what);
			job->status = 0; /* what failed after it was built on what did not fit */
		} else if (statement->returning) {
			job->result.returned[job->result.returned_count++] = control->ran[i].value;
		}
	}
	if (ran < change->count)
		weir_error_wrap(&job->err, job->status, "%s", change->statements[ran].what);
	if (!backend->in_transaction(control->writer))
		return false; /* a full disk, an I/O error or a lost connection takes everything back */
	bool keep = job->status == 0 && job->result.outcome == CONTROL_DONE;
	if (!keep)
		job->result.returned_count = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	if (backend->end_change(control->writer, keep, &err) == 0)
		return true;
	if (job->status == 0) {
		job->status = err.code;
		job->err = err;
	}
	return false;
}

/* ---- transactions ---- */

/* 0: the doubtful commit is known now, and *ret_happened what became of it. */
static int settle(struct control *control, bool *ret_happened, struct weir_error *err)
{
	if (control->backend->settle(control->writer, ret_happened, err) == 0) {
		atomic_store(&control->unsettled, false);
		return 0;
	}
	atomic_store(&control->unsettled, true);
	err->code = WEIR_E_UNKNOWN;
	return err->code;
}

/* Ends the transaction. On error everything is rolled back; WEIR_E_UNKNOWN where it may have happened all the same. */
static int commit(struct control *control, struct weir_error *err)
{
	bool doubtful = false, happened = false;
	int status = control->backend->commit(control->writer, &doubtful, err);
	if (status == 0) {
		atomic_store(&control->unsettled, false);
		return 0;
	}
	if (control->backend->in_transaction(control->writer))
		control->backend->rollback(control->writer);
	if (!doubtful)
		return status;
	struct weir_error unsettled = WEIR_ERROR_INIT;
	if (settle(control, &happened, &unsettled) == 0)
		return happened ? 0 : status;
	return weir_error_wrap(err, WEIR_E_UNKNOWN, "it may or may not have happened");
}

static void run_changes(struct control *control, struct control_job *const *jobs, size_t count)
{
	const struct control_backend *backend = control->backend;
	struct weir_error err = WEIR_ERROR_INIT;
	bool happened;
	if ((atomic_load(&control->unsettled) && settle(control, &happened, &err) != 0) ||
		backend->begin(control->writer, &err) != 0) {
		if (err.code == WEIR_E_UNKNOWN)
			err.code = WEIR_E_IO; /* these have certainly not happened */
		fail_all(jobs, count, &err);
		return;
	}
	size_t done = 0;
	for (size_t i = 0; i < count; i++) {
		if (!run_change(control, jobs[i])) {
			err = jobs[i]->status != 0 ? jobs[i]->err : WEIR_ERROR_INIT;
			if (err.code == 0)
				weir_fail(&err, WEIR_E_IO, "the control database took the transaction back");
			if (backend->in_transaction(control->writer))
				backend->rollback(control->writer);
			fail_all(jobs, count, &err);
			return;
		}
		done += jobs[i]->status == 0 && jobs[i]->result.outcome == CONTROL_DONE;
	}
	if (done == 0) {
		backend->rollback(control->writer);
		return;
	}
	if (commit(control, &err) == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		bool refused = jobs[i]->status != 0 || jobs[i]->result.outcome == CONTROL_CONFLICT;
		if (jobs[i]->status == 0) {
			jobs[i]->err = err;
			/* A change that was refused wrote nothing, and what refused it may be undone: try again. */
			if (refused && err.code == WEIR_E_UNKNOWN)
				jobs[i]->err.code = WEIR_E_IO;
			jobs[i]->status = jobs[i]->err.code;
		}
	}
}

/* ---- migrations ---- */

/* One statement within the transaction, which a failure loses. */
static int run_alone(struct control *control, const struct control_statement *statement, struct control_ran *ret_ran,
	struct weir_error *err)
{
	size_t count;
	int status = control->backend->run(control->writer, statement, 1, ret_ran, &count, err);
	return status == 0 ? control->backend->end_change(control->writer, true, err) : status;
}

static int migrate_open(struct control *control, struct control_job *job, struct weir_str key, bool *ret_changed,
	struct weir_error *err)
{
	char digits[16];
	snprintf(digits, sizeof digits, "%u", job->version);
	struct control_value values[] = {CONTROL_T(key), CONTROL_T(weir_str_from(digits))};
	struct control_statement get = {.sql = "SELECT CAST(value AS INTEGER) FROM weir_meta WHERE key = ?1",
		.rows = CONTROL_ANY,
		.values = values,
		.value_count = 1};
	struct control_statement put = {.sql = "INSERT INTO weir_meta(key, value) VALUES (?1, ?2)"
					       " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		.rows = 1,
		.values = values,
		.value_count = 2};
	struct control_ran ran;
	int status = run_alone(control, &get, &ran, err);
	if (status != 0 || (ran.rows > 0 && ran.value >= (int64_t)job->version))
		return status;
	*ret_changed = true;
	status = control->backend->script(control->writer, job->sql, err);
	return status == 0 ? run_alone(control, &put, &ran, err) : status;
}

static int run_migration(struct control *control, struct control_job *job, struct weir_error *err)
{
	const struct control_backend *backend = control->backend;
	char key[128];
	bool changed = false;
	snprintf(key, sizeof key, "schema.%s", job->name);
	int status = backend->begin(control->writer, err);
	if (status != 0)
		return status;
	status = migrate_open(control, job, weir_str_from(key), &changed, err);
	if (status == 0 && changed)
		status = commit(control, err);
	else if (backend->in_transaction(control->writer))
		backend->rollback(control->writer);
	return weir_error_wrap(err, status, "schema %s version %u", job->name, job->version);
}

static void run_other(struct control *control, struct control_job *job)
{
	bool happened;
	if (atomic_load(&control->unsettled)) {
		job->status = settle(control, &happened, &job->err);
		if (job->status != 0)
			return;
	}
	if (job->kind == CONTROL_JOB_MIGRATE)
		job->status = run_migration(control, job, &job->err);
	else if (job->kind == CONTROL_JOB_SCRUB)
		job->status = control->backend->scrub(control->writer, &job->err);
}

void *control_writer_main(void *context)
{
	struct control *control = context;
	struct control_job **jobs = weir_alloc(CONTROL_BATCH * sizeof(*jobs));
	size_t count;
	while ((count = take_jobs(control, jobs)) > 0) {
		if (control->options.exclusive)
			pthread_mutex_lock(&control->connection_lock);
		if (jobs[0]->kind == CONTROL_JOB_CHANGE)
			run_changes(control, jobs, count);
		else
			run_other(control, jobs[0]);
		if (control->options.exclusive)
			pthread_mutex_unlock(&control->connection_lock);
		finish_jobs(control, jobs, count);
	}
	free(jobs);
	return NULL;
}
