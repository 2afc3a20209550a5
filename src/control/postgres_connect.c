/*
 * Connections to PostgreSQL: made with the right settings, made again when they are lost, and the writer's lease.
 *
 * The lease makes one process the writer. It has two halves:
 *   - an advisory lock of the writer's session. It goes with the session, so the lease of a killed process is free at
 *     once; a second process hears who holds it;
 *   - weir_writer, one row: epoch grows each time the lease is taken, and every transaction of the writer counts one up
 *     in commits, WHERE epoch is its own. A process whose session was cut off and whose lease another took since then
 *     changes no row there, and nothing else: it is fenced off.
 * commits also settles a commit whose connection was lost: once a new session holds the lock the old one is gone for
 * good, and the count says whether its last transaction is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "control/postgres_int.h"

#define FIRST_WAIT_MS 25 /* between attempts to connect; doubles */
#define MOST_WAIT_MS  800
#define TAKE_MS       2000

/* The advisory lock: "weir", and the schema, of which each holds a control database of its own. */
#define LOCK_CLASS  "1466263922"
#define LOCK_OBJECT "hashtext(current_schema())"

static const char writer_schema[] =
	"CREATE TABLE IF NOT EXISTS weir_writer(one BIGINT PRIMARY KEY CHECK (one = 1), epoch BIGINT NOT NULL,"
	" commits BIGINT NOT NULL, holder TEXT NOT NULL);"
	"INSERT INTO weir_writer(one, epoch, commits, holder) VALUES (1, 0, 0, '') ON CONFLICT DO NOTHING;"
	/* The rights are the owner's, so that other engines need none on weir's own tables; so is the schema. */
	"CREATE OR REPLACE FUNCTION weir_guard() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
	" SET search_path FROM CURRENT AS $weir$ BEGIN"
	" IF current_setting('weir.writer', true) IS DISTINCT FROM 'open' THEN"
	"  IF TG_OP = 'TRUNCATE' THEN"
	"   IF EXISTS (SELECT 1 FROM iceberg_tables t JOIN weir_owned o ON o.namespace = t.table_namespace"
	"    WHERE t.catalog_name = 'weir') THEN RAISE EXCEPTION USING MESSAGE = '" CONTROL_GUARD_TEXT "'; END IF;"
	"   RETURN NULL;"
	"  END IF;"
	"  IF TG_OP <> 'INSERT' AND OLD.catalog_name = 'weir' AND"
	"   EXISTS (SELECT 1 FROM weir_owned WHERE namespace = OLD.table_namespace)"
	"   THEN RAISE EXCEPTION USING MESSAGE = '" CONTROL_GUARD_TEXT "'; END IF;"
	"  IF TG_OP <> 'DELETE' AND NEW.catalog_name = 'weir' AND"
	"   EXISTS (SELECT 1 FROM weir_owned WHERE namespace = NEW.table_namespace)"
	"   THEN RAISE EXCEPTION USING MESSAGE = '" CONTROL_GUARD_TEXT "'; END IF;"
	" END IF;"
	" IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $weir$;"
	"DO $weir$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = 'iceberg_tables'::regclass"
	" AND tgname = 'weir_guard_rows') THEN"
	" CREATE TRIGGER weir_guard_rows BEFORE INSERT OR UPDATE OR DELETE ON iceberg_tables"
	"  FOR EACH ROW EXECUTE FUNCTION weir_guard();"
	" CREATE TRIGGER weir_guard_all BEFORE TRUNCATE ON iceberg_tables"
	"  FOR EACH STATEMENT EXECUTE FUNCTION weir_guard();"
	" END IF; END $weir$;";

/* ---- errors ---- */

static int code_of(const char *state)
{
	static const struct {
		const char *prefix;
		int code;
	} codes[] = {
		{"55P03", WEIR_E_BUSY}, /* lock_not_available */
		{"40", WEIR_E_BUSY},    /* a deadlock, or a snapshot that is too old to change */
		{"53300", WEIR_E_BUSY}, /* too many connections */
		{"53200", WEIR_E_NO_MEMORY},
		{"53", WEIR_E_IO}, /* a full disk */
		{"54", WEIR_E_LIMIT},
		{"57", WEIR_E_IO}, /* the server stops or starts */
		{"58", WEIR_E_IO},
		{"08", WEIR_E_IO},
		{"25006", WEIR_E_IO}, /* read-only: a standby */
		{"28", WEIR_E_DENIED},
		{"42501", WEIR_E_DENIED},
		{"3D", WEIR_E_NOT_FOUND}, /* no such database */
		{"3F", WEIR_E_NOT_FOUND}, /* no such schema */
		{"22", WEIR_E_INPUT},
		{"23", WEIR_E_INPUT},
		{"P0001", WEIR_E_DENIED}, /* the guard */
		{"XX", WEIR_E_CORRUPT},
	};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strncmp(state, codes[i].prefix, strlen(codes[i].prefix)) == 0)
			return codes[i].code;
	return WEIR_E_INTERNAL;
}

