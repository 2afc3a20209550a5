/* The athlete lake's vocabulary and silver schema, for the tests of consent. */
#ifndef TESTS_CONSENT_FIXTURE_H
#define TESTS_CONSENT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "column/builder.h"
#include "consent/rules.h"

enum { RESEARCH, EDUCATION, MARKETING, COACHING };

static const struct weir_str fixture_purposes[] = {
	{"research", 8}, {"education", 9}, {"marketing", 9}, {"coaching", 8}};
static const struct weir_str fixture_metrics[] = {{"heart_rate", 10}, {"power_watts", 11}};
static const struct consent_dimension fixture_dimensions[] = {
	{.name = {"activity", 8}, .kind = CONSENT_DIM_TEXT, .column = {"activity", 8}},
	{.name = {"event_context", 13}, .kind = CONSENT_DIM_TEXT, .column = {"event_context", 13}},
	{.name = {"altitude", 8}, .kind = CONSENT_DIM_NUMBER, .column = {"altitude", 8}},
	{.name = {"indoor", 6}, .kind = CONSENT_DIM_BOOLEAN, .column = {"indoor", 6}},
	{.name = {"time", 4},
		.kind = CONSENT_DIM_TIME,
		.column = {"timestamp", 9},
		.until = {"period_end", 10},
		.until_start = {"period_start", 12}},
	{.name = {"metric_conditions", 17},
		.kind = CONSENT_DIM_METRICS,
		.columns = fixture_metrics,
		.column_count = 2,
		.map = {"raw_metrics", 11}},
};
static const struct consent_vocabulary fixture_vocabulary = {
	.name = {"athlete", 7},
	.subject = {"athlete_id", 10},
	.purpose_count = 4,
	.dimension_count = 6,
	.purposes = fixture_purposes,
	.dimensions = fixture_dimensions,
};

enum {
	ATHLETE,
	TIMESTAMP,
	ACTIVITY,
	CONTEXT,
	ALTITUDE,
	INDOOR,
	PERIOD_START,
	PERIOD_END,
	HEART_RATE,
	POWER,
	RAW,
	COLUMNS
};

static struct weir_field fixture_map_children[] = {
	{.name = {"key", 3}, .id = 12, .type = WEIR_STRING, .required = true},
	{.name = {"value", 5}, .id = 13, .type = WEIR_STRING}};
static struct weir_field fixture_fields[COLUMNS] = {
	[ATHLETE] = {.name = {"athlete_id", 10}, .id = 1, .type = WEIR_STRING},
	[TIMESTAMP] = {.name = {"timestamp", 9}, .id = 2, .type = WEIR_TIMESTAMPTZ},
	[ACTIVITY] = {.name = {"activity", 8}, .id = 3, .type = WEIR_STRING},
	[CONTEXT] = {.name = {"event_context", 13}, .id = 4, .type = WEIR_STRING},
	[ALTITUDE] = {.name = {"altitude", 8}, .id = 5, .type = WEIR_DOUBLE},
	[INDOOR] = {.name = {"indoor", 6}, .id = 6, .type = WEIR_BOOL},
	[PERIOD_START] = {.name = {"period_start", 12}, .id = 7, .type = WEIR_TIMESTAMPTZ},
	[PERIOD_END] = {.name = {"period_end", 10}, .id = 8, .type = WEIR_TIMESTAMPTZ},
	[HEART_RATE] = {.name = {"heart_rate", 10}, .id = 9, .type = WEIR_DOUBLE},
	[POWER] = {.name = {"power_watts", 11}, .id = 10, .type = WEIR_DOUBLE},
	[RAW] = {.name = {"raw_metrics", 11},
		.id = 11,
		.type = WEIR_MAP,
		.children = fixture_map_children,
		.child_count = 2},
};
static const struct weir_schema fixture_schema = {.id = 1, .field_count = COLUMNS, .fields = fixture_fields};

/* Parses a rule that must be right and makes it an edit; texts in arena. */
static inline struct consent_edit fixture_post(
	struct weir_arena *arena, const char *json, uint64_t lsn, uint32_t version)
{
	struct consent_rule rule;
	struct consent_problem problem;
	struct weir_error err = WEIR_ERROR_INIT;
	if (consent_rule_parse(&fixture_vocabulary, arena, weir_str_from(json), &rule, &problem, &err) != 0) {
		fprintf(stderr, "%s\n%s\n", json, err.message);
		abort();
	}
	return (struct consent_edit){.kind = CONSENT_POST,
		.subject = rule.subject,
		.rule_id = rule.rule_id,
		.body = rule.body,
		.lsn = lsn,
		.version = version};
}

#endif
