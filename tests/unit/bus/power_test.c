/*
 * Power cuts and faults: what was acknowledged is in the log after it is opened again, whole and in order, and nothing
 * is there that was never appended. WEIR_SEED and WEIR_CUTS choose other runs.
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
#include "bus/bus.h"
#include "support/seed.h"
#include "support/sim_os.h"

enum { PARTITIONS = 3, RECORDS_MAX = 4000 };

/*
 * The model: for each offset of a partition the number of the record that was appended there, and how many
 * are acknowledged. A record past that may be there (its append failed or was cut off) or not.
 */
struct model {
	uint64_t acknowledged[PARTITIONS], released[PARTITIONS];
	uint64_t record[PARTITIONS]
		       [RECORDS_MAX]; /* 0: of an append whose outcome was unknown; later ones are behind it */
	uint64_t next_record;
};

struct world {
	struct sim_os *sim;
	struct weir_rng rng;
	struct bus_options options;
	struct bus *bus;
	struct codec_state *codecs;
	struct weir_arena *arena;
	struct model model;
	unsigned refused, unknown;
	bool certain; /* nothing since the last opening was answered with "unknown" or cut off */
};

static void world_init(struct world *world, uint64_t seed)
{
	memset(world, 0, sizeof *world);
	world->sim = sim_os_new(seed);
	world->rng = weir_rng_new(seed);
	world->codecs = codec_state_new();
	world->arena = weir_arena_new(0);
	world->model.next_record = 1;
	world->options = (struct bus_options){
		.os = sim_os_table(world->sim),
		.directory = "/lake/log",
		.segment_bytes = 8192,
		.clock = weir_clock_system(),
		.no_thread = true,
	};
}

static void world_done(struct world *world)
{
	bus_close(world->bus);
	codec_state_free(world->codecs);
	weir_arena_free(world->arena);
	sim_os_free(world->sim);
}

/* Its text tells its number, and is up to some thousand bytes of noise. */
static size_t record_text(uint64_t number, char text[4096])
{
	struct weir_rng rng = weir_rng_new(number);
	size_t size = (size_t)snprintf(text, 4096, "%llu:", (unsigned long long)number);
	size_t more = weir_rng_below(&rng, weir_rng_below(&rng, 4) == 0 ? 3000 : 60);
	for (size_t i = 0; i < more; i++)
		text[size++] = (char)weir_rng_next(&rng);
	return size;
}

static struct bus_block *make_block(struct world *world, uint32_t partition, uint64_t first, uint32_t count)
{
	struct bus_attributes attributes = {.stream = WEIR_STR("s"), .partition = partition};
	struct bus_block *block = bus_block_new(&attributes);
	for (uint32_t i = 0; i < count; i++) {
		char text[4096];
		struct weir_str payload = {text, record_text(first + i, text)};
		assert_true(bus_block_add(block, payload, NULL));
	}
	assert_int_equal(bus_block_seal(block, world->codecs, NULL), 0);
	return block;
}

struct pending {
	struct world *world;
	struct bus_block *blocks[2];
	uint32_t partition, counts[2], block_count;
	uint64_t first;
};

static void answered(void *context, int status, uint64_t base, const struct weir_error *err)
{
	struct pending *pending = context;
	struct world *world = pending->world;
	struct model *model = &world->model;
	uint64_t next = pending->first;
	(void)err;
	world->refused += status != 0;
	world->unknown += status == WEIR_E_UNKNOWN;
	if (status == WEIR_E_UNKNOWN)
		world->certain = false;
	for (uint32_t b = 0; b < pending->block_count; b++) {
		for (uint32_t i = 0; i < pending->counts[b] && status == 0; i++)
			model->record[pending->partition][base++] = next++;
		bus_block_free(pending->blocks[b]);
	}
	if (status == 0) {
		assert_true(base > model->acknowledged[pending->partition]);
		model->acknowledged[pending->partition] = base;
	}
	free(pending);
}

