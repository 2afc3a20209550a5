/*
 * Random rules over random rows: the fast evaluator against the plain one. Seeds by WEIR_SEED; a
 * difference prints its seed, the smallest set of the subject's rules that shows it, and both explanations.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/rng.h"
#include "base/time.h"
#include "unit/consent/fixture.h"

#define SUBJECTS  12
#define RULES_MAX 5
#define ROWS      300

static const char *pick(struct weir_rng *rng, const char *const *from, size_t count)
{
	return from[weir_rng_below(rng, count)];
}
#define PICK(rng, array) pick(rng, array, sizeof array / sizeof array[0])

static const char *const activities[] = {"running", "cycling", "rowing", "", "a text of more than twelve bytes", "95"};
static const char *const numbers[] = {"94", "95", "95.5", "-3", "0", "1e2"};
static const char *const raws[] = {
	"94", "95.0", "95.5", "-3", "0", "1e2", "95 ", "high", "", "true", "1e999", "+1", "01"};
static const char *const times[] = {"2025-02-01", "2025-02-02", "2025-02-04", "2025-01-31T23:59:59.999999Z",
	"2025-02-01T00:00:00Z", "2025-02-01T12:00:00+01:00", "2025-02-02T23:59:59.999999Z", "2025-02-03T00:00:00Z"};
static const char *const metrics[] = {"heart_rate", "power_watts", "spo2", "zone"};
static const char *const purposes[] = {"research", "education", "marketing", "coaching"};

/* ---- rules ---- */

/* Literals of a condition, sorted where BETWEEN wants them so by trying again elsewhere. */
static void random_condition(struct weir_rng *rng, struct weir_buf *out, const char *const *literals, size_t count,
	bool quoted, bool ordered)
{
	static const char *const ops[] = {
		"IN", "NOT_IN", "EQUALS", "NOT_EQUALS", "EXISTS", "BETWEEN", "LT", "LE", "GT", "GE"};
	const char *op = ops[weir_rng_below(rng, ordered ? 10 : 5)];
	unsigned values = op[0] == 'I' || strcmp(op, "NOT_IN") == 0 ? 1 + (unsigned)weir_rng_below(rng, 3)
		: op[0] == 'B'                                      ? 2
		: op[1] == 'X'                                      ? 0
								    : 1;
	const char *quote = quoted ? "\"" : "";
	weir_buf_printf(out, "{\"operator\":\"%s\",\"values\":[", op);
	for (unsigned i = 0; i < values; i++)
		weir_buf_printf(
			out, "%s{\"value\":%s%s%s}", i > 0 ? "," : "", quote, pick(rng, literals, count), quote);
	weir_buf_puts(out, "]}");
}

static void random_metrics(struct weir_rng *rng, struct weir_buf *out)
{
	bool first = true;
	weir_buf_putc(out, '{');
	for (unsigned i = 0; i < 4; i++) {
		if (!weir_rng_chance(rng, 0.4) && (i < 3 || !first))
			continue;
		weir_buf_printf(out, "%s\"%s\":", first ? "" : ",", metrics[i]);
		first = false;
		if (weir_rng_chance(rng, 0.7))
			random_condition(rng, out, numbers, 6, false, true);
		else
			random_condition(rng, out, raws, 8, true, true);
	}
	weir_buf_putc(out, '}');
}

static void random_dimensions(struct weir_rng *rng, struct weir_buf *out)
{
	static const char *const booleans[] = {"true", "false"};
	if (weir_rng_chance(rng, 0.4)) {
		weir_buf_puts(out, ",\"activity\":");
		random_condition(rng, out, activities, 6, true, true);
	}
	if (weir_rng_chance(rng, 0.2)) {
		weir_buf_puts(out, ",\"event_context\":");
		random_condition(rng, out, activities, 6, true, true);
	}
	if (weir_rng_chance(rng, 0.3)) {
		weir_buf_puts(out, ",\"time\":");
		random_condition(rng, out, times, 8, true, true);
	}
	if (weir_rng_chance(rng, 0.2)) {
		weir_buf_puts(out, ",\"altitude\":");
		random_condition(rng, out, numbers, 6, false, true);
	}
	if (weir_rng_chance(rng, 0.15)) {
		weir_buf_puts(out, ",\"indoor\":");
		random_condition(rng, out, booleans, 2, false, false);
	}
	if (weir_rng_chance(rng, 0.3)) {
		weir_buf_puts(out, ",\"metric_conditions\":");
		random_metrics(rng, out);
	}
}

