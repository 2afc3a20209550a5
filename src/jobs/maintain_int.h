/* Shared by maintain.c (rounds, and which tables) and maintain_table.c (the work on one table). */
#ifndef WEIR_JOBS_MAINTAIN_INT_H
#define WEIR_JOBS_MAINTAIN_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "jobs/maintain.h"

#define MAINTAIN_CACHE_BYTES      (64U << 20)
#define MAINTAIN_ORPHANS_EVERY_US WEIR_US_PER_DAY
#define MAINTAIN_SWEEP_GRACE_US   (60 * WEIR_US_PER_SECOND)
#define MAINTAIN_ATTEMPTS         10 /* of one commit whose table moves, where it says no other number */
#define MAINTAIN_RETRIES_MAX      1000

/* A table of the database, as far as it is known from one round to the next. */
struct maintain_table {
	struct weir_str catalog, ns, name; /* in arena, as are all texts here */
	struct weir_str pointer;           /* of its newest version, when it was seen last */
	struct weir_str folders[2]; /* of its files, and of its metadata file: names in the store; size 0: elsewhere */
	struct weir_arena *arena;
	bool is_there;  /* in this round */
	bool is_own;    /* weir's; or in another catalog of the database: not to be changed here */
	bool is_shared; /* its folder and another table's are one, or one in the other: nothing of it is deleted */
	struct weir_str quiet; /* the version in which nothing was left to compact */
	int64_t expire_ms;     /* before that no snapshot of `quiet` is old enough */
	int64_t orphans_us;    /* when its folder was listed last; 0: never */
};

struct maintain {
	struct maintain_config config;
	struct lake_maintain settings;
	struct store *store;
	struct control *control;
	struct ice_cache *cache;
	struct maintain_table *tables;
	uint32_t count, capacity;
	pthread_mutex_t lock; /* numbers, the wait for stopping */
	pthread_cond_t changed;
	struct maintain_numbers numbers;
	atomic_bool stopping;
	pthread_t thread;
	bool has_thread;
};

/* Everything that is due on one table. *ret_did where it changed. WEIR_E_CANCELLED where the work is to stop. */
int maintain_table_work(struct maintain *maintain, struct maintain_table *table, bool *ret_did, struct weir_error *err);
void maintain_count(struct maintain *maintain, const struct maintain_numbers *more);

#endif
