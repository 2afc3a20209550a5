/*
 * The decoder: one pass over an event's bytes that validates them against the schema's rules and sets
 * the columns of a builder's row. The hot path of the lake: an event whose fields come in the schema's
 * order costs one comparison a name, and no memory but the builder's own.
 *
 * Two kinds of trouble are kept apart. What is not JSON stops the cursor (false). What is JSON but not
 * what the schema asks is noted once, and decoding goes on: the end of the event must still be found.
 */
#include "format/json/json_int.h"

#include "base/time.h"
#include "base/uuid.h"

/* The way to a value, for the name of the field in a problem. */
struct path {
	const struct path *up;
	struct weir_str name;
	int64_t index; /* in an array, where name is empty */
};

struct decode {
	struct json_cursor cursor;
	const struct json_decoder *decoder;
	struct weir_builder *builder;
	struct weir_arena *arena;
	struct json_problem problem; /* problem.problem is NULL while all is well */
};

#define PATH_NAME_BYTES 200 /* of one name in a problem's field: names come from the event */

static struct weir_str path_text(const struct path *path, struct weir_arena *arena)
{
	const char *text = "";
	for (; path != NULL; path = path->up) {
		int size = path->name.size < PATH_NAME_BYTES ? (int)path->name.size : PATH_NAME_BYTES;
		const char *joint = text[0] == '\0' || text[0] == '[' ? "" : ".";
		if (path->name.data == NULL)
			text = weir_arena_printf(arena, "[%lld]%s%s", (long long)path->index, joint, text);
		else
			text = weir_arena_printf(arena, "%.*s%s%s", size, path->name.data, joint, text);
	}
	return weir_str_from(text);
}

static void note(
	struct decode *d, const struct path *path, struct weir_str value, const char *problem, const char *remedy)
{
	if (d->problem.problem != NULL)
		return;
	d->problem.field = path_text(path, d->arena);
	value.size = value.size > 100 ? 100 : value.size;
	d->problem.value = weir_arena_str(d->arena, value);
	d->problem.problem = problem;
	d->problem.remedy = remedy;
}

/* Any value but an object or an array. */
static inline bool scan_token(struct json_cursor *cursor, struct json_token *ret_token)
{
	const char *start = cursor->at;
	bool fine;
	if (start >= cursor->end)
		return json_wrong(cursor, start, "the document ends where a value is expected");
	switch (*start) {
	case '"':
		ret_token->type = JSON_T_STRING;
		fine = json_scan_string(cursor, &ret_token->string);
		break;
	case 't':
	case 'f':
		ret_token->type = JSON_T_BOOLEAN;
		ret_token->truth = *start == 't';
		fine = ret_token->truth ? json_scan_word(cursor, "true", 4) : json_scan_word(cursor, "false", 5);
		break;
	case 'n':
		ret_token->type = JSON_T_NULL;
		fine = json_scan_word(cursor, "null", 4);
		break;
	default:
		if (*start != '-' && (unsigned char)(*start - '0') > 9)
			return json_wrong(
				cursor, start, "not a value: expected text, number, true, false, null, { or [");
		ret_token->type = JSON_T_NUMBER;
		fine = json_scan_number(cursor, &ret_token->number);
	}
	ret_token->raw = (struct weir_str){start, (size_t)(cursor->at - start)};
	return fine;
}

static inline bool is_nested(const struct json_cursor *cursor)
{
	return cursor->at < cursor->end && (*cursor->at == '{' || *cursor->at == '[');
}

