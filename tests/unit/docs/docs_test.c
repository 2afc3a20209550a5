/*
 * The pages say what is there: each `path` in backticks that begins with a folder of this repository exists, and each
 * `path:name` names something that stands in that file.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"

#define PAGE_BYTES ((size_t)4 << 20)

static unsigned hops, paths;

static char *read_text(const char *path)
{
	struct weir_error err = WEIR_ERROR_INIT;
	char *data = NULL;
	size_t size;
	if (weir_os_read_all(weir_os_real(), path, PAGE_BYTES, &data, &size, &err) != 0)
		return NULL;
	return data;
}

/* A definition: name as a word with a parenthesis behind it, in a line that begins in the first column. */
static bool defines_function(const char *text, const char *name)
{
	size_t size = strlen(name);
	for (const char *at = text; (at = strstr(at, name)) != NULL; at += size) {
		const char *line = at;
		while (line > text && line[-1] != '\n')
			line--;
		if (at > line && (at[-1] == ' ' || at[-1] == '*') && at[size] == '(' && isalpha((unsigned char)*line))
			return true;
	}
	return false;
}

/* NULL, or what is wrong with one reference. */
static const char *wrong_with(char *reference)
{
	char *colon = strchr(reference, ':');
	if (colon != NULL)
		*colon = '\0';
	if (access(reference, F_OK) != 0)
		return "there is no such file";
	paths++;
	if (colon == NULL)
		return NULL;
	char *text = read_text(reference);
	bool found = text != NULL && defines_function(text, colon + 1);
	free(text);
	hops++;
	return found ? NULL : "the file defines no such function";
}

static bool is_reference(const char *text, size_t size)
{
	static const char *const folders[] = {"src/", "tests/", "docs/", "lakes/", "cmake/", "tools/", "bench/",
		"web/src/", "deploy/", "share/", "third_party/duckdb/p"};
	if (memmem(text, size, "NAME", 4) != NULL)
		return false; /* a pattern */
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && strchr("/_.-:", text[i]) == NULL)
			return false;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
		if (size > strlen(folders[i]) && strncmp(text, folders[i], strlen(folders[i])) == 0)
			return true;
	return false;
}

static unsigned check_page(const char *page)
{
	char *text = read_text(page);
	unsigned wrong = 0;
	assert_non_null(text);
	for (char *at = text; (at = strchr(at, '`')) != NULL; at++) {
		char *end = strchr(at + 1, '`');
		if (end == NULL)
			break;
		char reference[512];
		size_t size = (size_t)(end - at - 1);
		if (size < sizeof reference && is_reference(at + 1, size)) {
			memcpy(reference, at + 1, size);
			reference[size] = '\0';
			const char *problem = wrong_with(reference);
			if (problem != NULL)
				print_error("%s: `%.*s`: %s\n", page, (int)size, at + 1, problem);
			wrong += problem != NULL;
		}
		at = end;
	}
	free(text);
	return wrong;
}

static void test_pages_name_what_is_there(void **state)
{
	static const char *const patterns[] = {"*.md", "docs/*.md", "docs/adr/*.md", "docs/reference/*.md"};
	unsigned wrong = 0;
	glob_t found = {0};
	(void)state;
	for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
		glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++)
		wrong += check_page(found.gl_pathv[i]);
	globfree(&found);
	assert_true(hops >= 20 && paths >= 40);
	assert_int_equal(wrong, 0);
}

static void test_a_wrong_reference_is_seen(void **state)
{
	char good[] = "src/base/str.c:weir_str_to_i64", no_file[] = "src/base/nothing.c",
	     no_function[] = "src/base/str.c:weir_str_to";
	(void)state;
	assert_null(wrong_with(good));
	assert_non_null(wrong_with(no_file));
	assert_non_null(wrong_with(no_function));
	assert_true(is_reference("src/base/str.c:x", 16));
	assert_false(is_reference("src/*/x.c", 9));
	assert_false(is_reference("./dev test", 10));
	assert_false(defines_function("int y(void)\n{\n\treturn x(1);\n}\n", "x"));
	assert_true(defines_function("static int *x(void)\n", "x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_wrong_reference_is_seen),
		cmocka_unit_test(test_pages_name_what_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
