/*
 * metadata.json into struct ice_metadata (table specification, "Table Metadata Fields" and appendix C). Versions 1 to
 * 3: what version 1 has in other words (schema, partition-spec) becomes what version 2 says. Members that the model has
 * no place for (statistics, encryption keys, what later versions add) are kept as JSON.
 *
 * Errors are sticky in the parser: the first one is kept, and reading goes on with harmless values, so that the
 * code reads like the document. Nothing of the JSON tree is kept: texts are copied into the arena.
 */
#include <jansson.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "iceberg/internal.h"

#define LIST_MAX 1000000 /* members of one array */

struct parser {
	struct weir_arena *arena;
	struct weir_str name;
	struct weir_error *err;
	int code; /* of the first error; 0 so far */
};

static void refuse(struct parser *parser, int code, const char *key, const char *problem)
{
	if (parser->code == 0)
		parser->code = weir_fail_at(parser->err, code, parser->name, WEIR_ERROR_NO_OFFSET,
			"the table metadata is not valid: '%s' %s", key, problem);
}

static const json_t *member(struct parser *parser, const json_t *object, const char *key, json_type type, bool required)
{
	const json_t *value = json_object_get(object, key);
	if (value == NULL || json_is_null(value)) {
		if (required)
			refuse(parser, WEIR_E_CORRUPT, key, "is missing");
		return NULL;
	}
	bool fits = json_typeof(value) == type || (type == JSON_TRUE && json_is_boolean(value));
	if (!fits)
		refuse(parser, WEIR_E_CORRUPT, key, "has the wrong JSON type");
	return fits ? value : NULL;
}

static int64_t integer(struct parser *parser, const json_t *object, const char *key, int64_t least, int64_t most,
	int64_t absent, bool required)
{
	const json_t *value = member(parser, object, key, JSON_INTEGER, required);
	if (value == NULL)
		return absent;
	int64_t number = json_integer_value(value);
	if (number < least || number > most) {
		refuse(parser, WEIR_E_CORRUPT, key, "is out of range");
		return absent;
	}
	return number;
}

static int32_t need_i32(struct parser *parser, const json_t *object, const char *key)
{
	return (int32_t)integer(parser, object, key, 0, INT32_MAX, 0, true);
}

static int32_t may_i32(struct parser *parser, const json_t *object, const char *key, int32_t absent)
{
	return (int32_t)integer(parser, object, key, INT32_MIN, INT32_MAX, absent, false);
}

static int64_t may_i64(struct parser *parser, const json_t *object, const char *key, int64_t absent)
{
	return integer(parser, object, key, INT64_MIN, INT64_MAX, absent, false);
}

static int64_t need_i64(struct parser *parser, const json_t *object, const char *key)
{
	return integer(parser, object, key, INT64_MIN, INT64_MAX, 0, true);
}

static struct weir_str copy_text(struct parser *parser, const json_t *value)
{
	struct weir_str text = {json_string_value(value), json_string_length(value)};
	return weir_arena_str(parser->arena, text);
}

static struct weir_str text(struct parser *parser, const json_t *object, const char *key, bool required)
{
	const json_t *value = member(parser, object, key, JSON_STRING, required);
	return value != NULL ? copy_text(parser, value) : (struct weir_str){0};
}

static const json_t *list(
	struct parser *parser, const json_t *object, const char *key, bool required, uint32_t *ret_count)
{
	const json_t *value = member(parser, object, key, JSON_ARRAY, required);
	size_t count = value != NULL ? json_array_size(value) : 0;
	if (count > LIST_MAX) {
		refuse(parser, WEIR_E_LIMIT, key, "has more than a million members");
		count = 0;
	}
	*ret_count = (uint32_t)count;
	return value;
}

static struct ice_kv *texts(struct parser *parser, const json_t *object, uint32_t *ret_count)
{
	const char *key;
	json_t *value;
	struct ice_kv *pairs = weir_arena_calloc(parser->arena, json_object_size(object), sizeof *pairs);
	uint32_t count = 0;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		if (!json_is_string(value))
			continue; /* some writers have numbers here */
		pairs[count].key = weir_arena_str(parser->arena, weir_str_from(key));
		pairs[count++].value = copy_text(parser, value);
	}
	*ret_count = count;
	return pairs;
}

/* A value as JSON text; size 0 where it is absent or null. */
static struct weir_str verbatim(struct parser *parser, const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return (struct weir_str){0};
	char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	struct weir_str copy = weir_arena_str(parser->arena, weir_str_from(dump));
	free(dump);
	return copy;
}

