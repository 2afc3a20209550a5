/*
 * Values of a page, a few at a time: every encoding of the format, into dense arrays without nulls.
 *
 * Invariant: nothing is read outside [at, end), and memory is used only in proportion to values that
 * were asked for. Text from PLAIN and DELTA_LENGTH_BYTE_ARRAY points into the page; text that has to be
 * put together goes to the holder's arena, up to a limit.
 */
#include <math.h>
#include <stdlib.h>

#include "format/parquet/read_int.h"

#define JULIAN_EPOCH 2440588
#define DAY_MICROS   86400000000LL
#define DELTA_TEXTS  256 /* put together at once */

uint32_t pq_value_width(int32_t physical)
{
	static const uint8_t widths[] = {[PQ_BOOLEAN] = 1,
		[PQ_INT32] = 4,
		[PQ_INT64] = 8,
		[PQ_INT96] = 8,
		[PQ_FLOAT] = 4,
		[PQ_DOUBLE] = 8,
		[PQ_BYTE_ARRAY] = 16,
		[PQ_FIXED] = 16};
	return widths[physical];
}

static uint32_t plain_width(const struct pq_values *values)
{
	static const uint8_t widths[] = {
		[PQ_INT32] = 4, [PQ_INT64] = 8, [PQ_INT96] = 12, [PQ_FLOAT] = 4, [PQ_DOUBLE] = 8};
	return values->physical == PQ_FIXED ? values->type_length : widths[values->physical];
}

static int damaged(const char *what, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_CORRUPT, "%s", what);
}

static bool is_bytes(int32_t physical)
{
	return physical == PQ_BYTE_ARRAY || physical == PQ_FIXED;
}

static int open_delta_bytes(struct pq_values *values, struct weir_error *err)
{
	const uint8_t *next = pq_delta_end(values->at, values->end);
	if (next == NULL || !pq_delta_open(&values->delta, values->at, values->end))
		return damaged("the lengths of texts are damaged", err);
	values->at = next;
	if (values->encoding == PQ_DELTA_LENGTH_BYTE_ARRAY)
		return 0;
	next = pq_delta_end(values->at, values->end);
	if (next == NULL || !pq_delta_open(&values->suffixes, values->at, values->end))
		return damaged("the lengths of texts are damaged", err);
	values->at = next;
	return 0;
}

static int open_encoding(struct pq_values *values, struct weir_error *err)
{
	int32_t physical = values->physical;
	switch ((int)values->encoding) {
	case PQ_PLAIN:
		return 0;
	case PQ_RLE:
		if (physical != PQ_BOOLEAN)
			break;
		if (values->end - values->at < 4 || weir_le32(values->at) > (size_t)(values->end - values->at) - 4)
			return damaged("the run lengths of booleans are cut", err);
		pq_rle_open(&values->rle, values->at + 4, weir_le32(values->at), 1);
		return 0;
	case PQ_RLE_DICTIONARY:
		if (values->dictionary->shared == NULL)
			return damaged("a page has dictionary codes and there is no dictionary", err);
		if (values->at<values->end && * values->at> 32)
			return damaged("dictionary codes are wider than 32 bits", err);
		pq_rle_open(&values->rle, values->at + (values->at < values->end),
			(size_t)(values->end - values->at) - (values->at < values->end),
			values->at < values->end ? *values->at : 0);
		return 0;
	case PQ_DELTA_BINARY_PACKED:
		if (physical != PQ_INT32 && physical != PQ_INT64)
			break;
		if (values->at < values->end && !pq_delta_open(&values->delta, values->at, values->end))
			return damaged("the differences of a page are damaged", err);
		return 0;
	case PQ_DELTA_LENGTH_BYTE_ARRAY:
		if (physical != PQ_BYTE_ARRAY)
			break;
		return values->at < values->end ? open_delta_bytes(values, err) : 0;
	case PQ_DELTA_BYTE_ARRAY:
		if (!is_bytes(physical))
			break;
		return values->at < values->end ? open_delta_bytes(values, err) : 0;
	case PQ_BYTE_STREAM_SPLIT:
		if (physical == PQ_BOOLEAN || physical == PQ_INT96 || physical == PQ_BYTE_ARRAY)
			break;
		values->split = values->at;
		values->split_count = (size_t)(values->end - values->at) / plain_width(values);
		return 0;
	default:
		break;
	}
	return weir_fail(err, WEIR_E_UNSUPPORTED, "encoding %d for physical type %d is not one that weir reads",
		(int)values->encoding, physical);
}

