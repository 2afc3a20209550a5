/* The log on the simulated disk, without faults: offsets, reading, segments, the tail, release, limits, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "support/sim_os.h"

struct fixture {
	struct sim_os *sim;
	struct bus_options options;
	struct bus *bus;
	struct codec_state *codecs;
	struct weir_arena *arena;
	struct weir_error err;
};

static void reopen(struct fixture *fixture)
{
	bus_close(fixture->bus);
	assert_int_equal(bus_open(&fixture->options, &fixture->bus, &fixture->err), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->sim = sim_os_new(1);
	fixture->codecs = codec_state_new();
	fixture->arena = weir_arena_new(0);
	fixture->options = (struct bus_options){
		.os = sim_os_table(fixture->sim),
		.directory = "/lake/log",
		.segment_bytes = 16384,
		.clock = weir_clock_system(),
	};
	reopen(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	bus_close(fixture->bus);
	codec_state_free(fixture->codecs);
	weir_arena_free(fixture->arena);
	sim_os_free(fixture->sim);
	free(fixture);
	return 0;
}

/* A sealed block of `count` records whose text tells partition and offset. */
static struct bus_block *make_block(struct fixture *fixture, uint32_t partition, uint64_t first, uint32_t count)
{
	struct bus_attributes attributes = {
		.stream = WEIR_STR("events"),
		.partition = partition,
		.channel = WEIR_STR("api"),
		.input = WEIR_STR("rest"),
		.source_file = WEIR_STR("a.json"),
		.source_record = first,
		.received_us = 1000 + (int64_t)first,
	};
	struct bus_block *block = bus_block_new(&attributes);
	for (uint32_t i = 0; i < count; i++) {
		char text[64];
		int size =
			snprintf(text, sizeof text, "{\"p\":%u,\"o\":%llu}", partition, (unsigned long long)first + i);
		struct weir_str error = WEIR_STR("{\"error\":\"field x\"}");
		assert_true(bus_block_add(block, (struct weir_str){text, (size_t)size}, i % 5 == 4 ? &error : NULL));
	}
	assert_int_equal(bus_block_seal(block, fixture->codecs, &fixture->err), 0);
	return block;
}

static void append(struct fixture *fixture, uint32_t partition, uint64_t expected_base, uint32_t count)
{
	struct bus_block *block = make_block(fixture, partition, expected_base, count);
	uint64_t base = UINT64_MAX;
	assert_int_equal(bus_append_wait(fixture->bus, &block, 1, &base, &fixture->err), 0);
	assert_int_equal(base, expected_base);
	bus_block_free(block);
}

static void check_block(const struct bus_read_block *block, uint32_t partition)
{
	assert_true(weir_str_is(block->attributes.stream, "events"));
	assert_true(weir_str_is(block->attributes.channel, "api"));
	assert_true(weir_str_is(block->attributes.input, "rest"));
	assert_true(weir_str_is(block->attributes.source_file, "a.json"));
	assert_int_equal(block->attributes.partition, partition);
	assert_int_equal(block->attributes.source_record, block->base_offset);
	assert_int_equal(block->attributes.received_us, 1000 + (int64_t)block->base_offset);
	for (uint32_t i = 0; i < block->count; i++) {
		char text[64];
		snprintf(text, sizeof text, "{\"p\":%u,\"o\":%llu}", partition,
			(unsigned long long)block->base_offset + i);
		assert_true(weir_str_is(block->records[i].payload, text));
		assert_int_equal(block->records[i].error.size > 0, i % 5 == 4);
	}
}

/* Reads a partition from `from` to the end; returns the end. */
static uint64_t read_through(struct fixture *fixture, uint32_t partition, uint64_t from)
{
	for (;;) {
		struct bus_read_block block;
		int status = bus_read(
			fixture->bus, fixture->arena, WEIR_STR("events"), partition, from, &block, &fixture->err);
		if (status == WEIR_E_NOT_FOUND)
			return from;
		assert_int_equal(status, 0);
		assert_true(block.base_offset <= from && from < block.base_offset + block.count);
		check_block(&block, partition);
		from = block.base_offset + block.count;
		weir_arena_reset(fixture->arena);
	}
}

/* ---- tests ---- */

