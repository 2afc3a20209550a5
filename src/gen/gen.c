/*
 * The registry, and what happens to events on their way: a kind yields records in order of arrival; here some are
 * repeated, some held up, some spoiled, and all are merged by arrival again.
 *
 * Held records wait in a pool, ordered by a heap. A device loses its connection for a while, not for one point: what a
 * subject records within the same minute is late together, which a hash of (seed, subject, minute) decides without any
 * state. Each line is counted in one class only.
 */
#include "gen/gen_int.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

#define HELD_MIN         65536u /* records under way that are kept whatever the number of subjects */
#define HELD_PER_SUBJECT 64u
#define HELD_MAX         (1u << 22)
#define RETRY_SHORT_US   (30 * WEIR_US_PER_SECOND)
#define RETRY_LONG_US    WEIR_US_PER_HOUR
#define LATE_LEAST_US    (2 * WEIR_US_PER_MINUTE)
#define LATE_MORE_US     (6 * WEIR_US_PER_HOUR)

struct held {
	union gen_any_record record;
	enum gen_class class;
	uint32_t next_free;
};

struct gen {
	const struct gen_kind *kind;
	struct gen_options options;
	void *source;
	struct weir_rng rng; /* for repeats and faults */
	uint64_t duplicate_bound, late_bound, bad_bound;
	uint64_t written;
	int64_t last_arrival_us;
	union gen_any_record ahead; /* the kind's next record */
	bool has_ahead;
	struct gen_heap waiting; /* owner: when it was held, so that ties go in that order; tag: index in held */
	struct held *held;
	size_t held_count, held_capacity, held_limit;
	uint32_t free_slot; /* UINT32_MAX: none */
	uint32_t held_sequence;
};

static const struct gen_kind *const kinds[] = {&gen_athlete, &gen_shop};

const struct gen_kind *gen_find(struct weir_str lake)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (weir_str_is(lake, kinds[i]->lake))
			return kinds[i];
	return NULL;
}

const char *const *gen_names(void)
{
	static const char *const names[] = {"athlete", "shop", NULL};
	return names;
}

const char *gen_stream(const struct gen_kind *kind)
{
	return kind->stream;
}

struct gen_options gen_options_default(void)
{
	return (struct gen_options){.subjects = 100,
		.days = 7,
		.start_day = weir_day_from_civil(2025, 2, 1),
		.seed = 1,
		.duplicates = 0.01,
		.late = 0.02,
		.bad = 0.002};
}

static bool share_valid(double share)
{
	return share >= 0 && share <= GEN_DISTURBANCE_MAX; /* false for NaN */
}

static int check_options(const struct gen_options *options, struct weir_error *err)
{
	if (options->subjects < 1 || options->subjects > GEN_SUBJECTS_MAX)
		return weir_fail(err, WEIR_E_INPUT, "%llu subjects: give 1 to %u",
			(unsigned long long)options->subjects, GEN_SUBJECTS_MAX);
	if (options->days < 1 || options->days > GEN_DAYS_MAX)
		return weir_fail(err, WEIR_E_INPUT, "%u days: give 1 to %u", options->days, GEN_DAYS_MAX);
	if (options->start_day < 1 || options->start_day > weir_day_from_civil(2200, 1, 1))
		return weir_fail(
			err, WEIR_E_INPUT, "the start is out of bounds: give a date from 1970-01-02 to 2200-01-01");
	if (!share_valid(options->duplicates) || !share_valid(options->late) || !share_valid(options->bad) ||
		options->duplicates + options->late + options->bad > GEN_DISTURBANCE_MAX)
		return weir_fail(err, WEIR_E_INPUT,
			"duplicates %g, late %g and bad %g: give shares of 0 to 1 that sum to %g at most",
			options->duplicates, options->late, options->bad, GEN_DISTURBANCE_MAX);
	return 0;
}

int gen_open(
	const struct gen_kind *kind, const struct gen_options *options, struct gen **ret_gen, struct weir_error *err)
{
	int rc = check_options(options, err);
	if (rc != 0)
		return rc;
	struct gen *gen = weir_zalloc(sizeof *gen);
	/* The shares are of all lines; chances are drawn per original, and faults only from those that are on time. */
	double originals = 1 - options->duplicates;
	double late = options->late / originals;
	gen->kind = kind;
	gen->options = *options;
	gen->duplicate_bound = gen_bound(options->duplicates / (originals - options->bad));
	gen->late_bound = gen_bound(late);
	gen->bad_bound = gen_bound(options->bad / originals / (1 - late));
	gen->rng = weir_rng_fork(options->seed, UINT64_MAX);
	gen->held_limit = HELD_MIN + options->subjects * HELD_PER_SUBJECT;
	if (gen->held_limit > HELD_MAX)
		gen->held_limit = HELD_MAX;
	gen->free_slot = UINT32_MAX;
	gen->last_arrival_us = INT64_MIN;
	gen->source = kind->open(&gen->options);
	gen->has_ahead = kind->next(gen->source, &gen->ahead);
	*ret_gen = gen;
	return 0;
}

void gen_close(struct gen *gen)
{
	if (gen == NULL)
		return;
	gen->kind->close(gen->source);
	gen_heap_done(&gen->waiting);
	free(gen->held);
	free(gen);
}

