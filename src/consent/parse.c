/*
 * Rules from JSON: a posted document, or a stored canonical body, into a model. docs/CONSENT.md, "A rule".
 *
 * Every refusal names the JSON pointer into the document, the value and a remedy. A userId is never
 * repeated. Sizes are bounded: CONSENT_RULE_BYTES of text, CONSENT_CONDITIONS_MAX, CONSENT_VALUES_MAX.
 * No state; any thread.
 */
#include "consent/model.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/time.h"

#define PROBLEM_VALUE_BYTES 160

struct parser {
	const struct consent_vocabulary *vocabulary;
	struct weir_arena *arena;
	enum consent_document document;
	struct consent_model *model;
	struct consent_condition *conditions; /* room for CONSENT_CONDITIONS_MAX */
	struct consent_problem *problem;
	struct weir_error *err;
};

/* The value as compact ASCII, cut short. */
static struct weir_str describe(struct weir_arena *arena, const json_t *value)
{
	if (value == NULL)
		return WEIR_STR("");
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	if (text == NULL)
		return WEIR_STR("");
	struct weir_str shown = weir_str_from(text);
	if (shown.size > PROBLEM_VALUE_BYTES)
		shown.size = PROBLEM_VALUE_BYTES;
	shown = weir_arena_str(arena, shown);
	free(text);
	return shown;
}

static int refuse(struct parser *parser, const char *path, const json_t *value, const char *problem, const char *remedy)
{
	*parser->problem = (struct consent_problem){
		weir_arena_str(parser->arena, weir_str_from(path)), describe(parser->arena, value), problem, remedy};
	return weir_fail(parser->err, WEIR_E_INPUT, "consent rule at %s: %s; %s", path[0] != '\0' ? path : "its start",
		problem, remedy);
}

/* path/name as a JSON pointer (RFC 6901). */
static const char *below(struct parser *parser, const char *path, const char *name)
{
	struct weir_buf buf = WEIR_BUF_INIT;
	weir_buf_puts(&buf, path);
	weir_buf_putc(&buf, '/');
	for (; *name != '\0'; name++) {
		if (*name == '~' || *name == '/')
			weir_buf_puts(&buf, *name == '~' ? "~0" : "~1");
		else
			weir_buf_putc(&buf, *name);
	}
	const char *result = weir_arena_cstr(parser->arena, weir_buf_str(&buf));
	weir_buf_done(&buf);
	return result;
}

static struct weir_str text_of(struct parser *parser, const json_t *value)
{
	return weir_arena_str(parser->arena, (struct weir_str){json_string_value(value), json_string_length(value)});
}

/* "a, b, c" for a remedy. */
static const char *listed(struct parser *parser, const char *prefix, const struct weir_str *names, uint32_t count)
{
	struct weir_buf buf = WEIR_BUF_INIT;
	weir_buf_puts(&buf, prefix);
	for (uint32_t i = 0; i < count; i++)
		weir_buf_printf(&buf, "%s%.*s", i > 0 ? ", " : "", WEIR_STR_ARG(names[i]));
	const char *result = weir_arena_cstr(parser->arena, weir_buf_str(&buf));
	weir_buf_done(&buf);
	return result;
}

/* ---- literals ---- */

static int parse_time(struct parser *parser, const char *path, const json_t *value, struct weir_str type,
	struct consent_literal *literal)
{
	int32_t day;
	int64_t at;
	int year, month, day_of_month;
	if (weir_date_parse(literal->text, &day)) {
		if (type.size > 0 && !weir_str_is(type, "date"))
			return refuse(parser, path, value, "the value is a date, its type is not",
				"drop type, or make it \"date\"");
		literal->is_date = true;
		literal->first_us = day * WEIR_US_PER_DAY;
		literal->last_us = literal->first_us + WEIR_US_PER_DAY - 1;
	} else if (weir_str_is(type, "date")) {
		return refuse(parser, path, value, "not a date", "write it as 2025-02-01");
	} else if (weir_time_parse(literal->text, WEIR_ZONE_REQUIRED, &at)) {
		literal->first_us = literal->last_us = at;
	} else {
		return refuse(parser, path, value, "neither a date nor a time with zone",
			"write it as 2025-02-01 or 2025-02-01T08:00:00Z");
	}
	/* Zones can push a time past the years that its canonical form can be read back from. */
	weir_civil_from_day(weir_day_of(literal->first_us), &year, &month, &day_of_month);
	if (year < 1 || year > 9999)
		return refuse(parser, path, value, "outside the years 1 to 9999 in UTC", "name a nearer time");
	return 0;
}

