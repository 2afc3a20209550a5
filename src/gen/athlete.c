/*
 * The athlete lake's telemetry: athletes who train and race, each with a body, a town and devices that stay the same.
 *
 * A session is known by (seed, athlete, day, number): it is made when its time comes and forgotten when it ends, so
 * memory is a heap entry an athlete and a struct a running session. The heap is ordered by arrival; its entries are an
 * athlete's running session, the start of the next one, or a day on which to look for one.
 *
 * Where a number of events is asked for, first the interval between points (1 to 60 s), then the number of sessions a
 * day gives way, so that the events fill the days.
 */
#include "gen/athlete.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

#define MEAN_SESSION_S          3700
#define USUAL_SESSIONS_PERMILLE 600 /* a day */
#define LEAST_SESSIONS_PERMILLE 100 /* fewer would leave a small demonstration waiting for days */
#define USUAL_STEP_S            5
#define STEP_MAX_S              60
#define SESSIONS_A_DAY          3u
#define RACERS_PERMILLE         120
#define REST_US                 (10 * WEIR_US_PER_MINUTE)
#define LOOK_AHEAD_DAYS         8u
#define LAST_DAY                (1u << 27)
#define SWEEP_MS                (30 * 60 * 1000) /* before a race's end: stragglers are taken off the course */
#define CUFF_EVERY              60u
#define OXYGEN_EVERY            12u

/* A heap entry's tag: an index of a session, or day << 3 | number of the session, or day << 3 | LOOK. */
#define TAG_RUNNING (1u << 31)
#define TAG_LOOK    7u

/* Streams of randomness of one athlete. */
enum { DRAW_PROFILE = 1, DRAW_HABIT, DRAW_DAY, DRAW_START, DRAW_SESSION };

struct profile {
	struct body body;
	struct place home;
	enum athlete_activity first, second;
	uint8_t device, bicycle_device;
	bool cuff; /* wears a blood pressure monitor */
};

struct session {
	struct weir_rng rng;
	struct body body;
	struct effort effort;
	struct route route;
	uint64_t key[2];
	int64_t start_us;
	int32_t elapsed_ms, lag_ms;
	uint32_t athlete, day, number, points;
	uint8_t device, race; /* race: index, ATHLETE_RACES for none */
	bool names_race, cuff;
	uint32_t next_free;
};

struct athletes {
	uint64_t seed;
	int32_t start_day, step_ms;
	uint32_t days;           /* 0: until the caller has enough */
	uint64_t sessions_a_day; /* 32 fraction bits */
	struct gen_heap heap;
	struct session *sessions;
	size_t session_count, session_capacity;
	uint32_t free_slot;
};

struct sample {
	struct gen_record head;
	int32_t lat_micro, lon_micro;
	int32_t heart, watts, cadence, oxygen_permille, systolic, diastolic; /* -1: not measured */
	int32_t mm_s;
	uint8_t activity, device, race;
	bool gps;
};
_Static_assert(sizeof(struct sample) <= GEN_RECORD_BYTES, "a sample fits a record");

