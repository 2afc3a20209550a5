/*
 * Which manifests a new snapshot has.
 *
 * Files are grouped by partition spec and by the value of the partition field that the table property
 * `weir.manifest-by` names; a manifest that weir writes holds one group only. A group's new entries take up the
 * group's older manifests that are no larger than themselves, one after the other, like carrying in binary
 * addition: n appends leave about log2(n) manifests and rewrite each entry log2(n) times. At
 * ICE_MANIFEST_ENTRIES a manifest is full and stays as it is.
 *
 * A manifest that holds a removed file is rewritten with that entry DELETED; an erasure rewrites them all.
 * Entries that an earlier snapshot DELETED are dropped by any rewrite.
 */
#include <stdlib.h>

#include "iceberg/internal.h"

struct group {
	int32_t spec_id;
	bool is_deletes;               /* delete files never share a manifest with data files */
	bool is_null;                  /* of the value; files of specs without the field have the empty text */
	struct weir_str key;           /* single-value binary, in the commit's arena */
	struct ice_data_file *entries; /* shallow: what they point to is pinned, or the edit's */
	uint32_t count, capacity;
};

struct work {
	struct ice_commit *commit;
	const struct ice_metadata *metadata;
	struct weir_str manifest_by;
	struct group *groups;
	uint32_t group_count, group_capacity;
	struct ice_manifest *kept; /* of the base, candidates for merging first */
	uint32_t kept_count;
	struct ice_cached **pins;
	uint32_t pin_count, pin_capacity;
	struct ice_name_set removed;
	uint32_t found;                      /* removed files seen so far */
	struct ice_name_set removed_deletes; /* as delete_key has them */
	uint32_t found_deletes;
};

/* Index of the manifest-by field in a spec; WEIR_NO_FIELD where it has none. */
static uint32_t group_field(const struct work *work, const struct ice_spec *spec)
{
	for (uint32_t i = 0; spec != NULL && work->manifest_by.size > 0 && i < spec->field_count; i++)
		if (weir_str_equal(spec->fields[i].name, work->manifest_by))
			return i;
	return WEIR_NO_FIELD;
}

static struct group *group_for(struct work *work, int32_t spec_id, bool is_deletes, bool is_null, struct weir_str key)
{
	for (uint32_t i = 0; i < work->group_count; i++) {
		struct group *group = &work->groups[i];
		if (group->spec_id == spec_id && group->is_deletes == is_deletes && group->is_null == is_null &&
			weir_str_equal(group->key, key))
			return group;
	}
	WEIR_GROW(work->groups, work->group_count, work->group_capacity);
	struct group *group = &work->groups[work->group_count++];
	*group = (struct group){.spec_id = spec_id,
		.is_deletes = is_deletes,
		.is_null = is_null,
		.key = weir_arena_str(work->commit->arena, key)};
	return group;
}

static int add_entry(struct work *work, const struct ice_data_file *file, struct weir_error *err)
{
	const struct ice_spec *spec = ice_metadata_spec(work->metadata, file->spec_id);
	if (spec == NULL || file->partition_count != spec->field_count)
		return weir_fail_at(err, WEIR_E_INPUT, file->path, WEIR_ERROR_NO_OFFSET,
			"the file's partition does not fit partition spec %d of the table", file->spec_id);
	struct weir_buf key = WEIR_BUF_INIT;
	bool is_null = false;
	uint32_t index = group_field(work, spec);
	struct weir_field type;
	if (index != WEIR_NO_FIELD && ice_partition_type(work->metadata, &spec->fields[index], &type)) {
		is_null = file->partition[index].is_null;
		if (!is_null)
			ice_value_encode(&file->partition[index].value, &type, &key);
	}
	struct group *group = group_for(work, file->spec_id, file->content != ICE_DATA, is_null, weir_buf_str(&key));
	weir_buf_done(&key);
	WEIR_GROW(group->entries, group->count, group->capacity);
	group->entries[group->count++] = *file;
	return 0;
}

/* The group that all of a manifest's files belong to, by its summary; false where they are of several. */
static bool is_of_group(const struct work *work, const struct ice_manifest *manifest, const struct group *group)
{
	if ((manifest->content != 0) != group->is_deletes || manifest->spec_id != group->spec_id)
		return false;
	uint32_t index = group_field(work, ice_metadata_spec(work->metadata, manifest->spec_id));
	if (index == WEIR_NO_FIELD)
		return true;
	if (index >= manifest->partition_count)
		return false;
	const struct ice_field_summary *summary = &manifest->partitions[index];
	if (group->is_null)
		return summary->contains_null && !summary->has_bounds && !summary->contains_nan;
	return !summary->contains_null && !summary->contains_nan && summary->has_bounds &&
		weir_str_equal(summary->lower, summary->upper) && weir_str_equal(summary->lower, group->key);
}

