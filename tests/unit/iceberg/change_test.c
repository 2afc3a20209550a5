/*
 * Row deltas with deletion vectors, row lineage, branches, tags, rollback, expiry, evolution with hybrid layouts, sort orders,
 * dates that become timestamps, unknown columns and metadata tables: on a version 3 table with real files.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ice_lake.h"
#include "iceberg/internal.h"
#include "iceberg/puffin.h"

static int refused(struct ice_lake *lake, struct ice_table *table, ice_revise_fn *change, void *context)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	return ice_revise(table, change, context, lake_prefix(lake), lake->now_ms, &prepared, &err);
}

static struct ice_table *evolve(struct ice_lake *lake, struct ice_table *table, enum ice_evolve_kind kind,
	const char *path, const char *type, const char *value)
{
	struct ice_evolve_step step = {kind, weir_str_from(path), weir_str_from(type), weir_str_from(value)};
	struct ice_evolution evolution = {&step, 1};
	return lake_revise(lake, table, ice_revise_evolve, &evolution);
}

/* Rows first..end of purpose `purpose`: subject "s<n>", timestamp n hours. Columns beyond the first six stay null. */
static struct ice_table *append(
	struct ice_lake *lake, struct ice_table *table, const char *purpose, int first, int end, const char *branch)
{
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	const struct weir_schema *schema = ice_table_schema(table);
	for (int i = first; i < end; i++) {
		char subject[16];
		snprintf(subject, sizeof subject, "s%d", i);
		for (uint32_t c = 0; c < schema->field_count; c++) {
			if (schema->fields[c].id == 1)
				weir_builder_str(builder, c, weir_str_from(subject));
			else if (schema->fields[c].id == 2)
				weir_builder_str(builder, c, weir_str_from(purpose));
			else if (schema->fields[c].id == 5)
				weir_builder_i64(builder, c, i * 3600000000LL);
		}
		weir_builder_end_row(builder);
	}
	struct ice_written written = lake_write(lake, table, builder);
	struct ice_table *next = lake_edit(lake, table,
		(struct ice_edit){.operation = ICE_OP_APPEND,
			.added = written.files,
			.added_count = written.count,
			.branch = weir_str_from(branch)});
	ice_written_free(&written);
	return next;
}

struct sum {
	uint64_t rows, lineage_rows;
	int64_t ids, sequences;
	bool has[64]; /* subjects s0 .. s63 */
};

