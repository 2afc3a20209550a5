#include "iceberg/sorted.h"

#include <stdlib.h>

/* One file: waiting (no reader yet), or open with a current row. */
struct cursor {
	const struct ice_data_file *file;
	bool has_lower;
	struct expr_value lower; /* of the leading column */
	struct ice_reader *reader;
	struct weir_batch *batch;
	uint8_t *truth; /* of the filter, a row of the batch */
	uint32_t row;
	uint32_t source; /* index of batch in the output's sources; UINT32_MAX: not yet there */
};

struct ice_sorted {
	struct ice_table *table;
	struct ice_sorted_options options;
	struct cursor *cursors; /* sorted by lower bound; those before `next` were opened */
	uint32_t count, next;
	struct cursor **heap;
	uint32_t heap_count;
	struct weir_batch **sources; /* batches that picks point into; retired ones are released after the gather */
	uint32_t source_count, source_capacity;
	struct weir_batch **retired;
	uint32_t retired_count, retired_capacity;
	struct ice_sorted_counts counts;
};

static int compare_lower(const void *a, const void *b)
{
	const struct cursor *left = a, *right = b;
	int order = 0;
	if (!left->has_lower || !right->has_lower)
		return (int)left->has_lower - (int)right->has_lower;
	expr_compare(&left->lower, &right->lower, &order);
	return order;
}

int ice_sorted_open(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count,
	const struct ice_sorted_options *options, struct ice_sorted **ret_sorted, struct weir_error *err)
{
	(void)err;
	struct ice_sorted *sorted = weir_zalloc(sizeof *sorted);
	sorted->table = ice_table_ref(table);
	sorted->options = *options;
	sorted->count = sorted->counts.files = count;
	sorted->cursors = weir_zalloc(count * sizeof *sorted->cursors);
	sorted->heap = weir_zalloc(count * sizeof(struct cursor *));
	const struct weir_field *leading = &options->projection->fields[options->order.columns[0]];
	for (uint32_t i = 0; i < count; i++) {
		struct expr_bounds bounds = ice_file_bounds(files[i], leading);
		sorted->cursors[i].file = files[i];
		/* Nulls come first and are not in the bounds. */
		sorted->cursors[i].has_lower = bounds.has_min && bounds.has_null_count && bounds.null_count == 0;
		sorted->cursors[i].lower = bounds.min;
	}
	qsort(sorted->cursors, count, sizeof *sorted->cursors, compare_lower);
	*ret_sorted = sorted;
	return 0;
}

static int compare_cursors(const struct ice_sorted *sorted, const struct cursor *a, const struct cursor *b)
{
	return weir_rows_compare(&sorted->options.order, a->batch, a->row, b->batch, b->row);
}

static void sift_down(struct ice_sorted *sorted, uint32_t at)
{
	for (;;) {
		uint32_t least = at;
		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < sorted->heap_count; child++)
			if (compare_cursors(sorted, sorted->heap[child], sorted->heap[least]) < 0)
				least = child;
		if (least == at)
			return;
		struct cursor *swap = sorted->heap[at];
		sorted->heap[at] = sorted->heap[least];
		sorted->heap[least] = swap;
		at = least;
	}
}

static void sift_up(struct ice_sorted *sorted, uint32_t at)
{
	while (at > 0 && compare_cursors(sorted, sorted->heap[at], sorted->heap[(at - 1) / 2]) < 0) {
		struct cursor *swap = sorted->heap[at];
		sorted->heap[at] = sorted->heap[(at - 1) / 2];
		sorted->heap[(at - 1) / 2] = swap;
		at = (at - 1) / 2;
	}
}

static void retire(struct ice_sorted *sorted, struct cursor *cursor)
{
	if (cursor->batch == NULL)
		return;
	if (cursor->source == UINT32_MAX) {
		weir_batch_release(cursor->batch);
	} else {
		WEIR_GROW(sorted->retired, sorted->retired_count, sorted->retired_capacity);
		sorted->retired[sorted->retired_count++] = cursor->batch;
	}
	cursor->batch = NULL;
	cursor->source = UINT32_MAX;
}

static bool row_passes(struct ice_sorted *sorted, const struct cursor *cursor)
{
	sorted->counts.rows_read++;
	if (cursor->truth[cursor->row] == EXPR_TRUE &&
		(sorted->options.skip == NULL ||
			!sorted->options.skip(sorted->options.context, cursor->batch, cursor->row)))
		return true;
	sorted->counts.rows_skipped++;
	return false;
}

/* Moves to the next row that passes; batch NULL at the file's end. first: the current row itself may be it. */
static int advance(struct ice_sorted *sorted, struct cursor *cursor, bool first, struct weir_error *err)
{
	if (cursor->batch != NULL && !first)
		cursor->row++;
	for (;;) {
		for (; cursor->batch != NULL && cursor->row < cursor->batch->row_count; cursor->row++)
			if (row_passes(sorted, cursor))
				return 0;
		retire(sorted, cursor);
		int status = ice_reader_next(cursor->reader, &cursor->batch, NULL, NULL, err);
		cursor->row = 0;
		if (status != 0) {
			cursor->batch = NULL;
			return status;
		}
		if (cursor->batch == NULL) {
			ice_reader_close(cursor->reader);
			cursor->reader = NULL;
			return 0;
		}
		if (cursor->truth == NULL)
			cursor->truth = weir_alloc(WEIR_BATCH_ROWS);
		expr_filter_batch(&sorted->options.filter, cursor->batch, cursor->truth);
	}
}

