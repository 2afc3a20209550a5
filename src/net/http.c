/* See http.h. Handles of libcurl keep their connections; they wait in a list, last used first. */
#include "net/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/rng.h"

#define HEADERS_MAX    (64U << 10)
#define ERROR_BODY_MAX (64U << 10)
#define IDLE_HANDLES   16 /* kept with their connections; more are closed after use */

struct handle {
	struct handle *next;
	CURL *curl;
};

struct http_client {
	struct http_options options;
	char *ca_file;
	pthread_mutex_t lock;
	struct handle *idle;
	unsigned idle_count;
};

struct transfer {
	const struct http_request *request;
	struct http_response *response;
	struct weir_error *err;
	CURL *curl;
	size_t received;
	int status; /* why a callback stopped */
};

struct http_client *http_client_new(const struct http_options *options)
{
	struct http_client *client = weir_zalloc(sizeof *client);
	WEIR_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	client->options = *options;
	client->ca_file = options->ca_file != NULL ? weir_strdup(options->ca_file) : NULL;
	if (client->options.connect_timeout_ms == 0)
		client->options.connect_timeout_ms = 10000;
	if (client->options.idle_timeout_s == 0)
		client->options.idle_timeout_s = 30;
	pthread_mutex_init(&client->lock, NULL);
	return client;
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	while (client->idle != NULL) {
		struct handle *handle = client->idle;
		client->idle = handle->next;
		curl_easy_cleanup(handle->curl);
		free(handle);
	}
	pthread_mutex_destroy(&client->lock);
	free(client->ca_file);
	free(client);
	curl_global_cleanup();
}

static struct handle *take_handle(struct http_client *client)
{
	pthread_mutex_lock(&client->lock);
	struct handle *handle = client->idle;
	if (handle != NULL) {
		client->idle = handle->next;
		client->idle_count--;
	}
	pthread_mutex_unlock(&client->lock);
	if (handle != NULL)
		return handle;
	handle = weir_zalloc(sizeof *handle);
	handle->curl = curl_easy_init();
	WEIR_ASSERT(handle->curl != NULL);
	return handle;
}

static void give_handle(struct http_client *client, struct handle *handle)
{
	curl_easy_reset(handle->curl); /* connections stay */
	pthread_mutex_lock(&client->lock);
	bool kept = client->idle_count < IDLE_HANDLES;
	if (kept) {
		handle->next = client->idle;
		client->idle = handle;
		client->idle_count++;
	}
	pthread_mutex_unlock(&client->lock);
	if (!kept) {
		curl_easy_cleanup(handle->curl);
		free(handle);
	}
}

/* ---- callbacks ---- */

static size_t on_header(char *data, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;
	struct weir_buf *headers = &transfer->response->headers;
	(void)one;
	const char *colon = memchr(data, ':', size);
	if (size > 5 && memcmp(data, "HTTP/", 5) == 0)
		headers->size = 0; /* a new answer: 100 Continue came before */
	if (colon == NULL || headers->size + size + 2 > HEADERS_MAX)
		return size;
	size_t name = (size_t)(colon - data), from = name + 1, end = size;
	while (from < end && (data[from] == ' ' || data[from] == '\t'))
		from++;
	while (end > from && (data[end - 1] == '\r' || data[end - 1] == '\n' || data[end - 1] == ' '))
		end--;
	for (size_t i = 0; i < name; i++)
		weir_buf_putc(headers, (char)(data[i] >= 'A' && data[i] <= 'Z' ? data[i] + 32 : data[i]));
	weir_buf_puts(headers, ": ");
	weir_buf_append(headers, data + from, end - from);
	weir_buf_putc(headers, '\n');
	return size;
}

static size_t on_body(char *data, size_t one, size_t size, void *context)
{
	struct transfer *transfer = context;
	const struct http_request *request = transfer->request;
	long status = 0;
	(void)one;
	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 != 2) {
		size_t room = ERROR_BODY_MAX - transfer->response->body.size;
		weir_buf_append(&transfer->response->body, data, size < room ? size : room);
		return size;
	}
	if (size > request->limit_bytes - transfer->received) {
		transfer->status = weir_fail(transfer->err, WEIR_E_LIMIT,
			"the server's answer is larger than the %zu bytes that were expected", request->limit_bytes);
		return 0;
	}
	transfer->received += size;
	if (request->sink == NULL)
		weir_buf_append(&transfer->response->body, data, size);
	else
		transfer->status = request->sink->write(request->sink->self, data, size, transfer->err);
	return transfer->status == 0 ? size : 0;
}

/* ---- a request ---- */

