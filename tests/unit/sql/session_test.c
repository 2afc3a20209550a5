/* Sessions: views by field id, the fence, and that nothing else can be reached. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sql/sql.h"

static struct weir_field map_fields[2] = {{.name = {"key", 3}, .id = 7, .type = WEIR_STRING, .required = true},
	{.name = {"value", 5}, .id = 8, .type = WEIR_STRING}};
static struct weir_field fields[] = {
	{.name = {"athlete_id", 10}, .id = 1, .type = WEIR_STRING},
	{.name = {"event_id", 8}, .id = 2, .type = WEIR_UUID},
	{.name = {"purpose", 7}, .id = 3, .type = WEIR_STRING},
	{.name = {"consent_lsn", 11}, .id = 4, .type = WEIR_INT64},
	{.name = {"heart_rate", 10}, .id = 5, .type = WEIR_DOUBLE},
	{.name = {"raw_metrics", 11}, .id = 6, .type = WEIR_MAP, .children = map_fields, .child_count = 2},
	{.name = {"timestamp", 9}, .id = 9, .type = WEIR_TIMESTAMPTZ},
	{.name = {"note", 4}, .id = 10, .type = WEIR_STRING},
};
static const struct weir_schema schema = {.field_count = sizeof fields / sizeof *fields, .fields = fields};

struct world {
	struct sql *sql;
	struct sql_session *session;
	struct weir_str files[2];
	char *paths[2];
	char lookup[64];
};

static int setup(void **state)
{
	static const char *const names[2] = {"tests/golden/sql/old.parquet", "tests/golden/sql/new.parquet"};
	/* Subject athlete-1 withdrew research at 15; athlete-2's coaching was evaluated (20) after the change (5). */
	static const struct sql_hidden hidden[] = {{{"athlete-1", 9}, {"research", 8}, 15},
		{{"athlete-2", 9}, {"coaching", 8}, 5}, {{"o'brien", 7}, {"research", 8}, 99}};
	struct world *world = calloc(1, sizeof *world);
	struct weir_error err = WEIR_ERROR_INIT;
	assert_int_equal(sql_open(&(struct sql_options){.threads = 1}, &world->sql, &err), 0);
	snprintf(world->lookup, sizeof world->lookup, "/tmp/weir-session-XXXXXX");
	int file = mkstemp(world->lookup);
	assert_int_equal(write(file, "a,b\n1,2\n", 8), 8);
	close(file);
	assert_int_equal(sql_load_lookup(world->sql, WEIR_STR("pairs"), world->lookup, &err), 0);
	for (int i = 0; i < 2; i++) {
		world->paths[i] = realpath(names[i], NULL);
		assert_non_null(world->paths[i]);
		world->files[i] = weir_str_from(world->paths[i]);
	}
	static const struct sql_deleted deleted[] = {{1, 0, 2}, {0, 5, 6}, {0, 1, 2}};
	const struct sql_view views[] = {
		{.ns = WEIR_STR("gold"),
			.name = WEIR_STR("readings"),
			.schema = &schema,
			.files = world->files,
			.file_count = 2,
			.subject_column = WEIR_STR("athlete_id"),
			.hidden = hidden,
			.hidden_count = 3},
		{.ns = WEIR_STR("gold"), .name = WEIR_STR("empty"), .schema = &schema},
		{.ns = WEIR_STR("silver"),
			.name = WEIR_STR("readings"),
			.schema = &schema,
			.files = world->files,
			.file_count = 1},
		{.ns = WEIR_STR("gold"),
			.name = WEIR_STR("less"),
			.schema = &schema,
			.files = world->files,
			.file_count = 2,
			.subject_column = WEIR_STR("athlete_id"),
			.hidden = hidden,
			.hidden_count = 3,
			.deleted = deleted,
			.deleted_count = 3},
		{.ns = WEIR_STR("bronze"),
			.name = WEIR_STR("less"),
			.schema = &schema,
			.files = world->files,
			.file_count = 2,
			.deleted = deleted,
			.deleted_count = 3},
	};
	if (sql_session_new(world->sql, views, 5, &world->session, &err) < 0) {
		char text[1200];
		fail_msg("%s", weir_error_text(&err, text, sizeof text));
	}
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	sql_session_free(world->session);
	sql_close(world->sql);
	unlink(world->lookup);
	free(world->paths[0]);
	free(world->paths[1]);
	free(world);
	return 0;
}

