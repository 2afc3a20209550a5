/*
 * Maintenance of tables that others create: what it joins, expires and removes, what it leaves alone, and that beside
 * writers and readers nothing that anybody may still need goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "base/uuid.h"
#include "column/builder.h"
#include "iceberg/row_delta.h"
#include "jobs/maintain.h"

#define MINUTE_US WEIR_US_PER_MINUTE
#define HOUR_US   WEIR_US_PER_HOUR
#define DAY_US    WEIR_US_PER_DAY

/* A catalog's store and control database; the store has real files, whose age is real, too. */
struct bed {
	char directory[64];
	struct weir_arena *arena;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	struct ice_registry *registry;
	struct weir_manual_clock now;
	struct lake_maintain settings;
	struct maintain *maintain;
};

static void check(int code, const struct weir_error *err)
{
	char text[1200];
	if (code != 0)
		print_error("%s\n", weir_error_text(err, text, sizeof text));
	assert_int_equal(code, 0);
}

static void bed_open(struct bed *bed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_clock system = weir_clock_system();
	char path[96];
	*bed = (struct bed){.directory = "/tmp/weir-maintain-XXXXXX",
		.arena = weir_arena_new(0),
		.cache = ice_cache_new(1 << 20),
		.now = {weir_now_us(&system)},
		.settings = LAKE_MAINTAIN_DEFAULT};
	assert_non_null(mkdtemp(bed->directory));
	snprintf(path, sizeof path, "%s/warehouse", bed->directory);
	check(store_local_open(weir_os_real(), path, &bed->store, &err), &err);
	snprintf(path, sizeof path, "%s/control.db", bed->directory);
	struct control_options options = {.url = path, .unsafe_no_sync = true};
	check(control_open(&options, &bed->control, &err), &err);
	bed->registry = ice_registry_new(bed->store, bed->control);
	struct maintain_config config = {
		.registry = bed->registry, .settings = &bed->settings, .clock = weir_clock_manual(&bed->now)};
	maintain_open(&config, &bed->maintain);
}

static void bed_close(struct bed *bed)
{
	char command[128];
	maintain_close(bed->maintain);
	ice_registry_free(bed->registry);
	control_close(bed->control);
	ice_cache_free(bed->cache);
	store_close(bed->store);
	weir_arena_free(bed->arena);
	snprintf(command, sizeof command, "rm -r %s", bed->directory);
	assert_int_equal(system(command), 0);
}

static int64_t now_us(struct bed *bed)
{
	return __atomic_load_n(&bed->now.time_us, __ATOMIC_RELAXED);
}

static void pass(struct bed *bed, int64_t us)
{
	weir_manual_clock_advance(&bed->now, us);
}

static void commit(struct bed *bed, struct control_change *take_change)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result;
	check(control_commit(bed->control, take_change, &result, &err), &err);
	assert_int_equal(result.outcome, CONTROL_DONE);
	control_change_free(take_change);
}

static void run_sql(struct bed *bed, const char *sql)
{
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	control_change_sql(change, "test", 1, sql, NULL, 0);
	commit(bed, change);
}

/* File names of one's own. */
static struct weir_str new_prefix(struct bed *bed, char buffer[WEIR_UUID_TEXT])
{
	struct weir_uuid uuid = weir_uuid_v7(now_us(bed));
	weir_uuid_format(&uuid, buffer);
	return weir_str_from(buffer);
}

static bool one_round(struct bed *bed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	check(maintain_round(bed->maintain, &did, &err), &err);
	return did;
}

static struct ice_table *load(struct bed *bed, const char *ns, const char *name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table;
	check(ice_table_load(bed->store, bed->control, bed->cache,
		      (struct ice_name){weir_str_from(ns), weir_str_from(name)}, &table, &err),
		&err);
	return table;
}

