/*
 * Inside of the JSON module: the cursor that scans bytes (json_scan.c), the compiled schema
 * (json_schema.c, json_pattern.c) and the decoder that joins the two (json_decode.c).
 *
 * Scanning stops at the first thing that is not JSON: `wrong` is set once, with the offset, and every scan function
 * returns false from then on. What is JSON but breaks the schema is no business of the cursor.
 */
#ifndef WEIR_FORMAT_JSON_INT_H
#define WEIR_FORMAT_JSON_INT_H

#include "format/json/json_events.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json_cursor {
	const char *begin, *at, *end;
	struct weir_arena *arena; /* for texts with escapes and large sets of keys */
	const char *wrong;        /* NULL, or what is not JSON at wrong_at */
	const char *wrong_at;
	bool unique_keys;
};

static inline bool json_wrong(struct json_cursor *cursor, const char *at, const char *problem)
{
	if (cursor->wrong == NULL) {
		cursor->wrong = problem;
		cursor->wrong_at = at;
	}
	return false;
}

static inline void json_skip_space(struct json_cursor *cursor)
{
	while (cursor->at < cursor->end && (unsigned char)*cursor->at <= ' ' &&
		(*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\r' || *cursor->at == '\t'))
		cursor->at++;
}

/* A text: raw is what stands between the quotes, text has the escapes resolved (the same slice where there are none).
 */
struct json_string {
	struct weir_str raw;
	struct weir_str text;
};

struct json_number {
	struct weir_str text;
	uint64_t mantissa; /* all digits without the point, where exact */
	int32_t exponent;  /* value = mantissa * 10^exponent */
	bool negative;
	bool exact; /* not more than 19 digits */
};

/* cursor->at is at the opening quote; continues at `from`, before which all bytes are plain. */
bool json_scan_string_from(struct json_cursor *cursor, const char *from, struct json_string *ret_string);
/* cursor->at is at '-' or a digit. */
bool json_scan_number(struct json_cursor *cursor, struct json_number *ret_number);
/* False where the number is too large for a finite double. */
bool json_number_double(const struct json_number *number, double *ret_value);
/* False where the number has a fraction or does not fit. 1.0 and 1e3 are integers, as JSON Schema says. */
bool json_number_i64(const struct json_number *number, int64_t *ret_value);
bool json_scan_word(struct json_cursor *cursor, const char *word, size_t size);
/* Any value, validated and passed over. */
bool json_skip_value(struct json_cursor *cursor, unsigned depth);
/* WEIR_E_INPUT from a cursor that went wrong. */
int json_cursor_fail(const struct json_cursor *cursor, struct weir_error *err);

/* cursor->at is at the opening quote. */
static inline bool json_scan_string(struct json_cursor *cursor, struct json_string *ret_string)
{
	const char *p = cursor->at + 1;
#ifdef __SSE2__
	/* Signed comparison: below a space are the control characters and all bytes of sequences beyond ASCII. */
	const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\'), space = _mm_set1_epi8(' ');
	for (; cursor->end - p >= 16; p += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i special =
			_mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape)),
				_mm_cmplt_epi8(bytes, space));
		unsigned mask = (unsigned)_mm_movemask_epi8(special);
		if (mask == 0)
			continue;
		p += __builtin_ctz(mask);
		if (*p != '"')
			break;
		/* Field by field: a struct that is copied right after its halves were stored waits for both. */
		const char *start = cursor->at + 1;
		size_t size = (size_t)(p - start);
		ret_string->raw.data = start;
		ret_string->raw.size = size;
		ret_string->text.data = start;
		ret_string->text.size = size;
		cursor->at = p + 1;
		return true;
	}
#endif
	return json_scan_string_from(cursor, p, ret_string);
}

/* At '"': the name, and the colon after it with the space around. */
static inline bool json_scan_name(struct json_cursor *cursor, struct weir_str *ret_name)
{
	struct json_string name;
	if (cursor->at >= cursor->end || *cursor->at != '"')
		return json_wrong(cursor, cursor->at, "expected a name in quotes");
	if (!json_scan_string(cursor, &name))
		return false;
	json_skip_space(cursor);
	if (cursor->at >= cursor->end || *cursor->at != ':')
		return json_wrong(cursor, cursor->at, "expected ':'");
	cursor->at++;
	json_skip_space(cursor);
	*ret_name = name.text;
	return true;
}

/* The names of one object, to find one that comes twice. */
#define JSON_KEYS_FEW 16
struct json_keys {
	struct weir_str few[JSON_KEYS_FEW];
	struct weir_str *table; /* open addressing once there are more than a few; in the arena */
	uint32_t count, capacity;
};
static inline void json_keys_start(struct json_keys *keys)
{
	keys->count = keys->capacity = 0;
	keys->table = NULL;
}
/* False where the name is there already. */
bool json_keys_add(struct json_keys *keys, struct weir_arena *arena, struct weir_str name);

/* JSON Schema's types as bits; integer is a number without fraction. */
enum json_type_bit {
	JSON_T_NULL = 1,
	JSON_T_BOOLEAN = 2,
	JSON_T_INTEGER = 4,
	JSON_T_NUMBER = 8,
	JSON_T_STRING = 16,
	JSON_T_OBJECT = 32,
	JSON_T_ARRAY = 64,
	JSON_T_ANY = 127,
};

