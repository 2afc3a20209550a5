/* Every single I/O failure of a change, one after the other: an error, nothing half done, and the next try works. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "column/builder.h"
#include "unit/iceberg/ice_lake.h"

/* The real files, until the counter reaches zero: then one call fails. */
struct faulty {
	struct weir_os os;
	const struct weir_os *real;
	int64_t left; /* calls until the failure; negative: none */
};

static bool fails(struct faulty *faulty, struct weir_error *err)
{
	if (faulty->left < 0 || faulty->left-- > 0)
		return false;
	weir_fail_errno(err, EIO, WEIR_STR("fault"), "do what the test forbids");
	return true;
}

static int faulty_open(
	void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->open(faulty->real->self, path, mode, ret_file, err);
}

static int faulty_read(
	void *self, struct weir_file *file, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->read(faulty->real->self, file, offset, buffer, size, err);
}

static int faulty_write(
	void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->write(faulty->real->self, file, offset, data, size, err);
}

static int faulty_sync(void *self, struct weir_file *file, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->sync(faulty->real->self, file, err);
}

static int faulty_sync_dir(void *self, const char *path, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->sync_dir(faulty->real->self, path, err);
}

static int faulty_mkdir(void *self, const char *path, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->mkdir(faulty->real->self, path, err);
}

static int faulty_close(void *self, struct weir_file *file, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->close(faulty->real->self, file, err);
}

static void faulty_start_writeback(void *self, struct weir_file *file, uint64_t offset, uint64_t size)
{
	struct faulty *faulty = self;
	faulty->real->start_writeback(faulty->real->self, file, offset, size);
}

static int faulty_size(void *self, struct weir_file *file, uint64_t *ret_size, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->size(faulty->real->self, file, ret_size, err);
}

static int faulty_truncate(void *self, struct weir_file *file, uint64_t size, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->truncate(faulty->real->self, file, size, err);
}

static int faulty_rename(void *self, const char *from, const char *to, struct weir_error *err)
{
	struct faulty *faulty = self;
	return fails(faulty, err) ? WEIR_E_IO : faulty->real->rename(faulty->real->self, from, to, err);
}

static int faulty_unlink(void *self, const char *path, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->unlink(faulty->real->self, path, err);
}

static int faulty_rmdir(void *self, const char *path, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->rmdir(faulty->real->self, path, err);
}

static int faulty_stat(void *self, const char *path, struct weir_file_info *ret_info, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->stat(faulty->real->self, path, ret_info, err);
}

static int faulty_list(void *self, const char *path, weir_dir_fn *entry, void *context, struct weir_error *err)
{
	struct faulty *faulty = self;
	return faulty->real->list(faulty->real->self, path, entry, context, err);
}

static void faulty_init(struct faulty *faulty)
{
	*faulty = (struct faulty){.real = weir_os_real(),
		.left = -1,
		.os = {.open = faulty_open,
			.close = faulty_close,
			.read = faulty_read,
			.write = faulty_write,
			.sync = faulty_sync,
			.start_writeback = faulty_start_writeback,
			.size = faulty_size,
			.truncate = faulty_truncate,
			.sync_dir = faulty_sync_dir,
			.rename = faulty_rename,
			.unlink = faulty_unlink,
			.mkdir = faulty_mkdir,
			.rmdir = faulty_rmdir,
			.stat = faulty_stat,
			.list = faulty_list}};
	faulty->os.self = faulty;
}

static int count_object(void *context, const struct store_object *object, struct weir_error *err)
{
	unsigned *count = context;
	(void)object;
	(void)err;
	(*count)++;
	return 0;
}

static unsigned count_objects(struct ice_lake *lake)
{
	struct weir_error err = WEIR_ERROR_INIT;
	unsigned count = 0;
	lake_check(store_list(lake->store, "", count_object, &count, &err), &err);
	return count;
}

