/* Records of one request -> log blocks by partition, with the decoded rows beside them for the shards. */
#include <stdlib.h>

#include "base/json.h"
#include "ingest/ingest_int.h"

struct packer *packer_new(struct ingest *ingest, uint32_t stream, struct weir_str channel, struct weir_str input,
	struct weir_str source_file, uint64_t source_record)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct packer *packer = weir_arena_zalloc(arena, sizeof *packer);
	packer->ingest = ingest;
	packer->stream = &ingest->streams[stream];
	packer->arena = arena;
	packer->attributes = (struct bus_attributes){
		.stream = packer->stream->lake->name,
		.channel = weir_arena_str(arena, channel),
		.input = weir_arena_str(arena, input),
		.source_file = weir_arena_str(arena, source_file),
		.source_record = source_record,
		.received_us = weir_now_us(&ingest->config.clock),
	};
	packer->builder = weir_builder_new(packer->stream->schema);
	packer->seen = stream_dedup_new(WEIR_US_PER_DAY);
	packer->want_traces = true;
	return packer;
}

void packer_free(struct packer *packer)
{
	if (packer == NULL)
		return;
	for (uint32_t i = 0; i < packer->chunk_count; i++)
		weir_batch_release(packer->chunks[i].batch);
	for (uint32_t i = 0; i < packer->block_count; i++) {
		bus_block_free(packer->blocks[i]);
		stream_block_free(packer->handed[i]);
	}
	free(packer->chunks);
	free(packer->blocks);
	free(packer->handed);
	free(packer->result.errors);
	weir_builder_free(packer->builder);
	stream_dedup_free(packer->seen);
	weir_arena_free(packer->arena);
}

/* The chunk's rows as one batch; keys decide the partitions. */
static void close_chunk(struct packer *packer)
{
	if (packer->count == 0)
		return;
	struct chunk chunk = {weir_builder_take(packer->builder), packer->records, packer->count};
	const struct ingest_stream *stream = packer->stream;
	for (uint32_t i = 0; i < chunk.count; i++) {
		struct packed *record = &chunk.records[i];
		if (record->error.size > 0) {
			record->partition = stream_partition(stream->stream, record->payload);
			continue;
		}
		struct weir_str key = weir_column_str(&chunk.batch->columns[stream->key_column], record->row);
		const struct weir_column *id = &chunk.batch->columns[stream->id_column];
		struct weir_str text = id->type == WEIR_UUID
			? (struct weir_str){(const char *)((const struct weir_uuid *)id->values)[record->row].bytes, 16}
			: weir_column_str(id, record->row);
		struct stream_id hash = stream_id_of(key, text);
		if (packer->want_traces && stream_dedup_seen(packer->seen, hash, 0)) {
			packer->result.duplicates++;
		} else {
			packer->result.accepted++;
			if (packer->want_traces)
				stream_dedup_add(packer->seen, hash, 0);
		}
		record->partition = stream_partition(stream->stream, key);
	}
	WEIR_GROW(packer->chunks, packer->chunk_count, packer->chunk_capacity);
	packer->chunks[packer->chunk_count++] = chunk;
	packer->records = NULL;
	packer->count = 0;
	packer->bytes = 0;
}

static struct packed *next_record(struct packer *packer, struct weir_str payload)
{
	if (packer->records == NULL)
		packer->records = weir_arena_calloc(packer->arena, BUS_BLOCK_EVENTS, sizeof *packer->records);
	struct packed *record = &packer->records[packer->count++];
	record->payload = weir_arena_str(packer->arena, payload);
	packer->bytes += payload.size;
	return record;
}

/* At once, so that the builder and the records always have room for one more. */
static void close_full_chunk(struct packer *packer)
{
	if (packer->count == BUS_BLOCK_EVENTS || packer->bytes >= BUS_BLOCK_BYTES)
		close_chunk(packer);
}

int packer_event(struct packer *packer, struct weir_str payload, struct weir_error *err)
{
	if (payload.size > BUS_EVENT_BYTES)
		return weir_fail(err, WEIR_E_LIMIT, "an event of %zu bytes is more than the %u allowed", payload.size,
			BUS_EVENT_BYTES);
	struct packed *record = next_record(packer, payload);
	record->row = weir_builder_rows(packer->builder);
	weir_builder_end_row(packer->builder);
	close_full_chunk(packer);
	return 0;
}

