// uses: weir_test_tool
/*
 * Weir's side of the matrix (tests/interop/matrix.tsv): writes the tables that matrix_tables.py describes, and reads
 * any.
 *
 *   matrix_tool write DIR NS TABLE           steps on standard input, a JSON array of
 *       {"create": METADATA}                   schema and specs, as metadata.json says them
 *       {"append": ROWS, "spec": ID}           an array of objects by column name; "branch": NAME for another than main
 *       {"evolve": METADATA}                   a column more, a partition spec
 *       {"revise": METADATA}                   any other schema
 *       {"upgrade": VERSION}                   of the format
 *       {"branch": NAME}, {"tag": NAME}        at main's snapshot
 *       {"publish": NAME}                      main goes forward to where that branch is
 *       {"delete": WHERE}                      as in QUERY: by deletion vectors, or position deletes before format 3
 *   matrix_tool rows DIR NS TABLE [QUERY]    rows as NDJSON; QUERY: {"snapshot": ID or "ref": NAME or "time": MS,
 *                                              "where": [[COLUMN, OP, VALUE...]...]}
 *   matrix_tool files DIR NS TABLE           a live data file a line: {"path", "spec", "rows", "deletes", "positions",
 *                                              "equalities", "vectors"}, the last three counting its deletes of each kind
 *
 * DIR holds control.db and warehouse, unless MATRIX_CONTROL and MATRIX_WAREHOUSE (a folder, or s3://BUCKET/PREFIX with
 * AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) say otherwise. Values, both ways: dates are days,
 * times microseconds, decimals texts, binary hexadecimal, NaN and the infinities "nan", "inf", "-inf", maps arrays of
 * [key, value].
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/uuid.h"
#include "iceberg/revise.h"
#include "iceberg/row_delta.h"
#include "support/tool/tool.h"

/* ---- values in ---- */

static struct weir_str hex_bytes(struct weir_arena *arena, const char *text)
{
	size_t size = strlen(text) / 2;
	uint8_t *bytes = weir_arena_calloc(arena, size + 1, 1);
	for (size_t i = 0; i < size; i++) {
		unsigned byte;
		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			tool_quit("a binary value is not hexadecimal");
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
			tool_quit("a value is not a UUID");
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
		tool_quit("more rows in one append than a batch holds");
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

static struct ice_definition definition_of(struct tool *tool, struct ice_name name, const json_t *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_metadata *metadata;
	char *text = json_dumps(json, 0);
	tool_need(ice_metadata_parse(tool->arena, weir_str_from(text), WEIR_STR("the definition"), &metadata, &err),
		&err);
	free(text);
	return (struct ice_definition){.name = name,
		.schema = ice_metadata_current_schema(metadata),
		.specs = metadata->specs,
		.spec_count = metadata->spec_count,
		.default_spec_id = metadata->default_spec_id,
		.location = weir_str_from(
			weir_arena_printf(tool->arena, "%.*s/%.*s", WEIR_STR_ARG(name.ns), WEIR_STR_ARG(name.table)))};
}

static void create(struct tool *tool, struct ice_name name, const json_t *json)
{
	struct ice_definition definition = definition_of(tool, name, json);
	tool_create(tool, &definition);
}

static void evolve(struct tool *tool, struct ice_name name, const json_t *json)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_definition definition = definition_of(tool, name, json);
	struct ice_table *table = tool_load(tool, name);
	struct ice_prepared *prepared;
	tool_need(ice_evolve(table, &definition, tool_prefix(tool), tool->now_ms, &prepared, &err), &err);
	tool_commit(tool, prepared);
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

static void revise(struct tool *tool, struct ice_name name, struct revision revision)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = tool_load(tool, name);
	struct ice_prepared *prepared;
	tool_need(ice_revise(table, revise_table, &revision, tool_prefix(tool), tool->now_ms, &prepared, &err), &err);
	tool_commit(tool, prepared);
	ice_table_unref(table);
}

/* A branch, a tag, or main going forward to a branch. */
static void change_ref(
	struct tool *tool, struct ice_name name, enum ice_ref_action action, bool is_tag, const json_t *given)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str text = weir_str_from(json_string_value(given)), main_branch = WEIR_STR("main");
	struct ice_ref_edit edit = {.action = action,
		.name = action == ICE_REF_CREATE ? text : main_branch,
		.to = action == ICE_REF_CREATE ? (struct weir_str){0} : text,
		.is_tag = is_tag,
		.snapshot_id = -1,
		.max_ref_age_ms = -1,
		.max_snapshot_age_ms = -1,
		.min_snapshots_to_keep = -1};
	struct ice_table *table = tool_load(tool, name);
	struct ice_prepared *prepared;
	tool_need(ice_revise(table, ice_revise_ref, &edit, tool_prefix(tool), tool->now_ms, &prepared, &err), &err);
	tool_commit(tool, prepared);
	ice_table_unref(table);
}

