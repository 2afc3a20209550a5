/*
 * Events that are rows already (CSV, Parquet, the result of an input's SQL) into the decoder's columns, by
 * the same rules as JSON; and rows of the decoder's columns as canonical JSON.
 */
#include "format/json/json_int.h"

#include "column/row_json.h"
#include "column/text.h"

struct row_decode {
	const struct json_decoder *decoder;
	struct weir_builder *builder;
	struct weir_arena *arena;
	struct json_problem problem;
	struct json_keys map_keys[1]; /* names of the map's entries so far, of one map field */
	uint32_t map_field;
	uint64_t seen[JSON_MAX_FIELDS / 64];
};

static void note_row(struct row_decode *d, struct weir_str field, const char *problem, const char *remedy)
{
	if (d->problem.problem != NULL)
		return;
	d->problem.field = weir_arena_str(d->arena, field);
	d->problem.problem = problem;
	d->problem.remedy = remedy;
}

static void decode_entry(struct row_decode *d, uint32_t index, struct weir_str key, struct weir_str text)
{
	if (d->map_field != index) {
		json_keys_start(d->map_keys);
		d->map_field = index;
	}
	if (!json_keys_add(d->map_keys, d->arena, key)) {
		note_row(d, d->decoder->fields[index].name, "has a name twice", "send each name once");
		return;
	}
	json_map_decode(d->decoder, index, key, text, d->builder, d->arena, &d->problem);
}

static void decode_map_column(struct row_decode *d, uint32_t index, const struct weir_column *column, uint32_t row)
{
	const struct weir_span *span = (const struct weir_span *)column->values + row;
	char key[WEIR_VALUE_TEXT], value[WEIR_VALUE_TEXT];
	weir_builder_map_start(d->builder, index);
	for (uint64_t k = span->offset; k < span->offset + span->length; k++)
		if (weir_column_is_valid(&column->children[1], (uint32_t)k))
			decode_entry(d, index, weir_column_text(NULL, &column->children[0], (uint32_t)k, key),
				weir_column_text(NULL, &column->children[1], (uint32_t)k, value));
}

/* A column of the field's own type, whose values the rule does not look at; text is checked for UTF-8 still. */
static bool is_plain_copy(const struct json_field *field, const struct weir_column *column, enum weir_type type)
{
	return column->type == type && !weir_type_is_nested(type) && !weir_type_is_text(type) &&
		(field->rule->checks & ~(unsigned)JSON_CHECK_FORMAT) == 0;
}

static void decode_column(struct row_decode *d, uint32_t index, const struct weir_field *from,
	const struct weir_column *column, uint32_t row)
{
	const struct json_field *field = &d->decoder->fields[index];
	enum weir_type type = d->decoder->schema->fields[index].type;
	char buffer[WEIR_VALUE_TEXT];
	if (!weir_column_is_valid(column, row))
		return;
	struct weir_str text =
		weir_type_is_nested(column->type) ? (struct weir_str){0} : weir_column_text(from, column, row, buffer);
	if (index == d->decoder->id_field)
		d->problem.event_id = weir_arena_str(d->arena, text);
	if (weir_type_is_text(column->type) && text.size == 0 && type != WEIR_STRING)
		return;
	d->seen[index / 64] |= 1ULL << (index % 64);
	if (column->type == WEIR_TIMESTAMP &&
		field->kind == JSON_COLUMN_TIMESTAMP) /* a typed time without zone is UTC */
		weir_builder_i64(d->builder, index, weir_column_i64(column, row));
	else if (is_plain_copy(field, column, type))
		weir_builder_copy(d->builder, index, column, row);
	else if (type == WEIR_MAP && column->type == WEIR_MAP)
		decode_map_column(d, index, column, row);
	else if (weir_type_is_nested(column->type))
		note_row(d, field->name, "has the wrong type", json_expected_type(field->rule, d->arena));
	else
		json_field_decode(d->decoder, index, text, d->builder, d->arena, &d->problem);
}

/* "metrics.heart_rate" where metrics is a map field; else WEIR_NO_FIELD. */
static uint32_t find_map(const struct json_decoder *decoder, struct weir_str name, struct weir_str *ret_key)
{
	const char *dot = memchr(name.data, '.', name.size);
	if (dot == NULL)
		return WEIR_NO_FIELD;
	struct weir_str head = {name.data, (size_t)(dot - name.data)};
	uint32_t index = json_decoder_find(decoder, head);
	if (index == WEIR_NO_FIELD || decoder->fields[index].kind != JSON_COLUMN_MAP)
		return WEIR_NO_FIELD;
	*ret_key = (struct weir_str){dot + 1, name.size - head.size - 1};
	return index;
}

static void decode_other(
	struct row_decode *d, const struct weir_field *from, const struct weir_column *column, uint32_t row)
{
	char buffer[WEIR_VALUE_TEXT];
	struct weir_str key;
	if (!weir_column_is_valid(column, row))
		return;
	uint32_t index = find_map(d->decoder, from->name, &key);
	if (index == WEIR_NO_FIELD) {
		if (d->decoder->rule->closed)
			note_row(d, from->name, "is not among the properties", "leave it out, or add it to the schema");
		return;
	}
	if (weir_type_is_nested(column->type)) {
		note_row(d, from->name, "has the wrong type", "send a number, text or a truth value");
		return;
	}
	d->seen[index / 64] |= 1ULL << (index % 64);
	decode_entry(d, index, key, weir_column_text(from, column, row, buffer));
}

