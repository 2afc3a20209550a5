/* metadata.json: the fixtures of two other implementations, round trips, and damage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/rng.h"
#include "iceberg/internal.h"

static char *read_fixture(const char *name, size_t *ret_size)
{
	char path[512], *data;
	struct weir_error err = WEIR_ERROR_INIT;
	const char *root = getenv("WEIR_DATA");
	snprintf(path, sizeof path, "%s/D_conformance/%s", root != NULL ? root : "../shared/data", name);
	if (weir_os_read_all(weir_os_real(), path, 4U << 20, &data, ret_size, &err) == 0)
		return data;
	print_message("absent, not tested: %s\n", path);
	return NULL;
}

#define JAVA "iceberg-java/core/src/test/resources/"
#define RUST "iceberg-rust/crates/iceberg/testdata/"

static const struct fixture {
	const char *name;
	int code; /* that parsing returns */
	int32_t version;
	uint32_t schemas, specs, snapshots, refs;
	int32_t last_partition_id;
} fixtures[] = {
	{JAVA "TableMetadataV1Valid.json", 0, 1, 1, 1, 0, 0, 1000},
	{JAVA "TableMetadataV2Valid.json", 0, 2, 2, 1, 2, 1, 1000},
	{JAVA "TableMetadataV2ValidMinimal.json", 0, 2, 1, 1, 0, 0, 1000},
	{JAVA "TableMetadataV3ValidMinimal.json", 0, 3, 1, 1, 0, 0, 1000},
	{JAVA "TableMetadataStatisticsFiles.json", 0, 2, 1, 1, 1, 1, 1000},
	{JAVA "TableMetadataPartitionStatisticsFiles.json", 0, 2, 1, 1, 1, 1, 1000},
	{JAVA "TableMetadataUnsupportedVersion.json", WEIR_E_UNSUPPORTED, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV1MissingSchemaType.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV2CurrentSchemaNotFound.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV2MissingLastPartitionId.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV2MissingPartitionSpecs.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV2MissingSchemas.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{JAVA "TableMetadataV2MissingSortOrder.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{RUST "example_table_metadata_v2.json", 0, 2, 2, 1, 2, 2, 1000},
	{RUST "example_table_metadata_v2_partition_evolution.json", 0, 2, 2, 3, 3, 2, 1002},
	{RUST "example_table_metadata_v2_deep_history.json", 0, 2, 2, 1, 5, 1, 1000},
	{RUST "example_empty_table_metadata_v2.json", 0, 2, 2, 1, 0, 0, 1000},
	{RUST "table_metadata/TableMetadataV1Compat.json", 0, 1, 1, 1, 1, 1, 999},
	{RUST "table_metadata/TableMetadataV1PartitionSpecsWithoutDefaultId.json", 0, 1, 1, 2, 0, 0, 1001},
	{RUST "table_metadata/TableMetadataV1NoValidSchema.json", WEIR_E_CORRUPT, 0, 0, 0, 0, 0, 0},
	{RUST "table_metadata/TableMetadataV1SchemasWithoutCurrentId.json", 0, 1, 1, 1, 0, 0, 1000},
	{RUST "table_metadata/TableMetadataV3ValidEncryption.json", 0, 3, 1, 1, 1, 1, 1000},
};

static void test_fixtures(void **state)
{
	unsigned found = 0;
	(void)state;
	for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
		const struct fixture *fixture = &fixtures[i];
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_metadata *metadata = NULL;
		size_t size;
		char *data = read_fixture(fixture->name, &size);
		if (data != NULL) {
			int code = ice_metadata_parse(
				arena, (struct weir_str){data, size}, weir_str_from(fixture->name), &metadata, &err);
			if (code != fixture->code)
				fail_msg("%s: code %d: %s", fixture->name, code, err.message);
			if (code == 0 &&
				(metadata->format_version != fixture->version ||
					metadata->schema_count != fixture->schemas ||
					metadata->spec_count != fixture->specs ||
					metadata->snapshot_count != fixture->snapshots ||
					metadata->ref_count != fixture->refs ||
					metadata->last_partition_id != fixture->last_partition_id))
				fail_msg("%s: version %d, %u schemas, %u specs, %u snapshots, %u refs, last partition "
					 "id %d",
					fixture->name, metadata->format_version, metadata->schema_count,
					metadata->spec_count, metadata->snapshot_count, metadata->ref_count,
					metadata->last_partition_id);
			found++;
		}
		free(data);
		weir_arena_free(arena);
	}
	print_message("%u of %zu fixtures\n", found, sizeof fixtures / sizeof fixtures[0]);
}

/* Written and read again it says the same: the second writing is the first, byte for byte. */
static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_metadata *first, *second;
		struct weir_buf one = WEIR_BUF_INIT, two = WEIR_BUF_INIT;
		size_t size;
		char *data = fixtures[i].version == 2 ? read_fixture(fixtures[i].name, &size) : NULL;
		if (data != NULL) {
			struct weir_str name = weir_str_from(fixtures[i].name);
			assert_int_equal(
				ice_metadata_parse(arena, (struct weir_str){data, size}, name, &first, &err), 0);
			ice_metadata_write(first, &one);
			assert_int_equal(ice_metadata_parse(arena, weir_buf_str(&one), name, &second, &err), 0);
			ice_metadata_write(second, &two);
			assert_true(weir_str_equal(weir_buf_str(&one), weir_buf_str(&two)));
			assert_int_equal(second->snapshot_count, first->snapshot_count);
			assert_int_equal(second->current_snapshot_id, first->current_snapshot_id);
		}
		free(data);
		weir_buf_done(&one);
		weir_buf_done(&two);
		weir_arena_free(arena);
	}
}

