/* Files: random batches of every type come back as they were; splices, projections, skipping, statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "format/parquet/parquet.h"
#include "support/seed.h"

#define FIELD(text, number, kind) .name = {text, sizeof(text) - 1}, .id = number, .type = kind

static struct weir_field pair[] = {
	{FIELD("key", 101, WEIR_STRING), .required = true},
	{FIELD("value", 102, WEIR_STRING)},
};
static struct weir_field inner_item[] = {{FIELD("element", 106, WEIR_INT32)}};
static struct weir_field members[] = {
	{FIELD("x", 103, WEIR_DOUBLE)},
	{FIELD("tags", 104, WEIR_LIST), .children = inner_item, .child_count = 1},
};
static struct weir_field item[] = {{FIELD("element", 105, WEIR_STRUCT), .children = members, .child_count = 2}};
static struct weir_field fields[] = {
	{FIELD("id", 1, WEIR_INT64), .required = true},
	{FIELD("b", 2, WEIR_BOOL)},
	{FIELD("i", 3, WEIR_INT32)},
	{FIELD("f", 4, WEIR_FLOAT)},
	{FIELD("d", 5, WEIR_DOUBLE)},
	{FIELD("dec", 6, WEIR_DECIMAL), .precision = 30, .scale = 4},
	{FIELD("small", 7, WEIR_DECIMAL), .precision = 7, .scale = 1},
	{FIELD("day", 8, WEIR_DATE)},
	{FIELD("tz", 9, WEIR_TIMESTAMPTZ)},
	{FIELD("s", 10, WEIR_STRING)},
	{FIELD("u", 11, WEIR_UUID), .required = true},
	{FIELD("fx", 12, WEIR_FIXED), .fixed_size = 20},
	{FIELD("bin", 13, WEIR_BINARY)},
	{FIELD("m", 14, WEIR_MAP), .children = pair, .child_count = 2},
	{FIELD("l", 15, WEIR_LIST), .children = item, .child_count = 1},
	{FIELD("g", 16, WEIR_STRUCT), .children = members, .child_count = 2},
};
#define FIELDS (sizeof fields / sizeof fields[0])
static const struct weir_schema schema = {.field_count = FIELDS, .fields = fields};

static void random_column(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, uint32_t rows,
	struct weir_column *column);

static struct weir_view random_text(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field)
{
	char text[64];
	size_t size = field->type == WEIR_FIXED ? field->fixed_size : weir_rng_below(rng, 40);
	uint64_t choices = weir_rng_chance(rng, 0.5) ? 5 : UINT64_MAX;
	struct weir_rng own = weir_rng_fork(3, weir_rng_below(rng, choices));
	if (field->type != WEIR_FIXED)
		size = weir_rng_below(&own, 40);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + weir_rng_below(&own, 26));
	return weir_view_from(weir_arena_str(arena, (struct weir_str){text, size}));
}

static void random_span(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, uint32_t rows,
	struct weir_column *column)
{
	uint64_t at = 0;
	struct weir_span *spans = column->values;
	for (uint32_t i = 0; i < rows; i++) {
		spans[i] = (struct weir_span){at, weir_rng_below(rng, 4)};
		at += spans[i].length;
	}
	column->child_rows = (uint32_t)at;
	for (uint32_t c = 0; c < field->child_count; c++)
		random_column(arena, rng, &field->children[c], (uint32_t)at, &column->children[c]);
}

static void random_values(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, uint32_t rows,
	struct weir_column *column)
{
	unsigned shift = (unsigned)weir_rng_below(rng, 60);
	for (uint32_t i = 0; i < rows; i++) {
		int64_t value = (int64_t)weir_rng_next(rng) >> shift;
		switch (field->type) {
		case WEIR_BOOL:
			((uint8_t *)column->values)[i] = value & 1;
			break;
		case WEIR_INT32:
		case WEIR_DATE:
			((int32_t *)column->values)[i] = (int32_t)value;
			break;
		case WEIR_FLOAT:
			((float *)column->values)[i] = value % 17 == 0 ? NAN : (float)value;
			break;
		case WEIR_DOUBLE:
			((double *)column->values)[i] = (double)value / 3;
			break;
		case WEIR_DECIMAL:
			((weir_int128 *)column->values)[i] =
				field->precision < 10 ? value % 10000000 : (weir_int128)value * 99999999;
			break;
		case WEIR_UUID:
			((struct weir_uuid *)column->values)[i] = weir_uuid_v4(rng);
			break;
		default:
			if (weir_type_is_text(field->type))
				((struct weir_view *)column->values)[i] = random_text(arena, rng, field);
			else
				((int64_t *)column->values)[i] = value;
		}
	}
}

/* Text as codes of a dictionary of its own. */
static void make_dict(struct weir_arena *arena, struct weir_rng *rng, struct weir_column *column, uint32_t rows)
{
	uint32_t count = 1 + (uint32_t)weir_rng_below(rng, 50);
	struct weir_dict *dict = weir_arena_zalloc(arena, sizeof *dict);
	struct weir_view *values = weir_arena_calloc(arena, count, sizeof *values);
	uint32_t *codes = weir_arena_calloc(arena, rows, sizeof *codes);
	struct weir_field field = {.type = WEIR_STRING};
	for (uint32_t i = 0; i < count; i++)
		values[i] = random_text(arena, rng, &field);
	for (uint32_t i = 0; i < rows; i++)
		codes[i] = (uint32_t)weir_rng_below(rng, count);
	*dict = (struct weir_dict){count, values};
	column->layout = WEIR_DICT;
	column->dict = dict;
	column->values = codes;
}