/* All rows as text, "a|b\n"; only string, long and double columns. */
static void query(struct world *world, const char *text, struct weir_buf *out)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql_result *result = NULL;
	struct weir_batch *batch = NULL;
	char message[1200];
	if (sql_session_query(world->session, weir_str_from(text), &result, &err) < 0)
		fail_msg("%s: %s", text, weir_error_text(&err, message, sizeof message));
	const struct weir_schema *columns = sql_result_schema(result);
	out->size = 0;
	while (true) {
		if (sql_result_next(result, &batch, &err) < 0)
			fail_msg("%s: %s", text, weir_error_text(&err, message, sizeof message));
		if (batch == NULL)
			break;
		for (uint32_t row = 0; row < batch->row_count; row++) {
			for (uint32_t i = 0; i < columns->field_count; i++) {
				const struct weir_column *column = &batch->columns[i];
				weir_buf_puts(out, i > 0 ? "|" : "");
				if (!weir_column_is_valid(column, row))
					weir_buf_puts(out, "null");
				else if (columns->fields[i].type == WEIR_STRING)
					weir_buf_printf(out, "%.*s", WEIR_STR_ARG(weir_column_str(column, row)));
				else if (columns->fields[i].type == WEIR_DECIMAL)
					weir_buf_printf(
						out, "%lld", (long long)((const weir_int128 *)column->values)[row]);
				else
					weir_buf_printf(out, "%g", weir_column_double(column, row));
			}
			weir_buf_puts(out, "\n");
		}
		weir_batch_release(batch);
	}
	sql_result_free(result);
	weir_buf_cstr(out);
}

static void test_queries(void **state)
{
	static const struct {
		const char *text, *rows;
	} cases[] = {
		/* athlete-1's research rows (2 of 6) are hidden, athlete-2's coaching rows are not. */
		{"SELECT purpose, athlete_id, count(*) FROM gold.readings GROUP BY ALL ORDER BY ALL",
			"coaching|athlete-0|2\ncoaching|athlete-1|2\ncoaching|athlete-2|2\nresearch|athlete-0|"
			"2\nresearch|athlete-2|2\n"},
		{"SELECT count(*), count(note), min(note) FROM gold.readings", "10|6|a note on reading 0\n"},
		{"SELECT count(*) FROM gold.empty", "0\n"},
		{"SELECT count(*), max(heart_rate) FROM silver.readings;", "6|65\n"},
		{"SELECT raw_metrics['cadence'] FROM silver.readings WHERE event_id = "
		 "'00000000-0000-4000-8000-000000000003'",
			"83\n"},
		/* rows 1 and 5 of the first file, 0 and 1 of the second are deleted; the view has no column more for it */
		{"SELECT right(event_id::VARCHAR, 2) FROM bronze.less ORDER BY 1", "00\n02\n03\n04\n08\n09\n10\n11\n"},
		{"SELECT count(*) FROM gold.less", "7\n"},
		{"SELECT count(*) FROM (DESCRIBE bronze.less)", "8\n"},
		{"SELECT b FROM lookup.pairs WHERE a = 1", "2\n"},
		{"SELECT sum(consent_lsn) AS total, INTERVAL 2 DAY AS i, 5::TINYINT AS t FROM silver.readings",
			"60|2 days|5\n"},
		{"WITH x AS (SELECT 1 AS a), y AS (FROM x) SELECT a FROM y, unnest([1, 2]) ORDER BY a DESC", "1\n1\n"},
		{"SELECT metric(raw_metrics, 'cadence') FROM silver.readings ORDER BY event_id LIMIT 1", "80\n"},
		{"FROM range(3)", "0\n1\n2\n"},
		{"SELECT column_name FROM (DESCRIBE gold.readings) LIMIT 1", "athlete_id\n"},
		{"SELECT table_name FROM information_schema.tables WHERE table_schema = 'silver'", "readings\n"},
	};
	struct weir_buf out = WEIR_BUF_INIT;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		query(*state, cases[i].text, &out);
		if (strcmp(out.data, cases[i].rows) != 0)
			fail_msg("%s gave\n%swanted\n%s", cases[i].text, out.data, cases[i].rows);
	}
	query(*state, "EXPLAIN SELECT * FROM gold.readings", &out);
	assert_true(out.size > 0);
	query(*state, "explain analyze SELECT count(*) FROM gold.readings", &out);
	query(*state, "DESCRIBE gold.readings", &out);
	assert_non_null(strstr(out.data, "heart_rate|DOUBLE"));
	query(*state, "SUMMARIZE gold.readings", &out);
	query(*state, "SHOW TABLES", &out);
	weir_buf_done(&out);
}

