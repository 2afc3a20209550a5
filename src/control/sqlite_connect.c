/*
 * Connections of the SQLite control database: opening with the right pragmas, prepared statements
 * kept by the address of their text, binding, and errors with meaning. A connection belongs to one
 * thread at a time.
 */
#include "control/sqlite_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int code_of(int sqlite_code)
{
	switch (sqlite_code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return WEIR_E_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return WEIR_E_CORRUPT;
	case SQLITE_NOMEM:
		return WEIR_E_NO_MEMORY;
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return WEIR_E_IO;
	case SQLITE_CONSTRAINT:
		return WEIR_E_INPUT;
	case SQLITE_TOOBIG:
		return WEIR_E_LIMIT;
	default:
		return WEIR_E_INTERNAL;
	}
}

static const char *remedy_of(int sqlite_code)
{
	switch (sqlite_code & 0xff) {
	case SQLITE_BUSY:
		return "; another process holds the control database: end its transaction and try again";
	case SQLITE_FULL:
		return "; the disk is full: make room and try again";
	case SQLITE_IOERR:
		return "; look at the disk (dmesg) before going on";
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "; restore the control database from a backup";
	default:
		return "";
	}
}

int sqlite_fail(struct weir_error *err, struct sqlite_connection *connection, int sqlite_code, const char *operation)
{
	const char *path = connection->db != NULL ? sqlite3_db_filename(connection->db, "main") : NULL;
	/* sqlite3_errmsg quotes names of the schema, never bound values. */
	const char *text = connection->db != NULL && sqlite3_extended_errcode(connection->db) == sqlite_code
		? sqlite3_errmsg(connection->db)
		: sqlite3_errstr(sqlite_code);
	return weir_fail_at(err, code_of(sqlite_code), weir_str_from(path != NULL ? path : "control database"),
		WEIR_ERROR_NO_OFFSET, "cannot %s: %s (SQLite %d)%s", operation, text, sqlite_code,
		remedy_of(sqlite_code));
}

int sqlite_run_all(struct sqlite_connection *connection, const char *sql)
{
	return sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
}

/*
 * SQLite answers with the journal mode, the old one where it cannot change it; the change itself is committed by the
 * step after that answer, so an error may follow it.
 */
static int enter_wal(struct sqlite_connection *connection, struct weir_error *err)
{
	sqlite3_stmt *statement = NULL;
	bool wal = false;
	int rc = sqlite3_prepare_v2(connection->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(statement);
		if (rc == SQLITE_ROW)
			wal = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
	}
	int status = 0;
	if (rc != SQLITE_DONE)
		status = sqlite_fail(err, connection, rc, "open the control database");
	else if (!wal)
		status = weir_fail(err, WEIR_E_UNSUPPORTED,
			"the control database's file system has no write-ahead log: put the lake on a local disk");
	sqlite3_finalize(statement);
	return status;
}

static int set_up(struct sqlite_connection *connection, const struct control_options *options, bool read_only,
	struct weir_error *err)
{
	sqlite3_extended_result_codes(connection->db, 1);
	sqlite3_busy_timeout(connection->db, CONTROL_BUSY_MS);
	int rc = SQLITE_OK;
	if (options->exclusive)
		rc = sqlite_run_all(connection, "PRAGMA locking_mode=EXCLUSIVE");
	if (rc == SQLITE_OK && read_only)
		return 0;
	int status = rc == SQLITE_OK ? enter_wal(connection, err)
				     : sqlite_fail(err, connection, rc, "open the control database");
	if (status != 0)
		return status;
	rc = sqlite_run_all(connection, options->unsafe_no_sync ? "PRAGMA synchronous=OFF" : "PRAGMA synchronous=FULL");
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(connection, "PRAGMA secure_delete=ON");
	/* Temporary tables and sorters hold rows too: none of them may reach the disk. */
	if (rc == SQLITE_OK)
		rc = sqlite_run_all(connection, "PRAGMA temp_store=MEMORY");
	return rc == SQLITE_OK ? 0 : sqlite_fail(err, connection, rc, "set up the control database");
}

int sqlite_connect(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
	struct weir_error *err)
{
	const char *path = options->url;
	if (strncmp(path, "sqlite:", 7) == 0)
		path += 7;
	if (!read_only && options->sqlite_vfs == NULL) {
		/* SQLite would make it 0644; its log and shared memory take over this file's mode. */
		int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
		else if (errno != EEXIST)
			return weir_fail_errno(err, errno, weir_str_from(path), "create the control database");
	}
	struct sqlite_connection *connection = weir_zalloc(sizeof *connection);
	int flags =
		SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
	int rc = sqlite3_open_v2(path, &connection->db, flags, options->sqlite_vfs);
	int status = rc == SQLITE_OK ? set_up(connection, options, read_only, err)
				     : sqlite_fail(err, connection, rc, "open the control database");
	if (status != 0) {
		sqlite_disconnect(&connection->base);
		return status;
	}
	*ret_connection = &connection->base;
	return 0;
}

