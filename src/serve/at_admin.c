/* /api/admin/...: the operator's SQL, dead letters, tokens, check and settle. */
#include "serve/serve_int.h"

#include <jansson.h>

#define LETTERS_DEFAULT 100
#define LETTERS_MAX     10000
#define REPLAY_MAX      10000
#define LETTER_ID_BYTES 64

/* ---- SQL ---- */

static int sql_next(void *self, struct weir_batch **ret_batch, struct weir_error *err)
{
	return access_sql_next(self, ret_batch, err);
}

static int run_sql(struct serve_call *call, struct weir_str text, bool as_auditor, enum answer_format format,
	struct weir_error *err)
{
	struct engine *engine = call->app->engine;
	struct sql *sql = engine_sql(engine);
	struct access_sql *query = NULL;
	if (sql == NULL)
		return weir_fail(err, WEIR_E_INTERNAL, "the SQL engine did not start; the log says why");
	int rc = access_sql_open(engine_access(engine), sql, text, as_auditor, &query, err);
	if (rc < 0)
		return rc;
	struct answer answer = {
		.call = call,
		.format = format,
		.schema = access_sql_schema(query),
		.next = sql_next,
		.self = query,
	};
	rc = answer_write(&answer, err);
	access_sql_free(query);
	return rc;
}

int at_sql(struct serve_call *call, struct weir_error *err)
{
	enum answer_format format;
	struct weir_str as = call_parameter(call, "as");
	bool as_auditor = weir_str_is(as, "auditor");
	if (as.data != NULL && !as_auditor)
		return weir_fail_at(
			err, WEIR_E_INPUT, WEIR_STR("as"), WEIR_ERROR_NO_OFFSET, "?as= takes auditor, or leave it out");
	if (!answer_negotiate(call, &format))
		return 0;
	return run_sql(call, weir_buf_str(&call->body), as_auditor, format, err);
}

/* ---- dead letters ---- */

int at_letters(struct serve_call *call, struct weir_error *err)
{
	uint64_t limit = LETTERS_DEFAULT;
	struct weir_str text = call_parameter(call, "limit");
	if (text.data != NULL && (!weir_str_to_u64(text, &limit) || limit == 0 || limit > LETTERS_MAX))
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("limit"), WEIR_ERROR_NO_OFFSET,
			"limit is a number from 1 to %d", LETTERS_MAX);
	const char *sql = weir_arena_printf(call->arena,
		"SELECT trace_id, failed_at, stream, channel, error_type, field, message, source_file, source_record, "
		"replayed_at FROM bronze.dead_letters ORDER BY failed_at DESC, trace_id DESC LIMIT %llu",
		(unsigned long long)limit);
	return run_sql(call, weir_str_from(sql), false, ANSWER_JSON, err);
}

/* Trace ids are partition and offset in hexadecimal. Checked because one goes into SQL text. */
static bool is_letter_id(struct weir_str id)
{
	for (size_t i = 0; i < id.size; i++) {
		char c = id.data[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '-'))
			return false;
	}
	return id.size > 0 && id.size <= LETTER_ID_BYTES;
}

int at_letter(struct serve_call *call, struct weir_error *err)
{
	struct weir_str id = call->values[0];
	if (!is_letter_id(id))
		return weir_fail(err, WEIR_E_INPUT,
			"a dead letter is named by its trace_id, as GET /api/admin/dead-letters lists it");
	const char *sql = weir_arena_printf(
		call->arena, "SELECT * FROM bronze.dead_letters WHERE trace_id = '%.*s'", WEIR_STR_ARG(id));
	return run_sql(call, weir_str_from(sql), false, ANSWER_JSON, err);
}

/* A JSON body that is one object; the caller decrefs. */
static int body_object(const struct serve_call *call, json_t **ret_object, struct weir_error *err)
{
	json_error_t broken;
	json_t *value = json_loadb(
		call->body.data != NULL ? call->body.data : "", call->body.size, JSON_REJECT_DUPLICATES, &broken);
	if (!json_is_object(value)) {
		json_decref(value);
		return weir_fail(err, WEIR_E_INPUT, "the body is not a JSON object: %s",
			value == NULL ? broken.text : "it is another value");
	}
	*ret_object = value;
	return 0;
}

static struct weir_str text_of(const json_t *value)
{
	return json_is_string(value) ? (struct weir_str){json_string_value(value), json_string_length(value)}
				     : (struct weir_str){NULL, 0};
}

/* Texts of an array, borrowed from it. */
static int texts_of(const struct serve_call *call, const json_t *array, const char *name, size_t limit,
	struct weir_str **ret_texts, uint32_t *ret_count, struct weir_error *err)
{
	size_t count = json_array_size(array);
	if ((array != NULL && !json_is_array(array)) || count > limit)
		return weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"%s is an array of up to %zu texts", name, limit);
	struct weir_str *texts = weir_arena_calloc(call->arena, count > 0 ? count : 1, sizeof *texts);
	for (size_t i = 0; i < count; i++) {
		texts[i] = text_of(json_array_get(array, i));
		if (texts[i].data == NULL)
			return weir_fail_at(err, WEIR_E_INPUT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
				"%s has something that is no text", name);
	}
	*ret_texts = texts;
	*ret_count = (uint32_t)count;
	return 0;
}

