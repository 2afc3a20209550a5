/* The table of commands: what docs/reference/cli.md shows, and `--help`. */
#include "cli/cli.h"
#include "gen/gen.h"

#define MANY (CLI_WORDS)
#define TO \
	{ \
		"--to", CLI_VALUE, "URL", "a server elsewhere; its token is in WEIR_TOKEN", "WEIR_TO" \
	}
#define JSON \
	{ \
		"--json", CLI_FLAG, NULL, "the answer as JSON", NULL \
	}
#define PLACE \
	{"--catalog", CLI_VALUE, "CATALOG", \
		"where TABLE is as NAMESPACE.TABLE: FILE, LAKE, postgresql://... or http://...", NULL}, \
		NAMED
#define NAMED \
	{ \
		"--catalog-name", CLI_VALUE, "NAME", \
			"which catalog of a database that holds several; of a REST catalog, its warehouse", NULL \
	}
#define AT \
	{ \
		"--at", CLI_VALUE, "SNAPSHOT", "a snapshot's id, a branch, a tag or a time (default: main)", NULL \
	}
#define MOVED \
	{ \
		"--moved", CLI_FLAG, NULL, "the table's folder was moved or copied: look for its files here", NULL \
	}
#define SECTION \
	{ \
		"--consent", CLI_VALUE, "NAME", "the consent section (default: the lake's first)", NULL \
	}

