/*
 * What the files of format/parquet share: metadata as decoded, leaves of a schema, row groups.
 *
 * thrift.c            the compact protocol
 * meta_read.c         footer, page headers, indexes: bytes -> structs
 * meta_write.c        structs -> bytes
 * schema_write.c      weir_schema -> leaves and schema elements
 * schema_read.c       schema elements -> weir_schema and nodes
 * rle.c, delta.c      the encodings that take more than a copy
 * dictionary.c        distinct values of a column chunk
 * encoder.c, chunk.c  batches -> row groups
 * writer.c            row groups -> file
 * file.c              file -> decoded footer, statistics
 * describe.c          what a file says of its columns and chunks, for people
 * page.c, values.c    column chunk -> pages -> values
 * nested.c, reader.c  levels and values -> columns, batches
 * bloom.c             split-block bloom filters
 */
#ifndef WEIR_PARQUET_INT_H
#define WEIR_PARQUET_INT_H

#include "base/arena.h"
#include "format/parquet/parquet.h"

/* parquet.thrift: Type, FieldRepetitionType, Encoding, CompressionCodec, PageType, ConvertedType */
enum pq_physical { PQ_BOOLEAN, PQ_INT32, PQ_INT64, PQ_INT96, PQ_FLOAT, PQ_DOUBLE, PQ_BYTE_ARRAY, PQ_FIXED };
enum pq_repetition { PQ_REQUIRED, PQ_OPTIONAL, PQ_REPEATED };

enum pq_encoding {
	PQ_PLAIN = 0,
	PQ_PLAIN_DICTIONARY = 2,
	PQ_RLE = 3,
	PQ_BIT_PACKED = 4,
	PQ_DELTA_BINARY_PACKED = 5,
	PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
	PQ_DELTA_BYTE_ARRAY = 7,
	PQ_RLE_DICTIONARY = 8,
	PQ_BYTE_STREAM_SPLIT = 9,
};

enum pq_page_type { PQ_DATA_PAGE = 0, PQ_INDEX_PAGE = 1, PQ_DICTIONARY_PAGE = 2, PQ_DATA_PAGE_V2 = 3 };

enum pq_converted {
	PQ_UTF8 = 0,
	PQ_MAP = 1,
	PQ_MAP_KEY_VALUE = 2,
	PQ_LIST = 3,
	PQ_ENUM = 4,
	PQ_DECIMAL = 5,
	PQ_DATE = 6,
	PQ_TIME_MILLIS = 7,
	PQ_TIME_MICROS = 8,
	PQ_TIMESTAMP_MILLIS = 9,
	PQ_TIMESTAMP_MICROS = 10,
	PQ_UINT_8 = 11,
	PQ_UINT_16 = 12,
	PQ_UINT_32 = 13,
	PQ_UINT_64 = 14,
	PQ_INT_8 = 15,
	PQ_INT_16 = 16,
	PQ_INT_32 = 17,
	PQ_INT_64 = 18,
	PQ_JSON = 19,
	PQ_BSON = 20,
	PQ_INTERVAL = 21,
	PQ_CONVERTED_NONE = -1,
};

/* LogicalType's union: the field ids */
enum pq_logical {
	PQ_LOGICAL_NONE = 0,
	PQ_LOGICAL_STRING = 1,
	PQ_LOGICAL_MAP = 2,
	PQ_LOGICAL_LIST = 3,
	PQ_LOGICAL_ENUM = 4,
	PQ_LOGICAL_DECIMAL = 5,
	PQ_LOGICAL_DATE = 6,
	PQ_LOGICAL_TIME = 7,
	PQ_LOGICAL_TIMESTAMP = 8,
	PQ_LOGICAL_INTEGER = 10,
	PQ_LOGICAL_UNKNOWN = 11,
	PQ_LOGICAL_JSON = 12,
	PQ_LOGICAL_BSON = 13,
	PQ_LOGICAL_UUID = 14,
	PQ_LOGICAL_FLOAT16 = 15,
	PQ_LOGICAL_VARIANT = 16,
	PQ_LOGICAL_GEOMETRY = 17,
	PQ_LOGICAL_GEOGRAPHY = 18,
};

