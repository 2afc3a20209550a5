// uses: weir_iceberg
/*
 * Any JSON as a filter of a REST client: {"filter", "case-sensitive", "partition": [day, city, bucket]}. A filter that is
 * taken leaves a residual for a file of that partition, which is a filter itself, and of which the same is left again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "iceberg/internal.h"
#include "iceberg/rest_document.h"
#include "iceberg/rest_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char metadata[] =
	"{\"format-version\":2,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"memory:///t\","
	"\"last-sequence-number\":0,\"last-updated-ms\":1,\"last-column-id\":20,\"current-schema-id\":0,\"schemas\":[{"
	"\"type\":\"struct\",\"schema-id\":0,\"fields\":["
	"{\"id\":1,\"name\":\"id\",\"required\":false,\"type\":\"long\"},"
	"{\"id\":2,\"name\":\"city\",\"required\":false,\"type\":\"string\"},"
	"{\"id\":3,\"name\":\"at\",\"required\":false,\"type\":\"timestamptz\"},"
	"{\"id\":4,\"name\":\"ns\",\"required\":false,\"type\":\"timestamp_ns\"},"
	"{\"id\":5,\"name\":\"price\",\"required\":false,\"type\":\"decimal(9, 2)\"},"
	"{\"id\":6,\"name\":\"f\",\"required\":false,\"type\":\"float\"},"
	"{\"id\":7,\"name\":\"day\",\"required\":false,\"type\":\"date\"},"
	"{\"id\":8,\"name\":\"u\",\"required\":false,\"type\":\"uuid\"},"
	"{\"id\":9,\"name\":\"b\",\"required\":false,\"type\":\"binary\"},"
	"{\"id\":10,\"name\":\"yes\",\"required\":false,\"type\":\"boolean\"},"
	"{\"id\":11,\"name\":\"s\",\"required\":false,\"type\":{\"type\":\"struct\",\"fields\":["
	"{\"id\":12,\"name\":\"in.ner\",\"required\":false,\"type\":\"int\"},"
	"{\"id\":13,\"name\":\"l\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":14,\"element-"
	"required\":"
	"false,\"element\":\"string\"}}]}}]}],\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":["
	"{\"source-id\":3,\"field-id\":1000,\"name\":\"at_day\",\"transform\":\"day\"},"
	"{\"source-id\":2,\"field-id\":1001,\"name\":\"city\",\"transform\":\"identity\"},"
	"{\"source-id\":1,\"field-id\":1002,\"name\":\"id_bucket\",\"transform\":\"bucket[4]\"}]}],"
	"\"last-partition-id\":1002,\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
	"\"properties\":{},\"current-snapshot-id\":-1,\"refs\":{},\"snapshots\":[],\"snapshot-log\":[],"
	"\"metadata-log\":[]}";

static struct ice_partition_value value_of(const json_t *json)
{
	struct ice_partition_value value = {.is_null = true};
	if (json_is_integer(json))
		value = (struct ice_partition_value){
			.value = {.kind = EXPR_INTEGER, .u.integer = json_integer_value(json)}};
	if (json_is_string(json))
		value = (struct ice_partition_value){
			.value = {.kind = EXPR_TEXT, .u.text = {json_string_value(json), json_string_length(json)}}};
	return value;
}

/* What is left of the filter, a new reference; NULL where it is refused. */
static json_t *left_of(
	struct ice_table *table, const json_t *filter, bool case_sensitive, const struct ice_data_file *file)
{
	struct ice_rest_filter *bound;
	struct weir_error err = WEIR_ERROR_INIT;
	if (ice_rest_filter_new(table, ice_table_schema(table), filter, case_sensitive, &bound, &err) != 0) {
		WEIR_ASSERT(err.code == WEIR_E_INPUT && err.message[0] != '\0');
		return NULL;
	}
	(void)ice_rest_filter_may_match(bound, file);
	json_t *left = ice_rest_filter_residual(bound, file);
	ice_rest_filter_free(bound);
	return left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *root = json_loadb((const char *)data, size, 0, NULL);
	const json_t *filter = json_object_get(root, "filter"), *partition = json_object_get(root, "partition");
	if (filter == NULL) {
		json_decref(root);
		return 0;
	}
	struct weir_error err = WEIR_ERROR_INIT;
	struct store *store = store_memory_new();
	struct ice_cache *cache = ice_cache_new(1 << 20);
	struct ice_table *table;
	int code = ice_table_from_json(store, cache, (struct ice_name){WEIR_STR("n"), WEIR_STR("t")},
		WEIR_STR("memory:///t/metadata/a.json"), weir_str_from(metadata), &table, &err);
	WEIR_ASSERT(code == 0);
	struct ice_partition_value values[3];
	for (size_t i = 0; i < 3; i++)
		values[i] = value_of(json_array_get(partition, i));
	const struct ice_data_file file = {.partition_count = 3, .partition = values, .record_count = 1};
	bool case_sensitive = !json_is_false(json_object_get(root, "case-sensitive"));
	json_t *left = left_of(table, filter, case_sensitive, &file);
	if (left != NULL) {
		json_t *again = left_of(table, left, case_sensitive, &file);
		WEIR_ASSERT(again != NULL && json_equal(left, again));
		json_decref(again);
	}
	json_decref(left);
	ice_table_unref(table);
	ice_cache_free(cache);
	store_close(store);
	json_decref(root);
	return 0;
}
