/*
 * Writing data files: rows are split by their partition tuple under one spec, each partition into a Parquet file of
 * its own. A file is closed past target_bytes, or when too many partitions are
 * open and it is the one longest unused. Handles stay open and not yet durable: one barrier takes them all.
 *
 * Order: in a table that declares a sort order rows are held, up to sort_bytes, sorted and written as a run. A file has
 * rows of one run, so that its sort_order_id is true of all of them.
 *
 * Splitting: a row's tuple is computed without copies, compared with the previous row's (rows come sorted or from one
 * purpose, mostly) and else looked up by hash. One thread at a time.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "column/order.h"
#include "iceberg/internal.h"

#define DEFAULT_TARGET_BYTES (128ULL << 20)
#define DEFAULT_MAX_OPEN     64
#define DEFAULT_SORT_BYTES   (256ULL << 20)

/* One partition, with its open file if it has one. */
struct slot {
	uint64_t hash;
	struct ice_partition_value *values; /* in the writer's arena */
	struct pq_writer *parquet;          /* NULL: no file is open */
	struct store_file *file;
	uint64_t last_used;
	bool is_spliced; /* the open file has rows whose order nobody looked at */
	uint16_t *rows;  /* of the current batch */
	uint32_t row_count;
};

struct ice_writer {
	struct ice_table *table;
	struct weir_arena *arena;
	const struct ice_spec *spec;
	const struct weir_schema *schema; /* of the files */
	uint32_t *columns;                /* of each partition field, in the table's schema */
	struct weir_str location, prefix;
	struct pq_write_options parquet_options;
	uint64_t target_bytes, uses;
	uint32_t max_open, open_count;
	struct slot *slots;
	uint32_t slot_count, slot_capacity;
	uint32_t *index; /* open addressing: slot + 1 */
	uint32_t index_capacity;
	uint32_t file_number;
	ice_order_fn *order; /* NULL: rows are written as they come */
	void *order_context;
	int32_t sort_order_id; /* of what `order` makes; 0: none of the table's */
	uint64_t sort_bytes, held_bytes;
	struct weir_batch **held; /* to be sorted */
	uint32_t held_count, held_capacity;
	bool has_run; /* one was written: the open files are its */
	struct weir_arena *written_arena;
	struct ice_data_file *files;
	struct store_file **handles;
	uint32_t file_count, file_capacity;
};

const struct weir_schema *ice_lineage_schema(struct weir_arena *arena, const struct weir_schema *schema)
{
	struct weir_schema *wide = weir_arena_copy(arena, schema, sizeof *schema);
	wide->fields = weir_arena_calloc(arena, schema->field_count + 2, sizeof *wide->fields);
	memcpy(wide->fields, schema->fields, schema->field_count * sizeof *wide->fields);
	wide->fields[wide->field_count++] =
		(struct weir_field){.name = WEIR_STR("_row_id"), .id = ICE_FIELD_ROW_ID, .type = WEIR_INT64};
	wide->fields[wide->field_count++] = (struct weir_field){
		.name = WEIR_STR("_last_updated_sequence_number"), .id = ICE_FIELD_ROW_SEQUENCE, .type = WEIR_INT64};
	return wide;
}

