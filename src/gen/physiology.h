/*
 * An athlete's body and what an effort does to it. All numbers are integers in the units of their names; "permille" is
 * a thousandth, so that a body answers an effort with the same digits on every machine.
 */
#ifndef WEIR_GEN_PHYSIOLOGY_H
#define WEIR_GEN_PHYSIOLOGY_H

#include <stdint.h>

#include "gen/gen_int.h"

enum athlete_activity {
	ACTIVITY_RUNNING,
	ACTIVITY_CYCLING,
	ACTIVITY_SWIMMING,
	ACTIVITY_WALKING,
	ACTIVITY_HIKING,
	ACTIVITY_ROWING,
	ACTIVITY_STRENGTH,
	ACTIVITY_COUNT,
};

const char *activity_name(enum athlete_activity activity);

/* What stays the same for an athlete. */
struct body {
	int32_t age_years, mass_kg;
	int32_t fitness; /* permille: 0 untrained, 1000 elite */
	int32_t resting_bpm, max_bpm;
	int32_t threshold_watts; /* what is held for an hour on a bicycle */
	int32_t threshold_mm_s;  /* running speed held for an hour */
	int32_t systolic, diastolic;
	int32_t oxygen_permille; /* saturation at rest */
};

struct body body_draw(struct weir_rng *rng);

/* How a session is laid out. */
enum effort_shape { EFFORT_STEADY, EFFORT_INTERVALS, EFFORT_PROGRESSION, EFFORT_RACE, EFFORT_SHAPES };

struct effort {
	enum athlete_activity activity;
	enum effort_shape shape;
	int32_t duration_ms; /* as planned */
	int32_t base;        /* intensity of the main part, permille of the threshold */
	int32_t terrain;     /* the ups and downs of the way: a slow random walk, permille */
	int32_t form;        /* of the day: permille added to the heart's answer */
	int32_t heart_mbpm;  /* the heart rate now, thousandths of a beat a minute */
	int32_t watts, mm_s, cadence, oxygen_permille;
};

/* At rest, before the session. */
struct effort effort_begin(const struct body *body, enum athlete_activity activity, enum effort_shape shape,
	int32_t duration_ms, struct weir_rng *rng);
/* The body step_ms later, elapsed_ms into the session. */
void effort_step(
	struct effort *effort, const struct body *body, int32_t elapsed_ms, int32_t step_ms, struct weir_rng *rng);
/* Speed to be expected over the whole of a session. */
int32_t effort_mean_mm_s(const struct body *body, enum athlete_activity activity, int32_t intensity);

#endif