static void blocks_have_bounds(void **state)
{
	struct fixture *fixture = *state;
	struct bus_attributes attributes = {.stream = WEIR_STR("events")};
	struct bus_block *block = bus_block_new(&attributes);
	for (int i = 0; i < BUS_BLOCK_EVENTS; i++)
		assert_true(bus_block_add(block, WEIR_STR("x"), NULL));
	assert_false(bus_block_add(block, WEIR_STR("x"), NULL));
	assert_int_equal(bus_block_count(block), BUS_BLOCK_EVENTS);
	bus_block_free(block);

	char *large = calloc(1, BUS_EVENT_BYTES + 1);
	block = bus_block_new(&attributes);
	assert_true(bus_block_add(block, (struct weir_str){large, BUS_EVENT_BYTES}, NULL));
	assert_false(bus_block_add(block, WEIR_STR("x"), NULL));
	assert_int_equal(bus_block_seal(block, fixture->codecs, &fixture->err), 0);
	assert_int_equal(bus_append_wait(fixture->bus, &block, 1, NULL, &fixture->err), 0);
	bus_block_free(block);
	struct bus_read_block read;
	assert_int_equal(bus_read(fixture->bus, fixture->arena, WEIR_STR("events"), 0, 0, &read, &fixture->err), 0);
	assert_int_equal(read.records[0].payload.size, BUS_EVENT_BYTES);
	block = bus_block_new(&attributes);
	assert_false(bus_block_add(block, (struct weir_str){large, BUS_EVENT_BYTES + 1}, NULL));
	assert_true(bus_block_add(block, WEIR_STR(""), NULL));
	assert_int_equal(bus_block_bytes(block), 0);
	bus_block_free(block);
	free(large);
}

static void what_is_written_is_read(void **state)
{
	struct fixture *fixture = *state;
	append(fixture, 0, 0, 3);
	append(fixture, 1, 0, 2048);
	append(fixture, 0, 3, 7);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), 0), 10);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), 1), 2048);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("other"), 0), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read_through(fixture, 0, 0), 10);
		assert_int_equal(read_through(fixture, 0, 5), 10);
		assert_int_equal(read_through(fixture, 1, 2047), 2048);
		reopen(fixture);
	}
	append(fixture, 0, 10, 1);
}

static void a_view_is_what_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct bus_block *block = make_block(fixture, 2, 0, 100);
	struct bus_read_block view, read;
	assert_int_equal(bus_append_wait(fixture->bus, &block, 1, NULL, &fixture->err), 0);
	bus_block_view(block, 0, fixture->arena, &view);
	check_block(&view, 2);
	assert_int_equal(bus_read(fixture->bus, fixture->arena, WEIR_STR("events"), 2, 50, &read, &fixture->err), 0);
	assert_int_equal(read.count, view.count);
	assert_true(weir_str_equal(read.frame, view.frame));
	bus_block_free(block);
}

static void one_append_of_many_blocks(void **state)
{
	struct fixture *fixture = *state;
	struct bus_block *blocks[] = {
		make_block(fixture, 0, 0, 4), make_block(fixture, 1, 0, 5), make_block(fixture, 0, 4, 6)};
	uint64_t offsets[3];
	uint64_t syncs = sim_os_calls(fixture->sim, SIM_SYNC);
	assert_int_equal(bus_append_wait(fixture->bus, blocks, 3, offsets, &fixture->err), 0);
	assert_int_equal(sim_os_calls(fixture->sim, SIM_SYNC), syncs + 1);
	assert_int_equal(offsets[0], 0);
	assert_int_equal(offsets[1], 0);
	assert_int_equal(offsets[2], 4);
	for (int i = 0; i < 3; i++)
		bus_block_free(blocks[i]);
	assert_int_equal(read_through(fixture, 0, 0), 10);
}

static int count_entry(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err)
{
	(void)name;
	(void)info;
	(void)err;
	++*(unsigned *)context;
	return 0;
}

static unsigned files(struct fixture *fixture)
{
	const struct weir_os *os = sim_os_table(fixture->sim);
	unsigned count = 0;
	assert_int_equal(os->list(os->self, "/lake/log", count_entry, &count, &fixture->err), 0);
	return count;
}

