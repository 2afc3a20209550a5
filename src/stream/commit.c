/*
 * The committer: the outputs of the shards that are ready become durable together, and one control
 * transaction moves everything: table pointers, offsets, watermarks, counters, the guard on consent.
 */
#include <stdio.h>
#include <stdlib.h>

#include "stream/stream_int.h"

#define SUMMARY_ENTRIES 2
#define PARTS_MAX       67 /* bronze, silver, letters, 64 golds */

/* One commit under way. */
struct commit {
	struct stream *stream;
	struct stream_output **outputs;
	uint32_t count;
	uint64_t evaluated_lsn;  /* the lowest of the outputs; UINT64_MAX: nothing was evaluated */
	struct consent *consent; /* that evaluated; NULL: none */
	unsigned head_index;
	char prefixes[256][32]; /* successors, one an output */
	struct weir_error guard_error;
	bool guard_failed;
	struct ice_commit_part parts[PARTS_MAX];
	uint32_t part_count;
	struct ice_kv summary[SUMMARY_ENTRIES];
	struct weir_arena *arena;
};

static struct ice_written *written_of(struct stream_output *output, uint32_t kind)
{
	return kind == 0    ? &output->bronze
		: kind == 1 ? &output->silver
		: kind == 2 ? &output->letters
			    : &output->golds[kind - 3];
}

static uint32_t table_of(const struct stream *stream, uint32_t kind)
{
	return kind == 0    ? stream->raw_table
		: kind == 1 ? stream->silver_table
		: kind == 2 ? stream->config.dead_letters_table
			    : stream->shards[0].golds[kind - 3].table;
}

static uint32_t keep_snapshots(const struct stream *stream, uint32_t table)
{
	const struct lake *lake = stream->config.lake;
	return table < lake->table_count && lake->tables[table].keep_snapshots > 0 ? lake->tables[table].keep_snapshots
										   : 100;
}

/* One part a table that gained files, over all outputs. */
static void add_part(struct commit *commit, uint32_t kind)
{
	uint32_t files = 0, at = 0;
	for (uint32_t i = 0; i < commit->count; i++)
		files += written_of(commit->outputs[i], kind)->count;
	if (files == 0)
		return;
	struct ice_data_file *added = weir_arena_calloc(commit->arena, files, sizeof *added);
	for (uint32_t i = 0; i < commit->count; i++) {
		const struct ice_written *written = written_of(commit->outputs[i], kind);
		for (uint32_t f = 0; f < written->count; f++)
			added[at++] = written->files[f];
	}
	uint32_t table = table_of(commit->stream, kind);
	WEIR_ASSERT(commit->part_count < PARTS_MAX);
	commit->parts[commit->part_count++] = (struct ice_commit_part){
		.table = table,
		.edit =
			{
				.operation = ICE_OP_APPEND,
				.added = added,
				.added_count = files,
				.summary = commit->summary,
				.summary_count = kind >= 3 ? SUMMARY_ENTRIES : 0,
				.prefix = weir_str_from(commit->outputs[0]->prefix),
				.keep_snapshots = keep_snapshots(commit->stream, table),
				.now_ms = weir_now_us(&commit->stream->config.clock) / 1000,
			},
	};
}