/* {"type", "field", "message"}: what the dead letter will say. The value itself stays in the payload. */
static struct weir_str problem_json(struct weir_arena *arena, const char *type, const struct json_problem *problem)
{
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	char *message = weir_arena_printf(
		arena, "%s; %s", problem->problem, problem->remedy != NULL ? problem->remedy : INGEST_REMEDY);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "type", type);
	weir_json_key_string(&json, "field", problem->field);
	weir_json_key_cstring(&json, "message", message);
	weir_json_object_end(&json);
	struct weir_str text = weir_arena_str(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return text;
}

static void name_error(struct packer *packer, const struct json_problem *problem)
{
	struct ingest_result *result = &packer->result;
	if (result->error_count == INGEST_ERRORS_MAX)
		return;
	WEIR_GROW(result->errors, result->error_count, packer->error_capacity);
	result->errors[result->error_count++] = (struct ingest_error){
		.index = problem->index,
		.event_id = weir_arena_str(packer->arena, problem->event_id),
		.field = weir_arena_str(packer->arena, problem->field),
		.value = weir_arena_str(packer->arena, problem->value),
		.problem = weir_arena_cstr(packer->arena, weir_str_from(problem->problem)),
		.remedy = weir_arena_cstr(
			packer->arena, weir_str_from(problem->remedy != NULL ? problem->remedy : INGEST_REMEDY)),
	};
}

int packer_reject(struct packer *packer, struct weir_str payload, const char *type, const struct json_problem *problem,
	struct weir_error *err)
{
	(void)err;
	if (payload.size > BUS_EVENT_BYTES)
		payload.size = BUS_EVENT_BYTES;
	struct packed *record = next_record(packer, payload);
	record->error = problem_json(packer->arena, type, problem);
	packer->result.rejected++;
	name_error(packer, problem);
	close_full_chunk(packer);
	return 0;
}

int packer_json_event(
	void *context, struct weir_str payload, const struct json_problem *problem, struct weir_error *err)
{
	struct packer *packer = context;
	if (problem == NULL)
		return packer_event(packer, payload, err);
	weir_builder_drop_row(packer->builder);
	return packer_reject(packer, payload, "invalid", problem, err);
}

/* ---- sending ---- */

static struct codec_state *codecs_borrow(struct ingest *ingest)
{
	struct codec_state *codecs = NULL;
	pthread_mutex_lock(&ingest->lock);
	if (ingest->codec_count > 0)
		codecs = ingest->codecs[--ingest->codec_count];
	pthread_mutex_unlock(&ingest->lock);
	return codecs != NULL ? codecs : codec_state_new();
}

static void codecs_return(struct ingest *ingest, struct codec_state *codecs)
{
	pthread_mutex_lock(&ingest->lock);
	if (ingest->codec_count < INGEST_IDLE_CODECS) {
		ingest->codecs[ingest->codec_count++] = codecs;
		codecs = NULL;
	}
	pthread_mutex_unlock(&ingest->lock);
	if (codecs != NULL)
		codec_state_free(codecs);
}

/* One block: records of one chunk that go to one partition, from `from` on, as many as fit. */
struct block_plan {
	struct packer *packer;
	const struct chunk *chunk;
	uint32_t partition;
	uint32_t from;
	uint32_t first_record; /* ordinal of the chunk's first record in the document */
};

