/*
 * Batches of a file: row group after row group, of each the ranges of rows that may match, at most
 * WEIR_BATCH_ROWS rows at a time. A batch owns an arena and references to the pages and dictionaries
 * that its text points into; it may outlive the reader and be released on any thread.
 */
#include <stdlib.h>

#include "format/parquet/encoder_int.h"
#include "format/parquet/read_int.h"

struct pq_reader {
	const struct pq_file *file;
	struct pq_read_options options;
	struct weir_arena *arena;       /* targets */
	struct weir_arena *group_arena; /* indexes of the current row group */
	const struct weir_schema *schema;
	struct pq_target *targets;
	bool *needed;
	struct codec_state *codec;
	struct pq_cursor *cursor_store; /* one a leaf */
	struct pq_cursor **cursors;     /* NULL: not read */
	uint32_t next_group;            /* index into options.row_groups, or of the file */
	bool in_group;
	uint32_t group;
	struct pq_range *ranges;
	uint32_t range_count, range;
	uint64_t row; /* of the row group: the next */
	struct pq_read_counts counts;
	/* Terms that a batch's own columns answer: those columns are decoded first, the others if a row matches. */
	struct expr_filter early_filter;
	bool *early_fields; /* one a field of schema */
	bool *early_leaves;
	uint32_t tried, dropped; /* batches of this row group */
};

/* After so many batches of a row group of which less than an eighth was dropped, the rest is read at once. */
#define EARLY_TRIALS 16

static void rest_cursors(struct pq_reader *reader)
{
	for (uint32_t i = 0; i < reader->file->tree.leaf_count; i++) {
		if (reader->cursors[i] != NULL)
			pq_cursor_rest(reader->cursors[i]);
		reader->cursors[i] = NULL;
	}
}

void pq_reader_close(struct pq_reader *reader)
{
	if (reader == NULL)
		return;
	for (uint32_t i = 0; reader->cursor_store != NULL && i < reader->file->tree.leaf_count; i++)
		pq_cursor_close(&reader->cursor_store[i]);
	codec_state_free(reader->codec);
	weir_arena_free(reader->group_arena);
	weir_arena_free(reader->arena);
	free(reader);
}

static int check_groups(const struct pq_file *file, const struct pq_read_options *options, struct weir_error *err)
{
	for (uint32_t i = 0; options->row_groups != NULL && i < options->row_group_count; i++)
		if (options->row_groups[i] >= file->meta.group_count)
			return weir_fail_at(err, WEIR_E_INPUT, file->source.name, WEIR_ERROR_NO_OFFSET,
				"row group %u is asked for and the file has %u", options->row_groups[i],
				file->meta.group_count);
	return 0;
}

/* Which terms a decoded column can answer: top-level fields of the projection without lists. */
static void choose_early(struct pq_reader *reader)
{
	const struct expr_filter *filter = &reader->options.filter;
	struct expr_term *terms = weir_arena_calloc(reader->arena, filter->term_count, sizeof *terms);
	reader->early_filter.terms = terms;
	reader->early_fields = weir_arena_calloc(reader->arena, reader->schema->field_count, sizeof(bool));
	reader->early_leaves = weir_arena_calloc(reader->arena, reader->file->tree.leaf_count, sizeof(bool));
	for (uint32_t i = 0; i < filter->term_count; i++) {
		int32_t id = filter->terms[i].field_id;
		uint32_t at = id != 0 ? weir_schema_find_id(reader->schema, id) : WEIR_NO_FIELD;
		const struct pq_node *node = at != WEIR_NO_FIELD ? reader->targets[at].node : NULL;
		if (node == NULL || weir_type_is_nested(node->field->type) ||
			reader->file->tree.leaves[node->leaf].max_rep > 0)
			continue;
		terms[reader->early_filter.term_count++] = filter->terms[i];
		reader->early_fields[at] = reader->early_leaves[node->leaf] = true;
	}
}

