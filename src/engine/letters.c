/* What looks at single events: explaining a decision, and replaying dead letters. */
#include <stdlib.h>

#include "engine/engine_int.h"

int engine_explain(struct engine *engine, uint32_t consent, struct weir_str event, struct weir_str purpose,
	struct weir_json *json, bool *ret_permitted, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	int bit = consent_purpose_index(consent_vocabulary_of(engine->consents[consent]), purpose);
	if (bit < 0)
		return weir_fail(err, WEIR_E_INPUT, "the lake has no purpose %.*s", WEIR_STR_ARG(purpose));
	uint32_t stream = UINT32_MAX;
	for (uint32_t t = 0; t < lake->table_count; t++)
		if (lake->tables[t].kind == LAKE_GOLD && lake->tables[t].consent == consent)
			stream = lake->tables[t].stream;
	struct weir_batch *silver;
	int status = stream_silver_of(engine->streams[stream], event, &silver, err);
	if (status != 0)
		return status;
	struct consent_rules *rules = consent_rules_newest(engine->consents[consent]);
	struct consent_binding *binding = NULL;
	uint64_t mask = 0;
	status = consent_binding_new(rules, silver->schema, &binding, err);
	if (status == 0)
		status = consent_evaluate(binding, silver, &mask, NULL, err);
	if (status == 0)
		status = consent_explain(rules, silver, 0, (uint32_t)bit, json, err);
	*ret_permitted = (mask >> bit & 1) != 0;
	consent_binding_free(binding);
	consent_rules_unref(rules);
	weir_batch_release(silver);
	return status;
}

/* Columns of bronze.dead_letters. */
enum { LETTER_TRACE = 0, LETTER_STREAM = 2, LETTER_PAYLOAD = 9, LETTER_REPLAYED_AT = 11 };

#define MARK_ATTEMPTS 20

struct replay {
	struct engine *engine;
	struct weir_arena *arena;
	const struct weir_str *traces;
	uint32_t count, found;
	struct expr_filter filter; /* trace_id IN traces */
	bool *went_in;             /* by index in traces */
	uint64_t accepted, rejected;
	char prefix[32];
};

static uint32_t index_of(const struct replay *replay, struct weir_str trace)
{
	for (uint32_t i = 0; i < replay->count; i++)
		if (weir_str_equal(replay->traces[i], trace))
			return i;
	return UINT32_MAX;
}

static int replay_one(
	struct replay *replay, uint32_t index, struct weir_str stream, struct weir_str payload, struct weir_error *err)
{
	struct engine *engine = replay->engine;
	struct ingest_result result = {0};
	struct ingest_request request = {.stream = lake_find_stream(engine->lake, stream),
		.channel = WEIR_STR("dlq"),
		.body = payload,
		.events_only = true};
	if (request.stream == UINT32_MAX)
		return weir_fail(err, WEIR_E_NOT_FOUND, "the lake has no stream %.*s any more", WEIR_STR_ARG(stream));
	int status = ingest_post_wait(engine->ingest, &request, replay->arena, &result, err);
	if (status == WEIR_E_INPUT) { /* still no JSON at all: it stays a letter */
		replay->rejected++;
		return 0;
	}
	replay->accepted += result.accepted;
	replay->rejected += result.rejected;
	replay->went_in[index] = status == 0 && result.rejected == 0;
	return status;
}

