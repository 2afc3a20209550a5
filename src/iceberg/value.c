/*
 * Single values in their binary form (table specification, appendix D), as bounds and partition summaries hold
 * them, and bounds cut to a length. Numbers are little-endian; decimals and UUIDs big-endian.
 *
 * Decimals are unscaled integers: EXPR_INTEGER, or EXPR_TEXT of their big-endian bytes past 64 bits.
 */
#include <string.h>

#include "base/time.h"
#include "iceberg/internal.h"

static void encode_decimal(int64_t value, struct weir_buf *out)
{
	uint8_t bytes[8];
	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
	unsigned start = 0; /* the fewest bytes whose sign bit is the number's */
	while (start < 7 && bytes[start] == (value < 0 ? 0xFF : 0) && (bytes[start + 1] >> 7) == (value < 0))
		start++;
	weir_buf_append(out, bytes + start, 8 - start);
}

static void encode_integer(int64_t value, enum weir_type type, struct weir_buf *out)
{
	if (type == WEIR_INT32 || type == WEIR_DATE)
		weir_buf_u32(out, (uint32_t)value);
	else if (type == WEIR_DECIMAL)
		encode_decimal(value, out);
	else
		weir_buf_u64(out, (uint64_t)value);
}

void ice_value_encode(const struct expr_value *value, const struct weir_field *field, struct weir_buf *out)
{
	switch (value->kind) {
	case EXPR_BOOLEAN:
		weir_buf_u8(out, value->u.boolean ? 1 : 0);
		break;
	case EXPR_INTEGER:
		encode_integer(value->u.integer, field->type, out);
		break;
	case EXPR_NUMBER:
		if (field->type == WEIR_FLOAT)
			avro_put_float(out, (float)value->u.number);
		else
			avro_put_double(out, value->u.number);
		break;
	case EXPR_TEXT:
		weir_buf_append(out, value->u.text.data, value->u.text.size);
		break;
	case EXPR_UUID:
		weir_buf_append(out, value->u.uuid.bytes, sizeof value->u.uuid.bytes);
		break;
	}
}

static void decode_decimal(struct weir_str bytes, struct expr_value *ret_value)
{
	if (bytes.size > 8) {
		*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = bytes};
		return;
	}
	uint64_t bits = (uint8_t)bytes.data[0] >= 0x80 ? UINT64_MAX : 0;
	for (size_t i = 0; i < bytes.size; i++)
		bits = bits << 8 | (uint8_t)bytes.data[i];
	*ret_value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = (int64_t)bits};
}

static double float_of(const char *data)
{
	uint32_t bits = weir_le32(data);
	float number;
	memcpy(&number, &bits, sizeof number);
	return (double)number;
}

static bool midnight(int32_t day, enum weir_type type, struct expr_value *ret_value)
{
	int64_t unit = type == WEIR_TIMESTAMP ? WEIR_US_PER_DAY : WEIR_US_PER_DAY * 1000;
	ret_value->kind = EXPR_INTEGER;
	return !__builtin_mul_overflow(day, unit, &ret_value->u.integer);
}

bool ice_value_decode(struct weir_str bytes, const struct weir_field *field, struct expr_value *ret_value)
{
	switch (field->type) {
	case WEIR_BOOL:
		if (bytes.size != 1)
			return false;
		*ret_value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = bytes.data[0] != 0};
		return true;
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMP_NS:
		if (bytes.size == 4) /* the bound was written while the column was one of dates */
			return midnight((int32_t)weir_le32(bytes.data), field->type, ret_value);
		__attribute__((fallthrough));
	case WEIR_INT32:
	case WEIR_DATE:
	case WEIR_INT64:
	case WEIR_TIME:
	case WEIR_TIMESTAMPTZ:
	case WEIR_TIMESTAMPTZ_NS:
		/* 4 bytes in a long column: the bound was written before the column was widened. */
		if (bytes.size != 4 && (bytes.size != 8 || field->type == WEIR_INT32 || field->type == WEIR_DATE))
			return false;
		*ret_value = (struct expr_value){.kind = EXPR_INTEGER,
			.u.integer = bytes.size == 4 ? (int32_t)weir_le32(bytes.data) : (int64_t)weir_le64(bytes.data)};
		return true;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		if (bytes.size != 4 && (bytes.size != 8 || field->type == WEIR_FLOAT))
			return false;
		ret_value->kind = EXPR_NUMBER;
		if (bytes.size == 4) {
			ret_value->u.number = float_of(bytes.data);
		} else {
			uint64_t bits = weir_le64(bytes.data);
			memcpy(&ret_value->u.number, &bits, sizeof bits);
		}
		return true;
	case WEIR_DECIMAL:
		if (bytes.size == 0 || bytes.size > 16)
			return false;
		decode_decimal(bytes, ret_value);
		return true;
	case WEIR_UUID:
		if (bytes.size != 16)
			return false;
		ret_value->kind = EXPR_UUID;
		memcpy(ret_value->u.uuid.bytes, bytes.data, 16);
		return true;
	case WEIR_STRING:
	case WEIR_BINARY:
	case WEIR_FIXED:
		*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = bytes};
		return true;
	default:
		return false;
	}
}

/* ---- bounds of a length ---- */

/* Bytes of the first `limit` code points of UTF-8, or bytes. */
static size_t cut(struct weir_str value, bool is_text, uint32_t limit)
{
	size_t at = 0;
	uint32_t seen = 0;
	if (!is_text)
		return value.size < limit ? value.size : limit;
	for (; at < value.size; at++)
		if (((uint8_t)value.data[at] & 0xC0) != 0x80 && seen++ == limit)
			break;
	return at;
}

