/* Opening the catalog, pointers, metadata files, and what may be touched. */
#include "access/catalog_int.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/uuid.h"

#define CACHE_BYTES (64U << 20) /* of manifests that plans read */

static int note_owned(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct catalog *catalog = context;
	uint32_t capacity = catalog->owned_count; /* doubles at powers of two */
	(void)count;
	(void)err;
	if ((capacity & (capacity - 1)) == 0)
		catalog->owned = weir_realloc(catalog->owned, capacity > 0 ? 2 * capacity : 1, sizeof *catalog->owned);
	catalog->owned[catalog->owned_count++] = weir_arena_str(catalog->arena, values[0].text);
	return 0;
}

int catalog_open(const struct catalog_config *config, struct catalog **ret_catalog, struct weir_error *err)
{
	struct catalog *catalog = weir_zalloc(sizeof *catalog);
	catalog->config = *config;
	if (config->access != NULL) /* what the lake sweeps, it sweeps by its own clock */
		catalog->config.clock = config->access->config.clock;
	catalog->store = ice_registry_store(config->registry);
	catalog->control = ice_registry_control(config->registry);
	catalog->arena = weir_arena_new(0);
	catalog->cache = ice_cache_new(CACHE_BYTES);
	pthread_mutex_init(&catalog->lock, NULL);
	/* The root's URI is that of a name in it, without the name. */
	catalog->warehouse = store_uri(catalog->store, catalog->arena, WEIR_STR("x"));
	catalog->warehouse.size -= 2;
	int status =
		control_query(catalog->control, "SELECT namespace FROM weir_owned", NULL, 0, note_owned, catalog, err);
	if (status == 0 && config->sts != NULL)
		status = s3_sts_new(config->sts, &catalog->sts, err);
	if (status != 0) {
		catalog_close(catalog);
		return status;
	}
	*ret_catalog = catalog;
	return 0;
}

void catalog_close(struct catalog *catalog)
{
	if (catalog == NULL)
		return;
	catalog_slices_done(catalog);
	catalog_keys_done(catalog);
	for (unsigned i = 0; i < CATALOG_VERSIONS; i++)
		ice_table_unref(catalog->versions[i]);
	ice_cache_free(catalog->cache);
	pthread_mutex_destroy(&catalog->lock);
	free(catalog->owned);
	weir_arena_free(catalog->arena);
	free(catalog);
}

struct weir_str catalog_warehouse(const struct catalog *catalog)
{
	return catalog->warehouse;
}

int64_t catalog_now_ms(const struct catalog *catalog)
{
	return weir_now_us(&catalog->config.clock) / WEIR_US_PER_MS;
}

/* ---- what is weir's own ---- */

bool catalog_is_owned(const struct catalog *catalog, struct weir_str ns)
{
	for (uint32_t i = 0; i < catalog->owned_count; i++) {
		struct weir_str own = catalog->owned[i];
		if (weir_str_has_prefix(ns, own) && (ns.size == own.size || ns.data[own.size] == '.'))
			return true;
	}
	return false;
}

int catalog_refuse_owned(const struct catalog *catalog, struct weir_str ns, struct weir_error *err)
{
	if (!catalog_is_owned(catalog, ns))
		return 0;
	return weir_fail_at(err, WEIR_E_DENIED, WEIR_STR("namespace"), WEIR_ERROR_NO_OFFSET,
		"%.*s holds the lake's own tables: they change by events and consent alone; write to a table of "
		"another namespace",
		WEIR_STR_ARG(ns));
}

/* Without its scheme and the slashes at either end: "file:///a/b/", "file:/a/b" and "/a/b" are "a/b". */
static struct weir_str bare_path(struct weir_str location)
{
	const char *colon = location.size > 0 ? memchr(location.data, ':', location.size) : NULL;
	const char *slash = location.size > 0 ? memchr(location.data, '/', location.size) : NULL;
	size_t from = colon != NULL && slash == colon + 1 ? (size_t)(slash - location.data) : 0, to = location.size;
	while (from < to && location.data[from] == '/')
		from++;
	while (to > from && location.data[to - 1] == '/')
		to--;
	return (struct weir_str){location.data + from, to - from};
}

