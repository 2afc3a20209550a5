/*
 * Consent rules: what one says (parsed and checked), and what a set of them permits (compiled and
 * evaluated). Pure: no I/O, no clock. docs/CONSENT.md is the contract; section names are quoted.
 *
 * A vocabulary names what rules may speak of: purposes, dimensions and the columns they test. It is
 * made from a lake's description and is immutable.
 */
#ifndef WEIR_CONSENT_RULES_H
#define WEIR_CONSENT_RULES_H

#include "base/arena.h"
#include "base/json.h"
#include "column/batch.h"
#include "expr/expr.h"

#define CONSENT_PURPOSES_MAX   64 /* a mask of purposes is a uint64_t */
#define CONSENT_DIMENSIONS_MAX 64
#define CONSENT_RULE_BYTES     65536 /* of a rule's JSON */

enum consent_dimension_kind {
	CONSENT_DIM_TEXT,
	CONSENT_DIM_NUMBER,
	CONSENT_DIM_BOOLEAN,
	CONSENT_DIM_TIME,
	CONSENT_DIM_METRICS
};

struct consent_dimension {
	struct weir_str name; /* in a rule: "activity", "time", "metric_conditions" */
	enum consent_dimension_kind kind;
	struct weir_str column;      /* of the silver row; metrics: unused */
	struct weir_str until;       /* time: the column of a period's end, "" where none; its start is until_start */
	struct weir_str until_start; /* time: the column of a period's start, "" where none */
	const struct weir_str *columns; /* metrics: metric names that are columns */
	uint32_t column_count;
	struct weir_str map; /* metrics: the map column for all others, "" where none */
};

struct consent_vocabulary {
	struct weir_str name;    /* of the section in lake.yaml */
	struct weir_str subject; /* the column that names the data subject */
	uint32_t purpose_count, dimension_count;
	const struct weir_str *purposes; /* bit i of a mask is purpose i; the retired ones follow those in use */
	const struct consent_dimension *dimensions;
	/* Purposes that the lake had once: they keep a bit for fence and tasks while their rows go; no rule may name
	 * one and none is ever permitted. consent_open fills this in its own copy; who describes a lake leaves it 0. */
	uint32_t retired_count;
};

/* Bit of a purpose in use, or -1. */
int consent_purpose_index(const struct consent_vocabulary *vocabulary, struct weir_str purpose);

/* ---- one rule ---- */
#define CONSENT_RULE_SUBJECT_BYTES 256
#define CONSENT_RULE_ID_BYTES      128

enum consent_effect { CONSENT_PERMIT, CONSENT_DENY };

/* A rule as it was posted and checked. The body is canonical JSON: "userId" and "ruleId" left out, members sorted, so
 * that equal rules have equal bodies and a million subjects share a few thousand of them. */
struct consent_rule {
	struct weir_str subject, rule_id;
	enum consent_effect effect;
	uint64_t purposes; /* a deny without purpose: all bits of the vocabulary */
	struct weir_str body;
};

/* One problem of a rule: 422 with the path into the document, the value and the remedy. Texts in arena. */
struct consent_problem {
	struct weir_str path; /* "/dimensions/time/values/1/value" */
	struct weir_str value;
	const char *problem, *remedy;
};

/*
 * Parses and checks ("A rule"). 0, or WEIR_E_INPUT with *ret_problem. Beyond the contract's words:
 *   - A deny's purposes may be named by IN, EQUALS, NOT_IN or NOT_EQUALS; the last two deny all others, later ones
 *     included.
 *   - Literals of a dimension have its kind. A metric takes numbers, texts or booleans, of one kind in a condition; its
 *     text never equals a number, nor "true" a boolean. "type" may be text (string), number, boolean, date, time.
 *   - Times need a zone. EXISTS takes no value. metric_conditions names at least one metric; without a map, known ones
 *     only.
 * What is read back from the database is judged the same, but for a purpose that the vocabulary has lost: it gives no
 * bit, and the rest of the rule stands.
 */
int consent_rule_parse(const struct consent_vocabulary *vocabulary, struct weir_arena *arena, struct weir_str json,
	struct consent_rule *ret_rule, struct consent_problem *ret_problem, struct weir_error *err);