static const char nested[] =
	"{\"format-version\":2,\"table-uuid\":\"u\",\"location\":\"file:///x/\",\"last-sequence-number\":34,"
	"\"last-updated-ms\":1,\"last-column-id\":9,\"current-schema-id\":0,\"schemas\":[{\"type\":\"struct\",\"schema-"
	"id\":0,"
	"\"fields\":[{\"id\":1,\"name\":\"m\",\"required\":true,\"type\":{\"type\":\"map\",\"key-id\":2,\"key\":"
	"\"string\","
	"\"value-id\":3,\"value\":\"decimal(9, "
	"2)\",\"value-required\":true}},{\"id\":4,\"name\":\"l\",\"required\":false,"
	"\"type\":{\"type\":\"list\",\"element-id\":5,\"element-required\":false,\"element\":{\"type\":\"struct\","
	"\"fields\":"
	"[{\"id\":6,\"name\":\"f\",\"required\":false,\"type\":\"fixed[16]\"}]}}}]}],\"default-spec-id\":0,"
	"\"partition-specs\":[{\"spec-id\":0,\"fields\":[{\"source-ids\":[6],\"field-id\":1000,\"name\":\"p\","
	"\"transform\":\"newer[3]\"}]}],\"last-partition-id\":1000,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
	"\"default-sort-order-id\":0}";

static void test_nested_types(void **state)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_metadata *metadata;
	struct weir_field type;
	(void)state;
	assert_int_equal(ice_metadata_parse(arena, weir_str_from(nested), WEIR_STR("m"), &metadata, &err), 0);
	assert_true(weir_str_is(metadata->location, "file:///x"));
	const struct weir_field *value = ice_metadata_field(metadata, 3);
	assert_int_equal(value->type, WEIR_DECIMAL);
	assert_true(value->required);
	assert_int_equal(ice_metadata_field(metadata, 6)->fixed_size, 16);
	assert_int_equal(metadata->specs[0].fields[0].transform.kind, ICE_UNKNOWN_TRANSFORM);
	assert_true(ice_partition_type(metadata, &metadata->specs[0].fields[0], &type));
	assert_null(ice_metadata_field(metadata, 77));
	weir_arena_free(arena);
}

