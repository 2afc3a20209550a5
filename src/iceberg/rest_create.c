/* A new table from a CreateTableRequest, and the empty one that a commit with assert-create starts from. */
#include <stdlib.h>

#include "iceberg/rest_document.h"

#define FIRST_PARTITION_ID 1000

/* "format-version" among the properties says the version and is none of the table's; so a client asks for version 1
 * or 3. */
static int take_format_version(json_t *properties, int64_t *ret_version, struct weir_error *err)
{
	struct weir_str text = ice_rest_text(properties, "format-version");
	*ret_version = 2;
	if (text.data == NULL)
		return 0;
	if (!weir_str_to_i64(text, ret_version) || *ret_version < 1 || *ret_version > ICE_REST_FORMAT_MAX)
		return weir_fail(err, WEIR_E_INPUT, "Unsupported format version: v%.*s (supported: v1 to v%d)",
			(int)(text.size < 20 ? text.size : 20), text.data, ICE_REST_FORMAT_MAX);
	json_object_del(properties, "format-version");
	return 0;
}

/* The new id of a field that a spec or an order names by the request's id. */
static int new_source(json_t *field, const json_t *ids, const char *what, struct weir_error *err)
{
	char old[24];
	json_t *sources = json_object_get(field, "source-ids"), *source;
	size_t index;
	int64_t id = ice_rest_int(field, "source-id", -1);
	if (sources != NULL) {
		json_array_foreach(sources, index, source)
		{
			snprintf(old, sizeof old, "%lld", (long long)json_integer_value(source));
			if (json_object_get(ids, old) == NULL)
				return weir_fail(
					err, WEIR_E_INPUT, "Cannot find source column for %s field: %s", what, old);
			json_array_set(sources, index, json_object_get(ids, old));
		}
		if (id < 0)
			return 0;
	}
	snprintf(old, sizeof old, "%lld", (long long)id);
	if (json_object_get(ids, old) == NULL)
		return weir_fail(err, WEIR_E_INPUT, "Cannot find source column for %s field: %s", what, old);
	json_object_set(field, "source-id", json_object_get(ids, old));
	return 0;
}

static int new_spec(const json_t *request, const json_t *ids, json_t *metadata, struct weir_error *err)
{
	json_t *fields = json_deep_copy(json_object_get(json_object_get(request, "partition-spec"), "fields")), *field;
	size_t index;
	int status = 0;
	if (fields == NULL)
		fields = json_array();
	if (!json_is_array(fields))
		status = weir_fail(err, WEIR_E_INPUT, "'partition-spec' has 'fields' that are not an array");
	json_object_set_new(metadata, "default-spec-id", json_integer(0));
	json_object_set_new(metadata, "partition-specs", json_pack("[{s:i,s:o}]", "spec-id", 0, "fields", fields));
	json_array_foreach(fields, index, field)
	{
		if (status == 0 &&
			(ice_rest_text(field, "name").data == NULL || ice_rest_text(field, "transform").data == NULL))
			status = weir_fail(err, WEIR_E_INPUT, "partition field %zu has no name or no transform", index);
		if (status == 0)
			status = new_source(field, ids, "partition", err);
		json_object_set_new(field, "field-id", json_integer(FIRST_PARTITION_ID + (json_int_t)index));
	}
	json_object_set_new(metadata, "last-partition-id",
		json_integer(FIRST_PARTITION_ID - 1 + (json_int_t)json_array_size(fields)));
	return status;
}

static int new_order(const json_t *request, const json_t *ids, json_t *metadata, struct weir_error *err)
{
	json_t *fields = json_deep_copy(json_object_get(json_object_get(request, "write-order"), "fields")), *field;
	size_t index;
	int status = 0;
	if (fields == NULL)
		fields = json_array();
	if (!json_is_array(fields))
		status = weir_fail(err, WEIR_E_INPUT, "'write-order' has 'fields' that are not an array");
	int id = json_array_size(fields) > 0 ? 1 : 0;
	json_object_set_new(metadata, "default-sort-order-id", json_integer(id));
	json_object_set_new(metadata, "sort-orders", json_pack("[{s:i,s:o}]", "order-id", id, "fields", fields));
	json_array_foreach(fields, index, field)
	{
		if (status == 0)
			status = new_source(field, ids, "sort", err);
	}
	return status;
}

