/* Whether a scanned value fits its rule, and the words for it where it does not. */
#include "format/json/json_int.h"

#include <math.h>

#include "base/uuid.h"
#include "base/time.h"

/* Bytes that begin a character. */
static uint64_t count_code_points(struct weir_str text)
{
	uint64_t count = 0;
	for (size_t i = 0; i < text.size; i++)
		count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	return count;
}

const char *json_expected_type(const struct json_rule *rule, struct weir_arena *arena)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {{JSON_T_STRING, "text"}, {JSON_T_NUMBER, "a number"}, {JSON_T_INTEGER, "a whole number"},
		{JSON_T_BOOLEAN, "true or false"}, {JSON_T_OBJECT, "an object"}, {JSON_T_ARRAY, "an array"},
		{JSON_T_NULL, "null"}};
	const char *text = "send";
	bool first = true;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if ((rule->types & names[i].bit) == 0 ||
			(names[i].bit == JSON_T_INTEGER && (rule->types & JSON_T_NUMBER) != 0))
			continue;
		text = weir_arena_printf(arena, "%s%s%s", text, first ? " " : " or ", names[i].name);
		first = false;
	}
	return text;
}

static const char *check_choices(const struct json_rule *rule, const struct json_token *token, double number,
	struct weir_arena *arena, const char **ret_remedy)
{
	const char *list = "send one of";
	for (uint32_t i = 0; i < rule->choice_count; i++) {
		const struct json_choice *choice = &rule->choices[i];
		if (choice->type != token->type)
			continue;
		if (token->type == JSON_T_NULL ||
			(token->type == JSON_T_STRING && weir_str_equal(choice->text, token->string.text)) ||
			(token->type == JSON_T_NUMBER && choice->number == number) ||
			(token->type == JSON_T_BOOLEAN && (choice->number != 0) == token->truth))
			return NULL;
	}
	for (uint32_t i = 0; i < rule->choice_count && i < 20; i++) {
		const struct json_choice *choice = &rule->choices[i];
		const char *comma = i > 0 ? "," : "";
		if (choice->type == JSON_T_STRING)
			list = weir_arena_printf(arena, "%s%s \"%.*s\"", list, comma, WEIR_STR_ARG(choice->text));
		else if (choice->type == JSON_T_NUMBER)
			list = weir_arena_printf(arena, "%s%s %g", list, comma, choice->number);
		else
			list = weir_arena_printf(arena, "%s%s %s", list, comma,
				choice->type == JSON_T_NULL   ? "null"
					: choice->number != 0 ? "true"
							      : "false");
	}
	*ret_remedy = list;
	return "is not among the permitted values";
}

static const char *check_number(
	const struct json_rule *rule, double value, struct weir_arena *arena, const char **ret_remedy)
{
	if ((rule->checks & JSON_CHECK_MINIMUM) != 0 && !(value >= rule->minimum)) {
		*ret_remedy = weir_arena_printf(arena, "send %.17g or more", rule->minimum);
		return "is too small";
	}
	if ((rule->checks & JSON_CHECK_MAXIMUM) != 0 && !(value <= rule->maximum)) {
		*ret_remedy = weir_arena_printf(arena, "send %.17g or less", rule->maximum);
		return "is too large";
	}
	if ((rule->checks & JSON_CHECK_ABOVE) != 0 && !(value > rule->above)) {
		*ret_remedy = weir_arena_printf(arena, "send more than %.17g", rule->above);
		return "is too small";
	}
	if ((rule->checks & JSON_CHECK_BELOW) != 0 && !(value < rule->below)) {
		*ret_remedy = weir_arena_printf(arena, "send less than %.17g", rule->below);
		return "is too large";
	}
	return NULL;
}

static const char *check_format(enum json_format format, struct weir_str text, const char **ret_remedy)
{
	struct weir_uuid uuid;
	int64_t time_us;
	int32_t day;
	if (format == JSON_FORMAT_UUID && !weir_uuid_parse(text, &uuid)) {
		*ret_remedy = "send it as 8-4-4-4-12 hexadecimal digits";
		return "is not a UUID";
	}
	if (format == JSON_FORMAT_TIMESTAMP && !json_time_parse(text, &time_us)) {
		*ret_remedy = "send RFC 3339 with a time zone, as in \"2025-02-01T08:00:00.250Z\"";
		return "is not a timestamp";
	}
	if (format == JSON_FORMAT_DATE && !weir_date_parse(text, &day)) {
		*ret_remedy = "send it as year, month and day, as in \"2025-02-01\"";
		return "is not a date";
	}
	return NULL;
}

static const char *check_string(
	const struct json_rule *rule, struct weir_str text, struct weir_arena *arena, const char **ret_remedy)
{
	if ((rule->checks & JSON_CHECK_LENGTH) != 0) {
		uint64_t length = count_code_points(text);
		if (length < rule->min_length || length > rule->max_length) {
			bool small = length < rule->min_length;
			*ret_remedy =
				weir_arena_printf(arena, "send %s %llu characters", small ? "at least" : "at most",
					(unsigned long long)(small ? rule->min_length : rule->max_length));
			return small ? "is too short" : "is too long";
		}
	}
	if ((rule->checks & JSON_CHECK_PATTERN) != 0 && !json_pattern_match(rule->pattern, text)) {
		*ret_remedy = weir_arena_printf(arena, "send text that matches %.*s", WEIR_STR_ARG(rule->pattern_text));
		return "does not match the pattern";
	}
	if ((rule->checks & JSON_CHECK_FORMAT) != 0)
		return check_format(rule->format, text, ret_remedy);
	return NULL;
}

const char *json_rule_check(
	const struct json_rule *rule, const struct json_token *token, struct weir_arena *arena, const char **ret_remedy)
{
	double number = 0;
	const char *problem = NULL;
	int64_t whole;
	unsigned type = token->type;
	if (type == JSON_T_NUMBER && (rule->types & JSON_T_NUMBER) == 0 && (rule->types & JSON_T_INTEGER) != 0) {
		type = JSON_T_INTEGER;
		if (!json_number_i64(&token->number, &whole)) {
			*ret_remedy = "send a whole number of at most 64 bits";
			return "is not a whole number";
		}
	}
	if (rule->never || (rule->types & type) == 0) {
		*ret_remedy = rule->never ? "leave it out" : json_expected_type(rule, arena);
		return rule->never ? "is not permitted" : type == JSON_T_NULL ? "is null" : "has the wrong type";
	}
	if (rule->checks == 0)
		return NULL;
	if (token->type == JSON_T_NUMBER && (rule->checks & JSON_CHECKS_NUMBER) != 0) {
		if (!json_number_double(&token->number, &number))
			return "is too large";
		problem = check_number(rule, number, arena, ret_remedy);
	} else if (token->type == JSON_T_STRING) {
		problem = check_string(rule, token->string.text, arena, ret_remedy);
	}
	if (problem == NULL && (rule->checks & JSON_CHECK_CHOICES) != 0)
		problem = check_choices(rule, token, number, arena, ret_remedy);
	return problem;
}
