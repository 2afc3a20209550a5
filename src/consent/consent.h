/*
 * The consent log of a lake and what hangs on it: the current rules, the fence, the re-index tasks.
 * All of it is in the control database; this is its face, and its copy in memory. Thread-safe.
 *
 * A change is one control change: log row, rule row, fence rows, task rows, together and durable
 * before consent_append returns; then memory follows, in the order of the numbers, before the caller
 * is answered. docs/CONSENT.md, "The log" and "What a change does".
 *
 * Tables (migration "consent"; purposes by name, so that a vocabulary may be reordered):
 *   weir_consent_log(lsn PRIMARY KEY, at_us, kind, subject, rule_id, purpose, version, body)
 *       kind: post, withdraw, remove; purpose+, purpose-, dimension+, dimension-, dimension~ (changed)
 *   weir_consent_rules(subject, rule_id, version, lsn, body, PRIMARY KEY(subject, rule_id))   current rules
 *   weir_consent_withdrawals(subject, purpose, lsn, PRIMARY KEY(subject, purpose))            newest of each
 *   weir_consent_subjects(subject PRIMARY KEY, changes, lsn)                                  count and newest
 *   weir_fence(subject, purpose, lsn, PRIMARY KEY(subject, purpose))
 *   weir_tasks(subject, purpose, lsn, first_lsn, removes_lsn, removes, state 'open'|'done', reopened, generation,
 *              rows_done, rows_todo, created_us, started_us, done_us, PRIMARY KEY(subject, purpose))
 * A task's row stays when it is done: lsn and removes_lsn (the newest change of the pair that takes rows away)
 * are what the guard opens and fences again. reopened: the guard did so, hence there are rows to look at.
 */
#ifndef WEIR_CONSENT_CONSENT_H
#define WEIR_CONSENT_CONSENT_H

#include "base/time.h"
#include "consent/rules.h"
#include "control/control.h"

struct consent;

/* Reads everything into memory: rules of a million subjects in seconds. A purpose or dimension added to or taken from
 * the vocabulary since the last start is itself a change of the log: taken away, the rows that rested on it get fence
 * and tasks. vocabulary outlives it; consent_vocabulary_of is a copy that also knows the retired purposes that still
 * have tasks. */
int consent_open(struct control *control, const struct consent_vocabulary *vocabulary, struct weir_clock clock,
	struct consent **ret_consent, struct weir_error *err);
void consent_close(struct consent *consent); /* sets of rules that it handed out are unreferenced by then */
const struct consent_vocabulary *consent_vocabulary_of(const struct consent *consent);
/* The newest rules; never older than any change that was acknowledged before the call. Unref when done. */
struct consent_rules *consent_rules_newest(struct consent *consent);
uint64_t consent_head(struct consent *consent); /* the newest number */
/* The rules as of one control_read, from the tables: what belongs to the table versions of that very moment. The number
 * is the log's head then. vocabulary (of consent_vocabulary_of) outlives them; unref when done. */
int consent_rules_at(struct control_read *read, const struct consent_vocabulary *vocabulary,
	struct consent_rules **ret_rules, struct weir_error *err);

/* ---- changes ---- */
struct consent_change {
	enum { CONSENT_CHANGE_POST, CONSENT_CHANGE_WITHDRAW, CONSENT_CHANGE_REMOVE } kind;
	const struct consent_rule *rule; /* POST */
	struct weir_str subject;         /* WITHDRAW, REMOVE */
	uint32_t purpose;                /* WITHDRAW */
	struct weir_str rule_id;         /* REMOVE */
	bool has_if_match;               /* refuse as WEIR_E_CONFLICT ("stale") unless the subject's ETag is if_match */
	uint64_t if_match;               /* the subject's newest number (what GET's "lsn" and ETag say) */
};
struct consent_changed {
	uint64_t lsn;
	uint32_t version;
	bool nothing; /* idempotent: already withdrawn, no such rule, equal body; lsn is that of the earlier change */
	uint64_t removes, adds; /* masks of purposes whose rows may go, may come */
};
#define CONSENT_APPEND_MAX 100000 /* changes of one call */
/* Appends the changes as one transaction (all or none), durable on return; callers at the same time share one sync. A
 * posted version can take rows away from every purpose that its earlier version gave (permit) or that it denies; it can
 * bring rows to every purpose that it gives, or that its earlier version denied. Purposes for which the subject had (or
 * will have) no permit at all are left out, and where two versions differ in nothing but their purposes, so are those
 * that both name. WEIR_E_UNKNOWN: the control database cannot say whether it happened; the next call finds out. */
int consent_append(struct consent *consent, const struct consent_change *changes, uint32_t count,
	struct consent_changed *ret_changed, struct weir_error *err);
