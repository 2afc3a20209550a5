/*
 * Appending to the consent log. docs/CONSENT.md, "The log" and "What a change does".
 *
 * Callers queue; the first to get append_lock takes all that wait and makes them one control change
 * (one sync for all of them). Each caller's changes are planned against the rules as the callers before
 * it leave them, so a refusal touches its own caller only. weir is the log's only appender, which the
 * database checks again: every row's number must be the one after the newest.
 */
#include "consent/consent_int.h"

#include <stdlib.h>

/* One change that will be written. */
struct step {
	struct consent_edit edit;
	uint64_t removes, adds;
};

struct consent_request {
	struct consent_request *next;
	const struct consent_change *changes;
	uint32_t count;
	struct consent_changed *changed; /* the caller's */
	struct step *steps;              /* planned; as many as count at most */
	uint32_t step_count;
	int status;
	bool done;
	struct weir_error err;
};

/* ---- planning: what a change would do ---- */

static const struct consent_record *record_of(const struct consent_rules *rules, struct weir_str subject)
{
	return consent_rules_find(rules, consent_subject_hash(subject), subject);
}

static const struct consent_stored *rule_of(const struct consent_record *record, struct weir_str rule_id)
{
	for (uint32_t i = 0; record != NULL && i < record->rule_count; i++)
		if (weir_str_equal(consent_record_rule_id(record, &record->rules[i]), rule_id))
			return &record->rules[i];
	return NULL;
}

/* True where two bodies differ in nothing but the purposes that they name. */
static bool same_conditions(const struct consent_vocabulary *vocabulary, struct weir_str a, struct weir_str b)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_model models[2];
	struct consent_problem problem;
	bool same = consent_model_parse(vocabulary, arena, a, CONSENT_STORED, &models[0], &problem, NULL) == 0 &&
		consent_model_parse(vocabulary, arena, b, CONSENT_STORED, &models[1], &problem, NULL) == 0;
	if (same) {
		models[0].has_purpose = models[1].has_purpose = false;
		same = weir_str_equal(consent_model_body(vocabulary, &models[0], arena),
			consent_model_body(vocabulary, &models[1], arena));
	}
	weir_arena_free(arena);
	return same;
}

/* Masks of a posted version against the one before it. */
static void post_masks(const struct consent_rules *rules, const struct consent_record *record,
	const struct consent_stored *old, const struct consent_compiled *body, struct step *step)
{
	uint64_t before = old != NULL ? consent_stored_purposes(record, old, rules->active) : 0;
	uint64_t now = body->purposes & rules->active, kept = 0;
	bool denied = old != NULL && old->body->effect == CONSENT_DENY;
	bool denies = body->effect == CONSENT_DENY;
	if (old != NULL && denied == denies && !old->body->broken &&
		same_conditions(rules->vocabulary, old->body->body, body->body))
		kept = before & now;
	step->removes = (denied ? 0 : before) | (denies ? now : 0);
	step->adds = (denied ? before : 0) | (denies ? 0 : now);
	step->removes &= ~kept;
	step->adds &= ~kept;
}

/* Each planner returns 0 with *ret_nothing, or a refusal. */
static int plan_post(const struct consent_rules *rules, const struct consent_record *record,
	const struct consent_change *change, struct step *step, struct consent_changed *changed, struct weir_error *err)
{
	const struct consent_rule *rule = change->rule;
	const struct consent_stored *old = rule_of(record, rule->rule_id);
	struct consent_compiled *body = consent_intern_body(rules->intern, rule->body);
	int code = 0;
	if (body->broken || rule->rule_id.size == 0 || rule->rule_id.size > CONSENT_RULE_ID_BYTES) {
		code = weir_fail(
			err, WEIR_E_INPUT, "a consent rule that does not compile; parse it before it is posted");
		goto done;
	}
	if (old == NULL && record != NULL && record->rule_count >= CONSENT_SUBJECT_RULES_MAX) {
		code = weir_fail(err, WEIR_E_LIMIT, "the data subject has %d rules already; remove one first",
			CONSENT_SUBJECT_RULES_MAX);
		goto done;
	}
	uint64_t effective = old != NULL ? consent_stored_purposes(record, old, rules->active) : 0;
	if (old != NULL && old->body == body && effective == (body->purposes & rules->active)) {
		*changed = (struct consent_changed){.lsn = old->lsn, .version = old->version, .nothing = true};
		goto done;
	}
	post_masks(rules, record, old, body, step);
	step->edit = (struct consent_edit){.kind = CONSENT_POST,
		.subject = rule->subject,
		.rule_id = rule->rule_id,
		.body = rule->body,
		.version = old != NULL ? old->version + 1 : 1};
done:
	consent_compiled_unref(rules->intern, body);
	return code;
}

