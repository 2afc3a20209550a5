/* Tables and views: listing, loading, creating, registering, renaming, dropping. Changes of a table are in
 * catalog_commit.c. */
#include <stdlib.h>

#include "access/catalog_int.h"
#include "base/uuid.h"
#include "codec/codec.h"

static enum ice_rest_kind rest_kind(enum catalog_kind kind)
{
	return kind == CATALOG_TABLE ? ICE_REST_TABLE : ICE_REST_VIEW;
}

/* ---- listing ---- */

struct list {
	struct catalog_page *page;
	struct weir_arena *arena;
	struct weir_str ns;
};

static int list_one(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct list *list = context;
	(void)count;
	(void)err;
	if (list->page->limit > 0 && json_array_size(list->page->items) == list->page->limit) {
		list->page->more = true;
		return 0;
	}
	list->page->last = weir_arena_str(list->arena, values[0].text);
	json_array_append_new(
		list->page->items, catalog_name_to_json((struct catalog_name){list->ns, list->page->last}));
	return 0;
}

int catalog_list(struct catalog *catalog, const struct access_identity *caller, enum catalog_kind kind,
	struct weir_str ns, struct weir_arena *arena, struct catalog_page *page, struct weir_error *err)
{
	struct list list = {page, arena, ns};
	struct control_value values[] = {CONTROL_T(ns),
		CONTROL_T(kind == CATALOG_TABLE ? WEIR_STR("TABLE") : WEIR_STR("VIEW")), CONTROL_T(page->after),
		CONTROL_I(page->limit > 0 ? (int64_t)page->limit + 1 : INT32_MAX)};
	page->items = json_array();
	int status =
		catalog_may_see(catalog, caller, ns) ? catalog_ns_need(catalog, ns, err) : catalog_ns_missing(ns, err);
	if (status == 0)
		status = control_query(catalog->control,
			"SELECT table_name FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ?1"
			" AND COALESCE(iceberg_type, 'TABLE') = ?2 AND table_name > ?3 ORDER BY table_name LIMIT ?4",
			values, 4, list_one, &list, err);
	return status;
}

/* ---- loading ---- */

static bool etag_fits(struct weir_str if_none_match, const char *etag)
{
	return if_none_match.size > 0 &&
		(weir_str_is(if_none_match, "*") ||
			memmem(if_none_match.data, if_none_match.size, etag, strlen(etag)) != NULL);
}

/* The document as the file has it, but for a gzipped one: what weir does not know goes through untouched. */
static int load_whole(struct weir_buf *text, struct weir_buf *out, struct weir_error *err)
{
	if (text->size < 2 || (uint8_t)text->data[0] != 0x1F || (uint8_t)text->data[1] != 0x8B) {
		*out = *text;
		*text = WEIR_BUF_INIT;
		return 0;
	}
	return codec_gunzip_all(text->data, text->size, ICE_REST_BYTES_MAX, out, err);
}

static int load_refs(struct weir_buf *text, struct weir_str location, struct weir_buf *out, struct weir_error *err)
{
	json_t *metadata;
	int status = ice_rest_parse(weir_buf_str(text), ICE_REST_TABLE, location, &metadata, err);
	if (status != 0)
		return status;
	ice_rest_keep_refs_only(metadata);
	ice_rest_write(metadata, ICE_REST_TABLE, out);
	json_decref(metadata);
	return 0;
}

bool catalog_file_exists(struct catalog *catalog, struct weir_str location)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_error missing = WEIR_ERROR_INIT;
	struct weir_str name;
	uint64_t size;
	bool exists = store_name_of(catalog->store, scratch, location, &name, &missing) == 0 &&
		store_size(catalog->store, name.data, &size, &missing) == 0;
	weir_arena_free(scratch);
	return exists;
}

