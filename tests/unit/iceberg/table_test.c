/* Versions of a table: edits, summaries, pruning, conflicts, expiry, erasure, and the cost of a commit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "unit/iceberg/ice_lake.h"

static void test_create_and_load(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	struct ice_name absent = {WEIR_STR("gold"), WEIR_STR("absent")};
	(void)state;
	assert_int_equal(ice_table_load(lake.store, lake.control, lake.cache, absent, &table, &err), WEIR_E_NOT_FOUND);
	lake_create(&lake);
	table = lake_load(&lake);
	const struct ice_metadata *metadata = ice_table_metadata(table);
	assert_int_equal(metadata->format_version, 2);
	assert_int_equal(metadata->spec_count, 2);
	assert_int_equal(metadata->specs[1].fields[0].field_id, 1000);
	assert_int_equal(metadata->last_partition_id, 1003);
	assert_int_equal(metadata->last_column_id, 8);
	assert_null(ice_metadata_current(metadata));
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, 0);
	ice_file_list_free(list);
	/* A second table of the name is a conflict, and changes nothing. */
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct ice_definition definition = lake_definition(lake.arena);
	lake_check(ice_table_create(lake.store, &definition, 1, change, &err), &err);
	lake_commit(&lake, change, false);
	ice_table_unref(table);
	lake_close(&lake);
}

static void check_summary(struct ice_table *table, const char *key, const char *value)
{
	struct weir_str found = ice_summary(ice_metadata_current(ice_table_metadata(table)), key);
	if (value == NULL) {
		assert_null(found.data);
		return;
	}
	if (!weir_str_is(found, value))
		fail_msg("%s is '%.*s', not '%s'", key, WEIR_STR_ARG(found), value);
}

