/* Every kind of store against the same rules; then names, URIs, and what is the local store's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/store.h"
#include "support/sim_os.h"

struct fixture {
	struct sim_os *sim; /* local on the simulated disk */
	char directory[64]; /* local on the real one */
	struct store *store;
	struct weir_error err;
};

static int set_up_memory(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->store = store_memory_new();
	*state = fixture;
	return 0;
}

static int set_up_simulated(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->sim = sim_os_new(1);
	*state = fixture;
	return store_local_open(sim_os_table(fixture->sim), "/lake/warehouse", &fixture->store, &fixture->err);
}

static int set_up_real(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	strcpy(fixture->directory, "/tmp/weir-store-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	*state = fixture;
	return store_local_open(weir_os_real(), fixture->directory, &fixture->store, &fixture->err);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	int status = 0;
	store_close(fixture->store);
	if (fixture->sim != NULL)
		sim_os_free(fixture->sim);
	if (fixture->directory[0] != '\0') {
		char command[128];
		snprintf(command, sizeof command, "rm -r %s", fixture->directory);
		status = system(command);
	}
	free(fixture);
	return status;
}

static int add_name(void *context, const struct store_object *object, struct weir_error *err)
{
	struct weir_buf *names = context;
	(void)err;
	weir_buf_printf(names, "%.*s:%u ", WEIR_STR_ARG(object->name), (unsigned)object->size_bytes);
	return 0;
}

static size_t listed(struct fixture *fixture, const char *prefix, const char *expected)
{
	struct weir_buf names = WEIR_BUF_INIT;
	size_t count = 0;
	assert_int_equal(store_list(fixture->store, prefix, add_name, &names, &fixture->err), 0);
	for (size_t i = 0; i < names.size; i++)
		count += names.data[i] == ' ';
	if (expected != NULL)
		assert_non_null(strstr(weir_buf_cstr(&names), expected));
	weir_buf_done(&names);
	return count;
}

/* ---- the rules ---- */

static void objects_come_back(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *files[3];
	static const char *const names[] = {"gold/t/data/a.parquet", "gold/t/data/b.parquet", "c"};
	char bytes[1000];
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(store_create(fixture->store, names[i], &files[i], &fixture->err), 0);
		struct weir_byte_sink sink = store_file_sink(files[i]);
		for (size_t n = 0; n < 3000; n++) {
			memset(bytes, (int)(n + i), sizeof bytes);
			assert_int_equal(sink.write(sink.self, bytes, n % sizeof bytes, &fixture->err), 0);
		}
		assert_int_equal(store_file_size(files[i]), 3 * 499500);
		assert_string_equal(store_file_name(files[i]), names[i]);
	}
	assert_int_equal(store_barrier(fixture->store, files, 3, &fixture->err), 0);
	uint64_t size;
	assert_int_equal(store_size(fixture->store, "c", &size, &fixture->err), 0);
	assert_int_equal(size, 3 * 499500);
	/* After the first thousand pieces comes one of one byte: 1001 + 2. */
	assert_int_equal(store_read(fixture->store, "c", 499500, bytes, 2, &fixture->err), 0);
	assert_int_equal((uint8_t)bytes[0], (1001 + 2) & 0xff);
	assert_int_equal((uint8_t)bytes[1], (1002 + 2) & 0xff);
	assert_int_equal(store_read(fixture->store, "c", size - 1, bytes, 2, &fixture->err), WEIR_E_CORRUPT);
}

static void an_object_is_made_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *file;
	struct weir_buf out = WEIR_BUF_INIT;
	assert_int_equal(store_put(fixture->store, "a/b", "hello", 5, &fixture->err), 0);
	assert_int_equal(store_put(fixture->store, "a/b", "other", 5, &fixture->err), WEIR_E_EXISTS);
	assert_int_equal(store_read_all(fixture->store, "a/b", 5, &out, &fixture->err), 0);
	assert_true(weir_str_is(weir_buf_str(&out), "hello"));
	assert_int_equal(store_read_all(fixture->store, "a/b", 4, &out, &fixture->err), WEIR_E_LIMIT);
	assert_int_equal(store_read_all(fixture->store, "a/c", 4, &out, &fixture->err), WEIR_E_NOT_FOUND);
	assert_int_equal(store_read_all(fixture->store, "a", 4, &out, &fixture->err), WEIR_E_NOT_FOUND);
	weir_buf_done(&out);
	/* An abandoned one leaves nothing, and its name is free again. */
	assert_int_equal(store_create(fixture->store, "a/d", &file, &fixture->err), 0);
	assert_int_equal(store_append(file, "x", 1, &fixture->err), 0);
	store_abandon(fixture->store, file);
	assert_int_equal(listed(fixture, "", "a/b:5 "), 1);
	assert_int_equal(store_put(fixture->store, "a/d", "", 0, &fixture->err), 0);
	assert_int_equal(listed(fixture, "a/", "a/d:0 "), 2);
}

