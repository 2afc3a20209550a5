/*
 * The durable log: what was acknowledged is here until the tables have it.
 *
 * The embedded log is a sequence of segment files shared by all streams and partitions, so that one
 * sync acknowledges everybody. Its unit is a block: 1 to BUS_BLOCK_EVENTS records of one (stream,
 * partition, channel, input, source file) that were received together. Within (stream, partition) offsets are
 * dense and begin at 0. A record is an event's payload or a rejected payload with its error.
 *
 * On disk (little-endian; the layout table stands in format.c): header with magic, sizes, stream, partition, base
 * offset, count, receive time, attributes and checksums; then one zstd frame of the payloads, each with a
 * 4-byte length before it (which is a Parquet PLAIN page of byte arrays); then the errors. A torn
 * tail is cut off on open; a damaged block in the middle is WEIR_E_CORRUPT with file and offset.
 *
 * There is no commit here: which offsets are in the tables is control's to say; release() then lets
 * segments go.
 */
#ifndef WEIR_BUS_BUS_H
#define WEIR_BUS_BUS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/os.h"
#include "base/time.h"
#include "codec/codec.h"

#define BUS_BLOCK_EVENTS 2048
#define BUS_BLOCK_BYTES  (1U << 20) /* of payloads, unless one event alone is larger */
#define BUS_EVENT_BYTES  (16U << 20)

/* ---- building a block, on any thread ---- */
struct bus_block;
struct bus_attributes {
	struct weir_str stream; /* at most 255 bytes each */
	uint32_t partition;
	struct weir_str channel;     /* "api", "batch", "file", "dlq" */
	struct weir_str input;       /* the input's name, "" where none */
	struct weir_str source_file; /* base name, "" where none; at most 1,024 bytes */
	uint64_t source_record;      /* ordinal in the file of the first record */
	int64_t received_us;
};
struct bus_block *bus_block_new(const struct bus_attributes *attributes);
void bus_block_free(struct bus_block *block);
/* False when full: seal this one and start another. error NULL: an event; else the JSON of what is wrong. An event or
 * an error larger than BUS_EVENT_BYTES fits no block: the caller refuses those before. */
bool bus_block_add(struct bus_block *block, struct weir_str payload, const struct weir_str *error);
uint32_t bus_block_count(const struct bus_block *block);
size_t bus_block_bytes(const struct bus_block *block);
/* The offset of its first record; valid once bus_append called done with status 0. */
uint64_t bus_block_base_offset(const struct bus_block *block);
/* Compresses; after it nothing can be added. */
int bus_block_seal(struct bus_block *block, struct codec_state *codecs, struct weir_error *err);

/* ---- the log ---- */
struct bus;
struct bus_options {
	const struct weir_os *os;
	const char *directory;
	uint64_t segment_bytes; /* 0: 64 MiB */
	uint64_t limit_bytes;   /* 0: 16 GiB; past it appends are WEIR_E_BUSY */
	struct weir_clock clock;
	bool no_thread; /* the caller drives it by bus_flush: for simulations */
};
int bus_open(const struct bus_options *options, struct bus **ret_bus, struct weir_error *err);
void bus_close(struct bus *bus); /* syncs what is queued */

/* Called once on the log's thread when the block is durable (status 0, base offset) or refused. err is valid during the
 * call. */
typedef void bus_done_fn(void *context, int status, uint64_t base_offset, const struct weir_error *err);
/* Queues sealed blocks that become durable together (one call to done for all: base_offset of the first). Blocks are
 * copied or written before done is called and stay the caller's. WEIR_E_BUSY when the queue (64 MiB) or the log is
 * full: done is not called. */
int bus_append(struct bus *bus, struct bus_block *const *blocks, uint32_t count, bus_done_fn *done, void *context,
	struct weir_error *err);
/* Waits; ret_base_offsets (may be NULL) gets one offset a block. */
int bus_append_wait(struct bus *bus, struct bus_block *const *blocks, uint32_t count, uint64_t *ret_base_offsets,
	struct weir_error *err);
int bus_flush(struct bus *bus, struct weir_error *err);
/* The offset that the next record of a partition gets; 0 for one that is not there. */
uint64_t bus_next_offset(struct bus *bus, struct weir_str stream, uint32_t partition);
/* Bytes held in segments. */
uint64_t bus_bytes(struct bus *bus);

/* A block as it was read: everything lives in the arena given. */
struct bus_record {
	struct weir_str payload;
	struct weir_str error; /* size 0: an event */
};
struct bus_read_block {
	struct bus_attributes attributes;
	uint64_t base_offset;
	uint32_t count;
	const struct bus_record *records;
	struct weir_str frame; /* the zstd frame as stored */
};
/* The block that holds `offset` of a partition (its base may be lower), verified. WEIR_E_NOT_FOUND at the end of
 * the log, or where it was released. */
int bus_read(struct bus *bus, struct weir_arena *arena, struct weir_str stream, uint32_t partition, uint64_t offset,
	struct bus_read_block *ret_block, struct weir_error *err);
/* The same view of a sealed block that is still in memory, given its base offset: what the shard is handed. Only the
 * array of records is in the arena; the bytes are the block's and live as long as it does. */
void bus_block_view(const struct bus_block *block, uint64_t base_offset, struct weir_arena *arena,
	struct bus_read_block *ret_block);
/* Records below offset are in the tables: segments that hold nothing else are deleted. To be told again after bus_open,
 * before the first append; an offset past the end moves the end there. */
int bus_release(
	struct bus *bus, struct weir_str stream, uint32_t partition, uint64_t upto_offset, struct weir_error *err);
/* For erasure: makes the bytes of released records go although newer ones share their segment. The segment being
 * written is closed if it holds a released block, and is deleted with the release of its last one (at once where there
 * is none). */
int bus_scrub(struct bus *bus, struct weir_error *err);

#endif
