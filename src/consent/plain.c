/*
 * The plain evaluator: see plain.h. Slow on purpose: it parses each body for each row and knows no
 * index, no interned text, no interval. It is what the fast one is held against, so it shares nothing
 * with it but the set of rules and the JSON library. docs/CONSENT.md, "When a rule holds".
 */
#include "consent/plain.h"

#include <math.h>
#include <string.h>

#include "base/time.h"

/* ---- what the row holds ---- */

static const struct weir_column *column_named(const struct weir_batch *batch, struct weir_str name)
{
	uint32_t index = name.size > 0 ? weir_schema_find(batch->schema, name) : WEIR_NO_FIELD;
	return index != WEIR_NO_FIELD ? &batch->columns[index] : NULL;
}

static bool not_null(const struct weir_column *column, uint32_t row)
{
	return column != NULL && weir_column_is_valid(column, row);
}

static struct plain_value cell(const struct weir_column *column, uint32_t row)
{
	struct plain_value value = {.kind = PLAIN_MISSING};
	if (!not_null(column, row))
		return value;
	value.kind = PLAIN_OTHER;
	if (column->type == WEIR_STRING) {
		value.kind = PLAIN_TEXT;
		value.text = weir_column_str(column, row);
	} else if (column->type == WEIR_BOOL) {
		value.kind = PLAIN_BOOLEAN;
		value.boolean = weir_column_i64(column, row) != 0;
	} else if (column->type == WEIR_INT32 || column->type == WEIR_INT64) {
		value.kind = PLAIN_NUMBER;
		value.number = (double)weir_column_i64(column, row);
	} else if (column->type == WEIR_FLOAT || column->type == WEIR_DOUBLE) {
		value.number = weir_column_double(column, row);
		value.kind = isnan(value.number) ? PLAIN_MISSING : PLAIN_NUMBER;
	}
	return value;
}

static struct plain_value metric_of(
	const struct consent_dimension *dimension, const char *metric, const struct weir_batch *batch, uint32_t row)
{
	struct weir_str name = weir_str_from(metric);
	for (uint32_t i = 0; i < dimension->column_count; i++)
		if (weir_str_equal(dimension->columns[i], name) && not_null(column_named(batch, name), row))
			return cell(column_named(batch, name), row);
	struct plain_value value = {.kind = PLAIN_MISSING};
	const struct weir_column *map = column_named(batch, dimension->map);
	if (!not_null(map, row) || map->type != WEIR_MAP || map->children[0].type != WEIR_STRING ||
		map->children[1].type != WEIR_STRING)
		return value;
	struct weir_span span = ((const struct weir_span *)map->values)[row];
	for (uint64_t i = 0; i < span.length; i++) {
		uint32_t entry = (uint32_t)(span.offset + i);
		if (!weir_str_equal(weir_column_str(&map->children[0], entry), name))
			continue;
		value = cell(&map->children[1], entry);
		if (value.kind == PLAIN_TEXT && weir_str_to_double(value.text, &value.number))
			value.kind = PLAIN_NUMBER;
		break;
	}
	return value;
}

static bool is_instant(const struct weir_column *column)
{
	return column->type == WEIR_TIMESTAMPTZ || column->type == WEIR_TIMESTAMP;
}

/* An aggregate is a row with a period's start or end; a point has its event time alone. */
static struct plain_value time_of(
	const struct consent_dimension *dimension, const struct weir_batch *batch, uint32_t row)
{
	const struct weir_column *at = column_named(batch, dimension->column);
	const struct weir_column *until = column_named(batch, dimension->until);
	const struct weir_column *from =
		dimension->until_start.size > 0 ? column_named(batch, dimension->until_start) : at;
	struct plain_value value = {.kind = PLAIN_MISSING};
	bool aggregate = not_null(until, row) || (dimension->until_start.size > 0 && not_null(from, row));
	if (!aggregate)
		from = until = at;
	if (!not_null(from, row) || !not_null(until, row))
		return value;
	value.kind = PLAIN_OTHER;
	if (!is_instant(from) || !is_instant(until))
		return value;
	value.start_us = weir_column_i64(from, row);
	value.end_us = weir_column_i64(until, row);
	if (value.start_us <= value.end_us)
		value.kind = PLAIN_PERIOD;
	return value;
}

