/* Updates of a table (REST specification, TableUpdate): layout, properties, and the run over all of them. */
#include "iceberg/rest_update.h"

json_t *ice_rest_find(json_t *list, const char *key, int64_t id)
{
	size_t index;
	json_t *item;
	json_array_foreach(list, index, item)
	{
		if (ice_rest_int(item, key, INT64_MIN) == id)
			return item;
	}
	return NULL;
}

void ice_rest_changed(struct ice_rest_edit *edit)
{
	edit->changed = true;
}

int ice_rest_need(struct ice_rest_edit *edit, const char *key, json_type type, const json_t **ret_value)
{
	const json_t *value = json_object_get(edit->update, key);
	if (value == NULL || json_typeof(value) != type)
		return weir_fail(edit->err, WEIR_E_INPUT, "update '%s' has no member '%s', or one of another type",
			ice_rest_text(edit->update, "action").data, key);
	*ret_value = value;
	return 0;
}

static int need_int(struct ice_rest_edit *edit, const char *key, int64_t *ret_value)
{
	const json_t *value = NULL;
	int status = ice_rest_need(edit, key, JSON_INTEGER, &value);
	if (status == 0)
		*ret_value = json_integer_value(value);
	return status;
}

int64_t ice_rest_largest(json_t *list, const char *key, int64_t least)
{
	size_t index;
	json_t *item;
	json_array_foreach(list, index, item)
	{
		int64_t id = ice_rest_int(item, key, least);
		least = id > least ? id : least;
	}
	return least;
}

static int assign_uuid(struct ice_rest_edit *edit)
{
	const json_t *uuid = NULL;
	int status = ice_rest_need(edit, "uuid", JSON_STRING, &uuid);
	if (status == 0 && !json_equal(json_object_get(edit->metadata, "table-uuid"), uuid)) {
		json_object_set_new(edit->metadata, "table-uuid", json_string(json_string_value(uuid)));
		ice_rest_changed(edit);
	}
	return status;
}

static int upgrade(struct ice_rest_edit *edit)
{
	int64_t version, is = ice_rest_int(edit->metadata, "format-version", 1);
	int status = need_int(edit, "format-version", &version);
	if (status != 0)
		return status;
	if (version > ICE_REST_FORMAT_MAX)
		return weir_fail(edit->err, WEIR_E_INPUT,
			"Cannot upgrade table to unsupported format version: v%lld (supported: v%d)",
			(long long)version, ICE_REST_FORMAT_MAX);
	if (version < is)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot downgrade v%lld table to v%lld", (long long)is,
			(long long)version);
	if (version == is)
		return 0;
	json_object_set_new(edit->metadata, "format-version", json_integer(version));
	if (version >= 2 && json_object_get(edit->metadata, "last-sequence-number") == NULL)
		json_object_set_new(edit->metadata, "last-sequence-number", json_integer(0));
	if (version >= 3 && json_object_get(edit->metadata, "next-row-id") == NULL)
		json_object_set_new(edit->metadata, "next-row-id", json_integer(0));
	ice_rest_changed(edit);
	return 0;
}

/* ---- schemas ---- */

int ice_rest_need_schema(struct ice_rest_edit *edit, const json_t **ret_schema)
{
	int status = ice_rest_need(edit, "schema", JSON_OBJECT, ret_schema);
	return status != 0 ? status : ice_rest_check_schema(*ret_schema, edit->err);
}

int ice_rest_put_schema(struct ice_rest_edit *edit, const json_t *schema)
{
	json_t *schemas = json_object_get(edit->metadata, "schemas"), *known;
	size_t index;
	json_array_foreach(schemas, index, known)
	{
		if (ice_rest_same_schema(known, schema)) {
			edit->last_schema = ice_rest_int(known, "schema-id", 0);
			return 0;
		}
	}
	json_t *copy = json_deep_copy(schema);
	edit->last_schema = ice_rest_largest(schemas, "schema-id", -1) + 1;
	json_object_set_new(copy, "schema-id", json_integer(edit->last_schema));
	json_array_append_new(schemas, copy);
	ice_rest_changed(edit);
	return 0;
}