static const char *remedy_of(const char *state)
{
	if (strcmp(state, "55P03") == 0)
		return "; another program holds a lock on the control database: end its transaction and try again";
	if (strcmp(state, "53300") == 0)
		return "; raise max_connections, or close other programs' connections";
	if (strcmp(state, "53100") == 0)
		return "; the server's disk is full: make room and try again";
	if (strcmp(state, "25006") == 0)
		return "; this server is a standby: the URL must name the primary";
	if (strncmp(state, "XX", 2) == 0)
		return "; look at the server's log before going on";
	return "";
}

bool postgres_state_is(const PGresult *result, const char *state)
{
	const char *found = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	return found != NULL && strcmp(found, state) == 0;
}

static int fail_connection(
	struct weir_error *err, const struct postgres_connection *connection, int code, const char *operation)
{
	char text[400];
	snprintf(text, sizeof text, "%s", connection->pg != NULL ? PQerrorMessage(connection->pg) : "");
	for (char *c = text; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	size_t size = strlen(text);
	while (size > 0 && text[size - 1] == ' ')
		text[--size] = '\0';
	return weir_fail_at(err, code, weir_str_from(connection->place), WEIR_ERROR_NO_OFFSET, "cannot %s: %s",
		operation, size > 0 ? text : "the connection was lost");
}

int postgres_fail(
	struct weir_error *err, struct postgres_connection *connection, const PGresult *result, const char *operation)
{
	const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	if (state == NULL)
		return fail_connection(err, connection, WEIR_E_IO, operation);
	/* The primary message names things of the schema; only those of data exceptions quote values. */
	const char *text = strncmp(state, "22", 2) == 0 ? "a value does not fit its column"
							: PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	return weir_fail_at(err, code_of(state), weir_str_from(connection->place), WEIR_ERROR_NO_OFFSET,
		"cannot %s: %s (SQLSTATE %s)%s", operation, text != NULL ? text : "no reason was given", state,
		remedy_of(state));
}

/* ---- small statements ---- */

PGresult *postgres_ask(
	struct postgres_connection *connection, const char *sql, const char *operation, struct weir_error *err)
{
	PGresult *result = connection->pg != NULL ? PQexec(connection->pg, sql) : NULL;
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return result;
	postgres_fail(err, connection, result, operation);
	PQclear(result);
	return NULL;
}

int postgres_do(struct postgres_connection *connection, const char *sql, const char *operation, struct weir_error *err)
{
	struct weir_error own = WEIR_ERROR_INIT;
	struct weir_error *to = err != NULL ? err : &own;
	PGresult *result = postgres_ask(connection, sql, operation, to);
	if (result == NULL)
		return to->code;
	PQclear(result);
	return 0;
}

bool postgres_is_lost(const struct postgres_connection *connection)
{
	return connection->pg == NULL || PQstatus(connection->pg) != CONNECTION_OK;
}

/* ---- connecting ---- */

static void ignore_notice(void *context, const PGresult *result)
{
	(void)context;
	(void)result;
}

static void drop(struct postgres_connection *connection)
{
	postgres_forget(connection);
	if (connection->pg != NULL)
		PQfinish(connection->pg);
	connection->pg = NULL;
	connection->release = false;
}

static const char *text_at(const PGresult *result, int column)
{
	return PQntuples(result) > 0 ? PQgetvalue(result, 0, column) : "";
}

static int set_up(struct postgres_connection *connection, struct weir_error *err)
{
	char sql[1024];
	if (PQserverVersion(connection->pg) < POSTGRES_OLDEST)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, weir_str_from(connection->place), WEIR_ERROR_NO_OFFSET,
			"the server is PostgreSQL %d; 13 or newer is needed", PQserverVersion(connection->pg) / 10000);
	const char *encoding = PQparameterStatus(connection->pg, "server_encoding");
	if (encoding == NULL || strcmp(encoding, "UTF8") != 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, weir_str_from(connection->place), WEIR_ERROR_NO_OFFSET,
			"the database's encoding is %s; make one with ENCODING 'UTF8'",
			encoding != NULL ? encoding : "unknown");
	/* A commit that is answered is durable, whatever the server's default; the server may ask for more than that.
	 */
	snprintf(sql, sizeof sql,
		"SET lock_timeout = %d; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
		"SET bytea_output = hex; SET default_transaction_isolation = 'read committed';"
		"SET default_transaction_read_only = %s; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;"
		"SET tcp_keepalives_count = 3;"
		"SELECT set_config('synchronous_commit', '%s', false)%s;"
		"SELECT pg_backend_pid() || ' ' || (SELECT extract(epoch FROM backend_start) FROM pg_stat_activity"
		" WHERE pid = pg_backend_pid()), current_schema()",
		CONTROL_BUSY_MS, connection->read_only ? "on" : "off",
		connection->options->unsafe_no_sync ? "off" : "on",
		connection->options->unsafe_no_sync ? "" : " WHERE current_setting('synchronous_commit') = 'off'");
	PGresult *result = postgres_ask(connection, sql, "set up a session of the control database", err);
	if (result == NULL)
		return err->code;
	snprintf(connection->session, sizeof connection->session, "%s", text_at(result, 0));
	bool schema = PQgetisnull(result, 0, 1) == 0;
	PQclear(result);
	return schema ? 0
		      : weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(connection->place), WEIR_ERROR_NO_OFFSET,
				"no schema of the search path exists; CREATE SCHEMA it, or leave options out of the "
				"URL");
}

