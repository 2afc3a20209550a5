/* A table's metadata as rows: what other engines call metadata tables. Bounded: a batch at a time, manifest by manifest. */
#include <stdlib.h>

#include "base/time.h"
#include "column/builder.h"
#include "iceberg/internal.h"
#include "iceberg/revise.h"

#define COLUMN(text, kind) \
	{ \
		.name = {text, sizeof(text) - 1}, .type = kind \
	}

static struct weir_field snapshot_fields[] = {COLUMN("committed_at", WEIR_TIMESTAMPTZ),
	COLUMN("snapshot_id", WEIR_INT64), COLUMN("parent_id", WEIR_INT64), COLUMN("operation", WEIR_STRING),
	COLUMN("sequence_number", WEIR_INT64), COLUMN("added_records", WEIR_INT64),
	COLUMN("deleted_records", WEIR_INT64), COLUMN("total_records", WEIR_INT64),
	COLUMN("total_data_files", WEIR_INT64), COLUMN("total_delete_files", WEIR_INT64),
	COLUMN("manifest_list", WEIR_STRING)};
static struct weir_field history_fields[] = {COLUMN("made_current_at", WEIR_TIMESTAMPTZ),
	COLUMN("snapshot_id", WEIR_INT64), COLUMN("parent_id", WEIR_INT64), COLUMN("is_current_ancestor", WEIR_BOOL)};
static struct weir_field ref_fields[] = {COLUMN("name", WEIR_STRING), COLUMN("type", WEIR_STRING),
	COLUMN("snapshot_id", WEIR_INT64), COLUMN("committed_at", WEIR_TIMESTAMPTZ),
	COLUMN("max_reference_age_ms", WEIR_INT64), COLUMN("min_snapshots_to_keep", WEIR_INT64),
	COLUMN("max_snapshot_age_ms", WEIR_INT64)};
static struct weir_field manifest_fields[] = {COLUMN("content", WEIR_STRING), COLUMN("path", WEIR_STRING),
	COLUMN("length", WEIR_INT64), COLUMN("partition_spec_id", WEIR_INT64), COLUMN("sequence_number", WEIR_INT64),
	COLUMN("added_snapshot_id", WEIR_INT64), COLUMN("added_files", WEIR_INT64),
	COLUMN("existing_files", WEIR_INT64), COLUMN("deleted_files", WEIR_INT64), COLUMN("added_rows", WEIR_INT64),
	COLUMN("existing_rows", WEIR_INT64), COLUMN("deleted_rows", WEIR_INT64)};
static struct weir_field file_fields[] = {COLUMN("content", WEIR_STRING), COLUMN("path", WEIR_STRING),
	COLUMN("format", WEIR_STRING), COLUMN("spec_id", WEIR_INT64), COLUMN("partition", WEIR_STRING),
	COLUMN("records", WEIR_INT64), COLUMN("size_bytes", WEIR_INT64), COLUMN("sequence_number", WEIR_INT64),
	COLUMN("first_row_id", WEIR_INT64), COLUMN("referenced_data_file", WEIR_STRING)};
static struct weir_field partition_fields[] = {COLUMN("partition", WEIR_STRING), COLUMN("spec_id", WEIR_INT64),
	COLUMN("records", WEIR_INT64), COLUMN("files", WEIR_INT64), COLUMN("size_bytes", WEIR_INT64),
	COLUMN("position_delete_files", WEIR_INT64), COLUMN("position_deletes", WEIR_INT64),
	COLUMN("equality_delete_files", WEIR_INT64), COLUMN("equality_deletes", WEIR_INT64)};

#define SCHEMA(array) \
	{ \
		.field_count = sizeof(array) / sizeof(array)[0], .fields = (array) \
	}
static const struct weir_schema schemas[ICE_METADATA_TABLES] = {
	[ICE_TABLE_SNAPSHOTS] = SCHEMA(snapshot_fields),
	[ICE_TABLE_HISTORY] = SCHEMA(history_fields),
	[ICE_TABLE_REFS] = SCHEMA(ref_fields),
	[ICE_TABLE_MANIFESTS] = SCHEMA(manifest_fields),
	[ICE_TABLE_FILES] = SCHEMA(file_fields),
	[ICE_TABLE_PARTITIONS] = SCHEMA(partition_fields),
};

const char *ice_metadata_table_name(enum ice_metadata_table which)
{
	static const char *const names[] = {"snapshots", "history", "refs", "manifests", "files", "partitions"};
	return names[which];
}

const struct weir_schema *ice_metadata_table_schema(enum ice_metadata_table which)
{
	return &schemas[which];
}

/* Rows under way to the callback. */
struct output {
	struct weir_builder *builder;
	ice_batch_fn *batch;
	void *context;
	struct weir_error *err;
	uint32_t column;
	int code;
};

static void flush(struct output *output)
{
	struct weir_batch *batch = weir_builder_take(output->builder);
	if (batch != NULL && output->code == 0)
		output->code = output->batch(output->context, batch, output->err);
	weir_batch_release(batch);
}