/* id long, part string, unpartitioned, in the folder; with properties "key=value". */
static void new_table(struct bed *bed, const char *ns, const char *name, const char *folder, const char *property)
{
	struct weir_arena *arena = bed->arena;
	struct weir_schema *schema = weir_arena_zalloc(arena, sizeof *schema);
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	schema->field_count = 2;
	schema->fields = weir_arena_calloc(arena, 2, sizeof *schema->fields);
	schema->fields[0] = (struct weir_field){.name = WEIR_STR("id"), .id = 1, .type = WEIR_INT64};
	schema->fields[1] = (struct weir_field){.name = WEIR_STR("text"), .id = 2, .type = WEIR_STRING};
	const char *is = property != NULL ? strchr(property, '=') : NULL;
	struct ice_kv pair = {0};
	if (is != NULL)
		pair = (struct ice_kv){{property, (size_t)(is - property)}, weir_str_from(is + 1)};
	struct ice_definition definition = {.name = {weir_str_from(ns), weir_str_from(name)},
		.schema = schema,
		.properties = &pair,
		.property_count = is != NULL,
		.location = weir_str_from(folder)};
	check(ice_table_create(bed->store, &definition, now_us(bed) / 1000, change, &err), &err);
	commit(bed, change);
}

static struct ice_written write_rows(struct bed *bed, struct ice_table *table, int64_t first, int64_t end)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer;
	struct ice_written written;
	char prefix[WEIR_UUID_TEXT];
	struct ice_write_options options = {.prefix = new_prefix(bed, prefix), .codec = CODEC_ZSTD, .level = 1};
	check(ice_writer_open(table, &options, &writer, &err), &err);
	for (int64_t i = first; i < end; i++) {
		weir_builder_i64(builder, 0, i);
		char text[24]; /* that does not compress */
		int size = snprintf(text, sizeof text, "%016llx", (unsigned long long)i * 0x9E3779B97F4A7C15ULL);
		weir_builder_str(builder, 1, (struct weir_str){text, (size_t)size});
		weir_builder_end_row(builder);
	}
	struct weir_batch *batch = weir_builder_take(builder);
	check(ice_writer_add(writer, batch, NULL, &err), &err);
	check(ice_writer_close(writer, &written, &err), &err);
	check(store_barrier(bed->store, written.handles, written.count, &err), &err);
	weir_batch_release(batch);
	weir_builder_free(builder);
	return written;
}

/* As another engine would: on the newest version, again where it moved. Takes the table, which the edit was made for.
 * */
static void commit_edit(
	struct bed *bed, const char *ns, const char *name, struct ice_table *take_table, const struct ice_edit *edit)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_result result = {.outcome = CONTROL_CONFLICT};
	struct ice_prepared *prepared;
	check(ice_prepare(take_table, edit, &prepared, &err), &err);
	while (result.outcome == CONTROL_CONFLICT) {
		struct control_change *change = control_change_new(CONTROL_EPOCH);
		ice_stage(prepared, change);
		check(control_commit(bed->control, change, &result, &err), &err);
		control_change_free(change);
		if (result.outcome == CONTROL_DONE)
			break;
		ice_table_unref(take_table);
		take_table = load(bed, ns, name);
		check(ice_rebase(prepared, take_table, &err), &err);
	}
	ice_prepared_free(prepared);
	ice_table_unref(take_table);
}

static void append(struct bed *bed, const char *ns, const char *name, int64_t first, int64_t end)
{
	struct ice_table *table = load(bed, ns, name);
	struct ice_written written = write_rows(bed, table, first, end);
	char prefix[WEIR_UUID_TEXT];
	const struct ice_edit edit = {.operation = ICE_OP_APPEND,
		.added = written.files,
		.added_count = written.count,
		.prefix = new_prefix(bed, prefix),
		.now_ms = now_us(bed) / 1000};
	commit_edit(bed, ns, name, table, &edit);
	ice_written_free(&written);
}

/* Rows whose id is less, as position deletes. */
static void delete_below(struct bed *bed, int64_t id)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(bed, "db", "t");
	struct weir_arena *arena = weir_arena_new(0);
	const struct expr_value value = {.kind = EXPR_INTEGER, .u.integer = id};
	const struct expr_term term = {.field_id = 1, .op = EXPR_LT, .values = &value, .value_count = 1};
	struct ice_row_delta delta;
	char prefix[WEIR_UUID_TEXT];
	check(ice_delete_rows(table, &(struct expr_filter){&term, 1}, WEIR_STR(""), new_prefix(bed, prefix), arena,
		      &delta, &err),
		&err);
	delta.edit.now_ms = now_us(bed) / 1000;
	commit_edit(bed, "db", "t", table, &delta.edit);
	weir_arena_free(arena);
}

