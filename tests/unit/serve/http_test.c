/* The HTTP layer with routes of its own: real sockets on 127.0.0.1 and on a Unix socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "codec/codec.h"
#include "serve/serve_int.h"

#define LONG_BYTES (3U << 20)
#define MANY       1100

static struct serve_app *app;
static struct http *http, *local;
static uint16_t port;
static char directory[] = "/tmp/weir-http-XXXXXX";

/* ---- handlers ---- */

static int say(struct serve_call *call, const char *text)
{
	call_reply(call, 200, "text/plain");
	weir_buf_puts(&call->out, text);
	return 0;
}

static int at_hello(struct serve_call *call, struct weir_error *err)
{
	(void)err;
	return say(call, "hello");
}

static int at_echo(struct serve_call *call, struct weir_error *err)
{
	call_reply(call, 200, "application/json");
	return call_write(call, call->body.data, call->body.size, err);
}

static int at_long(struct serve_call *call, struct weir_error *err)
{
	char line[65];
	call_reply(call, 200, "text/csv");
	for (unsigned i = 0; i < LONG_BYTES / 64; i++) {
		snprintf(line, sizeof line, "%062u\r\n", i);
		int rc = call_write(call, line, 64, err);
		if (rc < 0)
			return rc;
	}
	call->next_link = WEIR_STR("</long?cursor=x>; rel=\"next\"");
	return 0;
}

static int at_broken(struct serve_call *call, struct weir_error *err)
{
	if (at_long(call, err) < 0)
		return err->code;
	return weir_fail(err, WEIR_E_CORRUPT, "broken on purpose");
}

static int at_fail(struct serve_call *call, struct weir_error *err)
{
	call_reply(call, 200, "text/plain");
	weir_buf_puts(&call->out, "half");
	return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("limit"), WEIR_ERROR_NO_OFFSET, "limit is wrong");
}

static int at_busy(struct serve_call *call, struct weir_error *err)
{
	(void)call;
	return weir_fail(err, WEIR_E_BUSY, "the log is full");
}

static void *finish_later(void *argument)
{
	struct serve_call *call = argument;
	usleep(2000);
	say(call, "later");
	call_finish(call, 0, NULL);
	return NULL;
}

static int at_later(struct serve_call *call, struct weir_error *err)
{
	pthread_t thread;
	(void)err;
	assert_int_equal(pthread_create(&thread, NULL, finish_later, call), 0);
	pthread_detach(thread);
	return SERVE_LATER;
}

static int at_file(struct serve_call *call, struct weir_error *err)
{
	struct stat info;
	(void)err;
	assert_int_equal(stat(call->body_path, &info), 0);
	call_reply(call, 200, "text/plain");
	weir_buf_printf(&call->out, "%.*s %lld %o", WEIR_STR_ARG(call->body_name), (long long)info.st_size,
		info.st_mode & 0777U);
	return 0;
}

static int authenticate(
	struct serve_app *self, struct weir_str secret, struct access_identity *ret_identity, struct weir_error *err)
{
	(void)self;
	if (!weir_str_is(secret, "weir_good"))
		return weir_fail(err, WEIR_E_DENIED, "unknown");
	*ret_identity = (struct access_identity){.role = ACCESS_CONSUMER};
	return 0;
}

static const struct serve_route routes[] = {
	{"GET", "/hello", SERVE_OPERATOR, SERVE_INLINE, SERVE_NO_BODY, 0, at_hello, "", "a b", 0},
	{"GET", "/worker", SERVE_OPERATOR, SERVE_SHORT, SERVE_NO_BODY, 0, at_hello, "", "", 0},
	{"GET", "/later", SERVE_OPERATOR, SERVE_INLINE, SERVE_NO_BODY, 0, at_later, "", "", 0},
	{"GET", "/long", SERVE_OPERATOR, SERVE_QUERY, SERVE_NO_BODY, 0, at_long, "", "", 0},
	{"GET", "/broken", SERVE_OPERATOR, SERVE_QUERY, SERVE_NO_BODY, 0, at_broken, "", "", 0},
	{"GET", "/fail", SERVE_OPERATOR, SERVE_SHORT, SERVE_NO_BODY, 0, at_fail, "", "", 0},
	{"GET", "/busy", SERVE_OPERATOR, SERVE_SHORT, SERVE_NO_BODY, 0, at_busy, "", "", 0},
	{"GET", "/token", SERVE_CONSUMER, SERVE_SHORT, SERVE_NO_BODY, 0, at_hello, "", "", 0},
	{"POST", "/echo", SERVE_OPERATOR, SERVE_INLINE, SERVE_MEMORY, 1 << 20, at_echo, "", "", 0},
	{"POST", "/file", SERVE_OPERATOR, SERVE_LONG, SERVE_FILE, 8 << 20, at_file, "", NULL, 0},
};