bool plain_subject(const struct consent_vocabulary *vocabulary, const struct weir_batch *batch, uint32_t row,
	struct weir_str *ret_subject)
{
	struct plain_value value = cell(column_named(batch, vocabulary->subject), row);
	*ret_subject = value.text;
	return value.kind == PLAIN_TEXT;
}

/* ---- one literal ---- */

static struct weir_str json_text(const json_t *value)
{
	return (struct weir_str){json_string_value(value), json_string_length(value)};
}

static const json_t *literal_at(const json_t *values, size_t index)
{
	return json_object_get(json_array_get(values, index), "value");
}

/* Order of the row's value and a literal; false where their types differ. */
static bool ordered(const struct plain_value *value, const json_t *literal, int *ret_order)
{
	if (value->kind == PLAIN_TEXT && json_is_string(literal)) {
		*ret_order = weir_str_compare(value->text, json_text(literal));
		return true;
	}
	if (value->kind == PLAIN_NUMBER && json_is_number(literal)) {
		double number = json_number_value(literal);
		*ret_order = (value->number > number) - (value->number < number);
		return true;
	}
	if (value->kind == PLAIN_BOOLEAN && json_is_boolean(literal)) {
		*ret_order = (value->boolean ? 1 : 0) - (json_is_true(literal) ? 1 : 0);
		return true;
	}
	return false;
}

/* First and last instant that a literal of time stands for. */
static bool literal_instants(const json_t *literal, int64_t *ret_first, int64_t *ret_last)
{
	int32_t day;
	if (!json_is_string(literal))
		return false;
	if (weir_date_parse(json_text(literal), &day)) {
		*ret_first = day * WEIR_US_PER_DAY;
		*ret_last = (day + 1) * WEIR_US_PER_DAY - 1;
		return true;
	}
	*ret_last = 0;
	bool ok = weir_time_parse(json_text(literal), WEIR_ZONE_REQUIRED, ret_first);
	if (ok)
		*ret_last = *ret_first;
	return ok;
}

/* ---- one condition ---- */

static enum plain_truth truth_of(bool holds)
{
	return holds ? PLAIN_TRUE : PLAIN_FALSE;
}

/* Does the order of value and literal satisfy LT, LE, GT, GE? */
static bool order_fits(const char *op, int order)
{
	if (strcmp(op, "LT") == 0)
		return order < 0;
	if (strcmp(op, "LE") == 0)
		return order <= 0;
	if (strcmp(op, "GT") == 0)
		return order > 0;
	return order >= 0;
}

static enum plain_truth judge_scalar(const char *op, const json_t *values, const struct plain_value *value)
{
	int order, other;
	bool equal_to_one = false;
	for (size_t i = 0; i < json_array_size(values); i++) {
		if (!ordered(value, literal_at(values, i), &order))
			return PLAIN_UNKNOWN;
		equal_to_one |= order == 0;
	}
	if (strcmp(op, "IN") == 0 || strcmp(op, "EQUALS") == 0)
		return truth_of(equal_to_one);
	if (strcmp(op, "NOT_IN") == 0 || strcmp(op, "NOT_EQUALS") == 0)
		return truth_of(!equal_to_one);
	ordered(value, literal_at(values, 0), &order);
	if (strcmp(op, "BETWEEN") == 0) {
		ordered(value, literal_at(values, 1), &other);
		return truth_of(order >= 0 && other <= 0);
	}
	return truth_of(order_fits(op, order));
}

/* Does one instant satisfy the condition? */
static bool instant_fits(const char *op, const json_t *values, int64_t at)
{
	int64_t first, last, unused, second_last;
	bool within_one = false;
	for (size_t i = 0; i < json_array_size(values); i++) {
		literal_instants(literal_at(values, i), &first, &last);
		within_one |= first <= at && at <= last;
	}
	literal_instants(literal_at(values, 0), &first, &last);
	if (strcmp(op, "IN") == 0 || strcmp(op, "EQUALS") == 0)
		return within_one;
	if (strcmp(op, "NOT_IN") == 0 || strcmp(op, "NOT_EQUALS") == 0)
		return !within_one;
	if (strcmp(op, "LT") == 0)
		return at < first;
	if (strcmp(op, "LE") == 0)
		return at <= last;
	if (strcmp(op, "GT") == 0)
		return at > last;
	if (strcmp(op, "GE") == 0)
		return at >= first;
	literal_instants(literal_at(values, 1), &unused, &second_last);
	return first <= at && at <= second_last;
}

