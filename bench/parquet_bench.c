// uses: weir_parquet
/*
 * How fast weir reads and writes Parquet, with one thread or more:
 *
 *   parquet_bench read THREADS TIMES FILE                    every value of the file, row groups in turn
 *   parquet_bench write THREADS TIMES FILE CODEC [COPY]      its rows, as plain columns in memory, to a file in memory
 *   parquet_bench scan THREADS TIMES FILE COLUMN LOW HIGH    the rows with LOW <= COLUMN <= HIGH (an integer or time)
 *
 * Prints the least seconds of TIMES (of CPU with one thread, else by the clock), rows, bytes, and the peak memory of the
 * process.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/os.h"
#include "format/parquet/parquet.h"
#include "measure.h"

#define FILE_LIMIT  ((size_t)4 << 30)
#define GROUP_ROWS  122880
#define THREADS_MAX 16

static const struct {
	const char *name;
	enum codec codec;
} codecs[] = {{"none", CODEC_NONE}, {"snappy", CODEC_SNAPPY}, {"zstd", CODEC_ZSTD}, {"lz4", CODEC_LZ4_RAW}};

static _Noreturn void stop(const struct weir_error *err)
{
	char text[1200];
	fprintf(stderr, "parquet_bench: %s\n", weir_error_text(err, text, sizeof text));
	exit(1);
}

static void say(double least, uint64_t rows, uint64_t bytes)
{
	printf("%.6f %llu %llu %lld\n", least, (unsigned long long)rows, (unsigned long long)bytes,
		measure_peak_bytes());
}

static struct pq_file *open_file(const char *path, struct weir_slice *memory)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_file *file;
	char *data;
	size_t size;
	if (weir_os_read_all(weir_os_real(), path, FILE_LIMIT, &data, &size, &err) != 0)
		stop(&err);
	*memory = (struct weir_slice){data, size};
	if (pq_file_open(weir_source_from_memory(memory, weir_str_from(path)), &file, &err) != 0)
		stop(&err);
	return file;
}

static uint64_t read_once(const struct pq_file *file, const struct pq_read_options *options, uint64_t *ret_matches)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_reader *reader;
	struct weir_batch *batch;
	uint64_t rows = 0;
	uint8_t truth[WEIR_BATCH_ROWS];
	if (pq_reader_open(file, options, &reader, &err) != 0)
		stop(&err);
	while (pq_reader_next(reader, &batch, NULL, &err) == 0 && batch != NULL) {
		rows += batch->row_count;
		if (ret_matches != NULL) {
			expr_filter_batch(&options->filter, batch, truth);
			for (uint32_t i = 0; i < batch->row_count; i++)
				*ret_matches += truth[i] == EXPR_TRUE;
		}
		weir_batch_release(batch);
	}
	if (err.code != 0)
		stop(&err);
	pq_reader_close(reader);
	return rows;
}

/* ---- threads ---- */

