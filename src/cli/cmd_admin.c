/* weir token create, list, revoke; weir dlq list, show, replay. */
#include "cli/cli.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const struct cli_answer *answer)
{
	return json_loadb(answer->body.data != NULL ? answer->body.data : "", answer->body.size, 0, NULL);
}

static void print_body(const struct cli_answer *answer)
{
	fwrite(answer->body.data, 1, answer->body.size, stdout);
	fputc('\n', stdout);
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text != NULL ? text : "";
}

static const char *path_with(const struct cli_args *args, const char *path, const char *part)
{
	struct weir_buf target = WEIR_BUF_INIT;
	weir_buf_puts(&target, path);
	cli_encode(&target, weir_str_from(part));
	const char *text = weir_arena_cstr(args->arena, weir_buf_str(&target));
	weir_buf_done(&target);
	return text;
}

/* ---- tokens ---- */

int cmd_token_create(const struct cli_args *args)
{
	const char *role = cli_option(args, "--role"), *consumer = cli_option(args, "--consumer"), *purpose;
	struct weir_buf body = WEIR_BUF_INIT;
	if (role == NULL)
		return cli_wrong_use(args, "--role is needed");
	struct weir_json json = weir_json_to(&body);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "role", role);
	if (consumer != NULL)
		weir_json_key_cstring(&json, "consumer", consumer);
	weir_json_key(&json, "purposes");
	weir_json_array(&json);
	for (uint32_t i = 0; (purpose = cli_option_at(args, "--purpose", i)) != NULL; i++)
		weir_json_cstring(&json, purpose);
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	struct cli_request request = {.method = "POST",
		.target = "/api/admin/tokens",
		.content_type = "application/json",
		.body = weir_buf_str(&body)};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	weir_buf_done(&body);
	if (code != CLI_DONE)
		return code;
	json_t *token = parse(&answer);
	if (cli_flag(args, "--json")) {
		print_body(&answer);
	} else {
		/* The secret alone on standard output, so that a script can take it. */
		fprintf(stderr, "weir: token %s of role %s; this secret is shown only now:\n", text_of(token, "id"),
			text_of(token, "role"));
		printf("%s\n", text_of(token, "token"));
	}
	json_decref(token);
	cli_answer_done(&answer);
	return CLI_DONE;
}

static void join(const json_t *array, struct weir_buf *out)
{
	const json_t *item;
	size_t index;
	json_array_foreach(array, index, item) weir_buf_printf(
		out, "%s%s", index > 0 ? " " : "", json_string_value(item) != NULL ? json_string_value(item) : "");
}

int cmd_token_list(const struct cli_args *args)
{
	static const char *const titles[] = {"id", "role", "consumer", "purposes", "created", "revoked"};
	struct cli_request request = {.method = "GET", .target = "/api/admin/tokens"};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = parse(&answer), *token;
	size_t index;
	struct cli_table *table = cli_table_new();
	for (unsigned i = 0; i < 6; i++)
		cli_table_cell(table, weir_str_from(titles[i]));
	cli_table_end_row(table);
	json_array_foreach(json_object_get(object, "tokens"), index, token)
	{
		struct weir_buf purposes = WEIR_BUF_INIT;
		join(json_object_get(token, "purposes"), &purposes);
		cli_table_cell(table, weir_str_from(text_of(token, "id")));
		cli_table_cell(table, weir_str_from(text_of(token, "role")));
		cli_table_cell(table, weir_str_from(text_of(token, "consumer")));
		cli_table_cell(table, weir_buf_str(&purposes));
		cli_table_cell(table, weir_str_from(text_of(token, "created_at")));
		cli_table_cell(table, weir_str_from(text_of(token, "revoked_at")));
		cli_table_end_row(table);
		weir_buf_done(&purposes);
	}
	if (cli_flag(args, "--json"))
		print_body(&answer);
	else
		cli_table_print(table, stdout);
	cli_table_free(table);
	json_decref(object);
	cli_answer_done(&answer);
	return CLI_DONE;
}

