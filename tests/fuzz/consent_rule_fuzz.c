// uses: weir_consent
/*
 * Any bytes as a rule: they are refused with a path and a remedy, or they become a body that is its own
 * canonical form and on which both evaluators agree. The same bytes as a stored body must not do harm.
 */
#include <stdlib.h>
#include <string.h>

#include "unit/consent/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "consent_rule_fuzz: %s\n", what);
	abort();
}

static struct weir_batch *make_rows(void)
{
	struct weir_builder *builder = weir_builder_new(&fixture_schema);
	for (unsigned i = 0; i < 4; i++) {
		weir_builder_str(builder, ATHLETE, WEIR_STR("a"));
		if (i > 0) {
			weir_builder_i64(builder, TIMESTAMP, 1738411200000000LL + i);
			weir_builder_str(builder, ACTIVITY, i == 1 ? WEIR_STR("running") : WEIR_STR("cycling"));
			weir_builder_str(builder, CONTEXT, WEIR_STR("marathon_2025"));
			weir_builder_double(builder, HEART_RATE, 90 + 4 * i);
			weir_builder_map_entry(
				builder, RAW, WEIR_STR("spo2"), i == 1 ? WEIR_STR("97") : WEIR_STR("high"));
		}
		if (i == 3) {
			weir_builder_i64(builder, PERIOD_START, 1738368000000000LL);
			weir_builder_i64(builder, PERIOD_END, 1738454400000000LL);
		}
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	weir_builder_free(builder);
	return batch;
}

static void evaluate(struct weir_str body, bool canonical)
{
	struct consent_edit edit = {.kind = CONSENT_POST,
		.subject = WEIR_STR("a"),
		.rule_id = WEIR_STR("r"),
		.body = body,
		.lsn = 1,
		.version = 1};
	struct consent_rules *empty = consent_rules_new(&fixture_vocabulary);
	struct consent_rules *rules = consent_rules_apply(empty, &edit, 1, 1);
	struct weir_batch *batch = make_rows();
	struct consent_binding *binding;
	uint64_t masks[4], plain;
	must(consent_binding_new(rules, &fixture_schema, &binding, NULL) == 0, "no binding");
	must(consent_evaluate(binding, batch, masks, NULL, NULL) == 0, "not evaluated");
	for (uint32_t row = 0; row < 4; row++) {
		must(consent_evaluate_plain(rules, batch, row, &plain, NULL) == 0, "not evaluated plainly");
		must(!canonical || masks[row] == plain, "the evaluators differ");
	}
	consent_binding_free(binding);
	weir_batch_release(batch);
	consent_rules_unref(rules);
	consent_rules_unref(empty);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_str json = {(const char *)data, size};
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_rule rule, again;
	struct consent_problem problem = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	if (consent_rule_parse(&fixture_vocabulary, arena, json, &rule, &problem, &err) != 0) {
		must(err.code == WEIR_E_INPUT && problem.problem != NULL && problem.remedy != NULL,
			"a refusal without words");
	} else {
		struct weir_buf text = WEIR_BUF_INIT;
		weir_buf_puts(&text, "{\"userId\":\"a\",");
		weir_buf_append(&text, rule.body.data + 1, rule.body.size - 1);
		if (text.size <= CONSENT_RULE_BYTES) {
			must(consent_rule_parse(
				     &fixture_vocabulary, arena, weir_buf_str(&text), &again, &problem, &err) == 0,
				"a canonical body is refused");
			must(weir_str_equal(rule.body, again.body), "a canonical body is not its own canonical form");
		}
		weir_buf_done(&text);
		evaluate(rule.body, true);
	}
	/* What a damaged database might hold. Only harm is looked for: the evaluators may read odd spellings differently. */
	evaluate(json, false);
	weir_arena_free(arena);
	return 0;
}
