/*
 * Calls over libmicrohttpd: one daemon a listening socket, one epoll thread a daemon, connections that
 * are kept alive and suspended while somebody else works for them.
 *
 * The life of an exchange (one request on a connection), in states that only move forward:
 *   RECEIVING  its body comes in                                     epoll thread
 *   RUNNING    the handler has it: a worker, or the log's thread     connection suspended
 *   ANSWERING  bytes or the end are there; the connection is resumed and the epoll thread sends
 *   ENDED      the handler is done
 * `pending` is the bounded buffer between handler and epoll thread. When it is empty and the handler has not
 * ended, the epoll thread suspends the connection; push and finish resume it. Two references: the
 * connection's (dropped when libmicrohttpd says completed) and the handler's (dropped by finish).
 */
#include "serve/serve_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum exchange_state { EXCHANGE_RECEIVING, EXCHANGE_RUNNING, EXCHANGE_ANSWERING, EXCHANGE_ENDED };

struct http {
	struct serve_app *app;
	struct MHD_Daemon *daemon;
	enum serve_door door;
	int quiesced_fd;
	pthread_mutex_t lock;   /* of the list */
	struct exchange *first; /* exchanges whose handler runs */
};

struct exchange {
	struct serve_call call;
	struct http *http;
	struct weir_arena *arena;
	struct upload *upload;
	struct exchange *next, *previous; /* http's list */
	bool listed;
	bool refused; /* the answer was made without the handler */

	pthread_mutex_t lock;
	pthread_cond_t room;
	unsigned references;
	enum exchange_state state;
	struct MHD_Connection *connection; /* NULL: gone */
	struct MHD_Response *response;     /* of a streamed answer, while it is sent */
	bool suspended, cancelled, complete, trailer_done;
	struct weir_buf pending;
	size_t sent; /* of pending */
};

/* ---- references and the list ---- */

static void exchange_unref(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	unsigned left = --exchange->references;
	pthread_mutex_unlock(&exchange->lock);
	if (left > 0)
		return;
	upload_free(exchange->upload);
	call_done(&exchange->call);
	weir_buf_done(&exchange->pending);
	pthread_mutex_destroy(&exchange->lock);
	pthread_cond_destroy(&exchange->room);
	weir_arena_free(exchange->arena);
	free(exchange);
}

static void list_add(struct exchange *exchange)
{
	struct http *http = exchange->http;
	pthread_mutex_lock(&http->lock);
	exchange->next = http->first;
	if (http->first != NULL)
		http->first->previous = exchange;
	http->first = exchange;
	exchange->listed = true;
	pthread_mutex_unlock(&http->lock);
}

static void list_remove(struct exchange *exchange)
{
	struct http *http = exchange->http;
	pthread_mutex_lock(&http->lock);
	if (exchange->listed) {
		if (exchange->previous != NULL)
			exchange->previous->next = exchange->next;
		else
			http->first = exchange->next;
		if (exchange->next != NULL)
			exchange->next->previous = exchange->previous;
		exchange->listed = false;
	}
	pthread_mutex_unlock(&http->lock);
}

/* Under the exchange's lock. */
static void resume(struct exchange *exchange)
{
	if (exchange->suspended && exchange->connection != NULL) {
		exchange->suspended = false;
		MHD_resume_connection(exchange->connection);
	}
}

/* Under the exchange's lock, on the epoll thread. */
static void suspend(struct exchange *exchange)
{
	exchange->suspended = true;
	MHD_suspend_connection(exchange->connection);
}

/* ---- the handler's side ---- */

