/* Table handles: creating, loading and opening versions of a table. A version is immutable and counted. */
#include "iceberg/internal.h"

#include <stdlib.h>

#include "base/uuid.h"

struct ice_name ice_table_name(const struct ice_table *table)
{
	return table->name;
}

const struct ice_metadata *ice_table_metadata(const struct ice_table *table)
{
	return table->metadata;
}

const struct weir_schema *ice_table_schema(const struct ice_table *table)
{
	return ice_metadata_current_schema(table->metadata);
}

struct weir_str ice_table_metadata_uri(const struct ice_table *table)
{
	return table->metadata_uri;
}

struct ice_table *ice_table_ref(struct ice_table *table)
{
	atomic_fetch_add(&table->refs, 1);
	return table;
}

void ice_table_unref(struct ice_table *table)
{
	if (table == NULL || atomic_fetch_sub(&table->refs, 1) != 1)
		return;
	weir_arena_free(table->arena);
	free(table);
}

struct ice_table *ice_table_of(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct weir_arena *take_arena, const struct ice_metadata *metadata)
{
	struct ice_table *table = weir_zalloc(sizeof *table);
	atomic_init(&table->refs, 1);
	table->store = store;
	table->cache = cache;
	table->arena = take_arena;
	table->name.ns = weir_arena_str(take_arena, name.ns);
	table->name.table = weir_arena_str(take_arena, name.table);
	table->metadata_uri = weir_arena_str(take_arena, metadata_uri);
	table->metadata = metadata;
	return table;
}

int ice_table_from_json(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct weir_str json, struct ice_table **ret_table, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct ice_metadata *metadata;
	int code = ice_metadata_parse(arena, json, metadata_uri, &metadata, err);
	if (code != 0) {
		weir_arena_free(arena);
		return code;
	}
	*ret_table = ice_table_of(store, cache, name, metadata_uri, arena, metadata);
	return 0;
}

/* The part of a URI behind its scheme and authority: "s3://bucket/a" and "file:///a" are "/a", "/a" itself. */
static struct weir_str path_of(struct weir_str uri)
{
	const char *colon = memchr(uri.data, ':', uri.size);
	if (colon == NULL)
		return uri;
	struct weir_str path = {colon + 1, uri.size - (size_t)(colon + 1 - uri.data)};
	if (weir_str_has_prefix(path, WEIR_STR("//"))) {
		const char *slash = memchr(path.data + 2, '/', path.size - 2);
		if (slash != NULL)
			return (struct weir_str){slash, path.size - (size_t)(slash - path.data)};
	}
	return path;
}

/* A path below the folder that both places of the table are in, as far as their last parts are alike. */
static bool below_common(const struct ice_table *table, struct weir_str location, struct weir_str path,
	struct weir_str *ret_home, struct weir_str *ret_rest)
{
	struct weir_str home = table->home;
	size_t same = 0, whole = 0;
	while (same < location.size && same < home.size &&
		location.data[location.size - 1 - same] == home.data[home.size - 1 - same])
		if (location.data[location.size - 1 - same++] == '/')
			whole = same;
	if (same == home.size && (same == location.size || location.data[location.size - 1 - same] == '/'))
		whole = same;
	location.size -= whole;
	if (whole == 0 || !weir_str_has_prefix(path, location))
		return false;
	*ret_home = (struct weir_str){home.data, home.size - whole};
	*ret_rest = (struct weir_str){path.data + location.size, path.size - location.size};
	return ret_rest->size > 0;
}

/* The part of a path from its last "/data/" or "/metadata/" on. */
static struct weir_str tail_of(struct weir_str path)
{
	for (size_t i = path.size; i > 0; i--) {
		struct weir_str rest = {path.data + i - 1, path.size - i + 1};
		if (weir_str_has_prefix(rest, WEIR_STR("/data/")) || weir_str_has_prefix(rest, WEIR_STR("/metadata/")))
			return rest;
	}
	return (struct weir_str){0};
}

