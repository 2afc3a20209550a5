/*
 * The lake's fsck (`weir check`): from the tables, the logs and the rules alone it recomputes what must be there, and
 * names the first thing that is not as it should be.
 */
#ifndef WEIR_JOBS_CHECK_H
#define WEIR_JOBS_CHECK_H

#include "base/json.h"
#include "jobs/jobs.h"

struct check_config {
	const struct lake *lake;
	struct control *control;
	struct ice_registry *registry;
	struct consent *const *consents;
	struct stream *const *streams;
	uint32_t dead_letters_table, audit_table;
	struct weir_clock clock;
};

/*
 * Proves, in one control read transaction and by ranges of subjects, beside running writers:
 *   counters   for each stream: offsets = accepted + duplicates + dead letters, and the tables have as many rows (E3)
 *   files      every referenced file is there, of the right size, row counts and bounds (T1, T3)
 *   orphans    nothing unreferenced is older than the grace time (10 minutes)
 *   consent    every gold row is permitted, and every permitted silver row is in gold exactly once a purpose, by the plain evaluator,
 *              but for pairs with an open task (G1)
 *   history    unique by (event id, purpose, revoked_lsn)
 * Writes an object {"sound", "proved": [...], "open_tasks", "break": {...}} and sets *ret_sound.
 */
int jobs_check(const struct check_config *config, struct weir_json *json, bool *ret_sound, struct weir_error *err);

#endif
