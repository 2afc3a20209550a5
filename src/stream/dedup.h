/*
 * Which event ids were seen: exact within (key, id), by the time an event was appended to the log.
 *
 * Ids are held as 128-bit hashes in generations of an eighth of the window; a generation goes when all of
 * it is older than the window. Not thread-safe: one a shard.
 */
#ifndef WEIR_STREAM_DEDUP_H
#define WEIR_STREAM_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct stream_dedup;

struct stream_id {
	uint64_t words[2];
};

struct stream_dedup *stream_dedup_new(int64_t window_us);
void stream_dedup_free(struct stream_dedup *dedup);
/* The hash of an id within its key. */
struct stream_id stream_id_of(struct weir_str key, struct weir_str id);
/* True where the id was seen within the window that ends at arrival_us. */
bool stream_dedup_seen(const struct stream_dedup *dedup, struct stream_id id, int64_t arrival_us);
/* Brings the id's slots nearer, for a look at it a little later. */
void stream_dedup_prefetch(const struct stream_dedup *dedup, struct stream_id id);
/* Remembers it; arrival times come in any order. */
void stream_dedup_add(struct stream_dedup *dedup, struct stream_id id, int64_t arrival_us);
/* Forgets generations that lie before the window that ends at now_us. */
void stream_dedup_expire(struct stream_dedup *dedup, int64_t now_us);
uint64_t stream_dedup_count(const struct stream_dedup *dedup);
uint64_t stream_dedup_bytes(const struct stream_dedup *dedup);

#endif