/* A rule that parses; what the generator gets wrong (reversed ends) is drawn again. */
static struct consent_edit random_post(struct weir_rng *rng, struct weir_arena *arena, uint64_t lsn)
{
	for (;;) {
		struct weir_buf out = WEIR_BUF_INIT;
		struct consent_rule rule;
		struct consent_problem problem;
		bool deny = weir_rng_chance(rng, 0.4);
		weir_buf_printf(&out,
			"{\"userId\":\"s%u\",\"ruleId\":\"r%u\",\"effect\":\"%s\",\"dimensions\":{\"purpose\":",
			(unsigned)weir_rng_below(rng, SUBJECTS), (unsigned)weir_rng_below(rng, RULES_MAX),
			deny ? "deny" : "permit");
		const char *op = deny && weir_rng_chance(rng, 0.3) ? "NOT_IN" : "IN";
		weir_buf_printf(&out, "{\"operator\":\"%s\",\"values\":[{\"value\":\"%s\"},{\"value\":\"%s\"}]}", op,
			PICK(rng, purposes), PICK(rng, purposes));
		random_dimensions(rng, &out);
		weir_buf_puts(&out, "}}");
		int code = consent_rule_parse(&fixture_vocabulary, arena, weir_buf_str(&out), &rule, &problem, NULL);
		weir_buf_done(&out);
		if (code == 0)
			return (struct consent_edit){.kind = CONSENT_POST,
				.subject = rule.subject,
				.rule_id = rule.rule_id,
				.body = rule.body,
				.lsn = lsn,
				.version = 1};
	}
}

static struct consent_edit random_edit(struct weir_rng *rng, struct weir_arena *arena, uint64_t lsn)
{
	static const char *const garbage[] = {"", "{}", "[1]", "{\"effect\":\"deny\"}", "{\"effect\":\"permit\"}",
		"{\"dimensions\":{\"mood\":{\"operator\":\"EXISTS\"}},\"effect\":\"deny\"}",
		"{\"dimensions\":{\"activity\":{\"operator\":\"EQUALS\",\"values\":[{\"value\":1}]}},\"effect\":"
		"\"deny\"}"};
	struct consent_edit edit = random_post(rng, arena, lsn);
	double kind = weir_rng_double(rng);
	if (kind < 0.1)
		edit.kind = CONSENT_REMOVE;
	else if (kind < 0.25)
		edit = (struct consent_edit){.kind = CONSENT_WITHDRAW,
			.subject = edit.subject,
			.lsn = lsn,
			.purpose = (uint32_t)weir_rng_below(rng, 4)};
	else if (kind < 0.28)
		edit.body = weir_str_from(PICK(rng, garbage));
	return edit;
}

/* ---- rows ---- */

/* The schema, now and then with columns of other types, or without some. */
static struct weir_schema *random_schema(struct weir_rng *rng, struct weir_arena *arena)
{
	struct weir_schema *schema = weir_schema_copy(arena, &fixture_schema);
	static const enum weir_type others[] = {
		WEIR_INT32, WEIR_INT64, WEIR_FLOAT, WEIR_STRING, WEIR_BOOL, WEIR_TIMESTAMP, WEIR_DATE};
	static const uint32_t changeable[] = {
		TIMESTAMP, ACTIVITY, CONTEXT, ALTITUDE, INDOOR, PERIOD_START, PERIOD_END, HEART_RATE, POWER};
	if (weir_rng_chance(rng, 0.5))
		return schema;
	for (unsigned i = 0; i < 3; i++) {
		struct weir_field *field = &schema->fields[changeable[weir_rng_below(rng, 9)]];
		if (weir_rng_chance(rng, 0.3))
			field->name = WEIR_STR("renamed");
		else
			field->type = others[weir_rng_below(rng, 7)];
	}
	return schema;
}