static int pin_manifest(struct work *work, const struct ice_manifest *manifest, const struct ice_entries **ret_entries,
	struct weir_error *err)
{
	struct ice_cached *cached;
	int code = ice_cached_manifest(work->commit->base, manifest, &cached, err);
	if (code != 0)
		return code;
	WEIR_GROW(work->pins, work->pin_count, work->pin_capacity);
	work->pins[work->pin_count++] = cached;
	*ret_entries = ice_cached_entries(cached);
	return 0;
}

/* What tells a delete file from others: its path, and its place in it where it is a deletion vector. */
static struct weir_str delete_key(struct weir_arena *arena, const struct ice_data_file *file)
{
	return weir_str_from(
		weir_arena_printf(arena, "%lld:%.*s", (long long)file->content_offset, WEIR_STR_ARG(file->path)));
}

static bool is_removed(const struct work *work, const struct ice_data_file *file)
{
	if (file->content == ICE_DATA)
		return ice_name_set_has(&work->removed, file->path);
	return work->removed_deletes.count > 0 &&
		ice_name_set_has(&work->removed_deletes, delete_key(work->commit->arena, file));
}

static void count_removed(struct work *work, const struct ice_data_file *file)
{
	struct ice_commit *commit = work->commit;
	if (file->content == ICE_DATA) {
		commit->removed_rows += file->record_count;
		commit->removed_bytes += file->size_bytes;
		work->found++;
		return;
	}
	commit->removed_delete_files++;
	commit->removed_bytes += file->content_size_bytes >= 0 ? file->content_size_bytes : file->size_bytes;
	*(file->content == ICE_POSITION_DELETES ? &commit->removed_positions : &commit->removed_equalities) +=
		file->record_count;
	work->found_deletes++;
}

/* The live entries of a manifest as EXISTING, or DELETED by this snapshot, into their groups. */
static int take_entries(struct work *work, const struct ice_manifest *manifest, const struct ice_entries *entries,
	struct weir_error *err)
{
	struct ice_commit *commit = work->commit;
	int64_t next_row = manifest->content == 0 ? manifest->first_row_id : -1;
	int code = 0;
	for (uint32_t i = 0; i < entries->count && code == 0; i++) {
		struct ice_data_file file = entries->files[i];
		if (file.status == ICE_DELETED)
			continue;
		if (file.snapshot_id < 0)
			file.snapshot_id = manifest->added_snapshot_id;
		if (file.sequence_number < 0)
			file.sequence_number = manifest->sequence_number;
		if (file.file_sequence_number < 0)
			file.file_sequence_number = manifest->sequence_number;
		if (file.first_row_id < 0 && next_row >= 0) {
			file.first_row_id = next_row;
			next_row += file.record_count;
		}
		if ((file.content != ICE_DATA) != (manifest->content != 0) || file.snapshot_id < 0 ||
			file.sequence_number < 0 || file.file_sequence_number < 0)
			return weir_fail_at(err, WEIR_E_CORRUPT, manifest->path, WEIR_ERROR_NO_OFFSET,
				"entry %u of the manifest lacks a snapshot id or sequence number, or is not of its "
				"content",
				i);
		file.status = ICE_EXISTING;
		if (is_removed(work, &file)) {
			file.status = ICE_DELETED;
			file.snapshot_id = commit->snapshot->id;
			count_removed(work, &file);
			if (commit->edit->erase && file.content != ICE_DATA)
				continue; /* an erasure leaves no word of deletes: no manifest for their ends alone */
		}
		code = add_entry(work, &file, err);
	}
	return code;
}

static bool holds_removed(const struct work *work, const struct ice_entries *entries)
{
	for (uint32_t i = 0; i < entries->count; i++)
		if (entries->files[i].status != ICE_DELETED && is_removed(work, &entries->files[i]))
			return true;
	return false;
}