/* Runs work for each context, of the same size and one behind the other; this thread takes the first. */
static void in_threads(void *(*work)(void *), void *contexts, size_t size, uint32_t threads)
{
	pthread_t others[THREADS_MAX];
	for (uint32_t i = 1; i < threads; i++)
		if (pthread_create(&others[i], NULL, work, (char *)contexts + i * size) != 0)
			abort();
	work(contexts);
	for (uint32_t i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
}

/* ---- reading ---- */

struct part {
	const struct pq_file *file;
	uint32_t *row_groups;
	uint32_t count;
	uint64_t rows;
};

static void *read_part(void *context)
{
	struct part *part = context;
	const struct pq_read_options options = {.row_groups = part->row_groups, .row_group_count = part->count};
	part->rows = part->count > 0 ? read_once(part->file, &options, NULL) : 0;
	return NULL;
}

static int run_read(uint32_t threads, unsigned times, const char *path)
{
	struct weir_slice memory;
	struct pq_file *file = open_file(path, &memory);
	struct weir_arena *arena = weir_arena_new(0);
	struct part parts[THREADS_MAX];
	uint32_t groups = pq_file_row_group_count(file);
	double best = 1e9;
	uint64_t rows = 0;
	for (uint32_t i = 0; i < threads; i++) {
		parts[i] = (struct part){file, weir_arena_calloc(arena, groups + 1, sizeof(uint32_t)), 0, 0};
		for (uint32_t group = i; group < groups; group += threads)
			parts[i].row_groups[parts[i].count++] = group;
	}
	for (unsigned i = 0; i < times; i++) {
		double start = measure_seconds(threads);
		in_threads(read_part, parts, sizeof parts[0], threads);
		double took = measure_seconds(threads) - start;
		best = took < best ? took : best;
		rows = 0;
		for (uint32_t j = 0; j < threads; j++)
			rows += parts[j].rows;
	}
	weir_arena_free(arena);
	say(best, rows, memory.size);
	return 0;
}

/* Top-level columns by position: the files of other writers have no field ids. */
static struct weir_schema *with_ids(struct weir_arena *arena, const struct weir_schema *schema)
{
	struct weir_schema *copy = weir_schema_copy(arena, schema);
	for (uint32_t i = 0; i < copy->field_count; i++)
		copy->fields[i].id = (int32_t)i + 1;
	return copy;
}

static int run_scan(unsigned times, const char *path, const char *column, int64_t low, int64_t high)
{
	struct weir_slice memory;
	struct pq_file *file = open_file(path, &memory);
	const struct weir_schema *schema = pq_file_schema(file);
	uint32_t at = weir_schema_find(schema, weir_str_from(column));
	if (at == WEIR_NO_FIELD || schema->fields[at].id == 0) {
		fprintf(stderr, "parquet_bench: there is no column '%s' with a field id\n", column);
		return 1;
	}
	struct expr_value values[2] = {
		{.kind = EXPR_INTEGER, .u.integer = low}, {.kind = EXPR_INTEGER, .u.integer = high}};
	struct expr_term terms[2] = {
		{schema->fields[at].id, EXPR_GE, &values[0], 1}, {schema->fields[at].id, EXPR_LE, &values[1], 1}};
	struct pq_read_options options = {.filter = {terms, 2}};
	double best = 1e9;
	uint64_t matches = 0;
	for (unsigned i = 0; i < times; i++) {
		double start = measure_seconds(1);
		matches = 0;
		read_once(file, &options, &matches);
		double took = measure_seconds(1) - start;
		best = took < best ? took : best;
	}
	say(best, matches, memory.size);
	return 0;
}

/* Coded columns become plain ones, so that the writer finds the values that repeat by itself. */
static void make_plain(struct weir_arena *arena, struct weir_column *column, uint32_t rows)
{
	if (column->layout == WEIR_DICT) {
		struct weir_view *views = weir_arena_alloc(arena, (size_t)rows * sizeof *views + 1);
		for (uint32_t i = 0; i < rows; i++)
			views[i] = column->dict->values[((const uint32_t *)column->values)[i]];
		column->values = views;
		column->layout = WEIR_VIEW;
	}
	for (uint32_t i = 0; i < column->child_count; i++)
		make_plain(arena, &column->children[i], column->layout == WEIR_SPAN ? column->child_rows : rows);
}

struct encoding {
	const struct weir_schema *schema;
	const struct pq_write_options *options;
	struct weir_batch *const *batches;
	uint32_t count, first, step; /* this thread's row groups are first, first + step ... */
	struct pq_row_group **groups;
};

static void *encode_part(void *context)
{
	const uint32_t group_batches = GROUP_ROWS / WEIR_BATCH_ROWS;
	struct encoding *part = context;
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_encoder *encoder = pq_encoder_new(part->schema, part->options);
	for (uint32_t group = part->first; group * group_batches < part->count; group += part->step) {
		for (uint32_t i = group * group_batches; i < part->count && i < (group + 1) * group_batches; i++)
			if (pq_encoder_add(encoder, part->batches[i], NULL, &err) != 0)
				stop(&err);
		if (pq_encoder_flush(encoder, &err) != 0)
			stop(&err);
		part->groups[group] = pq_encoder_take(encoder);
	}
	pq_encoder_free(encoder);
	return NULL;
}

/* Row groups are encoded on all threads and spliced by one. */
static void write_spliced(struct pq_writer *writer, struct encoding *parts, uint32_t threads)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t groups = parts[0].count / (GROUP_ROWS / WEIR_BATCH_ROWS) + 1;
	struct pq_row_group **made = weir_zalloc(groups * sizeof(struct pq_row_group *));
	for (uint32_t i = 0; i < threads; i++)
		parts[i].groups = made;
	in_threads(encode_part, parts, sizeof parts[0], threads);
	for (uint32_t i = 0; i < groups && made[i] != NULL; i++) {
		if (pq_writer_splice(writer, made[i], &err) != 0)
			stop(&err);
		pq_row_group_free(made[i]);
	}
	free(made);
}

