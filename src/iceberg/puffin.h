/*
 * Puffin files: blobs and a footer that says where they are and of what type (Puffin specification, version 1).
 *
 *   | PFA1 | blob ... | PFA1 | footer, JSON | its size, i32 | flags, 4 bytes | PFA1 |      little-endian
 */
#ifndef WEIR_ICEBERG_PUFFIN_H
#define WEIR_ICEBERG_PUFFIN_H

#include "iceberg/positions.h"
#include "iceberg/table.h"

#define ICE_PUFFIN_FOOTER_MAX (16U << 20)
#define ICE_PUFFIN_BLOB_MAX   (256U << 20) /* decompressed */

struct ice_puffin_blob {
	struct weir_str type;  /* "deletion-vector-v1" */
	struct weir_str codec; /* "zstd", "lz4"; size 0: none */
	int64_t snapshot_id, sequence_number;
	uint64_t offset, size_bytes;
	uint32_t property_count;
	struct ice_kv *properties;
};

struct ice_puffin {
	uint32_t blob_count;
	struct ice_puffin_blob *blobs;
	uint32_t property_count;
	struct ice_kv *properties;
};

/* The footer; in arena. A footer that is compressed is WEIR_E_UNSUPPORTED. */
int ice_puffin_read(struct weir_arena *arena, struct weir_byte_source source, struct ice_puffin **ret_puffin,
	struct weir_error *err);
/* A blob's bytes, decompressed (zstd). */
int ice_puffin_blob_read(struct weir_byte_source source, const struct ice_puffin_blob *blob, struct weir_buf *out,
	struct weir_error *err);

/* The rows of one data file to be deleted: all of them, also those of an earlier vector that this one replaces. */
struct ice_vector {
	const struct ice_data_file *file;
	const struct ice_positions *positions;
};
/*
 * Writes deletion vectors into one Puffin file of the table, `<location>/data/<prefix>-deletes.puffin`: files of a row delta
 * (struct ice_edit, added), in arena. Durable on return. Version 3.
 */
int ice_vectors_write(struct ice_table *table, const struct ice_vector *vectors, uint32_t count, struct weir_str prefix,
	struct weir_arena *arena, struct ice_data_file **ret_files, struct weir_error *err);
/* The positions that a planned file's vector and position deletes take away; for those who add to them. */
int ice_file_deleted_positions(struct ice_table *table, const struct ice_data_file *file,
	struct ice_positions **ret_positions, struct weir_error *err);

#endif
