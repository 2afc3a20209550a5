/*
 * What a kind of lake implements, and what the kinds share: integer chances and noise, a heap of arrivals, text.
 *
 * A kind yields records: what happened, in order of arrival and without disturbance, as a small struct of its own.
 * gen.c repeats, delays and spoils them, and asks the kind to write them out.
 */
#ifndef WEIR_GEN_GEN_INT_H
#define WEIR_GEN_GEN_INT_H

#include "base/rng.h"
#include "base/time.h"
#include "gen/gen.h"

#define GEN_RECORD_BYTES 96u

/* The head of every kind's record. */
struct gen_record {
	int64_t time_us;    /* when it happened */
	int64_t arrival_us; /* when it arrives if nothing holds it up */
	uint64_t id[2];     /* of the event: 128 bits that no other record has */
	uint32_t subject;
};

union gen_any_record {
	struct gen_record head;
	uint8_t bytes[GEN_RECORD_BYTES];
	uint64_t align;
};

/* How a bad event is bad. Kinds that have no such field do the nearest thing. */
enum gen_fault {
	GEN_FAULT_NONE,
	GEN_FAULT_ID,            /* an id that is no UUID */
	GEN_FAULT_NO_SUBJECT,    /* the subject is missing */
	GEN_FAULT_NEGATIVE_TIME, /* a negative number for a time */
	GEN_FAULT_TEXT_TIME,     /* words for a time */
	GEN_FAULT_LOCAL_TIME,    /* a time without zone */
	GEN_FAULT_CUT,           /* the line breaks off */
	GEN_FAULT_TYPE,          /* a value of another type */
	GEN_FAULT_NO_BODY,       /* the map of values is missing */
	GEN_FAULTS,
};

struct gen_kind {
	const char *lake, *stream;
	void *(*open)(const struct gen_options *options);
	void (*close)(void *self);
	/* The next record in order of arrival; false at the end of what happens. Records are at most GEN_RECORD_BYTES.
	 */
	bool (*next)(void *self, union gen_any_record *ret_record);
	/* Writes a record as one JSON object to out, which has room for GEN_EVENT_BYTES; returns its end. */
	char *(*write)(const void *self, const union gen_any_record *record, enum gen_fault fault, char *out);
	void (*rules)(const void *self, uint32_t subject, struct weir_buf *out);
	char *(*subject)(const void *self, uint32_t subject, char *out);
};

extern const struct gen_kind gen_athlete;
extern const struct gen_kind gen_shop;

/* ---- integer chances and noise ---- */

/* A probability as the bound that a random 64-bit number must stay below. */
static inline uint64_t gen_bound(double probability)
{
	if (probability <= 0)
		return 0;
	return probability >= 1 ? UINT64_MAX : (uint64_t)(probability * 0x1.0p64);
}

static inline bool gen_chance(struct weir_rng *rng, uint64_t bound)
{
	return weir_rng_next(rng) < bound;
}

static inline bool gen_percent(struct weir_rng *rng, unsigned percent)
{
	return weir_rng_below(rng, 100) < percent;
}

/* A whole number from low to high, both included. */
static inline int32_t gen_between(struct weir_rng *rng, int32_t low, int32_t high)
{
	return low + (int32_t)weir_rng_below(rng, (uint64_t)(high - low + 1));
}

/* Bell-shaped, mean 0, the given deviation: the sum of four 16-bit numbers, whose own deviation is 37,837. */
static inline int32_t gen_noise(struct weir_rng *rng, int32_t deviation)
{
	uint64_t x = weir_rng_next(rng);
	int64_t sum =
		(int64_t)(x & 0xffff) + (int64_t)(x >> 16 & 0xffff) + (int64_t)(x >> 32 & 0xffff) + (int64_t)(x >> 48);
	return (int32_t)((sum - 131070) * deviation / 37837);
}

/* 0 .. limit - 1, small ones far more often: the cube of a uniform number. */
static inline int64_t gen_skewed(struct weir_rng *rng, int64_t limit)
{
	uint64_t u = weir_rng_next(rng) >> 43; /* 21 bits, so that the cube has 63 */
	__extension__ typedef unsigned __int128 wide;
	return (int64_t)((wide)(u * u * u) * (uint64_t)limit >> 63);
}

static inline int32_t gen_clamp(int32_t value, int32_t low, int32_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* An index drawn by weights that sum to total. */
static inline unsigned gen_weighted(struct weir_rng *rng, const uint8_t *weights, unsigned count, unsigned total)
{
	unsigned at = (unsigned)weir_rng_below(rng, total);
	for (unsigned i = 0; i < count; i++) {
		if (at < weights[i])
			return i;
		at -= weights[i];
	}
	return count - 1;
}

/* ---- the heap of arrivals: smallest time first, ties by owner, so that the order is one and the same everywhere ----
 */

struct gen_arrival {
	int64_t at_us;
	uint32_t owner; /* unique among the entries */
	uint32_t tag;   /* the kind's own */
};

struct gen_heap {
	struct gen_arrival *items;
	size_t count, capacity;
};

void gen_heap_push(struct gen_heap *heap, struct gen_arrival arrival);
void gen_heap_pop(struct gen_heap *heap);
/* Pop and push in one walk: the first entry gets another time and tag. */
void gen_heap_replace_first(struct gen_heap *heap, struct gen_arrival arrival);
void gen_heap_done(struct gen_heap *heap);

/* ---- text: pointers to where to write, in and out ---- */

char *gen_put(char *out, struct weir_str text);
#define GEN_PUT(out, literal) gen_put((out), WEIR_STR(literal))
char *gen_put_uint(char *out, uint64_t value);
/* At least `digits` digits, zeros before. */
char *gen_put_padded(char *out, uint64_t value, unsigned digits);
/* value / 10^decimals, with no zeros at the end: (1405, 1) is 140.5, (1400, 1) is 140. */
char *gen_put_decimal(char *out, int64_t value, unsigned decimals);
char *gen_put_uuid(char *out, const uint64_t id[2]); /* 36 characters, version 4 */
char *gen_put_time(char *out, int64_t time_us);      /* RFC 3339, UTC, milliseconds */

#endif