static void append(struct tool *tool, struct ice_name name, const json_t *rows, int32_t spec_id, const char *branch)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = tool_load(tool, name);
	struct ice_write_options options = {
		.spec_id = spec_id, .prefix = tool_prefix(tool), .codec = CODEC_ZSTD, .level = 1};
	struct ice_writer *writer;
	tool_need(ice_writer_open(table, &options, &writer, &err), &err);
	tool_need(ice_writer_add(writer, batch_of(tool->arena, ice_table_schema(table), rows), NULL, &err), &err);
	struct ice_written written = tool_written(tool, writer);
	tool_edit(tool, table,
		(struct ice_edit){.operation = ICE_OP_APPEND,
			.added = written.files,
			.added_count = written.count,
			.branch = branch != NULL ? weir_str_from(branch) : (struct weir_str){0}});
	ice_written_free(&written);
	ice_table_unref(table);
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
			tool_quit("a literal is not a UUID");
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
			tool_quit("the filter names no column of the table");
		uint32_t count = (uint32_t)json_array_size(term) - 2;
		struct expr_value *values = weir_arena_calloc(arena, count, sizeof *values);
		for (uint32_t v = 0; v < count; v++)
			values[v] = literal(arena, schema->fields[column].type, json_array_get(term, v + 2));
		expr_values_sort(values, count);
		unsigned at = 0;
		while (at < 10 && strcmp(names[at], op) != 0)
			at++;
		if (at == 10)
			tool_quit("the filter has an unknown comparison");
		terms[i] = (struct expr_term){schema->fields[column].id, (enum expr_op)at, values, count};
	}
	return (struct expr_filter){terms, (uint32_t)json_array_size(where)};
}

/* -1: main's. */
static int64_t snapshot_of(const struct ice_table *table, const json_t *query)
{
	const struct ice_metadata *metadata = ice_table_metadata(table);
	const struct ice_snapshot *snapshot;
	if (json_object_get(query, "snapshot") != NULL)
		return json_integer_value(json_object_get(query, "snapshot"));
	if (json_object_get(query, "ref") != NULL)
		snapshot = ice_ref_snapshot(metadata, weir_str_from(json_string_value(json_object_get(query, "ref"))));
	else if (json_object_get(query, "time") != NULL)
		snapshot = ice_snapshot_at(metadata, json_integer_value(json_object_get(query, "time")));
	else
		return -1;
	if (snapshot == NULL)
		tool_quit("the table has no such branch, tag or moment");
	return snapshot->id;
}

