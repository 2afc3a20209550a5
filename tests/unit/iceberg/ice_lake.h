/* A small lake for the tests of tables: a memory store, a control database in a temporary file, a gold-like table. */
#ifndef WEIR_TESTS_ICE_LAKE_H
#define WEIR_TESTS_ICE_LAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "column/builder.h"
#include "iceberg/internal.h"
#include "iceberg/revise.h"

#define LAKE_NAME ((struct ice_name){WEIR_STR("gold"), WEIR_STR("t")})

struct ice_lake {
	struct weir_arena *arena;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	char directory[64];
	char database[96];
	unsigned file_number, prefix_number;
	int64_t now_ms;
};

static inline void lake_check(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		print_error("%s\n", weir_error_text(err, text, sizeof text));
	assert_int_equal(code, 0);
}

static inline struct ice_lake lake_open(uint64_t cache_bytes)
{
	struct ice_lake lake = {.arena = weir_arena_new(0),
		.store = store_memory_new(),
		.cache = ice_cache_new(cache_bytes),
		.directory = "/tmp/weir-ice-XXXXXX",
		.now_ms = 1738396800000};
	struct weir_error err = WEIR_ERROR_INIT;
	assert_non_null(mkdtemp(lake.directory));
	snprintf(lake.database, sizeof lake.database, "%s/control.db", lake.directory);
	struct control_options options = {.url = lake.database, .unsafe_no_sync = true};
	lake_check(control_open(&options, &lake.control, &err), &err);
	return lake;
}

static inline void lake_close(struct ice_lake *lake)
{
	static const char *const tails[] = {"", "-wal", "-shm", "-journal", ".lock"};
	control_close(lake->control);
	ice_cache_free(lake->cache);
	store_close(lake->store);
	weir_arena_free(lake->arena);
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s%s", lake->database, tails[i]);
		unlink(path);
	}
	rmdir(lake->directory);
}

/* subject, purpose, activity, event_context, timestamp, metrics map<string, string>. */
static inline struct weir_schema *lake_schema(struct weir_arena *arena)
{
	static const char *const names[] = {"subject", "purpose", "activity", "event_context", "timestamp", "raw"};
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	schema->field_count = 6;
	schema->fields = weir_arena_calloc(arena, 6, sizeof *schema->fields);
	for (int i = 0; i < 6; i++)
		schema->fields[i] = (struct weir_field){.name = weir_str_from(names[i]),
			.id = i + 1,
			.type = WEIR_STRING,
			.required = i == 1 || i == 4};
	schema->fields[4].type = WEIR_TIMESTAMPTZ;
	schema->fields[5].type = WEIR_MAP;
	schema->fields[5].child_count = 2;
	schema->fields[5].children = weir_arena_calloc(arena, 2, sizeof *schema->fields);
	schema->fields[5].children[0] =
		(struct weir_field){.name = WEIR_STR("key"), .id = 7, .type = WEIR_STRING, .required = true};
	schema->fields[5].children[1] = (struct weir_field){.name = WEIR_STR("value"), .id = 8, .type = WEIR_STRING};
	return schema;
}

/* Spec 0: purpose, activity, event_context, day(timestamp); spec 1, the landing one: purpose, the same field id. */
static inline struct ice_definition lake_definition(struct weir_arena *arena)
{
	struct ice_partition_field *full = weir_arena_calloc(arena, 4, sizeof *full);
	struct ice_spec *specs = weir_arena_calloc(arena, 2, sizeof *specs);
	struct ice_kv *properties = weir_arena_calloc(arena, 2, sizeof *properties);
	full[0] = (struct ice_partition_field){
		.source_id = 2, .field_id = 1000, .name = WEIR_STR("purpose"), .transform = {ICE_IDENTITY, 0}};
	full[1] = (struct ice_partition_field){
		.source_id = 3, .field_id = 1001, .name = WEIR_STR("activity"), .transform = {ICE_IDENTITY, 0}};
	full[2] = (struct ice_partition_field){
		.source_id = 4, .field_id = 1002, .name = WEIR_STR("event_context"), .transform = {ICE_IDENTITY, 0}};
	full[3] = (struct ice_partition_field){
		.source_id = 5, .field_id = 1003, .name = WEIR_STR("timestamp_day"), .transform = {ICE_DAY, 0}};
	specs[0] = (struct ice_spec){0, 4, full};
	specs[1] = (struct ice_spec){1, 1, full};
	properties[0] = (struct ice_kv){WEIR_STR("weir.manifest-by"), WEIR_STR("purpose")};
	properties[1] = (struct ice_kv){WEIR_STR("write.metadata.previous-versions-max"), WEIR_STR("100")};
	return (struct ice_definition){.name = LAKE_NAME,
		.schema = lake_schema(arena),
		.specs = specs,
		.spec_count = 2,
		.properties = properties,
		.property_count = 2,
		.location = WEIR_STR("gold/t")};
}