static void a_source_outlives_its_object(void **state)
{
	struct fixture *fixture = *state;
	struct weir_byte_source source;
	const char *const name = "t/x";
	char bytes[3];
	assert_int_equal(store_put(fixture->store, name, "abcdef", 6, &fixture->err), 0);
	assert_int_equal(store_source_open(fixture->store, name, &source, &fixture->err), 0);
	assert_int_equal(source.size_bytes, 6);
	assert_true(weir_str_is(source.name, name));
	assert_int_equal(store_delete_many(fixture->store, &name, 1, &fixture->err), 0);
	assert_int_equal(source.read(source.self, 3, bytes, 3, &fixture->err), 0);
	assert_memory_equal(bytes, "def", 3);
	assert_int_equal(source.read(source.self, 4, bytes, 3, &fixture->err), WEIR_E_CORRUPT);
	store_source_close(&source);
	assert_int_equal(store_source_open(fixture->store, name, &source, &fixture->err), WEIR_E_NOT_FOUND);
}

static int refuse(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)object;
	++*(int *)context;
	return weir_fail(err, WEIR_E_CANCELLED, "enough");
}

static void listing_and_deleting(void **state)
{
	static const char *const names[] = {"a/1", "a/2", "a/b/3", "a/b/c/4", "ab/5", "b"};
	static const struct {
		const char *prefix;
		size_t count;
	} lists[] = {
		{"", 6}, {"a", 5}, {"a/", 4}, {"a/b", 2}, {"a/b/", 2}, {"a/b/c/4", 1}, {"ab", 1}, {"x/y", 0}, {"b", 1}};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(store_put(fixture->store, names[i], "some bytes", i, &fixture->err), 0);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		assert_int_equal(listed(fixture, lists[i].prefix, NULL), lists[i].count);
	int calls = 0;
	assert_int_equal(store_list(fixture->store, "", refuse, &calls, &fixture->err), WEIR_E_CANCELLED);
	assert_int_equal(calls, 1);
	static const char *const doomed[] = {"a/b/c/4", "none", "no/such/thing", "a/1", "a/b/3"};
	assert_int_equal(store_delete_many(fixture->store, doomed, 5, &fixture->err), 0);
	assert_int_equal(listed(fixture, "", "a/2:1 "), 3);
	/* In a directory that was removed something can be made again. */
	assert_int_equal(store_put(fixture->store, "a/b/c/6", "", 0, &fixture->err), 0);
	assert_int_equal(listed(fixture, "a/b/", "a/b/c/6:0 "), 1);
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "./a"};
	struct fixture *fixture = *state;
	struct store_file *file;
	uint64_t size;
	char name[STORE_NAME_MAX + 2];
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(store_create(fixture->store, bad[i], &file, &fixture->err), WEIR_E_INPUT);
		assert_int_equal(store_size(fixture->store, bad[i], &size, &fixture->err), WEIR_E_INPUT);
		assert_int_equal(store_delete_many(fixture->store, &bad[i], 1, &fixture->err), WEIR_E_INPUT);
	}
	memset(name, 'a', sizeof name);
	for (size_t i = 200; i < sizeof name; i += 200)
		name[i] = '/';
	name[STORE_NAME_MAX + 1] = '\0';
	assert_int_equal(store_put(fixture->store, name, "", 0, &fixture->err), WEIR_E_INPUT);
	name[STORE_NAME_MAX] = '\0';
	assert_int_equal(store_put(fixture->store, name, "", 0, &fixture->err), 0);
	memset(name, 'b', 256);
	name[256] = '\0';
	assert_int_equal(store_put(fixture->store, name, "", 0, &fixture->err), WEIR_E_INPUT);
	int calls = 0;
	assert_int_equal(store_list(fixture->store, "../", refuse, &calls, &fixture->err), WEIR_E_INPUT);
	assert_int_equal(store_put(fixture->store, "p=a%2Fb/..x/%", "", 0, &fixture->err), 0);
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

int main(void)
{
#define ALL(name)                                                                                                      \
	{#name " (memory)", name, set_up_memory, tear_down, NULL},                                                     \
		{#name " (simulated)", name, set_up_simulated, tear_down, NULL},                                       \
	{                                                                                                              \
#name " (real)", name, set_up_real, tear_down, NULL                                                    \
	}
#define LOCAL(name) cmocka_unit_test_setup_teardown(name, set_up_simulated, tear_down)
	static const struct CMUnitTest tests[] = {
		ALL(objects_come_back),
		ALL(an_object_is_made_once),
		ALL(a_source_outlives_its_object),
		ALL(listing_and_deleting),
		ALL(names_are_checked),
		LOCAL(uris_name_objects),
		LOCAL(a_barrier_syncs_each_thing_once),
		LOCAL(empty_directories_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
