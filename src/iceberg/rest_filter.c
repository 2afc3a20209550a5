#include "iceberg/rest_filter.h"

#include <math.h>
#include <stdlib.h>

#include "iceberg/internal.h"
#include "iceberg/rest_document.h"

enum predicate {
	P_EQ,
	P_NE,
	P_LT,
	P_LE,
	P_GT,
	P_GE,
	P_IN,
	P_NOT_IN,
	P_NULL,
	P_NOT_NULL,
	P_STARTS,
	P_NOT_STARTS,
	P_NAN,
	P_NOT_NAN,
	PREDICATES,
};

/* flipped: of "literal OP column" as "column OP literal". */
static const struct predicate_kind {
	const char *name;
	enum predicate negation, flipped;
	int op; /* enum expr_op; -1: none */
} kinds[PREDICATES] = {
	[P_EQ] = {"eq", P_NE, P_EQ, EXPR_EQ},
	[P_NE] = {"not-eq", P_EQ, P_NE, EXPR_NE},
	[P_LT] = {"lt", P_GE, P_GT, EXPR_LT},
	[P_LE] = {"lt-eq", P_GT, P_GE, EXPR_LE},
	[P_GT] = {"gt", P_LE, P_LT, EXPR_GT},
	[P_GE] = {"gt-eq", P_LT, P_LE, EXPR_GE},
	[P_IN] = {"in", P_NOT_IN, PREDICATES, EXPR_IN},
	[P_NOT_IN] = {"not-in", P_IN, PREDICATES, EXPR_NOT_IN},
	[P_NULL] = {"is-null", P_NOT_NULL, PREDICATES, EXPR_IS_NULL},
	[P_NOT_NULL] = {"not-null", P_NULL, PREDICATES, EXPR_NOT_NULL},
	[P_STARTS] = {"starts-with", P_NOT_STARTS, PREDICATES, -1},
	[P_NOT_STARTS] = {"not-starts-with", P_STARTS, PREDICATES, -1},
	[P_NAN] = {"is-nan", P_NOT_NAN, PREDICATES, -1},
	[P_NOT_NAN] = {"not-nan", P_NAN, PREDICATES, -1},
};

/* A leaf on one partition field of one spec: the literals as that field has them. */
struct image {
	bool usable;
	uint32_t index;
	struct ice_transform transform;
	struct ice_partition_value *values;
};

enum node_kind { NODE_FALSE, NODE_TRUE, NODE_AND, NODE_OR, NODE_LEAF };

struct node {
	enum node_kind kind;
	struct node *left, *right;
	/* of a leaf */
	json_t *json; /* as it was written, the negation taken in; owned by the filter's list */
	enum predicate predicate;
	const struct weir_field *field; /* NULL: nothing is known of it */
	struct expr_value *values;
	uint32_t value_count;
	struct expr_filter terms; /* rows that fulfil the leaf fulfil these; none: nothing is known */
	bool takes_nulls;         /* the leaf holds for nulls, the terms do not */
	const struct ice_matcher *matcher, *null_matcher;
	struct image *images; /* one for each of the table's specs, and field_count of it: see image_of */
};

struct ice_rest_filter {
	struct weir_arena *arena;
	struct ice_table *table;
	const struct ice_metadata *metadata;
	const struct weir_schema *schema;
	bool case_sensitive;
	struct node *root;
	json_t *owned; /* an array of the leaves' texts */
	struct expr_filter terms;
	bool looks_at_files; /* the terms do not say all that can be said */
};

/* ---- names ---- */

static bool same_name(struct weir_str a, struct weir_str b, bool case_sensitive)
{
	if (case_sensitive || a.size != b.size)
		return weir_str_equal(a, b);
	for (size_t i = 0; i < a.size; i++) {
		char x = a.data[i], y = b.data[i];
		x = x >= 'A' && x <= 'Z' ? (char)(x | 0x20) : x;
		y = y >= 'A' && y <= 'Z' ? (char)(y | 0x20) : y;
		if (x != y)
			return false;
	}
	return true;
}

