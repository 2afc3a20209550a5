/*
 * A load of HTTP requests at a fixed rate over many keep-alive connections, for bench/run.
 *
 * In: lines "CLASS ACCEPT TARGET" on stdin (CLASS is 0 to 7); the token in WEIR_TOKEN. Request i is due i/RATE seconds after the
 * start whatever became of those before it, and its latency counts from then: a server that stalls is charged for
 * all that had to wait. Connections are used in turn, so all of them stay alive. Out: one JSON object on stdout.
 *
 * One thread, one epoll. A connection is idle (in the ring) or has exactly one request under way.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define CLASSES         8
#define CONNECTIONS_MAX 10000
#define HEAD_BYTES      8192
#define OUT_BYTES       4096
#define READ_BYTES      (256 * 1024)
#define GRACE_US        30000000 /* after the last request is due; what is not answered then is an error */

struct request {
	unsigned class;
	char *accept, *target;
};

enum body { BODY_SIZED, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

struct connection {
	int fd;
	bool busy, has_head;
	const struct request *request;
	int64_t due_us;
	char out[OUT_BYTES];
	size_t out_size, out_at;
	char head[HEAD_BYTES];
	size_t head_size;
	int status;
	enum body body;
	uint64_t left;    /* bytes of the body, or of the chunk */
	size_t line_size; /* of the chunk's size, or of a trailer line */
};

struct class
{
	uint32_t *latencies_us;
	size_t count, capacity;
	uint64_t bytes, errors;
};

struct load {
	struct sockaddr_in address;
	const char *token;
	struct connection *connections;
	unsigned connection_count;
	unsigned *idle; /* a ring */
	unsigned idle_first, idle_count;
	struct request *requests;
	size_t request_count, request_capacity, next, finished;
	struct class classes[CLASSES];
	double rate;
	int64_t start_us;
	int epoll;
	char *buffer;
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void read_requests(struct load *load)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t size;
	while ((size = getline(&line, &capacity, stdin)) > 0) {
		struct request request = {0};
		char accept[128], target[2048];
		if (sscanf(line, "%u %127s %2047s", &request.class, accept, target) != 3 || request.class >= CLASSES) {
			fprintf(stderr, "query_load: a line is CLASS ACCEPT TARGET, not: %s", line);
			exit(2);
		}
		request.accept = strdup(accept);
		request.target = strdup(target);
		load->requests =
			load_grow(load->requests, load->request_count, &load->request_capacity, sizeof request);
		load->requests[load->request_count++] = request;
	}
	free(line);
}

/* ---- connections ---- */

static void open_connection(struct load *load, struct connection *connection)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&load->address, sizeof load->address) != 0)
		load_die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	connection->fd = fd;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		load_die("epoll_ctl");
}

static void make_idle(struct load *load, struct connection *connection)
{
	unsigned at = (load->idle_first + load->idle_count++) % load->connection_count;
	connection->busy = false;
	load->idle[at] = (unsigned)(connection - load->connections);
}

static void finish(struct load *load, struct connection *connection, bool good)
{
	struct class *class = &load->classes[connection->request->class];
	if (good) {
		class->latencies_us =
			load_grow(class->latencies_us, class->count, &class->capacity, sizeof *class->latencies_us);
		class->latencies_us[class->count++] = (uint32_t)(now_us() - connection->due_us);
	} else {
		class->errors++;
	}
	load->finished++;
	make_idle(load, connection);
}

/* The server closed or broke it: an error where a request was under way; a new one takes its place. */
static void reopen(struct load *load, struct connection *connection)
{
	close(connection->fd);
	if (connection->busy)
		finish(load, connection, false);
	open_connection(load, connection);
}