int ice_writer_open(struct ice_table *table, const struct ice_write_options *options, struct ice_writer **ret_writer,
	struct weir_error *err)
{
	const struct ice_spec *spec = ice_metadata_spec(table->metadata, options->spec_id);
	const struct weir_schema *schema = ice_table_schema(table);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str location;
	int code = 0;
	if (spec == NULL)
		code = weir_fail_at(err, WEIR_E_INPUT, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table has no partition spec %d", options->spec_id);
	if (code == 0)
		code = store_name_of(table->store, arena, table->metadata->location, &location, err);
	uint32_t *columns = spec != NULL ? weir_arena_calloc(arena, spec->field_count, sizeof *columns) : NULL;
	for (uint32_t i = 0; code == 0 && i < spec->field_count; i++) {
		columns[i] = weir_schema_find_id(schema, spec->fields[i].source_id);
		if (columns[i] == WEIR_NO_FIELD && spec->fields[i].transform.kind != ICE_VOID)
			code = weir_fail_at(err, WEIR_E_UNSUPPORTED, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
				"partition field '%.*s' has no top-level column", WEIR_STR_ARG(spec->fields[i].name));
	}
	if (code != 0) {
		weir_arena_free(arena);
		return code;
	}
	struct ice_writer *writer = weir_zalloc(sizeof *writer);
	writer->table = ice_table_ref(table);
	writer->arena = arena;
	writer->written_arena = weir_arena_new(0);
	writer->spec = spec;
	writer->columns = columns;
	writer->schema = options->lineage ? ice_lineage_schema(arena, schema) : schema;
	writer->location = location;
	writer->prefix = weir_arena_str(arena, options->prefix);
	writer->target_bytes = options->target_bytes > 0 ? options->target_bytes : DEFAULT_TARGET_BYTES;
	writer->max_open = options->max_open > 0 ? options->max_open : DEFAULT_MAX_OPEN;
	writer->parquet_options = (struct pq_write_options){.codec = options->codec,
		.level = options->level,
		.row_group_bytes = options->row_group_bytes,
		.bloom_ids = weir_arena_copy(arena, options->bloom_ids, options->bloom_count * sizeof(int32_t)),
		.bloom_count = options->bloom_count};
	writer->sort_bytes = options->sort_bytes > 0 ? options->sort_bytes : DEFAULT_SORT_BYTES;
	struct ice_row_order *order =
		options->order == ICE_WRITE_SORTED ? ice_row_order_new(arena, table->metadata, schema) : NULL;
	if (order != NULL) {
		ice_writer_order(writer, ice_row_order_picks, order);
		writer->sort_order_id = ice_row_order_id(order);
	}
	*ret_writer = writer;
	return 0;
}

void ice_writer_order(struct ice_writer *writer, ice_order_fn *order, void *context)
{
	WEIR_ASSERT(writer->held_count == 0 && !writer->has_run);
	writer->order = order;
	writer->order_context = context;
	writer->sort_order_id = 0;
}

/* ---- finished files ---- */

static void set_bounds(struct weir_arena *arena, const struct pq_column_stats *stats, const struct weir_field *field,
	struct ice_column_metrics *metrics)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	bool is_text = weir_type_is_text(field->type);
	if (!stats->has_bounds || weir_type_is_nested(field->type) ||
		(field->type == WEIR_DECIMAL && stats->min.kind == EXPR_NUMBER)) /* past 64 bits: not exact */
		return;
	ice_value_encode(&stats->min, field, &bytes);
	metrics->has_lower = true;
	metrics->lower = is_text
		? ice_bound_lower(arena, weir_buf_str(&bytes), field->type == WEIR_STRING, ICE_BOUND_LENGTH)
		: weir_arena_str(arena, weir_buf_str(&bytes));
	bytes.size = 0;
	ice_value_encode(&stats->max, field, &bytes);
	metrics->has_upper = true;
	if (is_text)
		metrics->has_upper = ice_bound_upper(
			arena, weir_buf_str(&bytes), field->type == WEIR_STRING, ICE_BOUND_LENGTH, &metrics->upper);
	else
		metrics->upper = weir_arena_str(arena, weir_buf_str(&bytes));
	weir_buf_done(&bytes);
}

