/* Branches, tags, rollback and expiry as changes of metadata; finding snapshots by name and time. */
#include <stdlib.h>

#include "iceberg/internal.h"
#include "iceberg/revise.h"

static struct ice_ref *find_ref(const struct ice_metadata *metadata, struct weir_str name)
{
	for (uint32_t i = 0; i < metadata->ref_count; i++)
		if (weir_str_equal(metadata->refs[i].name, name))
			return &metadata->refs[i];
	return NULL;
}

const struct ice_snapshot *ice_ref_snapshot(const struct ice_metadata *metadata, struct weir_str name)
{
	const struct ice_ref *ref = find_ref(metadata, name);
	return ref != NULL ? ice_metadata_snapshot(metadata, ref->snapshot_id) : NULL;
}

const struct ice_snapshot *ice_snapshot_at(const struct ice_metadata *metadata, int64_t time_ms)
{
	for (uint32_t i = metadata->snapshot_log_count; i > 0; i--)
		if (metadata->snapshot_log[i - 1].timestamp_ms <= time_ms)
			return ice_metadata_snapshot(metadata, metadata->snapshot_log[i - 1].snapshot_id);
	return NULL;
}

bool ice_is_ancestor(const struct ice_metadata *metadata, int64_t older, int64_t snapshot_id)
{
	const struct ice_snapshot *at = ice_metadata_snapshot(metadata, snapshot_id);
	/* A damaged line could be a ring: no more steps than snapshots. */
	for (uint32_t steps = 0; at != NULL && steps <= metadata->snapshot_count; steps++) {
		if (at->id == older)
			return true;
		at = ice_metadata_snapshot(metadata, at->parent_id);
	}
	return false;
}

static void copy_refs(struct weir_arena *arena, struct ice_metadata *next)
{
	struct ice_ref *refs = weir_arena_calloc(arena, next->ref_count + 1, sizeof *refs);
	memcpy(refs, next->refs, next->ref_count * sizeof *refs);
	next->refs = refs;
}

/* Main's snapshot is said three times: its ref, current-snapshot-id, and the log. */
static void move_main(struct weir_arena *arena, struct ice_metadata *next, int64_t snapshot_id, int64_t now_ms)
{
	struct ice_log_entry *log = weir_arena_calloc(arena, next->snapshot_log_count + 1, sizeof *log);
	memcpy(log, next->snapshot_log, next->snapshot_log_count * sizeof *log);
	int64_t before = next->snapshot_log_count > 0 ? log[next->snapshot_log_count - 1].timestamp_ms : 0;
	log[next->snapshot_log_count++] =
		(struct ice_log_entry){.timestamp_ms = now_ms > before ? now_ms : before, .snapshot_id = snapshot_id};
	next->snapshot_log = log;
	next->current_snapshot_id = snapshot_id;
}

static int no_ref(struct weir_str name, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_NOT_FOUND, "the table has no branch or tag '%.*s'", WEIR_STR_ARG(name));
}

static int create_ref(const struct ice_ref_edit *edit, struct ice_metadata *next, struct weir_error *err)
{
	int64_t id = edit->snapshot_id == -1 ? next->current_snapshot_id : edit->snapshot_id;
	if (edit->name.size == 0 || edit->name.size > 200)
		return weir_fail(err, WEIR_E_INPUT, "a branch or tag needs a name of at most 200 bytes");
	if (find_ref(next, edit->name) != NULL)
		return weir_fail(err, WEIR_E_EXISTS, "the table has a branch or tag '%.*s' already; drop it first",
			WEIR_STR_ARG(edit->name));
	if (ice_metadata_snapshot(next, id) == NULL)
		return weir_fail(err, WEIR_E_NOT_FOUND,
			id == -1 ? "the table is empty: there is no snapshot to name"
				 : "the table has no snapshot %lld; it may have expired",
			(long long)id);
	next->refs[next->ref_count++] = (struct ice_ref){.name = edit->name,
		.snapshot_id = id,
		.is_tag = edit->is_tag,
		.max_ref_age_ms = edit->max_ref_age_ms,
		.max_snapshot_age_ms = edit->is_tag ? -1 : edit->max_snapshot_age_ms,
		.min_snapshots_to_keep = edit->is_tag ? -1 : edit->min_snapshots_to_keep};
	return 0;
}

