/*
 * Power cuts and faults under the control database: acknowledged changes are there after it is opened again, the others
 * whole or not at all, and an error that says "did not happen" is true. WEIR_SEED and WEIR_CUTS choose other runs.
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
#include "control/control.h"
#include "support/seed.h"
#include "support/sim_os.h"
#include "support/sim_vfs.h"

/* Change n moves the offset of its stream from n to n + 1 and adds a row with some kilobytes: both or neither. */
struct world {
	struct sim_os *sim;
	struct sim_vfs *vfs;
	struct weir_rng rng;
	struct control *control;
	uint64_t acknowledged; /* the offset that was acknowledged */
	uint64_t possible;     /* the highest that may be there: outcomes unknown, or cut off */
	unsigned failed, unknown;
};

static const char schema[] = "CREATE TABLE rows(number INTEGER PRIMARY KEY, bytes BLOB)";

static int open_control(struct world *world, struct weir_error *err)
{
	struct control_options options = {.url = "/lake/control.db", .sqlite_vfs = sim_vfs_name(world->vfs)};
	int status = control_open(&options, &world->control, err);
	if (status != 0) {
		world->control = NULL;
		return status;
	}
	status = control_migrate(world->control, "test", 1, schema, err);
	if (status != 0) {
		control_close(world->control);
		world->control = NULL;
	}
	return status;
}

static void world_init(struct world *world, uint64_t seed)
{
	*world = (struct world){.sim = sim_os_new(seed), .rng = weir_rng_new(seed)};
	world->vfs = sim_vfs_new(world->sim);
	const struct weir_os *os = sim_os_table(world->sim);
	assert_int_equal(os->mkdir(os->self, "/lake", NULL), 0);
}

static void world_done(struct world *world)
{
	control_close(world->control);
	sim_vfs_free(world->vfs);
	sim_os_free(world->sim);
}

static void change(struct world *world)
{
	char bytes[9000];
	uint64_t number = world->possible;
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	size_t size = 1 + weir_rng_below(&world->rng, sizeof bytes);
	memset(bytes, (int)(number & 0xff), size);
	struct control_value values[] = {CONTROL_I(number), CONTROL_B(((struct weir_str){bytes, size}))};
	control_change_sql(change, "row", 1, "INSERT INTO rows(number, bytes) VALUES (?1, ?2)", values, 2);
	control_move_offset(change, WEIR_STR("s"), 0, number, number + 1);
	int status = control_commit(world->control, change, &result, &err);
	control_change_free(change);
	if (status == 0) {
		assert_int_equal(result.outcome, CONTROL_DONE);
		world->acknowledged = ++world->possible;
		return;
	}
	world->failed++;
	if (status == WEIR_E_UNKNOWN) {
		world->unknown++;
		world->possible++;
	}
}

static int64_t number_of(struct world *world, const char *sql)
{
	int64_t value = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	int status = control_query_int(world->control, sql, NULL, 0, &value, &err);
	if (status != 0 && status != WEIR_E_NOT_FOUND)
		fail_msg("%s: %s", sql, err.message);
	return value;
}

/* What is there now is known, and counts from here on. */
static void check(struct world *world)
{
	int64_t offset = number_of(world, "SELECT next_offset FROM weir_offsets");
	assert_in_range(offset, world->acknowledged, world->possible);
	assert_int_equal(number_of(world, "SELECT count(*) FROM rows"), offset);
	assert_int_equal(
		number_of(world, "SELECT count(*) FROM rows WHERE number >= (SELECT next_offset FROM weir_offsets)"),
		0);
	assert_int_equal(number_of(world, "SELECT open FROM weir_guard"), 0);
	world->acknowledged = world->possible = (uint64_t)offset;
}

static void open_and_check(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (open_control(world, &err) != 0)
		fail_msg("cannot open: %s", err.message);
	check(world);
}

static void integrity(struct world *world)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str text;
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(control_query_text(world->control, arena, "PRAGMA integrity_check", NULL, 0, &text, &err), 0);
	assert_string_equal(text.data, "ok");
	weir_arena_free(arena);
}

static void live(struct world *world, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		change(world);
		/* An unknown outcome must be known before the next change, which builds on it: read it. */
		if (world->possible != world->acknowledged) {
			int64_t offset = 0;
			int status = control_query_int(
				world->control, "SELECT next_offset FROM weir_offsets", NULL, 0, &offset, NULL);
			if (status != 0 && status != WEIR_E_NOT_FOUND)
				return;
			assert_in_range(offset, world->acknowledged, world->possible);
			world->acknowledged = world->possible = (uint64_t)offset;
		}
		if (weir_rng_below(&world->rng, 8) == 0)
			control_scrub(world->control, NULL);
	}
}