static void test_append_and_overwrite(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file files[3] = {lake_file(&lake, "research", "a"), lake_file(&lake, "research", "b"),
		lake_file(&lake, "coaching", "c")};
	const struct ice_kv extra = {WEIR_STR("weir.consent-lsn"), WEIR_STR("7")};
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_APPEND,
			.added = files,
			.added_count = 3,
			.summary = &extra,
			.summary_count = 1});
	check_summary(table, "operation", "append");
	check_summary(table, "added-data-files", "3");
	check_summary(table, "added-records", "30");
	check_summary(table, "deleted-data-files", NULL);
	check_summary(table, "total-data-files", "3");
	check_summary(table, "total-records", "30");
	check_summary(table, "total-files-size", "3000");
	check_summary(table, "changed-partition-count", "2");
	check_summary(table, "weir.consent-lsn", "7");
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, 3);
	assert_int_equal(list->row_count, 30);
	assert_int_equal(list->manifests_read, 2); /* one a purpose */
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(list->files[i]->sequence_number, 1);
		assert_int_equal(list->files[i]->snapshot_id, ice_table_metadata(table)->current_snapshot_id);
		assert_int_equal(list->files[i]->metrics[0].value_count, 10);
	}
	ice_file_list_free(list);

	struct ice_data_file more = lake_file(&lake, "research", "d");
	int64_t first = ice_table_metadata(table)->current_snapshot_id;
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_OVERWRITE,
			.added = &more,
			.added_count = 1,
			.removed = &files[0].path,
			.removed_count = 1});
	check_summary(table, "operation", "overwrite");
	check_summary(table, "deleted-records", "10");
	check_summary(table, "total-data-files", "3");
	check_summary(table, "total-records", "30");
	list = lake_plan(table, NULL);
	assert_int_equal(list->count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_false(weir_str_equal(list->files[i]->path, files[0].path));
		bool is_new = weir_str_equal(list->files[i]->path, more.path);
		assert_int_equal(list->files[i]->sequence_number, is_new ? 2 : 1);
		if (!is_new)
			assert_int_equal(list->files[i]->snapshot_id, first); /* rewritten, but still the first's */
	}
	ice_file_list_free(list);
	/* The first snapshot still is what it was. */
	struct weir_error err = WEIR_ERROR_INIT;
	lake_check(ice_plan(table, first, NULL, &list, &err), &err);
	assert_int_equal(list->count, 3);
	ice_file_list_free(list);
	assert_int_equal(ice_plan(table, 12345, NULL, &list, &err), WEIR_E_NOT_FOUND);
	/* The handle loaded anew says the same. */
	struct ice_table *again = lake_load(&lake);
	assert_true(weir_str_equal(ice_table_metadata_uri(again), ice_table_metadata_uri(table)));
	ice_table_unref(again);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_pruning(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file files[4] = {lake_file(&lake, "research", "a"), lake_file(&lake, "research", "m"),
		lake_file(&lake, "coaching", "z"), lake_file(&lake, "coaching", "b")};
	/* The last one has its own cell: activity run, no context, day 20000. */
	struct ice_partition_value cell[4] = {files[3].partition[0],
		{.value = {.kind = EXPR_TEXT, .u.text = WEIR_STR("run")}}, {.is_null = true},
		{.value = {.kind = EXPR_INTEGER, .u.integer = 20000}}};
	files[3].spec_id = 0;
	files[3].partition = cell;
	files[3].partition_count = 4;
	table = lake_append(&lake, table, files, 4, 0);
	int64_t day = 86400000000LL;
	const struct expr_value research = {.kind = EXPR_TEXT, .u.text = WEIR_STR("research")};
	const struct expr_value coaching = {.kind = EXPR_TEXT, .u.text = WEIR_STR("coaching")};
	const struct expr_value b = {.kind = EXPR_TEXT, .u.text = WEIR_STR("b")};
	const struct expr_value swim = {.kind = EXPR_TEXT, .u.text = WEIR_STR("swim")};
	const struct expr_value within = {.kind = EXPR_INTEGER, .u.integer = 20000 * day + 5};
	const struct expr_value after = {.kind = EXPR_INTEGER, .u.integer = 20001 * day};
	const struct {
		struct expr_term term;
		uint32_t files;
		uint64_t manifests_skipped;
	} cases[] = {
		{{2, EXPR_EQ, &research, 1}, 2, 2},
		{{2, EXPR_EQ, &coaching, 1}, 2, 1},
		{{2, EXPR_NE, &research, 1}, 2, 1},
		{{2, EXPR_EQ, &swim, 1}, 0, 3},
		{{2, EXPR_IS_NULL, NULL, 0}, 0, 3},
		{{1, EXPR_LE, &b, 1}, 2, 0},
		{{3, EXPR_EQ, &swim, 1}, 3, 1},
		{{4, EXPR_NOT_NULL, NULL, 0}, 3, 1},
		{{4, EXPR_IS_NULL, NULL, 0}, 4, 0},
		{{5, EXPR_GE, &within, 1}, 4, 0},
		{{5, EXPR_EQ, &within, 1}, 4, 0},
		{{5, EXPR_GE, &after, 1}, 3, 1},
		{{5, EXPR_LT, &within, 1}, 4, 0},
		{{5, EXPR_GT, &within, 1}, 4, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct expr_filter filter = {&cases[i].term, 1};
		struct ice_file_list *list = lake_plan(table, &filter);
		if (list->count != cases[i].files || list->manifests_skipped != cases[i].manifests_skipped)
			fail_msg("case %zu: %u files, %llu manifests skipped", i, list->count,
				(unsigned long long)list->manifests_skipped);
		ice_file_list_free(list);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

/* Buckets have no order: a range says nothing of them, an equality does. */
static void test_bucket_pruning(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_partition_field bucket = {
		.source_id = 1, .field_id = 1000, .name = WEIR_STR("subject_bucket"), .transform = {ICE_BUCKET, 64}};
	struct ice_spec spec = {0, 1, &bucket};
	struct ice_definition definition = lake_definition(lake.arena);
	const struct expr_value subject = {.kind = EXPR_TEXT, .u.text = WEIR_STR("iceberg")};
	(void)state;
	definition.specs = &spec;
	definition.spec_count = 1;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	lake_check(ice_table_create(lake.store, &definition, 1, change, &err), &err);
	lake_commit(&lake, change, true);
	struct ice_table *table = lake_load(&lake);
	for (int64_t i = 0; i < 2; i++) { /* the right bucket (hash 1210000089), and the one before */
		struct ice_data_file file = lake_file(&lake, "x", "any");
		file.spec_id = 0;
		file.metric_count = 0;
		file.partition[0].value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = 1210000089 % 64 - i};
		table = lake_append(&lake, table, &file, 1, 0);
	}
	static const struct {
		enum expr_op op;
		uint32_t files;
	} cases[] = {{EXPR_EQ, 1}, {EXPR_IN, 1}, {EXPR_LT, 2}, {EXPR_LE, 2}, {EXPR_GT, 2}, {EXPR_GE, 2}, {EXPR_NE, 2}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct expr_term term = {1, cases[i].op, &subject, 1};
		const struct expr_filter filter = {&term, 1};
		struct ice_file_list *list = lake_plan(table, &filter);
		assert_int_equal(list->count, cases[i].files);
		ice_file_list_free(list);
	}
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_conflict_and_rebase(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_table *base = lake_load(&lake);
	struct ice_data_file one = lake_file(&lake, "research", "a"), two = lake_file(&lake, "research", "b");
	struct ice_prepared *slow = lake_prepare(
		&lake, base, (struct ice_edit){.operation = ICE_OP_APPEND, .added = &two, .added_count = 1});
	struct ice_table *table = lake_append(&lake, ice_table_ref(base), &one, 1, 0);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(slow, change);
	lake_commit(&lake, change, false);
	lake_check(ice_rebase(slow, table, &err), &err);
	change = control_change_new(CONTROL_EPOCH);
	ice_stage(slow, change);
	lake_commit(&lake, change, true);
	ice_table_unref(table);
	table = ice_prepared_table(slow);
	assert_int_equal(ice_prepared_snapshot(slow), ice_table_metadata(table)->current_snapshot_id);
	ice_prepared_free(slow);
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, 2);
	ice_file_list_free(list);

	/* Removing the same file twice: the second one is refused as a conflict, and by a rebase too. */
	struct ice_edit removal = {.operation = ICE_OP_DELETE, .removed = &one.path, .removed_count = 1};
	struct ice_prepared *late = lake_prepare(&lake, table, removal);
	struct ice_table *before = ice_table_ref(table);
	table = lake_edit(&lake, table, removal);
	assert_int_equal(ice_rebase(late, table, &err), WEIR_E_CONFLICT);
	ice_prepared_abandon(late);
	struct ice_prepared *never;
	assert_int_equal(ice_prepare(table, &removal, &never, &err), WEIR_E_CONFLICT);
	ice_table_unref(before);
	ice_table_unref(base);
	ice_table_unref(table);
	lake_close(&lake);
}

/* ---- what exists against what is reached ---- */

struct name_list {
	struct ice_name_set names;
	struct weir_arena *arena;
	unsigned count;
};

static int add_object(void *context, const struct store_object *object, struct weir_error *err)
{
	struct name_list *list = context;
	(void)err;
	ice_name_set_add(&list->names, weir_arena_str(list->arena, object->name));
	list->count++;
	return 0;
}

static int add_reached(void *context, struct weir_str name, const struct ice_data_file *file, struct weir_error *err)
{
	struct name_list *list = context;
	(void)err;
	(void)file;
	ice_name_set_add(&list->names, weir_arena_str(list->arena, name));
	list->count++;
	return 0;
}

/* Every object is reached and every reached name exists: nothing is lost, and nothing is left behind. */
static void check_exact(struct ice_lake *lake, struct ice_table *table)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct name_list there = {.arena = arena}, reached = {.arena = arena};
	lake_check(store_list(lake->store, "gold/t/", add_object, &there, &err), &err);
	lake_check(ice_table_reachable(table, add_reached, &reached, &err), &err);
	for (size_t i = 0; i < there.names.capacity; i++)
		if (there.names.slots[i].data != NULL && !ice_name_set_has(&reached.names, there.names.slots[i]))
			fail_msg("left behind: %.*s", WEIR_STR_ARG(there.names.slots[i]));
	for (size_t i = 0; i < reached.names.capacity; i++)
		if (reached.names.slots[i].data != NULL && !ice_name_set_has(&there.names, reached.names.slots[i]))
			fail_msg("lost: %.*s", WEIR_STR_ARG(reached.names.slots[i]));
	ice_name_set_done(&there.names);
	ice_name_set_done(&reached.names);
	weir_arena_free(arena);
}

static void put_object(struct ice_lake *lake, const struct ice_data_file *file)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str name;
	lake_check(store_name_of(lake->store, lake->arena, file->path, &name, &err), &err);
	lake_check(store_put(lake->store, name.data, "x", 1, &err), &err);
}

