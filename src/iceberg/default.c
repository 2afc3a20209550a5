/*
 * Default values: Iceberg's single values as JSON (table specification, appendix D) made into columns, for rows of files
 * that are older than a field; and constants of any kind, as partition values and row lineage need them.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "iceberg/internal.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool bytes_of(struct weir_arena *arena, struct weir_str hex, struct weir_str *ret_bytes)
{
	if (hex.size % 2 != 0)
		return false;
	char *bytes = weir_arena_alloc(arena, hex.size / 2 + 1);
	for (size_t i = 0; i < hex.size; i += 2) {
		int high = hex_digit(hex.data[i]), low = hex_digit(hex.data[i + 1]);
		if (high < 0 || low < 0)
			return false;
		bytes[i / 2] = (char)(high << 4 | low);
	}
	*ret_bytes = (struct weir_str){bytes, hex.size / 2};
	return true;
}

/* "14.20" under scale 2 is 1420; an exponent is Java's way of writing a negative scale or many zeros. */
static bool decimal_of(struct weir_str text, const struct weir_field *field, weir_int128 *ret_value)
{
	size_t i = 0;
	int fraction = -1, digits = 0;
	int64_t exponent = 0;
	weir_int128 value = 0;
	bool negative = text.size > 0 && text.data[0] == '-';
	for (i = negative; i < text.size; i++) {
		char c = text.data[i];
		if (c == '.' && fraction < 0) {
			fraction = 0;
			continue;
		}
		if (c == 'E' || c == 'e') {
			struct weir_str rest = {text.data + i + 1, text.size - i - 1};
			if (rest.size > 0 && rest.data[0] == '+')
				rest = (struct weir_str){rest.data + 1, rest.size - 1};
			if (!weir_str_to_i64(rest, &exponent) || exponent < -100 || exponent > 100)
				return false;
			break;
		}
		if (c < '0' || c > '9' || ++digits > 38)
			return false;
		value = value * 10 + (c - '0');
		fraction += fraction >= 0;
	}
	int64_t shift = (int64_t)field->scale - (fraction > 0 ? fraction : 0) + exponent;
	for (; shift > 0 && value != 0; shift--)
		if (++digits > 38 || __builtin_mul_overflow(value, (weir_int128)10, &value))
			return false;
	for (; shift < 0 && value % 10 == 0 && value != 0; shift++)
		value /= 10;
	*ret_value = negative ? -value : value;
	return digits > 0 && (shift == 0 || value == 0);
}

static bool time_of_day(struct weir_str text, int64_t *ret_us)
{
	char stamp[64];
	if (text.size > 15)
		return false;
	snprintf(stamp, sizeof stamp, "1970-01-01T%.*s", WEIR_STR_ARG(text));
	return weir_time_parse(weir_str_from(stamp), WEIR_ZONE_UTC, ret_us);
}

/* With zone: "+00:00" is the only one that the specification allows. */
static bool timestamp_of(struct weir_str text, enum weir_type type, int64_t *ret_value)
{
	bool zone = type == WEIR_TIMESTAMPTZ || type == WEIR_TIMESTAMPTZ_NS, nanos = type >= WEIR_TIMESTAMP_NS;
	bool has_zone = weir_str_has_suffix(text, WEIR_STR("+00:00"));
	if (zone != has_zone || text.size < 19 || (!zone && text.data[text.size - 1] == 'Z') ||
		!weir_time_parse(text, WEIR_ZONE_UTC, ret_value))
		return false;
	const char *point = memchr(text.data, '.', text.size), *end = text.data + text.size - (has_zone ? 6 : 0);
	size_t digits = point != NULL ? (size_t)(end - point) - 1 : 0;
	if (!nanos)
		return digits <= 6;
	if (__builtin_mul_overflow(*ret_value, (int64_t)1000, ret_value) || digits > 9)
		return false;
	for (size_t i = 7, unit = 100; i <= digits; i++, unit /= 10)
		*ret_value += (point[i] - '0') * (int64_t)unit;
	return true;
}

/* A primitive's value into one cell; texts are in arena. False where the JSON is not of the type. */
static bool set_cell(struct weir_arena *arena, const struct weir_field *field, const json_t *json, void *cell)
{
	struct weir_str text = {json_string_value(json), json_string_length(json)};
	bool is_text = json_is_string(json);
	int64_t number = json_integer_value(json);
	int32_t day;
	float narrow;
	double real = json_number_value(json);
	weir_int128 decimal;
	struct weir_uuid uuid;
	switch (field->type) {
	case WEIR_BOOL:
		*(uint8_t *)cell = json_is_true(json);
		return json_is_boolean(json);
	case WEIR_INT32:
		*(int32_t *)cell = (int32_t)number;
		return json_is_integer(json) && number >= INT32_MIN && number <= INT32_MAX;
	case WEIR_INT64:
		*(int64_t *)cell = number;
		return json_is_integer(json);
	case WEIR_FLOAT:
		narrow = (float)real;
		memcpy(cell, &narrow, sizeof narrow);
		return json_is_number(json);
	case WEIR_DOUBLE:
		memcpy(cell, &real, sizeof real);
		return json_is_number(json);
	case WEIR_DECIMAL:
		if (!is_text || !decimal_of(text, field, &decimal))
			return false;
		memcpy(cell, &decimal, sizeof decimal);
		return true;
	case WEIR_DATE:
		if (!is_text || !weir_date_parse(text, &day))
			return false;
		*(int32_t *)cell = day;
		return true;
	case WEIR_TIME:
		return is_text && time_of_day(text, cell);
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		return is_text && timestamp_of(text, field->type, cell);
	case WEIR_UUID:
		if (!is_text || !weir_uuid_parse(text, &uuid))
			return false;
		memcpy(cell, &uuid, sizeof uuid);
		return true;
	case WEIR_STRING:
		*(struct weir_view *)cell = weir_view_from(weir_arena_str(arena, text));
		return is_text;
	case WEIR_FIXED:
	case WEIR_BINARY:
		if (!is_text || !bytes_of(arena, text, &text))
			return false;
		*(struct weir_view *)cell = weir_view_from(text);
		return field->type == WEIR_BINARY || text.size == field->fixed_size;
	default:
		return false;
	}
}

