/*
 * Scans that the catalog plans, of a table that is nobody's in particular: answers and their pages, tokens that hold all that
 * they mean, delete files, incremental scans; and how a commit whose outcome was lost is found out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "access/catalog_int.h"
#include "unit/iceberg/ice_lake.h"

#define NAME ((struct catalog_name){LAKE_NAME.ns, LAKE_NAME.table})

/* A catalog without a lake over a memory store, and one table in it whose data files are in manifests alone. */
struct world {
	struct ice_lake lake;
	struct ice_registry *registry;
	struct catalog *catalog;
	struct access_identity caller;
	struct catalog_load load;
	struct ice_table *table;
};

/* subject, purpose, activity, timestamp; spec 0: purpose; spec 1: purpose, activity, day(timestamp). */
static struct ice_table *make_table(struct ice_lake *lake)
{
	static struct weir_field fields[] = {{.name = {"subject", 7}, .id = 1, .type = WEIR_STRING},
		{.name = {"purpose", 7}, .id = 2, .type = WEIR_STRING, .required = true},
		{.name = {"activity", 8}, .id = 3, .type = WEIR_STRING},
		{.name = {"timestamp", 9}, .id = 4, .type = WEIR_TIMESTAMPTZ}};
	static struct ice_partition_field parts[] = {{.source_id = 2, .field_id = 1000, .name = {"purpose", 7}},
		{.source_id = 3, .field_id = 1001, .name = {"activity", 8}},
		{.source_id = 4, .field_id = 1002, .name = {"timestamp_day", 13}, .transform = {ICE_DAY, 0}}};
	static const struct ice_spec specs[] = {{0, 1, parts}, {1, 3, parts}};
	const struct weir_schema schema = {.field_count = 4, .fields = fields};
	const struct ice_definition definition = {
		.name = LAKE_NAME, .schema = &schema, .specs = specs, .spec_count = 2, .location = WEIR_STR("gold/t")};
	lake_define(lake, &definition);
	return lake_load(lake);
}

static void world_open(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	*world = (struct world){.lake = lake_open(1U << 20)};
	world->table = make_table(&world->lake);
	world->registry = ice_registry_new(world->lake.store, world->lake.control);
	struct catalog_config config = {.registry = world->registry, .clock = weir_clock_system()};
	lake_check(catalog_open(&config, &world->catalog, &err), &err);
	world->caller = access_operator();
	world->load = (struct catalog_load){.caller = &world->caller, .route = WEIR_STR("/")};
}

static void world_close(struct world *world)
{
	ice_table_unref(world->table);
	catalog_close(world->catalog);
	ice_registry_free(world->registry);
	lake_close(&world->lake);
}

/* Of spec 0; its bounds of `subject` are the given text. */
static struct ice_data_file a_file(struct world *world, const char *purpose, const char *subject)
{
	struct ice_data_file file = lake_file(&world->lake, purpose, subject);
	file.spec_id = 0;
	return file;
}

static void edit(struct world *world, enum ice_operation operation, const struct ice_data_file *files, uint32_t count)
{
	world->table = lake_edit(&world->lake, world->table,
		(struct ice_edit){.operation = operation, .added = files, .added_count = count});
}

static void append(struct world *world, const struct ice_data_file *files, uint32_t count)
{
	edit(world, ICE_OP_APPEND, files, count);
}

/* JSON in single quotes. */
static json_t *parse(const char *text)
{
	char *quoted = strdup(text);
	for (char *at = quoted; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	json_t *json = json_loads(quoted, JSON_DECODE_ANY, NULL);
	assert_non_null(json);
	free(quoted);
	return json;
}

static json_t *answer_of(struct weir_buf *out)
{
	json_t *json = json_loadb(out->data, out->size, 0, NULL);
	if (json == NULL)
		fail_msg("not JSON: %.*s", (int)out->size, out->data);
	weir_buf_done(out);
	return json;
}

static json_t *plan(struct world *world, const char *request)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf out = WEIR_BUF_INIT;
	json_t *json = parse(request);
	lake_check(catalog_plan(world->catalog, NAME, &world->load, json, world->lake.arena, &out, &err), &err);
	json_decref(json);
	return answer_of(&out);
}