static int exchange_push(struct serve_call *call, struct weir_str bytes, struct weir_error *err)
{
	struct exchange *exchange = call->transport.self;
	int rc = 0;
	pthread_mutex_lock(&exchange->lock);
	/* A whole answer goes in whatever its size: nobody waits for room while nothing can be sent yet. */
	while (!call->whole && exchange->pending.size - exchange->sent >= SERVE_SLICE_BYTES && !exchange->cancelled &&
		rc == 0) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += SERVE_ROOM_SECONDS;
		size_t before = exchange->sent;
		if (pthread_cond_timedwait(&exchange->room, &exchange->lock, &until) == ETIMEDOUT &&
			exchange->sent == before)
			rc = weir_fail(err, WEIR_E_CANCELLED, "the client took nothing for %d s", SERVE_ROOM_SECONDS);
	}
	if (rc == 0 && exchange->cancelled)
		rc = weir_fail(err, WEIR_E_CANCELLED, "the client went away");
	if (rc == 0) {
		if (exchange->sent > 0 && exchange->sent == exchange->pending.size)
			exchange->pending.size = exchange->sent = 0;
		weir_buf_append(&exchange->pending, bytes.data, bytes.size);
		if (!call->whole) {
			exchange->state = EXCHANGE_ANSWERING;
			resume(exchange);
		}
	}
	pthread_mutex_unlock(&exchange->lock);
	return rc;
}

static void exchange_finish(struct serve_call *call, bool complete)
{
	struct exchange *exchange = call->transport.self;
	list_remove(exchange);
	pthread_mutex_lock(&exchange->lock);
	exchange->complete = complete;
	exchange->state = EXCHANGE_ENDED;
	resume(exchange);
	pthread_mutex_unlock(&exchange->lock);
	exchange_unref(exchange);
}

/* ---- the epoll thread's side: answers ---- */

static ssize_t read_answer(void *context, uint64_t position, char *buffer, size_t capacity)
{
	struct exchange *exchange = context;
	(void)position;
	ssize_t result = 0;
	pthread_mutex_lock(&exchange->lock);
	size_t left = exchange->pending.size - exchange->sent;
	if (left > 0) {
		size_t size = left < capacity ? left : capacity;
		memcpy(buffer, exchange->pending.data + exchange->sent, size);
		exchange->sent += size;
		if (exchange->sent == exchange->pending.size)
			exchange->sent = exchange->pending.size = 0;
		pthread_cond_signal(&exchange->room);
		result = (ssize_t)size;
	} else if (exchange->state != EXCHANGE_ENDED) {
		suspend(exchange);
	} else if (exchange->complete) {
		if (exchange->call.next_link.size > 0 && !exchange->trailer_done) {
			exchange->trailer_done = true;
			char *link = weir_arena_cstr(exchange->arena, exchange->call.next_link);
			MHD_add_response_footer(exchange->response, "Link", link);
		}
		result = MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		result = MHD_CONTENT_READER_END_WITH_ERROR;
	}
	pthread_mutex_unlock(&exchange->lock);
	return result;
}

static void add_headers(const struct serve_call *call, struct MHD_Response *response)
{
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	bool cached = false;
	for (uint32_t i = 0; i < call->header_count; i++) {
		MHD_add_response_header(response, call->headers[i].key.data, call->headers[i].value.data);
		cached = cached || weir_str_is(call->headers[i].key, "Cache-Control");
	}
	if (!cached)
		MHD_add_response_header(response, "Cache-Control", "no-store");
	if (call->reply_type != NULL)
		MHD_add_response_header(response, "Content-Type", call->reply_type);
}

/* The answer is there (ended), or has begun. Not under the exchange's lock, because libmicrohttpd calls read_answer
 * under a lock of its own: what is read here is fixed since the state moved on. */
static enum MHD_Result send_answer(struct exchange *exchange, bool ended)
{
	struct serve_call *call = &exchange->call;
	struct MHD_Response *response;
	if (ended && !exchange->complete)
		return MHD_NO;
	if (ended && call->whole) {
		response = MHD_create_response_from_buffer(
			exchange->pending.size, exchange->pending.data, MHD_RESPMEM_MUST_COPY);
		if (call->next_link.size > 0)
			MHD_add_response_header(response, "Link", weir_arena_cstr(exchange->arena, call->next_link));
		exchange->pending.size = 0;
	} else {
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, SERVE_SLICE_BYTES / 4, read_answer, exchange, NULL);
		if (call->route != NULL && call->route->run == SERVE_QUERY)
			MHD_add_response_header(response, "Trailer", "Link");
		exchange->response = response;
	}
	if (response == NULL)
		return MHD_NO;
	add_headers(call, response);
	enum MHD_Result queued = MHD_queue_response(exchange->connection, call->status, response);
	MHD_destroy_response(response);
	return queued;
}