static void put_text(struct output *output, struct weir_str text)
{
	if (text.data != NULL)
		weir_builder_str(output->builder, output->column, text);
	output->column++;
}

/* -1 is what the model has where a number is unknown or absent: null. */
static void put_number(struct output *output, int64_t number)
{
	if (number != -1)
		weir_builder_i64(output->builder, output->column, number);
	output->column++;
}

static void put_time(struct output *output, int64_t time_ms)
{
	weir_builder_i64(output->builder, output->column++, time_ms * WEIR_US_PER_MS);
}

static void end_row(struct output *output)
{
	weir_builder_end_row(output->builder);
	output->column = 0;
	if (weir_builder_full(output->builder))
		flush(output);
}

static int64_t summary_number(const struct ice_snapshot *snapshot, const char *key)
{
	int64_t number;
	return weir_str_to_i64(ice_summary(snapshot, key), &number) ? number : -1;
}

static void snapshots(struct output *output, const struct ice_metadata *metadata)
{
	for (uint32_t i = 0; i < metadata->snapshot_count && output->code == 0; i++) {
		const struct ice_snapshot *snapshot = &metadata->snapshots[i];
		put_time(output, snapshot->timestamp_ms);
		put_number(output, snapshot->id);
		put_number(output, snapshot->parent_id);
		put_text(output, ice_summary(snapshot, "operation"));
		put_number(output, snapshot->sequence_number);
		put_number(output, summary_number(snapshot, "added-records"));
		put_number(output, summary_number(snapshot, "deleted-records"));
		put_number(output, summary_number(snapshot, "total-records"));
		put_number(output, summary_number(snapshot, "total-data-files"));
		put_number(output, summary_number(snapshot, "total-delete-files"));
		put_text(output, snapshot->manifest_list);
		end_row(output);
	}
}

static void history(struct output *output, const struct ice_metadata *metadata)
{
	for (uint32_t i = 0; i < metadata->snapshot_log_count && output->code == 0; i++) {
		const struct ice_log_entry *entry = &metadata->snapshot_log[i];
		const struct ice_snapshot *snapshot = ice_metadata_snapshot(metadata, entry->snapshot_id);
		put_time(output, entry->timestamp_ms);
		put_number(output, entry->snapshot_id);
		put_number(output, snapshot != NULL ? snapshot->parent_id : -1);
		weir_builder_bool(output->builder, output->column++,
			ice_is_ancestor(metadata, entry->snapshot_id, metadata->current_snapshot_id));
		end_row(output);
	}
}

static void refs(struct output *output, const struct ice_metadata *metadata)
{
	for (uint32_t i = 0; i < metadata->ref_count && output->code == 0; i++) {
		const struct ice_ref *ref = &metadata->refs[i];
		const struct ice_snapshot *snapshot = ice_metadata_snapshot(metadata, ref->snapshot_id);
		put_text(output, ref->name);
		put_text(output, ref->is_tag ? WEIR_STR("tag") : WEIR_STR("branch"));
		put_number(output, ref->snapshot_id);
		if (snapshot != NULL)
			put_time(output, snapshot->timestamp_ms);
		else
			output->column++;
		put_number(output, ref->max_ref_age_ms);
		put_number(output, ref->min_snapshots_to_keep);
		put_number(output, ref->max_snapshot_age_ms);
		end_row(output);
	}
}

static void manifest_rows(struct output *output, const struct ice_manifest *manifests, uint32_t count)
{
	for (uint32_t i = 0; i < count && output->code == 0; i++) {
		const struct ice_manifest *manifest = &manifests[i];
		put_text(output, manifest->content == 0 ? WEIR_STR("data") : WEIR_STR("deletes"));
		put_text(output, manifest->path);
		put_number(output, manifest->length);
		put_number(output, manifest->spec_id);
		put_number(output, manifest->sequence_number);
		put_number(output, manifest->added_snapshot_id);
		put_number(output, manifest->added_files);
		put_number(output, manifest->existing_files);
		put_number(output, manifest->deleted_files);
		put_number(output, manifest->added_rows);
		put_number(output, manifest->existing_rows);
		put_number(output, manifest->deleted_rows);
		end_row(output);
	}
}

/* ---- files and partitions ---- */

struct partition {
	struct weir_str path;
	int32_t spec_id;
	int64_t records, files, size_bytes, position_files, positions, equality_files, equalities;
};

struct partitions {
	struct weir_arena *arena;
	struct partition *items;
	uint32_t count, capacity;
};

static struct partition *partition_of(struct partitions *partitions, int32_t spec_id, struct weir_str path)
{
	for (uint32_t i = partitions->count; i > 0; i--) /* files of a partition are near each other */
		if (partitions->items[i - 1].spec_id == spec_id && weir_str_equal(partitions->items[i - 1].path, path))
			return &partitions->items[i - 1];
	WEIR_GROW(partitions->items, partitions->count, partitions->capacity);
	partitions->items[partitions->count] =
		(struct partition){.path = weir_arena_str(partitions->arena, path), .spec_id = spec_id};
	return &partitions->items[partitions->count++];
}

