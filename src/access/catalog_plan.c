/*
 * Planning scans for clients (REST specification, planTableScan): which files of a table a scan has to read, as the local
 * planner says.
 *
 * Nothing is kept between calls. A plan that is larger than one answer goes on in plan tasks, and a plan task is the request
 * itself, its snapshot fixed, with the range of files that it stands for: planning it again gives the same files in the same
 * order, because manifests never change. So is a plan's id. Whoever makes such a token up gets what the same request would
 * have got: each call is admitted, and each plan of a governed table audited, by itself.
 *
 * A slice is planned over the rows of its purposes alone: the purpose is a term of the filter, and each file is looked at
 * again before it is given.
 */
#include <stdlib.h>

#include "access/catalog_int.h"
#include "base/base64.h"
#include "iceberg/rest_scan.h"
#include "iceberg/revise.h"

#define PLAN_FILES       2000       /* of one answer, where the tokens of all answers have room */
#define PLAN_TASKS_MAX   256        /* tokens of a plan */
#define PLAN_TOKEN_BYTES (8U << 20) /* of all of them */
#define PLAN_ID_BYTES    4096       /* a longer plan id is left out: it would not fit in a URL */
#define SLICE_AGE_MS     60000      /* how long a consumer may plan a snapshot that is no longer the newest */
#define PLAN_ATTEMPTS    5

struct request {
	int64_t snapshot_id, start_id, end_id; /* -1: none */
	int64_t schema_id;                     /* whose names the filter uses; -1: to be found */
	int64_t min_rows;                      /* -1: all */
	bool case_sensitive, snapshot_schema;
	const json_t *filter, *stats;
	uint64_t from, count; /* files; count 0: the first answer */
	const char *token;    /* what a token that does not hold is called: "plan", "task"; NULL: no token */
};

/* ---- tokens: base64url of a request, as JSON ---- */

static json_t *token_json(const struct request *request)
{
	json_t *json = json_object();
	const struct {
		const char *key;
		int64_t value;
	} numbers[] = {{"snapshot-id", request->snapshot_id}, {"start-snapshot-id", request->start_id},
		{"end-snapshot-id", request->end_id}, {"schema-id", request->schema_id},
		{"min-rows-requested", request->min_rows}};
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i].value != -1)
			json_object_set_new(json, numbers[i].key, json_integer(numbers[i].value));
	if (!request->case_sensitive)
		json_object_set_new(json, "case-sensitive", json_false());
	if (request->filter != NULL)
		json_object_set(json, "filter", (json_t *)(uintptr_t)request->filter);
	if (request->stats != NULL)
		json_object_set(json, "stats-fields", (json_t *)(uintptr_t)request->stats);
	return json;
}

/* The token of a range of files; count 0: of the plan itself. */
static void put_token(const struct request *request, uint64_t from, uint64_t count, struct weir_buf *out)
{
	json_t *json = token_json(request);
	if (count > 0) {
		json_object_set_new(json, "from", json_integer((json_int_t)from));
		json_object_set_new(json, "count", json_integer((json_int_t)count));
	}
	char *text = json_dumps(json, JSON_COMPACT);
	WEIR_ASSERT(text != NULL);
	weir_base64_write(out, WEIR_BASE64URL, weir_str_from(text));
	free(text);
	json_decref(json);
}

static int no_such_token(const char *what, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(what), WEIR_ERROR_NO_OFFSET,
		"there is no such plan%s of this table: it is another table's, or its snapshot has expired; plan the "
		"scan again",
		strcmp(what, "task") == 0 ? " task" : "");
}

/* ---- requests ---- */

static bool flag(const json_t *json, const char *key, bool absent)
{
	const json_t *value = json_object_get(json, key);
	return json_is_boolean(value) ? json_is_true(value) : absent;
}

static bool is_integer(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);
	return value == NULL || json_is_null(value) || json_is_integer(value);
}

