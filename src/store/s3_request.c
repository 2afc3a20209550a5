/* One exchange with the server: signed, tried again, and its refusals put into words. See s3_int.h. */
#include <stdio.h>

#include "base/hash.h"
#include "store/s3_int.h"

#define HEADERS_MAX     12
#define CODE_MAX        64
#define ERROR_URI_MAX   (S3_KEY_MAX + 128)
#define RENEW_BEFORE_US (5 * 60 * WEIR_US_PER_SECOND)
#define RENEW_AGAIN_US  (10 * WEIR_US_PER_SECOND)

struct weir_str s3_object_text(const struct s3 *s3, struct weir_str key, char *buffer)
{
	int size = snprintf(buffer, ERROR_URI_MAX, "s3://%.*s%s%.*s", WEIR_STR_ARG(s3->bucket), key.size > 0 ? "/" : "",
		WEIR_STR_ARG(key));
	return (struct weir_str){buffer, size < ERROR_URI_MAX ? (size_t)size : ERROR_URI_MAX - 1};
}

int s3_key_of(const struct s3 *s3, const char *name, char *buffer, struct weir_str *ret_key, struct weir_error *err)
{
	size_t size = strlen(name);
	if (s3->prefix.size + size > S3_KEY_MAX)
		return weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(name), WEIR_ERROR_NO_OFFSET,
			"with the warehouse's prefix the name has %zu bytes; S3 takes %d: shorten the prefix",
			s3->prefix.size + size, S3_KEY_MAX);
	if (s3->prefix.size > 0)
		memcpy(buffer, s3->prefix.data, s3->prefix.size);
	memcpy(buffer + s3->prefix.size, name, size + 1);
	*ret_key = (struct weir_str){buffer, s3->prefix.size + size};
	return 0;
}

void s3_plan_renewal(struct s3 *s3)
{
	int64_t now_us = weir_now_us(&s3->clock), left_us = s3->keys.expires_us - now_us;
	s3->renew_at_us = s3->keys.expires_us == 0 ? INT64_MAX
		: left_us > 2 * RENEW_BEFORE_US    ? s3->keys.expires_us - RENEW_BEFORE_US
						   : now_us + left_us / 2;
}

/* The older keys stay in the arena, for whoever signs with them just now. */
static int keys_now(struct s3 *s3, int64_t now_us, struct s3_keys *ret_keys, struct weir_error *err)
{
	struct weir_error refused = WEIR_ERROR_INIT;
	int status = 0;
	pthread_mutex_lock(&s3->keys_lock);
	if (s3->renewal.renew != NULL && now_us >= s3->renew_at_us) {
		struct s3_keys keys = {0};
		status = s3->renewal.renew(s3->renewal.context, s3->arena, &keys, &refused);
		if (status == 0) {
			s3->keys = keys;
			s3_plan_renewal(s3);
		} else if (now_us < s3->keys.expires_us) {
			s3->renew_at_us = now_us + RENEW_AGAIN_US;
			status = 0;
		}
	}
	*ret_keys = s3->keys;
	pthread_mutex_unlock(&s3->keys_lock);
	return status == 0 ? 0
			   : weir_fail(err, status, "the keys of the bucket %.*s expired, and there are no others: %s",
				     WEIR_STR_ARG(s3->bucket), refused.message);
}

int s3_start_signing(struct s3 *s3, struct s3_signing *signing, struct weir_error *err)
{
	int64_t now_us = weir_now_us(&s3->clock);
	struct s3_keys keys;
	int status = keys_now(s3, now_us, &keys, err);
	if (status != 0)
		return status;
	*signing = (struct s3_signing){.host = s3->host,
		.region = s3->region,
		.access_key = keys.access_key,
		.secret_key = keys.secret_key,
		.session_token = keys.session_token,
		.now_us = now_us};
	return 0;
}

