/*
 * Weir's Parquet for other engines to judge: `pq_tool write-sample FILE` writes every type with nulls,
 * several row groups and a spliced one (`write-small`: 80 rows); `pq_tool dump FILE` prints rows as
 * NDJSON; `pq_tool rows FILE` counts them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/os.h"
#include "base/time.h"
#include "format/parquet/parquet.h"

#define FILE_LIMIT   ((size_t)1 << 30)
#define SAMPLE_ROWS  5000
#define SPLICED_ROWS 777

static _Noreturn void die(const struct weir_error *err)
{
	char text[1200];
	fprintf(stderr, "pq_tool: %s\n", weir_error_text(err, text, sizeof text));
	exit(1);
}

/* ---- the sample: value i of each column is a function of i that parquet_peers.py knows as well ---- */
static struct weir_field entries[2] = {
	{.name = {"key", 3}, .id = 31, .type = WEIR_STRING, .required = true},
	{.name = {"value", 5}, .id = 32, .type = WEIR_STRING},
};
static struct weir_field element = {.name = {"element", 7}, .id = 33, .type = WEIR_INT64};
static struct weir_field members[2] = {
	{.name = {"x", 1}, .id = 34, .type = WEIR_DOUBLE, .required = true},
	{.name = {"label", 5}, .id = 35, .type = WEIR_STRING},
};

#define FIELD(text, number, kind) .name = {text, sizeof(text) - 1}, .id = number, .type = kind

static struct weir_field fields[] = {
	{FIELD("id", 1, WEIR_INT64), .required = true},
	{FIELD("flag", 2, WEIR_BOOL)},
	{FIELD("small", 3, WEIR_INT32)},
	{FIELD("f", 4, WEIR_FLOAT)},
	{FIELD("d", 5, WEIR_DOUBLE)},
	{FIELD("dec9", 6, WEIR_DECIMAL), .precision = 9, .scale = 2},
	{FIELD("dec18", 7, WEIR_DECIMAL), .precision = 18, .scale = 3},
	{FIELD("dec38", 8, WEIR_DECIMAL), .precision = 38, .scale = 10},
	{FIELD("day", 9, WEIR_DATE)},
	{FIELD("t", 10, WEIR_TIME)},
	{FIELD("ts", 11, WEIR_TIMESTAMP)},
	{FIELD("tz", 12, WEIR_TIMESTAMPTZ)},
	{FIELD("name", 13, WEIR_STRING)},
	{FIELD("text", 14, WEIR_STRING)},
	{FIELD("uuid", 15, WEIR_UUID)},
	{FIELD("fx", 16, WEIR_FIXED), .fixed_size = 5},
	{FIELD("bin", 17, WEIR_BINARY)},
	{FIELD("m", 18, WEIR_MAP), .children = entries, .child_count = 2},
	{FIELD("l", 19, WEIR_LIST), .children = &element, .child_count = 1},
	{FIELD("s", 20, WEIR_STRUCT), .children = members, .child_count = 2},
};
static const struct weir_schema sample_schema = {.field_count = sizeof fields / sizeof fields[0], .fields = fields};

static struct weir_view text_value(struct weir_arena *arena, const char *format, uint64_t i)
{
	char text[64];
	int size = snprintf(text, sizeof text, "%s%" PRIu64, format, i);
	return weir_view_from(weir_arena_str(arena, (struct weir_str){text, (size_t)size}));
}

static void fill_numbers(struct weir_column *columns, uint32_t r, int64_t i)
{
	weir_int128 big = (weir_int128)i * 1000000000000LL * 1000003 - 5;
	((int64_t *)columns[0].values)[r] = i;
	((uint8_t *)columns[1].values)[r] = i % 3 == 0;
	((int32_t *)columns[2].values)[r] = (int32_t)(i % 100 - 50);
	((float *)columns[3].values)[r] = i % 11 == 0 ? NAN : (float)i / 4;
	((double *)columns[4].values)[r] = (double)i * 0.1;
	((weir_int128 *)columns[5].values)[r] = i - 2500;
	((weir_int128 *)columns[6].values)[r] = (weir_int128)i * 1000000007 - 77;
	((weir_int128 *)columns[7].values)[r] = i % 2 != 0 ? -big : big;
	((int32_t *)columns[8].values)[r] = (int32_t)(19000 + i % 400 - 30000 * (i % 7 == 0));
	((int64_t *)columns[9].values)[r] = i * 17000001 % WEIR_US_PER_DAY;
	((int64_t *)columns[10].values)[r] = 1700000000000000LL + i * 1000003;
	((int64_t *)columns[11].values)[r] = 1700000000000000LL - i * 997;
	for (unsigned b = 0; b < 16; b++)
		((struct weir_uuid *)columns[14].values)[r].bytes[b] = (uint8_t)(i * (b + 3));
}

