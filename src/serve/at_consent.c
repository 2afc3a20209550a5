/* /api/consent/...: posting, reading and withdrawing rules, following a change, explaining a decision. */
#include "serve/serve_int.h"

#include <jansson.h>
#include <stdlib.h>

int consent_of(const struct serve_call *call, uint32_t *ret_consent, struct weir_error *err)
{
	const struct lake *lake = call->app->lake;
	struct weir_str name = call_parameter(call, "consent");
	for (uint32_t i = 0; i < lake->consent_count; i++) {
		if (name.data == NULL || weir_str_equal(name, lake->consents[i].name)) {
			*ret_consent = i;
			return 0;
		}
	}
	return name.data == NULL ? weir_fail(err, WEIR_E_NOT_FOUND, "this lake has no consent section")
				 : weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("consent"), WEIR_ERROR_NO_OFFSET,
					   "this lake has no consent section of that name");
}

static int open_consent(const struct serve_call *call, struct consent **ret_consent, struct weir_error *err)
{
	uint32_t index = 0;
	int rc = consent_of(call, &index, err);
	if (rc == 0)
		*ret_consent = engine_consent(call->app->engine, index);
	return rc;
}

/* ---- If-Match ---- */

/* "12" in quotes, as the ETag of a GET says it. */
static int if_match(const struct serve_call *call, bool *ret_has, uint64_t *ret_lsn, struct weir_error *err)
{
	struct weir_str text = call->if_match;
	*ret_has = text.size > 0 && !weir_str_is(text, "*");
	if (!*ret_has)
		return 0;
	if (text.size < 3 || text.data[0] != '"' || text.data[text.size - 1] != '"' ||
		!weir_str_to_u64((struct weir_str){text.data + 1, text.size - 2}, ret_lsn))
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("If-Match"), WEIR_ERROR_NO_OFFSET,
			"If-Match is not an ETag of this route; send back the ETag that GET gave, in quotes");
	return 0;
}

static void etag(struct serve_call *call, uint64_t lsn)
{
	char text[24];
	int size = snprintf(text, sizeof text, "\"%llu\"", (unsigned long long)lsn);
	call_header(call, "ETag", (struct weir_str){text, (size_t)size});
}

/* ---- posting ---- */

struct documents {
	struct weir_str items[SERVE_RULES];
	uint32_t count;
	bool many; /* an array or several lines: the answer is an array */
};

static void skip_blank(struct weir_str *rest)
{
	while (rest->size > 0 && strchr(" \t\r\n", rest->data[0]) != NULL && rest->data[0] != '\0')
		*rest = (struct weir_str){rest->data + 1, rest->size - 1};
}

/* The next JSON value at the front of rest, as it stands. */
static int take_document(struct documents *documents, struct weir_str *rest, struct weir_error *err)
{
	json_error_t broken;
	if (documents->count == SERVE_RULES)
		return weir_fail(
			err, WEIR_E_LIMIT, "more than %d rules in one request; send them in parts", SERVE_RULES);
	if (rest->data[0] != '{')
		return weir_fail(err, WEIR_E_INPUT, "rule %u is not a JSON object", documents->count + 1);
	json_t *value = json_loadb(rest->data, rest->size, JSON_DISABLE_EOF_CHECK, &broken);
	if (value == NULL)
		return weir_fail(err, WEIR_E_INPUT, "rule %u is not JSON, at byte %d of it: %s", documents->count + 1,
			broken.position, broken.text);
	json_decref(value);
	size_t size = (size_t)broken.position;
	documents->items[documents->count++] = (struct weir_str){rest->data, size};
	*rest = (struct weir_str){rest->data + size, rest->size - size};
	skip_blank(rest);
	return 0;
}