/* Random appends, overwrites, compactions and erasures against a plain list of live files. */
static void test_random_edits(void **state)
{
	static const char *const purposes[] = {"research", "coaching", "ads"};
	const char *text = getenv("WEIR_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 7;
	struct weir_rng rng = weir_rng_new(seed);
	struct ice_lake lake = lake_open(1U << 16); /* small, so that pins and eviction are tested too */
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file *live = weir_arena_calloc(lake.arena, 2000, sizeof *live);
	uint32_t live_count = 0;
	for (unsigned step = 0; step < 400; step++) {
		struct ice_data_file added[4];
		struct weir_str removed[4];
		struct ice_edit edit = {.operation = ICE_OP_OVERWRITE,
			.added = added,
			.removed = removed,
			.keep_snapshots = 1 + (uint32_t)weir_rng_below(&rng, 5),
			.erase = weir_rng_chance(&rng, 0.05)};
		edit.added_count = (uint32_t)weir_rng_below(&rng, 5);
		for (uint32_t i = 0; i < edit.added_count; i++) {
			added[i] = lake_file(&lake, purposes[weir_rng_below(&rng, 3)], "s");
			put_object(&lake, &added[i]);
		}
		while (edit.removed_count < weir_rng_below(&rng, 4) && live_count > 0) {
			uint32_t victim = (uint32_t)weir_rng_below(&rng, live_count);
			removed[edit.removed_count++] = live[victim].path;
			live[victim] = live[--live_count];
		}
		for (uint32_t i = 0; i < edit.added_count; i++)
			live[live_count++] = added[i];
		table = lake_edit(&lake, table, edit);
		struct ice_file_list *list = lake_plan(table, NULL);
		assert_int_equal(list->count, live_count);
		struct ice_name_set planned = {0};
		for (uint32_t i = 0; i < list->count; i++)
			assert_true(ice_name_set_add(&planned, list->files[i]->path));
		for (uint32_t i = 0; i < live_count; i++)
			assert_true(ice_name_set_has(&planned, live[i].path));
		char total[16];
		snprintf(total, sizeof total, "%u", live_count);
		check_summary(table, "total-data-files", total);
		ice_name_set_done(&planned);
		ice_file_list_free(list);
		if (step % 10 == 0 || edit.erase)
			check_exact(&lake, table);
	}
	check_exact(&lake, table);
	ice_table_unref(table);
	lake_close(&lake);
}

/* ---- erasure ---- */

struct scan {
	struct ice_lake *lake;
	const char *needle;
	unsigned hits, objects;
	bool report;
};

static bool contains(const char *data, size_t size, const char *needle)
{
	return memmem(data, size, needle, strlen(needle)) != NULL;
}

static bool value_contains(const struct avro_value *value, const char *needle)
{
	switch (value->type->kind) {
	case AVRO_BYTES:
	case AVRO_STRING:
	case AVRO_FIXED:
		return contains(value->u.bytes.data, value->u.bytes.size, needle);
	case AVRO_ARRAY:
	case AVRO_MAP:
	case AVRO_RECORD: {
		uint32_t count = value->u.list.count * (value->type->kind == AVRO_MAP ? 2 : 1);
		for (uint32_t i = 0; i < count; i++)
			if (value_contains(&value->u.list.items[i], needle))
				return true;
		return false;
	}
	default:
		return false;
	}
}

/* The object's bytes, and what its Avro blocks hold once decompressed. */
static int scan_object(void *context, const struct store_object *object, struct weir_error *err)
{
	struct scan *scan = context;
	struct weir_buf bytes = WEIR_BUF_INIT;
	char *name = weir_arena_cstr(scan->lake->arena, object->name);
	int code = store_read_all(scan->lake->store, name, 64U << 20, &bytes, err);
	if (code != 0)
		return code;
	bool found = contains(bytes.data, bytes.size, scan->needle);
	struct weir_slice slice = {bytes.data, bytes.size};
	struct avro_reader *reader;
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (avro_reader_open(weir_source_from_memory(&slice, object->name), 64U << 20, &reader, &ignored) == 0) {
		const struct avro_value *value;
		while (avro_reader_next(reader, &value, &ignored) == 0 && value != NULL)
			found = found || value_contains(value, scan->needle);
		avro_reader_close(reader);
	}
	if (found && scan->report)
		print_error("the subject is in %s\n", name);
	scan->hits += found;
	scan->objects++;
	weir_buf_done(&bytes);
	return 0;
}

static unsigned scan_store(struct ice_lake *lake, const char *needle, bool report)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct scan scan = {.lake = lake, .needle = needle, .report = report};
	lake_check(store_list(lake->store, "", scan_object, &scan, &err), &err);
	assert_true(scan.objects > 0);
	return scan.hits;
}

