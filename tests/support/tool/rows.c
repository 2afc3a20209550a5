#include <math.h>
#include <stdio.h>

#include "column/row_json.h"
#include "column/text.h"
#include "support/tool/tool.h"

static void put_double(struct weir_json *json, double value)
{
	if (isfinite(value))
		weir_json_double(json, value);
	else
		weir_json_cstring(json, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static void put_hex(struct weir_json *json, struct weir_str bytes)
{
	struct weir_buf text = WEIR_BUF_INIT;
	for (size_t i = 0; i < bytes.size; i++)
		weir_buf_printf(&text, "%02x", (uint8_t)bytes.data[i]);
	weir_json_string(json, weir_buf_str(&text));
	weir_buf_done(&text);
}

static void put_cell(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row);

static void put_span(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	struct weir_span span = ((const struct weir_span *)column->values)[row];
	weir_json_array(json);
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		if (field->type == WEIR_MAP)
			weir_json_array(json);
		for (uint32_t c = 0; c < field->child_count; c++)
			put_cell(json, &field->children[c], &column->children[c], (uint32_t)i);
		if (field->type == WEIR_MAP)
			weir_json_array_end(json);
	}
	weir_json_array_end(json);
}

static void put_group(struct weir_json *json, const struct weir_field *fields, const struct weir_column *columns,
	uint32_t count, uint32_t row)
{
	weir_json_object(json);
	for (uint32_t c = 0; c < count; c++) {
		weir_json_key_str(json, fields[c].name);
		put_cell(json, &fields[c], &columns[c], row);
	}
	weir_json_object_end(json);
}

static void put_cell(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char text[WEIR_VALUE_TEXT];
	if (!weir_column_is_valid(column, row)) {
		weir_json_null(json);
		return;
	}
	switch (field->type) {
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		put_double(json, weir_column_double(column, row));
		break;
	case WEIR_DECIMAL:
		weir_json_string(json, weir_column_text(field, column, row, text));
		break;
	case WEIR_BINARY:
	case WEIR_FIXED:
		put_hex(json, weir_column_str(column, row));
		break;
	case WEIR_MAP:
	case WEIR_LIST:
		put_span(json, field, column, row);
		break;
	case WEIR_STRUCT:
		put_group(json, field->children, column->children, field->child_count, row);
		break;
	case WEIR_DATE:
	case WEIR_TIME:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		weir_json_int(json, weir_column_i64(column, row));
		break;
	default:
		weir_cell_json(json, field, column, row);
	}
}

void tool_print_rows(const struct weir_batch *batch, const uint8_t *truth)
{
	struct weir_buf out = WEIR_BUF_INIT;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (truth != NULL && truth[row] != EXPR_TRUE)
			continue;
		struct weir_json json = weir_json_to(&out);
		put_group(&json, batch->schema->fields, batch->columns, batch->schema->field_count, row);
		weir_buf_putc(&out, '\n');
	}
	fwrite(out.data, 1, out.size, stdout);
	weir_buf_done(&out);
}
