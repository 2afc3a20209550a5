/* Manifest lists (table specification, "Manifest Lists"): written as versions 2 and 3, read as versions 1 to 3. */
#include <stdio.h>
#include <stdlib.h>

#include "iceberg/internal.h"

static const char list_schema[] =
	"{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
	"{\"name\":\"manifest_path\",\"type\":\"string\",\"field-id\":500},"
	"{\"name\":\"manifest_length\",\"type\":\"long\",\"field-id\":501},"
	"{\"name\":\"partition_spec_id\",\"type\":\"int\",\"field-id\":502},"
	"{\"name\":\"content\",\"type\":\"int\",\"field-id\":517},"
	"{\"name\":\"sequence_number\",\"type\":\"long\",\"field-id\":515},"
	"{\"name\":\"min_sequence_number\",\"type\":\"long\",\"field-id\":516},"
	"{\"name\":\"added_snapshot_id\",\"type\":\"long\",\"field-id\":503},"
	"{\"name\":\"added_files_count\",\"type\":\"int\",\"field-id\":504},"
	"{\"name\":\"existing_files_count\",\"type\":\"int\",\"field-id\":505},"
	"{\"name\":\"deleted_files_count\",\"type\":\"int\",\"field-id\":506},"
	"{\"name\":\"added_rows_count\",\"type\":\"long\",\"field-id\":512},"
	"{\"name\":\"existing_rows_count\",\"type\":\"long\",\"field-id\":513},"
	"{\"name\":\"deleted_rows_count\",\"type\":\"long\",\"field-id\":514},"
	"{\"name\":\"partitions\",\"type\":[\"null\",{\"type\":\"array\",\"element-id\":508,\"items\":"
	"{\"type\":\"record\",\"name\":\"r508\",\"fields\":["
	"{\"name\":\"contains_null\",\"type\":\"boolean\",\"field-id\":509},"
	"{\"name\":\"contains_nan\",\"type\":[\"null\",\"boolean\"],\"default\":null,\"field-id\":518},"
	"{\"name\":\"lower_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":510},"
	"{\"name\":\"upper_bound\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":511}"
	"]}}],\"default\":null,\"field-id\":507},"
	"{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"default\":null,\"field-id\":519}";
static const char row_id_field[] =
	",{\"name\":\"first_row_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":520}";

static void put_summaries(struct weir_buf *out, const struct ice_manifest *manifest)
{
	avro_put_long(out, 1);
	if (manifest->partition_count > 0)
		avro_put_long(out, manifest->partition_count);
	for (uint32_t i = 0; i < manifest->partition_count; i++) {
		const struct ice_field_summary *summary = &manifest->partitions[i];
		avro_put_bool(out, summary->contains_null);
		avro_put_long(out, summary->has_contains_nan);
		if (summary->has_contains_nan)
			avro_put_bool(out, summary->contains_nan);
		avro_put_long(out, summary->has_bounds);
		if (summary->has_bounds)
			avro_put_bytes(out, summary->lower);
		avro_put_long(out, summary->has_bounds);
		if (summary->has_bounds)
			avro_put_bytes(out, summary->upper);
	}
	avro_put_long(out, 0);
}

static void put_manifest(struct weir_buf *out, const struct ice_manifest *manifest, int32_t format_version)
{
	avro_put_bytes(out, manifest->path);
	avro_put_long(out, manifest->length);
	avro_put_long(out, manifest->spec_id);
	avro_put_long(out, manifest->content);
	avro_put_long(out, manifest->sequence_number);
	avro_put_long(out, manifest->min_sequence_number);
	avro_put_long(out, manifest->added_snapshot_id);
	avro_put_long(out, manifest->added_files);
	avro_put_long(out, manifest->existing_files);
	avro_put_long(out, manifest->deleted_files);
	avro_put_long(out, manifest->added_rows);
	avro_put_long(out, manifest->existing_rows);
	avro_put_long(out, manifest->deleted_rows);
	put_summaries(out, manifest);
	avro_put_long(out, 0); /* key_metadata */
	if (format_version < 3)
		return;
	avro_put_long(out, manifest->first_row_id >= 0);
	if (manifest->first_row_id >= 0)
		avro_put_long(out, manifest->first_row_id);
}

int ice_manifest_list_write(struct weir_byte_sink sink, const struct ice_snapshot *snapshot, int32_t format_version,
	const struct ice_manifest *manifests, uint32_t count, struct weir_error *err)
{
	char id[24], parent[24], sequence[24], version[16];
	struct avro_writer *writer;
	snprintf(id, sizeof id, "%lld", (long long)snapshot->id);
	snprintf(sequence, sizeof sequence, "%lld", (long long)snapshot->sequence_number);
	snprintf(version, sizeof version, "%d", format_version);
	if (snapshot->parent_id != -1)
		snprintf(parent, sizeof parent, "%lld", (long long)snapshot->parent_id);
	else
		snprintf(parent, sizeof parent, "null");
	const struct avro_metadata keys[] = {
		{"snapshot-id", weir_str_from(id)},
		{"parent-snapshot-id", weir_str_from(parent)},
		{"sequence-number", weir_str_from(sequence)},
		{"format-version", weir_str_from(version)},
	};
	struct weir_buf schema = WEIR_BUF_INIT;
	weir_buf_printf(&schema, "%s%s]}", list_schema, format_version > 2 ? row_id_field : "");
	int code = avro_writer_open(
		sink, weir_buf_str(&schema), keys, sizeof keys / sizeof keys[0], CODEC_GZIP, &writer, err);
	weir_buf_done(&schema);
	if (code != 0)
		return code;
	for (uint32_t i = 0; i < count; i++) {
		put_manifest(avro_writer_record(writer), &manifests[i], format_version);
		code = avro_writer_end_record(writer, err);
		if (code != 0) {
			avro_writer_abandon(writer);
			return code;
		}
	}
	return avro_writer_close(writer, NULL, err);
}

