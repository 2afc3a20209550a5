/*
 * Rows of planned files, one file after the other, through Parquet readers on cached footers: columns as column_map.c
 * finds them, less the rows that deletes.c knows. Files that hold the projection as it is and have no deletes give
 * Parquet's batches untouched. One thread at a time.
 */
#include <stdlib.h>

#include "iceberg/internal.h"

struct ice_reader {
	struct ice_table *table;
	const struct ice_data_file *const *files;
	uint32_t count, next; /* next: the file to open */
	const struct weir_schema *projection;
	struct expr_filter filter;
	struct ice_delete_cache *cache; /* NULL until a file has deletes */
	/* of the open file: */
	struct weir_arena *arena;
	struct ice_footer *footer;
	struct pq_reader *parquet;
	struct pq_read_options options;
	struct ice_file_deletes *deletes;
	struct ice_column_map map;
};

/* What a batch that is not Parquet's own stands on. */
struct ground {
	struct weir_arena *arena;
	struct weir_batch *source;
};

int ice_reader_open(struct ice_table *table, const struct ice_data_file *const *files, uint32_t count,
	const struct weir_schema *projection, const struct expr_filter *filter, struct ice_reader **ret_reader,
	struct weir_error *err)
{
	for (uint32_t i = 0; i < count; i++)
		if (!weir_str_is(files[i]->format, "PARQUET") && !weir_str_is(files[i]->format, "parquet"))
			return weir_fail_at(err, WEIR_E_UNSUPPORTED, files[i]->path, WEIR_ERROR_NO_OFFSET,
				"the data file has format '%.*s'; weir reads PARQUET",
				(int)(files[i]->format.size < 40 ? files[i]->format.size : 40), files[i]->format.data);
	struct ice_reader *reader = weir_zalloc(sizeof *reader);
	reader->table = ice_table_ref(table);
	reader->files = files;
	reader->count = count;
	reader->projection = projection != NULL ? projection : ice_table_schema(table);
	if (filter != NULL)
		reader->filter = *filter;
	*ret_reader = reader;
	return 0;
}

static void close_file(struct ice_reader *reader)
{
	if (reader->parquet != NULL)
		pq_reader_close(reader->parquet);
	ice_footer_release(reader->footer);
	ice_file_deletes_free(reader->deletes);
	weir_arena_free(reader->arena);
	reader->parquet = NULL;
	reader->footer = NULL;
	reader->deletes = NULL;
	reader->arena = NULL;
}

static int open_deletes(struct ice_reader *reader, const struct ice_data_file *file, const struct weir_schema **wanted,
	struct weir_error *err)
{
	if (file->delete_count == 0)
		return 0;
	if (reader->cache == NULL)
		reader->cache = ice_delete_cache_new();
	int code = ice_file_deletes_open(reader->table, reader->cache, file, &reader->deletes, err);
	if (code == 0)
		*wanted = ice_file_deletes_schema(reader->deletes, reader->arena, *wanted);
	return code;
}

static int open_file(struct ice_reader *reader, struct weir_error *err)
{
	const struct ice_data_file *file = reader->files[reader->next++];
	const struct weir_schema *wanted = reader->projection;
	const struct pq_file *parquet;
	reader->arena = weir_arena_new(4096);
	int code = ice_cached_footer(reader->table, file->path, &reader->footer, &parquet, err);
	if (code == 0)
		code = open_deletes(reader, file, &wanted, err);
	if (code == 0)
		code = ice_column_map_make(reader->arena, reader->table, file, pq_file_schema(parquet), wanted,
			&reader->filter, &reader->map, err);
	if (code == 0) {
		reader->options = (struct pq_read_options){.schema = &reader->map.read, .filter = reader->map.filter};
		code = pq_reader_open(parquet, &reader->options, &reader->parquet, err);
	}
	return weir_error_in(err, code, file->path);
}

static void release(struct weir_batch *batch)
{
	struct ground *ground = batch->owner;
	weir_batch_release(ground->source);
	weir_arena_free(ground->arena);
}

/* The wanted columns of a batch, less its deleted rows; *ret_batch NULL where none is left. Takes the batch. */
static int shape(struct ice_reader *reader, struct weir_batch *take_batch, uint64_t first_row,
	struct weir_batch **ret_batch, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_batch *batch = NULL;
	uint16_t kept[WEIR_BATCH_ROWS];
	int code = ice_column_map_apply(&reader->map, arena, take_batch, first_row, &batch, err);
	*ret_batch = NULL;
	uint32_t rows = take_batch->row_count, count = rows;
	if (code == 0 && reader->deletes != NULL)
		count = ice_file_deletes_keep(reader->deletes, batch, first_row, kept);
	if (code != 0 || count == 0) {
		weir_batch_release(take_batch);
		weir_arena_free(arena);
		return code;
	}
	batch->schema = reader->projection; /* what equality deletes needed besides is behind it */
	if (count < rows) {
		struct weir_pick *picks = weir_arena_calloc(arena, count, sizeof *picks);
		for (uint32_t i = 0; i < count; i++)
			picks[i].row = kept[i];
		batch = weir_batch_gather(arena, &batch, picks, count);
	}
	struct ground *ground = weir_arena_alloc(arena, sizeof *ground);
	*ground = (struct ground){arena, take_batch};
	batch->owner = ground;
	batch->release = release;
	*ret_batch = batch;
	return 0;
}

int ice_reader_next(struct ice_reader *reader, struct weir_batch **ret_batch, uint32_t *ret_file,
	uint64_t *ret_first_row, struct weir_error *err)
{
	for (;;) {
		if (reader->parquet == NULL) {
			if (reader->next == reader->count) {
				*ret_batch = NULL;
				return 0;
			}
			int code = open_file(reader, err);
			if (code != 0) {
				close_file(reader);
				return code;
			}
		}
		struct weir_batch *batch;
		uint64_t first_row;
		int code = pq_reader_next(reader->parquet, &batch, &first_row, err);
		if (code == 0 && batch == NULL) {
			close_file(reader);
			continue;
		}
		if (code == 0 && reader->map.is_plain && reader->deletes == NULL)
			batch->schema = reader->projection;
		else if (code == 0)
			code = shape(reader, batch, first_row, &batch, err);
		if (code != 0)
			return weir_error_in(err, code, reader->files[reader->next - 1]->path);
		if (batch == NULL)
			continue;
		*ret_batch = batch;
		if (ret_file != NULL)
			*ret_file = reader->next - 1;
		if (ret_first_row != NULL)
			*ret_first_row = first_row;
		return 0;
	}
}

void ice_reader_close(struct ice_reader *reader)
{
	if (reader == NULL)
		return;
	close_file(reader);
	ice_delete_cache_free(reader->cache);
	ice_table_unref(reader->table);
	free(reader);
}
