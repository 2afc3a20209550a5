/*
 * The lake's fsck on a small lake that the real engine made: sound as it is, and each way of breaking it is named.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "jobs/check.h"

#define CUSTOMERS      20
#define VISITS         30 /* each */
#define LATE_CUSTOMER  CUSTOMERS
#define LATE_VISITS    (VISITS / 2)
#define EVENTS         (CUSTOMERS * VISITS + LATE_VISITS)
#define ANALYTICS_ROWS (9 * VISITS + LATE_VISITS) /* customers 0..8, and the late one */

struct fixture {
	char data[64];
	struct lake *lake;
	struct engine *engine;
	json_t *answer; /* of the last check */
	uint32_t group_rows;
};

/* ---- the lake ---- */

static void must(int status, const struct weir_error *err)
{
	char text[1200];
	if (status != 0)
		fail_msg("%s", weir_error_text(err, text, sizeof text));
}

static void post(struct fixture *fixture, const struct weir_buf *body)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct ingest_request request = {
		.stream = 0, .channel = WEIR_STR("batch"), .body = weir_buf_str(body), .events_only = true};
	struct ingest_result result = {0};
	must(ingest_post_wait(engine_ingest(fixture->engine), &request, arena, &result, &err), &err);
	weir_arena_free(arena);
}

static void put_visit(struct weir_buf *body, unsigned customer, unsigned visit)
{
	static const char *const pages[] = {"/shoes/trail", "/shoes/road", "/jackets/rain", "/watches/gps", "/nowhere"};
	weir_buf_printf(body,
		"{\"visit_id\": \"%08x-0000-4000-8000-%012x\", \"customer_id\": \"customer-%02u\","
		" \"visited_at\": \"2025-%02u-%02uT08:00:00Z\", \"page\": \"%s\", \"amount\": %u}\n",
		visit * 2654435761U, customer, customer, visit % 3 + 1, visit % 28 + 1, pages[(customer + visit) % 5],
		visit);
}

/* customer 0..9: analytics; 10..14: personalisation for shoes; all others: nothing */
static void put_rule(struct fixture *fixture, unsigned customer, const char *purpose, const char *dimensions)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct consent *consent = engine_consent(fixture->engine, 0);
	struct consent_rule rule;
	struct consent_problem problem;
	struct consent_changed changed;
	char *text = weir_arena_printf(arena,
		"{\"userId\": \"customer-%02u\", \"ruleId\": \"default\", \"effect\": \"permit\", \"dimensions\": "
		"{\"purpose\":"
		" {\"operator\": \"IN\", \"values\": [{\"value\": \"%s\"}]}%s}}",
		customer, purpose, dimensions);
	must(consent_rule_parse(consent_vocabulary_of(consent), arena, weir_str_from(text), &rule, &problem, &err),
		&err);
	struct consent_change change = {.kind = CONSENT_CHANGE_POST, .rule = &rule};
	must(consent_append(consent, &change, 1, &changed, &err), &err);
	weir_arena_free(arena);
}

static void withdraw(struct fixture *fixture, const char *customer, uint32_t purpose)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent_change change = {
		.kind = CONSENT_CHANGE_WITHDRAW, .subject = weir_str_from(customer), .purpose = purpose};
	struct consent_changed changed;
	must(consent_append(engine_consent(fixture->engine, 0), &change, 1, &changed, &err), &err);
}

static void flush(struct fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	must(engine_flush(fixture->engine, &err), &err);
}

static void settle(struct fixture *fixture)
{
	struct weir_error err = WEIR_ERROR_INIT;
	must(engine_settle(fixture->engine, false, &err), &err);
}

static uint32_t table_of(const struct fixture *fixture, const char *ns)
{
	uint32_t table = lake_find_table(fixture->lake, weir_str_from(ns), WEIR_STR("visits"));
	assert_int_not_equal(table, UINT32_MAX);
	return table;
}

