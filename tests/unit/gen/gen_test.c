/*
 * The generators: the same bytes from the same seed, order of arrival, the rates asked for, events that hold what a
 * schema wants (and bad ones that do not), rules that are rules, bodies and routes that are possible.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/os.h"
#include "base/time.h"
#include "base/uuid.h"
#include "gen/athlete.h"
#include "gen/gen.h"

static uint64_t test_seed(void)
{
	const char *text = getenv("WEIR_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20250201;
	print_message("WEIR_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static struct gen *open_kind(const char *lake, struct gen_options options)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct gen *gen = NULL;
	const struct gen_kind *kind = gen_find(weir_str_from(lake));
	assert_non_null(kind);
	assert_int_equal(gen_open(kind, &options, &gen, &err), 0);
	return gen;
}

static void finds_kinds(void **state)
{
	(void)state;
	for (const char *const *name = gen_names(); *name != NULL; name++)
		assert_non_null(gen_find(weir_str_from(*name)));
	assert_null(gen_find(WEIR_STR("atlantis")));
	assert_string_equal(gen_stream(gen_find(WEIR_STR("athlete"))), "telemetry");
	assert_string_equal(gen_stream(gen_find(WEIR_STR("shop"))), "visits");
}

static void refuses_options_out_of_bounds(void **state)
{
	(void)state;
	struct gen_options good = gen_options_default();
	struct gen_options cases[8] = {good, good, good, good, good, good, good, good};
	cases[0].subjects = 0;
	cases[1].subjects = GEN_SUBJECTS_MAX + 1ULL;
	cases[2].days = 0;
	cases[3].days = GEN_DAYS_MAX + 1;
	cases[4].start_day = 0;
	cases[5].duplicates = -0.1;
	cases[6].late = 0.0 / (double)(good.days - 7); /* not a number */
	cases[7].bad = 0.89;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct gen *gen = NULL;
		assert_int_equal(gen_open(gen_find(WEIR_STR("athlete")), &cases[i], &gen, &err), WEIR_E_INPUT);
		assert_null(gen);
		assert_true(err.message[0] != '\0');
	}
}

/* ---- the same bytes ---- */

static uint64_t hash_of(const char *lake, uint64_t seed, size_t bytes)
{
	struct gen_options options = gen_options_default();
	struct weir_buf out = WEIR_BUF_INIT;
	options.seed = seed;
	options.events = 20000;
	struct gen *gen = open_kind(lake, options);
	for (uint64_t i = 0; i < gen_subjects(gen); i++)
		gen_rules(gen, i, &out);
	while (out.size < bytes && gen_next(gen, &out, NULL))
		;
	assert_true(out.size >= bytes);
	uint64_t hash = weir_hash64(out.data, bytes);
	weir_buf_done(&out);
	gen_close(gen);
	return hash;
}

static void one_seed_gives_the_same_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *lake;
		uint64_t seed, hash;
	} cases[] = {
		/* Whoever changes what a seed gives changes these, and says so in the change log. */
		{"athlete", 1, 0xb8740ddc0301ee27},
		{"athlete", 7, 0x3e6ce1a2e878c031},
		{"shop", 1, 0x7ed907748d63d157},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t hash = hash_of(cases[i].lake, cases[i].seed, 1 << 20);
		print_message("%s, seed %llu: 0x%016llx\n", cases[i].lake, (unsigned long long)cases[i].seed,
			(unsigned long long)hash);
		assert_int_equal(hash, cases[i].hash);
	}
}

/* ---- what a schema would accept: written here anew, so that it cannot share a mistake with the generator ---- */

struct shape {
	const char *lake, *id, *subject, *time, *body;
};
static const struct shape shapes[] = {
	{"athlete", "event_id", "athlete_id", "timestamp", "metrics"},
	{"shop", "visit_id", "customer_id", "visited_at", NULL},
};

static bool is_text(const json_t *value)
{
	return json_is_string(value) && json_string_length(value) > 0;
}