/* A part that is "..", or, where there is something to hide, "." or empty: the store has no such names, but readers of
 * metadata may come out in another folder by them. */
static bool has_odd_part(struct weir_str path, bool strict)
{
	for (size_t from = 0, at = 0; at <= path.size; at++) {
		if (at < path.size && path.data[at] != '/')
			continue;
		struct weir_str part = {path.data + from, at - from};
		if (weir_str_is(part, "..") || (strict && (part.size == 0 || weir_str_is(part, "."))))
			return true;
		from = at + 1;
	}
	return false;
}

int catalog_refuse_location(struct catalog *catalog, struct weir_str location, struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_str name = {0}, path = bare_path(location), warehouse = bare_path(catalog->warehouse);
	int status = 0;
	while (location.size > 1 && location.data[location.size - 1] == '/')
		location.size--;
	bool inside = store_name_of(catalog->store, scratch, location, &name, &outside) == 0;
	bool root = weir_str_has_prefix(warehouse, path) && /* the warehouse itself, or what holds it */
		(path.size == 0 || path.size == warehouse.size || warehouse.data[path.size] == '/');
	bool odd = path.size > 0 && has_odd_part(path, catalog->owned_count > 0);
	for (uint32_t i = 0; i < catalog->owned_count && inside; i++) {
		struct weir_str own = catalog->owned[i];
		root = root ||
			(weir_str_has_prefix(name, own) && (name.size == own.size || name.data[own.size] == '/'));
	}
	if (root || odd)
		status = weir_fail_at(err, WEIR_E_DENIED, WEIR_STR("location"), WEIR_ERROR_NO_OFFSET,
			"a table's location cannot hold the lake's own tables, nor lie among them; leave it out, or "
			"give a folder of its own");
	weir_arena_free(scratch);
	return status;
}

/* ---- pointers ---- */

struct pointer_read {
	struct weir_arena *arena;
	struct catalog_pointer *pointer;
};

static int take_pointer(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct pointer_read *read = context;
	(void)count;
	(void)err;
	read->pointer->found = true;
	read->pointer->location = weir_arena_str(read->arena, values[0].text);
	read->pointer->kind = weir_str_is(values[1].text, "VIEW") ? CATALOG_VIEW : CATALOG_TABLE;
	return 0;
}

int catalog_pointer_read(struct catalog *catalog, struct weir_arena *arena, struct catalog_name name,
	struct catalog_pointer *ret_pointer, struct weir_error *err)
{
	struct control_value values[] = {CONTROL_T(name.ns), CONTROL_T(name.name)};
	struct pointer_read read = {arena, ret_pointer};
	*ret_pointer = (struct catalog_pointer){0};
	return control_query(catalog->control,
		"SELECT metadata_location, COALESCE(iceberg_type, 'TABLE') FROM iceberg_tables WHERE catalog_name = "
		"'weir'"
		" AND table_namespace = ?1 AND table_name = ?2",
		values, 2, take_pointer, &read, err);
}

int catalog_pointer_need(struct catalog *catalog, struct weir_arena *arena, enum catalog_kind kind,
	struct catalog_name name, struct catalog_pointer *ret_pointer, struct weir_error *err)
{
	int status = catalog_pointer_read(catalog, arena, name, ret_pointer, err);
	if (status == 0 && (!ret_pointer->found || ret_pointer->kind != kind))
		return catalog_missing(kind, name, err);
	return status;
}

