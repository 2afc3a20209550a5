#include "base/time.h"

#include <stdio.h>
#include <time.h>

/* Howard Hinnant's days_from_civil and civil_from_days: eras of 400 years, March first. */
int32_t weir_day_from_civil(int year, int month, int day)
{
	year -= month <= 2;
	int era = (year >= 0 ? year : year - 399) / 400;
	int year_of_era = year - era * 400;
	int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * 146097 + day_of_era - 719468;
}

void weir_civil_from_day(int32_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t shifted = (int64_t)days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int day_of_era = (int)(shifted - era * 146097);
	int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int month_index = (5 * day_of_year + 2) / 153;
	*ret_day = day_of_year - (153 * month_index + 2) / 5 + 1;
	*ret_month = month_index < 10 ? month_index + 3 : month_index - 9;
	*ret_year = (int)(year_of_era + era * 400) + (*ret_month <= 2);
}

int32_t weir_day_of(int64_t time_us)
{
	int64_t day = time_us / WEIR_US_PER_DAY;
	return (int32_t)(day - (time_us % WEIR_US_PER_DAY < 0));
}

/* Exactly count digits at *at; moves past them. */
static bool digits(struct weir_str text, size_t *at, unsigned count, int *ret_value)
{
	int value = 0;
	if (text.size - *at < count || *at > text.size)
		return false;
	for (unsigned i = 0; i < count; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[*at + i] - '0';
		if (digit > 9)
			return false;
		value = value * 10 + (int)digit;
	}
	*at += count;
	*ret_value = value;
	return true;
}

static bool expect(struct weir_str text, size_t *at, char c)
{
	if (*at >= text.size || text.data[*at] != c)
		return false;
	(*at)++;
	return true;
}

static bool parse_date(struct weir_str text, size_t *at, int32_t *ret_day)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year = 0, month = 0, day = 0;
	if (!digits(text, at, 4, &year) || !expect(text, at, '-') || !digits(text, at, 2, &month) ||
		!expect(text, at, '-') || !digits(text, at, 2, &day))
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1] + (leap && month == 2))
		return false;
	*ret_day = weir_day_from_civil(year, month, day);
	return true;
}

bool weir_date_parse(struct weir_str text, int32_t *ret_day)
{
	size_t at = 0;
	int32_t day;
	if (!parse_date(text, &at, &day) || at != text.size)
		return false;
	*ret_day = day;
	return true;
}

