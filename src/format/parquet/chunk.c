/*
 * One leaf of a row group: what was added becomes a column chunk of pages.
 *
 * The encoding is chosen by measuring: a dictionary where it and its codes are smaller, differences
 * where the first page says so, split bytes (where they are allowed) if the first page of doubles
 * compresses better so, texts by what differs or with their lengths apart likewise, else PLAIN. The chunk is compressed if its first pages shrink by a tenth.
 * Threads: belongs to its encoder.
 */
#include <stdlib.h>

#include "format/parquet/parquet_int.h"

#define TRIAL_VALUES            1024
#define MAX_CODES               65536
#define SMALLEST_TO_COMPRESS    64
#define COMPRESSION_TRIAL_BYTES 4096
/* Texts of which an encoding is chosen. */
#define TRIAL_TEXTS_LEAST 64
#define TRIAL_TEXTS       512
#define TRIAL_TEXT_BYTES  8192
#define TRIAL_EVERY       8  /* row groups */
#define SHORT_TEXT        48 /* bytes with the length: the lengths weigh */

struct plan {
	enum pq_encoding encoding;
	const struct pq_dictionary *dictionary;
	const uint32_t *codes;
	unsigned bit_width;
};

struct making {
	struct pq_column_writer *column;
	struct pq_scratch *scratch;
	struct pq_row_group *group;
	struct pq_chunk *chunk;
	struct plan plan;
	uint64_t rows;
	size_t start; /* of the chunk in the row group */
	struct weir_error *err;
};

int32_t pq_codec_number(enum codec codec)
{
	static const int8_t numbers[] = {[CODEC_NONE] = 0,
		[CODEC_SNAPPY] = 1,
		[CODEC_GZIP] = 2,
		[CODEC_BROTLI] = 4,
		[CODEC_LZ4_HADOOP] = 5,
		[CODEC_ZSTD] = 6,
		[CODEC_LZ4_RAW] = 7};
	return numbers[codec];
}

void pq_scratch_init(struct pq_scratch *scratch, const struct pq_write_options *options)
{
	*scratch = (struct pq_scratch){.codec = codec_state_new(),
		.kind = options->codec,
		.level = options->level,
		.may_split = options->byte_stream_split,
		.may_delta_text = !options->plain_text};
	for (unsigned i = 0; i < 3; i++)
		pq_dictionary_init(&scratch->dictionaries[i], 4U << i);
}

void pq_scratch_done(struct pq_scratch *scratch)
{
	codec_state_free(scratch->codec);
	weir_buf_done(&scratch->body);
	weir_buf_done(&scratch->packed);
	weir_buf_done(&scratch->tail);
	for (unsigned i = 0; i < 3; i++)
		pq_dictionary_done(&scratch->dictionaries[i]);
	free(scratch->codes);
	free(scratch->stamps);
	free(scratch->picks);
}

static bool is_text(const struct pq_leaf *leaf)
{
	return leaf->width == 0;
}

void pq_column_writer_init(struct pq_column_writer *column, const struct pq_leaf *leaf)
{
	*column = (struct pq_column_writer){.leaf = leaf, .use_dictionary = is_text(leaf)};
	if (is_text(leaf))
		pq_dictionary_init(&column->dictionary, 0);
}

void pq_column_writer_done(struct pq_column_writer *column)
{
	weir_buf_done(&column->plain);
	weir_buf_done(&column->codes);
	weir_buf_done(&column->defs);
	weir_buf_done(&column->reps);
	pq_dictionary_done(&column->dictionary);
	free(column->pages);
	free(column->remap);
}

void pq_column_writer_reset(struct pq_column_writer *column)
{
	column->plain.size = column->codes.size = column->defs.size = column->reps.size = 0;
	column->use_dictionary = is_text(column->leaf);
	if (column->use_dictionary)
		pq_dictionary_clear(&column->dictionary);
	column->text_bytes = column->page_bytes = column->value_count = column->entry_count = 0;
	column->any_missing = false;
	column->page_count = 0;
	column->remap_stamp++; /* codes of the old dictionary are no more */
}

