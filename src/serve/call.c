/*
 * A call's answer: what handlers write is gathered in call->out; an answer that stays small leaves
 * whole, with its length; a longer one leaves in slices through the transport, which waits for room. gzip is
 * applied on the way out, decided when the first bytes leave.
 */
#include "serve/iceberg.h"

#include <stdlib.h>
#include <zlib.h>

#include "codec/codec.h"

struct deflater {
	z_stream stream;
	struct weir_buf out;
};

void call_init(struct serve_call *call, struct serve_app *app, struct weir_arena *arena)
{
	struct weir_clock clock = weir_clock_system();
	*call = (struct serve_call){.app = app, .arena = arena, .status = 200, .start_us = weir_steady_us(&clock)};
}

static void deflater_free(struct deflater *deflater)
{
	if (deflater == NULL)
		return;
	deflateEnd(&deflater->stream);
	weir_buf_done(&deflater->out);
	free(deflater);
}

void call_done(struct serve_call *call)
{
	weir_buf_done(&call->body);
	weir_buf_done(&call->out);
	deflater_free(call->deflater);
	call->deflater = NULL;
}

struct weir_str call_parameter(const struct serve_call *call, const char *name)
{
	for (uint32_t i = 0; i < call->parameter_count; i++) {
		if (weir_str_is(call->parameters[i].key, name))
			return call->parameters[i].value;
	}
	return (struct weir_str){NULL, 0};
}

bool call_flag(const struct serve_call *call, const char *name)
{
	struct weir_str value = call_parameter(call, name);
	return value.data != NULL && (value.size == 0 || weir_str_is(value, "true") || weir_str_is(value, "1"));
}

int call_check_parameters(const struct serve_call *call, struct weir_error *err)
{
	const char *names = call->route->parameters;
	if (iceberg_is_path(call->path))
		return 0;
	for (uint32_t i = 0; names != NULL && i < call->parameter_count; i++) {
		struct weir_str key = call->parameters[i].key;
		const char *at = names;
		bool found = false;
		while (*at != '\0' && !found) {
			size_t size = strcspn(at, " ");
			found = weir_str_equal(key, (struct weir_str){at, size});
			at += size + strspn(at + size, " ");
		}
		if (!found)
			return weir_fail_at(err, WEIR_E_INPUT, key, WEIR_ERROR_NO_OFFSET,
				"this route has no parameter '%.*s'; it has: %s",
				(int)(key.size < 100 ? key.size : 100), key.data, *names != '\0' ? names : "none");
	}
	return 0;
}

int call_inflate_body(struct serve_call *call, struct weir_error *err)
{
	if (call->content_encoding.size == 0 || accept_is(call->content_encoding, "identity"))
		return 0;
	if (!accept_is(call->content_encoding, "gzip"))
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"Content-Encoding '%.*s' is not understood; send gzip, or none",
			(int)(call->content_encoding.size < 40 ? call->content_encoding.size : 40),
			call->content_encoding.data);
	struct weir_buf plain = WEIR_BUF_INIT;
	int rc = codec_gunzip_all(call->body.data, call->body.size, call->route->body_bytes, &plain, err);
	if (rc < 0) {
		weir_buf_done(&plain);
		if (rc == WEIR_E_CORRUPT)
			return weir_fail(
				err, WEIR_E_INPUT, "the body is not gzip, though its Content-Encoding says so");
		return rc;
	}
	weir_buf_done(&call->body);
	call->body = plain;
	return 0;
}

/* Texts of a header must not carry a line end: they come from URLs and from the lake. */
void call_header(struct serve_call *call, const char *name, struct weir_str value)
{
	WEIR_ASSERT(!call->started && call->header_count < SERVE_HEADERS);
	char *copy = weir_arena_cstr(call->arena, value);
	for (size_t i = 0; i < value.size; i++) {
		if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
			copy[i] = ' ';
	}
	call->headers[call->header_count++] = (struct serve_pair){
		weir_str_from(weir_arena_cstr(call->arena, weir_str_from(name))), {copy, value.size}};
}

void call_reply(struct serve_call *call, unsigned status, const char *content_type)
{
	WEIR_ASSERT(!call->started);
	call->status = status;
	call->reply_type = content_type;
}

static bool compressible(const struct serve_call *call)
{
	const char *type = call->reply_type;
	return type != NULL && !call->no_gzip &&
		(strncmp(type, "text/", 5) == 0 || strncmp(type, "application/json", 16) == 0 ||
			strncmp(type, "application/x-ndjson", 20) == 0 ||
			strncmp(type, "application/problem+json", 24) == 0);
}

