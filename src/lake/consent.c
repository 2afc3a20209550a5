/* The sections `consent` and `query` of lake.yaml. */
#include "lake/lake_int.h"

#include <stdio.h>

#include "base/time.h"

static int read_dimension(struct lake_yaml *yaml, const struct lake_entry *entry, struct lake_dimension *dimension,
	struct weir_error *err)
{
	enum { D_COLUMN, D_TYPE, D_UNTIL, D_COLUMNS, D_MAP, D_COUNT };
	static const char *const keys[D_COUNT] = {"column", "type", "until", "columns", "map"};
	static const char *const types[] = {"text", "number", "boolean", "time", "metrics"};
	struct fy_node *values[D_COUNT];
	char what[96];
	int code = lake_name_check(yaml, entry->key, entry->name, err);
	if (code < 0)
		return code;
	snprintf(what, sizeof what, "dimension %.*s", WEIR_STR_ARG(entry->name));
	dimension->name = weir_arena_str(yaml->arena, entry->name);
	if (weir_str_is(dimension->name, "purpose") || weir_str_is(dimension->name, "consumer"))
		return lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "%s is weir's own; leave it out", what);
	code = lake_yaml_members(yaml, entry->value, what, keys, D_COUNT, values, err);
	uint32_t type = values[D_COLUMNS] != NULL || values[D_MAP] != NULL ? LAKE_DIM_METRICS : LAKE_DIM_TEXT;
	if (code == 0)
		code = lake_yaml_choice(
			yaml, values[D_TYPE], "type of dimension", types, LAKE_COUNT(types), &type, err);
	dimension->kind = (enum lake_dimension_kind)type;
	if (code == 0)
		code = lake_yaml_name(yaml, values[D_COLUMN], &dimension->column, err);
	if (code == 0)
		code = lake_yaml_name(yaml, values[D_UNTIL], &dimension->until, err);
	if (code == 0)
		code = lake_yaml_name(yaml, values[D_MAP], &dimension->map, err);
	if (code == 0)
		code = lake_yaml_names(yaml, values[D_COLUMNS], &dimension->columns, &dimension->column_count, err);
	if (code < 0)
		return code;
	bool metrics = dimension->kind == LAKE_DIM_METRICS;
	if (metrics && values[D_COLUMN] != NULL)
		return lake_yaml_fail(yaml, values[D_COLUMN], WEIR_E_INPUT, err,
			"%s is of metrics: it has columns and map, not column", what);
	if (metrics && dimension->column_count == 0 && dimension->map.size == 0)
		return lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "%s has neither columns nor map", what);
	if (!metrics && (values[D_COLUMNS] != NULL || values[D_MAP] != NULL))
		return lake_yaml_fail(yaml, values[D_COLUMNS] != NULL ? values[D_COLUMNS] : values[D_MAP], WEIR_E_INPUT,
			err, "only a dimension of type metrics has columns and map");
	if (!metrics && dimension->column.size == 0)
		return lake_yaml_fail(
			yaml, entry->key, WEIR_E_INPUT, err, "%s has no column; add 'column: NAME'", what);
	if (dimension->until.size > 0 && dimension->kind != LAKE_DIM_TIME)
		return lake_yaml_fail(
			yaml, values[D_UNTIL], WEIR_E_INPUT, err, "only a dimension of type time has 'until'");
	return 0;
}

