/*
 * Preparing a new version of a table: manifests, manifest list and metadata.json are written and made durable by one
 * barrier; then only the pointer's swap is left, which the caller commits with whatever else belongs to it.
 *
 * Order: (1) merge.c decides and writes manifests, (2) the list, (3) expire.c dooms what dropped snapshots
 * alone needed, (4) metadata.json, (5) the barrier. An attempt that fails deletes what it wrote. A
 * prepared change keeps a copy of its edit, so that it can be built again on a newer version.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "iceberg/internal.h"

struct ice_prepared {
	struct weir_arena *arena; /* the edit, or the definition */
	struct ice_edit edit;
	struct ice_definition definition;
	bool is_evolution;
	ice_revise_fn *revise; /* NULL: an edit or an evolution */
	void *revise_context;
	struct ice_table *base;
	int64_t read_sequence; /* of the first base; a rebase does not move it */
	uint32_t manifest_number;
	/* of the attempt that stands: */
	struct weir_arena *attempt;
	struct ice_table *next;
	int64_t snapshot_id;
	const char **names; /* files that were written */
	size_t name_count;
	const char **doomed;
	uint32_t doomed_count;
};

int ice_commit_create(struct ice_commit *commit, const char *file, struct store_file **ret_file, struct weir_error *err)
{
	const char *name = weir_arena_printf(commit->arena, "%s/metadata/%s", commit->location, file);
	int code = store_create(commit->base->store, name, ret_file, err);
	if (code != 0)
		return code;
	if (commit->file_count == commit->file_capacity) {
		commit->file_capacity = commit->file_capacity > 0 ? 2 * commit->file_capacity : 8;
		commit->files = weir_realloc(commit->files, commit->file_capacity, sizeof *commit->files);
		commit->names = weir_realloc(commit->names, commit->file_capacity, sizeof *commit->names);
	}
	commit->files[commit->file_count] = *ret_file;
	commit->names[commit->file_count++] = name;
	return 0;
}

void ice_commit_doom(struct ice_commit *commit, struct weir_str uri)
{
	struct weir_str name;
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (uri.size == 0 || store_name_of(commit->base->store, commit->arena, uri, &name, &ignored) != 0)
		return;
	WEIR_GROW(commit->doomed, commit->doomed_count, commit->doomed_capacity);
	commit->doomed[commit->doomed_count++] = name.data;
}

static bool is_main(struct weir_str branch)
{
	return branch.size == 0 || weir_str_is(branch, "main");
}

const struct ice_snapshot *ice_commit_parent(const struct ice_commit *commit)
{
	const struct ice_metadata *metadata = commit->base->metadata;
	for (uint32_t i = 0; i < metadata->ref_count && !is_main(commit->edit->branch); i++)
		if (weir_str_equal(metadata->refs[i].name, commit->edit->branch))
			return ice_metadata_snapshot(metadata, metadata->refs[i].snapshot_id);
	return ice_metadata_current(metadata); /* a new branch begins at main */
}

/* ---- the summary ---- */

struct summary {
	struct weir_arena *arena;
	struct ice_kv *pairs;
	uint32_t count;
};

static void say(struct summary *summary, const char *key, int64_t value)
{
	summary->pairs[summary->count++] = (struct ice_kv){
		weir_str_from(key), weir_str_from(weir_arena_printf(summary->arena, "%lld", (long long)value))};
}

/* A total goes on from the previous one; where that is not known, neither is this. */
static void say_total(struct summary *summary, const struct ice_snapshot *parent, const char *key, int64_t more)
{
	int64_t before = 0;
	if (parent == NULL || weir_str_to_i64(ice_summary(parent, key), &before))
		say(summary, key, before + more);
}

struct added {
	int64_t files, rows, bytes, delete_files, vectors, positions, equalities;
};

static struct added sum_added(const struct ice_edit *edit)
{
	struct added sum = {0};
	for (uint32_t i = 0; i < edit->added_count; i++) {
		const struct ice_data_file *file = &edit->added[i];
		bool is_data = file->content == ICE_DATA, is_vector = file->content_offset >= 0;
		sum.files += is_data;
		sum.delete_files += !is_data;
		sum.vectors += is_vector;
		sum.rows += is_data ? file->record_count : 0;
		sum.positions += file->content == ICE_POSITION_DELETES ? file->record_count : 0;
		sum.equalities += file->content == ICE_EQUALITY_DELETES ? file->record_count : 0;
		sum.bytes += is_vector ? file->content_size_bytes : file->size_bytes;
	}
	return sum;
}

