// uses: weir_control
/*
 * Commits of the control database: control_bench URL [SECONDS]      URL: sqlite:PATH (made, and left) or
 * postgresql://...
 *
 * 1 and 32 callers that each wait for theirs: a small change (one counter), and one like an epoch's (six tables'
 * pointers, two offsets, three counters, and the prefixes of files come and gone). Then reads of one row.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "control/control.h"

#define CALLERS_MAX 32
#define TABLES      6

enum kind { SMALL, EPOCH, READ };

struct caller {
	struct control *control;
	enum kind kind;
	unsigned number;
	int64_t until_us;
	uint64_t count;
	pthread_t thread;
};

static _Noreturn void stop(const char *why)
{
	fprintf(stderr, "control_bench: %s\n", why);
	exit(1);
}

static void add_epoch(struct control_change *change, const char *stream, uint64_t number)
{
	static const char *const channels[] = {"api", "file", "dlq"};
	for (unsigned t = 0; t < TABLES; t++) {
		char table[48], from[48] = "", to[48];
		snprintf(table, sizeof table, "%s-t%u", stream, t);
		if (number > 0)
			snprintf(from, sizeof from, "metadata-%llu", (unsigned long long)number);
		snprintf(to, sizeof to, "metadata-%llu", (unsigned long long)number + 1);
		control_swap_table(
			change, WEIR_STR("bench"), weir_str_from(table), weir_str_from(from), weir_str_from(to));
	}
	for (unsigned p = 0; p < 2; p++)
		control_move_offset(change, weir_str_from(stream), p, number, number + 1);
	for (unsigned c = 0; c < 3; c++)
		control_add_counter(
			change, weir_str_from(stream), weir_str_from(channels[c]), WEIR_STR("accepted"), 1000);
	char old[64], new[64];
	snprintf(old, sizeof old, "%s-%llu", stream, (unsigned long long)number);
	snprintf(new, sizeof new, "%s-%llu", stream, (unsigned long long)number + 1);
	struct control_value gone = CONTROL_T(weir_str_from(old));
	struct control_value next[] = {CONTROL_T(weir_str_from(new)), CONTROL_I(number)};
	control_change_sql(change, "prefix", CONTROL_ANY, "DELETE FROM weir_pending_files WHERE prefix = ?1", &gone, 1);
	control_change_sql(
		change, "prefix", 1, "INSERT INTO weir_pending_files (prefix, created_us) VALUES (?1, ?2)", next, 2);
}

static void *call(void *context)
{
	struct caller *caller = context;
	struct weir_clock clock = weir_clock_system();
	struct weir_error err = WEIR_ERROR_INIT;
	char stream[32];
	snprintf(stream, sizeof stream, "s%lld-%u", (long long)caller->until_us, caller->number);
	for (; weir_steady_us(&clock) < caller->until_us; caller->count++) {
		int64_t found;
		if (caller->kind == READ) {
			if (control_query_int(
				    caller->control, "SELECT COUNT(*) FROM weir_owned", NULL, 0, &found, &err) != 0)
				stop(err.message);
			continue;
		}
		struct control_result result;
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		if (caller->kind == SMALL)
			control_add_counter(change, weir_str_from(stream), WEIR_STR("api"), WEIR_STR("accepted"), 1);
		else
			add_epoch(change, stream, caller->count);
		if (control_commit(caller->control, change, &result, &err) != 0)
			stop(err.message);
		if (result.outcome != CONTROL_DONE)
			stop(result.conflict);
		control_change_free(change);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"small", "epoch", "read"};
	struct control_options options = {.url = argc > 1 ? argv[1] : ""};
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_clock clock = weir_clock_system();
	double seconds = argc > 2 ? atof(argv[2]) : 3;
	struct control *control;
	if (argc < 2)
		stop("usage: control_bench URL [SECONDS]");
	if (control_open(&options, &control, &err) != 0)
		stop(err.message);
	for (unsigned run = 0; run < 6; run++) {
		struct caller callers[CALLERS_MAX] = {0};
		unsigned count = run % 2 == 0 ? 1 : CALLERS_MAX;
		uint64_t total = 0;
		int64_t until_us = weir_steady_us(&clock) + (int64_t)(seconds * 1e6);
		for (unsigned i = 0; i < count; i++) {
			callers[i] = (struct caller){
				.control = control, .kind = (enum kind)(run / 2), .number = i, .until_us = until_us};
			pthread_create(&callers[i].thread, NULL, call, &callers[i]);
		}
		for (unsigned i = 0; i < count; i++) {
			pthread_join(callers[i].thread, NULL);
			total += callers[i].count;
		}
		printf("%-5s %2u callers: %9.0f a second\n", names[run / 2], count, (double)total / seconds);
	}
	control_close(control);
	return 0;
}
