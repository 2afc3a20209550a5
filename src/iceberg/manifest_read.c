/*
 * Reading a manifest, by field ids (by name where a file has none), of format versions 1 to 3. Entries are copied
 * into the caller's arena. What version 1 lacks gets what version 2 would say: content data, sequence number 0.
 */
#include <stdlib.h>

#include "iceberg/internal.h"

#define METRICS_MAX 4096 /* columns of a file whose metrics are kept; metrics are hints, so more may be passed over */

struct metric_list {
	struct ice_column_metrics *items;
	uint32_t count, capacity, hint;
};

static const struct avro_value *field(const struct avro_value *record, int32_t id, const char *name)
{
	const struct avro_value *value = avro_field_with_id(record, id);
	if (value == NULL)
		value = avro_field_named(record, name);
	return value != NULL && value->type->kind != AVRO_NULL ? value : NULL;
}

static int64_t integer_of(const struct avro_value *value, int64_t absent)
{
	if (value == NULL || (value->type->kind != AVRO_INT && value->type->kind != AVRO_LONG))
		return absent;
	return value->u.integer;
}

static struct weir_str text_of(struct weir_arena *arena, const struct avro_value *value)
{
	bool is_text = value != NULL && (value->type->kind == AVRO_STRING || value->type->kind == AVRO_BYTES);
	return is_text ? weir_arena_str(arena, value->u.bytes) : (struct weir_str){0};
}

/* Maps list columns in the same order, so the next one is usually where the hint says. */
static struct ice_column_metrics *metrics_for(struct metric_list *list, int64_t field_id)
{
	if (list->hint < list->count && list->items[list->hint].field_id == field_id)
		return &list->items[list->hint++];
	for (uint32_t i = 0; i < list->count; i++)
		if (list->items[i].field_id == field_id) {
			list->hint = i + 1;
			return &list->items[i];
		}
	if (list->count == METRICS_MAX || field_id < 0 || field_id > INT32_MAX)
		return NULL;
	WEIR_GROW(list->items, list->count, list->capacity);
	list->items[list->count] = (struct ice_column_metrics){
		.field_id = (int32_t)field_id, .size_bytes = -1, .value_count = -1, .null_count = -1, .nan_count = -1};
	list->hint = list->count + 1;
	return &list->items[list->count++];
}

enum metric { SIZE, VALUES, NULLS, NANS, LOWER, UPPER };

static void set_metric(struct weir_arena *arena, struct ice_column_metrics *metrics, enum metric metric,
	const struct avro_value *value)
{
	switch (metric) {
	case SIZE:
		metrics->size_bytes = integer_of(value, -1);
		break;
	case VALUES:
		metrics->value_count = integer_of(value, -1);
		break;
	case NULLS:
		metrics->null_count = integer_of(value, -1);
		break;
	case NANS:
		metrics->nan_count = integer_of(value, -1);
		break;
	case LOWER:
		metrics->has_lower = true;
		metrics->lower = text_of(arena, value);
		break;
	case UPPER:
		metrics->has_upper = true;
		metrics->upper = text_of(arena, value);
		break;
	}
}

static void read_metrics(struct weir_arena *arena, const struct avro_value *file, struct metric_list *list)
{
	static const struct {
		int32_t id;
		const char *name;
		enum metric metric;
	} maps[] = {
		{108, "column_sizes", SIZE},
		{109, "value_counts", VALUES},
		{110, "null_value_counts", NULLS},
		{137, "nan_value_counts", NANS},
		{125, "lower_bounds", LOWER},
		{128, "upper_bounds", UPPER},
	};
	list->count = 0;
	for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
		const struct avro_value *map = field(file, maps[i].id, maps[i].name);
		if (map == NULL || map->type->kind != AVRO_ARRAY)
			continue;
		list->hint = 0;
		for (uint32_t j = 0; j < map->u.list.count; j++) {
			const struct avro_value *pair = &map->u.list.items[j];
			if (pair->type->kind != AVRO_RECORD || pair->u.list.count != 2)
				break;
			struct ice_column_metrics *metrics = metrics_for(list, integer_of(&pair->u.list.items[0], -1));
			if (metrics != NULL)
				set_metric(arena, metrics, maps[i].metric, &pair->u.list.items[1]);
		}
	}
}