static void check_missing(struct row_decode *d)
{
	const struct json_decoder *decoder = d->decoder;
	for (uint32_t i = 0; i < decoder->field_count; i++) {
		bool missing = (d->seen[i / 64] >> (i % 64) & 1) == 0;
		/* A row cannot tell a value that is null from one that is not there. */
		if (missing && json_decoder_required(decoder, i) && (decoder->fields[i].rule->types & JSON_T_NULL) == 0)
			note_row(d, decoder->fields[i].name, "is missing", "send it with every event");
	}
}

/* The row as it came, as the payload of a dead letter. */
static struct weir_str foreign_row_json(const struct weir_batch *batch, uint32_t row, struct weir_arena *arena)
{
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	weir_row_json(&json, batch, row);
	struct weir_str text = weir_arena_str(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return text;
}

int json_decode_row(const struct json_decoder *decoder, const struct weir_batch *batch, uint32_t row,
	struct weir_builder *builder, struct weir_arena *arena, struct json_problem *ret_problem,
	struct weir_error *err)
{
	struct row_decode d = {.decoder = decoder, .builder = builder, .arena = arena, .map_field = WEIR_NO_FIELD};
	WEIR_ASSERT(row < batch->row_count);
	for (uint32_t i = 0; i < batch->schema->field_count; i++) {
		const struct weir_field *from = &batch->schema->fields[i];
		uint32_t index = i < decoder->field_count && weir_str_equal(decoder->fields[i].name, from->name)
			? i
			: json_decoder_find(decoder, from->name);
		if (index != WEIR_NO_FIELD)
			decode_column(&d, index, from, &batch->columns[i], row);
		else
			decode_other(&d, from, &batch->columns[i], row);
	}
	check_missing(&d);
	if (d.problem.problem == NULL)
		return 0;
	weir_builder_drop_row(builder);
	d.problem.payload = foreign_row_json(batch, row, arena);
	*ret_problem = d.problem;
	return weir_fail_at(err, WEIR_E_INPUT, decoder->name, WEIR_ERROR_NO_OFFSET, "field \"%.*s\" %s: %s",
		WEIR_STR_ARG(d.problem.field), d.problem.problem, d.problem.remedy);
}

/* True where text, written without quotes, is read back as the same map value. */
static bool is_bare_value(const struct json_rule *values, struct weir_str text)
{
	unsigned types = values != NULL ? values->types : JSON_T_ANY;
	struct json_cursor cursor = {.begin = text.data, .at = text.data, .end = text.data + text.size};
	struct json_number number;
	if (weir_str_is(text, "true") || weir_str_is(text, "false"))
		return (types & JSON_T_BOOLEAN) != 0;
	if (text.size == 0 || (text.data[0] != '-' && (unsigned char)(text.data[0] - '0') > 9))
		return false;
	if (!json_scan_number(&cursor, &number) || cursor.at != cursor.end)
		return false;
	return (types & JSON_T_NUMBER) != 0 ||
		((types & JSON_T_INTEGER) != 0 && memchr(text.data, '.', text.size) == NULL);
}

static void encode_map(
	const struct json_rule *values, const struct weir_column *column, uint32_t row, struct weir_json *json)
{
	const struct weir_span *span = (const struct weir_span *)column->values + row;
	weir_json_object(json);
	for (uint64_t k = span->offset; k < span->offset + span->length; k++) {
		struct weir_str value = weir_column_str(&column->children[1], (uint32_t)k);
		weir_json_key_str(json, weir_column_str(&column->children[0], (uint32_t)k));
		if (is_bare_value(values, value))
			weir_json_raw(json, value);
		else
			weir_json_string(json, value);
	}
	weir_json_object_end(json);
}

void json_encode_row(
	const struct json_decoder *decoder, const struct weir_batch *batch, uint32_t row, struct weir_buf *out)
{
	struct weir_json json = weir_json_to(out);
	char buffer[WEIR_VALUE_TEXT];
	WEIR_ASSERT(row < batch->row_count && batch->schema->field_count == decoder->field_count);
	weir_json_object(&json);
	for (uint32_t i = 0; i < decoder->field_count; i++) {
		const struct json_field *field = &decoder->fields[i];
		const struct weir_column *column = &batch->columns[i];
		if (!weir_column_is_valid(column, row))
			continue;
		weir_json_key_str(&json, field->name);
		if (field->kind == JSON_COLUMN_MAP)
			encode_map(field->rule->additional, column, row, &json);
		else if (field->kind == JSON_COLUMN_LONG)
			weir_json_int(&json, weir_column_i64(column, row));
		else if (field->kind == JSON_COLUMN_DOUBLE)
			weir_json_double(&json, weir_column_double(column, row));
		else if (field->kind == JSON_COLUMN_BOOLEAN)
			weir_json_bool(&json, weir_column_i64(column, row) != 0);
		else if (field->kind == JSON_COLUMN_NESTED)
			weir_json_raw(&json, weir_column_str(column, row));
		else
			weir_json_string(&json, weir_column_text(NULL, column, row, buffer));
	}
	weir_json_object_end(&json);
}