static int replay_all(struct replay *replay, struct weir_error *err)
{
	struct ice_table *table = ice_registry_table(replay->engine->registry, replay->engine->dead_letters_table);
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int status = ice_plan(table, -1, &replay->filter, &files, err);
	if (status == 0)
		status = ice_reader_open(
			table, files->files, files->count, ice_table_schema(table), &replay->filter, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
			uint32_t index = index_of(replay, weir_column_str(&batch->columns[LETTER_TRACE], row));
			if (index == UINT32_MAX)
				continue;
			replay->found++;
			status = replay_one(replay, index, weir_column_str(&batch->columns[LETTER_STREAM], row),
				weir_column_str(&batch->columns[LETTER_PAYLOAD], row), err);
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	ice_table_unref(table);
	return status;
}

/* One row of a letter as it is, or with its mark. */
static void copy_letter(
	struct replay *replay, struct weir_builder *builder, const struct weir_batch *batch, uint32_t row)
{
	uint32_t index = index_of(replay, weir_column_str(&batch->columns[LETTER_TRACE], row));
	for (uint32_t c = 0; c < batch->schema->field_count; c++)
		if (c != LETTER_REPLAYED_AT || index == UINT32_MAX || !replay->went_in[index])
			weir_builder_copy(builder, c, &batch->columns[c], row);
	if (index != UINT32_MAX && replay->went_in[index])
		weir_builder_i64(builder, LETTER_REPLAYED_AT, weir_now_us(&replay->engine->options.clock));
	weir_builder_end_row(builder);
}

/* The files that hold the letters, written anew with the marks. */
static int write_marked(struct replay *replay, struct ice_table *table, const struct ice_file_list *files,
	struct ice_written *written, struct weir_error *err)
{
	struct ice_write_options options = {.prefix = weir_str_from(replay->prefix), .codec = CODEC_ZSTD, .level = 1};
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	int status = ice_writer_open(table, &options, &writer, err);
	if (status == 0)
		status =
			ice_reader_open(table, files->files, files->count, ice_table_schema(table), NULL, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			copy_letter(replay, builder, batch, row);
		weir_batch_release(batch);
		struct weir_batch *copy = weir_builder_take(builder);
		status = ice_writer_add(writer, copy, NULL, err);
		weir_batch_release(copy);
	}
	ice_reader_close(reader);
	weir_builder_free(builder);
	if (status == 0)
		return ice_writer_close(writer, written, err);
	if (writer != NULL)
		ice_writer_abandon(writer);
	return status;
}

static void stage_prefix(void *context, struct control_change *change)
{
	struct replay *replay = context;
	ice_stage_prefix_done(change, weir_str_from(replay->prefix));
}

static int mark_once(struct replay *replay, struct weir_error *err)
{
	struct engine *engine = replay->engine;
	struct ice_table *table = ice_registry_table(engine->registry, engine->dead_letters_table);
	struct ice_written written = {0};
	struct ice_file_list *files = NULL;
	int64_t now_us = weir_now_us(&engine->options.clock);
	int status = ice_reserve_prefix(engine->control, now_us, replay->prefix, err);
	if (status == 0)
		status = ice_plan(table, -1, &replay->filter, &files, err);
	if (status == 0)
		status = write_marked(replay, table, files, &written, err);
	if (status == 0) {
		status = store_barrier(engine->store, written.handles, written.count, err);
		written.handles = NULL; /* of a failure recovery deletes them, by their prefix */
	}
	if (status == 0) {
		struct weir_str *removed = weir_arena_calloc(replay->arena, files->count, sizeof *removed);
		for (uint32_t i = 0; i < files->count; i++)
			removed[i] = files->files[i]->path;
		struct ice_commit_part part = {
			.table = engine->dead_letters_table,
			.edit = {.operation = ICE_OP_OVERWRITE,
				.added = written.files,
				.added_count = written.count,
				.removed = removed,
				.removed_count = files->count,
				.prefix = weir_str_from(replay->prefix),
				.keep_snapshots = 100,
				.now_ms = now_us / 1000},
		};
		status = ice_commit(
			engine->registry, CONTROL_BACKGROUND, &part, 1, stage_prefix, NULL, replay, NULL, err);
	}
	if (written.arena != NULL)
		ice_written_free(&written);
	ice_file_list_free(files);
	ice_table_unref(table);
	return status;
}

/* Marks the letters that went in; starts over where compaction replaced their files in between. */
static int mark_replayed(struct replay *replay, struct weir_error *err)
{
	bool any = false;
	int status = 0;
	for (uint32_t i = 0; i < replay->count; i++)
		any = any || replay->went_in[i];
	for (unsigned tries = 0; any && tries < MARK_ATTEMPTS; tries++) {
		status = mark_once(replay, err);
		if (status != WEIR_E_CONFLICT && status != WEIR_E_NOT_FOUND)
			break;
	}
	return status;
}

int engine_replay(struct engine *engine, const struct weir_str *trace_ids, uint32_t count, uint64_t *ret_accepted,
	uint64_t *ret_rejected, struct weir_error *err)
{
	struct replay replay = {.engine = engine, .arena = weir_arena_new(0), .traces = trace_ids, .count = count};
	struct ice_table *table = ice_registry_table(engine->registry, engine->dead_letters_table);
	struct expr_value *values = weir_arena_calloc(replay.arena, count, sizeof *values);
	for (uint32_t i = 0; i < count; i++)
		values[i] = (struct expr_value){.kind = EXPR_TEXT, .u.text = trace_ids[i]};
	expr_values_sort(values, count);
	struct expr_term term = {.field_id = ice_table_schema(table)->fields[LETTER_TRACE].id,
		.op = EXPR_IN,
		.values = values,
		.value_count = count};
	replay.filter = (struct expr_filter){&term, 1};
	replay.went_in = weir_arena_calloc(replay.arena, count, sizeof *replay.went_in);
	ice_table_unref(table);
	int status = replay_all(&replay, err);
	if (status == 0)
		status = mark_replayed(&replay, err);
	if (status == 0 && replay.found < count)
		status = weir_fail(err, WEIR_E_NOT_FOUND,
			"%u of the %u dead letters are not there; `weir dlq list` shows them", count - replay.found,
			count);
	*ret_accepted = replay.accepted;
	*ret_rejected = replay.rejected;
	weir_arena_free(replay.arena);
	return status;
}