/* After a member or element: *ret_more where another follows. */
static inline bool scan_separator(struct json_cursor *cursor, char close, bool *ret_more)
{
	json_skip_space(cursor);
	if (cursor->at >= cursor->end || (*cursor->at != ',' && *cursor->at != close))
		return json_wrong(cursor, cursor->at, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
	*ret_more = *cursor->at++ == ',';
	json_skip_space(cursor);
	return true;
}

/* After the opening bracket: true in *ret_more where it is not closed at once. */
static inline bool scan_open(struct json_cursor *cursor, char close)
{
	cursor->at++;
	json_skip_space(cursor);
	if (cursor->at < cursor->end && *cursor->at == close) {
		cursor->at++;
		return false;
	}
	return true;
}

static bool check_value(struct decode *d, const struct json_rule *rule, const struct path *path, unsigned depth);

/* Skips a value whose type the rule does not permit. */
static bool refuse_nested(struct decode *d, const struct json_rule *rule, const struct path *path, unsigned depth)
{
	const char *start = d->cursor.at;
	bool object = *start == '{';
	if (!json_skip_value(&d->cursor, depth))
		return false;
	note(d, path, (struct weir_str){start, (size_t)(d->cursor.at - start)},
		rule->never      ? "is not permitted"
			: object ? "is an object"
				 : "is an array",
		rule->never ? "leave it out" : json_expected_type(rule, d->arena));
	return true;
}

static void check_property_count(
	struct decode *d, const struct json_rule *rule, const struct path *path, uint64_t count)
{
	if (count < rule->min_properties)
		note(d, path, (struct weir_str){0}, "has too few properties",
			weir_arena_printf(d->arena, "send at least %llu", (unsigned long long)rule->min_properties));
	if (count > rule->max_properties)
		note(d, path, (struct weir_str){0}, "has too many properties",
			weir_arena_printf(d->arena, "send at most %llu", (unsigned long long)rule->max_properties));
}

static bool check_object(struct decode *d, const struct json_rule *rule, const struct path *path, unsigned depth)
{
	struct json_cursor *cursor = &d->cursor;
	struct json_keys keys;
	uint64_t seen[JSON_MAX_FIELDS / 64] = {0};
	uint64_t count = 0;
	json_keys_start(&keys);
	for (bool more = scan_open(cursor, '}'); more; count++) {
		struct path inner = {path, {0}, 0};
		const char *start = cursor->at;
		if (!json_scan_name(cursor, &inner.name))
			return false;
		if (!json_keys_add(&keys, d->arena, inner.name))
			return json_wrong(cursor, start, "the name comes twice in its object");
		uint32_t k = 0;
		while (k < rule->property_count && !weir_str_equal(rule->properties[k].name, inner.name))
			k++;
		bool known = k < rule->property_count;
		if (known)
			seen[k / 64] |= 1ULL << (k % 64);
		if (!known && rule->closed)
			note(d, &inner, (struct weir_str){0}, "is not among the properties", "leave it out");
		const struct json_rule *next = known ? rule->properties[k].rule : rule->additional;
		if (next != NULL ? !check_value(d, next, &inner, depth) : !json_skip_value(cursor, depth))
			return false;
		if (!scan_separator(cursor, '}', &more))
			return false;
	}
	for (uint32_t k = 0; k < rule->property_count; k++)
		if (rule->properties[k].required && (seen[k / 64] >> (k % 64) & 1) == 0) {
			struct path inner = {path, rule->properties[k].name, 0};
			note(d, &inner, (struct weir_str){0}, "is missing", "send it with every event");
		}
	check_property_count(d, rule, path, count);
	return true;
}

static bool check_array(struct decode *d, const struct json_rule *rule, const struct path *path, unsigned depth)
{
	struct path inner = {path, {0}, 0};
	for (bool more = scan_open(&d->cursor, ']'); more; inner.index++) {
		if (rule->items != NULL ? !check_value(d, rule->items, &inner, depth)
					: !json_skip_value(&d->cursor, depth))
			return false;
		if (!scan_separator(&d->cursor, ']', &more))
			return false;
	}
	if ((uint64_t)inner.index < rule->min_items || (uint64_t)inner.index > rule->max_items)
		note(d, path, (struct weir_str){0},
			(uint64_t)inner.index < rule->min_items ? "has too few elements" : "has too many elements",
			weir_arena_printf(d->arena, "send from %llu to %llu", (unsigned long long)rule->min_items,
				(unsigned long long)rule->max_items));
	return true;
}

/* Any value against a rule, without storing it. */
static bool check_value(struct decode *d, const struct json_rule *rule, const struct path *path, unsigned depth)
{
	struct json_token token;
	const char *problem, *remedy = "";
	if (is_nested(&d->cursor)) {
		bool object = *d->cursor.at == '{';
		if (depth >= JSON_MAX_DEPTH)
			return json_wrong(&d->cursor, d->cursor.at, "nested deeper than 64 levels");
		if (rule->never || (rule->types & (object ? JSON_T_OBJECT : JSON_T_ARRAY)) == 0)
			return refuse_nested(d, rule, path, depth);
		return object ? check_object(d, rule, path, depth + 1) : check_array(d, rule, path, depth + 1);
	}
	if (!scan_token(&d->cursor, &token))
		return false;
	problem = json_rule_check(rule, &token, d->arena, &remedy);
	if (problem != NULL)
		note(d, path, token.raw, problem, remedy);
	return true;
}

static bool decode_map(struct decode *d, const struct json_field *field, uint32_t index)
{
	static const struct json_rule scalar = {
		.types = JSON_T_STRING | JSON_T_NUMBER | JSON_T_INTEGER | JSON_T_BOOLEAN};
	const struct json_rule *rule = field->rule->additional != NULL ? field->rule->additional : &scalar;
	struct json_cursor *cursor = &d->cursor;
	struct path up = {NULL, field->name, 0};
	struct json_keys keys;
	json_keys_start(&keys);
	uint64_t count = 0;
	weir_builder_map_start(d->builder, index);
	for (bool more = scan_open(cursor, '}'); more; count++) {
		struct path path = {&up, {0}, 0};
		const char *start = cursor->at, *problem, *remedy = "";
		struct json_token token;
		if (!json_scan_name(cursor, &path.name))
			return false;
		if (!json_keys_add(&keys, d->arena, path.name))
			return json_wrong(cursor, start, "the name comes twice in its object");
		if (is_nested(cursor)) {
			if (!refuse_nested(d, &scalar, &path, 2))
				return false;
		} else {
			if (!scan_token(cursor, &token))
				return false;
			problem = json_rule_check(rule, &token, d->arena, &remedy);
			if (problem == NULL && field->rule->closed) {
				problem = "is not among the properties";
				remedy = "leave it out";
			}
			if (problem != NULL)
				note(d, &path, token.raw, problem, remedy);
			else if (token.type != JSON_T_NULL)
				weir_builder_map_entry(d->builder, index, path.name,
					token.type == JSON_T_STRING ? token.string.text : token.raw);
		}
		if (!scan_separator(cursor, '}', &more))
			return false;
	}
	check_property_count(d, field->rule, &up, count);
	return true;
}

/* Objects and arrays as a field's value. */
static bool decode_nested(struct decode *d, const struct json_field *field, uint32_t index)
{
	const char *start = d->cursor.at;
	struct path path = {NULL, field->name, 0};
	if (field->kind == JSON_COLUMN_MAP && *start == '{')
		return decode_map(d, field, index);
	if (!check_value(d, field->rule, &path, 1))
		return false;
	if (field->kind == JSON_COLUMN_NESTED && d->problem.problem == NULL)
		weir_builder_str(d->builder, index, (struct weir_str){start, (size_t)(d->cursor.at - start)});
	return true;
}

static inline unsigned pair(const char *p)
{
	unsigned high = (unsigned)(unsigned char)p[0] - '0', low = (unsigned)(unsigned char)p[1] - '0';
	return high > 9 || low > 9 ? 1000 : high * 10 + low;
}

/* "2025-02-01T08:00:00Z", or with three or six digits after a point; false: let the general parser look. */
static inline bool time_fast(const char *p, size_t size, int64_t *ret_us)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned fraction = 0;
	if ((size != 20 && size != 24 && size != 27) || p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' ||
		p[16] != ':' || p[size - 1] != 'Z')
		return false;
	unsigned century = pair(p), years = pair(p + 2), month = pair(p + 5), day = pair(p + 8);
	unsigned hour = pair(p + 11), minute = pair(p + 14), second = pair(p + 17);
	if (century > 99 || years > 99 || month - 1 > 11 || hour > 23 || minute > 59 || second > 59 || day < 1 ||
		(day > days[month - 1] && !(month == 2 && day == 29 && years % 4 == 0 && years != 0)))
		return false;
	if (size > 20) {
		if (p[19] != '.')
			return false;
		for (size_t i = 20; i < size - 1; i++) {
			unsigned digit = (unsigned)(unsigned char)p[i] - '0';
			if (digit > 9)
				return false;
			fraction = fraction * 10 + digit;
		}
		fraction *= size == 24 ? 1000 : 1;
	}
	int64_t days_since = weir_day_from_civil((int)(century * 100 + years), (int)month, (int)day);
	*ret_us = days_since * WEIR_US_PER_DAY + (int64_t)(hour * 3600 + minute * 60 + second) * WEIR_US_PER_SECOND +
		fraction;
	return true;
}

