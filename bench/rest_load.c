/*
 * A client of Iceberg REST catalogs, for bench/run: requests one after the other on each of some keep-alive connections.
 *
 *   rest_load load PORT PATH CONNECTIONS SECONDS     GET of PATH
 *   rest_load commit PORT PATH CONNECTIONS COMMITS   POST to PATH0, PATH1 ...: connection n appends COMMITS snapshots to its own
 *                                                    table, each of which requires that the one before it is current
 *
 * Prints answers a second, the median and the 99th percentile of milliseconds, answers, and bytes of the last one. An answer
 * other than 200 ends it with exit 1. A thread a connection; the server is on 127.0.0.1.
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define CONNECTIONS_MAX 64
#define BUFFER_BYTES    (1 << 20)
#define BODY_BYTES      4096

struct client {
	pthread_t thread;
	unsigned number, port, commits;
	const char *path;
	bool is_commit;
	double until;
	int fd;
	char *buffer; /* what came and was not taken yet */
	size_t size, at;
	double *took;
	size_t count, capacity;
	uint64_t body_bytes;
};

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static void open_connection(struct client *client)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client->port)};
	int one = 1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
		load_die("connect");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	client->buffer = malloc(BUFFER_BYTES);
	if (client->buffer == NULL)
		load_die("memory");
}

/* ---- answers ---- */

/* More bytes behind those that are there; what was taken goes. */
static void fill(struct client *client)
{
	if (client->at > 0) {
		memmove(client->buffer, client->buffer + client->at, client->size - client->at);
		client->size -= client->at;
		client->at = 0;
	}
	if (client->size == BUFFER_BYTES)
		load_die("an answer's head is too long");
	ssize_t got = recv(client->fd, client->buffer + client->size, BUFFER_BYTES - client->size, 0);
	if (got <= 0)
		load_die("the server closed the connection");
	client->size += (size_t)got;
}

/* A line without its end; it stays until the next fill. */
static char *take_line(struct client *client)
{
	for (size_t from = client->at;;) {
		char *end = memchr(client->buffer + from, '\n', client->size - from);
		if (end == NULL) {
			size_t seen = client->size - client->at;
			fill(client);
			from = client->at + seen;
			continue;
		}
		char *line = client->buffer + client->at;
		client->at = (size_t)(end - client->buffer) + 1;
		*end = '\0';
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		return line;
	}
}

/* Takes that many bytes; the first of them go to start. */
static void take_bytes(struct client *client, uint64_t count, char *start, size_t *start_size, size_t start_most)
{
	client->body_bytes += count;
	while (count > 0) {
		if (client->at == client->size)
			fill(client);
		size_t some = client->size - client->at;
		some = some < count ? some : (size_t)count;
		size_t kept = start_most - *start_size < some ? start_most - *start_size : some;
		memcpy(start + *start_size, client->buffer + client->at, kept);
		*start_size += kept;
		client->at += some;
		count -= some;
	}
}

static void take_answer(struct client *client)
{
	char start[600];
	size_t start_size = 0;
	uint64_t length = 0;
	bool chunked = false;
	int status = 0;
	client->body_bytes = 0;
	if (sscanf(take_line(client), "HTTP/1.%*d %d", &status) != 1)
		load_die("an answer is not HTTP");
	for (char *line = take_line(client); *line != '\0'; line = take_line(client)) {
		if (strncasecmp(line, "content-length:", 15) == 0)
			length = strtoull(line + 15, NULL, 10);
		if (strncasecmp(line, "transfer-encoding:", 18) == 0)
			chunked = strstr(line, "chunked") != NULL;
	}
	if (!chunked)
		take_bytes(client, length, start, &start_size, sizeof start - 1);
	while (chunked) {
		length = strtoull(take_line(client), NULL, 16);
		take_bytes(client, length, start, &start_size, sizeof start - 1);
		take_line(client);
		chunked = length > 0;
	}
	if (status != 200) {
		start[start_size] = '\0';
		fprintf(stderr, "rest_load: the answer is %d: %s\n", status, start);
		exit(1);
	}
}

/* ---- requests ---- */

static size_t write_get(const struct client *client, char *out, size_t capacity)
{
	return (size_t)snprintf(out, capacity,
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: application/json\r\n\r\n", client->path,
		client->port);
}

