/* The event decoder: what an event becomes, what each fault is called, and how documents are framed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/time.h"
#include "format/json/json_events.h"

#define EVENT \
	"{\"event_id\": \"0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d\", \"athlete_id\": \"athlete-123\", " \
	"\"timestamp\": \"2025-02-01T08:00:00.250Z\", \"activity\": \"running\", \"event_context\": " \
	"\"marathon_2025\", \"source\": \"garmin\", \"device_type\": \"watch\", \"metrics\": " \
	"{\"heart_rate\": 140, \"power_watts\": 210.5, \"note\": \"x\"}}"

static struct weir_str read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	char *data = weir_alloc(1 << 20);
	size_t size = fread(data, 1, 1 << 20, file);
	fclose(file);
	return (struct weir_str){data, size};
}

static struct json_decoder *compile(const char *schema, const char *id_field)
{
	struct json_decoder *decoder = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	int code = json_decoder_new(weir_str_from(schema), WEIR_STR("test"), id_field, &decoder, &err);
	if (code != 0)
		print_error("%s\n", err.message);
	assert_int_equal(code, 0);
	return decoder;
}

static struct json_decoder *telemetry(void)
{
	struct json_decoder *decoder = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str schema = read_file("tests/unit/json/telemetry.schema.json");
	if (json_decoder_new(schema, WEIR_STR("telemetry"), "event_id", &decoder, &err) != 0)
		fail_msg("%s", err.message);
	free((void *)(uintptr_t)schema.data);
	return decoder;
}

static void assert_str(struct weir_str actual, const char *expected)
{
	if (!weir_str_is(actual, expected))
		fail_msg("is \"%.*s\", expected \"%s\"", WEIR_STR_ARG(actual), expected);
}

static const char *map_value(
	const struct weir_batch *batch, uint32_t column, uint32_t row, const char *key, char buffer[64])
{
	const struct weir_column *map = &batch->columns[column];
	const struct weir_span *span = (const struct weir_span *)map->values + row;
	for (uint64_t k = span->offset; k < span->offset + span->length; k++)
		if (weir_str_is(weir_column_str(&map->children[0], (uint32_t)k), key)) {
			snprintf(buffer, 64, "%.*s", WEIR_STR_ARG(weir_column_str(&map->children[1], (uint32_t)k)));
			return buffer;
		}
	return "(none)";
}

static void test_schema_becomes_columns(void **state)
{
	(void)state;
	struct json_decoder *decoder = telemetry();
	const struct weir_schema *schema = json_decoder_schema(decoder);
	static const struct {
		const char *name, *type;
		bool required;
	} expected[] = {{"event_id", "uuid", true}, {"athlete_id", "string", true}, {"timestamp", "timestamptz", true},
		{"activity", "string", true}, {"event_context", "string", false}, {"source", "string", false},
		{"device_type", "string", false}, {"metrics", "map<string, string>", true}};
	assert_int_equal(schema->field_count, 8);
	for (uint32_t i = 0; i < 8; i++) {
		char type[128];
		assert_str(schema->fields[i].name, expected[i].name);
		assert_string_equal(weir_type_name(&schema->fields[i], type, sizeof type), expected[i].type);
		assert_int_equal(schema->fields[i].id, (int32_t)i + 1);
		assert_int_equal(schema->fields[i].required, expected[i].required);
		assert_int_equal(json_decoder_required(decoder, i), expected[i].required);
	}
	json_decoder_free(decoder);
}

static void test_event_fills_a_row(void **state)
{
	(void)state;
	struct json_decoder *decoder = telemetry();
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct json_problem problem;
	char buffer[64];
	assert_int_equal(json_decode_one(decoder, WEIR_STR(EVENT), builder, arena, &problem, &err), 0);
	weir_builder_end_row(builder);
	/* Another order, escapes, spaces, an unknown property, and null where it may be. */
	struct weir_str other = WEIR_STR(
		" {\"metrics\":{\"\\u0061b\":\"\\ud83d\\ude00\\n\",\"on\":true,\"e\":-1.5e3},"
		"\"activity\":\"cycling\",\n\"timestamp\":\"2025-02-01T09:00:00+01:00\",\"more\":{\"deep\":[1,{}]},"
		"\"device_type\":null,\"athlete_id\":\"\xc3\xa9\",\"event_\\u0069d\":\"0B54B9F2-6F0A-4C3E-9D0A-"
		"2F1F6A7B8C9D\"} ");
	if (json_decode_one(decoder, other, builder, arena, &problem, &err) != 0)
		fail_msg("%s", err.message);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	const struct weir_uuid *ids = batch->columns[0].values;
	assert_int_equal(ids[0].bytes[0], 0x0b);
	assert_memory_equal(&ids[0], &ids[1], sizeof ids[0]);
	assert_str(weir_column_str(&batch->columns[1], 0), "athlete-123");
	assert_str(weir_column_str(&batch->columns[1], 1), "\xc3\xa9");
	assert_int_equal(weir_column_i64(&batch->columns[2], 0), 1738396800250000LL);
	assert_int_equal(weir_column_i64(&batch->columns[2], 1), 1738396800000000LL);
	assert_str(weir_column_str(&batch->columns[4], 0), "marathon_2025");
	assert_false(weir_column_is_valid(&batch->columns[4], 1));
	assert_false(weir_column_is_valid(&batch->columns[6], 1));
	assert_string_equal(map_value(batch, 7, 0, "heart_rate", buffer), "140");
	assert_string_equal(map_value(batch, 7, 0, "power_watts", buffer), "210.5");
	assert_string_equal(map_value(batch, 7, 0, "note", buffer), "x");
	assert_string_equal(map_value(batch, 7, 1, "ab", buffer), "\xf0\x9f\x98\x80\n");
	assert_string_equal(map_value(batch, 7, 1, "on", buffer), "true");
	assert_string_equal(map_value(batch, 7, 1, "e", buffer), "-1.5e3");
	weir_batch_release(batch);
	weir_arena_free(arena);
	weir_builder_free(builder);
	json_decoder_free(decoder);
}

