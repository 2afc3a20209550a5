/*
 * Partition transforms (table specification, "Partition Transforms", appendix B for bucket hashes).
 *
 * Pure functions of a value. Times floor towards the past, so that 1969-12-31 is day -1. Decimals are their
 * unscaled integers: INTEGER, or TEXT of big-endian two's complement where they need more than 64 bits.
 */
#include <stdio.h>

#include "base/time.h"
#include "iceberg/internal.h"

/* MurmurHash3, x86, 32 bits, seed 0 (Austin Appleby, public domain algorithm). */
static uint32_t murmur3(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t hash = 0, block = 0;
	size_t whole = size / 4 * 4;
	for (size_t i = 0; i < whole; i += 4) {
		block = weir_le32(bytes + i) * 0xcc9e2d51U;
		block = (block << 15 | block >> 17) * 0x1b873593U;
		hash ^= block;
		hash = (hash << 13 | hash >> 19) * 5 + 0xe6546b64U;
	}
	block = 0;
	for (size_t i = size; i > whole; i--)
		block = block << 8 | bytes[i - 1];
	block *= 0xcc9e2d51U;
	block = (block << 15 | block >> 17) * 0x1b873593U;
	hash ^= block; /* nothing where no bytes are left */
	hash ^= (uint32_t)size;
	hash = (hash ^ hash >> 16) * 0x85ebca6bU;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35U;
	return hash ^ hash >> 16;
}

static int64_t floor_div(int64_t value, int64_t by)
{
	int64_t quotient = value / by;
	return quotient - (value % by < 0);
}

static bool is_nanos(enum weir_type type)
{
	return type == WEIR_TIMESTAMP_NS || type == WEIR_TIMESTAMPTZ_NS;
}

/* Integers, dates and times hash as 8 bytes, little-endian, so that a widened column keeps its buckets. */
static bool hash_value(enum weir_type type, const struct expr_value *value, uint32_t *ret_hash)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	switch (value->kind) {
	case EXPR_INTEGER:
		if (type == WEIR_DECIMAL) {
			struct weir_field field = {.type = WEIR_DECIMAL};
			ice_value_encode(value, &field, &bytes);
		} else {
			/* nanoseconds hash as microseconds do, so that a widened column keeps its buckets */
			weir_buf_u64(&bytes,
				(uint64_t)(is_nanos(type) ? floor_div(value->u.integer, 1000) : value->u.integer));
		}
		break;
	case EXPR_TEXT:
		*ret_hash = murmur3(value->u.text.data, value->u.text.size);
		return true;
	case EXPR_UUID:
		*ret_hash = murmur3(value->u.uuid.bytes, sizeof value->u.uuid.bytes);
		return true;
	default:
		return false;
	}
	*ret_hash = murmur3(bytes.data, bytes.size);
	weir_buf_done(&bytes);
	return true;
}

/* Bytes of the first `limit` code points. */
static size_t code_points_size(struct weir_str text, uint32_t limit)
{
	size_t at = 0;
	uint32_t seen = 0;
	while (at < text.size) {
		bool starts = ((uint8_t)text.data[at] & 0xC0) != 0x80;
		if (starts && seen++ == limit)
			break;
		at++;
	}
	return at;
}

static bool truncate_value(
	uint32_t width, enum weir_type type, const struct expr_value *value, struct expr_value *ret_value)
{
	*ret_value = *value;
	if (value->kind == EXPR_TEXT && type != WEIR_DECIMAL) {
		struct weir_str text = value->u.text;
		ret_value->u.text.size =
			type == WEIR_STRING ? code_points_size(text, width) : (text.size < width ? text.size : width);
		return true;
	}
	if (value->kind != EXPR_INTEGER)
		return false;
	/* v - (((v % W) + W) % W), in wrapping arithmetic at the lowest values as Java's is */
	int64_t rest = value->u.integer % (int64_t)width;
	rest = rest < 0 ? rest + width : rest;
	uint64_t cut = (uint64_t)value->u.integer - (uint64_t)rest;
	ret_value->u.integer = type == WEIR_INT32 ? (int32_t)(uint32_t)cut : (int64_t)cut;
	return true;
}

static bool time_value(enum ice_transform_kind kind, enum weir_type type, int64_t value, int64_t *ret_value)
{
	int year, month, day;
	if (is_nanos(type))
		value = floor_div(value, 1000);
	else if (type != WEIR_DATE && type != WEIR_TIMESTAMP && type != WEIR_TIMESTAMPTZ)
		return false;
	if (kind == ICE_HOUR) {
		*ret_value = floor_div(value, WEIR_US_PER_HOUR);
		return type != WEIR_DATE;
	}
	int64_t days = type == WEIR_DATE ? value : floor_div(value, WEIR_US_PER_DAY);
	*ret_value = days;
	if (kind == ICE_DAY)
		return true;
	weir_civil_from_day((int32_t)days, &year, &month, &day);
	*ret_value = kind == ICE_YEAR ? year - 1970 : (int64_t)(year - 1970) * 12 + month - 1;
	return true;
}

