/*
 * Compiling a JSON Schema (draft 2020-12) into rules and columns. Everything that asserts is either
 * enforced or refused by name and JSON pointer; annotations are passed over.
 */
#include "format/json/json_int.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/hash.h"

#define SCHEMA_DEPTH 32

struct compile {
	struct weir_arena *arena;
	json_t *root;
	struct weir_error *err;
	struct weir_str name;
};

/* Where in the schema: the JSON pointer is made of these when something is wrong. */
struct place {
	const struct place *up;
	const char *step;
	unsigned depth;
};

static int refuse(const struct compile *compile, const struct place *place, const char *problem)
{
	const struct place *steps[SCHEMA_DEPTH * 4];
	struct weir_buf pointer = WEIR_BUF_INIT;
	unsigned count = 0;
	for (; place != NULL && place->step != NULL && count < SCHEMA_DEPTH * 4; place = place->up)
		steps[count++] = place;
	weir_buf_putc(&pointer, '#');
	while (count > 0)
		weir_buf_printf(&pointer, "/%s", steps[--count]->step);
	int code = weir_fail_at(compile->err, WEIR_E_UNSUPPORTED, compile->name, WEIR_ERROR_NO_OFFSET, "%s: %s",
		weir_buf_cstr(&pointer), problem);
	weir_buf_done(&pointer);
	return code;
}

static struct place step_into(const struct place *up, const char *step)
{
	return (struct place){up, step, up->depth + 1};
}