static int plan_withdraw(const struct consent_rules *rules, const struct consent_record *record,
	const struct consent_change *change, struct step *step, struct consent_changed *changed, struct weir_error *err)
{
	uint64_t bit = (uint64_t)1 << (change->purpose & 63), withdrawn_at = 0;
	bool gives = false;
	if (change->purpose >= rules->vocabulary->purpose_count)
		return weir_fail(err, WEIR_E_INPUT, "no purpose has number %u", change->purpose);
	for (uint32_t i = 0; record != NULL && i < record->withdrawal_count; i++)
		if (consent_record_withdrawals(record)[i].purpose == change->purpose)
			withdrawn_at = consent_record_withdrawals(record)[i].lsn;
	/* A permit that does not compile today may do so after the next start: the withdrawal has to outrank it too. */
	for (uint32_t i = 0; record != NULL && i < record->rule_count; i++) {
		const struct consent_stored *rule = &record->rules[i];
		bool sleeping = rule->body->broken && rule->lsn > withdrawn_at;
		gives |= rule->body->effect == CONSENT_PERMIT &&
			(sleeping || (consent_stored_purposes(record, rule, rules->active) & bit) != 0);
	}
	if (withdrawn_at != 0 && !gives) {
		*changed = (struct consent_changed){.lsn = withdrawn_at, .nothing = true};
		return 0;
	}
	step->removes = bit;
	step->edit =
		(struct consent_edit){.kind = CONSENT_WITHDRAW, .subject = change->subject, .purpose = change->purpose};
	return 0;
}

static int plan_remove(const struct consent_rules *rules, const struct consent_record *record,
	const struct consent_change *change, struct step *step, struct consent_changed *changed)
{
	const struct consent_stored *old = rule_of(record, change->rule_id);
	if (old == NULL) {
		*changed = (struct consent_changed){.lsn = record != NULL ? record->lsn : 0, .nothing = true};
		return 0;
	}
	uint64_t before = consent_stored_purposes(record, old, rules->active);
	step->removes = old->body->effect == CONSENT_PERMIT ? before : 0;
	step->adds = old->body->effect == CONSENT_DENY ? before : 0;
	step->edit = (struct consent_edit){.kind = CONSENT_REMOVE,
		.subject = change->subject,
		.rule_id = change->rule_id,
		.version = old->version};
	return 0;
}

