/* Rows deleted by a filter: as vectors or position deletes by the table's version, beside other changes, as the model has it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ice_random.h"

/* One file a part with ids 0 .. IDS-1 of value 1, each twice. */
static void fill(struct history *history)
{
	struct rows rows = {0};
	for (int id = 0; id < IDS; id++)
		for (int part = 0; part < PARTS; part++)
			rows.count[row_code(id, part, 1)] = 2;
	append_rows(history, rows);
}

static int try_delete(struct history *history, int id, struct ice_row_delta *ret_delta)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = id};
	const struct expr_term term = {1, EXPR_EQ, &value, 1};
	const struct expr_filter filter = {&term, 1};
	return ice_delete_rows(history->table, &filter, (struct weir_str){0}, lake_prefix(&history->lake),
		history->lake.arena, ret_delta, &err);
}

static int64_t summary_number(const struct history *history, const char *key)
{
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(history->table));
	int64_t number = 0;
	weir_str_to_i64(ice_summary(snapshot, key), &number);
	return number;
}

static void test_files_of_version_2(void **state)
{
	struct history history = history_open(1, "2", "file");
	struct ice_row_delta delta;
	(void)state;
	fill(&history);
	assert_int_equal(try_delete(&history, 3, &delta), 0);
	assert_int_equal(delta.rows, 2 * PARTS);
	assert_int_equal(delta.edit.added_count, PARTS);
	for (uint32_t i = 0; i < delta.edit.added_count; i++) {
		const struct ice_data_file *file = &delta.edit.added[i];
		assert_int_equal(file->content, ICE_POSITION_DELETES);
		assert_true(weir_str_is(file->format, "PARQUET"));
		assert_int_equal(file->record_count, 2);
		assert_true(file->referenced_data_file.size > 0);
		assert_true(weir_str_equal(file->metrics[0].lower, file->referenced_data_file));
		assert_true(weir_str_equal(file->metrics[0].upper, file->referenced_data_file));
	}
	assert_true(delete_rows(&history, 3, 0));
	assert_int_equal(summary_number(&history, "total-delete-files"), PARTS);
	/* the next deletes of the same files take up the earlier ones */
	assert_true(delete_rows(&history, 4, 0));
	assert_int_equal(summary_number(&history, "total-delete-files"), PARTS);
	assert_int_equal(summary_number(&history, "total-position-deletes"), 4 * PARTS);
	assert_false(delete_rows(&history, 4, 0)); /* gone already */
	/* nothing is left of the files: they go, and their deletes with them */
	for (int id = 0; id < IDS; id++)
		delete_rows(&history, id, 0);
	assert_int_equal(summary_number(&history, "total-delete-files"), 0);
	assert_int_equal(summary_number(&history, "total-data-files"), 0);
	assert_int_equal(summary_number(&history, "total-records"), 0);
	history_close(&history);
}

/* The files of a partition share one file of deletes, sorted by path and position. */
static void test_partition_granularity(void **state)
{
	struct history history = history_open(1, "2", "partition");
	struct ice_row_delta delta;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	fill(&history);
	fill(&history);
	assert_int_equal(try_delete(&history, 3, &delta), 0);
	assert_int_equal(delta.edit.added_count, PARTS);
	assert_int_equal(delta.edit.added[0].referenced_data_file.size, 0);
	assert_int_equal(delta.edit.added[0].record_count, 4);
	assert_true(weir_str_compare(delta.edit.added[0].metrics[0].lower, delta.edit.added[0].metrics[0].upper) < 0);
	struct weir_field fields[2] = {
		{.name = WEIR_STR("file_path"), .id = ICE_DELETE_PATH, .type = WEIR_STRING, .required = true},
		{.name = WEIR_STR("pos"), .id = ICE_DELETE_POSITION, .type = WEIR_INT64, .required = true}};
	struct weir_schema schema = {.field_count = 2, .fields = fields};
	struct ice_data_file plain = delta.edit.added[0];
	const struct ice_data_file *file = &plain;
	struct ice_reader *reader;
	struct weir_batch *batch;
	lake_check(ice_reader_open(history.table, &file, 1, &schema, NULL, &reader, &err), &err);
	lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
	assert_int_equal(batch->row_count, 4);
	for (uint32_t i = 0; i < 3; i++) {
		int order = weir_str_compare(
			weir_column_str(&batch->columns[0], i), weir_column_str(&batch->columns[0], i + 1));
		assert_true(order < 0 ||
			(order == 0 &&
				weir_column_i64(&batch->columns[1], i) < weir_column_i64(&batch->columns[1], i + 1)));
	}
	weir_batch_release(batch);
	ice_reader_close(reader);
	assert_true(delete_rows(&history, 3, 0));
	assert_true(delete_rows(&history, 5, 0));
	struct rows seen = scan_rows(history.table);
	assert_memory_equal(&seen, &history.now, sizeof seen);
	history_close(&history);
}

