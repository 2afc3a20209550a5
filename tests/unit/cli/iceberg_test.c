/* The commands for any Iceberg table: on a Hadoop table in a folder, on a SQL catalog, on a governed namespace. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/iceberg_place.h"
#include "iceberg/model.h"

static char root[64];

#define VERSION_1 \
	"{\"format-version\":2,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"%s/t\"," \
	"\"last-sequence-number\":0,\"last-updated-ms\":1602638573590,\"last-column-id\":2,\"current-schema-id\":0," \
	"\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,\"fields\":[" \
	"{\"id\":1,\"name\":\"x\",\"required\":false,\"type\":\"int\"}," \
	"{\"id\":2,\"name\":\"at\",\"required\":false,\"type\":\"timestamptz\"}]}]," \
	"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":999," \
	"\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}]}"

static void write_file(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int set_up(void **state)
{
	char text[2048], path[256];
	(void)state;
	strcpy(root, "/tmp/weir-cli-ice-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof path, "%s/t", root);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/t/metadata", root);
	mkdir(path, 0700);
	snprintf(text, sizeof text, VERSION_1, root);
	write_file("t/metadata/v1.metadata.json", text);
	write_file("t/metadata/version-hint.text", "1");
	write_file("t/metadata/00000-a.metadata.json", text);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof command, "rm -r %s", root);
	return system(command);
}

/* Runs a command line whose %s is the test's folder; its exit code. */
static int run(int count, const char *const *words)
{
	struct cli_args args;
	const char *texts[12];
	char paths[12][256];
	int exit_code;
	for (int i = 0; i < count; i++) {
		const char *at = strstr(words[i], "%s");
		texts[i] = words[i];
		if (at == NULL)
			continue;
		snprintf(paths[i], sizeof paths[i], "%.*s%s%s", (int)(at - words[i]), words[i], root, at + 2);
		texts[i] = paths[i];
	}
	if (!cli_parse(count, texts, cli_commands(), &args, stdout, stderr, &exit_code))
		return exit_code;
	exit_code = args.command->run(&args);
	cli_args_done(&args);
	return exit_code;
}

#define RUN(...) run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})

/* The table as it is now. */
static struct cli_place *open_place(const char *path)
{
	struct cli_args args;
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place;
	char full[256];
	int exit_code;
	snprintf(full, sizeof full, "%s/%s", root, path);
	const char *texts[] = {"refs", full};
	assert_true(cli_parse(2, texts, cli_commands(), &args, stdout, stderr, &exit_code));
	assert_int_equal(cli_place_open(&args, &place, &err), 0);
	cli_args_done(&args);
	return place;
}

static void test_folder(void **state)
{
	(void)state;
	assert_int_equal(RUN("schema", "%s/t"), CLI_DONE);
	assert_int_equal(RUN("evolve", "%s/t"), CLI_WRONG_USE);
	assert_int_equal(RUN("evolve", "%s/t", "--rename", "x"), CLI_WRONG_USE);
	assert_int_equal(RUN("evolve", "%s/t", "--drop", "nothing"), CLI_FAILED);
	assert_int_equal(RUN("evolve", "%s/t", "--upgrade", "3", "--add", "y:long=7", "--rename", "x=z", "--partition",
				 "day(at)"),
		CLI_DONE);
	struct cli_place *place = open_place("t");
	const struct ice_metadata *metadata = ice_table_metadata(cli_place_table(place));
	assert_int_equal(metadata->format_version, 3);
	assert_int_equal(metadata->schema_count, 2);
	assert_int_equal(metadata->specs[1].fields[0].field_id, 1000);
	struct weir_str uri = ice_table_metadata_uri(cli_place_table(place));
	assert_true(weir_str_has_suffix(uri, WEIR_STR("/v2.metadata.json")));
	cli_place_close(place);
	assert_int_equal(RUN("tag", "%s/t", "v1"), CLI_FAILED); /* empty: nothing to name */
	assert_int_equal(RUN("rollback", "%s/t"), CLI_WRONG_USE);
	assert_int_equal(RUN("expire", "%s/t", "--json"), CLI_DONE);
	assert_int_equal(RUN("compact", "%s/t", "--sort", "z"), CLI_DONE);
	assert_int_equal(RUN("compact", "%s/t", "--sort", "nothing"), CLI_WRONG_USE);
	assert_int_equal(RUN("orphans", "%s/t", "--older-than", "1s"), CLI_FAILED);
	assert_int_equal(RUN("orphans", "%s/t"), CLI_DONE);
	assert_int_equal(RUN("partitions", "%s/t", "--json"), CLI_DONE);
	assert_int_equal(RUN("evolve", "%s/t", "--sort", "day(at) desc, z"), CLI_DONE);
	assert_int_equal(RUN("schema", "%s/t"), CLI_DONE);
	assert_int_equal(RUN("evolve", "%s/t", "--unsort"), CLI_DONE);
	assert_int_equal(RUN("changes", "%s/t"), CLI_DONE);
	assert_int_equal(RUN("changes", "%s/t", "--json", "--key", "z"), CLI_DONE);
	assert_int_equal(RUN("changes", "%s/t", "--key", "nothing"), CLI_WRONG_USE);
	assert_int_equal(RUN("changes", "%s/t", "--updates"), CLI_WRONG_USE); /* it has no identifier fields */
	assert_int_equal(RUN("changes", "%s/t", "--from", "77"), CLI_FAILED);
	/* one metadata file alone says nothing of who else may change the table */
	assert_int_equal(RUN("evolve", "%s/t/metadata/v1.metadata.json", "--set", "a=b"), CLI_FAILED);
	assert_int_equal(RUN("schema", "%s/nowhere"), CLI_FAILED);
}

