/*
 * The consent log on a disk that forgets and fails: an acknowledged change is there after a restart, one that was
 * refused is not, and memory says what the disk says, whatever calls failed in between. WEIR_SEED and WEIR_CUTS choose other runs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/hash.h"
#include "base/rng.h"
#include "consent/consent.h"
#include "support/seed.h"
#include "support/sim_os.h"
#include "support/sim_vfs.h"
#include "unit/consent/fixture.h"

#define SUBJECTS 5

struct world {
	struct sim_os *sim;
	struct sim_vfs *vfs;
	struct weir_rng rng;
	struct weir_manual_clock clock;
	struct control *control;
	struct consent *consent;
	uint64_t acknowledged; /* the newest number that was acknowledged */
	unsigned acks, errors, unknowns;
};

static int open_lake(struct world *world, struct weir_error *err)
{
	struct control_options options = {.url = "/lake/control.db", .sqlite_vfs = sim_vfs_name(world->vfs)};
	int code = control_open(&options, &world->control, err);
	if (code != 0)
		return code;
	code = consent_open(
		world->control, &fixture_vocabulary, weir_clock_manual(&world->clock), &world->consent, err);
	if (code != 0)
		control_close(world->control);
	return code;
}

static void close_lake(struct world *world)
{
	consent_close(world->consent);
	control_close(world->control);
}

static void digest_rule(void *context, const struct consent_rule_view *rule)
{
	uint64_t *sum = context;
	*sum = weir_mix64(*sum ^ weir_hash64_seeded(rule->body.data, rule->body.size, rule->lsn * 8 + rule->version));
}

static void digest_withdrawn(void *context, uint32_t purpose, uint64_t lsn)
{
	uint64_t *sum = context;
	*sum += weir_mix64(lsn * 64 + purpose); /* in no order */
}

static void digest_fence(void *context, struct weir_str subject, uint32_t purpose, uint64_t lsn)
{
	uint64_t *sum = context;
	*sum += weir_mix64(weir_hash64_seeded(subject.data, subject.size, lsn * 64 + purpose));
}

/* All that memory holds. */
static uint64_t digest(struct world *world)
{
	struct consent_rules *rules = consent_rules_newest(world->consent);
	struct consent_fence *fence = consent_fence_ref(world->consent);
	uint64_t sum = consent_rules_lsn(rules), fences = 0;
	for (unsigned i = 0; i < SUBJECTS; i++) {
		char name[16];
		struct weir_str subject = {name, (size_t)snprintf(name, sizeof name, "s%u", i)};
		consent_rules_each(rules, subject, digest_rule, digest_withdrawn, &sum);
		sum = weir_mix64(sum ^ consent_rules_changes(rules, subject));
	}
	consent_fence_each(fence, digest_fence, &fences);
	consent_rules_unref(rules);
	consent_fence_unref(fence);
	return sum + fences;
}

/* One or two changes of one call. */
static int append_some(struct world *world)
{
	static const char *const rules[] = {
		"\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"research\"}",
		"\"purpose\":{\"operator\":\"IN\",\"values\":[{\"value\":\"research\"},{\"value\":\"coaching\"}]}",
		"\"purpose\":{\"operator\":\"EQUALS\",\"value\":\"coaching\"},\"indoor\":{\"operator\":\"EQUALS\","
		"\"value\":true}",
	};
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_change changes[2];
	struct consent_changed changed[2];
	struct consent_rule rule[2];
	struct consent_problem problem;
	uint32_t count = 1 + (uint32_t)weir_rng_below(&world->rng, 2);
	for (uint32_t i = 0; i < count; i++) {
		const char *subject = weir_arena_printf(arena, "s%u", (unsigned)weir_rng_below(&world->rng, SUBJECTS));
		const char *json = weir_arena_printf(arena, "{\"userId\":\"%s\",\"dimensions\":{%s}}", subject,
			rules[weir_rng_below(&world->rng, 3)]);
		assert_int_equal(
			consent_rule_parse(&fixture_vocabulary, arena, weir_str_from(json), &rule[i], &problem, NULL),
			0);
		if (weir_rng_chance(&world->rng, 0.6))
			changes[i] = (struct consent_change){.kind = CONSENT_CHANGE_POST, .rule = &rule[i]};
		else
			changes[i] = (struct consent_change){.kind = CONSENT_CHANGE_WITHDRAW,
				.subject = weir_str_from(subject),
				.purpose = weir_rng_chance(&world->rng, 0.5) ? RESEARCH : COACHING};
	}
	int code = consent_append(world->consent, changes, count, changed, NULL);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		if (changed[i].lsn > world->acknowledged)
			world->acknowledged = changed[i].lsn;
	world->acks += code == 0;
	world->errors += code != 0;
	world->unknowns += code == WEIR_E_UNKNOWN;
	weir_arena_free(arena);
	return code;
}