static bool partition_value(struct weir_arena *arena, const struct avro_value *value, struct ice_partition_value *ret)
{
	static const struct weir_field decimal = {.type = WEIR_DECIMAL};
	ret->is_null = false;
	switch (value->type->kind) {
	case AVRO_NULL:
		ret->is_null = true;
		return true;
	case AVRO_BOOL:
		ret->value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = value->u.boolean};
		return true;
	case AVRO_INT:
	case AVRO_LONG:
		ret->value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = value->u.integer};
		return true;
	case AVRO_FLOAT:
	case AVRO_DOUBLE:
		ret->value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = value->u.number};
		return true;
	case AVRO_BYTES:
	case AVRO_STRING:
	case AVRO_FIXED: {
		struct weir_str bytes = weir_arena_str(arena, value->u.bytes);
		if (weir_str_is(value->type->logical, "decimal"))
			return ice_value_decode(bytes, &decimal, &ret->value);
		if (weir_str_is(value->type->logical, "uuid") && bytes.size == 16) {
			ret->value.kind = EXPR_UUID;
			memcpy(ret->value.u.uuid.bytes, bytes.data, 16);
			return true;
		}
		ret->value = (struct expr_value){.kind = EXPR_TEXT, .u.text = bytes};
		return true;
	}
	default:
		return false;
	}
}

static bool read_partition(struct weir_arena *arena, const struct avro_value *record, const struct ice_spec *spec,
	struct ice_data_file *file)
{
	file->partition_count = spec->field_count;
	file->partition = weir_arena_calloc(arena, spec->field_count, sizeof *file->partition);
	for (uint32_t i = 0; i < spec->field_count; i++) {
		const struct ice_partition_field *partition = &spec->fields[i];
		const struct avro_value *value = avro_field_with_id(record, partition->field_id);
		file->partition[i].is_null = true;
		if (value != NULL && !partition_value(arena, value, &file->partition[i]))
			return false;
	}
	return true;
}

static void read_splits(struct weir_arena *arena, const struct avro_value *record, struct ice_data_file *file)
{
	const struct avro_value *splits = field(record, 132, "split_offsets");
	if (splits != NULL && splits->type->kind == AVRO_ARRAY) {
		file->split_count = splits->u.list.count;
		file->split_offsets = weir_arena_calloc(arena, file->split_count, sizeof *file->split_offsets);
		for (uint32_t i = 0; i < file->split_count; i++)
			file->split_offsets[i] = integer_of(&splits->u.list.items[i], 0);
	}
	const struct avro_value *ids = field(record, 135, "equality_ids");
	if (ids != NULL && ids->type->kind == AVRO_ARRAY) {
		file->equality_id_count = ids->u.list.count;
		file->equality_ids = weir_arena_calloc(arena, file->equality_id_count, sizeof *file->equality_ids);
		for (uint32_t i = 0; i < file->equality_id_count; i++)
			file->equality_ids[i] = (int32_t)integer_of(&ids->u.list.items[i], 0);
	}
}

