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
	uint32_t group_rows; /* silver rows that are compared with gold at a time; 0: 262,144 */
};

/*
 * Proves, as of one control read and by ranges of subjects, beside running writers:
 *
 *   consent log  without gap; rules and withdrawals are what it says; each fence entry has an open task (G2)
 *   files        every live data file is there, of the right size, rows and bounds, its rows in its partition (T1)
 *   counters     of each stream: offsets = accepted + duplicates + dead letters, and the tables have these rows (E2, E3)
 *   consent      every gold row is permitted, and every permitted silver row is in gold exactly once a purpose, by
 *                the plain evaluator, but for pairs with an open task (G1)
 *   history      unique by (event id, purpose, revoked_lsn) (G5)
 *   orphans      every file of a kept snapshot is there; nothing unnamed is older than 10 minutes (T3)
 *   order        rows of a file lie in its table's order (T1)
 *
 * Writes an object {"sound", "consent_lsn", "proved": [{"check", "guarantee", "what", numbers}], "open_tasks", "break":
 * {"check", "guarantee", "table", "file", "trace_id", "purpose", "what", "expected", "found"}} and sets *ret_sound;
 * the first break ends it. Errors are those of the machine: WEIR_E_IO, and WEIR_E_BUSY where removals erased files
 * under five attempts.
 */
int jobs_check(const struct check_config *config, struct weir_json *json, bool *ret_sound, struct weir_error *err);

#endif
