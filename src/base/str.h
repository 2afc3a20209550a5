/*
 * Text and bytes as (pointer, length) pairs.
 *
 * A weir_str borrows: whoever hands one out says how long the bytes live (an arena, a batch, a
 * literal). It is not terminated by a zero byte and may contain one.
 */
#ifndef WEIR_BASE_STR_H
#define WEIR_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct weir_str {
	const char *data;
	size_t size;
};

struct weir_slice {
	const void *data;
	size_t size;
};

/* printf("%.*s", WEIR_STR_ARG(s)) */
#define WEIR_STR_ARG(s) (int)(s).size, (s).data
/* A weir_str of a string literal; its size is known to the compiler. */
#define WEIR_STR(literal) ((struct weir_str){"" literal, sizeof(literal) - 1})

static inline struct weir_str weir_str_from(const char *text)
{
	return (struct weir_str){text, text != NULL ? strlen(text) : 0};
}

static inline bool weir_str_equal(struct weir_str a, struct weir_str b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool weir_str_is(struct weir_str a, const char *text)
{
	return weir_str_equal(a, weir_str_from(text));
}

static inline bool weir_str_has_prefix(struct weir_str a, struct weir_str prefix)
{
	return a.size >= prefix.size && (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

static inline bool weir_str_has_suffix(struct weir_str a, struct weir_str suffix)
{
	return a.size >= suffix.size &&
		(suffix.size == 0 || memcmp(a.data + a.size - suffix.size, suffix.data, suffix.size) == 0);
}

/* Order by bytes, a shorter text before a longer one that begins with it. */
static inline int weir_str_compare(struct weir_str a, struct weir_str b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
	if (order != 0)
		return order;
	return a.size < b.size ? -1 : a.size > b.size;
}

/* Without the spaces, tabs and line ends at both sides. */
struct weir_str weir_str_trim(struct weir_str text);

/* The whole text as a number; false when it is not one, or does not fit. No spaces, no sign '+'. */
bool weir_str_to_i64(struct weir_str text, int64_t *ret_value);
bool weir_str_to_u64(struct weir_str text, uint64_t *ret_value);
/* The grammar of a JSON number (RFC 8259, section 6): what CONSENT.md calls "a whole JSON number". */
bool weir_str_to_double(struct weir_str text, double *ret_value);

/* True for well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool weir_utf8_valid(struct weir_str text);

/* Edit distance, for "did you mean"; texts longer than 64 bytes count as far apart. */
unsigned weir_str_distance(struct weir_str a, struct weir_str b);

#endif