static bool is_texts(const json_t *json)
{
	const json_t *item;
	size_t index;
	if (json == NULL || json_is_null(json))
		return true;
	json_array_foreach((json_t *)(uintptr_t)json, index, item)
	{
		if (!json_is_string(item))
			return false;
	}
	return json_is_array(json);
}

static int request_read(const json_t *json, const char *token, struct request *ret, struct weir_error *err)
{
	const json_t *stats = json_object_get(json, "stats-fields"), *filter = json_object_get(json, "filter");
	*ret = (struct request){.snapshot_id = ice_rest_int(json, "snapshot-id", -1),
		.start_id = ice_rest_int(json, "start-snapshot-id", -1),
		.end_id = ice_rest_int(json, "end-snapshot-id", -1),
		.schema_id = token != NULL ? ice_rest_int(json, "schema-id", -1) : -1,
		.min_rows = ice_rest_int(json, "min-rows-requested", -1),
		.case_sensitive = flag(json, "case-sensitive", true),
		.snapshot_schema = flag(json, "use-snapshot-schema", false),
		.filter = filter,
		.stats = json_is_null(stats) ? NULL : stats,
		.token = token};
	int64_t from = ice_rest_int(json, "from", 0), count = ice_rest_int(json, "count", 0);
	if (token != NULL && (from < 0 || count < 0))
		return no_such_token(token, err);
	if (token != NULL) {
		ret->from = (uint64_t)from;
		ret->count = (uint64_t)count;
	}
	if (json_is_null(filter)) /* which would silently be all rows */
		return weir_fail(err, WEIR_E_INPUT, "'filter' is null; leave it out, or send a predicate");
	if (!is_integer(json, "snapshot-id") || !is_integer(json, "start-snapshot-id") ||
		!is_integer(json, "end-snapshot-id"))
		return weir_fail(err, WEIR_E_INPUT, "a snapshot's id is an integer");
	if (!is_texts(ret->stats) || !is_texts(json_object_get(json, "select")))
		return weir_fail(err, WEIR_E_INPUT, "'select' and 'stats-fields' are arrays of columns' names");
	bool ranged = ret->start_id != -1 || ret->end_id != -1;
	if (ranged && (ret->start_id == -1 || ret->end_id == -1))
		return weir_fail(
			err, WEIR_E_INPUT, "an incremental scan has both 'start-snapshot-id' and 'end-snapshot-id'");
	if (ranged && ret->snapshot_id != -1)
		return weir_fail(err, WEIR_E_INPUT,
			"a scan is of one 'snapshot-id', or from 'start-snapshot-id' to 'end-snapshot-id', not both");
	return 0;
}

/* ---- versions ---- */

/* A version of a table that is not the lake's; those that were planned last are kept. */
static int open_version(struct catalog *catalog, struct catalog_name name, struct weir_str location,
	struct ice_table **ret_table, struct weir_error *err)
{
	struct ice_table *table = NULL;
	pthread_mutex_lock(&catalog->lock);
	for (unsigned i = 0; i < CATALOG_VERSIONS && table == NULL; i++)
		if (catalog->versions[i] != NULL &&
			weir_str_equal(ice_table_metadata_uri(catalog->versions[i]), location))
			table = ice_table_ref(catalog->versions[i]);
	pthread_mutex_unlock(&catalog->lock);
	if (table == NULL) {
		int status = ice_table_open(
			catalog->store, catalog->cache, (struct ice_name){name.ns, name.name}, location, &table, err);
		if (status != 0)
			return status;
		pthread_mutex_lock(&catalog->lock);
		struct ice_table **place = &catalog->versions[catalog->next_version++ % CATALOG_VERSIONS],
				 *old = *place;
		*place = ice_table_ref(table);
		pthread_mutex_unlock(&catalog->lock);
		ice_table_unref(old);
	}
	*ret_table = table;
	return 0;
}