static void random_column(struct weir_arena *arena, struct weir_rng *rng, const struct weir_field *field, uint32_t rows,
	struct weir_column *column)
{
	static const double chances[] = {0, 0, 0.1, 0.9, 1};
	double nulls = field->required ? 0 : chances[weir_rng_below(rng, 5)];
	*column = (struct weir_column){.type = field->type, .child_count = field->child_count};
	column->layout = weir_type_is_text(field->type)               ? WEIR_VIEW
		: field->type == WEIR_LIST || field->type == WEIR_MAP ? WEIR_SPAN
		: field->type == WEIR_STRUCT                          ? WEIR_GROUP
								      : WEIR_FLAT;
	column->values = weir_arena_calloc(arena, rows, weir_type_width(field->type));
	column->children = weir_arena_calloc(arena, field->child_count, sizeof *column->children);
	if (column->layout == WEIR_SPAN)
		random_span(arena, rng, field, rows, column);
	else if (column->layout == WEIR_GROUP)
		for (uint32_t c = 0; c < field->child_count; c++)
			random_column(arena, rng, &field->children[c], rows, &column->children[c]);
	else
		random_values(arena, rng, field, rows, column);
	if (field->type == WEIR_STRING && weir_rng_chance(rng, 0.5))
		make_dict(arena, rng, column, rows);
	if (nulls == 0)
		return;
	column->valid = weir_validity_new(arena, rows);
	for (uint32_t i = 0; i < rows; i++)
		if (weir_rng_chance(rng, nulls))
			weir_column_set_null(column, i);
}

static struct weir_batch *random_batch(
	struct weir_arena *arena, struct weir_rng *rng, const struct weir_schema *of, uint32_t rows)
{
	struct weir_batch *batch = weir_arena_zalloc(arena, sizeof *batch);
	*batch = (struct weir_batch){.schema = of, .row_count = rows};
	batch->columns = weir_arena_calloc(arena, of->field_count, sizeof *batch->columns);
	for (uint32_t c = 0; c < of->field_count; c++)
		random_column(arena, rng, &of->fields[c], rows, &batch->columns[c]);
	return batch;
}

