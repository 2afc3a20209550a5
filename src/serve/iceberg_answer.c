/* Answers of the Iceberg REST catalog API, and its errors (specification, ErrorModel) with the type names that clients
 * know. */
#include "serve/iceberg.h"

#include <stdlib.h>

#define PAGE_MAX 10000

bool iceberg_is_path(struct weir_str path)
{
	return weir_str_has_prefix(path, WEIR_STR("/iceberg/")) || weir_str_is(path, "/iceberg");
}

static const char *type_of_status(unsigned status)
{
	switch (status) {
	case 400:
		return "BadRequestException";
	case 401:
		return "NotAuthorizedException";
	case 403:
		return "ForbiddenException";
	case 404:
		return "NotFoundException";
	case 405:
	case 406:
	case 501:
		return "UnsupportedOperationException";
	case 409:
		return "CommitFailedException";
	case 422:
		return "UnprocessableEntityException";
	case 503:
		return "ServiceUnavailableException";
	default:
		return status >= 500 ? "InternalServerError" : "RESTException";
	}
}

void iceberg_refuse(struct serve_call *call, unsigned status, const char *type, const char *message)
{
	WEIR_ASSERT(!call->started);
	call->out.size = 0;
	call_reply(call, status, "application/json");
	if (status == 401)
		call_header(call, "WWW-Authenticate", WEIR_STR("Bearer realm=\"weir\""));
	if (status == 503)
		call_header(call, "Retry-After", WEIR_STR("1"));
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key(&json, "error");
	weir_json_object(&json);
	weir_json_key_cstring(&json, "message", message);
	weir_json_key_cstring(&json, "type", type != NULL ? type : type_of_status(status));
	weir_json_key_uint(&json, "code", status);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
}

static const char *missing_type(const char *object)
{
	static const struct {
		const char *object, *type;
	} types[] = {{"namespace", "NoSuchNamespaceException"}, {"view", "NoSuchViewException"},
		{"table", "NoSuchTableException"}, {"plan", "NoSuchPlanIdException"},
		{"task", "NoSuchPlanTaskException"}};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(object, types[i].object) == 0)
			return types[i].type;
	return "NotFoundException";
}

/* An unknown outcome is 500, which clients of a commit take as unknown and verify; nothing else of a commit may be. */
void iceberg_refuse_error(struct serve_call *call, const struct weir_error *err)
{
	switch (err->code) {
	case WEIR_E_INPUT:
		iceberg_refuse(call, strcmp(err->object, "both") == 0 ? 422 : 400,
			strcmp(err->object, "argument") == 0 ? "IllegalArgumentException" : NULL, err->message);
		return;
	case WEIR_E_NOT_FOUND:
		iceberg_refuse(call, 404, missing_type(err->object), err->message);
		return;
	case WEIR_E_EXISTS:
		iceberg_refuse(call, 409, "AlreadyExistsException", err->message);
		return;
	case WEIR_E_CONFLICT:
		iceberg_refuse(call, 409, strcmp(err->object, "namespace") == 0 ? "NamespaceNotEmptyException" : NULL,
			err->message);
		return;
	case WEIR_E_UNSUPPORTED:
		iceberg_refuse(call, 406, NULL, err->message);
		return;
	case WEIR_E_DENIED:
		iceberg_refuse(call, 403, NULL, err->message);
		return;
	case WEIR_E_LIMIT:
		iceberg_refuse(call, 413, NULL, err->message);
		return;
	case WEIR_E_BUSY:
	case WEIR_E_CANCELLED:
		iceberg_refuse(call, 503, NULL, err->message);
		return;
	case WEIR_E_UNKNOWN:
		iceberg_refuse(call, 500, "CommitStateUnknownException", err->message);
		return;
	default:
		break;
	}
	char text[1200];
	weir_log(call->app->log, WEIR_LOG_ERROR, "%s %s failed: %s", call->route != NULL ? call->route->method : "-",
		call->route != NULL ? call->route->pattern : "-", weir_error_text(err, text, sizeof text));
	iceberg_refuse(call, 500, NULL,
		call->identity.role == ACCESS_OPERATOR ? err->message : "the server failed; its log says why");
}

static int append_text(const char *text, size_t size, void *context)
{
	weir_buf_append(context, text, size);
	return 0;
}

int iceberg_reply(struct serve_call *call, unsigned status, json_t *take_body)
{
	call_reply(call, status, "application/json");
	int dumped = json_dump_callback(take_body, append_text, &call->out, JSON_COMPACT);
	WEIR_ASSERT(dumped == 0);
	json_decref(take_body);
	return 0;
}

int iceberg_reply_nothing(struct serve_call *call)
{
	call_reply(call, 204, NULL);
	return 0;
}

