/*
 * The hybrid of run lengths and bit packing (Parquet's encoding RLE), for levels and dictionary codes.
 *
 *   varint header; low bit 0: header >> 1 repetitions of one value in (bit_width + 7) / 8 bytes
 *                  low bit 1: header >> 1 groups of 8 values of bit_width bits each, low bits first
 */
#include <stdlib.h>
#include <string.h>

#include "format/parquet/parquet_int.h"
#include "format/parquet/thrift_int.h"

static void put_run(struct weir_buf *out, uint32_t value, uint32_t count, unsigned bit_width)
{
	thrift_put_varint(out, (uint64_t)count << 1);
	for (unsigned i = 0; i < (bit_width + 7) / 8; i++)
		weir_buf_u8(out, (uint8_t)(value >> (8 * i)));
}

/* Values are padded with zeros to a multiple of 8. */
static void put_packed(struct weir_buf *out, const uint32_t *values, uint32_t count, unsigned bit_width)
{
	uint32_t groups = (count + 7) / 8;
	thrift_put_varint(out, (uint64_t)groups << 1 | 1);
	weir_buf_reserve(out, (size_t)groups * bit_width + 8);
	uint8_t *to = (uint8_t *)out->data + out->size;
	uint64_t bits = 0;
	unsigned held = 0;
	for (uint32_t i = 0; i < count; i++) {
		bits |= (uint64_t)values[i] << held;
		held += bit_width;
		if (held >= 32) {
			uint32_t word = (uint32_t)bits;
			memcpy(to, &word, 4);
			to += 4;
			bits >>= 32;
			held -= 32;
		}
	}
	size_t size = (size_t)groups * bit_width;
	uint8_t *end = (uint8_t *)out->data + out->size + size;
	while (to < end) {
		*to++ = (uint8_t)bits;
		bits >>= 8;
	}
	out->size += size;
}

void pq_rle_encode(struct weir_buf *out, const uint32_t *values, uint32_t count, unsigned bit_width)
{
	uint32_t packed_from = 0, i = 0;
	while (i < count) {
		uint32_t run = 1;
		if (i + 1 < count && values[i + 1] != values[i]) {
			i++;
			continue;
		}
		while (i + run < count && values[i + run] == values[i])
			run++;
		/* Packed values come in groups of 8: the first of a run fill the last group. */
		uint32_t pad = (8 - (i - packed_from) % 8) % 8;
		if (run < 8 + pad) {
			i += run;
			continue;
		}
		if (i + pad > packed_from)
			put_packed(out, values + packed_from, i + pad - packed_from, bit_width);
		put_run(out, values[i], run - pad, bit_width);
		i += run;
		packed_from = i;
	}
	if (count > packed_from)
		put_packed(out, values + packed_from, count - packed_from, bit_width);
}

void pq_rle_encode_levels(struct weir_buf *out, const uint8_t *levels, uint32_t count, unsigned bit_width)
{
	if (count > 0 && memcmp(levels, levels + 1, count - 1) == 0) { /* each is as its neighbour */
		put_run(out, levels[0], count, bit_width);
		return;
	}
	uint32_t *wide = weir_alloc((size_t)count * sizeof *wide);
	for (uint32_t i = 0; i < count; i++)
		wide[i] = levels[i];
	pq_rle_encode(out, wide, count, bit_width);
	free(wide);
}

void pq_rle_open(struct pq_rle *rle, const void *data, size_t size, unsigned bit_width)
{
	*rle = (struct pq_rle){.at = data, .end = (const uint8_t *)data + size, .bit_width = bit_width};
}