static int add_schema(struct ice_rest_edit *edit)
{
	const json_t *schema = NULL;
	int status = ice_rest_need_schema(edit, &schema);
	if (status != 0)
		return status;
	int64_t last = ice_rest_int(edit->metadata, "last-column-id", 0), highest = ice_rest_highest_id(schema);
	/* The update's own last-column-id says no more than the schema does, and less after a column was dropped. */
	if (highest > last) {
		json_object_set_new(edit->metadata, "last-column-id", json_integer(highest));
		ice_rest_changed(edit);
	}
	return ice_rest_put_schema(edit, schema);
}

/* Makes id (or, for -1, the last one added) the current one of a list. */
static int set_current(struct ice_rest_edit *edit, const char *member, const char *list, const char *key, int64_t last,
	const char *what)
{
	int64_t id;
	int status = need_int(edit, key, &id);
	if (status != 0)
		return status;
	if (id == -1 && last == -1)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot set last added %s: no %s has been added", what, what);
	id = id == -1 ? last : id;
	if (ice_rest_find(json_object_get(edit->metadata, list), strcmp(what, "sort order") == 0 ? "order-id" : key,
		    id) == NULL)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot set current %s to unknown %s: %lld", what, what,
			(long long)id);
	if (ice_rest_int(edit->metadata, member, -1) != id) {
		json_object_set_new(edit->metadata, member, json_integer(id));
		ice_rest_changed(edit);
	}
	return 0;
}

static int set_current_schema(struct ice_rest_edit *edit)
{
	return set_current(edit, "current-schema-id", "schemas", "schema-id", edit->last_schema, "schema");
}

/* Takes the items with the ids of an array out of a list. */
static int remove_ids(struct ice_rest_edit *edit, const char *ids_key, const char *list_key, const char *id_key,
	const char *current, const char *refusal)
{
	const json_t *ids = NULL;
	json_t *list = json_object_get(edit->metadata, list_key), *id;
	size_t index;
	int status = ice_rest_need(edit, ids_key, JSON_ARRAY, &ids);
	if (status != 0)
		return status;
	json_array_foreach(ids, index, id)
	{
		if (json_is_integer(id) && json_integer_value(id) == ice_rest_int(edit->metadata, current, -1))
			return weir_fail(edit->err, WEIR_E_INPUT, "%s", refusal);
	}
	json_array_foreach(ids, index, id)
	{
		for (size_t i = json_array_size(list); i > 0; i--) {
			if (json_equal(json_object_get(json_array_get(list, i - 1), id_key), id)) {
				json_array_remove(list, i - 1);
				ice_rest_changed(edit);
			}
		}
	}
	return 0;
}

static int remove_schemas(struct ice_rest_edit *edit)
{
	return remove_ids(
		edit, "schema-ids", "schemas", "schema-id", "current-schema-id", "Cannot remove the current schema");
}

/* ---- partition specs and sort orders ---- */

static bool same_member(const json_t *a, const json_t *b, const char *key)
{
	const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
	return x == y || (x != NULL && y != NULL && json_equal(x, y));
}

/* Two lists of fields alike in the members named. */
static bool same_fields(const json_t *a, const json_t *b, const char *const *keys, size_t key_count)
{
	size_t index;
	json_t *field;
	if (json_array_size(a) != json_array_size(b))
		return false;
	json_array_foreach(a, index, field)
	{
		for (size_t i = 0; i < key_count; i++)
			if (!same_member(field, json_array_get(b, index), keys[i]))
				return false;
	}
	return true;
}

/* Each field's source is a field of the current schema (void needs none: its column may be gone). */
static int check_sources(struct ice_rest_edit *edit, const json_t *fields, const char *what)
{
	const json_t *schema = ice_rest_find(json_object_get(edit->metadata, "schemas"), "schema-id",
		ice_rest_int(edit->metadata, "current-schema-id", -1));
	size_t index, inner;
	json_t *field, *source;
	json_array_foreach(fields, index, field)
	{
		struct weir_str transform = ice_rest_text(field, "transform");
		int64_t id = ice_rest_int(field, "source-id", -1);
		const json_t *ids = json_object_get(field, "source-ids");
		if (transform.data == NULL || (id < 0 && json_array_size(ids) == 0))
			return weir_fail(
				edit->err, WEIR_E_INPUT, "%s field %zu has no transform or no source-id", what, index);
		if (weir_str_is(transform, "void"))
			continue;
		bool known = id < 0 || ice_rest_has_field(schema, id);
		json_array_foreach(ids, inner, source) known =
			known && ice_rest_has_field(schema, json_integer_value(source));
		if (!known)
			return weir_fail(edit->err, WEIR_E_INPUT, "Cannot find source column for %s field: %lld", what,
				(long long)id);
	}
	return 0;
}

