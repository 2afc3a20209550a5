/*
 * What the files of serve share: a call (one request and its answer), routes, and the transports
 * that carry calls.
 *
 * A call is made by a transport (http.c: libmicrohttpd; dispatch.c: the caller's thread), matched to a
 * route, admitted (admit.c), run by the route's handler, and answered through call_write and call_finish.
 *
 * url.c        percent-encoding, query strings        multipart.c   RFC 7578 bodies, streamed
 * router.c     (method, path) -> route                accept.c      Accept, Accept-Encoding
 * routes.c     the table                              openapi.c     the table as OpenAPI 3.1
 * admit.c      Host, Origin, tokens, roles            problem.c     RFC 9457 errors
 * call.c       answers, compression                   http.c        libmicrohttpd, upload.c: its bodies
 * pool.c       worker threads                         listen.c      sockets
 * rows.c       batches as JSON                        answer.c      batches as JSON, NDJSON, CSV, Parquet
 * at_*.c       handlers, by the first part of the path
 */
#ifndef WEIR_SERVE_INT_H
#define WEIR_SERVE_INT_H

#include <pthread.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "column/batch.h"
#include "column/row_json.h"
#include "engine/engine.h"
#include "serve/serve.h"

/* ---- limits ---- */
#define SERVE_BODY_BYTES       ((size_t)16 << 20)   /* of a request in memory, before and after gzip */
#define SERVE_BATCH_BYTES      ((uint64_t)1 << 30)  /* of a batch upload, which goes to a file */
#define SERVE_SMALL_BODY_BYTES ((size_t)1 << 20)    /* of requests that hold no events and no rules */
#define SERVE_DRAIN_BYTES      ((uint64_t)64 << 10) /* an unwanted body up to this size is read, then refused */
#define SERVE_INLINE_BYTES     ((size_t)256 << 10)  /* larger event bodies are decoded by a worker */
#define SERVE_CONNECTIONS      4096
#define SERVE_CONNECTION_BYTES ((size_t)32 << 10)  /* request line, headers and buffers of one connection */
#define SERVE_IDLE_SECONDS     60                  /* a connection without a byte in either direction */
#define SERVE_ROOM_SECONDS     30                  /* an answer of which the client takes nothing */
#define SERVE_SLOW_SECONDS     30                  /* after that an upload must have come at SERVE_SLOW_RATE */
#define SERVE_SLOW_RATE        1024                /* bytes a second */
#define SERVE_FIRST_BYTES      ((size_t)1 << 20)   /* an answer up to this size has a length and all its headers */
#define SERVE_SLICE_BYTES      ((size_t)128 << 10) /* of a longer one, at a time */
#define SERVE_GZIP_LEAST       ((size_t)1024)      /* smaller answers are not compressed */
#define SERVE_PARAMETERS       64                  /* of a query string */
#define SERVE_PATH_VALUES      4                   /* {names} of a pattern */
#define SERVE_HEADERS          12                  /* of an answer, beside those that every answer has */
#define SERVE_QUEUE            4096                /* calls that wait for a worker; the next is 503 */
#define SERVE_AGAIN_MS         50
#define SERVE_AGAIN_MAX        256   /* calls that are to be run again after a while; the next is 503 */
#define SERVE_PORTS            20    /* tried where the port is taken */
#define SERVE_RULES            10000 /* consent rules of one request */
#define SERVE_ROUTES           128
#define SERVE_BUCKETS          12 /* of a histogram of seconds */

/* ---- url.c ---- */
/* Decodes %XX (and '+' as a space where plus). False on a broken escape or a zero byte. */
bool url_decode(struct weir_arena *arena, struct weir_str text, bool plus, struct weir_str *ret_text);
void url_encode(struct weir_buf *out, struct weir_str text);
/* "a=1&b=x%20y" into pairs, in order. WEIR_E_INPUT names what is broken; WEIR_E_LIMIT past SERVE_PARAMETERS. */
int url_query(struct weir_arena *arena, struct weir_str query, struct serve_pair *ret_pairs, uint32_t *ret_count,
	struct weir_error *err);
/* The last component of a file name, without separators, control characters and leading dots; at most 200 bytes. */
struct weir_str url_file_name(struct weir_arena *arena, struct weir_str name);

