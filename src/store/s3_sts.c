#include "store/s3_sts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "store/s3_int.h"

#define SESSION_NAME "weir"
#define CODE_MAX     64

struct s3_sts {
	struct weir_arena *arena;
	struct http_client *http;
	struct http_retry retry;
	struct weir_clock clock;
	struct weir_str host, region, role, access_key, secret_key, session_token;
	const char *url, *bucket_endpoint;
	bool path_style;
};

static struct weir_str copy(struct s3_sts *sts, const char *text)
{
	return weir_arena_str(sts->arena, weir_str_from(text != NULL ? text : ""));
}

int s3_sts_new(const struct s3_sts_options *options, struct s3_sts **ret_sts, struct weir_error *err)
{
	struct s3_sts *sts = weir_zalloc(sizeof *sts);
	struct http_options http = {.ca_file = options->ca_file};
	sts->arena = weir_arena_new(0);
	sts->http = http_client_new(&http);
	sts->retry = (struct http_retry){3, 100, 1000};
	sts->clock = options->clock.now_us != NULL ? options->clock : weir_clock_system();
	sts->region = copy(sts, options->region != NULL ? options->region : "us-east-1");
	sts->role = copy(sts, options->role);
	sts->access_key = copy(sts, options->access_key);
	sts->secret_key = copy(sts, options->secret_key);
	sts->session_token = copy(sts, options->session_token);
	if (options->bucket_endpoint != NULL)
		sts->bucket_endpoint = copy(sts, options->bucket_endpoint).data;
	sts->path_style = options->path_style;
	const char *endpoint = options->endpoint != NULL
		? options->endpoint
		: weir_arena_printf(sts->arena, "https://sts.%.*s.amazonaws.com", WEIR_STR_ARG(sts->region));
	bool tls = strncmp(endpoint, "https://", 8) == 0;
	struct weir_str host = weir_str_from(endpoint + (tls ? 8 : 7));
	while (host.size > 0 && host.data[host.size - 1] == '/')
		host.size--;
	if ((!tls && strncmp(endpoint, "http://", 7) != 0) || host.size == 0 ||
		memchr(host.data, '/', host.size) != NULL || memchr(host.data, '@', host.size) != NULL) {
		s3_sts_free(sts);
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("sts"), WEIR_ERROR_NO_OFFSET,
			"the endpoint of a token service is written http://HOST:PORT or https://HOST");
	}
	sts->url = weir_arena_printf(sts->arena, "%s%.*s/", tls ? "https://" : "http://", WEIR_STR_ARG(host));
	struct weir_str port = tls ? WEIR_STR(":443") : WEIR_STR(":80");
	if (weir_str_has_suffix(host, port))
		host.size -= port.size; /* nobody puts these into the Host header */
	sts->host = weir_arena_str(sts->arena, host);
	*ret_sts = sts;
	return 0;
}

void s3_sts_free(struct s3_sts *sts)
{
	if (sts == NULL)
		return;
	http_client_free(sts->http);
	weir_arena_free(sts->arena);
	free(sts);
}

const char *s3_sts_region(const struct s3_sts *sts)
{
	return sts->region.data;
}

const char *s3_sts_bucket_endpoint(const struct s3_sts *sts)
{
	return sts->bucket_endpoint;
}

bool s3_sts_path_style(const struct s3_sts *sts)
{
	return sts->path_style;
}

/* ---- one exchange: the query protocol, a form that is posted ---- */

static int post(struct s3_sts *sts, struct weir_str form, struct http_response *response, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct http_header headers[5];
	uint8_t digest[WEIR_SHA256_SIZE];
	char hash[65], time[S3_TIME_SIZE];
	uint32_t count = 0;
	struct s3_signing signing = {.method = "POST",
		.host = sts->host,
		.path = WEIR_STR("/"),
		.region = sts->region,
		.access_key = sts->access_key,
		.secret_key = sts->secret_key,
		.service = WEIR_STR("sts"),
		.now_us = weir_now_us(&sts->clock)};
	s3_time(signing.now_us, time);
	weir_sha256(form.data, form.size, digest);
	weir_hex(digest, sizeof digest, hash);
	headers[count++] =
		(struct http_header){WEIR_STR("content-type"), WEIR_STR("application/x-www-form-urlencoded")};
	headers[count++] = (struct http_header){WEIR_STR("x-amz-content-sha256"), weir_str_from(hash)};
	headers[count++] = (struct http_header){WEIR_STR("x-amz-date"), weir_str_from(time)};
	if (sts->session_token.size > 0)
		headers[count++] = (struct http_header){WEIR_STR("x-amz-security-token"), sts->session_token};
	signing.headers = headers;
	signing.header_count = count;
	signing.payload_hash = weir_str_from(hash);
	headers[count] = (struct http_header){WEIR_STR("authorization"), s3_authorization(arena, &signing)};
	struct http_request request = {.method = "POST",
		.url = sts->url,
		.headers = headers,
		.header_count = count + 1,
		.body = {form.data, form.size},
		.limit_bytes = 1 << 20};
	int status = http_perform(sts->http, &request, response, err);
	weir_arena_free(arena);
	return status;
}

