/* Two documents are compared, both as weir writes them: so the comparison knows no member's meaning but its own. */
#include "cli/rest_changes.h"

#include <string.h>

struct changes {
	json_t *base, *next; /* documents */
	json_t *requirements, *updates;
};

static json_t *document(const struct ice_metadata *metadata)
{
	struct weir_buf text = WEIR_BUF_INIT;
	ice_metadata_write(metadata, &text);
	json_t *json = json_loadb(text.data, text.size, 0, NULL);
	weir_buf_done(&text);
	WEIR_ASSERT(json != NULL);
	return json;
}

static void require(struct changes *changes, json_t *take_requirement)
{
	json_array_append_new(changes->requirements, take_requirement);
}

static void update(struct changes *changes, json_t *take_update)
{
	json_array_append_new(changes->updates, take_update);
}

static json_int_t number(const json_t *document, const char *key)
{
	return json_integer_value(json_object_get(document, key));
}

static json_t *by_id(const json_t *list, const char *key, json_int_t id)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		if (number(item, key) == id)
			return item;
	}
	return NULL;
}

/* ---- schemas, partition specs, sort orders: lists whose items are added under ids, one of which is current ---- */

struct kind {
	const char *list, *id, *current; /* members of the document, of an item, of the document */
	const char *add, *item;          /* the update's action and member */
	const char *set, *set_id;
	const char *require, *required;           /* that the current one is still this */
	const char *last_require, *last_required; /* that no other ids were given since; NULL: ids come from nowhere */
	const char *last;
};
static const struct kind kinds[] = {
	{"schemas", "schema-id", "current-schema-id", "add-schema", "schema", "set-current-schema", "schema-id",
		"assert-current-schema-id", "current-schema-id", "assert-last-assigned-field-id",
		"last-assigned-field-id", "last-column-id"},
	{"partition-specs", "spec-id", "default-spec-id", "add-spec", "spec", "set-default-spec", "spec-id",
		"assert-default-spec-id", "default-spec-id", "assert-last-assigned-partition-id",
		"last-assigned-partition-id", "last-partition-id"},
	{"sort-orders", "order-id", "default-sort-order-id", "add-sort-order", "sort-order", "set-default-sort-order",
		"sort-order-id", "assert-default-sort-order-id", "default-sort-order-id", NULL, NULL, NULL},
};

static void compare_kind(struct changes *changes, const struct kind *kind)
{
	json_t *item, *list = json_object_get(changes->base, kind->list);
	json_int_t added = -1, current = number(changes->next, kind->current),
		   before = number(changes->base, kind->current);
	size_t i;
	json_array_foreach(json_object_get(changes->next, kind->list), i, item)
	{
		if (by_id(list, kind->id, number(item, kind->id)) != NULL)
			continue;
		added = number(item, kind->id);
		json_t *add = json_pack("{s:s, s:O}", "action", kind->add, kind->item, item);
		if (kind->last != NULL && strcmp(kind->add, "add-schema") == 0)
			json_object_set(add, kind->last, json_object_get(changes->next, kind->last));
		update(changes, add);
	}
	if (added >= 0 && kind->last != NULL)
		require(changes,
			json_pack("{s:s, s:I}", "type", kind->last_require, kind->last_required,
				number(changes->base, kind->last)));
	if (current == before)
		return;
	require(changes, json_pack("{s:s, s:I}", "type", kind->require, kind->required, before));
	/* -1: the one that was added last, whatever id the catalog gave it */
	update(changes,
		json_pack(
			"{s:s, s:I}", "action", kind->set, kind->set_id, current == added ? (json_int_t)-1 : current));
}

/* ---- properties, version, location ---- */

static void compare_properties(struct changes *changes)
{
	json_t *before = json_object_get(changes->base, "properties"),
	       *after = json_object_get(changes->next, "properties");
	json_t *set = json_object(), *gone = json_array(), *value;
	const char *key;
	json_object_foreach(after, key, value)
	{
		if (!json_equal(json_object_get(before, key), value))
			json_object_set(set, key, value);
	}
	json_object_foreach(before, key, value)
	{
		if (json_object_get(after, key) == NULL)
			json_array_append_new(gone, json_string(key));
	}
	if (json_object_size(set) > 0)
		update(changes, json_pack("{s:s, s:O}", "action", "set-properties", "updates", set));
	if (json_array_size(gone) > 0)
		update(changes, json_pack("{s:s, s:O}", "action", "remove-properties", "removals", gone));
	json_decref(set);
	json_decref(gone);
}

static void compare_whole(struct changes *changes)
{
	json_t *location = json_object_get(changes->next, "location");
	json_int_t version = number(changes->next, "format-version");
	if (version > number(changes->base, "format-version"))
		update(changes, json_pack("{s:s, s:I}", "action", "upgrade-format-version", "format-version", version));
	if (!json_equal(location, json_object_get(changes->base, "location")))
		update(changes, json_pack("{s:s, s:O}", "action", "set-location", "location", location));
}

