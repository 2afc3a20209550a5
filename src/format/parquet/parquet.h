/*
 * Apache Parquet: record batches <-> files (format 2.11). Names begin with pq_.
 *
 * Writing: batches of one schema go into row groups; each row group is encoded on its own (dictionary
 * where it pays by measuring, else PLAIN or DELTA_BINARY_PACKED; UUIDs and pages that shrink by less
 * than a tenth stay uncompressed), and a finished row group can be spliced byte for byte into another
 * file of the same schema. Files have field ids, column and offset indexes, statistics, pages of at
 * most 2,048 rows, and on request split-block bloom filters.
 *
 * Reading: any schema; a projection by field id (or by name where the file has none), row groups and
 * pages skipped by expr terms, columns of a filter decoded before the others, batches of at most 2,048 rows.
 */
#ifndef WEIR_FORMAT_PARQUET_H
#define WEIR_FORMAT_PARQUET_H

#include "base/buf.h"
#include "codec/codec.h"
#include "column/batch.h"
#include "expr/expr.h"

/* ---- what is known of a column of a file: feeds Iceberg's data file metrics ---- */
struct pq_column_stats {
	int32_t field_id;     /* a leaf's field id */
	uint64_t value_count; /* nulls included (Iceberg's value_counts) */
	uint64_t null_count;
	uint64_t nan_count;
	uint64_t size_bytes;        /* compressed, headers included */
	bool has_bounds;            /* none for maps, lists, binary longer than the limit, or all null */
	struct expr_value min, max; /* exact, untruncated; owned by the stats' arena; decimals as their unscaled
	                               number (none past 64 bits); text of at most 256 bytes */
};

struct pq_file_info {
	uint64_t size_bytes;
	uint64_t row_count;
	uint32_t column_count; /* leaves */
	struct pq_column_stats *columns;
	uint32_t row_group_count;
	uint64_t *split_offsets; /* first byte of each row group */
};

/* ---- writing ---- */
struct pq_write_options {
	enum codec codec; /* zstd by default of callers */
	int level;
	uint32_t row_group_rows;  /* 0: 32,768 */
	uint64_t row_group_bytes; /* 0: 128 MiB; a row group ends past so much before it is compressed */
	const int32_t *bloom_ids; /* field ids of leaves that get a bloom filter */
	uint32_t bloom_count;
	bool byte_stream_split; /* for floats and doubles, where it is smaller by measuring; Iceberg, Trino, DuckDB
	                                and Arrow know it, Spark's own reader of plain Parquet does not */
	bool plain_text; /* texts without a dictionary stay PLAIN, for readers that know neither DELTA_BYTE_ARRAY nor
	                           DELTA_LENGTH_BYTE_ARRAY */
	const char *created_by; /* NULL: "weir version ..." */
	const struct pq_key_value *metadata;
	uint32_t metadata_count;
};

struct pq_key_value {
	const char *key;
	const char *value;
};

/* One encoded row group: its bytes (pages with headers) and what the footer and indexes will say of it, relative
 * to its first byte. Immutable; made on any thread. */
struct pq_row_group;
void pq_row_group_free(struct pq_row_group *group);
uint64_t pq_row_group_bytes(const struct pq_row_group *group);
uint64_t pq_row_group_rows(const struct pq_row_group *group);

/* Encodes rows as they come; after row_group_rows rows, or flush, a row group is finished and waits to be taken. */
struct pq_encoder;
struct pq_encoder *pq_encoder_new(const struct weir_schema *schema, const struct pq_write_options *options);
void pq_encoder_free(struct pq_encoder *encoder);
/* selection NULL: all rows. The batch's schema has the encoder's fields in the encoder's order. A failure (null in
 * a required field, a decimal or text that is too long) forgets the rows that are pending. */
int pq_encoder_add(struct pq_encoder *encoder, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err);
int pq_encoder_flush(struct pq_encoder *encoder, struct weir_error *err);
/* The next finished row group, owned by the caller; NULL where there is none. */
struct pq_row_group *pq_encoder_take(struct pq_encoder *encoder);
uint64_t pq_encoder_pending_rows(const struct pq_encoder *encoder);

/* A file: magic, spliced row groups, indexes, bloom filters, footer. */
struct pq_writer;
int pq_writer_open(struct weir_byte_sink sink, const struct weir_schema *schema, const struct pq_write_options *options,
	struct pq_writer **ret_writer, struct weir_error *err);
