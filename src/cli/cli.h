/*
 * The `weir` command: what its files share.
 *
 * args.c      commands, options and their help as tables
 * client.c    one way to ask a lake: through its server (DIR/weir.sock, or a URL), or an engine in this process
 * print.c     tables, problems and progress for people
 * cmd_*.c     the commands
 *
 * Exit codes: 0 done; 1 it is not so (check, explain denied, ingest left dead letters); 2 wrong use; 3 failed.
 */
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "engine/engine.h"
#include "serve/serve.h"

enum cli_exit { CLI_DONE = 0, CLI_NOT_SO = 1, CLI_WRONG_USE = 2, CLI_FAILED = 3 };

/* ---- args.c ---- */
enum cli_option_kind { CLI_FLAG, CLI_VALUE, CLI_LIST };

struct cli_option {
	const char *name; /* "--listen" */
	enum cli_option_kind kind;
	const char *value; /* "HOST:PORT" in the help */
	const char *help;
	const char *environment; /* taken where the flag is not given; NULL: none */
};

#define CLI_OPTIONS 20
#define CLI_WORDS   10000 /* arguments of one command line */

struct cli_args;
struct cli_command {
	const char *name;                       /* "consent put": one word or two */
	const char *arguments;                  /* "LAKE FILE" */
	unsigned least, most;                   /* how many arguments */
	const char *help;                       /* what it does: a sentence or two */
	struct cli_option options[CLI_OPTIONS]; /* up to the first without name; the common ones come on top */
	int (*run)(const struct cli_args *args);
};

struct cli_args {
	const struct cli_command *command;
	struct weir_arena *arena;
	const char **words; /* arguments that are no options */
	uint32_t word_count;
	const char **names, **values; /* options as given, in order; a flag's value is "" */
	uint32_t option_count;
	struct weir_log log;
};

/* The commands, ended by one without name. */
const struct cli_command *cli_commands(void);
/* Finds the command and its options. False: *ret_exit is the exit code, and what was to be said is in out or err. */
bool cli_parse(int count, const char *const *texts, const struct cli_command *commands, struct cli_args *ret_args,
	FILE *out, FILE *err, int *ret_exit);
void cli_args_done(struct cli_args *args);
/* The last value of an option, or that of its environment variable, or NULL. */
const char *cli_option(const struct cli_args *args, const char *name);
bool cli_flag(const struct cli_args *args, const char *name);
/* Values of an option that may be repeated: calls for each until false. */
const char *cli_option_at(const struct cli_args *args, const char *name, uint32_t index);
/* A number within bounds; false after having said what is wrong. */
bool cli_number(const struct cli_args *args, const char *name, double least, double most, double *ret_value);
void cli_usage(const struct cli_command *command, FILE *out);

/* ---- print.c ---- */
/* "weir: message" on stderr. Returns CLI_FAILED, or CLI_WRONG_USE for WEIR_E_INPUT of a lake's description where
 * wrong_use. */