void pq_column_writer_begin_page(struct pq_column_writer *column, uint64_t first_row)
{
	column->page_bytes = 0;
	if (column->page_count > 0 && column->pages[column->page_count - 1].first_row == first_row)
		return;
	WEIR_GROW(column->pages, column->page_count, column->page_capacity);
	column->pages[column->page_count++] =
		(struct pq_page_mark){first_row, column->entry_count, column->value_count, column->plain.size};
}

/* The end of page i, as a mark. */
static struct pq_page_mark page_end(const struct making *making, uint32_t page)
{
	const struct pq_column_writer *column = making->column;
	if (page + 1 < column->page_count)
		return column->pages[page + 1];
	return (struct pq_page_mark){making->rows, column->entry_count, column->value_count, column->plain.size};
}

static void reserve_u32(uint32_t **array, size_t *capacity, size_t count)
{
	if (*capacity >= count)
		return;
	*array = weir_realloc(*array, count + count / 2, sizeof **array);
	*capacity = count + count / 2;
}

static uint64_t coded_bytes(const struct pq_dictionary *dictionary, uint64_t values)
{
	return dictionary->bytes.size + values * pq_bit_width(dictionary->count > 0 ? dictionary->count - 1 : 0) / 8;
}

static void plan_dictionary(struct making *making, const struct pq_dictionary *dictionary, const uint32_t *codes)
{
	making->plan = (struct plan){
		PQ_RLE_DICTIONARY, dictionary, codes, pq_bit_width(dictionary->count > 0 ? dictionary->count - 1 : 0)};
}

static void plan_text(struct making *making)
{
	struct pq_column_writer *column = making->column;
	if (column->use_dictionary &&
		coded_bytes(&column->dictionary, column->value_count) > column->text_bytes / 10 * 9)
		pq_column_writer_drop_dictionary(column);
	if (column->use_dictionary)
		plan_dictionary(making, &column->dictionary, (const uint32_t *)(const void *)column->codes.data);
}

/* Codes for all values, unless a trial with the first ones shows that they hardly repeat. */
static bool try_dictionary(struct making *making, struct pq_dictionary *dictionary)
{
	const struct pq_column_writer *column = making->column;
	struct pq_scratch *scratch = making->scratch;
	uint32_t count = (uint32_t)column->value_count;
	uint32_t trial = count < TRIAL_VALUES ? count : TRIAL_VALUES;
	uint32_t most = count / 2 < MAX_CODES ? count / 2 : MAX_CODES;
	if (column->value_count > UINT32_MAX || count < 8)
		return false;
	reserve_u32(&scratch->codes, &scratch->code_capacity, count);
	return pq_dictionary_add_fixed(dictionary, column->plain.data, trial, trial / 2, scratch->codes) &&
		pq_dictionary_add_fixed(dictionary, column->plain.data + (size_t)trial * dictionary->width,
			count - trial, most, scratch->codes + trial);
}

static void put_deltas(const struct making *making, struct weir_buf *out, uint64_t from, uint64_t to)
{
	const struct pq_column_writer *column = making->column;
	uint32_t count = (uint32_t)(to - from);
	if (column->leaf->width == 8) {
		pq_delta_encode(out, (const int64_t *)(const void *)column->plain.data + from, count, 64);
		return;
	}
	int64_t *wide = weir_alloc((size_t)count * sizeof *wide);
	const int32_t *narrow = (const int32_t *)(const void *)column->plain.data + from;
	for (uint32_t i = 0; i < count; i++)
		wide[i] = narrow[i];
	pq_delta_encode(out, wide, count, 32);
	free(wide);
}

/* BYTE_STREAM_SPLIT: the first bytes of all values, then the second ones, and so on. */
static void put_split(struct weir_buf *out, const char *values, size_t count, size_t width)
{
	weir_buf_reserve(out, count * width);
	char *to = out->data + out->size;
	for (size_t b = 0; b < width; b++)
		for (size_t i = 0; i < count; i++)
			*to++ = values[i * width + b];
	out->size += count * width;
}

