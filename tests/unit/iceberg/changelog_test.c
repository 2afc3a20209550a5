/*
 * Changelogs against what the states of the table say: a snapshot's changes are the difference of the rows before and after
 * it, counted by value. Random histories of every kind of change, in versions 2 and 3.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ice_random.h"
#include "iceberg/changelog.h"

#define KINDS     4 /* INSERT, DELETE, UPDATE_BEFORE, UPDATE_AFTER */
#define SNAPSHOTS 400

/* What one snapshot did. */
struct change {
	int64_t id;
	int ordinal;
	struct rows kinds[KINDS];
};

struct log {
	struct change changes[SNAPSHOTS];
	uint32_t count;
};

static int take_changes(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	static const char *const names[KINDS] = {"INSERT", "DELETE", "UPDATE_BEFORE", "UPDATE_AFTER"};
	struct log *log = context;
	(void)err;
	assert_int_equal(batch->schema->field_count, 6);
	assert_int_equal(batch->schema->fields[3].id, ICE_FIELD_CHANGE_TYPE);
	for (uint32_t i = 0; i < batch->row_count; i++) {
		struct weir_str kind = weir_column_str(&batch->columns[3], i);
		int64_t snapshot = weir_column_i64(&batch->columns[5], i);
		if (log->count == 0 || log->changes[log->count - 1].id != snapshot) {
			assert_true(log->count < SNAPSHOTS);
			log->changes[log->count++] =
				(struct change){.id = snapshot, .ordinal = (int)weir_column_i64(&batch->columns[4], i)};
		}
		unsigned k = 0;
		while (k < KINDS && !weir_str_is(kind, names[k]))
			k++;
		assert_in_range(k, 0, KINDS - 1);
		log->changes[log->count - 1].kinds[k].count[row_of(batch, i)]++;
	}
	return 0;
}

static struct log *read_log(struct ice_table *table, struct ice_changelog_options options)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct log *log = weir_zalloc(sizeof *log);
	lake_check(ice_changelog_scan(table, &options, take_changes, log, &err), &err);
	return log;
}

static const struct change *change_of(const struct log *log, int64_t id)
{
	for (uint32_t i = 0; i < log->count; i++)
		if (log->changes[i].id == id)
			return &log->changes[i];
	return NULL;
}

/* Rows that went and came by the states before and after. */
static void differ(const struct rows *before, const struct rows *after, struct rows *went, struct rows *came)
{
	for (int i = 0; i < ROWS; i++) {
		int more = after->count[i] - before->count[i];
		went->count[i] = more < 0 ? -more : 0;
		came->count[i] = more > 0 ? more : 0;
	}
}

/* Rows of one id. */
static int of_id(const struct rows *rows, int id)
{
	int sum = 0;
	for (int i = 0; i < PARTS * VALUES; i++)
		sum += rows->count[id * PARTS * VALUES + i];
	return sum;
}

static void move_id(struct rows *from, struct rows *to, int id)
{
	for (int i = id * PARTS * VALUES; i < (id + 1) * PARTS * VALUES; i++) {
		to->count[i] = from->count[i];
		from->count[i] = 0;
	}
}

static void check_change(const struct change *change, const struct rows *before, const struct rows *after, bool updates)
{
	static const struct change none;
	struct change expected = none;
	differ(before, after, &expected.kinds[1], &expected.kinds[0]);
	for (int id = 0; id < IDS && updates; id++)
		if (of_id(&expected.kinds[0], id) == 1 && of_id(&expected.kinds[1], id) == 1) {
			move_id(&expected.kinds[1], &expected.kinds[2], id);
			move_id(&expected.kinds[0], &expected.kinds[3], id);
		}
	const struct change *seen = change != NULL ? change : &none;
	assert_memory_equal(seen->kinds, expected.kinds, sizeof expected.kinds);
}