/* One entry; NULL in *ret_problem where it is whole. */
static void read_entry(struct weir_arena *arena, const struct avro_value *entry, const struct ice_spec *spec,
	struct metric_list *list, struct ice_data_file *file, const char **ret_problem)
{
	const struct avro_value *record = field(entry, 2, "data_file");
	int64_t status = integer_of(field(entry, 0, "status"), -1);
	bool has_sequence = avro_field_with_id(entry, 3) != NULL || avro_field_named(entry, "sequence_number") != NULL;
	*file = (struct ice_data_file){.spec_id = spec->id};
	*ret_problem = NULL;
	if (record == NULL || record->type->kind != AVRO_RECORD || status < ICE_EXISTING || status > ICE_DELETED) {
		*ret_problem = "has no data_file or no valid status";
		return;
	}
	int64_t content = integer_of(field(record, 134, "content"), ICE_DATA);
	if (content < ICE_DATA || content > ICE_EQUALITY_DELETES) {
		*ret_problem = "has an unknown content";
		return;
	}
	file->status = (enum ice_status)status;
	file->content = (enum ice_content)content;
	file->snapshot_id = integer_of(field(entry, 1, "snapshot_id"), -1);
	file->sequence_number = integer_of(field(entry, 3, "sequence_number"), has_sequence ? -1 : 0);
	file->file_sequence_number = integer_of(field(entry, 4, "file_sequence_number"), has_sequence ? -1 : 0);
	file->path = text_of(arena, field(record, 100, "file_path"));
	file->format = text_of(arena, field(record, 101, "file_format"));
	file->record_count = integer_of(field(record, 103, "record_count"), -1);
	file->size_bytes = integer_of(field(record, 104, "file_size_in_bytes"), -1);
	file->sort_order_id = (int32_t)integer_of(field(record, 140, "sort_order_id"), -1);
	file->referenced_data_file = text_of(arena, field(record, 143, "referenced_data_file"));
	file->content_offset = integer_of(field(record, 144, "content_offset"), -1);
	file->content_size_bytes = integer_of(field(record, 145, "content_size_in_bytes"), -1);
	file->first_row_id = integer_of(field(record, 142, "first_row_id"), -1);
	if (file->path.size == 0 || file->record_count < 0 || file->size_bytes < 0) {
		*ret_problem = "lacks file_path, record_count or file_size_in_bytes";
		return;
	}
	if (!read_partition(arena, field(record, 102, "partition"), spec, file)) {
		*ret_problem = "has a partition value of an unknown type";
		return;
	}
	read_metrics(arena, record, list);
	file->metric_count = list->count;
	file->metrics = weir_arena_copy(arena, list->items, list->count * sizeof *list->items);
	read_splits(arena, record, file);
}

int ice_manifest_read(struct weir_arena *arena, struct weir_byte_source source, const struct ice_metadata *metadata,
	int32_t spec_id, struct ice_entries *ret_entries, struct weir_error *err)
{
	const struct ice_spec *spec = ice_metadata_spec(metadata, spec_id);
	struct avro_reader *reader = NULL;
	struct metric_list list = {0};
	struct ice_data_file *files = NULL;
	uint32_t count = 0, capacity = 0;
	if (spec == NULL)
		return weir_fail_at(err, WEIR_E_CORRUPT, source.name, WEIR_ERROR_NO_OFFSET,
			"the manifest has partition spec %d, which the table's metadata lacks", spec_id);
	int code = avro_reader_open(source, ICE_MANIFEST_BYTES_MAX, &reader, err);
	while (code == 0) {
		const struct avro_value *entry;
		const char *problem;
		code = avro_reader_next(reader, &entry, err);
		if (code != 0 || entry == NULL)
			break;
		WEIR_GROW(files, count, capacity);
		read_entry(arena, entry, spec, &list, &files[count], &problem);
		if (problem != NULL)
			code = weir_fail_at(err, WEIR_E_CORRUPT, source.name, WEIR_ERROR_NO_OFFSET,
				"entry %u of the manifest %s", count, problem);
		count++;
	}
	if (code == 0) {
		ret_entries->count = count;
		ret_entries->files = weir_arena_copy(arena, files, count * sizeof *files);
	}
	free(files);
	free(list.items);
	avro_reader_close(reader);
	return code;
}

int ice_manifest_spec_id(struct weir_byte_source source, int32_t *ret_spec_id, struct weir_error *err)
{
	struct avro_reader *reader;
	int64_t id = 0;
	int code = avro_reader_open(source, ICE_MANIFEST_BYTES_MAX, &reader, err);
	if (code != 0)
		return code;
	weir_str_to_i64(avro_reader_metadata(reader, "partition-spec-id"), &id);
	*ret_spec_id = id >= 0 && id <= INT32_MAX ? (int32_t)id : 0;
	avro_reader_close(reader);
	return 0;
}
