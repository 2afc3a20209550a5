/*
 * Background work of a lake: re-index tasks (consent), the audit's table, compaction, and the destruction of files that
 * no version needs. One thread steps through it; jobs say when, iceberg/ says how.
 */
#ifndef WEIR_JOBS_JOBS_H
#define WEIR_JOBS_JOBS_H

#include "base/log.h"
#include "bus/bus.h"
#include "stream/stream.h"

struct jobs;

struct jobs_config {
	const struct lake *lake;
	struct control *control;
	struct ice_registry *registry; /* table i of the lake is table i of the registry */
	struct consent *const *consents;
	struct stream *const *streams;
	struct bus *bus;
	struct sql *sql;      /* the transforms' instance: gold's columns */
	uint32_t audit_table; /* in the registry */
	struct weir_clock clock;
	const struct weir_log *log;
	uint64_t
		delta_from_bytes; /* of gold to be rewritten, from which on a round deletes rows first; 0: the default */
};
int jobs_open(const struct jobs_config *config, struct jobs **ret_jobs, struct weir_error *err);
void jobs_close(struct jobs *jobs);

/* The most urgent thing there is to do; *ret_did false where there is none. */
int jobs_step(struct jobs *jobs, bool *ret_did, struct weir_error *err);

/* ---- the parts, for tests and for whoever waits for one of them ---- */
/* Open tasks of each consent section whose turn it is, in one commit or two; and files of gold that have deletes. */
int jobs_reindex(struct jobs *jobs, bool *ret_did, struct weir_error *err);
/* Audit records of the log into audit.access. */
int jobs_audit(struct jobs *jobs, bool now, bool *ret_did, struct weir_error *err);
/* Merges small files of one group of one table. */
int jobs_compact(struct jobs *jobs, bool *ret_did, struct weir_error *err);
/* Destroys doomed files whose grace is over. */
int jobs_sweep(struct jobs *jobs, struct weir_error *err);
uint64_t jobs_tasks_open(struct jobs *jobs);

struct jobs_numbers {
	uint64_t tasks_done, rows_removed, rows_added, compactions, files_merged, files_destroyed;
	uint64_t deltas,
		resumed; /* rounds that deleted rows first; that found deletes of one which did not get further */
	int64_t removal_us_last; /* from the change to its last byte gone, of the last removal */
};
struct jobs_numbers jobs_numbers(struct jobs *jobs);

#endif