static int try_plan(struct world *world, const char *request, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	json_t *json = parse(request);
	int status = catalog_plan(world->catalog, NAME, &world->load, json, world->lake.arena, &out, err);
	weir_buf_done(&out);
	json_decref(json);
	return status;
}

static int try_task(struct world *world, const char *token, json_t **ret_answer, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	int status = catalog_plan_task(
		world->catalog, NAME, &world->load, weir_str_from(token), world->lake.arena, &out, err);
	if (status == 0 && ret_answer != NULL)
		*ret_answer = answer_of(&out);
	weir_buf_done(&out);
	return status;
}

static const char *text_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void an_empty_table(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	json_t *answer = plan(&world, "{}");
	assert_string_equal(text_at(answer, "status"), "completed");
	assert_int_equal(json_array_size(json_object_get(answer, "file-scan-tasks")), 0);
	assert_int_equal(json_array_size(json_object_get(answer, "plan-tasks")), 0);
	assert_null(json_object_get(answer, "delete-files"));
	json_decref(answer);
	world_close(&world);
}

/* The files of a plan, its tasks' too, each once: bit i for the one whose name has the number i. */
static unsigned follow(struct world *world, const json_t *first, unsigned *ret_answers)
{
	struct weir_error err = WEIR_ERROR_INIT;
	unsigned seen = 0;
	*ret_answers = 0;
	for (size_t i = 0; i <= json_array_size(json_object_get(first, "plan-tasks")); i++) {
		json_t *answer = json_incref((json_t *)(uintptr_t)first), *task;
		size_t index;
		if (i > 0) {
			json_decref(answer);
			lake_check(
				try_task(world,
					json_string_value(json_array_get(json_object_get(first, "plan-tasks"), i - 1)),
					&answer, &err),
				&err);
			assert_null(json_object_get(answer, "status"));
		}
		json_array_foreach(json_object_get(answer, "file-scan-tasks"), index, task)
		{
			const char *path = text_at(json_object_get(task, "data-file"), "file-path");
			unsigned number = (unsigned)atoi(strstr(path, "/f-") + 3);
			assert_int_equal(seen >> number & 1, 0);
			seen |= 1U << number;
		}
		++*ret_answers;
		json_decref(answer);
	}
	return seen;
}

static void a_large_plan_comes_in_pages(void **state)
{
	struct world world;
	struct ice_data_file files[11];
	unsigned answers;
	(void)state;
	world_open(&world);
	for (unsigned i = 0; i < 11; i++)
		files[i] = a_file(&world, i % 2 == 0 ? "research" : "coaching", i < 6 ? "a" : "b");
	append(&world, files, 10);
	world.catalog->plan_files = 3;
	json_t *answer = plan(&world, "{}");
	assert_int_equal(json_array_size(json_object_get(answer, "file-scan-tasks")), 3);
	assert_int_equal(follow(&world, answer, &answers), 0x3ff);
	assert_int_equal(answers, 4);
	/* The plan is of its snapshot: what comes after it is in none of its tasks. */
	json_t *filtered = plan(&world,
		"{'filter': {'type': 'eq', 'term': 'subject', 'value': 'a'}, 'stats-fields': ['subject', 'none'],"
		" 'select': ['subject']}");
	append(&world, &files[10], 1);
	assert_int_equal(follow(&world, answer, &answers), 0x3ff);
	assert_int_equal(follow(&world, filtered, &answers), 0x3f);
	assert_int_equal(answers, 2);
	json_decref(filtered);
	json_decref(answer);
	answer = plan(&world, "{}");
	assert_int_equal(follow(&world, answer, &answers), 0x7ff);
	/* Its answer once more, by its id. */
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_str id = weir_str_from(text_at(answer, "plan-id"));
	lake_check(catalog_plan_fetch(world.catalog, NAME, &world.load, id, world.lake.arena, &out, &err), &err);
	json_t *again = answer_of(&out);
	assert_string_equal(text_at(again, "status"), "completed");
	assert_int_equal(follow(&world, again, &answers), 0x7ff);
	lake_check(catalog_plan_cancel(world.catalog, NAME, &world.load, id, world.lake.arena, &err), &err);
	/* A task is no plan, and a plan no task. */
	const char *task = json_string_value(json_array_get(json_object_get(answer, "plan-tasks"), 0));
	assert_int_equal(
		catalog_plan_cancel(world.catalog, NAME, &world.load, weir_str_from(task), world.lake.arena, &err),
		WEIR_E_NOT_FOUND);
	assert_string_equal(err.object, "plan");
	assert_int_equal(try_task(&world, text_at(answer, "plan-id"), NULL, &err), WEIR_E_NOT_FOUND);
	assert_string_equal(err.object, "task");
	json_decref(again);
	json_decref(answer);
	world_close(&world);
}