static int read_consent(
	struct lake_yaml *yaml, const struct lake_entry *entry, struct lake_consent *consent, struct weir_error *err)
{
	enum { C_SUBJECT, C_PURPOSES, C_DIMENSIONS, C_ERASE, C_COUNT };
	static const char *const keys[C_COUNT] = {"subject", "purposes", "dimensions", "erase_within"};
	struct fy_node *values[C_COUNT];
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	char what[96];
	int code = lake_name_check(yaml, entry->key, entry->name, err);
	if (code < 0)
		return code;
	snprintf(what, sizeof what, "consent %.*s", WEIR_STR_ARG(entry->name));
	consent->name = weir_arena_str(yaml->arena, entry->name);
	code = lake_yaml_members(yaml, entry->value, what, keys, C_COUNT, values, err);
	if (code == 0 && (values[C_SUBJECT] == NULL || values[C_PURPOSES] == NULL))
		code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "%s has no %s", what,
			values[C_SUBJECT] == NULL ? "subject; add 'subject: COLUMN'"
						  : "purposes; add 'purposes: [NAME]'");
	if (code == 0)
		code = lake_yaml_name(yaml, values[C_SUBJECT], &consent->subject, err);
	if (code == 0)
		code = lake_yaml_names(yaml, values[C_PURPOSES], &consent->purposes, &consent->purpose_count, err);
	if (code == 0 && (consent->purpose_count == 0 || consent->purpose_count > LAKE_MAX_PURPOSES))
		code = lake_yaml_fail(yaml, values[C_PURPOSES], WEIR_E_LIMIT, err, "%s needs 1 to %d purposes, not %u",
			what, LAKE_MAX_PURPOSES, consent->purpose_count);
	if (code == 0)
		code = lake_yaml_entries(yaml, values[C_DIMENSIONS], "dimensions", &entries, &count, err);
	consent->erase_within_us = 60 * WEIR_US_PER_SECOND;
	if (code == 0)
		code = lake_yaml_duration(yaml, values[C_ERASE], &consent->erase_within_us, err);
	struct lake_dimension *dimensions = weir_arena_calloc(yaml->arena, count, sizeof *dimensions);
	consent->dimensions = dimensions;
	consent->dimension_count = count;
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_dimension(yaml, &entries[i], &dimensions[i], err);
	return code;
}

int lake_read_consents(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "consent", &entries, &count, err);
	if (code < 0)
		return code;
	struct lake_consent *consents = weir_arena_calloc(yaml->arena, count, sizeof *consents);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_consent(yaml, &entries[i], &consents[i], err);
	yaml->lake->consents = consents;
	yaml->lake->consent_count = count;
	return code;
}

/* "timestamp >=": a column and an operator; the operator "=" may be left out. */
static bool parse_condition(struct weir_str text, struct lake_where *where)
{
	static const char *const operators[] = {">=", "<=", "="};
	where->op = WEIR_STR("=");
	for (size_t i = 0; i < LAKE_COUNT(operators); i++) {
		struct weir_str op = weir_str_from(operators[i]);
		if (weir_str_has_suffix(text, op)) {
			where->op = op;
			text.size -= op.size;
			break;
		}
	}
	while (text.size > 0 && text.data[text.size - 1] == ' ')
		text.size--;
	where->column = text;
	return lake_is_identifier(text);
}

static int read_where(struct lake_yaml *yaml, struct fy_node *node, struct lake_query *query, struct weir_error *err)
{
	/* Parameters of every query route, whatever its columns. */
	static const char *const own[] = {"purpose", "columns", "limit", "cursor", "explain"};
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "where", &entries, &count, err);
	if (code < 0)
		return code;
	struct lake_where *where = weir_arena_calloc(yaml->arena, count, sizeof *where);
	query->where = where;
	query->where_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct weir_str text = {0};
		code = lake_name_check(yaml, entries[i].key, entries[i].name, err);
		if (code < 0)
			return code;
		where[i].parameter = weir_arena_str(yaml->arena, entries[i].name);
		for (size_t k = 0; k < LAKE_COUNT(own); k++) {
			if (weir_str_is(where[i].parameter, own[k]))
				return lake_yaml_fail(yaml, entries[i].key, WEIR_E_INPUT, err,
					"parameter '%s' is on every route already; choose another name", own[k]);
		}
		code = lake_yaml_text(yaml, entries[i].value, &text, err);
		if (code < 0)
			return code;
		if (!parse_condition(text, &where[i]))
			return lake_yaml_fail(yaml, entries[i].value != NULL ? entries[i].value : entries[i].key,
				WEIR_E_INPUT, err, "'%.*s' is no condition; write COLUMN, 'COLUMN >=' or 'COLUMN <='",
				WEIR_STR_ARG(text));
	}
	return 0;
}