/* ---- a set of rules at one number of the log: immutable, shared by reference ---- */
struct consent_rules;
/* Empty, number 0; vocabulary outlives it and all sets made from it. */
struct consent_rules *consent_rules_new(const struct consent_vocabulary *vocabulary);
struct consent_rules *consent_rules_ref(struct consent_rules *rules);
void consent_rules_unref(struct consent_rules *rules);
uint64_t consent_rules_lsn(const struct consent_rules *rules);
const struct consent_vocabulary *consent_rules_vocabulary(const struct consent_rules *rules);
uint64_t consent_rules_subjects(const struct consent_rules *rules);

/* What one change of the log does to the set. A rule that does not compile stays: as a permit it gives nothing, as a
 * deny it denies everything ("When a rule holds"). */
struct consent_edit {
	enum { CONSENT_POST, CONSENT_WITHDRAW, CONSENT_REMOVE } kind;
	struct weir_str subject;
	struct weir_str rule_id; /* POST, REMOVE */
	uint32_t purpose;        /* WITHDRAW: its bit */
	struct weir_str body;    /* POST: canonical */
	uint64_t lsn;            /* of this change */
	uint32_t version;        /* POST: the rule's version */
};
/* A new set with the edits applied, in order; shares everything that did not change (cost: the touched subjects).
 * lsn: the number that the new set carries. */
struct consent_rules *consent_rules_apply(
	const struct consent_rules *base, const struct consent_edit *edits, uint32_t count, uint64_t lsn);
/* What the subject's rules are, for GET and explain: calls rule for each in order of rule_id, withdrawn for each
 * withdrawal; either may be NULL. */
struct consent_rule_view {
	struct weir_str rule_id, body;
	enum consent_effect effect;
	uint64_t purposes; /* in use; withdrawals are not taken off */
	uint64_t lsn;
	uint32_t version;
	bool compiles; /* false: "a stored rule that no longer compiles" */
};
typedef void consent_rule_fn(void *context, const struct consent_rule_view *rule);
typedef void consent_withdrawn_fn(void *context, uint32_t purpose, uint64_t lsn);
void consent_rules_each(const struct consent_rules *rules, struct weir_str subject, consent_rule_fn *rule,
	consent_withdrawn_fn *withdrawn, void *context);
uint32_t consent_rules_changes(const struct consent_rules *rules, struct weir_str subject); /* consent_version */
/* Purposes for which some permit of the subject might hold for some row: the most that it can have in gold. */
uint64_t consent_rules_possible(const struct consent_rules *rules, struct weir_str subject);

/*
 * ---- evaluation over silver rows ----
 *
 * What a row holds for a condition:
 *   text     a string column; number: int, long, float, double; boolean: a boolean column. Any other type is unknown.
 *   time     a timestamp column. A row with until, or a named until_start, not null is an aggregate: its period runs
 *            from until_start (the event time where none is named) to until, both included; with one of them null it
 *            is missing, with its ends reversed unknown.
 *   metrics  the metric's own column where that is not null (NaN: missing), else the first entry of that name in the
 *            map.
 * A column that the schema lacks is missing. A row without subject is permitted nothing.
 */
struct consent_binding;
/* Resolves the vocabulary's columns in a schema, which outlives the binding; holds a reference to rules. */
int consent_binding_new(struct consent_rules *rules, const struct weir_schema *schema,
	struct consent_binding **ret_binding, struct weir_error *err);
void consent_binding_free(struct consent_binding *binding);
/* ret_masks[row]: bit p set where (row, purpose p) is permitted; ret_versions[row] (may be NULL): the subject's count
 * of changes. On error all masks are 0. Not thread-safe on one binding (it caches the last subjects and dictionary
 * tests). */
int consent_evaluate(struct consent_binding *binding, const struct weir_batch *batch, uint64_t *ret_masks,
	uint32_t *ret_versions, struct weir_error *err);
/* The same by the plainest possible code, row by row from the canonical JSON bodies: for check and as an oracle in
 * tests. Shares no code with consent_evaluate below the JSON parser. */
int consent_evaluate_plain(const struct consent_rules *rules, const struct weir_batch *batch, uint32_t row,
	uint64_t *ret_mask, struct weir_error *err);

/* ---- explanation (G8) ---- */
/* Writes an object: {"purpose", "permitted", "lsn", "rules": [{"ruleId", "version", "effect", "holds":
 * "true|false|unknown", "withdrawn", "conditions": [{"dimension", "operator", "values", "value", "truth", "why"}]}],
 * "because": "..."}. */
int consent_explain(const struct consent_rules *rules, const struct weir_batch *batch, uint32_t row, uint32_t purpose,
	struct weir_json *json, struct weir_error *err);

#endif
