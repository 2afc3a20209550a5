/*
 * A store over a slower one (S3), with local copies of its objects. What is written is kept as it goes by, what is read
 * is fetched whole and once; objects never change, so that a copy is good for as long as its object is there. Copies
 * live in one directory, in files named by the hash of their names, and are dropped, least recently used first, where
 * they grow past a limit; one whose path was given out, or that is being read, is not. A deletion deletes the copy as
 * well.
 *
 * Copies outlive the process where it ends in order; after a crash nobody knows which of them are whole on the disk,
 * and all are dropped at the next start. The directory belongs to one process, and to one warehouse: another's copies
 * are dropped.
 */
#ifndef WEIR_STORE_CACHE_H
#define WEIR_STORE_CACHE_H

#include "store/store.h"

#define STORE_CACHE_BYTES (10ULL << 30) /* where nothing else is said */

struct store_cache_options {
	const char *directory; /* made, mode 0700 */
	uint64_t limit_bytes;  /* of all copies; an object larger than a quarter of it is read by ranges. 0:
	                          STORE_CACHE_BYTES */
	const char *identity;  /* tells warehouses apart: endpoint, bucket, prefix */
};

/* Takes the store below, also on error. */
int store_cache_open(const struct store_cache_options *options, struct store *take_below, struct store **ret_store,
	struct weir_error *err);

struct store_cache_counts {
	uint64_t bytes, objects, hits, fetches, dropped;
};
void store_cache_counts(struct store *store, struct store_cache_counts *ret_counts);

#endif
