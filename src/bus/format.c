/*
 * Blocks: building them in memory, and their bytes in a segment. Little-endian.
 *
 *   at  size  what
 *    0     4  magic "WBK1"
 *    4     4  header_bytes: 80 + the four strings
 *    8     4  frame_bytes
 *   12     4  errors_bytes
 *   16     4  payload_bytes: the frame's content, decompressed
 *   20     4  count of records
 *   24     8  base_offset of the first record
 *   32     8  received_us
 *   40     8  source_record
 *   48     4  partition
 *   52     2  size of stream (0: a table of heads)
 *   54     2  size of channel
 *   56     2  size of input
 *   58     2  size of source_file
 *   60     4  durable_bytes: of this segment when the block was written
 *   64     8  XXH3-64 of frame and errors
 *   72     8  XXH3-64 of bytes 0..71 and the strings, seeded with the segment's sequence number
 *   80        stream, channel, input, source_file
 *             frame: one zstd frame of the payloads, each after its size (u32)
 *             errors: index of the record (u32, rising), size (u32), bytes
 *
 * A table of heads stands first in every segment but the first: partition by partition where its offsets go on,
 * so that they do even when all segments before are gone. Its frame is not compressed: size of stream (u16),
 * stream, partition (u32), next offset (u64), count times.
 */
#include "bus/bus_int.h"

#include <stdlib.h>

#include "base/hash.h"

#define MAGIC 0x314B4257U /* "WBK1" */

static struct weir_str copy_cut(struct weir_arena *arena, struct weir_str text, size_t limit)
{
	if (text.size > limit)
		text.size = limit;
	return weir_arena_str(arena, text);
}

struct bus_block *bus_block_new(const struct bus_attributes *attributes)
{
	WEIR_ASSERT(attributes->stream.size > 0 && attributes->stream.size <= BUS_NAME_MAX);
	struct bus_block *block = weir_zalloc(sizeof *block);
	block->arena = weir_arena_new(1024);
	block->attributes = *attributes;
	block->attributes.stream = weir_arena_str(block->arena, attributes->stream);
	block->attributes.channel = copy_cut(block->arena, attributes->channel, BUS_NAME_MAX);
	block->attributes.input = copy_cut(block->arena, attributes->input, BUS_NAME_MAX);
	block->attributes.source_file = copy_cut(block->arena, attributes->source_file, BUS_SOURCE_FILE_MAX);
	return block;
}

void bus_block_free(struct bus_block *block)
{
	if (block == NULL)
		return;
	weir_buf_done(&block->payloads);
	weir_buf_done(&block->errors);
	weir_buf_done(&block->frame);
	weir_arena_free(block->arena);
	free(block);
}

bool bus_block_add(struct bus_block *block, struct weir_str payload, const struct weir_str *error)
{
	WEIR_ASSERT(!block->sealed);
	if (payload.size > BUS_EVENT_BYTES || (error != NULL && error->size > BUS_EVENT_BYTES))
		return false;
	size_t more = payload.size + (error != NULL ? error->size : 0);
	if (block->count == BUS_BLOCK_EVENTS || (block->count > 0 && block->bytes + more > BUS_BLOCK_BYTES))
		return false;
	weir_buf_u32(&block->payloads, (uint32_t)payload.size);
	weir_buf_append(&block->payloads, payload.data, payload.size);
	if (error != NULL) {
		WEIR_ASSERT(error->size > 0);
		weir_buf_u32(&block->errors, block->count);
		weir_buf_u32(&block->errors, (uint32_t)error->size);
		weir_buf_append(&block->errors, error->data, error->size);
	}
	block->bytes += more;
	block->count++;
	return true;
}

uint32_t bus_block_count(const struct bus_block *block)
{
	return block->count;
}

uint64_t bus_block_base_offset(const struct bus_block *block)
{
	return block->base_offset;
}

size_t bus_block_bytes(const struct bus_block *block)
{
	return block->bytes;
}