int at_replay(struct serve_call *call, struct weir_error *err)
{
	json_t *object = NULL;
	struct weir_str *ids = NULL;
	uint32_t count = 0;
	uint64_t accepted = 0, rejected = 0;
	int rc = body_object(call, &object, err);
	if (rc == 0)
		rc = texts_of(call, json_object_get(object, "ids"), "ids", REPLAY_MAX, &ids, &count, err);
	if (rc == 0 && count == 0)
		rc = weir_fail_at(
			err, WEIR_E_INPUT, WEIR_STR("ids"), WEIR_ERROR_NO_OFFSET, "name the letters to replay in ids");
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		if (!is_letter_id(ids[i]))
			rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("ids"), WEIR_ERROR_NO_OFFSET,
				"ids[%u] is not a trace_id", i);
	}
	if (rc == 0)
		rc = engine_replay(call->app->engine, ids, count, &accepted, &rejected, err);
	json_decref(object);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_uint(&json, "accepted", accepted);
	weir_json_key_uint(&json, "rejected", rejected);
	weir_json_object_end(&json);
	return 0;
}

/* ---- tokens ---- */

static void write_identity(
	const struct serve_call *call, struct weir_json *json, const struct access_identity *identity)
{
	weir_json_key_cstring(json, "id", identity->id);
	weir_json_key_cstring(json, "role", access_role_name(identity->role));
	weir_json_key_cstring(json, "consumer", identity->consumer[0] != '\0' ? identity->consumer : NULL);
	weir_json_key(json, "purposes");
	weir_json_array(json);
	const struct lake *lake = call->app->lake;
	for (uint32_t i = 0; lake->consent_count > 0 && i < lake->consents[0].purpose_count; i++) {
		if ((identity->purposes >> i & 1) != 0)
			weir_json_string(json, lake->consents[0].purposes[i]);
	}
	weir_json_array_end(json);
}

struct token_writer {
	const struct serve_call *call;
	struct weir_json json;
};

static void write_token(void *context, const struct access_identity *identity, int64_t created_us, int64_t revoked_us)
{
	struct token_writer *writer = context;
	weir_json_object(&writer->json);
	write_identity(writer->call, &writer->json, identity);
	weir_json_key(&writer->json, "created_at");
	weir_json_time(&writer->json, created_us);
	weir_json_key(&writer->json, "revoked_at");
	if (revoked_us != 0)
		weir_json_time(&writer->json, revoked_us);
	else
		weir_json_null(&writer->json);
	weir_json_object_end(&writer->json);
}

int at_tokens(struct serve_call *call, struct weir_error *err)
{
	call_reply(call, 200, "application/json");
	struct token_writer writer = {.call = call, .json = weir_json_to(&call->out)};
	weir_json_object(&writer.json);
	weir_json_key(&writer.json, "tokens");
	weir_json_array(&writer.json);
	int rc = access_token_each(call->app->access, write_token, &writer, err);
	weir_json_array_end(&writer.json);
	weir_json_object_end(&writer.json);
	return rc;
}

int at_token_create(struct serve_call *call, struct weir_error *err)
{
	json_t *object = NULL;
	struct weir_str *purposes = NULL, secret = {0};
	uint32_t purpose_count = 0;
	enum access_role role = ACCESS_CONSUMER;
	struct access_identity identity = {0};
	int rc = body_object(call, &object, err);
	if (rc < 0)
		return rc;
	if (!access_role_parse(text_of(json_object_get(object, "role")), &role))
		rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("role"), WEIR_ERROR_NO_OFFSET,
			"role is one of ingest, subject, consumer, auditor, operator");
	struct weir_str consumer = text_of(json_object_get(object, "consumer"));
	if (rc == 0)
		rc = texts_of(call, json_object_get(object, "purposes"), "purposes", CONSENT_PURPOSES_MAX, &purposes,
			&purpose_count, err);
	if (rc == 0 && (role == ACCESS_CONSUMER || role == ACCESS_SUBJECT) && consumer.size == 0)
		rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("consumer"), WEIR_ERROR_NO_OFFSET,
			"a token of role %s names whose it is in consumer", access_role_name(role));
	if (rc == 0 && role == ACCESS_CONSUMER && purpose_count == 0)
		rc = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("purposes"), WEIR_ERROR_NO_OFFSET,
			"a consumer's token names its purposes; without one it could read nothing");
	if (rc == 0)
		rc = access_token_create(call->app->access, role, consumer, purposes, purpose_count, call->arena,
			&secret, &identity, err);
	json_decref(object);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	write_identity(call, &json, &identity);
	weir_json_key_string(&json, "token", secret);
	weir_json_object_end(&json);
	return 0;
}

int at_token_revoke(struct serve_call *call, struct weir_error *err)
{
	int rc = access_token_revoke(call->app->access, call->values[0], err);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_string(&json, "id", call->values[0]);
	weir_json_key_bool(&json, "revoked", true);
	weir_json_object_end(&json);
	return 0;
}

/* ---- check and settle ---- */

int at_check(struct serve_call *call, struct weir_error *err)
{
	bool sound = false;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	return engine_check(call->app->engine, &json, &sound, err);
}

int at_settle(struct serve_call *call, struct weir_error *err)
{
	int rc = engine_flush(call->app->engine, err);
	if (rc == 0)
		rc = engine_settle(call->app->engine, call_flag(call, "compacted"), err);
	if (rc < 0)
		return rc;
	call_reply(call, 200, "application/json");
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_bool(&json, "settled", true);
	weir_json_object_end(&json);
	return 0;
}
