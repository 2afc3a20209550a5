#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <xxhash.h>
#include <zlib.h>

#include "base/error.h"

uint64_t weir_hash64(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

uint64_t weir_hash64_seeded(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}

uint32_t weir_crc32(uint32_t crc, const void *data, size_t size)
{
	return (uint32_t)crc32_z(crc, data, size);
}

void weir_sha256(const void *data, size_t size, uint8_t ret_digest[WEIR_SHA256_SIZE])
{
	SHA256(data, size, ret_digest);
}

/* struct weir_sha256 is OpenSSL's context under a name of ours. */
struct weir_sha256 *weir_sha256_new(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	WEIR_ASSERT(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
	return (struct weir_sha256 *)context;
}

void weir_sha256_part(struct weir_sha256 *state, const void *data, size_t size)
{
	uint8_t prefix[8];
	for (unsigned i = 0; i < 8; i++)
		prefix[i] = (uint8_t)((uint64_t)size >> (8 * i));
	WEIR_ASSERT(EVP_DigestUpdate((EVP_MD_CTX *)state, prefix, sizeof prefix) == 1);
	WEIR_ASSERT(EVP_DigestUpdate((EVP_MD_CTX *)state, data, size) == 1);
}

void weir_sha256_finish(struct weir_sha256 *take_state, uint8_t ret_digest[WEIR_SHA256_SIZE])
{
	WEIR_ASSERT(EVP_DigestFinal_ex((EVP_MD_CTX *)take_state, ret_digest, NULL) == 1);
	EVP_MD_CTX_free((EVP_MD_CTX *)take_state);
}

void weir_hex(const void *data, size_t size, char *buffer)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		buffer[2 * i] = digits[bytes[i] >> 4];
		buffer[2 * i + 1] = digits[bytes[i] & 15];
	}
	buffer[2 * size] = '\0';
}
