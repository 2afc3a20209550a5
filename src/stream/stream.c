/* Opening and closing the runtime of one stream, and what others ask of it. */
#include "stream/stream.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "stream/stream_int.h"

#define SHARDS_MAX 64

static const char migration[] = "CREATE TABLE weir_watermarks (stream TEXT NOT NULL, partition INTEGER NOT NULL,"
				" max_event_us INTEGER NOT NULL, PRIMARY KEY (stream, partition));"
				"CREATE TABLE weir_letter_counts (stream TEXT NOT NULL, reason TEXT NOT NULL,"
				" count INTEGER NOT NULL, PRIMARY KEY (stream, reason));";

struct weir_schema *stream_input_schema(struct weir_arena *arena, const struct json_decoder *decoder)
{
	static const struct weir_field extra[STREAM_EXTRA_COLUMNS] = {
		[STREAM_TRACE_ID] = {.name = {"trace_id", 8}, .type = WEIR_STRING, .required = true},
		[STREAM_RECEIVED_AT] = {.name = {"received_at", 11}, .type = WEIR_TIMESTAMPTZ, .required = true},
		[STREAM_IS_LATE] = {.name = {"is_late", 7}, .type = WEIR_BOOL, .required = true},
	};
	const struct weir_schema *own = json_decoder_schema(decoder);
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = own->field_count + STREAM_EXTRA_COLUMNS;
	schema->fields = weir_arena_calloc(arena, schema->field_count, sizeof *schema->fields);
	memcpy(schema->fields, own->fields, own->field_count * sizeof *schema->fields);
	memcpy(schema->fields + own->field_count, extra, sizeof extra);
	return schema;
}

static int find_column(const struct weir_schema *schema, struct weir_str name, const char *what, struct weir_str where,
	uint32_t *ret_column, struct weir_error *err)
{
	*ret_column = weir_schema_find(schema, name);
	if (*ret_column != WEIR_NO_FIELD)
		return 0;
	return weir_fail_at(err, WEIR_E_INPUT, where, WEIR_ERROR_NO_OFFSET,
		"there is no column %.*s, which is %s of the stream", WEIR_STR_ARG(name), what);
}

static int bind_columns(struct stream *stream, struct weir_error *err)
{
	const struct lake_stream *rules = stream->lake_stream;
	struct weir_str where = rules->schema_path;
	int status = find_column(stream->input_schema, rules->id, "the id", where, &stream->id_column, err);
	if (status == 0)
		status = find_column(stream->input_schema, rules->key, "the key", where, &stream->key_column, err);
	if (status == 0)
		status = find_column(stream->input_schema, rules->time, "the time", where, &stream->time_column, err);
	if (status != 0 || stream->silver_table == UINT32_MAX)
		return status;
	const struct lake_table *silver = &stream->config.lake->tables[stream->silver_table];
	struct ice_table *table = ice_registry_table(stream->config.registry, stream->silver_table);
	stream->silver_schema = weir_schema_copy(stream->arena, ice_table_schema(table));
	ice_table_unref(table);
	where = silver->sql_path;
	status = find_column(stream->silver_schema, rules->id, "the id", where, &stream->silver_id, err);
	if (status == 0)
		status = find_column(stream->silver_schema, rules->key, "the key", where, &stream->silver_key, err);
	if (status == 0)
		status = find_column(stream->silver_schema, WEIR_STR("trace_id"), "the place in the log", where,
			&stream->silver_trace, err);
	for (uint32_t i = 0; i < silver->sort_count && i < 2 && status == 0; i++)
		status = find_column(stream->silver_schema, silver->sort[i], "a sort column", where,
			&stream->silver_order.columns[stream->silver_order.count++], err);
	stream->silver_order.columns[stream->silver_order.count++] = stream->silver_id;
	return status;
}

