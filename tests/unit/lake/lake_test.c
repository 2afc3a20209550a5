/* lake.yaml: what the two lakes say, defaults, and that each wrong key or value is named with its place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/os.h"
#include "base/time.h"
#include "lake/lake.h"

static struct lake *read_lake(const char *path, const char *data)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct lake *lake = NULL;
	char text[1200];
	if (lake_read(path, data, &lake, &err) < 0)
		fail_msg("%s", weir_error_text(&err, text, sizeof text));
	return lake;
}

static void assert_str(struct weir_str text, const char *wanted)
{
	if (!weir_str_is(text, wanted))
		fail_msg("'%.*s' is not '%s'", WEIR_STR_ARG(text), wanted);
}

static void test_athlete(void **state)
{
	(void)state;
	struct lake *lake = read_lake("lakes/athlete", "/tmp/weir-x");
	assert_str(lake->name, "athlete");
	assert_str(lake->listen, "127.0.0.1:8080");
	assert_string_equal(lake->warehouse, "/tmp/weir-x/warehouse");
	assert_string_equal(lake->control, "/tmp/weir-x/control.db");
	assert_string_equal(lake->path, "lakes/athlete/lake.yaml");
	assert_int_equal(lake->log_partitions, 2);
	assert_int_equal(lake->lookup_count, 2);
	assert_int_equal(access(lake->lookups[1].path, R_OK), 0);

	assert_int_equal(lake->stream_count, 1);
	const struct lake_stream *stream = &lake->streams[0];
	assert_str(stream->id, "event_id");
	assert_str(stream->key, "athlete_id");
	assert_str(stream->time, "timestamp");
	assert_true(stream->schema.size > 100);
	assert_int_equal(stream->dedup_us, WEIR_US_PER_DAY);
	assert_int_equal(stream->late_delay_us, 5 * WEIR_US_PER_MINUTE);
	assert_int_equal(stream->late_idle_us, 30 * WEIR_US_PER_SECOND);
	assert_false(stream->beyond_dead_letter);
	assert_int_equal(stream->epoch_bytes, 64 << 20);
	assert_int_equal(stream->channel_count, 4);
	assert_str(stream->channels[0].name, "api");
	assert_int_equal(stream->channels[0].kind, LAKE_LIVE);
	assert_str(stream->channels[3].name, "dlq");
	assert_int_equal(stream->channels[3].kind, LAKE_HISTORY);
	assert_int_equal(stream->input_count, 5);
	assert_str(stream->inputs[0].name, "whoop");
	assert_int_equal(stream->inputs[0].when_count, 2);
	assert_str(stream->inputs[0].ask[0], "athlete_id");
	assert_int_equal(stream->inputs[1].format_count, 4);
	assert_int_equal(stream->inputs[1].sql.size, 0);

	assert_int_equal(lake->table_count, 4);
	uint32_t gold = lake_find_table(lake, WEIR_STR("gold"), WEIR_STR("athlete_data"));
	assert_int_equal(gold, 2);
	const struct lake_table *table = &lake->tables[gold];
	assert_int_equal(table->kind, LAKE_GOLD);
	assert_int_equal(table->from, 1);
	assert_int_equal(table->partition_count, 4);
	assert_str(table->partition[0].transform, "identity");
	assert_str(table->partition[3].transform, "day");
	assert_str(table->partition[3].column, "timestamp");
	assert_int_equal(table->landing_count, 1);
	assert_int_equal(table->file_target_bytes, 128 << 20);
	assert_int_equal(table->own_partition_from_bytes, 8 << 20);
	assert_int_equal(table->keep_snapshots, 100);
	assert_int_equal(lake->tables[0].keep_us, 7 * 365 * WEIR_US_PER_DAY);
	const struct lake_table *history = &lake->tables[lake_stream_table(lake, 0, LAKE_HISTORY_OF)];
	assert_int_equal(history->from, gold);
	assert_int_equal(history->consent, 0);
	assert_int_equal(history->partition_count, 1); /* by the landing of gold */
	assert_str(history->readers[0], "auditor");

	const struct lake_consent *consent = &lake->consents[0];
	assert_int_equal(consent->purpose_count, 4);
	assert_int_equal(consent->dimension_count, 5);
	assert_int_equal(consent->dimensions[3].kind, LAKE_DIM_TIME);
	assert_str(consent->dimensions[3].until, "period_end");
	assert_int_equal(consent->dimensions[4].kind, LAKE_DIM_METRICS);
	assert_int_equal(consent->dimensions[4].column_count, 3);
	assert_str(consent->dimensions[4].map, "raw_metrics");
	assert_int_equal(consent->erase_within_us, 60 * WEIR_US_PER_SECOND);

	const struct lake_query *query = &lake->queries[0];
	assert_str(query->route, "/api/query");
	assert_int_equal(query->table, gold);
	assert_int_equal(query->limit_max, 100000);
	assert_int_equal(query->where_count, 5);
	assert_str(query->where[1].parameter, "event");
	assert_str(query->where[1].column, "event_context");
	assert_str(query->where[1].op, "=");
	assert_str(query->where[3].column, "timestamp");
	assert_str(query->where[3].op, ">=");
	lake_free(lake);
}