static void say_deletes(struct summary *summary, const struct ice_commit *commit, const struct added *added)
{
	if (added->delete_files > 0) {
		say(summary, "added-delete-files", added->delete_files);
		if (added->vectors > 0)
			say(summary, "added-dvs", added->vectors);
		if (added->positions > 0)
			say(summary, "added-position-deletes", added->positions);
	}
	if (commit->removed_delete_files > 0) {
		say(summary, "removed-delete-files", commit->removed_delete_files);
		if (commit->removed_positions > 0)
			say(summary, "removed-position-deletes", commit->removed_positions);
		if (commit->removed_equalities > 0)
			say(summary, "removed-equality-deletes", commit->removed_equalities);
	}
}

static void write_summary(struct ice_commit *commit)
{
	static const char *const operations[] = {
		[ICE_OP_APPEND] = "append",
		[ICE_OP_REPLACE] = "replace",
		[ICE_OP_OVERWRITE] = "overwrite",
		[ICE_OP_DELETE] = "delete",
	};
	const struct ice_edit *edit = commit->edit;
	const struct ice_snapshot *parent = ice_commit_parent(commit);
	struct summary summary = {.arena = commit->arena};
	struct added added = sum_added(edit);
	summary.pairs = weir_arena_calloc(commit->arena, 24 + edit->summary_count, sizeof *summary.pairs);
	summary.pairs[summary.count++] =
		(struct ice_kv){WEIR_STR("operation"), weir_str_from(operations[edit->operation])};
	if (added.files > 0) {
		say(&summary, "added-data-files", added.files);
		say(&summary, "added-records", added.rows);
	}
	if (edit->added_count > 0)
		say(&summary, "added-files-size", added.bytes);
	say_deletes(&summary, commit, &added);
	if (edit->removed_count > 0) {
		say(&summary, "deleted-data-files", edit->removed_count);
		say(&summary, "deleted-records", commit->removed_rows);
	}
	if (edit->removed_count > 0 || commit->removed_delete_files > 0)
		say(&summary, "removed-files-size", commit->removed_bytes);
	say(&summary, "changed-partition-count", commit->changed_partitions);
	say_total(&summary, parent, "total-records", added.rows - commit->removed_rows);
	say_total(&summary, parent, "total-files-size", added.bytes - commit->removed_bytes);
	say_total(&summary, parent, "total-data-files", added.files - edit->removed_count);
	say_total(&summary, parent, "total-delete-files", added.delete_files - commit->removed_delete_files);
	say_total(&summary, parent, "total-position-deletes", added.positions - commit->removed_positions);
	say_total(&summary, parent, "total-equality-deletes", added.equalities - commit->removed_equalities);
	for (uint32_t i = 0; i < edit->summary_count; i++)
		summary.pairs[summary.count++] = edit->summary[i];
	commit->snapshot->summary = summary.pairs;
	commit->snapshot->summary_count = summary.count;
}

/* ---- the new metadata ---- */

/* Which of the base's snapshots stay: the newest keep - 1, and those of branches and tags other than main. */
static bool *choose_kept(const struct ice_commit *commit)
{
	const struct ice_metadata *metadata = commit->base->metadata;
	const struct ice_edit *edit = commit->edit;
	uint32_t count = metadata->snapshot_count;
	bool *is_kept = weir_arena_calloc(commit->arena, count, sizeof *is_kept);
	for (uint32_t i = 0; i < count && !edit->erase; i++) {
		is_kept[i] = edit->keep_snapshots == 0 || count - i < edit->keep_snapshots;
		for (uint32_t j = 0; j < metadata->ref_count; j++)
			if ((!weir_str_is(metadata->refs[j].name, "main") || !is_main(edit->branch)) &&
				metadata->refs[j].snapshot_id == metadata->snapshots[i].id)
				is_kept[i] = true;
	}
	return is_kept;
}

static bool is_there(const struct ice_snapshot *snapshots, uint32_t count, int64_t id)
{
	for (uint32_t i = count; i > 0; i--)
		if (snapshots[i - 1].id == id)
			return true;
	return false;
}

