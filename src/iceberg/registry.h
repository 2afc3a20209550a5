/*
 * The tables of a running lake: their current versions, and the one way in which they change.
 *
 * Readers take a reference to the current version; a commit prepares its edits, stages them all into
 * one control change, commits it, rebases what conflicted, and then publishes the new versions.
 * Thread-safe. A published version is never older than one published before it.
 */
#ifndef WEIR_ICEBERG_REGISTRY_H
#define WEIR_ICEBERG_REGISTRY_H

#include "iceberg/table.h"

struct ice_registry;

struct ice_registry *ice_registry_new(struct store *store, struct control *control);
void ice_registry_free(struct ice_registry *registry);
/* Adds a loaded table (the registry takes the reference); its index is the number of tables before it. */
uint32_t ice_registry_add(struct ice_registry *registry, struct ice_table *take_table);
uint32_t ice_registry_count(const struct ice_registry *registry);
/* The current version, referenced. */
struct ice_table *ice_registry_table(struct ice_registry *registry, uint32_t index);
/* The current versions of several tables at one moment: no commit is in one of them and not in another. */
void ice_registry_tables(
	struct ice_registry *registry, const uint32_t *indices, uint32_t count, struct ice_table **ret_tables);
struct store *ice_registry_store(const struct ice_registry *registry);
struct control *ice_registry_control(const struct ice_registry *registry);
/* Grows with each published version of any table. */
uint64_t ice_registry_generation(const struct ice_registry *registry);

struct ice_commit_part {
	uint32_t table; /* index in the registry */
	struct ice_edit edit;
};

/* Adds to the change, once per attempt, what depends on nothing but the caller (offsets, counters, tasks). */
typedef void ice_commit_fn(void *context, struct control_change *change);

/*
 * Commits the parts and what `stage` adds as one transaction; parts on tables that moved are rebased and
 * tried again (up to 100 times). A part whose removed file is gone, or another conflict (an offset, a task), is WEIR_E_CONFLICT with
 * the name of what moved, and nothing happened: metadata written for it is deleted. On success new versions are published, `published`
 * (may be NULL) is called under the registry's lock before any reader can get them, and *ret_result holds what RETURNING
 * statements gave. Doomed files stay in weir_doomed_files for ice_sweep_doomed.
 */
int ice_commit(struct ice_registry *registry, enum control_priority priority, const struct ice_commit_part *parts,
	uint32_t count, ice_commit_fn *stage, void (*published)(void *context, const struct control_result *result),
	void *context, struct control_result *ret_result, struct weir_error *err);

/* Deletes doomed files whose time has passed and their rows. grace_us: how long a reader may still need them (0: at once). */
int ice_sweep_doomed(
	struct ice_registry *registry, int64_t now_us, int64_t grace_us, uint64_t *ret_deleted, struct weir_error *err);
/* Reserves a prefix for file names: a row of weir_pending_files, durable on return. 30 hexadecimal digits, random. */
int ice_reserve_prefix(struct control *control, int64_t now_us, char ret_prefix[32], struct weir_error *err);
void ice_stage_prefix_done(struct control_change *change, struct weir_str prefix); /* its files are committed */
void ice_stage_prefix_new(struct control_change *change, int64_t now_us, char ret_prefix[32]); /* the successor's */
/* A writer of this process gave up: deletes what is left of its prefix, and the row. After a failure both may be there still. */
int ice_retire_prefix(struct ice_registry *registry, struct weir_str prefix, struct weir_error *err);
/* On start: deletes every file of dead writers' prefixes and every doomed file; no writer of this process may run. */
int ice_recover_files(struct ice_registry *registry, uint64_t *ret_deleted, struct weir_error *err);

#endif
