/*
 * A column chunk as a cursor: page after page, rows after rows, levels and dense values.
 *
 * Bytes come through a window of the file, so that many small pages cost one read. Pages are checked
 * (sizes, checksum where there is one) before anything is allocated for them but their own size, which
 * has a limit. Nothing of a cursor is shared; what it hands to a holder is.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "format/parquet/read_int.h"

#define WINDOW_BYTES ((uint64_t)256 << 10)
#define HEADER_GUESS 512

struct pq_shared *pq_shared_new(size_t size)
{
	struct pq_shared *shared = weir_alloc(sizeof *shared + size);
	atomic_init(&shared->refs, 1);
	shared->size = shared->capacity = size;
	return shared;
}

/* Memory for a page: that of an earlier one, where it is large enough and nobody holds it. */
static struct pq_shared *take_page(struct pq_cursor *cursor, size_t size)
{
	struct pq_shared *spare = cursor->spare;
	if (spare == NULL || spare->capacity < size || atomic_load_explicit(&spare->refs, memory_order_acquire) != 1)
		return pq_shared_new(size);
	cursor->spare = NULL;
	spare->size = size;
	return spare;
}

static void keep_page(struct pq_cursor *cursor, struct pq_shared *page)
{
	pq_shared_unref(cursor->spare);
	cursor->spare = page;
}

struct pq_shared *pq_shared_ref(struct pq_shared *shared)
{
	atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
	return shared;
}

void pq_shared_unref(struct pq_shared *shared)
{
	if (shared != NULL && atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) == 1)
		free(shared);
}

void pq_holder_add(struct pq_holder *holder, struct pq_shared *shared)
{
	if (holder->held_count > 0 && holder->held[holder->held_count - 1] == shared)
		return;
	WEIR_GROW(holder->held, holder->held_count, holder->held_capacity);
	holder->held[holder->held_count++] = pq_shared_ref(shared);
}

int pq_cursor_corrupt(const struct pq_cursor *cursor, uint64_t offset, const char *why, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_CORRUPT, cursor->file->source.name, offset, "column '%.*s': %s",
		WEIR_STR_ARG(cursor->leaf.node->field->name), why);
}

/* Names file and place of an error of a decoder. */
static int at_page(const struct pq_cursor *cursor, struct weir_error *err, int code)
{
	if (err == NULL)
		return code;
	weir_error_wrap(err, code, "column '%.*s'", WEIR_STR_ARG(cursor->leaf.node->field->name));
	if (err->offset == WEIR_ERROR_NO_OFFSET)
		err->offset = cursor->offset;
	return weir_error_in(err, code, cursor->file->source.name);
}

static uint64_t chunk_start(const struct pq_chunk *chunk)
{
	return chunk->has_dictionary && chunk->dictionary_offset < chunk->data_offset ? chunk->dictionary_offset
										      : chunk->data_offset;
}

/* At least `least` bytes at offset, or what there is before the footer, and more where that is cheap. */
static int look(struct pq_cursor *cursor, uint64_t offset, uint64_t least, const uint8_t **ret_bytes, size_t *ret_size,
	struct weir_error *err)
{
	uint64_t end = cursor->file->footer_offset;
	uint64_t there = offset < end ? end - offset : 0;
	uint64_t have_end = cursor->window_offset + cursor->window.size;
	least = least < there ? least : there;
	if (offset < cursor->window_offset || offset > have_end || have_end - offset < least ||
		cursor->window.size == 0) {
		uint64_t start = chunk_start(&cursor->chunk);
		uint64_t chunk_left = offset >= start && cursor->chunk.packed_size > offset - start
			? cursor->chunk.packed_size - (offset - start)
			: 0;
		uint64_t goal = cursor->window_goal > WINDOW_BYTES ? cursor->window_goal : WINDOW_BYTES;
		uint64_t size = chunk_left < goal ? chunk_left : goal;
		size = size < least ? least : size;
		size = size < there ? size : there;
		cursor->window.size = 0;
		weir_buf_reserve(&cursor->window, size + 1);
		int code = cursor->file->source.read(cursor->file->source.self, offset, cursor->window.data, size, err);
		if (code != 0)
			return weir_error_in(err, code, cursor->file->source.name);
		cursor->window.size = size;
		cursor->window_offset = offset;
		cursor->counts->bytes_read += size;
		have_end = offset + size;
	}
	*ret_bytes = (const uint8_t *)cursor->window.data + (offset - cursor->window_offset);
	*ret_size = (size_t)(have_end - offset);
	return 0;
}

