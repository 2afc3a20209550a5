/*
 * Calls whose table's rows are just being removed: they are asked again while it lasts, for no longer than CATALOG_WAIT_MS,
 * and no worker waits meanwhile.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "serve/serve_int.h"

#define CALLS 40

static atomic_bool removing;
static atomic_uint asked;

static int at_gold(struct serve_call *call, struct weir_error *err)
{
	atomic_fetch_add(&asked, 1);
	call_header(call, "X-Seen", WEIR_STR("1")); /* of an answer that is not given */
	weir_buf_puts(&call->out, "gold");
	if (atomic_load(&removing))
		return weir_fail_at(
			err, WEIR_E_BUSY, WEIR_STR(CATALOG_REMOVALS), WEIR_ERROR_NO_OFFSET, "rows are being removed");
	call_reply(call, 200, "text/plain");
	return 0;
}

static int at_other(struct serve_call *call, struct weir_error *err)
{
	(void)err;
	call_reply(call, 200, "text/plain");
	weir_buf_puts(&call->out, "other");
	return 0;
}

static int at_busy(struct serve_call *call, struct weir_error *err)
{
	(void)call;
	return weir_fail(err, WEIR_E_BUSY, "busy with something else");
}

static const struct serve_route gold = {.method = "GET", .pattern = "/gold", .run = SERVE_CATALOG, .handler = at_gold},
				other = {.method = "GET",
					.pattern = "/other",
					.run = SERVE_CATALOG,
					.handler = at_other},
				busy = {.method = "GET", .pattern = "/busy", .run = SERVE_CATALOG, .handler = at_busy};

/* A call that keeps its answer. */
struct waiting {
	struct serve_call call;
	char text[64];
	atomic_bool ended;
};

static int keep(struct serve_call *call, struct weir_str bytes, struct weir_error *err)
{
	struct waiting *waiting = call->transport.self;
	(void)err;
	snprintf(waiting->text, sizeof waiting->text, "%.*s", WEIR_STR_ARG(bytes));
	return 0;
}

static void end(struct serve_call *call, bool complete)
{
	struct waiting *waiting = call->transport.self;
	(void)complete;
	atomic_store(&waiting->ended, true);
}

static void submit(
	struct serve_app *app, struct weir_arena *arena, const struct serve_route *route, struct waiting *waiting)
{
	call_init(&waiting->call, app, arena);
	waiting->call.route = route;
	waiting->call.path = WEIR_STR("/");
	waiting->call.transport = (struct serve_transport){keep, end, waiting};
	assert_true(pool_submit(app->pools[SERVE_CATALOG], &waiting->call));
}

static bool ends_within(struct waiting *waiting, unsigned limit_ms)
{
	struct weir_clock clock = weir_clock_system();
	int64_t until_us = weir_steady_us(&clock) + limit_ms * WEIR_US_PER_MS;
	while (!atomic_load(&waiting->ended) && weir_steady_us(&clock) < until_us)
		nanosleep(&(struct timespec){.tv_nsec = 5 * 1000000L}, NULL);
	return atomic_load(&waiting->ended);
}

static void no_worker_waits(void **state)
{
	static struct waiting waiting[CALLS], quick, refused;
	struct serve_app *app = weir_zalloc(sizeof *app);
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	app->pools[SERVE_CATALOG] = pool_new(2);
	atomic_store(&removing, true);
	for (unsigned i = 0; i < CALLS; i++)
		submit(app, weir_arena_new(0), &gold, &waiting[i]);
	submit(app, arena, &other, &quick);
	assert_true(ends_within(&quick, 1000)); /* behind forty that wait, on two workers */
	assert_string_equal(quick.text, "other");
	submit(app, arena, &busy, &refused);
	assert_true(ends_within(&refused, 1000)); /* it is only for removals that is waited */
	assert_int_equal(refused.call.status, 503);
	for (unsigned i = 0; i < CALLS; i++)
		assert_false(atomic_load(&waiting[i].ended));
	atomic_store(&removing, false);
	for (unsigned i = 0; i < CALLS; i++) {
		assert_true(ends_within(&waiting[i], 2000));
		assert_int_equal(waiting[i].call.status, 200);
		assert_string_equal(waiting[i].text, "gold");
		unsigned seen = 0;
		for (uint32_t j = 0; j < waiting[i].call.header_count; j++)
			seen += weir_str_is(waiting[i].call.headers[j].key, "X-Seen");
		assert_int_equal(seen, 1);
	}
	pool_free(app->pools[SERVE_CATALOG]);
	for (unsigned i = 0; i < CALLS; i++) {
		weir_arena_free(waiting[i].call.arena);
		call_done(&waiting[i].call);
	}
	call_done(&quick.call);
	call_done(&refused.call);
	weir_arena_free(arena);
	free(app);
}

/* After its time, and where the server stops, the client is told to come again. */
static void waiting_ends(void **state)
{
	static struct waiting late, stopped;
	struct serve_app *app = weir_zalloc(sizeof *app);
	struct weir_arena *arenas[2] = {weir_arena_new(0), weir_arena_new(0)};
	(void)state;
	app->pools[SERVE_CATALOG] = pool_new(2);
	atomic_store(&removing, true);
	submit(app, arenas[0], &gold, &late);
	assert_false(ends_within(&late, CATALOG_WAIT_MS - 1000));
	submit(app, arenas[1], &gold, &stopped);
	assert_true(ends_within(&late, 2500));
	assert_int_equal(late.call.status, 503);
	assert_false(atomic_load(&stopped.ended));
	__atomic_store_n(&app->stopping, true, __ATOMIC_RELEASE);
	pool_free(app->pools[SERVE_CATALOG]);
	assert_true(atomic_load(&stopped.ended));
	assert_int_equal(stopped.call.status, 503);
	call_done(&late.call);
	call_done(&stopped.call);
	weir_arena_free(arenas[0]);
	weir_arena_free(arenas[1]);
	free(app);
}

/* More than may wait are refused at once. */
static void waiting_is_bounded(void **state)
{
	enum { MANY = SERVE_AGAIN_MAX + 20 };
	static struct waiting waiting[MANY];
	struct serve_app *app = weir_zalloc(sizeof *app);
	unsigned refused = 0;
	(void)state;
	app->pools[SERVE_CATALOG] = pool_new(1);
	atomic_store(&removing, true);
	atomic_store(&asked, 0);
	for (unsigned i = 0; i < MANY; i++)
		submit(app, weir_arena_new(0), &gold, &waiting[i]);
	while (atomic_load(&asked) < MANY)
		nanosleep(&(struct timespec){.tv_nsec = 1000000L}, NULL);
	nanosleep(&(struct timespec){.tv_nsec = 200 * 1000000L}, NULL);
	for (unsigned i = 0; i < MANY; i++)
		refused += atomic_load(&waiting[i].ended);
	assert_in_range(refused, 1, MANY - SERVE_AGAIN_MAX);
	atomic_store(&removing, false);
	for (unsigned i = 0; i < MANY; i++)
		assert_true(ends_within(&waiting[i], 5000));
	pool_free(app->pools[SERVE_CATALOG]);
	for (unsigned i = 0; i < MANY; i++) {
		weir_arena_free(waiting[i].call.arena);
		call_done(&waiting[i].call);
	}
	free(app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_worker_waits),
		cmocka_unit_test(waiting_ends),
		cmocka_unit_test(waiting_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