int catalog_load(struct catalog *catalog, enum catalog_kind kind, struct catalog_name name,
	const struct catalog_load *load, struct weir_arena *arena, struct catalog_entry *ret_entry, bool *ret_same,
	struct weir_error *err)
{
	struct catalog_pointer pointer;
	struct weir_buf text = WEIR_BUF_INIT;
	*ret_entry = (struct catalog_entry){0};
	*ret_same = false;
	if (kind == CATALOG_TABLE && catalog_is_owned(catalog, name.ns))
		return catalog_governed_load(catalog, name, load, arena, ret_entry, ret_same, err);
	int status = 0;
	/* A version that goes while it is read (dropped, or its file expired) is looked up once more. */
	for (unsigned tries = 0; tries < 2; tries++) {
		status = catalog_pointer_need(catalog, arena, kind, name, &pointer, err);
		if (status == 0 && !catalog_may_see(catalog, load->caller, name.ns))
			status = catalog_missing(kind, name, err);
		if (status != 0)
			return status;
		catalog_etag(pointer.location, load->refs_only ? "refs" : "all", ret_entry->etag);
		*ret_same = etag_fits(load->if_none_match, ret_entry->etag) &&
			catalog_file_exists(catalog, pointer.location);
		if (*ret_same)
			return 0;
		status = catalog_file_read(catalog, pointer.location, &text, err);
		if (status != WEIR_E_NOT_FOUND)
			break;
	}
	if (status == 0)
		status = load->refs_only && kind == CATALOG_TABLE
			? load_refs(&text, pointer.location, &ret_entry->metadata, err)
			: load_whole(&text, &ret_entry->metadata, err);
	if (status == WEIR_E_NOT_FOUND)
		status = weir_fail_at(err, WEIR_E_NOT_FOUND, WEIR_STR("file"), WEIR_ERROR_NO_OFFSET,
			"Failed to open input stream for file: %.*s: it is gone, though the %s is there",
			WEIR_STR_ARG(pointer.location), catalog_kind_name(kind));
	ret_entry->location = pointer.location;
	weir_buf_done(&text);
	if (status != 0)
		catalog_entry_done(ret_entry);
	return status;
}

/* ---- creating ---- */

static int stage_insert(
	struct control_change *change, enum catalog_kind kind, struct catalog_name name, struct weir_str location)
{
	struct control_value values[] = {CONTROL_T(name.ns), CONTROL_T(name.name), CONTROL_T(location),
		CONTROL_T(kind == CATALOG_TABLE ? WEIR_STR("TABLE") : WEIR_STR("VIEW"))};
	catalog_stage_namespace(change, name.ns);
	control_change_sql(change, catalog_kind_name(kind), 1,
		"INSERT INTO iceberg_tables(catalog_name, table_namespace, table_name, metadata_location, iceberg_type)"
		" VALUES ('weir', ?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
		values, 4);
	return 0;
}

/* The namespace is there and not weir's, and the name is free. */
static int check_free(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind,
	struct catalog_name name, struct weir_error *err)
{
	struct catalog_pointer pointer;
	int status = catalog_check_name(name.name, catalog_kind_name(kind), err);
	if (status == 0)
		status = catalog_refuse_owned(catalog, name.ns, err);
	if (status == 0)
		status = catalog_ns_need(catalog, name.ns, err);
	if (status == 0)
		status = catalog_pointer_read(catalog, arena, name, &pointer, err);
	return status == 0 && pointer.found ? catalog_taken(kind, pointer.kind, name, err) : status;
}

/* Somebody has the name; or nobody has, and an outcome that was lost turned out to be none. */
static int not_published(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind,
	struct catalog_name name, struct weir_error *err)
{
	struct catalog_pointer pointer;
	int status = catalog_pointer_read(catalog, arena, name, &pointer, err);
	if (status == 0 && pointer.found)
		return catalog_taken(kind, pointer.kind, name, err);
	return status != 0 ? status
			   : weir_fail(err, WEIR_E_BUSY, "the %s was not made: the control database failed; try again",
				     catalog_kind_name(kind));
}