static void fill_texts(struct weir_arena *arena, struct weir_column *columns, uint32_t r, uint64_t i)
{
	char fixed[8];
	snprintf(fixed, sizeof fixed, "%05u", (unsigned)(i % 1000));
	((struct weir_view *)columns[12].values)[r] = text_value(arena, "n\xc3\xa4me-", i % 17);
	((struct weir_view *)columns[13].values)[r] = text_value(arena, "a longer text that hardly repeats ", i);
	((struct weir_view *)columns[15].values)[r] =
		weir_view_from(weir_arena_str(arena, (struct weir_str){fixed, 5}));
	((struct weir_view *)columns[16].values)[r] = text_value(arena, "\xff\x01", i % 300);
}

static struct weir_column child_column(struct weir_arena *arena, enum weir_type type, uint32_t rows)
{
	struct weir_column column = {.type = type, .layout = weir_type_is_text(type) ? WEIR_VIEW : WEIR_FLAT};
	column.values = weir_arena_calloc(arena, rows, weir_type_width(type));
	column.valid = weir_validity_new(arena, rows);
	return column;
}

static void fill_nested(struct weir_arena *arena, struct weir_batch *batch, uint64_t first)
{
	struct weir_column *map = &batch->columns[17], *list = &batch->columns[18], *group = &batch->columns[19];
	uint32_t rows = batch->row_count, map_at = 0, list_at = 0;
	map->children[0] = child_column(arena, WEIR_STRING, rows * 3);
	map->children[1] = child_column(arena, WEIR_STRING, rows * 3);
	list->children[0] = child_column(arena, WEIR_INT64, rows * 4);
	for (uint32_t r = 0; r < rows; r++) {
		uint64_t i = first + r;
		((struct weir_span *)map->values)[r] = (struct weir_span){map_at, i % 3};
		for (uint64_t k = 0; k < i % 3; k++, map_at++) {
			((struct weir_view *)map->children[0].values)[map_at] = text_value(arena, "k", k);
			((struct weir_view *)map->children[1].values)[map_at] = text_value(arena, "v", i + k);
			if ((i + k) % 5 == 0)
				weir_column_set_null(&map->children[1], map_at);
		}
		((struct weir_span *)list->values)[r] = (struct weir_span){list_at, i % 4};
		for (uint64_t k = 0; k < i % 4; k++, list_at++) {
			((int64_t *)list->children[0].values)[list_at] = (int64_t)(i * 10 + k);
			if ((i + k) % 6 == 0)
				weir_column_set_null(&list->children[0], list_at);
		}
		((double *)group->children[0].values)[r] = (double)i / 8;
		((struct weir_view *)group->children[1].values)[r] = text_value(arena, "label ", i % 9);
		if (i % 4 == 0)
			weir_column_set_null(&group->children[1], r);
	}
	map->child_rows = map_at;
	list->child_rows = list_at;
}

static struct weir_batch *sample_batch(struct weir_arena *arena, uint64_t first, uint32_t rows)
{
	struct weir_batch *batch = weir_batch_new(arena, &sample_schema, rows);
	batch->row_count = rows;
	for (uint32_t r = 0; r < rows; r++) {
		fill_numbers(batch->columns, r, (int64_t)(first + r));
		fill_texts(arena, batch->columns, r, first + r);
	}
	fill_nested(arena, batch, first);
	for (uint32_t c = 1; c < sample_schema.field_count; c++)
		for (uint32_t r = 0; r < rows; r++)
			if ((first + r + c) % 13 == 0)
				weir_column_set_null(&batch->columns[c], r);
	return batch;
}

static void write_file(const char *path, const struct weir_buf *bytes)
{
	FILE *file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes->data, 1, bytes->size, file) != bytes->size || fclose(file) != 0) {
		fprintf(stderr, "pq_tool: cannot write %s\n", path);
		exit(1);
	}
}

static int write_sample(const char *path, enum codec codec, uint32_t rows, uint32_t spliced_rows)
{
	static const int32_t blooms[] = {1, 13, 15};
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf bytes = WEIR_BUF_INIT;
	struct pq_write_options options = {
		.codec = codec, .row_group_rows = 3000, .bloom_ids = blooms, .bloom_count = 3};
	struct pq_writer *writer;
	struct pq_file_info info;
	if (pq_writer_open(weir_sink_to_buf(&bytes), &sample_schema, &options, &writer, &err) != 0)
		die(&err);
	for (uint32_t i = 0; i < rows; i += 1000)
		if (pq_writer_add(writer, sample_batch(arena, i, rows - i < 1000 ? rows - i : 1000), NULL, &err) != 0)
			die(&err);
	struct pq_encoder *encoder = pq_encoder_new(&sample_schema, &options);
	if (pq_encoder_add(encoder, sample_batch(arena, rows, spliced_rows), NULL, &err) != 0 ||
		pq_encoder_flush(encoder, &err) != 0)
		die(&err);
	struct pq_row_group *group = pq_encoder_take(encoder);
	if (pq_writer_splice(writer, group, &err) != 0)
		die(&err);
	pq_row_group_free(group);
	pq_encoder_free(encoder);
	if (pq_writer_close(writer, arena, &info, &err) != 0)
		die(&err);
	write_file(path, &bytes);
	weir_buf_done(&bytes);
	weir_arena_free(arena);
	return 0;
}