/* Epochs, one of them with a repeat and an event that is refused, and a withdrawal between two, so that history has
 * rows. The last customer comes in the second epoch. */
static void fill(struct fixture *fixture)
{
	struct weir_buf body = WEIR_BUF_INIT;
	for (unsigned customer = 0; customer < 10; customer++)
		put_rule(fixture, customer, "analytics", "");
	for (unsigned customer = 10; customer < 15; customer++)
		put_rule(fixture, customer, "personalisation",
			", \"category\": {\"operator\": \"EQUALS\", \"value\": \"shoes\"}");
	put_rule(fixture, LATE_CUSTOMER, "analytics", "");
	for (unsigned visit = 0; visit < VISITS; visit++) {
		for (unsigned customer = 0; customer < CUSTOMERS; customer++)
			put_visit(&body, customer, visit);
		if (visit >= VISITS / 2)
			put_visit(&body, LATE_CUSTOMER, visit);
		if (visit + 1 != VISITS / 2 && visit + 1 != VISITS)
			continue;
		post(fixture, &body);
		flush(fixture);
		body.size = 0;
		if (visit + 1 == VISITS / 2) {
			withdraw(fixture, "customer-09", 0);
			settle(fixture);
		}
	}
	put_visit(&body, 3, 3);
	weir_buf_puts(&body, "{\"visit_id\": \"nonsense\"}\n");
	post(fixture, &body);
	flush(fixture);
	weir_buf_done(&body);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct weir_error err = WEIR_ERROR_INIT;
	struct engine_options options = {.no_background = true};
	snprintf(fixture->data, sizeof fixture->data, "/tmp/weir-check-XXXXXX");
	assert_non_null(mkdtemp(fixture->data));
	must(lake_read("tests/lakes/shop", fixture->data, &fixture->lake, &err), &err);
	/* Silver in gold's order, and one partition, so that what is broken below is there to be broken. */
	struct lake_table *silver = (struct lake_table *)(uintptr_t)&fixture->lake->tables[table_of(fixture, "silver")];
	silver->sort = fixture->lake->tables[table_of(fixture, "gold")].sort;
	silver->sort_count = fixture->lake->tables[table_of(fixture, "gold")].sort_count;
	must(engine_open(fixture->lake, &options, &fixture->engine, &err), &err);
	fill(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	json_decref(fixture->answer);
	engine_close(fixture->engine);
	lake_free(fixture->lake);
	snprintf(command, sizeof command, "rm -rf '%s'", fixture->data);
	if (system(command) != 0)
		print_message("%s is left behind\n", fixture->data);
	free(fixture);
	return 0;
}

/* ---- checking ---- */

static bool check_with(struct fixture *fixture, struct weir_clock clock)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	struct consent *consents[] = {engine_consent(fixture->engine, 0)};
	struct check_config config = {.lake = fixture->lake,
		.control = engine_control(fixture->engine),
		.registry = engine_registry(fixture->engine),
		.consents = consents,
		.clock = clock,
		.dead_letters_table = fixture->lake->table_count,
		.audit_table = fixture->lake->table_count + 1,
		.group_rows = fixture->group_rows};
	bool sound = false;
	must(jobs_check(&config, &json, &sound, &err), &err);
	json_decref(fixture->answer);
	fixture->answer = json_loadb(out.data, out.size, 0, NULL);
	assert_non_null(fixture->answer);
	assert_int_equal(json_is_true(json_object_get(fixture->answer, "sound")), sound);
	assert_null(memmem(out.data, out.size, "customer-", 9)); /* no subject is named */
	weir_buf_done(&out);
	return sound;
}

static bool check(struct fixture *fixture)
{
	return check_with(fixture, weir_clock_system());
}

static const char *broken(const struct fixture *fixture, const char *member)
{
	const char *text = json_string_value(json_object_get(json_object_get(fixture->answer, "break"), member));
	return text != NULL ? text : "";
}

