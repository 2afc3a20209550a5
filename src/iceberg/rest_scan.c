#include "iceberg/rest_scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "column/text.h"
#include "iceberg/internal.h"

/* ---- values ---- */

static void write_hex(struct weir_json *json, struct weir_str bytes)
{
	static const char digits[] = "0123456789ABCDEF";
	struct weir_buf text = WEIR_BUF_INIT;
	for (size_t i = 0; i < bytes.size; i++) {
		weir_buf_putc(&text, digits[(uint8_t)bytes.data[i] >> 4]);
		weir_buf_putc(&text, digits[(uint8_t)bytes.data[i] & 15]);
	}
	weir_json_string(json, text.size > 0 ? weir_buf_str(&text) : WEIR_STR(""));
	weir_buf_done(&text);
}

/* "...Z" is written "...+00:00" there. */
static void write_zoned(struct weir_json *json, struct weir_str text)
{
	char zoned[WEIR_VALUE_TEXT + 8];
	int size = snprintf(zoned, sizeof zoned, "%.*s+00:00", (int)text.size - 1, text.data);
	weir_json_string(json, (struct weir_str){zoned, (size_t)size});
}

void ice_rest_value_write(struct weir_arena *arena, const struct weir_field *field, const struct expr_value *value,
	struct weir_json *json)
{
	char buffer[WEIR_VALUE_TEXT];
	struct weir_column column;
	if (!ice_constant_column(arena, field, value, 1, &column)) {
		weir_json_null(json);
		return;
	}
	struct weir_str text = weir_column_text(field, &column, 0, buffer);
	switch (field->type) {
	case WEIR_BOOL:
	case WEIR_INT32:
	case WEIR_INT64:
		weir_json_raw(json, text);
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE: /* JSON has no NaN and no infinities: readers take their names */
		if (isnan(value->u.number))
			weir_json_cstring(json, "NaN");
		else if (isinf(value->u.number))
			weir_json_cstring(json, value->u.number > 0 ? "Infinity" : "-Infinity");
		else
			weir_json_raw(json, text);
		break;
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMPTZ_NS:
		write_zoned(json, text);
		break;
	case WEIR_FIXED:
	case WEIR_BINARY:
		write_hex(json, text);
		break;
	default:
		weir_json_string(json, text);
		break;
	}
}

/* ---- files ---- */

static void write_partition(const struct ice_rest_tasks *tasks, struct weir_arena *arena,
	const struct ice_data_file *file, struct weir_json *json)
{
	const struct ice_metadata *metadata = ice_table_metadata(tasks->table);
	const struct ice_spec *spec = ice_metadata_spec(metadata, file->spec_id);
	weir_json_key(json, "partition");
	weir_json_array(json);
	for (uint32_t i = 0; spec != NULL && i < spec->field_count && i < file->partition_count; i++) {
		struct weir_field type;
		if (file->partition[i].is_null || !ice_partition_type(metadata, &spec->fields[i], &type))
			weir_json_null(json);
		else
			ice_rest_value_write(arena, &type, &file->partition[i].value, json);
	}
	weir_json_array_end(json);
}

enum metric { COLUMN_SIZES, VALUE_COUNTS, NULL_COUNTS, NAN_COUNTS, LOWER_BOUNDS, UPPER_BOUNDS, METRICS };

static bool has_metric(const struct ice_column_metrics *metrics, enum metric which, int64_t *ret_number)
{
	switch (which) {
	case COLUMN_SIZES:
		*ret_number = metrics->size_bytes;
		break;
	case VALUE_COUNTS:
		*ret_number = metrics->value_count;
		break;
	case NULL_COUNTS:
		*ret_number = metrics->null_count;
		break;
	case NAN_COUNTS:
		*ret_number = metrics->nan_count;
		break;
	case LOWER_BOUNDS:
		return metrics->has_lower;
	default:
		return metrics->has_upper;
	}
	return *ret_number >= 0;
}

