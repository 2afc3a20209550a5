#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

struct weir_json weir_json_to(struct weir_buf *out)
{
	return (struct weir_json){.out = out};
}

/* What goes before a value: a comma, unless it is the first or follows its key. */
static void before_value(struct weir_json *json)
{
	if (json->after_key)
		json->after_key = false;
	else if (json->need_comma[json->depth])
		weir_buf_putc(json->out, ',');
	json->need_comma[json->depth] = true;
}

static void open_level(struct weir_json *json, char bracket)
{
	before_value(json);
	WEIR_ASSERT(json->depth < WEIR_JSON_DEPTH);
	json->need_comma[++json->depth] = false;
	weir_buf_putc(json->out, bracket);
}

static void close_level(struct weir_json *json, char bracket)
{
	WEIR_ASSERT(json->depth > 0 && !json->after_key);
	json->depth--;
	weir_buf_putc(json->out, bracket);
}

void weir_json_object(struct weir_json *json)
{
	open_level(json, '{');
}

void weir_json_object_end(struct weir_json *json)
{
	close_level(json, '}');
}

void weir_json_array(struct weir_json *json)
{
	open_level(json, '[');
}

void weir_json_array_end(struct weir_json *json)
{
	close_level(json, ']');
}

static void write_escaped(struct weir_buf *out, struct weir_str text)
{
	static const char hex[] = "0123456789abcdef";
	weir_buf_putc(out, '"');
	size_t start = 0;
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		weir_buf_append(out, text.data + start, i - start);
		start = i + 1;
		char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		if (c == '"' || c == '\\') {
			escape[1] = (char)c;
			weir_buf_append(out, escape, 2);
		} else if (c == '\n' || c == '\t' || c == '\r') {
			escape[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
			weir_buf_append(out, escape, 2);
		} else {
			weir_buf_append(out, escape, 6);
		}
	}
	weir_buf_append(out, text.data + start, text.size - start);
	weir_buf_putc(out, '"');
}

/* Bytes that are no UTF-8 are replaced one by one. */
static void write_repaired(struct weir_buf *out, struct weir_str text)
{
	struct weir_buf repaired = WEIR_BUF_INIT;
	for (size_t i = 0; i < text.size;) {
		size_t size = 0;
		for (size_t try = 1; try <= 4 && i + try <= text.size && size == 0; try++)
			if (weir_utf8_valid((struct weir_str){text.data + i, try}))
				size = try;
		if (size > 0)
			weir_buf_append(&repaired, text.data + i, size);
		else
			weir_buf_puts(&repaired, "\xef\xbf\xbd");
		i += size > 0 ? size : 1;
	}
	write_escaped(out, weir_buf_str(&repaired));
	weir_buf_done(&repaired);
}

#define EACH_BYTE(byte) (0x0101010101010101ULL * (byte))

/* Eight bytes of ASCII that stand for themselves in a string? Bit 7 of a byte is set where it is none of them. */
static bool plain_word(uint64_t word)
{
	uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
	uint64_t control = word - EACH_BYTE(0x20);
	uint64_t found = (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1)) | control | word;
	return (found & EACH_BYTE(0x80)) == 0;
}

/* True only where nothing needs to be escaped or repaired. */
static bool is_plain(struct weir_str text)
{
	uint64_t word;
	size_t at = 0;
	for (; at + sizeof word <= text.size; at += sizeof word) {
		memcpy(&word, text.data + at, sizeof word);
		if (!plain_word(word))
			return false;
	}
	if (at == text.size)
		return true;
	word = EACH_BYTE('x');
	memcpy(&word, text.data + at, text.size - at);
	return plain_word(word);
}

static void write_text(struct weir_buf *out, struct weir_str text)
{
	if (is_plain(text)) {
		weir_buf_reserve(out, text.size + 2);
		char *to = out->data + out->size;
		to[0] = '"';
		if (text.size > 0)
			memcpy(to + 1, text.data, text.size);
		to[text.size + 1] = '"';
		out->size += text.size + 2;
		return;
	}
	if (weir_utf8_valid(text))
		write_escaped(out, text);
	else
		write_repaired(out, text);
}

void weir_json_key_str(struct weir_json *json, struct weir_str name)
{
	before_value(json);
	write_text(json->out, name);
	weir_buf_putc(json->out, ':');
	json->after_key = true;
}

void weir_json_key(struct weir_json *json, const char *name)
{
	weir_json_key_str(json, weir_str_from(name));
}

