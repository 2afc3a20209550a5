/* A shard: takes blocks of its partitions in order, drops duplicates, flags late rows, refuses the impossible. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream/stream_int.h"

#define SHARD_IDLE_US 50000

void stream_trace(uint32_t partition, uint64_t offset, struct weir_view *ret_view)
{
	static const char hex[] = "0123456789abcdef";
	char text[STREAM_TRACE_SIZE];
	WEIR_ASSERT(partition < 256 && offset >> 40 == 0);
	text[0] = hex[partition >> 4];
	text[1] = hex[partition & 15];
	for (unsigned i = 0; i < 10; i++)
		text[2 + i] = hex[offset >> (36 - 4 * i) & 15];
	*ret_view = weir_view_from((struct weir_str){text, sizeof text});
}

bool stream_trace_parse(struct weir_str trace, uint32_t *ret_partition, uint64_t *ret_offset)
{
	uint64_t value = 0;
	if (trace.size != STREAM_TRACE_SIZE)
		return false;
	for (size_t i = 0; i < trace.size; i++) {
		char c = trace.data[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0')
			: c >= 'a' && c <= 'f'        ? (unsigned)(c - 'a' + 10)
						      : 16;
		if (digit > 15)
			return false;
		value = value << 4 | digit;
	}
	*ret_partition = (uint32_t)(value >> 40);
	*ret_offset = value & 0xffffffffffULL;
	return true;
}

void stream_fail(struct stream *stream, const struct weir_error *err)
{
	char text[1200];
	pthread_mutex_lock(&stream->lock);
	if (!stream->failed) {
		stream->failure = *err;
		__atomic_store_n(&stream->failed, true, __ATOMIC_RELEASE);
		weir_log(stream->config.log, WEIR_LOG_ERROR, "stream %.*s stops: %s",
			WEIR_STR_ARG(stream->lake_stream->name), weir_error_text(err, text, sizeof text));
	}
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
}

void stream_block_free(struct stream_block *block)
{
	if (block == NULL)
		return;
	weir_batch_release(block->batch);
	weir_arena_free(block->arena);
}

struct stream_epoch *epoch_new(struct stream_shard *shard)
{
	struct weir_arena *arena = weir_arena_new(256 * 1024);
	struct stream_epoch *epoch = weir_arena_zalloc(arena, sizeof *epoch);
	epoch->arena = arena;
	epoch->ranges = weir_arena_calloc(arena, shard->partition_count, sizeof *epoch->ranges);
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		const struct stream_partition *partition = &shard->partitions[i];
		epoch->ranges[i] = (struct stream_range){
			partition->number, partition->next, partition->next, partition->max_event_us};
	}
	epoch->opened_us = weir_steady_us(&shard->stream->config.clock);
	return epoch;
}

void epoch_free(struct stream_epoch *epoch)
{
	if (epoch == NULL)
		return;
	for (uint32_t i = 0; i < epoch->input_count; i++)
		stream_block_free(epoch->inputs[i].block);
	stream_dedup_free(epoch->replayed);
	free(epoch->inputs);
	free(epoch->letters);
	weir_arena_free(epoch->arena);
}

struct stream_counts *epoch_counts(struct stream_epoch *epoch, struct weir_str channel)
{
	for (uint32_t i = 0; i < epoch->count_count; i++)
		if (weir_str_equal(epoch->counts[i].channel, channel))
			return &epoch->counts[i];
	WEIR_ASSERT(epoch->count_count < STREAM_CHANNELS);
	struct stream_counts *counts = &epoch->counts[epoch->count_count++];
	counts->channel = weir_arena_str(epoch->arena, channel);
	return counts;
}

void epoch_letter(struct stream_epoch *epoch, const struct stream_letter *letter)
{
	WEIR_GROW(epoch->letters, epoch->letter_count, epoch->letter_capacity);
	epoch->letters[epoch->letter_count++] = *letter;
}

/* The letter of one record of a block; texts stay where they are (block and literals outlive the epoch's writing). */
static void letter_of(struct stream_shard *shard, const struct stream_block *block, uint32_t record, const char *type,
	struct weir_str field, struct weir_str message)
{
	const struct bus_attributes *attributes = &block->log.attributes;
	struct stream_letter letter = {
		.failed_us = weir_now_us(&shard->stream->config.clock),
		.channel = attributes->channel,
		.type = weir_str_from(type),
		.field = field,
		.message = message,
		.source_file = attributes->source_file,
		.source_record = attributes->source_record + record,
		.payload = block->log.records[record].payload,
	};
	stream_trace(attributes->partition, block->log.base_offset + record, &letter.trace);
	epoch_letter(shard->epoch, &letter);
	epoch_counts(shard->epoch, attributes->channel)->dead_letters++;
}

