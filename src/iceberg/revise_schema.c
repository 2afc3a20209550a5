/*
 * Schemas, partition specs and properties as changes of metadata (table specification, "Schema Evolution" and "Partition
 * Evolution"). Columns are told by field id, so that a rename or a move touches no file. A schema or spec that the table had
 * before is taken again rather than added.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "iceberg/internal.h"
#include "iceberg/revise.h"

#define SORT_FIELDS_MAX 32

struct change {
	struct weir_arena *arena;
	struct ice_metadata *next;
	struct weir_schema *schema; /* a copy of the current one, being changed */
	struct ice_spec spec;       /* of the default one */
	bool has_schema_change, has_spec_change;
	struct weir_error *err;
};

static int no_column(const struct change *change, struct weir_str path)
{
	return weir_fail(change->err, WEIR_E_NOT_FOUND, "the table has no column '%.*s'", WEIR_STR_ARG(path));
}

/* The part of a path before its first dot; *path becomes the rest. */
static struct weir_str first_part(struct weir_str *path)
{
	const char *dot = memchr(path->data, '.', path->size);
	struct weir_str part = {path->data, dot != NULL ? (size_t)(dot - path->data) : path->size};
	size_t skip = part.size + (dot != NULL);
	*path = (struct weir_str){path->data + skip, path->size - skip};
	return part;
}

/* Where a field is: the siblings' array, their count (to be changed in place) and its index there. */
struct place {
	struct weir_field **fields;
	uint32_t *count;
	uint32_t index;
	struct weir_field *parent; /* NULL: the schema itself */
};

static bool find_place(struct change *change, struct weir_str path, struct place *ret_place)
{
	struct place place = {&change->schema->fields, &change->schema->field_count, 0, NULL};
	for (;;) {
		struct weir_str name = first_part(&path);
		place.index = 0;
		while (place.index < *place.count && !weir_str_equal((*place.fields)[place.index].name, name))
			place.index++;
		if (place.index == *place.count)
			return false;
		if (path.size == 0)
			break;
		place.parent = &(*place.fields)[place.index];
		place.count = &place.parent->child_count;
		place.fields = &place.parent->children;
	}
	*ret_place = place;
	return true;
}

static bool in_struct(const struct place *place)
{
	return place->parent == NULL || place->parent->type == WEIR_STRUCT;
}

/* ---- columns ---- */

/* What other engines have and weir does not is refused by name. */
static int parse_type(const struct change *change, struct weir_str text, struct weir_field *field)
{
	static const char *const others[] = {"variant", "geometry", "geography"};
	if (weir_type_parse(text, field))
		return 0;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (weir_str_has_prefix(text, weir_str_from(others[i])))
			return weir_fail(change->err, WEIR_E_UNSUPPORTED,
				"weir neither reads nor writes columns of type %s", others[i]);
	return weir_fail(change->err, WEIR_E_INPUT, "'%.*s' is not a type of a single value", WEIR_STR_ARG(text));
}

static int add_column(struct change *change, const struct ice_evolve_step *step)
{
	struct weir_str parent = {step->path.data, 0}, name = step->path;
	struct place place = {&change->schema->fields, &change->schema->field_count, 0, NULL};
	for (size_t i = 0; i < step->path.size; i++)
		if (step->path.data[i] == '.') {
			parent.size = i;
			name = (struct weir_str){step->path.data + i + 1, step->path.size - i - 1};
		}
	if (parent.size > 0) {
		struct place at;
		if (!find_place(change, parent, &at))
			return no_column(change, parent);
		place.parent = &(*at.fields)[at.index];
		if (place.parent->type != WEIR_STRUCT)
			return weir_fail(
				change->err, WEIR_E_INPUT, "column '%.*s' is not a struct", WEIR_STR_ARG(parent));
		place.fields = &place.parent->children;
		place.count = &place.parent->child_count;
	}
	for (uint32_t i = 0; i < *place.count; i++)
		if (weir_str_equal((*place.fields)[i].name, name))
			return weir_fail(change->err, WEIR_E_EXISTS, "the table has a column '%.*s' already",
				WEIR_STR_ARG(step->path));
	struct weir_field field = {.name = name, .id = ++change->next->last_column_id};
	int status = name.size == 0 ? weir_fail(change->err, WEIR_E_INPUT, "a column needs a name")
				    : parse_type(change, step->type, &field);
	if (status != 0)
		return status;
	if (change->next->format_version < 3 &&
		(field.type == WEIR_TIMESTAMP_NS || field.type == WEIR_TIMESTAMPTZ_NS || field.unknown ||
			step->value.size > 0))
		return weir_fail(change->err, WEIR_E_UNSUPPORTED,
			"nanoseconds, unknown and defaults need format version 3; the table has %d",
			change->next->format_version);
	if (step->value.size > 0 && field.unknown)
		return weir_fail(change->err, WEIR_E_INPUT, "a column of type unknown is null and has no default");
	if (step->value.size > 0) {
		int code = ice_default_check(&field, step->value, change->err);
		if (code != 0)
			return code;
		field.initial_default = field.write_default = step->value;
	}
	struct weir_field *fields = weir_arena_calloc(change->arena, *place.count + 1, sizeof *fields);
	memcpy(fields, *place.fields, *place.count * sizeof *fields);
	fields[(*place.count)++] = field;
	*place.fields = fields;
	return 0;
}

