/*
 * Segment files: opening, the torn tail, rolling, deleting.
 *
 * Invariants:
 *   1. Every segment but the last is durable and whole: the last is synced before the next is made.
 *   2. size_bytes of the last is durable, and nothing that counts stands after it.
 *   3. Opening writes the tail anew and syncs it: after kill -9 it may be in the page cache only, and what
 *      readers are shown here must still be there after a power cut. (A sync alone would not do: where an earlier
 *      one failed, Linux takes the pages for clean.)
 *   4. A block tells how much of its segment was durable when it was written. An invalid place is the torn tail
 *      of the last segment unless a later block says that it was durable: then it is damage, and nothing is cut.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/log_int.h"

#define NAME_FORMAT  "%010u.log"
#define NAME_SIZE    14
#define SEARCH_BYTES (1U << 20) /* read at a time when looking for blocks after an invalid place */

struct weir_str bus_segment_path(const struct bus *bus, uint32_t sequence, char buffer[4096])
{
	int size = snprintf(buffer, 4096, "%s/" NAME_FORMAT, bus->directory, sequence);
	WEIR_ASSERT(size > 0 && size < 4096);
	return (struct weir_str){buffer, (size_t)size};
}

struct bus_segment *bus_segment_last(struct bus *bus)
{
	return bus->segments[bus->segment_count - 1];
}

static void add_segment(struct bus *bus, struct bus_segment *segment)
{
	WEIR_GROW(bus->segments, bus->segment_count, bus->segment_capacity);
	bus->segments[bus->segment_count++] = segment;
}

struct bus_segment *bus_segment_find(struct bus *bus, uint32_t sequence)
{
	size_t low = 0, high = bus->segment_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (bus->segments[middle]->sequence < sequence)
			low = middle + 1;
		else
			high = middle;
	}
	return low < bus->segment_count && bus->segments[low]->sequence == sequence ? bus->segments[low] : NULL;
}

static void close_segment(struct bus *bus, struct bus_segment *segment)
{
	if (segment->file != NULL)
		bus->options.os->close(bus->options.os->self, segment->file, NULL);
	free(segment);
}

void bus_segment_unref(struct bus *bus, struct bus_segment *segment)
{
	WEIR_ASSERT(segment->readers > 0);
	if (--segment->readers == 0 && segment->doomed)
		close_segment(bus, segment);
}

/* ---- opening ---- */

/* A segment while it is scanned. */
struct scan {
	struct bus *bus;
	struct bus_segment *segment;
	uint64_t file_bytes;
	uint64_t durable_bytes; /* what the last block says */
	bool last;
	struct weir_buf bytes;
	struct weir_str path;
};

static int damaged(const struct scan *scan, uint64_t at, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_CORRUPT, scan->path, at,
		"a block of the log is damaged; restore the file, or move it away to go on without its events");
}

static int read_at(const struct scan *scan, uint64_t at, void *buffer, size_t size, struct weir_error *err)
{
	const struct weir_os *os = scan->bus->options.os;
	return os->read(os->self, scan->segment->file, at, buffer, size, err);
}

/* Reads the header at `at`; its strings borrow scan->bytes. *ret_valid false where there is none. */
static int read_header(
	struct scan *scan, uint64_t at, struct bus_header *ret_header, bool *ret_valid, struct weir_error *err)
{
	uint64_t left = scan->file_bytes - at;
	size_t size = left < BUS_HEADER_MAX ? (size_t)left : BUS_HEADER_MAX;
	scan->bytes.size = 0;
	weir_buf_reserve(&scan->bytes, BUS_HEADER_MAX);
	int status = read_at(scan, at, scan->bytes.data, size, err);
	if (status != 0)
		return status;
	*ret_valid = bus_header_decode(scan->bytes.data, size, scan->segment->sequence, ret_header) &&
		bus_header_total(ret_header) <= left;
	return 0;
}

