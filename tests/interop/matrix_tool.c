/*
 * Weir's side of the matrix (tests/interop/matrix.tsv): writes the tables that matrix_tables.py describes, and reads
 * any.
 *
 *   matrix_tool write DIR NS TABLE           steps on standard input, a JSON array of
 *                                              {"create": METADATA}            schema and specs, as metadata.json says
 * them
 *                                              {"append": ROWS, "spec": ID}    an array of objects by column name
 *                                              {"evolve": METADATA}            a column more, a partition spec
 *                                              {"revise": METADATA}            any other schema
 *                                              {"upgrade": VERSION}            of the format
 *                                              {"delete": WHERE}               as in QUERY: by deletion vectors, or new
 * files before format 3 matrix_tool rows DIR NS TABLE [QUERY]    rows as NDJSON; QUERY: {"snapshot": ID, "where":
 * [[COLUMN, OP, VALUE...]...]} matrix_tool files DIR NS TABLE           one {"path", "spec", "rows", "deletes"} a live
 * data file
 *
 * DIR holds control.db and warehouse. Values, both ways: dates are days, times microseconds, decimals texts, binary
 * hexadecimal, NaN and the infinities "nan", "inf", "-inf", maps arrays of [key, value].
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/rng.h"
#include "base/uuid.h"
#include "iceberg/puffin.h"
#include "iceberg/table.h"

#define START_MS 1738396800000 /* 2025-02-01T08:00:00Z */

struct tool {
	struct weir_arena *arena;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	struct ice_name name;
	int64_t now_ms;
};

static _Noreturn void quit(const char *problem)
{
	fprintf(stderr, "matrix_tool: %s\n", problem);
	exit(1);
}

static void need(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		quit(weir_error_text(err, text, sizeof text));
}

static void tool_open(struct tool *tool, const char *dir, const char *ns, const char *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*tool = (struct tool){.arena = weir_arena_new(0),
		.cache = ice_cache_new(16U << 20),
		.name = {weir_str_from(ns), weir_str_from(table)},
		.now_ms = START_MS};
	struct control_options options = {.url = weir_arena_printf(tool->arena, "%s/control.db", dir)};
	need(store_local_open(weir_os_real(), weir_arena_printf(tool->arena, "%s/warehouse", dir), &tool->store, &err),
		&err);
	need(control_open(&options, &tool->control, &err), &err);
}

static void tool_close(struct tool *tool)
{
	control_close(tool->control);
	ice_cache_free(tool->cache);
	store_close(tool->store);
	weir_arena_free(tool->arena);
}

static struct ice_table *load(struct tool *tool)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	need(ice_table_load(tool->store, tool->control, tool->cache, tool->name, &table, &err), &err);
	return table;
}

/* ---- values in ---- */

static struct weir_str hex_bytes(struct weir_arena *arena, const char *text)
{
	size_t size = strlen(text) / 2;
	uint8_t *bytes = weir_arena_calloc(arena, size + 1, 1);
	for (size_t i = 0; i < size; i++) {
		unsigned byte;
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			quit("a binary value is not hexadecimal");
		bytes[i] = (uint8_t)byte;
	}
	return (struct weir_str){(const char *)bytes, size};
}

/* The digits of a decimal whose text has as many places as its type. */
static weir_int128 unscaled(const char *text)
{
	weir_int128 value = 0;
	for (const char *at = text; *at != '\0'; at++)
		if (*at >= '0' && *at <= '9')
			value = value * 10 + (*at - '0');
	return *text == '-' ? -value : value;
}

static double number(const json_t *value)
{
	const char *text = json_string_value(value);
	if (text == NULL)
		return json_number_value(value);
	return strcmp(text, "nan") == 0 ? (double)NAN : *text == '-' ? -(double)INFINITY : (double)INFINITY;
}

