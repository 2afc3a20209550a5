/*
 * Rows of a batch into the column writers: levels by walking from the top-level field to the leaf
 * (Dremel's shredding), values by gathering. A page ends after PQ_PAGE_ROWS rows, or where its values
 * would take more than PQ_PAGE_BYTES; pages of different leaves end at different rows.
 */
#include <stdlib.h>

#include "format/parquet/parquet_int.h"

#define VALUE_LIMIT ((uint32_t)256 << 20)
#define ROW_LIMIT   ((uint64_t)1 << 30) /* texts of one row of one leaf, in lists; a page is an int32 */
/* A dictionary larger than this, or one that saves less than a fifth after so many values, is given up. */
#define DICTIONARY_BYTES ((size_t)1 << 20)
#define DICTIONARY_TRIAL 1024

struct walk {
	struct pq_column_writer *column;
	struct pq_scratch *scratch;
	const struct weir_column *path[PQ_SCHEMA_DEPTH_LIMIT];
	struct weir_error *err;
};

static int null_in_required(const struct weir_field *field, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_INPUT, "field '%.*s' is required and a row has null; give it a value",
		WEIR_STR_ARG(field->name));
}

static void push_pick(struct pq_scratch *scratch, uint32_t row)
{
	WEIR_GROW(scratch->picks, scratch->pick_count, scratch->pick_capacity);
	scratch->picks[scratch->pick_count++] = row;
}

static inline void push_level(struct weir_buf *levels, uint8_t level)
{
	if (levels->size == levels->capacity)
		weir_buf_reserve(levels, 1);
	levels->data[levels->size++] = (char)level;
}

static inline void push_levels(struct pq_column_writer *column, uint8_t def, uint8_t rep)
{
	push_level(&column->defs, def);
	if (column->leaf->max_rep > 0)
		push_level(&column->reps, rep);
	column->entry_count++;
	column->any_missing |= def < column->leaf->max_def;
}

/* One instance of step `depth`; levels are those reached before it. */
static int walk_value(struct walk *walk, uint32_t depth, uint32_t row, uint8_t def, uint8_t rep, uint8_t rep_depth)
{
	const struct pq_step *step = &walk->column->leaf->steps[depth];
	const struct weir_column *at = walk->path[depth];
	if (!weir_column_is_valid(at, row)) {
		if (!step->optional)
			return null_in_required(step->field, walk->err);
		push_levels(walk->column, def, rep);
		return 0;
	}
	def = (uint8_t)(def + step->optional);
	if (depth + 1 == walk->column->leaf->step_count) {
		push_levels(walk->column, def, rep);
		push_pick(walk->scratch, row);
		return 0;
	}
	if (at->layout != WEIR_SPAN)
		return walk_value(walk, depth + 1, row, def, rep, rep_depth);
	const struct weir_span *span = (const struct weir_span *)at->values + row;
	WEIR_ASSERT(span->offset + span->length <= at->child_rows);
	if (span->length == 0)
		push_levels(walk->column, def, rep);
	for (uint64_t i = 0; i < span->length; i++) {
		int code = walk_value(walk, depth + 1, (uint32_t)(span->offset + i), (uint8_t)(def + 1),
			i == 0 ? rep : (uint8_t)(rep_depth + 1), (uint8_t)(rep_depth + 1));
		if (code != 0)
			return code;
	}
	return 0;
}

static bool all_valid(const uint64_t *valid, uint32_t first, uint32_t count)
{
	uint64_t all = UINT64_MAX;
	uint32_t row = first;
	for (; row < first + count && row % 64 != 0; row++)
		all &= (valid[row / 64] >> (row % 64) & 1) != 0 ? UINT64_MAX : 0;
	for (; row + 64 <= first + count; row += 64)
		all &= valid[row / 64];
	for (; row < first + count; row++)
		all &= (valid[row / 64] >> (row % 64) & 1) != 0 ? UINT64_MAX : 0;
	return all == UINT64_MAX;
}