static bool accepted(const struct shape *shape, const json_t *event)
{
	struct weir_uuid uuid;
	int64_t time_us;
	const json_t *time = json_object_get(event, shape->time);
	const json_t *id = json_object_get(event, shape->id);
	const json_t *amount = json_object_get(event, "amount");
	if (!is_text(id) || !weir_uuid_parse(weir_str_from(json_string_value(id)), &uuid))
		return false;
	if (!is_text(json_object_get(event, shape->subject)))
		return false;
	if (shape->body != NULL && !json_is_object(json_object_get(event, shape->body)))
		return false;
	if (shape->body == NULL &&
		(!is_text(json_object_get(event, "page")) || (amount != NULL && !json_is_number(amount))))
		return false;
	return is_text(time) && weir_time_parse(weir_str_from(json_string_value(time)), WEIR_ZONE_REQUIRED, &time_us);
}

static void check_range(const json_t *metrics, const char *name, double least, double most)
{
	const json_t *value = json_object_get(metrics, name);
	if (value == NULL)
		return;
	assert_true(json_is_number(value));
	if (json_number_value(value) < least || json_number_value(value) > most)
		fail_msg("%s is %g, not from %g to %g", name, json_number_value(value), least, most);
}

/* An event that names its race lies within the race's circle (a square around it, to be simple). */
static void check_race(const json_t *event, const json_t *metrics)
{
	const json_t *context = json_object_get(event, "event_context");
	const json_t *lat = json_object_get(metrics, "gps_lat");
	if (context == NULL || lat == NULL)
		return;
	for (unsigned i = 0; i < ATHLETE_RACES; i++) {
		const struct athlete_race *race = athlete_race_at(i);
		if (strcmp(json_string_value(context), race->name) != 0)
			continue;
		double away_km = (json_number_value(lat) - (double)race->centre.lat_nano / 1e9) * 111.2;
		double lon = json_number_value(json_object_get(metrics, "gps_lon"));
		double east_km =
			(lon - (double)race->centre.lon_nano / 1e9) * 111.2 * 1000 / race->centre.meridian_permille;
		if (away_km * away_km + east_km * east_km > (double)race->radius_km * race->radius_km)
			fail_msg("%s: a point %g km north and %g km east of its centre", race->name, away_km, east_km);
		assert_string_equal(
			json_string_value(json_object_get(event, "activity")), activity_name(race->activity));
		return;
	}
	fail_msg("no race is called %s", json_string_value(context));
}

static void check_athlete(const json_t *event)
{
	const json_t *metrics = json_object_get(event, "metrics");
	check_range(metrics, "heart_rate", 38, 215);
	check_range(metrics, "power_watts", 0, 1999);
	check_range(metrics, "speed", 0, 25);
	check_range(metrics, "cadence", 0, 220);
	check_range(metrics, "gps_lat", -90, 90);
	check_range(metrics, "gps_lon", -180, 180);
	check_range(metrics, "oxygen_sat", 85, 100);
	check_range(metrics, "blood_pressure_sys", 80, 250);
	check_range(metrics, "blood_pressure_dia", 40, 130);
	check_race(event, metrics);
}

/* ---- one run, line by line ---- */

struct seen {
	uint64_t *hashes; /* of lines, 0: free */
	size_t capacity, count;
};

static bool seen_before(struct seen *seen, uint64_t hash)
{
	size_t at = hash % seen->capacity;
	while (seen->hashes[at] != 0) {
		if (seen->hashes[at] == hash)
			return true;
		at = (at + 1) % seen->capacity;
	}
	assert_true(++seen->count < seen->capacity);
	seen->hashes[at] = hash;
	return false;
}