static void set_snapshots(const struct ice_commit *commit, const bool *is_kept, struct ice_metadata *next)
{
	const struct ice_metadata *base = commit->base->metadata;
	next->snapshots = weir_arena_calloc(commit->arena, base->snapshot_count + 1, sizeof *next->snapshots);
	next->snapshot_count = 0;
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		if (is_kept[i])
			next->snapshots[next->snapshot_count++] = base->snapshots[i];
	next->snapshots[next->snapshot_count++] = *commit->snapshot;
	bool main = is_main(commit->edit->branch);
	if (main)
		next->current_snapshot_id = commit->snapshot->id;
	next->snapshot_log = weir_arena_calloc(commit->arena, base->snapshot_log_count + 1, sizeof *next->snapshot_log);
	next->snapshot_log_count = 0;
	for (uint32_t i = 0; i < base->snapshot_log_count; i++)
		if (is_there(next->snapshots, next->snapshot_count, base->snapshot_log[i].snapshot_id))
			next->snapshot_log[next->snapshot_log_count++] = base->snapshot_log[i];
		else
			next->snapshot_log_count = 0; /* the log has no holes: nothing before a lost snapshot */
	if (main)
		next->snapshot_log[next->snapshot_log_count++] = (struct ice_log_entry){
			.timestamp_ms = commit->snapshot->timestamp_ms, .snapshot_id = commit->snapshot->id};
	next->refs = weir_arena_calloc(commit->arena, base->ref_count + 1, sizeof *next->refs);
	next->ref_count = 0;
	struct ice_ref own = {.name = main ? WEIR_STR("main") : commit->edit->branch,
		.max_ref_age_ms = -1,
		.max_snapshot_age_ms = -1,
		.min_snapshots_to_keep = -1};
	for (uint32_t i = 0; i < base->ref_count; i++)
		if (weir_str_equal(base->refs[i].name, own.name))
			own = base->refs[i];
		else if (!commit->edit->erase)
			next->refs[next->ref_count++] = base->refs[i];
	own.snapshot_id = commit->snapshot->id;
	next->refs[next->ref_count++] = own;
}

/*
 * The base's own metadata file joins the log; what falls out of it, past write.metadata.previous-versions-max, is doomed unless
 * write.metadata.delete-after-commit.enabled is false: nobody finds it any more. An erasure dooms all of it.
 */
static int set_metadata_log(struct ice_commit *commit, bool erase, struct ice_metadata *next, struct weir_error *err)
{
	int64_t most;
	bool deletes = true;
	int code =
		ice_property_number(next, "write.metadata.previous-versions-max", 1, ICE_METADATA_LOG_MAX, &most, err);
	if (code == 0)
		code = ice_property_flag(next, "write.metadata.delete-after-commit.enabled", true, &deletes, err);
	if (code != 0)
		return code;
	const struct ice_metadata *base = commit->base->metadata;
	uint32_t count = base->metadata_log_count + 1;
	struct ice_log_entry *log = weir_arena_calloc(commit->arena, count, sizeof *log);
	memcpy(log, base->metadata_log, base->metadata_log_count * sizeof *log);
	log[count - 1] = (struct ice_log_entry){
		.timestamp_ms = base->last_updated_ms, .metadata_file = commit->base->metadata_uri};
	uint32_t first = erase ? count : count > most ? count - (uint32_t)most : 0;
	for (uint32_t i = 0; i < first && (deletes || erase); i++)
		ice_commit_doom(commit, log[i].metadata_file);
	next->metadata_log = log + first;
	next->metadata_log_count = count - first;
	return 0;
}

/* The version number in "00012-....metadata.json", or in the older "v12.metadata.json". */
static unsigned version_of(struct weir_str uri)
{
	size_t start = uri.size;
	unsigned version = 0;
	while (start > 0 && uri.data[start - 1] != '/')
		start--;
	if (start < uri.size && uri.data[start] == 'v')
		start++;
	for (; start < uri.size && uri.data[start] >= '0' && uri.data[start] <= '9' && version < 100000000; start++)
		version = version * 10 + (unsigned)(uri.data[start] - '0');
	return version;
}

static struct ice_kv *copy_pairs(struct weir_arena *arena, const struct ice_kv *pairs, uint32_t count)
{
	struct ice_kv *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (uint32_t i = 0; i < count; i++)
		copy[i] = (struct ice_kv){weir_arena_str(arena, pairs[i].key), weir_arena_str(arena, pairs[i].value)};
	return copy;
}

static struct ice_snapshot *copy_snapshots(
	struct weir_arena *arena, const struct ice_snapshot *snapshots, uint32_t count)
{
	struct ice_snapshot *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = snapshots[i];
		copy[i].manifest_list = weir_arena_str(arena, snapshots[i].manifest_list);
		copy[i].key_id = weir_arena_str(arena, snapshots[i].key_id);
		copy[i].summary = copy_pairs(arena, snapshots[i].summary, snapshots[i].summary_count);
		copy[i].manifest_paths =
			weir_arena_calloc(arena, snapshots[i].manifest_count, sizeof *copy[i].manifest_paths);
		for (uint32_t j = 0; j < snapshots[i].manifest_count; j++)
			copy[i].manifest_paths[j] = weir_arena_str(arena, snapshots[i].manifest_paths[j]);
	}
	return copy;
}

