#include "iceberg/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"

#define COMMIT_ATTEMPTS 100
#define SWEEP_BATCH     256

struct ice_registry {
	struct store *store;
	struct control *control;
	pthread_mutex_t lock;   /* tables, generation, in_flight */
	pthread_cond_t settled; /* a commit was published, or failed */
	uint32_t in_flight;     /* commits between their transaction and their publication */
	struct ice_table **tables;
	uint32_t count, capacity;
	uint64_t generation;
};

struct ice_registry *ice_registry_new(struct store *store, struct control *control)
{
	struct ice_registry *registry = weir_zalloc(sizeof *registry);
	registry->store = store;
	registry->control = control;
	pthread_mutex_init(&registry->lock, NULL);
	pthread_cond_init(&registry->settled, NULL);
	return registry;
}

void ice_registry_free(struct ice_registry *registry)
{
	if (registry == NULL)
		return;
	for (uint32_t i = 0; i < registry->count; i++)
		ice_table_unref(registry->tables[i]);
	free(registry->tables);
	pthread_cond_destroy(&registry->settled);
	pthread_mutex_destroy(&registry->lock);
	free(registry);
}

uint32_t ice_registry_add(struct ice_registry *registry, struct ice_table *take_table)
{
	pthread_mutex_lock(&registry->lock);
	WEIR_GROW(registry->tables, registry->count, registry->capacity);
	registry->tables[registry->count] = take_table;
	uint32_t index = registry->count++;
	pthread_mutex_unlock(&registry->lock);
	return index;
}

uint32_t ice_registry_count(const struct ice_registry *registry)
{
	return registry->count;
}

struct ice_table *ice_registry_table(struct ice_registry *registry, uint32_t index)
{
	pthread_mutex_lock(&registry->lock);
	WEIR_ASSERT(index < registry->count);
	struct ice_table *table = ice_table_ref(registry->tables[index]);
	pthread_mutex_unlock(&registry->lock);
	return table;
}

void ice_registry_tables(
	struct ice_registry *registry, const uint32_t *indices, uint32_t count, struct ice_table **ret_tables)
{
	pthread_mutex_lock(&registry->lock);
	for (uint32_t i = 0; i < count; i++) {
		WEIR_ASSERT(indices[i] < registry->count);
		ret_tables[i] = ice_table_ref(registry->tables[indices[i]]);
	}
	pthread_mutex_unlock(&registry->lock);
}

struct store *ice_registry_store(const struct ice_registry *registry)
{
	return registry->store;
}

struct control *ice_registry_control(const struct ice_registry *registry)
{
	return registry->control;
}

uint64_t ice_registry_generation(const struct ice_registry *registry)
{
	return __atomic_load_n(&registry->generation, __ATOMIC_ACQUIRE);
}

/* One commit under way: what is prepared of each part, and on which version it stands. */
struct attempt {
	struct ice_registry *registry;
	const struct ice_commit_part *parts;
	uint32_t count;
	struct ice_prepared **prepared; /* NULL until prepared */
	struct ice_table **bases;       /* referenced */
};

static void attempt_done(struct attempt *attempt, bool committed)
{
	for (uint32_t i = 0; i < attempt->count; i++) {
		if (attempt->prepared[i] != NULL && committed)
			ice_prepared_free(attempt->prepared[i]);
		else if (attempt->prepared[i] != NULL)
			ice_prepared_abandon(attempt->prepared[i]);
		ice_table_unref(attempt->bases[i]);
	}
	free(attempt->prepared);
	free(attempt->bases);
}

/* Brings every part to the newest version of its table: prepares, or rebases where it moved. */
static int attempt_prepare(struct attempt *attempt, struct weir_error *err)
{
	for (uint32_t i = 0; i < attempt->count; i++) {
		struct ice_table *newest = ice_registry_table(attempt->registry, attempt->parts[i].table);
		int status = 0;
		if (attempt->prepared[i] == NULL)
			status = ice_prepare(newest, &attempt->parts[i].edit, &attempt->prepared[i], err);
		else if (newest != attempt->bases[i])
			status = ice_rebase(attempt->prepared[i], newest, err);
		ice_table_unref(attempt->bases[i]);
		attempt->bases[i] = newest;
		if (status != 0)
			return status;
	}
	return 0;
}

