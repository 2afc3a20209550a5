/* Audit records wait in the log; here they become rows of audit.access, exactly once, by the offset that the same commit moves. */
#include <jansson.h>

#include "column/builder.h"
#include "jobs/jobs_int.h"

static const char audit_stream[] = "audit";

/* at, token, role, consumer, route, purpose, subject, rows, bytes, outcome */
static void add_record(struct weir_builder *builder, struct weir_str payload)
{
	static const char *const texts[] = {
		NULL, "token", "role", "consumer", "route", "purpose", "subject", NULL, NULL, "outcome"};
	json_t *record = json_loadb(payload.data, payload.size, 0, NULL);
	weir_builder_i64(builder, 0, json_integer_value(json_object_get(record, "at_us")));
	for (uint32_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		const json_t *value = texts[i] != NULL ? json_object_get(record, texts[i]) : NULL;
		if (json_is_string(value))
			weir_builder_str(
				builder, i, (struct weir_str){json_string_value(value), json_string_length(value)});
	}
	weir_builder_i64(builder, 7, json_integer_value(json_object_get(record, "rows")));
	weir_builder_i64(builder, 8, json_integer_value(json_object_get(record, "bytes")));
	weir_builder_end_row(builder);
	json_decref(record);
}

struct drained {
	struct jobs *jobs;
	uint64_t from, to;
	char prefix[32];
};

static void stage(void *context, struct control_change *change)
{
	struct drained *drained = context;
	control_move_offset(change, weir_str_from(audit_stream), 0, drained->from, drained->to);
	ice_stage_prefix_done(change, weir_str_from(drained->prefix));
}

static int write_records(
	struct jobs *jobs, struct drained *drained, uint64_t end, struct ice_written *written, struct weir_error *err)
{
	struct ice_table *table = ice_registry_table(jobs->config.registry, jobs->config.audit_table);
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer;
	int status =
		jobs_writer(jobs, table, ice_table_metadata(table)->default_spec_id, drained->prefix, &writer, err);
	if (status != 0)
		goto done;
	while (status == 0 && drained->to < end) {
		struct weir_arena *arena = weir_arena_new(0);
		struct bus_read_block block;
		status = bus_read(jobs->config.bus, arena, weir_str_from(audit_stream), 0, drained->to, &block, err);
		for (uint32_t i = 0; i < block.count && status == 0; i++) {
			add_record(builder, block.records[i].payload);
			if (!weir_builder_full(builder))
				continue;
			struct weir_batch *batch = weir_builder_take(builder);
			status = ice_writer_add(writer, batch, NULL, err);
			weir_batch_release(batch);
		}
		if (status == 0)
			drained->to = block.base_offset + block.count;
		weir_arena_free(arena);
	}
	struct weir_batch *rest = weir_builder_take(builder);
	if (status == 0 && rest != NULL)
		status = ice_writer_add(writer, rest, NULL, err);
	weir_batch_release(rest);
	if (status == 0)
		status = ice_writer_close(writer, written, err);
	else
		ice_writer_abandon(writer);
done:
	weir_builder_free(builder);
	ice_table_unref(table);
	return status;
}

int jobs_audit(struct jobs *jobs, bool now, bool *ret_did, struct weir_error *err)
{
	struct drained drained = {.jobs = jobs};
	struct control_value values[] = {CONTROL_T(weir_str_from(audit_stream))};
	struct ice_written written = {0};
	int64_t from = 0, steady_us = weir_steady_us(&jobs->config.clock);
	*ret_did = false;
	if (!now && steady_us - jobs->audited_us < JOBS_AUDIT_EVERY_US)
		return 0;
	jobs->audited_us = steady_us;
	int status = control_query_int(jobs->config.control,
		"SELECT COALESCE(MAX(next_offset), 0) FROM weir_offsets WHERE stream = ?1 AND partition = 0", values, 1,
		&from, err);
	if (status != 0)
		return status;
	drained.from = drained.to = (uint64_t)from;
	uint64_t end = bus_next_offset(jobs->config.bus, values[0].text, 0);
	if (end <= drained.from)
		return 0;
	status = ice_reserve_prefix(jobs->config.control, weir_now_us(&jobs->config.clock), drained.prefix, err);
	if (status == 0)
		status = write_records(jobs, &drained, end, &written, err);
	if (status == 0)
		status = jobs_durable(jobs, &written, err);
	if (status == 0) {
		struct ice_commit_part part = {
			.table = jobs->config.audit_table,
			.edit = {.operation = ICE_OP_APPEND,
				.added = written.files,
				.added_count = written.count,
				.prefix = weir_str_from(drained.prefix),
				.keep_snapshots = 100,
				.now_ms = weir_now_us(&jobs->config.clock) / 1000},
		};
		status = ice_commit(
			jobs->config.registry, CONTROL_BACKGROUND, &part, 1, stage, NULL, &drained, NULL, err);
	}
	jobs_written_free(jobs, &written);
	if (status != 0)
		jobs_give_up(jobs, drained.prefix);
	if (status == 0)
		status = bus_release(jobs->config.bus, values[0].text, 0, drained.to, err);
	*ret_did = status == 0;
	return status;
}
