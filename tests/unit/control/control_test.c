/* Changes, conflicts, group commit, the guard of owned namespaces, snapshots, scrubbing: on a real file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"

struct fixture {
	char directory[64];
	char path[96];
	struct control *control;
	struct weir_error err;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	strcpy(fixture->directory, "/tmp/weir-control-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof fixture->path, "%s/control.db", fixture->directory);
	struct control_options options = {.path = fixture->path};
	assert_int_equal(control_open(&options, &fixture->control, &fixture->err), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	control_close(fixture->control);
	snprintf(command, sizeof command, "rm -r %s", fixture->directory);
	int status = system(command);
	free(fixture);
	return status;
}

static struct control_result commit(struct fixture *fixture, struct control_change *take_change)
{
	struct control_result result;
	int status = control_commit(fixture->control, take_change, &result, &fixture->err);
	if (status != 0)
		print_error("%s\n", fixture->err.message);
	assert_int_equal(status, 0);
	control_change_free(take_change);
	return result;
}

static int64_t number(struct fixture *fixture, const char *sql)
{
	int64_t value;
	int status = control_query_int(fixture->control, sql, NULL, 0, &value, &fixture->err);
	if (status == WEIR_E_NOT_FOUND)
		return INT64_MIN;
	assert_int_equal(status, 0);
	return value;
}

static void own(struct fixture *fixture, const char *ns)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_value value = CONTROL_T(weir_str_from(ns));
	control_change_sql(change, "own", 1, "INSERT INTO weir_owned(namespace) VALUES (?1)", &value, 1);
	assert_int_equal(commit(fixture, change).outcome, CONTROL_DONE);
}

static struct control_change *swap(const char *table, const char *expected, const char *next)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_swap_table(
		change, WEIR_STR("gold"), weir_str_from(table), weir_str_from(expected), weir_str_from(next));
	return change;
}

/* ---- tests ---- */

static void modes_and_pragmas(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;
	const char *const suffixes[] = {"", "-wal", "-shm"};
	for (unsigned i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s%s", fixture->path, suffixes[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	assert_int_equal(number(fixture, "SELECT open FROM weir_guard"), 0);
}

static void changes_are_whole_or_conflicts(void **state)
{
	struct fixture *fixture = *state;
	struct control_change *change = swap("a", "", "m1");
	control_move_offset(change, WEIR_STR("events"), 3, 0, 10);
	control_add_counter(change, WEIR_STR("events"), WEIR_STR("api"), WEIR_STR("accepted"), 10);
	assert_int_equal(commit(fixture, change).outcome, CONTROL_DONE);

	/* The offset fits, the table does not: nothing of it happens. */
	change = control_change_new(CONTROL_EPOCH);
	control_move_offset(change, WEIR_STR("events"), 3, 10, 20);
	control_add_counter(change, WEIR_STR("events"), WEIR_STR("api"), WEIR_STR("accepted"), 10);
	control_swap_table(change, WEIR_STR("gold"), WEIR_STR("a"), WEIR_STR("m0"), WEIR_STR("m2"));
	struct control_result result = commit(fixture, change);
	assert_int_equal(result.outcome, CONTROL_CONFLICT);
	assert_string_equal(result.conflict, "table gold.a");
	assert_int_equal(number(fixture, "SELECT next_offset FROM weir_offsets"), 10);
	assert_int_equal(number(fixture, "SELECT count FROM weir_counters"), 10);

	assert_int_equal(commit(fixture, swap("a", "m1", "m2")).outcome, CONTROL_DONE);
	result = commit(fixture, swap("a", "", "m9"));
	assert_int_equal(result.outcome, CONTROL_CONFLICT);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str text;
	assert_int_equal(control_query_text(fixture->control, arena,
				 "SELECT metadata_location || ' ' || previous_metadata_location || ' ' || iceberg_type"
				 " FROM iceberg_tables WHERE catalog_name = 'weir'",
				 NULL, 0, &text, &fixture->err),
		0);
	assert_string_equal(text.data, "m2 m1 TABLE");
	weir_arena_free(arena);
}

static void offsets_move_from_what_they_are(void **state)
{
	static const struct {
		uint64_t expected, next;
		int outcome;
	} steps[] = {
		{5, 6, CONTROL_CONFLICT}, /* no row is 0, not 5 */
		{0, 4, CONTROL_DONE},
		{0, 5, CONTROL_CONFLICT},
		{4, 9, CONTROL_DONE},
		{4, 10, CONTROL_CONFLICT},
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		control_move_offset(change, WEIR_STR("s"), 0, steps[i].expected, steps[i].next);
		assert_int_equal(commit(fixture, change).outcome, steps[i].outcome);
	}
	assert_int_equal(number(fixture, "SELECT next_offset FROM weir_offsets"), 9);
}

static void values_come_back(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(control_migrate(fixture->control, "test", 1, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)",
				 &fixture->err),
		0);
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	struct control_value values[] = {CONTROL_I(-7), CONTROL_T(WEIR_STR("")), CONTROL_B(WEIR_STR("\0z")), CONTROL_N};
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(control_change_returning(
					 change, "insert", "INSERT INTO t(x) VALUES (?1) RETURNING id", &values[i], 1),
			i);
	struct control_result result = commit(fixture, change);
	assert_int_equal(result.returned_count, 4);
	assert_int_equal(result.returned[3], 4);
	assert_int_equal(number(fixture, "SELECT x FROM t WHERE id = 1"), -7);
	assert_int_equal(number(fixture, "SELECT typeof(x) = 'text' AND x = '' FROM t WHERE id = 2"), 1);
	assert_int_equal(number(fixture, "SELECT typeof(x) = 'blob' AND length(x) = 2 FROM t WHERE id = 3"), 1);
	assert_int_equal(number(fixture, "SELECT x FROM t WHERE id = 4"), INT64_MIN);

	/* A returning statement without a row, a select that finds nothing, and a key that is taken are conflicts. */
	static const char *const misfits[] = {
		"UPDATE t SET x = ?1 WHERE id = 99 RETURNING id",
		"INSERT INTO t(id) VALUES (?1 + 8) RETURNING id",
	};
	for (unsigned i = 0; i < 2; i++) {
		change = control_change_new(CONTROL_EPOCH);
		control_change_returning(change, "misfit", misfits[i], values, 1);
		assert_int_equal(commit(fixture, change).outcome, CONTROL_CONFLICT);
	}
	change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "guard", 1, "SELECT 1 FROM t WHERE id = 99", NULL, 0);
	assert_string_equal(commit(fixture, change).conflict, "guard");
}

