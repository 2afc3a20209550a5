/*
 * The fence: which (subject, purpose) pairs are hidden below which number. Immutable for readers;
 * a change copies the touched partitions and shares the rest.
 */
#include "consent/consent_int.h"

#include <stdlib.h>

#define FENCE_PARTITIONS 256
#define PARTITION_FIRST  4

struct entry {
	atomic_uint_fast32_t refs;
	uint32_t purpose;
	uint64_t hash, lsn;
	size_t size;
	char subject[];
};

/* Open addressing; an entry is taken out by building the partition anew. */
struct partition {
	atomic_uint_fast32_t refs;
	uint32_t count, capacity;
	struct entry *entries[];
};

struct consent_fence {
	atomic_uint_fast32_t refs;
	uint64_t count;
	uint64_t purpose_counts[CONSENT_PURPOSES_MAX];
	struct partition *partitions[FENCE_PARTITIONS]; /* NULL: empty */
};

static uint64_t pair_hash(struct weir_str subject, uint32_t purpose)
{
	return weir_hash64_seeded(subject.data, subject.size, purpose);
}

static void entry_unref(struct entry *entry)
{
	if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1)
		free(entry);
}

static void partition_unref(struct partition *partition)
{
	if (partition == NULL || atomic_fetch_sub_explicit(&partition->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (uint32_t i = 0; i < partition->capacity; i++)
		if (partition->entries[i] != NULL)
			entry_unref(partition->entries[i]);
	free(partition);
}

static struct partition *partition_new(uint32_t capacity)
{
	struct partition *partition = weir_zalloc(sizeof *partition + capacity * sizeof partition->entries[0]);
	atomic_init(&partition->refs, 1);
	partition->capacity = capacity;
	return partition;
}

static void partition_add(struct partition *partition, struct entry *entry)
{
	uint32_t mask = partition->capacity - 1, at = (uint32_t)entry->hash & mask;
	while (partition->entries[at] != NULL)
		at = (at + 1) & mask;
	partition->entries[at] = entry;
	partition->count++;
}

static struct entry **partition_find(
	struct partition *partition, uint64_t hash, struct weir_str subject, uint32_t purpose)
{
	if (partition == NULL)
		return NULL;
	uint32_t mask = partition->capacity - 1;
	for (uint32_t at = (uint32_t)hash & mask; partition->entries[at] != NULL; at = (at + 1) & mask) {
		const struct entry *entry = partition->entries[at];
		if (entry->hash == hash && entry->purpose == purpose &&
			weir_str_equal((struct weir_str){entry->subject, entry->size}, subject))
			return &partition->entries[at];
	}
	return NULL;
}

/* A copy without `except`, with room for one more. */
static struct partition *partition_copy(const struct partition *from, const struct entry *except)
{
	uint32_t capacity = from->capacity;
	if ((from->count + 1) * 4 > capacity * 3)
		capacity *= 2;
	struct partition *copy = partition_new(capacity);
	for (uint32_t i = 0; i < from->capacity; i++) {
		struct entry *entry = from->entries[i];
		if (entry == NULL || entry == except)
			continue;
		atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
		partition_add(copy, entry);
	}
	return copy;
}

struct consent_fence *consent_fence_new(void)
{
	struct consent_fence *fence = weir_zalloc(sizeof *fence);
	atomic_init(&fence->refs, 1);
	return fence;
}

struct consent_fence *consent_fence_hold(struct consent_fence *fence)
{
	atomic_fetch_add_explicit(&fence->refs, 1, memory_order_relaxed);
	return fence;
}

void consent_fence_unref(struct consent_fence *fence)
{
	if (fence == NULL || atomic_fetch_sub_explicit(&fence->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; i < FENCE_PARTITIONS; i++)
		partition_unref(fence->partitions[i]);
	free(fence);
}

struct consent_fence *consent_fence_copy(const struct consent_fence *fence)
{
	struct consent_fence *copy = consent_fence_new();
	copy->count = fence->count;
	memcpy(copy->purpose_counts, fence->purpose_counts, sizeof copy->purpose_counts);
	for (unsigned i = 0; i < FENCE_PARTITIONS; i++) {
		copy->partitions[i] = fence->partitions[i];
		if (copy->partitions[i] != NULL)
			atomic_fetch_add_explicit(&copy->partitions[i]->refs, 1, memory_order_relaxed);
	}
	return copy;
}

/* The partition of a hash, for this fence alone and with room for one more. */
static struct partition *partition_own(struct consent_fence *own, uint64_t hash)
{
	struct partition **place = &own->partitions[hash >> 56], *old = *place;
	if (old == NULL)
		return *place = partition_new(PARTITION_FIRST);
	bool alone = atomic_load_explicit(&old->refs, memory_order_acquire) == 1;
	if (alone && (old->count + 1) * 4 <= old->capacity * 3)
		return old;
	*place = partition_copy(old, NULL);
	partition_unref(old);
	return *place;
}

void consent_fence_put(struct consent_fence *own, struct weir_str subject, uint32_t purpose, uint64_t lsn)
{
	WEIR_ASSERT(purpose < CONSENT_PURPOSES_MAX);
	uint64_t hash = pair_hash(subject, purpose);
	struct partition *partition = partition_own(own, hash);
	struct entry **found = partition_find(partition, hash, subject, purpose);
	if (found != NULL && (*found)->lsn >= lsn)
		return;
	struct entry *entry = weir_alloc(sizeof *entry + subject.size);
	atomic_init(&entry->refs, 1);
	entry->purpose = purpose;
	entry->hash = hash;
	entry->lsn = lsn;
	entry->size = subject.size;
	if (subject.size > 0)
		memcpy(entry->subject, subject.data, subject.size);
	if (found != NULL) {
		entry_unref(*found);
		*found = entry;
		return;
	}
	partition_add(partition, entry);
	own->count++;
	own->purpose_counts[purpose]++;
}

void consent_fence_lift(struct consent_fence *own, struct weir_str subject, uint32_t purpose)
{
	uint64_t hash = pair_hash(subject, purpose);
	struct partition **place = &own->partitions[hash >> 56], *old = *place;
	struct entry **found = partition_find(old, hash, subject, purpose);
	if (found == NULL)
		return;
	*place = partition_copy(old, *found);
	partition_unref(old);
	own->count--;
	own->purpose_counts[purpose]--;
}

uint64_t consent_fence_lsn(const struct consent_fence *fence, struct weir_str subject, uint32_t purpose)
{
	uint64_t hash = pair_hash(subject, purpose);
	struct entry **found = partition_find(fence->partitions[hash >> 56], hash, subject, purpose);
	return found != NULL ? (*found)->lsn : 0;
}

uint64_t consent_fence_count(const struct consent_fence *fence)
{
	return fence->count;
}

bool consent_fence_hides(const struct consent_fence *fence, struct weir_str subject, uint32_t purpose, uint64_t row_lsn)
{
	if (purpose >= CONSENT_PURPOSES_MAX || fence->purpose_counts[purpose] == 0)
		return false;
	return row_lsn < consent_fence_lsn(fence, subject, purpose);
}

bool consent_fence_touches(const struct consent_fence *fence, uint32_t purpose)
{
	return purpose < CONSENT_PURPOSES_MAX && fence->purpose_counts[purpose] > 0;
}

void consent_fence_each(const struct consent_fence *fence, consent_fence_fn *entry, void *context)
{
	for (unsigned i = 0; i < FENCE_PARTITIONS; i++) {
		const struct partition *partition = fence->partitions[i];
		for (uint32_t j = 0; partition != NULL && j < partition->capacity; j++)
			if (partition->entries[j] != NULL)
				entry(context,
					(struct weir_str){partition->entries[j]->subject, partition->entries[j]->size},
					partition->entries[j]->purpose, partition->entries[j]->lsn);
	}
}

/* ---- the one that readers get ---- */

struct consent_fence *consent_fence_ref(struct consent *consent)
{
	pthread_mutex_lock(&consent->lock);
	struct consent_fence *fence = consent_fence_hold(consent->fence);
	pthread_mutex_unlock(&consent->lock);
	return fence;
}

/* The generation moves after the fence: who saw the old one together with the new fence plans once too often. */
void consent_publish_fence(struct consent *consent, struct consent_fence *take_fence)
{
	pthread_mutex_lock(&consent->lock);
	struct consent_fence *old = consent->fence;
	consent->fence = take_fence;
	pthread_mutex_unlock(&consent->lock);
	atomic_fetch_add_explicit(&consent->fence_generation, 1, memory_order_release);
	consent_fence_unref(old);
}

uint64_t consent_fence_generation(const struct consent *consent)
{
	return atomic_load_explicit(&consent->fence_generation, memory_order_acquire);
}