static bool holds_id(const struct weir_field *field, int32_t id)
{
	if (field->id == id)
		return true;
	for (uint32_t i = 0; i < field->child_count; i++)
		if (holds_id(&field->children[i], id))
			return true;
	return false;
}

/* A column that the current spec, sort order or identity stands on must stay. */
static int check_unused(struct change *change, const struct weir_field *field)
{
	const struct ice_metadata *next = change->next;
	for (uint32_t i = 0; i < change->spec.field_count; i++)
		if (change->spec.fields[i].transform.kind != ICE_VOID &&
			holds_id(field, change->spec.fields[i].source_id))
			return weir_fail(change->err, WEIR_E_INPUT,
				"partition field '%.*s' is made of the column; drop the partition field first",
				WEIR_STR_ARG(change->spec.fields[i].name));
	for (uint32_t i = 0; i < next->sort_order_count; i++)
		for (uint32_t j = 0;
			next->sort_orders[i].id == next->default_sort_order_id && j < next->sort_orders[i].field_count;
			j++)
			if (holds_id(field, next->sort_orders[i].fields[j].source_id))
				return weir_fail(change->err, WEIR_E_INPUT, "the table is sorted by column '%.*s'",
					WEIR_STR_ARG(field->name));
	for (uint32_t i = 0; i < change->schema->identifier_count; i++)
		if (holds_id(field, change->schema->identifier_ids[i]))
			return weir_fail(
				change->err, WEIR_E_INPUT, "column '%.*s' identifies rows", WEIR_STR_ARG(field->name));
	return 0;
}

static int drop_column(struct change *change, const struct ice_evolve_step *step, const struct place *place)
{
	struct weir_field *field = &(*place->fields)[place->index];
	int code = check_unused(change, field);
	if (code == 0 && (!in_struct(place) || *place->count == 1))
		code = weir_fail(change->err, WEIR_E_INPUT,
			"column '%.*s' is the only one of its struct, or part of a list or map",
			WEIR_STR_ARG(step->path));
	if (code != 0)
		return code;
	memmove(field, field + 1, (*place->count - place->index - 1) * sizeof *field);
	--*place->count;
	return 0;
}

static int rename_column(struct change *change, const struct ice_evolve_step *step, const struct place *place)
{
	for (uint32_t i = 0; i < *place->count; i++)
		if (weir_str_equal((*place->fields)[i].name, step->value))
			return weir_fail(change->err, WEIR_E_EXISTS, "there is a column '%.*s' already",
				WEIR_STR_ARG(step->value));
	if (!in_struct(place) || step->value.size == 0)
		return weir_fail(change->err, WEIR_E_INPUT, "elements, keys and values have no name of their own");
	(*place->fields)[place->index].name = step->value;
	return 0;
}

/* May a column of one type become one of another (table specification, "Schema Evolution")? */
static bool widens(const struct weir_field *from, const struct weir_field *to, int32_t format_version)
{
	if (from->unknown || to->unknown)
		return from->unknown && format_version > 2;
	if (from->type == WEIR_DATE)
		return (to->type == WEIR_TIMESTAMP || to->type == WEIR_TIMESTAMP_NS) && format_version > 2;
	if (from->type == WEIR_DECIMAL)
		return to->type == WEIR_DECIMAL && to->scale == from->scale && to->precision >= from->precision;
	return (from->type == WEIR_INT32 && to->type == WEIR_INT64) ||
		(from->type == WEIR_FLOAT && to->type == WEIR_DOUBLE);
}