static void fill_cell(struct weir_arena *arena, struct weir_column *column, uint32_t row, const json_t *value)
{
	const char *text = json_string_value(value);
	switch (column->type) {
	case WEIR_BOOL:
		((uint8_t *)column->values)[row] = json_is_true(value);
		break;
	case WEIR_INT32:
	case WEIR_DATE:
		((int32_t *)column->values)[row] = (int32_t)json_integer_value(value);
		break;
	case WEIR_FLOAT:
		((float *)column->values)[row] = (float)number(value);
		break;
	case WEIR_DOUBLE:
		((double *)column->values)[row] = number(value);
		break;
	case WEIR_DECIMAL:
		((weir_int128 *)column->values)[row] = unscaled(text);
		break;
	case WEIR_UUID:
		if (!weir_uuid_parse(weir_str_from(text), &((struct weir_uuid *)column->values)[row]))
			quit("a value is not a UUID");
		break;
	case WEIR_STRING:
		((struct weir_view *)column->values)[row] = weir_view_from(weir_arena_str(arena, weir_str_from(text)));
		break;
	case WEIR_FIXED:
	case WEIR_BINARY:
		((struct weir_view *)column->values)[row] = weir_view_from(hex_bytes(arena, text));
		break;
	default:
		((int64_t *)column->values)[row] = json_integer_value(value);
	}
}

static void fill_column(struct weir_arena *arena, const struct weir_field *field, json_t *const *values, uint32_t count,
	struct weir_column *ret_column);

/* Lists and maps: the entries of all rows, one after the other, become the children. */
static void fill_spans(struct weir_arena *arena, const struct weir_field *field, json_t *const *values, uint32_t count,
	struct weir_column *column)
{
	struct weir_span *spans = weir_arena_calloc(arena, count, sizeof *spans);
	uint32_t total = 0;
	for (uint32_t r = 0; r < count; r++) {
		spans[r] = (struct weir_span){total, json_array_size(values[r])};
		total += (uint32_t)spans[r].length;
	}
	column->values = spans;
	column->child_rows = total;
	json_t **inner = weir_arena_calloc(arena, total, sizeof *inner);
	for (uint32_t c = 0; c < field->child_count; c++) {
		for (uint32_t r = 0, at = 0; r < count; r++)
			for (size_t i = 0; i < spans[r].length; i++, at++) {
				json_t *entry = json_array_get(values[r], i);
				inner[at] = field->type == WEIR_MAP ? json_array_get(entry, c) : entry;
			}
		fill_column(arena, &field->children[c], inner, total, &column->children[c]);
	}
}

static void fill_group(struct weir_arena *arena, const struct weir_field *field, json_t *const *values, uint32_t count,
	struct weir_column *column)
{
	json_t **inner = weir_arena_calloc(arena, count, sizeof *inner);
	for (uint32_t c = 0; c < field->child_count; c++) {
		const char *name = weir_arena_printf(arena, "%.*s", WEIR_STR_ARG(field->children[c].name));
		for (uint32_t r = 0; r < count; r++)
			inner[r] = json_object_get(values[r], name);
		fill_column(arena, &field->children[c], inner, count, &column->children[c]);
	}
}

/* values[r] NULL or JSON's null: the row is null. */
static void fill_column(struct weir_arena *arena, const struct weir_field *field, json_t *const *values, uint32_t count,
	struct weir_column *ret_column)
{
	*ret_column = (struct weir_column){.type = field->type,
		.layout = weir_type_is_text(field->type)   ? WEIR_VIEW
			: field->type == WEIR_STRUCT       ? WEIR_GROUP
			: weir_type_is_nested(field->type) ? WEIR_SPAN
							   : WEIR_FLAT,
		.valid = weir_validity_new(arena, count),
		.child_count = field->child_count,
		.children = weir_arena_calloc(arena, field->child_count, sizeof *ret_column->children)};
	if (field->type == WEIR_STRUCT)
		fill_group(arena, field, values, count, ret_column);
	else if (weir_type_is_nested(field->type))
		fill_spans(arena, field, values, count, ret_column);
	else
		ret_column->values = weir_arena_calloc(arena, count, weir_type_width(field->type));
	for (uint32_t r = 0; r < count; r++)
		if (values[r] == NULL || json_is_null(values[r]))
			weir_column_set_null(ret_column, r);
		else if (!weir_type_is_nested(field->type))
			fill_cell(arena, ret_column, r, values[r]);
}

