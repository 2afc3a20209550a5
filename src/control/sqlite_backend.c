/*
 * The control database on SQLite: transactions, statements and snapshots over sqlite_connect.c's connections.
 *
 * Invariants:
 *   1. weir_guard.open is 1 only between BEGIN and COMMIT of the writer, so no other connection ever sees it 1.
 *   2. When COMMIT fails at a sync, the frames may or may not be on disk, and a restart would find out only
 *      then. settle writes a further commit over those frames; when that is durable, the failed one certainly
 *      did not happen.
 */
#include <stdlib.h>

#include "control/sqlite_int.h"

/* A trigger that refuses what others do to the rows of owned namespaces. row is the one that is meant. */
#define GUARD_TRIGGER(name, event, row) \
	"CREATE TRIGGER IF NOT EXISTS weir_guard_" name " BEFORE " event " ON iceberg_tables " \
	"WHEN (SELECT open FROM weir_guard) = 0 AND " row ".catalog_name = 'weir' AND EXISTS " \
	"(SELECT 1 FROM weir_owned WHERE namespace = " row ".table_namespace) " \
	"BEGIN SELECT RAISE(ABORT, '" CONTROL_GUARD_TEXT "'); END;"

static const char guard_schema[] =
	"CREATE TABLE IF NOT EXISTS weir_guard(open INTEGER NOT NULL);"
	"INSERT INTO weir_guard(open) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM weir_guard);" GUARD_TRIGGER(
		"insert", "INSERT", "NEW") GUARD_TRIGGER("update_from", "UPDATE", "OLD")
		GUARD_TRIGGER("update_to", "UPDATE", "NEW") GUARD_TRIGGER("delete", "DELETE", "OLD");

/* ---- transactions ---- */

static bool in_transaction(const struct control_connection *writer)
{
	return sqlite3_get_autocommit(((const struct sqlite_connection *)writer)->db) == 0;
}

static void rollback(struct control_connection *writer)
{
	sqlite_run_all(sqlite_of(writer), "ROLLBACK");
}

static int take(struct control_connection *base, const char *base_schema, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	int rc = sqlite_run_all(writer, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, base_schema);
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, guard_schema);
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, "COMMIT");
	if (rc == SQLITE_OK)
		return 0;
	int status = sqlite_fail(err, writer, rc, "make the control database's tables");
	if (in_transaction(base))
		rollback(base);
	return status;
}

/* Where the log cannot be emptied now, the next open does it: nothing is lost. */
static void retire(struct control_connection *writer)
{
	(void)sqlite3_wal_checkpoint_v2(sqlite_of(writer)->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

static int begin(struct control_connection *base, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	int rc = sqlite_run_all(writer, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, "UPDATE weir_guard SET open = 1");
	if (rc == SQLITE_OK)
		return 0;
	int status = sqlite_fail(err, writer, rc, "begin a transaction");
	if (in_transaction(base))
		rollback(base);
	return status;
}

static int commit(struct control_connection *base, bool *ret_doubtful, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	int rc = sqlite_run_all(writer, "UPDATE weir_guard SET open = 0");
	bool reached = rc == SQLITE_OK;
	if (reached)
		rc = sqlite_run_all(writer, "COMMIT");
	if (rc == SQLITE_OK)
		return 0;
	/* A full disk stops at a frame before the one that commits; nothing of it counts. */
	*ret_doubtful = reached && (rc & 0xff) != SQLITE_FULL && (rc & 0xff) != SQLITE_BUSY;
	return sqlite_fail(err, writer, rc, "commit to the control database");
}

static int settle(struct control_connection *base, bool *ret_happened, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	*ret_happened = false;
	int rc = sqlite_run_all(writer, "BEGIN IMMEDIATE");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer,
			"INSERT INTO weir_meta(key, value) VALUES ('settled', '1') ON CONFLICT (key)"
			" DO UPDATE SET value = CAST(CAST(weir_meta.value AS INTEGER) + 1 AS TEXT)");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, "COMMIT");
	if (rc == SQLITE_OK)
		return 0;
	int status = sqlite_fail(err, writer, rc, "settle a commit whose sync failed");
	if (in_transaction(base))
		rollback(base);
	return status;
}

/* ---- statements ---- */

static bool is_taken(int rc)
{
	return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID;
}

static int run_one(struct sqlite_connection *writer, const struct control_statement *statement,
	struct control_ran *ret_ran, struct weir_error *err)
{
	struct sqlite_running running;
	int status = sqlite_start(writer, statement->sql, statement->values, statement->value_count, &running, err);
	if (status != 0)
		return status;
	struct control_ran ran = {0};
	int rc;
	while ((rc = sqlite3_step(running.statement)) == SQLITE_ROW) {
		if (ran.rows++ == 0)
			ran.value = sqlite3_column_int64(running.statement, 0);
	}
	if (rc == SQLITE_DONE && sqlite3_column_count(running.statement) == 0)
		ran.rows = sqlite3_changes64(writer->db);
	ran.taken = is_taken(rc);
	if (!ran.taken && rc != SQLITE_DONE)
		status = sqlite_fail(err, writer, rc, "change the control database");
	sqlite_finish(&running);
	*ret_ran = ran;
	return status;
}

