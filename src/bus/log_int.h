/* The log's inside: segments, partitions with their index, and the queue. */
#ifndef WEIR_BUS_LOG_INT_H
#define WEIR_BUS_LOG_INT_H

#include <pthread.h>

#include "bus/bus_int.h"

#define BUS_SEGMENT_BYTES     (64U << 20)
#define BUS_SEGMENT_BYTES_MAX (1U << 30) /* positions are 32 bits, and the last block may stand past the end */
#define BUS_LIMIT_BYTES       ((uint64_t)16 << 30)
#define BUS_QUEUE_BYTES       (64U << 20)
#define BUS_WRITE_BYTES       (1U << 20) /* blocks are gathered into writes of about this size */
#define BUS_PARTITIONS_MAX    65536
#define BUS_BUCKETS           256
#define BUS_IDLE_CODECS       4

struct bus_segment {
	uint32_t sequence;
	unsigned readers; /* reads in progress; the file is closed by the last when doomed */
	bool doomed;
	uint32_t live_blocks; /* not yet released */
	bool has_released;    /* holds a block that is */
	uint64_t size_bytes;  /* all of it durable */
	struct weir_file *file;
};

/* Where a block is. Partitions hold millions, so 16 bytes. */
struct bus_entry {
	uint64_t base_count; /* base_offset << 12 | count */
	uint32_t sequence;   /* of the segment */
	uint32_t position;
};

static inline uint64_t bus_entry_base(const struct bus_entry *entry)
{
	return entry->base_count >> 12;
}

static inline uint64_t bus_entry_end(const struct bus_entry *entry)
{
	return (entry->base_count >> 12) + (entry->base_count & 0xfff);
}

struct bus_partition {
	struct bus_partition *next; /* in its bucket */
	struct weir_str stream;     /* the bytes follow the struct */
	uint32_t partition;
	uint64_t next_offset;      /* durable */
	uint64_t assigned;         /* by the batch being written; the same as next_offset between batches */
	struct bus_entry *entries; /* sorted; those before first_entry are released */
	size_t first_entry, entry_count, entry_capacity;
};

struct bus_request {
	struct bus_request *next;
	struct bus_block *const *blocks;
	uint32_t count;
	uint32_t durable; /* how many of the blocks are */
	size_t bytes;
	bus_done_fn *done;
	void *context;
	uint64_t *offsets; /* count of them */
};

/*
 * `lock` guards everything that readers, callers and the log's thread share: queue, segments, partitions.
 * `commit_lock` is held by whoever writes: the log's thread, or bus_flush without one. Order: commit_lock, lock.
 */
struct bus {
	struct bus_options options;
	char *directory;
	pthread_t thread;
	pthread_mutex_t commit_lock, lock;
	pthread_cond_t queued;

	struct bus_request *first, *last;
	size_t queue_bytes;
	bool closing;

	struct bus_segment **segments; /* by sequence; the last is the one written to */
	size_t segment_count, segment_capacity;
	uint64_t total_bytes;
	bool must_roll; /* a roll failed half-way: its file may be there, so the segment before it takes no more */
	bool damaged; /* a write or sync failed: the last segment is cut to its size before anything else is written */

	struct bus_partition *buckets[BUS_BUCKETS];
	unsigned partition_count;

	struct codec_state *codecs[BUS_IDLE_CODECS];
	unsigned codec_count;

	struct weir_buf gathered; /* under commit_lock */
};

/* ---- segments.c: all need the lock where noted ---- */
int bus_segments_open(struct bus *bus, struct weir_error *err);
void bus_segments_close(struct bus *bus);
struct bus_segment *bus_segment_last(struct bus *bus);
/* Starts the next segment with a table of heads; durable. Under commit_lock. */
int bus_segment_roll(struct bus *bus, struct weir_error *err);
/* Brings the last segment back to what is durable. Under commit_lock. */
int bus_segment_repair(struct bus *bus, struct weir_error *err);
struct bus_segment *bus_segment_find(struct bus *bus, uint32_t sequence);
void bus_segment_unref(struct bus *bus, struct bus_segment *segment);
struct weir_str bus_segment_path(const struct bus *bus, uint32_t sequence, char buffer[4096]);
/* Deletes segments before the last that hold no live block. Under commit_lock. */
int bus_segments_sweep(struct bus *bus, struct weir_error *err);

/* ---- partitions.c: under lock ---- */
struct bus_partition *bus_partition_find(struct bus *bus, struct weir_str stream, uint32_t partition);
int bus_partition_get(struct bus *bus, struct weir_str stream, uint32_t partition, struct bus_partition **ret,
	struct weir_error *err);
void bus_partitions_free(struct bus *bus);
void bus_partition_index(
	struct bus_partition *partition, uint64_t base, uint32_t count, uint32_t sequence, uint32_t position);
const struct bus_entry *bus_partition_lookup(const struct bus_partition *partition, uint64_t offset);
/* Drops entries that end at or before upto; their segments have fewer live blocks. */
void bus_partition_release(struct bus *bus, struct bus_partition *partition, uint64_t upto);
/* The table of heads as a frame. */
uint32_t bus_heads_encode(struct bus *bus, struct weir_buf *out);
int bus_heads_decode(struct bus *bus, struct weir_str frame, uint32_t count, struct weir_error *err);

#endif
