/*
 * Reading the answer of a governed query. The fence is taken before the table's version; for each chunk
 * it is looked at again, and where it changed, or a file of the version is gone, the read goes on from the last key
 * on the newest version. So a row that a change took away leaves at most with a chunk that was read before.
 */
#include <stdlib.h>

#include "access/access_int.h"

#define CHUNK_ROWS  1000
#define PIN_US      (30 * WEIR_US_PER_SECOND)
#define REPLANS_MAX 100

struct access_answer {
	struct access *access;
	struct weir_arena *arena;
	struct access_plan *plan;
	struct access_identity identity;
	struct weir_str route;
	struct consent_fence *fence;
	uint64_t fence_generation;
	int64_t pinned_us;
	struct ice_table *table;
	struct ice_file_list *files;
	struct ice_sorted *sorted;
	struct weir_batch *first; /* read ahead, not yet given */
	bool first_read;
	struct weir_batch *last_key; /* a copy of the last row given, in last_arena */
	struct weir_arena *last_arena;
	uint64_t rows;
	bool more; /* rows follow the last one given */
	struct weir_str cursor;
	struct ice_sorted_counts counts;
	uint64_t files_read, files_skipped, manifests_read, manifests_skipped;
	unsigned replans;
};

/* Rows at or before the last key given, and rows behind the fence. */
static bool skip_row(void *context, const struct weir_batch *batch, uint32_t row)
{
	const struct access_answer *answer = context;
	const struct access_plan *plan = answer->plan;
	const struct weir_batch *after = answer->last_key != NULL ? answer->last_key : plan->after;
	if (after != NULL && weir_rows_compare(&plan->order, batch, row, after, 0) <= 0)
		return true;
	if (!consent_fence_touches(answer->fence, plan->purpose))
		return false;
	return consent_fence_hides(answer->fence, weir_column_str(&batch->columns[plan->subject_column], row),
		plan->purpose, (uint64_t)weir_column_i64(&batch->columns[plan->lsn_column], row));
}

static void unpin(struct access_answer *answer)
{
	if (answer->sorted != NULL) {
		struct ice_sorted_counts counts = ice_sorted_counts(answer->sorted);
		answer->counts.files += counts.files;
		answer->counts.files_opened += counts.files_opened;
		answer->counts.rows_read += counts.rows_read;
		answer->counts.rows_skipped += counts.rows_skipped;
		ice_sorted_close(answer->sorted);
	}
	if (answer->files != NULL)
		ice_file_list_free(answer->files);
	if (answer->table != NULL)
		ice_table_unref(answer->table);
	if (answer->fence != NULL)
		consent_fence_unref(answer->fence);
	answer->sorted = NULL;
	answer->files = NULL;
	answer->table = NULL;
	answer->fence = NULL;
}

/* Fence first, version second: a removal that ends in between leaves the entry with us, and the rows are gone. */
static int pin(struct access_answer *answer, struct weir_error *err)
{
	struct access_plan *plan = answer->plan;
	struct expr_filter filter = {plan->terms, plan->term_count};
	unpin(answer);
	answer->fence_generation = consent_fence_generation(plan->consent);
	answer->fence = consent_fence_ref(plan->consent);
	answer->table = ice_registry_table(answer->access->config.registry, plan->table);
	answer->pinned_us = weir_steady_us(&answer->access->config.clock);
	int status = ice_plan(answer->table, -1, &filter, &answer->files, err);
	if (status != 0)
		return status;
	answer->files_read += answer->files->count;
	answer->files_skipped += answer->files->files_skipped;
	answer->manifests_read += answer->files->manifests_read;
	answer->manifests_skipped += answer->files->manifests_skipped;
	struct ice_sorted_options options = {.projection = plan->projection,
		.filter = filter,
		.order = plan->order,
		.skip = skip_row,
		.context = answer};
	return ice_sorted_open(
		answer->table, answer->files->files, answer->files->count, &options, &answer->sorted, err);
}

static bool stale(const struct access_answer *answer)
{
	return consent_fence_generation(answer->plan->consent) != answer->fence_generation ||
		weir_steady_us(&answer->access->config.clock) - answer->pinned_us > PIN_US;
}

/* The next rows that may be given: read, then the fence is looked at; what was read under an older one is read again. */
static int read_chunk(
	struct access_answer *answer, uint32_t max_rows, struct weir_batch **ret_batch, struct weir_error *err)
{
	for (;;) {
		int status = 0;
		struct weir_batch *batch = NULL;
		if (answer->sorted == NULL || stale(answer))
			status = pin(answer, err);
		if (status == 0)
			status = ice_sorted_next(answer->sorted, max_rows, &batch, err);
		bool again = status == WEIR_E_NOT_FOUND || (status == 0 && stale(answer));
		if (!again) {
			*ret_batch = batch;
			return status;
		}
		weir_batch_release(batch);
		unpin(answer);
		if (++answer->replans > REPLANS_MAX)
			return weir_fail(
				err, WEIR_E_BUSY, "consent changes faster than this answer can be read; try again");
	}
}

static int remember_key(struct access_answer *answer, const struct weir_batch *batch)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_pick pick = {0, batch->row_count - 1};
	struct weir_batch *sources[1] = {weir_batch_copy(arena, batch)};
	answer->last_key = weir_batch_gather(arena, sources, &pick, 1);
	weir_arena_free(answer->last_arena);
	answer->last_arena = arena;
	return 0;
}

