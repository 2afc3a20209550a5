/*
 * Faults between weir and PostgreSQL: kill -9 of the server's processes in the middle of commits, and connections that
 * a small proxy cuts at COMMIT. What was acknowledged is there, an error that says "did not happen" is true, and an
 * outcome that nobody can know is WEIR_E_UNKNOWN until it can be read. WEIR_SEED and WEIR_KILLS choose other runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "control/control.h"
#include "support/postgres.h"
#include "support/seed.h"

#define RECONNECT_MS 400

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static struct control *open_control(const char *url)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control *control;
	struct control_options options = {.url = url, .reconnect_ms = RECONNECT_MS};
	if (control_open(&options, &control, &err) != 0 ||
		control_migrate(control, "test", 1,
			"CREATE TABLE moves(stream TEXT NOT NULL, number "
			"INTEGER NOT NULL, PRIMARY KEY (stream, number))",
			&err) != 0)
		fail_msg("%s", err.message);
	return control;
}

/* Moves a stream's offset from number to number + 1 and adds the row of that move: both or neither. */
static int move(struct control *control, const char *stream, uint64_t number, struct weir_error *err)
{
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_value values[] = {CONTROL_T(weir_str_from(stream)), CONTROL_I(number)};
	control_move_offset(change, weir_str_from(stream), 0, number, number + 1);
	control_change_sql(change, "move", 1, "INSERT INTO moves(stream, number) VALUES (?1, ?2)", values, 2);
	int status = control_commit(control, change, &result, err);
	control_change_free(change);
	if (status == 0)
		assert_int_equal(result.outcome, CONTROL_DONE);
	return status;
}

static int read_number(
	struct control *control, const char *sql, const char *stream, int64_t *ret_number, struct weir_error *err)
{
	struct control_value value = CONTROL_T(weir_str_from(stream));
	*ret_number = 0;
	int status = control_query_int(control, sql, &value, 1, ret_number, err);
	return status == WEIR_E_NOT_FOUND ? 0 : status;
}

static int read_offset(struct control *control, const char *stream, int64_t *ret_offset, struct weir_error *err)
{
	return read_number(control, "SELECT next_offset FROM weir_offsets WHERE stream = ?1", stream, ret_offset, err);
}

/* ---- kill -9 ---- */

struct mover {
	struct control *control;
	pthread_t thread;
	char stream[8];
	atomic_bool *stop;
	uint64_t offset;
	unsigned failed, unknown, lies;
};

/* Reads until the database is there again. Only after WEIR_E_UNKNOWN may a move have happened that was not
 * acknowledged. */
static void look(struct mover *mover, bool may_have_happened)
{
	int64_t offset;
	while (read_offset(mover->control, mover->stream, &offset, NULL) != 0)
		sleep_ms(20);
	uint64_t found = (uint64_t)offset;
	mover->lies += found != mover->offset && !(may_have_happened && found == mover->offset + 1);
	mover->offset = found;
}

static void *keep_moving(void *context)
{
	struct mover *mover = context;
	while (!atomic_load(mover->stop)) {
		struct weir_error err = WEIR_ERROR_INIT;
		int status = move(mover->control, mover->stream, mover->offset, &err);
		mover->offset += status == 0;
		mover->failed += status != 0;
		mover->unknown += status == WEIR_E_UNKNOWN;
		if (status != 0)
			look(mover, status == WEIR_E_UNKNOWN);
	}
	look(mover, false);
	return NULL;
}

static void acknowledged_survives_kill9(void **state)
{
	struct test_postgres *server = *state;
	enum { MOVERS = 4 };
	struct mover movers[MOVERS] = {0};
	struct weir_rng rng = weir_rng_new(test_seed("control kill -9"));
	uint64_t kills = test_number("WEIR_KILLS", 8), moved = 0;
	unsigned failed = 0, unknown = 0;
	char schema[64], url[512];
	atomic_bool stop = false;
	test_postgres_schema(server, schema, url);
	struct control *control = open_control(url);
	for (int i = 0; i < MOVERS; i++) {
		movers[i].control = control;
		movers[i].stop = &stop;
		snprintf(movers[i].stream, sizeof movers[i].stream, "s%d", i);
		pthread_create(&movers[i].thread, NULL, keep_moving, &movers[i]);
	}
	for (uint64_t kill = 0; kill < kills; kill++) {
		sleep_ms(50 + (unsigned)weir_rng_below(&rng, 300));
		test_postgres_command(server, "kill9");
		if (kill % 2 == 0)
			sleep_ms(2 * RECONNECT_MS); /* longer than anybody waits */
		test_postgres_command(server, "start");
	}
	sleep_ms(500);
	atomic_store(&stop, true);
	for (int i = 0; i < MOVERS; i++) {
		int64_t rows;
		pthread_join(movers[i].thread, NULL);
		assert_int_equal(movers[i].lies, 0);
		assert_int_equal(read_number(control, "SELECT count(*) FROM moves WHERE stream = ?1", movers[i].stream,
					 &rows, NULL),
			0);
		assert_int_equal(rows, movers[i].offset);
		failed += movers[i].failed;
		unknown += movers[i].unknown;
		moved += movers[i].offset;
	}
	printf("%llu kills, %llu moves, %u failed, %u of them with unknown outcome\n", (unsigned long long)kills,
		(unsigned long long)moved, failed, unknown);
	assert_true(moved > 0 && failed > 0);
	control_close(control);
	test_postgres_drop_schema(server, schema);
}