/* Reads and verifies a body into buf. */
static int read_body(struct scan *scan, uint64_t at, const struct bus_header *header, struct weir_buf *body,
	bool *ret_valid, struct weir_error *err)
{
	size_t size = (size_t)header->frame_bytes + header->errors_bytes;
	body->size = 0;
	weir_buf_reserve(body, size);
	int status = read_at(scan, at + header->header_bytes, body->data, size, err);
	if (status != 0)
		return status;
	body->size = size;
	struct weir_str frame = {body->data, header->frame_bytes};
	struct weir_str errors = {body->data + header->frame_bytes, header->errors_bytes};
	*ret_valid = bus_body_checksum(frame, errors) == header->body_checksum;
	return 0;
}

/* Counts the block at `at` in: a table of heads, or records of a partition. */
static int take_block(struct scan *scan, uint64_t at, const struct bus_header *header, const struct weir_buf *body,
	struct weir_error *err)
{
	struct bus *bus = scan->bus;
	const struct bus_attributes *attributes = &header->attributes;
	if (attributes->stream.size == 0) {
		struct weir_str frame = {body->data, header->frame_bytes};
		int status = bus_heads_decode(bus, frame, header->count, err);
		return weir_error_in(err, status, scan->path);
	}
	struct bus_partition *partition;
	int status = bus_partition_get(bus, attributes->stream, attributes->partition, &partition, err);
	if (status != 0)
		return status;
	/* Higher than expected: what was between has been released. Lower: two blocks hold one offset. */
	if (header->base_offset < partition->next_offset)
		return weir_fail_at(err, WEIR_E_CORRUPT, scan->path, at, "offset %llu of %.*s/%u is in the log twice",
			(unsigned long long)header->base_offset, WEIR_STR_ARG(attributes->stream),
			attributes->partition);
	bus_partition_index(partition, header->base_offset, header->count, scan->segment->sequence, (uint32_t)at);
	partition->next_offset = partition->assigned = header->base_offset + header->count;
	scan->segment->live_blocks++;
	return 0;
}

/* Whether a block after the invalid place at `at` says that this place was durable. */
static int was_durable(struct scan *scan, uint64_t at, bool *ret_durable, struct weir_error *err)
{
	struct weir_buf chunk = WEIR_BUF_INIT;
	int status = 0;
	*ret_durable = false;
	for (uint64_t from = at + 1; from < scan->file_bytes && status == 0 && !*ret_durable;) {
		uint64_t left = scan->file_bytes - from;
		size_t size = left < SEARCH_BYTES ? (size_t)left : SEARCH_BYTES;
		chunk.size = 0;
		weir_buf_reserve(&chunk, size);
		status = read_at(scan, from, chunk.data, size, err);
		for (size_t i = 0; status == 0 && i < size && !*ret_durable; i++) {
			struct bus_header header;
			const char *candidate = memchr(chunk.data + i, 'W', size - i);
			if (candidate == NULL)
				break;
			i = (size_t)(candidate - chunk.data);
			*ret_durable = bus_header_decode(candidate, size - i, scan->segment->sequence, &header) &&
				header.durable_bytes > at;
		}
		/* Chunks overlap by a header, so that none is cut in two. */
		from += left <= SEARCH_BYTES ? left : SEARCH_BYTES - BUS_HEADER_MAX;
	}
	weir_buf_done(&chunk);
	return status;
}

/* The file goes on past the last valid block at `at`: cut it there, or say that it is damaged. */
static int cut_tail(struct scan *scan, uint64_t at, struct weir_error *err)
{
	bool durable = true;
	int status = scan->last ? was_durable(scan, at, &durable, err) : 0;
	if (status != 0)
		return status;
	if (durable)
		return damaged(scan, at, err);
	const struct weir_os *os = scan->bus->options.os;
	return os->truncate(os->self, scan->segment->file, at, err);
}