static int run(struct control_connection *base, const struct control_statement *statements, size_t count,
	struct control_ran *ran, size_t *ret_count, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	*ret_count = 0;
	int rc = sqlite_run_all(writer, "SAVEPOINT change");
	if (rc != SQLITE_OK)
		return sqlite_fail(err, writer, rc, "begin a change");
	for (size_t i = 0; i < count; i++) {
		int status = run_one(writer, &statements[i], &ran[i], err);
		if (status != 0)
			return status;
		++*ret_count;
		if (!control_fits(&statements[i], &ran[i]))
			break;
	}
	return 0;
}

static int end_change(struct control_connection *base, bool keep, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	int rc = SQLITE_OK;
	if (!keep)
		rc = sqlite_run_all(writer, "ROLLBACK TO change");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(writer, "RELEASE change");
	return rc == SQLITE_OK ? 0 : sqlite_fail(err, writer, rc, "run a change");
}

static int script(struct control_connection *base, const char *sql, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
	int rc = sqlite_run_all(writer, sql);
	return rc == SQLITE_OK ? 0 : sqlite_fail(err, writer, rc, "change the schema");
}

/* ---- scrubbing ---- */

/* The truncation itself must survive a power cut, else the log's old bytes come back. */
static int sync_wal(struct sqlite_connection *writer)
{
	sqlite3_file *wal = NULL;
	int rc = sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
	if (rc != SQLITE_OK || wal == NULL || wal->pMethods == NULL)
		return rc;
	return wal->pMethods->xSync(wal, SQLITE_SYNC_FULL);
}

static int scrub(struct control_connection *base, struct weir_error *err)
{
	struct sqlite_connection *writer = sqlite_of(base);
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
	return sqlite_fail(err, writer, rc, "scrub the control database");
}

/* ---- reading ---- */

static int read_begin(struct control_connection *base, bool single, struct weir_error *err)
{
	if (single)
		return 0;
	struct sqlite_connection *connection = sqlite_of(base);
	int rc = sqlite_run_all(connection, "BEGIN");
	return rc == SQLITE_OK ? 0 : sqlite_fail(err, connection, rc, "begin reading");
}

static bool read_end(struct control_connection *base)
{
	return !in_transaction(base) || sqlite_run_all(sqlite_of(base), "ROLLBACK") == SQLITE_OK;
}

static struct control_value column(sqlite3_stmt *statement, int index)
{
	switch (sqlite3_column_type(statement, index)) {
	case SQLITE_NULL:
		return CONTROL_N;
	case SQLITE_INTEGER:
		return CONTROL_I(sqlite3_column_int64(statement, index));
	case SQLITE_BLOB: {
		const char *data = sqlite3_column_blob(statement, index);
		return CONTROL_B(((struct weir_str){data, (size_t)sqlite3_column_bytes(statement, index)}));
	}
	default: {
		const char *data = (const char *)sqlite3_column_text(statement, index);
		return CONTROL_T(((struct weir_str){data, (size_t)sqlite3_column_bytes(statement, index)}));
	}
	}
}

static int query(struct control_connection *base, const char *sql, const struct control_value *values,
	unsigned value_count, control_row_fn *row, void *context, struct weir_error *err)
{
	struct sqlite_connection *connection = sqlite_of(base);
	struct sqlite_running running;
	int status = sqlite_start(connection, sql, values, value_count, &running, err);
	if (status != 0)
		return status;
	unsigned count = (unsigned)sqlite3_column_count(running.statement);
	struct control_value *cells = weir_alloc(count * sizeof *cells);
	int rc;
	while (status == 0 && (rc = sqlite3_step(running.statement)) != SQLITE_DONE) {
		if (rc != SQLITE_ROW) {
			status = sqlite_fail(err, connection, rc, "read the control database");
			break;
		}
		for (unsigned i = 0; i < count; i++)
			cells[i] = column(running.statement, (int)i);
		int answer = row(context, cells, count, err);
		status = answer < 0 ? answer : 0;
	}
	free(cells);
	sqlite_finish(&running);
	return status;
}

const struct control_backend control_sqlite = {
	.open = sqlite_connect,
	.close = sqlite_disconnect,
	.take = take,
	.retire = retire,
	.begin = begin,
	.run = run,
	.end_change = end_change,
	.script = script,
	.commit = commit,
	.rollback = rollback,
	.in_transaction = in_transaction,
	.settle = settle,
	.scrub = scrub,
	.read_begin = read_begin,
	.query = query,
	.read_end = read_end,
};