/* One event with its first occurrence of `from` replaced. */
static struct weir_str altered(const char *from, const char *to, char buffer[1024])
{
	const char *at = strstr(EVENT, from);
	assert_non_null(at);
	int size = snprintf(buffer, 1024, "%.*s%s%s", (int)(at - EVENT), EVENT, to, at + strlen(from));
	return (struct weir_str){buffer, (size_t)size};
}

static void test_problems_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *field, *problem, *value;
	} cases[] = {
		{"0b54b9f2-", "0b54b9fz-", "event_id", "is not a UUID", "\"0b54b9fz-6f0a-4c3e-9d0a-2f1f6a7b8c9d\""},
		{"2025-02-01T", "2025-02-30T", "timestamp", "is not a timestamp", "\"2025-02-30T08:00:00.250Z\""},
		{"250Z", "250", "timestamp", "is not a timestamp", "\"2025-02-01T08:00:00.250\""},
		{"\"athlete-123\"", "17", "athlete_id", "has the wrong type", "17"},
		{"\"athlete-123\"", "null", "athlete_id", "is null", "null"},
		{"\"athlete-123\"", "\"\"", "athlete_id", "is too short", "\"\""},
		{"\"athlete-123\"", "[\"a\"]", "athlete_id", "is an array", "[\"a\"]"},
		{"\"running\"", "\"Running\"", "activity", "does not match the pattern", "\"Running\""},
		{"\"garmin\"", "\"polar\"", "source", "is not among the permitted values", "\"polar\""},
		{"140", "[140]", "metrics.heart_rate", "is an array", "[140]"},
		{"140", "null", "metrics.heart_rate", "is null", "null"},
		{"\"athlete_id\"", "\"athlete_ix\"", "athlete_id", "is missing", ""},
		{"{\"heart_rate\": 140, \"power_watts\": 210.5, \"note\": \"x\"}", "{}", "metrics",
			"has too few properties", ""},
		{"{\"heart_rate\": 140, \"power_watts\": 210.5, \"note\": \"x\"}", "4", "metrics", "has the wrong type",
			"4"},
		{EVENT, "[]", "", "is not an object", "[]"},
	};
	struct json_decoder *decoder = telemetry();
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char buffer[1024];
		struct json_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_str event = altered(cases[i].from, cases[i].to, buffer);
		assert_int_equal(json_decode_one(decoder, event, builder, arena, &problem, &err), WEIR_E_INPUT);
		assert_str(problem.field, cases[i].field);
		assert_string_equal(problem.problem, cases[i].problem);
		assert_str(problem.value, cases[i].value);
		assert_true(problem.remedy != NULL && problem.remedy[0] != '\0');
		assert_ptr_equal(problem.payload.data, event.data);
		if (i > 0 && i < 14)
			assert_str(problem.event_id, "0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d");
		if (cases[i].value[0] != '\0' && cases[i].value[0] == '"')
			assert_null(strstr(err.message, cases[i].value));
		assert_int_equal(weir_builder_rows(builder), 0);
	}
	weir_arena_free(arena);
	weir_builder_free(builder);
	json_decoder_free(decoder);
}

