/*
 * Apache Iceberg's model (table specification, format versions 1 to 3): what metadata.json, manifest
 * lists and manifests say. Pure: no I/O here. Everything lives in the arena it was parsed or built in
 * and is immutable afterwards.
 */
#ifndef WEIR_ICEBERG_MODEL_H
#define WEIR_ICEBERG_MODEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "column/batch.h"
#include "expr/expr.h"

struct ice_name {
	struct weir_str ns; /* "gold"; levels are joined by '.' */
	struct weir_str table;
};

enum ice_transform_kind {
	ICE_IDENTITY,
	ICE_BUCKET,
	ICE_TRUNCATE,
	ICE_YEAR,
	ICE_MONTH,
	ICE_DAY,
	ICE_HOUR,
	ICE_VOID,
	ICE_UNKNOWN_TRANSFORM,
};

struct ice_transform {
	enum ice_transform_kind kind;
	uint32_t parameter; /* buckets, or width */
};

struct ice_partition_field {
	int32_t source_id;
	int32_t field_id; /* from 1000 */
	struct weir_str name;
	struct ice_transform transform;
	struct weir_str text;    /* of an unknown transform, as it was read */
	struct weir_str sources; /* JSON of "source-ids" where a transform has several arguments */
};

struct ice_spec {
	int32_t id;
	uint32_t field_count;
	struct ice_partition_field *fields;
};

struct ice_sort_field {
	int32_t source_id;
	struct ice_transform transform;
	bool descending, nulls_last;
	struct weir_str text, sources; /* as of a partition field */
};

struct ice_sort_order {
	int32_t id; /* 0: unsorted */
	uint32_t field_count;
	struct ice_sort_field *fields;
};

struct ice_kv {
	struct weir_str key, value;
};

struct ice_snapshot {
	int64_t id, parent_id; /* parent -1: none */
	int64_t sequence_number;
	int64_t timestamp_ms;
	struct weir_str manifest_list; /* URI */
	int32_t schema_id;             /* -1: none */
	uint32_t summary_count;
	struct ice_kv *summary;           /* "operation" included */
	int64_t first_row_id, added_rows; /* version 3; -1: none */
	struct weir_str key_id;           /* of the encrypted manifest list; size 0: none */
	uint32_t manifest_count;          /* version 1 may list manifests inline, without a list */
	struct weir_str *manifest_paths;
};

struct ice_ref {
	struct weir_str name;
	int64_t snapshot_id;
	bool is_tag;
	int64_t max_ref_age_ms, max_snapshot_age_ms; /* -1: none */
	int32_t min_snapshots_to_keep;               /* -1: none */
};

struct ice_log_entry {
	int64_t timestamp_ms;
	int64_t snapshot_id;           /* of a snapshot-log entry */
	struct weir_str metadata_file; /* of a metadata-log entry */
};

struct ice_metadata {
	int32_t format_version;
	struct weir_str table_uuid, location;
	int64_t last_sequence_number, last_updated_ms;
	int32_t last_column_id, current_schema_id, default_spec_id, last_partition_id, default_sort_order_id;
	uint32_t schema_count, spec_count, sort_order_count, property_count, snapshot_count, ref_count;
	uint32_t snapshot_log_count, metadata_log_count;
	struct weir_schema *schemas; /* in order of appearance; .id is the schema id */
	struct ice_spec *specs;
	struct ice_sort_order *sort_orders;
	struct ice_kv *properties;
	int64_t current_snapshot_id; /* -1: none */
	struct ice_snapshot *snapshots;
	struct ice_ref *refs;
	struct ice_log_entry *snapshot_log, *metadata_log;
	int64_t next_row_id; /* version 3, from 0 on */
	/* Members that the model has no place for (statistics, partition-statistics, encryption-keys, unknown ones), as
	 * JSON: written back as they were read. */
	uint32_t extra_count;
	struct ice_kv *extras;
};

int ice_metadata_parse(struct weir_arena *arena, struct weir_str json, struct weir_str name,
	struct ice_metadata **ret_metadata, struct weir_error *err);
void ice_metadata_write(const struct ice_metadata *metadata, struct weir_buf *out);
const struct weir_schema *ice_metadata_schema(const struct ice_metadata *metadata, int32_t schema_id);
const struct weir_schema *ice_metadata_current_schema(const struct ice_metadata *metadata);
const struct ice_spec *ice_metadata_spec(const struct ice_metadata *metadata, int32_t spec_id);
const struct ice_snapshot *ice_metadata_snapshot(const struct ice_metadata *metadata, int64_t snapshot_id);
const struct ice_snapshot *ice_metadata_current(const struct ice_metadata *metadata); /* NULL: empty table */
/* size 0 and data NULL where absent. */
struct weir_str ice_property(const struct ice_metadata *metadata, const char *key);
/* A property as a number of at least `least`, or true or false; absent where the table has none. WEIR_E_INPUT, naming the
 * property, its value and what to do, where it is neither. */
int ice_property_number(const struct ice_metadata *metadata, const char *key, int64_t least, int64_t absent,
	int64_t *ret_number, struct weir_error *err);
int ice_property_flag(
	const struct ice_metadata *metadata, const char *key, bool absent, bool *ret_flag, struct weir_error *err);
