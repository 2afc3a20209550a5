/*
 * The files of a gold table that lose rows: first, where it is worth it, a row delta that deletes those rows by position, then
 * files without them (docs/CONSENT.md, "Bytes"). What goes is decided by reindex.c; here it is positions alone.
 */
#ifndef WEIR_JOBS_REMOVAL_H
#define WEIR_JOBS_REMOVAL_H

#include "iceberg/row_delta.h"

struct removal_file {
	const struct ice_data_file *file; /* planned: with the deletes that it has */
	struct ice_positions *fresh;      /* rows that go, besides those that its deletes took already */
};

/*
 * Writes the deletes of what is fresh, durably: vectors in Puffin in a table of version 3, which take up those of before,
 * position deletes in version 2. Fills the edit's operation, added, referenced and removed_deletes, in arena; added_count 0:
 * nothing is fresh.
 */
int removal_delta(struct ice_table *table, const struct removal_file *files, uint32_t count, struct weir_str prefix,
	struct weir_arena *arena, struct ice_edit *edit, struct weir_error *err);
/* The delete files that nothing needs once the files are rewritten, in arena: theirs, less what the delta removed, and the
 * delta's own. delta NULL: there was none. */
void removal_spend(const struct removal_file *files, uint32_t count, const struct ice_edit *delta,
	struct weir_arena *arena, struct ice_data_file **ret_spent, uint32_t *ret_count);
/* Writes the rows that stay, in their order. */
int removal_rewrite(
	struct ice_table *table, const struct removal_file *file, struct ice_writer *writer, struct weir_error *err);

#endif
