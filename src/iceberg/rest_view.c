/* Views as documents (view specification, version 1): made from a CreateViewRequest, changed by ViewUpdate. */
#include <strings.h>

#include "iceberg/rest_update.h"

static int check_version(const json_t *version, struct weir_error *err)
{
	const json_t *representations = json_object_get(version, "representations");
	size_t index, other;
	json_t *one, *two;
	if (!json_is_object(version) || !json_is_array(representations) || ice_rest_int(version, "version-id", -1) < 0)
		return weir_fail(
			err, WEIR_E_INPUT, "a view version has 'version-id' and 'representations'; this one has not");
	json_array_foreach(representations, index, one)
	{
		struct weir_str dialect = ice_rest_text(one, "dialect");
		if (!weir_str_is(ice_rest_text(one, "type"), "sql"))
			continue;
		if (dialect.size == 0 || ice_rest_text(one, "sql").data == NULL)
			return weir_fail(
				err, WEIR_E_INPUT, "a representation of type 'sql' has no 'sql' or no 'dialect'");
		json_array_foreach(representations, other, two)
		{
			struct weir_str same = ice_rest_text(two, "dialect");
			if (other < index && same.data != NULL && strcasecmp(dialect.data, same.data) == 0)
				return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("argument"), WEIR_ERROR_NO_OFFSET,
					"Invalid view version: Cannot add multiple queries for dialect %.60s",
					dialect.data);
		}
	}
	return 0;
}

static json_t *history_entry(int64_t timestamp_ms, int64_t version)
{
	return json_pack("{s:I,s:I}", "timestamp-ms", (json_int_t)timestamp_ms, "version-id", (json_int_t)version);
}

int ice_rest_view_new(const json_t *request, struct weir_str location, const char *uuid, int64_t now_ms,
	json_t **ret_metadata, struct weir_error *err)
{
	const json_t *properties = json_object_get(request, "properties");
	int status = ice_rest_check_schema(json_object_get(request, "schema"), err);
	if (status == 0)
		status = check_version(json_object_get(request, "view-version"), err);
	if (status != 0)
		return status;
	json_t *schema = json_deep_copy(json_object_get(request, "schema"));
	json_t *version = json_deep_copy(json_object_get(request, "view-version"));
	int64_t id = ice_rest_int(version, "version-id", 1);
	json_object_set_new(schema, "schema-id", json_integer(0));
	json_object_set_new(version, "schema-id", json_integer(0));
	*ret_metadata = json_pack("{s:s,s:i,s:s%,s:I,s:[o],s:[o],s:[o],s:o}", "view-uuid", uuid, "format-version", 1,
		"location", location.data, location.size, "current-version-id", (json_int_t)id, "versions", version,
		"version-log", history_entry(ice_rest_int(version, "timestamp-ms", now_ms), id), "schemas", schema,
		"properties", json_is_object(properties) ? json_deep_copy(properties) : json_object());
	return 0;
}

static int assign_uuid(struct ice_rest_edit *edit)
{
	const json_t *uuid = NULL;
	int status = ice_rest_need(edit, "uuid", JSON_STRING, &uuid);
	if (status == 0 && !json_equal(json_object_get(edit->metadata, "view-uuid"), uuid))
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot reassign uuid");
	return status;
}

static int upgrade(struct ice_rest_edit *edit)
{
	int64_t version = ice_rest_int(edit->update, "format-version", -1);
	return version == 1
		? 0
		: weir_fail(edit->err, WEIR_E_INPUT, "views have format version 1, not %lld", (long long)version);
}

static int add_schema(struct ice_rest_edit *edit)
{
	const json_t *schema = NULL;
	int status = ice_rest_need_schema(edit, &schema);
	return status != 0 ? status : ice_rest_put_schema(edit, schema);
}

static bool same_version(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {
		"summary", "representations", "default-catalog", "default-namespace", "schema-id"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);
		bool none_x = x == NULL || json_is_null(x), none_y = y == NULL || json_is_null(y);
		if (none_x != none_y || (!none_x && !json_equal(x, y)))
			return false;
	}
	return true;
}

static int add_version(struct ice_rest_edit *edit)
{
	const json_t *version = NULL;
	json_t *versions = json_object_get(edit->metadata, "versions"), *known;
	size_t index;
	int status = ice_rest_need(edit, "view-version", JSON_OBJECT, &version);
	if (status == 0)
		status = check_version(version, edit->err);
	if (status != 0)
		return status;
	int64_t schema = ice_rest_int(version, "schema-id", -1);
	if (schema == -1 && edit->last_schema == -1)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot set last added schema: no schema has been added");
	schema = schema == -1 ? edit->last_schema : schema;
	if (ice_rest_find(json_object_get(edit->metadata, "schemas"), "schema-id", schema) == NULL)
		return weir_fail(
			edit->err, WEIR_E_INPUT, "Cannot add version with unknown schema: %lld", (long long)schema);
	json_t *copy = json_deep_copy(version);
	json_object_set_new(copy, "schema-id", json_integer(schema));
	json_array_foreach(versions, index, known)
	{
		if (same_version(known, copy)) {
			edit->last_version = ice_rest_int(known, "version-id", 0);
			json_decref(copy);
			return 0;
		}
	}
	int64_t id = ice_rest_int(version, "version-id", 1), newest = ice_rest_largest(versions, "version-id", 0);
	edit->last_version = id > newest ? id : newest + 1;
	json_object_set_new(copy, "version-id", json_integer(edit->last_version));
	json_array_append_new(versions, copy);
	json_array_append_new(edit->added_versions, json_integer(edit->last_version));
	ice_rest_changed(edit);
	return 0;
}

