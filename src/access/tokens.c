/* Tokens: made, listed, revoked, checked. Only their SHA-256 is stored; the secret is shown once. */
#include <stdio.h>
#include <stdlib.h>

#include "access/access_int.h"
#include "base/base64.h"
#include "base/hash.h"
#include "base/rng.h"

#define SECRET_BYTES 32
#define CACHE_MAX    4096

static const char *const role_names[] = {"ingest", "subject", "consumer", "auditor", "operator"};

/* What a digest stands for; known tokens only, so that a flood of unknown ones cannot fill it. */
struct access_cached_token {
	uint8_t hash[WEIR_SHA256_SIZE];
	struct access_identity identity;
};

bool access_role_parse(struct weir_str name, enum access_role *ret_role)
{
	for (unsigned i = 0; i < sizeof role_names / sizeof role_names[0]; i++)
		if (weir_str_is(name, role_names[i])) {
			*ret_role = (enum access_role)i;
			return true;
		}
	return false;
}

const char *access_role_name(enum access_role role)
{
	return role_names[role];
}

struct access_identity access_operator(void)
{
	return (struct access_identity){.id = "loopback", .role = ACCESS_OPERATOR, .purposes = ~0ULL};
}

static const struct consent_vocabulary *vocabulary_of(const struct access *access)
{
	return access->config.lake->consent_count > 0 ? consent_vocabulary_of(access->config.consents[0]) : NULL;
}

/* Base64url of random bytes: 43 characters. */
static void secret_text(const uint8_t bytes[SECRET_BYTES], char text[64])
{
	struct weir_buf digits = WEIR_BUF_INIT;
	weir_base64_write(&digits, WEIR_BASE64URL, (struct weir_str){(const char *)bytes, SECRET_BYTES});
	snprintf(text, 64, "weir_%s", weir_buf_cstr(&digits));
	weir_buf_done(&digits);
}

static void forget_cache(struct access *access)
{
	pthread_mutex_lock(&access->lock);
	access->token_generation++;
	access->token_count = 0;
	pthread_mutex_unlock(&access->lock);
}

static int purposes_of(const struct access *access, const struct weir_str *purposes, uint32_t count, uint64_t *ret_mask,
	struct weir_buf *ret_text, struct weir_error *err)
{
	const struct consent_vocabulary *vocabulary = vocabulary_of(access);
	*ret_mask = 0;
	for (uint32_t i = 0; i < count; i++) {
		int index = vocabulary != NULL ? consent_purpose_index(vocabulary, purposes[i]) : -1;
		if (index < 0)
			return weir_fail(err, WEIR_E_INPUT,
				"the lake has no purpose %.*s; its purposes stand in lake.yaml under consent",
				WEIR_STR_ARG(purposes[i]));
		*ret_mask |= 1ULL << index;
		if (i > 0)
			weir_buf_putc(ret_text, ',');
		weir_buf_append(ret_text, purposes[i].data, purposes[i].size);
	}
	return 0;
}

int access_token_create(struct access *access, enum access_role role, struct weir_str consumer,
	const struct weir_str *purposes, uint32_t purpose_count, struct weir_arena *arena, struct weir_str *ret_secret,
	struct access_identity *ret_identity, struct weir_error *err)
{
	struct access_identity identity = {.role = role};
	struct weir_buf text = WEIR_BUF_INIT;
	uint8_t random[SECRET_BYTES], hash[WEIR_SHA256_SIZE];
	char secret[64];
	struct control_result result;
	if (consumer.size >= sizeof identity.consumer)
		return weir_fail(
			err, WEIR_E_LIMIT, "a consumer's name has at most %zu bytes", sizeof identity.consumer - 1);
	if (role == ACCESS_CONSUMER && (consumer.size == 0 || purpose_count == 0))
		return weir_fail(err, WEIR_E_INPUT, "a consumer's token names the consumer and at least one purpose");
	int status = purposes_of(access, purposes, purpose_count, &identity.purposes, &text, err);
	if (status != 0) {
		weir_buf_done(&text);
		return status;
	}
	if (consumer.size > 0)
		memcpy(identity.consumer, consumer.data, consumer.size);
	weir_random_bytes(random, sizeof random);
	secret_text(random, secret);
	weir_sha256(secret, strlen(secret), hash);
	weir_random_bytes(random, sizeof random);
	weir_hex(random, 8, identity.id);
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	struct control_value values[] = {
		CONTROL_T(weir_str_from(identity.id)),
		CONTROL_B(((struct weir_str){(const char *)hash, sizeof hash})),
		CONTROL_T(weir_str_from(role_names[role])),
		CONTROL_T(weir_str_from(identity.consumer)),
		CONTROL_T(weir_buf_str(&text)),
		CONTROL_I(weir_now_us(&access->config.clock)),
	};
	if (text.size == 0)
		values[4] = CONTROL_T(WEIR_STR(""));
	control_change_sql(change, "token", 1,
		"INSERT INTO weir_tokens (id, hash, role, consumer, purposes, created_us) VALUES (?1, ?2, ?3, ?4, ?5, "
		"?6)",
		values, 6);
	status = control_commit(access->config.control, change, &result, err);
	control_change_free(change);
	weir_buf_done(&text);
	if (status != 0)
		return status;
	*ret_secret = weir_arena_str(arena, weir_str_from(secret));
	*ret_identity = identity;
	return 0;
}