/* So many tokens as there are pages would be larger than the files: then a page is larger. */
static void tokens_are_bounded(void **state)
{
	enum { FILES = 600, FILTER = 200 << 10 };
	struct world world;
	struct ice_data_file *files;
	(void)state;
	world_open(&world);
	files = weir_arena_calloc(world.lake.arena, FILES, sizeof *files);
	for (unsigned i = 0; i < FILES; i++)
		files[i] = a_file(&world, "research", "a");
	append(&world, files, FILES);
	world.catalog->plan_files = 1;
	json_t *answer = plan(&world, "{}");
	assert_int_equal(json_array_size(json_object_get(answer, "plan-tasks")), 199); /* of three files */
	json_decref(answer);
	char *filler = weir_arena_alloc(world.lake.arena, FILTER + 1);
	memset(filler, 'b', FILTER);
	filler[FILTER] = '\0';
	answer = plan(&world,
		weir_arena_printf(
			world.lake.arena, "{'filter': {'type': 'not-eq', 'term': 'subject', 'value': '%s'}}", filler));
	size_t total = 0, tasks = json_array_size(json_object_get(answer, "plan-tasks"));
	for (size_t i = 0; i < tasks; i++)
		total += json_string_length(json_array_get(json_object_get(answer, "plan-tasks"), i));
	assert_in_range(tasks, 2, 64);
	assert_in_range(total, 1, 9 << 20);
	assert_null(json_object_get(answer, "plan-id"));
	json_decref(answer);
	world_close(&world);
}

static void what_a_file_is_described_by(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	struct ice_data_file files[2] = {a_file(&world, "research", "a"), a_file(&world, "coaching", "b")};
	struct ice_partition_value cell[3] = {
		files[1].partition[0], {.is_null = true}, {.value = {.kind = EXPR_INTEGER, .u.integer = 20000}}};
	files[1].spec_id = 1;
	files[1].partition = cell;
	files[1].partition_count = 3;
	append(&world, files, 2);
	json_t *answer = plan(&world,
		"{'stats-fields': ['subject'], 'filter': {'type': 'eq', 'term': 'purpose', 'value': 'coaching'}}");
	json_t *task = json_array_get(json_object_get(answer, "file-scan-tasks"), 0);
	json_t *expected = json_pack("{s:{s:i,s:s,s:s,s:s,s:[s,n,s],s:i,s:i,s:{s:[i],s:[i]},s:{s:[i],s:[i]},s:{s:[i],"
				     "s:[i]},s:{s:[],s:[]},s:{s:[i],s:[s]},s:{s:[i],s:[s]}},s:b}",
		"data-file", "spec-id", 1, "content", "data", "file-path",
		weir_arena_cstr(world.lake.arena, files[1].path), "file-format", "parquet", "partition", "coaching",
		"2024-10-04", "file-size-in-bytes", 1000, "record-count", 10, "column-sizes", "keys", 1, "values", 100,
		"value-counts", "keys", 1, "values", 10, "null-value-counts", "keys", 1, "values", 0,
		"nan-value-counts", "keys", "values", "lower-bounds", "keys", 1, "values", "62", "upper-bounds", "keys",
		1, "values", "62", "residual-filter", 1);
	assert_non_null(expected);
	char *shown = json_dumps(task, 0);
	if (!json_equal(task, expected))
		fail_msg("%s", shown);
	free(shown);
	json_decref(expected);
	json_decref(answer);
	world_close(&world);
}