void weir_json_string(struct weir_json *json, struct weir_str text)
{
	before_value(json);
	write_text(json->out, text);
}

void weir_json_cstring(struct weir_json *json, const char *text)
{
	if (text == NULL)
		weir_json_null(json);
	else
		weir_json_string(json, weir_str_from(text));
}

/* Decimal digits, at least `least` of them; returns the size. */
static size_t put_digits(uint64_t value, unsigned least, char *buffer)
{
	char reversed[24];
	size_t count = 0;
	do {
		reversed[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0 || count < least);
	for (size_t i = 0; i < count; i++)
		buffer[i] = reversed[count - 1 - i];
	return count;
}

void weir_json_int(struct weir_json *json, int64_t value)
{
	char text[24] = "-";
	size_t sign = value < 0;
	before_value(json);
	weir_buf_append(
		json->out, text, sign + put_digits(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1, text + sign));
}

void weir_json_uint(struct weir_json *json, uint64_t value)
{
	char text[24];
	before_value(json);
	weir_buf_append(json->out, text, put_digits(value, 1, text));
}

/*
 * Measured values have few decimals. n / 10^k, both exact as doubles, is the nearest double to that decimal number,
 * so where it is the value again, n with its point in place reads back as it, and the smallest such k has the fewest digits.
 */
static size_t format_short_decimal(double value, char *buffer)
{
	static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	double magnitude = fabs(value);
	if (magnitude >= 1e6)
		return 0;
	for (unsigned k = 0; k < sizeof powers / sizeof powers[0]; k++) {
		double scaled = rint(magnitude * powers[k]);
		if (scaled / powers[k] != magnitude)
			continue;
		size_t size = 0;
		if (value < 0)
			buffer[size++] = '-';
		char digits[24];
		size_t count = put_digits((uint64_t)scaled, k + 1, digits);
		memcpy(buffer + size, digits, count - k);
		size += count - k;
		if (k > 0)
			buffer[size++] = '.';
		memcpy(buffer + size, digits + count - k, k);
		size += k;
		buffer[size] = '\0';
		return size;
	}
	return 0;
}

size_t weir_double_format(double value, char *buffer)
{
	size_t decimal = format_short_decimal(value, buffer);
	if (decimal > 0)
		return decimal;
	if (value == rint(value) && fabs(value) < 1e15)
		return (size_t)snprintf(buffer, 32, "%lld", (long long)value);
	for (int precision = 6; precision < 17; precision += precision == 6 ? 9 : 1) {
		int size = snprintf(buffer, 32, "%.*g", precision, value);
		if (strtod(buffer, NULL) == value)
			return (size_t)size;
	}
	return (size_t)snprintf(buffer, 32, "%.17g", value);
}

void weir_json_double(struct weir_json *json, double value)
{
	char text[32];
	if (!isfinite(value)) {
		weir_json_null(json);
		return;
	}
	before_value(json);
	weir_buf_append(json->out, text, weir_double_format(value, text));
}

void weir_json_bool(struct weir_json *json, bool value)
{
	before_value(json);
	weir_buf_puts(json->out, value ? "true" : "false");
}

void weir_json_null(struct weir_json *json)
{
	before_value(json);
	weir_buf_append(json->out, "null", 4);
}

void weir_json_time(struct weir_json *json, int64_t time_us)
{
	char text[WEIR_TIME_TEXT];
	size_t size = weir_time_format(time_us, text);
	weir_json_string(json, (struct weir_str){text, size});
}

void weir_json_raw(struct weir_json *json, struct weir_str value)
{
	before_value(json);
	weir_buf_append(json->out, value.data, value.size);
}

void weir_json_key_cstring(struct weir_json *json, const char *name, const char *text)
{
	weir_json_key(json, name);
	weir_json_cstring(json, text);
}

void weir_json_key_string(struct weir_json *json, const char *name, struct weir_str text)
{
	weir_json_key(json, name);
	weir_json_string(json, text);
}

void weir_json_key_int(struct weir_json *json, const char *name, int64_t value)
{
	weir_json_key(json, name);
	weir_json_int(json, value);
}

void weir_json_key_uint(struct weir_json *json, const char *name, uint64_t value)
{
	weir_json_key(json, name);
	weir_json_uint(json, value);
}

void weir_json_key_double(struct weir_json *json, const char *name, double value)
{
	weir_json_key(json, name);
	weir_json_double(json, value);
}

void weir_json_key_bool(struct weir_json *json, const char *name, bool value)
{
	weir_json_key(json, name);
	weir_json_bool(json, value);
}