static bool is_annotation(const char *key)
{
	static const char *const names[] = {"$schema", "$id", "$comment", "$defs", "definitions", "$anchor", "title",
		"description", "default", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding",
		"contentMediaType"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return strncmp(key, "x-", 2) == 0;
}

static struct weir_str own_text(const struct compile *compile, json_t *value)
{
	return weir_arena_str(compile->arena, (struct weir_str){json_string_value(value), json_string_length(value)});
}

static unsigned type_bit(json_t *name)
{
	static const struct {
		const char *name;
		unsigned bits;
	} types[] = {{"null", JSON_T_NULL}, {"boolean", JSON_T_BOOLEAN}, {"integer", JSON_T_INTEGER},
		{"number", JSON_T_NUMBER | JSON_T_INTEGER}, {"string", JSON_T_STRING}, {"object", JSON_T_OBJECT},
		{"array", JSON_T_ARRAY}};
	for (size_t i = 0; json_is_string(name) && i < sizeof types / sizeof types[0]; i++)
		if (strcmp(json_string_value(name), types[i].name) == 0)
			return types[i].bits;
	return 0;
}

static int compile_type(struct compile *compile, json_t *value, const struct place *place, struct json_rule *rule)
{
	size_t index, count = json_is_array(value) ? json_array_size(value) : 1;
	rule->types = 0;
	for (index = 0; index < count; index++) {
		unsigned bits = type_bit(json_is_array(value) ? json_array_get(value, index) : value);
		if (bits == 0)
			return refuse(compile, place,
				"unknown type: use null, boolean, integer, number, string, object or array");
		rule->types |= bits;
	}
	return rule->types != 0 ? 0 : refuse(compile, place, "an empty list of types permits nothing");
}

static int compile_choices(
	struct compile *compile, json_t *value, bool list, const struct place *place, struct json_rule *rule)
{
	size_t count = list ? json_array_size(value) : 1;
	if (list && (!json_is_array(value) || count == 0))
		return refuse(compile, place, "enum needs a list of values");
	if ((rule->checks & JSON_CHECK_CHOICES) != 0)
		return refuse(compile, place, "use either enum or const");
	struct json_choice *choices = weir_arena_calloc(compile->arena, count, sizeof *choices);
	for (size_t i = 0; i < count; i++) {
		json_t *item = list ? json_array_get(value, i) : value;
		struct json_choice *choice = &choices[i];
		if (json_is_string(item))
			*choice = (struct json_choice){.type = JSON_T_STRING, .text = own_text(compile, item)};
		else if (json_is_number(item))
			*choice = (struct json_choice){.type = JSON_T_NUMBER, .number = json_number_value(item)};
		else if (json_is_boolean(item))
			*choice = (struct json_choice){.type = JSON_T_BOOLEAN, .number = json_is_true(item)};
		else if (json_is_null(item))
			choice->type = JSON_T_NULL;
		else
			return refuse(compile, place, "objects and arrays in enum or const are not enforced");
	}
	rule->choices = choices;
	rule->choice_count = (uint32_t)count;
	rule->checks |= JSON_CHECK_CHOICES;
	return 0;
}

static int compile_format(struct compile *compile, json_t *value, const struct place *place, struct json_rule *rule)
{
	const char *name = json_is_string(value) ? json_string_value(value) : "";
	rule->format = strcmp(name, "uuid") == 0 ? JSON_FORMAT_UUID
		: strcmp(name, "date-time") == 0 ? JSON_FORMAT_TIMESTAMP
		: strcmp(name, "date") == 0      ? JSON_FORMAT_DATE
						 : JSON_FORMAT_NONE;
	rule->checks |= JSON_CHECK_FORMAT;
	if (rule->format == JSON_FORMAT_NONE)
		return refuse(compile, place, "this format is not enforced: use uuid, date-time or date, or a pattern");
	return 0;
}

static int compile_rule(
	struct compile *compile, json_t *schema, const struct place *place, const struct json_rule **ret_rule);

static int compile_properties(struct compile *compile, json_t *value, const struct place *place, struct json_rule *rule)
{
	void *at = json_object_iter(value);
	size_t count = json_object_size(value), i = 0;
	if (!json_is_object(value))
		return refuse(compile, place, "properties needs an object");
	if (count > JSON_MAX_FIELDS)
		return refuse(compile, place, "more than 256 properties");
	struct json_property *properties = weir_arena_calloc(compile->arena, count, sizeof *properties);
	int code = 0;
	for (; at != NULL && code == 0; at = json_object_iter_next(value, at), i++) {
		struct place inner = step_into(place, json_object_iter_key(at));
		properties[i].name = weir_arena_str(compile->arena, weir_str_from(inner.step));
		code = compile_rule(compile, json_object_iter_value(at), &inner, &properties[i].rule);
	}
	rule->properties = properties;
	rule->property_count = (uint32_t)count;
	return code;
}

/* After properties: marks those that must be there. */
static int compile_required(struct compile *compile, json_t *value, const struct place *place, struct json_rule *rule)
{
	struct json_property *properties = rule->properties;
	if (!json_is_array(value))
		return refuse(compile, place, "required needs a list of names");
	for (size_t i = 0; i < json_array_size(value); i++) {
		json_t *name = json_array_get(value, i);
		uint32_t k = 0;
		while (json_is_string(name) && k < rule->property_count &&
			!weir_str_is(properties[k].name, json_string_value(name)))
			k++;
		if (!json_is_string(name) || k == rule->property_count)
			return refuse(compile, place, "a required name is not among the properties");
		properties[k].required = true;
	}
	return 0;
}

static int compile_additional(struct compile *compile, json_t *value, const struct place *place, struct json_rule *rule)
{
	if (json_is_true(value))
		return 0;
	if (json_is_false(value)) {
		rule->closed = true;
		return 0;
	}
	return compile_rule(compile, value, place, &rule->additional);
}

/* A number that is a bound, or a count where whole. */
static int compile_bound(
	struct compile *compile, json_t *value, bool whole, const struct place *place, double *ret_bound)
{
	if (!json_is_number(value) || (whole && (!json_is_integer(value) || json_integer_value(value) < 0)))
		return refuse(compile, place, whole ? "needs a whole number from 0" : "needs a number");
	*ret_bound = json_number_value(value);
	return 0;
}

static int compile_limit(struct compile *compile, const char *key, json_t *value, const struct place *place,
	struct json_rule *rule, bool *ret_known)
{
	const struct {
		const char *key;
		double *bound;
		uint64_t *count;
		unsigned check;
	} limits[] = {
		{"minimum", &rule->minimum, NULL, JSON_CHECK_MINIMUM},
		{"maximum", &rule->maximum, NULL, JSON_CHECK_MAXIMUM},
		{"exclusiveMinimum", &rule->above, NULL, JSON_CHECK_ABOVE},
		{"exclusiveMaximum", &rule->below, NULL, JSON_CHECK_BELOW},
		{"minLength", NULL, &rule->min_length, JSON_CHECK_LENGTH},
		{"maxLength", NULL, &rule->max_length, JSON_CHECK_LENGTH},
		{"minProperties", NULL, &rule->min_properties, 0},
		{"maxProperties", NULL, &rule->max_properties, 0},
		{"minItems", NULL, &rule->min_items, 0},
		{"maxItems", NULL, &rule->max_items, 0},
	};
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		double bound = 0;
		if (strcmp(key, limits[i].key) != 0)
			continue;
		*ret_known = true;
		int code = compile_bound(compile, value, limits[i].count != NULL, place, &bound);
		if (code != 0)
			return code;
		if (limits[i].count != NULL)
			*limits[i].count = (uint64_t)json_integer_value(value);
		else
			*limits[i].bound = bound;
		rule->checks |= limits[i].check;
		return 0;
	}
	return 0;
}

