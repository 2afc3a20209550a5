/*
 * One way to ask a lake. Beside a server a request goes over HTTP (libcurl, on DIR/weir.sock or to a URL);
 * where none runs, the same request goes to the same routes in this process (serve_dispatch), over an engine
 * that is opened for the command and has finished its work when the command ends.
 */
#include "cli/cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_SECONDS 10L

struct cli_api {
	struct lake *lake;
	struct engine *engine;
	CURL *curl;
	const char *base;     /* "http://weir", or --to */
	char socket_path[64]; /* through /proc, so that any directory is short enough; "" with --to */
	int directory_fd;
	struct weir_arena *arena;
};

/* True where a process answers on the lake's socket. A socket that nobody listens on is left from one that died. */
static bool server_answers(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	bool answers = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
	close(fd);
	return answers;
}

static int open_url(struct cli_api *api, const char *url, struct weir_error *err)
{
	size_t size = strlen(url);
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return weir_fail(
			err, WEIR_E_INPUT, "--to takes a URL such as http://127.0.0.1:8080, not '%.100s'", url);
	while (size > 0 && url[size - 1] == '/')
		size--;
	api->base = weir_arena_cstr(api->arena, (struct weir_str){url, size});
	return 0;
}

static int open_lake(struct cli_api *api, const struct cli_args *args, struct weir_error *err)
{
	int rc = lake_read(args->words[0], cli_option(args, "--data"), &api->lake, err);
	if (rc < 0)
		return rc;
	api->directory_fd = open(api->lake->data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (api->directory_fd >= 0) {
		snprintf(api->socket_path, sizeof api->socket_path, "/proc/self/fd/%d/weir.sock", api->directory_fd);
		if (server_answers(api->socket_path)) {
			api->base = "http://weir";
			return 0;
		}
	}
	struct engine_options options = {.log = &args->log};
	return engine_open(api->lake, &options, &api->engine, err);
}

int cli_api_open(const struct cli_args *args, struct cli_api **ret_api, struct weir_error *err)
{
	struct cli_api *api = weir_zalloc(sizeof *api);
	const char *to = cli_option(args, "--to");
	api->directory_fd = -1;
	api->arena = weir_arena_new(0);
	int rc = to != NULL ? open_url(api, to, err) : open_lake(api, args, err);
	if (rc == 0 && api->engine == NULL) {
		curl_global_init(CURL_GLOBAL_DEFAULT);
		api->curl = curl_easy_init();
		if (api->curl == NULL)
			rc = weir_fail(err, WEIR_E_NO_MEMORY, "libcurl does not start");
	}
	if (rc < 0) {
		cli_api_close(api);
		return rc;
	}
	*ret_api = api;
	return 0;
}

void cli_api_close(struct cli_api *api)
{
	if (api == NULL)
		return;
	if (api->curl != NULL) {
		curl_easy_cleanup(api->curl);
		curl_global_cleanup();
	}
	if (api->engine != NULL)
		engine_close(api->engine);
	if (api->lake != NULL)
		lake_free(api->lake);
	if (api->directory_fd >= 0)
		close(api->directory_fd);
	weir_arena_free(api->arena);
	free(api);
}

struct engine *cli_api_engine(struct cli_api *api)
{
	return api->engine;
}

const struct lake *cli_api_lake(struct cli_api *api)
{
	return api->lake;
}

/* ---- one call ---- */

struct transfer {
	const struct cli_request *request;
	struct cli_answer *answer;
	CURL *curl;
	uint64_t sent;
	bool too_long, write_failed;
	struct weir_str body_left;
};

static bool take_bytes(struct transfer *transfer, unsigned status, struct weir_str bytes)
{
	if (transfer->request->stream_to != NULL && status < 400) {
		transfer->write_failed = fwrite(bytes.data, 1, bytes.size, transfer->request->stream_to) != bytes.size;
		return !transfer->write_failed;
	}
	transfer->too_long = transfer->answer->body.size + bytes.size > CLI_ANSWER_BYTES;
	if (!transfer->too_long)
		weir_buf_append(&transfer->answer->body, bytes.data, bytes.size);
	return !transfer->too_long;
}

static int dispatch_body(void *context, unsigned status, struct weir_str bytes, struct weir_error *err)
{
	if (!take_bytes(context, status, bytes))
		return weir_fail(err, WEIR_E_CANCELLED, "the answer cannot be taken");
	return 0;
}

static size_t curl_body(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	long status = 0;
	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	return take_bytes(transfer, (unsigned)status, (struct weir_str){data, size * count}) ? size * count : 0;
}

static size_t curl_read(char *buffer, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t room = size * count, taken = 0;
	if (transfer->request->file != NULL) {
		taken = fread(buffer, 1, room, transfer->request->file);
		if (taken == 0 && ferror(transfer->request->file))
			return CURL_READFUNC_ABORT;
	} else {
		taken = transfer->body_left.size < room ? transfer->body_left.size : room;
		memcpy(buffer, transfer->body_left.data, taken);
		transfer->body_left =
			(struct weir_str){transfer->body_left.data + taken, transfer->body_left.size - taken};
	}
	transfer->sent += taken;
	if (transfer->request->progress != NULL)
		transfer->request->progress(transfer->request->progress_context, transfer->sent);
	return taken;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	struct weir_buf line = WEIR_BUF_INIT;
	if (value == NULL)
		return list;
	weir_buf_printf(&line, "%s: %s", name, value);
	list = curl_slist_append(list, weir_buf_cstr(&line));
	weir_buf_done(&line);
	return list;
}

static struct curl_slist *headers_of(const struct cli_request *request)
{
	struct curl_slist *list = NULL;
	const char *token = getenv("WEIR_TOKEN");
	struct weir_buf bearer = WEIR_BUF_INIT;
	list = add_header(list, "Content-Type",
		request->content_type != NULL ? request->content_type : "application/octet-stream");
	list = add_header(list, "Accept", request->accept != NULL ? request->accept : "application/json");
	list = add_header(list, "If-Match", request->if_match);
	if (token != NULL && token[0] != '\0') {
		weir_buf_printf(&bearer, "Bearer %s", token);
		list = add_header(list, "Authorization", weir_buf_cstr(&bearer));
		weir_buf_done(&bearer);
	}
	return list;
}

static void set_body(CURL *curl, struct transfer *transfer)
{
	const struct cli_request *request = transfer->request;
	if (request->file == NULL && request->body.size == 0 && strcmp(request->method, "POST") != 0)
		return;
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, curl_read);
	curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
	if (request->file == NULL)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
	else if (request->file_bytes > 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->file_bytes);
}