/* Where row i of the file came from. */
struct origin {
	const struct weir_batch *batch;
	uint32_t row;
};

struct written {
	struct weir_arena *arena;
	struct weir_buf bytes;
	struct weir_slice memory;
	struct pq_file_info info;
	struct origin *origins;
	size_t count, capacity;
};

#define MUST(call) \
	do { \
		struct weir_error err = WEIR_ERROR_INIT; \
		char text[1200]; \
		if ((call) != 0) \
			fail_msg("%s", weir_error_text(&err, text, sizeof text)); \
	} while (0)

static void remember(struct written *written, const struct weir_batch *batch, const struct weir_selection *selection)
{
	uint32_t count = selection != NULL ? selection->count : batch->row_count;
	for (uint32_t i = 0; i < count; i++) {
		WEIR_GROW(written->origins, written->count, written->capacity);
		written->origins[written->count++] = (struct origin){batch, selection != NULL ? selection->rows[i] : i};
	}
}

static void write_random(struct weir_rng *rng, const struct pq_write_options *options, struct written *written)
{
	struct pq_writer *writer;
	*written = (struct written){.arena = weir_arena_new(0)};
	MUST(pq_writer_open(weir_sink_to_buf(&written->bytes), &schema, options, &writer, &err));
	unsigned batches = (unsigned)weir_rng_below(rng, 7);
	for (unsigned b = 0; b < batches; b++) {
		uint32_t rows = 1 + (uint32_t)weir_rng_below(rng, WEIR_BATCH_ROWS);
		const struct weir_batch *batch = random_batch(written->arena, rng, &schema, rows);
		uint16_t *picks = weir_arena_alloc(written->arena, rows * sizeof *picks);
		struct weir_selection selection = {picks, (uint32_t)weir_rng_below(rng, rows + 1)};
		for (uint32_t i = 0; i < selection.count; i++)
			picks[i] = (uint16_t)weir_rng_below(rng, rows);
		const struct weir_selection *chosen = weir_rng_chance(rng, 0.4) ? &selection : NULL;
		if (weir_rng_chance(rng, 0.6)) {
			MUST(pq_writer_add(writer, batch, chosen, &err));
		} else {
			struct pq_encoder *encoder = pq_encoder_new(&schema, options);
			struct pq_row_group *group;
			MUST(pq_encoder_add(encoder, batch, chosen, &err));
			MUST(pq_encoder_flush(encoder, &err));
			while ((group = pq_encoder_take(encoder)) != NULL) {
				MUST(pq_writer_splice(writer, group, &err));
				pq_row_group_free(group);
			}
			pq_encoder_free(encoder);
		}
		remember(written, batch, chosen);
	}
	MUST(pq_writer_close(writer, written->arena, &written->info, &err));
	written->memory = (struct weir_slice){written->bytes.data, written->bytes.size};
	assert_int_equal(written->info.size_bytes, written->bytes.size);
	assert_int_equal(written->info.row_count, written->count);
}

static void written_done(struct written *written)
{
	weir_buf_done(&written->bytes);
	weir_arena_free(written->arena);
	free(written->origins);
}

static struct pq_file *open_written(const struct written *written)
{
	struct pq_file *file = NULL;
	MUST(pq_file_open(weir_source_from_memory(&written->memory, WEIR_STR("test")), &file, &err));
	return file;
}

