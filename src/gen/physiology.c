/*
 * Sources of the shapes: maximum heart rate 208 - 0.7 age (Tanaka, Monahan and Seals 2001); the heart follows a change
 * of effort with a lag of some 40 s and drifts upwards in long efforts; 88 % of the heart rate reserve at the
 * threshold.
 */
#include "gen/physiology.h"

#define WARM_UP_MAX_MS             (12 * 60 * 1000)
#define INTERVAL_ON_MS             (4 * 60 * 1000)
#define INTERVAL_OFF_MS            (2 * 60 * 1000)
#define HEART_LAG_UP_MS            40000
#define HEART_LAG_DOWN_MS          55000
#define THRESHOLD_RESERVE_PERMILLE 880

const char *activity_name(enum athlete_activity activity)
{
	static const char *const names[ACTIVITY_COUNT] = {
		"running", "cycling", "swimming", "walking", "hiking", "rowing", "strength_training"};
	return names[activity];
}

struct body body_draw(struct weir_rng *rng)
{
	struct body body = {.age_years = 18 + (int32_t)gen_skewed(rng, 30) + gen_between(rng, 0, 22)};
	body.fitness = gen_clamp(480 + gen_noise(rng, 190), 30, 1000);
	body.mass_kg = gen_clamp(71 + gen_noise(rng, 11), 45, 115);
	body.max_bpm = (2080 - 7 * body.age_years) / 10 + gen_noise(rng, 6);
	body.resting_bpm = gen_clamp(72 - body.fitness * 26 / 1000 + gen_noise(rng, 4), 36, 86);
	body.threshold_watts = body.mass_kg * (1800 + 3 * body.fitness + gen_noise(rng, 150)) / 1000;
	body.threshold_mm_s = 2300 + 23 * body.fitness / 10 + gen_noise(rng, 150);
	body.systolic = gen_clamp(106 + body.age_years / 4 + gen_noise(rng, 8), 92, 158);
	body.diastolic = gen_clamp(body.systolic * 2 / 3 + gen_noise(rng, 4), 54, 98);
	body.oxygen_permille = gen_clamp(978 + gen_noise(rng, 6), 955, 995);
	return body;
}

static int32_t base_intensity(enum effort_shape shape, struct weir_rng *rng)
{
	switch (shape) {
	case EFFORT_RACE:
		return gen_clamp(930 + gen_noise(rng, 25), 850, 1000);
	case EFFORT_PROGRESSION:
		return gen_clamp(800 + gen_noise(rng, 40), 680, 900);
	case EFFORT_INTERVALS:
		return gen_clamp(780 + gen_noise(rng, 40), 680, 880);
	case EFFORT_STEADY:
	case EFFORT_SHAPES:
		break;
	}
	return gen_clamp(690 + gen_noise(rng, 60), 480, 830);
}

struct effort effort_begin(const struct body *body, enum athlete_activity activity, enum effort_shape shape,
	int32_t duration_ms, struct weir_rng *rng)
{
	struct effort effort = {.activity = activity, .shape = shape, .duration_ms = duration_ms};
	effort.base = base_intensity(shape, rng);
	if (activity == ACTIVITY_WALKING)
		effort.base = effort.base * 55 / 100;
	else if (activity == ACTIVITY_HIKING)
		effort.base = effort.base * 75 / 100;
	effort.form = gen_noise(rng, 18);
	effort.heart_mbpm = 1000 * (body->resting_bpm + gen_between(rng, 12, 30));
	effort.oxygen_permille = body->oxygen_permille;
	return effort;
}

/* Intensity that the plan asks for at a moment, permille of the threshold. */
static int32_t planned_intensity(const struct effort *effort, int32_t elapsed_ms)
{
	int32_t warm_up_ms = effort->duration_ms / 7 < WARM_UP_MAX_MS ? effort->duration_ms / 7 : WARM_UP_MAX_MS;
	int32_t cool_down_ms = effort->duration_ms / 10;
	int32_t from_end_ms = effort->duration_ms - elapsed_ms;
	if (effort->shape == EFFORT_RACE) { /* a short start, a fast end */
		if (elapsed_ms < 60000)
			return effort->base - 150 + elapsed_ms / 400;
		return from_end_ms < effort->duration_ms / 25 ? effort->base + 50 : effort->base;
	}
	if (elapsed_ms < warm_up_ms)
		return effort->base * 6 / 10 + (int32_t)((int64_t)effort->base * 4 / 10 * elapsed_ms / warm_up_ms);
	if (from_end_ms < cool_down_ms)
		return effort->base * 6 / 10;
	if (effort->shape == EFFORT_INTERVALS)
		return (elapsed_ms - warm_up_ms) % (INTERVAL_ON_MS + INTERVAL_OFF_MS) < INTERVAL_ON_MS
			? effort->base + 250
			: effort->base - 220;
	if (effort->shape == EFFORT_PROGRESSION)
		return effort->base - 120 + (int32_t)((int64_t)260 * elapsed_ms / effort->duration_ms);
	return effort->base;
}