/* Finishes some tasks; whether it is done may stay unknown. */
static void work(struct world *world)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_task *tasks;
	struct control_result result;
	uint64_t rows[4] = {0};
	uint32_t count;
	if (consent_tasks_open(world->consent, arena, 4, &tasks, &count, NULL) == 0 && count > 0) {
		struct control_change *change = control_change_new(CONTROL_BACKGROUND);
		consent_stage_tasks_done(world->consent, change, tasks, rows, count);
		control_commit(world->control, change, &result, NULL);
		consent_tasks_finished(world->consent, tasks, count);
		control_change_free(change);
	}
	weir_arena_free(arena);
}

static void world_init(struct world *world, uint64_t seed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*world = (struct world){.sim = sim_os_new(seed), .rng = weir_rng_new(seed), .clock.time_us = 1};
	world->vfs = sim_vfs_new(world->sim);
	const struct weir_os *os = sim_os_table(world->sim);
	assert_int_equal(os->mkdir(os->self, "/lake", NULL), 0);
	if (open_lake(world, &err) != 0)
		fail_msg("%s", err.message);
}

static void world_done(struct world *world)
{
	close_lake(world);
	sim_vfs_free(world->vfs);
	sim_os_free(world->sim);
}

static void reopen(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (open_lake(world, &err) != 0)
		fail_msg("%s", err.message);
}

static void test_power_cuts(void **state)
{
	(void)state;
	uint64_t seed = test_seed("consent power cuts"), cuts = test_number("WEIR_CUTS", 200);
	struct world world;
	world_init(&world, seed);
	for (uint64_t cut = 0; cut < cuts; cut++) {
		sim_os_power_cut_at(world.sim, 1 + weir_rng_below(&world.rng, 40), weir_rng_next(&world.rng));
		uint64_t steps = 1 + weir_rng_below(&world.rng, 8);
		for (uint64_t i = 0; i < steps && !sim_os_is_off(world.sim); i++) {
			append_some(&world);
			if (weir_rng_chance(&world.rng, 0.3))
				work(&world);
		}
		uint64_t memory = digest(&world), head = consent_head(world.consent);
		bool off = sim_os_is_off(world.sim);
		close_lake(&world);
		if (!sim_os_is_off(world.sim))
			sim_os_power_cut(world.sim, cut);
		sim_os_power_on(world.sim);
		reopen(&world);
		/* What was acknowledged is there; what was under way may be, whole. */
		assert_in_range(consent_head(world.consent), world.acknowledged, head + 2);
		if (!off)
			assert_int_equal(digest(&world), memory);
		world.acknowledged = consent_head(world.consent);
	}
	printf("%llu cuts, %u calls acknowledged, %u failed, %u with unknown outcome\n", (unsigned long long)cuts,
		world.acks, world.errors, world.unknowns);
	assert_true(world.errors > 0 && world.acks > 0);
	world_done(&world);
}

static void test_faults(void **state)
{
	(void)state;
	static const struct {
		enum sim_call kind;
		int error;
	} faults[] = {{SIM_WRITE, ENOSPC}, {SIM_SYNC, EIO}, {SIM_READ, EIO}, {SIM_CHANGES, EIO}};
	uint64_t seed = test_seed("consent faults"), rounds = test_number("WEIR_CUTS", 200);
	struct world world;
	world_init(&world, seed);
	for (uint64_t round = 0; round < rounds; round++) {
		unsigned kind = (unsigned)weir_rng_below(&world.rng, 4);
		sim_os_fail(world.sim, faults[kind].kind, 1 + weir_rng_below(&world.rng, 12), faults[kind].error,
			weir_rng_below(&world.rng, 6));
		for (unsigned i = 0; i < 6; i++) {
			append_some(&world);
			if (weir_rng_chance(&world.rng, 0.3))
				work(&world);
		}
		/* The disk is well again: the next call finds out what happened, and memory and disk agree. */
		sim_os_fail(world.sim, SIM_ANY, 0, 0, 0);
		unsigned tries = 0;
		while (append_some(&world) != 0)
			assert_true(++tries < 10);
		consent_tasks_finished(world.consent, NULL, 0);
		assert_true(consent_head(world.consent) >= world.acknowledged);
		uint64_t memory = digest(&world);
		if (round % 4 == 0) {
			close_lake(&world);
			reopen(&world);
			assert_int_equal(digest(&world), memory);
		}
	}
	printf("%llu rounds, %u calls acknowledged, %u failed, %u with unknown outcome\n", (unsigned long long)rounds,
		world.acks, world.errors, world.unknowns);
	assert_true(world.errors > 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_cuts), cmocka_unit_test(test_faults)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