/* Delete files are given once, and named by their place. */
static void deletes_are_referenced(void **state)
{
	struct world world;
	(void)state;
	world_open(&world);
	struct ice_data_file files[3] = {
		a_file(&world, "research", "a"), a_file(&world, "research", "b"), a_file(&world, "coaching", "c")};
	append(&world, files, 3);
	struct ice_data_file deletes[2] = {a_file(&world, "research", "d"), a_file(&world, "research", "e")};
	static int32_t ids[] = {1};
	deletes[0].content = ICE_EQUALITY_DELETES;
	deletes[0].equality_ids = ids;
	deletes[0].equality_id_count = 1;
	deletes[1].content = ICE_POSITION_DELETES;
	deletes[1].referenced_data_file = files[0].path;
	edit(&world, ICE_OP_DELETE, deletes, 2);
	json_t *answer = plan(&world, "{}"), *task;
	const json_t *listed = json_object_get(answer, "delete-files");
	size_t index, with = 0;
	assert_int_equal(json_array_size(listed), 2);
	json_array_foreach(json_object_get(answer, "file-scan-tasks"), index, task)
	{
		const char *path = text_at(json_object_get(task, "data-file"), "file-path");
		const json_t *references = json_object_get(task, "delete-file-references");
		size_t expected = strstr(path, "/f-0.") != NULL ? 2 : strstr(path, "/f-1.") != NULL ? 1 : 0, i;
		json_t *reference;
		assert_int_equal(json_array_size(references), expected);
		with += expected;
		json_array_foreach((json_t *)(uintptr_t)references, i, reference)
		{
			const json_t *file = json_array_get(listed, (size_t)json_integer_value(reference));
			bool by_equality = strcmp(text_at(file, "content"), "equality-deletes") == 0;
			assert_true(by_equality || strcmp(text_at(file, "content"), "position-deletes") == 0);
			assert_int_equal(json_array_size(json_object_get(file, "equality-ids")), by_equality);
			if (!by_equality)
				assert_string_equal(text_at(file, "referenced-data-file"), path);
		}
	}
	assert_int_equal(with, 3);
	json_decref(answer);
	/* A plan without the files that deletes apply to has none of them. */
	answer = plan(&world, "{'filter': {'type': 'eq', 'term': 'purpose', 'value': 'coaching'}}");
	assert_null(json_object_get(answer, "delete-files"));
	assert_int_equal(json_array_size(json_object_get(answer, "file-scan-tasks")), 1);
	json_decref(answer);
	world_close(&world);
}

static void snapshots_and_increments(void **state)
{
	struct world world;
	struct weir_error err = WEIR_ERROR_INIT;
	unsigned answers;
	(void)state;
	world_open(&world);
	struct ice_data_file files[3] = {
		a_file(&world, "research", "a"), a_file(&world, "research", "b"), a_file(&world, "coaching", "c")};
	int64_t ids[3];
	for (unsigned i = 0; i < 3; i++) {
		append(&world, &files[i], 1);
		ids[i] = ice_table_metadata(world.table)->current_snapshot_id;
	}
	const struct {
		const char *request;
		unsigned files;
	} cases[] = {
		{"{}", 7}, {weir_arena_printf(world.lake.arena, "{'snapshot-id': %lld}", (long long)ids[1]), 3},
		{weir_arena_printf(
			 world.lake.arena, "{'snapshot-id': %lld, 'use-snapshot-schema': true}", (long long)ids[0]),
			1},
		{weir_arena_printf(world.lake.arena, "{'start-snapshot-id': %lld, 'end-snapshot-id': %lld}",
			 (long long)ids[0], (long long)ids[2]),
			6},
		{weir_arena_printf(world.lake.arena, "{'start-snapshot-id': %lld, 'end-snapshot-id': %lld}",
			 (long long)ids[0], (long long)ids[1]),
			2},
		{"{'min-rows-requested': 15}", 3}, /* of two files of ten rows; whichever come first */
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *answer = plan(&world, cases[i].request);
		unsigned found = follow(&world, answer, &answers);
		if (i + 1 == sizeof cases / sizeof cases[0])
			assert_int_equal(__builtin_popcount(found), 2);
		else if (found != cases[i].files)
			fail_msg("%s: %x, not %x", cases[i].request, found, cases[i].files);
		json_decref(answer);
	}
	static const char *const bad[] = {"{'snapshot-id': 5}", "{'start-snapshot-id': 5}",
		"{'start-snapshot-id': 5, 'end-snapshot-id': 6}", "{'snapshot-id': 1, 'end-snapshot-id': 6}",
		"{'select': 'subject'}", "{'stats-fields': [1]}", "{'filter': null}", "{'snapshot-id': '5'}",
		"{'filter': {'type': 'eq', 'term': 'x', 'value': 1}}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (try_plan(&world, bad[i], &err) != WEIR_E_INPUT)
			fail_msg("%s: %s", bad[i], err.message);
	/* Tokens that nobody gave. */
	static const char *const tokens[] = {"", "e30", "!", "eyJ4Ijo=", "bnVsbA", "W10"};
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		assert_int_equal(try_task(&world, tokens[i], NULL, &err), WEIR_E_NOT_FOUND);
		assert_string_equal(err.object, "task");
	}
	/* {"snapshot-id":5,"count":1}: of a snapshot that is not there (any more) */
	assert_int_equal(try_task(&world, "eyJzbmFwc2hvdC1pZCI6NSwiY291bnQiOjF9", NULL, &err), WEIR_E_NOT_FOUND);
	assert_string_equal(err.object, "task");
	world_close(&world);
}

