/*
 * Upkeep of a table: how its files are rewritten and what of them may go. Each step is prepared here and committed by the
 * caller, who knows where the table's pointer is; so a lake's jobs and the command line share the work.
 */
#ifndef WEIR_ICEBERG_UPKEEP_H
#define WEIR_ICEBERG_UPKEEP_H

#include <stdatomic.h>

#include "iceberg/table.h"

enum ice_compact_order {
	ICE_COMPACT_OWN,    /* the table's default sort order, and where it declares none, rows as they come */
	ICE_COMPACT_SORT,   /* by up to eight columns, nulls first */
	ICE_COMPACT_ZORDER, /* by the bits of two to eight columns in turn: near in any of them, near in the file */
};

#define ICE_COMPACT_COLUMNS 8

struct ice_compact_options {
	enum ice_compact_order order;
	const int32_t *columns; /* field ids of top-level columns */
	uint32_t column_count;
	uint64_t target_bytes; /* 0: write.target-file-size-bytes, else 128 MiB */
	uint64_t commit_bytes; /* 0: 1 GiB; a commit is due once so much was rewritten */
	uint64_t memory_bytes; /* 0: 256 MiB; rows that are sorted at once */
	bool all;              /* also files that are large enough, in one spec, and without deletes */
	/* For a job that comes again and again, so that rows are rewritten rarely: small files are joined by five and more, a file
	 * only with smaller ones that together are half as large; deletes are applied to a file that has five delete files, or where
	 * they take a tenth of its rows; an older layout alone is no reason. */
	bool is_gentle;
	const atomic_bool *stop; /* true: ends with WEIR_E_CANCELLED, as after the last commit. NULL: never */
	struct weir_str prefix;  /* of file names; commit n appends "-n" */
	int64_t now_ms;
};

struct ice_compact_counts {
	uint64_t files_read, files_written, bytes_read, bytes_written, rows, rows_deleted, delete_files_removed;
	uint32_t commits;
};

/*
 * Commits an edit to the table and gives the new version. A CONFLICT is the caller's to rebase; what comes back is final.
 * The table is the one that the edit was made for.
 */
typedef int ice_commit_edit_fn(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err);
typedef void ice_compact_progress_fn(void *context, const struct ice_compact_counts *counts);

/*
 * Rewrites, partition by partition, files that are small, of an older partition spec, or that deletes apply to, into files of
 * the default spec; deletes are applied, and delete files of any kind go with the last of the files that they apply to. Rows keep their ids (version 3), files the sequence
 * number of what was read, so that equality deletes that come meanwhile still apply. Memory: one batch, or memory_bytes
 * where rows are put in order.
 */
int ice_compact(struct ice_table *table, const struct ice_compact_options *options, ice_commit_edit_fn *commit,
	ice_compact_progress_fn *progress, void *context, struct ice_compact_counts *ret_counts,
	struct weir_error *err);

/*
 * Rewrites the manifests of main's snapshot, each partition's files next to each other; entries that earlier snapshots
 * deleted go. An edit without files, of operation replace.
 */
int ice_rewrite_manifests(struct ice_table *table, struct weir_str prefix, int64_t now_ms, ice_commit_edit_fn *commit,
	void *context, struct weir_error *err);

/*
 * Files below the table's data and metadata folders that no version of it names and that are older than grace_ms. The
 * listing comes first, then `reload` gives the newest version: what was committed in between is known to it, and
 * what a writer has not committed yet is younger than the grace. The callback gets each name. WEIR_E_INPUT where
 * gc.enabled is false.
 */
typedef int ice_reload_fn(void *context, struct ice_table **ret_table, struct weir_error *err);
typedef int ice_orphan_fn(void *context, const struct store_object *object, struct weir_error *err);
#define ICE_ORPHAN_GRACE_LEAST_MS 3600000LL /* an hour: a shorter grace is WEIR_E_INPUT */
int ice_orphans(struct ice_table *table, int64_t now_ms, int64_t grace_ms, ice_reload_fn *reload, ice_orphan_fn *orphan,
	void *context, struct weir_error *err);

#endif
