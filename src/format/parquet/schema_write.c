/*
 * A schema as Parquet has it: schema elements in depth-first order, and for each leaf its path, its
 * levels and its physical type. Lists and maps have three levels (LogicalTypes.md, "Nested Types").
 */
#include "base/hash.h"
#include "format/parquet/parquet_int.h"

struct layout_maker {
	struct weir_arena *arena;
	struct pq_layout *layout;
	uint32_t element_capacity, leaf_capacity;
	struct pq_step steps[PQ_SCHEMA_DEPTH_LIMIT];
	uint32_t step_count;
	struct weir_str path[PQ_SCHEMA_DEPTH_LIMIT * 2];
	uint32_t path_count;
	struct weir_error *err;
};

uint32_t pq_decimal_bytes(uint32_t precision)
{
	/* The smallest size whose signed range holds 10^precision - 1. */
	weir_int128 largest = 1;
	for (uint32_t i = 0; i < precision; i++)
		largest *= 10;
	uint32_t bits = 0;
	for (largest -= 1; largest > 0; largest >>= 1)
		bits++;
	return bits / 8 + 1;
}

static struct pq_element *add_element(struct layout_maker *maker, struct weir_str name, int32_t repetition)
{
	struct pq_layout *layout = maker->layout;
	if (layout->element_count == maker->element_capacity) {
		uint32_t capacity = maker->element_capacity * 2 + 16;
		struct pq_element *elements = weir_arena_calloc(maker->arena, capacity, sizeof *elements);
		if (layout->element_count > 0)
			memcpy(elements, layout->elements, layout->element_count * sizeof *elements);
		layout->elements = elements;
		maker->element_capacity = capacity;
	}
	struct pq_element *element = &layout->elements[layout->element_count++];
	*element = (struct pq_element){
		.name = name, .physical = -1, .repetition = repetition, .converted = PQ_CONVERTED_NONE};
	return element;
}

static void set_id(struct pq_element *element, const struct weir_field *field)
{
	element->field_id = field->id;
	element->has_field_id = field->id != 0;
}

static void set_decimal(struct pq_element *element, const struct weir_field *field)
{
	element->physical = field->precision <= 9 ? PQ_INT32 : field->precision <= 18 ? PQ_INT64 : PQ_FIXED;
	if (element->physical == PQ_FIXED)
		element->type_length = (int32_t)pq_decimal_bytes(field->precision);
	element->converted = PQ_DECIMAL;
	element->logical = PQ_LOGICAL_DECIMAL;
	element->precision = field->precision;
	element->scale = field->scale;
}

static void set_time(struct pq_element *element, enum pq_logical logical, int32_t converted, bool utc)
{
	element->physical = PQ_INT64;
	element->logical = (uint8_t)logical;
	element->unit = PQ_MICROS;
	element->utc = utc;
	element->converted = converted;
}

static void set_fixed(struct pq_element *element, uint32_t size, enum pq_logical logical)
{
	element->physical = PQ_FIXED;
	element->type_length = (int32_t)size;
	element->logical = (uint8_t)logical;
}

static void set_primitive(struct pq_element *element, const struct weir_field *field)
{
	switch (field->type) {
	case WEIR_BOOL:
		element->physical = PQ_BOOLEAN;
		break;
	case WEIR_INT32:
		element->physical = PQ_INT32;
		break;
	case WEIR_INT64:
		element->physical = PQ_INT64;
		break;
	case WEIR_FLOAT:
		element->physical = PQ_FLOAT;
		break;
	case WEIR_DOUBLE:
		element->physical = PQ_DOUBLE;
		break;
	case WEIR_DECIMAL:
		set_decimal(element, field);
		break;
	case WEIR_DATE:
		element->physical = PQ_INT32;
		element->converted = PQ_DATE;
		element->logical = PQ_LOGICAL_DATE;
		break;
	case WEIR_TIME: /* the converted types of times and zoneless timestamps would claim UTC */
		set_time(element, PQ_LOGICAL_TIME, PQ_CONVERTED_NONE, false);
		break;
	case WEIR_TIMESTAMP:
		set_time(element, PQ_LOGICAL_TIMESTAMP, PQ_CONVERTED_NONE, false);
		break;
	case WEIR_TIMESTAMPTZ:
		set_time(element, PQ_LOGICAL_TIMESTAMP, PQ_TIMESTAMP_MICROS, true);
		break;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS: /* no converted type has nanoseconds */
		set_time(element, PQ_LOGICAL_TIMESTAMP, PQ_CONVERTED_NONE, field->type == WEIR_TIMESTAMPTZ_NS);
		element->unit = PQ_NANOS;
		break;
	case WEIR_STRING:
		element->physical = PQ_BYTE_ARRAY;
		element->converted = PQ_UTF8;
		element->logical = PQ_LOGICAL_STRING;
		break;
	case WEIR_UUID:
		set_fixed(element, 16, PQ_LOGICAL_UUID);
		break;
	case WEIR_FIXED:
		set_fixed(element, field->fixed_size, PQ_LOGICAL_NONE);
		break;
	default:
		element->physical = PQ_BYTE_ARRAY;
	}
}