static void count_file(struct partition *partition, const struct ice_data_file *file)
{
	switch (file->content) {
	case ICE_DATA:
		partition->files++;
		partition->records += file->record_count;
		partition->size_bytes += file->size_bytes;
		break;
	case ICE_POSITION_DELETES:
		partition->position_files++;
		partition->positions += file->record_count;
		break;
	case ICE_EQUALITY_DELETES:
		partition->equality_files++;
		partition->equalities += file->record_count;
		break;
	}
}

static void put_file(struct output *output, const struct ice_data_file *file, struct weir_str path, int64_t sequence)
{
	static const char *const contents[] = {"data", "position_deletes", "equality_deletes"};
	put_text(output, weir_str_from(contents[file->content]));
	put_text(output, file->path);
	put_text(output, file->format);
	put_number(output, file->spec_id);
	put_text(output, path);
	put_number(output, file->record_count);
	put_number(output, file->size_bytes);
	put_number(output, sequence);
	put_number(output, file->first_row_id);
	put_text(output, file->referenced_data_file);
	end_row(output);
}

static int each_file(struct output *output, struct ice_table *table, const struct ice_manifest *manifest,
	struct partitions *partitions, struct weir_error *err)
{
	const struct ice_spec *spec = ice_metadata_spec(table->metadata, manifest->spec_id);
	struct weir_arena *scratch = weir_arena_new(4096);
	struct ice_cached *cached;
	int code = ice_cached_manifest(table, manifest, &cached, err);
	if (code != 0) {
		weir_arena_free(scratch);
		return code;
	}
	const struct ice_entries *entries = ice_cached_entries(cached);
	for (uint32_t i = 0; i < entries->count && output->code == 0; i++) {
		const struct ice_data_file *file = &entries->files[i];
		if (file->status == ICE_DELETED)
			continue;
		struct weir_str path = ice_partition_path(scratch, spec, ice_table_schema(table), file->partition);
		if (partitions != NULL)
			count_file(partition_of(partitions, file->spec_id, path), file);
		else
			put_file(output, file, path,
				file->sequence_number >= 0 ? file->sequence_number : manifest->sequence_number);
		weir_arena_reset(scratch);
	}
	ice_cached_release(cached);
	weir_arena_free(scratch);
	return output->code;
}

static void partition_rows(struct output *output, const struct partitions *partitions)
{
	for (uint32_t i = 0; i < partitions->count && output->code == 0; i++) {
		const struct partition *partition = &partitions->items[i];
		put_text(output, partition->path);
		put_number(output, partition->spec_id);
		put_number(output, partition->records);
		put_number(output, partition->files);
		put_number(output, partition->size_bytes);
		put_number(output, partition->position_files);
		put_number(output, partition->positions);
		put_number(output, partition->equality_files);
		put_number(output, partition->equalities);
		end_row(output);
	}
}

/* manifests, files and partitions of a snapshot. */
static int of_snapshot(struct output *output, struct ice_table *table, enum ice_metadata_table which,
	int64_t snapshot_id, struct weir_error *err)
{
	const struct ice_metadata *metadata = table->metadata;
	const struct ice_snapshot *snapshot =
		snapshot_id == -1 ? ice_metadata_current(metadata) : ice_metadata_snapshot(metadata, snapshot_id);
	struct partitions partitions = {.arena = weir_arena_new(0)};
	struct ice_cached *list = NULL;
	const struct ice_manifest *manifests;
	uint32_t count;
	int code = 0;
	if (snapshot == NULL && snapshot_id != -1)
		code = weir_fail_at(err, WEIR_E_NOT_FOUND, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table has no snapshot %lld; it may have expired", (long long)snapshot_id);
	if (code == 0)
		code = ice_table_manifests(table, snapshot, &list, &manifests, &count, err);
	if (code == 0 && which == ICE_TABLE_MANIFESTS)
		manifest_rows(output, manifests, count);
	for (uint32_t i = 0; code == 0 && which != ICE_TABLE_MANIFESTS && i < count; i++)
		code = each_file(output, table, &manifests[i], which == ICE_TABLE_PARTITIONS ? &partitions : NULL, err);
	if (code == 0)
		partition_rows(output, &partitions);
	ice_cached_release(list);
	free(partitions.items);
	weir_arena_free(partitions.arena);
	return code;
}

int ice_metadata_table_scan(struct ice_table *table, enum ice_metadata_table which, int64_t snapshot_id,
	ice_batch_fn *batch, void *context, struct weir_error *err)
{
	struct output output = {
		.builder = weir_builder_new(&schemas[which]), .batch = batch, .context = context, .err = err};
	int code = 0;
	switch (which) {
	case ICE_TABLE_SNAPSHOTS:
		snapshots(&output, table->metadata);
		break;
	case ICE_TABLE_HISTORY:
		history(&output, table->metadata);
		break;
	case ICE_TABLE_REFS:
		refs(&output, table->metadata);
		break;
	default:
		code = of_snapshot(&output, table, which, snapshot_id, err);
	}
	if (code == 0)
		flush(&output);
	weir_builder_free(output.builder);
	return code != 0 ? code : output.code;
}
