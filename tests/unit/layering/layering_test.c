/*
 * What may include what. The table is USES in cmake/modules.cmake: a file of a module includes headers of that module
 * and of those it names; a module names only modules that stand before it; headers called *_int.h or internal.h stay
 * within their folder; a library behind an adapter is included by that adapter alone. src/cli stands last and may
 * include all. The words of one kind of lake stand in src/gen alone.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULES 64
#define USES    32

struct module {
	char name[32], dir[64], uses[USES][32];
	unsigned use_count;
};

static struct module modules[MODULES];
static unsigned module_count;
static unsigned offences, files_read, includes_read;
static char last_offence[512];

/* Libraries that one folder alone may see. An Avro block does not say how large it becomes: it is decompressed in
 * pieces, by zstd itself. */
static const struct {
	const char *header, *dir, *too;
} adapters[] = {
	{"duckdb.h", "sql", NULL},
	{"sqlite3.h", "control", NULL},
	{"libpq-fe.h", "control", NULL},
	{"microhttpd.h", "serve", NULL},
	{"libfyaml.h", "lake", NULL},
	{"expat.h", "format/device", "store"},
	{"curl/curl.h", "net", "cli"},
	{"zstd.h", "codec", "format/avro"},
	{"lz4.h", "codec", NULL},
	{"snappy-c.h", "codec", NULL},
	{"brotli/decode.h", "codec", NULL},
};

static void offend(const char *path, unsigned line, const char *header, const char *why)
{
	snprintf(last_offence, sizeof last_offence, "%s:%u has %s: %s", path, line, header, why);
	offences++;
}

static const struct module *module_of_dir(const char *dir)
{
	for (unsigned i = 0; i < module_count; i++)
		if (strcmp(modules[i].dir, dir) == 0)
			return &modules[i];
	return NULL;
}

static const struct module *module_of_name(const char *name)
{
	for (unsigned i = 0; i < module_count; i++)
		if (strcmp(modules[i].name, name) == 0)
			return &modules[i];
	return NULL;
}

/* weir_module(NAME [DIR dir] [USES a b] [LIBS ...]), which may go over several lines. */
static int read_table(void **state)
{
	(void)state;
	FILE *file = fopen("cmake/modules.cmake", "r");
	assert_non_null(file);
	static char text[65536];
	size_t size = fread(text, 1, sizeof text - 1, file);
	text[size] = '\0';
	fclose(file);
	for (char *at = text; (at = strstr(at, "\nweir_module(")) != NULL;) {
		at += strlen("\nweir_module(");
		char *end = strchr(at, ')'), *rest = NULL;
		assert_non_null(end);
		*end = '\0';
		assert_true(module_count < MODULES);
		struct module *module = &modules[module_count++];
		enum { DIR, USE, LIB } kind = LIB;
		snprintf(module->name, sizeof module->name, "%s", strtok_r(at, " \t\n", &rest));
		memcpy(module->dir, module->name, sizeof module->name);
		for (char *word; (word = strtok_r(NULL, " \t\n", &rest)) != NULL;) {
			if (strcmp(word, "DIR") == 0)
				kind = DIR;
			else if (strcmp(word, "USES") == 0)
				kind = USE;
			else if (strcmp(word, "LIBS") == 0)
				kind = LIB;
			else if (kind == DIR)
				snprintf(module->dir, sizeof module->dir, "%s", word);
			else if (kind == USE) {
				assert_true(module->use_count < USES);
				snprintf(module->uses[module->use_count++], 32, "%s", word);
			}
		}
		at = end + 1;
	}
	return module_count < 20;
}

static void check_own_header(const char *path, unsigned line, const char *dir, const char *header)
{
	char target[256];
	snprintf(target, sizeof target, "%s", header);
	char *slash = strrchr(target, '/');
	if (slash == NULL) {
		offend(path, line, header, "name it by its folder, as in \"base/str.h\"");
		return;
	}
	*slash = '\0';
	if (strcmp(target, dir) == 0)
		return;
	if (strcmp(slash + 1, "internal.h") == 0 || strstr(slash + 1, "_int.h") != NULL) {
		offend(path, line, header, "that header is private to its folder");
		return;
	}
	const struct module *module = module_of_dir(dir), *other = module_of_dir(target);
	if (other == NULL) {
		offend(path, line, header, "no module of cmake/modules.cmake has that folder");
		return;
	}
	for (unsigned i = 0; module != NULL && i < module->use_count; i++)
		if (strcmp(module->uses[i], other->name) == 0)
			return;
	if (module != NULL || strcmp(dir, "cli") != 0)
		offend(path, line, header, "USES in cmake/modules.cmake does not allow it");
}