int iceberg_body(struct serve_call *call, json_t **ret_body, struct weir_error *err)
{
	json_error_t problem;
	json_t *body = json_loadb(call->body.data != NULL ? call->body.data : "", call->body.size, 0, &problem);
	if (json_is_object(body)) {
		*ret_body = body;
		return 0;
	}
	json_decref(body);
	return weir_fail(err, WEIR_E_INPUT, "the body is not a JSON object: %s",
		body == NULL ? problem.text : "it is another JSON value");
}

int iceberg_namespace(struct serve_call *call, struct weir_str *ret_ns, struct weir_error *err)
{
	if (call->app->catalog == NULL)
		return weir_fail(err, WEIR_E_BUSY, "the catalog did not open; the server's log says why");
	return catalog_ns_from_url(call->arena, call->values[0], ret_ns, err);
}

int iceberg_name(struct serve_call *call, struct catalog_name *ret_name, struct weir_error *err)
{
	ret_name->name = call->values[1];
	return iceberg_namespace(call, &ret_name->ns, err);
}

int iceberg_page(struct serve_call *call, struct catalog_page *ret_page, struct weir_error *err)
{
	struct weir_str token = call_parameter(call, "pageToken"), size = call_parameter(call, "pageSize");
	uint64_t limit = 0;
	*ret_page = (struct catalog_page){.after = token};
	if (call->app->catalog == NULL)
		return weir_fail(err, WEIR_E_BUSY, "the catalog did not open; the server's log says why");
	if (size.size > 0 && (!weir_str_to_u64(size, &limit) || limit == 0))
		return weir_fail(err, WEIR_E_INPUT, "pageSize is a number from 1, not '%.*s'",
			(int)(size.size < 40 ? size.size : 40), size.data);
	/* A client that sends no token does not know of pages: it gets all. */
	if (token.data != NULL)
		ret_page->limit = (uint32_t)(limit < PAGE_MAX ? limit : PAGE_MAX);
	return 0;
}

int iceberg_reply_page(struct serve_call *call, const char *key, struct catalog_page *page)
{
	json_t *body = json_object();
	json_object_set_new(body, key, page->items);
	json_object_set_new(
		body, "next-page-token", page->more ? json_stringn(page->last.data, page->last.size) : json_null());
	return iceberg_reply(call, 200, body);
}

/* The table's wish how its scans are planned, where it has one. DuckDB takes any config for that of an object store, which
 * has a region: a table in a folder gets one along. */
static void write_planning(const struct catalog_entry *entry, struct weir_json *json)
{
	static const char key[] = "scan-planning-mode";
	if (memmem(entry->metadata.data, entry->metadata.size, key, sizeof key - 1) == NULL)
		return;
	json_t *metadata = json_loadb(entry->metadata.data, entry->metadata.size, 0, NULL);
	const char *mode = json_string_value(json_object_get(json_object_get(metadata, "properties"), key));
	const char *location = json_string_value(json_object_get(metadata, "location"));
	if (mode != NULL && (strcmp(mode, "server") == 0 || strcmp(mode, "client") == 0)) {
		weir_json_key_cstring(json, key, mode);
		if (location != NULL && (location[0] == '/' || strncmp(location, "file:", 5) == 0))
			weir_json_key_cstring(json, "client.region", "us-east-1");
	}
	json_decref(metadata);
}

/* Older clients look for keys in config alone. */
static void write_config(const struct catalog_entry *entry, struct weir_json *json)
{
	const char *key;
	json_t *value;
	weir_json_key(json, "config");
	weir_json_object(json);
	write_planning(entry, json);
	json_object_foreach(json_object_get(json_array_get(entry->credentials, 0), "config"), key, value)
		weir_json_key_cstring(json, key, json_string_value(value));
	weir_json_object_end(json);
	if (entry->credentials == NULL)
		return;
	char *text = json_dumps(entry->credentials, JSON_COMPACT);
	WEIR_ASSERT(text != NULL);
	weir_json_key(json, "storage-credentials");
	weir_json_raw(json, weir_str_from(text));
	free(text);
}

int iceberg_reply_entry(struct serve_call *call, struct catalog_entry *take_entry, bool with_config)
{
	call_reply(call, 200, "application/json");
	if (take_entry->no_credentials != NULL)
		call_header(call, ICEBERG_NO_KEYS, weir_str_from(take_entry->no_credentials));
	if (take_entry->etag[0] != '\0')
		call_header(call, "ETag", weir_str_from(take_entry->etag));
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key(&json, "metadata-location");
	if (take_entry->location.size > 0)
		weir_json_string(&json, take_entry->location);
	else
		weir_json_null(&json);
	weir_json_key(&json, "metadata");
	weir_json_raw(&json, weir_buf_str(&take_entry->metadata));
	if (with_config)
		write_config(take_entry, &json);
	weir_json_object_end(&json);
	catalog_entry_done(take_entry);
	return 0;
}