/* One chunk, one row more than asked for at the end of the page, to know whether rows follow. */
static int next_chunk(struct access_answer *answer, struct weir_batch **ret_batch, struct weir_error *err)
{
	uint64_t left = answer->plan->limit - answer->rows;
	struct weir_batch *batch = NULL;
	*ret_batch = NULL;
	if (left == 0) {
		int status = read_chunk(answer, 1, &batch, err);
		answer->more = status == 0 && batch != NULL;
		weir_batch_release(batch);
		if (status == 0 && answer->more && answer->last_key != NULL)
			answer->cursor = access_cursor_text(answer->plan, answer->arena, answer->last_key, 0);
		return status;
	}
	int status = read_chunk(answer, (uint32_t)(left < CHUNK_ROWS ? left : CHUNK_ROWS), &batch, err);
	if (status != 0 || batch == NULL)
		return status;
	answer->rows += batch->row_count;
	*ret_batch = batch;
	return remember_key(answer, batch);
}

int access_query(struct access *access, const struct access_request *request, struct access_answer **ret_answer,
	struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct access_answer *answer = weir_arena_zalloc(arena, sizeof *answer);
	struct weir_error ignored = WEIR_ERROR_INIT;
	answer->access = access;
	answer->arena = arena;
	answer->identity = *request->identity;
	answer->route = access->config.lake->queries[request->query].route;
	struct access_record record = {.identity = &answer->identity, .route = answer->route, .outcome = "denied"};
	/* Parameters may point into the request, which does not outlive this call. */
	struct access_request own = *request;
	struct access_kv *parameters = weir_arena_calloc(arena, request->parameter_count, sizeof *parameters);
	for (uint32_t i = 0; i < request->parameter_count; i++) {
		parameters[i].key = weir_arena_str(arena, request->parameters[i].key);
		parameters[i].value = weir_arena_str(arena, request->parameters[i].value);
	}
	own.parameters = parameters;
	int status = access_plan_query(access, &own, arena, &answer->plan, err);
	if (status == WEIR_E_DENIED && access_audit(access, &record, true, &ignored) != 0)
		status = weir_fail(err, WEIR_E_BUSY, "the audit cannot be written now; try again");
	if (status == 0)
		status = next_chunk(answer, &answer->first, err);
	if (status == 0) {
		record.purpose = answer->plan->purpose_name;
		record.subject = access_audit_subject(record.purpose, answer->plan->subject);
		record.rows = answer->first != NULL ? answer->first->row_count : 0;
		record.outcome = "allowed";
		status = access_audit(access, &record, true, err);
	}
	if (status != 0) {
		access_answer_free(answer);
		return status;
	}
	answer->first_read = true;
	*ret_answer = answer;
	return 0;
}

const struct weir_schema *access_answer_schema(const struct access_answer *answer)
{
	return answer->plan->schema;
}

int access_answer_next(struct access_answer *answer, struct weir_batch **ret_batch, struct weir_error *err)
{
	struct weir_batch *batch = answer->first;
	int status = 0;
	if (answer->first_read)
		answer->first = NULL;
	else
		status = next_chunk(answer, &batch, err);
	bool was_first = answer->first_read;
	answer->first_read = false;
	if (status == 0 && was_first && batch == NULL && answer->rows == 0) {
		*ret_batch = NULL;
		return 0;
	}
	if (status != 0)
		return status;
	if (batch != NULL)
		batch->schema = answer->plan->schema; /* its first columns are those of the answer */
	*ret_batch = batch;
	return 0;
}

struct weir_str access_answer_cursor(const struct access_answer *answer)
{
	return answer->cursor;
}

bool access_answer_wants_explain(const struct access_answer *answer)
{
	return answer->plan->explain;
}

void access_answer_explain(const struct access_answer *answer, struct weir_json *json)
{
	struct ice_sorted_counts counts = answer->counts;
	if (answer->sorted != NULL) {
		struct ice_sorted_counts now = ice_sorted_counts(answer->sorted);
		counts.files_opened += now.files_opened;
		counts.rows_read += now.rows_read;
		counts.rows_skipped += now.rows_skipped;
	}
	weir_json_object(json);
	weir_json_key(json, "files");
	weir_json_object(json);
	weir_json_key_uint(json, "read", counts.files_opened);
	weir_json_key_uint(json, "skipped", answer->files_skipped + answer->files_read - counts.files_opened);
	weir_json_object_end(json);
	weir_json_key(json, "manifests");
	weir_json_object(json);
	weir_json_key_uint(json, "read", answer->manifests_read);
	weir_json_key_uint(json, "skipped", answer->manifests_skipped);
	weir_json_object_end(json);
	weir_json_key(json, "rows");
	weir_json_object(json);
	weir_json_key_uint(json, "read", counts.rows_read);
	weir_json_key_uint(json, "filtered", counts.rows_skipped);
	weir_json_object_end(json);
	weir_json_key_uint(json, "replans", answer->replans);
	weir_json_object_end(json);
}

void access_answer_free(struct access_answer *answer)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	if (answer == NULL)
		return;
	if (answer->rows > 0) {
		struct access_record record = {.identity = &answer->identity,
			.route = answer->route,
			.purpose = answer->plan->purpose_name,
			.rows = answer->rows,
			.outcome = "sent"};
		access_audit(answer->access, &record, false, &ignored);
	}
	weir_batch_release(answer->first);
	unpin(answer);
	weir_arena_free(answer->last_arena);
	weir_arena_free(answer->arena);
}