int pq_values_open(struct pq_values *values, int32_t encoding, int32_t physical, uint32_t type_length,
	const uint8_t *data, const uint8_t *end, const struct pq_dictionary_values *dictionary, struct weir_error *err)
{
	struct weir_buf previous = values->previous_buf; /* its memory serves again */
	previous.size = 0;
	*values = (struct pq_values){.physical = physical,
		.type_length = type_length,
		.at = data,
		.end = end,
		.dictionary = dictionary,
		.previous_buf = previous};
	values->encoding = (enum pq_encoding)(encoding == PQ_PLAIN_DICTIONARY ? PQ_RLE_DICTIONARY : encoding);
	return open_encoding(values, err);
}

void pq_values_done(struct pq_values *values)
{
	weir_buf_done(&values->previous_buf);
}

static int64_t int96_micros(const uint8_t *from)
{
	uint64_t days = (uint64_t)(int64_t)(int32_t)weir_le32(from + 8) - JULIAN_EPOCH;
	return (int64_t)(days * 86400000000ULL + (uint64_t)((int64_t)weir_le64(from) / 1000));
}

/* As weir_view_from, without a call for short texts where 12 bytes can be read. */
static inline struct weir_view view_of(const uint8_t *at, size_t size, const uint8_t *end)
{
	struct weir_view view;
	uint64_t low;
	uint32_t high;
	if (size > sizeof view.u.inlined || (size_t)(end - at) < sizeof view.u.inlined)
		return weir_view_from((struct weir_str){(const char *)at, size});
	memcpy(&low, at, 8);
	memcpy(&high, at + 8, 4);
	if (size < 8) {
		low &= ((uint64_t)1 << (8 * size)) - 1;
		high = 0;
	} else {
		high &= (uint32_t)(((uint64_t)1 << (8 * (size - 8))) - 1);
	}
	view.size = (uint32_t)size;
	memcpy(view.u.inlined, &low, 8);
	memcpy(view.u.inlined + 8, &high, 4);
	return view;
}

static bool plain_bytes(struct pq_values *values, uint32_t count, struct weir_view *to)
{
	const uint8_t *at = values->at;
	for (uint32_t i = 0; i < count; i++) {
		size_t left = (size_t)(values->end - at), size = values->type_length;
		if (values->physical == PQ_BYTE_ARRAY) {
			if (left < 4)
				return false;
			size = weir_le32(at);
			at += 4;
			left -= 4;
		}
		if (size > left)
			return false;
		to[i] = view_of(at, size, values->end);
		at += size;
	}
	values->at = at;
	return true;
}

static bool plain_bools(struct pq_values *values, uint32_t count, uint8_t *to)
{
	size_t bits = (size_t)(values->end - values->at) * 8;
	if (count > bits - values->bit)
		return false;
	for (uint32_t i = 0; i < count; i++, values->bit++)
		to[i] = values->at[values->bit / 8] >> (values->bit % 8) & 1;
	return true;
}

static bool read_plain(struct pq_values *values, uint32_t count, void *to)
{
	if (is_bytes(values->physical))
		return plain_bytes(values, count, to);
	if (values->physical == PQ_BOOLEAN)
		return plain_bools(values, count, to);
	size_t width = plain_width(values);
	if (count > (size_t)(values->end - values->at) / width)
		return false;
	if (values->physical == PQ_INT96)
		for (uint32_t i = 0; i < count; i++)
			((int64_t *)to)[i] = int96_micros(values->at + (size_t)i * 12);
	else if (count > 0)
		memcpy(to, values->at, count * width);
	values->at += count * width;
	return true;
}