/* A field that an earlier spec had (same source, same transform) keeps its id; others get the next ones. */
static int64_t known_field_id(json_t *specs, const json_t *field)
{
	size_t index, inner;
	json_t *spec, *other;
	json_array_foreach(specs, index, spec)
	{
		json_array_foreach(json_object_get(spec, "fields"), inner, other)
		{
			if (same_member(field, other, "source-id") && same_member(field, other, "source-ids") &&
				same_member(field, other, "transform") && same_member(field, other, "name"))
				return ice_rest_int(other, "field-id", -1);
		}
	}
	return -1;
}

static int number_fields(struct ice_rest_edit *edit, json_t *fields, json_t *specs)
{
	int64_t last = ice_rest_int(edit->metadata, "last-partition-id", 999);
	bool version1 = ice_rest_int(edit->metadata, "format-version", 2) == 1;
	size_t index;
	json_t *field;
	json_array_foreach(fields, index, field)
	{
		int64_t id = ice_rest_int(field, "field-id", -1);
		if (ice_rest_text(field, "name").data == NULL)
			return weir_fail(edit->err, WEIR_E_INPUT, "partition field %zu has no name", index);
		if (id < 0)
			id = version1 ? 1000 + (int64_t)index : known_field_id(specs, field);
		if (id < 0)
			id = last + 1;
		if (version1 && id != 1000 + (int64_t)index)
			return weir_fail(edit->err, WEIR_E_INPUT,
				"Spec does not use sequential IDs that are required in v1: field %zu has %lld", index,
				(long long)id);
		json_object_set_new(field, "field-id", json_integer(id));
		last = id > last ? id : last;
	}
	json_object_set_new(edit->metadata, "last-partition-id", json_integer(last));
	return 0;
}

static int add_spec(struct ice_rest_edit *edit)
{
	static const char *const keys[] = {"source-id", "source-ids", "name", "transform"};
	const json_t *spec = NULL;
	json_t *specs = json_object_get(edit->metadata, "partition-specs"), *known;
	size_t index;
	int status = ice_rest_need(edit, "spec", JSON_OBJECT, &spec);
	if (status == 0 && !json_is_array(json_object_get(spec, "fields")))
		status = weir_fail(edit->err, WEIR_E_INPUT, "the spec has no array 'fields'");
	if (status == 0)
		status = check_sources(edit, json_object_get(spec, "fields"), "partition");
	if (status != 0)
		return status;
	json_array_foreach(specs, index, known)
	{
		if (same_fields(json_object_get(known, "fields"), json_object_get(spec, "fields"), keys, 4)) {
			edit->last_spec = ice_rest_int(known, "spec-id", 0);
			return 0;
		}
	}
	json_t *copy = json_deep_copy(spec);
	status = number_fields(edit, json_object_get(copy, "fields"), specs);
	edit->last_spec = ice_rest_largest(specs, "spec-id", -1) + 1;
	json_object_set_new(copy, "spec-id", json_integer(edit->last_spec));
	json_array_append_new(specs, copy);
	ice_rest_changed(edit);
	return status;
}

static int set_default_spec(struct ice_rest_edit *edit)
{
	return set_current(edit, "default-spec-id", "partition-specs", "spec-id", edit->last_spec, "spec");
}

static int remove_specs(struct ice_rest_edit *edit)
{
	return remove_ids(edit, "spec-ids", "partition-specs", "spec-id", "default-spec-id",
		"Cannot remove the default partition spec");
}