static struct ice_log_entry *copy_log(struct weir_arena *arena, const struct ice_log_entry *log, uint32_t count)
{
	struct ice_log_entry *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = log[i];
		copy[i].metadata_file = weir_arena_str(arena, log[i].metadata_file);
	}
	return copy;
}

/*
 * The table of the new metadata. Its definition is read back from JSON, its history copied: reading a hundred
 * snapshots back was more than half of a commit.
 */
static int table_of(struct ice_commit *commit, const struct ice_metadata *next, struct weir_str uri,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_metadata definition = *next, *metadata;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf json = WEIR_BUF_INIT;
	definition.current_snapshot_id = -1;
	definition.snapshot_count = definition.ref_count = 0;
	definition.snapshot_log_count = definition.metadata_log_count = 0;
	ice_metadata_write(&definition, &json);
	int code = ice_metadata_parse(arena, weir_buf_str(&json), uri, &metadata, err);
	weir_buf_done(&json);
	if (code != 0) {
		weir_arena_free(arena);
		return code;
	}
	metadata->current_snapshot_id = next->current_snapshot_id;
	metadata->snapshots = copy_snapshots(arena, next->snapshots, next->snapshot_count);
	metadata->snapshot_count = next->snapshot_count;
	metadata->refs = weir_arena_calloc(arena, next->ref_count, sizeof *metadata->refs);
	metadata->ref_count = next->ref_count;
	for (uint32_t i = 0; i < next->ref_count; i++) {
		metadata->refs[i] = next->refs[i];
		metadata->refs[i].name = weir_arena_str(arena, next->refs[i].name);
	}
	metadata->snapshot_log = copy_log(arena, next->snapshot_log, next->snapshot_log_count);
	metadata->snapshot_log_count = next->snapshot_log_count;
	metadata->metadata_log = copy_log(arena, next->metadata_log, next->metadata_log_count);
	metadata->metadata_log_count = next->metadata_log_count;
	*ret_table = ice_table_of(commit->base->store, commit->base->cache, commit->base->name, uri, arena, metadata);
	return 0;
}

static int write_metadata(struct ice_commit *commit, struct weir_str prefix, const struct ice_metadata *next,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct weir_buf json = WEIR_BUF_INIT;
	struct store_file *file;
	char *name = weir_arena_printf(commit->arena, "%05u-%.*s.metadata.json",
		version_of(commit->base->metadata_uri) + 1, WEIR_STR_ARG(prefix));
	ice_metadata_write(next, &json);
	int code = ice_commit_create(commit, name, &file, err);
	if (code == 0)
		code = store_append(file, json.data, json.size, err);
	weir_buf_done(&json);
	if (code != 0)
		return code;
	struct weir_str stored = weir_str_from(commit->names[commit->file_count - 1]);
	return table_of(commit, next, store_uri(commit->base->store, commit->arena, stored), ret_table, err);
}

static int check_writable(const struct ice_table *base, struct weir_error *err)
{
	const struct ice_metadata *metadata = base->metadata;
	if (metadata->format_version < 2)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, base->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table has format version 1, which weir only reads; upgrade it to version 2");
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		for (uint32_t j = 0; j < metadata->specs[i].field_count; j++)
			if (metadata->specs[i].fields[j].transform.kind == ICE_UNKNOWN_TRANSFORM)
				return weir_fail_at(err, WEIR_E_UNSUPPORTED, base->metadata_uri, WEIR_ERROR_NO_OFFSET,
					"partition field '%.*s' has a transform that weir does not know",
					WEIR_STR_ARG(metadata->specs[i].fields[j].name));
	return 0;
}

/* A tag does not move. */
static int check_branch(const struct ice_table *base, struct weir_str branch, struct weir_error *err)
{
	for (uint32_t i = 0; i < base->metadata->ref_count; i++)
		if (base->metadata->refs[i].is_tag && weir_str_equal(base->metadata->refs[i].name, branch))
			return weir_fail_at(err, WEIR_E_INPUT, base->metadata_uri, WEIR_ERROR_NO_OFFSET,
				"'%.*s' is a tag; only branches take commits", WEIR_STR_ARG(branch));
	return 0;
}

