/*
 * Compaction with deletes and row lineage, in each order; manifests rewritten; orphans beside a writer that has not
 * committed; deletes of each kind by sequence number and partition.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ice_lake.h"
#include "iceberg/puffin.h"
#include "iceberg/upkeep.h"

/* id int, group text, x int: unpartitioned, or by group. */
static struct ice_table *new_table(struct ice_lake *lake, bool partitioned, const char *version)
{
	struct weir_schema *schema = weir_arena_zalloc(lake->arena, sizeof *schema);
	struct ice_partition_field *field = weir_arena_zalloc(lake->arena, sizeof *field);
	struct ice_spec *spec = weir_arena_zalloc(lake->arena, sizeof *spec);
	schema->field_count = 3;
	schema->fields = weir_arena_calloc(lake->arena, 3, sizeof *schema->fields);
	schema->fields[0] = (struct weir_field){.name = WEIR_STR("id"), .id = 1, .type = WEIR_INT64};
	schema->fields[1] = (struct weir_field){.name = WEIR_STR("part"), .id = 2, .type = WEIR_STRING};
	schema->fields[2] = (struct weir_field){.name = WEIR_STR("x"), .id = 3, .type = WEIR_INT32};
	*field = (struct ice_partition_field){
		.source_id = 2, .field_id = 1000, .name = WEIR_STR("part"), .transform = {ICE_IDENTITY, 0}};
	*spec = (struct ice_spec){.field_count = partitioned, .fields = field};
	struct ice_definition definition = {
		.name = LAKE_NAME, .schema = schema, .specs = spec, .spec_count = 1, .location = WEIR_STR("gold/t")};
	lake_define(lake, &definition);
	struct ice_table *table = lake_load(lake);
	return strcmp(version, "2") == 0 ? table : lake_upgrade(lake, table, version);
}

/* Writes rows id first..end, group "g<id % 2>", x = id * 37 % 100. Durable, not committed. */
static struct ice_written write_rows(struct ice_lake *lake, struct ice_table *table, int first, int end)
{
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	for (int i = first; i < end; i++) {
		weir_builder_i64(builder, 0, i);
		weir_builder_str(builder, 1, i % 2 == 0 ? WEIR_STR("g0") : WEIR_STR("g1"));
		weir_builder_i64(builder, 2, i * 37 % 100);
		weir_builder_end_row(builder);
	}
	return lake_write(lake, table, builder);
}

static struct ice_table *append(struct ice_lake *lake, struct ice_table *table, int first, int end)
{
	struct ice_written written = write_rows(lake, table, first, end);
	table = lake_edit(lake, table,
		(struct ice_edit){.operation = ICE_OP_APPEND, .added = written.files, .added_count = written.count});
	ice_written_free(&written);
	return table;
}

struct row {
	int64_t id, row_id, sequence, x;
};

/* All rows in the order of the scan. */
static uint32_t read_rows(struct ice_table *table, struct row *rows, uint32_t *ret_files)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct ice_file_list *files = lake_plan(table, NULL);
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint32_t count = 0;
	lake_check(ice_reader_open(table, files->files, files->count,
			   ice_lineage_schema(arena, ice_table_schema(table)), NULL, &reader, &err),
		&err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++, count++) {
			rows[count].id = weir_column_i64(&batch->columns[0], i);
			rows[count].x = weir_column_i64(&batch->columns[2], i);
			rows[count].row_id = weir_column_is_valid(&batch->columns[3], i)
				? weir_column_i64(&batch->columns[3], i)
				: -1;
			rows[count].sequence = weir_column_is_valid(&batch->columns[4], i)
				? weir_column_i64(&batch->columns[4], i)
				: -1;
		}
		weir_batch_release(batch);
	}
	if (ret_files != NULL)
		*ret_files = files->count;
	ice_reader_close(reader);
	ice_file_list_free(files);
	weir_arena_free(arena);
	return count;
}

static int by_id(const void *a, const void *b)
{
	return ((const struct row *)a)->id < ((const struct row *)b)->id ? -1 : 1;
}

static int commit_edit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_lake *lake = context;
	(void)err;
	*ret_table = lake_edit(lake, ice_table_ref(table), *edit);
	return 0;
}

