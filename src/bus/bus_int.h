/* What the files of bus/ share: blocks in memory, and the header of a block on disk. */
#ifndef WEIR_BUS_BUS_INT_H
#define WEIR_BUS_BUS_INT_H

#include "bus/bus.h"

#define BUS_ZSTD_LEVEL \
	(-3) /* a block lives for seconds: a third of the time of level 1, for a tenth of an event more */
#define BUS_NAME_MAX        255
#define BUS_SOURCE_FILE_MAX 1024
#define BUS_HEADER_FIXED    80
#define BUS_HEADER_MAX      (BUS_HEADER_FIXED + 3 * BUS_NAME_MAX + BUS_SOURCE_FILE_MAX)
/* A block of many is cut at BUS_BLOCK_BYTES; a block of one holds an event and an error of BUS_EVENT_BYTES each. */
#define BUS_PAYLOADS_MAX (BUS_EVENT_BYTES + 4U * BUS_BLOCK_EVENTS)
#define BUS_ERRORS_MAX   (BUS_EVENT_BYTES + 8U * BUS_BLOCK_EVENTS)
#define BUS_FRAME_MAX    (BUS_PAYLOADS_MAX + (BUS_PAYLOADS_MAX >> 7) + 1024) /* zstd's bound and more */

struct bus_block {
	struct bus_attributes attributes; /* strings in arena */
	struct weir_arena *arena;
	struct weir_buf payloads; /* each after its length, u32 */
	struct weir_buf errors;   /* index u32, size u32, bytes */
	struct weir_buf frame;    /* payloads, compressed */
	size_t bytes;
	uint32_t count;
	bool sealed;
	uint64_t body_checksum;
	uint64_t base_offset; /* once it is durable */
};

/* The header, decoded. Strings borrow the bytes that it was decoded from. */
struct bus_header {
	struct bus_attributes attributes; /* stream "" : a table of heads, see format.c */
	uint64_t base_offset;
	uint32_t count;
	uint32_t header_bytes, frame_bytes, errors_bytes, payload_bytes;
	uint32_t durable_bytes; /* how much of the segment was known to be durable when this was written */
	uint64_t body_checksum;
};

static inline uint64_t bus_header_total(const struct bus_header *header)
{
	return (uint64_t)header->header_bytes + header->frame_bytes + header->errors_bytes;
}

/* seed: the segment's sequence number, so that a block is valid in its own segment only. */
void bus_header_encode(const struct bus_header *header, uint64_t seed, struct weir_buf *out);
/* False where the bytes are no valid header. size_bytes may be more than the header has. */
bool bus_header_decode(const void *data, size_t size_bytes, uint64_t seed, struct bus_header *ret_header);
uint64_t bus_body_checksum(struct weir_str frame, struct weir_str errors);
/* The header of a sealed block. */
struct bus_header bus_block_header(const struct bus_block *block, uint64_t base_offset, uint32_t durable_bytes);
/* Cuts decompressed payloads and errors into records (in arena). WEIR_E_CORRUPT where they do not fit the count. */
int bus_records_decode(struct weir_arena *arena, struct weir_str payloads, struct weir_str errors, uint32_t count,
	const struct bus_record **ret_records, struct weir_error *err);

#endif
