/*
 * A table with random histories, and what it must hold: rows of three small columns, counted by value. Every kind of change
 * that the tests of deletes and changelogs need.
 */
#ifndef WEIR_TESTS_ICE_RANDOM_H
#define WEIR_TESTS_ICE_RANDOM_H

#include "base/rng.h"
#include "ice_lake.h"
#include "iceberg/row_delta.h"
#include "iceberg/upkeep.h"

#define IDS    8 /* of column id */
#define PARTS  3 /* of column part */
#define VALUES 4 /* of column value; 0 is null */
#define ROWS   (IDS * PARTS * VALUES)

/* How often each row is there. */
struct rows {
	int count[ROWS];
};

struct history {
	struct ice_lake lake;
	struct ice_table *table;
	struct weir_rng rng;
	struct rows now;
};

static inline int row_code(int id, int part, int value)
{
	return (id * PARTS + part) * VALUES + value;
}

static inline struct history history_open(uint64_t seed, const char *version, const char *granularity)
{
	struct history history = {.lake = lake_open(1 << 20), .rng = weir_rng_new(seed)};
	struct ice_lake *lake = &history.lake;
	struct weir_schema *schema = weir_arena_zalloc(lake->arena, sizeof *schema);
	struct ice_partition_field *field = weir_arena_zalloc(lake->arena, sizeof *field);
	struct ice_spec *specs = weir_arena_calloc(lake->arena, 2, sizeof *specs);
	struct ice_kv *properties = weir_arena_calloc(lake->arena, 1, sizeof *properties);
	schema->field_count = 3;
	schema->fields = weir_arena_calloc(lake->arena, 3, sizeof *schema->fields);
	schema->fields[0] = (struct weir_field){.name = WEIR_STR("id"), .id = 1, .type = WEIR_INT64};
	schema->fields[1] = (struct weir_field){.name = WEIR_STR("part"), .id = 2, .type = WEIR_STRING};
	schema->fields[2] = (struct weir_field){.name = WEIR_STR("value"), .id = 3, .type = WEIR_STRING};
	*field = (struct ice_partition_field){
		.source_id = 2, .field_id = 1000, .name = WEIR_STR("part"), .transform = {ICE_IDENTITY, 0}};
	specs[0] = (struct ice_spec){.id = 0, .field_count = 1, .fields = field};
	specs[1] = (struct ice_spec){.id = 1};
	properties[0] = (struct ice_kv){WEIR_STR("write.delete.granularity"), weir_str_from(granularity)};
	struct ice_definition definition = {.name = LAKE_NAME,
		.schema = schema,
		.specs = specs,
		.spec_count = 2,
		.properties = properties,
		.property_count = 1,
		.location = WEIR_STR("gold/t")};
	lake_define(lake, &definition);
	history.table = lake_load(lake);
	if (strcmp(version, "2") != 0)
		history.table = lake_upgrade(lake, history.table, version);
	return history;
}

static inline void history_close(struct history *history)
{
	ice_table_unref(history->table);
	lake_close(&history->lake);
}

static inline int below(struct history *history, unsigned bound)
{
	return (int)weir_rng_below(&history->rng, bound);
}

/* The row that a batch of the table's columns has. */
static inline int row_of(const struct weir_batch *batch, uint32_t row)
{
	int id = (int)weir_column_i64(&batch->columns[0], row);
	int part = weir_column_str(&batch->columns[1], row).data[4] - '0';
	int value = weir_column_is_valid(&batch->columns[2], row)
		? weir_column_str(&batch->columns[2], row).data[5] - '0'
		: 0;
	assert_in_range(id, 0, IDS - 1);
	assert_in_range(part, 0, PARTS - 1);
	assert_in_range(value, 0, VALUES - 1);
	return row_code(id, part, value);
}

