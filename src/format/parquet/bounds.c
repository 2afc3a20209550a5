/*
 * Minima and maxima while pages are written (parquet.thrift, "ColumnOrder"): numbers by value, text and
 * UUIDs by unsigned bytes, decimals in FIXED as signed big-endian numbers. NaN is never a bound; a zero
 * is -0 as a minimum and +0 as a maximum.
 */
#include <math.h>

#include "format/parquet/parquet_int.h"

static void set_bounds(struct pq_bounds *bounds, const void *min, const void *max, size_t size)
{
	memcpy(bounds->store[0], min, size);
	memcpy(bounds->store[1], max, size);
	bounds->has = true;
	bounds->min = (struct weir_str){(const char *)bounds->store[0], size};
	bounds->max = (struct weir_str){(const char *)bounds->store[1], size};
}

static void bounds_of_i32(const int32_t *values, uint32_t count, struct pq_bounds *bounds)
{
	int32_t min = values[0], max = values[0];
	for (uint32_t i = 1; i < count; i++) {
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	set_bounds(bounds, &min, &max, sizeof min);
}

static void bounds_of_i64(const int64_t *values, uint32_t count, struct pq_bounds *bounds)
{
	int64_t min = values[0], max = values[0];
	for (uint32_t i = 1; i < count; i++) {
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	set_bounds(bounds, &min, &max, sizeof min);
}

static void bounds_of_float(const float *values, uint32_t count, struct pq_bounds *bounds)
{
	float min = INFINITY, max = -INFINITY;
	for (uint32_t i = 0; i < count; i++) {
		bounds->nan_count += isnan(values[i]) ? 1 : 0;
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	min = min == 0.0F ? -0.0F : min;
	max = max == 0.0F ? 0.0F : max;
	if (bounds->nan_count < count)
		set_bounds(bounds, &min, &max, sizeof min);
}

static void bounds_of_double(const double *values, uint32_t count, struct pq_bounds *bounds)
{
	double min = (double)INFINITY, max = -(double)INFINITY;
	for (uint32_t i = 0; i < count; i++) {
		bounds->nan_count += isnan(values[i]) ? 1 : 0;
		min = values[i] < min ? values[i] : min;
		max = values[i] > max ? values[i] : max;
	}
	min = min == 0.0 ? -0.0 : min;
	max = max == 0.0 ? 0.0 : max;
	if (bounds->nan_count < count)
		set_bounds(bounds, &min, &max, sizeof min);
}

static void bounds_of_bool(const uint8_t *values, uint32_t count, struct pq_bounds *bounds)
{
	uint8_t min = 1, max = 0;
	for (uint32_t i = 0; i < count; i++) {
		min &= values[i];
		max |= values[i];
	}
	set_bounds(bounds, &min, &max, sizeof min);
}

static bool is_signed_decimal(const struct pq_leaf *leaf)
{
	return leaf->field->type == WEIR_DECIMAL && leaf->physical == PQ_FIXED;
}

static int order_decimal(struct weir_str a, struct weir_str b)
{
	int sign = ((int8_t)a.data[0] < 0) - ((int8_t)b.data[0] < 0);
	return sign != 0 ? -sign : memcmp(a.data, b.data, a.size);
}

static void bounds_of_bytes(const struct pq_leaf *leaf, const char *values, uint32_t count, struct pq_bounds *bounds)
{
	bounds->has = true;
	bounds->min = bounds->max = (struct weir_str){values, leaf->width};
	for (uint32_t i = 1; i < count; i++) {
		struct weir_str value = {values + (size_t)i * leaf->width, leaf->width};
		if (pq_bound_order(leaf, value, bounds->min) < 0)
			bounds->min = value;
		else if (pq_bound_order(leaf, value, bounds->max) > 0)
			bounds->max = value;
	}
}

void pq_bounds_of_fixed(const struct pq_leaf *leaf, const void *values, uint32_t count, struct pq_bounds *bounds)
{
	*bounds = (struct pq_bounds){0};
	if (count == 0)
		return;
	switch (leaf->physical) {
	case PQ_BOOLEAN:
		bounds_of_bool(values, count, bounds);
		break;
	case PQ_INT32:
		bounds_of_i32(values, count, bounds);
		break;
	case PQ_INT64:
		bounds_of_i64(values, count, bounds);
		break;
	case PQ_FLOAT:
		bounds_of_float(values, count, bounds);
		break;
	case PQ_DOUBLE:
		bounds_of_double(values, count, bounds);
		break;
	default:
		bounds_of_bytes(leaf, values, count, bounds);
	}
}

/* Zeros follow a text that is shorter, so that different heads order as their texts do. */
static uint64_t head_of(struct weir_str text)
{
	uint64_t head = 0;
	if (text.size >= sizeof head)
		memcpy(&head, text.data, sizeof head);
	else if (text.size > 0)
		memcpy(&head, text.data, text.size);
	return __builtin_bswap64(head);
}

void pq_bounds_add_text(struct pq_bounds *bounds, struct weir_str text)
{
	uint64_t head = head_of(text);
	if (!bounds->has) {
		bounds->min = bounds->max = text;
		bounds->min_head = bounds->max_head = head;
		bounds->has = true;
	} else if (head < bounds->min_head || (head == bounds->min_head && weir_str_compare(text, bounds->min) < 0)) {
		bounds->min = text;
		bounds->min_head = head;
	} else if (head > bounds->max_head || (head == bounds->max_head && weir_str_compare(text, bounds->max) > 0)) {
		bounds->max = text;
		bounds->max_head = head;
	}
}

bool pq_bound_value(const struct pq_leaf *leaf, struct weir_str bytes, struct expr_value *ret_value)
{
	int32_t i32;
	float f32;
	*ret_value = (struct expr_value){.kind = EXPR_INTEGER};
	switch (leaf->physical) {
	case PQ_BOOLEAN:
		*ret_value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = bytes.data[0] != 0};
		return true;
	case PQ_INT32:
		memcpy(&i32, bytes.data, sizeof i32);
		ret_value->u.integer = i32;
		return true;
	case PQ_INT64:
		memcpy(&ret_value->u.integer, bytes.data, sizeof ret_value->u.integer);
		return true;
	case PQ_FLOAT:
		memcpy(&f32, bytes.data, sizeof f32);
		*ret_value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = (double)f32};
		return true;
	case PQ_DOUBLE:
		ret_value->kind = EXPR_NUMBER;
		memcpy(&ret_value->u.number, bytes.data, sizeof ret_value->u.number);
		return true;
	default:
		break;
	}
	if (is_signed_decimal(leaf)) {
		weir_int128 value = (int8_t)bytes.data[0] < 0 ? -1 : 0;
		for (size_t i = 0; i < bytes.size; i++)
			value = (weir_int128)((unsigned char)bytes.data[i] + value * 256);
		ret_value->u.integer = (int64_t)value;
		return value >= INT64_MIN && value <= INT64_MAX;
	}
	if (leaf->field->type == WEIR_UUID) {
		ret_value->kind = EXPR_UUID;
		memcpy(ret_value->u.uuid.bytes, bytes.data, sizeof ret_value->u.uuid.bytes);
		return true;
	}
	*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = bytes};
	return true;
}

