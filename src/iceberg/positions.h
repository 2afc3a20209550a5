/*
 * Sets of row positions: what a deletion vector holds. In memory chunks of 65,536 positions, each an array or a bitmap;
 * as bytes Roaring's portable format for 64 bits, framed as Iceberg has it (table specification, "Deletion Vectors").
 *
 *   deletion-vector-v1: | u32 length, big-endian | D1 D3 39 64 | 64-bit portable Roaring | u32 CRC-32, big-endian |
 *   length and CRC-32 are of the magic and the bitmap.
 */
#ifndef WEIR_ICEBERG_POSITIONS_H
#define WEIR_ICEBERG_POSITIONS_H

#include "base/buf.h"

#define ICE_VECTOR_BYTES_MAX (256U << 20) /* of one deletion vector */

struct ice_positions;

struct ice_positions *ice_positions_new(void);
void ice_positions_free(struct ice_positions *positions); /* NULL is fine */
/* False where it was there already. */
bool ice_positions_add(struct ice_positions *positions, uint64_t position);
bool ice_positions_has(const struct ice_positions *positions, uint64_t position);
uint64_t ice_positions_count(const struct ice_positions *positions);
/* The least position that is at least `from`; false where there is none. */
bool ice_positions_next(const struct ice_positions *positions, uint64_t from, uint64_t *ret_position);
void ice_positions_merge(struct ice_positions *into, const struct ice_positions *from);

/* Roaring's portable format. Decoding adds to the set; WEIR_E_CORRUPT names what does not fit. */
void ice_positions_encode(const struct ice_positions *positions, struct weir_buf *out);
int ice_positions_decode(struct ice_positions *positions, struct weir_str bytes, struct weir_error *err);
/* A blob deletion-vector-v1. */
void ice_vector_encode(const struct ice_positions *positions, struct weir_buf *out);
int ice_vector_decode(struct ice_positions *positions, struct weir_str blob, struct weir_error *err);

#endif
