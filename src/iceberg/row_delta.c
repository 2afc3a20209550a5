/*
 * Deleting rows (row_delta.h): rows are found by reading the files that may hold them, with their places; what is deleted of
 * one file is a set of positions, and those sets are written by the kind of delete that the table's version has.
 */
#include "iceberg/row_delta.h"

#include <stdlib.h>

#include "iceberg/internal.h"

/* ---- files of position deletes ---- */

struct delete_file {
	struct weir_arena *arena; /* the caller's: what is said of the file */
	struct store *store;
	struct store_file *handle;
	struct pq_writer *parquet;
	struct weir_arena *scratch;
	struct weir_batch *batch;
	uint32_t rows;        /* of the batch */
	uint64_t least, most; /* positions */
};

static struct weir_field delete_fields[2] = {
	{.name = {"file_path", 9}, .id = ICE_DELETE_PATH, .type = WEIR_STRING, .required = true},
	{.name = {"pos", 3}, .id = ICE_DELETE_POSITION, .type = WEIR_INT64, .required = true},
};
static const struct weir_schema delete_schema = {.field_count = 2, .fields = delete_fields};

static int flush(struct delete_file *file, struct weir_error *err)
{
	int code = 0;
	if (file->rows > 0) {
		file->batch->row_count = file->rows;
		code = pq_writer_add(file->parquet, file->batch, NULL, err);
	}
	file->rows = 0;
	return code;
}

static int put_positions(struct delete_file *file, const struct ice_vector *vector, struct weir_error *err)
{
	const struct weir_view path = weir_view_from(vector->file->path);
	uint64_t position = 0;
	int code = 0;
	while (code == 0 && ice_positions_next(vector->positions, position, &position)) {
		((struct weir_view *)file->batch->columns[0].values)[file->rows] = path;
		((int64_t *)file->batch->columns[1].values)[file->rows] = (int64_t)position;
		file->least = position < file->least ? position : file->least;
		file->most = position > file->most ? position : file->most;
		position++;
		if (++file->rows == WEIR_BATCH_ROWS)
			code = flush(file, err);
	}
	return code;
}

static struct weir_str bound_of(struct weir_arena *arena, uint64_t position)
{
	return weir_arena_str(arena, (struct weir_str){(const char *)&position, sizeof position}); /* little-endian */
}

/* What the manifest says. Bounds of paths are whole: readers tell by them which files the deletes are of. */
static void set_metrics(const struct delete_file *file, const struct pq_file_info *info, struct weir_str first,
	struct weir_str last, struct ice_data_file *ret)
{
	ret->metric_count = 2;
	ret->metrics = weir_arena_calloc(file->arena, 2, sizeof *ret->metrics);
	for (uint32_t i = 0; i < 2; i++)
		ret->metrics[i] = (struct ice_column_metrics){.field_id = delete_fields[i].id,
			.size_bytes = (int64_t)info->columns[i].size_bytes,
			.value_count = (int64_t)info->row_count,
			.nan_count = -1,
			.has_lower = true,
			.has_upper = true};
	ret->metrics[0].lower = weir_arena_str(file->arena, first);
	ret->metrics[0].upper = weir_arena_str(file->arena, last);
	ret->metrics[1].lower = bound_of(file->arena, file->least);
	ret->metrics[1].upper = bound_of(file->arena, file->most);
}

static void describe(const struct delete_file *file, const struct pq_file_info *info, const struct ice_vector *vectors,
	uint32_t count, struct ice_data_file *ret)
{
	const struct ice_data_file *data = vectors[0].file;
	*ret = (struct ice_data_file){.content = ICE_POSITION_DELETES,
		.path = store_uri(file->store, file->arena, weir_str_from(store_file_name(file->handle))),
		.format = WEIR_STR("PARQUET"),
		.spec_id = data->spec_id,
		.partition_count = data->partition_count,
		.record_count = (int64_t)info->row_count,
		.size_bytes = (int64_t)info->size_bytes,
		.sort_order_id = -1,
		.status = ICE_ADDED,
		.snapshot_id = -1,
		.sequence_number = -1,
		.file_sequence_number = -1,
		.content_offset = -1,
		.content_size_bytes = -1,
		.first_row_id = -1};
	ret->partition = weir_arena_calloc(file->arena, ret->partition_count, sizeof *ret->partition);
	for (uint32_t i = 0; i < ret->partition_count; i++)
		ret->partition[i] = ice_partition_value_copy(file->arena, &data->partition[i]);
	if (count == 1)
		ret->referenced_data_file = weir_arena_str(file->arena, data->path);
	set_metrics(file, info, data->path, vectors[count - 1].file->path, ret);
}

