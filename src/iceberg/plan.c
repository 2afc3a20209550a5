/*
 * Planning a scan: which live data files of a snapshot may hold rows that match a filter.
 *
 * A filter speaks of columns. For each partition spec its terms are projected onto partition fields: `timestamp >= t`
 * is also `timestamp_day >= day(t)`, and `purpose = 'x'` is itself under an identity. Manifests are skipped by their
 * partition summaries, files by their partition and then by the bounds of their columns. All of it errs towards keeping
 * a file. Files are shallow copies; what they point to is pinned in the cache.
 */
#include <stdlib.h>

#include "iceberg/internal.h"
#include "iceberg/revise.h"

#define ALL_FILES (-1) /* in place of the snapshot that added them */

struct plan {
	struct ice_file_list list; /* first: the list is the plan seen from outside */
	struct ice_delete_index *deletes;
	struct ice_cached **pins;
	const struct ice_data_file **files; /* of the list, until all are found */
	uint32_t pin_count, pin_capacity, capacity;
};

/* The filter's terms on one spec's partition fields. */
struct projection {
	const struct ice_spec *spec;
	struct weir_field *types; /* of partition values */
	struct expr_term *terms;  /* field_id: index of the partition field */
	uint32_t term_count;
};

/* ---- projecting terms ---- */

static bool keeps_order(struct ice_transform transform)
{
	switch (transform.kind) {
	case ICE_IDENTITY:
	case ICE_TRUNCATE:
	case ICE_YEAR:
	case ICE_MONTH:
	case ICE_DAY:
	case ICE_HOUR:
		return true;
	default:
		return false;
	}
}

/* The term for partition values that may belong to rows for which the term holds; false where nothing can be said. */
static bool project_term(struct weir_arena *arena, const struct expr_term *term, struct ice_transform transform,
	enum weir_type source, struct expr_term *ret_term)
{
	bool is_null_test = term->op == EXPR_IS_NULL || term->op == EXPR_NOT_NULL;
	*ret_term = *term;
	if (transform.kind == ICE_VOID || transform.kind == ICE_UNKNOWN_TRANSFORM)
		return false;
	if (is_null_test || transform.kind == ICE_IDENTITY)
		return true;
	switch (term->op) {
	case EXPR_LT: /* x < v implies t(x) <= t(v) */
		ret_term->op = EXPR_LE;
		break;
	case EXPR_GT:
		ret_term->op = EXPR_GE;
		break;
	case EXPR_LE:
	case EXPR_GE:
	case EXPR_EQ:
	case EXPR_IN:
		break;
	default: /* t(x) = t(v) does not say that x = v */
		return false;
	}
	if (!keeps_order(transform) && term->op != EXPR_EQ && term->op != EXPR_IN)
		return false;
	struct expr_value *values = weir_arena_calloc(arena, term->value_count, sizeof *values);
	for (uint32_t i = 0; i < term->value_count; i++) {
		/* Literals of another kind than the column's are compared, not transformed. */
		bool fits = (term->values[i].kind == EXPR_INTEGER && source != WEIR_STRING && source != WEIR_FLOAT &&
				    source != WEIR_DOUBLE && source != WEIR_DECIMAL) ||
			(term->values[i].kind == EXPR_TEXT && weir_type_is_text(source)) ||
			(term->values[i].kind == EXPR_UUID && source == WEIR_UUID);
		struct ice_partition_value value = {.is_null = true};
		if (fits)
			value = ice_transform_value(transform, source, &term->values[i]);
		if (value.is_null)
			return false;
		values[i] = value.value;
	}
	if (ret_term->op == EXPR_IN)
		expr_values_sort(values, term->value_count);
	ret_term->values = values;
	return true;
}

