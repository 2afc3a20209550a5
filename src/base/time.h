/*
 * Points in time are int64 microseconds since 1970-01-01T00:00:00Z (Iceberg's timestamptz), days are
 * int32 days since then. Calendar arithmetic is proleptic Gregorian and floors negatives.
 */
#ifndef WEIR_BASE_TIME_H
#define WEIR_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define WEIR_US_PER_MS     1000LL
#define WEIR_US_PER_SECOND 1000000LL
#define WEIR_US_PER_MINUTE 60000000LL
#define WEIR_US_PER_HOUR   3600000000LL
#define WEIR_US_PER_DAY    86400000000LL
#define WEIR_TIME_TEXT     32 /* bytes that weir_time_format needs, with the zero byte */

enum weir_zone_rule {
	WEIR_ZONE_REQUIRED, /* "2025-02-01T08:00:00Z" or "+01:00"; without zone it is refused */
	WEIR_ZONE_UTC,      /* a time without zone is UTC */
};

/* RFC 3339, with 'T' or a space and up to nine digits of a second (those past six are cut). */
bool weir_time_parse(struct weir_str text, enum weir_zone_rule zone, int64_t *ret_us);
/* "2025-02-01" */
bool weir_date_parse(struct weir_str text, int32_t *ret_day);
/* "2025-02-01T08:00:00.250Z": no fraction where it is zero, else three digits or six. Returns the size. */
size_t weir_time_format(int64_t time_us, char buffer[WEIR_TIME_TEXT]);
size_t weir_date_format(int32_t day, char buffer[WEIR_TIME_TEXT]);
int32_t weir_day_of(int64_t time_us);
int32_t weir_day_from_civil(int year, int month, int day);
void weir_civil_from_day(int32_t day, int *ret_year, int *ret_month, int *ret_day);

/* "250ms", "5m", "24h", "7y" (a year is 365 days), into microseconds. */
bool weir_duration_parse(struct weir_str text, int64_t *ret_us);
/* "64MiB", "1GiB", "512KiB", "100" (bytes). */
bool weir_size_parse(struct weir_str text, uint64_t *ret_bytes);

/*
 * Time comes from a clock that is handed in, so that a simulation can drive it. now_us is wall time;
 * steady_us only ever grows and has no fixed origin.
 */
struct weir_clock {
	int64_t (*now_us)(void *self);
	int64_t (*steady_us)(void *self);
	void *self;
};

struct weir_clock weir_clock_system(void);

/* A clock that stands still until it is moved; thread-safe. */
struct weir_manual_clock {
	int64_t time_us;
};

struct weir_clock weir_clock_manual(struct weir_manual_clock *manual);
void weir_manual_clock_advance(struct weir_manual_clock *manual, int64_t by_us);

static inline int64_t weir_now_us(const struct weir_clock *clock)
{
	return clock->now_us(clock->self);
}

static inline int64_t weir_steady_us(const struct weir_clock *clock)
{
	return clock->steady_us(clock->self);
}

#endif
