/*
 * Iceberg tables: a handle on one version of a table, scans over it, and the three steps of a change:
 * write files (ice_writer), prepare (all metadata I/O), stage (into one control change, with other
 * tables). Names begin with ice_.
 *
 * A struct ice_table is one immutable version: its metadata and what was decoded of its manifests
 * (shared between versions by path, because a manifest never changes). Threads may share it. After
 * a staged change is DONE, ice_prepared_table is the next version.
 */
#ifndef WEIR_ICEBERG_TABLE_H
#define WEIR_ICEBERG_TABLE_H

#include "codec/codec.h"
#include "control/control.h"
#include "format/parquet/parquet.h"
#include "iceberg/model.h"
#include "store/store.h"

/* Decoded manifests and Parquet footers, shared by all tables of a warehouse, bounded in bytes (least recently used first). */
struct ice_cache;
struct ice_cache *ice_cache_new(uint64_t limit_bytes);
void ice_cache_free(struct ice_cache *cache);

struct ice_table;

struct ice_definition {
	struct ice_name name;
	const struct weir_schema *schema; /* with field ids */
	const struct ice_spec
		*specs; /* ids 0.. ; partition field ids from 1000, equal source and transform share one */
	uint32_t spec_count;
	int32_t default_spec_id;
	const struct ice_sort_order *sort_order; /* NULL: unsorted */
	const struct ice_kv *properties;
	uint32_t property_count;
	struct weir_str location; /* a name in the store ("gold/visits") */
};

/* Writes metadata v1 and stages the pointer's creation; the caller commits the change. */
int ice_table_create(struct store *store, const struct ice_definition *definition, int64_t now_ms,
	struct control_change *change, struct weir_error *err);
/* The version that control points to now. WEIR_E_NOT_FOUND where there is no such table. */
int ice_table_load(struct store *store, struct control *control, struct ice_cache *cache, struct ice_name name,
	struct ice_table **ret_table, struct weir_error *err);
/* The version in a given metadata file. */
int ice_table_open(struct store *store, struct ice_cache *cache, struct ice_name name, struct weir_str metadata_uri,
	struct ice_table **ret_table, struct weir_error *err);
/* A version from its metadata's text, as a REST catalog hands it out; metadata_uri may be "". */
int ice_table_from_json(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct weir_str json, struct ice_table **ret_table, struct weir_error *err);
/* As ice_table_open, of a table whose folder was moved or copied: what its metadata says of places is taken relative to the
 * folder above the metadata file's. To be read only. */
int ice_table_open_moved(struct store *store, struct ice_cache *cache, struct ice_name name,
	struct weir_str metadata_uri, struct ice_table **ret_table, struct weir_error *err);
struct ice_table *ice_table_ref(struct ice_table *table);
void ice_table_unref(struct ice_table *table);
struct ice_name ice_table_name(const struct ice_table *table);
const struct ice_metadata *ice_table_metadata(const struct ice_table *table);
const struct weir_schema *ice_table_schema(const struct ice_table *table);
struct weir_str ice_table_metadata_uri(const struct ice_table *table);
/* A schema as the specification's JSON (appendix C). */
struct weir_json;
void ice_schema_json(const struct weir_schema *schema, struct weir_json *json);

/* ---- scan ---- */
struct ice_file_list {
	struct weir_arena *arena; /* owns everything here */
	const struct ice_data_file **files;
	uint32_t count;
	uint64_t manifests_read, manifests_skipped, files_skipped;
	uint64_t row_count;    /* of the data files; rows that deletes take away are counted */
	uint64_t delete_files; /* delete files of the snapshot; where 0, no file of the list has deletes */
};
void ice_file_list_free(struct ice_file_list *list);

/* The live data files of a snapshot (-1: current) that may hold rows matching filter (field ids of the
 * table's schema): manifests and files pruned by partition values and bounds, under each file's own spec.
 * An empty table gives an empty list. Each file says which delete files apply to it (by sequence number, partition and
 * referenced file): whoever reads it by other ways than ice_reader must look at them. */
int ice_plan(struct ice_table *table, int64_t snapshot_id, const struct expr_filter *filter,
	struct ice_file_list **ret_list, struct weir_error *err);
/* The data files that append snapshots added after the snapshot `after` (-1: from the first) up to `until`, whether they
 * are live still or not: an incremental scan of appends. Other operations are passed over, deletes too. WEIR_E_NOT_FOUND
 * where `after` is no ancestor of `until`, or one of them is not there. */
int ice_plan_appends(struct ice_table *table, int64_t after, int64_t until, const struct expr_filter *filter,
	struct ice_file_list **ret_list, struct weir_error *err);