static uint64_t write_once(uint32_t threads, const struct weir_schema *schema, struct weir_batch *const *batches,
	uint32_t count, enum codec codec, struct weir_buf *out)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_write_options options = {
		.codec = codec, .level = 1, .row_group_rows = GROUP_ROWS, .byte_stream_split = getenv("SPLIT") != NULL};
	struct weir_arena *arena = weir_arena_new(0);
	struct encoding parts[THREADS_MAX];
	struct pq_file_info info;
	struct pq_writer *writer;
	out->size = 0;
	if (pq_writer_open(weir_sink_to_buf(out), schema, &options, &writer, &err) != 0)
		stop(&err);
	for (uint32_t i = 0; i < threads; i++)
		parts[i] = (struct encoding){schema, &options, batches, count, i, threads, NULL};
	if (threads > 1)
		write_spliced(writer, parts, threads);
	for (uint32_t i = 0; i < count && threads == 1; i++)
		if (pq_writer_add(writer, batches[i], NULL, &err) != 0)
			stop(&err);
	if (pq_writer_close(writer, arena, &info, &err) != 0)
		stop(&err);
	weir_arena_free(arena);
	return info.row_count;
}

static int run_write(uint32_t threads, unsigned times, const char *path, enum codec codec, const char *copy)
{
	struct weir_slice memory;
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_file *file = open_file(path, &memory);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch **batches = NULL, *batch;
	uint32_t count = 0, capacity = 0;
	struct weir_buf out = WEIR_BUF_INIT;
	struct pq_reader *reader;
	double best = 1e9;
	uint64_t rows = 0;
	if (pq_reader_open(file, NULL, &reader, &err) != 0)
		stop(&err);
	while (pq_reader_next(reader, &batch, NULL, &err) == 0 && batch != NULL) {
		for (uint32_t i = 0; i < batch->schema->field_count; i++)
			make_plain(arena, &batch->columns[i], batch->row_count);
		WEIR_GROW(batches, count, capacity);
		batches[count++] = batch;
	}
	if (err.code != 0)
		stop(&err);
	const struct weir_schema *schema = with_ids(arena, pq_file_schema(file));
	for (unsigned i = 0; i < times; i++) {
		double start = measure_seconds(threads);
		rows = write_once(threads, schema, batches, count, codec, &out);
		double took = measure_seconds(threads) - start;
		best = took < best ? took : best;
	}
	say(best, rows, out.size);
	FILE *to = copy != NULL ? fopen(copy, "wb") : NULL;
	return to != NULL ? fwrite(out.data, 1, out.size, to) != out.size || fclose(to) != 0 : 0;
}

/* As the program has it (src/cli/main.c): memory of one batch serves the next. */
static void keep_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	mallopt(M_ARENA_MAX, 4);
}

int main(int count, char **texts)
{
	uint32_t threads = count >= 5 ? (uint32_t)atoi(texts[2]) : 0;
	unsigned times = count >= 5 ? (unsigned)atoi(texts[3]) : 0;
	bool known = threads > 0 && threads <= THREADS_MAX && times > 0;
	keep_memory();
	if (known && strcmp(texts[1], "read") == 0)
		return run_read(threads, times, texts[4]);
	if (known && count == 8 && threads == 1 && strcmp(texts[1], "scan") == 0)
		return run_scan(times, texts[4], texts[5], atoll(texts[6]), atoll(texts[7]));
	for (unsigned i = 0; known && count >= 6 && strcmp(texts[1], "write") == 0 && i < 4; i++)
		if (strcmp(texts[5], codecs[i].name) == 0)
			return run_write(threads, times, texts[4], codecs[i].codec, count > 6 ? texts[6] : NULL);
	fprintf(stderr,
		"usage: parquet_bench read THREADS TIMES FILE | write THREADS TIMES FILE none|snappy|zstd|lz4 [COPY] "
		"|\n"
		"       scan 1 TIMES FILE COLUMN LOW HIGH\n");
	return 2;
}
