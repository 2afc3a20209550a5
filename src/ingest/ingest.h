/*
 * The door: what comes in by a request or a file is split, mapped by its input's SQL, decoded and
 * validated once, packed into log blocks by partition, and acknowledged when the log is synced.
 * A bad event is a record of the log too (and becomes a dead letter); the good ones of the same
 * document go in. Thread-safe.
 */
#ifndef WEIR_INGEST_INGEST_H
#define WEIR_INGEST_INGEST_H

#include "base/arena.h"
#include "base/json.h"
#include "bus/bus.h"
#include "lake/lake.h"
#include "sql/sql.h"
#include "stream/stream.h"

struct ingest;

struct ingest_config {
	const struct lake *lake;
	struct bus *bus;
	struct sql *sql;               /* the transforms' instance, lookups loaded */
	struct stream *const *streams; /* one a stream of the lake, in its order */
	struct weir_clock clock;
};
/* Compiles schemas and inputs' SQL; errors name file and line. */
int ingest_open(const struct ingest_config *config, struct ingest **ret_ingest, struct weir_error *err);
void ingest_close(struct ingest *ingest);

struct ingest_kv {
	struct weir_str key, value;
};

struct ingest_request {
	uint32_t stream;
	struct weir_str channel;  /* "api", "batch", "file", "dlq" */
	struct weir_str body;     /* decompressed already where Content-Encoding said so; borrowed during the call */
	struct weir_str filename; /* with its extensions, ".gz" too; "" where none */
	struct weir_str content_type; /* "" where none */
	const struct ingest_kv *set;  /* what inputs ask for */
	uint32_t set_count;
	bool events_only; /* POST /api/ingest: one JSON event, an array or NDJSON; no inputs */
};

/* One thing that was wrong; texts live as long as the result. */
struct ingest_error {
	uint32_t index;
	struct weir_str event_id, field, value;
	const char *problem, *remedy;
};

#define INGEST_ERRORS_MAX 1000 /* of a request that are named; all are counted */

struct ingest_result {
	uint64_t accepted, duplicates, rejected;
	struct weir_str *trace_ids; /* of accepted events, in order; NULL beyond 100,000 events */
	uint32_t trace_count;
	struct ingest_error *errors;
	uint32_t error_count;
};

/* Called once, on the log's thread, when everything of the request is durable, or nothing was acknowledged
 * (status < 0). result is borrowed during the call. */
typedef void ingest_done_fn(
	void *context, int status, const struct ingest_result *result, const struct weir_error *err);
/* Decodes on the caller's thread. An error return (unparsable WEIR_E_INPUT, log full WEIR_E_BUSY, ...) means that done is not called. */
int ingest_post(struct ingest *ingest, const struct ingest_request *request, ingest_done_fn *done, void *context,
	struct weir_error *err);
/* The same, waiting. The result lives in arena. */
int ingest_post_wait(struct ingest *ingest, const struct ingest_request *request, struct weir_arena *arena,
	struct ingest_result *ret_result, struct weir_error *err);

struct ingest_progress {
	uint64_t bytes_done, bytes_total; /* of the file */
	uint64_t accepted, rejected;
};
/* A negative return cancels. */
typedef int ingest_progress_fn(void *context, const struct ingest_progress *progress);

/* Streams a file of any size in bounded memory through channel "file", waiting for room as needed. "-" is standard input. */
int ingest_file(struct ingest *ingest, uint32_t stream, const char *path, const struct ingest_kv *set,
	uint32_t set_count, ingest_progress_fn *progress, void *context, struct weir_arena *arena,
	struct ingest_result *ret_result, struct weir_error *err);

#endif