int pq_reader_open(const struct pq_file *file, const struct pq_read_options *options, struct pq_reader **ret_reader,
	struct weir_error *err)
{
	struct pq_reader *reader = weir_zalloc(sizeof *reader);
	uint32_t leaves = file->tree.leaf_count;
	reader->file = file;
	if (options != NULL)
		reader->options = *options;
	if (reader->options.memory_limit_bytes == 0)
		reader->options.memory_limit_bytes = PQ_MEMORY_LIMIT_DEFAULT;
	reader->arena = weir_arena_new(8192);
	reader->group_arena = weir_arena_new(16384);
	reader->codec = codec_state_new();
	reader->schema = reader->options.schema != NULL ? reader->options.schema : file->tree.schema;
	reader->needed = weir_arena_calloc(reader->arena, leaves, sizeof *reader->needed);
	reader->cursors = weir_arena_calloc(reader->arena, leaves, sizeof *reader->cursors);
	int code = check_groups(file, &reader->options, err);
	if (code == 0)
		code = pq_project(file, reader->schema, reader->arena, &reader->targets, reader->needed, err);
	if (code != 0) {
		pq_reader_close(reader);
		return code;
	}
	choose_early(reader);
	*ret_reader = reader;
	return 0;
}

struct pq_read_counts pq_reader_counts(const struct pq_reader *reader)
{
	return reader->counts;
}

static int open_cursors(struct pq_reader *reader, struct weir_error *err)
{
	const struct pq_row_group_meta *group = &reader->file->meta.groups[reader->group];
	uint32_t leaves = reader->file->tree.leaf_count;
	bool skips = reader->range_count != 1 || reader->ranges[0].from > 0 || reader->ranges[0].to < group->rows;
	if (reader->cursor_store == NULL)
		reader->cursor_store = weir_arena_calloc(reader->arena, leaves, sizeof *reader->cursor_store);
	for (uint32_t i = 0; i < leaves; i++) {
		struct pq_chunk chunk = group->chunks[i];
		int code = 0;
		if (!reader->needed[i])
			continue;
		if (skips && !chunk.encrypted)
			code = pq_file_read_index(reader->file, reader->group_arena, &chunk, false, err);
		if (code == 0)
			code = pq_cursor_open(&reader->cursor_store[i], reader->file, reader->group, i, &chunk,
				reader->options.memory_limit_bytes, reader->codec, &reader->counts, err);
		if (code != 0)
			return code;
		reader->cursors[i] = &reader->cursor_store[i];
	}
	return 0;
}

/* The next row group with rows that may match; *ret_found false at the end. */
static int next_group(struct pq_reader *reader, bool *ret_found, struct weir_error *err)
{
	const struct pq_read_options *options = &reader->options;
	uint32_t count = options->row_groups != NULL ? options->row_group_count : reader->file->meta.group_count;
	*ret_found = false;
	while (reader->next_group < count) {
		uint32_t at = reader->next_group++;
		bool may = false;
		reader->group = options->row_groups != NULL ? options->row_groups[at] : at;
		weir_arena_reset(reader->group_arena);
		int code = pq_group_may_match(reader->file, reader->group, reader->schema, &options->filter, &may, err);
		if (code == 0 && may)
			code = pq_group_ranges(reader->file, reader->group, reader->schema, &options->filter,
				reader->group_arena, &reader->ranges, &reader->range_count, err);
		if (code != 0)
			return code;
		if (!may || reader->range_count == 0) {
			reader->counts.row_groups_skipped++;
			continue;
		}
		reader->counts.row_groups_read++;
		reader->range = 0;
		reader->tried = reader->dropped = 0;
		reader->row = reader->ranges[0].from;
		reader->in_group = true;
		*ret_found = true;
		return open_cursors(reader, err);
	}
	return 0;
}

struct owned_batch {
	struct weir_batch batch; /* first, so that a batch is its owner */
	struct pq_holder holder;
};

static void release_batch(struct weir_batch *batch)
{
	struct owned_batch *owned = batch->owner;
	for (uint32_t i = 0; i < owned->holder.held_count; i++)
		pq_shared_unref(owned->holder.held[i]);
	free(owned->holder.held);
	weir_arena_free(owned->holder.arena);
	free(owned);
}

