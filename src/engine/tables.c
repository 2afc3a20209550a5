/* Tables from the lake's description: schemas by the transforms' output, partition specs, properties. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine_int.h"
#include "stream/stream.h"

#define EXTRA_COLUMNS 3

struct schema_builder {
	struct weir_arena *arena;
	struct weir_schema *schema;
	int32_t last_id;
};

static struct schema_builder schema_new(struct weir_arena *arena, uint32_t capacity)
{
	struct schema_builder builder = {.arena = arena, .schema = weir_arena_zalloc(arena, sizeof *builder.schema)};
	builder.schema->fields = weir_arena_calloc(arena, capacity, sizeof *builder.schema->fields);
	return builder;
}

/* Ids in order, a map's key and value after the map itself. */
static void number_children(struct schema_builder *builder, struct weir_field *field)
{
	struct weir_field *children = weir_arena_calloc(builder->arena, field->child_count, sizeof *children);
	if (field->child_count > 0)
		memcpy(children, field->children, field->child_count * sizeof *children);
	field->children = children;
	for (uint32_t i = 0; i < field->child_count; i++) {
		children[i].id = ++builder->last_id;
		children[i].name = field->type == WEIR_MAP ? (i == 0 ? WEIR_STR("key") : WEIR_STR("value"))
			: field->type == WEIR_LIST         ? WEIR_STR("element")
							   : weir_arena_str(builder->arena, children[i].name);
		children[i].required = field->type == WEIR_MAP && i == 0;
		number_children(builder, &children[i]);
	}
}

static void add_field(struct schema_builder *builder, const struct weir_field *field, bool required)
{
	struct weir_field *to = &builder->schema->fields[builder->schema->field_count++];
	*to = *field;
	to->name = weir_arena_str(builder->arena, field->name);
	to->id = ++builder->last_id;
	to->required = required;
	number_children(builder, to);
}

static void add_column(struct schema_builder *builder, const char *name, enum weir_type type, bool required)
{
	struct weir_field field = {.name = weir_str_from(name), .type = type};
	add_field(builder, &field, required);
}

static struct weir_schema *raw_schema(struct weir_arena *arena, const struct weir_field *id)
{
	struct schema_builder builder = schema_new(arena, 9);
	add_field(&builder, id, true);
	add_column(&builder, "trace_id", WEIR_STRING, true);
	add_column(&builder, "received_at", WEIR_TIMESTAMPTZ, true);
	add_column(&builder, "channel", WEIR_STRING, true);
	add_column(&builder, "input", WEIR_STRING, false);
	add_column(&builder, "source_file", WEIR_STRING, false);
	add_column(&builder, "source_record", WEIR_INT64, false);
	add_column(&builder, "payload", WEIR_BINARY, true);
	add_column(&builder, "key_id", WEIR_STRING, false);
	return builder.schema;
}

static struct weir_schema *letters_schema(struct weir_arena *arena)
{
	struct schema_builder builder = schema_new(arena, 12);
	add_column(&builder, "trace_id", WEIR_STRING, true);
	add_column(&builder, "failed_at", WEIR_TIMESTAMPTZ, true);
	add_column(&builder, "stream", WEIR_STRING, true);
	add_column(&builder, "channel", WEIR_STRING, true);
	add_column(&builder, "error_type", WEIR_STRING, true);
	add_column(&builder, "field", WEIR_STRING, false);
	add_column(&builder, "message", WEIR_STRING, true);
	add_column(&builder, "source_file", WEIR_STRING, false);
	add_column(&builder, "source_record", WEIR_INT64, false);
	add_column(&builder, "payload", WEIR_BINARY, true);
	add_column(&builder, "key_id", WEIR_STRING, false);
	add_column(&builder, "replayed_at", WEIR_TIMESTAMPTZ, false);
	return builder.schema;
}

static struct weir_schema *audit_schema(struct weir_arena *arena)
{
	struct schema_builder builder = schema_new(arena, 10);
	add_column(&builder, "at", WEIR_TIMESTAMPTZ, true);
	add_column(&builder, "token", WEIR_STRING, true);
	add_column(&builder, "role", WEIR_STRING, true);
	add_column(&builder, "consumer", WEIR_STRING, false);
	add_column(&builder, "route", WEIR_STRING, true);
	add_column(&builder, "purpose", WEIR_STRING, false);
	add_column(&builder, "subject", WEIR_STRING, false);
	add_column(&builder, "rows", WEIR_INT64, true);
	add_column(&builder, "bytes", WEIR_INT64, true);
	add_column(&builder, "outcome", WEIR_STRING, true);
	return builder.schema;
}