static int publish_new(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind,
	struct catalog_name name, struct catalog_entry *entry, const json_t *metadata, struct weir_error *err)
{
	struct control_result result;
	struct weir_str file;
	int status = catalog_file_write(
		catalog, arena, name, metadata, WEIR_STR(""), &entry->metadata, &file, &entry->location, err);
	if (status != 0)
		return status;
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	stage_insert(change, kind, name, entry->location);
	status = catalog_change_commit(catalog, change, name, entry->location, &result, err);
	control_change_free(change);
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		status = not_published(catalog, arena, kind, name, err);
	if (status != 0 && status != WEIR_E_UNKNOWN)
		catalog_file_drop(catalog, file);
	catalog_etag(entry->location, "all", entry->etag);
	return status;
}

/* Engines that write before the first commit expect the table's folders to be there: a file that is made and stays says
 * what the folder is for until the table's first metadata joins it. */
static int make_staged_folder(
	struct catalog *catalog, struct weir_arena *arena, struct weir_str location, struct weir_error *err)
{
	static const char text[] = "A table that is being created; this folder holds its metadata.\n";
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_str folder;
	if (store_name_of(catalog->store, arena, location, &folder, &outside) != 0)
		return 0;
	const char *name = weir_arena_printf(arena, "%.*s/metadata/staged.txt", WEIR_STR_ARG(folder));
	int status = store_put(catalog->store, name, text, sizeof text - 1, err);
	return status == WEIR_E_EXISTS ? 0 : status;
}

int catalog_create(struct catalog *catalog, enum catalog_kind kind, struct weir_str ns, const json_t *request,
	struct weir_arena *arena, struct catalog_entry *ret_entry, struct weir_error *err)
{
	struct catalog_name name = {ns, ice_rest_text(request, "name")};
	struct weir_str location = ice_rest_text(request, "location");
	char uuid_text[WEIR_UUID_TEXT];
	struct weir_uuid uuid = weir_uuid_v7(weir_now_us(&catalog->config.clock));
	json_t *metadata = NULL;
	*ret_entry = (struct catalog_entry){0};
	int status = check_free(catalog, arena, kind, name, err);
	while (location.size > 1 && location.data[location.size - 1] == '/')
		location.size--;
	if (status == 0 && location.size > 0)
		status = catalog_refuse_location(catalog, location, err);
	if (location.size == 0)
		location = store_uri(catalog->store, arena, catalog_new_folder(arena, name));
	weir_uuid_format(&uuid, uuid_text);
	if (status == 0)
		status = kind == CATALOG_TABLE
			? ice_rest_table_new(request, location, uuid_text, catalog_now_ms(catalog), &metadata, err)
			: ice_rest_view_new(request, location, uuid_text, catalog_now_ms(catalog), &metadata, err);
	if (status != 0)
		return status;
	ice_rest_write(metadata, rest_kind(kind), &ret_entry->metadata);
	if (kind == CATALOG_TABLE && json_is_true(json_object_get(request, "stage-create")))
		status = make_staged_folder(catalog, arena, location, err);
	else
		status = publish_new(catalog, arena, kind, name, ret_entry, metadata, err);
	json_decref(metadata);
	if (status != 0)
		catalog_entry_done(ret_entry);
	return status;
}

/* The name may be taken (by a table that is to be replaced), the file is there and is metadata of that kind. */
static int check_register(struct catalog *catalog, enum catalog_kind kind, struct catalog_name name,
	struct weir_str location, bool overwrite, struct weir_arena *arena, struct catalog_pointer *ret_pointer,
	struct weir_buf *text, struct weir_error *err)
{
	json_t *metadata = NULL;
	int status =
		overwrite ? catalog_refuse_owned(catalog, name.ns, err) : check_free(catalog, arena, kind, name, err);
	if (status == 0 && overwrite)
		status = catalog_ns_need(catalog, name.ns, err);
	if (status == 0)
		status = catalog_pointer_read(catalog, arena, name, ret_pointer, err);
	if (status == 0 && ret_pointer->found && (ret_pointer->kind != kind || kind == CATALOG_VIEW))
		status = catalog_taken(kind, ret_pointer->kind, name, err);
	if (status == 0)
		status = catalog_refuse_location(catalog, location, err);
	if (status != 0)
		return status;
	status = catalog_file_read(catalog, location, text, err);
	if (status == WEIR_E_NOT_FOUND)
		return weir_fail(err, WEIR_E_INPUT, "there is no metadata file at the metadata-location given");
	if (status == 0)
		status = ice_rest_parse(weir_buf_str(text), rest_kind(kind), location, &metadata, err);
	if (status == 0)
		status = catalog_refuse_location(catalog, ice_rest_text(metadata, "location"), err);
	json_decref(metadata);
	return status;
}