struct seen {
	uint32_t files, snapshots;
	int64_t rows, sum;
};

/* Every row of a version, read. */
static int scan(struct ice_table *table, struct seen *ret_seen, struct weir_error *err)
{
	struct ice_file_list *files = NULL;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	*ret_seen = (struct seen){.snapshots = ice_table_metadata(table)->snapshot_count};
	int status = ice_plan(table, -1, NULL, &files, err);
	if (status == 0)
		status =
			ice_reader_open(table, files->files, files->count, ice_table_schema(table), NULL, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, NULL, err)) == 0 && batch != NULL) {
		ret_seen->rows += batch->row_count;
		for (uint32_t i = 0; i < batch->row_count; i++)
			ret_seen->sum += weir_column_i64(&batch->columns[0], i);
		weir_batch_release(batch);
	}
	ret_seen->files = files != NULL ? files->count : 0;
	ice_reader_close(reader);
	ice_file_list_free(files);
	return status;
}

static struct seen look(struct bed *bed, const char *ns, const char *name)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_table *table = load(bed, ns, name);
	struct seen seen;
	check(scan(table, &seen, &err), &err);
	ice_table_unref(table);
	return seen;
}

static int count_object(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)err;
	*(uint32_t *)context += weir_str_has_suffix(object->name, WEIR_STR(".parquet"));
	return 0;
}

static uint32_t parquet_files(struct bed *bed, const char *folder)
{
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t count = 0;
	check(store_list(bed->store, folder, count_object, &count, &err), &err);
	return count;
}

static void sweep(struct bed *bed)
{
	struct weir_error err = WEIR_ERROR_INIT;
	check(ice_sweep_doomed(bed->registry, now_us(bed), 0, NULL, &err), &err);
}

/* ---- what it does ---- */

static void test_small_files(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	new_table(&bed, "db", "t", "db/t", NULL);
	for (int i = 0; i < 4; i++)
		append(&bed, "db", "t", 1000 * i, 1000 * i + 1000);
	assert_false(one_round(&bed)); /* four are too few to be worth it */
	append(&bed, "db", "t", 4000, 5000);
	append(&bed, "db", "t", 5000, 6000);
	assert_true(one_round(&bed));
	struct seen seen = look(&bed, "db", "t");
	assert_int_equal(seen.files, 1);
	assert_int_equal(seen.rows, 6000);
	assert_int_equal(seen.sum, 5999 * 6000 / 2);
	assert_false(one_round(&bed));
	struct maintain_numbers numbers = maintain_numbers(bed.maintain);
	assert_int_equal(numbers.files_compacted, 6);
	assert_int_equal(numbers.files_written, 1);
	assert_int_equal(numbers.failures + numbers.conflicts, 0);
	/* few and much smaller than what is there: left for later */
	for (int i = 0; i < 4; i++)
		append(&bed, "db", "t", 6000 + i, 6001 + i);
	assert_false(one_round(&bed));
	assert_int_equal(look(&bed, "db", "t").files, 5);
	struct weir_buf text = WEIR_BUF_INIT;
	maintain_metrics(bed.maintain, &text);
	assert_non_null(strstr(weir_buf_cstr(&text), "weir_maintain_files_compacted_total 6\n"));
	weir_buf_done(&text);
	bed_close(&bed);
}