/* The first texts of the chunk in an encoding, compressed as pages are; *ret_size: bytes. */
static int try_texts(struct making *making, enum pq_encoding encoding, uint32_t count, size_t size, size_t *ret_size)
{
	struct pq_scratch *scratch = making->scratch;
	const char *plain = making->column->plain.data;
	scratch->body.size = scratch->packed.size = 0;
	if (encoding == PQ_DELTA_BYTE_ARRAY)
		pq_delta_text_encode(&scratch->body, plain, count);
	else if (encoding == PQ_DELTA_LENGTH_BYTE_ARRAY)
		pq_delta_length_encode(&scratch->body, plain, count);
	else
		weir_buf_append(&scratch->body, plain, size);
	*ret_size = scratch->body.size;
	if (scratch->kind == CODEC_NONE)
		return 0;
	int code = codec_compress(scratch->codec, scratch->kind, scratch->level, scratch->body.data, scratch->body.size,
		&scratch->packed, making->err);
	*ret_size = scratch->packed.size < scratch->body.size ? scratch->packed.size : scratch->body.size;
	return code;
}

/* The encoding that makes the first texts smallest, if by a tenth; PLAIN where none does. */
static int measure_texts(
	struct making *making, uint32_t count, size_t size, bool alike, bool brief, enum pq_encoding *ret_encoding)
{
	size_t best, tried;
	int code = try_texts(making, PQ_PLAIN, count, size, &best);
	best -= best / 10;
	*ret_encoding = PQ_PLAIN;
	if (code == 0 && alike) {
		code = try_texts(making, PQ_DELTA_BYTE_ARRAY, count, size, &tried);
		if (code == 0 && tried < best) {
			best = tried;
			*ret_encoding = PQ_DELTA_BYTE_ARRAY;
		}
	}
	if (code == 0 && brief) {
		code = try_texts(making, PQ_DELTA_LENGTH_BYTE_ARRAY, count, size, &tried);
		if (code == 0 && tried < best)
			*ret_encoding = PQ_DELTA_LENGTH_BYTE_ARRAY;
	}
	return code;
}

/*
 * Texts without a dictionary: those that begin alike are tried by what differs, short ones by their lengths; of others
 * neither helps, and no time is spent on them. What was found serves the next row groups too.
 */
static int plan_delta_text(struct making *making)
{
	struct pq_column_writer *column = making->column;
	struct weir_str before = {NULL, 0};
	uint64_t end = page_end(making, 0).first_value, shared = 0;
	uint32_t count = 0;
	size_t size = 0;
	if (!making->scratch->may_delta_text || making->plan.encoding != PQ_PLAIN || end < TRIAL_TEXTS_LEAST)
		return 0;
	if (column->text_groups > 0) {
		column->text_groups--;
		making->plan.encoding = column->text_encoding;
		return 0;
	}
	for (; count < end && count < TRIAL_TEXTS && size < TRIAL_TEXT_BYTES; count++) {
		struct weir_str text = {column->plain.data + size + 4, weir_le32(column->plain.data + size)};
		shared += pq_shared_prefix(before, text);
		size += 4 + text.size;
		before = text;
	}
	bool alike = shared >= size / 8, brief = size / count < SHORT_TEXT;
	column->text_encoding = PQ_PLAIN;
	int code = alike || brief ? measure_texts(making, count, size, alike, brief, &column->text_encoding) : 0;
	making->plan.encoding = column->text_encoding;
	column->text_groups = TRIAL_EVERY - 1;
	return code;
}

/* Does the first page of numbers compress better when its bytes are split? */
static int plan_split(struct making *making)
{
	struct pq_scratch *scratch = making->scratch;
	const struct pq_leaf *leaf = making->column->leaf;
	struct pq_page_mark end = page_end(making, 0);
	size_t size = end.first_value * leaf->width;
	if (!scratch->may_split || (leaf->physical != PQ_FLOAT && leaf->physical != PQ_DOUBLE) ||
		making->plan.encoding != PQ_PLAIN || scratch->kind == CODEC_NONE || size < SMALLEST_TO_COMPRESS)
		return 0;
	scratch->body.size = scratch->packed.size = scratch->tail.size = 0;
	put_split(&scratch->body, making->column->plain.data, end.first_value, leaf->width);
	int code = codec_compress(scratch->codec, scratch->kind, scratch->level, making->column->plain.data, size,
		&scratch->packed, making->err);
	if (code == 0)
		code = codec_compress(scratch->codec, scratch->kind, scratch->level, scratch->body.data, size,
			&scratch->tail, making->err);
	if (code == 0 && scratch->tail.size < scratch->packed.size - scratch->packed.size / 10 &&
		scratch->tail.size < size - size / 10)
		making->plan.encoding = PQ_BYTE_STREAM_SPLIT;
	return code;
}