static int drop_ref(const struct ice_ref_edit *edit, struct ice_metadata *next, struct weir_error *err)
{
	struct ice_ref *ref = find_ref(next, edit->name);
	if (weir_str_is(edit->name, "main"))
		return weir_fail(err, WEIR_E_INPUT, "the branch main cannot be dropped");
	if (ref == NULL)
		return no_ref(edit->name, err);
	if (ref->is_tag != edit->is_tag)
		return weir_fail(
			err, WEIR_E_INPUT, "'%.*s' is a %s", WEIR_STR_ARG(edit->name), ref->is_tag ? "tag" : "branch");
	memmove(ref, ref + 1, (size_t)(next->refs + next->ref_count - ref - 1) * sizeof *ref);
	next->ref_count--;
	return 0;
}

static int fast_forward(
	struct weir_arena *arena, const struct ice_ref_edit *edit, struct ice_metadata *next, struct weir_error *err)
{
	struct ice_ref *ref = find_ref(next, edit->name);
	const struct ice_snapshot *to = ice_ref_snapshot(next, edit->to);
	if (ref == NULL || to == NULL)
		return no_ref(ref == NULL ? edit->name : edit->to, err);
	if (ref->is_tag)
		return weir_fail(err, WEIR_E_INPUT, "'%.*s' is a tag; tags do not move", WEIR_STR_ARG(edit->name));
	if (!ice_is_ancestor(next, ref->snapshot_id, to->id))
		return weir_fail(err, WEIR_E_CONFLICT,
			"branch '%.*s' has commits that '%.*s' lacks; it cannot be fast-forwarded",
			WEIR_STR_ARG(edit->name), WEIR_STR_ARG(edit->to));
	ref->snapshot_id = to->id;
	if (weir_str_is(edit->name, "main"))
		move_main(arena, next, to->id, next->last_updated_ms);
	return 0;
}

int ice_revise_ref(void *edit, struct weir_arena *arena, const struct ice_metadata *base, struct ice_metadata *next,
	struct weir_error *err)
{
	const struct ice_ref_edit *change = edit;
	(void)base;
	copy_refs(arena, next);
	switch (change->action) {
	case ICE_REF_CREATE:
		return create_ref(change, next, err);
	case ICE_REF_DROP:
		return drop_ref(change, next, err);
	case ICE_REF_FAST_FORWARD:
		break;
	}
	return fast_forward(arena, change, next, err);
}

int ice_revise_rollback(void *rollback, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err)
{
	const struct ice_rollback *change = rollback;
	if (ice_metadata_snapshot(base, change->snapshot_id) == NULL)
		return weir_fail(err, WEIR_E_NOT_FOUND, "the table has no snapshot %lld; it may have expired",
			(long long)change->snapshot_id);
	if (!ice_is_ancestor(base, change->snapshot_id, base->current_snapshot_id))
		return weir_fail(err, WEIR_E_INPUT,
			"snapshot %lld is not an earlier state of main; fast-forward main to a branch instead",
			(long long)change->snapshot_id);
	copy_refs(arena, next);
	find_ref(next, WEIR_STR("main"))->snapshot_id = change->snapshot_id;
	move_main(arena, next, change->snapshot_id, change->now_ms);
	return 0;
}

/* ---- expiry ---- */

static uint32_t index_of(const struct ice_metadata *metadata, int64_t id)
{
	for (uint32_t i = 0; i < metadata->snapshot_count; i++)
		if (metadata->snapshots[i].id == id)
			return i;
	return metadata->snapshot_count;
}