/* Names of columns may hold dots: every way to cut the name is tried. */
static const struct weir_field *find_field(const struct weir_field *fields, uint32_t count, const char *const *names,
	struct weir_str name, bool case_sensitive)
{
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str own = names != NULL ? weir_str_from(names[i]) : fields[i].name;
		if (own.size > name.size)
			continue;
		if (!same_name(own, (struct weir_str){name.data, own.size}, case_sensitive))
			continue;
		if (own.size == name.size)
			return &fields[i];
		if (name.data[own.size] != '.')
			continue;
		static const char *const list_names[] = {"element"}, *const map_names[] = {"key", "value"};
		const struct weir_field *inside = find_field(fields[i].children, fields[i].child_count,
			fields[i].type == WEIR_LIST          ? list_names
				: fields[i].type == WEIR_MAP ? map_names
							     : NULL,
			(struct weir_str){name.data + own.size + 1, name.size - own.size - 1}, case_sensitive);
		if (inside != NULL)
			return inside;
	}
	return NULL;
}

const struct weir_field *ice_rest_field(const struct weir_schema *schema, struct weir_str name, bool case_sensitive)
{
	return find_field(schema->fields, schema->field_count, NULL, name, case_sensitive);
}

/* ---- literals ---- */

/* Integers stand for days and microseconds, too: that is how engines hand on literals whose column they do not know. */
static bool integer_literal(const struct weir_field *field, const json_t *json, struct expr_value *ret_value)
{
	int64_t number = json_integer_value(json);
	switch (field->type) {
	case WEIR_INT32:
	case WEIR_INT64:
	case WEIR_DATE:
	case WEIR_TIME:
	case WEIR_TIMESTAMP:
	case WEIR_TIMESTAMPTZ:
		break;
	case WEIR_TIMESTAMP_NS:
	case WEIR_TIMESTAMPTZ_NS:
		if (__builtin_mul_overflow(number, (int64_t)1000, &number))
			return false;
		break;
	default:
		return false;
	}
	*ret_value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = number};
	return true;
}

/* False where the literal is not of the column's type: then nothing is concluded from it. */
static bool literal_value(
	struct weir_arena *arena, const struct weir_field *field, const json_t *json, struct expr_value *ret_value)
{
	struct weir_field copy = *field;
	struct weir_column column;
	struct weir_error unfit = WEIR_ERROR_INIT;
	if (json_is_object(json))
		json = json_object_get(json, "value");
	if (weir_type_is_nested(field->type) || json == NULL)
		return false;
	if (json_is_integer(json) && integer_literal(field, json, ret_value))
		return true;
	bool integral = field->type == WEIR_INT32 || field->type == WEIR_INT64;
	if (integral && json_is_real(json)) {
		*ret_value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = json_real_value(json)};
		return !isnan(json_real_value(json));
	}
	char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
	if (text == NULL)
		return false;
	if (field->type == WEIR_DECIMAL && json_is_integer(json)) /* the specification writes decimals as texts */
		copy.initial_default = weir_str_from(weir_arena_printf(arena, "\"%s\"", text));
	else
		copy.initial_default = weir_arena_str(arena, weir_str_from(text));
	free(text);
	if (ice_default_column(arena, &copy, 1, &column, &unfit) != 0)
		return false;
	*ret_value = ice_cell_value(arena, &column, 0);
	return true;
}

/* ---- building ---- */

static struct node *node_new(struct ice_rest_filter *filter, enum node_kind kind)
{
	struct node *node = weir_arena_zalloc(filter->arena, sizeof *node);
	node->kind = kind;
	return node;
}

static struct node *join(struct ice_rest_filter *filter, enum node_kind kind, struct node *left, struct node *right)
{
	enum node_kind neutral = kind == NODE_AND ? NODE_TRUE : NODE_FALSE,
		       final = kind == NODE_AND ? NODE_FALSE : NODE_TRUE;
	if (left->kind == final || right->kind == neutral)
		return left;
	if (right->kind == final || left->kind == neutral)
		return right;
	struct node *node = node_new(filter, kind);
	node->left = left;
	node->right = right;
	return node;
}

/* The least text that is greater than all that begin with prefix; false where there is none. */
static bool after_prefix(struct weir_arena *arena, struct weir_str prefix, struct weir_str *ret_text)
{
	char *text = weir_arena_alloc(arena, prefix.size + 1);
	memcpy(text, prefix.data != NULL ? prefix.data : "", prefix.size);
	for (size_t size = prefix.size; size > 0; size--)
		if ((uint8_t)text[size - 1] < 0x7F) { /* of one byte: the next one is a character, too */
			text[size - 1]++;
			*ret_text = (struct weir_str){text, size};
			return true;
		}
	return false;
}

