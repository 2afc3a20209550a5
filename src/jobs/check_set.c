/* Sets of 128-bit keys: what a check remembers of names, pairs and rows without holding their bytes. */
#include <stdlib.h>

#include "base/hash.h"
#include "jobs/check_int.h"

struct check_key check_key_add(struct check_key key, struct weir_str part)
{
	struct check_key next = {
		weir_hash64_seeded(part.data, part.size, key.a), weir_hash64_seeded(part.data, part.size, key.b)};
	return next;
}

static struct check_slot *slot_of(const struct check_set *set, struct check_key key)
{
	uint64_t at = key.a & (set->capacity - 1);
	while (set->slots[at].value != 0 && (set->slots[at].key.a != key.a || set->slots[at].key.b != key.b))
		at = (at + 1) & (set->capacity - 1);
	return &set->slots[at];
}

static void grow(struct check_set *set)
{
	struct check_set larger = {.capacity = set->capacity > 0 ? 2 * set->capacity : 64, .count = set->count};
	larger.slots = weir_zalloc(larger.capacity * sizeof *larger.slots);
	for (uint64_t i = 0; i < set->capacity; i++)
		if (set->slots[i].value != 0)
			*slot_of(&larger, set->slots[i].key) = set->slots[i];
	free(set->slots);
	*set = larger;
}

uint64_t *check_set_put(struct check_set *set, struct check_key key)
{
	if (2 * (set->count + 1) > set->capacity)
		grow(set);
	struct check_slot *slot = slot_of(set, key);
	if (slot->value == 0) {
		slot->key = key;
		set->count++;
	}
	return &slot->value;
}

uint64_t check_set_get(const struct check_set *set, struct check_key key)
{
	return set->count > 0 ? slot_of(set, key)->value : 0;
}

void check_set_clear(struct check_set *set)
{
	if (set->capacity > 0)
		memset(set->slots, 0, set->capacity * sizeof *set->slots);
	set->count = 0;
}

void check_set_done(struct check_set *set)
{
	free(set->slots);
	*set = (struct check_set){0};
}