/* Another subject, tables in another order, and defaults. */
static void test_shop(void **state)
{
	(void)state;
	struct lake *lake = read_lake("tests/lakes/shop/lake.yaml", NULL);
	char *here = getcwd(NULL, 0), wanted[4096];
	snprintf(wanted, sizeof wanted, "%s/weir-data/shop", here);
	assert_string_equal(lake->data, wanted);
	free(here);
	assert_true(lake->streams[0].beyond_dead_letter);
	assert_int_equal(lake->streams[0].late_idle_us, 30 * WEIR_US_PER_SECOND);
	assert_int_equal(lake->streams[0].input_count, 1);
	assert_str(lake->streams[0].inputs[0].name, "event");
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(lake->tables[i].kind, i);
	assert_int_equal(lake->tables[3].from, 2);
	assert_str(lake->tables[1].partition[0].transform, "month");
	assert_int_equal(lake->tables[3].keep_us, 0);
	assert_int_equal(lake->consents[0].dimensions[1].kind, LAKE_DIM_NUMBER);
	assert_int_equal(lake->consents[0].dimensions[2].kind, LAKE_DIM_BOOLEAN);
	assert_int_equal(lake_find_stream(lake, WEIR_STR("nothing")), UINT32_MAX);
	lake_free(lake);
}

/* ---- wrong files ---- */

struct change {
	const char *from, *to;  /* the first `from` becomes `to` */
	int code, line, column; /* line 0: no place is looked for */
	const char *message;    /* is in the message */
};

