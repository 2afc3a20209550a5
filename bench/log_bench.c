// uses: weir_bus weir_control
/*
 * How many appends a second the log acknowledges: log_bench DIRECTORY [SECONDS]
 *
 * 1 and 32 callers that each wait for their append, blocks of 1 and of 1,000 events of 300 bytes, on the real
 * disk of DIRECTORY (a folder log-bench in it is used and removed). And commits of the control database alike.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "control/control.h"

#define CALLERS_MAX 32

struct run {
	struct bus *bus;
	struct control *control;
	struct weir_clock clock;
	int64_t until_us;
	uint32_t events;
};

struct caller {
	const struct run *run;
	pthread_t thread;
	unsigned number;
	uint64_t count;
	int64_t longest_us;
};

static _Noreturn void stop(const struct weir_error *err)
{
	fprintf(stderr, "log_bench: %s\n", err->message);
	exit(1);
}

static struct bus_block *make_block(unsigned partition, uint32_t events)
{
	struct bus_attributes attributes = {
		.stream = WEIR_STR("telemetry"), .partition = partition, .channel = WEIR_STR("api")};
	struct bus_block *block = bus_block_new(&attributes);
	struct codec_state *codecs = codec_state_new();
	struct weir_error err = WEIR_ERROR_INIT;
	char text[301];
	for (uint32_t i = 0; i < events; i++) {
		int size = snprintf(text, sizeof text, "{\"event_id\":\"%08x-%04x\",\"heart_rate\":%u,\"pad\":\"",
			i * 2654435761U, partition, 60 + i % 90);
		memset(text + size, 'a' + (int)(i % 26), sizeof text - (size_t)size);
		bus_block_add(block, (struct weir_str){text, 300}, NULL);
	}
	if (bus_block_seal(block, codecs, &err) != 0)
		stop(&err);
	codec_state_free(codecs);
	return block;
}

static void append_once(const struct caller *caller, struct bus_block *block)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t base;
	if (bus_append_wait(caller->run->bus, &block, 1, &base, &err) != 0 ||
		(base % 65536 < caller->run->events &&
			bus_release(caller->run->bus, WEIR_STR("telemetry"), caller->number, base, &err) != 0))
		stop(&err);
}

static void commit_once(const struct caller *caller)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	char name[16];
	int size = snprintf(name, sizeof name, "s%u", caller->number);
	control_add_counter(change, (struct weir_str){name, (size_t)size}, WEIR_STR("api"), WEIR_STR("accepted"), 1);
	if (control_commit(caller->run->control, change, &result, &err) != 0)
		stop(&err);
	control_change_free(change);
}

static void *call(void *context)
{
	struct caller *caller = context;
	const struct run *run = caller->run;
	struct bus_block *block = run->bus != NULL ? make_block(caller->number, run->events) : NULL;
	for (int64_t now = weir_steady_us(&run->clock); now < run->until_us; caller->count++) {
		if (run->bus != NULL)
			append_once(caller, block);
		else
			commit_once(caller);
		int64_t after = weir_steady_us(&run->clock);
		if (after - now > caller->longest_us)
			caller->longest_us = after - now;
		now = after;
	}
	bus_block_free(block);
	return NULL;
}

static void measure(struct run *run, unsigned callers, double seconds)
{
	struct caller list[CALLERS_MAX] = {0};
	uint64_t count = 0;
	int64_t longest_us = 0;
	run->until_us = weir_steady_us(&run->clock) + (int64_t)(seconds * 1e6);
	for (unsigned i = 0; i < callers; i++) {
		list[i] = (struct caller){.run = run, .number = i};
		pthread_create(&list[i].thread, NULL, call, &list[i]);
	}
	for (unsigned i = 0; i < callers; i++) {
		pthread_join(list[i].thread, NULL);
		count += list[i].count;
		longest_us = list[i].longest_us > longest_us ? list[i].longest_us : longest_us;
	}
	double rate = (double)count / seconds;
	if (run->bus != NULL)
		printf("log      %2u callers, blocks of %4u events: %9.0f appends/s, %10.0f events/s,"
		       " longest %6.1f ms\n",
			callers, run->events, rate, rate * run->events, (double)longest_us / 1000);
	else
		printf("control  %2u callers: %9.0f commits/s, longest %6.1f ms\n", callers, rate,
			(double)longest_us / 1000);
}

int main(int argc, char **argv)
{
	static const struct {
		unsigned callers;
		uint32_t events;
	} cases[] = {{1, 1}, {32, 1}, {1, 1000}, {32, 1000}};
	char directory[512], command[1200];
	struct weir_error err = WEIR_ERROR_INIT;
	double seconds = argc > 2 ? atof(argv[2]) : 3;
	if (argc < 2 || snprintf(directory, sizeof directory, "%s/log-bench", argv[1]) >= (int)sizeof directory) {
		fprintf(stderr, "usage: log_bench DIRECTORY [SECONDS]\n");
		return 2;
	}
	struct run run = {.clock = weir_clock_system()};
	struct bus_options options = {.os = weir_os_real(), .directory = directory, .clock = run.clock};
	if (bus_open(&options, &run.bus, &err) != 0)
		stop(&err);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		run.events = cases[i].events;
		measure(&run, cases[i].callers, seconds);
	}
	bus_close(run.bus);
	run.bus = NULL;
	char path[600];
	snprintf(path, sizeof path, "%s/control.db", directory);
	struct control_options control = {.url = path};
	if (control_open(&control, &run.control, &err) != 0)
		stop(&err);
	measure(&run, 1, seconds);
	measure(&run, 32, seconds);
	control_close(run.control);
	snprintf(command, sizeof command, "rm -r '%s'", directory);
	return system(command);
}