static struct curl_slist *header_list(const struct http_request *request)
{
	struct curl_slist *list = NULL;
	bool has_type = false;
	for (uint32_t i = 0; i < request->header_count; i++) {
		const struct http_header *header = &request->headers[i];
		struct weir_buf line = WEIR_BUF_INIT;
		weir_buf_printf(&line, "%.*s: %.*s", WEIR_STR_ARG(header->name), WEIR_STR_ARG(header->value));
		list = curl_slist_append(list, weir_buf_cstr(&line));
		has_type = has_type || weir_str_is(header->name, "content-type");
		weir_buf_done(&line);
	}
	if (!has_type)
		list = curl_slist_append(list, "Content-Type:");
	return curl_slist_append(list, "Expect:"); /* do not wait to be asked for the body */
}

static void set_options(const struct http_client *client, struct transfer *transfer, struct curl_slist *headers)
{
	const struct http_request *request = transfer->request;
	CURL *curl = transfer->curl;
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)client->options.connect_timeout_ms);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)client->options.idle_timeout_s);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	if (request->is_once)
		curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
	if (client->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
	if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else if (strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.size > 0 ? request->body.data : "");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	} else {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	}
}

static struct weir_str host_of(const char *url)
{
	const char *host = strstr(url, "://");
	host = host != NULL ? host + 3 : url;
	return (struct weir_str){host, strcspn(host, "/?")};
}

static int fail_transfer(struct transfer *transfer, CURLcode code, struct weir_error *err)
{
	struct weir_str host = host_of(transfer->request->url);
	struct http_response *response = transfer->response;
	response->outcome = HTTP_REFUSED;
	if (transfer->status != 0)
		return transfer->status;
	switch (code) {
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return weir_fail_at(err, WEIR_E_INPUT, host, WEIR_ERROR_NO_OFFSET, "not an http or https address");
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return weir_fail_at(err, WEIR_E_IO, host, WEIR_ERROR_NO_OFFSET,
			"the server's certificate is not trusted: %s", curl_easy_strerror(code));
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
		response->outcome = HTTP_NOT_SENT;
		break;
	default:
		response->outcome = HTTP_CUT;
	}
	return weir_fail_at(
		err, WEIR_E_IO, host, WEIR_ERROR_NO_OFFSET, "no answer from the server: %s", curl_easy_strerror(code));
}

int http_perform(struct http_client *client, const struct http_request *request, struct http_response *response,
	struct weir_error *err)
{
	struct handle *handle = take_handle(client);
	struct transfer transfer = {request, response, err, handle->curl, 0, 0};
	struct curl_slist *headers = header_list(request);
	long status = 0;
	response->outcome = HTTP_ANSWERED;
	response->status = 0;
	response->headers.size = response->body.size = 0;
	set_options(client, &transfer, headers);
	CURLcode code = curl_easy_perform(handle->curl);
	curl_easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, &status);
	response->status = (uint32_t)status;
	give_handle(client, handle);
	curl_slist_free_all(headers);
	return code == CURLE_OK ? 0 : fail_transfer(&transfer, code, err);
}

void http_response_done(struct http_response *response)
{
	weir_buf_done(&response->headers);
	weir_buf_done(&response->body);
}

struct weir_str http_response_header(const struct http_response *response, const char *name)
{
	struct weir_str wanted = weir_str_from(name);
	const char *at = response->headers.data, *end = at + response->headers.size;
	while (at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		struct weir_str text = {at, (size_t)(line - at)};
		at = line + 1;
		if (weir_str_has_prefix(text, wanted) && text.size >= wanted.size + 2 && text.data[wanted.size] == ':')
			return (struct weir_str){text.data + wanted.size + 2, text.size - wanted.size - 2};
	}
	return WEIR_STR("");
}

/* ---- patience ---- */

bool http_is_transient(const struct http_response *response)
{
	if (response->outcome != HTTP_ANSWERED)
		return response->outcome != HTTP_REFUSED;
	switch (response->status) {
	case 408:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

bool http_retry_wait(const struct http_retry *retry, uint32_t attempt, const struct http_response *response)
{
	uint64_t most = retry->first_ms, random, after_s = 0;
	if (attempt >= retry->attempts)
		return false;
	if (attempt == 0)
		return true;
	for (uint32_t i = 1; i < attempt && most < retry->longest_ms; i++)
		most *= 2;
	most = most < retry->longest_ms ? most : retry->longest_ms;
	weir_random_bytes(&random, sizeof random);
	uint64_t wait_ms = random % (most + 1);
	if (response->outcome == HTTP_ANSWERED &&
		weir_str_to_u64(http_response_header(response, "retry-after"), &after_s)) {
		uint64_t asked_ms = after_s < retry->longest_ms / 1000 ? after_s * 1000 : retry->longest_ms;
		wait_ms = wait_ms < asked_ms ? asked_ms : wait_ms;
	}
	struct timespec wait = {(time_t)(wait_ms / 1000), (long)(wait_ms % 1000 * 1000000)};
	while (nanosleep(&wait, &wait) != 0)
		;
	return true;
}