static inline struct rows scan_files(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_reader *reader;
	struct weir_batch *batch;
	struct rows rows = {0};
	lake_check(ice_reader_open(table, files, count, NULL, NULL, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++)
			rows.count[row_of(batch, i)]++;
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	return rows;
}

static inline struct rows scan_rows(struct ice_table *table)
{
	struct ice_file_list *files = lake_plan(table, NULL);
	struct rows rows = scan_files(table, files->files, files->count);
	ice_file_list_free(files);
	return rows;
}

static inline struct rows random_rows(struct history *history, unsigned most)
{
	struct rows rows = {0};
	for (int i = below(history, most) + 1; i > 0; i--)
		rows.count[below(history, ROWS)]++;
	return rows;
}

/* Rows as durable files of the default spec. */
static inline struct ice_written write_rows(struct history *history, const struct rows *rows)
{
	struct weir_builder *builder = weir_builder_new(ice_table_schema(history->table));
	for (int row = 0; row < ROWS; row++)
		for (int i = 0; i < rows->count[row]; i++) {
			char part[16], value[32];
			snprintf(part, sizeof part, "part%d", row / VALUES % PARTS);
			snprintf(value, sizeof value, "value%d, longer than inline", row % VALUES);
			weir_builder_i64(builder, 0, row / VALUES / PARTS);
			weir_builder_str(builder, 1, weir_str_from(part));
			if (row % VALUES != 0)
				weir_builder_str(builder, 2, weir_str_from(value));
			weir_builder_end_row(builder);
		}
	return lake_write(&history->lake, history->table, builder);
}

static inline void append_rows(struct history *history, struct rows rows)
{
	struct ice_written written = write_rows(history, &rows);
	history->table = lake_edit(&history->lake, history->table,
		(struct ice_edit){.operation = ICE_OP_APPEND, .added = written.files, .added_count = written.count});
	ice_written_free(&written);
	for (int i = 0; i < ROWS; i++)
		history->now.count[i] += rows.count[i];
}

/* Deletes the rows with this id, and where value > 0 only those with this value. False: there was none. */
static inline bool delete_rows(struct history *history, int id, int value)
{
	struct weir_error err = WEIR_ERROR_INIT;
	char text[32];
	snprintf(text, sizeof text, "value%d, longer than inline", value);
	const struct expr_value values[2] = {
		{.kind = EXPR_INTEGER, .u.integer = id}, {.kind = EXPR_TEXT, .u.text = weir_str_from(text)}};
	const struct expr_term terms[2] = {{1, EXPR_EQ, &values[0], 1}, {3, EXPR_EQ, &values[1], 1}};
	const struct expr_filter filter = {terms, value > 0 ? 2 : 1};
	struct ice_row_delta delta;
	uint64_t gone = 0;
	lake_check(ice_delete_rows(history->table, &filter, (struct weir_str){0}, lake_prefix(&history->lake),
			   history->lake.arena, &delta, &err),
		&err);
	for (int part = 0; part < PARTS; part++)
		for (int v = 0; v < VALUES; v++)
			if (value == 0 || v == value) {
				gone += (uint64_t)history->now.count[row_code(id, part, v)];
				history->now.count[row_code(id, part, v)] = 0;
			}
	assert_int_equal(delta.rows, gone);
	if (gone > 0)
		history->table = lake_edit(&history->lake, history->table, delta.edit);
	return gone > 0;
}

/* Equality deletes of an id, everywhere (by the spec without fields), and rows in the same commit. */
static inline void delete_equal(struct history *history, int id, struct rows rows)
{
	struct ice_lake *lake = &history->lake;
	struct ice_written written = write_rows(history, &rows);
	struct ice_data_file *added = weir_arena_calloc(lake->arena, written.count + 1, sizeof *added);
	memcpy(added, written.files, written.count * sizeof *added);
	added[written.count] = lake_equality_deletes(lake, id);
	added[written.count].spec_id = 1;
	history->table = lake_edit(lake, history->table,
		(struct ice_edit){.operation = ICE_OP_OVERWRITE, .added = added, .added_count = written.count + 1});
	ice_written_free(&written);
	for (int i = 0; i < ROWS; i++)
		history->now.count[i] = (i / VALUES / PARTS == id ? 0 : history->now.count[i]) + rows.count[i];
}

/* A file gives way to one with its rows, of which some went, some changed and some are new. */
static inline void overwrite_file(struct history *history)
{
	struct ice_file_list *files = lake_plan(history->table, NULL);
	if (files->count > 0) {
		const struct ice_data_file *file = files->files[below(history, files->count)];
		struct rows old = scan_files(history->table, &file, 1), new = old;
		struct rows more = random_rows(history, 3);
		for (int i = 0; i < ROWS; i++) {
			if (new.count[i] > 0 && below(history, 4) == 0)
				new.count[i]--;
			new.count[i] += more.count[i];
		}
		struct ice_written written = write_rows(history, &new);
		history->table = lake_edit(&history->lake, history->table,
			(struct ice_edit){.operation = ICE_OP_OVERWRITE,
				.added = written.files,
				.added_count = written.count,
				.removed = &file->path,
				.removed_count = 1});
		ice_written_free(&written);
		for (int i = 0; i < ROWS; i++)
			history->now.count[i] += new.count[i] - old.count[i];
	}
	ice_file_list_free(files);
}

static inline int history_commit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	(void)err;
	*ret_table = lake_edit(context, ice_table_ref(table), *edit);
	return 0;
}

static inline void compact_table(struct history *history)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_compact_counts counts;
	struct ice_compact_options options = {
		.all = true, .prefix = lake_prefix(&history->lake), .now_ms = history->lake.now_ms};
	lake_check(ice_compact(history->table, &options, history_commit, NULL, &history->lake, &counts, &err), &err);
	ice_table_unref(history->table);
	history->table = lake_load(&history->lake);
}

/* A delete file is taken back: its rows are there again. */
static inline void take_back(struct history *history)
{
	struct ice_file_list *files = lake_plan(history->table, NULL);
	const struct ice_data_file *delete = NULL;
	for (uint32_t i = 0; i < files->count && delete == NULL; i++)
		if (files->files[i]->delete_count > 0)
			delete = files->files[i]->deletes[below(history, files->files[i]->delete_count)];
	if (delete != NULL) {
		history->table = lake_edit(&history->lake, history->table,
			(struct ice_edit){
				.operation = ICE_OP_OVERWRITE, .removed_deletes = delete, .removed_delete_count = 1});
		history->now = scan_rows(history->table);
	}
	ice_file_list_free(files);
}

/* One random change; history->now follows. */
static inline void random_change(struct history *history)
{
	switch (below(history, 12)) {
	case 0:
	case 1:
	case 2:
		append_rows(history, random_rows(history, 20));
		break;
	case 3:
	case 4:
	case 5:
		delete_rows(history, below(history, IDS), below(history, VALUES));
		break;
	case 6:
	case 7:
		overwrite_file(history);
		break;
	case 8:
	case 9:
		delete_equal(history, below(history, IDS), random_rows(history, 6));
		break;
	case 10:
		compact_table(history);
		break;
	default:
		take_back(history);
	}
	struct rows seen = scan_rows(history->table);
	assert_memory_equal(&seen, &history->now, sizeof seen);
}

static inline uint64_t random_seed(void)
{
	const char *given = getenv("WEIR_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 20260721;
	print_message("WEIR_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

#endif
