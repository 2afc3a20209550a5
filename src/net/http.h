/*
 * Asking over HTTP (libcurl). A client keeps its connections and hands them to whoever asks next; any number of
 * threads may use one client. One call is one attempt: what to try again, and when, is the caller's to say, since only
 * it knows what doing a thing twice means; http_retry_wait is the patience between two attempts.
 *
 * Bodies that come back go into memory, bounded, or to a sink. Redirects are not followed.
 */
#ifndef WEIR_NET_HTTP_H
#define WEIR_NET_HTTP_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct http_client;

struct http_options {
	uint32_t connect_timeout_ms; /* 0: 10 s */
	uint32_t idle_timeout_s;     /* no byte either way for so long ends a request; 0: 30 s */
	const char *ca_file;         /* certificates to trust; NULL: the system's */
};

struct http_header {
	struct weir_str name, value;
};

struct http_request {
	const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;    /* http or https; sent as it is written */
	const struct http_header *headers;
	uint32_t header_count;
	struct weir_slice body;
	size_t limit_bytes; /* of the body that comes back; more is WEIR_E_LIMIT */
	/* Takes the body where the status is 2xx; NULL: memory. Other bodies are kept in memory, cut at 64 KiB. */
	const struct weir_byte_sink *sink;
	/*
	 * On a connection of its own. libcurl by itself sends a request again that an older connection swallowed
	 * without a word; what must not be done twice unnoticed asks for a new one.
	 */
	bool is_once;
};

enum http_outcome {
	HTTP_ANSWERED, /* whole */
	HTTP_NOT_SENT, /* no connection: nothing reached the server */
	HTTP_CUT,      /* the server may have done it: the connection broke, or nobody answered in time */
	HTTP_REFUSED,  /* by this side: a limit, the sink, a certificate, a URL that is none */
};

struct http_response {
	enum http_outcome outcome;
	uint32_t status;
	struct weir_buf headers; /* "name: value\n", names in lower case; 64 KiB at most */
	struct weir_buf body;
};

struct http_client *http_client_new(const struct http_options *options);
void http_client_free(struct http_client *client);

/*
 * 0 where an answer came, whatever its status. Else WEIR_E_IO (see outcome), WEIR_E_LIMIT, WEIR_E_INPUT, or what the
 * sink said. The texts name host and reason, never headers or query. response may be used again; http_response_done
 * frees it.
 */
int http_perform(struct http_client *client, const struct http_request *request, struct http_response *response,
	struct weir_error *err);
void http_response_done(struct http_response *response);
/* A header's value (name in lower case), "" where there is none. Lives until the response is used again. */
struct weir_str http_response_header(const struct http_response *response, const char *name);

struct http_retry {
	uint32_t attempts; /* in all, the first one too */
	uint32_t first_ms, longest_ms;
};

/* What may pass by itself: no or a broken connection, 408, 429, 500, 502, 503, 504. */
bool http_is_transient(const struct http_response *response);
/*
 * Before attempt number `attempt` (the first is 0): false where all are used up; else sleeps a random time of up to
 * first_ms doubled with each attempt, longest_ms at most, and not less than the answer's Retry-After, which longest_ms
 * bounds too.
 */
bool http_retry_wait(const struct http_retry *retry, uint32_t attempt, const struct http_response *response);

#endif