bool json_time_parse(struct weir_str text, int64_t *ret_us)
{
	return time_fast(text.data, text.size, ret_us) || weir_time_parse(text, WEIR_ZONE_REQUIRED, ret_us);
}

/* Puts a token that has the field's type into the row; what it would not take is a problem. */
static const char *store(struct decode *d, const struct json_field *field, uint32_t index,
	const struct json_token *token, const char **ret_remedy)
{
	struct weir_uuid uuid;
	int64_t whole;
	int32_t day;
	double number;
	switch (field->kind) {
	case JSON_COLUMN_STRING:
		weir_builder_str(d->builder, index, token->string.text);
		return NULL;
	case JSON_COLUMN_UUID:
		if (!weir_uuid_parse(token->string.text, &uuid)) {
			*ret_remedy = "send it as 8-4-4-4-12 hexadecimal digits";
			return "is not a UUID";
		}
		weir_builder_uuid(d->builder, index, &uuid);
		return NULL;
	case JSON_COLUMN_TIMESTAMP:
		if (!json_time_parse(token->string.text, &whole)) {
			*ret_remedy = "send RFC 3339 with a time zone, as in \"2025-02-01T08:00:00.250Z\"";
			return "is not a timestamp";
		}
		weir_builder_i64(d->builder, index, whole);
		return NULL;
	case JSON_COLUMN_DATE:
		if (!weir_date_parse(token->string.text, &day)) {
			*ret_remedy = "send it as year, month and day, as in \"2025-02-01\"";
			return "is not a date";
		}
		weir_builder_i64(d->builder, index, day);
		return NULL;
	case JSON_COLUMN_LONG:
		if (!json_number_i64(&token->number, &whole)) {
			*ret_remedy = "send a whole number of at most 64 bits";
			return "is not a whole number";
		}
		weir_builder_i64(d->builder, index, whole);
		return NULL;
	case JSON_COLUMN_DOUBLE:
		if (!json_number_double(&token->number, &number)) {
			*ret_remedy = "send a number within the range of a double";
			return "is too large";
		}
		weir_builder_double(d->builder, index, number);
		return NULL;
	case JSON_COLUMN_BOOLEAN:
		weir_builder_bool(d->builder, index, token->truth);
		return NULL;
	case JSON_COLUMN_MAP:
	case JSON_COLUMN_NESTED:
		break;
	}
	*ret_remedy = json_expected_type(field->rule, d->arena);
	return "has the wrong type";
}