/* ---- schemas ---- */

static void parse_fields(struct parser *parser, const json_t *fields, unsigned depth, struct weir_field *parent);

static void parse_type(struct parser *parser, const json_t *type, unsigned depth, struct weir_field *field)
{
	if (depth > ICE_TYPE_DEPTH_MAX) {
		refuse(parser, WEIR_E_LIMIT, "type", "is nested too deeply");
		return;
	}
	if (json_is_string(type)) {
		struct weir_str name = {json_string_value(type), json_string_length(type)};
		if (!weir_type_parse(name, field) && parser->code == 0)
			parser->code = weir_fail_at(parser->err, WEIR_E_UNSUPPORTED, parser->name, WEIR_ERROR_NO_OFFSET,
				"column '%.*s' has type '%.*s', which weir does not read", WEIR_STR_ARG(field->name),
				(int)(name.size < 60 ? name.size : 60), name.data);
		if (field->unknown && field->required)
			refuse(parser, WEIR_E_CORRUPT, "type", "is unknown, which is always null, of a required field");
		return;
	}
	const char *kind = json_string_value(json_object_get(type, "type"));
	struct weir_str name = weir_str_from(kind);
	bool is_map = weir_str_is(name, "map");
	if (weir_str_is(name, "struct")) {
		field->type = WEIR_STRUCT;
		parse_fields(parser, member(parser, type, "fields", JSON_ARRAY, true), depth + 1, field);
		return;
	}
	if (!is_map && !weir_str_is(name, "list")) {
		refuse(parser, WEIR_E_CORRUPT, "type", "is neither a type's name nor a struct, list or map");
		return;
	}
	field->type = is_map ? WEIR_MAP : WEIR_LIST;
	field->child_count = is_map ? 2 : 1;
	field->children = weir_arena_calloc(parser->arena, field->child_count, sizeof *field->children);
	struct weir_field *value = &field->children[field->child_count - 1];
	if (is_map) {
		struct weir_field *key = &field->children[0];
		*key = (struct weir_field){
			.name = WEIR_STR("key"), .id = need_i32(parser, type, "key-id"), .required = true};
		parse_type(parser, json_object_get(type, "key"), depth + 1, key);
	}
	value->name = is_map ? WEIR_STR("value") : WEIR_STR("element");
	value->id = need_i32(parser, type, is_map ? "value-id" : "element-id");
	value->required = json_is_true(json_object_get(type, is_map ? "value-required" : "element-required"));
	parse_type(parser, json_object_get(type, is_map ? "value" : "element"), depth + 1, value);
}

static void parse_fields(struct parser *parser, const json_t *fields, unsigned depth, struct weir_field *parent)
{
	size_t count = json_array_size(fields);
	if (count > LIST_MAX) {
		refuse(parser, WEIR_E_LIMIT, "fields", "has more than a million members");
		return;
	}
	parent->child_count = (uint32_t)count;
	parent->children = weir_arena_calloc(parser->arena, count, sizeof *parent->children);
	for (uint32_t i = 0; i < parent->child_count && parser->code == 0; i++) {
		const json_t *item = json_array_get(fields, i);
		struct weir_field *field = &parent->children[i];
		field->name = text(parser, item, "name", true);
		field->id = need_i32(parser, item, "id");
		field->required = json_is_true(member(parser, item, "required", JSON_TRUE, true));
		field->doc = text(parser, item, "doc", false);
		field->initial_default = verbatim(parser, json_object_get(item, "initial-default"));
		field->write_default = verbatim(parser, json_object_get(item, "write-default"));
		parse_type(parser, json_object_get(item, "type"), depth, field);
	}
}

static void parse_schema(struct parser *parser, const json_t *json, int32_t absent_id, struct weir_schema *ret_schema)
{
	struct weir_field root = {.type = WEIR_STRUCT};
	if (!weir_str_is(text(parser, json, "type", true), "struct"))
		refuse(parser, WEIR_E_CORRUPT, "schema", "is not a struct");
	parse_fields(parser, member(parser, json, "fields", JSON_ARRAY, true), 1, &root);
	*ret_schema = (struct weir_schema){.id = may_i32(parser, json, "schema-id", absent_id),
		.field_count = root.child_count,
		.fields = root.children};
	const json_t *ids = list(parser, json, "identifier-field-ids", false, &ret_schema->identifier_count);
	ret_schema->identifier_ids =
		weir_arena_calloc(parser->arena, ret_schema->identifier_count, sizeof *ret_schema->identifier_ids);
	for (uint32_t i = 0; i < ret_schema->identifier_count; i++)
		ret_schema->identifier_ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
}

