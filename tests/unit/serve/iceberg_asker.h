/* The catalog of a lake, asked without a network: by the operator or with a token, and what is in the lake. */
#ifndef WEIR_TESTS_ICEBERG_ASKER_H
#define WEIR_TESTS_ICEBERG_ASKER_H

#include <jansson.h>

#include "engine/engine_int.h"
#include "serve/iceberg.h"
#include "support/lake/lake_fixture.h"

struct asker {
	struct lake_fixture *lake;
	const char *token; /* NULL: the operator of this machine */
	const char *etag;  /* If-None-Match */
};

static inline int take_body(void *context, unsigned status, struct weir_str bytes, struct weir_error *err)
{
	(void)status;
	(void)err;
	weir_buf_append(context, bytes.data, bytes.size);
	return 0;
}

/* Asks with a body in single quotes; *ret_answer is the parsed answer (NULL where it has none). */
static inline unsigned ask(
	const struct asker *asker, const char *method, const char *path, const char *body, json_t **ret_answer)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf answer = WEIR_BUF_INIT;
	struct serve_pair headers[2];
	uint32_t header_count = 0;
	unsigned status = 0;
	char *quoted = weir_arena_cstr(asker->lake->arena, weir_str_from(body != NULL ? body : ""));
	for (char *at = quoted; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	if (asker->token != NULL)
		headers[header_count++] = (struct serve_pair){WEIR_STR("Authorization"),
			weir_str_from(weir_arena_printf(asker->lake->arena, "Bearer %s", asker->token))};
	if (asker->etag != NULL)
		headers[header_count++] = (struct serve_pair){WEIR_STR("If-None-Match"), weir_str_from(asker->etag)};
	struct serve_request request = {.method = method,
		.target = weir_str_from(weir_arena_printf(asker->lake->arena, "/iceberg/v1/%s", path)),
		.headers = headers,
		.header_count = header_count,
		.body = weir_str_from(quoted)};
	LAKE_OK(asker->lake, serve_dispatch(asker->lake->engine, &request, take_body, &answer, &status, &err), &err);
	json_t *parsed = json_loadb(answer.data != NULL ? answer.data : "", answer.size, 0, NULL);
	if (ret_answer != NULL)
		*ret_answer = parsed;
	else
		json_decref(parsed);
	weir_buf_done(&answer);
	return status;
}

static inline json_t *get(const struct asker *asker, const char *path)
{
	json_t *answer;
	unsigned status = ask(asker, "GET", path, NULL, &answer);
	if (status != 200)
		fail_msg("GET %s: %u", path, status);
	return answer;
}

static inline const char *token_of(struct lake_fixture *lake, enum access_role role, const char *purpose)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct access_identity identity;
	struct weir_str secret, purposes[1] = {weir_str_from(purpose)};
	LAKE_OK(lake,
		access_token_create(engine_access(lake->engine), role, WEIR_STR("lab"), purposes, purpose != NULL,
			lake->arena, &secret, &identity, &err),
		&err);
	return weir_arena_cstr(lake->arena, secret);
}

/* Rows of three athletes: all of them for research, a0 and a1 for education too. */
static inline void fill(struct lake_fixture *lake)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char athlete[16];
	lake_permit(lake, "a0", "research", "education", NULL);
	lake_permit(lake, "a1", "research", "education", NULL);
	lake_permit(lake, "a2", "research", NULL);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(athlete, sizeof athlete, "a%u", i % 3);
		weir_buf_printf(&text, "%s\n",
			lake_event(lake, i, athlete, LAKE_NOW - (int64_t)(i % 4) * WEIR_US_PER_DAY,
				"\"activity\": \"running\"", "\"heart_rate\": 100"));
	}
	lake_post(lake, weir_buf_cstr(&text));
	weir_buf_done(&text);
	lake_flush(lake);
}

#endif
