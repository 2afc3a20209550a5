/* Config, tokens by OAuth2 client credentials (RFC 6749, section 4.4), and clients' metrics reports. */
#include "serve/iceberg.h"

/* "GET /v1/{prefix}/namespaces", as clients compare it. */
static void add_endpoint(json_t *endpoints, const struct serve_route *route, struct weir_arena *arena)
{
	const char *path = route->pattern + strlen(ICEBERG_ROOT);
	bool bare = route->handler == iceberg_config || route->handler == iceberg_token;
	json_array_append_new(endpoints,
		json_string(weir_arena_printf(arena, "%s /v1%s%s", route->method, bare ? "" : "/{prefix}", path)));
}

int iceberg_config(struct serve_call *call, struct weir_error *err)
{
	const struct router *router = &call->app->router;
	json_t *endpoints = json_array();
	(void)err;
	for (uint32_t i = 0; i < router->count; i++) {
		const struct serve_route *route = &router->routes[i];
		if (strncmp(route->pattern, ICEBERG_ROOT "/", strlen(ICEBERG_ROOT) + 1) == 0 &&
			route->handler != iceberg_config && route->handler != iceberg_token)
			add_endpoint(endpoints, route, call->arena);
	}
	return iceberg_reply(call, 200, json_pack("{s:{},s:{},s:o}", "overrides", "defaults", "endpoints", endpoints));
}

static int oauth_error(struct serve_call *call, unsigned status, const char *error, const char *description)
{
	return iceberg_reply(call, status, json_pack("{s:s,s:s}", "error", error, "error_description", description));
}

static struct weir_str form_value(const struct serve_pair *pairs, uint32_t count, const char *key)
{
	for (uint32_t i = 0; i < count; i++)
		if (weir_str_is(pairs[i].key, key))
			return pairs[i].value;
	return (struct weir_str){0};
}

/*
 * client_secret is the secret of one of weir's tokens (client_id is not looked at: the secret says whose it is). It is
 * handed back as the bearer token: it is one already, it can be revoked at any time, and a second kind would have to be
 * too. A token exchange (RFC 8693), with which clients renew, gives the subject_token back while it is still good.
 */
int iceberg_token(struct serve_call *call, struct weir_error *err)
{
	struct serve_pair *pairs = weir_arena_calloc(call->arena, SERVE_PARAMETERS, sizeof *pairs);
	struct access_identity identity;
	struct weir_error unknown = WEIR_ERROR_INIT;
	uint32_t count = 0;
	call_header(call, "Cache-Control", WEIR_STR("no-store"));
	if (url_query(call->arena, weir_buf_str(&call->body), pairs, &count, err) < 0)
		return oauth_error(call, 400, "invalid_request", "the body is not application/x-www-form-urlencoded");
	struct weir_str grant = form_value(pairs, count, "grant_type"),
			secret = form_value(pairs, count, "client_secret");
	bool exchange = weir_str_is(grant, "urn:ietf:params:oauth:grant-type:token-exchange");
	if (exchange)
		secret = form_value(pairs, count, "subject_token");
	else if (!weir_str_is(grant, "client_credentials"))
		return oauth_error(
			call, 400, "unsupported_grant_type", "grant_type is client_credentials or a token exchange");
	if (secret.size == 0)
		return oauth_error(
			call, 400, "invalid_request", "client_secret, the secret of one of weir's tokens, is missing");
	int status = call->app->authenticate(call->app, secret, &identity, &unknown);
	if (status == WEIR_E_DENIED || status == WEIR_E_NOT_FOUND || status == WEIR_E_INPUT)
		return oauth_error(call, 401, "invalid_client", "the client_secret is not one of weir's tokens");
	if (status != 0) {
		*err = unknown;
		return status;
	}
	return iceberg_reply(call, 200,
		json_pack("{s:s%,s:s,s:s,s:s}", "access_token", secret.data, secret.size, "token_type", "bearer",
			"issued_token_type", "urn:ietf:params:oauth:token-type:access_token", "scope", "catalog"));
}

int iceberg_metrics(struct serve_call *call, struct weir_error *err)
{
	struct catalog_name name;
	json_t *body;
	int status = iceberg_name(call, &name, err);
	if (status == 0)
		status = catalog_need(call->app->catalog, &call->identity, CATALOG_TABLE, name, err);
	if (status == 0)
		status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	json_decref(body);
	return iceberg_reply_nothing(call);
}