/* A condition on time changes its mind only at the edges of its literals, so the instants of a period that
 * matter are its own two ends and the edges that lie in it. */
static enum plain_truth judge_period(const char *op, const json_t *values, const struct plain_value *value, bool denies)
{
	bool all = true, some = false;
	for (size_t i = 0; i < json_array_size(values) + 1; i++) {
		int64_t instants[4] = {value->start_us, value->end_us, value->start_us, value->end_us};
		int64_t first, last;
		if (i < json_array_size(values)) {
			literal_instants(literal_at(values, i), &first, &last);
			instants[0] = first - 1;
			instants[1] = first;
			instants[2] = last;
			instants[3] = last + 1;
		}
		for (unsigned j = 0; j < 4; j++) {
			if (instants[j] < value->start_us || instants[j] > value->end_us)
				continue;
			bool fits = instant_fits(op, values, instants[j]);
			all &= fits;
			some |= fits;
		}
	}
	return truth_of(denies ? some : all);
}

static const char *reason(const struct plain_condition *condition)
{
	if (strcmp(condition->op, "EXISTS") == 0)
		return condition->truth == PLAIN_TRUE ? "the row has a value" : "the row has no value";
	if (condition->value.kind == PLAIN_MISSING)
		return "the row has no value to compare";
	if (condition->truth == PLAIN_UNKNOWN)
		return "the row's value is of another type than the rule's";
	if (condition->value.kind == PLAIN_PERIOD && condition->value.start_us != condition->value.end_us)
		return condition->truth == PLAIN_TRUE ? "the row's period satisfies it"
						      : "the row's period does not satisfy it";
	return condition->truth == PLAIN_TRUE ? "the row's value satisfies it" : "the row's value does not satisfy it";
}

static void judge_condition(struct plain_condition *condition, bool denies)
{
	if (strcmp(condition->op, "EXISTS") == 0)
		condition->truth = truth_of(condition->value.kind != PLAIN_MISSING);
	else if (condition->value.kind == PLAIN_MISSING || condition->value.kind == PLAIN_OTHER)
		condition->truth = PLAIN_UNKNOWN;
	else if (condition->value.kind == PLAIN_PERIOD)
		condition->truth = judge_period(condition->op, condition->values, &condition->value, denies);
	else
		condition->truth = judge_scalar(condition->op, condition->values, &condition->value);
	condition->why = reason(condition);
}

/* ---- does it compile? ---- */

static bool literal_fits(enum consent_dimension_kind kind, const json_t *literal)
{
	int64_t first, last;
	switch (kind) {
	case CONSENT_DIM_TEXT:
		return json_is_string(literal);
	case CONSENT_DIM_NUMBER:
		return json_is_number(literal);
	case CONSENT_DIM_BOOLEAN:
		return json_is_boolean(literal);
	case CONSENT_DIM_TIME:
		return literal_instants(literal, &first, &last);
	case CONSENT_DIM_METRICS:
		return json_is_string(literal) || json_is_number(literal) || json_is_boolean(literal);
	}
	return false;
}