static int call_server(struct cli_api *api, struct transfer *transfer, struct weir_error *err)
{
	const struct cli_request *request = transfer->request;
	CURL *curl = transfer->curl = api->curl;
	struct weir_buf url = WEIR_BUF_INIT;
	char detail[CURL_ERROR_SIZE] = "";
	long status = 0;
	struct curl_slist *headers = headers_of(request);
	weir_buf_printf(&url, "%s%s", api->base, request->target);
	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, weir_buf_cstr(&url));
	if (api->socket_path[0] != '\0') {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, api->socket_path);
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	}
	set_body(curl, transfer);
	if (request->file == NULL || request->file_bytes > 0 || strcmp(request->method, "POST") != 0)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, curl_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, api->socket_path[0] != '\0' ? NULL : "gzip");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	CURLcode code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	transfer->answer->status = (unsigned)status;
	curl_slist_free_all(headers);
	weir_buf_done(&url);
	/* A refusal may come before all of the body was sent: then it is what counts. */
	if (code == CURLE_OK || (status >= 400 && transfer->answer->body.size > 0))
		return 0;
	if (transfer->write_failed)
		return weir_fail_errno(err, errno, WEIR_STR("output"), "write the answer");
	if (transfer->too_long)
		return weir_fail(err, WEIR_E_LIMIT, "the answer is larger than %zu bytes", CLI_ANSWER_BYTES);
	return weir_fail(err, WEIR_E_IO, "no answer from %s: %s",
		api->socket_path[0] != '\0' ? "the server of the lake" : api->base,
		detail[0] != '\0' ? detail : curl_easy_strerror(code));
}

static int call_here(struct cli_api *api, struct transfer *transfer, struct weir_error *err)
{
	const struct cli_request *request = transfer->request;
	struct serve_pair headers[4];
	uint32_t count = 0;
	if (request->content_type != NULL)
		headers[count++] = (struct serve_pair){WEIR_STR("Content-Type"), weir_str_from(request->content_type)};
	if (request->if_match != NULL)
		headers[count++] = (struct serve_pair){WEIR_STR("If-Match"), weir_str_from(request->if_match)};
	headers[count++] = (struct serve_pair){
		WEIR_STR("Accept"), weir_str_from(request->accept != NULL ? request->accept : "application/json")};
	struct serve_request local = {
		.method = request->method,
		.target = weir_str_from(request->target),
		.headers = headers,
		.header_count = count,
		.body = request->body,
	};
	int rc = serve_dispatch(api->engine, &local, dispatch_body, transfer, &transfer->answer->status, err);
	if (rc < 0 && transfer->write_failed)
		return weir_fail_errno(err, errno, WEIR_STR("output"), "write the answer");
	return rc;
}