static void print_rows(struct tool *tool, struct ice_name name, const char *query_text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *query = json_loads(query_text, 0, NULL);
	struct ice_table *table = tool_load(tool, name);
	struct expr_filter filter = filter_of(tool->arena, ice_table_schema(table), json_object_get(query, "where"));
	struct ice_file_list *list;
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint8_t truth[WEIR_BATCH_ROWS];
	tool_need(ice_plan(table, snapshot_of(table, query), &filter, &list, &err), &err);
	tool_need(ice_reader_open(table, list->files, list->count, NULL, &filter, &reader, &err), &err);
	for (;;) {
		tool_need(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		expr_filter_batch(&filter, batch, truth);
		tool_print_rows(batch, truth);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(list);
	ice_table_unref(table);
	json_decref(query);
}

static void print_file(struct weir_buf *out, const struct ice_data_file *file)
{
	static const char *const kinds[] = {"positions", "equalities", "vectors"};
	int64_t counts[3] = {0};
	struct weir_json json = weir_json_to(out);
	for (uint32_t d = 0; d < file->delete_count; d++) {
		const struct ice_data_file *delete = file->deletes[d];
		counts[delete->content_offset >= 0 ? 2 : delete->content == ICE_EQUALITY_DELETES ? 1 : 0]++;
	}
	weir_json_object(&json);
	weir_json_key_str(&json, WEIR_STR("path"));
	weir_json_string(&json, file->path);
	weir_json_key_str(&json, WEIR_STR("spec"));
	weir_json_int(&json, file->spec_id);
	weir_json_key_str(&json, WEIR_STR("rows"));
	weir_json_int(&json, file->record_count);
	weir_json_key_str(&json, WEIR_STR("deletes"));
	weir_json_int(&json, file->delete_count);
	for (int i = 0; i < 3; i++) {
		weir_json_key_str(&json, weir_str_from(kinds[i]));
		weir_json_int(&json, counts[i]);
	}
	weir_json_object_end(&json);
	weir_buf_putc(out, '\n');
}

static void print_files(struct tool *tool, struct ice_name name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = tool_load(tool, name);
	struct ice_file_list *list;
	tool_need(ice_plan(table, -1, NULL, &list, &err), &err);
	struct weir_buf out = WEIR_BUF_INIT;
	for (uint32_t i = 0; i < list->count; i++)
		print_file(&out, list->files[i]);
	fwrite(out.data, 1, out.size, stdout);
	weir_buf_done(&out);
	ice_file_list_free(list);
	ice_table_unref(table);
}

/* ---- deleting ---- */

static void delete_rows(struct tool *tool, struct ice_name name, const json_t *where)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = tool_load(tool, name);
	struct expr_filter filter = filter_of(tool->arena, ice_table_schema(table), where);
	struct ice_row_delta delta;
	tool_need(ice_delete_rows(table, &filter, (struct weir_str){0}, tool_prefix(tool), tool->arena, &delta, &err),
		&err);
	tool_edit(tool, table, delta.edit);
	ice_table_unref(table);
}

static struct revision revision_of(struct tool *tool, struct ice_name name, const json_t *json)
{
	return (struct revision){.schema = definition_of(tool, name, json).schema,
		.last_column_id = (int32_t)json_integer_value(json_object_get(json, "last-column-id"))};
}

static void write_table(struct tool *tool, struct ice_name name)
{
	size_t i;
	json_t *step;
	json_t *steps = json_loadf(stdin, 0, NULL);
	json_array_foreach(steps, i, step)
	{
		if (json_object_get(step, "create") != NULL)
			create(tool, name, json_object_get(step, "create"));
		else if (json_object_get(step, "evolve") != NULL)
			evolve(tool, name, json_object_get(step, "evolve"));
		else if (json_object_get(step, "append") != NULL)
			append(tool, name, json_object_get(step, "append"),
				(int32_t)json_integer_value(json_object_get(step, "spec")),
				json_string_value(json_object_get(step, "branch")));
		else if (json_object_get(step, "revise") != NULL)
			revise(tool, name, revision_of(tool, name, json_object_get(step, "revise")));
		else if (json_object_get(step, "upgrade") != NULL)
			revise(tool, name,
				(struct revision){.format_version = (int32_t)json_integer_value(
							  json_object_get(step, "upgrade"))});
		else if (json_object_get(step, "branch") != NULL)
			change_ref(tool, name, ICE_REF_CREATE, false, json_object_get(step, "branch"));
		else if (json_object_get(step, "tag") != NULL)
			change_ref(tool, name, ICE_REF_CREATE, true, json_object_get(step, "tag"));
		else if (json_object_get(step, "publish") != NULL)
			change_ref(tool, name, ICE_REF_FAST_FORWARD, false, json_object_get(step, "publish"));
		else if (json_object_get(step, "delete") != NULL)
			delete_rows(tool, name, json_object_get(step, "delete"));
		else
			tool_quit("a step is not known");
	}
	if (json_array_size(steps) == 0)
		tool_quit("there are no steps on standard input");
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
	const struct ice_name name = {weir_str_from(argv[3]), weir_str_from(argv[4])};
	tool_open(&tool, argv[2], getenv("MATRIX_CONTROL"), getenv("MATRIX_WAREHOUSE"));
	if (writes)
		write_table(&tool, name);
	else if (lists)
		print_files(&tool, name);
	else
		print_rows(&tool, name, argc == 6 ? argv[5] : "{}");
	tool_close(&tool);
	return 0;
}