/* What a table's properties say of its upkeep is done where no option says other; what is none is an error. */
static void test_properties(void **state)
{
	static const char *const wrong[][2] = {{"history.expire.max-snapshot-age-ms=soon", "expire"},
		{"history.expire.min-snapshots-to-keep=0", "expire"}, {"history.expire.max-ref-age-ms=x", "expire"},
		{"write.target-file-size-bytes=1GB", "compact"}, {"gc.enabled=perhaps", "expire"},
		{"gc.enabled=false", "expire"}, {"gc.enabled=false", "orphans"}, {"gc.enabled=False", "orphans"}};
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		char key[64];
		snprintf(key, sizeof key, "%.*s", (int)strcspn(wrong[i][0], "="), wrong[i][0]);
		assert_int_equal(RUN(wrong[i][1], "%s/t"), CLI_DONE);
		assert_int_equal(RUN("evolve", "%s/t", "--set", wrong[i][0]), CLI_DONE);
		assert_int_equal(RUN(wrong[i][1], "%s/t"), CLI_FAILED);
		assert_int_equal(RUN("evolve", "%s/t", "--unset", key), CLI_DONE);
	}
	/* those that a commit reads are refused when they are set */
	assert_int_equal(RUN("evolve", "%s/t", "--set", "commit.retry.num-retries=ten"), CLI_FAILED);
	assert_int_equal(RUN("evolve", "%s/t", "--set", "write.metadata.previous-versions-max=0"), CLI_FAILED);
	assert_int_equal(RUN("evolve", "%s/t", "--set", "write.metadata.delete-after-commit.enabled=1"), CLI_FAILED);
	assert_int_equal(RUN("evolve", "%s/t", "--set", "commit.retry.num-retries=0"), CLI_DONE);
	/* an option goes before the property */
	assert_int_equal(RUN("evolve", "%s/t", "--set", "write.target-file-size-bytes=1"), CLI_DONE);
	assert_int_equal(RUN("compact", "%s/t", "--target", "1MiB"), CLI_DONE);
}