static struct weir_str json_member(struct weir_arena *arena, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	if (!json_is_string(value))
		return WEIR_STR("");
	return weir_arena_str(arena, (struct weir_str){json_string_value(value), json_string_length(value)});
}

struct stream_id stream_letter_id(struct weir_str payload)
{
	return stream_id_of(WEIR_STR("letter"), payload);
}

/* A record of a file that was refused before, byte for byte, is a repeat. A client of the API is told each time. */
static bool is_known_letter(struct stream_shard *shard, const struct stream_block *block, uint32_t record)
{
	if (!weir_str_is(block->log.attributes.channel, "file"))
		return false;
	struct stream_id id = stream_letter_id(block->log.records[record].payload);
	if (stream_dedup_seen(shard->letters, id, 0))
		return true;
	stream_dedup_add(shard->letters, id, 0);
	return false;
}

/* A record that the door refused: its error is {"type", "field", "message"}. */
static void take_rejected(struct stream_shard *shard, const struct stream_block *block, uint32_t record)
{
	if (is_known_letter(shard, block, record)) {
		epoch_counts(shard->epoch, block->log.attributes.channel)->duplicates++;
		return;
	}
	struct weir_str error = block->log.records[record].error;
	struct weir_arena *arena = shard->epoch->arena;
	json_t *object = json_loadb(error.data, error.size, 0, NULL);
	struct weir_str type = json_member(arena, object, "type");
	letter_of(shard, block, record, type.size > 0 ? type.data : "invalid", json_member(arena, object, "field"),
		json_member(arena, object, "message"));
	json_decref(object);
}

struct stream_id stream_row_id(const struct stream *stream, const struct weir_batch *batch, uint32_t row)
{
	const struct weir_column *id = &batch->columns[stream->id_column];
	struct weir_str key = weir_column_str(&batch->columns[stream->key_column], row), text;
	if (id->type == WEIR_UUID)
		text = (struct weir_str){(const char *)((const struct weir_uuid *)id->values)[row].bytes, 16};
	else
		text = weir_column_str(id, row);
	return stream_id_of(key, text);
}

/* What is decided of the events of one block. */
struct taken {
	uint16_t *rows; /* of the block's batch, that go on */
	uint8_t *late;
	uint32_t count;
	struct stream_id *ids; /* of all events of the block */
};

/* The ids that the epoch took so far, from whatever channel. */
static struct stream_dedup *ids_of_epoch(struct stream_shard *shard)
{
	struct stream_dedup *ids = stream_dedup_new(WEIR_US_PER_DAY);
	for (uint32_t i = 0; i < shard->epoch->input_count; i++) {
		const struct weir_batch *batch = shard->epoch->inputs[i].batch;
		for (uint32_t row = 0; batch != NULL && row < batch->row_count; row++)
			stream_dedup_add(ids, stream_row_id(shard->stream, batch, row), 0);
	}
	return ids;
}

/*
 * Seen within the window? A replay of a dead letter was seen, when it failed: it counts as seen only where it is
 * in this epoch already, or in the tables (shard_lookup_old).
 */
static bool is_duplicate(struct stream_shard *shard, const struct stream_block *block, struct stream_id id)
{
	struct stream_epoch *epoch = shard->epoch;
	if (!weir_str_is(block->log.attributes.channel, "dlq")) {
		if (stream_dedup_seen(shard->dedup, id, block->log.attributes.received_us))
			return true;
		if (epoch->replayed == NULL)
			return false;
	}
	if (epoch->replayed == NULL)
		epoch->replayed = ids_of_epoch(shard);
	if (stream_dedup_seen(epoch->replayed, id, 0))
		return true;
	stream_dedup_add(epoch->replayed, id, 0);
	return false;
}

