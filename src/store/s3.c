/* Opening a bucket as a store: addresses, what the bucket must be like, presigned URLs. See s3.h. */
#include "store/s3.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/os.h"
#include "store/s3_int.h"

#define BUCKET_MIN    3
#define BUCKET_MAX    63
#define PART_BYTES    (8U << 20)
#define PART_LEAST    (5U << 20)
#define PRESIGN_MAX_S 604800

static void s3_close(struct store *store)
{
	struct s3 *s3 = (struct s3 *)store;
	http_client_free(s3->http);
	pthread_mutex_destroy(&s3->keys_lock);
	weir_arena_free(s3->arena);
	free(s3);
}

static const struct store_ops s3_ops = {
	.create = s3_create,
	.append = s3_append,
	.barrier = s3_barrier,
	.abandon = s3_abandon,
	.read = s3_read,
	.size = s3_size,
	.source_open = s3_source_open,
	.list = s3_list,
	.delete_many = s3_delete_many,
	.close = s3_close,
};

/* ---- addresses ---- */

static bool good_bucket(struct weir_str bucket)
{
	if (bucket.size < BUCKET_MIN || bucket.size > BUCKET_MAX)
		return false;
	for (size_t i = 0; i < bucket.size; i++) {
		char c = bucket.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (!letter && !((c == '-' || c == '.') && i > 0 && i + 1 < bucket.size))
			return false;
	}
	return true;
}

int store_s3_parse(struct weir_arena *arena, struct weir_str uri, const char **ret_bucket, const char **ret_prefix,
	struct weir_error *err)
{
	struct weir_str rest = uri;
	for (const char *const *scheme = store_s3_schemes; *scheme != NULL && rest.size == uri.size; scheme++)
		if (weir_str_has_prefix(uri, weir_str_from(*scheme)))
			rest = (struct weir_str){uri.data + strlen(*scheme), uri.size - strlen(*scheme)};
	while (rest.size < uri.size && rest.size > 0 && rest.data[rest.size - 1] == '/')
		rest.size--;
	const char *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
	struct weir_str bucket = {rest.data, slash != NULL ? (size_t)(slash - rest.data) : rest.size};
	size_t from = slash != NULL ? bucket.size + 1 : rest.size;
	struct weir_str prefix = weir_arena_str(arena, (struct weir_str){rest.data + from, rest.size - from});
	if (rest.size == uri.size || !good_bucket(bucket))
		return weir_fail_at(err, WEIR_E_INPUT, uri, WEIR_ERROR_NO_OFFSET,
			"write s3://BUCKET/PREFIX; a bucket's name has %d to %d lower-case letters, digits, '-' and "
			"'.'",
			BUCKET_MIN, BUCKET_MAX);
	int status = prefix.size > 0 ? store_check_name(prefix.data, err) : 0;
	if (status != 0)
		return status;
	*ret_bucket = weir_arena_cstr(arena, bucket);
	*ret_prefix = prefix.data;
	return 0;
}

static int set_address(struct s3 *s3, const struct store_s3_options *options, struct weir_error *err)
{
	const char *endpoint = options->endpoint != NULL
		? options->endpoint
		: weir_arena_printf(s3->arena, "https://s3.%.*s.amazonaws.com", WEIR_STR_ARG(s3->region));
	enum store_s3_style style = options->style;
	bool tls = strncmp(endpoint, "https://", 8) == 0;
	if (!tls && strncmp(endpoint, "http://", 7) != 0)
		return weir_fail_at(err, WEIR_E_INPUT, weir_str_from(endpoint), WEIR_ERROR_NO_OFFSET,
			"an endpoint is written http://HOST:PORT or https://HOST");
	struct weir_str host = weir_str_from(endpoint + (tls ? 8 : 7));
	while (host.size > 0 && host.data[host.size - 1] == '/')
		host.size--;
	if (host.size == 0 || memchr(host.data, '/', host.size) != NULL || memchr(host.data, '@', host.size) != NULL ||
		memchr(host.data, '?', host.size) != NULL)
		return weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("endpoint"), WEIR_ERROR_NO_OFFSET,
			"an endpoint is a scheme, a host and a port, without a path and without keys");
	struct weir_str port = tls ? WEIR_STR(":443") : WEIR_STR(":80");
	if (weir_str_has_suffix(host, port))
		host.size -= port.size; /* nobody puts these into the Host header */
	if (style == STORE_S3_STYLE_BY_HOST)
		style = options->endpoint != NULL || memchr(s3->bucket.data, '.', s3->bucket.size) != NULL
			? STORE_S3_STYLE_PATH
			: STORE_S3_STYLE_VIRTUAL;
	bool by_path = style == STORE_S3_STYLE_PATH;
	s3->host = weir_str_from(weir_arena_printf(s3->arena, "%.*s%s%.*s", by_path ? 0 : (int)s3->bucket.size,
		s3->bucket.data, by_path ? "" : ".", WEIR_STR_ARG(host)));
	s3->base_path = weir_str_from(by_path ? weir_arena_printf(s3->arena, "/%.*s", WEIR_STR_ARG(s3->bucket))
					      : weir_arena_printf(s3->arena, "%s", ""));
	s3->base = weir_str_from(weir_arena_printf(s3->arena, "%s%.*s%.*s", tls ? "https://" : "http://",
		WEIR_STR_ARG(s3->host), WEIR_STR_ARG(s3->base_path)));
	return 0;
}