/* After it memory has all that the database had: waits for an append that is half way, and reads the log again after one whose
 * outcome was unknown. */
int consent_catch_up(struct consent *consent, struct weir_error *err);
/* Newest number of a subject's changes, 0 where it has none; for ETag. */
uint64_t consent_subject_lsn(struct consent *consent, struct weir_str subject);

/* ---- the fence ---- */
/* An immutable copy of the fence at one moment. */
struct consent_fence;
struct consent_fence *consent_fence_ref(struct consent *consent);
void consent_fence_unref(struct consent_fence *fence);
uint64_t consent_fence_count(const struct consent_fence *fence);
/* True where rows of (subject, purpose) with consent_lsn < row_lsn's fence number are to be left out. */
bool consent_fence_hides(
	const struct consent_fence *fence, struct weir_str subject, uint32_t purpose, uint64_t row_lsn);
bool consent_fence_touches(const struct consent_fence *fence, uint32_t purpose); /* any entry for the purpose */
typedef void consent_fence_fn(void *context, struct weir_str subject, uint32_t purpose, uint64_t lsn);
void consent_fence_each(const struct consent_fence *fence, consent_fence_fn *entry, void *context);
/* Grows whenever an entry is added, or is lifted: a reader that sees it changed plans again. One atomic load. */
uint64_t consent_fence_generation(const struct consent *consent);

/* ---- tasks ---- */
struct consent_task {
	struct weir_str subject; /* in the arena given */
	uint32_t purpose;
	uint64_t lsn;        /* the newest change that it covers */
	uint64_t generation; /* grows when it is opened again */
	bool removes;
	int64_t created_us;
	bool subject_all; /* reserved: 0 */
};
/* Open tasks, those that remove first, then oldest first; up to limit, in arena. As the database has them: a change is there a
 * moment before it is among consent_rules_newest. */
int consent_tasks_open(struct consent *consent, struct weir_arena *arena, uint32_t limit,
	struct consent_task **ret_tasks, uint32_t *ret_count, struct weir_error *err);
uint64_t consent_tasks_open_count(struct consent *consent); /* from memory unless tasks changed since the last call */
/* Stages into a change that takes rows of these tasks out of sight, but not their bytes: the tasks stay open, and so does the
 * fence; rows are added to those that they moved. The same CONFLICT. */
void consent_stage_tasks_moved(struct consent *consent, struct control_change *change, const struct consent_task *tasks,
	const uint64_t *rows, uint32_t count);
/* Stages into the removal's or backfill's own change: these tasks done with the rows that they moved at last, their fence
 * entries gone; a CONFLICT ("consent task") where a task's lsn or generation moved since it was read. After DONE call
 * consent_tasks_finished. */
void consent_stage_tasks_done(struct consent *consent, struct control_change *change, const struct consent_task *tasks,
	const uint64_t *rows, uint32_t count);
/* Lifts the entries from the fence in memory; call after the new table versions are what readers get. Where the control
 * database cannot be read, the entries stay until the next call: rows stay hidden. */
void consent_tasks_finished(struct consent *consent, const struct consent_task *tasks, uint32_t count);
/* Closes tasks that have nothing to do, in one change: those of the subjects given (all subjects where subjects is
 * NULL), which have no row in silver nor in gold. upto_lsn is consent_head() read before the caller looked at the
 * tables: newer changes keep their tasks, and so do tasks that an epoch's guard opened again. Lifts their fence
 * entries. *ret_closed: how many. */
int consent_tasks_close_empty(struct consent *consent, uint64_t upto_lsn, const struct weir_str *subjects,
	uint32_t count, uint64_t *ret_closed, struct weir_error *err);

/* ---- the epoch's guard (G2) ---- */
/* Stages into an epoch's change: for every change with a number above evaluated_lsn, its tasks are opened again
 * (generation + 1) and, where it takes rows away, fenced: whatever its subject, because such changes are few and
 * their tasks are still open. The log's head at that very transaction comes back as result[index]. */
unsigned consent_stage_guard(struct consent *consent, struct control_change *change, uint64_t evaluated_lsn);
/* After the epoch's commit, before readers get its table versions: brings fence and tasks in memory up to date where
 * head > evaluated_lsn. */
int consent_guard_done(struct consent *consent, uint64_t evaluated_lsn, uint64_t head, struct weir_error *err);

/* ---- for GET /api/consent/changes/{lsn} ---- */
struct consent_progress {
	const char *state; /* "fenced", "removing", "backfilling", "done" */
	uint64_t rows_done, rows_todo;
	int64_t at_us, invisible_us, done_us; /* 0: not yet */
};
int consent_change_progress(
	struct consent *consent, uint64_t lsn, struct consent_progress *ret_progress, struct weir_error *err);

#endif