/* Subjects with their row ids, of a snapshot. */
static struct sum sum_rows(struct ice_table *table, int64_t snapshot_id)
{
	struct weir_field fields[3] = {*ice_schema_field(ice_table_schema(table), 1),
		{.name = WEIR_STR("_row_id"), .id = ICE_FIELD_ROW_ID, .type = WEIR_INT64},
		{.name = WEIR_STR("_last_updated_sequence_number"), .id = ICE_FIELD_ROW_SEQUENCE, .type = WEIR_INT64}};
	struct weir_schema projection = {.field_count = 3, .fields = fields};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *files;
	struct ice_reader *reader;
	struct weir_batch *batch;
	struct sum sum = {0};
	lake_check(ice_plan(table, snapshot_id, NULL, &files, &err), &err);
	lake_check(ice_reader_open(table, files->files, files->count, &projection, NULL, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++) {
			char subject[16] = {0};
			struct weir_str text = weir_column_str(&batch->columns[0], i);
			memcpy(subject, text.data, text.size);
			int n = atoi(subject + 1);
			assert_false(sum.has[n]);
			sum.has[n] = true;
			sum.rows++;
			if (weir_column_is_valid(&batch->columns[1], i)) {
				sum.lineage_rows++;
				sum.ids += weir_column_i64(&batch->columns[1], i);
				sum.sequences += weir_column_i64(&batch->columns[2], i);
			}
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	return sum;
}

/* Deletes rows (positions in its first file) by a vector that takes up the one before it. */
static struct ice_edit delta(struct ice_lake *lake, struct ice_table *table, struct ice_file_list *files,
	const uint64_t *rows, uint32_t count)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct ice_data_file *file = files->files[0];
	struct ice_positions *positions;
	struct ice_data_file *added;
	lake_check(ice_file_deleted_positions(table, file, &positions, &err), &err);
	for (uint32_t i = 0; i < count; i++)
		ice_positions_add(positions, rows[i]);
	struct ice_vector vector = {file, positions};
	lake_check(ice_vectors_write(table, &vector, 1, lake_prefix(lake), lake->arena, &added, &err), &err);
	ice_positions_free(positions);
	return (struct ice_edit){.operation = ICE_OP_DELETE,
		.added = added,
		.added_count = 1,
		.removed_deletes = file->delete_count > 0 ? file->deletes[0] : NULL,
		.removed_delete_count = file->delete_count};
}

static struct ice_table *new_table(struct ice_lake *lake)
{
	lake_create(lake);
	struct ice_table *table = lake_load(lake);
	return evolve(lake, table, ICE_UPGRADE, "3", NULL, NULL);
}

/* A file is rewritten (all its rows kept) while another writer deletes rows of it: they must not come back. */
static void test_rewrite_meets_delta(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	table = append(&lake, table, "research", 0, 10, NULL);
	struct ice_file_list *files = lake_plan(table, NULL);
	struct ice_data_file added =
		*files->files[0]; /* a copy under another name: what is in it does not matter here */
	added.path =
		weir_str_from(weir_arena_printf(lake.arena, "%.*s.copy.parquet", WEIR_STR_ARG(files->files[0]->path)));
	struct ice_edit rewrite = {.operation = ICE_OP_REPLACE,
		.added = &added,
		.added_count = 1,
		.removed = &files->files[0]->path,
		.removed_count = 1};
	struct ice_prepared *by_base = lake_prepare(&lake, table, rewrite);
	struct ice_edit deletion = delta(&lake, table, files, (uint64_t[]){0, 2}, 2);
	rewrite.data_sequence_number = ice_table_metadata(table)->last_sequence_number;
	table = lake_edit(&lake, table, deletion);
	assert_int_equal(ice_rebase(by_base, table, &err), WEIR_E_CONFLICT);
	/* Planned on the older version, prepared on the newer: a rewrite in several commits does so. */
	struct ice_prepared *by_sequence;
	rewrite.prefix = lake_prefix(&lake);
	rewrite.now_ms = lake.now_ms;
	assert_int_equal(ice_prepare(table, &rewrite, &by_sequence, &err), WEIR_E_CONFLICT);
	assert_int_equal(sum_rows(table, -1).rows, 8);
	ice_prepared_abandon(by_base);
	ice_file_list_free(files);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_row_delta(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	table = append(&lake, table, "research", 0, 10, NULL);
	table = append(&lake, table, "research", 10, 15, NULL);
	struct sum before = sum_rows(table, -1);
	assert_int_equal(before.rows, 15);
	assert_int_equal(before.lineage_rows, 15);
	assert_int_equal(before.ids, 105); /* 0 .. 14, each once */
	assert_int_equal(ice_table_metadata(table)->next_row_id,
		ice_metadata_current(ice_table_metadata(table))->first_row_id +
			ice_metadata_current(ice_table_metadata(table))->added_rows);
	struct ice_file_list *files = lake_plan(table, NULL);
	uint64_t gone = (uint64_t)files->files[0]->record_count;
	struct ice_edit first = delta(&lake, table, files, (uint64_t[]){0, 2}, 2);
	struct ice_prepared *late = lake_prepare(&lake, table, first);
	ice_file_list_free(files);
	table = lake_edit(&lake, table, first);
	assert_int_equal(sum_rows(table, -1).rows, 13);
	/* the same change again on top: the data file has another vector by now */
	assert_int_equal(ice_rebase(late, table, &err), WEIR_E_CONFLICT);
	ice_prepared_abandon(late);
	files = lake_plan(table, NULL);
	assert_int_equal(files->delete_files, 1);
	struct ice_footer *footer;
	const struct pq_file *parquet;
	uint32_t with = files->files[0]->delete_count > 0 ? 0 : 1;
	assert_int_equal(ice_footer_open(table, files->files[with], &footer, &parquet, &err), WEIR_E_UNSUPPORTED);
	struct ice_file_list one = *files;
	one.files = &files->files[with];
	struct ice_edit second = delta(&lake, table, &one, (uint64_t[]){1}, 1);
	table = lake_edit(&lake, table, second);
	ice_file_list_free(files);
	assert_int_equal(sum_rows(table, -1).rows, 12);
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
	assert_true(weir_str_is(ice_summary(snapshot, "total-delete-files"), "1"));
	assert_true(weir_str_is(ice_summary(snapshot, "total-position-deletes"), "3"));
	assert_true(weir_str_is(ice_summary(snapshot, "added-dvs"), "1"));
	assert_true(gone > 0);
	/* earlier states are what they were */
	assert_int_equal(sum_rows(table, snapshot->parent_id).rows, 13);
	ice_table_unref(table);
	lake_close(&lake);
}

static bool is_stored(struct ice_lake *lake, struct weir_str uri)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str name;
	uint64_t size;
	lake_check(store_name_of(lake->store, lake->arena, uri, &name, &err), &err);
	return store_size(lake->store, name.data, &size, &err) == 0;
}

/* One erasing commit that removes a data file and its deletes: they are doomed with it, and no manifest tells of them. A vector
 * of another file in the same Puffin file keeps that. */
static void test_erasure_takes_deletes(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_vector vectors[2];
	struct ice_data_file *added;
	(void)state;
	table = append(&lake, table, "research", 0, 10, NULL);
	table = append(&lake, table, "research", 10, 15, NULL);
	struct ice_file_list *files = lake_plan(table, NULL);
	for (int i = 0; i < 2; i++) {
		struct ice_positions *positions = ice_positions_new();
		ice_positions_add(positions, 1);
		vectors[i] = (struct ice_vector){files->files[i], positions};
	}
	lake_check(ice_vectors_write(table, vectors, 2, lake_prefix(&lake), lake.arena, &added, &err), &err);
	table = lake_edit(
		&lake, table, (struct ice_edit){.operation = ICE_OP_DELETE, .added = added, .added_count = 2});
	assert_int_equal(sum_rows(table, -1).rows, 13);
	for (int i = 0; i < 2; i++) {
		table = lake_edit(&lake, table,
			(struct ice_edit){.operation = ICE_OP_DELETE,
				.removed = &files->files[i]->path,
				.removed_count = 1,
				.removed_deletes = &added[i],
				.removed_delete_count = 1,
				.erase = true});
		assert_false(is_stored(&lake, files->files[i]->path));
		assert_int_equal(is_stored(&lake, added[0].path), i == 0); /* one file of both */
		struct ice_file_list *left = lake_plan(table, NULL);
		assert_int_equal(left->count, 1 - i);
		assert_int_equal(left->delete_files, 1 - i);
		ice_file_list_free(left);
	}
	const struct ice_manifest *manifests;
	struct ice_cached *list;
	uint32_t count;
	lake_check(ice_table_manifests(
			   table, ice_metadata_current(ice_table_metadata(table)), &list, &manifests, &count, &err),
		&err);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(manifests[i].content, 0);
	ice_cached_release(list);
	for (int i = 0; i < 2; i++)
		ice_positions_free((struct ice_positions *)(uintptr_t)vectors[i].positions);
	ice_file_list_free(files);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_branches(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	(void)state;
	table = append(&lake, table, "research", 0, 3, NULL);
	int64_t start = ice_table_metadata(table)->current_snapshot_id;
	struct ice_ref_edit audit = {.action = ICE_REF_CREATE,
		.name = WEIR_STR("audit"),
		.snapshot_id = -1,
		.max_ref_age_ms = -1,
		.max_snapshot_age_ms = -1,
		.min_snapshots_to_keep = -1};
	struct ice_ref_edit tag = audit;
	tag.name = WEIR_STR("v1");
	tag.is_tag = true;
	table = lake_revise(&lake, table, ice_revise_ref, &audit);
	table = lake_revise(&lake, table, ice_revise_ref, &tag);
	assert_int_equal(refused(&lake, table, ice_revise_ref, &audit), WEIR_E_EXISTS);
	/* write, audit, publish: main does not see what the branch has until it is fast-forwarded */
	table = append(&lake, table, "research", 3, 8, "audit");
	const struct ice_metadata *metadata = ice_table_metadata(table);
	assert_int_equal(metadata->current_snapshot_id, start);
	assert_int_equal(sum_rows(table, -1).rows, 3);
	assert_int_equal(sum_rows(table, ice_ref_snapshot(metadata, WEIR_STR("audit"))->id).rows, 8);
	struct ice_ref_edit publish = {
		.action = ICE_REF_FAST_FORWARD, .name = WEIR_STR("main"), .to = WEIR_STR("audit")};
	table = lake_revise(&lake, table, ice_revise_ref, &publish);
	assert_int_equal(sum_rows(table, -1).rows, 8);
	assert_int_equal(sum_rows(table, ice_ref_snapshot(ice_table_metadata(table), WEIR_STR("v1"))->id).rows, 3);
	/* diverged branches do not fast-forward, tags take no commits */
	table = append(&lake, table, "research", 8, 9, NULL);
	table = append(&lake, table, "research", 20, 21, "audit");
	assert_int_equal(refused(&lake, table, ice_revise_ref, &publish), WEIR_E_CONFLICT);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.branch = WEIR_STR("v1"),
		.prefix = lake_prefix(&lake),
		.now_ms = lake.now_ms};
	assert_int_equal(ice_prepare(table, &edit, &prepared, &err), WEIR_E_INPUT);
	/* rollback, and time travel by the log */
	struct ice_rollback rollback = {start, lake.now_ms += 1000};
	table = lake_revise(&lake, table, ice_revise_rollback, &rollback);
	assert_int_equal(sum_rows(table, -1).rows, 3);
	assert_int_equal(ice_snapshot_at(ice_table_metadata(table), lake.now_ms + 1)->id, start);
	assert_null(ice_snapshot_at(ice_table_metadata(table), 0));
	struct ice_rollback stranger = {
		ice_ref_snapshot(ice_table_metadata(table), WEIR_STR("audit"))->id, lake.now_ms};
	assert_int_equal(refused(&lake, table, ice_revise_rollback, &stranger), WEIR_E_INPUT);
	/* expiry keeps what branches and tags name; files of the others go, and nothing else */
	audit.action = tag.action = ICE_REF_DROP;
	struct ice_expiry expiry = {lake.now_ms + 100000, lake.now_ms + 100000, 1, 0};
	table = lake_revise(&lake, table, ice_revise_expire, &expiry);
	assert_int_equal(sum_rows(table, -1).rows, 3);
	assert_int_equal(sum_rows(table, ice_ref_snapshot(ice_table_metadata(table), WEIR_STR("audit"))->id).rows, 9);
	table = lake_revise(&lake, table, ice_revise_ref, &audit);
	table = lake_revise(&lake, table, ice_revise_ref, &tag);
	table = lake_revise(&lake, table, ice_revise_expire, &expiry);
	assert_int_equal(ice_table_metadata(table)->snapshot_count, 1);
	assert_int_equal(sum_rows(table, -1).rows, 3);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_evolution(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	table = append(&lake, table, "research", 0, 4, NULL);
	table = evolve(&lake, table, ICE_ADD_COLUMN, "score", "int", "7");
	table = evolve(&lake, table, ICE_PROMOTE, "score", "long", NULL);
	table = evolve(&lake, table, ICE_RENAME_COLUMN, "score", NULL, "points");
	table = evolve(&lake, table, ICE_MOVE_FIRST, "points", NULL, NULL);
	table = evolve(&lake, table, ICE_MOVE_AFTER, "subject", NULL, "timestamp");
	table = evolve(&lake, table, ICE_DROP_PARTITION, "timestamp_day", NULL, NULL);
	table = evolve(&lake, table, ICE_ADD_PARTITION, "bucket(4, subject)", NULL, NULL);
	table = append(&lake, table, "research", 4, 9, NULL);
	assert_int_equal(sum_rows(table, -1).rows, 9); /* two layouts in one scan */
	assert_true(weir_str_is(ice_table_schema(table)->fields[0].name, "points"));
	struct weir_field fields[1] = {ice_table_schema(table)->fields[0]};
	struct weir_schema projection = {.field_count = 1, .fields = fields};
	struct ice_file_list *files = lake_plan(table, NULL);
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint32_t sevens = 0, nulls = 0;
	lake_check(ice_reader_open(table, files->files, files->count, &projection, NULL, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++)
			if (weir_column_is_valid(&batch->columns[0], i))
				sevens += weir_column_i64(&batch->columns[0], i) == 7;
			else
				nulls++;
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	assert_int_equal(sevens, 4); /* rows older than the column have its default */
	assert_int_equal(nulls, 5);
	/* purpose is part of the partition spec; a column that is not there; a narrowing */
	static const struct {
		struct ice_evolve_step step;
		int code;
	} bad[] = {
		{{ICE_DROP_COLUMN, {"purpose", sizeof("purpose") - 1}, {0}, {0}}, WEIR_E_INPUT},
		{{ICE_DROP_COLUMN, {"nothing", sizeof("nothing") - 1}, {0}, {0}}, WEIR_E_NOT_FOUND},
		{{ICE_PROMOTE, {"points", sizeof("points") - 1}, {"int", sizeof("int") - 1}, {0}}, WEIR_E_INPUT},
		{{ICE_ADD_COLUMN, {"points", sizeof("points") - 1}, {"int", sizeof("int") - 1}, {0}}, WEIR_E_EXISTS},
		{{ICE_ADD_COLUMN, {"x", sizeof("x") - 1}, {"int", sizeof("int") - 1}, {"\"a\"", sizeof("\"a\"") - 1}},
			WEIR_E_CORRUPT},
		{{ICE_ADD_PARTITION, {"day(subject)", sizeof("day(subject)") - 1}, {0}, {0}}, WEIR_E_INPUT},
		{{ICE_UPGRADE, {"2", sizeof("2") - 1}, {0}, {0}}, WEIR_E_INPUT},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct ice_evolution evolution = {&bad[i].step, 1};
		assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), bad[i].code);
	}
	/* renaming back takes the schema that was there before */
	uint32_t schemas = ice_table_metadata(table)->schema_count;
	table = evolve(&lake, table, ICE_RENAME_COLUMN, "points", NULL, "p");
	table = evolve(&lake, table, ICE_RENAME_COLUMN, "p", NULL, "points");
	assert_int_equal(ice_table_metadata(table)->schema_count, schemas + 1);
	ice_table_unref(table);
	lake_close(&lake);
}

static const struct ice_sort_order *default_order(const struct ice_table *table)
{
	const struct ice_metadata *metadata = ice_table_metadata(table);
	for (uint32_t i = 0; i < metadata->sort_order_count; i++)
		if (metadata->sort_orders[i].id == metadata->default_sort_order_id)
			return &metadata->sort_orders[i];
	fail();
	return NULL;
}

static void test_sort_orders(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	(void)state;
	table = evolve(&lake, table, ICE_SET_SORT, "day(timestamp) desc, bucket(16, subject) asc nulls last,purpose",
		NULL, NULL);
	const struct ice_sort_order *order = default_order(table);
	assert_int_equal(order->id, 1);
	assert_int_equal(order->field_count, 3);
	assert_int_equal(order->fields[0].transform.kind, ICE_DAY);
	assert_true(order->fields[0].descending && order->fields[0].nulls_last);
	assert_int_equal(order->fields[1].transform.parameter, 16);
	assert_true(!order->fields[1].descending && order->fields[1].nulls_last);
	assert_int_equal(order->fields[2].source_id, 2);
	assert_true(!order->fields[2].descending && !order->fields[2].nulls_last);
	table = evolve(&lake, table, ICE_SET_SORT, "subject desc nulls first", NULL, NULL);
	assert_int_equal(default_order(table)->id, 2);
	assert_true(default_order(table)->fields[0].descending && !default_order(table)->fields[0].nulls_last);
	table = evolve(&lake, table, ICE_SET_SORT, "", NULL, NULL);
	assert_int_equal(default_order(table)->id, 0);
	table = evolve(&lake, table, ICE_SET_SORT, "subject  desc nulls first", NULL, NULL); /* as it was before */
	assert_int_equal(default_order(table)->id, 2);
	assert_int_equal(ice_table_metadata(table)->sort_order_count, 3);
	static const struct {
		const char *order;
		int code;
	} bad[] = {{"nothing", WEIR_E_NOT_FOUND}, {"subject down", WEIR_E_INPUT}, {"subject asc nulls", WEIR_E_INPUT},
		{"day(subject)", WEIR_E_INPUT}, {"raw", WEIR_E_INPUT}, {"bucket(4, subject", WEIR_E_INPUT},
		{"subject,,purpose", WEIR_E_NOT_FOUND}};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct ice_evolve_step step = {.kind = ICE_SET_SORT, .path = weir_str_from(bad[i].order)};
		struct ice_evolution evolution = {&step, 1};
		assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), bad[i].code);
	}
	/* a column that the order stands on must stay */
	struct ice_evolve_step drop = {.kind = ICE_DROP_COLUMN, .path = WEIR_STR("subject")};
	struct ice_evolution evolution = {&drop, 1};
	assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_INPUT);
	ice_table_unref(table);
	lake_close(&lake);
}