/* One file of the vectors, which are of one partition and in order of their paths. The handle is the caller's. */
static int write_deletes(struct ice_table *table, const struct ice_vector *vectors, uint32_t count, const char *name,
	struct weir_arena *arena, struct store_file **ret_handle, struct ice_data_file *ret_file,
	struct weir_error *err)
{
	const struct pq_write_options options = {.codec = CODEC_ZSTD, .level = 1};
	struct delete_file file = {.arena = arena, .store = table->store, .least = UINT64_MAX};
	struct pq_file_info info;
	int code = store_create(table->store, name, &file.handle, err);
	if (code != 0)
		return code;
	file.scratch = weir_arena_new(0);
	file.batch = weir_batch_new(file.scratch, &delete_schema, WEIR_BATCH_ROWS);
	code = pq_writer_open(store_file_sink(file.handle), &delete_schema, &options, &file.parquet, err);
	if (code == 0) {
		for (uint32_t i = 0; i < count && code == 0; i++)
			code = put_positions(&file, &vectors[i], err);
		if (code == 0)
			code = flush(&file, err);
		if (code == 0)
			code = pq_writer_close(file.parquet, file.scratch, &info, err);
		else
			pq_writer_abandon(file.parquet);
	}
	if (code == 0) {
		describe(&file, &info, vectors, count, ret_file);
		*ret_handle = file.handle;
	} else {
		store_abandon(table->store, file.handle);
	}
	weir_arena_free(file.scratch);
	return code;
}

static int order_of_values(const struct ice_partition_value *a, const struct ice_partition_value *b)
{
	int order = 0;
	if (a->is_null || b->is_null)
		return (int)b->is_null - (int)a->is_null;
	if (ice_partition_value_equal(a, b))
		return 0;
	if (expr_compare(&a->value, &b->value, &order) && order != 0)
		return order;
	return memcmp(&a->value.u.number, &b->value.u.number, sizeof(double)) < 0 ? -1 : 1; /* NaN, -0 */
}

/* Of two data files' partitions. */
static int order_of_partitions(const struct ice_data_file *a, const struct ice_data_file *b)
{
	int order = 0;
	if (a->spec_id != b->spec_id)
		return a->spec_id < b->spec_id ? -1 : 1;
	for (uint32_t i = 0; order == 0 && i < a->partition_count && i < b->partition_count; i++)
		order = order_of_values(&a->partition[i], &b->partition[i]);
	return order;
}

static int by_partition_and_path(const void *a, const void *b)
{
	const struct ice_data_file *left = ((const struct ice_vector *)a)->file;
	const struct ice_data_file *right = ((const struct ice_vector *)b)->file;
	int order = order_of_partitions(left, right);
	return order != 0 ? order : weir_str_compare(left->path, right->path);
}

static bool by_partition(const struct ice_table *table)
{
	return weir_str_is(ice_property(table->metadata, "write.delete.granularity"), "partition");
}

int ice_position_deletes_write(struct ice_table *table, const struct ice_vector *vectors, uint32_t count,
	struct weir_str prefix, struct weir_arena *arena, struct ice_data_file **ret_files, uint32_t *ret_count,
	struct weir_error *err)
{
	struct weir_str location;
	if (table->metadata->format_version != 2)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"files of position deletes are for format version 2; the table has %d",
			table->metadata->format_version);
	int code = store_name_of(table->store, arena, table->metadata->location, &location, err);
	if (code != 0)
		return code;
	struct ice_vector *sorted = weir_arena_copy(arena, vectors, count * sizeof *vectors);
	struct ice_data_file *files = weir_arena_calloc(arena, count, sizeof *files);
	struct store_file **handles = weir_arena_calloc(arena, count, sizeof(struct store_file *));
	uint32_t made = 0;
	if (count > 1)
		qsort(sorted, count, sizeof *sorted, by_partition_and_path);
	for (uint32_t first = 0, end; first < count && code == 0; first = end) {
		end = first + 1;
		while (by_partition(table) && end < count &&
			order_of_partitions(sorted[first].file, sorted[end].file) == 0)
			end++;
		const char *name = weir_arena_printf(
			arena, "%.*s/data/%.*s-deletes-%u.parquet", WEIR_STR_ARG(location), WEIR_STR_ARG(prefix), made);
		code = write_deletes(
			table, sorted + first, end - first, name, arena, &handles[made], &files[made], err);
		made += code == 0;
	}
	if (code == 0) {
		code = store_barrier(table->store, handles, made, err);
	} else {
		for (uint32_t i = 0; i < made; i++)
			store_abandon(table->store, handles[i]);
	}
	if (code == 0) {
		*ret_files = files;
		*ret_count = made;
	}
	return code;
}