static void watch(struct load *load, struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};
	epoll_ctl(load->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

static void send_more(struct load *load, struct connection *connection)
{
	while (connection->out_at < connection->out_size) {
		ssize_t sent = send(connection->fd, connection->out + connection->out_at,
			connection->out_size - connection->out_at, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			watch(load, connection, EPOLLIN | EPOLLOUT);
			return;
		}
		if (sent < 0) {
			reopen(load, connection);
			return;
		}
		connection->out_at += (size_t)sent;
		if (connection->out_at == connection->out_size)
			watch(load, connection, EPOLLIN);
	}
}

static void dispatch_due(struct load *load, int64_t now)
{
	while (load->next < load->request_count && load->idle_count > 0) {
		int64_t due_us = load->start_us + (int64_t)((double)load->next * 1e6 / load->rate);
		if (due_us > now)
			return;
		struct connection *connection = &load->connections[load->idle[load->idle_first]];
		const struct request *request = &load->requests[load->next++];
		load->idle_first = (load->idle_first + 1) % load->connection_count;
		load->idle_count--;
		connection->busy = true;
		connection->has_head = false;
		connection->head_size = 0;
		connection->request = request;
		connection->due_us = due_us;
		connection->out_at = 0;
		connection->out_size = (size_t)snprintf(connection->out, sizeof connection->out,
			"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: %s\r\nAuthorization: Bearer %s\r\n\r\n",
			request->target, ntohs(load->address.sin_port), request->accept, load->token);
		send_more(load, connection);
	}
}

/* ---- answers ---- */

static const char *header_value(const char *head, const char *name)
{
	size_t size = strlen(name);
	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':')
			return line + 3 + size + strspn(line + 3 + size, " ");
	return NULL;
}

/* Takes bytes up to the head's end; returns how many. */
static size_t take_head(struct connection *connection, const char *data, size_t size)
{
	size_t before = connection->head_size, room = HEAD_BYTES - 1 - before;
	size_t copied = size < room ? size : room;
	memcpy(connection->head + before, data, copied);
	connection->head_size += copied;
	connection->head[connection->head_size] = '\0';
	char *end = strstr(connection->head, "\r\n\r\n");
	if (end == NULL)
		return copied;
	end[2] = '\0';
	connection->has_head = true;
	connection->status = atoi(connection->head + strcspn(connection->head, " "));
	const char *length = header_value(connection->head, "Content-Length");
	connection->body = length != NULL ? BODY_SIZED : CHUNK_SIZE;
	connection->left = length != NULL ? strtoull(length, NULL, 10) : 0;
	connection->line_size = 0;
	return (size_t)(end + 4 - connection->head) - before;
}

static unsigned hex_digit(char c)
{
	return c >= '0' && c <= '9'    ? (unsigned)(c - '0')
		: c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
				       : (unsigned)(c - 'A') + 10;
}

/* One byte of a chunk's frame; true at the body's end. */
static bool take_frame(struct connection *connection, char c)
{
	if (c == '\r')
		return false;
	if (c != '\n') {
		if (connection->body == CHUNK_SIZE)
			connection->left = connection->left * 16 + hex_digit(c);
		connection->line_size++;
		return false;
	}
	bool empty = connection->line_size == 0;
	connection->line_size = 0;
	if (connection->body == CHUNK_SIZE)
		connection->body = connection->left > 0 ? CHUNK_DATA : TRAILER;
	else if (connection->body == CHUNK_END)
		connection->body = CHUNK_SIZE;
	else
		return empty;
	return false;
}

/* True when the answer is complete. */
static bool take(struct load *load, struct connection *connection, const char *data, size_t size)
{
	while (size > 0 || (connection->has_head && connection->body == BODY_SIZED && connection->left == 0)) {
		size_t step = 1;
		if (!connection->has_head) {
			step = take_head(connection, data, size);
			if (step == 0)
				return false;
		} else if (connection->body == BODY_SIZED || connection->body == CHUNK_DATA) {
			step = connection->left < size ? (size_t)connection->left : size;
			connection->left -= step;
			load->classes[connection->request->class].bytes += step;
			if (connection->left == 0 && connection->body == BODY_SIZED)
				return true;
			if (connection->left == 0)
				connection->body = CHUNK_END;
		} else if (take_frame(connection, *data)) {
			return true;
		}
		data += step;
		size -= step;
	}
	return false;
}