int cmd_token_revoke(const struct cli_args *args)
{
	struct cli_request request = {
		.method = "DELETE", .target = path_with(args, "/api/admin/tokens/", args->words[1])};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	printf("%s is revoked\n", args->words[1]);
	cli_answer_done(&answer);
	return CLI_DONE;
}

/* ---- dead letters ---- */

int cmd_dlq_list(const struct cli_args *args)
{
	static const char *const members[] = {
		"trace_id", "failed_at", "channel", "error_type", "field", "message", "source_file", "replayed_at"};
	double limit = 100;
	char target[64];
	if (!cli_number(args, "--limit", 1, 10000, &limit))
		return CLI_WRONG_USE;
	snprintf(target, sizeof target, "/api/admin/dead-letters?limit=%u", (unsigned)limit);
	struct cli_request request = {.method = "GET", .target = target};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = parse(&answer), *letter;
	size_t index;
	struct cli_table *table = cli_table_new();
	for (unsigned i = 0; i < 8; i++)
		cli_table_cell(table, weir_str_from(members[i]));
	cli_table_end_row(table);
	json_array_foreach(json_object_get(object, "rows"), index, letter)
	{
		for (unsigned i = 0; i < 8; i++)
			cli_table_cell(table, weir_str_from(text_of(letter, members[i])));
		cli_table_end_row(table);
	}
	if (cli_flag(args, "--json"))
		print_body(&answer);
	else
		cli_table_print(table, stdout);
	cli_table_free(table);
	json_decref(object);
	cli_answer_done(&answer);
	return CLI_DONE;
}

static int base64_digit(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;
	return at != NULL ? (int)(at - alphabet) : -1;
}

/* The payload comes as base64, for it may be any bytes. */
static void print_payload(const char *text)
{
	unsigned word = 0, bits = 0;
	printf("payload:\n");
	for (; base64_digit(*text) >= 0; text++) {
		word = word << 6 | (unsigned)base64_digit(*text);
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		unsigned char byte = (unsigned char)(word >> bits);
		fputc(byte < 0x20 && byte != '\n' && byte != '\t' ? '.' : byte, stdout);
	}
	fputc('\n', stdout);
}

int cmd_dlq_show(const struct cli_args *args)
{
	struct cli_request request = {
		.method = "GET", .target = path_with(args, "/api/admin/dead-letters/", args->words[1])};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = parse(&answer), *value;
	json_t *letter = json_array_get(json_object_get(object, "rows"), 0);
	const char *key;
	if (letter == NULL) {
		fprintf(stderr, "weir: there is no dead letter of that trace_id; `weir dlq list` names them\n");
		code = CLI_FAILED;
	}
	json_object_foreach(letter, key, value)
	{
		if (strcmp(key, "payload") == 0 || json_is_null(value))
			continue;
		char *text = json_is_string(value) ? strdup(json_string_value(value))
						   : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		printf("%s: %s\n", key, text != NULL ? text : "");
		free(text);
	}
	if (json_is_string(json_object_get(letter, "payload")))
		print_payload(text_of(letter, "payload"));
	json_decref(object);
	cli_answer_done(&answer);
	return code;
}

int cmd_dlq_replay(const struct cli_args *args)
{
	struct weir_buf body = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&body);
	weir_json_object(&json);
	weir_json_key(&json, "ids");
	weir_json_array(&json);
	for (uint32_t i = 1; i < args->word_count; i++)
		weir_json_cstring(&json, args->words[i]);
	weir_json_array_end(&json);
	weir_json_object_end(&json);
	struct cli_request request = {.method = "POST",
		.target = "/api/admin/dead-letters/replay",
		.content_type = "application/json",
		.body = weir_buf_str(&body)};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	weir_buf_done(&body);
	if (code != CLI_DONE)
		return code;
	json_t *object = parse(&answer);
	long long accepted = json_integer_value(json_object_get(object, "accepted"));
	long long rejected = json_integer_value(json_object_get(object, "rejected"));
	printf("%lld accepted, %lld refused again\n", accepted, rejected);
	json_decref(object);
	cli_answer_done(&answer);
	return rejected > 0 ? CLI_NOT_SO : CLI_DONE;
}