static void released_segments_go(void **state)
{
	struct fixture *fixture = *state;
	for (uint32_t i = 0; i < 60; i++) {
		append(fixture, 0, i * 100ULL, 100);
		append(fixture, 1, i * 10ULL, 10);
	}
	unsigned before = files(fixture);
	uint64_t bytes = bus_bytes(fixture->bus);
	assert_true(before > 3);
	/* One partition alone holds them all. */
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, 6000, &fixture->err), 0);
	assert_int_equal(files(fixture), before);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 1, 299, &fixture->err), 0);
	unsigned middle = files(fixture);
	assert_true(middle < before && middle > 1);
	assert_true(bus_bytes(fixture->bus) < bytes);
	struct bus_read_block block;
	assert_int_equal(bus_read(fixture->bus, fixture->arena, WEIR_STR("events"), 1, 100, &block, &fixture->err),
		WEIR_E_NOT_FOUND);
	/* 299 is not released, so its block is there, from 290 on. */
	assert_int_equal(read_through(fixture, 1, 290), 600);
	reopen(fixture);
	assert_int_equal(files(fixture), middle);
	assert_int_equal(read_through(fixture, 1, 299), 600);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, 6000, &fixture->err), 0);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 1, 600, &fixture->err), 0);
	assert_int_equal(files(fixture), 1);
	/* Offsets go on although no block tells them any more. */
	reopen(fixture);
	append(fixture, 0, 6000, 1);
	append(fixture, 1, 600, 1);
}

static void scrubbing_lets_released_bytes_go(void **state)
{
	struct fixture *fixture = *state;
	const struct weir_os *os = sim_os_table(fixture->sim);
	struct weir_file_info info;
	append(fixture, 0, 0, 5);
	append(fixture, 1, 0, 5);
	/* Nothing is released: nothing happens. */
	assert_int_equal(bus_scrub(fixture->bus, &fixture->err), 0);
	append(fixture, 0, 5, 5);
	assert_int_equal(files(fixture), 1);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, 10, &fixture->err), 0);
	assert_int_equal(bus_scrub(fixture->bus, &fixture->err), 0);
	assert_int_equal(files(fixture), 2);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 1, 5, &fixture->err), 0);
	assert_int_equal(files(fixture), 1);
	assert_int_equal(os->stat(os->self, "/lake/log/0000000001.log", &info, NULL), WEIR_E_NOT_FOUND);
	append(fixture, 0, 10, 1);
	append(fixture, 1, 5, 1);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, 11, &fixture->err), 0);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 1, 6, &fixture->err), 0);
	assert_int_equal(bus_scrub(fixture->bus, &fixture->err), 0);
	assert_int_equal(files(fixture), 1);
	assert_int_equal(os->stat(os->self, "/lake/log/0000000003.log", &info, NULL), 0);
	reopen(fixture);
	append(fixture, 0, 11, 1);
}

static void offsets_survive_without_blocks(void **state)
{
	struct fixture *fixture = *state;
	append(fixture, 7, 0, 5);
	for (uint32_t i = 0; i < 40; i++)
		append(fixture, 0, i * 100ULL, 100);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 7, 5, &fixture->err), 0);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, 4000, &fixture->err), 0);
	assert_int_equal(files(fixture), 1);
	reopen(fixture);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), 7), 5);
	/* Told of more than it has (a log that was lost), it goes on there. */
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 7, 50, &fixture->err), 0);
	append(fixture, 7, 50, 1);
	reopen(fixture);
	assert_int_equal(read_through(fixture, 7, 50), 51);
}

/* ---- damage ---- */

static void flip(struct fixture *fixture, const char *path, uint64_t at)
{
	const struct weir_os *os = sim_os_table(fixture->sim);
	struct weir_file *file;
	uint8_t byte;
	assert_int_equal(os->open(os->self, path, WEIR_OPEN_READ_WRITE, &file, &fixture->err), 0);
	assert_int_equal(os->read(os->self, file, at, &byte, 1, &fixture->err), 0);
	byte ^= 0x40;
	assert_int_equal(os->write(os->self, file, at, &byte, 1, &fixture->err), 0);
	os->close(os->self, file, NULL);
}

static uint64_t length(struct fixture *fixture, const char *path)
{
	const struct weir_os *os = sim_os_table(fixture->sim);
	struct weir_file_info info;
	assert_int_equal(os->stat(os->self, path, &info, &fixture->err), 0);
	return info.size_bytes;
}