static void bad_statements_hurt_nobody_else(void **state)
{
	struct fixture *fixture = *state;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_result result;
	control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
	control_change_sql(change, "nonsense", 1, "UPDATE no_such_table SET x = 1", NULL, 0);
	assert_int_equal(control_commit(fixture->control, change, &result, &fixture->err), WEIR_E_INTERNAL);
	assert_non_null(strstr(fixture->err.message, "nonsense"));
	control_change_free(change);
	assert_int_equal(number(fixture, "SELECT count(*) FROM weir_counters"), 0);
	assert_int_equal(commit(fixture, swap("b", "", "m")).outcome, CONTROL_DONE);
}

static void migrations_run_once(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			control_migrate(fixture->control, "m", 1,
				"CREATE TABLE m(x); INSERT INTO m VALUES (1); INSERT INTO m VALUES (2)", &fixture->err),
			0);
	assert_int_equal(number(fixture, "SELECT count(*) FROM m"), 2);
	/* One that fails leaves nothing and can be tried again. */
	assert_int_equal(control_migrate(fixture->control, "m", 2, "INSERT INTO m VALUES (3); NONSENSE", &fixture->err),
		WEIR_E_INTERNAL);
	assert_int_equal(number(fixture, "SELECT count(*) FROM m"), 2);
	assert_int_equal(control_migrate(fixture->control, "m", 2, "INSERT INTO m VALUES (3)", &fixture->err), 0);
	assert_int_equal(number(fixture, "SELECT count(*) FROM m"), 3);
}

/* ---- others in the same file ---- */

static sqlite3 *stranger(struct fixture *fixture)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	return db;
}