/* ---- snapshots and refs ---- */

static void require_ref(struct changes *changes, const char *name)
{
	const json_t *ref = json_object_get(json_object_get(changes->base, "refs"), name);
	json_t *id = ref != NULL ? json_incref(json_object_get(ref, "snapshot-id")) : json_null();
	require(changes,
		json_pack("{s:s, s:s, s:o}", "type", "assert-ref-snapshot-id", "ref", name, "snapshot-id", id));
}

static void add_snapshots(struct changes *changes)
{
	json_t *before = json_object_get(changes->base, "snapshots"), *item;
	size_t i;
	json_array_foreach(json_object_get(changes->next, "snapshots"), i, item)
	{
		if (by_id(before, "snapshot-id", number(item, "snapshot-id")) == NULL)
			update(changes, json_pack("{s:s, s:O}", "action", "add-snapshot", "snapshot", item));
	}
}

static void compare_refs(struct changes *changes)
{
	json_t *before = json_object_get(changes->base, "refs"), *after = json_object_get(changes->next, "refs"), *ref;
	const char *name;
	json_object_foreach(after, name, ref)
	{
		if (json_equal(ref, json_object_get(before, name)))
			continue;
		json_t *set = json_copy(ref);
		json_object_set_new(set, "action", json_string("set-snapshot-ref"));
		json_object_set_new(set, "ref-name", json_string(name));
		update(changes, set);
		require_ref(changes, name);
	}
	json_object_foreach(before, name, ref)
	{
		if (json_object_get(after, name) != NULL)
			continue;
		update(changes, json_pack("{s:s, s:s}", "action", "remove-snapshot-ref", "ref-name", name));
		require_ref(changes, name);
	}
}

static bool is_required(const struct changes *changes, const char *ref)
{
	json_t *item;
	size_t i;
	json_array_foreach(changes->requirements, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "ref"));
		if (name != NULL && strcmp(name, ref) == 0)
			return true;
	}
	return false;
}

/* What goes was chosen by what the refs reach: none of them may have moved. */
static void remove_snapshots(struct changes *changes)
{
	json_t *after = json_object_get(changes->next, "snapshots"), *gone = json_array(), *item;
	size_t i;
	const char *name;
	json_array_foreach(json_object_get(changes->base, "snapshots"), i, item)
	{
		json_t *id = json_object_get(item, "snapshot-id");
		if (by_id(after, "snapshot-id", json_integer_value(id)) == NULL)
			json_array_append(gone, id);
	}
	if (json_array_size(gone) > 0) {
		update(changes, json_pack("{s:s, s:O}", "action", "remove-snapshots", "snapshot-ids", gone));
		json_object_foreach(json_object_get(changes->base, "refs"), name, item)
		{
			if (!is_required(changes, name))
				require_ref(changes, name);
		}
	}
	json_decref(gone);
}

json_t *rest_changes(const struct ice_metadata *base, const struct ice_metadata *next)
{
	struct changes changes = {document(base), document(next), json_array(), json_array()};
	if (base->table_uuid.size > 0)
		require(&changes,
			json_pack("{s:s, s:s%}", "type", "assert-table-uuid", "uuid", base->table_uuid.data,
				base->table_uuid.size));
	compare_whole(&changes);
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		compare_kind(&changes, &kinds[i]);
	compare_properties(&changes);
	add_snapshots(&changes);
	compare_refs(&changes);
	remove_snapshots(&changes);
	json_decref(changes.base);
	json_decref(changes.next);
	return json_pack("{s:o, s:o}", "requirements", changes.requirements, "updates", changes.updates);
}

bool rest_is_reached(const struct ice_metadata *now, const struct ice_metadata *next)
{
	json_t *left = rest_changes(now, next);
	bool reached = json_array_size(json_object_get(left, "updates")) == 0;
	json_decref(left);
	return reached;
}

bool rest_same_snapshots(const struct ice_metadata *a, const struct ice_metadata *b)
{
	if (a->snapshot_count != b->snapshot_count || a->ref_count != b->ref_count)
		return false;
	for (uint32_t i = 0; i < a->snapshot_count; i++)
		if (ice_metadata_snapshot(b, a->snapshots[i].id) == NULL)
			return false;
	for (uint32_t i = 0; i < a->ref_count; i++) {
		bool found = false;
		for (uint32_t j = 0; j < b->ref_count && !found; j++)
			found = weir_str_equal(a->refs[i].name, b->refs[j].name) &&
				a->refs[i].snapshot_id == b->refs[j].snapshot_id;
		if (!found)
			return false;
	}
	return true;
}