static struct ice_table *compact(struct ice_lake *lake, struct ice_table *take_table, enum ice_compact_order order,
	bool all, struct ice_compact_counts *ret_counts)
{
	static const int32_t columns[] = {3, 1};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_compact_options options = {.order = order,
		.columns = columns,
		.column_count = order == ICE_COMPACT_OWN ? 0 : 2,
		.all = all,
		.prefix = lake_prefix(lake),
		.now_ms = lake->now_ms};
	lake_check(ice_compact(take_table, &options, commit_edit, NULL, lake, ret_counts, &err), &err);
	ice_table_unref(take_table);
	return lake_load(lake);
}

static struct ice_table *delete_rows(struct ice_lake *lake, struct ice_table *table, uint32_t file_index, uint64_t row)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *files = lake_plan(table, NULL);
	struct ice_positions *positions = ice_positions_new();
	struct ice_data_file *added;
	struct ice_vector vector = {files->files[file_index], positions};
	ice_positions_add(positions, row);
	lake_check(ice_vectors_write(table, &vector, 1, lake_prefix(lake), lake->arena, &added, &err), &err);
	table = lake_edit(lake, table, (struct ice_edit){.operation = ICE_OP_DELETE, .added = added, .added_count = 1});
	ice_positions_free(positions);
	ice_file_list_free(files);
	return table;
}

