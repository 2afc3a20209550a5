/* The door's face: opening, and one request. */
#include "ingest/ingest.h"

#include <stdlib.h>

#include "ingest/ingest_int.h"

static bool is_device(const struct lake_input *input)
{
	for (uint32_t i = 0; i < input->format_count; i++)
		if (!weir_str_is(input->formats[i], "fit") && !weir_str_is(input->formats[i], "tcx") &&
			!weir_str_is(input->formats[i], "gpx"))
			return false;
	return input->format_count > 0;
}

static int open_input(struct ingest *ingest, struct ingest_input *input, struct weir_error *err)
{
	pthread_mutex_init(&input->lock, NULL);
	if (input->lake->sql.size == 0 || !is_device(input->lake))
		return 0;
	input->relation = ingest_relation(ingest->arena, device_schema(), input->lake);
	return sql_transform_new(ingest->config.sql, input->lake->sql,
		weir_arena_cstr(ingest->arena, input->lake->sql_path), "input", input->relation, &input->transform,
		err);
}

static int open_stream(struct ingest *ingest, uint32_t index, struct weir_error *err)
{
	struct ingest_stream *stream = &ingest->streams[index];
	stream->lake = &ingest->config.lake->streams[index];
	stream->stream = ingest->config.streams[index];
	stream->decoder = stream_decoder(stream->stream);
	stream->schema = json_decoder_schema(stream->decoder);
	stream->id_column = weir_schema_find(stream->schema, stream->lake->id);
	stream->key_column = weir_schema_find(stream->schema, stream->lake->key);
	stream->time_column = weir_schema_find(stream->schema, stream->lake->time);
	stream->inputs = weir_arena_calloc(ingest->arena, stream->lake->input_count, sizeof *stream->inputs);
	int status = 0;
	for (uint32_t i = 0; i < stream->lake->input_count && status == 0; i++) {
		stream->inputs[i].lake = &stream->lake->inputs[i];
		status = open_input(ingest, &stream->inputs[i], err);
	}
	return status;
}

int ingest_open(const struct ingest_config *config, struct ingest **ret_ingest, struct weir_error *err)
{
	struct ingest *ingest = weir_zalloc(sizeof *ingest);
	ingest->config = *config;
	ingest->arena = weir_arena_new(0);
	pthread_mutex_init(&ingest->lock, NULL);
	ingest->streams = weir_arena_calloc(ingest->arena, config->lake->stream_count, sizeof *ingest->streams);
	int status = 0;
	for (uint32_t i = 0; i < config->lake->stream_count && status == 0; i++)
		status = open_stream(ingest, i, err);
	if (status != 0) {
		ingest_close(ingest);
		return status;
	}
	*ret_ingest = ingest;
	return 0;
}

void ingest_close(struct ingest *ingest)
{
	if (ingest == NULL)
		return;
	for (uint32_t s = 0; s < ingest->config.lake->stream_count; s++)
		for (uint32_t i = 0; ingest->streams[s].inputs != NULL && i < ingest->streams[s].lake->input_count; i++)
			sql_transform_free(ingest->streams[s].inputs[i].transform);
	for (unsigned i = 0; i < ingest->codec_count; i++)
		codec_state_free(ingest->codecs[i]);
	pthread_mutex_destroy(&ingest->lock);
	weir_arena_free(ingest->arena);
	free(ingest);
}

static int check_room(const struct ingest_stream *stream, struct weir_error *err)
{
	if (stream_has_room(stream->stream))
		return 0;
	return weir_fail(err, WEIR_E_BUSY, "stream %.*s takes no more events now; send the request again in a moment",
		WEIR_STR_ARG(stream->lake->name));
}

/* Any document in memory, after decompression. */
static int read_document(
	const struct ingest_document *document, struct weir_str body, struct packer **packer, struct weir_error *err)
{
	struct weir_slice memory = {body.data, body.size};
	if (document->format == INGEST_JSON || document->format == INGEST_NDJSON)
		return ingest_document_json(document, body, packer, err);
	if (document->format != INGEST_CSV)
		return ingest_document_source(document, weir_source_from_memory(&memory, document->name), packer, err);
	struct ingest_memory_reader reader = {body, 0};
	return ingest_document_csv(document, ingest_reader_of_memory(&reader), packer, err);
}

