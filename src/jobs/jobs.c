/* What is most urgent comes first: removals and backfills, the audit, compaction, sweeping. */
#include "jobs/jobs.h"

#include <stdlib.h>

#include "jobs/jobs_int.h"

int jobs_open(const struct jobs_config *config, struct jobs **ret_jobs, struct weir_error *err)
{
	struct jobs *jobs = weir_zalloc(sizeof *jobs);
	const struct lake *lake = config->lake;
	jobs->config = *config;
	jobs->arena = weir_arena_new(0);
	pthread_mutex_init(&jobs->lock, NULL);
	jobs->golds = weir_arena_calloc(jobs->arena, lake->table_count, sizeof *jobs->golds);
	int status = 0;
	for (uint32_t t = 0; t < lake->table_count && status == 0; t++)
		if (lake->tables[t].kind == LAKE_GOLD)
			status = stream_gold_open(lake, t, config->consents, config->sql,
				stream_silver_schema(config->streams[lake->tables[t].stream]), jobs->arena,
				&jobs->golds[t], err);
	jobs->compacted_generation = UINT64_MAX;
	if (status != 0) {
		jobs_close(jobs);
		return status;
	}
	*ret_jobs = jobs;
	return 0;
}

void jobs_close(struct jobs *jobs)
{
	if (jobs == NULL)
		return;
	for (uint32_t t = 0; t < jobs->config.lake->table_count; t++)
		stream_gold_close(&jobs->golds[t]);
	pthread_mutex_destroy(&jobs->lock);
	weir_arena_free(jobs->arena);
	free(jobs);
}

void jobs_count(struct jobs *jobs, const struct jobs_numbers *more)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->numbers.tasks_done += more->tasks_done;
	jobs->numbers.rows_removed += more->rows_removed;
	jobs->numbers.rows_added += more->rows_added;
	jobs->numbers.compactions += more->compactions;
	jobs->numbers.files_merged += more->files_merged;
	jobs->numbers.files_destroyed += more->files_destroyed;
	jobs->numbers.deltas += more->deltas;
	jobs->numbers.resumed += more->resumed;
	if (more->removal_us_last > 0)
		jobs->numbers.removal_us_last = more->removal_us_last;
	pthread_mutex_unlock(&jobs->lock);
}

struct jobs_numbers jobs_numbers(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	struct jobs_numbers numbers = jobs->numbers;
	pthread_mutex_unlock(&jobs->lock);
	return numbers;
}

uint64_t jobs_tasks_open(struct jobs *jobs)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < jobs->config.lake->consent_count; i++)
		count += consent_tasks_open_count(jobs->config.consents[i]);
	return count;
}

int jobs_writer(struct jobs *jobs, struct ice_table *table, int32_t spec_id, const char *prefix,
	struct ice_writer **ret_writer, struct weir_error *err)
{
	struct ice_write_options options = {.spec_id = spec_id,
		.prefix = weir_str_from(prefix),
		.codec = CODEC_ZSTD,
		.level = JOBS_ZSTD_LEVEL,
		.order = ICE_WRITE_AS_COMES}; /* jobs merge sorted rows */
	struct ice_name name = ice_table_name(table);
	uint32_t at = lake_find_table(jobs->config.lake, name.ns, name.table);
	int32_t bloom_id = 0;
	if (at != UINT32_MAX) {
		const struct lake_table *lake_table = &jobs->config.lake->tables[at];
		const struct lake_stream *stream = &jobs->config.lake->streams[lake_table->stream];
		options.target_bytes = lake_table->file_target_bytes;
		uint32_t id = weir_schema_find(ice_table_schema(table), stream->id);
		if (lake_table->kind == LAKE_SILVER && id != WEIR_NO_FIELD) {
			bloom_id = ice_table_schema(table)->fields[id].id;
			options.bloom_ids = &bloom_id;
			options.bloom_count = 1;
		}
	}
	return ice_writer_open(table, &options, ret_writer, err);
}

int jobs_durable(struct jobs *jobs, struct ice_written *written, struct weir_error *err)
{
	int status = written->count > 0
		? store_barrier(ice_registry_store(jobs->config.registry), written->handles, written->count, err)
		: 0;
	written->handles = NULL;
	return status;
}

void jobs_written_free(struct jobs *jobs, struct ice_written *written)
{
	if (written->arena != NULL && written->handles != NULL)
		ice_written_abandon(ice_registry_store(jobs->config.registry), written);
	else if (written->arena != NULL)
		ice_written_free(written);
}

void jobs_give_up(struct jobs *jobs, const char *prefix)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (prefix[0] == '\0' || ice_retire_prefix(jobs->config.registry, weir_str_from(prefix), &ignored) == 0)
		return;
	/* More than the array holds wait for the next start, whose recovery knows them by their rows. */
	if (jobs->dead_count < JOBS_DEAD_MAX)
		memcpy(jobs->dead[jobs->dead_count++], prefix, sizeof jobs->dead[0]);
}

int jobs_retire(struct jobs *jobs, struct weir_error *err)
{
	int status = 0;
	while (jobs->dead_count > 0 && status == 0) {
		status = ice_retire_prefix(jobs->config.registry, weir_str_from(jobs->dead[jobs->dead_count - 1]), err);
		if (status == 0)
			jobs->dead_count--;
	}
	return status;
}

int jobs_sweep(struct jobs *jobs, struct weir_error *err)
{
	uint64_t deleted = 0;
	jobs->swept_us = weir_steady_us(&jobs->config.clock);
	int status = ice_sweep_doomed(
		jobs->config.registry, weir_now_us(&jobs->config.clock), JOBS_DOOMED_GRACE_US, &deleted, err);
	jobs_count(jobs, &(struct jobs_numbers){.files_destroyed = deleted});
	return status;
}

/* Ingest comes first: compaction waits while a stream has more to do than it can hold half of. */
static bool streams_are_busy(const struct jobs *jobs)
{
	for (uint32_t i = 0; i < jobs->config.lake->stream_count; i++)
		if (stream_is_busy(jobs->config.streams[i]))
			return true;
	return false;
}

int jobs_step(struct jobs *jobs, bool *ret_did, struct weir_error *err)
{
	int64_t now_us = weir_steady_us(&jobs->config.clock);
	*ret_did = false;
	int status = jobs_reindex(jobs, ret_did, err);
	if (status != 0 || *ret_did)
		return status;
	if (jobs->scrub_due) { /* bytes of what was removed leave the control database's log, too */
		struct weir_error busy = WEIR_ERROR_INIT;
		jobs->scrub_due = control_scrub(jobs->config.control, &busy) != 0;
	}
	status = jobs_audit(jobs, false, ret_did, err);
	if (status != 0 || *ret_did)
		return status;
	if (!streams_are_busy(jobs))
		status = jobs_compact(jobs, ret_did, err);
	if (status == 0 && now_us - jobs->swept_us > JOBS_SWEEP_EVERY_US)
		status = jobs_sweep(jobs, err);
	return status;
}
