/* Shared by iceberg's own files. Limits on everything that is read, and the parts between model and table. */
#ifndef WEIR_ICEBERG_INTERNAL_H
#define WEIR_ICEBERG_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "format/avro/avro.h"
#include "iceberg/table.h"

#define ICE_METADATA_BYTES_MAX (64U << 20)  /* one metadata.json, decompressed */
#define ICE_MANIFEST_BYTES_MAX (256U << 20) /* one manifest or manifest list */
#define ICE_TYPE_DEPTH_MAX     32           /* nesting of a schema's types */
#define ICE_BOUND_LENGTH       16           /* code points or bytes of a bound */
#define ICE_METADATA_LOG_MAX   100          /* earlier metadata files that a version lists */
#define ICE_MANIFEST_ENTRIES   4096         /* merging stops at manifests of this many entries */
#define ICE_PATH_PART_MAX      512          /* bytes of a partition path in a file's name */

/* ---- values (value.c, transform.c) ---- */
/* The transform of one value. Text of the result borrows from value, or lies in arena (decimals of more than 64 bits).
 */
struct ice_partition_value ice_transform_value(
	struct ice_transform transform, enum weir_type type, const struct expr_value *value);
/* The cell as a value: as expr_value_of, but decimals past 64 bits are TEXT (big-endian two's complement) in arena. */
struct expr_value ice_cell_value(struct weir_arena *arena, const struct weir_column *column, uint32_t row);
/* Text cut to ICE_BOUND_LENGTH code points (binary: bytes); upper false where there is no upper bound. In arena. */
struct weir_str ice_bound_lower(struct weir_arena *arena, struct weir_str value, bool is_text, uint32_t limit);
bool ice_bound_upper(
	struct weir_arena *arena, struct weir_str value, bool is_text, uint32_t limit, struct weir_str *ret_upper);
bool ice_partition_value_equal(const struct ice_partition_value *a, const struct ice_partition_value *b);
struct ice_partition_value ice_partition_value_copy(struct weir_arena *arena, const struct ice_partition_value *value);

/* ---- default values and constants (default.c) ---- */
/* A column of `rows` rows of a field that a file lacks: its initial-default, else null. */
int ice_default_column(struct weir_arena *arena, const struct weir_field *field, uint32_t rows,
	struct weir_column *ret_column, struct weir_error *err);
/* Is the JSON a value of the field's type? WEIR_E_CORRUPT where not. */
int ice_default_check(const struct weir_field *field, struct weir_str json, struct weir_error *err);
/* The same value in each row; NULL: null. False where the value is not of the field's type. */
bool ice_constant_column(struct weir_arena *arena, const struct weir_field *field, const struct expr_value *value,
	uint32_t rows, struct weir_column *ret_column);

/* ---- rows in the table's order (row_order.c, writer.c) ---- */
/* The table's default sort order; NULL: it has none, or one that rows cannot be put in. In arena. */
struct ice_row_order;
struct ice_row_order *ice_row_order_new(
	struct weir_arena *arena, const struct ice_metadata *metadata, const struct weir_schema *schema);
int32_t ice_row_order_id(const struct ice_row_order *order);
/* The rows of all batches in order; malloc'ed. */
typedef struct weir_pick *ice_order_fn(
	void *context, struct weir_batch *const *batches, uint32_t count, uint64_t *ret_rows);
struct weir_pick *ice_row_order_picks(
	void *order, struct weir_batch *const *batches, uint32_t count, uint64_t *ret_rows);
/* Before the first row: rows are held and put in this order instead of the table's. Files claim no order. */
void ice_writer_order(struct ice_writer *writer, ice_order_fn *order, void *context);
/* As ice_writer_add of all rows, and the batch is the writer's. */
int ice_writer_take(struct ice_writer *writer, struct weir_batch *take_batch, struct weir_error *err);

/* ---- schemas and specs (metadata_parse.c) ---- */
/* A field anywhere in a schema; NULL where absent. */
const struct weir_field *ice_schema_field(const struct weir_schema *schema, int32_t field_id);
/* In any schema of the table, the current one first. */
const struct weir_field *ice_metadata_field(const struct ice_metadata *metadata, int32_t field_id);
/* The type of a partition field's values, as a field with its id and name. False where the source is unknown. */
bool ice_partition_type(
	const struct ice_metadata *metadata, const struct ice_partition_field *partition, struct weir_field *ret_field);

/* ---- JSON pieces (metadata_write.c) ---- */
struct weir_json;
void ice_schema_write(const struct weir_schema *schema, struct weir_json *json);
void ice_spec_fields_write(const struct ice_spec *spec, struct weir_json *json);

/* ---- manifests (manifest_schema.c, manifest_write.c, manifest_read.c, manifest_list.c) ---- */
/* The decoded entries of one manifest; sequence numbers and snapshot ids as stored (-1: inherited). */
struct ice_entries {
	uint32_t count;
	struct ice_data_file *files;
};
/* Bytes of a fixed that holds decimals of this precision. */
unsigned ice_decimal_bytes(unsigned precision);
/* avro.schema of a manifest of this spec. */
/* is_wide: with the fields of row lineage and deletion vectors. */
void ice_manifest_schema(
	const struct ice_metadata *metadata, const struct ice_spec *spec, bool is_wide, struct weir_buf *out);