static void test_broken_json_has_an_offset(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to;
		const char *at; /* the text at which it breaks */
	} cases[] = {
		{"140", "0140", "0140"},
		{"140", "NaN", "NaN"},
		{"140", "1e999", "1e999"},
		{"140", "1.", ", \"power"},
		{"\"x\"", "\"\x01\"", "\x01"},
		{"\"x\"", "\"\xff\"", "\xff"},
		{"\"x\"", "\"a\xc0\x80\"", "\xc0\x80"},
		{"\"x\"", "\"\\ud800\"", "\\ud800"},
		{"\"x\"", "\"\\udc00\"", "\\udc00"},
		{"\"x\"", "\"\\q\"", "\\q"},
		{"\"note\"", "\"heart_rate\"", "\"heart_rate\": \"x\""},
		{"\"source\"", "\"activity\"", "\"activity\": \"garmin\""},
		{"\"x\"}}", "\"x\"}}x", "x"},
		{"\"x\"}}", "\"x\"}", ""},
		{"\"x\"}}", "\"x\",}}", "}}"},
	};
	struct json_decoder *decoder = telemetry();
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char buffer[1024];
		struct json_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_str event = altered(cases[i].from, cases[i].to, buffer);
		const char *at = event.data + event.size;
		if (cases[i].at[0] != '\0')
			for (const char *p = event.data; (p = strstr(p, cases[i].at)) != NULL; p++)
				at = p;
		assert_int_equal(json_decode_one(decoder, event, builder, arena, &problem, &err), WEIR_E_INPUT);
		if (err.offset != (uint64_t)(at - event.data))
			fail_msg("case %zu: offset %llu, expected %td: %s", i, (unsigned long long)err.offset,
				at - event.data, err.message);
		assert_non_null(strstr(problem.problem, "is not JSON"));
	}
	weir_arena_free(arena);
	weir_builder_free(builder);
	json_decoder_free(decoder);
}

struct seen {
	struct weir_builder *builder;
	uint32_t good, bad;
	uint32_t last_bad_index;
	char last_payload[600];
};

static int count_event(
	void *context, struct weir_str payload, const struct json_problem *problem, struct weir_error *err)
{
	struct seen *seen = context;
	(void)err;
	snprintf(seen->last_payload, sizeof seen->last_payload, "%.*s", WEIR_STR_ARG(payload));
	if (problem == NULL) {
		weir_builder_end_row(seen->builder);
		seen->good++;
	} else {
		seen->last_bad_index = problem->index;
		seen->bad++;
	}
	return 0;
}

#define SMALL "{\"id\": 1}"
#define WRONG "{\"id\": \"one\"}"

