#include "column/schema.h"

#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
	[WEIR_BOOL] = "boolean",
	[WEIR_INT32] = "int",
	[WEIR_INT64] = "long",
	[WEIR_FLOAT] = "float",
	[WEIR_DOUBLE] = "double",
	[WEIR_DATE] = "date",
	[WEIR_TIME] = "time",
	[WEIR_TIMESTAMP] = "timestamp",
	[WEIR_TIMESTAMPTZ] = "timestamptz",
	[WEIR_TIMESTAMP_NS] = "timestamp_ns",
	[WEIR_TIMESTAMPTZ_NS] = "timestamptz_ns",
	[WEIR_STRING] = "string",
	[WEIR_UUID] = "uuid",
	[WEIR_BINARY] = "binary",
	[WEIR_DECIMAL] = "decimal",
	[WEIR_FIXED] = "fixed",
	[WEIR_LIST] = "list",
	[WEIR_MAP] = "map",
	[WEIR_STRUCT] = "struct",
};

uint32_t weir_schema_find(const struct weir_schema *schema, struct weir_str name)
{
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (weir_str_equal(schema->fields[i].name, name))
			return i;
	return WEIR_NO_FIELD;
}

uint32_t weir_schema_find_id(const struct weir_schema *schema, int32_t field_id)
{
	for (uint32_t i = 0; i < schema->field_count; i++)
		if (schema->fields[i].id == field_id)
			return i;
	return WEIR_NO_FIELD;
}

static struct weir_field *copy_fields(struct weir_arena *arena, const struct weir_field *fields, uint32_t count)
{
	struct weir_field *copy = weir_arena_calloc(arena, count, sizeof *copy);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = fields[i];
		copy[i].name = weir_arena_str(arena, fields[i].name);
		copy[i].doc = weir_arena_str(arena, fields[i].doc);
		copy[i].initial_default = weir_arena_str(arena, fields[i].initial_default);
		copy[i].write_default = weir_arena_str(arena, fields[i].write_default);
		copy[i].children = copy_fields(arena, fields[i].children, fields[i].child_count);
	}
	return copy;
}

struct weir_schema *weir_schema_copy(struct weir_arena *arena, const struct weir_schema *schema)
{
	struct weir_schema *copy = weir_arena_zalloc(arena, sizeof *copy);
	*copy = *schema;
	copy->fields = copy_fields(arena, schema->fields, schema->field_count);
	copy->identifier_ids = weir_arena_copy(
		arena, schema->identifier_ids, schema->identifier_count * sizeof *schema->identifier_ids);
	return copy;
}

const char *weir_type_name(const struct weir_field *field, char *buffer, size_t size)
{
	char first[96], second[96];
	if (field->unknown) {
		snprintf(buffer, size, "unknown");
		return buffer;
	}
	switch (field->type) {
	case WEIR_DECIMAL:
		snprintf(buffer, size, "decimal(%u, %u)", field->precision, field->scale);
		break;
	case WEIR_FIXED:
		snprintf(buffer, size, "fixed[%u]", field->fixed_size);
		break;
	case WEIR_LIST:
		snprintf(buffer, size, "list<%s>", weir_type_name(&field->children[0], first, sizeof first));
		break;
	case WEIR_MAP:
		snprintf(buffer, size, "map<%s, %s>", weir_type_name(&field->children[0], first, sizeof first),
			weir_type_name(&field->children[1], second, sizeof second));
		break;
	default:
		snprintf(buffer, size, "%s", type_names[field->type]);
	}
	return buffer;
}

bool weir_type_parse(struct weir_str name, struct weir_field *field)
{
	char text[32];
	unsigned precision, scale;
	int end = 0;
	if (name.size == 0 || name.size >= sizeof text)
		return false;
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	field->unknown = strcmp(text, "unknown") == 0;
	if (field->unknown) {
		field->type = WEIR_BOOL;
		return true;
	}
	if (sscanf(text, "decimal(%u , %u )%n", &precision, &scale, &end) == 2 && (size_t)end == name.size) {
		if (precision < 1 || precision > 38 || scale > precision)
			return false;
		field->type = WEIR_DECIMAL;
		field->precision = (uint8_t)precision;
		field->scale = (uint8_t)scale;
		return true;
	}
	if (sscanf(text, "fixed[%u]%n", &precision, &end) == 1 && (size_t)end == name.size) {
		field->type = WEIR_FIXED;
		field->fixed_size = precision;
		return precision > 0;
	}
	for (unsigned i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
		if (strcmp(type_names[i], text) != 0 || i == WEIR_DECIMAL || i == WEIR_FIXED || i >= WEIR_LIST)
			continue;
		field->type = (enum weir_type)i;
		return true;
	}
	return false;
}

uint32_t weir_type_width(enum weir_type type)
{
	static const uint8_t widths[] = {
		[WEIR_BOOL] = 1,
		[WEIR_INT32] = 4,
		[WEIR_INT64] = 8,
		[WEIR_FLOAT] = 4,
		[WEIR_DOUBLE] = 8,
		[WEIR_DECIMAL] = 16,
		[WEIR_DATE] = 4,
		[WEIR_TIME] = 8,
		[WEIR_TIMESTAMP] = 8,
		[WEIR_TIMESTAMPTZ] = 8,
		[WEIR_TIMESTAMP_NS] = 8,
		[WEIR_TIMESTAMPTZ_NS] = 8,
		[WEIR_STRING] = 16,
		[WEIR_UUID] = 16,
		[WEIR_FIXED] = 16,
		[WEIR_BINARY] = 16,
		[WEIR_LIST] = 16,
		[WEIR_MAP] = 16,
		[WEIR_STRUCT] = 0,
	};
	return widths[type];
}
