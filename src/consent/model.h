/*
 * A rule as parsed: what the parser hands to the canonical writer and to the compiler. Internal to
 * consent/. Everything lives in the arena given to the parser; a model is read only.
 */
#ifndef WEIR_CONSENT_MODEL_H
#define WEIR_CONSENT_MODEL_H

#include "consent/rules.h"

#define CONSENT_VALUES_MAX     1000 /* literals of one condition */
#define CONSENT_CONDITIONS_MAX 128  /* of one rule, each metric counted */
#define CONSENT_NO_COLUMN      UINT32_MAX

enum consent_operator {
	CONSENT_IN,
	CONSENT_NOT_IN,
	CONSENT_EQUALS,
	CONSENT_NOT_EQUALS,
	CONSENT_BETWEEN,
	CONSENT_LT,
	CONSENT_LE,
	CONSENT_GT,
	CONSENT_GE,
	CONSENT_EXISTS,
	CONSENT_OPERATORS,
};

enum consent_value_kind { CONSENT_VALUE_TEXT, CONSENT_VALUE_NUMBER, CONSENT_VALUE_BOOLEAN, CONSENT_VALUE_TIME };

struct consent_literal {
	enum consent_value_kind kind;
	struct weir_str text;
	double number;
	bool boolean;
	bool is_date;              /* TIME: a UTC day, else an instant */
	int64_t first_us, last_us; /* TIME: the first and the last instant that it stands for */
};

struct consent_condition {
	uint32_t dimension;     /* index in the vocabulary */
	struct weir_str metric; /* METRICS: which */
	uint32_t metric_column; /* METRICS: index in the dimension's columns, or CONSENT_NO_COLUMN */
	enum consent_operator op;
	const struct consent_literal *literals; /* IN and NOT_IN: sorted, each once */
	uint32_t literal_count;
};

struct consent_model {
	struct weir_str subject, rule_id; /* empty in a stored body */
	enum consent_effect effect;
	bool has_purpose;
	enum consent_operator purpose_op;
	const struct weir_str *purpose_names; /* sorted, each once */
	uint32_t purpose_count;
	uint64_t purposes; /* the bits that it speaks of, retired purposes included; a deny of all has every bit */
	const struct consent_condition *conditions; /* by dimension's name, then by metric */
	uint32_t condition_count;
};

enum consent_document {
	CONSENT_POSTED, /* with userId; every purpose must be known */
	CONSENT_STORED, /* a canonical body; a purpose that the vocabulary lost has no bit */
};

int consent_model_parse(const struct consent_vocabulary *vocabulary, struct weir_arena *arena, struct weir_str json,
	enum consent_document document, struct consent_model *ret_model, struct consent_problem *ret_problem,
	struct weir_error *err);
/* The canonical body of a model, in arena. */
struct weir_str consent_model_body(
	const struct consent_vocabulary *vocabulary, const struct consent_model *model, struct weir_arena *arena);
/* Whether a body that does not parse was meant to deny: only a readable "permit" (or no effect) is not. */
enum consent_effect consent_body_effect(struct weir_str body);

/* "NOT_IN" */
const char *consent_operator_name(enum consent_operator op);
/* Index of a dimension, or -1. */
int consent_dimension_index(const struct consent_vocabulary *vocabulary, struct weir_str name);
/* Bit of a purpose, in use or retired, or -1. */
int consent_purpose_any(const struct consent_vocabulary *vocabulary, struct weir_str purpose);
/* The bits of the purposes in use. */
uint64_t consent_purposes_active(const struct consent_vocabulary *vocabulary);

#endif