/* Plans one change against the set and applies it there. */
static int plan_change(
	struct consent_rules *own, struct consent_request *request, uint32_t index, struct weir_error *err)
{
	const struct consent_change *change = &request->changes[index];
	struct consent_changed *changed = &request->changed[index];
	struct step *step = &request->steps[request->step_count];
	struct weir_str subject = change->kind == CONSENT_CHANGE_POST ? change->rule->subject : change->subject;
	if (subject.size == 0 || subject.size > CONSENT_RULE_SUBJECT_BYTES)
		return weir_fail(
			err, WEIR_E_INPUT, "a data subject's id has 1 to %d bytes", CONSENT_RULE_SUBJECT_BYTES);
	const struct consent_record *record = record_of(own, subject);
	uint64_t newest = record != NULL ? record->lsn : 0;
	uint64_t possible = consent_rules_possible(own, subject);
	if (change->has_if_match && change->if_match != newest)
		return weir_fail(err, WEIR_E_CONFLICT,
			"stale: the data subject's rules are at change %llu, not %llu; read them again",
			(unsigned long long)newest, (unsigned long long)change->if_match);
	*step = (struct step){0};
	*changed = (struct consent_changed){0};
	int code = 0;
	if (change->kind == CONSENT_CHANGE_POST)
		code = plan_post(own, record, change, step, changed, err);
	else if (change->kind == CONSENT_CHANGE_WITHDRAW)
		code = plan_withdraw(own, record, change, step, changed, err);
	else
		code = plan_remove(own, record, change, step, changed);
	if (code != 0 || changed->nothing)
		return code;
	step->edit.lsn = own->lsn + 1;
	consent_rules_edit(own, &step->edit, 1, step->edit.lsn);
	step->removes &= possible; /* what no permit gave cannot have rows */
	step->adds &= consent_rules_possible(own, subject);
	*changed = (struct consent_changed){
		.lsn = step->edit.lsn, .version = step->edit.version, .removes = step->removes, .adds = step->adds};
	request->step_count++;
	return 0;
}

/* The rules after the request's changes, or NULL where it is refused. */
static struct consent_rules *plan_request(const struct consent_rules *base, struct consent_request *request)
{
	struct consent_rules *own = consent_rules_apply(base, NULL, 0, base->lsn);
	request->status = 0;
	request->step_count = 0;
	for (uint32_t i = 0; i < request->count && request->status == 0; i++) {
		request->status = plan_change(own, request, i, &request->err);
		if (request->count > 1)
			weir_error_wrap(&request->err, request->status, "change %u of %u", i + 1, request->count);
	}
	if (request->status == 0)
		return own;
	request->done = true;
	consent_rules_unref(own);
	return NULL;
}

/* ---- staging: the same as statements ---- */

static void stage_log(struct control_change *change, const struct consent_vocabulary *vocabulary,
	const struct step *step, int64_t now_us)
{
	static const struct weir_str kinds[] = {
		[CONSENT_POST] = {"post", 4}, [CONSENT_WITHDRAW] = {"withdraw", 8}, [CONSENT_REMOVE] = {"remove", 6}};
	const struct consent_edit *edit = &step->edit;
	bool withdraw = edit->kind == CONSENT_WITHDRAW;
	struct control_value values[] = {CONTROL_I(edit->lsn), CONTROL_I(now_us), CONTROL_T(kinds[edit->kind]),
		CONTROL_T(edit->subject), withdraw ? CONTROL_N : CONTROL_T(edit->rule_id),
		withdraw ? CONTROL_T(vocabulary->purposes[edit->purpose]) : CONTROL_N,
		withdraw ? CONTROL_N : CONTROL_I(edit->version),
		edit->kind == CONSENT_POST ? CONTROL_T(edit->body) : CONTROL_N};
	control_change_sql(change, "consent log", 1,
		"INSERT INTO weir_consent_log(lsn, at_us, kind, subject, rule_id, purpose, version, body)"
		" SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8"
		" WHERE (SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log) = ?1 - 1",
		values, 8);
	control_change_sql(change, "consent subject", 1,
		"INSERT INTO weir_consent_subjects(subject, changes, lsn) VALUES (?1, 1, ?2)"
		" ON CONFLICT (subject) DO UPDATE SET changes = weir_consent_subjects.changes + 1, lsn = excluded.lsn",
		(struct control_value[]){CONTROL_T(edit->subject), CONTROL_I(edit->lsn)}, 2);
}

