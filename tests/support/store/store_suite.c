#include "support/store/store_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "support/seed.h"

struct fixture {
	const struct store_kind *kind;
	struct store *store;
	struct weir_error err;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->kind = *state;
	int status = fixture->kind->open(fixture->kind->context, &fixture->store, &fixture->err);
	if (status != 0)
		print_error("%s: %s\n", fixture->kind->name, fixture->err.message);
	*state = fixture;
	return status;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	fixture->kind->close(fixture->kind->context, fixture->store);
	free(fixture);
	return 0;
}

/* Fails with the error's text where the code is another. */
static void expect(struct fixture *fixture, int status, int wanted)
{
	char text[1200];
	if (status == wanted)
		return;
	fail_msg("%s: %s, wanted %s: %s", fixture->kind->name, weir_code_name(status), weir_code_name(wanted),
		status != 0 ? weir_error_text(&fixture->err, text, sizeof text) : "");
}

static int add_name(void *context, const struct store_object *object, struct weir_error *err)
{
	struct weir_buf *names = context;
	(void)err;
	weir_buf_printf(names, "%.*s:%u\n", WEIR_STR_ARG(object->name), (unsigned)object->size_bytes);
	return 0;
}

static size_t listed(struct fixture *fixture, const char *prefix, const char *expected)
{
	struct weir_buf names = WEIR_BUF_INIT;
	size_t count = 0;
	expect(fixture, store_list(fixture->store, prefix, add_name, &names, &fixture->err), 0);
	for (size_t i = 0; i < names.size; i++)
		count += names.data[i] == '\n';
	if (expected != NULL)
		assert_non_null(strstr(weir_buf_cstr(&names), expected));
	weir_buf_done(&names);
	return count;
}

static int put(struct fixture *fixture, const char *name, const char *text)
{
	return store_put(fixture->store, name, text, strlen(text), &fixture->err);
}

/* ---- the rules ---- */

static void objects_come_back(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *files[3];
	static const char *const names[] = {"gold/t/data/a.parquet", "gold/t/data/b.parquet", "c"};
	char bytes[1000];
	for (size_t i = 0; i < 3; i++) {
		expect(fixture, store_create(fixture->store, names[i], &files[i], &fixture->err), 0);
		struct weir_byte_sink sink = store_file_sink(files[i]);
		for (size_t n = 0; n < 3000; n++) {
			memset(bytes, (int)(n + i), sizeof bytes);
			expect(fixture, sink.write(sink.self, bytes, n % sizeof bytes, &fixture->err), 0);
		}
		assert_int_equal(store_file_size(files[i]), 3 * 499500);
		assert_string_equal(store_file_name(files[i]), names[i]);
	}
	expect(fixture, store_barrier(fixture->store, files, 3, &fixture->err), 0);
	uint64_t size;
	expect(fixture, store_size(fixture->store, "c", &size, &fixture->err), 0);
	assert_int_equal(size, 3 * 499500);
	/* After the first thousand pieces comes one of one byte: 1001 + 2. */
	expect(fixture, store_read(fixture->store, "c", 499500, bytes, 2, &fixture->err), 0);
	assert_int_equal((uint8_t)bytes[0], (1001 + 2) & 0xff);
	assert_int_equal((uint8_t)bytes[1], (1002 + 2) & 0xff);
	expect(fixture, store_read(fixture->store, "c", size - 1, bytes, 2, &fixture->err), WEIR_E_CORRUPT);
	expect(fixture, store_read(fixture->store, "c", size, bytes, 1, &fixture->err), WEIR_E_CORRUPT);
	expect(fixture, store_read(fixture->store, "d", 0, bytes, 1, &fixture->err), WEIR_E_NOT_FOUND);
	expect(fixture, store_read(fixture->store, "d", 0, bytes, 0, &fixture->err), WEIR_E_NOT_FOUND);
}