static bool has_dialect(const json_t *version, const char *dialect)
{
	size_t index;
	json_t *one;
	json_array_foreach(json_object_get(version, "representations"), index, one)
	{
		struct weir_str text = ice_rest_text(one, "dialect");
		if (text.data != NULL && strcasecmp(text.data, dialect) == 0)
			return true;
	}
	return false;
}

/* A replacement must not lose the query in a dialect that other engines read, unless the view allows it. */
static int check_dialects(struct ice_rest_edit *edit, const json_t *from, const json_t *to)
{
	struct weir_str allowed =
		ice_rest_text(json_object_get(edit->metadata, "properties"), "replace.drop-dialect.allowed");
	size_t index;
	json_t *one;
	if (weir_str_is(allowed, "true"))
		return 0;
	json_array_foreach(json_object_get(from, "representations"), index, one)
	{
		struct weir_str dialect = ice_rest_text(one, "dialect");
		if (dialect.data != NULL && !has_dialect(to, dialect.data))
			return weir_fail(edit->err, WEIR_E_INPUT,
				"Cannot replace view due to loss of view dialects "
				"(replace.drop-dialect.allowed=false): %.60s",
				dialect.data);
	}
	return 0;
}

static int set_current_version(struct ice_rest_edit *edit)
{
	json_t *versions = json_object_get(edit->metadata, "versions"), *added;
	int64_t id = ice_rest_int(edit->update, "view-version-id", INT64_MIN);
	int64_t current = ice_rest_int(edit->metadata, "current-version-id", -1);
	size_t index;
	bool is_new = false;
	if (id == -1 && edit->last_version == -1)
		return weir_fail(
			edit->err, WEIR_E_INPUT, "Cannot set last version id: no current version id has been set");
	id = id == -1 ? edit->last_version : id;
	json_t *version = ice_rest_find(versions, "version-id", id);
	if (version == NULL)
		return weir_fail(
			edit->err, WEIR_E_INPUT, "Cannot set current version to unknown version: %lld", (long long)id);
	if (id == current)
		return 0;
	int status = check_dialects(edit, ice_rest_find(versions, "version-id", current), version);
	if (status != 0)
		return status;
	json_array_foreach(edit->added_versions, index, added) is_new = is_new || json_integer_value(added) == id;
	json_object_set_new(edit->metadata, "current-version-id", json_integer(id));
	json_array_append_new(json_object_get(edit->metadata, "version-log"),
		history_entry(is_new ? ice_rest_int(version, "timestamp-ms", edit->now_ms) : edit->now_ms, id));
	ice_rest_changed(edit);
	return 0;
}

/* Old versions go, the current one never; the log keeps what comes after the last entry of a version that is gone. */
static int expire_versions(json_t *metadata, struct weir_error *err)
{
	json_t *versions = json_object_get(metadata, "versions"), *log = json_object_get(metadata, "version-log"),
	       *entry;
	struct weir_str text = ice_rest_text(json_object_get(metadata, "properties"), "version.history.num-entries");
	int64_t most = ICE_REST_HISTORY_MAX, current = ice_rest_int(metadata, "current-version-id", -1);
	size_t index;
	if (text.data != NULL && (!weir_str_to_i64(text, &most) || most < 1))
		return weir_fail(err, WEIR_E_INPUT, "version.history.num-entries must be positive but was %.*s",
			(int)(text.size < 20 ? text.size : 20), text.data);
	while (json_array_size(versions) > (size_t)most) {
		size_t oldest = json_array_size(versions);
		for (size_t i = 0; i < json_array_size(versions); i++) {
			int64_t id = ice_rest_int(json_array_get(versions, i), "version-id", 0);
			if (id != current &&
				(oldest == json_array_size(versions) ||
					id < ice_rest_int(json_array_get(versions, oldest), "version-id", 0)))
				oldest = i;
		}
		if (oldest == json_array_size(versions))
			break;
		json_array_remove(versions, oldest);
	}
	json_t *kept = json_array();
	json_array_foreach(log, index, entry)
	{
		if (ice_rest_find(versions, "version-id", ice_rest_int(entry, "version-id", -1)) == NULL)
			json_array_clear(kept);
		else
			json_array_append(kept, entry);
	}
	json_object_set_new(metadata, "version-log", kept);
	return 0;
}

static const struct ice_rest_action view_actions[] = {
	{"assign-uuid", assign_uuid},
	{"upgrade-format-version", upgrade},
	{"add-schema", add_schema},
	{"set-location", ice_rest_set_location},
	{"set-properties", ice_rest_set_properties},
	{"remove-properties", ice_rest_remove_properties},
	{"add-view-version", add_version},
	{"set-current-view-version", set_current_version},
	{NULL, NULL},
};

int ice_rest_update_view(
	json_t *metadata, const json_t *updates, int64_t now_ms, bool *ret_changed, struct weir_error *err)
{
	int status = ice_rest_run(metadata, updates, view_actions, now_ms, ret_changed, err);
	return status == 0 && *ret_changed ? expire_versions(metadata, err) : status;
}
