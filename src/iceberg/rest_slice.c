#include "iceberg/rest_slice.h"

#include <stdlib.h>

#include "iceberg/internal.h"

/* The summary of the column's identity field in a manifest, or NULL. */
static const struct ice_field_summary *find_summary(
	const struct ice_metadata *metadata, const struct ice_manifest *manifest, int32_t column_id)
{
	const struct ice_spec *spec = ice_metadata_spec(metadata, manifest->spec_id);
	for (uint32_t i = 0; spec != NULL && i < spec->field_count && i < manifest->partition_count; i++)
		if (spec->fields[i].source_id == column_id && spec->fields[i].transform.kind == ICE_IDENTITY)
			return &manifest->partitions[i];
	return NULL;
}

/* 1: of the slice, 0: of another, negative: it cannot be told. */
static int belongs(const struct ice_metadata *metadata, const struct ice_manifest *manifest, int32_t column_id,
	const struct weir_str *values, uint32_t value_count, struct weir_error *err)
{
	const struct ice_field_summary *summary = find_summary(metadata, manifest, column_id);
	if (manifest->added_files == 0 && manifest->existing_files == 0)
		return 0; /* nothing in it is live */
	if (summary == NULL || summary->contains_null || !summary->has_bounds ||
		!weir_str_equal(summary->lower, summary->upper))
		return weir_fail_at(err, WEIR_E_CORRUPT, manifest->path, WEIR_ERROR_NO_OFFSET,
			"this manifest holds rows of more than one slice; no slice of the table is given until it is "
			"rewritten");
	for (uint32_t i = 0; i < value_count; i++)
		if (weir_str_equal(summary->lower, values[i]))
			return 1;
	return 0;
}

static void count_manifest(const struct ice_manifest *manifest, struct ice_slice *slice)
{
	uint64_t files = (uint64_t)(manifest->added_files > 0 ? manifest->added_files : 0) +
		(uint64_t)(manifest->existing_files > 0 ? manifest->existing_files : 0);
	uint64_t rows = (uint64_t)(manifest->added_rows > 0 ? manifest->added_rows : 0) +
		(uint64_t)(manifest->existing_rows > 0 ? manifest->existing_rows : 0);
	*(manifest->content == 0 ? &slice->data_files : &slice->delete_files) += files;
	*(manifest->content == 0 ? &slice->rows : &slice->delete_rows) += rows;
}

static int write_list(struct ice_table *table, const struct ice_snapshot *snapshot,
	const struct ice_manifest *manifests, uint32_t count, const char *file, struct weir_error *err)
{
	struct store_file *handle;
	int status = store_create(table->store, file, &handle, err);
	if (status != 0)
		return status;
	status = ice_manifest_list_write(
		store_file_sink(handle), snapshot, table->metadata->format_version, manifests, count, err);
	if (status != 0) {
		store_abandon(table->store, handle);
		return status;
	}
	return store_barrier(table->store, &handle, 1, err);
}

int ice_slice_write(struct ice_table *table, struct weir_str column, const struct weir_str *values,
	uint32_t value_count, const char *file, struct weir_arena *arena, struct ice_slice *ret_slice,
	struct weir_error *err)
{
	const struct ice_snapshot *snapshot = ice_metadata_current(table->metadata);
	uint32_t index = weir_schema_find(ice_table_schema(table), column), count = 0, kept = 0;
	struct ice_cached *cached = NULL;
	const struct ice_manifest *manifests;
	*ret_slice = (struct ice_slice){0};
	if (snapshot == NULL)
		return 0;
	if (index == WEIR_NO_FIELD)
		return weir_fail(err, WEIR_E_INPUT, "the table has no column %.*s to slice by", WEIR_STR_ARG(column));
	int status = ice_table_manifests(table, snapshot, &cached, &manifests, &count, err);
	if (status != 0)
		return status;
	struct ice_manifest *slice = weir_zalloc((count > 0 ? count : 1) * sizeof *slice);
	for (uint32_t i = 0; i < count && status >= 0; i++) {
		status = belongs(table->metadata, &manifests[i], ice_table_schema(table)->fields[index].id, values,
			value_count, err);
		if (status != 1)
			continue;
		slice[kept++] = manifests[i];
		count_manifest(&manifests[i], ret_slice);
	}
	if (status >= 0)
		status = write_list(table, snapshot, slice, kept, file, err);
	if (status == 0)
		ret_slice->list = store_uri(table->store, arena, weir_str_from(file));
	free(slice);
	ice_cached_release(cached);
	return status;
}