static void set_metrics(struct ice_writer *writer, const struct pq_file_info *info, struct ice_data_file *file)
{
	const struct weir_schema *schema = ice_table_schema(writer->table);
	struct weir_arena *arena = writer->written_arena;
	file->metrics = weir_arena_calloc(arena, info->column_count, sizeof *file->metrics);
	for (uint32_t i = 0; i < info->column_count; i++) {
		const struct pq_column_stats *stats = &info->columns[i];
		const struct weir_field *field = ice_schema_field(schema, stats->field_id);
		if (field == NULL)
			continue;
		struct ice_column_metrics *metrics = &file->metrics[file->metric_count++];
		bool may_be_nan = field->type == WEIR_FLOAT || field->type == WEIR_DOUBLE;
		*metrics = (struct ice_column_metrics){.field_id = stats->field_id,
			.size_bytes = (int64_t)stats->size_bytes,
			.value_count = (int64_t)stats->value_count,
			.null_count = (int64_t)stats->null_count,
			.nan_count = may_be_nan ? (int64_t)stats->nan_count : -1};
		set_bounds(arena, stats, field, metrics);
	}
	file->split_count = info->row_group_count;
	file->split_offsets = weir_arena_calloc(arena, file->split_count, sizeof *file->split_offsets);
	for (uint32_t i = 0; i < file->split_count; i++)
		file->split_offsets[i] = (int64_t)info->split_offsets[i];
}

static int close_slot(struct ice_writer *writer, struct slot *slot, struct weir_error *err)
{
	struct weir_arena *arena = writer->written_arena;
	struct pq_file_info info;
	int code = pq_writer_close(slot->parquet, arena, &info, err);
	slot->parquet = NULL;
	writer->open_count--;
	if (code != 0) {
		store_abandon(writer->table->store, slot->file);
		slot->file = NULL;
		return code;
	}
	if (writer->file_count == writer->file_capacity) {
		writer->file_capacity = writer->file_capacity > 0 ? 2 * writer->file_capacity : 16;
		writer->files = weir_realloc(writer->files, writer->file_capacity, sizeof *writer->files);
		writer->handles = weir_realloc(writer->handles, writer->file_capacity, sizeof *writer->handles);
	}
	struct ice_data_file *file = &writer->files[writer->file_count];
	*file = (struct ice_data_file){ICE_NEW_FILE, .content = ICE_DATA, .format = WEIR_STR("PARQUET"),
		.spec_id = writer->spec->id,
		.path = store_uri(writer->table->store, arena, weir_str_from(store_file_name(slot->file))),
		.record_count = (int64_t)info.row_count, .size_bytes = (int64_t)info.size_bytes};
	file->sort_order_id = slot->is_spliced ? 0 : writer->sort_order_id;
	file->partition_count = writer->spec->field_count;
	file->partition = weir_arena_calloc(arena, file->partition_count, sizeof *file->partition);
	for (uint32_t i = 0; i < file->partition_count; i++)
		file->partition[i] = ice_partition_value_copy(arena, &slot->values[i]);
	set_metrics(writer, &info, file);
	writer->handles[writer->file_count++] = slot->file;
	slot->file = NULL;
	return 0;
}

/* ---- open files ---- */

static int close_longest_unused(struct ice_writer *writer, struct weir_error *err)
{
	struct slot *oldest = NULL;
	for (uint32_t i = 0; i < writer->slot_count; i++)
		if (writer->slots[i].parquet != NULL &&
			(oldest == NULL || writer->slots[i].last_used < oldest->last_used))
			oldest = &writer->slots[i];
	WEIR_ASSERT(oldest != NULL);
	return close_slot(writer, oldest, err);
}

/* The name of a partition's next file. A partition path that is too long becomes its hash. */
static char *file_name(struct ice_writer *writer, const struct slot *slot)
{
	struct weir_str path =
		ice_partition_path(writer->arena, writer->spec, ice_table_schema(writer->table), slot->values);
	if (path.size > ICE_PATH_PART_MAX)
		path = weir_str_from(weir_arena_printf(
			writer->arena, "partition=%016llx", (unsigned long long)weir_hash64(path.data, path.size)));
	return weir_arena_printf(writer->arena, "%.*s/data/%.*s%s%.*s-%u.parquet", WEIR_STR_ARG(writer->location),
		WEIR_STR_ARG(path), path.size > 0 ? "/" : "", WEIR_STR_ARG(writer->prefix), writer->file_number++);
}

