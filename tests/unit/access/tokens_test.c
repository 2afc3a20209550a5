/* Tokens: what is stored of them, what they allow, and that nobody learns which exist (X1, X3). */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
/* after the above */
#include <cmocka.h>

#include "base/hash.h"
#include "support/lake/lake_fixture.h"

static struct weir_str make_token(struct lake_fixture *lake, enum access_role role, const char *consumer,
	const char *purpose, struct access_identity *ret_identity)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str secret, purposes[1] = {weir_str_from(purpose != NULL ? purpose : "")};
	LAKE_OK(lake,
		access_token_create(engine_access(lake->engine), role, weir_str_from(consumer), purposes,
			purpose != NULL, lake->arena, &secret, ret_identity, &err),
		&err);
	return secret;
}

static void a_secret_is_stored_as_its_hash_alone(void **state)
{
	struct lake_fixture lake;
	struct access_identity identity, found;
	struct weir_error err = WEIR_ERROR_INIT;
	uint8_t digest[WEIR_SHA256_SIZE];
	char hex[2 * WEIR_SHA256_SIZE + 1];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct weir_str secret = make_token(&lake, ACCESS_CONSUMER, "lab", "research", &identity);
	assert_int_equal(secret.size, 5 + 43);
	assert_true(weir_str_has_prefix(secret, WEIR_STR("weir_")));
	LAKE_OK(&lake, access_authenticate(engine_access(lake.engine), secret, &found, &err), &err);
	assert_string_equal(found.id, identity.id);
	weir_sha256(secret.data, secret.size, digest);
	weir_hex(digest, sizeof digest, hex);
	hex[2 * WEIR_SHA256_SIZE] = '\0';
	assert_int_equal(
		lake_number(&lake,
			weir_arena_printf(lake.arena, "SELECT COUNT(*) FROM weir_tokens WHERE hash = x'%s'", hex)),
		1);
	/* Used, refused and audited: in no file of the directory. */
	struct access_kv parameters[] = {{WEIR_STR("purpose"), WEIR_STR("research")}};
	struct access_request request = {.identity = &found, .parameters = parameters, .parameter_count = 1};
	struct access_answer *answer;
	LAKE_OK(&lake, access_query(engine_access(lake.engine), &request, &answer, &err), &err);
	access_answer_free(answer);
	lake_advance(&lake, WEIR_US_PER_MINUTE);
	bool did;
	LAKE_OK(&lake, engine_step(lake.engine, &did, &err), &err);
	assert_int_equal(lake_scan_files(&lake, "data", secret), 0);
	assert_int_equal(lake_scan_files(&lake, "data", (struct weir_str){secret.data + 5, 43}), 0);
	lake_close(&lake);
	assert_int_equal(lake_scan_files(&lake, "data", (struct weir_str){secret.data + 5, 43}), 0);
	lake_open(&lake);
	LAKE_OK(&lake, access_authenticate(engine_access(lake.engine), secret, &found, &err), &err); /* it lives on */
	assert_string_equal(found.consumer, "lab");
	lake_done(&lake);
}

