#ifndef WEIR_JOBS_INT_H
#define WEIR_JOBS_INT_H

#include <pthread.h>

#include "iceberg/sorted.h"
#include "jobs/jobs.h"
#include "stream/gold.h"

#define JOBS_DOOMED_GRACE_US (60 * WEIR_US_PER_SECOND)
#define JOBS_AUDIT_EVERY_US  (2 * WEIR_US_PER_SECOND)
#define JOBS_SWEEP_EVERY_US  (5 * WEIR_US_PER_SECOND)
#define JOBS_ZSTD_LEVEL      1 /* measured: level 3 takes twice the time, and its files are as large */
#define JOBS_DEAD_MAX        64
/* From here on a removal deletes rows before it rewrites their files (docs/adr/0004). Measured: the commit more takes 0.02 to
 * 0.2 s, rewriting 25 ms a MiB; so below it the rewrite would be done not much later than the deletes. */
#define JOBS_DELTA_FROM_BYTES (16U << 20)

struct jobs {
	struct jobs_config config;
	struct weir_arena *arena;
	struct stream_gold *golds; /* one a table of the lake; vocabulary NULL where it is no gold */
	const struct weir_schema **silver_schemas;
	pthread_mutex_t lock;
	struct jobs_numbers numbers;
	int64_t audited_us, swept_us, compacted_us; /* steady, of the last round */
	uint64_t compacted_generation;              /* of the registry, when nothing was left to compact */
	bool scrub_due;
	char dead[JOBS_DEAD_MAX][32]; /* prefixes of failed rounds whose files could not be destroyed yet */
	uint32_t dead_count;
};

/* Adds to the numbers under the lock. */
void jobs_count(struct jobs *jobs, const struct jobs_numbers *more);
/* A writer for one table with its options. */
int jobs_writer(struct jobs *jobs, struct ice_table *table, int32_t spec_id, const char *prefix,
	struct ice_writer **ret_writer, struct weir_error *err);
/* Makes written files durable: their handles are taken. */
int jobs_durable(struct jobs *jobs, struct ice_written *written, struct weir_error *err);
/* Frees the description; what never became durable is abandoned. Files of a commit that failed are jobs_give_up's: only by the
 * prefix's row is it known whether an unknown outcome was one. */
void jobs_written_free(struct jobs *jobs, struct ice_written *written);
/* A round failed: what it wrote under its prefix is destroyed, now or by jobs_retire. */
void jobs_give_up(struct jobs *jobs, const char *prefix);
/* Destroys what failed rounds left; until that is done nothing is removed, for a removal promises that no byte is left. */
int jobs_retire(struct jobs *jobs, struct weir_error *err);

#endif