static void an_object_is_made_once(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *file;
	struct weir_buf out = WEIR_BUF_INIT;
	expect(fixture, put(fixture, "a/b", "hello"), 0);
	expect(fixture, put(fixture, "a/b", "other"), WEIR_E_EXISTS);
	expect(fixture, store_read_all(fixture->store, "a/b", 5, &out, &fixture->err), 0);
	assert_true(weir_str_is(weir_buf_str(&out), "hello"));
	expect(fixture, store_read_all(fixture->store, "a/b", 4, &out, &fixture->err), WEIR_E_LIMIT);
	expect(fixture, store_read_all(fixture->store, "a/c", 4, &out, &fixture->err), WEIR_E_NOT_FOUND);
	expect(fixture, store_read_all(fixture->store, "a", 4, &out, &fixture->err), WEIR_E_NOT_FOUND);
	weir_buf_done(&out);
	/* An abandoned one leaves nothing, and its name is free again. */
	expect(fixture, store_create(fixture->store, "a/d", &file, &fixture->err), 0);
	expect(fixture, store_append(file, "x", 1, &fixture->err), 0);
	store_abandon(fixture->store, file);
	assert_int_equal(listed(fixture, "", "a/b:5\n"), 1);
	expect(fixture, put(fixture, "a/d", ""), 0);
	assert_int_equal(listed(fixture, "a/", "a/d:0\n"), 2);
	/* A name that was deleted is free, and what is read then is the new object. */
	static const char *const doomed[] = {"a/b"};
	expect(fixture, store_delete_many(fixture->store, doomed, 1, &fixture->err), 0);
	expect(fixture, put(fixture, "a/b", "again"), 0);
	expect(fixture, store_read_all(fixture->store, "a/b", 5, &out, &fixture->err), 0);
	assert_true(weir_str_is(weir_buf_str(&out), "again"));
	weir_buf_done(&out);
}

/* Some kinds say so when it is created, some when it is finished; there is one winner, and it is whole. */
static void of_two_writers_one_wins(void **state)
{
	struct fixture *fixture = *state;
	struct store_file *first, *second;
	struct weir_buf out = WEIR_BUF_INIT;
	expect(fixture, store_create(fixture->store, "x", &first, &fixture->err), 0);
	int status = store_create(fixture->store, "x", &second, &fixture->err);
	expect(fixture, store_append(first, "first", 5, &fixture->err), 0);
	expect(fixture, store_barrier(fixture->store, &first, 1, &fixture->err), 0);
	if (status == 0) {
		expect(fixture, store_append(second, "second", 6, &fixture->err), 0);
		status = store_barrier(fixture->store, &second, 1, &fixture->err);
	}
	expect(fixture, status, WEIR_E_EXISTS);
	expect(fixture, store_read_all(fixture->store, "x", 100, &out, &fixture->err), 0);
	assert_true(weir_str_is(weir_buf_str(&out), "first"));
	weir_buf_done(&out);
}

struct racer {
	struct store *store;
	unsigned number;
	int same, own;
};

static void *race(void *context)
{
	struct racer *racer = context;
	char name[32], text[32];
	snprintf(text, sizeof text, "%u", racer->number);
	racer->same = store_put(racer->store, "race/same", text, strlen(text), NULL);
	snprintf(name, sizeof name, "race/own-%u", racer->number);
	racer->own = store_put(racer->store, name, text, strlen(text), NULL);
	return NULL;
}

static void threads_share_a_store(void **state)
{
	struct fixture *fixture = *state;
	struct racer racers[8];
	pthread_t threads[8];
	struct weir_buf out = WEIR_BUF_INIT;
	unsigned winners = 0, winner = 0;
	char text[32];
	for (unsigned i = 0; i < 8; i++) {
		racers[i] = (struct racer){fixture->store, i, 0, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(racers[i].own, 0);
		assert_true(racers[i].same == 0 || racers[i].same == WEIR_E_EXISTS);
		winners += racers[i].same == 0;
		winner = racers[i].same == 0 ? i : winner;
	}
	assert_int_equal(winners, 1);
	expect(fixture, store_read_all(fixture->store, "race/same", 100, &out, &fixture->err), 0);
	snprintf(text, sizeof text, "%u", winner);
	assert_string_equal(weir_buf_cstr(&out), text);
	assert_int_equal(listed(fixture, "race/", NULL), 9);
	weir_buf_done(&out);
}

static void fill(char *bytes, size_t size, uint64_t seed)
{
	struct weir_rng rng = weir_rng_new(seed);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t bits = weir_rng_next(&rng);
		memcpy(bytes + i, &bits, size - i < 8 ? size - i : 8);
	}
}