/* ---- rows by a filter ---- */

struct deletion {
	struct ice_table *table;
	const struct expr_filter *filter;
	struct weir_schema projection; /* the filter's columns and _pos, which is the last */
	struct weir_arena *arena;
	struct ice_vector *vectors;
	struct ice_positions **made; /* of the vectors */
	uint32_t vector_count;
	struct weir_str *removed;
	uint32_t removed_count;
	struct ice_data_file *spent; /* delete files that go */
	uint32_t spent_count, spent_capacity;
	uint64_t rows;
};

static int make_projection(struct deletion *deletion, struct weir_error *err)
{
	const struct weir_schema *schema = ice_table_schema(deletion->table);
	struct weir_schema *wanted = &deletion->projection;
	wanted->fields = weir_arena_calloc(deletion->arena, deletion->filter->term_count + 1, sizeof *wanted->fields);
	for (uint32_t i = 0; i < deletion->filter->term_count; i++) {
		uint32_t column = weir_schema_find_id(schema, deletion->filter->terms[i].field_id);
		if (column == WEIR_NO_FIELD || weir_type_is_nested(schema->fields[column].type))
			return weir_fail_at(err, WEIR_E_INPUT, deletion->table->metadata_uri, WEIR_ERROR_NO_OFFSET,
				"rows are deleted by top-level columns of single values; field %d is none",
				deletion->filter->terms[i].field_id);
		if (weir_schema_find_id(wanted, schema->fields[column].id) == WEIR_NO_FIELD)
			wanted->fields[wanted->field_count++] = schema->fields[column];
	}
	wanted->fields[wanted->field_count++] = (struct weir_field){
		.name = WEIR_STR("_pos"), .id = ICE_FIELD_POSITION, .type = WEIR_INT64, .required = true};
	return 0;
}