static void forget_statements(struct sqlite_connection *connection)
{
	for (unsigned i = 0; i < SQLITE_STATEMENTS; i++) {
		if (connection->cached[i].statement != NULL)
			sqlite3_finalize(connection->cached[i].statement);
		connection->cached[i] = (struct sqlite_cached){0};
	}
	connection->cached_count = 0;
}

void sqlite_disconnect(struct control_connection *take_connection)
{
	struct sqlite_connection *connection = sqlite_of(take_connection);
	forget_statements(connection);
	sqlite3_close_v2(connection->db);
	free(connection);
}

/* The slot of sql, or an empty one where it goes; NULL where it must not be kept. */
static struct sqlite_cached *find_slot(struct sqlite_connection *connection, const char *sql)
{
	if (connection->cached_count >= SQLITE_STATEMENTS / 2) {
		for (unsigned i = 0; i < SQLITE_STATEMENTS; i++)
			if (connection->cached[i].in_use)
				return NULL;
		forget_statements(connection);
	}
	size_t at = (size_t)((uintptr_t)sql >> 3) * 0x9E3779B1U;
	for (;; at++) {
		struct sqlite_cached *slot = &connection->cached[at & (SQLITE_STATEMENTS - 1)];
		if (slot->sql == NULL || slot->sql == sql)
			return slot;
	}
}

static int bind(sqlite3_stmt *statement, int index, const struct control_value *value)
{
	if (value->kind == CONTROL_NULL)
		return sqlite3_bind_null(statement, index);
	if (value->kind == CONTROL_INT)
		return sqlite3_bind_int64(statement, index, value->integer);
	const char *data = value->text.size > 0 ? value->text.data : ""; /* a NULL pointer would bind NULL */
	if (value->kind == CONTROL_TEXT)
		return sqlite3_bind_text64(statement, index, data, value->text.size, SQLITE_STATIC, SQLITE_UTF8);
	return sqlite3_bind_blob64(statement, index, data, value->text.size, SQLITE_STATIC);
}

/* A statement ready to bind: a kept one, or a fresh one that is kept where there is a slot. */
static int prepare(struct sqlite_connection *connection, const char *sql, struct sqlite_running *running)
{
	struct sqlite_cached *slot = find_slot(connection, sql);
	if (slot != NULL && slot->in_use)
		slot = NULL; /* a query inside the same query's rows */
	if (slot != NULL && slot->statement != NULL) {
		if (strcmp(sqlite3_sql(slot->statement), sql) == 0) {
			slot->in_use = true;
			*running = (struct sqlite_running){slot->statement, slot};
			return SQLITE_OK;
		}
		sqlite3_finalize(slot->statement);
		slot->statement = NULL; /* the address now holds another text */
	}
	int rc = sqlite3_prepare_v3(
		connection->db, sql, -1, slot != NULL ? SQLITE_PREPARE_PERSISTENT : 0, &running->statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	running->cached = slot;
	if (slot != NULL) {
		connection->cached_count += slot->sql == NULL;
		*slot = (struct sqlite_cached){sql, running->statement, true};
	}
	return SQLITE_OK;
}

int sqlite_start(struct sqlite_connection *connection, const char *sql, const struct control_value *values,
	unsigned value_count, struct sqlite_running *ret_running, struct weir_error *err)
{
	struct sqlite_running running = {0};
	int rc = prepare(connection, sql, &running);
	if (rc != SQLITE_OK)
		return sqlite_fail(err, connection, rc, "prepare a statement");
	for (unsigned i = 0; i < value_count && rc == SQLITE_OK; i++)
		rc = bind(running.statement, (int)i + 1, &values[i]);
	if (rc != SQLITE_OK) {
		int status = sqlite_fail(err, connection, rc, "bind a value");
		sqlite_finish(&running);
		return status;
	}
	*ret_running = running;
	return 0;
}

void sqlite_finish(struct sqlite_running *running)
{
	if (running->cached == NULL) {
		sqlite3_finalize(running->statement);
		return;
	}
	sqlite3_reset(running->statement);
	sqlite3_clear_bindings(running->statement);
	running->cached->in_use = false;
}
