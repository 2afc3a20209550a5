#include "stream/dedup.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/error.h"

#define GENERATIONS_A_WINDOW 8
#define FIRST_SLOTS          1024

/* An open-addressing set; the all-zero id marks an empty slot. */
struct generation {
	int64_t number; /* arrival / width */
	struct stream_id *slots;
	uint64_t slot_count, count;
};

struct stream_dedup {
	int64_t width_us, window_us;
	struct generation *generations;
	uint32_t count, capacity;
};

struct stream_dedup *stream_dedup_new(int64_t window_us)
{
	struct stream_dedup *dedup = weir_zalloc(sizeof *dedup);
	dedup->window_us = window_us;
	dedup->width_us = window_us / GENERATIONS_A_WINDOW > 0 ? window_us / GENERATIONS_A_WINDOW : 1;
	return dedup;
}

void stream_dedup_free(struct stream_dedup *dedup)
{
	if (dedup == NULL)
		return;
	for (uint32_t i = 0; i < dedup->count; i++)
		free(dedup->generations[i].slots);
	free(dedup->generations);
	free(dedup);
}

struct stream_id stream_id_of(struct weir_str key, struct weir_str id)
{
	XXH128_hash_t hash = XXH3_128bits_withSeed(id.data, id.size, XXH3_64bits(key.data, key.size));
	/* The seed alone is 64 bits of the key; the second word takes it in once more. */
	struct stream_id result = {{hash.low64, hash.high64 ^ XXH3_64bits_withSeed(key.data, key.size, 1)}};
	if (result.words[0] == 0 && result.words[1] == 0)
		result.words[0] = 1;
	return result;
}

static struct stream_id *find_slot(const struct generation *generation, struct stream_id id)
{
	uint64_t mask = generation->slot_count - 1;
	for (uint64_t at = id.words[0] & mask;; at = (at + 1) & mask) {
		struct stream_id *slot = &generation->slots[at];
		bool empty = slot->words[0] == 0 && slot->words[1] == 0;
		if (empty || (slot->words[0] == id.words[0] && slot->words[1] == id.words[1]))
			return slot;
	}
}

static bool is_empty(const struct stream_id *slot)
{
	return slot->words[0] == 0 && slot->words[1] == 0;
}

bool stream_dedup_seen(const struct stream_dedup *dedup, struct stream_id id, int64_t arrival_us)
{
	int64_t oldest = (arrival_us - dedup->window_us) / dedup->width_us;
	for (uint32_t i = dedup->count; i > 0; i--) {
		const struct generation *generation = &dedup->generations[i - 1];
		if (generation->number >= oldest && !is_empty(find_slot(generation, id)))
			return true;
	}
	return false;
}

void stream_dedup_prefetch(const struct stream_dedup *dedup, struct stream_id id)
{
	for (uint32_t i = 0; i < dedup->count; i++)
		__builtin_prefetch(&dedup->generations[i].slots[id.words[0] & (dedup->generations[i].slot_count - 1)]);
}

static void generation_grow(struct generation *generation)
{
	struct generation larger = *generation;
	larger.slot_count = generation->slot_count * 2;
	larger.slots = weir_zalloc(larger.slot_count * sizeof *larger.slots);
	for (uint64_t i = 0; i < generation->slot_count; i++)
		if (!is_empty(&generation->slots[i]))
			*find_slot(&larger, generation->slots[i]) = generation->slots[i];
	free(generation->slots);
	*generation = larger;
}

void stream_dedup_add(struct stream_dedup *dedup, struct stream_id id, int64_t arrival_us)
{
	int64_t number = arrival_us / dedup->width_us;
	struct generation *generation = NULL;
	for (uint32_t i = 0; i < dedup->count && generation == NULL; i++)
		if (dedup->generations[i].number == number)
			generation = &dedup->generations[i];
	if (generation == NULL) {
		WEIR_GROW(dedup->generations, dedup->count, dedup->capacity);
		generation = &dedup->generations[dedup->count++];
		*generation = (struct generation){.number = number, .slot_count = FIRST_SLOTS};
		generation->slots = weir_zalloc(FIRST_SLOTS * sizeof *generation->slots);
	}
	struct stream_id *slot = find_slot(generation, id);
	if (!is_empty(slot))
		return;
	*slot = id;
	generation->count++;
	if (generation->count * 10 > generation->slot_count * 7)
		generation_grow(generation);
}

void stream_dedup_expire(struct stream_dedup *dedup, int64_t now_us)
{
	int64_t oldest = (now_us - dedup->window_us) / dedup->width_us;
	uint32_t kept = 0;
	for (uint32_t i = 0; i < dedup->count; i++) {
		if (dedup->generations[i].number < oldest)
			free(dedup->generations[i].slots);
		else
			dedup->generations[kept++] = dedup->generations[i];
	}
	dedup->count = kept;
}

uint64_t stream_dedup_count(const struct stream_dedup *dedup)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < dedup->count; i++)
		count += dedup->generations[i].count;
	return count;
}

uint64_t stream_dedup_bytes(const struct stream_dedup *dedup)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < dedup->count; i++)
		bytes += dedup->generations[i].slot_count * sizeof(struct stream_id);
	return bytes;
}
