/* Writes small FIT files for tests: parts, definitions, data messages, checksums. */
#ifndef TESTS_UNIT_DEVICE_FIT_WRITE_H
#define TESTS_UNIT_DEVICE_FIT_WRITE_H

#include "base/buf.h"

struct fit_write {
	struct weir_buf out;
	size_t part; /* where the current part begins */
	bool big_endian;
};

/* One field of a definition: number, bytes, base type. */
struct fit_write_field {
	uint8_t number, size, base_type;
};

static inline uint16_t fit_write_crc(const char *data, size_t size)
{
	/* Bit by bit, unlike the reader's table: polynomial x^16 + x^15 + x^2 + 1, reflected. */
	unsigned crc = 0;
	for (size_t i = 0; i < size; i++) {
		crc ^= (unsigned char)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 1) != 0 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	return (uint16_t)crc;
}

static inline void fit_write_begin(struct fit_write *fit)
{
	fit->part = fit->out.size;
	weir_buf_append(&fit->out, "\x0e\x10\x00\x00\0\0\0\0.FIT\0\0", 14);
}

static inline void fit_write_end(struct fit_write *fit)
{
	char *header = fit->out.data + fit->part;
	uint32_t size = (uint32_t)(fit->out.size - fit->part - 14);
	for (int i = 0; i < 4; i++)
		header[4 + i] = (char)(size >> (8 * i));
	uint16_t crc = fit_write_crc(header, 12);
	header[12] = (char)crc;
	header[13] = (char)(crc >> 8);
	weir_buf_u16(&fit->out, fit_write_crc(header, fit->out.size - fit->part));
}

static inline void fit_write_definition(struct fit_write *fit, unsigned local, unsigned message,
	const struct fit_write_field *fields, unsigned count, const struct fit_write_field *developer,
	unsigned developer_count)
{
	weir_buf_u8(&fit->out, (uint8_t)(0x40 | (developer_count > 0 ? 0x20 : 0) | local));
	weir_buf_u8(&fit->out, 0);
	weir_buf_u8(&fit->out, fit->big_endian);
	weir_buf_u8(&fit->out, (uint8_t)(fit->big_endian ? message >> 8 : message));
	weir_buf_u8(&fit->out, (uint8_t)(fit->big_endian ? message : message >> 8));
	weir_buf_u8(&fit->out, (uint8_t)count);
	weir_buf_append(&fit->out, fields, count * sizeof *fields);
	if (developer_count > 0) {
		weir_buf_u8(&fit->out, (uint8_t)developer_count);
		weir_buf_append(&fit->out, developer, developer_count * sizeof *developer);
	}
}

static inline void fit_write_header(struct fit_write *fit, unsigned header)
{
	weir_buf_u8(&fit->out, (uint8_t)header);
}

/* A value of size bytes in the part's byte order. */
static inline void fit_write_value(struct fit_write *fit, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		weir_buf_u8(&fit->out, (uint8_t)(value >> (8 * (fit->big_endian ? size - 1 - i : i))));
}

#endif