static int connect_once(struct postgres_connection *connection, struct weir_error *err)
{
	struct postgres_parameters parameters;
	drop(connection);
	int status = postgres_parameters_init(connection->options->url, &parameters, err);
	if (status != 0)
		return status;
	connection->pg = PQconnectdbParams(parameters.keywords, (const char *const *)parameters.values, 0);
	postgres_parameters_done(&parameters);
	const char *host = PQhost(connection->pg), *name = PQdb(connection->pg), *port = PQport(connection->pg);
	snprintf(connection->place, sizeof connection->place, "postgresql://%s:%s/%s", host != NULL ? host : "",
		port != NULL ? port : "", name != NULL ? name : "");
	if (PQstatus(connection->pg) != CONNECTION_OK)
		return fail_connection(err, connection, WEIR_E_IO, "connect to the control database");
	PQsetNoticeReceiver(connection->pg, ignore_notice, NULL);
	return set_up(connection, err);
}

int postgres_connect(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
	struct weir_error *err)
{
	struct postgres_connection *connection = weir_zalloc(sizeof *connection);
	struct weir_error own = WEIR_ERROR_INIT;
	connection->options = options;
	connection->read_only = read_only;
	int status = options->sqlite_vfs != NULL || options->exclusive
		? weir_fail(&own, WEIR_E_UNSUPPORTED, "a simulated disk holds SQLite only")
		: connect_once(connection, &own);
	if (status != 0 && err != NULL)
		*err = own;
	if (status != 0)
		postgres_disconnect(&connection->base);
	else
		*ret_connection = &connection->base;
	return status;
}

void postgres_disconnect(struct control_connection *take_connection)
{
	struct postgres_connection *connection = postgres_of(take_connection);
	drop(connection);
	weir_buf_done(&connection->translated);
	free(connection);
}

/* ---- the lease ---- */

