/*
 * The writer: one thread, the only writing connection.
 *
 * It takes all changes that wait, by priority, runs each under a savepoint of one transaction and
 * commits them with one sync. Invariants:
 *   1. weir_guard.open is 1 only between BEGIN and COMMIT of this thread, so no other connection ever sees it 1.
 *   2. A change whose counts do not fit leaves nothing: its savepoint is rolled back, the others go on.
 *   3. A caller hears "done" only after COMMIT returned success, which is after the sync of the log.
 *   4. When COMMIT fails at a sync, the frames may or may not be on disk, and a restart would find
 *      out only then. So the writer settles it: a further commit writes over those frames; when that is
 *      durable, the failed one certainly did not happen (WEIR_E_IO). Only where settling fails too is the
 *      outcome WEIR_E_UNKNOWN; then nothing is read and nothing else is committed before it settles.
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

static bool is_taken(int rc)
{
	return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID;
}

/* Runs one statement: 0 and perhaps a conflict in job->result, or an error. */
static int run_statement(struct control_connection *writer, const struct control_statement *statement,
	struct control_job *job, struct weir_error *err)
{
	struct control_running running;
	int status = control_start(writer, statement->sql, statement->values, statement->value_count, &running, err);
	if (status != 0)
		return weir_error_wrap(err, "%s", statement->what);
	int64_t rows = 0, value = 0;
	int rc;
	while ((rc = sqlite3_step(running.statement)) == SQLITE_ROW) {
		if (rows++ == 0)
			value = sqlite3_column_int64(running.statement, 0);
	}
	if (rc == SQLITE_DONE && sqlite3_column_count(running.statement) == 0)
		rows = sqlite3_changes64(writer->db);
	if (is_taken(rc)) {
		conflict(job, statement->what);
	} else if (rc != SQLITE_DONE) {
		status = control_fail(err, writer, rc, "change the control database");
		weir_error_wrap(err, "%s", statement->what);
	} else if (statement->returning ? rows == 0 : statement->rows != CONTROL_ANY && rows != statement->rows) {
		conflict(job, statement->what);
	} else if (statement->returning) {
		job->result.returned[job->result.returned_count++] = value;
	}
	control_finish(&running);
	return status;
}

/* Runs the change under a savepoint. False when the transaction itself is lost. */
static bool run_change(struct control_connection *writer, struct control_job *job)
{
	job->result = (struct control_result){.outcome = CONTROL_DONE};
	job->status = 0;
	int rc = control_exec(writer, "SAVEPOINT change");
	if (rc != SQLITE_OK) {
		job->status = control_fail(&job->err, writer, rc, "begin a change");
		return false;
	}
	for (size_t i = 0; i < job->change->count; i++) {
		job->status = run_statement(writer, &job->change->statements[i], job, &job->err);
		if (job->status != 0 || job->result.outcome == CONTROL_CONFLICT)
			break;
	}
	if (sqlite3_get_autocommit(writer->db) != 0)
		return false; /* a full disk or an I/O error makes SQLite roll everything back */
	if (job->status != 0 || job->result.outcome == CONTROL_CONFLICT) {
		job->result.returned_count = 0;
		if (control_exec(writer, "ROLLBACK TO change") != SQLITE_OK)
			return false;
	}
	return control_exec(writer, "RELEASE change") == SQLITE_OK;
}

/* ---- transactions ---- */

