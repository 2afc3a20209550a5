/*
 * weir's own tables through the catalog: who may load which of them, and what is seen of it.
 *
 *   operator  all layers but history          auditor  all layers
 *   consumer  gold, as the slice of the token's purposes
 *
 * What lies beside gold or history and lake.yaml does not name (any more) is an auditor's alone. A catalog without the
 * lake gives none of its tables.
 *
 * Gold is not given while a removal of its purposes is pending: what a load gives can be read without weir, so nothing
 * can be left out of it later. Each load is audited, durably, before it returns, and so is each that is refused.
 *
 * A slice's manifest list is entered into weir_doomed_files before it is written: it is swept a minute later, and at
 * once by the next removal, which destroys what is older than itself (CONSENT.md, "Bytes").
 */
#include <stdlib.h>

#include "access/catalog_int.h"
#include "base/hash.h"
#include "base/rng.h"
#include "iceberg/rest_slice.h"

#define SLICE_FRESH_US (20 * WEIR_US_PER_SECOND) /* an older list is not given again: it is swept at 60 s */
#define SLICES_MAX     256
#define LOAD_ATTEMPTS  5

/* A slice's list that was written lately. */
struct catalog_slice {
	uint32_t table;
	int64_t snapshot_id, written_us;
	uint64_t purposes;
	struct ice_slice slice; /* list: its own memory */
};

static uint32_t table_index(const struct catalog *catalog, struct catalog_name name)
{
	return catalog->config.lake != NULL ? lake_find_table(catalog->config.lake, name.ns, name.name) : UINT32_MAX;
}

bool catalog_may_see(const struct catalog *catalog, const struct access_identity *caller, struct weir_str ns)
{
	if (caller->role == ACCESS_OPERATOR || caller->role == ACCESS_AUDITOR)
		return true;
	const struct lake *lake = catalog->config.lake;
	for (uint32_t i = 0; lake != NULL && caller->role == ACCESS_CONSUMER && i < lake->table_count; i++)
		if (lake->tables[i].kind == LAKE_GOLD && weir_str_equal(lake->tables[i].ns, ns))
			return true;
	return false;
}

/* Whether a namespace has tables whose rows consent governs. What else is in it may be a table that lake.yaml named
 * once. */
static bool is_governed(const struct lake *lake, struct weir_str ns)
{
	for (uint32_t i = 0; i < lake->table_count; i++)
		if ((lake->tables[i].kind == LAKE_GOLD || lake->tables[i].kind == LAKE_HISTORY_OF) &&
			weir_str_equal(lake->tables[i].ns, ns))
			return true;
	return false;
}

struct weir_str *catalog_purposes(struct catalog *catalog, const struct lake_table *table, uint64_t mask,
	struct weir_arena *arena, uint32_t *ret_count)
{
	const struct lake_consent *consent = &catalog->config.lake->consents[table->consent];
	struct weir_str *names = weir_arena_calloc(arena, consent->purpose_count, sizeof *names);
	*ret_count = 0;
	for (uint32_t i = 0; i < consent->purpose_count && i < 64; i++)
		if ((mask >> i & 1) != 0)
			names[(*ret_count)++] = consent->purposes[i];
	return names;
}

static int audit(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str purpose, const char *outcome, struct weir_error *err)
{
	struct weir_buf route = WEIR_BUF_INIT;
	if (catalog->config.access == NULL)
		return 0;
	weir_buf_printf(
		&route, "%.*s/%.*s.%.*s", WEIR_STR_ARG(load->route), WEIR_STR_ARG(name.ns), WEIR_STR_ARG(name.name));
	struct access_record record = {
		.identity = load->caller, .route = weir_buf_str(&route), .purpose = purpose, .outcome = outcome};
	int status = access_audit(catalog->config.access, &record, true, err);
	weir_buf_done(&route);
	return status;
}

static int deny(const struct access_identity *caller, const struct lake_table *table, struct weir_error *err)
{
	if (caller->role == ACCESS_OPERATOR && table != NULL && table->kind == LAKE_HISTORY_OF)
		return weir_fail(err, WEIR_E_DENIED, "history is read with an auditor's token alone");
	return weir_fail(err, WEIR_E_DENIED, "this token does not permit it");
}

