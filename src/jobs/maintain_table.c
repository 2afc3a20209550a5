/*
 * The work on one table: compaction, manifests, expiry, orphans, in this order, each by its own commits. See
 * maintain.h for what must hold; the commit below is where every change goes through.
 */
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "iceberg/revise.h"
#include "iceberg/upkeep.h"
#include "jobs/maintain_int.h"

#define MANIFEST_COUNT 100        /* commit.manifest.min-count-to-merge, where it is not set */
#define MANIFEST_BYTES (8U << 20) /* commit.manifest.target-size-bytes */
#define DELETE_BATCH   1000
#define AGE_MOST_MS    (1000 * 365 * 86400000LL)

struct work {
	struct maintain *maintain;
	struct maintain_table *state;
	struct ice_table *table;           /* the newest version that is known */
	struct ice_compact_counts counted; /* of the compaction under way: what the numbers hold already */
	int64_t now_ms;
	bool did;
};

static struct ice_name name_of(const struct work *work)
{
	return (struct ice_name){work->state->ns, work->state->name};
}

/* A new prefix of file names: nobody else has it. What a process leaves that dies is an orphan. */
static struct weir_str new_prefix(const struct work *work, char buffer[WEIR_UUID_TEXT])
{
	struct weir_uuid uuid = weir_uuid_v7(work->now_ms * WEIR_US_PER_MS);
	weir_uuid_format(&uuid, buffer);
	return weir_str_from(buffer);
}

/* ---- properties ---- */

static int number_property(const struct work *work, const char *key, int64_t least, int64_t absent, int64_t *ret_number,
	struct weir_error *err)
{
	return ice_property_number(ice_table_metadata(work->table), key, least, absent, ret_number, err);
}

static int flag_property(const struct work *work, const char *key, bool *ret_flag, struct weir_error *err)
{
	return ice_property_flag(ice_table_metadata(work->table), key, true, ret_flag, err);
}

/* ---- committing ---- */

/* The newest version, if it is still the same table. */
static int load_newest(struct work *work, struct ice_table **ret_table, struct weir_error *err)
{
	struct maintain *maintain = work->maintain;
	int status = ice_table_load(maintain->store, maintain->control, maintain->cache, name_of(work), ret_table, err);
	if (status != 0 || work->table == NULL ||
		weir_str_equal(ice_table_metadata(*ret_table)->table_uuid, ice_table_metadata(work->table)->table_uuid))
		return status;
	ice_table_unref(*ret_table);
	return weir_fail(err, WEIR_E_CONFLICT, "another table has the name now");
}

/* Where the outcome is not known: it happened where the pointer is the new one. */
static int happened(struct work *work, const struct ice_table *next, bool *ret_happened, struct weir_error *err)
{
	static const char sql[] = "SELECT COUNT(*) FROM iceberg_tables WHERE catalog_name = 'weir' AND"
				  " table_namespace = ?1 AND table_name = ?2 AND metadata_location = ?3";
	struct control_value values[] = {
		CONTROL_T(work->state->ns), CONTROL_T(work->state->name), CONTROL_T(ice_table_metadata_uri(next))};
	int64_t found = 0;
	int status = control_query_int(work->maintain->control, sql, values, 3, &found, err);
	*ret_happened = found == 1;
	return status;
}

/* One attempt: the pointer's swap, with the names of what nobody needs after it. */
static int swap(struct work *work, const struct ice_prepared *prepared, bool *ret_done, struct weir_error *err)
{
	struct control_result result = {.outcome = CONTROL_CONFLICT};
	struct ice_table *next = ice_prepared_table(prepared);
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	ice_stage(prepared, change);
	int status = control_commit(work->maintain->control, change, &result, err);
	*ret_done = status == 0 && result.outcome == CONTROL_DONE;
	if (status == WEIR_E_UNKNOWN && happened(work, next, ret_done, err) == 0)
		status = 0;
	control_change_free(change);
	ice_table_unref(next);
	return status;
}

