/*
 * POST /api/ingest and /api/ingest/batch. Events are decoded on the thread that calls; the answer to
 * /api/ingest is made by the log's thread when all of it is durable, so no thread waits for the disk.
 */
#include "serve/serve_int.h"

#include "base/os.h"
#include <stdlib.h>

int stream_of(const struct serve_call *call, uint32_t *ret_stream, struct weir_error *err)
{
	struct weir_str name = call_parameter(call, "stream");
	uint32_t stream = name.data != NULL ? lake_find_stream(call->app->lake, name) : 0;
	if (stream >= call->app->lake->stream_count)
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("stream"), WEIR_ERROR_NO_OFFSET,
			"this lake has no stream of that name; its first is '%.*s'",
			WEIR_STR_ARG(call->app->lake->stream_count > 0 ? call->app->lake->streams[0].name
								       : WEIR_STR("none")));
	*ret_stream = stream;
	return 0;
}

/* trace_ids are left out of the answer where the result has none (more than 100,000 events). */
static void write_result(struct serve_call *call, const struct ingest_result *result)
{
	call_reply(call, result->rejected > 0 ? 422 : 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_uint(&json, "accepted", result->accepted);
	weir_json_key_uint(&json, "duplicates", result->duplicates);
	weir_json_key_uint(&json, "rejected", result->rejected);
	weir_json_key(&json, "trace_ids");
	weir_json_array(&json);
	for (uint32_t i = 0; result->trace_ids != NULL && i < result->trace_count; i++)
		weir_json_string(&json, result->trace_ids[i]);
	weir_json_array_end(&json);
	weir_json_key(&json, "errors");
	problem_write_errors(&json, result->errors, result->error_count);
	weir_json_object_end(&json);
}

static void ingest_done(void *context, int status, const struct ingest_result *result, const struct weir_error *err)
{
	struct serve_call *call = context;
	if (status >= 0)
		write_result(call, result);
	call_finish(call, status, err);
}

int at_ingest(struct serve_call *call, struct weir_error *err)
{
	struct ingest_request request = {
		.channel = WEIR_STR("api"),
		.body = weir_buf_str(&call->body),
		.filename = WEIR_STR(""),
		.content_type = call->content_type,
		.events_only = true,
	};
	int rc = stream_of(call, &request.stream, err);
	if (rc == 0 && call->body.size == 0)
		rc = weir_fail(err, WEIR_E_INPUT, "the body is empty; send one event, an array of events, or NDJSON");
	if (rc == 0)
		rc = ingest_post(engine_ingest(call->app->engine), &request, ingest_done, call, err);
	return rc < 0 ? rc : SERVE_LATER;
}

/* What of the query string is for the lake's inputs. */
static uint32_t asked_columns(const struct serve_call *call, struct ingest_kv *ret_set)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < call->parameter_count; i++) {
		struct weir_str key = call->parameters[i].key;
		if (!weir_str_is(key, "stream") && !weir_str_is(key, "filename"))
			ret_set[count++] = (struct ingest_kv){key, call->parameters[i].value};
	}
	return count;
}

static int check_asked(const struct serve_call *call, uint32_t stream, const struct ingest_kv *set, uint32_t count,
	struct weir_error *err)
{
	const struct lake_stream *of = &call->app->lake->streams[stream];
	for (uint32_t i = 0; i < count; i++) {
		bool known = false;
		for (uint32_t j = 0; j < of->input_count; j++) {
			for (uint32_t k = 0; k < of->inputs[j].ask_count; k++)
				known = known || weir_str_equal(of->inputs[j].ask[k], set[i].key);
		}
		if (!known)
			return weir_fail_at(err, WEIR_E_INPUT, set[i].key, WEIR_ERROR_NO_OFFSET,
				"no input of the stream asks for this parameter; lake.yaml names them under inputs: "
				"ask");
	}
	return 0;
}

int at_ingest_batch(struct serve_call *call, struct weir_error *err)
{
	struct ingest_kv set[SERVE_PARAMETERS];
	struct ingest *ingest = engine_ingest(call->app->engine);
	struct ingest_result result = {0};
	uint32_t stream = 0, count = asked_columns(call, set);
	int rc = stream_of(call, &stream, err);
	if (rc == 0)
		rc = check_asked(call, stream, set, count, err);
	if (rc < 0)
		return rc;
	/* A small file is one request on channel "batch"; a large one streams, in bounded memory, on channel "file". */
	char *data = NULL;
	size_t size = 0;
	rc = weir_os_read_all(weir_os_real(), call->body_path, SERVE_BODY_BYTES, &data, &size, err);
	if (rc == 0) {
		struct ingest_request request = {
			.stream = stream,
			.channel = WEIR_STR("batch"),
			.body = {data, size},
			.filename = call->body_name,
			.content_type = WEIR_STR(""),
			.set = set,
			.set_count = count,
		};
		rc = ingest_post_wait(ingest, &request, call->arena, &result, err);
		free(data);
	} else if (rc == WEIR_E_LIMIT) {
		rc = ingest_file(ingest, stream, call->body_path, set, count, NULL, NULL, call->arena, &result, err);
	}
	if (rc == 0)
		write_result(call, &result);
	return rc;
}