static void assert_sound(struct fixture *fixture)
{
	if (!check(fixture))
		fail_msg("not sound: %s", json_dumps(json_object_get(fixture->answer, "break"), 0));
}

static void assert_break(struct fixture *fixture, const char *check_name, const char *what, const char *table)
{
	if (check(fixture))
		fail_msg("the lake is called sound, but: %s", what);
	if (strcmp(broken(fixture, "check"), check_name) != 0 || strstr(broken(fixture, "what"), what) == NULL ||
		strcmp(broken(fixture, "table"), table) != 0)
		fail_msg("expected %s of %s (%s), got %s", check_name, table, what,
			json_dumps(json_object_get(fixture->answer, "break"), 0));
}

static int64_t proved(const struct fixture *fixture, const char *check_name, const char *member)
{
	size_t at;
	const json_t *entry;
	json_array_foreach(json_object_get(fixture->answer, "proved"), at,
		entry) if (strcmp(json_string_value(json_object_get(entry, "check")), check_name) ==
		0) return json_integer_value(json_object_get(entry, member));
	fail_msg("nothing is proved of %s", check_name);
	return -1;
}

static void sql(struct fixture *fixture, const char *text)
{
	sqlite3 *db;
	char path[128];
	snprintf(path, sizeof path, "%s/control.db", fixture->data);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	assert_true(sqlite3_changes(db) > 0);
	sqlite3_close(db);
}

/* ---- tests ---- */

static void test_sound(void **state)
{
	struct fixture *fixture = *state;
	assert_sound(fixture);
	assert_int_equal(proved(fixture, "counters", "accepted"), EVENTS);
	assert_int_equal(proved(fixture, "counters", "duplicates"), 1);
	assert_int_equal(proved(fixture, "counters", "dead_letters"), 1);
	assert_int_equal(proved(fixture, "consent", "silver_rows"), EVENTS);
	assert_int_equal(proved(fixture, "consent", "gold_rows"), ANALYTICS_ROWS + 5 * VISITS * 2 / 5);
	assert_int_equal(proved(fixture, "consent", "permitted"), ANALYTICS_ROWS + 5 * VISITS * 2 / 5);
	assert_int_equal(proved(fixture, "history", "rows"), VISITS / 2);
	assert_int_equal(proved(fixture, "files", "rows"),
		2 * EVENTS + 1 + VISITS / 2 + proved(fixture, "consent", "gold_rows"));
	assert_int_equal(json_integer_value(json_object_get(fixture->answer, "open_tasks")), 0);
}

/* The same by way of the engine. */
static void test_engine_check(void **state)
{
	struct fixture *fixture = *state;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	bool sound = false;
	must(engine_check(fixture->engine, &json, &sound, &err), &err);
	assert_true(sound);
	weir_buf_done(&out);
}

/* In groups of few rows, by subjects and by parts of all subjects: the same numbers, and breaks are found. */
static void test_groups(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned sorted = 2; sorted-- > 0;) {
		struct lake_table *gold =
			(struct lake_table *)(uintptr_t)&fixture->lake->tables[table_of(fixture, "gold")];
		gold->sort_count = sorted * gold->sort_count;
		for (fixture->group_rows = 1; fixture->group_rows < 700; fixture->group_rows += 37) {
			assert_sound(fixture);
			assert_int_equal(proved(fixture, "consent", "gold_rows"), ANALYTICS_ROWS + 5 * VISITS * 2 / 5);
		}
	}
	sql(fixture, "DELETE FROM weir_consent_rules WHERE subject = 'customer-04'");
	for (fixture->group_rows = 1; fixture->group_rows < 700; fixture->group_rows += 37)
		assert_break(fixture, "consent", "not permitted", "gold.visits");
}

