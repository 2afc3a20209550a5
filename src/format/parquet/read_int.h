/*
 * The reading side: shared buffers, decoders of values, cursors over column chunks, targets of a projection.
 */
#ifndef WEIR_PARQUET_READ_INT_H
#define WEIR_PARQUET_READ_INT_H

#include <stdatomic.h>

#include "format/parquet/parquet_int.h"

/* Bytes that batches and the reader hold together: a page, or a dictionary. */
struct pq_shared {
	atomic_uint refs;
	size_t size, capacity;
	_Alignas(16) uint8_t data[];
};

struct pq_shared *pq_shared_new(size_t size);
struct pq_shared *pq_shared_ref(struct pq_shared *shared);
void pq_shared_unref(struct pq_shared *shared); /* NULL is fine */

/* What a batch holds until it is released. */
struct pq_holder {
	struct weir_arena *arena;
	struct pq_shared **held;
	uint32_t held_count, held_capacity;
	uint64_t text_bytes; /* of text that had to be put together in the arena */
	uint64_t text_limit;
};

/* A reference that ends with the batch; the same one twice in a row is held once. */
void pq_holder_add(struct pq_holder *holder, struct pq_shared *shared);

/* ---- values.c ---- */
/* Width of a decoded value: INT96 becomes int64 microseconds, bytes become struct weir_view. */
uint32_t pq_value_width(int32_t physical);

/* A decoded dictionary: in shared->data. */
struct pq_dictionary_values {
	struct pq_shared *shared;
	uint32_t count;
	const void *values;           /* of pq_value_width each */
	const struct weir_dict *dict; /* of bytes; else NULL */
};

struct pq_values {
	enum pq_encoding encoding;
	int32_t physical;
	uint32_t type_length;
	const uint8_t *at, *end;
	uint32_t bit; /* booleans in PLAIN */
	struct pq_rle rle;
	struct pq_delta delta; /* numbers, or lengths, or lengths of prefixes */
	struct pq_delta suffixes;
	struct weir_str previous; /* DELTA_BYTE_ARRAY: in previous_buf */
	struct weir_buf previous_buf;
	const uint8_t *split; /* BYTE_STREAM_SPLIT */
	size_t split_count, split_at;
	const struct pq_dictionary_values *dictionary;
};

int pq_values_open(struct pq_values *values, int32_t encoding, int32_t physical, uint32_t type_length,
	const uint8_t *data, const uint8_t *end, const struct pq_dictionary_values *dictionary, struct weir_error *err);
/* count values into to. Bytes point into the page, the dictionary, or holder's arena. */
int pq_values_read(
	struct pq_values *values, uint32_t count, void *to, struct pq_holder *holder, struct weir_error *err);
/* Moves past count values; true where that could be done without decoding them. */
bool pq_values_skip(struct pq_values *values, uint32_t count);
/* Dictionary codes, checked against its size. */
int pq_values_read_codes(struct pq_values *values, uint32_t count, uint32_t *to, struct weir_error *err);
static inline bool pq_values_coded(const struct pq_values *values)
{
	return values->encoding == PQ_RLE_DICTIONARY;
}
void pq_values_done(struct pq_values *values);
/* Dense values of the file to dense values of a column; false where one does not fit. */
bool pq_convert_values(enum pq_convert convert, const void *from, uint32_t count, uint32_t type_length, void *to);

/* ---- page.c ---- */
#define PQ_LEVELS_AHEAD 1024

struct pq_levels {
	struct pq_rle rle;
	bool bit_packed; /* the deprecated encoding, most significant bit first */
	const uint8_t *bits;
	uint64_t bit_at, bit_end;
};

/* Levels and dense values of some rows of one leaf. */
struct pq_leaf_data {
	uint8_t *defs, *reps; /* NULL where the highest level is 0 */
	uint32_t entry_count, entry_capacity;
	uint32_t value_count, value_capacity;
	void *values;    /* pq_value_width each; bytes: views, unless coded; without lists in the holder's arena */
	uint32_t *codes; /* bytes from a dictionary; likewise */
	uint32_t rows;   /* that are being read */
	uint32_t code_capacity;
	bool coded;                             /* all values so far are in codes */
	struct pq_dictionary_values dictionary; /* of codes */
};

