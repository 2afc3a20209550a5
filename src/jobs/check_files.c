/*
 * Every live data file of every table of weir: it is there with the size and the rows that the manifest says, its
 * footer's statistics lie within the manifest's, each row belongs to the file's partition, and rows lie in the table's
 * order. Every row is decoded, at the columns that partition, sort and identify it.
 */
#include "iceberg/puffin.h"
#include "jobs/check_int.h"

struct file_check {
	struct check *check;
	struct check_table *table;
	const struct ice_data_file *file;
	struct weir_str name; /* of the file, in the store */
	const struct weir_schema *projection;
	const struct ice_spec *spec;
	struct weir_order order;   /* of projection; count 0: unsorted */
	uint32_t trace;            /* WEIR_NO_FIELD: none */
	struct weir_arena *arena;  /* of one batch */
	struct weir_batch *before; /* the batch before */
};

static int file_break(
	struct file_check *at, const char *what, const char *expected, const char *found, struct weir_error *err)
{
	return check_break(at->check,
		&(struct check_break){.check = "files",
			.guarantee = "T1",
			.table = at->table->what,
			.file = at->name,
			.what = what,
			.expected = expected,
			.found = found},
		err);
}

static int numbers_break(
	struct file_check *at, const char *what, int64_t expected, uint64_t found, struct weir_error *err)
{
	return file_break(at, what, check_number(at->check, (uint64_t)expected), check_number(at->check, found), err);
}

/* ---- the footer against the manifest ---- */

/* Bounds of a whole file from those of its row groups; a missing one makes the whole unknown. */
static struct expr_bounds footer_bounds(const struct pq_file *file, int32_t field_id)
{
	struct expr_bounds all = {.has_min = true, .has_max = true, .has_null_count = true}, group;
	int order;
	for (uint32_t i = 0; i < pq_file_row_group_count(file); i++) {
		uint64_t rows = pq_file_row_group_rows(file, i);
		if (!pq_file_bounds(file, i, field_id, &group))
			return (struct expr_bounds){0};
		all.has_null_count = all.has_null_count && group.has_null_count;
		all.null_count += group.null_count;
		if (group.has_null_count && group.null_count == rows)
			continue; /* all null: no bounds to fold */
		bool first = all.row_count == 0;
		all.row_count += rows;
		all.has_min = all.has_min && group.has_min && (first || expr_compare(&group.min, &all.min, &order));
		if (all.has_min && (first || order < 0))
			all.min = group.min;
		all.has_max = all.has_max && group.has_max && (first || expr_compare(&group.max, &all.max, &order));
		if (all.has_max && (first || order > 0))
			all.max = group.max;
	}
	all.has_min = all.has_min && all.row_count > 0;
	all.has_max = all.has_max && all.row_count > 0;
	return all;
}

static int check_bounds(
	struct file_check *at, const struct pq_file *file, const struct weir_field *field, struct weir_error *err)
{
	struct expr_bounds manifest = ice_file_bounds(at->file, field), footer = footer_bounds(file, field->id);
	const char *column = weir_arena_printf(at->check->arena, "%.*s", WEIR_STR_ARG(field->name));
	int order;
	if (manifest.has_null_count && footer.has_null_count && manifest.null_count != footer.null_count)
		return numbers_break(at,
			weir_arena_printf(at->check->arena,
				"column %s: the manifest's count of nulls is not the"
				" footer's",
				column),
			(int64_t)manifest.null_count, footer.null_count, err);
	if (manifest.has_min && footer.has_min && expr_compare(&manifest.min, &footer.min, &order) && order > 0)
		return file_break(at,
			weir_arena_printf(
				at->check->arena, "column %s: the manifest's lower bound is above a value", column),
			"a bound that no value is below", "a smaller value", err);
	if (manifest.has_max && footer.has_max && expr_compare(&manifest.max, &footer.max, &order) && order < 0)
		return file_break(at,
			weir_arena_printf(
				at->check->arena, "column %s: the manifest's upper bound is below a value", column),
			"a bound that no value is above", "a larger value", err);
	return 0;
}

static int check_footer(struct file_check *at, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(at->table->table);
	struct ice_data_file whole = *at->file; /* as it lies there, whatever of it is deleted */
	struct ice_footer *footer;
	const struct pq_file *file;
	whole.delete_count = 0;
	int status = ice_footer_open(at->table->table, &whole, &footer, &file, err);
	if (status != 0)
		return status;
	if (pq_file_row_count(file) != (uint64_t)at->file->record_count)
		status = numbers_break(at, "the footer has another number of rows than the manifest",
			at->file->record_count, pq_file_row_count(file), err);
	for (uint32_t i = 0; i < schema->field_count && status == 0; i++)
		if (!weir_type_is_nested(schema->fields[i].type))
			status = check_bounds(at, file, &schema->fields[i], err);
	for (uint32_t i = 0; i < at->file->metric_count && status == 0; i++) {
		const struct ice_column_metrics *metrics = &at->file->metrics[i];
		uint32_t column = weir_schema_find_id(schema, metrics->field_id);
		if (column != WEIR_NO_FIELD && !weir_type_is_nested(schema->fields[column].type) &&
			metrics->value_count >= 0 && metrics->value_count != at->file->record_count)
			status = numbers_break(at, "a column's count of values is not the file's rows",
				at->file->record_count, (uint64_t)metrics->value_count, err);
	}
	ice_footer_release(footer);
	return status;
}

