/* Command lines: what is taken, what is refused, and with which exit code. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static int run_nothing(const struct cli_args *args)
{
	(void)args;
	return 0;
}

static const struct cli_command commands[] = {
	{"serve", "LAKE", 1, 1, "Runs.",
		{{"--listen", CLI_VALUE, "HOST:PORT", "where", "WEIR_TEST_LISTEN"},
			{"--insecure", CLI_FLAG, NULL, "without TLS", NULL}},
		run_nothing},
	{"ingest", "LAKE FILE...", 2, 100, "Sends.",
		{{"--set", CLI_LIST, "COLUMN=VALUE", "what lacks", NULL}, {"--rate", CLI_VALUE, "N", "a second", NULL}},
		run_nothing},
	{"consent put", "LAKE FILE", 2, 2, "Posts.", {{0}}, run_nothing},
	{"consent get", "LAKE SUBJECT", 2, 2, "Shows.", {{0}}, run_nothing},
	{0},
};

struct parsed {
	struct cli_args args;
	bool run;
	int code;
	char out[4096], err[4096];
};

/* The words of a line; "_" stands for an empty one. */
static struct parsed parse(const char *line)
{
	struct parsed parsed = {0};
	const char *texts[32];
	static char words[1024];
	int count = 0;
	snprintf(words, sizeof words, "%s", line);
	char *rest = NULL;
	for (char *word = strtok_r(words, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
		texts[count++] = strcmp(word, "_") == 0 ? "" : word;
	FILE *out = fmemopen(parsed.out, sizeof parsed.out - 1, "w"),
	     *err = fmemopen(parsed.err, sizeof parsed.err - 1, "w");
	parsed.run = cli_parse(count, texts, commands, &parsed.args, out, err, &parsed.code);
	fclose(out);
	fclose(err);
	return parsed;
}

static const struct {
	const char *line;
	bool run;
	int code;
	const char *out, *err; /* in what is printed */
} cases[] = {
	{"serve lake", true, 0, "", ""},
	{"serve lake --listen 1:2", true, 0, "", ""},
	{"serve --listen=1:2 lake", true, 0, "", ""},
	{"serve -- --lake", true, 0, "", ""},
	{"ingest lake -", true, 0, "", ""},
	{"consent put lake f", true, 0, "", ""},
	{"", false, 2, "", "weir serve"},
	{"--help", false, 0, "weir consent put", ""},
	{"--version", false, 0, "weir 0", ""},
	{"serve --help", false, 0, "--listen HOST:PORT", ""},
	{"consent put --help", false, 0, "Posts.", ""},
	{"consent", false, 2, "", "weir consent get"},
	{"consent forget", false, 2, "", "weir consent get"},
	{"serv lake", false, 2, "", "did you mean `weir serve`"},
	{"zzzzzzzz", false, 2, "", "no command"},
	{"serve", false, 2, "", "something is missing"},
	{"serve a b", false, 2, "", "too many"},
	{"serve a --nothing", false, 2, "", "no option '--nothing'"},
	{"serve a --listen", false, 2, "", "needs a value"},
	{"serve a --insecure=1", false, 2, "", "takes no value"},
	{"serve a --set x=y", false, 2, "", "no option '--set'"},
	{"serve a --log-format xml", false, 2, "", "text or json"},
	{"serve a --log-level loud", false, 2, "", "debug"},
	{"serve a --log-format json --log-level debug --data d", true, 0, "", ""},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct parsed parsed = parse(cases[i].line);
		if (parsed.run != cases[i].run || (!parsed.run && parsed.code != cases[i].code))
			print_error("weir %s\n%s%s", cases[i].line, parsed.out, parsed.err);
		assert_int_equal(parsed.run, cases[i].run);
		if (!parsed.run)
			assert_int_equal(parsed.code, cases[i].code);
		assert_non_null(strstr(parsed.out, cases[i].out));
		assert_non_null(strstr(parsed.err, cases[i].err));
		cli_args_done(&parsed.args);
	}
}

static void test_values(void **state)
{
	(void)state;
	struct parsed parsed = parse("ingest --set a=1 lake --set b=2 file1 file2 --set c= --rate 2.5");
	assert_true(parsed.run);
	assert_int_equal(parsed.args.word_count, 3);
	assert_string_equal(parsed.args.words[2], "file2");
	assert_string_equal(cli_option_at(&parsed.args, "--set", 0), "a=1");
	assert_string_equal(cli_option_at(&parsed.args, "--set", 2), "c=");
	assert_null(cli_option_at(&parsed.args, "--set", 3));
	double rate = 1;
	assert_true(cli_number(&parsed.args, "--rate", 0, 10, &rate));
	assert_true(rate > 2.4 && rate < 2.6);
	assert_false(cli_number(&parsed.args, "--rate", 3, 10, &rate));
	cli_args_done(&parsed.args);
	parsed = parse("ingest lake file --rate 5x");
	assert_false(cli_number(&parsed.args, "--rate", 0, 10, &rate));
	cli_args_done(&parsed.args);
}

/* A flag over the environment over nothing; the last flag wins. */
static void test_environment(void **state)
{
	(void)state;
	unsetenv("WEIR_TEST_LISTEN");
	struct parsed parsed = parse("serve lake");
	assert_null(cli_option(&parsed.args, "--listen"));
	assert_false(cli_flag(&parsed.args, "--insecure"));
	setenv("WEIR_TEST_LISTEN", "from:1", 1);
	assert_string_equal(cli_option(&parsed.args, "--listen"), "from:1");
	cli_args_done(&parsed.args);
	parsed = parse("serve lake --listen a:1 --listen b:2 --insecure");
	assert_string_equal(cli_option(&parsed.args, "--listen"), "b:2");
	assert_true(cli_flag(&parsed.args, "--insecure"));
	cli_args_done(&parsed.args);
	unsetenv("WEIR_TEST_LISTEN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