static int add_sort_order(struct ice_rest_edit *edit)
{
	static const char *const keys[] = {"source-id", "source-ids", "transform", "direction", "null-order"};
	const json_t *order = NULL;
	json_t *orders = json_object_get(edit->metadata, "sort-orders"), *known;
	size_t index;
	int status = ice_rest_need(edit, "sort-order", JSON_OBJECT, &order);
	const json_t *fields = json_object_get(order, "fields");
	if (status == 0 && !json_is_array(fields))
		status = weir_fail(edit->err, WEIR_E_INPUT, "the sort order has no array 'fields'");
	if (status == 0)
		status = check_sources(edit, fields, "sort");
	if (status != 0)
		return status;
	json_array_foreach(orders, index, known)
	{
		if (same_fields(json_object_get(known, "fields"), fields, keys, 5)) {
			edit->last_order = ice_rest_int(known, "order-id", 0);
			return 0;
		}
	}
	json_t *copy = json_deep_copy(order);
	edit->last_order =
		json_array_size(fields) == 0 ? 0 : ice_rest_largest(orders, "order-id", 0) + 1; /* 0 is "unsorted" */
	json_object_set_new(copy, "order-id", json_integer(edit->last_order));
	json_array_append_new(orders, copy);
	ice_rest_changed(edit);
	return 0;
}

static int set_default_sort_order(struct ice_rest_edit *edit)
{
	return set_current(
		edit, "default-sort-order-id", "sort-orders", "sort-order-id", edit->last_order, "sort order");
}

/* ---- properties, location, keys ---- */

int ice_rest_set_properties(struct ice_rest_edit *edit)
{
	const json_t *updates = json_object_get(edit->update, "updates");
	json_t *properties = json_object_get(edit->metadata, "properties"), *value;
	const char *key;
	if (updates == NULL)
		updates = json_object_get(edit->update, "updated"); /* as early writers named it */
	if (!json_is_object(updates))
		return weir_fail(edit->err, WEIR_E_INPUT, "update 'set-properties' has no object 'updates'");
	json_object_foreach((json_t *)(uintptr_t)updates, key, value)
	{
		if (!json_is_string(value))
			return weir_fail(edit->err, WEIR_E_INPUT,
				"property '%.100s' is not a text; write its value in quotes", key);
		json_object_set(properties, key, value);
		ice_rest_changed(edit);
	}
	return 0;
}

int ice_rest_remove_properties(struct ice_rest_edit *edit)
{
	const json_t *removals = json_object_get(edit->update, "removals");
	json_t *properties = json_object_get(edit->metadata, "properties"), *key;
	size_t index;
	if (removals == NULL)
		removals = json_object_get(edit->update, "removed");
	if (!json_is_array(removals))
		return weir_fail(edit->err, WEIR_E_INPUT, "update 'remove-properties' has no array 'removals'");
	json_array_foreach(removals, index, key)
	{
		if (json_is_string(key))
			json_object_del(properties, json_string_value(key));
		ice_rest_changed(edit);
	}
	return 0;
}

int ice_rest_set_location(struct ice_rest_edit *edit)
{
	const json_t *location = NULL;
	int status = ice_rest_need(edit, "location", JSON_STRING, &location);
	if (status != 0)
		return status;
	struct weir_str text = {json_string_value(location), json_string_length(location)};
	while (text.size > 1 && text.data[text.size - 1] == '/')
		text.size--;
	if (text.size == 0)
		return weir_fail(edit->err, WEIR_E_INPUT, "update 'set-location' has an empty location");
	if (!weir_str_equal(ice_rest_text(edit->metadata, "location"), text)) {
		json_object_set_new(edit->metadata, "location", json_stringn(text.data, text.size));
		ice_rest_changed(edit);
	}
	return 0;
}

static json_t *list_of(struct ice_rest_edit *edit, const char *key)
{
	if (!json_is_array(json_object_get(edit->metadata, key)))
		json_object_set_new(edit->metadata, key, json_array());
	return json_object_get(edit->metadata, key);
}

/* The key in the list with this id, or its size. */
static size_t find_key(const json_t *keys, const json_t *id)
{
	size_t index = 0;
	while (index < json_array_size(keys) && !json_equal(json_object_get(json_array_get(keys, index), "key-id"), id))
		index++;
	return index;
}