/* One keyword of a schema object; required waits for properties. */
static int compile_keyword(
	struct compile *compile, const char *key, json_t *value, const struct place *place, struct json_rule *rule)
{
	struct place inner = step_into(place, key);
	bool known = false;
	int code = compile_limit(compile, key, value, &inner, rule, &known);
	if (code != 0 || known || is_annotation(key) || strcmp(key, "required") == 0)
		return code;
	if (strcmp(key, "type") == 0)
		return compile_type(compile, value, &inner, rule);
	if (strcmp(key, "enum") == 0 || strcmp(key, "const") == 0)
		return compile_choices(compile, value, key[0] == 'e', &inner, rule);
	if (strcmp(key, "format") == 0)
		return compile_format(compile, value, &inner, rule);
	if (strcmp(key, "properties") == 0)
		return compile_properties(compile, value, &inner, rule);
	if (strcmp(key, "additionalProperties") == 0)
		return compile_additional(compile, value, &inner, rule);
	if (strcmp(key, "items") == 0)
		return compile_rule(compile, value, &inner, &rule->items);
	if (strcmp(key, "pattern") == 0) {
		if (!json_is_string(value))
			return refuse(compile, &inner, "pattern needs a text");
		rule->checks |= JSON_CHECK_PATTERN;
		rule->pattern_text = own_text(compile, value);
		struct weir_error why = WEIR_ERROR_INIT;
		if (json_pattern_compile(rule->pattern_text, compile->arena, &rule->pattern, &why) != 0)
			return refuse(compile, &inner, why.message);
		return 0;
	}
	return refuse(compile, &inner,
		"this keyword is not enforced, so the schema is refused: leave it out, or "
		"check it in the stream's SQL");
}

/* "#/$defs/NAME" */
static int compile_reference(
	struct compile *compile, json_t *schema, const struct place *place, const struct json_rule **ret_rule)
{
	static const char prefix[] = "#/$defs/";
	json_t *reference = json_object_get(schema, "$ref");
	struct place inner = step_into(place, "$ref");
	const char *name = json_is_string(reference) ? json_string_value(reference) : "";
	if (strncmp(name, prefix, sizeof prefix - 1) != 0)
		return refuse(compile, &inner, "only references to #/$defs/NAME are followed");
	json_t *target = json_object_get(json_object_get(compile->root, "$defs"), name + sizeof prefix - 1);
	if (target == NULL)
		return refuse(compile, &inner, "there is no such definition in $defs");
	int code = 0;
	for (void *at = json_object_iter(schema); at != NULL && code == 0; at = json_object_iter_next(schema, at))
		if (strcmp(json_object_iter_key(at), "$ref") != 0 && !is_annotation(json_object_iter_key(at)))
			code = refuse(compile, &inner,
				"assertions beside $ref are not enforced: put them into the definition");
	return code != 0 ? code : compile_rule(compile, target, &inner, ret_rule);
}

static int compile_rule(
	struct compile *compile, json_t *schema, const struct place *place, const struct json_rule **ret_rule)
{
	struct json_rule *rule = weir_arena_zalloc(compile->arena, sizeof *rule);
	*rule = (struct json_rule){
		.types = JSON_T_ANY, .max_length = UINT64_MAX, .max_properties = UINT64_MAX, .max_items = UINT64_MAX};
	if (place->depth > SCHEMA_DEPTH)
		return refuse(compile, place, "nested too deep, or a definition refers to itself");
	*ret_rule = rule;
	if (json_is_boolean(schema)) {
		rule->never = json_is_false(schema);
		return 0;
	}
	if (!json_is_object(schema))
		return refuse(compile, place, "a schema is an object, true or false");
	if (json_object_get(schema, "$ref") != NULL)
		return compile_reference(compile, schema, place, ret_rule);
	int code = 0;
	for (void *at = json_object_iter(schema); at != NULL && code == 0; at = json_object_iter_next(schema, at))
		code = compile_keyword(compile, json_object_iter_key(at), json_object_iter_value(at), place, rule);
	json_t *required = json_object_get(schema, "required");
	if (code == 0 && required != NULL) {
		struct place inner = step_into(place, "required");
		code = compile_required(compile, required, &inner, rule);
	}
	return code;
}