static const struct change changes[] = {
	{"dedup: 24h", "dedpu: 24h", WEIR_E_INPUT, 17, 5, "did you mean 'dedup'?"},
	{"dedup: 24h", "dedup: 24x", WEIR_E_INPUT, 17, 12, "'24x' is not a duration"},
	{"dedup: 24h", "quite_another_key: 24h", WEIR_E_INPUT, 17, 5, "known: schema, id"},
	{"dedup: 24h", "id: event_id", WEIR_E_INPUT, 0, 0, ""},
	{"size: 64MiB", "size: 64MB", WEIR_E_INPUT, 19, 30, "'64MB' is not a size"},
	{"weir: 1 ", "weir: 2 ", WEIR_E_INPUT, 2, 7, "weir: 1"},
	{"lake: athlete", "lake: 9lives", WEIR_E_INPUT, 3, 7, "not a name"},
	{"lake: athlete", "lake:", WEIR_E_INPUT, 2, 1, "no name"},
	{"beyond: keep", "beyond: drop", WEIR_E_INPUT, 18, 71, "unknown choice for beyond: 'drop'"},
	{"api: live", "api: alive", WEIR_E_INPUT, 20, 21, "did you mean 'live'?"},
	{"api: live", "dlq: live", WEIR_E_INPUT, 20, 16, "always there"},
	{"format: fit", "format: fitt", WEIR_E_INPUT, 24, 23, "did you mean 'fit'?"},
	{"format: fit, sql: inputs/fit.sql,", "format: fit,", WEIR_E_INPUT, 24, 7, "no events yet"},
	{"inputs/fit.sql", "inputs/fat.sql", WEIR_E_NOT_FOUND, 24, 33, "inputs/fat.sql"},
	{"log: {kind", "maintain: {every: 10ms}\nlog: {kind", WEIR_E_INPUT, 0, 0, "once a second at most"},
	{"log: {kind", "maintain: {orphans: 10m}\nlog: {kind", WEIR_E_INPUT, 0, 0, "write 1h or more"},
	{"log: {kind", "maintain: {snapshots: {keep: 0}}\nlog: {kind", WEIR_E_INPUT, 0, 0, ""},
	{"log: {kind", "maintain: {snapshot: {keep: 1}}\nlog: {kind", WEIR_E_INPUT, 0, 0, "did you mean 'snapshots'?"},
	{"lookups/sports.csv", "lookups/nothing.csv", WEIR_E_NOT_FOUND, 9, 18, "lookups/nothing.csv"},
	{"schemas/telemetry.schema.json", "nothing.json", WEIR_E_NOT_FOUND, 13, 13, "nothing.json"},
	{"key: athlete_id", "key: athlete", WEIR_E_INPUT, 15, 10, "'athlete' is no property"},
	{"id: event_id", "id: athlete_id", WEIR_E_INPUT, 14, 9, "format uuid"},
	{"when: [score_state", "when: [score_state, score_state", WEIR_E_INPUT, 22, 49, "stands twice"},
	{"raw: true", "raw: maybe", WEIR_E_INPUT, 28, 44, "not true or false"},
	{"raw: true, ", "", WEIR_E_INPUT, 28, 3, "is of no kind"},
	{"from: telemetry, raw", "from: telemetri, raw", WEIR_E_INPUT, 28, 28, "did you mean 'telemetry'?"},
	{"from: silver.telemetry", "from: silver.telemetri", WEIR_E_INPUT, 31, 11, "did you mean 'silver.telemetry'?"},
	{"consent: athlete  ", "consent: athletes  ", WEIR_E_INPUT, 32, 14, "did you mean 'athlete'?"},
	{"day(received_at)", "daily(received_at)", WEIR_E_INPUT, 28, 62, "no partition field"},
	{"day(received_at)", "bucket(0, received_at)", WEIR_E_INPUT, 28, 0, "no partition field"},
	{"bronze.telemetry:", "telemetry:", WEIR_E_INPUT, 28, 3, "NAMESPACE.NAME"},
	{"bronze.telemetry:", "audit.telemetry:", WEIR_E_INPUT, 28, 3, "weir's own"},
	{"bronze.telemetry:", "gold.athlete_data:", WEIR_E_INPUT, 0, 0, ""},
	{"removed: true, readers", "sql: silver.sql, removed: true, readers", WEIR_E_INPUT, 39, 56, "'sql' belongs to"},
	{"subject: athlete_id ", "subjekt: athlete_id ", WEIR_E_INPUT, 42, 5, "did you mean 'subject'?"},
	{"coaching]", "research]", WEIR_E_INPUT, 43, 48, "stands twice"},
	{"type: time", "type: tme", WEIR_E_INPUT, 48, 58, "did you mean 'time'?"},
	{"source: {column: source", "source: {columns: [source]", WEIR_E_INPUT, 47, 0, "type metrics"},
	{"table: gold.athlete_data, order", "table: silver.telemetry, order", WEIR_E_INPUT, 52, 23,
		"known: gold.athlete_data"},
	{"[1000, 100000]", "[1000, 10]", WEIR_E_INPUT, 52, 98, "from 1000"},
	{"timestamp >=", "timestamp >>", WEIR_E_INPUT, 53, 0, "no condition"},
	{"${DATA}/warehouse", "gs://bucket/prefix", WEIR_E_UNSUPPORTED, 5, 13, "s3://bucket/prefix"},
	{"${DATA}/warehouse", "s3://", WEIR_E_INPUT, 5, 13, "names no bucket"},
	{"${DATA}/warehouse", "s3://bucket//prefix", WEIR_E_INPUT, 5, 13, "names no bucket"},
	{"\"${DATA}/warehouse\"", "{uri: /x}", WEIR_E_INPUT, 5, 18, "is a bucket"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, endpoint: localhost}", WEIR_E_INPUT, 5, 38, "http://HOST:PORT"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, sts_endpoint: host}", WEIR_E_INPUT, 5, 42, "http://HOST:PORT"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, style: host}", WEIR_E_INPUT, 5, 35, "unknown style"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, secret_key: hunter2}", WEIR_E_INPUT, 5, 40, "${env:NAME}"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, secret_key: \"${env:HOME}x\"}", WEIR_E_INPUT, 5, 41, "${env:NAME}"},
	{"\"${DATA}/warehouse\"", "{uri: s3://b/p, regoin: x}", WEIR_E_INPUT, 5, 28, "did you mean 'region'?"},
	{"sqlite:${DATA}", "mysql://x", WEIR_E_INPUT, 6, 11, "sqlite:PATH"},
	{"${DATA}/warehouse", "${HOME}/warehouse", WEIR_E_INPUT, 5, 13, "${HOME}"},
	{"${DATA}/warehouse", "${env:WEIR_NO_SUCH}/warehouse", WEIR_E_NOT_FOUND, 5, 13, "WEIR_NO_SUCH"},
	{"partitions: 2", "partitions: 65", WEIR_E_INPUT, 7, 35, "from 1 to 64"},
	{"127.0.0.1:8080", "127.0.0.1", WEIR_E_INPUT, 4, 18, "HOST:PORT"},
	{"streams:\n", "streams: [\n", WEIR_E_INPUT, 0, 0, "not YAML"},
	{"keep: 7y}", "keep: *years}", WEIR_E_INPUT, 0, 0, ""},
	{"serve: {listen: \"127.0.0.1:8080\"}", "serve: yes", WEIR_E_INPUT, 4, 8, "is a mapping"},
};