struct weir_str ice_bound_lower(struct weir_arena *arena, struct weir_str value, bool is_text, uint32_t limit)
{
	return weir_arena_str(arena, (struct weir_str){value.data, cut(value, is_text, limit)});
}

static size_t utf8_put(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* The code point that ends at `size`; *ret_start is where it begins. */
static uint32_t utf8_last(const char *data, size_t size, size_t *ret_start)
{
	size_t start = size - 1;
	while (start > 0 && ((uint8_t)data[start] & 0xC0) == 0x80)
		start--;
	size_t length = size - start;
	uint32_t c = (uint8_t)data[start];
	if (length > 1)
		c &= 0xFFU >> (length + 1);
	for (size_t i = start + 1; i < size; i++)
		c = c << 6 | ((uint8_t)data[i] & 63);
	*ret_start = start;
	return c;
}

bool ice_bound_upper(
	struct weir_arena *arena, struct weir_str value, bool is_text, uint32_t limit, struct weir_str *ret_upper)
{
	size_t size = cut(value, is_text, limit);
	if (size == value.size) {
		*ret_upper = weir_arena_str(arena, value);
		return true;
	}
	char *copy = weir_arena_alloc(arena, size + 4);
	memcpy(copy, value.data, size);
	/* Cut off: the next larger text of at most this length. What cannot grow is dropped and the one before grows.
	 */
	while (size > 0) {
		if (!is_text) {
			if ((uint8_t)copy[size - 1] != 0xFF) {
				copy[size - 1]++;
				break;
			}
			size--;
			continue;
		}
		size_t start;
		uint32_t c = utf8_last(copy, size, &start) + 1;
		if (c == 0xD800)
			c = 0xE000; /* surrogates are no code points */
		if (c <= 0x10FFFF) {
			size = start + utf8_put(c, copy + start);
			break;
		}
		size = start;
	}
	*ret_upper = (struct weir_str){copy, size};
	return size > 0;
}

/* ---- partition values ---- */

bool ice_partition_value_equal(const struct ice_partition_value *a, const struct ice_partition_value *b)
{
	if (a->is_null || b->is_null)
		return a->is_null && b->is_null;
	if (a->value.kind != b->value.kind)
		return false;
	switch (a->value.kind) {
	case EXPR_TEXT:
		return weir_str_equal(a->value.u.text, b->value.u.text);
	case EXPR_NUMBER: /* by bits: NaN is one partition */
		return memcmp(&a->value.u.number, &b->value.u.number, sizeof(double)) == 0;
	case EXPR_INTEGER:
		return a->value.u.integer == b->value.u.integer;
	case EXPR_BOOLEAN:
		return a->value.u.boolean == b->value.u.boolean;
	case EXPR_UUID:
		return memcmp(&a->value.u.uuid, &b->value.u.uuid, sizeof a->value.u.uuid) == 0;
	}
	return false;
}

struct ice_partition_value ice_partition_value_copy(struct weir_arena *arena, const struct ice_partition_value *value)
{
	struct ice_partition_value copy = *value;
	if (!value->is_null && value->value.kind == EXPR_TEXT)
		copy.value.u.text = weir_arena_str(arena, value->value.u.text);
	return copy;
}

struct expr_bounds ice_file_bounds(const struct ice_data_file *file, const struct weir_field *field)
{
	struct expr_bounds bounds = {.row_count = file->record_count > 0 ? (uint64_t)file->record_count : 0};
	for (uint32_t i = 0; i < file->metric_count; i++) {
		const struct ice_column_metrics *metrics = &file->metrics[i];
		if (metrics->field_id != field->id)
			continue;
		bounds.has_min = metrics->has_lower && ice_value_decode(metrics->lower, field, &bounds.min);
		bounds.has_max = metrics->has_upper && ice_value_decode(metrics->upper, field, &bounds.max);
		bounds.has_null_count = metrics->null_count >= 0;
		bounds.null_count = bounds.has_null_count ? (uint64_t)metrics->null_count : 0;
		break;
	}
	return bounds;
}

struct ice_data_file *ice_data_file_copy(struct weir_arena *arena, const struct ice_data_file *file)
{
	struct ice_data_file *copy = weir_arena_copy(arena, file, sizeof *file);
	copy->path = weir_arena_str(arena, file->path);
	copy->format = weir_arena_str(arena, file->format);
	copy->partition = weir_arena_calloc(arena, file->partition_count, sizeof *copy->partition);
	for (uint32_t i = 0; i < file->partition_count; i++)
		copy->partition[i] = ice_partition_value_copy(arena, &file->partition[i]);
	copy->metrics = weir_arena_calloc(arena, file->metric_count, sizeof *copy->metrics);
	for (uint32_t i = 0; i < file->metric_count; i++) {
		copy->metrics[i] = file->metrics[i];
		copy->metrics[i].lower = weir_arena_str(arena, file->metrics[i].lower);
		copy->metrics[i].upper = weir_arena_str(arena, file->metrics[i].upper);
	}
	copy->split_offsets = weir_arena_copy(arena, file->split_offsets, file->split_count * sizeof(int64_t));
	copy->equality_ids = weir_arena_copy(arena, file->equality_ids, file->equality_id_count * sizeof(int32_t));
	copy->referenced_data_file = weir_arena_str(arena, file->referenced_data_file);
	return copy;
}
