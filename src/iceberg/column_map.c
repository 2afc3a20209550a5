/*
 * How the columns of a projection come out of one data file (table specification, "Column Projection"): by field id; in
 * files without ids by the table's name mapping, else by name; what the file lacks comes from an identity partition
 * value, else from the field's initial default, else it is null. Row lineage and the row's place are made here.
 */
#include <jansson.h>
#include <stdlib.h>

#include "iceberg/internal.h"

enum source_kind { FROM_FILE, FROM_VALUE, FROM_DEFAULT, FROM_PLACE };

struct ice_column_source {
	enum source_kind kind;
	uint32_t index;          /* in the schema that is read: FROM_FILE, and FROM_PLACE where has_index */
	bool has_index, patched; /* patched: a nested field is missing that has a default */
	bool has_value;
	struct expr_value value; /* FROM_VALUE */
	const struct weir_field *in_file;
};

struct mapper {
	struct weir_arena *arena;
	bool by_name;
};

/* ---- files without field ids ---- */

static bool has_ids(const struct weir_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (fields[i].id != 0 || has_ids(fields[i].children, fields[i].child_count))
			return true;
	return false;
}

/* The mapping of a name in one level of a name mapping; NULL where it has none. */
static const json_t *mapping_of(const json_t *level, struct weir_str name)
{
	size_t i, j;
	const json_t *item, *text;
	json_array_foreach((json_t *)(uintptr_t)level, i, item)
	{
		const json_t *names = json_object_get(item, "names");
		json_array_foreach((json_t *)(uintptr_t)names, j, text)
		{
			struct weir_str known = {json_string_value(text), json_string_length(text)};
			if (json_is_string(text) && weir_str_equal(known, name))
				return item;
		}
	}
	return NULL;
}

static void set_ids(const json_t *level, struct weir_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const json_t *item = mapping_of(level, fields[i].name);
		fields[i].id = (int32_t)json_integer_value(json_object_get(item, "field-id"));
		set_ids(json_object_get(item, "fields"), fields[i].children, fields[i].child_count);
	}
}

/* The file's schema with ids by the table's name mapping; as it is where the file has ids or the table no mapping. */
static int identify(struct mapper *mapper, struct ice_table *table, const struct weir_schema *file,
	const struct weir_schema **ret_schema, struct weir_error *err)
{
	json_error_t problem;
	struct weir_str mapping = ice_property(table->metadata, "schema.name-mapping.default");
	*ret_schema = file;
	if (has_ids(file->fields, file->field_count))
		return 0;
	if (mapping.size == 0) {
		mapper->by_name = true;
		return 0;
	}
	json_t *json = json_loadb(mapping.data, mapping.size, 0, &problem);
	if (!json_is_array(json)) {
		json_decref(json);
		return weir_fail_at(err, WEIR_E_CORRUPT, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"the table's property schema.name-mapping.default is not a name mapping");
	}
	struct weir_schema *copy = weir_schema_copy(mapper->arena, file);
	set_ids(json, copy->fields, copy->field_count);
	json_decref(json);
	*ret_schema = copy;
	return 0;
}

static const struct weir_field *find(
	const struct mapper *mapper, const struct weir_field *wanted, const struct weir_field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count && !wanted->unknown; i++) /* unknown is null whatever a file says */
		if (mapper->by_name ? weir_str_equal(fields[i].name, wanted->name)
				    : fields[i].id == wanted->id && wanted->id != 0)
			return &fields[i];
	return NULL;
}

/* The child of a file's field that a child of a wanted field is read from. */
static const struct weir_field *child_of(
	const struct mapper *mapper, const struct weir_field *wanted, uint32_t child, const struct weir_field *in_file)
{
	if (wanted->type != WEIR_STRUCT)
		return child < in_file->child_count ? &in_file->children[child] : NULL;
	return find(mapper, &wanted->children[child], in_file->children, in_file->child_count);
}

/* What to ask the file for: the wanted field under the file's names. Missing children get a name that no file has. */
static void ask(const struct mapper *mapper, const struct weir_field *wanted, const struct weir_field *in_file,
	struct weir_field *ret_field, bool *ret_patched)
{
	*ret_field = *wanted;
	ret_field->name = in_file != NULL ? in_file->name : WEIR_STR("");
	if (in_file == NULL) {
		*ret_patched = *ret_patched || wanted->initial_default.size > 0;
		return;
	}
	ret_field->children = weir_arena_calloc(mapper->arena, wanted->child_count, sizeof *ret_field->children);
	for (uint32_t i = 0; i < wanted->child_count; i++)
		ask(mapper, &wanted->children[i], child_of(mapper, wanted, i, in_file), &ret_field->children[i],
			ret_patched);
}

/* ---- making the map ---- */