static int open_golds(struct stream_shard *shard, struct weir_error *err)
{
	struct stream *stream = shard->stream;
	const struct lake *lake = stream->config.lake;
	uint32_t at = 0;
	shard->golds = weir_arena_calloc(stream->arena, stream->gold_count, sizeof *shard->golds);
	for (uint32_t t = 0; t < lake->table_count; t++) {
		const struct lake_table *table = &lake->tables[t];
		if (table->kind != LAKE_GOLD || table->from != stream->silver_table)
			continue;
		int status = stream_gold_open(lake, t, stream->config.consents, stream->config.sql,
			stream->silver_schema, stream->arena, &shard->golds[at++], err);
		if (status != 0)
			return status;
	}
	return 0;
}

static int read_state(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	int64_t *row = context;
	(void)err;
	for (unsigned i = 0; i < count; i++)
		row[i] = values[i].integer;
	return 0;
}

static int open_partition(struct stream *stream, struct stream_partition *partition, struct weir_error *err)
{
	struct control_value values[] = {CONTROL_T(stream->lake_stream->name), CONTROL_I(partition->number)};
	int64_t next = 0, max_event_us = INT64_MIN;
	int status = control_query(stream->config.control,
		"SELECT next_offset FROM weir_offsets WHERE stream = ?1 AND partition = ?2", values, 2, read_state,
		&next, err);
	if (status == 0)
		status = control_query(stream->config.control,
			"SELECT max_event_us FROM weir_watermarks WHERE stream = ?1 AND partition = ?2", values, 2,
			read_state, &max_event_us, err);
	partition->next = (uint64_t)next;
	partition->max_event_us = max_event_us;
	stream->committed[partition->number] = (uint64_t)next;
	stream->watermarks[partition->number] = max_event_us;
	if (status == 0)
		status = bus_release(
			stream->config.bus, stream->lake_stream->name, partition->number, (uint64_t)next, err);
	return status;
}

static int open_shard(struct stream *stream, unsigned index, struct weir_error *err)
{
	struct stream_shard *shard = &stream->shards[index];
	const struct lake *lake = stream->config.lake;
	*shard = (struct stream_shard){.stream = stream, .index = index, .behind = true, .open_lsn = UINT64_MAX};
	shard->queue = weir_queue_new(STREAM_QUEUE_BYTES);
	shard->dedup = stream_dedup_new(stream->lake_stream->dedup_us);
	shard->letters = stream_dedup_new(WEIR_US_PER_DAY);
	shard->partitions = weir_arena_calloc(stream->arena, stream->partition_count, sizeof *shard->partitions);
	int status = 0;
	for (uint32_t p = index; p < stream->partition_count && status == 0; p += stream->shard_count) {
		shard->partitions[shard->partition_count].number = p;
		status = open_partition(stream, &shard->partitions[shard->partition_count++], err);
	}
	if (status == 0 && stream->silver_table != UINT32_MAX) {
		const struct lake_table *silver = &lake->tables[stream->silver_table];
		status = sql_transform_new(stream->config.sql, silver->sql,
			weir_arena_cstr(stream->arena, silver->sql_path),
			weir_arena_cstr(stream->arena, stream->lake_stream->name), stream->input_schema,
			&shard->transform, err);
		if (status == 0)
			status = open_golds(shard, err);
	}
	if (status == 0)
		status = shard_restore(shard, err);
	if (status == 0)
		status = ice_reserve_prefix(
			stream->config.control, weir_now_us(&stream->config.clock), shard->prefix, err);
	return status;
}

static void start_threads(struct stream *stream)
{
	if (stream->config.no_thread)
		return;
	stream->has_committer = pthread_create(&stream->committer, NULL, committer_main, stream) == 0;
	WEIR_ASSERT(stream->has_committer);
	for (unsigned i = 0; i < stream->shard_count; i++) {
		stream->shards[i].has_thread = true;
		WEIR_ASSERT(pthread_create(&stream->shards[i].thread, NULL, shard_main, &stream->shards[i]) == 0);
	}
}