/* ---- waiting for removals ---- */

static bool is_fenced(struct consent *consent, uint64_t purposes)
{
	struct consent_fence *fence = consent_fence_ref(consent);
	bool touched = false;
	for (uint32_t i = 0; i < 64 && !touched && consent_fence_count(fence) > 0; i++)
		touched = (purposes >> i & 1) != 0 && consent_fence_touches(fence, i);
	consent_fence_unref(fence);
	return touched;
}

static int refuse_while_removing(
	struct catalog *catalog, const struct lake_table *table, uint64_t purposes, struct weir_error *err)
{
	if (!is_fenced(catalog->config.consents[table->consent], purposes))
		return 0;
	return weir_fail_at(err, WEIR_E_BUSY, WEIR_STR(CATALOG_REMOVALS), WEIR_ERROR_NO_OFFSET,
		"rows of this table are being removed; load it again in a moment");
}

/* ---- slices ---- */

static bool find_slice(struct catalog *catalog, uint32_t table, int64_t snapshot_id, uint64_t purposes, int64_t now_us,
	struct weir_arena *arena, struct ice_slice *ret_slice)
{
	bool found = false;
	pthread_mutex_lock(&catalog->lock);
	for (uint32_t i = 0; i < catalog->slice_count && !found; i++) {
		const struct catalog_slice *slice = &catalog->slices[i];
		found = slice->table == table && slice->snapshot_id == snapshot_id && slice->purposes == purposes &&
			now_us - slice->written_us < SLICE_FRESH_US;
		if (found) {
			*ret_slice = slice->slice;
			ret_slice->list = weir_arena_str(arena, slice->slice.list);
		}
	}
	pthread_mutex_unlock(&catalog->lock);
	return found && catalog_file_exists(catalog, ret_slice->list);
}

static void free_slice(struct catalog_slice *slice)
{
	free((char *)(uintptr_t)slice->slice.list.data);
}

static void keep_slice(struct catalog *catalog, struct catalog_slice slice)
{
	char *list = weir_alloc(slice.slice.list.size + 1);
	memcpy(list, slice.slice.list.data, slice.slice.list.size);
	slice.slice.list.data = list;
	pthread_mutex_lock(&catalog->lock);
	for (uint32_t i = catalog->slice_count; i > 0; i--) {
		struct catalog_slice *old = &catalog->slices[i - 1];
		if (slice.written_us - old->written_us < SLICE_FRESH_US && catalog->slice_count < SLICES_MAX)
			continue;
		free_slice(old);
		*old = catalog->slices[--catalog->slice_count];
	}
	WEIR_GROW(catalog->slices, catalog->slice_count, catalog->slice_capacity);
	catalog->slices[catalog->slice_count++] = slice;
	pthread_mutex_unlock(&catalog->lock);
}

/* Its removal is certain before it is there. It is noted again once it is: a sweep that came in between found no file,
 * and has struck out the first note, or will, but not the second, whose time is another (ice_sweep_doomed). */
static int doom_list(struct catalog *catalog, const char *file, int64_t now_us, struct weir_error *err)
{
	struct control_value values[] = {CONTROL_T(weir_str_from(file)), CONTROL_I(now_us)};
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	control_change_sql(change, "doomed file", 1,
		"INSERT INTO weir_doomed_files (name, doomed_us) VALUES (?1, ?2)"
		" ON CONFLICT (name) DO UPDATE SET doomed_us = excluded.doomed_us",
		values, 2);
	int status = control_commit(catalog->control, change, &result, err);
	control_change_free(change);
	return status;
}