/* The slice's snapshots: the newest, and for a moment those that were, as the lists that a load gives. */
static bool is_slices_snapshot(struct catalog *catalog, const struct ice_metadata *metadata, int64_t snapshot_id)
{
	int64_t now_ms = catalog_now_ms(catalog);
	const struct ice_snapshot *at = ice_metadata_current(metadata);
	while (at != NULL && at->id != snapshot_id) {
		if (now_ms - at->timestamp_ms > SLICE_AGE_MS) /* it took the place of its parent then */
			return false;
		at = ice_metadata_snapshot(metadata, at->parent_id);
	}
	return at != NULL;
}

/* Finds the snapshots and the schema that the request means, and writes them into it. */
static int settle_request(struct catalog *catalog, const struct catalog_admission *admission, struct ice_table *table,
	struct request *request, const struct weir_schema **ret_schema, struct weir_error *err)
{
	const struct ice_metadata *metadata = ice_table_metadata(table);
	const struct ice_snapshot *snapshot;
	bool sliced = admission->sliced;
	if (request->end_id != -1) {
		snapshot = ice_metadata_snapshot(metadata, request->end_id);
		if (sliced)
			return weir_fail(err, WEIR_E_UNSUPPORTED,
				"of a slice the newest snapshot is planned alone, not what came between two");
		bool known = snapshot != NULL && ice_is_ancestor(metadata, request->start_id, snapshot->id);
		if (!known && request->token != NULL)
			return no_such_token(request->token, err);
		if (!known)
			return weir_fail(err, WEIR_E_INPUT,
				"Starting snapshot (exclusive) %lld is not a parent ancestor of end snapshot %lld",
				(long long)request->start_id, (long long)request->end_id);
	} else {
		snapshot = request->snapshot_id != -1 ? ice_metadata_snapshot(metadata, request->snapshot_id)
						      : ice_metadata_current(metadata);
		bool known = request->snapshot_id == -1 ||
			(snapshot != NULL && (!sliced || is_slices_snapshot(catalog, metadata, snapshot->id)));
		if (!known && request->token != NULL)
			return no_such_token(request->token, err);
		if (!known)
			return weir_fail(err, WEIR_E_INPUT, "Cannot find snapshot with ID %lld",
				(long long)request->snapshot_id);
		request->snapshot_id = snapshot != NULL ? snapshot->id : -1;
	}
	if (request->schema_id == -1)
		request->schema_id = request->snapshot_schema && snapshot != NULL && snapshot->schema_id >= 0
			? snapshot->schema_id
			: metadata->current_schema_id;
	*ret_schema = ice_metadata_schema(metadata, (int32_t)request->schema_id);
	if (*ret_schema == NULL && request->token != NULL)
		return no_such_token(request->token, err);
	return *ret_schema != NULL
		? 0
		: weir_fail(err, WEIR_E_CORRUPT, "the table has no schema %lld", (long long)request->schema_id);
}

/* ---- slices ---- */

struct slice_terms {
	int32_t column_id;
	struct weir_str *names;
	uint32_t count;
	struct expr_term *terms; /* of the filter, and that of the purposes */
	struct expr_filter filter;
};

static int slice_terms_make(struct catalog *catalog, const struct catalog_admission *admission,
	const struct ice_table *table, const struct expr_filter *wanted, struct weir_arena *arena,
	struct slice_terms *ret, struct weir_error *err)
{
	uint32_t column = weir_schema_find(ice_table_schema(table), WEIR_STR("purpose"));
	if (column == WEIR_NO_FIELD)
		return weir_fail(err, WEIR_E_CORRUPT, "the table has no column purpose to slice by");
	ret->column_id = ice_table_schema(table)->fields[column].id;
	ret->names = catalog_purposes(catalog, admission->table, admission->purposes, arena, &ret->count);
	struct expr_value *values = weir_arena_calloc(arena, ret->count > 0 ? ret->count : 1, sizeof *values);
	for (uint32_t i = 0; i < ret->count; i++)
		values[i] = (struct expr_value){.kind = EXPR_TEXT, .u.text = ret->names[i]};
	expr_values_sort(values, ret->count);
	ret->terms = weir_arena_calloc(arena, wanted->term_count + 1, sizeof *ret->terms);
	if (wanted->term_count > 0)
		memcpy(ret->terms, wanted->terms, wanted->term_count * sizeof *ret->terms);
	ret->terms[wanted->term_count] = (struct expr_term){ret->column_id, EXPR_IN, values, ret->count};
	ret->filter = (struct expr_filter){ret->terms, wanted->term_count + 1};
	return 0;
}