static void check_line(
	const struct shape *shape, struct seen *seen, struct weir_str line, const struct gen_event *event)
{
	json_error_t error;
	json_t *json = json_loadb(line.data, line.size, 0, &error);
	bool good = json != NULL && accepted(shape, json);
	if (good != (event->class != GEN_BAD))
		fail_msg("class %d: %.*s", event->class, WEIR_STR_ARG(line));
	bool repeated = seen_before(seen, weir_hash64(line.data, line.size) | 1);
	assert_int_equal(repeated, event->class == GEN_DUPLICATE);
	if (good && strcmp(shape->lake, "athlete") == 0)
		check_athlete(json);
	json_decref(json);
	int64_t delay_us = event->arrival_us - event->time_us;
	if (event->class == GEN_LATE)
		assert_true(delay_us >= 2 * WEIR_US_PER_MINUTE);
	else if (event->class != GEN_DUPLICATE)
		assert_in_range(delay_us, 0, 5 * WEIR_US_PER_SECOND);
}

static void run_shape(const struct shape *shape)
{
	struct gen_options options = gen_options_default();
	struct seen seen = {.capacity = 400009};
	uint64_t counts[GEN_CLASSES] = {0};
	uint64_t total = 0;
	int64_t last_us = INT64_MIN;
	struct gen_event event;
	struct weir_buf out = WEIR_BUF_INIT;
	options.subjects = 300;
	options.events = 200000;
	options.days = 3;
	options.seed = test_seed();
	options.duplicates = 0.03;
	options.late = 0.05;
	options.bad = 0.01;
	seen.hashes = weir_zalloc(seen.capacity * sizeof *seen.hashes);
	struct gen *gen = open_kind(shape->lake, options);
	while (gen_next(gen, &out, &event)) {
		assert_true(out.size > 1 && out.data[out.size - 1] == '\n');
		assert_true(event.arrival_us >= last_us && event.subject < options.subjects);
		check_line(shape, &seen, (struct weir_str){out.data, out.size - 1}, &event);
		last_us = event.arrival_us;
		counts[event.class]++;
		total++;
		out.size = 0;
	}
	assert_int_equal(total, options.events);
	double expected[GEN_CLASSES] = {
		[GEN_LATE] = options.late, [GEN_DUPLICATE] = options.duplicates, [GEN_BAD] = options.bad};
	for (int class = GEN_LATE; class < GEN_CLASSES; class ++) {
		double share = (double)counts[class] / (double)total;
		print_message(
			"%s: class %d is %.4f of all, %.4f asked for\n", shape->lake, class, share, expected[class]);
		assert_true(share > expected[class] * 0.85 && share < expected[class] * 1.15);
	}
	weir_buf_done(&out);
	gen_close(gen);
	free(seen.hashes);
}

static void athlete_events_are_as_asked(void **state)
{
	(void)state;
	run_shape(&shapes[0]);
}

static void shop_events_are_as_asked(void **state)
{
	(void)state;
	run_shape(&shapes[1]);
}

static void undisturbed_days_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct gen_options options = gen_options_default();
		struct weir_buf out = WEIR_BUF_INIT;
		struct gen_event event;
		uint64_t count = 0;
		int64_t begin_us = options.start_day * WEIR_US_PER_DAY;
		options.subjects = 20;
		options.days = 2;
		options.duplicates = options.late = options.bad = 0;
		struct gen *gen = open_kind(shapes[i].lake, options);
		while (gen_next(gen, &out, &event)) {
			assert_int_equal(event.class, GEN_ON_TIME);
			assert_in_range(event.time_us, begin_us - WEIR_US_PER_DAY / 2, begin_us + 3 * WEIR_US_PER_DAY);
			count++;
			out.size = 0;
		}
		assert_true(count > 50);
		assert_false(gen_next(gen, &out, &event));
		weir_buf_done(&out);
		gen_close(gen);
	}
}

/* ---- rules ---- */

