/*
 * Generators of lifelike events, one a kind of lake: who, when, what, and the consent rules that go with it.
 *
 * A generator yields events one at a time in the order of their arrival, as JSON text, with duplicates, late and
 * malformed ones among them at the rates asked for. All arithmetic is on integers, so that one seed gives the same
 * bytes on any day and machine. Memory grows with the number of subjects and the events that are under way, not with
 * the events made.
 *
 * A generator belongs to one thread; two generators share nothing.
 */
#ifndef WEIR_GEN_GEN_H
#define WEIR_GEN_GEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

#define GEN_SUBJECTS_FLAG   "--athletes" /* of `weir gen`: how many subjects */
#define GEN_SUBJECTS_MAX    100000000u   /* ids and heap entries are 32 bits wide */
#define GEN_DAYS_MAX        3650u
#define GEN_EVENT_BYTES     1024u /* no event is longer, line end included */
#define GEN_DISTURBANCE_MAX 0.9   /* duplicates + late + bad together */

struct gen_options {
	uint64_t subjects; /* athletes, customers: 1 .. GEN_SUBJECTS_MAX */
	uint64_t events;   /* lines in all, duplicates and bad ones included; 0: all that happens in the days */
	uint32_t days;     /* 1 .. GEN_DAYS_MAX; with events, the span over which these are spread, nearly */
	int32_t start_day; /* days since 1970-01-01 */
	uint64_t seed;
	double duplicates; /* share of the lines that repeat an earlier event, byte for byte */
	double late;       /* share that arrives minutes to hours after it happened */
	double bad;        /* share that no schema can accept */
};

/* 100 subjects for 7 days from 2025-02-01, seed 1, 1 % duplicates, 2 % late, 0.2 % bad. */
struct gen_options gen_options_default(void);

enum gen_class { GEN_ON_TIME, GEN_LATE, GEN_DUPLICATE, GEN_BAD, GEN_CLASSES };

/* What the generator knows of the event that it just wrote. */
struct gen_event {
	enum gen_class class;
	uint64_t subject;   /* index, from 0 */
	int64_t time_us;    /* when it happened */
	int64_t arrival_us; /* when it arrives: never less than that of the event before it */
};

struct gen_kind; /* a kind of lake */

/* By the lake's name ("athlete", "shop"); NULL where there is none. */
const struct gen_kind *gen_find(struct weir_str lake);
/* The names that gen_find knows, NULL after the last: for messages. */
const char *const *gen_names(void);
/* The stream that the events belong to: "telemetry". */
const char *gen_stream(const struct gen_kind *kind);

struct gen;
/* WEIR_E_INPUT where an option is out of bounds. */
int gen_open(
	const struct gen_kind *kind, const struct gen_options *options, struct gen **ret_gen, struct weir_error *err);
void gen_close(struct gen *gen); /* NULL is fine */

/* Appends the next event and a line end to out. False, and nothing appended, when all are out. ret_event may be NULL.
 */
bool gen_next(struct gen *gen, struct weir_buf *out, struct gen_event *ret_event);

/* Appends the subject's consent rules, one JSON object a line: none to three. Independent of gen_next. */
void gen_rules(const struct gen *gen, uint64_t subject, struct weir_buf *out);
uint64_t gen_subjects(const struct gen *gen);
/* The id of a subject as events and rules have it. */
void gen_subject_id(const struct gen *gen, uint64_t subject, struct weir_buf *out);

#endif