static int make_slice(struct catalog *catalog, uint32_t index, struct ice_table *version, uint64_t purposes,
	struct weir_arena *arena, struct ice_slice *ret_slice, struct weir_error *err)
{
	const struct lake_table *table = &catalog->config.lake->tables[index];
	const struct ice_snapshot *snapshot = ice_metadata_current(ice_table_metadata(version));
	int64_t now_us = weir_now_us(&catalog->config.clock);
	uint8_t random[16];
	char hex[33];
	uint32_t count;
	*ret_slice = (struct ice_slice){0};
	if (snapshot == NULL || find_slice(catalog, index, snapshot->id, purposes, now_us, arena, ret_slice))
		return 0;
	struct weir_str *names = catalog_purposes(catalog, table, purposes, arena, &count);
	weir_random_bytes(random, sizeof random);
	weir_hex(random, sizeof random, hex);
	struct weir_str home;
	int status = store_name_of(catalog->store, arena, ice_table_metadata(version)->location, &home, err);
	const char *file = weir_arena_printf(arena, "%.*s/metadata/slice-%s.avro", status == 0 ? (int)home.size : 0,
		status == 0 ? home.data : "", hex);
	if (status == 0)
		status = doom_list(catalog, file, now_us, err);
	if (status == 0)
		status = ice_slice_write(version, WEIR_STR("purpose"), names, count, file, arena, ret_slice, err);
	if (status == 0)
		status = doom_list(catalog, file, now_us - 1, err);
	if (status == 0)
		keep_slice(catalog,
			(struct catalog_slice){.table = index,
				.snapshot_id = snapshot->id,
				.written_us = now_us,
				.purposes = purposes,
				.slice = *ret_slice});
	return status;
}

static json_t *count_text(uint64_t count)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)count);
	return json_string(text);
}

/* The document as if the table had this one snapshot, and only the rows of the slice. */
static void cut_metadata(json_t *metadata, const struct ice_slice *slice)
{
	static const char *const emptied[] = {"metadata-log", "statistics", "partition-statistics", "snapshot-log"};
	int64_t current = ice_rest_int(metadata, "current-snapshot-id", -1);
	json_t *snapshots = json_array(), *snapshot, *refs = json_object(),
	       *list = json_object_get(metadata, "snapshots");
	size_t index;
	json_array_foreach(list, index, snapshot)
	{
		if (ice_rest_int(snapshot, "snapshot-id", -1) != current)
			continue;
		json_t *own = json_deep_copy(snapshot);
		json_object_del(own, "parent-snapshot-id");
		json_object_set_new(own, "manifest-list", json_stringn(slice->list.data, slice->list.size));
		json_object_set_new(own, "summary",
			json_pack("{s:s,s:o,s:o,s:o,s:o}", "operation", "append", "total-records",
				count_text(slice->rows), "total-data-files", count_text(slice->data_files),
				"total-delete-files", count_text(slice->delete_files), "total-position-deletes",
				count_text(slice->delete_rows)));
		json_array_append_new(snapshots, own);
		json_object_set_new(
			refs, "main", json_pack("{s:I,s:s}", "snapshot-id", (json_int_t)current, "type", "branch"));
	}
	json_object_set_new(metadata, "snapshots", snapshots);
	json_object_set_new(metadata, "refs", refs);
	for (size_t i = 0; i < sizeof emptied / sizeof emptied[0]; i++)
		json_object_set_new(metadata, emptied[i], json_array());
}

static int load_slice(struct catalog *catalog, uint32_t index, uint64_t purposes, struct weir_arena *arena,
	struct catalog_entry *ret_entry, struct weir_error *err)
{
	struct ice_table *version = ice_registry_table(catalog->config.registry, index);
	struct weir_buf text = WEIR_BUF_INIT;
	struct ice_slice slice;
	json_t *metadata = NULL;
	char variant[40];
	int status = catalog_file_read(catalog, ice_table_metadata_uri(version), &text, err);
	if (status == 0)
		status = ice_rest_parse(
			weir_buf_str(&text), ICE_REST_TABLE, ice_table_metadata_uri(version), &metadata, err);
	if (status == 0)
		status = make_slice(catalog, index, version, purposes, arena, &slice, err);
	if (status == 0) {
		cut_metadata(metadata, &slice);
		ice_rest_write(metadata, ICE_REST_TABLE, &ret_entry->metadata);
		snprintf(variant, sizeof variant, "%llx", (unsigned long long)purposes);
		catalog_etag(
			slice.list.size > 0 ? slice.list : ice_table_metadata_uri(version), variant, ret_entry->etag);
	}
	json_decref(metadata);
	weir_buf_done(&text);
	ice_table_unref(version);
	return status;
}