static void test_left_alone(void **state)
{
	static const struct {
		const char *ns, *property;
	} tables[] = {{"own", NULL}, {"own.below", NULL}, {"db", "weir.maintain=false"}};
	struct bed bed;
	(void)state;
	bed_open(&bed);
	run_sql(&bed, "INSERT INTO weir_owned(namespace) VALUES ('own')");
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		char folder[32];
		snprintf(folder, sizeof folder, "%s/t", tables[t].ns);
		new_table(&bed, tables[t].ns, "t", folder, tables[t].property);
		for (int i = 0; i < 8; i++)
			append(&bed, tables[t].ns, "t", i, i + 1);
	}
	assert_false(one_round(&bed));
	pass(&bed, 30 * DAY_US);
	assert_false(one_round(&bed));
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		struct seen seen = look(&bed, tables[t].ns, "t");
		assert_int_equal(seen.files, 8);
		assert_int_equal(seen.snapshots, 8);
	}
	bed_close(&bed);
}

/* A row or two are not worth a file's rewrite, a tenth of them is. */
static void test_deletes(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	new_table(&bed, "db", "t", "db/t", "write.target-file-size-bytes=4096");
	append(&bed, "db", "t", 0, 1000);
	delete_below(&bed, 20);
	assert_false(one_round(&bed));
	assert_int_equal(look(&bed, "db", "t").rows, 980);
	delete_below(&bed, 150);
	assert_true(one_round(&bed));
	assert_int_equal(look(&bed, "db", "t").rows, 850);
	struct ice_table *table = load(&bed, "db", "t");
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
	assert_true(weir_str_is(ice_summary(snapshot, "total-records"), "850"));
	assert_true(weir_str_is(ice_summary(snapshot, "total-delete-files"), "0"));
	ice_table_unref(table);
	assert_false(one_round(&bed));
	bed_close(&bed);
}

/* ---- the graces ---- */

static void test_expiry(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	new_table(&bed, "db", "t", "db/t", NULL);
	for (int i = 0; i < 6; i++)
		append(&bed, "db", "t", i, i + 1);
	pass(&bed, 6 * DAY_US);
	/* A reader begins: with the newest version, six days old. */
	struct ice_table *reading = load(&bed, "db", "t");
	assert_true(one_round(&bed)); /* compacts: the reader's files are not the newest version's any more */
	pass(&bed, 10 * MINUTE_US);
	one_round(&bed);
	sweep(&bed);
	struct seen seen;
	struct weir_error err = WEIR_ERROR_INIT;
	check(scan(reading, &seen, &err), &err);
	assert_int_equal(seen.rows, 6);
	ice_table_unref(reading);
	/* Those that nobody can have begun with lately are gone; the reader's is, when readers have had their time. */
	assert_int_equal(look(&bed, "db", "t").snapshots, 2);
	pass(&bed, HOUR_US);
	assert_true(one_round(&bed));
	sweep(&bed);
	seen = look(&bed, "db", "t");
	assert_int_equal(seen.snapshots, 1);
	assert_int_equal(seen.rows, 6);
	assert_int_equal(parquet_files(&bed, "db/t/"), 1);
	assert_int_equal(maintain_numbers(bed.maintain).snapshots_expired, 6);
	bed_close(&bed);
}

static void test_expiry_by_properties(void **state)
{
	static const struct {
		const char *property;
		uint32_t left;
	} cases[] = {{"history.expire.min-snapshots-to-keep=3", 3}, {"history.expire.max-snapshot-age-ms=604800000", 4},
		{"gc.enabled=false", 4}, {"history.expire.max-snapshot-age-ms=9223372036854775807", 4}, {NULL, 1}};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct bed bed;
		bed_open(&bed);
		new_table(&bed, "db", "t", "db/t", cases[c].property);
		for (int i = 0; i < 4; i++)
			append(&bed, "db", "t", i, i + 1);
		pass(&bed, 6 * DAY_US);
		one_round(&bed);
		assert_int_equal(look(&bed, "db", "t").snapshots, cases[c].left);
		assert_int_equal(look(&bed, "db", "t").rows, 4);
		bed_close(&bed);
	}
}

