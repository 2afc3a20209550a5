/*
 * Consent rules as athletes give them: a pool of some hundreds of templates, of which a few are chosen often, so that
 * many athletes share equal rules. About one in eight has no rule at all, one in six also a deny.
 */
#include "gen/athlete.h"

#include "base/json.h"

#define TEMPLATES         320u
#define TEMPLATE_SEED     0x77656972u /* the pool is the same for every seed */
#define NO_RULES_PERCENT  12u
#define DENY_PERCENT      16u
#define RACE_RULE_PERCENT 14u

enum { RESEARCH = 1, EDUCATION = 2, MARKETING = 4, COACHING = 8, PURPOSES = 4 };

static void put_values(struct weir_json *json, const char *const *values, unsigned count, const char *type)
{
	weir_json_key(json, "values");
	weir_json_array(json);
	for (unsigned i = 0; i < count; i++) {
		weir_json_object(json);
		weir_json_key_cstring(json, "value", values[i]);
		if (type != NULL)
			weir_json_key_cstring(json, "type", type);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

static void put_condition(
	struct weir_json *json, const char *name, const char *op, const char *const *values, unsigned count)
{
	weir_json_key(json, name);
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", op);
	put_values(json, values, count, NULL);
	weir_json_object_end(json);
}

static void put_purposes(struct weir_json *json, unsigned purposes)
{
	static const char *const names[PURPOSES] = {"research", "education", "marketing", "coaching"};
	const char *values[PURPOSES];
	unsigned count = 0;
	for (unsigned i = 0; i < PURPOSES; i++)
		if (purposes & 1u << i)
			values[count++] = names[i];
	put_condition(json, "purpose", count == 1 ? "EQUALS" : "IN", values, count);
}

static void put_time(struct weir_json *json, int32_t first_day, int32_t last_day)
{
	char texts[2][WEIR_TIME_TEXT];
	const char *values[2] = {texts[0], texts[1]};
	weir_date_format(first_day, texts[0]);
	weir_date_format(last_day, texts[1]);
	weir_json_key(json, "time");
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", "BETWEEN");
	put_values(json, values, 2, "date");
	weir_json_object_end(json);
}

static void put_metric(struct weir_json *json, const char *metric, const char *op, int32_t value)
{
	weir_json_key(json, "metric_conditions");
	weir_json_object(json);
	weir_json_key(json, metric);
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", op);
	weir_json_key_int(json, "value", value);
	weir_json_object_end(json);
	weir_json_object_end(json);
}

/* One to three activities, or all but one. */
static void put_activities(struct weir_json *json, struct weir_rng *rng)
{
	const char *values[3];
	unsigned count = 1 + (unsigned)weir_rng_below(rng, 3);
	unsigned first = (unsigned)weir_rng_below(rng, ACTIVITY_COUNT);
	for (unsigned i = 0; i < count; i++)
		values[i] = activity_name((enum athlete_activity)((first + 2 * i) % ACTIVITY_COUNT));
	if (gen_percent(rng, 12))
		put_condition(json, "activity", count == 1 ? "NOT_EQUALS" : "NOT_IN", values, count);
	else
		put_condition(json, "activity", count == 1 ? "EQUALS" : "IN", values, count);
}

static void put_metric_of(struct weir_json *json, struct weir_rng *rng)
{
	switch (weir_rng_below(rng, 5)) {
	case 0:
		put_metric(json, "power_watts", "LE", 50 * gen_between(rng, 3, 7));
		break;
	case 1:
		put_metric(json, "oxygen_sat", "GE", gen_between(rng, 90, 96));
		break;
	case 2:
		put_metric(json, "cadence", "GT", 10 * gen_between(rng, 3, 16));
		break;
	default:
		put_metric(json, "heart_rate", gen_percent(rng, 80) ? "LT" : "GE", 5 * gen_between(rng, 19, 34));
	}
}

static void begin_rule(struct weir_json *json, uint32_t athlete, const char *rule_id, const char *effect)
{
	char id[32];
	char *end = athlete_put_id(id, athlete);
	weir_json_object(json);
	weir_json_key_string(json, "userId", (struct weir_str){id, (size_t)(end - id)});
	weir_json_key_cstring(json, "ruleId", rule_id);
	weir_json_key_cstring(json, "effect", effect);
	weir_json_key(json, "dimensions");
	weir_json_object(json);
}

static void end_rule(struct weir_json *json)
{
	weir_json_object_end(json);
	weir_json_object_end(json);
	weir_buf_putc(json->out, '\n');
}

/* The template's permit: what it says depends on nothing but its number and the start. */
static void put_template(struct weir_json *json, unsigned template, int32_t start_day)
{
	static const uint8_t purposes[] = {RESEARCH, RESEARCH | EDUCATION, RESEARCH | COACHING, COACHING,
		RESEARCH | EDUCATION | COACHING, MARKETING | COACHING, RESEARCH | MARKETING, EDUCATION,
		RESEARCH | EDUCATION | MARKETING | COACHING};
	struct weir_rng rng = weir_rng_fork(TEMPLATE_SEED, template);
	put_purposes(json, purposes[weir_rng_below(&rng, sizeof purposes)]);
	if (template <8) /* the commonest ones restrict nothing more */
		return;
	bool by_activity = gen_percent(&rng, 55);
	bool by_race = !by_activity && gen_percent(&rng, 15);
	if (by_activity)
		put_activities(json, &rng);
	if (by_race) {
		const char *race = athlete_race_at((unsigned)weir_rng_below(&rng, ATHLETE_RACES))->name;
		put_condition(json, "event_context", "EQUALS", &race, 1);
	}
	if (gen_percent(&rng, 40)) {
		int32_t first = start_day + gen_between(&rng, -60, 5);
		put_time(json, first, start_day + gen_between(&rng, 6, 360));
	}
	if (gen_percent(&rng, 35))
		put_metric_of(json, &rng);
	if (gen_percent(&rng, 8)) {
		const char *source = athlete_device_at((unsigned)weir_rng_below(&rng, ATHLETE_DEVICES))->source;
		put_condition(json, "source", "NOT_EQUALS", &source, 1);
	}
}

static void put_deny(struct weir_json *json, uint32_t athlete, int32_t start_day, struct weir_rng *rng)
{
	const char *race = athlete_race_at((unsigned)weir_rng_below(rng, ATHLETE_RACES))->name;
	const char *activity = activity_name((enum athlete_activity)weir_rng_below(rng, ACTIVITY_COUNT));
	begin_rule(json, athlete, "never", "deny");
	switch (weir_rng_below(rng, 4)) {
	case 0: /* no advertising at all */
		put_purposes(json, MARKETING);
		break;
	case 1: /* nobody sees that race */
		put_condition(json, "event_context", "EQUALS", &race, 1);
		break;
	case 2: /* nor that holiday */
		put_time(json, start_day + gen_between(rng, 0, 3), start_day + gen_between(rng, 3, 20));
		break;
	default:
		put_purposes(json, EDUCATION | MARKETING);
		put_condition(json, "activity", "EQUALS", &activity, 1);
	}
	end_rule(json);
}

void athlete_rules(uint64_t seed, int32_t start_day, uint32_t athlete, struct weir_buf *out)
{
	struct weir_rng rng = weir_rng_fork(seed ^ 0x72756c65, athlete);
	struct weir_json json = weir_json_to(out);
	if (gen_percent(&rng, NO_RULES_PERCENT))
		return;
	/* Small template numbers are the common ones. */
	unsigned template = (unsigned)gen_skewed(&rng, TEMPLATES);
	begin_rule(&json, athlete, "default", "permit");
	put_template(&json, template, start_day);
	end_rule(&json);
	if (gen_percent(&rng, RACE_RULE_PERCENT)) { /* what others may not see of training, they may see of races */
		const char *races[2] = {
			athlete_race_at(0)->name, athlete_race_at((unsigned)(1 + weir_rng_below(&rng, 8)))->name};
		json = weir_json_to(out);
		begin_rule(&json, athlete, "races", "permit");
		put_purposes(&json, RESEARCH | EDUCATION | (gen_percent(&rng, 30) ? MARKETING : 0));
		put_condition(&json, "event_context", "IN", races, 2);
		end_rule(&json);
	}
	json = weir_json_to(out);
	if (gen_percent(&rng, DENY_PERCENT))
		put_deny(&json, athlete, start_day, &rng);
}
