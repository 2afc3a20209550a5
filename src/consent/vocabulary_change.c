/*
 * What changed in the vocabulary since the last start, as changes of the log.
 *
 * The vocabulary of the last start is kept in weir_meta as JSON. What was taken away gets fence and
 * tasks for the subjects whose rules name it; what came (back) gets tasks only. The subjects are found
 * by the name's spelling in the canonical bodies, which may find a few too many, never too few.
 */
#include <jansson.h>
#include <stdlib.h>

#include "consent/consent_int.h"

#define META_KEY "consent.vocabulary"

struct vocabulary_changes {
	const struct consent_vocabulary *vocabulary;
	struct control_change *change;
	int64_t now_us;
	uint64_t head;
	uint32_t count;
};

/* {"purposes": [...], "dimensions": {name: {"kind", "column", ...}}} */
static void describe(const struct consent_vocabulary *vocabulary, struct weir_buf *buf)
{
	struct weir_json json = weir_json_to(buf);
	weir_json_object(&json);
	weir_json_key(&json, "purposes");
	weir_json_array(&json);
	for (uint32_t i = 0; i < vocabulary->purpose_count; i++)
		weir_json_string(&json, vocabulary->purposes[i]);
	weir_json_array_end(&json);
	weir_json_key(&json, "dimensions");
	weir_json_object(&json);
	for (uint32_t i = 0; i < vocabulary->dimension_count; i++) {
		const struct consent_dimension *dimension = &vocabulary->dimensions[i];
		weir_json_key_str(&json, dimension->name);
		weir_json_object(&json);
		weir_json_key_int(&json, "kind", dimension->kind);
		weir_json_key_string(&json, "column", dimension->column);
		weir_json_key_string(&json, "until", dimension->until);
		weir_json_key_string(&json, "until_start", dimension->until_start);
		weir_json_key_string(&json, "map", dimension->map);
		weir_json_key(&json, "columns");
		weir_json_array(&json);
		for (uint32_t j = 0; j < dimension->column_count; j++)
			weir_json_string(&json, dimension->columns[j]);
		weir_json_array_end(&json);
		weir_json_object_end(&json);
	}
	weir_json_object_end(&json);
	weir_json_object_end(&json);
}

/* Opens a task, and where it removes a fence, for `purpose` of every subject with a rule whose body has the needle. */
static void stage_touched(
	struct vocabulary_changes *changes, struct weir_str purpose, struct weir_str needle, bool removes)
{
	struct control_value values[] = {CONTROL_T(purpose), CONTROL_I(changes->head), CONTROL_I(removes),
		CONTROL_I(removes ? changes->head : 0), CONTROL_I(changes->now_us), CONTROL_T(needle)};
	control_change_sql(changes->change, "consent task", CONTROL_ANY,
		CONSENT_SQL_TASK_INTO
		"SELECT DISTINCT subject, ?1, ?2, ?2, ?4, ?3, 'open', 0, 1, 0, 0, ?5, 0, 0 FROM weir_consent_rules"
		" WHERE replace(body, ?6, '') <> body" CONSENT_SQL_TASK_CONFLICT,
		values, 6);
	if (!removes)
		return;
	struct control_value fence[] = {CONTROL_T(purpose), CONTROL_I(changes->head), CONTROL_T(needle)};
	control_change_sql(changes->change, "fence", CONTROL_ANY,
		"INSERT INTO weir_fence(subject, purpose, lsn) SELECT DISTINCT subject, ?1, ?2 FROM weir_consent_rules"
		" WHERE replace(body, ?3, '') <> body" CONSENT_SQL_FENCE_CONFLICT,
		fence, 3);
}

static void stage_log(struct vocabulary_changes *changes, const char *kind, struct weir_str name)
{
	changes->head++;
	changes->count++;
	struct control_value values[] = {
		CONTROL_I(changes->head), CONTROL_I(changes->now_us), CONTROL_T(weir_str_from(kind)), CONTROL_T(name)};
	control_change_sql(changes->change, "consent log", 1,
		"INSERT INTO weir_consent_log(lsn, at_us, kind, purpose) SELECT ?1, ?2, ?3, ?4"
		" WHERE (SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log) = ?1 - 1",
		values, 4);
}

static void purpose_changed(struct vocabulary_changes *changes, struct weir_str purpose, bool added)
{
	struct weir_buf needle = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&needle);
	weir_json_object(&json);
	weir_json_key_string(&json, "value", purpose);
	weir_json_object_end(&json);
	stage_log(changes, added ? "purpose+" : "purpose-", purpose);
	stage_touched(changes, purpose, weir_buf_str(&needle), !added);
	weir_buf_done(&needle);
}