/* The files are rewritten between the deletes' planning and their commit: the rows would be back. */
static void test_deletes_meet_rewrite(void **state)
{
	static const char *const versions[] = {"2", "2", "3"}, *const granularities[] = {"file", "partition", "file"};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct history history = history_open(1, versions[i], granularities[i]);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_row_delta delta;
		struct ice_prepared *prepared;
		fill(&history);
		fill(&history);
		assert_int_equal(try_delete(&history, 3, &delta), 0);
		compact_table(&history);
		delta.edit.now_ms = history.lake.now_ms;
		assert_int_equal(ice_prepare(history.table, &delta.edit, &prepared, &err), WEIR_E_CONFLICT);
		history_close(&history);
	}
}

static void test_vectors_of_version_3(void **state)
{
	struct history history = history_open(1, "3", "file");
	struct ice_row_delta delta;
	(void)state;
	fill(&history);
	assert_int_equal(try_delete(&history, 3, &delta), 0);
	assert_int_equal(delta.edit.added_count, PARTS);
	assert_true(weir_str_is(delta.edit.added[0].format, "PUFFIN"));
	assert_true(delete_rows(&history, 3, 0));
	assert_true(delete_rows(&history, 4, 0));
	assert_int_equal(summary_number(&history, "total-delete-files"), PARTS);
	history_close(&history);
}

/* Position deletes of version 2 stay in force when the table becomes version 3, and a vector takes them up. */
static void test_upgrade(void **state)
{
	static const char *const granularities[] = {"file", "partition"};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct history history = history_open(1, "2", granularities[i]);
		fill(&history);
		fill(&history);
		assert_true(delete_rows(&history, 3, 0));
		history.table = lake_upgrade(&history.lake, history.table, "3");
		assert_true(delete_rows(&history, 5, 0));
		struct rows seen = scan_rows(history.table);
		assert_memory_equal(&seen, &history.now, sizeof seen);
		history_close(&history);
	}
}

static void test_random(void **state)
{
	static const char *const versions[] = {"2", "2", "3"}, *const granularities[] = {"file", "partition", "file"};
	uint64_t seed = random_seed();
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct history history = history_open(seed + i, versions[i], granularities[i]);
		for (int step = 0; step < 40; step++)
			random_change(&history);
		history_close(&history);
	}
}

/* Deletes of every kind are applied by a compaction, and their files go, those of whole partitions and of all of them too. */
static void test_compaction_leaves_no_deletes(void **state)
{
	static const char *const versions[] = {"2", "2", "3"}, *const granularities[] = {"file", "partition", "file"};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct history history = history_open(11 + i, versions[i], granularities[i]);
		struct rows more = {.count = {1, 2, 3}};
		fill(&history);
		fill(&history);
		delete_rows(&history, 3, 0);
		delete_equal(&history, 5, more);
		fill(&history);
		delete_rows(&history, 6, 1);
		assert_true(summary_number(&history, "total-delete-files") > 1);
		compact_table(&history);
		assert_int_equal(summary_number(&history, "total-delete-files"), 0);
		assert_int_equal(summary_number(&history, "total-position-deletes"), 0);
		assert_int_equal(summary_number(&history, "total-equality-deletes"), 0);
		struct rows seen = scan_rows(history.table);
		assert_memory_equal(&seen, &history.now, sizeof seen);
		history_close(&history);
	}
}

static void test_refused(void **state)
{
	struct history history = history_open(1, "2", "file");
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_row_delta delta;
	const struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = 1};
	struct expr_term term = {99, EXPR_EQ, &value, 1};
	const struct expr_filter filter = {&term, 1};
	(void)state;
	fill(&history);
	assert_int_equal(ice_delete_rows(history.table, &filter, (struct weir_str){0}, WEIR_STR("p"),
				 history.lake.arena, &delta, &err),
		WEIR_E_INPUT);
	term.field_id = 1;
	assert_int_equal(ice_delete_rows(history.table, &filter, WEIR_STR("nowhere"), WEIR_STR("p"), history.lake.arena,
				 &delta, &err),
		WEIR_E_NOT_FOUND);
	history_close(&history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_version_2),
		cmocka_unit_test(test_partition_granularity),
		cmocka_unit_test(test_deletes_meet_rewrite),
		cmocka_unit_test(test_vectors_of_version_3),
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_compaction_leaves_no_deletes),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