/* Columns of the batch are those of `columns` of the schema written. */
static uint64_t check_rows(const struct written *written, const struct pq_file *file,
	const struct pq_read_options *options, const uint32_t *columns, struct pq_read_counts *ret_counts)
{
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	uint64_t first, total = 0;
	MUST(pq_reader_open(file, options, &reader, &err));
	for (;;) {
		MUST(pq_reader_next(reader, &batch, &first, &err));
		if (batch == NULL)
			break;
		for (uint32_t c = 0; c < batch->schema->field_count; c++) {
			for (uint32_t r = 0; r < batch->row_count; r++) {
				const struct origin *origin = &written->origins[first + r];
				uint32_t from = columns != NULL ? columns[c] : c;
				if (!weir_value_equal(
					    &batch->columns[c], r, &origin->batch->columns[from], origin->row))
					fail_msg("column %u row %llu", c, (unsigned long long)(first + r));
			}
		}
		total += batch->row_count;
		weir_batch_release(batch);
	}
	if (ret_counts != NULL)
		*ret_counts = pq_reader_counts(reader);
	pq_reader_close(reader);
	return total;
}

static void test_random_files(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("parquet files"));
	uint64_t rounds = test_number("WEIR_PARQUET_ROUNDS", 60);
	(void)state;
	for (uint64_t round = 0; round < rounds; round++) {
		static const int32_t blooms[] = {1, 2, 10, 11};
		struct pq_write_options options = {.codec = (enum codec)weir_rng_below(&rng, 7),
			.row_group_rows = weir_rng_chance(&rng, 0.5) ? 1 + (uint32_t)weir_rng_below(&rng, 5000) : 0,
			.bloom_ids = blooms,
			.bloom_count = (uint32_t)weir_rng_below(&rng, 5)};
		struct written written;
		if (options.row_group_rows > 0 && options.row_group_rows < 300)
			options.row_group_rows = 300;
		write_random(&rng, &options, &written);
		struct pq_file *file = open_written(&written);
		assert_int_equal(pq_file_row_count(file), written.count);
		assert_int_equal(check_rows(&written, file, NULL, NULL, NULL), written.count);
		pq_file_free(file);
		written_done(&written);
	}
}

static void test_filters(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("parquet filters"));
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		static const int32_t blooms[] = {1, 10, 11};
		struct pq_write_options options = {
			.codec = CODEC_ZSTD, .row_group_rows = 4000, .bloom_ids = blooms, .bloom_count = 3};
		struct written written;
		write_random(&rng, &options, &written);
		struct pq_file *file = open_written(&written);
		for (unsigned k = 0; k < 20 && written.count > 0; k++) {
			static const uint32_t chosen[] = {0, 1, 2, 4, 7, 8, 9, 10, 6, 5, 11};
			uint32_t column = chosen[weir_rng_below(&rng, sizeof chosen / sizeof chosen[0])];
			const struct origin *origin = &written.origins[weir_rng_below(&rng, written.count)];
			const struct weir_column *from = &origin->batch->columns[column];
			if (!weir_column_is_valid(from, origin->row))
				continue;
			struct expr_value value = expr_value_of(from, origin->row);
			struct expr_term term = {
				fields[column].id, (enum expr_op)weir_rng_below(&rng, EXPR_IS_NULL), &value, 1};
			struct pq_read_options read = {.filter = {&term, 1}};
			struct pq_reader *reader = NULL;
			struct weir_batch *batch;
			uint64_t wanted = 0, found = 0;
			for (size_t i = 0; i < written.count; i++) {
				const struct weir_column *c = &written.origins[i].batch->columns[column];
				bool valid = weir_column_is_valid(c, written.origins[i].row);
				struct expr_value v = valid ? expr_value_of(c, written.origins[i].row) : value;
				wanted += expr_term_value(&term, valid ? &v : NULL) == EXPR_TRUE;
			}
			check_rows(&written, file, &read, NULL, NULL);
			MUST(pq_reader_open(file, &read, &reader, &err));
			for (;;) {
				uint8_t truth[WEIR_BATCH_ROWS];
				MUST(pq_reader_next(reader, &batch, NULL, &err));
				if (batch == NULL)
					break;
				expr_filter_batch(&read.filter, batch, truth);
				for (uint32_t r = 0; r < batch->row_count; r++)
					found += truth[r] == EXPR_TRUE;
				weir_batch_release(batch);
			}
			pq_reader_close(reader);
			if (found != wanted)
				fail_msg("column %u op %d: %llu rows, %llu expected", column, (int)term.op,
					(unsigned long long)found, (unsigned long long)wanted);
		}
		pq_file_free(file);
		written_done(&written);
	}
}