/* A condition of a stored body: operator, the right number of values, each of the right type. */
static bool condition_fits(
	enum consent_dimension_kind kind, json_t *object, const char **ret_op, const json_t **ret_values)
{
	static const char *const lists[] = {"IN", "NOT_IN"};
	static const char *const singles[] = {"EQUALS", "NOT_EQUALS", "LT", "LE", "GT", "GE"};
	const char *op = json_string_value(json_object_get(object, "operator"));
	const json_t *values = json_object_get(object, "values");
	size_t count = json_array_size(values);
	bool fits = false, known = op != NULL;
	if (!known || (values != NULL && !json_is_array(values)) ||
		json_object_size(object) != (values != NULL ? 2 : 1))
		return false;
	for (unsigned i = 0; i < 2; i++)
		fits |= strcmp(op, lists[i]) == 0 && count >= 1;
	for (unsigned i = 0; i < 6; i++)
		fits |= strcmp(op, singles[i]) == 0 && count == 1;
	fits |= strcmp(op, "BETWEEN") == 0 && count == 2;
	fits |= strcmp(op, "EXISTS") == 0 && count == 0;
	for (size_t i = 0; i < count && fits; i++) {
		const json_t *literal = literal_at(values, i);
		bool needs_order = op[0] == 'L' || op[0] == 'G' || op[0] == 'B';
		fits = literal != NULL && literal_fits(kind, literal) && !(needs_order && json_is_boolean(literal)) &&
			(json_typeof(literal) == json_typeof(literal_at(values, 0)) ||
				(json_is_boolean(literal) && json_is_boolean(literal_at(values, 0))) ||
				(json_is_number(literal) && json_is_number(literal_at(values, 0))));
	}
	*ret_op = op;
	*ret_values = values;
	return fits;
}

static bool take_purposes(const struct consent_vocabulary *vocabulary, json_t *object, struct plain_rule *rule)
{
	const char *op;
	const json_t *values;
	uint64_t named = 0;
	if (!condition_fits(CONSENT_DIM_TEXT, object, &op, &values))
		return false;
	for (size_t i = 0; i < json_array_size(values); i++)
		for (uint32_t p = 0; p < vocabulary->purpose_count; p++)
			if (weir_str_equal(vocabulary->purposes[p], json_text(literal_at(values, i))))
				named |= (uint64_t)1 << p;
	bool names = strcmp(op, "IN") == 0 || strcmp(op, "EQUALS") == 0;
	bool excludes = strcmp(op, "NOT_IN") == 0 || strcmp(op, "NOT_EQUALS") == 0;
	rule->purposes = names ? named : ~named;
	return names || (excludes && rule->denies);
}

static bool take_condition(struct plain_rule *rule, enum consent_dimension_kind kind, const char *dimension,
	const char *metric, json_t *object, struct plain_value value)
{
	struct plain_condition condition = {.dimension = dimension, .metric = metric, .value = value};
	if (rule->condition_count >= PLAIN_CONDITIONS ||
		!condition_fits(kind, object, &condition.op, &condition.values))
		return false;
	judge_condition(&condition, rule->denies);
	rule->conditions[rule->condition_count++] = condition;
	return true;
}

static bool take_dimension(const struct consent_vocabulary *vocabulary, const struct weir_batch *batch, uint32_t row,
	const char *name, json_t *object, struct plain_rule *rule)
{
	const struct consent_dimension *dimension = NULL;
	for (uint32_t i = 0; i < vocabulary->dimension_count; i++)
		if (weir_str_is(vocabulary->dimensions[i].name, name))
			dimension = &vocabulary->dimensions[i];
	if (dimension == NULL)
		return false;
	if (dimension->kind == CONSENT_DIM_TIME)
		return take_condition(rule, dimension->kind, name, NULL, object, time_of(dimension, batch, row));
	if (dimension->kind != CONSENT_DIM_METRICS)
		return take_condition(
			rule, dimension->kind, name, NULL, object, cell(column_named(batch, dimension->column), row));
	const char *metric;
	json_t *member;
	json_object_foreach(object, metric, member)
	{
		bool known = dimension->map.size > 0;
		for (uint32_t i = 0; i < dimension->column_count; i++)
			known |= weir_str_is(dimension->columns[i], metric);
		if (!known ||
			!take_condition(
				rule, dimension->kind, name, metric, member, metric_of(dimension, metric, batch, row)))
			return false;
	}
	return json_is_object(object) && json_object_size(object) > 0;
}

