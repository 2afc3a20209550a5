/*
 * What parquet_bench does, by the library carquet (a checkout of it, which CARQUET names to bench/run):
 *
 *   carquet_peer read THREADS TIMES FILE
 *   carquet_peer write 1 TIMES FILE CODEC
 *
 * Prints the least seconds of TIMES (of CPU with one thread, else by the clock), rows, bytes, and the peak memory of the
 * process. Flat columns; those written have no nulls and are declared so, which spares carquet the levels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <carquet/carquet.h>

#include "measure.h"

#define BATCH_ROWS 65536
#define GROUP_ROWS 122880

struct column {
	const carquet_schema_node_t *node;
	size_t width;
	char *values;
	int64_t count, capacity;
};

static _Noreturn void stop(const char *what)
{
	fprintf(stderr, "carquet_peer: %s\n", what);
	exit(1);
}

static void *need(void *memory)
{
	if (memory == NULL)
		stop("out of memory");
	return memory;
}

static carquet_reader_t *open_file(const char *path, int threads)
{
	carquet_error_t error = CARQUET_ERROR_INIT;
	carquet_reader_options_t options;
	carquet_reader_options_init(&options);
	options.num_threads = threads;
	options.use_mmap = true;
	carquet_reader_t *reader = carquet_reader_open(path, &options, &error);
	if (reader == NULL)
		stop(error.message);
	return reader;
}

static size_t width_of(const carquet_schema_node_t *node)
{
	switch (carquet_schema_node_physical_type(node)) {
	case CARQUET_PHYSICAL_BOOLEAN:
		return 1;
	case CARQUET_PHYSICAL_INT32:
	case CARQUET_PHYSICAL_FLOAT:
		return 4;
	case CARQUET_PHYSICAL_INT64:
	case CARQUET_PHYSICAL_DOUBLE:
		return 8;
	case CARQUET_PHYSICAL_BYTE_ARRAY:
		return sizeof(carquet_byte_array_t);
	case CARQUET_PHYSICAL_FIXED_LEN_BYTE_ARRAY:
		return (size_t)carquet_schema_node_type_length(node);
	default:
		stop("a column's type is not known here");
	}
}

static void keep_values(struct column *column, const void *data, int64_t count)
{
	if (column->count + count > column->capacity) {
		column->capacity = 2 * (column->count + count);
		column->values = need(realloc(column->values, (size_t)column->capacity * column->width));
	}
	char *to = column->values + (size_t)column->count * column->width;
	memcpy(to, data, (size_t)count * column->width);
	column->count += count;
	if (carquet_schema_node_physical_type(column->node) != CARQUET_PHYSICAL_BYTE_ARRAY)
		return;
	carquet_byte_array_t *texts = (carquet_byte_array_t *)(void *)to;
	for (int64_t i = 0; i < count; i++) {
		uint8_t *copy = need(malloc((size_t)texts[i].length + 1));
		memcpy(copy, texts[i].data, (size_t)texts[i].length);
		texts[i].data = copy;
	}
}

/* Every value of the file; where columns is given, they are kept. */
static int64_t read_all(const char *path, int threads, struct column *columns)
{
	carquet_error_t error = CARQUET_ERROR_INIT;
	carquet_reader_t *reader = open_file(path, threads);
	carquet_batch_reader_config_t config;
	carquet_row_batch_t *batch = NULL;
	int64_t rows = 0, wanted = carquet_reader_num_rows(reader);
	for (int32_t i = 0; i < carquet_schema_num_elements(carquet_reader_schema(reader)); i++)
		if (carquet_schema_node_max_rep_level(carquet_schema_get_element(carquet_reader_schema(reader), i)) > 0)
			stop("its batches do not have maps and lists whole");
	carquet_batch_reader_config_init(&config);
	config.batch_size = BATCH_ROWS;
	config.num_threads = threads;
	carquet_batch_reader_t *batches = carquet_batch_reader_create(reader, &config, &error);
	if (batches == NULL)
		stop(error.message);
	while (carquet_batch_reader_next(batches, &batch) == CARQUET_OK && batch != NULL) {
		int64_t more = carquet_row_batch_num_rows(batch);
		for (int32_t c = 0; c < carquet_row_batch_num_columns(batch); c++) {
			const void *data;
			const uint8_t *nulls;
			int64_t count;
			if (carquet_row_batch_column(batch, c, &data, &nulls, &count) != CARQUET_OK || count != more)
				stop("a column does not have a value a row; it may be nested");
			for (int64_t i = 0; columns != NULL && nulls != NULL && i < (count + 7) / 8; i++)
				if (nulls[i] != 0)
					stop("a column has nulls; only those without are written here");
			if (columns != NULL)
				keep_values(&columns[c], data, count);
		}
		rows += more;
		carquet_row_batch_free(batch);
		batch = NULL;
	}
	carquet_batch_reader_free(batches);
	carquet_reader_close(reader);
	if (rows != wanted)
		stop("it read fewer rows than the file has");
	return rows;
}

