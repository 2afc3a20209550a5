/*
 * Directory names of partitions, as Java's PartitionSpec.partitionToPath makes them: name=value, both escaped as
 * java.net.URLEncoder does, joined by '/'. Only people read them: the values that count are in manifests.
 */
#include <stdio.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/time.h"
#include "iceberg/internal.h"

static void put_escaped(struct weir_buf *out, struct weir_str text)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = (uint8_t)text.data[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
			c == '-' || c == '*' || c == '_';
		if (plain)
			weir_buf_putc(out, (char)c);
		else if (c == ' ')
			weir_buf_putc(out, '+');
		else {
			weir_buf_putc(out, '%');
			weir_buf_putc(out, digits[c >> 4]);
			weir_buf_putc(out, digits[c & 15]);
		}
	}
}

static void put_decimal(struct weir_buf *out, int64_t unscaled, unsigned scale)
{
	char digits[24];
	uint64_t magnitude = unscaled < 0 ? 0 - (uint64_t)unscaled : (uint64_t)unscaled;
	int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)magnitude);
	if (unscaled < 0)
		weir_buf_putc(out, '-');
	if ((unsigned)size <= scale) {
		weir_buf_puts(out, "0.");
		for (unsigned i = (unsigned)size; i < scale; i++)
			weir_buf_putc(out, '0');
		weir_buf_puts(out, digits);
		return;
	}
	weir_buf_append(out, digits, (size_t)size - scale);
	if (scale > 0) {
		weir_buf_putc(out, '.');
		weir_buf_append(out, digits + size - scale, scale);
	}
}

static void put_integer(struct weir_buf *out, const struct weir_field *type, int64_t value)
{
	char text[WEIR_TIME_TEXT];
	switch (type->type) {
	case WEIR_DATE:
		weir_buf_append(out, text, weir_date_format((int32_t)value, text));
		break;
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ: {
		size_t size = weir_time_format(value, text) - 1; /* without its Z */
		weir_buf_append(out, text, size);
		if (type->type == WEIR_TIMESTAMPTZ)
			weir_buf_puts(out, "+00:00");
		break;
	}
	case WEIR_TIME: {
		size_t size = weir_time_format(value, text) - 1;
		weir_buf_append(out, text + 11, size - 11); /* behind "1970-01-01T" */
		break;
	}
	case WEIR_DECIMAL:
		put_decimal(out, value, type->scale);
		break;
	default:
		weir_buf_printf(out, "%lld", (long long)value);
	}
}

/* The value as people read it, unescaped. */
static void put_value(struct weir_buf *out, struct ice_transform transform, const struct weir_field *type,
	const struct expr_value *value)
{
	char text[40];
	struct weir_uuid uuid;
	int64_t n = value->kind == EXPR_INTEGER ? value->u.integer : 0;
	switch (transform.kind) {
	case ICE_YEAR:
		weir_buf_printf(out, "%04lld", (long long)(n + 1970));
		return;
	case ICE_MONTH: {
		int64_t year = n / 12 - (n % 12 < 0);
		weir_buf_printf(out, "%04lld-%02lld", (long long)(year + 1970), (long long)(n - year * 12 + 1));
		return;
	}
	case ICE_HOUR: {
		int64_t day = n / 24 - (n % 24 < 0);
		weir_buf_append(out, text, weir_date_format((int32_t)day, text));
		weir_buf_printf(out, "-%02lld", (long long)(n - day * 24));
		return;
	}
	default:
		break;
	}
	switch (value->kind) {
	case EXPR_INTEGER:
		put_integer(out, type, n);
		return;
	case EXPR_TEXT:
		if (type->type == WEIR_STRING)
			weir_buf_append(out, value->u.text.data, value->u.text.size);
		else
			weir_base64_write(out, WEIR_BASE64, value->u.text);
		return;
	case EXPR_NUMBER:
		weir_buf_append(out, text, weir_double_format(value->u.number, text));
		return;
	case EXPR_BOOLEAN:
		weir_buf_puts(out, value->u.boolean ? "true" : "false");
		return;
	case EXPR_UUID:
		uuid = value->u.uuid;
		weir_uuid_format(&uuid, text);
		weir_buf_puts(out, text);
		return;
	}
}

struct weir_str ice_partition_path(struct weir_arena *arena, const struct ice_spec *spec,
	const struct weir_schema *schema, const struct ice_partition_value *values)
{
	struct weir_buf path = WEIR_BUF_INIT, value = WEIR_BUF_INIT;
	for (uint32_t i = 0; i < spec->field_count; i++) {
		const struct ice_partition_field *field = &spec->fields[i];
		const struct weir_field *source = ice_schema_field(schema, field->source_id);
		struct weir_field type = source != NULL ? *source : (struct weir_field){.type = WEIR_STRING};
		type.type = ice_transform_result(field->transform, type.type);
		if (i > 0)
			weir_buf_putc(&path, '/');
		put_escaped(&path, field->name);
		weir_buf_putc(&path, '=');
		value.size = 0;
		if (values[i].is_null)
			weir_buf_puts(&value, "null");
		else
			put_value(&value, field->transform, &type, &values[i].value);
		put_escaped(&path, weir_buf_str(&value));
	}
	struct weir_str result = weir_arena_str(arena, weir_buf_str(&path));
	weir_buf_done(&path);
	weir_buf_done(&value);
	return result;
}