static int take_properties(const json_t *request, json_t *metadata, struct weir_error *err)
{
	json_t *properties = json_deep_copy(json_object_get(request, "properties")), *value;
	const char *key;
	int64_t version;
	if (!json_is_object(properties)) {
		json_decref(properties);
		properties = json_object();
	}
	json_object_set_new(metadata, "properties", properties);
	json_object_foreach(properties, key, value)
	{
		if (!json_is_string(value))
			return weir_fail(
				err, WEIR_E_INPUT, "property '%.100s' is not a text; write its value in quotes", key);
	}
	int status = take_format_version(properties, &version, err);
	json_object_set_new(metadata, "format-version", json_integer(version));
	if (version >= 3)
		json_object_set_new(metadata, "next-row-id", json_integer(0));
	return status;
}

static void set_empty(json_t *metadata)
{
	json_object_set_new(metadata, "last-sequence-number", json_integer(0));
	json_object_set_new(metadata, "current-snapshot-id", json_integer(-1));
	json_object_set_new(metadata, "refs", json_object());
	static const char *const arrays[] = {
		"snapshots", "snapshot-log", "metadata-log", "statistics", "partition-statistics"};
	for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
		json_object_set_new(metadata, arrays[i], json_array());
}

int ice_rest_table_new(const json_t *request, struct weir_str location, const char *uuid, int64_t now_ms,
	json_t **ret_metadata, struct weir_error *err)
{
	json_t *metadata = json_object(), *ids = json_object(), *schema = NULL;
	int32_t last_id = 0;
	json_object_set_new(metadata, "format-version", json_integer(2));
	json_object_set_new(metadata, "table-uuid", json_string(uuid));
	json_object_set_new(metadata, "location", json_stringn(location.data, location.size));
	json_object_set_new(metadata, "last-updated-ms", json_integer(now_ms));
	int status = take_properties(request, metadata, err);
	if (status == 0)
		status = ice_rest_fresh_schema(json_object_get(request, "schema"), &schema, ids, &last_id, err);
	if (status == 0) {
		json_object_set_new(metadata, "last-column-id", json_integer(last_id));
		json_object_set_new(metadata, "current-schema-id", json_integer(0));
		json_object_set_new(metadata, "schemas", json_pack("[o]", schema));
		status = new_spec(request, ids, metadata, err);
	}
	if (status == 0)
		status = new_order(request, ids, metadata, err);
	set_empty(metadata);
	json_decref(ids);
	if (status != 0) {
		json_decref(metadata);
		return status;
	}
	*ret_metadata = metadata;
	return 0;
}

json_t *ice_rest_table_empty(const json_t *updates)
{
	json_t *metadata = json_object(), *update;
	size_t index;
	int64_t version = 0;
	json_array_foreach(updates, index, update)
	{
		if (version == 0 && weir_str_is(ice_rest_text(update, "action"), "upgrade-format-version"))
			version = ice_rest_int(update, "format-version", 0);
	}
	json_object_set_new(
		metadata, "format-version", json_integer(version >= 1 && version <= ICE_REST_FORMAT_MAX ? version : 2));
	json_object_set_new(metadata, "last-column-id", json_integer(0));
	json_object_set_new(metadata, "last-partition-id", json_integer(FIRST_PARTITION_ID - 1));
	json_object_set_new(metadata, "properties", json_object());
	static const char *const ids[] = {"current-schema-id", "default-spec-id", "default-sort-order-id"};
	static const char *const lists[] = {"schemas", "partition-specs", "sort-orders"};
	for (size_t i = 0; i < 3; i++) {
		json_object_set_new(metadata, ids[i], json_integer(-1));
		json_object_set_new(metadata, lists[i], json_array());
	}
	if (version >= 3)
		json_object_set_new(metadata, "next-row-id", json_integer(0));
	set_empty(metadata);
	return metadata;
}