static int open_slot(struct ice_writer *writer, struct slot *slot, struct weir_error *err)
{
	slot->last_used = ++writer->uses;
	if (slot->parquet != NULL)
		return 0;
	int code = writer->open_count >= writer->max_open ? close_longest_unused(writer, err) : 0;
	if (code == 0)
		code = store_create(writer->table->store, file_name(writer, slot), &slot->file, err);
	if (code != 0)
		return code;
	code = pq_writer_open(
		store_file_sink(slot->file), writer->schema, &writer->parquet_options, &slot->parquet, err);
	if (code != 0) {
		store_abandon(writer->table->store, slot->file);
		slot->file = NULL;
		return code;
	}
	writer->open_count++;
	slot->is_spliced = false;
	return 0;
}

static int close_open(struct ice_writer *writer, struct weir_error *err)
{
	int code = 0;
	for (uint32_t i = 0; i < writer->slot_count && code == 0; i++)
		if (writer->slots[i].parquet != NULL)
			code = close_slot(writer, &writer->slots[i], err);
	return code;
}

static int close_if_full(struct ice_writer *writer, struct slot *slot, struct weir_error *err)
{
	return store_file_size(slot->file) >= writer->target_bytes ? close_slot(writer, slot, err) : 0;
}

/* ---- splitting ---- */

static uint64_t hash_values(const struct ice_partition_value *values, uint32_t count)
{
	uint64_t hash = count;
	for (uint32_t i = 0; i < count; i++) {
		const struct expr_value *value = &values[i].value;
		uint64_t own = 0;
		if (values[i].is_null)
			own = 1;
		else if (value->kind == EXPR_TEXT)
			own = weir_hash64(value->u.text.data, value->u.text.size);
		else if (value->kind == EXPR_UUID)
			own = weir_hash64(value->u.uuid.bytes, sizeof value->u.uuid.bytes);
		else if (value->kind == EXPR_BOOLEAN)
			own = 2 + value->u.boolean;
		else
			own = weir_mix64((uint64_t)value->u.integer); /* a double's bits alike */
		hash = weir_mix64(hash * 31 + own);
	}
	return hash;
}

static bool same_values(const struct ice_partition_value *a, const struct ice_partition_value *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!ice_partition_value_equal(&a[i], &b[i]))
			return false;
	return true;
}

static void grow_index(struct ice_writer *writer)
{
	writer->index_capacity = writer->index_capacity > 0 ? 2 * writer->index_capacity : 64;
	writer->index = weir_realloc(writer->index, writer->index_capacity, sizeof *writer->index);
	memset(writer->index, 0, writer->index_capacity * sizeof *writer->index);
	for (uint32_t i = 0; i < writer->slot_count; i++) {
		uint32_t at = (uint32_t)writer->slots[i].hash & (writer->index_capacity - 1);
		while (writer->index[at] != 0)
			at = (at + 1) & (writer->index_capacity - 1);
		writer->index[at] = i + 1;
	}
}

static uint32_t find_slot(struct ice_writer *writer, const struct ice_partition_value *values)
{
	uint32_t count = writer->spec->field_count;
	uint64_t hash = hash_values(values, count);
	if (2 * (writer->slot_count + 1) > writer->index_capacity)
		grow_index(writer);
	uint32_t at = (uint32_t)hash & (writer->index_capacity - 1);
	for (; writer->index[at] != 0; at = (at + 1) & (writer->index_capacity - 1)) {
		const struct slot *slot = &writer->slots[writer->index[at] - 1];
		if (slot->hash == hash && same_values(slot->values, values, count))
			return writer->index[at] - 1;
	}
	WEIR_GROW(writer->slots, writer->slot_count, writer->slot_capacity);
	struct slot *slot = &writer->slots[writer->slot_count];
	*slot = (struct slot){.hash = hash};
	slot->values = weir_arena_calloc(writer->arena, count, sizeof *slot->values);
	for (uint32_t i = 0; i < count; i++)
		slot->values[i] = ice_partition_value_copy(writer->arena, &values[i]);
	writer->index[at] = ++writer->slot_count;
	return writer->slot_count - 1;
}