static int read_header(struct pq_cursor *cursor, struct pq_page_header *header, struct weir_error *err)
{
	const uint8_t *bytes = NULL;
	size_t size = 0, wanted = HEADER_GUESS;
	for (;;) {
		bool truncated;
		int code = look(cursor, cursor->offset, wanted, &bytes, &size, err);
		if (code != 0)
			return code;
		code = pq_page_header_decode(bytes, size, header, &truncated, err);
		if (code == 0)
			return 0;
		bool more = cursor->offset + size < cursor->file->footer_offset && size < PQ_PAGE_HEADER_LIMIT;
		if (!truncated || !more)
			return at_page(cursor, err, code);
		wanted = size * 2;
	}
}

static int check_page(const struct pq_cursor *cursor, const struct pq_page_header *header, const uint8_t *body,
	struct weir_error *err)
{
	uint64_t levels = (uint64_t)header->def_size + (uint64_t)header->rep_size;
	if ((uint64_t)header->plain_size > cursor->memory_limit)
		return weir_fail_at(err, WEIR_E_LIMIT, cursor->file->source.name, cursor->offset,
			"column '%.*s': a page of %d bytes; the limit is %llu",
			WEIR_STR_ARG(cursor->leaf.node->field->name), header->plain_size,
			(unsigned long long)cursor->memory_limit);
	if (header->type == PQ_DATA_PAGE_V2 &&
		(levels > (uint64_t)header->plain_size || levels > (uint64_t)header->packed_size))
		return pq_cursor_corrupt(cursor, cursor->offset, "the levels of a page are longer than the page", err);
	if (header->has_crc && weir_crc32(0, body, (size_t)header->packed_size) != header->crc)
		return pq_cursor_corrupt(cursor, cursor->offset, "the checksum of a page does not match", err);
	return 0;
}

static int codec_of(const struct pq_cursor *cursor, enum codec *ret_codec, struct weir_error *err)
{
	static const int8_t codecs[] = {
		CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, -1, CODEC_BROTLI, CODEC_LZ4_HADOOP, CODEC_ZSTD, CODEC_LZ4_RAW};
	int32_t number = cursor->chunk.codec;
	if (number < 0 || (size_t)number >= sizeof codecs || codecs[number] < 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, cursor->file->source.name, cursor->offset,
			"column '%.*s' is compressed with codec %d (%s), which weir does not read",
			WEIR_STR_ARG(cursor->leaf.node->field->name), number, number == 3 ? "LZO" : "unknown");
	*ret_codec = (enum codec)codecs[number];
	return 0;
}