static bool type_fits(enum consent_value_kind kind, struct weir_str type)
{
	switch (kind) {
	case CONSENT_VALUE_TEXT:
		return weir_str_is(type, "text") || weir_str_is(type, "string");
	case CONSENT_VALUE_NUMBER:
		return weir_str_is(type, "number");
	case CONSENT_VALUE_BOOLEAN:
		return weir_str_is(type, "boolean");
	case CONSENT_VALUE_TIME:
		return weir_str_is(type, "date") || weir_str_is(type, "time") || weir_str_is(type, "timestamp");
	}
	return false;
}

/* Which kind the value has to be for the dimension; a metric takes what it is given. */
static bool kind_of(enum consent_dimension_kind dimension, const json_t *value, enum consent_value_kind *ret_kind)
{
	if (json_is_string(value))
		*ret_kind = dimension == CONSENT_DIM_TIME ? CONSENT_VALUE_TIME : CONSENT_VALUE_TEXT;
	else if (json_is_number(value))
		*ret_kind = CONSENT_VALUE_NUMBER;
	else if (json_is_boolean(value))
		*ret_kind = CONSENT_VALUE_BOOLEAN;
	else
		return false;
	switch (dimension) {
	case CONSENT_DIM_TEXT:
		return *ret_kind == CONSENT_VALUE_TEXT;
	case CONSENT_DIM_NUMBER:
		return *ret_kind == CONSENT_VALUE_NUMBER;
	case CONSENT_DIM_BOOLEAN:
		return *ret_kind == CONSENT_VALUE_BOOLEAN;
	case CONSENT_DIM_TIME:
		return *ret_kind == CONSENT_VALUE_TIME;
	case CONSENT_DIM_METRICS:
		return true;
	}
	return false;
}

static const char *kind_wanted(enum consent_dimension_kind dimension)
{
	static const char *const wanted[] = {[CONSENT_DIM_TEXT] = "give a text",
		[CONSENT_DIM_NUMBER] = "give a number",
		[CONSENT_DIM_BOOLEAN] = "give true or false",
		[CONSENT_DIM_TIME] = "give a text such as \"2025-02-01\"",
		[CONSENT_DIM_METRICS] = "give a number, a text, true or false"};
	return wanted[dimension];
}

static int parse_literal(struct parser *parser, enum consent_dimension_kind dimension, const char *path,
	const json_t *value, const json_t *type, const char *type_path, struct consent_literal *ret_literal)
{
	struct consent_literal literal = {0};
	struct weir_str type_name = WEIR_STR("");
	if (!kind_of(dimension, value, &literal.kind))
		return refuse(parser, path, value, "a value of the wrong type", kind_wanted(dimension));
	if (type != NULL) {
		if (json_is_string(type))
			type_name = text_of(parser, type);
		if (!type_fits(literal.kind, type_name))
			return refuse(parser, type_path, type, "the type does not fit the value",
				"drop it, or name the value's: text, number, boolean, date or time");
	}
	if (json_is_string(value))
		literal.text = text_of(parser, value);
	literal.number = json_number_value(value) + 0.0; /* -0.0 + 0.0 is 0.0: one spelling of zero */
	literal.boolean = json_is_true(value);
	if (literal.kind == CONSENT_VALUE_TIME) {
		int code = parse_time(parser, path, value, type_name, &literal);
		if (code != 0)
			return code;
	}
	*ret_literal = literal;
	return 0;
}

/* One element of "values": {"value": x, "type": t}. */
static int parse_item(struct parser *parser, enum consent_dimension_kind dimension, const char *path, json_t *item,
	struct consent_literal *ret_literal)
{
	const char *key;
	json_t *member;
	if (!json_is_object(item))
		return refuse(parser, path, item, "not an object", "write each value as {\"value\": ...}");
	json_object_foreach(item, key, member)
	{
		if (strcmp(key, "value") != 0 && strcmp(key, "type") != 0)
			return refuse(parser, below(parser, path, key), member, "unknown member",
				"a value has value and type");
	}
	const json_t *value = json_object_get(item, "value");
	if (value == NULL)
		return refuse(parser, path, item, "no value", "write each value as {\"value\": ...}");
	return parse_literal(parser, dimension, below(parser, path, "value"), value, json_object_get(item, "type"),
		below(parser, path, "type"), ret_literal);
}

