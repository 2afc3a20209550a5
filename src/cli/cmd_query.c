/* weir sql, tables, snapshots, files, check. */
#include "cli/iceberg_place.h"

#include <stdlib.h>
#include <string.h>

/* ---- sql ---- */

int cmd_sql(const struct cli_args *args)
{
	static const char *const formats[] = {"table", "json", "ndjson", "csv"};
	static const char *const types[] = {"text/csv", "application/json", "application/x-ndjson", "text/csv"};
	const char *format = cli_option(args, "--format"), *as = cli_option(args, "--as");
	unsigned index = 0;
	while (format != NULL && index < 4 && strcmp(format, formats[index]) != 0)
		index++;
	if (index == 4)
		return cli_wrong_use(args, "--format is table, json, ndjson or csv, not '%s'", format);
	if (as != NULL && strcmp(as, "auditor") != 0)
		return cli_wrong_use(args, "--as takes auditor, not '%s'", as);
	struct cli_request request = {
		.method = "POST",
		.target = as != NULL ? "/api/admin/sql?as=auditor" : "/api/admin/sql",
		.content_type = "application/sql",
		.accept = types[index],
		.body = weir_str_from(args->words[1]),
		.stream_to = index == 0 ? NULL : stdout,
	};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	if (index == 0) {
		struct cli_table *table = cli_table_new();
		cli_table_csv(table, weir_buf_str(&answer.body));
		cli_table_print(table, stdout);
		cli_table_free(table);
	} else if (index == 1) {
		fputc('\n', stdout);
	}
	cli_answer_done(&answer);
	return CLI_DONE;
}

/* ---- lists ---- */

struct list_column {
	const char *title, *member;
	enum { LIST_TEXT, LIST_COUNT, LIST_BYTES } kind;
};

static void list_cell(struct cli_table *table, const json_t *object, const struct list_column *column)
{
	char text[64] = "";
	const json_t *value = json_object_get(object, column->member);
	if (json_is_string(value)) {
		cli_table_cell(table, weir_str_from(json_string_value(value)));
		return;
	}
	if (json_is_integer(value) && column->kind == LIST_BYTES)
		cli_bytes_text((uint64_t)json_integer_value(value), text);
	else if (json_is_integer(value) && column->kind == LIST_COUNT)
		cli_count_text((uint64_t)json_integer_value(value), text);
	else if (json_is_integer(value))
		snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		snprintf(text, sizeof text, "%s", json_is_true(value) ? "yes" : "");
	cli_table_cell(table, weir_str_from(text));
}

/* The objects of an array as a table. */
static void print_list(const json_t *array, const struct list_column *columns, unsigned count)
{
	struct cli_table *table = cli_table_new();
	const json_t *object;
	size_t index;
	for (unsigned i = 0; i < count; i++)
		cli_table_cell(table, weir_str_from(columns[i].title));
	cli_table_end_row(table);
	json_array_foreach(array, index, object)
	{
		for (unsigned i = 0; i < count; i++)
			list_cell(table, object, &columns[i]);
		cli_table_end_row(table);
	}
	cli_table_print(table, stdout);
	cli_table_free(table);
}

static int list_of(const struct cli_args *args, const char *target, const char *member,
	const struct list_column *columns, unsigned count)
{
	struct cli_request request = {.method = "GET", .target = target};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	if (cli_flag(args, "--json")) {
		cli_answer_print(&answer);
	} else {
		json_t *object = cli_answer_json(&answer);
		print_list(json_object_get(object, member), columns, count);
		json_decref(object);
	}
	cli_answer_done(&answer);
	return CLI_DONE;
}

/* Keeps only the table that was asked for. */
static bool keep_table(json_t *object, const char *wanted)
{
	json_t *tables = json_object_get(object, "tables");
	for (size_t i = json_array_size(tables); i > 0; i--) {
		const json_t *table = json_array_get(tables, i - 1);
		const char *ns = json_string_value(json_object_get(table, "namespace"));
		const char *name = json_string_value(json_object_get(table, "name"));
		size_t size = ns != NULL ? strlen(ns) : 0;
		if (ns == NULL || name == NULL || strncmp(wanted, ns, size) != 0 || wanted[size] != '.' ||
			strcmp(wanted + size + 1, name) != 0)
			json_array_remove(tables, i - 1);
	}
	return json_array_size(tables) > 0;
}