static void hold(struct gen *gen, const union gen_any_record *record, enum gen_class class, int64_t until_us)
{
	uint32_t slot = gen->free_slot;
	if (slot != UINT32_MAX) {
		gen->free_slot = gen->held[slot].next_free;
	} else {
		WEIR_GROW(gen->held, gen->held_count, gen->held_capacity);
		slot = (uint32_t)gen->held_count++;
	}
	gen->held[slot] = (struct held){.record = *record, .class = class};
	gen->held[slot].record.head.arrival_us = until_us;
	gen_heap_push(&gen->waiting, (struct gen_arrival){until_us, gen->held_sequence++, slot});
}

static struct held release(struct gen *gen)
{
	uint32_t slot = gen->waiting.items[0].tag;
	gen_heap_pop(&gen->waiting);
	struct held held = gen->held[slot];
	gen->held[slot].next_free = gen->free_slot;
	gen->free_slot = slot;
	return held;
}

/* Until when the record is held up, or 0: its device was offline in that minute and caught up later, in order. */
static int64_t late_until(const struct gen *gen, const struct gen_record *record)
{
	uint64_t minute = (uint64_t)(record->time_us / WEIR_US_PER_MINUTE);
	if (gen->late_bound == 0)
		return 0;
	struct weir_rng rng =
		weir_rng_fork(gen->options.seed ^ 0x6c617465, minute << 32 ^ weir_mix64(record->subject + 1));
	if (!gen_chance(&rng, gen->late_bound))
		return 0;
	int64_t into_minute_us = record->time_us - (int64_t)minute * WEIR_US_PER_MINUTE;
	return record->time_us - into_minute_us + WEIR_US_PER_MINUTE + LATE_LEAST_US + gen_skewed(&rng, LATE_MORE_US) +
		into_minute_us / 1000;
}

/* The next record that goes out, of the kind's and the held ones; false at the end. */
static bool next_record(struct gen *gen, union gen_any_record *ret_record, enum gen_class *ret_class)
{
	for (;;) {
		bool full = gen->waiting.count >= gen->held_limit;
		if (gen->waiting.count > 0 &&
			(full || !gen->has_ahead || gen->waiting.items[0].at_us <= gen->ahead.head.arrival_us)) {
			struct held held = release(gen);
			*ret_record = held.record;
			*ret_class = held.class;
			/* A full pool lets go of one before its time: it arrives now. */
			if (gen->has_ahead && held.record.head.arrival_us > gen->ahead.head.arrival_us)
				ret_record->head.arrival_us = gen->ahead.head.arrival_us;
			return true;
		}
		if (!gen->has_ahead)
			return false;
		union gen_any_record record = gen->ahead;
		gen->has_ahead = gen->kind->next(gen->source, &gen->ahead);
		int64_t until_us = late_until(gen, &record.head);
		if (until_us == 0) {
			*ret_record = record;
			*ret_class = gen_chance(&gen->rng, gen->bad_bound) ? GEN_BAD : GEN_ON_TIME;
			return true;
		}
		hold(gen, &record, GEN_LATE, until_us);
	}
}

/* Most repeats are a sender's retry within seconds, some a device's second synchronisation. */
static void maybe_repeat(struct gen *gen, const union gen_any_record *record)
{
	if (!gen_chance(&gen->rng, gen->duplicate_bound))
		return;
	int64_t most_us = gen_percent(&gen->rng, 75) ? RETRY_SHORT_US : RETRY_LONG_US;
	hold(gen, record, GEN_DUPLICATE,
		record->head.arrival_us + WEIR_US_PER_SECOND / 5 + gen_skewed(&gen->rng, most_us));
}

bool gen_next(struct gen *gen, struct weir_buf *out, struct gen_event *ret_event)
{
	union gen_any_record record;
	enum gen_class class;
	if ((gen->options.events > 0 && gen->written >= gen->options.events) || !next_record(gen, &record, &class))
		return false;
	WEIR_ASSERT(record.head.arrival_us >= gen->last_arrival_us);
	enum gen_fault fault = GEN_FAULT_NONE;
	if (class == GEN_BAD)
		fault = (enum gen_fault)(1 + weir_rng_below(&gen->rng, GEN_FAULTS - 1));
	else if (class != GEN_DUPLICATE)
		maybe_repeat(gen, &record);
	weir_buf_reserve(out, GEN_EVENT_BYTES);
	char *begin = out->data + out->size;
	char *end = gen->kind->write(gen->source, &record, fault, begin);
	if (fault == GEN_FAULT_CUT)
		end = begin + (size_t)(end - begin) * (20 + weir_rng_below(&gen->rng, 70)) / 100;
	*end++ = '\n';
	WEIR_ASSERT((size_t)(end - begin) <= GEN_EVENT_BYTES);
	out->size += (size_t)(end - begin);
	gen->last_arrival_us = record.head.arrival_us;
	gen->written++;
	if (ret_event != NULL)
		*ret_event =
			(struct gen_event){class, record.head.subject, record.head.time_us, record.head.arrival_us};
	return true;
}

void gen_rules(const struct gen *gen, uint64_t subject, struct weir_buf *out)
{
	WEIR_ASSERT(subject < gen->options.subjects);
	gen->kind->rules(gen->source, (uint32_t)subject, out);
}

uint64_t gen_subjects(const struct gen *gen)
{
	return gen->options.subjects;
}

void gen_subject_id(const struct gen *gen, uint64_t subject, struct weir_buf *out)
{
	WEIR_ASSERT(subject < gen->options.subjects);
	weir_buf_reserve(out, GEN_EVENT_BYTES);
	char *begin = out->data + out->size;
	out->size += (size_t)(gen->kind->subject(gen->source, (uint32_t)subject, begin) - begin);
}