/* A filter ready to be held against single files of the table, as ice_plan does; in arena. filter outlives it. */
struct ice_matcher;
const struct ice_matcher *ice_matcher_new(
	struct weir_arena *arena, struct ice_table *table, const struct expr_filter *filter);
/* Could any row of the file match? */
bool ice_matcher_file(const struct ice_matcher *matcher, const struct ice_data_file *file);
/* The decoded footer of a data file, shared by the cache; release with ice_footer_release. WEIR_E_UNSUPPORTED for a file
 * with deletes: its bytes are not its rows. */
struct ice_footer;
int ice_footer_open(struct ice_table *table, const struct ice_data_file *file, struct ice_footer **ret_footer,
	const struct pq_file **ret_file, struct weir_error *err);
void ice_footer_release(struct ice_footer *footer);

/* Rows of planned files, file after file, in the table's schema or a projection of it: columns by field id (by the table's
 * name mapping, or by name, in files without ids), defaults for what a file lacks, less what its deletes take away. The
 * filter skips pages only (callers test rows). position tells where a batch stands; in a file with deletes it is that of the
 * batch before them, and ICE_FIELD_POSITION in the projection tells each row's. */
struct ice_reader;
int ice_reader_open(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count,
	const struct weir_schema *projection, const struct expr_filter *filter, struct ice_reader **ret_reader,
	struct weir_error *err);
int ice_reader_next(struct ice_reader *reader, struct weir_batch **ret_batch, uint32_t *ret_file,
	uint64_t *ret_first_row, struct weir_error *err);
void ice_reader_close(struct ice_reader *reader);

/* ---- writing files ---- */
enum ice_write_order {
	ICE_WRITE_SORTED, /* each file in the table's default sort order, where it declares one, and as the rows come where not */
	ICE_WRITE_AS_COMES, /* and no order claimed: the caller has its own */
};

struct ice_write_options {
	int32_t spec_id;
	struct weir_str prefix; /* of file names: reserved in control's pending_files before the first byte */
	uint64_t target_bytes;  /* 0: 128 MiB; a file is closed past it */
	enum codec codec;       /* zstd */
	int level;              /* 1 */
	const int32_t *bloom_ids;
	uint32_t bloom_count;
	uint32_t max_open; /* 0: 64 partitions open at once; more: the one longest unused is closed */
	bool lineage;      /* batches have ice_lineage_schema's columns: rows keep the ids that they had */
	uint64_t
		row_group_bytes; /* 0: 128 MiB; a row group ends at 32,768 rows, or past so much before it is compressed */
	enum ice_write_order order;
	uint64_t sort_bytes; /* 0: 256 MiB; rows that are held to be sorted at once. More begin new files */
};

/* What was written: open store files, and what manifests will say of them. */
struct ice_written {
	struct weir_arena *arena;
	struct ice_data_file *files;
	struct store_file **handles; /* not yet durable: pass to store_barrier, or ice_written_abandon */
	uint32_t count;
};

/* Sets what the table's properties say of files: write.parquet.compression-codec (zstd) and -level (zstd: 1),
 * write.parquet.row-group-size-bytes, and write.target-file-size-bytes where target_bytes is 0. */
int ice_write_properties(
	const struct ice_metadata *metadata, struct ice_write_options *options, struct weir_error *err);

/* The table's schema and behind it _row_id and _last_updated_sequence_number; in arena. */
const struct weir_schema *ice_lineage_schema(struct weir_arena *arena, const struct weir_schema *schema);

/* Splits rows by partition tuple of the spec; within a file they are in the options' order. Its sort_order_id says which. */
struct ice_writer;
int ice_writer_open(struct ice_table *table, const struct ice_write_options *options, struct ice_writer **ret_writer,
	struct weir_error *err);
/* The batch has the table's columns in the table's order. */
int ice_writer_add(struct ice_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err);
/* A row group encoded elsewhere, or copied from a file of the same partition. All its rows are in `partition`. */
int ice_writer_splice(struct ice_writer *writer, const struct ice_partition_value *partition,
	const struct pq_row_group *group, struct weir_error *err);
int ice_writer_close(struct ice_writer *take_writer, struct ice_written *ret_written, struct weir_error *err);
void ice_writer_abandon(struct ice_writer *take_writer);
/* Deletes what was written, where it is not to be committed. */
void ice_written_abandon(struct store *store, struct ice_written *take_written);
void ice_written_free(struct ice_written *written); /* after the barrier took the handles */

/* ---- changing a table ---- */
enum ice_operation { ICE_OP_APPEND, ICE_OP_REPLACE, ICE_OP_OVERWRITE, ICE_OP_DELETE };