static bool is_asked(const struct ice_rest_tasks *tasks, int32_t field_id)
{
	for (uint32_t i = 0; i < tasks->stats_count; i++)
		if (tasks->stats_ids[i] == field_id)
			return true;
	return false;
}

/* Maps are arrays of keys and of values; bounds are the hexadecimal digits of their binary form, as engines read them. */
static void write_metrics(const struct ice_rest_tasks *tasks, const struct ice_data_file *file, struct weir_json *json)
{
	static const char *const names[METRICS] = {"column-sizes", "value-counts", "null-value-counts",
		"nan-value-counts", "lower-bounds", "upper-bounds"};
	for (unsigned which = 0; which < METRICS && tasks->stats_count > 0; which++) {
		int64_t number = 0;
		weir_json_key(json, names[which]);
		weir_json_object(json);
		weir_json_key(json, "keys");
		weir_json_array(json);
		for (uint32_t i = 0; i < file->metric_count; i++)
			if (is_asked(tasks, file->metrics[i].field_id) &&
				has_metric(&file->metrics[i], (enum metric)which, &number))
				weir_json_int(json, file->metrics[i].field_id);
		weir_json_array_end(json);
		weir_json_key(json, "values");
		weir_json_array(json);
		for (uint32_t i = 0; i < file->metric_count; i++) {
			const struct ice_column_metrics *metrics = &file->metrics[i];
			if (!is_asked(tasks, metrics->field_id) || !has_metric(metrics, (enum metric)which, &number))
				continue;
			if (which >= LOWER_BOUNDS)
				write_hex(json, which == LOWER_BOUNDS ? metrics->lower : metrics->upper);
			else
				weir_json_int(json, number);
		}
		weir_json_array_end(json);
		weir_json_object_end(json);
	}
}

static void write_deletes_members(const struct ice_data_file *file, struct weir_json *json)
{
	if (file->content == ICE_EQUALITY_DELETES) {
		weir_json_key(json, "equality-ids");
		weir_json_array(json);
		for (uint32_t i = 0; i < file->equality_id_count; i++)
			weir_json_int(json, file->equality_ids[i]);
		weir_json_array_end(json);
	}
	if (file->referenced_data_file.size > 0)
		weir_json_key_string(json, "referenced-data-file", file->referenced_data_file);
	if (file->content_offset >= 0)
		weir_json_key_int(json, "content-offset", file->content_offset);
	if (file->content_size_bytes >= 0)
		weir_json_key_int(json, "content-size-in-bytes", file->content_size_bytes);
}

static void write_file(const struct ice_rest_tasks *tasks, struct weir_arena *arena, const struct ice_data_file *file,
	struct weir_json *json)
{
	static const char *const contents[] = {"data", "position-deletes", "equality-deletes"};
	char format[16];
	size_t size = file->format.size < sizeof format ? file->format.size : sizeof format - 1;
	for (size_t i = 0; i < size; i++)
		format[i] = (char)(file->format.data[i] | 0x20); /* letters alone */
	weir_json_object(json);
	weir_json_key_int(json, "spec-id", file->spec_id);
	weir_json_key_cstring(json, "content", contents[file->content]);
	weir_json_key_string(json, "file-path", file->path);
	weir_json_key_string(json, "file-format", (struct weir_str){format, size});
	write_partition(tasks, arena, file, json);
	weir_json_key_int(json, "file-size-in-bytes", file->size_bytes);
	weir_json_key_int(json, "record-count", file->record_count);
	if (file->content == ICE_DATA)
		write_metrics(tasks, file, json);
	if (file->split_count > 0) {
		weir_json_key(json, "split-offsets");
		weir_json_array(json);
		for (uint32_t i = 0; i < file->split_count; i++)
			weir_json_int(json, file->split_offsets[i]);
		weir_json_array_end(json);
	}
	if (file->sort_order_id >= 0)
		weir_json_key_int(json, "sort-order-id", file->sort_order_id);
	if (file->content == ICE_DATA && file->first_row_id >= 0)
		weir_json_key_int(json, "first-row-id", file->first_row_id);
	if (file->content != ICE_DATA)
		write_deletes_members(file, json);
	weir_json_object_end(json);
}