static inline void decode_token(struct decode *d, uint32_t index, const struct json_token *token)
{
	/* The type of the token that a kind of column takes without asking the rule. */
	static const unsigned plain_type[] = {JSON_T_STRING, JSON_T_STRING, JSON_T_STRING, JSON_T_STRING, JSON_T_NUMBER,
		JSON_T_NUMBER, JSON_T_BOOLEAN, 0, 0};
	const struct json_field *field = &d->decoder->fields[index];
	const char *problem = NULL, *remedy = "";
	if (index == d->decoder->id_field)
		d->problem.event_id = token->type == JSON_T_STRING ? token->string.text : token->raw;
	/* A format is checked by parsing it into its column. */
	if (token->type != plain_type[field->kind] || (field->rule->checks & ~(unsigned)JSON_CHECK_FORMAT) != 0)
		problem = json_rule_check(field->rule, token, d->arena, &remedy);
	if (problem == NULL && token->type != JSON_T_NULL)
		problem = store(d, field, index, token, &remedy);
	if (problem != NULL) {
		struct path path = {NULL, field->name, 0};
		note(d, &path, token->raw, problem, remedy);
	}
}

static bool decode_field(struct decode *d, uint32_t index)
{
	struct json_token token;
	if (is_nested(&d->cursor))
		return decode_nested(d, &d->decoder->fields[index], index);
	if (!scan_token(&d->cursor, &token))
		return false;
	decode_token(d, index, &token);
	return true;
}

