/*
 * Upkeep of tables that others create through the catalog: small files are compacted and deletes applied, manifests
 * rewritten, old snapshots expired, and files that no version names removed. Off unless lake.yaml or `weir catalog`
 * asks for it; what a table says of itself by the properties that engines know goes before the settings:
 *
 *   write.target-file-size-bytes            size that compaction aims at
 *   commit.manifest.min-count-to-merge      so many small manifests are rewritten into larger ones (100)
 *   commit.manifest.target-size-bytes       what is small there (8 MiB)
 *   history.expire.max-snapshot-age-ms      how long a snapshot is kept at least,
 *   history.expire.min-snapshots-to-keep    and how many of each branch
 *   history.expire.max-ref-age-ms           how long a branch or tag is kept that says nothing itself (for ever)
 *   write.parquet.compression-codec, -level, row-group-size-bytes    how compaction writes files
 *   commit.retry.num-retries                how often a commit is tried again whose table moves (9)
 *   gc.enabled                              false: nothing of the table is deleted, neither by expiry nor as an orphan
 *   weir.maintain                           false: the table is left alone
 *
 * Invariants: every change is an optimistic commit on the table's pointer; one that loses a race is rebased, and
 * where it does not fit any more, dropped and planned anew in a later round. Nothing that a version names is ever
 * deleted, nor what one of the last `readers` named, nor a file that is younger than `orphans`; and nothing at all of
 * a table whose folder holds, or lies in, that of another table of the same database. A lake's own tables
 * (weir_owned) are not looked at: jobs.h keeps them.
 *
 * One thread works through the tables; memory is that of one compaction (ice_compact: a batch), one table's list of
 * files, and one listing of its folder.
 */
#ifndef WEIR_JOBS_MAINTAIN_H
#define WEIR_JOBS_MAINTAIN_H

#include "base/log.h"
#include "iceberg/registry.h"
#include "lake/lake.h"

struct maintain;

struct maintain_config {
	struct ice_registry *registry; /* its store and control database */
	const struct lake_maintain *settings;
	struct weir_clock clock;
	const struct weir_log *log; /* NULL: silent */
	/* True while more urgent work is waiting: nothing new is begun then. NULL: never. */
	bool (*is_busy)(void *context);
	void *context;
	bool sweeps; /* files of expired snapshots are destroyed here; a lake's jobs do it where there is one */
};
void maintain_open(const struct maintain_config *config, struct maintain **ret_maintain);
/* A thread of low weight that makes a round every settings->every_us, the first within a minute. */
void maintain_start(struct maintain *maintain);
/* Stops the thread, within a batch of a compaction, and frees. NULL is fine. */
void maintain_close(struct maintain *take_maintain);

/* Looks at every table once. What goes wrong with one is logged and counted, and the others follow; the error is that
 * of the control database. *ret_did: something was changed. */
int maintain_round(struct maintain *maintain, bool *ret_did, struct weir_error *err);

struct maintain_numbers {
	uint64_t rounds, files_compacted, files_written, manifest_rewrites, snapshots_expired, orphans_removed,
		conflicts, failures;
};
struct maintain_numbers maintain_numbers(struct maintain *maintain);
/* Prometheus text format: weir_maintain_*. */
void maintain_metrics(struct maintain *maintain, struct weir_buf *out);

#endif