int bus_block_seal(struct bus_block *block, struct codec_state *codecs, struct weir_error *err)
{
	WEIR_ASSERT(!block->sealed && block->count > 0);
	int status = codec_compress(
		codecs, CODEC_ZSTD, BUS_ZSTD_LEVEL, block->payloads.data, block->payloads.size, &block->frame, err);
	if (status != 0)
		return status;
	block->body_checksum = bus_body_checksum(weir_buf_str(&block->frame), weir_buf_str(&block->errors));
	block->sealed = true;
	return 0;
}

void bus_block_view(
	const struct bus_block *block, uint64_t base_offset, struct weir_arena *arena, struct bus_read_block *ret_block)
{
	WEIR_ASSERT(block->sealed);
	const struct bus_record *records;
	int status = bus_records_decode(
		arena, weir_buf_str(&block->payloads), weir_buf_str(&block->errors), block->count, &records, NULL);
	WEIR_ASSERT(status == 0);
	*ret_block = (struct bus_read_block){
		block->attributes, base_offset, block->count, records, weir_buf_str(&block->frame)};
}

/* ---- bytes ---- */

struct bus_header bus_block_header(const struct bus_block *block, uint64_t base_offset, uint32_t durable_bytes)
{
	return (struct bus_header){
		.attributes = block->attributes,
		.base_offset = base_offset,
		.count = block->count,
		.frame_bytes = (uint32_t)block->frame.size,
		.errors_bytes = (uint32_t)block->errors.size,
		.payload_bytes = (uint32_t)block->payloads.size,
		.durable_bytes = durable_bytes,
		.body_checksum = block->body_checksum,
	};
}

uint64_t bus_body_checksum(struct weir_str frame, struct weir_str errors)
{
	uint64_t checksum = weir_hash64(frame.data, frame.size);
	return errors.size > 0 ? weir_hash64_seeded(errors.data, errors.size, checksum) : checksum;
}

static uint64_t header_checksum(const char *data, size_t header_bytes, uint64_t seed)
{
	uint64_t fixed = weir_hash64_seeded(data, 72, seed);
	return weir_hash64_seeded(data + BUS_HEADER_FIXED, header_bytes - BUS_HEADER_FIXED, fixed);
}

static size_t strings_size(const struct bus_attributes *attributes)
{
	return attributes->stream.size + attributes->channel.size + attributes->input.size +
		attributes->source_file.size;
}

void bus_header_encode(const struct bus_header *header, uint64_t seed, struct weir_buf *out)
{
	const struct bus_attributes *attributes = &header->attributes;
	size_t start = out->size, size = BUS_HEADER_FIXED + strings_size(attributes);
	weir_buf_u32(out, MAGIC);
	weir_buf_u32(out, (uint32_t)size);
	weir_buf_u32(out, header->frame_bytes);
	weir_buf_u32(out, header->errors_bytes);
	weir_buf_u32(out, header->payload_bytes);
	weir_buf_u32(out, header->count);
	weir_buf_u64(out, header->base_offset);
	weir_buf_u64(out, (uint64_t)attributes->received_us);
	weir_buf_u64(out, attributes->source_record);
	weir_buf_u32(out, attributes->partition);
	weir_buf_u16(out, (uint16_t)attributes->stream.size);
	weir_buf_u16(out, (uint16_t)attributes->channel.size);
	weir_buf_u16(out, (uint16_t)attributes->input.size);
	weir_buf_u16(out, (uint16_t)attributes->source_file.size);
	weir_buf_u32(out, header->durable_bytes);
	weir_buf_u64(out, header->body_checksum);
	weir_buf_u64(out, 0); /* the checksum, below */
	weir_buf_append(out, attributes->stream.data, attributes->stream.size);
	weir_buf_append(out, attributes->channel.data, attributes->channel.size);
	weir_buf_append(out, attributes->input.data, attributes->input.size);
	weir_buf_append(out, attributes->source_file.data, attributes->source_file.size);
	uint64_t checksum = header_checksum(out->data + start, size, seed);
	for (unsigned i = 0; i < 8; i++)
		out->data[start + 72 + i] = (char)(checksum >> (8 * i));
}

