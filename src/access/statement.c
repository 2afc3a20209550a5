/* The operator's SQL: every table as a view over exactly its files, less the fence; audited; history for an auditor only. */
#include <stdlib.h>

#include "access/access_int.h"
#include "iceberg/puffin.h"

#define ATTEMPTS 5

struct access_sql {
	struct access *access;
	struct sql *sql;
	struct weir_str text;
	bool as_auditor;
	struct weir_arena *arena;      /* of the text */
	struct weir_arena *view_arena; /* of one attempt */
	struct ice_table **tables;
	struct ice_file_list **lists;
	struct weir_str *held; /* objects whose local path was given to this attempt */
	size_t held_count, held_capacity;
	uint32_t table_count;
	uint64_t generation; /* of all fences, added up */
	struct sql_session *session;
	struct sql_result *result;
	bool given; /* rows have left */
	uint64_t rows;
};

static uint64_t fences(const struct access *access)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < access->config.lake->consent_count; i++)
		sum += consent_fence_generation(access->config.consents[i]);
	return sum;
}

struct hidden_list {
	struct weir_arena *arena;
	const struct consent_vocabulary *vocabulary;
	struct sql_hidden *items;
	uint32_t count;
};

static void collect_hidden(void *context, struct weir_str subject, uint32_t purpose, uint64_t lsn)
{
	struct hidden_list *list = context;
	list->items[list->count++] = (struct sql_hidden){
		weir_arena_str(list->arena, subject), list->vocabulary->purposes[purpose], (int64_t)lsn};
}

static void hide(struct access_sql *query, const struct lake_table *table, struct sql_view *view)
{
	if (table->kind != LAKE_GOLD)
		return;
	struct consent *consent = query->access->config.consents[table->consent];
	struct consent_fence *fence = consent_fence_ref(consent);
	struct hidden_list list = {query->view_arena, consent_vocabulary_of(consent), NULL, 0};
	list.items = weir_arena_calloc(query->view_arena, consent_fence_count(fence), sizeof *list.items);
	consent_fence_each(fence, collect_hidden, &list);
	view->subject_column = list.vocabulary->subject;
	view->hidden = list.items;
	view->hidden_count = list.count;
	consent_fence_unref(fence);
}

/*
 * Whether a statement can mean a table: its name stands in it, or it can put names together (query, query_table). Where a
 * file costs a download, the others are views that refuse to be read.
 */
static bool may_mean(struct access_sql *query, struct weir_str table)
{
	char *text = weir_arena_cstr(query->view_arena, query->text), *name = weir_arena_cstr(query->view_arena, table);
	return strcasestr(text, name) != NULL || strcasestr(text, "query") != NULL;
}

static int hold_path(struct access_sql *query, struct store *store, struct weir_str uri, struct weir_str *ret_path,
	struct weir_error *err)
{
	struct weir_str object;
	int status = store_name_of(store, query->view_arena, uri, &object, err);
	if (status == 0)
		status = store_local_path(store, query->view_arena, object, ret_path, err);
	if (status != 0)
		return status;
	WEIR_GROW(query->held, query->held_count, query->held_capacity);
	query->held[query->held_count++] = object;
	return 0;
}

struct deleted_list {
	struct sql_deleted *items;
	uint32_t count, capacity;
};

/* What position deletes and vectors take of a file, as ranges: SQL reads the file itself. */
static int list_deleted(struct ice_table *table, const struct ice_data_file *file, uint32_t index,
	struct deleted_list *list, struct weir_error *err)
{
	struct ice_positions *positions;
	uint64_t at = 0;
	for (uint32_t i = 0; i < file->delete_count; i++)
		if (file->deletes[i]->content == ICE_EQUALITY_DELETES)
			return weir_fail_at(err, WEIR_E_UNSUPPORTED, ice_table_metadata_uri(table),
				WEIR_ERROR_NO_OFFSET,
				"the table has equality deletes, which SQL would not apply; compact it first");
	int status = file->delete_count > 0 ? ice_file_deleted_positions(table, file, &positions, err) : 0;
	if (status != 0 || file->delete_count == 0)
		return status;
	while (ice_positions_next(positions, at, &at)) {
		struct sql_deleted *last = list->count > 0 ? &list->items[list->count - 1] : NULL;
		if (last != NULL && last->file == index && last->to == at) {
			last->to = ++at;
			continue;
		}
		WEIR_GROW(list->items, list->count, list->capacity);
		list->items[list->count++] = (struct sql_deleted){index, at, at + 1};
		at++;
	}
	ice_positions_free(positions);
	return 0;
}

static int add_view(struct access_sql *query, uint32_t index, struct sql_view *view, struct weir_error *err)
{
	struct store *store = ice_registry_store(query->access->config.registry);
	struct ice_table *table = query->tables[index];
	struct ice_name name = ice_table_name(table);
	int status = ice_plan(table, -1, &(struct expr_filter){NULL, 0}, &query->lists[index], err);
	if (status != 0)
		return status;
	const struct ice_file_list *files = query->lists[index];
	struct weir_str *paths = weir_arena_calloc(query->view_arena, files->count, sizeof *paths);
	bool meant = !store_is_remote(store) || may_mean(query, name.table);
	for (uint32_t i = 0; i < files->count && meant && status == 0; i++)
		status = hold_path(query, store, files->files[i]->path, &paths[i], err);
	struct deleted_list deleted = {0};
	for (uint32_t i = 0; i < files->count && meant && status == 0; i++)
		status = list_deleted(table, files->files[i], i, &deleted, err);
	view->deleted = weir_arena_copy(query->view_arena, deleted.items, deleted.count * sizeof *deleted.items);
	view->deleted_count = deleted.count;
	free(deleted.items);
	view->ns = name.ns;
	view->name = name.table;
	view->schema = ice_table_schema(table);
	view->files = paths;
	view->file_count = meant ? files->count : 0;
	if (!meant)
		view->refusal = WEIR_STR("this warehouse is remote: a statement names the tables that it reads");
	return status;
}

