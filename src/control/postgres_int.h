/* What the PostgreSQL backend's files share: a connection that can be made again, its prepared statements, errors. */
#ifndef WEIR_CONTROL_POSTGRES_INT_H
#define WEIR_CONTROL_POSTGRES_INT_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "control/control_int.h"

#define POSTGRES_PARAMETERS   32   /* of one statement */
#define POSTGRES_STATEMENTS   2048 /* prepared statements that a connection keeps */
#define POSTGRES_RECONNECT_MS 5000 /* how long a lost connection is tried for before the caller hears of it */
#define POSTGRES_OLDEST       130000

/* The types of the values that are bound; the server infers that of a null. */
enum {
	POSTGRES_BOOL = 16,
	POSTGRES_BYTEA = 17,
	POSTGRES_INT8 = 20,
	POSTGRES_INT2 = 21,
	POSTGRES_INT4 = 23,
	POSTGRES_TEXT = 25,
	POSTGRES_NUMERIC = 1700
};

/* A statement that the server has prepared: by address and by the types of its values, 2 bits each. */
struct postgres_prepared {
	const char *sql;
	char *text; /* of sql when it was prepared: an address may be used again */
	uint64_t types;
	unsigned number; /* its name is w<number> */
};

struct postgres_connection {
	struct control_connection base; /* first: the two are cast to each other */
	const struct control_options *options;
	bool read_only;
	PGconn *pg;       /* NULL where there is none just now */
	char place[256];  /* host, port and database, for errors */
	char session[64]; /* the server process and its start, by which this process knows its own session again */
	struct postgres_prepared *prepared; /* open addressing */
	size_t prepared_count, prepared_slots;
	unsigned prepared_number;
	struct weir_buf translated;
	/* The writer's. */
	int64_t epoch;   /* of the lease; 0 before it was taken */
	int64_t commits; /* that the lease counts, as far as this process knows */
	bool release;    /* the savepoint of the last change is still there */
};

static inline struct postgres_connection *postgres_of(struct control_connection *connection)
{
	return (struct postgres_connection *)connection;
}

/* The values of PQconnectdbParams from a URL, with its references resolved. */
struct postgres_parameters {
	const char **keywords; /* ends with NULL; in arena, as are the values */
	char **values;
	struct weir_arena *arena; /* holds secrets: wiped and freed by done */
};
int postgres_parameters_init(const char *url, struct postgres_parameters *ret, struct weir_error *err);
void postgres_parameters_done(struct postgres_parameters *parameters);

int postgres_connect(const struct control_options *options, bool read_only, struct control_connection **ret_connection,
	struct weir_error *err);
void postgres_disconnect(struct control_connection *take_connection);
int postgres_take(struct control_connection *writer, const char *base_schema, struct weir_error *err);
/* Makes a lost connection again, for POSTGRES_RECONNECT_MS at most; the writer's with its lease, and with commits as
 * the database counts them. Nothing to do where it stands. */
int postgres_reconnect(struct postgres_connection *connection, struct weir_error *err);
bool postgres_is_lost(const struct postgres_connection *connection);

/* One or more statements without parameters; the last one's result, or NULL and err. */
PGresult *postgres_ask(
	struct postgres_connection *connection, const char *sql, const char *operation, struct weir_error *err);
/* The same where the result does not matter. */
int postgres_do(struct postgres_connection *connection, const char *sql, const char *operation, struct weir_error *err);
/* Fill err from a result (NULL: from the connection). Texts that could hold values are left out. */
int postgres_fail(
	struct weir_error *err, struct postgres_connection *connection, const PGresult *result, const char *operation);
bool postgres_state_is(const PGresult *result, const char *state);

/* The SQL that SQLite and PostgreSQL share, as PostgreSQL takes it. schema: types of columns are meant, too. */
void postgres_translate(const char *sql, bool schema, struct weir_buf *out);

/* Values as PQexecPrepared takes them; they borrow from the values bound. */
struct postgres_bound {
	unsigned count;
	uint64_t kinds;
	const char *data[POSTGRES_PARAMETERS];
	int sizes[POSTGRES_PARAMETERS], formats[POSTGRES_PARAMETERS];
	unsigned char numbers[POSTGRES_PARAMETERS][8];
};
int postgres_bind(
	const struct control_value *values, unsigned count, struct postgres_bound *ret_bound, struct weir_error *err);
/* The name under which the server has the statement, or false. */
bool postgres_find(const struct postgres_connection *connection, const char *sql, uint64_t kinds, char ret_name[16]);
int postgres_prepare(struct postgres_connection *connection, const char *sql, const struct postgres_bound *bound,
	char ret_name[16], struct weir_error *err);
void postgres_forget(struct postgres_connection *connection); /* the server has forgotten them, too */

int postgres_scrub(struct control_connection *writer, struct weir_error *err);

#endif