/* The page's bytes, decompressed, with its levels first. */
static int unpack_page(struct pq_cursor *cursor, const struct pq_page_header *header, struct pq_shared **ret_page,
	struct weir_error *err)
{
	const uint8_t *body = NULL;
	size_t size = 0, kept = 0;
	enum codec codec = CODEC_NONE;
	uint64_t at = cursor->offset + header->header_size;
	int code = look(cursor, at, (uint64_t)header->packed_size, &body, &size, err);
	if (code != 0)
		return code;
	/* The next is alike. */
	cursor->window_goal = header->header_size + (uint64_t)header->packed_size + HEADER_GUESS;
	if (size < (size_t)header->packed_size)
		return pq_cursor_corrupt(cursor, cursor->offset, "a page is cut by the end of the file", err);
	code = check_page(cursor, header, body, err);
	if (code == 0)
		code = codec_of(cursor, &codec, err);
	if (code != 0)
		return code;
	if (header->type == PQ_DATA_PAGE_V2) {
		kept = (size_t)header->def_size + (size_t)header->rep_size;
		codec = header->compressed ? codec : CODEC_NONE;
	}
	struct pq_shared *page = take_page(cursor, (size_t)header->plain_size);
	if (kept > 0)
		memcpy(page->data, body, kept);
	size_t plain = (size_t)header->plain_size - kept, packed = (size_t)header->packed_size - kept;
	if (codec == CODEC_NONE && plain <= packed) { /* some writers count padding */
		if (plain > 0)
			memcpy(page->data + kept, body + kept, plain);
	} else if (plain > 0 || packed > 0) {
		code = codec_decompress(cursor->codec, codec, body + kept, packed, page->data + kept, plain, err);
	}
	if (code != 0) {
		pq_shared_unref(page);
		return at_page(cursor, err, code);
	}
	*ret_page = page;
	return 0;
}

/* The dictionary page: its values decoded once, in one block that batches can hold. */
static int open_dictionary(struct pq_cursor *cursor, const struct pq_page_header *header, struct weir_error *err)
{
	struct pq_shared *page = NULL;
	struct pq_values values = {0};
	struct pq_dictionary_values none = {0};
	struct pq_holder holder = {0};
	uint32_t count = (uint32_t)header->value_count, width = pq_value_width(cursor->leaf.physical);
	if (cursor->dictionary.shared != NULL)
		return pq_cursor_corrupt(cursor, cursor->offset, "there are two dictionaries", err);
	if (header->encoding != PQ_PLAIN && header->encoding != PQ_PLAIN_DICTIONARY)
		return pq_cursor_corrupt(cursor, cursor->offset, "the dictionary is not in PLAIN encoding", err);
	int code = unpack_page(cursor, header, &page, err);
	if (code != 0)
		return code;
	/* A value takes at least a bit of the page, four bytes where it has a length. */
	uint64_t most = cursor->leaf.physical == PQ_BYTE_ARRAY ? page->size / 4 : (uint64_t)page->size * 8;
	if (count > most) {
		pq_shared_unref(page);
		return pq_cursor_corrupt(cursor, cursor->offset, "the dictionary has fewer values than it says", err);
	}
	size_t head = (sizeof(struct weir_dict) + 15) & ~(size_t)15, array = ((size_t)count * width + 15) & ~(size_t)15;
	struct pq_shared *shared = pq_shared_new(head + array + page->size);
	uint8_t *bytes = shared->data + head + array;
	if (page->size > 0)
		memcpy(bytes, page->data, page->size);
	code = pq_values_open(&values, PQ_PLAIN, cursor->leaf.physical, cursor->leaf.type_length, bytes,
		bytes + page->size, &none, err);
	if (code == 0)
		code = pq_values_read(&values, count, shared->data + head, &holder, err);
	keep_page(cursor, page);
	if (code != 0) {
		pq_shared_unref(shared);
		return at_page(cursor, err, code);
	}
	cursor->dictionary =
		(struct pq_dictionary_values){.shared = shared, .count = count, .values = shared->data + head};
	if (cursor->leaf.physical == PQ_BYTE_ARRAY || cursor->leaf.physical == PQ_FIXED) {
		struct weir_dict *dict = (struct weir_dict *)(void *)shared->data;
		*dict = (struct weir_dict){count, cursor->dictionary.values};
		cursor->dictionary.dict = dict;
	}
	return 0;
}