static void close_attempt(struct access_sql *query)
{
	sql_result_free(query->result);
	sql_session_free(query->session);
	for (uint32_t i = 0; i < query->table_count; i++) {
		if (query->lists[i] != NULL)
			ice_file_list_free(query->lists[i]);
		if (query->tables[i] != NULL)
			ice_table_unref(query->tables[i]);
	}
	for (size_t i = 0; i < query->held_count; i++)
		store_local_release(ice_registry_store(query->access->config.registry), query->held[i]);
	free(query->held);
	free(query->lists);
	free(query->tables);
	weir_arena_free(query->view_arena);
	query->result = NULL;
	query->session = NULL;
	query->lists = NULL;
	query->tables = NULL;
	query->view_arena = NULL;
	query->table_count = 0;
	query->held = NULL;
	query->held_count = query->held_capacity = 0;
}

static int open_attempt(struct access_sql *query, struct weir_error *err)
{
	struct access *access = query->access;
	const struct lake *lake = access->config.lake;
	close_attempt(query);
	query->generation = fences(access);
	query->table_count = ice_registry_count(access->config.registry);
	query->tables = weir_zalloc(query->table_count * sizeof(struct ice_table *));
	query->lists = weir_zalloc(query->table_count * sizeof(struct ice_file_list *));
	query->view_arena = weir_arena_new(0);
	struct sql_view *views = weir_arena_calloc(query->view_arena, query->table_count, sizeof *views);
	uint32_t *shown = weir_arena_calloc(query->view_arena, query->table_count, sizeof *shown), count = 0;
	int status = 0;
	for (uint32_t i = 0; i < query->table_count; i++)
		if (i >= lake->table_count || lake->tables[i].kind != LAKE_HISTORY_OF || query->as_auditor)
			shown[count++] = i;
	for (uint32_t i = 0; i < count; i++) /* the fence before the versions */
		if (shown[i] < lake->table_count)
			hide(query, &lake->tables[shown[i]], &views[i]);
	struct ice_table **versions = weir_arena_calloc(query->view_arena, count, sizeof(struct ice_table *));
	ice_registry_tables(access->config.registry, shown, count, versions); /* of one moment: they may be joined */
	for (uint32_t i = 0; i < count; i++)
		query->tables[shown[i]] = versions[i];
	for (uint32_t i = 0; i < count && status == 0; i++)
		status = add_view(query, shown[i], &views[i], err);
	if (status == 0)
		status = sql_session_new(query->sql, views, count, &query->session, err);
	if (status == 0)
		status = sql_session_query(query->session, query->text, &query->result, err);
	return status;
}

/* Why a statement that names a history table finds none. */
static int explain_history(const struct access_sql *query, int status, struct weir_error *err)
{
	const struct lake *lake = query->access->config.lake;
	for (uint32_t i = 0; i < lake->table_count && !query->as_auditor; i++) {
		const struct lake_table *table = &lake->tables[i];
		const char *name = weir_arena_printf(
			query->arena, "%.*s.%.*s", WEIR_STR_ARG(table->ns), WEIR_STR_ARG(table->name));
		if (table->kind == LAKE_HISTORY_OF &&
			memmem(query->text.data, query->text.size, name, strlen(name)) != NULL)
			return weir_fail(err, WEIR_E_DENIED, "only an auditor may read %s: add --as auditor", name);
	}
	return status;
}

int access_sql_open(struct access *access, struct sql *sql, struct weir_str text, bool as_auditor,
	struct access_sql **ret_sql, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct access_sql *query = weir_arena_zalloc(arena, sizeof *query);
	struct access_identity operator= access_operator();
	if (as_auditor)
		operator.role = ACCESS_AUDITOR;
	struct access_record record = {.identity = &operator, .route = WEIR_STR("sql"), .outcome = "allowed"};
	*query = (struct access_sql){.access = access,
		.sql = sql,
		.text = weir_arena_str(arena, text),
		.as_auditor = as_auditor,
		.arena = arena};
	int status = access_audit(access, &record, true, err);
	if (status == 0)
		status = open_attempt(query, err);
	if (status != 0)
		status = explain_history(query, status, err);
	if (status != 0) {
		access_sql_free(query);
		return status;
	}
	*ret_sql = query;
	return 0;
}

const struct weir_schema *access_sql_schema(const struct access_sql *query)
{
	return sql_result_schema(query->result);
}

int access_sql_next(struct access_sql *query, struct weir_batch **ret_batch, struct weir_error *err)
{
	for (unsigned tries = 0; tries < ATTEMPTS; tries++) {
		struct weir_batch *batch = NULL;
		int status = sql_result_next(query->result, &batch, err);
		bool moved = fences(query->access) != query->generation;
		if (!moved) {
			query->given = query->given || (status == 0 && batch != NULL);
			*ret_batch = batch;
			return status;
		}
		weir_batch_release(status == 0 ? batch : NULL);
		if (query->given)
			return weir_fail(err, WEIR_E_CONFLICT,
				"consent changed while the answer was read, so it ends here; run the statement again");
		status = open_attempt(query, err);
		if (status != 0)
			return status;
	}
	return weir_fail(err, WEIR_E_BUSY, "consent changes faster than this statement can be read; try again");
}

void access_sql_free(struct access_sql *query)
{
	if (query == NULL)
		return;
	close_attempt(query);
	weir_arena_free(query->arena);
}