/* The output of a table's SQL over a relation, with what weir adds. */
static int sql_schema(struct engine *engine, const struct lake_table *table, const char *relation,
	const struct weir_schema *input, struct weir_schema **ret_schema, struct weir_error *err)
{
	struct sql_transform *transform;
	char *name = weir_arena_cstr(engine->arena, table->sql_path);
	int status = sql_transform_new(engine->transforms, table->sql, name, relation, input, &transform, err);
	if (status != 0)
		return status;
	const struct weir_schema *output = sql_transform_schema(transform);
	struct schema_builder builder = schema_new(engine->arena, output->field_count + EXTRA_COLUMNS);
	for (uint32_t i = 0; i < output->field_count; i++)
		add_field(&builder, &output->fields[i], weir_str_is(output->fields[i].name, "trace_id"));
	if (table->kind == LAKE_GOLD) {
		add_column(&builder, "purpose", WEIR_STRING, true);
		add_column(&builder, "consent_lsn", WEIR_INT64, true);
		add_column(&builder, "consent_version", WEIR_INT32, false);
	}
	sql_transform_free(transform);
	*ret_schema = builder.schema;
	return 0;
}

static struct weir_schema *history_schema(struct weir_arena *arena, const struct weir_schema *gold)
{
	struct schema_builder builder = schema_new(arena, gold->field_count + EXTRA_COLUMNS);
	for (uint32_t i = 0; i < gold->field_count; i++)
		add_field(&builder, &gold->fields[i], gold->fields[i].required);
	add_column(&builder, "granted_lsn", WEIR_INT64, true);
	add_column(&builder, "revoked_lsn", WEIR_INT64, true);
	add_column(&builder, "revoked_at", WEIR_TIMESTAMPTZ, true);
	return builder.schema;
}

/* ---- partition specs ---- */

struct spec_builder {
	struct weir_arena *arena;
	const struct weir_schema *schema;
	struct ice_partition_field known[64]; /* equal source and transform share one id */
	uint32_t known_count;
};

static int add_partition(struct spec_builder *builder, const struct lake_partition *partition, struct weir_str where,
	struct ice_spec *spec, struct weir_error *err)
{
	uint32_t column = weir_schema_find(builder->schema, partition->column);
	struct ice_transform transform;
	if (column == WEIR_NO_FIELD)
		return weir_fail_at(err, WEIR_E_INPUT, where, WEIR_ERROR_NO_OFFSET,
			"there is no column %.*s to partition by", WEIR_STR_ARG(partition->column));
	int status = ice_transform_parse(partition->transform, &transform, err);
	if (status != 0)
		return status;
	int32_t source = builder->schema->fields[column].id;
	struct ice_partition_field *found = NULL;
	for (uint32_t i = 0; i < builder->known_count && found == NULL; i++)
		if (builder->known[i].source_id == source && builder->known[i].transform.kind == transform.kind &&
			builder->known[i].transform.parameter == transform.parameter)
			found = &builder->known[i];
	if (found == NULL) {
		WEIR_ASSERT(builder->known_count < 64);
		found = &builder->known[builder->known_count];
		char kind[32];
		const char *name = ice_transform_name(transform, kind, sizeof kind);
		for (char *bracket = kind; *bracket != '\0'; bracket++)
			if (*bracket == '[')
				*bracket = '\0';
		*found = (struct ice_partition_field){
			.source_id = source,
			.field_id = 1000 + (int32_t)builder->known_count,
			.transform = transform,
			.name = transform.kind == ICE_IDENTITY
				? weir_arena_str(builder->arena, partition->column)
				: weir_str_from(weir_arena_printf(
					  builder->arena, "%.*s_%s", WEIR_STR_ARG(partition->column), name)),
		};
		builder->known_count++;
	}
	spec->fields[spec->field_count++] = *found;
	return 0;
}

