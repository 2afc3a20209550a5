/*
 * What the programs share that other engines' scripts drive (tests/interop): a warehouse with the control database beside
 * it, steps that end the program where they fail, and rows as NDJSON. One thread.
 */
#ifndef WEIR_TESTS_TOOL_H
#define WEIR_TESTS_TOOL_H

#include "iceberg/table.h"

#define TOOL_START_MS 1738396800000 /* 2025-02-01T08:00:00Z */
#define TOOL_STEP_MS  60000         /* between a table's versions */

struct tool {
	struct weir_arena *arena;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	int64_t now_ms; /* of the next version of the table that was loaded last */
};

/* "NAME OF THE PROGRAM: problem" on standard error, and exit code 1. */
_Noreturn void tool_quit(const char *problem);
void tool_need(int code, const struct weir_error *err);

/*
 * DIR/control.db and DIR/warehouse, unless control (a URL) and warehouse (a folder, or s3://BUCKET/PREFIX with
 * AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) say otherwise.
 */
void tool_open(struct tool *tool, const char *dir, const char *control, const char *warehouse);
void tool_close(struct tool *tool);

struct ice_table *tool_load(struct tool *tool, struct ice_name name);
/* A name for files that nobody else has. */
struct weir_str tool_prefix(struct tool *tool);
void tool_create(struct tool *tool, const struct ice_definition *definition);
/* Commits, and deletes what that makes needless. */
void tool_commit(struct tool *tool, struct ice_prepared *take_prepared);
void tool_edit(struct tool *tool, struct ice_table *table, struct ice_edit edit);
/* Closes a writer whose files become durable. */
struct ice_written tool_written(struct tool *tool, struct ice_writer *take_writer);

/*
 * Rows as NDJSON on standard output; truth: those that are EXPR_TRUE in it (NULL: all). Dates are days, times
 * microseconds, decimals texts, binary hexadecimal, NaN and the infinities "nan", "inf", "-inf", maps arrays of
 * [key, value].
 */
void tool_print_rows(const struct weir_batch *batch, const uint8_t *truth);

#endif