static void owned_namespaces_are_guarded(void **state)
{
	static const char *const refused[] = {
		"INSERT INTO iceberg_tables VALUES ('weir', 'gold', 'x', 'l', NULL, 'TABLE')",
		"INSERT OR REPLACE INTO iceberg_tables VALUES ('weir', 'gold', 'a', 'l', NULL, 'TABLE')",
		"UPDATE iceberg_tables SET metadata_location = 'evil' WHERE table_name = 'a'",
		"UPDATE iceberg_tables SET table_namespace = 'mine' WHERE table_name = 'a'",
		"UPDATE iceberg_tables SET table_namespace = 'gold' WHERE table_name = 'theirs'",
		"DELETE FROM iceberg_tables WHERE table_name = 'a'",
	};
	static const char *const allowed[] = {
		"UPDATE iceberg_tables SET metadata_location = 'l2' WHERE table_name = 'theirs'",
		"INSERT INTO iceberg_tables VALUES ('other', 'gold', 'x', 'l', NULL, 'TABLE')",
		"INSERT INTO iceberg_namespace_properties VALUES ('weir', 'mine', 'exists', 'true')",
		"DELETE FROM iceberg_tables WHERE table_name = 'theirs'",
	};
	struct fixture *fixture = *state;
	own(fixture, "gold");
	commit(fixture, swap("a", "", "m1"));
	sqlite3 *db = stranger(fixture);
	assert_int_equal(
		sqlite3_exec(db, "INSERT INTO iceberg_tables VALUES ('weir', 'mine', 'theirs', 'l', NULL, 'TABLE')",
			NULL, NULL, NULL),
		SQLITE_OK);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		int rc = sqlite3_exec(db, refused[i], NULL, NULL, NULL);
		assert_int_equal(rc, SQLITE_CONSTRAINT);
		assert_non_null(strstr(sqlite3_errmsg(db), "go through weir"));
	}
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		assert_int_equal(sqlite3_exec(db, allowed[i], NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(commit(fixture, swap("a", "m1", "m2")).outcome, CONTROL_DONE);
	assert_int_equal(number(fixture, "SELECT open FROM weir_guard"), 0);
}

/* A stranger writes tables of its own while weir commits: both get through. */
static void *write_beside(void *context)
{
	sqlite3 *db = stranger(context);
	intptr_t failures = 0;
	for (int i = 0; i < 50; i++) {
		char sql[256];
		snprintf(sql, sizeof sql,
			"BEGIN IMMEDIATE;"
			"INSERT INTO iceberg_tables VALUES ('weir', 'mine', 't%d', 'l', NULL, 'TABLE'); COMMIT",
			i);
		failures += sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK;
	}
	sqlite3_close(db);
	return (void *)failures;
}

static void others_can_write_beside(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	pthread_create(&thread, NULL, write_beside, fixture);
	for (int i = 0; i < 100; i++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
		assert_int_equal(commit(fixture, change).outcome, CONTROL_DONE);
	}
	void *failures;
	pthread_join(thread, &failures);
	assert_ptr_equal(failures, NULL);
	assert_int_equal(number(fixture, "SELECT count FROM weir_counters"), 100);
	assert_int_equal(number(fixture, "SELECT count(*) FROM iceberg_tables"), 50);
}

/* ---- group commit ---- */

enum { CALLERS = 8, EACH = 50 };

struct caller {
	struct fixture *fixture;
	pthread_t thread;
	int done, conflicts;
};

/* Everybody moves the same offset: one of those who expect a value wins, the others hear of a conflict. */
static void *race(void *context)
{
	struct caller *caller = context;
	for (int i = 0; i < EACH; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct control_result result;
		int64_t now = 0;
		(void)control_query_int(
			caller->fixture->control, "SELECT next_offset FROM weir_offsets", NULL, 0, &now, &err);
		struct control_change *change = control_change_new((enum control_priority)(i % 3));
		control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
		control_move_offset(change, WEIR_STR("s"), 0, (uint64_t)now, (uint64_t)now + 1);
		if (control_commit(caller->fixture->control, change, &result, &err) == 0) {
			caller->done += result.outcome == CONTROL_DONE;
			caller->conflicts += result.outcome == CONTROL_CONFLICT;
		}
		control_change_free(change);
	}
	return NULL;
}

static void many_callers_commit_together(void **state)
{
	struct fixture *fixture = *state;
	struct caller callers[CALLERS] = {0};
	int done = 0, conflicts = 0;
	for (int i = 0; i < CALLERS; i++) {
		callers[i].fixture = fixture;
		pthread_create(&callers[i].thread, NULL, race, &callers[i]);
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		done += callers[i].done;
		conflicts += callers[i].conflicts;
	}
	assert_int_equal(done + conflicts, CALLERS * EACH);
	assert_true(done > 0);
	assert_int_equal(number(fixture, "SELECT next_offset FROM weir_offsets"), done);
	assert_int_equal(number(fixture, "SELECT count FROM weir_counters"), done);
}

/* ---- reading ---- */

static int add_up(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)err;
	assert_int_equal(count, 1);
	*(int64_t *)context += values[0].integer;
	return 0;
}

