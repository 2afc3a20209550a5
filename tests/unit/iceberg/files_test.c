/* Data files through a table: rows split by partition, written, committed, planned and read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/time.h"
#include "column/builder.h"
#include "unit/iceberg/ice_lake.h"

#define DAY_US 86400000000LL

static void add_row(struct weir_builder *builder, unsigned n)
{
	static const char *const purposes[] = {"research", "coaching"};
	static const char *const activities[] = {"run", "swim", "bike"};
	char text[64];
	snprintf(text, sizeof text, "subject-with-a-long-name-%04u", n);
	weir_builder_str(builder, 0, weir_str_from(text));
	weir_builder_str(builder, 1, weir_str_from(purposes[n % 2]));
	if (n % 7 != 0)
		weir_builder_str(builder, 2, weir_str_from(activities[n % 3]));
	weir_builder_str(builder, 3, WEIR_STR("race"));
	weir_builder_i64(builder, 4, 20000 * DAY_US + (int64_t)n * DAY_US / 500);
	if (n % 3 == 0)
		weir_builder_map_entry(builder, 5, WEIR_STR("key"), weir_str_from(text));
	weir_builder_end_row(builder);
}

static struct ice_written write_rows(
	struct ice_lake *lake, struct ice_table *table, struct ice_write_options options, unsigned first, unsigned end)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_writer *writer;
	struct ice_written written;
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	options.prefix = lake_prefix(lake);
	options.codec = CODEC_ZSTD;
	options.level = 1;
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	for (unsigned n = first; n < end; n++) {
		add_row(builder, n);
		if (weir_builder_full(builder) || n + 1 == end) {
			struct weir_batch *batch = weir_builder_take(builder);
			lake_check(ice_writer_add(writer, batch, NULL, &err), &err);
			weir_batch_release(batch);
		}
	}
	weir_builder_free(builder);
	lake_check(ice_writer_close(writer, &written, &err), &err);
	return written;
}

static struct ice_table *commit_written(struct ice_lake *lake, struct ice_table *table, struct ice_written *written)
{
	struct weir_error err = WEIR_ERROR_INIT;
	lake_check(store_barrier(lake->store, written->handles, written->count, &err), &err);
	table = lake_append(lake, table, written->files, written->count, 0);
	ice_written_free(written);
	return table;
}

/* Every row n in [0, end) once, whole, in a file of its own partition. */
static void check_rows(struct ice_table *table, unsigned end)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list = lake_plan(table, NULL);
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint32_t file;
	uint64_t first_row, expected_row = 0, rows = 0;
	uint32_t last_file = UINT32_MAX;
	bool *seen = weir_zalloc(end);
	lake_check(ice_reader_open(table, list->files, list->count, NULL, NULL, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, &file, &first_row, &err), &err);
		if (batch == NULL)
			break;
		expected_row = file == last_file ? expected_row : 0;
		assert_int_equal(first_row, expected_row);
		for (uint32_t row = 0; row < batch->row_count; row++) {
			struct weir_str subject = weir_column_str(&batch->columns[0], row);
			uint64_t number = UINT64_MAX;
			assert_true(weir_str_to_u64((struct weir_str){subject.data + subject.size - 4, 4}, &number));
			unsigned n = (unsigned)number;
			const struct ice_data_file *of = list->files[file];
			assert_true(n < end && !seen[n]);
			seen[n] = true;
			assert_true(weir_str_equal(
				weir_column_str(&batch->columns[1], row), of->partition[0].value.u.text));
			assert_true(weir_str_is(of->partition[0].value.u.text, n % 2 == 0 ? "research" : "coaching"));
			assert_int_equal(weir_column_is_valid(&batch->columns[2], row), n % 7 != 0);
			assert_int_equal(
				weir_column_i64(&batch->columns[4], row), 20000 * DAY_US + (int64_t)n * DAY_US / 500);
			assert_int_equal(weir_column_is_valid(&batch->columns[5], row), n % 3 == 0);
			if (of->spec_id == 0) {
				assert_int_equal(of->partition[3].value.u.integer, 20000 + n / 500);
				assert_int_equal(of->partition[1].is_null, n % 7 == 0);
			}
		}
		rows += batch->row_count;
		expected_row += batch->row_count;
		last_file = file;
		weir_batch_release(batch);
	}
	assert_int_equal(rows, end);
	assert_int_equal(list->row_count, end);
	free(seen);
	ice_reader_close(reader);
	ice_file_list_free(list);
}

static void check_metrics(const struct ice_data_file *file)
{
	struct weir_field subject = {.id = 1, .type = WEIR_STRING}, at = {.id = 5, .type = WEIR_TIMESTAMPTZ};
	struct expr_bounds bounds = ice_file_bounds(file, &subject);
	assert_true(bounds.has_min && bounds.has_max);
	assert_int_equal(bounds.min.u.text.size, 16); /* cut, and the upper one stepped up */
	assert_true(weir_str_is(bounds.min.u.text, "subject-with-a-l"));
	assert_true(weir_str_is(bounds.max.u.text, "subject-with-a-m"));
	bounds = ice_file_bounds(file, &at);
	assert_true(bounds.min.u.integer >= 20000 * DAY_US && bounds.max.u.integer > bounds.min.u.integer);
	assert_true(bounds.has_null_count && bounds.null_count == 0);
	assert_true(file->split_count > 0 && file->split_offsets[0] == 4);
	assert_true(file->size_bytes > 0);
	assert_int_equal(file->sort_order_id, 0);
}