/* 1: all rows of the file are of the slice, 0: none is; fails closed where its partition does not say. */
static int file_of_slice(const struct slice_terms *slice, const struct ice_table *table,
	const struct ice_data_file *file, struct weir_error *err)
{
	const struct ice_spec *spec = ice_metadata_spec(ice_table_metadata(table), file->spec_id);
	for (uint32_t i = 0; spec != NULL && i < spec->field_count && i < file->partition_count; i++) {
		const struct ice_partition_value *value = &file->partition[i];
		if (spec->fields[i].source_id != slice->column_id || spec->fields[i].transform.kind != ICE_IDENTITY)
			continue;
		if (value->is_null || value->value.kind != EXPR_TEXT)
			break;
		for (uint32_t j = 0; j < slice->count; j++)
			if (weir_str_equal(value->value.u.text, slice->names[j]))
				return 1;
		return 0;
	}
	return weir_fail_at(err, WEIR_E_CORRUPT, file->path, WEIR_ERROR_NO_OFFSET,
		"this file may hold rows of more than one slice; no slice of the table is given until it is rewritten");
}

/* Whether the file, and what deletes from it, is of the slice. */
static int whole_of_slice(const struct slice_terms *slice, const struct ice_table *table,
	const struct ice_data_file *file, struct weir_error *err)
{
	int is = file_of_slice(slice, table, file, err);
	for (uint32_t i = 0; is == 1 && i < file->delete_count; i++) {
		is = file_of_slice(slice, table, file->deletes[i], err);
		if (is == 0)
			is = weir_fail_at(err, WEIR_E_CORRUPT, file->deletes[i]->path, WEIR_ERROR_NO_OFFSET,
				"a delete file of another slice applies to a file of this one");
	}
	return is;
}

/* ---- planning ---- */

struct planned {
	struct ice_table *table;
	struct ice_rest_filter *filter;
	struct ice_file_list *list;
	const struct ice_data_file **files; /* of the list, those that are given */
	uint32_t count;
};

static void planned_done(struct planned *planned)
{
	free(planned->files);
	ice_file_list_free(planned->list);
	ice_rest_filter_free(planned->filter);
	ice_table_unref(planned->table);
	*planned = (struct planned){0};
}

static int choose_files(
	struct planned *planned, const struct request *request, const struct slice_terms *slice, struct weir_error *err)
{
	int64_t rows = 0;
	bool enough_rows =
		request->min_rows >= 0 && ice_rest_filter_is_true(planned->filter) && planned->list->delete_files == 0;
	planned->files = weir_zalloc((planned->list->count + 1) * sizeof *planned->files);
	for (uint32_t i = 0; i < planned->list->count && !(enough_rows && rows >= request->min_rows); i++) {
		const struct ice_data_file *file = planned->list->files[i];
		if (!ice_rest_filter_may_match(planned->filter, file))
			continue;
		int of_slice = slice != NULL ? whole_of_slice(slice, planned->table, file, err) : 1;
		if (of_slice < 0)
			return of_slice;
		if (of_slice == 0)
			continue;
		planned->files[planned->count++] = file;
		rows += file->record_count;
	}
	return 0;
}

