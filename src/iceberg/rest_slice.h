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

/* What a reader of a slice opens, as names in the store: its list and manifests one by one, its data files by folders that
 * hold such files alone. */
struct ice_slice_objects {
	const char **names, **folders;
	uint32_t name_count, folder_count;
};
/* slice: the table as its readers see it. WEIR_E_UNSUPPORTED where a file of the slice lies elsewhere than in the folder that
 * its value of the column has (`data/COLUMN=VALUE`), or a value does not stand for itself in a path. In arena. */
int ice_slice_objects(struct ice_table *slice, struct weir_str column, const struct weir_str *values,
	uint32_t value_count, struct weir_arena *arena, struct ice_slice_objects *ret_objects, struct weir_error *err);

#endif