/* Rows of one file: column `name` is first + i. */
static struct ice_table *append_numbers(
	struct ice_lake *lake, struct ice_table *table, const char *name, int64_t first, int64_t step, int count)
{
	const struct weir_schema *schema = ice_table_schema(table);
	struct weir_builder *builder = weir_builder_new(schema);
	for (int i = 0; i < count; i++) {
		weir_builder_str(builder, weir_schema_find(schema, WEIR_STR("purpose")), WEIR_STR("p"));
		weir_builder_i64(builder, weir_schema_find(schema, WEIR_STR("timestamp")), 0);
		weir_builder_i64(builder, weir_schema_find(schema, weir_str_from(name)), first + i * step);
		weir_builder_end_row(builder);
	}
	struct ice_written written = lake_write(lake, table, builder);
	struct ice_table *next = lake_edit(lake, table,
		(struct ice_edit){.operation = ICE_OP_APPEND, .added = written.files, .added_count = written.count});
	ice_written_free(&written);
	return next;
}

/* How many rows of a column meet `>= least`, read with that filter; also checks each against every row of the file. */
static uint32_t count_from(struct ice_table *table, const char *name, int64_t least, int64_t *ret_sum)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t column = weir_schema_find(ice_table_schema(table), weir_str_from(name)), count = 0;
	const struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = least};
	const struct expr_term term = {ice_table_schema(table)->fields[column].id, EXPR_GE, &value, 1};
	const struct expr_filter filter = {&term, 1};
	struct ice_file_list *files = lake_plan(table, &filter);
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint8_t truth[WEIR_BATCH_ROWS];
	*ret_sum = 0;
	lake_check(ice_reader_open(table, files->files, files->count, NULL, &filter, &reader, &err), &err);
	for (;;) {
		lake_check(ice_reader_next(reader, &batch, NULL, NULL, &err), &err);
		if (batch == NULL)
			break;
		expr_filter_batch(&filter, batch, truth);
		for (uint32_t i = 0; i < batch->row_count; i++)
			if (truth[i] == EXPR_TRUE) {
				count++;
				*ret_sum += weir_column_i64(&batch->columns[column], i);
			}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(files);
	return count;
}

