#ifndef WEIR_ENGINE_INT_H
#define WEIR_ENGINE_INT_H

#include <pthread.h>

#include "engine/engine.h"
#include "jobs/check.h"
#include "jobs/jobs.h"
#include "jobs/maintain.h"

struct engine {
	const struct lake *lake;
	struct engine_options options;
	struct weir_arena *arena;
	int lease_fd;
	struct control *control;
	struct store *store;
	struct bus *bus;
	struct sql *transforms; /* threads = 1 */
	struct sql *free_sql;   /* opened on first use; under sql_lock */
	pthread_mutex_t sql_lock;
	struct ice_cache *cache;
	struct ice_registry *registry;
	uint32_t dead_letters_table, audit_table; /* in the registry, after the lake's own */
	struct consent_vocabulary *vocabularies;
	struct consent **consents;
	struct stream **streams;
	struct ingest *ingest;
	struct access *access;
	struct jobs *jobs;
	struct maintain *maintain; /* of the tables of others; NULL: lake.yaml does not ask for it */

	pthread_t background;
	bool has_background;
	pthread_mutex_t lock; /* stopping, the rate */
	pthread_cond_t changed;
	bool stopping;
	pthread_mutex_t step_lock; /* one step of background work at a time */
	int64_t started_us;
	uint64_t rate_events; /* of the status before, for events a second */
	int64_t rate_us;
	double rate;
};

/* tables.c: the lake's tables and weir's own, made where missing, loaded into the registry in the lake's order. */
int engine_open_tables(struct engine *engine, struct weir_error *err);

#endif