static void stream_free(struct stream *stream)
{
	for (unsigned i = 0; i < stream->shard_count; i++) {
		struct stream_shard *shard = &stream->shards[i];
		struct stream_block *block;
		while (shard->queue != NULL && (block = weir_queue_pop(shard->queue, 0)) != NULL)
			stream_block_free(block);
		weir_queue_free(shard->queue);
		stream_dedup_free(shard->dedup);
		stream_dedup_free(shard->letters);
		sql_transform_free(shard->transform);
		for (uint32_t g = 0; shard->golds != NULL && g < stream->gold_count; g++)
			stream_gold_close(&shard->golds[g]);
		consent_binding_free(shard->binding);
		epoch_free(shard->epoch);
	}
	sql_transform_free(stream->explain);
	weir_queue_free(stream->outputs);
	json_decoder_free(stream->decoder);
	pthread_mutex_destroy(&stream->lock);
	pthread_cond_destroy(&stream->changed);
	weir_arena_free(stream->arena);
	free(stream);
}

int stream_open(const struct stream_config *config, struct stream **ret_stream, struct weir_error *err)
{
	struct stream *stream = weir_zalloc(sizeof *stream);
	const struct lake *lake = config->lake;
	stream->config = *config;
	stream->lake_stream = &lake->streams[config->stream];
	stream->arena = weir_arena_new(0);
	stream->partition_count = lake->log_partitions;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned shards = config->shard_count > 0 ? config->shard_count : cores > 0 ? (unsigned)cores : 1;
	stream->shard_count = shards < stream->partition_count ? shards : stream->partition_count;
	if (stream->shard_count > SHARDS_MAX)
		stream->shard_count = SHARDS_MAX;
	stream->shards = weir_arena_calloc(stream->arena, stream->shard_count, sizeof *stream->shards);
	stream->committed = weir_arena_calloc(stream->arena, stream->partition_count, sizeof *stream->committed);
	stream->watermarks = weir_arena_calloc(stream->arena, stream->partition_count, sizeof *stream->watermarks);
	stream->heard_us = weir_arena_calloc(stream->arena, stream->partition_count, sizeof *stream->heard_us);
	for (unsigned p = 0; p < stream->partition_count; p++)
		stream->heard_us[p] = weir_steady_us(&config->clock);
	stream->flush_to = weir_arena_calloc(stream->arena, stream->partition_count, sizeof *stream->flush_to);
	stream->outputs = weir_queue_new(SHARDS_MAX);
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->changed, NULL);
	stream->raw_table = lake_stream_table(lake, config->stream, LAKE_RAW);
	stream->silver_table = lake_stream_table(lake, config->stream, LAKE_SILVER);
	for (uint32_t t = 0; t < lake->table_count; t++)
		stream->gold_count += lake->tables[t].kind == LAKE_GOLD && lake->tables[t].from == stream->silver_table;
	int status = json_decoder_new(stream->lake_stream->schema, stream->lake_stream->schema_path,
		weir_arena_cstr(stream->arena, stream->lake_stream->id), &stream->decoder, err);
	if (status == 0) {
		stream->input_schema = stream_input_schema(stream->arena, stream->decoder);
		status = bind_columns(stream, err);
	}
	if (status == 0)
		status = control_migrate(config->control, "stream", 1, migration, err);
	for (unsigned i = 0; i < stream->shard_count && status == 0; i++)
		status = open_shard(stream, i, err);
	if (status != 0) {
		stream_free(stream);
		return status;
	}
	start_threads(stream);
	*ret_stream = stream;
	return 0;
}

void stream_close(struct stream *take_stream)
{
	struct stream *stream = take_stream;
	if (stream == NULL)
		return;
	struct weir_error err = WEIR_ERROR_INIT;
	pthread_mutex_lock(&stream->lock);
	stream->stopping = true;
	pthread_mutex_unlock(&stream->lock);
	for (unsigned i = 0; i < stream->shard_count; i++)
		weir_queue_close(stream->shards[i].queue);
	for (unsigned i = 0; i < stream->shard_count; i++) {
		if (stream->shards[i].has_thread)
			pthread_join(stream->shards[i].thread, NULL);
		else if (!stream->failed && shard_close_epoch(&stream->shards[i], &err) != 0)
			stream_fail(stream, &err);
	}
	weir_queue_close(stream->outputs);
	if (stream->has_committer)
		pthread_join(stream->committer, NULL);
	stream_free(stream);
}

