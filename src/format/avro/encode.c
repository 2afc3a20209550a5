/* Avro's binary encoding (Avro 1.11, "Binary Encoding"), value by value, into a buffer. */
#include "format/avro/avro.h"

void avro_put_long(struct weir_buf *out, int64_t value)
{
	/* Zig-zag: small magnitudes of either sign become small; then seven bits a byte, low ones first. */
	uint64_t rest = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
	uint8_t bytes[10];
	size_t size = 0;
	while (rest >= 0x80) {
		bytes[size++] = (uint8_t)(rest | 0x80);
		rest >>= 7;
	}
	bytes[size++] = (uint8_t)rest;
	weir_buf_append(out, bytes, size);
}

void avro_put_bool(struct weir_buf *out, bool value)
{
	weir_buf_u8(out, value ? 1 : 0);
}

void avro_put_float(struct weir_buf *out, float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	weir_buf_u32(out, bits);
}

void avro_put_double(struct weir_buf *out, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	weir_buf_u64(out, bits);
}

void avro_put_bytes(struct weir_buf *out, struct weir_str bytes)
{
	avro_put_long(out, (int64_t)bytes.size);
	weir_buf_append(out, bytes.data, bytes.size);
}

void avro_put_fixed(struct weir_buf *out, const void *bytes, size_t size_bytes)
{
	weir_buf_append(out, bytes, size_bytes);
}