/* Levels of a v1 page at *at: a length and run lengths, or the deprecated bit packing. */
static bool open_levels_v1(struct pq_levels *levels, int32_t encoding, uint8_t max, uint32_t entries,
	const uint8_t **at, const uint8_t *end)
{
	unsigned width = pq_bit_width(max);
	*levels = (struct pq_levels){0};
	if (max == 0)
		return true;
	if (encoding == PQ_BIT_PACKED) {
		uint64_t size = ((uint64_t)entries * width + 7) / 8;
		if (size > (uint64_t)(end - *at))
			return false;
		*levels = (struct pq_levels){.bit_packed = true, .bits = *at, .bit_end = (uint64_t)entries * width};
		levels->rle.bit_width = width;
		*at += size;
		return true;
	}
	if (encoding != PQ_RLE || end - *at < 4 || weir_le32(*at) > (size_t)(end - *at) - 4)
		return false;
	pq_rle_open(&levels->rle, *at + 4, weir_le32(*at), width);
	*at += 4 + weir_le32(*at);
	return true;
}

static bool read_levels(struct pq_levels *levels, uint32_t count, uint8_t *to)
{
	if (!levels->bit_packed)
		return pq_rle_read_levels(&levels->rle, count, to);
	for (uint32_t i = 0; i < count; i++) {
		unsigned value = 0;
		if (levels->bit_at + levels->rle.bit_width > levels->bit_end)
			return false;
		for (unsigned b = 0; b < levels->rle.bit_width; b++, levels->bit_at++)
			value = value << 1 | (levels->bits[levels->bit_at / 8] >> (7 - levels->bit_at % 8) & 1);
		to[i] = (uint8_t)value;
	}
	return true;
}

static int open_data_page(struct pq_cursor *cursor, const struct pq_page_header *header, struct weir_error *err)
{
	struct pq_shared *page = NULL;
	int code = unpack_page(cursor, header, &page, err);
	if (code != 0)
		return code;
	keep_page(cursor, cursor->page);
	cursor->page = page;
	cursor->reps_at = cursor->reps_count = 0;
	const uint8_t *at = page->data, *end = page->data + page->size;
	uint32_t entries = (uint32_t)header->value_count;
	uint8_t max_rep = cursor->leaf.max_rep, max_def = cursor->leaf.max_def;
	if (header->type == PQ_DATA_PAGE_V2) {
		pq_rle_open(&cursor->rep_levels.rle, at, (size_t)header->rep_size, pq_bit_width(max_rep));
		at += header->rep_size;
		pq_rle_open(&cursor->def_levels.rle, at, (size_t)header->def_size, pq_bit_width(max_def));
		at += header->def_size;
		cursor->rep_levels.bit_packed = cursor->def_levels.bit_packed = false;
	} else if (!open_levels_v1(&cursor->rep_levels, header->rep_encoding, max_rep, entries, &at, end) ||
		!open_levels_v1(&cursor->def_levels, header->def_encoding, max_def, entries, &at, end)) {
		return pq_cursor_corrupt(cursor, cursor->offset, "the levels of a page are cut or damaged", err);
	}
	code = pq_values_open(&cursor->values, header->encoding, cursor->leaf.physical, cursor->leaf.type_length, at,
		end, &cursor->dictionary, err);
	if (code != 0)
		return at_page(cursor, err, code);
	if (cursor->entries_left != UINT64_MAX) {
		if (entries > cursor->entries_left)
			return pq_cursor_corrupt(cursor, cursor->offset, "pages have more values than the column", err);
		cursor->entries_left -= entries;
	}
	cursor->page_left = entries;
	cursor->counts->pages_read++;
	return 0;
}

/* The next page of any kind. */
static int next_page(struct pq_cursor *cursor, struct weir_error *err)
{
	struct pq_page_header header;
	int code = read_header(cursor, &header, err);
	if (code != 0)
		return code;
	if (header.type == PQ_DICTIONARY_PAGE)
		code = open_dictionary(cursor, &header, err);
	else if (header.type == PQ_DATA_PAGE || header.type == PQ_DATA_PAGE_V2)
		code = open_data_page(cursor, &header, err);
	else if (header.type != PQ_INDEX_PAGE)
		code = pq_cursor_corrupt(cursor, cursor->offset, "a page is of a kind that there is not", err);
	cursor->offset += header.header_size + (uint64_t)header.packed_size;
	return code;
}