static void test_framing(void **state)
{
	(void)state;
	static const struct {
		const char *document;
		enum json_framing framing;
		int code;
		uint32_t good, bad, last_bad;
		uint64_t offset;
	} cases[] = {
		{SMALL, JSON_FRAME_ONE, 0, 1, 0, 0, 0},
		{SMALL, JSON_FRAME_AUTO, 0, 1, 0, 0, 0},
		{"{\n\"id\":\n1\n}\n", JSON_FRAME_AUTO, 0, 1, 0, 0, 0},
		{" [" SMALL "," WRONG " ,\n" SMALL "]", JSON_FRAME_AUTO, 0, 2, 1, 1, 0},
		{"[]", JSON_FRAME_ARRAY, 0, 0, 0, 0, 0},
		{"[" SMALL "," SMALL, JSON_FRAME_AUTO, WEIR_E_INPUT, 0, 0, 0, 20},
		{"[" SMALL " " SMALL "]", JSON_FRAME_AUTO, WEIR_E_INPUT, 0, 0, 0, 11},
		{" [" SMALL "]]", JSON_FRAME_AUTO, WEIR_E_INPUT, 0, 0, 0, 12},
		{SMALL "\n\n" WRONG "\r\n{\"id\":\n" SMALL, JSON_FRAME_AUTO, 0, 2, 2, 2, 0},
		{"{\"id\" 1}\n" SMALL, JSON_FRAME_AUTO, 0, 1, 1, 0, 0},
		{SMALL "\n" SMALL "x\n" SMALL, JSON_FRAME_LINES, 0, 2, 1, 1, 0},
		{SMALL, JSON_FRAME_LINES, 0, 1, 0, 0, 0},
		{"  {\"id\" 1}", JSON_FRAME_AUTO, WEIR_E_INPUT, 0, 0, 0, 8},
		{"", JSON_FRAME_AUTO, WEIR_E_INPUT, 0, 0, 0, 0},
		{"", JSON_FRAME_LINES, 0, 0, 0, 0, 0},
		{SMALL, JSON_FRAME_ARRAY, WEIR_E_INPUT, 0, 0, 0, 0},
	};
	struct json_decoder *decoder =
		compile("{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}}}", "id");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct seen seen = {.builder = weir_builder_new(json_decoder_schema(decoder))};
		struct weir_error err = WEIR_ERROR_INIT;
		int code = json_decode(decoder, weir_str_from(cases[i].document), cases[i].framing, seen.builder, arena,
			count_event, &seen, &err);
		if (code != cases[i].code || seen.good != cases[i].good || seen.bad != cases[i].bad ||
			seen.last_bad_index != cases[i].last_bad || (code != 0 && err.offset != cases[i].offset))
			fail_msg("case %zu: code %d, %u good, %u bad, last %u, offset %llu: %s", i, code, seen.good,
				seen.bad, seen.last_bad_index, (unsigned long long)err.offset, err.message);
		assert_int_equal(weir_builder_rows(seen.builder), seen.good);
		weir_builder_free(seen.builder);
		weir_arena_free(arena);
	}
	json_decoder_free(decoder);
}

static void test_schemas_that_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *schema, *message;
	} cases[] = {
		{"{", "the schema is not JSON"},
		{"{\"type\":\"object\"}", "an event is"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"multipleOf\":2}}}",
			"#/properties/a/multipleOf: this keyword"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"format\":\"email\"}}}",
			"#/properties/a/format: this format"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^(a|b)$\"}}}",
			"#/properties/a/pattern: pattern"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"pattern\":\"^[a-z]+z$\"}}}",
			"pattern"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":[\"string\",\"number\"]}}}", "one type"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"text\"}}}",
			"#/properties/a/type: unknown type"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/b\"}}}", "no such definition"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/b\"}},\"$defs\":{\"b\":{\"$ref\":\"#/"
		 "$defs/b\"}}}",
			"refers to itself"},
		{"{\"type\":\"object\",\"required\":[\"b\"],\"properties\":{\"a\":{\"type\":\"string\"}}}",
			"#/required"},
		{"{\"type\":\"object\",\"oneOf\":[],\"properties\":{\"a\":{\"type\":\"string\"}}}", "#/oneOf"},
		{"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":\"1\"}}}", "minimum"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct json_decoder *decoder = NULL;
		struct weir_error err = WEIR_ERROR_INIT;
		assert_true(json_decoder_new(weir_str_from(cases[i].schema), WEIR_STR("s"), NULL, &decoder, &err) < 0);
		if (strstr(err.message, cases[i].message) == NULL)
			fail_msg("case %zu: %s", i, err.message);
		assert_null(decoder);
	}
}