static void unknown_and_revoked_look_alike(void **state)
{
	struct lake_fixture lake;
	struct access_identity identity, found = {.id = "untouched"};
	struct weir_error unknown = WEIR_ERROR_INIT, revoked = WEIR_ERROR_INIT, odd = WEIR_ERROR_INIT,
			  err = WEIR_ERROR_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct access *access = engine_access(lake.engine);
	struct weir_str secret = make_token(&lake, ACCESS_CONSUMER, "lab", "research", &identity);
	LAKE_OK(&lake, access_token_revoke(access, weir_str_from(identity.id), &err), &err);
	int status = access_authenticate(access, secret, &found, &revoked); /* at once */
	assert_int_equal(status, WEIR_E_DENIED);
	assert_string_equal(found.id, "untouched");
	assert_int_equal(access_authenticate(access, WEIR_STR("weir_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
				 &found, &unknown),
		WEIR_E_DENIED);
	assert_int_equal(access_authenticate(access, WEIR_STR(""), &found, &odd), WEIR_E_DENIED);
	assert_string_equal(unknown.message, revoked.message);
	assert_string_equal(unknown.message, odd.message);
	assert_string_equal(unknown.object, revoked.object);
	lake_reopen(&lake);
	assert_int_equal(access_authenticate(engine_access(lake.engine), secret, &found, &revoked), WEIR_E_DENIED);
	lake_done(&lake);
}

struct asking {
	struct access *access;
	struct weir_str secret;
	int64_t after_ns;
};

static void *ask_once(void *context)
{
	struct asking *asking = context;
	struct access_identity identity;
	struct weir_error err = WEIR_ERROR_INIT;
	nanosleep(&(struct timespec){.tv_nsec = asking->after_ns}, NULL);
	(void)access_authenticate(asking->access, asking->secret, &identity, &err);
	return NULL;
}

/* Whoever asks while a token is revoked may still be let in, but nobody after that: what was read before is not kept. */
static void a_revoked_token_is_not_remembered(void **state)
{
	struct lake_fixture lake;
	int64_t whole_ns = 0;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct access *access = engine_access(lake.engine);
	for (unsigned i = 0; i < 200; i++) {
		struct access_identity identity, found;
		struct weir_error err = WEIR_ERROR_INIT;
		struct timespec from, to;
		pthread_t thread;
		struct asking asking = {
			access, make_token(&lake, ACCESS_AUDITOR, "", NULL, &identity), whole_ns * (i % 50) / 40};
		assert_int_equal(pthread_create(&thread, NULL, ask_once, &asking), 0);
		clock_gettime(CLOCK_MONOTONIC, &from);
		LAKE_OK(&lake, access_token_revoke(access, weir_str_from(identity.id), &err), &err);
		clock_gettime(CLOCK_MONOTONIC, &to);
		whole_ns = (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec);
		whole_ns = whole_ns < 500000000 ? whole_ns : 500000000;
		pthread_join(thread, NULL);
		assert_int_equal(access_authenticate(access, asking.secret, &found, &err), WEIR_E_DENIED);
	}
	lake_done(&lake);
}

static void a_token_is_bound_to_its_purposes(void **state)
{
	static const char *const purposes[] = {
		"education", "marketing", "coaching", "research2", "nothing", "RESEARCH", "' OR 1=1"};
	struct lake_fixture lake;
	struct access_identity identity;
	struct weir_error first = WEIR_ERROR_INIT, err = WEIR_ERROR_INIT;
	struct access_answer *answer = NULL;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	lake_permit(&lake, "a1", "research", "education", NULL);
	lake_post(&lake, lake_event(&lake, 1, "a1", LAKE_NOW, NULL, ""));
	lake_flush(&lake);
	struct weir_str secret = make_token(&lake, ACCESS_CONSUMER, "lab", "research", &identity);
	LAKE_OK(&lake, access_authenticate(engine_access(lake.engine), secret, &identity, &err), &err);
	for (unsigned i = 0; i < sizeof purposes / sizeof purposes[0]; i++) {
		struct weir_error denied = WEIR_ERROR_INIT;
		struct access_kv parameters[] = {{WEIR_STR("purpose"), weir_str_from(purposes[i])}};
		struct access_request request = {.identity = &identity, .parameters = parameters, .parameter_count = 1};
		assert_int_equal(access_query(engine_access(lake.engine), &request, &answer, &denied), WEIR_E_DENIED);
		assert_null(answer);
		if (i == 0)
			first = denied;
		assert_string_equal(denied.message, first.message); /* whether it exists or not */
		assert_string_equal(denied.object, first.object);
	}
	struct access_identity others[] = {access_operator(), access_operator(), access_operator()};
	others[1].role = ACCESS_AUDITOR;
	others[2].role = ACCESS_INGEST;
	for (unsigned i = 0; i < 3; i++) { /* only a consumer reads by purpose, whatever bits it has */
		struct access_kv parameters[] = {{WEIR_STR("purpose"), WEIR_STR("research")}};
		struct access_request request = {
			.identity = &others[i], .parameters = parameters, .parameter_count = 1};
		others[i].purposes = UINT64_MAX;
		struct weir_error denied = WEIR_ERROR_INIT;
		assert_int_equal(access_query(engine_access(lake.engine), &request, &answer, &denied), WEIR_E_DENIED);
	}
	lake_done(&lake);
}

static void a_consumer_needs_purposes_that_exist(void **state)
{
	struct lake_fixture lake;
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_identity identity;
	struct weir_str secret, purposes[1] = {WEIR_STR("astrology")};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	int status = access_token_create(engine_access(lake.engine), ACCESS_CONSUMER, WEIR_STR("lab"), purposes, 1,
		lake.arena, &secret, &identity, &err);
	assert_int_equal(status, WEIR_E_INPUT);
	assert_non_null(strstr(err.message, "astrology"));
	assert_int_equal(lake_number(&lake, "SELECT COUNT(*) FROM weir_tokens"), 0);
	assert_int_equal(
		access_token_revoke(engine_access(lake.engine), WEIR_STR("no such id"), &err), WEIR_E_NOT_FOUND);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_secret_is_stored_as_its_hash_alone),
		cmocka_unit_test(unknown_and_revoked_look_alike),
		cmocka_unit_test(a_revoked_token_is_not_remembered),
		cmocka_unit_test(a_token_is_bound_to_its_purposes),
		cmocka_unit_test(a_consumer_needs_purposes_that_exist),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