int pq_values_read_codes(struct pq_values *values, uint32_t count, uint32_t *to, struct weir_error *err)
{
	uint32_t highest = 0;
	if (!pq_rle_read(&values->rle, count, to))
		return damaged("the dictionary codes of a page are cut or damaged", err);
	for (uint32_t i = 0; i < count; i++)
		highest = to[i] > highest ? to[i] : highest;
	if (count > 0 && highest >= values->dictionary->count)
		return damaged("a dictionary code is past the end of the dictionary", err);
	return 0;
}

static int read_coded(struct pq_values *values, uint32_t count, char *to, struct weir_error *err)
{
	uint32_t codes[512];
	size_t width = pq_value_width(values->physical);
	const char *from = values->dictionary->values;
	while (count > 0) {
		uint32_t part = count < 512 ? count : 512;
		int code = pq_values_read_codes(values, part, codes, err);
		if (code != 0)
			return code;
		for (uint32_t i = 0; i < part; i++) {
			if (width == 8)
				memcpy(to + (size_t)i * 8, from + (size_t)codes[i] * 8, 8);
			else if (width == 4)
				memcpy(to + (size_t)i * 4, from + (size_t)codes[i] * 4, 4);
			else
				memcpy(to + i * width, from + codes[i] * width, width);
		}
		to += part * width;
		count -= part;
	}
	return 0;
}

static bool read_deltas(struct pq_values *values, uint32_t count, void *to)
{
	int64_t wide[256];
	if (values->physical == PQ_INT64)
		return pq_delta_read(&values->delta, count, to);
	for (uint32_t done = 0; done < count;) {
		uint32_t part = count - done < 256 ? count - done : 256;
		if (!pq_delta_read(&values->delta, part, wide))
			return false;
		for (uint32_t i = 0; i < part; i++)
			((int32_t *)to)[done + i] = (int32_t)(uint32_t)(uint64_t)wide[i];
		done += part;
	}
	return true;
}

static bool read_delta_lengths(struct pq_values *values, uint32_t count, struct weir_view *to)
{
	int64_t sizes[256];
	for (uint32_t done = 0; done < count;) {
		uint32_t part = count - done < 256 ? count - done : 256;
		if (!pq_delta_read(&values->delta, part, sizes))
			return false;
		for (uint32_t i = 0; i < part; i++) {
			if (sizes[i] < 0 || sizes[i] > values->end - values->at)
				return false;
			to[done + i] = view_of(values->at, (size_t)sizes[i], values->end);
			values->at += sizes[i];
		}
		done += part;
	}
	return true;
}

static int hold_text(struct pq_holder *holder, size_t size, struct weir_error *err)
{
	holder->text_bytes += size;
	if (holder->text_bytes > holder->text_limit)
		return weir_fail(err, WEIR_E_LIMIT, "the texts of one batch take more than %llu bytes",
			(unsigned long long)holder->text_limit);
	return 0;
}

/* Are the lengths of texts those of beginnings of the one before and rests that are there? *ret_bytes: of all texts. */
static int check_delta_sizes(const struct pq_values *values, const int64_t *prefixes, const int64_t *rests,
	uint32_t count, size_t before, uint64_t *ret_bytes, struct weir_error *err)
{
	uint64_t left = (uint64_t)(values->end - values->at);
	*ret_bytes = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (prefixes[i] < 0 || rests[i] < 0 || (uint64_t)prefixes[i] > before || (uint64_t)rests[i] > left)
			return damaged("the beginnings or ends of texts are damaged", err);
		left -= (uint64_t)rests[i];
		before = (size_t)(prefixes[i] + rests[i]);
		if (values->physical == PQ_FIXED && before != values->type_length)
			return damaged("a value of fixed size has another size", err);
		*ret_bytes += before;
	}
	return 0;
}