/*
 * Whether a table of the attempt has a newer version. A transaction is durable, and makes others conflict, a moment before
 * its thread publishes the version: so while commits are in flight the answer may still become true, and is waited for.
 */
static bool attempt_moved(const struct attempt *attempt)
{
	struct ice_registry *registry = attempt->registry;
	bool moved = false;
	pthread_mutex_lock(&registry->lock);
	for (;;) {
		for (uint32_t i = 0; i < attempt->count; i++)
			moved = moved || registry->tables[attempt->parts[i].table] != attempt->bases[i];
		if (moved || registry->in_flight == 0)
			break;
		pthread_cond_wait(&registry->settled, &registry->lock);
	}
	pthread_mutex_unlock(&registry->lock);
	return moved;
}

static void attempt_begin(struct ice_registry *registry)
{
	pthread_mutex_lock(&registry->lock);
	registry->in_flight++;
	pthread_mutex_unlock(&registry->lock);
}

static void attempt_settled(struct ice_registry *registry)
{
	pthread_mutex_lock(&registry->lock);
	registry->in_flight--;
	pthread_cond_broadcast(&registry->settled);
	pthread_mutex_unlock(&registry->lock);
}

static void attempt_publish(struct attempt *attempt, void (*published)(void *, const struct control_result *),
	void *context, const struct control_result *result)
{
	struct ice_registry *registry = attempt->registry;
	pthread_mutex_lock(&registry->lock);
	for (uint32_t i = 0; i < attempt->count; i++) {
		struct ice_table **slot = &registry->tables[attempt->parts[i].table];
		ice_table_unref(*slot);
		*slot = ice_prepared_table(attempt->prepared[i]);
	}
	__atomic_add_fetch(&registry->generation, 1, __ATOMIC_ACQ_REL);
	if (published != NULL)
		published(context, result);
	pthread_mutex_unlock(&registry->lock);
}

/* An unknown outcome is settled by looking: a table pointer that is the new one means that it happened. */
static int attempt_happened(struct attempt *attempt, bool *ret_happened, struct weir_error *err)
{
	static const char sql[] = "SELECT COUNT(*) FROM iceberg_tables WHERE catalog_name = 'weir' AND"
				  " table_namespace = ?1 AND table_name = ?2 AND metadata_location = ?3";
	if (attempt->count == 0)
		return weir_fail(err, WEIR_E_UNKNOWN, "the commit's outcome is unknown and moves no table to look at");
	struct ice_table *next = ice_prepared_table(attempt->prepared[0]);
	struct ice_name name = ice_table_name(next);
	struct control_value values[] = {
		CONTROL_T(name.ns), CONTROL_T(name.table), CONTROL_T(ice_table_metadata_uri(next))};
	int64_t found = 0;
	int status = control_query_int(attempt->registry->control, sql, values, 3, &found, err);
	ice_table_unref(next);
	*ret_happened = found == 1;
	return status;
}

