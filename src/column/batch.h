/*
 * Record batches in DuckDB's vector layout: columns of at most 2,048 rows.
 *
 *   layout FLAT   values is an array of weir_type_width() bytes a row
 *   layout VIEW   values is an array of struct weir_view (text, binary, fixed)
 *   layout DICT   values is an array of uint32_t codes into dict (text only)
 *   layout SPAN   values is an array of struct weir_span into the children (list, map)
 *   layout GROUP  no values; the children have the same rows (struct)
 *
 * The value of a null row is undefined but safe to read (a view is empty, a code is within the
 * dictionary, a span has length 0). What a batch points to is owned by `owner` and lives until
 * release() is called; a batch without release is owned by an arena.
 */
#ifndef WEIR_COLUMN_BATCH_H
#define WEIR_COLUMN_BATCH_H

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "column/schema.h"

#define WEIR_BATCH_ROWS 2048

/* Bit for bit DuckDB's string: up to 12 bytes inline, longer ones as 4 bytes and a pointer. */
struct weir_view {
	uint32_t size;
	union {
		char inlined[12];
		struct {
			char prefix[4];
			const char *data;
		} __attribute__((packed)) far;
	} u;
};
_Static_assert(sizeof(struct weir_view) == 16, "a view is as large as DuckDB's string");

struct weir_span {
	uint64_t offset;
	uint64_t length;
};

enum weir_layout { WEIR_FLAT, WEIR_VIEW, WEIR_DICT, WEIR_SPAN, WEIR_GROUP };

/* Distinct values; immutable while a batch uses it. */
struct weir_dict {
	uint32_t count;
	const struct weir_view *values;
};

struct weir_column {
	enum weir_type type;
	enum weir_layout layout;
	uint64_t *valid; /* bit i of word i / 64: row i is not null; NULL: all valid */
	void *values;
	const struct weir_dict *dict;
	struct weir_column *children;
	uint32_t child_count;
	uint32_t child_rows; /* rows of each child of a SPAN (may exceed WEIR_BATCH_ROWS) */
};

struct weir_batch {
	const struct weir_schema *schema;
	uint32_t row_count;
	struct weir_column *columns; /* schema->field_count */
	void (*release)(struct weir_batch *batch);
	void *owner;
};

/* Rows of a batch in the order wanted: indices below row_count. NULL where a whole batch is meant. */
struct weir_selection {
	const uint16_t *rows;
	uint32_t count;
};

/* Batches one after the other; *ret_batch NULL at the end. The caller releases each. */
struct weir_batch_source {
	int (*next)(void *self, struct weir_batch **ret_batch, struct weir_error *err);
	void *self;
};

static inline void weir_batch_release(struct weir_batch *batch)
{
	if (batch != NULL && batch->release != NULL)
		batch->release(batch);
}

static inline bool weir_column_is_valid(const struct weir_column *column, uint32_t row)
{
	return column->valid == NULL || (column->valid[row / 64] >> (row % 64) & 1) != 0;
}

/* The view points into data where it is longer than 12 bytes: data must outlive it. */
static inline struct weir_view weir_view_from(struct weir_str text)
{
	struct weir_view view = {.size = (uint32_t)text.size};
	if (text.size <= sizeof view.u.inlined) {
		if (text.size > 0)
			memcpy(view.u.inlined, text.data, text.size);
	} else {
		memcpy(view.u.far.prefix, text.data, 4);
		view.u.far.data = text.data;
	}
	return view;
}

/* Borrowed: points into the view itself where it is short, so view must be an element in place. */
static inline struct weir_str weir_view_str(const struct weir_view *view)
{
	return (struct weir_str){view->size <= sizeof view->u.inlined ? view->u.inlined : view->u.far.data, view->size};
}

static inline bool weir_view_equal(const struct weir_view *a, const struct weir_view *b)
{
	return a->size == b->size && weir_str_equal(weir_view_str(a), weir_view_str(b));
}

/* Text of a valid row of a VIEW or DICT column. */
static inline struct weir_str weir_column_str(const struct weir_column *column, uint32_t row)
{
	const struct weir_view *views = column->values;
	if (column->layout == WEIR_DICT)
		return weir_view_str(&column->dict->values[((const uint32_t *)column->values)[row]]);
	return weir_view_str(&views[row]);
}

/* A number of a valid row: any integer, float, date or time as int64, any numeric type as double. */
int64_t weir_column_i64(const struct weir_column *column, uint32_t row);
double weir_column_double(const struct weir_column *column, uint32_t row);

/* An empty batch in arena with room for capacity rows (<= WEIR_BATCH_ROWS) in each top-level column;
 * text columns are VIEW; validity words are there and all set. Children of spans have no room yet. */
struct weir_batch *weir_batch_new(struct weir_arena *arena, const struct weir_schema *schema, uint32_t capacity);
void weir_column_set_null(struct weir_column *column, uint32_t row);  /* needs validity words */
uint64_t *weir_validity_new(struct weir_arena *arena, uint32_t rows); /* all set */

/*
 * Gather `count` rows of several batches of one schema into a new batch in arena: row i comes from
 * sources[picks[i].batch], row picks[i].row. Views keep pointing to the sources' bytes, so the
 * sources must outlive the result; dictionary columns stay DICT where all sources share the dict,
 * and become VIEW otherwise.
 */
struct weir_pick {
	uint32_t batch;
	uint32_t row;
};
struct weir_batch *weir_batch_gather(
	struct weir_arena *arena, struct weir_batch *const *sources, const struct weir_pick *picks, uint32_t count);
/* A deep copy of all bytes into arena. */
struct weir_batch *weir_batch_copy(struct weir_arena *arena, const struct weir_batch *batch);
/* Bytes of values and text that a batch holds, for memory bounds. */
size_t weir_batch_bytes(const struct weir_batch *batch);
/* Both non-null and equal, or both null (maps and lists by their entries in order). */
bool weir_value_equal(const struct weir_column *a, uint32_t row_a, const struct weir_column *b, uint32_t row_b);

#endif