/* A schema of one property a, a value, and the problem it has (NULL: none). */
static void test_assertions(void **state)
{
	(void)state;
	static const struct {
		const char *property, *value, *problem;
	} cases[] = {
		{"\"type\":\"integer\",\"minimum\":1,\"maximum\":5", "1", NULL},
		{"\"type\":\"integer\",\"minimum\":1,\"maximum\":5", "0", "is too small"},
		{"\"type\":\"integer\",\"minimum\":1,\"maximum\":5", "6", "is too large"},
		{"\"type\":\"integer\"", "1.0", NULL},
		{"\"type\":\"integer\"", "1e2", NULL},
		{"\"type\":\"integer\"", "1.5", "is not a whole number"},
		{"\"type\":\"integer\"", "9223372036854775807", NULL},
		{"\"type\":\"integer\"", "-9223372036854775808", NULL},
		{"\"type\":\"integer\"", "9223372036854775808", "is not a whole number"},
		{"\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1", "0.5", NULL},
		{"\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1", "0", "is too small"},
		{"\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1", "1.0", "is too large"},
		{"\"type\":\"string\",\"maxLength\":2", "\"\xc3\xa9\xc3\xa9\"", NULL},
		{"\"type\":\"string\",\"maxLength\":2", "\"abc\"", "is too long"},
		{"\"const\":\"x\"", "\"x\"", NULL},
		{"\"const\":\"x\"", "\"y\"", "is not among the permitted values"},
		{"\"enum\":[1,2,null]", "2.0", NULL},
		{"\"enum\":[1,2,null]", "null", NULL},
		{"\"enum\":[1,2,null]", "3", "is not among the permitted values"},
		{"\"type\":\"string\",\"enum\":[\"a\",null]", "null", "is null"},
		{"\"type\":\"string\",\"format\":\"date\"", "\"2024-02-29\"", NULL},
		{"\"type\":\"string\",\"format\":\"date\"", "\"2023-02-29\"", "is not a date"},
		{"\"type\":\"boolean\"", "false", NULL},
		{"\"type\":\"boolean\"", "0", "has the wrong type"},
		{"\"type\":[\"boolean\",\"null\"]", "null", NULL},
		{"\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d+$\"", "\"DE-17\"", NULL},
		{"\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d+$\"", "\"DE-\"", "does not match the pattern"},
		{"\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-\\\\d+$\"", "\"DE-1x\"", "does not match the pattern"},
		{"\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\",\"maximum\":9}", "{\"x\":9}", NULL},
		{"\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\",\"maximum\":9}", "{\"x\":10}",
			"is too large"},
		{"\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}", "{\"x\":\"1\"}",
			"has the wrong type"},
		{"\"type\":\"object\",\"maxProperties\":1", "{\"x\":1,\"y\":2}", "has too many properties"},
		{"\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":2", "[1,2]", NULL},
		{"\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":2", "[1,2,3]",
			"has too many elements"},
		{"\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":2", "[1,\"2\"]",
			"has the wrong type"},
		{"\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"}},\"required\":[\"b\"]",
			"{\"b\":\"\"}", NULL},
		{"\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"}},\"required\":[\"b\"]", "{}",
			"is missing"},
		{"\"type\":\"object\",\"properties\":{\"b\":{}},\"additionalProperties\":false", "{\"c\":1}",
			"is not among the properties"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char schema[512], event[256];
		struct json_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		snprintf(schema, sizeof schema, "{\"type\":\"object\",\"properties\":{\"a\":{%s}}}", cases[i].property);
		snprintf(event, sizeof event, "{\"a\":%s}", cases[i].value);
		struct json_decoder *decoder = compile(schema, NULL);
		struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
		struct weir_arena *arena = weir_arena_new(0);
		int code = json_decode_one(decoder, weir_str_from(event), builder, arena, &problem, &err);
		if ((code == 0) != (cases[i].problem == NULL) ||
			(code != 0 && strcmp(problem.problem, cases[i].problem) != 0))
			fail_msg("case %zu: {%s} of %s: %s", i, cases[i].property, cases[i].value,
				code == 0 ? "accepted" : problem.problem);
		weir_arena_free(arena);
		weir_builder_free(builder);
		json_decoder_free(decoder);
	}
}

