/*
 * Catalogs on PostgreSQL. See foreign.h. The session is one of postgres_connect, which takes no lease: beside a
 * running lake its tables can be read, and the trigger of its own namespaces refuses what is not its to change.
 */
#include <stdlib.h>

#include "control/foreign_int.h"
#include "control/postgres_int.h"

#define TEXTS 8

/* What a session needs that outlives its opening. */
struct session {
	struct control_options options;
	char *url;
	struct control_connection *connection;
};

static struct postgres_connection *pg_of(struct control_foreign *foreign)
{
	struct session *session = foreign->session;
	return postgres_of(session->connection);
}

static int open_server(struct control_foreign *foreign, const char *url, struct weir_error *err)
{
	struct session *session = weir_zalloc(sizeof *session);
	foreign->session = session;
	session->url = weir_strdup(url);
	session->options.url = session->url;
	int rc = postgres_connect(&session->options, false, &session->connection, err);
	foreign->place = weir_strdup(rc == 0 ? pg_of(foreign)->place : "postgresql://");
	return rc;
}

static void close_server(struct control_foreign *foreign)
{
	struct session *session = foreign->session;
	if (session->connection != NULL)
		postgres_disconnect(session->connection);
	free(session->url);
	free(session);
}

static int give_rows(const PGresult *result, foreign_row_fn *row, void *context, struct weir_error *err)
{
	unsigned columns = (unsigned)PQnfields(result);
	int rc = 0;
	WEIR_ASSERT(columns <= FOREIGN_CELLS);
	for (int r = 0; r < PQntuples(result) && rc == 0 && row != NULL; r++) {
		struct weir_str cells[FOREIGN_CELLS];
		for (unsigned i = 0; i < columns; i++)
			cells[i] = (struct weir_str){
				PQgetvalue(result, r, (int)i), (size_t)PQgetlength(result, r, (int)i)};
		rc = row(context, cells, columns, err);
	}
	return rc;
}

static int run(struct control_foreign *foreign, const char *sql, const struct weir_str *texts, unsigned count,
	foreign_row_fn *row, void *context, int64_t *ret_changed, struct weir_error *err)
{
	struct postgres_connection *connection = pg_of(foreign);
	Oid types[TEXTS];
	const char *data[TEXTS];
	int sizes[TEXTS], formats[TEXTS];
	WEIR_ASSERT(count <= TEXTS);
	int rc = postgres_reconnect(connection, err);
	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < count; i++) {
		types[i] = POSTGRES_TEXT;
		data[i] = texts[i].size > 0 ? texts[i].data : "";
		sizes[i] = (int)texts[i].size;
		formats[i] = 1;
	}
	postgres_translate(sql, false, &connection->translated);
	PGresult *result = PQexecParams(
		connection->pg, weir_buf_cstr(&connection->translated), (int)count, types, data, sizes, formats, 0);
	ExecStatusType status = PQresultStatus(result);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		rc = give_rows(result, row, context, err);
	else
		rc = postgres_fail(err, connection, result, "ask the catalog");
	if (rc != 0 && postgres_is_lost(connection))
		rc = err->code = WEIR_E_UNKNOWN;
	*ret_changed = strtoll(PQcmdTuples(result), NULL, 10);
	PQclear(result);
	return rc;
}

const struct foreign_ops foreign_postgres = {
	.open = open_server,
	.close = close_server,
	.run = run,
	.find_owned = "SELECT 1 WHERE to_regclass('weir_owned') IS NOT NULL",
};