static void plan_fixed(struct making *making)
{
	struct pq_column_writer *column = making->column;
	const struct pq_leaf *leaf = column->leaf;
	uint64_t best = column->plain.size - column->plain.size / 10;
	if (leaf->width != 4 && leaf->width != 8 && leaf->width != 16)
		return;
	struct pq_dictionary *dictionary = &making->scratch->dictionaries[leaf->width == 4 ? 0 : leaf->width / 8];
	pq_dictionary_clear(dictionary);
	if (try_dictionary(making, dictionary) && coded_bytes(dictionary, column->value_count) < best) {
		best = coded_bytes(dictionary, column->value_count);
		plan_dictionary(making, dictionary, making->scratch->codes);
	}
	if ((leaf->physical == PQ_INT32 || leaf->physical == PQ_INT64) && column->value_count >= 8) {
		uint64_t end = page_end(making, 0).first_value;
		making->scratch->tail.size = 0;
		put_deltas(making, &making->scratch->tail, 0, end);
		if (end > 0 &&
			(double)making->scratch->tail.size / (double)end * (double)column->value_count < (double)best)
			making->plan = (struct plan){.encoding = PQ_DELTA_BINARY_PACKED};
	}
}

static void put_levels(struct weir_buf *out, const uint8_t *levels, uint32_t count, uint8_t max)
{
	size_t at = out->size;
	weir_buf_u32(out, 0);
	pq_rle_encode_levels(out, levels, count, pq_bit_width(max));
	uint32_t size = (uint32_t)(out->size - at - 4);
	memcpy(out->data + at, &size, 4);
}

static void put_bits(struct weir_buf *out, const char *values, uint64_t count)
{
	for (uint64_t i = 0; i < count; i += 8) {
		uint8_t byte = 0;
		for (uint64_t k = 0; k < 8 && i + k < count; k++)
			byte |= (uint8_t)(values[i + k] << k);
		weir_buf_u8(out, byte);
	}
}

static void put_values(const struct making *making, struct weir_buf *out, const struct pq_page_mark *from,
	const struct pq_page_mark *to)
{
	const struct pq_column_writer *column = making->column;
	uint32_t width = column->leaf->width;
	uint32_t count = (uint32_t)(to->first_value - from->first_value);
	if (making->plan.encoding == PQ_RLE_DICTIONARY) {
		weir_buf_u8(out, (uint8_t)making->plan.bit_width);
		pq_rle_encode(out, making->plan.codes + from->first_value, count, making->plan.bit_width);
	} else if (making->plan.encoding == PQ_DELTA_BINARY_PACKED) {
		put_deltas(making, out, from->first_value, to->first_value);
	} else if (making->plan.encoding == PQ_DELTA_BYTE_ARRAY) {
		pq_delta_text_encode(out, column->plain.data + from->first_byte, count);
	} else if (making->plan.encoding == PQ_DELTA_LENGTH_BYTE_ARRAY) {
		pq_delta_length_encode(out, column->plain.data + from->first_byte, count);
	} else if (making->plan.encoding == PQ_BYTE_STREAM_SPLIT) {
		put_split(out, column->plain.data + from->first_value * width, count, width);
	} else if (column->leaf->physical == PQ_BOOLEAN) {
		put_bits(out, column->plain.data + from->first_value, count);
	} else if (width == 0) {
		weir_buf_append(out, column->plain.data + from->first_byte, to->first_byte - from->first_byte);
	} else {
		weir_buf_append(out, column->plain.data + from->first_value * width, (size_t)count * width);
	}
}

/* The page's values as they lie in the column, where that is how they are written; else without data. */
static struct weir_str plain_values(
	const struct making *making, const struct pq_page_mark *from, const struct pq_page_mark *to)
{
	const struct pq_column_writer *column = making->column;
	uint32_t width = column->leaf->width;
	if (making->plan.encoding != PQ_PLAIN || column->leaf->physical == PQ_BOOLEAN || column->plain.size == 0)
		return (struct weir_str){NULL, 0};
	if (width == 0)
		return (struct weir_str){column->plain.data + from->first_byte, to->first_byte - from->first_byte};
	return (struct weir_str){
		column->plain.data + from->first_value * width, (to->first_value - from->first_value) * width};
}

