/*
 * Reading CSV: bytes -> fields -> rows of a builder. The scanner keeps its state between blocks, so a row may lie
 * anywhere in the stream; memory is one block, one row and one batch.
 *
 *   START     at the beginning of a field: a quote opens a quoted one
 *   PLAIN     in an unquoted field, until comma or line end; quotes are characters here
 *   QUOTED    until a quote
 *   CLOSING   after a quote in a quoted field: another one stands for itself; comma or line end closes
 *   RETURN    after the carriage return of a line end behind a closing quote
 *   BROKEN    something else followed a closing quote; the row is bad, its end is the next line end
 */
#include <stdlib.h>

#include "column/builder.h"
#include "format/csv/csv.h"

#define CSV_BLOCK_BYTES   65536
#define CSV_PROBLEM_BYTES 1000
#define CSV_BATCH_BYTES   (16U << 20) /* text of a batch: a row more may pass it */

enum state { START, PLAIN, QUOTED, CLOSING, RETURN, BROKEN };

struct field_end {
	size_t end; /* in row.text */
	bool quoted;
};

/* The row being scanned. */
struct row {
	struct weir_buf text; /* fields one after the other, quotes resolved */
	struct field_end *fields;
	uint32_t count, capacity;
	size_t field_start;
	bool quoted;
	const char *problem;
	uint64_t line, offset, size_bytes;
	size_t raw_size;
	char raw[CSV_PROBLEM_BYTES];
};

struct csv_reader {
	struct weir_byte_reader from;
	struct weir_str name;
	char *block;
	size_t block_at, block_size;
	uint64_t offset, line; /* of the next byte; lines from 1 */
	bool ended;
	enum state state;
	struct row row;
	struct weir_arena *arena; /* of name and schema */
	struct weir_schema schema;
	struct weir_builder *builder;
	struct weir_arena *problem_arena;
	struct csv_problem *problems;
	uint32_t problem_count;
	uint64_t lines[WEIR_BATCH_ROWS];
};

static int refill(struct csv_reader *reader, struct weir_error *err)
{
	reader->block_at = reader->block_size = 0;
	int code = reader->from.read(reader->from.self, reader->block, CSV_BLOCK_BYTES, &reader->block_size, err);
	reader->ended = code == 0 && reader->block_size == 0;
	return code;
}

static void begin_row(struct csv_reader *reader)
{
	struct row *row = &reader->row;
	row->text.size = row->field_start = row->raw_size = 0;
	row->count = 0;
	row->quoted = false;
	row->problem = NULL;
	row->line = reader->line;
	row->offset = reader->offset;
	row->size_bytes = 0;
	reader->state = START;
}

static void end_field(struct row *row)
{
	/* Fields beyond any header are counted but need no place. */
	if (row->count <= CSV_MAX_COLUMNS) {
		WEIR_GROW(row->fields, row->count, row->capacity);
		row->fields[row->count] = (struct field_end){row->text.size, row->quoted};
		row->count++;
	}
	row->field_start = row->text.size;
	row->quoted = false;
}

/* The carriage return of CRLF has been taken as the last character of an unquoted field. */
static void drop_return(struct csv_reader *reader)
{
	struct row *row = &reader->row;
	if (reader->state == PLAIN && row->text.size > row->field_start && row->text.data[row->text.size - 1] == '\r')
		row->text.size--;
}

/* Bytes of the block that belong to the current state: all up to, not including, the next that matters. */
static size_t plain_run(enum state state, const char *p, size_t left)
{
	if (state == QUOTED) {
		const char *quote = memchr(p, '"', left);
		return quote != NULL ? (size_t)(quote - p) : left;
	}
	size_t size = 0;
	while (size < left && p[size] != ',' && p[size] != '\n')
		size++;
	return size;
}

/* One byte that matters. True at the end of a row. */
static bool scan_byte(struct csv_reader *reader, char c)
{
	struct row *row = &reader->row;
	switch (reader->state) {
	case START:
		if (c == '"') {
			row->quoted = true;
			reader->state = QUOTED;
			return false;
		}
		reader->state = PLAIN;
		break;
	case PLAIN:
		break;
	case QUOTED:
		reader->state = CLOSING;
		return false;
	case CLOSING:
	case RETURN:
		if (c == '"' && reader->state == CLOSING) {
			weir_buf_putc(&row->text, '"');
			reader->state = QUOTED;
			return false;
		}
		if (c == '\r' && reader->state == CLOSING) {
			reader->state = RETURN;
			return false;
		}
		if (c != '\n' && (c != ',' || reader->state == RETURN)) {
			row->problem = "text follows a closing quote: double the quotes inside a field";
			reader->state = BROKEN;
			return false;
		}
		break;
	case BROKEN:
		break;
	}
	if (c == '\n') {
		drop_return(reader);
		end_field(row);
		return true;
	}
	if (c == ',') {
		end_field(row);
		reader->state = START;
	} else {
		weir_buf_putc(&row->text, c);
	}
	return false;
}

