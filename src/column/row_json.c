#include "column/row_json.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/time.h"
#include "column/text.h"

static void write_base64(struct weir_json *json, struct weir_str bytes)
{
	struct weir_buf text = WEIR_BUF_INIT;
	weir_base64_write(&text, WEIR_BASE64, bytes);
	weir_json_string(json, weir_buf_str(&text));
	weir_buf_done(&text);
}

/* A map whose keys are no names of members. */
static void write_entries(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, struct weir_span span)
{
	static const char *const names[2] = {"key", "value"};
	weir_json_array(json);
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		weir_json_object(json);
		for (unsigned child = 0; child < 2; child++) {
			weir_json_key(json, names[child]);
			weir_cell_json(json, &field->children[child], &column->children[child], (uint32_t)i);
		}
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void write_nested(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	if (field->type == WEIR_STRUCT) {
		weir_json_object(json);
		for (uint32_t i = 0; i < field->child_count; i++) {
			weir_json_key_str(json, field->children[i].name);
			weir_cell_json(json, &field->children[i], &column->children[i], row);
		}
		weir_json_object_end(json);
		return;
	}
	struct weir_span span = ((const struct weir_span *)column->values)[row];
	bool map = field->type == WEIR_MAP && field->children[0].type == WEIR_STRING;
	if (field->type == WEIR_MAP && !map) {
		write_entries(json, field, column, span);
		return;
	}
	if (map)
		weir_json_object(json);
	else
		weir_json_array(json);
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		if (map)
			weir_json_key_str(json, weir_column_str(&column->children[0], (uint32_t)i));
		unsigned child = map ? 1 : 0;
		weir_cell_json(json, &field->children[child], &column->children[child], (uint32_t)i);
	}
	if (map)
		weir_json_object_end(json);
	else
		weir_json_array_end(json);
}

static void write_time_of_day(struct weir_json *json, int64_t us)
{
	char text[32];
	int64_t seconds = us / WEIR_US_PER_SECOND;
	snprintf(text, sizeof text, "%02d:%02d:%02d.%06d", (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
		(int)(seconds % 60), (int)(us % WEIR_US_PER_SECOND));
	weir_json_cstring(json, text);
}

void weir_cell_json(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char text[WEIR_VALUE_TEXT];
	if (!weir_column_is_valid(column, row)) {
		weir_json_null(json);
		return;
	}
	switch (field->type) {
	case WEIR_BOOL:
		weir_json_bool(json, ((const uint8_t *)column->values)[row] != 0);
		break;
	case WEIR_INT32:
	case WEIR_INT64:
		weir_json_int(json, weir_column_i64(column, row));
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		weir_json_double(json, weir_column_double(column, row));
		break;
	case WEIR_DECIMAL:
		weir_json_raw(json, weir_column_text(field, column, row, text));
		break;
	case WEIR_TIME:
		write_time_of_day(json, weir_column_i64(column, row));
		break;
	case WEIR_DATE:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
	case WEIR_UUID:
	case WEIR_STRING:
		weir_json_string(json, weir_column_text(field, column, row, text));
		break;
	case WEIR_FIXED:
	case WEIR_BINARY:
		write_base64(json, weir_column_str(column, row));
		break;
	case WEIR_LIST:
	case WEIR_MAP:
	case WEIR_STRUCT:
		write_nested(json, field, column, row);
		break;
	}
}

void weir_row_json(struct weir_json *json, const struct weir_batch *batch, uint32_t row)
{
	weir_json_object(json);
	for (uint32_t i = 0; i < batch->schema->field_count; i++) {
		weir_json_key_str(json, batch->schema->fields[i].name);
		weir_cell_json(json, &batch->schema->fields[i], &batch->columns[i], row);
	}
	weir_json_object_end(json);
}
