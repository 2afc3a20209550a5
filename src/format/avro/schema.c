/*
 * Avro schemas (Avro 1.11, "Schema Declaration") from JSON into struct avro_type. Named types are declared once and
 * referred to by name, with or without their namespace; a record may contain itself. Defaults and
 * aliases are not needed: files are read by the schema that they were written with.
 */
#include "format/avro/internal.h"

#include <jansson.h>

struct named_type {
	struct weir_str full_name;
	const struct avro_type *type;
};

struct parser {
	struct weir_arena *arena;
	struct weir_str object;
	struct named_type *named;
	size_t named_count, named_capacity;
	uint32_t type_count;
	struct weir_error *err;
};

static int parse_type(struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth,
	const struct avro_type **ret_type);

static struct weir_str text_of(const json_t *json)
{
	return (struct weir_str){json_string_value(json), json_string_length(json)};
}

static int bad(struct parser *parser, const char *problem, struct weir_str value)
{
	return weir_fail_at(parser->err, WEIR_E_CORRUPT, parser->object, WEIR_ERROR_NO_OFFSET,
		"the Avro schema is not valid: %s '%.*s'", problem, (int)(value.size < 60 ? value.size : 60),
		value.size > 0 ? value.data : "");
}

static int count_type(struct parser *parser, unsigned depth)
{
	if (depth > AVRO_SCHEMA_DEPTH_MAX || ++parser->type_count > AVRO_SCHEMA_TYPES_MAX)
		return weir_fail_at(parser->err, WEIR_E_LIMIT, parser->object, WEIR_ERROR_NO_OFFSET,
			"the Avro schema has more than %u types or %u levels", AVRO_SCHEMA_TYPES_MAX,
			AVRO_SCHEMA_DEPTH_MAX);
	return 0;
}

static bool primitive_kind(struct weir_str name, enum avro_kind *ret_kind)
{
	static const struct {
		const char *name;
		enum avro_kind kind;
	} kinds[] = {
		{"null", AVRO_NULL},
		{"boolean", AVRO_BOOL},
		{"int", AVRO_INT},
		{"long", AVRO_LONG},
		{"float", AVRO_FLOAT},
		{"double", AVRO_DOUBLE},
		{"bytes", AVRO_BYTES},
		{"string", AVRO_STRING},
	};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (weir_str_is(name, kinds[i].name)) {
			*ret_kind = kinds[i].kind;
			return true;
		}
	return false;
}

/* "ns.name"; a name with dots has its namespace in itself. */
static struct weir_str full_name(struct parser *parser, struct weir_str name, struct weir_str ns)
{
	if (ns.size == 0 || memchr(name.data, '.', name.size) != NULL)
		return weir_arena_str(parser->arena, name);
	return weir_str_from(weir_arena_printf(parser->arena, "%.*s.%.*s", WEIR_STR_ARG(ns), WEIR_STR_ARG(name)));
}

static const struct avro_type *find_named(const struct parser *parser, struct weir_str name)
{
	for (size_t i = 0; i < parser->named_count; i++)
		if (weir_str_equal(parser->named[i].full_name, name))
			return parser->named[i].type;
	return NULL;
}

static int parse_name(struct parser *parser, struct weir_str name, struct weir_str ns, struct avro_type *type,
	const struct avro_type **ret_type)
{
	if (primitive_kind(name, &type->kind)) {
		*ret_type = type;
		return 0;
	}
	const struct avro_type *found = name.size > 0 ? find_named(parser, full_name(parser, name, ns)) : NULL;
	if (found == NULL)
		found = find_named(parser, name);
	if (found == NULL)
		return bad(parser, "unknown type", name);
	*ret_type = found;
	return 0;
}

static int32_t id_of(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);
	json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
	return id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
}

static struct avro_field *fields_new(struct parser *parser, struct avro_type *type, size_t count)
{
	type->fields = weir_arena_calloc(parser->arena, count, sizeof *type->fields);
	type->field_count = (uint32_t)count;
	for (size_t i = 0; i < count; i++)
		type->fields[i].field_id = type->fields[i].key_id = type->fields[i].value_id = -1;
	return type->fields;
}

static int parse_record(
	struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth, struct avro_type *type)
{
	const json_t *list = json_object_get(json, "fields");
	if (!json_is_array(list) || json_array_size(list) > AVRO_SCHEMA_TYPES_MAX)
		return bad(parser, "a record needs an array 'fields'", type->name);
	struct avro_field *fields = fields_new(parser, type, json_array_size(list));
	for (uint32_t i = 0; i < type->field_count; i++) {
		const json_t *item = json_array_get(list, i);
		fields[i].name = weir_arena_str(parser->arena, text_of(json_object_get(item, "name")));
		fields[i].field_id = id_of(item, "field-id");
		if (fields[i].name.size == 0)
			return bad(parser, "a field without name in", type->name);
		int code = parse_type(parser, json_object_get(item, "type"), ns, depth + 1, &fields[i].type);
		if (code != 0)
			return code;
	}
	return 0;
}

static int parse_enum(struct parser *parser, const json_t *json, struct avro_type *type)
{
	const json_t *list = json_object_get(json, "symbols");
	if (!json_is_array(list) || json_array_size(list) > AVRO_SCHEMA_TYPES_MAX)
		return bad(parser, "an enum needs an array 'symbols'", type->name);
	type->symbol_count = (uint32_t)json_array_size(list);
	type->symbols = weir_arena_calloc(parser->arena, type->symbol_count, sizeof *type->symbols);
	for (uint32_t i = 0; i < type->symbol_count; i++)
		type->symbols[i] = weir_arena_str(parser->arena, text_of(json_array_get(list, i)));
	return 0;
}

