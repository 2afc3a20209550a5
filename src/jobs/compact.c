/*
 * Compaction: small files of one partition are merged into larger ones, tier by tier, so that a row is rewritten
 * about as often as its file has tiers to climb. In a table with a landing spec, a cell of the full spec gets files of its own once it holds
 * `own_partition_from`; the rest goes on landing together.
 *
 * Order: files of a sorted table are merged in its order; others are joined as they are, large row groups byte for byte. Neighbours in time are merged, and
 * past SPAN_FREE_BYTES only within a day: a question about a day must not read the files of a month. Memory is bounded by the
 * merge's open batches, one a file.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "column/dictionary.h"
#include "jobs/jobs_int.h"

#define TIER_FILES       6 /* so many of one tier are merged into one of the next */
#define TIER_FIRST_BYTES (64U << 10)
#define TIER_GROWTH_BITS 2 /* a tier is four times the one below it */
#define MERGE_FILES_MAX  32
#define CELLS_MAX        4096
#define SPLICE_ROWS      8192       /* row groups of an unsorted table are copied as they are from this size on */
#define SPAN_FREE_BYTES  (8U << 20) /* smaller results may span any time */

static unsigned tier_of(int64_t size_bytes)
{
	unsigned tier = 0;
	for (uint64_t limit = TIER_FIRST_BYTES; (uint64_t)size_bytes > limit && tier < 20; limit <<= TIER_GROWTH_BITS)
		tier++;
	return tier;
}

static bool same_partition(const struct ice_data_file *a, const struct ice_data_file *b)
{
	if (a->spec_id != b->spec_id || a->partition_count != b->partition_count)
		return false;
	for (uint32_t i = 0; i < a->partition_count; i++) {
		int order;
		if (a->partition[i].is_null != b->partition[i].is_null)
			return false;
		if (!a->partition[i].is_null &&
			(!expr_compare(&a->partition[i].value, &b->partition[i].value, &order) || order != 0))
			return false;
	}
	return true;
}

/* The time that a file spans: bounds of the stream's time column; the widest where they are unknown. */
struct candidate {
	const struct ice_data_file *file;
	int64_t from_us, to_us;
};

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	return left->from_us < right->from_us ? -1 : left->from_us > right->from_us;
}

static struct candidate *candidates_of(const struct ice_file_list *files, const struct weir_field *time)
{
	struct candidate *candidates = weir_zalloc(files->count * sizeof *candidates);
	for (uint32_t i = 0; i < files->count; i++) {
		candidates[i] = (struct candidate){files->files[i], INT64_MIN, INT64_MAX};
		if (time == NULL)
			continue;
		struct expr_bounds bounds = ice_file_bounds(files->files[i], time);
		if (bounds.has_min && bounds.min.kind == EXPR_INTEGER)
			candidates[i].from_us = bounds.min.u.integer;
		if (bounds.has_max && bounds.max.kind == EXPR_INTEGER)
			candidates[i].to_us = bounds.max.u.integer;
	}
	qsort(candidates, files->count, sizeof *candidates, compare_candidates);
	return candidates;
}

/* Enough files of one partition and tier, neighbours in time; into picked, their number returned. Files of which rows are
 * deleted are reindex.c's: its rewrite takes the deletes with them. */
static uint32_t pick_files(const struct ice_file_list *files, const struct weir_field *time, uint64_t target_bytes,
	const struct ice_data_file **picked)
{
	struct candidate *candidates = candidates_of(files, time);
	uint32_t count = 0;
	for (uint32_t i = 0; i < files->count && count < TIER_FILES; i++) {
		const struct ice_data_file *first = candidates[i].file;
		unsigned tier = tier_of(first->size_bytes);
		uint64_t total = 0;
		int64_t to_us = INT64_MIN;
		count = 0;
		if ((uint64_t)first->size_bytes * 2 > target_bytes || first->delete_count > 0)
			continue;
		for (uint32_t j = i; j < files->count && count < MERGE_FILES_MAX; j++) {
			const struct ice_data_file *file = candidates[j].file;
			if (tier_of(file->size_bytes) != tier || !same_partition(first, file) || file->delete_count > 0)
				continue;
			uint64_t larger = total + (uint64_t)file->size_bytes;
			to_us = candidates[j].to_us > to_us ? candidates[j].to_us : to_us;
			bool within_day = time == NULL || weir_day_of(to_us) - weir_day_of(candidates[i].from_us) < 1;
			if (count > 1 && (larger > target_bytes || (larger > SPAN_FREE_BYTES && !within_day)))
				break;
			picked[count++] = file;
			total = larger;
		}
	}
	free(candidates);
	return count >= TIER_FILES ? count : 0;
}

