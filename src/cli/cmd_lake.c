/*
 * weir validate: reads the description, then starts the lake on an empty directory that it removes again, so that
 * schemas, SQL and tables are checked by the very code that runs them. weir init: a small lake that runs.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"

/* ---- validate ---- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
	(void)info;
	(void)kind;
	(void)place;
	return remove(path);
}

static bool lies_in(const char *path, const char *directory)
{
	size_t size = strlen(directory);
	return strncmp(path, directory, size) == 0 && path[size] == '/';
}

/* Starts and closes the lake on the directory. */
static int dry_start(const struct lake *lake, const struct cli_args *args, struct weir_error *err)
{
	struct engine *engine = NULL;
	struct engine_options options = {.log = &args->log, .no_background = true};
	int rc = engine_open(lake, &options, &engine, err);
	if (rc == 0)
		engine_close(engine);
	return rc;
}

static void print_lake(const struct lake *lake, bool started)
{
	printf("%s: lake %.*s is good: %u streams, %u tables, %u consent sections, %u queries%s\n", lake->path,
		WEIR_STR_ARG(lake->name), lake->stream_count, lake->table_count, lake->consent_count, lake->query_count,
		started ? ", and its SQL compiles" : "");
}

int cmd_validate(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct lake *lake = NULL;
	const char *root = getenv("TMPDIR");
	char directory[512];
	bool started = false;
	snprintf(directory, sizeof directory, "%.480s/weir-validate-XXXXXX",
		root != NULL && root[0] != '\0' ? root : "/tmp");
	if (mkdtemp(directory) == NULL) {
		weir_fail_errno(&err, errno, weir_str_from(directory), "make a directory to try the lake in");
		return cli_fail(&err);
	}
	int rc = lake_read(args->words[0], directory, &lake, &err);
	if (rc == 0 && lies_in(lake->warehouse, directory) && lies_in(lake->control, directory)) {
		rc = dry_start(lake, args, &err);
		started = true;
	}
	if (rc == 0) {
		print_lake(lake, started);
		if (!started)
			printf("its SQL was not compiled, because warehouse or control lie outside ${DATA}: `weir "
			       "serve` will do it\n");
	}
	if (lake != NULL)
		lake_free(lake);
	nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return rc < 0 ? cli_fail(&err) : CLI_DONE;
}

/* ---- init ---- */

static const char lake_yaml[] =
	"# A lake that runs as it is: events in, rows out by purpose. docs/reference/lake-yaml.md explains each key.\n"
	"weir: 1\n"
	"lake: %s\n"
	"serve: {listen: \"127.0.0.1:8080\"}\n"
	"warehouse: \"${DATA}/warehouse\"\n"
	"control: \"sqlite:${DATA}/control.db\"\n"
	"log: {kind: embedded, partitions: 1}\n"
	"streams:\n"
	"  events:\n"
	"    schema: schemas/events.schema.json     # what an event must look like\n"
	"    id: event_id                           # sending the same id again changes nothing\n"
	"    key: user_id                           # whom it is about\n"
	"    time: timestamp\n"
	"    dedup: 24h\n"
	"    late: {delay: 5m, allowed: 1h, idle: 30s, max_ahead: 10m, beyond: keep}\n"
	"    epoch: {every: 1s, size: 64MiB}\n"
	"    channels: {api: live, batch: history, file: history}\n"
	"    inputs:\n"
	"      event: {format: [json, ndjson, csv, parquet]}\n"
	"tables:\n"
	"  bronze.events: {from: events, raw: true, partition: [day(received_at)], keep: 1y}\n"
	"  silver.events: {from: events, sql: silver.sql, partition: [day(timestamp)], sort: [user_id, timestamp]}\n"
	"  gold.events:\n"
	"    from: silver.events\n"
	"    consent: users                         # one row for each purpose that its user permits\n"
	"    columns: gold.sql\n"
	"    partition: [purpose, day(timestamp)]\n"
	"    landing: [purpose]\n"
	"    sort: [user_id, timestamp]\n"
	"    files: {target: 128MiB, own_partition_from: 8MiB}\n"
	"    snapshots: {keep: 100}\n"
	"  history.events: {from: gold.events, removed: true, readers: [auditor], keep: 1y}\n"
	"consent:\n"
	"  users:\n"
	"    subject: user_id\n"
	"    purposes: [analytics, marketing]\n"
	"    dimensions:\n"
	"      action: {column: action, type: text}\n"
	"      time: {column: timestamp, type: time}\n"
	"    erase_within: 60s\n"
	"query:\n"
	"  /api/query: {table: gold.events, order: [user_id, timestamp, event_id], limit: [1000, 100000],\n"
	"    where: {user: user_id, action: action, startDate: timestamp >=, endDate: timestamp <=}}\n";