static int literal_order(const void *left, const void *right)
{
	const struct consent_literal *a = left, *b = right;
	switch (a->kind) {
	case CONSENT_VALUE_TEXT:
		return weir_str_compare(a->text, b->text);
	case CONSENT_VALUE_NUMBER:
		return a->number < b->number ? -1 : a->number > b->number;
	case CONSENT_VALUE_BOOLEAN:
		return (int)a->boolean - (int)b->boolean;
	case CONSENT_VALUE_TIME:
		if (a->first_us != b->first_us)
			return a->first_us < b->first_us ? -1 : 1;
		return a->last_us < b->last_us ? -1 : a->last_us > b->last_us;
	}
	return 0;
}

/* ---- a condition: {"operator": ..., "value": ... | "values": [...]} ---- */

static int parse_operator(struct parser *parser, const char *path, const json_t *value, enum consent_operator *ret_op)
{
	if (json_is_string(value))
		for (unsigned op = 0; op < CONSENT_OPERATORS; op++)
			if (strcmp(json_string_value(value), consent_operator_name(op)) == 0) {
				*ret_op = op;
				return 0;
			}
	return refuse(parser, path, value, value == NULL ? "no operator" : "unknown operator",
		"use IN, NOT_IN, EQUALS, NOT_EQUALS, BETWEEN, LT, LE, GT, GE or EXISTS");
}

static int check_members(struct parser *parser, const char *path, json_t *object)
{
	const char *key;
	json_t *member;
	if (!json_is_object(object))
		return refuse(parser, path, object, "not an object",
			"write {\"operator\": ..., \"values\": [{\"value\": ...}]}");
	json_object_foreach(object, key, member)
	{
		if (strcmp(key, "operator") != 0 && strcmp(key, "value") != 0 && strcmp(key, "values") != 0)
			return refuse(parser, below(parser, path, key), member, "unknown member",
				"a condition has operator, and value or values");
	}
	if (json_object_get(object, "value") != NULL && json_object_get(object, "values") != NULL)
		return refuse(parser, path, object, "both value and values", "keep one of them");
	return 0;
}

static int check_count(
	struct parser *parser, const char *path, const json_t *value, enum consent_operator op, size_t count)
{
	size_t least = 1, most = 1;
	const char *remedy = "give exactly one value";
	if (op == CONSENT_IN || op == CONSENT_NOT_IN) {
		most = CONSENT_VALUES_MAX;
		remedy = "give 1 to 1000 values";
	} else if (op == CONSENT_BETWEEN) {
		least = most = 2;
		remedy = "give the first and the last value";
	} else if (op == CONSENT_EXISTS) {
		least = most = 0;
		remedy = "EXISTS takes no value";
	}
	if (count < least || count > most)
		return refuse(parser, path, value, "a wrong number of values", remedy);
	return 0;
}

/* What the literals must be among themselves; sorts the lists. */
static int check_literals(struct parser *parser, const char *path, const json_t *value, enum consent_operator op,
	struct consent_literal *literals, uint32_t *count)
{
	for (uint32_t i = 1; i < *count; i++)
		if (literals[i].kind != literals[0].kind)
			return refuse(parser, path, value, "values of several types", "give values of one type");
	bool ordered =
		op == CONSENT_BETWEEN || op == CONSENT_LT || op == CONSENT_LE || op == CONSENT_GT || op == CONSENT_GE;
	if (ordered && literals[0].kind == CONSENT_VALUE_BOOLEAN)
		return refuse(parser, path, value, "true and false have no order", "use EQUALS or NOT_EQUALS");
	if (op == CONSENT_BETWEEN) {
		bool reversed = literals[0].kind == CONSENT_VALUE_TIME ? literals[0].first_us > literals[1].last_us
								       : literal_order(&literals[0], &literals[1]) > 0;
		if (reversed)
			return refuse(parser, path, value, "the ends are reversed", "give the smaller value first");
	}
	if (op == CONSENT_IN || op == CONSENT_NOT_IN) {
		uint32_t kept = 1;
		qsort(literals, *count, sizeof *literals, literal_order);
		for (uint32_t i = 1; i < *count; i++)
			if (literal_order(&literals[kept - 1], &literals[i]) != 0)
				literals[kept++] = literals[i];
		*count = kept;
	}
	return 0;
}