/* Top-level primitives: no walk, no repetition. */
static int flat_levels(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_column *from,
	const uint16_t *rows, uint32_t first, uint32_t count, struct weir_error *err)
{
	bool optional = column->leaf->max_def > 0;
	uint8_t *defs = NULL;
	if (scratch->pick_capacity < count) {
		scratch->pick_capacity = WEIR_BATCH_ROWS;
		scratch->picks = weir_realloc(scratch->picks, scratch->pick_capacity, sizeof *scratch->picks);
	}
	if (optional) {
		weir_buf_reserve(&column->defs, count);
		defs = (uint8_t *)column->defs.data + column->defs.size;
		column->defs.size += count;
		memset(defs, 1, count);
	}
	uint32_t *picks = scratch->picks, picked = 0;
	scratch->contiguous = rows == NULL;
	if (from->valid == NULL || (rows == NULL && all_valid(from->valid, first, count))) {
		for (uint32_t i = 0; i < count; i++)
			picks[i] = rows != NULL ? rows[i] : first + i;
		picked = count;
	} else {
		for (uint32_t i = 0; i < count; i++) {
			uint32_t row = rows != NULL ? rows[i] : first + i;
			uint32_t valid = from->valid[row / 64] >> (row % 64) & 1;
			picks[picked] = row;
			picked += valid;
			if (valid == 0 && !optional)
				return null_in_required(column->leaf->field, err);
			if (valid == 0)
				defs[i] = 0;
		}
	}
	scratch->pick_count = picked;
	scratch->contiguous &= picked == count;
	column->entry_count += count;
	column->any_missing |= picked < count;
	return 0;
}

static void drop_levels(struct pq_column_writer *column, uint64_t entries, size_t defs, size_t reps)
{
	column->entry_count = entries;
	column->defs.size = defs;
	column->reps.size = reps;
}

static void reserve_picks(struct pq_scratch *scratch, uint64_t count)
{
	if (scratch->pick_capacity >= count)
		return;
	scratch->pick_capacity = count + count / 2;
	scratch->picks = weir_realloc(scratch->picks, scratch->pick_capacity, sizeof *scratch->picks);
}

/* A list or map of primitives at the top, which most of them are: what walk_value does, without its steps. */
static int span_levels(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_column *top,
	const struct weir_column *items, const uint16_t *rows, uint32_t first, uint32_t count, struct weir_error *err)
{
	const struct pq_step *steps = column->leaf->steps;
	const struct weir_span *spans = top->values;
	uint64_t entries = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t length = spans[rows != NULL ? rows[i] : first + i].length;
		entries += length > 0 ? length : 1;
	}
	weir_buf_reserve(&column->defs, entries);
	weir_buf_reserve(&column->reps, entries);
	reserve_picks(scratch, entries);
	char *def = column->defs.data + column->defs.size, *rep = column->reps.data + column->reps.size;
	uint32_t *pick = scratch->picks;
	char empty = (char)steps[0].optional, held = (char)(empty + 1), full = (char)(held + steps[1].optional);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t row = rows != NULL ? rows[i] : first + i;
		bool valid = weir_column_is_valid(top, row);
		if (!valid && !steps[0].optional)
			return null_in_required(steps[0].field, err);
		if (!valid || spans[row].length == 0) {
			*def++ = valid ? empty : 0;
			*rep++ = 0;
			continue;
		}
		WEIR_ASSERT(spans[row].offset + spans[row].length <= top->child_rows);
		uint32_t item = (uint32_t)spans[row].offset, end = item + (uint32_t)spans[row].length;
		*rep++ = 0;
		memset(rep, 1, end - item - 1);
		rep += end - item - 1;
		for (; item < end; item++) {
			bool there = weir_column_is_valid(items, item);
			if (!there && !steps[1].optional)
				return null_in_required(steps[1].field, err);
			*def++ = there ? full : held;
			*pick = item;
			pick += there;
		}
	}
	scratch->pick_count = (uint32_t)(pick - scratch->picks);
	uint64_t added = (uint64_t)(def - column->defs.data) - column->defs.size;
	column->defs.size += added;
	column->reps.size += added;
	column->entry_count += added;
	column->any_missing |= scratch->pick_count < added;
	return 0;
}