static int make_specs(struct spec_builder *builder, const struct lake_table *table, struct ice_spec *specs,
	uint32_t *ret_count, struct weir_error *err)
{
	int status = 0;
	struct weir_str where = weir_str_from(weir_arena_printf(
		builder->arena, "table %.*s.%.*s", WEIR_STR_ARG(table->ns), WEIR_STR_ARG(table->name)));
	specs[0] = (struct ice_spec){.id = 0};
	specs[0].fields = weir_arena_calloc(builder->arena, table->partition_count, sizeof *specs[0].fields);
	for (uint32_t i = 0; i < table->partition_count && status == 0; i++)
		status = add_partition(builder, &table->partition[i], where, &specs[0], err);
	*ret_count = 1;
	if (status != 0 || table->landing_count == 0)
		return status;
	specs[1] = (struct ice_spec){.id = 1};
	specs[1].fields = weir_arena_calloc(builder->arena, table->landing_count, sizeof *specs[1].fields);
	for (uint32_t i = 0; i < table->landing_count && status == 0; i++)
		status = add_partition(builder, &table->landing[i], where, &specs[1], err);
	*ret_count = 2;
	return status;
}

/* ---- making and loading ---- */

static int commit_new_table(struct engine *engine, const struct ice_definition *definition, struct weir_error *err)
{
	struct control_result result;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	struct control_value values[] = {CONTROL_T(definition->name.ns)};
	control_change_sql(change, "namespace", CONTROL_ANY,
		"INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value)"
		" VALUES ('weir', ?1, 'exists', 'true') ON CONFLICT DO NOTHING",
		values, 1);
	control_change_sql(change, "namespace", CONTROL_ANY,
		"INSERT INTO weir_owned (namespace) VALUES (?1) ON CONFLICT DO NOTHING", values, 1);
	int status =
		ice_table_create(engine->store, definition, weir_now_us(&engine->options.clock) / 1000, change, err);
	if (status == 0)
		status = control_commit(engine->control, change, &result, err);
	control_change_free(change);
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		return weir_fail(err, WEIR_E_CONFLICT, "%s was made by somebody else just now", result.conflict);
	return status;
}

static bool same_shape(const struct weir_schema *a, const struct weir_schema *b)
{
	if (a->field_count != b->field_count)
		return false;
	for (uint32_t i = 0; i < a->field_count; i++)
		if (!weir_str_equal(a->fields[i].name, b->fields[i].name) || a->fields[i].type != b->fields[i].type)
			return false;
	return true;
}

/* The description gained columns or a spec since the table was made. */
static int evolve(struct engine *engine, struct ice_table **table, const struct ice_definition *definition,
	struct weir_error *err)
{
	struct ice_prepared *prepared;
	struct control_result result;
	char prefix[32];
	int status = ice_reserve_prefix(engine->control, weir_now_us(&engine->options.clock), prefix, err);
	if (status == 0)
		status = ice_evolve(*table, definition, weir_str_from(prefix),
			weir_now_us(&engine->options.clock) / 1000, &prepared, err);
	if (status != 0)
		return status;
	struct control_change *change = control_change_new(CONTROL_EPOCH);
	ice_stage(prepared, change);
	ice_stage_prefix_done(change, weir_str_from(prefix));
	status = control_commit(engine->control, change, &result, err);
	control_change_free(change);
	if (status == 0 && result.outcome == CONTROL_DONE) {
		ice_table_unref(*table);
		*table = ice_prepared_table(prepared);
	}
	ice_prepared_free(prepared);
	return status;
}

static int open_table(struct engine *engine, const struct ice_definition *definition, struct ice_table **ret_table,
	struct weir_error *err)
{
	struct weir_error missing = WEIR_ERROR_INIT;
	int status =
		ice_table_load(engine->store, engine->control, engine->cache, definition->name, ret_table, &missing);
	if (status == WEIR_E_NOT_FOUND) {
		status = commit_new_table(engine, definition, err);
		if (status == 0)
			status = ice_table_load(
				engine->store, engine->control, engine->cache, definition->name, ret_table, err);
		return status;
	}
	if (status != 0) {
		*err = missing;
		return status;
	}
	if (!same_shape(ice_table_schema(*ret_table), definition->schema) ||
		ice_table_metadata(*ret_table)->spec_count != definition->spec_count)
		return evolve(engine, ret_table, definition, err);
	return 0;
}

