/* The commands for any Iceberg table through a REST catalog: one that is served in this process, over a real socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/catalog.h"
#include "base/uuid.h"
#include "cli/iceberg_place.h"
#include "column/builder.h"
#include "iceberg/registry.h"

struct server {
	char directory[64], url[128];
	struct weir_arena *arena;
	struct lake description;
	struct store *store;
	struct control *control;
	struct ice_registry *registry;
	struct access *access;
	struct catalog *catalog;
	struct serve *serve;
};

static void check(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		print_error("%s\n", weir_error_text(err, text, sizeof text));
	assert_int_equal(code, 0);
}

static void run_sql(struct server *server, const char *sql)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "test", CONTROL_ANY, sql, NULL, 0);
	check(control_commit(server->control, change, &result, &err), &err);
	control_change_free(change);
}

static void server_open(struct server *server)
{
	struct weir_error err = WEIR_ERROR_INIT;
	char path[96];
	*server = (struct server){.directory = "/tmp/weir-cli-rest-XXXXXX", .arena = weir_arena_new(0)};
	assert_non_null(mkdtemp(server->directory));
	snprintf(path, sizeof path, "%s/warehouse", server->directory);
	check(store_local_open(weir_os_real(), path, &server->store, &err), &err);
	snprintf(path, sizeof path, "%s/control.db", server->directory);
	struct control_options options = {.url = path, .unsafe_no_sync = true};
	check(control_open(&options, &server->control, &err), &err);
	server->registry = ice_registry_new(server->store, server->control);
	server->description.data = server->directory;
	server->description.name = WEIR_STR("catalog");
	struct access_config access = {.lake = &server->description,
		.control = server->control,
		.registry = server->registry,
		.clock = weir_clock_system()};
	check(access_open(&access, &server->access, &err), &err);
	struct catalog_config catalog = {.registry = server->registry, .clock = weir_clock_system()};
	check(catalog_open(&catalog, &server->catalog, &err), &err);
	struct serve_catalog what = {
		.catalog = server->catalog, .access = server->access, .description = &server->description};
	struct serve_options listen = {.listen = WEIR_STR("127.0.0.1:0")};
	check(serve_start_catalog(&what, &listen, &server->serve, &err), &err);
	snprintf(server->url, sizeof server->url, "%s/iceberg", serve_url(server->serve));
}

static void server_close(struct server *server)
{
	char command[128];
	serve_stop(server->serve, 1000);
	catalog_close(server->catalog);
	access_close(server->access);
	ice_registry_free(server->registry);
	store_close(server->store);
	control_close(server->control);
	weir_arena_free(server->arena);
	snprintf(command, sizeof command, "rm -r %s", server->directory);
	assert_int_equal(system(command), 0);
}

static void new_table(struct server *server, const char *ns)
{
	static const char request[] = "{\"name\":\"t\",\"schema\":{\"type\":\"struct\",\"fields\":["
				      "{\"id\":1,\"name\":\"id\",\"required\":false,\"type\":\"long\"},"
				      "{\"id\":2,\"name\":\"at\",\"required\":false,\"type\":\"timestamptz\"}]}}";
	struct weir_error err = WEIR_ERROR_INIT;
	struct catalog_entry entry;
	json_t *json = json_loads(request, 0, NULL);
	check(catalog_ns_create(server->catalog, weir_str_from(ns), NULL, &err), &err);
	check(catalog_create(server->catalog, CATALOG_TABLE, weir_str_from(ns), json, server->arena, &entry, &err),
		&err);
	catalog_entry_done(&entry);
	json_decref(json);
}

static struct weir_str new_prefix(char buffer[WEIR_UUID_TEXT])
{
	struct weir_clock clock = weir_clock_system();
	struct weir_uuid uuid = weir_uuid_v7(weir_now_us(&clock));
	weir_uuid_format(&uuid, buffer);
	return weir_str_from(buffer);
}

/* A row in a file of its own, committed as another engine would. */
static void append(struct server *server, const char *ns, int64_t id)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_clock clock = weir_clock_system();
	struct ice_cache *cache = ice_cache_new(1 << 20);
	struct ice_table *table;
	struct ice_writer *writer;
	struct ice_written written;
	struct ice_prepared *prepared;
	struct control_result result;
	char prefix[WEIR_UUID_TEXT];
	check(ice_table_load(server->store, server->control, cache, (struct ice_name){weir_str_from(ns), WEIR_STR("t")},
		      &table, &err),
		&err);
	struct ice_write_options options = {.prefix = new_prefix(prefix), .codec = CODEC_ZSTD, .level = 1};
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	check(ice_writer_open(table, &options, &writer, &err), &err);
	weir_builder_i64(builder, 0, id);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	check(ice_writer_add(writer, batch, NULL, &err), &err);
	check(ice_writer_close(writer, &written, &err), &err);
	check(store_barrier(server->store, written.handles, written.count, &err), &err);
	const struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.added = written.files,
		.added_count = written.count,
		.prefix = options.prefix,
		.now_ms = weir_now_us(&clock) / 1000};
	check(ice_prepare(table, &edit, &prepared, &err), &err);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(prepared, change);
	check(control_commit(server->control, change, &result, &err), &err);
	assert_int_equal(result.outcome, CONTROL_DONE);
	control_change_free(change);
	ice_prepared_free(prepared);
	ice_written_free(&written);
	weir_batch_release(batch);
	weir_builder_free(builder);
	ice_table_unref(table);
	ice_cache_free(cache);
}

