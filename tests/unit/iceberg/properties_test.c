/* Table properties: read, or an error that names them; how files, the metadata log and expiry follow them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "column/builder.h"
#include "iceberg/revise.h"
#include "iceberg/upkeep.h"
#include "unit/iceberg/ice_lake.h"

#define DAY_MS 86400000LL
#define ROWS   20000

/* x long, text string; with properties "key=value key=value". */
static struct ice_table *new_table(struct ice_lake *lake, const char *properties)
{
	static const struct ice_spec spec = {0};
	struct weir_schema *schema = weir_arena_zalloc(lake->arena, sizeof *schema);
	struct ice_kv *pairs = weir_arena_calloc(lake->arena, 8, sizeof *pairs);
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	uint32_t count = 0;
	for (const char *at = properties; *at != '\0'; count++) {
		size_t size = strcspn(at, " "), key = strcspn(at, "=");
		pairs[count] = (struct ice_kv){{at, key}, {at + key + 1, size - key - 1}};
		at += size + (at[size] == ' ');
	}
	schema->field_count = 2;
	schema->fields = weir_arena_calloc(lake->arena, 2, sizeof *schema->fields);
	schema->fields[0] = (struct weir_field){.name = WEIR_STR("x"), .id = 1, .type = WEIR_INT64};
	schema->fields[1] = (struct weir_field){.name = WEIR_STR("text"), .id = 2, .type = WEIR_STRING};
	struct ice_definition definition = {.name = LAKE_NAME,
		.schema = schema,
		.specs = &spec,
		.spec_count = 1,
		.properties = pairs,
		.property_count = count,
		.location = WEIR_STR("gold/t")};
	lake_check(ice_table_create(lake->store, &definition, lake->now_ms, change, &err), &err);
	lake_commit(lake, change, true);
	return lake_load(lake);
}

static struct ice_table *append(struct ice_lake *lake, struct ice_table *table, uint32_t rows)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_rng rng = weir_rng_new(5);
	struct weir_builder *builder = weir_builder_new(ice_table_schema(table));
	struct ice_writer *writer;
	struct ice_written written;
	struct ice_write_options options = {.prefix = lake_prefix(lake), .codec = CODEC_ZSTD, .level = 1};
	lake_check(ice_writer_open(table, &options, &writer, &err), &err);
	for (uint32_t i = 0; i < rows; i++) {
		char text[40];
		snprintf(text, sizeof text, "%016llx", (unsigned long long)weir_rng_next(&rng));
		weir_builder_i64(builder, 0, (int64_t)weir_rng_next(&rng));
		weir_builder_str(builder, 1, weir_str_from(text));
		weir_builder_end_row(builder);
		if (!weir_builder_full(builder) && i + 1 < rows)
			continue;
		struct weir_batch *batch = weir_builder_take(builder);
		lake_check(ice_writer_add(writer, batch, NULL, &err), &err);
		weir_batch_release(batch);
	}
	lake_check(ice_writer_close(writer, &written, &err), &err);
	lake_check(store_barrier(lake->store, written.handles, written.count, &err), &err);
	table = lake_append(lake, table, written.files, written.count, 0);
	ice_written_free(&written);
	weir_builder_free(builder);
	return table;
}

static int commit_edit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	(void)err;
	*ret_table = lake_edit(context, ice_table_ref(table), *edit);
	return 0;
}

static int compact(struct ice_lake *lake, struct ice_table *table, uint64_t target, struct weir_error *err)
{
	struct ice_compact_counts counts;
	const struct ice_compact_options options = {
		.all = true, .target_bytes = target, .prefix = lake_prefix(lake), .now_ms = lake->now_ms};
	return ice_compact(table, &options, commit_edit, NULL, lake, &counts, err);
}

/* What the first of the table's files is. */
static struct weir_str codec_of(
	struct ice_lake *lake, struct ice_table *table, uint32_t *ret_files, uint32_t *ret_groups)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_file_list *list = lake_plan(table, NULL);
	struct ice_footer *footer;
	const struct pq_file *file;
	struct pq_chunk_description chunk;
	lake_check(ice_footer_open(table, list->files[0], &footer, &file, &err), &err);
	lake_check(pq_file_describe_chunk(file, 0, 1, lake->arena, &chunk, &err), &err);
	*ret_files = list->count;
	*ret_groups = pq_file_row_group_count(file);
	ice_footer_release(footer);
	ice_file_list_free(list);
	return weir_str_from(chunk.codec);
}

