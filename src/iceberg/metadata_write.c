/*
 * struct ice_metadata as metadata.json of its format version (table specification, appendix C). Version 1 says schema and
 * partition spec a second time in its old words, as the specification has writers do.
 */
#include "base/json.h"
#include "iceberg/internal.h"

static void write_fields(const struct weir_field *fields, uint32_t count, struct weir_json *json);

static void write_raw(const char *key, struct weir_str value, struct weir_json *json)
{
	weir_json_key(json, key);
	weir_json_raw(json, value);
}

static void write_type(const struct weir_field *field, struct weir_json *json)
{
	char name[128];
	if (!weir_type_is_nested(field->type)) {
		weir_json_cstring(json, weir_type_name(field, name, sizeof name));
		return;
	}
	weir_json_object(json);
	if (field->type == WEIR_STRUCT) {
		weir_json_key_cstring(json, "type", "struct");
		weir_json_key(json, "fields");
		write_fields(field->children, field->child_count, json);
	} else if (field->type == WEIR_LIST) {
		weir_json_key_cstring(json, "type", "list");
		weir_json_key_int(json, "element-id", field->children[0].id);
		weir_json_key(json, "element");
		write_type(&field->children[0], json);
		weir_json_key_bool(json, "element-required", field->children[0].required);
	} else {
		weir_json_key_cstring(json, "type", "map");
		weir_json_key_int(json, "key-id", field->children[0].id);
		weir_json_key(json, "key");
		write_type(&field->children[0], json);
		weir_json_key_int(json, "value-id", field->children[1].id);
		weir_json_key(json, "value");
		write_type(&field->children[1], json);
		weir_json_key_bool(json, "value-required", field->children[1].required);
	}
	weir_json_object_end(json);
}