/* One event in the order of the log. The watermark that judges it is that of the events before it. */
static void take_event(struct stream_shard *shard, struct stream_partition *partition, const struct stream_block *block,
	uint32_t record, uint32_t row, bool live, struct taken *taken)
{
	const struct stream *stream = shard->stream;
	const struct lake_stream *rules = stream->lake_stream;
	const struct weir_batch *batch = block->batch;
	int64_t received_us = block->log.attributes.received_us;
	int64_t time_us = ((const int64_t *)batch->columns[stream->time_column].values)[row];
	struct stream_counts *counts = epoch_counts(shard->epoch, block->log.attributes.channel);
	struct stream_id id = taken->ids[row];
	if (is_duplicate(shard, block, id)) {
		counts->duplicates++;
		return;
	}
	stream_dedup_add(shard->dedup, id,
		received_us); /* also where it is refused: it has one letter, however often it comes */
	if (rules->late_max_ahead_us > 0 && time_us - rules->late_max_ahead_us > received_us) {
		letter_of(shard, block, record, "ahead", rules->time,
			WEIR_STR("the event's time is further ahead of its arrival than max_ahead allows; check the "
				 "clock of its source"));
		return;
	}
	bool late = false;
	if (live && partition->max_event_us != INT64_MIN) {
		int64_t watermark_us = partition->max_event_us - rules->late_delay_us;
		late = time_us < watermark_us;
		if (late && rules->beyond_dead_letter && time_us < watermark_us - rules->late_allowed_us) {
			letter_of(shard, block, record, "late", rules->time,
				WEIR_STR("the event is behind the watermark by more than the allowed lateness"));
			return;
		}
	}
	if (live && time_us > partition->max_event_us)
		partition->max_event_us = time_us;
	taken->late[taken->count] = late;
	taken->rows[taken->count++] = (uint16_t)row;
	counts->accepted++;
	counts->late += late;
}

/* The block's columns (all rows, or those taken) with trace_id, received_at and is_late after them. */
static struct weir_batch *extend_batch(
	struct stream_shard *shard, const struct stream_block *block, const struct taken *taken, uint16_t *record_of)
{
	struct weir_arena *arena = shard->epoch->arena;
	const struct weir_schema *schema = shard->stream->input_schema;
	uint32_t own = schema->field_count - STREAM_EXTRA_COLUMNS;
	struct weir_batch *source = block->batch;
	struct weir_pick picks[WEIR_BATCH_ROWS];
	if (taken->count < source->row_count) {
		for (uint32_t i = 0; i < taken->count; i++)
			picks[i] = (struct weir_pick){0, taken->rows[i]};
		source = weir_batch_gather(arena, &source, picks, taken->count);
	}
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	*batch = (struct weir_batch){.schema = schema, .row_count = taken->count};
	batch->columns = weir_arena_calloc(arena, schema->field_count, sizeof *batch->columns);
	memcpy(batch->columns, source->columns, own * sizeof *batch->columns);
	struct weir_view *traces = weir_arena_alloc(arena, taken->count * sizeof *traces);
	int64_t *received = weir_arena_alloc(arena, taken->count * sizeof *received);
	for (uint32_t i = 0; i < taken->count; i++) {
		record_of[i] = block->record_of[taken->rows[i]];
		stream_trace(block->log.attributes.partition, block->log.base_offset + record_of[i], &traces[i]);
		received[i] = block->log.attributes.received_us;
	}
	batch->columns[own + STREAM_TRACE_ID] =
		(struct weir_column){.type = WEIR_STRING, .layout = WEIR_VIEW, .values = traces};
	batch->columns[own + STREAM_RECEIVED_AT] =
		(struct weir_column){.type = WEIR_TIMESTAMPTZ, .layout = WEIR_FLAT, .values = received};
	batch->columns[own + STREAM_IS_LATE] = (struct weir_column){
		.type = WEIR_BOOL, .layout = WEIR_FLAT, .values = weir_arena_copy(arena, taken->late, taken->count)};
	return batch;
}

static bool channel_is_live(const struct lake_stream *stream, struct weir_str channel)
{
	for (uint32_t i = 0; i < stream->channel_count; i++)
		if (weir_str_equal(stream->channels[i].name, channel))
			return stream->channels[i].kind == LAKE_LIVE;
	return false;
}

