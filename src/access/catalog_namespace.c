/*
 * Namespaces: rows of iceberg_namespace_properties, one of them `exists` so that a namespace without properties is
 * there too. A namespace is also there where a table or a deeper namespace is: other programs leave out the rows of
 * parents.
 */
#include "access/catalog_int.h"

#define EXISTS_KEY "exists"

int catalog_ns_missing(struct weir_str ns, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_NOT_FOUND, WEIR_STR("namespace"), WEIR_ERROR_NO_OFFSET,
		"Namespace does not exist: %.*s", WEIR_STR_ARG(ns));
}

int catalog_ns_need(struct catalog *catalog, struct weir_str ns, struct weir_error *err)
{
	static const char sql[] = "SELECT COUNT(*) FROM (SELECT namespace FROM iceberg_namespace_properties WHERE "
				  "catalog_name = 'weir' AND"
				  " (namespace = ?1 OR substr(namespace, 1, length(?2)) = ?2) UNION SELECT "
				  "table_namespace FROM iceberg_tables"
				  " WHERE catalog_name = 'weir' AND (table_namespace = ?1 OR substr(table_namespace, "
				  "1, length(?2)) = ?2)) AS found";
	struct weir_buf inside = WEIR_BUF_INIT;
	weir_buf_append(&inside, ns.data, ns.size);
	weir_buf_putc(&inside, '.');
	struct control_value values[] = {CONTROL_T(ns), CONTROL_T(weir_buf_str(&inside))};
	int64_t found = 0;
	int status = control_query_int(catalog->control, sql, values, 2, &found, err);
	weir_buf_done(&inside);
	if (status == 0 && found == 0)
		return catalog_ns_missing(ns, err);
	return status;
}

void catalog_stage_namespace(struct control_change *change, struct weir_str ns)
{
	struct control_value value = CONTROL_T(ns);
	control_change_sql(change, "namespace", CONTROL_ANY,
		"INSERT INTO iceberg_namespace_properties(catalog_name, namespace, property_key, property_value)"
		" VALUES ('weir', ?1, '" EXISTS_KEY "', 'true') ON CONFLICT DO NOTHING",
		&value, 1);
}

/* ---- listing ---- */

struct list {
	struct catalog *catalog;
	const struct access_identity *caller;
	struct weir_arena *arena;
	struct catalog_page *page;
	struct weir_str parent, last;
};

/* Names come in order; what is deeper than the level that is listed shows as its ancestor on that level, once. */
static int list_one(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct list *list = context;
	struct weir_str ns = values[0].text;
	size_t from = list->parent.size > 0 ? list->parent.size + 1 : 0;
	(void)count;
	(void)err;
	if (ns.size <= from || (from > 0 && (!weir_str_has_prefix(ns, list->parent) || ns.data[from - 1] != '.')))
		return 0;
	const char *dot = memchr(ns.data + from, '.', ns.size - from);
	if (dot != NULL)
		ns.size = (size_t)(dot - ns.data);
	if ((list->page->after.size > 0 && weir_str_compare(ns, list->page->after) <= 0) ||
		weir_str_equal(ns, list->last) || !catalog_may_see(list->catalog, list->caller, ns))
		return 0;
	list->last = weir_arena_str(list->arena, ns);
	if (list->page->limit > 0 && json_array_size(list->page->items) == list->page->limit) {
		list->page->more = true;
		return 0;
	}
	if (!list->page->more) {
		json_array_append_new(list->page->items, catalog_ns_to_json(ns));
		list->page->last = list->last;
	}
	return 0;
}

/* Sorted by the ancestor, not by the whole text ("a-b" < "a.b" < "a1"): so both orders are made here. */
struct names {
	struct weir_arena *arena;
	struct weir_str *items;
	size_t count, capacity;
};

static int collect(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	struct names *names = context;
	(void)count;
	(void)err;
	WEIR_GROW(names->items, names->count, names->capacity);
	names->items[names->count++] = weir_arena_str(names->arena, values[0].text);
	return 0;
}

/* By level: a dot comes before every other character. */
static int compare_levels(const void *a, const void *b)
{
	struct weir_str x = *(const struct weir_str *)a, y = *(const struct weir_str *)b;
	size_t at = 0;
	while (at < x.size && at < y.size && x.data[at] == y.data[at])
		at++;
	int left = at == x.size ? -2 : x.data[at] == '.' ? -1 : (unsigned char)x.data[at];
	int right = at == y.size ? -2 : y.data[at] == '.' ? -1 : (unsigned char)y.data[at];
	return (left > right) - (left < right);
}