/* A column of dates becomes one of timestamps: older files, their bounds and defaults are read as midnights. */
static void test_dates_become_timestamps(void **state)
{
	static const struct {
		const char *type;
		int64_t day;
	} kinds[] = {{"timestamp", 86400000000LL}, {"timestamp_ns", 86400000000000LL}};
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct ice_table *table = new_table(&lake);
		int64_t sum, day = kinds[k].day;
		table = append_numbers(&lake, table, "timestamp", 0, 1, 3); /* older than the column */
		table = evolve(&lake, table, ICE_ADD_COLUMN, "born", "date", "\"1970-01-11\"");
		table = append_numbers(&lake, table, "born", 100, 1, 10); /* days 100 .. 109 */
		table = append_numbers(&lake, table, "born", 5, 1, 1);
		table = evolve(&lake, table, ICE_ADD_PARTITION, "month(born)", NULL, NULL);
		table = append_numbers(&lake, table, "born", 500, 1, 2);
		table = evolve(&lake, table, ICE_PROMOTE, "born", kinds[k].type, NULL);
		table = append_numbers(&lake, table, "born", 105 * day + 7, day, 3);
		assert_int_equal(count_from(table, "born", 106 * day, &sum), 4 + 2 + 2);
		assert_int_equal(sum, (106 + 107 + 108 + 109 + 500 + 501 + 106 + 107) * day + 14);
		assert_int_equal(count_from(table, "born", 10 * day, &sum), 3 + 10 + 2 + 3);
		assert_int_equal(count_from(table, "born", INT64_MIN, &sum), 3 + 10 + 1 + 2 + 3);
		/* no way back, and none further */
		struct ice_evolve_step step = {ICE_PROMOTE, WEIR_STR("born"), WEIR_STR("date"), {0}};
		struct ice_evolution evolution = {&step, 1};
		assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_INPUT);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

