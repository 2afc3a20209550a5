/* The lake's governed queries. access/ checks, plans and audits; here rows become an answer. */
#include "serve/serve_int.h"

struct query {
	struct serve_call *call;
	struct access_answer *answer;
};

static int query_next(void *self, struct weir_batch **ret_batch, struct weir_error *err)
{
	struct query *query = self;
	return access_answer_next(query->answer, ret_batch, err);
}

/* The same request with another cursor, as a Link (RFC 8288). */
static struct weir_str next_link(struct serve_call *call, struct weir_str cursor)
{
	struct weir_buf link = WEIR_BUF_INIT;
	weir_buf_printf(&link, "<%.*s?", WEIR_STR_ARG(call->path));
	for (uint32_t i = 0; i < call->parameter_count; i++) {
		if (weir_str_is(call->parameters[i].key, "cursor"))
			continue;
		url_encode(&link, call->parameters[i].key);
		weir_buf_putc(&link, '=');
		url_encode(&link, call->parameters[i].value);
		weir_buf_putc(&link, '&');
	}
	weir_buf_puts(&link, "cursor=");
	url_encode(&link, cursor);
	weir_buf_puts(&link, ">; rel=\"next\"");
	struct weir_str copy = weir_arena_str(call->arena, weir_buf_str(&link));
	weir_buf_done(&link);
	return copy;
}

static void query_tail(void *self, struct weir_json *json)
{
	struct query *query = self;
	struct weir_str cursor = access_answer_cursor(query->answer);
	if (cursor.size > 0)
		query->call->next_link = next_link(query->call, cursor);
	if (json == NULL)
		return;
	weir_json_key(json, "next_cursor");
	if (cursor.size > 0)
		weir_json_string(json, cursor);
	else
		weir_json_null(json);
	if (access_answer_wants_explain(query->answer)) {
		weir_json_key(json, "explain");
		access_answer_explain(query->answer, json);
	}
}

int at_query(struct serve_call *call, struct weir_error *err)
{
	struct access_kv parameters[SERVE_PARAMETERS];
	struct weir_clock clock = weir_clock_system();
	enum answer_format format;
	if (!answer_negotiate(call, &format))
		return 0;
	for (uint32_t i = 0; i < call->parameter_count; i++)
		parameters[i] = (struct access_kv){call->parameters[i].key, call->parameters[i].value};
	if (format != ANSWER_JSON && call_flag(call, "explain"))
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("explain"), WEIR_ERROR_NO_OFFSET,
			"explain=true is answered as JSON only; accept application/json");
	struct access_request request = {
		.query = call->route->query,
		.identity = &call->identity,
		.parameters = parameters,
		.parameter_count = call->parameter_count,
		.source = call->source,
	};
	struct query query = {.call = call};
	int rc = access_query(engine_access(call->app->engine), &request, &query.answer, err);
	if (rc == WEIR_E_DENIED)
		return admit_deny(err);
	if (rc < 0)
		return rc;
	struct answer answer = {
		.call = call,
		.format = format,
		.schema = access_answer_schema(query.answer),
		.next = query_next,
		.tail = query_tail,
		.self = &query,
	};
	rc = answer_write(&answer, err);
	access_answer_free(query.answer);
	home_observe_query(call->app, weir_steady_us(&clock) - call->start_us);
	return rc;
}