/* Rewrites or keeps each manifest of the base. */
static int sort_manifests(
	struct work *work, const struct ice_manifest *manifests, uint32_t count, struct weir_error *err)
{
	const struct ice_edit *edit = work->commit->edit;
	int code = 0;
	for (uint32_t i = 0; i < count && code == 0; i++) {
		const struct ice_manifest *manifest = &manifests[i];
		const struct ice_entries *entries = NULL;
		if (manifest->added_files == 0 && manifest->existing_files == 0)
			continue; /* only of files that an earlier snapshot deleted */
		bool is_missing = manifest->content == 0 ? work->found < work->removed.count
							 : work->found_deletes < work->removed_deletes.count;
		bool anew = edit->erase || edit->rewrite_manifests;
		bool look = anew || is_missing;
		if (look)
			code = pin_manifest(work, manifest, &entries, err);
		if (code == 0 && look && (anew || holds_removed(work, entries)))
			code = take_entries(work, manifest, entries, err);
		else
			work->kept[work->kept_count++] = *manifest;
	}
	if (code == 0 && work->found_deletes != work->removed_deletes.count)
		code = weir_fail(err, WEIR_E_CONFLICT,
			"%u of the %zu delete files to remove are no longer in the table; plan anew",
			(uint32_t)work->removed_deletes.count - work->found_deletes, work->removed_deletes.count);
	if (code == 0 && work->found != work->removed.count)
		code = weir_fail(err, WEIR_E_CONFLICT,
			"%u of the %zu files to remove are no longer in the table; plan anew",
			(uint32_t)work->removed.count - work->found, work->removed.count);
	return code;
}

static int add_new_files(struct work *work, struct weir_error *err)
{
	const struct ice_edit *edit = work->commit->edit;
	int code = 0;
	for (uint32_t i = 0; i < edit->added_count && code == 0; i++) {
		struct ice_data_file file = edit->added[i];
		file.status = ICE_ADDED;
		file.snapshot_id = work->commit->snapshot->id;
		file.sequence_number = file.file_sequence_number = -1;
		if (edit->data_sequence_number > 0 && file.content == ICE_DATA)
			file.sequence_number = edit->data_sequence_number;
		code = add_entry(work, &file, err);
	}
	return code;
}

/* The group's entries take up older manifests, the smallest first, while those are no larger. */
static int merge_older(struct work *work, struct group *group, struct weir_error *err)
{
	for (;;) {
		uint32_t best = UINT32_MAX;
		int64_t best_size = (int64_t)group->count + 1;
		for (uint32_t i = 0; i < work->kept_count; i++) {
			const struct ice_manifest *manifest = &work->kept[i];
			int64_t size = (int64_t)manifest->added_files + manifest->existing_files;
			bool known = manifest->added_files >= 0 && manifest->existing_files >= 0;
			if (known && size < best_size && size + group->count <= ICE_MANIFEST_ENTRIES &&
				is_of_group(work, manifest, group)) {
				best = i;
				best_size = size;
			}
		}
		if (best == UINT32_MAX)
			return 0;
		struct ice_manifest manifest = work->kept[best];
		memmove(&work->kept[best], &work->kept[best + 1], (--work->kept_count - best) * sizeof *work->kept);
		const struct ice_entries *entries;
		uint32_t index = (uint32_t)(group - work->groups);
		int code = pin_manifest(work, &manifest, &entries, err);
		if (code == 0)
			code = take_entries(work, &manifest, entries, err);
		if (code != 0)
			return code;
		group = &work->groups[index]; /* groups may have moved */
	}
}

static int write_manifest(
	struct work *work, const struct group *group, uint32_t first, uint32_t end, struct weir_error *err)
{
	struct ice_commit *commit = work->commit;
	struct ice_manifest_writer *writer;
	struct ice_manifest manifest;
	struct store_file *file;
	char *name = weir_arena_printf(
		commit->arena, "%.*s-m%u.avro", WEIR_STR_ARG(commit->edit->prefix), (*commit->manifest_number)++);
	int code = ice_commit_create(commit, name, &file, err);
	if (code != 0)
		return code;
	code = ice_manifest_writer_open(store_file_sink(file), work->metadata,
		ice_metadata_spec(work->metadata, group->spec_id), group->is_deletes, commit->arena, &writer, err);
	if (code != 0)
		return code;
	for (uint32_t i = first; i < end; i++) {
		code = ice_manifest_writer_add(writer, &group->entries[i], err);
		if (code != 0) {
			ice_manifest_writer_abandon(writer);
			return code;
		}
	}
	code = ice_manifest_writer_close(writer, &manifest, err);
	if (code != 0)
		return code;
	manifest.path =
		store_uri(commit->base->store, commit->arena, weir_str_from(commit->names[commit->file_count - 1]));
	manifest.sequence_number = commit->snapshot->sequence_number;
	manifest.added_snapshot_id = commit->snapshot->id;
	if (manifest.min_sequence_number > manifest.sequence_number) /* nothing older is live in it */
		manifest.min_sequence_number = manifest.sequence_number;
	WEIR_GROW(commit->manifests, commit->manifest_count, commit->manifest_capacity);
	commit->manifests[commit->manifest_count++] = manifest;
	return 0;
}

