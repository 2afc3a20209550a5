// uses: weir_parquet
/*
 * How fast one thread reads and writes Parquet:
 *
 *   parquet_bench read FILE [TIMES]                    every value of the file
 *   parquet_bench write FILE CODEC [TIMES] [COPY]      its rows, as plain columns in memory, to a file in memory
 *   parquet_bench scan FILE COLUMN LOW HIGH [TIMES]    the rows with LOW <= COLUMN <= HIGH (an integer or time)
 *
 * Prints the least CPU seconds of TIMES (5), rows, bytes, and the peak memory of the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/arena.h"
#include "base/os.h"
#include "format/parquet/parquet.h"

#define FILE_LIMIT ((size_t)4 << 30)

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

static double cpu_seconds(void)
{
	struct timespec at;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void say(double seconds, uint64_t rows, uint64_t bytes)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("%.6f %llu %llu %ld\n", seconds, (unsigned long long)rows, (unsigned long long)bytes,
		usage.ru_maxrss * 1024);
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

static int run_read(const char *path, unsigned times)
{
	struct weir_slice memory;
	struct pq_file *file = open_file(path, &memory);
	double best = 1e9;
	uint64_t rows = 0;
	for (unsigned i = 0; i < times; i++) {
		double start = cpu_seconds();
		rows = read_once(file, NULL, NULL);
		double took = cpu_seconds() - start;
		best = took < best ? took : best;
	}
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

static int run_scan(const char *path, const char *column, int64_t low, int64_t high, unsigned times)
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
		double start = cpu_seconds();
		matches = 0;
		read_once(file, &options, &matches);
		double took = cpu_seconds() - start;
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

static uint64_t write_once(const struct weir_schema *schema, struct weir_batch *const *batches, uint32_t count,
	enum codec codec, struct weir_buf *out)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct pq_write_options options = {
		.codec = codec, .row_group_rows = 122880, .byte_stream_split = getenv("SPLIT") != NULL};
	struct weir_arena *arena = weir_arena_new(0);
	struct pq_file_info info;
	struct pq_writer *writer;
	out->size = 0;
	if (pq_writer_open(weir_sink_to_buf(out), schema, &options, &writer, &err) != 0)
		stop(&err);
	for (uint32_t i = 0; i < count; i++)
		if (pq_writer_add(writer, batches[i], NULL, &err) != 0)
			stop(&err);
	if (pq_writer_close(writer, arena, &info, &err) != 0)
		stop(&err);
	weir_arena_free(arena);
	return info.row_count;
}

static int run_write(const char *path, enum codec codec, unsigned times, const char *copy)
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
		double start = cpu_seconds();
		rows = write_once(schema, batches, count, codec, &out);
		double took = cpu_seconds() - start;
		best = took < best ? took : best;
	}
	say(best, rows, out.size);
	FILE *to = copy != NULL ? fopen(copy, "wb") : NULL;
	return to != NULL ? fwrite(out.data, 1, out.size, to) != out.size || fclose(to) != 0 : 0;
}

int main(int count, char **texts)
{
	if (count >= 3 && strcmp(texts[1], "read") == 0)
		return run_read(texts[2], count > 3 ? (unsigned)atoi(texts[3]) : 5);
	if (count >= 6 && strcmp(texts[1], "scan") == 0)
		return run_scan(
			texts[2], texts[3], atoll(texts[4]), atoll(texts[5]), count > 6 ? (unsigned)atoi(texts[6]) : 5);
	for (unsigned i = 0; count >= 4 && strcmp(texts[1], "write") == 0 && i < 4; i++)
		if (strcmp(texts[3], codecs[i].name) == 0)
			return run_write(texts[2], codecs[i].codec, count > 4 ? (unsigned)atoi(texts[4]) : 5,
				count > 5 ? texts[5] : NULL);
	fprintf(stderr,
		"usage: parquet_bench read FILE [TIMES] | write FILE none|snappy|zstd|lz4 [TIMES] [COPY] |\n"
		"       scan FILE COLUMN LOW HIGH [TIMES]\n");
	return 2;
}