static bool has_more_pages(const struct pq_cursor *cursor)
{
	const struct pq_chunk *chunk = &cursor->chunk;
	if (cursor->entries_left != UINT64_MAX)
		return cursor->entries_left > 0;
	return chunk->page_count > 0 && cursor->offset <= chunk->pages[chunk->page_count - 1].offset;
}

int pq_cursor_open(struct pq_cursor *cursor, const struct pq_file *file, uint32_t row_group, uint32_t leaf,
	const struct pq_chunk *chunk, uint64_t memory_limit, struct codec_state *codec, struct pq_read_counts *counts,
	struct weir_error *err)
{
	struct pq_cursor before = *cursor; /* its buffers serve again */
	*cursor = (struct pq_cursor){.file = file,
		.leaf = file->tree.leaves[leaf],
		.chunk = *chunk,
		.codec = codec,
		.memory_limit = memory_limit,
		.counts = counts,
		.entries_left = chunk->value_count,
		.window = before.window,
		.data = before.data,
		.spare = before.spare};
	cursor->window.size = 0;
	cursor->values.previous_buf = before.values.previous_buf;
	cursor->offset = chunk_start(chunk);
	if (chunk->external || chunk->encrypted)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->source.name, file->footer_offset,
			"column '%.*s' of row group %u is %s", WEIR_STR_ARG(cursor->leaf.node->field->name), row_group,
			chunk->encrypted ? "encrypted" : "in another file");
	return 0;
}

void pq_cursor_rest(struct pq_cursor *cursor)
{
	pq_shared_unref(cursor->dictionary.shared);
	cursor->dictionary = (struct pq_dictionary_values){0};
	keep_page(cursor, cursor->page);
	cursor->page = NULL;
	cursor->page_left = 0;
}

/* Without lists there are as many values as rows at most, and they go where the batch's column will have them. */
static bool is_lent(const struct pq_cursor *cursor)
{
	return cursor->leaf.max_rep == 0;
}

void pq_cursor_close(struct pq_cursor *cursor)
{
	pq_cursor_rest(cursor);
	weir_buf_done(&cursor->window);
	pq_shared_unref(cursor->spare);
	pq_values_done(&cursor->values);
	free(cursor->data.defs);
	free(cursor->data.reps);
	if (!is_lent(cursor)) {
		free(cursor->data.values);
		free(cursor->data.codes);
	}
	*cursor = (struct pq_cursor){0};
}

static void reserve_entries(struct pq_leaf_data *data, const struct pq_leaf_levels *leaf, uint32_t more)
{
	uint32_t needed = data->entry_count + more;
	if (needed <= data->entry_capacity)
		return;
	data->entry_capacity = needed + needed / 2;
	if (leaf->max_def > 0)
		data->defs = weir_realloc(data->defs, data->entry_capacity, 1);
	if (leaf->max_rep > 0)
		data->reps = weir_realloc(data->reps, data->entry_capacity, 1);
}

static void reserve_values(struct pq_cursor *cursor, uint32_t width, uint32_t more, struct pq_holder *holder)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t needed = data->value_count + more;
	if (is_lent(cursor)) {
		if (data->values == NULL)
			data->values = weir_arena_alloc(holder->arena, (size_t)data->rows * width);
	} else if (needed > data->value_capacity) {
		data->value_capacity = needed + needed / 2;
		data->values = weir_realloc(data->values, data->value_capacity, width);
	}
}

static void reserve_codes(struct pq_cursor *cursor, uint32_t more, struct pq_holder *holder)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t needed = data->value_count + more;
	if (is_lent(cursor)) {
		if (data->codes == NULL)
			data->codes = weir_arena_alloc(holder->arena, (size_t)data->rows * sizeof *data->codes);
	} else if (needed > data->code_capacity) {
		data->code_capacity = needed + needed / 2;
		data->codes = weir_realloc(data->codes, data->code_capacity, sizeof *data->codes);
	}
}