/* A folder with the athlete lake's files and a lake.yaml of its own. */
static void make_folder(char *folder)
{
	static const char *const names[] = {"schemas", "lookups", "inputs", "silver.sql", "gold.sql"};
	char from[4096], to[4096];
	char *here = getcwd(NULL, 0);
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(from, sizeof from, "%s/lakes/athlete/%s", here, names[i]);
		snprintf(to, sizeof to, "%s/%s", folder, names[i]);
		assert_int_equal(symlink(from, to), 0);
	}
	free(here);
}

static void remove_folder(const char *folder)
{
	static const char *const names[] = {
		"schemas", "lookups", "inputs", "silver.sql", "gold.sql", "lake.yaml", "secret"};
	char path[4096];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

static void write_file(const char *folder, const char *name, const char *text, size_t size)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, size, file), size);
	fclose(file);
}

static void write_changed(const char *folder, const char *yaml, const struct change *change)
{
	const char *at = strstr(yaml, change->from);
	if (at == NULL)
		fail_msg("lake.yaml has no '%s'", change->from);
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_append(&text, yaml, (size_t)(at - yaml));
	weir_buf_puts(&text, change->to);
	weir_buf_puts(&text, at + strlen(change->from));
	write_file(folder, "lake.yaml", text.data, text.size);
	weir_buf_done(&text);
}