/* Sends what is there, or waits for it. */
static enum MHD_Result continue_answer(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	if (state == EXCHANGE_RUNNING)
		suspend(exchange);
	pthread_mutex_unlock(&exchange->lock);
	return state == EXCHANGE_RUNNING ? MHD_YES : send_answer(exchange, state == EXCHANGE_ENDED);
}

/* A refusal that is in call->out already: the handler never runs. */
static enum MHD_Result send_refusal(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	exchange->references++;
	exchange->state = EXCHANGE_RUNNING;
	pthread_mutex_unlock(&exchange->lock);
	exchange->refused = true;
	call_finish(&exchange->call, 0, NULL);
	return send_answer(exchange, true);
}

/* ---- the epoll thread's side: requests ---- */

static struct weir_str header(struct exchange *exchange, const char *name)
{
	const char *value = MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
	return weir_str_from(weir_arena_cstr(exchange->arena, weir_str_from(value)));
}

static struct weir_str client_address(struct exchange *exchange)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char text[INET6_ADDRSTRLEN] = "local";
	if (info != NULL && info->client_addr != NULL) {
		struct sockaddr_storage address = {0};
		if (info->client_addr->sa_family == AF_INET) {
			memcpy(&address, info->client_addr, sizeof(struct sockaddr_in));
			inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, text, sizeof text);
		} else if (info->client_addr->sa_family == AF_INET6) {
			memcpy(&address, info->client_addr, sizeof(struct sockaddr_in6));
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, sizeof text);
		}
	}
	return weir_str_from(weir_arena_cstr(exchange->arena, weir_str_from(text)));
}

/* The request line as it came: path and query, still encoded. Becomes the connection's context until the exchange is
 * made. */
static void *note_target(void *context, const char *target, struct MHD_Connection *connection)
{
	struct http *http = context;
	(void)connection;
	struct weir_arena *arena = weir_arena_new(8 << 10);
	struct exchange *exchange = weir_zalloc(sizeof *exchange);
	pthread_condattr_t attributes;
	exchange->http = http;
	exchange->arena = arena;
	exchange->references = 1;
	pthread_mutex_init(&exchange->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&exchange->room, &attributes);
	pthread_condattr_destroy(&attributes);
	call_init(&exchange->call, http->app, arena);
	exchange->call.transport = (struct serve_transport){exchange_push, exchange_finish, exchange};
	exchange->call.path = weir_str_from(weir_arena_cstr(arena, weir_str_from(target)));
	return exchange;
}

static bool refuse(struct exchange *exchange, unsigned status, const char *detail)
{
	problem_reply(&exchange->call, &(struct problem){.status = status, .detail = detail});
	return false;
}