/* Commits, on newer versions too as long as it fits them. work->table is the version after it. */
static int commit(struct work *work, struct ice_prepared *take_prepared, struct weir_error *err)
{
	bool done = false;
	int64_t retries = 0;
	int status = number_property(work, "commit.retry.num-retries", 0, MAINTAIN_ATTEMPTS - 1, &retries, err);
	retries = retries < MAINTAIN_RETRIES_MAX ? retries : MAINTAIN_RETRIES_MAX;
	for (int64_t tries = 0; tries <= retries && status == 0 && !done; tries++) {
		struct ice_table *newest = NULL;
		if (tries > 0)
			status = load_newest(work, &newest, err);
		if (newest != NULL)
			status = ice_rebase(take_prepared, newest, err);
		ice_table_unref(newest);
		if (status == 0)
			status = swap(work, take_prepared, &done, err);
	}
	if (status == 0 && !done)
		status =
			weir_fail(err, WEIR_E_CONFLICT, "the table moved %lld times meanwhile", (long long)retries + 1);
	if (done) {
		ice_table_unref(work->table);
		work->table = ice_prepared_table(take_prepared);
		work->did = true;
	}
	if (done || status == WEIR_E_UNKNOWN)
		ice_prepared_free(take_prepared);
	else
		ice_prepared_abandon(take_prepared);
	return status;
}

/* ice_commit_edit_fn */
static int commit_edit(void *context, struct ice_table *table, const struct ice_edit *edit,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct work *work = context;
	struct ice_prepared *prepared;
	int status = ice_prepare(table, edit, &prepared, err);
	if (status == 0)
		status = commit(work, prepared, err);
	if (status == 0)
		*ret_table = ice_table_ref(work->table);
	return status;
}

/* ---- compaction ---- */

/* After each commit; a large table's compaction has many. */
static void show_progress(void *context, const struct ice_compact_counts *counts)
{
	struct work *work = context;
	maintain_count(work->maintain,
		&(struct maintain_numbers){.files_compacted = counts->files_read - work->counted.files_read,
			.files_written = counts->files_written - work->counted.files_written});
	work->counted = *counts;
	weir_log(work->maintain->config.log, WEIR_LOG_DEBUG,
		"maintenance of %.*s.%.*s: %llu files and %llu bytes rewritten so far, in %u commits",
		WEIR_STR_ARG(work->state->ns), WEIR_STR_ARG(work->state->name), (unsigned long long)counts->files_read,
		(unsigned long long)counts->bytes_read, counts->commits);
}

static int compact(struct work *work, struct weir_error *err)
{
	struct ice_compact_counts counts = {0};
	char prefix[WEIR_UUID_TEXT];
	int64_t target;
	int status = number_property(
		work, "write.target-file-size-bytes", 1, (int64_t)work->maintain->settings.target_bytes, &target, err);
	if (status != 0)
		return status;
	const struct ice_compact_options options = {.target_bytes = (uint64_t)target,
		.is_gentle = true,
		.stop = &work->maintain->stopping,
		.prefix = new_prefix(work, prefix),
		.now_ms = work->now_ms};
	status = ice_compact(work->table, &options, commit_edit, show_progress, work, &counts, err);
	if (counts.commits > 0)
		weir_log(work->maintain->config.log, WEIR_LOG_INFO,
			"maintenance of %.*s.%.*s: %llu files became %llu, %llu deleted rows left out",
			WEIR_STR_ARG(work->state->ns), WEIR_STR_ARG(work->state->name),
			(unsigned long long)counts.files_read, (unsigned long long)counts.files_written,
			(unsigned long long)counts.rows_deleted);
	return status;
}

/* Rows of the metadata table `manifests` whose length is far below the target. */
struct manifest_count {
	int64_t limit;
	uint32_t small;
};