/* A date's partitions are the timestamp's only where the transform counts days or longer: in no spec may it be another. */
static int check_date_partitions(struct change *change, const struct weir_field *field)
{
	for (uint32_t i = 0; i <= change->next->spec_count; i++) {
		const struct ice_spec *spec = i < change->next->spec_count ? &change->next->specs[i] : &change->spec;
		for (uint32_t j = 0; j < spec->field_count; j++) {
			enum ice_transform_kind kind = spec->fields[j].transform.kind;
			if (spec->fields[j].source_id == field->id && kind != ICE_YEAR && kind != ICE_MONTH &&
				kind != ICE_DAY && kind != ICE_VOID)
				return weir_fail(change->err, WEIR_E_INPUT,
					"column '%.*s' cannot become a timestamp: the values of partition field "
					"'%.*s' would be others",
					WEIR_STR_ARG(field->name), WEIR_STR_ARG(spec->fields[j].name));
		}
	}
	return 0;
}

/* The default "2025-02-01" as "2025-02-01T00:00:00". */
static struct weir_str midnight(struct change *change, struct weir_str json)
{
	if (json.size < 2)
		return json;
	return weir_str_from(weir_arena_printf(change->arena, "%.*sT00:00:00\"", (int)(json.size - 1), json.data));
}

static int promote(struct change *change, const struct ice_evolve_step *step, const struct place *place)
{
	struct weir_field *field = &(*place->fields)[place->index], wanted = *field;
	char old[128];
	int code = parse_type(change, step->type, &wanted);
	if (code == 0 && !widens(field, &wanted, change->next->format_version))
		code = weir_fail(change->err, WEIR_E_INPUT,
			"column '%.*s' is %s and cannot become '%.*s': int becomes long, float double, decimals get "
			"more digits; in format version 3 a date becomes a timestamp, unknown any type",
			WEIR_STR_ARG(step->path), weir_type_name(field, old, sizeof old), WEIR_STR_ARG(step->type));
	if (code == 0 && field->type == WEIR_DATE) {
		code = check_date_partitions(change, field);
		wanted.initial_default = midnight(change, field->initial_default);
		wanted.write_default = midnight(change, field->write_default);
	}
	if (code == 0 && field->type == WEIR_DATE && wanted.initial_default.size > 0)
		code = ice_default_check(&wanted, wanted.initial_default, change->err);
	if (code == 0)
		*field = wanted;
	return code;
}

static int move_column(struct change *change, const struct ice_evolve_step *step, const struct place *place)
{
	struct weir_field moved = (*place->fields)[place->index];
	struct weir_field *fields = *place->fields;
	uint32_t to = 0, last = *place->count - 1;
	if (!in_struct(place))
		return weir_fail(change->err, WEIR_E_INPUT, "elements, keys and values cannot be moved");
	memmove(&fields[place->index], &fields[place->index + 1], (last - place->index) * sizeof *fields);
	if (step->kind == ICE_MOVE_AFTER) {
		while (to < last && !weir_str_equal(fields[to].name, step->value))
			to++;
		if (to == last)
			return no_column(change, step->value);
		to++;
	}
	memmove(&fields[to + 1], &fields[to], (last - to) * sizeof *fields);
	fields[to] = moved;
	return 0;
}

static int change_column(struct change *change, const struct ice_evolve_step *step)
{
	struct place place;
	change->has_schema_change = true;
	if (step->kind == ICE_ADD_COLUMN)
		return add_column(change, step);
	if (!find_place(change, step->path, &place))
		return no_column(change, step->path);
	switch (step->kind) {
	case ICE_DROP_COLUMN:
		return drop_column(change, step, &place);
	case ICE_RENAME_COLUMN:
		return rename_column(change, step, &place);
	case ICE_PROMOTE:
		return promote(change, step, &place);
	case ICE_MAKE_OPTIONAL:
		(*place.fields)[place.index].required = false;
		return 0;
	case ICE_SET_DOC:
		(*place.fields)[place.index].doc = step->value;
		return 0;
	default:
		return move_column(change, step, &place);
	}
}