/* Everything that the request line and the headers decide. False: refused, the answer is in call->out. */
static bool begin_request(struct exchange *exchange, const char *method)
{
	struct serve_call *call = &exchange->call;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str target = call->path;
	const char *question = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
	call->method = weir_str_from(weir_arena_cstr(exchange->arena, weir_str_from(method)));
	call->source = client_address(exchange);
	if (question != NULL)
		call->path.size = (size_t)(question - target.data);
	call->content_type = header(exchange, "Content-Type");
	call->content_encoding = header(exchange, "Content-Encoding");
	call->accept = header(exchange, "Accept");
	call->accept_encoding = header(exchange, "Accept-Encoding");
	call->if_match = header(exchange, "If-Match");
	call->if_none_match = header(exchange, "If-None-Match");
	call->delegation = header(exchange, "X-Iceberg-Access-Delegation");
	struct weir_str query = {0};
	if (question != NULL)
		query = (struct weir_str){question + 1, target.size - call->path.size - 1};
	if (url_query(exchange->arena, query, call->parameters, &call->parameter_count, &err) < 0)
		return refuse(exchange, 400, err.message);
	unsigned status = router_match(&call->app->router, call);
	if (status != 200)
		return refuse(exchange, status,
			status == 404 ? "there is no such route; GET /openapi.json names all"
				      : "this route has other methods, see Allow");
	/* Not copied into the arena: a token lives no longer than it must. */
	struct MHD_Connection *connection = exchange->connection;
	struct admit_headers headers = {
		.host = weir_str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")),
		.origin = weir_str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin")),
		.authorization =
			weir_str_from(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization")),
	};
	if (!admit(call, exchange->http->door, &headers))
		return false;
	struct weir_str length = header(exchange, "Content-Length");
	uint64_t size = 0;
	if (call->route->body != SERVE_NO_BODY && weir_str_to_u64(length, &size) && size > call->route->body_bytes)
		return refuse(exchange, 413,
			weir_arena_printf(exchange->arena,
				"the body has %llu bytes, of which this route takes at most %llu; send it in parts",
				(unsigned long long)size, (unsigned long long)call->route->body_bytes));
	if (call->route->body != SERVE_NO_BODY && upload_new(call, &exchange->upload, &err) < 0) {
		problem_reply_error(call, &err);
		return false;
	}
	return true;
}

/* A refused request with a small body is read to its end, so that the connection lives on; else it is answered at once
 * and closed. */
static bool drains(struct exchange *exchange)
{
	struct weir_str length = header(exchange, "Content-Length");
	struct weir_str coding = header(exchange, "Transfer-Encoding");
	uint64_t size = 0;
	return coding.size == 0 && (length.size == 0 || (weir_str_to_u64(length, &size) && size <= SERVE_DRAIN_BYTES));
}

/* The body comes too slowly to be anything but a client that holds a connection open. */
static bool too_slow(const struct exchange *exchange)
{
	struct weir_clock clock = weir_clock_system();
	int64_t seconds = (weir_steady_us(&clock) - exchange->call.start_us) / WEIR_US_PER_SECOND;
	return seconds > SERVE_SLOW_SECONDS && exchange->call.body_size < (uint64_t)seconds * SERVE_SLOW_RATE;
}

static enum MHD_Result receive(struct exchange *exchange, const char *data, size_t size)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct serve_call *call = &exchange->call;
	call->body_size += size;
	if (too_slow(exchange))
		return MHD_NO;
	if (exchange->refused)
		return call->body_size <= SERVE_BATCH_BYTES ? MHD_YES : MHD_NO;
	if (exchange->upload == NULL)
		return call->body_size <= SERVE_DRAIN_BYTES ? MHD_YES : MHD_NO;
	if (upload_feed(exchange->upload, data, size, &err) < 0) {
		/* Kept until the body has come: libmicrohttpd cannot answer in the middle of one. */
		problem_reply_error(call, &err);
		exchange->refused = true;
		upload_free(exchange->upload);
		exchange->upload = NULL;
	}
	return MHD_YES;
}

