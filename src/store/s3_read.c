/* Reading, listing and deleting objects of a bucket. */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "store/s3_int.h"

/* ---- ranges ---- */

/* What has come of a range; an attempt goes on where the one before it was cut off. */
struct range {
	char *buffer;
	size_t size, done;
};

static int take_bytes(void *self, const void *data, size_t size, struct weir_error *err)
{
	struct range *range = self;
	if (size > range->size - range->done)
		return weir_fail(err, WEIR_E_CORRUPT, "the server sends more bytes than the range that was asked for");
	memcpy(range->buffer + range->done, data, size);
	range->done += size;
	return 0;
}

/* The size in "bytes 0-9/443"; false where there is none. */
static bool whole_size(const struct s3_answer *answer, uint64_t *ret_size)
{
	struct weir_str text = http_response_header(&answer->response, "content-range");
	const char *slash = text.size > 0 ? memrchr(text.data, '/', text.size) : NULL;
	if (slash == NULL)
		return false;
	struct weir_str digits = {slash + 1, (size_t)(text.data + text.size - slash - 1)};
	return weir_str_to_u64(digits, ret_size);
}

/* One attempt at what is missing of the range. *ret_again where another may bring more. */
static int get_some(struct s3 *s3, struct weir_str key, uint64_t offset, struct range *range, bool *ret_again,
	struct s3_answer *answer, struct weir_error *err)
{
	char span[64], object[S3_KEY_MAX + 128];
	uint64_t from = offset + range->done, whole = 0;
	snprintf(span, sizeof span, "bytes=%llu-%llu", (unsigned long long)from,
		(unsigned long long)(offset + range->size - 1));
	struct http_header header = {WEIR_STR("range"), weir_str_from(span)};
	struct weir_byte_sink sink = {take_bytes, range};
	struct s3_call call = {.method = "GET",
		.key = key,
		.headers = &header,
		.header_count = 1,
		.sink = &sink,
		.limit_bytes = range->size - range->done};
	int status = s3_try(s3, &call, answer, err);
	*ret_again = status != 0 && http_is_transient(&answer->response);
	if (status != 0)
		return status;
	if (!s3_succeeded(answer))
		return s3_refuse(s3, &call, answer, err);
	if (answer->response.status == 200 && from > 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, s3_object_text(s3, key, object), WEIR_ERROR_NO_OFFSET,
			"the server answers a range with the whole object, so it cannot hold a warehouse");
	if (range->done == range->size)
		return 0;
	if (whole_size(answer, &whole) && whole < offset + range->size)
		return weir_fail_at(err, WEIR_E_CORRUPT, s3_object_text(s3, key, object), from,
			"the object ends at %llu, before %zu expected bytes", (unsigned long long)whole,
			range->size - range->done);
	*ret_again = true;
	answer->response.outcome = HTTP_CUT;
	return weir_fail_at(err, WEIR_E_IO, s3_object_text(s3, key, object), from,
		"the server ended its answer before %zu expected bytes", range->size - range->done);
}

static int get_range(
	struct s3 *s3, struct weir_str key, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct range range = {buffer, size, 0};
	struct s3_answer answer = {0};
	int status = WEIR_E_IO;
	bool again = true;
	for (uint32_t attempt = 0; again && http_retry_wait(&s3->retry, attempt, &answer.response);) {
		size_t before = range.done;
		status = get_some(s3, key, offset, &range, &again, &answer, err);
		attempt = range.done > before ? 1 : attempt + 1; /* patience ends where nothing comes any more */
	}
	s3_answer_done(&answer);
	return status;
}

int s3_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err)
{
	struct s3 *s3 = (struct s3 *)store;
	struct s3_answer answer = {0};
	struct s3_call call = {.method = "HEAD"};
	char key[S3_KEY_MAX + 1], object[S3_KEY_MAX + 128];
	int status = s3_key_of(s3, name, key, &call.key, err);
	if (status == 0)
		status = s3_send(s3, &call, NULL, &answer, err);
	if (status == 0 && !weir_str_to_u64(http_response_header(&answer.response, "content-length"), ret_size))
		status = weir_fail_at(err, WEIR_E_IO, s3_object_text(s3, call.key, object), WEIR_ERROR_NO_OFFSET,
			"the server does not tell the object's size");
	s3_answer_done(&answer);
	return status;
}

int s3_read(struct store *store, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct s3 *s3 = (struct s3 *)store;
	struct weir_str key_text;
	char key[S3_KEY_MAX + 1];
	uint64_t whole;
	if (size == 0)
		return s3_size(store, name, &whole, err);
	int status = s3_key_of(s3, name, key, &key_text, err);
	return status != 0 ? status : get_range(s3, key_text, offset, buffer, size, err);
}

/* ---- sources ---- */

struct s3_source {
	struct store_source source;
	struct s3 *s3;
	uint64_t size;
	char name[];
};