int catalog_ns_list(struct catalog *catalog, const struct access_identity *caller, struct weir_str parent,
	struct weir_arena *arena, struct catalog_page *page, struct weir_error *err)
{
	static const char sql[] = "SELECT namespace FROM iceberg_namespace_properties WHERE catalog_name = 'weir'"
				  " UNION SELECT table_namespace FROM iceberg_tables WHERE catalog_name = 'weir'";
	struct list list = {.catalog = catalog, .caller = caller, .arena = arena, .page = page, .parent = parent};
	struct names names = {.arena = arena};
	page->items = json_array();
	int status = parent.size > 0 ? catalog_ns_need(catalog, parent, err) : 0;
	if (status == 0)
		status = control_query(catalog->control, sql, NULL, 0, collect, &names, err);
	if (status == 0 && names.count > 0)
		qsort(names.items, names.count, sizeof *names.items, compare_levels);
	for (size_t i = 0; i < names.count && status == 0; i++) {
		struct control_value value = CONTROL_T(names.items[i]);
		status = list_one(&list, &value, 1, err);
	}
	free(names.items);
	/* What the caller may not see, and holds nothing that it may, is as what is not there. */
	if (status == 0 && parent.size > 0 && json_array_size(page->items) == 0 &&
		!catalog_may_see(catalog, caller, parent))
		return catalog_ns_missing(parent, err);
	return status;
}

/* ---- properties ---- */

static int take_property(void *context, const struct control_value *values, unsigned count, struct weir_error *err)
{
	json_t *properties = context;
	(void)count;
	(void)err;
	if (!weir_str_is(values[0].text, EXISTS_KEY))
		json_object_setn_new(properties, values[0].text.data, values[0].text.size,
			json_stringn(values[1].text.data != NULL ? values[1].text.data : "", values[1].text.size));
	return 0;
}

int catalog_ns_load(struct catalog *catalog, struct weir_str ns, json_t **ret_properties, struct weir_error *err)
{
	struct control_value value = CONTROL_T(ns);
	json_t *properties = json_object();
	int status = catalog_ns_need(catalog, ns, err);
	if (status == 0)
		status = control_query(catalog->control,
			"SELECT property_key, property_value FROM iceberg_namespace_properties"
			" WHERE catalog_name = 'weir' AND namespace = ?1",
			&value, 1, take_property, properties, err);
	if (status != 0)
		json_decref(properties);
	else
		*ret_properties = properties;
	return status;
}

static void stage_property(struct control_change *change, struct weir_str ns, const char *key, const json_t *text)
{
	struct control_value values[] = {CONTROL_T(ns), CONTROL_T(weir_str_from(key)),
		CONTROL_T(((struct weir_str){json_string_value(text), json_string_length(text)}))};
	control_change_sql(change, "namespace property", 1,
		"INSERT INTO iceberg_namespace_properties(catalog_name, namespace, property_key, property_value)"
		" VALUES ('weir', ?1, ?2, ?3) ON CONFLICT (catalog_name, namespace, property_key)"
		" DO UPDATE SET property_value = excluded.property_value",
		values, 3);
}

static int check_properties(const json_t *properties, struct weir_error *err)
{
	const char *key;
	json_t *value;
	if (properties != NULL && !json_is_null(properties) && !json_is_object(properties))
		return weir_fail(err, WEIR_E_INPUT, "the namespace's properties are not an object of texts");
	json_object_foreach((json_t *)(uintptr_t)properties, key, value)
	{
		if (!json_is_string(value))
			return weir_fail(
				err, WEIR_E_INPUT, "property '%.100s' is not a text; write its value in quotes", key);
	}
	return 0;
}

static int ns_taken(struct weir_str ns, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_EXISTS, WEIR_STR("namespace"), WEIR_ERROR_NO_OFFSET,
		"Namespace already exists: %.*s", WEIR_STR_ARG(ns));
}

int catalog_ns_create(struct catalog *catalog, struct weir_str ns, const json_t *properties, struct weir_error *err)
{
	struct weir_error missing = WEIR_ERROR_INIT;
	struct control_value value = CONTROL_T(ns);
	struct control_result result;
	const char *key;
	json_t *text;
	int status = check_properties(properties, err);
	if (status == 0)
		status = catalog_refuse_owned(catalog, ns, err);
	if (status != 0)
		return status;
	status = catalog_ns_need(catalog, ns, &missing);
	if (status == 0)
		return ns_taken(ns, err);
	if (status != WEIR_E_NOT_FOUND) {
		*err = missing;
		return status;
	}
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	control_change_sql(change, "namespace", 1,
		"INSERT INTO iceberg_namespace_properties(catalog_name, namespace, property_key, property_value)"
		" VALUES ('weir', ?1, '" EXISTS_KEY "', 'true')",
		&value, 1);
	json_object_foreach((json_t *)(uintptr_t)properties, key, text)
	{
		if (strcmp(key, EXISTS_KEY) != 0)
			stage_property(change, ns, key, text);
	}
	status = control_commit(catalog->control, change, &result, err);
	control_change_free(change);
	return status == 0 && result.outcome == CONTROL_CONFLICT ? ns_taken(ns, err) : status;
}