static bool identity_value(const struct ice_metadata *metadata, const struct ice_data_file *file, int32_t field_id,
	struct ice_column_source *source)
{
	const struct ice_spec *spec = ice_metadata_spec(metadata, file->spec_id);
	for (uint32_t i = 0; spec != NULL && i < spec->field_count && i < file->partition_count; i++)
		if (spec->fields[i].source_id == field_id && spec->fields[i].transform.kind == ICE_IDENTITY) {
			source->kind = FROM_VALUE;
			source->has_value = !file->partition[i].is_null;
			source->value = file->partition[i].value;
			return true;
		}
	return false;
}

static bool is_place(int32_t field_id)
{
	return field_id == ICE_FIELD_ROW_ID || field_id == ICE_FIELD_ROW_SEQUENCE || field_id == ICE_FIELD_POSITION ||
		field_id == ICE_FIELD_PATH;
}

/* Terms on columns that the file has as they are asked for: of others its statistics know nothing, or the wrong thing. */
static void keep_terms(struct weir_arena *arena, const struct mapper *mapper, const struct ice_table *table,
	const struct expr_filter *filter, const struct ice_column_map *map, struct expr_filter *ret_filter)
{
	uint32_t count = 0;
	struct expr_term *terms = weir_arena_calloc(arena, filter != NULL ? filter->term_count : 0, sizeof *terms);
	bool own_ids = !mapper->by_name && has_ids(map->file->fields, map->file->field_count);
	for (uint32_t i = 0; filter != NULL && own_ids && i < filter->term_count; i++) {
		uint32_t in_file = weir_schema_find_id(map->file, filter->terms[i].field_id);
		uint32_t wanted = weir_schema_find_id(map->wanted, filter->terms[i].field_id);
		if (in_file == WEIR_NO_FIELD ||
			(wanted != WEIR_NO_FIELD && weir_type_width(map->wanted->fields[wanted].type) == 8 &&
				map->wanted->fields[wanted].type >= WEIR_TIMESTAMP_NS))
			continue;
		const struct weir_field *field = ice_metadata_field(table->metadata, filter->terms[i].field_id);
		if (map->file->fields[in_file].type == WEIR_DATE && field != NULL && field->type != WEIR_DATE)
			continue; /* the file's bounds are days, the term's values are not */
		terms[count++] = filter->terms[i];
	}
	*ret_filter = (struct expr_filter){terms, count};
}

static void map_column(struct mapper *mapper, struct ice_table *table, struct ice_column_map *map, uint32_t column)
{
	const struct weir_field *wanted = &map->wanted->fields[column];
	const struct weir_field *in_file = find(mapper, wanted, map->file->fields, map->file->field_count);
	struct ice_column_source *source = &map->columns[column];
	*source = (struct ice_column_source){.kind = FROM_DEFAULT, .in_file = in_file};
	if (in_file != NULL) {
		source->kind = FROM_FILE;
		source->has_index = true;
		source->index = map->read.field_count;
		ask(mapper, wanted, in_file, &map->read.fields[map->read.field_count++], &source->patched);
	}
	if (is_place(wanted->id))
		source->kind = FROM_PLACE;
	else if (in_file == NULL && !identity_value(table->metadata, map->data_file, wanted->id, source))
		source->kind = FROM_DEFAULT;
	bool is_null = source->kind == FROM_DEFAULT && wanted->initial_default.size == 0;
	if (is_null) { /* the file's reader has nulls as well, and cheaper */
		source->kind = FROM_FILE;
		source->has_index = true;
		source->index = map->read.field_count;
		map->read.fields[map->read.field_count] = *wanted;
		map->read.fields[map->read.field_count++].name =
			mapper->by_name || !has_ids(map->file->fields, map->file->field_count) ? WEIR_STR("")
											       : wanted->name;
	}
	if (source->kind != FROM_FILE || source->patched)
		map->is_plain = false;
}

int ice_column_map_make(struct weir_arena *arena, struct ice_table *table, const struct ice_data_file *data_file,
	const struct weir_schema *file, const struct weir_schema *wanted, const struct expr_filter *filter,
	struct ice_column_map *ret_map, struct weir_error *err)
{
	struct mapper mapper = {.arena = arena};
	struct ice_column_map map = {.is_plain = true, .wanted = wanted, .data_file = data_file};
	int code = identify(&mapper, table, file, &map.file, err);
	if (code != 0)
		return code;
	map.columns = weir_arena_calloc(arena, wanted->field_count, sizeof *map.columns);
	map.read.id = wanted->id;
	map.read.fields = weir_arena_calloc(arena, wanted->field_count + 1, sizeof *map.read.fields);
	for (uint32_t i = 0; i < wanted->field_count; i++)
		map_column(&mapper, table, &map, i);
	if (map.read.field_count == 0 && file->field_count > 0) /* something that tells how many rows there are */
		map.read.fields[map.read.field_count++] = file->fields[0];
	keep_terms(arena, &mapper, table, filter, &map, &map.filter);
	*ret_map = map;
	return 0;
}