/* Every member taken away or given another type: an error or a metadata, never a crash; and random damage alike. */
/* What weir cannot hold is refused by its name and the column's; unknown is kept. */
static void test_types_of_others(void **state)
{
	static const struct {
		const char *type, *required;
		int code;
	} cases[] = {
		{"\"variant\"", "false", WEIR_E_UNSUPPORTED},
		{"\"geometry\"", "false", WEIR_E_UNSUPPORTED},
		{"\"geometry(srid:4326)\"", "false", WEIR_E_UNSUPPORTED},
		{"\"geography(srid:4326, vincenty)\"", "false", WEIR_E_UNSUPPORTED},
		{"{\"type\":\"list\",\"element-id\":2,\"element\":\"variant\",\"element-required\":false}", "false",
			WEIR_E_UNSUPPORTED},
		{"\"unknown\"", "true", WEIR_E_CORRUPT},
		{"\"unknown\"", "false", 0},
		{"{\"type\":\"list\",\"element-id\":2,\"element\":\"unknown\",\"element-required\":false}", "false", 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_buf json = WEIR_BUF_INIT;
		struct ice_metadata *metadata;
		struct weir_error err = WEIR_ERROR_INIT;
		char *text = weir_arena_printf(arena,
			"{\"format-version\":3,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":"
			"\"s3://b/t\","
			"\"last-sequence-number\":0,\"last-updated-ms\":1,\"last-column-id\":2,\"current-schema-id\":0,"
			"\"next-row-id\":0,\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,\"fields\":[{\"id\":1,"
			"\"name\":\"shape\","
			"\"required\":%s,\"type\":%s}]}],\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,"
			"\"fields\":[]}],"
			"\"last-partition-id\":999,\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,"
			"\"fields\":[]}]}",
			cases[i].required, cases[i].type);
		assert_int_equal(
			ice_metadata_parse(arena, weir_str_from(text), WEIR_STR("t"), &metadata, &err), cases[i].code);
		if (cases[i].code == WEIR_E_UNSUPPORTED) {
			assert_non_null(strstr(err.message, i == 4 ? "element" : "shape"));
			assert_non_null(strstr(err.message, i == 4 || i == 0 ? "variant" : "geo"));
		} else if (cases[i].code == 0) {
			ice_metadata_write(metadata, &json);
			weir_buf_putc(&json, '\0');
			assert_non_null(strstr(json.data, "\"unknown\""));
		}
		weir_buf_done(&json);
		weir_arena_free(arena);
	}
}

static void test_damage(void **state)
{
	const char *text = getenv("WEIR_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 3;
	struct weir_rng rng = weir_rng_new(seed);
	unsigned refused = 0;
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 20000; i++) {
		char copy[sizeof nested];
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_error err = WEIR_ERROR_INIT;
		struct ice_metadata *metadata;
		memcpy(copy, nested, sizeof copy);
		for (unsigned j = 0; j < 1 + weir_rng_below(&rng, 3); j++)
			copy[weir_rng_below(&rng, sizeof copy - 1)] = "0:,{}[]\"-x"[weir_rng_below(&rng, 10)];
		struct weir_str json = {copy, i % 2 == 0 ? sizeof copy - 1 : weir_rng_below(&rng, sizeof copy)};
		int code = ice_metadata_parse(arena, json, WEIR_STR("m"), &metadata, &err);
		refused += code != 0;
		assert_true(code == 0 || err.message[0] != '\0');
		weir_arena_free(arena);
	}
	assert_true(refused > 10000);
}

/* ---- whole tables of other writers ---- */

struct walk {
	unsigned metadata, unsupported, lists, manifests, refused;
};

static int walk_entry(void *context, const char *path, struct weir_error *err);

struct directory {
	const char *path;
	struct walk *walk;
};

static int walk_one(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err)
{
	const struct directory *directory = context;
	char path[1024];
	(void)info;
	snprintf(path, sizeof path, "%s/%s", directory->path, name);
	return walk_entry(directory->walk, path, err);
}

static void check_file(struct walk *walk, const char *path)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str name = weir_str_from(path);
	struct ice_metadata *metadata;
	struct ice_manifest *manifests;
	struct avro_reader *reader;
	const struct avro_value *value;
	uint32_t count;
	char *data;
	size_t size;
	assert_int_equal(weir_os_read_all(weir_os_real(), path, 64U << 20, &data, &size, &err), 0);
	struct weir_slice bytes = {data, size};
	struct weir_byte_source source = weir_source_from_memory(&bytes, name);
	if (weir_str_has_suffix(name, WEIR_STR(".json"))) {
		int code = ice_metadata_parse(arena, (struct weir_str){data, size}, name, &metadata, &err);
		walk->metadata += code == 0;
		walk->unsupported += code == WEIR_E_UNSUPPORTED;
		if (code != 0 && code != WEIR_E_UNSUPPORTED)
			print_message("refused: %s: %s\n", path, err.message);
		walk->refused += code != 0 && code != WEIR_E_UNSUPPORTED;
	} else if (strstr(path, "/snap-") != NULL) {
		int code = ice_manifest_list_read(arena, source, &manifests, &count, &err);
		if (code != 0)
			print_message("refused: %s: %s\n", path, err.message);
		walk->lists += code == 0;
		walk->refused += code != 0;
	} else {
		int code = avro_reader_open(source, 64U << 20, &reader, &err);
		assert_int_equal(code, 0);
		do
			code = avro_reader_next(reader, &value, &err);
		while (code == 0 && value != NULL);
		avro_reader_close(reader);
		if (code != 0)
			print_message("refused: %s: %s\n", path, err.message);
		walk->manifests += code == 0;
		walk->refused += code != 0;
	}
	free(data);
	weir_arena_free(arena);
}

static int walk_entry(void *context, const char *path, struct weir_error *err)
{
	struct walk *walk = context;
	struct weir_file_info info;
	struct weir_str name = weir_str_from(path);
	int code = weir_os_real()->stat(weir_os_real()->self, path, &info, err);
	if (code != 0)
		return code;
	if (info.is_directory) {
		struct directory directory = {path, walk};
		return weir_os_real()->list(weir_os_real()->self, path, walk_one, &directory, err);
	}
	if (weir_str_has_suffix(name, WEIR_STR(".metadata.json")) || weir_str_has_suffix(name, WEIR_STR(".avro")))
		check_file(walk, path);
	return 0;
}