static const char first_segment[] = "/lake/log/0000000001.log";

static void a_torn_tail_is_cut(void **state)
{
	struct fixture *fixture = *state;
	const struct weir_os *os = sim_os_table(fixture->sim);
	append(fixture, 0, 0, 5);
	uint64_t whole = length(fixture, first_segment);
	append(fixture, 0, 5, 5);
	uint64_t end = length(fixture, first_segment);
	for (uint64_t cut = end - 1; cut > whole; cut -= 7) {
		struct weir_file *file;
		bus_close(fixture->bus);
		assert_int_equal(os->open(os->self, first_segment, WEIR_OPEN_READ_WRITE, &file, &fixture->err), 0);
		assert_int_equal(os->truncate(os->self, file, cut, &fixture->err), 0);
		os->close(os->self, file, NULL);
		assert_int_equal(bus_open(&fixture->options, &fixture->bus, &fixture->err), 0);
		assert_int_equal(length(fixture, first_segment), whole);
		assert_int_equal(read_through(fixture, 0, 0), 5);
		append(fixture, 0, 5, 5);
		assert_int_equal(read_through(fixture, 0, 0), 10);
		if (cut < whole + 8)
			break;
	}
}

static void damage_is_not_a_torn_tail(void **state)
{
	struct fixture *fixture = *state;
	append(fixture, 0, 0, 5);
	uint64_t second = length(fixture, first_segment);
	append(fixture, 0, 5, 5);
	append(fixture, 0, 10, 5);
	/* A later block says that this one was durable: nothing may be cut. */
	flip(fixture, first_segment, second + 100);
	struct bus *bus;
	bus_close(fixture->bus);
	fixture->bus = NULL;
	assert_int_equal(bus_open(&fixture->options, &bus, &fixture->err), WEIR_E_CORRUPT);
	assert_string_equal(fixture->err.object, first_segment);
	assert_int_equal(fixture->err.offset, second);
	flip(fixture, first_segment, second + 100);
	assert_int_equal(bus_open(&fixture->options, &fixture->bus, &fixture->err), 0);
	assert_int_equal(read_through(fixture, 0, 0), 15);
}

static void damage_in_a_whole_segment(void **state)
{
	struct fixture *fixture = *state;
	append(fixture, 0, 0, 5);
	uint64_t second = length(fixture, first_segment);
	for (uint32_t i = 0; i < 40; i++)
		append(fixture, 0, 5 + i * 100ULL, 100);
	/* In a body it is found when it is read, */
	flip(fixture, first_segment, second + 200);
	reopen(fixture);
	struct bus_read_block block;
	assert_int_equal(bus_read(fixture->bus, fixture->arena, WEIR_STR("events"), 0, 4, &block, &fixture->err), 0);
	assert_int_equal(bus_read(fixture->bus, fixture->arena, WEIR_STR("events"), 0, 5, &block, &fixture->err),
		WEIR_E_CORRUPT);
	assert_string_equal(fixture->err.object, first_segment);
	assert_int_equal(fixture->err.offset, second);
	assert_int_equal(read_through(fixture, 0, 105), 4005);
	/* in a header when the log is opened. */
	flip(fixture, first_segment, second + 20);
	struct bus *bus;
	bus_close(fixture->bus);
	fixture->bus = NULL;
	assert_int_equal(bus_open(&fixture->options, &bus, &fixture->err), WEIR_E_CORRUPT);
	assert_int_equal(fixture->err.offset, second);
}

/* ---- limits and threads ---- */

static void a_full_log_is_busy(void **state)
{
	struct fixture *fixture = *state;
	fixture->options.limit_bytes = 40000;
	reopen(fixture);
	struct bus_block *block = make_block(fixture, 0, 0, 2000);
	int status = 0;
	unsigned appended = 0;
	while (status == 0 && appended < 100) {
		status = bus_append_wait(fixture->bus, &block, 1, NULL, &fixture->err);
		appended += status == 0;
	}
	assert_int_equal(status, WEIR_E_BUSY);
	assert_true(bus_bytes(fixture->bus) <= 40000);
	assert_int_equal(bus_release(fixture->bus, WEIR_STR("events"), 0, appended * 2000ULL, &fixture->err), 0);
	assert_int_equal(bus_append_wait(fixture->bus, &block, 1, NULL, &fixture->err), 0);
	bus_block_free(block);
}