static void test_dates_stay(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake); /* version 2 */
	table = evolve(&lake, table, ICE_ADD_COLUMN, "born", "date", NULL);
	struct ice_evolve_step step = {ICE_PROMOTE, WEIR_STR("born"), WEIR_STR("timestamp"), {0}};
	struct ice_evolution evolution = {&step, 1};
	assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_INPUT);
	struct ice_evolve_step null = {ICE_ADD_COLUMN, WEIR_STR("n"), WEIR_STR("unknown"), {0}};
	struct ice_evolution adding = {&null, 1};
	assert_int_equal(refused(&lake, table, ice_revise_evolve, &adding), WEIR_E_UNSUPPORTED);
	table = evolve(&lake, table, ICE_UPGRADE, "3", NULL, NULL);
	/* of the one spec that has it, a bucket of a date is not that of its midnight */
	table = evolve(&lake, table, ICE_ADD_PARTITION, "bucket(4, born)", NULL, "b");
	table = evolve(&lake, table, ICE_DROP_PARTITION, "b", NULL, NULL);
	assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_INPUT);
	ice_table_unref(table);
	lake_close(&lake);
}

/* A column of type unknown is null, is in no file, and becomes what it turns out to be. */
static void test_unknown(void **state)
{
	static const char *const others[] = {"variant", "geometry", "geometry(srid:4326)", "geography"};
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	int64_t sum;
	(void)state;
	table = evolve(&lake, table, ICE_ADD_COLUMN, "later", "unknown", NULL);
	table = append_numbers(&lake, table, "timestamp", 0, 1, 4);
	table = evolve(&lake, table, ICE_MOVE_FIRST, "later", NULL, NULL);
	assert_true(ice_table_schema(table)->fields[0].unknown);
	assert_int_equal(count_from(table, "timestamp", INT64_MIN, &sum), 4);
	struct ice_file_list *files = lake_plan(table, NULL);
	struct ice_footer *footer;
	const struct pq_file *parquet;
	lake_check(ice_footer_open(table, files->files[0], &footer, &parquet, &err), &err);
	assert_int_equal(weir_schema_find(pq_file_schema(parquet), WEIR_STR("later")), WEIR_NO_FIELD);
	ice_footer_release(footer);
	ice_file_list_free(files);
	struct ice_evolve_step bad[] = {
		{ICE_ADD_COLUMN, WEIR_STR("x"), WEIR_STR("unknown"), WEIR_STR("1")},
		{ICE_ADD_PARTITION, WEIR_STR("later"), {0}, {0}},
		{ICE_PROMOTE, WEIR_STR("subject"), WEIR_STR("unknown"), {0}},
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct ice_evolution evolution = {&bad[i], 1};
		assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_INPUT);
	}
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct ice_evolve_step step = {ICE_ADD_COLUMN, WEIR_STR("x"), weir_str_from(others[i]), {0}};
		struct ice_evolution evolution = {&step, 1};
		assert_int_equal(refused(&lake, table, ice_revise_evolve, &evolution), WEIR_E_UNSUPPORTED);
	}
	table = evolve(&lake, table, ICE_PROMOTE, "later", "long", NULL);
	table = append_numbers(&lake, table, "later", 40, 1, 2);
	assert_int_equal(count_from(table, "later", INT64_MIN, &sum), 2);
	assert_int_equal(sum, 81);
	ice_table_unref(table);
	lake_close(&lake);
}

static int count_rows(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	(void)err;
	*(uint32_t *)context += batch->row_count;
	return 0;
}

static void test_metadata_tables(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct ice_table *table = new_table(&lake);
	struct weir_error err = WEIR_ERROR_INIT;
	static const uint32_t expected[ICE_METADATA_TABLES] = {3, 3, 1, 0, 3, 2};
	(void)state;
	table = append(&lake, table, "research", 0, 4, NULL);
	table = append(&lake, table, "care", 4, 6, NULL);
	table = append(&lake, table, "research", 6, 7, NULL);
	for (unsigned i = 0; i < ICE_METADATA_TABLES; i++) {
		uint32_t count = 0;
		lake_check(ice_metadata_table_scan(table, i, -1, count_rows, &count, &err), &err);
		if (expected[i] > 0)
			assert_int_equal(count, expected[i]);
		assert_true(count > 0);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_row_delta),
		cmocka_unit_test(test_rewrite_meets_delta),
		cmocka_unit_test(test_erasure_takes_deletes),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_evolution),
		cmocka_unit_test(test_sort_orders),
		cmocka_unit_test(test_dates_become_timestamps),
		cmocka_unit_test(test_dates_stay),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_metadata_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
