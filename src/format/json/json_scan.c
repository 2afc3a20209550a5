/*
 * Scanning JSON (RFC 8259): texts, numbers, words, and whole values that are only validated. What the
 * standard leaves open is closed here: depth is limited, numbers are finite, escapes make no lone
 * surrogates, and an object may be told to have each name once.
 */
#include "format/json/json_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits after \u, or -1. */
static int hex_unit(const char *p, const char *end)
{
	int unit = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);
		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/* *at is at the backslash; moves past the escape. */
static bool check_escape(struct json_cursor *cursor, const char **at)
{
	const char *p = *at;
	if (cursor->end - p < 2)
		return json_wrong(cursor, p, "the text is not closed");
	if (p[1] != 'u') {
		if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
			return json_wrong(cursor, p, "unknown escape in a text");
		*at = p + 2;
		return true;
	}
	int unit = hex_unit(p + 2, cursor->end);
	if (unit < 0)
		return json_wrong(cursor, p, "\\u needs four hexadecimal digits");
	if (unit >= 0xdc00 && unit <= 0xdfff)
		return json_wrong(cursor, p, "a lone surrogate");
	*at = p + 6;
	if (unit < 0xd800 || unit > 0xdbff)
		return true;
	p += 6;
	int low = cursor->end - p >= 6 && p[0] == '\\' && p[1] == 'u' ? hex_unit(p + 2, cursor->end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return json_wrong(cursor, *at - 6, "a lone surrogate");
	*at = p + 6;
	return true;
}

static char *put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
	} else if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
		*out++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*out++ = (char)(0xe0 | code >> 12);
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	} else {
		*out++ = (char)(0xf0 | code >> 18);
		*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
		*out++ = (char)(0x80 | (code & 0x3f));
	}
	return out;
}

/* Resolves escapes that check_escape has seen; the result is never longer than raw. */
static struct weir_str unescape(struct weir_arena *arena, struct weir_str raw)
{
	static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
	char *start = weir_arena_alloc(arena, raw.size), *out = start;
	const char *p = raw.data, *end = raw.data + raw.size;
	while (p < end) {
		if (*p != '\\') {
			*out++ = *p++;
		} else if (p[1] != 'u') {
			const char *letter = strchr(letters, p[1]);
			*out++ = letter != NULL ? values[letter - letters] : p[1];
			p += 2;
		} else {
			unsigned code = (unsigned)hex_unit(p + 2, end);
			p += 6;
			if (code >= 0xd800 && code <= 0xdbff) {
				code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned)hex_unit(p + 2, end) - 0xdc00);
				p += 6;
			}
			out = put_utf8(out, code);
		}
	}
	return (struct weir_str){start, (size_t)(out - start)};
}

/* The first byte of text that is no UTF-8: prefixes are checked by halves, on this error path only. */
static const char *invalid_byte(struct weir_str text)
{
	size_t at = 0;
	while (at < text.size) {
		size_t size = 1;
		while (size <= 4 && at + size <= text.size && !weir_utf8_valid((struct weir_str){text.data + at, size}))
			size++;
		if (size > 4 || at + size > text.size)
			break;
		at += size;
	}
	return text.data + at;
}

bool json_scan_string_from(struct json_cursor *cursor, const char *from, struct json_string *ret_string)
{
	const char *p = from, *end = cursor->end;
	bool escaped = false;
	unsigned char high = 0;
	for (;;) {
		if (p >= end)
			return json_wrong(cursor, cursor->at, "the text is not closed");
		unsigned char c = (unsigned char)*p;
		if (c == '"')
			break;
		if (c < ' ')
			return json_wrong(cursor, p, "a control character in a text: escape it");
		high |= c;
		if (c != '\\') {
			p++;
			continue;
		}
		escaped = true;
		if (!check_escape(cursor, &p))
			return false;
	}
	struct weir_str raw = {cursor->at + 1, (size_t)(p - cursor->at - 1)};
	if (raw.size > JSON_MAX_STRING_BYTES)
		return json_wrong(cursor, cursor->at, "the text is larger than 64 MiB");
	if ((high & 0x80) != 0 && !weir_utf8_valid(raw))
		return json_wrong(cursor, invalid_byte(raw), "the text is not UTF-8");
	ret_string->raw = raw;
	ret_string->text = escaped ? unescape(cursor->arena, raw) : raw;
	cursor->at = p + 1;
	return true;
}

static inline bool is_digit(const char *p, const char *end)
{
	return p < end && (unsigned char)(*p - '0') <= 9;
}

