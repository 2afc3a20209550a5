#include "store/s3_sign.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/time.h"

#define HMAC_BLOCK  64
#define DATE_SIZE   8 /* of S3_TIME_SIZE: "20130524" */
#define HEADERS_MAX 16
#define PARAMS_MAX  16

void s3_encode(struct weir_buf *out, struct weir_str text, bool keep_slashes)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = (uint8_t)text.data[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			c == '.' || c == '_' || c == '~' || (c == '/' && keep_slashes);
		if (!plain)
			weir_buf_putc(out, '%');
		weir_buf_putc(out, plain ? (char)c : digits[c >> 4]);
		if (!plain)
			weir_buf_putc(out, digits[c & 15]);
	}
}

static int compare_params(const void *a, const void *b)
{
	return weir_str_compare(((const struct s3_param *)a)->name, ((const struct s3_param *)b)->name);
}

void s3_encode_params(struct weir_buf *out, const struct s3_param *params, uint32_t count)
{
	struct s3_param sorted[PARAMS_MAX];
	WEIR_ASSERT(count <= PARAMS_MAX);
	if (count == 0)
		return;
	memcpy(sorted, params, count * sizeof *params);
	qsort(sorted, count, sizeof *sorted, compare_params);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			weir_buf_putc(out, '&');
		s3_encode(out, sorted[i].name, false);
		weir_buf_putc(out, '=');
		s3_encode(out, sorted[i].value, false);
	}
}

void s3_time(int64_t now_us, char ret_text[S3_TIME_SIZE])
{
	int year, month, day;
	int32_t days = weir_day_of(now_us);
	int seconds = (int)((now_us - days * WEIR_US_PER_DAY) / WEIR_US_PER_SECOND);
	char text[64];
	weir_civil_from_day(days, &year, &month, &day);
	snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02dZ", year, month, day, seconds / 3600, seconds / 60 % 60,
		seconds % 60);
	memcpy(ret_text, text, S3_TIME_SIZE);
}

/* RFC 2104, with SHA-256; keys here are never longer than a block but for secrets, which are hashed first then. */
static void hmac(struct weir_str key, struct weir_str text, uint8_t ret_digest[WEIR_SHA256_SIZE])
{
	uint8_t block[HMAC_BLOCK] = {0}, inner[WEIR_SHA256_SIZE];
	struct weir_buf all = WEIR_BUF_INIT;
	if (key.size > HMAC_BLOCK)
		weir_sha256(key.data, key.size, block);
	else if (key.size > 0)
		memcpy(block, key.data, key.size);
	for (size_t i = 0; i < HMAC_BLOCK; i++)
		weir_buf_u8(&all, block[i] ^ 0x36);
	weir_buf_append(&all, text.data, text.size);
	weir_sha256(all.data, all.size, inner);
	all.size = 0;
	for (size_t i = 0; i < HMAC_BLOCK; i++)
		weir_buf_u8(&all, block[i] ^ 0x5c);
	weir_buf_append(&all, inner, sizeof inner);
	weir_sha256(all.data, all.size, ret_digest);
	explicit_bzero(all.data, all.size);
	explicit_bzero(block, sizeof block);
	weir_buf_done(&all);
}

static int compare_headers(const void *a, const void *b)
{
	return weir_str_compare(((const struct http_header *)a)->name, ((const struct http_header *)b)->name);
}

/* "host:...\nrange:...\n" and "host;range": names sorted. */
static void put_headers(const struct s3_signing *signing, struct weir_buf *canonical, struct weir_buf *names)
{
	struct http_header sorted[HEADERS_MAX + 1];
	uint32_t count = signing->header_count;
	WEIR_ASSERT(count <= HEADERS_MAX);
	if (count > 0)
		memcpy(sorted, signing->headers, count * sizeof *sorted);
	sorted[count++] = (struct http_header){WEIR_STR("host"), signing->host};
	qsort(sorted, count, sizeof *sorted, compare_headers);
	for (uint32_t i = 0; i < count; i++) {
		weir_buf_printf(canonical, "%.*s:%.*s\n", WEIR_STR_ARG(sorted[i].name), WEIR_STR_ARG(sorted[i].value));
		weir_buf_printf(names, "%s%.*s", i > 0 ? ";" : "", WEIR_STR_ARG(sorted[i].name));
	}
}

static struct weir_str service_of(const struct s3_signing *signing)
{
	return signing->service.size > 0 ? signing->service : WEIR_STR("s3");
}

