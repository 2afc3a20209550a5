/*
 * What an epoch writes to bronze, silver, gold and the dead letters, with its offsets and counters, is there as a
 * whole or not at all (E4): for who looks while it is written, and after a failure of any call to the disk.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#include "engine/engine_int.h"
#include "support/hook_os.h"
#include "support/lake/lake_fixture.h"

enum { BRONZE, SILVER, GOLD, LETTERS, OFFSETS, ACCEPTED, THINGS };

static const char *const things[THINGS] = {"bronze", "silver", "gold", "letters", "offsets", "accepted"};
static const uint64_t an_epoch_has[THINGS] = {3, 3, 6, 1, 4, 3}; /* see post_epoch */

struct epochs {
	struct lake_fixture lake;
	struct hook_os hook;
	unsigned committed; /* epochs that were there before the one at hand */
	unsigned looks, new_looks;
	uint64_t calls, fail_at; /* fail_at 0: never */
};

static void look(struct epochs *epochs, uint64_t counts[THINGS])
{
	struct lake_fixture *lake = &epochs->lake;
	counts[BRONZE] = lake_count(lake, "bronze.telemetry", NULL);
	counts[SILVER] = lake_count(lake, "silver.telemetry", NULL);
	counts[GOLD] = lake_count(lake, "gold.athlete_data", NULL);
	counts[LETTERS] = lake_count(lake, "bronze.dead_letters", NULL);
	counts[OFFSETS] = (uint64_t)lake_number(
		lake, "SELECT COALESCE(SUM(next_offset), 0) FROM weir_offsets WHERE stream = 'telemetry'");
	counts[ACCEPTED] = lake_counter(lake, "api", "accepted");
}

/* All things as after `committed` epochs, or all as after one more; returns which. */
static bool check_whole(struct epochs *epochs)
{
	uint64_t counts[THINGS];
	look(epochs, counts);
	bool is_new = counts[BRONZE] > epochs->committed * an_epoch_has[BRONZE];
	for (unsigned i = 0; i < THINGS; i++)
		if (counts[i] != (epochs->committed + is_new) * an_epoch_has[i])
			fail_msg("%s has %llu, bronze %llu, before the epoch %llu (call %llu)", things[i],
				(unsigned long long)counts[i], (unsigned long long)counts[BRONZE],
				(unsigned long long)(epochs->committed * an_epoch_has[i]),
				(unsigned long long)epochs->calls);
	return is_new;
}

/* Three events of one athlete, permitted for two purposes, and one from the future. */
static void post_epoch(struct epochs *epochs, unsigned number)
{
	struct lake_fixture *lake = &epochs->lake;
	for (unsigned i = 0; i < 4; i++)
		lake_post(lake,
			lake_event(lake, number * 4 + i, "a1", i == 3 ? LAKE_NOW + WEIR_US_PER_DAY : LAKE_NOW, NULL,
				"\"heart_rate\": 100"));
}

static void epochs_start(struct epochs *epochs, hook_fn *before)
{
	*epochs = (struct epochs){.committed = 0};
	lake_start(&epochs->lake, LAKE_ATHLETE);
	lake_permit(&epochs->lake, "a1", "research", "education", NULL);
	lake_settle(&epochs->lake);
	lake_close(&epochs->lake);
	hook_os_init(&epochs->hook, weir_os_real());
	epochs->hook.context = epochs;
	epochs->lake.os = &epochs->hook.os;
	lake_open(&epochs->lake);
	post_epoch(epochs, 0);
	lake_flush(&epochs->lake);
	epochs->committed = 1;
	post_epoch(epochs, 1);
	epochs->hook.before = before;
}

static int look_before_each_call(void *context, const char *path, struct weir_error *err)
{
	struct epochs *epochs = context;
	(void)path;
	(void)err;
	epochs->calls++;
	epochs->looks++;
	epochs->new_looks += check_whole(epochs);
	return 0;
}

static void nobody_sees_a_part_of_an_epoch(void **state)
{
	struct epochs epochs;
	(void)state;
	epochs_start(&epochs, look_before_each_call);
	lake_flush(&epochs.lake);
	epochs.hook.before = NULL;
	printf("%u looks, %u of them after the commit\n", epochs.looks, epochs.new_looks);
	assert_true(epochs.looks > 20);
	assert_true(check_whole(&epochs));
	lake_done(&epochs.lake);
}

static int fail_one_call(void *context, const char *path, struct weir_error *err)
{
	struct epochs *epochs = context;
	epochs->calls++;
	if (epochs->calls != epochs->fail_at)
		return 0;
	return weir_fail_errno(err, EIO, weir_str_from(path != NULL ? path : ""), "test");
}

static void an_epoch_that_fails_anywhere_is_whole_or_absent(void **state)
{
	struct epochs epochs;
	unsigned failed = 0, absent = 0;
	(void)state;
	epochs_start(&epochs, NULL);
	for (uint64_t at = 1;; at++) {
		struct weir_error err = WEIR_ERROR_INIT;
		epochs.calls = 0;
		epochs.fail_at = at;
		epochs.hook.before = fail_one_call;
		int status = engine_flush(epochs.lake.engine, &err);
		epochs.hook.before = NULL;
		uint64_t calls = epochs.calls;
		failed += status != 0;
		lake_close(&epochs.lake);
		lake_open(
			&epochs.lake); /* as after a crash: what the log holds and the tables do not is still to come */
		absent += !check_whole(&epochs);
		lake_flush(&epochs.lake);
		assert_true(check_whole(&epochs));
		epochs.committed++;
		if (calls < at)
			break;
		post_epoch(&epochs, epochs.committed);
	}
	printf("%u epochs failed, %u of them left nothing\n", failed, absent);
	assert_true(failed > 10 && absent > 10);
	lake_check_counters(&epochs.lake);
	lake_done(&epochs.lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_sees_a_part_of_an_epoch),
		cmocka_unit_test(an_epoch_that_fails_anywhere_is_whole_or_absent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