static void test_erasure(void **state)
{
	static const char subject[] = "subject-4711";
	struct ice_lake lake = lake_open(1U << 20);
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file files[20];
	for (unsigned i = 0; i < 20; i++) {
		files[i] = lake_file(&lake, i % 2 == 0 ? "research" : "coaching", i == 6 || i == 9 ? subject : "other");
		put_object(&lake, &files[i]);
		table = lake_append(&lake, table, &files[i], 1, 0);
	}
	/* One file of the subject was replaced before without erasing: its entry is DELETED in a manifest. */
	struct ice_data_file rest = lake_file(&lake, "research", "other");
	put_object(&lake, &rest);
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_REPLACE,
			.added = &rest,
			.added_count = 1,
			.removed = &files[6].path,
			.removed_count = 1});
	assert_true(scan_store(&lake, subject, false) > 3); /* the test would see it */

	struct ice_data_file clean = lake_file(&lake, "coaching", "other");
	put_object(&lake, &clean);
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_OVERWRITE,
			.added = &clean,
			.added_count = 1,
			.removed = &files[9].path,
			.removed_count = 1,
			.erase = true});
	assert_int_equal(scan_store(&lake, subject, true), 0);
	check_exact(&lake, table);
	const struct ice_metadata *metadata = ice_table_metadata(table);
	assert_int_equal(metadata->snapshot_count, 1);
	assert_int_equal(metadata->snapshot_log_count, 1);
	assert_int_equal(metadata->metadata_log_count, 0);
	assert_int_equal(metadata->ref_count, 1);
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, 20);
	ice_file_list_free(list);
	/* No manifest is older than the erasure. */
	struct ice_cached *cached;
	const struct ice_manifest *manifests;
	uint32_t count;
	struct weir_error err = WEIR_ERROR_INIT;
	lake_check(ice_table_manifests(table, ice_metadata_current(metadata), &cached, &manifests, &count, &err), &err);
	assert_true(count > 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(manifests[i].added_snapshot_id, metadata->current_snapshot_id);
	ice_cached_release(cached);
	/* What was doomed is in control's table, for whoever starts after a crash. */
	int64_t doomed;
	lake_check(control_query_int(lake.control, "SELECT count(*) FROM weir_doomed_files", NULL, 0, &doomed, &err),
		&err);
	assert_true(doomed > 40);
	ice_table_unref(table);
	lake_close(&lake);
}

