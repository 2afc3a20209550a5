/* SQL catalogs of others, on SQLite and on PostgreSQL: found, read, listed, swapped, and left as they were where they
 * moved. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "control/control.h"
#include "control/foreign.h"
#include "support/postgres.h"

/* A catalog as weir itself makes it, with a namespace of its own, and as others' rows are in it. */
static const char *const rows[] = {
	"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location) VALUES('a', 'ns', "
	"'t', 'one')",
	"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location) VALUES('a', 'ns', "
	"'two', 'x')",
	"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location) VALUES('b', 'ns', "
	"'two', 'y')",
	"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location) VALUES('weir', "
	"'gold', 't', 'g')",
	"INSERT INTO weir_owned(namespace) VALUES('gold')",
};

static void make(const char *url)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_options options = {.url = url};
	struct control *control;
	struct control_result result;
	if (control_open(&options, &control, &err) != 0)
		fail_msg("%s", err.message);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		control_change_sql(change, "row", 1, rows[i], NULL, 0);
	assert_int_equal(control_commit(control, change, &result, &err), 0);
	control_change_free(change);
	control_close(control);
}

static int join(void *context, const struct control_foreign_name *name, struct weir_str uri, struct weir_error *err)
{
	(void)err;
	weir_buf_printf(context, "%.*s/%.*s.%.*s=%.*s ", WEIR_STR_ARG(name->catalog), WEIR_STR_ARG(name->ns),
		WEIR_STR_ARG(name->table), WEIR_STR_ARG(uri));
	return 0;
}

static void check_list(struct control_foreign *foreign, const char *catalog, const char *expected)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf text = WEIR_BUF_INIT;
	assert_int_equal(control_foreign_list(foreign, weir_str_from(catalog), join, &text, &err), 0);
	assert_string_equal(weir_buf_cstr(&text), expected);
	weir_buf_done(&text);
}

static void check_catalog(const char *url)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct control_foreign *foreign;
	struct control_foreign_name name = {.ns = WEIR_STR("ns"), .table = WEIR_STR("t")};
	struct weir_str uri;
	bool owned;
	make(url);
	if (control_foreign_open(url, &foreign, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(control_foreign_find(foreign, arena, &name, &err), 0);
	assert_true(weir_str_is(name.catalog, "a"));
	assert_int_equal(control_foreign_pointer(foreign, arena, &name, &uri, &err), 0);
	assert_true(weir_str_is(uri, "one"));
	check_list(foreign, "", "a/ns.t=one a/ns.two=x b/ns.two=y weir/gold.t=g ");
	check_list(foreign, "b", "b/ns.two=y ");
	assert_int_equal(control_foreign_swap(foreign, &name, uri, WEIR_STR("file:///it's \"2\""), &err), 0);
	assert_int_equal(control_foreign_swap(foreign, &name, uri, WEIR_STR("three"), &err), WEIR_E_CONFLICT);
	assert_int_equal(control_foreign_pointer(foreign, arena, &name, &uri, &err), 0);
	assert_true(weir_str_is(uri, "file:///it's \"2\""));
	/* which of two, and none */
	struct control_foreign_name other = {.ns = WEIR_STR("ns"), .table = WEIR_STR("two")};
	assert_int_equal(control_foreign_find(foreign, arena, &other, &err), WEIR_E_INPUT);
	other.table = WEIR_STR("none");
	assert_int_equal(control_foreign_find(foreign, arena, &other, &err), WEIR_E_NOT_FOUND);
	assert_non_null(strstr(err.message, "ns.none"));
	/* weir's own: told, and refused by the database itself */
	assert_int_equal(control_foreign_is_owned(foreign, WEIR_STR("gold"), &owned, &err), 0);
	assert_true(owned);
	assert_int_equal(control_foreign_is_owned(foreign, WEIR_STR("ns"), &owned, &err), 0);
	assert_false(owned);
	struct control_foreign_name gold = {WEIR_STR("weir"), WEIR_STR("gold"), WEIR_STR("t")};
	assert_int_not_equal(control_foreign_swap(foreign, &gold, WEIR_STR("g"), WEIR_STR("h"), &err), 0);
	assert_non_null(strstr(err.message, "this namespace belongs to weir"));
	control_foreign_close(foreign);
	weir_arena_free(arena);
}

static void test_sqlite(void **state)
{
	char folder[] = "/tmp/weir-foreign-XXXXXX", path[64], url[80], command[64];
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_foreign *foreign;
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/c.db", folder);
	snprintf(url, sizeof url, "sqlite:%s", path);
	check_catalog(path);
	assert_int_equal(control_foreign_open(url, &foreign, &err), 0);
	control_foreign_close(foreign);
	snprintf(path, sizeof path, "%s/none.db", folder);
	assert_int_equal(control_foreign_open(path, &foreign, &err), WEIR_E_NOT_FOUND);
	snprintf(command, sizeof command, "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void run_at(const char *url, const char *sql)
{
	char message[512];
	if (!test_postgres_run(url, sql, message))
		fail_msg("%s", message);
}

/* The session dies in the middle of a swap: that it cannot be told is said, and the next one goes through a new
 * session. */
static void check_cut(const char *url)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct control_foreign *foreign;
	struct control_foreign_name name = {WEIR_STR("a"), WEIR_STR("ns"), WEIR_STR("t")};
	struct weir_str uri, after;
	assert_int_equal(control_foreign_open(url, &foreign, &err), 0);
	assert_int_equal(control_foreign_pointer(foreign, arena, &name, &uri, &err), 0);
	run_at(url,
		"CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
		"pg_terminate_backend(pg_backend_pid());"
		" RETURN NEW; END $$; CREATE TRIGGER cut AFTER UPDATE ON iceberg_tables FOR EACH ROW EXECUTE FUNCTION "
		"cut()");
	assert_int_equal(control_foreign_swap(foreign, &name, uri, WEIR_STR("new"), &err), WEIR_E_UNKNOWN);
	assert_non_null(strstr(err.message, "may have happened or not"));
	run_at(url, "DROP TRIGGER cut ON iceberg_tables");
	assert_int_equal(control_foreign_pointer(foreign, arena, &name, &after, &err), 0);
	assert_true(weir_str_equal(after, uri));
	assert_int_equal(control_foreign_swap(foreign, &name, uri, WEIR_STR("new"), &err), 0);
	control_foreign_close(foreign);
	weir_arena_free(arena);
}

static void test_postgres(void **state)
{
	struct test_postgres server;
	char schema[64], url[512];
	(void)state;
	if (!test_postgres_start(&server, false))
		return; /* it said why */
	test_postgres_schema(&server, schema, url);
	check_catalog(url);
	check_cut(url);
	test_postgres_drop_schema(&server, schema);
	test_postgres_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sqlite),
		cmocka_unit_test(test_postgres),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
