/* What the reader of a slice opens: by name, and by folders that hold nothing else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "iceberg/rest_slice.h"
#include "unit/iceberg/ice_lake.h"

static void names_and_folders(void **state)
{
	const struct weir_str both[] = {WEIR_STR("coaching"), WEIR_STR("research")}, odd[] = {WEIR_STR("re search")};
	struct ice_lake lake = lake_open(1U << 20);
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_slice_objects objects;
	(void)state;
	lake_create(&lake);
	struct ice_table *table = lake_load(&lake);
	lake_check(ice_slice_objects(table, WEIR_STR("purpose"), both, 2, lake.arena, &objects, &err), &err);
	assert_int_equal(objects.name_count, 0); /* a table without a snapshot */
	struct ice_data_file files[4] = {lake_file(&lake, "research", "a"), lake_file(&lake, "research", "m"),
		lake_file(&lake, "coaching", "z"), lake_file(&lake, "research", "b")};
	table = lake_append(&lake, table, files, 3, 0);
	lake_check(ice_slice_objects(table, WEIR_STR("purpose"), both, 2, lake.arena, &objects, &err), &err);
	assert_int_equal(objects.name_count, 3); /* its list, and a manifest a purpose */
	uint64_t size;
	for (uint32_t i = 0; i < objects.name_count; i++)
		lake_check(store_size(lake.store, objects.names[i], &size, &err), &err);
	assert_int_equal(objects.folder_count, 2);
	assert_string_equal(objects.folders[0], "gold/t/data/purpose=coaching");
	assert_string_equal(objects.folders[1], "gold/t/data/purpose=research");
	/* A file of another value, and one of the right value in another place; a value that a path escapes. */
	assert_int_equal(ice_slice_objects(table, WEIR_STR("purpose"), &both[1], 1, lake.arena, &objects, &err),
		WEIR_E_UNSUPPORTED);
	assert_int_equal(
		ice_slice_objects(table, WEIR_STR("purpose"), odd, 1, lake.arena, &objects, &err), WEIR_E_UNSUPPORTED);
	files[3].path = store_uri(lake.store, lake.arena, WEIR_STR("gold/t/data/purpose=research-too/f.parquet"));
	table = lake_append(&lake, table, &files[3], 1, 0);
	assert_int_equal(
		ice_slice_objects(table, WEIR_STR("purpose"), both, 2, lake.arena, &objects, &err), WEIR_E_UNSUPPORTED);
	ice_table_unref(table);
	lake_close(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names_and_folders)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
