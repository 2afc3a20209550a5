/* Command lines: `weir COMMAND [WORD] [--option [VALUE]]... ARGUMENT...`, checked against the tables of commands.c. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const struct cli_option common[] = {
	{"--data", CLI_VALUE, "DIR", "the lake's data (default ./weir-data/NAME)", "WEIR_DIR"},
	{"--log-format", CLI_VALUE, "text|json", "the log on stderr (default text)", "WEIR_LOG_FORMAT"},
	{"--log-level", CLI_VALUE, "LEVEL",
		"debug, info, warn or error (default info for serve and catalog, else warn)", "WEIR_LOG_LEVEL"},
	{"--help", CLI_FLAG, NULL, "this help", NULL},
};
#define COMMON (sizeof common / sizeof common[0])

static const struct cli_option *find_option(const struct cli_command *command, const char *name, size_t size)
{
	for (unsigned i = 0; i < CLI_OPTIONS && command->options[i].name != NULL; i++) {
		if (strlen(command->options[i].name) == size && memcmp(command->options[i].name, name, size) == 0)
			return &command->options[i];
	}
	for (unsigned i = 0; i < COMMON; i++) {
		if (strlen(common[i].name) == size && memcmp(common[i].name, name, size) == 0)
			return &common[i];
	}
	return NULL;
}

static void print_option(const struct cli_option *option, FILE *out)
{
	char left[64];
	snprintf(left, sizeof left, "%s%s%s", option->name, option->value != NULL ? " " : "",
		option->value != NULL ? option->value : "");
	fprintf(out, "  %-28s %s", left, option->help);
	if (option->environment != NULL)
		fprintf(out, " [%s]", option->environment);
	fputc('\n', out);
}

void cli_usage(const struct cli_command *command, FILE *out)
{
	fprintf(out, "weir %s %s\n\n%s\n\n", command->name, command->arguments, command->help);
	for (unsigned i = 0; i < CLI_OPTIONS && command->options[i].name != NULL; i++)
		print_option(&command->options[i], out);
	for (unsigned i = 0; i < COMMON; i++)
		print_option(&common[i], out);
}

static void print_overview(const struct cli_command *commands, FILE *out)
{
	fprintf(out, "weir %s: a data lakehouse in one program\n\n", WEIR_VERSION);
	for (; commands->name != NULL; commands++)
		fprintf(out, "  weir %-16s %s\n", commands->name, commands->arguments);
	fprintf(out, "\nLAKE is a folder with lake.yaml. `weir COMMAND --help` says more.\n");
}

/* How many of the words name the command: 0 where they do not. */
static int names(const struct cli_command *command, int count, const char *const *texts)
{
	const char *space = strchr(command->name, ' ');
	if (space == NULL)
		return strcmp(command->name, texts[0]) == 0 ? 1 : 0;
	size_t first = (size_t)(space - command->name);
	return count > 1 && strlen(texts[0]) == first && memcmp(command->name, texts[0], first) == 0 &&
			strcmp(space + 1, texts[1]) == 0
		? 2
		: 0;
}

/* The command that is spelled most alike, for a slip of the finger. */
static const char *nearest(const struct cli_command *commands, const char *text)
{
	const char *best = NULL;
	unsigned best_distance = 3;
	for (; commands->name != NULL; commands++) {
		struct weir_str word = {commands->name, strcspn(commands->name, " ")};
		unsigned distance = weir_str_distance(word, weir_str_from(text));
		if (distance < best_distance) {
			best = commands->name;
			best_distance = distance;
		}
	}
	return best;
}

static const struct cli_command *find_command(
	int count, const char *const *texts, const struct cli_command *commands, int *ret_words, FILE *err)
{
	bool group = false;
	for (const struct cli_command *command = commands; command->name != NULL; command++) {
		*ret_words = names(command, count, texts);
		if (*ret_words > 0)
			return command;
		size_t first = strcspn(command->name, " ");
		group = group ||
			(command->name[first] == ' ' && strlen(texts[0]) == first &&
				memcmp(command->name, texts[0], first) == 0);
	}
	if (group) {
		fprintf(err, "weir: `%s` needs one of:\n", texts[0]);
		for (const struct cli_command *command = commands; command->name != NULL; command++) {
			if (strncmp(command->name, texts[0], strlen(texts[0])) == 0 &&
				command->name[strlen(texts[0])] == ' ')
				fprintf(err, "  weir %s %s\n", command->name, command->arguments);
		}
		return NULL;
	}
	const char *near = nearest(commands, texts[0]);
	fprintf(err, "weir: there is no command '%s'", texts[0]);
	if (near != NULL)
		fprintf(err, "; did you mean `weir %s`?", near);
	fprintf(err, "\nweir: `weir --help` lists all\n");
	return NULL;
}

/* One option at texts[*at]; moves past it and its value. */
static bool take_option(struct cli_args *args, int count, const char *const *texts, int *at, FILE *err)
{
	const char *text = texts[*at];
	size_t size = strcspn(text, "=");
	const struct cli_option *option = find_option(args->command, text, size);
	if (option == NULL) {
		fprintf(err, "weir: `weir %s` has no option '%.*s'; see `weir %s --help`\n", args->command->name,
			(int)size, text, args->command->name);
		return false;
	}
	const char *value = "";
	if (option->kind == CLI_FLAG && text[size] == '=') {
		fprintf(err, "weir: %s takes no value\n", option->name);
		return false;
	}
	if (option->kind != CLI_FLAG) {
		if (text[size] == '=') {
			value = text + size + 1;
		} else if (*at + 1 < count) {
			value = texts[++*at];
		} else {
			fprintf(err, "weir: %s needs a value: %s %s\n", option->name, option->name, option->value);
			return false;
		}
	}
	args->names[args->option_count] = option->name;
	args->values[args->option_count++] = value;
	++*at;
	return true;
}