/* What a lake is about stands in its lake.yaml: only the generator knows one kind of lake. */
static void check_words(const char *path, unsigned line, const char *dir, const char *text)
{
	static const char *const words[] = {"athlete", "telemetry", "marathon", "whoop"};
	for (size_t i = 0; i < sizeof words / sizeof words[0] && strcmp(dir, "gen") != 0; i++)
		if (strcasestr(text, words[i]) != NULL)
			offend(path, line, words[i], "what a lake is about belongs into its lake.yaml");
}

/* One line of a file in src/DIR. */
static void check_line(const char *path, unsigned line, const char *dir, const char *text)
{
	char header[256];
	check_words(path, line, dir, text);
	if (sscanf(text, " # include \"%255[^\"]\"", header) == 1) {
		includes_read++;
		check_own_header(path, line, dir, header);
	} else if (sscanf(text, " # include <%255[^>]>", header) == 1) {
		for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++)
			if (strcmp(adapters[i].header, header) == 0 && strcmp(adapters[i].dir, dir) != 0 &&
				(adapters[i].too == NULL || strcmp(adapters[i].too, dir) != 0))
				offend(path, line, header, "only its adapter may include that library");
	}
}

static int check_file(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	size_t size = strlen(path);
	if (type != FTW_F || size < 6 || (strcmp(path + size - 2, ".c") != 0 && strcmp(path + size - 2, ".h") != 0))
		return 0;
	char dir[256], text[1024];
	snprintf(dir, sizeof dir, "%.*s", walk->base - 1 - (int)strlen("src/"), path + strlen("src/"));
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	unsigned before = offences;
	for (unsigned line = 1; fgets(text, sizeof text, file) != NULL; line++) {
		check_line(path, line, dir, text);
		if (offences > before)
			print_error("%s\n", last_offence);
		before = offences;
	}
	fclose(file);
	files_read++;
	return 0;
}

static void test_modules_name_only_those_before_them(void **state)
{
	(void)state;
	for (unsigned i = 0; i < module_count; i++)
		for (unsigned u = 0; u < modules[i].use_count; u++) {
			const struct module *used = module_of_name(modules[i].uses[u]);
			if (used == NULL || used >= &modules[i])
				fail_msg("cmake/modules.cmake: %s uses %s, which does not stand before it",
					modules[i].name, modules[i].uses[u]);
		}
}

static void test_every_include_is_allowed(void **state)
{
	(void)state;
	offences = files_read = includes_read = 0;
	assert_int_equal(nftw("src", check_file, 16, FTW_PHYS), 0);
	assert_true(files_read > 200 && includes_read > 500);
	assert_int_equal(offences, 0);
}

static void test_a_forbidden_include_is_named(void **state)
{
	static const struct {
		const char *dir, *line;
		bool allowed;
	} cases[] = {
		{"base", "#include \"base/str.h\"", true},
		{"base", "#include \"column/batch.h\"", false},
		{"bus", "#include \"control/control.h\"", false},
		{"consent", "#include \"iceberg/table.h\"", false},
		{"format/parquet", "#include \"store/store.h\"", false},
		{"stream", "  #  include \"consent/consent.h\"", true},
		{"stream", "#include \"consent/consent_int.h\"", false},
		{"jobs", "#include \"iceberg/internal.h\"", false},
		{"serve", "#include \"stream/stream_int.h\"", false},
		{"gen", "#include \"nowhere/x.h\"", false},
		{"gen", "#include \"gen.h\"", false},
		{"access", "#include <duckdb.h>", false},
		{"sql", "#include <duckdb.h>", true},
		{"engine", "#include <sqlite3.h>", false},
		{"cli", "#include \"engine/engine.h\"", true},
		{"cli", "#include \"engine/engine_int.h\"", false},
		{"stream", "/* the Marathon's rows */", false},
		{"gen", "/* the marathon's rows */", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		offences = 0;
		check_line("src/x/y.c", 7, cases[i].dir, cases[i].line);
		if ((offences == 0) != cases[i].allowed)
			fail_msg("in src/%s: %s", cases[i].dir, cases[i].line);
		if (!cases[i].allowed)
			assert_non_null(strstr(last_offence, "src/x/y.c:7 has "));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modules_name_only_those_before_them),
		cmocka_unit_test(test_a_forbidden_include_is_named),
		cmocka_unit_test(test_every_include_is_allowed),
	};
	return cmocka_run_group_tests(tests, read_table, NULL);
}