/* Adds the places of the file's rows that the filter takes. */
static int find_rows(const struct deletion *deletion, const struct ice_data_file *file, struct ice_positions *positions,
	struct weir_error *err)
{
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	uint8_t truth[WEIR_BATCH_ROWS];
	int code = ice_reader_open(deletion->table, &file, 1, &deletion->projection, deletion->filter, &reader, err);
	while (code == 0 && (code = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		const struct weir_column *places = &batch->columns[deletion->projection.field_count - 1];
		expr_filter_batch(deletion->filter, batch, truth);
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (truth[row] == EXPR_TRUE)
				ice_positions_add(positions, (uint64_t)weir_column_i64(places, row));
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return code;
}

/* Deletes of just this file: a vector, or position deletes that speak of no other. */
static bool is_of_file(const struct ice_data_file *delete, const struct ice_data_file *file)
{
	return delete->content == ICE_POSITION_DELETES && weir_str_equal(ice_referenced_file(delete), file->path);
}

/* The deletes of just this file go: what they hold is in its new vector, or the file goes itself. */
static bool spend_deletes(struct deletion *deletion, const struct ice_data_file *file)
{
	bool any = false;
	for (uint32_t i = 0; i < file->delete_count; i++) {
		if (!is_of_file(file->deletes[i], file))
			continue;
		WEIR_GROW(deletion->spent, deletion->spent_count, deletion->spent_capacity);
		deletion->spent[deletion->spent_count++] = *file->deletes[i];
		any = true;
	}
	return any;
}

static bool takes_up_older(const struct deletion *deletion, const struct ice_data_file *file)
{
	bool any = deletion->table->metadata->format_version > 2; /* a vector holds all that is deleted of its file */
	for (uint32_t i = 0; i < file->delete_count && !any; i++)
		any = is_of_file(file->deletes[i], file);
	return any && !(deletion->table->metadata->format_version == 2 && by_partition(deletion->table));
}

static int delete_of_file(struct deletion *deletion, const struct ice_data_file *file, struct weir_error *err)
{
	struct ice_positions *positions = ice_positions_new(), *older = NULL;
	int code = find_rows(deletion, file, positions, err);
	uint64_t taken = ice_positions_count(positions);
	if (code == 0 && taken > 0)
		code = ice_file_deleted_positions(deletion->table, file, &older, err);
	if (code != 0 || taken == 0) {
		ice_positions_free(positions);
		return code;
	}
	deletion->rows += taken;
	if (taken + ice_positions_count(older) == (uint64_t)file->record_count) { /* nothing is left */
		deletion->removed[deletion->removed_count++] = file->path;
		spend_deletes(deletion, file);
		ice_positions_free(positions);
	} else {
		if (takes_up_older(deletion, file)) {
			ice_positions_merge(positions, older);
			spend_deletes(deletion, file);
		}
		deletion->made[deletion->vector_count] = positions;
		deletion->vectors[deletion->vector_count++] = (struct ice_vector){file, positions};
	}
	ice_positions_free(older);
	return 0;
}

static int write_files(struct deletion *deletion, struct weir_str prefix, struct ice_edit *edit, struct weir_error *err)
{
	struct ice_data_file *added = NULL;
	uint32_t count = deletion->vector_count;
	int code = 0;
	if (count == 0)
		return 0;
	struct weir_str *referenced = weir_arena_calloc(deletion->arena, count, sizeof *referenced);
	for (uint32_t i = 0; i < count; i++)
		referenced[i] = weir_arena_str(deletion->arena, deletion->vectors[i].file->path);
	if (deletion->table->metadata->format_version > 2)
		code = ice_vectors_write(
			deletion->table, deletion->vectors, count, prefix, deletion->arena, &added, err);
	else
		code = ice_position_deletes_write(
			deletion->table, deletion->vectors, count, prefix, deletion->arena, &added, &count, err);
	edit->added = added;
	edit->added_count = count;
	edit->referenced = referenced;
	edit->referenced_count = deletion->vector_count;
	return code;
}

/* The edit outlives the plan: what it says is copied. */
static void copy_removed(struct deletion *deletion, struct ice_edit *edit)
{
	struct weir_str *removed = weir_arena_calloc(deletion->arena, deletion->removed_count, sizeof *removed);
	struct ice_data_file *spent = weir_arena_calloc(deletion->arena, deletion->spent_count, sizeof *spent);
	for (uint32_t i = 0; i < deletion->removed_count; i++)
		removed[i] = weir_arena_str(deletion->arena, deletion->removed[i]);
	for (uint32_t i = 0; i < deletion->spent_count; i++)
		spent[i] = *ice_data_file_copy(deletion->arena, &deletion->spent[i]);
	edit->removed = removed;
	edit->removed_count = deletion->removed_count;
	edit->removed_deletes = spent;
	edit->removed_delete_count = deletion->spent_count;
}

static int branch_snapshot(
	const struct ice_table *table, struct weir_str branch, int64_t *ret_snapshot, struct weir_error *err)
{
	const struct ice_metadata *metadata = table->metadata;
	*ret_snapshot = -1;
	for (uint32_t i = 0; i < metadata->ref_count && branch.size > 0; i++)
		if (weir_str_equal(metadata->refs[i].name, branch))
			*ret_snapshot = metadata->refs[i].snapshot_id;
	if (branch.size > 0 && !weir_str_is(branch, "main") && *ret_snapshot == -1)
		return weir_fail_at(err, WEIR_E_NOT_FOUND, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table has no branch '%.*s'", WEIR_STR_ARG(branch));
	return 0;
}

int ice_delete_rows(struct ice_table *table, const struct expr_filter *filter, struct weir_str branch,
	struct weir_str prefix, struct weir_arena *arena, struct ice_row_delta *ret_delta, struct weir_error *err)
{
	struct deletion deletion = {.table = table, .filter = filter, .arena = arena};
	struct ice_row_delta delta = {.edit = {.operation = ICE_OP_DELETE}};
	struct ice_file_list *list = NULL;
	int64_t snapshot;
	if (table->metadata->format_version < 2)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"rows are deleted by position from format version 2 on; upgrade the table");
	int code = branch_snapshot(table, branch, &snapshot, err);
	if (code == 0)
		code = make_projection(&deletion, err);
	if (code == 0)
		code = ice_plan(table, snapshot, filter, &list, err);
	uint32_t count = code == 0 ? list->count : 0;
	deletion.vectors = weir_zalloc((count + 1) * sizeof *deletion.vectors);
	deletion.made = weir_zalloc((count + 1) * sizeof(struct ice_positions *));
	deletion.removed = weir_zalloc((count + 1) * sizeof *deletion.removed);
	for (uint32_t i = 0; i < count && code == 0; i++)
		code = delete_of_file(&deletion, list->files[i], err);
	if (code == 0)
		code = write_files(&deletion, prefix, &delta.edit, err);
	if (code == 0) {
		copy_removed(&deletion, &delta.edit);
		delta.edit.branch = weir_arena_str(arena, branch);
		delta.edit.prefix = weir_arena_str(arena, prefix);
		delta.rows = deletion.rows;
		*ret_delta = delta;
	}
	for (uint32_t i = 0; i < deletion.vector_count; i++)
		ice_positions_free(deletion.made[i]);
	free(deletion.vectors);
	free(deletion.made);
	free(deletion.removed);
	free(deletion.spent);
	ice_file_list_free(list);
	return code;
}