static void add_term(struct ice_rest_filter *filter, struct node *leaf, enum expr_op op,
	const struct expr_value *values, uint32_t count)
{
	struct expr_term *terms = weir_arena_calloc(filter->arena, leaf->terms.term_count + 1, sizeof *terms);
	if (leaf->terms.term_count > 0)
		memcpy(terms, leaf->terms.terms, leaf->terms.term_count * sizeof *terms);
	terms[leaf->terms.term_count] = (struct expr_term){leaf->field->id, op, values, count};
	leaf->terms = (struct expr_filter){terms, leaf->terms.term_count + 1};
}

static void set_terms(struct ice_rest_filter *filter, struct node *leaf)
{
	const struct predicate_kind *kind = &kinds[leaf->predicate];
	struct expr_value *after;
	bool differs = leaf->predicate == P_NE || leaf->predicate == P_NOT_IN;
	if (differs && (leaf->field->type == WEIR_FLOAT || leaf->field->type == WEIR_DOUBLE))
		return; /* NaN differs from everything, and is in no bound */
	if (kind->op >= 0) {
		add_term(filter, leaf, (enum expr_op)kind->op, leaf->values, leaf->value_count);
		leaf->takes_nulls = differs;
	} else if (leaf->predicate == P_STARTS) {
		add_term(filter, leaf, EXPR_GE, leaf->values, 1);
		after = weir_arena_zalloc(filter->arena, sizeof *after);
		after->kind = EXPR_TEXT;
		if (after_prefix(filter->arena, leaf->values[0].u.text, &after->u.text))
			add_term(filter, leaf, EXPR_LT, after, 1);
	}
}

static const struct predicate_kind *find_kind(struct weir_str name)
{
	for (size_t i = 0; i < PREDICATES; i++)
		if (weir_str_is(name, kinds[i].name))
			return &kinds[i];
	return NULL;
}

static bool is_literal(const json_t *json)
{
	return !json_is_object(json) || weir_str_is(ice_rest_text(json, "type"), "literal");
}

/* The column that an operand names: a text, or a reference by name or id. *ret_field NULL: it is computed. */
static int operand_field(const struct ice_rest_filter *filter, const json_t *operand,
	const struct weir_field **ret_field, struct weir_error *err)
{
	struct weir_str type = ice_rest_text(operand, "type"), name = {0};
	*ret_field = NULL;
	if (json_is_string(operand))
		name = (struct weir_str){json_string_value(operand), json_string_length(operand)};
	else if (!json_is_object(operand))
		return weir_fail(err, WEIR_E_INPUT, "the filter has a predicate without a column");
	else if (!weir_str_is(type, "reference"))
		return 0;
	else if (json_is_string(json_object_get(operand, "name")))
		name = ice_rest_text(operand, "name");
	else if (json_is_string(json_object_get(operand, "term")))
		name = ice_rest_text(operand, "term");
	else
		*ret_field = ice_schema_field(filter->schema, (int32_t)ice_rest_int(operand, "id", 0));
	if (name.data != NULL)
		*ret_field = ice_rest_field(filter->schema, name, filter->case_sensitive);
	return *ret_field != NULL ? 0
				  : weir_fail(err, WEIR_E_INPUT, "Cannot find field '%.*s' of the filter in the schema",
					    name.size < 200 ? (int)name.size : 200, name.data != NULL ? name.data : "");
}