static void signature(const struct s3_signing *signing, struct weir_str canonical_request, char ret_hex[65])
{
	char time[S3_TIME_SIZE], hash[65];
	uint8_t key[WEIR_SHA256_SIZE];
	struct weir_buf text = WEIR_BUF_INIT;
	s3_time(signing->now_us, time);
	weir_sha256(canonical_request.data, canonical_request.size, key);
	weir_hex(key, sizeof key, hash);
	weir_buf_printf(&text, "AWS4%.*s", WEIR_STR_ARG(signing->secret_key));
	hmac(weir_buf_str(&text), (struct weir_str){time, DATE_SIZE}, key);
	explicit_bzero(text.data, text.size);
	hmac((struct weir_str){(const char *)key, sizeof key}, signing->region, key);
	hmac((struct weir_str){(const char *)key, sizeof key}, service_of(signing), key);
	hmac((struct weir_str){(const char *)key, sizeof key}, WEIR_STR("aws4_request"), key);
	text.size = 0;
	weir_buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.*s/%.*s/%.*s/aws4_request\n%s", time, DATE_SIZE, time,
		WEIR_STR_ARG(signing->region), WEIR_STR_ARG(service_of(signing)), hash);
	hmac((struct weir_str){(const char *)key, sizeof key}, weir_buf_str(&text), key);
	weir_hex(key, sizeof key, ret_hex);
	explicit_bzero(key, sizeof key);
	weir_buf_done(&text);
}

struct weir_str s3_authorization(struct weir_arena *arena, const struct s3_signing *signing)
{
	struct weir_buf request = WEIR_BUF_INIT, headers = WEIR_BUF_INIT, names = WEIR_BUF_INIT;
	char time[S3_TIME_SIZE], hex[65];
	s3_time(signing->now_us, time);
	put_headers(signing, &headers, &names);
	weir_buf_printf(&request, "%s\n%.*s\n", signing->method, WEIR_STR_ARG(signing->path));
	s3_encode_params(&request, signing->params, signing->param_count);
	weir_buf_printf(&request, "\n%.*s\n%.*s\n%.*s", WEIR_STR_ARG(weir_buf_str(&headers)),
		WEIR_STR_ARG(weir_buf_str(&names)), WEIR_STR_ARG(signing->payload_hash));
	signature(signing, weir_buf_str(&request), hex);
	const char *value = weir_arena_printf(arena,
		"AWS4-HMAC-SHA256 Credential=%.*s/%.*s/%.*s/%.*s/aws4_request,SignedHeaders=%.*s,Signature=%s",
		WEIR_STR_ARG(signing->access_key), DATE_SIZE, time, WEIR_STR_ARG(signing->region),
		WEIR_STR_ARG(service_of(signing)), WEIR_STR_ARG(weir_buf_str(&names)), hex);
	weir_buf_done(&request);
	weir_buf_done(&headers);
	weir_buf_done(&names);
	return weir_str_from(value);
}

struct weir_str s3_presigned_query(struct weir_arena *arena, const struct s3_signing *signing, uint32_t seconds)
{
	struct weir_buf request = WEIR_BUF_INIT, headers = WEIR_BUF_INIT, names = WEIR_BUF_INIT, query = WEIR_BUF_INIT;
	struct s3_param params[PARAMS_MAX];
	char time[S3_TIME_SIZE], hex[65];
	uint32_t count = signing->param_count;
	WEIR_ASSERT(count + 6 <= PARAMS_MAX);
	s3_time(signing->now_us, time);
	put_headers(signing, &headers, &names);
	if (count > 0)
		memcpy(params, signing->params, count * sizeof *params);
	params[count++] = (struct s3_param){WEIR_STR("X-Amz-Algorithm"), WEIR_STR("AWS4-HMAC-SHA256")};
	params[count++] = (struct s3_param){WEIR_STR("X-Amz-Credential"),
		weir_str_from(weir_arena_printf(arena, "%.*s/%.*s/%.*s/s3/aws4_request",
			WEIR_STR_ARG(signing->access_key), DATE_SIZE, time, WEIR_STR_ARG(signing->region)))};
	params[count++] = (struct s3_param){WEIR_STR("X-Amz-Date"), weir_str_from(time)};
	params[count++] =
		(struct s3_param){WEIR_STR("X-Amz-Expires"), weir_str_from(weir_arena_printf(arena, "%u", seconds))};
	params[count++] = (struct s3_param){WEIR_STR("X-Amz-SignedHeaders"), weir_buf_str(&names)};
	if (signing->session_token.size > 0)
		params[count++] = (struct s3_param){WEIR_STR("X-Amz-Security-Token"), signing->session_token};
	s3_encode_params(&query, params, count);
	weir_buf_printf(&request, "%s\n%.*s\n%.*s\n%.*s\n%.*s\n%.*s", signing->method, WEIR_STR_ARG(signing->path),
		WEIR_STR_ARG(weir_buf_str(&query)), WEIR_STR_ARG(weir_buf_str(&headers)),
		WEIR_STR_ARG(weir_buf_str(&names)), WEIR_STR_ARG(signing->payload_hash));
	signature(signing, weir_buf_str(&request), hex);
	weir_buf_printf(&query, "&X-Amz-Signature=%s", hex);
	struct weir_str result = weir_arena_str(arena, weir_buf_str(&query));
	weir_buf_done(&request);
	weir_buf_done(&headers);
	weir_buf_done(&names);
	weir_buf_done(&query);
	return result;
}
