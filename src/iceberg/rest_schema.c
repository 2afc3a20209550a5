/* Schemas as documents: ids, sameness, and fresh ids for a new table. */
#include "iceberg/rest_document.h"

struct weir_str ice_rest_text(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_string(value) ? (struct weir_str){json_string_value(value), json_string_length(value)}
				     : (struct weir_str){0};
}

int64_t ice_rest_int(const json_t *object, const char *key, int64_t absent)
{
	const json_t *value = json_object_get(object, key);
	return json_is_integer(value) ? json_integer_value(value) : absent;
}

/* Calls for each (object, key) that holds a field's id: of a struct its fields, then what is inside them. */
typedef int id_fn(void *context, json_t *object, const char *key, struct weir_error *err);

static int walk_type(json_t *type, unsigned depth, id_fn *id, void *context, struct weir_error *err);

static int walk_struct(json_t *type, unsigned depth, id_fn *id, void *context, struct weir_error *err)
{
	json_t *fields = json_object_get(type, "fields"), *field;
	size_t index;
	int status = 0;
	if (!json_is_array(fields))
		return weir_fail(err, WEIR_E_INPUT, "a struct of the schema has no array 'fields'");
	json_array_foreach(fields, index, field)
	{
		if (!json_is_string(json_object_get(field, "name")))
			return weir_fail(err, WEIR_E_INPUT, "field %zu of a struct of the schema has no 'name'", index);
		if (!json_is_boolean(json_object_get(field, "required")))
			return weir_fail(err, WEIR_E_INPUT, "column '%.100s' does not say whether it is 'required'",
				json_string_value(json_object_get(field, "name")));
		status = id(context, field, "id", err);
		if (status != 0)
			return status;
	}
	json_array_foreach(fields, index, field)
	{
		status = walk_type(json_object_get(field, "type"), depth, id, context, err);
		if (status != 0)
			return status;
	}
	return 0;
}

static int walk_type(json_t *type, unsigned depth, id_fn *id, void *context, struct weir_error *err)
{
	if (json_is_string(type))
		return 0;
	if (depth > ICE_REST_DEPTH_MAX)
		return weir_fail(err, WEIR_E_LIMIT, "the schema's types are nested deeper than %d", ICE_REST_DEPTH_MAX);
	struct weir_str kind = ice_rest_text(type, "type");
	if (weir_str_is(kind, "struct"))
		return walk_struct(type, depth + 1, id, context, err);
	int status;
	if (weir_str_is(kind, "list")) {
		status = id(context, type, "element-id", err);
		return status != 0 ? status : walk_type(json_object_get(type, "element"), depth + 1, id, context, err);
	}
	if (!weir_str_is(kind, "map"))
		return weir_fail(err, WEIR_E_INPUT, "a type of the schema is neither a name nor a struct, list or map");
	status = id(context, type, "key-id", err);
	if (status == 0)
		status = id(context, type, "value-id", err);
	if (status == 0)
		status = walk_type(json_object_get(type, "key"), depth + 1, id, context, err);
	if (status == 0)
		status = walk_type(json_object_get(type, "value"), depth + 1, id, context, err);
	return status;
}

/* The walk only reads where its callback does: the cast drops a promise, not a guarantee. */
static int walk_schema(const json_t *schema, id_fn *id, void *context, struct weir_error *err)
{
	if (!weir_str_is(ice_rest_text(schema, "type"), "struct"))
		return weir_fail(err, WEIR_E_INPUT, "the schema is not an object of type 'struct'");
	return walk_struct((json_t *)(uintptr_t)schema, 0, id, context, err);
}

struct id_search {
	int64_t wanted;
	int32_t highest;
	bool found;
};

static int look_at_id(void *context, json_t *object, const char *key, struct weir_error *err)
{
	struct id_search *search = context;
	int64_t id = ice_rest_int(object, key, -1);
	if (id < 0 || id > INT32_MAX)
		return weir_fail(err, WEIR_E_INPUT, "a field of the schema has no '%s' from 0 to 2147483647", key);
	search->highest = id > search->highest ? (int32_t)id : search->highest;
	search->found = search->found || id == search->wanted;
	return 0;
}

int32_t ice_rest_highest_id(const json_t *schema)
{
	struct id_search search = {.wanted = -1};
	struct weir_error ignored = WEIR_ERROR_INIT;
	walk_schema(schema, look_at_id, &search, &ignored);
	return search.highest;
}

bool ice_rest_has_field(const json_t *schema, int64_t field_id)
{
	struct id_search search = {.wanted = field_id};
	struct weir_error ignored = WEIR_ERROR_INIT;
	walk_schema(schema, look_at_id, &search, &ignored);
	return search.found;
}

int ice_rest_check_schema(const json_t *schema, struct weir_error *err)
{
	struct id_search search = {.wanted = -1};
	return walk_schema(schema, look_at_id, &search, err);
}

/* Two arrays of integers as sets; a missing one is empty. */
static bool same_ids(const json_t *a, const json_t *b)
{
	size_t index, other;
	json_t *x, *y;
	if (json_array_size(a) != json_array_size(b))
		return false;
	json_array_foreach(a, index, x)
	{
		bool found = false;
		json_array_foreach(b, other, y) found = found || json_equal(x, y);
		if (!found)
			return false;
	}
	return true;
}

bool ice_rest_same_schema(const json_t *a, const json_t *b)
{
	return json_equal(json_object_get(a, "fields"), json_object_get(b, "fields")) &&
		same_ids(json_object_get(a, "identifier-field-ids"), json_object_get(b, "identifier-field-ids"));
}

struct renumber {
	json_t *ids;
	int32_t last_id;
};

static int assign_id(void *context, json_t *object, const char *key, struct weir_error *err)
{
	struct renumber *renumber = context;
	char old[24];
	int64_t id = ice_rest_int(object, key, -1);
	int32_t fresh = ++renumber->last_id;
	json_object_set_new(object, key, json_integer(fresh));
	if (id < 0)
		return 0; /* a client may leave them to the catalog */
	snprintf(old, sizeof old, "%lld", (long long)id);
	if (json_object_get(renumber->ids, old) != NULL)
		return weir_fail(err, WEIR_E_INPUT, "two fields of the schema have the id %s", old);
	json_object_set_new(renumber->ids, old, json_integer(fresh));
	return 0;
}

int ice_rest_fresh_schema(
	const json_t *schema, json_t **ret_schema, json_t *ids, int32_t *ret_last_id, struct weir_error *err)
{
	struct renumber renumber = {.ids = ids};
	json_t *copy = json_deep_copy(schema), *identifiers = json_array(), *id;
	size_t index;
	int status = walk_schema(copy, assign_id, &renumber, err);
	json_array_foreach(json_object_get(schema, "identifier-field-ids"), index, id)
	{
		char old[24];
		snprintf(old, sizeof old, "%lld", (long long)json_integer_value(id));
		if (status == 0 && json_object_get(ids, old) == NULL)
			status = weir_fail(err, WEIR_E_INPUT, "identifier field id %s is no field of the schema", old);
		json_array_append(identifiers, json_object_get(ids, old));
	}
	if (json_array_size(identifiers) > 0)
		json_object_set(copy, "identifier-field-ids", identifiers);
	else
		json_object_del(copy, "identifier-field-ids");
	json_decref(identifiers);
	json_object_set_new(copy, "schema-id", json_integer(0));
	*ret_last_id = renumber.last_id;
	if (status != 0) {
		json_decref(copy);
		return status;
	}
	*ret_schema = copy;
	return 0;
}