/* The one type of a column; null beside it makes it optional. */
static int column_kind(struct compile *compile, const struct place *place, const struct json_rule *rule,
	enum json_column_kind *ret_kind)
{
	unsigned types = rule->types & ~(unsigned)JSON_T_NULL;
	if (rule->types == JSON_T_ANY && rule->choice_count > 0) {
		types = 0;
		for (uint32_t i = 0; i < rule->choice_count; i++)
			types |= rule->choices[i].type == JSON_T_NUMBER ? JSON_T_NUMBER | JSON_T_INTEGER
									: rule->choices[i].type;
		types &= ~(unsigned)JSON_T_NULL;
	}
	if (types == JSON_T_STRING)
		*ret_kind = rule->format == JSON_FORMAT_UUID    ? JSON_COLUMN_UUID
			: rule->format == JSON_FORMAT_TIMESTAMP ? JSON_COLUMN_TIMESTAMP
			: rule->format == JSON_FORMAT_DATE      ? JSON_COLUMN_DATE
								: JSON_COLUMN_STRING;
	else if (types == JSON_T_INTEGER)
		*ret_kind = JSON_COLUMN_LONG;
	else if (types == (JSON_T_INTEGER | JSON_T_NUMBER))
		*ret_kind = JSON_COLUMN_DOUBLE;
	else if (types == JSON_T_BOOLEAN)
		*ret_kind = JSON_COLUMN_BOOLEAN;
	else if (types == JSON_T_OBJECT && rule->property_count == 0)
		*ret_kind = JSON_COLUMN_MAP;
	else if (types == JSON_T_OBJECT || types == JSON_T_ARRAY)
		*ret_kind = JSON_COLUMN_NESTED;
	else
		return refuse(compile, place, "a column needs one type (and null beside it where it may be null)");
	return 0;
}

static void make_column(struct json_decoder *decoder, uint32_t index, bool required, int32_t *next_child_id)
{
	static const enum weir_type types[] = {WEIR_STRING, WEIR_UUID, WEIR_TIMESTAMPTZ, WEIR_DATE, WEIR_INT64,
		WEIR_DOUBLE, WEIR_BOOL, WEIR_MAP, WEIR_STRING};
	struct json_field *field = &decoder->fields[index];
	struct weir_field *column = &decoder->schema->fields[index];
	*column = (struct weir_field){.name = field->name,
		.id = (int32_t)index + 1,
		.type = types[field->kind],
		.required = required && (field->rule->types & JSON_T_NULL) == 0};
	if (field->kind != JSON_COLUMN_MAP)
		return;
	column->child_count = 2;
	column->children = weir_arena_calloc(decoder->arena, 2, sizeof *column->children);
	column->children[0] = (struct weir_field){
		.name = WEIR_STR("key"), .id = (*next_child_id)++, .type = WEIR_STRING, .required = true};
	column->children[1] =
		(struct weir_field){.name = WEIR_STR("value"), .id = (*next_child_id)++, .type = WEIR_STRING};
}

static void make_slots(struct json_decoder *decoder)
{
	uint32_t capacity = 16;
	while (capacity < decoder->field_count * 4)
		capacity *= 2;
	decoder->slots = weir_arena_calloc(decoder->arena, capacity, sizeof *decoder->slots);
	decoder->slot_mask = capacity - 1;
	for (uint32_t i = 0; i < decoder->field_count; i++) {
		struct weir_str name = decoder->fields[i].name;
		uint32_t slot = (uint32_t)weir_hash64(name.data, name.size) & decoder->slot_mask;
		while (decoder->slots[slot] != 0)
			slot = (slot + 1) & decoder->slot_mask;
		decoder->slots[slot] = (uint16_t)(i + 1);
	}
}