/* Sorted ids: a point query reads one page of each column. */
static void write_sorted(struct written *written, uint32_t rows)
{
	static struct weir_field two[] = {{FIELD("id", 1, WEIR_INT64), .required = true}, {FIELD("s", 2, WEIR_STRING)}};
	static const struct weir_schema sorted = {.field_count = 2, .fields = two};
	struct pq_write_options options = {.codec = CODEC_ZSTD, .row_group_rows = 16384};
	struct pq_writer *writer;
	*written = (struct written){.arena = weir_arena_new(0)};
	MUST(pq_writer_open(weir_sink_to_buf(&written->bytes), &sorted, &options, &writer, &err));
	for (uint32_t at = 0; at < rows; at += 1024) {
		struct weir_batch *batch = weir_batch_new(written->arena, &sorted, 1024);
		batch->row_count = 1024;
		for (uint32_t i = 0; i < 1024; i++) {
			char text[40];
			int size = snprintf(text, sizeof text, "the text of row number %u", (at + i) / 3);
			((int64_t *)batch->columns[0].values)[i] = at + i;
			((struct weir_view *)batch->columns[1].values)[i] =
				weir_view_from(weir_arena_str(written->arena, (struct weir_str){text, (size_t)size}));
		}
		MUST(pq_writer_add(writer, batch, NULL, &err));
		remember(written, batch, NULL);
	}
	MUST(pq_writer_close(writer, written->arena, &written->info, &err));
	written->memory = (struct weir_slice){written->bytes.data, written->bytes.size};
}

static void test_page_skipping(void **state)
{
	struct written written;
	struct pq_read_counts counts;
	(void)state;
	write_sorted(&written, 65536);
	assert_int_equal(written.info.row_group_count, 4);
	assert_int_equal(written.info.columns[0].min.u.integer, 0);
	assert_int_equal(written.info.columns[0].max.u.integer, 65535);
	struct pq_file *file = open_written(&written);
	struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = 40000};
	struct expr_term term = {1, EXPR_EQ, &value, 1};
	struct pq_read_options options = {.filter = {&term, 1}};
	assert_int_equal(check_rows(&written, file, &options, NULL, &counts), 2048);
	assert_int_equal(counts.row_groups_skipped, 3);
	assert_int_equal(counts.pages_read, 2);
	struct expr_value list[] = {{.kind = EXPR_INTEGER, .u.integer = 5}, {.kind = EXPR_INTEGER, .u.integer = 16000}};
	struct expr_term in = {1, EXPR_IN, list, 2};
	options.filter.terms = &in;
	/* Bounds of a page do not exclude what lies between two literals; pages between them are not read. */
	assert_int_equal(check_rows(&written, file, &options, NULL, &counts), 4096);
	assert_int_equal(counts.pages_read, 4);
	pq_file_free(file);
	written_done(&written);
}