static void parse_schemas(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	bool is_v1 = metadata->format_version == 1;
	const json_t *schemas = list(parser, root, "schemas", !is_v1, &metadata->schema_count);
	metadata->current_schema_id = (int32_t)integer(parser, root, "current-schema-id", 0, INT32_MAX, 0, !is_v1);
	bool names_current = json_object_get(root, "current-schema-id") != NULL;
	if (is_v1 && (schemas == NULL || (!names_current && json_object_get(root, "schema") != NULL))) {
		metadata->schema_count = 1;
		metadata->schemas = weir_arena_calloc(parser->arena, 1, sizeof *metadata->schemas);
		parse_schema(parser, member(parser, root, "schema", JSON_OBJECT, true), 0, metadata->schemas);
		metadata->current_schema_id = metadata->schemas[0].id;
		return;
	}
	if (is_v1 && !names_current)
		refuse(parser, WEIR_E_CORRUPT, "current-schema-id", "is missing");
	metadata->schemas = weir_arena_calloc(parser->arena, metadata->schema_count, sizeof *metadata->schemas);
	for (uint32_t i = 0; i < metadata->schema_count; i++)
		parse_schema(parser, json_array_get(schemas, i), 0, &metadata->schemas[i]);
	if (parser->code == 0 && ice_metadata_schema(metadata, metadata->current_schema_id) == NULL)
		refuse(parser, WEIR_E_CORRUPT, "current-schema-id", "names no schema");
}

/* ---- partition specs and sort orders ---- */

static struct ice_transform parse_transform(struct parser *parser, const json_t *json)
{
	struct ice_transform transform = {ICE_UNKNOWN_TRANSFORM, 0};
	struct weir_str name = text(parser, json, "transform", true);
	if (parser->code == 0) {
		int code = ice_transform_parse(name, &transform, parser->err);
		if (code != 0)
			parser->code = code;
	}
	return transform;
}

/* "source-id", or the first of version 3's "source-ids". */
static int32_t parse_source(struct parser *parser, const json_t *json)
{
	const json_t *sources = json_object_get(json, "source-ids");
	if (json_object_get(json, "source-id") == NULL && json_is_integer(json_array_get(sources, 0)))
		return (int32_t)json_integer_value(json_array_get(sources, 0));
	return need_i32(parser, json, "source-id");
}

/* What the model has no words for: an unknown transform's text, and the sources of one that takes several. */
static void keep_text(struct parser *parser, const json_t *json, struct ice_transform transform,
	struct weir_str *ret_text, struct weir_str *ret_sources)
{
	if (transform.kind == ICE_UNKNOWN_TRANSFORM)
		*ret_text = text(parser, json, "transform", true);
	if (json_array_size(json_object_get(json, "source-ids")) > 1)
		*ret_sources = verbatim(parser, json_object_get(json, "source-ids"));
}

static void parse_spec(struct parser *parser, const json_t *fields, int32_t id, struct ice_spec *ret_spec)
{
	size_t count = json_array_size(fields);
	if (count > 1000) {
		refuse(parser, WEIR_E_LIMIT, "partition-specs", "has a spec of more than 1000 fields");
		return;
	}
	*ret_spec = (struct ice_spec){.id = id, .field_count = (uint32_t)count};
	ret_spec->fields = weir_arena_calloc(parser->arena, count, sizeof *ret_spec->fields);
	for (uint32_t i = 0; i < ret_spec->field_count; i++) {
		const json_t *item = json_array_get(fields, i);
		ret_spec->fields[i] = (struct ice_partition_field){.source_id = parse_source(parser, item),
			.field_id = may_i32(parser, item, "field-id", 1000 + (int32_t)i),
			.name = text(parser, item, "name", true),
			.transform = parse_transform(parser, item)};
		keep_text(parser, item, ret_spec->fields[i].transform, &ret_spec->fields[i].text,
			&ret_spec->fields[i].sources);
	}
}

