/*
 * Two open-addressing tables: rows by the hash of their values, identities by that of the identifier columns. Only what goes
 * makes entries; what comes is looked up.
 */
#include "iceberg/ledger.h"

#include <stdlib.h>

#include "base/arena.h"

#define FIRST_SLOTS 1024

/* A row's values: how many such rows went, how many of them came back, and how many of those were told so far. */
struct row {
	struct ice_row_hash hash;
	uint32_t identity; /* index of struct identity */
	uint32_t gone, back, told_gone, told_came;
};

struct identity {
	struct ice_row_hash hash;
	uint32_t gone, came; /* rows that did not just come back */
};

/* Slots hold index + 1; 0 is free. */
struct index {
	uint32_t *slots;
	uint32_t slot_count;
};

struct ice_ledger {
	bool pair_equal, pair_identity;
	struct row *rows;
	uint32_t row_count, row_capacity;
	struct identity *identities;
	uint32_t identity_count, identity_capacity;
	struct index row_index, identity_index;
};

struct ice_ledger *ice_ledger_new(bool pair_equal, bool pair_identity)
{
	struct ice_ledger *ledger = weir_zalloc(sizeof *ledger);
	ledger->pair_equal = pair_equal;
	ledger->pair_identity = pair_identity;
	return ledger;
}

void ice_ledger_free(struct ice_ledger *ledger)
{
	if (ledger == NULL)
		return;
	free(ledger->rows);
	free(ledger->identities);
	free(ledger->row_index.slots);
	free(ledger->identity_index.slots);
	free(ledger);
}

static bool same(struct ice_row_hash a, struct ice_row_hash b)
{
	return a.a == b.a && a.b == b.b;
}

static struct ice_row_hash hash_at(const struct ice_ledger *ledger, const struct index *index, uint32_t item)
{
	return index == &ledger->row_index ? ledger->rows[item].hash : ledger->identities[item].hash;
}

/* The slot of a hash, or the free one where it would be. */
static uint32_t *find(const struct ice_ledger *ledger, const struct index *index, struct ice_row_hash hash)
{
	uint32_t mask = index->slot_count - 1, at = (uint32_t)hash.a & mask;
	while (index->slots[at] != 0 && !same(hash_at(ledger, index, index->slots[at] - 1), hash))
		at = (at + 1) & mask;
	return &index->slots[at];
}

static void make_room(struct ice_ledger *ledger, struct index *index, uint32_t count)
{
	if (index->slot_count > 0 && count < index->slot_count / 4 * 3)
		return;
	free(index->slots);
	index->slot_count = index->slot_count > 0 ? 2 * index->slot_count : FIRST_SLOTS;
	index->slots = weir_zalloc(index->slot_count * sizeof *index->slots);
	for (uint32_t i = 0; i < count; i++)
		*find(ledger, index, hash_at(ledger, index, i)) = i + 1;
}

static uint32_t identity_of(struct ice_ledger *ledger, struct ice_row_hash hash)
{
	make_room(ledger, &ledger->identity_index, ledger->identity_count);
	uint32_t *slot = find(ledger, &ledger->identity_index, hash);
	if (*slot == 0) {
		WEIR_GROW(ledger->identities, ledger->identity_count, ledger->identity_capacity);
		ledger->identities[ledger->identity_count] = (struct identity){.hash = hash};
		*slot = ++ledger->identity_count;
	}
	return *slot - 1;
}

void ice_ledger_gone(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity)
{
	make_room(ledger, &ledger->row_index, ledger->row_count);
	uint32_t *slot = find(ledger, &ledger->row_index, row);
	if (*slot == 0) {
		WEIR_GROW(ledger->rows, ledger->row_count, ledger->row_capacity);
		ledger->rows[ledger->row_count] = (struct row){.hash = row};
		*slot = ++ledger->row_count;
		if (ledger->pair_identity)
			ledger->rows[*slot - 1].identity = identity_of(ledger, identity);
	}
	ledger->rows[*slot - 1].gone++;
}

static struct row *row_of(const struct ice_ledger *ledger, struct ice_row_hash hash)
{
	uint32_t slot = ledger->row_index.slot_count > 0 ? *find(ledger, &ledger->row_index, hash) : 0;
	return slot > 0 ? &ledger->rows[slot - 1] : NULL;
}

static struct identity *known_identity(const struct ice_ledger *ledger, struct ice_row_hash hash)
{
	uint32_t slot = ledger->identity_index.slot_count > 0 ? *find(ledger, &ledger->identity_index, hash) : 0;
	return slot > 0 ? &ledger->identities[slot - 1] : NULL;
}

void ice_ledger_came(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity)
{
	struct row *equal = ledger->pair_equal ? row_of(ledger, row) : NULL;
	if (equal != NULL && equal->back < equal->gone) {
		equal->back++;
		return;
	}
	struct identity *known = ledger->pair_identity ? known_identity(ledger, identity) : NULL;
	if (known != NULL)
		known->came++;
}

void ice_ledger_settle(struct ice_ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->row_count && ledger->pair_identity; i++)
		ledger->identities[ledger->rows[i].identity].gone += ledger->rows[i].gone - ledger->rows[i].back;
}

static enum ice_row_fate by_identity(const struct ice_ledger *ledger, struct ice_row_hash hash)
{
	const struct identity *known = ledger->pair_identity ? known_identity(ledger, hash) : NULL;
	return known != NULL && known->gone == 1 && known->came == 1 ? ICE_ROW_UPDATED : ICE_ROW_CHANGED;
}

enum ice_row_fate ice_ledger_tell_gone(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity)
{
	struct row *equal = row_of(ledger, row);
	if (equal != NULL && equal->told_gone < equal->back) {
		equal->told_gone++;
		return ICE_ROW_CARRIED;
	}
	return by_identity(ledger, identity);
}

enum ice_row_fate ice_ledger_tell_came(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity)
{
	struct row *equal = row_of(ledger, row);
	if (equal != NULL && equal->told_came < equal->back) {
		equal->told_came++;
		return ICE_ROW_CARRIED;
	}
	return by_identity(ledger, identity);
}