static int count_manifests(void *context, const struct weir_batch *batch, struct weir_error *err)
{
	struct manifest_count *count = context;
	uint32_t length = weir_schema_find(batch->schema, WEIR_STR("length"));
	(void)err;
	for (uint32_t row = 0; length != WEIR_NO_FIELD && row < batch->row_count; row++)
		count->small += weir_column_i64(&batch->columns[length], row) < count->limit;
	return 0;
}

static int rewrite_manifests(struct work *work, struct weir_error *err)
{
	struct manifest_count count = {0};
	char prefix[WEIR_UUID_TEXT];
	int64_t least, size;
	int status = number_property(work, "commit.manifest.min-count-to-merge", 0, MANIFEST_COUNT, &least, err);
	if (status == 0)
		status = number_property(work, "commit.manifest.target-size-bytes", 0, MANIFEST_BYTES, &size, err);
	if (status != 0 || ice_metadata_current(ice_table_metadata(work->table)) == NULL)
		return status;
	count.limit = size / 2;
	status = ice_metadata_table_scan(work->table, ICE_TABLE_MANIFESTS, -1, count_manifests, &count, err);
	if (status != 0 || count.small < 2 || count.small < least)
		return status;
	struct ice_table *base = ice_table_ref(work->table);
	status = ice_rewrite_manifests(base, new_prefix(work, prefix), work->now_ms, commit_edit, work, err);
	ice_table_unref(base);
	if (status == 0) {
		maintain_count(work->maintain, &(struct maintain_numbers){.manifest_rewrites = 1});
		weir_log(work->maintain->config.log, WEIR_LOG_INFO,
			"maintenance of %.*s.%.*s: %u small manifests rewritten", WEIR_STR_ARG(work->state->ns),
			WEIR_STR_ARG(work->state->name), count.small);
	}
	return status;
}

/* ---- expiry ---- */

struct expiry {
	struct ice_expiry by_age;
	int64_t readers_ms; /* a snapshot that was current later than this is in use, maybe */
};

/*
 * A snapshot's age is that of its commit, but a reader begins with the newest one, however old that is: what another
 * took the place of a moment ago stays for as long as readers may take.
 */
static bool is_in_use(const struct ice_metadata *base, int64_t id, int64_t readers_ms)
{
	for (uint32_t i = 0; i < base->snapshot_log_count; i++)
		if (base->snapshot_log[i].snapshot_id == id &&
			(i + 1 == base->snapshot_log_count || base->snapshot_log[i + 1].timestamp_ms > readers_ms))
			return true;
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		if (base->snapshots[i].parent_id == id && base->snapshots[i].timestamp_ms > readers_ms)
			return true;
	return false;
}

/* ice_revise_fn: as `weir expire`, but what is in use stays. */
static int expire_unused(void *context, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err)
{
	struct expiry *expiry = context;
	int status = ice_revise_expire(&expiry->by_age, arena, base, next, err);
	if (status != 0)
		return status;
	struct ice_metadata expired = *next;
	next->snapshots = weir_arena_calloc(arena, base->snapshot_count, sizeof *next->snapshots);
	next->snapshot_count = 0;
	for (uint32_t i = 0; i < base->snapshot_count; i++)
		if (ice_metadata_snapshot(&expired, base->snapshots[i].id) != NULL ||
			is_in_use(base, base->snapshots[i].id, expiry->readers_ms))
			next->snapshots[next->snapshot_count++] = base->snapshots[i];
	return 0;
}

/* When the next snapshot will be old enough; it is looked at again then, or when the table changes. */
static int64_t next_expiry_ms(const struct work *work, int64_t age_ms)
{
	const struct ice_metadata *metadata = ice_table_metadata(work->table);
	int64_t soonest = INT64_MAX, wait_ms = work->maintain->settings.every_us / WEIR_US_PER_MS;
	for (uint32_t i = 0; i < metadata->snapshot_count; i++)
		if (age_ms < AGE_MOST_MS && metadata->snapshots[i].id != metadata->current_snapshot_id &&
			metadata->snapshots[i].timestamp_ms + age_ms < soonest)
			soonest = metadata->snapshots[i].timestamp_ms + age_ms;
	return soonest < work->now_ms + wait_ms ? work->now_ms + wait_ms : soonest;
}