/* ---- a proxy that cuts ---- */

enum cut {
	CUT_NOTHING,
	CUT_COMMIT,    /* COMMIT never arrives, and both sides are closed */
	CUT_HALF_OPEN, /* COMMIT never arrives, and the server's side stays open: it knows of nothing */
	CUT_ANSWER,    /* COMMIT is done, and its answer is lost */
	CUT_STATEMENT, /* in the middle of the transaction */
};

struct proxy {
	int listener;
	unsigned port, server_port;
	pthread_t thread;
	atomic_int cut;   /* what is done next, once */
	atomic_bool down; /* no new connection comes through */
	atomic_bool ending;
	atomic_int kept;  /* the server's side of a half-open connection */
	atomic_int pipes; /* connections that are open */
};

static int server_socket(const struct proxy *proxy)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)proxy->server_port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool pass(int to, const char *bytes, ssize_t size)
{
	for (ssize_t sent = 0; sent < size;) {
		ssize_t more = send(to, bytes + sent, (size_t)(size - sent), MSG_NOSIGNAL);
		if (more <= 0)
			return false;
		sent += more;
	}
	return true;
}

struct piped {
	struct proxy *proxy;
	int client, server;
};

/* From client to server. False ends the connection. */
static bool pass_request(struct piped *piped, const char *bytes, ssize_t size)
{
	struct proxy *proxy = piped->proxy;
	enum cut cut = (enum cut)atomic_load(&proxy->cut);
	bool commit = memmem(bytes, (size_t)size, "COMMIT", 7) != NULL;
	bool statement = memmem(bytes, (size_t)size, "SAVEPOINT change", 16) != NULL;
	if (cut == CUT_NOTHING || !(cut == CUT_STATEMENT ? statement : commit))
		return pass(piped->server, bytes, size);
	atomic_store(&proxy->cut, CUT_NOTHING);
	if (cut == CUT_HALF_OPEN) {
		atomic_store(&proxy->kept, piped->server);
		piped->server = -1;
	}
	if (cut == CUT_ANSWER) {
		char answer[256];
		pass(piped->server, bytes, size);
		(void)recv(piped->server, answer, sizeof answer, 0);
	}
	return false;
}

static void *pipe_connection(void *context)
{
	struct piped *piped = context;
	static const unsigned most = 65536;
	char *bytes = malloc(most);
	bool open = true;
	while (open) {
		struct pollfd fds[2] = {{piped->client, POLLIN, 0}, {piped->server, POLLIN, 0}};
		if (poll(fds, 2, 100) < 0 || atomic_load(&piped->proxy->ending))
			break;
		ssize_t size;
		if (fds[0].revents != 0) {
			size = recv(piped->client, bytes, most, 0);
			open = size > 0 && pass_request(piped, bytes, size);
		}
		if (open && fds[1].revents != 0) {
			size = recv(piped->server, bytes, most, 0);
			open = size > 0 && pass(piped->client, bytes, size);
		}
	}
	close(piped->client);
	if (piped->server >= 0)
		close(piped->server);
	struct proxy *proxy = piped->proxy;
	free(bytes);
	free(piped);
	atomic_fetch_sub(&proxy->pipes, 1);
	return NULL;
}

static void *accept_connections(void *context)
{
	struct proxy *proxy = context;
	while (!atomic_load(&proxy->ending)) {
		struct pollfd fd = {proxy->listener, POLLIN, 0};
		if (poll(&fd, 1, 50) <= 0)
			continue;
		int client = accept(proxy->listener, NULL, NULL),
		    server = atomic_load(&proxy->down) ? -1 : server_socket(proxy);
		if (server < 0) {
			close(client);
			continue;
		}
		pthread_t thread;
		struct piped *piped = malloc(sizeof *piped);
		*piped = (struct piped){proxy, client, server};
		atomic_fetch_add(&proxy->pipes, 1);
		pthread_create(&thread, NULL, pipe_connection, piped);
		pthread_detach(thread);
	}
	return NULL;
}