/* The exponent's digits; *p is after 'e'. Capped: beyond, the value is infinite or zero anyway. */
static bool scan_exponent(struct json_cursor *cursor, const char **p, int32_t *ret_exponent)
{
	const char *q = *p;
	bool negative = q < cursor->end && *q == '-';
	int32_t exponent = 0;
	if (q < cursor->end && (*q == '-' || *q == '+'))
		q++;
	if (!is_digit(q, cursor->end))
		return json_wrong(cursor, q, "an exponent needs digits");
	for (; is_digit(q, cursor->end); q++)
		if (exponent < 100000)
			exponent = exponent * 10 + (*q - '0');
	*ret_exponent += negative ? -exponent : exponent;
	*p = q;
	return true;
}

bool json_scan_number(struct json_cursor *cursor, struct json_number *ret_number)
{
	const char *p = cursor->at, *end = cursor->end;
	struct json_number number = {.negative = *p == '-'};
	p += number.negative;
	const char *digits = p;
	if (!is_digit(p, end))
		return json_wrong(cursor, p, "a number needs digits");
	uint64_t mantissa = 0;
	for (; is_digit(p, end); p++)
		mantissa = mantissa * 10 + (uint64_t)(*p - '0');
	int64_t count = p - digits;
	if (*digits == '0' && count > 1)
		return json_wrong(cursor, digits, "a number must not begin with 0");
	if (p < end && *p == '.') {
		const char *fraction = ++p;
		if (!is_digit(p, end))
			return json_wrong(cursor, p, "digits must follow the point");
		for (; is_digit(p, end); p++)
			mantissa = mantissa * 10 + (uint64_t)(*p - '0');
		count += p - fraction;
		number.exponent = (int32_t)(fraction - p < -JSON_MAX_NUMBER_BYTES ? 0 : fraction - p);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (!scan_exponent(cursor, &p, &number.exponent))
			return false;
	}
	if (p - cursor->at > JSON_MAX_NUMBER_BYTES)
		return json_wrong(cursor, cursor->at, "the number has more than 1,024 characters");
	number.mantissa = mantissa;
	number.exact = count <= 19;
	number.text = (struct weir_str){cursor->at, (size_t)(p - cursor->at)};
	/* Only an exponent, or some three hundred digits, can leave the range of a double. */
	double value;
	if ((count + (number.exponent > 0 ? number.exponent : 0) > 300) && !json_number_double(&number, &value))
		return json_wrong(cursor, cursor->at, "the number is too large");
	*ret_number = number;
	cursor->at = p;
	return true;
}

bool json_number_double(const struct json_number *number, double *ret_value)
{
	static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
		1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
	double value;
	/* Both the mantissa and the power are exact doubles, so one operation rounds once (Clinger's fast path). */
	if (number->exact && number->mantissa <= 1ULL << 53 && number->exponent >= -22 && number->exponent <= 22) {
		value = (double)number->mantissa;
		value = number->exponent < 0 ? value / powers[-number->exponent] : value * powers[number->exponent];
		*ret_value = number->negative ? -value : value;
		return true;
	}
	char copy[JSON_MAX_NUMBER_BYTES + 1];
	memcpy(copy, number->text.data, number->text.size);
	copy[number->text.size] = '\0';
	value = strtod(copy, NULL);
	if (!isfinite(value))
		return false;
	*ret_value = value;
	return true;
}

