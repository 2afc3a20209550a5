/*
 * What of the S3 store needs no server: signatures against Amazon's published examples, addresses, the reading of
 * answers, patience. With servers, and with servers that fail: tests/interop/s3_peers.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/s3_int.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EXAMPLE_US 1369353600000000LL /* 2013-05-24T00:00:00Z */

/* "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", Amazon S3 API
 * reference. */
static const struct {
	const char *method, *path;
	struct s3_param params[2];
	uint32_t param_count;
	struct http_header headers[4];
	uint32_t header_count;
	const char *hash, *signed_headers, *signature;
} examples[] = {
	{"GET", "/test.txt", {{{0}, {0}}}, 0, {{{"range", 5}, {"bytes=0-9", 9}}}, 1, EMPTY_HASH,
		"host;range;x-amz-content-sha256;x-amz-date",
		"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT", "/test%24file.text", {{{0}, {0}}}, 0,
		{{{"date", 4}, {"Fri, 24 May 2013 00:00:00 GMT", 29}},
			{{"x-amz-storage-class", 19}, {"REDUCED_REDUNDANCY", 18}}},
		2, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
		"date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
		"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET", "/", {{{"lifecycle", 9}, {"", 0}}}, 1, {{{0}, {0}}}, 0, EMPTY_HASH,
		"host;x-amz-content-sha256;x-amz-date",
		"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"GET", "/", {{{"prefix", 6}, {"J", 1}}, {{"max-keys", 8}, {"2", 1}}}, 2, {{{0}, {0}}}, 0, EMPTY_HASH,
		"host;x-amz-content-sha256;x-amz-date",
		"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static struct s3_signing example(const char *method)
{
	return (struct s3_signing){.method = method,
		.host = WEIR_STR("examplebucket.s3.amazonaws.com"),
		.region = WEIR_STR("us-east-1"),
		.access_key = WEIR_STR("AKIAIOSFODNN7EXAMPLE"),
		.secret_key = WEIR_STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
		.now_us = EXAMPLE_US};
}

static void amazons_examples_are_signed_alike(void **state)
{
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
		struct s3_signing signing = example(examples[i].method);
		struct http_header headers[6];
		char wanted[512];
		uint32_t count = examples[i].header_count;
		memcpy(headers, examples[i].headers, sizeof examples[i].headers);
		headers[count++] =
			(struct http_header){WEIR_STR("x-amz-content-sha256"), weir_str_from(examples[i].hash)};
		headers[count++] = (struct http_header){WEIR_STR("x-amz-date"), WEIR_STR("20130524T000000Z")};
		signing.path = weir_str_from(examples[i].path);
		signing.params = examples[i].params;
		signing.param_count = examples[i].param_count;
		signing.headers = headers;
		signing.header_count = count;
		signing.payload_hash = weir_str_from(examples[i].hash);
		snprintf(wanted, sizeof wanted,
			"AWS4-HMAC-SHA256 "
			"Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=%s,"
			"Signature=%s",
			examples[i].signed_headers, examples[i].signature);
		assert_string_equal(s3_authorization(arena, &signing).data, wanted);
	}
	weir_arena_free(arena);
}

/* "Authenticating Requests: Using Query Parameters", the same reference. */
static void a_presigned_url_is_amazons(void **state)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct s3_signing signing = example("GET");
	(void)state;
	signing.path = WEIR_STR("/test.txt");
	signing.payload_hash = WEIR_STR("UNSIGNED-PAYLOAD");
	assert_string_equal(s3_presigned_query(arena, &signing, 86400).data,
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%"
		"2Faws4_request"
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
	weir_arena_free(arena);
}

static void keys_are_encoded(void **state)
{
	struct weir_buf out = WEIR_BUF_INIT;
	(void)state;
	s3_encode(&out, WEIR_STR("a/b c+d%e=~-_.\303\244"), true);
	assert_string_equal(weir_buf_cstr(&out), "a/b%20c%2Bd%25e%3D~-_.%C3%A4");
	out.size = 0;
	s3_encode(&out, WEIR_STR("a/b"), false);
	assert_string_equal(weir_buf_cstr(&out), "a%2Fb");
	out.size = 0;
	s3_xml_put(&out, WEIR_STR("a<b>&\"'"));
	assert_string_equal(weir_buf_cstr(&out), "a&lt;b&gt;&amp;&quot;&apos;");
	weir_buf_done(&out);
}

static void places_are_parsed(void **state)
{
	static const struct {
		const char *uri, *bucket, *prefix;
	} places[] = {
		{"s3://bucket", "bucket", ""},
		{"s3://bucket/", "bucket", ""},
		{"s3a://bucket/a/b/", "bucket", "a/b"},
		{"s3n://my.bucket-1/a", "my.bucket-1", "a"},
		{"s3://", NULL, NULL},
		{"s3:///a", NULL, NULL},
		{"s3://Bucket/a", NULL, NULL},
		{"s3://b/a", NULL, NULL},
		{"s3://-bucket", NULL, NULL},
		{"s3://bucket/a//b", NULL, NULL},
		{"s3://bucket/../b", NULL, NULL},
		{"gs://bucket/a", NULL, NULL},
		{"bucket/a", NULL, NULL},
		{"", NULL, NULL},
	};
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		const char *bucket = NULL, *prefix = NULL;
		int status = store_s3_parse(arena, weir_str_from(places[i].uri), &bucket, &prefix, NULL);
		assert_int_equal(status, places[i].bucket != NULL ? 0 : WEIR_E_INPUT);
		if (status == 0) {
			assert_string_equal(bucket, places[i].bucket);
			assert_string_equal(prefix, places[i].prefix);
		}
	}
	weir_arena_free(arena);
}