/* Version 3: every row gets an id, by its manifest's first one (table specification, "First Row ID Assignment"). */
static void assign_row_ids(struct ice_commit *commit)
{
	const struct ice_metadata *base = commit->base->metadata;
	commit->snapshot->first_row_id = commit->snapshot->added_rows = -1;
	commit->next_row_id = base->next_row_id;
	if (base->format_version < 3)
		return;
	for (uint32_t i = 0; i < commit->manifest_count; i++) {
		struct ice_manifest *manifest = &commit->manifests[i];
		if (manifest->content != 0 || manifest->first_row_id >= 0)
			continue;
		manifest->first_row_id = commit->next_row_id;
		commit->next_row_id += (manifest->added_rows > 0 ? manifest->added_rows : 0) +
			(manifest->existing_rows > 0 ? manifest->existing_rows : 0);
	}
	commit->snapshot->first_row_id = base->next_row_id;
	commit->snapshot->added_rows = commit->next_row_id - base->next_row_id;
}

static int64_t new_snapshot_id(const struct ice_metadata *metadata)
{
	int64_t id;
	do {
		weir_random_bytes(&id, sizeof id);
		id &= INT64_MAX;
	} while (id == 0 || ice_metadata_snapshot(metadata, id) != NULL);
	return id;
}

static int write_snapshot(struct ice_commit *commit, struct weir_error *err)
{
	const struct ice_metadata *base = commit->base->metadata;
	const struct ice_snapshot *parent = ice_commit_parent(commit);
	struct store_file *file;
	int code = check_branch(commit->base, commit->edit->branch, err);
	if (code != 0)
		return code;
	*commit->snapshot = (struct ice_snapshot){.id = new_snapshot_id(base),
		.parent_id = parent != NULL ? parent->id : -1,
		.sequence_number = base->last_sequence_number + 1,
		.schema_id = base->current_schema_id};
	/* Snapshots of a log never go back in time, whatever the clock does. */
	commit->snapshot->timestamp_ms =
		commit->edit->now_ms > base->last_updated_ms ? commit->edit->now_ms : base->last_updated_ms;
	code = ice_commit_manifests(commit, err);
	if (code != 0)
		return code;
	assign_row_ids(commit);
	char *name = weir_arena_printf(commit->arena, "snap-%lld-1-%.*s.avro", (long long)commit->snapshot->id,
		WEIR_STR_ARG(commit->edit->prefix));
	code = ice_commit_create(commit, name, &file, err);
	if (code != 0)
		return code;
	commit->snapshot->manifest_list =
		store_uri(commit->base->store, commit->arena, weir_str_from(commit->names[commit->file_count - 1]));
	write_summary(commit);
	return ice_manifest_list_write(store_file_sink(file), commit->snapshot, base->format_version, commit->manifests,
		commit->manifest_count, err);
}

static int build_edit(struct ice_commit *commit, struct ice_table **ret_table, struct weir_error *err)
{
	int code = write_snapshot(commit, err);
	if (code != 0)
		return code;
	struct ice_metadata next = *commit->base->metadata;
	bool *is_kept = choose_kept(commit);
	code = ice_commit_expire(commit, is_kept, err);
	if (code != 0)
		return code;
	next.last_sequence_number = commit->snapshot->sequence_number;
	next.last_updated_ms = commit->snapshot->timestamp_ms;
	next.next_row_id = commit->next_row_id;
	set_snapshots(commit, is_kept, &next);
	code = set_metadata_log(commit, commit->edit->erase, &next, err);
	return code != 0 ? code : write_metadata(commit, commit->edit->prefix, &next, ret_table, err);
}

/* ---- evolution ---- */

static bool same_type(const struct weir_field *a, const struct weir_field *b)
{
	char first[128], second[128];
	if (a->type != b->type || a->id != b->id || a->required != b->required || !weir_str_equal(a->name, b->name) ||
		a->child_count != b->child_count)
		return false;
	for (uint32_t i = 0; i < a->child_count; i++)
		if (!same_type(&a->children[i], &b->children[i]))
			return false;
	return strcmp(weir_type_name(a, first, sizeof first), weir_type_name(b, second, sizeof second)) == 0;
}

