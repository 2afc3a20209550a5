/* What the SQLite backend's files share: a connection with its prepared statements. */
#ifndef WEIR_CONTROL_SQLITE_INT_H
#define WEIR_CONTROL_SQLITE_INT_H

#include <sqlite3.h>

#include "control/control_int.h"

#define SQLITE_STATEMENTS 256 /* prepared statements that a connection keeps; a power of two */

struct sqlite_cached {
	const char *sql; /* the key is the address; the text is compared too, so that a reused address is harmless */
	sqlite3_stmt *statement;
	bool in_use;
};

struct sqlite_connection {
	struct control_connection base; /* first: the two are cast to each other */
	sqlite3 *db;
	unsigned cached_count;
	struct sqlite_cached cached[SQLITE_STATEMENTS];
};

/* A prepared statement while it runs. */
struct sqlite_running {
	sqlite3_stmt *statement;
	struct sqlite_cached *cached; /* NULL: finalize it at the end */
};

static inline struct sqlite_connection *sqlite_of(struct control_connection *connection)
{
	return (struct sqlite_connection *)connection;
}

int sqlite_connect(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
	struct weir_error *err);
void sqlite_disconnect(struct control_connection *take_connection);
int sqlite_start(struct sqlite_connection *connection, const char *sql, const struct control_value *values,
	unsigned value_count, struct sqlite_running *ret_running, struct weir_error *err);
void sqlite_finish(struct sqlite_running *running);
/* One or more statements without parameters and results; returns SQLite's (extended) code. */
int sqlite_run_all(struct sqlite_connection *connection, const char *sql);
/* Fill err from SQLite's code and the connection's message. */
int sqlite_fail(struct weir_error *err, struct sqlite_connection *connection, int sqlite_code, const char *operation);

#endif