static void test_catalog(void **state)
{
	sqlite3 *db;
	char sql[1024], path[256];
	(void)state;
	snprintf(path, sizeof path, "%s/cat.db", root);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	snprintf(sql, sizeof sql,
		"CREATE TABLE iceberg_tables(catalog_name, table_namespace, table_name, metadata_location,"
		" previous_metadata_location, iceberg_type);"
		"INSERT INTO iceberg_tables VALUES('c', 'ns', 't', 'file://%s/t/metadata/00000-a.metadata.json', NULL, "
		"'TABLE');"
		"INSERT INTO iceberg_tables VALUES('c', 'gold', 't', 'file://%s/t/metadata/00000-a.metadata.json', "
		"NULL, 'TABLE');"
		"CREATE TABLE weir_owned(namespace TEXT PRIMARY KEY); INSERT INTO weir_owned VALUES('gold');",
		root, root);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(RUN("evolve", "ns.t", "--catalog", "%s/cat.db", "--set", "owner=me"), CLI_DONE);
	assert_int_equal(RUN("schema", "gold.t", "--catalog", "%s/cat.db"), CLI_DONE);
	assert_int_equal(RUN("evolve", "gold.t", "--catalog", "%s/cat.db", "--set", "owner=me"), CLI_FAILED);
	assert_int_equal(RUN("expire", "gold.t", "--catalog", "%s/cat.db"), CLI_FAILED);
	assert_int_equal(RUN("schema", "ns.nothing", "--catalog", "%s/cat.db"), CLI_FAILED);
	/* gold.t has the same folder */
	assert_int_equal(RUN("orphans", "ns.t", "--catalog", "%s/cat.db"), CLI_DONE);
	assert_int_equal(RUN("orphans", "ns.t", "--catalog", "%s/cat.db", "--delete"), CLI_FAILED);
	/* catalogs by other names: with a scheme, listed, by the data of a lake; and what is none */
	assert_int_equal(RUN("schema", "ns.t", "--catalog", "sqlite:%s/cat.db"), CLI_DONE);
	assert_int_equal(RUN("tables", "%s/cat.db"), CLI_DONE);
	assert_int_equal(RUN("tables", "%s/cat.db", "gold.t", "--json"), CLI_DONE);
	assert_int_equal(RUN("tables", "%s/cat.db", "gold.nothing"), CLI_FAILED);
	assert_int_equal(RUN("snapshots", "%s/cat.db", "ns.t"), CLI_DONE);
	assert_int_equal(RUN("files", "%s/cat.db", "ns.t", "--json"), CLI_DONE);
	assert_int_equal(RUN("schema", "t", "--catalog", "%s/cat.db"), CLI_FAILED);
	assert_int_equal(RUN("schema", "ns.t", "--catalog", "%s/none.db"), CLI_FAILED);
	assert_int_equal(RUN("schema", "ns.t", "--catalog", "%s/t"), CLI_FAILED);
	assert_int_equal(RUN("schema", "ns.t", "--catalog", "mysql://%s/t"), CLI_FAILED);
	assert_int_equal(RUN("schema", "gs://bucket/t"), CLI_FAILED);
	assert_int_equal(RUN("schema", "file://%s/t"), CLI_DONE);
	sqlite3_stmt *statement;
	assert_int_equal(
		sqlite3_prepare_v2(db,
			"SELECT metadata_location LIKE '%/00001-%', previous_metadata_location LIKE '%/00000-a%' FROM "
			"iceberg_tables WHERE table_namespace = 'ns'",
			-1, &statement, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(statement, 0), 1);
	assert_int_equal(sqlite3_column_int(statement, 1), 1);
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

/* A lake is a catalog by its folder and by its data; its own tables can be looked at, and not changed. */
static void test_lake(void **state)
{
	(void)state;
	assert_int_equal(RUN("init", "%s/lake"), CLI_DONE);
	assert_int_equal(RUN("ingest", "%s/lake", "%s/lake/events.ndjson", "--data", "%s/data"), CLI_DONE);
	assert_int_equal(RUN("schema", "silver.events", "--catalog", "%s/lake", "--data", "%s/data"), CLI_DONE);
	assert_int_equal(RUN("partitions", "silver.events", "--catalog", "%s/data", "--json"), CLI_DONE);
	assert_int_equal(RUN("snapshots", "%s/data/control.db", "silver.events"), CLI_DONE);
	assert_int_equal(RUN("evolve", "silver.events", "--catalog", "%s/lake", "--data", "%s/data", "--set", "a=b"),
		CLI_FAILED);
	assert_int_equal(RUN("compact", "silver.events", "--catalog", "%s/data", "--all"), CLI_FAILED);
	assert_int_equal(RUN("orphans", "silver.events", "--catalog", "%s/data", "--delete"), CLI_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_properties, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_catalog, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lake, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
