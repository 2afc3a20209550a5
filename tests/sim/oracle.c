#include "sim/oracle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_US    1000000LL
#define DAY_US       (86400LL * SECOND_US)
#define DELAY_US     (60 * SECOND_US) /* lake.yaml: late.delay, late.allowed, late.max_ahead */
#define ALLOWED_US   DAY_US
#define MAX_AHEAD_US (60 * SECOND_US)
#define CHANGES_MAX  512

const char *const oracle_purposes[ORACLE_PURPOSES] = {"analytics", "personalisation"};

enum truth { FALSE, UNKNOWN, TRUE };

void oracle_init(struct oracle *oracle)
{
	*oracle = (struct oracle){.max_event_us = INT64_MIN};
}

void oracle_done(struct oracle *oracle)
{
	for (size_t i = 0; i < oracle->record_count; i++) {
		json_decref(oracle->records[i].event);
		free(oracle->records[i].payload);
	}
	for (size_t i = 0; i < oracle->change_count; i++)
		json_decref(oracle->changes[i].rule);
	free(oracle->records);
	free(oracle->changes);
}

const char *oracle_text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

int64_t oracle_time(const char *text)
{
	struct tm tm = {0};
	double seconds = 0;
	int read = sscanf(
		text, "%d-%d-%dT%d:%d:%lfZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &seconds);
	if (read != 3 && read != 6)
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * SECOND_US + llround(seconds * 1e6);
}

const char *oracle_category(const char *page)
{
	static const char *const lookup[][2] = {{"/shoes/trail", "shoes"}, {"/shoes/road", "shoes"},
		{"/jackets/rain", "clothing"}, {"/watches/gps", "electronics"}, {"/checkout", "checkout"}};
	for (size_t i = 0; i < sizeof lookup / sizeof lookup[0]; i++)
		if (strcmp(page, lookup[i][0]) == 0)
			return lookup[i][1];
	return NULL;
}

/* ---- events: GUARANTEES.md, E2 and E5 ---- */

/* Taken before, or refused with a letter of its own? */
static bool was_seen(const struct oracle *oracle, const json_t *event)
{
	for (size_t i = 0; i < oracle->record_count; i++)
		if (oracle->records[i].event != NULL && oracle->records[i].fate != ORACLE_DUPLICATE &&
			strcmp(oracle_text(oracle->records[i].event, "visit_id"), oracle_text(event, "visit_id")) ==
				0 &&
			strcmp(oracle_text(oracle->records[i].event, "customer_id"),
				oracle_text(event, "customer_id")) == 0)
			return true;
	return false;
}

static enum oracle_fate judge(struct oracle *oracle, struct oracle_record *record)
{
	if (record->event == NULL)
		return ORACLE_REFUSED;
	record->time_us = oracle_time(oracle_text(record->event, "visited_at"));
	if (was_seen(oracle, record->event))
		return ORACLE_DUPLICATE;
	if (record->time_us > record->received_us + MAX_AHEAD_US)
		return ORACLE_AHEAD;
	if (oracle->max_event_us != INT64_MIN) {
		int64_t watermark_us = oracle->max_event_us - DELAY_US;
		record->is_late = record->time_us < watermark_us;
		if (record->time_us < watermark_us - ALLOWED_US)
			return ORACLE_LATE;
	}
	if (record->time_us > oracle->max_event_us)
		oracle->max_event_us = record->time_us;
	return ORACLE_ACCEPTED;
}

void oracle_add_record(struct oracle *oracle, const char *payload, bool valid, int64_t received_us)
{
	if (oracle->record_count == oracle->record_capacity) {
		oracle->record_capacity = oracle->record_capacity * 2 + 64;
		oracle->records = realloc(oracle->records, oracle->record_capacity * sizeof *oracle->records);
	}
	struct oracle_record record = {.payload = strdup(payload), .received_us = received_us};
	if (valid)
		record.event = json_loads(payload, 0, NULL);
	record.fate = judge(oracle, &record);
	oracle->records[oracle->record_count++] = record;
}

/* ---- the consent log ---- */

void oracle_add_change(struct oracle *oracle, const struct oracle_change *take_change)
{
	if (oracle->change_count == oracle->change_capacity) {
		oracle->change_capacity = oracle->change_capacity * 2 + 64;
		oracle->changes = realloc(oracle->changes, oracle->change_capacity * sizeof *oracle->changes);
	}
	oracle->changes[oracle->change_count++] = *take_change;
}

uint64_t oracle_head(const struct oracle *oracle)
{
	return oracle->change_count > 0 ? oracle->changes[oracle->change_count - 1].lsn : 0;
}

unsigned oracle_changes_of(const struct oracle *oracle, const char *subject, uint64_t lsn)
{
	unsigned count = 0;
	for (size_t i = 0; i < oracle->change_count; i++)
		count += oracle->changes[i].lsn <= lsn && strcmp(oracle->changes[i].subject, subject) == 0;
	return count;
}

/* The rules of a subject as of a number: the last version of each rule id, unless it was removed after it. */
static size_t rules_as_of(
	const struct oracle *oracle, const char *subject, uint64_t lsn, const struct oracle_change **rules)
{
	size_t count = 0;
	for (size_t i = 0; i < oracle->change_count && oracle->changes[i].lsn <= lsn; i++) {
		const struct oracle_change *change = &oracle->changes[i];
		if (strcmp(change->subject, subject) != 0 || change->kind == ORACLE_WITHDRAW)
			continue;
		for (size_t r = 0; r < count; r++)
			if (strcmp(rules[r]->rule_id, change->rule_id) == 0)
				rules[r--] = rules[--count];
		if (change->kind == ORACLE_POST && count < CHANGES_MAX)
			rules[count++] = change;
	}
	return count;
}

static uint64_t withdrawn_at(const struct oracle *oracle, const char *subject, const char *purpose, uint64_t lsn)
{
	uint64_t last = 0;
	for (size_t i = 0; i < oracle->change_count && oracle->changes[i].lsn <= lsn; i++)
		if (oracle->changes[i].kind == ORACLE_WITHDRAW && strcmp(oracle->changes[i].subject, subject) == 0 &&
			strcmp(oracle->changes[i].purpose, purpose) == 0)
			last = oracle->changes[i].lsn;
	return last;
}

static bool is_deny(const json_t *rule)
{
	const char *effect = oracle_text(rule, "effect");
	return effect != NULL && strcmp(effect, "deny") == 0;
}

/* ---- one condition: CONSENT.md, "When a rule holds" ---- */

/* What a condition looks at: a text, a number, a boolean, or an instant. */
struct value {
	enum { MISSING, TEXT, NUMBER, BOOLEAN, INSTANT } kind;
	const char *text;
	double number;
	bool boolean;
	int64_t instant_us;
};

static struct value value_of(const json_t *event, const char *dimension)
{
	const json_t *member = json_object_get(event, dimension);
	if (strcmp(dimension, "category") == 0) {
		const char *category = oracle_category(oracle_text(event, "page"));
		return category != NULL ? (struct value){.kind = TEXT, .text = category} : (struct value){0};
	}
	if (strcmp(dimension, "time") == 0)
		return (struct value){.kind = INSTANT, .instant_us = oracle_time(oracle_text(event, "visited_at"))};
	if (json_is_number(member))
		return (struct value){.kind = NUMBER, .number = json_number_value(member)};
	if (json_is_boolean(member))
		return (struct value){.kind = BOOLEAN, .boolean = json_is_true(member)};
	return (struct value){0};
}

/* Below, within or above the literal; a date is its whole UTC day. */
static int compare(const struct value *value, const json_t *literal)
{
	const json_t *of = json_object_get(literal, "value");
	if (value->kind == TEXT)
		return strcmp(value->text, json_string_value(of));
	if (value->kind == NUMBER)
		return (value->number > json_number_value(of)) - (value->number < json_number_value(of));
	if (value->kind == BOOLEAN)
		return (int)value->boolean - (int)json_is_true(of);
	int64_t first_us = oracle_time(json_string_value(of));
	int64_t last_us = strlen(json_string_value(of)) == 10 ? first_us + DAY_US - 1 : first_us;
	return (value->instant_us > last_us) - (value->instant_us < first_us);
}

static bool is_among(const struct value *value, const json_t *literals)
{
	size_t i;
	const json_t *literal;
	json_array_foreach(literals, i, literal) if (compare(value, literal) == 0) return true;
	return false;
}

static enum truth condition(const json_t *event, const char *dimension, const json_t *test)
{
	struct value value = value_of(event, dimension);
	const char *op = oracle_text(test, "operator");
	const json_t *literals = json_object_get(test, "values"), *first = json_array_get(literals, 0);
	if (strcmp(op, "EXISTS") == 0)
		return value.kind != MISSING ? TRUE : FALSE;
	if (value.kind == MISSING)
		return UNKNOWN;
	bool holds = strcmp(op, "IN") == 0 || strcmp(op, "EQUALS") == 0      ? is_among(&value, literals)
		: strcmp(op, "NOT_IN") == 0 || strcmp(op, "NOT_EQUALS") == 0 ? !is_among(&value, literals)
		: strcmp(op, "LT") == 0                                      ? compare(&value, first) < 0
		: strcmp(op, "LE") == 0                                      ? compare(&value, first) <= 0
		: strcmp(op, "GT") == 0                                      ? compare(&value, first) > 0
		: strcmp(op, "GE") == 0
		? compare(&value, first) >= 0
		: compare(&value, first) >= 0 && compare(&value, json_array_get(literals, 1)) <= 0;
	return holds ? TRUE : FALSE;
}

static bool names_purpose(const json_t *rule, unsigned purpose)
{
	const json_t *test = json_object_get(json_object_get(rule, "dimensions"), "purpose");
	if (test == NULL)
		return is_deny(rule); /* a deny without purpose denies all */
	struct value value = {.kind = TEXT, .text = oracle_purposes[purpose]};
	bool among = is_among(&value, json_object_get(test, "values"));
	return strncmp(oracle_text(test, "operator"), "NOT_", 4) == 0 ? !among : among;
}

static enum truth conditions(const json_t *rule, const json_t *event)
{
	enum truth all = TRUE;
	const char *dimension;
	json_t *test;
	json_object_foreach(json_object_get(rule, "dimensions"), dimension, test)
	{
		if (strcmp(dimension, "purpose") == 0)
			continue;
		enum truth one = condition(event, dimension, test);
		all = one < all ? one : all;
	}
	return all;
}

bool oracle_permits(const struct oracle *oracle, const struct oracle_record *record, unsigned purpose, uint64_t lsn)
{
	const struct oracle_change *rules[CHANGES_MAX];
	const char *subject = oracle_text(record->event, "customer_id");
	size_t count = rules_as_of(oracle, subject, lsn, rules);
	uint64_t withdrawn = withdrawn_at(oracle, subject, oracle_purposes[purpose], lsn);
	bool permitted = false;
	for (size_t i = 0; i < count; i++) {
		if (!names_purpose(rules[i]->rule, purpose))
			continue;
		enum truth holds = conditions(rules[i]->rule, record->event);
		if (is_deny(rules[i]->rule) && holds != FALSE)
			return false;
		if (!is_deny(rules[i]->rule) && holds == TRUE && rules[i]->lsn > withdrawn)
			permitted = true;
	}
	return permitted;
}

void oracle_respell(struct oracle *oracle, const struct oracle_change *change)
{
	const struct oracle_change *rules[CHANGES_MAX];
	size_t count = rules_as_of(oracle, change->subject, UINT64_MAX, rules);
	for (size_t i = 0; i < count; i++)
		for (size_t c = 0; c < oracle->change_count; c++)
			if (rules[i] == &oracle->changes[c] && strcmp(rules[i]->rule_id, change->rule_id) == 0) {
				json_decref(oracle->changes[c].rule);
				oracle->changes[c].rule = json_incref(change->rule);
			}
}

bool oracle_changes_nothing(const struct oracle *oracle, const struct oracle_change *change)
{
	const struct oracle_change *rules[CHANGES_MAX];
	size_t count = rules_as_of(oracle, change->subject, UINT64_MAX, rules);
	for (size_t i = 0; i < count; i++) {
		const struct oracle_change *rule = rules[i];
		bool same_id = strcmp(rule->rule_id, change->rule_id) == 0;
		if (change->kind == ORACLE_REMOVE && same_id)
			return false;
		if (change->kind == ORACLE_POST && same_id) {
			for (unsigned p = 0; p < ORACLE_PURPOSES && !is_deny(rule->rule); p++)
				if (names_purpose(rule->rule, p) &&
					withdrawn_at(oracle, change->subject, oracle_purposes[p], UINT64_MAX) >
						rule->lsn)
					return false;
			return true; /* whether it means the same, what follows will show: see oracle_respell */
		}
		if (change->kind == ORACLE_WITHDRAW && !is_deny(rule->rule))
			for (unsigned p = 0; p < ORACLE_PURPOSES; p++)
				if (strcmp(oracle_purposes[p], change->purpose) == 0 && names_purpose(rule->rule, p) &&
					rule->lsn > withdrawn_at(oracle, change->subject, change->purpose, UINT64_MAX))
					return false;
	}
	return change->kind != ORACLE_POST;
}