int ice_commit(struct ice_registry *registry, enum control_priority priority, const struct ice_commit_part *parts,
	uint32_t count, ice_commit_fn *stage, void (*published)(void *, const struct control_result *), void *context,
	struct control_result *ret_result, struct weir_error *err)
{
	struct attempt attempt = {.registry = registry, .parts = parts, .count = count};
	attempt.prepared = weir_zalloc(count * sizeof(struct ice_prepared *));
	attempt.bases = weir_zalloc(count * sizeof(struct ice_table *));
	struct control_result result = {0};
	bool committed = false, unknown = false;
	int status = 0;
	for (unsigned tries = 0; tries < COMMIT_ATTEMPTS; tries++) {
		status = attempt_prepare(&attempt, err);
		if (status != 0)
			break;
		struct control_change *change = control_change_new(priority);
		for (uint32_t i = 0; i < count; i++)
			ice_stage(attempt.prepared[i], change);
		if (stage != NULL)
			stage(context, change);
		attempt_begin(registry);
		status = control_commit(registry->control, change, &result, err);
		control_change_free(change);
		unknown = status == WEIR_E_UNKNOWN;
		if (unknown)
			status = attempt_happened(&attempt, &committed, err);
		else
			committed = status == 0 && result.outcome == CONTROL_DONE;
		if (committed)
			attempt_publish(&attempt, published, context, &result);
		attempt_settled(registry);
		if (status != 0 || committed)
			break;
		if (unknown)
			continue;
		if (!attempt_moved(&attempt)) {
			status = weir_fail(
				err, WEIR_E_CONFLICT, "%s moved while the commit was prepared", result.conflict);
			break;
		}
		status = weir_fail(err, WEIR_E_CONFLICT, "%s kept moving for %u attempts", result.conflict, tries + 1);
	}
	if (committed && ret_result != NULL)
		*ret_result = result;
	/* After an unknown outcome that could not be settled nothing may be cleaned. */
	attempt_done(&attempt, committed || (unknown && status != 0));
	return status;
}

/* ---- files that wait to be destroyed, and prefixes of files that are being written ---- */

struct names {
	struct weir_arena *arena;
	const char *items[SWEEP_BATCH];
	int64_t doomed_us[SWEEP_BATCH];
	size_t count;
};

static int collect_name(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct names *names = context;
	(void)count;
	(void)err;
	names->items[names->count] = weir_arena_cstr(names->arena, values[0].text);
	names->doomed_us[names->count++] = values[1].integer;
	return 0;
}

/* A name that was noted anew since it was collected stays noted: its file may have come after the deletion. */
static int delete_doomed_batch(struct ice_registry *registry, const struct names *names, struct weir_error *err)
{
	struct control_result result;
	int status = store_delete_many(registry->store, names->items, names->count, err);
	if (status != 0)
		return status;
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	for (size_t i = 0; i < names->count; i++) {
		struct control_value values[] = {
			CONTROL_T(weir_str_from(names->items[i])), CONTROL_I(names->doomed_us[i])};
		control_change_sql(change, "doomed file", CONTROL_ANY,
			"DELETE FROM weir_doomed_files WHERE name = ?1 AND doomed_us = ?2", values, 2);
	}
	status = control_commit(registry->control, change, &result, err);
	control_change_free(change);
	return status;
}

int ice_sweep_doomed(
	struct ice_registry *registry, int64_t now_us, int64_t grace_us, uint64_t *ret_deleted, struct weir_error *err)
{
	struct control_value values[] = {CONTROL_I(now_us - grace_us), CONTROL_I(SWEEP_BATCH)};
	uint64_t deleted = 0;
	int status = 0;
	for (;;) {
		struct names names = {.arena = weir_arena_new(0)};
		status = control_query(registry->control,
			"SELECT name, doomed_us FROM weir_doomed_files WHERE doomed_us <= ?1 LIMIT ?2", values, 2,
			collect_name, &names, err);
		size_t found = names.count;
		if (status == 0 && found > 0)
			status = delete_doomed_batch(registry, &names, err);
		weir_arena_free(names.arena);
		deleted += status == 0 ? found : 0;
		if (status != 0 || found == 0)
			break;
	}
	if (ret_deleted != NULL)
		*ret_deleted = deleted;
	return status;
}

/* 120 random bits, so that no two writers ever share a prefix. Hexadecimal, because Trino opens a metadata file only where its
 * name is a number, a hyphen and hexadecimal digits. */
static void random_prefix(char prefix[32])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[30];
	weir_random_bytes(bytes, sizeof bytes);
	for (unsigned i = 0; i < 30; i++)
		prefix[i] = digits[bytes[i] & 15];
	prefix[30] = '\0';
}

void ice_stage_prefix_new(struct control_change *change, int64_t now_us, char ret_prefix[32])
{
	random_prefix(ret_prefix);
	struct control_value values[] = {CONTROL_T(weir_str_from(ret_prefix)), CONTROL_I(now_us)};
	control_change_sql(change, "file prefix", 1,
		"INSERT INTO weir_pending_files (prefix, created_us) VALUES (?1, ?2)", values, 2);
}