struct ice_manifest_writer;
int ice_manifest_writer_open(struct weir_byte_sink sink, const struct ice_metadata *metadata,
	const struct ice_spec *spec, bool deletes, struct weir_arena *arena, struct ice_manifest_writer **ret_writer,
	struct weir_error *err);
/* The entry's status, ids and metrics as they are in file; DELETED ones are written without metrics. */
int ice_manifest_writer_add(
	struct ice_manifest_writer *writer, const struct ice_data_file *file, struct weir_error *err);
/* Fills counts, partition summaries and length; the caller fills path and sequence numbers. */
int ice_manifest_writer_close(
	struct ice_manifest_writer *take_writer, struct ice_manifest *ret_manifest, struct weir_error *err);
void ice_manifest_writer_abandon(struct ice_manifest_writer *take_writer);
int ice_manifest_read(struct weir_arena *arena, struct weir_byte_source source, const struct ice_metadata *metadata,
	int32_t spec_id, struct ice_entries *ret_entries, struct weir_error *err);
/* The partition spec that a manifest's own header names; 0 where it names none. */
int ice_manifest_spec_id(struct weir_byte_source source, int32_t *ret_spec_id, struct weir_error *err);
int ice_manifest_list_write(struct weir_byte_sink sink, const struct ice_snapshot *snapshot, int32_t format_version,
	const struct ice_manifest *manifests, uint32_t count, struct weir_error *err);
int ice_manifest_list_read(struct weir_arena *arena, struct weir_byte_source source,
	struct ice_manifest **ret_manifests, uint32_t *ret_count, struct weir_error *err);

/* ---- sets of texts (name_set.c) ---- */
struct ice_name_set {
	struct weir_str *slots;
	size_t capacity, count;
};
/* False where it was there already. The text is borrowed. */
bool ice_name_set_add(struct ice_name_set *set, struct weir_str name);
bool ice_name_set_has(const struct ice_name_set *set, struct weir_str name);
void ice_name_set_done(struct ice_name_set *set);

/* ---- the cache (cache.c) ---- */
/* A decoded object that is pinned until ice_cached_release. Immutable; any thread. */
struct ice_cached;
int ice_cached_manifest(struct ice_table *table, const struct ice_manifest *manifest, struct ice_cached **ret_cached,
	struct weir_error *err);
int ice_cached_list(
	struct ice_table *table, struct weir_str list_uri, struct ice_cached **ret_cached, struct weir_error *err);
const struct ice_entries *ice_cached_entries(const struct ice_cached *cached);
const struct ice_manifest *ice_cached_manifests(const struct ice_cached *cached, uint32_t *ret_count);
void ice_cached_release(struct ice_cached *cached);

/* As ice_footer_open, for readers that apply deletes. */
int ice_cached_footer(struct ice_table *table, struct weir_str uri, struct ice_footer **ret_footer,
	const struct pq_file **ret_file, struct weir_error *err);
/* The manifests of a snapshot that lists them inline (version 1). Not cached; released as the others are. */
int ice_cached_inline(struct ice_table *table, const struct ice_snapshot *snapshot, struct ice_cached **ret_cached,
	struct weir_error *err);

/* A copy of an entry with what it inherits from its manifest (plan.c). *next_row: the row id of the next file that has
 * none; -1: there are no row ids. */
struct ice_data_file *ice_entry_inherit(struct weir_arena *arena, const struct ice_data_file *entry,
	const struct ice_manifest *manifest, int64_t *next_row);

/* ---- deletes of a plan (plan_deletes.c) ---- */
/* The one data file that position deletes speak of; size 0 where it is not known to be one. */
struct weir_str ice_referenced_file(const struct ice_data_file *file);
struct ice_delete_index;
struct ice_delete_index *ice_delete_index_new(struct weir_arena *arena);
/* The file's own sequence numbers are resolved; it outlives the index. */
int ice_delete_index_add(struct ice_delete_index *index, const struct ice_metadata *metadata,
	const struct ice_data_file *file, struct weir_error *err);
/* Sets the file's deletes; in the index's arena. */
void ice_delete_index_attach(
	struct ice_delete_index *index, const struct ice_metadata *metadata, struct ice_data_file *file);

/* ---- reading a file's columns (column_map.c) ---- */
struct ice_column_map {
	struct weir_schema read;   /* what is asked of the file */
	bool is_plain;             /* batches of `read` are batches of the projection */
	struct expr_filter filter; /* terms that the file's statistics may answer */
	const struct weir_schema *wanted;
	const struct weir_schema *file;
	struct ice_column_source *columns; /* of each wanted column */
	const struct ice_data_file *data_file;
};
int ice_column_map_make(struct weir_arena *arena, struct ice_table *table, const struct ice_data_file *data_file,
	const struct weir_schema *file, const struct weir_schema *wanted, const struct expr_filter *filter,
	struct ice_column_map *ret_map, struct weir_error *err);