/* The whole request is there. */
static enum MHD_Result start_handler(struct exchange *exchange)
{
	struct serve_call *call = &exchange->call;
	struct serve_app *app = call->app;
	struct weir_error err = WEIR_ERROR_INIT;
	if (exchange->refused)
		return send_refusal(exchange);
	if (exchange->upload != NULL && upload_end(exchange->upload, &err) < 0) {
		problem_reply_error(call, &err);
		return send_refusal(exchange);
	}
	if (__atomic_load_n(&app->stopping, __ATOMIC_ACQUIRE)) {
		problem_reply(call, &(struct problem){.status = 503, .detail = "the server is stopping"});
		return send_refusal(exchange);
	}
	enum serve_run run = call->route->run;
	if (run == SERVE_INLINE && call->body.size > SERVE_INLINE_BYTES)
		run = SERVE_LONG;
	pthread_mutex_lock(&exchange->lock);
	exchange->references++;
	exchange->state = EXCHANGE_RUNNING;
	if (run != SERVE_INLINE)
		suspend(exchange);
	pthread_mutex_unlock(&exchange->lock);
	list_add(exchange);
	if (run != SERVE_INLINE) {
		if (!pool_submit(app->pools[run], call)) {
			problem_reply(
				call, &(struct problem){.status = 503, .detail = "too many requests wait; try again"});
			call_finish(call, 0, NULL);
		}
		return MHD_YES;
	}
	call_run(call);
	return continue_answer(exchange);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *size, void **state)
{
	struct exchange *exchange = *state;
	(void)context;
	(void)url;
	(void)version;
	if (exchange == NULL)
		return MHD_NO;
	if (exchange->connection == NULL) {
		exchange->connection = connection;
		if (begin_request(exchange, method))
			return MHD_YES;
		exchange->refused = true;
		return drains(exchange) ? MHD_YES : send_refusal(exchange);
	}
	if (*size > 0) {
		enum MHD_Result result = receive(exchange, data, *size);
		*size = 0;
		return result;
	}
	pthread_mutex_lock(&exchange->lock);
	bool receiving = exchange->state == EXCHANGE_RECEIVING;
	pthread_mutex_unlock(&exchange->lock);
	return receiving ? start_handler(exchange) : continue_answer(exchange);
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
	struct exchange *exchange = *state;
	(void)context;
	(void)connection;
	(void)why;
	*state = NULL;
	if (exchange == NULL)
		return;
	pthread_mutex_lock(&exchange->lock);
	exchange->connection = NULL;
	exchange->cancelled = true;
	pthread_cond_broadcast(&exchange->room);
	pthread_mutex_unlock(&exchange->lock);
	exchange_unref(exchange);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct http *http = context;
	(void)connection;
	(void)socket_context;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		__atomic_fetch_add(&http->app->connections, 1, __ATOMIC_RELAXED);
	else
		__atomic_fetch_sub(&http->app->connections, 1, __ATOMIC_RELAXED);
}

/* libmicrohttpd has decoded the path already where it hands it over as url; the raw target is what is used. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

/* ---- start and stop ---- */

int http_start(struct serve_app *app, int take_fd, enum serve_door door, struct http **ret_http, struct weir_error *err)
{
	struct http *http = weir_zalloc(sizeof *http);
	http->app = app;
	http->door = door;
	http->quiesced_fd = -1;
	pthread_mutex_init(&http->lock, NULL);
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
	http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, take_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVE_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)SERVE_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVE_CONNECTION_BYTES,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http,
		MHD_OPTION_URI_LOG_CALLBACK, note_target, http, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, http,
		MHD_OPTION_END);
	if (http->daemon == NULL) {
		close(take_fd);
		pthread_mutex_destroy(&http->lock);
		free(http);
		return weir_fail(
			err, WEIR_E_IO, "the HTTP server cannot start; are there file descriptors left (ulimit -n)?");
	}
	*ret_http = http;
	return 0;
}

void http_quiesce(struct http *http)
{
	if (http->quiesced_fd < 0)
		http->quiesced_fd = MHD_quiesce_daemon(http->daemon);
}

bool http_idle(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	bool idle = http->first == NULL;
	pthread_mutex_unlock(&http->lock);
	return idle;
}

void http_cancel(struct http *http)
{
	pthread_mutex_lock(&http->lock);
	for (struct exchange *exchange = http->first; exchange != NULL; exchange = exchange->next) {
		pthread_mutex_lock(&exchange->lock);
		exchange->cancelled = true;
		pthread_cond_broadcast(&exchange->room);
		pthread_mutex_unlock(&exchange->lock);
	}
	pthread_mutex_unlock(&http->lock);
}

void http_stop(struct http *take_http)
{
	if (take_http == NULL)
		return;
	http_quiesce(take_http);
	MHD_stop_daemon(take_http->daemon);
	if (take_http->quiesced_fd >= 0)
		close(take_http->quiesced_fd);
	pthread_mutex_destroy(&take_http->lock);
	free(take_http);
}
