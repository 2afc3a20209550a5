/*
 * Changes of a table's metadata for ice_revise: each is a struct and the function that applies it, so that a lost race can
 * apply it again to a newer version. And what tells snapshots apart by branch, tag and time.
 */
#ifndef WEIR_ICEBERG_REVISE_H
#define WEIR_ICEBERG_REVISE_H

#include "iceberg/table.h"

/* ---- finding snapshots ---- */
/* The snapshot of a branch or tag; NULL where there is none. */
const struct ice_snapshot *ice_ref_snapshot(const struct ice_metadata *metadata, struct weir_str name);
/* What main's snapshot was at a time (of the snapshot log); NULL: the table was empty, or is not that old. */
const struct ice_snapshot *ice_snapshot_at(const struct ice_metadata *metadata, int64_t time_ms);
/* Is `older` the snapshot itself or one that it descends from? */
bool ice_is_ancestor(const struct ice_metadata *metadata, int64_t older, int64_t snapshot_id);

/* ---- branches and tags ---- */
enum ice_ref_action {
	ICE_REF_CREATE,       /* at snapshot_id (-1: main's); EXISTS where there is one */
	ICE_REF_DROP,         /* not main */
	ICE_REF_FAST_FORWARD, /* the branch to where ref `to` is, which must descend from it */
};

struct ice_ref_edit {
	enum ice_ref_action action;
	struct weir_str name, to;
	bool is_tag;
	int64_t snapshot_id;
	int64_t max_ref_age_ms, max_snapshot_age_ms; /* -1: none */
	int32_t min_snapshots_to_keep;               /* -1: none */
};
int ice_revise_ref(void *edit, struct weir_arena *arena, const struct ice_metadata *base, struct ice_metadata *next,
	struct weir_error *err);

/* Main goes back to an earlier snapshot of its own line. */
struct ice_rollback {
	int64_t snapshot_id;
	int64_t now_ms;
};
int ice_revise_rollback(void *rollback, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err);

/*
 * Expiry: snapshots older than older_than_ms go, but those that a branch or tag names, the last keep_last of every branch's
 * line, and what a branch's own retention keeps; refs past their own age go first. Files that no snapshot needs
 * any more become doomed. WEIR_E_INPUT where gc.enabled is false.
 */
struct ice_expiry {
	int64_t now_ms, older_than_ms;
	uint32_t keep_last;     /* at least 1 */
	int64_t max_ref_age_ms; /* of branches and tags that say none of their own; 0: for ever */
};
#define ICE_EXPIRY_AGE_MS (5 * 24 * 3600000LL) /* of engines, where nobody says other */
/* Sets what the table's properties say: history.expire.max-snapshot-age-ms, history.expire.min-snapshots-to-keep and
 * history.expire.max-ref-age-ms. */
int ice_expiry_read(const struct ice_metadata *metadata, struct ice_expiry *expiry, struct weir_error *err);
int ice_revise_expire(void *expiry, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err);

/* ---- schemas, partition specs, properties ---- */
enum ice_evolve_kind {
	ICE_ADD_COLUMN,  /* path: where, type: its type; value: JSON of a default for older rows (version 3), or none */
	ICE_DROP_COLUMN, /* path */
	ICE_RENAME_COLUMN,  /* path, value: the new name */
	ICE_PROMOTE,        /* path, type: int to long, float to double, a decimal to more digits; version 3: date to
	                       timestamp or timestamp_ns, unknown to any type of a single value */
	ICE_MAKE_OPTIONAL,  /* path */
	ICE_SET_DOC,        /* path, value */
	ICE_MOVE_FIRST,     /* path */
	ICE_MOVE_AFTER,     /* path, value: the sibling's name */
	ICE_ADD_PARTITION,  /* path: "day(ts)", "bucket(16, id)", "region"; value: the field's name, or none */
	ICE_DROP_PARTITION, /* path: the field's name */
	ICE_SET_PROPERTY,   /* path: the key, value */
	ICE_UNSET_PROPERTY,
	ICE_UPGRADE,  /* path: the format version, "2" or "3" */
	ICE_SET_SORT, /* path: "day(ts) desc, bucket(16, id) asc nulls last"; size 0: unsorted */
};

struct ice_evolve_step {
	enum ice_evolve_kind kind;
	struct weir_str path, type, value;
};

/* Steps in order, as one version. Paths are names joined by '.'; of lists "element", of maps "value". */
struct ice_evolution {
	const struct ice_evolve_step *steps;
	uint32_t count;
};
int ice_revise_evolve(void *evolution, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err);

/* ---- metadata tables ---- */
enum ice_metadata_table {
	ICE_TABLE_SNAPSHOTS,
	ICE_TABLE_HISTORY,
	ICE_TABLE_REFS,
	ICE_TABLE_MANIFESTS,
	ICE_TABLE_FILES,
	ICE_TABLE_PARTITIONS,
	ICE_METADATA_TABLES,
};
/* "snapshots", "history", "refs", "manifests", "files", "partitions". */
const char *ice_metadata_table_name(enum ice_metadata_table which);
const struct weir_schema *ice_metadata_table_schema(enum ice_metadata_table which);
/* Its rows, a batch at a time; the callback releases none. manifests, files and partitions are of a snapshot (-1: main's). */
typedef int ice_batch_fn(void *context, const struct weir_batch *batch, struct weir_error *err);
int ice_metadata_table_scan(struct ice_table *table, enum ice_metadata_table which, int64_t snapshot_id,
	ice_batch_fn *batch, void *context, struct weir_error *err);

#endif