static void test_rows_round_trip(void **state)
{
	(void)state;
	struct json_decoder *decoder = telemetry();
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct json_problem problem;
	struct weir_buf first = WEIR_BUF_INIT, second = WEIR_BUF_INIT;
	assert_int_equal(json_decode_one(decoder, WEIR_STR(EVENT), builder, arena, &problem, &err), 0);
	weir_builder_end_row(builder);
	struct weir_batch *batch = weir_builder_take(builder);
	json_encode_row(decoder, batch, 0, &first);
	assert_str(weir_buf_str(&first),
		"{\"event_id\":\"0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d\",\"athlete_id\":\"athlete-123\",\"timestamp\":"
		"\"2025-02-01T08:00:00.250Z\",\"activity\":\"running\",\"event_context\":\"marathon_2025\",\"source\":"
		"\"garmin\",\"device_type\":\"watch\",\"metrics\":{\"heart_rate\":140,\"power_watts\":210.5,\"note\":"
		"\"x\"}}");
	/* The row as another decoder's input, and the text as an event again. */
	assert_int_equal(json_decode_row(decoder, batch, 0, builder, arena, &problem, &err), 0);
	weir_builder_end_row(builder);
	assert_int_equal(json_decode_one(decoder, weir_buf_str(&first), builder, arena, &problem, &err), 0);
	weir_builder_end_row(builder);
	struct weir_batch *again = weir_builder_take(builder);
	for (uint32_t row = 0; row < 2; row++) {
		second.size = 0;
		json_encode_row(decoder, again, row, &second);
		assert_str(weir_buf_str(&second), weir_buf_cstr(&first));
	}
	weir_batch_release(batch);
	weir_batch_release(again);
	weir_buf_done(&first);
	weir_buf_done(&second);
	weir_arena_free(arena);
	weir_builder_free(builder);
	json_decoder_free(decoder);
}