static int perform(struct s3 *s3, const struct s3_call *call, struct weir_arena *arena, struct http_response *response,
	struct weir_error *err)
{
	struct http_header headers[HEADERS_MAX];
	struct s3_signing signing;
	struct weir_buf url = WEIR_BUF_INIT;
	uint8_t digest[WEIR_SHA256_SIZE];
	char hash[65], time[S3_TIME_SIZE];
	uint32_t count = call->header_count;
	WEIR_ASSERT(count + 4 <= HEADERS_MAX);
	int status = s3_start_signing(s3, &signing, err);
	if (status != 0) {
		response->outcome = HTTP_REFUSED; /* whoever renews has tried again by itself */
		return status;
	}
	s3_time(signing.now_us, time);
	weir_sha256(call->body.data != NULL ? call->body.data : "", call->body.size, digest);
	weir_hex(digest, sizeof digest, hash);
	if (count > 0)
		memcpy(headers, call->headers, count * sizeof *headers);
	headers[count++] = (struct http_header){WEIR_STR("x-amz-content-sha256"), weir_str_from(hash)};
	headers[count++] = (struct http_header){WEIR_STR("x-amz-date"), weir_str_from(time)};
	if (signing.session_token.size > 0)
		headers[count++] = (struct http_header){WEIR_STR("x-amz-security-token"), signing.session_token};
	weir_buf_append(&url, s3->base.data, s3->base.size);
	weir_buf_putc(&url, '/');
	s3_encode(&url, call->key, true);
	size_t path = s3->base.size - s3->base_path.size;
	signing.path = weir_arena_str(arena, (struct weir_str){url.data + path, url.size - path});
	if (call->param_count > 0)
		weir_buf_putc(&url, '?');
	s3_encode_params(&url, call->params, call->param_count);
	signing.method = call->method;
	signing.params = call->params;
	signing.param_count = call->param_count;
	signing.headers = headers;
	signing.header_count = count;
	signing.payload_hash = weir_str_from(hash);
	headers[count] = (struct http_header){WEIR_STR("authorization"), s3_authorization(arena, &signing)};
	struct http_request request = {.method = call->method,
		.url = weir_buf_cstr(&url),
		.headers = headers,
		.header_count = count + 1,
		.body = call->body,
		.limit_bytes = call->sink != NULL ? call->limit_bytes : S3_ANSWER_MAX,
		.sink = call->sink,
		.is_once = call->is_once};
	status = http_perform(s3->http, &request, response, err);
	weir_buf_done(&url);
	return status;
}

/* ---- refusals ---- */

static void find_code(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	char *code = context;
	if (begins || strcmp(parent, "Error") != 0 || strcmp(name, "Code") != 0)
		return;
	size_t size = 0;
	for (; size < text.size && size < CODE_MAX; size++) {
		char c = text.data[size];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
			break; /* a code is a word; anything else is not repeated */
		code[size] = c;
	}
	code[size] = '\0';
}

