/* Changes, conflicts, group commit, the guard of owned namespaces, snapshots, scrubbing: on SQLite and on PostgreSQL
 * alike. */
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
#include "support/postgres.h"

/* Where a run of all tests keeps its databases. */
struct place {
	bool on_postgres;
	struct test_postgres server;
};

struct fixture {
	struct place *place;
	char directory[64]; /* SQLite's */
	char path[96];
	char schema[64]; /* PostgreSQL's */
	char url[512];
	struct control *control;
	struct weir_error err;
};

static void open_control(struct fixture *fixture)
{
	struct control_options options = {.url = fixture->url};
	if (control_open(&options, &fixture->control, &fixture->err) != 0)
		fail_msg("%s", fixture->err.message);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->place = *state;
	strcpy(fixture->directory, "/tmp/weir-control-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	snprintf(fixture->path, sizeof fixture->path, "%s/control.db", fixture->directory);
	if (fixture->place->on_postgres)
		test_postgres_schema(&fixture->place->server, fixture->schema, fixture->url);
	else
		snprintf(fixture->url, sizeof fixture->url, "sqlite:%s", fixture->path);
	open_control(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	control_close(fixture->control);
	if (fixture->place->on_postgres)
		test_postgres_drop_schema(&fixture->place->server, fixture->schema);
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

static int see_values(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	unsigned row = (*(unsigned *)context)++;
	(void)err;
	assert_int_equal(count, 5);
	assert_int_equal(values[0].kind, row == 0 || row == 4 ? CONTROL_INT : CONTROL_NULL);
	assert_int_equal(values[1].kind, row == 1 ? CONTROL_TEXT : CONTROL_NULL);
	assert_int_equal(values[2].kind, row == 2 ? CONTROL_BLOB : CONTROL_NULL);
	if (row == 0 || row == 4)
		assert_int_equal(values[0].integer, row == 0 ? -7 : INT64_MIN);
	assert_int_equal(values[1].text.size, 0);
	if (row == 2)
		assert_true(weir_str_equal(values[2].text, WEIR_STR("\0z\xff\\")));
	assert_int_equal(values[3].integer, row >= 3);
	assert_int_equal(values[4].integer, row + 1);
	return 0;
}

static void values_come_back(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(control_migrate(fixture->control, "test", 1,
				 "CREATE TABLE t(id INTEGER PRIMARY KEY, i INTEGER, s TEXT, b BLOB); CREATE TABLE u(id "
				 "INTEGER PRIMARY"
				 " KEY)",
				 &fixture->err),
		0);
	struct control_change *change = control_change_new(CONTROL_CONSENT);
	struct control_value values[] = {CONTROL_I(-7), CONTROL_T(WEIR_STR("")), CONTROL_B(WEIR_STR("\0z\xff\\")),
		CONTROL_N, CONTROL_I(INT64_MIN)};
	static const char *const inserts[] = {"INSERT INTO t(i) VALUES (?1) RETURNING id",
		"INSERT INTO t(s) VALUES (?1) RETURNING id", "INSERT INTO t(b) VALUES (?1) RETURNING id",
		"INSERT INTO t(i) VALUES (?1) RETURNING id", "INSERT INTO t(i) VALUES (?1) RETURNING id"};
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(control_change_returning(change, "insert", inserts[i], &values[i], 1), i);
	struct control_result result = commit(fixture, change);
	assert_int_equal(result.returned_count, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(result.returned[i], i + 1);
	unsigned rows = 0;
	assert_int_equal(control_query(fixture->control, "SELECT i, s, b, id > 3, id FROM t ORDER BY id", NULL, 0,
				 see_values, &rows, &fixture->err),
		0);
	assert_int_equal(rows, 5);
	assert_int_equal(number(fixture, "SELECT SUM(id) FROM t"), 15);

	/* A returning statement without a row, a select that finds nothing, and a key that is taken are conflicts. */
	static const char *const misfits[] = {
		"UPDATE t SET i = ?1 WHERE id = 99 RETURNING id",
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
				"CREATE TABLE m(x INTEGER); INSERT INTO m VALUES (1); INSERT INTO m VALUES (2)",
				&fixture->err),
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

/* Another program runs statements; false and its database's message where one failed. */
static bool stranger(const struct fixture *fixture, const char *sql, char message[512])
{
	if (fixture->place->on_postgres)
		return test_postgres_run(fixture->url, sql, message);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	snprintf(message, 512, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	return rc == SQLITE_OK;
}

static struct fixture *fixture_of(void **state)
{
	return *state;
}

static void owned_namespaces_are_guarded(void **state)
{
	static const char *const refused[] = {
		"INSERT INTO iceberg_tables VALUES ('weir', 'gold', 'x', 'l', NULL, 'TABLE')",
		"INSERT INTO iceberg_tables VALUES ('weir', 'gold', 'a', 'l', NULL, 'TABLE') ON CONFLICT (catalog_name,"
		" table_namespace, table_name) DO UPDATE SET metadata_location = 'evil'",
		"UPDATE iceberg_tables SET metadata_location = 'evil' WHERE table_name = 'a'",
		"UPDATE iceberg_tables SET table_namespace = 'mine' WHERE table_name = 'a'",
		"UPDATE iceberg_tables SET table_namespace = 'gold' WHERE table_name = 'theirs'",
		"DELETE FROM iceberg_tables WHERE table_name = 'a'",
		"DELETE FROM iceberg_tables",
	};
	/* What one of the two knows alone. */
	const char *only = fixture_of(state)->place->on_postgres
		? "TRUNCATE iceberg_tables"
		: "INSERT OR REPLACE INTO iceberg_tables VALUES ('weir', 'gold', 'a', 'l', NULL, 'TABLE')";
	static const char *const allowed[] = {
		"UPDATE iceberg_tables SET metadata_location = 'l2' WHERE table_name = 'theirs'",
		"INSERT INTO iceberg_tables VALUES ('other', 'gold', 'x', 'l', NULL, 'TABLE')",
		"INSERT INTO iceberg_namespace_properties VALUES ('weir', 'mine', 'exists', 'true')",
		"DELETE FROM iceberg_tables WHERE table_name = 'theirs'",
	};
	struct fixture *fixture = *state;
	own(fixture, "gold");
	commit(fixture, swap("a", "", "m1"));
	char message[512];
	assert_true(stranger(
		fixture, "INSERT INTO iceberg_tables VALUES ('weir', 'mine', 'theirs', 'l', NULL, 'TABLE')", message));
	for (size_t i = 0; i <= sizeof refused / sizeof refused[0]; i++) {
		assert_false(stranger(fixture, i < sizeof refused / sizeof refused[0] ? refused[i] : only, message));
		assert_non_null(strstr(message, "go through weir"));
	}
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		if (!stranger(fixture, allowed[i], message))
			fail_msg("%s: %s", allowed[i], message);
	assert_int_equal(commit(fixture, swap("a", "m1", "m2")).outcome, CONTROL_DONE);
	/* Not even after a transaction of weir's own. */
	assert_false(stranger(fixture, refused[2], message));
}

/* A stranger writes tables of its own while weir commits: both get through. */
static void *write_beside(void *context)
{
	intptr_t failures = 0;
	for (int i = 0; i < 50; i++) {
		char sql[256], message[512];
		snprintf(sql, sizeof sql,
			"BEGIN%s;"
			"INSERT INTO iceberg_tables VALUES ('weir', 'mine', 't%d', 'l', NULL, 'TABLE'); COMMIT",
			((struct fixture *)context)->place->on_postgres ? "" : " IMMEDIATE", i);
		failures += !stranger(context, sql, message);
	}
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

/* Whether the database's files hold the bytes. Of another machine's server that cannot be seen: then as expected. */
static bool files_hold(const struct fixture *fixture, const char *needle, bool expected)
{
	char command[256], message[512];
	const char *directory = fixture->directory;
	if (fixture->place->on_postgres) {
		directory = fixture->place->server.data;
		if (directory[0] == '\0')
			return expected;
		assert_true(test_postgres_run(fixture->url, "CHECKPOINT", message));
	}
	/* The log of the server keeps what was written until it is used again: docs/formats/control.md. */
	snprintf(command, sizeof command, "grep -qar --exclude-dir=pg_wal %s %s", needle, directory);
	return (system(command) == 0);
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
	assert_true(files_hold(fixture, "zebra", true));
	change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "take", 1, "DELETE FROM weir_doomed_files WHERE name = ?1", &secret, 1);
	commit(fixture, change);
	assert_int_equal(control_scrub(fixture->control, &fixture->err), 0);
	assert_false(files_hold(fixture, "zebra", false));
}

static void reopening_keeps_everything(void **state)
{
	struct fixture *fixture = *state;
	own(fixture, "gold");
	commit(fixture, swap("a", "", "m1"));
	control_close(fixture->control);
	open_control(fixture);
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
	struct control_options options = {.url = path};
	assert_int_equal(control_open(&options, &control, &fixture->err), WEIR_E_CORRUPT);
	options.url = "/no/such/directory/control.db";
	assert_int_equal(control_open(&options, &control, &fixture->err), WEIR_E_NOT_FOUND);
}

/* ---- PostgreSQL alone ---- */

static void one_process_writes(void **state)
{
	struct fixture *fixture = *state;
	struct control *second;
	struct control_options options = {.url = fixture->url};
	assert_int_equal(control_open(&options, &second, &fixture->err), WEIR_E_BUSY);
	assert_non_null(strstr(fixture->err.message, "process "));
	control_close(fixture->control);
	assert_int_equal(control_open(&options, &second, &fixture->err), 0);
	fixture->control = second;
}

/* A session that the server ended while nothing happened is made again; reads and changes notice nothing. */
static void lost_sessions_come_back(void **state)
{
	static const char end[] =
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
		" AND datname = current_database() AND application_name = 'weir'";
	struct fixture *fixture = *state;
	char message[512];
	for (int i = 0; i < 5; i++) {
		assert_int_equal(commit(fixture, swap(i % 2 ? "b" : "a", i < 2 ? "" : "m", "m")).outcome, CONTROL_DONE);
		assert_int_equal(number(fixture, "SELECT count(*) FROM iceberg_tables"), i == 0 ? 1 : 2);
		assert_true(test_postgres_run(fixture->place->server.url, end, message));
		assert_string_not_equal(message, "0");
		if (i % 2 == 0)
			assert_int_equal(number(fixture, "SELECT count(*) FROM iceberg_tables"), i == 0 ? 1 : 2);
	}
	struct control_read *read;
	assert_int_equal(control_read_begin(fixture->control, &read, &fixture->err), 0);
	control_read_end(read);
}

/* A process whose lease another took is fenced off for good. */
static void a_lost_lease_is_noticed(void **state)
{
	struct fixture *fixture = *state;
	char message[512];
	struct control_result result;
	assert_true(test_postgres_run(fixture->url, "UPDATE weir_writer SET epoch = epoch + 1", message));
	for (int i = 0; i < 2; i++) {
		struct control_change *change = swap("a", "", "m");
		assert_int_equal(control_commit(fixture->control, change, &result, &fixture->err), WEIR_E_DENIED);
		assert_non_null(strstr(fixture->err.message, "taken this control database over"));
		control_change_free(change);
	}
	assert_int_equal(number(fixture, "SELECT count(*) FROM iceberg_tables"), 0);
}

/* An engine's role needs rights on the catalog's two tables alone, and is refused all the same. */
static void a_role_of_its_own_is_guarded(void **state)
{
	struct fixture *fixture = *state;
	char sql[512], message[512];
	own(fixture, "gold");
	snprintf(sql, sizeof sql,
		"CREATE ROLE %s_role; GRANT USAGE ON SCHEMA %s TO %s_role;"
		"GRANT SELECT, INSERT, UPDATE, DELETE ON iceberg_tables, iceberg_namespace_properties TO %s_role",
		fixture->schema, fixture->schema, fixture->schema, fixture->schema);
	if (!test_postgres_run(fixture->url, sql, message))
		fail_msg("%s", message);
	static const struct {
		const char *sql, *says;
	} cases[] = {
		{"INSERT INTO iceberg_tables VALUES ('weir', 'mine', 't', 'l', NULL, 'TABLE')", ""},
		{"INSERT INTO iceberg_tables VALUES ('weir', 'gold', 't', 'l', NULL, 'TABLE')", "go through weir"},
		{"SELECT 1 FROM weir_owned", "permission denied"},
		{"UPDATE weir_writer SET epoch = 9", "permission denied"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		snprintf(sql, sizeof sql, "SET ROLE %s_role; %s", fixture->schema, cases[i].sql);
		assert_int_equal(test_postgres_run(fixture->url, sql, message), cases[i].says[0] == '\0');
		assert_non_null(strstr(message, cases[i].says));
	}
	snprintf(sql, sizeof sql, "DROP OWNED BY %s_role; DROP ROLE %s_role", fixture->schema, fixture->schema);
	assert_true(test_postgres_run(fixture->url, sql, message));
}

static void text_is_ordered_by_bytes(void **state)
{
	struct fixture *fixture = *state;
	static const char *const names[] = {"b", "A", "a", "B", "_", "\xc3\xa4", "a b", "ab"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		struct control_value value = CONTROL_T(weir_str_from(names[i]));
		control_change_sql(change, "name", 1, "INSERT INTO weir_owned(namespace) VALUES (?1)", &value, 1);
		commit(fixture, change);
	}
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str text;
	assert_int_equal(control_query_text(fixture->control, arena, "SELECT MAX(namespace) FROM weir_owned", NULL, 0,
				 &text, &fixture->err),
		0);
	assert_string_equal(text.data, "\xc3\xa4");
	assert_int_equal(number(fixture, "SELECT count(*) FROM weir_owned WHERE namespace < 'a'"), 3);
	weir_arena_free(arena);
}

static void bad_urls_tell_no_secret(void **state)
{
	static const struct {
		const char *url;
		int code;
		const char *says;
	} urls[] = {
		{"postgresql://u:hunter2@127.0.0.1:1/d", WEIR_E_INPUT, "a password stands in"},
		{"postgresql://u@127.0.0.1:1/d?password=hunter2", WEIR_E_INPUT, "a password stands in"},
		{"postgresql://u:hunter2%@127.0.0.1:1/d", WEIR_E_INPUT, "cannot be read"},
		{"postgresql://u:x${env:WEIR_TEST_SECRET}@127.0.0.1:1/d", WEIR_E_INPUT, "a password stands in"},
		{"postgresql://u:${env:NO_SUCH_WEIR_SECRET}@127.0.0.1:1/d", WEIR_E_NOT_FOUND, "NO_SUCH_WEIR_SECRET"},
		{"postgresql://u:${file:/no/such/file}@127.0.0.1:1/d", WEIR_E_NOT_FOUND, "secret"},
		{"postgresql://u:${vault:x}@127.0.0.1:1/d", WEIR_E_INPUT, "unknown reference"},
		{"postgresql://u:${env:WEIR_TEST_SECRET}@127.0.0.1:1/d", WEIR_E_IO, "connect"},
		{"postgresql://u@127.0.0.1:1/d?hunter2=1", WEIR_E_INPUT, "cannot be read"},
	};
	struct fixture *fixture = *state;
	setenv("WEIR_TEST_SECRET", "hunter2/@:%", 1);
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct control *control;
		struct control_options options = {.url = urls[i].url};
		assert_int_equal(control_open(&options, &control, &fixture->err), urls[i].code);
		assert_non_null(strstr(fixture->err.message, urls[i].says));
		assert_null(strstr(fixture->err.message, "hunter2"));
		assert_null(strstr(fixture->err.object, "hunter2"));
	}
}

/* Values are in no error, whatever the server says about them. */
static void errors_quote_no_values(void **state)
{
	struct fixture *fixture = *state;
	struct control_result result;
	struct control_value value = CONTROL_T(WEIR_STR("athlete-4711"));
	static const char *const statements[] = {
		"UPDATE weir_counters SET count = CAST(?1 AS INTEGER)",
		"INSERT INTO weir_doomed_files(name, doomed_us) VALUES (?1, NULL)",
		"UPDATE weir_counters SET count = CAST('4711' || ?1 AS INTEGER)",
		"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, iceberg_type) VALUES ('weir', "
		"'n', 'n', ?1)",
	};
	struct control_change *first = control_change_new(CONTROL_EPOCH);
	control_add_counter(first, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
	commit(fixture, first);
	for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		control_change_sql(change, "misfit", CONTROL_ANY, statements[i], &value, 1);
		assert_int_equal(control_commit(fixture->control, change, &result, &fixture->err), WEIR_E_INPUT);
		assert_null(strstr(fixture->err.message, "4711"));
		control_change_free(change);
	}
	/* A byte that text cannot hold. */
	value = CONTROL_T(WEIR_STR("a\0b"));
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "zero", 1, "INSERT INTO weir_owned(namespace) VALUES (?1)", &value, 1);
	assert_int_equal(control_commit(fixture->control, change, &result, &fixture->err), WEIR_E_INPUT);
	control_change_free(change);
}

/* A change of more statements than travel together, some seen for the first time: in order, and all or nothing. */
static void long_changes_are_whole(void **state)
{
	struct fixture *fixture = *state;
	for (int fits = 0; fits < 2; fits++) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		for (int i = 0; i < 700; i++) {
			control_move_offset(change, WEIR_STR("s"), 0, (uint64_t)i, (uint64_t)i + 1);
			control_add_counter(change, WEIR_STR("s"), WEIR_STR("c"), WEIR_STR("r"), 1);
		}
		control_change_sql(change, "last", 1, fits ? "SELECT 1" : "SELECT 1 WHERE 1 = 2", NULL, 0);
		struct control_result result = commit(fixture, change);
		assert_int_equal(result.outcome, fits ? CONTROL_DONE : CONTROL_CONFLICT);
		assert_int_equal(number(fixture, "SELECT next_offset FROM weir_offsets"), fits ? 700 : INT64_MIN);
	}
	assert_int_equal(number(fixture, "SELECT count FROM weir_counters"), 700);
}

int main(void)
{
	struct place sqlite = {0}, postgres = {.on_postgres = true};
#define T(name) \
	{ \
#name, name, set_up, tear_down, &sqlite \
	}
#define P(name) \
	{ \
#name " on PostgreSQL", name, set_up, tear_down, &postgres \
	}
#define BOTH(M) \
	M(changes_are_whole_or_conflicts), M(offsets_move_from_what_they_are), M(values_come_back), \
		M(bad_statements_hurt_nobody_else), M(migrations_run_once), M(owned_namespaces_are_guarded), \
		M(others_can_write_beside), M(many_callers_commit_together), M(a_read_is_a_snapshot), \
		M(scrubbing_leaves_no_bytes), M(reopening_keeps_everything), M(text_is_ordered_by_bytes), \
		M(long_changes_are_whole)
	const struct CMUnitTest on_sqlite[] = {BOTH(T), T(modes_and_pragmas), T(not_a_database)};
	const struct CMUnitTest on_postgres[] = {BOTH(P), P(one_process_writes), P(lost_sessions_come_back),
		P(a_lost_lease_is_noticed), P(a_role_of_its_own_is_guarded), P(bad_urls_tell_no_secret),
		P(errors_quote_no_values)};
	int failed = cmocka_run_group_tests(on_sqlite, NULL, NULL);
	if (!test_postgres_start(&postgres.server, false))
		return failed;
	failed += cmocka_run_group_tests(on_postgres, NULL, NULL);
	test_postgres_stop(&postgres.server);
	return failed;
}