/* Each text is a beginning of the one before and a rest. The last one is kept for the next call. */
static int read_delta_bytes(struct pq_values *values, uint32_t count, struct weir_view *to, struct pq_holder *holder,
	struct weir_error *err)
{
	int64_t prefixes[DELTA_TEXTS], rests[DELTA_TEXTS];
	struct weir_str before = weir_buf_str(&values->previous_buf);
	uint64_t bytes;
	for (uint32_t done = 0; done < count;) {
		uint32_t part = count - done < DELTA_TEXTS ? count - done : DELTA_TEXTS;
		if (!pq_delta_read(&values->delta, part, prefixes) || !pq_delta_read(&values->suffixes, part, rests))
			return damaged("the beginnings or ends of texts are damaged", err);
		int code = check_delta_sizes(values, prefixes, rests, part, before.size, &bytes, err);
		if (code == 0)
			code = hold_text(holder, bytes, err);
		if (code != 0)
			return code;
		char *at = weir_arena_alloc(holder->arena, bytes + 1);
		for (uint32_t i = 0; i < part; i++) {
			size_t shared = (size_t)prefixes[i], rest = (size_t)rests[i];
			if (shared > 0)
				memcpy(at, before.data, shared);
			memcpy(at + shared, values->at, rest);
			values->at += rest;
			before = (struct weir_str){at, shared + rest};
			to[done + i] = weir_view_from(before);
			at += before.size;
		}
		done += part;
	}
	if (count > 0) {
		values->previous_buf.size = 0;
		weir_buf_append(&values->previous_buf, before.data, before.size);
	}
	return 0;
}

static int read_split(
	struct pq_values *values, uint32_t count, char *to, struct pq_holder *holder, struct weir_error *err)
{
	size_t width = plain_width(values);
	char *bytes = to;
	if (count > values->split_count - values->split_at)
		return damaged("a page has fewer values than it says", err);
	if (values->physical == PQ_FIXED) {
		int code = hold_text(holder, count * width, err);
		if (code != 0)
			return code;
		bytes = weir_arena_alloc(holder->arena, count * width);
	}
	for (size_t b = 0; b < width; b++)
		for (size_t i = 0; i < count; i++)
			bytes[i * width + b] = (char)values->split[b * values->split_count + values->split_at + i];
	values->split_at += count;
	if (values->physical == PQ_FIXED)
		for (size_t i = 0; i < count; i++)
			((struct weir_view *)(void *)to)[i] =
				weir_view_from((struct weir_str){bytes + i * width, width});
	return 0;
}

bool pq_values_skip(struct pq_values *values, uint32_t count)
{
	if (values->encoding == PQ_BYTE_STREAM_SPLIT && count <= values->split_count - values->split_at) {
		values->split_at += count;
		return true;
	}
	if (values->encoding == PQ_RLE_DICTIONARY)
		return pq_rle_skip(&values->rle, count);
	if (values->encoding != PQ_PLAIN || values->physical == PQ_BYTE_ARRAY || values->physical == PQ_BOOLEAN)
		return false;
	size_t width = plain_width(values);
	if (count > (size_t)(values->end - values->at) / width)
		return false;
	values->at += count * width;
	return true;
}

int pq_values_read(struct pq_values *values, uint32_t count, void *to, struct pq_holder *holder, struct weir_error *err)
{
	bool good = false;
	switch ((int)values->encoding) {
	case PQ_PLAIN:
		good = read_plain(values, count, to);
		break;
	case PQ_RLE:
		good = pq_rle_read_levels(&values->rle, count, to);
		break;
	case PQ_RLE_DICTIONARY:
		return read_coded(values, count, to, err);
	case PQ_DELTA_BINARY_PACKED:
		good = read_deltas(values, count, to);
		break;
	case PQ_DELTA_LENGTH_BYTE_ARRAY:
		good = read_delta_lengths(values, count, to);
		break;
	case PQ_DELTA_BYTE_ARRAY:
		return read_delta_bytes(values, count, to, holder, err);
	default:
		return read_split(values, count, to, holder, err);
	}
	return good ? 0 : damaged("a page has fewer values than it says, or damaged ones", err);
}

static float half_to_float(uint16_t half)
{
	int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
	float value = exponent == 0 ? ldexpf((float)fraction, -24)
		: exponent == 31    ? (fraction != 0 ? NAN : INFINITY)
				    : ldexpf((float)(fraction + 1024), exponent - 25);
	return (half & 0x8000) != 0 ? -value : value;
}

