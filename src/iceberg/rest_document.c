/* Metadata documents: reading them in whichever version, writing them, and cutting them down to what refs name. */
#include "iceberg/rest_document.h"

#include "codec/codec.h"

/* What version 1 says in other words gets the words of version 2; what older writers left out gets its default. */
static void normalise_table(json_t *metadata)
{
	if (json_object_get(metadata, "schemas") == NULL) {
		json_t *schema = json_deep_copy(json_object_get(metadata, "schema"));
		json_object_set_new(schema, "schema-id", json_integer(ice_rest_int(schema, "schema-id", 0)));
		json_object_set_new(metadata, "current-schema-id", json_integer(ice_rest_int(schema, "schema-id", 0)));
		json_object_set_new(metadata, "schemas", json_pack("[o]", schema));
	}
	if (json_object_get(metadata, "partition-specs") == NULL) {
		json_t *fields = json_deep_copy(json_object_get(metadata, "partition-spec")), *field;
		size_t index;
		if (!json_is_array(fields)) {
			json_decref(fields);
			fields = json_array();
		}
		json_array_foreach(fields, index, field)
		{
			if (json_object_get(field, "field-id") == NULL)
				json_object_set_new(field, "field-id", json_integer(1000 + (json_int_t)index));
		}
		json_object_set_new(
			metadata, "partition-specs", json_pack("[{s:i,s:o}]", "spec-id", 0, "fields", fields));
		json_object_set_new(metadata, "default-spec-id", json_integer(0));
	}
	if (json_object_get(metadata, "last-partition-id") == NULL) {
		json_t *specs = json_object_get(metadata, "partition-specs"), *spec, *field;
		size_t index, inner;
		int64_t last = 999;
		json_array_foreach(specs, index, spec)
		{
			json_array_foreach(json_object_get(spec, "fields"), inner, field)
			{
				int64_t id = ice_rest_int(field, "field-id", 0);
				last = id > last ? id : last;
			}
		}
		json_object_set_new(metadata, "last-partition-id", json_integer(last));
	}
	if (json_object_get(metadata, "sort-orders") == NULL) {
		json_object_set_new(metadata, "sort-orders", json_pack("[{s:i,s:[]}]", "order-id", 0, "fields"));
		json_object_set_new(metadata, "default-sort-order-id", json_integer(0));
	}
	static const char *const objects[] = {"properties", "refs"},
				 *const arrays[] = {"snapshots", "snapshot-log", "metadata-log"};
	for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
		if (!json_is_object(json_object_get(metadata, objects[i])))
			json_object_set_new(metadata, objects[i], json_object());
	for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
		if (!json_is_array(json_object_get(metadata, arrays[i])))
			json_object_set_new(metadata, arrays[i], json_array());
	int64_t current = ice_rest_int(metadata, "current-snapshot-id", -1);
	json_t *refs = json_object_get(metadata, "refs");
	if (current != -1 && json_object_get(refs, "main") == NULL)
		json_object_set_new(
			refs, "main", json_pack("{s:I,s:s}", "snapshot-id", (json_int_t)current, "type", "branch"));
}

static int check_table(const json_t *metadata, struct weir_str name, struct weir_error *err)
{
	int64_t version = ice_rest_int(metadata, "format-version", -1);
	if (version < 1 || version > ICE_REST_FORMAT_MAX)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, name, WEIR_ERROR_NO_OFFSET,
			"the table's format-version is %lld; this catalog holds versions 1 to %d", (long long)version,
			ICE_REST_FORMAT_MAX);
	if (ice_rest_text(metadata, "location").size == 0 ||
		(json_object_get(metadata, "schemas") == NULL && json_object_get(metadata, "schema") == NULL))
		return weir_fail_at(err, WEIR_E_CORRUPT, name, WEIR_ERROR_NO_OFFSET,
			"the file is no table metadata: it has no location, or no schema");
	return 0;
}