static void write_fields(const struct weir_field *fields, uint32_t count, struct weir_json *json)
{
	weir_json_array(json);
	for (uint32_t i = 0; i < count; i++) {
		weir_json_object(json);
		weir_json_key_int(json, "id", fields[i].id);
		weir_json_key_string(json, "name", fields[i].name);
		weir_json_key_bool(json, "required", fields[i].required);
		weir_json_key(json, "type");
		write_type(&fields[i], json);
		if (fields[i].doc.size > 0)
			weir_json_key_string(json, "doc", fields[i].doc);
		if (fields[i].initial_default.size > 0)
			write_raw("initial-default", fields[i].initial_default, json);
		if (fields[i].write_default.size > 0)
			write_raw("write-default", fields[i].write_default, json);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

void ice_schema_write(const struct weir_schema *schema, struct weir_json *json)
{
	weir_json_object(json);
	weir_json_key_cstring(json, "type", "struct");
	weir_json_key_int(json, "schema-id", schema->id);
	if (schema->identifier_count > 0) {
		weir_json_key(json, "identifier-field-ids");
		weir_json_array(json);
		for (uint32_t i = 0; i < schema->identifier_count; i++)
			weir_json_int(json, schema->identifier_ids[i]);
		weir_json_array_end(json);
	}
	weir_json_key(json, "fields");
	write_fields(schema->fields, schema->field_count, json);
	weir_json_object_end(json);
}

static void write_transform(struct ice_transform transform, struct weir_str unknown, struct weir_str sources,
	int32_t source, struct weir_json *json)
{
	char name[64];
	if (sources.size > 0)
		write_raw("source-ids", sources, json);
	else
		weir_json_key_int(json, "source-id", source);
	if (transform.kind == ICE_UNKNOWN_TRANSFORM && unknown.size > 0)
		weir_json_key_string(json, "transform", unknown);
	else
		weir_json_key_cstring(json, "transform", ice_transform_name(transform, name, sizeof name));
}

void ice_schema_json(const struct weir_schema *schema, struct weir_json *json)
{
	ice_schema_write(schema, json);
}

void ice_spec_fields_write(const struct ice_spec *spec, struct weir_json *json)
{
	weir_json_array(json);
	for (uint32_t i = 0; i < spec->field_count; i++) {
		weir_json_object(json);
		const struct ice_partition_field *field = &spec->fields[i];
		write_transform(field->transform, field->text, field->sources, field->source_id, json);
		weir_json_key_int(json, "field-id", field->field_id);
		weir_json_key_string(json, "name", field->name);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void write_layout(const struct ice_metadata *metadata, struct weir_json *json)
{
	if (metadata->format_version == 1) {
		weir_json_key(json, "schema");
		ice_schema_write(ice_metadata_current_schema(metadata), json);
		weir_json_key(json, "partition-spec");
		ice_spec_fields_write(ice_metadata_spec(metadata, metadata->default_spec_id), json);
	}
	weir_json_key_int(json, "current-schema-id", metadata->current_schema_id);
	weir_json_key(json, "schemas");
	weir_json_array(json);
	for (uint32_t i = 0; i < metadata->schema_count; i++)
		ice_schema_write(&metadata->schemas[i], json);
	weir_json_array_end(json);
	weir_json_key_int(json, "default-spec-id", metadata->default_spec_id);
	weir_json_key(json, "partition-specs");
	weir_json_array(json);
	for (uint32_t i = 0; i < metadata->spec_count; i++) {
		weir_json_object(json);
		weir_json_key_int(json, "spec-id", metadata->specs[i].id);
		weir_json_key(json, "fields");
		ice_spec_fields_write(&metadata->specs[i], json);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	weir_json_key_int(json, "last-partition-id", metadata->last_partition_id);
	weir_json_key_int(json, "default-sort-order-id", metadata->default_sort_order_id);
}

static void write_sort_orders(const struct ice_metadata *metadata, struct weir_json *json)
{
	weir_json_key(json, "sort-orders");
	weir_json_array(json);
	for (uint32_t i = 0; i < metadata->sort_order_count; i++) {
		const struct ice_sort_order *order = &metadata->sort_orders[i];
		weir_json_object(json);
		weir_json_key_int(json, "order-id", order->id);
		weir_json_key(json, "fields");
		weir_json_array(json);
		for (uint32_t j = 0; j < order->field_count; j++) {
			const struct ice_sort_field *field = &order->fields[j];
			weir_json_object(json);
			write_transform(field->transform, field->text, field->sources, field->source_id, json);
			weir_json_key_cstring(json, "direction", field->descending ? "desc" : "asc");
			weir_json_key_cstring(json, "null-order", field->nulls_last ? "nulls-last" : "nulls-first");
			weir_json_object_end(json);
		}
		weir_json_array_end(json);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void write_pairs(const struct ice_kv *pairs, uint32_t count, struct weir_json *json)
{
	weir_json_object(json);
	for (uint32_t i = 0; i < count; i++) {
		weir_json_key_str(json, pairs[i].key);
		weir_json_string(json, pairs[i].value);
	}
	weir_json_object_end(json);
}

static void write_manifests(const struct ice_snapshot *snapshot, struct weir_json *json)
{
	if (snapshot->manifest_list.size > 0) {
		weir_json_key_string(json, "manifest-list", snapshot->manifest_list);
		return;
	}
	weir_json_key(json, "manifests");
	weir_json_array(json);
	for (uint32_t i = 0; i < snapshot->manifest_count; i++)
		weir_json_string(json, snapshot->manifest_paths[i]);
	weir_json_array_end(json);
}

static void write_snapshots(const struct ice_metadata *metadata, struct weir_json *json)
{
	weir_json_key_int(json, "current-snapshot-id", metadata->current_snapshot_id);
	weir_json_key(json, "snapshots");
	weir_json_array(json);
	for (uint32_t i = 0; i < metadata->snapshot_count; i++) {
		const struct ice_snapshot *snapshot = &metadata->snapshots[i];
		weir_json_object(json);
		if (metadata->format_version > 1)
			weir_json_key_int(json, "sequence-number", snapshot->sequence_number);
		weir_json_key_int(json, "snapshot-id", snapshot->id);
		if (snapshot->parent_id != -1)
			weir_json_key_int(json, "parent-snapshot-id", snapshot->parent_id);
		weir_json_key_int(json, "timestamp-ms", snapshot->timestamp_ms);
		weir_json_key(json, "summary");
		write_pairs(snapshot->summary, snapshot->summary_count, json);
		write_manifests(snapshot, json);
		if (snapshot->schema_id >= 0)
			weir_json_key_int(json, "schema-id", snapshot->schema_id);
		if (snapshot->first_row_id >= 0)
			weir_json_key_int(json, "first-row-id", snapshot->first_row_id);
		if (snapshot->added_rows >= 0)
			weir_json_key_int(json, "added-rows", snapshot->added_rows);
		if (snapshot->key_id.size > 0)
			weir_json_key_string(json, "key-id", snapshot->key_id);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void write_refs(const struct ice_metadata *metadata, struct weir_json *json)
{
	weir_json_key(json, "refs");
	weir_json_object(json);
	for (uint32_t i = 0; i < metadata->ref_count; i++) {
		const struct ice_ref *ref = &metadata->refs[i];
		weir_json_key_str(json, ref->name);
		weir_json_object(json);
		weir_json_key_int(json, "snapshot-id", ref->snapshot_id);
		weir_json_key_cstring(json, "type", ref->is_tag ? "tag" : "branch");
		if (ref->min_snapshots_to_keep >= 0)
			weir_json_key_int(json, "min-snapshots-to-keep", ref->min_snapshots_to_keep);
		if (ref->max_snapshot_age_ms >= 0)
			weir_json_key_int(json, "max-snapshot-age-ms", ref->max_snapshot_age_ms);
		if (ref->max_ref_age_ms >= 0)
			weir_json_key_int(json, "max-ref-age-ms", ref->max_ref_age_ms);
		weir_json_object_end(json);
	}
	weir_json_object_end(json);
}

static void write_log(const char *key, const struct ice_log_entry *log, uint32_t count, struct weir_json *json)
{
	weir_json_key(json, key);
	weir_json_array(json);
	for (uint32_t i = 0; i < count; i++) {
		weir_json_object(json);
		weir_json_key_int(json, "timestamp-ms", log[i].timestamp_ms);
		if (log[i].metadata_file.size > 0)
			weir_json_key_string(json, "metadata-file", log[i].metadata_file);
		else
			weir_json_key_int(json, "snapshot-id", log[i].snapshot_id);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

void ice_metadata_write(const struct ice_metadata *metadata, struct weir_buf *out)
{
	struct weir_json json = weir_json_to(out);
	weir_json_object(&json);
	weir_json_key_int(&json, "format-version", metadata->format_version);
	if (metadata->table_uuid.size > 0)
		weir_json_key_string(&json, "table-uuid", metadata->table_uuid);
	weir_json_key_string(&json, "location", metadata->location);
	if (metadata->format_version > 1)
		weir_json_key_int(&json, "last-sequence-number", metadata->last_sequence_number);
	if (metadata->format_version > 2)
		weir_json_key_int(&json, "next-row-id", metadata->next_row_id);
	weir_json_key_int(&json, "last-updated-ms", metadata->last_updated_ms);
	weir_json_key_int(&json, "last-column-id", metadata->last_column_id);
	write_layout(metadata, &json);
	write_sort_orders(metadata, &json);
	weir_json_key(&json, "properties");
	write_pairs(metadata->properties, metadata->property_count, &json);
	write_snapshots(metadata, &json);
	write_refs(metadata, &json);
	write_log("snapshot-log", metadata->snapshot_log, metadata->snapshot_log_count, &json);
	for (uint32_t i = 0; i < metadata->extra_count; i++) {
		weir_json_key_str(&json, metadata->extras[i].key);
		weir_json_raw(&json, metadata->extras[i].value);
	}
	write_log("metadata-log", metadata->metadata_log, metadata->metadata_log_count, &json);
	weir_json_object_end(&json);
}
