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
	uint64_t row;                   /* of the row group: the next */
	struct pq_read_counts counts;
};

static void close_cursors(struct pq_reader *reader)
{
	for (uint32_t i = 0; i < reader->file->tree.leaf_count; i++) {
		if (reader->cursors[i] != NULL)
			pq_cursor_close(reader->cursors[i]);
		reader->cursors[i] = NULL;
	}
}

void pq_reader_close(struct pq_reader *reader)
{
	if (reader == NULL)
		return;
	close_cursors(reader);
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
		int code = pq_group_may_match(reader->file, reader->group, &options->filter, &may, err);
		if (code == 0 && may)
			code = pq_group_ranges(reader->file, reader->group, &options->filter, reader->group_arena,
				&reader->ranges, &reader->range_count, err);
		if (code != 0)
			return code;
		if (!may || reader->range_count == 0) {
			reader->counts.row_groups_skipped++;
			continue;
		}
		reader->counts.row_groups_read++;
		reader->range = 0;
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

static int fill_batch(struct pq_reader *reader, uint32_t rows, struct owned_batch *owned, struct weir_error *err)
{
	int code = 0;
	owned->batch.row_count = rows;
	owned->batch.schema = reader->schema;
	owned->batch.columns = weir_arena_calloc(owned->holder.arena, reader->schema->field_count,
		sizeof *owned->batch.columns);
	for (uint32_t i = 0; i < reader->file->tree.leaf_count && code == 0; i++) {
		if (reader->cursors[i] == NULL)
			continue;
		code = pq_cursor_seek(reader->cursors[i], reader->row, err);
		if (code == 0)
			code = pq_cursor_read(reader->cursors[i], rows, &owned->holder, err);
	}
	for (uint32_t i = 0; i < reader->schema->field_count && code == 0; i++)
		code = pq_assemble(&reader->targets[i], reader->cursors, rows, &owned->holder, &owned->batch.columns[i],
			err);
	return code;
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
	close_cursors(reader);
	reader->in_group = false;
	return false;
}

int pq_reader_next(struct pq_reader *reader, struct weir_batch **ret_batch, uint64_t *ret_first_row,
	struct weir_error *err)
{
	uint32_t rows = 0;
	*ret_batch = NULL;
	while (!reader->in_group || !next_rows(reader, &rows)) {
		bool found;
		int code = next_group(reader, &found, err);
		if (code != 0 || !found)
			return code;
	}
	struct owned_batch *owned = weir_zalloc(sizeof *owned);
	owned->holder.arena = weir_arena_new(0);
	owned->holder.text_limit = reader->options.memory_limit_bytes;
	owned->batch.release = release_batch;
	owned->batch.owner = owned;
	int code = fill_batch(reader, rows, owned, err);
	if (code != 0) {
		release_batch(&owned->batch);
		return code;
	}
	if (ret_first_row != NULL)
		*ret_first_row = reader->file->meta.groups[reader->group].first_row + reader->row;
	reader->row += rows;
	*ret_batch = &owned->batch;
	return 0;
}