/* *ret_changed: the definition has columns more; any other difference is refused by name. */
static int compare_schemas(
	const struct weir_schema *old, const struct weir_schema *new, bool *ret_changed, struct weir_error *err)
{
	*ret_changed = new->field_count > old->field_count;
	for (uint32_t i = 0; i < old->field_count; i++)
		if (i >= new->field_count || !same_type(&old->fields[i], &new->fields[i]))
			return weir_fail(err, WEIR_E_UNSUPPORTED,
				"column '%.*s' differs from the table's; only optional columns at the end can be added",
				WEIR_STR_ARG(old->fields[i].name));
	for (uint32_t i = old->field_count; i < new->field_count; i++)
		if (new->fields[i].required)
			return weir_fail(err, WEIR_E_UNSUPPORTED,
				"new column '%.*s' is required, but older files lack it; make it optional",
				WEIR_STR_ARG(new->fields[i].name));
	return 0;
}

static bool same_spec(const struct ice_spec *a, const struct ice_spec *b)
{
	if (a->field_count != b->field_count)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++)
		if (a->fields[i].source_id != b->fields[i].source_id ||
			a->fields[i].field_id != b->fields[i].field_id ||
			a->fields[i].transform.kind != b->fields[i].transform.kind ||
			a->fields[i].transform.parameter != b->fields[i].transform.parameter ||
			!weir_str_equal(a->fields[i].name, b->fields[i].name))
			return false;
	return true;
}

static int evolve_specs(
	struct weir_arena *arena, const struct ice_metadata *wanted, struct ice_metadata *next, struct weir_error *err)
{
	struct ice_spec *specs = weir_arena_calloc(arena, next->spec_count + wanted->spec_count, sizeof *specs);
	memcpy(specs, next->specs, next->spec_count * sizeof *specs);
	for (uint32_t i = 0; i < wanted->spec_count; i++) {
		const struct ice_spec *old = ice_metadata_spec(next, wanted->specs[i].id);
		if (old == NULL)
			specs[next->spec_count++] = wanted->specs[i];
		else if (!same_spec(old, &wanted->specs[i]))
			return weir_fail(err, WEIR_E_UNSUPPORTED,
				"partition spec %d differs from the table's; a changed spec needs a new id", old->id);
		next->specs = specs;
	}
	next->default_spec_id = wanted->default_spec_id;
	if (wanted->last_partition_id > next->last_partition_id)
		next->last_partition_id = wanted->last_partition_id;
	return 0;
}

static int build_evolution(struct ice_commit *commit, const struct ice_definition *definition,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_metadata next = *commit->base->metadata, *wanted;
	bool changed;
	int code = ice_definition_metadata(
		commit->arena, commit->base->store, definition, commit->edit->now_ms, &wanted, err);
	if (code == 0)
		code = compare_schemas(ice_metadata_current_schema(&next), &wanted->schemas[0], &changed, err);
	if (code == 0)
		code = evolve_specs(commit->arena, wanted, &next, err);
	if (code != 0)
		return code;
	if (changed) {
		struct weir_schema *schemas = weir_arena_calloc(commit->arena, next.schema_count + 1, sizeof *schemas);
		int32_t largest = 0;
		memcpy(schemas, next.schemas, next.schema_count * sizeof *schemas);
		for (uint32_t i = 0; i < next.schema_count; i++)
			largest = schemas[i].id > largest ? schemas[i].id : largest;
		schemas[next.schema_count] = wanted->schemas[0];
		schemas[next.schema_count++].id = largest + 1;
		next.schemas = schemas;
		next.current_schema_id = largest + 1;
	}
	if (wanted->last_column_id > next.last_column_id)
		next.last_column_id = wanted->last_column_id;
	next.properties = wanted->properties;
	next.property_count = wanted->property_count;
	if (commit->edit->now_ms > next.last_updated_ms)
		next.last_updated_ms = commit->edit->now_ms;
	code = set_metadata_log(commit, false, &next, err);
	return code != 0 ? code : write_metadata(commit, commit->edit->prefix, &next, ret_table, err);
}

static int build_revision(struct ice_commit *commit, const struct ice_prepared *prepared, struct ice_table **ret_table,
	struct weir_error *err)
{
	struct ice_metadata next = *commit->base->metadata;
	int code = prepared->revise(prepared->revise_context, commit->arena, commit->base->metadata, &next, err);
	if (code != 0)
		return code;
	if (commit->edit->now_ms > next.last_updated_ms)
		next.last_updated_ms = commit->edit->now_ms;
	code = ice_commit_doom_dropped(commit, &next, err);
	if (code != 0)
		return code;
	code = set_metadata_log(commit, false, &next, err);
	return code != 0 ? code : write_metadata(commit, commit->edit->prefix, &next, ret_table, err);
}

/* ---- attempts ---- */