int cli_fail(const struct weir_error *err);
int cli_wrong_use(const struct cli_args *args, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Rows of cells, all aligned at the end: numbers to the right. */
struct cli_table;
struct cli_table *cli_table_new(void);
void cli_table_free(struct cli_table *table);
void cli_table_cell(struct cli_table *table, struct weir_str text); /* of the row that is being made */
void cli_table_end_row(struct cli_table *table);                    /* the first row is the header */
void cli_table_print(const struct cli_table *table, FILE *out);
/* A whole CSV document (RFC 4180) into a table. */
void cli_table_csv(struct cli_table *table, struct weir_str csv);
/* "1.5 GiB", "12,345" */
void cli_bytes_text(uint64_t bytes, char buffer[24]);
void cli_count_text(uint64_t count, char buffer[32]);
/* One line without line end: "file.json  [#####.....]  50 %  1.0 MiB of 2.0 MiB  12 events". total 0: unknown. width:
 * of the terminal. */
void cli_progress_text(
	const char *name, uint64_t done, uint64_t total, uint64_t events, unsigned width, struct weir_buf *out);

/* ---- client.c ---- */
struct cli_api;
/*
 * A lake to be asked. --to URL: that server. Else LAKE (the first word) is read, and its server is asked where one
 * answers on DIR/weir.sock; where none does, the engine is opened here.
 */
int cli_api_open(const struct cli_args *args, struct cli_api **ret_api, struct weir_error *err);
/* Closes; where the engine is this process's, everything that was begun is finished first. */
void cli_api_close(struct cli_api *api);
struct engine *cli_api_engine(struct cli_api *api);   /* NULL: a server does the work */
const struct lake *cli_api_lake(struct cli_api *api); /* NULL with --to */

struct cli_request {
	const char *method;
	const char *target;                           /* path and query, encoded */
	const char *content_type, *accept, *if_match; /* NULL: none */
	struct weir_str body;
	FILE *file;          /* instead of body; not with an engine of this process */
	uint64_t file_bytes; /* 0: unknown */
	void (*progress)(void *context, uint64_t done_bytes);
	void *progress_context;
	FILE *stream_to; /* a good answer's body goes here as it comes */
};
struct cli_answer {
	unsigned status;
	struct weir_buf body;
};
#define CLI_ANSWER_BYTES ((size_t)1 << 30) /* of an answer that is kept in memory */
/* 0 with any status; an error where there was no answer. */
int cli_call(
	struct cli_api *api, const struct cli_request *request, struct cli_answer *ret_answer, struct weir_error *err);
void cli_answer_done(struct cli_answer *answer);
/* Its JSON, or NULL where it is none. */
json_t *cli_answer_json(const struct cli_answer *answer);
/* As it came, to standard output; a line at the end is ended. */
void cli_answer_print(const struct cli_answer *answer);
/* A member's text, "" where it has none. */
const char *cli_member(const json_t *object, const char *name);
/* The same for small things: says what was wrong and returns CLI_FAILED, or CLI_DONE with the answer. */
int cli_ask(struct cli_api *api, const struct cli_request *request, struct cli_answer *ret_answer);
/* Prints an application/problem+json to stderr. Returns CLI_FAILED. */
int cli_problem(const struct cli_answer *answer);
/* Percent-encodes one segment of a path, or one value of a query string. */
void cli_encode(struct weir_buf *out, struct weir_str text);
/* Waits until what was acknowledged is in the tables and re-indexed. Returns an exit code. */
int cli_settle(struct cli_api *api);
/* Opens, asks, closes. */
int cli_ask_once(const struct cli_args *args, const struct cli_request *request, struct cli_answer *ret_answer);

/* ---- commands ---- */
int cmd_serve(const struct cli_args *args);
int cmd_validate(const struct cli_args *args);
int cmd_init(const struct cli_args *args);
int cmd_ingest(const struct cli_args *args);
int cmd_gen(const struct cli_args *args);
int cmd_sql(const struct cli_args *args);
int cmd_tables(const struct cli_args *args);
int cmd_snapshots(const struct cli_args *args);
int cmd_files(const struct cli_args *args);
int cmd_check(const struct cli_args *args);
int cmd_consent_put(const struct cli_args *args);
int cmd_consent_get(const struct cli_args *args);
int cmd_consent_withdraw(const struct cli_args *args);
int cmd_consent_explain(const struct cli_args *args);
int cmd_token_create(const struct cli_args *args);
int cmd_token_list(const struct cli_args *args);
int cmd_token_revoke(const struct cli_args *args);
int cmd_dlq_list(const struct cli_args *args);
int cmd_dlq_show(const struct cli_args *args);
int cmd_dlq_replay(const struct cli_args *args);
int cmd_parquet(const struct cli_args *args);
int cmd_schema(const struct cli_args *args);
int cmd_partitions(const struct cli_args *args);
int cmd_refs(const struct cli_args *args);
int cmd_evolve(const struct cli_args *args);
int cmd_compact(const struct cli_args *args);
int cmd_expire(const struct cli_args *args);
int cmd_orphans(const struct cli_args *args);
int cmd_rollback(const struct cli_args *args);
int cmd_branch(const struct cli_args *args);
int cmd_tag(const struct cli_args *args);
int cmd_changes(const struct cli_args *args);
int cmd_catalog(const struct cli_args *args);

#endif