static inline void lake_commit(struct ice_lake *lake, struct control_change *change, bool expect_done)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	lake_check(control_commit(lake->control, change, &result, &err), &err);
	assert_int_equal(result.outcome, expect_done ? CONTROL_DONE : CONTROL_CONFLICT);
	control_change_free(change);
}

static inline void lake_define(struct ice_lake *lake, const struct ice_definition *definition)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	lake_check(ice_table_create(lake->store, definition, lake->now_ms, change, &err), &err);
	lake_commit(lake, change, true);
}

static inline void lake_create(struct ice_lake *lake)
{
	struct ice_definition definition = lake_definition(lake->arena);
	lake_define(lake, &definition);
}

static inline struct ice_table *lake_load(struct ice_lake *lake)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	lake_check(ice_table_load(lake->store, lake->control, lake->cache, LAKE_NAME, &table, &err), &err);
	return table;
}

/* A data file that exists in manifests only, under the landing spec. Its bounds of `subject` are the given text. */
static inline struct ice_data_file lake_file(struct ice_lake *lake, const char *purpose, const char *subject)
{
	struct weir_arena *arena = lake->arena;
	char *name = weir_arena_printf(arena, "gold/t/data/purpose=%s/f-%u.parquet", purpose, lake->file_number++);
	struct ice_column_metrics *metrics = weir_arena_calloc(arena, 1, sizeof *metrics);
	metrics[0] = (struct ice_column_metrics){.field_id = 1,
		.size_bytes = 100,
		.value_count = 10,
		.nan_count = -1,
		.has_lower = true,
		.has_upper = true,
		.lower = weir_str_from(subject),
		.upper = weir_str_from(subject)};
	struct ice_partition_value *partition = weir_arena_calloc(arena, 1, sizeof *partition);
	partition->value = (struct expr_value){.kind = EXPR_TEXT, .u.text = weir_str_from(purpose)};
	return (struct ice_data_file){ICE_NEW_FILE, .path = store_uri(lake->store, arena, weir_str_from(name)),
		.format = WEIR_STR("PARQUET"), .spec_id = 1, .partition_count = 1, .partition = partition,
		.record_count = 10, .size_bytes = 1000, .metric_count = 1, .metrics = metrics};
}

static inline struct weir_str lake_prefix(struct ice_lake *lake)
{
	return weir_str_from(weir_arena_printf(lake->arena, "%08x", lake->prefix_number++));
}

static inline struct ice_prepared *lake_prepare(struct ice_lake *lake, struct ice_table *table, struct ice_edit edit)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	edit.prefix = lake_prefix(lake);
	edit.now_ms = lake->now_ms += 1000;
	lake_check(ice_prepare(table, &edit, &prepared, &err), &err);
	return prepared;
}

static inline void lake_delete_doomed(struct ice_lake *lake, const struct ice_prepared *prepared)
{
	struct weir_error err = WEIR_ERROR_INIT;
	const char *const *names;
	uint32_t count = ice_prepared_doomed(prepared, &names);
	lake_check(store_delete_many(lake->store, names, count, &err), &err);
}

/* A version that a commit left in memory is the one that its metadata file says. */
static inline void lake_check_stored(struct ice_lake *lake, struct ice_table *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf is = WEIR_BUF_INIT, stored = WEIR_BUF_INIT;
	struct ice_table *again;
	lake_check(ice_table_open(lake->store, lake->cache, ice_table_name(table), ice_table_metadata_uri(table),
			   &again, &err),
		&err);
	ice_metadata_write(ice_table_metadata(table), &is);
	ice_metadata_write(ice_table_metadata(again), &stored);
	assert_string_equal(weir_buf_cstr(&is), weir_buf_cstr(&stored));
	weir_buf_done(&is);
	weir_buf_done(&stored);
	ice_table_unref(again);
}