static void identity_from_row(
	const struct access *access, const struct control_value *values, struct access_identity *identity)
{
	const struct consent_vocabulary *vocabulary = vocabulary_of(access);
	*identity = (struct access_identity){.role = ACCESS_CONSUMER};
	size_t id_size = values[0].text.size < sizeof identity->id ? values[0].text.size : sizeof identity->id - 1;
	memcpy(identity->id, values[0].text.data, id_size);
	if (!access_role_parse(values[1].text, &identity->role))
		return;
	size_t size =
		values[2].text.size < sizeof identity->consumer ? values[2].text.size : sizeof identity->consumer - 1;
	if (size > 0)
		memcpy(identity->consumer, values[2].text.data, size);
	struct weir_str rest = values[3].text;
	while (rest.size > 0 && vocabulary != NULL) {
		const char *comma = memchr(rest.data, ',', rest.size);
		size_t length = comma != NULL ? (size_t)(comma - rest.data) : rest.size;
		int index = consent_purpose_index(vocabulary, (struct weir_str){rest.data, length});
		if (index >= 0) /* one that the lake no longer has gives nothing */
			identity->purposes |= 1ULL << index;
		rest.data += length + (comma != NULL);
		rest.size -= length + (comma != NULL);
	}
}

struct token_walk {
	const struct access *access;
	access_token_fn *token;
	void *context;
	bool found;
	struct access_identity identity;
};

static int walk_token(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct token_walk *walk = context;
	(void)err;
	WEIR_ASSERT(count >= 4);
	identity_from_row(walk->access, values, &walk->identity);
	walk->found = true;
	if (walk->token != NULL)
		walk->token(walk->context, &walk->identity, values[4].integer,
			values[5].kind == CONTROL_INT ? values[5].integer : 0);
	return 0;
}

int access_token_each(struct access *access, access_token_fn *token, void *context, struct weir_error *err)
{
	struct token_walk walk = {.access = access, .token = token, .context = context};
	return control_query(access->config.control,
		"SELECT id, role, consumer, purposes, created_us, revoked_us FROM weir_tokens ORDER BY created_us",
		NULL, 0, walk_token, &walk, err);
}

int access_token_revoke(struct access *access, struct weir_str id, struct weir_error *err)
{
	struct control_result result;
	struct control_value values[] = {CONTROL_I(weir_now_us(&access->config.clock)), CONTROL_T(id)};
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	control_change_sql(change, "token", 1,
		"UPDATE weir_tokens SET revoked_us = ?1 WHERE id = ?2 AND revoked_us IS NULL", values, 2);
	int status = control_commit(access->config.control, change, &result, err);
	control_change_free(change);
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		return weir_fail(
			err, WEIR_E_NOT_FOUND, "there is no token %.*s that is not revoked already", WEIR_STR_ARG(id));
	forget_cache(access);
	return status;
}

static bool cached(struct access *access, const uint8_t hash[WEIR_SHA256_SIZE], struct access_identity *ret_identity,
	uint64_t *ret_generation)
{
	bool found = false;
	pthread_mutex_lock(&access->lock);
	for (size_t i = 0; i < access->token_count && !found; i++)
		if (memcmp(access->tokens[i].hash, hash, WEIR_SHA256_SIZE) == 0) {
			*ret_identity = access->tokens[i].identity;
			found = true;
		}
	*ret_generation = access->token_generation;
	pthread_mutex_unlock(&access->lock);
	return found;
}

int access_authenticate(
	struct access *access, struct weir_str secret, struct access_identity *ret_identity, struct weir_error *err)
{
	uint8_t hash[WEIR_SHA256_SIZE];
	struct token_walk walk = {.access = access};
	weir_sha256(secret.data, secret.size, hash);
	uint64_t generation;
	if (cached(access, hash, ret_identity, &generation))
		return 0;
	struct control_value value = CONTROL_B(((struct weir_str){(const char *)hash, sizeof hash}));
	int status = control_query(access->config.control,
		"SELECT id, role, consumer, purposes FROM weir_tokens WHERE hash = ?1 AND revoked_us IS NULL", &value,
		1, walk_token, &walk, err);
	if (status != 0)
		return status;
	if (!walk.found)
		return weir_fail(err, WEIR_E_DENIED, "this token is not known");
	*ret_identity = walk.identity;
	pthread_mutex_lock(&access->lock);
	/* Not where the cache was emptied since: what was read may be what was revoked. */
	if (access->token_generation == generation && access->token_count < CACHE_MAX) {
		WEIR_GROW(access->tokens, access->token_count, access->token_capacity);
		memcpy(access->tokens[access->token_count].hash, hash, sizeof hash);
		access->tokens[access->token_count++].identity = walk.identity;
	}
	pthread_mutex_unlock(&access->lock);
	return 0;
}
