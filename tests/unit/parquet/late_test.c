/*
 * Reading with a filter: what comes back is a part of what a reader without one gives, at the same positions, with
 * every row that matches; and what need not be decoded is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "format/parquet/parquet.h"
#include "row_text.h"

#define ROWS      30000
#define LONG_TEXT 900 /* bytes: pages of text end before 2,048 rows, so that other columns are entered midway */

#define FIELD(text, number, kind) .name = {text, sizeof(text) - 1}, .id = number, .type = kind

static struct weir_field element = {FIELD("element", 20, WEIR_INT64)};
static struct weir_field entries[2] = {
	{FIELD("key", 21, WEIR_STRING), .required = true}, {FIELD("value", 22, WEIR_DOUBLE)}};
static struct weir_field fields[] = {
	{FIELD("id", 1, WEIR_INT64), .required = true}, /* rises */
	{FIELD("rare", 2, WEIR_INT32)},                 /* 0 to 100 everywhere; odd in few places */
	{FIELD("text", 3, WEIR_STRING)},                /* long, rising */
	{FIELD("kind", 4, WEIR_STRING)},                /* few */
	{FIELD("d", 5, WEIR_DOUBLE)}, {FIELD("flag", 6, WEIR_BOOL)},
	{FIELD("dec", 7, WEIR_DECIMAL), .precision = 30, .scale = 2},
	{FIELD("l", 8, WEIR_LIST), .children = &element, .child_count = 1},
	{FIELD("m", 9, WEIR_MAP), .children = entries, .child_count = 2},
	{FIELD("n", 10, WEIR_INT32)}, /* differences */
};
static const struct weir_schema schema = {.field_count = sizeof fields / sizeof fields[0], .fields = fields};

static struct weir_column child(struct weir_arena *arena, enum weir_type type, uint32_t rows)
{
	struct weir_column column = {.type = type, .layout = weir_type_is_text(type) ? WEIR_VIEW : WEIR_FLAT};
	column.values = weir_arena_calloc(arena, rows, weir_type_width(type));
	column.valid = weir_validity_new(arena, rows);
	return column;
}

static struct weir_view text_of(struct weir_arena *arena, const char *word, int64_t number, size_t size)
{
	char text[LONG_TEXT + 32];
	memset(text, '.', sizeof text);
	int head = snprintf(text, sizeof text, "%s%08lld", word, (long long)number);
	text[head] = '.';
	return weir_view_from(weir_arena_str(arena, (struct weir_str){text, size > 0 ? size : (size_t)head}));
}

static void fill_row(struct weir_arena *arena, struct weir_batch *batch, uint32_t r, int64_t i, struct weir_rng *rng)
{
	struct weir_column *c = batch->columns;
	bool odd = i > 9000 && i < 9010;
	((int64_t *)c[0].values)[r] = i;
	((int32_t *)c[1].values)[r] = odd ? 51 : (int32_t)(weir_rng_below(rng, 50) * 2);
	((struct weir_view *)c[2].values)[r] = text_of(arena, "t", i / 3, LONG_TEXT);
	((struct weir_view *)c[3].values)[r] = text_of(arena, "kind ", i % 7, 0);
	((double *)c[4].values)[r] = 50 + (double)weir_rng_below(rng, 1 << 30) / 7e9; /* alike in their first bytes */
	((uint8_t *)c[5].values)[r] = (uint8_t)weir_rng_below(rng, 2);
	((weir_int128 *)c[6].values)[r] = (weir_int128)i * 1000003 - 77;
	((int32_t *)c[9].values)[r] = (int32_t)(i * 3);
	struct weir_column *list = &c[7], *map = &c[8];
	uint32_t items = (uint32_t)weir_rng_below(rng, 4);
	((struct weir_span *)list->values)[r] = (struct weir_span){list->child_rows, items};
	((struct weir_span *)map->values)[r] = (struct weir_span){map->child_rows, items};
	for (uint32_t k = 0; k < items; k++) {
		((int64_t *)list->children[0].values)[list->child_rows] = i + k;
		((struct weir_view *)map->children[0].values)[map->child_rows] = text_of(arena, "k", k, 0);
		((double *)map->children[1].values)[map->child_rows] = (double)k / 4;
		if ((i + k) % 6 == 0)
			weir_column_set_null(&list->children[0], list->child_rows);
		list->child_rows++;
		map->child_rows++;
	}
	for (uint32_t f = 1; f < schema.field_count; f++)
		if (!odd && weir_rng_below(rng, 9) == 0)
			weir_column_set_null(&c[f], r);
}