/* ---- accept.c ---- */
bool accept_gzip(struct weir_str accept_encoding);
/* Index of the type that the client likes best of those offered (offered[0] where it has no wish), or -1. */
int accept_choose(struct weir_str accept, const char *const *offered, unsigned count);
/* "text/csv; charset=utf-8" is "text/csv", whatever the case. */
bool accept_is(struct weir_str content_type, const char *type);

/* ---- multipart.c ---- */
/* A multipart/form-data body as it streams by: the content of the first part that is a file. */
struct multipart;
/* From a Content-Type; WEIR_E_INPUT where it has no usable boundary. */
int multipart_new(struct weir_str content_type, struct multipart **ret_multipart, struct weir_error *err);
void multipart_free(struct multipart *multipart);
typedef int multipart_file_fn(void *context, struct weir_str bytes, struct weir_error *err);
/* Feeds bytes of the body; file gets the content of the field `file`. */
int multipart_feed(struct multipart *multipart, struct weir_str bytes, multipart_file_fn *file, void *context,
	struct weir_error *err);
/* After the last byte: WEIR_E_INPUT where it was cut off or had no field `file`. */
int multipart_end(struct multipart *multipart, struct weir_error *err);
/* The file's name as the client gave it; size 0 where it gave none. Borrowed; known before its first byte. */
struct weir_str multipart_file_name(const struct multipart *multipart);

/* ---- calls ---- */
struct serve_call;
struct serve_app;

/* Returned by a handler whose answer comes later, by call_finish from another thread. */
#define SERVE_LATER 1
/* 0: the answer is written. Negative: err becomes the answer (a problem), or breaks it off where it began. */
typedef int serve_handler(struct serve_call *call, struct weir_error *err);

enum serve_run { SERVE_INLINE, SERVE_SHORT, SERVE_QUERY, SERVE_LONG, SERVE_CATALOG };
enum serve_body { SERVE_NO_BODY, SERVE_MEMORY, SERVE_FILE };

#define SERVE_ROLE(role) (1U << (role))
#define SERVE_OPERATOR   SERVE_ROLE(ACCESS_OPERATOR)
#define SERVE_AUDITOR    SERVE_ROLE(ACCESS_AUDITOR)
#define SERVE_SUBJECT    SERVE_ROLE(ACCESS_SUBJECT)
#define SERVE_INGEST     SERVE_ROLE(ACCESS_INGEST)
#define SERVE_CONSUMER   SERVE_ROLE(ACCESS_CONSUMER)
#define SERVE_ANYONE     0x80000000U /* no token, wherever it listens */

struct serve_route {
	const char *method, *pattern; /* "GET", "/api/consent/rules/{subject}" */
	unsigned roles;               /* SERVE_ROLE bits; without SERVE_OPERATOR a token is always needed */
	enum serve_run run;
	enum serve_body body;
	uint64_t body_bytes;
	serve_handler *handler;
	const char *summary;
	const char *parameters; /* names of the query string, space-separated; NULL: any */
	uint32_t query;         /* index in the lake's queries */
};

/* How the bytes of an answer leave. Calls of one call are made by one thread at a time. */
struct serve_transport {
	/* Hands over bytes (never none), waiting for room; status and headers are fixed from the first on. */
	int (*push)(struct serve_call *call, struct weir_str bytes, struct weir_error *err);
	/* No more bytes. complete false: the answer broke off, and the client must see it. The call may be gone after
	 * it. */
	void (*finish)(struct serve_call *call, bool complete);
	void *self;
};

struct deflater;

struct serve_call {
	struct serve_app *app;
	struct weir_arena *arena;
	const struct serve_route *route;
	struct serve_transport transport;
	int64_t start_us;

	/* the request */
	struct weir_str method, path;
	struct weir_str values[SERVE_PATH_VALUES];
	struct serve_pair parameters[SERVE_PARAMETERS];
	uint32_t parameter_count;
	struct weir_str content_type, content_encoding, accept, accept_encoding, if_match, if_none_match;
	struct weir_str delegation; /* X-Iceberg-Access-Delegation */
	struct weir_str source;     /* the client's address */
	struct access_identity identity;
	struct weir_buf body;  /* SERVE_MEMORY; decompressed */
	const char *body_path; /* SERVE_FILE */
	uint64_t body_size;
	struct weir_str body_name; /* SERVE_FILE: its file name, without folders */

	int64_t again_until_us; /* steady; 0: its handler did not run yet. See call_run */