/* record, enum and fixed: the types that have a name. */
static int parse_named(
	struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth, struct avro_type *type)
{
	struct weir_str own_ns = text_of(json_object_get(json, "namespace"));
	struct weir_str name = text_of(json_object_get(json, "name"));
	if (name.size == 0)
		return bad(parser, "a named type without name", name);
	if (own_ns.size > 0)
		ns = own_ns;
	type->name = full_name(parser, name, ns);
	if (find_named(parser, type->name) != NULL)
		return bad(parser, "a type is declared twice", type->name);
	for (size_t i = type->name.size; i > 0; i--) /* names inside belong to this namespace */
		if (type->name.data[i - 1] == '.') {
			ns = (struct weir_str){type->name.data, i - 1};
			break;
		}
	WEIR_GROW(parser->named, parser->named_count, parser->named_capacity);
	parser->named[parser->named_count++] = (struct named_type){type->name, type};
	if (type->kind == AVRO_ENUM)
		return parse_enum(parser, json, type);
	if (type->kind == AVRO_RECORD)
		return parse_record(parser, json, ns, depth, type);
	const json_t *size = json_object_get(json, "size");
	if (!json_is_integer(size) || json_integer_value(size) < 0 || json_integer_value(size) > INT32_MAX)
		return bad(parser, "a fixed needs a 'size'", type->name);
	type->fixed_size = (uint32_t)json_integer_value(size);
	return 0;
}

static int parse_object(struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth,
	struct avro_type *type, const struct avro_type **ret_type)
{
	const json_t *kind = json_object_get(json, "type");
	struct weir_str name = text_of(kind);
	type->logical = weir_arena_str(parser->arena, text_of(json_object_get(json, "logicalType")));
	int32_t precision = id_of(json, "precision"), scale = id_of(json, "scale");
	type->precision = precision > 0 ? (uint32_t)precision : 0;
	type->scale = scale > 0 ? (uint32_t)scale : 0;
	*ret_type = type;
	if (json_is_object(kind) || json_is_array(kind)) /* {"type": {...}} */
		return parse_type(parser, kind, ns, depth + 1, ret_type);
	if (weir_str_is(name, "record") || weir_str_is(name, "error")) {
		type->kind = AVRO_RECORD;
		return parse_named(parser, json, ns, depth, type);
	}
	if (weir_str_is(name, "enum") || weir_str_is(name, "fixed")) {
		type->kind = weir_str_is(name, "enum") ? AVRO_ENUM : AVRO_FIXED;
		return parse_named(parser, json, ns, depth, type);
	}
	if (weir_str_is(name, "array") || weir_str_is(name, "map")) {
		bool is_map = weir_str_is(name, "map");
		type->kind = is_map ? AVRO_MAP : AVRO_ARRAY;
		struct avro_field *field = fields_new(parser, type, 1);
		field->field_id = id_of(json, "element-id");
		field->key_id = id_of(json, "key-id");
		field->value_id = id_of(json, "value-id");
		return parse_type(
			parser, json_object_get(json, is_map ? "values" : "items"), ns, depth + 1, &field->type);
	}
	return parse_name(parser, name, ns, type, ret_type);
}

static int parse_union(
	struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth, struct avro_type *type)
{
	type->kind = AVRO_UNION;
	if (json_array_size(json) == 0 || json_array_size(json) > AVRO_SCHEMA_TYPES_MAX)
		return bad(parser, "a union needs branches", WEIR_STR(""));
	struct avro_field *fields = fields_new(parser, type, json_array_size(json));
	for (uint32_t i = 0; i < type->field_count; i++) {
		int code = parse_type(parser, json_array_get(json, i), ns, depth + 1, &fields[i].type);
		if (code != 0)
			return code;
		if (fields[i].type->kind == AVRO_UNION)
			return bad(parser, "a union directly inside a union", WEIR_STR(""));
	}
	return 0;
}

static int parse_type(struct parser *parser, const json_t *json, struct weir_str ns, unsigned depth,
	const struct avro_type **ret_type)
{
	int code = count_type(parser, depth);
	if (code != 0)
		return code;
	struct avro_type *type = weir_arena_zalloc(parser->arena, sizeof *type);
	*ret_type = type;
	if (json_is_string(json))
		return parse_name(parser, text_of(json), ns, type, ret_type);
	if (json_is_array(json))
		return parse_union(parser, json, ns, depth, type);
	if (json_is_object(json))
		return parse_object(parser, json, ns, depth, type, ret_type);
	return bad(parser, "a type is missing", WEIR_STR(""));
}

int avro_schema_parse(struct weir_arena *arena, struct weir_str json, struct weir_str object,
	const struct avro_type **ret_type, struct weir_error *err)
{
	json_error_t problem;
	json_t *document = json_loadb(json.data, json.size, JSON_DECODE_ANY, &problem);
	if (document == NULL)
		return weir_fail_at(err, WEIR_E_CORRUPT, object, WEIR_ERROR_NO_OFFSET,
			"avro.schema is not JSON at its line %d, column %d", problem.line, problem.column);
	struct parser parser = {.arena = arena, .object = object, .err = err};
	int code = parse_type(&parser, document, WEIR_STR(""), 0, ret_type);
	free(parser.named);
	json_decref(document);
	return code;
}