static bool parse_zone(struct weir_str text, size_t *at, enum weir_zone_rule rule, int *ret_minutes)
{
	int hours, minutes = 0;
	if (*at == text.size) {
		*ret_minutes = 0;
		return rule == WEIR_ZONE_UTC;
	}
	char sign = text.data[(*at)++];
	if (sign == 'Z' || sign == 'z') {
		*ret_minutes = 0;
		return true;
	}
	if ((sign != '+' && sign != '-') || !digits(text, at, 2, &hours))
		return false;
	if (*at < text.size && text.data[*at] == ':')
		(*at)++;
	if (*at < text.size && !digits(text, at, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*ret_minutes = (sign == '-' ? -1 : 1) * (hours * 60 + minutes);
	return true;
}

bool weir_time_parse(struct weir_str text, enum weir_zone_rule rule, int64_t *ret_us)
{
	size_t at = 0;
	int32_t day;
	int hour, minute, second, zone_minutes;
	int64_t fraction = 0;
	if (!parse_date(text, &at, &day) || at >= text.size)
		return false;
	char separator = text.data[at++];
	if ((separator != 'T' && separator != 't' && separator != ' ') || !digits(text, &at, 2, &hour) ||
		!expect(text, &at, ':') || !digits(text, &at, 2, &minute) || !expect(text, &at, ':') ||
		!digits(text, &at, 2, &second))
		return false;
	if (hour > 23 || minute > 59 || second > 59)
		return false;
	if (at < text.size && text.data[at] == '.') {
		int64_t unit = 100000;
		size_t first = ++at;
		for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++, unit /= 10)
			fraction += (text.data[at] - '0') * unit;
		if (at == first || at - first > 9)
			return false;
	}
	if (!parse_zone(text, &at, rule, &zone_minutes) || at != text.size)
		return false;
	*ret_us = (int64_t)day * WEIR_US_PER_DAY + hour * WEIR_US_PER_HOUR +
		(minute - (int64_t)zone_minutes) * WEIR_US_PER_MINUTE + second * WEIR_US_PER_SECOND + fraction;
	return true;
}

/* Writes value with exactly width digits. */
static char *put_digits(char *out, unsigned value, unsigned width)
{
	for (unsigned i = width; i > 0; i--, value /= 10)
		out[i - 1] = (char)('0' + value % 10);
	return out + width;
}

size_t weir_date_format(int32_t day, char buffer[WEIR_TIME_TEXT])
{
	int year, month, day_of_month;
	weir_civil_from_day(day, &year, &month, &day_of_month);
	if (year < 0 || year > 9999)
		return (size_t)snprintf(buffer, WEIR_TIME_TEXT, "%+05d-%02u-%02u", year, (unsigned)month % 100,
			(unsigned)day_of_month % 100);
	char *out = put_digits(buffer, (unsigned)year, 4);
	*out++ = '-';
	out = put_digits(out, (unsigned)month, 2);
	*out++ = '-';
	out = put_digits(out, (unsigned)day_of_month, 2);
	*out = '\0';
	return (size_t)(out - buffer);
}

size_t weir_time_format(int64_t time_us, char buffer[WEIR_TIME_TEXT])
{
	int32_t day = weir_day_of(time_us);
	int64_t rest = time_us - (int64_t)day * WEIR_US_PER_DAY;
	unsigned seconds = (unsigned)(rest / WEIR_US_PER_SECOND);
	unsigned fraction = (unsigned)(rest % WEIR_US_PER_SECOND);
	char *out = buffer + weir_date_format(day, buffer);
	*out++ = 'T';
	out = put_digits(out, seconds / 3600, 2);
	*out++ = ':';
	out = put_digits(out, seconds / 60 % 60, 2);
	*out++ = ':';
	out = put_digits(out, seconds % 60, 2);
	if (fraction != 0) {
		*out++ = '.';
		out = fraction % 1000 == 0 ? put_digits(out, fraction / 1000, 3) : put_digits(out, fraction, 6);
	}
	*out++ = 'Z';
	*out = '\0';
	return (size_t)(out - buffer);
}

/* Splits "64MiB" into 64 and "MiB". */
static bool number_and_unit(struct weir_str text, uint64_t *ret_number, struct weir_str *ret_unit)
{
	size_t at = 0;
	while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
		at++;
	*ret_unit = (struct weir_str){text.data + at, text.size - at};
	return weir_str_to_u64((struct weir_str){text.data, at}, ret_number);
}

bool weir_duration_parse(struct weir_str text, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"ms", WEIR_US_PER_MS}, {"s", WEIR_US_PER_SECOND}, {"m", WEIR_US_PER_MINUTE},
		{"h", WEIR_US_PER_HOUR}, {"d", WEIR_US_PER_DAY}, {"y", 365 * WEIR_US_PER_DAY}};
	uint64_t number;
	struct weir_str unit;
	int64_t us;
	if (!number_and_unit(text, &number, &unit) || number > INT64_MAX)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (!weir_str_is(unit, units[i].unit))
			continue;
		if (__builtin_mul_overflow((int64_t)number, units[i].us, &us))
			return false;
		*ret_us = us;
		return true;
	}
	return false;
}

bool weir_size_parse(struct weir_str text, uint64_t *ret_bytes)
{
	uint64_t number, bytes;
	struct weir_str unit;
	if (!number_and_unit(text, &number, &unit))
		return false;
	unsigned shift = weir_str_is(unit, "GiB") ? 30
		: weir_str_is(unit, "MiB")        ? 20
		: weir_str_is(unit, "KiB")        ? 10
						  : 0;
	if (shift == 0 && unit.size > 0 && !weir_str_is(unit, "B"))
		return false;
	if (__builtin_mul_overflow(number, (uint64_t)1 << shift, &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}

static int64_t read_clock(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (int64_t)t.tv_sec * WEIR_US_PER_SECOND + t.tv_nsec / 1000;
}

static int64_t system_now(void *self)
{
	(void)self;
	return read_clock(CLOCK_REALTIME);
}

static int64_t system_steady(void *self)
{
	(void)self;
	return read_clock(CLOCK_MONOTONIC);
}

struct weir_clock weir_clock_system(void)
{
	return (struct weir_clock){system_now, system_steady, NULL};
}

static int64_t manual_now(void *self)
{
	struct weir_manual_clock *manual = self;
	return __atomic_load_n(&manual->time_us, __ATOMIC_ACQUIRE);
}

struct weir_clock weir_clock_manual(struct weir_manual_clock *manual)
{
	return (struct weir_clock){manual_now, manual_now, manual};
}

void weir_manual_clock_advance(struct weir_manual_clock *manual, int64_t by_us)
{
	__atomic_add_fetch(&manual->time_us, by_us, __ATOMIC_ACQ_REL);
}
