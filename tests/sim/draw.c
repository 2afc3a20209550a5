/* Events and rules from a seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/uuid.h"
#include "sim/world.h"

static const char *const pages[] = {
	"/shoes/trail", "/shoes/road", "/jackets/rain", "/watches/gps", "/checkout", "/unknown"};
static const char *const categories[] = {"shoes", "clothing", "electronics", "checkout", "books"};

static const char *pick(struct weir_rng *rng, const char *const *of, size_t count)
{
	return of[weir_rng_below(rng, count)];
}

void world_subject(struct weir_rng *rng, char *name)
{
	snprintf(name, 16, "customer-%u", (unsigned)weir_rng_below(rng, WORLD_SUBJECTS));
}

static char *draw_bad(struct weir_rng *rng)
{
	static const char *const bad[] = {
		"{\"visit_id\":\"not a "
		"uuid\",\"customer_id\":\"customer-1\",\"visited_at\":\"2025-02-01T08:00:00Z\",\"page\":\"/\"}",
		"{\"visit_id\":\"7b0e5d3c-92a4-4c4d-8f5a-2f4f5a6b7c8d\",\"customer_id\":\"customer-2\",\"page\":\"/"
		"checkout\"}",
		"{\"visit_id\":\"7b0e5d3c-92a4-4c4d-8f5a-2f4f5a6b7c8d\",\"customer_id\":\"\",\"visited_at\":\"2025-02-"
		"01T08:00:00Z\","
		"\"page\":\"/checkout\"}",
		"{\"visit_id\":\"7b0e5d3c-92a4-4c4d-8f5a-2f4f5a6b7c8d\",\"customer_id\":\"customer-3\",\"visited_at\":"
		"\"2025-02-01T08:00:00\","
		"\"page\":\"/checkout\",\"amount\":-1}",
	};
	return strdup(pick(rng, bad, sizeof bad / sizeof bad[0]));
}

static int64_t draw_time(struct world *world, struct weir_rng *rng)
{
	uint64_t kind = weir_rng_below(rng, 20);
	int64_t now_us = world->clock.time_us / 1000 * 1000;
	int64_t back_us = kind == 0 ? 50 * WEIR_US_PER_HOUR                                  /* too late, mostly */
		: kind == 1         ? -(int64_t)weir_rng_below(rng, 10) * WEIR_US_PER_MINUTE /* ahead */
		: kind < 5          ? (int64_t)weir_rng_below(rng, 25) * WEIR_US_PER_HOUR    /* late */
				    : (int64_t)weir_rng_below(rng, 60000) * WEIR_US_PER_MS;
	return now_us - back_us;
}

char *draw_event(struct world *world, struct weir_rng *rng, bool *ret_valid)
{
	char id[WEIR_UUID_TEXT], time[WEIR_TIME_TEXT], subject[16];
	const struct oracle *oracle = &world->oracle;
	*ret_valid = true;
	if (weir_rng_chance(rng, 0.08)) {
		*ret_valid = false;
		return draw_bad(rng);
	}
	if (oracle->record_count > 0 && weir_rng_chance(rng, 0.15)) { /* again; perhaps with another body */
		const struct oracle_record *record = &oracle->records[weir_rng_below(rng, oracle->record_count)];
		if (record->event != NULL)
			return strdup(record->payload);
	}
	struct weir_uuid uuid = weir_uuid_v4(rng);
	weir_uuid_format(&uuid, id);
	weir_time_format(draw_time(world, rng), time);
	world_subject(rng, subject);
	json_t *event = json_pack("{s:s,s:s,s:s,s:s}", "visit_id", id, "customer_id", subject, "visited_at", time,
		"page", pick(rng, pages, 6));
	if (weir_rng_chance(rng, 0.7))
		json_object_set_new(event, "amount", json_real((double)weir_rng_below(rng, 9) * 12.5));
	if (weir_rng_chance(rng, 0.5))
		json_object_set_new(event, "items", json_integer((json_int_t)weir_rng_below(rng, 4)));
	if (weir_rng_chance(rng, 0.6))
		json_object_set_new(event, "is_return", json_boolean(weir_rng_chance(rng, 0.5)));
	if (weir_rng_chance(rng, 0.2))
		json_object_set_new(event, "birthday", json_string("1990-04-01"));
	char *text = json_dumps(event, JSON_COMPACT);
	json_decref(event);
	return text;
}

/* ---- rules ---- */

