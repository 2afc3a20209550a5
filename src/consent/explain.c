/*
 * Explanations (G8): the plain evaluator's judgement of one (row, purpose) as JSON: which rule
 * version, which condition, true, false or unknown, and why.
 */
#include <stdlib.h>

#include "consent/plain.h"

static const char *truth_name(enum plain_truth truth)
{
	return truth == PLAIN_TRUE ? "true" : truth == PLAIN_FALSE ? "false" : "unknown";
}

static void write_value(struct weir_json *json, const struct plain_value *value)
{
	switch (value->kind) {
	case PLAIN_TEXT:
		weir_json_string(json, value->text);
		break;
	case PLAIN_NUMBER:
		weir_json_double(json, value->number);
		break;
	case PLAIN_BOOLEAN:
		weir_json_bool(json, value->boolean);
		break;
	case PLAIN_PERIOD:
		if (value->start_us == value->end_us) {
			weir_json_time(json, value->start_us);
			break;
		}
		weir_json_array(json);
		weir_json_time(json, value->start_us);
		weir_json_time(json, value->end_us);
		weir_json_array_end(json);
		break;
	default:
		weir_json_null(json);
	}
}

static void write_literals(struct weir_json *json, const json_t *values)
{
	size_t index;
	json_t *item;
	weir_json_array(json);
	json_array_foreach(values, index, item)
	{
		const json_t *literal = json_object_get(item, "value");
		if (json_is_string(literal))
			weir_json_string(
				json, (struct weir_str){json_string_value(literal), json_string_length(literal)});
		else if (json_is_boolean(literal))
			weir_json_bool(json, json_is_true(literal));
		else
			weir_json_double(json, json_number_value(literal));
	}
	weir_json_array_end(json);
}