static int write_group(struct work *work, uint32_t index, struct weir_error *err)
{
	int code = merge_older(work, &work->groups[index], err);
	const struct group *group = &work->groups[index];
	for (uint32_t first = 0; first < group->count && code == 0; first += ICE_MANIFEST_ENTRIES) {
		uint32_t left = group->count - first;
		code = write_manifest(
			work, group, first, first + (left < ICE_MANIFEST_ENTRIES ? left : ICE_MANIFEST_ENTRIES), err);
	}
	return code;
}

/* How many partitions the snapshot adds files to or removes files from. */
static uint32_t count_partitions(const struct work *work)
{
	struct ice_name_set seen = {0};
	const struct weir_schema *schema = ice_metadata_current_schema(work->metadata);
	for (uint32_t i = 0; i < work->group_count; i++)
		for (uint32_t j = 0; j < work->groups[i].count; j++) {
			const struct ice_data_file *file = &work->groups[i].entries[j];
			if (file->status == ICE_EXISTING)
				continue;
			const struct ice_spec *spec = ice_metadata_spec(work->metadata, file->spec_id);
			struct weir_str path = ice_partition_path(work->commit->arena, spec, schema, file->partition);
			ice_name_set_add(&seen, path);
		}
	uint32_t count = (uint32_t)seen.count;
	ice_name_set_done(&seen);
	return count;
}

/* Does any live entry of the manifest reference one of the names: a data file by its path, a vector by what it is of? */
static int cross_off(struct work *work, const struct ice_manifest *manifest, const struct ice_name_set *names,
	uint32_t *found, struct weir_error *err)
{
	const struct ice_entries *entries;
	int code = pin_manifest(work, manifest, &entries, err);
	for (uint32_t i = 0; code == 0 && i < entries->count; i++) {
		const struct ice_data_file *file = &entries->files[i];
		if (file->status == ICE_DELETED || is_removed(work, file))
			continue;
		bool is_data = file->content == ICE_DATA;
		if (is_data && ice_name_set_has(names, file->path))
			++*found;
		else if (!is_data && file->content_offset >= 0 && ice_name_set_has(names, file->referenced_data_file))
			code = weir_fail_at(err, WEIR_E_CONFLICT, file->referenced_data_file, WEIR_ERROR_NO_OFFSET,
				"the data file has another deletion vector by now; read it again and merge");
	}
	return code;
}

/* The data files that added position deletes reference are live, and have no vector that would stand beside the new one. */
static int check_delta(struct work *work, const struct ice_manifest *manifests, uint32_t count, struct weir_error *err)
{
	const struct ice_edit *edit = work->commit->edit;
	struct ice_name_set names = {0};
	uint32_t found = 0;
	int code = 0;
	for (uint32_t i = 0; i < edit->added_count; i++)
		if (edit->added[i].content == ICE_POSITION_DELETES && edit->added[i].referenced_data_file.size > 0 &&
			!ice_name_set_add(&names, edit->added[i].referenced_data_file) &&
			edit->added[i].content_offset >= 0)
			code = weir_fail_at(err, WEIR_E_INPUT, edit->added[i].referenced_data_file,
				WEIR_ERROR_NO_OFFSET, "the change has two deletion vectors of one data file");
	for (uint32_t i = 0; i < edit->referenced_count; i++)
		ice_name_set_add(&names, edit->referenced[i]);
	for (uint32_t i = 0; i < count && code == 0 && names.count > 0; i++)
		if (manifests[i].content != 0 || found < names.count)
			code = cross_off(work, &manifests[i], &names, &found, err);
	if (code == 0 && found != names.count)
		code = weir_fail(err, WEIR_E_CONFLICT,
			"%u of the %zu data files whose rows are deleted are no longer in the table; plan anew",
			(uint32_t)names.count - found, names.count);
	ice_name_set_done(&names);
	return code;
}

