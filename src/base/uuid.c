#include "base/uuid.h"

#include <string.h>

#include "base/hash.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool weir_uuid_parse(struct weir_str text, struct weir_uuid *ret_uuid)
{
	struct weir_uuid uuid;
	size_t at = 0;
	if (text.size != 36)
		return false;
	for (size_t i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && text.data[at++] != '-')
			return false;
		int high = hex_value(text.data[at]), low = hex_value(text.data[at + 1]);
		if ((high | low) < 0)
			return false;
		uuid.bytes[i] = (uint8_t)(high << 4 | low);
		at += 2;
	}
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