/* The wanted columns of a batch that was read; in arena, pointing into the batch. */
int ice_column_map_apply(const struct ice_column_map *map, struct weir_arena *arena, const struct weir_batch *batch,
	uint64_t first_row, struct weir_batch **ret_batch, struct weir_error *err);

/* ---- deletes of a file (deletes.c) ---- */
/* Equality deletes that were read, for the next files that need them. */
struct ice_delete_cache;
struct ice_delete_cache *ice_delete_cache_new(void);
void ice_delete_cache_free(struct ice_delete_cache *cache);
struct ice_file_deletes;
/* Reads what file->deletes name. The deletes live no longer than the cache's next use. */
int ice_file_deletes_open(struct ice_table *table, struct ice_delete_cache *cache, const struct ice_data_file *file,
	struct ice_file_deletes **ret_deletes, struct weir_error *err);
void ice_file_deletes_free(struct ice_file_deletes *deletes);
/* The wanted columns and those that equality deletes compare; in arena. */
const struct weir_schema *ice_file_deletes_schema(
	const struct ice_file_deletes *deletes, struct weir_arena *arena, const struct weir_schema *wanted);
/* The rows of a batch (of that schema) that stay; returns their number. kept has room for all rows. */
uint32_t ice_file_deletes_keep(
	struct ice_file_deletes *deletes, const struct weir_batch *batch, uint64_t first_row, uint16_t *kept);

/* ---- tables (table.c) ---- */
struct ice_table {
	atomic_uint refs;
	struct store *store;
	struct ice_cache *cache;
	struct weir_arena *arena;
	struct ice_name name;
	struct weir_str metadata_uri;
	const struct ice_metadata *metadata;
	struct weir_str home; /* moved tables: the name under which the table's folder is found now; else size 0 */
};
/* The version of the table that metadata is; both it and what it points at live in the arena, which the table owns. */
struct ice_table *ice_table_of(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct weir_arena *take_arena, const struct ice_metadata *metadata);
/* The name in the store of a file that the metadata names. Of a moved table: the same path below its new home. */
int ice_file_name(const struct ice_table *table, struct weir_arena *arena, struct weir_str uri,
	struct weir_str *ret_name, struct weir_error *err);
/* The manifests of a snapshot, pinned; *ret_cached NULL and count 0 where snapshot is NULL. */
int ice_table_manifests(struct ice_table *table, const struct ice_snapshot *snapshot, struct ice_cached **ret_cached,
	const struct ice_manifest **ret_manifests, uint32_t *ret_count, struct weir_error *err);
/* Metadata of version 0 of a definition; schema id 0. In arena. */
int ice_definition_metadata(struct weir_arena *arena, struct store *store, const struct ice_definition *definition,
	int64_t now_ms, struct ice_metadata **ret_metadata, struct weir_error *err);

/* ---- preparing a change (prepare.c, merge.c, expire.c) ---- */
/* A change being built: what it writes, counts and dooms. Lives for one attempt. */
struct ice_commit {
	struct weir_arena *arena;
	struct ice_table *base;
	const struct ice_edit *edit;
	int64_t read_sequence;          /* the newest sequence number that whoever made the edit had read */
	const char *location;           /* a name in the store */
	struct ice_snapshot *snapshot;  /* the new one */
	struct ice_manifest *manifests; /* of its list */
	uint32_t manifest_count, manifest_capacity;
	struct store_file **files; /* created, not yet durable */
	size_t file_count, file_capacity;
	const char **names;        /* of files */
	uint32_t *manifest_number; /* next <n> of <prefix>-m<n>.avro */
	const char **doomed;
	uint32_t doomed_count, doomed_capacity;
	int64_t removed_rows, removed_bytes, removed_positions, removed_equalities;
	uint32_t removed_delete_files;
	int64_t next_row_id; /* version 3: after this commit */
	uint32_t changed_partitions;
};
/* Creates `<location>/metadata/<file>`; the handle is the commit's. */
int ice_commit_create(
	struct ice_commit *commit, const char *file, struct store_file **ret_file, struct weir_error *err);
/* The snapshot that the new one follows: of the edit's branch; NULL where there is none. */
const struct ice_snapshot *ice_commit_parent(const struct ice_commit *commit);
/* Fills commit->manifests from the base's manifests and the edit (merge.c). */
int ice_commit_manifests(struct ice_commit *commit, struct weir_error *err);
/* Dooms what the first `dropped` snapshots of the base alone need; kept: ids that stay (expire.c). */
int ice_commit_expire(struct ice_commit *commit, const bool *is_kept, struct weir_error *err);
/* Dooms what snapshots of the base need that `next` no longer has, and no snapshot that it has. */
int ice_commit_doom_dropped(struct ice_commit *commit, const struct ice_metadata *next, struct weir_error *err);
/* A URI of this store; others are not weir's to delete, and passed over. */
void ice_commit_doom(struct ice_commit *commit, struct weir_str uri);

#endif
