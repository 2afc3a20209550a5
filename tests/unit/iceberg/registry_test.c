/* Commits of several threads to one table: each is retried on the other's version until all are in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "ice_lake.h"

#include "iceberg/registry.h"

#define THREADS 4
#define COMMITS 40

struct committer {
	struct ice_registry *registry;
	struct ice_data_file files[COMMITS];
	char prefixes[COMMITS][16];
	unsigned failed;
	struct weir_error err;
};

static void *commit_often(void *context)
{
	struct committer *committer = context;
	for (unsigned i = 0; i < COMMITS; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_commit_part part = {.edit = {.operation = ICE_OP_APPEND,
						       .added = &committer->files[i],
						       .added_count = 1,
						       .prefix = weir_str_from(committer->prefixes[i]),
						       .keep_snapshots = 5,
						       .now_ms = 1738396800000}};
		if (ice_commit(committer->registry, CONTROL_EPOCH, &part, 1, NULL, NULL, NULL, NULL, &err) != 0) {
			committer->failed++;
			committer->err = err;
		}
	}
	return NULL;
}

static void test_threads_commit(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct committer *committers = weir_zalloc(THREADS * sizeof *committers);
	pthread_t threads[THREADS];
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_registry *registry = ice_registry_new(lake.store, lake.control);
	ice_registry_add(registry, lake_load(&lake));
	for (unsigned i = 0; i < THREADS; i++) {
		committers[i] = (struct committer){.registry = registry};
		for (unsigned j = 0; j < COMMITS; j++) {
			committers[i].files[j] = lake_file(&lake, "a", "s");
			snprintf(committers[i].prefixes[j], sizeof committers[i].prefixes[j], "p%u-%u", i, j);
		}
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, commit_often, &committers[i]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		if (committers[i].failed > 0)
			print_error("%u failed, last: %s\n", committers[i].failed, committers[i].err.message);
		assert_int_equal(committers[i].failed, 0);
	}
	struct ice_table *table = ice_registry_table(registry, 0);
	struct ice_file_list *list;
	lake_check(ice_plan(table, -1, NULL, &list, &err), &err);
	assert_int_equal(list->count, THREADS * COMMITS);
	ice_file_list_free(list);
	ice_table_unref(table);
	ice_registry_free(registry);
	free(committers);
	lake_close(&lake);
}

/* ---- versions of one moment ---- */

struct pair_committer {
	struct ice_registry *registry;
	struct ice_lake *lake;
	_Atomic bool done;
};

/* Each commit gives both tables one more file. */
static void *commit_pairs(void *context)
{
	struct pair_committer *committer = context;
	for (unsigned i = 0; i < 60; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_data_file files[2] = {
			lake_file(committer->lake, "a", "s"), lake_file(committer->lake, "a", "s")};
		char prefix[16];
		struct ice_commit_part parts[2];
		snprintf(prefix, sizeof prefix, "both-%u", i);
		for (uint32_t t = 0; t < 2; t++)
			parts[t] = (struct ice_commit_part){.table = t,
				.edit = {.operation = ICE_OP_APPEND,
					.added = &files[t],
					.added_count = 1,
					.prefix = weir_str_from(prefix),
					.keep_snapshots = 5,
					.now_ms = 1738396800000}};
		if (ice_commit(committer->registry, CONTROL_EPOCH, parts, 2, NULL, NULL, NULL, NULL, &err) != 0)
			print_error("%s\n", err.message);
	}
	committer->done = true;
	return NULL;
}

static int64_t file_total(const struct ice_table *table)
{
	int64_t total = 0;
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
	if (snapshot != NULL)
		weir_str_to_i64(ice_summary(snapshot, "total-data-files"), &total);
	return total;
}

static struct ice_table *second_table(struct ice_lake *lake)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct ice_definition definition = lake_definition(lake->arena);
	struct ice_table *table;
	definition.name.table = WEIR_STR("second");
	definition.location = WEIR_STR("gold/second");
	lake_check(ice_table_create(lake->store, &definition, lake->now_ms, change, &err), &err);
	lake_commit(lake, change, true);
	lake_check(ice_table_load(lake->store, lake->control, lake->cache, definition.name, &table, &err), &err);
	return table;
}

static void test_versions_of_one_moment(void **state)
{
	struct ice_lake lake = lake_open(1 << 20);
	struct pair_committer committer = {.lake = &lake};
	pthread_t thread;
	uint64_t looks = 0;
	(void)state;
	lake_create(&lake);
	committer.registry = ice_registry_new(lake.store, lake.control);
	ice_registry_add(committer.registry, lake_load(&lake));
	ice_registry_add(committer.registry, second_table(&lake));
	assert_int_equal(pthread_create(&thread, NULL, commit_pairs, &committer), 0);
	while (!committer.done) {
		struct ice_table *both[2];
		ice_registry_tables(committer.registry, (const uint32_t[]){0, 1}, 2, both);
		assert_int_equal(file_total(both[0]), file_total(both[1]));
		ice_table_unref(both[0]);
		ice_table_unref(both[1]);
		looks++;
	}
	pthread_join(thread, NULL);
	struct ice_table *last = ice_registry_table(committer.registry, 1);
	assert_int_equal(file_total(last), 60);
	assert_true(looks > 60);
	ice_table_unref(last);
	ice_registry_free(committer.registry);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_commit),
		cmocka_unit_test(test_versions_of_one_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