/* Whose the lock is, as far as the server tells. */
static int fail_held(struct postgres_connection *writer, struct weir_error *err)
{
	char who[160] = "another process";
	PGresult *result = postgres_ask(writer,
		"SELECT holder || coalesce(', connected from ' || host(a.client_addr), '') FROM weir_writer"
		" LEFT JOIN pg_locks l ON l.locktype = 'advisory' AND l.classid = " LOCK_CLASS " AND l.granted"
		" AND l.objid = (" LOCK_OBJECT "::bigint & 4294967295)::oid"
		" AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
		" LEFT JOIN pg_stat_activity a ON a.pid = l.pid",
		"ask who writes", NULL);
	if (result != NULL && PQntuples(result) > 0)
		snprintf(who, sizeof who, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return weir_fail_at(err, WEIR_E_BUSY, weir_str_from(writer->place), WEIR_ERROR_NO_OFFSET,
		"%s writes this control database; stop it first, or give this lake a database or schema of its own",
		who);
}

/* Ends this process's own session of before, which the server may not know to be cut off. */
static void end_session(struct postgres_connection *writer, const char *session)
{
	const char *values[] = {session};
	PGresult *result = PQexecParams(writer->pg,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
		" WHERE pid || ' ' || extract(epoch FROM backend_start) = $1",
		1, NULL, values, NULL, NULL, 0);
	PQclear(result);
}

static int take_lock(struct postgres_connection *writer, struct weir_error *err)
{
	PGresult *result = postgres_ask(
		writer, "SELECT pg_try_advisory_lock(" LOCK_CLASS ", " LOCK_OBJECT ")", "take the lease", err);
	if (result == NULL)
		return err->code;
	bool taken = text_at(result, 0)[0] == 't';
	PQclear(result);
	return taken ? 0 : fail_held(writer, err);
}

/* The lock again, in a new session, if nobody had it since. */
static int retake(struct postgres_connection *writer, const char *session, struct weir_error *err)
{
	end_session(writer, session);
	int status = take_lock(writer, err);
	PGresult *result = postgres_ask(writer, "SELECT epoch, commits FROM weir_writer", "read the lease", err);
	if (result == NULL)
		return err->code;
	int64_t epoch = strtoll(text_at(result, 0), NULL, 10), commits = strtoll(text_at(result, 1), NULL, 10);
	PQclear(result);
	if (epoch != writer->epoch)
		return weir_fail_at(err, WEIR_E_DENIED, weir_str_from(writer->place), WEIR_ERROR_NO_OFFSET,
			"another weir process has taken this control database over since the connection was lost; stop "
			"this one");
	if (status == 0)
		writer->commits = commits;
	return status;
}

int postgres_reconnect(struct postgres_connection *connection, struct weir_error *err)
{
	if (!postgres_is_lost(connection))
		return 0;
	struct weir_clock clock = weir_clock_system();
	unsigned most_ms = connection->options->reconnect_ms;
	int64_t until = weir_steady_us(&clock) + INT64_C(1000) * (most_ms > 0 ? most_ms : POSTGRES_RECONNECT_MS);
	char session[sizeof connection->session];
	memcpy(session, connection->session, sizeof session);
	for (int64_t wait_ms = FIRST_WAIT_MS;; wait_ms = wait_ms * 2 < MOST_WAIT_MS ? wait_ms * 2 : MOST_WAIT_MS) {
		int status = connect_once(connection, err);
		if (status == 0 && connection->epoch != 0)
			status = retake(connection, session, err);
		if (status == 0)
			return 0;
		drop(connection);
		memcpy(connection->session, session, sizeof session);
		if (status == WEIR_E_DENIED || weir_steady_us(&clock) + 1000 * wait_ms > until)
			return status;
		nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000000}, NULL);
	}
}

/* A process that has just ended may be a session of the server still: it is waited for, a moment. */
static int take_lock_soon(struct postgres_connection *writer, struct weir_error *err)
{
	struct weir_clock clock = weir_clock_system();
	int64_t until = weir_steady_us(&clock) + TAKE_MS * INT64_C(1000);
	for (int64_t wait_ms = FIRST_WAIT_MS;; wait_ms = wait_ms * 2 < MOST_WAIT_MS ? wait_ms * 2 : MOST_WAIT_MS) {
		int status = take_lock(writer, err);
		if (status != WEIR_E_BUSY || weir_steady_us(&clock) + 1000 * wait_ms > until)
			return status;
		nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000000}, NULL);
	}
}

int postgres_take(struct control_connection *base, const char *base_schema, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	char sql[512], host[64] = "";
	int status = take_lock_soon(writer, err);
	if (status != 0)
		return status;
	postgres_translate(base_schema, true, &writer->translated);
	status = postgres_do(writer, "BEGIN", "make the control database's tables", err);
	if (status == 0)
		status = postgres_do(
			writer, weir_buf_cstr(&writer->translated), "make the control database's tables", err);
	if (status == 0)
		status = postgres_do(writer, writer_schema, "make the guard of weir's namespaces", err);
	if (status != 0)
		return status;
	gethostname(host, sizeof host - 1);
	for (char *c = host; *c != '\0'; c++)
		if (*c == '\'' || *c == '\\')
			*c = '_';
	snprintf(sql, sizeof sql,
		"UPDATE weir_writer SET epoch = epoch + 1, holder = 'process %ld on %s' RETURNING epoch, commits",
		(long)getpid(), host);
	PGresult *result = postgres_ask(writer, sql, "take the lease", err);
	if (result == NULL)
		return err->code;
	writer->epoch = strtoll(text_at(result, 0), NULL, 10);
	writer->commits = strtoll(text_at(result, 1), NULL, 10);
	PQclear(result);
	return postgres_do(writer, "COMMIT", "take the lease", err);
}