int catalog_need(struct catalog *catalog, const struct access_identity *caller, enum catalog_kind kind,
	struct catalog_name name, struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct catalog_pointer pointer;
	int status = catalog_pointer_need(catalog, scratch, kind, name, &pointer, err);
	if (status == 0 && !catalog_may_see(catalog, caller, name.ns))
		status = catalog_missing(kind, name, err);
	weir_arena_free(scratch);
	return status;
}

/* The number before the dash of "00012-uuid.metadata.json", or -1. */
static int64_t file_version(struct weir_str location)
{
	size_t from = location.size, end;
	while (from > 0 && location.data[from - 1] != '/')
		from--;
	for (end = from; end < location.size && location.data[end] >= '0' && location.data[end] <= '9';)
		end++;
	uint64_t version;
	if (end == location.size || location.data[end] != '-' || end - from > 18 ||
		!weir_str_to_u64((struct weir_str){location.data + from, end - from}, &version))
		return -1;
	return (int64_t)version;
}

/* ---- commits whose outcome is not known ---- */

struct trace {
	struct weir_arena *arena;
	struct weir_str location, now; /* looked for; where the entry points */
	bool found, is_view, happened;
};

static int look_trace(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct trace *trace = context;
	(void)err;
	if (count > 2) { /* of the entry by its name */
		trace->found = true;
		trace->is_view = weir_str_is(values[2].text, "VIEW");
		trace->now = weir_arena_str(trace->arena, values[0].text);
	}
	trace->happened = trace->happened || weir_str_equal(values[0].text, trace->location) ||
		weir_str_equal(values[1].text, trace->location);
	return 0;
}

/* "00012-uuid.metadata.json": a version that is not later than the one looked for does not follow it. */
static bool is_before(const struct trace *trace)
{
	int64_t now = file_version(trace->now), then = file_version(trace->location);
	return now >= 0 && then >= 0 && now <= then + (trace->is_view ? 1 : 0);
}

/* Others may have committed on top of it since: each version of a table names the files of those before it. */
static int look_log(struct catalog *catalog, struct trace *trace, struct weir_error *err)
{
	struct weir_buf text = WEIR_BUF_INIT;
	json_t *metadata = NULL, *entry;
	size_t index;
	int status = catalog_file_read(catalog, trace->now, &text, err);
	if (status == 0)
		status = ice_rest_parse(weir_buf_str(&text), ICE_REST_TABLE, trace->now, &metadata, err);
	json_array_foreach(json_object_get(metadata, "metadata-log"), index, entry)
	{
		if (weir_str_equal(ice_rest_text(entry, "metadata-file"), trace->location))
			trace->happened = true;
	}
	json_decref(metadata);
	weir_buf_done(&text);
	return status;
}

/* Under which names the version at `location` is, or was. */
struct whereabouts {
	bool found, follows,
		is_elsewhere; /* there is an entry by the name; it is, or was, that version; so is another one */
};

static int look_for(struct catalog *catalog, struct catalog_name name, struct weir_str location,
	struct whereabouts *ret_where, struct weir_error *err)
{
	static const char by_name[] =
		"SELECT metadata_location, COALESCE(previous_metadata_location, ''), COALESCE(iceberg_type, 'TABLE')"
		" FROM iceberg_tables WHERE catalog_name = 'weir' AND table_namespace = ?1 AND table_name = ?2";
	static const char by_location[] = /* of an entry that was renamed since */
		"SELECT metadata_location, COALESCE(previous_metadata_location, '') FROM iceberg_tables"
		" WHERE catalog_name = 'weir' AND (metadata_location = ?1 OR previous_metadata_location = ?1)"
		" AND NOT (table_namespace = ?2 AND table_name = ?3)";
	struct trace trace = {.arena = weir_arena_new(4096), .location = location};
	struct control_value names[] = {CONTROL_T(name.ns), CONTROL_T(name.name)};
	struct control_value places[] = {CONTROL_T(location), CONTROL_T(name.ns), CONTROL_T(name.name)};
	*ret_where = (struct whereabouts){0};
	int status = control_query(catalog->control, by_name, names, 2, look_trace, &trace, err);
	ret_where->found = trace.found;
	ret_where->follows = trace.happened;
	trace.happened = false;
	if (status == 0 && !ret_where->follows)
		status = control_query(catalog->control, by_location, places, 3, look_trace, &trace, err);
	ret_where->is_elsewhere = trace.happened;
	if (status == 0 && trace.found && !ret_where->follows && !trace.happened && !is_before(&trace)) {
		status = trace.is_view ? WEIR_E_UNKNOWN : look_log(catalog, &trace, err);
		ret_where->follows = trace.happened;
	}
	weir_arena_free(trace.arena);
	return status;
}