static int set_up(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct rlimit limit = {4096, 4096};
	int fd = -1;
	bool loopback = false;
	char url[300];
	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_non_null(mkdtemp(directory));
	app = weir_zalloc(sizeof *app);
	app->authenticate = authenticate;
	app->local_operator.role = ACCESS_OPERATOR;
	app->arena = weir_arena_new(0);
	app->spill = weir_arena_printf(app->arena, "%s/spill", directory);
	memcpy(app->router.routes, routes, sizeof routes);
	app->router.count = sizeof routes / sizeof routes[0];
	for (unsigned i = SERVE_SHORT; i <= SERVE_LONG; i++)
		app->pools[i] = pool_new(2);
	assert_int_equal(
		listen_tcp(WEIR_STR("127.0.0.1:0"), false, true, &fd, &loopback, url, sizeof url, &port, &err), 0);
	assert_true(loopback);
	assert_int_equal(http_start(app, fd, SERVE_DOOR_LOOPBACK, &http, &err), 0);
	assert_int_equal(listen_unix(directory, &fd, &err), 0);
	assert_int_equal(http_start(app, fd, SERVE_DOOR_UNIX, &local, &err), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_quiesce(http);
	for (unsigned i = 0; i < 500 && !http_idle(http); i++)
		usleep(10000);
	assert_true(http_idle(http));
	for (unsigned i = 0; i < 4; i++)
		pool_free(app->pools[i]);
	http_stop(http);
	http_stop(local);
	/* No upload is left. */
	char path[64];
	snprintf(path, sizeof path, "%s/spill", directory);
	rmdir(path);
	snprintf(path, sizeof path, "%s/weir.sock", directory);
	unlink(path);
	assert_int_equal(rmdir(directory), 0);
	weir_arena_free(app->arena);
	free(app);
	return 0;
}

/* ---- a client ---- */

static int connect_tcp(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval limit = {.tv_sec = 20};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void send_all(int fd, const void *data, size_t size)
{
	for (const char *at = data; size > 0;) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return; /* the server closed: its answer says why */
		at += sent;
		size -= (size_t)sent;
	}
}

struct answer_bytes {
	struct weir_buf head, body;
	unsigned status;
	bool complete; /* the body ended as HTTP says */
	struct weir_buf trailer;
};

static void answer_done(struct answer_bytes *answer)
{
	weir_buf_done(&answer->head);
	weir_buf_done(&answer->body);
	weir_buf_done(&answer->trailer);
}

static const char *find(const struct weir_buf *buf, const char *text)
{
	return buf->size > 0 ? memmem(buf->data, buf->size, text, strlen(text)) : NULL;
}

/* Reads until the buffer holds an empty line; false at the end of the connection. */
static bool fill(int fd, struct weir_buf *in)
{
	weir_buf_reserve(in, 65536);
	ssize_t got = recv(fd, in->data + in->size, 65536, 0);
	if (got > 0)
		in->size += (size_t)got;
	return got > 0;
}

static bool need(int fd, struct weir_buf *in, size_t size)
{
	while (in->size < size) {
		if (!fill(fd, in))
			return false;
	}
	return true;
}

static bool dechunk(int fd, struct weir_buf *in, struct answer_bytes *answer)
{
	size_t at = 0;
	for (;;) {
		const char *end;
		while ((end = in->size > at ? memmem(in->data + at, in->size - at, "\r\n", 2) : NULL) == NULL) {
			if (!fill(fd, in))
				return false;
		}
		size_t size = strtoul(in->data + at, NULL, 16);
		at = (size_t)(end - in->data) + 2;
		if (size == 0) {
			while (memmem(in->data + at - 2, in->size - at + 2, "\r\n\r\n", 4) == NULL) {
				if (!fill(fd, in))
					return false;
			}
			weir_buf_append(&answer->trailer, in->data + at, in->size - at);
			return true;
		}
		if (!need(fd, in, at + size + 2))
			return false;
		weir_buf_append(&answer->body, in->data + at, size);
		at += size + 2;
		memmove(in->data, in->data + at, in->size - at);
		in->size -= at;
		at = 0;
	}
}

static struct answer_bytes read_response(int fd, bool head_only)
{
	struct answer_bytes answer = {0};
	struct weir_buf in = WEIR_BUF_INIT;
	const char *end = NULL;
	while (end == NULL || strncmp(in.data, "HTTP/1.1 100", 12) == 0) {
		if (end != NULL) {
			size_t skip = (size_t)(end - in.data) + 4;
			memmove(in.data, in.data + skip, in.size - skip);
			in.size -= skip;
			end = find(&in, "\r\n\r\n");
			if (end != NULL)
				continue;
		}
		if (!fill(fd, &in))
			break;
		end = find(&in, "\r\n\r\n");
	}
	if (end != NULL) {
		size_t size = (size_t)(end - in.data) + 4;
		weir_buf_append(&answer.head, in.data, size);
		answer.status = (unsigned)strtoul(in.data + 9, NULL, 10);
		memmove(in.data, in.data + size, in.size - size);
		in.size -= size;
		const char *length = find(&answer.head, "Content-Length: ");
		if (head_only) {
			answer.complete = true;
		} else if (length != NULL) {
			size_t wanted = strtoul(length + 16, NULL, 10);
			answer.complete = need(fd, &in, wanted);
			weir_buf_append(&answer.body, in.data, in.size < wanted ? in.size : wanted);
		} else {
			answer.complete = dechunk(fd, &in, &answer);
		}
	}
	weir_buf_done(&in);
	return answer;
}

/* One request on a connection of its own. headers: lines that end in CRLF. */
static struct answer_bytes ask(
	const char *method, const char *target, const char *headers, const void *body, size_t size)
{
	struct weir_buf request = WEIR_BUF_INIT;
	int fd = connect_tcp();
	weir_buf_printf(&request, "%s %s HTTP/1.1\r\n%s%s", method, target,
		strstr(headers, "Host:") != NULL ? "" : "Host: localhost\r\n", headers);
	if (body != NULL)
		weir_buf_printf(&request, "Content-Length: %zu\r\n", size);
	weir_buf_puts(&request, "\r\n");
	send_all(fd, request.data, request.size);
	if (body != NULL)
		send_all(fd, body, size);
	struct answer_bytes answer = read_response(fd, strcmp(method, "HEAD") == 0);
	close(fd);
	weir_buf_done(&request);
	return answer;
}

static void expect(const char *method, const char *target, const char *headers, const char *body, unsigned status,
	const char *in_body)
{
	struct answer_bytes answer = ask(method, target, headers, body, body != NULL ? strlen(body) : 0);
	if (answer.status != status)
		print_error("%s %s: %u %.*s\n", method, target, answer.status, (int)answer.body.size, answer.body.data);
	assert_int_equal(answer.status, status);
	assert_true(answer.complete);
	if (in_body[0] != '\0')
		assert_non_null(find(&answer.body, in_body));
	if (status >= 400)
		assert_non_null(find(&answer.head, "application/problem+json"));
	assert_non_null(find(&answer.head, "Cache-Control: no-store"));
	answer_done(&answer);
}

/* ---- tests ---- */

static void test_statuses(void **state)
{
	(void)state;
	expect("GET", "/hello", "", NULL, 200, "hello");
	expect("GET", "/hello?a=1", "", NULL, 200, "hello");
	expect("GET", "/hello?c=1", "", NULL, 400, "no parameter 'c'");
	expect("GET", "/hello?a=%zz", "", NULL, 400, "broken");
	expect("GET", "/worker", "", NULL, 200, "hello");
	expect("GET", "/later", "", NULL, 200, "later");
	expect("GET", "/nothing", "", NULL, 404, "openapi");
	expect("DELETE", "/hello", "", NULL, 405, "Allow");
	expect("POST", "/hello", "", "{}", 405, "Allow");
	expect("GET", "/fail", "", NULL, 400, "\"field\":\"limit\"");
	expect("GET", "/busy", "", NULL, 503, "the log is full");
	expect("GET", "/token", "", NULL, 401, "Bearer");
	expect("GET", "/token", "Authorization: Bearer weir_good\r\n", NULL, 200, "hello");
	expect("GET", "/hello", "Host: evil.example\r\n", NULL, 403, "Host");
	expect("POST", "/echo", "Origin: http://evil.example\r\n", "{}", 403, "Origin");
	expect("POST", "/echo", "", "{\"a\":1}", 200, "{\"a\":1}");
	struct answer_bytes answer = ask("GET", "/busy", "", NULL, 0);
	assert_non_null(find(&answer.head, "Retry-After: 1"));
	answer_done(&answer);
	answer = ask("GET", "/token", "Authorization: Bearer weir_bad\r\n", NULL, 0);
	assert_non_null(find(&answer.head, "WWW-Authenticate: Bearer"));
	answer_done(&answer);
	answer = ask("HEAD", "/hello", "", NULL, 0);
	assert_int_equal(answer.status, 200);
	answer_done(&answer);
}

static void test_long(void **state)
{
	(void)state;
	struct answer_bytes answer = ask("GET", "/long", "", NULL, 0);
	assert_int_equal(answer.status, 200);
	assert_true(answer.complete);
	assert_int_equal(answer.body.size, LONG_BYTES);
	for (unsigned i = 0; i < LONG_BYTES / 64; i += 997)
		assert_int_equal(strtoul(answer.body.data + i * 64, NULL, 10), i);
	assert_non_null(find(&answer.trailer, "rel=\"next\""));
	answer_done(&answer);
	/* One that breaks off must not look whole. */
	answer = ask("GET", "/broken", "", NULL, 0);
	assert_int_equal(answer.status, 200);
	assert_false(answer.complete);
	answer_done(&answer);
}

static void test_gzip(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf plain = WEIR_BUF_INIT, packed = WEIR_BUF_INIT, back = WEIR_BUF_INIT;
	(void)state;
	struct answer_bytes answer = ask("GET", "/long", "Accept-Encoding: gzip\r\n", NULL, 0);
	assert_non_null(find(&answer.head, "Content-Encoding: gzip"));
	assert_true(answer.complete && answer.body.size < LONG_BYTES / 2);
	assert_int_equal(codec_gunzip_all(answer.body.data, answer.body.size, LONG_BYTES, &back, &err), 0);
	assert_int_equal(back.size, LONG_BYTES);
	answer_done(&answer);
	for (unsigned i = 0; i < 5000; i++)
		weir_buf_printf(&plain, "line %u\n", i);
	assert_int_equal(codec_gzip_all(plain.data, plain.size, &packed, &err), 0);
	answer = ask("POST", "/echo", "Content-Encoding: gzip\r\n", packed.data, packed.size);
	assert_int_equal(answer.status, 200);
	assert_null(find(&answer.head, "Content-Encoding"));
	assert_true(weir_str_equal(weir_buf_str(&answer.body), weir_buf_str(&plain)));
	answer_done(&answer);
	expect("POST", "/echo", "Content-Encoding: gzip\r\n", "not gzip", 400, "gzip");
	expect("POST", "/echo", "Content-Encoding: br\r\n", "x", 415, "Content-Encoding");
	/* A small body that unpacks to more than the route takes. */
	plain.size = packed.size = 0;
	weir_buf_append_zero(&plain, 2 << 20);
	assert_int_equal(codec_gzip_all(plain.data, plain.size, &packed, &err), 0);
	answer = ask("POST", "/echo", "Content-Encoding: gzip\r\n", packed.data, packed.size);
	assert_int_equal(answer.status, 413);
	answer_done(&answer);
	weir_buf_done(&plain);
	weir_buf_done(&packed);
	weir_buf_done(&back);
}

static void test_uploads(void **state)
{
	(void)state;
	char *big = calloc(1, 9 << 20);
	struct answer_bytes answer = ask("POST", "/file?filename=../../run.fit", "", big, 5 << 20);
	assert_int_equal(answer.status, 200);
	assert_non_null(find(&answer.body, "run.fit 5242880 600"));
	answer_done(&answer);
	expect("POST", "/file", "Content-Type: text/csv\r\n", "a,b\r\n1,2\r\n", 200, "upload.csv 10");
	expect("POST", "/file?filename=x.json", "Content-Encoding: gzip\r\n", "packed", 200, "x.json.gz 6");
	expect("POST", "/file", "Content-Type: multipart/form-data; boundary=Q\r\n",
		"--Q\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p.gpx\"\r\n\r\n<gpx/>\r\n--Q--\r\n",
		200, "p.gpx 6 600");
	expect("POST", "/file", "Content-Type: multipart/form-data; boundary=Q\r\n", "--Q--\r\n", 400, "file");
	expect("POST", "/file", "", "what is this", 400, "filename");
	expect("POST", "/file?filename=x.json", "", "", 400, "empty");
	/* Declared too large: refused before it is sent. Not declared: refused when it is. */
	answer = ask("POST", "/file?filename=x", "", big, 9 << 20);
	assert_true(answer.status == 413 || answer.status == 0);
	answer_done(&answer);
	answer = ask("POST", "/echo", "Expect: 100-continue\r\n", big, 2 << 20);
	assert_true(answer.status == 413 || answer.status == 0);
	answer_done(&answer);
	free(big);
	int fd = connect_tcp();
	static const char head[] =
		"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2097152\r\n\r\n";
	send_all(fd, head, sizeof head - 1);
	answer = read_response(fd, false);
	assert_int_equal(answer.status, 413);
	assert_non_null(find(&answer.body, "2097152 bytes, of which this route takes at most 1048576"));
	answer_done(&answer);
	close(fd);
}

static void test_chunked_upload(void **state)
{
	struct weir_buf chunk = WEIR_BUF_INIT;
	(void)state;
	int fd = connect_tcp();
	static const char head[] = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
	send_all(fd, head, sizeof head - 1);
	weir_buf_puts(&chunk, "10000\r\n");
	weir_buf_append_zero(&chunk, 65536);
	weir_buf_puts(&chunk, "\r\n");
	for (unsigned i = 0; i < 24; i++)
		send_all(fd, chunk.data, chunk.size);
	send_all(fd, "0\r\n\r\n", 5);
	struct answer_bytes answer = read_response(fd, false);
	assert_int_equal(answer.status, 413);
	answer_done(&answer);
	close(fd);
	weir_buf_done(&chunk);
}

/* Clients that go away in the middle of anything leave nothing behind: tear_down sees that all calls ended. */
static void test_gone_clients(void **state)
{
	static const char *const requests[] = {
		"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /file?filename=x.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
		"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n",
		"GET /hello HTTP/1.1\r\nHos",
	};
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
			int fd = connect_tcp();
			send_all(fd, requests[i], strlen(requests[i]));
			if (round % 2 == 0)
				usleep(500);
			close(fd);
		}
	}
	expect("GET", "/hello", "", NULL, 200, "hello");
}