/* A page without a dictionary follows ones with: all become views. */
static void decode_codes(struct pq_cursor *cursor, struct pq_holder *holder)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t count = data->value_count;
	data->value_count = 0;
	reserve_values(cursor, sizeof(struct weir_view), count, holder);
	for (uint32_t i = 0; i < count; i++)
		((struct weir_view *)data->values)[i] = data->dictionary.dict->values[data->codes[i]];
	data->value_count = count;
	data->coded = false;
}

static int take_values(struct pq_cursor *cursor, uint32_t count, struct pq_holder *holder, struct weir_error *err)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t width = pq_value_width(cursor->leaf.physical);
	bool bytes = width == 16, coded = bytes && pq_values_coded(&cursor->values);
	int code;
	if (count == 0)
		return 0;
	if (bytes)
		pq_holder_add(holder, coded ? cursor->dictionary.shared : cursor->page);
	if (coded && data->coded) {
		reserve_codes(cursor, count, holder);
		data->dictionary = cursor->dictionary;
		code = pq_values_read_codes(&cursor->values, count, data->codes + data->value_count, err);
	} else {
		if (data->coded && bytes)
			decode_codes(cursor, holder);
		reserve_values(cursor, width, count, holder);
		code = pq_values_read(
			&cursor->values, count, (char *)data->values + (size_t)data->value_count * width, holder, err);
	}
	if (code != 0)
		return at_page(cursor, err, code);
	data->value_count += count;
	return 0;
}

/* count entries of the current page, whose repetition levels are read. */
static int take_entries(struct pq_cursor *cursor, uint32_t count, struct pq_holder *holder, struct weir_error *err)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t present = count;
	if (cursor->leaf.max_def > 0) {
		uint8_t *defs = data->defs + data->entry_count, max = cursor->leaf.max_def, highest = 0;
		if (!read_levels(&cursor->def_levels, count, defs))
			return pq_cursor_corrupt(cursor, cursor->offset, "the levels of a page are cut", err);
		present = 0;
		for (uint32_t i = 0; i < count; i++) {
			present += defs[i] == max;
			highest = defs[i] > highest ? defs[i] : highest;
		}
		if (highest > max)
			return pq_cursor_corrupt(cursor, cursor->offset, "a level of a page is too high", err);
	}
	data->entry_count += count;
	cursor->page_left -= count;
	return take_values(cursor, present, holder, err);
}

static int need_page(struct pq_cursor *cursor, bool *ret_has, struct weir_error *err)
{
	while (cursor->page_left == 0 && has_more_pages(cursor)) {
		int code = next_page(cursor, err);
		if (code != 0)
			return code;
	}
	*ret_has = cursor->page_left > 0;
	return 0;
}

static int read_flat(struct pq_cursor *cursor, uint32_t rows, struct pq_holder *holder, struct weir_error *err)
{
	while (rows > 0) {
		bool has = false;
		int code = need_page(cursor, &has, err);
		if (code != 0)
			return code;
		if (!has)
			return pq_cursor_corrupt(
				cursor, cursor->offset, "the column has fewer rows than its row group", err);
		uint32_t part = rows < cursor->page_left ? rows : cursor->page_left;
		reserve_entries(&cursor->data, &cursor->leaf, part);
		code = take_entries(cursor, part, holder, err);
		if (code != 0)
			return code;
		rows -= part;
	}
	return 0;
}

