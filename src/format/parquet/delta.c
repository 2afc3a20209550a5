/*
 * DELTA_BINARY_PACKED: blocks of differences, packed as wide as the widest of a miniblock needs.
 *
 *   block size, miniblocks a block, values in all: varints; first value: zigzag
 *   a block: smallest difference (zigzag), a width byte a miniblock, then the miniblocks: differences
 *   less the smallest, low bits first
 *
 * Arithmetic is modulo 2^64 (2^32 values fit as well: the low bits are the same).
 */
#include <string.h>

#include "format/parquet/parquet_int.h"
#include "format/parquet/thrift_int.h"

#define BLOCK 128
#define MINI  32
#define MINIS (BLOCK / MINI)

static unsigned width_of(uint64_t value)
{
	return value == 0 ? 0 : 64U - (unsigned)__builtin_clzll(value);
}

static void put_mini(struct weir_buf *out, const uint64_t *values, unsigned width)
{
	uint64_t bits = 0;
	unsigned held = 0;
	if (width == 0)
		return;
	weir_buf_reserve(out, MINI / 8 * width + 8);
	char *to = out->data + out->size;
	for (unsigned i = 0; i < MINI; i++) {
		bits |= values[i] << held;
		held += width;
		if (held < 64)
			continue;
		memcpy(to, &bits, 8);
		to += 8;
		held -= 64;
		bits = held > 0 ? values[i] >> (width - held) : 0;
	}
	if (held > 0)
		memcpy(to, &bits, 8);
	out->size += MINI / 8 * width;
}

static void put_block(struct weir_buf *out, uint64_t *deltas, uint32_t count, uint64_t mask)
{
	int64_t smallest = INT64_MAX;
	uint8_t widths[MINIS] = {0};
	for (uint32_t i = 0; i < count; i++)
		smallest = (int64_t)deltas[i] < smallest ? (int64_t)deltas[i] : smallest;
	for (uint32_t i = 0; i < count; i++)
		deltas[i] = (deltas[i] - (uint64_t)smallest) & mask;
	for (uint32_t i = count; i < BLOCK; i++)
		deltas[i] = 0;
	for (uint32_t m = 0; m < MINIS; m++) {
		uint64_t all = 0;
		for (uint32_t i = 0; i < MINI; i++)
			all |= deltas[m * MINI + i];
		widths[m] = (uint8_t)width_of(all);
	}
	thrift_put_zigzag(out, smallest);
	weir_buf_append(out, widths, MINIS);
	for (uint32_t m = 0; m * MINI < count; m++)
		put_mini(out, deltas + m * MINI, widths[m]);
}

void pq_delta_encode(struct weir_buf *out, const int64_t *values, uint32_t count, unsigned width_bits)
{
	uint64_t deltas[BLOCK];
	uint64_t mask = width_bits == 32 ? UINT32_MAX : UINT64_MAX;
	thrift_put_varint(out, BLOCK);
	thrift_put_varint(out, MINIS);
	thrift_put_varint(out, count);
	thrift_put_zigzag(out, count > 0 ? values[0] : 0);
	for (uint32_t i = 1; i < count; i += BLOCK) {
		uint32_t part = count - i < BLOCK ? count - i : BLOCK;
		for (uint32_t k = 0; k < part; k++) {
			uint64_t delta = (uint64_t)values[i + k] - (uint64_t)values[i + k - 1];
			deltas[k] = width_bits == 32 ? (uint64_t)(int64_t)(int32_t)(uint32_t)delta : delta;
		}
		put_block(out, deltas, part, mask);
	}
}