int catalog_ns_update(struct catalog *catalog, struct weir_str ns, const json_t *removals, const json_t *updates,
	json_t **ret_result, struct weir_error *err)
{
	json_t *properties = NULL, *updated = json_array(), *removed = json_array(), *missing = json_array(), *item;
	struct control_result result = {.outcome = CONTROL_DONE};
	const char *key;
	size_t index;
	int status = check_properties(updates, err);
	if (status == 0)
		status = catalog_refuse_owned(catalog, ns, err);
	if (status == 0)
		status = catalog_ns_load(catalog, ns, &properties, err);
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	catalog_stage_namespace(change, ns);
	json_array_foreach(removals, index, item)
	{
		const char *name = json_string_value(item);
		if (status != 0 || name == NULL)
			continue;
		if (json_object_get(updates, name) != NULL)
			status = weir_fail_at(err, WEIR_E_INPUT, WEIR_STR("both"), WEIR_ERROR_NO_OFFSET,
				"Invalid namespace properties update: property '%.100s' is both updated and removed",
				name);
		struct control_value values[] = {CONTROL_T(ns), CONTROL_T(weir_str_from(name))};
		bool there = json_object_get(properties, name) != NULL;
		json_array_append(there ? removed : missing, item);
		if (there)
			control_change_sql(change, "namespace property", CONTROL_ANY,
				"DELETE FROM iceberg_namespace_properties WHERE catalog_name = 'weir' AND namespace = "
				"?1"
				" AND property_key = ?2",
				values, 2);
	}
	json_object_foreach((json_t *)(uintptr_t)updates, key, item)
	{
		json_array_append_new(updated, json_string(key));
		stage_property(change, ns, key, item);
	}
	if (status == 0)
		status = control_commit(catalog->control, change, &result, err);
	control_change_free(change);
	json_decref(properties);
	json_t *answer = json_pack("{s:o,s:o,s:o}", "updated", updated, "removed", removed, "missing", missing);
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		status = weir_fail(err, WEIR_E_CONFLICT, "the namespace changed at the same time; try again");
	if (status != 0)
		json_decref(answer);
	else
		*ret_result = answer;
	return status;
}

int catalog_ns_drop(struct catalog *catalog, struct weir_str ns, struct weir_error *err)
{
	struct weir_buf inside = WEIR_BUF_INIT;
	struct control_result result;
	int status = catalog_refuse_owned(catalog, ns, err);
	if (status == 0)
		status = catalog_ns_need(catalog, ns, err);
	if (status != 0)
		return status;
	weir_buf_append(&inside, ns.data, ns.size);
	weir_buf_putc(&inside, '.');
	struct control_value values[] = {CONTROL_T(ns), CONTROL_T(weir_buf_str(&inside))};
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	control_change_sql(change, "tables", 0,
		"SELECT 1 FROM iceberg_tables WHERE catalog_name = 'weir'"
		" AND (table_namespace = ?1 OR substr(table_namespace, 1, length(?2)) = ?2) LIMIT 1",
		values, 2);
	control_change_sql(change, "namespaces", 0,
		"SELECT 1 FROM iceberg_namespace_properties WHERE catalog_name = 'weir'"
		" AND substr(namespace, 1, length(?1)) = ?1 LIMIT 1",
		&values[1], 1);
	control_change_sql(change, "namespace", CONTROL_ANY,
		"DELETE FROM iceberg_namespace_properties WHERE catalog_name = 'weir' AND namespace = ?1", values, 1);
	status = control_commit(catalog->control, change, &result, err);
	control_change_free(change);
	weir_buf_done(&inside);
	if (status == 0 && result.outcome == CONTROL_CONFLICT)
		return weir_fail_at(err, WEIR_E_CONFLICT, WEIR_STR("namespace"), WEIR_ERROR_NO_OFFSET,
			"Namespace %.*s is not empty: it holds %s; drop them first", WEIR_STR_ARG(ns), result.conflict);
	return status;
}
