/*
 * The canonical body of a rule: JSON without userId and ruleId, members sorted, lists sorted, times in
 * UTC, dates recognisable by their form. Equal rules have equal bodies, and a body parses to itself.
 */
#include "consent/model.h"

#include "base/time.h"

static void write_literal(struct weir_json *json, const struct consent_literal *literal)
{
	char text[WEIR_TIME_TEXT];
	weir_json_object(json);
	weir_json_key(json, "value");
	switch (literal->kind) {
	case CONSENT_VALUE_TEXT:
		weir_json_string(json, literal->text);
		break;
	case CONSENT_VALUE_NUMBER:
		weir_json_double(json, literal->number);
		break;
	case CONSENT_VALUE_BOOLEAN:
		weir_json_bool(json, literal->boolean);
		break;
	case CONSENT_VALUE_TIME:
		if (literal->is_date)
			weir_json_string(
				json, (struct weir_str){text, weir_date_format(weir_day_of(literal->first_us), text)});
		else
			weir_json_time(json, literal->first_us);
		break;
	}
	weir_json_object_end(json);
}

static void write_condition(struct weir_json *json, const struct consent_condition *condition)
{
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", consent_operator_name(condition->op));
	if (condition->literal_count > 0) {
		weir_json_key(json, "values");
		weir_json_array(json);
		for (uint32_t i = 0; i < condition->literal_count; i++)
			write_literal(json, &condition->literals[i]);
		weir_json_array_end(json);
	}
	weir_json_object_end(json);
}

static void write_purpose(struct weir_json *json, const struct consent_model *model)
{
	weir_json_key(json, "purpose");
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", consent_operator_name(model->purpose_op));
	weir_json_key(json, "values");
	weir_json_array(json);
	for (uint32_t i = 0; i < model->purpose_count; i++) {
		struct consent_literal literal = {.kind = CONSENT_VALUE_TEXT, .text = model->purpose_names[i]};
		write_literal(json, &literal);
	}
	weir_json_array_end(json);
	weir_json_object_end(json);
}

/* Conditions of one dimension from `first` on; returns the index behind them. */
static uint32_t write_dimension(struct weir_json *json, const struct consent_vocabulary *vocabulary,
	const struct consent_model *model, uint32_t first)
{
	const struct consent_condition *condition = &model->conditions[first];
	uint32_t dimension = condition->dimension, next = first;
	weir_json_key_str(json, vocabulary->dimensions[dimension].name);
	if (vocabulary->dimensions[dimension].kind != CONSENT_DIM_METRICS) {
		write_condition(json, condition);
		return first + 1;
	}
	weir_json_object(json);
	for (; next < model->condition_count && model->conditions[next].dimension == dimension; next++) {
		weir_json_key_str(json, model->conditions[next].metric);
		write_condition(json, &model->conditions[next]);
	}
	weir_json_object_end(json);
	return next;
}

struct weir_str consent_model_body(
	const struct consent_vocabulary *vocabulary, const struct consent_model *model, struct weir_arena *arena)
{
	struct weir_buf buf = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&buf);
	bool purpose_due = model->has_purpose;
	weir_json_object(&json);
	weir_json_key(&json, "dimensions");
	weir_json_object(&json);
	for (uint32_t i = 0; i < model->condition_count;) {
		struct weir_str name = vocabulary->dimensions[model->conditions[i].dimension].name;
		if (purpose_due && weir_str_compare(WEIR_STR("purpose"), name) < 0) {
			write_purpose(&json, model);
			purpose_due = false;
		}
		i = write_dimension(&json, vocabulary, model, i);
	}
	if (purpose_due)
		write_purpose(&json, model);
	weir_json_object_end(&json);
	weir_json_key_cstring(&json, "effect", model->effect == CONSENT_DENY ? "deny" : "permit");
	weir_json_object_end(&json);
	struct weir_str body = weir_arena_str(arena, weir_buf_str(&buf));
	weir_buf_done(&buf);
	return body;
}

int consent_rule_parse(const struct consent_vocabulary *vocabulary, struct weir_arena *arena, struct weir_str json,
	struct consent_rule *ret_rule, struct consent_problem *ret_problem, struct weir_error *err)
{
	struct consent_model model;
	int code = consent_model_parse(vocabulary, arena, json, CONSENT_POSTED, &model, ret_problem, err);
	if (code != 0)
		return code;
	*ret_rule = (struct consent_rule){
		.subject = model.subject,
		.rule_id = model.rule_id,
		.effect = model.effect,
		.purposes = model.purposes & consent_purposes_active(vocabulary),
		.body = consent_model_body(vocabulary, &model, arena),
	};
	/* Escapes can make the canonical form longer than what was posted; it has to fit when it is read back. */
	if (ret_rule->body.size > CONSENT_RULE_BYTES) {
		*ret_problem = (struct consent_problem){
			WEIR_STR(""), WEIR_STR(""), "a rule of more than 65536 bytes in canonical form", "split it"};
		return weir_fail(err, WEIR_E_INPUT, "consent rule: more than 65536 bytes in canonical form; split it");
	}
	return 0;
}