/* Tasks that are open excuse their pairs, and are counted. */
static void test_open_tasks(void **state)
{
	struct fixture *fixture = *state;
	withdraw(fixture, "customer-20", 0);
	assert_sound(fixture);
	assert_int_equal(json_integer_value(json_object_get(fixture->answer, "open_tasks")), 1);
	assert_int_equal(proved(fixture, "consent", "excused_by_tasks"), LATE_VISITS);
	settle(fixture);
	put_rule(fixture, 15, "analytics", "");
	assert_sound(fixture);
	assert_int_equal(json_integer_value(json_object_get(fixture->answer, "open_tasks")), 1);
	assert_int_equal(proved(fixture, "consent", "excused_by_tasks"), VISITS);
	settle(fixture);
	assert_sound(fixture);
	assert_int_equal(json_integer_value(json_object_get(fixture->answer, "open_tasks")), 0);
	assert_int_equal(proved(fixture, "consent", "excused_by_tasks"), 0);
	assert_int_equal(proved(fixture, "history", "rows"), VISITS / 2 + LATE_VISITS);
}

/* Rows of control.db that somebody changed. */
static void test_control(void **state)
{
	static const struct {
		const char *sql, *check, *what, *table;
	} cases[] = {
		{"UPDATE weir_counters SET count = count + 1 WHERE result = 'accepted'", "counters",
			"not all accounted for", "control"},
		{"UPDATE weir_counters SET count = count - 1 WHERE result = 'accepted'", NULL, NULL, NULL},
		{"UPDATE weir_offsets SET next_offset = next_offset + 1", "counters", "not all accounted for",
			"control"},
		{"UPDATE weir_counters SET count = count + 1 WHERE result = 'accepted'", "counters",
			"bronze does not have", "bronze.visits"},
		{"UPDATE weir_counters SET count = CASE result WHEN 'accepted' THEN count - 1 ELSE count + 1 END"
		 " WHERE result IN ('accepted', 'dead_letter')",
			"counters", "dead letters are not all there", "bronze.dead_letters"},
		{"UPDATE weir_counters SET count = CASE result WHEN 'dead_letter' THEN count - 1 ELSE count END",
			"counters", "not all accounted for", "control"},
		{"UPDATE weir_offsets SET next_offset = next_offset - 1", NULL, NULL, NULL},
		{"INSERT INTO weir_fence VALUES ('customer-02', 'analytics', 3)", "consent log",
			"fence without an open task", "control"},
		{"DELETE FROM weir_fence", NULL, NULL, NULL},
		{"DELETE FROM weir_consent_withdrawals", "consent log", "no longer stand", "control"},
		{"INSERT INTO weir_consent_withdrawals SELECT subject, purpose, lsn FROM weir_consent_log WHERE kind = "
		 "'withdraw'",
			NULL, NULL, NULL},
		{"UPDATE weir_consent_rules SET body = replace(body, 'analytics', 'personalisation')"
		 " WHERE subject = 'customer-04'",
			"consent log", "not what the consent log posted", "control"},
		{"UPDATE weir_consent_log SET body = replace(body, 'analytics', 'personalisation')"
		 " WHERE subject = 'customer-04'",
			"consent", "not permitted", "gold.visits"},
		{"UPDATE weir_consent_rules SET subject = 'customer-19' WHERE subject = 'customer-04'", "consent log",
			"not what the consent log posted", "control"},
		{"DELETE FROM weir_consent_rules WHERE subject IN ('customer-04', 'customer-19')", "consent",
			"not permitted", "gold.visits"},
		{"DELETE FROM weir_consent_log WHERE lsn = 2", "consent log", "", "control"},
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		sql(fixture, cases[i].sql);
		if (cases[i].check != NULL)
			assert_break(fixture, cases[i].check, cases[i].what, cases[i].table);
		else
			assert_sound(fixture);
		if (cases[i].check != NULL && strcmp(cases[i].check, "consent") == 0) {
			assert_string_not_equal(broken(fixture, "trace_id"), "");
			assert_string_not_equal(broken(fixture, "file"), "");
			assert_string_equal(broken(fixture, "purpose"), "analytics");
		}
	}
}