struct answers {
	unsigned count;
	uint64_t last;
};

static void count_answer(void *context, int status, uint64_t base, const struct weir_error *err)
{
	struct answers *answers = context;
	(void)err;
	assert_int_equal(status, 0);
	answers->count++;
	answers->last = base;
}

static void driven_by_hand(void **state)
{
	struct fixture *fixture = *state;
	struct answers answers = {0};
	struct bus_block *blocks[5];
	fixture->options.no_thread = true;
	reopen(fixture);
	uint64_t syncs = sim_os_calls(fixture->sim, SIM_SYNC);
	for (uint32_t i = 0; i < 5; i++) {
		blocks[i] = make_block(fixture, 0, i * 10ULL, 10);
		assert_int_equal(bus_append(fixture->bus, &blocks[i], 1, count_answer, &answers, &fixture->err), 0);
	}
	assert_int_equal(answers.count, 0);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), 0), 0);
	assert_int_equal(bus_flush(fixture->bus, &fixture->err), 0);
	assert_int_equal(answers.count, 5);
	assert_int_equal(answers.last, 40);
	assert_int_equal(sim_os_calls(fixture->sim, SIM_SYNC), syncs + 1);
	assert_int_equal(read_through(fixture, 0, 0), 50);
	/* Closing writes what is queued. */
	assert_int_equal(bus_append(fixture->bus, &blocks[0], 1, count_answer, &answers, &fixture->err), 0);
	bus_close(fixture->bus);
	assert_int_equal(answers.count, 6);
	for (int i = 0; i < 5; i++)
		bus_block_free(blocks[i]);
	assert_int_equal(bus_open(&fixture->options, &fixture->bus, &fixture->err), 0);
	assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), 0), 60);
}

enum { WRITERS = 4, APPENDS = 100 };

struct writer {
	struct fixture *fixture;
	pthread_t thread;
	uint32_t partition;
};

static void *write_many(void *context)
{
	struct writer *writer = context;
	struct codec_state *codecs = codec_state_new();
	for (uint64_t i = 0; i < APPENDS; i++) {
		struct fixture own = {.bus = writer->fixture->bus, .codecs = codecs};
		append(&own, writer->partition, i * 3, 3);
	}
	codec_state_free(codecs);
	return NULL;
}

static void *read_and_release(void *context)
{
	struct writer *writer = context;
	struct fixture own = {.bus = writer->fixture->bus, .arena = weir_arena_new(0)};
	uint64_t at = 0;
	while (at < APPENDS * 3) {
		at = read_through(&own, writer->partition, at);
		assert_int_equal(bus_release(own.bus, WEIR_STR("events"), writer->partition, at, &own.err), 0);
	}
	weir_arena_free(own.arena);
	return NULL;
}

static void threads_write_read_and_release(void **state)
{
	struct fixture *fixture = *state;
	struct writer writers[WRITERS], readers[WRITERS];
	for (uint32_t i = 0; i < WRITERS; i++) {
		writers[i] = readers[i] = (struct writer){.fixture = fixture, .partition = i};
		pthread_create(&writers[i].thread, NULL, write_many, &writers[i]);
		pthread_create(&readers[i].thread, NULL, read_and_release, &readers[i]);
	}
	for (uint32_t i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		pthread_join(readers[i].thread, NULL);
	}
	assert_int_equal(files(fixture), 1);
	for (uint32_t i = 0; i < WRITERS; i++)
		assert_int_equal(bus_next_offset(fixture->bus, WEIR_STR("events"), i), APPENDS * 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(blocks_have_bounds),
		T(what_is_written_is_read),
		T(a_view_is_what_is_read),
		T(one_append_of_many_blocks),
		T(released_segments_go),
		T(scrubbing_lets_released_bytes_go),
		T(offsets_survive_without_blocks),
		T(a_torn_tail_is_cut),
		T(damage_is_not_a_torn_tail),
		T(damage_in_a_whole_segment),
		T(a_full_log_is_busy),
		T(driven_by_hand),
		T(threads_write_read_and_release),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