static void begin(struct serve_call *call)
{
	if (compressible(call)) {
		call_header(call, "Vary", WEIR_STR("Accept-Encoding, Accept"));
		if (call->out.size >= SERVE_GZIP_LEAST && accept_gzip(call->accept_encoding)) {
			call->deflater = weir_zalloc(sizeof *call->deflater);
			/* 15 bits of window, 16 for a gzip header. */
			WEIR_ASSERT(deflateInit2(&call->deflater->stream, 5, Z_DEFLATED, 15 + 16, 8,
					    Z_DEFAULT_STRATEGY) == Z_OK);
			call_header(call, "Content-Encoding", WEIR_STR("gzip"));
		}
	}
}

/* Compresses what is in out; at the end, the trailer of gzip too. */
static void deflate_out(struct serve_call *call, bool end)
{
	struct deflater *deflater = call->deflater;
	z_stream *stream = &deflater->stream;
	stream->next_in = (Bytef *)call->out.data;
	stream->avail_in = (uInt)call->out.size;
	int rc = Z_OK;
	do {
		weir_buf_reserve(&deflater->out, 64 << 10);
		stream->next_out = (Bytef *)deflater->out.data + deflater->out.size;
		stream->avail_out = 64 << 10;
		rc = deflate(stream, end ? Z_FINISH : Z_SYNC_FLUSH);
		WEIR_ASSERT(rc != Z_STREAM_ERROR);
		deflater->out.size += (64 << 10) - stream->avail_out;
	} while (stream->avail_out == 0 || (end && rc != Z_STREAM_END));
	struct weir_buf empty = call->out;
	call->out = deflater->out;
	deflater->out = empty;
	deflater->out.size = 0;
}

/* out leaves, compressed where that was decided. */
static int push(struct serve_call *call, bool end, struct weir_error *err)
{
	if (!call->started)
		begin(call);
	if (call->deflater != NULL)
		deflate_out(call, end);
	call->whole = end && !call->started;
	call->started = true;
	int rc = call->out.size > 0 ? call->transport.push(call, weir_buf_str(&call->out), err) : 0;
	call->out.size = 0;
	return rc;
}

int call_flush(struct serve_call *call, struct weir_error *err)
{
	size_t limit = call->started ? SERVE_SLICE_BYTES : SERVE_FIRST_BYTES;
	return call->out.size >= limit ? push(call, false, err) : 0;
}

int call_write(struct serve_call *call, const void *data, size_t size, struct weir_error *err)
{
	weir_buf_append(&call->out, data, size);
	return call_flush(call, err);
}

void call_finish(struct serve_call *call, int rc, const struct weir_error *err)
{
	struct serve_app *app = call->app;
	struct weir_error broken = WEIR_ERROR_INIT;
	bool complete = rc >= 0;
	if (rc < 0 && !call->started) {
		problem_reply_error(call, err);
		complete = true;
	} else if (rc < 0 && rc != WEIR_E_CANCELLED) {
		weir_log(app->log, WEIR_LOG_WARN, "an answer of %s broke off: %s", call->route->pattern, err->message);
	}
	if (complete && push(call, true, &broken) < 0)
		complete = false;
	__atomic_fetch_add(&app->requests, 1, __ATOMIC_RELAXED);
	if (call->status >= 500)
		__atomic_fetch_add(&app->failures, 1, __ATOMIC_RELAXED);
	call->transport.finish(call, complete);
}

static int run_handler(struct serve_call *call, struct weir_error *err)
{
	int rc = 0;
	if (call->again_until_us == 0) {
		rc = call_check_parameters(call, err);
		if (rc == 0 && call->route->body == SERVE_MEMORY)
			rc = call_inflate_body(call, err);
	}
	return rc == 0 ? call->route->handler(call, err) : rc;
}

static bool is_asked_again(struct serve_call *call, int rc, const struct weir_error *err)
{
	struct weir_clock clock = weir_clock_system();
	if (rc != WEIR_E_BUSY || strcmp(err->object, CATALOG_REMOVALS) != 0 || call->started ||
		__atomic_load_n(&call->app->stopping, __ATOMIC_ACQUIRE))
		return false;
	int64_t now_us = weir_steady_us(&clock);
	if (call->again_until_us == 0)
		call->again_until_us = now_us + CATALOG_WAIT_MS * WEIR_US_PER_MS;
	return now_us < call->again_until_us;
}

void call_run(struct serve_call *call)
{
	for (;;) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct pool *pool = call->app->pools[call->route->run];
		int rc = run_handler(call, &err);
		bool again = is_asked_again(call, rc, &err);
		if (again) { /* nothing of an answer stays */
			call->out.size = 0;
			call->header_count = 0;
		}
		if (again && pool != NULL && pool_submit_again(pool, call))
			return;
		if (!again || pool != NULL) {
			if (rc != SERVE_LATER)
				call_finish(call, rc, &err);
			return;
		}
		nanosleep(&(struct timespec){.tv_nsec = SERVE_AGAIN_MS * 1000000L}, NULL); /* the caller's own thread */
	}
}
