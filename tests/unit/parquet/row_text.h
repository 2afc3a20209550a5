/*
 * Rows of batches as text that loses nothing, one JSON value a row, for comparing with what other readers say:
 *
 *   numbers as they are (NaN, Infinity in quotes), decimals "12.30", dates "2025-02-01", times "08:00:00.000000",
 *   timestamps as microseconds "1738396800000000us" (with a zone: "...usZ"), text as JSON has it, binary and fixed
 *   "0x..", UUIDs as 36 characters, lists [..], maps [[key,value]..], structs {"name":value..}
 */
#ifndef WEIR_TEST_PARQUET_ROW_TEXT_H
#define WEIR_TEST_PARQUET_ROW_TEXT_H

#include <inttypes.h>
#include <math.h>

#include "base/json.h"
#include "base/time.h"
#include "column/batch.h"

static inline void text_number(struct weir_buf *out, const struct weir_column *column, uint32_t row)
{
	char text[32];
	double value = weir_column_double(column, row);
	if (!isfinite(value))
		weir_buf_puts(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else if (column->type == WEIR_FLOAT)
		weir_buf_printf(out, "%.9g", value);
	else
		weir_buf_append(out, text, weir_double_format(value, text));
}

static inline void text_decimal(struct weir_buf *out, weir_int128 value, unsigned scale)
{
	__extension__ typedef unsigned __int128 wide;
	char digits[48];
	unsigned at = sizeof digits, count = 0;
	wide rest = value < 0 ? -(wide)value : (wide)value;
	do {
		if (count == scale && scale > 0)
			digits[--at] = '.';
		digits[--at] = (char)('0' + (int)(rest % 10));
		rest /= 10;
	} while (++count <= scale || rest > 0);
	weir_buf_puts(out, value < 0 ? "\"-" : "\"");
	weir_buf_append(out, digits + at, sizeof digits - at);
	weir_buf_putc(out, '"');
}

static inline void text_hex(struct weir_buf *out, struct weir_str bytes)
{
	weir_buf_puts(out, "\"0x");
	for (size_t i = 0; i < bytes.size; i++)
		weir_buf_printf(out, "%02x", (unsigned char)bytes.data[i]);
	weir_buf_putc(out, '"');
}

static inline void text_string(struct weir_buf *out, struct weir_str text)
{
	struct weir_json json = weir_json_to(out);
	weir_json_string(&json, text);
}

static inline void text_cell(
	struct weir_buf *out, const struct weir_field *field, const struct weir_column *column, uint32_t row);

static inline void text_span(
	struct weir_buf *out, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	struct weir_span span = ((const struct weir_span *)column->values)[row];
	weir_buf_putc(out, '[');
	for (uint64_t i = 0; i < span.length; i++) {
		weir_buf_puts(out, i > 0 ? "," : "");
		weir_buf_puts(out, field->type == WEIR_MAP ? "[" : "");
		for (uint32_t c = 0; c < field->child_count; c++) {
			weir_buf_puts(out, c > 0 ? "," : "");
			text_cell(out, &field->children[c], &column->children[c], (uint32_t)(span.offset + i));
		}
		weir_buf_puts(out, field->type == WEIR_MAP ? "]" : "");
	}
	weir_buf_putc(out, ']');
}

static inline void text_group(struct weir_buf *out, const struct weir_field *fields, uint32_t count,
	const struct weir_column *columns, uint32_t row)
{
	weir_buf_putc(out, '{');
	for (uint32_t i = 0; i < count; i++) {
		weir_buf_puts(out, i > 0 ? "," : "");
		text_string(out, fields[i].name);
		weir_buf_putc(out, ':');
		text_cell(out, &fields[i], &columns[i], row);
	}
	weir_buf_putc(out, '}');
}

static inline void text_time(struct weir_buf *out, int64_t us)
{
	weir_buf_printf(out, "\"%02d:%02d:%02d.%06d\"", (int)(us / WEIR_US_PER_HOUR),
		(int)(us / WEIR_US_PER_MINUTE % 60), (int)(us / WEIR_US_PER_SECOND % 60),
		(int)(us % WEIR_US_PER_SECOND));
}

static inline void text_cell(
	struct weir_buf *out, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char text[WEIR_UUID_TEXT > WEIR_TIME_TEXT ? WEIR_UUID_TEXT : WEIR_TIME_TEXT];
	if (!weir_column_is_valid(column, row)) {
		weir_buf_puts(out, "null");
		return;
	}
	switch (field->type) {
	case WEIR_BOOL:
		weir_buf_puts(out, weir_column_i64(column, row) != 0 ? "true" : "false");
		break;
	case WEIR_INT32:
	case WEIR_INT64:
		weir_buf_printf(out, "%" PRId64, weir_column_i64(column, row));
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		text_number(out, column, row);
		break;
	case WEIR_DECIMAL:
		text_decimal(out, ((const weir_int128 *)column->values)[row], field->scale);
		break;
	case WEIR_DATE:
		text_string(
			out, (struct weir_str){text, weir_date_format((int32_t)weir_column_i64(column, row), text)});
		break;
	case WEIR_TIME:
		text_time(out, weir_column_i64(column, row));
		break;
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
		weir_buf_printf(out, "\"%" PRId64 "us%s\"", weir_column_i64(column, row),
			field->type == WEIR_TIMESTAMPTZ ? "Z" : "");
		break;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		weir_buf_printf(out, "\"%" PRId64 "ns%s\"", weir_column_i64(column, row),
			field->type == WEIR_TIMESTAMPTZ_NS ? "Z" : "");
		break;
	case WEIR_UUID:
		weir_uuid_format(&((const struct weir_uuid *)column->values)[row], text);
		weir_buf_printf(out, "\"%s\"", text);
		break;
	case WEIR_STRING:
		text_string(out, weir_column_str(column, row));
		break;
	case WEIR_FIXED:
	case WEIR_BINARY:
		text_hex(out, weir_column_str(column, row));
		break;
	case WEIR_LIST:
	case WEIR_MAP:
		text_span(out, field, column, row);
		break;
	case WEIR_STRUCT:
		text_group(out, field->children, field->child_count, column->children, row);
		break;
	}
}

/* One line with its end, after what is in out. */
static inline void row_text(struct weir_buf *out, const struct weir_batch *batch, uint32_t row)
{
	text_group(out, batch->schema->fields, batch->schema->field_count, batch->columns, row);
	weir_buf_putc(out, '\n');
}

#endif