static void test_foreign_tables(void **state)
{
	char path[512];
	struct walk walk = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	const char *root = getenv("WEIR_DATA");
	(void)state;
	snprintf(path, sizeof path, "%s/D_conformance/duckdb-iceberg-tables", root != NULL ? root : "../shared/data");
	if (walk_entry(&walk, path, &err) != 0) {
		print_message("absent, not tested: %s\n", path);
		return;
	}
	print_message("%u metadata files, %u of unsupported types, %u lists, %u manifests, %u refused\n", walk.metadata,
		walk.unsupported, walk.lists, walk.manifests, walk.refused);
	assert_true(walk.metadata > 20 && walk.lists > 20 && walk.manifests > 20);
	assert_int_equal(walk.refused, 1); /* metadata without its format version */
}

/* What the model has no words for is written back as it was read: a second round gives the same bytes. */
static void test_nothing_lost(void **state)
{
	static const char *const texts[] = {
		"{\"format-version\":3,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"/t\","
		"\"last-sequence-number\":4,\"next-row-id\":77,\"last-updated-ms\":5,\"last-column-id\":2,"
		"\"current-schema-id\":3,\"schemas\":[{\"type\":\"struct\",\"schema-id\":3,"
		"\"identifier-field-ids\":[1],\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,"
		"\"type\":\"timestamptz_ns\",\"doc\":\"when\"},{\"id\":2,\"name\":\"b\",\"required\":false,"
		"\"type\":\"string\",\"initial-default\":\"x\",\"write-default\":\"y\"}]}],"
		"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[{\"source-ids\":[1,2],"
		"\"field-id\":1000,\"name\":\"p\",\"transform\":\"zorder[2]\"}]}],\"last-partition-id\":1000,"
		"\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
		"\"properties\":{},\"current-snapshot-id\":9,\"snapshots\":[{\"snapshot-id\":9,\"timestamp-ms\":5,"
		"\"sequence-number\":4,\"summary\":{\"operation\":\"append\"},\"manifest-list\":\"/l\","
		"\"first-row-id\":70,\"added-rows\":7,\"key-id\":\"k\"}],"
		"\"statistics\":[{\"snapshot-id\":9,\"statistics-path\":\"/s\"}],"
		"\"encryption-keys\":[{\"key-id\":\"k\"}],\"of-the-future\":{\"a\":[1,null]}}",
		"{\"format-version\":1,\"location\":\"/t\",\"last-updated-ms\":5,\"last-column-id\":1,"
		"\"schema\":{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,"
		"\"type\":\"int\"}]},\"partition-spec\":[],\"current-snapshot-id\":9,\"snapshots\":[{\"snapshot-id\":9,"
		"\"timestamp-ms\":5,\"manifests\":[\"/m1\",\"/m2\"]}]}",
	};
	static const char *const kept[] = {"timestamptz_ns", "\"doc\":\"when\"", "\"initial-default\":\"x\"",
		"\"write-default\":\"y\"", "\"source-ids\":[1,2]", "zorder[2]", "\"next-row-id\":77",
		"\"first-row-id\":70", "\"added-rows\":7", "\"key-id\":\"k\"", "statistics-path", "encryption-keys",
		"\"of-the-future\":{\"a\":[1,null]}", "identifier-field-ids"};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_buf first = WEIR_BUF_INIT, second = WEIR_BUF_INIT;
		struct ice_metadata *metadata;
		assert_int_equal(ice_metadata_parse(arena, weir_str_from(texts[i]), WEIR_STR("t"), &metadata, &err), 0);
		ice_metadata_write(metadata, &first);
		assert_int_equal(ice_metadata_parse(arena, weir_buf_str(&first), WEIR_STR("t"), &metadata, &err), 0);
		ice_metadata_write(metadata, &second);
		assert_string_equal(weir_buf_cstr(&first), weir_buf_cstr(&second));
		for (size_t k = 0; i == 0 && k < sizeof kept / sizeof kept[0]; k++)
			if (strstr(first.data, kept[k]) == NULL)
				fail_msg("%s was lost", kept[k]);
		if (i == 1)
			assert_non_null(strstr(first.data, "\"manifests\":[\"/m1\",\"/m2\"]"));
		weir_buf_done(&first);
		weir_buf_done(&second);
		weir_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nothing_lost),
		cmocka_unit_test(test_nested_types),
		cmocka_unit_test(test_types_of_others),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_foreign_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