	/* the answer */
	unsigned status;
	const char *reply_type;
	struct serve_pair headers[SERVE_HEADERS];
	uint32_t header_count;
	struct weir_str next_link; /* a Link that became known after the headers: a trailer */
	bool whole;                /* everything is in `out`: the answer has a length */
	bool started;              /* bytes were pushed */
	bool no_gzip;
	struct weir_buf out; /* not pushed yet */
	struct deflater *deflater;
};

/* ---- call.c ---- */
void call_init(struct serve_call *call, struct serve_app *app, struct weir_arena *arena);
void call_done(struct serve_call *call);                                         /* frees what is not in the arena */
struct weir_str call_parameter(const struct serve_call *call, const char *name); /* size 0, data NULL where absent */
bool call_flag(const struct serve_call *call, const char *name);                 /* "true", "1", or without value */
/* WEIR_E_INPUT naming the first parameter that the route does not have. */
int call_check_parameters(const struct serve_call *call, struct weir_error *err);
/* The body, decompressed by Content-Encoding, within limit. */
int call_inflate_body(struct serve_call *call, struct weir_error *err);
/* Before the first byte. Texts are copied. */
void call_header(struct serve_call *call, const char *name, struct weir_str value);
void call_reply(struct serve_call *call, unsigned status, const char *content_type);
int call_write(struct serve_call *call, const void *data, size_t size, struct weir_error *err);
/* Everything that json, which writes to call->out, has so far may leave. */
int call_flush(struct serve_call *call, struct weir_error *err);
/* After the handler: rc as it returned it. Not for SERVE_LATER. The call may be gone after it. */
void call_finish(struct serve_call *call, int rc, const struct weir_error *err);
/* Runs the handler, then finishes unless the answer comes later. A handler that fails with WEIR_E_BUSY because of
 * CATALOG_REMOVALS runs again, for up to CATALOG_WAIT_MS; no worker waits meanwhile. */
void call_run(struct serve_call *call);

/* ---- problem.c ---- */
struct problem {
	unsigned status;
	const char *title; /* NULL: that of the status */
	const char *detail;
	const struct ingest_error *errors;
	uint32_t error_count;
};
const char *problem_title(unsigned status);
unsigned problem_status(const struct serve_call *call, int code);
/* Makes it the answer, in place of what was written; only while nothing was pushed. */
void problem_reply(struct serve_call *call, const struct problem *problem);
void problem_reply_error(struct serve_call *call, const struct weir_error *err);
void problem_write_errors(struct weir_json *json, const struct ingest_error *errors, uint32_t count);

/* ---- router.c ---- */
struct router {
	struct serve_route routes[SERVE_ROUTES];
	uint32_t count;
};
/* 200 with call->route and its path values; 404; or 405 with an Allow header set. */
unsigned router_match(const struct router *router, struct serve_call *call);
bool router_pattern_match(
	const char *pattern, struct weir_str path, struct weir_arena *arena, struct weir_str *ret_values);
/* ---- routes.c ---- */
/* weir's own routes, and one for each query of the lake. */
void routes_fill(struct router *router, const struct lake *lake, struct weir_arena *arena);
/* Those of a catalog without a lake. */
void routes_fill_catalog(struct router *router);
/* ---- openapi.c ---- */
void openapi_write(const struct router *router, const char *lake_name, struct weir_buf *out);

/* ---- admit.c ---- */
enum serve_door { SERVE_DOOR_LOOPBACK, SERVE_DOOR_OPEN, SERVE_DOOR_UNIX };
struct admit_headers {
	struct weir_str host, origin, authorization;
};
/* False where the answer is a refusal (already made). Fills call->identity. */
bool admit(struct serve_call *call, enum serve_door door, const struct admit_headers *headers);
/* "127.0.0.1", "localhost:8080", "[::1]:80" */
bool admit_host_is_loopback(struct weir_str host);
bool admit_same_origin(struct weir_str origin, struct weir_str host);
/* A subject may do this only for itself; the one same 403 otherwise. */
int admit_subject(const struct serve_call *call, struct weir_str subject, struct weir_error *err);
int admit_deny(struct weir_error *err);