/* ---- delete files: each once, found by its place in memory, which a plan shares ---- */

struct delete_set {
	const struct ice_data_file **slots, **files;
	uint32_t *numbers; /* of slots */
	uint32_t slot_count, count;
};

static uint32_t delete_slot(const struct delete_set *set, const struct ice_data_file *file)
{
	uint32_t at = (uint32_t)weir_mix64((uintptr_t)file) & (set->slot_count - 1);
	while (set->slots[at] != NULL && set->slots[at] != file)
		at = (at + 1) & (set->slot_count - 1);
	return at;
}

static void collect_deletes(const struct ice_rest_tasks *tasks, struct delete_set *set)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < tasks->count; i++)
		total += tasks->files[i]->delete_count;
	for (set->slot_count = 16; set->slot_count < 2 * total;)
		set->slot_count *= 2;
	set->slots = weir_zalloc(set->slot_count * sizeof *set->slots);
	set->numbers = weir_zalloc(set->slot_count * sizeof *set->numbers);
	set->files = weir_zalloc((total > 0 ? total : 1) * sizeof *set->files);
	for (uint32_t i = 0; i < tasks->count; i++)
		for (uint32_t j = 0; j < tasks->files[i]->delete_count; j++) {
			const struct ice_data_file *file = tasks->files[i]->deletes[j];
			uint32_t slot = delete_slot(set, file);
			if (set->slots[slot] != NULL)
				continue;
			set->slots[slot] = file;
			set->numbers[slot] = set->count;
			set->files[set->count++] = file;
		}
}

/* ---- tasks ---- */

static bool same_partition(const struct ice_data_file *a, const struct ice_data_file *b)
{
	if (a == NULL || a->spec_id != b->spec_id || a->partition_count != b->partition_count)
		return false;
	for (uint32_t i = 0; i < a->partition_count; i++)
		if (!ice_partition_value_equal(&a->partition[i], &b->partition[i]))
			return false;
	return true;
}

static void write_tasks(const struct ice_rest_tasks *tasks, struct weir_arena *arena, const struct delete_set *set,
	struct weir_json *json)
{
	const struct ice_data_file *last = NULL; /* whose residual this is: files of a partition have the same */
	char *residual = NULL;
	for (uint32_t i = 0; i < tasks->count; i++) {
		const struct ice_data_file *file = tasks->files[i];
		if (!same_partition(last, file)) {
			json_t *left = ice_rest_filter_residual(tasks->filter, file);
			free(residual);
			residual = json_dumps(left, JSON_ENCODE_ANY | JSON_COMPACT);
			json_decref(left);
			WEIR_ASSERT(residual != NULL);
			last = file;
		}
		weir_json_object(json);
		weir_json_key(json, "data-file");
		write_file(tasks, arena, file, json);
		if (file->delete_count > 0) {
			weir_json_key(json, "delete-file-references");
			weir_json_array(json);
			for (uint32_t j = 0; j < file->delete_count; j++)
				weir_json_uint(json, set->numbers[delete_slot(set, file->deletes[j])]);
			weir_json_array_end(json);
		}
		weir_json_key(json, "residual-filter");
		weir_json_raw(json, weir_str_from(residual));
		weir_json_object_end(json);
	}
	free(residual);
}

void ice_rest_tasks_write(const struct ice_rest_tasks *tasks, struct weir_json *json)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct delete_set set = {0};
	collect_deletes(tasks, &set);
	if (set.count > 0) {
		weir_json_key(json, "delete-files");
		weir_json_array(json);
		for (uint32_t i = 0; i < set.count; i++)
			write_file(tasks, arena, set.files[i], json);
		weir_json_array_end(json);
	}
	weir_json_key(json, "file-scan-tasks");
	weir_json_array(json);
	write_tasks(tasks, arena, &set, json);
	weir_json_array_end(json);
	free(set.slots);
	free(set.numbers);
	free(set.files);
	weir_arena_free(arena);
}