/* May position deletes take rows of a removed file? Where they do not say which file they are of, their bounds may. */
static bool deletes_of_removed(const struct work *work, const struct ice_data_file *file)
{
	struct weir_str path = ice_referenced_file(file);
	if (file->content != ICE_POSITION_DELETES)
		return false;
	return path.size == 0 || ice_name_set_has(&work->removed, path);
}

/*
 * A rewrite carries the rows that it read: position deletes that came after it had read would lose the file that they
 * are of, and their rows would be back. Equality deletes apply to the new files too, by their sequence number.
 */
static int check_rewrite(
	struct work *work, const struct ice_manifest *manifests, uint32_t count, struct weir_error *err)
{
	int64_t read = work->commit->read_sequence;
	int code = 0;
	for (uint32_t i = 0; i < count && code == 0 && work->removed.count > 0; i++) {
		const struct ice_entries *entries;
		if (manifests[i].content == 0 || manifests[i].sequence_number <= read)
			continue;
		code = pin_manifest(work, &manifests[i], &entries, err);
		for (uint32_t j = 0; code == 0 && j < entries->count; j++) {
			const struct ice_data_file *file = &entries->files[j];
			int64_t sequence =
				file->sequence_number >= 0 ? file->sequence_number : manifests[i].sequence_number;
			if (file->status != ICE_DELETED && sequence > read && !is_removed(work, file) &&
				deletes_of_removed(work, file))
				code = weir_fail_at(err, WEIR_E_CONFLICT, file->path, WEIR_ERROR_NO_OFFSET,
					"rows of a file to remove were deleted meanwhile; plan anew");
		}
	}
	return code;
}

int ice_commit_manifests(struct ice_commit *commit, struct weir_error *err)
{
	struct work work = {.commit = commit,
		.metadata = commit->base->metadata,
		.manifest_by = ice_property(commit->base->metadata, "weir.manifest-by")};
	struct ice_cached *list = NULL;
	const struct ice_manifest *manifests;
	uint32_t count;
	int code = ice_table_manifests(commit->base, ice_commit_parent(commit), &list, &manifests, &count, err);
	if (code != 0)
		return code;
	work.kept = weir_arena_calloc(commit->arena, count, sizeof *work.kept);
	for (uint32_t i = 0; i < commit->edit->removed_count; i++)
		if (!ice_name_set_add(&work.removed, commit->edit->removed[i]))
			code = weir_fail_at(err, WEIR_E_INPUT, commit->edit->removed[i], WEIR_ERROR_NO_OFFSET,
				"the file is named twice among the files to remove");
	for (uint32_t i = 0; i < commit->edit->removed_delete_count; i++)
		ice_name_set_add(&work.removed_deletes, delete_key(commit->arena, &commit->edit->removed_deletes[i]));
	if (code == 0)
		code = check_delta(&work, manifests, count, err);
	if (code == 0)
		code = check_rewrite(&work, manifests, count, err);
	if (code == 0)
		code = sort_manifests(&work, manifests, count, err);
	if (code == 0)
		code = add_new_files(&work, err);
	for (uint32_t i = 0; i < work.group_count && code == 0; i++)
		code = write_group(&work, i, err);
	commit->changed_partitions = code == 0 ? count_partitions(&work) : 0;
	for (uint32_t i = 0; i < work.kept_count && code == 0; i++) {
		WEIR_GROW(commit->manifests, commit->manifest_count, commit->manifest_capacity);
		struct ice_manifest *copy = &commit->manifests[commit->manifest_count++];
		*copy = work.kept[i]; /* its texts are the pinned list's: copied, as the list may go */
		copy->path = weir_arena_str(commit->arena, copy->path);
		copy->partitions = weir_arena_copy(
			commit->arena, copy->partitions, copy->partition_count * sizeof *copy->partitions);
		for (uint32_t j = 0; j < copy->partition_count; j++) {
			copy->partitions[j].lower = weir_arena_str(commit->arena, copy->partitions[j].lower);
			copy->partitions[j].upper = weir_arena_str(commit->arena, copy->partitions[j].upper);
		}
	}
	for (uint32_t i = 0; i < work.group_count; i++)
		free(work.groups[i].entries);
	for (uint32_t i = 0; i < work.pin_count; i++)
		ice_cached_release(work.pins[i]);
	free(work.groups);
	free(work.pins);
	ice_name_set_done(&work.removed);
	ice_name_set_done(&work.removed_deletes);
	ice_cached_release(list);
	return code;
}