/* ---- answer.c ---- */
enum answer_format { ANSWER_JSON, ANSWER_NDJSON, ANSWER_CSV, ANSWER_PARQUET };
/* By the Accept header; 406 (made) and false where none fits. */
bool answer_negotiate(struct serve_call *call, enum answer_format *ret_format);
struct answer {
	struct serve_call *call;
	enum answer_format format;
	const struct weir_schema *schema;
	int (*next)(void *self, struct weir_batch **ret_batch, struct weir_error *err);
	/* After the last row: members that JSON has beside "rows" (may be NULL). */
	void (*tail)(void *self, struct weir_json *json);
	void *self;
};
int answer_write(const struct answer *answer, struct weir_error *err);

/* ---- pool.c ---- */
struct pool;
struct pool *pool_new(unsigned threads);
bool pool_submit(struct pool *pool, struct serve_call *call); /* false: too many wait */
/* As pool_submit, after SERVE_AGAIN_MS. False: more than SERVE_AGAIN_MAX are to be run again. */
bool pool_submit_again(struct pool *pool, struct serve_call *call);
void pool_free(struct pool *pool); /* runs what waits, joins */

/* ---- the application: what handlers know of the server ---- */
struct catalog;
struct serve_app {
	struct engine *engine;   /* NULL: a catalog without a lake */
	struct access *access;   /* the engine's, or the catalog's own */
	struct catalog *catalog; /* NULL where it did not open */
	bool owns_catalog;
	const struct lake *lake;
	const struct weir_log *log;
	struct router router;
	struct weir_arena *arena;
	int (*authenticate)(struct serve_app *app, struct weir_str secret, struct access_identity *ret_identity,
		struct weir_error *err);
	struct access_identity local_operator; /* who calls without a token where none is needed */
	struct pool *pools[5];                 /* by enum serve_run; [SERVE_INLINE] is NULL */
	int64_t started_us;
	uint64_t requests, failures;                         /* atomics: answers, those of 5xx */
	uint64_t connections;                                /* atomic: open now */
	uint64_t query_buckets[SERVE_BUCKETS + 1], query_us; /* atomics: durations of queries, for weir_query_seconds */
	const char *spill;                                   /* directory of uploads */
	bool stopping;                                       /* atomic */
};
struct serve_app *app_new(struct engine *engine, const struct lake *lake, const struct weir_log *log);
void app_free(struct serve_app *app);

/* ---- http.c ---- */
struct http;
/* take_fd: a listening socket. */
int http_start(
	struct serve_app *app, int take_fd, enum serve_door door, struct http **ret_http, struct weir_error *err);
void http_quiesce(struct http *http); /* accepts no more */
bool http_idle(struct http *http);    /* no call is running */
void http_cancel(struct http *http);  /* running answers break off */
void http_stop(struct http *take_http);

/* ---- upload.c ---- */
/* The body of a request as it comes in, kept in memory or in a file. */
struct upload;
int upload_new(struct serve_call *call, struct upload **ret_upload, struct weir_error *err);
int upload_feed(struct upload *upload, const void *data, size_t size, struct weir_error *err);
/* After the last byte: fills call->body, or body_path and body_name. */
int upload_end(struct upload *upload, struct weir_error *err);
void upload_free(struct upload *upload); /* removes its file */

/* ---- listen.c ---- */
int listen_tcp(struct weir_str address, bool insecure, bool exact_port, int *ret_fd, bool *ret_loopback, char *ret_url,
	size_t url_size, uint16_t *ret_port, struct weir_error *err);
/* DIR/weir.sock; one that is left from a process that died is replaced. */
int listen_unix(const char *directory, int *ret_fd, struct weir_error *err);

/* ---- handlers ---- */
void home_observe_query(struct serve_app *app, int64_t duration_us);
/* Which consent section: ?consent=NAME, else the first. */
int consent_of(const struct serve_call *call, uint32_t *ret_consent, struct weir_error *err);
/* Which stream: ?stream=NAME, else the first. */
int stream_of(const struct serve_call *call, uint32_t *ret_stream, struct weir_error *err);
serve_handler at_health, at_ready, at_metrics, at_openapi, at_page, at_status;
serve_handler at_ingest, at_ingest_batch, at_query;
serve_handler at_rules_post, at_rules_get, at_rules_delete, at_rule_withdraw, at_change, at_explain, at_subject_rows;
serve_handler at_sql, at_tables, at_snapshots, at_files, at_letters, at_letter, at_replay, at_tokens, at_token_create,
	at_token_revoke, at_check, at_settle;

#endif
