/*
 * Inside the stream runtime: shards gather blocks into epochs (shard.c), an epoch at its end becomes
 * files (epoch.c), and the committer makes the outputs of all shards one transaction (commit.c).
 *
 *   submit -> shard queue -> [shard thread: take .. take .. close] -> output queue -> [committer thread]
 *
 * Invariants
 * - A shard takes each offset of its partitions once, in order; what the queue could not hold is read from the log.
 * - A shard has at most one output that is not committed, so memory is bounded by two epochs a shard.
 * - open_lsn of a shard is not above the number at which its uncommitted rows were evaluated.
 * - After a failure nothing more is committed (failed is set): a restart replays the log from the committed offsets.
 */
#ifndef WEIR_STREAM_INT_H
#define WEIR_STREAM_INT_H

#include <pthread.h>

#include "base/queue.h"
#include "column/builder.h"
#include "column/order.h"
#include "stream/dedup.h"
#include "stream/gold.h"
#include "stream/stream.h"

#define STREAM_QUEUE_BYTES    (32U << 20) /* a shard's queue */
#define STREAM_TRANSFORM_ROWS 65536
#define STREAM_TRACE_SIZE     12 /* "pp" and ten digits of the offset, hexadecimal: fits into a view */
#define STREAM_CHANNELS       16

/* Columns that the stream appends to the schema's for the silver transform. */
enum { STREAM_TRACE_ID, STREAM_RECEIVED_AT, STREAM_IS_LATE, STREAM_EXTRA_COLUMNS };

struct stream_counts {
	struct weir_str channel;
	uint64_t accepted, duplicates, dead_letters, late;
};

struct stream_range {
	uint32_t partition;
	uint64_t from, to;
	int64_t max_event_us; /* the watermark's base after it */
};

struct stream_letter {
	struct weir_view trace;
	int64_t failed_us;
	struct weir_str channel, type, field, message, source_file, payload;
	uint64_t source_record;
};

/* A block's events that passed the first checks: its columns and the appended ones. */
struct stream_input {
	struct stream_block *block;
	struct weir_batch *batch;
	uint16_t *record_of;
};

struct stream_epoch {
	struct weir_arena *arena;
	struct stream_input *inputs;
	uint32_t input_count, input_capacity;
	struct stream_letter *letters;
	uint32_t letter_count, letter_capacity;
	struct stream_range *ranges; /* one a partition of the shard */
	struct stream_counts counts[STREAM_CHANNELS];
	uint32_t count_count;
	struct stream_dedup *replayed; /* ids of channel dlq in this epoch; NULL: none yet */
	uint64_t rows, bytes, records;
	int64_t opened_us; /* steady; when its first block came */
};

/* What is written of one epoch, on its way to the commit. */
struct stream_output {
	struct stream_epoch *epoch; /* ranges and counts */
	struct ice_written bronze, silver, letters;
	struct ice_written *golds; /* one a gold table */
	uint64_t consent_lsn;
	uint64_t rows;
	char prefix[32];
	struct stream_shard *shard;
};

struct stream_partition {
	uint32_t number;
	uint64_t next;        /* the next offset to take */
	int64_t max_event_us; /* of live channels; INT64_MIN: none yet */
};

struct stream_shard {
	struct stream *stream;
	unsigned index;
	pthread_t thread;
	bool has_thread;
	struct weir_queue *queue;
	bool behind; /* atomic: a block was dropped, or a start: read the log */
	struct stream_partition *partitions;
	uint32_t partition_count;
	struct stream_dedup *dedup;
	struct stream_dedup *letters; /* refused records of files, for ever: a file read again adds no letter */
	struct sql_transform *transform;
	struct stream_gold *golds;
	struct stream_epoch *epoch;      /* being gathered; NULL: none */
	struct consent_binding *binding; /* of the last rules */
	uint64_t open_lsn;               /* atomic; UINT64_MAX: none */
	bool output_pending;             /* under stream->lock */
	char prefix[32];                 /* for the next epoch's files */
};

struct stream {
	struct stream_config config;
	const struct lake_stream *lake_stream;
	struct weir_arena *arena;
	struct json_decoder *decoder;
	struct weir_schema *input_schema;            /* the decoder's columns and the appended ones */
	uint32_t id_column, key_column, time_column; /* in the input schema */
	uint32_t raw_table, silver_table;            /* in the registry; UINT32_MAX: none */
	const struct weir_schema *silver_schema;
	uint32_t silver_id, silver_key, silver_trace; /* columns of the silver schema */
	struct weir_order silver_order;
	uint32_t gold_count;
	struct stream_shard *shards;
	unsigned shard_count;
	unsigned partition_count;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* committed moved, an output was taken, or failed */
	uint64_t *committed;    /* by partition; under lock */
	int64_t *watermarks;    /* by partition, of what is committed: max event time; under lock */
	int64_t *heard_us;      /* by partition, steady: when its last commit was, or the start; under lock */
	uint64_t *flush_to;     /* by partition; under lock: shards close at these offsets */
	bool stopping, failed;  /* atomic reads are fine */
	struct weir_error failure;
	struct weir_queue *outputs;
	pthread_t committer;
	bool has_committer;
	struct stream_numbers numbers; /* under lock */
	struct sql_transform *explain; /* its own connection; under lock */
};

/* ---- shard.c ---- */
int shard_run_once(struct stream_shard *shard, int64_t wait_us, bool *ret_did, struct weir_error *err);
int shard_close_epoch(struct stream_shard *shard, struct weir_error *err);
bool shard_due(struct stream_shard *shard);
void stream_fail(struct stream *stream, const struct weir_error *err);
void stream_trace(uint32_t partition, uint64_t offset, struct weir_view *ret_view);
bool stream_trace_parse(struct weir_str trace, uint32_t *ret_partition, uint64_t *ret_offset);
struct stream_counts *epoch_counts(struct stream_epoch *epoch, struct weir_str channel);
void epoch_letter(struct stream_epoch *epoch, const struct stream_letter *letter);
struct stream_epoch *epoch_new(struct stream_shard *shard);
void epoch_free(struct stream_epoch *epoch);
/* A decoded block from the log's records. */
int stream_block_from_log(struct stream *stream, uint32_t partition, uint64_t offset, struct stream_block **ret_block,
	struct weir_error *err);

/* The identity of an event: its id within its key. */
struct stream_id stream_row_id(const struct stream *stream, const struct weir_batch *batch, uint32_t row);
/* The identity of a refused record: its bytes. */
struct stream_id stream_letter_id(struct weir_str payload);

/* ---- restore.c ---- */
int shard_restore(struct stream_shard *shard, struct weir_error *err);
/* Which of these content ids are in the tables already (older than the window knows)? */
int shard_lookup_old(struct stream_shard *shard, struct stream_epoch *epoch, struct weir_error *err);

/* ---- epoch.c ---- */
int epoch_write(struct stream_shard *shard, struct stream_epoch *epoch, struct stream_output **ret_output,
	struct weir_error *err);
void output_free(struct stream_output *output);

/* ---- transform.c ---- */
/* Runs the silver transform over the epoch's inputs: *ret_batches (arena array) has one row for each event that it did not refuse;
 * refused ones became letters, and `refused` bits are set by (input, row). */
int epoch_transform(struct stream_shard *shard, struct stream_epoch *epoch, struct weir_batch ***ret_batches,
	uint32_t *ret_count, uint64_t **refused, struct weir_error *err);

/* ---- commit.c ---- */
int outputs_commit(struct stream *stream, struct stream_output **outputs, uint32_t count, struct weir_error *err);
void *committer_main(void *context);
void *shard_main(void *context);

#endif
