/*
 * A running lake: opened from its description, with everything that belongs to it. The one place that
 * names implementations (local store, SQLite, embedded log, DuckDB).
 *
 * engine_open takes the directory's lease, recovers (pending and doomed files, open removals, what
 * the log has beyond the committed offsets), makes missing tables, and starts the threads; engine_close closes the
 * epoch and stops them. One process owns a directory.
 */
#ifndef WEIR_ENGINE_ENGINE_H
#define WEIR_ENGINE_ENGINE_H

#include "access/access.h"
#include "base/log.h"
#include "ingest/ingest.h"
#include "lake/lake.h"

struct engine;

struct engine_options {
	const struct weir_os *os;   /* NULL: the real one */
	struct weir_clock clock;    /* now_us NULL: the system's */
	const struct weir_log *log; /* NULL: silent */
	const char *sqlite_vfs;     /* tests: the simulated disk */
	bool exclusive_control;     /* tests: see control_options */
	bool no_background;         /* tests: the caller drives jobs by engine_step */
	uint64_t delta_from_bytes;  /* tests: see jobs_config; 0: the default */
};

/* WEIR_E_BUSY where another process owns the directory: the message names its pid. lake outlives the engine. */
int engine_open(const struct lake *lake, const struct engine_options *options, struct engine **ret_engine,
	struct weir_error *err);
void engine_close(struct engine *take_engine);

const struct lake *engine_lake(const struct engine *engine);
struct ingest *engine_ingest(struct engine *engine);
struct access *engine_access(struct engine *engine);
struct consent *engine_consent(struct engine *engine, uint32_t index);
struct control *engine_control(struct engine *engine);
struct sql *engine_sql(struct engine *engine); /* the instance for free SQL; opened on first use */
struct ice_registry *engine_registry(struct engine *engine);

/* Waits until every event acknowledged before the call is committed. */
int engine_flush(struct engine *engine, struct weir_error *err);
/* Waits until no re-index task is open, and no compaction is due where compacted is true. */
int engine_settle(struct engine *engine, bool compacted, struct weir_error *err);
/* One round of background work (tasks, compaction, sweeping); *ret_did false where there was nothing to do. */
int engine_step(struct engine *engine, bool *ret_did, struct weir_error *err);

/* Explains: the event (JSON of the stream's schema) goes through the silver transform, then consent explains one purpose. */
int engine_explain(struct engine *engine, uint32_t consent, struct weir_str event, struct weir_str purpose,
	struct weir_json *json, bool *ret_permitted, struct weir_error *err);
/* Dead letters: list and show read bronze.dead_letters; replay sends payloads through channel "dlq" and marks them. */
int engine_replay(struct engine *engine, const struct weir_str *trace_ids, uint32_t count, uint64_t *ret_accepted,
	uint64_t *ret_rejected, struct weir_error *err);

/* The object that the page polls; docs/reference/page-api.md. */
int engine_status(struct engine *engine, struct weir_json *json, struct weir_error *err);
/* Prometheus text format 0.0.4. */
int engine_metrics(struct engine *engine, struct weir_buf *out, struct weir_error *err);

/* The lake's fsck (jobs/check.h does the work). Writes what it proved; *ret_sound false at the first break. */
int engine_check(struct engine *engine, struct weir_json *json, bool *ret_sound, struct weir_error *err);

#endif