static bool take_document(const struct consent_vocabulary *vocabulary, const struct weir_batch *batch, uint32_t row,
	struct plain_rule *rule)
{
	const char *name;
	json_t *member, *dimensions = json_object_get(rule->document, "dimensions");
	bool purpose_seen = false;
	if (!json_is_object(dimensions))
		return false;
	json_object_foreach(rule->document, name, member)
	{
		if (strcmp(name, "dimensions") != 0 && strcmp(name, "effect") != 0)
			return false;
	}
	json_object_foreach(dimensions, name, member)
	{
		bool purpose = strcmp(name, "purpose") == 0;
		purpose_seen |= purpose;
		if (purpose ? !take_purposes(vocabulary, member, rule)
			    : !take_dimension(vocabulary, batch, row, name, member, rule))
			return false;
	}
	return purpose_seen || rule->denies;
}

/* ---- rules ---- */

void plain_rule_judge(const struct consent_vocabulary *vocabulary, struct weir_str body, const struct weir_batch *batch,
	uint32_t row, struct plain_rule *ret_rule)
{
	struct plain_rule *rule = ret_rule;
	rule->document = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *effect = json_object_get(rule->document, "effect");
	bool permits = effect == NULL ? json_is_object(rule->document)
				      : json_is_string(effect) && strcmp(json_string_value(effect), "permit") == 0;
	rule->denies = !permits;
	rule->purposes = UINT64_MAX;
	rule->truth = PLAIN_TRUE;
	rule->condition_count = 0;
	rule->compiles = take_document(vocabulary, batch, row, rule) &&
		(permits || (json_is_string(effect) && strcmp(json_string_value(effect), "deny") == 0));
	for (uint32_t i = 0; i < rule->condition_count; i++)
		if (rule->conditions[i].truth < rule->truth)
			rule->truth = rule->conditions[i].truth;
	if (!rule->compiles) {
		rule->purposes = rule->denies ? UINT64_MAX : 0;
		rule->truth = rule->denies ? PLAIN_TRUE : PLAIN_FALSE;
	}
	rule->purposes &= vocabulary->purpose_count < 64 ? ((uint64_t)1 << vocabulary->purpose_count) - 1 : UINT64_MAX;
}

void plain_rule_done(struct plain_rule *rule)
{
	json_decref(rule->document);
	rule->document = NULL;
}

struct judging {
	const struct consent_vocabulary *vocabulary;
	const struct weir_batch *batch;
	uint32_t row;
	uint64_t withdrawn_at[CONSENT_PURPOSES_MAX]; /* number of the withdrawal, 0: none */
	uint64_t permitted, denied;
};

static void note_withdrawal(void *context, uint32_t purpose, uint64_t lsn)
{
	struct judging *judging = context;
	judging->withdrawn_at[purpose] = lsn;
}

static void judge_rule(void *context, const struct consent_rule_view *view)
{
	struct judging *judging = context;
	struct plain_rule rule;
	plain_rule_judge(judging->vocabulary, view->body, judging->batch, judging->row, &rule);
	for (uint32_t p = 0; p < judging->vocabulary->purpose_count; p++) {
		uint64_t bit = (uint64_t)1 << p;
		if ((rule.purposes & bit) == 0)
			continue;
		if (rule.denies && rule.truth != PLAIN_FALSE)
			judging->denied |= bit;
		if (!rule.denies && rule.truth == PLAIN_TRUE && view->lsn >= judging->withdrawn_at[p])
			judging->permitted |= bit;
	}
	plain_rule_done(&rule);
}

int consent_evaluate_plain(const struct consent_rules *rules, const struct weir_batch *batch, uint32_t row,
	uint64_t *ret_mask, struct weir_error *err)
{
	struct judging judging = {.vocabulary = consent_rules_vocabulary(rules), .batch = batch, .row = row};
	struct weir_str subject;
	*ret_mask = 0;
	if (row >= batch->row_count)
		return weir_fail(
			err, WEIR_E_INTERNAL, "consent was asked about row %u of a batch of %u", row, batch->row_count);
	if (!plain_subject(judging.vocabulary, batch, row, &subject))
		return 0;
	/* Withdrawals first: a permit needs to know them. */
	consent_rules_each(rules, subject, NULL, note_withdrawal, &judging);
	consent_rules_each(rules, subject, judge_rule, NULL, &judging);
	*ret_mask = judging.permitted & ~judging.denied;
	return 0;
}