/* A tag keeps its snapshot when others expire, and goes with an erasure. */
static void test_tags(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file files[6];
	for (unsigned i = 0; i < 6; i++)
		files[i] = lake_file(&lake, "research", "s");
	put_object(&lake, &files[0]);
	put_object(&lake, &files[1]);
	table = lake_append(&lake, table, files, 2, 0);
	/* Another engine tags the snapshot. */
	struct ice_metadata tagged = *ice_table_metadata(table);
	struct ice_ref refs[2] = {tagged.refs[0], tagged.refs[0]};
	refs[1].name = WEIR_STR("audit");
	refs[1].is_tag = true;
	tagged.refs = refs;
	tagged.ref_count = 2;
	struct weir_buf json = WEIR_BUF_INIT;
	ice_metadata_write(&tagged, &json);
	const char *name = "gold/t/metadata/00002-tag.metadata.json";
	lake_check(store_put(lake.store, name, json.data, json.size, &err), &err);
	struct weir_str uri = store_uri(lake.store, lake.arena, weir_str_from(name));
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_swap_table(change, LAKE_NAME.ns, LAKE_NAME.table, ice_table_metadata_uri(table), uri);
	lake_commit(&lake, change, true);
	struct weir_str untagged = weir_arena_str(lake.arena, ice_table_metadata_uri(table)), untagged_name;
	lake_check(store_name_of(lake.store, lake.arena, untagged, &untagged_name, &err), &err);
	const char *gone = untagged_name.data; /* the tag's author did not log it */
	lake_check(store_delete_many(lake.store, &gone, 1, &err), &err);
	ice_table_unref(table);
	table = lake_load(&lake);
	int64_t tag = ice_table_metadata(table)->current_snapshot_id;
	for (unsigned i = 2; i < 5; i++) {
		put_object(&lake, &files[i]);
		table = lake_edit(&lake, table,
			(struct ice_edit){.operation = ICE_OP_OVERWRITE,
				.added = &files[i],
				.added_count = 1,
				.removed = &files[i - 2].path,
				.removed_count = 1,
				.keep_snapshots = 1});
	}
	check_exact(&lake, table);
	struct ice_file_list *list;
	lake_check(ice_plan(table, tag, NULL, &list, &err), &err);
	assert_int_equal(list->count, 2);
	ice_file_list_free(list);
	put_object(&lake, &files[5]);
	table = lake_edit(&lake, table,
		(struct ice_edit){.operation = ICE_OP_OVERWRITE,
			.added = &files[5],
			.added_count = 1,
			.removed = &files[3].path,
			.removed_count = 1,
			.erase = true});
	check_exact(&lake, table);
	assert_int_equal(ice_table_metadata(table)->ref_count, 1); /* only main */
	assert_int_equal(ice_plan(table, tag, NULL, &list, &err), WEIR_E_NOT_FOUND);
	weir_buf_done(&json);
	ice_table_unref(table);
	lake_close(&lake);
}