static void write_all(const char *path, const carquet_schema_t *schema, const struct column *columns, int32_t count,
	carquet_compression_t codec)
{
	carquet_error_t error = CARQUET_ERROR_INIT;
	carquet_writer_options_t options;
	carquet_writer_options_init(&options);
	options.compression = codec;
	options.compression_level = 1;
	options.write_page_index = true;
	carquet_writer_t *writer = carquet_writer_create(path, schema, &options, &error);
	if (writer == NULL)
		stop(error.message);
	for (int64_t first = 0; first < columns[0].count; first += GROUP_ROWS) {
		int64_t some = columns[0].count - first < GROUP_ROWS ? columns[0].count - first : GROUP_ROWS;
		for (int32_t c = 0; c < count; c++)
			if (carquet_writer_write_batch(writer, c, columns[c].values + (size_t)first * columns[c].width,
				    some, NULL, NULL) != CARQUET_OK)
				stop("it could not write a column");
		if (first + some < columns[0].count && carquet_writer_new_row_group(writer) != CARQUET_OK)
			stop("it could not begin a row group");
	}
	if (carquet_writer_close(writer) != CARQUET_OK)
		stop("it could not finish the file");
}

static double run_write(
	const char *path, unsigned times, carquet_compression_t codec, int64_t *ret_rows, int64_t *ret_size)
{
	carquet_error_t error = CARQUET_ERROR_INIT;
	carquet_reader_t *reader = open_file(path, 1);
	const carquet_schema_t *schema = carquet_reader_schema(reader);
	int32_t count = carquet_reader_num_columns(reader), leaf = 0;
	struct column *columns = need(calloc((size_t)count, sizeof *columns));
	carquet_schema_t *copy = carquet_schema_create(&error);
	for (int32_t i = 0; i < carquet_schema_num_elements(schema); i++) {
		const carquet_schema_node_t *node = carquet_schema_get_element(schema, i);
		if (!carquet_schema_node_is_leaf(node))
			continue;
		columns[leaf] = (struct column){.node = node, .width = width_of(node)};
		if (carquet_schema_add_column(copy, carquet_schema_node_name(node),
			    carquet_schema_node_physical_type(node), carquet_schema_node_logical_type(node),
			    CARQUET_REPETITION_REQUIRED, carquet_schema_node_type_length(node)) != CARQUET_OK)
			stop("it could not take over a column");
		leaf++;
	}
	*ret_rows = read_all(path, 1, columns);
	char *out = need(malloc(strlen(path) + 9));
	sprintf(out, "%s.carquet", path);
	double best = 1e9;
	for (unsigned i = 0; i < times; i++) {
		double start = measure_seconds(1);
		write_all(out, copy, columns, count, codec);
		double took = measure_seconds(1) - start;
		best = took < best ? took : best;
	}
	struct stat info;
	*ret_size = stat(out, &info) == 0 ? (int64_t)info.st_size : 0;
	if (read_all(out, 1, NULL) != *ret_rows)
		stop("it cannot read what it wrote");
	remove(out);
	return best;
}

int main(int count, char **texts)
{
	struct stat info;
	double best = 1e9;
	int64_t rows = 0, size = 0;
	int threads = count >= 5 ? atoi(texts[2]) : 0;
	unsigned times = count >= 5 ? (unsigned)atoi(texts[3]) : 0;
	if (count < 5 || carquet_init() != CARQUET_OK)
		stop("usage: carquet_peer read THREADS TIMES FILE | write 1 TIMES FILE zstd|snappy");
	if (strcmp(texts[1], "write") == 0) {
		if (threads != 1 || count != 6)
			stop("it writes with one thread");
		best = run_write(texts[4], times,
			strcmp(texts[5], "zstd") == 0 ? CARQUET_COMPRESSION_ZSTD : CARQUET_COMPRESSION_SNAPPY, &rows,
			&size);
	}
	for (unsigned i = 0; i < times && strcmp(texts[1], "read") == 0; i++) {
		double start = measure_seconds((unsigned)threads);
		rows = read_all(texts[4], threads, NULL);
		double took = measure_seconds((unsigned)threads) - start;
		best = took < best ? took : best;
		size = stat(texts[4], &info) == 0 ? (int64_t)info.st_size : 0;
	}
	printf("%.6f %lld %lld %lld\n", best, (long long)rows, (long long)size, measure_peak_bytes());
	return 0;
}
