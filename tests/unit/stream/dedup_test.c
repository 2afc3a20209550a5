/* The window of seen ids: exact within (key, id), by arrival, whatever the order of arrivals. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/time.h"
#include "stream/dedup.h"

static void test_key_and_id(void **state)
{
	struct stream_dedup *dedup = stream_dedup_new(WEIR_US_PER_DAY);
	struct stream_id a = stream_id_of(WEIR_STR("key-a"), WEIR_STR("id-1")),
			 b = stream_id_of(WEIR_STR("key-b"), WEIR_STR("id-1"));
	(void)state;
	assert_false(stream_dedup_seen(dedup, a, 1000));
	stream_dedup_add(dedup, a, 1000);
	assert_true(stream_dedup_seen(dedup, a, 1001));
	assert_false(stream_dedup_seen(dedup, b, 1001));
	assert_false(stream_dedup_seen(dedup, stream_id_of(WEIR_STR("key-a"), WEIR_STR("id-2")), 1001));
	stream_dedup_free(dedup);
}

static void test_window(void **state)
{
	struct stream_dedup *dedup = stream_dedup_new(8 * WEIR_US_PER_HOUR);
	struct stream_id id = stream_id_of(WEIR_STR("k"), WEIR_STR("i"));
	(void)state;
	stream_dedup_add(dedup, id, 100 * WEIR_US_PER_HOUR);
	assert_true(stream_dedup_seen(dedup, id, 108 * WEIR_US_PER_HOUR));
	assert_false(stream_dedup_seen(dedup, id, 110 * WEIR_US_PER_HOUR));
	stream_dedup_expire(dedup, 108 * WEIR_US_PER_HOUR);
	assert_int_equal(stream_dedup_count(dedup), 1);
	stream_dedup_expire(dedup, 110 * WEIR_US_PER_HOUR);
	assert_int_equal(stream_dedup_count(dedup), 0);
	stream_dedup_free(dedup);
}

static void test_many(void **state)
{
	struct stream_dedup *dedup = stream_dedup_new(WEIR_US_PER_DAY);
	(void)state;
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < 50000; i++) {
			char text[32];
			int size = snprintf(text, sizeof text, "event-%u", i);
			struct stream_id id = stream_id_of(WEIR_STR("k"), (struct weir_str){text, (size_t)size});
			assert_int_equal(stream_dedup_seen(dedup, id, i * 1000000LL), pass == 1);
			if (pass == 0)
				stream_dedup_add(dedup, id, i * 1000000LL);
		}
	assert_int_equal(stream_dedup_count(dedup), 50000);
	stream_dedup_free(dedup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_and_id),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