/* The line behind a branch: its newest ones by number, and those young enough. */
static void keep_line(
	const struct ice_expiry *expiry, const struct ice_metadata *metadata, const struct ice_ref *ref, bool *is_kept)
{
	int64_t id = ref->snapshot_id, oldest = expiry->older_than_ms;
	uint32_t least = ref->min_snapshots_to_keep > 0 ? (uint32_t)ref->min_snapshots_to_keep : expiry->keep_last;
	if (ref->max_snapshot_age_ms >= 0)
		oldest = expiry->now_ms - ref->max_snapshot_age_ms;
	for (uint32_t steps = 0; steps <= metadata->snapshot_count; steps++) {
		uint32_t index = index_of(metadata, id);
		if (index == metadata->snapshot_count)
			return;
		if (steps > 0 && (ref->is_tag || (steps >= least && metadata->snapshots[index].timestamp_ms < oldest)))
			return;
		is_kept[index] = true;
		id = metadata->snapshots[index].parent_id;
	}
}

static void expire_refs(const struct ice_expiry *expiry, struct ice_metadata *next)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < next->ref_count; i++) {
		const struct ice_ref *ref = &next->refs[i];
		const struct ice_snapshot *snapshot = ice_metadata_snapshot(next, ref->snapshot_id);
		int64_t most_ms = ref->max_ref_age_ms >= 0 ? ref->max_ref_age_ms
			: expiry->max_ref_age_ms > 0       ? expiry->max_ref_age_ms
							   : INT64_MAX;
		bool is_old = snapshot != NULL && expiry->now_ms - snapshot->timestamp_ms > most_ms;
		if (!is_old || weir_str_is(ref->name, "main"))
			next->refs[kept++] = *ref;
	}
	next->ref_count = kept;
}

int ice_expiry_read(const struct ice_metadata *metadata, struct ice_expiry *expiry, struct weir_error *err)
{
	int64_t age_ms, keep, ref_age_ms;
	int code = ice_property_number(metadata, "history.expire.max-snapshot-age-ms", 0,
		expiry->now_ms - expiry->older_than_ms, &age_ms, err);
	if (code == 0)
		code = ice_property_number(
			metadata, "history.expire.min-snapshots-to-keep", 1, expiry->keep_last, &keep, err);
	if (code == 0)
		code = ice_property_number(
			metadata, "history.expire.max-ref-age-ms", 1, expiry->max_ref_age_ms, &ref_age_ms, err);
	if (code != 0)
		return code;
	expiry->older_than_ms = expiry->now_ms - age_ms;
	expiry->keep_last = keep < UINT32_MAX ? (uint32_t)keep : UINT32_MAX;
	expiry->max_ref_age_ms = ref_age_ms;
	return 0;
}

int ice_revise_expire(void *expiry, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err)
{
	const struct ice_expiry *change = expiry;
	bool *is_kept = weir_arena_calloc(arena, base->snapshot_count, sizeof *is_kept);
	int code = ice_property_gc(base, err);
	if (code != 0)
		return code;
	if (change->keep_last == 0)
		return weir_fail(err, WEIR_E_INPUT, "expiry keeps at least one snapshot of each branch");
	copy_refs(arena, next);
	expire_refs(change, next);
	for (uint32_t i = 0; i < next->ref_count; i++)
		keep_line(change, base, &next->refs[i], is_kept);
	/* Snapshots of no branch: staged by others, or left by a rollback. Young ones may still be published. */
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		if (!is_kept[i] && base->snapshots[i].timestamp_ms >= change->older_than_ms)
			is_kept[i] = true;
	next->snapshots = weir_arena_calloc(arena, base->snapshot_count, sizeof *next->snapshots);
	next->snapshot_count = 0;
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		if (is_kept[i])
			next->snapshots[next->snapshot_count++] = base->snapshots[i];
	struct ice_log_entry *log = weir_arena_calloc(arena, base->snapshot_log_count, sizeof *log);
	next->snapshot_log_count = 0;
	for (uint32_t i = 0; i < base->snapshot_log_count; i++)
		if (ice_metadata_snapshot(next, base->snapshot_log[i].snapshot_id) != NULL)
			log[next->snapshot_log_count++] = base->snapshot_log[i];
		else
			next->snapshot_log_count = 0; /* the log has no holes */
	next->snapshot_log = log;
	return 0;
}