static void parse_specs(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	bool is_v1 = metadata->format_version == 1;
	const json_t *specs = list(parser, root, "partition-specs", !is_v1, &metadata->spec_count);
	if (specs == NULL && is_v1) {
		metadata->spec_count = 1;
		metadata->specs = weir_arena_calloc(parser->arena, 1, sizeof *metadata->specs);
		parse_spec(parser, member(parser, root, "partition-spec", JSON_ARRAY, true), 0, metadata->specs);
	} else {
		metadata->specs = weir_arena_calloc(parser->arena, metadata->spec_count, sizeof *metadata->specs);
		for (uint32_t i = 0; i < metadata->spec_count; i++) {
			const json_t *item = json_array_get(specs, i);
			parse_spec(parser, member(parser, item, "fields", JSON_ARRAY, true),
				need_i32(parser, item, "spec-id"), &metadata->specs[i]);
		}
	}
	int32_t last_spec = 0, last_field = 999;
	for (uint32_t i = 0; i < metadata->spec_count; i++) {
		const struct ice_spec *spec = &metadata->specs[i];
		last_spec = spec->id > last_spec ? spec->id : last_spec;
		for (uint32_t j = 0; j < spec->field_count; j++)
			if (spec->fields[j].field_id > last_field)
				last_field = spec->fields[j].field_id;
	}
	metadata->default_spec_id = (int32_t)integer(parser, root, "default-spec-id", 0, INT32_MAX, last_spec, !is_v1);
	metadata->last_partition_id =
		(int32_t)integer(parser, root, "last-partition-id", 0, INT32_MAX, last_field, !is_v1);
	if (parser->code == 0 && ice_metadata_spec(metadata, metadata->default_spec_id) == NULL)
		refuse(parser, WEIR_E_CORRUPT, "default-spec-id", "names no partition spec");
}

static void parse_sort_order(struct parser *parser, const json_t *json, struct ice_sort_order *order)
{
	const json_t *fields = list(parser, json, "fields", true, &order->field_count);
	order->id = need_i32(parser, json, "order-id");
	order->fields = weir_arena_calloc(parser->arena, order->field_count, sizeof *order->fields);
	for (uint32_t i = 0; i < order->field_count; i++) {
		const json_t *item = json_array_get(fields, i);
		order->fields[i] = (struct ice_sort_field){.source_id = parse_source(parser, item),
			.transform = parse_transform(parser, item),
			.descending = weir_str_is(text(parser, item, "direction", true), "desc"),
			.nulls_last = weir_str_is(text(parser, item, "null-order", true), "nulls-last")};
		keep_text(parser, item, order->fields[i].transform, &order->fields[i].text, &order->fields[i].sources);
	}
}

static void parse_sort_orders(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	bool is_v1 = metadata->format_version == 1;
	const json_t *orders = list(parser, root, "sort-orders", !is_v1, &metadata->sort_order_count);
	metadata->default_sort_order_id =
		(int32_t)integer(parser, root, "default-sort-order-id", 0, INT32_MAX, 0, !is_v1);
	if (metadata->sort_order_count == 0) {
		metadata->sort_order_count = 1; /* unsorted, id 0 */
		metadata->sort_orders = weir_arena_calloc(parser->arena, 1, sizeof *metadata->sort_orders);
		return;
	}
	metadata->sort_orders =
		weir_arena_calloc(parser->arena, metadata->sort_order_count, sizeof *metadata->sort_orders);
	for (uint32_t i = 0; i < metadata->sort_order_count; i++)
		parse_sort_order(parser, json_array_get(orders, i), &metadata->sort_orders[i]);
}

/* ---- snapshots ---- */

/* Version 1, and tables that were upgraded from it, may have old snapshots without a manifest list. */
static void parse_inline_manifests(struct parser *parser, const json_t *item, struct ice_snapshot *snapshot)
{
	const json_t *paths =
		list(parser, item, "manifests", snapshot->manifest_list.size == 0, &snapshot->manifest_count);
	snapshot->manifest_paths =
		weir_arena_calloc(parser->arena, snapshot->manifest_count, sizeof *snapshot->manifest_paths);
	for (uint32_t i = 0; i < snapshot->manifest_count; i++)
		if (json_is_string(json_array_get(paths, i)))
			snapshot->manifest_paths[i] = copy_text(parser, json_array_get(paths, i));
		else
			refuse(parser, WEIR_E_CORRUPT, "manifests", "holds what is no path");
}

