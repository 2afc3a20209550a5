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

/* trace_id, stream and payload of bronze.dead_letters */
enum { LETTER_TRACE = 0, LETTER_STREAM = 2, LETTER_PAYLOAD = 9 };

struct replay {
	struct engine *engine;
	struct weir_arena *arena;
	uint64_t accepted, rejected;
};

static int replay_one(struct replay *replay, struct weir_str trace, struct weir_str stream, struct weir_str payload,
	struct weir_error *err)
{
	struct engine *engine = replay->engine;
	struct ingest_result result = {0};
	struct ingest_request request = {.stream = lake_find_stream(engine->lake, stream), .channel = WEIR_STR("dlq"),
		.body = payload, .events_only = true};
	if (request.stream == UINT32_MAX)
		return weir_fail(err, WEIR_E_NOT_FOUND, "the lake has no stream %.*s any more", WEIR_STR_ARG(stream));
	int status = ingest_post_wait(engine->ingest, &request, replay->arena, &result, err);
	if (status == WEIR_E_INPUT) { /* still no JSON at all: it stays a letter */
		replay->rejected++;
		return 0;
	}
	if (status != 0)
		return status;
	replay->accepted += result.accepted;
	replay->rejected += result.rejected;
	if (result.rejected > 0)
		return 0;
	struct control_result committed;
	struct control_value values[] = {CONTROL_T(trace), CONTROL_I(weir_now_us(&engine->options.clock))};
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	control_change_sql(change, "replay", CONTROL_ANY,
		"INSERT INTO weir_replays (trace_id, replayed_us) VALUES (?1, ?2) ON CONFLICT (trace_id) DO NOTHING", values, 2);
	status = control_commit(engine->control, change, &committed, err);
	control_change_free(change);
	return status;
}

static bool asked_for(const struct weir_str *trace_ids, uint32_t count, struct weir_str trace)
{
	for (uint32_t i = 0; i < count; i++)
		if (weir_str_equal(trace_ids[i], trace))
			return true;
	return false;
}

int engine_replay(struct engine *engine, const struct weir_str *trace_ids, uint32_t count, uint64_t *ret_accepted,
	uint64_t *ret_rejected, struct weir_error *err)
{
	struct replay replay = {.engine = engine, .arena = weir_arena_new(0)};
	struct ice_table *table = ice_registry_table(engine->registry, engine->dead_letters_table);
	struct expr_value *values = weir_arena_calloc(replay.arena, count, sizeof *values);
	for (uint32_t i = 0; i < count; i++)
		values[i] = (struct expr_value){.kind = EXPR_TEXT, .u.text = trace_ids[i]};
	expr_values_sort(values, count);
	struct expr_term term = {.field_id = ice_table_schema(table)->fields[LETTER_TRACE].id, .op = EXPR_IN, .values = values,
		.value_count = count};
	struct expr_filter filter = {&term, 1};
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	uint32_t found = 0;
	int status = control_migrate(engine->control, "replays", 1,
		"CREATE TABLE weir_replays (trace_id TEXT PRIMARY KEY, replayed_us INTEGER NOT NULL);", err);
	if (status == 0)
		status = ice_plan(table, -1, &filter, &files, err);
	if (status == 0)
		status = ice_reader_open(table, files->files, files->count, ice_table_schema(table), &filter, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
			struct weir_str trace = weir_column_str(&batch->columns[LETTER_TRACE], row);
			if (!asked_for(trace_ids, count, trace))
				continue;
			found++;
			status = replay_one(&replay, trace, weir_column_str(&batch->columns[LETTER_STREAM], row),
				weir_column_str(&batch->columns[LETTER_PAYLOAD], row), err);
		}
		weir_batch_release(batch);
	}
	if (status == 0 && found < count)
		status = weir_fail(err, WEIR_E_NOT_FOUND, "%u of the %u dead letters are not there; `weir dlq list` shows them",
			count - found, count);
	if (reader != NULL)
		ice_reader_close(reader);
	if (files != NULL)
		ice_file_list_free(files);
	ice_table_unref(table);
	weir_arena_free(replay.arena);
	*ret_accepted = replay.accepted;
	*ret_rejected = replay.rejected;
	return status;
}