static void keep_raw(struct csv_reader *reader, const char *p, size_t size)
{
	struct row *row = &reader->row;
	size_t room = CSV_PROBLEM_BYTES - row->raw_size;
	size_t kept = size < room ? size : room;
	memcpy(row->raw + row->raw_size, p, kept);
	row->raw_size += kept;
	row->size_bytes += size;
	reader->offset += size;
	for (const char *q = p; (q = memchr(q, '\n', (size_t)(p + size - q))) != NULL; q++)
		reader->line++;
}

static int check_limits(const struct csv_reader *reader, struct weir_error *err)
{
	const struct row *row = &reader->row;
	if (row->text.size - row->field_start > CSV_MAX_FIELD_BYTES)
		return weir_fail_at(err, WEIR_E_LIMIT, reader->name, row->offset,
			"a field of line %llu is larger than 1 MiB: is a quote not closed?",
			(unsigned long long)row->line);
	if (row->size_bytes > CSV_MAX_ROW_BYTES)
		return weir_fail_at(err, WEIR_E_LIMIT, reader->name, row->offset, "line %llu is larger than 16 MiB",
			(unsigned long long)row->line);
	return 0;
}

/* Scans one row; *ret_row false at the end of the stream. */
static int scan_row(struct csv_reader *reader, bool *ret_row, struct weir_error *err)
{
	struct row *row = &reader->row;
	int code = 0;
	begin_row(reader);
	for (bool done = false; !done;) {
		if (reader->block_at == reader->block_size && (code = refill(reader, err)) != 0)
			return code;
		if (reader->ended) {
			*ret_row = row->size_bytes > 0;
			if (reader->state == QUOTED)
				row->problem = "a quote is not closed";
			drop_return(reader);
			end_field(row);
			return 0;
		}
		const char *p = reader->block + reader->block_at;
		size_t left = reader->block_size - reader->block_at, size = 0;
		if (reader->state == PLAIN || reader->state == QUOTED || reader->state == BROKEN) {
			size = plain_run(reader->state, p, left);
			if (size > CSV_MAX_FIELD_BYTES)
				size = CSV_MAX_FIELD_BYTES;
			if (reader->state != BROKEN)
				weir_buf_append(&row->text, p, size);
		}
		if (size == 0)
			done = scan_byte(reader, p[size++]);
		keep_raw(reader, p, size);
		reader->block_at += size;
		if ((code = check_limits(reader, err)) != 0)
			return code;
	}
	*ret_row = true;
	return 0;
}

static struct weir_str row_field(const struct row *row, uint32_t index)
{
	size_t start = index > 0 ? row->fields[index - 1].end : 0;
	return (struct weir_str){row->text.data + start, row->fields[index].end - start};
}

/* A line with nothing on it. */
static bool is_blank(const struct row *row)
{
	return row->count == 1 && !row->fields[0].quoted && row->text.size == 0;
}

static int skip_byte_order_mark(struct csv_reader *reader, struct weir_error *err)
{
	int code = refill(reader, err);
	if (code != 0)
		return code;
	/* A first read may be short; a mark is three bytes. */
	while (reader->block_size > 0 && reader->block_size < 3 && reader->block[0] == '\xef') {
		size_t more = 0;
		code = reader->from.read(reader->from.self, reader->block + reader->block_size,
			CSV_BLOCK_BYTES - reader->block_size, &more, err);
		if (code != 0)
			return code;
		if (more == 0)
			break;
		reader->block_size += more;
	}
	if (reader->block_size >= 3 && memcmp(reader->block, "\xef\xbb\xbf", 3) == 0)
		reader->block_at = reader->offset = 3;
	return 0;
}

static int read_header(struct csv_reader *reader, struct weir_error *err)
{
	struct row *row = &reader->row;
	bool there = true;
	int code = skip_byte_order_mark(reader, err);
	do {
		if (code == 0)
			code = scan_row(reader, &there, err);
		if (code != 0)
			return code;
	} while (there && is_blank(row));
	if (!there)
		return weir_fail_at(err, WEIR_E_INPUT, reader->name, 0, "is empty: the first line names the columns");
	if (row->problem != NULL)
		return weir_fail_at(
			err, WEIR_E_INPUT, reader->name, row->offset, "the header is broken: %s", row->problem);
	if (row->count > CSV_MAX_COLUMNS)
		return weir_fail_at(err, WEIR_E_LIMIT, reader->name, row->offset, "has more than 4,096 columns");
	reader->schema.field_count = row->count;
	reader->schema.fields = weir_arena_calloc(reader->arena, row->count, sizeof *reader->schema.fields);
	for (uint32_t i = 0; i < row->count; i++) {
		struct weir_str name = weir_arena_str(reader->arena, row_field(row, i));
		if (name.size == 0 || !weir_utf8_valid(name))
			return weir_fail_at(err, WEIR_E_INPUT, reader->name, row->offset,
				"column %u has %s: give each column a name", i + 1,
				name.size == 0 ? "no name" : "a name that is not UTF-8");
		reader->schema.field_count = i;
		if (weir_schema_find(&reader->schema, name) != WEIR_NO_FIELD)
			return weir_fail_at(err, WEIR_E_INPUT, reader->name, row->offset,
				"column %u has the name of another: rename one of them", i + 1);
		reader->schema.fields[i] = (struct weir_field){.name = name, .type = WEIR_STRING};
	}
	reader->schema.field_count = row->count;
	return 0;
}

