/*
 * Which files nobody needs once some snapshots are dropped.
 *
 * Where the dropped snapshots are the oldest of one straight line (what weir itself writes), the cost is that of what
 * changed between neighbours: dropping snapshot i frees its list, the manifests that snapshot i+1 no longer
 * lists, and the data files that snapshot i+1 deleted. Otherwise (branches, tags, a rollback) everything
 * that the dropped ones reach is held against everything that the kept ones reach.
 */
#include <stdlib.h>

#include "iceberg/internal.h"

/* One snapshot's manifests: of the base, or the new one's. */
struct view {
	const struct ice_snapshot *snapshot;
	const struct ice_manifest *manifests;
	uint32_t count;
	struct ice_cached *cached; /* NULL: the commit's own */
};

static int view_open(struct ice_commit *commit, uint32_t index, struct view *ret_view, struct weir_error *err)
{
	const struct ice_metadata *metadata = commit->base->metadata;
	if (index == metadata->snapshot_count) {
		*ret_view = (struct view){commit->snapshot, commit->manifests, commit->manifest_count, NULL};
		return 0;
	}
	ret_view->snapshot = &metadata->snapshots[index];
	return ice_table_manifests(
		commit->base, ret_view->snapshot, &ret_view->cached, &ret_view->manifests, &ret_view->count, err);
}

/* Deletion vectors may share a file that lives on when one of them goes: such tables are not told from neighbours. */
static bool has_deletes(const struct ice_commit *commit)
{
	const struct ice_metadata *metadata = commit->base->metadata;
	for (uint32_t i = 0; i < commit->manifest_count; i++)
		if (commit->manifests[i].content != 0)
			return true;
	for (uint32_t i = 0; i < metadata->snapshot_count; i++)
		if (!weir_str_is(ice_summary(&metadata->snapshots[i], "total-delete-files"), "0"))
			return true;
	return false;
}

static bool is_line(const struct ice_commit *commit, const bool *is_kept)
{
	const struct ice_metadata *metadata = commit->base->metadata;
	uint32_t count = metadata->snapshot_count;
	if (commit->edit->branch.size > 0 || has_deletes(commit))
		return false;
	for (uint32_t i = 0; i < metadata->ref_count; i++)
		if (!weir_str_is(metadata->refs[i].name, "main"))
			return false;
	for (uint32_t i = 0; i + 1 < count; i++)
		if (metadata->snapshots[i + 1].parent_id != metadata->snapshots[i].id ||
			(is_kept[i] && !is_kept[i + 1]))
			return false;
	return count == 0 || metadata->current_snapshot_id == metadata->snapshots[count - 1].id;
}

/* Data files that the snapshot of the view deleted. */
static int doom_deleted(struct ice_commit *commit, const struct view *view, struct weir_error *err)
{
	if (view->cached == NULL) {
		for (uint32_t i = 0; i < commit->edit->removed_count; i++)
			ice_commit_doom(commit, commit->edit->removed[i]);
		return 0;
	}
	for (uint32_t i = 0; i < view->count; i++) {
		const struct ice_manifest *manifest = &view->manifests[i];
		struct ice_cached *cached;
		if (manifest->added_snapshot_id != view->snapshot->id || manifest->deleted_files == 0)
			continue;
		int code = ice_cached_manifest(commit->base, manifest, &cached, err);
		if (code != 0)
			return code;
		const struct ice_entries *entries = ice_cached_entries(cached);
		for (uint32_t j = 0; j < entries->count; j++)
			if (entries->files[j].status == ICE_DELETED)
				ice_commit_doom(commit, entries->files[j].path);
		ice_cached_release(cached);
	}
	return 0;
}

static int expire_line(struct ice_commit *commit, const bool *is_kept, struct weir_error *err)
{
	uint32_t count = commit->base->metadata->snapshot_count;
	int code = 0;
	for (uint32_t i = 0; i < count && !is_kept[i] && code == 0; i++) {
		struct view old = {0}, next = {0};
		struct ice_name_set still = {0};
		code = view_open(commit, i, &old, err);
		if (code == 0)
			code = view_open(commit, i + 1, &next, err);
		if (code == 0) {
			for (uint32_t j = 0; j < next.count; j++)
				ice_name_set_add(&still, next.manifests[j].path);
			ice_commit_doom(commit, old.snapshot->manifest_list);
			for (uint32_t j = 0; j < old.count; j++)
				if (!ice_name_set_has(&still, old.manifests[j].path))
					ice_commit_doom(commit, old.manifests[j].path);
			code = doom_deleted(commit, &next, err);
		}
		ice_name_set_done(&still);
		ice_cached_release(old.cached);
		ice_cached_release(next.cached);
	}
	return code;
}

