/* A set of borrowed texts: open addressing, at most half full. */
#include <stdlib.h>

#include "base/hash.h"
#include "iceberg/internal.h"

static size_t slot_of(const struct ice_name_set *set, struct weir_str name)
{
	size_t at = weir_hash64(name.data, name.size) & (set->capacity - 1);
	while (set->slots[at].data != NULL && !weir_str_equal(set->slots[at], name))
		at = (at + 1) & (set->capacity - 1);
	return at;
}

static void grow(struct ice_name_set *set)
{
	struct ice_name_set larger = {.capacity = set->capacity > 0 ? 2 * set->capacity : 64, .count = set->count};
	larger.slots = weir_realloc(NULL, larger.capacity, sizeof *larger.slots);
	memset(larger.slots, 0, larger.capacity * sizeof *larger.slots);
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slots[i].data != NULL)
			larger.slots[slot_of(&larger, set->slots[i])] = set->slots[i];
	free(set->slots);
	*set = larger;
}

bool ice_name_set_add(struct ice_name_set *set, struct weir_str name)
{
	if (2 * (set->count + 1) > set->capacity)
		grow(set);
	size_t at = slot_of(set, name);
	if (set->slots[at].data != NULL)
		return false;
	set->slots[at] = (struct weir_str){name.data != NULL ? name.data : "", name.size};
	set->count++;
	return true;
}

bool ice_name_set_has(const struct ice_name_set *set, struct weir_str name)
{
	return set->count > 0 && set->slots[slot_of(set, name)].data != NULL;
}

void ice_name_set_done(struct ice_name_set *set)
{
	free(set->slots);
	*set = (struct ice_name_set){0};
}
