// uses: weir_consent
/*
 * Decisions a second of one thread: a million subjects with three rules each, rows sorted by subject as
 * an epoch has them, text as dictionary codes. A decision is one (row, purpose).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/rng.h"
#include "base/time.h"
#include "column/builder.h"
#include "consent/rules.h"
#include "measure.h"

#define SUBJECTS 1000000
#define BODIES   3000
#define PURPOSES 4
#define BATCHES  500

static const struct weir_str purposes[PURPOSES] = {
	{"research", 8}, {"education", 9}, {"marketing", 9}, {"coaching", 8}};
static const struct weir_str metrics[] = {{"heart_rate", 10}, {"power_watts", 11}};
static const struct consent_dimension dimensions[] = {
	{.name = {"activity", 8}, .kind = CONSENT_DIM_TEXT, .column = {"activity", 8}},
	{.name = {"event_context", 13}, .kind = CONSENT_DIM_TEXT, .column = {"event_context", 13}},
	{.name = {"time", 4}, .kind = CONSENT_DIM_TIME, .column = {"timestamp", 9}, .until = {"period_end", 10}},
	{.name = {"metric_conditions", 17}, .kind = CONSENT_DIM_METRICS, .columns = metrics, .column_count = 2},
};
static const struct consent_vocabulary vocabulary = {.name = {"athlete", 7},
	.subject = {"athlete_id", 10},
	.purpose_count = PURPOSES,
	.dimension_count = 4,
	.purposes = purposes,
	.dimensions = dimensions};
static struct weir_field fields[] = {
	{.name = {"athlete_id", 10}, .id = 1, .type = WEIR_STRING},
	{.name = {"timestamp", 9}, .id = 2, .type = WEIR_TIMESTAMPTZ},
	{.name = {"activity", 8}, .id = 3, .type = WEIR_STRING},
	{.name = {"event_context", 13}, .id = 4, .type = WEIR_STRING},
	{.name = {"period_end", 10}, .id = 5, .type = WEIR_TIMESTAMPTZ},
	{.name = {"heart_rate", 10}, .id = 6, .type = WEIR_DOUBLE},
	{.name = {"power_watts", 11}, .id = 7, .type = WEIR_DOUBLE},
};
static const struct weir_schema schema = {.field_count = 7, .fields = fields};
static const char *const activities[] = {"running", "cycling", "rowing", "swimming", "walking", "skiing"};

/* Most rules are permits with one or two conditions; one in five denies. */
static struct weir_str random_body(struct weir_rng *rng, struct weir_arena *arena, unsigned number)
{
	struct consent_rule rule;
	struct consent_problem problem;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str first = purposes[weir_rng_below(rng, PURPOSES)],
			second = purposes[weir_rng_below(rng, PURPOSES)];
	const char *json = weir_arena_printf(arena,
		"{\"userId\":\"x\",\"effect\":\"%s\",\"dimensions\":{\"purpose\":{\"operator\":\"IN\",\"values\":[{"
		"\"value\":\"%.*s\"},"
		"{\"value\":\"%.*s\"}]},\"%s\":{\"operator\":\"IN\",\"values\":[{\"value\":\"%s\"},{\"value\":\"%s\"}]}"
		","
		"\"time\":{\"operator\":\"BETWEEN\",\"values\":[{\"value\":\"2025-01-01\"},{\"value\":\"2025-12-%02u\"}"
		"]}%s}}",
		number % 5 == 0 ? "deny" : "permit", WEIR_STR_ARG(first), WEIR_STR_ARG(second),
		number % 3 == 0 ? "event_context" : "activity",
		number % 3 == 0 ? "marathon_2025" : activities[weir_rng_below(rng, 6)],
		number % 3 == 0 ? weir_arena_printf(arena, "race-%u", number % 40) : activities[weir_rng_below(rng, 6)],
		1 + number % 31,
		number % 2 == 0 ? weir_arena_printf(arena,
					  ",\"metric_conditions\":{\"heart_rate\":{\"operator\":\"LT\",\"value\":%u}}",
					  90 + number % 100)
				: "");
	if (consent_rule_parse(&vocabulary, arena, weir_str_from(json), &rule, &problem, &err) != 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
	return rule.body;
}

static struct consent_rules *make_rules(struct weir_rng *rng, struct weir_arena *arena)
{
	struct weir_str *bodies = weir_arena_calloc(arena, BODIES, sizeof *bodies);
	struct consent_edit *edits = weir_alloc(SUBJECTS * 3 * sizeof *edits);
	static const struct weir_str ids[] = {{"default", 7}, {"no", 2}, {"races", 5}};
	for (unsigned i = 0; i < BODIES; i++)
		bodies[i] = random_body(rng, arena, i);
	for (uint32_t i = 0; i < SUBJECTS; i++) {
		struct weir_str subject = weir_str_from(weir_arena_printf(arena, "athlete-%07u", i));
		for (uint32_t j = 0; j < 3; j++)
			edits[i * 3 + j] = (struct consent_edit){.kind = CONSENT_POST,
				.subject = subject,
				.rule_id = ids[j],
				.body = bodies[weir_rng_below(rng, BODIES)],
				.lsn = i * 3 + j + 1,
				.version = 1};
	}
	struct consent_rules *empty = consent_rules_new(&vocabulary);
	double start = measure_seconds(1);
	struct consent_rules *rules = consent_rules_apply(empty, edits, SUBJECTS * 3, SUBJECTS * 3);
	printf("building the set: %.2f s for %d subjects with three rules each\n", measure_seconds(1) - start,
		SUBJECTS);
	consent_rules_unref(empty);
	free(edits);
	return rules;
}

/* One dictionary column over six activities, shared by all batches of the run. */
static void use_dict(struct weir_arena *arena, struct weir_column *column, uint32_t rows, const struct weir_dict *dict,
	struct weir_rng *rng)
{
	uint32_t *codes = weir_arena_calloc(arena, rows, sizeof *codes);
	for (uint32_t i = 0; i < rows; i++)
		codes[i] = (uint32_t)weir_rng_below(rng, dict->count);
	column->layout = WEIR_DICT;
	column->dict = dict;
	column->values = codes;
}

static struct weir_batch *make_batch(
	struct weir_rng *rng, struct weir_arena *arena, uint32_t rows_of_subject, const struct weir_dict *dict)
{
	struct weir_batch *batch = weir_batch_new(arena, &schema, WEIR_BATCH_ROWS);
	struct weir_view *subjects = batch->columns[0].values;
	int64_t *times = batch->columns[1].values;
	double *hearts = batch->columns[5].values;
	batch->row_count = WEIR_BATCH_ROWS;
	uint32_t subject = 0;
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (row % rows_of_subject == 0)
			subject = (uint32_t)weir_rng_below(rng, SUBJECTS);
		subjects[row] = weir_view_from(weir_str_from(weir_arena_printf(arena, "athlete-%07u", subject)));
		times[row] = 1738368000000000LL + (int64_t)weir_rng_below(rng, 300) * WEIR_US_PER_DAY;
		hearts[row] = 80 + (double)weir_rng_below(rng, 110);
		weir_column_set_null(&batch->columns[4], row);
		weir_column_set_null(&batch->columns[6], row);
	}
	use_dict(arena, &batch->columns[2], batch->row_count, dict, rng);
	use_dict(arena, &batch->columns[3], batch->row_count, dict, rng);
	return batch;
}