static void stage_edit(
	struct control_change *change, const struct consent_vocabulary *vocabulary, const struct consent_edit *edit)
{
	if (edit->kind == CONSENT_POST)
		control_change_sql(change, "consent rule", 1,
			"INSERT INTO weir_consent_rules(subject, rule_id, version, lsn, body) VALUES (?1, ?2, ?3, ?4, "
			"?5)"
			" ON CONFLICT (subject, rule_id) DO UPDATE SET version = excluded.version, lsn = excluded.lsn,"
			" body = excluded.body",
			(struct control_value[]){CONTROL_T(edit->subject), CONTROL_T(edit->rule_id),
				CONTROL_I(edit->version), CONTROL_I(edit->lsn), CONTROL_T(edit->body)},
			5);
	else if (edit->kind == CONSENT_WITHDRAW)
		control_change_sql(change, "consent withdrawal", 1,
			"INSERT INTO weir_consent_withdrawals(subject, purpose, lsn) VALUES (?1, ?2, ?3)"
			" ON CONFLICT (subject, purpose) DO UPDATE SET lsn = excluded.lsn",
			(struct control_value[]){CONTROL_T(edit->subject),
				CONTROL_T(vocabulary->purposes[edit->purpose]), CONTROL_I(edit->lsn)},
			3);
	else
		control_change_sql(change, "consent rule", 1,
			"DELETE FROM weir_consent_rules WHERE subject = ?1 AND rule_id = ?2",
			(struct control_value[]){CONTROL_T(edit->subject), CONTROL_T(edit->rule_id)}, 2);
}

static void stage_step(struct control_change *change, const struct consent_vocabulary *vocabulary,
	const struct step *step, int64_t now_us)
{
	stage_log(change, vocabulary, step, now_us);
	stage_edit(change, vocabulary, &step->edit);
	for (uint32_t p = 0; p < vocabulary->purpose_count; p++) {
		uint64_t removes = step->removes >> p & 1;
		if (((step->removes | step->adds) >> p & 1) == 0)
			continue;
		struct control_value values[] = {CONTROL_T(step->edit.subject), CONTROL_T(vocabulary->purposes[p]),
			CONTROL_I(step->edit.lsn), CONTROL_I(removes), CONTROL_I(removes != 0 ? step->edit.lsn : 0),
			CONTROL_I(now_us)};
		control_change_sql(change, "consent task", 1, consent_sql_task_open, values, 6);
		if (removes != 0)
			control_change_sql(change, "fence", 1, consent_sql_fence_put, values, 3);
	}
}

/* ---- committing a group ---- */

static int head_row(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)count;
	(void)err;
	*(uint64_t *)context = (uint64_t)values[0].integer;
	return 0;
}

/* After a commit of unknown outcome: whether the log ends with our last number. */
static int verify(struct consent *consent, uint64_t last_lsn, struct weir_error *err)
{
	uint64_t head = 0;
	int code = control_query(
		consent->control, "SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log", NULL, 0, head_row, &head, NULL);
	if (code != 0) {
		consent->behind = true;
		return weir_fail(err, WEIR_E_UNKNOWN,
			"the control database cannot say whether the consent change was stored; read the rules and try "
			"again");
	}
	if (head >= last_lsn)
		return 0;
	return weir_fail(err, WEIR_E_IO, "the consent change was not stored: the control database failed; try again");
}

static int commit(
	struct consent *consent, const struct control_change *change, uint64_t last_lsn, struct weir_error *err)
{
	struct control_result result;
	int code = control_commit(consent->control, change, &result, err);
	if (code == WEIR_E_UNKNOWN)
		return verify(consent, last_lsn, err);
	if (code == 0 && result.outcome == CONTROL_CONFLICT) {
		consent->behind = true;
		return weir_fail(err, WEIR_E_CONFLICT,
			"the consent log moved in the database (%s); only one process may append to it",
			result.conflict);
	}
	return code;
}

/* Memory follows: fence first, so that nobody sees the new rules beside the old fence. */
static void publish(struct consent *consent, const struct consent_request *requests, struct consent_rules *take_rules)
{
	struct consent_fence *fence = NULL;
	for (const struct consent_request *request = requests; request != NULL; request = request->next)
		for (uint32_t i = 0; !request->done && i < request->step_count; i++) {
			const struct step *step = &request->steps[i];
			for (uint32_t p = 0; p < consent->vocabulary.purpose_count; p++) {
				if ((step->removes >> p & 1) == 0)
					continue;
				if (fence == NULL)
					fence = consent_fence_copy(consent->fence);
				consent_fence_put(fence, step->edit.subject, p, step->edit.lsn);
			}
		}
	if (fence != NULL)
		consent_publish_fence(consent, fence);
	atomic_store(&consent->tasks_moved, true);
	pthread_mutex_lock(&consent->lock);
	struct consent_rules *old = consent->rules;
	consent->rules = take_rules;
	pthread_mutex_unlock(&consent->lock);
	consent_rules_unref(old);
}