static void random_cell(
	struct weir_rng *rng, struct weir_builder *builder, const struct weir_schema *schema, uint32_t column)
{
	static const double doubles[] = {94, 95, 95.5, -3, 0, 100, 94.999999};
	int64_t at = 0;
	int32_t day;
	switch (schema->fields[column].type) {
	case WEIR_STRING:
		weir_builder_str(builder, column, weir_str_from(PICK(rng, activities)));
		break;
	case WEIR_BOOL:
		weir_builder_bool(builder, column, weir_rng_chance(rng, 0.5));
		break;
	case WEIR_INT32:
	case WEIR_INT64:
		weir_builder_i64(builder, column, (int64_t)weir_rng_below(rng, 3) + 94);
		break;
	case WEIR_FLOAT:
	case WEIR_DOUBLE:
		weir_builder_double(builder, column, weir_rng_chance(rng, 0.1) ? NAN : doubles[weir_rng_below(rng, 7)]);
		break;
	case WEIR_DATE:
		weir_builder_i64(builder, column, 20120);
		break;
	default: {
		struct weir_str text = weir_str_from(PICK(rng, times));
		if (weir_date_parse(text, &day))
			at = day * WEIR_US_PER_DAY;
		else
			weir_time_parse(text, WEIR_ZONE_REQUIRED, &at);
		weir_builder_i64(builder, column, at + (int64_t)weir_rng_below(rng, 3) - 1);
	}
	}
}

static void random_row(
	struct weir_rng *rng, struct weir_builder *builder, const struct weir_schema *schema, unsigned *subject)
{
	char name[16];
	if (weir_rng_chance(rng, 0.3))
		*subject = (unsigned)weir_rng_below(rng, SUBJECTS + 1); /* one more than have rules */
	int size = snprintf(name, sizeof name, "s%u", *subject);
	if (!weir_rng_chance(rng, 0.02))
		weir_builder_str(builder, ATHLETE, (struct weir_str){name, (size_t)size});
	bool aggregate = weir_rng_chance(rng, 0.3);
	for (uint32_t column = TIMESTAMP; column < RAW; column++) {
		bool period = column == PERIOD_START || column == PERIOD_END;
		if (weir_rng_chance(rng, period ? (aggregate ? 0.9 : 0) : 0.8))
			random_cell(rng, builder, schema, column);
	}
	for (unsigned i = 0; i < 4; i++)
		if (weir_rng_chance(rng, 0.4))
			weir_builder_map_entry(builder, RAW, weir_str_from(metrics[i]), weir_str_from(PICK(rng, raws)));
	weir_builder_end_row(builder);
}

/* A text column as codes into a dictionary that has repeated and unused entries too. */
static void to_dict(struct weir_arena *arena, struct weir_rng *rng, struct weir_batch *batch, uint32_t column)
{
	struct weir_column *from = &batch->columns[column];
	struct weir_dict *dict = weir_arena_zalloc(arena, sizeof *dict);
	struct weir_view *entries = weir_arena_calloc(arena, batch->row_count + 1, sizeof *entries);
	uint32_t *codes = weir_arena_calloc(arena, batch->row_count, sizeof *codes);
	entries[dict->count++] = weir_view_from(WEIR_STR("unused"));
	for (uint32_t row = 0; row < batch->row_count; row++) {
		if (!weir_column_is_valid(from, row))
			continue;
		uint32_t code = 0;
		struct weir_view *view = &((struct weir_view *)from->values)[row];
		while (code < dict->count && (!weir_view_equal(&entries[code], view) || weir_rng_chance(rng, 0.1)))
			code++;
		if (code == dict->count)
			entries[dict->count++] = *view;
		codes[row] = code;
	}
	dict->values = entries;
	from->layout = WEIR_DICT;
	from->dict = dict;
	from->values = codes;
}