static void write_rows(struct weir_buf *out, enum codec codec, struct weir_rng *rng)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_write_options options = {.codec = codec, .row_group_rows = 16000, .byte_stream_split = true};
	struct weir_arena *info_arena = weir_arena_new(0);
	struct pq_file_info info;
	struct pq_writer *writer;
	assert_int_equal(pq_writer_open(weir_sink_to_buf(out), &schema, &options, &writer, &err), 0);
	for (int64_t i = 0; i < ROWS; i += 1500) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_batch *batch = weir_batch_new(arena, &schema, 1500);
		batch->row_count = 1500;
		batch->columns[7].children[0] = child(arena, WEIR_INT64, 1500 * 4);
		batch->columns[8].children[0] = child(arena, WEIR_STRING, 1500 * 4);
		batch->columns[8].children[1] = child(arena, WEIR_DOUBLE, 1500 * 4);
		for (uint32_t r = 0; r < 1500; r++)
			fill_row(arena, batch, r, i + r, rng);
		assert_int_equal(pq_writer_add(writer, batch, NULL, &err), 0);
		weir_arena_free(arena);
	}
	assert_int_equal(pq_writer_close(writer, info_arena, &info, &err), 0);
	weir_arena_free(info_arena);
}

struct all {
	struct weir_buf text;
	size_t ends[ROWS];
	bool matches[ROWS];
};

/* Rows as text at their positions; seen counts those that a filtered reader gave. */
static struct pq_read_counts read_file(const struct pq_file *file, const struct expr_filter *filter, struct all *all,
	bool is_first, uint64_t *ret_rows)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_read_options options = {.filter = is_first ? (struct expr_filter){0} : *filter};
	struct pq_reader *reader;
	struct weir_batch *batch;
	struct weir_buf line = WEIR_BUF_INIT;
	uint64_t first, matching = 0;
	uint8_t truth[WEIR_BATCH_ROWS];
	*ret_rows = 0;
	assert_int_equal(pq_reader_open(file, &options, &reader, &err), 0);
	while (pq_reader_next(reader, &batch, &first, &err) == 0 && batch != NULL) {
		expr_filter_batch(filter, batch, truth);
		for (uint32_t r = 0; r < batch->row_count; r++) {
			uint64_t at = first + r;
			assert_true(at < ROWS);
			line.size = 0;
			row_text(&line, batch, r);
			if (is_first) {
				weir_buf_append(&all->text, line.data, line.size);
				all->ends[at] = all->text.size;
				all->matches[at] = truth[r] == EXPR_TRUE;
				continue;
			}
			size_t start = at > 0 ? all->ends[at - 1] : 0;
			assert_int_equal(line.size, all->ends[at] - start);
			assert_memory_equal(line.data, all->text.data + start, line.size);
			matching += truth[r] == EXPR_TRUE;
		}
		*ret_rows += batch->row_count;
		weir_batch_release(batch);
	}
	assert_int_equal(err.code, 0);
	for (uint32_t i = 0; !is_first && i < ROWS; i++)
		matching -= all->matches[i];
	assert_int_equal(matching, 0);
	struct pq_read_counts counts = pq_reader_counts(reader);
	pq_reader_close(reader);
	weir_buf_done(&line);
	return counts;
}

static struct pq_read_counts check(const struct pq_file *file, const struct expr_filter *filter, uint64_t *ret_rows)
{
	struct all *all = weir_zalloc(sizeof *all);
	uint64_t rows;
	read_file(file, filter, all, true, &rows);
	assert_int_equal(rows, ROWS);
	struct pq_read_counts counts = read_file(file, filter, all, false, ret_rows);
	weir_buf_done(&all->text);
	free(all);
	return counts;
}

