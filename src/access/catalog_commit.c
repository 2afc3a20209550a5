/*
 * Commits: for each change the newest version is read, the requirements are checked against it, the updates
 * applied, the next metadata file written and made durable; then all pointers move in one control change. Where one of
 * them had moved, nothing happened: the files are deleted and it starts over, until a requirement no longer holds.
 */
#include <stdlib.h>

#include "access/catalog_int.h"
#include "base/uuid.h"

/* One change of the commit, in one attempt. */
struct part {
	const struct catalog_change *change;
	struct catalog_pointer base;
	struct weir_buf text;
	struct weir_str file, location; /* of the new version; size 0: it changed nothing */
	json_t *dropped;                /* metadata files that the log no longer names */
};

static void part_done(struct catalog *catalog, struct part *part, bool keep_file)
{
	if (!keep_file)
		catalog_file_drop(catalog, part->file);
	weir_buf_done(&part->text);
	json_decref(part->dropped);
	*part = (struct part){0};
}

static int read_base(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind, struct part *part,
	json_t **ret_metadata, struct weir_error *err)
{
	const struct catalog_change *change = part->change;
	struct weir_buf text = WEIR_BUF_INIT;
	bool creates = kind == CATALOG_TABLE && ice_rest_asserts_create(change->requirements);
	int status = catalog_pointer_read(catalog, arena, change->name, &part->base, err);
	if (status != 0)
		return status;
	if (!part->base.found && creates)
		return catalog_ns_need(catalog, change->name.ns, err);
	if (part->base.found && part->base.kind != kind && creates)
		return catalog_taken(kind, part->base.kind, change->name, err);
	if (!part->base.found || part->base.kind != kind)
		return catalog_missing(kind, change->name, err);
	status = catalog_file_read(catalog, part->base.location, &text, err);
	if (status == WEIR_E_NOT_FOUND) /* moved on and expired since */
		status = weir_fail(
			err, WEIR_E_CONFLICT, "the table's metadata file is gone; load the table and try again");
	if (status == 0)
		status = ice_rest_parse(weir_buf_str(&text), kind == CATALOG_TABLE ? ICE_REST_TABLE : ICE_REST_VIEW,
			part->base.location, ret_metadata, err);
	weir_buf_done(&text);
	return status;
}

static void need_uuid(struct catalog *catalog, json_t *metadata)
{
	char text[WEIR_UUID_TEXT];
	struct weir_uuid uuid = weir_uuid_v7(weir_now_us(&catalog->config.clock));
	if (ice_rest_text(metadata, "table-uuid").size > 0)
		return;
	weir_uuid_format(&uuid, text);
	json_object_set_new(metadata, "table-uuid", json_string(text));
}

static int apply_table(
	struct catalog *catalog, struct part *part, json_t *metadata, bool *ret_changed, struct weir_error *err)
{
	int64_t now_ms = catalog_now_ms(catalog), updated_ms = ice_rest_int(metadata, "last-updated-ms", now_ms);
	struct weir_str before = ice_rest_text(metadata, "location");
	char *old = weir_strdup(before.data != NULL ? before.data : "");
	int status = ice_rest_update_table(metadata, part->change->updates, now_ms, ret_changed, err);
	struct weir_str after = ice_rest_text(metadata, "location");
	if (status == 0 && !weir_str_is(after, old) && after.size > 0)
		status = catalog_refuse_location(catalog, after, err);
	free(old);
	if (status != 0 || (!*ret_changed && part->base.found))
		return status;
	need_uuid(catalog, metadata);
	return ice_rest_finish_table(metadata, part->base.location, updated_ms, now_ms, part->dropped, err);
}

static int prepare(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind, struct part *part,
	struct weir_error *err)
{
	json_t *metadata = NULL;
	bool changed = false, table = kind == CATALOG_TABLE;
	enum ice_rest_kind rest = table ? ICE_REST_TABLE : ICE_REST_VIEW;
	part->dropped = json_array();
	int status = catalog_refuse_owned(catalog, part->change->name.ns, err);
	if (status == 0)
		status = catalog_check_name(part->change->name.name, catalog_kind_name(kind), err);
	if (status == 0)
		status = read_base(catalog, arena, kind, part, &metadata, err);
	if (status == 0)
		status = ice_rest_check(part->change->requirements, metadata, rest, err);
	if (status == 0 && metadata == NULL)
		metadata = ice_rest_table_empty(part->change->updates);
	if (status == 0)
		status = table
			? apply_table(catalog, part, metadata, &changed, err)
			: ice_rest_update_view(metadata, part->change->updates, catalog_now_ms(catalog), &changed, err);
	if (status == 0) {
		ice_rest_write(metadata, rest, &part->text);
		if (part->text.size > ICE_REST_BYTES_MAX) /* nobody could read it again, nor make it smaller */
			status = weir_fail(err, WEIR_E_LIMIT,
				"the metadata would have %zu bytes, more than %u; expire snapshots or remove "
				"properties first",
				part->text.size, ICE_REST_BYTES_MAX);
		if (status == 0 && (changed || !part->base.found)) {
			status = catalog_file_write(catalog, arena, part->change->name, metadata,
				part->base.found ? part->base.location : WEIR_STR(""), &part->text, &part->file,
				&part->location, err);
			if (status != 0)
				part->file.size = 0;
		}
	}
	json_decref(metadata);
	return status;
}

