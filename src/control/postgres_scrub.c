/*
 * Deleted rows on PostgreSQL. A row that was deleted or changed stays in its table's file until the table is rewritten:
 * so every table that may hold words of a data subject is (VACUUM FULL), where it is small; a large one is vacuumed,
 * which makes the rows unreachable and their place free, but leaves bytes in it until they are written over. The
 * write-ahead log, archives, standbys and backups are the server's own: docs/formats/control.md.
 */
#include <stdio.h>
#include <time.h>

#include "base/time.h"
#include "control/postgres_int.h"

#define REWRITE_BYTES_MOST "67108864"
#define LOOK_AGAIN_MS      20

/* A snapshot from before the last commit may see what was deleted, so that nothing of it can go. */
static const char old_snapshots_sql[] =
	"SELECT count(*) FROM pg_stat_activity a, weir_writer w WHERE a.backend_xmin IS NOT NULL"
	" AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend' AND a.datname = current_database()"
	" AND age(a.backend_xmin) >= age(w.xmin)";

/* Tables of numbers and of the program's own names alone change all the time and hold nobody's words. */
static const char tables_sql[] =
	"SELECT 'VACUUM ' || CASE WHEN pg_total_relation_size(c.oid) <= " REWRITE_BYTES_MOST
	" THEN '(FULL) ' ELSE '' END || quote_ident(c.relname) FROM pg_class c"
	" WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'weir\\_%'"
	" AND c.relname NOT IN ('weir_writer', 'weir_offsets', 'weir_counters', 'weir_watermarks', "
	"'weir_letter_counts')"
	" ORDER BY c.relname";

static int wait_for_readers(struct postgres_connection *writer, struct weir_error *err)
{
	for (int waited_ms = 0; waited_ms <= CONTROL_SCRUB_MS; waited_ms += LOOK_AGAIN_MS) {
		PGresult *result = postgres_ask(writer, old_snapshots_sql, "look for old snapshots", err);
		if (result == NULL)
			return err->code;
		bool none = PQgetvalue(result, 0, 0)[0] == '0';
		PQclear(result);
		if (none)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_MS * 1000000L}, NULL);
	}
	return weir_fail_at(err, WEIR_E_BUSY, weir_str_from(writer->place), WEIR_ERROR_NO_OFFSET,
		"a reader holds an old snapshot of the control database: end it and scrub again");
}

int postgres_scrub(struct control_connection *base, struct weir_error *err)
{
	struct postgres_connection *writer = postgres_of(base);
	char sql[64];
	int status = postgres_reconnect(writer, err);
	if (status == 0)
		status = wait_for_readers(writer, err);
	PGresult *tables = status == 0 ? postgres_ask(writer, tables_sql, "list the tables to scrub", err) : NULL;
	if (tables == NULL)
		return err->code;
	snprintf(sql, sizeof sql, "SET lock_timeout = %d", CONTROL_SCRUB_MS);
	status = postgres_do(writer, sql, "scrub the control database", err);
	for (int i = 0; i < PQntuples(tables) && status == 0; i++)
		status = postgres_do(writer, PQgetvalue(tables, i, 0), "scrub the control database", err);
	PQclear(tables);
	snprintf(sql, sizeof sql, "SET lock_timeout = %d", CONTROL_BUSY_MS);
	(void)postgres_do(writer, sql, "scrub the control database", NULL);
	return status;
}
