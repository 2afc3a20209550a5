/*
 * Opening: the tables, and from them the rules and the fence in memory. docs/CONSENT.md, "The log".
 */
#include "consent/consent_int.h"

#include <stdlib.h>

#include "base/time.h"

#define LOAD_EDITS 32768 /* rules applied at a time */

static const char schema_sql[] =
	"CREATE TABLE weir_consent_log(lsn BIGINT PRIMARY KEY, at_us BIGINT NOT NULL, kind TEXT NOT NULL, subject TEXT,"
	" rule_id TEXT, purpose TEXT, version BIGINT, body TEXT);"
	"CREATE TABLE weir_consent_rules(subject TEXT NOT NULL, rule_id TEXT NOT NULL, version BIGINT NOT NULL,"
	" lsn BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY(subject, rule_id));"
	"CREATE TABLE weir_consent_withdrawals(subject TEXT NOT NULL, purpose TEXT NOT NULL, lsn BIGINT NOT NULL,"
	" PRIMARY KEY(subject, purpose));"
	"CREATE TABLE weir_consent_subjects(subject TEXT PRIMARY KEY, changes BIGINT NOT NULL, lsn BIGINT NOT NULL);"
	"CREATE TABLE weir_fence(subject TEXT NOT NULL, purpose TEXT NOT NULL, lsn BIGINT NOT NULL,"
	" PRIMARY KEY(subject, purpose));"
	"CREATE TABLE weir_tasks(subject TEXT NOT NULL, purpose TEXT NOT NULL, lsn BIGINT NOT NULL,"
	" first_lsn BIGINT NOT NULL, removes_lsn BIGINT NOT NULL, removes INTEGER NOT NULL, state TEXT NOT NULL,"
	" reopened INTEGER NOT NULL, generation BIGINT NOT NULL, rows_done BIGINT NOT NULL, rows_todo BIGINT NOT NULL,"
	" created_us BIGINT NOT NULL, started_us BIGINT NOT NULL, done_us BIGINT NOT NULL, PRIMARY KEY(subject, "
	"purpose));"
	"CREATE INDEX weir_tasks_lsn ON weir_tasks(lsn);"
	"CREATE INDEX weir_tasks_open ON weir_tasks(removes, first_lsn) WHERE state = 'open';";

const char consent_sql_task_open[] =
	CONSENT_SQL_TASK_INTO "VALUES (?1, ?2, ?3, ?3, ?5, ?4, 'open', 0, 1, 0, 0, ?6, 0, 0)" CONSENT_SQL_TASK_CONFLICT;
const char consent_sql_fence_put[] =
	"INSERT INTO weir_fence(subject, purpose, lsn) VALUES (?1, ?2, ?3)" CONSENT_SQL_FENCE_CONFLICT;

int consent_migrate(struct control *control, struct weir_error *err)
{
	return control_migrate(control, "consent", 1, schema_sql, err);
}

/* ---- retired purposes ---- */

struct retiring {
	struct weir_arena *arena;
	const struct consent_vocabulary *vocabulary;
	struct weir_str *purposes; /* room for CONSENT_PURPOSES_MAX */
	uint32_t count;
};

static int note_purpose(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct retiring *retiring = context;
	(void)count;
	if (consent_purpose_index(retiring->vocabulary, values[0].text) >= 0)
		return 0;
	if (retiring->count >= CONSENT_PURPOSES_MAX)
		return weir_fail(err, WEIR_E_LIMIT,
			"more than %d purposes, counting those taken from the lake whose rows are still being removed;"
			" put one back and let the removals finish",
			CONSENT_PURPOSES_MAX);
	retiring->purposes[retiring->count++] = weir_arena_str(retiring->arena, values[0].text);
	return 0;
}

/* The vocabulary with the purposes that it lost but that fence and tasks still name. */
static int extend_vocabulary(
	struct consent *consent, const struct consent_vocabulary *vocabulary, struct weir_error *err)
{
	struct weir_str *purposes = weir_arena_calloc(consent->arena, CONSENT_PURPOSES_MAX, sizeof *purposes);
	struct retiring retiring = {consent->arena, vocabulary, purposes, vocabulary->purpose_count};
	if (vocabulary->purpose_count > CONSENT_PURPOSES_MAX)
		return weir_fail(err, WEIR_E_LIMIT, "%u purposes; a lake has %d at most", vocabulary->purpose_count,
			CONSENT_PURPOSES_MAX);
	for (uint32_t i = 0; i < vocabulary->purpose_count; i++)
		purposes[i] = vocabulary->purposes[i];
	int code = control_query(consent->control,
		"SELECT purpose FROM weir_fence UNION SELECT purpose FROM weir_tasks WHERE state = 'open' ORDER BY 1",
		NULL, 0, note_purpose, &retiring, err);
	consent->vocabulary = *vocabulary;
	consent->vocabulary.purposes = purposes;
	consent->vocabulary.retired_count = retiring.count - vocabulary->purpose_count;
	return code;
}