/* One object, an array of objects, or objects one after the other (NDJSON). */
static int split_documents(struct weir_str body, struct documents *documents, struct weir_error *err)
{
	struct weir_str rest = body;
	skip_blank(&rest);
	bool array = rest.size > 0 && rest.data[0] == '[';
	if (array) {
		rest = (struct weir_str){rest.data + 1, rest.size - 1};
		skip_blank(&rest);
	}
	while (rest.size > 0 && rest.data[0] != ']') {
		int rc = take_document(documents, &rest, err);
		if (rc < 0)
			return rc;
		if (!array)
			continue;
		if (rest.size == 0 || (rest.data[0] != ',' && rest.data[0] != ']'))
			return weir_fail(err, WEIR_E_INPUT, "the array of rules lacks a comma or its end after rule %u",
				documents->count);
		if (rest.data[0] == ',') {
			rest = (struct weir_str){rest.data + 1, rest.size - 1};
			skip_blank(&rest);
			if (rest.size == 0 || rest.data[0] == ']')
				return weir_fail(err, WEIR_E_INPUT, "the array of rules ends with a comma");
		}
	}
	if (array && rest.size == 0)
		return weir_fail(err, WEIR_E_INPUT, "the array of rules has no end");
	if (array) {
		rest = (struct weir_str){rest.data + 1, rest.size - 1};
		skip_blank(&rest);
	}
	if (rest.size > 0)
		return weir_fail(err, WEIR_E_INPUT, "something follows the rules");
	if (documents->count == 0)
		return weir_fail(err, WEIR_E_INPUT, "there is no rule in the body; send one, an array, or NDJSON");
	documents->many = array || documents->count > 1;
	return 0;
}

/* 422: each rule that is wrong, with path and value. */
static int parse_rules(struct serve_call *call, const struct consent_vocabulary *vocabulary,
	const struct documents *documents, struct consent_rule *rules, bool *ret_good, struct weir_error *err)
{
	struct ingest_error *errors = weir_arena_calloc(call->arena, documents->count, sizeof *errors);
	uint32_t error_count = 0;
	for (uint32_t i = 0; i < documents->count; i++) {
		struct consent_problem problem = {0};
		struct weir_error single = WEIR_ERROR_INIT;
		int rc = consent_rule_parse(vocabulary, call->arena, documents->items[i], &rules[i], &problem, &single);
		if (rc < 0 && rc != WEIR_E_INPUT && rc != WEIR_E_LIMIT && rc != WEIR_E_UNSUPPORTED) {
			*err = single;
			return rc;
		}
		if (rc < 0 && error_count < INGEST_ERRORS_MAX)
			errors[error_count++] = (struct ingest_error){
				.index = i,
				.field = problem.path,
				.value = problem.value,
				.problem = problem.problem != NULL
					? problem.problem
					: weir_arena_cstr(call->arena, weir_str_from(single.message)),
				.remedy = problem.remedy,
			};
		if (rc == 0 && admit_subject(call, rules[i].subject, err) < 0)
			return WEIR_E_DENIED;
	}
	*ret_good = error_count == 0;
	if (error_count > 0)
		problem_reply(call,
			&(struct problem){.status = 422,
				.detail = "nothing was posted: errors says which rule is wrong and where",
				.errors = errors,
				.error_count = error_count});
	return 0;
}

static void write_changed(
	struct weir_json *json, const struct consent_rule *rule, const struct consent_changed *changed)
{
	weir_json_object(json);
	weir_json_key_string(json, "subject", rule->subject);
	weir_json_key_string(json, "ruleId", rule->rule_id);
	weir_json_key_uint(json, "version", changed->version);
	weir_json_key_uint(json, "lsn", changed->lsn);
	weir_json_object_end(json);
}

int at_rules_post(struct serve_call *call, struct weir_error *err)
{
	struct consent *consent = NULL;
	bool has_match = false, good = false;
	uint64_t match = 0;
	struct documents *documents = weir_arena_zalloc(call->arena, sizeof *documents);
	int rc = open_consent(call, &consent, err);
	if (rc == 0)
		rc = if_match(call, &has_match, &match, err);
	if (rc == 0)
		rc = split_documents(weir_buf_str(&call->body), documents, err);
	if (rc == 0 && has_match && documents->count > 1)
		rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("If-Match"), WEIR_ERROR_NO_OFFSET,
			"If-Match goes with one rule a request");
	if (rc < 0)
		return rc;
	struct consent_rule *rules = weir_arena_calloc(call->arena, documents->count, sizeof *rules);
	rc = parse_rules(call, consent_vocabulary_of(consent), documents, rules, &good, err);
	if (rc < 0 || !good)
		return rc;
	struct consent_change *changes = weir_arena_calloc(call->arena, documents->count, sizeof *changes);
	struct consent_changed *changed = weir_arena_calloc(call->arena, documents->count, sizeof *changed);
	for (uint32_t i = 0; i < documents->count; i++)
		changes[i] = (struct consent_change){
			.kind = CONSENT_CHANGE_POST, .rule = &rules[i], .has_if_match = has_match, .if_match = match};
	rc = consent_append(consent, changes, documents->count, changed, err);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	if (!documents->many)
		etag(call, changed[0].lsn);
	struct weir_json json = weir_json_to(&call->out);
	if (documents->many)
		weir_json_array(&json);
	for (uint32_t i = 0; i < documents->count; i++)
		write_changed(&json, &rules[i], &changed[i]);
	if (documents->many)
		weir_json_array_end(&json);
	return 0;
}

