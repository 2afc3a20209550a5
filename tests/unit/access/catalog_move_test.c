/*
 * Renaming and dropping where the control database fails: an answer of success or failure is true, and what cannot be told is
 * said to be so, also where others have gone on with the table or its name meanwhile.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "access/catalog_int.h"
#include "iceberg/table.h"
#include "support/sim_os.h"
#include "support/sim_vfs.h"

#define NAME  ((struct catalog_name){WEIR_STR("shop"), WEIR_STR("t")})
#define MOVED ((struct catalog_name){WEIR_STR("shop"), WEIR_STR("moved")})
#define AWAY  ((struct catalog_name){WEIR_STR("shop"), WEIR_STR("away")})

/* A catalog over a memory store, its database on a simulated disk, and one table in it. */
struct world {
	struct weir_arena *arena;
	struct sim_os *sim;
	struct sim_vfs *vfs;
	struct store *store;
	struct control *control;
	struct ice_registry *registry;
	struct catalog *catalog;
};

static void check(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		print_error("%s\n", weir_error_text(err, text, sizeof text));
	assert_int_equal(code, 0);
}

static void make_table(struct world *world)
{
	static struct weir_field fields[] = {{.name = {"id", 2}, .id = 1, .type = WEIR_INT64}};
	static const struct ice_spec spec = {0};
	const struct weir_schema schema = {.field_count = 1, .fields = fields};
	const struct ice_definition definition = {.name = {NAME.ns, NAME.name},
		.schema = &schema,
		.specs = &spec,
		.spec_count = 1,
		.location = WEIR_STR("shop/t")};
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	check(ice_table_create(world->store, &definition, 1738396800000, change, &err), &err);
	check(control_commit(world->control, change, &result, &err), &err);
	control_change_free(change);
}

static void world_open(struct world *world, uint64_t seed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*world = (struct world){.arena = weir_arena_new(0), .sim = sim_os_new(seed), .store = store_memory_new()};
	world->vfs = sim_vfs_new(world->sim);
	const struct weir_os *os = sim_os_table(world->sim);
	assert_int_equal(os->mkdir(os->self, "/lake", NULL), 0);
	struct control_options options = {.url = "/lake/control.db", .sqlite_vfs = sim_vfs_name(world->vfs)};
	check(control_open(&options, &world->control, &err), &err);
	make_table(world);
	world->registry = ice_registry_new(world->store, world->control);
	struct catalog_config config = {.registry = world->registry, .clock = weir_clock_system()};
	check(catalog_open(&config, &world->catalog, &err), &err);
}

static void world_close(struct world *world)
{
	catalog_close(world->catalog);
	ice_registry_free(world->registry);
	control_close(world->control);
	sim_vfs_free(world->vfs);
	sim_os_free(world->sim);
	store_close(world->store);
	weir_arena_free(world->arena);
}

static struct catalog_pointer pointer(struct world *world, struct catalog_name name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct catalog_pointer found;
	check(catalog_pointer_read(world->catalog, world->arena, name, &found, &err), &err);
	return found;
}

static void set_property(struct world *world, struct catalog_name name, const char *value)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *updates = json_pack("[{s:s,s:{s:s}}]", "action", "set-properties", "updates", "k", value);
	struct catalog_change change = {.name = name, .updates = updates};
	check(catalog_commit(world->catalog, CATALOG_TABLE, &change, 1, world->arena, NULL, &err), &err);
	json_decref(updates);
}

static void make_other(struct world *world, struct catalog_name name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct catalog_entry entry;
	json_t *request = json_pack("{s:s%,s:{s:s,s:[{s:i,s:s,s:b,s:s}]}}", "name", name.name.data, name.name.size,
		"schema", "type", "struct", "fields", "id", 1, "name", "id", "required", 0, "type", "long");
	check(catalog_create(world->catalog, CATALOG_TABLE, name.ns, request, world->arena, &entry, &err), &err);
	catalog_entry_done(&entry);
	json_decref(request);
}

static void rename_to(struct world *world, struct catalog_name from, struct catalog_name to)
{
	struct weir_error err = WEIR_ERROR_INIT;
	check(catalog_rename(world->catalog, CATALOG_TABLE, from, to, &err), &err);
}

static void drop(struct world *world, struct catalog_name name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	check(catalog_drop(world->catalog, CATALOG_TABLE, name, false, &err), &err);
}