static void add_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	weir_buf_printf(context, begins ? "(%s.%s" : "%s.%s)", parent, name);
	if (!begins && text.size > 0)
		weir_buf_printf(context, "=%.*s ", WEIR_STR_ARG(text));
}

static void answers_are_read(void **state)
{
	static const char *const bad[] = {"", "<a>", "<a></b>", "<a/><b/>", "no", "<a>&b;</a>", "<a><x:/></a>",
		"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<!DOCTYPE a><a/>", "<a>\001</a>",
		"<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a></a></a></"
		"a></a></a></a></a>"};
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	assert_int_equal(
		s3_xml_read(
			WEIR_STR("<?xml version='1.0'?><R xmlns='u'><x:C xmlns:x='v'><Key>a&amp;<![CDATA[<b>]]></Key>"
				 "</x:C><T/></R>"),
			add_element, &out, &err),
		0);
	assert_string_equal(weir_buf_cstr(&out), "(.R(R.C(C.KeyC.Key)=a&<b> R.C)(R.TR.T).R)");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		out.size = 0;
		assert_int_equal(s3_xml_read(weir_str_from(bad[i]), add_element, &out, &err), WEIR_E_CORRUPT);
	}
	weir_buf_done(&out);
}

/* What a refusal says: bucket, key, status and remedy; of what the server says, the code alone. */
static void refusals_name_the_remedy(void **state)
{
	static const struct {
		uint32_t status;
		const char *body;
		int code;
		const char *says;
	} refusals[] = {
		{403, "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>hush</AWSAccessKeyId></Error>",
			WEIR_E_DENIED,
			"GET answered 403 InvalidAccessKeyId: the access key is unknown there: set AWS_ACCESS_KEY_ID"},
		{403, "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>hush</StringToSign></Error>",
			WEIR_E_DENIED, "AWS_SECRET_ACCESS_KEY"},
		{403, "", WEIR_E_DENIED, "the keys do not permit it"},
		{404, "<Error><Code>NoSuchBucket</Code></Error>", WEIR_E_INPUT, "there is no such bucket"},
		{404, "<Error><Code>NoSuchKey</Code></Error>", WEIR_E_NOT_FOUND, "no such object"},
		{412, "", WEIR_E_EXISTS, "exists"},
		{301, "", WEIR_E_INPUT, "AWS_REGION"},
		{400, "<Error><Code>ExpiredToken</Code></Error>", WEIR_E_DENIED, "AWS_SESSION_TOKEN"},
		{503, "<Error><Code>SlowDown hush</Code></Error>", WEIR_E_IO,
			"503 SlowDown: it was tried often enough"},
		{418, "hush", WEIR_E_IO, "418: the server's log"},
	};
	struct s3 s3 = {.bucket = WEIR_STR("bucket")};
	struct s3_call call = {.method = "GET", .key = WEIR_STR("a/key")};
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct s3_answer answer = {.response = {.outcome = HTTP_ANSWERED, .status = refusals[i].status}};
		struct weir_error err = WEIR_ERROR_INIT;
		weir_buf_puts(&answer.response.body, refusals[i].body);
		assert_int_equal(s3_refuse(&s3, &call, &answer, &err), refusals[i].code);
		assert_string_equal(err.object, "s3://bucket/a/key");
		if (strstr(err.message, refusals[i].says) == NULL)
			fail_msg("%s", err.message);
		assert_null(strstr(err.message, "hush"));
		s3_answer_done(&answer);
	}
}