/* Snapshot n (from 1) on top of n - 1, as an append's commit says it. */
static size_t write_commit(const struct client *client, unsigned n, char *out, size_t capacity)
{
	char body[BODY_BYTES], before[16] = "null", parent[48] = "";
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	int64_t ms = (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
	if (n > 1) {
		snprintf(before, sizeof before, "%u", n - 1);
		snprintf(parent, sizeof parent, "\"parent-snapshot-id\":%u,", n - 1);
	}
	int size = snprintf(body, sizeof body,
		"{\"requirements\":[{\"type\":\"assert-ref-snapshot-id\",\"ref\":\"main\",\"snapshot-id\":%s}],"
		"\"updates\":["
		"{\"action\":\"add-snapshot\",\"snapshot\":{\"snapshot-id\":%u,%s\"sequence-number\":%u,\"timestamp-"
		"ms\":"
		"%" PRId64
		",\"manifest-list\":\"file:///tmp/bench/metadata/snap-%u-%u.avro\",\"schema-id\":0,\"summary\":{"
		"\"operation\":\"append\",\"added-data-files\":\"1\",\"added-records\":\"1000\",\"added-files-size\":"
		"\"100000\",\"total-data-files\":\"%u\",\"total-records\":\"%u000\"}}},{\"action\":\"set-snapshot-"
		"ref\","
		"\"ref-name\":\"main\",\"type\":\"branch\",\"snapshot-id\":%u}]}",
		before, n, parent, n, ms, client->number, n, n, n, n);
	return (size_t)snprintf(out, capacity,
		"POST %s%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: application/json\r\nContent-Length: "
		"%d\r\n\r\n%s",
		client->path, client->number, client->port, size, body);
}

static void *run_client(void *context)
{
	struct client *client = context;
	char out[2 * BODY_BYTES];
	open_connection(client);
	for (unsigned n = 1; client->is_commit ? n <= client->commits : now() < client->until; n++) {
		size_t size = client->is_commit ? write_commit(client, n, out, sizeof out)
						: write_get(client, out, sizeof out);
		double start = now();
		for (size_t at = 0; at < size;) {
			ssize_t sent = send(client->fd, out + at, size - at, MSG_NOSIGNAL);
			if (sent <= 0)
				load_die("send");
			at += (size_t)sent;
		}
		take_answer(client);
		client->took = load_grow(client->took, client->count, &client->capacity, sizeof *client->took);
		client->took[client->count++] = now() - start;
	}
	close(client->fd);
	free(client->buffer);
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

int main(int count, char **texts)
{
	static struct client clients[CONNECTIONS_MAX];
	unsigned connections = count == 6 ? (unsigned)atoi(texts[4]) : 0;
	size_t all = 0;
	if (connections == 0 || connections > CONNECTIONS_MAX) {
		fprintf(stderr,
			"usage: rest_load load PORT PATH CONNECTIONS SECONDS | commit PORT PATH CONNECTIONS COMMITS\n");
		return 2;
	}
	double start = now();
	for (unsigned i = 0; i < connections; i++) {
		clients[i] = (struct client){.number = i,
			.port = (unsigned)atoi(texts[2]),
			.path = texts[3],
			.is_commit = strcmp(texts[1], "commit") == 0,
			.commits = (unsigned)atoi(texts[5]),
			.until = start + atof(texts[5]) * 1e3};
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0)
			load_die("thread");
	}
	for (unsigned i = 0; i < connections; i++) {
		pthread_join(clients[i].thread, NULL);
		all += clients[i].count;
	}
	double seconds = (now() - start) / 1e3, *took = malloc((all + 1) * sizeof *took);
	if (took == NULL)
		load_die("memory");
	for (unsigned i = 0, at = 0; i < connections; at += (unsigned)clients[i].count, i++)
		memcpy(took + at, clients[i].took, clients[i].count * sizeof *took);
	qsort(took, all, sizeof *took, by_value);
	printf("%.1f %.4f %.4f %zu %llu\n", (double)all / seconds, took[all / 2], took[all * 99 / 100], all,
		(unsigned long long)clients[0].body_bytes);
	return 0;
}