/* plain as a page at the end of the row group. */
static int put_page(struct making *making, struct pq_page_header *header, struct weir_str plain)
{
	struct pq_scratch *scratch = making->scratch;
	struct weir_str body = plain;
	struct weir_buf *out = &making->group->bytes;
	if (making->chunk->codec != pq_codec_number(CODEC_NONE)) {
		scratch->packed.size = 0;
		int code = codec_compress(scratch->codec, scratch->kind, scratch->level, body.data, body.size,
			&scratch->packed, making->err);
		if (code != 0)
			return code;
		body = weir_buf_str(&scratch->packed);
	}
	if (plain.size > INT32_MAX || body.size > INT32_MAX)
		return weir_fail(making->err, WEIR_E_LIMIT, "a page of field '%.*s' is larger than 2 GiB",
			WEIR_STR_ARG(making->column->leaf->field->name));
	header->plain_size = (int32_t)plain.size;
	header->packed_size = (int32_t)body.size;
	size_t before = out->size;
	pq_page_header_encode(out, header);
	making->chunk->plain_size += out->size - before + plain.size;
	weir_buf_append(out, body.data, body.size);
	return 0;
}

static int put_dictionary(struct making *making)
{
	const struct pq_dictionary *dictionary = making->plan.dictionary;
	struct pq_page_header header = {
		.type = PQ_DICTIONARY_PAGE, .value_count = (int32_t)dictionary->count, .encoding = PQ_PLAIN};
	making->chunk->has_dictionary = true;
	making->chunk->dictionary_offset = making->group->bytes.size;
	return put_page(making, &header, weir_buf_str(&dictionary->bytes));
}

static int put_data_page(struct making *making, uint32_t page)
{
	const struct pq_column_writer *column = making->column;
	const struct pq_leaf *leaf = column->leaf;
	const struct pq_page_mark *from = &column->pages[page];
	struct pq_page_mark to = page_end(making, page);
	struct pq_page_info *info = &making->chunk->pages[page];
	struct weir_buf *body = &making->scratch->body;
	uint32_t entries = (uint32_t)(to.first_entry - from->first_entry);
	body->size = 0;
	if (leaf->max_rep > 0)
		put_levels(body, (const uint8_t *)column->reps.data + from->first_entry, entries, leaf->max_rep);
	if (leaf->max_def > 0)
		put_levels(body, (const uint8_t *)column->defs.data + from->first_entry, entries, leaf->max_def);
	struct weir_str plain = plain_values(making, from, &to);
	if (plain.data == NULL || body->size > 0) {
		put_values(making, body, from, &to);
		plain = weir_buf_str(body);
	}
	struct pq_page_header header = {
		.type = PQ_DATA_PAGE, .value_count = (int32_t)entries, .encoding = making->plan.encoding};
	info->offset = making->group->bytes.size;
	info->first_row = from->first_row;
	info->null_count = entries - (to.first_value - from->first_value);
	info->all_null = to.first_value == from->first_value;
	int code = put_page(making, &header, plain);
	info->size = (uint32_t)(making->group->bytes.size - info->offset);
	return code;
}

/* Pages from `page` on to `end`, the dictionary before the first. */
static int put_pages(struct making *making, uint32_t page, uint32_t end)
{
	int code = 0;
	if (page == 0 && making->plan.dictionary != NULL)
		code = put_dictionary(making);
	for (; page < end && code == 0; page++)
		code = put_data_page(making, page);
	return code;
}

/* The first pages compressed; where that saves less than a tenth, they are taken back. */
static int put_all(struct making *making)
{
	struct pq_chunk *chunk = making->chunk;
	uint32_t count = making->column->page_count, first = 0;
	chunk->codec = pq_codec_number(making->scratch->kind);
	while (first < count && chunk->plain_size < COMPRESSION_TRIAL_BYTES) {
		int code = put_pages(making, first, first + 1);
		if (code != 0)
			return code;
		first++;
	}
	uint64_t packed = making->group->bytes.size - making->start;
	if (chunk->codec != 0 &&
		(packed > chunk->plain_size - chunk->plain_size / 10 || chunk->plain_size < SMALLEST_TO_COMPRESS)) {
		making->group->bytes.size = making->start;
		chunk->plain_size = 0;
		chunk->codec = 0;
		first = 0;
	}
	return put_pages(making, first, count);
}