/* Plans, commits and publishes all requests; fills their status. */
static int run_group(struct consent *consent, struct consent_request *requests, struct weir_error *err)
{
	struct consent_rules *rules = consent_rules_ref(consent->rules);
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	int64_t now_us = weir_now_us(&consent->clock);
	uint64_t first = rules->lsn;
	int code = 0;
	for (struct consent_request *request = requests; request != NULL; request = request->next) {
		if (request->done)
			continue;
		struct consent_rules *next = plan_request(rules, request);
		if (next == NULL)
			continue;
		consent_rules_unref(rules);
		rules = next;
		for (uint32_t i = 0; i < request->step_count; i++)
			stage_step(change, &consent->vocabulary, &request->steps[i], now_us);
	}
	if (rules->lsn != first)
		code = commit(consent, change, rules->lsn, err);
	if (code == 0 && rules->lsn != first)
		publish(consent, requests, rules);
	else
		consent_rules_unref(rules);
	control_change_free(change);
	return code;
}

/* Under append_lock. */
static int load_missed(struct consent *consent, struct weir_error *err)
{
	int code = consent->behind ? consent_load(consent, err) : 0;
	if (code == 0)
		consent->behind = false;
	return code;
}

int consent_catch_up(struct consent *consent, struct weir_error *err)
{
	pthread_mutex_lock(&consent->append_lock);
	int code = load_missed(consent, err);
	pthread_mutex_unlock(&consent->append_lock);
	return code;
}

/* Under append_lock. Where memory is behind the database it is read anew, once. */
static void lead(struct consent *consent, struct consent_request *requests)
{
	struct weir_error err = WEIR_ERROR_INIT;
	int code = 0;
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		code = load_missed(consent, &err);
		if (code != 0)
			break;
		code = run_group(consent, requests, &err);
		if (code != WEIR_E_CONFLICT)
			break;
	}
	for (struct consent_request *request = requests, *next; request != NULL; request = next) {
		next = request->next;
		if (!request->done && code != 0) {
			request->status = code;
			request->err = err;
		}
		request->done = true;
	}
}

int consent_append(struct consent *consent, const struct consent_change *changes, uint32_t count,
	struct consent_changed *ret_changed, struct weir_error *err)
{
	if (count > CONSENT_APPEND_MAX)
		return weir_fail(
			err, WEIR_E_LIMIT, "%u consent changes at once; send at most %d", count, CONSENT_APPEND_MAX);
	if (count == 0)
		return 0;
	struct consent_request request = {
		.changes = changes, .count = count, .changed = ret_changed, .err = WEIR_ERROR_INIT};
	request.steps = weir_alloc((size_t)count * sizeof *request.steps);
	pthread_mutex_lock(&consent->queue_lock);
	if (consent->queue_first == NULL)
		consent->queue_first = &request;
	else
		consent->queue_last->next = &request;
	consent->queue_last = &request;
	pthread_mutex_unlock(&consent->queue_lock);
	/* Whoever gets the lock first works for all that wait; the others find their request done. */
	pthread_mutex_lock(&consent->append_lock);
	if (!request.done) {
		pthread_mutex_lock(&consent->queue_lock);
		struct consent_request *requests = consent->queue_first;
		consent->queue_first = consent->queue_last = NULL;
		pthread_mutex_unlock(&consent->queue_lock);
		lead(consent, requests);
	}
	pthread_mutex_unlock(&consent->append_lock);
	free(request.steps);
	if (request.status != 0 && err != NULL)
		*err = request.err;
	return request.status;
}
