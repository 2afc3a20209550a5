/* The table of commands is whole, and docs/reference/cli.md names each command and option of it, and no others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cli/cli.h"

static char *page;

static int set_up(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	size_t size;
	(void)state;
	return weir_os_read_all(weir_os_real(), "docs/reference/cli.md", 1 << 20, &page, &size, &err);
}

static int tear_down(void **state)
{
	(void)state;
	free(page);
	return 0;
}

/* The part of the page below "## weir NAME". */
static char *section(const char *name)
{
	char heading[64];
	snprintf(heading, sizeof heading, "\n## weir %s\n", name);
	const char *at = strstr(page, heading);
	if (at == NULL)
		return NULL;
	at += strlen(heading);
	const char *end = strstr(at, "\n## ");
	return strndup(at, end != NULL ? (size_t)(end - at) : strlen(at));
}

static void test_page(void **state)
{
	(void)state;
	unsigned commands = 0, sections = 0;
	for (const struct cli_command *command = cli_commands(); command->name != NULL; command++, commands++) {
		char *text = section(command->name);
		if (text == NULL)
			print_error("docs/reference/cli.md has no section for weir %s\n", command->name);
		assert_non_null(text);
		assert_non_null(strstr(text, command->arguments));
		unsigned options = 0, shown = 0;
		for (unsigned i = 0; i < CLI_OPTIONS && command->options[i].name != NULL; i++, options++) {
			char row[64];
			snprintf(row, sizeof row, "| `%s", command->options[i].name);
			if (strstr(text, row) == NULL)
				print_error("docs/reference/cli.md: weir %s lacks %s\n", command->name,
					command->options[i].name);
			assert_non_null(strstr(text, row));
		}
		for (const char *at = strstr(text, "| `--"); at != NULL; at = strstr(at + 1, "| `--"))
			shown++;
		assert_int_equal(shown, options);
		free(text);
	}
	for (const char *at = strstr(page, "\n## weir "); at != NULL; at = strstr(at + 1, "\n## weir "))
		sections++;
	assert_int_equal(sections, commands);
}

static void test_table(void **state)
{
	(void)state;
	for (const struct cli_command *command = cli_commands(); command->name != NULL; command++) {
		assert_non_null(command->run);
		assert_true(command->help != NULL && command->least <= command->most);
		/* All but the catalog, which needs none, work on a lake or a file. */
		assert_true(command->least > 0 || strcmp(command->name, "catalog") == 0);
		for (unsigned i = 0; i < CLI_OPTIONS && command->options[i].name != NULL; i++) {
			const struct cli_option *option = &command->options[i];
			assert_true(option->help != NULL && (option->kind == CLI_FLAG) == (option->value == NULL));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_page),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