/* ---- a difference, told as small as possible ---- */

static bool differs(struct consent_rules *rules, const struct weir_batch *batch, uint32_t row, uint64_t *ret_fast,
	uint64_t *ret_plain)
{
	struct consent_binding *binding;
	uint64_t masks[WEIR_BATCH_ROWS];
	if (consent_binding_new(rules, batch->schema, &binding, NULL) != 0)
		return false;
	consent_evaluate(binding, batch, masks, NULL, NULL);
	consent_evaluate_plain(rules, batch, row, ret_plain, NULL);
	*ret_fast = masks[row];
	consent_binding_free(binding);
	return *ret_fast != *ret_plain;
}

static bool edits_differ(const struct consent_edit *edits, uint32_t count, const struct weir_batch *batch, uint32_t row)
{
	uint64_t fast, plain;
	struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
	struct consent_rules *rules = consent_rules_apply(empty, edits, count, 1000);
	bool result = differs(rules, batch, row, &fast, &plain);
	consent_rules_unref(rules);
	consent_rules_unref(empty);
	return result;
}

static void tell(
	uint64_t seed, struct consent_edit *edits, uint32_t count, const struct weir_batch *batch, uint32_t row)
{
	for (uint32_t i = count; i-- > 0;) {
		struct consent_edit left_out = edits[i];
		memmove(&edits[i], &edits[i + 1], (count - i - 1) * sizeof *edits);
		if (edits_differ(edits, count - 1, batch, row)) {
			count--;
			continue;
		}
		memmove(&edits[i + 1], &edits[i], (count - i - 1) * sizeof *edits);
		edits[i] = left_out;
	}
	fprintf(stderr, "WEIR_SEED=%llu, row %u, after %u edits:\n", (unsigned long long)seed, row, count);
	for (uint32_t i = 0; i < count; i++)
		fprintf(stderr, "  %d %.*s %.*s purpose %u lsn %llu %.*s\n", (int)edits[i].kind,
			WEIR_STR_ARG(edits[i].subject), WEIR_STR_ARG(edits[i].rule_id), edits[i].purpose,
			(unsigned long long)edits[i].lsn, WEIR_STR_ARG(edits[i].body));
	uint64_t fast, plain;
	struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
	struct consent_rules *rules = consent_rules_apply(empty, edits, count, 1000);
	differs(rules, batch, row, &fast, &plain);
	for (uint32_t p = 0; p < 4; p++) {
		struct weir_buf buf = WEIR_BUF_INIT;
		struct weir_json json = weir_json_to(&buf);
		consent_explain(rules, batch, row, p, &json, NULL);
		if (((fast ^ plain) >> p & 1) != 0)
			fprintf(stderr, "  fast says %d: %s\n", (int)(fast >> p & 1), weir_buf_cstr(&buf));
		weir_buf_done(&buf);
	}
	consent_rules_unref(rules);
	consent_rules_unref(empty);
}

/* ---- the property ---- */

struct tally {
	uint64_t decisions, permitted;
};

static void compare_batch(uint64_t seed, struct consent_edit *edits, uint32_t edit_count, struct consent_rules *rules,
	struct consent_binding *binding, const struct weir_batch *batch, struct tally *tally)
{
	uint64_t masks[WEIR_BATCH_ROWS], plain;
	uint32_t versions[WEIR_BATCH_ROWS];
	assert_int_equal(consent_evaluate(binding, batch, masks, versions, NULL), 0);
	for (uint32_t row = 0; row < batch->row_count; row++) {
		assert_int_equal(consent_evaluate_plain(rules, batch, row, &plain, NULL), 0);
		tally->decisions += 4;
		tally->permitted += (uint64_t)__builtin_popcountll(plain);
		if (masks[row] != plain) {
			tell(seed, edits, edit_count, batch, row);
			fail_msg("row %u: fast %llx, plain %llx", row, (unsigned long long)masks[row],
				(unsigned long long)plain);
		}
		if (weir_column_is_valid(&batch->columns[ATHLETE], row))
			assert_int_equal(versions[row],
				consent_rules_changes(rules, weir_column_str(&batch->columns[ATHLETE], row)));
	}
}