static uint32_t plain_width(const struct pq_element *element)
{
	static const uint8_t widths[] = {[PQ_BOOLEAN] = 1,
		[PQ_INT32] = 4,
		[PQ_INT64] = 8,
		[PQ_INT96] = 12,
		[PQ_FLOAT] = 4,
		[PQ_DOUBLE] = 8,
		[PQ_BYTE_ARRAY] = 0};
	return element->physical == PQ_FIXED ? (uint32_t)element->type_length : widths[element->physical];
}

static void add_leaf(struct layout_maker *maker, const struct weir_field *field, const struct pq_element *element,
	uint8_t def, uint8_t rep)
{
	struct pq_layout *layout = maker->layout;
	if (layout->leaf_count == maker->leaf_capacity) {
		uint32_t capacity = maker->leaf_capacity * 2 + 16;
		struct pq_leaf *leaves = weir_arena_calloc(maker->arena, capacity, sizeof *leaves);
		if (layout->leaf_count > 0)
			memcpy(leaves, layout->leaves, layout->leaf_count * sizeof *leaves);
		layout->leaves = leaves;
		maker->leaf_capacity = capacity;
	}
	struct pq_leaf *leaf = &layout->leaves[layout->leaf_count++];
	*leaf = (struct pq_leaf){.field = field,
		.max_def = def,
		.max_rep = rep,
		.physical = element->physical,
		.width = plain_width(element),
		.bounds = rep == 0};
	leaf->step_count = maker->step_count;
	leaf->steps = weir_arena_copy(maker->arena, maker->steps, maker->step_count * sizeof *leaf->steps);
	leaf->path_count = maker->path_count;
	leaf->path = weir_arena_copy(maker->arena, maker->path, maker->path_count * sizeof *leaf->path);
}

static int add_field(struct layout_maker *maker, const struct weir_field *field, struct weir_str name, uint32_t child,
	bool required, uint8_t def, uint8_t rep);

static int add_children(struct layout_maker *maker, const struct weir_field *field, uint8_t def, uint8_t rep)
{
	static const char *const map_names[] = {"key", "value"};
	for (uint32_t i = 0; i < field->child_count; i++) {
		const struct weir_field *child = &field->children[i];
		struct weir_str name = field->type == WEIR_LIST ? WEIR_STR("element")
			: field->type == WEIR_MAP               ? weir_str_from(map_names[i & 1])
								: child->name;
		bool required = child->required || (field->type == WEIR_MAP && i == 0);
		if (child->unknown && field->type == WEIR_STRUCT)
			continue;
		int code = add_field(maker, child, name, i, required, def, rep);
		if (code != 0)
			return code;
	}
	return 0;
}

/* Fields of type unknown are null in every row and are not stored. */
static uint32_t stored_children(const struct weir_field *fields, uint32_t count)
{
	uint32_t stored = 0;
	for (uint32_t i = 0; i < count; i++)
		stored += !fields[i].unknown;
	return stored;
}

/* The repeated group between a list or map and its children. */
static void add_repeated(struct layout_maker *maker, const struct weir_field *field)
{
	struct weir_str name = field->type == WEIR_LIST ? WEIR_STR("list") : WEIR_STR("key_value");
	add_element(maker, name, PQ_REPEATED)->child_count = (int32_t)field->child_count;
	maker->path[maker->path_count++] = name;
}

