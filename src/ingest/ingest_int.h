/*
 * Inside the door: a packer collects what one request, or one piece of a file, gives (packer.c); readers
 * turn a document into events for it (document.c); ingest.c answers, file.c streams.
 *
 * A packer's life: packer_new, packer_event and packer_reject in order, packer_send. Sending seals the blocks, appends them to the log
 * together, and hands them to the stream when they are durable.
 */
#ifndef WEIR_INGEST_INT_H
#define WEIR_INGEST_INT_H

#include <pthread.h>

#include "format/device/device.h"
#include "format/json/json_events.h"
#include "ingest/ingest.h"
#include "stream/dedup.h"

#define INGEST_DOCUMENT_BYTES (1U << 30) /* of one document in memory, decompressed */
#define INGEST_TRACES_MAX     100000
#define INGEST_IDLE_CODECS    16
#define INGEST_REMEDY         "correct the event and send it again"

/* An input of the lake, ready to run. */
struct ingest_input {
	const struct lake_input *lake;
	pthread_mutex_t lock;            /* the transform runs one document at a time */
	struct sql_transform *transform; /* NULL: rows are events already, or the schema is known per document */
	struct weir_schema *relation;    /* device formats: the relation with the appended columns */
};

struct ingest_stream {
	const struct lake_stream *lake;
	struct stream *stream;
	const struct json_decoder *decoder;
	const struct weir_schema *schema;
	uint32_t id_column, key_column, time_column;
	struct ingest_input *inputs;
	bool *required; /* by column of the schema */
};

struct ingest {
	struct ingest_config config;
	struct weir_arena *arena;
	struct ingest_stream *streams;
	pthread_mutex_t lock;
	struct codec_state *codecs[INGEST_IDLE_CODECS]; /* under lock */
	unsigned codec_count;
};

/* One record in the order of the document. */
struct packed {
	struct weir_str payload; /* in the packer's arena */
	struct weir_str error;   /* JSON; size 0: an event */
	uint32_t row;            /* of the chunk's batch */
	uint32_t partition;
	uint32_t block, record; /* where it went */
};

struct chunk {
	struct weir_batch *batch;
	struct packed *records;
	uint32_t count;
};

struct packer {
	struct ingest *ingest;
	const struct ingest_stream *stream;
	struct weir_arena *arena;
	struct bus_attributes attributes; /* partition is set per block */
	struct weir_builder *builder;     /* the current chunk's rows */
	struct packed *records;           /* the current chunk's */
	uint32_t count;
	size_t bytes;
	struct chunk *chunks;
	uint32_t chunk_count, chunk_capacity;
	struct bus_block **blocks;
	struct stream_block **handed; /* one a block */
	uint32_t block_count, block_capacity, handed_capacity;
	struct stream_dedup *seen; /* ids of this request */
	struct ingest_result result;
	uint32_t error_capacity;
	bool want_traces;
	ingest_done_fn *done;
	void *context;
};

struct packer *packer_new(struct ingest *ingest, uint32_t stream, struct weir_str channel, struct weir_str input,
	struct weir_str source_file, uint64_t source_record);
void packer_free(struct packer *packer);
/* The builder's current row is an event with this payload. */
int packer_event(struct packer *packer, struct weir_str payload, struct weir_error *err);
/* A record that is refused: its payload and why. */
int packer_reject(struct packer *packer, struct weir_str payload, const char *type, const struct json_problem *problem,
	struct weir_error *err);
/* Takes the packer, whatever comes of it; done is called where 0 is returned. */
int packer_send(struct packer *take_packer, ingest_done_fn *done, void *context, struct weir_error *err);
/* A callback for json_decode with a packer as its context. */
int packer_json_event(
	void *context, struct weir_str payload, const struct json_problem *problem, struct weir_error *err);

/* ---- document.c ---- */
enum ingest_format { INGEST_JSON, INGEST_NDJSON, INGEST_CSV, INGEST_PARQUET, INGEST_FIT, INGEST_TCX, INGEST_GPX };

/* By name (less .gz), then by content type, then by the first bytes. False where nothing fits. */
bool ingest_format_find(
	struct weir_str filename, struct weir_str content_type, struct weir_str head, enum ingest_format *ret_format);
const char *ingest_format_name(enum ingest_format format);
/* The input that takes a document: those with `when` first, then in the lake's order. document may be only its head. */
int ingest_input_find(const struct ingest_stream *stream, enum ingest_format format, struct weir_str document,
	uint32_t *ret_input, struct weir_error *err);
/* Everything of one source into the packer; `flush` is called when the packer is full enough, and gives the next one (files). */
typedef int ingest_flush_fn(void *context, struct packer **packer, struct weir_error *err);
struct ingest_document {
	struct ingest *ingest;
	const struct ingest_stream *stream;
	uint32_t input;
	enum ingest_format format;
	struct weir_str name; /* for messages */
	const struct ingest_kv *set;
	uint32_t set_count;
	ingest_flush_fn *flush; /* NULL: one packer holds it all */
	void *flush_context;
};
/* A document in memory (JSON, NDJSON, or any format through a source over it). */
int ingest_document_json(
	const struct ingest_document *document, struct weir_str body, struct packer **packer, struct weir_error *err);
/* Row formats from a reader (CSV) or a source (Parquet, FIT, TCX, GPX). */
int ingest_document_csv(const struct ingest_document *document, struct weir_byte_reader reader, struct packer **packer,
	struct weir_error *err);
int ingest_document_source(const struct ingest_document *document, struct weir_byte_source source,
	struct packer **packer, struct weir_error *err);
/* What an input asks for and was not given, or was given and is not asked for: WEIR_E_INPUT. */
int ingest_check_set(const struct ingest_stream *stream, uint32_t input, const struct ingest_kv *set,
	uint32_t set_count, struct weir_error *err);
/* Bytes in memory as a stream of bytes. */
struct ingest_memory_reader {
	struct weir_str bytes;
	size_t at;
};
struct weir_byte_reader ingest_reader_of_memory(struct ingest_memory_reader *reader);
/* The result in an arena that outlives the packer. */
void ingest_result_copy(struct weir_arena *arena, const struct ingest_result *from, struct ingest_result *to);
/* base name of a path or URL-like name */
struct weir_str ingest_base_name(struct weir_str path);
/* The relation of an input: the format's columns, then content_id, source_file and what it asks for. */
struct weir_schema *ingest_relation(
	struct weir_arena *arena, const struct weir_schema *format, const struct lake_input *input);

#endif