int cli_call(
	struct cli_api *api, const struct cli_request *request, struct cli_answer *ret_answer, struct weir_error *err)
{
	*ret_answer = (struct cli_answer){0};
	struct transfer transfer = {.request = request, .answer = ret_answer, .body_left = request->body};
	WEIR_ASSERT(request->file == NULL || api->engine == NULL);
	return api->engine != NULL ? call_here(api, &transfer, err) : call_server(api, &transfer, err);
}

void cli_answer_done(struct cli_answer *answer)
{
	weir_buf_done(&answer->body);
}

/* ---- problems ---- */

json_t *cli_answer_json(const struct cli_answer *answer)
{
	const char *text = answer->body.data != NULL ? answer->body.data : "";
	return json_loadb(text, answer->body.size, JSON_DECODE_ANY, NULL);
}

void cli_answer_print(const struct cli_answer *answer)
{
	fwrite(answer->body.data, 1, answer->body.size, stdout);
	if (answer->body.size > 0 && answer->body.data[answer->body.size - 1] != '\n')
		fputc('\n', stdout);
}

const char *cli_member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

#define ERRORS_SHOWN 20

int cli_problem(const struct cli_answer *answer)
{
	json_t *problem = cli_answer_json(answer), *error;
	size_t index;
	const char *detail = cli_member(problem, "detail");
	if (detail[0] != '\0')
		fprintf(stderr, "weir: %s\n", detail);
	else
		fprintf(stderr, "weir: the server answered %u\n", answer->status);
	json_array_foreach(json_object_get(problem, "errors"), index, error)
	{
		const char *value = cli_member(error, "value"), *remedy = cli_member(error, "remedy"),
			   *field = cli_member(error, "field");
		if (strcmp(cli_member(error, "problem"), detail) == 0 && remedy[0] == '\0')
			continue;
		fprintf(stderr, "  %lld: %s%s%s%s%s%s%s\n",
			(long long)json_integer_value(json_object_get(error, "index")), field,
			value[0] != '\0' ? " = " : "", value, field[0] != '\0' ? ": " : "",
			cli_member(error, "problem"), remedy[0] != '\0' ? "; " : "", remedy);
		if (index + 1 == ERRORS_SHOWN) {
			fprintf(stderr, "  and %zu more\n",
				json_array_size(json_object_get(problem, "errors")) - ERRORS_SHOWN);
			break;
		}
	}
	json_decref(problem);
	return CLI_FAILED;
}

int cli_ask(struct cli_api *api, const struct cli_request *request, struct cli_answer *ret_answer)
{
	struct weir_error err = WEIR_ERROR_INIT;
	int code = CLI_DONE;
	if (cli_call(api, request, ret_answer, &err) < 0)
		code = cli_fail(&err);
	else if (ret_answer->status >= 400)
		code = cli_problem(ret_answer);
	if (code != CLI_DONE)
		cli_answer_done(ret_answer);
	return code;
}

int cli_ask_once(const struct cli_args *args, const struct cli_request *request, struct cli_answer *ret_answer)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_api *api = NULL;
	if (cli_api_open(args, &api, &err) < 0)
		return cli_fail(&err);
	int code = cli_ask(api, request, ret_answer);
	cli_api_close(api);
	return code;
}

int cli_settle(struct cli_api *api)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct engine *engine = cli_api_engine(api);
	if (engine != NULL) {
		int rc = engine_flush(engine, &err);
		if (rc == 0)
			rc = engine_settle(engine, false, &err);
		return rc < 0 ? cli_fail(&err) : CLI_DONE;
	}
	struct cli_answer answer;
	struct cli_request request = {.method = "POST", .target = "/api/admin/settle"};
	if (cli_call(api, &request, &answer, &err) < 0)
		return cli_fail(&err);
	/* A token that may only write cannot wait; what it sent is durable all the same. */
	bool forbidden = answer.status == 403;
	if (forbidden)
		fprintf(stderr, "weir: this token may not wait for the tables; what was sent is durable\n");
	int code = answer.status < 400 || forbidden ? CLI_DONE : cli_problem(&answer);
	cli_answer_done(&answer);
	return code;
}

void cli_encode(struct weir_buf *out, struct weir_str text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
			c == '.' || c == '_' || c == '~')
			weir_buf_putc(out, c);
		else
			weir_buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
	}
}