static void forget_attempt(struct ice_prepared *prepared)
{
	weir_arena_free(prepared->attempt);
	ice_table_unref(prepared->next);
	free(prepared->names);
	free(prepared->doomed);
	prepared->attempt = NULL;
	prepared->next = NULL;
	prepared->names = NULL;
	prepared->doomed = NULL;
	prepared->name_count = prepared->doomed_count = 0;
}

static void delete_written(struct store *store, const char *const *names, size_t count)
{
	struct weir_error ignored = WEIR_ERROR_INIT; /* what stays is an orphan under a pending prefix */
	if (count > 0)
		store_delete_many(store, names, count, &ignored);
}

static int attempt(struct ice_prepared *prepared, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct ice_snapshot snapshot = {0};
	struct ice_commit commit = {.arena = arena,
		.base = prepared->base,
		.edit = &prepared->edit,
		.read_sequence = prepared->read_sequence,
		.snapshot = &snapshot,
		.manifest_number = &prepared->manifest_number};
	struct store *store = prepared->base->store;
	struct ice_table *next = NULL;
	struct weir_str location;
	int code = prepared->revise != NULL ? 0 : check_writable(prepared->base, err);
	if (code == 0)
		code = store_name_of(store, arena, prepared->base->metadata->location, &location, err);
	if (code == 0) {
		commit.location = location.data;
		if (prepared->revise != NULL)
			code = build_revision(&commit, prepared, &next, err);
		else
			code = prepared->is_evolution ? build_evolution(&commit, &prepared->definition, &next, err)
						      : build_edit(&commit, &next, err);
	}
	if (code == 0) {
		code = store_barrier(store, commit.files, commit.file_count, err);
		if (code != 0)
			delete_written(store, commit.names, commit.file_count);
	} else {
		for (size_t i = 0; i < commit.file_count; i++)
			store_abandon(store, commit.files[i]);
	}
	free(commit.files);
	free(commit.manifests);
	if (code != 0) {
		ice_table_unref(next);
		free(commit.names);
		free(commit.doomed);
		weir_arena_free(arena);
		return code;
	}
	prepared->attempt = arena;
	prepared->next = next;
	bool has_snapshot = !prepared->is_evolution && prepared->revise == NULL;
	prepared->snapshot_id = has_snapshot ? snapshot.id : next->metadata->current_snapshot_id;
	prepared->names = commit.names;
	prepared->name_count = commit.file_count;
	prepared->doomed = commit.doomed;
	prepared->doomed_count = commit.doomed_count;
	return 0;
}

static struct weir_str *copy_texts(struct weir_arena *arena, const struct weir_str *texts, uint32_t count)
{
	struct weir_str *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (uint32_t i = 0; i < count; i++)
		copy[i] = weir_arena_str(arena, texts[i]);
	return copy;
}

static struct ice_prepared *prepared_new(struct ice_table *base)
{
	struct ice_prepared *prepared = weir_zalloc(sizeof *prepared);
	prepared->arena = weir_arena_new(0);
	prepared->base = ice_table_ref(base);
	prepared->read_sequence = base->metadata->last_sequence_number;
	return prepared;
}

static int first_attempt(struct ice_prepared *prepared, struct ice_prepared **ret_prepared, struct weir_error *err)
{
	int code = attempt(prepared, err);
	if (code != 0)
		ice_prepared_free(prepared);
	else
		*ret_prepared = prepared;
	return code;
}

int ice_prepare(
	struct ice_table *base, const struct ice_edit *edit, struct ice_prepared **ret_prepared, struct weir_error *err)
{
	struct ice_prepared *prepared = prepared_new(base);
	struct weir_arena *arena = prepared->arena;
	prepared->edit = *edit;
	if (edit->data_sequence_number > 0) /* what was read may be older than the base: a rewrite in several commits */
		prepared->read_sequence = edit->data_sequence_number;
	struct ice_data_file *added = weir_arena_calloc(arena, edit->added_count, sizeof *added);
	for (uint32_t i = 0; i < edit->added_count; i++)
		added[i] = *ice_data_file_copy(arena, &edit->added[i]);
	prepared->edit.added = added;
	prepared->edit.removed = copy_texts(arena, edit->removed, edit->removed_count);
	prepared->edit.referenced = copy_texts(arena, edit->referenced, edit->referenced_count);
	prepared->edit.summary = copy_pairs(arena, edit->summary, edit->summary_count);
	struct ice_data_file *removed_deletes =
		weir_arena_calloc(arena, edit->removed_delete_count, sizeof *removed_deletes);
	for (uint32_t i = 0; i < edit->removed_delete_count; i++)
		removed_deletes[i] = *ice_data_file_copy(arena, &edit->removed_deletes[i]);
	prepared->edit.removed_deletes = removed_deletes;
	prepared->edit.branch = weir_arena_str(arena, edit->branch);
	prepared->edit.prefix = weir_arena_str(arena, edit->prefix);
	return first_attempt(prepared, ret_prepared, err);
}