/* WEIR_E_INPUT, with the remedy, where gc.enabled is false: no file of the table may be deleted. */
int ice_property_gc(const struct ice_metadata *metadata, struct weir_error *err);
/* JSON of a member that the model keeps as it was read; size 0 where absent. */
struct weir_str ice_metadata_extra(const struct ice_metadata *metadata, const char *key);
struct weir_str ice_summary(const struct ice_snapshot *snapshot, const char *key);

/* ---- partitions ---- */
/* A partition value: null, or a literal of the transform's result type (days and other integers: EXPR_INTEGER). */
struct ice_partition_value {
	bool is_null;
	struct expr_value value;
};

int ice_transform_parse(struct weir_str text, struct ice_transform *ret_transform, struct weir_error *err);
const char *ice_transform_name(struct ice_transform transform, char *buffer, size_t size);
/* Specification, "Partition Transforms"; bucket hashes are Murmur3 (appendix B). Text results are in arena. */
struct ice_partition_value ice_transform_apply(struct weir_arena *arena, struct ice_transform transform,
	enum weir_type type, const struct weir_column *column, uint32_t row);
enum weir_type ice_transform_result(struct ice_transform transform, enum weir_type source);
/* "purpose=research/activity=running/timestamp_day=2025-02-01", escaped as Java's PartitionSpec does. */
struct weir_str ice_partition_path(struct weir_arena *arena, const struct ice_spec *spec,
	const struct weir_schema *schema, const struct ice_partition_value *values);

/* ---- single values (appendix D, binary) ---- */
void ice_value_encode(const struct expr_value *value, const struct weir_field *field, struct weir_buf *out);
bool ice_value_decode(struct weir_str bytes, const struct weir_field *field, struct expr_value *ret_value);

/* ---- files ---- */
enum ice_content { ICE_DATA = 0, ICE_POSITION_DELETES = 1, ICE_EQUALITY_DELETES = 2 };
enum ice_status { ICE_EXISTING = 0, ICE_ADDED = 1, ICE_DELETED = 2 };

struct ice_column_metrics {
	int32_t field_id;
	int64_t size_bytes, value_count, null_count, nan_count; /* -1: unknown */
	bool has_lower, has_upper;
	struct weir_str lower, upper; /* single-value binary, truncated to 16 code points or bytes */
};

struct ice_data_file {
	enum ice_content content;
	struct weir_str path;   /* URI */
	struct weir_str format; /* "PARQUET" */
	int32_t spec_id;
	uint32_t partition_count;
	struct ice_partition_value *partition;
	int64_t record_count, size_bytes;
	uint32_t metric_count;
	struct ice_column_metrics *metrics;
	uint32_t split_count;
	int64_t *split_offsets;
	int32_t sort_order_id; /* -1: none */
	/* of its manifest entry */
	enum ice_status status;
	int64_t snapshot_id, sequence_number, file_sequence_number; /* -1: inherited */
	/* v2 and v3 deletes: */
	uint32_t equality_id_count;
	int32_t *equality_ids;
	struct weir_str referenced_data_file;       /* size 0: none */
	int64_t content_offset, content_size_bytes; /* -1: none */
	int64_t first_row_id;                       /* -1: none */
	/* of a planned data file: the delete files that apply to it, for ice_reader */
	uint32_t delete_count;
	const struct ice_data_file *const *deletes;
};

/* First in the initializer of a file that no manifest names yet: what it lacks, and what its commit gives it. */
#define ICE_NEW_FILE \
	.sort_order_id = -1, .status = ICE_ADDED, .snapshot_id = -1, .sequence_number = -1, \
	.file_sequence_number = -1, .content_offset = -1, .content_size_bytes = -1, .first_row_id = -1

/* Reserved field ids (table specification, "Reserved Field IDs"): a projection may ask for them. */
#define ICE_FIELD_ROW_ID       2147483540 /* long; null before version 3 */
#define ICE_FIELD_ROW_SEQUENCE 2147483539 /* long, _last_updated_sequence_number */
#define ICE_FIELD_POSITION     2147483645 /* long, _pos: the row's place in its file */
#define ICE_FIELD_PATH         2147483646 /* string, _file */
#define ICE_DELETE_PATH        2147483546 /* string, file_path of files of position deletes */
#define ICE_DELETE_POSITION    2147483545 /* long, pos of files of position deletes */

struct ice_field_summary {
	bool contains_null, contains_nan, has_contains_nan;
	bool has_bounds;
	struct weir_str lower, upper;
};

struct ice_manifest {
	struct weir_str path; /* URI */
	int64_t length;
	int32_t spec_id;
	int32_t content; /* 0 data, 1 deletes */
	int64_t sequence_number, min_sequence_number, added_snapshot_id;
	int32_t added_files, existing_files, deleted_files;
	int64_t added_rows, existing_rows, deleted_rows;
	uint32_t partition_count;
	struct ice_field_summary *partitions;
	int64_t first_row_id; /* v3; -1: none */
};

/* The bounds of one column of a file, decoded; has_min and has_max false where unknown. */
struct expr_bounds ice_file_bounds(const struct ice_data_file *file, const struct weir_field *field);
/* Deep copy into arena. */
struct ice_data_file *ice_data_file_copy(struct weir_arena *arena, const struct ice_data_file *file);

#endif