static void test_files(void **state)
{
	static const struct {
		const char *properties, *codec;
		uint64_t target;
		bool many_files, many_groups;
	} cases[] = {
		{"a=b", "zstd", 0, false, false},
		{"write.parquet.compression-codec=zstd write.parquet.compression-level=9", "zstd", 0, false, false},
		{"write.parquet.compression-codec=GZIP write.parquet.compression-level=1", "gzip", 0, false, false},
		{"write.parquet.compression-codec=snappy write.parquet.compression-level=3", "snappy", 0, false, false},
		{"write.parquet.compression-codec=brotli", "brotli", 0, false, false},
		{"write.parquet.compression-codec=uncompressed", "none", 0, false, false},
		/* a file is closed between row groups */
		{"write.target-file-size-bytes=1000 write.parquet.row-group-size-bytes=100000", "zstd", 0, true, false},
		{"write.target-file-size-bytes=1000 write.parquet.row-group-size-bytes=100000", "zstd", 100 << 20,
			false, true},
		{"write.parquet.row-group-size-bytes=100000", "zstd", 0, false, true},
	};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_table *table = append(&lake, new_table(&lake, cases[c].properties), ROWS);
		uint32_t files, groups;
		lake_check(compact(&lake, table, cases[c].target, &err), &err);
		ice_table_unref(table);
		table = lake_load(&lake);
		struct weir_str codec = codec_of(&lake, table, &files, &groups);
		assert_string_equal(weir_arena_cstr(lake.arena, codec), cases[c].codec);
		if ((files > 1) != cases[c].many_files || (groups > 1) != cases[c].many_groups)
			print_error("%s: %u files, %u row groups\n", cases[c].properties, files, groups);
		assert_int_equal(files > 1, cases[c].many_files);
		assert_int_equal(groups > 1, cases[c].many_groups);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

/* Each error names the property and its value, and what to do. */
static void test_wrong_values(void **state)
{
	static const struct {
		const char *property, *key, *value, *remedy;
	} cases[] = {
		{"write.parquet.compression-codec=lzo", "write.parquet.compression-codec", "'lzo'", "--set"},
		{"write.parquet.compression-level=99", "write.parquet.compression-level", "'99'", "1 to 22"},
		{"write.parquet.compression-level=fast", "write.parquet.compression-level", "'fast'", "--unset"},
		{"write.target-file-size-bytes=512MB", "write.target-file-size-bytes", "'512MB'",
			"--set write.target-file-size-bytes=134217728"},
		{"write.parquet.row-group-size-bytes=0", "write.parquet.row-group-size-bytes", "'0'", "from 1 on"},
	};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct weir_error err = WEIR_ERROR_INIT;
		char text[1200];
		struct ice_table *table = append(&lake, new_table(&lake, cases[c].property), 10);
		assert_int_equal(compact(&lake, table, 0, &err), WEIR_E_INPUT);
		weir_error_text(&err, text, sizeof text);
		assert_non_null(strstr(text, cases[c].key));
		assert_non_null(strstr(text, cases[c].value));
		assert_non_null(strstr(text, cases[c].remedy));
		ice_table_unref(table);
		lake_close(&lake);
	}
}

static int count_name(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)err;
	*(uint32_t *)context += weir_str_has_suffix(object->name, WEIR_STR(".metadata.json"));
	return 0;
}

/* The log has as many earlier versions as the table says, and what falls out of it goes unless the table keeps it. */
static void test_metadata_log(void **state)
{
	static const struct {
		const char *properties;
		uint32_t logged, files; /* after eight commits */
	} cases[] = {
		{"a=b", 8, 9},
		{"write.metadata.previous-versions-max=3", 3, 4},
		{"write.metadata.previous-versions-max=3 write.metadata.delete-after-commit.enabled=true", 3, 4},
		{"write.metadata.previous-versions-max=3 write.metadata.delete-after-commit.enabled=false", 3, 9},
	};
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_table *table = new_table(&lake, cases[c].properties);
		uint32_t files = 0;
		for (int i = 0; i < 8; i++)
			table = append(&lake, table, 1);
		assert_int_equal(ice_table_metadata(table)->metadata_log_count, cases[c].logged);
		lake_check(store_list(lake.store, "gold/t/metadata/", count_name, &files, &err), &err);
		assert_int_equal(files, cases[c].files);
		ice_table_unref(table);
		lake_close(&lake);
	}
}