static int read_limit(struct lake_yaml *yaml, struct fy_node *node, struct lake_query *query, struct weir_error *err)
{
	query->limit_default = 1000;
	query->limit_max = 100000;
	if (node == NULL)
		return 0;
	const struct weir_str *texts = NULL;
	uint32_t count = 0;
	int code = lake_yaml_texts(yaml, node, &texts, &count, err);
	if (code < 0)
		return code;
	if (count > 2 || count == 0)
		return lake_yaml_fail(
			yaml, node, WEIR_E_INPUT, err, "a limit is [default, largest], as in [1000, 100000]");
	code = lake_yaml_count(yaml, lake_yaml_element(node, 0), 1, 10000000, &query->limit_default, err);
	query->limit_max = query->limit_default;
	if (code == 0 && count == 2)
		code = lake_yaml_count(
			yaml, lake_yaml_element(node, 1), query->limit_default, 10000000, &query->limit_max, err);
	return code;
}

static int read_query(
	struct lake_yaml *yaml, const struct lake_entry *entry, struct lake_query *query, struct weir_error *err)
{
	enum { Q_TABLE, Q_ORDER, Q_LIMIT, Q_WHERE, Q_COUNT };
	static const char *const keys[Q_COUNT] = {"table", "order", "limit", "where"};
	const struct lake *lake = yaml->lake;
	struct fy_node *values[Q_COUNT];
	struct weir_str table = {0};
	if (entry->name.data[0] != '/' || entry->name.size > 200)
		return lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "a route begins with '/', as in /api/query");
	query->route = weir_arena_str(yaml->arena, entry->name);
	int code = lake_yaml_members(yaml, entry->value, "the route", keys, Q_COUNT, values, err);
	if (code == 0 && (values[Q_TABLE] == NULL || values[Q_ORDER] == NULL))
		code = lake_yaml_fail(yaml, entry->key, WEIR_E_INPUT, err, "the route has no %s",
			values[Q_TABLE] == NULL ? "table; add 'table: NAMESPACE.NAME'"
						: "order; add 'order: [COLUMN]'");
	if (code == 0)
		code = lake_yaml_text(yaml, values[Q_TABLE], &table, err);
	if (code < 0)
		return code;
	const char **names = weir_arena_calloc(yaml->arena, lake->table_count + 1, sizeof *names);
	uint32_t name_count = 0;
	query->table = UINT32_MAX;
	for (uint32_t i = 0; i < lake->table_count; i++) {
		const struct lake_table *one = &lake->tables[i];
		if (one->kind != LAKE_GOLD)
			continue;
		names[name_count] =
			weir_arena_printf(yaml->arena, "%.*s.%.*s", WEIR_STR_ARG(one->ns), WEIR_STR_ARG(one->name));
		if (weir_str_is(table, names[name_count++]))
			query->table = i;
	}
	if (query->table == UINT32_MAX)
		return lake_yaml_unknown(yaml, values[Q_TABLE], "table with consent", table, names, name_count, err);
	code = lake_yaml_names(yaml, values[Q_ORDER], &query->order, &query->order_count, err);
	if (code == 0)
		code = read_limit(yaml, values[Q_LIMIT], query, err);
	if (code == 0)
		code = read_where(yaml, values[Q_WHERE], query, err);
	return code;
}

int lake_read_queries(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, "query", &entries, &count, err);
	if (code < 0)
		return code;
	struct lake_query *queries = weir_arena_calloc(yaml->arena, count, sizeof *queries);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = read_query(yaml, &entries[i], &queries[i], err);
	yaml->lake->queries = queries;
	yaml->lake->query_count = count;
	return code;
}