/* The tuple of a row; texts borrow from the batch. */
static void row_values(struct ice_writer *writer, struct weir_arena *scratch, const struct weir_batch *batch,
	uint32_t row, struct ice_partition_value *values)
{
	for (uint32_t i = 0; i < writer->spec->field_count; i++) {
		values[i] = (struct ice_partition_value){.is_null = true};
		if (writer->columns[i] == WEIR_NO_FIELD)
			continue;
		const struct weir_column *column = &batch->columns[writer->columns[i]];
		if (!weir_column_is_valid(column, row))
			continue;
		struct expr_value value = ice_cell_value(scratch, column, row);
		values[i] = ice_transform_value(writer->spec->fields[i].transform, column->type, &value);
	}
}

static void split_rows(struct ice_writer *writer, struct weir_arena *scratch, const struct weir_batch *batch,
	const struct weir_selection *selection)
{
	uint32_t fields = writer->spec->field_count, previous = UINT32_MAX;
	struct ice_partition_value *values = weir_arena_calloc(scratch, fields, sizeof *values);
	uint32_t count = selection != NULL ? selection->count : batch->row_count;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t row = selection != NULL ? selection->rows[i] : i;
		row_values(writer, scratch, batch, row, values);
		if (previous == UINT32_MAX || !same_values(writer->slots[previous].values, values, fields))
			previous = find_slot(writer, values);
		struct slot *slot = &writer->slots[previous];
		if (slot->rows == NULL)
			slot->rows = weir_arena_alloc(scratch, count * sizeof *slot->rows);
		slot->rows[slot->row_count++] = (uint16_t)row;
	}
}

static int write_rows(struct ice_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(0);
	int code = 0;
	split_rows(writer, scratch, batch, selection);
	for (uint32_t i = 0; i < writer->slot_count; i++) {
		struct slot *slot = &writer->slots[i];
		const struct weir_selection rows = {slot->rows, slot->row_count};
		slot->rows = NULL;
		slot->row_count = 0;
		if (rows.count == 0 || code != 0)
			continue;
		code = open_slot(writer, slot, err);
		if (code == 0)
			code = pq_writer_add(slot->parquet, batch, &rows, err);
		if (code == 0)
			code = close_if_full(writer, slot, err);
	}
	weir_arena_free(scratch);
	return code;
}

/* ---- sorting ---- */

static void release_held(struct ice_writer *writer)
{
	for (uint32_t i = 0; i < writer->held_count; i++)
		weir_batch_release(writer->held[i]);
	writer->held_count = 0;
	writer->held_bytes = 0;
}

/* Writes what is held, in order. Files of an earlier run that claim to be sorted end before it. */
static int write_run(struct ice_writer *writer, struct weir_error *err)
{
	uint64_t rows = 0;
	if (writer->held_count == 0)
		return 0;
	int code = writer->has_run && writer->sort_order_id > 0 ? close_open(writer, err) : 0;
	struct weir_pick *picks = writer->order(writer->order_context, writer->held, writer->held_count, &rows);
	for (uint64_t at = 0; at < rows && code == 0; at += WEIR_BATCH_ROWS) {
		struct weir_arena *arena = weir_arena_new(0);
		uint32_t count = (uint32_t)(rows - at < WEIR_BATCH_ROWS ? rows - at : WEIR_BATCH_ROWS);
		struct weir_batch *batch = weir_batch_gather(arena, writer->held, picks + at, count);
		code = write_rows(writer, batch, NULL, err);
		weir_arena_free(arena);
	}
	free(picks);
	release_held(writer);
	writer->has_run = true;
	return code;
}

static int hold(struct ice_writer *writer, struct weir_batch *take_batch, struct weir_error *err)
{
	WEIR_GROW(writer->held, writer->held_count, writer->held_capacity);
	writer->held[writer->held_count++] = take_batch;
	writer->held_bytes += weir_batch_bytes(take_batch);
	return writer->held_bytes >= writer->sort_bytes ? write_run(writer, err) : 0;
}

static void release_copy(struct weir_batch *batch)
{
	weir_arena_free(batch->owner);
}