/* ---- dump ---- */
static void put_text(struct weir_str text)
{
	putchar('"');
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void put_hex(const void *data, size_t size)
{
	putchar('"');
	for (size_t i = 0; i < size; i++)
		printf("%02x", ((const uint8_t *)data)[i]);
	putchar('"');
}

static void put_decimal(weir_int128 value)
{
	char digits[48];
	unsigned at = sizeof digits;
	bool negative = value < 0;
	digits[--at] = '\0';
	do {
		int digit = (int)(value % 10);
		digits[--at] = (char)('0' + (digit < 0 ? -digit : digit));
		value /= 10;
	} while (value != 0);
	printf("\"%s%s\"", negative ? "-" : "", digits + at);
}

static void put_double(double value)
{
	if (isfinite(value))
		printf("%.17g", value);
	else
		printf("\"%s\"", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static void put_value(const struct weir_field *field, const struct weir_column *column, uint32_t row);

static void put_span(const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	const struct weir_span *span = (const struct weir_span *)column->values + row;
	putchar('[');
	for (uint64_t i = 0; i < span->length; i++) {
		uint32_t at = (uint32_t)(span->offset + i);
		if (i > 0)
			putchar(',');
		if (field->type == WEIR_MAP)
			putchar('[');
		put_value(&field->children[0], &column->children[0], at);
		if (field->type == WEIR_MAP) {
			putchar(',');
			put_value(&field->children[1], &column->children[1], at);
			putchar(']');
		}
	}
	putchar(']');
}

static void put_group(const struct weir_field *field, uint32_t count, const struct weir_column *columns, uint32_t row)
{
	putchar('{');
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			putchar(',');
		put_text(field[i].name);
		putchar(':');
		put_value(&field[i], &columns[i], row);
	}
	putchar('}');
}

static void put_value(const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	weir_int128 decimal;
	if (!weir_column_is_valid(column, row)) {
		printf("null");
		return;
	}
	switch (field->type) {
	case WEIR_BOOL:
		printf(weir_column_i64(column, row) != 0 ? "true" : "false");
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		put_double(weir_column_double(column, row));
		break;
	case WEIR_DECIMAL:
		memcpy(&decimal, (const char *)column->values + (size_t)row * 16, 16);
		put_decimal(decimal);
		break;
	case WEIR_STRING:
		put_text(weir_column_str(column, row));
		break;
	case WEIR_FIXED:
	case WEIR_BINARY:
		put_hex(weir_column_str(column, row).data, weir_column_str(column, row).size);
		break;
	case WEIR_UUID:
		put_hex((const struct weir_uuid *)column->values + row, 16);
		break;
	case WEIR_LIST:
	case WEIR_MAP:
		put_span(field, column, row);
		break;
	case WEIR_STRUCT:
		put_group(field->children, field->child_count, column->children, row);
		break;
	default:
		printf("%" PRId64, weir_column_i64(column, row));
	}
}

static int read_file(const char *path, bool dump)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_slice memory;
	struct pq_file *file;
	struct pq_reader *reader = NULL;
	struct weir_batch *batch;
	uint64_t rows = 0;
	char *data;
	size_t size;
	if (weir_os_read_all(weir_os_real(), path, FILE_LIMIT, &data, &size, &err) != 0)
		die(&err);
	memory = (struct weir_slice){data, size};
	if (pq_file_open(weir_source_from_memory(&memory, weir_str_from(path)), &file, &err) != 0 ||
		pq_reader_open(file, NULL, &reader, &err) != 0)
		die(&err);
	for (;;) {
		if (pq_reader_next(reader, &batch, NULL, &err) != 0)
			die(&err);
		if (batch == NULL)
			break;
		for (uint32_t r = 0; dump && r < batch->row_count; r++) {
			put_group(batch->schema->fields, batch->schema->field_count, batch->columns, r);
			putchar('\n');
		}
		rows += batch->row_count;
		weir_batch_release(batch);
	}
	if (!dump)
		printf("%" PRIu64 "\n", rows);
	pq_reader_close(reader);
	pq_file_free(file);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	enum codec codec = argc > 3 ? (enum codec)atoi(argv[3]) : CODEC_ZSTD;
	if (argc >= 3 && strcmp(argv[1], "write-sample") == 0)
		return write_sample(argv[2], codec, SAMPLE_ROWS, SPLICED_ROWS);
	if (argc >= 3 && strcmp(argv[1], "write-small") == 0)
		return write_sample(argv[2], codec, 60, 20);
	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return read_file(argv[2], true);
	if (argc == 3 && strcmp(argv[1], "rows") == 0)
		return read_file(argv[2], false);
	fprintf(stderr,
		"usage: pq_tool write-sample FILE [CODEC] | write-small FILE [CODEC] | dump FILE |"
		" rows FILE\n");
	return 2;
}