/* Entries of the current page up to the row after the last wanted one. */
static int count_entries(struct pq_cursor *cursor, uint32_t rows, uint32_t *started, uint32_t *ret_count,
	bool *ret_full, struct weir_error *err)
{
	struct pq_leaf_data *data = &cursor->data;
	uint32_t count = 0;
	*ret_full = false;
	while (count < cursor->page_left && !*ret_full) {
		if (cursor->reps_at == cursor->reps_count) {
			uint32_t ahead = cursor->page_left - count;
			cursor->reps_at = 0;
			cursor->reps_count = ahead < PQ_LEVELS_AHEAD ? ahead : PQ_LEVELS_AHEAD;
			if (!read_levels(&cursor->rep_levels, cursor->reps_count, cursor->reps))
				return pq_cursor_corrupt(cursor, cursor->offset, "the levels of a page are cut", err);
		}
		uint32_t at = cursor->reps_at;
		for (; at < cursor->reps_count; at++) {
			uint8_t rep = cursor->reps[at];
			if (rep == 0 && *started == rows)
				break;
			*started += rep == 0;
			if (rep > cursor->leaf.max_rep || *started == 0)
				return pq_cursor_corrupt(cursor, cursor->offset, "a level of a page is too high", err);
		}
		uint32_t part = at - cursor->reps_at;
		*ret_full = at < cursor->reps_count;
		if (data->entry_count + count + part > PQ_ENTRIES_LIMIT)
			return weir_fail_at(err, WEIR_E_LIMIT, cursor->file->source.name, cursor->offset,
				"column '%.*s' has more than %u list elements in %u rows",
				WEIR_STR_ARG(cursor->leaf.node->field->name), PQ_ENTRIES_LIMIT, rows);
		reserve_entries(data, &cursor->leaf, count + part);
		memcpy(data->reps + data->entry_count + count, cursor->reps + cursor->reps_at, part);
		cursor->reps_at = at;
		count += part;
	}
	*ret_count = count;
	return 0;
}

static int read_nested(struct pq_cursor *cursor, uint32_t rows, struct pq_holder *holder, struct weir_error *err)
{
	uint32_t started = 0;
	for (;;) {
		bool has = false, full = false;
		uint32_t count = 0;
		int code = need_page(cursor, &has, err);
		if (code == 0 && has)
			code = count_entries(cursor, rows, &started, &count, &full, err);
		if (code == 0 && count > 0)
			code = take_entries(cursor, count, holder, err);
		if (code != 0 || full)
			return code;
		if (!has)
			break;
	}
	if (started < rows)
		return pq_cursor_corrupt(cursor, cursor->offset, "the column has fewer rows than its row group", err);
	return 0;
}

int pq_cursor_read(struct pq_cursor *cursor, uint32_t rows, struct pq_holder *holder, struct weir_error *err)
{
	cursor->data.entry_count = cursor->data.value_count = 0;
	cursor->data.coded = true;
	cursor->data.rows = rows;
	if (is_lent(cursor)) {
		cursor->data.values = NULL;
		cursor->data.codes = NULL;
	}
	cursor->data.dictionary = (struct pq_dictionary_values){0};
	int code = cursor->leaf.max_rep > 0 ? read_nested(cursor, rows, holder, err)
					    : read_flat(cursor, rows, holder, err);
	cursor->row += rows;
	return code;
}

/* A data page that is not needed at all: past it by its header, without a look at its bytes. */
static int pass_pages(struct pq_cursor *cursor, uint64_t *rows, struct weir_error *err)
{
	while (cursor->leaf.max_rep == 0 && cursor->page_left == 0 && *rows > 0 && has_more_pages(cursor)) {
		struct pq_page_header header;
		int code = read_header(cursor, &header, err);
		if (code != 0)
			return code;
		bool is_data = header.type == PQ_DATA_PAGE || header.type == PQ_DATA_PAGE_V2;
		uint64_t entries = (uint64_t)header.value_count;
		if (is_data && entries > *rows)
			return 0;
		if (!is_data || entries > cursor->entries_left) { /* what is wrong with it, the usual way says */
			code = next_page(cursor, err);
			if (code != 0)
				return code;
			continue;
		}
		if (cursor->entries_left != UINT64_MAX)
			cursor->entries_left -= entries;
		cursor->offset += header.header_size + (uint64_t)header.packed_size;
		cursor->row += entries;
		cursor->counts->pages_skipped++;
		*rows -= entries;
	}
	return 0;
}

