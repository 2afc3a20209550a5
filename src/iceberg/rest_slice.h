/*
 * A slice of a table: a manifest list over those manifests of the current snapshot that hold rows of given values of
 * one identity partition field. Readers of the slice see a snapshot like any other; manifests and data files are the
 * table's.
 */
#ifndef WEIR_ICEBERG_REST_SLICE_H
#define WEIR_ICEBERG_REST_SLICE_H

#include "iceberg/table.h"

struct ice_slice {
	struct weir_str list; /* URI of the manifest list, in the arena given; size 0: the table has no snapshot */
	uint64_t data_files, delete_files, rows, delete_rows;
};
/*
 * Writes the list as `file` (a name in the store), durable. column: whose identity partition field the table's specs
 * have; values: the texts that the slice holds. Fails closed: WEIR_E_CORRUPT where a manifest may hold rows of several
 * values.
 */
int ice_slice_write(struct ice_table *table, struct weir_str column, const struct weir_str *values,
	uint32_t value_count, const char *file, struct weir_arena *arena, struct ice_slice *ret_slice,
	struct weir_error *err);

#endif