/* Rows of text, as a CSV file has them. */
static void test_rows_of_text(void **state)
{
	(void)state;
	struct weir_field fields[] = {{.name = WEIR_STR("metrics.heart_rate"), .type = WEIR_STRING},
		{.name = WEIR_STR("timestamp"), .type = WEIR_STRING},
		{.name = WEIR_STR("event_id"), .type = WEIR_STRING},
		{.name = WEIR_STR("athlete_id"), .type = WEIR_STRING},
		{.name = WEIR_STR("activity"), .type = WEIR_STRING}, {.name = WEIR_STR("extra"), .type = WEIR_STRING},
		{.name = WEIR_STR("metrics.power"), .type = WEIR_DOUBLE}};
	const struct weir_schema schema = {.field_count = 7, .fields = fields};
	static const struct {
		const char *values[6];
		const char *field, *problem;
	} rows[] = {
		{{"140", "2025-02-01T08:00:00Z", "0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d", "a", "running", "z"}, NULL,
			NULL},
		{{"140", "yesterday", "0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d", "a", "running", "z"}, "timestamp",
			"is not a timestamp"},
		{{"140", "2025-02-01T08:00:00Z", NULL, "a", "running", "z"}, "event_id", "is missing"},
		{{"140", "2025-02-01T08:00:00Z", "0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d", "a", "RUN", "z"}, "activity",
			"does not match the pattern"},
		{{"140", "2025-02-01T08:00:00Z", "0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d", "a\xff", "run", "z"},
			"athlete_id", "is not UTF-8"},
	};
	struct json_decoder *decoder = telemetry();
	struct weir_builder *text = weir_builder_new(&schema);
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (uint32_t k = 0; k < 6; k++)
			if (rows[i].values[k] != NULL)
				weir_builder_str(text, k, weir_str_from(rows[i].values[k]));
		weir_builder_double(text, 6, 210.5);
		weir_builder_end_row(text);
	}
	struct weir_batch *batch = weir_builder_take(text);
	for (uint32_t i = 0; i < batch->row_count; i++) {
		struct json_problem problem = {0};
		struct weir_error err = WEIR_ERROR_INIT;
		int code = json_decode_row(decoder, batch, i, builder, arena, &problem, &err);
		if (code == 0)
			weir_builder_end_row(builder);
		assert_int_equal(code, rows[i].problem == NULL ? 0 : WEIR_E_INPUT);
		if (code != 0) {
			assert_str(problem.field, rows[i].field);
			assert_string_equal(problem.problem, rows[i].problem);
			assert_int_equal(json_validate(problem.payload, true, NULL, &err), 0);
		}
	}
	struct weir_batch *good = weir_builder_take(builder);
	struct weir_buf out = WEIR_BUF_INIT;
	assert_int_equal(good->row_count, 1);
	json_encode_row(decoder, good, 0, &out);
	assert_str(weir_buf_str(&out),
		"{\"event_id\":\"0b54b9f2-6f0a-4c3e-9d0a-2f1f6a7b8c9d\",\"athlete_id\":\"a\","
		"\"timestamp\":\"2025-02-01T08:00:00Z\",\"activity\":\"running\",\"metrics\":{\"heart_rate\":140,"
		"\"power\":210.5}}");
	weir_buf_done(&out);
	weir_batch_release(good);
	weir_batch_release(batch);
	weir_arena_free(arena);
	weir_builder_free(builder);
	weir_builder_free(text);
	json_decoder_free(decoder);
}

/* Not a bound that can fail: prints the cost of an event for those who change the hot path. */
static void test_cost_of_an_event(void **state)
{
	(void)state;
	enum { ROUNDS = 200 };
	struct json_decoder *decoder = telemetry();
	struct weir_builder *builder = weir_builder_new(json_decoder_schema(decoder));
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	struct json_problem problem;
	struct weir_clock clock = weir_clock_system();
	int64_t best = INT64_MAX;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t start = weir_steady_us(&clock);
		for (int i = 0; i < WEIR_BATCH_ROWS; i++) {
			assert_int_equal(json_decode_one(decoder, WEIR_STR(EVENT), builder, arena, &problem, &err), 0);
			weir_builder_end_row(builder);
		}
		int64_t took = weir_steady_us(&clock) - start;
		best = took < best ? took : best;
		weir_batch_release(weir_builder_take(builder));
	}
	print_message("decoding an event of %zu bytes: %lld ns\n", sizeof EVENT - 1,
		(long long)(best * 1000 / WEIR_BATCH_ROWS));
	weir_arena_free(arena);
	weir_builder_free(builder);
	json_decoder_free(decoder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_becomes_columns),
		cmocka_unit_test(test_event_fills_a_row),
		cmocka_unit_test(test_problems_are_named),
		cmocka_unit_test(test_broken_json_has_an_offset),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_schemas_that_are_refused),
		cmocka_unit_test(test_assertions),
		cmocka_unit_test(test_rows_round_trip),
		cmocka_unit_test(test_rows_of_text),
		cmocka_unit_test(test_cost_of_an_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