static bool set_up_log(struct cli_args *args, FILE *err)
{
	const char *format = cli_option(args, "--log-format"), *level = cli_option(args, "--log-level");
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	bool serves = strcmp(args->command->name, "serve") == 0 || strcmp(args->command->name, "catalog") == 0;
	args->log = (struct weir_log){.out = err, .least = serves ? WEIR_LOG_INFO : WEIR_LOG_WARN};
	if (format != NULL && strcmp(format, "json") == 0) {
		args->log.format = WEIR_LOG_JSON;
	} else if (format != NULL && strcmp(format, "text") != 0) {
		fprintf(err, "weir: --log-format is text or json, not '%s'\n", format);
		return false;
	}
	if (level == NULL)
		return true;
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(level, levels[i]) == 0) {
			args->log.least = (enum weir_log_level)i;
			return true;
		}
	}
	fprintf(err, "weir: --log-level is debug, info, warn or error, not '%s'\n", level);
	return false;
}

static bool fill(struct cli_args *args, int count, const char *const *texts, FILE *out, FILE *err, int *ret_exit)
{
	bool only_words = false;
	for (int at = 0; at < count;) {
		const char *text = texts[at];
		if (!only_words && strcmp(text, "--") == 0) {
			only_words = true;
			at++;
		} else if (!only_words && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
			cli_usage(args->command, out);
			*ret_exit = CLI_DONE;
			return false;
		} else if (!only_words && text[0] == '-' && text[1] != '\0') {
			if (!take_option(args, count, texts, &at, err))
				return false;
		} else {
			args->words[args->word_count++] = text;
			at++;
		}
	}
	if (args->word_count < args->command->least || args->word_count > args->command->most) {
		fprintf(err, "weir: %s: weir %s %s\n",
			args->word_count < args->command->least ? "something is missing" : "too many arguments",
			args->command->name, args->command->arguments);
		return false;
	}
	return set_up_log(args, err);
}

bool cli_parse(int count, const char *const *texts, const struct cli_command *commands, struct cli_args *ret_args,
	FILE *out, FILE *err, int *ret_exit)
{
	int words = 0;
	*ret_args = (struct cli_args){0};
	*ret_exit = CLI_WRONG_USE;
	if (count > 0 && (strcmp(texts[0], "--version") == 0 || strcmp(texts[0], "version") == 0)) {
		fprintf(out, "weir %s\n", WEIR_VERSION);
		*ret_exit = CLI_DONE;
		return false;
	}
	if (count == 0 || strcmp(texts[0], "--help") == 0 || strcmp(texts[0], "-h") == 0 ||
		strcmp(texts[0], "help") == 0) {
		print_overview(commands, count == 0 ? err : out);
		*ret_exit = count == 0 ? CLI_WRONG_USE : CLI_DONE;
		return false;
	}
	if (count > CLI_WORDS) {
		fprintf(err, "weir: more than %d arguments; use fewer at a time\n", CLI_WORDS);
		return false;
	}
	const struct cli_command *command = find_command(count, texts, commands, &words, err);
	if (command == NULL)
		return false;
	struct weir_arena *arena = weir_arena_new(0);
	size_t room = (size_t)count + 1;
	*ret_args = (struct cli_args){
		.command = command,
		.arena = arena,
		.words = weir_arena_calloc(arena, room, sizeof(char *)),
		.names = weir_arena_calloc(arena, room, sizeof(char *)),
		.values = weir_arena_calloc(arena, room, sizeof(char *)),
	};
	return fill(ret_args, count - words, texts + words, out, err, ret_exit);
}

void cli_args_done(struct cli_args *args)
{
	weir_arena_free(args->arena);
	*args = (struct cli_args){0};
}

const char *cli_option(const struct cli_args *args, const char *name)
{
	for (uint32_t i = args->option_count; i > 0; i--) {
		if (strcmp(args->names[i - 1], name) == 0)
			return args->values[i - 1];
	}
	const struct cli_option *option = find_option(args->command, name, strlen(name));
	const char *value = option != NULL && option->environment != NULL ? getenv(option->environment) : NULL;
	return value != NULL && value[0] != '\0' ? value : NULL;
}

bool cli_flag(const struct cli_args *args, const char *name)
{
	return cli_option(args, name) != NULL;
}

const char *cli_option_at(const struct cli_args *args, const char *name, uint32_t index)
{
	for (uint32_t i = 0; i < args->option_count; i++) {
		if (strcmp(args->names[i], name) == 0 && index-- == 0)
			return args->values[i];
	}
	return NULL;
}

bool cli_number(const struct cli_args *args, const char *name, double least, double most, double *ret_value)
{
	const char *text = cli_option(args, name);
	double value;
	if (text == NULL)
		return true;
	if (!weir_str_to_double(weir_str_from(text), &value) || value < least || value > most) {
		cli_wrong_use(args, "%s is a number from %g to %g, not '%s'", name, least, most, text);
		return false;
	}
	*ret_value = value;
	return true;
}