const struct athlete_race *athlete_race_at(unsigned index)
{
	static const struct athlete_race races[ATHLETE_RACES] = {
		{"marathon_2025", ACTIVITY_RUNNING, 2025, 2, 1, 7, 10, {47370000000, 8540000000, 1477, 60}, 15, 42,
			false},
		{"lake_ride_2025", ACTIVITY_CYCLING, 2025, 2, 2, 7, 10, {39570000000, 2650000000, 1297, 60}, 30, 110,
			false},
		{"city_10k_2025", ACTIVITY_RUNNING, 2025, 2, 5, 17, 4, {51510000000, -130000000, 1607, 0}, 8, 10,
			false},
		{"winter_walk_2025", ACTIVITY_WALKING, 2025, 2, 8, 8, 8, {59910000000, 10750000000, 1995, 60}, 8, 15,
			false},
		{"half_marathon_2025", ACTIVITY_RUNNING, 2025, 2, 16, 7, 8, {41980000000, 2820000000, 1345, 60}, 10, 21,
			false},
		{"tokyo_marathon_2025", ACTIVITY_RUNNING, 2025, 3, 1, 23, 9, {35680000000, 139750000000, 1231, 540}, 15,
			42, true},
		{"paris_roubaix_challenge_2025", ACTIVITY_CYCLING, 2025, 4, 12, 5, 12,
			{50450000000, 3300000000, 1571, 60}, 60, 145, true},
		{"zurich_marathon_2025", ACTIVITY_RUNNING, 2025, 4, 13, 6, 7, {47330000000, 8570000000, 1475, 60}, 18,
			42, true},
		{"boston_marathon_2025", ACTIVITY_RUNNING, 2025, 4, 21, 12, 10, {42289000000, -71300000000, 1352, -300},
			35, 42, true},
		{"london_marathon_2025", ACTIVITY_RUNNING, 2025, 4, 27, 7, 12, {51495000000, -70000000, 1606, 0}, 16,
			42, true},
		{"etape_du_tour_2025", ACTIVITY_CYCLING, 2025, 7, 20, 4, 13, {45670000000, 6550000000, 1431, 60}, 60,
			131, true},
		{"berlin_marathon_2025", ACTIVITY_RUNNING, 2025, 9, 21, 7, 8, {52500000000, 13360000000, 1643, 60}, 14,
			42, true},
		{"chicago_marathon_2025", ACTIVITY_RUNNING, 2025, 10, 12, 12, 9,
			{41890000000, -87640000000, 1343, -360}, 15, 42, true},
	};
	return &races[index];
}

const struct athlete_device *athlete_device_at(unsigned index)
{
	static const struct athlete_device devices[ATHLETE_DEVICES] = {
		{"garmin", "watch", true, true, true},
		{"polar", "watch", true, false, false},
		{"coros", "watch", true, true, true},
		{"suunto", "watch", true, false, false},
		{"apple_health", "watch", true, false, true},
		{"whoop", "band", false, false, true},
		{"fitbit", "band", false, false, true},
		{"polar", "chest_strap", false, false, false},
		{"garmin", "bike_computer", true, true, false},
		{"wahoo", "bike_computer", true, true, false},
		{"hammerhead", "bike_computer", true, true, false},
	};
	return &devices[index];
}

char *athlete_put_id(char *out, uint32_t athlete)
{
	out = GEN_PUT(out, "athlete-");
	return gen_put_padded(out, (uint64_t)athlete + 1, 6);
}

static struct weir_rng draw(const struct athletes *self, uint32_t athlete, uint32_t purpose, uint32_t day)
{
	return weir_rng_fork(self->seed ^ (uint64_t)purpose << 56, weir_mix64(athlete + 1) ^ (uint64_t)day);
}

static struct profile draw_profile(const struct athletes *self, uint32_t athlete)
{
	static const uint8_t weights[ACTIVITY_COUNT] = {36, 24, 7, 14, 6, 4, 9};
	struct weir_rng rng = draw(self, athlete, DRAW_PROFILE, 0);
	struct profile profile = {.body = body_draw(&rng)};
	const struct place *town = place_at((unsigned)weir_rng_below(&rng, PLACES));
	profile.home = place_moved(town, gen_noise(&rng, 4000000), gen_noise(&rng, 4000000));
	profile.first = gen_weighted(&rng, weights, ACTIVITY_COUNT, 100);
	profile.second = gen_weighted(&rng, weights, ACTIVITY_COUNT, 100);
	if (gen_percent(&rng, 72))
		profile.device = (uint8_t)weir_rng_below(&rng, ATHLETE_WATCHES);
	else
		profile.device = (uint8_t)(ATHLETE_WATCHES + weir_rng_below(&rng, ATHLETE_BANDS));
	profile.bicycle_device = profile.device;
	if (gen_percent(&rng, 60))
		profile.bicycle_device =
			(uint8_t)(ATHLETE_WATCHES + ATHLETE_BANDS + weir_rng_below(&rng, ATHLETE_BICYCLE_COMPUTERS));
	profile.cuff = gen_percent(&rng, 8);
	return profile;
}

