/*
 * A PostgreSQL server for tests: the one that WEIR_POSTGRES names (a URL of a user who may make schemas), or one of the
 * test's own, started by tests/peers/postgres/postgres where the server's programs are installed. Each database of a
 * test is a schema of its own.
 */
#ifndef WEIR_TESTS_POSTGRES_H
#define WEIR_TESTS_POSTGRES_H

#include <stdbool.h>

struct test_postgres {
	char url[256];
	char data[64]; /* of the test's own server; empty for another's */
	unsigned port, schemas;
};

/* False where there is none, which it says. own: another's server will not do, because it is going to be killed. */
bool test_postgres_start(struct test_postgres *ret_server, bool own);
void test_postgres_stop(struct test_postgres *server);
/* "kill9", "start" or "stop" of a server of the test's own. */
void test_postgres_command(const struct test_postgres *server, const char *command);
/* A new schema, and the URL that leads to it; dropped with drop_schema. */
void test_postgres_schema(struct test_postgres *server, char ret_schema[64], char ret_url[512]);
void test_postgres_drop_schema(const struct test_postgres *server, const char *schema);
/* Runs statements at url; false and the server's message where one failed. */
bool test_postgres_run(const char *url, const char *sql, char message[512]);

#endif
