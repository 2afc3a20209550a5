/*
 * What the files behind consent.h share.
 *
 * Locks: append_lock is held across a change's commit and its publication, so numbers, memory and
 * answers keep one order; lock guards the pointers that readers take references from and is held for a
 * few instructions only. append_lock is taken first.
 */
#ifndef WEIR_CONSENT_CONSENT_INT_H
#define WEIR_CONSENT_CONSENT_INT_H

#include "consent/compiled.h"
#include "consent/consent.h"

struct consent {
	struct control *control;
	struct weir_clock clock;
	struct weir_arena *arena; /* of the vocabulary's copy */
	struct consent_vocabulary vocabulary;

	pthread_mutex_t append_lock;
	bool behind;       /* under append_lock: memory may lack changes that the database has */
	bool fence_behind; /* under append_lock: the fence may hold entries that the database lifted, or lack some */
	pthread_mutex_t queue_lock;
	struct consent_request *queue_first, *queue_last; /* under queue_lock: appends that wait for a leader */

	pthread_mutex_t lock;
	struct consent_rules *rules;
	struct consent_fence *fence;
	atomic_uint_fast64_t fence_generation;
	atomic_bool tasks_moved; /* open_tasks is out of date */
	atomic_uint_fast64_t open_tasks;
};

/* ---- fence.c: persistent, like sets of rules ---- */
struct consent_fence *consent_fence_new(void);
struct consent_fence *consent_fence_hold(struct consent_fence *fence);
/* A fence to change: shares what it does not. Only the caller may hold it while it changes. */
struct consent_fence *consent_fence_copy(const struct consent_fence *fence);
/* Adds the entry, or raises its number. */
void consent_fence_put(struct consent_fence *own, struct weir_str subject, uint32_t purpose, uint64_t lsn);
void consent_fence_lift(struct consent_fence *own, struct weir_str subject, uint32_t purpose);
/* The entry's number, 0: none. */
uint64_t consent_fence_lsn(const struct consent_fence *fence, struct weir_str subject, uint32_t purpose);
/* Makes the fence the one that readers get; takes the reference. Under append_lock. */
void consent_publish_fence(struct consent *consent, struct consent_fence *take_fence);

/* ---- load.c, vocabulary_change.c ---- */
int consent_migrate(struct control *control, struct weir_error *err);
/* Logs what the vocabulary gained and lost since the last start, with fence and tasks. */
int consent_vocabulary_changes(
	struct control *control, const struct consent_vocabulary *vocabulary, int64_t now_us, struct weir_error *err);
/* Reads the rules and the fence as they are now into memory. Under append_lock, or before others know consent. */
int consent_load(struct consent *consent, struct weir_error *err);
int consent_load_fence(struct consent *consent, struct weir_error *err);

/* ---- SQL that several files use ---- */
/* ?1 subject, ?2 purpose, ?3 lsn, ?4 removes (0, 1), ?5 removes_lsn, ?6 now. */
extern const char consent_sql_task_open[];
/* ?1 subject, ?2 purpose, ?3 lsn */
extern const char consent_sql_fence_put[];
/* The parts of the two that follow INSERT, for INSERT ... SELECT. */
#define CONSENT_SQL_TASK_INTO \
	"INSERT INTO weir_tasks(subject, purpose, lsn, first_lsn, removes_lsn, removes, state, reopened, generation," \
	" rows_done, rows_todo, created_us, started_us, done_us) "
#define CONSENT_SQL_TASK_CONFLICT \
	" ON CONFLICT (subject, purpose) DO UPDATE SET lsn = excluded.lsn," \
	" first_lsn = CASE WHEN weir_tasks.state = 'open' THEN weir_tasks.first_lsn ELSE excluded.first_lsn END," \
	" removes_lsn = CASE WHEN excluded.removes = 1 THEN excluded.removes_lsn ELSE weir_tasks.removes_lsn END," \
	" removes = CASE WHEN excluded.removes = 1 OR (weir_tasks.state = 'open' AND weir_tasks.removes = 1)" \
	" THEN 1 ELSE 0 END," \
	" created_us = CASE WHEN weir_tasks.state = 'open' THEN weir_tasks.created_us ELSE excluded.created_us END," \
	" rows_done = CASE WHEN weir_tasks.state = 'open' THEN weir_tasks.rows_done ELSE 0 END," \
	" state = 'open', generation = weir_tasks.generation + 1, rows_todo = 0, started_us = 0," \
	" done_us = 0"
#define CONSENT_SQL_FENCE_CONFLICT \
	" ON CONFLICT (subject, purpose) DO UPDATE SET lsn =" \
	" CASE WHEN excluded.lsn > weir_fence.lsn THEN excluded.lsn ELSE weir_fence.lsn END"

#endif