/* The name at the cursor as a field's index, by the guess that it is the next one of the schema. */
static inline bool scan_field_name(struct decode *d, uint32_t guess, uint32_t *ret_index, struct weir_str *ret_name)
{
	struct json_cursor *cursor = &d->cursor;
	if (guess < d->decoder->field_count) {
		const struct json_field *field = &d->decoder->fields[guess];
		size_t size = field->name.size;
		if (field->plain && (size_t)(cursor->end - cursor->at) > size + 3 && cursor->at[0] == '"' &&
			cursor->at[size + 1] == '"' && memcmp(cursor->at + 1, field->name.data, size) == 0) {
			cursor->at += size + 2;
			json_skip_space(cursor);
			if (cursor->at >= cursor->end || *cursor->at != ':')
				return json_wrong(cursor, cursor->at, "expected ':'");
			cursor->at++;
			json_skip_space(cursor);
			*ret_index = guess;
			return true;
		}
	}
	if (!json_scan_name(cursor, ret_name))
		return false;
	*ret_index = json_decoder_find(d->decoder, *ret_name);
	return true;
}

static bool decode_unknown(struct decode *d, struct json_keys *keys, struct weir_str name, const char *start)
{
	const struct json_rule *rule = d->decoder->rule;
	struct path path = {NULL, name, 0};
	if (!json_keys_add(keys, d->arena, name))
		return json_wrong(&d->cursor, start, "the name comes twice in its object");
	if (rule->closed)
		note(d, &path, (struct weir_str){0}, "is not among the properties",
			"leave it out, or add it to the schema");
	if (rule->additional != NULL)
		return check_value(d, rule->additional, &path, 1);
	return json_skip_value(&d->cursor, 1);
}

/* From '{' to '}'. */
static bool decode_event(struct decode *d)
{
	const struct json_decoder *decoder = d->decoder;
	struct json_cursor *cursor = &d->cursor;
	struct json_keys unknown;
	uint64_t seen[JSON_MAX_FIELDS / 64] = {0}, count = 0;
	uint32_t guess = 0, index;
	const char *start = cursor->at;
	json_keys_start(&unknown);
	if (start >= cursor->end || *start != '{') {
		if (!json_skip_value(cursor, 0))
			return false;
		note(d, NULL, (struct weir_str){start, (size_t)(cursor->at - start)}, "is not an object",
			"send each event as a JSON object");
		return true;
	}
	for (bool more = scan_open(cursor, '}'); more; count++) {
		struct weir_str name = {0};
		start = cursor->at;
		if (!scan_field_name(d, guess, &index, &name))
			return false;
		if (index == WEIR_NO_FIELD) {
			if (!decode_unknown(d, &unknown, name, start))
				return false;
		} else {
			if ((seen[index / 64] >> (index % 64) & 1) != 0)
				return json_wrong(cursor, start, "the name comes twice in its object");
			seen[index / 64] |= 1ULL << (index % 64);
			guess = index + 1;
			if (!decode_field(d, index))
				return false;
		}
		if (!scan_separator(cursor, '}', &more))
			return false;
	}
	for (uint32_t word = 0; word * 64 < decoder->field_count; word++) {
		uint64_t missing = decoder->required[word] & ~seen[word];
		if (missing != 0) {
			struct path path = {
				NULL, decoder->fields[word * 64 + (uint32_t)__builtin_ctzll(missing)].name, 0};
			note(d, &path, (struct weir_str){0}, "is missing", "send it with every event");
			break;
		}
	}
	check_property_count(d, decoder->rule, NULL, count);
	return true;
}

static struct decode decode_start(const struct json_decoder *decoder, struct weir_str bytes,
	struct weir_builder *builder, struct weir_arena *arena)
{
	return (struct decode){
		.cursor = {bytes.data, bytes.data, bytes.data + bytes.size, arena, NULL, NULL, true},
		.decoder = decoder,
		.builder = builder,
		.arena = arena,
	};
}

/* Bytes that are not JSON as the problem of an event. */
static void note_broken(struct decode *d, struct weir_str payload)
{
	const char *at = d->cursor.wrong_at;
	size_t left = (size_t)(d->cursor.end - at);
	d->problem.field = WEIR_STR("");
	d->problem.value = weir_arena_str(d->arena, (struct weir_str){at, left < 20 ? left : 20});
	d->problem.problem = weir_arena_printf(
		d->arena, "is not JSON: %s (at byte %llu)", d->cursor.wrong, (unsigned long long)(at - payload.data));
	d->problem.remedy = "send JSON as RFC 8259 has it";
}