int cmd_tables(const struct cli_args *args)
{
	static const struct list_column columns[] = {{"namespace", "namespace", LIST_TEXT},
		{"table", "name", LIST_TEXT}, {"rows", "rows", LIST_COUNT}, {"files", "files", LIST_COUNT},
		{"size", "bytes", LIST_BYTES}, {"snapshots", "snapshots", LIST_COUNT},
		{"committed", "committed_at", LIST_TEXT}};
	if (cli_option(args, "--to") == NULL && cli_is_catalog(args->words[0]))
		return cli_catalog_tables(args);
	if (args->word_count == 1)
		return list_of(args, "/api/admin/tables", "tables", columns, sizeof columns / sizeof columns[0]);
	struct cli_request request = {.method = "GET", .target = "/api/admin/tables"};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer);
	if (!keep_table(object, args->words[1])) {
		fprintf(stderr, "weir: the lake has no table '%s'; `weir tables` lists them\n", args->words[1]);
		code = CLI_FAILED;
	} else if (cli_flag(args, "--json")) {
		json_dumpf(object, stdout, JSON_COMPACT);
		fputc('\n', stdout);
	} else {
		print_list(json_object_get(object, "tables"), columns, sizeof columns / sizeof columns[0]);
	}
	json_decref(object);
	cli_answer_done(&answer);
	return code;
}

static const char *table_target(const struct cli_args *args, const char *what)
{
	struct weir_buf target = WEIR_BUF_INIT;
	weir_buf_puts(&target, "/api/admin/tables/");
	cli_encode(&target, weir_str_from(args->words[1]));
	weir_buf_printf(&target, "/%s", what);
	const char *text = weir_arena_cstr(args->arena, weir_buf_str(&target));
	weir_buf_done(&target);
	return text;
}

int cmd_snapshots(const struct cli_args *args)
{
	static const struct list_column columns[] = {{"snapshot", "snapshot_id", LIST_TEXT},
		{"parent", "parent_id", LIST_TEXT}, {"sequence", "sequence_number", LIST_COUNT},
		{"committed", "committed_at", LIST_TEXT}, {"current", "current", LIST_TEXT}};
	if (cli_option(args, "--to") == NULL && cli_is_catalog(args->words[0]))
		return cli_catalog_metadata_table(args, ICE_TABLE_SNAPSHOTS);
	return list_of(args, table_target(args, "snapshots"), "snapshots", columns, sizeof columns / sizeof columns[0]);
}

int cmd_files(const struct cli_args *args)
{
	static const struct list_column columns[] = {{"partition", "partition", LIST_TEXT},
		{"rows", "rows", LIST_COUNT}, {"size", "bytes", LIST_BYTES}, {"spec", "spec_id", LIST_COUNT},
		{"path", "path", LIST_TEXT}};
	if (cli_option(args, "--to") == NULL && cli_is_catalog(args->words[0]))
		return cli_catalog_metadata_table(args, ICE_TABLE_FILES);
	return list_of(args, table_target(args, "files"), "files", columns, sizeof columns / sizeof columns[0]);
}

/* ---- check ---- */

/* What was proved, one a line, and the break where there is one. */
static void print_check(const json_t *object)
{
	const json_t *proved;
	size_t index;
	json_array_foreach(json_object_get(object, "proved"), index, proved)
	{
		const char *name = json_string_value(json_object_get(proved, "check"));
		const char *what = json_string_value(json_object_get(proved, "what"));
		printf("proved %-12s %s\n", name != NULL ? name : "", what != NULL ? what : "");
	}
	printf("open re-index tasks: %lld\n", (long long)json_integer_value(json_object_get(object, "open_tasks")));
	const json_t *broken = json_object_get(object, "break");
	if (broken != NULL && !json_is_null(broken)) {
		printf("break: ");
		json_dumpf(broken, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		printf("\n");
	}
}

int cmd_check(const struct cli_args *args)
{
	struct cli_request request = {.method = "POST", .target = "/api/admin/check"};
	struct cli_answer answer;
	int code = cli_ask_once(args, &request, &answer);
	if (code != CLI_DONE)
		return code;
	json_t *object = cli_answer_json(&answer);
	bool sound = json_is_true(json_object_get(object, "sound"));
	if (cli_flag(args, "--json")) {
		cli_answer_print(&answer);
	} else {
		print_check(object);
		printf("%s\n", sound ? "sound" : "NOT SOUND");
	}
	json_decref(object);
	cli_answer_done(&answer);
	return sound ? CLI_DONE : CLI_NOT_SO;
}