/* ---- the cost of a commit ---- */

#define APPENDS 5000

static void test_many_appends(void **state)
{
	struct ice_lake lake = lake_open(8U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t most_manifests = 0;
	uint64_t entries_written = 0, most_list = 0, most_metadata = 0;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	for (unsigned i = 0; i < APPENDS; i++) {
		struct ice_data_file file = lake_file(&lake, i % 3 == 0 ? "research" : "coaching", "s");
		table = lake_append(&lake, table, &file, 1, 10);
		const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
		struct ice_cached *list;
		const struct ice_manifest *manifests;
		uint32_t count;
		lake_check(ice_table_manifests(table, snapshot, &list, &manifests, &count, &err), &err);
		for (uint32_t j = 0; j < count; j++)
			if (manifests[j].added_snapshot_id == snapshot->id)
				entries_written += (uint64_t)(manifests[j].added_files + manifests[j].existing_files);
		ice_cached_release(list);
		most_manifests = count > most_manifests ? count : most_manifests;
		if (i % 50 == 0 || i + 1 == APPENDS) {
			uint64_t size;
			struct weir_str name;
			lake_check(store_name_of(lake.store, lake.arena, snapshot->manifest_list, &name, &err), &err);
			lake_check(store_size(lake.store, name.data, &size, &err), &err);
			most_list = size > most_list ? size : most_list;
			lake_check(store_name_of(lake.store, lake.arena, ice_table_metadata_uri(table), &name, &err),
				&err);
			lake_check(store_size(lake.store, name.data, &size, &err), &err);
			most_metadata = size > most_metadata ? size : most_metadata;
		}
	}
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, APPENDS);
	ice_file_list_free(list);
	check_summary(table, "total-data-files", "5000");
	struct weir_arena *arena = weir_arena_new(0);
	struct name_list there = {.arena = arena};
	lake_check(store_list(lake.store, "gold/t/metadata/", add_object, &there, &err), &err);
	print_message("at most %u manifests, a list of %llu bytes, metadata of %llu; %.1f entries written an append; "
		      "%u metadata objects\n",
		most_manifests, (unsigned long long)most_list, (unsigned long long)most_metadata,
		(double)entries_written / APPENDS, there.count);
	assert_true(most_manifests <= 32); /* two groups of log2(3333) and one */
	assert_true(most_list <= 16 << 10);
	assert_true(most_metadata <= 128 << 10);
	assert_true(entries_written <= APPENDS * 14ULL);
	assert_true(there.count <= 10 + 10 + 101 + 10 * 4 + 32); /* lists, metadata, their manifests */
	ice_name_set_done(&there.names);
	weir_arena_free(arena);
	ice_table_unref(table);
	lake_close(&lake);
}