enum pq_unit { PQ_MILLIS = 1, PQ_MICROS = 2, PQ_NANOS = 3 };

/* Limits on what a file may ask for. */
#define PQ_FOOTER_LIMIT         ((size_t)256 << 20)
#define PQ_PAGE_HEADER_LIMIT    ((size_t)8 << 20)
#define PQ_INDEX_LIMIT          ((size_t)64 << 20)
#define PQ_SCHEMA_DEPTH_LIMIT   24
#define PQ_MEMORY_LIMIT_DEFAULT ((uint64_t)256 << 20)
#define PQ_ENTRIES_LIMIT        ((uint32_t)1 << 24) /* list elements of one batch of rows, a leaf */
#define PQ_LEAF_LIMIT           65536
/* What the writer makes. */
#define PQ_PAGE_ROWS         WEIR_BATCH_ROWS
#define PQ_PAGE_BYTES        ((size_t)1 << 20)
#define PQ_ROW_GROUP_ROWS    32768
#define PQ_ROW_GROUP_BYTES   ((uint64_t)128 << 20)
#define PQ_BOUND_LIMIT       256 /* longer minima and maxima are truncated in statistics, and not given out */
#define PQ_INDEX_BOUND_LIMIT 64  /* longer ones are truncated in the column index */

#define PQ_MAGIC         "PAR1"
#define PQ_NAN_COUNT_KEY "nan_count" /* key of a column chunk's metadata */

struct pq_element {
	struct weir_str name;
	int32_t physical; /* enum pq_physical, -1 for a group */
	int32_t type_length;
	int32_t repetition;
	int32_t child_count;
	int32_t converted;
	int32_t scale, precision;
	int32_t field_id;
	bool has_field_id;
	uint8_t logical; /* enum pq_logical */
	uint8_t unit;    /* enum pq_unit */
	bool utc;
	int8_t bit_width;
	bool is_signed;
};

/* A min or max as the file has it: PLAIN without a length. NULL data: not there. */
struct pq_stats {
	struct weir_str min, max;
	bool min_exact, max_exact;
	bool old_order; /* of the deprecated fields: signed bytes, right for signed numbers only */
	bool has_null_count;
	uint64_t null_count;
};

struct pq_page_info {
	uint64_t offset; /* of the page header: in a row group, relative to its first byte */
	uint32_t size;   /* header and compressed body */
	uint64_t first_row;
	uint64_t null_count;
	bool all_null;
	struct weir_str min, max;
};

struct pq_chunk {
	int32_t physical;
	uint32_t encodings;      /* bit i: enum pq_encoding i is used */
	uint32_t data_encodings; /* of data pages only, where the file says so; else 0 */
	int32_t codec;           /* parquet.thrift's number */
	uint64_t value_count;
	uint64_t plain_size, packed_size; /* headers included */
	uint64_t data_offset;
	uint64_t dictionary_offset;
	bool has_dictionary;
	bool external; /* in another file */
	bool encrypted;
	struct pq_stats stats;
	uint64_t nan_count;
	/* where the file has them; 0: nowhere */
	uint64_t bloom_offset;
	uint32_t bloom_size;
	uint64_t column_index_offset, offset_index_offset;
	uint32_t column_index_size, offset_index_size;
	/* of row groups in memory only */
	struct pq_page_info *pages;
	uint32_t page_count;
	uint8_t index_order;        /* BoundaryOrder: 0 unordered, 1 ascending, 2 descending */
	bool has_index;             /* false: minima and maxima of pages are not known */
	struct weir_str bloom;      /* header and bits */
	struct expr_value min, max; /* exact; text in the row group's arena */
	bool has_bounds;
};

struct pq_row_group_meta {
	struct pq_chunk *chunks; /* one a leaf */
	uint64_t rows;
	uint64_t first_row;
	uint64_t plain_size;
};