static void opening_is_checked(void **state)
{
	static const struct {
		struct store_s3_options options;
		int code;
		const char *says;
	} cases[] = {
		{{.bucket = "B", .access_key = "a", .secret_key = "s"}, WEIR_E_INPUT, "bucket's name"},
		{{.bucket = "bucket"}, WEIR_E_DENIED, "AWS_ACCESS_KEY_ID"},
		{{.bucket = "bucket", .access_key = "a", .secret_key = ""}, WEIR_E_DENIED, "AWS_SECRET_ACCESS_KEY"},
		{{.bucket = "bucket", .access_key = "a", .secret_key = "s", .endpoint = "localhost:9000"}, WEIR_E_INPUT,
			"http://HOST:PORT"},
		{{.bucket = "bucket", .access_key = "a", .secret_key = "s", .endpoint = "http://u:hush@h"},
			WEIR_E_INPUT, "without keys"},
		{{.bucket = "bucket", .access_key = "a", .secret_key = "s", .prefix = "a//b"}, WEIR_E_INPUT,
			"object's name"},
		{{.bucket = "bucket", .access_key = "a", .secret_key = "s", .part_bytes = 1000}, WEIR_E_INPUT, "5 MiB"},
		/* Nobody listens there. */
		{{.bucket = "bucket",
			 .access_key = "a",
			 .secret_key = "hush",
			 .endpoint = "http://127.0.0.1:1",
			 .attempts = 2,
			 .first_wait_ms = 1},
			WEIR_E_IO, "no answer from the server"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct store *store = NULL;
		assert_int_equal(store_s3_open(&cases[i].options, &store, &err), cases[i].code);
		if (strstr(err.message, cases[i].says) == NULL || strstr(err.message, "hush") != NULL)
			fail_msg("%s", err.message);
	}
}

/* What goes wrong where nobody asks why (an upload that is given up) is told by the code alone. */
static void failures_need_no_error(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct s3 s3 = {.clock = weir_clock_system(), .retry = {1, 1, 1}, .list_page = 1000};
	(void)state;
	s3.bucket = s3.host = s3.region = s3.keys.access_key = s3.keys.secret_key = WEIR_STR("x");
	s3.base = WEIR_STR("http://127.0.0.1:1/x");
	s3.base_path = WEIR_STR("/x");
	s3.http = http_client_new(&(struct http_options){.idle_timeout_s = 2});
	assert_int_equal(s3_upload_abort(&s3, WEIR_STR("a/key"), WEIR_STR("id"), &err), WEIR_E_IO);
	assert_int_equal(s3_upload_abort(&s3, WEIR_STR("a/key"), WEIR_STR("id"), NULL), WEIR_E_IO);
	assert_int_equal(s3_uploads_abort_others(&s3, WEIR_STR("a/key"), WEIR_STR("id"), NULL), WEIR_E_IO);
	http_client_free(s3.http);
}

struct giver {
	struct weir_manual_clock clock;
	int64_t expires_us; /* 0: gives none */
	int asked;
};

static int give_keys(void *context, struct weir_arena *arena, struct s3_keys *ret_keys, struct weir_error *err)
{
	struct giver *giver = context;
	giver->asked++;
	if (giver->expires_us == 0)
		return weir_fail(err, WEIR_E_DENIED, "not to you");
	*ret_keys = (struct s3_keys){weir_str_from(weir_arena_printf(arena, "KEY%d", giver->asked)),
		weir_arena_str(arena, WEIR_STR("secret")), weir_arena_str(arena, WEIR_STR("token")), giver->expires_us};
	return 0;
}

/* Who signs at that second: what the URL says. */
static void signs(struct store *store, struct giver *giver, int64_t second, const char *key, int asked)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str url;
	giver->clock.time_us = second * WEIR_US_PER_SECOND;
	int status = store_s3_presign(store, arena, "GET", WEIR_STR("a"), 60, &url, &err);
	assert_int_equal(status, key != NULL ? 0 : WEIR_E_DENIED);
	assert_non_null(
		strstr(key != NULL ? url.data : err.message, key != NULL ? key : "expired, and there are no others"));
	assert_int_equal(giver->asked, asked);
	weir_arena_free(arena);
}