int catalog_register(struct catalog *catalog, enum catalog_kind kind, struct catalog_name name,
	struct weir_str metadata_location, bool overwrite, struct weir_arena *arena, struct catalog_entry *ret_entry,
	struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	struct control_result result = {.outcome = CONTROL_DONE};
	struct catalog_pointer pointer = {0};
	*ret_entry = (struct catalog_entry){0};
	int status = check_register(catalog, kind, name, metadata_location, overwrite, arena, &pointer, &text, err);
	if (status == 0) {
		struct control_change *change = control_change_new(CONTROL_BACKGROUND);
		ret_entry->location = weir_arena_str(arena, metadata_location);
		if (pointer.found)
			control_swap_table(change, name.ns, name.name, pointer.location, ret_entry->location);
		else
			stage_insert(change, kind, name, ret_entry->location);
		status = catalog_change_commit(catalog, change, name, ret_entry->location, &result, err);
		control_change_free(change);
	}
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		status = not_published(catalog, arena, kind, name, err);
	if (status == 0)
		status = load_whole(&text, &ret_entry->metadata, err);
	catalog_etag(ret_entry->location, "all", ret_entry->etag);
	weir_buf_done(&text);
	return status;
}

/* ---- renaming and dropping ---- */

static int rename_taken(enum catalog_kind is, struct catalog_name from, struct catalog_name to, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_EXISTS, weir_str_from(catalog_kind_name(is)), WEIR_ERROR_NO_OFFSET,
		"Cannot rename %.*s.%.*s to %.*s.%.*s. %s already exists", WEIR_STR_ARG(from.ns),
		WEIR_STR_ARG(from.name), WEIR_STR_ARG(to.ns), WEIR_STR_ARG(to.name),
		is == CATALOG_TABLE ? "Table" : "View");
}

int catalog_rename(struct catalog *catalog, enum catalog_kind kind, struct catalog_name from, struct catalog_name to,
	struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct catalog_pointer pointer, there;
	struct control_result result;
	int status = catalog_refuse_owned(catalog, from.ns, err);
	if (status == 0)
		status = catalog_refuse_owned(catalog, to.ns, err);
	if (status == 0)
		status = catalog_check_name(to.name, catalog_kind_name(kind), err);
	if (status == 0)
		status = catalog_pointer_need(catalog, arena, kind, from, &pointer, err);
	if (status == 0)
		status = catalog_ns_need(catalog, to.ns, err);
	if (status == 0)
		status = catalog_pointer_read(catalog, arena, to, &there, err);
	if (status == 0 && there.found)
		status = rename_taken(there.kind, from, to, err);
	if (status == 0) {
		struct control_value values[] = {CONTROL_T(from.ns), CONTROL_T(from.name), CONTROL_T(to.ns),
			CONTROL_T(to.name), CONTROL_T(kind == CATALOG_TABLE ? WEIR_STR("TABLE") : WEIR_STR("VIEW"))};
		struct control_change *change = control_change_new(CONTROL_BACKGROUND);
		catalog_stage_namespace(change, from.ns);
		catalog_stage_namespace(change, to.ns);
		control_change_sql(change, catalog_kind_name(kind), 1,
			"UPDATE iceberg_tables SET table_namespace = ?3, table_name = ?4 WHERE catalog_name = 'weir'"
			" AND table_namespace = ?1 AND table_name = ?2 AND COALESCE(iceberg_type, 'TABLE') = ?5",
			values, 5);
		status = control_commit(catalog->control, change, &result, err);
		control_change_free(change);
		if (status == WEIR_E_UNKNOWN)
			status = catalog_rename_settle(catalog, from, to, pointer.location, err);
		else if (status == 0 && result.outcome == CONTROL_CONFLICT)
			status = rename_taken(kind, from, to, err);
	}
	weir_arena_free(arena);
	return status;
}

