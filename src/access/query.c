/* The parameters of a governed query: checked one by one, and turned into a filter, a projection and an order. */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "access/access_int.h"
#include "base/hash.h"

#define CURSOR_BYTES 1024

/* What is wrong with a parameter's value: 400, naming it. */
__attribute__((format(printf, 3, 4))) static int bad(
	struct weir_error *err, struct weir_str parameter, const char *format, ...)
{
	char message[sizeof err->message];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	return weir_fail_at(err, WEIR_E_INPUT, parameter, WEIR_ERROR_NO_OFFSET, "%s", message);
}

static uint32_t add_field(struct weir_schema *schema, const struct weir_field *field)
{
	uint32_t found = weir_schema_find_id(schema, field->id);
	if (found != WEIR_NO_FIELD)
		return found;
	schema->fields[schema->field_count] = *field;
	return schema->field_count++;
}

/* "a,b,c" -> the answer's columns; all of the table's where the parameter is missing. */
static int choose_columns(
	struct access_plan *plan, const struct weir_schema *table, struct weir_str list, struct weir_error *err)
{
	if (list.size == 0) {
		for (uint32_t i = 0; i < table->field_count; i++)
			add_field(plan->schema, &table->fields[i]);
		return 0;
	}
	while (list.size > 0) {
		const char *comma = memchr(list.data, ',', list.size);
		struct weir_str name = {list.data, comma != NULL ? (size_t)(comma - list.data) : list.size};
		uint32_t at = weir_schema_find(table, name);
		if (at == WEIR_NO_FIELD)
			return bad(err, WEIR_STR("columns"),
				"there is no column %.*s; the table's columns are in /openapi.json",
				WEIR_STR_ARG(name));
		add_field(plan->schema, &table->fields[at]);
		list.data += name.size + (comma != NULL);
		list.size -= name.size + (comma != NULL);
	}
	return 0;
}

/* A value of the URL as the column's type; a day stands for its UTC day, both ends included. */
static int parse_value(struct weir_str parameter, struct weir_str text, const struct weir_field *field,
	struct weir_str op, struct expr_term *term, struct expr_value *value, struct weir_error *err)
{
	int32_t day;
	bool upper = weir_str_is(op, "<=");
	term->op = weir_str_is(op, ">=") ? EXPR_GE : upper ? EXPR_LE : EXPR_EQ;
	*value = (struct expr_value){.kind = EXPR_INTEGER};
	switch (field->type) {
	case WEIR_STRING:
		*value = (struct expr_value){.kind = EXPR_TEXT, .u.text = text};
		return 0;
	case WEIR_TIMESTAMPTZ:
		if (weir_date_parse(text, &day)) {
			value->u.integer = ((int64_t)day + upper) * WEIR_US_PER_DAY - upper;
			return 0;
		}
		if (weir_time_parse(text, WEIR_ZONE_REQUIRED, &value->u.integer))
			return 0;
		return bad(err, parameter,
			"%.*s is neither a day (2025-02-01) nor a time with its zone (2025-02-01T08:00:00Z)",
			WEIR_STR_ARG(text));
	case WEIR_DATE:
		if (!weir_date_parse(text, &day))
			return bad(err, parameter, "%.*s is not a day (2025-02-01)", WEIR_STR_ARG(text));
		value->u.integer = day;
		return 0;
	case WEIR_INT32:
	case WEIR_INT64:
		if (!weir_str_to_i64(text, &value->u.integer))
			return bad(err, parameter, "%.*s is not a whole number", WEIR_STR_ARG(text));
		return 0;
	case WEIR_DOUBLE:
	case WEIR_FLOAT:
		value->kind = EXPR_NUMBER;
		if (!weir_str_to_double(text, &value->u.number))
			return bad(err, parameter, "%.*s is not a number", WEIR_STR_ARG(text));
		return 0;
	case WEIR_UUID:
		value->kind = EXPR_UUID;
		if (!weir_uuid_parse(text, &value->u.uuid))
			return bad(err, parameter, "%.*s is not a UUID", WEIR_STR_ARG(text));
		return 0;
	default:
		return bad(err, parameter, "a column of this type cannot be asked for by value (%.*s)",
			WEIR_STR_ARG(text));
	}
}

struct parsing {
	struct access *access;
	const struct access_request *request;
	struct access_plan *plan;
	const struct weir_schema *table;
	struct weir_arena *arena;
	struct weir_str columns, cursor;
};

static int add_term(
	struct parsing *parsing, const struct lake_where *where, struct weir_str text, struct weir_error *err)
{
	struct access_plan *plan = parsing->plan;
	uint32_t at = weir_schema_find(parsing->table, where->column);
	WEIR_ASSERT(at != WEIR_NO_FIELD); /* the lake's description was checked */
	struct expr_term *term = &plan->terms[plan->term_count];
	struct expr_value *value = weir_arena_zalloc(parsing->arena, sizeof *value);
	*term = (struct expr_term){.field_id = parsing->table->fields[at].id, .values = value, .value_count = 1};
	int status = parse_value(where->parameter, text, &parsing->table->fields[at], where->op, term, value, err);
	if (status != 0)
		return status;
	plan->term_count++;
	if (term->op == EXPR_EQ && weir_str_equal(where->column, consent_vocabulary_of(plan->consent)->subject))
		plan->subject = text;
	return 0;
}

