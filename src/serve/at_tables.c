/* /api/admin/tables...: what the tables' metadata says: no row is read, so nothing here needs the fence. */
#include "serve/serve_int.h"

#include <time.h>

#include "iceberg/registry.h"

static void summary_number(
	struct weir_json *json, const char *name, const struct ice_snapshot *snapshot, const char *key)
{
	uint64_t value = 0;
	weir_json_key(json, name);
	if (snapshot != NULL && weir_str_to_u64(ice_summary(snapshot, key), &value))
		weir_json_uint(json, value);
	else if (snapshot == NULL)
		weir_json_uint(json, 0);
	else
		weir_json_null(json);
}

static void write_table(struct weir_json *json, const struct ice_table *table)
{
	struct ice_name name = ice_table_name(table);
	const struct ice_metadata *metadata = ice_table_metadata(table);
	const struct ice_snapshot *current = ice_metadata_current(metadata);
	weir_json_object(json);
	weir_json_key_string(json, "namespace", name.ns);
	weir_json_key_string(json, "name", name.table);
	summary_number(json, "rows", current, "total-records");
	summary_number(json, "files", current, "total-data-files");
	summary_number(json, "bytes", current, "total-files-size");
	weir_json_key_uint(json, "snapshots", metadata->snapshot_count);
	/* Ids are 63 bits: text, so that no reader rounds them. */
	char id[24];
	snprintf(id, sizeof id, "%lld", (long long)(current != NULL ? current->id : 0));
	weir_json_key_cstring(json, "snapshot_id", current != NULL ? id : NULL);
	weir_json_key(json, "committed_at");
	if (current != NULL)
		weir_json_time(json, current->timestamp_ms * WEIR_US_PER_MS);
	else
		weir_json_null(json);
	weir_json_key_string(json, "metadata", ice_table_metadata_uri(table));
	weir_json_object_end(json);
}

int at_tables(struct serve_call *call, struct weir_error *err)
{
	struct ice_registry *registry = engine_registry(call->app->engine);
	(void)err;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key(&json, "tables");
	weir_json_array(&json);
	for (uint32_t i = 0; i < ice_registry_count(registry); i++) {
		struct ice_table *table = ice_registry_table(registry, i);
		write_table(&json, table);
		ice_table_unref(table);
	}
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	return 0;
}

/* "gold.NAME", referenced. */
static int find_table(const struct serve_call *call, struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_registry *registry = engine_registry(call->app->engine);
	struct weir_str wanted = call->values[0];
	for (uint32_t i = 0; i < ice_registry_count(registry); i++) {
		struct ice_table *table = ice_registry_table(registry, i);
		struct ice_name name = ice_table_name(table);
		if (wanted.size == name.ns.size + 1 + name.table.size && weir_str_has_prefix(wanted, name.ns) &&
			wanted.data[name.ns.size] == '.' && weir_str_has_suffix(wanted, name.table)) {
			*ret_table = table;
			return 0;
		}
		ice_table_unref(table);
	}
	return weir_fail(err, WEIR_E_NOT_FOUND,
		"this lake has no table of that name; write NAMESPACE.NAME as GET /api/admin/tables does");
}

static void write_snapshot(struct weir_json *json, const struct ice_snapshot *snapshot, bool current)
{
	char id[24];
	weir_json_object(json);
	snprintf(id, sizeof id, "%lld", (long long)snapshot->id);
	weir_json_key_cstring(json, "snapshot_id", id);
	snprintf(id, sizeof id, "%lld", (long long)snapshot->parent_id);
	weir_json_key_cstring(json, "parent_id", snapshot->parent_id >= 0 ? id : NULL);
	weir_json_key_int(json, "sequence_number", snapshot->sequence_number);
	weir_json_key(json, "committed_at");
	weir_json_time(json, snapshot->timestamp_ms * WEIR_US_PER_MS);
	weir_json_key_bool(json, "current", current);
	weir_json_key(json, "summary");
	weir_json_object(json);
	for (uint32_t i = 0; i < snapshot->summary_count; i++) {
		weir_json_key_str(json, snapshot->summary[i].key);
		weir_json_string(json, snapshot->summary[i].value);
	}
	weir_json_object_end(json);
	weir_json_object_end(json);
}

int at_snapshots(struct serve_call *call, struct weir_error *err)
{
	struct ice_table *table = NULL;
	int rc = find_table(call, &table, err);
	if (rc < 0)
		return rc;
	const struct ice_metadata *metadata = ice_table_metadata(table);
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key(&json, "snapshots");
	weir_json_array(&json);
	for (uint32_t i = 0; i < metadata->snapshot_count && rc == 0; i++) {
		write_snapshot(
			&json, &metadata->snapshots[i], metadata->snapshots[i].id == metadata->current_snapshot_id);
		rc = call_flush(call, err);
	}
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	ice_table_unref(table);
	return rc;
}

static void write_file(struct weir_json *json, const struct ice_table *table, const struct ice_data_file *file,
	struct weir_arena *arena)
{
	const struct ice_metadata *metadata = ice_table_metadata(table);
	const struct ice_spec *spec = ice_metadata_spec(metadata, file->spec_id);
	weir_json_object(json);
	weir_json_key_string(json, "path", file->path);
	weir_json_key(json, "partition");
	if (spec != NULL && spec->field_count > 0)
		weir_json_string(json, ice_partition_path(arena, spec, ice_table_schema(table), file->partition));
	else
		weir_json_cstring(json, "");
	weir_json_key_int(json, "rows", file->record_count);
	weir_json_key_int(json, "bytes", file->size_bytes);
	weir_json_key_int(json, "spec_id", file->spec_id);
	weir_json_key_int(json, "sequence_number", file->sequence_number);
	weir_json_object_end(json);
}

int at_files(struct serve_call *call, struct weir_error *err)
{
	struct ice_table *table = NULL;
	struct ice_file_list *list = NULL;
	struct expr_filter all = {0};
	int rc = find_table(call, &table, err);
	if (rc == 0)
		rc = ice_plan(table, -1, &all, &list, err);
	if (rc < 0)
		goto done;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key(&json, "files");
	weir_json_array(&json);
	for (uint32_t i = 0; i < list->count && rc == 0; i++) {
		write_file(&json, table, list->files[i], call->arena);
		rc = call_flush(call, err);
	}
	weir_json_array_end(&json);
	weir_json_object_end(&json);
done:
	ice_file_list_free(list);
	ice_table_unref(table);
	return rc;
}