static void check_rule(const json_t *rule, const char *subject)
{
	static const char operators[] = " IN NOT_IN EQUALS NOT_EQUALS BETWEEN LT LE GT GE ";
	const json_t *dimensions = json_object_get(rule, "dimensions");
	const char *effect = json_string_value(json_object_get(rule, "effect"));
	const char *name;
	json_t *condition;
	assert_string_equal(json_string_value(json_object_get(rule, "userId")), subject);
	assert_true(is_text(json_object_get(rule, "ruleId")));
	assert_true(strcmp(effect, "permit") == 0 || strcmp(effect, "deny") == 0);
	assert_true(strcmp(effect, "deny") == 0 || json_is_object(json_object_get(dimensions, "purpose")));
	assert_true(json_object_size(dimensions) > 0);
	json_object_foreach((json_t *)(uintptr_t)dimensions, name, condition)
	{
		const json_t *inner = condition;
		if (strcmp(name, "metric_conditions") == 0)
			inner = json_object_iter_value(json_object_iter(condition));
		const char *op = json_string_value(json_object_get(inner, "operator"));
		assert_non_null(op);
		assert_non_null(strstr(operators, op));
		const json_t *values = json_object_get(inner, "values");
		if (strcmp(op, "BETWEEN") == 0) {
			assert_int_equal(json_array_size(values), 2);
			const char *low = json_string_value(json_object_get(json_array_get(values, 0), "value"));
			const char *high = json_string_value(json_object_get(json_array_get(values, 1), "value"));
			assert_true(strcmp(low, high) <= 0);
		} else if (values != NULL) {
			assert_true(json_array_size(values) >= 1);
		}
	}
}

static void rules_are_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct gen_options options = gen_options_default();
		unsigned without = 0, denies = 0;
		options.subjects = 2000;
		options.seed = test_seed();
		struct gen *gen = open_kind(shapes[i].lake, options);
		for (uint64_t subject = 0; subject < options.subjects; subject++) {
			struct weir_buf out = WEIR_BUF_INIT;
			struct weir_buf id = WEIR_BUF_INIT;
			gen_subject_id(gen, subject, &id);
			gen_rules(gen, subject, &out);
			without += out.size == 0;
			for (char *line = weir_buf_cstr(&out), *end; *line != '\0'; line = end + 1) {
				end = strchr(line, '\n');
				json_t *rule = json_loadb(line, (size_t)(end - line), 0, NULL);
				assert_non_null(rule);
				check_rule(rule, weir_buf_cstr(&id));
				denies += strcmp(json_string_value(json_object_get(rule, "effect")), "deny") == 0;
				json_decref(rule);
			}
			weir_buf_done(&out);
			weir_buf_done(&id);
		}
		assert_in_range(without, 100, 600);
		assert_in_range(denies, 100, 700);
		gen_close(gen);
	}
}

/* ---- routes and bodies ---- */

static int64_t distance_mm(const struct route *route, const struct place *from)
{
	int64_t north = (route->lat_nano - from->lat_nano) * 1000 / 8993;
	int64_t east = (route->lon_nano - from->lon_nano) * 1000 / from->meridian_permille * 1000 / 8993;
	north = north < 0 ? -north : north;
	east = east < 0 ? -east : east;
	return north > east ? north + east * 2 / 5 : east + north * 2 / 5; /* within a few per cent of the root */
}

static void loops_close(void **state)
{
	(void)state;
	struct weir_rng rng = weir_rng_new(test_seed());
	for (unsigned i = 0; i < 60; i++) {
		const struct place *place = place_at(i % PLACES);
		int64_t length_mm = 1000000LL * gen_between(&rng, 3, 60);
		struct route loop = route_loop(place, length_mm, gen_between(&rng, 1, 3), &rng);
		struct route circle = route_around(place, length_mm, gen_between(&rng, 0, ROUTE_TURN - 1));
		int64_t farthest_mm = 0;
		for (unsigned step = 0; step < 1000; step++) {
			route_step(&loop, length_mm / 1000, &rng);
			route_step(&circle, length_mm / 1000, &rng);
			int64_t away_mm = distance_mm(&loop, place);
			farthest_mm = away_mm > farthest_mm ? away_mm : farthest_mm;
			assert_in_range(distance_mm(&circle, place), length_mm / 10, length_mm / 4);
			assert_true(loop.done_mm <= length_mm);
		}
		assert_true(distance_mm(&loop, place) < length_mm / 300 + 8000);
		assert_true(farthest_mm > length_mm / 20);
	}
}