/* ---- applying it ---- */

/* Fills nested fields that the file lacks with their defaults. The column's own arrays are the batch's: copied first. */
static int patch(struct weir_arena *arena, const struct mapper *mapper, const struct weir_field *wanted,
	const struct weir_field *in_file, uint32_t rows, struct weir_column *column, struct weir_error *err)
{
	column->children = weir_arena_copy(arena, column->children, column->child_count * sizeof *column->children);
	uint32_t child_rows = wanted->type == WEIR_STRUCT ? rows : column->child_rows;
	for (uint32_t i = 0; i < wanted->child_count; i++) {
		const struct weir_field *child = child_of(mapper, wanted, i, in_file);
		int code = 0;
		if (child == NULL)
			code = ice_default_column(arena, &wanted->children[i], child_rows, &column->children[i], err);
		else if (wanted->children[i].child_count > 0)
			code = patch(arena, mapper, &wanted->children[i], child, child_rows, &column->children[i], err);
		if (code != 0)
			return code;
	}
	return 0;
}

/* Row id, sequence number, position or path: the file's own where it has one, else what the row inherits. */
static void place_column(const struct ice_column_map *map, struct weir_arena *arena, uint32_t index,
	const struct weir_batch *batch, uint64_t first_row, struct weir_column *ret_column)
{
	const struct weir_field *wanted = &map->wanted->fields[index];
	const struct ice_column_source *source = &map->columns[index];
	const struct ice_data_file *file = map->data_file;
	if (wanted->id == ICE_FIELD_PATH) {
		struct expr_value path = {.kind = EXPR_TEXT, .u.text = file->path};
		if (!ice_constant_column(arena, wanted, &path, batch->row_count, ret_column))
			ice_constant_column(arena, wanted, NULL, batch->row_count, ret_column);
		return;
	}
	const struct weir_column *own = source->has_index ? &batch->columns[source->index] : NULL;
	int64_t start = wanted->id == ICE_FIELD_ROW_ID ? file->first_row_id
		: wanted->id == ICE_FIELD_ROW_SEQUENCE ? file->sequence_number
						       : 0;
	bool counts = wanted->id != ICE_FIELD_ROW_SEQUENCE;
	if (file->first_row_id < 0 && wanted->id == ICE_FIELD_ROW_SEQUENCE)
		start = -1; /* lineage is of version 3 */
	ice_constant_column(arena, wanted, NULL, batch->row_count, ret_column);
	int64_t *values = ret_column->values;
	for (uint32_t i = 0; i < batch->row_count; i++) {
		bool has_own = own != NULL && weir_column_is_valid(own, i);
		if (!has_own && start < 0)
			continue;
		values[i] = has_own ? weir_column_i64(own, i) : start + (counts ? (int64_t)first_row + i : 0);
		ret_column->valid[i / 64] |= 1ULL << (i % 64);
	}
}

int ice_column_map_apply(const struct ice_column_map *map, struct weir_arena *arena, const struct weir_batch *batch,
	uint64_t first_row, struct weir_batch **ret_batch, struct weir_error *err)
{
	struct weir_batch *out = weir_arena_zalloc(arena, sizeof *out);
	struct mapper mapper = {.arena = arena, .by_name = !has_ids(map->file->fields, map->file->field_count)};
	out->schema = map->wanted;
	out->row_count = batch->row_count;
	out->columns = weir_arena_calloc(arena, map->wanted->field_count, sizeof *out->columns);
	int code = 0;
	for (uint32_t i = 0; i < map->wanted->field_count && code == 0; i++) {
		const struct ice_column_source *source = &map->columns[i];
		const struct weir_field *wanted = &map->wanted->fields[i];
		switch (source->kind) {
		case FROM_FILE:
			out->columns[i] = batch->columns[source->index];
			if (source->patched)
				code = patch(arena, &mapper, wanted, source->in_file, batch->row_count,
					&out->columns[i], err);
			break;
		case FROM_VALUE:
			if (!ice_constant_column(arena, wanted, source->has_value ? &source->value : NULL,
				    batch->row_count, &out->columns[i]))
				code = weir_fail_at(err, WEIR_E_CORRUPT, map->data_file->path, WEIR_ERROR_NO_OFFSET,
					"the partition value of column '%.*s' is not of its type",
					WEIR_STR_ARG(wanted->name));
			break;
		case FROM_DEFAULT:
			code = ice_default_column(arena, wanted, batch->row_count, &out->columns[i], err);
			break;
		case FROM_PLACE:
			place_column(map, arena, i, batch, first_row, &out->columns[i]);
			break;
		}
	}
	*ret_batch = out;
	return code;
}