static int write_rows(
	struct ice_lake *lake, struct ice_table *table, struct ice_written *ret_written, struct weir_error *err)
{
	struct ice_write_options options = {
		.spec_id = 0, .prefix = lake_prefix(lake), .codec = CODEC_ZSTD, .level = 1, .max_open = 1};
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer;
	for (unsigned n = 0; n < 40; n++) {
		weir_builder_str(builder, 0, WEIR_STR("subject"));
		weir_builder_str(builder, 1, n % 2 == 0 ? WEIR_STR("research") : WEIR_STR("coaching"));
		weir_builder_i64(builder, 4, (int64_t)n * 40000000000);
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	int code = ice_writer_open(table, &options, &writer, err);
	if (code == 0) {
		code = ice_writer_add(writer, batch, NULL, err);
		if (code != 0)
			ice_writer_abandon(writer);
		else
			code = ice_writer_close(writer, ret_written, err);
	}
	weir_batch_release(batch);
	weir_builder_free(builder);
	return code;
}

/* Loads, writes files, replaces what is there in an erasure, and reads the rows back. A fresh cache reads everything.
 */
static int whole_change(struct ice_lake *lake, uint64_t *ret_rows, struct weir_error *err)
{
	struct ice_table *table = NULL;
	struct ice_written written = {0};
	struct ice_prepared *prepared = NULL;
	struct ice_file_list *list = NULL;
	struct weir_str *removed = NULL;
	bool is_taken = false;
	int code = ice_table_load(lake->store, lake->control, lake->cache, LAKE_NAME, &table, err);
	if (code == 0)
		code = ice_plan(table, -1, NULL, &list, err);
	if (code == 0)
		code = write_rows(lake, table, &written, err);
	if (code == 0) {
		code = store_barrier(lake->store, written.handles, written.count, err);
		is_taken = true; /* the barrier took the handles, whatever came of it */
	}
	if (code == 0) {
		removed = weir_arena_calloc(lake->arena, list->count, sizeof *removed);
		for (uint32_t i = 0; i < list->count; i++)
			removed[i] = list->files[i]->path;
		struct ice_edit edit = {.operation = ICE_OP_OVERWRITE,
			.added = written.files,
			.added_count = written.count,
			.removed = removed,
			.removed_count = list->count,
			.prefix = lake_prefix(lake),
			.erase = true,
			.now_ms = lake->now_ms++};
		unsigned before = count_objects(lake);
		code = ice_prepare(table, &edit, &prepared, err);
		if (code != 0)
			assert_int_equal(count_objects(lake), before); /* a failed attempt leaves nothing */
	}
	if (code == 0) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		ice_stage(prepared, change);
		lake_commit(lake, change, true);
		struct ice_table *next = ice_prepared_table(prepared);
		ice_table_unref(table);
		table = next;
		ice_file_list_free(list);
		list = NULL;
		const char *const *names;
		uint32_t count = ice_prepared_doomed(prepared, &names);
		if (store_delete_many(lake->store, names, count, err) !=
			0) /* control still has their names: once more */
			lake_delete_doomed(lake, prepared);
		code = ice_plan(table, -1, NULL, &list, err);
		*ret_rows = code == 0 ? list->row_count : 0;
	} else if (is_taken) {
		for (uint32_t i = 0; i < written.count; i++) {
			struct weir_str name;
			struct weir_error ignored = WEIR_ERROR_INIT;
			lake_check(store_name_of(lake->store, lake->arena, written.files[i].path, &name, &ignored),
				&ignored);
			lake_check(store_delete_many(lake->store, &name.data, 1, &ignored), &ignored);
		}
	}
	if (written.arena != NULL)
		ice_written_free(&written);
	ice_prepared_free(prepared);
	ice_file_list_free(list);
	ice_table_unref(table);
	return code;
}

static void test_every_failure(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct faulty faulty;
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t rows;
	char root[128];
	unsigned failures = 0;
	(void)state;
	faulty_init(&faulty);
	store_close(lake.store);
	snprintf(root, sizeof root, "%s/warehouse", lake.directory);
	lake_check(store_local_open(&faulty.os, root, &lake.store, &err), &err);
	lake_create(&lake);
	lake_check(whole_change(&lake, &rows, &err), &err);
	for (int64_t at = 0;; at++) {
		unsigned before = count_objects(&lake);
		ice_cache_free(lake.cache); /* so that every object is read again */
		lake.cache = ice_cache_new(1U << 20);
		faulty.left = at;
		rows = 0;
		int code = whole_change(&lake, &rows, &err);
		bool fired = faulty.left < 0;
		faulty.left = -1;
		if (!fired) {
			assert_int_equal(code, 0);
			assert_int_equal(rows, 40);
			break;
		}
		if (code != 0) {
			assert_true(err.message[0] != '\0');
			assert_int_equal(count_objects(&lake), before);
			failures++;
		}
	}
	print_message("%u failures, each of another call\n", failures);
	assert_true(failures > 40);
	lake_check(whole_change(&lake, &rows, &err), &err);
	assert_int_equal(rows, 40);
	char command[256];
	snprintf(command, sizeof command, "rm -r '%s'", root);
	lake_check(system(command), &err);
	lake_close(&lake);
}

/* ---- threads on one cache ---- */

struct planner {
	struct ice_table *table;
	unsigned wrong;
};

static void *plan_often(void *context)
{
	struct planner *planner = context;
	for (unsigned i = 0; i < 300; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_file_list *list;
		struct ice_table *own = ice_table_ref(planner->table);
		if (ice_plan(own, -1, NULL, &list, &err) != 0) {
			planner->wrong++;
		} else {
			planner->wrong += list->count != 60;
			ice_file_list_free(list);
		}
		ice_table_unref(own);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct ice_lake lake = lake_open(6000); /* smaller than what they read: it is evicted all the time */
	struct planner planners[4];
	pthread_t threads[4];
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	for (unsigned i = 0; i < 60; i++) {
		struct ice_data_file file = lake_file(&lake, i % 2 == 0 ? "a" : "b", "s");
		table = lake_append(&lake, table, &file, 1, 2);
	}
	for (unsigned i = 0; i < 4; i++) {
		planners[i] = (struct planner){.table = table};
		assert_int_equal(pthread_create(&threads[i], NULL, plan_often, &planners[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(planners[i].wrong, 0);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_failure),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