/* A rule that was posted behind the engine's back: what it permits is not in gold. */
static void test_permitted_and_absent(void **state)
{
	struct fixture *fixture = *state;
	sql(fixture,
		"INSERT INTO weir_consent_log SELECT lsn + 100, at_us, kind, 'customer-18', rule_id, purpose, "
		"version, body"
		" FROM weir_consent_log WHERE subject = 'customer-00' AND kind = 'post'");
	sql(fixture,
		"UPDATE weir_consent_log SET lsn = (SELECT COUNT(*) FROM weir_consent_log) WHERE subject = "
		"'customer-18'");
	sql(fixture,
		"INSERT INTO weir_consent_rules SELECT subject, rule_id, version, lsn, body FROM weir_consent_log"
		" WHERE subject = 'customer-18'");
	assert_break(fixture, "consent", "a permitted row is not in gold", "silver.visits");
	assert_string_equal(broken(fixture, "purpose"), "analytics");
}

/* The path of the i-th live data file of a table. */
static char *live_file(struct fixture *fixture, const char *ns, char path[STORE_NAME_MAX])
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = ice_registry_table(engine_registry(fixture->engine), table_of(fixture, ns));
	struct ice_file_list *files;
	must(ice_plan(table, -1, NULL, &files, &err), &err);
	assert_true(files->count > 0);
	struct weir_str uri = files->files[0]->path;
	assert_true(weir_str_has_prefix(uri, WEIR_STR("file://")));
	snprintf(path, STORE_NAME_MAX, "%.*s", (int)uri.size - 7, uri.data + 7);
	ice_file_list_free(files);
	ice_table_unref(table);
	return path;
}

static const char *last_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static void test_file_gone(void **state)
{
	struct fixture *fixture = *state;
	char path[STORE_NAME_MAX];
	assert_int_equal(unlink(live_file(fixture, "gold", path)), 0);
	assert_break(fixture, "files", "missing", "gold.visits");
	assert_non_null(strstr(broken(fixture, "file"), last_name(path)));
}

static void test_file_cut(void **state)
{
	struct fixture *fixture = *state;
	char path[STORE_NAME_MAX];
	struct stat info;
	assert_int_equal(stat(live_file(fixture, "silver", path), &info), 0);
	assert_int_equal(truncate(path, info.st_size - 100), 0);
	assert_break(fixture, "files", "another size", "silver.visits");
	assert_non_null(strstr(broken(fixture, "file"), last_name(path)));
}

/* The size is right and the bytes are not. */
static void test_file_overwritten(void **state)
{
	struct fixture *fixture = *state;
	char path[STORE_NAME_MAX], zeros[64] = "";
	struct stat info;
	assert_int_equal(stat(live_file(fixture, "bronze", path), &info), 0);
	int file = open(path, O_WRONLY);
	assert_int_equal(pwrite(file, zeros, sizeof zeros, info.st_size - 80), sizeof zeros);
	close(file);
	assert_false(check(fixture));
	assert_non_null(strstr(broken(fixture, "file"), last_name(path)));
}