static void project(struct weir_arena *arena, const struct ice_metadata *metadata, const struct ice_spec *spec,
	const struct expr_filter *filter, struct projection *ret)
{
	uint32_t term_count = filter != NULL ? filter->term_count : 0;
	*ret = (struct projection){.spec = spec};
	ret->types = weir_arena_calloc(arena, spec->field_count, sizeof *ret->types);
	ret->terms = weir_arena_calloc(arena, (size_t)spec->field_count * term_count, sizeof *ret->terms);
	for (uint32_t i = 0; i < spec->field_count; i++) {
		const struct weir_field *source = ice_metadata_field(metadata, spec->fields[i].source_id);
		if (source == NULL || !ice_partition_type(metadata, &spec->fields[i], &ret->types[i]))
			continue;
		for (uint32_t j = 0; j < term_count; j++) {
			struct expr_term *term = &ret->terms[ret->term_count];
			if (filter->terms[j].field_id == spec->fields[i].source_id &&
				project_term(arena, &filter->terms[j], spec->fields[i].transform, source->type, term)) {
				term->field_id = (int32_t)i;
				ret->term_count++;
			}
		}
	}
}

/* ---- skipping ---- */

static bool manifest_may_match(const struct ice_manifest *manifest, const struct projection *projection)
{
	for (uint32_t i = 0; i < projection->term_count; i++) {
		const struct expr_term *term = &projection->terms[i];
		uint32_t index = (uint32_t)term->field_id;
		if (index >= manifest->partition_count)
			continue;
		const struct ice_field_summary *summary = &manifest->partitions[index];
		if (!summary->has_bounds && !summary->contains_null)
			continue; /* NaN, or nothing is known */
		bool known = !summary->has_contains_nan || !summary->contains_nan;
		struct expr_bounds bounds = {.row_count = 2,
			.has_null_count = known,
			.null_count = summary->contains_null ? (summary->has_bounds ? 1 : 2) : 0};
		if (summary->has_bounds) {
			const struct weir_field *type = &projection->types[index];
			bounds.has_min = ice_value_decode(summary->lower, type, &bounds.min);
			bounds.has_max = ice_value_decode(summary->upper, type, &bounds.max);
		}
		if (!expr_term_may_match(term, &bounds))
			return false;
	}
	return true;
}

static bool file_may_match(const struct ice_data_file *file, const struct projection *projection,
	const struct weir_schema *schema, const struct expr_filter *filter)
{
	for (uint32_t i = 0; i < projection->term_count; i++) {
		const struct expr_term *term = &projection->terms[i];
		const struct ice_partition_value *value = &file->partition[term->field_id];
		struct expr_bounds bounds = {.row_count = 1, .has_null_count = true, .null_count = value->is_null};
		if (!value->is_null) {
			bounds.has_min = bounds.has_max = true;
			bounds.min = bounds.max = value->value;
		}
		if (!expr_term_may_match(term, &bounds))
			return false;
	}
	for (uint32_t i = 0; filter != NULL && i < filter->term_count; i++) {
		uint32_t column = weir_schema_find_id(schema, filter->terms[i].field_id);
		if (column == WEIR_NO_FIELD || weir_type_is_nested(schema->fields[column].type))
			continue;
		struct expr_bounds bounds = ice_file_bounds(file, &schema->fields[column]);
		if (!expr_term_may_match(&filter->terms[i], &bounds))
			return false;
	}
	return true;
}

struct ice_data_file *ice_entry_inherit(struct weir_arena *arena, const struct ice_data_file *entry,
	const struct ice_manifest *manifest, int64_t *next_row)
{
	struct ice_data_file *file = weir_arena_copy(arena, entry, sizeof *file);
	if (file->snapshot_id < 0)
		file->snapshot_id = manifest->added_snapshot_id;
	if (file->sequence_number < 0)
		file->sequence_number = manifest->sequence_number;
	if (file->file_sequence_number < 0)
		file->file_sequence_number = manifest->sequence_number;
	if (file->first_row_id < 0 && *next_row >= 0) {
		file->first_row_id = *next_row;
		*next_row += file->record_count;
	}
	return file;
}