/* Operator and literals of one condition into *ret. */
static int parse_condition(struct parser *parser, enum consent_dimension_kind kind, const char *path, json_t *object,
	struct consent_condition *ret)
{
	int code = check_members(parser, path, object);
	if (code == 0)
		code = parse_operator(
			parser, below(parser, path, "operator"), json_object_get(object, "operator"), &ret->op);
	if (code != 0)
		return code;
	json_t *value = json_object_get(object, "value"), *values = json_object_get(object, "values");
	const char *values_path = below(parser, path, value != NULL ? "value" : "values");
	if (values != NULL && !json_is_array(values))
		return refuse(parser, values_path, values, "not an array", "write [{\"value\": ...}]");
	uint32_t count = value != NULL ? 1 : (uint32_t)json_array_size(values);
	code = check_count(parser, values_path, value != NULL ? value : values, ret->op, count);
	if (code != 0)
		return code;
	struct consent_literal *literals = weir_arena_calloc(parser->arena, count, sizeof *literals);
	if (value != NULL)
		code = parse_literal(parser, kind, values_path, value, NULL, "", &literals[0]);
	for (uint32_t i = 0; value == NULL && i < count && code == 0; i++)
		code = parse_item(parser, kind, weir_arena_printf(parser->arena, "%s/%u", values_path, i),
			json_array_get(values, i), &literals[i]);
	if (code == 0 && count > 0)
		code = check_literals(parser, values_path, value != NULL ? value : values, ret->op, literals, &count);
	ret->literals = literals;
	ret->literal_count = count;
	return code;
}

/* ---- dimensions ---- */

static int parse_purpose(struct parser *parser, const char *path, json_t *object)
{
	const struct consent_vocabulary *vocabulary = parser->vocabulary;
	struct consent_condition condition = {0};
	int code = parse_condition(parser, CONSENT_DIM_TEXT, path, object, &condition);
	if (code != 0)
		return code;
	bool names = condition.op == CONSENT_IN || condition.op == CONSENT_EQUALS;
	bool excludes = condition.op == CONSENT_NOT_IN || condition.op == CONSENT_NOT_EQUALS;
	if (parser->model->effect == CONSENT_PERMIT && !names)
		return refuse(parser, path, object, "a permit names its purposes", "use IN or EQUALS");
	if (!names && !excludes)
		return refuse(parser, path, object, "purposes have no order", "use IN, NOT_IN, EQUALS or NOT_EQUALS");
	struct weir_str *purposes = weir_arena_calloc(parser->arena, condition.literal_count, sizeof *purposes);
	uint64_t named = 0;
	for (uint32_t i = 0; i < condition.literal_count; i++) {
		purposes[i] = condition.literals[i].text;
		bool stored = parser->document == CONSENT_STORED;
		int bit = stored ? consent_purpose_any(vocabulary, purposes[i])
				 : consent_purpose_index(vocabulary, purposes[i]);
		if (bit >= 0)
			named |= (uint64_t)1 << bit;
		else if (!stored)
			return refuse(parser, path, object, "unknown purpose",
				listed(parser, "the purposes are ", vocabulary->purposes, vocabulary->purpose_count));
	}
	parser->model->has_purpose = true;
	parser->model->purpose_op = condition.op;
	parser->model->purpose_names = purposes;
	parser->model->purpose_count = condition.literal_count;
	/* A deny of "all but these" also covers a purpose that the lake gets later: bits not in use are set. */
	parser->model->purposes = names ? named : ~named;
	return 0;
}

static int add_condition(
	struct parser *parser, const char *path, json_t *object, const struct consent_condition *condition)
{
	if (parser->model->condition_count >= CONSENT_CONDITIONS_MAX)
		return refuse(parser, path, object, "more than 128 conditions", "split the rule");
	parser->conditions[parser->model->condition_count++] = *condition;
	return 0;
}