static void parse_snapshots(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	const json_t *snapshots = list(parser, root, "snapshots", false, &metadata->snapshot_count);
	metadata->snapshots = weir_arena_calloc(parser->arena, metadata->snapshot_count, sizeof *metadata->snapshots);
	for (uint32_t i = 0; i < metadata->snapshot_count && parser->code == 0; i++) {
		const json_t *item = json_array_get(snapshots, i);
		struct ice_snapshot *snapshot = &metadata->snapshots[i];
		*snapshot = (struct ice_snapshot){.id = need_i64(parser, item, "snapshot-id"),
			.parent_id = may_i64(parser, item, "parent-snapshot-id", -1),
			.sequence_number = may_i64(parser, item, "sequence-number", 0),
			.timestamp_ms = need_i64(parser, item, "timestamp-ms"),
			.manifest_list = text(parser, item, "manifest-list", false),
			.schema_id = may_i32(parser, item, "schema-id", -1),
			.first_row_id = may_i64(parser, item, "first-row-id", -1),
			.added_rows = may_i64(parser, item, "added-rows", -1),
			.key_id = text(parser, item, "key-id", false)};
		parse_inline_manifests(parser, item, snapshot);
		snapshot->summary =
			texts(parser, member(parser, item, "summary", JSON_OBJECT, false), &snapshot->summary_count);
	}
	metadata->current_snapshot_id = may_i64(parser, root, "current-snapshot-id", -1);
	if (metadata->current_snapshot_id != -1 && ice_metadata_current(metadata) == NULL)
		refuse(parser, WEIR_E_CORRUPT, "current-snapshot-id", "names no snapshot");
}

static void parse_refs(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	const json_t *refs = member(parser, root, "refs", JSON_OBJECT, false);
	const char *key;
	json_t *item;
	metadata->refs = weir_arena_calloc(parser->arena, json_object_size(refs) + 1, sizeof *metadata->refs);
	json_object_foreach((json_t *)(uintptr_t)refs, key, item)
	{
		struct ice_ref *ref = &metadata->refs[metadata->ref_count++];
		*ref = (struct ice_ref){.name = weir_arena_str(parser->arena, weir_str_from(key)),
			.snapshot_id = need_i64(parser, item, "snapshot-id"),
			.is_tag = weir_str_is(text(parser, item, "type", true), "tag"),
			.max_ref_age_ms = may_i64(parser, item, "max-ref-age-ms", -1),
			.max_snapshot_age_ms = may_i64(parser, item, "max-snapshot-age-ms", -1),
			.min_snapshots_to_keep = may_i32(parser, item, "min-snapshots-to-keep", -1)};
	}
	for (uint32_t i = 0; i < metadata->ref_count; i++)
		if (weir_str_is(metadata->refs[i].name, "main"))
			return;
	if (metadata->current_snapshot_id != -1)
		metadata->refs[metadata->ref_count++] = (struct ice_ref){.name = WEIR_STR("main"),
			.snapshot_id = metadata->current_snapshot_id,
			.max_ref_age_ms = -1,
			.max_snapshot_age_ms = -1,
			.min_snapshots_to_keep = -1};
}

static struct ice_log_entry *parse_log(
	struct parser *parser, const json_t *root, const char *key, bool of_snapshots, uint32_t *ret_count)
{
	const json_t *entries = list(parser, root, key, false, ret_count);
	struct ice_log_entry *log = weir_arena_calloc(parser->arena, *ret_count, sizeof *log);
	for (uint32_t i = 0; i < *ret_count; i++) {
		const json_t *item = json_array_get(entries, i);
		log[i].timestamp_ms = need_i64(parser, item, "timestamp-ms");
		if (of_snapshots)
			log[i].snapshot_id = need_i64(parser, item, "snapshot-id");
		else
			log[i].metadata_file = text(parser, item, "metadata-file", true);
	}
	return log;
}

static void parse_extras(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	static const char *const known[] = {"format-version", "table-uuid", "location", "last-sequence-number",
		"last-updated-ms", "last-column-id", "schema", "schemas", "current-schema-id", "partition-spec",
		"partition-specs", "default-spec-id", "last-partition-id", "sort-orders", "default-sort-order-id",
		"properties", "snapshots", "current-snapshot-id", "refs", "snapshot-log", "metadata-log",
		"next-row-id"};
	const char *key;
	json_t *value;
	metadata->extras = weir_arena_calloc(parser->arena, json_object_size(root), sizeof *metadata->extras);
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		size_t i = 0;
		while (i < sizeof known / sizeof known[0] && strcmp(known[i], key) != 0)
			i++;
		if (i < sizeof known / sizeof known[0] || json_is_null(value))
			continue;
		metadata->extras[metadata->extra_count].key = weir_arena_str(parser->arena, weir_str_from(key));
		metadata->extras[metadata->extra_count++].value = verbatim(parser, value);
	}
}