static int open_manifest(struct plan *plan, struct ice_table *table, const struct ice_manifest *manifest,
	const struct ice_entries **ret_entries, struct weir_error *err)
{
	struct ice_cached *cached;
	int code = ice_cached_manifest(table, manifest, &cached, err);
	if (code != 0)
		return code;
	WEIR_GROW(plan->pins, plan->pin_count, plan->pin_capacity);
	plan->pins[plan->pin_count++] = cached;
	plan->list.manifests_read++;
	*ret_entries = ice_cached_entries(cached);
	return 0;
}

static int add_deletes(
	struct plan *plan, struct ice_table *table, const struct ice_manifest *manifest, struct weir_error *err)
{
	const struct ice_entries *entries;
	int64_t no_rows = -1;
	int code = open_manifest(plan, table, manifest, &entries, err);
	for (uint32_t i = 0; code == 0 && i < entries->count; i++)
		if (entries->files[i].status != ICE_DELETED) {
			plan->list.delete_files++;
			code = ice_delete_index_add(plan->deletes, table->metadata,
				ice_entry_inherit(plan->list.arena, &entries->files[i], manifest, &no_rows), err);
		}
	return code;
}

static bool is_added_by(const struct ice_data_file *entry, const struct ice_manifest *manifest, int64_t snapshot_id)
{
	int64_t by = entry->snapshot_id >= 0 ? entry->snapshot_id : manifest->added_snapshot_id;
	return snapshot_id == ALL_FILES || (entry->status == ICE_ADDED && by == snapshot_id);
}

static int add_files(struct plan *plan, struct ice_table *table, const struct ice_manifest *manifest,
	const struct projection *projection, const struct expr_filter *filter, int64_t added_by, struct weir_error *err)
{
	struct ice_file_list *list = &plan->list;
	const struct ice_entries *entries;
	int64_t next_row = manifest->first_row_id;
	int code = open_manifest(plan, table, manifest, &entries, err);
	if (code != 0)
		return code;
	for (uint32_t i = 0; i < entries->count; i++) {
		const struct ice_data_file *entry = &entries->files[i];
		if (entry->status == ICE_DELETED)
			continue;
		if (!is_added_by(entry, manifest, added_by) ||
			!file_may_match(entry, projection, ice_table_schema(table), filter)) {
			list->files_skipped++;
			if (entry->first_row_id < 0 && next_row >= 0)
				next_row += entry->record_count;
			continue;
		}
		struct ice_data_file *file = ice_entry_inherit(list->arena, entry, manifest, &next_row);
		ice_delete_index_attach(plan->deletes, table->metadata, file);
		list->row_count += (uint64_t)file->record_count;
		WEIR_GROW(plan->files, list->count, plan->capacity);
		plan->files[list->count++] = file;
	}
	return 0;
}

/* added_by: only files that this snapshot added, without deletes; or ALL_FILES. */
static int plan_manifests(struct plan *plan, struct ice_table *table, const struct ice_manifest *manifests,
	uint32_t count, const struct expr_filter *filter, int64_t added_by, struct weir_error *err)
{
	const struct ice_metadata *metadata = table->metadata;
	struct projection *projections = weir_arena_calloc(plan->list.arena, metadata->spec_count, sizeof *projections);
	int code = 0;
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		project(plan->list.arena, metadata, &metadata->specs[i], filter, &projections[i]);
	if (plan->deletes == NULL)
		plan->deletes = ice_delete_index_new(plan->list.arena);
	for (uint32_t i = 0; i < count && code == 0 && added_by == ALL_FILES; i++)
		if (manifests[i].content != 0 && (manifests[i].added_files != 0 || manifests[i].existing_files != 0))
			code = add_deletes(plan, table, &manifests[i], err);
	for (uint32_t i = 0; i < count && code == 0; i++) {
		const struct ice_manifest *manifest = &manifests[i];
		uint32_t spec = 0;
		if (manifest->content != 0 || (manifest->added_files == 0 && manifest->existing_files == 0))
			continue;
		if (added_by != ALL_FILES && manifest->added_snapshot_id != added_by)
			continue;
		while (spec < metadata->spec_count && metadata->specs[spec].id != manifest->spec_id)
			spec++;
		if (spec == metadata->spec_count)
			code = weir_fail_at(err, WEIR_E_CORRUPT, manifest->path, WEIR_ERROR_NO_OFFSET,
				"the manifest has partition spec %d, which the table's metadata lacks",
				manifest->spec_id);
		else if (!manifest_may_match(manifest, &projections[spec]))
			plan->list.manifests_skipped++;
		else
			code = add_files(plan, table, manifest, &projections[spec], filter, added_by, err);
	}
	return code;
}