struct purge {
	struct catalog *catalog;
	struct weir_arena *arena;
	struct weir_str folder, metadata_folder; /* nothing outside these is touched */
	struct control_change *change;
	int64_t now_us;
};

static int purge_name(void *context, struct weir_str name, const struct ice_data_file *file, struct weir_error *err)
{
	struct purge *purge = context;
	(void)file;
	(void)err;
	struct weir_str folder = purge->folder, other = purge->metadata_folder;
	bool inside = (folder.size > 0 && weir_str_has_prefix(name, folder) && name.data[folder.size] == '/') ||
		(other.size > 0 && weir_str_has_prefix(name, other) && name.data[other.size] == '/');
	struct control_value values[] = {CONTROL_T(name), CONTROL_I(purge->now_us)};
	if (inside)
		control_change_sql(purge->change, "doomed file", CONTROL_ANY,
			"INSERT INTO weir_doomed_files (name, doomed_us) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
			values, 2);
	return 0;
}

/* Notes every file of the table in the change that drops it: they go after it is durable, and never before. */
static void stage_purge(struct purge *purge, struct catalog_name name, struct weir_str location)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_cache *cache = ice_cache_new(16 << 20);
	struct ice_table *table = NULL;
	struct weir_str own;
	if (store_name_of(purge->catalog->store, purge->arena, location, &own, &err) == 0) {
		purge->metadata_folder = own;
		while (purge->metadata_folder.size > 0 && own.data[purge->metadata_folder.size - 1] != '/')
			purge->metadata_folder.size--;
		purge->metadata_folder.size -= purge->metadata_folder.size > 0;
		purge_name(purge, own, NULL, &err);
	}
	/* A table that weir cannot read is dropped all the same; its files are then left to orphan removal. */
	if (ice_table_open(
		    purge->catalog->store, cache, (struct ice_name){name.ns, name.name}, location, &table, &err) == 0) {
		struct weir_str at = ice_table_metadata(table)->location, folder;
		if (store_name_of(purge->catalog->store, purge->arena, at, &folder, &err) == 0)
			purge->folder = folder;
		(void)ice_table_reachable(table, purge_name, purge, &err);
		ice_table_unref(table);
	}
	ice_cache_free(cache);
}

int catalog_drop(
	struct catalog *catalog, enum catalog_kind kind, struct catalog_name name, bool purge, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct catalog_pointer pointer;
	struct control_result result = {.outcome = CONTROL_DONE};
	struct weir_error ignored = WEIR_ERROR_INIT;
	int status = catalog_refuse_owned(catalog, name.ns, err);
	if (status == 0)
		status = catalog_pointer_need(catalog, arena, kind, name, &pointer, err);
	if (status == 0) {
		struct control_change *change = control_change_new(CONTROL_BACKGROUND);
		struct control_value values[] = {CONTROL_T(name.ns), CONTROL_T(name.name), CONTROL_T(pointer.location)};
		catalog_stage_namespace(change, name.ns);
		control_change_sql(change, catalog_kind_name(kind), 1,
			"DELETE FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ?1 AND "
			"table_name = ?2"
			" AND metadata_location = ?3",
			values, 3);
		struct purge files = {.catalog = catalog, .arena = arena, .change = change};
		files.now_us = weir_now_us(&catalog->config.clock);
		if (purge)
			stage_purge(&files, name, pointer.location);
		status = control_commit(catalog->control, change, &result, err);
		control_change_free(change);
		if (status == WEIR_E_UNKNOWN)
			status = catalog_drop_settle(catalog, name, pointer.location, err);
		else if (status == 0 && result.outcome == CONTROL_CONFLICT)
			status = weir_fail(err, WEIR_E_CONFLICT, "the %s changed while it was dropped; try again",
				catalog_kind_name(kind));
		if (status == 0 && purge && catalog->config.lake == NULL) /* a lake sweeps by itself */
			(void)ice_sweep_doomed(catalog->config.registry, files.now_us, 0, NULL, &ignored);
	}
	weir_arena_free(arena);
	return status;
}