/* Where the predicate's literals are: *ret_values is an array, or one literal, or NULL. */
static int leaf_parts(const json_t *json, enum predicate *predicate, const json_t **ret_operand,
	const json_t **ret_values, struct weir_error *err)
{
	const json_t *left = json_object_get(json, "left"), *right = json_object_get(json, "right");
	const json_t *term = json_object_get(json, "term");
	*ret_values = NULL;
	*ret_operand = term != NULL ? term : json_object_get(json, "child");
	if (*predicate >= P_NULL && *predicate <= P_NOT_NULL)
		return 0;
	if (*predicate == P_NAN || *predicate == P_NOT_NAN)
		return 0;
	if (*predicate == P_IN || *predicate == P_NOT_IN) {
		*ret_values = json_object_get(json, "values");
		if (json_is_object(*ret_values))
			*ret_values = json_object_get(*ret_values, "values");
		return json_is_array(*ret_values)
			? 0
			: weir_fail(err, WEIR_E_INPUT, "the filter has an '%s' without an array of values",
				  kinds[*predicate].name);
	}
	if (term != NULL) {
		*ret_values = json_object_get(json, "value");
	} else {
		bool flipped = left != NULL && is_literal(left) && right != NULL && !is_literal(right) &&
			kinds[*predicate].flipped != PREDICATES;
		if (flipped)
			*predicate = kinds[*predicate].flipped;
		*ret_operand = flipped ? right : left;
		*ret_values = flipped ? left : right;
	}
	if (*ret_values == NULL || json_is_array(*ret_values) || json_is_null(*ret_values))
		return weir_fail(err, WEIR_E_INPUT, "the filter has an '%s' without a value", kinds[*predicate].name);
	return 0;
}

/* False where one of them is not a value of the column's type. */
static bool set_values(struct ice_rest_filter *filter, struct node *leaf, const json_t *values)
{
	size_t count = values == NULL ? 0 : json_is_array(values) ? json_array_size(values) : 1;
	leaf->values = weir_arena_calloc(filter->arena, count > 0 ? count : 1, sizeof *leaf->values);
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_is_array(values) ? json_array_get(values, i) : values;
		if ((json_is_object(value) && !is_literal(value)) ||
			!literal_value(filter->arena, leaf->field, value, &leaf->values[i]))
			return false;
	}
	leaf->value_count = (uint32_t)count;
	if (leaf->predicate == P_IN || leaf->predicate == P_NOT_IN)
		expr_values_sort(leaf->values, leaf->value_count);
	bool prefix = leaf->predicate == P_STARTS || leaf->predicate == P_NOT_STARTS;
	return !prefix || (leaf->field->type == WEIR_STRING && leaf->values[0].kind == EXPR_TEXT);
}

static int build_leaf(struct ice_rest_filter *filter, const json_t *json, enum predicate predicate, bool negated,
	struct node **ret_node, struct weir_error *err)
{
	struct node *leaf = node_new(filter, NODE_LEAF);
	const json_t *operand, *values;
	const struct weir_field *field;
	if (negated)
		predicate = kinds[predicate].negation;
	leaf->json = json_copy((json_t *)(uintptr_t)json);
	json_array_append_new(filter->owned, leaf->json);
	json_object_set_new(leaf->json, "type", json_string(kinds[predicate].name));
	int code = leaf_parts(json, &predicate, &operand, &values, err);
	if (code == 0)
		code = operand_field(filter, operand, &field, err);
	if (code != 0)
		return code;
	leaf->predicate = predicate;
	leaf->field = field;
	*ret_node = leaf;
	if (json_is_array(values) && json_array_size(values) == 0)
		*ret_node = node_new(filter, predicate == P_IN ? NODE_FALSE : NODE_TRUE);
	else if (field != NULL && set_values(filter, leaf, values))
		set_terms(filter, leaf);
	else
		leaf->field = NULL;
	return 0;
}

static int build(struct ice_rest_filter *filter, const json_t *json, bool negated, unsigned depth,
	struct node **ret_node, struct weir_error *err)
{
	struct weir_str type = ice_rest_text(json, "type");
	if (depth > ICE_REST_FILTER_DEPTH)
		return weir_fail(err, WEIR_E_INPUT, "the filter is nested deeper than %d", ICE_REST_FILTER_DEPTH);
	if (json_is_boolean(json) || weir_str_is(type, "true") || weir_str_is(type, "false")) {
		bool value = json_is_true(json) || weir_str_is(type, "true");
		*ret_node = node_new(filter, value != negated ? NODE_TRUE : NODE_FALSE);
		return 0;
	}
	if (weir_str_is(type, "not"))
		return build(filter, json_object_get(json, "child"), !negated, depth + 1, ret_node, err);
	if (weir_str_is(type, "and") || weir_str_is(type, "or")) {
		struct node *left = NULL, *right = NULL;
		enum node_kind kind = weir_str_is(type, "and") != negated ? NODE_AND : NODE_OR;
		int code = build(filter, json_object_get(json, "left"), negated, depth + 1, &left, err);
		if (code == 0)
			code = build(filter, json_object_get(json, "right"), negated, depth + 1, &right, err);
		if (code == 0)
			*ret_node = join(filter, kind, left, right);
		return code;
	}
	const struct predicate_kind *kind = find_kind(type);
	if (kind == NULL)
		return weir_fail(err, WEIR_E_INPUT, "the filter has a predicate of type '%.*s', which is none",
			type.size < 60 ? (int)type.size : 60, type.data != NULL ? type.data : "");
	return build_leaf(filter, json, (enum predicate)(kind - kinds), negated, ret_node, err);
}