static int collect_levels(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_batch *batch,
	const uint16_t *rows, uint32_t first, uint32_t count, const struct weir_column **ret_leaf,
	struct weir_error *err)
{
	const struct pq_leaf *leaf = column->leaf;
	const struct weir_column *at = &batch->columns[leaf->steps[0].child];
	scratch->pick_count = 0;
	scratch->contiguous = false;
	*ret_leaf = at;
	if (leaf->step_count == 1)
		return flat_levels(column, scratch, at, rows, first, count, err);
	struct walk walk = {.column = column, .scratch = scratch, .err = err};
	for (uint32_t i = 0; i < leaf->step_count; i++) {
		if (i > 0)
			at = &at->children[leaf->steps[i].child];
		walk.path[i] = at;
	}
	*ret_leaf = at;
	if (leaf->step_count == 2 && walk.path[0]->layout == WEIR_SPAN)
		return span_levels(column, scratch, walk.path[0], at, rows, first, count, err);
	for (uint32_t i = 0; i < count; i++) {
		int code = walk_value(&walk, 0, rows != NULL ? rows[i] : first + i, 0, 0, 0);
		if (code != 0)
			return code;
	}
	return 0;
}

static void gather(struct weir_buf *out, const char *values, const uint32_t *picks, uint32_t count, uint32_t width,
	bool contiguous)
{
	if (contiguous && count > 0 && width > 1) { /* booleans are made 0 or 1 */
		weir_buf_append(out, values + (size_t)picks[0] * width, (size_t)count * width);
		return;
	}
	weir_buf_reserve(out, (size_t)count * width);
	char *to = out->data + out->size;
	out->size += (size_t)count * width;
	for (uint32_t i = 0; i < count; i++) {
		const char *from = values + (size_t)picks[i] * width;
		switch (width) { /* constant sizes become plain moves */
		case 1:
			to[i] = *from != 0;
			break;
		case 4:
			memcpy(to + (size_t)i * 4, from, 4);
			break;
		case 8:
			memcpy(to + (size_t)i * 8, from, 8);
			break;
		default:
			memcpy(to + (size_t)i * 16, from, 16);
		}
	}
}

static int decimal_too_long(const struct pq_column_writer *column, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_INPUT, "field '%.*s' has a decimal of more than %u digits",
		WEIR_STR_ARG(column->leaf->field->name), column->leaf->field->precision);
}

/* As INT32 or INT64: little-endian, as they lie in memory. */
static bool narrow_decimals(char *to, const char *values, const uint32_t *picks, uint32_t count, uint32_t width)
{
	bool good = true;
	for (uint32_t i = 0; i < count; i++) {
		weir_int128 value;
		memcpy(&value, values + (size_t)picks[i] * sizeof value, sizeof value);
		int64_t narrow = (int64_t)value;
		int32_t small = (int32_t)narrow;
		good &= width == 8 ? value == narrow : value == small;
		if (width == 8)
			memcpy(to + (size_t)i * 8, &narrow, 8);
		else
			memcpy(to + (size_t)i * 4, &small, 4);
	}
	return good;
}

static int add_decimals(struct pq_column_writer *column, const struct weir_column *from, const uint32_t *picks,
	uint32_t count, struct weir_error *err)
{
	uint32_t width = column->leaf->width;
	weir_buf_reserve(&column->plain, (size_t)count * width);
	char *to = column->plain.data + column->plain.size;
	if (column->leaf->physical != PQ_FIXED) {
		if (!narrow_decimals(to, from->values, picks, count, width))
			return decimal_too_long(column, err);
		column->plain.size += (size_t)count * width;
		return 0;
	}
	for (uint32_t i = 0; i < count; i++, to += width) {
		weir_int128 value;
		memcpy(&value, (const char *)from->values + (size_t)picks[i] * sizeof value, sizeof value);
		weir_int128 rest = width < 16 ? value >> (8 * width - 1) : 0;
		if (rest != 0 && rest != -1)
			return decimal_too_long(column, err);
		for (uint32_t b = 0; b < width; b++) /* big-endian */
			to[width - 1 - b] = (char)(value >> (8 * b));
	}
	column->plain.size += (size_t)count * width;
	return 0;
}

static int add_fixed(struct pq_column_writer *column, const struct weir_column *from, const uint32_t *picks,
	uint32_t count, struct weir_error *err)
{
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str value = weir_column_str(from, picks[i]);
		if (value.size != column->leaf->width)
			return weir_fail(err, WEIR_E_INPUT, "field '%.*s' is fixed[%u] and has a value of %zu bytes",
				WEIR_STR_ARG(column->leaf->field->name), column->leaf->width, value.size);
		weir_buf_append(&column->plain, value.data, value.size);
	}
	return 0;
}

