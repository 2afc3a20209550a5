/* weir consent put, get, withdraw, explain. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_AT_ONCE 1000 /* of a request */
#define RULES_BYTES   ((size_t)8 << 20)
#define EVENT_BYTES   ((size_t)1 << 20)

/* "/api/consent/..." with the parts encoded, and ?consent= where it was given. more: further parameters, or "". */
static const char *target_of(const struct cli_args *args, const char *path, const char *first, const char *second,
	const char *parameter, const char *value)
{
	struct weir_buf target = WEIR_BUF_INIT;
	const char *section = cli_option(args, "--consent");
	char separator = '?';
	weir_buf_puts(&target, path);
	for (unsigned i = 0; i < 2; i++) {
		const char *part = i == 0 ? first : second;
		if (part == NULL)
			continue;
		weir_buf_putc(&target, '/');
		cli_encode(&target, weir_str_from(part));
	}
	if (parameter != NULL) {
		weir_buf_printf(&target, "%c%s=", separator, parameter);
		cli_encode(&target, weir_str_from(value));
		separator = '&';
	}
	if (section != NULL) {
		weir_buf_printf(&target, "%cconsent=", separator);
		cli_encode(&target, weir_str_from(section));
	}
	const char *text = weir_arena_cstr(args->arena, weir_buf_str(&target));
	weir_buf_done(&target);
	return text;
}

/* Small answers, indented for people. */
static void print_pretty(const struct cli_answer *answer)
{
	json_t *value = cli_answer_json(answer);
	if (value != NULL) {
		json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		fputc('\n', stdout);
	}
	json_decref(value);
}

/* ---- put ---- */

struct put {
	const struct cli_args *args;
	struct cli_api *api;
	struct weir_buf batch;
	uint64_t in_batch, posted, last_lsn;
};

static int put_batch(struct put *put)
{
	if (put->in_batch == 0)
		return CLI_DONE;
	struct cli_request request = {
		.method = "POST",
		.target = target_of(put->args, "/api/consent/rules", NULL, NULL, NULL, NULL),
		.content_type = "application/x-ndjson",
		.body = weir_buf_str(&put->batch),
	};
	struct cli_answer answer;
	int code = cli_ask(put->api, &request, &answer);
	if (code != CLI_DONE) {
		if (put->posted > 0)
			fprintf(stderr, "weir: the %llu rules before these were posted\n",
				(unsigned long long)put->posted);
		return code;
	}
	json_t *value = cli_answer_json(&answer);
	const json_t *last = json_is_array(value) ? json_array_get(value, json_array_size(value) - 1) : value;
	put->last_lsn = (uint64_t)json_integer_value(json_object_get(last, "lsn"));
	put->posted += put->in_batch;
	json_decref(value);
	cli_answer_done(&answer);
	put->batch.size = 0;
	put->in_batch = 0;
	return CLI_DONE;
}

static int put_one(struct put *put, const json_t *rule)
{
	char *text = json_dumps(rule, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text == NULL)
		return CLI_FAILED;
	weir_buf_puts(&put->batch, text);
	weir_buf_putc(&put->batch, '\n');
	free(text);
	put->in_batch++;
	return put->in_batch >= RULES_AT_ONCE || put->batch.size >= RULES_BYTES ? put_batch(put) : CLI_DONE;
}

/* Values one after the other, each a rule or an array of rules: JSON and NDJSON alike, in memory of one value. */
static int put_file(struct put *put, FILE *file, const char *path)
{
	int code = CLI_DONE;
	while (code == CLI_DONE) {
		json_error_t broken;
		int c;
		do
			c = fgetc(file);
		while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
		if (c == EOF)
			break;
		ungetc(c, file);
		json_t *value = json_loadf(file, JSON_DISABLE_EOF_CHECK, &broken), *rule;
		size_t index;
		if (value == NULL) {
			fprintf(stderr, "weir: %s: after %llu rules, line %d: %s\n", path,
				(unsigned long long)(put->posted + put->in_batch), broken.line, broken.text);
			return CLI_FAILED;
		}
		if (json_is_array(value)) {
			json_array_foreach(value, index, rule)
			{
				if (code == CLI_DONE)
					code = put_one(put, rule);
			}
		} else {
			code = put_one(put, value);
		}
		json_decref(value);
	}
	return code == CLI_DONE ? put_batch(put) : code;
}

