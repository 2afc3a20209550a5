#include "base/base64.h"

#include <string.h>

static const char digits[][65] = {
	[WEIR_BASE64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[WEIR_BASE64URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void weir_base64_write(struct weir_buf *out, enum weir_base64 kind, struct weir_str bytes)
{
	for (size_t i = 0; i < bytes.size; i += 3) {
		const uint8_t *p = (const uint8_t *)bytes.data + i;
		size_t left = bytes.size - i < 3 ? bytes.size - i : 3;
		uint32_t group = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0) | (left > 2 ? p[2] : 0U);
		for (size_t digit = 0; digit <= left; digit++)
			weir_buf_putc(out, digits[kind][group >> (18 - 6 * digit) & 63]);
		for (size_t pad = left; kind == WEIR_BASE64 && pad < 3; pad++)
			weir_buf_putc(out, '=');
	}
}

bool weir_base64_read(struct weir_buf *out, enum weir_base64 kind, struct weir_str text)
{
	uint32_t group = 0;
	unsigned bits = 0;
	for (size_t i = 0; i < text.size; i++) {
		const char *digit = memchr(digits[kind], text.data[i], 64);
		if (digit == NULL)
			return kind == WEIR_BASE64 && text.size - i <= 2 && text.data[i] == '=' &&
				text.data[text.size - 1] == '=';
		group = (group << 6 | (uint32_t)(digit - digits[kind])) & 0xFFFF;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			weir_buf_putc(out, (char)(group >> bits & 0xFF));
		}
	}
	return true;
}
