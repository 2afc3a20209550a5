/*
 * Sets of rules, immutable and shared: see compiled.h for the layout.
 *
 * An edit copies the partition of its subject (unless this set alone holds it) and writes one new
 * record; everything else is shared with the set before. Counting by reference is atomic, so sets
 * may be held and dropped by any thread; a set under construction belongs to one.
 */
#include "consent/compiled.h"

#include <stdlib.h>

#define PARTITION_FIRST 8

struct consent_rules *consent_rules_new(const struct consent_vocabulary *vocabulary)
{
	struct consent_rules *rules = weir_zalloc(sizeof *rules);
	atomic_init(&rules->refs, 1);
	rules->vocabulary = vocabulary;
	rules->intern = consent_intern_new(vocabulary);
	rules->active = consent_purposes_active(vocabulary);
	return rules;
}

struct consent_rules *consent_rules_ref(struct consent_rules *rules)
{
	atomic_fetch_add_explicit(&rules->refs, 1, memory_order_relaxed);
	return rules;
}

static void record_unref(struct consent_intern *intern, struct consent_record *record)
{
	if (atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < record->rule_count; i++)
		consent_compiled_unref(intern, record->rules[i].body);
	free(record);
}

static void partition_unref(struct consent_intern *intern, struct consent_partition *partition)
{
	if (partition == NULL || atomic_fetch_sub_explicit(&partition->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < partition->capacity; i++)
		if (partition->slots[i].record != NULL)
			record_unref(intern, partition->slots[i].record);
	free(partition);
}

void consent_rules_unref(struct consent_rules *rules)
{
	if (rules == NULL || atomic_fetch_sub_explicit(&rules->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < CONSENT_PARTITIONS; i++)
		partition_unref(rules->intern, rules->partitions[i]);
	consent_intern_unref(rules->intern);
	free(rules);
}

uint64_t consent_rules_lsn(const struct consent_rules *rules)
{
	return rules->lsn;
}

const struct consent_vocabulary *consent_rules_vocabulary(const struct consent_rules *rules)
{
	return rules->vocabulary;
}

uint64_t consent_rules_subjects(const struct consent_rules *rules)
{
	return rules->subject_count;
}

const struct consent_record *consent_rules_find(
	const struct consent_rules *rules, uint64_t hash, struct weir_str subject)
{
	const struct consent_partition *partition = consent_partition_of(rules, hash);
	if (partition == NULL)
		return NULL;
	uint32_t mask = partition->capacity - 1;
	for (uint32_t at = (uint32_t)hash & mask; partition->slots[at].record != NULL; at = (at + 1) & mask) {
		const struct consent_slot *slot = &partition->slots[at];
		if (slot->hash == hash && weir_str_equal(consent_record_subject(slot->record), subject))
			return slot->record;
	}
	return NULL;
}

/* ---- partitions ---- */

static struct consent_partition *partition_new(uint32_t capacity)
{
	struct consent_partition *partition = weir_zalloc(sizeof *partition + capacity * sizeof partition->slots[0]);
	atomic_init(&partition->refs, 1);
	partition->capacity = capacity;
	return partition;
}

static void partition_put(struct consent_partition *partition, uint64_t hash, struct consent_record *record)
{
	uint32_t mask = partition->capacity - 1, at = (uint32_t)hash & mask;
	while (partition->slots[at].record != NULL)
		at = (at + 1) & mask;
	partition->slots[at] = (struct consent_slot){hash, record};
	partition->count++;
}

/* The partition with room for one more and no other holder. */
static struct consent_partition *partition_own(struct consent_rules *own, uint64_t hash)
{
	struct consent_partition **place = &own->partitions[hash >> (64 - CONSENT_PARTITION_BITS)], *old = *place;
	if (old == NULL)
		return *place = partition_new(PARTITION_FIRST);
	bool alone = atomic_load_explicit(&old->refs, memory_order_acquire) == 1;
	bool room = (old->count + 1) * 4 <= old->capacity * 3;
	if (alone && room)
		return old;
	struct consent_partition *copy = partition_new(room ? old->capacity : old->capacity * 2);
	for (uint32_t i = 0; i < old->capacity; i++) {
		if (old->slots[i].record == NULL)
			continue;
		atomic_fetch_add_explicit(&old->slots[i].record->refs, 1, memory_order_relaxed);
		partition_put(copy, old->slots[i].hash, old->slots[i].record);
	}
	*place = copy;
	partition_unref(own->intern, old);
	return copy;
}

static struct consent_slot *partition_find(struct consent_partition *partition, uint64_t hash, struct weir_str subject)
{
	uint32_t mask = partition->capacity - 1;
	for (uint32_t at = (uint32_t)hash & mask; partition->slots[at].record != NULL; at = (at + 1) & mask)
		if (partition->slots[at].hash == hash &&
			weir_str_equal(consent_record_subject(partition->slots[at].record), subject))
			return &partition->slots[at];
	return NULL;
}

/* ---- a record while it is edited ---- */

struct draft_rule {
	struct weir_str id; /* borrowed from the old record or the edit */
	struct consent_compiled *body;
	uint64_t lsn;
	uint32_t version;
};

struct draft {
	struct consent_intern *intern;
	struct weir_str subject;
	uint32_t changes;
	uint64_t lsn;
	struct draft_rule rules[CONSENT_SUBJECT_RULES_MAX]; /* by id */
	uint32_t rule_count;
	struct consent_withdrawal withdrawals[CONSENT_PURPOSES_MAX];
	uint32_t withdrawal_count;
};

static void draft_open(struct draft *draft, struct consent_intern *intern, struct weir_str subject,
	const struct consent_record *record)
{
	draft->intern = intern;
	draft->subject = subject;
	draft->changes = record != NULL ? record->changes : 0;
	draft->lsn = record != NULL ? record->lsn : 0;
	draft->rule_count = draft->withdrawal_count = 0;
	if (record == NULL)
		return;
	for (uint32_t i = 0; i < record->rule_count; i++) {
		const struct consent_stored *rule = &record->rules[i];
		atomic_fetch_add_explicit(&rule->body->refs, 1, memory_order_relaxed);
		draft->rules[draft->rule_count++] =
			(struct draft_rule){consent_record_rule_id(record, rule), rule->body, rule->lsn, rule->version};
	}
	draft->withdrawal_count = record->withdrawal_count;
	memcpy(draft->withdrawals, consent_record_withdrawals(record),
		record->withdrawal_count * sizeof draft->withdrawals[0]);
}

/* Index of the rule, or of the place where it belongs. */
static uint32_t draft_find(const struct draft *draft, struct weir_str id, bool *ret_found)
{
	uint32_t at = 0;
	int order = -1;
	while (at < draft->rule_count && (order = weir_str_compare(draft->rules[at].id, id)) < 0)
		at++;
	*ret_found = at < draft->rule_count && order == 0;
	return at;
}

static void draft_post(struct draft *draft, const struct consent_edit *edit)
{
	bool found;
	uint32_t at = draft_find(draft, edit->rule_id, &found);
	struct consent_compiled *body = consent_intern_body(draft->intern, edit->body);
	if (found) {
		consent_compiled_unref(draft->intern, draft->rules[at].body);
	} else {
		WEIR_ASSERT(
			draft->rule_count < CONSENT_SUBJECT_RULES_MAX && edit->rule_id.size <= CONSENT_RULE_ID_BYTES);
		memmove(&draft->rules[at + 1], &draft->rules[at], (draft->rule_count - at) * sizeof draft->rules[0]);
		draft->rule_count++;
	}
	draft->rules[at] = (struct draft_rule){edit->rule_id, body, edit->lsn, edit->version};
}

static void draft_remove(struct draft *draft, struct weir_str id)
{
	bool found;
	uint32_t at = draft_find(draft, id, &found);
	if (!found)
		return;
	consent_compiled_unref(draft->intern, draft->rules[at].body);
	draft->rule_count--;
	memmove(&draft->rules[at], &draft->rules[at + 1], (draft->rule_count - at) * sizeof draft->rules[0]);
}

static void draft_withdraw(struct draft *draft, uint32_t purpose, uint64_t lsn)
{
	uint32_t at = 0;
	WEIR_ASSERT(purpose < CONSENT_PURPOSES_MAX);
	while (at < draft->withdrawal_count && draft->withdrawals[at].purpose != purpose)
		at++;
	if (at == draft->withdrawal_count)
		draft->withdrawals[draft->withdrawal_count++] = (struct consent_withdrawal){lsn, purpose};
	else if (draft->withdrawals[at].lsn < lsn)
		draft->withdrawals[at].lsn = lsn;
}

static void draft_edit(struct draft *draft, const struct consent_edit *edit)
{
	switch (edit->kind) {
	case CONSENT_POST:
		draft_post(draft, edit);
		break;
	case CONSENT_WITHDRAW:
		draft_withdraw(draft, edit->purpose, edit->lsn);
		break;
	case CONSENT_REMOVE:
		draft_remove(draft, edit->rule_id);
		break;
	}
	draft->changes++;
	if (edit->lsn > draft->lsn)
		draft->lsn = edit->lsn;
}

/* The draft's references to bodies become the record's. */
static struct consent_record *draft_seal(const struct draft *draft)
{
	size_t text_size = draft->subject.size;
	for (uint32_t i = 0; i < draft->rule_count; i++)
		text_size += draft->rules[i].id.size;
	struct consent_record *record = weir_zalloc(sizeof *record + draft->rule_count * sizeof record->rules[0] +
		draft->withdrawal_count * sizeof(struct consent_withdrawal) + text_size);
	atomic_init(&record->refs, 1);
	record->changes = draft->changes;
	record->lsn = draft->lsn;
	record->rule_count = (uint16_t)draft->rule_count;
	record->withdrawal_count = (uint16_t)draft->withdrawal_count;
	record->subject_size = (uint16_t)draft->subject.size;
	struct consent_withdrawal *withdrawals = (struct consent_withdrawal *)(void *)&record->rules[draft->rule_count];
	memcpy(withdrawals, draft->withdrawals, draft->withdrawal_count * sizeof withdrawals[0]);
	char *texts = (char *)&withdrawals[draft->withdrawal_count];
	size_t offset = draft->subject.size;
	memcpy(texts, draft->subject.data, draft->subject.size);
	for (uint32_t i = 0; i < draft->rule_count; i++) {
		const struct draft_rule *rule = &draft->rules[i];
		record->rules[i] = (struct consent_stored){
			rule->body, rule->lsn, rule->version, (uint16_t)offset, (uint8_t)rule->id.size};
		memcpy(texts + offset, rule->id.data, rule->id.size);
		offset += rule->id.size;
	}
	return record;
}

/* ---- edits ---- */

/* All edits of one subject make one new record. */
static void edit_subject(struct consent_rules *own, struct draft *draft, struct weir_str subject,
	const struct consent_edit *edits, uint32_t count, uint32_t changes, uint64_t lsn)
{
	WEIR_ASSERT(subject.size > 0 && subject.size <= CONSENT_RULE_SUBJECT_BYTES);
	uint64_t hash = consent_subject_hash(subject);
	struct consent_partition *partition = partition_own(own, hash);
	struct consent_slot *slot = partition_find(partition, hash, subject);
	draft_open(draft, own->intern, subject, slot != NULL ? slot->record : NULL);
	for (uint32_t i = 0; i < count; i++)
		draft_edit(draft, &edits[i]);
	if (count == 0) {
		draft->changes = changes;
		draft->lsn = lsn;
	}
	struct consent_record *record = draft_seal(draft);
	if (slot != NULL) {
		record_unref(own->intern, slot->record);
		slot->record = record;
	} else {
		partition_put(partition, hash, record);
		own->subject_count++;
	}
}

void consent_rules_edit(struct consent_rules *own, const struct consent_edit *edits, uint32_t count, uint64_t lsn)
{
	struct draft *draft = weir_alloc(sizeof *draft);
	for (uint32_t i = 0, next; i < count; i = next) {
		for (next = i + 1; next < count && weir_str_equal(edits[next].subject, edits[i].subject);)
			next++;
		edit_subject(own, draft, edits[i].subject, &edits[i], next - i, 0, 0);
	}
	free(draft);
	own->lsn = lsn;
}

void consent_rules_set_changes(struct consent_rules *own, struct weir_str subject, uint32_t changes, uint64_t lsn)
{
	struct draft *draft = weir_alloc(sizeof *draft);
	edit_subject(own, draft, subject, NULL, 0, changes, lsn);
	free(draft);
}

struct consent_rules *consent_rules_apply(
	const struct consent_rules *base, const struct consent_edit *edits, uint32_t count, uint64_t lsn)
{
	struct consent_rules *rules = weir_zalloc(sizeof *rules);
	atomic_init(&rules->refs, 1);
	rules->vocabulary = base->vocabulary;
	rules->intern = consent_intern_ref(base->intern);
	rules->active = base->active;
	rules->subject_count = base->subject_count;
	for (uint32_t i = 0; i < CONSENT_PARTITIONS; i++) {
		rules->partitions[i] = base->partitions[i];
		if (rules->partitions[i] != NULL)
			atomic_fetch_add_explicit(&rules->partitions[i]->refs, 1, memory_order_relaxed);
	}
	consent_rules_edit(rules, edits, count, lsn);
	return rules;
}

/* ---- looking in ---- */

uint64_t consent_stored_purposes(
	const struct consent_record *record, const struct consent_stored *rule, uint64_t active)
{
	uint64_t purposes = rule->body->purposes & active;
	if (rule->body->effect == CONSENT_DENY)
		return purposes;
	const struct consent_withdrawal *withdrawals = consent_record_withdrawals(record);
	for (uint32_t i = 0; i < record->withdrawal_count; i++)
		if (rule->lsn < withdrawals[i].lsn)
			purposes &= ~((uint64_t)1 << withdrawals[i].purpose);
	return purposes;
}

void consent_rules_each(const struct consent_rules *rules, struct weir_str subject, consent_rule_fn *rule,
	consent_withdrawn_fn *withdrawn, void *context)
{
	const struct consent_record *record = consent_rules_find(rules, consent_subject_hash(subject), subject);
	if (record == NULL)
		return;
	for (uint32_t i = 0; i < record->rule_count; i++) {
		const struct consent_stored *stored = &record->rules[i];
		struct consent_rule_view view = {consent_record_rule_id(record, stored), stored->body->body,
			stored->body->effect, stored->body->purposes & rules->active, stored->lsn, stored->version,
			!stored->body->broken};
		if (rule != NULL)
			rule(context, &view);
	}
	const struct consent_withdrawal *withdrawals = consent_record_withdrawals(record);
	for (uint32_t i = 0; withdrawn != NULL && i < record->withdrawal_count; i++)
		withdrawn(context, withdrawals[i].purpose, withdrawals[i].lsn);
}

uint32_t consent_rules_changes(const struct consent_rules *rules, struct weir_str subject)
{
	const struct consent_record *record = consent_rules_find(rules, consent_subject_hash(subject), subject);
	return record != NULL ? record->changes : 0;
}

uint64_t consent_rules_possible(const struct consent_rules *rules, struct weir_str subject)
{
	const struct consent_record *record = consent_rules_find(rules, consent_subject_hash(subject), subject);
	uint64_t possible = 0;
	for (uint32_t i = 0; record != NULL && i < record->rule_count; i++)
		if (record->rules[i].body->effect == CONSENT_PERMIT)
			possible |= consent_stored_purposes(record, &record->rules[i], rules->active);
	return possible;
}