int ice_rest_parse(struct weir_str text, enum ice_rest_kind kind, struct weir_str name, json_t **ret_metadata,
	struct weir_error *err)
{
	struct weir_buf plain = WEIR_BUF_INIT;
	json_error_t problem;
	json_t *root = NULL;
	int status = 0;
	if (text.size >= 2 && (uint8_t)text.data[0] == 0x1F && (uint8_t)text.data[1] == 0x8B) {
		status = codec_gunzip_all(text.data, text.size, ICE_REST_BYTES_MAX, &plain, err);
		text = weir_buf_str(&plain);
	}
	if (status == 0)
		root = json_loadb(text.size > 0 ? text.data : "", text.size, 0, &problem);
	if (status == 0 && !json_is_object(root))
		status = weir_fail_at(err, WEIR_E_CORRUPT, name, root == NULL ? (uint64_t)problem.position : 0,
			"the metadata is not a JSON object: %s", root == NULL ? problem.text : "another value");
	if (status == 0 && kind == ICE_REST_TABLE)
		status = check_table(root, name, err);
	if (status == 0 && kind == ICE_REST_VIEW && !json_is_array(json_object_get(root, "versions")))
		status = weir_fail_at(err, WEIR_E_CORRUPT, name, WEIR_ERROR_NO_OFFSET,
			"the file is no view metadata: it has no versions");
	weir_buf_done(&plain);
	if (status != 0) {
		json_decref(root);
		return status;
	}
	if (kind == ICE_REST_TABLE)
		normalise_table(root);
	*ret_metadata = root;
	return 0;
}

static json_t *find_by_id(json_t *list, const char *key, int64_t id)
{
	size_t index;
	json_t *item;
	json_array_foreach(list, index, item)
	{
		if (ice_rest_int(item, key, -1) == id)
			return item;
	}
	return NULL;
}

/* Version 1 names its schema and spec in members of their own, later versions must not have them. */
static void set_version_members(json_t *metadata)
{
	int64_t version = ice_rest_int(metadata, "format-version", 2);
	int64_t current = ice_rest_int(metadata, "current-snapshot-id", -1);
	if (current == -1)
		json_object_set_new(metadata, "current-snapshot-id", version < 3 ? json_integer(-1) : json_null());
	if (version > 1) {
		json_object_del(metadata, "schema");
		json_object_del(metadata, "partition-spec");
		return;
	}
	json_t *schema = find_by_id(
		json_object_get(metadata, "schemas"), "schema-id", ice_rest_int(metadata, "current-schema-id", 0));
	json_t *spec = find_by_id(
		json_object_get(metadata, "partition-specs"), "spec-id", ice_rest_int(metadata, "default-spec-id", 0));
	if (schema != NULL)
		json_object_set(metadata, "schema", schema);
	if (spec != NULL)
		json_object_set(metadata, "partition-spec", json_object_get(spec, "fields"));
}

static int append_text(const char *text, size_t size, void *context)
{
	weir_buf_append(context, text, size);
	return 0;
}

void ice_rest_write(json_t *metadata, enum ice_rest_kind kind, struct weir_buf *out)
{
	if (kind == ICE_REST_TABLE)
		set_version_members(metadata);
	int status = json_dump_callback(metadata, append_text, out, JSON_COMPACT | JSON_REAL_PRECISION(17));
	WEIR_ASSERT(status == 0);
}

static bool names_snapshot(const json_t *refs, int64_t id)
{
	const char *name;
	json_t *ref;
	json_object_foreach((json_t *)(uintptr_t)refs, name, ref)
	{
		if (ice_rest_int(ref, "snapshot-id", -1) == id)
			return true;
	}
	return false;
}

void ice_rest_keep_refs_only(json_t *metadata)
{
	json_t *refs = json_object_get(metadata, "refs"), *kept = json_array(), *snapshot;
	size_t index;
	json_array_foreach(json_object_get(metadata, "snapshots"), index, snapshot)
	{
		if (names_snapshot(refs, ice_rest_int(snapshot, "snapshot-id", -1)))
			json_array_append(kept, snapshot);
	}
	json_object_set_new(metadata, "snapshots", kept);
}