static bool decimal_of_bytes(const struct weir_view *view, weir_int128 *ret_value)
{
	struct weir_str bytes = weir_view_str(view);
	weir_int128 value = bytes.size > 0 && (int8_t)bytes.data[0] < 0 ? -1 : 0;
	weir_int128 sign = value;
	for (size_t i = 0; i < bytes.size; i++) {
		/* More than 16 bytes fit only if the leading ones repeat the sign. */
		if (i + 16 < bytes.size && (unsigned char)bytes.data[i] != (unsigned char)sign)
			return false;
		value = value * 256 + (unsigned char)bytes.data[i];
	}
	*ret_value = value;
	return true;
}

static bool convert_bytes(enum pq_convert convert, const struct weir_view *from, uint32_t count, char *to)
{
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str bytes = weir_view_str(&from[i]);
		weir_int128 decimal;
		float f32;
		double f64;
		switch (convert) {
		case PQ_BYTES_DECIMAL:
			if (!decimal_of_bytes(&from[i], &decimal))
				return false;
			memcpy(to + (size_t)i * 16, &decimal, 16);
			break;
		case PQ_BYTES_UUID:
			if (bytes.size != 16)
				return false;
			memcpy(to + (size_t)i * 16, bytes.data, 16);
			break;
		case PQ_F16_F32:
			f32 = half_to_float(weir_le16(bytes.data));
			memcpy(to + (size_t)i * 4, &f32, 4);
			break;
		case PQ_F16_F64:
			f64 = (double)half_to_float(weir_le16(bytes.data));
			memcpy(to + (size_t)i * 8, &f64, 8);
			break;
		default:
			return false;
		}
	}
	return true;
}

static bool convert_days(int64_t unit, const int32_t *from, uint32_t count, int64_t *to)
{
	bool good = true;
	for (uint32_t i = 0; i < count; i++)
		good &= !__builtin_mul_overflow(from[i], unit, &to[i]);
	return good;
}

static bool convert_i32(enum pq_convert convert, const int32_t *from, uint32_t count, void *to)
{
	for (uint32_t i = 0; i < count; i++) {
		weir_int128 decimal = from[i];
		if (convert == PQ_I32_I64)
			((int64_t *)to)[i] = from[i];
		else if (convert == PQ_U32_I64)
			((int64_t *)to)[i] = (uint32_t)from[i];
		else if (convert == PQ_I32_TIMES_1000)
			((int64_t *)to)[i] = (int64_t)from[i] * 1000;
		else
			memcpy((char *)to + (size_t)i * 16, &decimal, 16);
	}
	return true;
}

static bool convert_i64(enum pq_convert convert, const int64_t *from, uint32_t count, void *to)
{
	bool good = true;
	for (uint32_t i = 0; i < count; i++) {
		weir_int128 decimal = convert == PQ_U64_DECIMAL ? (weir_int128)(uint64_t)from[i] : from[i];
		if (convert == PQ_I64_TIMES_1000)
			good &= !__builtin_mul_overflow(from[i], (int64_t)1000, &((int64_t *)to)[i]);
		else if (convert == PQ_I64_OVER_1000)
			((int64_t *)to)[i] = from[i] / 1000 - (from[i] % 1000 < 0);
		else
			memcpy((char *)to + (size_t)i * 16, &decimal, 16);
	}
	return good;
}

bool pq_convert_values(enum pq_convert convert, const void *from, uint32_t count, uint32_t type_length, void *to)
{
	(void)type_length;
	switch (convert) {
	case PQ_I32_I64:
	case PQ_U32_I64:
	case PQ_I32_TIMES_1000:
	case PQ_I32_DECIMAL:
		return convert_i32(convert, from, count, to);
	case PQ_DAYS_MICROS:
		return convert_days(DAY_MICROS, from, count, to);
	case PQ_DAYS_NANOS:
		return convert_days(DAY_MICROS * 1000, from, count, to);
	case PQ_I64_TIMES_1000:
	case PQ_I64_OVER_1000:
	case PQ_I64_DECIMAL:
	case PQ_U64_DECIMAL:
		return convert_i64(convert, from, count, to);
	case PQ_F32_F64:
		for (uint32_t i = 0; i < count; i++)
			((double *)to)[i] = (double)((const float *)from)[i];
		return true;
	default:
		return convert_bytes(convert, from, count, to);
	}
}