static int take_parameter(struct parsing *parsing, const struct access_kv *parameter, struct weir_error *err)
{
	struct access_plan *plan = parsing->plan;
	struct weir_str key = parameter->key, value = parameter->value;
	if (weir_str_is(key, "purpose"))
		return 0; /* checked first */
	if (weir_str_is(key, "columns")) {
		parsing->columns = value;
		return 0;
	}
	if (weir_str_is(key, "cursor")) {
		parsing->cursor = value;
		return 0;
	}
	if (weir_str_is(key, "explain")) {
		plan->explain = weir_str_is(value, "true");
		return plan->explain || weir_str_is(value, "false")
			? 0
			: bad(err, key, "%.*s is neither true nor false", WEIR_STR_ARG(value));
	}
	if (weir_str_is(key, "limit")) {
		if (!weir_str_to_u64(value, &plan->limit) || plan->limit == 0)
			return bad(err, key, "%.*s is not a number of rows from 1 on", WEIR_STR_ARG(value));
		if (plan->limit > plan->query->limit_max)
			return bad(err, key, "%.*s is more rows than one answer may have; page on with the cursor",
				WEIR_STR_ARG(value));
		return 0;
	}
	for (uint32_t i = 0; i < plan->query->where_count; i++)
		if (weir_str_equal(plan->query->where[i].parameter, key))
			return add_term(parsing, &plan->query->where[i], value, err);
	return bad(err, key, "there is no parameter %.*s; see /openapi.json", WEIR_STR_ARG(key));
}

static int check_purpose(struct parsing *parsing, struct weir_error *err)
{
	struct access_plan *plan = parsing->plan;
	const struct consent_vocabulary *vocabulary = consent_vocabulary_of(plan->consent);
	const struct access_request *request = parsing->request;
	struct weir_str purpose = {NULL, 0};
	for (uint32_t i = 0; i < request->parameter_count; i++)
		if (weir_str_is(request->parameters[i].key, "purpose"))
			purpose = request->parameters[i].value;
	if (purpose.size == 0)
		return bad(err, WEIR_STR("purpose"), "a query names its purpose: ?purpose=");
	int index = consent_purpose_index(vocabulary, purpose);
	if (index < 0 || (request->identity->purposes >> index & 1) == 0 || request->identity->role != ACCESS_CONSUMER)
		return weir_fail(err, WEIR_E_DENIED, "this token does not give access for the purpose asked for");
	plan->purpose = (uint32_t)index;
	plan->purpose_name = vocabulary->purposes[index];
	return 0;
}

/* ---- cursors: the last key as hexadecimal JSON ---- */

struct weir_str access_cursor_text(
	const struct access_plan *plan, struct weir_arena *arena, const struct weir_batch *batch, uint32_t row)
{
	struct weir_buf key = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&key);
	weir_json_array(&json);
	for (uint32_t i = 0; i < plan->order.count; i++) {
		const struct weir_column *column = &batch->columns[plan->order.columns[i]];
		char text[WEIR_UUID_TEXT];
		if (!weir_column_is_valid(column, row)) {
			weir_json_null(&json);
		} else if (column->type == WEIR_STRING) {
			weir_json_string(&json, weir_column_str(column, row));
		} else if (column->type == WEIR_UUID) {
			weir_uuid_format(&((const struct weir_uuid *)column->values)[row], text);
			weir_json_cstring(&json, text);
		} else {
			weir_json_int(&json, weir_column_i64(column, row));
		}
	}
	weir_json_array_end(&json);
	char *text = weir_arena_alloc(arena, key.size * 2 + 1);
	weir_hex(key.data, key.size, text);
	struct weir_str result = {text, key.size * 2};
	weir_buf_done(&key);
	return result;
}

static bool cursor_cell(struct weir_column *column, const json_t *value, struct weir_arena *arena)
{
	if (json_is_null(value)) {
		weir_column_set_null(column, 0);
		return true;
	}
	struct weir_str text = {json_string_value(value), json_is_string(value) ? json_string_length(value) : 0};
	if (column->type == WEIR_STRING && json_is_string(value)) {
		*(struct weir_view *)column->values = weir_view_from(weir_arena_str(arena, text));
		return true;
	}
	if (column->type == WEIR_UUID)
		return weir_uuid_parse(text, column->values);
	if (column->type == WEIR_INT32 || column->type == WEIR_DATE) {
		*(int32_t *)column->values = (int32_t)json_integer_value(value);
		return json_is_integer(value);
	}
	if (weir_type_width(column->type) == 8 && column->type != WEIR_DOUBLE) {
		*(int64_t *)column->values = json_integer_value(value);
		return json_is_integer(value);
	}
	return false;
}