/* ---- when ---- */

/* The race of a day, or ATHLETE_RACES. */
static unsigned race_on(int32_t day)
{
	unsigned i = 0;
	while (i < ATHLETE_RACES) {
		const struct athlete_race *race = athlete_race_at(i);
		if (weir_day_from_civil(race->year, race->month, race->day) == day)
			break;
		i++;
	}
	return i;
}

/* The sessions that an athlete has in mind for a day: 32 fraction bits. Weekends have more, some athletes too. */
static uint64_t sessions_wanted(const struct athletes *self, uint32_t athlete, uint32_t day)
{
	uint64_t hash = weir_mix64(self->seed ^ weir_mix64(((uint64_t)DRAW_HABIT << 32) + athlete));
	uint64_t habit = 400 + (hash >> 32) * 1200 / (1ULL << 32);
	unsigned weekday = (unsigned)(self->start_day + (int32_t)day + 4) % 7; /* 0: Sunday */
	return self->sessions_a_day * habit / 1000 * (weekday == 0 || weekday == 6 ? 1250 : 900) / 1000;
}

struct day_plan {
	unsigned count;
	unsigned race; /* below ATHLETE_RACES: the race, and then it is the only session */
};

static struct day_plan plan_day(const struct athletes *self, uint32_t athlete, uint32_t day, struct weir_rng *rng)
{
	uint64_t wanted = sessions_wanted(self, athlete, day);
	struct day_plan plan = {.count = (unsigned)(wanted >> 32), .race = ATHLETE_RACES};
	plan.count += weir_rng_next(rng) >> 32 < (wanted & UINT32_MAX);
	if (plan.count > SESSIONS_A_DAY)
		plan.count = SESSIONS_A_DAY;
	uint64_t dice = weir_rng_next(rng) >> 32;
	unsigned race = race_on(self->start_day + (int32_t)day);
	if (race == ATHLETE_RACES || dice >= wanted || dice >= (uint64_t)RACERS_PERMILLE * UINT32_MAX / 1000)
		return plan;
	struct profile profile = draw_profile(self, athlete);
	enum athlete_activity activity = athlete_race_at(race)->activity;
	if (profile.first == activity || profile.second == activity)
		plan = (struct day_plan){1, race};
	return plan;
}

/* When a session begins: early or late in the athlete's day where there is one, in turns where there are more. */
static int64_t session_start_us(
	const struct athletes *self, uint32_t athlete, uint32_t day, uint32_t number, struct day_plan plan)
{
	struct weir_rng rng = draw(self, athlete, DRAW_START, day << 3 | number);
	int64_t start_us =
		(self->start_day + (int64_t)day) * WEIR_US_PER_DAY + (int64_t)weir_rng_below(&rng, 60000) * 1000;
	if (plan.race < ATHLETE_RACES)
		return start_us + athlete_race_at(plan.race)->hour * WEIR_US_PER_HOUR +
			gen_between(&rng, 1, 15) * WEIR_US_PER_MINUTE;
	int32_t minute = gen_percent(&rng, 45) ? 6 * 60 + gen_noise(&rng, 50) : 18 * 60 + gen_noise(&rng, 70);
	if (plan.count > 1)
		minute = 330 + 960 * (int32_t)number / (int32_t)plan.count + gen_between(&rng, 0, 150);
	minute = (minute - draw_profile(self, athlete).home.zone_minutes + 2 * 1440) % 1440;
	return start_us + minute * WEIR_US_PER_MINUTE;
}