static int scan_segment(struct scan *scan, struct weir_error *err)
{
	struct weir_buf body = WEIR_BUF_INIT;
	uint64_t at = 0;
	int status = 0;
	while (at < scan->file_bytes) {
		struct bus_header header;
		bool valid;
		status = read_header(scan, at, &header, &valid, err);
		/* Bodies of whole segments are verified when they are read. */
		if (status == 0 && valid && (scan->last || header.attributes.stream.size == 0))
			status = read_body(scan, at, &header, &body, &valid, err);
		if (status == 0 && valid)
			status = take_block(scan, at, &header, &body, err);
		else if (status == 0)
			status = cut_tail(scan, at, err);
		if (status != 0 || !valid)
			break;
		at += bus_header_total(&header);
		scan->durable_bytes = header.durable_bytes;
	}
	scan->segment->size_bytes = at;
	weir_buf_done(&body);
	return status;
}

/* Writes what was not known to be durable over itself, and syncs it. */
static int rewrite_tail(struct scan *scan, struct weir_error *err)
{
	const struct weir_os *os = scan->bus->options.os;
	struct weir_buf chunk = WEIR_BUF_INIT;
	uint64_t end = scan->segment->size_bytes;
	int status = 0;
	for (uint64_t at = scan->durable_bytes; at < end && status == 0;) {
		size_t size = end - at < BUS_WRITE_BYTES ? (size_t)(end - at) : BUS_WRITE_BYTES;
		chunk.size = 0;
		weir_buf_reserve(&chunk, size);
		status = read_at(scan, at, chunk.data, size, err);
		if (status == 0)
			status = os->write(os->self, scan->segment->file, at, chunk.data, size, err);
		at += size;
	}
	weir_buf_done(&chunk);
	return status == 0 ? os->sync(os->self, scan->segment->file, err) : status;
}

static int open_segment(struct bus *bus, uint32_t sequence, bool last, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	char path[4096];
	struct bus_segment *segment = weir_zalloc(sizeof *segment);
	struct scan scan = {.bus = bus, .segment = segment, .last = last};
	segment->sequence = sequence;
	scan.path = bus_segment_path(bus, sequence, path);
	int status = os->open(os->self, path, last ? WEIR_OPEN_READ_WRITE : WEIR_OPEN_READ, &segment->file, err);
	if (status == 0)
		status = os->size(os->self, segment->file, &scan.file_bytes, err);
	if (status == 0 && scan.file_bytes > UINT32_MAX)
		status = weir_fail_at(err, WEIR_E_CORRUPT, scan.path, 0, "a segment of the log is never that large");
	/* Known to the bus before it is scanned: releasing looks it up. */
	add_segment(bus, segment);
	if (status == 0)
		status = scan_segment(&scan, err);
	if (status == 0 && last)
		status = rewrite_tail(&scan, err);
	weir_buf_done(&scan.bytes);
	return status;
}

struct found {
	uint32_t *sequences;
	size_t count, capacity;
};

static int find_segment(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err)
{
	struct found *found = context;
	uint64_t sequence;
	(void)err;
	if (info->is_directory || strlen(name) != NAME_SIZE || strcmp(name + NAME_SIZE - 4, ".log") != 0 ||
		!weir_str_to_u64((struct weir_str){name, NAME_SIZE - 4}, &sequence) || sequence > UINT32_MAX)
		return 0;
	WEIR_GROW(found->sequences, found->count, found->capacity);
	found->sequences[found->count++] = (uint32_t)sequence;
	return 0;
}