/* ---- rows ---- */

static bool partition_equal(const struct ice_partition_value *a, const struct ice_partition_value *b)
{
	int order;
	if (a->is_null || b->is_null)
		return a->is_null == b->is_null;
	return expr_compare(&a->value, &b->value, &order) && order == 0;
}

static int check_partition(struct file_check *at, const struct weir_batch *batch, uint32_t row, struct weir_error *err)
{
	for (uint32_t i = 0; i < at->spec->field_count && i < at->file->partition_count; i++) {
		const struct ice_partition_field *field = &at->spec->fields[i];
		uint32_t column = weir_schema_find_id(at->projection, field->source_id);
		if (column == WEIR_NO_FIELD)
			continue; /* the column was dropped since */
		struct ice_partition_value value = ice_transform_apply(
			at->arena, field->transform, at->projection->fields[column].type, &batch->columns[column], row);
		if (partition_equal(&value, &at->file->partition[i]))
			continue;
		return check_break(at->check,
			&(struct check_break){
				.check = "files",
				.guarantee = "T1",
				.table = at->table->what,
				.file = at->name,
				.trace_id = at->trace != WEIR_NO_FIELD &&
						weir_column_is_valid(&batch->columns[at->trace], row)
					? weir_column_str(&batch->columns[at->trace], row)
					: WEIR_STR(""),
				.what = weir_arena_printf(at->check->arena, "a row lies in the wrong partition of %.*s",
					WEIR_STR_ARG(field->name)),
				.expected = "the value of the file's partition",
				.found = "another value",
			},
			err);
	}
	return 0;
}

/* Remembered, and named at the end where nothing worse was found: consent is checked without the order then. */
static void check_sorted(struct file_check *at, const struct weir_batch *batch, uint32_t row)
{
	const struct weir_batch *before = row > 0 ? batch : at->before;
	uint32_t last = row > 0 ? row - 1 : before != NULL ? before->row_count - 1 : 0, leading = at->order.columns[0];
	if (at->order.count == 0 || before == NULL || weir_rows_compare(&at->order, before, last, batch, row) <= 0)
		return;
	if (weir_cells_compare(&before->columns[leading], last, &batch->columns[leading], row) > 0)
		at->table->unsorted_subjects = true;
	if (at->check->unsorted[0] != '\0')
		return;
	snprintf(at->check->unsorted, sizeof at->check->unsorted, "%.*s", WEIR_STR_ARG(at->name));
	snprintf(at->check->unsorted_what, sizeof at->check->unsorted_what, "%s", at->table->what);
}

static int check_batch(struct file_check *at, struct weir_batch *batch, struct weir_error *err)
{
	int status = 0;
	at->table->rows += batch->row_count;
	for (uint32_t row = 0; row < batch->row_count && status == 0; row++) {
		status = check_partition(at, batch, row, err);
		check_sorted(at, batch, row);
		if (at->trace != WEIR_NO_FIELD && weir_column_is_valid(&batch->columns[at->trace], row)) {
			struct check_key key =
				check_key_add(at->check->seed, weir_column_str(&batch->columns[at->trace], row));
			at->table->traces.a += key.a;
			at->table->traces.b += key.b;
		}
	}
	weir_arena_reset(at->arena);
	return status;
}

static int check_rows(struct file_check *at, struct weir_error *err)
{
	struct ice_reader *reader;
	struct weir_batch *batch;
	struct ice_positions *deleted = NULL;
	uint64_t before = at->table->rows;
	int status = ice_file_deleted_positions(at->table->table, at->file, &deleted, err);
	if (status != 0)
		return status;
	uint64_t deleted_count = ice_positions_count(deleted);
	ice_positions_free(deleted);
	at->check->deleted_rows += deleted_count;
	status = ice_reader_open(at->table->table, &at->file, 1, at->projection, NULL, &reader, err);
	if (status != 0)
		return status;
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		status = check_batch(at, batch, err);
		weir_batch_release(at->before);
		at->before = batch;
	}
	weir_batch_release(at->before);
	at->before = NULL;
	ice_reader_close(reader);
	if (status == 0 && at->table->rows - before + deleted_count != (uint64_t)at->file->record_count)
		status = numbers_break(at, "the file holds another number of rows than the manifest says",
			at->file->record_count, at->table->rows - before + deleted_count, err);
	return status;
}

/* Rows of gold are deleted by a removal whose task is open until their file is rewritten; no table else has deletes. */
static int check_deletes(struct file_check *at, struct weir_error *err)
{
	uint32_t index = at->table->lake_table;
	bool gold = index != UINT32_MAX && at->check->config->lake->tables[index].kind == LAKE_GOLD;
	if (at->file->delete_count == 0 || (gold && at->check->open_tasks > 0))
		return 0;
	return check_break(at->check,
		&(struct check_break){.check = "files",
			.guarantee = "G4",
			.table = at->table->what,
			.file = at->name,
			.what = "the file has deletes, and no open task is to rewrite it",
			.expected = "no delete file",
			.found = check_number(at->check, at->file->delete_count)},
		err);
}