static int expire(struct work *work, struct weir_error *err)
{
	const struct lake_maintain *settings = &work->maintain->settings;
	struct expiry expiry = {.by_age = {.now_ms = work->now_ms,
					.older_than_ms = work->now_ms - settings->snapshot_age_us / WEIR_US_PER_MS,
					.keep_last = settings->snapshots_keep},
		.readers_ms = work->now_ms - settings->readers_us / WEIR_US_PER_MS};
	const struct ice_metadata *base = ice_table_metadata(work->table);
	struct ice_metadata next = *base;
	struct weir_arena *scratch = weir_arena_new(0);
	struct ice_prepared *prepared;
	char prefix[WEIR_UUID_TEXT];
	int status = ice_expiry_read(base, &expiry.by_age, err);
	if (status == 0)
		status = expire_unused(&expiry, scratch, base, &next, err);
	bool nothing = status == 0 && next.snapshot_count == base->snapshot_count && next.ref_count == base->ref_count;
	uint32_t before = base->snapshot_count;
	weir_arena_free(scratch);
	if (status == 0 && !nothing)
		status = ice_revise(
			work->table, expire_unused, &expiry, new_prefix(work, prefix), work->now_ms, &prepared, err);
	if (status == 0 && !nothing)
		status = commit(work, prepared, err);
	if (status != 0)
		return status;
	uint32_t after = ice_table_metadata(work->table)->snapshot_count;
	work->state->expire_ms = next_expiry_ms(work, work->now_ms - expiry.by_age.older_than_ms);
	if (before > after) {
		maintain_count(work->maintain, &(struct maintain_numbers){.snapshots_expired = before - after});
		weir_log(work->maintain->config.log, WEIR_LOG_INFO, "maintenance of %.*s.%.*s: %u snapshots expired",
			WEIR_STR_ARG(work->state->ns), WEIR_STR_ARG(work->state->name), before - after);
	}
	return 0;
}

/* ---- orphans ---- */

struct orphans {
	struct work *work;
	struct weir_arena *arena;
	const char *names[DELETE_BATCH];
	uint32_t count;
	uint64_t removed;
};

static int remove_batch(struct orphans *orphans, struct weir_error *err)
{
	int status = orphans->count > 0
		? store_delete_many(orphans->work->maintain->store, orphans->names, orphans->count, err)
		: 0;
	orphans->removed += status == 0 ? orphans->count : 0;
	orphans->count = 0;
	weir_arena_reset(orphans->arena);
	return status;
}

static int take_orphan(void *context, const struct store_object *object, struct weir_error *err)
{
	struct orphans *orphans = context;
	orphans->names[orphans->count++] = weir_arena_cstr(orphans->arena, object->name);
	return orphans->count == DELETE_BATCH ? remove_batch(orphans, err) : 0;
}

static int reload(void *context, struct ice_table **ret_table, struct weir_error *err)
{
	struct orphans *orphans = context;
	return load_newest(orphans->work, ret_table, err);
}

static int remove_orphans(struct work *work, struct weir_error *err)
{
	struct orphans orphans = {.work = work, .arena = weir_arena_new(0)};
	int64_t grace_ms = work->maintain->settings.orphans_us / WEIR_US_PER_MS;
	int status = ice_orphans(work->table, work->now_ms, grace_ms, reload, take_orphan, &orphans, err);
	if (status == 0)
		status = remove_batch(&orphans, err);
	weir_arena_free(orphans.arena);
	if (orphans.removed > 0) {
		maintain_count(work->maintain, &(struct maintain_numbers){.orphans_removed = orphans.removed});
		weir_log(work->maintain->config.log, WEIR_LOG_INFO,
			"maintenance of %.*s.%.*s: %llu files that no version named are removed",
			WEIR_STR_ARG(work->state->ns), WEIR_STR_ARG(work->state->name),
			(unsigned long long)orphans.removed);
	}
	return status;
}