static const struct refusal {
	const char *code; /* "" fits any of that status */
	uint32_t status;
	int error;
	const char *remedy;
} refusals[] = {
	{"NoSuchBucket", 404, WEIR_E_INPUT, "there is no such bucket: make it, or name another in `warehouse`"},
	{"NoSuchUpload", 404, WEIR_E_NOT_FOUND,
		"the upload is gone: a lifecycle rule of the bucket may have aborted it"},
	{"", 404, WEIR_E_NOT_FOUND, "there is no such object"},
	{"InvalidAccessKeyId", 403, WEIR_E_DENIED, "the access key is unknown there: set AWS_ACCESS_KEY_ID"},
	{"SignatureDoesNotMatch", 403, WEIR_E_DENIED,
		"the secret key does not fit the access key: set AWS_SECRET_ACCESS_KEY (and AWS_REGION)"},
	{"ExpiredToken", 0, WEIR_E_DENIED, "the session token has expired: set AWS_SESSION_TOKEN anew"},
	{"InvalidTokenId", 0, WEIR_E_DENIED,
		"the session token is not that of the keys: set AWS_SESSION_TOKEN, or unset it"},
	{"InvalidToken", 0, WEIR_E_DENIED, "the session token is not valid: set AWS_SESSION_TOKEN, or unset it"},
	{"RequestTimeTooSkewed", 403, WEIR_E_DENIED, "this machine's clock is wrong: set it"},
	{"", 401, WEIR_E_DENIED, "the keys are not accepted: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
	{"", 403, WEIR_E_DENIED,
		"the keys do not permit it: allow them to get, put, delete and list objects and uploads of this "
		"bucket, or set others (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"},
	{"AuthorizationHeaderMalformed", 400, WEIR_E_INPUT, "the bucket is in another region: set AWS_REGION"},
	{"", 301, WEIR_E_INPUT, "the bucket is in another region or at another endpoint: set AWS_REGION or `endpoint`"},
	{"", 307, WEIR_E_INPUT, "the bucket is in another region or at another endpoint: set AWS_REGION or `endpoint`"},
	{"", 412, WEIR_E_EXISTS, "the object exists"},
	{"", 416, WEIR_E_CORRUPT, "the object ends before the bytes that were expected"},
	{"", 501, WEIR_E_UNSUPPORTED, "the server does not do this part of S3, so it cannot hold a warehouse"},
	{"", 507, WEIR_E_IO, "the server has no room left"},
};

int s3_refuse(const struct s3 *s3, const struct s3_call *call, const struct s3_answer *answer, struct weir_error *err)
{
	const struct http_response *response = &answer->response;
	char code[CODE_MAX + 1] = "", object[ERROR_URI_MAX];
	const struct refusal *found = NULL;
	s3_xml_read(weir_buf_str(&response->body), find_code, code, NULL);
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0] && found == NULL; i++)
		if ((refusals[i].status == 0 || refusals[i].status == response->status) &&
			(refusals[i].code[0] == '\0' || strcmp(refusals[i].code, code) == 0))
			found = &refusals[i];
	return weir_fail_at(err, found != NULL ? found->error : WEIR_E_IO, s3_object_text(s3, call->key, object),
		WEIR_ERROR_NO_OFFSET, "%s answered %u%s%s: %s", call->method, response->status,
		code[0] != '\0' ? " " : "", code,
		found != NULL ? found->remedy
			: http_is_transient(response)
			? "it was tried often enough; try again later, or look at the server"
			: "the server's log says why");
}

/* ---- attempts ---- */

int s3_try(struct s3 *s3, const struct s3_call *call, struct s3_answer *answer, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct http_response *response = &answer->response;
	char object[ERROR_URI_MAX];
	int status = perform(s3, call, arena, response, err);
	weir_arena_free(arena);
	if (status == 0 && s3_succeeded(answer) && call->parse != NULL) {
		status = call->parse(call->context, weir_buf_str(&response->body), err);
		if (status != 0)
			response->outcome = HTTP_CUT;
	}
	if (response->outcome == HTTP_CUT || (response->outcome == HTTP_ANSWERED && response->status >= 500))
		answer->maybe_done = true;
	if (status != 0)
		return weir_error_wrap(
			err, status, "%s of %.*s", call->method, WEIR_STR_ARG(s3_object_text(s3, call->key, object)));
	return http_is_transient(response) ? s3_refuse(s3, call, answer, err) : 0;
}

int s3_send(struct s3 *s3, const struct s3_call *call, const uint32_t *accepted, struct s3_answer *answer,
	struct weir_error *err)
{
	int status = WEIR_E_IO;
	for (uint32_t attempt = 0; http_retry_wait(&s3->retry, attempt, &answer->response); attempt++) {
		status = s3_try(s3, call, answer, err);
		if (status == 0 || !http_is_transient(&answer->response))
			break;
	}
	if (status != 0 || s3_succeeded(answer))
		return status;
	for (; accepted != NULL && *accepted != 0; accepted++)
		if (*accepted == answer->response.status)
			return 0;
	return s3_refuse(s3, call, answer, err);
}

void s3_answer_done(struct s3_answer *answer)
{
	http_response_done(&answer->response);
}