/* ---- files ---- */

static int check_file(struct file_check *at, struct weir_error *err)
{
	struct check *check = at->check;
	uint64_t size = 0;
	int status = store_name_of(check->store, check->arena, at->file->path, &at->name, err);
	if (status != 0)
		return status;
	status = store_size(check->store, at->name.data, &size, err);
	if (status == WEIR_E_NOT_FOUND)
		return check_missing(check, "files", at->table->what, at->name, err);
	if (status == 0 && size != (uint64_t)at->file->size_bytes)
		status = numbers_break(
			at, "the file has another size than the manifest says", at->file->size_bytes, size, err);
	at->spec = ice_metadata_spec(ice_table_metadata(at->table->table), at->file->spec_id);
	if (status == 0 && at->spec == NULL)
		status = numbers_break(at, "the file's partition spec is not in the table's metadata", 0,
			(uint64_t)at->file->spec_id, err);
	if (status == 0)
		status = check_deletes(at, err);
	if (status == 0)
		status = check_footer(at, err);
	if (status == 0)
		status = check_rows(at, err);
	if (check->found.size == 0)
		weir_error_in(err, status, at->name);
	check->files++;
	return status;
}

/* Columns by which rows are placed, ordered and told apart. */
static void choose_columns(struct file_check *at)
{
	const struct lake *lake = at->check->config->lake;
	const struct ice_metadata *metadata = ice_table_metadata(at->table->table);
	const struct weir_schema *schema = ice_table_schema(at->table->table);
	const struct lake_table *lake_table =
		at->table->lake_table != UINT32_MAX ? &lake->tables[at->table->lake_table] : NULL;
	uint32_t capacity = 4, count = 0;
	for (uint32_t s = 0; s < metadata->spec_count; s++)
		capacity += metadata->specs[s].field_count;
	struct weir_str *names = weir_arena_calloc(at->check->arena, capacity, sizeof *names);
	for (uint32_t s = 0; s < metadata->spec_count; s++)
		for (uint32_t f = 0; f < metadata->specs[s].field_count; f++) {
			uint32_t column = weir_schema_find_id(schema, metadata->specs[s].fields[f].source_id);
			if (column != WEIR_NO_FIELD)
				names[count++] = schema->fields[column].name;
		}
	names[count++] = WEIR_STR("trace_id");
	uint32_t sorting = count;
	for (uint32_t i = 0; lake_table != NULL && i < lake_table->sort_count && i < WEIR_ORDER_COLUMNS - 1; i++)
		names[count++] = lake_table->sort[i];
	if (count > sorting)
		names[count++] = lake->streams[lake_table->stream].id;
	at->projection = check_projection(at->check->arena, schema, names, count);
	at->trace = weir_schema_find(at->projection, WEIR_STR("trace_id"));
	for (uint32_t i = sorting; i < count; i++) {
		uint32_t column = weir_schema_find(at->projection, names[i]);
		if (column != WEIR_NO_FIELD)
			at->order.columns[at->order.count++] = column;
	}
}

int check_files(struct check *check, struct weir_error *err)
{
	uint64_t rows = 0, bytes = 0;
	int status = 0;
	for (uint32_t t = 0; t < check->table_count && status == 0; t++) {
		struct file_check at = {.check = check, .table = &check->tables[t], .arena = weir_arena_new(0)};
		choose_columns(&at);
		for (uint32_t i = 0; i < at.table->files->count && status == 0; i++) {
			at.file = at.table->files->files[i];
			status = check_file(&at, err);
			bytes += (uint64_t)at.file->size_bytes;
		}
		rows += at.table->rows;
		weir_arena_free(at.arena);
	}
	if (status != 0)
		return status;
	struct weir_json *json = check_proved(check, "files", "T1",
		"each live data file is there with the manifest's size, rows and bounds, and each row is in its file's "
		"partition");
	weir_json_key_uint(json, "tables", check->table_count);
	weir_json_key_uint(json, "files", check->files);
	weir_json_key_uint(json, "rows", rows);
	weir_json_key_uint(json, "bytes", bytes);
	if (check->deleted_rows > 0)
		weir_json_key_uint(json, "deleted_rows_waiting_for_their_rewrite", check->deleted_rows);
	weir_json_object_end(json);
	return 0;
}

int check_order(struct check *check, struct weir_error *err)
{
	if (check->unsorted[0] != '\0')
		return check_break(check,
			&(struct check_break){.check = "order",
				.guarantee = "T1",
				.table = weir_arena_printf(check->arena, "%s", check->unsorted_what),
				.file = weir_str_from(check->unsorted),
				.what = "rows of a file are not in the order that the table declares",
				.expected = "rows by the table's sort columns and the event's id",
				.found = "a row before a smaller one"},
			err);
	weir_json_object_end(
		check_proved(check, "order", "T1", "rows of each file lie in the order that its table declares"));
	return 0;
}
