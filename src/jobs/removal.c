#include "jobs/removal.h"

#include <stdlib.h>

/* All that is gone of the file: what its deletes took, and what is fresh. */
static int all_gone(struct ice_table *table, const struct removal_file *file, struct ice_positions **ret_gone,
	struct weir_error *err)
{
	int status = ice_file_deleted_positions(table, file->file, ret_gone, err);
	if (status == 0)
		ice_positions_merge(*ret_gone, file->fresh);
	return status;
}

static bool is_new_vector(const struct ice_table *table)
{
	return ice_table_metadata(table)->format_version > 2;
}

/* The vectors of the files that have something fresh. In version 3 one holds all that is gone, and the older one goes. */
static int make_vectors(struct ice_table *table, const struct removal_file *files, uint32_t count,
	struct ice_vector *vectors, struct ice_positions **made, uint32_t *ret_count, struct weir_error *err)
{
	int status = 0;
	for (uint32_t i = 0; i < count && status == 0; i++) {
		if (ice_positions_count(files[i].fresh) == 0)
			continue;
		uint32_t at = (*ret_count)++;
		vectors[at] = (struct ice_vector){files[i].file, files[i].fresh};
		if (!is_new_vector(table))
			continue;
		status = all_gone(table, &files[i], &made[at], err);
		vectors[at].positions = made[at];
	}
	return status;
}

static void name_replaced(struct ice_table *table, const struct ice_vector *vectors, uint32_t count,
	struct weir_arena *arena, struct ice_edit *edit)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < count; i++)
		most += vectors[i].file->delete_count;
	struct ice_data_file *replaced = weir_arena_calloc(arena, most, sizeof *replaced);
	struct weir_str *referenced = weir_arena_calloc(arena, count, sizeof *referenced);
	for (uint32_t i = 0; i < count; i++) {
		referenced[i] = weir_arena_str(arena, vectors[i].file->path);
		for (uint32_t j = 0; j < vectors[i].file->delete_count && is_new_vector(table); j++)
			replaced[edit->removed_delete_count++] =
				*ice_data_file_copy(arena, vectors[i].file->deletes[j]);
	}
	edit->removed_deletes = replaced;
	edit->referenced = referenced;
	edit->referenced_count = count;
}

int removal_delta(struct ice_table *table, const struct removal_file *files, uint32_t count, struct weir_str prefix,
	struct weir_arena *arena, struct ice_edit *edit, struct weir_error *err)
{
	struct ice_vector *vectors = weir_arena_calloc(arena, count, sizeof *vectors);
	struct ice_positions **made = weir_arena_calloc(arena, count, sizeof(struct ice_positions *));
	struct ice_data_file *added = NULL;
	uint32_t vector_count = 0, added_count = 0;
	int status = make_vectors(table, files, count, vectors, made, &vector_count, err);
	if (status == 0 && vector_count > 0 && is_new_vector(table)) {
		status = ice_vectors_write(table, vectors, vector_count, prefix, arena, &added, err);
		added_count = vector_count;
	} else if (status == 0 && vector_count > 0) {
		status = ice_position_deletes_write(
			table, vectors, vector_count, prefix, arena, &added, &added_count, err);
	}
	for (uint32_t i = 0; i < vector_count; i++)
		ice_positions_free(made[i]);
	if (status != 0 || vector_count == 0)
		return status;
	edit->operation = ICE_OP_DELETE;
	edit->added = added;
	edit->added_count = added_count;
	name_replaced(table, vectors, vector_count, arena, edit);
	return 0;
}

static bool is_named(const struct ice_data_file *file, const struct ice_data_file *among, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (among[i].content_offset == file->content_offset && weir_str_equal(among[i].path, file->path))
			return true;
	return false;
}

void removal_spend(const struct removal_file *files, uint32_t count, const struct ice_edit *delta,
	struct weir_arena *arena, struct ice_data_file **ret_spent, uint32_t *ret_count)
{
	uint32_t most = delta != NULL ? delta->added_count : 0, spent_count = 0;
	for (uint32_t i = 0; i < count; i++)
		most += files[i].file->delete_count;
	struct ice_data_file *spent = weir_arena_calloc(arena, most, sizeof *spent);
	for (uint32_t i = 0; delta != NULL && i < delta->added_count; i++)
		spent[spent_count++] = delta->added[i];
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t j = 0; j < files[i].file->delete_count; j++) {
			const struct ice_data_file *older = files[i].file->deletes[j];
			if ((delta == NULL || !is_named(older, delta->removed_deletes, delta->removed_delete_count)) &&
				!is_named(older, spent, spent_count)) /* one may be of several files */
				spent[spent_count++] = *ice_data_file_copy(arena, older);
		}
	*ret_spent = spent;
	*ret_count = spent_count;
}

int removal_rewrite(
	struct ice_table *table, const struct removal_file *file, struct ice_writer *writer, struct weir_error *err)
{
	struct ice_data_file whole = *file->file; /* as it lies there: positions are those of its rows */
	const struct ice_data_file *files = &whole;
	struct ice_positions *gone;
	struct ice_reader *reader = NULL;
	struct weir_batch *batch;
	uint64_t first_row;
	int status = all_gone(table, file, &gone, err);
	if (status != 0)
		return status;
	whole.delete_count = 0;
	status = ice_reader_open(
		table, &files, 1, ice_table_schema(table), &(struct expr_filter){NULL, 0}, &reader, err);
	while (status == 0 && (status = ice_reader_next(reader, &batch, NULL, &first_row, err)) == 0 && batch != NULL) {
		uint16_t rows[WEIR_BATCH_ROWS];
		uint32_t kept = 0;
		for (uint32_t row = 0; row < batch->row_count; row++)
			if (!ice_positions_has(gone, first_row + row))
				rows[kept++] = (uint16_t)row;
		if (kept > 0)
			status = ice_writer_add(writer, batch, &(struct weir_selection){rows, kept}, err);
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_positions_free(gone);
	return status;
}
