/* weir ingest: files into the lake, with a progress bar on a terminal and plain lines elsewhere. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_MS    100
#define ERRORS_SHOWN 10

struct totals {
	uint64_t accepted, duplicates, rejected;
};

struct progress {
	const char *name;
	uint64_t total;
	bool terminal;
	unsigned width;
	int64_t drawn_us;
};

static struct progress progress_start(const char *name, uint64_t total)
{
	struct winsize size = {0};
	struct progress progress = {.name = name, .total = total, .terminal = isatty(STDERR_FILENO) == 1, .width = 80};
	if (progress.terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		progress.width = size.ws_col;
	return progress;
}

static void progress_draw(struct progress *progress, uint64_t done, uint64_t events, bool last)
{
	struct weir_clock clock = weir_clock_system();
	int64_t now = weir_steady_us(&clock);
	if (!progress->terminal || (!last && now - progress->drawn_us < REDRAW_MS * WEIR_US_PER_MS))
		return;
	struct weir_buf line = WEIR_BUF_INIT;
	progress->drawn_us = now;
	cli_progress_text(progress->name, done, progress->total, events, progress->width, &line);
	fprintf(stderr, "\r%.*s\033[K%s", (int)line.size, line.data, last ? "\r\033[K" : "");
	fflush(stderr);
	weir_buf_done(&line);
}

static void show_error(uint64_t index, const char *field, const char *problem, const char *remedy)
{
	fprintf(stderr, "  event %llu: %s%s%s%s%s\n", (unsigned long long)index, field, field[0] != '\0' ? " " : "",
		problem, remedy[0] != '\0' ? "; " : "", remedy);
}

static void show_file(const char *path, const struct totals *totals)
{
	char accepted[32], duplicates[32], rejected[32];
	cli_count_text(totals->accepted, accepted);
	cli_count_text(totals->duplicates, duplicates);
	cli_count_text(totals->rejected, rejected);
	printf("%s: %s accepted, %s duplicates, %s rejected%s\n", path, accepted, duplicates, rejected,
		totals->accepted + totals->duplicates + totals->rejected == 0 ? "; the file has no events in it" : "");
}

/* ---- with the engine in this process ---- */

static int local_progress(void *context, const struct ingest_progress *now)
{
	struct progress *progress = context;
	progress->total = now->bytes_total;
	progress_draw(progress, now->bytes_done, now->accepted + now->rejected, false);
	return 0;
}

static int ingest_here(const struct cli_args *args, struct cli_api *api, const char *path, uint32_t stream,
	struct totals *ret_totals, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct ingest_result result = {0};
	struct progress progress = progress_start(path, 0);
	uint32_t count = 0;
	struct ingest_kv *set = weir_arena_calloc(arena, args->option_count + 1, sizeof *set);
	const char *text;
	for (uint32_t i = 0; (text = cli_option_at(args, "--set", i)) != NULL; i++) {
		size_t size = strcspn(text, "=");
		set[count++] = (struct ingest_kv){{text, size}, weir_str_from(text + size + 1)};
	}
	int rc = ingest_file(engine_ingest(cli_api_engine(api)), stream, path, set, count, local_progress, &progress,
		arena, &result, err);
	progress_draw(&progress, progress.total, 0, true);
	if (rc == 0) {
		*ret_totals = (struct totals){result.accepted, result.duplicates, result.rejected};
		for (uint32_t i = 0; i < result.error_count && i < ERRORS_SHOWN; i++)
			show_error(result.errors[i].index, weir_arena_cstr(arena, result.errors[i].field),
				result.errors[i].problem != NULL ? result.errors[i].problem : "",
				result.errors[i].remedy != NULL ? result.errors[i].remedy : "");
	}
	weir_arena_free(arena);
	return rc;
}

/* ---- through a server ---- */

static void remote_target(const struct cli_args *args, const char *path, struct weir_buf *out)
{
	const char *slash = strrchr(path, '/'), *stream = cli_option(args, "--stream"), *text;
	const char *name = strcmp(path, "-") == 0 ? "stdin.ndjson" : slash != NULL ? slash + 1 : path;
	weir_buf_puts(out, "/api/ingest/batch?filename=");
	cli_encode(out, weir_str_from(name));
	if (stream != NULL) {
		weir_buf_puts(out, "&stream=");
		cli_encode(out, weir_str_from(stream));
	}
	for (uint32_t i = 0; (text = cli_option_at(args, "--set", i)) != NULL; i++) {
		size_t size = strcspn(text, "=");
		weir_buf_putc(out, '&');
		cli_encode(out, (struct weir_str){text, size});
		weir_buf_putc(out, '=');
		cli_encode(out, weir_str_from(text + size + 1));
	}
}