static int plan_version(struct catalog *catalog, const struct catalog_admission *admission, struct request *request,
	struct weir_arena *arena, struct planned *planned, struct weir_error *err)
{
	const struct weir_schema *schema;
	struct slice_terms slice = {0};
	int status = settle_request(catalog, admission, planned->table, request, &schema, err);
	if (status == 0)
		status = ice_rest_filter_new(
			planned->table, schema, request->filter, request->case_sensitive, &planned->filter, err);
	if (status != 0)
		return status;
	const struct expr_filter *terms = ice_rest_filter_terms(planned->filter);
	if (admission->sliced) {
		status = slice_terms_make(catalog, admission, planned->table, terms, arena, &slice, err);
		terms = &slice.filter;
	}
	if (status == 0)
		status = request->end_id != -1
			? ice_plan_appends(
				  planned->table, request->start_id, request->end_id, terms, &planned->list, err)
			: ice_plan(planned->table, request->snapshot_id, terms, &planned->list, err);
	return status == 0 ? choose_files(planned, request, admission->sliced ? &slice : NULL, err) : status;
}

static int find_version(struct catalog *catalog, const struct catalog_admission *admission, struct catalog_name name,
	struct weir_arena *arena, struct ice_table **ret_table, struct weir_error *err)
{
	struct catalog_pointer pointer;
	if (admission->table != NULL) {
		*ret_table = ice_registry_table(catalog->config.registry, admission->index);
		return 0;
	}
	int status = catalog_pointer_need(catalog, arena, CATALOG_TABLE, name, &pointer, err);
	return status == 0 ? open_version(catalog, name, pointer.location, ret_table, err) : status;
}

/* ---- answers ---- */

static void stats_ids(const struct request *request, const struct planned *planned, struct weir_arena *arena,
	struct ice_rest_tasks *tasks)
{
	const struct weir_schema *schema =
		ice_metadata_schema(ice_table_metadata(planned->table), (int32_t)request->schema_id);
	size_t count = json_array_size(request->stats);
	int32_t *ids = weir_arena_calloc(arena, count > 0 ? count : 1, sizeof *ids);
	for (size_t i = 0; i < count; i++) {
		const json_t *name = json_array_get(request->stats, i);
		const struct weir_field *field = ice_rest_field(schema,
			(struct weir_str){json_string_value(name), json_string_length(name)}, request->case_sensitive);
		if (field != NULL)
			ids[tasks->stats_count++] = field->id;
	}
	tasks->stats_ids = ids;
}

/* Files of one answer: more than usual where the tokens of so many answers would take too much room. */
static uint32_t page_size(const struct catalog *catalog, uint32_t files, size_t token_bytes)
{
	uint32_t usual = catalog->plan_files > 0 ? catalog->plan_files : PLAN_FILES;
	uint64_t tokens = PLAN_TOKEN_BYTES / (token_bytes + 1);
	tokens = tokens < 1 ? 1 : tokens < PLAN_TASKS_MAX ? tokens : PLAN_TASKS_MAX;
	uint64_t least = (files + tokens - 1) / tokens;
	return least > usual ? (uint32_t)least : usual;
}

static void write_plan_tasks(
	const struct request *request, uint32_t files, uint32_t page, struct weir_buf *token, struct weir_json *json)
{
	weir_json_key(json, "plan-tasks");
	weir_json_array(json);
	for (uint64_t from = page; from < files; from += page) {
		token->size = 0;
		put_token(request, from, page, token);
		weir_json_string(json, weir_buf_str(token));
	}
	weir_json_array_end(json);
}