/* The columns of a filter, or the others. */
static int fill_columns(
	struct pq_reader *reader, bool early, uint32_t rows, struct owned_batch *owned, struct weir_error *err)
{
	int code = 0;
	for (uint32_t i = 0; i < reader->file->tree.leaf_count && code == 0; i++) {
		if (reader->cursors[i] == NULL || reader->early_leaves[i] != early)
			continue;
		code = pq_cursor_seek(reader->cursors[i], reader->row, err);
		if (code == 0)
			code = pq_cursor_read(reader->cursors[i], rows, &owned->holder, err);
	}
	for (uint32_t i = 0; i < reader->schema->field_count && code == 0; i++)
		if (reader->early_fields[i] == early)
			code = pq_assemble(&reader->targets[i], reader->cursors, rows, &owned->holder,
				&owned->batch.columns[i], err);
	return code;
}

static bool any_matches(struct pq_reader *reader, const struct weir_batch *batch)
{
	uint8_t truth[WEIR_BATCH_ROWS];
	if (reader->early_filter.term_count == 0 ||
		(reader->tried >= EARLY_TRIALS && reader->dropped < reader->tried / 8))
		return true;
	expr_filter_batch(&reader->early_filter, batch, truth);
	bool any = memchr(truth, EXPR_TRUE, batch->row_count) != NULL;
	reader->tried++;
	reader->dropped += !any;
	return any;
}

/* *ret_any false: no row matches, and the columns without a term are not there. */
static int fill_batch(
	struct pq_reader *reader, uint32_t rows, struct owned_batch *owned, bool *ret_any, struct weir_error *err)
{
	owned->batch.row_count = rows;
	owned->batch.schema = reader->schema;
	owned->batch.columns =
		weir_arena_calloc(owned->holder.arena, reader->schema->field_count, sizeof *owned->batch.columns);
	int code = fill_columns(reader, true, rows, owned, err);
	*ret_any = code == 0 && any_matches(reader, &owned->batch);
	return *ret_any ? fill_columns(reader, false, rows, owned, err) : code;
}

/* Moves to the next rows of the row group; false where there are none. */
static bool next_rows(struct pq_reader *reader, uint32_t *ret_rows)
{
	while (reader->range < reader->range_count) {
		const struct pq_range *range = &reader->ranges[reader->range];
		if (reader->row < range->from)
			reader->row = range->from;
		if (reader->row < range->to) {
			uint64_t left = range->to - reader->row;
			*ret_rows = left < WEIR_BATCH_ROWS ? (uint32_t)left : WEIR_BATCH_ROWS;
			return true;
		}
		reader->range++;
	}
	rest_cursors(reader);
	reader->in_group = false;
	return false;
}

static int next_batch(struct pq_reader *reader, uint32_t rows, struct weir_batch **ret_batch, struct weir_error *err)
{
	bool any = false;
	struct owned_batch *owned = weir_zalloc(sizeof *owned);
	owned->holder.arena = weir_arena_new(0);
	owned->holder.text_limit = reader->options.memory_limit_bytes;
	owned->batch.release = release_batch;
	owned->batch.owner = owned;
	int code = fill_batch(reader, rows, owned, &any, err);
	if (code == 0 && any) {
		*ret_batch = &owned->batch;
		return 0;
	}
	if (code == 0)
		reader->counts.rows_skipped += rows;
	release_batch(&owned->batch);
	return code;
}

int pq_reader_next(
	struct pq_reader *reader, struct weir_batch **ret_batch, uint64_t *ret_first_row, struct weir_error *err)
{
	*ret_batch = NULL;
	while (*ret_batch == NULL) {
		uint32_t rows = 0;
		while (!reader->in_group || !next_rows(reader, &rows)) {
			bool found;
			int code = next_group(reader, &found, err);
			if (code != 0 || !found)
				return code;
		}
		int code = next_batch(reader, rows, ret_batch, err);
		if (code != 0)
			return code;
		if (ret_first_row != NULL)
			*ret_first_row = reader->file->meta.groups[reader->group].first_row + reader->row;
		reader->row += rows;
	}
	return 0;
}