static struct pq_bounds text_page_bounds(struct making *making, uint32_t page)
{
	const struct pq_column_writer *column = making->column;
	struct pq_page_mark from = column->pages[page], to = page_end(making, page);
	struct pq_bounds bounds = {0};
	if (making->plan.dictionary != NULL) { /* each code is looked at once a page */
		for (uint64_t i = from.first_value; i < to.first_value; i++) {
			uint32_t code = making->plan.codes[i];
			if (making->scratch->stamps[code] == page + 1)
				continue;
			making->scratch->stamps[code] = page + 1;
			pq_bounds_add_text(&bounds, pq_dictionary_text(making->plan.dictionary, code));
		}
		return bounds;
	}
	for (uint64_t at = from.first_byte; at < to.first_byte;) {
		uint32_t size = weir_le32(column->plain.data + at);
		pq_bounds_add_text(&bounds, (struct weir_str){column->plain.data + at + 4, size});
		at += 4 + (uint64_t)size;
	}
	return bounds;
}

static void merge_bounds(
	const struct pq_leaf *leaf, struct weir_arena *arena, struct pq_bounds *all, const struct pq_bounds *page)
{
	all->nan_count += page->nan_count;
	if (!page->has)
		return;
	bool lower = !all->has || pq_bound_order(leaf, page->min, all->min) < 0;
	bool upper = !all->has || pq_bound_order(leaf, page->max, all->max) > 0;
	if (lower)
		all->min = weir_arena_str(arena, page->min);
	if (upper)
		all->max = weir_arena_str(arena, page->max);
	all->has = true;
}

static uint8_t index_order(const struct pq_leaf *leaf, const struct pq_chunk *chunk)
{
	const struct pq_page_info *last = NULL;
	bool up = true, down = true;
	for (uint32_t i = 0; i < chunk->page_count; i++) {
		const struct pq_page_info *page = &chunk->pages[i];
		if (page->all_null)
			continue;
		if (last != NULL) {
			int min = pq_bound_order(leaf, last->min, page->min);
			int max = pq_bound_order(leaf, last->max, page->max);
			up &= min <= 0 && max <= 0;
			down &= min >= 0 && max >= 0;
		}
		last = page;
	}
	return up ? 1 : down ? 2 : 0;
}

static void set_statistics(struct making *making, const struct pq_bounds *all)
{
	struct pq_chunk *chunk = making->chunk;
	const struct pq_leaf *leaf = making->column->leaf;
	bool utf8 = leaf->field->type == WEIR_STRING;
	chunk->nan_count = all->nan_count;
	chunk->stats.has_null_count = true;
	chunk->stats.null_count = making->column->entry_count - making->column->value_count;
	if (!all->has)
		return;
	chunk->stats.min_exact = all->min.size <= PQ_BOUND_LIMIT;
	chunk->stats.max_exact = all->max.size <= PQ_BOUND_LIMIT;
	struct weir_arena *arena = making->group->arena;
	chunk->stats.min = chunk->stats.min_exact ? all->min : pq_bound_cut_lower(all->min, PQ_INDEX_BOUND_LIMIT, utf8);
	chunk->stats.max =
		chunk->stats.max_exact ? all->max : pq_bound_cut_upper(arena, all->max, PQ_INDEX_BOUND_LIMIT, utf8);
	chunk->has_bounds = chunk->stats.min_exact && chunk->stats.max_exact &&
		pq_bound_value(leaf, all->min, &chunk->min) && pq_bound_value(leaf, all->max, &chunk->max);
}