/* ---- all of it ---- */

/* Files of a kind that weir does not read (a transform, a type, encryption) are left as they are; said once a
 * version. */
static int pass_over(const struct work *work, int status, struct weir_error *err)
{
	char text[1200];
	if (status != WEIR_E_UNSUPPORTED)
		return status;
	weir_log(work->maintain->config.log, WEIR_LOG_INFO, "maintenance of %.*s.%.*s leaves its files as they are: %s",
		WEIR_STR_ARG(work->state->ns), WEIR_STR_ARG(work->state->name),
		weir_error_text(err, text, sizeof text));
	*err = WEIR_ERROR_INIT;
	return 0;
}

/* Whether the table is one for maintenance at all. Versions before 2 take no commits of weir's. */
static int is_wanted(const struct work *work, bool *ret_is_wanted, struct weir_error *err)
{
	bool is_asked;
	const struct ice_metadata *metadata = ice_table_metadata(work->table);
	struct weir_error outside = WEIR_ERROR_INIT;
	struct weir_arena *scratch = weir_arena_new(4096);
	struct weir_str folder;
	bool is_inside = store_name_of(work->maintain->store, scratch, metadata->location, &folder, &outside) == 0;
	weir_arena_free(scratch);
	int status = flag_property(work, "weir.maintain", &is_asked, err);
	*ret_is_wanted = status == 0 && is_asked && is_inside && metadata->format_version >= 2;
	return status;
}

static int work_through(struct work *work, bool may_delete, bool look_for_orphans, struct weir_error *err)
{
	bool is_ours, gc = true;
	int status = is_wanted(work, &is_ours, err);
	work->state->expire_ms = INT64_MAX;
	if (status == 0)
		status = flag_property(work, "gc.enabled", &gc, err);
	if (status != 0 || !is_ours)
		return status;
	may_delete = may_delete && gc;
	if (!weir_str_equal(work->state->quiet, ice_table_metadata_uri(work->table))) {
		status = compact(work, err);
		if (status == 0)
			status = rewrite_manifests(work, err);
		status = pass_over(work, status, err);
	}
	if (status == 0 && may_delete)
		status = expire(work, err);
	if (status == 0 && may_delete && look_for_orphans)
		status = remove_orphans(work, err);
	return status;
}

int maintain_table_work(struct maintain *maintain, struct maintain_table *table, bool *ret_did, struct weir_error *err)
{
	struct work work = {.maintain = maintain, .state = table};
	int64_t now_us = weir_now_us(&maintain->config.clock);
	bool quiet = weir_str_equal(table->quiet, table->pointer);
	bool orphans = table->orphans_us == 0 || now_us - table->orphans_us >= MAINTAIN_ORPHANS_EVERY_US;
	work.now_ms = now_us / WEIR_US_PER_MS;
	*ret_did = false;
	if (quiet && !orphans && work.now_ms < table->expire_ms)
		return 0;
	int status = load_newest(&work, &work.table, err);
	if (status == WEIR_E_UNSUPPORTED) {
		table->expire_ms = INT64_MAX;
		status = pass_over(&work, status, err);
	} else if (status == 0) {
		status = work_through(&work, !table->is_shared, orphans, err);
	}
	if (status == 0 && orphans)
		table->orphans_us = now_us;
	if (status == 0 && !work.did) /* in this version nothing is left to do */
		table->quiet = weir_arena_str(
			table->arena, work.table != NULL ? ice_table_metadata_uri(work.table) : table->pointer);
	*ret_did = work.did;
	ice_table_unref(work.table);
	return status;
}