/* The athlete's next entry of the heap, from the number-th session of a day on; false where there is none any more. */
static bool next_entry(const struct athletes *self, uint32_t athlete, uint32_t day, uint32_t number,
	int64_t not_before_us, struct gen_arrival *ret_entry)
{
	uint32_t last = day + LOOK_AHEAD_DAYS;
	for (; day < last; day++, number = 0) {
		if (day >= LAST_DAY || (self->days > 0 && day >= self->days))
			return false;
		struct weir_rng rng = draw(self, athlete, DRAW_DAY, day);
		struct day_plan plan = plan_day(self, athlete, day, &rng);
		if (number >= plan.count)
			continue;
		int64_t start_us = session_start_us(self, athlete, day, number, plan);
		*ret_entry = (struct gen_arrival){
			start_us > not_before_us ? start_us : not_before_us, athlete, day << 3 | number};
		return true;
	}
	int64_t day_us = (self->start_day + (int64_t)day) * WEIR_US_PER_DAY;
	*ret_entry =
		(struct gen_arrival){day_us > not_before_us ? day_us : not_before_us, athlete, day << 3 | TAG_LOOK};
	return true;
}

/* ---- what ---- */

static int32_t draw_minutes(enum athlete_activity activity, struct weir_rng *rng)
{
	static const uint8_t means[ACTIVITY_COUNT] = {45, 85, 40, 50, 130, 40, 50};
	int32_t mean = means[activity];
	return gen_clamp(mean + gen_noise(rng, mean * 3 / 10), 15, 300);
}

static void begin_race(struct session *session, const struct athlete_race *race)
{
	session->names_race = !race->looked_up || gen_percent(&session->rng, 40);
	session->route = route_around(&race->centre, race->course_km * 1000000LL, 9000 * race->month);
	int64_t mm_s = effort_mean_mm_s(&session->body, race->activity, 900);
	session->effort = effort_begin(&session->body, race->activity, EFFORT_RACE,
		(int32_t)(race->course_km * 1000000000LL / (mm_s > 300 ? mm_s : 300)), &session->rng);
}

static void begin_training(struct session *session, const struct profile *profile)
{
	static const uint8_t shapes[EFFORT_SHAPES] = {60, 25, 15, 0};
	struct weir_rng *rng = &session->rng;
	enum athlete_activity activity = gen_percent(rng, 70) ? profile->first : profile->second;
	enum effort_shape shape = gen_weighted(rng, shapes, EFFORT_SHAPES, 100);
	int32_t minutes = draw_minutes(activity, rng);
	session->effort =
		effort_begin(&session->body, activity, shape, minutes * 60000 + gen_between(rng, 0, 59999), rng);
	int64_t length_mm = (int64_t)effort_mean_mm_s(&session->body, activity, session->effort.base) * minutes * 60;
	session->route = route_loop(&profile->home, length_mm, gen_between(rng, 1, 3), rng);
}

static uint32_t take_slot(struct athletes *self)
{
	uint32_t slot = self->free_slot;
	if (slot != UINT32_MAX) {
		self->free_slot = self->sessions[slot].next_free;
		return slot;
	}
	WEIR_GROW(self->sessions, self->session_count, self->session_capacity);
	return (uint32_t)self->session_count++;
}