/* What became of the table while nobody knew whether it was renamed to MOVED, or dropped: the steps, in order. */
static const struct {
	const char *
		steps; /* r: renamed; d: dropped; a: moved away by another; c: committed, C: three times; o: another by the name */
	int renamed, dropped;
} situations[] = {
	{"", WEIR_E_BUSY, WEIR_E_BUSY},
	{"c", WEIR_E_BUSY, WEIR_E_BUSY}, /* not done, and another writer went on */
	{"C", WEIR_E_BUSY, WEIR_E_BUSY},
	{"r", 0, WEIR_E_BUSY},
	{"rc", 0, WEIR_E_BUSY},
	{"rC", 0, 0}, /* by its old name it is gone, and nothing there tells where to */
	{"ro", 0, WEIR_E_BUSY},
	{"rCo", 0, 0},
	{"d", WEIR_E_UNKNOWN, 0},
	{"do", WEIR_E_UNKNOWN, 0},
	{"doC", WEIR_E_UNKNOWN, 0},
	{"a", WEIR_E_UNKNOWN, WEIR_E_BUSY},
	{"ac", WEIR_E_UNKNOWN, WEIR_E_BUSY},
};

static void what_became_of_it_is_found_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof situations / sizeof situations[0]; i++) {
		struct world world;
		struct weir_error err = WEIR_ERROR_INIT;
		world_open(&world, 1);
		set_property(&world, NAME, "1");
		struct weir_str location = pointer(&world, NAME).location;
		struct catalog_name now = NAME;
		for (const char *step = situations[i].steps; *step != '\0'; step++) {
			if (*step == 'r' || *step == 'a') {
				rename_to(&world, NAME, *step == 'r' ? MOVED : AWAY);
				now = *step == 'r' ? MOVED : AWAY;
			} else if (*step == 'd') {
				drop(&world, NAME);
			} else if (*step == 'o') {
				make_other(&world, NAME);
				now = NAME;
			}
			for (int times = *step == 'c' ? 1 : *step == 'C' ? 3 : 0; times > 0; times--)
				set_property(&world, now, times % 2 == 0 ? "2" : "3");
		}
		int renamed = catalog_rename_settle(world.catalog, NAME, MOVED, location, &err);
		int dropped = catalog_drop_settle(world.catalog, NAME, location, &err);
		if (renamed != situations[i].renamed || dropped != situations[i].dropped)
			print_error("after \"%s\": rename %d, drop %d\n", situations[i].steps, renamed, dropped);
		assert_int_equal(renamed, situations[i].renamed);
		assert_int_equal(dropped, situations[i].dropped);
		world_close(&world);
	}
}

/* Every call that the database makes fails once, and a few after it too. */
static void faults_tell_the_truth(void **state)
{
	static const enum sim_call kinds[] = {SIM_WRITE, SIM_SYNC, SIM_TRUNCATE, SIM_CHANGES, SIM_READ};
	unsigned done = 0, failed = 0, unknown = 0;
	(void)state;
	for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
		for (uint64_t run = 0; run < 80; run++) {
			struct world world;
			struct weir_error err = WEIR_ERROR_INIT;
			bool is_drop = run % 2 == 0;
			world_open(&world, run + 1);
			sim_os_fail(world.sim, kinds[k], 1 + run / 8, EIO, run / 2 % 4);
			int status = is_drop ? catalog_drop(world.catalog, CATALOG_TABLE, NAME, true, &err)
					     : catalog_rename(world.catalog, CATALOG_TABLE, NAME, MOVED, &err);
			sim_os_fail(world.sim, kinds[k], 0, 0, 0);
			bool is_here = pointer(&world, NAME).found, is_there = pointer(&world, MOVED).found;
			assert_true(is_drop ? !is_there : is_here != is_there);
			if (status == 0)
				assert_false(is_here);
			else if (status != WEIR_E_UNKNOWN)
				assert_true(is_here);
			done += status == 0;
			unknown += status == WEIR_E_UNKNOWN;
			failed += status != 0 && status != WEIR_E_UNKNOWN;
			world_close(&world);
		}
	printf("%u done, %u not done, %u cannot be told\n", done, failed, unknown);
	assert_true(done > 0 && failed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_became_of_it_is_found_out),
		cmocka_unit_test(faults_tell_the_truth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