/* ---- what every row fulfils, and matchers for the rest ---- */

static void collect(struct ice_rest_filter *filter, const struct node *node, struct expr_term **terms, uint32_t *count,
	uint32_t *capacity)
{
	if (node->kind == NODE_AND) {
		collect(filter, node->left, terms, count, capacity);
		collect(filter, node->right, terms, count, capacity);
	} else if (node->kind != NODE_LEAF || node->takes_nulls) {
		filter->looks_at_files = filter->looks_at_files || node->kind != NODE_TRUE;
	} else {
		for (uint32_t i = 0; i < node->terms.term_count; i++) {
			WEIR_GROW(*terms, *count, *capacity);
			(*terms)[(*count)++] = node->terms.terms[i];
		}
	}
}

static void make_matchers(struct ice_rest_filter *filter, struct node *node)
{
	if (node->kind == NODE_AND || node->kind == NODE_OR) {
		make_matchers(filter, node->left);
		make_matchers(filter, node->right);
		return;
	}
	if (node->kind != NODE_LEAF || node->terms.term_count == 0)
		return;
	node->matcher = ice_matcher_new(filter->arena, filter->table, &node->terms);
	if (node->takes_nulls) {
		struct expr_term *is_null = weir_arena_zalloc(filter->arena, sizeof *is_null);
		struct expr_filter *nulls = weir_arena_zalloc(filter->arena, sizeof *nulls);
		*is_null = (struct expr_term){.field_id = node->field->id, .op = EXPR_IS_NULL};
		*nulls = (struct expr_filter){is_null, 1};
		node->null_matcher = ice_matcher_new(filter->arena, filter->table, nulls);
	}
}

static bool may_match(const struct node *node, const struct ice_data_file *file)
{
	switch (node->kind) {
	case NODE_FALSE:
		return false;
	case NODE_AND:
		return may_match(node->left, file) && may_match(node->right, file);
	case NODE_OR:
		return may_match(node->left, file) || may_match(node->right, file);
	case NODE_LEAF:
		return node->matcher == NULL || ice_matcher_file(node->matcher, file) ||
			(node->null_matcher != NULL && ice_matcher_file(node->null_matcher, file));
	default:
		return true;
	}
}

bool ice_rest_filter_may_match(const struct ice_rest_filter *filter, const struct ice_data_file *file)
{
	return !filter->looks_at_files || may_match(filter->root, file);
}

/* ---- residuals ---- */

static bool keeps_order(enum ice_transform_kind kind)
{
	return kind == ICE_TRUNCATE || kind == ICE_YEAR || kind == ICE_MONTH || kind == ICE_DAY || kind == ICE_HOUR;
}

/* Literals of another kind than the column's cannot be transformed. */
static bool transforms(const struct weir_field *field, const struct expr_value *value)
{
	bool is_number = field->type == WEIR_FLOAT || field->type == WEIR_DOUBLE;
	return (value->kind == EXPR_INTEGER && !is_number && !weir_type_is_text(field->type) &&
		       field->type != WEIR_DECIMAL) ||
		(value->kind == EXPR_TEXT && weir_type_is_text(field->type)) ||
		(value->kind == EXPR_UUID && field->type == WEIR_UUID);
}