/* ---- loading ---- */

static int load_whole(struct catalog *catalog, struct catalog_name name, struct weir_arena *arena,
	struct catalog_entry *ret_entry, struct weir_error *err)
{
	struct catalog_pointer pointer;
	int status = catalog_pointer_need(catalog, arena, CATALOG_TABLE, name, &pointer, err);
	if (status == 0)
		status = catalog_file_read(catalog, pointer.location, &ret_entry->metadata, err);
	ret_entry->location = pointer.location;
	catalog_etag(pointer.location, "all", ret_entry->etag);
	return status;
}

int catalog_governed_admit(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_admission *ret_admission, struct weir_error *err)
{
	uint32_t index = table_index(catalog, name), purpose_count = 0;
	const struct lake_table *table = index != UINT32_MAX ? &catalog->config.lake->tables[index] : NULL;
	bool gold = table != NULL && table->kind == LAKE_GOLD,
	     history = table != NULL && table->kind == LAKE_HISTORY_OF;
	bool sliced = gold && load->caller->role == ACCESS_CONSUMER;
	if (catalog->config.lake == NULL)
		return weir_fail(err, WEIR_E_DENIED,
			"this table is a lake's own, and this catalog does not know the lake; ask the lake's own "
			"server");
	bool closed = history || (table == NULL && is_governed(catalog->config.lake, name.ns));
	bool allowed =
		load->caller->role == ACCESS_AUDITOR || (load->caller->role == ACCESS_OPERATOR && !closed) || sliced;
	/* All: also those that the lake no longer has, whose rows may still be on their way out. */
	uint64_t purposes = sliced ? load->caller->purposes : ~0ULL;
	struct weir_str purpose = {0};
	struct catalog_pointer pointer;
	*ret_admission = (struct catalog_admission){table, index, sliced, purposes};
	if (load->caller->role == ACCESS_OPERATOR && table == NULL) { /* who may list them is told what is not there */
		int there = catalog_pointer_need(catalog, arena, CATALOG_TABLE, name, &pointer, err);
		if (there != 0)
			return there;
	}
	if (!allowed) {
		int audited = audit(catalog, name, load, purpose, "denied", err);
		return audited != 0 ? audited : deny(load->caller, table, err);
	}
	int status = catalog_pointer_need(catalog, arena, CATALOG_TABLE, name, &pointer, err);
	if (status == 0 && gold)
		status = refuse_while_removing(catalog, table, purposes, err);
	if (status == 0 && sliced) {
		struct weir_str *names = catalog_purposes(catalog, table, purposes, arena, &purpose_count);
		struct weir_buf all = WEIR_BUF_INIT;
		for (uint32_t i = 0; i < purpose_count; i++)
			weir_buf_printf(&all, "%s%.*s", i > 0 ? "," : "", WEIR_STR_ARG(names[i]));
		purpose = weir_arena_str(arena, weir_buf_str(&all));
		weir_buf_done(&all);
	}
	return status == 0 ? audit(catalog, name, load, purpose, "allowed", err) : status;
}

int catalog_governed_load(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_entry *ret_entry, bool *ret_same, struct weir_error *err)
{
	struct catalog_admission admission;
	*ret_same = false; /* a load is an access: it is never answered from what the client has */
	int status = catalog_governed_admit(catalog, name, load, arena, &admission, err);
	if (status != 0)
		return status;
	/* A version may be gone before it is read: removals do not wait for readers. */
	for (unsigned tries = 0; tries < LOAD_ATTEMPTS; tries++) {
		catalog_entry_done(ret_entry);
		status = admission.sliced
			? load_slice(catalog, admission.index, admission.purposes, arena, ret_entry, err)
			: load_whole(catalog, name, arena, ret_entry, err);
		if (status != WEIR_E_NOT_FOUND)
			break;
	}
	if (status != 0)
		catalog_entry_done(ret_entry);
	return status;
}

void catalog_slices_done(struct catalog *catalog)
{
	for (uint32_t i = 0; i < catalog->slice_count; i++)
		free_slice(&catalog->slices[i]);
	free(catalog->slices);
	catalog->slices = NULL;
	catalog->slice_count = 0;
}
