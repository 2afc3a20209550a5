/*
 * Writing a manifest: an Avro file of entries under one partition spec, with counts and partition summaries for
 * the manifest list gathered on the way (table specification, "Manifests" and "Manifest Lists").
 *
 * Sequence numbers: an ADDED entry has none (it inherits its manifest's), every other entry says both.
 * DELETED entries keep path, partition and counts of rows, but no metrics: nothing reads them, and an erased
 * subject's id must not live on as a bound.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "iceberg/internal.h"

struct summary {
	struct weir_field type;
	bool contains_null, contains_nan, has_bounds;
	struct expr_value lower, upper;
};

struct ice_manifest_writer {
	struct avro_writer *avro;
	struct weir_arena *arena; /* the caller's */
	const struct ice_spec *spec;
	struct summary *summaries; /* spec->field_count */
	struct ice_manifest manifest;
	bool is_wide; /* with row lineage and deletion vectors */
};

int ice_manifest_writer_open(struct weir_byte_sink sink, const struct ice_metadata *metadata,
	const struct ice_spec *spec, bool deletes, struct weir_arena *arena, struct ice_manifest_writer **ret_writer,
	struct weir_error *err)
{
	struct weir_buf avro_schema = WEIR_BUF_INIT, schema = WEIR_BUF_INIT, fields = WEIR_BUF_INIT;
	struct ice_manifest_writer *writer = weir_zalloc(sizeof *writer);
	writer->arena = arena;
	writer->spec = spec;
	writer->summaries = weir_arena_calloc(arena, spec->field_count, sizeof *writer->summaries);
	writer->manifest = (struct ice_manifest){
		.spec_id = spec->id, .content = deletes, .min_sequence_number = INT64_MAX, .first_row_id = -1};
	writer->is_wide = deletes || metadata->format_version > 2;
	for (uint32_t i = 0; i < spec->field_count; i++) {
		writer->summaries[i].type.type = WEIR_STRING;
		ice_partition_type(metadata, &spec->fields[i], &writer->summaries[i].type);
	}
	ice_manifest_schema(metadata, spec, writer->is_wide, &avro_schema);
	const struct weir_schema *current = ice_metadata_current_schema(metadata);
	struct weir_json json = weir_json_to(&schema);
	ice_schema_write(current, &json);
	json = weir_json_to(&fields);
	ice_spec_fields_write(spec, &json);
	char schema_id[16], spec_id[16], version[16];
	snprintf(version, sizeof version, "%d", metadata->format_version);
	snprintf(schema_id, sizeof schema_id, "%d", current->id);
	snprintf(spec_id, sizeof spec_id, "%d", spec->id);
	const struct avro_metadata keys[] = {
		{"schema", weir_buf_str(&schema)},
		{"schema-id", weir_str_from(schema_id)},
		{"partition-spec", weir_buf_str(&fields)},
		{"partition-spec-id", weir_str_from(spec_id)},
		{"format-version", weir_str_from(version)},
		{"content", deletes ? WEIR_STR("deletes") : WEIR_STR("data")},
	};
	int code = avro_writer_open(
		sink, weir_buf_str(&avro_schema), keys, sizeof keys / sizeof keys[0], CODEC_GZIP, &writer->avro, err);
	weir_buf_done(&avro_schema);
	weir_buf_done(&schema);
	weir_buf_done(&fields);
	if (code != 0) {
		free(writer);
		return code;
	}
	*ret_writer = writer;
	return 0;
}

static void put_optional_long(struct weir_buf *out, bool present, int64_t value)
{
	avro_put_long(out, present);
	if (present)
		avro_put_long(out, value);
}

/* A fixed decimal: sign-extended to the width that its schema says. */
static void put_decimal(struct weir_buf *out, const struct expr_value *value, const struct weir_field *type)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	size_t width = ice_decimal_bytes(type->precision);
	ice_value_encode(value, type, &bytes);
	uint8_t sign = bytes.size > 0 && (uint8_t)bytes.data[0] >= 0x80 ? 0xFF : 0;
	for (size_t i = bytes.size; i < width; i++)
		weir_buf_u8(out, sign);
	size_t skip = bytes.size > width ? bytes.size - width : 0;
	weir_buf_append(out, bytes.data + skip, bytes.size - skip);
	weir_buf_done(&bytes);
}

