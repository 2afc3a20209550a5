/*
 * The log: callers queue sealed blocks; one thread takes all that wait, gives them their offsets, writes
 * them behind each other, syncs once, and tells everybody. See bus.h; segments.c for the files.
 *
 * A block is seen by readers, and its offset counted, only after the sync. When a write or sync fails, the
 * segment is cut back to what is durable before anything else is written, so that refused blocks cannot
 * come back; where that fails too, the callers hear WEIR_E_UNKNOWN and nothing is written until it has worked.
 */
#include <stdlib.h>

#include "bus/log_int.h"

/* ---- one batch (under commit_lock) ---- */

/* Where the write position of a batch is. */
struct batch {
	struct bus *bus;
	struct bus_segment *segment;
	uint64_t written; /* end of what was handed to the operating system */
	struct weir_buf *gathered;
};

/* A block that was written, to be indexed after the sync. */
struct placed {
	struct bus_request *request;
	struct bus_partition *partition;
	uint64_t base;
	uint32_t count, sequence, position;
};

struct placements {
	struct placed *items;
	size_t count, capacity;
};

static int write_gathered(struct batch *batch, struct weir_error *err)
{
	const struct weir_os *os = batch->bus->options.os;
	if (batch->gathered->size == 0)
		return 0;
	batch->bus->damaged = true; /* until the sync: the file is longer than what is durable */
	int status = os->write(
		os->self, batch->segment->file, batch->written, batch->gathered->data, batch->gathered->size, err);
	batch->written += batch->gathered->size;
	batch->gathered->size = 0;
	return status;
}

/* Everything written so far is durable; indexed and counted. */
static int sync_batch(struct batch *batch, struct placements *placements, struct weir_error *err)
{
	struct bus *bus = batch->bus;
	int status = write_gathered(batch, err);
	if (status == 0 && batch->written > batch->segment->size_bytes)
		status = bus->options.os->sync(bus->options.os->self, batch->segment->file, err);
	if (status != 0)
		return status;
	bus->damaged = false;
	pthread_mutex_lock(&bus->lock);
	bus->total_bytes += batch->written - batch->segment->size_bytes;
	batch->segment->size_bytes = batch->written;
	for (size_t i = 0; i < placements->count; i++) {
		const struct placed *placed = &placements->items[i];
		bus_partition_index(placed->partition, placed->base, placed->count, placed->sequence, placed->position);
		placed->partition->next_offset = placed->base + placed->count;
		placed->request->durable++;
		batch->segment->live_blocks++;
	}
	pthread_mutex_unlock(&bus->lock);
	placements->count = 0;
	return 0;
}

/* Goes on in a new segment; what the batch wrote so far becomes durable first. */
static int roll(struct batch *batch, struct placements *placements, struct weir_error *err)
{
	int status = sync_batch(batch, placements, err);
	if (status == 0)
		status = bus_segment_roll(batch->bus, err);
	if (status != 0)
		return status;
	batch->segment = bus_segment_last(batch->bus);
	batch->written = batch->segment->size_bytes;
	return 0;
}

static int place_block(struct batch *batch, struct bus_request *request, uint32_t index, struct placements *placements,
	struct weir_error *err)
{
	const struct bus_block *block = request->blocks[index];
	struct bus *bus = batch->bus;
	struct bus_partition *partition;
	pthread_mutex_lock(&bus->lock);
	int status = bus_partition_get(bus, block->attributes.stream, block->attributes.partition, &partition, err);
	pthread_mutex_unlock(&bus->lock);
	if (status != 0)
		return status;
	uint64_t end = batch->written + batch->gathered->size + BUS_HEADER_MAX + block->frame.size + block->errors.size;
	bool full = end > bus->options.segment_bytes && batch->segment->live_blocks + placements->count > 0;
	if (full || bus->must_roll)
		status = roll(batch, placements, err);
	if (status != 0)
		return status;
	uint64_t position = batch->written + batch->gathered->size;
	struct bus_header header = bus_block_header(block, partition->assigned, (uint32_t)batch->segment->size_bytes);
	bus_header_encode(&header, batch->segment->sequence, batch->gathered);
	weir_buf_append(batch->gathered, block->frame.data, block->frame.size);
	weir_buf_append(batch->gathered, block->errors.data, block->errors.size);
	WEIR_GROW(placements->items, placements->count, placements->capacity);
	placements->items[placements->count++] = (struct placed){
		request, partition, partition->assigned, block->count, batch->segment->sequence, (uint32_t)position};
	request->offsets[index] = partition->assigned;
	partition->assigned += block->count;
	return batch->gathered->size >= BUS_WRITE_BYTES ? write_gathered(batch, err) : 0;
}