static int add_table(struct engine *engine, struct weir_str ns, struct weir_str name,
	const struct lake_table *lake_table, const struct weir_schema *schema, struct ice_table **ret_table,
	struct weir_error *err)
{
	struct ice_spec specs[2] = {{.id = 0}};
	struct spec_builder builder = {.arena = engine->arena, .schema = schema};
	struct ice_kv properties[4];
	uint32_t property_count = 0;
	struct ice_definition definition = {
		.name = {ns, name},
		.schema = schema,
		.specs = specs,
		.spec_count = 1,
		.properties = properties,
		.location = weir_str_from(
			weir_arena_printf(engine->arena, "%.*s/%.*s", WEIR_STR_ARG(ns), WEIR_STR_ARG(name))),
	};
	properties[property_count++] = (struct ice_kv){WEIR_STR("write.format.default"), WEIR_STR("parquet")};
	properties[property_count++] = (struct ice_kv){WEIR_STR("write.parquet.compression-codec"), WEIR_STR("zstd")};
	int status = lake_table != NULL ? make_specs(&builder, lake_table, specs, &definition.spec_count, err) : 0;
	if (status != 0)
		return status;
	if (lake_table != NULL && lake_table->kind == LAKE_GOLD)
		properties[property_count++] = (struct ice_kv){WEIR_STR("weir.manifest-by"), WEIR_STR("purpose")};
	struct ice_sort_order order = {.id = 1};
	if (lake_table != NULL && lake_table->sort_count > 0) {
		order.fields = weir_arena_calloc(engine->arena, lake_table->sort_count, sizeof *order.fields);
		for (uint32_t i = 0; i < lake_table->sort_count; i++) {
			uint32_t column = weir_schema_find(schema, lake_table->sort[i]);
			if (column == WEIR_NO_FIELD)
				return weir_fail(err, WEIR_E_INPUT, "table %.*s.%.*s has no column %.*s to sort by",
					WEIR_STR_ARG(ns), WEIR_STR_ARG(name), WEIR_STR_ARG(lake_table->sort[i]));
			order.fields[order.field_count++] = (struct ice_sort_field){
				.source_id = schema->fields[column].id, .transform = {.kind = ICE_IDENTITY}};
		}
		definition.sort_order = &order;
	}
	definition.property_count = property_count;
	return open_table(engine, &definition, ret_table, err);
}

/* The schema of one of the lake's tables; those before it are in `schemas`. */
static int table_schema(struct engine *engine, uint32_t index, struct weir_schema **schemas, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	const struct lake_table *table = &lake->tables[index];
	const struct lake_stream *stream = &lake->streams[table->stream];
	struct json_decoder *decoder;
	int status = json_decoder_new(
		stream->schema, stream->schema_path, weir_arena_cstr(engine->arena, stream->id), &decoder, err);
	if (status != 0)
		return status;
	const struct weir_schema *events = json_decoder_schema(decoder);
	uint32_t id = weir_schema_find(events, stream->id);
	if (id == WEIR_NO_FIELD)
		status = weir_fail_at(err, WEIR_E_INPUT, stream->schema_path, WEIR_ERROR_NO_OFFSET,
			"the schema has no property %.*s, which lake.yaml names as the stream's id",
			WEIR_STR_ARG(stream->id));
	else if (table->kind == LAKE_RAW)
		schemas[index] = raw_schema(engine->arena, &events->fields[id]);
	else if (table->kind == LAKE_SILVER)
		status = sql_schema(engine, table, weir_arena_cstr(engine->arena, stream->name),
			stream_input_schema(engine->arena, decoder), &schemas[index], err);
	else if (table->kind == LAKE_GOLD)
		status = sql_schema(engine, table, weir_arena_cstr(engine->arena, lake->tables[table->from].name),
			schemas[table->from], &schemas[index], err);
	else
		schemas[index] = history_schema(engine->arena, schemas[table->from]);
	json_decoder_free(decoder);
	return status;
}

int engine_open_tables(struct engine *engine, struct weir_error *err)
{
	const struct lake *lake = engine->lake;
	struct weir_schema **schemas =
		weir_arena_calloc(engine->arena, lake->table_count, sizeof(struct weir_schema *));
	struct ice_table *table;
	int status = 0;
	for (uint32_t i = 0; i < lake->table_count && status == 0; i++) {
		status = table_schema(engine, i, schemas, err);
		if (status == 0)
			status = add_table(engine, lake->tables[i].ns, lake->tables[i].name, &lake->tables[i],
				schemas[i], &table, err);
		if (status == 0)
			ice_registry_add(engine->registry, table);
	}
	if (status == 0)
		status = add_table(engine, WEIR_STR("bronze"), WEIR_STR("dead_letters"), NULL,
			letters_schema(engine->arena), &table, err);
	if (status == 0)
		engine->dead_letters_table = ice_registry_add(engine->registry, table);
	if (status == 0)
		status = add_table(
			engine, WEIR_STR("audit"), WEIR_STR("access"), NULL, audit_schema(engine->arena), &table, err);
	if (status == 0)
		engine->audit_table = ice_registry_add(engine->registry, table);
	return status;
}