/* Encoding and splicing in one: through an encoder of its own. */
int pq_writer_add(struct pq_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err);
/* Appends an encoded row group byte for byte (after what add has pending is flushed). */
int pq_writer_splice(struct pq_writer *writer, const struct pq_row_group *group, struct weir_error *err);
/* Writes the footer. *ret_info lives in arena. The writer is freed, whatever comes of it. */
int pq_writer_close(
	struct pq_writer *take_writer, struct weir_arena *arena, struct pq_file_info *ret_info, struct weir_error *err);
void pq_writer_abandon(struct pq_writer *take_writer);

/* ---- reading ---- */
/* The decoded footer and indexes of one file: immutable, shareable between threads and readers. */
struct pq_file;
int pq_file_open(struct weir_byte_source source, struct pq_file **ret_file, struct weir_error *err);
void pq_file_free(struct pq_file *file);
const struct weir_schema *pq_file_schema(const struct pq_file *file); /* field ids 0 where the file has none */
uint64_t pq_file_row_count(const struct pq_file *file);
uint32_t pq_file_row_group_count(const struct pq_file *file);
uint64_t pq_file_row_group_rows(const struct pq_file *file, uint32_t row_group);
size_t pq_file_memory(const struct pq_file *file); /* bytes that the decoded footer holds */
/* Statistics of one leaf in one row group; false where the file has none that can be trusted. */
bool pq_file_bounds(const struct pq_file *file, uint32_t row_group, int32_t field_id, struct expr_bounds *ret_bounds);

/* What a file says of a column (a leaf) and of its chunk in one row group, for people. Texts live in arena or file. */
struct pq_column_description {
	struct weir_str path;           /* names from the top, with points: "metrics.value" */
	const struct weir_field *field; /* of the file's schema */
	const char *physical;           /* "INT64" */
	uint8_t max_definition, max_repetition;
};

struct pq_chunk_description {
	const char *codec;         /* "zstd" */
	struct weir_str encodings; /* "RLE_DICTIONARY RLE PLAIN" */
	uint64_t value_count;      /* nulls and empty lists included */
	uint64_t plain_bytes, size_bytes;
	uint32_t page_count;  /* data pages, 0 where the file has no offset index */
	uint32_t bloom_bytes; /* 0 where the file does not say */
	bool has_bloom, has_column_index, encrypted;
	struct expr_bounds bounds;
};

uint32_t pq_file_column_count(const struct pq_file *file);
struct weir_str pq_file_created_by(const struct pq_file *file); /* empty where it does not say */
void pq_file_describe_column(const struct pq_file *file, uint32_t column, struct weir_arena *arena,
	struct pq_column_description *ret_description);
int pq_file_describe_chunk(const struct pq_file *file, uint32_t row_group, uint32_t column, struct weir_arena *arena,
	struct pq_chunk_description *ret_description, struct weir_error *err);

struct pq_read_options {
	const struct weir_schema *schema; /* what to read, matched by field id, then by name; columns that the file
	                                     lacks are null; int widens to long, float to double, date to timestamp. NULL: all
	                                     of it */
	struct expr_filter filter;        /* skips row groups, pages, and batches without a row that matches (of them
	                                     no other column is decoded); the rows that remain are NOT filtered */
	const uint32_t *row_groups;       /* only these; NULL: all */
	uint32_t row_group_count;
	uint64_t memory_limit_bytes; /* a page that decompresses to more is WEIR_E_LIMIT; 0: 256 MiB */
};

struct pq_read_counts {
	uint32_t row_groups_read, row_groups_skipped, pages_read, pages_skipped;
	uint64_t bytes_read;
	uint64_t rows_skipped; /* by their values: pages and row groups not counted */
};

struct pq_reader;
/* The file and what options point to outlive the reader. */
int pq_reader_open(const struct pq_file *file, const struct pq_read_options *options, struct pq_reader **ret_reader,
	struct weir_error *err);
/* The next batch; NULL at the end. The batch is owned by itself (release) and outlives the reader.
 * *ret_first_row (may be NULL): position of its first row in the file; rows of a batch are consecutive. */
int pq_reader_next(
	struct pq_reader *reader, struct weir_batch **ret_batch, uint64_t *ret_first_row, struct weir_error *err);
struct pq_read_counts pq_reader_counts(const struct pq_reader *reader);
void pq_reader_close(struct pq_reader *reader);
/* The raw bytes of a row group and its footer entry, to be spliced into another file of the same schema. */
int pq_file_row_group_copy(
	const struct pq_file *file, uint32_t row_group, struct pq_row_group **ret_group, struct weir_error *err);

#endif
