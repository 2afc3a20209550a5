/* weir token create, list, revoke; weir dlq list, show, replay. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

static const char *path_with(const struct cli_args *args, const char *path, const char *part)
{
	struct weir_buf target = WEIR_BUF_INIT;
	weir_buf_puts(&target, path);
	cli_encode(&target, weir_str_from(part));
	const char *text = weir_arena_cstr(args->arena, weir_buf_str(&target));
	weir_buf_done(&target);
	return text;
}

/* Posts a document, which it frees. */
static int post(
	const struct cli_args *args, const char *target, struct weir_buf *take_body, struct cli_answer *ret_answer)
{
	struct cli_request request = {.method = "POST",
		.target = target,
		.content_type = "application/json",
		.body = weir_buf_str(take_body)};
	int code = cli_ask_once(args, &request, ret_answer);
	weir_buf_done(take_body);
	return code;
}

/* One cell: the member's text, the texts of an array with spaces between, or nothing. */
static void add_cell(struct cli_table *table, const json_t *value)
{
	struct weir_buf texts = WEIR_BUF_INIT;
	const json_t *item;
	size_t index;
	json_array_foreach(value, index, item) weir_buf_printf(
		&texts, "%s%s", index > 0 ? " " : "", json_string_value(item) != NULL ? json_string_value(item) : "");
	cli_table_cell(table, json_is_string(value) ? weir_str_from(json_string_value(value)) : weir_buf_str(&texts));
	weir_buf_done(&texts);
}

/* The objects of an array in the answer: a row each of the members named, or the answer as it is with --json. */
static int list(const struct cli_args *args, const char *target, const char *array, const char *const *titles,
	const char *const *members, unsigned count)
{
	struct cli_request request = {.method = "GET", .target = target};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer), *item;
	size_t index;
	struct cli_table *table = cli_table_new();
	for (unsigned i = 0; i < count; i++)
		cli_table_cell(table, weir_str_from(titles[i]));
	cli_table_end_row(table);
	json_array_foreach(json_object_get(object, array), index, item)
	{
		for (unsigned i = 0; i < count; i++)
			add_cell(table, json_object_get(item, members[i]));
		cli_table_end_row(table);
	}
	if (cli_flag(args, "--json"))
		cli_answer_print(&answer);
	else
		cli_table_print(table, stdout);
	cli_table_free(table);
	json_decref(object);
	cli_answer_done(&answer);
	return CLI_DONE;
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
	struct cli_answer answer;
	int code = post(args, "/api/admin/tokens", &body, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *token = cli_answer_json(&answer);
	if (cli_flag(args, "--json")) {
		cli_answer_print(&answer);
	} else {
		/* The secret alone on standard output, so that a script can take it. */
		fprintf(stderr, "weir: token %s of role %s; this secret is shown only now:\n", cli_member(token, "id"),
			cli_member(token, "role"));
		printf("%s\n", cli_member(token, "token"));
	}
	json_decref(token);
	cli_answer_done(&answer);
	return CLI_DONE;
}

int cmd_token_list(const struct cli_args *args)
{
	static const char *const titles[] = {"id", "role", "consumer", "purposes", "created", "revoked"};
	static const char *const members[] = {"id", "role", "consumer", "purposes", "created_at", "revoked_at"};
	return list(args, "/api/admin/tokens", "tokens", titles, members, 6);
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
	return list(args, target, "rows", members, members, 8);
}

/* The payload comes as base64, for it may be any bytes. */
static void print_payload(const char *text)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	weir_base64_read(&bytes, WEIR_BASE64, weir_str_from(text));
	printf("payload:\n");
	for (size_t i = 0; i < bytes.size; i++) {
		unsigned char byte = (unsigned char)bytes.data[i];
		fputc(byte < 0x20 && byte != '\n' && byte != '\t' ? '.' : byte, stdout);
	}
	fputc('\n', stdout);
	weir_buf_done(&bytes);
}

int cmd_dlq_show(const struct cli_args *args)
{
	struct cli_request request = {
		.method = "GET", .target = path_with(args, "/api/admin/dead-letters/", args->words[1])};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer), *value;
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
		print_payload(cli_member(letter, "payload"));
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
	struct cli_answer answer;
	int code = post(args, "/api/admin/dead-letters/replay", &body, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer);
	long long accepted = json_integer_value(json_object_get(object, "accepted"));
	long long rejected = json_integer_value(json_object_get(object, "rejected"));
	printf("%lld accepted, %lld refused again\n", accepted, rejected);
	json_decref(object);
	cli_answer_done(&answer);
	return rejected > 0 ? CLI_NOT_SO : CLI_DONE;
}