static void measure(struct making *making)
{
	struct pq_column_writer *column = making->column;
	const struct pq_leaf *leaf = column->leaf;
	struct pq_chunk *chunk = making->chunk;
	struct weir_arena *arena = making->group->arena;
	struct pq_bounds all = {0};
	bool utf8 = leaf->field->type == WEIR_STRING;
	if (is_text(leaf) && making->plan.dictionary != NULL) {
		struct pq_scratch *scratch = making->scratch;
		reserve_u32(&scratch->stamps, &scratch->stamp_capacity, making->plan.dictionary->count + 1);
		memset(scratch->stamps, 0, making->plan.dictionary->count * sizeof(uint32_t));
	}
	chunk->has_index = leaf->bounds;
	for (uint32_t i = 0; i < column->page_count && leaf->bounds; i++) {
		struct pq_page_mark from = column->pages[i], to = page_end(making, i);
		struct pq_bounds page;
		if (is_text(leaf))
			page = text_page_bounds(making, i);
		else
			pq_bounds_of_fixed(leaf, column->plain.data + from.first_value * leaf->width,
				(uint32_t)(to.first_value - from.first_value), &page);
		merge_bounds(leaf, arena, &all, &page);
		if (page.has) {
			bool cut = is_text(leaf);
			chunk->pages[i].min = weir_arena_str(
				arena, cut ? pq_bound_cut_lower(page.min, PQ_INDEX_BOUND_LIMIT, utf8) : page.min);
			chunk->pages[i].max = weir_arena_str(arena,
				cut ? pq_bound_cut_upper(arena, page.max, PQ_INDEX_BOUND_LIMIT, utf8) : page.max);
		} else if (to.first_value > from.first_value) {
			chunk->has_index = false; /* nothing but NaN: the page has no bounds, the chunk no index */
		}
	}
	set_statistics(making, &all);
	if (chunk->has_index)
		chunk->index_order = index_order(leaf, chunk);
}

static void make_bloom(struct making *making)
{
	const struct pq_column_writer *column = making->column;
	const struct pq_dictionary *dictionary = making->plan.dictionary;
	struct weir_buf out = WEIR_BUF_INIT;
	struct pq_bloom bloom;
	uint32_t width = column->leaf->width;
	pq_bloom_init(&bloom, dictionary != NULL ? dictionary->count : column->value_count);
	const struct weir_buf *from = dictionary != NULL ? &dictionary->bytes : &column->plain;
	for (size_t at = 0; at < from->size;) {
		uint32_t size = width > 0 ? width : weir_le32(from->data + at);
		at += width > 0 ? 0 : 4;
		pq_bloom_add(&bloom, from->data + at, size);
		at += size;
	}
	size_t bits_size = (size_t)bloom.block_count * 32;
	pq_bloom_header_encode(&out, (uint32_t)bits_size);
	weir_buf_append(&out, bloom.words, bits_size);
	making->chunk->bloom = weir_arena_str(making->group->arena, weir_buf_str(&out));
	weir_buf_done(&out);
	pq_bloom_done(&bloom);
}

int pq_column_writer_finish(struct pq_column_writer *column, struct pq_scratch *scratch, uint64_t rows,
	struct pq_row_group *group, struct pq_chunk *ret_chunk, struct weir_error *err)
{
	struct making making = {
		column, scratch, group, ret_chunk, {.encoding = PQ_PLAIN}, rows, group->bytes.size, err};
	*ret_chunk = (struct pq_chunk){.physical = column->leaf->physical, .value_count = column->entry_count};
	ret_chunk->page_count = column->page_count;
	ret_chunk->pages = weir_arena_calloc(group->arena, column->page_count, sizeof *ret_chunk->pages);
	if (is_text(column->leaf))
		plan_text(&making);
	else
		plan_fixed(&making);
	int code = is_text(column->leaf) ? plan_delta_text(&making) : plan_split(&making);
	if (code == 0)
		code = put_all(&making);
	if (code != 0)
		return code;
	ret_chunk->encodings = 1U << making.plan.encoding | 1U << PQ_RLE;
	if (ret_chunk->has_dictionary)
		ret_chunk->encodings |= 1U << PQ_PLAIN;
	ret_chunk->data_encodings = 1U << making.plan.encoding;
	ret_chunk->data_offset = column->page_count > 0 ? ret_chunk->pages[0].offset : making.start;
	ret_chunk->packed_size = group->bytes.size - making.start;
	measure(&making);
	if (column->leaf->bloom)
		make_bloom(&making);
	return 0;
}