static void receive(struct load *load, struct connection *connection)
{
	for (;;) {
		ssize_t got = recv(connection->fd, load->buffer, READ_BYTES, 0);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0 || !connection->busy) {
			reopen(load, connection);
			return;
		}
		if (take(load, connection, load->buffer, (size_t)got)) {
			finish(load, connection, connection->status == 200);
			return;
		}
		if (!connection->has_head && connection->head_size == HEAD_BYTES - 1) {
			reopen(load, connection);
			return;
		}
	}
}

/* Until the next request is due, but at most a tenth of a second. */
static int64_t until_us(const struct load *load, int64_t now)
{
	int64_t left_us = load->start_us + (int64_t)((double)load->next * 1e6 / load->rate) - now;
	return left_us < 0 ? 0 : left_us < 100000 ? left_us : 100000;
}

static void run(struct load *load)
{
	struct epoll_event events[256];
	int64_t end_us = (int64_t)((double)load->request_count * 1e6 / load->rate) + GRACE_US;
	load->start_us = now_us() + 100000;
	while (load->finished < load->request_count && now_us() < load->start_us + end_us) {
		int64_t now = now_us(), wait_us = 100000;
		dispatch_due(load, now);
		if (load->next < load->request_count && load->idle_count > 0)
			wait_us = until_us(load, now);
		struct timespec wait = {.tv_nsec = wait_us * 1000};
		int count = epoll_pwait2(load->epoll, events, 256, &wait, NULL);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if ((events[i].events & EPOLLOUT) != 0)
				send_more(load, connection);
			if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
				receive(load, connection);
		}
	}
}

/* ---- the answer ---- */

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

static double percentile_ms(const struct class *class, double share)
{
	return class->count == 0 ? 0 : class->latencies_us[(size_t)(share * (double)(class->count - 1))] / 1000.0;
}

static void report(struct load *load)
{
	printf("{\"requests\":%zu,\"finished\":%zu,\"classes\":[", load->request_count, load->finished);
	for (size_t i = 0; i < load->connection_count; i++)
		if (load->connections[i].busy) /* never answered */
			load->classes[load->connections[i].request->class].errors++;
	for (size_t i = load->next; i < load->request_count; i++) /* never sent */
		load->classes[load->requests[i].class].errors++;
	for (unsigned i = 0; i < CLASSES; i++) {
		struct class *class = &load->classes[i];
		if (class->count > 0)
			qsort(class->latencies_us, class->count, sizeof *class->latencies_us, compare);
		printf("%s{\"count\":%zu,\"errors\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}",
			i > 0 ? "," : "", class->count, class->errors, class->bytes, percentile_ms(class, 0.5),
			percentile_ms(class, 0.95), percentile_ms(class, 0.99), percentile_ms(class, 1));
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct load load = {0};
	struct rlimit files;
	long connections = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
	load.token = getenv("WEIR_TOKEN");
	load.rate = argc == 4 ? strtod(argv[3], NULL) : 0;
	if (connections < 1 || connections > CONNECTIONS_MAX || !(load.rate > 0) || load.token == NULL) {
		fprintf(stderr, "usage: WEIR_TOKEN=... query_load PORT CONNECTIONS REQUESTS_A_SECOND < requests\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	load.address = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	load.connection_count = (unsigned)connections;
	load.connections = calloc(load.connection_count, sizeof *load.connections);
	load.idle = calloc(load.connection_count, sizeof *load.idle);
	load.buffer = malloc(READ_BYTES);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load.connections == NULL || load.idle == NULL || load.buffer == NULL || load.epoll < 0)
		load_die("start");
	read_requests(&load);
	for (unsigned i = 0; i < load.connection_count; i++) {
		open_connection(&load, &load.connections[i]);
		make_idle(&load, &load.connections[i]);
	}
	run(&load);
	report(&load);
	return 0;
}