struct merge {
	struct jobs *jobs;
	uint32_t table;
	struct ice_table *version;
	const struct lake_table *lake_table; /* NULL: one of weir's own */
	const struct ice_data_file **files;
	uint32_t count;
	char prefix[32];
	struct ice_written written, own;
	/* cells of the full spec that get files of their own: digests of their partition values */
	uint64_t *own_cells;
	uint32_t own_count;
};

static bool is_sorted(const struct merge *merge)
{
	return merge->lake_table != NULL && merge->lake_table->sort_count > 0;
}

static int sorted_open(struct merge *merge, struct ice_sorted **ret_sorted, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(merge->version);
	struct ice_sorted_options options = {.projection = schema};
	const struct lake_stream *stream = &merge->jobs->config.lake->streams[merge->lake_table->stream];
	for (uint32_t i = 0; i < merge->lake_table->sort_count && i < 2; i++)
		options.order.columns[options.order.count++] = weir_schema_find(schema, merge->lake_table->sort[i]);
	options.order.columns[options.order.count++] = weir_schema_find(schema, stream->id);
	return ice_sorted_open(merge->version, merge->files, merge->count, &options, ret_sorted, err);
}

/* ---- cells of the full spec ---- */

static uint64_t cell_of(
	const struct merge *merge, struct weir_arena *arena, const struct weir_batch *batch, uint32_t row)
{
	const struct ice_spec *spec = ice_metadata_spec(ice_table_metadata(merge->version), 0);
	struct weir_buf key = WEIR_BUF_INIT;
	for (uint32_t f = 0; f < spec->field_count; f++) {
		uint32_t column = weir_schema_find_id(batch->schema, spec->fields[f].source_id);
		struct ice_partition_value value = ice_transform_apply(arena, spec->fields[f].transform,
			batch->schema->fields[column].type, &batch->columns[column], row);
		weir_buf_u8(&key, value.is_null);
		if (value.is_null)
			continue;
		if (value.value.kind == EXPR_TEXT) {
			weir_buf_u32(&key, (uint32_t)value.value.u.text.size);
			weir_buf_append(&key, value.value.u.text.data, value.value.u.text.size);
		} else {
			weir_buf_u64(&key, (uint64_t)value.value.u.integer);
		}
	}
	uint64_t hash = weir_hash64(key.data, key.size) | 1;
	weir_buf_done(&key);
	return hash;
}

struct cell {
	uint64_t hash, rows;
};

/* Counts rows a cell; those whose share of the bytes reaches the limit get files of their own. */
static int count_cells(struct merge *merge, uint64_t total_bytes, uint64_t total_rows, struct weir_arena *arena,
	struct weir_error *err)
{
	struct cell *cells = weir_arena_calloc(arena, CELLS_MAX * 2, sizeof *cells);
	uint32_t count = 0;
	struct ice_sorted *rows = NULL;
	struct weir_batch *batch;
	int status = sorted_open(merge, &rows, err);
	while (status == 0 && (status = ice_sorted_next(rows, WEIR_BATCH_ROWS, &batch, err)) == 0 && batch != NULL) {
		struct weir_arena *scratch = weir_arena_new(0);
		for (uint32_t row = 0; row < batch->row_count; row++) {
			uint64_t hash = cell_of(merge, scratch, batch, row);
			uint32_t at = (uint32_t)hash & (CELLS_MAX * 2 - 1);
			while (cells[at].hash != 0 && cells[at].hash != hash)
				at = (at + 1) & (CELLS_MAX * 2 - 1);
			if (cells[at].hash == 0 && count == CELLS_MAX)
				continue; /* cells so many are small */
			count += cells[at].hash == 0;
			cells[at].hash = hash;
			cells[at].rows++;
		}
		weir_arena_free(scratch);
		weir_batch_release(batch);
	}
	ice_sorted_close(rows);
	merge->own_cells = weir_arena_calloc(arena, count, sizeof *merge->own_cells);
	for (uint32_t i = 0; i < CELLS_MAX * 2; i++)
		if (cells[i].hash != 0 &&
			cells[i].rows * (total_bytes / (total_rows + 1) + 1) >=
				merge->lake_table->own_partition_from_bytes)
			merge->own_cells[merge->own_count++] = cells[i].hash;
	return status;
}

static bool has_own_cell(const struct merge *merge, uint64_t hash)
{
	for (uint32_t i = 0; i < merge->own_count; i++)
		if (merge->own_cells[i] == hash)
			return true;
	return false;
}

/* ---- writing ---- */

