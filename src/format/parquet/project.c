/*
 * What is wanted, matched with what a file has: by field id, in files without field ids by name; types
 * that widen (int to long, float to double, a decimal to more digits of the same scale, a date to a zoneless timestamp).
 */
#include "format/parquet/read_int.h"

struct projector {
	const struct pq_file *file;
	struct weir_arena *arena;
	bool by_name;
	bool *needed;
	struct weir_error *err;
};

static bool has_ids(const struct weir_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (fields[i].id != 0 || has_ids(fields[i].children, fields[i].child_count))
			return true;
	return false;
}

static const struct pq_node *find(
	const struct projector *projector, const struct weir_field *wanted, const struct pq_node *nodes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct weir_field *field = nodes[i].field;
		if (projector->by_name || wanted->id == 0 ? weir_str_equal(field->name, wanted->name)
							  : field->id == wanted->id)
			return &nodes[i];
	}
	return NULL;
}

static bool same_shape(const struct weir_field *wanted, const struct weir_field *field)
{
	if (wanted->type == WEIR_DECIMAL)
		return wanted->scale == field->scale && wanted->precision >= field->precision;
	return wanted->type != WEIR_FIXED || wanted->fixed_size == field->fixed_size;
}

static bool is_micros(enum weir_type type)
{
	return type == WEIR_TIMESTAMP || type == WEIR_TIMESTAMPTZ;
}

static bool is_nanos(enum weir_type type)
{
	return type == WEIR_TIMESTAMP_NS || type == WEIR_TIMESTAMPTZ_NS;
}

/* How a column of the file becomes one of the wanted type; false where it cannot. */
static bool choose_convert(const struct weir_field *wanted, const struct pq_node *node, enum pq_convert *ret_convert)
{
	enum weir_type to = wanted->type, from = node->field->type;
	*ret_convert = node->convert;
	if (to == from)
		return same_shape(wanted, node->field);
	if (is_micros(to) && is_micros(from)) /* zoneless and INT96 timestamps are taken for UTC */
		return true;
	if (is_nanos(to) && is_micros(from) && node->physical == PQ_INT64) { /* the node says what the file's unit is */
		*ret_convert = node->convert == PQ_I64_OVER_1000 ? PQ_AS_IS : PQ_I64_TIMES_1000;
		return node->convert == PQ_I64_OVER_1000 || node->convert == PQ_AS_IS;
	}
	if (to == WEIR_INT64 && from == WEIR_INT32) {
		*ret_convert = PQ_I32_I64;
		return true;
	}
	if ((to == WEIR_TIMESTAMP || to == WEIR_TIMESTAMP_NS) && from == WEIR_DATE) {
		*ret_convert = to == WEIR_TIMESTAMP ? PQ_DAYS_MICROS : PQ_DAYS_NANOS;
		return true;
	}
	if (to == WEIR_DOUBLE && from == WEIR_FLOAT) {
		*ret_convert = node->convert == PQ_F16_F32 ? PQ_F16_F64 : PQ_F32_F64;
		return true;
	}
	if (node->convert == PQ_BYTES_VIEW && to == WEIR_UUID && node->type_length == 16) {
		*ret_convert = PQ_BYTES_UUID;
		return from == WEIR_FIXED;
	}
	if (from == WEIR_UUID && (to == WEIR_BINARY || (to == WEIR_FIXED && wanted->fixed_size == 16))) {
		*ret_convert = PQ_BYTES_VIEW;
		return true;
	}
	/* Text that its writer did not call text, and bytes of any kind as binary. */
	return node->convert == PQ_BYTES_VIEW && (to == WEIR_BINARY || (to == WEIR_STRING && from == WEIR_BINARY));
}

static int cannot(const struct projector *projector, const struct weir_field *wanted, const struct pq_node *node)
{
	char to[128], from[128];
	return weir_fail_at(projector->err, node->unsupported != NULL ? WEIR_E_UNSUPPORTED : WEIR_E_INPUT,
		projector->file->source.name, WEIR_ERROR_NO_OFFSET, "column '%.*s' is %s and cannot be read as %s",
		WEIR_STR_ARG(node->field->name),
		node->unsupported != NULL ? node->unsupported : weir_type_name(node->field, from, sizeof from),
		weir_type_name(wanted, to, sizeof to));
}

static int project(const struct projector *projector, const struct weir_field *wanted, const struct pq_node *node,
	struct pq_target *target)
{
	*target = (struct pq_target){.field = wanted, .node = node};
	if (node == NULL)
		return 0;
	if (node->unsupported != NULL)
		return cannot(projector, wanted, node);
	if (!weir_type_is_nested(wanted->type)) {
		if (weir_type_is_nested(node->field->type) || !choose_convert(wanted, node, &target->convert))
			return cannot(projector, wanted, node);
		projector->needed[node->leaf] = true;
		return 0;
	}
	if (wanted->type != node->field->type ||
		(wanted->type != WEIR_STRUCT && wanted->child_count != node->field->child_count))
		return cannot(projector, wanted, node);
	projector->needed[node->first_leaf] = true; /* its levels say what the group looks like */
	target->children = weir_arena_calloc(projector->arena, wanted->child_count, sizeof *target->children);
	for (uint32_t i = 0; i < wanted->child_count; i++) {
		const struct pq_node *child = wanted->type == WEIR_STRUCT
			? find(projector, &wanted->children[i], node->children, node->field->child_count)
			: &node->children[i];
		int code = project(projector, &wanted->children[i], child, &target->children[i]);
		if (code != 0)
			return code;
	}
	return 0;
}

int pq_project(const struct pq_file *file, const struct weir_schema *schema, struct weir_arena *arena,
	struct pq_target **ret_targets, bool *ret_needed, struct weir_error *err)
{
	const struct weir_schema *own = file->tree.schema;
	struct projector projector = {file, arena, !has_ids(own->fields, own->field_count), ret_needed, err};
	struct pq_target *targets = weir_arena_calloc(arena, schema->field_count, sizeof *targets);
	*ret_targets = targets;
	for (uint32_t i = 0; i < schema->field_count; i++) {
		const struct pq_node *node = schema == own
			? &file->tree.nodes[i]
			: find(&projector, &schema->fields[i], file->tree.nodes, own->field_count);
		int code = project(&projector, &schema->fields[i], node, &targets[i]);
		if (code != 0)
			return code;
	}
	return 0;
}