int pq_bound_order(const struct pq_leaf *leaf, struct weir_str a, struct weir_str b)
{
	struct expr_value x, y;
	int order = 0;
	if (is_signed_decimal(leaf))
		return order_decimal(a, b);
	if (leaf->physical == PQ_FIXED)
		return memcmp(a.data, b.data, leaf->width);
	if (leaf->physical == PQ_BYTE_ARRAY)
		return weir_str_compare(a, b);
	if (pq_bound_value(leaf, a, &x) && pq_bound_value(leaf, b, &y))
		expr_compare(&x, &y, &order);
	return order;
}

struct weir_str pq_bound_cut_lower(struct weir_str text, size_t limit, bool is_utf8)
{
	if (text.size <= limit)
		return text;
	while (is_utf8 && limit > 0 && ((unsigned char)text.data[limit] & 0xc0) == 0x80)
		limit--;
	return (struct weir_str){text.data, limit};
}

struct weir_str pq_bound_cut_upper(struct weir_arena *arena, struct weir_str text, size_t limit, bool is_utf8)
{
	struct weir_str cut = pq_bound_cut_lower(text, limit, is_utf8);
	if (cut.size == text.size)
		return text;
	/* The last byte that can grow, without leaving ASCII where the text must stay UTF-8. */
	unsigned char most = is_utf8 ? 0x7e : 0xfe;
	while (cut.size > 0 && (unsigned char)cut.data[cut.size - 1] > most)
		cut.size--;
	if (cut.size == 0)
		return text;
	char *bytes = weir_arena_copy(arena, cut.data, cut.size);
	bytes[cut.size - 1]++;
	return (struct weir_str){bytes, cut.size};
}