struct ice_partition_value ice_transform_value(
	struct ice_transform transform, enum weir_type type, const struct expr_value *value)
{
	struct ice_partition_value result = {.is_null = true};
	uint32_t hash;
	switch (transform.kind) {
	case ICE_IDENTITY:
		result.value = *value;
		result.is_null = false;
		break;
	case ICE_BUCKET:
		if (transform.parameter > 0 && hash_value(type, value, &hash)) {
			result.value.kind = EXPR_INTEGER;
			result.value.u.integer = (hash & INT32_MAX) % transform.parameter;
			result.is_null = false;
		}
		break;
	case ICE_TRUNCATE:
		result.is_null =
			transform.parameter == 0 || !truncate_value(transform.parameter, type, value, &result.value);
		break;
	case ICE_YEAR:
	case ICE_MONTH:
	case ICE_DAY:
	case ICE_HOUR:
		result.value.kind = EXPR_INTEGER;
		result.is_null = value->kind != EXPR_INTEGER ||
			!time_value(transform.kind, type, value->u.integer, &result.value.u.integer);
		break;
	case ICE_VOID:
	case ICE_UNKNOWN_TRANSFORM:
		break;
	}
	return result;
}

struct expr_value ice_cell_value(struct weir_arena *arena, const struct weir_column *column, uint32_t row)
{
	weir_int128 unscaled;
	if (column->type != WEIR_DECIMAL)
		return expr_value_of(column, row);
	memcpy(&unscaled, (const char *)column->values + (size_t)row * sizeof unscaled, sizeof unscaled);
	if (unscaled >= INT64_MIN && unscaled <= INT64_MAX)
		return (struct expr_value){.kind = EXPR_INTEGER, .u.integer = (int64_t)unscaled};
	uint8_t bytes[16];
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(unscaled >> (8 * (sizeof bytes - 1 - i)));
	size_t start = 0; /* the fewest bytes whose sign bit is the number's */
	while (start < 15 && bytes[start] == (unscaled < 0 ? 0xFF : 0) && (bytes[start + 1] >> 7) == (unscaled < 0))
		start++;
	struct weir_str text = {(const char *)bytes + start, sizeof bytes - start};
	return (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_arena_str(arena, text)};
}

struct ice_partition_value ice_transform_apply(struct weir_arena *arena, struct ice_transform transform,
	enum weir_type type, const struct weir_column *column, uint32_t row)
{
	if (!weir_column_is_valid(column, row))
		return (struct ice_partition_value){.is_null = true};
	struct expr_value value = ice_cell_value(arena, column, row);
	struct ice_partition_value result = ice_transform_value(transform, type, &value);
	return ice_partition_value_copy(arena, &result);
}

enum weir_type ice_transform_result(struct ice_transform transform, enum weir_type source)
{
	switch (transform.kind) {
	case ICE_BUCKET:
	case ICE_YEAR:
	case ICE_MONTH:
	case ICE_HOUR:
		return WEIR_INT32;
	case ICE_DAY:
		return WEIR_DATE;
	case ICE_UNKNOWN_TRANSFORM:
		return WEIR_STRING;
	default:
		return source;
	}
}

int ice_transform_parse(struct weir_str text, struct ice_transform *ret_transform, struct weir_error *err)
{
	static const struct {
		const char *name;
		enum ice_transform_kind kind;
	} plain[] = {
		{"identity", ICE_IDENTITY},
		{"year", ICE_YEAR},
		{"month", ICE_MONTH},
		{"day", ICE_DAY},
		{"hour", ICE_HOUR},
		{"void", ICE_VOID},
		{"years", ICE_YEAR},
		{"months", ICE_MONTH},
		{"days", ICE_DAY},
		{"hours", ICE_HOUR},
	};
	static const char *const sized[] = {"bucket[", "truncate["};
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		if (weir_str_is(text, plain[i].name)) {
			*ret_transform = (struct ice_transform){plain[i].kind, 0};
			return 0;
		}
	for (size_t i = 0; i < 2; i++) {
		struct weir_str head = weir_str_from(sized[i]);
		if (!weir_str_has_prefix(text, head) || text.data[text.size - 1] != ']')
			continue;
		uint64_t parameter;
		struct weir_str digits = {text.data + head.size, text.size - head.size - 1};
		if (!weir_str_to_u64(digits, &parameter) || parameter == 0 || parameter > INT32_MAX)
			return weir_fail(err, WEIR_E_INPUT, "transform '%.*s' needs a number from 1 to 2147483647",
				(int)(text.size < 60 ? text.size : 60), text.data);
		*ret_transform = (struct ice_transform){i == 0 ? ICE_BUCKET : ICE_TRUNCATE, (uint32_t)parameter};
		return 0;
	}
	/* The specification has readers carry on without transforms that they do not know. */
	*ret_transform = (struct ice_transform){ICE_UNKNOWN_TRANSFORM, 0};
	return 0;
}

const char *ice_transform_name(struct ice_transform transform, char *buffer, size_t size)
{
	static const char *const names[] = {
		[ICE_IDENTITY] = "identity",
		[ICE_BUCKET] = "bucket",
		[ICE_TRUNCATE] = "truncate",
		[ICE_YEAR] = "year",
		[ICE_MONTH] = "month",
		[ICE_DAY] = "day",
		[ICE_HOUR] = "hour",
		[ICE_VOID] = "void",
		[ICE_UNKNOWN_TRANSFORM] = "unknown",
	};
	if (transform.kind == ICE_BUCKET || transform.kind == ICE_TRUNCATE)
		snprintf(buffer, size, "%s[%u]", names[transform.kind], transform.parameter);
	else
		snprintf(buffer, size, "%s", names[transform.kind]);
	return buffer;
}
