/* Times, days, durations and sizes: parsing, formatting, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/time.h"

static void test_times(void **state)
{
	static const struct {
		const char *text;
		enum weir_zone_rule zone;
		bool fine;
		int64_t us;
		const char *formatted;
	} cases[] = {
		{"1970-01-01T00:00:00Z", WEIR_ZONE_REQUIRED, true, 0, "1970-01-01T00:00:00Z"},
		{"2025-02-01T08:00:00.250Z", WEIR_ZONE_REQUIRED, true, 1738396800250000, "2025-02-01T08:00:00.250Z"},
		{"2025-02-01 09:00:00.25+01:00", WEIR_ZONE_REQUIRED, true, 1738396800250000,
			"2025-02-01T08:00:00.250Z"},
		{"2025-02-01T08:00:00.000001999Z", WEIR_ZONE_REQUIRED, true, 1738396800000001,
			"2025-02-01T08:00:00.000001Z"},
		{"1969-12-31T23:59:59.999999Z", WEIR_ZONE_REQUIRED, true, -1, "1969-12-31T23:59:59.999999Z"},
		{"2024-02-29T00:00:00Z", WEIR_ZONE_REQUIRED, true, 1709164800000000, "2024-02-29T00:00:00Z"},
		{"2025-02-01T08:00:00", WEIR_ZONE_UTC, true, 1738396800000000, "2025-02-01T08:00:00Z"},
		{"2025-02-01T08:00:00", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"2025-02-29T00:00:00Z", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"2025-13-01T00:00:00Z", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"2025-02-01T24:00:00Z", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"2025-02-01T08:00:00.Z", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"2025-02-01T08:00:00Zx", WEIR_ZONE_REQUIRED, false, 0, NULL},
		{"", WEIR_ZONE_UTC, false, 0, NULL},
		{"2025-02", WEIR_ZONE_UTC, false, 0, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t us = 0;
		char text[WEIR_TIME_TEXT];
		bool fine = weir_time_parse(weir_str_from(cases[i].text), cases[i].zone, &us);
		assert_int_equal(fine, cases[i].fine);
		if (!fine)
			continue;
		assert_int_equal(us, cases[i].us);
		assert_int_equal(weir_time_format(us, text), strlen(cases[i].formatted));
		assert_string_equal(text, cases[i].formatted);
	}
}

static void test_days_round_trip(void **state)
{
	(void)state;
	for (int32_t day = -800000; day < 800000; day += 37) {
		int year, month, of_month;
		weir_civil_from_day(day, &year, &month, &of_month);
		assert_int_equal(weir_day_from_civil(year, month, of_month), day);
	}
	assert_int_equal(weir_day_of(-1), -1);
	assert_int_equal(weir_day_of(0), 0);
	assert_int_equal(weir_day_of(WEIR_US_PER_DAY), 1);
}

static void test_durations_and_sizes(void **state)
{
	int64_t us;
	uint64_t bytes;
	(void)state;
	assert_true(weir_duration_parse(WEIR_STR("250ms"), &us) && us == 250000);
	assert_true(weir_duration_parse(WEIR_STR("24h"), &us) && us == WEIR_US_PER_DAY);
	assert_true(weir_duration_parse(WEIR_STR("7y"), &us) && us == 7 * 365 * WEIR_US_PER_DAY);
	assert_false(weir_duration_parse(WEIR_STR("24"), &us));
	assert_false(weir_duration_parse(WEIR_STR("h"), &us));
	assert_false(weir_duration_parse(WEIR_STR("-1h"), &us));
	assert_false(weir_duration_parse(WEIR_STR("9999999999999y"), &us));
	assert_true(weir_size_parse(WEIR_STR("64MiB"), &bytes) && bytes == 64U << 20);
	assert_true(weir_size_parse(WEIR_STR("100"), &bytes) && bytes == 100);
	assert_false(weir_size_parse(WEIR_STR("64MB"), &bytes));
	assert_false(weir_size_parse(WEIR_STR("99999999999GiB"), &bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_days_round_trip),
		cmocka_unit_test(test_durations_and_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