static void test_wrong(void **state)
{
	(void)state;
	char folder[] = "/tmp/weir-lake-XXXXXX", *yaml = NULL, place[512];
	size_t size = 0;
	make_folder(folder);
	assert_int_equal(weir_os_read_all(weir_os_real(), "lakes/athlete/lake.yaml", 1 << 20, &yaml, &size, NULL), 0);
	int wrong = 0;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const struct change *change = &changes[i];
		struct weir_error err = WEIR_ERROR_INIT;
		struct lake *lake = NULL;
		write_changed(folder, yaml, change);
		int code = lake_read(folder, "/tmp/weir-x", &lake, &err);
		if (code == 0)
			lake_free(lake);
		snprintf(place, sizeof place, change->column > 0 ? "%s/lake.yaml:%d:%d" : "%s/lake.yaml:%d:", folder,
			change->line, change->column);
		if (code != change->code || (change->line > 0 && strncmp(err.object, place, strlen(place)) != 0) ||
			strstr(err.message, change->message) == NULL) {
			print_error("'%s' for '%s': %d at %s: %s\n", change->to, change->from, code, err.object,
				err.message);
			wrong++;
		}
	}
	free(yaml);
	remove_folder(folder);
	assert_int_equal(wrong, 0);
}

/* Every shorter file is refused or read, never more. */
static void test_cut(void **state)
{
	(void)state;
	char folder[] = "/tmp/weir-lake-XXXXXX", *yaml = NULL;
	size_t size = 0;
	make_folder(folder);
	assert_int_equal(weir_os_read_all(weir_os_real(), "lakes/athlete/lake.yaml", 1 << 20, &yaml, &size, NULL), 0);
	for (size_t cut = 0; cut < size; cut += 7) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct lake *lake = NULL;
		write_file(folder, "lake.yaml", yaml, cut);
		int code = lake_read(folder, "/tmp/weir-x", &lake, &err);
		if (code == 0)
			lake_free(lake);
		else
			assert_true(err.message[0] != '\0' && err.object[0] != '\0');
	}
	free(yaml);
	remove_folder(folder);
}

/* Upkeep of others' tables: off where nothing is said, and with defaults where it is only named. */
static void test_maintain(void **state)
{
	(void)state;
	char folder[] = "/tmp/weir-lake-XXXXXX", *yaml = NULL;
	size_t size = 0;
	make_folder(folder);
	assert_int_equal(weir_os_read_all(weir_os_real(), "lakes/athlete/lake.yaml", 1 << 20, &yaml, &size, NULL), 0);
	write_file(folder, "lake.yaml", yaml, size);
	struct lake *lake = read_lake(folder, "data");
	assert_int_equal(lake->maintain.every_us, 0);
	lake_free(lake);
	write_changed(folder, yaml, &(struct change){.from = "log: {kind", .to = "maintain: {}\nlog: {kind"});
	lake = read_lake(folder, "data");
	assert_int_equal(lake->maintain.every_us, LAKE_MAINTAIN_DEFAULT.every_us);
	assert_int_equal(lake->maintain.orphans_us, 3 * 86400000000LL);
	lake_free(lake);
	write_changed(folder, yaml,
		&(struct change){.from = "log: {kind",
			.to = "maintain: {every: 2s, files: {target: 1MiB}, snapshots: {keep: 3, age: 4m}, orphans: "
			      "5h, "
			      "readers: 6s}\nlog: {kind"});
	lake = read_lake(folder, "data");
	assert_int_equal(lake->maintain.every_us, 2000000);
	assert_int_equal(lake->maintain.target_bytes, 1 << 20);
	assert_int_equal(lake->maintain.snapshots_keep, 3);
	assert_int_equal(lake->maintain.snapshot_age_us, 240000000);
	assert_int_equal(lake->maintain.orphans_us, 5 * 3600000000LL);
	assert_int_equal(lake->maintain.readers_us, 6000000);
	lake_free(lake);
	free(yaml);
	remove_folder(folder);
}