int csv_reader_open(
	struct weir_byte_reader from, struct weir_str name, struct csv_reader **ret_reader, struct weir_error *err)
{
	struct csv_reader *reader = weir_zalloc(sizeof *reader);
	reader->from = from;
	reader->arena = weir_arena_new(4096);
	reader->name = weir_arena_str(reader->arena, name);
	reader->block = weir_alloc(CSV_BLOCK_BYTES);
	reader->problem_arena = weir_arena_new(4096);
	reader->line = 1;
	int code = read_header(reader, err);
	if (code != 0) {
		csv_reader_close(reader);
		return code;
	}
	reader->builder = weir_builder_new(&reader->schema);
	reader->problems = weir_alloc(WEIR_BATCH_ROWS * sizeof *reader->problems);
	*ret_reader = reader;
	return 0;
}

void csv_reader_close(struct csv_reader *reader)
{
	if (reader == NULL)
		return;
	weir_builder_free(reader->builder);
	weir_arena_free(reader->arena);
	weir_arena_free(reader->problem_arena);
	weir_buf_done(&reader->row.text);
	free(reader->row.fields);
	free(reader->problems);
	free(reader->block);
	free(reader);
}

const struct weir_schema *csv_reader_schema(const struct csv_reader *reader)
{
	return &reader->schema;
}

/* The row's values into the builder, or its problem. */
static void keep_row(struct csv_reader *reader)
{
	struct row *row = &reader->row;
	if (row->problem == NULL && row->count != reader->schema.field_count)
		row->problem = row->count < reader->schema.field_count ? "has fewer fields than the header"
								       : "has more fields than the header";
	if (row->problem == NULL && !weir_utf8_valid(weir_buf_str(&row->text)))
		row->problem = "is not UTF-8";
	if (row->problem != NULL) {
		struct weir_str raw = {row->raw, row->raw_size};
		while (row->size_bytes == raw.size && raw.size > 0 && strchr("\r\n", raw.data[raw.size - 1]) != NULL &&
			raw.data[raw.size - 1] != '\0')
			raw.size--, row->size_bytes--;
		reader->problems[reader->problem_count++] = (struct csv_problem){
			row->line, row->offset, row->problem, weir_arena_str(reader->problem_arena, raw)};
		return;
	}
	for (uint32_t i = 0; i < row->count; i++) {
		struct weir_str value = row_field(row, i);
		if (value.size > 0 || row->fields[i].quoted)
			weir_builder_str(reader->builder, i, value);
	}
	reader->lines[weir_builder_rows(reader->builder)] = row->line;
	weir_builder_end_row(reader->builder);
}

static void release_empty(struct weir_batch *batch)
{
	weir_arena_free(batch->owner);
}

static struct weir_batch *empty_batch(const struct weir_schema *schema)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct weir_batch *batch = weir_batch_new(arena, schema, 1);
	batch->row_count = 0;
	batch->owner = arena;
	batch->release = release_empty;
	return batch;
}

int csv_reader_next(struct csv_reader *reader, struct weir_batch **ret_batch, struct weir_error *err)
{
	bool there = true;
	size_t bytes = 0;
	reader->problem_count = 0;
	weir_arena_reset(reader->problem_arena);
	while (!weir_builder_full(reader->builder) && reader->problem_count < WEIR_BATCH_ROWS &&
		bytes < CSV_BATCH_BYTES) {
		int code = scan_row(reader, &there, err);
		if (code != 0)
			return code;
		if (!there)
			break;
		bytes += reader->row.text.size;
		if (!is_blank(&reader->row) || reader->row.problem != NULL)
			keep_row(reader);
	}
	*ret_batch = weir_builder_take(reader->builder);
	if (*ret_batch == NULL && reader->problem_count > 0)
		*ret_batch = empty_batch(&reader->schema);
	return 0;
}

uint32_t csv_reader_problems(const struct csv_reader *reader, const struct csv_problem **ret_problems)
{
	*ret_problems = reader->problems;
	return reader->problem_count;
}

uint64_t csv_reader_line(const struct csv_reader *reader, uint32_t row)
{
	WEIR_ASSERT(row < WEIR_BATCH_ROWS);
	return reader->lines[row];
}