int cmd_consent_put(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct put put = {.args = args};
	const char *path = args->words[1];
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rb");
	if (file == NULL) {
		weir_fail_errno(&err, errno, weir_str_from(path), "open the file");
		return cli_fail(&err);
	}
	int code = CLI_DONE;
	if (cli_api_open(args, &put.api, &err) < 0)
		code = cli_fail(&err);
	if (code == CLI_DONE)
		code = put_file(&put, file, path);
	if (code == CLI_DONE && !(cli_flag(args, "--no-wait") && cli_api_engine(put.api) == NULL))
		code = cli_settle(put.api);
	if (code == CLI_DONE)
		printf("%llu rules posted, newest change %llu\n", (unsigned long long)put.posted,
			(unsigned long long)put.last_lsn);
	cli_api_close(put.api);
	weir_buf_done(&put.batch);
	if (!standard)
		fclose(file);
	return code;
}

/* ---- the others ---- */

int cmd_consent_get(const struct cli_args *args)
{
	struct cli_request request = {
		.method = "GET", .target = target_of(args, "/api/consent/rules", args->words[1], NULL, NULL, NULL)};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	print_pretty(&answer);
	cli_answer_done(&answer);
	return CLI_DONE;
}

int cmd_consent_withdraw(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_api *api = NULL;
	struct cli_request request = {
		.method = "DELETE",
		.target = target_of(args, "/api/consent/rules", args->words[1], args->words[2], NULL, NULL),
	};
	struct cli_answer answer;
	if (cli_api_open(args, &api, &err) < 0)
		return cli_fail(&err);
	int code = cli_ask(api, &request, &answer);
	bool answered = code == CLI_DONE;
	if (answered && !(cli_flag(args, "--no-wait") && cli_api_engine(api) == NULL))
		code = cli_settle(api);
	if (answered) {
		print_pretty(&answer);
		cli_answer_done(&answer);
	}
	cli_api_close(api);
	return code;
}

static int read_file(const char *path, struct weir_buf *out, struct weir_error *err)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rb");
	if (file == NULL)
		return weir_fail_errno(err, errno, weir_str_from(path), "open the file");
	size_t got;
	do {
		weir_buf_reserve(out, 64 << 10);
		got = fread(out->data + out->size, 1, 64 << 10, file);
		out->size += got;
	} while (got > 0 && out->size <= EVENT_BYTES);
	int rc = ferror(file) ? weir_fail_errno(err, errno, weir_str_from(path), "read the file") : 0;
	if (rc == 0 && out->size > EVENT_BYTES)
		rc = weir_fail(
			err, WEIR_E_LIMIT, "'%.100s' is larger than an event may be (%zu bytes)", path, EVENT_BYTES);
	if (!standard)
		fclose(file);
	return rc;
}

int cmd_consent_explain(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf event = WEIR_BUF_INIT;
	const char *path = cli_option(args, "--event"), *purpose = cli_option(args, "--purpose");
	if (path == NULL || purpose == NULL)
		return cli_wrong_use(args, "--event and --purpose are needed");
	if (read_file(path, &event, &err) < 0) {
		weir_buf_done(&event);
		return cli_fail(&err);
	}
	struct cli_request request = {
		.method = "POST",
		.target = target_of(args, "/api/consent/explain", NULL, NULL, "purpose", purpose),
		.content_type = "application/json",
		.body = weir_buf_str(&event),
	};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	weir_buf_done(&event);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer);
	bool permitted = json_is_true(json_object_get(object, "permitted"));
	json_decref(object);
	print_pretty(&answer);
	cli_answer_done(&answer);
	return permitted ? CLI_DONE : CLI_NOT_SO;
}
