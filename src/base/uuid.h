/* UUIDs (RFC 9562) as 16 bytes, most significant first. */
#ifndef WEIR_BASE_UUID_H
#define WEIR_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/str.h"

#define WEIR_UUID_TEXT 37 /* with the zero byte */

struct weir_uuid {
	uint8_t bytes[16];
};

/* The 36 characters with hyphens, upper or lower case. */
bool weir_uuid_parse(struct weir_str text, struct weir_uuid *ret_uuid);
void weir_uuid_format(const struct weir_uuid *uuid, char buffer[WEIR_UUID_TEXT]);
/* Version 4 from the given generator; version 7 from the system's randomness and time_us. */
struct weir_uuid weir_uuid_v4(struct weir_rng *rng);
struct weir_uuid weir_uuid_v7(int64_t time_us);
/* Version 8: the first 16 bytes of a digest with version and variant set. */
struct weir_uuid weir_uuid_v8(const uint8_t digest[32]);

#endif