/* More than a thousand connections stay open, and each is answered again and again. */
static void test_many_connections(void **state)
{
	static const char *const requests[] = {
		"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /worker HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
	};
	struct rlimit limit;
	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	unsigned count = limit.rlim_cur > 2 * MANY + 100 ? MANY : (unsigned)limit.rlim_cur / 2 - 100;
	int *fds = calloc(count, sizeof *fds);
	print_message("%u connections\n", count);
	for (unsigned i = 0; i < count; i++)
		fds[i] = connect_tcp();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < count; i++)
			send_all(fds[i], requests[(i + round) % 3], strlen(requests[(i + round) % 3]));
		for (unsigned i = 0; i < count; i++) {
			struct answer_bytes answer = read_response(fds[i], false);
			assert_int_equal(answer.status, 200);
			assert_non_null(find(&answer.body, "hello"));
			answer_done(&answer);
		}
	}
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
}

static void test_unix_socket(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat info;
	(void)state;
	snprintf(address.sun_path, sizeof address.sun_path, "%s/weir.sock", directory);
	assert_int_equal(stat(address.sun_path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: weir\r\n\r\n";
	send_all(fd, request, sizeof request - 1);
	struct answer_bytes answer = read_response(fd, false);
	assert_int_equal(answer.status, 200);
	answer_done(&answer);
	close(fd);
}

static void test_listen(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	int first = -1, second = -1;
	uint16_t port_first = 0, port_second = 0;
	bool loopback = false;
	char url[300], again[64];
	(void)state;
	assert_int_equal(
		listen_tcp(WEIR_STR("0.0.0.0:0"), false, true, &first, &loopback, url, sizeof url, &port_first, &err),
		WEIR_E_DENIED);
	assert_int_equal(
		listen_tcp(WEIR_STR("0.0.0.0:0"), true, true, &first, &loopback, url, sizeof url, &port_first, &err),
		0);
	assert_false(loopback);
	close(first);
	assert_int_equal(
		listen_tcp(WEIR_STR("nonsense"), true, true, &first, &loopback, url, sizeof url, &port_first, &err),
		WEIR_E_INPUT);
	assert_int_equal(
		listen_tcp(WEIR_STR("127.0.0.1:0"), false, true, &first, &loopback, url, sizeof url, &port_first, &err),
		0);
	/* Taken: the next free one; or said so. */
	int size = snprintf(again, sizeof again, "127.0.0.1:%u", (unsigned)port_first);
	struct weir_str taken = {again, (size_t)size};
	assert_int_equal(
		listen_tcp(taken, false, true, &second, &loopback, url, sizeof url, &port_second, &err), WEIR_E_EXISTS);
	assert_int_equal(listen_tcp(taken, false, false, &second, &loopback, url, sizeof url, &port_second, &err), 0);
	assert_true(port_second > port_first && port_second < port_first + SERVE_PORTS);
	close(first);
	close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_chunked_upload),
		cmocka_unit_test(test_gone_clients),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_listen),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
