/* The table of routes as OpenAPI 3.1: what a client generator needs of paths, parameters, bodies and who may call. */
#include "serve/serve_int.h"

static void parameter(struct weir_json *json, struct weir_str name, const char *in, bool required)
{
	weir_json_object(json);
	weir_json_key_string(json, "name", name);
	weir_json_key_cstring(json, "in", in);
	weir_json_key_bool(json, "required", required);
	weir_json_key(json, "schema");
	weir_json_object(json);
	weir_json_key_cstring(json, "type", "string");
	weir_json_object_end(json);
	weir_json_object_end(json);
}

static void parameters(struct weir_json *json, const struct serve_route *route)
{
	weir_json_key(json, "parameters");
	weir_json_array(json);
	for (const char *open = strchr(route->pattern, '{'); open != NULL; open = strchr(open + 1, '{'))
		parameter(json, (struct weir_str){open + 1, strcspn(open + 1, "}")}, "path", true);
	for (const char *at = route->parameters; at != NULL && *at != '\0';) {
		size_t size = strcspn(at, " ");
		parameter(json, (struct weir_str){at, size}, "query", false);
		at += size + strspn(at + size, " ");
	}
	weir_json_array_end(json);
}

static void content(struct weir_json *json, const char *const *types, unsigned count)
{
	weir_json_key(json, "content");
	weir_json_object(json);
	for (unsigned i = 0; i < count; i++) {
		weir_json_key(json, types[i]);
		weir_json_object(json);
		weir_json_object_end(json);
	}
	weir_json_object_end(json);
}

static void request_body(struct weir_json *json, const struct serve_route *route)
{
	static const char *const documents[] = {"application/json", "application/x-ndjson"};
	static const char *const files[] = {"multipart/form-data", "application/octet-stream"};
	if (route->body == SERVE_NO_BODY)
		return;
	weir_json_key(json, "requestBody");
	weir_json_object(json);
	weir_json_key_bool(json, "required", true);
	content(json, route->body == SERVE_FILE ? files : documents, 2);
	weir_json_object_end(json);
}

static void responses(struct weir_json *json, const struct serve_route *route)
{
	static const char *const problem[] = {"application/problem+json"};
	static const char *const plain[] = {"application/json"};
	static const char *const rows[] = {
		"application/json", "application/x-ndjson", "text/csv", "application/vnd.apache.parquet"};
	bool has_rows = route->run == SERVE_QUERY || route->handler == at_sql;
	weir_json_key(json, "responses");
	weir_json_object(json);
	weir_json_key(json, "200");
	weir_json_object(json);
	weir_json_key_cstring(json, "description", route->summary);
	content(json, has_rows ? rows : plain, has_rows ? 4 : 1);
	weir_json_object_end(json);
	weir_json_key(json, "default");
	weir_json_object(json);
	weir_json_key_cstring(json, "description", "What was wrong, and what to do about it");
	content(json, problem, 1);
	weir_json_object_end(json);
	weir_json_object_end(json);
}

static void operation(struct weir_json *json, const struct serve_route *route)
{
	char method[8];
	size_t size = 0;
	for (; route->method[size] != '\0' && size < sizeof method - 1; size++)
		method[size] = (char)(route->method[size] | 0x20);
	weir_json_key_str(json, (struct weir_str){method, size});
	weir_json_object(json);
	weir_json_key_cstring(json, "summary", route->summary);
	weir_json_key(json, "x-roles");
	weir_json_array(json);
	for (unsigned role = ACCESS_INGEST; role <= ACCESS_OPERATOR; role++) {
		if ((route->roles & SERVE_ROLE(role)) != 0)
			weir_json_cstring(json, access_role_name((enum access_role)role));
	}
	weir_json_array_end(json);
	weir_json_key(json, "security");
	weir_json_array(json);
	if ((route->roles & SERVE_ANYONE) == 0) {
		weir_json_object(json);
		weir_json_key(json, "token");
		weir_json_array(json);
		weir_json_array_end(json);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	parameters(json, route);
	request_body(json, route);
	responses(json, route);
	weir_json_object_end(json);
}

void openapi_write(const struct router *router, const char *lake_name, struct weir_buf *out)
{
	struct weir_json json = weir_json_to(out);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "openapi", "3.1.0");
	weir_json_key(&json, "info");
	weir_json_object(&json);
	weir_json_key_cstring(&json, "title", lake_name);
	weir_json_key_cstring(&json, "version", WEIR_VERSION);
	weir_json_object_end(&json);
	weir_json_key(&json, "paths");
	weir_json_object(&json);
	for (uint32_t i = 0; i < router->count; i++) {
		const char *pattern = router->routes[i].pattern;
		bool seen = false;
		for (uint32_t j = 0; j < i; j++)
			seen = seen || strcmp(router->routes[j].pattern, pattern) == 0;
		if (seen)
			continue;
		weir_json_key(&json, pattern);
		weir_json_object(&json);
		for (uint32_t j = i; j < router->count; j++) {
			if (strcmp(router->routes[j].pattern, pattern) == 0)
				operation(&json, &router->routes[j]);
		}
		weir_json_object_end(&json);
	}
	weir_json_object_end(&json);
	weir_json_key(&json, "components");
	weir_json_object(&json);
	weir_json_key(&json, "securitySchemes");
	weir_json_object(&json);
	weir_json_key(&json, "token");
	weir_json_object(&json);
	weir_json_key_cstring(&json, "type", "http");
	weir_json_key_cstring(&json, "scheme", "bearer");
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
}
