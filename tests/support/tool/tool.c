#include "support/tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "store/s3.h"

_Noreturn void tool_quit(const char *problem)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, problem);
	exit(1);
}

void tool_need(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		tool_quit(weir_error_text(err, text, sizeof text));
}

static void open_warehouse(struct tool *tool, const char *place)
{
	struct weir_error err = WEIR_ERROR_INIT;
	if (strncmp(place, "s3://", 5) != 0) {
		tool_need(store_local_open(weir_os_real(), place, &tool->store, &err), &err);
		return;
	}
	struct store_s3_options options = {.endpoint = getenv("AWS_ENDPOINT_URL_S3"),
		.access_key = getenv("AWS_ACCESS_KEY_ID"),
		.secret_key = getenv("AWS_SECRET_ACCESS_KEY")};
	tool_need(store_s3_parse(tool->arena, weir_str_from(place), &options.bucket, &options.prefix, &err), &err);
	tool_need(store_s3_open(&options, &tool->store, &err), &err);
}

void tool_open(struct tool *tool, const char *dir, const char *control, const char *warehouse)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*tool = (struct tool){.arena = weir_arena_new(0), .cache = ice_cache_new(64U << 20), .now_ms = TOOL_START_MS};
	struct control_options options = {
		.url = control != NULL ? control : weir_arena_printf(tool->arena, "%s/control.db", dir)};
	open_warehouse(tool, warehouse != NULL ? warehouse : weir_arena_printf(tool->arena, "%s/warehouse", dir));
	tool_need(control_open(&options, &tool->control, &err), &err);
}

void tool_close(struct tool *tool)
{
	control_close(tool->control);
	ice_cache_free(tool->cache);
	store_close(tool->store);
	weir_arena_free(tool->arena);
}

struct ice_table *tool_load(struct tool *tool, struct ice_name name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	tool_need(ice_table_load(tool->store, tool->control, tool->cache, name, &table, &err), &err);
	if (tool->now_ms <= ice_table_metadata(table)->last_updated_ms)
		tool->now_ms = ice_table_metadata(table)->last_updated_ms + TOOL_STEP_MS;
	return table;
}

struct weir_str tool_prefix(struct tool *tool)
{
	uint64_t random;
	weir_random_bytes((uint8_t *)&random, sizeof random);
	return weir_str_from(weir_arena_printf(tool->arena, "%016" PRIx64, random));
}

static void commit(struct tool *tool, struct control_change *take_change)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	tool_need(control_commit(tool->control, take_change, &result, &err), &err);
	if (result.outcome != CONTROL_DONE)
		tool_quit(weir_arena_printf(tool->arena, "conflict on %s", result.conflict));
	control_change_free(take_change);
}

void tool_create(struct tool *tool, const struct ice_definition *definition)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	tool_need(ice_table_create(tool->store, definition, tool->now_ms, change, &err), &err);
	commit(tool, change);
}

void tool_commit(struct tool *tool, struct ice_prepared *take_prepared)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	const char *const *doomed;
	ice_stage(take_prepared, change);
	commit(tool, change);
	uint32_t count = ice_prepared_doomed(take_prepared, &doomed);
	tool_need(store_delete_many(tool->store, doomed, count, &err), &err);
	ice_prepared_free(take_prepared);
}

void tool_edit(struct tool *tool, struct ice_table *table, struct ice_edit edit)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	edit.prefix = tool_prefix(tool);
	edit.now_ms = tool->now_ms;
	tool_need(ice_prepare(table, &edit, &prepared, &err), &err);
	tool_commit(tool, prepared);
}

struct ice_written tool_written(struct tool *tool, struct ice_writer *take_writer)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_written written;
	tool_need(ice_writer_close(take_writer, &written, &err), &err);
	tool_need(store_barrier(tool->store, written.handles, written.count, &err), &err);
	return written;
}
