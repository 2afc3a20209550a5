#include "base/uuid.h"

#include <string.h>

#include "base/hash.h"

/* The value of a hexadecimal digit with IS_HEX set; 0 for all other bytes. */
#define IS_HEX 0x10
static const uint8_t hex_values[256] = {
	['0'] = IS_HEX,
	['1'] = IS_HEX | 1,
	['2'] = IS_HEX | 2,
	['3'] = IS_HEX | 3,
	['4'] = IS_HEX | 4,
	['5'] = IS_HEX | 5,
	['6'] = IS_HEX | 6,
	['7'] = IS_HEX | 7,
	['8'] = IS_HEX | 8,
	['9'] = IS_HEX | 9,
	['a'] = IS_HEX | 10,
	['b'] = IS_HEX | 11,
	['c'] = IS_HEX | 12,
	['d'] = IS_HEX | 13,
	['e'] = IS_HEX | 14,
	['f'] = IS_HEX | 15,
	['A'] = IS_HEX | 10,
	['B'] = IS_HEX | 11,
	['C'] = IS_HEX | 12,
	['D'] = IS_HEX | 13,
	['E'] = IS_HEX | 14,
	['F'] = IS_HEX | 15,
};

bool weir_uuid_parse(struct weir_str text, struct weir_uuid *ret_uuid)
{
	static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
	const unsigned char *p = (const unsigned char *)text.data;
	struct weir_uuid uuid;
	unsigned all = IS_HEX;
	if (text.size != 36 || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
		return false;
	for (size_t i = 0; i < 16; i++) {
		unsigned high = hex_values[p[places[i]]], low = hex_values[p[places[i] + 1]];
		all &= high & low;
		uuid.bytes[i] = (uint8_t)(high << 4 | (low & 15));
	}
	if (all == 0)
		return false;
	*ret_uuid = uuid;
	return true;
}

void weir_uuid_format(const struct weir_uuid *uuid, char buffer[WEIR_UUID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	char *out = buffer;
	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[uuid->bytes[i] >> 4];
		*out++ = hex[uuid->bytes[i] & 15];
	}
	*out = '\0';
}

static void set_version(struct weir_uuid *uuid, unsigned version)
{
	uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0f) | version << 4);
	uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3f) | 0x80);
}

struct weir_uuid weir_uuid_v4(struct weir_rng *rng)
{
	struct weir_uuid uuid;
	uint64_t words[2] = {weir_rng_next(rng), weir_rng_next(rng)};
	memcpy(uuid.bytes, words, sizeof uuid.bytes);
	set_version(&uuid, 4);
	return uuid;
}

struct weir_uuid weir_uuid_v7(int64_t time_us)
{
	struct weir_uuid uuid;
	uint64_t ms = (uint64_t)(time_us / 1000);
	weir_random_bytes(uuid.bytes, sizeof uuid.bytes);
	for (unsigned i = 0; i < 6; i++)
		uuid.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	set_version(&uuid, 7);
	return uuid;
}

struct weir_uuid weir_uuid_v8(const uint8_t digest[32])
{
	struct weir_uuid uuid;
	memcpy(uuid.bytes, digest, sizeof uuid.bytes);
	set_version(&uuid, 8);
	return uuid;
}