static void test_orphans(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	new_table(&bed, "db", "t", "db/t", NULL);
	append(&bed, "db", "t", 0, 1);
	struct ice_table *table = load(&bed, "db", "t");
	struct ice_written lost = write_rows(&bed, table, 1, 2); /* its writer has yet to commit */
	ice_table_unref(table);
	ice_written_free(&lost);
	one_round(&bed);
	pass(&bed, 2 * DAY_US);
	one_round(&bed);
	assert_int_equal(parquet_files(&bed, "db/t/"), 2);
	pass(&bed, 2 * DAY_US);
	one_round(&bed);
	assert_int_equal(parquet_files(&bed, "db/t/"), 1);
	assert_int_equal(maintain_numbers(bed.maintain).orphans_removed, 1);
	assert_int_equal(look(&bed, "db", "t").rows, 1);
	bed_close(&bed);
}

/* Two tables in one folder, or one in the other: what one does not name may be the other's. */
static void test_shared_folder(void **state)
{
	static const char *const folders[] = {"db/t", "db/t/data/inner", "db"};
	(void)state;
	for (size_t f = 0; f < sizeof folders / sizeof folders[0]; f++) {
		struct bed bed;
		bed_open(&bed);
		new_table(&bed, "db", "t", "db/t", NULL);
		new_table(&bed, "db", "other", folders[f], NULL);
		for (int i = 0; i < 3; i++) {
			append(&bed, "db", "t", i, i + 1);
			append(&bed, "db", "other", i, i + 1);
		}
		pass(&bed, 8 * DAY_US);
		one_round(&bed);
		sweep(&bed);
		assert_int_equal(look(&bed, "db", "t").rows, 3);
		assert_int_equal(look(&bed, "db", "other").rows, 3);
		assert_int_equal(look(&bed, "db", "t").snapshots, 3);
		assert_int_equal(maintain_numbers(bed.maintain).orphans_removed, 0);
		bed_close(&bed);
	}
}

/* A property that is no number is said, and nothing is done by a guess at it. */
static void test_wrong_properties(void **state)
{
	static const char *const cases[] = {"history.expire.max-snapshot-age-ms=a week",
		"history.expire.min-snapshots-to-keep=0", "history.expire.max-ref-age-ms=-1",
		"commit.manifest.min-count-to-merge=x", "write.target-file-size-bytes=512MB", "gc.enabled=no",
		"weir.maintain=", "commit.retry.num-retries=often", "write.parquet.compression-codec=lzo"};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct bed bed;
		bed_open(&bed);
		new_table(&bed, "db", "t", "db/t", cases[c]);
		for (int i = 0; i < 6; i++)
			append(&bed, "db", "t", i, i + 1);
		pass(&bed, 6 * DAY_US);
		one_round(&bed);
		if (maintain_numbers(bed.maintain).failures != 1)
			print_error("%s is taken\n", cases[c]);
		assert_int_equal(maintain_numbers(bed.maintain).failures, 1);
		assert_true(look(&bed, "db", "t").snapshots >= 6);
		bed_close(&bed);
	}
}

/* Tables that weir cannot read, or that are elsewhere, are in the way of no other. */
static void test_unreadable(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	new_table(&bed, "db", "t", "db/t", NULL);
	run_sql(&bed,
		"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location)"
		" VALUES ('weir', 'db', 'a', 'file:///elsewhere/a/metadata/x.metadata.json')");
	const char *broken = weir_arena_printf(bed.arena,
		"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location)"
		" VALUES ('weir', 'db', 'b', 'file://%s/warehouse/db/b/metadata/x.metadata.json')",
		bed.directory);
	struct weir_error err = WEIR_ERROR_INIT;
	check(store_put(bed.store, "db/b/metadata/x.metadata.json", "{}", 2, &err), &err);
	run_sql(&bed, broken);
	for (int i = 0; i < 6; i++)
		append(&bed, "db", "t", i, i + 1);
	assert_true(one_round(&bed));
	assert_int_equal(look(&bed, "db", "t").files, 1);
	assert_int_equal(maintain_numbers(bed.maintain).failures, 1);
	bed_close(&bed);
}

/* ---- beside others ---- */

#define APPENDS 40

struct beside {
	struct bed *bed;
	int64_t first;
	atomic_int *writing;
	atomic_int scans;
};