static void make_image(struct ice_rest_filter *filter, const struct node *leaf, const struct ice_partition_field *field,
	uint32_t index, struct image *ret)
{
	*ret = (struct image){.index = index, .transform = field->transform};
	ret->usable = field->transform.kind != ICE_VOID && field->transform.kind != ICE_UNKNOWN_TRANSFORM &&
		field->sources.size == 0;
	if (!ret->usable || field->transform.kind == ICE_IDENTITY)
		return;
	ret->values =
		weir_arena_calloc(filter->arena, leaf->value_count > 0 ? leaf->value_count : 1, sizeof *ret->values);
	for (uint32_t i = 0; i < leaf->value_count; i++) {
		ret->values[i].is_null = true;
		if (transforms(leaf->field, &leaf->values[i]))
			ret->values[i] = ice_transform_value(field->transform, leaf->field->type, &leaf->values[i]);
		ret->usable = ret->usable && !ret->values[i].is_null;
	}
}

/* Images lie spec after spec; the specs' fields are counted up to find one. */
static void make_images(struct ice_rest_filter *filter, struct node *node)
{
	const struct ice_metadata *metadata = filter->metadata;
	uint32_t total = 0;
	if (node->kind == NODE_AND || node->kind == NODE_OR) {
		make_images(filter, node->left);
		make_images(filter, node->right);
		return;
	}
	if (node->kind != NODE_LEAF || node->field == NULL)
		return;
	for (uint32_t i = 0; i < metadata->spec_count; i++)
		total += metadata->specs[i].field_count;
	node->images = weir_arena_calloc(filter->arena, total > 0 ? total : 1, sizeof *node->images);
	for (uint32_t i = 0, at = 0; i < metadata->spec_count; i++)
		for (uint32_t j = 0; j < metadata->specs[i].field_count; j++, at++)
			if (metadata->specs[i].fields[j].source_id == node->field->id)
				make_image(filter, node, &metadata->specs[i].fields[j], j, &node->images[at]);
}

/* What a null in the partition says: the column is null in all its rows. */
static enum expr_truth truth_of_null(enum predicate predicate)
{
	switch (predicate) {
	case P_NE:
	case P_NOT_IN:
	case P_NULL:
	case P_NOT_STARTS:
		return EXPR_TRUE;
	case P_NAN:
	case P_NOT_NAN:
		return EXPR_UNKNOWN;
	default:
		return EXPR_FALSE;
	}
}

static enum expr_truth truth(bool known, bool value)
{
	return !known ? EXPR_UNKNOWN : value ? EXPR_TRUE : EXPR_FALSE;
}

static enum expr_truth truth_of_identity(const struct node *leaf, const struct expr_value *value)
{
	const struct predicate_kind *kind = &kinds[leaf->predicate];
	if (kind->op >= 0) {
		struct expr_term term = {leaf->field->id, (enum expr_op)kind->op, leaf->values, leaf->value_count};
		return expr_term_value(&term, value);
	}
	bool text = value->kind == EXPR_TEXT;
	switch (leaf->predicate) {
	case P_STARTS:
		return truth(text, text && weir_str_has_prefix(value->u.text, leaf->values[0].u.text));
	case P_NOT_STARTS:
		return truth(text, text && !weir_str_has_prefix(value->u.text, leaf->values[0].u.text));
	case P_NAN:
	case P_NOT_NAN:
		return truth(
			true, (value->kind == EXPR_NUMBER && isnan(value->u.number)) == (leaf->predicate == P_NAN));
	default:
		return EXPR_UNKNOWN;
	}
}

/* The transforms are monotone, or (bucket) at least functions: what differs after them differed before. */
static enum expr_truth truth_of_image(
	const struct node *leaf, const struct image *image, const struct expr_value *value)
{
	bool ordered = keeps_order(image->transform.kind), differs = true;
	int order = 0;
	for (uint32_t i = 0; i < leaf->value_count; i++) {
		if (!expr_compare(value, &image->values[i].value, &order))
			return EXPR_UNKNOWN;
		differs = differs && order != 0;
	}
	switch (leaf->predicate) {
	case P_EQ:
	case P_IN:
		return truth(differs, false);
	case P_NE:
	case P_NOT_IN:
		return truth(differs, true);
	case P_LT:
	case P_LE:
		return truth(ordered && differs, order < 0);
	case P_GT:
	case P_GE:
		return truth(ordered && differs, order > 0);
	default:
		return EXPR_UNKNOWN;
	}
}