static void step_heart(struct effort *effort, const struct body *body, int32_t intensity, int32_t elapsed_ms,
	int32_t step_ms, struct weir_rng *rng)
{
	/* Drift: up to 6 % of the reserve within two hours, less for the fit. */
	int32_t drift = (int32_t)((int64_t)elapsed_ms * (90 - body->fitness / 20) / (2 * 3600 * 1000));
	int32_t share = intensity * THRESHOLD_RESERVE_PERMILLE / 1000 + (drift > 90 ? 90 : drift) + effort->form;
	int32_t target_mbpm = body->resting_bpm * 1000 + (body->max_bpm - body->resting_bpm) * share;
	int32_t lag_ms = target_mbpm > effort->heart_mbpm ? HEART_LAG_UP_MS : HEART_LAG_DOWN_MS;
	int32_t change = (int32_t)((int64_t)(target_mbpm - effort->heart_mbpm) * step_ms / (lag_ms + step_ms));
	effort->heart_mbpm = gen_clamp(effort->heart_mbpm + change + gen_noise(rng, 700),
		(body->resting_bpm + 3) * 1000, body->max_bpm * 1000);
}

/* Speed and cadence of an activity at an intensity; what the ground takes from them is the caller's. */
static int32_t speed_at(const struct body *body, enum athlete_activity activity, int32_t intensity)
{
	int32_t running = (int32_t)((int64_t)body->threshold_mm_s * intensity / 1000);
	switch (activity) {
	case ACTIVITY_RUNNING:
		return running;
	case ACTIVITY_CYCLING: /* near the usual speeds the air's cube is well met by a line */
		return 3600 + 26 * (body->threshold_watts * intensity / 1000);
	case ACTIVITY_SWIMMING:
		return running * 33 / 100;
	case ACTIVITY_WALKING:
		return 900 + running * 35 / 100;
	case ACTIVITY_HIKING:
		return 500 + running * 28 / 100;
	case ACTIVITY_ROWING:
		return 1700 + running * 55 / 100;
	case ACTIVITY_STRENGTH:
	case ACTIVITY_COUNT:
		break;
	}
	return 0;
}

static int32_t cadence_at(const struct effort *effort, int32_t intensity)
{
	switch (effort->activity) {
	case ACTIVITY_RUNNING: /* steps a minute */
		return 142 + effort->mm_s / 125;
	case ACTIVITY_CYCLING:
		return 68 + intensity / 45;
	case ACTIVITY_SWIMMING:
		return 20 + intensity / 70;
	case ACTIVITY_WALKING:
	case ACTIVITY_HIKING:
		return 78 + effort->mm_s / 45;
	case ACTIVITY_ROWING:
		return 16 + intensity / 85;
	case ACTIVITY_STRENGTH:
	case ACTIVITY_COUNT:
		break;
	}
	return 0;
}

static int32_t power_at(const struct effort *effort, const struct body *body, int32_t intensity)
{
	if (effort->activity == ACTIVITY_CYCLING || effort->activity == ACTIVITY_ROWING)
		return body->threshold_watts * intensity / (effort->activity == ACTIVITY_CYCLING ? 1000 : 1180);
	/* On foot: 1.04 joule a kilogram and metre. */
	return (int32_t)((int64_t)body->mass_kg * effort->mm_s * 104 / 100000);
}

void effort_step(
	struct effort *effort, const struct body *body, int32_t elapsed_ms, int32_t step_ms, struct weir_rng *rng)
{
	effort->terrain = effort->terrain * 94 / 100 + gen_noise(rng, 22);
	int32_t intensity = gen_clamp(planned_intensity(effort, elapsed_ms) + effort->terrain, 150, 1250);
	step_heart(effort, body, intensity, elapsed_ms, step_ms, rng);
	uint64_t dice = weir_rng_next(rng);
	/* Uphill is slower at more effort: the ground takes twice what the legs add. */
	int32_t speed = speed_at(body, effort->activity, intensity - effort->terrain);
	effort->mm_s = speed - speed * gen_clamp(effort->terrain, -200, 200) / 1000 +
		speed * ((int32_t)(dice & 63) - 32) / 2000;
	effort->watts = gen_clamp(
		power_at(effort, body, intensity) * (960 + (int32_t)(dice >> 8 & 127) * 80 / 127) / 1000, 0, 1999);
	effort->cadence = cadence_at(effort, intensity) + (int32_t)(dice >> 16 & 3) - 1;
	if (effort->activity == ACTIVITY_CYCLING && effort->terrain < -55) { /* downhill the legs rest */
		effort->watts = 0;
		effort->cadence = 0;
	}
	effort->oxygen_permille =
		gen_clamp(body->oxygen_permille - intensity / 70 + (int32_t)(dice >> 24 & 7) - 3, 880, 1000);
}

int32_t effort_mean_mm_s(const struct body *body, enum athlete_activity activity, int32_t intensity)
{
	return speed_at(body, activity, intensity);
}
