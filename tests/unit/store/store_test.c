/* Every kind of store that needs no server against the same rules; then what is the local store's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cache.h"
#include "store/store.h"
#include "support/sim_os.h"
#include "support/store/store_suite.h"

struct fixture {
	struct sim_os *sim;
	struct store *store;
	struct weir_error err;
};

static int set_up_simulated(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->sim = sim_os_new(1);
	*state = fixture;
	return store_local_open(sim_os_table(fixture->sim), "/lake/warehouse", &fixture->store, &fixture->err);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	store_close(fixture->store);
	sim_os_free(fixture->sim);
	free(fixture);
	return 0;
}

/* ---- the local store's own ---- */

static void uris_name_objects(void **state)
{
	static const struct {
		const char *uri, *name;
	} uris[] = {
		{"file:///lake/warehouse/gold/t/a%20b", "gold/t/a%20b"},
		{"file:/lake/warehouse/gold/t/a", "gold/t/a"},
		{"/lake/warehouse/gold/t/a", "gold/t/a"},
		{"//lake/warehouse/a", "a"},
		{"file:///lake/warehouse2/a", NULL},
		{"file:///lake/warehouse", NULL},
		{"file:///lake/warehouse/", NULL},
		{"file:///lake/warehouse/../a", NULL},
		{"s3://lake/warehouse/a", NULL},
		{"lake/warehouse/a", NULL},
		{"", NULL},
	};
	struct fixture *fixture = *state;
	struct weir_arena *arena = weir_arena_new(0);
	for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
		struct weir_str name;
		int status = store_name_of(fixture->store, arena, weir_str_from(uris[i].uri), &name, &fixture->err);
		assert_int_equal(status, uris[i].name != NULL ? 0 : WEIR_E_INPUT);
		if (status == 0)
			assert_string_equal(name.data, uris[i].name);
	}
	struct weir_str text = store_uri(fixture->store, arena, WEIR_STR("gold/a"));
	assert_true(weir_str_is(text, "file:///lake/warehouse/gold/a"));
	assert_int_equal(store_local_path(fixture->store, arena, WEIR_STR("gold/a"), &text, &fixture->err), 0);
	assert_true(weir_str_is(text, "/lake/warehouse/gold/a"));
	weir_arena_free(arena);
}

static void a_barrier_syncs_each_thing_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *files[6];
	for (size_t i = 0; i < 6; i++) {
		char name[32];
		snprintf(name, sizeof name, "d%zu/%zu", i % 2, i);
		assert_int_equal(store_create(fixture->store, name, &files[i], &fixture->err), 0);
		assert_int_equal(store_append(files[i], name, 3, &fixture->err), 0);
	}
	uint64_t syncs = sim_os_calls(fixture->sim, SIM_SYNC), directories = sim_os_calls(fixture->sim, SIM_SYNC_DIR);
	assert_int_equal(store_barrier(fixture->store, files, 6, &fixture->err), 0);
	assert_int_equal(sim_os_calls(fixture->sim, SIM_SYNC), syncs + 6);
	assert_int_equal(sim_os_calls(fixture->sim, SIM_SYNC_DIR), directories + 2);
	/* A directory that is known costs nothing more. */
	assert_int_equal(store_put(fixture->store, "d0/x", "", 0, &fixture->err), 0);
	assert_int_equal(sim_os_calls(fixture->sim, SIM_SYNC_DIR), directories + 3);
}

static void empty_directories_go(void **state)
{
	struct fixture *fixture = *state;
	static const char *const names[] = {"a/b/c/1", "a/b/2"};
	struct weir_file_info info;
	const struct weir_os *os = sim_os_table(fixture->sim);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(store_put(fixture->store, names[i], "", 0, &fixture->err), 0);
	assert_int_equal(store_delete_many(fixture->store, &names[0], 1, &fixture->err), 0);
	assert_int_equal(os->stat(os->self, "/lake/warehouse/a/b/c", &info, NULL), WEIR_E_NOT_FOUND);
	assert_int_equal(os->stat(os->self, "/lake/warehouse/a/b", &info, NULL), 0);
	assert_int_equal(store_delete_many(fixture->store, &names[1], 1, &fixture->err), 0);
	assert_int_equal(os->stat(os->self, "/lake/warehouse/a", &info, NULL), WEIR_E_NOT_FOUND);
	assert_int_equal(os->stat(os->self, "/lake/warehouse", &info, NULL), 0);
}

/* ---- kinds ---- */

static int open_memory(void *context, struct store **ret_store, struct weir_error *err)
{
	(void)context;
	(void)err;
	*ret_store = store_memory_new();
	return 0;
}

static void close_memory(void *context, struct store *take_store)
{
	(void)context;
	store_close(take_store);
}

static int open_simulated(void *context, struct store **ret_store, struct weir_error *err)
{
	struct sim_os **sim = context;
	*sim = sim_os_new(1);
	return store_local_open(sim_os_table(*sim), "/lake/warehouse", ret_store, err);
}

static void close_simulated(void *context, struct store *take_store)
{
	struct sim_os **sim = context;
	store_close(take_store);
	sim_os_free(*sim);
}

static int open_real(void *context, struct store **ret_store, struct weir_error *err)
{
	char *directory = context;
	strcpy(directory, "/tmp/weir-store-XXXXXX");
	assert_non_null(mkdtemp(directory));
	return store_local_open(weir_os_real(), directory, ret_store, err);
}

static void remove_directory(const char *directory)
{
	char command[128];
	snprintf(command, sizeof command, "rm -r %.100s", directory);
	assert_int_equal(system(command), 0);
}

static void close_real(void *context, struct store *take_store)
{
	store_close(take_store);
	remove_directory(context);
}

/* A cache over memory; a small one drops copies all the time. */
struct cached {
	char directory[64];
	uint64_t limit_bytes;
};

static int open_cached(void *context, struct store **ret_store, struct weir_error *err)
{
	struct cached *cached = context;
	strcpy(cached->directory, "/tmp/weir-store-XXXXXX");
	assert_non_null(mkdtemp(cached->directory));
	struct store_cache_options options = {cached->directory, cached->limit_bytes, "memory"};
	return store_cache_open(&options, store_memory_new(), ret_store, err);
}

static void close_cached(void *context, struct store *take_store)
{
	store_close(take_store);
	remove_directory(((struct cached *)context)->directory);
}

int main(void)
{
#define LOCAL(name) cmocka_unit_test_setup_teardown(name, set_up_simulated, tear_down)
	static const struct CMUnitTest tests[] = {
		LOCAL(uris_name_objects),
		LOCAL(a_barrier_syncs_each_thing_once),
		LOCAL(empty_directories_go),
	};
	struct sim_os *sim;
	char directory[64];
	struct cached roomy = {.limit_bytes = 1 << 30}, tight = {.limit_bytes = 20000};
	const struct store_kind kinds[] = {
		{.name = "memory", .open = open_memory, .close = close_memory, .appears_whole = false},
		{.name = "simulated", .open = open_simulated, .close = close_simulated, .context = &sim},
		{.name = "real", .open = open_real, .close = close_real, .context = directory},
		{.name = "cached", .open = open_cached, .close = close_cached, .context = &roomy},
		{.name = "cached in 20 kB", .open = open_cached, .close = close_cached, .context = &tight},
	};
	int failed = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct store_kind kind = kinds[i];
		kind.name_max = STORE_NAME_MAX;
		kind.large_bytes = 3000000;
		failed += store_suite_run(&kind);
	}
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