/* After a failure: offsets that were given to blocks not durable are free again. */
static void take_offsets_back(struct bus *bus)
{
	for (size_t i = 0; i < BUS_BUCKETS; i++)
		for (struct bus_partition *at = bus->buckets[i]; at != NULL; at = at->next)
			at->assigned = at->next_offset;
}

static int write_requests(struct bus *bus, struct bus_request *requests, struct weir_error *err)
{
	struct placements placements = {0};
	struct batch batch = {.bus = bus, .gathered = &bus->gathered};
	int status = bus->damaged ? bus_segment_repair(bus, err) : 0;
	batch.segment = bus_segment_last(bus);
	batch.written = batch.segment->size_bytes;
	bus->gathered.size = 0;
	bool begun = status == 0;
	for (struct bus_request *at = requests; at != NULL && status == 0; at = at->next)
		for (uint32_t i = 0; i < at->count && status == 0; i++)
			status = place_block(&batch, at, i, &placements, err);
	if (status == 0)
		status = sync_batch(&batch, &placements, err);
	free(placements.items);
	if (status == 0 || !begun)
		return status;
	pthread_mutex_lock(&bus->lock);
	take_offsets_back(bus);
	pthread_mutex_unlock(&bus->lock);
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (bus->damaged && bus_segment_repair(bus, &ignored) != 0)
		return weir_error_wrap(err, WEIR_E_UNKNOWN, "it may or may not be in the log");
	return status;
}

/* What one caller hears of a batch. One that ended before a segment was full may be durable though the batch failed. */
static void answer(struct bus_request *request, int status, const struct weir_error *err)
{
	struct weir_error own = *err;
	if (request->durable == request->count && request->count > 0) {
		status = 0;
	} else if (request->durable > 0) {
		status = weir_error_wrap(&own, WEIR_E_UNKNOWN, "a part of it is in the log");
	}
	for (uint32_t i = 0; i < request->count && status == 0; i++)
		request->blocks[i]->base_offset = request->offsets[i];
	if (request->done != NULL)
		request->done(request->context, status, request->count > 0 ? request->offsets[0] : 0, &own);
}

/* Takes what is queued, writes it and answers. */
static int commit_queue(struct bus *bus, struct weir_error *err)
{
	pthread_mutex_lock(&bus->lock);
	struct bus_request *requests = bus->first;
	bus->first = bus->last = NULL;
	pthread_mutex_unlock(&bus->lock);
	if (requests == NULL)
		return 0;
	int status = write_requests(bus, requests, err);
	size_t bytes = 0;
	while (requests != NULL) {
		struct bus_request *next = requests->next;
		bytes += requests->bytes;
		answer(requests, status, err);
		free(requests);
		requests = next;
	}
	pthread_mutex_lock(&bus->lock);
	bus->queue_bytes -= bytes;
	pthread_mutex_unlock(&bus->lock);
	return status;
}

static void *log_main(void *context)
{
	struct bus *bus = context;
	for (;;) {
		pthread_mutex_lock(&bus->lock);
		while (bus->first == NULL && !bus->closing)
			pthread_cond_wait(&bus->queued, &bus->lock);
		bool end = bus->first == NULL;
		pthread_mutex_unlock(&bus->lock);
		if (end)
			return NULL;
		struct weir_error err = WEIR_ERROR_INIT;
		pthread_mutex_lock(&bus->commit_lock);
		commit_queue(bus, &err);
		pthread_mutex_unlock(&bus->commit_lock);
	}
}

/* ---- callers ---- */

static size_t stored_size(const struct bus_block *block)
{
	return BUS_HEADER_MAX + block->frame.size + block->errors.size;
}