void ice_stage_prefix_done(struct control_change *change, struct weir_str prefix)
{
	struct control_value value = CONTROL_T(prefix);
	control_change_sql(change, "file prefix", 1, "DELETE FROM weir_pending_files WHERE prefix = ?1", &value, 1);
}

int ice_reserve_prefix(struct control *control, int64_t now_us, char ret_prefix[32], struct weir_error *err)
{
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage_prefix_new(change, now_us, ret_prefix);
	int status = control_commit(control, change, &result, err);
	control_change_free(change);
	return status;
}

/* What recovery deletes: objects whose file name holds a pending prefix. */
struct recovery {
	struct weir_arena *arena;
	struct weir_str *prefixes;
	size_t prefix_count, prefix_capacity;
	const char **names;
	size_t name_count, name_capacity;
};

static int collect_prefix(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct recovery *recovery = context;
	(void)count;
	(void)err;
	WEIR_GROW(recovery->prefixes, recovery->prefix_count, recovery->prefix_capacity);
	recovery->prefixes[recovery->prefix_count++] = weir_arena_str(recovery->arena, values[0].text);
	return 0;
}

static int collect_pending(void *context, const struct store_object *object, struct weir_error *err)
{
	struct recovery *recovery = context;
	(void)err;
	for (size_t i = 0; i < recovery->prefix_count; i++) {
		struct weir_str prefix = recovery->prefixes[i];
		if (memmem(object->name.data, object->name.size, prefix.data, prefix.size) == NULL)
			continue;
		WEIR_GROW(recovery->names, recovery->name_count, recovery->name_capacity);
		recovery->names[recovery->name_count++] = weir_arena_cstr(recovery->arena, object->name);
		break;
	}
	return 0;
}

/* Deletes the objects of the prefixes, then their rows. */
static int destroy_pending(struct ice_registry *registry, struct recovery *recovery, struct weir_error *err)
{
	struct control_result result;
	if (recovery->prefix_count == 0)
		return 0;
	int status = store_list(registry->store, "", collect_pending, recovery, err);
	if (status == 0 && recovery->name_count > 0)
		status = store_delete_many(registry->store, recovery->names, recovery->name_count, err);
	if (status == 0) /* what is gone already may have been deleted without a sync, by a process that died then */
		status = store_settle(registry->store, err);
	if (status != 0)
		return status;
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	for (size_t i = 0; i < recovery->prefix_count; i++)
		ice_stage_prefix_done(change, recovery->prefixes[i]);
	status = control_commit(registry->control, change, &result, err);
	control_change_free(change);
	return status;
}

static void recovery_done(struct recovery *recovery)
{
	free(recovery->prefixes);
	free(recovery->names);
	weir_arena_free(recovery->arena);
}

int ice_retire_prefix(struct ice_registry *registry, struct weir_str prefix, struct weir_error *err)
{
	struct recovery recovery = {.arena = weir_arena_new(0)};
	struct control_value value = CONTROL_T(prefix);
	int status = control_query(registry->control, "SELECT prefix FROM weir_pending_files WHERE prefix = ?1", &value,
		1, collect_prefix, &recovery, err);
	if (status == 0)
		status = destroy_pending(registry, &recovery, err);
	recovery_done(&recovery);
	return status;
}

int ice_recover_files(struct ice_registry *registry, uint64_t *ret_deleted, struct weir_error *err)
{
	struct recovery recovery = {.arena = weir_arena_new(0)};
	uint64_t doomed = 0;
	int status = control_query(
		registry->control, "SELECT prefix FROM weir_pending_files", NULL, 0, collect_prefix, &recovery, err);
	if (status == 0)
		status = destroy_pending(registry, &recovery, err);
	if (status == 0)
		status = ice_sweep_doomed(registry, INT64_MAX / 2, 0, &doomed, err);
	if (ret_deleted != NULL)
		*ret_deleted = recovery.name_count + doomed;
	recovery_done(&recovery);
	return status;
}
