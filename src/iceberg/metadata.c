/* Looking things up in a table's metadata. */
#include "iceberg/internal.h"

const struct weir_schema *ice_metadata_schema(const struct ice_metadata *metadata, int32_t schema_id)
{
	for (uint32_t i = 0; i < metadata->schema_count; i++)
		if (metadata->schemas[i].id == schema_id)
			return &metadata->schemas[i];
	return NULL;
}

const struct weir_schema *ice_metadata_current_schema(const struct ice_metadata *metadata)
{
	return ice_metadata_schema(metadata, metadata->current_schema_id);
}

const struct ice_spec *ice_metadata_spec(const struct ice_metadata *metadata, int32_t spec_id)
{
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		if (metadata->specs[i].id == spec_id)
			return &metadata->specs[i];
	return NULL;
}

const struct ice_snapshot *ice_metadata_snapshot(const struct ice_metadata *metadata, int64_t snapshot_id)
{
	for (uint32_t i = metadata->snapshot_count; i > 0; i--) /* the newest are last */
		if (metadata->snapshots[i - 1].id == snapshot_id)
			return &metadata->snapshots[i - 1];
	return NULL;
}

const struct ice_snapshot *ice_metadata_current(const struct ice_metadata *metadata)
{
	return metadata->current_snapshot_id != -1 ? ice_metadata_snapshot(metadata, metadata->current_snapshot_id)
						   : NULL;
}

static struct weir_str find_pair(const struct ice_kv *pairs, uint32_t count, const char *key)
{
	for (uint32_t i = 0; i < count; i++)
		if (weir_str_is(pairs[i].key, key))
			return pairs[i].value;
	return (struct weir_str){0};
}

struct weir_str ice_property(const struct ice_metadata *metadata, const char *key)
{
	return find_pair(metadata->properties, metadata->property_count, key);
}

struct weir_str ice_metadata_extra(const struct ice_metadata *metadata, const char *key)
{
	return find_pair(metadata->extras, metadata->extra_count, key);
}

struct weir_str ice_summary(const struct ice_snapshot *snapshot, const char *key)
{
	return find_pair(snapshot->summary, snapshot->summary_count, key);
}

static const struct weir_field *find_field(const struct weir_field *fields, uint32_t count, int32_t field_id)
{
	for (uint32_t i = 0; i < count; i++) {
		if (fields[i].id == field_id)
			return &fields[i];
		const struct weir_field *inside = find_field(fields[i].children, fields[i].child_count, field_id);
		if (inside != NULL)
			return inside;
	}
	return NULL;
}

const struct weir_field *ice_schema_field(const struct weir_schema *schema, int32_t field_id)
{
	return find_field(schema->fields, schema->field_count, field_id);
}

const struct weir_field *ice_metadata_field(const struct ice_metadata *metadata, int32_t field_id)
{
	const struct weir_field *field = ice_schema_field(ice_metadata_current_schema(metadata), field_id);
	for (uint32_t i = metadata->schema_count; field == NULL && i > 0; i--)
		field = ice_schema_field(&metadata->schemas[i - 1], field_id);
	return field;
}

bool ice_partition_type(
	const struct ice_metadata *metadata, const struct ice_partition_field *partition, struct weir_field *ret_field)
{
	const struct weir_field *source = ice_metadata_field(metadata, partition->source_id);
	if (source == NULL || weir_type_is_nested(source->type))
		return false;
	*ret_field = *source;
	ret_field->id = partition->field_id;
	ret_field->name = partition->name;
	ret_field->required = false;
	ret_field->type = ice_transform_result(partition->transform, source->type);
	return true;
}
