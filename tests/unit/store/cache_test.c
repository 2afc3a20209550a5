/* Local copies: what is fetched, what is dropped, what stays while it is used, and what of it outlives the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cache.h"

struct fixture {
	char directory[64], below[96], copies[96];
	struct store *store;
	struct weir_arena *arena;
	struct weir_error err;
};

static void open_store(struct fixture *fixture, uint64_t limit_bytes, const char *identity)
{
	struct store_cache_options options = {fixture->copies, limit_bytes, identity};
	struct store *below;
	assert_int_equal(store_local_open(weir_os_real(), fixture->below, &below, &fixture->err), 0);
	assert_int_equal(store_cache_open(&options, below, &fixture->store, &fixture->err), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	strcpy(fixture->directory, "/tmp/weir-cache-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->below, sizeof fixture->below, "%s/below", fixture->directory);
	snprintf(fixture->copies, sizeof fixture->copies, "%s/copies", fixture->directory);
	fixture->arena = weir_arena_new(0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -r %.64s", fixture->directory);
	store_close(fixture->store);
	weir_arena_free(fixture->arena);
	free(fixture);
	return system(command);
}

static struct store_cache_counts counts_of(struct fixture *fixture)
{
	struct store_cache_counts counts;
	store_cache_counts(fixture->store, &counts);
	return counts;
}

/* Below, past the cache. */
static void put_below(struct fixture *fixture, const char *name, size_t size)
{
	struct store *below;
	char *bytes = malloc(size + 1);
	memset(bytes, name[0], size);
	assert_int_equal(store_local_open(weir_os_real(), fixture->below, &below, &fixture->err), 0);
	assert_int_equal(store_put(below, name, bytes, size, &fixture->err), 0);
	store_close(below);
	free(bytes);
}

static const char *path_of(struct fixture *fixture, const char *name)
{
	struct weir_str path;
	assert_int_equal(
		store_local_path(fixture->store, fixture->arena, weir_str_from(name), &path, &fixture->err), 0);
	return path.data;
}

static size_t size_of(const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return SIZE_MAX;
	fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	fclose(file);
	return size;
}

static void an_object_is_fetched_once(void **state)
{
	struct fixture *fixture = *state;
	char byte;
	open_store(fixture, 1000, "x");
	put_below(fixture, "a", 100);
	put_below(fixture, "large", 300);
	for (int i = 0; i < 3; i++)
		assert_int_equal(size_of(path_of(fixture, "a")), 100);
	assert_int_equal(counts_of(fixture).fetches, 1);
	assert_int_equal(counts_of(fixture).hits, 2);
	assert_int_equal(counts_of(fixture).bytes, 100);
	/* What is written is there already; what is read by a range is not fetched; nor is what takes more than a
	 * quarter. */
	assert_int_equal(store_put(fixture->store, "w", "written", 7, &fixture->err), 0);
	assert_int_equal(size_of(path_of(fixture, "w")), 7);
	put_below(fixture, "ranged", 10);
	assert_int_equal(store_read(fixture->store, "ranged", 3, &byte, 1, &fixture->err), 0);
	assert_int_equal(byte, 'r');
	struct weir_byte_source source;
	assert_int_equal(store_source_open(fixture->store, "large", &source, &fixture->err), 0);
	assert_int_equal(source.read(source.self, 299, &byte, 1, &fixture->err), 0);
	store_source_close(&source);
	assert_int_equal(counts_of(fixture).fetches, 1);
	assert_int_equal(counts_of(fixture).objects, 2);
	struct weir_str path;
	assert_int_equal(store_local_path(fixture->store, fixture->arena, WEIR_STR("large"), &path, &fixture->err),
		WEIR_E_LIMIT);
	assert_int_equal(store_local_path(fixture->store, fixture->arena, WEIR_STR("none"), &path, &fixture->err),
		WEIR_E_NOT_FOUND);
}

static void what_is_in_use_stays(void **state)
{
	struct fixture *fixture = *state;
	const char *paths[4], *const names[] = {"a", "b", "c", "d", "e"};
	struct weir_str path;
	open_store(fixture, 1000, "x");
	for (int i = 0; i < 5; i++)
		put_below(fixture, names[i], 240);
	for (int i = 0; i < 4; i++)
		paths[i] = path_of(fixture, names[i]);
	/* All are held: there is no room, and a source reads by ranges. */
	assert_int_equal(
		store_local_path(fixture->store, fixture->arena, WEIR_STR("e"), &path, &fixture->err), WEIR_E_LIMIT);
	struct weir_buf out = WEIR_BUF_INIT;
	assert_int_equal(store_read_all(fixture->store, "e", 1000, &out, &fixture->err), 0);
	assert_int_equal(out.size, 240);
	weir_buf_done(&out);
	/* One is given back, and goes for the next. */
	store_local_release(fixture->store, WEIR_STR("b"));
	path_of(fixture, "e");
	assert_int_equal(size_of(paths[1]), SIZE_MAX);
	for (int i = 0; i < 4; i++)
		assert_true(i == 1 || size_of(paths[i]) == 240);
	assert_int_equal(counts_of(fixture).dropped, 1);
	assert_int_equal(counts_of(fixture).bytes, 960);
	/* One that is held is deleted with its object, and giving it back then is fine. */
	assert_int_equal(store_delete_many(fixture->store, names, 1, &fixture->err), 0);
	assert_int_equal(size_of(paths[0]), SIZE_MAX);
	store_local_release(fixture->store, WEIR_STR("a"));
	store_local_release(fixture->store, WEIR_STR("a"));
	assert_int_equal(counts_of(fixture).bytes, 720);
}

