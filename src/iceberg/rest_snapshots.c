/* Updates of a table's snapshots, refs, statistics, and the two logs. */
#include "iceberg/rest_update.h"

static bool is_added(const struct ice_rest_edit *edit, int64_t id)
{
	size_t index;
	json_t *added;
	json_array_foreach(edit->added_snapshots, index, added)
	{
		if (json_integer_value(added) == id)
			return true;
	}
	return false;
}

/* Row lineage (version 3): the snapshot's rows get the ids from first-row-id on. */
static int take_row_ids(struct ice_rest_edit *edit, const json_t *snapshot)
{
	int64_t next = ice_rest_int(edit->metadata, "next-row-id", 0),
		first = ice_rest_int(snapshot, "first-row-id", -1);
	int64_t added = ice_rest_int(snapshot, "added-rows", 0), end;
	if (ice_rest_int(edit->metadata, "format-version", 2) < 3)
		return 0;
	if (first < 0)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot add a snapshot: first-row-id is null");
	if (first < next)
		return weir_fail(edit->err, WEIR_E_CONFLICT,
			"Cannot add a snapshot, first-row-id is behind table next-row-id: %lld < %lld",
			(long long)first, (long long)next);
	if (added < 0 || __builtin_add_overflow(next, added, &end))
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot add a snapshot: added-rows is out of range");
	json_object_set_new(edit->metadata, "next-row-id", json_integer(end));
	return 0;
}

int ice_rest_add_snapshot(struct ice_rest_edit *edit)
{
	const json_t *snapshot = NULL;
	json_t *snapshots = json_object_get(edit->metadata, "snapshots");
	int status = ice_rest_need(edit, "snapshot", JSON_OBJECT, &snapshot);
	if (status != 0)
		return status;
	int64_t id = ice_rest_int(snapshot, "snapshot-id", -1), sequence = ice_rest_int(snapshot, "sequence-number", 0);
	int64_t last = ice_rest_int(edit->metadata, "last-sequence-number", 0);
	const json_t *parent = json_object_get(snapshot, "parent-snapshot-id");
	bool version1 = ice_rest_int(edit->metadata, "format-version", 2) == 1;
	if (id < 0 || ice_rest_int(snapshot, "timestamp-ms", -1) < 0 ||
		(!version1 && ice_rest_text(snapshot, "manifest-list").size == 0))
		return weir_fail(edit->err, WEIR_E_INPUT,
			"a snapshot has 'snapshot-id', 'timestamp-ms' and 'manifest-list', and one of this has not");
	if (json_array_size(json_object_get(edit->metadata, "schemas")) == 0)
		return weir_fail(edit->err, WEIR_E_INPUT, "Attempting to add a snapshot before a schema is added");
	if (ice_rest_find(snapshots, "snapshot-id", id) != NULL)
		return weir_fail(edit->err, WEIR_E_INPUT, "Snapshot already exists for id: %lld", (long long)id);
	if (!version1 && sequence <= last && parent != NULL && !json_is_null(parent))
		return weir_fail(edit->err, WEIR_E_CONFLICT,
			"Cannot add snapshot with sequence number %lld older than last sequence number %lld",
			(long long)sequence, (long long)last);
	status = take_row_ids(edit, snapshot);
	if (status != 0)
		return status;
	if (!version1)
		json_object_set_new(edit->metadata, "last-sequence-number", json_integer(sequence));
	json_array_append_new(snapshots, json_deep_copy(snapshot));
	json_array_append_new(edit->added_snapshots, json_integer(id));
	ice_rest_changed(edit);
	return 0;
}

static void log_current(struct ice_rest_edit *edit, const json_t *snapshot, int64_t id)
{
	int64_t when = is_added(edit, id) ? ice_rest_int(snapshot, "timestamp-ms", edit->now_ms) : edit->now_ms;
	json_object_set_new(edit->metadata, "current-snapshot-id", json_integer(id));
	json_array_append_new(json_object_get(edit->metadata, "snapshot-log"),
		json_pack("{s:I,s:I}", "timestamp-ms", (json_int_t)when, "snapshot-id", (json_int_t)id));
}