static int parse_cursor(struct parsing *parsing, struct weir_error *err)
{
	struct access_plan *plan = parsing->plan;
	struct weir_str hex = parsing->cursor;
	char text[CURSOR_BYTES];
	bool fine = hex.size % 2 == 0 && hex.size / 2 < sizeof text;
	for (size_t i = 0; i < hex.size && fine; i++) {
		char c = hex.data[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
		fine = digit >= 0;
		if (fine)
			text[i / 2] = (char)(i % 2 == 0 ? digit << 4 : text[i / 2] | digit);
	}
	json_t *key = fine ? json_loadb(text, hex.size / 2, 0, NULL) : NULL;
	fine = json_is_array(key) && json_array_size(key) == plan->order.count;
	plan->after = weir_batch_new(parsing->arena, plan->projection, 1);
	plan->after->row_count = 1;
	for (uint32_t i = 0; i < plan->order.count && fine; i++)
		fine = cursor_cell(
			&plan->after->columns[plan->order.columns[i]], json_array_get(key, i), parsing->arena);
	json_decref(key);
	return fine ? 0
		    : bad(err, WEIR_STR("cursor"), "%.*s is not a cursor that weir gave; start without one",
			      WEIR_STR_ARG(hex));
}

/* Files before the cursor's leading value need not be opened. */
static void bound_by_cursor(struct parsing *parsing)
{
	struct access_plan *plan = parsing->plan;
	const struct weir_column *leading = &plan->after->columns[plan->order.columns[0]];
	if (!weir_column_is_valid(leading, 0))
		return;
	struct expr_value *value = weir_arena_zalloc(parsing->arena, sizeof *value);
	*value = expr_value_of(leading, 0);
	plan->terms[plan->term_count++] =
		(struct expr_term){.field_id = plan->projection->fields[plan->order.columns[0]].id,
			.op = EXPR_GE,
			.values = value,
			.value_count = 1};
}

static void choose_projection(struct parsing *parsing)
{
	struct access_plan *plan = parsing->plan;
	const struct weir_schema *table = parsing->table;
	for (uint32_t i = 0; i < plan->schema->field_count; i++)
		add_field(plan->projection, &plan->schema->fields[i]);
	for (uint32_t i = 0; i < plan->query->order_count && i < WEIR_ORDER_COLUMNS; i++)
		plan->order.columns[plan->order.count++] =
			add_field(plan->projection, &table->fields[weir_schema_find(table, plan->query->order[i])]);
	struct weir_str subject = consent_vocabulary_of(plan->consent)->subject;
	plan->subject_column = add_field(plan->projection, &table->fields[weir_schema_find(table, subject)]);
	plan->lsn_column =
		add_field(plan->projection, &table->fields[weir_schema_find(table, WEIR_STR("consent_lsn"))]);
	for (uint32_t i = 0; i < plan->term_count; i++)
		add_field(plan->projection, &table->fields[weir_schema_find_id(table, plan->terms[i].field_id)]);
}

int access_plan_query(struct access *access, const struct access_request *request, struct weir_arena *arena,
	struct access_plan **ret_plan, struct weir_error *err)
{
	const struct lake *lake = access->config.lake;
	struct access_plan *plan = weir_arena_zalloc(arena, sizeof *plan);
	plan->query = &lake->queries[request->query];
	plan->table = plan->query->table;
	plan->consent = access->config.consents[lake->tables[plan->table].consent];
	plan->limit = plan->query->limit_default;
	struct ice_table *version = ice_registry_table(access->config.registry, plan->table);
	struct weir_schema *table = weir_schema_copy(arena, ice_table_schema(version));
	ice_table_unref(version);
	struct parsing parsing = {.access = access, .request = request, .plan = plan, .table = table, .arena = arena};
	plan->terms = weir_arena_calloc(arena, request->parameter_count + 2, sizeof *plan->terms);
	plan->schema = weir_arena_zalloc(arena, sizeof *plan->schema);
	plan->schema->fields = weir_arena_calloc(arena, table->field_count, sizeof *plan->schema->fields);
	plan->projection = weir_arena_zalloc(arena, sizeof *plan->projection);
	plan->projection->fields = weir_arena_calloc(arena, table->field_count, sizeof *plan->projection->fields);
	int status = check_purpose(&parsing, err);
	for (uint32_t i = 0; i < request->parameter_count && status == 0; i++)
		status = take_parameter(&parsing, &request->parameters[i], err);
	if (status == 0)
		status = choose_columns(plan, table, parsing.columns, err);
	if (status != 0)
		return status;
	struct expr_value *purpose = weir_arena_zalloc(arena, sizeof *purpose);
	*purpose = (struct expr_value){.kind = EXPR_TEXT, .u.text = plan->purpose_name};
	plan->terms[plan->term_count++] = (struct expr_term){.op = EXPR_EQ,
		.values = purpose,
		.value_count = 1,
		.field_id = table->fields[weir_schema_find(table, WEIR_STR("purpose"))].id};
	choose_projection(&parsing);
	if (parsing.cursor.size > 0) {
		status = parse_cursor(&parsing, err);
		if (status == 0)
			bound_by_cursor(&parsing);
	}
	*ret_plan = plan;
	return status;
}