static int add_nested(struct layout_maker *maker, const struct weir_field *field, uint8_t def, uint8_t rep)
{
	bool repeated = field->type != WEIR_STRUCT;
	uint32_t wanted = field->type == WEIR_MAP ? 2 : 1;
	if (stored_children(field->children, field->child_count) < wanted)
		return weir_fail(maker->err, WEIR_E_UNSUPPORTED,
			"field '%.*s' has no child of a known type; Parquet cannot hold it", WEIR_STR_ARG(field->name));
	if (field->child_count < wanted || (repeated && field->child_count != wanted))
		return weir_fail(maker->err, WEIR_E_INPUT, "field '%.*s' has %u children; Parquet needs %u",
			WEIR_STR_ARG(field->name), field->child_count, wanted);
	if (repeated)
		add_repeated(maker, field);
	int code = add_children(maker, field, (uint8_t)(def + repeated), (uint8_t)(rep + repeated));
	maker->path_count -= repeated;
	return code;
}

static int check_field(const struct layout_maker *maker, const struct weir_field *field)
{
	if (maker->step_count == PQ_SCHEMA_DEPTH_LIMIT)
		return weir_fail(maker->err, WEIR_E_LIMIT, "field '%.*s' is nested more than %d deep",
			WEIR_STR_ARG(field->name), PQ_SCHEMA_DEPTH_LIMIT);
	if (field->type == WEIR_FIXED && (field->fixed_size == 0 || field->fixed_size > PQ_PAGE_BYTES))
		return weir_fail(maker->err, WEIR_E_INPUT, "field '%.*s' is fixed[%u]; 1 to %zu bytes can be stored",
			WEIR_STR_ARG(field->name), field->fixed_size, PQ_PAGE_BYTES);
	if (field->type == WEIR_DECIMAL && (field->precision < 1 || field->precision > 38))
		return weir_fail(maker->err, WEIR_E_INPUT, "field '%.*s' is a decimal of precision %u; use 1 to 38",
			WEIR_STR_ARG(field->name), field->precision);
	return 0;
}

static int add_field(struct layout_maker *maker, const struct weir_field *field, struct weir_str name, uint32_t child,
	bool required, uint8_t def, uint8_t rep)
{
	int code = check_field(maker, field);
	if (code != 0)
		return code;
	struct pq_element *element = add_element(maker, name, required ? PQ_REQUIRED : PQ_OPTIONAL);
	set_id(element, field);
	maker->steps[maker->step_count++] = (struct pq_step){field, child, !required};
	maker->path[maker->path_count++] = name;
	def = (uint8_t)(def + !required);
	if (!weir_type_is_nested(field->type)) {
		set_primitive(element, field);
		add_leaf(maker, field, element, def, rep);
	} else {
		element->child_count =
			field->type == WEIR_STRUCT ? (int32_t)stored_children(field->children, field->child_count) : 1;
		if (field->type == WEIR_LIST) {
			element->converted = PQ_LIST;
			element->logical = PQ_LOGICAL_LIST;
		} else if (field->type == WEIR_MAP) {
			element->converted = PQ_MAP;
			element->logical = PQ_LOGICAL_MAP;
		}
		code = add_nested(maker, field, def, rep);
	}
	maker->step_count--;
	maker->path_count--;
	return code;
}

int pq_layout_make(struct weir_arena *arena, const struct weir_schema *schema, struct pq_layout *ret_layout,
	struct weir_error *err)
{
	struct layout_maker maker = {.arena = arena, .layout = ret_layout, .err = err};
	*ret_layout = (struct pq_layout){.schema = schema};
	add_element(&maker, WEIR_STR("table"), -1)->child_count =
		(int32_t)stored_children(schema->fields, schema->field_count);
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct weir_field *field = &schema->fields[i];
		if (field->unknown)
			continue;
		int code = add_field(&maker, field, field->name, i, field->required, 0, 0);
		if (code != 0)
			return code;
	}
	return 0;
}

uint64_t pq_elements_shape(const struct pq_element *elements, uint32_t count)
{
	uint64_t hash = count;
	for (uint32_t i = 1; i < count; i++) { /* the root is alike in all files, whatever writers say of it */
		const struct pq_element *element = &elements[i];
		bool decimal = element->converted == PQ_DECIMAL || element->logical == PQ_LOGICAL_DECIMAL;
		int32_t shape[] = {element->physical, element->physical == PQ_FIXED ? element->type_length : 0,
			element->repetition, element->child_count, decimal ? element->scale : 0,
			element->unit * 2 + element->utc, element->has_field_id ? element->field_id : 0};
		hash = weir_hash64_seeded(shape, sizeof shape, hash);
	}
	return hash;
}