static void test_references(void **state)
{
	(void)state;
	char folder[] = "/tmp/weir-lake-XXXXXX", *yaml = NULL;
	size_t size = 0;
	make_folder(folder);
	assert_int_equal(weir_os_read_all(weir_os_real(), "lakes/athlete/lake.yaml", 1 << 20, &yaml, &size, NULL), 0);
	write_file(folder, "secret", "hush\n", 5);
	setenv("WEIR_TEST_PLACE", "somewhere", 1);
	write_changed(folder, yaml,
		&(struct change){.from = "${DATA}/warehouse", .to = "/x/${env:WEIR_TEST_PLACE}/${file:secret}"});
	struct lake *lake = read_lake(folder, "data");
	assert_string_equal(lake->warehouse, "/x/somewhere/hush");
	assert_null(lake->s3);
	assert_true(lake->data[0] == '/');
	lake_free(lake);
	/* A bucket, in one word and with all that can be said of one. */
	write_changed(folder, yaml, &(struct change){.from = "${DATA}/warehouse", .to = "s3a://bucket/a/b/"});
	lake = read_lake(folder, "data");
	assert_string_equal(lake->warehouse, "s3://bucket/a/b");
	assert_string_equal(lake->s3->bucket, "bucket");
	assert_string_equal(lake->s3->prefix, "a/b");
	assert_null(lake->s3->endpoint);
	assert_null(lake->s3->access_key);
	lake_free(lake);
	write_changed(folder, yaml,
		&(struct change){.from = "\"${DATA}/warehouse\"",
			.to = "{uri: s3://bucket, endpoint: \"http://h:9000\", region: eu-1, style: virtual, "
			      "access_key: "
			      "\"${env:WEIR_TEST_PLACE}\", secret_key: \"${file:secret}\", session_token: "
			      "\"${file:secret}\", cache: 2GiB, sts_endpoint: \"https://sts\", sts_role: \"arn:r\"}"});
	lake = read_lake(folder, "data");
	assert_string_equal(lake->warehouse, "s3://bucket");
	assert_string_equal(lake->s3->prefix, "");
	assert_string_equal(lake->s3->endpoint, "http://h:9000");
	assert_string_equal(lake->s3->region, "eu-1");
	assert_int_equal(lake->s3->style, LAKE_S3_VIRTUAL);
	assert_string_equal(lake->s3->access_key, "somewhere");
	assert_string_equal(lake->s3->secret_key, "hush");
	assert_string_equal(lake->s3->session_token, "hush");
	assert_int_equal(lake->s3->cache_bytes, 2LL << 30);
	assert_string_equal(lake->s3->sts_endpoint, "https://sts");
	assert_string_equal(lake->s3->sts_role, "arn:r");
	lake_free(lake);
	/* Secrets of a PostgreSQL URL are not read here. */
	char control[4200];
	snprintf(control, sizeof control, "postgresql://u:${file:%s/secret}@h/d?sslpassword=${env:WEIR_NO_SUCH}",
		folder);
	write_changed(folder, yaml,
		&(struct change){.from = "sqlite:${DATA}/control.db",
			.to = "postgresql://u:${file:secret}@h/d?sslpassword=${env:WEIR_NO_SUCH}"});
	lake = read_lake(folder, "data");
	assert_string_equal(lake->control, control);
	lake_free(lake);
	/* What a reference stands for is never in an error. */
	struct weir_error err = WEIR_ERROR_INIT;
	write_changed(folder, yaml, &(struct change){.from = "dedup: 24h", .to = "dedup: \"${file:secret}\""});
	assert_int_equal(lake_read(folder, NULL, &lake, &err), WEIR_E_INPUT);
	assert_null(strstr(err.message, "hush"));
	assert_non_null(strstr(err.message, "${file:secret}"));
	free(yaml);
	remove_folder(folder);
	assert_int_equal(lake_read("/tmp/weir-no-such-lake", NULL, &lake, &err), WEIR_E_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_athlete),
		cmocka_unit_test(test_shop),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_maintain),
		cmocka_unit_test(test_references),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