int ice_revise(struct ice_table *base, ice_revise_fn *change, void *context, struct weir_str prefix, int64_t now_ms,
	struct ice_prepared **ret_prepared, struct weir_error *err)
{
	struct ice_prepared *prepared = prepared_new(base);
	prepared->revise = change;
	prepared->revise_context = context;
	prepared->edit.prefix = weir_arena_str(prepared->arena, prefix);
	prepared->edit.now_ms = now_ms;
	return first_attempt(prepared, ret_prepared, err);
}

static struct ice_spec *copy_specs(struct weir_arena *arena, const struct ice_spec *specs, uint32_t count)
{
	struct ice_spec *copy = weir_arena_copy(arena, specs, count * sizeof *specs);
	for (uint32_t i = 0; i < count; i++) {
		copy[i].fields =
			weir_arena_copy(arena, specs[i].fields, specs[i].field_count * sizeof *specs[i].fields);
		for (uint32_t j = 0; j < specs[i].field_count; j++)
			copy[i].fields[j].name = weir_arena_str(arena, specs[i].fields[j].name);
	}
	return copy;
}

int ice_evolve(struct ice_table *base, const struct ice_definition *definition, struct weir_str prefix, int64_t now_ms,
	struct ice_prepared **ret_prepared, struct weir_error *err)
{
	struct ice_prepared *prepared = prepared_new(base);
	struct weir_arena *arena = prepared->arena;
	prepared->is_evolution = true;
	prepared->edit.prefix = weir_arena_str(arena, prefix);
	prepared->edit.now_ms = now_ms;
	prepared->definition = (struct ice_definition){.name = base->name,
		.schema = weir_schema_copy(arena, definition->schema),
		.specs = copy_specs(arena, definition->specs, definition->spec_count),
		.spec_count = definition->spec_count,
		.default_spec_id = definition->default_spec_id,
		.properties = copy_pairs(arena, definition->properties, definition->property_count),
		.property_count = definition->property_count,
		.location = weir_arena_str(arena, definition->location)};
	return first_attempt(prepared, ret_prepared, err);
}

int ice_rebase(struct ice_prepared *prepared, struct ice_table *newer, struct weir_error *err)
{
	delete_written(prepared->base->store, prepared->names, prepared->name_count);
	forget_attempt(prepared);
	ice_table_ref(newer);
	ice_table_unref(prepared->base);
	prepared->base = newer;
	return attempt(prepared, err);
}

void ice_stage(const struct ice_prepared *prepared, struct control_change *change)
{
	static const char doom_sql[] =
		"INSERT INTO weir_doomed_files(name, doomed_us) VALUES(?1, ?2) ON CONFLICT(name) DO NOTHING";
	const struct ice_table *base = prepared->base;
	WEIR_ASSERT(prepared->next != NULL);
	control_swap_table(change, base->name.ns, base->name.table, base->metadata_uri, prepared->next->metadata_uri);
	for (uint32_t i = 0; i < prepared->doomed_count; i++) {
		const struct control_value values[] = {CONTROL_T(weir_str_from(prepared->doomed[i])),
			CONTROL_I(prepared->edit.now_ms * WEIR_US_PER_MS)};
		control_change_sql(change, "doomed file", CONTROL_ANY, doom_sql, values, 2);
	}
}

struct ice_table *ice_prepared_table(const struct ice_prepared *prepared)
{
	return ice_table_ref(prepared->next);
}

int64_t ice_prepared_snapshot(const struct ice_prepared *prepared)
{
	return prepared->snapshot_id;
}

uint32_t ice_prepared_doomed(const struct ice_prepared *prepared, const char *const **ret_names)
{
	*ret_names = prepared->doomed;
	return prepared->doomed_count;
}

void ice_prepared_free(struct ice_prepared *take_prepared)
{
	if (take_prepared == NULL)
		return;
	forget_attempt(take_prepared);
	ice_table_unref(take_prepared->base);
	weir_arena_free(take_prepared->arena);
	free(take_prepared);
}

void ice_prepared_abandon(struct ice_prepared *take_prepared)
{
	if (take_prepared == NULL)
		return;
	delete_written(take_prepared->base->store, take_prepared->names, take_prepared->name_count);
	ice_prepared_free(take_prepared);
}
