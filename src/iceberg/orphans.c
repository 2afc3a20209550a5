/* Files that no version of a table names; see upkeep.h for why the listing comes before the version. */
#include <jansson.h>
#include <stdlib.h>

#include "base/time.h"
#include "iceberg/internal.h"
#include "iceberg/upkeep.h"

struct listed {
	struct weir_str name;
	uint64_t size_bytes;
	int64_t modified_us;
};

struct listing {
	struct weir_arena *arena;
	struct listed *items;
	uint32_t count, capacity;
	int64_t oldest_us; /* what is younger is not looked at */
	struct ice_name_set live;
};

/* version-hint.text and the like are of nobody's version; folders of other things are left alone. */
static bool is_tables_own(struct weir_str name)
{
	static const char *const tails[] = {".parquet", ".orc", ".avro", ".puffin", ".stats", ".metadata.json",
		".metadata.json.gz", ".gz.metadata.json"};
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
		if (weir_str_has_suffix(name, weir_str_from(tails[i])))
			return true;
	return false;
}

static int list_one(void *context, const struct store_object *object, struct weir_error *err)
{
	struct listing *listing = context;
	(void)err;
	if (object->modified_us >= listing->oldest_us || !is_tables_own(object->name))
		return 0;
	WEIR_GROW(listing->items, listing->count, listing->capacity);
	listing->items[listing->count++] =
		(struct listed){weir_arena_str(listing->arena, object->name), object->size_bytes, object->modified_us};
	return 0;
}

static int live_one(void *context, struct weir_str name, const struct ice_data_file *file, struct weir_error *err)
{
	struct listing *listing = context;
	(void)file;
	(void)err;
	ice_name_set_add(&listing->live, weir_arena_str(listing->arena, name));
	return 0;
}

/* Files that the statistics name: as JSON in the metadata's extras. */
static void statistics(struct listing *listing, const struct ice_table *table, const char *key)
{
	struct weir_str text = ice_metadata_extra(table->metadata, key);
	json_error_t problem;
	json_t *json = text.size > 0 ? json_loadb(text.data, text.size, 0, &problem) : NULL, *item;
	size_t i;
	json_array_foreach(json, i, item)
	{
		const char *path = json_string_value(json_object_get(item, "statistics-path"));
		struct weir_str name;
		struct weir_error ignored = WEIR_ERROR_INIT;
		if (path != NULL && ice_file_name(table, listing->arena, weir_str_from(path), &name, &ignored) == 0)
			ice_name_set_add(&listing->live, name);
	}
	json_decref(json);
}

static int find_live(struct listing *listing, struct ice_table *table, struct weir_error *err)
{
	statistics(listing, table, "statistics");
	statistics(listing, table, "partition-statistics");
	return ice_table_reachable(table, live_one, listing, err);
}

static int list_folder(struct listing *listing, struct ice_table *table, const char *folder, struct weir_error *err)
{
	struct weir_str location;
	int code = store_name_of(table->store, listing->arena, table->metadata->location, &location, err);
	if (code != 0)
		return code;
	char *prefix = weir_arena_printf(listing->arena, "%.*s/%s/", WEIR_STR_ARG(location), folder);
	return store_list(table->store, prefix, list_one, listing, err);
}

int ice_orphans(struct ice_table *table, int64_t now_ms, int64_t grace_ms, ice_reload_fn *reload, ice_orphan_fn *orphan,
	void *context, struct weir_error *err)
{
	struct listing listing = {.arena = weir_arena_new(0), .oldest_us = (now_ms - grace_ms) * WEIR_US_PER_MS};
	struct ice_table *newest = NULL;
	int code = 0;
	if (grace_ms < ICE_ORPHAN_GRACE_LEAST_MS)
		code = weir_fail(err, WEIR_E_INPUT,
			"a grace of less than an hour could take files that a writer is about to commit");
	if (code == 0)
		code = ice_property_gc(table->metadata, err);
	if (code == 0)
		code = list_folder(&listing, table, "data", err);
	if (code == 0)
		code = list_folder(&listing, table, "metadata", err);
	if (code == 0)
		code = reload(context, &newest, err);
	if (code == 0) {
		code = find_live(&listing, newest, err);
		ice_table_unref(newest);
	}
	for (uint32_t i = 0; i < listing.count && code == 0; i++) {
		struct store_object object = {
			listing.items[i].name, listing.items[i].size_bytes, listing.items[i].modified_us};
		if (!ice_name_set_has(&listing.live, object.name))
			code = orphan(context, &object, err);
	}
	ice_name_set_done(&listing.live);
	free(listing.items);
	weir_arena_free(listing.arena);
	return code;
}