int catalog_drop_settle(
	struct catalog *catalog, struct catalog_name name, struct weir_str location, struct weir_error *err)
{
	struct weir_error unreadable = WEIR_ERROR_INIT;
	struct whereabouts where;
	if (look_for(catalog, name, location, &where, &unreadable) != 0)
		return weir_fail(err, WEIR_E_UNKNOWN,
			"it may have been dropped or not: look whether %.*s.%.*s is there", WEIR_STR_ARG(name.ns),
			WEIR_STR_ARG(name.name));
	/* What goes on from that version, here or under another name, was not dropped; a new one by the name says nothing. */
	return where.follows || where.is_elsewhere
		? weir_fail(err, WEIR_E_BUSY, "it was not dropped, since the control database failed; try again")
		: 0;
}

int catalog_rename_settle(struct catalog *catalog, struct catalog_name from, struct catalog_name to,
	struct weir_str location, struct weir_error *err)
{
	struct weir_error unreadable = WEIR_ERROR_INIT;
	struct whereabouts there, here;
	bool can_tell = look_for(catalog, to, location, &there, &unreadable) == 0;
	if (can_tell && there.follows)
		return 0;
	can_tell = can_tell && look_for(catalog, from, location, &here, &unreadable) == 0;
	if (can_tell && here.follows)
		return weir_fail(err, WEIR_E_BUSY, "it was not renamed, since the control database failed; try again");
	return weir_fail(err, WEIR_E_UNKNOWN,
		"it may have been renamed or not: look whether it is %.*s.%.*s or %.*s.%.*s", WEIR_STR_ARG(from.ns),
		WEIR_STR_ARG(from.name), WEIR_STR_ARG(to.ns), WEIR_STR_ARG(to.name));
}

int catalog_change_settle(struct catalog *catalog, struct catalog_name name, struct weir_str location,
	struct control_result *ret_result, struct weir_error *err)
{
	struct weir_error unreadable = WEIR_ERROR_INIT;
	struct whereabouts where;
	int status = look_for(catalog, name, location, &where, &unreadable);
	bool happened = where.follows || where.is_elsewhere;
	if (status != 0)
		return weir_fail(err, WEIR_E_UNKNOWN,
			"the commit may have happened or not: load the table, and look whether the change is in it");
	*ret_result = (struct control_result){.outcome = happened ? CONTROL_DONE : CONTROL_CONFLICT};
	return 0;
}

int catalog_change_commit(struct catalog *catalog, const struct control_change *change, struct catalog_name name,
	struct weir_str location, struct control_result *ret_result, struct weir_error *err)
{
	int status = control_commit(catalog->control, change, ret_result, err);
	return status == WEIR_E_UNKNOWN ? catalog_change_settle(catalog, name, location, ret_result, err) : status;
}

/* ---- metadata files ---- */

int catalog_file_read(struct catalog *catalog, struct weir_str location, struct weir_buf *out, struct weir_error *err)
{
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_str name;
	int status = store_name_of(catalog->store, scratch, location, &name, err);
	if (status == 0)
		status = store_read_all(catalog->store, name.data, ICE_REST_BYTES_MAX, out, err);
	weir_arena_free(scratch);
	return status;
}