static void a_source_goes_on_without_its_copy(void **state)
{
	struct fixture *fixture = *state;
	struct weir_byte_source first;
	const char *const names[] = {"a", "b", "c", "d", "e"};
	char bytes[240], wanted[240];
	memset(wanted, 'a', sizeof wanted);
	open_store(fixture, 1000, "x");
	for (int i = 0; i < 5; i++)
		put_below(fixture, names[i], 240);
	assert_int_equal(store_source_open(fixture->store, "a", &first, &fixture->err), 0);
	for (int i = 1; i < 5; i++) {
		path_of(fixture, names[i]);
		store_local_release(fixture->store, weir_str_from(names[i]));
	}
	assert_int_equal(counts_of(fixture).dropped, 1);
	assert_int_equal(first.read(first.self, 0, bytes, 240, &fixture->err), 0);
	assert_memory_equal(bytes, wanted, 240);
	store_source_close(&first);
}

static void copies_outlive_an_orderly_end_alone(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, 1000, "x");
	put_below(fixture, "a", 100);
	path_of(fixture, "a");
	store_close(fixture->store);
	open_store(fixture, 1000, "x");
	assert_int_equal(counts_of(fixture).objects, 1);
	path_of(fixture, "a");
	assert_int_equal(counts_of(fixture).fetches, 0);
	/* A second opening now is one after a crash: nobody closed. */
	struct store *lost = fixture->store;
	open_store(fixture, 1000, "x");
	assert_int_equal(counts_of(fixture).objects, 0);
	assert_int_equal(size_of(path_of(fixture, "a")), 100);
	store_close(lost);
	store_close(fixture->store);
	/* Another warehouse's copies are not ours; other files in the directory are let alone. */
	char other[128];
	snprintf(other, sizeof other, "%s/upload-1", fixture->copies);
	FILE *file = fopen(other, "w");
	assert_non_null(file);
	fclose(file);
	open_store(fixture, 1000, "y");
	assert_int_equal(counts_of(fixture).objects, 0);
	assert_int_equal(size_of(other), 0);
	store_close(fixture->store);
	/* A smaller limit drops what is too much. */
	open_store(fixture, 1000, "y");
	for (int i = 0; i < 4; i++) {
		char name[8];
		snprintf(name, sizeof name, "n%d", i);
		assert_int_equal(store_put(fixture->store, name, "0123456789", 10, &fixture->err), 0);
	}
	store_close(fixture->store);
	open_store(fixture, 25, "y");
	assert_int_equal(counts_of(fixture).bytes, 20);
}

static void *read_it(void *context)
{
	struct fixture *fixture = context;
	for (int i = 0; i < 50; i++) {
		struct weir_buf out = WEIR_BUF_INIT;
		char name[8];
		snprintf(name, sizeof name, "n%d", i % 7);
		int status = store_read_all(fixture->store, name, 1000, &out, NULL);
		bool good = (status == 0 && out.size == 100 && out.data[99] == 'n') ||
			(status == WEIR_E_NOT_FOUND && i % 7 == 6);
		weir_buf_done(&out);
		if (!good)
			return fixture;
	}
	return NULL;
}

static void threads_fetch_together(void **state)
{
	struct fixture *fixture = *state;
	pthread_t threads[8];
	const char *const doomed[] = {"n6"};
	open_store(fixture, 500, "x"); /* five of the seven */
	for (int i = 0; i < 7; i++) {
		char name[8];
		snprintf(name, sizeof name, "n%d", i);
		put_below(fixture, name, 100);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_it, fixture), 0);
	assert_int_equal(store_delete_many(fixture->store, doomed, 1, &fixture->err), 0);
	for (int i = 0; i < 8; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_true(counts_of(fixture).bytes <= 500);
	assert_true(counts_of(fixture).objects * 100 == counts_of(fixture).bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(an_object_is_fetched_once),
		TEST(what_is_in_use_stays),
		TEST(a_source_goes_on_without_its_copy),
		TEST(copies_outlive_an_orderly_end_alone),
		TEST(threads_fetch_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