/* ---- what its readers open ---- */

static bool is_plain(struct weir_str value)
{
	for (size_t i = 0; i < value.size; i++) {
		char c = value.data[i];
		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
			    c == '-'))
			return false;
	}
	return value.size > 0;
}

static int list_names(
	struct ice_table *slice, struct weir_arena *arena, struct ice_slice_objects *objects, struct weir_error *err)
{
	const struct ice_snapshot *snapshot = ice_metadata_current(slice->metadata);
	const struct ice_manifest *manifests;
	struct ice_cached *cached;
	struct weir_str name;
	uint32_t count;
	if (snapshot == NULL)
		return 0;
	int status = ice_table_manifests(slice, snapshot, &cached, &manifests, &count, err);
	if (status != 0)
		return status;
	objects->names = weir_arena_calloc(arena, count + 1, sizeof *objects->names);
	status = ice_file_name(slice, arena, snapshot->manifest_list, &name, err);
	if (status == 0)
		objects->names[objects->name_count++] = name.data;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		status = ice_file_name(slice, arena, manifests[i].path, &name, err);
		if (status == 0)
			objects->names[objects->name_count++] = name.data;
	}
	ice_cached_release(cached);
	return status;
}

/* Every file of the slice, and every delete file of those, lies in one of the folders. */
static int check_places(struct ice_table *slice, const struct ice_slice_objects *objects,
	const struct ice_data_file *file, struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(1024);
	struct weir_str name;
	bool found = false;
	int status = ice_file_name(slice, scratch, file->path, &name, err);
	for (uint32_t i = 0; i < objects->folder_count && status == 0 && !found; i++)
		found = weir_str_has_prefix(name, weir_str_from(objects->folders[i])) &&
			name.data[strlen(objects->folders[i])] == '/';
	if (status == 0 && !found)
		status = weir_fail_at(err, WEIR_E_UNSUPPORTED, file->path, WEIR_ERROR_NO_OFFSET,
			"a file of the slice lies outside of the folders of its values");
	weir_arena_free(scratch);
	for (uint32_t i = 0; i < file->delete_count && status == 0; i++)
		status = check_places(slice, objects, file->deletes[i], err);
	return status;
}

int ice_slice_objects(struct ice_table *slice, struct weir_str column, const struct weir_str *values,
	uint32_t value_count, struct weir_arena *arena, struct ice_slice_objects *ret_objects, struct weir_error *err)
{
	struct ice_file_list *list;
	struct weir_str home;
	*ret_objects = (struct ice_slice_objects){0};
	int status = list_names(slice, arena, ret_objects, err);
	if (status == 0)
		status = store_name_of(slice->store, arena, slice->metadata->location, &home, err);
	if (status != 0)
		return status;
	ret_objects->folders =
		weir_arena_calloc(arena, value_count > 0 ? value_count : 1, sizeof *ret_objects->folders);
	for (uint32_t i = 0; i < value_count; i++) {
		if (!is_plain(values[i]))
			return weir_fail(err, WEIR_E_UNSUPPORTED, "the value '%.*s' is written otherwise in a path",
				WEIR_STR_ARG(values[i]));
		ret_objects->folders[ret_objects->folder_count++] = weir_arena_printf(arena, "%.*s/data/%.*s=%.*s",
			WEIR_STR_ARG(home), WEIR_STR_ARG(column), WEIR_STR_ARG(values[i]));
	}
	status = ice_plan(slice, -1, NULL, &list, err);
	if (status != 0)
		return status;
	for (uint32_t i = 0; i < list->count && status == 0; i++)
		status = check_places(slice, ret_objects, list->files[i], err);
	ice_file_list_free(list);
	return status;
}