/* The table's folder within the warehouse, or the one that its earlier metadata lies in, or one of its own. *ret_uri:
 * the folder as the client spells it (file:/x is file:///x, but clients compare texts); size 0: as the store does. */
static struct weir_str metadata_folder(struct catalog *catalog, struct weir_arena *arena, struct catalog_name name,
	const json_t *metadata, struct weir_str previous, struct weir_str *ret_uri)
{
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_str location = ice_rest_text(metadata, "location"), folder;
	struct weir_str path = ice_rest_text(json_object_get(metadata, "properties"), "write.metadata.path");
	while (path.size > 1 && path.data[path.size - 1] == '/')
		path.size--;
	if (path.size > 0 && catalog_refuse_location(catalog, path, &outside) == 0 &&
		store_name_of(catalog->store, arena, path, &folder, &outside) == 0) {
		*ret_uri = path;
		return folder;
	}
	if (location.size > 0 && store_name_of(catalog->store, arena, location, &folder, &outside) == 0) {
		*ret_uri = weir_str_from(weir_arena_printf(arena, "%.*s/metadata", WEIR_STR_ARG(location)));
		return weir_str_from(weir_arena_printf(arena, "%.*s/metadata", WEIR_STR_ARG(folder)));
	}
	if (previous.size > 0 && store_name_of(catalog->store, arena, previous, &folder, &outside) == 0) {
		while (folder.size > 0 && folder.data[folder.size - 1] != '/')
			folder.size--;
		if (folder.size > 1)
			return (struct weir_str){folder.data, folder.size - 1};
	}
	folder = catalog_new_folder(arena, name);
	return weir_str_from(weir_arena_printf(arena, "%.*s/metadata", WEIR_STR_ARG(folder)));
}

int catalog_file_write(struct catalog *catalog, struct weir_arena *arena, struct catalog_name name,
	const json_t *metadata, struct weir_str previous, const struct weir_buf *text, struct weir_str *ret_name,
	struct weir_str *ret_uri, struct weir_error *err)
{
	char uuid_text[WEIR_UUID_TEXT];
	struct weir_uuid uuid = weir_uuid_v7(weir_now_us(&catalog->config.clock));
	struct weir_str uri = {0}, folder = metadata_folder(catalog, arena, name, metadata, previous, &uri);
	weir_uuid_format(&uuid, uuid_text);
	*ret_name = weir_str_from(weir_arena_printf(arena, "%.*s/%05lld-%s.metadata.json", WEIR_STR_ARG(folder),
		(long long)file_version(previous) + 1, uuid_text));
	bool spelled = weir_str_has_prefix(uri, WEIR_STR("file:"));
	*ret_uri = spelled ? weir_str_from(weir_arena_printf(arena, "%.*s%.*s", WEIR_STR_ARG(uri),
				     (int)(ret_name->size - folder.size), ret_name->data + folder.size))
			   : store_uri(catalog->store, arena, *ret_name);
	return store_put(catalog->store, ret_name->data, text->data, text->size, err);
}

/* A file that nothing names: where it cannot be deleted now, orphan removal finds it. */
void catalog_file_drop(struct catalog *catalog, struct weir_str name)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	const char *text = name.data;
	if (name.size > 0)
		(void)store_delete_many(catalog->store, &text, 1, &ignored);
}

void catalog_etag(struct weir_str location, const char *variant, char etag[40])
{
	uint8_t hash[WEIR_SHA256_SIZE];
	char hex[2 * 16 + 1];
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_append(&text, location.data, location.size);
	weir_buf_printf(&text, "\n%s", variant);
	weir_sha256(text.data, text.size, hash);
	weir_hex(hash, 16, hex);
	snprintf(etag, 40, "\"%s\"", hex);
	weir_buf_done(&text);
}

void catalog_entry_done(struct catalog_entry *entry)
{
	weir_buf_done(&entry->metadata);
	json_decref(entry->credentials);
	entry->credentials = NULL;
}