static void acknowledged_survives_power_cuts(void **state)
{
	(void)state;
	uint64_t seed = test_seed("control power cuts"), cuts = test_number("WEIR_CUTS", 1000), cut = 0;
	unsigned failed = 0, unknown = 0;
	for (uint64_t round = 0; cut < cuts; round++) {
		struct world world;
		world_init(&world, weir_rng_fork(seed, round).state[0]);
		open_and_check(&world);
		for (unsigned i = 0; i < 50 && cut < cuts; i++, cut++) {
			uint64_t fate = weir_rng_next(&world.rng);
			sim_os_power_cut_at(world.sim, 1 + weir_rng_below(&world.rng, 60), fate);
			live(&world, 1 + (unsigned)weir_rng_below(&world.rng, 8));
			/* A change that was under way when the power went may be there. */
			if (sim_os_is_off(world.sim) && world.possible == world.acknowledged)
				world.possible++;
			control_close(world.control);
			if (!sim_os_is_off(world.sim))
				sim_os_power_cut(world.sim, fate);
			sim_os_power_on(world.sim);
			/* Sometimes again while it recovers. */
			if (weir_rng_below(&world.rng, 3) == 0) {
				sim_os_power_cut_at(world.sim, 1 + weir_rng_below(&world.rng, 10), fate + 1);
				if (open_control(&world, NULL) == 0)
					control_close(world.control);
				sim_os_power_on(world.sim);
			}
			open_and_check(&world);
		}
		integrity(&world);
		failed += world.failed;
		unknown += world.unknown;
		world_done(&world);
	}
	printf("%llu cuts, %u changes cut off, %u of them with unknown outcome\n", (unsigned long long)cut, failed,
		unknown);
	assert_true(failed > 0);
}

/* The nth call of a kind fails, once or some times; then the process goes on, or dies and finds what is there. */
static void faults_are_told_truly(void **state)
{
	static const struct {
		enum sim_call kind;
		int error;
		uint64_t most;
	} faults[] = {
		{SIM_WRITE, ENOSPC, 150},
		{SIM_WRITE, EIO, 150},
		{SIM_SYNC, EIO, 60},
		{SIM_TRUNCATE, EIO, 20},
		{SIM_SYNC_DIR, EIO, 20},
		{SIM_OPEN, EIO, 20},
		{SIM_READ, EIO, 60},
		{SIM_CHANGES, EIO, 150},
	};
	(void)state;
	uint64_t seed = test_seed("control faults");
	unsigned runs = 0, failed = 0, unknown = 0;
	for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
		for (uint64_t nth = 1; nth <= faults[f].most; nth++) {
			struct world world;
			struct weir_error err = WEIR_ERROR_INIT;
			world_init(&world, weir_rng_fork(seed, f * 1000 + nth).state[0]);
			sim_os_fail(world.sim, faults[f].kind, nth, faults[f].error, weir_rng_below(&world.rng, 6));
			int status = open_control(&world, &err);
			if (status == 0)
				live(&world, 15);
			bool has_failed = sim_os_has_failed(world.sim);
			sim_os_fail(world.sim, faults[f].kind, 0, 0, 0);
			/* The process goes on, or dies; in both cases it may lose its power. */
			if (world.control != NULL && weir_rng_below(&world.rng, 2) == 0) {
				check(&world);
				live(&world, 2);
			}
			control_close(world.control);
			if (weir_rng_below(&world.rng, 2) == 0)
				sim_os_power_cut(world.sim, seed + nth);
			open_and_check(&world);
			integrity(&world);
			runs++;
			failed += world.failed;
			unknown += world.unknown;
			world_done(&world);
			if (!has_failed)
				break;
		}
	}
	printf("%u runs, %u changes failed, %u of them with unknown outcome\n", runs, failed, unknown);
	assert_true(failed > 0 && unknown > 0);
}

/* In exclusive mode, on one connection and without shared memory, the same holds. */
static void exclusive_mode(void **state)
{
	(void)state;
	struct sim_os *sim = sim_os_new(1);
	struct sim_vfs *vfs = sim_vfs_new(sim);
	struct weir_error err = WEIR_ERROR_INIT;
	struct control *control;
	struct control_options options = {.url = "/control.db", .sqlite_vfs = sim_vfs_name(vfs), .exclusive = true};
	for (int i = 0; i < 2; i++) {
		struct control_result result;
		struct control_change *one = control_change_new(CONTROL_EPOCH);
		int64_t count = -1;
		assert_int_equal(control_open(&options, &control, &err), 0);
		control_add_counter(one, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
		assert_int_equal(control_commit(control, one, &result, &err), 0);
		assert_int_equal(
			control_query_int(control, "SELECT count FROM weir_counters", NULL, 0, &count, &err), 0);
		assert_int_equal(count, i + 1);
		assert_int_equal(control_scrub(control, &err), 0);
		control_change_free(one);
		control_close(control);
	}
	sim_vfs_free(vfs);
	sim_os_free(sim);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_survives_power_cuts),
		cmocka_unit_test(faults_are_told_truly),
		cmocka_unit_test(exclusive_mode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
