/* Writing CSV (RFC 4180): quoted only where it must be, nested values as JSON. */
#include "column/row_json.h"
#include "column/text.h"
#include "format/csv/csv.h"

/* Spaces at the ends are quoted too, as many readers trim them, and what would be a byte order mark at a file's start.
 */
static bool needs_quotes(struct weir_str text)
{
	if (text.size == 0 || text.data[0] == ' ' || text.data[text.size - 1] == ' ' ||
		(unsigned char)text.data[0] == 0xef)
		return true;
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\n' || text.data[i] == '\r')
			return true;
	return false;
}

static void write_field(struct weir_buf *out, struct weir_str text)
{
	if (!needs_quotes(text)) {
		weir_buf_append(out, text.data, text.size);
		return;
	}
	weir_buf_putc(out, '"');
	while (text.size > 0) {
		const char *quote = memchr(text.data, '"', text.size);
		size_t size = quote != NULL ? (size_t)(quote - text.data) + 1 : text.size;
		weir_buf_append(out, text.data, size);
		if (quote != NULL)
			weir_buf_putc(out, '"');
		text.data += size;
		text.size -= size;
	}
	weir_buf_putc(out, '"');
}

void csv_write_header(const struct weir_schema *schema, struct weir_buf *out)
{
	for (uint32_t i = 0; i < schema->field_count; i++) {
		if (i > 0)
			weir_buf_putc(out, ',');
		write_field(out, schema->fields[i].name);
	}
	weir_buf_puts(out, "\r\n");
}

void csv_write_row(const struct weir_batch *batch, uint32_t row, struct weir_buf *out)
{
	struct weir_buf nested = WEIR_BUF_INIT;
	char buffer[WEIR_VALUE_TEXT];
	for (uint32_t i = 0; i < batch->schema->field_count; i++) {
		const struct weir_column *column = &batch->columns[i];
		const struct weir_field *field = &batch->schema->fields[i];
		if (i > 0)
			weir_buf_putc(out, ',');
		if (!weir_column_is_valid(column, row))
			continue;
		if (weir_type_is_nested(column->type)) {
			struct weir_json json = weir_json_to(&nested);
			nested.size = 0;
			weir_cell_json(&json, field, column, row);
			write_field(out, weir_buf_str(&nested));
		} else {
			write_field(out, weir_column_text(field, column, row, buffer));
		}
	}
	weir_buf_puts(out, "\r\n");
	weir_buf_done(&nested);
}