int ice_rest_set_ref(struct ice_rest_edit *edit)
{
	static const char *const kept[] = {
		"snapshot-id", "type", "min-snapshots-to-keep", "max-snapshot-age-ms", "max-ref-age-ms"};
	const json_t *name = NULL, *type = NULL, *id = NULL;
	json_t *refs = json_object_get(edit->metadata, "refs");
	int status = ice_rest_need(edit, "ref-name", JSON_STRING, &name);
	if (status == 0)
		status = ice_rest_need(edit, "type", JSON_STRING, &type);
	if (status == 0)
		status = ice_rest_need(edit, "snapshot-id", JSON_INTEGER, &id);
	if (status != 0)
		return status;
	const char *text = json_string_value(name);
	struct weir_str kind = ice_rest_text(edit->update, "type");
	const json_t *snapshot =
		ice_rest_find(json_object_get(edit->metadata, "snapshots"), "snapshot-id", json_integer_value(id));
	bool tag = kind.size == 3 && (kind.data[0] | 0x20) == 't',
	     branch = kind.size == 6 && (kind.data[0] | 0x20) == 'b';
	if (!tag && !branch)
		return weir_fail(edit->err, WEIR_E_INPUT, "the type of ref %.100s is neither 'branch' nor 'tag'", text);
	if (snapshot == NULL)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot set %.100s to unknown snapshot: %lld", text,
			(long long)json_integer_value(id));
	if (tag && strcmp(text, "main") == 0)
		return weir_fail(edit->err, WEIR_E_INPUT, "Cannot set main to a tag, it must be a branch");
	json_t *ref = json_object();
	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
		json_t *value = json_object_get(edit->update, kept[i]);
		if (value != NULL && !json_is_null(value))
			json_object_set(ref, kept[i], value);
	}
	json_object_set_new(ref, "type", json_string(tag ? "tag" : "branch"));
	if (json_object_get(refs, text) != NULL && json_equal(json_object_get(refs, text), ref)) {
		json_decref(ref);
		return 0;
	}
	json_object_set_new(refs, text, ref);
	if (strcmp(text, "main") == 0)
		log_current(edit, snapshot, json_integer_value(id));
	ice_rest_changed(edit);
	return 0;
}

static void remove_ref(struct ice_rest_edit *edit, const char *name)
{
	if (strcmp(name, "main") == 0)
		json_object_set_new(edit->metadata, "current-snapshot-id", json_integer(-1));
	if (json_object_del(json_object_get(edit->metadata, "refs"), name) == 0)
		ice_rest_changed(edit);
}

int ice_rest_remove_ref(struct ice_rest_edit *edit)
{
	const json_t *name = NULL;
	int status = ice_rest_need(edit, "ref-name", JSON_STRING, &name);
	if (status == 0)
		remove_ref(edit, json_string_value(name));
	return status;
}

static bool remove_of_snapshot(struct ice_rest_edit *edit, const char *list_key, int64_t id)
{
	json_t *list = json_object_get(edit->metadata, list_key);
	bool found = false;
	for (size_t i = json_array_size(list); i > 0; i--) {
		if (ice_rest_int(json_array_get(list, i - 1), "snapshot-id", -1) == id) {
			json_array_remove(list, i - 1);
			found = true;
		}
	}
	return found;
}

int ice_rest_remove_snapshots(struct ice_rest_edit *edit)
{
	const json_t *ids = NULL;
	json_t *refs = json_object_get(edit->metadata, "refs"), *id, *ref;
	size_t index;
	const char *name;
	void *next;
	int status = ice_rest_need(edit, "snapshot-ids", JSON_ARRAY, &ids);
	if (status != 0)
		return status;
	json_array_foreach(ids, index, id)
	{
		if (!remove_of_snapshot(edit, "snapshots", json_integer_value(id)))
			continue;
		remove_of_snapshot(edit, "statistics", json_integer_value(id));
		remove_of_snapshot(edit, "partition-statistics", json_integer_value(id));
		ice_rest_changed(edit);
	}
	json_object_foreach_safe(refs, next, name, ref)
	{
		if (ice_rest_find(json_object_get(edit->metadata, "snapshots"), "snapshot-id",
			    ice_rest_int(ref, "snapshot-id", -1)) == NULL)
			remove_ref(edit, name);
	}
	return 0;
}

int ice_rest_trim_log(struct ice_rest_edit *edit)
{
	json_t *log = json_object_get(edit->metadata, "snapshot-log"), *entry;
	json_t *snapshots = json_object_get(edit->metadata, "snapshots"), *trimmed = json_array();
	int64_t current = ice_rest_int(edit->metadata, "current-snapshot-id", -1);
	size_t index;
	if (!edit->changed) {
		json_decref(trimmed);
		return 0;
	}
	json_array_foreach(log, index, entry)
	{
		int64_t id = ice_rest_int(entry, "snapshot-id", -1);
		if (ice_rest_find(snapshots, "snapshot-id", id) == NULL)
			json_array_clear(trimmed); /* a gap would let time travel give a wrong version */
		else if (id == current || !is_added(edit, id))
			json_array_append(trimmed, entry);
	}
	json_object_set_new(edit->metadata, "snapshot-log", trimmed);
	return 0;
}