static int open_cursor(struct ice_sorted *sorted, struct cursor *cursor, struct weir_error *err)
{
	int status = ice_reader_open(sorted->table, &cursor->file, 1, sorted->options.projection,
		&sorted->options.filter, &cursor->reader, err);
	if (status != 0)
		return status;
	sorted->counts.files_opened++;
	cursor->source = UINT32_MAX;
	status = advance(sorted, cursor, true, err);
	if (status == 0 && cursor->batch != NULL) {
		sorted->heap[sorted->heap_count] = cursor;
		sift_up(sorted, sorted->heap_count++);
	}
	return status;
}

/* Opens every file whose first row may come before the least row at hand. */
static int open_reached(struct ice_sorted *sorted, struct weir_error *err)
{
	while (sorted->next < sorted->count) {
		struct cursor *waiting = &sorted->cursors[sorted->next];
		if (sorted->heap_count > 0 && waiting->has_lower) {
			const struct cursor *least = sorted->heap[0];
			const struct weir_column *leading = &least->batch->columns[sorted->options.order.columns[0]];
			int order;
			if (!weir_column_is_valid(leading, least->row))
				return 0;
			struct expr_value value = expr_value_of(leading, least->row);
			if (expr_compare(&waiting->lower, &value, &order) && order > 0)
				return 0;
		}
		sorted->next++;
		int status = open_cursor(sorted, waiting, err);
		if (status != 0)
			return status;
	}
	return 0;
}

static uint32_t source_of(struct ice_sorted *sorted, struct cursor *cursor)
{
	if (cursor->source == UINT32_MAX) {
		WEIR_GROW(sorted->sources, sorted->source_count, sorted->source_capacity);
		cursor->source = sorted->source_count;
		sorted->sources[sorted->source_count++] = cursor->batch;
	}
	return cursor->source;
}

static void release_output(struct weir_batch *batch)
{
	weir_arena_free(batch->owner);
}

/* The picked rows as a batch with bytes of its own; then the sources may go. */
static struct weir_batch *emit(struct ice_sorted *sorted, const struct weir_pick *picks, uint32_t count)
{
	struct weir_batch *result = NULL;
	if (count > 0) {
		struct weir_arena *scratch = weir_arena_new(0), *arena = weir_arena_new(0);
		result = weir_batch_copy(arena, weir_batch_gather(scratch, sorted->sources, picks, count));
		result->schema = sorted->options.projection;
		result->owner = arena;
		result->release = release_output;
		weir_arena_free(scratch);
	}
	for (uint32_t i = 0; i < sorted->retired_count; i++)
		weir_batch_release(sorted->retired[i]);
	for (uint32_t i = 0; i < sorted->heap_count; i++)
		sorted->heap[i]->source = UINT32_MAX;
	sorted->retired_count = sorted->source_count = 0;
	return result;
}

int ice_sorted_next(struct ice_sorted *sorted, uint32_t max_rows, struct weir_batch **ret_batch, struct weir_error *err)
{
	struct weir_pick picks[WEIR_BATCH_ROWS];
	uint32_t count = 0;
	WEIR_ASSERT(max_rows > 0 && max_rows <= WEIR_BATCH_ROWS);
	int status = 0;
	while (count < max_rows && (status = open_reached(sorted, err)) == 0 && sorted->heap_count > 0) {
		struct cursor *least = sorted->heap[0];
		picks[count++] = (struct weir_pick){source_of(sorted, least), least->row};
		status = advance(sorted, least, false, err);
		if (status != 0)
			break;
		if (least->batch == NULL)
			sorted->heap[0] = sorted->heap[--sorted->heap_count];
		sift_down(sorted, 0);
	}
	struct weir_batch *batch = emit(sorted, picks, status == 0 ? count : 0);
	if (status == 0)
		*ret_batch = batch;
	return status;
}

struct ice_sorted_counts ice_sorted_counts(const struct ice_sorted *sorted)
{
	return sorted->counts;
}

void ice_sorted_close(struct ice_sorted *sorted)
{
	if (sorted == NULL)
		return;
	for (uint32_t i = 0; i < sorted->count; i++) {
		if (sorted->cursors[i].batch != NULL)
			weir_batch_release(sorted->cursors[i].batch);
		if (sorted->cursors[i].reader != NULL)
			ice_reader_close(sorted->cursors[i].reader);
		free(sorted->cursors[i].truth);
	}
	for (uint32_t i = 0; i < sorted->retired_count; i++)
		weir_batch_release(sorted->retired[i]);
	ice_table_unref(sorted->table);
	free(sorted->cursors);
	free(sorted->heap);
	free(sorted->sources);
	free(sorted->retired);
	free(sorted);
}
