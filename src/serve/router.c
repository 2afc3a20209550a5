/* (method, path) -> route. A pattern is literal but for {name}, which is one path segment, decoded. */
#include "serve/serve_int.h"

bool router_pattern_match(
	const char *pattern, struct weir_str path, struct weir_arena *arena, struct weir_str *ret_values)
{
	uint32_t count = 0;
	size_t at = 0;
	while (*pattern != '\0') {
		if (*pattern != '{') {
			if (at == path.size || path.data[at] != *pattern)
				return false;
			pattern++;
			at++;
			continue;
		}
		size_t start = at;
		while (at < path.size && path.data[at] != '/')
			at++;
		if (at == start || count == SERVE_PATH_VALUES ||
			!url_decode(arena, (struct weir_str){path.data + start, at - start}, false, &ret_values[count]))
			return false;
		count++;
		pattern = strchr(pattern, '}') + 1;
	}
	return at == path.size;
}

unsigned router_match(const struct router *router, struct serve_call *call)
{
	struct weir_buf allow = WEIR_BUF_INIT;
	for (uint32_t i = 0; i < router->count; i++) {
		const struct serve_route *route = &router->routes[i];
		struct weir_str values[SERVE_PATH_VALUES] = {{0}};
		if (!router_pattern_match(route->pattern, call->path, call->arena, values))
			continue;
		if (weir_str_is(call->method, route->method) ||
			(weir_str_is(call->method, "HEAD") && strcmp(route->method, "GET") == 0 &&
				route->run == SERVE_INLINE)) {
			call->route = route;
			memcpy(call->values, values, sizeof values);
			weir_buf_done(&allow);
			return 200;
		}
		weir_buf_printf(&allow, "%s%s", allow.size > 0 ? ", " : "", route->method);
	}
	unsigned status = allow.size > 0 ? 405 : 404;
	if (allow.size > 0)
		call_header(call, "Allow", weir_buf_str(&allow));
	weir_buf_done(&allow);
	return status;
}