static const char schema_json[] = "{\n"
				  "\t\"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
				  "\t\"title\": \"An event\",\n"
				  "\t\"type\": \"object\",\n"
				  "\t\"additionalProperties\": false,\n"
				  "\t\"required\": [\"event_id\", \"user_id\", \"timestamp\"],\n"
				  "\t\"properties\": {\n"
				  "\t\t\"event_id\": {\"type\": \"string\", \"format\": \"uuid\"},\n"
				  "\t\t\"user_id\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 128},\n"
				  "\t\t\"timestamp\": {\"type\": \"string\", \"format\": \"date-time\"},\n"
				  "\t\t\"action\": {\"type\": [\"string\", \"null\"], \"maxLength\": 64},\n"
				  "\t\t\"amount\": {\"type\": [\"number\", \"null\"]}\n"
				  "\t}\n"
				  "}\n";

static const char silver_sql[] =
	"-- silver.events: exactly one row for each event.\n"
	"SELECT\n\ttrace_id,\n\tevent_id,\n\tuser_id,\n\ttimestamp,\n\taction,\n\tamount,\n\tis_late\n"
	"FROM events\n";
static const char gold_sql[] = "-- gold.events: what consumers see of a silver row.\n"
			       "SELECT\n\ttrace_id,\n\tevent_id,\n\tuser_id,\n\ttimestamp,\n\taction,\n\tamount\n"
			       "FROM events\n";
static const char rules_json[] = "{\"userId\": \"user-1\", \"effect\": \"permit\", \"dimensions\": {\"purpose\": "
				 "{\"operator\": \"EQUALS\", \"value\": "
				 "\"analytics\"}}}\n";
static const char events_json[] = "{\"event_id\": \"00000000-0000-4000-8000-000000000001\", \"user_id\": \"user-1\", "
				  "\"timestamp\": \"2025-02-01T08:00:00Z\", "
				  "\"action\": \"signed_up\"}\n"
				  "{\"event_id\": \"00000000-0000-4000-8000-000000000002\", \"user_id\": \"user-2\", "
				  "\"timestamp\": \"2025-02-01T08:05:00Z\", "
				  "\"action\": \"bought\", \"amount\": 12.5}\n";

static int write_file(const struct cli_args *args, const char *name, const char *content, struct weir_error *err)
{
	const char *path = weir_arena_printf(args->arena, "%s/%s", args->words[0], name);
	FILE *file = fopen(path, "wxb");
	bool good = file != NULL && fputs(content, file) >= 0;
	int error = errno;
	if (file != NULL && fclose(file) != 0)
		good = false;
	return good ? 0 : weir_fail_errno(err, error, weir_str_from(path), "write the file");
}

/* The lake's name: that of its folder, in the letters that a name may have. */
static const char *name_of(const struct cli_args *args, const char *directory)
{
	char *path = realpath(directory, NULL);
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	char *name =
		weir_arena_cstr(args->arena, weir_str_from(slash != NULL && slash[1] != '\0' ? slash + 1 : "lake"));
	free(path);
	for (char *c = name; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c | 0x20);
		else if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
			*c = '_';
	}
	if (name[0] < 'a' || name[0] > 'z')
		name = weir_arena_printf(args->arena, "lake_%s", name);
	return name;
}

int cmd_init(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const struct weir_os *os = weir_os_real();
	const char *directory = args->words[0];
	int rc = os->mkdir(os->self, weir_arena_printf(args->arena, "%s/schemas", directory), &err);
	if (rc == 0)
		rc = write_file(
			args, "lake.yaml", weir_arena_printf(args->arena, lake_yaml, name_of(args, directory)), &err);
	if (rc == 0)
		rc = write_file(args, "schemas/events.schema.json", schema_json, &err);
	if (rc == 0)
		rc = write_file(args, "silver.sql", silver_sql, &err);
	if (rc == 0)
		rc = write_file(args, "gold.sql", gold_sql, &err);
	if (rc == 0)
		rc = write_file(args, "rules.ndjson", rules_json, &err);
	if (rc == 0)
		rc = write_file(args, "events.ndjson", events_json, &err);
	if (rc < 0)
		return cli_fail(&err);
	printf("made a lake in %s; now\n"
	       "  weir consent put %s %s/rules.ndjson\n"
	       "  weir ingest %s %s/events.ndjson\n"
	       "  weir sql %s 'SELECT * FROM gold.events'\n"
	       "  weir serve %s\n",
		directory, directory, directory, directory, directory, directory, directory);
	return CLI_DONE;
}
