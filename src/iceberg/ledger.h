/*
 * Rows that a snapshot took away, remembered by hash, so that those that it gave back with the same values, or with another
 * row of the same identity, are known when both are told (changelog.c).
 *
 * Use: ice_ledger_gone for each row that goes; ice_ledger_came for each that comes; ice_ledger_settle; then
 * ice_ledger_tell_gone and ice_ledger_tell_came for the same rows again, which say what to tell of each.
 */
#ifndef WEIR_ICEBERG_LEDGER_H
#define WEIR_ICEBERG_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct ice_row_hash {
	uint64_t a, b;
};

enum ice_row_fate {
	ICE_ROW_CARRIED, /* gone and back: nothing happened to it */
	ICE_ROW_CHANGED, /* gone, or come */
	ICE_ROW_UPDATED, /* another row with its identity came, or went */
};

struct ice_ledger;
struct ice_ledger *ice_ledger_new(bool pair_equal, bool pair_identity);
void ice_ledger_free(struct ice_ledger *ledger);
void ice_ledger_gone(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity);
void ice_ledger_came(struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity);
void ice_ledger_settle(struct ice_ledger *ledger);
enum ice_row_fate ice_ledger_tell_gone(
	struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity);
enum ice_row_fate ice_ledger_tell_came(
	struct ice_ledger *ledger, struct ice_row_hash row, struct ice_row_hash identity);

#endif