/* Every row of a column as its first one is. */
static void repeat(struct weir_column *column, uint32_t rows)
{
	size_t width = weir_type_width(column->type);
	for (uint32_t i = 1; i < rows; i++)
		memcpy((char *)column->values + i * width, column->values, width);
}

static void column_of_nulls(
	struct weir_arena *arena, const struct weir_field *field, uint32_t rows, struct weir_column *ret_column)
{
	const struct weir_schema schema = {.field_count = 1, .fields = (struct weir_field *)(uintptr_t)field};
	*ret_column = weir_batch_new(arena, &schema, rows)->columns[0];
	for (uint32_t i = 0; i < rows; i++)
		weir_column_set_null(ret_column, i);
}

int ice_default_column(struct weir_arena *arena, const struct weir_field *field, uint32_t rows,
	struct weir_column *ret_column, struct weir_error *err)
{
	json_error_t problem;
	column_of_nulls(arena, field, rows, ret_column);
	if (field->initial_default.size == 0 || rows == 0)
		return 0;
	json_t *json = json_loadb(field->initial_default.data, field->initial_default.size, JSON_DECODE_ANY, &problem);
	bool is_empty_struct = field->type == WEIR_STRUCT && json_is_object(json) && json_object_size(json) == 0;
	bool good = is_empty_struct ||
		(!weir_type_is_nested(field->type) && set_cell(arena, field, json, ret_column->values));
	json_decref(json);
	if (!good)
		return weir_fail(err, WEIR_E_CORRUPT, "the default of column '%.*s' is not a value of its type",
			WEIR_STR_ARG(field->name));
	memset(ret_column->valid, 0xFF, ((size_t)rows + 63) / 64 * 8);
	repeat(ret_column, rows);
	for (uint32_t i = 0; i < field->child_count; i++) { /* of a struct: each child has its own default */
		int code = ice_default_column(arena, &field->children[i], rows, &ret_column->children[i], err);
		if (code != 0)
			return code;
	}
	return 0;
}

int ice_default_check(const struct weir_field *field, struct weir_str json, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(1024);
	struct weir_field copy = *field;
	struct weir_column column;
	copy.initial_default = json;
	int code = ice_default_column(arena, &copy, 1, &column, err);
	weir_arena_free(arena);
	return code;
}

__extension__ typedef unsigned __int128 uint128;

static weir_int128 decimal_from_bytes(struct weir_str bytes)
{
	weir_int128 value = bytes.size > 0 && (uint8_t)bytes.data[0] >= 0x80 ? -1 : 0;
	for (size_t i = 0; i < bytes.size; i++)
		value = (weir_int128)((uint128)value << 8 | (uint8_t)bytes.data[i]);
	return value;
}

bool ice_constant_column(struct weir_arena *arena, const struct weir_field *field, const struct expr_value *value,
	uint32_t rows, struct weir_column *ret_column)
{
	column_of_nulls(arena, field, rows, ret_column);
	if (value == NULL || rows == 0)
		return true;
	float narrow;
	weir_int128 decimal;
	size_t width = weir_type_width(field->type);
	switch (value->kind) {
	case EXPR_BOOLEAN:
		*(uint8_t *)ret_column->values = value->u.boolean;
		break;
	case EXPR_INTEGER:
		decimal = value->u.integer; /* little-endian: the low bytes are the narrower integer */
		memcpy(ret_column->values, &decimal, width);
		break;
	case EXPR_NUMBER:
		narrow = (float)value->u.number;
		if (field->type == WEIR_FLOAT)
			memcpy(ret_column->values, &narrow, sizeof narrow);
		else
			memcpy(ret_column->values, &value->u.number, sizeof value->u.number);
		break;
	case EXPR_UUID:
		memcpy(ret_column->values, &value->u.uuid, sizeof value->u.uuid);
		break;
	case EXPR_TEXT:
		decimal = decimal_from_bytes(value->u.text);
		if (field->type == WEIR_DECIMAL)
			memcpy(ret_column->values, &decimal, sizeof decimal);
		else if (weir_type_is_text(field->type))
			*(struct weir_view *)ret_column->values = weir_view_from(weir_arena_str(arena, value->u.text));
		else
			return false;
		break;
	}
	memset(ret_column->valid, 0xFF, ((size_t)rows + 63) / 64 * 8);
	repeat(ret_column, rows);
	return true;
}