/* ---- partition fields ---- */

/* "bucket(16, id)" as transform and column; a name alone is the identity. */
static int parse_partition(const struct change *change, struct weir_str text, struct ice_transform *ret_transform,
	struct weir_str *ret_column)
{
	char name[64];
	const char *open = memchr(text.data, '(', text.size);
	*ret_transform = (struct ice_transform){ICE_IDENTITY, 0};
	*ret_column = text;
	if (open == NULL)
		return 0;
	struct weir_str kind = {text.data, (size_t)(open - text.data)};
	struct weir_str inside = {open + 1, text.size - kind.size - 1};
	if (inside.size == 0 || inside.data[inside.size - 1] != ')')
		return weir_fail(change->err, WEIR_E_INPUT, "'%.*s' lacks its closing parenthesis", WEIR_STR_ARG(text));
	inside.size--;
	const char *comma = memchr(inside.data, ',', inside.size);
	if (comma != NULL) {
		snprintf(name, sizeof name, "%.*s[%.*s]", (int)(kind.size < 20 ? kind.size : 20), kind.data,
			(int)(comma - inside.data < 12 ? comma - inside.data : 12), inside.data);
		inside = (struct weir_str){comma + 1, inside.size - (size_t)(comma + 1 - inside.data)};
	} else {
		snprintf(name, sizeof name, "%.*s", (int)(kind.size < 40 ? kind.size : 40), kind.data);
	}
	while (inside.size > 0 && inside.data[0] == ' ')
		inside = (struct weir_str){inside.data + 1, inside.size - 1};
	*ret_column = inside;
	int code = ice_transform_parse(weir_str_from(name), ret_transform, change->err);
	if (code == 0 && ret_transform->kind == ICE_UNKNOWN_TRANSFORM)
		code = weir_fail(change->err, WEIR_E_INPUT, "there is no transform '%s'", name);
	return code;
}

static const char *default_name(struct change *change, struct weir_str column, struct ice_transform transform)
{
	static const char *const tails[] = {[ICE_IDENTITY] = "",
		[ICE_BUCKET] = "_bucket",
		[ICE_TRUNCATE] = "_trunc",
		[ICE_YEAR] = "_year",
		[ICE_MONTH] = "_month",
		[ICE_DAY] = "_day",
		[ICE_HOUR] = "_hour",
		[ICE_VOID] = "_null",
		[ICE_UNKNOWN_TRANSFORM] = "_unknown"};
	return weir_arena_printf(change->arena, "%.*s%s", WEIR_STR_ARG(column), tails[transform.kind]);
}

/* The id of an equal field of any spec, which is used again; else a new one. */
static int32_t partition_id(struct change *change, int32_t source_id, struct ice_transform transform)
{
	for (uint32_t i = 0; i < change->next->spec_count; i++)
		for (uint32_t j = 0; j < change->next->specs[i].field_count; j++) {
			const struct ice_partition_field *field = &change->next->specs[i].fields[j];
			if (field->source_id == source_id && field->transform.kind == transform.kind &&
				field->transform.parameter == transform.parameter)
				return field->field_id;
		}
	return ++change->next->last_partition_id;
}

static bool takes(struct ice_transform transform, enum weir_type type)
{
	bool is_time = (type >= WEIR_TIMESTAMP && type <= WEIR_TIMESTAMPTZ_NS);
	switch (transform.kind) {
	case ICE_BUCKET:
		return type != WEIR_BOOL && type != WEIR_FLOAT && type != WEIR_DOUBLE;
	case ICE_TRUNCATE:
		return type == WEIR_INT32 || type == WEIR_INT64 || type == WEIR_DECIMAL || type == WEIR_STRING ||
			type == WEIR_BINARY;
	case ICE_YEAR:
	case ICE_MONTH:
	case ICE_DAY:
		return is_time || type == WEIR_DATE;
	case ICE_HOUR:
		return is_time;
	default:
		return true;
	}
}

/* May the transform be one of the column in a partition spec or sort order? */
static bool is_source(const struct weir_field *source, const struct place *place, struct ice_transform transform)
{
	return !weir_type_is_nested(source->type) && !source->unknown && in_struct(place) &&
		takes(transform, source->type);
}