static int parse_metrics(struct parser *parser, uint32_t index, const char *path, json_t *object)
{
	const struct consent_dimension *dimension = &parser->vocabulary->dimensions[index];
	const char *key;
	json_t *member;
	if (!json_is_object(object) || json_object_size(object) == 0)
		return refuse(parser, path, object, "names no metric",
			"write {\"heart_rate\": {\"operator\": \"LT\", \"value\": 95}}");
	json_object_foreach(object, key, member)
	{
		const char *at = below(parser, path, key);
		struct consent_condition condition = {.dimension = index, .metric_column = CONSENT_NO_COLUMN};
		condition.metric = weir_arena_str(parser->arena, weir_str_from(key));
		for (uint32_t i = 0; i < dimension->column_count; i++)
			if (weir_str_equal(dimension->columns[i], condition.metric))
				condition.metric_column = i;
		if (condition.metric_column == CONSENT_NO_COLUMN && dimension->map.size == 0)
			return refuse(parser, at, member, "unknown metric",
				listed(parser, "the metrics are ", dimension->columns, dimension->column_count));
		int code = parse_condition(parser, CONSENT_DIM_METRICS, at, member, &condition);
		if (code == 0)
			code = add_condition(parser, at, member, &condition);
		if (code != 0)
			return code;
	}
	return 0;
}

static const char *dimensions_listed(struct parser *parser)
{
	struct weir_str *names =
		weir_arena_calloc(parser->arena, parser->vocabulary->dimension_count + 1, sizeof *names);
	names[0] = WEIR_STR("purpose");
	for (uint32_t i = 0; i < parser->vocabulary->dimension_count; i++)
		names[i + 1] = parser->vocabulary->dimensions[i].name;
	return listed(parser, "the dimensions are ", names, parser->vocabulary->dimension_count + 1);
}

static int parse_dimension(struct parser *parser, const char *path, const char *name, json_t *object)
{
	if (strcmp(name, "purpose") == 0)
		return parse_purpose(parser, path, object);
	if (strcmp(name, "consumer") == 0)
		return refuse(
			parser, path, object, "needs a mart", "drop it: consumers are told apart once marts exist");
	int index = consent_dimension_index(parser->vocabulary, weir_str_from(name));
	if (index < 0)
		return refuse(parser, path, object, "unknown dimension", dimensions_listed(parser));
	if (parser->vocabulary->dimensions[index].kind == CONSENT_DIM_METRICS)
		return parse_metrics(parser, (uint32_t)index, path, object);
	struct consent_condition condition = {.dimension = (uint32_t)index, .metric_column = CONSENT_NO_COLUMN};
	int code = parse_condition(parser, parser->vocabulary->dimensions[index].kind, path, object, &condition);
	return code != 0 ? code : add_condition(parser, path, object, &condition);
}

static int condition_order(const void *left, const void *right, void *context)
{
	const struct consent_vocabulary *vocabulary = context;
	const struct consent_condition *a = left, *b = right;
	int order =
		weir_str_compare(vocabulary->dimensions[a->dimension].name, vocabulary->dimensions[b->dimension].name);
	return order != 0 ? order : weir_str_compare(a->metric, b->metric);
}

static int parse_dimensions(struct parser *parser, json_t *dimensions)
{
	const char *name;
	json_t *member;
	if (dimensions != NULL && !json_is_object(dimensions))
		return refuse(parser, "/dimensions", dimensions, "not an object", "write {\"purpose\": {...}}");
	json_object_foreach(dimensions, name, member)
	{
		int code = parse_dimension(parser, below(parser, "/dimensions", name), name, member);
		if (code != 0)
			return code;
	}
	if (parser->model->effect == CONSENT_PERMIT && !parser->model->has_purpose)
		return refuse(parser, "/dimensions/purpose", NULL, "a permit names its purposes",
			"add {\"purpose\": {\"operator\": \"IN\", \"values\": [{\"value\": ...}]}}");
	if (!parser->model->has_purpose)
		parser->model->purposes = UINT64_MAX;
	if (parser->model->condition_count > 1)
		qsort_r(parser->conditions, parser->model->condition_count, sizeof *parser->conditions, condition_order,
			&(struct consent_vocabulary){.dimensions = parser->vocabulary->dimensions});
	return 0;
}

/* ---- the document ---- */