static void test_projection(void **state)
{
	static struct weir_field some[] = {
		{FIELD("renamed", 10, WEIR_STRING)},
		{FIELD("i", 3, WEIR_INT64)},
		{FIELD("f", 4, WEIR_DOUBLE)},
		{FIELD("absent", 77, WEIR_STRING)},
	};
	static const struct weir_schema wanted = {.field_count = 4, .fields = some};
	struct weir_rng rng = weir_rng_new(test_seed("parquet projection"));
	struct pq_write_options options = {.codec = CODEC_SNAPPY};
	struct written written;
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	uint64_t first;
	(void)state;
	do {
		write_random(&rng, &options, &written);
		if (written.count == 0)
			written_done(&written);
	} while (written.count == 0);
	struct pq_file *file = open_written(&written);
	struct pq_read_options read = {.schema = &wanted};
	MUST(pq_reader_open(file, &read, &reader, &err));
	for (;;) {
		MUST(pq_reader_next(reader, &batch, &first, &err));
		if (batch == NULL)
			break;
		for (uint32_t r = 0; r < batch->row_count; r++) {
			const struct origin *origin = &written.origins[first + r];
			const struct weir_column *from = origin->batch->columns;
			assert_true(weir_value_equal(&batch->columns[0], r, &from[9], origin->row));
			assert_int_equal(weir_column_is_valid(&batch->columns[1], r),
				weir_column_is_valid(&from[2], origin->row));
			if (weir_column_is_valid(&from[2], origin->row))
				assert_int_equal(
					weir_column_i64(&batch->columns[1], r), weir_column_i64(&from[2], origin->row));
			double want = weir_column_double(&from[3], origin->row);
			if (weir_column_is_valid(&from[3], origin->row) && !isnan(want))
				assert_true(weir_column_double(&batch->columns[2], r) == want);
			assert_false(weir_column_is_valid(&batch->columns[3], r));
		}
		weir_batch_release(batch);
	}
	pq_reader_close(reader);
	some[1].type = WEIR_STRING;
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(pq_reader_open(file, &read, &reader, &err), WEIR_E_INPUT);
	some[1].type = WEIR_INT64;
	pq_file_free(file);
	written_done(&written);
}

static void test_copy_of_row_groups(void **state)
{
	struct written written, copy;
	struct pq_write_options options = {.codec = CODEC_ZSTD};
	struct pq_writer *writer;
	(void)state;
	write_sorted(&written, 40960);
	struct pq_file *file = open_written(&written);
	copy = (struct written){.arena = weir_arena_new(0)};
	MUST(pq_writer_open(weir_sink_to_buf(&copy.bytes), pq_file_schema(file), &options, &writer, &err));
	for (uint32_t g = pq_file_row_group_count(file); g-- > 0;) {
		struct pq_row_group *group = NULL;
		MUST(pq_file_row_group_copy(file, g, &group, &err));
		MUST(pq_writer_splice(writer, group, &err));
		uint64_t before = 0;
		for (uint32_t i = 0; i < g; i++)
			before += pq_file_row_group_rows(file, i);
		for (uint64_t r = 0; r < pq_row_group_rows(group); r++) {
			WEIR_GROW(copy.origins, copy.count, copy.capacity);
			copy.origins[copy.count++] = written.origins[before + r];
		}
		pq_row_group_free(group);
	}
	MUST(pq_writer_close(writer, copy.arena, &copy.info, &err));
	copy.memory = (struct weir_slice){copy.bytes.data, copy.bytes.size};
	assert_true(copy.info.columns[0].has_bounds);
	assert_int_equal(copy.info.columns[0].max.u.integer, 40959);
	struct pq_file *copied = open_written(&copy);
	struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = 100};
	struct expr_term term = {1, EXPR_EQ, &value, 1};
	struct pq_read_options read = {.filter = {&term, 1}};
	struct pq_read_counts counts;
	assert_int_equal(check_rows(&copy, copied, NULL, NULL, NULL), 40960);
	assert_int_equal(check_rows(&copy, copied, &read, NULL, &counts), 2048);
	assert_int_equal(counts.pages_read, 2);
	pq_file_free(copied);
	/* Another schema: refused. */
	struct pq_row_group *group = NULL;
	struct weir_buf other = WEIR_BUF_INIT;
	struct weir_error refused = WEIR_ERROR_INIT;
	MUST(pq_file_row_group_copy(file, 0, &group, &err));
	MUST(pq_writer_open(weir_sink_to_buf(&other), &schema, &options, &writer, &err));
	assert_int_equal(pq_writer_splice(writer, group, &refused), WEIR_E_INPUT);
	pq_writer_abandon(writer);
	pq_row_group_free(group);
	weir_buf_done(&other);
	pq_file_free(file);
	written_done(&written);
	written_done(&copy);
}