static void put_partition_value(struct weir_buf *out, const struct weir_field *type, const struct expr_value *value)
{
	switch (value->kind) {
	case EXPR_INTEGER:
		if (type->type == WEIR_DECIMAL)
			put_decimal(out, value, type);
		else
			avro_put_long(out, value->u.integer);
		break;
	case EXPR_TEXT:
		if (type->type == WEIR_DECIMAL)
			put_decimal(out, value, type);
		else if (type->type == WEIR_FIXED)
			avro_put_fixed(out, value->u.text.data, value->u.text.size);
		else
			avro_put_bytes(out, value->u.text);
		break;
	case EXPR_NUMBER:
		if (type->type == WEIR_FLOAT)
			avro_put_float(out, (float)value->u.number);
		else
			avro_put_double(out, value->u.number);
		break;
	case EXPR_BOOLEAN:
		avro_put_bool(out, value->u.boolean);
		break;
	case EXPR_UUID:
		avro_put_fixed(out, value->u.uuid.bytes, sizeof value->u.uuid.bytes);
		break;
	}
}

static void summarise(struct ice_manifest_writer *writer, uint32_t index, const struct ice_partition_value *value)
{
	struct summary *summary = &writer->summaries[index];
	int order;
	if (value->is_null) {
		summary->contains_null = true;
		return;
	}
	if (value->value.kind == EXPR_NUMBER && isnan(value->value.u.number)) {
		summary->contains_nan = true;
		return;
	}
	if (!summary->has_bounds) {
		summary->lower = summary->upper = ice_partition_value_copy(writer->arena, value).value;
		summary->has_bounds = true;
		return;
	}
	if (expr_compare(&value->value, &summary->lower, &order) && order < 0)
		summary->lower = ice_partition_value_copy(writer->arena, value).value;
	if (expr_compare(&value->value, &summary->upper, &order) && order > 0)
		summary->upper = ice_partition_value_copy(writer->arena, value).value;
}

static int put_partition(struct ice_manifest_writer *writer, struct weir_buf *out, const struct ice_data_file *file,
	struct weir_error *err)
{
	if (file->partition_count != writer->spec->field_count)
		return weir_fail_at(err, WEIR_E_INPUT, file->path, WEIR_ERROR_NO_OFFSET,
			"the file has %u partition values, but its partition spec %d has %u fields",
			file->partition_count, writer->spec->id, writer->spec->field_count);
	for (uint32_t i = 0; i < file->partition_count; i++) {
		const struct ice_partition_value *value = &file->partition[i];
		avro_put_long(out, !value->is_null);
		if (!value->is_null)
			put_partition_value(out, &writer->summaries[i].type, &value->value);
		summarise(writer, i, value);
	}
	return 0;
}

enum counter { SIZES, VALUES, NULLS, NANS };

static int64_t count_of(const struct ice_column_metrics *metrics, enum counter counter)
{
	switch (counter) {
	case SIZES:
		return metrics->size_bytes;
	case VALUES:
		return metrics->value_count;
	case NULLS:
		return metrics->null_count;
	default:
		return metrics->nan_count;
	}
}

/* An optional array of (field id, count). */
static void put_counts(
	struct weir_buf *out, const struct ice_data_file *file, uint32_t metric_count, enum counter counter)
{
	int64_t present = 0;
	for (uint32_t i = 0; i < metric_count; i++)
		present += count_of(&file->metrics[i], counter) >= 0;
	avro_put_long(out, present > 0);
	if (present == 0)
		return;
	avro_put_long(out, present);
	for (uint32_t i = 0; i < metric_count; i++) {
		int64_t count = count_of(&file->metrics[i], counter);
		if (count >= 0) {
			avro_put_long(out, file->metrics[i].field_id);
			avro_put_long(out, count);
		}
	}
	avro_put_long(out, 0);
}

static void put_bounds(struct weir_buf *out, const struct ice_data_file *file, uint32_t metric_count, bool upper)
{
	int64_t present = 0;
	for (uint32_t i = 0; i < metric_count; i++)
		present += upper ? file->metrics[i].has_upper : file->metrics[i].has_lower;
	avro_put_long(out, present > 0);
	if (present == 0)
		return;
	avro_put_long(out, present);
	for (uint32_t i = 0; i < metric_count; i++) {
		const struct ice_column_metrics *metrics = &file->metrics[i];
		if (upper ? metrics->has_upper : metrics->has_lower) {
			avro_put_long(out, metrics->field_id);
			avro_put_bytes(out, upper ? metrics->upper : metrics->lower);
		}
	}
	avro_put_long(out, 0);
}

static void put_metrics(struct weir_buf *out, const struct ice_data_file *file)
{
	uint32_t metric_count = file->status == ICE_DELETED ? 0 : file->metric_count;
	uint32_t split_count = file->status == ICE_DELETED ? 0 : file->split_count;
	for (enum counter counter = SIZES; counter <= NANS; counter++)
		put_counts(out, file, metric_count, counter);
	put_bounds(out, file, metric_count, false);
	put_bounds(out, file, metric_count, true);
	avro_put_long(out, 0); /* key_metadata */
	avro_put_long(out, split_count > 0);
	if (split_count > 0) {
		avro_put_long(out, split_count);
		for (uint32_t i = 0; i < split_count; i++)
			avro_put_long(out, file->split_offsets[i]);
		avro_put_long(out, 0);
	}
	avro_put_long(out, file->equality_id_count > 0);
	if (file->equality_id_count > 0) {
		avro_put_long(out, file->equality_id_count);
		for (uint32_t i = 0; i < file->equality_id_count; i++)
			avro_put_long(out, file->equality_ids[i]);
		avro_put_long(out, 0);
	}
	put_optional_long(out, file->sort_order_id >= 0, file->sort_order_id);
}