/* Makes the session of an entry whose time has come; returns the entry of its first point. */
static struct gen_arrival begin_session(struct athletes *self, const struct gen_arrival *entry)
{
	uint32_t slot = take_slot(self);
	struct session *session = &self->sessions[slot];
	uint32_t day = entry->tag >> 3;
	uint32_t number = entry->tag & 7;
	struct weir_rng day_rng = draw(self, entry->owner, DRAW_DAY, day);
	struct day_plan plan = plan_day(self, entry->owner, day, &day_rng);
	struct profile profile = draw_profile(self, entry->owner);
	*session = (struct session){.rng = draw(self, entry->owner, DRAW_SESSION, entry->tag),
		.body = profile.body,
		.start_us = entry->at_us,
		.athlete = entry->owner,
		.day = day,
		.number = number,
		.cuff = profile.cuff,
		.race = (uint8_t)plan.race};
	session->key[0] = weir_rng_next(&session->rng);
	session->key[1] = weir_rng_next(&session->rng);
	session->lag_ms = gen_between(&session->rng, 40, 400);
	if (plan.race < ATHLETE_RACES)
		begin_race(session, athlete_race_at(plan.race));
	else
		begin_training(session, &profile);
	session->device = session->effort.activity == ACTIVITY_CYCLING ? profile.bicycle_device : profile.device;
	int64_t first_us = session->start_us + (self->step_ms + session->lag_ms) * 1000LL;
	return (struct gen_arrival){first_us, entry->owner, TAG_RUNNING | slot};
}

static bool session_over(const struct session *session)
{
	if (session->race < ATHLETE_RACES) /* at the finish, or swept up */
		return session->route.done_mm >= session->route.length_mm ||
			session->elapsed_ms >= athlete_race_at(session->race)->hours * 3600000 - SWEEP_MS;
	return session->elapsed_ms >= session->effort.duration_ms;
}

/* The point at which the session stands. */
static void take_sample(const struct session *session, struct sample *ret_sample)
{
	const struct effort *effort = &session->effort;
	const struct athlete_device *device = athlete_device_at(session->device);
	enum athlete_activity activity = effort->activity;
	struct sample *sample = ret_sample;
	sample->head.time_us = session->start_us + session->elapsed_ms * 1000LL;
	sample->head.arrival_us = sample->head.time_us + session->lag_ms * 1000LL;
	sample->head.id[0] = weir_mix64(session->key[0] + session->points);
	sample->head.id[1] = weir_mix64(session->key[1] ^ session->points * 0x9e3779b97f4a7c15ULL);
	sample->head.subject = session->athlete;
	sample->activity = (uint8_t)activity;
	sample->device = session->device;
	sample->race = session->names_race ? session->race : ATHLETE_RACES;
	sample->gps = device->gps && activity != ACTIVITY_STRENGTH;
	sample->lat_micro = (int32_t)(session->route.lat_nano / 1000);
	sample->lon_micro = (int32_t)(session->route.lon_nano / 1000);
	sample->heart = effort->heart_mbpm / 1000;
	bool power = device->power &&
		(activity == ACTIVITY_CYCLING || activity == ACTIVITY_RUNNING || activity == ACTIVITY_ROWING);
	sample->watts = power ? effort->watts : -1;
	sample->mm_s = sample->gps ? effort->mm_s : -1;
	sample->cadence = activity == ACTIVITY_STRENGTH ? -1 : effort->cadence;
	sample->oxygen_permille = device->oxygen && session->points % OXYGEN_EVERY == 0 ? effort->oxygen_permille : -1;
	bool cuff = session->cuff && session->points % CUFF_EVERY == 0;
	int32_t strain = (effort->heart_mbpm / 1000 - session->body.resting_bpm) / 2;
	sample->systolic = cuff ? session->body.systolic + strain : -1;
	sample->diastolic = cuff ? session->body.diastolic + strain / 6 : -1;
}

static void advance(struct session *session, int32_t step_ms)
{
	effort_step(&session->effort, &session->body, session->elapsed_ms, step_ms, &session->rng);
	route_step(&session->route, (int64_t)session->effort.mm_s * step_ms / 1000, &session->rng);
	session->elapsed_ms += step_ms;
	session->points++;
}

/* After a session: the athlete's next entry takes its place in the heap. */
static void end_session(struct athletes *self, uint32_t slot)
{
	struct session *session = &self->sessions[slot];
	struct gen_arrival entry;
	int64_t end_us = session->start_us + session->elapsed_ms * 1000LL;
	bool more = next_entry(self, session->athlete, session->day, session->number + 1, end_us + REST_US, &entry);
	session->next_free = self->free_slot;
	self->free_slot = slot;
	if (more)
		gen_heap_replace_first(&self->heap, entry);
	else
		gen_heap_pop(&self->heap);
}