struct pq_row_group {
	struct weir_arena *arena;
	struct weir_buf bytes;
	uint64_t rows;
	uint64_t plain_size;
	uint64_t shape; /* pq_elements_shape of its schema */
	uint32_t chunk_count;
	struct pq_chunk *chunks;
};

struct pq_meta {
	struct pq_element *elements;
	uint32_t element_count;
	uint32_t leaf_count;
	struct pq_row_group_meta *groups;
	uint32_t group_count;
	uint64_t rows;
	struct weir_str created_by;
	bool trust_signed_only; /* statistics without min_value and max_value are of use for signed numbers only */
	bool encrypted;
};

struct pq_page_header {
	int32_t type;
	int32_t plain_size, packed_size;
	int32_t value_count;
	int32_t encoding;
	int32_t def_encoding, rep_encoding; /* v1 */
	int32_t null_count, row_count;      /* v2 */
	int32_t def_size, rep_size;         /* v2 */
	bool compressed;                    /* v2 */
	bool has_crc;
	uint32_t crc;
	size_t header_size;
};

/* ---- meta_read.c ---- */
/* name is the file's, for errors; offsets in errors are in the file. */
int pq_meta_decode(struct weir_arena *arena, struct weir_str name, uint64_t offset, const void *data, size_t size,
	struct pq_meta *ret_meta, struct weir_error *err);
/* *ret_truncated: the bytes end within the header, more of them may help. */
int pq_page_header_decode(
	const void *data, size_t size, struct pq_page_header *ret_header, bool *ret_truncated, struct weir_error *err);
int pq_offset_index_decode(
	struct weir_arena *arena, const void *data, size_t size, struct pq_chunk *chunk, struct weir_error *err);
/* After the offset index; min and max are copied into arena. */
int pq_column_index_decode(
	struct weir_arena *arena, const void *data, size_t size, struct pq_chunk *chunk, struct weir_error *err);
int pq_bloom_header_decode(
	const void *data, size_t size, uint32_t *ret_bits_size, size_t *ret_header_size, struct weir_error *err);

/* ---- meta_write.c ---- */
void pq_element_encode(struct weir_buf *out, const struct pq_element *element);
void pq_page_header_encode(struct weir_buf *out, const struct pq_page_header *header);
/* chunk's offsets are those of the file. path: names from the top. */
void pq_chunk_encode(
	struct weir_buf *out, const struct pq_chunk *chunk, const struct weir_str *path, uint32_t path_count);
void pq_offset_index_encode(struct weir_buf *out, const struct pq_chunk *chunk);
void pq_column_index_encode(struct weir_buf *out, const struct pq_chunk *chunk);
void pq_bloom_header_encode(struct weir_buf *out, uint32_t bits_size);

/* ---- schema_write.c ---- */
/* One step from a top-level field to a leaf. */
struct pq_step {
	const struct weir_field *field;
	uint32_t child; /* index among the parent's children; of the first step: among the schema's fields */
	bool optional;
};

struct pq_leaf {
	const struct weir_field *field;
	struct pq_step *steps;
	uint32_t step_count;
	struct weir_str *path; /* names of the schema elements, the groups of lists and maps included */
	uint32_t path_count;
	uint8_t max_def, max_rep;
	int32_t physical;
	uint32_t width; /* bytes of a value in PLAIN; 0: length-prefixed; booleans: 1 */
	bool bounds;    /* has minima and maxima: not within a list or map */
	bool bloom;
};

struct pq_layout {
	const struct weir_schema *schema;
	struct pq_leaf *leaves;
	uint32_t leaf_count;
	struct pq_element *elements; /* the root first */
	uint32_t element_count;
};

int pq_layout_make(struct weir_arena *arena, const struct weir_schema *schema, struct pq_layout *ret_layout,
	struct weir_error *err);
/* A hash of what decides how bytes are read: levels, physical and logical types. Equal shapes can be spliced. */
uint64_t pq_elements_shape(const struct pq_element *elements, uint32_t count);
/* Bytes of an unscaled decimal of that precision as Parquet's FIXED. */
uint32_t pq_decimal_bytes(uint32_t precision);

