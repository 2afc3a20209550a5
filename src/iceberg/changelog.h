/*
 * What happened to a table's rows between two snapshots: each row that came or went, with the snapshot that did it.
 */
#ifndef WEIR_ICEBERG_CHANGELOG_H
#define WEIR_ICEBERG_CHANGELOG_H

#include "iceberg/table.h"

/* Reserved field ids of the three columns behind a changelog's own (table specification, "Reserved Field IDs"). */
#define ICE_FIELD_CHANGE_TYPE     2147483543 /* string: INSERT, DELETE, UPDATE_BEFORE, UPDATE_AFTER */
#define ICE_FIELD_CHANGE_ORDINAL  2147483542 /* int: 0 for the first snapshot that changed rows, and so on */
#define ICE_FIELD_CHANGE_SNAPSHOT 2147483541 /* long, _commit_snapshot_id */

struct ice_changelog_options {
	int64_t from; /* the snapshot after which changes begin; -1: at the beginning of the table */
	int64_t to;   /* the last snapshot, from's descendant; -1: main's */
	const struct weir_schema *projection; /* columns of the table's schema; NULL: all */
	/* Rows that a snapshot both removes and adds with the same values (files that were rewritten for the sake of other
	 * rows) are no change and left out, unless this is set. */
	bool keep_carried_over;
	/* A row that goes and one that comes in the same snapshot with the same values of the identifier columns are
	 * UPDATE_BEFORE and UPDATE_AFTER, where there is just one of each. The columns are in the projection. */
	const int32_t *identifier_ids;
	uint32_t identifier_count; /* 0: updates are told as DELETE and INSERT */
	uint64_t memory_rows;      /* 0: 4 Mi; rows that are remembered at once. Snapshots that remove more are read
	                              several times */
};

/* The projection and the three columns behind it; in arena. */
const struct weir_schema *ice_changelog_schema(struct weir_arena *arena, const struct weir_schema *projection);

typedef int ice_changelog_fn(void *context, const struct weir_batch *batch, struct weir_error *err);

/*
 * Changes in the order of the snapshots, of each first what went, then what came; the callback releases no batch. Snapshots
 * of operation replace (compaction) change no row. All kinds of deletes are seen: removed files, deletion vectors, position
 * deletes and equality deletes, and deletes that were taken back. Rows are told as the table's current schema has them.
 *
 * Where a snapshot has deletes, or follows one that has, both are planned whole; else only the manifests that it wrote are
 * read. Memory: those plans, and memory_rows of 40 bytes where a snapshot both adds and removes rows.
 *
 * WEIR_E_NOT_FOUND where `to` is no snapshot, `from` is not one that it descends from, or one between them has expired;
 * WEIR_E_INPUT for identifier columns that are not in the projection, or nested.
 */
int ice_changelog_scan(struct ice_table *table, const struct ice_changelog_options *options, ice_changelog_fn *changes,
	void *context, struct weir_error *err);

#endif
