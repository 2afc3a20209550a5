// uses: weir_iceberg
/*
 * Any bytes as a table's metadata, and as a manifest and a manifest list of a partitioned table: a model or an
 * error. What parses as metadata is written, and must parse again.
 */
#include <stddef.h>
#include <stdint.h>

#include "iceberg/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_metadata(struct weir_arena *arena, struct weir_str text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_metadata *metadata, *again;
	struct weir_buf json = WEIR_BUF_INIT;
	if (ice_metadata_parse(arena, text, WEIR_STR("fuzz"), &metadata, &err) == 0 && metadata->format_version == 2) {
		ice_metadata_write(metadata, &json);
		WEIR_ASSERT(ice_metadata_parse(arena, weir_buf_str(&json), WEIR_STR("again"), &again, &err) == 0);
	}
	weir_buf_done(&json);
}

static void as_manifest(struct weir_arena *arena, struct weir_byte_source source)
{
	static struct weir_field fields[] = {
		{.name = {"purpose", 7}, .id = 1, .type = WEIR_STRING},
		{.name = {"price", 5}, .id = 2, .type = WEIR_DECIMAL, .precision = 9, .scale = 2},
	};
	static struct weir_schema schema = {.field_count = 2, .fields = fields};
	static struct ice_partition_field parts[] = {
		{.source_id = 1, .field_id = 1000, .name = {"purpose", 7}, .transform = {ICE_IDENTITY, 0}},
		{.source_id = 2, .field_id = 1001, .name = {"price", 5}, .transform = {ICE_IDENTITY, 0}},
	};
	static struct ice_spec spec = {.field_count = 2, .fields = parts};
	struct ice_metadata metadata = {
		.format_version = 2, .schemas = &schema, .schema_count = 1, .specs = &spec, .spec_count = 1};
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_entries entries;
	struct ice_manifest *manifests;
	uint32_t count;
	if (ice_manifest_read(arena, source, &metadata, 0, &entries, &err) == 0)
		for (uint32_t i = 0; i < entries.count; i++) {
			ice_partition_path(arena, &spec, &schema, entries.files[i].partition);
			ice_file_bounds(&entries.files[i], &fields[1]);
		}
	ice_manifest_list_read(arena, source, &manifests, &count, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_slice bytes = {data, size};
	as_metadata(arena, (struct weir_str){(const char *)data, size});
	as_manifest(arena, weir_source_from_memory(&bytes, WEIR_STR("fuzz")));
	weir_arena_free(arena);
	return 0;
}