static int add_partition(struct change *change, const struct ice_evolve_step *step)
{
	struct ice_transform transform;
	struct weir_str column;
	struct place place;
	int code = parse_partition(change, step->path, &transform, &column);
	if (code != 0)
		return code;
	if (!find_place(change, column, &place))
		return no_column(change, column);
	const struct weir_field *source = &(*place.fields)[place.index];
	struct weir_str name =
		step->value.size > 0 ? step->value : weir_str_from(default_name(change, column, transform));
	if (!is_source(source, &place, transform))
		return weir_fail(change->err, WEIR_E_INPUT, "'%.*s' does not fit the type of its column",
			WEIR_STR_ARG(step->path));
	for (uint32_t i = 0; i < change->spec.field_count; i++)
		if (weir_str_equal(change->spec.fields[i].name, name))
			return weir_fail(change->err, WEIR_E_EXISTS, "the table has a partition field '%.*s' already",
				WEIR_STR_ARG(name));
	struct ice_partition_field *fields =
		weir_arena_calloc(change->arena, change->spec.field_count + 1, sizeof *fields);
	memcpy(fields, change->spec.fields, change->spec.field_count * sizeof *fields);
	fields[change->spec.field_count++] = (struct ice_partition_field){.source_id = source->id,
		.field_id = partition_id(change, source->id, transform),
		.name = name,
		.transform = transform};
	change->spec.fields = fields;
	return 0;
}

static int drop_partition(struct change *change, const struct ice_evolve_step *step)
{
	struct ice_partition_field *fields =
		weir_arena_copy(change->arena, change->spec.fields, change->spec.field_count * sizeof *fields);
	for (uint32_t i = 0; i < change->spec.field_count; i++)
		if (weir_str_equal(fields[i].name, step->path)) {
			memmove(&fields[i], &fields[i + 1], (change->spec.field_count - i - 1) * sizeof *fields);
			change->spec.fields = fields;
			change->spec.field_count--;
			return 0;
		}
	return weir_fail(
		change->err, WEIR_E_NOT_FOUND, "the table has no partition field '%.*s'", WEIR_STR_ARG(step->path));
}

/* ---- the sort order ---- */

/* The part before the first `by` outside of parentheses; *rest becomes what is behind it. */
static struct weir_str take_until(struct weir_str *rest, char by)
{
	struct weir_str all = weir_str_trim(*rest);
	size_t end = 0;
	int depth = 0;
	for (; end < all.size && (all.data[end] != by || depth > 0); end++)
		depth += (all.data[end] == '(') - (all.data[end] == ')');
	size_t skip = end + (end < all.size);
	*rest = weir_str_trim((struct weir_str){all.data + skip, all.size - skip});
	return weir_str_trim((struct weir_str){all.data, end});
}

/* "desc nulls last" and the like: nulls are first where the order ascends, unless it says otherwise. */
static bool parse_direction(struct weir_str words, struct ice_sort_field *field)
{
	struct weir_str rest = words, first = take_until(&rest, ' ');
	field->descending = weir_str_is(first, "desc");
	if (!field->descending && !weir_str_is(first, "asc"))
		rest = words;
	field->nulls_last = weir_str_is(rest, "nulls last") || (rest.size == 0 && field->descending);
	return rest.size == 0 || weir_str_is(rest, "nulls first") || weir_str_is(rest, "nulls last");
}

static int parse_sort_field(struct change *change, struct weir_str item, struct ice_sort_field *ret_field)
{
	struct weir_str words = item, expression = take_until(&words, ' '), column;
	struct ice_transform transform;
	struct place place;
	int code = parse_partition(change, expression, &transform, &column);
	if (code != 0)
		return code;
	if (!find_place(change, column, &place))
		return no_column(change, column);
	const struct weir_field *source = &(*place.fields)[place.index];
	*ret_field = (struct ice_sort_field){.source_id = source->id, .transform = transform};
	if (!is_source(source, &place, transform))
		return weir_fail(change->err, WEIR_E_INPUT, "'%.*s' does not fit the type of its column",
			WEIR_STR_ARG(expression));
	if (!parse_direction(words, ret_field))
		return weir_fail(change->err, WEIR_E_INPUT,
			"'%.*s' is no order: asc or desc, then nulls first or nulls last", WEIR_STR_ARG(words));
	return 0;
}

