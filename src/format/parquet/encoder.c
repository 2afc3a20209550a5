/*
 * Batches into row groups. An encoder belongs to one thread; the row groups that it finishes are
 * immutable and may go anywhere.
 */
#include <stdlib.h>

#include "format/parquet/encoder_int.h"

#define GROUP_BYTES_LEAST 4096

struct pq_encoder {
	struct weir_arena *arena;
	struct pq_layout layout;
	struct pq_column_writer *columns;
	struct pq_scratch scratch;
	uint64_t rows;            /* in the row group in the making */
	uint64_t page_rows;       /* in its current page */
	uint64_t group_rows;      /* at which a row group is full */
	uint64_t group_bytes;     /* the same, before they are compressed */
	uint64_t last_bytes;      /* of the row group before, encoded */
	struct weir_error failed; /* code != 0: the schema cannot be written */
	struct pq_row_group **done;
	uint32_t done_count, done_taken, done_capacity;
};

void pq_row_group_free(struct pq_row_group *group)
{
	if (group == NULL)
		return;
	weir_buf_done(&group->bytes);
	weir_arena_free(group->arena);
	free(group);
}

uint64_t pq_row_group_bytes(const struct pq_row_group *group)
{
	return group->bytes.size;
}

uint64_t pq_row_group_rows(const struct pq_row_group *group)
{
	return group->rows;
}

struct pq_row_group *pq_row_group_new(uint32_t chunk_count)
{
	struct pq_row_group *group = weir_zalloc(sizeof *group);
	group->arena = weir_arena_new(8192);
	group->chunk_count = chunk_count;
	group->chunks = weir_arena_calloc(group->arena, chunk_count, sizeof *group->chunks);
	return group;
}

static void choose_blooms(struct pq_layout *layout, const struct pq_write_options *options)
{
	for (uint32_t i = 0; i < layout->leaf_count; i++)
		for (uint32_t k = 0; k < options->bloom_count; k++)
			if (layout->leaves[i].field->id == options->bloom_ids[k] &&
				layout->leaves[i].physical != PQ_BOOLEAN)
				layout->leaves[i].bloom = true;
}

struct pq_encoder *pq_encoder_new(const struct weir_schema *schema, const struct pq_write_options *options)
{
	struct pq_encoder *encoder = weir_zalloc(sizeof *encoder);
	encoder->arena = weir_arena_new(0);
	encoder->failed = WEIR_ERROR_INIT;
	encoder->group_rows = options->row_group_rows > 0 ? options->row_group_rows : PQ_ROW_GROUP_ROWS;
	encoder->group_bytes = options->row_group_bytes > 0 ? options->row_group_bytes : PQ_ROW_GROUP_BYTES;
	pq_scratch_init(&encoder->scratch, options);
	if (pq_layout_make(
		    encoder->arena, weir_schema_copy(encoder->arena, schema), &encoder->layout, &encoder->failed) != 0)
		return encoder; /* the first add reports it */
	choose_blooms(&encoder->layout, options);
	encoder->columns = weir_arena_calloc(encoder->arena, encoder->layout.leaf_count, sizeof *encoder->columns);
	for (uint32_t i = 0; i < encoder->layout.leaf_count; i++)
		pq_column_writer_init(&encoder->columns[i], &encoder->layout.leaves[i]);
	return encoder;
}

void pq_encoder_free(struct pq_encoder *encoder)
{
	if (encoder == NULL)
		return;
	for (uint32_t i = 0; encoder->columns != NULL && i < encoder->layout.leaf_count; i++)
		pq_column_writer_done(&encoder->columns[i]);
	for (uint32_t i = encoder->done_taken; i < encoder->done_count; i++)
		pq_row_group_free(encoder->done[i]);
	free(encoder->done);
	pq_scratch_done(&encoder->scratch);
	weir_arena_free(encoder->arena);
	free(encoder);
}

uint64_t pq_encoder_pending_rows(const struct pq_encoder *encoder)
{
	return encoder->rows;
}