static void test_random(void **state)
{
	static const char *const versions[] = {"2", "2", "3", "3"};
	static const char *const granularities[] = {"file", "partition", "file", "file"};
	static const int32_t identity[] = {1};
	uint64_t seed = random_seed();
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct history history = history_open(seed + i, versions[i], granularities[i]);
		for (int step = 0; step < 40; step++)
			random_change(&history);
		/* the states of the whole line, a compaction's several commits among them */
		const struct ice_metadata *metadata = ice_table_metadata(history.table);
		struct log *plain = read_log(history.table, (struct ice_changelog_options){.from = -1, .to = -1});
		struct log *sliced =
			read_log(history.table, (struct ice_changelog_options){.from = -1, .to = -1, .memory_rows = 3});
		struct log *updates = read_log(history.table,
			(struct ice_changelog_options){.from = -1,
				.to = -1,
				.identifier_ids = identity,
				.identifier_count = 1,
				.memory_rows = i == 3 ? 2 : 0});
		struct log *all = read_log(
			history.table, (struct ice_changelog_options){.from = -1, .to = -1, .keep_carried_over = true});
		struct rows before = {0};
		int ordinal = 0;
		for (uint32_t s = 0; s < metadata->snapshot_count; s++) {
			const struct ice_snapshot *snapshot = &metadata->snapshots[s];
			struct weir_error err = WEIR_ERROR_INIT;
			struct ice_file_list *files;
			lake_check(ice_plan(history.table, snapshot->id, NULL, &files, &err), &err);
			struct rows after = scan_files(history.table, files->files, files->count);
			ice_file_list_free(files);
			check_change(change_of(plain, snapshot->id), &before, &after, false);
			check_change(change_of(sliced, snapshot->id), &before, &after, false);
			check_change(change_of(updates, snapshot->id), &before, &after, true);
			const struct change *whole = change_of(all, snapshot->id);
			for (int row = 0; row < ROWS && whole != NULL; row++)
				assert_int_equal(whole->kinds[0].count[row] - whole->kinds[1].count[row],
					after.count[row] - before.count[row]);
			if (whole == NULL)
				assert_memory_equal(&before, &after, sizeof after);
			if (weir_str_is(ice_summary(snapshot, "operation"), "replace"))
				assert_null(whole);
			if (change_of(plain, snapshot->id) != NULL)
				assert_int_equal(change_of(plain, snapshot->id)->ordinal, ordinal);
			ordinal += !weir_str_is(ice_summary(snapshot, "operation"), "replace");
			before = after;
		}
		free(plain);
		free(sliced);
		free(updates);
		free(all);
		history_close(&history);
	}
}

static void test_range(void **state)
{
	struct history history = history_open(7, "3", "file");
	struct rows rows = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	static const int32_t missing[] = {77};
	(void)state;
	struct log *log = read_log(history.table, (struct ice_changelog_options){.from = -1, .to = -1});
	assert_int_equal(log->count, 0); /* an empty table */
	free(log);
	rows.count[row_code(1, 0, 1)] = rows.count[row_code(2, 0, 0)] = 1;
	append_rows(&history, rows);
	int64_t first = ice_table_metadata(history.table)->current_snapshot_id;
	append_rows(&history, rows);
	int64_t second = ice_table_metadata(history.table)->current_snapshot_id;
	delete_rows(&history, 1, 0);
	log = read_log(history.table, (struct ice_changelog_options){.from = first, .to = -1});
	assert_int_equal(log->count, 2);
	assert_int_equal(log->changes[0].ordinal, 0);
	assert_int_equal(log->changes[1].kinds[1].count[row_code(1, 0, 1)], 2);
	free(log);
	log = read_log(history.table, (struct ice_changelog_options){.from = first, .to = second});
	assert_int_equal(log->count, 1);
	free(log);
	log = read_log(history.table, (struct ice_changelog_options){.from = second, .to = second});
	assert_int_equal(log->count, 0);
	free(log);
	struct ice_changelog_options options = {.from = second, .to = first};
	assert_int_equal(ice_changelog_scan(history.table, &options, take_changes, NULL, &err), WEIR_E_NOT_FOUND);
	options = (struct ice_changelog_options){.from = 12345, .to = -1};
	assert_int_equal(ice_changelog_scan(history.table, &options, take_changes, NULL, &err), WEIR_E_NOT_FOUND);
	options =
		(struct ice_changelog_options){.from = -1, .to = -1, .identifier_ids = missing, .identifier_count = 1};
	assert_int_equal(ice_changelog_scan(history.table, &options, take_changes, NULL, &err), WEIR_E_INPUT);
	/* after expiry the beginning is not known any more */
	struct ice_expiry expiry = {history.lake.now_ms + 100000, history.lake.now_ms + 100000, 2, 0};
	struct ice_prepared *prepared;
	lake_check(ice_revise(history.table, ice_revise_expire, &expiry, lake_prefix(&history.lake),
			   history.lake.now_ms, &prepared, &err),
		&err);
	struct ice_table *expired = ice_prepared_table(prepared);
	options = (struct ice_changelog_options){.from = -1, .to = -1};
	assert_int_equal(ice_changelog_scan(expired, &options, take_changes, NULL, &err), WEIR_E_NOT_FOUND);
	log = read_log(expired, (struct ice_changelog_options){.from = second, .to = -1});
	assert_int_equal(log->count, 1);
	free(log);
	ice_table_unref(expired);
	ice_prepared_abandon(prepared);
	history_close(&history);
}

/* The caller's failure ends the scan and comes back. */
static int give_up(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	(void)context;
	(void)batch;
	return weir_fail(err, WEIR_E_IO, "no more");
}

static void test_caller_fails(void **state)
{
	struct history history = history_open(7, "2", "file");
	struct rows rows = {.count = {2, 1}};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_changelog_options options = {.from = -1, .to = -1};
	(void)state;
	append_rows(&history, rows);
	assert_int_equal(ice_changelog_scan(history.table, &options, give_up, NULL, &err), WEIR_E_IO);
	history_close(&history);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_caller_fails),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