enum json_check {
	JSON_CHECK_MINIMUM = 1,
	JSON_CHECK_MAXIMUM = 2,
	JSON_CHECK_ABOVE = 4, /* exclusiveMinimum */
	JSON_CHECK_BELOW = 8, /* exclusiveMaximum */
	JSON_CHECK_LENGTH = 16,
	JSON_CHECK_CHOICES = 32,
	JSON_CHECK_PATTERN = 64,
	JSON_CHECK_FORMAT = 128,
};
#define JSON_CHECKS_NUMBER \
	(JSON_CHECK_MINIMUM | JSON_CHECK_MAXIMUM | JSON_CHECK_ABOVE | JSON_CHECK_BELOW | JSON_CHECK_CHOICES)
#define JSON_CHECKS_STRING (JSON_CHECK_LENGTH | JSON_CHECK_CHOICES | JSON_CHECK_PATTERN | JSON_CHECK_FORMAT)

enum json_format { JSON_FORMAT_NONE, JSON_FORMAT_UUID, JSON_FORMAT_TIMESTAMP, JSON_FORMAT_DATE };

/* One permitted value of enum or const. */
struct json_choice {
	enum json_type_bit type;
	struct weir_str text; /* strings */
	double number;        /* numbers; booleans as 0 and 1 */
};

struct json_rule;
struct json_pattern;

struct json_property {
	struct weir_str name;
	const struct json_rule *rule;
	bool required;
};

/* What one value must be: a compiled (sub)schema. */
struct json_rule {
	unsigned types;  /* enum json_type_bit */
	unsigned checks; /* enum json_check: which of the following count */
	double minimum, maximum, above, below;
	uint64_t min_length, max_length; /* code points */
	uint64_t min_properties, max_properties, min_items, max_items;
	const struct json_choice *choices;
	uint32_t choice_count;
	const struct json_pattern *pattern;
	struct weir_str pattern_text;
	enum json_format format;
	struct json_property *properties;
	uint32_t property_count;
	bool closed;                        /* additionalProperties: false */
	const struct json_rule *additional; /* NULL: anything */
	const struct json_rule *items;      /* NULL: anything */
	bool never;                         /* the schema `false` */
};

enum json_column_kind {
	JSON_COLUMN_STRING,
	JSON_COLUMN_UUID,
	JSON_COLUMN_TIMESTAMP,
	JSON_COLUMN_DATE,
	JSON_COLUMN_LONG,
	JSON_COLUMN_DOUBLE,
	JSON_COLUMN_BOOLEAN,
	JSON_COLUMN_MAP,
	JSON_COLUMN_NESTED, /* JSON text */
};

struct json_field {
	struct weir_str name;
	const struct json_rule *rule;
	enum json_column_kind kind;
	bool plain; /* the name has no character that JSON would escape */
};

/* Immutable once compiled: any number of threads may decode with it. */
struct json_decoder {
	struct weir_arena *arena;
	struct weir_str name;
	struct weir_schema *schema;
	const struct json_rule *rule; /* of the whole event */
	struct json_field *fields;
	uint32_t field_count;
	uint32_t id_field; /* or WEIR_NO_FIELD */
	uint64_t required[JSON_MAX_FIELDS / 64];
	uint16_t *slots; /* open addressing by hash of the name: field + 1 */
	uint32_t slot_mask;
};

uint32_t json_decoder_find(const struct json_decoder *decoder, struct weir_str name);

/*
 * A field of a row whose value came as plain text (CSV) and not as JSON: text as it is, numbers and truth values by
 * their grammar, maps and nested values as JSON. Notes the first problem; never ends the row.
 */
void json_field_decode(const struct json_decoder *decoder, uint32_t index, struct weir_str text,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *problem);
/* One entry of a map field, by the rule of its values. */
void json_map_decode(const struct json_decoder *decoder, uint32_t index, struct weir_str key, struct weir_str text,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *problem);

/* Patterns: a row of character classes with counts, anchored at both ends (json_pattern.c). */
int json_pattern_compile(struct weir_str text, struct weir_arena *arena, const struct json_pattern **ret_pattern,
	struct weir_error *err);
bool json_pattern_match(const struct json_pattern *pattern, struct weir_str text);

/* A scanned value that is no object or array. */
struct json_token {
	enum json_type_bit type; /* JSON_T_NUMBER for every number */
	bool truth;
	struct weir_str raw; /* as it stood, with quotes */
	struct json_string string;
	struct json_number number;
};

/* NULL where the token fits the rule, else what is wrong with it. Texts live in arena. */
const char *json_rule_check(const struct json_rule *rule, const struct json_token *token, struct weir_arena *arena,
	const char **ret_remedy);
const char *json_expected_type(const struct json_rule *rule, struct weir_arena *arena);

/* The common formats of timestamps by fixed positions; others by weir_time_parse. */
bool json_time_parse(struct weir_str text, int64_t *ret_us);

#endif
