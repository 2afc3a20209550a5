/*
 * Who may call what: Host and Origin, tokens, roles.
 *
 * Doors: LOOPBACK (a loopback address: without a token the caller is the operator), OPEN (any other
 * address: a token is always needed), UNIX (the lake's own socket: the operator). A route without the
 * operator's role needs a token through every door.
 *
 * On loopback anything that a browser on this machine loads could call weir. So the Host must be a
 * loopback name (a foreign name that was made to resolve to 127.0.0.1 is refused, on reads too), and a
 * write's Origin must be this very server. Through the Unix socket no browser comes.
 */
#include "serve/iceberg.h"

#include <strings.h>

#define DENIED "this token does not permit it"

/* "host:port", "[v6]:port" -> host without brackets. */
static struct weir_str host_name(struct weir_str host)
{
	if (host.size > 0 && host.data[0] == '[') {
		const char *end = memchr(host.data, ']', host.size);
		return end != NULL ? (struct weir_str){host.data + 1, (size_t)(end - host.data) - 1}
				   : (struct weir_str){0};
	}
	const char *colon = host.size > 0 ? memchr(host.data, ':', host.size) : NULL;
	return (struct weir_str){host.data, colon != NULL ? (size_t)(colon - host.data) : host.size};
}

static bool same_name(struct weir_str a, struct weir_str b)
{
	return a.size == b.size && (a.size == 0 || strncasecmp(a.data, b.data, a.size) == 0);
}

bool admit_host_is_loopback(struct weir_str host)
{
	struct weir_str name = host_name(host);
	if (same_name(name, WEIR_STR("localhost")) || same_name(name, WEIR_STR("::1")))
		return true;
	/* 127.0.0.0/8, as four numbers: "127.evil.example" is a name. */
	if (!weir_str_has_prefix(name, WEIR_STR("127.")) || name.size > 15)
		return false;
	unsigned dots = 0;
	for (size_t i = 0; i < name.size; i++) {
		if (name.data[i] == '.')
			dots++;
		else if (name.data[i] < '0' || name.data[i] > '9')
			return false;
	}
	return dots == 3;
}

bool admit_same_origin(struct weir_str origin, struct weir_str host)
{
	static const struct weir_str schemes[] = {{"http://", 7}, {"https://", 8}};
	for (unsigned i = 0; i < 2; i++) {
		if (weir_str_has_prefix(origin, schemes[i]))
			return same_name(
				(struct weir_str){origin.data + schemes[i].size, origin.size - schemes[i].size}, host);
	}
	return false;
}

int admit_deny(struct weir_error *err)
{
	return weir_fail(err, WEIR_E_DENIED, DENIED);
}

int admit_subject(const struct serve_call *call, struct weir_str subject, struct weir_error *err)
{
	if (call->identity.role == ACCESS_SUBJECT && !weir_str_is(subject, call->identity.consumer))
		return admit_deny(err);
	return 0;
}

static bool refuse(struct serve_call *call, unsigned status, const char *detail)
{
	struct problem problem = {.status = status, .detail = detail};
	problem_reply(call, &problem);
	return false;
}

/* "Bearer SECRET", the scheme in any case. */
static struct weir_str bearer(struct weir_str authorization)
{
	static const char scheme[] = "bearer ";
	size_t size = sizeof scheme - 1;
	if (authorization.size <= size || strncasecmp(authorization.data, scheme, size) != 0)
		return (struct weir_str){0};
	struct weir_str secret = {authorization.data + size, authorization.size - size};
	while (secret.size > 0 && secret.data[0] == ' ')
		secret = (struct weir_str){secret.data + 1, secret.size - 1};
	return secret;
}

static bool is_write(const struct serve_call *call)
{
	return !weir_str_is(call->method, "GET") && !weir_str_is(call->method, "HEAD");
}

bool admit(struct serve_call *call, enum serve_door door, const struct admit_headers *headers)
{
	unsigned roles = call->route->roles;
	if (door == SERVE_DOOR_LOOPBACK && headers->host.size > 0 && !admit_host_is_loopback(headers->host))
		return refuse(call, 403,
			"the Host of the request is not this server's; on loopback use localhost or 127.0.0.1");
	if (door != SERVE_DOOR_UNIX && is_write(call) && headers->origin.size > 0 &&
		!admit_same_origin(headers->origin, headers->host))
		return refuse(call, 403,
			"the Origin of the request is not this server's; pages of other sites may not write");
	if ((roles & SERVE_ANYONE) != 0)
		return true;
	bool token_needed = door == SERVE_DOOR_OPEN || (roles & SERVE_OPERATOR) == 0;
	/* PyIceberg sends `Bearer None` where it has no token. */
	bool has_none = headers->authorization.size == 0 ||
		(iceberg_is_path(call->path) && weir_str_is(headers->authorization, "Bearer None"));
	if (has_none && !token_needed) {
		call->identity = call->app->local_operator;
		return true;
	}
	struct weir_error err = WEIR_ERROR_INIT;
	/* No token and a wrong one take the same way, and get the same answer. */
	int rc = call->app->authenticate(call->app, bearer(headers->authorization), &call->identity, &err);
	if (rc == WEIR_E_DENIED || rc == WEIR_E_NOT_FOUND || rc == WEIR_E_INPUT)
		return refuse(call, 401, "send a valid token as `Authorization: Bearer ...`");
	if (rc < 0) {
		problem_reply_error(call, &err);
		return false;
	}
	if ((roles & SERVE_ROLE(call->identity.role)) == 0)
		return refuse(call, 403, DENIED);
	return true;
}
