/*
 * Patterns of JSON Schema, as far as one pass without backtracking matches them exactly: a row of
 * character classes with counts, anchored at both ends, as in "^[a-z]{2}-[0-9]+$".
 *
 *   item = literal | \escape | . | [class], then nothing, ?, *, +, {n}, {n,} or {n,m}
 *
 * An item of variable count must share no character with what may follow it; else it is refused, as
 * are groups, alternatives and open ends. Then taking as many as possible is the only match.
 */
#include "format/json/json_int.h"

#define PATTERN_ITEMS     64
#define PATTERN_COUNT_MAX 100000

struct item {
	uint64_t ascii[2]; /* characters of the class */
	bool beyond;       /* and all characters beyond ASCII */
	uint32_t least, most;
};

struct json_pattern {
	uint32_t count;
	struct item items[PATTERN_ITEMS];
};

static void add_range(struct item *item, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		item->ascii[c / 64] |= 1ULL << (c % 64);
}

static bool has(const struct item *item, unsigned char c)
{
	return c < 128 ? (item->ascii[c / 64] >> (c % 64) & 1) != 0 : item->beyond;
}

static void negate(struct item *item)
{
	item->ascii[0] = ~item->ascii[0];
	item->ascii[1] = ~item->ascii[1];
	item->beyond = !item->beyond;
}

/* The letter after a backslash, as a class; *ret_single is the character where it is only one. */
static bool add_escape(struct item *item, char c, int *ret_single)
{
	struct item class = {0};
	bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
	*ret_single = -1;
	if (c == 'd' || c == 'D') {
		add_range(&class, '0', '9');
	} else if (c == 'w' || c == 'W') {
		add_range(&class, '0', '9');
		add_range(&class, 'A', 'Z');
		add_range(&class, 'a', 'z');
		add_range(&class, '_', '_');
	} else if (c == 's' || c == 'S') {
		add_range(&class, 9, 13);
		add_range(&class, ' ', ' ');
	} else if (c == 't' || c == 'n' || c == 'r' || !letter) {
		*ret_single = c == 't' ? 9 : c == 'n' ? 10 : c == 'r' ? 13 : c;
		if ((unsigned char)c >= 128)
			return false;
		add_range(&class, (unsigned)*ret_single, (unsigned)*ret_single);
	} else {
		return false;
	}
	if (c == 'D' || c == 'W' || c == 'S')
		negate(&class);
	item->ascii[0] |= class.ascii[0];
	item->ascii[1] |= class.ascii[1];
	item->beyond = item->beyond || class.beyond;
	return true;
}

/* "[...]"; *at is after the bracket. */
static bool parse_class(struct weir_str text, size_t *at, struct item *item)
{
	bool inverse = *at < text.size && text.data[*at] == '^';
	*at += inverse;
	for (bool first = true; *at < text.size && (first || text.data[*at] != ']'); first = false) {
		unsigned char c = (unsigned char)text.data[(*at)++];
		int single = c;
		if (c >= 128 || c == '[' || c == ']')
			return false;
		if (c == '\\') {
			if (*at >= text.size || !add_escape(item, text.data[(*at)++], &single))
				return false;
		} else {
			add_range(item, c, c);
		}
		if (*at + 1 < text.size && text.data[*at] == '-' && text.data[*at + 1] != ']') {
			unsigned char to = (unsigned char)text.data[*at + 1];
			if (single < 0 || to >= 128 || to < single || to == '\\')
				return false;
			add_range(item, (unsigned)single, to);
			*at += 2;
		}
	}
	if (*at >= text.size)
		return false;
	(*at)++;
	if (inverse)
		negate(item);
	return true;
}

static bool parse_count(struct weir_str text, size_t *at, uint32_t *ret_count)
{
	uint32_t count = 0;
	size_t start = *at;
	for (; *at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9'; (*at)++) {
		count = count * 10 + (uint32_t)(text.data[*at] - '0');
		if (count > PATTERN_COUNT_MAX)
			return false;
	}
	*ret_count = count;
	return *at > start;
}