static void check_filters(const struct pq_file *file)
{
	char prefix[LONG_TEXT + 32];
	struct pq_read_counts counts;
	uint64_t rows;
	memset(prefix, '.', sizeof prefix);
	memcpy(prefix, "t00004533", 9);
	struct expr_value rare = {.kind = EXPR_INTEGER, .u.integer = 51};
	struct expr_value some = {.kind = EXPR_INTEGER, .u.integer = 50};
	struct expr_value at = {.kind = EXPR_INTEGER, .u.integer = 20000};
	struct expr_value text = {.kind = EXPR_TEXT, .u.text = {prefix, LONG_TEXT}};
	struct expr_value kind = {.kind = EXPR_TEXT, .u.text = {"kind 00000003", 13}};
	/* Bounds and dictionaries of pages do not tell: the values of `rare` do. */
	counts = check(file, &(struct expr_filter){&(struct expr_term){2, EXPR_EQ, &rare, 1}, 1}, &rows);
	assert_true(counts.rows_skipped > ROWS / 2);
	assert_true(rows > 0 && rows <= 2 * WEIR_BATCH_ROWS);
	/* It is everywhere: nothing is skipped, and the reader stops trying. */
	counts = check(file, &(struct expr_filter){&(struct expr_term){2, EXPR_EQ, &some, 1}, 1}, &rows);
	assert_int_equal(rows, ROWS);
	assert_int_equal(counts.rows_skipped, 0);
	/* Pages of text end where those of other columns do not. */
	counts = check(file, &(struct expr_filter){&(struct expr_term){3, EXPR_EQ, &text, 1}, 1}, &rows);
	assert_true(rows > 0 && rows < WEIR_BATCH_ROWS);
	assert_true(counts.pages_skipped > 0);
	struct expr_term several[3] = {{1, EXPR_GE, &at, 1}, {4, EXPR_EQ, &kind, 1}, {3, EXPR_NOT_NULL, NULL, 0}};
	check(file, &(struct expr_filter){several, 3}, &rows);
	assert_true(rows < ROWS / 2);
	check(file, &(struct expr_filter){&(struct expr_term){99, EXPR_IS_NULL, NULL, 0}, 1}, &rows);
	assert_int_equal(rows, ROWS);
}

static bool has_encoding(const struct pq_file *file, const char *path, const char *encoding)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	bool found = false;
	for (uint32_t i = 0; i < pq_file_column_count(file); i++) {
		struct pq_column_description column;
		struct pq_chunk_description chunk;
		pq_file_describe_column(file, i, arena, &column);
		assert_int_equal(pq_file_describe_chunk(file, 0, i, arena, &chunk, &err), 0);
		assert_true(chunk.page_count > 0 && chunk.value_count >= 16000 && chunk.size_bytes > 0);
		if (weir_str_is(column.path, path))
			found = strstr(weir_arena_cstr(arena, chunk.encodings), encoding) != NULL;
	}
	weir_arena_free(arena);
	return found;
}

static void test_filtered_rows(void **state)
{
	const char *given = getenv("WEIR_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 20250201;
	static const enum codec codecs[] = {CODEC_NONE, CODEC_SNAPPY, CODEC_ZSTD};
	(void)state;
	printf("WEIR_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		struct weir_rng rng = weir_rng_new(seed + i);
		struct weir_buf out = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct pq_file *file;
		write_rows(&out, codecs[i], &rng);
		struct weir_slice memory = {out.data, out.size};
		assert_int_equal(pq_file_open(weir_source_from_memory(&memory, WEIR_STR("late")), &file, &err), 0);
		assert_true(has_encoding(file, "id", "DELTA_BINARY_PACKED"));
		assert_true(has_encoding(file, "m.key", "RLE_DICTIONARY"));
		assert_int_equal(has_encoding(file, "d", "BYTE_STREAM_SPLIT"), codecs[i] != CODEC_NONE);
		check_filters(file);
		pq_file_free(file);
		weir_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filtered_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
