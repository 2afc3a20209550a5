/* weir parquet: what is in a Parquet file, without a lake: columns, row groups and their encodings, the first rows. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/iceberg_place.h"
#include "column/row_json.h"
#include "column/text.h"
#include "format/parquet/parquet.h"

#define ROWS_DEFAULT 10
#define CELL_WIDTH   40 /* characters of a cell that people read */

struct shown {
	const char *path;
	struct pq_file *file;
	struct weir_arena *arena;
	struct pq_column_description *columns;
	uint32_t column_count;
	uint64_t rows; /* to be shown */
	uint64_t size_bytes;
};

/* ---- the file ---- */

struct disk_file {
	int fd;
	const char *path;
};

static int read_disk(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	const struct disk_file *file = self;
	for (size_t done = 0; done < size;) {
		ssize_t part = pread(file->fd, (char *)buffer + done, size - done, (off_t)(offset + done));
		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return weir_fail_errno(err, errno, weir_str_from(file->path), "read");
		if (part == 0)
			return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(file->path), offset + done,
				"the file ends here; it was cut while it was read");
		done += (size_t)part;
	}
	return 0;
}

static int open_disk(
	const char *path, struct disk_file *file, struct weir_byte_source *ret_source, struct weir_error *err)
{
	struct stat status;
	*file = (struct disk_file){open(path, O_RDONLY | O_CLOEXEC), path};
	if (file->fd < 0 || fstat(file->fd, &status) != 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open");
	if (!S_ISREG(status.st_mode))
		return weir_fail(err, WEIR_E_INPUT, "%s is not a file", path);
	*ret_source = (struct weir_byte_source){read_disk, file, (uint64_t)status.st_size, weir_str_from(path)};
	return 0;
}

/* ---- minima and maxima ---- */

union cell {
	weir_int128 decimal;
	int64_t i64;
	int32_t i32;
	float f32;
	double f64;
	uint8_t truth;
	struct weir_uuid uuid;
	struct weir_view view;
};

/* A bound as a column of one row, so that it is printed as its column's values are. */
static struct weir_column bound_column(const struct weir_field *field, const struct expr_value *value, union cell *cell)
{
	struct weir_column column = {.type = field->type, .values = cell};
	column.layout = weir_type_is_text(field->type) ? WEIR_VIEW : WEIR_FLAT;
	uint32_t width = weir_type_width(field->type);
	*cell = (union cell){0};
	if (value->kind == EXPR_TEXT)
		cell->view = weir_view_from(value->u.text);
	else if (value->kind == EXPR_BOOLEAN)
		cell->truth = value->u.boolean;
	else if (value->kind == EXPR_UUID)
		cell->uuid = value->u.uuid;
	else if (value->kind == EXPR_NUMBER && width == sizeof(float))
		cell->f32 = (float)value->u.number;
	else if (value->kind == EXPR_NUMBER)
		cell->f64 = value->u.number;
	else if (width == sizeof(weir_int128))
		cell->decimal = value->u.integer;
	else if (width == sizeof(int32_t))
		cell->i32 = (int32_t)value->u.integer;
	else
		cell->i64 = value->u.integer;
	return column;
}

/* ---- JSON ---- */

static void json_columns(struct weir_json *json, const struct shown *shown)
{
	char type[128];
	weir_json_key(json, "columns");
	weir_json_array(json);
	for (uint32_t i = 0; i < shown->column_count; i++) {
		const struct pq_column_description *column = &shown->columns[i];
		weir_json_object(json);
		weir_json_key_string(json, "path", column->path);
		if (column->field->id != 0)
			weir_json_key_int(json, "id", column->field->id);
		weir_json_key_cstring(json, "type", weir_type_name(column->field, type, sizeof type));
		weir_json_key_cstring(json, "physical", column->physical);
		weir_json_key_bool(json, "required", column->field->required);
		weir_json_key_uint(json, "max_definition", column->max_definition);
		weir_json_key_uint(json, "max_repetition", column->max_repetition);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void json_bound(struct weir_json *json, const char *name, const struct weir_field *field, bool has,
	const struct expr_value *value)
{
	union cell cell;
	if (!has)
		return;
	struct weir_column column = bound_column(field, value, &cell);
	weir_json_key(json, name);
	weir_cell_json(json, field, &column, 0);
}

static void json_words(struct weir_json *json, const char *name, struct weir_str text)
{
	weir_json_key(json, name);
	weir_json_array(json);
	for (size_t at = 0, end; at < text.size; at = end + 1) {
		for (end = at; end < text.size && text.data[end] != ' ';)
			end++;
		weir_json_string(json, (struct weir_str){text.data + at, end - at});
	}
	weir_json_array_end(json);
}

static void json_chunk(
	struct weir_json *json, const struct pq_column_description *column, const struct pq_chunk_description *chunk)
{
	weir_json_object(json);
	weir_json_key_string(json, "path", column->path);
	weir_json_key_cstring(json, "codec", chunk->codec);
	json_words(json, "encodings", chunk->encodings);
	weir_json_key_uint(json, "value_count", chunk->value_count);
	if (chunk->bounds.has_null_count)
		weir_json_key_uint(json, "null_count", chunk->bounds.null_count);
	weir_json_key_uint(json, "size_bytes", chunk->size_bytes);
	weir_json_key_uint(json, "plain_bytes", chunk->plain_bytes);
	if (chunk->page_count > 0)
		weir_json_key_uint(json, "pages", chunk->page_count);
	weir_json_key_bool(json, "column_index", chunk->has_column_index);
	weir_json_key_bool(json, "bloom_filter", chunk->has_bloom);
	if (chunk->encrypted)
		weir_json_key_bool(json, "encrypted", true);
	json_bound(json, "min", column->field, chunk->bounds.has_min, &chunk->bounds.min);
	json_bound(json, "max", column->field, chunk->bounds.has_max, &chunk->bounds.max);
	weir_json_object_end(json);
}

static int json_groups(struct weir_json *json, const struct shown *shown, struct weir_error *err)
{
	struct pq_chunk_description chunk;
	int code = 0;
	weir_json_key(json, "row_groups");
	weir_json_array(json);
	for (uint32_t group = 0; group < pq_file_row_group_count(shown->file) && code == 0; group++) {
		weir_json_object(json);
		weir_json_key_uint(json, "row_count", pq_file_row_group_rows(shown->file, group));
		weir_json_key(json, "columns");
		weir_json_array(json);
		for (uint32_t i = 0; i < shown->column_count && code == 0; i++) {
			code = pq_file_describe_chunk(shown->file, group, i, shown->arena, &chunk, err);
			if (code == 0)
				json_chunk(json, &shown->columns[i], &chunk);
		}
		weir_json_array_end(json);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	return code;
}

/* ---- rows ---- */

typedef void row_fn(void *context, const struct weir_batch *batch, uint32_t row);

static int each_row(const struct shown *shown, row_fn *take, void *context, struct weir_error *err)
{
	struct pq_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	uint64_t left = shown->rows;
	if (left == 0)
		return 0;
	int code = pq_reader_open(shown->file, NULL, &reader, err);
	while (code == 0 && left > 0 && (code = pq_reader_next(reader, &batch, NULL, err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count && left > 0; row++, left--)
			take(context, batch, row);
		weir_batch_release(batch);
	}
	pq_reader_close(reader);
	return code;
}

static void json_row(void *context, const struct weir_batch *batch, uint32_t row)
{
	struct weir_json *json = context;
	weir_row_json(json, batch, row);
	fwrite(json->out->data, 1, json->out->size, stdout); /* as they come: rows may be many */
	json->out->size = 0;
}

static int print_json(const struct shown *shown, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "file", shown->path);
	weir_json_key_uint(&json, "size_bytes", shown->size_bytes);
	weir_json_key_uint(&json, "row_count", pq_file_row_count(shown->file));
	weir_json_key_string(&json, "created_by", pq_file_created_by(shown->file));
	json_columns(&json, shown);
	int code = json_groups(&json, shown, err);
	if (code == 0) {
		weir_json_key(&json, "rows");
		weir_json_array(&json);
		code = each_row(shown, json_row, &json, err);
		weir_json_array_end(&json);
		weir_json_object_end(&json);
		weir_buf_putc(&out, '\n');
		if (code == 0)
			fwrite(out.data, 1, out.size, stdout);
	}
	weir_buf_done(&out);
	return code;
}

/* ---- for people ---- */

static void cell_text(struct cli_table *table, const char *text)
{
	cli_table_cell(table, weir_str_from(text));
}

static void cell_number(struct cli_table *table, uint64_t value)
{
	char text[32];
	cli_count_text(value, text);
	cell_text(table, text);
}

static void heads(struct cli_table *table, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cell_text(table, names[i]);
	cli_table_end_row(table);
}

/* Cut after so many characters, with an ellipsis. */
static void cell_cut(struct cli_table *table, struct weir_str text)
{
	size_t end = 0, characters = 0;
	while (end < text.size && characters < CELL_WIDTH) {
		end++;
		while (end < text.size && ((unsigned char)text.data[end] & 0xc0) == 0x80)
			end++;
		characters++;
	}
	if (end == text.size) {
		cli_table_cell(table, text);
		return;
	}
	struct weir_buf cut = WEIR_BUF_INIT;
	weir_buf_append(&cut, text.data, end);
	weir_buf_puts(&cut, "\xe2\x80\xa6");
	cli_table_cell(table, weir_buf_str(&cut));
	weir_buf_done(&cut);
}

static void cell_value(
	struct cli_table *table, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char buffer[WEIR_VALUE_TEXT];
	struct weir_buf out = WEIR_BUF_INIT;
	if (!weir_column_is_valid(column, row)) {
		cell_text(table, "");
	} else if (weir_type_is_nested(field->type) || field->type == WEIR_BINARY || field->type == WEIR_FIXED) {
		struct weir_json json = weir_json_to(&out);
		weir_cell_json(&json, field, column, row);
		cell_cut(table, weir_buf_str(&out));
	} else {
		cell_cut(table, weir_column_text(field, column, row, buffer));
	}
	weir_buf_done(&out);
}

static void cell_bound(
	struct cli_table *table, const struct weir_field *field, bool has, const struct expr_value *value)
{
	union cell cell;
	if (!has) {
		cell_text(table, "");
		return;
	}
	struct weir_column column = bound_column(field, value, &cell);
	cell_value(table, field, &column, 0);
}

static void print_schema(const struct shown *shown)
{
	static const char *const names[] = {"column", "id", "type", "physical", "null"};
	struct cli_table *table = cli_table_new();
	char type[128], id[16];
	heads(table, names, sizeof names / sizeof names[0]);
	for (uint32_t i = 0; i < shown->column_count; i++) {
		const struct pq_column_description *column = &shown->columns[i];
		snprintf(id, sizeof id, "%d", column->field->id);
		cli_table_cell(table, column->path);
		cell_text(table, column->field->id != 0 ? id : "");
		cell_text(table, weir_type_name(column->field, type, sizeof type));
		cell_text(table, column->physical);
		cell_text(table, column->field->required ? "no" : "yes");
		cli_table_end_row(table);
	}
	cli_table_print(table, stdout);
	cli_table_free(table);
}

static int print_group(const struct shown *shown, uint32_t group, struct weir_error *err)
{
	static const char *const names[] = {
		"column", "encodings", "codec", "values", "nulls", "size", "plain", "pages", "bloom", "min", "max"};
	struct cli_table *table = cli_table_new();
	struct pq_chunk_description chunk;
	char size[24], plain[24];
	uint64_t bytes = 0;
	int code = 0;
	heads(table, names, sizeof names / sizeof names[0]);
	for (uint32_t i = 0; i < shown->column_count && code == 0; i++) {
		code = pq_file_describe_chunk(shown->file, group, i, shown->arena, &chunk, err);
		if (code != 0)
			break;
		bytes += chunk.size_bytes;
		cli_bytes_text(chunk.size_bytes, size);
		cli_bytes_text(chunk.plain_bytes, plain);
		cli_table_cell(table, shown->columns[i].path);
		cli_table_cell(table, chunk.encodings);
		cell_text(table, chunk.encrypted ? "(encrypted)" : chunk.codec);
		cell_number(table, chunk.value_count);
		if (chunk.bounds.has_null_count)
			cell_number(table, chunk.bounds.null_count);
		else
			cell_text(table, "");
		cell_text(table, size);
		cell_text(table, plain);
		if (chunk.page_count > 0)
			cell_number(table, chunk.page_count);
		else
			cell_text(table, "");
		cell_text(table, chunk.has_bloom ? "yes" : "");
		cell_bound(table, shown->columns[i].field, chunk.bounds.has_min, &chunk.bounds.min);
		cell_bound(table, shown->columns[i].field, chunk.bounds.has_max, &chunk.bounds.max);
		cli_table_end_row(table);
	}
	if (code == 0) {
		char rows[32];
		cli_count_text(pq_file_row_group_rows(shown->file, group), rows);
		cli_bytes_text(bytes, size);
		printf("\nrow group %u: %s rows, %s\n", group, rows, size);
		cli_table_print(table, stdout);
	}
	cli_table_free(table);
	return code;
}

static void table_row(void *context, const struct weir_batch *batch, uint32_t row)
{
	for (uint32_t i = 0; i < batch->schema->field_count; i++)
		cell_value(context, &batch->schema->fields[i], &batch->columns[i], row);
	cli_table_end_row(context);
}

static int print_text(const struct shown *shown, struct weir_error *err)
{
	const struct weir_schema *schema = pq_file_schema(shown->file);
	struct weir_str by = pq_file_created_by(shown->file);
	char rows[32], size[24];
	int code = 0;
	cli_count_text(pq_file_row_count(shown->file), rows);
	cli_bytes_text(shown->size_bytes, size);
	printf("%s: %s rows, %u row groups, %u columns, %s%s%.*s\n\n", shown->path, rows,
		pq_file_row_group_count(shown->file), shown->column_count, size, by.size > 0 ? ", by " : "",
		WEIR_STR_ARG(by));
	print_schema(shown);
	for (uint32_t group = 0; group < pq_file_row_group_count(shown->file) && code == 0; group++)
		code = print_group(shown, group, err);
	if (code != 0 || shown->rows == 0)
		return code;
	struct cli_table *table = cli_table_new();
	for (uint32_t i = 0; i < schema->field_count; i++)
		cli_table_cell(table, schema->fields[i].name);
	cli_table_end_row(table);
	code = each_row(shown, table_row, table, err);
	if (code == 0) {
		putchar('\n');
		cli_table_print(table, stdout);
	}
	cli_table_free(table);
	return code;
}

int cmd_parquet(const struct cli_args *args)
{
	struct shown shown = {.path = args->words[0], .arena = args->arena};
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_byte_source source = {0};
	struct disk_file disk = {.fd = -1};
	struct store *store = NULL;
	double rows = ROWS_DEFAULT;
	if (!cli_number(args, "--rows", 0, 1e15, &rows))
		return CLI_WRONG_USE;
	int code = strstr(shown.path, "://") != NULL ? cli_object_open(args->arena, shown.path, &store, &source, &err)
						     : open_disk(shown.path, &disk, &source, &err);
	shown.rows = (uint64_t)rows;
	shown.size_bytes = source.size_bytes;
	if (code == 0)
		code = pq_file_open(source, &shown.file, &err);
	if (code == 0) {
		shown.column_count = pq_file_column_count(shown.file);
		shown.columns = weir_arena_calloc(shown.arena, shown.column_count, sizeof *shown.columns);
		for (uint32_t i = 0; i < shown.column_count; i++)
			pq_file_describe_column(shown.file, i, shown.arena, &shown.columns[i]);
		code = cli_flag(args, "--json") ? print_json(&shown, &err) : print_text(&shown, &err);
	}
	pq_file_free(shown.file);
	if (store != NULL) {
		store_source_close(&source);
		store_close(store);
	}
	if (disk.fd >= 0)
		close(disk.fd);
	return code != 0 ? cli_fail(&err) : CLI_DONE;
}