/* Each of these must be refused. %s is a file that a view reads. */
static void test_isolation(void **state)
{
	static const char *const cases[] = {
		"SELECT * FROM '%s'",
		"SELECT * FROM \"%s\"",
		"SELECT * FROM read_parquet('%s')",
		"SELECT * FROM parquet_scan(['%s'])",
		"FROM '%s'",
		"DESCRIBE '%s'",
		"SUMMARIZE '%s'",
		"EXPLAIN ANALYZE SELECT * FROM '%s'",
		"EXPLAIN (SELECT * FROM '%s')",
		"EXPLAIN EXPLAIN SELECT * FROM '%s'",
		"WITH \"%s\" AS (SELECT 1) FROM \"%s\"",
		"SELECT (SELECT count(*) FROM '%s')",
		"SELECT * FROM gold.readings WHERE EXISTS (FROM read_parquet('%s'))",
		"SELECT 1; SELECT * FROM '%s'",
		"SELECT * FROM query('FROM ''%s''')",
		"SELECT * FROM query_table('%s')",
		"PIVOT '%s' ON purpose USING count(*)",
		"SELECT * FROM parquet_metadata('%s')",
		"COPY gold.readings TO '/tmp/weir-out.csv'",
		"COPY (SELECT 1) TO '/tmp/weir-out.csv'",
		"SELECT * FROM read_csv('/etc/passwd')",
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM read_blob('/etc/passwd')",
		"SELECT * FROM glob('/etc/*')",
		"SELECT * FROM '/etc/passwd'",
		"ATTACH '/tmp/weir-other.db'",
		"ATTACH ':memory:' AS other",
		"INSTALL httpfs",
		"LOAD httpfs",
		"LOAD '/tmp/x.duckdb_extension'",
		"SET threads = 8",
		"SET enable_external_access = true",
		"RESET lock_configuration",
		"PRAGMA threads = 8",
		"PRAGMA database_list",
		"CREATE TABLE t AS SELECT 1",
		"CREATE VIEW v AS FROM gold.readings",
		"INSERT INTO lookup.pairs VALUES (1, 2)",
		"DELETE FROM weir.hidden_0",
		"DROP VIEW gold.readings",
		"SELECT * FROM weir.hidden_0",
		"SELECT * FROM memory.gold.readings",
		"SELECT * FROM duckdb_views()",
		"SELECT * FROM information_schema.views",
		"SELECT * FROM duckdb_settings()",
		"SELECT * FROM weir_rows(0::UBIGINT)",
		"CALL pragma_database_size()",
		"EXPORT DATABASE '/tmp/weir-export'",
		"CHECKPOINT",
		"USE lookup",
		"BEGIN",
		"VACUUM",
		"SELECT * FROM bronze.nothing",
		"SELECT 1; SELECT 2",
		"PREPARE p AS SELECT 1",
		"SELECT getenv('HOME')",
		"SELECT ?",
		"",
		";",
		"-- nothing",
	};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_buf text = WEIR_BUF_INIT;
		for (const char *p = cases[i]; *p != '\0'; p++) {
			if (p[0] == '%' && p[1] == 's') {
				weir_buf_puts(&text, world->paths[0]);
				p++;
			} else {
				weir_buf_putc(&text, *p);
			}
		}
		weir_buf_cstr(&text);
		struct weir_error err = WEIR_ERROR_INIT;
		struct sql_result *result = NULL;
		int code = sql_session_query(world->session, weir_buf_str(&text), &result, &err);
		if (code == 0)
			fail_msg("'%s' was not refused", text.data);
		if (err.message[0] == '\0')
			fail_msg("'%s' gave no message", text.data);
		weir_buf_done(&text);
		weir_arena_free(arena);
	}
	assert_int_not_equal(access("/tmp/weir-out.csv", F_OK), 0);
	assert_int_not_equal(access("/tmp/weir-export", F_OK), 0);
}

