/*
 * Power cuts and faults under the local store: after a barrier everything is there, whole; after a deletion nothing is;
 * what was neither may be anything, but never an object that was never made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "store/store.h"
#include "support/seed.h"
#include "support/sim_os.h"

enum { OBJECTS = 400 };
enum fate { NOT_MADE, MAYBE, DURABLE, DELETED };

struct world {
	struct sim_os *sim;
	struct weir_rng rng;
	struct store *store;
	enum fate fates[OBJECTS];
	unsigned made, failed;
};

static void name_of(unsigned number, char name[64])
{
	snprintf(name, 64, "t%u/p=%u/%u", number % 3, number % 5, number);
}

/* Some are empty, some are larger than the store's buffer. */
static size_t bytes_of(unsigned number, char **ret_bytes)
{
	struct weir_rng rng = weir_rng_new(number);
	size_t size = weir_rng_below(&rng, number % 10 == 0 ? 100000 : 3000);
	*ret_bytes = malloc(size + 1);
	for (size_t i = 0; i < size; i += 8) {
		uint64_t bits = weir_rng_next(&rng);
		memcpy(*ret_bytes + i, &bits, size - i < 8 ? size - i : 8);
	}
	return size;
}

static void open_store(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (store_local_open(sim_os_table(world->sim), "/lake/w", &world->store, &err) != 0)
		fail_msg("%s", err.message);
}

static void make_some(struct world *world)
{
	struct store_file *files[4];
	unsigned numbers[4], count = 0, wanted = 1 + (unsigned)weir_rng_below(&world->rng, 4);
	int status = 0;
	for (; count < wanted && world->made < OBJECTS && status == 0;) {
		char name[64], *bytes;
		unsigned number = world->made++;
		world->fates[number] = MAYBE;
		name_of(number, name);
		status = store_create(world->store, name, &files[count], NULL);
		if (status != 0)
			break;
		numbers[count++] = number;
		size_t size = bytes_of(number, &bytes);
		status = store_append(files[count - 1], bytes, size / 2, NULL);
		if (status == 0)
			status = store_append(files[count - 1], bytes + size / 2, size - size / 2, NULL);
		free(bytes);
	}
	world->failed += status != 0;
	if (status != 0 || weir_rng_below(&world->rng, 8) == 0) {
		for (unsigned i = 0; i < count; i++)
			store_abandon(world->store, files[i]);
	} else if (store_barrier(world->store, files, count, NULL) == 0) {
		for (unsigned i = 0; i < count; i++)
			world->fates[numbers[i]] = DURABLE;
	} else {
		world->failed++;
	}
}

static void delete_some(struct world *world)
{
	char names[3][64];
	const char *list[3];
	unsigned numbers[3], count = 0;
	while (count < 3 && world->made > 0) {
		numbers[count] = (unsigned)weir_rng_below(&world->rng, world->made);
		if (world->fates[numbers[count]] == DURABLE)
			world->fates[numbers[count]] = MAYBE;
		name_of(numbers[count], names[count]);
		list[count] = names[count];
		count++;
	}
	int status = store_delete_many(world->store, list, count, NULL);
	world->failed += status != 0;
	for (unsigned i = 0; i < count && status == 0; i++)
		world->fates[numbers[i]] = DELETED;
}

static int check_known(void *context, const struct store_object *object, struct weir_error *err)
{
	struct world *world = context;
	char name[64];
	unsigned number = (unsigned)strtoul(strrchr(object->name.data, '/') + 1, NULL, 10);
	(void)err;
	assert_true(number < world->made);
	name_of(number, name);
	assert_true(weir_str_is(object->name, name));
	return 0;
}

static void check(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	for (unsigned number = 0; number < world->made; number++) {
		char name[64], *bytes;
		struct weir_buf out = WEIR_BUF_INIT;
		name_of(number, name);
		int status = store_read_all(world->store, name, 1 << 20, &out, &err);
		size_t size = bytes_of(number, &bytes);
		if (world->fates[number] == DURABLE) {
			if (status != 0)
				fail_msg("%s: %s", name, err.message);
			assert_int_equal(out.size, size);
			assert_memory_equal(out.data != NULL ? out.data : "", bytes, size);
		} else if (world->fates[number] == DELETED) {
			assert_int_equal(status, WEIR_E_NOT_FOUND);
		}
		free(bytes);
		weir_buf_done(&out);
	}
	assert_int_equal(store_list(world->store, "", check_known, world, &err), 0);
}

static void live(struct world *world, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		if (weir_rng_below(&world->rng, 3) > 0)
			make_some(world);
		else
			delete_some(world);
	}
}

static void world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){.sim = sim_os_new(seed), .rng = weir_rng_new(seed)};
	open_store(world);
}

static void world_done(struct world *world)
{
	store_close(world->store);
	sim_os_free(world->sim);
}

static void a_barrier_survives_power_cuts(void **state)
{
	(void)state;
	uint64_t seed = test_seed("store power cuts"), cuts = test_number("WEIR_CUTS", 1000), cut = 0;
	unsigned failed = 0;
	for (uint64_t round = 0; cut < cuts; round++) {
		struct world world;
		world_init(&world, weir_rng_fork(seed, round).state[0]);
		while (world.made < OBJECTS / 4 && cut < cuts) {
			uint64_t fate = weir_rng_next(&world.rng);
			sim_os_power_cut_at(world.sim, 1 + weir_rng_below(&world.rng, 40), fate);
			live(&world, 1 + (unsigned)weir_rng_below(&world.rng, 5));
			if (!sim_os_is_off(world.sim))
				sim_os_power_cut(world.sim, fate);
			sim_os_power_on(world.sim);
			store_close(world.store);
			open_store(&world);
			check(&world);
			cut++;
		}
		failed += world.failed;
		world_done(&world);
	}
	printf("%llu cuts, %u calls cut off\n", (unsigned long long)cut, failed);
	assert_true(failed > 0);
}

static void faults_are_reported(void **state)
{
	static const struct {
		enum sim_call kind;
		int error;
	} faults[] = {
		{SIM_WRITE, ENOSPC},
		{SIM_WRITE, EIO},
		{SIM_SYNC, EIO},
		{SIM_SYNC_DIR, EIO},
		{SIM_OPEN, ENOSPC},
		{SIM_UNLINK, EIO},
		{SIM_MKDIR, ENOSPC},
		{SIM_CHANGES, EIO},
	};
	(void)state;
	uint64_t seed = test_seed("store faults");
	unsigned runs = 0, failed = 0;
	for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
		for (uint64_t nth = 1; nth <= 40; nth++) {
			struct world world;
			world_init(&world, weir_rng_fork(seed, nth).state[0]);
			sim_os_fail(world.sim, faults[f].kind, nth, faults[f].error, weir_rng_below(&world.rng, 3));
			live(&world, 10);
			bool has_failed = sim_os_has_failed(world.sim);
			sim_os_fail(world.sim, faults[f].kind, 0, 0, 0);
			check(&world);
			sim_os_power_cut(world.sim, seed + nth);
			store_close(world.store);
			open_store(&world);
			check(&world);
			runs++;
			failed += world.failed;
			world_done(&world);
			if (!has_failed)
				break;
		}
	}
	printf("%u runs, %u calls failed\n", runs, failed);
	assert_true(failed > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_barrier_survives_power_cuts),
		cmocka_unit_test(faults_are_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