/* ---- schema_read.c ---- */
/* How a value of the file becomes one of the column. */
enum pq_convert {
	PQ_AS_IS, /* the same bytes */
	PQ_BOOL_BYTE,
	PQ_I32_I64,
	PQ_U32_I64,
	PQ_I64_TIMES_1000,
	PQ_I32_TIMES_1000, /* milliseconds of a day */
	PQ_DAYS_MICROS,    /* the midnight of a date */
	PQ_DAYS_NANOS,
	PQ_I64_OVER_1000,
	PQ_F32_F64,
	PQ_I32_DECIMAL,
	PQ_I64_DECIMAL,
	PQ_U64_DECIMAL,
	PQ_BYTES_DECIMAL,
	PQ_F16_F32,
	PQ_F16_F64,
	PQ_BYTES_UUID,
	PQ_BYTES_VIEW,
};

struct pq_node {
	struct weir_field *field;   /* of the file's schema */
	struct pq_node *children;   /* as field->children */
	uint32_t leaf;              /* primitives: which column chunk */
	uint32_t first_leaf;        /* the first leaf under it */
	uint8_t def;                /* definition level from which the value is not null */
	uint8_t slot_def, slot_rep; /* levels of the nearest repeated ancestor (itself excluded) */
	uint8_t item_def, item_rep; /* lists and maps: levels of the repeated group */
	int32_t physical;
	uint32_t type_length;
	enum pq_convert convert;
	const char *unsupported; /* why its values cannot be read; NULL: they can */
};

struct pq_leaf_levels {
	uint8_t max_def, max_rep;
	int32_t physical;
	uint32_t type_length;
	const struct pq_node *node;
};

struct pq_tree {
	struct weir_schema *schema;
	struct pq_node *nodes; /* one a top-level field */
	struct pq_leaf_levels *leaves;
	uint32_t leaf_count;
};

int pq_tree_make(struct weir_arena *arena, struct weir_str name, const struct pq_meta *meta, struct pq_tree *ret_tree,
	struct weir_error *err);

/* ---- file.c ---- */
struct pq_file {
	struct weir_byte_source source;
	struct weir_arena *arena;
	struct pq_meta meta;
	struct pq_tree tree;
	uint64_t footer_offset;
};

/* Bytes of a bound as a value of a leaf; false where they are not one. */
bool pq_bound_decode(const struct pq_node *node, struct weir_str bytes, struct expr_value *ret_value);
/* Statistics of a leaf in a row group; false where there are none that can be trusted. */
bool pq_chunk_bounds(
	const struct pq_file *file, uint32_t row_group, const struct pq_node *node, struct expr_bounds *ret_bounds);
/* The leaf of a field id, or NULL. */
const struct pq_node *pq_file_leaf(const struct pq_file *file, int32_t field_id);
int pq_file_read_index(const struct pq_file *file, struct weir_arena *arena, struct pq_chunk *chunk, bool with_bounds,
	struct weir_error *err);

/* ---- rle.c: the hybrid of run lengths and bit packing ---- */
void pq_rle_encode(struct weir_buf *out, const uint32_t *values, uint32_t count, unsigned bit_width);
void pq_rle_encode_levels(struct weir_buf *out, const uint8_t *levels, uint32_t count, unsigned bit_width);

struct pq_rle {
	const uint8_t *at, *end;
	unsigned bit_width;
	uint32_t value; /* of a run */
	uint64_t run_left;
	uint64_t packed_left;
	const uint8_t *packed;
	uint64_t packed_bit;
};

void pq_rle_open(struct pq_rle *rle, const void *data, size_t size, unsigned bit_width);
/* Exactly count values; false where the data ends before. */
bool pq_rle_read(struct pq_rle *rle, uint32_t count, uint32_t *ret_values);
/* Moves past count values; nothing is read of them. */
bool pq_rle_skip(struct pq_rle *rle, uint32_t count);
bool pq_rle_read_levels(struct pq_rle *rle, uint32_t count, uint8_t *ret_levels);