static void hearts_follow_the_effort(void **state)
{
	(void)state;
	struct weir_rng rng = weir_rng_new(test_seed());
	for (unsigned i = 0; i < 200; i++) {
		struct body body = body_draw(&rng);
		enum effort_shape shape = (enum effort_shape)(i % EFFORT_SHAPES);
		struct effort effort =
			effort_begin(&body, (enum athlete_activity)(i % ACTIVITY_COUNT), shape, 3600000, &rng);
		int64_t early = 0, middle = 0;
		assert_true(body.resting_bpm >= 36 && body.max_bpm > body.resting_bpm + 60);
		for (int32_t ms = 0; ms < 3600000; ms += 5000) {
			effort_step(&effort, &body, ms, 5000, &rng);
			assert_in_range(effort.heart_mbpm, body.resting_bpm * 1000, body.max_bpm * 1000);
			early += ms < 60000 ? effort.heart_mbpm / 12 : 0;
			middle += ms >= 1800000 && ms < 1860000 ? effort.heart_mbpm / 12 : 0;
		}
		if (shape == EFFORT_RACE || shape == EFFORT_STEADY)
			assert_true(middle > early);
	}
}

/* The rows of the lake's lookup, so that what is looked up is what the generator meant. */
static void races_agree_with_the_lookup(void **state)
{
	(void)state;
	char *csv = NULL;
	size_t size = 0;
	struct weir_error err = WEIR_ERROR_INIT;
	const char *path = "lakes/athlete/lookups/events.csv";
	assert_int_equal(weir_os_read_all(weir_os_real(), path, 1 << 20, &csv, &size, &err), 0);
	for (unsigned i = 0; i < ATHLETE_RACES; i++) {
		const struct athlete_race *race = athlete_race_at(i);
		char name[64], activity[64], starts[32], ends[32];
		double lat, lon, radius;
		int64_t starts_us, ends_us;
		const char *row = strstr(csv, race->name);
		assert_int_equal(row != NULL && row[strlen(race->name)] == ',' && row[-1] == '\n', race->looked_up);
		if (!race->looked_up)
			continue;
		assert_int_equal(sscanf(row, "%63[^,],%63[^,],%31[^,],%31[^,],%lf,%lf,%lf", name, activity, starts,
					 ends, &lat, &lon, &radius),
			7);
		int64_t from_us = weir_day_from_civil(race->year, race->month, race->day) * WEIR_US_PER_DAY +
			race->hour * WEIR_US_PER_HOUR;
		assert_string_equal(activity, activity_name(race->activity));
		assert_true(
			weir_time_parse(weir_str_from(starts), WEIR_ZONE_REQUIRED, &starts_us) && starts_us <= from_us);
		assert_true(weir_time_parse(weir_str_from(ends), WEIR_ZONE_REQUIRED, &ends_us));
		assert_true(from_us + race->hours * WEIR_US_PER_HOUR <= ends_us);
		assert_true(race->radius_km <= radius && race->course_km * 13 < race->radius_km * 62);
		assert_true((int64_t)(lat * 1e6 + (lat < 0 ? -0.5 : 0.5)) == race->centre.lat_nano / 1000);
		assert_true((int64_t)(lon * 1e6 + (lon < 0 ? -0.5 : 0.5)) == race->centre.lon_nano / 1000);
	}
	free(csv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_kinds),
		cmocka_unit_test(refuses_options_out_of_bounds),
		cmocka_unit_test(one_seed_gives_the_same_bytes),
		cmocka_unit_test(athlete_events_are_as_asked),
		cmocka_unit_test(shop_events_are_as_asked),
		cmocka_unit_test(undisturbed_days_end),
		cmocka_unit_test(rules_are_rules),
		cmocka_unit_test(loops_close),
		cmocka_unit_test(races_agree_with_the_lookup),
		cmocka_unit_test(hearts_follow_the_effort),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
