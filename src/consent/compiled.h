/*
 * Compiled rules and the sets that hold them. Internal to consent/.
 *
 * Bodies and the texts that they compare with are interned: one struct a distinct body, one a
 * distinct text, counted by reference, so that a million subjects share a few thousand bodies and a
 * comparison of texts is one of addresses. Sets are persistent: partitions of a hash table by
 * subject, each shared between sets until one of them changes it.
 */
#ifndef WEIR_CONSENT_COMPILED_H
#define WEIR_CONSENT_COMPILED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "consent/model.h"

/* ---- interned texts and bodies ---- */

/* A text that some rule compares with. Its address stands for it: while a rule holds it, no other has it. */
struct consent_text {
	struct consent_text *next; /* in its bucket */
	uint64_t hash;
	uint64_t refs;        /* under the intern lock */
	struct weir_str text; /* bytes follow the struct */
};

/* Instants of a time condition, both ends included. */
struct consent_interval {
	int64_t first_us, last_us;
};

/* One condition, ready to test. Which members count follows from kind and op. */
struct consent_test {
	enum consent_dimension_kind kind;
	enum consent_operator op;
	bool negated; /* TEXT lists, TIME: NOT_IN, NOT_EQUALS */
	uint32_t dimension, metric_column;
	struct weir_str metric;
	struct consent_text **texts; /* TEXT lists: sorted by address */
	uint32_t text_count;
	struct expr_term terms[2]; /* NUMBER, BOOLEAN, METRICS, ordered TEXT: joined by AND */
	uint32_t term_count;
	struct consent_interval *intervals; /* TIME: disjoint, ascending, with gaps between */
	uint32_t interval_count;
};

struct consent_compiled {
	struct consent_compiled *next; /* in its bucket */
	uint64_t hash;
	atomic_uint_fast64_t refs; /* the last one goes under the intern lock */
	struct weir_arena *arena;  /* of all below */
	struct weir_str body;
	bool broken; /* does not compile */
	enum consent_effect effect;
	uint64_t purposes;          /* broken: none of a permit, all of a deny */
	struct consent_test *tests; /* the cheapest first */
	uint32_t test_count;
};

struct consent_intern;
struct consent_intern *consent_intern_new(const struct consent_vocabulary *vocabulary);
struct consent_intern *consent_intern_ref(struct consent_intern *intern);
void consent_intern_unref(struct consent_intern *intern);
/* The body's compiled form with a reference for the caller. Never fails: see broken. */
struct consent_compiled *consent_intern_body(struct consent_intern *intern, struct weir_str body);
void consent_compiled_unref(struct consent_intern *intern, struct consent_compiled *compiled);
/* Between these two, consent_intern_find may be called. */
void consent_intern_read(struct consent_intern *intern);
void consent_intern_read_end(struct consent_intern *intern);
/* The text's address, or one that no rule holds. */
const struct consent_text *consent_intern_find(const struct consent_intern *intern, struct weir_str text);
/* For the compiler, under the lock: the text with one more reference. */
struct consent_text *consent_intern_text(struct consent_intern *intern, struct weir_str text);

/* compile.c: fills all but next, hash, refs. */
void consent_compile(
	struct consent_intern *intern, const struct consent_vocabulary *vocabulary, struct consent_compiled *compiled);

/* ---- a subject's rules ---- */

#define CONSENT_SUBJECT_RULES_MAX 256 /* rules that one subject may have */

struct consent_stored {
	struct consent_compiled *body;
	uint64_t lsn;
	uint32_t version;
	uint16_t id_offset; /* in the record's texts */
	uint8_t id_size;
};

struct consent_withdrawal {
	uint64_t lsn;
	uint32_t purpose;
};

/* Immutable. In one block: the struct, rules by rule_id, withdrawals, texts (the subject, then rule ids). */
struct consent_record {
	atomic_uint_fast32_t refs;
	uint32_t changes;
	uint64_t lsn; /* the newest change */
	uint16_t rule_count, withdrawal_count, subject_size;
	struct consent_stored rules[];
};

static inline const struct consent_withdrawal *consent_record_withdrawals(const struct consent_record *record)
{
	return (const struct consent_withdrawal *)(const void *)&record->rules[record->rule_count];
}

static inline const char *consent_record_texts(const struct consent_record *record)
{
	return (const char *)&consent_record_withdrawals(record)[record->withdrawal_count];
}

static inline struct weir_str consent_record_subject(const struct consent_record *record)
{
	return (struct weir_str){consent_record_texts(record), record->subject_size};
}

static inline struct weir_str consent_record_rule_id(
	const struct consent_record *record, const struct consent_stored *rule)
{
	return (struct weir_str){consent_record_texts(record) + rule->id_offset, rule->id_size};
}

/* Purposes in use that the rule still gives (permit, less what was withdrawn since) or denies. */
uint64_t consent_stored_purposes(
	const struct consent_record *record, const struct consent_stored *rule, uint64_t active);

#define CONSENT_PARTITION_BITS 12
#define CONSENT_PARTITIONS     (1U << CONSENT_PARTITION_BITS)

struct consent_slot {
	uint64_t hash;
	struct consent_record *record; /* NULL: free */
};

/* Open addressing with linear probing; nothing is ever taken out. */
struct consent_partition {
	atomic_uint_fast32_t refs;
	uint32_t count, capacity; /* capacity: a power of two */
	struct consent_slot slots[];
};

struct consent_rules {
	atomic_uint_fast32_t refs;
	const struct consent_vocabulary *vocabulary;
	struct consent_intern *intern;
	uint64_t active; /* bits of the purposes in use */
	uint64_t lsn;
	uint64_t subject_count;
	struct consent_partition *partitions[CONSENT_PARTITIONS]; /* NULL: empty */
};

static inline uint64_t consent_subject_hash(struct weir_str subject)
{
	return weir_hash64(subject.data, subject.size);
}

static inline struct consent_partition *consent_partition_of(const struct consent_rules *rules, uint64_t hash)
{
	return rules->partitions[hash >> (64 - CONSENT_PARTITION_BITS)];
}

const struct consent_record *consent_rules_find(
	const struct consent_rules *rules, uint64_t hash, struct weir_str subject);

/* Applies edits to a set that only the caller holds; the same as consent_rules_apply otherwise. */
void consent_rules_edit(struct consent_rules *own, const struct consent_edit *edits, uint32_t count, uint64_t lsn);
/* Loading: sets count and newest number of a subject's changes. */
void consent_rules_set_changes(struct consent_rules *own, struct weir_str subject, uint32_t changes, uint64_t lsn);

#endif