/* Takes a whole block whose base offset is the partition's next one. */
static void shard_take(struct stream_shard *shard, struct stream_partition *partition, struct stream_block *block)
{
	if (shard->epoch == NULL)
		shard->epoch = epoch_new(shard);
	struct stream_epoch *epoch = shard->epoch;
	uint16_t rows[WEIR_BATCH_ROWS];
	uint8_t late[WEIR_BATCH_ROWS];
	struct stream_id ids[WEIR_BATCH_ROWS];
	struct taken taken = {rows, late, 0, ids};
	bool live = channel_is_live(shard->stream->lake_stream, block->log.attributes.channel);
	uint32_t row = 0, events = block->batch != NULL ? block->batch->row_count : 0;
	for (uint32_t i = 0; i < events; i++) { /* all at once: each look at the window is a miss of the cache */
		ids[i] = stream_row_id(shard->stream, block->batch, i);
		stream_dedup_prefetch(shard->dedup, ids[i]);
	}
	for (uint32_t record = 0; record < block->log.count; record++) {
		if (row < events && block->record_of[row] == record)
			take_event(shard, partition, block, record, row++, live, &taken);
		else
			take_rejected(shard, block, record);
	}
	WEIR_ASSERT(row == events);
	partition->next = block->log.base_offset + block->log.count;
	for (uint32_t i = 0; i < shard->partition_count; i++)
		if (epoch->ranges[i].partition == partition->number) {
			epoch->ranges[i].to = partition->next;
			epoch->ranges[i].max_event_us = partition->max_event_us;
		}
	struct stream_input input = {.block = block};
	if (taken.count > 0) {
		input.record_of = weir_arena_alloc(epoch->arena, taken.count * sizeof *input.record_of);
		input.batch = extend_batch(shard, block, &taken, input.record_of);
		epoch->bytes += weir_batch_bytes(input.batch);
	}
	epoch->rows += taken.count;
	epoch->records += block->log.count;
	for (uint32_t i = 0; i < block->log.count; i++)
		epoch->bytes += block->log.records[i].payload.size;
	WEIR_GROW(epoch->inputs, epoch->input_count, epoch->input_capacity);
	epoch->inputs[epoch->input_count++] = input;
}

int stream_block_from_log(struct stream *stream, uint32_t partition, uint64_t offset, struct stream_block **ret_block,
	struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct stream_block *block = weir_arena_zalloc(arena, sizeof *block);
	block->arena = arena;
	int status =
		bus_read(stream->config.bus, arena, stream->lake_stream->name, partition, offset, &block->log, err);
	if (status != 0) {
		weir_arena_free(arena);
		return status;
	}
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(stream->decoder));
	block->record_of = weir_arena_calloc(arena, block->log.count, sizeof *block->record_of);
	uint32_t rows = 0;
	for (uint32_t i = 0; i < block->log.count && status == 0; i++) {
		struct json_problem problem;
		if (block->log.records[i].error.size > 0)
			continue;
		status = json_decode_one(stream->decoder, block->log.records[i].payload, builder, arena, &problem, err);
		if (status == WEIR_E_INPUT) {
			/* It was valid when it was acknowledged: the schema changed since. It must not vanish. */
			struct bus_record *record = weir_arena_copy(arena, &block->log.records[i], sizeof *record);
			char *error = weir_arena_printf(arena,
				"{\"type\":\"schema\",\"message\":\"no longer valid under the stream's schema: %s\"}",
				problem.problem);
			record->error = weir_str_from(error);
			((struct bus_record *)(uintptr_t)block->log.records)[i] = *record;
			status = 0;
			continue;
		}
		if (status == 0) {
			weir_builder_end_row(builder);
			block->record_of[rows++] = (uint16_t)i;
		}
	}
	if (status == 0)
		block->batch = weir_builder_take(builder);
	weir_builder_free(builder);
	if (status != 0) {
		stream_block_free(block);
		return status;
	}
	*ret_block = block;
	return 0;
}

/* Reads the log up to `until` (or its end) into the epoch; stops early where the epoch is due. */
static int shard_catch_up(struct stream_shard *shard, struct stream_partition *partition, uint64_t until, bool *ret_did,
	struct weir_error *err)
{
	while (partition->next < until && !shard_due(shard)) {
		struct stream_block *block;
		int status = stream_block_from_log(shard->stream, partition->number, partition->next, &block, err);
		if (status == WEIR_E_NOT_FOUND)
			return 0;
		if (status != 0)
			return status;
		if (block->log.base_offset != partition->next) {
			stream_block_free(block);
			return weir_fail(err, WEIR_E_CORRUPT,
				"the log of partition %u has no block that starts at offset %llu", partition->number,
				(unsigned long long)partition->next);
		}
		shard_take(shard, partition, block);
		*ret_did = true;
	}
	return 0;
}

static struct stream_partition *shard_partition(struct stream_shard *shard, uint32_t number)
{
	uint32_t at = 0;
	while (at < shard->partition_count && shard->partitions[at].number != number)
		at++;
	WEIR_ASSERT(at < shard->partition_count); /* the shard is given blocks of its own partitions alone */
	return &shard->partitions[at];
}

static bool flush_reached(struct stream_shard *shard)
{
	struct stream *stream = shard->stream;
	bool reached = false;
	pthread_mutex_lock(&stream->lock);
	for (uint32_t i = 0; i < shard->partition_count; i++) {
		const struct stream_partition *partition = &shard->partitions[i];
		uint64_t target = stream->flush_to[partition->number];
		if (target > stream->committed[partition->number] && partition->next >= target)
			reached = true;
	}
	reached = reached || stream->stopping;
	pthread_mutex_unlock(&stream->lock);
	return reached;
}