static int begin(struct control_connection *writer, struct weir_error *err)
{
	int rc = control_exec(writer, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = control_exec(writer, "UPDATE weir_guard SET open = 1");
	if (rc == SQLITE_OK)
		return 0;
	int status = control_fail(err, writer, rc, "begin a transaction");
	if (sqlite3_get_autocommit(writer->db) == 0)
		control_exec(writer, "ROLLBACK");
	return status;
}

static int settle(struct control *control, struct weir_error *err)
{
	struct control_connection *writer = control->writer;
	int rc = control_exec(writer, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = control_exec(writer, "INSERT INTO weir_meta(key, value) VALUES ('settled', '1') ON CONFLICT (key)"
					  " DO UPDATE SET value = CAST(CAST(weir_meta.value AS INTEGER) + 1 AS TEXT)");
	if (rc == SQLITE_OK)
		rc = control_exec(writer, "COMMIT");
	if (rc == SQLITE_OK) {
		atomic_store(&control->unsettled, false);
		return 0;
	}
	atomic_store(&control->unsettled, true);
	control_fail(err, writer, rc, "settle a commit whose sync failed");
	if (sqlite3_get_autocommit(writer->db) == 0)
		control_exec(writer, "ROLLBACK");
	err->code = WEIR_E_UNKNOWN;
	return err->code;
}

/* Ends the transaction. On error everything is rolled back; WEIR_E_UNKNOWN where it may have happened all the same. */
static int commit(struct control *control, struct weir_error *err)
{
	struct control_connection *writer = control->writer;
	int rc = control_exec(writer, "UPDATE weir_guard SET open = 0");
	bool reached = rc == SQLITE_OK;
	if (reached)
		rc = control_exec(writer, "COMMIT");
	if (rc == SQLITE_OK) {
		atomic_store(&control->unsettled, false);
		return 0;
	}
	int status = control_fail(err, writer, rc, "commit to the control database");
	if (sqlite3_get_autocommit(writer->db) == 0)
		control_exec(writer, "ROLLBACK");
	/* A full disk stops at a frame before the one that commits; nothing of it counts. */
	if (!reached || (rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_BUSY)
		return status;
	struct weir_error unsettled = WEIR_ERROR_INIT;
	if (settle(control, &unsettled) == 0)
		return status;
	err->code = WEIR_E_UNKNOWN;
	return weir_error_wrap(err, "it may or may not have happened");
}

static void run_changes(struct control *control, struct control_job *const *jobs, size_t count)
{
	struct control_connection *writer = control->writer;
	struct weir_error err = WEIR_ERROR_INIT;
	if ((atomic_load(&control->unsettled) && settle(control, &err) != 0) || begin(writer, &err) != 0) {
		if (err.code == WEIR_E_UNKNOWN)
			err.code = WEIR_E_IO; /* these have certainly not happened */
		fail_all(jobs, count, &err);
		return;
	}
	size_t done = 0;
	for (size_t i = 0; i < count; i++) {
		if (!run_change(writer, jobs[i])) {
			err = jobs[i]->status != 0 ? jobs[i]->err : WEIR_ERROR_INIT;
			if (err.code == 0)
				control_fail(&err, writer, sqlite3_extended_errcode(writer->db), "run a change");
			if (sqlite3_get_autocommit(writer->db) == 0)
				control_exec(writer, "ROLLBACK");
			fail_all(jobs, count, &err);
			return;
		}
		done += jobs[i]->status == 0 && jobs[i]->result.outcome == CONTROL_DONE;
	}
	if (done == 0) {
		control_exec(writer, "ROLLBACK");
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

static int meta_version(
	struct control_connection *writer, struct weir_str key, int64_t *ret_version, struct weir_error *err)
{
	struct control_value value = CONTROL_T(key);
	struct control_running running;
	int status = control_start(
		writer, "SELECT CAST(value AS INTEGER) FROM weir_meta WHERE key = ?1", &value, 1, &running, err);
	if (status != 0)
		return status;
	int rc = sqlite3_step(running.statement);
	*ret_version = rc == SQLITE_ROW ? sqlite3_column_int64(running.statement, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		status = control_fail(err, writer, rc, "read the schema's version");
	control_finish(&running);
	return status;
}

static int migrate_open(struct control *control, struct control_job *job, struct weir_str key, struct weir_error *err)
{
	struct control_connection *writer = control->writer;
	int rc = control_exec(writer, job->sql);
	if (rc != SQLITE_OK)
		return control_fail(err, writer, rc, "change the schema");
	char digits[16];
	snprintf(digits, sizeof digits, "%u", job->version);
	struct control_value values[] = {CONTROL_T(key), CONTROL_T(weir_str_from(digits))};
	struct control_running running;
	int status = control_start(writer,
		"INSERT INTO weir_meta(key, value) VALUES (?1, ?2)"
		" ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		values, 2, &running, err);
	if (status != 0)
		return status;
	rc = sqlite3_step(running.statement);
	if (rc != SQLITE_DONE)
		status = control_fail(err, writer, rc, "remember the schema's version");
	control_finish(&running);
	return status;
}

static int run_migration(struct control *control, struct control_job *job, struct weir_error *err)
{
	struct control_connection *writer = control->writer;
	char key[128];
	int64_t version = 0;
	snprintf(key, sizeof key, "schema.%s", job->name);
	int status = meta_version(writer, weir_str_from(key), &version, err);
	if (status != 0 || version >= (int64_t)job->version)
		return status;
	status = begin(writer, err);
	if (status != 0)
		return status;
	status = migrate_open(control, job, weir_str_from(key), err);
	if (status == 0)
		status = commit(control, err);
	else if (sqlite3_get_autocommit(writer->db) == 0)
		control_exec(writer, "ROLLBACK");
	return status == 0 ? 0 : weir_error_wrap(err, "schema %s version %u", job->name, job->version);
}

/* ---- scrubbing ---- */

/* The truncation itself must survive a power cut, else the log's old bytes come back. */
static int sync_wal(struct control_connection *writer)
{
	sqlite3_file *wal = NULL;
	int rc = sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (rc != SQLITE_OK || wal == NULL || wal->pMethods == NULL)
		return rc;
	return wal->pMethods->xSync(wal, SQLITE_SYNC_FULL);
}

static int run_scrub(struct control *control, struct weir_error *err)
{
	struct control_connection *writer = control->writer;
	sqlite3_busy_timeout(writer->db, CONTROL_SCRUB_MS);
	int rc = sqlite3_wal_checkpoint_v2(writer->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(writer->db, CONTROL_BUSY_MS);
	if (rc == SQLITE_OK)
		rc = sync_wal(writer);
	if (rc == SQLITE_OK)
		return 0;
	if ((rc & 0xff) == SQLITE_BUSY)
		return weir_fail(err, WEIR_E_BUSY,
			"a reader holds an old snapshot of the control database: end it and scrub again");
	return control_fail(err, writer, rc, "scrub the control database");
}

static void run_other(struct control *control, struct control_job *job)
{
	if (atomic_load(&control->unsettled)) {
		job->status = settle(control, &job->err);
		if (job->status != 0)
			return;
	}
	if (job->kind == CONTROL_JOB_MIGRATE)
		job->status = run_migration(control, job, &job->err);
	else if (job->kind == CONTROL_JOB_SCRUB)
		job->status = run_scrub(control, &job->err);
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
