/*
 * Snappy's blocks ("Snappy compressed format description", in the format's own repository), read.
 *
 * In: one block. Out: exactly as many bytes as its caller expects, or false. A block is the size of what it holds as
 * a varint of at most 32 bits, then elements, each begun by a byte whose two low bits say what it is:
 *
 *   low bits  what                    length                          then
 *   0         literal, up to 60       upper six bits + 1              the bytes
 *   0         literal, 60 to 63 here  in the next 1 to 4 bytes, + 1   the length, the bytes
 *   1         copy, near              bits 2 to 4, + 4                distance: bits 5 to 7, then a byte below them
 *   2         copy                    upper six bits + 1              distance in 2 bytes
 *   3         copy, far               upper six bits + 1              distance in 4 bytes
 *
 * All numbers are little-endian. A copy repeats what lies `distance` bytes back in the output, and may overlap itself.
 *
 * Why not the library's: most elements are of a few bytes, and what a branch costs is the time. Debian's build calls
 * memmove for each of them, which by itself took 38 % of reading wide texts in Parquet; here an element is two moves
 * of 16 bytes or four, whatever its length, and what they write too much the next element overwrites. That needs room
 * behind both ends; the last bytes of a block are read by a loop that takes every byte by itself (`finish`).
 *
 * Invariant: in `quick` an element begins only where IN_ROOM bytes can be read and OUT_ROOM bytes written, and none of
 * up to COPY_MAX bytes reads or writes more; a longer literal is held against both ends by itself.
 */
#include "codec/codec_int.h"

#define LITERAL_SHORT 60 /* the longest literal whose length is in its first byte */
#define COPY_MAX      64
#define MOVE          16
#define IN_ROOM       (1 + COPY_MAX)
#define OUT_ROOM      (2 * MOVE + COPY_MAX) /* `repeat` goes up to 2 * MOVE bytes before it moves 64 */

enum { LITERAL, COPY_NEAR, COPY, COPY_FAR };

struct cursor {
	const uint8_t *in, *in_end;
	uint8_t *out, *out_start, *out_end;
};

static inline void move16(uint8_t *to, const uint8_t *from)
{
	uint8_t held[MOVE];
	memcpy(held, from, sizeof held);
	memcpy(to, held, sizeof held);
}

/* 32 or 64 bytes for length of them; from lies MOVE bytes or more before to, or they do not overlap. */
static inline void move_up_to_64(uint8_t *to, const uint8_t *from, size_t length)
{
	move16(to, from);
	move16(to + 16, from + 16);
	if (length > 32) {
		move16(to + 32, from + 32);
		move16(to + 48, from + 48);
	}
}

/* A copy from fewer than MOVE bytes back: each move doubles how much of the repeated bytes lies behind. */
static inline void repeat(uint8_t *out, size_t distance, size_t length)
{
	const uint8_t *from = out - distance;
	if (distance == 1) {
		memset(out, *from, COPY_MAX);
		return;
	}
	uint8_t *end = out + length;
	while (out < end && out - from < MOVE) {
		size_t behind = out - from;
		move16(out, from);
		out += behind;
	}
	if (out < end)
		move_up_to_64(out, from, end - out);
}

/* A literal of any length behind its first byte: its length is read, then it is copied if it is there and fits. */
static bool long_literal(struct cursor *at, unsigned tag)
{
	size_t count = (tag >> 2) + 1, length_bytes = 0;
	if (count > LITERAL_SHORT) {
		length_bytes = count - LITERAL_SHORT;
		if ((size_t)(at->in_end - at->in) < length_bytes)
			return false;
		count = 1;
		for (size_t i = 0; i < length_bytes; i++)
			count += (size_t)at->in[i] << 8 * i;
	}
	at->in += length_bytes;
	if ((size_t)(at->in_end - at->in) < count || (size_t)(at->out_end - at->out) < count)
		return false;
	memcpy(at->out, at->in, count);
	at->in += count;
	at->out += count;
	return true;
}

/* All elements that begin with room at both ends; false where one is damaged. */
static bool quick(struct cursor *at)
{
	const uint8_t *in = at->in, *const in_end = at->in_end;
	uint8_t *out = at->out, *const out_end = at->out_end;
	while (in_end - in >= IN_ROOM && out_end - out >= OUT_ROOM) {
		unsigned tag = *in++;
		size_t length = (tag >> 2) + 1, distance;
		switch (tag & 3) {
		case LITERAL:
			if (length > LITERAL_SHORT) {
				at->in = in;
				at->out = out;
				if (!long_literal(at, tag))
					return false;
				in = at->in;
				out = at->out;
				continue;
			}
			move_up_to_64(out, in, length);
			in += length;
			out += length;
			continue;
		case COPY_NEAR:
			length = 4 + (tag >> 2 & 7);
			distance = (tag >> 5) << 8 | in[0];
			in += 1;
			break;
		case COPY:
			distance = weir_le16(in);
			in += 2;
			break;
		default:
			distance = weir_le32(in);
			in += 4;
		}
		/* One comparison for both: a distance of nothing becomes the largest. */
		if (distance - 1 >= (size_t)(out - at->out_start))
			return false;
		if (distance >= MOVE)
			move_up_to_64(out, out - distance, length);
		else
			repeat(out, distance, length);
		out += length;
	}
	at->in = in;
	at->out = out;
	return true;
}

/* The elements that are left, each byte by itself; false where one is damaged. */
static bool finish(struct cursor *at)
{
	while (at->in < at->in_end) {
		unsigned tag = *at->in++, kind = tag & 3;
		if (kind == LITERAL) {
			if (!long_literal(at, tag))
				return false;
			continue;
		}
		size_t length = kind == COPY_NEAR ? 4 + (tag >> 2 & 7) : (tag >> 2) + 1;
		size_t distance = kind == COPY_NEAR ? tag >> 5 : 0, distance_bytes = (size_t)1 << (kind - 1);
		if ((size_t)(at->in_end - at->in) < distance_bytes)
			return false;
		for (size_t i = distance_bytes; i > 0; i--)
			distance = distance << 8 | at->in[i - 1];
		at->in += distance_bytes;
		if (distance - 1 >= (size_t)(at->out - at->out_start) || (size_t)(at->out_end - at->out) < length)
			return false;
		for (size_t i = 0; i < length; i++, at->out++)
			*at->out = *(at->out - distance);
	}
	return true;
}

/* Past the varint that a block begins with, and its value; NULL: there is none, or it is larger than 32 bits. */
static const uint8_t *read_size(const uint8_t *in, const uint8_t *in_end, size_t *ret_size)
{
	uint64_t size = 0;
	for (unsigned shift = 0; shift < 35 && in < in_end; shift += 7) {
		size |= (uint64_t)(*in & 0x7f) << shift;
		if (*in++ < 0x80) {
			*ret_size = (size_t)size;
			return size <= UINT32_MAX ? in : NULL;
		}
	}
	return NULL;
}

bool codec_snappy_size(const void *data, size_t size_bytes, size_t *ret_size)
{
	return read_size(data, (const uint8_t *)data + size_bytes, ret_size) != NULL;
}

bool codec_snappy_exact(const void *data, size_t size_bytes, void *buffer, size_t expected_bytes)
{
	struct cursor at = {.in_end = (const uint8_t *)data + size_bytes,
		.out = buffer,
		.out_start = buffer,
		.out_end = (uint8_t *)buffer + expected_bytes};
	size_t size = 0;
	at.in = read_size(data, at.in_end, &size);
	return at.in != NULL && size == expected_bytes && quick(&at) && finish(&at) && at.out == at.out_end;
}