static bool athletes_next(void *context, union gen_any_record *ret_record)
{
	struct athletes *self = context;
	while (self->heap.count > 0) {
		struct gen_arrival first = self->heap.items[0];
		if (!(first.tag & TAG_RUNNING)) {
			struct gen_arrival entry;
			if ((first.tag & 7) != TAG_LOOK)
				entry = begin_session(self, &first);
			else if (!next_entry(self, first.owner, first.tag >> 3, 0, first.at_us, &entry)) {
				gen_heap_pop(&self->heap);
				continue;
			}
			gen_heap_replace_first(&self->heap, entry);
			continue;
		}
		uint32_t slot = first.tag & ~TAG_RUNNING;
		struct session *session = &self->sessions[slot];
		if (session_over(session)) {
			end_session(self, slot);
			continue;
		}
		struct sample *sample = (struct sample *)ret_record->bytes;
		advance(session, self->step_ms);
		take_sample(session, sample);
		int64_t next_us = sample->head.arrival_us + self->step_ms * 1000LL;
		gen_heap_replace_first(&self->heap, (struct gen_arrival){next_us, first.owner, first.tag});
		return true;
	}
	return false;
}

/* ---- opening ---- */

/* Interval and sessions so that the events fill the days. Multiplications and divisions only: the same doubles
 * everywhere. */
static void plan_density(struct athletes *self, const struct gen_options *options)
{
	double sessions = USUAL_SESSIONS_PERMILLE / 1000.0;
	double step_s = USUAL_STEP_S;
	if (options->events > 0) {
		double a_day = (double)options->events / ((double)options->subjects * options->days);
		step_s = sessions * MEAN_SESSION_S / a_day;
		step_s = step_s < 1 ? 1 : step_s > STEP_MAX_S ? STEP_MAX_S : (double)(int32_t)step_s;
		sessions = a_day * step_s / MEAN_SESSION_S;
	}
	double least = LEAST_SESSIONS_PERMILLE / 1000.0;
	sessions = sessions > SESSIONS_A_DAY ? SESSIONS_A_DAY : sessions < least ? least : sessions;
	self->step_ms = (int32_t)step_s * 1000;
	self->sessions_a_day = (uint64_t)(sessions * 0x1.0p32);
}

static void *athletes_open(const struct gen_options *options)
{
	struct athletes *self = weir_zalloc(sizeof *self);
	self->seed = options->seed;
	self->start_day = options->start_day;
	self->days = options->events > 0 ? 0 : options->days;
	self->free_slot = UINT32_MAX;
	plan_density(self, options);
	for (uint32_t athlete = 0; athlete < options->subjects; athlete++) {
		struct gen_arrival entry;
		if (next_entry(self, athlete, 0, 0, INT64_MIN, &entry))
			gen_heap_push(&self->heap, entry);
	}
	return self;
}

static void athletes_close(void *context)
{
	struct athletes *self = context;
	gen_heap_done(&self->heap);
	free(self->sessions);
	free(self);
}

/* ---- as text ---- */

static char *put_metric(char *out, struct weir_str name, int64_t value, unsigned decimals)
{
	if (out[-1] != '{')
		*out++ = ',';
	*out++ = '"';
	out = gen_put(out, name);
	*out++ = '"';
	*out++ = ':';
	return gen_put_decimal(out, value, decimals);
}

