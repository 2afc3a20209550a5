/*
 * The stream runtime: acknowledged blocks of one stream -> epochs -> tables.
 *
 * Shards (threads) drop duplicates, flag late rows and refuse the impossible; at the end of an epoch each runs
 * the silver transform, sorts once, evaluates consent once and encodes its files; the committer makes them durable
 * together and moves table pointers, offsets, counters and consent numbers in one control transaction.
 * docs/ARCHITECTURE.md, "The life of an event".
 */
#ifndef WEIR_STREAM_STREAM_H
#define WEIR_STREAM_STREAM_H

#include "base/log.h"
#include "base/time.h"
#include "bus/bus.h"
#include "consent/consent.h"
#include "format/json/json_events.h"
#include "iceberg/registry.h"
#include "lake/lake.h"
#include "sql/sql.h"

struct stream;

/* An acknowledged block on its way to a shard: what the log holds, and its events decoded once at the door. */
struct stream_block {
	struct weir_arena *arena;  /* owns everything here but batch */
	struct bus_read_block log; /* attributes, base offset, records */
	struct weir_batch *batch;  /* events in order; NULL where there is none */
	uint16_t *record_of;       /* batch row -> record of the block */
};
void stream_block_free(struct stream_block *block);

struct stream_config {
	const struct lake *lake;
	uint32_t stream; /* index in the lake */
	struct bus *bus;
	struct control *control;
	struct ice_registry
		*registry; /* table i of the lake is table i of the registry; dead letters: dead_letters_table */
	uint32_t dead_letters_table;
	struct consent *const *consents;
	struct sql *sql; /* the transforms' instance */
	struct weir_clock clock;
	const struct weir_log *log;
	unsigned shard_count; /* 0: as many as cores */
	bool no_thread;       /* the caller drives it by stream_step */
};
int stream_open(const struct stream_config *config, struct stream **ret_stream, struct weir_error *err);
void stream_close(struct stream *take_stream); /* closes the epoch and commits it */

/* The decoder of the stream's schema, compiled once; shared with the door. */
const struct json_decoder *stream_decoder(const struct stream *stream);
/* What a silver transform sees: the schema's columns, then trace_id, received_at and is_late. In arena. */
struct weir_schema *stream_input_schema(struct weir_arena *arena, const struct json_decoder *decoder);
/* The partition of a key. */
uint32_t stream_partition(const struct stream *stream, struct weir_str key);
/* Hands over a durable block. Never waits; where the queue is full the block is dropped and its shard reads it from the log later. */
void stream_submit(struct stream *stream, struct stream_block *take_block);
/* False where the queues are so full that a new request should be refused (503). */
bool stream_has_room(struct stream *stream);
/* True where a shard's queue is over half full: background work yields. */
bool stream_is_busy(struct stream *stream);
/* Waits until everything that the log held at the call is committed. */
int stream_flush(struct stream *stream, struct weir_error *err);
/* Runs shards and commits what is there on the caller's thread (no_thread); *ret_did false where nothing was to do. */
int stream_step(struct stream *stream, bool close_epoch, bool *ret_did, struct weir_error *err);

/* The lowest consent number of epochs that are evaluated and not yet committed; UINT64_MAX where there is none. A task
 * of a newer number may be finished only when this is not below it. */
uint64_t stream_oldest_open_lsn(struct stream *stream);

struct stream_numbers {
	uint64_t accepted, duplicates, dead_letters, late; /* since the start, committed or not */
	uint64_t committed_rows, epochs;
	uint64_t queued_bytes;
	int64_t watermark_us; /* INT64_MIN: none yet */
	int64_t commit_us_last;
	bool failed;         /* nothing more is committed until a restart */
	uint64_t log_behind; /* records acknowledged and not yet committed */
};
struct stream_numbers stream_numbers(struct stream *stream);
/* The silver row of one event (JSON), for explain: *ret_batch has one row; release it. */
int stream_silver_of(
	struct stream *stream, struct weir_str event, struct weir_batch **ret_batch, struct weir_error *err);
/* Schema of the silver relation, and of gold as the table has it. */
const struct weir_schema *stream_silver_schema(const struct stream *stream);

#endif