static void append_some(struct world *world)
{
	struct pending *pending = calloc(1, sizeof *pending);
	pending->world = world;
	pending->partition = (uint32_t)weir_rng_below(&world->rng, PARTITIONS);
	pending->block_count = 1 + (uint32_t)weir_rng_below(&world->rng, 2);
	pending->first = world->model.next_record;
	for (uint32_t b = 0; b < pending->block_count; b++) {
		pending->counts[b] = 1 + (uint32_t)weir_rng_below(&world->rng, 6);
		pending->blocks[b] =
			make_block(world, pending->partition, world->model.next_record, pending->counts[b]);
		world->model.next_record += pending->counts[b];
	}
	assert_int_equal(bus_append(world->bus, pending->blocks, pending->block_count, answered, pending, NULL), 0);
}

/* A few steps: appends, flushes, now and then a release. */
static void live(struct world *world, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		unsigned appends = 1 + (unsigned)weir_rng_below(&world->rng, 3);
		for (unsigned a = 0; a < appends; a++)
			append_some(world);
		bus_flush(world->bus, NULL);
		if (weir_rng_below(&world->rng, 4) == 0) {
			uint32_t partition = (uint32_t)weir_rng_below(&world->rng, PARTITIONS);
			uint64_t *released = &world->model.released[partition];
			*released += weir_rng_below(&world->rng, world->model.acknowledged[partition] - *released + 1);
			bus_release(world->bus, WEIR_STR("s"), partition, *released, NULL);
			if (weir_rng_below(&world->rng, 2) == 0)
				bus_scrub(world->bus, NULL);
		}
	}
}

/*
 * Everything acknowledged and not released is there, in order. Records after it are ones that were appended; they
 * count as acknowledged from now on, as a reader may have them.
 */
static void check_partition(struct world *world, uint32_t partition)
{
	struct model *model = &world->model;
	uint64_t at = model->released[partition], end = bus_next_offset(world->bus, WEIR_STR("s"), partition);
	assert_true(end >= model->acknowledged[partition]);
	if (world->certain)
		assert_int_equal(end, model->acknowledged[partition]);
	while (at < end) {
		struct bus_read_block block;
		struct weir_error err = WEIR_ERROR_INIT;
		if (bus_read(world->bus, world->arena, WEIR_STR("s"), partition, at, &block, &err) != 0)
			fail_msg("partition %u offset %llu of %llu: %s", partition, (unsigned long long)at,
				(unsigned long long)end, err.message);
		for (; at < block.base_offset + block.count; at++) {
			struct weir_str payload = block.records[at - block.base_offset].payload;
			uint64_t number = strtoull(payload.data, NULL, 10);
			char text[4096];
			struct weir_str expected = {text, record_text(number, text)};
			assert_true(number < model->next_record && weir_str_equal(payload, expected));
			if (at < model->acknowledged[partition] && model->record[partition][at] != 0)
				assert_int_equal(number, model->record[partition][at]);
			else
				model->record[partition][at] = number;
		}
		weir_arena_reset(world->arena);
	}
	model->acknowledged[partition] = end;
}

static void open_and_check(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (bus_open(&world->options, &world->bus, &err) != 0)
		fail_msg("cannot open: %s %s", err.object, err.message);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		assert_int_equal(bus_release(world->bus, WEIR_STR("s"), p, world->model.released[p], &err), 0);
	for (uint32_t p = 0; p < PARTITIONS; p++)
		check_partition(world, p);
	world->certain = true;
}

static bool room_left(const struct world *world)
{
	for (uint32_t p = 0; p < PARTITIONS; p++)
		if (world->model.acknowledged[p] + 500 > RECORDS_MAX)
			return false;
	return true;
}

static void acknowledged_survives_power_cuts(void **state)
{
	(void)state;
	uint64_t seed = test_seed("bus power cuts"), cuts = test_number("WEIR_CUTS", 1000), cut = 0;
	unsigned refused = 0;
	struct world *world = malloc(sizeof *world);
	for (uint64_t round = 0; cut < cuts; round++) {
		world_init(world, weir_rng_fork(seed, round).state[0]);
		open_and_check(world);
		for (unsigned i = 0; i < 40 && room_left(world) && cut < cuts; i++, cut++) {
			uint64_t fate = weir_rng_next(&world->rng);
			sim_os_power_cut_at(world->sim, 1 + weir_rng_below(&world->rng, 12), fate);
			live(world, 1 + (unsigned)weir_rng_below(&world->rng, 6));
			bus_close(world->bus);
			world->bus = NULL;
			if (!sim_os_is_off(world->sim))
				sim_os_power_cut(world->sim, fate);
			sim_os_power_on(world->sim);
			world->certain = false;
			/* Sometimes the process dies while it opens the log, and once more. */
			if (weir_rng_below(&world->rng, 3) == 0) {
				sim_os_power_cut_at(world->sim, 1 + weir_rng_below(&world->rng, 6), fate + 1);
				struct bus *half;
				if (bus_open(&world->options, &half, NULL) == 0)
					bus_close(half);
				sim_os_power_on(world->sim);
			}
			open_and_check(world);
			/* A process that dies here without a cut has shown readers what is now in the page cache only.
			 */
			if (weir_rng_below(&world->rng, 3) == 0) {
				bus_close(world->bus);
				sim_os_power_cut(world->sim, fate + 2);
				open_and_check(world);
			}
		}
		refused += world->refused;
		world_done(world);
	}
	free(world);
	printf("%llu cuts, %u appends cut off\n", (unsigned long long)cut, refused);
	assert_true(refused > 0);
}

