/* Errors as application/problem+json (RFC 9457), with the errors of single events. */
#include "serve/iceberg.h"

const char *problem_title(unsigned status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 411:
		return "Length Required";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 421:
		return "Misdirected Request";
	case 422:
		return "Unprocessable Content";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

unsigned problem_status(const struct serve_call *call, int code)
{
	switch (code) {
	case WEIR_E_INPUT:
		return 400;
	case WEIR_E_NOT_FOUND:
		return 404;
	case WEIR_E_EXISTS:
		return 409;
	case WEIR_E_CONFLICT:
		return call->if_match.size > 0 ? 412 : 409;
	case WEIR_E_BUSY:
	case WEIR_E_CANCELLED:
		return 503;
	case WEIR_E_UNSUPPORTED:
		return call->route != NULL && call->route->body != SERVE_NO_BODY ? 415 : 501;
	case WEIR_E_LIMIT:
		return 413;
	case WEIR_E_DENIED:
		return 403;
	default:
		return 500;
	}
}

void problem_write_errors(struct weir_json *json, const struct ingest_error *errors, uint32_t count)
{
	weir_json_array(json);
	for (uint32_t i = 0; i < count; i++) {
		const struct ingest_error *error = &errors[i];
		weir_json_object(json);
		weir_json_key_uint(json, "index", error->index);
		if (error->event_id.size > 0)
			weir_json_key_string(json, "event_id", error->event_id);
		weir_json_key_string(json, "field", error->field);
		weir_json_key_string(json, "value", error->value);
		weir_json_key_cstring(json, "problem", error->problem);
		weir_json_key_cstring(json, "remedy", error->remedy);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
}

void problem_reply(struct serve_call *call, const struct problem *problem)
{
	WEIR_ASSERT(!call->started);
	if (iceberg_is_path(call->path)) {
		iceberg_refuse(call, problem->status, NULL, problem->detail);
		return;
	}
	call->out.size = 0;
	call_reply(call, problem->status, "application/problem+json");
	if (problem->status == 401)
		call_header(call, "WWW-Authenticate", WEIR_STR("Bearer realm=\"weir\""));
	if (problem->status == 503)
		call_header(call, "Retry-After", WEIR_STR("1"));
	struct weir_json json = weir_json_to(&call->out);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "type", "about:blank");
	weir_json_key_cstring(&json, "title", problem->title != NULL ? problem->title : problem_title(problem->status));
	weir_json_key_uint(&json, "status", problem->status);
	weir_json_key_cstring(&json, "detail", problem->detail);
	weir_json_key(&json, "errors");
	problem_write_errors(&json, problem->errors, problem->error_count);
	weir_json_object_end(&json);
}

void problem_reply_error(struct serve_call *call, const struct weir_error *err)
{
	if (iceberg_is_path(call->path)) {
		iceberg_refuse_error(call, err);
		return;
	}
	unsigned status = problem_status(call, err->code);
	struct ingest_error field = {.field = weir_str_from(err->object), .problem = err->message};
	struct problem problem = {.status = status, .detail = err->message};
	if (status == 500) {
		char text[1200];
		weir_log(call->app->log, WEIR_LOG_ERROR, "%s %s failed: %s",
			call->route != NULL ? call->route->method : "-",
			call->route != NULL ? call->route->pattern : "-", weir_error_text(err, text, sizeof text));
		/* Paths and table names are the operator's business alone. */
		if (call->identity.role != ACCESS_OPERATOR)
			problem.detail = "the server failed; its log says why";
	} else if (status == 400 && err->object[0] != '\0') {
		problem.errors = &field;
		problem.error_count = 1;
	}
	problem_reply(call, &problem);
}