static bool rle_varint(struct pq_rle *rle, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && rle->at < rle->end; shift += 7) {
		uint8_t byte = *rle->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool rle_next_run(struct pq_rle *rle)
{
	uint64_t header;
	if (!rle_varint(rle, &header))
		return false;
	size_t left = (size_t)(rle->end - rle->at);
	if ((header & 1) == 0) {
		size_t width = (rle->bit_width + 7) / 8;
		if (width > left)
			return false;
		rle->value = 0;
		for (size_t i = 0; i < width; i++)
			rle->value |= (uint32_t)rle->at[i] << (8 * i);
		if (rle->bit_width < 32 && rle->value >> rle->bit_width != 0)
			return false;
		rle->at += width;
		rle->run_left = header >> 1;
		return true;
	}
	/* Some writers cut the padding of the last group: what is there counts. */
	uint64_t groups = header >> 1;
	uint64_t held = rle->bit_width == 0 ? groups : left / rle->bit_width + (left % rle->bit_width != 0);
	if (groups > held)
		groups = held;
	uint64_t size = groups * rle->bit_width;
	if (groups > UINT64_MAX / 64)
		return false;
	rle->packed = rle->at;
	rle->packed_bit = 0;
	rle->packed_left = groups * 8;
	if (size > left) {
		size = left;
		rle->packed_left = size * 8 / rle->bit_width;
	}
	rle->at += size;
	return true;
}

/* Groups of 8 values of width bits: each takes width bytes. Inlined once a width, so that shifts are constants. */
static inline __attribute__((always_inline)) void unpack_groups(
	const uint8_t *from, uint32_t groups, uint32_t *to, unsigned width)
{
	const uint64_t mask = ((uint64_t)1 << width) - 1;
	for (uint32_t g = 0; g < groups; g++, from += width, to += 8) {
		for (unsigned i = 0; i < 8; i++) {
			uint64_t word;
			memcpy(&word, from + i * width / 8, 8);
			to[i] = (uint32_t)(word >> (i * width % 8) & mask);
		}
	}
}

static void unpack_wide(const uint8_t *from, uint32_t groups, uint32_t *to, unsigned width)
{
	unpack_groups(from, groups, to, width);
}

static void unpack_fast(const uint8_t *from, uint32_t groups, uint32_t *to, unsigned width)
{
	switch (width) {
	case 1:
		unpack_groups(from, groups, to, 1);
		break;
	case 2:
		unpack_groups(from, groups, to, 2);
		break;
	case 3:
		unpack_groups(from, groups, to, 3);
		break;
	case 4:
		unpack_groups(from, groups, to, 4);
		break;
	case 5:
		unpack_groups(from, groups, to, 5);
		break;
	case 6:
		unpack_groups(from, groups, to, 6);
		break;
	case 7:
		unpack_groups(from, groups, to, 7);
		break;
	case 8:
		unpack_groups(from, groups, to, 8);
		break;
	case 10:
		unpack_groups(from, groups, to, 10);
		break;
	case 12:
		unpack_groups(from, groups, to, 12);
		break;
	case 14:
		unpack_groups(from, groups, to, 14);
		break;
	case 16:
		unpack_groups(from, groups, to, 16);
		break;
	default:
		unpack_wide(from, groups, to, width);
	}
}

/* The values that the last bytes hold, and those that do not begin with a group. */
static void unpack_slow(struct pq_rle *rle, uint32_t count, uint32_t *to)
{
	unsigned width = rle->bit_width;
	uint64_t mask = ((uint64_t)1 << width) - 1;
	uint64_t bit = rle->packed_bit;
	for (uint32_t i = 0; i < count; i++, bit += width) {
		const uint8_t *from = rle->packed + bit / 8;
		uint64_t word = 0;
		if (rle->end - from >= 8)
			memcpy(&word, from, 8);
		else if (rle->end > from)
			memcpy(&word, from, (size_t)(rle->end - from));
		to[i] = (uint32_t)(word >> (bit % 8) & mask);
	}
	rle->packed_bit = bit;
}

static void unpack(struct pq_rle *rle, uint32_t count, uint32_t *to)
{
	unsigned width = rle->bit_width;
	if (width == 0) {
		memset(to, 0, (size_t)count * sizeof *to);
		return;
	}
	uint32_t odd = (uint32_t)(rle->packed_bit / width % 8);
	if (odd > 0) { /* up to the next group */
		uint32_t part = 8 - odd < count ? 8 - odd : count;
		unpack_slow(rle, part, to);
		to += part;
		count -= part;
	}
	const uint8_t *from = rle->packed + rle->packed_bit / 8;
	size_t left = rle->end > from ? (size_t)(rle->end - from) : 0;
	uint32_t groups = count / 8;
	/* The last value of a group is read as 8 bytes that begin within it. */
	uint32_t safe = left > 8 ? (uint32_t)((left - 8) / width) : 0;
	groups = groups < safe ? groups : safe;
	unpack_fast(from, groups, to, width);
	rle->packed_bit += (uint64_t)groups * 8 * width;
	unpack_slow(rle, count - groups * 8, to + (size_t)groups * 8);
}

bool pq_rle_read(struct pq_rle *rle, uint32_t count, uint32_t *to)
{
	while (count > 0) {
		uint64_t left = rle->run_left > 0 ? rle->run_left : rle->packed_left;
		uint32_t part = left < count ? (uint32_t)left : count;
		if (rle->run_left > 0) {
			for (uint32_t i = 0; i < part; i++)
				to[i] = rle->value;
			rle->run_left -= part;
		} else if (rle->packed_left > 0) {
			unpack(rle, part, to);
			rle->packed_left -= part;
		} else if (!rle_next_run(rle)) {
			return false;
		}
		to += part;
		count -= part;
	}
	return true;
}

bool pq_rle_skip(struct pq_rle *rle, uint32_t count)
{
	while (count > 0) {
		uint64_t left = rle->run_left > 0 ? rle->run_left : rle->packed_left;
		uint32_t part = left < count ? (uint32_t)left : count;
		if (rle->run_left > 0) {
			rle->run_left -= part;
		} else if (rle->packed_left > 0) {
			rle->packed_left -= part;
			rle->packed_bit += (uint64_t)part * rle->bit_width;
		} else if (!rle_next_run(rle)) {
			return false;
		}
		count -= part;
	}
	return true;
}

/* Levels of one bit: 8 of them become 8 bytes at once. packed_bit is at the start of a byte. */
static void unpack_bits(struct pq_rle *rle, uint32_t count, uint8_t *to)
{
	const uint8_t *from = rle->packed + rle->packed_bit / 8;
	for (uint32_t i = 0; i < count; i += 8) {
		uint64_t spread = *from++ * 0x0101010101010101ULL & 0x8040201008040201ULL;
		spread = (spread + 0x7f7f7f7f7f7f7f7fULL) >> 7 & 0x0101010101010101ULL;
		memcpy(to + i, &spread, 8);
	}
	rle->packed_bit += count;
}

bool pq_rle_read_levels(struct pq_rle *rle, uint32_t count, uint8_t *to)
{
	uint32_t wide[256];
	while (count > 0) {
		uint32_t part = count < 256 ? count : 256;
		if (rle->run_left > 0) {
			part = rle->run_left < count ? (uint32_t)rle->run_left : count;
			memset(to, (int)(rle->value & 0xff), part);
			rle->run_left -= part;
		} else if (rle->packed_left == 0) {
			if (!rle_next_run(rle))
				return false;
			continue;
		} else if (rle->bit_width == 1 && rle->packed_bit % 8 == 0 && rle->packed_left >= 8 && count >= 8) {
			part = (uint32_t)(rle->packed_left < count ? rle->packed_left : count) & ~7U;
			unpack_bits(rle, part, to);
			rle->packed_left -= part;
		} else {
			part = rle->packed_left < part ? (uint32_t)rle->packed_left : part;
			if (rle->bit_width == 1 && rle->packed_bit % 8 != 0 && part > 8 - rle->packed_bit % 8)
				part = (uint32_t)(8 - rle->packed_bit % 8); /* and on at a byte */
			unpack(rle, part, wide);
			rle->packed_left -= part;
			for (uint32_t i = 0; i < part; i++)
				to[i] = (uint8_t)wide[i];
		}
		to += part;
		count -= part;
	}
	return true;
}