static void large_objects_come_back(void **state)
{
	struct fixture *fixture = *state;
	const unsigned sizes[] = {
		fixture->kind->large_bytes, fixture->kind->large_bytes / 2, fixture->kind->large_bytes / 2 + 1};
	char *bytes = malloc(fixture->kind->large_bytes), *back = malloc(fixture->kind->large_bytes);
	for (unsigned i = 0; i < 3; i++) {
		struct store_file *file;
		struct weir_byte_source source;
		char name[16];
		snprintf(name, sizeof name, "large/%u", i);
		fill(bytes, sizes[i], i);
		expect(fixture, store_create(fixture->store, name, &file, &fixture->err), 0);
		for (size_t at = 0; at < sizes[i]; at += 1000003)
			expect(fixture,
				store_append(file, bytes + at, sizes[i] - at < 1000003 ? sizes[i] - at : 1000003,
					&fixture->err),
				0);
		uint64_t size;
		if (fixture->kind->appears_whole) {
			expect(fixture, store_size(fixture->store, name, &size, &fixture->err), WEIR_E_NOT_FOUND);
			assert_int_equal(listed(fixture, "large/", NULL), i);
		}
		expect(fixture, store_barrier(fixture->store, &file, 1, &fixture->err), 0);
		expect(fixture, store_size(fixture->store, name, &size, &fixture->err), 0);
		assert_int_equal(size, sizes[i]);
		expect(fixture, store_source_open(fixture->store, name, &source, &fixture->err), 0);
		assert_int_equal(source.size_bytes, sizes[i]);
		expect(fixture, source.read(source.self, 0, back, sizes[i], &fixture->err), 0);
		assert_memory_equal(back, bytes, sizes[i]);
		expect(fixture, source.read(source.self, sizes[i] / 2, back, 777, &fixture->err), 0);
		assert_memory_equal(back, bytes + sizes[i] / 2, 777);
		store_source_close(&source);
	}
	/* One that is abandoned with parts on their way, and one whose name is taken in the meantime. */
	struct store_file *files[2];
	static const char *const names[] = {"large/x", "large/0"};
	for (unsigned i = 0; i < 2; i++) {
		if (store_create(fixture->store, names[i], &files[i], &fixture->err) != 0)
			break;
		expect(fixture, store_append(files[i], bytes, sizes[0], &fixture->err), 0);
		if (i == 0)
			store_abandon(fixture->store, files[i]);
		else
			expect(fixture, store_barrier(fixture->store, &files[i], 1, &fixture->err), WEIR_E_EXISTS);
	}
	assert_int_equal(listed(fixture, "large/", NULL), 3);
	free(bytes);
	free(back);
}

