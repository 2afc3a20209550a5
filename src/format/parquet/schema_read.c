/*
 * The schema elements of a file as a weir_schema, and for each field a node with its levels and how
 * its values are converted. Lists and maps are recognised in all the forms that writers have used
 * (LogicalTypes.md, "Backward-compatibility rules"); a repeated field by itself is a list.
 */
#include "format/parquet/parquet_int.h"

struct tree_maker {
	struct weir_arena *arena;
	struct weir_str name; /* of the file */
	const struct pq_meta *meta;
	struct pq_tree *tree;
	uint32_t at; /* the next element */
	struct weir_error *err;
};

/* Where an element stands: levels so far, and those of the nearest repeated ancestor. */
struct place {
	uint8_t def, rep, slot_def, slot_rep;
	uint8_t depth;
	bool as_item; /* the repetition of the element is accounted for */
};

static int cut_schema(const struct tree_maker *maker, struct weir_str element)
{
	return weir_fail_at(maker->err, WEIR_E_CORRUPT, maker->name, WEIR_ERROR_NO_OFFSET,
		"the schema element '%.*s' does not have the children that it should have", WEIR_STR_ARG(element));
}

static bool set_as(struct weir_field *field, struct pq_node *node, enum weir_type type, enum pq_convert convert)
{
	field->type = type;
	node->convert = convert;
	return true;
}

static bool set_decimal(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	enum pq_convert convert = element->physical == PQ_INT32 ? PQ_I32_DECIMAL
		: element->physical == PQ_INT64                 ? PQ_I64_DECIMAL
								: PQ_BYTES_DECIMAL;
	if (element->precision < 1 || element->precision > 38 || element->scale < 0 ||
		element->scale > element->precision) {
		node->unsupported = "a decimal of more than 38 digits";
		return set_as(field, node, element->physical == PQ_FIXED ? WEIR_FIXED : WEIR_BINARY, PQ_BYTES_VIEW);
	}
	field->precision = (uint8_t)element->precision;
	field->scale = (uint8_t)element->scale;
	return set_as(field, node, WEIR_DECIMAL, convert);
}

static bool int32_field(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	bool wide = element->logical == PQ_LOGICAL_INTEGER && element->bit_width == 32;
	bool wide_unsigned = element->converted == PQ_UINT_32 || (wide && !element->is_signed);
	if (element->converted == PQ_DECIMAL || element->logical == PQ_LOGICAL_DECIMAL)
		return set_decimal(element, field, node);
	if (element->converted == PQ_DATE || element->logical == PQ_LOGICAL_DATE)
		return set_as(field, node, WEIR_DATE, PQ_AS_IS);
	if (element->converted == PQ_TIME_MILLIS || element->logical == PQ_LOGICAL_TIME)
		return set_as(field, node, WEIR_TIME, PQ_I32_TIMES_1000);
	if (wide_unsigned)
		return set_as(field, node, WEIR_INT64, PQ_U32_I64);
	return set_as(field, node, WEIR_INT32, PQ_AS_IS);
}

static enum pq_convert unit_convert(const struct pq_element *element)
{
	if (element->unit == PQ_MILLIS || (element->unit == 0 && element->converted == PQ_TIMESTAMP_MILLIS))
		return PQ_I64_TIMES_1000;
	return element->unit == PQ_NANOS ? PQ_I64_OVER_1000 : PQ_AS_IS;
}

static bool int64_field(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	bool converted_time = element->converted == PQ_TIMESTAMP_MICROS || element->converted == PQ_TIMESTAMP_MILLIS;
	if (element->converted == PQ_DECIMAL || element->logical == PQ_LOGICAL_DECIMAL)
		return set_decimal(element, field, node);
	if (element->logical == PQ_LOGICAL_TIMESTAMP)
		return set_as(field, node, element->utc ? WEIR_TIMESTAMPTZ : WEIR_TIMESTAMP, unit_convert(element));
	if (converted_time)
		return set_as(field, node, WEIR_TIMESTAMPTZ, unit_convert(element));
	if (element->logical == PQ_LOGICAL_TIME || element->converted == PQ_TIME_MICROS)
		return set_as(field, node, WEIR_TIME, unit_convert(element));
	if (element->converted == PQ_UINT_64 || (element->logical == PQ_LOGICAL_INTEGER && !element->is_signed)) {
		field->precision = 20;
		return set_as(field, node, WEIR_DECIMAL, PQ_U64_DECIMAL);
	}
	return set_as(field, node, WEIR_INT64, PQ_AS_IS);
}

static bool bytes_field(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	if (element->converted == PQ_DECIMAL || element->logical == PQ_LOGICAL_DECIMAL)
		return set_decimal(element, field, node);
	bool text = element->converted == PQ_UTF8 || element->converted == PQ_ENUM || element->converted == PQ_JSON ||
		element->logical == PQ_LOGICAL_STRING || element->logical == PQ_LOGICAL_ENUM ||
		element->logical == PQ_LOGICAL_JSON;
	return set_as(field, node, text ? WEIR_STRING : WEIR_BINARY, PQ_BYTES_VIEW);
}

