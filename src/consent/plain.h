/*
 * The plain evaluator: the contract's sentences as directly as code can say them, row by row from the
 * JSON bodies. Internal to consent/: consent_evaluate_plain answers by it, consent_explain shows it.
 */
#ifndef WEIR_CONSENT_PLAIN_H
#define WEIR_CONSENT_PLAIN_H

#include <jansson.h>

#include "consent/rules.h"

enum plain_truth { PLAIN_FALSE, PLAIN_UNKNOWN, PLAIN_TRUE };

/* What a row holds for a condition. */
struct plain_value {
	enum { PLAIN_MISSING, PLAIN_OTHER, PLAIN_TEXT, PLAIN_NUMBER, PLAIN_BOOLEAN, PLAIN_PERIOD } kind;
	struct weir_str text;
	double number;
	bool boolean;
	int64_t start_us, end_us; /* PERIOD: both included; a point has the same twice */
};

struct plain_condition {
	const char *dimension; /* these point into the rule's document */
	const char *metric;    /* NULL: the dimension has none */
	const char *op;
	const json_t *values; /* array, or NULL for EXISTS */
	struct plain_value value;
	enum plain_truth truth;
	const char *why;
};

#define PLAIN_CONDITIONS 160

struct plain_rule {
	json_t *document; /* owned */
	bool compiles;
	bool denies;
	uint64_t purposes;
	enum plain_truth truth;
	uint32_t condition_count;
	struct plain_condition conditions[PLAIN_CONDITIONS];
};

/* Judges one body for one row. Call plain_rule_done afterwards. */
void plain_rule_judge(const struct consent_vocabulary *vocabulary, struct weir_str body, const struct weir_batch *batch,
	uint32_t row, struct plain_rule *ret_rule);
void plain_rule_done(struct plain_rule *rule);
/* The row's subject; false where it has none. */
bool plain_subject(const struct consent_vocabulary *vocabulary, const struct weir_batch *batch, uint32_t row,
	struct weir_str *ret_subject);

#endif