const struct json_decoder *stream_decoder(const struct stream *stream)
{
	return stream->decoder;
}

uint32_t stream_partition(const struct stream *stream, struct weir_str key)
{
	return (uint32_t)(weir_hash64(key.data, key.size) % stream->partition_count);
}

void stream_submit(struct stream *stream, struct stream_block *take_block)
{
	struct stream_shard *shard = &stream->shards[take_block->log.attributes.partition % stream->shard_count];
	size_t weight = weir_arena_used(take_block->arena) +
		(take_block->batch != NULL ? weir_batch_bytes(take_block->batch) : 0);
	if (stream->config.no_thread || !weir_queue_try_push(shard->queue, take_block, weight)) {
		stream_block_free(take_block);
		__atomic_store_n(&shard->behind, true, __ATOMIC_RELEASE);
	}
}

bool stream_has_room(struct stream *stream)
{
	if (__atomic_load_n(&stream->failed, __ATOMIC_ACQUIRE))
		return false;
	for (unsigned i = 0; i < stream->shard_count; i++)
		if (weir_queue_weight(stream->shards[i].queue) > STREAM_QUEUE_BYTES - STREAM_QUEUE_BYTES / 8)
			return false;
	return true;
}

bool stream_is_busy(struct stream *stream)
{
	for (unsigned i = 0; i < stream->shard_count; i++)
		if (weir_queue_weight(stream->shards[i].queue) > STREAM_QUEUE_BYTES / 2 ||
			__atomic_load_n(&stream->shards[i].behind, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

static bool all_committed(const struct stream *stream, const uint64_t *targets)
{
	for (unsigned p = 0; p < stream->partition_count; p++)
		if (stream->committed[p] < targets[p])
			return false;
	return true;
}

int stream_flush(struct stream *stream, struct weir_error *err)
{
	uint64_t targets[256];
	WEIR_ASSERT(stream->partition_count <= 256);
	for (unsigned p = 0; p < stream->partition_count; p++)
		targets[p] = bus_next_offset(stream->config.bus, stream->lake_stream->name, p);
	if (stream->config.no_thread) {
		bool did = true;
		int status = 0;
		while (status == 0 && did && !all_committed(stream, targets))
			status = stream_step(stream, true, &did, err);
		return status;
	}
	pthread_mutex_lock(&stream->lock);
	for (unsigned p = 0; p < stream->partition_count; p++)
		if (targets[p] > stream->flush_to[p])
			stream->flush_to[p] = targets[p];
	while (!stream->failed && !all_committed(stream, targets))
		pthread_cond_wait(&stream->changed, &stream->lock);
	bool failed = stream->failed;
	if (failed)
		*err = stream->failure;
	pthread_mutex_unlock(&stream->lock);
	return failed ? err->code : 0;
}

int stream_step(struct stream *stream, bool close_epoch, bool *ret_did, struct weir_error *err)
{
	int status = 0;
	*ret_did = false;
	for (unsigned i = 0; i < stream->shard_count && status == 0; i++) {
		struct stream_shard *shard = &stream->shards[i];
		bool did;
		shard->behind = true;
		status = shard_run_once(shard, 0, &did, err);
		bool due = shard_due(shard) || (close_epoch && shard->epoch != NULL);
		if (status == 0 && due)
			status = shard_close_epoch(shard, err);
		*ret_did = *ret_did || did || due;
	}
	if (status != 0)
		stream_fail(stream, err);
	return status;
}

uint64_t stream_oldest_open_lsn(struct stream *stream)
{
	uint64_t oldest = UINT64_MAX;
	for (unsigned i = 0; i < stream->shard_count; i++) {
		uint64_t lsn = __atomic_load_n(&stream->shards[i].open_lsn, __ATOMIC_ACQUIRE);
		oldest = lsn < oldest ? lsn : oldest;
	}
	return oldest;
}

/*
 * The watermark of the whole: that of the slowest partition that is heard of. One that is silent for `late.idle` holds
 * nobody up; where all are silent it is that of the furthest. Under the lock.
 */
static int64_t watermark_of(const struct stream *stream)
{
	int64_t now_us = weir_steady_us(&stream->config.clock), slowest = INT64_MAX, furthest = INT64_MIN;
	for (unsigned p = 0; p < stream->partition_count; p++) {
		if (stream->watermarks[p] == INT64_MIN)
			continue;
		int64_t at_us = stream->watermarks[p] - stream->lake_stream->late_delay_us;
		bool idle = now_us - stream->heard_us[p] > stream->lake_stream->late_idle_us;
		slowest = !idle && at_us < slowest ? at_us : slowest;
		furthest = at_us > furthest ? at_us : furthest;
	}
	return slowest != INT64_MAX ? slowest : furthest;
}

struct stream_numbers stream_numbers(struct stream *stream)
{
	struct stream_numbers numbers;
	pthread_mutex_lock(&stream->lock);
	numbers = stream->numbers;
	numbers.watermark_us = watermark_of(stream);
	numbers.failed = stream->failed;
	for (unsigned p = 0; p < stream->partition_count; p++) {
		uint64_t end = bus_next_offset(stream->config.bus, stream->lake_stream->name, p);
		numbers.log_behind += end > stream->committed[p] ? end - stream->committed[p] : 0;
	}
	pthread_mutex_unlock(&stream->lock);
	for (unsigned i = 0; i < stream->shard_count; i++)
		numbers.queued_bytes += weir_queue_weight(stream->shards[i].queue);
	return numbers;
}

const struct weir_schema *stream_silver_schema(const struct stream *stream)
{
	return stream->silver_schema;
}

int stream_silver_of(
	struct stream *stream, struct weir_str event, struct weir_batch **ret_batch, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(stream->decoder));
	struct json_problem problem;
	int status = json_decode_one(stream->decoder, event, builder, arena, &problem, err);
	if (status == WEIR_E_INPUT && err->message[0] == '\0')
		weir_fail(err, WEIR_E_INPUT, "%.*s %s", WEIR_STR_ARG(problem.field), problem.problem);
	if (status != 0)
		goto done;
	weir_builder_end_row(builder);
	struct weir_batch *events = weir_builder_take(builder);
	struct weir_batch *input = weir_batch_new(arena, stream->input_schema, 1);
	uint32_t own = stream->input_schema->field_count - STREAM_EXTRA_COLUMNS;
	memcpy(input->columns, events->columns, own * sizeof *input->columns);
	input->row_count = 1;
	stream_trace(0, 0, (struct weir_view *)input->columns[own + STREAM_TRACE_ID].values);
	*(int64_t *)input->columns[own + STREAM_RECEIVED_AT].values = weir_now_us(&stream->config.clock);
	struct weir_batch **results = NULL;
	uint32_t count = 0;
	const struct lake_table *silver = &stream->config.lake->tables[stream->silver_table];
	pthread_mutex_lock(&stream->lock);
	if (stream->explain == NULL)
		status = sql_transform_new(stream->config.sql, silver->sql, silver->sql_path.data,
			weir_arena_cstr(arena, stream->lake_stream->name), stream->input_schema, &stream->explain, err);
	if (status == 0)
		status = sql_transform_run(stream->explain, &input, 1, &results, &count, err);
	pthread_mutex_unlock(&stream->lock);
	if (status == 0 && (count != 1 || results[0]->row_count != 1)) {
		for (uint32_t i = 0; i < count; i++)
			weir_batch_release(results[i]);
		status = weir_fail(
			err, WEIR_E_INPUT, "the silver transform does not give exactly one row for this event");
	} else if (status == 0) {
		results[0]->schema = stream->silver_schema;
		*ret_batch = results[0];
	}
	free(results);
	weir_batch_release(events);
done:
	weir_builder_free(builder);
	weir_arena_free(arena);
	return status;
}