/* Rows of the current page, of a column without lists, whose values need not be decoded. */
static bool pass_values(struct pq_cursor *cursor, uint32_t rows)
{
	uint8_t defs[PQ_LEVELS_AHEAD];
	for (uint32_t done = 0; done < rows;) {
		uint32_t part = rows - done < PQ_LEVELS_AHEAD ? rows - done : PQ_LEVELS_AHEAD, present = part;
		if (cursor->leaf.max_def > 0) {
			if (!read_levels(&cursor->def_levels, part, defs))
				return false;
			present = 0;
			for (uint32_t i = 0; i < part; i++)
				present += defs[i] == cursor->leaf.max_def;
		}
		if (!pq_values_skip(&cursor->values, present))
			return false;
		done += part;
	}
	cursor->page_left -= rows;
	cursor->row += rows;
	return true;
}

static bool can_pass(const struct pq_cursor *cursor)
{
	const struct pq_values *values = &cursor->values;
	bool plain =
		values->encoding == PQ_PLAIN && values->physical != PQ_BYTE_ARRAY && values->physical != PQ_BOOLEAN;
	return cursor->leaf.max_rep == 0 && cursor->page_left > 0 && (plain || pq_values_coded(values));
}

/* Decodes rows and forgets them. */
static int read_and_drop(struct pq_cursor *cursor, uint32_t rows, struct weir_error *err)
{
	struct pq_holder holder = {.arena = weir_arena_new(0), .text_limit = cursor->memory_limit};
	int code = pq_cursor_read(cursor, rows, &holder, err);
	for (uint32_t i = 0; i < holder.held_count; i++)
		pq_shared_unref(holder.held[i]);
	free(holder.held);
	weir_arena_free(holder.arena);
	return code;
}

static int discard(struct pq_cursor *cursor, uint64_t rows, struct weir_error *err)
{
	while (rows > 0) {
		bool has = true;
		int code = pass_pages(cursor, &rows, err);
		if (code == 0 && rows > 0 && cursor->leaf.max_rep == 0)
			code = need_page(cursor, &has, err);
		if (code != 0 || rows == 0)
			return code;
		uint32_t part = rows < WEIR_BATCH_ROWS ? (uint32_t)rows : WEIR_BATCH_ROWS;
		if (has && can_pass(cursor)) {
			part = part < cursor->page_left ? part : cursor->page_left;
			if (!pass_values(cursor, part))
				return pq_cursor_corrupt(cursor, cursor->offset,
					"a page has fewer values than it says, or damaged ones", err);
		} else {
			/* No further than the page, so that the next may be passed whole. */
			if (cursor->leaf.max_rep == 0 && cursor->page_left > 0 && part > cursor->page_left)
				part = cursor->page_left;
			code = read_and_drop(cursor, part, err);
			if (code != 0)
				return code;
		}
		rows -= part;
	}
	return 0;
}

int pq_cursor_seek(struct pq_cursor *cursor, uint64_t row, struct weir_error *err)
{
	const struct pq_chunk *chunk = &cursor->chunk;
	uint32_t page = chunk->page_count;
	WEIR_ASSERT(row >= cursor->row);
	while (page > 0 && chunk->pages[page - 1].first_row > row)
		page--;
	if (row == cursor->row || page == 0 || chunk->pages[page - 1].first_row <= cursor->row ||
		chunk->pages[page - 1].offset < cursor->offset)
		return discard(cursor, row - cursor->row, err);
	while (cursor->dictionary.shared == NULL && cursor->offset < chunk->pages[0].offset) {
		int code = next_page(cursor, err);
		if (code != 0)
			return code;
	}
	for (uint32_t i = 0; i + 1 < page; i++)
		cursor->counts->pages_skipped += chunk->pages[i].offset >= cursor->offset;
	cursor->offset = chunk->pages[page - 1].offset;
	cursor->row = chunk->pages[page - 1].first_row;
	cursor->entries_left = UINT64_MAX;
	cursor->page_left = 0;
	cursor->reps_at = cursor->reps_count = 0;
	return discard(cursor, row - cursor->row, err);
}