static struct weir_batch *batch_of(struct weir_arena *arena, const struct weir_schema *schema, const json_t *rows)
{
	uint32_t count = (uint32_t)json_array_size(rows);
	struct weir_batch *batch = weir_arena_calloc(arena, 1, sizeof *batch);
	json_t **values = weir_arena_calloc(arena, count, sizeof(json_t *));
	if (count > WEIR_BATCH_ROWS)
		quit("more rows in one append than a batch holds");
	*batch = (struct weir_batch){.schema = schema,
		.row_count = count,
		.columns = weir_arena_calloc(arena, schema->field_count, sizeof *batch->columns)};
	for (uint32_t c = 0; c < schema->field_count; c++) {
		const char *name = weir_arena_printf(arena, "%.*s", WEIR_STR_ARG(schema->fields[c].name));
		for (uint32_t r = 0; r < count; r++)
			values[r] = json_object_get(json_array_get(rows, r), name);
		fill_column(arena, &schema->fields[c], values, count, &batch->columns[c]);
	}
	return batch;
}

/* ---- writing ---- */

static void commit(struct tool *tool, struct control_change *change)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	need(control_commit(tool->control, change, &result, &err), &err);
	if (result.outcome != CONTROL_DONE)
		quit("the commit met a conflict");
	control_change_free(change);
}

static struct ice_definition definition_of(struct tool *tool, const json_t *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_metadata *metadata;
	char *text = json_dumps(json, 0);
	need(ice_metadata_parse(tool->arena, weir_str_from(text), WEIR_STR("the definition"), &metadata, &err), &err);
	free(text);
	return (struct ice_definition){.name = tool->name,
		.schema = ice_metadata_current_schema(metadata),
		.specs = metadata->specs,
		.spec_count = metadata->spec_count,
		.default_spec_id = metadata->default_spec_id,
		.location = weir_str_from(weir_arena_printf(
			tool->arena, "%.*s/%.*s", WEIR_STR_ARG(tool->name.ns), WEIR_STR_ARG(tool->name.table)))};
}

static struct weir_str new_prefix(struct tool *tool)
{
	uint64_t random;
	weir_random_bytes((uint8_t *)&random, sizeof random);
	return weir_str_from(weir_arena_printf(tool->arena, "%016" PRIx64, random));
}

static void stage(struct tool *tool, struct ice_prepared *prepared)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(prepared, change);
	commit(tool, change);
	ice_prepared_free(prepared);
}

static void create(struct tool *tool, const json_t *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_definition definition = definition_of(tool, json);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	need(ice_table_create(tool->store, &definition, tool->now_ms, change, &err), &err);
	commit(tool, change);
}

static void evolve(struct tool *tool, const json_t *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_definition definition = definition_of(tool, json);
	struct ice_table *table = load(tool);
	struct ice_prepared *prepared;
	need(ice_evolve(table, &definition, new_prefix(tool), tool->now_ms, &prepared, &err), &err);
	stage(tool, prepared);
	ice_table_unref(table);
}

/* What a table is to become: another schema, or a higher format version. */
struct revision {
	const struct weir_schema *schema;
	int32_t last_column_id, format_version;
};

static int revise_table(void *context, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err)
{
	const struct revision *revision = context;
	(void)err;
	if (revision->format_version > 0)
		next->format_version = revision->format_version;
	if (revision->schema == NULL)
		return 0;
	next->schemas = weir_arena_calloc(arena, base->schema_count + 1, sizeof *next->schemas);
	memcpy(next->schemas, base->schemas, base->schema_count * sizeof *next->schemas);
	for (uint32_t i = 0; i < base->schema_count; i++)
		if (base->schemas[i].id >= next->current_schema_id)
			next->current_schema_id = base->schemas[i].id + 1;
	next->schemas[next->schema_count] = *weir_schema_copy(arena, revision->schema);
	next->schemas[next->schema_count++].id = next->current_schema_id;
	next->last_column_id = revision->last_column_id;
	return 0;
}

static void revise(struct tool *tool, struct revision revision)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(tool);
	struct ice_prepared *prepared;
	need(ice_revise(table, revise_table, &revision, new_prefix(tool), tool->now_ms, &prepared, &err), &err);
	stage(tool, prepared);
	ice_table_unref(table);
}