static int make_block(struct block_plan *plan, struct codec_state *codecs, struct weir_error *err)
{
	struct packer *packer = plan->packer;
	const struct chunk *chunk = plan->chunk;
	struct bus_attributes attributes = packer->attributes;
	attributes.partition = plan->partition;
	attributes.source_record += plan->first_record + plan->from;
	struct bus_block *block = bus_block_new(&attributes);
	struct weir_arena *arena = weir_arena_new(0);
	struct stream_block *handed = weir_arena_zalloc(arena, sizeof *handed);
	struct bus_record *records = weir_arena_calloc(arena, chunk->count, sizeof *records);
	struct weir_pick *picks = weir_arena_calloc(arena, chunk->count, sizeof *picks);
	uint32_t rows = 0, count = 0;
	handed->arena = arena;
	handed->record_of = weir_arena_calloc(arena, chunk->count, sizeof *handed->record_of);
	uint32_t i = plan->from;
	for (; i < chunk->count; i++) {
		struct packed *record = &chunk->records[i];
		if (record->partition != plan->partition)
			continue;
		if (!bus_block_add(block, record->payload, record->error.size > 0 ? &record->error : NULL))
			break;
		records[count] = (struct bus_record){
			weir_arena_str(arena, record->payload), weir_arena_str(arena, record->error)};
		record->block = packer->block_count;
		record->record = count;
		if (record->error.size == 0) {
			handed->record_of[rows] = (uint16_t)count;
			picks[rows++] = (struct weir_pick){0, record->row};
		}
		count++;
	}
	plan->from = i;
	if (rows > 0) { /* a copy of its own: the chunk may serve two partitions */
		struct weir_arena *scratch = weir_arena_new(0);
		struct weir_batch *batch = chunk->batch;
		if (rows < batch->row_count)
			batch = weir_batch_gather(scratch, &batch, picks, rows);
		handed->batch = weir_batch_copy(arena, batch);
		weir_arena_free(scratch);
	}
	attributes.channel = weir_arena_str(arena, attributes.channel);
	attributes.input = weir_arena_str(arena, attributes.input);
	attributes.source_file = weir_arena_str(arena, attributes.source_file);
	handed->log = (struct bus_read_block){.attributes = attributes, .count = count, .records = records};
	WEIR_GROW(packer->blocks, packer->block_count, packer->block_capacity);
	WEIR_GROW(packer->handed, packer->block_count, packer->handed_capacity);
	packer->blocks[packer->block_count] = block;
	packer->handed[packer->block_count++] = handed;
	return bus_block_seal(block, codecs, err);
}

static int make_blocks(struct packer *packer, struct weir_error *err)
{
	struct codec_state *codecs = codecs_borrow(packer->ingest);
	uint32_t first = 0, partitions = packer->ingest->config.lake->log_partitions;
	int status = 0;
	for (uint32_t c = 0; c < packer->chunk_count && status == 0; c++) {
		const struct chunk *chunk = &packer->chunks[c];
		for (uint32_t p = 0; p < partitions && status == 0; p++) {
			struct block_plan plan = {packer, chunk, p, 0, first};
			for (;;) {
				while (plan.from < chunk->count && chunk->records[plan.from].partition != p)
					plan.from++;
				if (plan.from == chunk->count || status != 0)
					break;
				status = make_block(&plan, codecs, err);
			}
		}
		first += chunk->count;
	}
	codecs_return(packer->ingest, codecs);
	return status;
}

static void list_traces(struct packer *packer)
{
	struct ingest_result *result = &packer->result;
	uint64_t total = 0;
	for (uint32_t c = 0; c < packer->chunk_count; c++)
		total += packer->chunks[c].count;
	if (!packer->want_traces || total > INGEST_TRACES_MAX)
		return;
	result->trace_ids = weir_arena_calloc(packer->arena, total, sizeof *result->trace_ids);
	for (uint32_t c = 0; c < packer->chunk_count; c++)
		for (uint32_t i = 0; i < packer->chunks[c].count; i++) {
			const struct packed *record = &packer->chunks[c].records[i];
			if (record->error.size > 0)
				continue;
			uint64_t offset = bus_block_base_offset(packer->blocks[record->block]) + record->record;
			char *text = weir_arena_printf(
				packer->arena, "%02x%010llx", record->partition, (unsigned long long)offset);
			result->trace_ids[result->trace_count++] = weir_str_from(text);
		}
}

/* On the log's thread: the blocks are durable. The shards get them, then the caller hears of it. */
static void sent(void *context, int status, uint64_t base_offset, const struct weir_error *err)
{
	struct packer *packer = context;
	(void)base_offset;
	if (status == 0) {
		list_traces(packer);
		for (uint32_t i = 0; i < packer->block_count; i++) {
			packer->handed[i]->log.base_offset = bus_block_base_offset(packer->blocks[i]);
			stream_submit(packer->stream->stream, packer->handed[i]);
			packer->handed[i] = NULL;
		}
	}
	packer->done(packer->context, status, &packer->result, err);
	packer_free(packer);
}

int packer_send(struct packer *take_packer, ingest_done_fn *done, void *context, struct weir_error *err)
{
	struct packer *packer = take_packer;
	close_chunk(packer);
	packer->done = done;
	packer->context = context;
	int status = make_blocks(packer, err);
	if (status == 0 && packer->block_count == 0) { /* nothing to make durable */
		done(context, 0, &packer->result, err);
		packer_free(packer);
		return 0;
	}
	if (status == 0)
		status = bus_append(packer->ingest->config.bus, packer->blocks, packer->block_count, sent, packer, err);
	if (status != 0)
		packer_free(packer);
	return status;
}