/* ---- rules ---- */

struct loading {
	struct consent *consent;
	struct consent_rules *rules;
	struct weir_arena *arena; /* texts of the edits that wait */
	struct consent_edit *edits;
	uint32_t count;
};

static void flush(struct loading *loading)
{
	consent_rules_edit(loading->rules, loading->edits, loading->count, 0);
	weir_arena_reset(loading->arena);
	loading->count = 0;
}

/* Edits of a subject must not be torn apart for speed only; a torn run is right all the same. */
static struct consent_edit *next_edit(struct loading *loading)
{
	if (loading->count == LOAD_EDITS)
		flush(loading);
	return &loading->edits[loading->count++];
}

static int load_rule(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct loading *loading = context;
	(void)count;
	(void)err;
	struct consent_edit *edit = next_edit(loading);
	*edit = (struct consent_edit){
		.kind = CONSENT_POST, .version = (uint32_t)values[2].integer, .lsn = (uint64_t)values[3].integer};
	edit->subject = weir_arena_str(loading->arena, values[0].text);
	edit->rule_id = weir_arena_str(loading->arena, values[1].text);
	edit->body = weir_arena_str(loading->arena, values[4].text);
	return 0;
}

static int load_withdrawal(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct loading *loading = context;
	(void)count;
	(void)err;
	int purpose = consent_purpose_any(&loading->consent->vocabulary, values[1].text);
	if (purpose < 0)
		return 0; /* nobody is permitted a purpose that is gone; the row stays for its return */
	struct consent_edit *edit = next_edit(loading);
	*edit = (struct consent_edit){
		.kind = CONSENT_WITHDRAW, .purpose = (uint32_t)purpose, .lsn = (uint64_t)values[2].integer};
	edit->subject = weir_arena_str(loading->arena, values[0].text);
	return 0;
}

static int load_subject(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct loading *loading = context;
	(void)count;
	(void)err;
	consent_rules_set_changes(
		loading->rules, values[0].text, (uint32_t)values[1].integer, (uint64_t)values[2].integer);
	return 0;
}

static int load_head(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)count;
	(void)err;
	*(uint64_t *)context = (uint64_t)values[0].integer;
	return 0;
}

static int load_fence_entry(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct loading *loading = context;
	(void)count;
	int purpose = consent_purpose_any(&loading->consent->vocabulary, values[1].text);
	if (purpose < 0)
		return weir_fail(
			err, WEIR_E_CORRUPT, "the fence names a purpose that the lake never had; run weir check");
	consent_fence_put(loading->consent->fence, values[0].text, (uint32_t)purpose, (uint64_t)values[2].integer);
	return 0;
}

#define FENCE_SQL "SELECT subject, purpose, lsn FROM weir_fence"

/* A fence read from the database replaces consent->fence; on failure the old one stays. */
int consent_load_fence(struct consent *consent, struct weir_error *err)
{
	struct consent fresh = {.vocabulary = consent->vocabulary, .fence = consent_fence_new()};
	struct loading loading = {.consent = &fresh};
	int code = control_query(consent->control, FENCE_SQL, NULL, 0, load_fence_entry, &loading, err);
	if (code != 0)
		consent_fence_unref(fresh.fence);
	else
		consent_publish_fence(consent, fresh.fence);
	atomic_store(&consent->tasks_moved, true);
	return code;
}

static int load_rules(struct control_read *read, struct loading *loading, struct weir_error *err)
{
	uint64_t head = 0;
	int code = control_read_query(
		read, "SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log", NULL, 0, load_head, &head, err);
	if (code == 0)
		code = control_read_query(read,
			"SELECT subject, rule_id, version, lsn, body FROM weir_consent_rules ORDER BY subject, rule_id",
			NULL, 0, load_rule, loading, err);
	if (code == 0)
		code = control_read_query(read,
			"SELECT subject, purpose, lsn FROM weir_consent_withdrawals ORDER BY subject", NULL, 0,
			load_withdrawal, loading, err);
	if (code != 0)
		return code;
	flush(loading);
	code = control_read_query(
		read, "SELECT subject, changes, lsn FROM weir_consent_subjects", NULL, 0, load_subject, loading, err);
	loading->rules->lsn = head;
	return code;
}