static bool fixed_field(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	if (element->type_length <= 0)
		return false;
	field->fixed_size = (uint32_t)element->type_length;
	if (element->converted == PQ_DECIMAL || element->logical == PQ_LOGICAL_DECIMAL)
		return set_decimal(element, field, node);
	if (element->logical == PQ_LOGICAL_UUID && element->type_length == 16)
		return set_as(field, node, WEIR_UUID, PQ_BYTES_UUID);
	if (element->logical == PQ_LOGICAL_FLOAT16 && element->type_length == 2)
		return set_as(field, node, WEIR_FLOAT, PQ_F16_F32);
	return set_as(field, node, WEIR_FIXED, PQ_BYTES_VIEW);
}

static bool primitive(const struct pq_element *element, struct weir_field *field, struct pq_node *node)
{
	switch (element->physical) {
	case PQ_BOOLEAN:
		return set_as(field, node, WEIR_BOOL, PQ_BOOL_BYTE);
	case PQ_INT32:
		return int32_field(element, field, node);
	case PQ_INT64:
		return int64_field(element, field, node);
	case PQ_INT96:
		return set_as(field, node, WEIR_TIMESTAMP, PQ_AS_IS); /* becomes microseconds when it is decoded */
	case PQ_FLOAT:
		return set_as(field, node, WEIR_FLOAT, PQ_AS_IS);
	case PQ_DOUBLE:
		return set_as(field, node, WEIR_DOUBLE, PQ_AS_IS);
	case PQ_BYTE_ARRAY:
		return bytes_field(element, field, node);
	default:
		return fixed_field(element, field, node);
	}
}

static int make_field(struct tree_maker *maker, struct place place, struct weir_field *field, struct pq_node *node);

static int make_leaf(struct tree_maker *maker, struct place place, const struct pq_element *element,
	struct weir_field *field, struct pq_node *node)
{
	node->leaf = node->first_leaf = maker->tree->leaf_count++;
	node->physical = element->physical;
	node->type_length = element->type_length > 0 ? (uint32_t)element->type_length : 0;
	maker->tree->leaves[node->leaf] =
		(struct pq_leaf_levels){place.def, place.rep, element->physical, node->type_length, node};
	maker->at++;
	if (!primitive(element, field, node))
		return weir_fail_at(maker->err, WEIR_E_CORRUPT, maker->name, WEIR_ERROR_NO_OFFSET,
			"the column '%.*s' has values of a fixed size of %d bytes", WEIR_STR_ARG(element->name),
			element->type_length);
	return 0;
}

static void make_children(struct tree_maker *maker, uint32_t count, struct weir_field *field, struct pq_node *node)
{
	field->child_count = count;
	field->children = weir_arena_calloc(maker->arena, count, sizeof *field->children);
	node->children = weir_arena_calloc(maker->arena, count, sizeof *node->children);
	node->first_leaf = maker->tree->leaf_count;
}

static int make_each_child(struct tree_maker *maker, struct place place, struct weir_field *field, struct pq_node *node)
{
	for (uint32_t i = 0; i < field->child_count; i++) {
		int code = make_field(maker, place, &field->children[i], &node->children[i]);
		if (code != 0)
			return code;
	}
	return 0;
}

/* Levels of the items of a list or map whose own level is place.def. */
static struct place item_place(struct place place, struct pq_node *node)
{
	node->item_def = place.def = (uint8_t)(place.def + 1);
	node->item_rep = place.rep = (uint8_t)(place.rep + 1);
	place.slot_def = place.def;
	place.slot_rep = place.rep;
	place.depth++;
	return place;
}

/* The group between a list and its element is left out unless it is the element. */
static bool is_list_element(const struct pq_element *list, const struct pq_element *repeated)
{
	if (repeated->physical >= 0 || repeated->child_count != 1)
		return true;
	if (weir_str_is(repeated->name, "array") || repeated[1].repetition == PQ_REPEATED)
		return true;
	return repeated->name.size == list->name.size + 6 && weir_str_has_prefix(repeated->name, list->name) &&
		weir_str_has_suffix(repeated->name, WEIR_STR("_tuple"));
}

static int make_list(struct tree_maker *maker, struct place place, const struct pq_element *list,
	struct weir_field *field, struct pq_node *node)
{
	const struct pq_element *repeated = list + 1;
	field->type = WEIR_LIST;
	maker->at++; /* the list */
	make_children(maker, 1, field, node);
	place = item_place(place, node);
	place.as_item = is_list_element(list, repeated);
	if (!place.as_item)
		maker->at++; /* the repeated group */
	return make_each_child(maker, place, field, node);
}