bool json_number_i64(const struct json_number *number, int64_t *ret_value)
{
	uint64_t magnitude = number->mantissa;
	if (!number->exact || number->exponent != 0) {
		double value;
		if (number->exact && magnitude == 0) {
			*ret_value = 0;
			return true;
		}
		if (!json_number_double(number, &value) || value != rint(value) || fabs(value) > 9007199254740992.0)
			return false;
		*ret_value = (int64_t)value;
		return true;
	}
	if (magnitude > (uint64_t)INT64_MAX + (number->negative ? 1 : 0))
		return false;
	*ret_value = number->negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

bool json_scan_word(struct json_cursor *cursor, const char *word, size_t size)
{
	if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
		return json_wrong(cursor, cursor->at, "not a value: expected text, number, true, false, null, { or [");
	cursor->at += size;
	return true;
}

/* Puts name into a table that has room; false where it is there. */
static bool table_add(struct json_keys *keys, struct weir_str name)
{
	uint32_t mask = keys->capacity - 1;
	uint32_t slot = (uint32_t)weir_hash64(name.data, name.size) & mask;
	for (; keys->table[slot].data != NULL; slot = (slot + 1) & mask)
		if (weir_str_equal(keys->table[slot], name))
			return false;
	keys->table[slot] = name;
	return true;
}

static void table_grow(struct json_keys *keys, struct weir_arena *arena)
{
	struct weir_str *old = keys->table != NULL ? keys->table : keys->few;
	uint32_t old_count = keys->table != NULL ? keys->capacity : keys->count;
	keys->capacity = keys->capacity > 0 ? keys->capacity * 2 : JSON_KEYS_FEW * 4;
	keys->table = weir_arena_calloc(arena, keys->capacity, sizeof *keys->table);
	for (uint32_t i = 0; i < old_count; i++)
		if (old[i].data != NULL)
			table_add(keys, old[i]);
}

bool json_keys_add(struct json_keys *keys, struct weir_arena *arena, struct weir_str name)
{
	if (keys->table == NULL && keys->count < JSON_KEYS_FEW) {
		for (uint32_t i = 0; i < keys->count; i++)
			if (weir_str_equal(keys->few[i], name))
				return false;
		keys->few[keys->count++] = name;
		return true;
	}
	if (keys->table == NULL || keys->count * 2 >= keys->capacity)
		table_grow(keys, arena);
	if (!table_add(keys, name))
		return false;
	keys->count++;
	return true;
}

static bool skip_object(struct json_cursor *cursor, unsigned depth)
{
	struct json_keys keys;
	json_keys_start(&keys);
	cursor->at++;
	json_skip_space(cursor);
	if (cursor->at < cursor->end && *cursor->at == '}') {
		cursor->at++;
		return true;
	}
	for (;;) {
		struct json_string key;
		const char *start = cursor->at;
		if (start >= cursor->end || *start != '"')
			return json_wrong(cursor, start, "expected a name in quotes");
		if (!json_scan_string(cursor, &key))
			return false;
		if (cursor->unique_keys && !json_keys_add(&keys, cursor->arena, key.text))
			return json_wrong(cursor, start, "the name comes twice in its object");
		json_skip_space(cursor);
		if (cursor->at >= cursor->end || *cursor->at != ':')
			return json_wrong(cursor, cursor->at, "expected ':'");
		cursor->at++;
		json_skip_space(cursor);
		if (!json_skip_value(cursor, depth))
			return false;
		json_skip_space(cursor);
		if (cursor->at < cursor->end && *cursor->at == '}') {
			cursor->at++;
			return true;
		}
		if (cursor->at >= cursor->end || *cursor->at != ',')
			return json_wrong(cursor, cursor->at, "expected ',' or '}'");
		cursor->at++;
		json_skip_space(cursor);
	}
}

static bool skip_array(struct json_cursor *cursor, unsigned depth)
{
	cursor->at++;
	json_skip_space(cursor);
	if (cursor->at < cursor->end && *cursor->at == ']') {
		cursor->at++;
		return true;
	}
	for (;;) {
		if (!json_skip_value(cursor, depth))
			return false;
		json_skip_space(cursor);
		if (cursor->at < cursor->end && *cursor->at == ']') {
			cursor->at++;
			return true;
		}
		if (cursor->at >= cursor->end || *cursor->at != ',')
			return json_wrong(cursor, cursor->at, "expected ',' or ']'");
		cursor->at++;
		json_skip_space(cursor);
	}
}

bool json_skip_value(struct json_cursor *cursor, unsigned depth)
{
	struct json_string string;
	struct json_number number;
	if (cursor->at >= cursor->end)
		return json_wrong(cursor, cursor->at, "the document ends where a value is expected");
	switch (*cursor->at) {
	case '"':
		return json_scan_string(cursor, &string);
	case 't':
		return json_scan_word(cursor, "true", 4);
	case 'f':
		return json_scan_word(cursor, "false", 5);
	case 'n':
		return json_scan_word(cursor, "null", 4);
	case '{':
	case '[':
		if (depth >= JSON_MAX_DEPTH)
			return json_wrong(cursor, cursor->at, "nested deeper than 64 levels");
		return *cursor->at == '{' ? skip_object(cursor, depth + 1) : skip_array(cursor, depth + 1);
	default:
		if (*cursor->at == '-' || is_digit(cursor->at, cursor->end))
			return json_scan_number(cursor, &number);
		return json_wrong(cursor, cursor->at, "not a value: expected text, number, true, false, null, { or [");
	}
}

int json_cursor_fail(const struct json_cursor *cursor, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_INPUT, (struct weir_str){0}, (uint64_t)(cursor->wrong_at - cursor->begin),
		"is not JSON: %s", cursor->wrong);
}

int json_validate(struct weir_str document, bool unique_keys, uint64_t *ret_offset, struct weir_error *err)
{
	int code = 0;
	struct weir_arena *arena = weir_arena_new(0);
	struct json_cursor cursor = {
		document.data, document.data, document.data + document.size, arena, NULL, NULL, unique_keys};
	json_skip_space(&cursor);
	if (json_skip_value(&cursor, 0)) {
		json_skip_space(&cursor);
		if (cursor.at != cursor.end)
			json_wrong(&cursor, cursor.at, "something follows the value");
	}
	if (cursor.wrong != NULL) {
		if (ret_offset != NULL)
			*ret_offset = (uint64_t)(cursor.wrong_at - cursor.begin);
		code = json_cursor_fail(&cursor, err);
	}
	weir_arena_free(arena);
	return code;
}