static void *write_main(void *context)
{
	struct beside *beside = context;
	for (int i = 0; i < APPENDS; i++)
		append(beside->bed, "db", "t", beside->first + i, beside->first + i + 1);
	atomic_fetch_sub(beside->writing, 1);
	return NULL;
}

/* Takes the newest version and reads it a little later, whole, again and again. */
static void *read_main(void *context)
{
	struct beside *beside = context;
	while (atomic_load(beside->writing) > 0) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_table *table = load(beside->bed, "db", "t");
		struct seen seen;
		int64_t rows = 0;
		const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(table));
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		check(scan(table, &seen, &err), &err);
		if (snapshot != NULL)
			assert_true(weir_str_to_i64(ice_summary(snapshot, "total-records"), &rows));
		assert_int_equal(seen.rows, rows);
		ice_table_unref(table);
		atomic_fetch_add(&beside->scans, 1);
	}
	return NULL;
}

/* Every snapshot is too old as soon as it is there, and files go at once: only the time that readers have protects
 * them. */
static void test_beside_writers_and_readers(void **state)
{
	struct bed bed;
	pthread_t writers[2], readers[2];
	atomic_int writing = 2;
	struct weir_clock system = weir_clock_system();
	(void)state;
	bed_open(&bed);
	maintain_close(bed.maintain);
	bed.settings.snapshot_age_us = 0;
	bed.settings.readers_us = 5 * WEIR_US_PER_SECOND;
	struct maintain_config config = {.registry = bed.registry, .settings = &bed.settings};
	maintain_open(&config, &bed.maintain);
	new_table(&bed, "db", "t", "db/t", NULL);
	struct beside parts[4] = {{.bed = &bed, .writing = &writing},
		{.bed = &bed, .first = APPENDS, .writing = &writing}, {.bed = &bed, .writing = &writing},
		{.bed = &bed, .writing = &writing}};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&writers[i], NULL, write_main, &parts[i]), 0);
		assert_int_equal(pthread_create(&readers[i], NULL, read_main, &parts[2 + i]), 0);
	}
	while (atomic_load(&writing) > 0) {
		__atomic_store_n(&bed.now.time_us, weir_now_us(&system), __ATOMIC_RELAXED);
		one_round(&bed);
		sweep(&bed);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(writers[i], NULL);
		pthread_join(readers[i], NULL);
	}
	one_round(&bed);
	struct seen seen = look(&bed, "db", "t");
	struct maintain_numbers numbers = maintain_numbers(bed.maintain);
	print_message("%d scans, %llu files joined into %llu, %llu conflicts\n",
		atomic_load(&parts[2].scans) + atomic_load(&parts[3].scans),
		(unsigned long long)numbers.files_compacted, (unsigned long long)numbers.files_written,
		(unsigned long long)numbers.conflicts);
	assert_int_equal(seen.rows, 2 * APPENDS);
	assert_int_equal(seen.sum, (2 * APPENDS - 1) * APPENDS);
	assert_true(numbers.files_compacted > 0);
	assert_int_equal(numbers.failures, 0);
	bed_close(&bed);
}

/* The thread: it works by itself, and ends in the middle of its wait. */
static void test_thread(void **state)
{
	struct bed bed;
	(void)state;
	bed_open(&bed);
	maintain_close(bed.maintain);
	bed.settings.every_us = 20 * WEIR_US_PER_MS;
	struct maintain_config config = {.registry = bed.registry, .settings = &bed.settings};
	maintain_open(&config, &bed.maintain);
	new_table(&bed, "db", "t", "db/t", NULL);
	for (int i = 0; i < 6; i++)
		append(&bed, "db", "t", i, i + 1);
	maintain_start(bed.maintain);
	for (int i = 0; i < 500 && maintain_numbers(bed.maintain).rounds == 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	maintain_close(bed.maintain);
	bed.maintain = NULL;
	assert_int_equal(look(&bed, "db", "t").files, 1);
	bed_close(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_files),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_deletes),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_expiry_by_properties),
		cmocka_unit_test(test_wrong_properties),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_shared_folder),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_beside_writers_and_readers),
		cmocka_unit_test(test_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