int consent_load(struct consent *consent, struct weir_error *err)
{
	struct control_read *read = NULL;
	struct loading loading = {.consent = consent, .rules = consent_rules_new(&consent->vocabulary)};
	loading.arena = weir_arena_new(0);
	loading.edits = weir_alloc(LOAD_EDITS * sizeof *loading.edits);
	int code = control_read_begin(consent->control, &read, err);
	if (code == 0)
		code = load_rules(read, &loading, err);
	control_read_end(read);
	if (code == 0)
		code = consent_load_fence(consent, err);
	if (code == 0) {
		pthread_mutex_lock(&consent->lock);
		struct consent_rules *old = consent->rules;
		consent->rules = loading.rules;
		pthread_mutex_unlock(&consent->lock);
		loading.rules = old;
	}
	consent_rules_unref(loading.rules);
	weir_arena_free(loading.arena);
	free(loading.edits);
	return code;
}

int consent_rules_at(struct control_read *read, const struct consent_vocabulary *vocabulary,
	struct consent_rules **ret_rules, struct weir_error *err)
{
	struct consent shape = {.vocabulary = *vocabulary};
	struct loading loading = {.consent = &shape, .rules = consent_rules_new(vocabulary)};
	loading.arena = weir_arena_new(0);
	loading.edits = weir_alloc(LOAD_EDITS * sizeof *loading.edits);
	int code = load_rules(read, &loading, err);
	weir_arena_free(loading.arena);
	free(loading.edits);
	if (code != 0)
		consent_rules_unref(loading.rules);
	else
		*ret_rules = loading.rules;
	return code;
}

/* ---- open and close ---- */

int consent_open(struct control *control, const struct consent_vocabulary *vocabulary, struct weir_clock clock,
	struct consent **ret_consent, struct weir_error *err)
{
	struct consent *consent = weir_zalloc(sizeof *consent);
	consent->control = control;
	consent->clock = clock;
	consent->arena = weir_arena_new(0);
	consent->fence = consent_fence_new();
	pthread_mutex_init(&consent->append_lock, NULL);
	pthread_mutex_init(&consent->queue_lock, NULL);
	pthread_mutex_init(&consent->lock, NULL);
	int code = consent_migrate(control, err);
	if (code == 0)
		code = consent_vocabulary_changes(control, vocabulary, weir_now_us(&clock), err);
	if (code == 0)
		code = extend_vocabulary(consent, vocabulary, err);
	if (code == 0)
		code = consent_load(consent, err);
	if (code != 0)
		consent_close(consent);
	else
		*ret_consent = consent;
	return code;
}

void consent_close(struct consent *consent)
{
	if (consent == NULL)
		return;
	consent_rules_unref(consent->rules);
	consent_fence_unref(consent->fence);
	pthread_mutex_destroy(&consent->append_lock);
	pthread_mutex_destroy(&consent->queue_lock);
	pthread_mutex_destroy(&consent->lock);
	weir_arena_free(consent->arena);
	free(consent);
}

const struct consent_vocabulary *consent_vocabulary_of(const struct consent *consent)
{
	return &consent->vocabulary;
}

struct consent_rules *consent_rules_newest(struct consent *consent)
{
	pthread_mutex_lock(&consent->lock);
	struct consent_rules *rules = consent_rules_ref(consent->rules);
	pthread_mutex_unlock(&consent->lock);
	return rules;
}

uint64_t consent_head(struct consent *consent)
{
	pthread_mutex_lock(&consent->lock);
	uint64_t head = consent->rules->lsn;
	pthread_mutex_unlock(&consent->lock);
	return head;
}

uint64_t consent_subject_lsn(struct consent *consent, struct weir_str subject)
{
	struct consent_rules *rules = consent_rules_newest(consent);
	const struct consent_record *record = consent_rules_find(rules, consent_subject_hash(subject), subject);
	uint64_t lsn = record != NULL ? record->lsn : 0;
	consent_rules_unref(rules);
	return lsn;
}