/* Text that repeats comes as codes of one dictionary a row group; batches outlive their reader. */
static void test_dictionaries_are_shared(void **state)
{
	struct written written;
	struct pq_reader *reader = NULL;
	struct weir_batch *batches[3] = {NULL};
	(void)state;
	write_sorted(&written, 8192);
	struct pq_file *file = open_written(&written);
	MUST(pq_reader_open(file, NULL, &reader, &err));
	for (unsigned i = 0; i < 3; i++)
		MUST(pq_reader_next(reader, &batches[i], NULL, &err));
	pq_reader_close(reader);
	assert_int_equal(batches[0]->columns[1].layout, WEIR_DICT);
	assert_ptr_equal(batches[0]->columns[1].dict, batches[2]->columns[1].dict);
	weir_batch_release(batches[0]);
	assert_true(weir_str_is(weir_column_str(&batches[2]->columns[1], 5), "the text of row number 1367"));
	weir_batch_release(batches[1]);
	weir_batch_release(batches[2]);
	pq_file_free(file);
	written_done(&written);
}

static void test_required_null_is_refused(void **state)
{
	static struct weir_field one[] = {{FIELD("id", 1, WEIR_INT64), .required = true}};
	static const struct weir_schema of = {.field_count = 1, .fields = one};
	struct pq_write_options options = {.codec = CODEC_NONE};
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *batch = weir_batch_new(arena, &of, 3);
	struct pq_encoder *encoder = pq_encoder_new(&of, &options);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	batch->row_count = 3;
	weir_column_set_null(&batch->columns[0], 1);
	assert_int_equal(pq_encoder_add(encoder, batch, NULL, &err), WEIR_E_INPUT);
	assert_int_equal(pq_encoder_pending_rows(encoder), 0);
	pq_encoder_free(encoder);
	weir_arena_free(arena);
}

/* Long texts end pages early, and their bounds are not given out. */
static void test_large_texts(void **state)
{
	static struct weir_field one[] = {{FIELD("payload", 1, WEIR_BINARY)}};
	static const struct weir_schema of = {.field_count = 1, .fields = one};
	struct pq_write_options options = {.codec = CODEC_ZSTD};
	struct written written = {.arena = weir_arena_new(0)};
	struct pq_writer *writer;
	(void)state;
	MUST(pq_writer_open(weir_sink_to_buf(&written.bytes), &of, &options, &writer, &err));
	for (unsigned b = 0; b < 3; b++) {
		struct weir_batch *batch = weir_batch_new(written.arena, &of, 64);
		batch->row_count = 64;
		for (uint32_t i = 0; i < 64; i++) {
			size_t size = (size_t)(i + b) * 4000;
			char *text = weir_arena_alloc(written.arena, size + 1);
			memset(text, (int)('a' + i % 26), size + 1);
			((struct weir_view *)batch->columns[0].values)[i] =
				weir_view_from((struct weir_str){text, size});
		}
		MUST(pq_writer_add(writer, batch, NULL, &err));
		remember(&written, batch, NULL);
	}
	MUST(pq_writer_close(writer, written.arena, &written.info, &err));
	written.memory = (struct weir_slice){written.bytes.data, written.bytes.size};
	assert_false(written.info.columns[0].has_bounds);
	struct pq_file *file = open_written(&written);
	struct pq_read_counts counts;
	assert_int_equal(check_rows(&written, file, NULL, NULL, &counts), 192);
	assert_true(counts.pages_read > 10);
	struct pq_read_options tight = {.memory_limit_bytes = 1000};
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	struct weir_error limit = WEIR_ERROR_INIT;
	MUST(pq_reader_open(file, &tight, &reader, &err));
	assert_int_equal(pq_reader_next(reader, &batch, NULL, &limit), WEIR_E_LIMIT);
	pq_reader_close(reader);
	pq_file_free(file);
	written_done(&written);
}