static void remote_progress(void *context, uint64_t done)
{
	progress_draw(context, done, 0, false);
}

static bool remote_totals(const struct cli_answer *answer, struct totals *ret_totals)
{
	json_t *result = cli_answer_json(answer), *error;
	size_t index;
	json_t *accepted = json_object_get(result, "accepted");
	if (!json_is_integer(accepted)) {
		json_decref(result);
		return false;
	}
	ret_totals->accepted = (uint64_t)json_integer_value(accepted);
	ret_totals->duplicates = (uint64_t)json_integer_value(json_object_get(result, "duplicates"));
	ret_totals->rejected = (uint64_t)json_integer_value(json_object_get(result, "rejected"));
	json_array_foreach(json_object_get(result, "errors"), index, error)
	{
		if (index < ERRORS_SHOWN)
			show_error((uint64_t)json_integer_value(json_object_get(error, "index")),
				cli_member(error, "field"), cli_member(error, "problem"), cli_member(error, "remedy"));
	}
	json_decref(result);
	return true;
}

/* Returns an exit code; what was wrong has been said. */
static int ingest_there(const struct cli_args *args, struct cli_api *api, const char *path, struct totals *ret_totals)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf target = WEIR_BUF_INIT;
	struct stat info = {0};
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rb");
	if (file == NULL || (!standard && fstat(fileno(file), &info) != 0)) {
		weir_fail_errno(&err, errno, weir_str_from(path), "open the file");
		return cli_fail(&err);
	}
	struct progress progress = progress_start(path, (uint64_t)info.st_size);
	remote_target(args, path, &target);
	struct cli_request request = {
		.method = "POST",
		.target = weir_buf_cstr(&target),
		.file = file,
		.file_bytes = (uint64_t)info.st_size,
		.progress = remote_progress,
		.progress_context = &progress,
	};
	struct cli_answer answer;
	int rc = cli_call(api, &request, &answer, &err), code = CLI_DONE;
	progress_draw(&progress, progress.total, 0, true);
	if (rc < 0)
		code = cli_fail(&err);
	else if (!(answer.status == 200 || answer.status == 422) || !remote_totals(&answer, ret_totals))
		code = cli_problem(&answer);
	cli_answer_done(&answer);
	weir_buf_done(&target);
	if (!standard)
		fclose(file);
	return code;
}

/* ---- the command ---- */

static bool check_set(const struct cli_args *args)
{
	const char *text;
	for (uint32_t i = 0; (text = cli_option_at(args, "--set", i)) != NULL; i++) {
		if (strchr(text, '=') == NULL || text[0] == '=') {
			cli_wrong_use(args, "--set takes COLUMN=VALUE, not '%s'", text);
			return false;
		}
	}
	return true;
}

int cmd_ingest(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_api *api = NULL;
	uint32_t stream = 0;
	bool rejected = false;
	int code = CLI_DONE;
	if (!check_set(args))
		return CLI_WRONG_USE;
	if (cli_api_open(args, &api, &err) < 0)
		return cli_fail(&err);
	const char *name = cli_option(args, "--stream");
	if (cli_api_lake(api) != NULL && name != NULL) {
		stream = lake_find_stream(cli_api_lake(api), weir_str_from(name));
		if (stream == UINT32_MAX) {
			cli_api_close(api);
			return cli_wrong_use(args, "the lake has no stream '%s'", name);
		}
	}
	for (uint32_t i = 1; i < args->word_count && code == CLI_DONE; i++) {
		struct totals totals = {0};
		if (cli_api_engine(api) == NULL)
			code = ingest_there(args, api, args->words[i], &totals);
		else if (ingest_here(args, api, args->words[i], stream, &totals, &err) < 0)
			code = cli_fail(&err);
		if (code == CLI_DONE)
			show_file(args->words[i], &totals);
		rejected = rejected || totals.rejected > 0;
	}
	if (code == CLI_DONE && !(cli_flag(args, "--no-wait") && cli_api_engine(api) == NULL))
		code = cli_settle(api);
	cli_api_close(api);
	return code == CLI_DONE && rejected ? CLI_NOT_SO : code;
}