static bool same_order(const struct ice_sort_order *a, const struct ice_sort_order *b)
{
	bool same = a->field_count == b->field_count;
	for (uint32_t i = 0; same && i < a->field_count; i++)
		same = a->fields[i].source_id == b->fields[i].source_id &&
			a->fields[i].transform.kind == b->fields[i].transform.kind &&
			a->fields[i].transform.parameter == b->fields[i].transform.parameter &&
			a->fields[i].transform.kind != ICE_UNKNOWN_TRANSFORM &&
			a->fields[i].descending == b->fields[i].descending &&
			a->fields[i].nulls_last == b->fields[i].nulls_last;
	return same;
}

/* An order that the table had before is taken again; 0 is the id of no order. */
static void put_order(struct change *change, struct ice_sort_order order)
{
	struct ice_metadata *next = change->next;
	int32_t largest = 0;
	for (uint32_t i = 0; i < next->sort_order_count; i++) {
		largest = next->sort_orders[i].id > largest ? next->sort_orders[i].id : largest;
		if (same_order(&next->sort_orders[i], &order)) {
			next->default_sort_order_id = next->sort_orders[i].id;
			return;
		}
	}
	struct ice_sort_order *orders = weir_arena_calloc(change->arena, next->sort_order_count + 1, sizeof *orders);
	if (next->sort_order_count > 0)
		memcpy(orders, next->sort_orders, next->sort_order_count * sizeof *orders);
	order.id = order.field_count > 0 ? largest + 1 : 0;
	orders[next->sort_order_count++] = order;
	next->sort_orders = orders;
	next->default_sort_order_id = order.id;
}

static int set_sort(struct change *change, const struct ice_evolve_step *step)
{
	struct ice_sort_order order = {0};
	struct weir_str rest = weir_str_trim(step->path);
	order.fields = weir_arena_calloc(change->arena, SORT_FIELDS_MAX, sizeof *order.fields);
	while (rest.size > 0) {
		struct weir_str item = take_until(&rest, ',');
		if (order.field_count == SORT_FIELDS_MAX)
			return weir_fail(
				change->err, WEIR_E_LIMIT, "a sort order has at most %d fields", SORT_FIELDS_MAX);
		int code = parse_sort_field(change, item, &order.fields[order.field_count++]);
		if (code != 0)
			return code;
	}
	put_order(change, order);
	return 0;
}

/* ---- properties and version ---- */

static int set_property(struct change *change, const struct ice_evolve_step *step)
{
	struct ice_metadata *next = change->next;
	struct ice_kv *pairs = weir_arena_calloc(change->arena, next->property_count + 1, sizeof *pairs);
	uint32_t count = 0;
	for (uint32_t i = 0; i < next->property_count; i++)
		if (!weir_str_equal(next->properties[i].key, step->path))
			pairs[count++] = next->properties[i];
	if (step->kind == ICE_SET_PROPERTY)
		pairs[count++] = (struct ice_kv){step->path, step->value};
	next->properties = pairs;
	next->property_count = count;
	return 0;
}

static int upgrade(struct change *change, const struct ice_evolve_step *step)
{
	int64_t version;
	if (!weir_str_to_i64(step->path, &version) || version < change->next->format_version || version > 3)
		return weir_fail(change->err, WEIR_E_INPUT,
			"the table has format version %d; it can become a later one, up to 3",
			change->next->format_version);
	if (change->next->table_uuid.size == 0)
		return weir_fail(change->err, WEIR_E_UNSUPPORTED,
			"the table has no uuid; an engine that writes version 1 must give it one first");
	change->next->format_version = (int32_t)version;
	return 0;
}

/* ---- putting it in ---- */

static bool same_fields(const struct weir_schema *a, const struct weir_schema *b)
{
	struct weir_buf first = WEIR_BUF_INIT, second = WEIR_BUF_INIT;
	struct weir_schema left = *a, right = *b;
	left.id = right.id = 0;
	struct weir_json json = weir_json_to(&first);
	ice_schema_write(&left, &json);
	json = weir_json_to(&second);
	ice_schema_write(&right, &json);
	bool same = weir_str_equal(weir_buf_str(&first), weir_buf_str(&second));
	weir_buf_done(&first);
	weir_buf_done(&second);
	return same;
}