/* One event in bytes of its own: spaces, an object, spaces. False where it has a problem. */
static bool decode_alone(struct decode *d, struct weir_str bytes)
{
	json_skip_space(&d->cursor);
	if (decode_event(d)) {
		json_skip_space(&d->cursor);
		if (d->cursor.at == d->cursor.end)
			return d->problem.problem == NULL;
		json_wrong(&d->cursor, d->cursor.at, "something follows the event");
	}
	note_broken(d, bytes);
	return false;
}

int json_decode_one(const struct json_decoder *decoder, struct weir_str payload, struct weir_builder *builder,
	struct weir_arena *arena, struct json_problem *ret_problem, struct weir_error *err)
{
	struct decode d = decode_start(decoder, payload, builder, arena);
	if (decode_alone(&d, payload))
		return 0;
	weir_builder_drop_row(builder);
	d.problem.payload = payload;
	*ret_problem = d.problem;
	if (d.cursor.wrong != NULL)
		return json_cursor_fail(&d.cursor, err);
	return weir_fail_at(err, WEIR_E_INPUT, decoder->name, WEIR_ERROR_NO_OFFSET, "field \"%.*s\" %s: %s",
		WEIR_STR_ARG(d.problem.field), d.problem.problem, d.problem.remedy);
}

void json_field_decode(const struct json_decoder *decoder, uint32_t index, struct weir_str text,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *problem)
{
	const struct json_field *field = &decoder->fields[index];
	struct decode d = decode_start(decoder, text, builder, arena);
	d.problem = *problem;
	if (field->kind <= JSON_COLUMN_DATE) {
		struct path path = {NULL, field->name, 0};
		struct json_token token = {.type = JSON_T_STRING, .raw = text, .string = {text, text}};
		if (weir_utf8_valid(text))
			decode_token(&d, index, &token);
		else
			note(&d, &path, (struct weir_str){0}, "is not UTF-8", "send text as UTF-8");
	} else {
		json_skip_space(&d.cursor);
		bool fine = decode_field(&d, index);
		json_skip_space(&d.cursor);
		if (!fine || d.cursor.at != d.cursor.end) {
			struct path path = {NULL, field->name, 0};
			note(&d, &path, text, "has the wrong type", json_expected_type(field->rule, arena));
		}
	}
	*problem = d.problem;
}

void json_map_decode(const struct json_decoder *decoder, uint32_t index, struct weir_str key, struct weir_str text,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *problem)
{
	const struct json_field *field = &decoder->fields[index];
	struct path up = {NULL, field->name, 0}, path = {&up, key, 0};
	struct decode d = decode_start(decoder, text, builder, arena);
	struct json_token token;
	const char *wrong = NULL, *remedy = "";
	d.problem = *problem;
	if (!weir_utf8_valid(key) || !weir_utf8_valid(text)) {
		wrong = "is not UTF-8";
		remedy = "send text as UTF-8";
	} else if (field->rule->additional != NULL) {
		/* What looks like a number or a truth value is one, unless the schema asks for text. */
		bool scanned = text.size > 0 && text.data[0] != '"' && text.data[0] != 'n' && !is_nested(&d.cursor) &&
			scan_token(&d.cursor, &token) && d.cursor.at == d.cursor.end;
		wrong = scanned ? json_rule_check(field->rule->additional, &token, arena, &remedy) : "";
		if (wrong != NULL) {
			token = (struct json_token){.type = JSON_T_STRING, .raw = text, .string = {text, text}};
			wrong = json_rule_check(field->rule->additional, &token, arena, &remedy);
		}
	}
	if (wrong != NULL)
		note(&d, &path, text, wrong, remedy);
	else
		weir_builder_map_entry(builder, index, key, text);
	*problem = d.problem;
}

/* What json_decode hands on for each event. */
struct delivery {
	json_event_fn *event;
	void *context;
	struct weir_builder *builder;
	uint32_t index;
};

static int deliver(struct delivery *to, struct decode *d, struct weir_str payload, struct weir_error *err)
{
	if (d->problem.problem == NULL) {
		to->index++;
		return to->event(to->context, payload, NULL, err);
	}
	weir_builder_drop_row(to->builder);
	d->problem.index = to->index++;
	d->problem.payload = payload;
	return to->event(to->context, payload, &d->problem, err);
}