/* ---- statistics ---- */

static int set_file(struct ice_rest_edit *edit, const char *member, const char *list_key)
{
	const json_t *file = NULL;
	int status = ice_rest_need(edit, member, JSON_OBJECT, &file);
	if (status != 0)
		return status;
	int64_t id = ice_rest_int(file, "snapshot-id", -1);
	if (id < 0)
		return weir_fail(edit->err, WEIR_E_INPUT, "'%s' has no snapshot-id", member);
	if (!json_is_array(json_object_get(edit->metadata, list_key)))
		json_object_set_new(edit->metadata, list_key, json_array());
	remove_of_snapshot(edit, list_key, id);
	json_array_append_new(json_object_get(edit->metadata, list_key), json_deep_copy(file));
	ice_rest_changed(edit);
	return 0;
}

static int remove_file(struct ice_rest_edit *edit, const char *list_key)
{
	const json_t *id = NULL;
	int status = ice_rest_need(edit, "snapshot-id", JSON_INTEGER, &id);
	if (status == 0 && remove_of_snapshot(edit, list_key, json_integer_value(id)))
		ice_rest_changed(edit);
	return status;
}

int ice_rest_set_statistics(struct ice_rest_edit *edit)
{
	return set_file(edit, "statistics", "statistics");
}

int ice_rest_remove_statistics(struct ice_rest_edit *edit)
{
	return remove_file(edit, "statistics");
}

int ice_rest_set_partition_statistics(struct ice_rest_edit *edit)
{
	return set_file(edit, "partition-statistics", "partition-statistics");
}

int ice_rest_remove_partition_statistics(struct ice_rest_edit *edit)
{
	return remove_file(edit, "partition-statistics");
}

/* ---- after the updates ---- */

/* Less than 1 is 1, as in Iceberg's Java. */
static int log_previous(
	json_t *metadata, struct weir_str previous_file, int64_t updated_ms, json_t *dropped, struct weir_error *err)
{
	json_t *log = json_object_get(metadata, "metadata-log");
	int64_t most = ICE_REST_PREVIOUS_MAX;
	struct weir_str text =
		ice_rest_text(json_object_get(metadata, "properties"), "write.metadata.previous-versions-max");
	if (text.data != NULL && !weir_str_to_i64(text, &most))
		return weir_fail(err, WEIR_E_INPUT,
			"the table property write.metadata.previous-versions-max is '%.*s'; it must be a whole number,"
			" such as %d",
			WEIR_STR_ARG(text), ICE_REST_PREVIOUS_MAX);
	most = most < 1 ? 1 : most;
	json_array_append_new(log,
		json_pack("{s:I,s:s%}", "timestamp-ms", (json_int_t)updated_ms, "metadata-file", previous_file.data,
			previous_file.size));
	while (json_array_size(log) > (size_t)most) {
		if (dropped != NULL)
			json_array_append(dropped, json_object_get(json_array_get(log, 0), "metadata-file"));
		json_array_remove(log, 0);
	}
	return 0;
}

int ice_rest_finish_table(json_t *metadata, struct weir_str previous_file, int64_t previous_updated_ms, int64_t now_ms,
	json_t *ret_dropped, struct weir_error *err)
{
	static const struct {
		const char *list, *key, *member, *what;
	} parts[] = {{"schemas", "schema-id", "current-schema-id", "schema"},
		{"partition-specs", "spec-id", "default-spec-id", "partition spec"},
		{"sort-orders", "order-id", "default-sort-order-id", "sort order"}};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (ice_rest_find(json_object_get(metadata, parts[i].list), parts[i].key,
			    ice_rest_int(metadata, parts[i].member, -1)) == NULL)
			return weir_fail(err, WEIR_E_INPUT,
				"after these updates the table has no current %s; add one and set it", parts[i].what);
	if (ice_rest_text(metadata, "location").size == 0)
		return weir_fail(err, WEIR_E_INPUT, "after these updates the table has no location; send set-location");
	json_object_set_new(metadata, "last-updated-ms", json_integer(now_ms));
	return previous_file.size > 0 ? log_previous(metadata, previous_file, previous_updated_ms, ret_dropped, err)
				      : 0;
}