/* ---- opening ---- */

static struct weir_str copy(struct s3 *s3, const char *text)
{
	return weir_arena_str(s3->arena, weir_str_from(text != NULL ? text : ""));
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
	return value != 0 ? value : otherwise;
}

static int set_options(struct s3 *s3, const struct store_s3_options *options, struct weir_error *err)
{
	const char *prefix = options->prefix != NULL ? options->prefix : "";
	s3->bucket = copy(s3, options->bucket);
	s3->region = copy(s3, options->region != NULL && options->region[0] != '\0' ? options->region : "us-east-1");
	s3->keys = (struct s3_keys){copy(s3, options->access_key), copy(s3, options->secret_key),
		copy(s3, options->session_token), options->renewal.expires_us};
	s3->renewal = options->renewal;
	s3->uploads = options->uploads_directory != NULL ? copy(s3, options->uploads_directory).data : NULL;
	s3->clock = options->clock.now_us != NULL ? options->clock : weir_clock_system();
	s3->retry = (struct http_retry){or_default(options->attempts, 8), or_default(options->first_wait_ms, 100),
		or_default(options->longest_wait_ms, 10000)};
	s3->list_page = or_default(options->list_page, 1000);
	s3->part_bytes = or_default(options->part_bytes, PART_BYTES);
	s3->prefix = copy(s3, prefix);
	if (s3->prefix.size > 0)
		s3->prefix = weir_str_from(weir_arena_printf(s3->arena, "%s/", prefix));
	const char *root =
		weir_arena_printf(s3->arena, "%s%s%s", options->bucket, prefix[0] != '\0' ? "/" : "", prefix);
	s3->store = (struct store){&s3_ops, root, "s3://", store_s3_schemes};
	if (!good_bucket(s3->bucket))
		return weir_fail_at(err, WEIR_E_INPUT, s3->bucket, WEIR_ERROR_NO_OFFSET,
			"a bucket's name has %d to %d lower-case letters, digits, '-' and '.'", BUCKET_MIN, BUCKET_MAX);
	s3_plan_renewal(s3);
	if (s3->keys.access_key.size == 0 || s3->keys.secret_key.size == 0)
		return weir_fail_at(err, WEIR_E_DENIED, WEIR_STR("s3"), WEIR_ERROR_NO_OFFSET,
			"a warehouse on S3 needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
			"environment");
	if (s3->part_bytes < PART_LEAST || s3->list_page > 1000)
		return weir_fail(
			err, WEIR_E_INPUT, "S3 has parts of 5 MiB at least, and lists 1,000 keys a page at most");
	return prefix[0] != '\0' ? store_check_name(prefix, err) : 0;
}

static void find_versioning(void *context, bool begins, const char *parent, const char *name, struct weir_str text)
{
	if (!begins && strcmp(parent, "VersioningConfiguration") == 0 && strcmp(name, "Status") == 0)
		*(bool *)context = weir_str_is(text, "Enabled");
}

static int parse_versioning(void *context, struct weir_str body, struct weir_error *err)
{
	return s3_xml_read(body, find_versioning, context, err);
}