static void stage_output(const struct commit *commit, struct control_change *change, const struct stream_output *output)
{
	const struct stream *stream = commit->stream;
	struct weir_str name = stream->lake_stream->name;
	const struct stream_epoch *epoch = output->epoch;
	for (uint32_t i = 0; i < output->shard->partition_count; i++) {
		const struct stream_range *range = &epoch->ranges[i];
		if (range->to == range->from)
			continue;
		control_move_offset(change, name, range->partition, range->from, range->to);
		if (range->max_event_us == INT64_MIN)
			continue;
		struct control_value values[] = {
			CONTROL_T(name), CONTROL_I(range->partition), CONTROL_I(range->max_event_us)};
		control_change_sql(change, "watermark", 1,
			"INSERT INTO weir_watermarks (stream, partition, max_event_us) VALUES (?1, ?2, ?3)"
			" ON CONFLICT (stream, partition) DO UPDATE SET max_event_us = excluded.max_event_us",
			values, 3);
	}
	for (uint32_t i = 0; i < epoch->count_count; i++) {
		const struct stream_counts *counts = &epoch->counts[i];
		control_add_counter(change, name, counts->channel, WEIR_STR("accepted"), counts->accepted);
		control_add_counter(change, name, counts->channel, WEIR_STR("duplicate"), counts->duplicates);
		control_add_counter(change, name, counts->channel, WEIR_STR("dead_letter"), counts->dead_letters);
		control_add_counter(change, name, counts->channel, WEIR_STR("late"), counts->late);
	}
	for (uint32_t i = 0; i < epoch->letter_count; i++) {
		struct control_value values[] = {CONTROL_T(name), CONTROL_T(epoch->letters[i].type), CONTROL_I(0)};
		bool first = true;
		for (uint32_t k = 0; k < epoch->letter_count; k++) { /* kinds are few: one statement for each */
			bool same = weir_str_equal(epoch->letters[i].type, epoch->letters[k].type);
			first = first && !(same && k < i);
			values[2].integer += same;
			if (!first)
				break;
		}
		if (first)
			control_change_sql(change, "letters", 1,
				"INSERT INTO weir_letter_counts (stream, reason, count) VALUES (?1, ?2, ?3)"
				" ON CONFLICT (stream, reason) DO UPDATE SET count = weir_letter_counts.count + "
				"excluded.count",
				values, 3);
	}
}

static void stage(void *context, struct control_change *change)
{
	struct commit *commit = context;
	int64_t now_us = weir_now_us(&commit->stream->config.clock);
	for (uint32_t i = 0; i < commit->count; i++) {
		stage_output(commit, change, commit->outputs[i]);
		ice_stage_prefix_done(change, weir_str_from(commit->outputs[i]->prefix));
		ice_stage_prefix_new(change, now_us, commit->prefixes[i]);
	}
	if (commit->consent != NULL)
		commit->head_index = consent_stage_guard(commit->consent, change, commit->evaluated_lsn);
}

/* Under the registry's lock: the fence in memory has the reopened entries before a reader can get the new version. */
static void published(void *context, const struct control_result *result)
{
	struct commit *commit = context;
	if (commit->consent == NULL)
		return;
	uint64_t head = (uint64_t)result->returned[commit->head_index];
	if (head > commit->evaluated_lsn &&
		consent_guard_done(commit->consent, commit->evaluated_lsn, head, &commit->guard_error) != 0)
		commit->guard_failed = true;
}

/* All files of all outputs in one barrier. */
static int make_durable(struct commit *commit, struct weir_error *err)
{
	struct stream *stream = commit->stream;
	size_t count = 0, at = 0;
	for (uint32_t i = 0; i < commit->count; i++)
		for (uint32_t kind = 0; kind < 3 + stream->gold_count; kind++)
			count += written_of(commit->outputs[i], kind)->count;
	struct store_file **files = weir_arena_calloc(commit->arena, count, sizeof(struct store_file *));
	for (uint32_t i = 0; i < commit->count; i++)
		for (uint32_t kind = 0; kind < 3 + stream->gold_count; kind++) {
			struct ice_written *written = written_of(commit->outputs[i], kind);
			for (uint32_t f = 0; f < written->count; f++)
				files[at++] = written->handles[f];
		}
	int status = count > 0 ? store_barrier(ice_registry_store(stream->config.registry), files, count, err) : 0;
	/* The barrier took the handles whatever came of it; recovery deletes the files of a failed one by their prefix. */
	for (uint32_t i = 0; i < commit->count; i++)
		for (uint32_t kind = 0; kind < 3 + stream->gold_count; kind++)
			written_of(commit->outputs[i], kind)->handles = NULL;
	return status;
}

static void release_written(struct commit *commit)
{
	static const struct ice_written nothing;
	for (uint32_t i = 0; i < commit->count; i++)
		for (uint32_t kind = 0; kind < 3 + commit->stream->gold_count; kind++) {
			struct ice_written *written = written_of(commit->outputs[i], kind);
			if (written->arena != NULL)
				ice_written_free(written);
			*written = nothing;
		}
}