static char *put_metrics(char *out, const struct sample *sample)
{
	out = GEN_PUT(out, ",\"metrics\":{");
	out = put_metric(out, WEIR_STR("heart_rate"), sample->heart, 0);
	if (sample->watts >= 0)
		out = put_metric(out, WEIR_STR("power_watts"), sample->watts, 0);
	if (sample->mm_s >= 0)
		out = put_metric(out, WEIR_STR("speed"), sample->mm_s / 10, 2);
	if (sample->cadence >= 0)
		out = put_metric(out, WEIR_STR("cadence"), sample->cadence, 0);
	if (sample->gps) {
		out = put_metric(out, WEIR_STR("gps_lat"), sample->lat_micro, 6);
		out = put_metric(out, WEIR_STR("gps_lon"), sample->lon_micro, 6);
	}
	if (sample->oxygen_permille >= 0)
		out = put_metric(out, WEIR_STR("oxygen_sat"), sample->oxygen_permille, 1);
	if (sample->systolic >= 0) {
		out = put_metric(out, WEIR_STR("blood_pressure_sys"), sample->systolic, 0);
		out = put_metric(out, WEIR_STR("blood_pressure_dia"), sample->diastolic, 0);
	}
	*out++ = '}';
	return out;
}

static char *put_member(char *out, struct weir_str name, const char *value)
{
	*out++ = ',';
	*out++ = '"';
	out = gen_put(out, name);
	out = GEN_PUT(out, "\":\"");
	out = gen_put(out, weir_str_from(value));
	*out++ = '"';
	return out;
}

static char *put_timestamp(char *out, int64_t time_us, enum gen_fault fault)
{
	out = GEN_PUT(out, ",\"timestamp\":");
	if (fault == GEN_FAULT_NEGATIVE_TIME) {
		*out++ = '-';
		return gen_put_uint(out, (uint64_t)(time_us / 1000));
	}
	if (fault == GEN_FAULT_TEXT_TIME)
		return GEN_PUT(out, "\"yesterday morning\"");
	*out++ = '"';
	out = gen_put_time(out, time_us);
	if (fault == GEN_FAULT_LOCAL_TIME)
		out--; /* the zone */
	*out++ = '"';
	return out;
}

static char *athletes_write(const void *context, const union gen_any_record *record, enum gen_fault fault, char *out)
{
	const struct sample *sample = (const struct sample *)record->bytes;
	const struct athlete_device *device = athlete_device_at(sample->device);
	(void)context;
	out = GEN_PUT(out, "{\"event_id\":\"");
	char *id = out;
	out = gen_put_uuid(out, sample->head.id);
	if (fault == GEN_FAULT_ID)
		id[14] = 'x';
	*out++ = '"';
	if (fault != GEN_FAULT_NO_SUBJECT) {
		out = GEN_PUT(out, ",\"athlete_id\":\"");
		out = athlete_put_id(out, sample->head.subject);
		*out++ = '"';
	}
	out = put_timestamp(out, sample->head.time_us, fault);
	out = put_member(out, WEIR_STR("activity"), activity_name(sample->activity));
	if (sample->race < ATHLETE_RACES)
		out = put_member(out, WEIR_STR("event_context"), athlete_race_at(sample->race)->name);
	out = put_member(out, WEIR_STR("source"), device->source);
	out = put_member(out, WEIR_STR("device_type"), device->type);
	if (fault == GEN_FAULT_TYPE)
		out = GEN_PUT(out, ",\"metrics\":[\"heart_rate\",140]");
	else if (fault != GEN_FAULT_NO_BODY)
		out = put_metrics(out, sample);
	*out++ = '}';
	return out;
}

static void athletes_rules(const void *context, uint32_t subject, struct weir_buf *out)
{
	const struct athletes *self = context;
	athlete_rules(self->seed, self->start_day, subject, out);
}

static char *athletes_subject(const void *context, uint32_t subject, char *out)
{
	(void)context;
	return athlete_put_id(out, subject);
}

const struct gen_kind gen_athlete = {
	.lake = "athlete",
	.stream = "telemetry",
	.open = athletes_open,
	.close = athletes_close,
	.next = athletes_next,
	.write = athletes_write,
	.rules = athletes_rules,
	.subject = athletes_subject,
};