static void test_evolve(void **state)
{
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_prepared *prepared;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	struct ice_data_file file = lake_file(&lake, "research", "s");
	table = lake_append(&lake, table, &file, 1, 0);
	struct ice_definition definition = lake_definition(lake.arena);
	struct weir_schema wider = *definition.schema;
	wider.fields = weir_arena_calloc(lake.arena, 7, sizeof *wider.fields);
	memcpy(wider.fields, definition.schema->fields, 6 * sizeof *wider.fields);
	wider.fields[6] = (struct weir_field){.name = WEIR_STR("pace"), .id = 9, .type = WEIR_DOUBLE, .required = true};
	wider.field_count = 7;
	definition.schema = &wider;
	assert_int_equal(ice_evolve(table, &definition, lake_prefix(&lake), 1, &prepared, &err), WEIR_E_UNSUPPORTED);
	wider.fields[6].required = false;
	struct ice_spec specs[3] = {definition.specs[0], definition.specs[1], {2, 2, definition.specs[0].fields}};
	definition.specs = specs;
	definition.spec_count = 3;
	definition.default_spec_id = 2;
	lake_check(ice_evolve(table, &definition, lake_prefix(&lake), 1, &prepared, &err), &err);
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(prepared, change);
	lake_commit(&lake, change, true);
	ice_prepared_free(prepared);
	ice_table_unref(table);
	table = lake_load(&lake);
	const struct ice_metadata *metadata = ice_table_metadata(table);
	assert_int_equal(metadata->schema_count, 2);
	assert_int_equal(metadata->current_schema_id, 1);
	assert_int_equal(ice_table_schema(table)->field_count, 7);
	assert_int_equal(metadata->last_column_id, 9);
	assert_int_equal(metadata->spec_count, 3);
	assert_int_equal(metadata->default_spec_id, 2);
	struct ice_file_list *list = lake_plan(table, NULL);
	assert_int_equal(list->count, 1);
	ice_file_list_free(list);
	/* Back to fewer columns: refused by name. */
	struct ice_definition narrow = lake_definition(lake.arena);
	assert_int_equal(ice_evolve(table, &narrow, lake_prefix(&lake), 1, &prepared, &err), WEIR_E_UNSUPPORTED);
	assert_non_null(strstr(err.message, "pace"));
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_and_load),
		cmocka_unit_test(test_append_and_overwrite),
		cmocka_unit_test(test_pruning),
		cmocka_unit_test(test_conflict_and_rebase),
		cmocka_unit_test(test_random_edits),
		cmocka_unit_test(test_erasure),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_many_appends),
		cmocka_unit_test(test_evolve),
		cmocka_unit_test(test_bucket_pruning),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