struct ice_edit {
	enum ice_operation operation;
	const struct ice_data_file
		*added; /* durable already; delete files and deletion vectors among them: a row delta */
	uint32_t added_count;
	const struct weir_str *removed; /* paths (URIs) of live data files; one that is not live is a CONFLICT */
	uint32_t removed_count;
	const struct ice_kv *summary; /* further members of the snapshot's summary */
	uint32_t summary_count;
	struct weir_str prefix;                      /* of manifests', lists' and metadata files' names */
	const struct ice_data_file *removed_deletes; /* live delete files, told apart by path and content_offset */
	uint32_t removed_delete_count;
	const struct weir_str
		*referenced; /* data files whose rows are deleted, where no added file says so: position deletes
	                                       of several. They must be live */
	uint32_t referenced_count;
	bool rewrite_manifests;       /* every manifest is written anew, however large */
	int64_t data_sequence_number; /* of added data files; 0: the new snapshot's. A rewrite gives the one of what it
	                                       read, so that equality deletes that came meanwhile still apply */
	struct weir_str branch;       /* size 0: main. Another one is made where the table lacks it */
	uint32_t keep_snapshots;      /* 0: all; older ones are dropped, their files doomed */
	/* Erasure (CONSENT.md, "Bytes"): every older snapshot, branch, tag and metadata file goes, every manifest that is older
	 * than this change is rewritten or dropped, metadata-log is emptied, and DELETED entries have neither counts nor bounds. */
	bool erase;
	int64_t now_ms;
};

/*
 * A row delta must speak of rows that are there: a deletion vector whose data file is no longer live, or has another
 * vector that the edit does not remove, is WEIR_E_CONFLICT. So are position deletes of a file to remove that came after
 * the edit was planned (after its base's sequence number, or data_sequence_number): the rows would be back. Row ids of
 * version 3 are assigned from the table's next one; files that are rewritten keep theirs by the columns of struct
 * ice_write_options' lineage.
 *
 * Prepares a new version: manifests, manifest list, metadata.json, all durable on return. Added files go into one new
 * manifest per spec and per value of the table property `weir.manifest-by` (a partition field's name, so that
 * purposes never share a manifest); small manifests of the same group are merged geometrically, so that the
 * cost of a commit does not grow with the table. Old snapshots' files, removed data files that no kept
 * snapshot names, and replaced metadata are collected as doomed.
 */
struct ice_prepared;
int ice_prepare(struct ice_table *base, const struct ice_edit *edit, struct ice_prepared **ret_prepared,
	struct weir_error *err);
/*
 * A change of metadata alone (branches, tags, rollback, schemas, properties). `change` turns *next, a copy of the base, into
 * what is wanted; what it makes lives in arena. Called once an attempt; the context outlives the prepared change.
 */
typedef int ice_revise_fn(void *context, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err);
int ice_revise(struct ice_table *base, ice_revise_fn *change, void *context, struct weir_str prefix, int64_t now_ms,
	struct ice_prepared **ret_prepared, struct weir_error *err);
/* Adds the pointer's swap, and the doomed files' rows of weir_doomed_files, to a change. */
void ice_stage(const struct ice_prepared *prepared, struct control_change *change);
/* After a CONFLICT on this table: the same edit on top of a newer version (data files are kept; new metadata). */
int ice_rebase(struct ice_prepared *prepared, struct ice_table *newer, struct weir_error *err);
/* The version that this change makes; referenced for the caller. */
struct ice_table *ice_prepared_table(const struct ice_prepared *prepared);
int64_t ice_prepared_snapshot(const struct ice_prepared *prepared);
/* Names (in the store) that no version needs after the commit. Borrowed. */
uint32_t ice_prepared_doomed(const struct ice_prepared *prepared, const char *const **ret_names);
/* Deletes the metadata files of a change that will not be committed, then frees. */
void ice_prepared_abandon(struct ice_prepared *take_prepared);
void ice_prepared_free(struct ice_prepared *take_prepared);

/* Every name in the store that the version reaches: metadata file, lists, manifests, data files; for check and orphan removal. */
typedef int ice_name_fn(
	void *context, struct weir_str name, const struct ice_data_file *file_or_null, struct weir_error *err);
int ice_table_reachable(struct ice_table *table, ice_name_fn *name, void *context, struct weir_error *err);

/*
 * Schema evolution as data: a table whose definition gained optional columns at the end, or a partition spec. Prepares a new
 * metadata version without a snapshot; staged like any other. WEIR_E_UNSUPPORTED, naming the column, for other differences.
 */
int ice_evolve(struct ice_table *base, const struct ice_definition *definition, struct weir_str prefix, int64_t now_ms,
	struct ice_prepared **ret_prepared, struct weir_error *err);

#endif