static inline unsigned pq_bit_width(uint32_t max)
{
	return max == 0 ? 0 : 32U - (unsigned)__builtin_clz(max);
}

/* ---- delta.c: DELTA_BINARY_PACKED ---- */
void pq_delta_encode(struct weir_buf *out, const int64_t *values, uint32_t count, unsigned width_bits);

struct pq_delta {
	const uint8_t *at, *end;
	uint64_t left; /* values not yet read */
	uint64_t last;
	uint64_t block_size;
	uint32_t mini_count, mini_at;
	uint64_t mini_size, mini_left;
	uint64_t block_left; /* values of the block not yet begun */
	uint64_t min_delta;
	const uint8_t *widths;
	uint64_t bit; /* within the miniblock */
	const uint8_t *mini;
	bool first;
};

bool pq_delta_open(struct pq_delta *delta, const uint8_t *data, const uint8_t *end);
bool pq_delta_read(struct pq_delta *delta, uint32_t count, int64_t *ret_values);
/* The first byte after the encoded values, without decoding them; NULL where the data is damaged. */
const uint8_t *pq_delta_end(const uint8_t *data, const uint8_t *end);

/* ---- delta_text.c: count texts of a PLAIN stream ---- */
void pq_delta_length_encode(struct weir_buf *out, const char *plain, uint32_t count); /* DELTA_LENGTH_BYTE_ARRAY */
void pq_delta_text_encode(struct weir_buf *out, const char *plain, uint32_t count);   /* DELTA_BYTE_ARRAY */
/* Bytes with which both begin. */
size_t pq_shared_prefix(struct weir_str a, struct weir_str b);

/* ---- dictionary.c ---- */
struct pq_text_key {
	uint64_t a, b;
};

struct pq_dictionary {
	struct weir_buf bytes; /* a PLAIN dictionary page */
	uint32_t width;        /* 0: length-prefixed */
	uint32_t count;
	uint32_t *offsets;        /* of entries of width 0, at the length */
	struct pq_text_key *keys; /* of the same: what is compared before the bytes are */
	uint32_t offset_capacity; /* of both */
	uint64_t *slots;          /* hash << 32 | code + 1 */
	uint32_t slot_count;      /* a power of two */
};

void pq_dictionary_init(struct pq_dictionary *dictionary, uint32_t width);
void pq_dictionary_clear(struct pq_dictionary *dictionary);
void pq_dictionary_done(struct pq_dictionary *dictionary);
uint32_t pq_dictionary_add_text(struct pq_dictionary *dictionary, const struct weir_view *text);
/* Codes of count values of width 4, 8 or 16; false, with what was done undone, past max_count distinct ones. */
bool pq_dictionary_add_fixed(
	struct pq_dictionary *dictionary, const void *values, uint32_t count, uint32_t max_count, uint32_t *ret_codes);
struct weir_str pq_dictionary_text(const struct pq_dictionary *dictionary, uint32_t code);

/* ---- bloom.c ---- */
struct pq_bloom {
	uint32_t *words;
	uint32_t block_count; /* a power of two */
};

void pq_bloom_init(struct pq_bloom *bloom, uint64_t distinct);
void pq_bloom_add(struct pq_bloom *bloom, const void *value, size_t size);
bool pq_bloom_has(const void *bits, size_t bits_size, const void *value, size_t size);
void pq_bloom_done(struct pq_bloom *bloom);

/* ---- chunk.c: one leaf of a row group in the making ---- */
struct pq_page_mark {
	uint64_t first_row;
	uint64_t first_entry;
	uint64_t first_value;
	uint64_t first_byte; /* in plain */
};