/* ---- reading ---- */

static const struct avro_value *field(const struct avro_value *record, int32_t id, const char *name)
{
	const struct avro_value *value = avro_field_with_id(record, id);
	if (value == NULL)
		value = avro_field_named(record, name);
	return value != NULL && value->type->kind != AVRO_NULL ? value : NULL;
}

static int64_t integer_of(const struct avro_value *record, int32_t id, const char *name, int64_t absent)
{
	const struct avro_value *value = field(record, id, name);
	if (value == NULL || (value->type->kind != AVRO_INT && value->type->kind != AVRO_LONG))
		return absent;
	return value->u.integer;
}

static bool bool_of(const struct avro_value *value)
{
	return value != NULL && value->type->kind == AVRO_BOOL && value->u.boolean;
}

static struct weir_str bytes_of(struct weir_arena *arena, const struct avro_value *value)
{
	bool is_text = value != NULL && (value->type->kind == AVRO_STRING || value->type->kind == AVRO_BYTES);
	return is_text ? weir_arena_str(arena, value->u.bytes) : (struct weir_str){0};
}

static void read_summaries(struct weir_arena *arena, const struct avro_value *list, struct ice_manifest *manifest)
{
	if (list == NULL || list->type->kind != AVRO_ARRAY)
		return;
	manifest->partition_count = list->u.list.count;
	manifest->partitions = weir_arena_calloc(arena, manifest->partition_count, sizeof *manifest->partitions);
	for (uint32_t i = 0; i < manifest->partition_count; i++) {
		const struct avro_value *item = &list->u.list.items[i];
		const struct avro_value *nan = field(item, 518, "contains_nan");
		const struct avro_value *lower = field(item, 510, "lower_bound");
		const struct avro_value *upper = field(item, 511, "upper_bound");
		manifest->partitions[i] =
			(struct ice_field_summary){.contains_null = bool_of(field(item, 509, "contains_null")),
				.contains_nan = bool_of(nan),
				.has_contains_nan = nan != NULL,
				.has_bounds = lower != NULL && upper != NULL,
				.lower = bytes_of(arena, lower),
				.upper = bytes_of(arena, upper)};
	}
}

/* Version 1 names the counts otherwise and may leave them out: -1. */
static void read_manifest(struct weir_arena *arena, const struct avro_value *record, struct ice_manifest *manifest)
{
	*manifest = (struct ice_manifest){.path = bytes_of(arena, field(record, 500, "manifest_path")),
		.length = integer_of(record, 501, "manifest_length", -1),
		.spec_id = (int32_t)integer_of(record, 502, "partition_spec_id", 0),
		.content = (int32_t)integer_of(record, 517, "content", 0),
		.sequence_number = integer_of(record, 515, "sequence_number", 0),
		.min_sequence_number = integer_of(record, 516, "min_sequence_number", 0),
		.added_snapshot_id = integer_of(record, 503, "added_snapshot_id", -1),
		.added_files = (int32_t)integer_of(record, 504, "added_files_count", -1),
		.existing_files = (int32_t)integer_of(record, 505, "existing_files_count", -1),
		.deleted_files = (int32_t)integer_of(record, 506, "deleted_files_count", -1),
		.added_rows = integer_of(record, 512, "added_rows_count", -1),
		.existing_rows = integer_of(record, 513, "existing_rows_count", -1),
		.deleted_rows = integer_of(record, 514, "deleted_rows_count", -1),
		.first_row_id = integer_of(record, 520, "first_row_id", -1)};
	read_summaries(arena, field(record, 507, "partitions"), manifest);
}

int ice_manifest_list_read(struct weir_arena *arena, struct weir_byte_source source,
	struct ice_manifest **ret_manifests, uint32_t *ret_count, struct weir_error *err)
{
	struct avro_reader *reader = NULL;
	struct ice_manifest *manifests = NULL;
	uint32_t count = 0, capacity = 0;
	int code = avro_reader_open(source, ICE_MANIFEST_BYTES_MAX, &reader, err);
	while (code == 0) {
		const struct avro_value *record;
		code = avro_reader_next(reader, &record, err);
		if (code != 0 || record == NULL)
			break;
		WEIR_GROW(manifests, count, capacity);
		read_manifest(arena, record, &manifests[count]);
		if (manifests[count].path.size == 0)
			code = weir_fail_at(err, WEIR_E_CORRUPT, source.name, WEIR_ERROR_NO_OFFSET,
				"entry %u of the manifest list has no manifest_path", count);
		count++;
	}
	if (code == 0) {
		*ret_manifests = weir_arena_copy(arena, manifests, count * sizeof *manifests);
		*ret_count = count;
	}
	free(manifests);
	avro_reader_close(reader);
	return code;
}
