/*
 * A lake for tests: the real engine over a directory of its own, with a clock that stands still until it is moved and no
 * background work but what a test asks for. Everything that fails ends the test (or, in a crashing child, the child).
 */
#ifndef WEIR_TESTS_LAKE_FIXTURE_H
#define WEIR_TESTS_LAKE_FIXTURE_H

#include "engine/engine.h"

#define LAKE_ATHLETE "lakes/athlete"
#define LAKE_SHOP    "tests/lakes/shop"
#define LAKE_NOW     1738396800000000LL /* 2025-02-01T08:00:00Z */

struct lake_fixture {
	char directory[512]; /* removed by lake_done; DIR is its folder "data" */
	char data[600];
	char source[600]; /* the folder with lake.yaml */
	struct weir_manual_clock clock;
	const struct weir_os *os;  /* NULL: the real one */
	uint64_t delta_from_bytes; /* see engine_options */
	struct weir_arena *arena;
	struct lake *lake;
	struct engine *engine;
	bool in_child;
};

/* A new directory and an open lake in it. */
void lake_start(struct lake_fixture *fixture, const char *source);
/* The same of a copy of the source in the fixture's directory, open or not: tests may change its files (lake_edit). */
void lake_copy(struct lake_fixture *fixture, const char *source, bool open);
/* Replaces the first occurrence of a text in a file of the copy, which must have it. */
void lake_edit(struct lake_fixture *fixture, const char *file, const char *from, const char *to);
void lake_open(struct lake_fixture *fixture);
int lake_try_open(struct lake_fixture *fixture, struct weir_error *err);
void lake_close(struct lake_fixture *fixture);
void lake_reopen(struct lake_fixture *fixture);
/* Closes, checks the lake's soundness before that where it is open, and removes the directory. */
void lake_done(struct lake_fixture *fixture);

/* Opens the (closed) lake in a child process, which runs the function and dies without closing anything, as by kill -9. */
void lake_crash(struct lake_fixture *fixture, void (*run)(struct lake_fixture *fixture, void *context), void *context);

/* ---- events ---- */
#define POST_OK 0
struct ingest_result lake_post(struct lake_fixture *fixture, const char *text);
int lake_upload(struct lake_fixture *fixture, const char *filename, const char *content_type, struct weir_str body,
	const char *athlete, struct ingest_result *ret_result, struct weir_error *err);
/* A telemetry event's JSON, in the fixture's arena. more: "\"activity\": \"running\"" or NULL; metrics: "\"heart_rate\": 140". */
const char *lake_event(struct lake_fixture *fixture, unsigned id, const char *athlete, int64_t time_us,
	const char *more, const char *metrics);
const char *lake_visit(
	struct lake_fixture *fixture, unsigned id, const char *customer, int64_t time_us, const char *page);
void lake_flush(struct lake_fixture *fixture);
void lake_settle(struct lake_fixture *fixture);
/* The same, and compaction until nothing is left of it. */
void lake_settle_all(struct lake_fixture *fixture);
void lake_advance(struct lake_fixture *fixture, int64_t by_us);

/* ---- consent ---- */
uint64_t lake_rule(struct lake_fixture *fixture, const char *json);
/* A permit of all for the purposes, given as "research", "education", NULL-terminated. */
uint64_t lake_permit(struct lake_fixture *fixture, const char *athlete, ...) __attribute__((sentinel));
uint64_t lake_withdraw(struct lake_fixture *fixture, const char *subject, const char *purpose);
uint64_t lake_remove_rule(struct lake_fixture *fixture, const char *subject, const char *rule_id);

/* ---- looking ---- */
uint32_t lake_table(struct lake_fixture *fixture, const char *name);
/* Rows of a table ("gold.athlete_data") in which each named column has the text: pairs, NULL-terminated; "null" is null. Text of
 * numbers is decimal, of times microseconds, of booleans true and false, of UUIDs their usual form. */
uint64_t lake_count(struct lake_fixture *fixture, const char *table, ...) __attribute__((sentinel));
typedef void lake_row_fn(void *context, const struct weir_batch *batch, uint32_t row);
void lake_each(struct lake_fixture *fixture, const char *table, lake_row_fn *row, void *context);
/* The text of a cell by its column's name, in the fixture's arena. */
const char *lake_cell(struct lake_fixture *fixture, const struct weir_batch *batch, uint32_t row, const char *column);
/* Of the first row that fits; NULL where there is none. */
const char *lake_value(struct lake_fixture *fixture, const char *table, const char *wanted, ...)
	__attribute__((sentinel));
uint64_t lake_files(struct lake_fixture *fixture, const char *table);
int64_t lake_number(struct lake_fixture *fixture, const char *sql);
uint64_t lake_counter(struct lake_fixture *fixture, const char *channel, const char *result);
/* E3 for the first stream: counters add up to what the log was given, and agree with the tables. */
void lake_check_counters(struct lake_fixture *fixture);
/* The lake's own check. */
void lake_check_sound(struct lake_fixture *fixture);
/* Rows that the operator's SQL gives; *ret_status other than 0 where it fails. */
uint64_t lake_sql_rows(struct lake_fixture *fixture, const char *text, bool as_auditor, int *ret_status);
/* How often the bytes stand in files below a folder of the directory ("data", "data/warehouse/gold"), as they lie on disk. */
uint64_t lake_scan_files(struct lake_fixture *fixture, const char *below, struct weir_str bytes);
typedef void lake_file_fn(void *context, const char *path, const char *name_below, struct weir_str content);
void lake_each_file(struct lake_fixture *fixture, const char *below, lake_file_fn *file, void *context);

/* Ends the test, or the child. */
#define LAKE_CHECK(fixture, condition) \
	((condition) ? (void)0 : lake_failed(fixture, __FILE__, __LINE__, #condition, NULL))
#define LAKE_OK(fixture, call, err) ((call) == 0 ? (void)0 : lake_failed(fixture, __FILE__, __LINE__, #call, err))
void lake_failed(
	const struct lake_fixture *fixture, const char *file, int line, const char *what, const struct weir_error *err);

#endif
