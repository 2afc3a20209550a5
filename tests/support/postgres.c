#include "support/postgres.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void stop_test(const char *what)
{
	fprintf(stderr, "PostgreSQL for the test: %s\n", what);
	abort();
}

static unsigned free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
		getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		stop_test("no port is free");
	close(fd);
	return ntohs(address.sin_port);
}

static int command(const struct test_postgres *server, const char *word, char *answer, size_t size)
{
	char line[256];
	snprintf(line, sizeof line, "PORT=%u DATA=%s FSYNC=%s tests/peers/postgres/postgres %s", server->port,
		server->data, getenv("WEIR_POSTGRES_FSYNC") != NULL ? "on" : "off", word);
	FILE *pipe = popen(line, "r");
	if (pipe == NULL)
		stop_test("cannot run tests/peers/postgres/postgres");
	if (fgets(answer, (int)size, pipe) == NULL)
		answer[0] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	int status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

bool test_postgres_start(struct test_postgres *ret_server, bool own)
{
	struct test_postgres *server = ret_server;
	*server = (struct test_postgres){.port = free_port()};
	const char *url = getenv("WEIR_POSTGRES");
	if (url != NULL && url[0] != '\0' && !own) {
		snprintf(server->url, sizeof server->url, "%s", url);
		return true;
	}
	snprintf(server->data, sizeof server->data, "/tmp/weir-postgres-XXXXXX");
	if (mkdtemp(server->data) == NULL)
		stop_test("cannot make a directory");
	int status = command(server, "start", server->url, sizeof server->url);
	if (status == 0)
		return true;
	rmdir(server->data);
	if (status != 3)
		stop_test("the server did not start");
	printf("NOT RUN ON POSTGRESQL: neither WEIR_POSTGRES names a server, nor are its programs installed "
	       "(postgresql)\n");
	return false;
}

void test_postgres_command(const struct test_postgres *server, const char *word)
{
	char answer[256];
	if (command(server, word, answer, sizeof answer) != 0)
		stop_test(word);
}

void test_postgres_stop(struct test_postgres *server)
{
	if (server->data[0] != '\0')
		test_postgres_command(server, "drop");
}

bool test_postgres_run(const char *url, const char *sql, char message[512])
{
	PGconn *pg = PQconnectdb(url);
	PGresult *result = PQstatus(pg) == CONNECTION_OK ? PQexec(pg, sql) : NULL;
	ExecStatusType status = PQresultStatus(result);
	bool done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
	if (message != NULL) {
		snprintf(message, 512, "%s", done ? "" : PQerrorMessage(pg));
		if (done && status == PGRES_TUPLES_OK && PQntuples(result) > 0)
			snprintf(message, 512, "%s", PQgetvalue(result, 0, 0));
	}
	PQclear(result);
	PQfinish(pg);
	return done;
}

void test_postgres_schema(struct test_postgres *server, char ret_schema[64], char ret_url[512])
{
	char sql[128], message[512];
	snprintf(ret_schema, 64, "weir_test_%ld_%u", (long)getpid(), ++server->schemas);
	snprintf(sql, sizeof sql, "CREATE SCHEMA %s", ret_schema);
	if (!test_postgres_run(server->url, sql, message))
		stop_test(message);
	snprintf(ret_url, 512, "%s%soptions=-csearch_path%%3D%s", server->url,
		strchr(server->url, '?') != NULL ? "&" : "?", ret_schema);
}

void test_postgres_drop_schema(const struct test_postgres *server, const char *schema)
{
	char sql[128];
	snprintf(sql, sizeof sql, "SET client_min_messages = error; DROP SCHEMA %s CASCADE", schema);
	(void)test_postgres_run(server->url, sql, NULL);
}