static json_t *literal(struct weir_rng *rng, unsigned dimension)
{
	char text[40];
	if (dimension == 0)
		return json_pack("{s:s}", "value", pick(rng, categories, 5));
	if (dimension == 1)
		return json_pack("{s:f}", "value", (double)weir_rng_below(rng, 9) * 12.5);
	if (dimension == 2)
		return json_pack("{s:b}", "value", (int)weir_rng_below(rng, 2));
	unsigned day = 1 + (unsigned)weir_rng_below(rng, 6);
	if (weir_rng_chance(rng, 0.5)) {
		snprintf(text, sizeof text, "2025-02-%02u", day);
		return json_pack("{s:s,s:s}", "value", text, "type", "date");
	}
	snprintf(text, sizeof text, "2025-02-%02uT%02u:00:00Z", day, (unsigned)weir_rng_below(rng, 24));
	return json_pack("{s:s,s:s}", "value", text, "type", "time");
}

/* Sorts the ends of a BETWEEN, whose reverse is refused: the later one is made equal to the earlier one. */
static void order_ends(json_t *values, unsigned dimension)
{
	json_t *low = json_object_get(json_array_get(values, 0), "value"),
	       *high = json_object_get(json_array_get(values, 1), "value");
	bool reversed = dimension == 1 ? json_number_value(low) > json_number_value(high)
		: dimension == 0       ? strcmp(json_string_value(low), json_string_value(high)) > 0
				       : oracle_time(json_string_value(low)) > oracle_time(json_string_value(high));
	if (reversed)
		json_array_set_new(values, 1, json_deep_copy(json_array_get(values, 0)));
}

static json_t *draw_test(struct weir_rng *rng, unsigned dimension)
{
	static const char *const operators[] = {
		"IN", "NOT_IN", "EQUALS", "NOT_EQUALS", "EXISTS", "BETWEEN", "LT", "LE", "GT", "GE"};
	unsigned op = (unsigned)weir_rng_below(rng, dimension == 2 ? 5 : 10); /* a boolean has no order */
	json_t *test = json_pack("{s:s}", "operator", operators[op]);
	if (op == 4)
		return test;
	json_t *values = json_array();
	unsigned count = op < 2 ? 1 + (unsigned)weir_rng_below(rng, dimension == 2 ? 1 : 3) : op == 5 ? 2 : 1;
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(values, literal(rng, dimension));
	if (op == 5)
		order_ends(values, dimension);
	json_object_set_new(test, "values", values);
	return test;
}

static json_t *draw_purpose(struct weir_rng *rng, bool deny)
{
	static const char *const operators[] = {"IN", "EQUALS", "NOT_IN", "NOT_EQUALS"};
	unsigned op = (unsigned)weir_rng_below(rng, deny ? 4 : 2),
		 first = (unsigned)weir_rng_below(rng, ORACLE_PURPOSES);
	json_t *values = json_array();
	json_array_append_new(values, json_pack("{s:s}", "value", oracle_purposes[first]));
	if (op == 0 && weir_rng_chance(rng, 0.6))
		json_array_append_new(values, json_pack("{s:s}", "value", oracle_purposes[1 - first]));
	return json_pack("{s:s,s:o}", "operator", operators[op], "values", values);
}

static json_t *draw_rule(struct weir_rng *rng, const char *subject, const char *rule_id)
{
	static const char *const names[] = {"category", "amount", "is_return", "time"};
	bool deny = weir_rng_chance(rng, 0.25);
	json_t *dimensions = json_object();
	if (!deny || weir_rng_chance(rng, 0.6))
		json_object_set_new(dimensions, "purpose", draw_purpose(rng, deny));
	for (unsigned d = 0; d < 4; d++)
		if (weir_rng_chance(rng, deny ? 0.4 : 0.25))
			json_object_set_new(dimensions, names[d], draw_test(rng, d));
	return json_pack("{s:s,s:s,s:s,s:o}", "userId", subject, "ruleId", rule_id, "effect", deny ? "deny" : "permit",
		"dimensions", dimensions);
}

struct oracle_change draw_change(struct weir_rng *rng)
{
	static const char *const ids[] = {"default", "second"};
	struct oracle_change change = {.kind = ORACLE_POST};
	uint64_t kind = weir_rng_below(rng, 10);
	world_subject(rng, change.subject);
	snprintf(change.rule_id, sizeof change.rule_id, "%s", pick(rng, ids, 2));
	snprintf(change.purpose, sizeof change.purpose, "%s", pick(rng, oracle_purposes, ORACLE_PURPOSES));
	if (kind < 7)
		change.rule = draw_rule(rng, change.subject, change.rule_id);
	else
		change.kind = kind < 9 ? ORACLE_WITHDRAW : ORACLE_REMOVE;
	return change;
}