static bool delta_varint(struct pq_delta *delta, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && delta->at < delta->end; shift += 7) {
		uint8_t byte = *delta->at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

bool pq_delta_open(struct pq_delta *delta, const uint8_t *data, const uint8_t *end)
{
	uint64_t minis, first;
	*delta = (struct pq_delta){.at = data, .end = end, .first = true};
	if (!delta_varint(delta, &delta->block_size) || !delta_varint(delta, &minis) ||
		!delta_varint(delta, &delta->left) || !delta_varint(delta, &first))
		return false;
	/* "a multiple of 128" and "a multiple of 32"; 8 is what the packing needs. */
	if (minis == 0 || minis > 65536 || delta->block_size == 0 || delta->block_size > ((uint64_t)1 << 31) ||
		delta->block_size % minis != 0 || delta->block_size / minis % 8 != 0)
		return false;
	delta->mini_count = (uint32_t)minis;
	delta->mini_size = delta->block_size / minis;
	delta->last = (first >> 1) ^ -(first & 1);
	delta->mini_at = delta->mini_count;
	return true;
}

static bool next_mini(struct pq_delta *delta)
{
	if (delta->mini_at == delta->mini_count) {
		uint64_t smallest;
		if (!delta_varint(delta, &smallest) || (size_t)(delta->end - delta->at) < delta->mini_count)
			return false;
		delta->min_delta = (smallest >> 1) ^ -(smallest & 1);
		delta->widths = delta->at;
		delta->at += delta->mini_count;
		delta->mini_at = 0;
	}
	unsigned width = delta->widths[delta->mini_at];
	uint64_t size = delta->mini_size / 8 * width;
	uint64_t left = (uint64_t)(delta->end - delta->at);
	if (width > 64)
		return false;
	if (size > left) { /* some writers cut the last miniblock after its last value */
		uint64_t needed = delta->left < delta->mini_size ? (delta->left * width + 7) / 8 : size;
		if (needed > left)
			return false;
		size = left;
	}
	delta->mini = delta->at;
	delta->bit = 0;
	delta->mini_left = delta->mini_size;
	delta->at += size;
	return true;
}

static uint64_t unpack_one(const uint8_t *from, const uint8_t *end, unsigned shift, unsigned width)
{
	uint8_t bytes[16] = {0};
	size_t size = (size_t)(end - from) < sizeof bytes ? (size_t)(end - from) : sizeof bytes;
	uint64_t low, high, mask = width == 64 ? UINT64_MAX : ((uint64_t)1 << width) - 1;
	if (width == 0)
		return 0;
	memcpy(bytes, from, size);
	memcpy(&low, bytes, 8);
	memcpy(&high, bytes + 8, 8);
	return (low >> shift | (shift > 0 ? high << (64 - shift) : 0)) & mask;
}

bool pq_delta_read(struct pq_delta *delta, uint32_t count, int64_t *to)
{
	if (count > delta->left)
		return false;
	uint32_t i = 0;
	if (delta->first && count > 0) {
		to[i++] = (int64_t)delta->last;
		delta->first = false;
		delta->left--;
	}
	while (i < count) {
		if (delta->mini_left == 0 && !next_mini(delta))
			return false;
		unsigned width = delta->widths[delta->mini_at];
		while (i < count && delta->mini_left > 0) {
			delta->last += delta->min_delta +
				unpack_one(delta->mini + delta->bit / 8, delta->end, delta->bit % 8, width);
			to[i++] = (int64_t)delta->last;
			delta->bit += width;
			delta->mini_left--;
			delta->left--;
		}
		if (delta->mini_left == 0)
			delta->mini_at++;
	}
	return true;
}

const uint8_t *pq_delta_end(const uint8_t *data, const uint8_t *end)
{
	struct pq_delta delta;
	if (!pq_delta_open(&delta, data, end))
		return NULL;
	if (delta.left > 0)
		delta.left--;
	while (delta.left > 0) {
		if (!next_mini(&delta))
			return NULL;
		delta.left -= delta.left < delta.mini_size ? delta.left : delta.mini_size;
		delta.mini_at++;
	}
	/* The widths of unneeded miniblocks are there, their bytes are not. */
	return delta.at;
}