static int make_map(struct tree_maker *maker, struct place place, struct weir_field *field, struct pq_node *node)
{
	field->type = WEIR_MAP;
	maker->at += 2; /* the map and the repeated group */
	make_children(maker, 2, field, node);
	int code = make_each_child(maker, item_place(place, node), field, node);
	if (code == 0)
		field->children[0].required = true;
	return code;
}

static int make_struct(struct tree_maker *maker, struct place place, const struct pq_element *element,
	struct weir_field *field, struct pq_node *node)
{
	field->type = WEIR_STRUCT;
	maker->at++;
	make_children(maker, (uint32_t)element->child_count, field, node);
	place.depth++;
	return make_each_child(maker, place, field, node);
}

/* A repeated field that no list announces: a list that is never null, of values that never are. */
static int make_bare_list(struct tree_maker *maker, struct place place, struct weir_field *field, struct pq_node *node)
{
	field->type = WEIR_LIST;
	field->required = true;
	node->def = place.def;
	make_children(maker, 1, field, node);
	place = item_place(place, node);
	place.as_item = true;
	return make_each_child(maker, place, field, node);
}

static bool has_one_repeated(const struct tree_maker *maker, const struct pq_element *element)
{
	return element->child_count == 1 && maker->at + 1 < maker->meta->element_count &&
		element[1].repetition == PQ_REPEATED &&
		(element[1].physical >= 0 || maker->at + 2 < maker->meta->element_count);
}

static int make_field(struct tree_maker *maker, struct place place, struct weir_field *field, struct pq_node *node)
{
	if (maker->at >= maker->meta->element_count)
		return cut_schema(maker, WEIR_STR("(the last)"));
	const struct pq_element *element = &maker->meta->elements[maker->at];
	if (place.depth > PQ_SCHEMA_DEPTH_LIMIT)
		return weir_fail_at(maker->err, WEIR_E_LIMIT, maker->name, WEIR_ERROR_NO_OFFSET,
			"the column '%.*s' is nested more than %d deep", WEIR_STR_ARG(element->name),
			PQ_SCHEMA_DEPTH_LIMIT);
	if ((uint32_t)element->child_count > maker->meta->element_count)
		return cut_schema(maker, element->name);
	field->name = weir_arena_str(maker->arena, element->name);
	field->id = element->has_field_id ? element->field_id : 0;
	*node = (struct pq_node){
		.field = field, .slot_def = place.slot_def, .slot_rep = place.slot_rep, .physical = -1};
	if (element->repetition == PQ_REPEATED && !place.as_item)
		return make_bare_list(maker, place, field, node);
	field->required = element->repetition != PQ_OPTIONAL || place.as_item;
	place.def = (uint8_t)(place.def + !field->required);
	place.as_item = false;
	node->def = place.def;
	if (element->physical >= 0)
		return make_leaf(maker, place, element, field, node);
	if (element->child_count == 0)
		return weir_fail_at(maker->err, WEIR_E_UNSUPPORTED, maker->name, WEIR_ERROR_NO_OFFSET,
			"the column '%.*s' is a group without columns", WEIR_STR_ARG(element->name));
	bool is_map = element->converted == PQ_MAP || element->converted == PQ_MAP_KEY_VALUE ||
		element->logical == PQ_LOGICAL_MAP;
	bool is_list = element->converted == PQ_LIST || element->logical == PQ_LOGICAL_LIST;
	if (is_map && has_one_repeated(maker, element) && element[1].child_count == 2)
		return make_map(maker, place, field, node);
	if ((is_list || is_map) && has_one_repeated(maker, element))
		return make_list(maker, place, element, field, node);
	return make_struct(maker, place, element, field, node);
}

int pq_tree_make(struct weir_arena *arena, struct weir_str name, const struct pq_meta *meta, struct pq_tree *tree,
	struct weir_error *err)
{
	struct tree_maker maker = {.arena = arena, .name = name, .meta = meta, .tree = tree, .at = 1, .err = err};
	uint32_t count = (uint32_t)meta->elements[0].child_count;
	if (count >= meta->element_count)
		return cut_schema(&maker, meta->elements[0].name);
	*tree = (struct pq_tree){.schema = weir_arena_zalloc(arena, sizeof *tree->schema)};
	tree->schema->fields = weir_arena_calloc(arena, count, sizeof *tree->schema->fields);
	tree->schema->field_count = count;
	tree->nodes = weir_arena_calloc(arena, count, sizeof *tree->nodes);
	tree->leaves = weir_arena_calloc(arena, meta->element_count, sizeof *tree->leaves);
	for (uint32_t i = 0; i < count; i++) {
		int code = make_field(&maker, (struct place){0}, &tree->schema->fields[i], &tree->nodes[i]);
		if (code != 0)
			return code;
	}
	if (maker.at != meta->element_count || tree->leaf_count != meta->leaf_count)
		return weir_fail_at(err, WEIR_E_CORRUPT, name, WEIR_ERROR_NO_OFFSET,
			"the schema has %u elements, of which %u belong to no column", meta->element_count,
			meta->element_count - maker.at);
	return 0;
}