/* ---- commits whose outcome was lost ---- */

static struct weir_str pointer(struct world *world)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct catalog_pointer found;
	lake_check(catalog_pointer_read(world->catalog, world->lake.arena, NAME, &found, &err), &err);
	return found.location;
}

static int settled(struct world *world, struct weir_str location)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	lake_check(catalog_change_settle(world->catalog, NAME, location, &result, &err), &err);
	return (int)result.outcome;
}

static void set_property(struct world *world, const char *value)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *updates = json_pack("[{s:s,s:{s:s}}]", "action", "set-properties", "updates", "k", value);
	struct catalog_change change = {.name = NAME, .updates = updates};
	lake_check(catalog_commit(world->catalog, CATALOG_TABLE, &change, 1, world->lake.arena, NULL, &err), &err);
	json_decref(updates);
}

static void a_lost_outcome_is_found_out(void **state)
{
	struct world world;
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	(void)state;
	world_open(&world);
	set_property(&world, "1");
	struct weir_str mine = pointer(&world);
	struct weir_str other = weir_str_from(
		weir_arena_printf(world.lake.arena, "%.*s-other.metadata.json", (int)mine.size - 14, mine.data));
	assert_int_equal(settled(&world, mine), CONTROL_DONE);
	assert_int_equal(settled(&world, other), CONTROL_CONFLICT);
	for (unsigned i = 0; i < 4; i++) { /* others commit on top of it: it happened all the same */
		set_property(&world, i % 2 == 0 ? "2" : "3");
		assert_int_equal(settled(&world, mine), CONTROL_DONE);
		assert_int_equal(settled(&world, other), CONTROL_CONFLICT);
	}
	/* Renamed since, and dropped since. */
	struct catalog_name moved = {NAME.ns, WEIR_STR("moved")};
	mine = pointer(&world);
	lake_check(catalog_rename(world.catalog, CATALOG_TABLE, NAME, moved, &err), &err);
	assert_int_equal(settled(&world, mine), CONTROL_DONE);
	assert_int_equal(settled(&world, other), CONTROL_CONFLICT);
	/* Later versions whose file is gone say nothing. */
	lake_check(catalog_rename(world.catalog, CATALOG_TABLE, moved, NAME, &err), &err);
	set_property(&world, "5");
	set_property(&world, "6");
	struct weir_str file;
	lake_check(store_name_of(world.lake.store, world.lake.arena, pointer(&world), &file, &err), &err);
	lake_check(store_delete_many(world.lake.store, &file.data, 1, &err), &err);
	assert_int_equal(catalog_change_settle(world.catalog, NAME, mine, &result, &err), WEIR_E_UNKNOWN);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_table),
		cmocka_unit_test(a_large_plan_comes_in_pages),
		cmocka_unit_test(tokens_are_bounded),
		cmocka_unit_test(what_a_file_is_described_by),
		cmocka_unit_test(deletes_are_referenced),
		cmocka_unit_test(snapshots_and_increments),
		cmocka_unit_test(a_lost_outcome_is_found_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