uint32_t json_decoder_find(const struct json_decoder *decoder, struct weir_str name)
{
	uint32_t slot = (uint32_t)weir_hash64(name.data, name.size) & decoder->slot_mask;
	for (; decoder->slots[slot] != 0; slot = (slot + 1) & decoder->slot_mask)
		if (weir_str_equal(decoder->fields[decoder->slots[slot] - 1].name, name))
			return decoder->slots[slot] - 1U;
	return WEIR_NO_FIELD;
}

static int make_columns(struct compile *compile, struct json_decoder *decoder, const char *id_field)
{
	const struct place root = {0}, properties = step_into(&root, "properties");
	const struct json_rule *rule = decoder->rule;
	uint32_t count = rule->property_count;
	int32_t next_child_id = (int32_t)count + 1;
	if (rule->types != JSON_T_OBJECT || count == 0)
		return refuse(compile, &root, "an event is {\"type\": \"object\"} with properties");
	decoder->fields = weir_arena_calloc(decoder->arena, count, sizeof *decoder->fields);
	decoder->field_count = count;
	decoder->schema = weir_arena_zalloc(decoder->arena, sizeof *decoder->schema);
	decoder->schema->field_count = count;
	decoder->schema->fields = weir_arena_calloc(decoder->arena, count, sizeof *decoder->schema->fields);
	for (uint32_t i = 0; i < count; i++) {
		const struct json_property *property = &rule->properties[i];
		struct json_field *field = &decoder->fields[i];
		*field = (struct json_field){.name = property->name, .rule = property->rule, .plain = true};
		for (size_t k = 0; k < field->name.size; k++)
			field->plain = field->plain && (unsigned char)field->name.data[k] >= ' ' &&
				field->name.data[k] != '"' && field->name.data[k] != '\\';
		struct place inner = step_into(&properties, weir_arena_cstr(decoder->arena, field->name));
		int code = column_kind(compile, &inner, field->rule, &field->kind);
		if (code != 0)
			return code;
		if (property->required)
			decoder->required[i / 64] |= 1ULL << (i % 64);
		make_column(decoder, i, property->required, &next_child_id);
	}
	make_slots(decoder);
	decoder->id_field = id_field != NULL ? json_decoder_find(decoder, weir_str_from(id_field)) : WEIR_NO_FIELD;
	if (id_field != NULL && decoder->id_field == WEIR_NO_FIELD)
		return weir_fail_at(compile->err, WEIR_E_INPUT, compile->name, WEIR_ERROR_NO_OFFSET,
			"the id field \"%s\" is not among the schema's properties", id_field);
	return 0;
}

int json_decoder_new(struct weir_str schema_json, struct weir_str name, const char *id_field,
	struct json_decoder **ret_decoder, struct weir_error *err)
{
	json_error_t why;
	json_t *root = json_loadb(schema_json.data, schema_json.size, JSON_REJECT_DUPLICATES, &why);
	if (root == NULL)
		return weir_fail_at(err, WEIR_E_INPUT, name,
			why.position < 0 ? WEIR_ERROR_NO_OFFSET : (uint64_t)why.position, "the schema is not JSON: %s",
			why.text);
	struct json_decoder *decoder = weir_zalloc(sizeof *decoder);
	decoder->arena = weir_arena_new(16 * 1024);
	decoder->name = weir_arena_str(decoder->arena, name);
	struct compile compile = {decoder->arena, root, err, decoder->name};
	const struct place place = {0};
	int code = compile_rule(&compile, root, &place, &decoder->rule);
	if (code == 0)
		code = make_columns(&compile, decoder, id_field);
	json_decref(root);
	if (code != 0) {
		json_decoder_free(decoder);
		return code;
	}
	*ret_decoder = decoder;
	return 0;
}

void json_decoder_free(struct json_decoder *decoder)
{
	if (decoder == NULL)
		return;
	weir_arena_free(decoder->arena);
	free(decoder);
}

const struct weir_schema *json_decoder_schema(const struct json_decoder *decoder)
{
	return decoder->schema;
}

bool json_decoder_required(const struct json_decoder *decoder, uint32_t field)
{
	WEIR_ASSERT(field < decoder->field_count);
	return (decoder->required[field / 64] >> (field % 64) & 1) != 0;
}
