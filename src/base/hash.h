/* Hashes: XXH3 for tables and checksums of blocks, SHA-256 for identity, CRC-32 (zlib's) for formats. */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

uint64_t weir_hash64(const void *data, size_t size_bytes);
uint64_t weir_hash64_seeded(const void *data, size_t size_bytes, uint64_t seed);
uint32_t weir_crc32(uint32_t crc, const void *data, size_t size_bytes); /* crc: 0 to start */

#define WEIR_SHA256_SIZE 32
void weir_sha256(const void *data, size_t size_bytes, uint8_t ret_digest[WEIR_SHA256_SIZE]);

/* SHA-256 over parts; each part is preceded by its length, so that no two lists of parts collide. */
struct weir_sha256;
struct weir_sha256 *weir_sha256_new(void);
void weir_sha256_part(struct weir_sha256 *state, const void *data, size_t size_bytes);
void weir_sha256_finish(struct weir_sha256 *take_state, uint8_t ret_digest[WEIR_SHA256_SIZE]);

/* Lower-case hexadecimal; buffer holds 2 * size + 1. */
void weir_hex(const void *data, size_t size_bytes, char *buffer);

static inline uint64_t weir_mix64(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

#endif