/* Adds every file that a view reaches; doom: those that are new to the set are doomed. */
static int reach(struct ice_commit *commit, const struct view *view, struct ice_name_set *manifests_seen,
	struct ice_name_set *files, bool doom, struct weir_error *err)
{
	for (uint32_t i = 0; i < view->count; i++) {
		const struct ice_manifest *manifest = &view->manifests[i];
		struct ice_cached *cached;
		struct weir_str path = weir_arena_str(commit->arena, manifest->path);
		if (!ice_name_set_add(manifests_seen, path))
			continue;
		if (doom)
			ice_commit_doom(commit, path);
		if (view->cached == NULL && manifest->added_snapshot_id == view->snapshot->id)
			continue; /* just written: its files are the base's live ones and the edit's */
		int code = ice_cached_manifest(commit->base, manifest, &cached, err);
		if (code != 0)
			return code;
		const struct ice_entries *entries = ice_cached_entries(cached);
		for (uint32_t j = 0; j < entries->count; j++) {
			if (entries->files[j].status == ICE_DELETED && !doom)
				continue;
			struct weir_str file = weir_arena_str(commit->arena, entries->files[j].path);
			if (ice_name_set_add(files, file) && doom)
				ice_commit_doom(commit, file);
		}
		ice_cached_release(cached);
	}
	return 0;
}

/* Delete files are told apart by their place too: of two vectors in one file the other may stay. */
static bool is_removed_delete(const struct ice_edit *edit, const struct ice_data_file *file)
{
	for (uint32_t i = 0; i < edit->removed_delete_count && file->content != ICE_DATA; i++)
		if (edit->removed_deletes[i].content_offset == file->content_offset &&
			weir_str_equal(edit->removed_deletes[i].path, file->path))
			return true;
	return false;
}

/* The live files of the new version: the base's, less the removed, with the added. */
static int reach_new(struct ice_commit *commit, struct ice_name_set *files, struct weir_error *err)
{
	const struct ice_edit *edit = commit->edit;
	struct ice_name_set removed = {0};
	struct ice_cached *list = NULL;
	const struct ice_manifest *manifests;
	uint32_t count;
	for (uint32_t i = 0; i < edit->removed_count; i++)
		ice_name_set_add(&removed, edit->removed[i]);
	for (uint32_t i = 0; i < edit->added_count; i++)
		ice_name_set_add(files, edit->added[i].path);
	int code = ice_table_manifests(commit->base, ice_commit_parent(commit), &list, &manifests, &count, err);
	for (uint32_t i = 0; i < count && code == 0; i++) {
		struct ice_cached *cached;
		code = ice_cached_manifest(commit->base, &manifests[i], &cached, err);
		if (code != 0)
			break;
		const struct ice_entries *entries = ice_cached_entries(cached);
		for (uint32_t j = 0; j < entries->count; j++)
			if (entries->files[j].status != ICE_DELETED &&
				!ice_name_set_has(&removed, entries->files[j].path) &&
				!is_removed_delete(edit, &entries->files[j]))
				ice_name_set_add(files, weir_arena_str(commit->arena, entries->files[j].path));
		ice_cached_release(cached);
	}
	ice_cached_release(list);
	ice_name_set_done(&removed);
	return code;
}

static int expire_any(struct ice_commit *commit, const bool *is_kept, struct weir_error *err)
{
	struct ice_name_set manifests = {0}, files = {0};
	uint32_t count = commit->base->metadata->snapshot_count;
	int code = reach_new(commit, &files, err);
	for (unsigned pass = 0; pass < 2 && code == 0; pass++) { /* first what stays, then what goes */
		bool doom = pass == 1;
		for (uint32_t i = 0; i <= count && code == 0; i++) {
			struct view view = {0};
			if ((i == count || is_kept[i]) == doom)
				continue;
			code = view_open(commit, i, &view, err);
			if (code == 0 && doom)
				ice_commit_doom(commit, view.snapshot->manifest_list);
			if (code == 0)
				code = reach(commit, &view, &manifests, &files, doom, err);
			ice_cached_release(view.cached);
		}
	}
	ice_name_set_done(&manifests);
	ice_name_set_done(&files);
	return code;
}

int ice_commit_expire(struct ice_commit *commit, const bool *is_kept, struct weir_error *err)
{
	uint32_t dropped = 0;
	for (uint32_t i = 0; i < commit->base->metadata->snapshot_count; i++)
		dropped += !is_kept[i];
	if (dropped == 0)
		return 0;
	return is_line(commit, is_kept) ? expire_line(commit, is_kept, err) : expire_any(commit, is_kept, err);
}

int ice_commit_doom_dropped(struct ice_commit *commit, const struct ice_metadata *next, struct weir_error *err)
{
	const struct ice_metadata *base = commit->base->metadata;
	struct ice_name_set manifests = {0}, files = {0};
	uint32_t dropped = 0;
	int code = 0;
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		dropped += ice_metadata_snapshot(next, base->snapshots[i].id) == NULL;
	for (unsigned pass = 0; pass < 2 && code == 0 && dropped > 0; pass++) {
		bool doom = pass == 1;
		for (uint32_t i = 0; i < base->snapshot_count && code == 0; i++) {
			struct view view = {0};
			if ((ice_metadata_snapshot(next, base->snapshots[i].id) != NULL) == doom)
				continue;
			code = view_open(commit, i, &view, err);
			if (code == 0 && doom)
				ice_commit_doom(commit, view.snapshot->manifest_list);
			if (code == 0)
				code = reach(commit, &view, &manifests, &files, doom, err);
			ice_cached_release(view.cached);
		}
	}
	ice_name_set_done(&manifests);
	ice_name_set_done(&files);
	return code;
}