/* ---- reading ---- */

struct rules_writer {
	struct weir_json *json;
	const struct consent_vocabulary *vocabulary;
	struct weir_buf member;
};

/* The body is an object without userId and ruleId: its members follow those that are the log's. */
static void write_rule(void *context, const struct consent_rule_view *rule)
{
	struct rules_writer *writer = context;
	writer->member.size = 0;
	struct weir_json head = weir_json_to(&writer->member);
	weir_json_object(&head);
	weir_json_key_string(&head, "ruleId", rule->rule_id);
	weir_json_key_uint(&head, "version", rule->version);
	weir_json_key_uint(&head, "lsn", rule->lsn);
	struct weir_str body = rule->body;
	if (body.size > 2 && body.data[0] == '{') {
		weir_buf_putc(&writer->member, ',');
		weir_buf_append(&writer->member, body.data + 1, body.size - 1);
	} else {
		weir_buf_putc(&writer->member, '}');
	}
	weir_json_raw(writer->json, weir_buf_str(&writer->member));
}

static void write_withdrawn(void *context, uint32_t purpose, uint64_t lsn)
{
	struct rules_writer *writer = context;
	writer->member.size = 0;
	struct weir_json one = weir_json_to(&writer->member);
	weir_json_object(&one);
	weir_json_key_string(&one, "purpose", writer->vocabulary->purposes[purpose]);
	weir_json_key_uint(&one, "lsn", lsn);
	weir_json_object_end(&one);
	weir_json_raw(writer->json, weir_buf_str(&writer->member));
}

static void no_rule(void *context, const struct consent_rule_view *rule)
{
	(void)context;
	(void)rule;
}

static void no_withdrawn(void *context, uint32_t purpose, uint64_t lsn)
{
	(void)context;
	(void)purpose;
	(void)lsn;
}

int at_rules_get(struct serve_call *call, struct weir_error *err)
{
	struct consent *consent = NULL;
	struct weir_str subject = call->values[0];
	int rc = admit_subject(call, subject, err);
	if (rc == 0)
		rc = open_consent(call, &consent, err);
	if (rc < 0)
		return rc;
	/* The number first: rules that are newer than their ETag only make an If-Match fail. */
	uint64_t lsn = consent_subject_lsn(consent, subject);
	struct consent_rules *rules = consent_rules_newest(consent);
	call_reply(call, 200, "application/json");
	etag(call, lsn);
	struct weir_json json = weir_json_to(&call->out);
	struct rules_writer writer = {.json = &json, .vocabulary = consent_vocabulary_of(consent)};
	weir_json_object(&json);
	weir_json_key_string(&json, "userId", subject);
	weir_json_key_uint(&json, "lsn", lsn);
	weir_json_key(&json, "rules");
	weir_json_array(&json);
	consent_rules_each(rules, subject, write_rule, no_withdrawn, &writer);
	weir_json_array_end(&json);
	weir_json_key(&json, "withdrawn");
	weir_json_array(&json);
	consent_rules_each(rules, subject, no_rule, write_withdrawn, &writer);
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	weir_buf_done(&writer.member);
	consent_rules_unref(rules);
	return 0;
}

/* ---- taking away ---- */

static int append_one(struct serve_call *call, struct consent *consent, const struct consent_change *change,
	const char *name, struct weir_str value, struct weir_error *err)
{
	struct consent_changed changed = {0};
	int rc = consent_append(consent, change, 1, &changed, err);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_string(&json, "subject", change->subject);
	weir_json_key_string(&json, name, value);
	weir_json_key_uint(&json, "lsn", changed.lsn);
	weir_json_key_bool(&json, "changed", !changed.nothing);
	weir_json_object_end(&json);
	return 0;
}