struct pq_column_writer {
	const struct pq_leaf *leaf;
	struct weir_buf plain; /* fixed widths: the values; text: a PLAIN stream while there is no dictionary */
	struct weir_buf codes; /* uint32_t, text with a dictionary */
	struct pq_dictionary dictionary;
	bool use_dictionary;            /* text only: codes hold the values */
	enum pq_encoding text_encoding; /* text without a dictionary: what was found best */
	uint32_t text_groups;           /* for so many row groups to come */
	uint64_t text_bytes;            /* what the text would take in PLAIN */
	uint64_t page_bytes;
	uint64_t value_count; /* not null */
	uint64_t entry_count; /* with nulls and empty lists */
	bool any_missing;     /* some entry is not at the highest definition level */
	struct weir_buf defs, reps;
	struct pq_page_mark *pages;
	uint32_t page_count, page_capacity;
	/* from the dictionary of the batch at hand to codes; valid where the stamp is that of the batch */
	uint64_t *remap;
	uint32_t remap_capacity;
	uint32_t remap_stamp;
};

struct pq_scratch {
	struct codec_state *codec;
	enum codec kind;
	int level;
	bool may_split, may_delta_text;
	struct weir_buf body, packed, tail;
	uint32_t *codes; /* for PQ_ROW_GROUP values and more */
	size_t code_capacity;
	uint32_t *stamps;
	size_t stamp_capacity;
	uint32_t *picks; /* rows of a leaf's column that hold values */
	uint32_t pick_count;
	bool contiguous; /* picks are consecutive rows */
	size_t pick_capacity;
	struct pq_dictionary dictionaries[3]; /* of width 4, 8, 16 */
};

void pq_scratch_init(struct pq_scratch *scratch, const struct pq_write_options *options);
void pq_scratch_done(struct pq_scratch *scratch);

void pq_column_writer_init(struct pq_column_writer *column, const struct pq_leaf *leaf);
void pq_column_writer_done(struct pq_column_writer *column);
void pq_column_writer_reset(struct pq_column_writer *column);
void pq_column_writer_begin_page(struct pq_column_writer *column, uint64_t first_row);
/* Encodes everything that was added as a column chunk at the end of group->bytes. */
int pq_column_writer_finish(struct pq_column_writer *column, struct pq_scratch *scratch, uint64_t rows,
	struct pq_row_group *group, struct pq_chunk *ret_chunk, struct weir_error *err);
int32_t pq_codec_number(enum codec codec);

/* ---- bounds.c: minima and maxima while pages are written, in the form that the file has ---- */
struct pq_bounds {
	bool has;
	struct weir_str min, max; /* borrowed: text, or in store, where it is copied along with the struct's owner */
	uint8_t store[2][16];
	uint64_t min_head, max_head; /* text: the first 8 bytes as a number that orders as they do */
	uint64_t nan_count;
};

/* Of values of a fixed width; a NaN is counted and is no bound. */
void pq_bounds_of_fixed(const struct pq_leaf *leaf, const void *values, uint32_t count, struct pq_bounds *ret_bounds);
void pq_bounds_add_text(struct pq_bounds *bounds, struct weir_str text);
/* <0, 0, >0 in the column order of the leaf's type. */
int pq_bound_order(const struct pq_leaf *leaf, struct weir_str a, struct weir_str b);
/* As a literal of the leaf's column; false for decimals past 64 bits. Text is borrowed. */
bool pq_bound_value(const struct pq_leaf *leaf, struct weir_str bytes, struct expr_value *ret_value);
/* A text of at most limit bytes that is >= every text that begins with the cut part; the whole where none is. */
struct weir_str pq_bound_cut_upper(struct weir_arena *arena, struct weir_str text, size_t limit, bool is_utf8);
struct weir_str pq_bound_cut_lower(struct weir_str text, size_t limit, bool is_utf8);

/* ---- append.c: rows of a batch into column writers ---- */
/* Rows rows[0..count), or first..first + count where rows is NULL. */
int pq_column_writer_add(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_batch *batch,
	const uint16_t *rows, uint32_t first, uint32_t count, uint64_t group_row, struct weir_error *err);
void pq_column_writer_drop_dictionary(struct pq_column_writer *column);

#endif