static int write_batch(struct merge *merge, struct ice_writer *landing, struct ice_writer *own,
	const struct weir_batch *batch, struct weir_error *err)
{
	uint16_t stay[WEIR_BATCH_ROWS], move[WEIR_BATCH_ROWS];
	uint32_t stay_count = 0, move_count = 0;
	if (own == NULL)
		return ice_writer_add(landing, batch, NULL, err);
	struct weir_arena *scratch = weir_arena_new(0);
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (has_own_cell(merge, cell_of(merge, scratch, batch, row)))
			move[move_count++] = (uint16_t)row;
		else
			stay[stay_count++] = (uint16_t)row;
	}
	weir_arena_free(scratch);
	int status =
		stay_count > 0 ? ice_writer_add(landing, batch, &(struct weir_selection){stay, stay_count}, err) : 0;
	if (status == 0 && move_count > 0)
		status = ice_writer_add(own, batch, &(struct weir_selection){move, move_count}, err);
	return status;
}

static int write_sorted(struct merge *merge, struct ice_writer *landing, struct ice_writer *own, struct weir_error *err)
{
	struct ice_sorted *rows = NULL;
	struct weir_batch *batch;
	int status = sorted_open(merge, &rows, err);
	while (status == 0 && (status = ice_sorted_next(rows, WEIR_BATCH_ROWS, &batch, err)) == 0 && batch != NULL) {
		status = write_batch(merge, landing, own, batch, err);
		weir_batch_release(batch);
	}
	ice_sorted_close(rows);
	return status;
}

/* One row group: copied where it is large, else its rows are encoded together with its neighbours'. */
static int join_group(struct merge *merge, struct ice_writer *writer, const struct ice_data_file *file,
	const struct pq_file *parquet, uint32_t index, struct weir_error *err)
{
	struct pq_row_group *group;
	int status;
	if (pq_file_row_group_rows(parquet, index) >= SPLICE_ROWS) {
		struct weir_error other_schema = WEIR_ERROR_INIT;
		status = pq_file_row_group_copy(parquet, index, &group, &other_schema);
		if (status == 0) {
			status = ice_writer_splice(writer, file->partition, group, &other_schema);
			pq_row_group_free(group);
		}
		if (status != WEIR_E_UNSUPPORTED && status != WEIR_E_INPUT) {
			*err = other_schema;
			return status;
		}
	} /* a group of an older schema is decoded, and encoded as the newest */
	struct pq_read_options options = {
		.schema = ice_table_schema(merge->version), .row_groups = &index, .row_group_count = 1};
	struct pq_reader *reader;
	struct weir_batch *batch;
	status = pq_reader_open(parquet, &options, &reader, err);
	if (status != 0)
		return status;
	while (status == 0 && (status = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		status = ice_writer_add(writer, batch, NULL, err);
		weir_batch_release(batch);
	}
	pq_reader_close(reader);
	return status;
}

/* Files of an unsorted table, one after the other. */
static int write_joined(struct merge *merge, struct ice_writer *writer, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < merge->count && status == 0; i++) {
		struct ice_footer *footer;
		const struct pq_file *parquet;
		status = ice_footer_open(merge->version, merge->files[i], &footer, &parquet, err);
		if (status != 0)
			break;
		for (uint32_t g = 0; g < pq_file_row_group_count(parquet) && status == 0; g++)
			status = join_group(merge, writer, merge->files[i], parquet, g, err);
		ice_footer_release(footer);
	}
	return status;
}

static int write_merged(struct merge *merge, struct weir_error *err)
{
	struct jobs *jobs = merge->jobs;
	struct ice_writer *landing = NULL, *own = NULL;
	int status = jobs_writer(jobs, merge->version, merge->files[0]->spec_id, merge->prefix, &landing, err);
	if (status == 0 && merge->own_count > 0)
		status = jobs_writer(jobs, merge->version, 0, merge->prefix, &own, err);
	if (status == 0)
		status = is_sorted(merge) ? write_sorted(merge, landing, own, err) : write_joined(merge, landing, err);
	if (status == 0) {
		status = ice_writer_close(landing, &merge->written, err);
		landing = NULL;
	}
	if (status == 0 && own != NULL) {
		status = ice_writer_close(own, &merge->own, err);
		own = NULL;
	}
	if (landing != NULL)
		ice_writer_abandon(landing);
	if (own != NULL)
		ice_writer_abandon(own);
	if (status == 0)
		status = jobs_durable(jobs, &merge->written, err);
	if (status == 0)
		status = jobs_durable(jobs, &merge->own, err);
	return status;
}

static void stage(void *context, struct control_change *change)
{
	struct merge *merge = context;
	ice_stage_prefix_done(change, weir_str_from(merge->prefix));
}