static const char *data_encoding(const struct pq_file *file, struct weir_arena *arena)
{
	struct pq_chunk_description chunk;
	MUST(pq_file_describe_chunk(file, 0, 0, arena, &chunk, &err));
	return weir_arena_cstr(arena, chunk.encodings);
}

/* Texts that do not repeat: in order they are written by what differs, small ones with their lengths apart, others as they are. */
static void test_delta_texts(void **state)
{
	static struct weir_field one[] = {{FIELD("text", 1, WEIR_STRING)}};
	static const struct weir_schema of = {.field_count = 1, .fields = one};
	static const struct {
		const char *begin;
		bool in_order;
		enum codec codec;
		bool plain_text;
		const char *encoding;
	} cases[] = {
		{"sku-", true, CODEC_ZSTD, false, "DELTA_BYTE_ARRAY"},
		{"sku-", true, CODEC_ZSTD, true, "PLAIN"},
		{"https://example.com/catalogue/items/", true, CODEC_SNAPPY, false, "DELTA_BYTE_ARRAY"},
		{"https://example.com/catalogue/items/", true, CODEC_NONE, false, "DELTA_BYTE_ARRAY"},
		{"", false, CODEC_NONE, false, "DELTA_LENGTH_BYTE_ARRAY"},
		{"", false, CODEC_ZSTD, false, "DELTA_LENGTH_BYTE_ARRAY"},
	};
	struct weir_rng rng = weir_rng_new(test_seed("delta texts"));
	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct pq_write_options options = {
			.codec = cases[k].codec, .level = 1, .plain_text = cases[k].plain_text};
		struct written written = {.arena = weir_arena_new(0)};
		struct pq_writer *writer;
		uint32_t number = 1000000;
		MUST(pq_writer_open(weir_sink_to_buf(&written.bytes), &of, &options, &writer, &err));
		for (uint32_t b = 0; b < 4; b++) {
			struct weir_batch *batch = weir_batch_new(written.arena, &of, 2000);
			batch->row_count = 2000;
			for (uint32_t i = 0; i < 2000; i++) {
				char text[80];
				number = cases[k].in_order ? number + 1 + (uint32_t)weir_rng_below(&rng, 600)
							   : (uint32_t)weir_rng_below(&rng, 1000000000);
				snprintf(text, sizeof text, "%s%u", cases[k].begin, number);
				((struct weir_view *)batch->columns[0].values)[i] =
					weir_view_from(weir_arena_str(written.arena, weir_str_from(text)));
				if (i % 97 == 5)
					weir_column_set_null(&batch->columns[0], i);
			}
			MUST(pq_writer_add(writer, batch, NULL, &err));
			remember(&written, batch, NULL);
		}
		MUST(pq_writer_close(writer, written.arena, &written.info, &err));
		written.memory = (struct weir_slice){written.bytes.data, written.bytes.size};
		struct pq_file *file = open_written(&written);
		struct pq_read_counts counts;
		print_message("%zu: %s, %zu bytes\n", k, data_encoding(file, written.arena), written.bytes.size);
		assert_non_null(strstr(data_encoding(file, written.arena), cases[k].encoding));
		assert_true(strcmp(cases[k].encoding, "PLAIN") != 0 ||
			strstr(data_encoding(file, written.arena), "DELTA") == NULL);
		assert_int_equal(check_rows(&written, file, NULL, NULL, &counts), 8000);
		pq_file_free(file);
		written_done(&written);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_files),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_page_skipping),
		cmocka_unit_test(test_projection),
		cmocka_unit_test(test_copy_of_row_groups),
		cmocka_unit_test(test_dictionaries_are_shared),
		cmocka_unit_test(test_required_null_is_refused),
		cmocka_unit_test(test_large_texts),
		cmocka_unit_test(test_delta_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