/* offsets NULL: the request has its own. */
static int queue_request(struct bus *bus, struct bus_block *const *blocks, uint32_t count, uint64_t *offsets,
	bus_done_fn *done, void *context, struct weir_error *err)
{
	struct bus_request *request = weir_zalloc(sizeof *request + count * (sizeof *offsets + sizeof(*blocks)));
	uint64_t *own = (uint64_t *)(request + 1);
	struct bus_block **copy = (struct bus_block **)(own + count);
	*request = (struct bus_request){.blocks = copy, .count = count, .done = done, .context = context};
	request->offsets = offsets != NULL ? offsets : own;
	for (uint32_t i = 0; i < count; i++) {
		WEIR_ASSERT(blocks[i]->sealed);
		copy[i] = blocks[i];
		request->bytes += stored_size(blocks[i]);
	}
	pthread_mutex_lock(&bus->lock);
	WEIR_ASSERT(!bus->closing);
	bool fits = bus->queue_bytes == 0 || bus->queue_bytes + request->bytes <= BUS_QUEUE_BYTES;
	bool room = bus->total_bytes + bus->queue_bytes + request->bytes <= bus->options.limit_bytes;
	if (count == 0 || (fits && room)) {
		request->next = NULL;
		if (bus->first == NULL)
			bus->first = request;
		else
			bus->last->next = request;
		bus->last = request;
		bus->queue_bytes += request->bytes;
		pthread_cond_signal(&bus->queued);
		pthread_mutex_unlock(&bus->lock);
		return 0;
	}
	pthread_mutex_unlock(&bus->lock);
	free(request);
	if (!room)
		return weir_fail(err, WEIR_E_BUSY,
			"the log is full: the tables have not taken up what is in it; see what holds them up");
	return weir_fail(err, WEIR_E_BUSY, "more is waiting to be logged than fits in memory: try again");
}

int bus_append(struct bus *bus, struct bus_block *const *blocks, uint32_t count, bus_done_fn *done, void *context,
	struct weir_error *err)
{
	WEIR_ASSERT(count > 0);
	return queue_request(bus, blocks, count, NULL, done, context, err);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t finished;
	bool done;
	int status;
	struct weir_error err;
};

static void wake(void *context, int status, uint64_t base_offset, const struct weir_error *err)
{
	struct waiter *waiter = context;
	(void)base_offset;
	pthread_mutex_lock(&waiter->lock);
	waiter->done = true;
	waiter->status = status;
	waiter->err = *err;
	pthread_cond_signal(&waiter->finished);
	pthread_mutex_unlock(&waiter->lock);
}

static int append_and_wait(
	struct bus *bus, struct bus_block *const *blocks, uint32_t count, uint64_t *offsets, struct weir_error *err)
{
	struct waiter waiter = {.done = false};
	pthread_mutex_init(&waiter.lock, NULL);
	pthread_cond_init(&waiter.finished, NULL);
	int status = queue_request(bus, blocks, count, offsets, wake, &waiter, err);
	if (status == 0) {
		if (bus->options.no_thread) {
			struct weir_error ignored = WEIR_ERROR_INIT; /* the waiter has it */
			pthread_mutex_lock(&bus->commit_lock);
			commit_queue(bus, &ignored);
			pthread_mutex_unlock(&bus->commit_lock);
		}
		pthread_mutex_lock(&waiter.lock);
		while (!waiter.done)
			pthread_cond_wait(&waiter.finished, &waiter.lock);
		pthread_mutex_unlock(&waiter.lock);
		status = waiter.status;
		if (status != 0 && err != NULL)
			*err = waiter.err;
	}
	pthread_mutex_destroy(&waiter.lock);
	pthread_cond_destroy(&waiter.finished);
	return status;
}

int bus_append_wait(struct bus *bus, struct bus_block *const *blocks, uint32_t count, uint64_t *ret_base_offsets,
	struct weir_error *err)
{
	WEIR_ASSERT(count > 0);
	return append_and_wait(bus, blocks, count, ret_base_offsets, err);
}

int bus_flush(struct bus *bus, struct weir_error *err)
{
	return append_and_wait(bus, NULL, 0, NULL, err);
}