static void test_expiry(void **state)
{
	struct ice_metadata metadata = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_kv pairs[] = {{WEIR_STR("history.expire.max-snapshot-age-ms"), WEIR_STR("1000")},
		{WEIR_STR("history.expire.min-snapshots-to-keep"), WEIR_STR("7")},
		{WEIR_STR("history.expire.max-ref-age-ms"), WEIR_STR("5000")}};
	struct ice_expiry expiry = {.now_ms = 100 * DAY_MS, .older_than_ms = 95 * DAY_MS, .keep_last = 1};
	(void)state;
	lake_check(ice_expiry_read(&metadata, &expiry, &err), &err);
	assert_true(expiry.older_than_ms == 95 * DAY_MS && expiry.keep_last == 1 && expiry.max_ref_age_ms == 0);
	metadata.properties = pairs;
	metadata.property_count = 3;
	lake_check(ice_expiry_read(&metadata, &expiry, &err), &err);
	assert_true(expiry.older_than_ms == 100 * DAY_MS - 1000);
	assert_int_equal(expiry.keep_last, 7);
	assert_int_equal(expiry.max_ref_age_ms, 5000);
	pairs[1].value = WEIR_STR("many");
	assert_int_equal(ice_expiry_read(&metadata, &expiry, &err), WEIR_E_INPUT);
}

static int no_orphan(void *context, const struct store_object *object, struct weir_error *err)
{
	(void)context;
	(void)object;
	(void)err;
	return 0;
}

static int reload(void *context, struct ice_table **ret_table, struct weir_error *err)
{
	(void)err;
	*ret_table = lake_load(context);
	return 0;
}

/* Branches and tags that say nothing themselves go at the table's age; gc.enabled=false keeps everything. */
static void test_refs_and_gc(void **state)
{
	(void)state;
	for (int gc = 0; gc < 2; gc++) {
		struct ice_lake lake = lake_open(1 << 20);
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_arena *arena = weir_arena_new(0);
		struct ice_table *table = new_table(&lake, gc ? "a=b" : "gc.enabled=FALSE");
		table = append(&lake, append(&lake, table, 1), 1);
		struct ice_metadata base = *ice_table_metadata(table), next;
		struct ice_ref refs[] = {base.refs[0], base.refs[0], base.refs[0]};
		struct ice_expiry expiry = {
			.now_ms = lake.now_ms + DAY_MS, .older_than_ms = 0, .keep_last = 1, .max_ref_age_ms = DAY_MS};
		refs[1].name = WEIR_STR("old");
		refs[1].snapshot_id = base.snapshots[0].id;
		refs[1].is_tag = true;
		refs[2] = refs[1];
		refs[2].name = WEIR_STR("kept");
		refs[2].max_ref_age_ms = 9 * DAY_MS;
		base.refs = refs;
		base.ref_count = 3;
		next = base;
		int code = ice_revise_expire(&expiry, arena, &base, &next, &err);
		assert_int_equal(code, gc ? 0 : WEIR_E_INPUT);
		if (gc) {
			assert_int_equal(next.ref_count, 2);
			assert_true(weir_str_is(next.refs[1].name, "kept"));
			expiry.max_ref_age_ms = 0;
			next = base;
			lake_check(ice_revise_expire(&expiry, arena, &base, &next, &err), &err);
			assert_int_equal(next.ref_count, 3);
		}
		code = ice_orphans(table, lake.now_ms, ICE_ORPHAN_GRACE_LEAST_MS, reload, no_orphan, &lake, &err);
		assert_int_equal(code, gc ? 0 : WEIR_E_INPUT);
		if (!gc) {
			char text[1200];
			assert_non_null(strstr(weir_error_text(&err, text, sizeof text), "--set gc.enabled=true"));
		}
		ice_table_unref(table);
		weir_arena_free(arena);
		lake_close(&lake);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_wrong_values),
		cmocka_unit_test(test_metadata_log),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_refs_and_gc),
	};
	return cmocka_run_group_tests_name("iceberg_properties", tests, NULL, NULL);
}
