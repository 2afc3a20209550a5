/* Percent-encoding (RFC 3986, section 2.1) and query strings. Pure; results live in the caller's arena. */
#include "serve/serve_int.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool url_decode(struct weir_arena *arena, struct weir_str text, bool plus, struct weir_str *ret_text)
{
	char *out = weir_arena_alloc(arena, text.size + 1);
	size_t size = 0;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		if (c == '%') {
			if (text.size - i < 3)
				return false;
			int high = hex_digit(text.data[i + 1]), low = hex_digit(text.data[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return false;
		out[size++] = c;
	}
	out[size] = '\0';
	*ret_text = (struct weir_str){out, size};
	return true;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		c == '_' || c == '~';
}

void url_encode(struct weir_buf *out, struct weir_str text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (is_unreserved(text.data[i]))
			weir_buf_putc(out, text.data[i]);
		else
			weir_buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.data[i]);
	}
}

int url_query(struct weir_arena *arena, struct weir_str query, struct serve_pair *ret_pairs, uint32_t *ret_count,
	struct weir_error *err)
{
	uint32_t count = 0;
	while (query.size > 0) {
		const char *ampersand = memchr(query.data, '&', query.size);
		size_t size = ampersand != NULL ? (size_t)(ampersand - query.data) : query.size;
		struct weir_str part = {query.data, size};
		size_t skip = ampersand != NULL ? size + 1 : size;
		query = (struct weir_str){query.data + skip, query.size - skip};
		if (part.size == 0)
			continue;
		if (count == SERVE_PARAMETERS)
			return weir_fail(
				err, WEIR_E_LIMIT, "the query string has more than %d parameters", SERVE_PARAMETERS);
		const char *equals = memchr(part.data, '=', part.size);
		struct weir_str key = {part.data, equals != NULL ? (size_t)(equals - part.data) : part.size};
		struct weir_str value = {"", 0};
		if (equals != NULL)
			value = (struct weir_str){equals + 1, part.size - key.size - 1};
		struct serve_pair *pair = &ret_pairs[count];
		if (!url_decode(arena, key, true, &pair->key) || !url_decode(arena, value, true, &pair->value))
			return weir_fail(err, WEIR_E_INPUT,
				"parameter %u of the query string has a broken %%XX escape; encode it as two "
				"hexadecimal digits",
				count + 1);
		if (!weir_utf8_valid(pair->key) || !weir_utf8_valid(pair->value))
			return weir_fail(err, WEIR_E_INPUT, "parameter %u of the query string is not UTF-8", count + 1);
		for (uint32_t i = 0; i < count; i++) {
			if (weir_str_equal(ret_pairs[i].key, pair->key))
				return weir_fail(err, WEIR_E_INPUT, "parameter '%.*s' is given twice; give it once",
					WEIR_STR_ARG(pair->key));
		}
		count++;
	}
	*ret_count = count;
	return 0;
}

#define FILE_NAME_BYTES 200

struct weir_str url_file_name(struct weir_arena *arena, struct weir_str name)
{
	for (size_t i = name.size; i > 0; i--) {
		if (name.data[i - 1] == '/' || name.data[i - 1] == '\\') {
			name = (struct weir_str){name.data + i, name.size - i};
			break;
		}
	}
	while (name.size > 0 && name.data[0] == '.')
		name = (struct weir_str){name.data + 1, name.size - 1};
	/* The end has the extension: that is what must stay of a long name. */
	if (name.size > FILE_NAME_BYTES)
		name = (struct weir_str){name.data + name.size - FILE_NAME_BYTES, FILE_NAME_BYTES};
	char *out = weir_arena_cstr(arena, name);
	for (size_t i = 0; i < name.size; i++) {
		if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
			out[i] = '_';
	}
	return (struct weir_str){out, name.size};
}