/* What follows an item; none means once. */
static bool parse_quantifier(struct weir_str text, size_t *at, struct item *item)
{
	char c = *at < text.size ? text.data[*at] : '\0';
	item->least = item->most = 1;
	if (c != '?' && c != '*' && c != '+' && c != '{')
		return true;
	(*at)++;
	if (c != '{') {
		item->least = c == '+';
		item->most = c == '?' ? 1 : UINT32_MAX;
	} else {
		if (!parse_count(text, at, &item->least))
			return false;
		item->most = item->least;
		if (*at < text.size && text.data[*at] == ',') {
			(*at)++;
			if (*at < text.size && text.data[*at] == '}')
				item->most = UINT32_MAX;
			else if (!parse_count(text, at, &item->most))
				return false;
		}
		if (*at >= text.size || text.data[(*at)++] != '}' || item->most < item->least)
			return false;
	}
	/* A second quantifier (lazy, possessive) is another language. */
	return *at >= text.size || strchr("?*+{", text.data[*at]) == NULL;
}

static bool parse_item(struct weir_str text, size_t *at, struct item *item)
{
	int single;
	unsigned char c = (unsigned char)text.data[(*at)++];
	if (c == '[') {
		if (!parse_class(text, at, item))
			return false;
	} else if (c == '\\') {
		if (*at >= text.size || !add_escape(item, text.data[(*at)++], &single))
			return false;
	} else if (c == '.') {
		add_range(item, '\n', '\n');
		add_range(item, '\r', '\r');
		negate(item);
	} else if (c < 128 && strchr("()|^$?*+{}]", c) == NULL) {
		add_range(item, c, c);
	} else {
		return false;
	}
	return parse_quantifier(text, at, item);
}

static bool overlaps(const struct item *a, const struct item *b)
{
	return (a->ascii[0] & b->ascii[0]) != 0 || (a->ascii[1] & b->ascii[1]) != 0 || (a->beyond && b->beyond);
}

static bool is_exact(const struct json_pattern *pattern)
{
	for (uint32_t i = 0; i < pattern->count; i++) {
		if (pattern->items[i].least == pattern->items[i].most)
			continue;
		for (uint32_t k = i + 1; k < pattern->count; k++) {
			if (overlaps(&pattern->items[i], &pattern->items[k]))
				return false;
			if (pattern->items[k].least > 0)
				break;
		}
	}
	return true;
}

int json_pattern_compile(
	struct weir_str text, struct weir_arena *arena, const struct json_pattern **ret_pattern, struct weir_error *err)
{
	struct json_pattern *pattern = weir_arena_zalloc(arena, sizeof *pattern);
	bool fine = text.size >= 2 && text.data[0] == '^' && text.data[text.size - 1] == '$' &&
		(text.size < 3 || text.data[text.size - 2] != '\\');
	struct weir_str inner = {text.data + 1, text.size - 2};
	for (size_t at = 0; fine && at < inner.size;) {
		fine = pattern->count < PATTERN_ITEMS && parse_item(inner, &at, &pattern->items[pattern->count]);
		pattern->count += fine;
	}
	if (!fine || !is_exact(pattern))
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"pattern \"%.*s\" is not enforced: write ^...$ with characters, classes [a-z] and counts "
			"{n,m}, "
			"without groups, where no repeated class shares a character with what follows it",
			WEIR_STR_ARG(text));
	*ret_pattern = pattern;
	return 0;
}

bool json_pattern_match(const struct json_pattern *pattern, struct weir_str text)
{
	const char *p = text.data, *end = text.data + text.size;
	for (uint32_t i = 0; i < pattern->count; i++) {
		const struct item *item = &pattern->items[i];
		uint32_t count = 0;
		while (count < item->most && p < end && has(item, (unsigned char)*p)) {
			unsigned char lead = (unsigned char)*p++;
			if (lead >= 128)
				while (p < end && ((unsigned char)*p & 0xc0) == 0x80)
					p++;
			count++;
		}
		if (count < item->least)
			return false;
	}
	return p == end;
}