/* The chosen rows as a batch of its own. */
static struct weir_batch *copy_rows(
	const struct ice_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection)
{
	struct weir_arena *arena = weir_arena_new(0), *scratch = weir_arena_new(0);
	const struct weir_batch *chosen = batch;
	if (selection != NULL) {
		struct weir_batch *source = weir_arena_copy(scratch, batch, sizeof *batch);
		struct weir_pick *picks = weir_arena_calloc(scratch, selection->count, sizeof *picks);
		for (uint32_t i = 0; i < selection->count; i++)
			picks[i].row = selection->rows[i];
		chosen = weir_batch_gather(scratch, &source, picks, selection->count);
	}
	struct weir_batch *copy = weir_batch_copy(arena, chosen);
	copy->schema = writer->schema;
	copy->owner = arena;
	copy->release = release_copy;
	weir_arena_free(scratch);
	return copy;
}

int ice_writer_add(struct ice_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err)
{
	WEIR_ASSERT(batch->schema->field_count == writer->schema->field_count);
	return writer->order != NULL ? hold(writer, copy_rows(writer, batch, selection), err)
				     : write_rows(writer, batch, selection, err);
}

int ice_writer_take(struct ice_writer *writer, struct weir_batch *take_batch, struct weir_error *err)
{
	WEIR_ASSERT(take_batch->schema->field_count == writer->schema->field_count);
	if (writer->order != NULL)
		return hold(writer, take_batch, err);
	int code = write_rows(writer, take_batch, NULL, err);
	weir_batch_release(take_batch);
	return code;
}

int ice_writer_splice(struct ice_writer *writer, const struct ice_partition_value *partition,
	const struct pq_row_group *group, struct weir_error *err)
{
	uint32_t index = find_slot(writer, partition); /* may move the slots */
	struct slot *slot = &writer->slots[index];
	int code = open_slot(writer, slot, err);
	slot->is_spliced = true;
	if (code == 0)
		code = pq_writer_splice(slot->parquet, group, err);
	return code == 0 ? close_if_full(writer, slot, err) : code;
}

/* ---- the end ---- */

static void writer_free(struct ice_writer *writer)
{
	for (uint32_t i = 0; i < writer->slot_count; i++) {
		if (writer->slots[i].parquet != NULL)
			pq_writer_abandon(writer->slots[i].parquet);
		if (writer->slots[i].file != NULL)
			store_abandon(writer->table->store, writer->slots[i].file);
	}
	release_held(writer);
	ice_table_unref(writer->table);
	weir_arena_free(writer->arena);
	weir_arena_free(writer->written_arena);
	free(writer->held);
	free(writer->slots);
	free(writer->index);
	free(writer->files);
	free(writer->handles);
	free(writer);
}

int ice_writer_close(struct ice_writer *take_writer, struct ice_written *ret_written, struct weir_error *err)
{
	struct ice_writer *writer = take_writer;
	int code = write_run(writer, err);
	if (code == 0)
		code = close_open(writer, err);
	if (code != 0) {
		ice_writer_abandon(writer);
		return code;
	}
	struct weir_arena *arena = writer->written_arena;
	writer->written_arena = NULL;
	*ret_written = (struct ice_written){.arena = arena,
		.count = writer->file_count,
		.files = weir_arena_copy(arena, writer->files, writer->file_count * sizeof *writer->files),
		.handles = weir_arena_copy(arena, writer->handles, writer->file_count * sizeof *writer->handles)};
	writer_free(writer);
	return 0;
}

void ice_writer_abandon(struct ice_writer *take_writer)
{
	if (take_writer == NULL)
		return;
	for (uint32_t i = 0; i < take_writer->file_count; i++)
		store_abandon(take_writer->table->store, take_writer->handles[i]);
	writer_free(take_writer);
}

void ice_written_abandon(struct store *store, struct ice_written *take_written)
{
	for (uint32_t i = 0; i < take_written->count; i++)
		store_abandon(store, take_written->handles[i]);
	ice_written_free(take_written);
}

void ice_written_free(struct ice_written *written)
{
	weir_arena_free(written->arena);
	*written = (struct ice_written){0};
}