static void a_source_outlives_its_object(void **state)
{
	struct fixture *fixture = *state;
	struct weir_byte_source source;
	const char *const name = "t/x";
	char bytes[3];
	expect(fixture, put(fixture, name, "abcdef"), 0);
	expect(fixture, store_source_open(fixture->store, name, &source, &fixture->err), 0);
	assert_int_equal(source.size_bytes, 6);
	assert_true(weir_str_is(source.name, name));
	expect(fixture, store_delete_many(fixture->store, &name, 1, &fixture->err), 0);
	expect(fixture, source.read(source.self, 4, bytes, 3, &fixture->err), WEIR_E_CORRUPT);
	expect(fixture, source.read(source.self, 3, bytes, 3, &fixture->err),
		fixture->kind->ends_with_object ? WEIR_E_NOT_FOUND : 0);
	if (!fixture->kind->ends_with_object)
		assert_memory_equal(bytes, "def", 3);
	store_source_close(&source);
	expect(fixture, store_source_open(fixture->store, name, &source, &fixture->err), WEIR_E_NOT_FOUND);
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
		expect(fixture, store_put(fixture->store, names[i], "some bytes", i, &fixture->err), 0);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		assert_int_equal(listed(fixture, lists[i].prefix, NULL), lists[i].count);
	int calls = 0;
	expect(fixture, store_list(fixture->store, "", refuse, &calls, &fixture->err), WEIR_E_CANCELLED);
	assert_int_equal(calls, 1);
	static const char *const doomed[] = {"a/b/c/4", "none", "no/such/thing", "a/1", "a/b/3"};
	expect(fixture, store_delete_many(fixture->store, doomed, 5, &fixture->err), 0);
	assert_int_equal(listed(fixture, "", "a/2:1\n"), 3);
	/* In a directory that was removed something can be made again. */
	expect(fixture, put(fixture, "a/b/c/6", ""), 0);
	assert_int_equal(listed(fixture, "a/b/", "a/b/c/6:0\n"), 1);
	/* The last one, one that is not there, and the same one twice. */
	static const char *const last[] = {"b", "b", "ab/none"};
	expect(fixture, store_delete_many(fixture->store, last, 1, &fixture->err), 0);
	expect(fixture, store_delete_many(fixture->store, last, 3, &fixture->err), 0);
	assert_int_equal(listed(fixture, "b", NULL), 0);
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "./a"};
	static const char *const odd[] = {"p=a%2Fb/..x/%", "p=a b/c+d", "p=\303\244&<x>'\"", "q=#?;:@$,!*()[]{}|^~`"};
	struct fixture *fixture = *state;
	struct store_file *file;
	uint64_t size;
	char name[STORE_NAME_MAX + 2], wanted[64];
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		expect(fixture, store_create(fixture->store, bad[i], &file, &fixture->err), WEIR_E_INPUT);
		expect(fixture, store_size(fixture->store, bad[i], &size, &fixture->err), WEIR_E_INPUT);
		expect(fixture, store_delete_many(fixture->store, &bad[i], 1, &fixture->err), WEIR_E_INPUT);
	}
	memset(name, 'a', sizeof name);
	for (size_t i = 200; i < sizeof name; i += 200)
		name[i] = '/';
	name[STORE_NAME_MAX + 1] = '\0';
	expect(fixture, put(fixture, name, ""), WEIR_E_INPUT);
	name[fixture->kind->name_max] = '\0';
	expect(fixture, put(fixture, name, ""), 0);
	memset(name, 'b', 256);
	name[256] = '\0';
	expect(fixture, put(fixture, name, ""), WEIR_E_INPUT);
	int calls = 0;
	expect(fixture, store_list(fixture->store, "../", refuse, &calls, &fixture->err), WEIR_E_INPUT);
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		expect(fixture, put(fixture, odd[i], "x"), 0);
		snprintf(wanted, sizeof wanted, "%s:1\n", odd[i]);
		assert_int_equal(listed(fixture, odd[i], wanted), 1);
	}
	expect(fixture, store_delete_many(fixture->store, odd, sizeof odd / sizeof odd[0], &fixture->err), 0);
	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
		assert_int_equal(listed(fixture, odd[i], NULL), 0);
}

static void uris_lead_back(void **state)
{
	struct fixture *fixture = *state;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str name, uri = store_uri(fixture->store, arena, WEIR_STR("gold/t/p=a%20b/c"));
	expect(fixture, store_name_of(fixture->store, arena, uri, &name, &fixture->err), 0);
	assert_string_equal(name.data, "gold/t/p=a%20b/c");
	expect(fixture, store_name_of(fixture->store, arena, WEIR_STR("gs://elsewhere/x"), &name, &fixture->err),
		WEIR_E_INPUT);
	weir_arena_free(arena);
}

/* ---- random calls, beside a plain list of what must be there ---- */

enum { NAMES = 24 };

struct model {
	bool there[NAMES];
	uint64_t seeds[NAMES];
	size_t sizes[NAMES];
};

static void model_name(unsigned number, char name[32])
{
	snprintf(name, 32, "t%u/p=%u/%u", number % 3, number % 5, number);
}

static void model_write(struct fixture *fixture, struct model *model, struct weir_rng *rng)
{
	struct store_file *files[4];
	unsigned numbers[4], count = 0;
	for (unsigned i = 0; i < 4; i++) {
		unsigned number = (unsigned)weir_rng_below(rng, NAMES);
		bool taken = model->there[number];
		for (unsigned k = 0; k < count; k++)
			taken = taken || numbers[k] == number;
		if (taken)
			continue;
		char name[32], *bytes;
		size_t size = weir_rng_below(rng, weir_rng_below(rng, 16) == 0 ? fixture->kind->large_bytes : 5000);
		model->seeds[number] = weir_rng_next(rng);
		model->sizes[number] = size;
		model_name(number, name);
		bytes = malloc(size + 8);
		fill(bytes, size, model->seeds[number]);
		expect(fixture, store_create(fixture->store, name, &files[count], &fixture->err), 0);
		expect(fixture, store_append(files[count], bytes, size / 3, &fixture->err), 0);
		expect(fixture, store_append(files[count], bytes + size / 3, size - size / 3, &fixture->err), 0);
		free(bytes);
		numbers[count++] = number;
	}
	if (weir_rng_below(rng, 6) == 0) {
		for (unsigned i = 0; i < count; i++)
			store_abandon(fixture->store, files[i]);
		return;
	}
	expect(fixture, store_barrier(fixture->store, files, count, &fixture->err), 0);
	for (unsigned i = 0; i < count; i++)
		model->there[numbers[i]] = true;
}