/* Row lineage and deletion vectors. */
static void put_wide(struct weir_buf *out, const struct ice_data_file *file)
{
	bool is_vector = file->content_offset >= 0;
	put_optional_long(out, file->first_row_id >= 0, file->first_row_id);
	avro_put_long(out, file->referenced_data_file.size > 0);
	if (file->referenced_data_file.size > 0)
		avro_put_bytes(out, file->referenced_data_file);
	put_optional_long(out, is_vector, file->content_offset);
	put_optional_long(out, is_vector, file->content_size_bytes);
}

static void count_entry(struct ice_manifest *manifest, const struct ice_data_file *file)
{
	switch (file->status) {
	case ICE_ADDED:
		manifest->added_files++;
		manifest->added_rows += file->record_count;
		break;
	case ICE_EXISTING:
		manifest->existing_files++;
		manifest->existing_rows += file->record_count;
		break;
	case ICE_DELETED:
		manifest->deleted_files++;
		manifest->deleted_rows += file->record_count;
		return; /* the least sequence number is of live files */
	}
	if (file->sequence_number >= 0 && file->sequence_number < manifest->min_sequence_number)
		manifest->min_sequence_number = file->sequence_number;
}

int ice_manifest_writer_add(
	struct ice_manifest_writer *writer, const struct ice_data_file *file, struct weir_error *err)
{
	struct weir_buf *out = avro_writer_record(writer->avro);
	bool is_added = file->status == ICE_ADDED;
	WEIR_ASSERT((file->content != ICE_DATA) == (writer->manifest.content != 0));
	WEIR_ASSERT(
		is_added || (file->sequence_number >= 0 && file->file_sequence_number >= 0 && file->snapshot_id >= 0));
	avro_put_long(out, file->status);
	put_optional_long(out, file->snapshot_id >= 0, file->snapshot_id);
	put_optional_long(out, !is_added || file->sequence_number >= 0, file->sequence_number);
	put_optional_long(out, !is_added, file->file_sequence_number);
	avro_put_long(out, file->content);
	avro_put_bytes(out, file->path);
	avro_put_bytes(out, file->format);
	int code = put_partition(writer, out, file, err);
	if (code != 0)
		return code;
	avro_put_long(out, file->record_count);
	avro_put_long(out, file->size_bytes);
	put_metrics(out, file);
	if (writer->is_wide)
		put_wide(out, file);
	count_entry(&writer->manifest, file);
	return avro_writer_end_record(writer->avro, err);
}

static struct weir_str encoded(struct weir_arena *arena, const struct expr_value *value, const struct weir_field *type)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	ice_value_encode(value, type, &bytes);
	struct weir_str copy = weir_arena_str(arena, weir_buf_str(&bytes));
	weir_buf_done(&bytes);
	return copy;
}

int ice_manifest_writer_close(
	struct ice_manifest_writer *take_writer, struct ice_manifest *ret_manifest, struct weir_error *err)
{
	struct ice_manifest_writer *writer = take_writer;
	uint64_t size;
	int code = avro_writer_close(writer->avro, &size, err);
	writer->avro = NULL;
	if (code == 0) {
		struct ice_manifest *manifest = &writer->manifest;
		manifest->length = (int64_t)size;
		manifest->partition_count = writer->spec->field_count;
		manifest->partitions =
			weir_arena_calloc(writer->arena, manifest->partition_count, sizeof *manifest->partitions);
		for (uint32_t i = 0; i < manifest->partition_count; i++) {
			const struct summary *summary = &writer->summaries[i];
			manifest->partitions[i] = (struct ice_field_summary){.contains_null = summary->contains_null,
				.contains_nan = summary->contains_nan,
				.has_contains_nan = true,
				.has_bounds = summary->has_bounds};
			if (summary->has_bounds) {
				manifest->partitions[i].lower = encoded(writer->arena, &summary->lower, &summary->type);
				manifest->partitions[i].upper = encoded(writer->arena, &summary->upper, &summary->type);
			}
		}
		*ret_manifest = *manifest;
	}
	ice_manifest_writer_abandon(writer);
	return code;
}

void ice_manifest_writer_abandon(struct ice_manifest_writer *take_writer)
{
	if (take_writer == NULL)
		return;
	avro_writer_abandon(take_writer->avro);
	free(take_writer);
}