static void keys_that_expire_are_renewed(void **state)
{
	struct giver giver = {.expires_us = 3000 * WEIR_US_PER_SECOND};
	struct store *store;
	struct weir_error err = WEIR_ERROR_INIT;
	const struct store_s3_options options = {.bucket = "bucket",
		.endpoint = "http://127.0.0.1:1",
		.access_key = "KEY0",
		.secret_key = "secret",
		.renewal = {give_keys, &giver, 1800 * WEIR_US_PER_SECOND},
		.clock = weir_clock_manual(&giver.clock),
		.is_guest = true};
	(void)state;
	assert_int_equal(store_s3_open(&options, &store, &err), 0);
	signs(store, &giver, 1499, "KEY0%2F", 0);
	signs(store, &giver, 1500, "KEY1%2F", 1);
	signs(store, &giver, 2699, "KEY1%2F", 1);
	giver.expires_us = 2800 * WEIR_US_PER_SECOND; /* those live for 100 s */
	signs(store, &giver, 2700, "KEY2%2F", 2);
	signs(store, &giver, 2749, "KEY2%2F", 2);
	giver.expires_us =
		0; /* refused: the old ones are good for a while, and it is tried again, not at every request */
	signs(store, &giver, 2750, "KEY2%2F", 3);
	signs(store, &giver, 2759, "KEY2%2F", 3);
	signs(store, &giver, 2799, "KEY2%2F", 4);
	signs(store, &giver, 2809, NULL, 5);
	giver.expires_us = 9000 * WEIR_US_PER_SECOND;
	signs(store, &giver, 2810, "KEY6%2F", 6);
	store_close(store);
}

static void patience_ends(void **state)
{
	struct http_response response = {.outcome = HTTP_ANSWERED, .status = 503};
	struct http_retry retry = {3, 1, 2};
	(void)state;
	weir_buf_puts(&response.headers, "content-type: x\nretry-after: 100\netag: \"a: b\"\n");
	assert_true(weir_str_is(http_response_header(&response, "etag"), "\"a: b\""));
	assert_true(weir_str_is(http_response_header(&response, "retry-after"), "100"));
	assert_int_equal(http_response_header(&response, "retry").size, 0);
	for (uint32_t attempt = 0; attempt < 3; attempt++)
		assert_true(
			http_retry_wait(&retry, attempt, &response)); /* no longer than longest_ms, whatever is asked */
	assert_false(http_retry_wait(&retry, 3, &response));
	static const struct {
		enum http_outcome outcome;
		uint32_t status;
		bool transient;
	} answers[] = {{HTTP_ANSWERED, 200, false}, {HTTP_ANSWERED, 404, false}, {HTTP_ANSWERED, 412, false},
		{HTTP_ANSWERED, 429, true}, {HTTP_ANSWERED, 500, true}, {HTTP_ANSWERED, 501, false},
		{HTTP_ANSWERED, 503, true}, {HTTP_NOT_SENT, 0, true}, {HTTP_CUT, 200, true}, {HTTP_REFUSED, 0, false}};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		response.outcome = answers[i].outcome;
		response.status = answers[i].status;
		assert_int_equal(http_is_transient(&response), answers[i].transient);
	}
	http_response_done(&response);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(amazons_examples_are_signed_alike),
		cmocka_unit_test(a_presigned_url_is_amazons),
		cmocka_unit_test(keys_are_encoded),
		cmocka_unit_test(places_are_parsed),
		cmocka_unit_test(answers_are_read),
		cmocka_unit_test(refusals_name_the_remedy),
		cmocka_unit_test(opening_is_checked),
		cmocka_unit_test(failures_need_no_error),
		cmocka_unit_test(keys_that_expire_are_renewed),
		cmocka_unit_test(patience_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