static void stage(struct control_change *change, enum catalog_kind kind, const struct part *part, unsigned index)
{
	struct catalog_name name = part->change->name;
	struct control_value values[] = {
		CONTROL_T(name.ns), CONTROL_T(name.name), CONTROL_T(part->location), CONTROL_T(part->base.location)};
	(void)index;
	if (part->location.size == 0) { /* unchanged, but it must still be what was checked */
		control_change_sql(change, "table", 1,
			"SELECT 1 FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ?1 AND "
			"table_name = ?2"
			" AND metadata_location = ?3",
			(struct control_value[]){values[0], values[1], values[3]}, 3);
		return;
	}
	if (!part->base.found)
		catalog_stage_namespace(change, name.ns);
	if (kind == CATALOG_TABLE)
		control_swap_table(change, name.ns, name.name, part->base.location, part->location);
	else
		control_change_sql(change, "view", 1,
			"UPDATE iceberg_tables SET metadata_location = ?3, previous_metadata_location = ?4"
			" WHERE catalog_name = 'weir' AND table_namespace = ?1 AND table_name = ?2 AND "
			"metadata_location = ?4"
			" AND iceberg_type = 'VIEW'",
			values, 4);
}

/* Where the table asks for it, metadata files that fell out of its log go. */
static void drop_old_metadata(struct catalog *catalog, const struct part *part)
{
	json_error_t problem;
	json_t *metadata, *file;
	size_t index;
	if (json_array_size(part->dropped) == 0)
		return;
	metadata = json_loadb(part->text.data, part->text.size, 0, &problem);
	struct weir_str wish =
		ice_rest_text(json_object_get(metadata, "properties"), "write.metadata.delete-after-commit.enabled");
	struct weir_str location = ice_rest_text(metadata, "location"), name, folder;
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_error outside = WEIR_ERROR_INIT;
	bool inside =
		weir_str_is(wish, "true") && store_name_of(catalog->store, scratch, location, &folder, &outside) == 0;
	json_array_foreach(part->dropped, index, file)
	{
		struct weir_str uri = {json_string_value(file), json_string_length(file)};
		if (inside && store_name_of(catalog->store, scratch, uri, &name, &outside) == 0 &&
			weir_str_has_prefix(name, folder) && name.data[folder.size] == '/')
			catalog_file_drop(catalog, name);
	}
	weir_arena_free(scratch);
	json_decref(metadata);
}

/* The file that kept a staged table's folder has done its work. */
static void drop_staged(struct catalog *catalog, const struct part *part)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_str folder = part->file;
	while (folder.size > 0 && folder.data[folder.size - 1] != '/')
		folder.size--;
	catalog_file_drop(catalog, weir_str_from(weir_arena_printf(scratch, "%.*sstaged.txt", WEIR_STR_ARG(folder))));
	weir_arena_free(scratch);
}

static void give(struct part *part, struct catalog_entry *entry)
{
	*entry = (struct catalog_entry){
		.metadata = part->text, .location = part->location.size > 0 ? part->location : part->base.location};
	part->text = WEIR_BUF_INIT;
	catalog_etag(entry->location, "all", entry->etag);
}

/* One attempt; *ret_moved where somebody else was first. */
static int attempt(struct catalog *catalog, enum catalog_kind kind, struct part *parts, uint32_t count,
	struct weir_arena *arena, bool *ret_moved, struct weir_error *err)
{
	struct control_result result = {.outcome = CONTROL_DONE};
	int status = 0;
	uint32_t moved = UINT32_MAX;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		status = prepare(catalog, arena, kind, &parts[i], err);
		if (parts[i].file.size > 0 && moved == UINT32_MAX)
			moved = i;
	}
	if (status != 0 || moved == UINT32_MAX)
		return status;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	for (uint32_t i = 0; i < count; i++)
		stage(change, kind, &parts[i], i);
	status = catalog_change_commit(catalog, change, parts[moved].change->name, parts[moved].location, &result, err);
	control_change_free(change);
	*ret_moved = status == 0 && result.outcome == CONTROL_CONFLICT;
	return status;
}

int catalog_commit(struct catalog *catalog, enum catalog_kind kind, const struct catalog_change *changes,
	uint32_t count, struct weir_arena *arena, struct catalog_entry *ret_entries, struct weir_error *err)
{
	struct part *parts;
	int status = 0;
	bool moved = true;
	if (count == 0 || count > CATALOG_CHANGES)
		return weir_fail(
			err, WEIR_E_INPUT, "a transaction changes 1 to %d tables, this one %u", CATALOG_CHANGES, count);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (weir_str_equal(changes[i].name.ns, changes[j].name.ns) &&
				weir_str_equal(changes[i].name.name, changes[j].name.name))
				return weir_fail(err, WEIR_E_INPUT,
					"the transaction names a table twice; put its updates together");
	parts = weir_zalloc(count * sizeof *parts);
	for (unsigned tries = 0; tries < CATALOG_ATTEMPTS && moved && status == 0; tries++) {
		for (uint32_t i = 0; i < count; i++)
			parts[i].change = &changes[i];
		moved = false;
		status = attempt(catalog, kind, parts, count, arena, &moved, err);
		bool committed = status == 0 && !moved;
		for (uint32_t i = 0; i < count; i++) {
			if (committed && kind == CATALOG_TABLE && !parts[i].base.found)
				drop_staged(catalog, &parts[i]);
			if (committed && ret_entries != NULL)
				give(&parts[i], &ret_entries[i]);
			if (committed && parts[i].file.size > 0)
				drop_old_metadata(catalog, &parts[i]);
			part_done(catalog, &parts[i], committed || status == WEIR_E_UNKNOWN);
		}
	}
	free(parts);
	if (status == 0 && moved)
		return weir_fail(
			err, WEIR_E_CONFLICT, "the table kept moving for %d attempts; try again", CATALOG_ATTEMPTS);
	return status;
}