static int post_document(struct ingest *ingest, const struct ingest_request *request, struct weir_str body,
	ingest_done_fn *done, void *context, struct weir_error *err)
{
	const struct ingest_stream *stream = &ingest->streams[request->stream];
	struct ingest_document document = {.ingest = ingest,
		.stream = stream,
		.name = request->filename,
		.set = request->set,
		.set_count = request->set_count};
	struct weir_str head = {body.data, body.size < 4096 ? body.size : 4096};
	if (!ingest_format_find(request->filename, request->content_type, head, &document.format))
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"neither the file's name (%.*s) nor its first bytes say what it is; name it .json, .ndjson, "
			".csv, .parquet, .fit, .tcx or .gpx",
			WEIR_STR_ARG(request->filename));
	int status = ingest_input_find(stream, document.format, body, &document.input, err);
	if (status == 0)
		status = ingest_check_set(stream, document.input, request->set, request->set_count, err);
	if (status != 0)
		return status;
	struct packer *packer = packer_new(ingest, request->stream, request->channel,
		stream->lake->inputs[document.input].name, ingest_base_name(request->filename), 0);
	status = read_document(&document, body, &packer, err);
	if (status != 0) {
		packer_free(packer);
		return weir_error_in(err, status, request->filename);
	}
	return packer_send(packer, done, context, err);
}

int ingest_post(struct ingest *ingest, const struct ingest_request *request, ingest_done_fn *done, void *context,
	struct weir_error *err)
{
	const struct ingest_stream *stream = &ingest->streams[request->stream];
	int status = check_room(stream, err);
	if (status != 0)
		return status;
	if (request->events_only) {
		struct packer *packer =
			packer_new(ingest, request->stream, request->channel, WEIR_STR(""), WEIR_STR(""), 0);
		status = json_decode(stream->decoder, request->body, JSON_FRAME_AUTO, packer->builder, packer->arena,
			packer_json_event, packer, err);
		if (status == 0)
			return packer_send(packer, done, context, err);
		packer_free(packer);
		return status;
	}
	if (!weir_str_has_suffix(request->filename, WEIR_STR(".gz")))
		return post_document(ingest, request, request->body, done, context, err);
	struct weir_buf plain = WEIR_BUF_INIT;
	status = codec_gunzip_all(request->body.data, request->body.size, INGEST_DOCUMENT_BYTES, &plain, err);
	if (status == 0)
		status = post_document(ingest, request, weir_buf_str(&plain), done, context, err);
	weir_buf_done(&plain);
	return status;
}

/* ---- waiting ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
	int status;
	struct weir_arena *arena;
	struct ingest_result result;
	struct weir_error err;
};

/* The result in an arena that outlives the packer. */
void ingest_result_copy(struct weir_arena *arena, const struct ingest_result *from, struct ingest_result *to)
{
	*to = *from;
	to->trace_ids = weir_arena_calloc(arena, from->trace_count, sizeof *to->trace_ids);
	for (uint32_t i = 0; i < from->trace_count; i++)
		to->trace_ids[i] = weir_arena_str(arena, from->trace_ids[i]);
	to->errors = weir_arena_calloc(arena, from->error_count, sizeof *to->errors);
	for (uint32_t i = 0; i < from->error_count; i++) {
		const struct ingest_error *error = &from->errors[i];
		to->errors[i] = (struct ingest_error){
			.index = error->index,
			.event_id = weir_arena_str(arena, error->event_id),
			.field = weir_arena_str(arena, error->field),
			.value = weir_arena_str(arena, error->value),
			.problem = weir_arena_cstr(arena, weir_str_from(error->problem)),
			.remedy = weir_arena_cstr(arena, weir_str_from(error->remedy)),
		};
	}
}

static void wake(void *context, int status, const struct ingest_result *result, const struct weir_error *err)
{
	struct waiter *waiter = context;
	pthread_mutex_lock(&waiter->lock);
	waiter->status = status;
	if (status != 0)
		waiter->err = *err;
	ingest_result_copy(waiter->arena, result, &waiter->result);
	waiter->done = true;
	pthread_cond_signal(&waiter->changed);
	pthread_mutex_unlock(&waiter->lock);
}

int ingest_post_wait(struct ingest *ingest, const struct ingest_request *request, struct weir_arena *arena,
	struct ingest_result *ret_result, struct weir_error *err)
{
	struct waiter waiter = {.arena = arena};
	pthread_mutex_init(&waiter.lock, NULL);
	pthread_cond_init(&waiter.changed, NULL);
	int status = ingest_post(ingest, request, wake, &waiter, err);
	if (status == 0) {
		bus_flush(ingest->config.bus, NULL); /* a log without a thread is driven here */
		pthread_mutex_lock(&waiter.lock);
		while (!waiter.done)
			pthread_cond_wait(&waiter.changed, &waiter.lock);
		pthread_mutex_unlock(&waiter.lock);
		status = waiter.status;
		*ret_result = waiter.result;
		if (status != 0)
			*err = waiter.err;
	}
	pthread_mutex_destroy(&waiter.lock);
	pthread_cond_destroy(&waiter.changed);
	return status;
}