struct answer {
	struct weir_arena *arena;
	struct s3_keys keys;
	struct weir_str expiration;
	char code[CODE_MAX + 1];
};

static void take_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct answer *answer = context;
	const struct {
		const char *name;
		struct weir_str *value;
	} members[] = {{"AccessKeyId", &answer->keys.access_key}, {"SecretAccessKey", &answer->keys.secret_key},
		{"SessionToken", &answer->keys.session_token}, {"Expiration", &answer->expiration}};
	for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
		if (!begins && strcmp(parent, "Credentials") == 0 && strcmp(name, members[i].name) == 0)
			*members[i].value = weir_arena_str(answer->arena, text);
	if (begins || strcmp(parent, "Error") != 0 || strcmp(name, "Code") != 0)
		return;
	for (size_t i = 0; i < text.size && i < CODE_MAX; i++) /* a code is a word; anything else is not repeated */
		if ((text.data[i] >= 'a' && text.data[i] <= 'z') || (text.data[i] >= 'A' && text.data[i] <= 'Z'))
			snprintf(answer->code + i, 2, "%c", text.data[i]);
		else
			break;
}

int s3_sts_assume(struct s3_sts *sts, struct weir_str policy, uint32_t seconds, struct weir_arena *arena,
	struct s3_keys *ret_keys, struct weir_error *err)
{
	struct http_response response = {0};
	struct weir_buf form = WEIR_BUF_INIT;
	struct answer answer = {.arena = arena};
	char duration[16];
	int status = 0;
	WEIR_ASSERT(policy.size <= S3_STS_POLICY_MAX && seconds >= S3_STS_SECONDS_MIN);
	snprintf(duration, sizeof duration, "%u", seconds);
	struct s3_param params[6] = {{WEIR_STR("Action"), WEIR_STR("AssumeRole")},
		{WEIR_STR("Version"), WEIR_STR("2011-06-15")}, {WEIR_STR("DurationSeconds"), weir_str_from(duration)},
		{WEIR_STR("Policy"), policy}, {WEIR_STR("RoleSessionName"), WEIR_STR(SESSION_NAME)},
		{WEIR_STR("RoleArn"), sts->role}};
	s3_encode_params(&form, params, sts->role.size > 0 ? 6 : 5);
	for (uint32_t attempt = 0; http_retry_wait(&sts->retry, attempt, &response); attempt++) {
		status = post(sts, weir_buf_str(&form), &response, err);
		if (!http_is_transient(&response))
			break;
	}
	weir_buf_done(&form);
	if (status == 0) {
		struct weir_error unreadable = WEIR_ERROR_INIT;
		bool read = s3_xml_read(weir_buf_str(&response.body), take_element, &answer, &unreadable) == 0;
		bool whole = read && answer.keys.access_key.size > 0 && answer.keys.secret_key.size > 0 &&
			weir_time_parse(answer.expiration, WEIR_ZONE_UTC, &answer.keys.expires_us);
		if (response.status / 100 != 2 || !whole)
			status = weir_fail_at(err, response.status >= 500 ? WEIR_E_BUSY : WEIR_E_DENIED,
				WEIR_STR("sts"), WEIR_ERROR_NO_OFFSET,
				"the token service at %.*s answered %u%s%s and gave no keys: look at its endpoint, the "
				"role, and "
				"whether the warehouse's keys may assume it",
				WEIR_STR_ARG(sts->host), response.status, answer.code[0] != '\0' ? " " : "",
				answer.code);
	} else {
		weir_error_wrap(err, status, "the token service at %.*s", WEIR_STR_ARG(sts->host));
	}
	http_response_done(&response);
	if (status == 0)
		*ret_keys = answer.keys;
	return status;
}
