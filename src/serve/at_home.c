/* The page, health, metrics, the description of the routes, and the status that the page polls. */
#include "serve/serve_int.h"

#include "base/hash.h"

/* Made at build time from web/dist/index.html, or from page.html beside this file where that was not built. */
extern const unsigned char weir_page[];
extern const size_t weir_page_size;

/* Upper bounds in microseconds; the last bucket is all the rest. */
static const int64_t bounds_us[SERVE_BUCKETS] = {
	1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000};

void home_observe_query(struct serve_app *app, int64_t duration_us)
{
	unsigned bucket = 0;
	while (bucket < SERVE_BUCKETS && duration_us > bounds_us[bucket])
		bucket++;
	__atomic_fetch_add(&app->query_buckets[bucket], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&app->query_us, (uint64_t)duration_us, __ATOMIC_RELAXED);
}

int at_page(struct serve_call *call, struct weir_error *err)
{
	char etag[32];
	snprintf(etag, sizeof etag, "\"%016llx\"", (unsigned long long)weir_hash64(weir_page, weir_page_size));
	call_header(call, "ETag", weir_str_from(etag));
	call_header(call, "Cache-Control", WEIR_STR("no-cache"));
	/* The page narrows this to its own script and style, by their hashes, and to requests of its own origin. */
	call_header(call, "Content-Security-Policy",
		WEIR_STR("default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
			 "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"));
	if (weir_str_is(call->if_none_match, etag)) {
		call_reply(call, 304, NULL);
		return 0;
	}
	call_reply(call, 200, "text/html; charset=utf-8");
	return call_write(call, weir_page, weir_page_size, err);
}

static void one_state(struct serve_call *call, unsigned status, const char *state)
{
	call_reply(call, status, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "status", state);
	weir_json_object_end(&json);
}

int at_health(struct serve_call *call, struct weir_error *err)
{
	(void)err;
	one_state(call, 200, "ok");
	return 0;
}

int at_ready(struct serve_call *call, struct weir_error *err)
{
	(void)err;
	/* Sockets open only after the engine has recovered: what is left is stopping. */
	bool stopping = __atomic_load_n(&call->app->stopping, __ATOMIC_ACQUIRE);
	one_state(call, stopping ? 503 : 200, stopping ? "stopping" : "ready");
	return 0;
}

int at_openapi(struct serve_call *call, struct weir_error *err)
{
	(void)err;
	call_reply(call, 200, "application/json");
	const char *name = call->app->lake != NULL ? weir_arena_cstr(call->arena, call->app->lake->name) : "weir";
	openapi_write(&call->app->router, name, &call->out);
	return 0;
}

static uint64_t read_count(const uint64_t *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static void own_metrics(const struct serve_app *app, struct weir_buf *out)
{
	weir_buf_printf(out,
		"# HELP weir_http_requests_total Answers given.\n# TYPE weir_http_requests_total counter\n"
		"weir_http_requests_total %llu\n"
		"# HELP weir_http_failures_total Answers with a status of 500 and above.\n"
		"# TYPE weir_http_failures_total counter\nweir_http_failures_total %llu\n"
		"# HELP weir_http_connections Open connections.\n# TYPE weir_http_connections gauge\n"
		"weir_http_connections %llu\n",
		(unsigned long long)read_count(&app->requests), (unsigned long long)read_count(&app->failures),
		(unsigned long long)read_count(&app->connections));
	weir_buf_puts(out,
		"# HELP weir_query_seconds Time of governed queries, from the request to the last row.\n"
		"# TYPE weir_query_seconds histogram\n");
	uint64_t count = 0;
	for (unsigned i = 0; i < SERVE_BUCKETS; i++) {
		count += read_count(&app->query_buckets[i]);
		weir_buf_printf(out, "weir_query_seconds_bucket{le=\"%g\"} %llu\n", (double)bounds_us[i] / 1e6,
			(unsigned long long)count);
	}
	count += read_count(&app->query_buckets[SERVE_BUCKETS]);
	weir_buf_printf(out,
		"weir_query_seconds_bucket{le=\"+Inf\"} %llu\nweir_query_seconds_sum %.6f\nweir_query_seconds_count "
		"%llu\n",
		(unsigned long long)count, (double)read_count(&app->query_us) / 1e6, (unsigned long long)count);
}

int at_metrics(struct serve_call *call, struct weir_error *err)
{
	call_reply(call, 200, "text/plain; version=0.0.4; charset=utf-8");
	int rc = engine_metrics(call->app->engine, &call->out, err);
	if (rc == 0)
		own_metrics(call->app, &call->out);
	return rc;
}

int at_status(struct serve_call *call, struct weir_error *err)
{
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	return engine_status(call->app->engine, &json, err);
}