static enum expr_truth truth_of_leaf(
	const struct ice_rest_filter *filter, const struct node *leaf, const struct ice_data_file *file)
{
	const struct ice_metadata *metadata = filter->metadata;
	const struct image *images = leaf->images;
	uint32_t spec = 0;
	if (images == NULL)
		return EXPR_UNKNOWN;
	for (; spec < metadata->spec_count && metadata->specs[spec].id != file->spec_id; spec++)
		images += metadata->specs[spec].field_count;
	for (uint32_t i = 0; spec < metadata->spec_count && i < metadata->specs[spec].field_count; i++) {
		if (!images[i].usable || images[i].index >= file->partition_count)
			continue;
		const struct ice_partition_value *value = &file->partition[images[i].index];
		enum expr_truth is = EXPR_UNKNOWN;
		if (value->is_null)
			is = truth_of_null(leaf->predicate);
		else if (leaf->predicate == P_NULL || leaf->predicate == P_NOT_NULL)
			is = truth(true, leaf->predicate == P_NOT_NULL);
		else if (images[i].transform.kind == ICE_IDENTITY)
			is = truth_of_identity(leaf, &value->value);
		else
			is = truth_of_image(leaf, &images[i], &value->value);
		if (is != EXPR_UNKNOWN)
			return is;
	}
	return EXPR_UNKNOWN;
}

static json_t *residual(const struct ice_rest_filter *filter, const struct node *node, const struct ice_data_file *file)
{
	enum expr_truth is;
	switch (node->kind) {
	case NODE_FALSE:
		return json_false();
	case NODE_TRUE:
		return json_true();
	case NODE_LEAF:
		is = truth_of_leaf(filter, node, file);
		return is == EXPR_UNKNOWN ? json_incref(node->json) : json_boolean(is == EXPR_TRUE);
	default:
		break;
	}
	bool both = node->kind == NODE_AND;
	json_t *left = residual(filter, node->left, file), *right = residual(filter, node->right, file);
	json_t *one = json_is_boolean(left) ? left : json_is_boolean(right) ? right : NULL;
	if (one == NULL)
		return json_pack("{s:s,s:o,s:o}", "type", both ? "and" : "or", "left", left, "right", right);
	json_t *other = one == left ? right : left;
	bool other_decides = json_is_true(one) == both;
	json_decref(other_decides ? one : other);
	return other_decides ? other : one;
}

json_t *ice_rest_filter_residual(const struct ice_rest_filter *filter, const struct ice_data_file *file)
{
	return residual(filter, filter->root, file);
}

/* ---- the filter ---- */

int ice_rest_filter_new(struct ice_table *table, const struct weir_schema *schema, const json_t *expression,
	bool case_sensitive, struct ice_rest_filter **ret_filter, struct weir_error *err)
{
	struct ice_rest_filter *filter = weir_zalloc(sizeof *filter);
	struct expr_term *terms = NULL;
	uint32_t count = 0, capacity = 0;
	int code = 0;
	filter->arena = weir_arena_new(0);
	filter->owned = json_array();
	filter->table = table;
	filter->metadata = ice_table_metadata(table);
	filter->schema = schema;
	filter->case_sensitive = case_sensitive;
	if (expression == NULL)
		filter->root = node_new(filter, NODE_TRUE);
	else
		code = build(filter, expression, false, 0, &filter->root, err);
	if (code != 0) {
		ice_rest_filter_free(filter);
		return code;
	}
	collect(filter, filter->root, &terms, &count, &capacity);
	filter->terms.terms = weir_arena_copy(filter->arena, terms, count * sizeof *terms);
	filter->terms.term_count = count;
	free(terms);
	if (filter->looks_at_files)
		make_matchers(filter, filter->root);
	make_images(filter, filter->root);
	*ret_filter = filter;
	return 0;
}

void ice_rest_filter_free(struct ice_rest_filter *filter)
{
	if (filter == NULL)
		return;
	json_decref(filter->owned);
	weir_arena_free(filter->arena);
	free(filter);
}

bool ice_rest_filter_is_true(const struct ice_rest_filter *filter)
{
	return filter->root->kind == NODE_TRUE;
}

const struct expr_filter *ice_rest_filter_terms(const struct ice_rest_filter *filter)
{
	return &filter->terms;
}
