/*
 * Split-block bloom filters (Parquet's BloomFilter.md): a value's XXH64 chooses a block of 256 bits by
 * its upper half, and one bit in each of the block's eight words by its lower half times eight salts.
 */
#include <stdlib.h>
#include <xxhash.h>

#include "format/parquet/parquet_int.h"

#define WORDS 8
/* 12 bits a value let about 1 in 150 absent values through. */
#define BITS_PER_VALUE 12
#define MAX_BLOCKS     (1U << 17) /* 4 MiB */

static const uint32_t salts[WORDS] = {
	0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU, 0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

void pq_bloom_init(struct pq_bloom *bloom, uint64_t distinct)
{
	uint64_t needed = (distinct * BITS_PER_VALUE + 255) / 256;
	bloom->block_count = 1;
	while (bloom->block_count < needed && bloom->block_count < MAX_BLOCKS)
		bloom->block_count *= 2;
	bloom->words = weir_zalloc((size_t)bloom->block_count * WORDS * sizeof *bloom->words);
}

static uint32_t word_bit(uint64_t hash, unsigned word)
{
	return 1U << ((uint32_t)hash * salts[word] >> 27);
}

void pq_bloom_add(struct pq_bloom *bloom, const void *value, size_t size)
{
	uint64_t hash = XXH64(value, size, 0);
	uint32_t *block = bloom->words + ((hash >> 32) * bloom->block_count >> 32) * WORDS;
	for (unsigned i = 0; i < WORDS; i++)
		block[i] |= word_bit(hash, i);
}

bool pq_bloom_has(const void *bits, size_t bits_size, const void *value, size_t size)
{
	uint64_t blocks = bits_size / (WORDS * 4);
	if (blocks == 0)
		return true;
	uint64_t hash = XXH64(value, size, 0);
	const uint8_t *block = (const uint8_t *)bits + ((hash >> 32) * blocks >> 32) * WORDS * 4;
	for (unsigned i = 0; i < WORDS; i++)
		if ((weir_le32(block + (size_t)i * 4) & word_bit(hash, i)) == 0)
			return false;
	return true;
}

void pq_bloom_done(struct pq_bloom *bloom)
{
	free(bloom->words);
	*bloom = (struct pq_bloom){0};
}