static int run(const struct server *server, int count, const char *const *words)
{
	struct cli_args args;
	const char *texts[14];
	int exit_code;
	for (int i = 0; i < count; i++)
		texts[i] = strcmp(words[i], "URL") == 0 ? server->url : words[i];
	if (!cli_parse(count, texts, cli_commands(), &args, stdout, stderr, &exit_code))
		return exit_code;
	exit_code = args.command->run(&args);
	cli_args_done(&args);
	return exit_code;
}

#define RUN(...) \
	run(&server, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]){__VA_ARGS__})

static struct cli_place *open_place(const struct server *server, const char *name)
{
	struct cli_args args;
	struct weir_error err = WEIR_ERROR_INIT;
	struct cli_place *place;
	int exit_code;
	const char *texts[] = {"refs", name, "--catalog", server->url};
	assert_true(cli_parse(4, texts, cli_commands(), &args, stdout, stderr, &exit_code));
	check(cli_place_open(&args, &place, &err), &err);
	cli_args_done(&args);
	return place;
}

static uint32_t live_files(struct ice_table *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list;
	check(ice_plan(table, -1, NULL, &list, &err), &err);
	uint32_t count = list->count;
	ice_file_list_free(list);
	return count;
}

static int count_object(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)err;
	*(uint32_t *)context += weir_str_has_suffix(object->name, weir_str_from(".parquet"));
	return 0;
}

static void test_commands(void **state)
{
	struct server server;
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t parquet = 0;
	(void)state;
	server_open(&server);
	new_table(&server, "db");
	for (int i = 0; i < 3; i++)
		append(&server, "db", i);
	assert_int_equal(RUN("schema", "db.t", "--catalog", "URL"), CLI_DONE);
	assert_int_equal(
		RUN("evolve", "db.t", "--catalog", "URL", "--add", "y:long", "--partition", "day(at)", "--set", "a=b"),
		CLI_DONE);
	assert_int_equal(RUN("tag", "db.t", "v1", "--catalog", "URL"), CLI_DONE);
	assert_int_equal(RUN("compact", "db.t", "--catalog", "URL"), CLI_DONE);
	struct cli_place *place = open_place(&server, "db.t");
	struct ice_table *table = cli_place_table(place);
	assert_int_equal(live_files(table), 1);
	assert_int_equal(ice_table_metadata(table)->schema_count, 2);
	assert_int_equal(ice_table_metadata(table)->specs[1].field_count, 1);
	assert_string_equal(ice_property(ice_table_metadata(table), "a").data, "b");
	assert_int_equal(ice_table_metadata(table)->ref_count, 2);
	cli_place_close(place);
	/* The tag holds the old files until it is dropped. */
	assert_int_equal(RUN("expire", "db.t", "--catalog", "URL", "--older-than", "0s"), CLI_DONE);
	check(store_list(server.store, "db/", count_object, &parquet, &err), &err);
	assert_int_equal(parquet, 4);
	assert_int_equal(RUN("tag", "db.t", "v1", "--drop", "--catalog", "URL"), CLI_DONE);
	assert_int_equal(RUN("expire", "db.t", "--catalog", "URL", "--older-than", "0s", "--json"), CLI_DONE);
	parquet = 0;
	check(store_list(server.store, "db/", count_object, &parquet, &err), &err);
	assert_int_equal(parquet, 1);
	assert_int_equal(RUN("orphans", "db.t", "--catalog", "URL"), CLI_DONE);
	assert_int_equal(RUN("partitions", "db.t", "--catalog", "URL", "--json"), CLI_DONE);
	assert_int_equal(RUN("tables", "URL"), CLI_DONE);
	assert_int_equal(RUN("tables", "URL", "db.t", "--json"), CLI_DONE);
	assert_int_equal(RUN("snapshots", "URL", "db.t"), CLI_DONE);
	assert_int_equal(RUN("files", "URL", "db.t"), CLI_DONE);
	assert_int_equal(RUN("tables", "URL", "db.nothing"), CLI_FAILED);
	assert_int_equal(RUN("schema", "db.nothing", "--catalog", "URL"), CLI_FAILED);
	server_close(&server);
}