/* The bucket is there, the keys fit it, and it does not keep what is deleted. */
static int check_bucket(struct s3 *s3, struct weir_error *err)
{
	static const uint32_t accepted[] = {403, 404, 501, 0};
	struct s3_param param = {WEIR_STR("versioning"), WEIR_STR("")};
	bool versioned = false;
	struct s3_call call = {
		.method = "GET", .params = &param, .param_count = 1, .parse = parse_versioning, .context = &versioned};
	struct s3_answer answer = {0};
	int status = s3_send(s3, &call, accepted, &answer, err);
	bool known = status == 0 && s3_succeeded(&answer);
	if (status == 0 && !known) { /* these keys may not ask that, or nobody may; a list tells the rest */
		struct s3_param list[] = {{WEIR_STR("list-type"), WEIR_STR("2")}, {WEIR_STR("max-keys"), WEIR_STR("1")},
			{WEIR_STR("prefix"), s3->prefix}};
		call = (struct s3_call){.method = "GET", .params = list, .param_count = 3};
		status = s3_send(s3, &call, NULL, &answer, err);
	}
	if (status == 0 && versioned)
		status = weir_fail_at(err, WEIR_E_UNSUPPORTED, s3->bucket, WEIR_ERROR_NO_OFFSET,
			"the bucket keeps versions, so what is deleted would stay: suspend its versioning, or name "
			"another bucket");
	s3_answer_done(&answer);
	return status;
}

int store_s3_open(const struct store_s3_options *options, struct store **ret_store, struct weir_error *err)
{
	struct s3 *s3 = weir_zalloc(sizeof *s3);
	struct http_options http = {options->connect_timeout_ms, options->idle_timeout_s, options->ca_file};
	const struct weir_os *os = weir_os_real();
	s3->arena = weir_arena_new(0);
	s3->http = http_client_new(&http);
	pthread_mutex_init(&s3->keys_lock, NULL);
	int status = set_options(s3, options, err);
	if (status == 0)
		status = set_address(s3, options, err);
	if (status == 0 && s3->uploads != NULL)
		status = os->mkdir(os->self, s3->uploads, err);
	if (status == 0 && !options->is_guest)
		status = check_bucket(s3, err);
	if (status == 0 && !options->is_guest)
		status = s3_uploads_recover(s3, err);
	if (status != 0) {
		s3_close(&s3->store);
		return status;
	}
	*ret_store = &s3->store;
	return 0;
}

/* ---- presigned URLs ---- */

int store_s3_presign(struct store *store, struct weir_arena *arena, const char *method, struct weir_str name,
	uint32_t seconds, struct weir_str *ret_url, struct weir_error *err)
{
	struct s3 *s3 = (struct s3 *)store;
	struct s3_signing signing;
	struct weir_buf url = WEIR_BUF_INIT;
	struct weir_str key;
	char buffer[S3_KEY_MAX + 1];
	WEIR_ASSERT(store->ops == &s3_ops);
	if ((strcmp(method, "GET") != 0 && strcmp(method, "PUT") != 0) || seconds == 0 || seconds > PRESIGN_MAX_S)
		return weir_fail(
			err, WEIR_E_INPUT, "a presigned URL is for GET or PUT, and for 1 to %d seconds", PRESIGN_MAX_S);
	const char *text = weir_arena_cstr(arena, name);
	int status = store_check_name(text, err);
	if (status == 0)
		status = s3_key_of(s3, text, buffer, &key, err);
	if (status == 0)
		status = s3_start_signing(s3, &signing, err);
	if (status != 0)
		return status;
	weir_buf_append(&url, s3->base.data, s3->base.size);
	weir_buf_putc(&url, '/');
	s3_encode(&url, key, true);
	size_t path = s3->base.size - s3->base_path.size;
	signing.method = method;
	signing.path = weir_arena_str(arena, (struct weir_str){url.data + path, url.size - path});
	signing.payload_hash = WEIR_STR("UNSIGNED-PAYLOAD");
	struct weir_str query = s3_presigned_query(arena, &signing, seconds);
	weir_buf_printf(&url, "?%.*s", WEIR_STR_ARG(query));
	*ret_url = weir_arena_str(arena, weir_buf_str(&url));
	weir_buf_done(&url);
	return 0;
}