static int source_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct s3_source *source = self;
	if (offset > source->size || size > source->size - offset)
		return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(source->name), offset,
			"the object ends before %zu expected bytes", size);
	return size > 0 ? s3_read(&source->s3->store, source->name, offset, buffer, size, err) : 0;
}

static void source_close(struct store_source *take_source)
{
	free(take_source);
}

int s3_source_open(struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err)
{
	uint64_t size = 0;
	int status = s3_size(store, name, &size, err);
	if (status != 0)
		return status;
	struct s3_source *source = weir_alloc(sizeof *source + strlen(name) + 1);
	source->source.close = source_close;
	source->s3 = (struct s3 *)store;
	source->size = size;
	memcpy(source->name, name, strlen(name) + 1);
	*ret_source = (struct weir_byte_source){source_read, source, size, weir_str_from(source->name)};
	return 0;
}

/* ---- listing ---- */

struct found {
	struct weir_str key;
	uint64_t size;
	int64_t modified_us;
};

struct page {
	struct weir_arena *arena;
	struct found *found;
	size_t count, capacity;
	bool is_list, is_encoded, is_truncated;
	struct weir_str token;
};

static void list_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct page *page = context;
	struct found *last = page->count > 0 ? &page->found[page->count - 1] : NULL;
	if (begins && strcmp(name, "Contents") == 0) {
		WEIR_GROW(page->found, page->count, page->capacity);
		page->found[page->count++] = (struct found){0};
	} else if (begins) {
		page->is_list = page->is_list || (parent[0] == '\0' && strcmp(name, "ListBucketResult") == 0);
	} else if (strcmp(parent, "Contents") == 0 && last != NULL) {
		if (strcmp(name, "Key") == 0)
			last->key = weir_arena_str(page->arena, text);
		else if (strcmp(name, "Size") == 0)
			weir_str_to_u64(text, &last->size);
		else if (strcmp(name, "LastModified") == 0)
			weir_time_parse(text, WEIR_ZONE_UTC, &last->modified_us);
	} else if (strcmp(parent, "ListBucketResult") == 0) {
		if (strcmp(name, "IsTruncated") == 0)
			page->is_truncated = weir_str_is(text, "true");
		else if (strcmp(name, "NextContinuationToken") == 0)
			page->token = weir_arena_str(page->arena, text);
		else if (strcmp(name, "EncodingType") == 0)
			page->is_encoded = weir_str_is(text, "url");
	}
}

static int parse_page(void *context, struct weir_str body, struct weir_error *err)
{
	struct page *page = context;
	page->count = 0;
	page->is_list = page->is_encoded = page->is_truncated = false;
	page->token = WEIR_STR("");
	int status = s3_xml_read(body, list_element, page, err);
	if (status == 0 && (!page->is_list || (page->is_truncated && page->token.size == 0)))
		status = weir_fail(err, WEIR_E_CORRUPT, "the server's answer is not a page of a list");
	return status;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'    ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;
}

/* In place: %XX, and "+" for a space. */
static struct weir_str decode(struct weir_arena *arena, struct weir_str text)
{
	char *out = weir_arena_alloc(arena, text.size + 1);
	size_t size = 0;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		int high = c == '%' && i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
		out[size++] = low >= 0 ? (char)(high * 16 + low) : c == '+' ? ' ' : c;
		i += low >= 0 ? 2 : 0;
	}
	out[size] = '\0';
	return (struct weir_str){out, size};
}

static int give_page(struct s3 *s3, struct page *page, store_list_fn *object, void *context, struct weir_error *err)
{
	int status = 0;
	for (size_t i = 0; i < page->count && status == 0; i++) {
		struct found *found = &page->found[i];
		struct weir_str key = page->is_encoded ? decode(page->arena, found->key) : found->key;
		if (!weir_str_has_prefix(key, s3->prefix) || key.size == s3->prefix.size)
			continue;
		struct weir_str name = {key.data + s3->prefix.size, key.size - s3->prefix.size};
		if (store_check_name(name.data, NULL) != 0)
			continue; /* "a//b", or a folder's marker "a/": nobody here made it */
		status = object(context, &(struct store_object){name, found->size, found->modified_us}, err);
	}
	return status;
}

int s3_list(struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err)
{
	struct s3 *s3 = (struct s3 *)store;
	struct page page = {.arena = weir_arena_new(0)};
	struct s3_answer answer = {0};
	struct weir_buf token = WEIR_BUF_INIT;
	struct weir_str key;
	char buffer[S3_KEY_MAX + 1], keys[16];
	int status = s3_key_of(s3, prefix, buffer, &key, err);
	snprintf(keys, sizeof keys, "%u", s3->list_page);
	do {
		struct s3_param params[5] = {{WEIR_STR("list-type"), WEIR_STR("2")}, {WEIR_STR("prefix"), key},
			{WEIR_STR("max-keys"), weir_str_from(keys)}, {WEIR_STR("encoding-type"), WEIR_STR("url")},
			{WEIR_STR("continuation-token"), weir_buf_str(&token)}};
		struct s3_call call = {.method = "GET",
			.params = params,
			.param_count = token.size > 0 ? 5 : 4,
			.parse = parse_page,
			.context = &page};
		if (status == 0)
			status = s3_send(s3, &call, NULL, &answer, err);
		if (status == 0)
			status = give_page(s3, &page, object, context, err);
		token.size = 0;
		if (status == 0 && page.is_truncated)
			weir_buf_append(&token, page.token.data, page.token.size);
		weir_arena_reset(page.arena);
	} while (status == 0 && token.size > 0);
	weir_buf_done(&token);
	s3_answer_done(&answer);
	free(page.found);
	weir_arena_free(page.arena);
	return status;
}