static void put_plain_text(struct weir_buf *out, struct weir_str text)
{
	weir_buf_reserve(out, text.size + 4);
	uint32_t size = (uint32_t)text.size;
	memcpy(out->data + out->size, &size, 4);
	if (text.size > 0)
		memcpy(out->data + out->size + 4, text.data, text.size);
	out->size += text.size + 4;
}

void pq_column_writer_drop_dictionary(struct pq_column_writer *column)
{
	const uint32_t *codes = (const uint32_t *)(const void *)column->codes.data;
	uint64_t count = column->codes.size / sizeof *codes;
	uint32_t page = 0;
	column->plain.size = 0;
	weir_buf_reserve(&column->plain, column->text_bytes);
	for (uint64_t i = 0; i <= count; i++) {
		while (page < column->page_count && column->pages[page].first_value <= i)
			column->pages[page++].first_byte = column->plain.size;
		if (i < count)
			put_plain_text(&column->plain, pq_dictionary_text(&column->dictionary, codes[i]));
	}
	column->use_dictionary = false;
	column->codes.size = 0;
	pq_dictionary_clear(&column->dictionary);
}

static uint32_t *reserve_codes(struct pq_column_writer *column, uint32_t count)
{
	weir_buf_reserve(&column->codes, (size_t)count * sizeof(uint32_t));
	uint32_t *codes = (uint32_t *)(void *)(column->codes.data + column->codes.size);
	column->codes.size += (size_t)count * sizeof(uint32_t);
	return codes;
}

/* The batch's codes become ours by a table, so that each of its values is hashed once. */
static void add_codes(
	struct pq_column_writer *column, const struct weir_column *from, const uint32_t *picks, uint32_t count)
{
	uint32_t *codes = reserve_codes(column, count);
	const uint32_t *source = from->values;
	uint32_t dict_count = from->dict->count;
	if (column->remap_capacity < dict_count) {
		column->remap = weir_realloc(column->remap, dict_count, sizeof *column->remap);
		memset(column->remap + column->remap_capacity, 0,
			(dict_count - column->remap_capacity) * sizeof *column->remap);
		column->remap_capacity = dict_count;
	}
	uint64_t stamp = (uint64_t)column->remap_stamp << 32;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t code = source[picks[i]];
		uint64_t known = column->remap[code];
		if ((known & 0xffffffff00000000ULL) != stamp) {
			known = stamp | pq_dictionary_add_text(&column->dictionary, &from->dict->values[code]);
			column->remap[code] = known;
		}
		codes[i] = (uint32_t)known;
	}
}

/* The texts in PLAIN, bytes in all with their lengths. */
static void put_plain_texts(
	struct weir_buf *out, const struct weir_column *from, const uint32_t *picks, uint32_t count, uint64_t bytes)
{
	const struct weir_view *views = from->layout == WEIR_DICT ? from->dict->values : from->values;
	const uint32_t *codes = from->layout == WEIR_DICT ? from->values : NULL;
	weir_buf_reserve(out, bytes + sizeof views->u.inlined); /* short texts are copied with what follows them */
	char *to = out->data + out->size;
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_view *view = &views[codes != NULL ? codes[picks[i]] : picks[i]];
		memcpy(to, &view->size, 4);
		if (view->size <= sizeof view->u.inlined)
			memcpy(to + 4, view->u.inlined, sizeof view->u.inlined);
		else
			memcpy(to + 4, view->u.far.data, view->size);
		to += 4 + (size_t)view->size;
	}
	out->size += bytes;
	WEIR_ASSERT(to == out->data + out->size);
}

static void add_text(struct pq_column_writer *column, const struct weir_column *from, const uint32_t *picks,
	uint32_t count, uint64_t bytes)
{
	if (!column->use_dictionary) {
		put_plain_texts(&column->plain, from, picks, count, bytes);
	} else if (from->layout == WEIR_DICT) {
		add_codes(column, from, picks, count);
	} else {
		const struct weir_view *views = from->values, *last = NULL;
		uint32_t *codes = reserve_codes(column, count);
		for (uint32_t i = 0; i < count; i++) {
			const struct weir_view *view = &views[picks[i]];
			/* The same bits are the same text; neighbours often are. */
			codes[i] = last != NULL && memcmp(view, last, sizeof *view) == 0
				? codes[i - 1]
				: pq_dictionary_add_text(&column->dictionary, view);
			last = view;
		}
	}
}