static void run_seed(uint64_t seed, struct tally *tally)
{
	struct weir_rng rng = weir_rng_new(seed);
	struct weir_arena *arena = weir_arena_new(0);
	uint32_t edit_count = 20 + (uint32_t)weir_rng_below(&rng, 60);
	struct consent_edit *edits = weir_arena_calloc(arena, edit_count, sizeof *edits);
	struct consent_rules *rules = consent_rules_new(&fixture_vocabulary);
	for (uint32_t i = 0; i < edit_count; i++) {
		edits[i] = random_edit(&rng, arena, i + 1);
		struct consent_rules *next = consent_rules_apply(rules, &edits[i], 1, i + 1);
		consent_rules_unref(rules);
		rules = next;
	}
	struct weir_schema *schema = random_schema(&rng, arena);
	struct consent_binding *binding;
	assert_int_equal(consent_binding_new(rules, schema, &binding, NULL), 0);
	/* Several batches on one binding: what it remembers of one must not leak into the next. */
	for (unsigned i = 0; i < 3; i++) {
		struct weir_builder *builder = weir_builder_new(schema);
		unsigned subject = 0;
		for (unsigned row = 0; row < ROWS; row++)
			random_row(&rng, builder, schema, &subject);
		struct weir_batch *batch = weir_builder_take(builder);
		for (uint32_t column = 0; column < RAW; column++)
			if (schema->fields[column].type == WEIR_STRING && weir_rng_chance(&rng, 0.5))
				to_dict(arena, &rng, batch, column);
		compare_batch(seed, edits, edit_count, rules, binding, batch, tally);
		weir_batch_release(batch);
		weir_builder_free(builder);
	}
	consent_binding_free(binding);
	consent_rules_unref(rules);
	weir_arena_free(arena);
}

static void test_fast_is_plain(void **state)
{
	const char *text = getenv("WEIR_SEED");
	uint64_t first = text != NULL ? strtoull(text, NULL, 10) : 1, count = text != NULL ? 1 : 60;
	struct tally tally = {0};
	(void)state;
	for (uint64_t seed = first; seed < first + count; seed++)
		run_seed(seed, &tally);
	printf("seeds %llu to %llu: %llu decisions, %llu permitted\n", (unsigned long long)first,
		(unsigned long long)(first + count - 1), (unsigned long long)tally.decisions,
		(unsigned long long)tally.permitted);
	/* Neither always nor never: a generator that permits nothing would prove nothing. */
	assert_true(tally.permitted * 50 > tally.decisions && tally.permitted * 2 < tally.decisions);
}

static void test_binding_refuses(void **state)
{
	(void)state;
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_rules *rules = consent_rules_new(&fixture_vocabulary);
	struct consent_binding *binding;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_schema *schema = weir_schema_copy(arena, &fixture_schema);
	schema->fields[ATHLETE].type = WEIR_INT64;
	assert_int_equal(consent_binding_new(rules, schema, &binding, &err), WEIR_E_INPUT);
	schema->fields[ATHLETE] = fixture_fields[ATHLETE];
	schema->fields[ATHLETE].name = WEIR_STR("person");
	assert_int_equal(consent_binding_new(rules, schema, &binding, &err), WEIR_E_INPUT);
	/* A batch of other columns is an error, and its masks are 0. */
	assert_int_equal(consent_binding_new(rules, &fixture_schema, &binding, &err), 0);
	struct weir_batch *batch = weir_batch_new(arena, schema, 2);
	uint64_t masks[2] = {7, 7};
	batch->row_count = 2;
	assert_int_equal(consent_evaluate(binding, batch, masks, NULL, &err), WEIR_E_INTERNAL);
	assert_int_equal(masks[0] | masks[1], 0);
	consent_binding_free(binding);
	consent_rules_unref(rules);
	weir_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fast_is_plain),
		cmocka_unit_test(test_binding_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