static int parse_name(struct parser *parser, const char *path, const json_t *value, size_t limit_bytes,
	const char *remedy, struct weir_str *ret_name)
{
	/* Neither the value nor its text is repeated: it may be a person's id. */
	if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > limit_bytes)
		return refuse(parser, path, NULL, value == NULL ? "missing" : "not a text of the size allowed", remedy);
	*ret_name = text_of(parser, value);
	return 0;
}

static int parse_effect(struct parser *parser, const json_t *effect)
{
	struct weir_str text = WEIR_STR("permit");
	if (effect != NULL)
		text = json_is_string(effect) ? text_of(parser, effect) : WEIR_STR("");
	if (weir_str_is(text, "permit"))
		parser->model->effect = CONSENT_PERMIT;
	else if (weir_str_is(text, "deny"))
		parser->model->effect = CONSENT_DENY;
	else
		return refuse(parser, "/effect", effect, "unknown effect", "use permit or deny");
	return 0;
}

static int parse_document(struct parser *parser, json_t *root)
{
	const char *key;
	json_t *member;
	int code = 0;
	bool posted = parser->document == CONSENT_POSTED;
	if (!json_is_object(root))
		return refuse(parser, "", root, "not an object", "write {\"userId\": ..., \"dimensions\": {...}}");
	json_object_foreach(root, key, member)
	{
		bool known = strcmp(key, "effect") == 0 || strcmp(key, "dimensions") == 0 ||
			(posted && (strcmp(key, "userId") == 0 || strcmp(key, "ruleId") == 0));
		if (!known)
			return refuse(parser, below(parser, "", key), member, "unknown member",
				"a rule has userId, ruleId, effect and dimensions");
	}
	parser->model->rule_id = WEIR_STR("default");
	const json_t *rule_id = json_object_get(root, "ruleId");
	if (posted)
		code = parse_name(parser, "/userId", json_object_get(root, "userId"), CONSENT_RULE_SUBJECT_BYTES,
			"name the data subject, in 1 to 256 bytes", &parser->model->subject);
	if (code == 0 && posted && rule_id != NULL)
		code = parse_name(parser, "/ruleId", rule_id, CONSENT_RULE_ID_BYTES, "name the rule, in 1 to 128 bytes",
			&parser->model->rule_id);
	if (code == 0)
		code = parse_effect(parser, json_object_get(root, "effect"));
	return code != 0 ? code : parse_dimensions(parser, json_object_get(root, "dimensions"));
}

int consent_model_parse(const struct consent_vocabulary *vocabulary, struct weir_arena *arena, struct weir_str json,
	enum consent_document document, struct consent_model *ret_model, struct consent_problem *ret_problem,
	struct weir_error *err)
{
	struct consent_model model = {0};
	struct consent_problem problem = {0};
	struct parser parser = {vocabulary, arena, document, &model, NULL, &problem, err};
	json_t *root = NULL;
	json_error_t json_error;
	int code;
	if (json.size > CONSENT_RULE_BYTES) {
		code = refuse(&parser, "", NULL, "a rule of more than 65536 bytes", "split it");
		goto done;
	}
	root = json_loadb(json.data, json.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &json_error);
	if (root == NULL) {
		/* The parser's own text quotes the document; its place does not. */
		char *remedy = weir_arena_printf(arena, "see byte %d", json_error.position);
		bool twice = json_error_code(&json_error) == json_error_duplicate_key;
		code = refuse(&parser, "", NULL, twice ? "a member that appears twice" : "not valid JSON", remedy);
		goto done;
	}
	parser.conditions = weir_arena_calloc(arena, CONSENT_CONDITIONS_MAX, sizeof *parser.conditions);
	code = parse_document(&parser, root);
	model.conditions = parser.conditions;
	if (code == 0)
		*ret_model = model;
done:
	if (code != 0)
		*ret_problem = problem;
	json_decref(root);
	return code;
}

enum consent_effect consent_body_effect(struct weir_str body)
{
	json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
	const json_t *effect = json_object_get(root, "effect");
	bool permits = json_is_object(root) &&
		(effect == NULL || (json_is_string(effect) && strcmp(json_string_value(effect), "permit") == 0));
	json_decref(root);
	return permits ? CONSENT_PERMIT : CONSENT_DENY;
}