static void write_conditions(struct weir_json *json, const struct plain_rule *rule)
{
	weir_json_key(json, "conditions");
	weir_json_array(json);
	for (uint32_t i = 0; i < rule->condition_count; i++) {
		const struct plain_condition *condition = &rule->conditions[i];
		weir_json_object(json);
		weir_json_key_cstring(json, "dimension", condition->dimension);
		if (condition->metric != NULL)
			weir_json_key_cstring(json, "metric", condition->metric);
		weir_json_key_cstring(json, "operator", condition->op);
		weir_json_key(json, "values");
		write_literals(json, condition->values);
		weir_json_key(json, "value");
		write_value(json, &condition->value);
		weir_json_key_cstring(json, "truth", truth_name(condition->truth));
		weir_json_key_cstring(json, "why", condition->why);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

struct explaining {
	const struct consent_vocabulary *vocabulary;
	const struct weir_batch *batch;
	uint32_t row, purpose;
	struct weir_json *json;
	uint64_t withdrawn_lsn;
	uint32_t rule_count;
	struct weir_str permit_id, deny_id, withdrawn_id; /* the first of each; borrowed from the set */
	uint32_t permit_version, deny_version;
	bool permit_found, deny_found, withdrawn_found, deny_broken, deny_unknown;
};

static void note_withdrawal(void *context, uint32_t purpose, uint64_t lsn)
{
	struct explaining *explaining = context;
	if (purpose == explaining->purpose)
		explaining->withdrawn_lsn = lsn;
}

/* Remembers the rules that decide. */
static void note_rule(struct explaining *explaining, const struct consent_rule_view *view,
	const struct plain_rule *rule, bool withdrawn)
{
	if ((rule->purposes >> explaining->purpose & 1) == 0)
		return;
	if (rule->denies && rule->truth != PLAIN_FALSE && !explaining->deny_found) {
		explaining->deny_found = true;
		explaining->deny_id = view->rule_id;
		explaining->deny_version = view->version;
		explaining->deny_broken = !rule->compiles;
		explaining->deny_unknown = rule->truth == PLAIN_UNKNOWN;
	}
	if (!rule->denies && withdrawn && rule->truth == PLAIN_TRUE && !explaining->withdrawn_found) {
		explaining->withdrawn_found = true;
		explaining->withdrawn_id = view->rule_id;
	}
	if (!rule->denies && !withdrawn && rule->truth == PLAIN_TRUE && !explaining->permit_found) {
		explaining->permit_found = true;
		explaining->permit_id = view->rule_id;
		explaining->permit_version = view->version;
	}
}

static void explain_rule(void *context, const struct consent_rule_view *view)
{
	struct explaining *explaining = context;
	struct weir_json *json = explaining->json;
	struct plain_rule *rule = weir_alloc(sizeof *rule);
	plain_rule_judge(explaining->vocabulary, view->body, explaining->batch, explaining->row, rule);
	bool names = (rule->purposes >> explaining->purpose & 1) != 0;
	bool withdrawn = !rule->denies && view->lsn < explaining->withdrawn_lsn;
	explaining->rule_count++;
	weir_json_object(json);
	weir_json_key_string(json, "ruleId", view->rule_id);
	weir_json_key_uint(json, "version", view->version);
	weir_json_key_uint(json, "lsn", view->lsn);
	weir_json_key_cstring(json, "effect", rule->denies ? "deny" : "permit");
	weir_json_key_bool(json, "compiles", rule->compiles);
	weir_json_key_bool(json, "namesPurpose", names);
	weir_json_key_cstring(json, "holds", truth_name(names ? rule->truth : PLAIN_FALSE));
	weir_json_key_bool(json, "withdrawn", names && withdrawn);
	write_conditions(json, rule);
	weir_json_object_end(json);
	note_rule(explaining, view, rule, withdrawn);
	plain_rule_done(rule);
	free(rule);
}

/* The sentence that a person reads first. */
static void write_because(struct explaining *explaining, struct weir_str purpose, bool has_subject)
{
	struct weir_buf text = WEIR_BUF_INIT;
	if (explaining->deny_found && explaining->deny_broken)
		weir_buf_printf(&text, "deny rule %.*s (version %u) no longer compiles, so it denies everything",
			WEIR_STR_ARG(explaining->deny_id), explaining->deny_version);
	else if (explaining->deny_found)
		weir_buf_printf(&text, "deny rule %.*s (version %u) %s", WEIR_STR_ARG(explaining->deny_id),
			explaining->deny_version,
			explaining->deny_unknown ? "is unknown for this row, and an unknown deny holds" : "holds");
	else if (explaining->permit_found)
		weir_buf_printf(&text, "permit rule %.*s (version %u) holds and no deny does",
			WEIR_STR_ARG(explaining->permit_id), explaining->permit_version);
	else if (explaining->withdrawn_found)
		weir_buf_printf(&text, "permit rule %.*s was withdrawn for %.*s by change %llu",
			WEIR_STR_ARG(explaining->withdrawn_id), WEIR_STR_ARG(purpose),
			(unsigned long long)explaining->withdrawn_lsn);
	else if (!has_subject)
		weir_buf_puts(&text, "the row names no data subject");
	else if (explaining->rule_count == 0)
		weir_buf_puts(&text, "the data subject has no rule");
	else
		weir_buf_printf(&text, "no permit for %.*s holds for this row", WEIR_STR_ARG(purpose));
	weir_json_key_string(explaining->json, "because", weir_buf_str(&text));
	weir_buf_done(&text);
}

int consent_explain(const struct consent_rules *rules, const struct weir_batch *batch, uint32_t row, uint32_t purpose,
	struct weir_json *json, struct weir_error *err)
{
	const struct consent_vocabulary *vocabulary = consent_rules_vocabulary(rules);
	struct explaining explaining = {
		.vocabulary = vocabulary, .batch = batch, .row = row, .purpose = purpose, .json = json};
	struct weir_str subject;
	uint64_t mask;
	if (purpose >= vocabulary->purpose_count)
		return weir_fail(err, WEIR_E_INPUT, "no purpose has number %u", purpose);
	int code = consent_evaluate_plain(rules, batch, row, &mask, err);
	if (code != 0)
		return code;
	bool has_subject = plain_subject(vocabulary, batch, row, &subject);
	weir_json_object(json);
	weir_json_key_string(json, "purpose", vocabulary->purposes[purpose]);
	weir_json_key_bool(json, "permitted", (mask >> purpose & 1) != 0);
	weir_json_key_uint(json, "lsn", consent_rules_lsn(rules));
	weir_json_key(json, "rules");
	weir_json_array(json);
	if (has_subject) {
		consent_rules_each(rules, subject, NULL, note_withdrawal, &explaining);
		consent_rules_each(rules, subject, explain_rule, NULL, &explaining);
	}
	weir_json_array_end(json);
	write_because(&explaining, vocabulary->purposes[purpose], has_subject);
	weir_json_object_end(json);
	return 0;
}