static void put_schema(struct change *change)
{
	struct ice_metadata *next = change->next;
	int32_t largest = 0;
	for (uint32_t i = 0; i < next->schema_count; i++) {
		largest = next->schemas[i].id > largest ? next->schemas[i].id : largest;
		if (same_fields(&next->schemas[i], change->schema)) {
			next->current_schema_id = next->schemas[i].id;
			return;
		}
	}
	struct weir_schema *schemas = weir_arena_calloc(change->arena, next->schema_count + 1, sizeof *schemas);
	memcpy(schemas, next->schemas, next->schema_count * sizeof *schemas);
	schemas[next->schema_count] = *change->schema;
	schemas[next->schema_count++].id = next->current_schema_id = largest + 1;
	next->schemas = schemas;
}

static bool same_spec(const struct ice_spec *a, const struct ice_spec *b)
{
	bool same = a->field_count == b->field_count;
	for (uint32_t i = 0; same && i < a->field_count; i++)
		same = a->fields[i].field_id == b->fields[i].field_id &&
			weir_str_equal(a->fields[i].name, b->fields[i].name);
	return same;
}

static void put_spec(struct change *change)
{
	struct ice_metadata *next = change->next;
	int32_t largest = 0;
	for (uint32_t i = 0; i < next->spec_count; i++) {
		largest = next->specs[i].id > largest ? next->specs[i].id : largest;
		if (same_spec(&next->specs[i], &change->spec)) {
			next->default_spec_id = next->specs[i].id;
			return;
		}
	}
	struct ice_spec *specs = weir_arena_calloc(change->arena, next->spec_count + 1, sizeof *specs);
	memcpy(specs, next->specs, next->spec_count * sizeof *specs);
	specs[next->spec_count] = change->spec;
	specs[next->spec_count++].id = next->default_spec_id = largest + 1;
	next->specs = specs;
}

/* What is written as JSON must be text. */
static int check_text(const struct change *change, const struct ice_evolve_step *step)
{
	const struct weir_str texts[] = {step->path, step->type, step->value};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].size > 0 &&
			(!weir_utf8_valid(texts[i]) || memchr(texts[i].data, '\0', texts[i].size) != NULL))
			return weir_fail(
				change->err, WEIR_E_INPUT, "a name or value is not UTF-8, or holds a zero byte");
	return 0;
}

int ice_revise_evolve(void *evolution, struct weir_arena *arena, const struct ice_metadata *base,
	struct ice_metadata *next, struct weir_error *err)
{
	const struct ice_evolution *wanted = evolution;
	struct change change = {.arena = arena,
		.next = next,
		.schema = weir_schema_copy(arena, ice_metadata_current_schema(base)),
		.spec = *ice_metadata_spec(base, base->default_spec_id),
		.err = err};
	int code = 0;
	for (uint32_t i = 0; i < wanted->count && code == 0; i++) {
		const struct ice_evolve_step *step = &wanted->steps[i];
		code = check_text(&change, step);
		if (code != 0)
			break;
		switch (step->kind) {
		case ICE_ADD_PARTITION:
			code = add_partition(&change, step);
			change.has_spec_change = true;
			break;
		case ICE_DROP_PARTITION:
			code = drop_partition(&change, step);
			change.has_spec_change = true;
			break;
		case ICE_SET_PROPERTY:
		case ICE_UNSET_PROPERTY:
			code = set_property(&change, step);
			break;
		case ICE_UPGRADE:
			code = upgrade(&change, step);
			break;
		case ICE_SET_SORT:
			code = set_sort(&change, step);
			break;
		default:
			code = change_column(&change, step);
		}
	}
	if (code == 0 && base->format_version == 1 && next->format_version == 1 && change.has_spec_change)
		code = weir_fail(err, WEIR_E_UNSUPPORTED,
			"partition evolution of version 1 keeps dropped fields as void; upgrade the table to version "
			"2");
	if (code == 0 && change.has_schema_change)
		put_schema(&change);
	if (code == 0 && change.has_spec_change)
		put_spec(&change);
	return code;
}