static int add_encryption_key(struct ice_rest_edit *edit)
{
	const json_t *key = NULL;
	json_t *keys = list_of(edit, "encryption-keys");
	int status = ice_rest_need(edit, "encryption-key", JSON_OBJECT, &key);
	if (status == 0 && !json_is_string(json_object_get(key, "key-id")))
		status = weir_fail(edit->err, WEIR_E_INPUT, "the encryption key has no 'key-id'");
	if (status == 0 && find_key(keys, json_object_get(key, "key-id")) == json_array_size(keys)) {
		json_array_append_new(keys, json_deep_copy(key));
		ice_rest_changed(edit);
	}
	return status;
}

static int remove_encryption_key(struct ice_rest_edit *edit)
{
	const json_t *id = NULL;
	json_t *keys = list_of(edit, "encryption-keys");
	int status = ice_rest_need(edit, "key-id", JSON_STRING, &id);
	size_t index = status == 0 ? find_key(keys, id) : json_array_size(keys);
	if (index < json_array_size(keys)) {
		json_array_remove(keys, index);
		ice_rest_changed(edit);
	}
	return status;
}

/* ---- the run ---- */

static const struct ice_rest_action table_actions[] = {
	{"assign-uuid", assign_uuid},
	{"upgrade-format-version", upgrade},
	{"add-schema", add_schema},
	{"set-current-schema", set_current_schema},
	{"remove-schemas", remove_schemas},
	{"add-spec", add_spec},
	{"set-default-spec", set_default_spec},
	{"remove-partition-specs", remove_specs},
	{"add-sort-order", add_sort_order},
	{"set-default-sort-order", set_default_sort_order},
	{"add-snapshot", ice_rest_add_snapshot},
	{"set-snapshot-ref", ice_rest_set_ref},
	{"remove-snapshot-ref", ice_rest_remove_ref},
	{"remove-snapshots", ice_rest_remove_snapshots},
	{"set-location", ice_rest_set_location},
	{"set-properties", ice_rest_set_properties},
	{"remove-properties", ice_rest_remove_properties},
	{"set-statistics", ice_rest_set_statistics},
	{"remove-statistics", ice_rest_remove_statistics},
	{"set-partition-statistics", ice_rest_set_partition_statistics},
	{"remove-partition-statistics", ice_rest_remove_partition_statistics},
	{"add-encryption-key", add_encryption_key},
	{"remove-encryption-key", remove_encryption_key},
	{NULL, NULL},
};

static int apply_one(struct ice_rest_edit *edit, const struct ice_rest_action *actions)
{
	struct weir_str name = ice_rest_text(edit->update, "action");
	for (; actions->name != NULL; actions++)
		if (weir_str_is(name, actions->name))
			return actions->apply(edit);
	return weir_fail(edit->err, WEIR_E_INPUT, "update '%.*s' is not known; nothing was changed",
		(int)(name.size < 60 ? name.size : 60), name.data != NULL ? name.data : "");
}

int ice_rest_run(json_t *metadata, const json_t *updates, const struct ice_rest_action *actions, int64_t now_ms,
	bool *ret_changed, struct weir_error *err)
{
	struct ice_rest_edit edit = {.metadata = metadata,
		.err = err,
		.now_ms = now_ms,
		.last_schema = -1,
		.last_spec = -1,
		.last_order = -1,
		.last_version = -1};
	size_t index;
	json_t *update;
	int status = 0;
	if (!json_is_array(updates) || json_array_size(updates) > ICE_REST_UPDATES_MAX)
		return weir_fail(
			err, WEIR_E_INPUT, "'updates' of a commit is an array of at most %d", ICE_REST_UPDATES_MAX);
	edit.added_snapshots = json_array();
	edit.added_versions = json_array();
	json_array_foreach(updates, index, update)
	{
		edit.update = update;
		if (status == 0)
			status = apply_one(&edit, actions);
	}
	if (status == 0 && json_object_get(metadata, "snapshot-log") != NULL)
		status = ice_rest_trim_log(&edit);
	json_decref(edit.added_snapshots);
	json_decref(edit.added_versions);
	*ret_changed = edit.changed;
	return status;
}

int ice_rest_update_table(
	json_t *metadata, const json_t *updates, int64_t now_ms, bool *ret_changed, struct weir_error *err)
{
	return ice_rest_run(metadata, updates, table_actions, now_ms, ret_changed, err);
}