bool shard_due(struct stream_shard *shard)
{
	const struct stream_epoch *epoch = shard->epoch;
	const struct lake_stream *rules = shard->stream->lake_stream;
	if (epoch == NULL || epoch->records == 0)
		return false;
	return epoch->bytes >= rules->epoch_bytes ||
		weir_steady_us(&shard->stream->config.clock) - epoch->opened_us >= rules->epoch_every_us ||
		flush_reached(shard);
}

int shard_run_once(struct stream_shard *shard, int64_t wait_us, bool *ret_did, struct weir_error *err)
{
	int status = 0;
	*ret_did = false;
	if (__atomic_exchange_n(&shard->behind, false, __ATOMIC_ACQ_REL)) {
		for (uint32_t i = 0; i < shard->partition_count && status == 0; i++)
			status = shard_catch_up(shard, &shard->partitions[i], UINT64_MAX, ret_did, err);
		if (status == 0 && shard_due(shard)) /* it stopped because the epoch is full: there may be more */
			__atomic_store_n(&shard->behind, true, __ATOMIC_RELEASE);
		return status;
	}
	struct stream_block *block = weir_queue_pop(shard->queue, wait_us);
	if (block == NULL)
		return 0;
	struct stream_partition *partition = shard_partition(shard, block->log.attributes.partition);
	if (block->log.base_offset > partition->next)
		status = shard_catch_up(shard, partition, block->log.base_offset, ret_did, err);
	if (status == 0 && block->log.base_offset == partition->next) {
		shard_take(shard, partition, block);
		*ret_did = true;
		return 0;
	}
	if (status == 0 && block->log.base_offset > partition->next) /* the epoch filled up on the way to it */
		__atomic_store_n(&shard->behind, true, __ATOMIC_RELEASE);
	stream_block_free(block);
	return status;
}

/* Waits until the shard's output before this one is committed. */
static bool wait_for_turn(struct stream_shard *shard)
{
	struct stream *stream = shard->stream;
	pthread_mutex_lock(&stream->lock);
	while (shard->output_pending && !stream->failed)
		pthread_cond_wait(&stream->changed, &stream->lock);
	bool ok = !stream->failed;
	pthread_mutex_unlock(&stream->lock);
	return ok;
}

int shard_close_epoch(struct stream_shard *shard, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	struct stream_epoch *epoch = shard->epoch;
	struct stream_output *output;
	if (epoch == NULL)
		return 0;
	if (shard->has_thread && !wait_for_turn(shard)) {
		*err = stream->failure;
		return err->code;
	}
	shard->epoch = NULL;
	for (uint32_t i = 0; i < epoch->input_count; i++)
		stream_dedup_expire(shard->dedup, epoch->inputs[i].block->log.attributes.received_us);
	int status = epoch_write(shard, epoch, &output, err);
	if (status != 0) {
		epoch_free(epoch);
		return status;
	}
	if (!shard->has_thread) {
		status = outputs_commit(stream, &output, 1, err);
		output_free(output);
		return status;
	}
	pthread_mutex_lock(&stream->lock);
	shard->output_pending = true;
	pthread_mutex_unlock(&stream->lock);
	weir_queue_push(stream->outputs, output, 1);
	return 0;
}

void *shard_main(void *context)
{
	struct stream_shard *shard = context;
	struct stream *stream = shard->stream;
	struct weir_error err = WEIR_ERROR_INIT;
	while (!__atomic_load_n(&stream->failed, __ATOMIC_ACQUIRE)) {
		bool did;
		int64_t wait_us = SHARD_IDLE_US;
		if (shard->epoch != NULL) {
			int64_t age_us = weir_steady_us(&stream->config.clock) - shard->epoch->opened_us;
			int64_t left_us = stream->lake_stream->epoch_every_us - age_us;
			wait_us = left_us < 0 ? 0 : left_us < wait_us ? left_us : wait_us;
		}
		if (shard_run_once(shard, wait_us, &did, &err) != 0 ||
			(shard_due(shard) && shard_close_epoch(shard, &err) != 0)) {
			stream_fail(stream, &err);
			break;
		}
		if (!did && weir_queue_closed(shard->queue) && weir_queue_weight(shard->queue) == 0 &&
			!__atomic_load_n(&shard->behind, __ATOMIC_ACQUIRE))
			break;
	}
	if (!__atomic_load_n(&stream->failed, __ATOMIC_ACQUIRE) && shard_close_epoch(shard, &err) != 0)
		stream_fail(stream, &err);
	return NULL;
}