static int by_sequence(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

void bus_segments_close(struct bus *bus)
{
	for (size_t i = 0; i < bus->segment_count; i++) {
		WEIR_ASSERT(bus->segments[i]->readers == 0);
		close_segment(bus, bus->segments[i]);
	}
	free(bus->segments);
}

/* ---- writing ---- */

/* The table of heads at the start of a new segment. */
static int write_heads(struct bus *bus, struct bus_segment *segment, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	struct weir_buf frame = WEIR_BUF_INIT, block = WEIR_BUF_INIT;
	pthread_mutex_lock(&bus->lock);
	uint32_t count = bus_heads_encode(bus, &frame);
	pthread_mutex_unlock(&bus->lock);
	struct bus_header header = {
		.attributes.stream = {"", 0},
		.count = count,
		.frame_bytes = (uint32_t)frame.size,
		.body_checksum = bus_body_checksum(weir_buf_str(&frame), (struct weir_str){"", 0}),
	};
	bus_header_encode(&header, segment->sequence, &block);
	weir_buf_append(&block, frame.data, frame.size);
	int status = os->write(os->self, segment->file, 0, block.data, block.size, err);
	if (status == 0)
		status = os->sync(os->self, segment->file, err);
	if (status == 0)
		segment->size_bytes = block.size;
	weir_buf_done(&frame);
	weir_buf_done(&block);
	return status;
}

int bus_segment_roll(struct bus *bus, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	char path[4096];
	struct bus_segment *segment = weir_zalloc(sizeof *segment);
	segment->sequence = bus->segment_count > 0 ? bus_segment_last(bus)->sequence + 1 : 1;
	bus_segment_path(bus, segment->sequence, path);
	/* What an attempt that failed left behind is taken over: the number must not be skipped while it is there. */
	int status = os->open(os->self, path, WEIR_OPEN_READ_WRITE, &segment->file, err);
	bus->must_roll = true;
	if (status == 0)
		status = os->truncate(os->self, segment->file, 0, err);
	if (status == 0)
		status = write_heads(bus, segment, err);
	if (status == 0)
		status = os->sync_dir(os->self, bus->directory, err);
	if (status != 0) {
		close_segment(bus, segment);
		return status;
	}
	pthread_mutex_lock(&bus->lock);
	add_segment(bus, segment);
	bus->total_bytes += segment->size_bytes;
	pthread_mutex_unlock(&bus->lock);
	bus->must_roll = false;
	return 0;
}

int bus_segments_open(struct bus *bus, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	struct found found = {0};
	int status = os->mkdir(os->self, bus->directory, err);
	if (status == 0)
		status = os->list(os->self, bus->directory, find_segment, &found, err);
	if (found.count > 1)
		qsort(found.sequences, found.count, sizeof *found.sequences, by_sequence);
	for (size_t i = 0; i < found.count && status == 0; i++)
		status = open_segment(bus, found.sequences[i], i + 1 == found.count, err);
	/* The last one's name may not be durable yet, and it is about to be trusted. */
	if (status == 0 && found.count > 0)
		status = os->sync_dir(os->self, bus->directory, err);
	if (status == 0 && found.count == 0)
		status = bus_segment_roll(bus, err);
	/* Cut off while its table of heads was written; all segments that the table sums up are still there. */
	else if (status == 0 && bus_segment_last(bus)->size_bytes == 0)
		status = write_heads(bus, bus_segment_last(bus), err);
	bus->total_bytes = 0;
	for (size_t i = 0; i < bus->segment_count; i++)
		bus->total_bytes += bus->segments[i]->size_bytes;
	free(found.sequences);
	return status;
}

int bus_segment_repair(struct bus *bus, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	struct bus_segment *last = bus_segment_last(bus);
	int status = os->truncate(os->self, last->file, last->size_bytes, err);
	if (status == 0)
		status = os->sync(os->self, last->file, err);
	bus->damaged = status != 0;
	return status;
}

int bus_segments_sweep(struct bus *bus, struct weir_error *err)
{
	const struct weir_os *os = bus->options.os;
	bool removed = false;
	int status = 0;
	for (size_t i = 0; i + 1 < bus->segment_count && status == 0;) {
		struct bus_segment *segment = bus->segments[i];
		char path[4096];
		if (segment->live_blocks > 0) {
			i++;
			continue;
		}
		bus_segment_path(bus, segment->sequence, path);
		status = os->unlink(os->self, path, err);
		if (status == WEIR_E_NOT_FOUND)
			status = 0; /* an earlier sweep did that and failed later */
		if (status != 0)
			break;
		removed = true;
		pthread_mutex_lock(&bus->lock);
		memmove(&bus->segments[i], &bus->segments[i + 1], (--bus->segment_count - i) * sizeof *bus->segments);
		bus->total_bytes -= segment->size_bytes;
		segment->doomed = true;
		segment->readers++;
		bus_segment_unref(bus, segment);
		pthread_mutex_unlock(&bus->lock);
	}
	return status == 0 && removed ? os->sync_dir(os->self, bus->directory, err) : status;
}