static void parse_root(struct parser *parser, const json_t *root, struct ice_metadata *metadata)
{
	metadata->format_version = need_i32(parser, root, "format-version");
	if (metadata->format_version < 1 || metadata->format_version > 3)
		refuse(parser, WEIR_E_UNSUPPORTED, "format-version", "is not 1, 2 or 3");
	metadata->table_uuid = text(parser, root, "table-uuid", metadata->format_version > 1);
	metadata->location = text(parser, root, "location", true);
	while (metadata->location.size > 1 && metadata->location.data[metadata->location.size - 1] == '/')
		metadata->location.size--;
	metadata->last_sequence_number =
		integer(parser, root, "last-sequence-number", 0, INT64_MAX, 0, metadata->format_version > 1);
	metadata->last_updated_ms = need_i64(parser, root, "last-updated-ms");
	metadata->last_column_id = need_i32(parser, root, "last-column-id");
	metadata->next_row_id = integer(parser, root, "next-row-id", 0, INT64_MAX, 0, false);
	parse_schemas(parser, root, metadata);
	parse_specs(parser, root, metadata);
	parse_sort_orders(parser, root, metadata);
	metadata->properties =
		texts(parser, member(parser, root, "properties", JSON_OBJECT, false), &metadata->property_count);
	parse_snapshots(parser, root, metadata);
	parse_refs(parser, root, metadata);
	metadata->snapshot_log = parse_log(parser, root, "snapshot-log", true, &metadata->snapshot_log_count);
	parse_extras(parser, root, metadata);
	metadata->metadata_log = parse_log(parser, root, "metadata-log", false, &metadata->metadata_log_count);
}

/*
 * Some writers have snapshot ids of 64 unsigned bits. They are taken as the signed number of the same bits; documents
 * without such a number (nearly all) are left as they are.
 */
static struct weir_str wrap_integers(struct weir_str json, struct weir_buf *out)
{
	bool in_text = false;
	size_t copied = 0;
	for (size_t i = 0; i < json.size; i++) {
		char c = json.data[i];
		if (c == '"')
			in_text = !in_text;
		if (in_text && c == '\\')
			i++;
		if (in_text || c < '0' || c > '9')
			continue;
		size_t start = i;
		while (i + 1 < json.size && json.data[i + 1] >= '0' && json.data[i + 1] <= '9')
			i++;
		uint64_t number;
		struct weir_str digits = {json.data + start, i + 1 - start};
		if (digits.size < 19 || (start > 0 && json.data[start - 1] == '-') ||
			!weir_str_to_u64(digits, &number) || number <= INT64_MAX)
			continue;
		weir_buf_append(out, json.data + copied, start - copied);
		weir_buf_printf(out, "%lld", (long long)number);
		copied = i + 1;
	}
	if (copied == 0)
		return json;
	weir_buf_append(out, json.data + copied, json.size - copied);
	return weir_buf_str(out);
}

int ice_metadata_parse(struct weir_arena *arena, struct weir_str json, struct weir_str name,
	struct ice_metadata **ret_metadata, struct weir_error *err)
{
	struct weir_buf plain = WEIR_BUF_INIT, wrapped = WEIR_BUF_INIT;
	struct parser parser = {.arena = arena, .name = name, .err = err};
	json_error_t problem;
	json_t *root = NULL;
	if (json.size >= 2 && (uint8_t)json.data[0] == 0x1F && (uint8_t)json.data[1] == 0x8B) {
		parser.code = codec_gunzip_all(json.data, json.size, ICE_METADATA_BYTES_MAX, &plain, err);
		if (parser.code != 0) {
			weir_error_in(err, parser.code, name);
			goto done;
		}
		json = weir_buf_str(&plain);
	}
	json = wrap_integers(json, &wrapped);
	root = json_loadb(json.size > 0 ? json.data : "", json.size, 0, &problem);
	if (root == NULL || !json_is_object(root)) {
		parser.code = weir_fail_at(err, WEIR_E_CORRUPT, name, root == NULL ? (uint64_t)problem.position : 0,
			"the table metadata is not a JSON object: %s", root == NULL ? problem.text : "it is an array");
		goto done;
	}
	struct ice_metadata *metadata = weir_arena_zalloc(arena, sizeof *metadata);
	parse_root(&parser, root, metadata);
	if (parser.code == 0)
		*ret_metadata = metadata;
done:
	json_decref(root);
	weir_buf_done(&plain);
	weir_buf_done(&wrapped);
	return parser.code;
}