static void test_compaction(void **state)
{
	static const enum ice_compact_order orders[] = {ICE_COMPACT_OWN, ICE_COMPACT_SORT, ICE_COMPACT_ZORDER};
	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct ice_table *table = new_table(&lake, false, "3");
		struct row before[200], after[200];
		struct ice_compact_counts counts;
		uint32_t files;
		for (int i = 0; i < 5; i++)
			table = append(&lake, table, i * 20, i * 20 + 20);
		table = delete_rows(&lake, table, 0, 3);
		table = delete_rows(&lake, table, 2, 19);
		assert_int_equal(read_rows(table, before, &files), 98);
		assert_int_equal(files, 5);
		table = compact(&lake, table, orders[o], false, &counts);
		assert_int_equal(counts.files_read, 5);
		assert_int_equal(counts.rows_deleted, 2);
		assert_int_equal(counts.delete_files_removed, 2);
		assert_int_equal(read_rows(table, after, &files), 98);
		assert_int_equal(files, 1);
		for (uint32_t i = 1; i < 98 && orders[o] == ICE_COMPACT_SORT; i++)
			assert_true(after[i - 1].x < after[i].x ||
				(after[i - 1].x == after[i].x && after[i - 1].id < after[i].id));
		qsort(before, 98, sizeof *before, by_id);
		qsort(after, 98, sizeof *after, by_id);
		assert_memory_equal(before, after, 98 * sizeof *before); /* row ids and their sequence numbers too */
		const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
		assert_true(weir_str_is(ice_summary(snapshot, "operation"), "replace"));
		assert_true(weir_str_is(ice_summary(snapshot, "total-delete-files"), "0"));
		/* nothing is left to do */
		table = compact(&lake, table, ICE_COMPACT_OWN, false, &counts);
		assert_int_equal(counts.commits, 0);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

/* In Z-order the first half of the rows spans about half of each column, where a sort would span all of the second. */
static void test_zorder_is_near(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, false, "2");
	struct ice_compact_counts counts;
	struct row rows[256];
	(void)state;
	table = append(&lake, table, 0, 128);
	table = append(&lake, table, 128, 256);
	table = compact(&lake, table, ICE_COMPACT_ZORDER, true, &counts);
	assert_int_equal(read_rows(table, rows, NULL), 256);
	for (unsigned quarter = 0; quarter < 4; quarter++) {
		int64_t low = INT64_MAX, high = INT64_MIN;
		int64_t least = INT64_MAX, most = INT64_MIN;
		for (unsigned i = quarter * 64; i < quarter * 64 + 50; i++) {
			low = rows[i].id < low ? rows[i].id : low;
			high = rows[i].id > high ? rows[i].id : high;
			least = rows[i].x < least ? rows[i].x : least;
			most = rows[i].x > most ? rows[i].x : most;
		}
		assert_true((high - low) * (most - least) < 256 * 100 * 3 / 4);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

/* A caller that, as a server does, keeps the newest version of its table alone. */
struct owner {
	struct ice_lake *lake;
	struct ice_table *table;
};

static int commit_and_let_go(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct owner *owner = context;
	(void)table;
	(void)err;
	owner->table = lake_edit(owner->lake, owner->table, *edit);
	*ret_table = ice_table_ref(owner->table);
	return 0;
}

/* Groups that are rewritten after a commit need nothing of the version that was planned. */
static void test_a_table_moves_on(void **state)
{
	static const char *const versions[] = {"2", "3"};
	static const int32_t columns[] = {3, 1};
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct owner owner = {&lake, new_table(&lake, true, versions[v])};
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_compact_counts counts;
		struct row rows[100];
		for (int i = 0; i < 3; i++)
			owner.table = append(&lake, owner.table, i * 20, i * 20 + 20);
		struct ice_compact_options options = {.order = ICE_COMPACT_SORT,
			.columns = columns,
			.column_count = 2,
			.all = true,
			.prefix = lake_prefix(&lake),
			.now_ms = lake.now_ms};
		lake_check(ice_compact(owner.table, &options, commit_and_let_go, NULL, &owner, &counts, &err), &err);
		assert_true(counts.commits > 1);
		assert_int_equal(read_rows(owner.table, rows, NULL), 60);
		ice_table_unref(owner.table);
		lake_close(&lake);
	}
}

/* Another writer's edit comes between the preparation and the commit of the first rewrite. */
struct race {
	struct ice_lake *lake;
	struct ice_edit edit;
	bool is_lost;
};

static int commit_late(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct race *race = context;
	if (race->is_lost)
		return commit_edit(race->lake, table, edit, ret_table, err);
	struct ice_prepared *prepared = lake_prepare(race->lake, table, *edit);
	struct ice_table *newer = lake_edit(race->lake, ice_table_ref(table), race->edit);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	race->is_lost = true;
	lake_check(ice_rebase(prepared, newer, err), err);
	ice_stage(prepared, change);
	lake_commit(race->lake, change, true);
	*ret_table = ice_prepared_table(prepared);
	ice_prepared_free(prepared);
	ice_table_unref(newer);
	return 0;
}

/* Of an id, in the partition g0 where there are partitions. */
static struct ice_data_file equality_deletes(struct ice_lake *lake, int64_t id, uint32_t partitions)
{
	struct ice_data_file file = lake_equality_deletes(lake, id);
	file.partition_count = partitions;
	file.partition = weir_arena_zalloc(lake->arena, sizeof *file.partition);
	file.partition->value = (struct expr_value){.kind = EXPR_TEXT, .u.text = WEIR_STR("g0")};
	return file;
}

static bool has_id(struct ice_table *table, int64_t id)
{
	struct row rows[200];
	uint32_t count = read_rows(table, rows, NULL);
	for (uint32_t i = 0; i < count; i++)
		if (rows[i].id == id)
			return true;
	return false;
}

static void test_equality_deletes(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, true, "2");
	struct ice_compact_counts counts;
	(void)state;
	table = append(&lake, table, 0, 10);
	/* of partition g0: id 4 is in it, id 5 is not */
	struct ice_data_file deletes[2] = {equality_deletes(&lake, 4, 1), equality_deletes(&lake, 5, 1)};
	table = lake_edit(
		&lake, table, (struct ice_edit){.operation = ICE_OP_DELETE, .added = deletes, .added_count = 2});
	assert_false(has_id(table, 4));
	assert_true(has_id(table, 5));
	/* rows that come later are not deleted */
	table = append(&lake, table, 4, 5);
	assert_true(has_id(table, 4));
	/* a rewrite keeps the sequence number of what it read: a delete that came meanwhile still applies */
	struct ice_file_list *files = lake_plan(table, NULL);
	int64_t planned = ice_table_metadata(table)->last_sequence_number;
	struct ice_data_file late = equality_deletes(&lake, 6, 1);
	table = lake_edit(
		&lake, table, (struct ice_edit){.operation = ICE_OP_DELETE, .added = &late, .added_count = 1});
	assert_false(has_id(table, 6));
	for (uint32_t i = 0; i < files->count; i++) {
		struct weir_str removed = files->files[i]->path;
		if (!weir_str_is(files->files[i]->partition[0].value.u.text, "g0") ||
			files->files[i]->record_count != 5)
			continue;
		struct ice_written written = write_rows(&lake, table, 6, 7);
		table = lake_edit(&lake, table,
			(struct ice_edit){.operation = ICE_OP_REPLACE,
				.added = written.files,
				.added_count = 1,
				.removed = &removed,
				.removed_count = 1,
				.data_sequence_number = planned});
		ice_written_free(&written);
	}
	ice_file_list_free(files);
	assert_false(has_id(table, 6));
	table = compact(&lake, table, ICE_COMPACT_OWN, true, &counts);
	assert_false(has_id(table, 6));
	assert_true(has_id(table, 4));
	/* rows of the very commit that deletes are newer than its deletes */
	struct ice_written same = write_rows(&lake, table, 20, 21);
	struct ice_data_file both[2] = {same.files[0], equality_deletes(&lake, 20, 1)};
	table = lake_edit(
		&lake, table, (struct ice_edit){.operation = ICE_OP_OVERWRITE, .added = both, .added_count = 2});
	assert_true(has_id(table, 20));
	ice_written_free(&same);
	/* a compaction that loses the race to a delete: what is deleted stays so */
	struct ice_data_file twenty = equality_deletes(&lake, 20, 1);
	struct race race = {&lake, {.operation = ICE_OP_DELETE, .added = &twenty, .added_count = 1}, false};
	struct ice_compact_options options = {.all = true, .prefix = lake_prefix(&lake), .now_ms = lake.now_ms};
	struct weir_error err = WEIR_ERROR_INIT;
	assert_true(has_id(table, 20));
	lake_check(ice_compact(table, &options, commit_late, NULL, &race, &counts, &err), &err);
	ice_table_unref(table);
	table = lake_load(&lake);
	assert_true(race.is_lost);
	assert_false(has_id(table, 20));
	ice_table_unref(table);
	lake_close(&lake);
}