int ice_file_name(const struct ice_table *table, struct weir_arena *arena, struct weir_str uri,
	struct weir_str *ret_name, struct weir_error *err)
{
	if (table->home.size == 0)
		return store_name_of(table->store, arena, uri, ret_name, err);
	struct weir_str location = path_of(table->metadata->location), path = path_of(uri), rest;
	struct weir_str home = table->home;
	if (weir_str_has_prefix(path, location) && path.size > location.size && path.data[location.size] == '/')
		rest = (struct weir_str){path.data + location.size, path.size - location.size};
	else if (!below_common(table, location, path, &home, &rest))
		rest = tail_of(path);
	if (rest.size == 0)
		return weir_fail_at(err, WEIR_E_INPUT, uri, WEIR_ERROR_NO_OFFSET,
			"the file is not below the location that the moved table had");
	struct weir_str name =
		weir_str_from(weir_arena_printf(arena, "%.*s%.*s", WEIR_STR_ARG(home), WEIR_STR_ARG(rest)));
	return store_name_of(table->store, arena, store_uri(table->store, arena, name), ret_name, err);
}

int ice_table_open_moved(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct ice_table **ret_table, struct weir_error *err)
{
	struct weir_str file;
	int code = ice_table_open(store, cache, name, metadata_uri, ret_table, err);
	if (code != 0)
		return code;
	struct ice_table *table = *ret_table;
	code = store_name_of(store, table->arena, metadata_uri, &file, err);
	for (int parts = 0; parts < 2 && file.size > 0; file.size--)
		parts += file.data[file.size - 1] == '/';
	if (code == 0 && file.size == 0)
		code = weir_fail_at(err, WEIR_E_INPUT, metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the metadata file is not in a folder of a table's folder");
	if (code != 0) {
		ice_table_unref(table);
		return code;
	}
	table->home = file;
	return 0;
}

int ice_table_open(struct store *store, struct ice_cache *cache, struct ice_name name, struct weir_str metadata_uri,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_buf json = WEIR_BUF_INIT;
	struct weir_str file;
	int code = store_name_of(store, scratch, metadata_uri, &file, err);
	if (code == 0)
		code = store_read_all(store, file.data, ICE_METADATA_BYTES_MAX, &json, err);
	if (code == 0)
		code = ice_table_from_json(store, cache, name, metadata_uri, weir_buf_str(&json), ret_table, err);
	weir_buf_done(&json);
	weir_arena_free(scratch);
	return code;
}

int ice_table_load(struct store *store, struct control *control, struct ice_cache *cache, struct ice_name name,
	struct ice_table **ret_table, struct weir_error *err)
{
	static const char sql[] =
		"SELECT metadata_location FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ?1"
		" AND table_name = ?2 AND (iceberg_type IS NULL OR iceberg_type = 'TABLE')";
	const struct control_value values[] = {CONTROL_T(name.ns), CONTROL_T(name.table)};
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_str uri;
	int code = control_query_text(control, scratch, sql, values, 2, &uri, err);
	if (code == WEIR_E_NOT_FOUND)
		code = weir_fail(err, WEIR_E_NOT_FOUND, "there is no table %.*s.%.*s", WEIR_STR_ARG(name.ns),
			WEIR_STR_ARG(name.table));
	if (code == 0)
		code = ice_table_open(store, cache, name, uri, ret_table, err);
	weir_arena_free(scratch);
	return code;
}

int ice_table_manifests(struct ice_table *table, const struct ice_snapshot *snapshot, struct ice_cached **ret_cached,
	const struct ice_manifest **ret_manifests, uint32_t *ret_count, struct weir_error *err)
{
	*ret_cached = NULL;
	*ret_manifests = NULL;
	*ret_count = 0;
	if (snapshot == NULL)
		return 0;
	int code = snapshot->manifest_list.size == 0 ? ice_cached_inline(table, snapshot, ret_cached, err)
						     : ice_cached_list(table, snapshot->manifest_list, ret_cached, err);
	if (code == 0)
		*ret_manifests = ice_cached_manifests(*ret_cached, ret_count);
	return code;
}

/* ---- creating ---- */

static int32_t largest_id(const struct weir_field *fields, uint32_t count)
{
	int32_t largest = 0;
	for (uint32_t i = 0; i < count; i++) {
		int32_t inside = largest_id(fields[i].children, fields[i].child_count);
		largest = fields[i].id > largest ? fields[i].id : largest;
		largest = inside > largest ? inside : largest;
	}
	return largest;
}

/* Every partition field has a source that its transform takes. */
static int check_specs(const struct ice_metadata *metadata, struct weir_error *err)
{
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		for (uint32_t j = 0; j < metadata->specs[i].field_count; j++) {
			const struct ice_partition_field *field = &metadata->specs[i].fields[j];
			struct weir_field type;
			if (field->field_id < 1000 || field->transform.kind == ICE_UNKNOWN_TRANSFORM ||
				!ice_partition_type(metadata, field, &type))
				return weir_fail(err, WEIR_E_INPUT,
					"partition field '%.*s' has no column of a primitive type, or a field id below "
					"1000",
					WEIR_STR_ARG(field->name));
		}
	if (ice_metadata_spec(metadata, metadata->default_spec_id) == NULL)
		return weir_fail(err, WEIR_E_INPUT, "the default partition spec %d is not among the table's specs",
			metadata->default_spec_id);
	return 0;
}

static void set_sort_orders(struct weir_arena *arena, const struct ice_sort_order *order, struct ice_metadata *metadata)
{
	metadata->sort_orders = weir_arena_calloc(arena, 2, sizeof *metadata->sort_orders);
	metadata->sort_order_count = 1; /* id 0: unsorted */
	if (order == NULL || order->field_count == 0)
		return;
	metadata->sort_orders[1] = *order;
	if (order->id == 0)
		metadata->sort_orders[1].id = 1;
	metadata->sort_order_count = 2;
	metadata->default_sort_order_id = metadata->sort_orders[1].id;
}

int ice_definition_metadata(struct weir_arena *arena, struct store *store, const struct ice_definition *definition,
	int64_t now_ms, struct ice_metadata **ret_metadata, struct weir_error *err)
{
	static const struct ice_spec unpartitioned = {.id = 0};
	struct ice_metadata *metadata = weir_arena_zalloc(arena, sizeof *metadata);
	struct weir_uuid uuid = weir_uuid_v7(now_ms * WEIR_US_PER_MS);
	char *uuid_text = weir_arena_alloc(arena, WEIR_UUID_TEXT);
	weir_uuid_format(&uuid, uuid_text);
	metadata->format_version = 2;
	metadata->table_uuid = weir_str_from(uuid_text);
	metadata->location = store_uri(store, arena, definition->location);
	metadata->last_updated_ms = now_ms;
	metadata->last_column_id = largest_id(definition->schema->fields, definition->schema->field_count);
	metadata->schemas = weir_schema_copy(arena, definition->schema);
	metadata->schemas[0].id = 0;
	metadata->schema_count = 1;
	metadata->spec_count = definition->spec_count > 0 ? definition->spec_count : 1;
	metadata->specs = weir_arena_copy(arena, definition->spec_count > 0 ? definition->specs : &unpartitioned,
		metadata->spec_count * sizeof *metadata->specs);
	metadata->default_spec_id = definition->default_spec_id;
	metadata->last_partition_id = 999;
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		for (uint32_t j = 0; j < metadata->specs[i].field_count; j++)
			if (metadata->specs[i].fields[j].field_id > metadata->last_partition_id)
				metadata->last_partition_id = metadata->specs[i].fields[j].field_id;
	set_sort_orders(arena, definition->sort_order, metadata);
	metadata->properties = weir_arena_copy(
		arena, definition->properties, definition->property_count * sizeof *metadata->properties);
	metadata->property_count = definition->property_count;
	metadata->current_snapshot_id = -1;
	*ret_metadata = metadata;
	return check_specs(metadata, err);
}

int ice_table_create(struct store *store, const struct ice_definition *definition, int64_t now_ms,
	struct control_change *change, struct weir_error *err)
{
	static const char namespace_sql[] =
		"INSERT INTO iceberg_namespace_properties(catalog_name, namespace, property_key, property_value)"
		" VALUES('weir', ?1, 'exists', 'true') ON CONFLICT DO NOTHING";
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf json = WEIR_BUF_INIT;
	struct ice_metadata *metadata;
	int code = ice_definition_metadata(arena, store, definition, now_ms, &metadata, err);
	if (code == 0) {
		struct weir_str name = weir_str_from(weir_arena_printf(arena, "%.*s/metadata/00000-%.*s.metadata.json",
			WEIR_STR_ARG(definition->location), WEIR_STR_ARG(metadata->table_uuid)));
		ice_metadata_write(metadata, &json);
		code = store_put(store, name.data, json.data, json.size, err);
		if (code == 0) {
			const struct control_value ns = CONTROL_T(definition->name.ns);
			control_change_sql(change, "namespace", CONTROL_ANY, namespace_sql, &ns, 1);
			control_swap_table(change, definition->name.ns, definition->name.table, (struct weir_str){0},
				store_uri(store, arena, name));
		}
	}
	weir_buf_done(&json);
	weir_arena_free(arena);
	return code;
}