static void test_errors(void **state)
{
	struct world *world = *state;
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql_result *result = NULL;
	assert_int_equal(
		sql_session_query(world->session, WEIR_STR("SELECT\nheart_rat\nFROM gold.readings"), &result, &err),
		WEIR_E_INPUT);
	assert_string_equal(err.object, "query:2");
	/* A value that fails while it runs is not quoted. */
	struct weir_batch *batch = NULL;
	err = WEIR_ERROR_INIT;
	int code = sql_session_query(
		world->session, WEIR_STR("SELECT athlete_id::BIGINT FROM gold.readings"), &result, &err);
	if (code == 0) {
		code = sql_result_next(result, &batch, &err);
		sql_result_free(result);
	}
	assert_int_equal(code, WEIR_E_INPUT);
	assert_null(strstr(err.message, "athlete-"));
}

struct interrupter {
	struct sql_session *session;
	unsigned after_us;
	bool done; /* atomic */
};

/* DuckDB's own words name settings that nobody can make here, and that it would like to write to a disk. */
static void test_memory_ends(void **state)
{
	struct world *world = *state;
	struct weir_error err = WEIR_ERROR_INIT;
	struct sql_result *result = NULL;
	struct weir_batch *batch = NULL;
	int code = sql_session_query(world->session,
		WEIR_STR("SELECT i, count(*) FROM range(40000000) t(i) GROUP BY i ORDER BY i"), &result, &err);
	while (code == 0 && (code = sql_result_next(result, &batch, &err)) == 0 && batch != NULL)
		weir_batch_release(batch);
	assert_int_equal(code, WEIR_E_LIMIT);
	assert_string_equal(err.object, "query");
	if (strstr(err.message, "256 MiB") == NULL || strstr(err.message, "WHERE") == NULL)
		fail_msg("%s", err.message);
	sql_result_free(result);
}

static void *interrupt_soon(void *argument)
{
	struct interrupter *interrupter = argument;
	while (!__atomic_load_n(&interrupter->done, __ATOMIC_ACQUIRE)) {
		usleep(interrupter->after_us);
		sql_session_interrupt(interrupter->session);
	}
	return NULL;
}

/* Wherever it is: in its planning, and while it runs. */
static void test_interrupt(void **state)
{
	static const unsigned after_us[] = {1, 100, 1000, 100000};
	struct world *world = *state;
	for (size_t i = 0; i < sizeof after_us / sizeof after_us[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct sql_result *result = NULL;
		struct weir_batch *batch = NULL;
		struct interrupter interrupter = {.session = world->session, .after_us = after_us[i]};
		pthread_t thread;
		pthread_create(&thread, NULL, interrupt_soon, &interrupter);
		int code = sql_session_query(world->session,
			WEIR_STR("SELECT sum(a.range * b.range) FROM range(1000000) a, range(100000) b"), &result,
			&err);
		if (code == 0) {
			code = sql_result_next(result, &batch, &err);
			sql_result_free(result);
		}
		__atomic_store_n(&interrupter.done, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
		assert_int_equal(code, WEIR_E_CANCELLED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_queries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_isolation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