static int stop(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	(void)values;
	(void)count;
	++*(int *)context;
	return weir_fail(err, WEIR_E_CANCELLED, "enough");
}

static void a_read_is_a_snapshot(void **state)
{
	static const char sql[] = "SELECT count FROM weir_counters";
	struct fixture *fixture = *state;
	struct control_read *read;
	for (int i = 0; i < 2; i++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), i ? WEIR_STR("x") : WEIR_STR("y"), 1);
		commit(fixture, change);
	}
	assert_int_equal(control_read_begin(fixture->control, &read, &fixture->err), 0);
	int64_t sum = 0;
	assert_int_equal(control_read_query(read, sql, NULL, 0, add_up, &sum, &fixture->err), 0);
	assert_int_equal(sum, 2);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("x"), 5);
	commit(fixture, change);
	sum = 0;
	assert_int_equal(control_read_query(read, sql, NULL, 0, add_up, &sum, &fixture->err), 0);
	assert_int_equal(sum, 2);
	/* It holds the log, so that nothing can be scrubbed. */
	assert_int_equal(control_scrub(fixture->control, &fixture->err), WEIR_E_BUSY);
	int calls = 0;
	assert_int_equal(control_read_query(read, sql, NULL, 0, stop, &calls, &fixture->err), WEIR_E_CANCELLED);
	assert_int_equal(calls, 1);
	control_read_end(read);
	sum = 0;
	assert_int_equal(control_query(fixture->control, sql, NULL, 0, add_up, &sum, &fixture->err), 0);
	assert_int_equal(sum, 7);
	assert_int_equal(control_scrub(fixture->control, &fixture->err), 0);
}

/* ---- scrubbing ---- */

static bool file_holds(const char *directory, const char *needle)
{
	char command[256];
	snprintf(command, sizeof command, "grep -qar %s %s", needle, directory);
	return system(command) == 0;
}

static void scrubbing_leaves_no_bytes(void **state)
{
	struct fixture *fixture = *state;
	struct control_value secret = CONTROL_T(WEIR_STR("subject-4711-zebra"));
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_change_sql(
		change, "put", 1, "INSERT INTO weir_doomed_files(name, doomed_us) VALUES (?1, 1)", &secret, 1);
	commit(fixture, change);
	assert_int_equal(control_scrub(fixture->control, &fixture->err), 0);
	assert_true(file_holds(fixture->directory, "zebra"));
	change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "take", 1, "DELETE FROM weir_doomed_files WHERE name = ?1", &secret, 1);
	commit(fixture, change);
	assert_int_equal(control_scrub(fixture->control, &fixture->err), 0);
	assert_false(file_holds(fixture->directory, "zebra"));
}

static void reopening_keeps_everything(void **state)
{
	struct fixture *fixture = *state;
	own(fixture, "gold");
	commit(fixture, swap("a", "", "m1"));
	control_close(fixture->control);
	struct control_options options = {.path = fixture->path};
	assert_int_equal(control_open(&options, &fixture->control, &fixture->err), 0);
	assert_int_equal(commit(fixture, swap("a", "m1", "m2")).outcome, CONTROL_DONE);
	assert_int_equal(number(fixture, "SELECT count(*) FROM weir_owned"), 1);
}

static void not_a_database(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	struct control *control;
	snprintf(path, sizeof path, "%s/other", fixture->directory);
	FILE *file = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", file);
	fclose(file);
	struct control_options options = {.path = path};
	assert_int_equal(control_open(&options, &control, &fixture->err), WEIR_E_CORRUPT);
	options.path = "/no/such/directory/control.db";
	assert_int_equal(control_open(&options, &control, &fixture->err), WEIR_E_NOT_FOUND);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		T(modes_and_pragmas),
		T(changes_are_whole_or_conflicts),
		T(offsets_move_from_what_they_are),
		T(values_come_back),
		T(bad_statements_hurt_nobody_else),
		T(migrations_run_once),
		T(owned_namespaces_are_guarded),
		T(others_can_write_beside),
		T(many_callers_commit_together),
		T(a_read_is_a_snapshot),
		T(scrubbing_leaves_no_bytes),
		T(reopening_keeps_everything),
		T(not_a_database),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