struct pq_row_group *pq_encoder_take(struct pq_encoder *encoder)
{
	if (encoder->done_taken == encoder->done_count)
		return NULL;
	struct pq_row_group *group = encoder->done[encoder->done_taken++];
	if (encoder->done_taken == encoder->done_count)
		encoder->done_taken = encoder->done_count = 0;
	return group;
}

static void reset(struct pq_encoder *encoder)
{
	for (uint32_t i = 0; i < encoder->layout.leaf_count; i++)
		pq_column_writer_reset(&encoder->columns[i]);
	encoder->rows = 0;
	encoder->page_rows = 0;
}

static uint64_t held_bytes(const struct pq_encoder *encoder)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < encoder->layout.leaf_count; i++)
		bytes += encoder->columns[i].plain.size + encoder->columns[i].codes.size +
			encoder->columns[i].dictionary.bytes.size;
	return bytes;
}

int pq_encoder_flush(struct pq_encoder *encoder, struct weir_error *err)
{
	if (encoder->rows == 0)
		return 0;
	struct pq_row_group *group = pq_row_group_new(encoder->layout.leaf_count);
	group->rows = encoder->rows;
	group->shape = pq_elements_shape(encoder->layout.elements, encoder->layout.element_count);
	/* As large as the one before, or a guess: growing would copy it several times. */
	uint64_t guess =
		encoder->last_bytes > 0 ? encoder->last_bytes + encoder->last_bytes / 8 : held_bytes(encoder) / 4;
	weir_buf_reserve(&group->bytes, guess + GROUP_BYTES_LEAST);
	int code = 0;
	for (uint32_t i = 0; i < encoder->layout.leaf_count && code == 0; i++) {
		code = pq_column_writer_finish(
			&encoder->columns[i], &encoder->scratch, encoder->rows, group, &group->chunks[i], err);
		group->plain_size += group->chunks[i].plain_size;
	}
	reset(encoder);
	if (code != 0) {
		pq_row_group_free(group);
		return code;
	}
	encoder->last_bytes = group->bytes.size;
	WEIR_GROW(encoder->done, encoder->done_count, encoder->done_capacity);
	encoder->done[encoder->done_count++] = group;
	return 0;
}

static int add_rows(struct pq_encoder *encoder, const struct weir_batch *batch, const uint16_t *rows, uint32_t first,
	uint32_t count, struct weir_error *err)
{
	bool new_page = encoder->page_rows == 0 || encoder->page_rows == PQ_PAGE_ROWS;
	if (new_page)
		encoder->page_rows = 0;
	for (uint32_t i = 0; i < encoder->layout.leaf_count; i++) {
		if (new_page)
			pq_column_writer_begin_page(&encoder->columns[i], encoder->rows);
		int code = pq_column_writer_add(
			&encoder->columns[i], &encoder->scratch, batch, rows, first, count, encoder->rows, err);
		if (code != 0) {
			reset(encoder); /* columns of different lengths are of no use */
			return code;
		}
	}
	encoder->rows += count;
	encoder->page_rows += count;
	return 0;
}

int pq_encoder_add(struct pq_encoder *encoder, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err)
{
	uint32_t count = selection != NULL ? selection->count : batch->row_count, at = 0;
	if (encoder->failed.code != 0) {
		if (err != NULL)
			*err = encoder->failed;
		return encoder->failed.code;
	}
	WEIR_ASSERT(batch->schema->field_count == encoder->layout.schema->field_count);
	for (uint32_t i = 0; i < encoder->layout.leaf_count; i++)
		encoder->columns[i].remap_stamp++;
	while (at < count) {
		uint64_t page_room = PQ_PAGE_ROWS - encoder->page_rows % PQ_PAGE_ROWS;
		uint64_t room = encoder->group_rows - encoder->rows;
		room = page_room < room ? page_room : room;
		uint32_t part = count - at < room ? count - at : (uint32_t)room;
		int code = add_rows(encoder, batch, selection != NULL ? selection->rows + at : NULL, at, part, err);
		if (code != 0)
			return code;
		at += part;
		if (encoder->rows == encoder->group_rows || held_bytes(encoder) > encoder->group_bytes) {
			code = pq_encoder_flush(encoder, err);
			if (code != 0)
				return code;
		}
	}
	return 0;
}