/* A commit that lost a race is put on the newer version; what it stands on may have changed under it, and then it is not. */
static void test_race(void **state)
{
	struct server server;
	struct weir_error err = WEIR_ERROR_INIT;
	char prefix[WEIR_UUID_TEXT];
	(void)state;
	server_open(&server);
	new_table(&server, "db");
	append(&server, "db", 1);
	struct cli_place *place = open_place(&server, "db.t");
	struct ice_evolve_step step = {.kind = ICE_ADD_COLUMN, .path = WEIR_STR("y"), .type = WEIR_STR("long")};
	struct ice_evolution evolution = {&step, 1};
	struct ice_prepared *prepared;
	check(ice_revise(cli_place_table(place), ice_revise_evolve, &evolution, new_prefix(prefix), 1, &prepared, &err),
		&err);
	assert_int_equal(RUN("evolve", "db.t", "--catalog", "URL", "--add", "other:int"), CLI_DONE);
	append(&server, "db", 2);
	check(cli_place_commit(place, prepared, &err), &err);
	const struct weir_schema *schema = ice_table_schema(cli_place_table(place));
	assert_int_equal(schema->field_count, 4);
	assert_int_equal(schema->fields[3].id, 4); /* not the id that the other column has */
	assert_int_equal(live_files(cli_place_table(place)), 2);
	cli_place_close(place);
	server_close(&server);
}

static void test_refusals(void **state)
{
	struct server server;
	(void)state;
	server_open(&server);
	new_table(&server, "gold");
	append(&server, "gold", 1);
	assert_int_equal(RUN("schema", "gold.t", "--catalog", "http://127.0.0.1:1/iceberg"), CLI_FAILED);
	assert_int_equal(RUN("schema", "t", "--catalog", "URL"), CLI_FAILED);
	/* A server that knows the namespace as the lake's own says no to every change, before any work is done. */
	struct cli_place *place = open_place(&server, "gold.t");
	struct weir_error err = WEIR_ERROR_INIT;
	serve_stop(server.serve, 1000);
	catalog_close(server.catalog);
	run_sql(&server, "INSERT INTO weir_owned(namespace) VALUES ('gold')");
	struct catalog_config catalog = {.registry = server.registry, .clock = weir_clock_system()};
	check(catalog_open(&catalog, &server.catalog, &err), &err);
	struct serve_catalog what = {
		.catalog = server.catalog, .access = server.access, .description = &server.description};
	struct serve_options listen = {
		.listen = (struct weir_str){server.url + 7, strcspn(server.url + 7, "/")}, .exact_port = true};
	check(serve_start_catalog(&what, &listen, &server.serve, &err), &err);
	assert_int_equal(cli_place_writable(place, &err), WEIR_E_DENIED);
	assert_non_null(strstr(err.message, "write to a table of another namespace"));
	cli_place_close(place);
	server_close(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