static struct plan *plan_new(void)
{
	struct plan *plan = weir_zalloc(sizeof *plan);
	plan->list.arena = weir_arena_new(0);
	return plan;
}

/* Hands the list out, or frees it. */
static int plan_end(struct plan *plan, int code, struct ice_file_list **ret_list)
{
	plan->list.files = weir_arena_copy(plan->list.arena, plan->files, plan->list.count * sizeof *plan->files);
	free(plan->files);
	plan->files = NULL;
	if (code != 0)
		ice_file_list_free(&plan->list);
	else
		*ret_list = &plan->list;
	return code;
}

int ice_plan(struct ice_table *table, int64_t snapshot_id, const struct expr_filter *filter,
	struct ice_file_list **ret_list, struct weir_error *err)
{
	const struct ice_snapshot *snapshot = snapshot_id == -1 ? ice_metadata_current(table->metadata)
								: ice_metadata_snapshot(table->metadata, snapshot_id);
	struct ice_cached *cached;
	const struct ice_manifest *manifests;
	uint32_t count;
	if (snapshot == NULL && snapshot_id != -1)
		return weir_fail_at(err, WEIR_E_NOT_FOUND, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table has no snapshot %lld; it may have expired", (long long)snapshot_id);
	int code = ice_table_manifests(table, snapshot, &cached, &manifests, &count, err);
	if (code != 0)
		return code;
	struct plan *plan = plan_new();
	code = plan_manifests(plan, table, manifests, count, filter, ALL_FILES, err);
	ice_cached_release(cached);
	return plan_end(plan, code, ret_list);
}

int ice_plan_appends(struct ice_table *table, int64_t after, int64_t until, const struct expr_filter *filter,
	struct ice_file_list **ret_list, struct weir_error *err)
{
	const struct ice_metadata *metadata = table->metadata;
	const struct ice_snapshot *at = ice_metadata_snapshot(metadata, until);
	if (at == NULL || (after != -1 && !ice_is_ancestor(metadata, after, until)))
		return weir_fail_at(err, WEIR_E_NOT_FOUND, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"snapshot %lld is not there, or is no ancestor of the last one; it may have expired",
			(long long)(at == NULL ? until : after));
	struct plan *plan = plan_new();
	int code = 0;
	for (uint32_t steps = 0; at != NULL && at->id != after && code == 0 && steps <= metadata->snapshot_count;
		steps++, at = ice_metadata_snapshot(metadata, at->parent_id)) {
		struct ice_cached *cached;
		const struct ice_manifest *manifests;
		uint32_t count;
		if (!weir_str_is(ice_summary(at, "operation"), "append"))
			continue;
		code = ice_table_manifests(table, at, &cached, &manifests, &count, err);
		if (code == 0)
			code = plan_manifests(plan, table, manifests, count, filter, at->id, err);
		ice_cached_release(cached);
	}
	return plan_end(plan, code, ret_list);
}

struct ice_matcher {
	const struct ice_metadata *metadata;
	const struct weir_schema *schema;
	const struct expr_filter *filter;
	struct projection *projections; /* of each spec */
};

const struct ice_matcher *ice_matcher_new(
	struct weir_arena *arena, struct ice_table *table, const struct expr_filter *filter)
{
	struct ice_matcher *matcher = weir_arena_zalloc(arena, sizeof *matcher);
	const struct ice_metadata *metadata = table->metadata;
	*matcher = (struct ice_matcher){metadata, ice_table_schema(table), filter, NULL};
	matcher->projections = weir_arena_calloc(arena, metadata->spec_count, sizeof *matcher->projections);
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		project(arena, metadata, &metadata->specs[i], filter, &matcher->projections[i]);
	return matcher;
}

bool ice_matcher_file(const struct ice_matcher *matcher, const struct ice_data_file *file)
{
	for (uint32_t i = 0; i < matcher->metadata->spec_count; i++)
		if (matcher->metadata->specs[i].id == file->spec_id)
			return file_may_match(file, &matcher->projections[i], matcher->schema, matcher->filter);
	return true;
}

void ice_file_list_free(struct ice_file_list *list)
{
	struct plan *plan = (struct plan *)list;
	if (plan == NULL)
		return;
	for (uint32_t i = 0; i < plan->pin_count; i++)
		ice_cached_release(plan->pins[i]);
	free(plan->pins);
	weir_arena_free(plan->list.arena);
	free(plan);
}

/* ---- everything that a version needs ---- */

struct reach {
	struct ice_table *table;
	ice_name_fn *name;
	void *context;
	struct weir_arena *arena;
	struct ice_name_set seen;
};

static int reach_one(struct reach *reach, struct weir_str uri, const struct ice_data_file *file, bool *ret_is_new,
	struct weir_error *err)
{
	struct weir_str name;
	int code = ice_file_name(reach->table, reach->arena, uri, &name, err);
	if (code != 0)
		return code;
	*ret_is_new = ice_name_set_add(&reach->seen, name);
	return *ret_is_new ? reach->name(reach->context, name, file, err) : 0;
}

static int reach_snapshot(struct reach *reach, const struct ice_snapshot *snapshot, struct weir_error *err)
{
	struct ice_cached *list, *cached;
	const struct ice_manifest *manifests;
	uint32_t count;
	bool is_new;
	int code = snapshot->manifest_list.size > 0 ? reach_one(reach, snapshot->manifest_list, NULL, &is_new, err) : 0;
	if (code == 0)
		code = ice_table_manifests(reach->table, snapshot, &list, &manifests, &count, err);
	if (code != 0)
		return code;
	for (uint32_t i = 0; i < count && code == 0; i++) {
		code = reach_one(reach, manifests[i].path, NULL, &is_new, err);
		if (code != 0 || !is_new)
			continue;
		code = ice_cached_manifest(reach->table, &manifests[i], &cached, err);
		if (code != 0)
			break;
		const struct ice_entries *entries = ice_cached_entries(cached);
		for (uint32_t j = 0; j < entries->count && code == 0; j++)
			if (entries->files[j].status != ICE_DELETED)
				code = reach_one(reach, entries->files[j].path, &entries->files[j], &is_new, err);
		ice_cached_release(cached);
	}
	ice_cached_release(list);
	return code;
}

int ice_table_reachable(struct ice_table *table, ice_name_fn *name, void *context, struct weir_error *err)
{
	struct reach reach = {.table = table, .name = name, .context = context, .arena = weir_arena_new(0)};
	const struct ice_metadata *metadata = table->metadata;
	bool is_new;
	int code = reach_one(&reach, table->metadata_uri, NULL, &is_new, err);
	for (uint32_t i = 0; i < metadata->metadata_log_count && code == 0; i++)
		code = reach_one(&reach, metadata->metadata_log[i].metadata_file, NULL, &is_new, err);
	for (uint32_t i = 0; i < metadata->snapshot_count && code == 0; i++)
		code = reach_snapshot(&reach, &metadata->snapshots[i], err);
	ice_name_set_done(&reach.seen);
	weir_arena_free(reach.arena);
	return code;
}