/* What the world may know of a commit that happened. */
static void account(struct commit *commit, int64_t took_us)
{
	struct stream *stream = commit->stream;
	int64_t now_us = weir_steady_us(&stream->config.clock);
	pthread_mutex_lock(&stream->lock);
	for (uint32_t i = 0; i < commit->count; i++) {
		struct stream_output *output = commit->outputs[i];
		struct stream_shard *shard = output->shard;
		for (uint32_t p = 0; p < shard->partition_count; p++) {
			const struct stream_range *range = &output->epoch->ranges[p];
			stream->committed[range->partition] = range->to;
			if (range->to > range->from)
				stream->heard_us[range->partition] = now_us;
			stream->watermarks[range->partition] = range->max_event_us;
		}
		for (uint32_t c = 0; c < output->epoch->count_count; c++) {
			stream->numbers.accepted += output->epoch->counts[c].accepted;
			stream->numbers.duplicates += output->epoch->counts[c].duplicates;
			stream->numbers.dead_letters += output->epoch->counts[c].dead_letters;
			stream->numbers.late += output->epoch->counts[c].late;
		}
		stream->numbers.committed_rows += output->rows;
		memcpy(shard->prefix, commit->prefixes[i], sizeof shard->prefix);
		__atomic_store_n(&shard->open_lsn, UINT64_MAX, __ATOMIC_RELEASE);
		shard->output_pending = false;
	}
	stream->numbers.epochs++;
	stream->numbers.commit_us_last = took_us;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
}

static int release_log(struct commit *commit, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < commit->count; i++)
		for (uint32_t p = 0; p < commit->outputs[i]->shard->partition_count && status == 0; p++) {
			const struct stream_range *range = &commit->outputs[i]->epoch->ranges[p];
			status = bus_release(commit->stream->config.bus, commit->stream->lake_stream->name,
				range->partition, range->to, err);
		}
	return status;
}

int outputs_commit(struct stream *stream, struct stream_output **outputs, uint32_t count, struct weir_error *err)
{
	struct commit *commit = weir_zalloc(sizeof *commit);
	*commit = (struct commit){.stream = stream, .outputs = outputs, .count = count, .evaluated_lsn = UINT64_MAX};
	commit->arena = weir_arena_new(0);
	WEIR_ASSERT(count <= sizeof commit->prefixes / sizeof commit->prefixes[0]);
	for (uint32_t i = 0; i < count; i++)
		if (outputs[i]->consent_lsn < commit->evaluated_lsn)
			commit->evaluated_lsn = outputs[i]->consent_lsn;
	if (commit->evaluated_lsn != UINT64_MAX)
		commit->consent = stream->shards[0].golds[0].consent;
	commit->summary[0] = (struct ice_kv){WEIR_STR("weir.consent-applied"),
		weir_str_from(weir_arena_printf(commit->arena, "%llu", (unsigned long long)commit->evaluated_lsn))};
	commit->summary[1] = (struct ice_kv){WEIR_STR("weir.epoch"),
		weir_str_from(weir_arena_printf(commit->arena, "%llu", (unsigned long long)stream->numbers.epochs))};
	int64_t started_us = weir_steady_us(&stream->config.clock);
	for (uint32_t kind = 0; kind < 3 + stream->gold_count; kind++)
		add_part(commit, kind);
	int status = make_durable(commit, err);
	if (status == 0)
		status = ice_commit(stream->config.registry, CONTROL_EPOCH, commit->parts, commit->part_count, stage,
			published, commit, NULL, err);
	release_written(commit);
	if (status == 0 && commit->guard_failed) {
		*err = commit->guard_error;
		status = err->code;
	}
	if (status == 0) {
		account(commit, weir_steady_us(&stream->config.clock) - started_us);
		status = release_log(commit, err);
	}
	weir_arena_free(commit->arena);
	free(commit);
	return status;
}

void *committer_main(void *context)
{
	struct stream *stream = context;
	struct weir_error err = WEIR_ERROR_INIT;
	struct stream_output *outputs[64];
	for (;;) {
		uint32_t count = 0;
		struct stream_output *output = weir_queue_pop(stream->outputs, -1);
		if (output == NULL)
			return NULL;
		while (output != NULL) { /* whatever else is ready goes along */
			outputs[count++] = output;
			output = count < 64 ? weir_queue_pop(stream->outputs, 0) : NULL;
		}
		if (!__atomic_load_n(&stream->failed, __ATOMIC_ACQUIRE) &&
			outputs_commit(stream, outputs, count, &err) != 0)
			stream_fail(stream, &err);
		for (uint32_t i = 0; i < count; i++)
			output_free(outputs[i]);
	}
}