static const struct cli_command commands[] = {
	{"serve", "LAKE", 1, 1, "Runs the lake: the API, the page and all that happens behind them, until SIGTERM.",
		{{"--listen", CLI_VALUE, "HOST:PORT", "where to listen (default: serve.listen of lake.yaml)",
			 "WEIR_LISTEN"},
			{"--insecure", CLI_FLAG, NULL, "allow an address that other machines reach, without TLS", NULL},
			{"--exact-port", CLI_FLAG, NULL,
				"fail where the port is taken, instead of taking the next free one", NULL}},
		cmd_serve},
	{"catalog", "", 0, 0, "Serves an Iceberg REST catalog alone, without a lake, until SIGTERM.",
		{{"--warehouse", CLI_VALUE, "URI",
			 "where tables go: a folder, as a path or file:// URI, or s3://BUCKET/PREFIX "
			 "(default DIR/warehouse)",
			 "WEIR_WAREHOUSE"},
			{"--control", CLI_VALUE, "URL",
				"the control database: a SQLite file (default DIR/control.db) or postgresql://...",
				"WEIR_CONTROL"},
			{"--listen", CLI_VALUE, "HOST:PORT", "where to listen (default 127.0.0.1:8181)", "WEIR_LISTEN"},
			{"--insecure", CLI_FLAG, NULL, "allow an address that other machines reach, without TLS", NULL},
			{"--exact-port", CLI_FLAG, NULL,
				"fail where the port is taken, instead of taking the next free one", NULL},
			{"--maintain", CLI_VALUE, "EVERY",
				"keep the tables compact and expire what is old: look at each so often, as in 10m",
				NULL},
			{"--new-token", CLI_VALUE, "ROLE",
				"make a token of this role (operator or auditor), print its secret once, and end",
				NULL}},
		cmd_catalog},
	{"validate", "LAKE", 1, 1,
		"Checks lake.yaml and all that it names, SQL included, without touching the lake's data.", {{0}},
		cmd_validate},
	{"init", "DIR", 1, 1, "Makes a small new lake in DIR that runs as it is.", {{0}}, cmd_init},
	{"ingest", "LAKE FILE...", 2, MANY,
		"Sends files in and waits until their rows are in the tables. - is standard input. A file's extension "
		"says what it is.",
		{TO, {"--stream", CLI_VALUE, "NAME", "the stream (default: the lake's first)", NULL},
			{"--set", CLI_LIST, "COLUMN=VALUE", "what the file lacks, such as --set customer=c-1", NULL},
			{"--no-wait", CLI_FLAG, NULL,
				"return when the events are durable, before they are in the tables", NULL}},
		cmd_ingest},
	{"gen", "LAKE", 1, 1,
		"Writes lifelike events as NDJSON in the order of their arrival: one seed, the same bytes anywhere.",
		{{GEN_SUBJECTS_FLAG, CLI_VALUE, "N", "subjects (default 100)", NULL},
			{"--events", CLI_VALUE, "N", "events in all (default: all that happens in the days)", NULL},
			{"--days", CLI_VALUE, "N", "days (default 7)", NULL},
			{"--start", CLI_VALUE, "DATE", "the first day (default 2025-02-01)", NULL},
			{"--seed", CLI_VALUE, "N", "another seed, other events (default 1)", NULL},
			{"--duplicates", CLI_VALUE, "P", "share of repeated events, 0 to 0.9 (default 0.01)", NULL},
			{"--late", CLI_VALUE, "P", "share that arrives late (default 0.02)", NULL},
			{"--bad", CLI_VALUE, "P", "share that no schema can accept (default 0.002)", NULL},
			{"--rules", CLI_VALUE, "FILE",
				"write the subjects' consent rules there, as `weir consent put` reads them", NULL},
			{"--out", CLI_VALUE, "FILE", "where the events go; - is standard output, the default", NULL},
			{"--rate", CLI_VALUE, "N", "events a second (default: as fast as it goes)", NULL},
			{"--to", CLI_VALUE, "URL", "post the events to a server instead; its token is in WEIR_TOKEN",
				"WEIR_TO"}},
		cmd_gen},
	{"sql", "LAKE 'SELECT ...'", 2, 2,
		"Runs one statement over the tables. All layers, audited; history only as auditor.",
		{TO, {"--format", CLI_VALUE, "FORMAT", "table, json, ndjson or csv (default table)", NULL},
			{"--as", CLI_VALUE, "auditor", "read history too", NULL}},
		cmd_sql},
	{"tables", "LAKE [TABLE]", 1, 2, "Lists the tables of a lake or a catalog, or one.", {TO, NAMED, JSON},
		cmd_tables},
	{"snapshots", "LAKE TABLE", 2, 2, "Lists a table's snapshots.", {TO, NAMED, JSON}, cmd_snapshots},
	{"files", "LAKE TABLE", 2, 2, "Lists a table's live data files.", {TO, NAMED, JSON}, cmd_files},
	{"consent put", "LAKE FILE", 2, 2,
		"Posts consent rules (JSON or NDJSON; - is standard input) and waits until the tables follow.",
		{TO, SECTION,
			{"--no-wait", CLI_FLAG, NULL, "return when the rules are in force, before the tables follow",
				NULL}},
		cmd_consent_put},
	{"consent get", "LAKE SUBJECT", 2, 2, "Shows a subject's rules and withdrawals.", {TO, SECTION},
		cmd_consent_get},
	{"consent withdraw", "LAKE SUBJECT PURPOSE", 3, 3, "Withdraws a subject's consent to a purpose.",
		{TO, SECTION,
			{"--no-wait", CLI_FLAG, NULL, "return when the rows are hidden, before they are gone", NULL}},
		cmd_consent_withdraw},
	{"consent explain", "LAKE", 1, 1, "Says why an event is permitted for a purpose, or not. Exit 1: it is not.",
		{TO, SECTION, {"--event", CLI_VALUE, "FILE", "the event as JSON; - is standard input", NULL},
			{"--purpose", CLI_VALUE, "P", "the purpose", NULL}},
		cmd_consent_explain},
	{"token create", "LAKE", 1, 1, "Makes a token and prints its secret, once.",
		{TO, {"--role", CLI_VALUE, "ROLE", "ingest, subject, consumer, auditor or operator", NULL},
			{"--consumer", CLI_VALUE, "NAME", "whose it is; of role subject, the subject's id", NULL},
			{"--purpose", CLI_LIST, "P", "a purpose that it may read; may be repeated", NULL}, JSON},
		cmd_token_create},
	{"token list", "LAKE", 1, 1, "Lists the tokens, without their secrets.", {TO, JSON}, cmd_token_list},
	{"token revoke", "LAKE ID", 2, 2, "Revokes a token, at once.", {TO}, cmd_token_revoke},
	{"dlq list", "LAKE", 1, 1, "Lists dead letters, newest first.",
		{TO, {"--limit", CLI_VALUE, "N", "how many (default 100)", NULL}, JSON}, cmd_dlq_list},
	{"dlq show", "LAKE ID", 2, 2, "Shows a dead letter with its payload.", {TO}, cmd_dlq_show},
	{"dlq replay", "LAKE ID...", 2, MANY, "Sends dead letters in again. Exit 1: some were refused again.", {TO},
		cmd_dlq_replay},
	{"check", "LAKE", 1, 1, "Proves the lake sound: files, counts, consent. Exit 1: it is not.", {TO, JSON},
		cmd_check},
	{"parquet", "FILE", 1, 1,
		"Shows what is in a Parquet file (s3://BUCKET/KEY too): columns, row groups, encodings, sizes, "
		"statistics and the first "
		"rows.",
		{{"--rows", CLI_VALUE, "N", "how many rows (default 10)", NULL}, JSON}, cmd_parquet},
	{"schema", "TABLE", 1, 1,
		"Shows the columns and the layout of an Iceberg table. TABLE is its folder, one of its metadata files, "
		"or a name "
		"in a catalog.",
		{PLACE, MOVED, AT, JSON}, cmd_schema},
	{"partitions", "TABLE", 1, 1, "Lists the partitions of an Iceberg table with their rows, files and deletes.",
		{PLACE, MOVED, AT, JSON}, cmd_partitions},
	{"refs", "TABLE", 1, 1, "Lists the branches and tags of an Iceberg table.", {PLACE, MOVED, JSON}, cmd_refs},
	{"changes", "TABLE", 1, 1,
		"Lists the rows of an Iceberg table that came, went or changed between two snapshots, with the "
		"snapshot "
		"that did it.",
		{PLACE, MOVED,
			{"--from", CLI_VALUE, "SNAPSHOT",
				"changes after this snapshot's id, branch, tag or time (default: the beginning)", NULL},
			{"--to", CLI_VALUE, "SNAPSHOT", "up to this one (default: main)", NULL},
			{"--key", CLI_VALUE, "COLUMNS",
				"these columns identify a row: what goes and comes again is an update", NULL},
			{"--updates", CLI_FLAG, NULL, "the same, by the table's own identifier fields", NULL},
			{"--all", CLI_FLAG, NULL, "also rows that a snapshot only copied into another file", NULL},
			JSON},
		cmd_changes},
	{"evolve", "TABLE", 1, 1,
		"Changes columns, partitioning, sort order, properties or the format version of an Iceberg table. The "
		"options are steps, taken "
		"in their order as one version.",
		{PLACE,
			{"--add", CLI_LIST, "COLUMN:TYPE[=JSON]",
				"a new column; with a default for older rows (version 3)", NULL},
			{"--drop", CLI_LIST, "COLUMN", "a column goes", NULL},
			{"--rename", CLI_LIST, "COLUMN=NAME", "another name", NULL},
			{"--type", CLI_LIST, "COLUMN=TYPE", "a wider type", NULL},
			{"--optional", CLI_LIST, "COLUMN", "the column may be null", NULL},
			{"--doc", CLI_LIST, "COLUMN=TEXT", "what the column means", NULL},
			{"--first", CLI_LIST, "COLUMN", "to the first place", NULL},
			{"--after", CLI_LIST, "COLUMN=COLUMN", "behind another", NULL},
			{"--partition", CLI_LIST, "EXPRESSION", "a partition field: region, day(ts), bucket(16, id)",
				NULL},
			{"--unpartition", CLI_LIST, "NAME", "a partition field goes, by its own name", NULL},
			{"--sort", CLI_VALUE, "EXPRESSIONS",
				"the sort order that writers are to keep: day(ts) desc, id asc nulls last", NULL},
			{"--unsort", CLI_FLAG, NULL, "no sort order any more", NULL},
			{"--set", CLI_LIST, "KEY=VALUE", "a property", NULL},
			{"--unset", CLI_LIST, "KEY", "a property goes", NULL},
			{"--upgrade", CLI_VALUE, "VERSION", "a later format version: 2 or 3", NULL}, JSON},
		cmd_evolve},
	{"compact", "TABLE", 1, 1,
		"Rewrites small files of an Iceberg table, those of older layouts and those with deleted rows.",
		{PLACE,
			{"--sort", CLI_VALUE, "COLUMNS",
				"rows in order of up to eight columns: a,b; without it the table's own sort order, if "
				"it declares one",
				NULL},
			{"--zorder", CLI_VALUE, "COLUMNS", "rows in Z-order of two to eight columns", NULL},
			{"--target", CLI_VALUE, "SIZE",
				"size of the new files (default: write.target-file-size-bytes, else 128MiB)", NULL},
			{"--all", CLI_FLAG, NULL, "rewrite every file", NULL},
			{"--manifests", CLI_FLAG, NULL, "rewrite the manifests only", NULL}, JSON},
		cmd_compact},
	{"expire", "TABLE", 1, 1,
		"Drops old snapshots of an Iceberg table and the files that only they need. What branches and tags "
		"name stays.",
		{PLACE,
			{"--older-than", CLI_VALUE, "AGE",
				"only snapshots of that age (default: history.expire.max-snapshot-age-ms, else 5d)",
				NULL},
			{"--keep", CLI_VALUE, "N",
				"at least so many of each branch (default: history.expire.min-snapshots-to-keep, else "
				"1)",
				NULL},
			JSON},
		cmd_expire},
	{"orphans", "TABLE", 1, 1,
		"Lists files in the folder of an Iceberg table that no version of it names, as failed writers leave "
		"them.",
		{PLACE,
			{"--older-than", CLI_VALUE, "AGE",
				"only files of that age; running writers need it (default 3d, at least 1h)", NULL},
			{"--delete", CLI_FLAG, NULL, "delete them", NULL}, JSON},
		cmd_orphans},
	{"rollback", "TABLE", 1, 1, "Sets main of an Iceberg table back to an earlier snapshot of its own line.",
		{PLACE, AT, JSON}, cmd_rollback},
	{"branch", "TABLE [NAME]", 1, 2,
		"Makes a branch of an Iceberg table, drops or fast-forwards it; without NAME lists all.",
		{PLACE, AT,
			{"--fast-forward", CLI_VALUE, "REF", "move it to where REF is, which must descend from it",
				NULL},
			{"--drop", CLI_FLAG, NULL, "drop it", NULL},
			{"--keep", CLI_VALUE, "AGE", "expiry drops it after that", NULL}, JSON},
		cmd_branch},
	{"tag", "TABLE [NAME]", 1, 2, "Names a snapshot of an Iceberg table, or drops a tag; without NAME lists all.",
		{PLACE, AT, {"--drop", CLI_FLAG, NULL, "drop it", NULL},
			{"--keep", CLI_VALUE, "AGE", "expiry drops it after that", NULL}, JSON},
		cmd_tag},
	{0},
};

const struct cli_command *cli_commands(void)
{
	return commands;
}