struct orphans {
	struct ice_lake *lake;
	struct ice_table *table;
	uint32_t count;
	struct ice_edit *late; /* committed between the listing and the reload */
};

static int reload(void *context, struct ice_table **ret_table, struct weir_error *err)
{
	struct orphans *orphans = context;
	(void)err;
	if (orphans->late != NULL)
		orphans->table = lake_edit(orphans->lake, orphans->table, *orphans->late);
	*ret_table = lake_load(orphans->lake);
	return 0;
}

static int count_orphan(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)object;
	(void)err;
	((struct orphans *)context)->count++;
	return 0;
}

static void test_orphans(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, false, "3");
	struct weir_error err = WEIR_ERROR_INIT;
	int64_t now = 0, day = 24 * 3600000LL; /* the memory store's files are of 1970 */
	(void)state;
	table = append(&lake, table, 0, 10);
	table = delete_rows(&lake, table, 0, 1);
	struct ice_written lost = write_rows(&lake, table, 10, 12); /* its writer is dead */
	struct orphans orphans = {.lake = &lake, .table = table};
	/* younger than the grace: a running writer's, and left alone */
	lake_check(ice_orphans(table, now, day, reload, count_orphan, &orphans, &err), &err);
	assert_int_equal(orphans.count, 0);
	lake_check(ice_orphans(table, now + 2 * day, day, reload, count_orphan, &orphans, &err), &err);
	assert_int_equal(orphans.count, 1);
	assert_int_equal(ice_orphans(table, now, 1000, reload, count_orphan, &orphans, &err), WEIR_E_INPUT);
	/* committed after the listing: the reload knows */
	struct ice_edit late = {.operation = ICE_OP_APPEND, .added = lost.files, .added_count = lost.count};
	orphans.late = &late;
	orphans.count = 0;
	lake_check(ice_orphans(ice_table_ref(table), now + 2 * day, day, reload, count_orphan, &orphans, &err), &err);
	assert_int_equal(orphans.count, 0);
	ice_table_unref(table);
	ice_written_free(&lost);
	ice_table_unref(orphans.table);
	lake_close(&lake);
}

static void test_manifests(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake, true, "3");
	struct weir_error err = WEIR_ERROR_INIT;
	struct row before[100], after[100];
	(void)state;
	for (int i = 0; i < 4; i++)
		table = append(&lake, table, i * 4, i * 4 + 4);
	uint32_t rows = read_rows(table, before, NULL);
	lake_check(ice_rewrite_manifests(table, lake_prefix(&lake), lake.now_ms, commit_edit, &lake, &err), &err);
	ice_table_unref(table);
	table = lake_load(&lake);
	assert_int_equal(read_rows(table, after, NULL), rows);
	qsort(before, rows, sizeof *before, by_id);
	qsort(after, rows, sizeof *after, by_id);
	assert_memory_equal(before, after, rows * sizeof *before);
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_zorder_is_near),
		cmocka_unit_test(test_a_table_moves_on),
		cmocka_unit_test(test_equality_deletes),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_manifests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