/* Writes a file of this age into the warehouse. */
static void put_file(struct fixture *fixture, const char *name, int minutes)
{
	char path[STORE_NAME_MAX];
	snprintf(path, sizeof path, "%s/warehouse/gold/visits/data/%s", fixture->data, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	struct timespec times[2];
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= 60 * minutes;
	times[1] = times[0];
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_orphan(void **state)
{
	struct fixture *fixture = *state;
	struct weir_arena *arena = weir_arena_new(0);
	char from[STORE_NAME_MAX], to[STORE_NAME_MAX];
	put_file(fixture, "young.parquet", 9);
	assert_sound(fixture);
	put_file(fixture, "waits.parquet", 60);
	put_file(fixture, "0123456789abcdefghjkmnpqrs-1.parquet", 60);
	sql(fixture, "INSERT INTO weir_doomed_files VALUES ('gold/visits/data/waits.parquet', 0)");
	sql(fixture, "INSERT INTO weir_pending_files VALUES ('0123456789abcdefghjkmnpqrs', 0)");
	assert_sound(fixture);
	/* Another engine's table is its own business. */
	put_file(fixture, "../../../mine.json", 60);
	assert_false(check(fixture));
	sql(fixture,
		weir_arena_printf(arena,
			"INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, "
			"metadata_location, iceberg_type) VALUES"
			" ('weir', 'lab', 'mine', 'file://%s/warehouse/lab/mine/metadata/1.json', 'TABLE')",
			fixture->data));
	snprintf(from, sizeof from, "%s/warehouse/mine.json", fixture->data);
	snprintf(to, sizeof to, "%s/warehouse/lab", fixture->data);
	mkdir(to, 0700);
	snprintf(to, sizeof to, "%s/warehouse/lab/mine", fixture->data);
	mkdir(to, 0700);
	snprintf(to, sizeof to, "%s/warehouse/lab/mine/1.json", fixture->data);
	assert_int_equal(rename(from, to), 0);
	assert_sound(fixture);
	put_file(fixture, "old.parquet", 11);
	assert_break(fixture, "orphans", "nothing names this file", "");
	assert_string_equal(broken(fixture, "file"), "gold/visits/data/old.parquet");
	weir_arena_free(arena);
}

/* ---- manifests that do not tell the truth ---- */

enum lie { LIE_ROWS, LIE_PARTITION, LIE_UPPER, LIE_LOWER, LIE_NULLS, LIE_TWICE, LIE_SWAPPED, LIE_LOST };

static struct ice_column_metrics *metrics_of(
	struct ice_data_file *file, const struct weir_schema *schema, const char *column)
{
	int32_t id = schema->fields[weir_schema_find(schema, weir_str_from(column))].id;
	for (uint32_t i = 0; i < file->metric_count; i++)
		if (file->metrics[i].field_id == id)
			return &file->metrics[i];
	fail_msg("no metrics of %s", column);
	return NULL;
}

static void tell(enum lie lie, struct ice_data_file *file, const struct weir_schema *schema)
{
	struct ice_column_metrics *customer = metrics_of(file, schema, "customer_id");
	switch (lie) {
	case LIE_ROWS:
		file->record_count++;
		break;
	case LIE_PARTITION:
		file->partition[0].value.u.text = weir_str_is(file->partition[0].value.u.text, "analytics")
			? WEIR_STR("personalisation")
			: WEIR_STR("analytics");
		break;
	case LIE_UPPER:
		customer->upper = WEIR_STR("customer");
		break;
	case LIE_LOWER:
		customer->lower = WEIR_STR("d");
		customer->upper = WEIR_STR("e");
		break;
	case LIE_NULLS:
		customer->null_count++;
		break;
	default:
		break;
	}
}

/* Replaces a data file by its own copy, with another entry in the manifest. */
static void lie(struct fixture *fixture, const char *ns, enum lie lie)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_registry *registry = engine_registry(fixture->engine);
	struct ice_table *table = ice_registry_table(registry, table_of(fixture, ns));
	struct ice_file_list *files;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf bytes = WEIR_BUF_INIT;
	struct weir_str name;
	must(ice_plan(table, -1, NULL, &files, &err), &err);
	uint32_t from = 0; /* the file that is copied: another of as many rows, or the very one that is replaced */
	if (lie == LIE_SWAPPED)
		for (from = 1; from < files->count; from++)
			if (files->files[from]->record_count == files->files[0]->record_count)
				break;
	assert_true(from < files->count);
	struct ice_data_file *copy = ice_data_file_copy(arena, files->files[from]);
	if (lie != LIE_LOST) {
		must(store_name_of(ice_registry_store(registry), arena, copy->path, &name, &err), &err);
		must(store_read_all(ice_registry_store(registry), name.data, 1 << 20, &bytes, &err), &err);
		name = weir_str_from(weir_arena_printf(arena, "%s/visits/data/copy.parquet", ns));
		must(store_put(ice_registry_store(registry), name.data, bytes.data, bytes.size, &err), &err);
		copy->path = store_uri(ice_registry_store(registry), arena, name);
	}
	tell(lie, copy, ice_table_schema(table));
	struct ice_commit_part part = {.table = table_of(fixture, ns),
		.edit = {.operation = ICE_OP_OVERWRITE,
			.added = copy,
			.added_count = lie != LIE_LOST,
			.removed = &files->files[0]->path,
			.removed_count = lie != LIE_TWICE,
			.prefix = WEIR_STR("liar"),
			.now_ms = 1,
			.erase = lie == LIE_LOST}};
	must(ice_commit(registry, CONTROL_EPOCH, &part, 1, NULL, NULL, NULL, NULL, &err), &err);
	weir_buf_done(&bytes);
	weir_arena_free(arena);
	ice_file_list_free(files);
	ice_table_unref(table);
}

/* ---- a removal beside the check ---- */

struct removing {
	struct fixture *fixture;
	unsigned calls;
};

/* The check asks for the time once an attempt: before the second, the commit that erased the file has happened. */
static int64_t commit_before_second(void *self)
{
	struct removing *removing = self;
	struct weir_clock clock = weir_clock_system();
	if (++removing->calls == 2)
		lie(removing->fixture, "history", LIE_LOST);
	return weir_now_us(&clock);
}

static void test_removal_meanwhile(void **state)
{
	struct fixture *fixture = *state;
	struct removing removing = {.fixture = fixture};
	struct weir_clock clock = weir_clock_system();
	char path[STORE_NAME_MAX];
	live_file(fixture, "history", path);
	clock.now_us = commit_before_second;
	clock.self = &removing;
	assert_int_equal(unlink(path), 0);
	assert_true(check_with(fixture, clock));
	assert_int_equal(removing.calls, 2);
	assert_true(proved(fixture, "history", "rows") < VISITS / 2);
}

static const struct lying {
	const char *ns;
	enum lie lie;
	const char *check, *what, *table;
} lies[] = {
	{"gold", LIE_ROWS, "files", "another number of rows", "gold.visits"},
	{"gold", LIE_PARTITION, "files", "wrong partition of purpose", "gold.visits"},
	{"gold", LIE_UPPER, "files", "upper bound is below", "gold.visits"},
	{"gold", LIE_LOWER, "files", "lower bound is above", "gold.visits"},
	{"gold", LIE_NULLS, "files", "count of nulls", "gold.visits"},
	{"gold", LIE_TWICE, "consent", "more than once", "gold.visits"},
	{"gold", LIE_LOST, "consent", "a permitted row is not in gold", "silver.visits"},
	{"silver", LIE_TWICE, "counters", "silver does not have", "silver.visits"},
	{"silver", LIE_LOST, "counters", "silver does not have", "silver.visits"},
};

static void test_lies(void **state)
{
	for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		lie(*state, lies[i].ns, lies[i].lie);
		assert_break(*state, lies[i].check, lies[i].what, lies[i].table);
	}
}

/* Rows that do not lie as the table declares: named last; consent is proved all the same. */
static void test_order(void **state)
{
	static const struct weir_str by_page[] = {{"page", 4}};
	struct fixture *fixture = *state;
	struct lake_table *gold = (struct lake_table *)(uintptr_t)&fixture->lake->tables[table_of(fixture, "gold")];
	gold->sort = by_page;
	gold->sort_count = 1;
	assert_break(fixture, "order", "not in the order", "gold.visits");
	assert_int_equal(proved(fixture, "consent", "silver_rows"), EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_engine_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_tasks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_control, setup, teardown),
		cmocka_unit_test_setup_teardown(test_permitted_and_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_orphan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