static void test_both_specs(void **state)
{
	struct ice_lake lake = lake_open(8U << 20);
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_written landing = write_rows(&lake, table, (struct ice_write_options){.spec_id = 1}, 0, 5000);
	assert_int_equal(landing.count, 2); /* a file a purpose */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(landing.files[i].record_count, 2500);
		check_metrics(&landing.files[i]);
	}
	assert_non_null(strstr(landing.files[0].path.data, "/gold/t/data/purpose=research/"));
	table = commit_written(&lake, table, &landing);
	/* 4 activities (null too) x 2 purposes x 4 days: with three files open at a time, and so more files. */
	struct ice_written cells =
		write_rows(&lake, table, (struct ice_write_options){.spec_id = 0, .max_open = 3}, 5000, 7000);
	assert_true(cells.count >= 32);
	assert_non_null(strstr(cells.files[0].path.data, "/timestamp_day=2024-10-1"));
	table = commit_written(&lake, table, &cells);
	check_rows(table, 7000);
	ice_table_unref(table);
	table = lake_load(&lake);
	check_rows(table, 7000);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_target_and_abandon(void **state)
{
	struct ice_lake lake = lake_open(8U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	/* Each batch makes files past one byte: the writer closes them only once row groups have reached the file. */
	struct ice_written written =
		write_rows(&lake, table, (struct ice_write_options){.spec_id = 1, .target_bytes = 1}, 0, 6000);
	assert_true(written.count >= 2);
	ice_written_abandon(lake.store, &written);
	struct ice_writer *writer;
	struct ice_write_options options = {.spec_id = 7, .prefix = WEIR_STR("x")};
	assert_int_equal(ice_writer_open(table, &options, &writer, &err), WEIR_E_INPUT);
	options.spec_id = 1;
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	add_row(builder, 1);
	struct weir_batch *batch = weir_builder_take(builder);
	lake_check(ice_writer_add(writer, batch, NULL, &err), &err);
	weir_batch_release(batch);
	weir_builder_free(builder);
	ice_writer_abandon(writer);
	/* Nothing of either is left in the store. */
	uint64_t size;
	assert_int_equal(store_size(lake.store, "gold/t/data/purpose=coaching/00000000-0.parquet", &size, &err),
		WEIR_E_NOT_FOUND);
	ice_table_unref(table);
	lake_close(&lake);
}

/* Row groups of one table's file are spliced into another file, byte for byte. */
static void test_splice(void **state)
{
	struct ice_lake lake = lake_open(8U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_written landing = write_rows(&lake, table, (struct ice_write_options){.spec_id = 1}, 0, 3000);
	table = commit_written(&lake, table, &landing);
	struct ice_file_list *list = lake_plan(table, NULL);
	struct ice_write_options options = {
		.spec_id = 1, .prefix = lake_prefix(&lake), .codec = CODEC_ZSTD, .level = 1};
	struct ice_writer *writer;
	struct ice_written written;
	struct weir_str *removed = weir_arena_calloc(lake.arena, list->count, sizeof *removed);
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct pq_file *parquet;
		struct ice_footer *footer;
		struct pq_row_group *group;
		removed[i] = list->files[i]->path;
		lake_check(ice_footer_open(table, list->files[i], &footer, &parquet, &err), &err);
		for (uint32_t g = 0; g < pq_file_row_group_count(parquet); g++) {
			lake_check(pq_file_row_group_copy(parquet, g, &group, &err), &err);
			lake_check(ice_writer_splice(writer, list->files[i]->partition, group, &err), &err);
			pq_row_group_free(group);
		}
		ice_footer_release(footer);
	}
	lake_check(ice_writer_close(writer, &written, &err), &err);
	assert_int_equal(written.count, 2);
	for (uint32_t i = 0; i < 2; i++)
		check_metrics(&written.files[i]);
	lake_check(store_barrier(lake.store, written.handles, written.count, &err), &err);
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_REPLACE,
			.added = written.files,
			.added_count = written.count,
			.removed = removed,
			.removed_count = list->count,
			.keep_snapshots = 1});
	ice_written_free(&written);
	ice_file_list_free(list);
	check_rows(table, 3000);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_projection_and_filter(void **state)
{
	struct ice_lake lake = lake_open(8U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_written landing = write_rows(&lake, table, (struct ice_write_options){.spec_id = 1}, 0, 9000);
	table = commit_written(&lake, table, &landing);
	const struct weir_schema *schema = ice_table_schema(table);
	struct weir_field wanted[2] = {schema->fields[4], schema->fields[0]};
	const struct weir_schema projection = {.field_count = 2, .fields = wanted};
	const struct expr_value from = {.kind = EXPR_INTEGER, .u.integer = 20016 * DAY_US};
	const struct expr_value purpose = {.kind = EXPR_TEXT, .u.text = WEIR_STR("coaching")};
	const struct expr_term terms[] = {{2, EXPR_EQ, &purpose, 1}, {5, EXPR_GE, &from, 1}};
	const struct expr_filter filter = {terms, 2};
	struct ice_file_list *list = lake_plan(table, &filter);
	assert_int_equal(list->count, 1);
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint64_t rows = 0, matching = 0, first_row;
	uint32_t file;
	lake_check(ice_reader_open(table, list->files, list->count, &projection, &filter, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, &file, &first_row, &err), &err);
		if (batch == NULL)
			break;
		assert_int_equal(batch->schema->field_count, 2);
		for (uint32_t row = 0; row < batch->row_count; row++)
			matching += weir_column_i64(&batch->columns[0], row) >= from.u.integer;
		rows += batch->row_count;
		weir_batch_release(batch);
	}
	assert_int_equal(matching, 500); /* days 20016 and 20017, one purpose */
	assert_true(rows < 4500);        /* pages were skipped */
	ice_reader_close(reader);
	ice_file_list_free(list);
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_specs),
		cmocka_unit_test(test_target_and_abandon),
		cmocka_unit_test(test_splice),
		cmocka_unit_test(test_projection_and_filter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