bool bus_header_decode(const void *data, size_t size, uint64_t seed, struct bus_header *ret_header)
{
	const char *p = data;
	if (size < BUS_HEADER_FIXED || weir_le32(p) != MAGIC)
		return false;
	struct bus_header header = {
		.header_bytes = weir_le32(p + 4),
		.frame_bytes = weir_le32(p + 8),
		.errors_bytes = weir_le32(p + 12),
		.payload_bytes = weir_le32(p + 16),
		.count = weir_le32(p + 20),
		.base_offset = weir_le64(p + 24),
		.durable_bytes = weir_le32(p + 60),
		.body_checksum = weir_le64(p + 64),
	};
	if (header.header_bytes < BUS_HEADER_FIXED || header.header_bytes > BUS_HEADER_MAX ||
		header.header_bytes > size)
		return false;
	if (header_checksum(p, header.header_bytes, seed) != weir_le64(p + 72))
		return false;
	struct bus_attributes *attributes = &header.attributes;
	attributes->received_us = (int64_t)weir_le64(p + 32);
	attributes->source_record = weir_le64(p + 40);
	attributes->partition = weir_le32(p + 48);
	attributes->stream = (struct weir_str){p + BUS_HEADER_FIXED, weir_le16(p + 52)};
	attributes->channel = (struct weir_str){attributes->stream.data + attributes->stream.size, weir_le16(p + 54)};
	attributes->input = (struct weir_str){attributes->channel.data + attributes->channel.size, weir_le16(p + 56)};
	attributes->source_file = (struct weir_str){attributes->input.data + attributes->input.size, weir_le16(p + 58)};
	if (BUS_HEADER_FIXED + strings_size(attributes) != header.header_bytes)
		return false;
	if (header.frame_bytes > BUS_FRAME_MAX || header.errors_bytes > BUS_ERRORS_MAX ||
		header.payload_bytes > BUS_PAYLOADS_MAX)
		return false;
	if (attributes->stream.size > 0 && (header.count == 0 || header.count > BUS_BLOCK_EVENTS))
		return false;
	if (header.base_offset >= (uint64_t)1 << 52)
		return false;
	*ret_header = header;
	return true;
}

/* One (u32 size, bytes) at *position; false past the end. */
static bool take_sized(struct weir_str from, size_t *position, struct weir_str *ret)
{
	if (from.size - *position < 4)
		return false;
	uint32_t size = weir_le32(from.data + *position);
	if (size > from.size - *position - 4)
		return false;
	*ret = (struct weir_str){from.data + *position + 4, size};
	*position += 4 + (size_t)size;
	return true;
}

int bus_records_decode(struct weir_arena *arena, struct weir_str payloads, struct weir_str errors, uint32_t count,
	const struct bus_record **ret_records, struct weir_error *err)
{
	WEIR_ASSERT(count <= BUS_BLOCK_EVENTS);
	struct bus_record *records = weir_arena_calloc(arena, count, sizeof *records);
	size_t position = 0;
	for (uint32_t i = 0; i < count; i++)
		if (!take_sized(payloads, &position, &records[i].payload))
			return weir_fail(err, WEIR_E_CORRUPT, "payload %u of %u does not fit its block", i, count);
	if (position != payloads.size)
		return weir_fail(
			err, WEIR_E_CORRUPT, "%zu bytes are left after %u payloads", payloads.size - position, count);
	uint32_t least = 0;
	for (position = 0; position < errors.size;) {
		uint32_t index = errors.size - position >= 4 ? weir_le32(errors.data + position) : count;
		position += 4;
		if (index < least || index >= count || !take_sized(errors, &position, &records[index].error))
			return weir_fail(err, WEIR_E_CORRUPT, "the errors of a block of %u do not fit it", count);
		least = index + 1;
	}
	*ret_records = records;
	return 0;
}