/*
 * A process dies after a write whose sync never came, or failed: the next one sees the tail in the page cache,
 * readers act on it, and then the power goes.
 */
static void a_tail_in_the_page_cache_is_made_durable(void **state)
{
	(void)state;
	uint64_t seed = test_seed("bus page cache");
	unsigned found = 0;
	struct world *world = malloc(sizeof *world);
	for (uint64_t round = 0; round < 200; round++) {
		world_init(world, weir_rng_fork(seed, round).state[0]);
		world->options.segment_bytes = 1 << 20;
		open_and_check(world);
		live(world, 2);
		append_some(world);
		uint64_t before[PARTITIONS];
		memcpy(before, world->model.acknowledged, sizeof before);
		/* The write works; its sync fails, and so does cutting it off again. */
		sim_os_fail(world->sim, SIM_CHANGES, 2, EIO, 1000);
		bus_flush(world->bus, NULL);
		bus_close(world->bus);
		sim_os_fail(world->sim, SIM_CHANGES, 0, 0, 0);
		world->certain = false;
		open_and_check(world);
		found += memcmp(before, world->model.acknowledged, sizeof before) != 0;
		bus_close(world->bus);
		sim_os_power_cut(world->sim, seed + round);
		open_and_check(world);
		world_done(world);
	}
	free(world);
	assert_int_equal(found, 200);
}

/* The nth call of each kind fails, once or for good; then the power goes, or the process goes on. */
static void faults_lose_and_invent_nothing(void **state)
{
	static const struct {
		enum sim_call kind;
		int error;
	} faults[] = {
		{SIM_WRITE, ENOSPC},
		{SIM_WRITE, EIO},
		{SIM_SYNC, EIO},
		{SIM_OPEN, ENOSPC},
		{SIM_TRUNCATE, EIO},
		{SIM_SYNC_DIR, EIO},
		{SIM_UNLINK, EIO},
		{SIM_CHANGES, EIO},
	};
	(void)state;
	uint64_t seed = test_seed("bus faults");
	unsigned runs = 0, refused = 0, unknown = 0;
	struct world *world = malloc(sizeof *world);
	for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
		for (uint64_t nth = 1; nth <= 60; nth++) {
			world_init(world, weir_rng_fork(seed, nth).state[0]);
			open_and_check(world);
			sim_os_fail(world->sim, faults[f].kind, nth, faults[f].error, weir_rng_below(&world->rng, 4));
			live(world, 12);
			bool failed = sim_os_has_failed(world->sim);
			sim_os_fail(world->sim, faults[f].kind, 0, 0, 0);
			live(world, 3);
			for (uint32_t p = 0; p < PARTITIONS; p++)
				check_partition(world, p);
			bus_close(world->bus);
			if (weir_rng_below(&world->rng, 2) == 0) {
				sim_os_power_cut(world->sim, seed + nth);
				world->certain = world->certain && world->unknown == 0;
			}
			open_and_check(world);
			refused += world->refused;
			unknown += world->unknown;
			runs++;
			world_done(world);
			if (!failed)
				break;
		}
	}
	free(world);
	printf("%u runs, %u appends refused, %u of them with unknown outcome\n", runs, refused, unknown);
	assert_true(refused > 0 && unknown > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(acknowledged_survives_power_cuts),
		cmocka_unit_test(a_tail_in_the_page_cache_is_made_durable),
		cmocka_unit_test(faults_lose_and_invent_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