static void measure(struct weir_rng *rng, struct consent_rules *rules, uint32_t rows_of_subject)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_view entries[6];
	struct weir_dict dict = {6, entries};
	struct weir_batch *batches[BATCHES];
	struct consent_binding *binding;
	uint64_t masks[WEIR_BATCH_ROWS], permitted = 0;
	uint32_t versions[WEIR_BATCH_ROWS];
	for (unsigned i = 0; i < 6; i++)
		entries[i] = weir_view_from(weir_str_from(activities[i]));
	for (unsigned i = 0; i < BATCHES; i++)
		batches[i] = make_batch(rng, arena, rows_of_subject, &dict);
	if (consent_binding_new(rules, &schema, &binding, NULL) != 0)
		exit(1);
	double start = measure_seconds(1);
	for (unsigned i = 0; i < BATCHES; i++) {
		consent_evaluate(binding, batches[i], masks, versions, NULL);
		for (uint32_t row = 0; row < WEIR_BATCH_ROWS; row++)
			permitted += (uint64_t)__builtin_popcountll(masks[row]);
	}
	double taken = measure_seconds(1) - start, rows = (double)BATCHES * WEIR_BATCH_ROWS;
	printf("%3u rows of a subject together: %6.1f million decisions/s (%.0f ns a row, %.1f %% permitted)\n",
		rows_of_subject, rows * PURPOSES / taken / 1e6, taken / rows * 1e9,
		(double)permitted / rows / PURPOSES * 100);
	consent_binding_free(binding);
	weir_arena_free(arena);
}

int main(void)
{
	struct weir_rng rng = weir_rng_new(1);
	struct weir_arena *arena = weir_arena_new(0);
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	struct consent_rules *rules = make_rules(&rng, arena);
	getrusage(RUSAGE_SELF, &after);
	printf("peak memory with the rules' source texts: %ld MiB\n", (after.ru_maxrss - before.ru_maxrss) / 1024);
	measure(&rng, rules, 1);
	measure(&rng, rules, 8);
	measure(&rng, rules, 256);
	struct consent_edit withdraw = {
		.kind = CONSENT_WITHDRAW, .subject = WEIR_STR("athlete-0000007"), .lsn = SUBJECTS * 3 + 1};
	double start = measure_seconds(1);
	for (unsigned i = 0; i < 1000; i++) {
		struct consent_rules *next = consent_rules_apply(rules, &withdraw, 1, ++withdraw.lsn);
		consent_rules_unref(rules);
		rules = next;
	}
	printf("one change of one subject: %.1f us\n", (measure_seconds(1) - start) * 1e3);
	consent_rules_unref(rules);
	weir_arena_free(arena);
	return 0;
}