uint64_t bus_next_offset(struct bus *bus, struct weir_str stream, uint32_t partition)
{
	pthread_mutex_lock(&bus->lock);
	const struct bus_partition *found = bus_partition_find(bus, stream, partition);
	uint64_t next = found != NULL ? found->next_offset : 0;
	pthread_mutex_unlock(&bus->lock);
	return next;
}

uint64_t bus_bytes(struct bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	uint64_t bytes = bus->total_bytes;
	pthread_mutex_unlock(&bus->lock);
	return bytes;
}

int bus_release(
	struct bus *bus, struct weir_str stream, uint32_t partition, uint64_t upto_offset, struct weir_error *err)
{
	struct bus_partition *found;
	pthread_mutex_lock(&bus->commit_lock);
	pthread_mutex_lock(&bus->lock);
	int status = bus_partition_get(bus, stream, partition, &found, err);
	if (status == 0) {
		bus_partition_release(bus, found, upto_offset);
		if (upto_offset > found->next_offset)
			found->next_offset = found->assigned = upto_offset;
	}
	pthread_mutex_unlock(&bus->lock);
	if (status == 0)
		status = bus_segments_sweep(bus, err);
	pthread_mutex_unlock(&bus->commit_lock);
	return status;
}

int bus_scrub(struct bus *bus, struct weir_error *err)
{
	pthread_mutex_lock(&bus->commit_lock);
	int status = bus->damaged ? bus_segment_repair(bus, err) : 0;
	if (status == 0 && (bus->must_roll || bus_segment_last(bus)->has_released))
		status = bus_segment_roll(bus, err);
	if (status == 0)
		status = bus_segments_sweep(bus, err);
	pthread_mutex_unlock(&bus->commit_lock);
	return status;
}

/* ---- opening ---- */

static void free_bus(struct bus *bus)
{
	bus_segments_close(bus);
	bus_partitions_free(bus);
	for (unsigned i = 0; i < bus->codec_count; i++)
		codec_state_free(bus->codecs[i]);
	pthread_mutex_destroy(&bus->commit_lock);
	pthread_mutex_destroy(&bus->lock);
	pthread_cond_destroy(&bus->queued);
	weir_buf_done(&bus->gathered);
	free(bus->directory);
	free(bus);
}

int bus_open(const struct bus_options *options, struct bus **ret_bus, struct weir_error *err)
{
	if (strlen(options->directory) > 3072)
		return weir_fail(err, WEIR_E_LIMIT, "the path of the log's directory is longer than 3072 bytes");
	if (options->segment_bytes > BUS_SEGMENT_BYTES_MAX)
		return weir_fail(err, WEIR_E_LIMIT, "a segment of the log has at most %u bytes", BUS_SEGMENT_BYTES_MAX);
	struct bus *bus = weir_zalloc(sizeof *bus);
	bus->options = *options;
	bus->directory = weir_strdup(options->directory);
	bus->options.directory = bus->directory;
	bus->options.segment_bytes = options->segment_bytes > 0 ? options->segment_bytes : BUS_SEGMENT_BYTES;
	bus->options.limit_bytes = options->limit_bytes > 0 ? options->limit_bytes : BUS_LIMIT_BYTES;
	pthread_mutex_init(&bus->commit_lock, NULL);
	pthread_mutex_init(&bus->lock, NULL);
	pthread_cond_init(&bus->queued, NULL);
	int status = bus_segments_open(bus, err);
	if (status == 0 && !options->no_thread && pthread_create(&bus->thread, NULL, log_main, bus) != 0)
		status = weir_fail(err, WEIR_E_NO_MEMORY, "cannot start the log's thread");
	if (status != 0) {
		free_bus(bus);
		return status;
	}
	*ret_bus = bus;
	return 0;
}

void bus_close(struct bus *bus)
{
	if (bus == NULL)
		return;
	struct weir_error ignored = WEIR_ERROR_INIT; /* each caller has heard its own */
	pthread_mutex_lock(&bus->lock);
	bus->closing = true;
	pthread_cond_signal(&bus->queued);
	pthread_mutex_unlock(&bus->lock);
	if (bus->options.no_thread)
		commit_queue(bus, &ignored);
	else
		pthread_join(bus->thread, NULL);
	free_bus(bus);
}