/* Commits, deletes what is doomed; the new version. Takes the one before. */
static inline struct ice_table *lake_next(
	struct ice_lake *lake, struct ice_table *take_table, struct ice_prepared *take_prepared)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(take_prepared, change);
	lake_commit(lake, change, true);
	lake_delete_doomed(lake, take_prepared);
	struct ice_table *next = ice_prepared_table(take_prepared);
	lake_check_stored(lake, next);
	ice_prepared_free(take_prepared);
	ice_table_unref(take_table);
	return next;
}

static inline struct ice_table *lake_edit(struct ice_lake *lake, struct ice_table *take_table, struct ice_edit edit)
{
	return lake_next(lake, take_table, lake_prepare(lake, take_table, edit));
}

static inline struct ice_table *lake_revise(
	struct ice_lake *lake, struct ice_table *take_table, ice_revise_fn *change, void *context)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	lake_check(ice_revise(take_table, change, context, lake_prefix(lake), lake->now_ms += 1000, &prepared, &err),
		&err);
	return lake_next(lake, take_table, prepared);
}

/* To a higher format version, as text. */
static inline struct ice_table *lake_upgrade(struct ice_lake *lake, struct ice_table *take_table, const char *version)
{
	struct ice_evolve_step step = {.kind = ICE_UPGRADE, .path = weir_str_from(version)};
	struct ice_evolution evolution = {&step, 1};
	return lake_revise(lake, take_table, ice_revise_evolve, &evolution);
}

static inline struct ice_table *lake_append(struct ice_lake *lake, struct ice_table *table,
	const struct ice_data_file *files, uint32_t count, uint32_t keep)
{
	return lake_edit(lake, table,
		(struct ice_edit){
			.operation = ICE_OP_APPEND, .added = files, .added_count = count, .keep_snapshots = keep});
}

/* The rows of a builder as durable files of the default spec, which are not committed. */
static inline struct ice_written lake_write(
	struct ice_lake *lake, struct ice_table *table, struct weir_builder *take_builder)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_write_options options = {.spec_id = ice_table_metadata(table)->default_spec_id,
		.prefix = lake_prefix(lake),
		.codec = CODEC_ZSTD,
		.level = 1};
	struct ice_writer *writer;
	struct ice_written written;
	struct weir_batch *batch = weir_builder_take(take_builder);
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	if (batch != NULL)
		lake_check(ice_writer_add(writer, batch, NULL, &err), &err);
	lake_check(ice_writer_close(writer, &written, &err), &err);
	lake_check(store_barrier(lake->store, written.handles, written.count, &err), &err);
	weir_batch_release(batch);
	weir_builder_free(take_builder);
	return written;
}

/* A durable file of equality deletes of one number of the column `id` (1), as another engine would write it. */
static inline struct ice_data_file lake_equality_deletes(struct ice_lake *lake, int64_t id)
{
	static struct weir_field fields[] = {{.name = {"id", 2}, .id = 1, .type = WEIR_INT64}};
	static const struct weir_schema schema = {.field_count = 1, .fields = fields};
	static int32_t ids[] = {1};
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_builder *builder = weir_builder_new(&schema);
	struct pq_write_options options = {.codec = CODEC_ZSTD, .level = 1};
	struct pq_writer *writer;
	struct pq_file_info info;
	struct store_file *file;
	char *name = weir_arena_printf(lake->arena, "gold/t/data/eq-%u.parquet", lake->file_number++);
	weir_builder_i64(builder, 0, id);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	lake_check(store_create(lake->store, name, &file, &err), &err);
	lake_check(pq_writer_open(store_file_sink(file), &schema, &options, &writer, &err), &err);
	lake_check(pq_writer_add(writer, batch, NULL, &err), &err);
	lake_check(pq_writer_close(writer, lake->arena, &info, &err), &err);
	lake_check(store_barrier(lake->store, &file, 1, &err), &err);
	weir_batch_release(batch);
	weir_builder_free(builder);
	return (struct ice_data_file){ICE_NEW_FILE, .content = ICE_EQUALITY_DELETES,
		.path = store_uri(lake->store, lake->arena, weir_str_from(name)), .format = WEIR_STR("PARQUET"),
		.record_count = 1, .size_bytes = (int64_t)info.size_bytes, .equality_id_count = 1, .equality_ids = ids};
}

static inline struct ice_file_list *lake_plan(struct ice_table *table, const struct expr_filter *filter)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list;
	lake_check(ice_plan(table, -1, filter, &list, &err), &err);
	return list;
}

#endif
