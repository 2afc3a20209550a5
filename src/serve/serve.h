/*
 * weir's HTTP server: the routes of docs/reference/http.md over one engine, on a TCP address and on
 * the lake's own Unix socket (DIR/weir.sock, mode 0600, always the operator).
 *
 * serve_start needs an open engine that outlives it; serve_stop ends every request before it returns.
 * serve_dispatch runs one request of the same routes in the caller's thread, without a socket: the
 * `weir` command uses it where no server runs, so that a command means the same either way.
 */
#ifndef WEIR_SERVE_SERVE_H
#define WEIR_SERVE_SERVE_H

#include "access/catalog.h"
#include "base/log.h"
#include "engine/engine.h"

struct serve;

struct serve_options {
	struct weir_str listen;     /* "127.0.0.1:8080", "[::1]:0"; size 0: the lake's */
	bool insecure;              /* allow an address that is not loopback, without TLS */
	bool exact_port;            /* a taken port is an error; else the next free one of 20 is used */
	const struct weir_log *log; /* NULL: silent */
};

/* WEIR_E_DENIED for an address beyond loopback without insecure; WEIR_E_EXISTS where no port was free. Writes
 * DIR/weir.port. */
int serve_start(
	struct engine *engine, const struct serve_options *options, struct serve **ret_serve, struct weir_error *err);
/* The Iceberg REST catalog alone, without a lake. All of it outlives the server. */
struct serve_catalog {
	struct catalog *catalog;
	struct access *access;          /* tokens */
	const struct lake *description; /* its name, listen and data are looked at */
};
int serve_start_catalog(const struct serve_catalog *catalog, const struct serve_options *options,
	struct serve **ret_serve, struct weir_error *err);
uint16_t serve_port(const struct serve *serve);
/* "http://127.0.0.1:8080"; borrowed from serve. */
const char *serve_url(const struct serve *serve);
/* Stops accepting, lets running requests end for grace_ms, then cancels them. Removes DIR/weir.sock and DIR/weir.port.
 */
void serve_stop(struct serve *take_serve, uint32_t grace_ms);

/* ---- one request in the caller's thread ---- */
struct serve_pair {
	struct weir_str key, value;
};

struct serve_request {
	const char *method;
	struct weir_str target;           /* "/api/consent/rules/s-1?consent=shop", percent-encoded as in a URL */
	const struct serve_pair *headers; /* Content-Type, Accept, If-Match, Authorization, ... */
	uint32_t header_count;
	struct weir_str body;
};
/* Bytes of the answer's body, in order; called with status before the first. A negative return cancels. */
typedef int serve_body_fn(void *context, unsigned status, struct weir_str bytes, struct weir_error *err);
/* As the operator. 0 with *ret_status whatever the answer is; an error only where an answer broke off. */
int serve_dispatch(struct engine *engine, const struct serve_request *request, serve_body_fn *body, void *context,
	unsigned *ret_status, struct weir_error *err);

#endif
