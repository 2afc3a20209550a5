/* The table of commands: what docs/reference/cli.md shows, and `--help`. */
#include "cli/cli.h"
#include "gen/gen.h"

#define MANY (CLI_WORDS)
#define TO                                                                                                             \
	{                                                                                                              \
		"--to", CLI_VALUE, "URL", "a server elsewhere; its token is in WEIR_TOKEN", "WEIR_TO"                  \
	}
#define JSON                                                                                                           \
	{                                                                                                              \
		"--json", CLI_FLAG, NULL, "the answer as JSON", NULL                                                   \
	}
#define SECTION                                                                                                        \
	{                                                                                                              \
		"--consent", CLI_VALUE, "NAME", "the consent section (default: the lake's first)", NULL                \
	}

static const struct cli_command commands[] = {
	{"serve", "LAKE", 1, 1, "Runs the lake: the API, the page and all that happens behind them, until SIGTERM.",
		{{"--listen", CLI_VALUE, "HOST:PORT", "where to listen (default: serve.listen of lake.yaml)",
			 "WEIR_LISTEN"},
			{"--insecure", CLI_FLAG, NULL, "allow an address that other machines reach, without TLS", NULL},
			{"--exact-port", CLI_FLAG, NULL,
				"fail where the port is taken, instead of taking the next free one", NULL}},
		cmd_serve},
	{"validate", "LAKE", 1, 1,
		"Checks lake.yaml and all that it names, SQL included, without touching the lake's data.", {{0}},
		cmd_validate},
	{"init", "DIR", 1, 1, "Makes a small new lake in DIR that runs as it is.", {{0}}, cmd_init},
	{"ingest", "LAKE FILE...", 2, MANY,
		"Sends files in and waits until their rows are in the tables. - is standard input. A file's extension "
		"says what it is.",
		{TO, {"--stream", CLI_VALUE, "NAME", "the stream (default: the lake's first)", NULL},
			{"--set", CLI_LIST, "COLUMN=VALUE", "what the file lacks, such as --set customer=c-1",
				NULL},
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
	{"tables", "LAKE [TABLE]", 1, 2, "Lists the tables, or one.", {TO, JSON}, cmd_tables},
	{"snapshots", "LAKE TABLE", 2, 2, "Lists a table's snapshots.", {TO, JSON}, cmd_snapshots},
	{"files", "LAKE TABLE", 2, 2, "Lists a table's live data files.", {TO, JSON}, cmd_files},
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
	{0},
};

const struct cli_command *cli_commands(void)
{
	return commands;
}