/* ---- deleting ---- */

struct deletion {
	char code[64]; /* of the first object that could not be deleted; "" for none */
	char pending[64];
	bool is_result;
};

static void deletion_element(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	struct deletion *deletion = context;
	if (begins) {
		deletion->is_result = deletion->is_result || strcmp(name, "DeleteResult") == 0;
	} else if (strcmp(parent, "Error") == 0 && strcmp(name, "Code") == 0) {
		snprintf(deletion->pending, sizeof deletion->pending, "%.*s", WEIR_STR_ARG(text));
	} else if (strcmp(name, "Error") == 0) {
		if (deletion->code[0] == '\0' && strcmp(deletion->pending, "NoSuchKey") != 0)
			memcpy(deletion->code, deletion->pending, sizeof deletion->code);
	}
}

/* One that is told to fail is tried again with all the others: deleting twice is deleting. */
static int parse_deletion(void *context, struct weir_str body, struct weir_error *err)
{
	struct deletion *deletion = context;
	*deletion = (struct deletion){0};
	int status = s3_xml_read(body, deletion_element, deletion, err);
	if (status == 0 && !deletion->is_result)
		status = weir_fail(err, WEIR_E_CORRUPT, "the server's answer does not tell what it deleted");
	if (status == 0 && deletion->code[0] != '\0')
		status = weir_fail(err, strcmp(deletion->code, "AccessDenied") == 0 ? WEIR_E_DENIED : WEIR_E_IO,
			"an object could not be deleted (%.30s): allow the keys to delete objects of this bucket, and "
			"look "
			"for locks and retention on it",
			deletion->code);
	return status;
}

static int delete_batch(struct s3 *s3, const char *const *names, size_t count, struct weir_error *err)
{
	struct weir_buf body = WEIR_BUF_INIT;
	struct s3_answer answer = {0};
	struct deletion deletion;
	uint8_t digest[EVP_MAX_MD_SIZE];
	char md5[32], buffer[S3_KEY_MAX + 1];
	unsigned digest_size = 0;
	int status = 0;
	weir_buf_puts(&body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
	for (size_t i = 0; i < count && status == 0; i++) {
		struct weir_str key;
		status = s3_key_of(s3, names[i], buffer, &key, err);
		if (status != 0)
			break;
		weir_buf_puts(&body, "<Object><Key>");
		s3_xml_put(&body, key);
		weir_buf_puts(&body, "</Key></Object>");
	}
	weir_buf_puts(&body, "</Delete>");
	WEIR_ASSERT(EVP_Digest(body.data, body.size, digest, &digest_size, EVP_md5(), NULL) == 1);
	EVP_EncodeBlock((unsigned char *)md5, digest, (int)digest_size);
	struct http_header headers[] = {
		{WEIR_STR("content-md5"), weir_str_from(md5)}, {WEIR_STR("content-type"), WEIR_STR("application/xml")}};
	struct s3_param params[] = {{WEIR_STR("delete"), WEIR_STR("")}};
	struct s3_call call = {.method = "POST",
		.params = params,
		.param_count = 1,
		.headers = headers,
		.header_count = 2,
		.body = {body.data, body.size},
		.parse = parse_deletion,
		.context = &deletion};
	if (status == 0)
		status = s3_send(s3, &call, NULL, &answer, err);
	weir_buf_done(&body);
	s3_answer_done(&answer);
	return status;
}

static int delete_one(struct s3 *s3, const char *name, struct weir_error *err)
{
	static const uint32_t gone[] = {404, 0};
	struct s3_answer answer = {0};
	struct s3_call call = {.method = "DELETE"};
	char buffer[S3_KEY_MAX + 1];
	int status = s3_key_of(s3, name, buffer, &call.key, err);
	if (status == 0)
		status = s3_send(s3, &call, gone, &answer, err);
	s3_answer_done(&answer);
	return status;
}

int s3_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err)
{
	struct s3 *s3 = (struct s3 *)store;
	int status = 0;
	for (size_t at = 0; at < count && status == 0; at += S3_DELETE_MAX) {
		size_t some = count - at < S3_DELETE_MAX ? count - at : S3_DELETE_MAX;
		status = some == 1 ? delete_one(s3, names[at], err) : delete_batch(s3, names + at, some, err);
	}
	return status;
}