static int text_bytes(const struct pq_column_writer *column, const struct weir_column *from, const uint32_t *picks,
	uint32_t count, uint64_t *ret_bytes, struct weir_error *err)
{
	uint64_t bytes = (uint64_t)count * 4;
	const struct weir_view *views = from->layout == WEIR_DICT ? from->dict->values : from->values;
	const uint32_t *codes = from->layout == WEIR_DICT ? from->values : NULL;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t size = views[codes != NULL ? codes[picks[i]] : picks[i]].size;
		bytes += size;
		if (size > VALUE_LIMIT)
			return weir_fail(err, WEIR_E_LIMIT, "field '%.*s' has a value of %u bytes; the limit is %u",
				WEIR_STR_ARG(column->leaf->field->name), size, VALUE_LIMIT);
	}
	*ret_bytes = bytes;
	return 0;
}

static int row_too_long(const struct pq_column_writer *column, uint64_t bytes, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_LIMIT, "field '%.*s' has %llu bytes in one row; the limit is %llu",
		WEIR_STR_ARG(column->leaf->field->name), (unsigned long long)bytes, (unsigned long long)ROW_LIMIT);
}

static bool dictionary_pays(const struct pq_column_writer *column)
{
	if (column->dictionary.bytes.size > DICTIONARY_BYTES)
		return false;
	return column->value_count < DICTIONARY_TRIAL ||
		column->dictionary.bytes.size + column->value_count <= column->text_bytes / 5 * 4;
}

static int add_values(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_column *from,
	uint64_t bytes, struct weir_error *err)
{
	const uint32_t *picks = scratch->picks;
	uint32_t count = scratch->pick_count;
	column->value_count += count;
	column->page_bytes += bytes;
	switch (column->leaf->field->type) {
	case WEIR_STRING:
	case WEIR_BINARY:
		column->text_bytes += bytes;
		add_text(column, from, picks, count, bytes);
		if (column->use_dictionary && !dictionary_pays(column))
			pq_column_writer_drop_dictionary(column);
		return 0;
	case WEIR_FIXED:
		return add_fixed(column, from, picks, count, err);
	case WEIR_DECIMAL:
		return add_decimals(column, from, picks, count, err);
	default:
		gather(&column->plain, from->values, picks, count, column->leaf->width, scratch->contiguous);
		return 0;
	}
}

int pq_column_writer_add(struct pq_column_writer *column, struct pq_scratch *scratch, const struct weir_batch *batch,
	const uint16_t *rows, uint32_t first, uint32_t count, uint64_t group_row, struct weir_error *err)
{
	const struct weir_column *from;
	uint64_t entries = column->entry_count, bytes;
	size_t defs = column->defs.size, reps = column->reps.size;
	bool missing = column->any_missing;
	int code = collect_levels(column, scratch, batch, rows, first, count, &from, err);
	if (code != 0)
		return code;
	bytes = (uint64_t)scratch->pick_count * column->leaf->width;
	if (column->leaf->width == 0) {
		code = text_bytes(column, from, scratch->picks, scratch->pick_count, &bytes, err);
		if (code != 0)
			return code;
	}
	if (column->page_bytes > 0 && column->page_bytes + bytes > PQ_PAGE_BYTES) {
		/* Too much for this page: the levels are taken back, and the rows begin a new one. */
		drop_levels(column, entries, defs, reps);
		column->any_missing = missing;
		pq_column_writer_begin_page(column, group_row);
		return pq_column_writer_add(column, scratch, batch, rows, first, count, group_row, err);
	}
	if (bytes > PQ_PAGE_BYTES && count > 1) {
		uint32_t half = count / 2;
		drop_levels(column, entries, defs, reps);
		column->any_missing = missing;
		code = pq_column_writer_add(column, scratch, batch, rows, first, half, group_row, err);
		if (code != 0)
			return code;
		return pq_column_writer_add(column, scratch, batch, rows != NULL ? rows + half : NULL, first + half,
			count - half, group_row + half, err);
	}
	if (bytes > ROW_LIMIT)
		return row_too_long(column, bytes, err);
	return add_values(column, scratch, from, bytes, err);
}