static struct weir_str trimmed(struct weir_str text)
{
	while (text.size > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
		text.data++;
		text.size--;
	}
	while (text.size > 0 && strchr(" \t\r\n", text.data[text.size - 1]) != NULL && text.data[text.size - 1] != '\0')
		text.size--;
	return text;
}

static int decode_lines(const struct json_decoder *decoder, struct weir_str document, struct weir_arena *arena,
	struct delivery *to, struct weir_error *err)
{
	const char *at = document.data, *end = at + document.size;
	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		if (line_end == NULL)
			line_end = end;
		struct weir_str line = trimmed((struct weir_str){at, (size_t)(line_end - at)});
		at = line_end + 1;
		if (line.size == 0)
			continue;
		struct decode d = decode_start(decoder, line, to->builder, arena);
		decode_alone(&d, line);
		int code = deliver(to, &d, line, err);
		if (code != 0)
			return code;
	}
	return 0;
}

/* The document is known to be JSON and to begin with '['. */
static int decode_array(const struct json_decoder *decoder, struct weir_str document, struct weir_arena *arena,
	struct delivery *to, struct weir_error *err)
{
	struct decode d = decode_start(decoder, document, to->builder, arena);
	json_skip_space(&d.cursor);
	bool more = scan_open(&d.cursor, ']');
	while (more) {
		const char *start = d.cursor.at;
		d.problem = (struct json_problem){0};
		if (!decode_event(&d))
			return json_cursor_fail(&d.cursor, err);
		struct weir_str payload = {start, (size_t)(d.cursor.at - start)};
		int code = deliver(to, &d, payload, err);
		if (code != 0)
			return code;
		if (!scan_separator(&d.cursor, ']', &more))
			return json_cursor_fail(&d.cursor, err);
	}
	return 0;
}

static int decode_single(const struct json_decoder *decoder, struct weir_str document, struct weir_arena *arena,
	struct delivery *to, struct weir_error *err)
{
	struct decode d = decode_start(decoder, document, to->builder, arena);
	if (!decode_alone(&d, document) && d.cursor.wrong != NULL) {
		weir_builder_drop_row(to->builder);
		return json_cursor_fail(&d.cursor, err);
	}
	return deliver(to, &d, trimmed(document), err);
}

/* An array by its bracket. Lines where the first line is a value of its own, or the second begins like one, and more
 * follows. */
static enum json_framing detect(struct weir_str document, struct weir_arena *arena)
{
	if (document.size > 0 && document.data[0] == '[')
		return JSON_FRAME_ARRAY;
	struct json_cursor cursor = {
		document.data, document.data, document.data + document.size, arena, NULL, NULL, true};
	const char *line_end = memchr(document.data, '\n', document.size);
	if (line_end == NULL)
		return JSON_FRAME_ONE;
	if (json_skip_value(&cursor, 0)) {
		json_skip_space(&cursor);
		return cursor.at == cursor.end ? JSON_FRAME_ONE : JSON_FRAME_LINES;
	}
	struct weir_str rest = trimmed((struct weir_str){line_end, (size_t)(cursor.end - line_end)});
	return rest.size > 0 && rest.data[0] == '{' ? JSON_FRAME_LINES : JSON_FRAME_ONE;
}

int json_decode(const struct json_decoder *decoder, struct weir_str document, enum json_framing framing,
	struct weir_builder *builder, struct weir_arena *arena, json_event_fn *event, void *context,
	struct weir_error *err)
{
	struct delivery to = {event, context, builder, 0};
	struct weir_str inner = trimmed(document);
	int code;
	if (framing == JSON_FRAME_AUTO)
		framing = detect(inner, arena);
	if (framing == JSON_FRAME_LINES) {
		code = decode_lines(decoder, document, arena, &to, err);
	} else if (framing == JSON_FRAME_ONE) {
		code = decode_single(decoder, document, arena, &to, err);
	} else {
		/* Nothing of a broken array may count, so it is read through before its first event. */
		code = json_validate(document, true, NULL, err);
		if (code == 0 && inner.data[0] != '[')
			code = weir_fail_at(err, WEIR_E_INPUT, decoder->name, 0, "is not an array of events");
		if (code == 0)
			code = decode_array(decoder, document, arena, &to, err);
	}
	return code;
}