static int commit_merged(struct merge *merge, struct weir_arena *arena, struct weir_error *err)
{
	struct jobs *jobs = merge->jobs;
	uint32_t added = merge->written.count + merge->own.count;
	struct ice_data_file *files = weir_arena_calloc(arena, added, sizeof *files);
	struct weir_str *removed = weir_arena_calloc(arena, merge->count, sizeof *removed);
	if (merge->written.count > 0)
		memcpy(files, merge->written.files, merge->written.count * sizeof *files);
	if (merge->own.count > 0)
		memcpy(files + merge->written.count, merge->own.files, merge->own.count * sizeof *files);
	for (uint32_t i = 0; i < merge->count; i++)
		removed[i] = merge->files[i]->path;
	struct ice_commit_part part = {
		.table = merge->table,
		.edit = {.operation = ICE_OP_REPLACE,
			.added = files,
			.added_count = added,
			.removed = removed,
			.removed_count = merge->count,
			.prefix = weir_str_from(merge->prefix),
			.keep_snapshots = merge->lake_table != NULL && merge->lake_table->keep_snapshots > 0
				? merge->lake_table->keep_snapshots
				: 100,
			.now_ms = weir_now_us(&jobs->config.clock) / 1000},
	};
	return ice_commit(jobs->config.registry, CONTROL_BACKGROUND, &part, 1, stage, NULL, merge, NULL, err);
}

static int merge_files(struct merge *merge, struct weir_error *err)
{
	struct jobs *jobs = merge->jobs;
	struct weir_arena *arena = weir_arena_new(0);
	uint64_t bytes = 0, rows = 0;
	for (uint32_t i = 0; i < merge->count; i++) {
		bytes += (uint64_t)merge->files[i]->size_bytes;
		rows += (uint64_t)merge->files[i]->record_count;
	}
	int status = ice_reserve_prefix(jobs->config.control, weir_now_us(&jobs->config.clock), merge->prefix, err);
	bool landing =
		merge->lake_table != NULL && merge->lake_table->landing_count > 0 && merge->files[0]->spec_id == 1;
	if (status == 0 && landing && bytes >= merge->lake_table->own_partition_from_bytes)
		status = count_cells(merge, bytes, rows, arena, err);
	if (status == 0)
		status = write_merged(merge, err);
	if (status == 0)
		status = commit_merged(merge, arena, err);
	jobs_written_free(jobs, &merge->written);
	jobs_written_free(jobs, &merge->own);
	if (status != 0)
		jobs_give_up(jobs, merge->prefix);
	weir_arena_free(arena);
	return status;
}

/* The stream's time column in the table, where it is a time of any day at all. */
static const struct weir_field *time_field(const struct merge *merge)
{
	const struct weir_schema *schema = ice_table_schema(merge->version);
	if (merge->lake_table == NULL)
		return NULL;
	uint32_t column = weir_schema_find(schema, merge->jobs->config.lake->streams[merge->lake_table->stream].time);
	return column != WEIR_NO_FIELD && schema->fields[column].type == WEIR_TIMESTAMPTZ ? &schema->fields[column]
											  : NULL;
}

static int compact_table(struct jobs *jobs, uint32_t table, bool *ret_did, struct weir_error *err)
{
	const struct lake *lake = jobs->config.lake;
	const struct ice_data_file *picked[MERGE_FILES_MAX];
	struct merge merge = {.jobs = jobs, .table = table, .files = picked};
	struct ice_file_list *files;
	merge.version = ice_registry_table(jobs->config.registry, table);
	merge.lake_table = table < lake->table_count ? &lake->tables[table] : NULL;
	int status = ice_plan(merge.version, -1, &(struct expr_filter){NULL, 0}, &files, err);
	if (status == 0) {
		uint64_t target = merge.lake_table != NULL && merge.lake_table->file_target_bytes > 0
			? merge.lake_table->file_target_bytes
			: 128U << 20;
		merge.count = pick_files(files, time_field(&merge), target, picked);
		if (merge.count > 0)
			status = merge_files(&merge, err);
		*ret_did = status == 0 && merge.count > 0;
		ice_file_list_free(files);
	}
	ice_table_unref(merge.version);
	if (status == 0 && *ret_did)
		jobs_count(jobs, &(struct jobs_numbers){.compactions = 1, .files_merged = merge.count});
	return status;
}

int jobs_compact(struct jobs *jobs, bool *ret_did, struct weir_error *err)
{
	uint64_t generation = ice_registry_generation(jobs->config.registry);
	*ret_did = false;
	if (generation == jobs->compacted_generation)
		return 0;
	for (uint32_t t = 0; t < ice_registry_count(jobs->config.registry) && !*ret_did; t++) {
		int status = compact_table(jobs, t, ret_did, err);
		if (status == WEIR_E_CONFLICT ||
			status == WEIR_E_NOT_FOUND) { /* its input is gone: planned anew next time */
			*ret_did = true;
			return 0;
		}
		if (status != 0)
			return status;
	}
	if (!*ret_did)
		jobs->compacted_generation = generation;
	return 0;
}