struct pq_cursor {
	const struct pq_file *file;
	struct pq_leaf_levels leaf;
	struct pq_chunk chunk; /* with the offset index, where it was read */
	struct codec_state *codec;
	uint64_t memory_limit;
	struct pq_read_counts *counts;
	uint64_t offset;                     /* of the next page header */
	uint64_t entries_left;               /* in pages not yet read; UINT64_MAX after a jump */
	uint64_t row;                        /* of the row group: the next to be read */
	struct weir_buf window;              /* bytes of the file at window_offset */
	uint64_t window_offset, window_goal; /* goal: bytes of a page, so that a large one is read once */
	struct pq_dictionary_values dictionary;
	struct pq_shared *page;
	struct pq_shared *spare; /* a page before, whose memory serves again once no batch holds it */
	uint32_t page_left;      /* entries of the page not yet read */
	struct pq_levels rep_levels, def_levels;
	struct pq_values values;
	uint8_t reps[PQ_LEVELS_AHEAD]; /* repetition levels of entries not yet read: [reps_at, reps_count) */
	uint32_t reps_at, reps_count;
	struct pq_leaf_data data;
};

/* row_group's chunk of leaf; file outlives the cursor. A cursor is zeroed memory at first; one that rested keeps its
 * buffers. */
int pq_cursor_open(struct pq_cursor *cursor, const struct pq_file *file, uint32_t row_group, uint32_t leaf,
	const struct pq_chunk *chunk, uint64_t memory_limit, struct codec_state *codec, struct pq_read_counts *counts,
	struct weir_error *err);
/* Between row groups: lets go of the chunk, not of buffers. */
void pq_cursor_rest(struct pq_cursor *cursor);
void pq_cursor_close(struct pq_cursor *cursor);
/* The next read begins at row (not before the current one). */
int pq_cursor_seek(struct pq_cursor *cursor, uint64_t row, struct weir_error *err);
/* Rows row..row + rows into cursor->data; pages that bytes point into are added to holder. */
int pq_cursor_read(struct pq_cursor *cursor, uint32_t rows, struct pq_holder *holder, struct weir_error *err);
int pq_cursor_corrupt(const struct pq_cursor *cursor, uint64_t offset, const char *why, struct weir_error *err);

/* ---- nested.c ---- */
/* What one field of the wanted schema is made of. */
struct pq_target {
	const struct weir_field *field;
	const struct pq_node *node; /* NULL: the file lacks it, all null */
	enum pq_convert convert;
	struct pq_target *children;
};

/* cursors: one a leaf of the file, NULL where not read. */
int pq_assemble(const struct pq_target *target, struct pq_cursor *const *cursors, uint32_t slots,
	struct pq_holder *holder, struct weir_column *ret_column, struct weir_error *err);

/* ---- project.c ---- */
/* Targets of options->schema's fields; marks the leaves to be read. */
int pq_project(const struct pq_file *file, const struct weir_schema *schema, struct weir_arena *arena,
	struct pq_target **ret_targets, bool *ret_needed, struct weir_error *err);

/* ---- skip.c ---- */
struct pq_range {
	uint64_t from, to; /* rows of the row group */
};

/* Could any row of the row group match the filter? By statistics, then by bloom filters. wanted: the schema whose units
 * the filter's values have. */
int pq_group_may_match(const struct pq_file *file, uint32_t row_group, const struct weir_schema *wanted,
	const struct expr_filter *filter, bool *ret_may, struct weir_error *err);
/* Ranges of rows that may match, by the column indexes; at least one range, in order, in arena. */
int pq_group_ranges(const struct pq_file *file, uint32_t row_group, const struct weir_schema *wanted,
	const struct expr_filter *filter, struct weir_arena *arena, struct pq_range **ret_ranges, uint32_t *ret_count,
	struct weir_error *err);

#endif