int at_rules_delete(struct serve_call *call, struct weir_error *err)
{
	struct consent *consent = NULL;
	struct consent_change change = {.kind = CONSENT_CHANGE_REMOVE, .subject = call->values[0]};
	change.rule_id = call_parameter(call, "ruleId");
	int rc = admit_subject(call, change.subject, err);
	if (rc == 0 && change.rule_id.size == 0)
		rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("ruleId"), WEIR_ERROR_NO_OFFSET,
			"name the rule to remove by ?ruleId=; to withdraw a purpose, DELETE .../{subject}/{purpose}");
	if (rc == 0)
		rc = open_consent(call, &consent, err);
	if (rc == 0)
		rc = if_match(call, &change.has_if_match, &change.if_match, err);
	return rc < 0 ? rc : append_one(call, consent, &change, "ruleId", change.rule_id, err);
}

int at_rule_withdraw(struct serve_call *call, struct weir_error *err)
{
	struct consent *consent = NULL;
	struct weir_str purpose = call->values[1];
	struct consent_change change = {.kind = CONSENT_CHANGE_WITHDRAW, .subject = call->values[0]};
	bool has_match = false;
	uint64_t match = 0;
	int rc = admit_subject(call, change.subject, err);
	if (rc == 0)
		rc = open_consent(call, &consent, err);
	if (rc == 0)
		rc = if_match(call, &has_match, &match, err);
	if (rc < 0)
		return rc;
	int index = consent_purpose_index(consent_vocabulary_of(consent), purpose);
	if (index < 0)
		return weir_fail(err, WEIR_E_NOT_FOUND, "this lake has no purpose of that name; lake.yaml lists them");
	if (has_match && consent_subject_lsn(consent, change.subject) != match)
		return weir_fail(err, WEIR_E_CONFLICT, "stale: the subject's rules changed since; GET them again");
	change.purpose = (uint32_t)index;
	return append_one(call, consent, &change, "purpose", purpose, err);
}

/* ---- following and explaining ---- */

static void optional_time(struct weir_json *json, const char *name, int64_t time_us)
{
	weir_json_key(json, name);
	if (time_us != 0)
		weir_json_time(json, time_us);
	else
		weir_json_null(json);
}

int at_change(struct serve_call *call, struct weir_error *err)
{
	struct consent *consent = NULL;
	struct consent_progress progress = {0};
	uint64_t lsn = 0;
	int rc = open_consent(call, &consent, err);
	if (rc == 0 && !weir_str_to_u64(call->values[0], &lsn))
		rc = weir_fail(err, WEIR_E_INPUT, "a consent change is named by its number (lsn)");
	if (rc == 0)
		rc = consent_change_progress(consent, lsn, &progress, err);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_uint(&json, "lsn", lsn);
	weir_json_key_cstring(&json, "state", progress.state);
	/* Numbers are global: how many rows somebody else has is not a subject's to know. */
	if (call->identity.role != ACCESS_SUBJECT) {
		weir_json_key_uint(&json, "rows_done", progress.rows_done);
		weir_json_key_uint(&json, "rows_todo", progress.rows_todo);
	}
	optional_time(&json, "at", progress.at_us);
	optional_time(&json, "invisible_at", progress.invisible_us);
	optional_time(&json, "done_at", progress.done_us);
	weir_json_object_end(&json);
	return 0;
}

int at_explain(struct serve_call *call, struct weir_error *err)
{
	uint32_t consent = 0;
	bool permitted = false;
	struct weir_str purpose = call_parameter(call, "purpose");
	int rc = consent_of(call, &consent, err);
	if (rc == 0 && purpose.size == 0)
		rc = weir_fail_at(
			err, WEIR_E_INPUT, WEIR_STR("purpose"), WEIR_ERROR_NO_OFFSET, "name the purpose by ?purpose=");
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	return engine_explain(call->app->engine, consent, weir_buf_str(&call->body), purpose, &json, &permitted, err);
}

int at_subject_rows(struct serve_call *call, struct weir_error *err)
{
	uint32_t index = 0;
	uint64_t counts[CONSENT_PURPOSES_MAX] = {0};
	struct weir_str subject = call->values[0];
	int rc = admit_subject(call, subject, err);
	if (rc == 0)
		rc = consent_of(call, &index, err);
	if (rc == 0)
		rc = access_subject_rows(engine_access(call->app->engine), index, subject, counts, err);
	if (rc < 0)
		return rc;
	const struct lake_consent *consent = &call->app->lake->consents[index];
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_string(&json, "subject", subject);
	weir_json_key(&json, "rows");
	weir_json_object(&json);
	for (uint32_t i = 0; i < consent->purpose_count; i++) {
		weir_json_key_str(&json, consent->purposes[i]);
		weir_json_uint(&json, counts[i]);
	}
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	return 0;
}