static void dimension_changed(struct vocabulary_changes *changes, struct weir_str name, const char *kind, bool removes)
{
	struct weir_buf needle = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&needle);
	weir_json_string(&json, name);
	weir_buf_putc(&needle, ':');
	stage_log(changes, kind, name);
	for (uint32_t i = 0; i < changes->vocabulary->purpose_count; i++)
		stage_touched(changes, changes->vocabulary->purposes[i], weir_buf_str(&needle), removes);
	weir_buf_done(&needle);
}

static bool array_has(const json_t *array, const json_t *value)
{
	size_t index;
	const json_t *item;
	json_array_foreach(array, index, item)
	{
		if (json_equal(item, value))
			return true;
	}
	return false;
}

static struct weir_str text_of(const json_t *value)
{
	return (struct weir_str){json_string_value(value), json_string_length(value)};
}

static void compare(struct vocabulary_changes *changes, json_t *before, json_t *now)
{
	json_t *old_purposes = json_object_get(before, "purposes"), *new_purposes = json_object_get(now, "purposes");
	json_t *old_dimensions = json_object_get(before, "dimensions"),
	       *new_dimensions = json_object_get(now, "dimensions");
	json_t *item;
	size_t index;
	const char *name;
	json_array_foreach(old_purposes, index, item)
	{
		if (!array_has(new_purposes, item))
			purpose_changed(changes, text_of(item), false);
	}
	json_array_foreach(new_purposes, index, item)
	{
		if (!array_has(old_purposes, item))
			purpose_changed(changes, text_of(item), true);
	}
	json_object_foreach(old_dimensions, name, item)
	{
		json_t *kept = json_object_get(new_dimensions, name);
		if (kept == NULL)
			dimension_changed(changes, weir_str_from(name), "dimension-", true);
		else if (!json_equal(kept, item))
			dimension_changed(changes, weir_str_from(name), "dimension~", true);
	}
	json_object_foreach(new_dimensions, name, item)
	{
		if (json_object_get(old_dimensions, name) == NULL)
			dimension_changed(changes, weir_str_from(name), "dimension+", false);
	}
}

static int commit(struct control *control, struct vocabulary_changes *changes, struct weir_str description,
	struct weir_error *err)
{
	struct control_result result;
	control_change_sql(changes->change, "consent vocabulary", 1,
		"INSERT INTO weir_meta(key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = "
		"excluded.value",
		(struct control_value[]){CONTROL_T(WEIR_STR(META_KEY)), CONTROL_T(description)}, 2);
	int code = control_commit(control, changes->change, &result, err);
	if (code == 0 && result.outcome == CONTROL_CONFLICT)
		code = weir_fail(err, WEIR_E_CONFLICT,
			"the consent log moved while the lake was opened (%s); start again", result.conflict);
	return code;
}

int consent_vocabulary_changes(
	struct control *control, const struct consent_vocabulary *vocabulary, int64_t now_us, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf description = WEIR_BUF_INIT;
	struct weir_str stored = WEIR_STR("");
	json_t *before = NULL, *now = NULL;
	int64_t head = 0;
	struct vocabulary_changes changes = {
		.vocabulary = vocabulary, .change = control_change_new(CONTROL_CONSENT), .now_us = now_us};
	describe(vocabulary, &description);
	int code = control_query_text(
		control, arena, "SELECT value FROM weir_meta WHERE key = '" META_KEY "'", NULL, 0, &stored, err);
	if (code != 0 && code != WEIR_E_NOT_FOUND)
		goto done;
	bool first = code == WEIR_E_NOT_FOUND;
	code = control_query_int(control, "SELECT COALESCE(MAX(lsn), 0) FROM weir_consent_log", NULL, 0, &head, err);
	if (code != 0)
		goto done;
	changes.head = (uint64_t)head;
	if (!first) {
		before = json_loadb(stored.data, stored.size, 0, NULL);
		now = json_loadb(description.data, description.size, 0, NULL);
		if (before == NULL || now == NULL) {
			code = weir_fail(err, WEIR_E_CORRUPT,
				"the control database's copy of the consent vocabulary is not JSON");
			goto done;
		}
		compare(&changes, before, now);
	}
	if (first || changes.count > 0 || !weir_str_equal(stored, weir_buf_str(&description)))
		code = commit(control, &changes, weir_buf_str(&description), err);
done:
	control_change_free(changes.change);
	json_decref(before);
	json_decref(now);
	weir_buf_done(&description);
	weir_arena_free(arena);
	return code;
}