static void model_delete(struct fixture *fixture, struct model *model, struct weir_rng *rng)
{
	char names[3][32];
	const char *list[3];
	for (unsigned i = 0; i < 3; i++) {
		unsigned number = (unsigned)weir_rng_below(rng, NAMES);
		model_name(number, names[i]);
		list[i] = names[i];
		model->there[number] = false;
	}
	expect(fixture, store_delete_many(fixture->store, list, 3, &fixture->err), 0);
}

static void model_read(struct fixture *fixture, const struct model *model, unsigned number)
{
	struct weir_buf out = WEIR_BUF_INIT;
	char name[32];
	model_name(number, name);
	expect(fixture, store_read_all(fixture->store, name, 1 << 30, &out, &fixture->err),
		model->there[number] ? 0 : WEIR_E_NOT_FOUND);
	if (model->there[number]) {
		char *bytes = malloc(model->sizes[number] + 8);
		fill(bytes, model->sizes[number], model->seeds[number]);
		assert_int_equal(out.size, model->sizes[number]);
		if (out.size > 0)
			assert_memory_equal(out.data, bytes, out.size);
		free(bytes);
	}
	weir_buf_done(&out);
}

static void model_list(struct fixture *fixture, const struct model *model)
{
	struct weir_buf names = WEIR_BUF_INIT;
	size_t wanted = 0, count = 0;
	expect(fixture, store_list(fixture->store, "", add_name, &names, &fixture->err), 0);
	for (size_t i = 0; i < names.size; i++)
		count += names.data[i] == '\n';
	for (unsigned number = 0; number < NAMES; number++) {
		char name[32], text[64];
		model_name(number, name);
		snprintf(text, sizeof text, "%s:%zu\n", name, model->sizes[number]);
		wanted += model->there[number];
		if (model->there[number])
			assert_non_null(strstr(weir_buf_cstr(&names), text));
	}
	assert_int_equal(count, wanted);
	weir_buf_done(&names);
}

static void random_calls_keep_the_model(void **state)
{
	struct fixture *fixture = *state;
	struct weir_rng rng = weir_rng_new(test_seed("store"));
	struct model model = {0};
	unsigned steps = fixture->kind->steps != 0 ? fixture->kind->steps : 200;
	for (unsigned i = 0; i < steps; i++) {
		switch (weir_rng_below(&rng, 6)) {
		case 0:
		case 1:
			model_write(fixture, &model, &rng);
			break;
		case 2:
			model_delete(fixture, &model, &rng);
			break;
		case 3:
			model_list(fixture, &model);
			break;
		default:
			model_read(fixture, &model, (unsigned)weir_rng_below(&rng, NAMES));
		}
	}
	model_list(fixture, &model);
	for (unsigned i = 0; i < NAMES; i++)
		model_read(fixture, &model, i);
}

int store_suite_run(const struct store_kind *kind)
{
	/* cmocka hands the state of a test only as a void pointer that it may change. */
	union {
		const struct store_kind *kind;
		void *state;
	} with = {.kind = kind};
#define RULE(name) cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, with.state)
	const struct CMUnitTest tests[] = {
		RULE(objects_come_back),
		RULE(an_object_is_made_once),
		RULE(of_two_writers_one_wins),
		RULE(threads_share_a_store),
		RULE(large_objects_come_back),
		RULE(a_source_outlives_its_object),
		RULE(listing_and_deleting),
		RULE(names_are_checked),
		RULE(uris_lead_back),
		RULE(random_calls_keep_the_model),
	};
	return cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
}