static void write_answer(struct catalog *catalog, const struct request *request, const struct planned *planned,
	struct weir_arena *arena, struct weir_buf *out)
{
	struct weir_json json = weir_json_to(out);
	struct weir_buf token = WEIR_BUF_INIT;
	struct ice_rest_tasks tasks = {.table = planned->table, .filter = planned->filter};
	uint64_t from = request->from < planned->count ? request->from : planned->count, count = request->count;
	stats_ids(request, planned, arena, &tasks);
	weir_json_object(&json);
	if (request->count == 0) {
		put_token(request, 0, 0, &token);
		weir_json_key_cstring(&json, "status", "completed");
		if (request->token == NULL && token.size <= PLAN_ID_BYTES)
			weir_json_key_string(&json, "plan-id", weir_buf_str(&token));
		uint32_t page = page_size(catalog, planned->count, token.size);
		write_plan_tasks(request, planned->count, page, &token, &json);
		count = page;
	}
	tasks.files = planned->files + from;
	tasks.count = (uint32_t)(count < planned->count - from ? count : planned->count - from);
	ice_rest_tasks_write(&tasks, &json);
	weir_json_object_end(&json);
	weir_buf_done(&token);
}

static int admit(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_admission *ret, struct weir_error *err)
{
	*ret = (struct catalog_admission){0};
	if (catalog_is_owned(catalog, name.ns))
		return catalog_governed_admit(catalog, name, load, arena, ret, err);
	return catalog_need(catalog, load->caller, CATALOG_TABLE, name, err);
}

static int run(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load, const json_t *json,
	const char *token, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err)
{
	struct catalog_admission admission;
	struct planned planned = {0};
	struct request asked, request;
	int status = request_read(json, token, &asked, err);
	if (status == 0)
		status = admit(catalog, name, load, arena, &admission, err);
	/* A version may be gone before it is read: removals do not wait for readers. */
	for (unsigned tries = 0; status == 0 && tries < PLAN_ATTEMPTS; tries++) {
		planned_done(&planned);
		request = asked;
		status = find_version(catalog, &admission, name, arena, &planned.table, err);
		if (status == 0)
			status = plan_version(catalog, &admission, &request, arena, &planned, err);
		if (status == 0)
			break;
		bool is_file = status == WEIR_E_NOT_FOUND && strcmp(err->object, "table") != 0 &&
			strcmp(err->object, "plan") != 0 && strcmp(err->object, "task") != 0;
		if (is_file && tries + 1 < PLAN_ATTEMPTS)
			status = 0;
	}
	if (status == 0)
		write_answer(catalog, &request, &planned, arena, out);
	planned_done(&planned);
	return status;
}

static int run_token(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str text, const char *what, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err)
{
	struct weir_buf plain = WEIR_BUF_INIT;
	json_t *json = NULL;
	if (weir_base64_read(&plain, WEIR_BASE64URL, text))
		json = json_loadb(plain.data != NULL ? plain.data : "", plain.size, 0, NULL);
	bool good = json_is_object(json) && (strcmp(what, "plan") == 0) == (json_object_get(json, "count") == NULL);
	int status = good ? 0 : catalog_need(catalog, load->caller, CATALOG_TABLE, name, err);
	if (status == 0 && !good)
		status = no_such_token(what, err);
	if (status == 0 && out != NULL)
		status = run(catalog, name, load, json, what, arena, out, err);
	else if (status == 0)
		status = catalog_need(catalog, load->caller, CATALOG_TABLE, name, err);
	json_decref(json);
	weir_buf_done(&plain);
	return status;
}

int catalog_plan(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	const json_t *request, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err)
{
	return run(catalog, name, load, request, NULL, arena, out, err);
}

int catalog_plan_fetch(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_id, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err)
{
	return run_token(catalog, name, load, plan_id, "plan", arena, out, err);
}

int catalog_plan_cancel(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_id, struct weir_arena *arena, struct weir_error *err)
{
	return run_token(catalog, name, load, plan_id, "plan", arena, NULL, err);
}

int catalog_plan_task(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_str plan_task, struct weir_arena *arena, struct weir_buf *out, struct weir_error *err)
{
	return run_token(catalog, name, load, plan_task, "task", arena, out, err);
}
