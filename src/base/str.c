#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

bool weir_str_to_u64(struct weir_str text, uint64_t *ret_value)
{
	uint64_t value = 0;
	if (text.size == 0 || text.size > 20)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
		if (digit > 9 || __builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret_value = value;
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct weir_str weir_str_trim(struct weir_str text)
{
	while (text.size > 0 && is_space(text.data[0]))
		text = (struct weir_str){text.data + 1, text.size - 1};
	while (text.size > 0 && is_space(text.data[text.size - 1]))
		text.size--;
	return text;
}

bool weir_str_to_i64(struct weir_str text, int64_t *ret_value)
{
	bool negative = text.size > 0 && text.data[0] == '-';
	uint64_t magnitude;
	if (negative) {
		text.data++;
		text.size--;
	}
	if (!weir_str_to_u64(text, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

static size_t skip_digits(struct weir_str text, size_t at)
{
	while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
		at++;
	return at;
}

bool weir_str_to_double(struct weir_str text, double *ret_value)
{
	char copy[64];
	size_t at = 0;
	if (text.size == 0 || text.size >= sizeof copy)
		return false;
	if (text.data[at] == '-')
		at++;
	size_t digits = at;
	at = skip_digits(text, at);
	if (at == digits || (text.data[digits] == '0' && at > digits + 1))
		return false;
	if (at < text.size && text.data[at] == '.') {
		size_t fraction = ++at;
		at = skip_digits(text, at);
		if (at == fraction)
			return false;
	}
	if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
		at++;
		if (at < text.size && (text.data[at] == '+' || text.data[at] == '-'))
			at++;
		size_t exponent = at;
		at = skip_digits(text, at);
		if (at == exponent)
			return false;
	}
	if (at != text.size)
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	*ret_value = strtod(copy, NULL);
	return true;
}

/* Bytes of the sequence that starts at p, or 0 where it is not well-formed. */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t size = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (size == 1)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4 || size > left)
		return 0;
	uint32_t code = p[0] & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return size;
}

bool weir_utf8_valid(struct weir_str text)
{
	const unsigned char *p = (const unsigned char *)text.data;
	size_t left = text.size;
	while (left > 0) {
		uint64_t word;
		if (left >= 8) {
			memcpy(&word, p, 8);
			if ((word & 0x8080808080808080ULL) == 0) {
				p += 8;
				left -= 8;
				continue;
			}
		}
		size_t size = utf8_sequence(p, left);
		if (size == 0)
			return false;
		p += size;
		left -= size;
	}
	return true;
}

unsigned weir_str_distance(struct weir_str a, struct weir_str b)
{
	unsigned row[65];
	if (a.size > 64 || b.size > 64)
		return 64;
	for (unsigned j = 0; j <= b.size; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.size; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= b.size; j++) {
			unsigned above = row[j];
			unsigned best = diagonal + (a.data[i - 1] != b.data[j - 1]);
			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = above;
			row[j] = best;
		}
	}
	return row[b.size];
}