static void proxy_start(struct proxy *proxy, unsigned server_port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	*proxy = (struct proxy){.server_port = server_port, .kept = -1};
	proxy->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(proxy->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(proxy->listener, 16), 0);
	assert_int_equal(getsockname(proxy->listener, (struct sockaddr *)&address, &size), 0);
	proxy->port = ntohs(address.sin_port);
	pthread_create(&proxy->thread, NULL, accept_connections, proxy);
}

static void proxy_stop(struct proxy *proxy)
{
	atomic_store(&proxy->ending, true);
	pthread_join(proxy->thread, NULL);
	while (atomic_load(&proxy->pipes) > 0)
		sleep_ms(10);
	close(proxy->listener);
	if (atomic_load(&proxy->kept) >= 0)
		close(atomic_load(&proxy->kept));
}

struct proxied {
	struct proxy proxy;
	struct control *control;
	char schema[64];
};

static void proxied_start(struct proxied *proxied, struct test_postgres *server)
{
	char direct[512], url[512];
	proxy_start(&proxied->proxy, server->port);
	test_postgres_schema(server, proxied->schema, direct);
	snprintf(url, sizeof url,
		"postgresql://postgres@127.0.0.1:%u/"
		"postgres?sslmode=disable&gssencmode=disable&options=-csearch_path%%3D%s",
		proxied->proxy.port, proxied->schema);
	proxied->control = open_control(url);
}

static void proxied_stop(struct proxied *proxied, struct test_postgres *server)
{
	control_close(proxied->control);
	proxy_stop(&proxied->proxy);
	test_postgres_drop_schema(server, proxied->schema);
}

/* Where the answer to COMMIT is lost, and the server can be asked, the outcome is known. */
static void cut_commits_are_settled(void **state)
{
	static const struct {
		enum cut cut;
		bool happened;
	} cases[] = {{CUT_COMMIT, false}, {CUT_ANSWER, true}, {CUT_HALF_OPEN, false}, {CUT_STATEMENT, false},
		{CUT_NOTHING, true}};
	struct test_postgres *server = *state;
	struct proxied proxied;
	uint64_t expected = 0;
	proxied_start(&proxied, server);
	for (size_t i = 0; i < 3 * sizeof cases / sizeof cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		int64_t offset;
		bool happened = cases[i % 5].happened;
		atomic_store(&proxied.proxy.cut, cases[i % 5].cut);
		int status = move(proxied.control, "s", expected, &err);
		assert_int_equal(atomic_load(&proxied.proxy.cut), CUT_NOTHING);
		assert_int_equal(status, happened ? 0 : WEIR_E_IO);
		expected += happened;
		assert_int_equal(read_offset(proxied.control, "s", &offset, &err), 0);
		assert_int_equal(offset, expected);
	}
	proxied_stop(&proxied, server);
}

/* Where it cannot be asked, nobody pretends to know: the change, and every read and change after it, until it is back.
 */
static void unreachable_outcomes_are_unknown(void **state)
{
	struct test_postgres *server = *state;
	struct proxied proxied;
	proxied_start(&proxied, server);
	uint64_t expected = 0;
	for (int happened = 0; happened < 2; happened++) {
		struct weir_error err = WEIR_ERROR_INIT;
		int64_t offset;
		assert_int_equal(move(proxied.control, "s", expected++, &err), 0);
		atomic_store(&proxied.proxy.cut, happened ? CUT_ANSWER : CUT_COMMIT);
		atomic_store(&proxied.proxy.down, true);
		assert_int_equal(move(proxied.control, "s", expected, &err), WEIR_E_UNKNOWN);
		assert_int_equal(read_offset(proxied.control, "s", &offset, &err), WEIR_E_UNKNOWN);
		/* A change that waits meanwhile has certainly not happened. */
		assert_int_equal(move(proxied.control, "t", 0, &err), WEIR_E_IO);
		atomic_store(&proxied.proxy.down, false);
		expected += (uint64_t)happened;
		assert_int_equal(read_offset(proxied.control, "s", &offset, &err), 0);
		assert_int_equal(offset, expected);
	}
	proxied_stop(&proxied, server);
}

int main(void)
{
	struct test_postgres server;
	if (!test_postgres_start(&server, true))
		return 0;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(cut_commits_are_settled, &server),
		cmocka_unit_test_prestate(unreachable_outcomes_are_unknown, &server),
		cmocka_unit_test_prestate(acknowledged_survives_kill9, &server),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_postgres_stop(&server);
	return failed;
}
