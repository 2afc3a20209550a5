/*
 * Deleting rows without rewriting their files: what goes of each data file becomes a deletion vector (format version 3) or
 * position deletes in Parquet (version 2), as an edit that the caller commits like any other.
 */
#ifndef WEIR_ICEBERG_ROW_DELTA_H
#define WEIR_ICEBERG_ROW_DELTA_H

#include "iceberg/puffin.h"

/*
 * Writes position deletes (table specification, "Position Delete Files") of format version 2, sorted by path and position:
 * `<location>/data/<prefix>-deletes-<n>.parquet`. One file for each data file, which it then references; or, where the table
 * property write.delete.granularity is "partition", one for all data files of a partition. The vectors hold what is to be
 * deleted besides what is deleted already. Files of a row delta (struct ice_edit, added), in arena. Durable on return.
 * WEIR_E_UNSUPPORTED in other versions.
 */
int ice_position_deletes_write(struct ice_table *table, const struct ice_vector *vectors, uint32_t count,
	struct weir_str prefix, struct weir_arena *arena, struct ice_data_file **ret_files, uint32_t *ret_count,
	struct weir_error *err);

struct ice_row_delta {
	/* operation, added, removed, removed_deletes, referenced, branch and prefix are set; all in the arena */
	struct ice_edit edit;
	uint64_t rows; /* that the filter takes; 0: there is nothing to commit */
};

/*
 * Deletes the rows of a branch (size 0: main) for which the filter is true. Vectors or position deletes, as the format version
 * has it; what older deletes of just one file held is taken up and they are removed; files of which no row is left are removed
 * themselves. The filter's columns are top-level ones of the table's schema. Files that were written are durable on return.
 * Whoever commits after another writer has changed one of the files gets WEIR_E_CONFLICT; rows that are added meanwhile stay.
 */
int ice_delete_rows(struct ice_table *table, const struct expr_filter *filter, struct weir_str branch,
	struct weir_str prefix, struct weir_arena *arena, struct ice_row_delta *ret_delta, struct weir_error *err);

#endif