static void append(struct tool *tool, const json_t *rows, int32_t spec_id)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(tool);
	struct ice_write_options options = {
		.spec_id = spec_id, .prefix = new_prefix(tool), .codec = CODEC_ZSTD, .level = 1};
	struct ice_writer *writer;
	struct ice_written written;
	struct ice_prepared *prepared;
	need(ice_writer_open(table, &options, &writer, &err), &err);
	need(ice_writer_add(writer, batch_of(tool->arena, ice_table_schema(table), rows), NULL, &err), &err);
	need(ice_writer_close(writer, &written, &err), &err);
	need(store_barrier(tool->store, written.handles, written.count, &err), &err);
	struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.added = written.files,
		.added_count = written.count,
		.prefix = new_prefix(tool),
		.now_ms = tool->now_ms};
	need(ice_prepare(table, &edit, &prepared, &err), &err);
	stage(tool, prepared);
	ice_written_free(&written);
	ice_table_unref(table);
}

/* ---- values out ---- */

static void put_double(struct weir_json *json, double value)
{
	if (isfinite(value))
		weir_json_double(json, value);
	else
		weir_json_cstring(json, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
}

static void put_decimal(struct weir_json *json, const struct weir_field *field, weir_int128 value)
{
	char digits[64], text[80];
	size_t count = 0, size = 0;
	bool negative = value < 0;
	for (weir_int128 rest = negative ? -value : value; rest > 0 || count <= field->scale; rest /= 10)
		digits[count++] = (char)('0' + (int)(rest % 10));
	if (negative)
		text[size++] = '-';
	while (count > 0) {
		text[size++] = digits[--count];
		if (count == field->scale && count > 0)
			text[size++] = '.';
	}
	weir_json_string(json, (struct weir_str){text, size});
}

static void put_hex(struct weir_json *json, struct weir_str bytes)
{
	struct weir_buf text = WEIR_BUF_INIT;
	for (size_t i = 0; i < bytes.size; i++)
		weir_buf_printf(&text, "%02x", (uint8_t)bytes.data[i]);
	weir_json_string(json, (struct weir_str){text.data, text.size});
	weir_buf_done(&text);
}

static void put_cell(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row);

static void put_span(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	struct weir_span span = ((const struct weir_span *)column->values)[row];
	weir_json_array(json);
	for (uint64_t i = span.offset; i < span.offset + span.length; i++) {
		if (field->type == WEIR_MAP)
			weir_json_array(json);
		for (uint32_t c = 0; c < field->child_count; c++)
			put_cell(json, &field->children[c], &column->children[c], (uint32_t)i);
		if (field->type == WEIR_MAP)
			weir_json_array_end(json);
	}
	weir_json_array_end(json);
}

static void put_cell(
	struct weir_json *json, const struct weir_field *field, const struct weir_column *column, uint32_t row)
{
	char text[64];
	if (!weir_column_is_valid(column, row)) {
		weir_json_null(json);
		return;
	}
	switch (field->type) {
	case WEIR_BOOL:
		weir_json_bool(json, ((const uint8_t *)column->values)[row] != 0);
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		put_double(json, weir_column_double(column, row));
		break;
	case WEIR_DECIMAL: {
		weir_int128 value;
		memcpy(&value, (const char *)column->values + (size_t)row * 16, 16);
		put_decimal(json, field, value);
		break;
	}
	case WEIR_UUID:
		weir_uuid_format(&((const struct weir_uuid *)column->values)[row], text);
		weir_json_cstring(json, text);
		break;
	case WEIR_STRING:
		weir_json_string(json, weir_column_str(column, row));
		break;
	case WEIR_BINARY:
	case WEIR_FIXED:
		put_hex(json, weir_column_str(column, row));
		break;
	case WEIR_MAP:
	case WEIR_LIST:
		put_span(json, field, column, row);
		break;
	case WEIR_STRUCT:
		weir_json_object(json);
		for (uint32_t c = 0; c < field->child_count; c++) {
			weir_json_key_str(json, field->children[c].name);
			put_cell(json, &field->children[c], &column->children[c], row);
		}
		weir_json_object_end(json);
		break;
	default:
		weir_json_int(json, weir_column_i64(column, row));
	}
}

/* ---- reading ---- */

static struct expr_value literal(struct weir_arena *arena, enum weir_type type, const json_t *value)
{
	struct expr_value result = {.kind = EXPR_INTEGER};
	if (type == WEIR_STRING) {
		result = (struct expr_value){
			EXPR_TEXT, {.text = weir_arena_str(arena, weir_str_from(json_string_value(value)))}};
	} else if (type == WEIR_FLOAT || type == WEIR_DOUBLE) {
		result = (struct expr_value){EXPR_NUMBER, {.number = number(value)}};
	} else if (type == WEIR_BOOL) {
		result = (struct expr_value){EXPR_BOOLEAN, {.boolean = json_is_true(value)}};
	} else if (type == WEIR_UUID) {
		result.kind = EXPR_UUID;
		if (!weir_uuid_parse(weir_str_from(json_string_value(value)), &result.u.uuid))
			quit("a literal is not a UUID");
	} else if (type == WEIR_DECIMAL) {
		result.u.integer = (int64_t)unscaled(json_string_value(value));
	} else {
		result.u.integer = json_integer_value(value);
	}
	return result;
}

static struct expr_filter filter_of(struct weir_arena *arena, const struct weir_schema *schema, const json_t *where)
{
	static const char *const names[] = {"=", "<>", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"};
	struct expr_term *terms = weir_arena_calloc(arena, json_array_size(where), sizeof *terms);
	for (size_t i = 0; i < json_array_size(where); i++) {
		const json_t *term = json_array_get(where, i);
		const char *op = json_string_value(json_array_get(term, 1));
		uint32_t column = weir_schema_find(schema, weir_str_from(json_string_value(json_array_get(term, 0))));
		if (column == WEIR_NO_FIELD)
			quit("the filter names no column of the table");
		uint32_t count = (uint32_t)json_array_size(term) - 2;
		struct expr_value *values = weir_arena_calloc(arena, count, sizeof *values);
		for (uint32_t v = 0; v < count; v++)
			values[v] = literal(arena, schema->fields[column].type, json_array_get(term, v + 2));
		expr_values_sort(values, count);
		unsigned at = 0;
		while (at < 10 && strcmp(names[at], op) != 0)
			at++;
		if (at == 10)
			quit("the filter has an unknown comparison");
		terms[i] = (struct expr_term){schema->fields[column].id, (enum expr_op)at, values, count};
	}
	return (struct expr_filter){terms, (uint32_t)json_array_size(where)};
}

static void print_batch(const struct weir_batch *batch, const struct expr_filter *filter)
{
	uint8_t truth[WEIR_BATCH_ROWS];
	struct weir_buf out = WEIR_BUF_INIT;
	expr_filter_batch(filter, batch, truth);
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (truth[row] != EXPR_TRUE)
			continue;
		struct weir_json json = weir_json_to(&out);
		weir_json_object(&json);
		for (uint32_t c = 0; c < batch->schema->field_count; c++) {
			weir_json_key_str(&json, batch->schema->fields[c].name);
			put_cell(&json, &batch->schema->fields[c], &batch->columns[c], row);
		}
		weir_json_object_end(&json);
		weir_buf_putc(&out, '\n');
	}
	fwrite(out.data, 1, out.size, stdout);
	weir_buf_done(&out);
}

static void print_rows(struct tool *tool, const char *query_text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *query = json_loads(query_text, 0, NULL);
	struct ice_table *table = load(tool);
	struct expr_filter filter = filter_of(tool->arena, ice_table_schema(table), json_object_get(query, "where"));
	struct ice_file_list *list;
	struct ice_reader *reader;
	struct weir_batch *batch;
	int64_t snapshot = -1;
	if (json_object_get(query, "snapshot") != NULL)
		snapshot = json_integer_value(json_object_get(query, "snapshot"));
	need(ice_plan(table, snapshot, &filter, &list, &err), &err);
	need(ice_reader_open(table, list->files, list->count, NULL, &filter, &reader, &err), &err);
	for (;;) {
		need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		print_batch(batch, &filter);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(list);
	ice_table_unref(table);
	json_decref(query);
}

static void print_files(struct tool *tool)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(tool);
	struct ice_file_list *list;
	need(ice_plan(table, -1, NULL, &list, &err), &err);
	struct weir_buf out = WEIR_BUF_INIT;
	for (uint32_t i = 0; i < list->count; i++) {
		struct weir_json json = weir_json_to(&out);
		weir_json_object(&json);
		weir_json_key_str(&json, WEIR_STR("path"));
		weir_json_string(&json, list->files[i]->path);
		weir_json_key_str(&json, WEIR_STR("spec"));
		weir_json_int(&json, list->files[i]->spec_id);
		weir_json_key_str(&json, WEIR_STR("rows"));
		weir_json_int(&json, list->files[i]->record_count);
		weir_json_key_str(&json, WEIR_STR("deletes"));
		weir_json_int(&json, list->files[i]->delete_count);
		weir_json_object_end(&json);
		weir_buf_putc(&out, '\n');
	}
	fwrite(out.data, 1, out.size, stdout);
	weir_buf_done(&out);
	ice_file_list_free(list);
	ice_table_unref(table);
}

/* ---- deleting ---- */

/* Positions of the rows of one file that meet the filter, added to what is deleted of it already. */
static struct ice_positions *positions_of(struct ice_table *table, const struct ice_data_file *file,
	const struct expr_filter *filter, const struct weir_schema *projection, bool *ret_changed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_positions *positions;
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint8_t truth[WEIR_BATCH_ROWS];
	*ret_changed = false;
	need(ice_file_deleted_positions(table, file, &positions, &err), &err);
	need(ice_reader_open(table, &file, 1, projection, NULL, &reader, &err), &err);
	for (;;) {
		need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		expr_filter_batch(filter, batch, truth);
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (truth[row] == EXPR_TRUE) {
				int64_t position =
					weir_column_i64(&batch->columns[batch->schema->field_count - 1], row);
				ice_positions_add(positions, (uint64_t)position);
				*ret_changed = true;
			}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return positions;
}

/* Before format 3: files that hold such rows give way to new ones of their other rows. */
static void rewrite_rows(struct tool *tool, const json_t *where)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(tool);
	struct expr_filter filter = filter_of(tool->arena, ice_table_schema(table), where);
	struct ice_write_options options = {.spec_id = ice_table_metadata(table)->default_spec_id,
		.prefix = new_prefix(tool),
		.codec = CODEC_ZSTD,
		.level = 1};
	struct ice_file_list *list;
	struct ice_reader *reader;
	struct ice_writer *writer;
	struct ice_written written;
	struct ice_prepared *prepared;
	struct weir_batch *batch;
	uint8_t truth[WEIR_BATCH_ROWS];
	uint16_t rows[WEIR_BATCH_ROWS];
	need(ice_plan(table, -1, NULL, &list, &err), &err);
	struct weir_str *removed = weir_arena_calloc(tool->arena, list->count, sizeof *removed);
	for (uint32_t i = 0; i < list->count; i++)
		removed[i] = list->files[i]->path;
	need(ice_writer_open(table, &options, &writer, &err), &err);
	need(ice_reader_open(table, list->files, list->count, NULL, NULL, &reader, &err), &err);
	for (;;) {
		need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		struct weir_selection kept = {rows, 0};
		expr_filter_batch(&filter, batch, truth);
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (truth[row] != EXPR_TRUE)
				rows[kept.count++] = (uint16_t)row;
		if (kept.count > 0)
			need(ice_writer_add(writer, batch, &kept, &err), &err);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	need(ice_writer_close(writer, &written, &err), &err);
	need(store_barrier(tool->store, written.handles, written.count, &err), &err);
	struct ice_edit edit = {.operation = ICE_OP_OVERWRITE,
		.added = written.files,
		.added_count = written.count,
		.removed = removed,
		.removed_count = list->count,
		.prefix = new_prefix(tool),
		.now_ms = tool->now_ms};
	need(ice_prepare(table, &edit, &prepared, &err), &err);
	stage(tool, prepared);
	ice_written_free(&written);
	ice_file_list_free(list);
	ice_table_unref(table);
}

/* Format 3: what is deleted of each file becomes its deletion vector. */
static void delete_rows(struct tool *tool, const json_t *where)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(tool);
	if (ice_table_metadata(table)->format_version < 3) {
		ice_table_unref(table);
		rewrite_rows(tool, where);
		return;
	}
	const struct weir_schema *schema = ice_table_schema(table);
	struct expr_filter filter = filter_of(tool->arena, schema, where);
	struct weir_schema projection = {.field_count = schema->field_count + 1,
		.fields = weir_arena_calloc(tool->arena, schema->field_count + 1, sizeof *projection.fields)};
	memcpy(projection.fields, schema->fields, schema->field_count * sizeof *schema->fields);
	projection.fields[schema->field_count] = (struct weir_field){
		.name = WEIR_STR("_pos"), .id = ICE_FIELD_POSITION, .type = WEIR_INT64, .required = true};
	struct ice_file_list *list;
	need(ice_plan(table, -1, NULL, &list, &err), &err);
	struct ice_vector *vectors = weir_arena_calloc(tool->arena, list->count, sizeof *vectors);
	struct ice_data_file *removed = weir_arena_calloc(tool->arena, list->count, sizeof *removed), *added;
	struct ice_positions **made = weir_arena_calloc(tool->arena, list->count, sizeof(struct ice_positions *));
	uint32_t count = 0, removed_count = 0;
	for (uint32_t i = 0; i < list->count; i++) {
		bool changed;
		made[i] = positions_of(table, list->files[i], &filter, &projection, &changed);
		if (!changed)
			continue;
		vectors[count++] = (struct ice_vector){list->files[i], made[i]};
		for (uint32_t d = 0; d < list->files[i]->delete_count; d++)
			removed[removed_count++] = *list->files[i]->deletes[d];
	}
	struct ice_edit edit = {.operation = ICE_OP_DELETE,
		.prefix = new_prefix(tool),
		.now_ms = tool->now_ms,
		.added_count = count,
		.removed_deletes = removed,
		.removed_delete_count = removed_count};
	struct ice_prepared *prepared;
	need(ice_vectors_write(table, vectors, count, edit.prefix, tool->arena, &added, &err), &err);
	edit.added = added;
	need(ice_prepare(table, &edit, &prepared, &err), &err);
	stage(tool, prepared);
	for (uint32_t i = 0; i < list->count; i++)
		ice_positions_free(made[i]);
	ice_file_list_free(list);
	ice_table_unref(table);
}

static struct revision revision_of(struct tool *tool, const json_t *json)
{
	return (struct revision){.schema = definition_of(tool, json).schema,
		.last_column_id = (int32_t)json_integer_value(json_object_get(json, "last-column-id"))};
}

static void write_table(struct tool *tool)
{
	size_t i;
	json_t *step;
	json_t *steps = json_loadf(stdin, 0, NULL);
	json_array_foreach(steps, i, step)
	{
		tool->now_ms += 60000;
		if (json_object_get(step, "create") != NULL)
			create(tool, json_object_get(step, "create"));
		else if (json_object_get(step, "evolve") != NULL)
			evolve(tool, json_object_get(step, "evolve"));
		else if (json_object_get(step, "append") != NULL)
			append(tool, json_object_get(step, "append"),
				(int32_t)json_integer_value(json_object_get(step, "spec")));
		else if (json_object_get(step, "revise") != NULL)
			revise(tool, revision_of(tool, json_object_get(step, "revise")));
		else if (json_object_get(step, "upgrade") != NULL)
			revise(tool,
				(struct revision){.format_version = (int32_t)json_integer_value(
							  json_object_get(step, "upgrade"))});
		else if (json_object_get(step, "delete") != NULL)
			delete_rows(tool, json_object_get(step, "delete"));
		else
			quit("a step is not known");
	}
	if (json_array_size(steps) == 0)
		quit("there are no steps on standard input");
	json_decref(steps);
}

int main(int argc, char **argv)
{
	struct tool tool;
	bool writes = argc == 5 && strcmp(argv[1], "write") == 0, lists = argc == 5 && strcmp(argv[1], "files") == 0;
	if (!writes && !lists && !((argc == 5 || argc == 6) && strcmp(argv[1], "rows") == 0)) {
		fprintf(stderr,
			"usage: matrix_tool write DIR NS TABLE <STEPS | rows DIR NS TABLE [QUERY] |"
			" files DIR NS TABLE\n");
		return 2;
	}
	tool_open(&tool, argv[2], argv[3], argv[4]);
	if (writes)
		write_table(&tool);
	else if (lists)
		print_files(&tool);
	else
		print_rows(&tool, argc == 6 ? argv[5] : "{}");
	tool_close(&tool);
	return 0;
}
