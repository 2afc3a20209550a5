/*
 * A Parquet file: magic, row groups, bloom filters, column indexes, offset indexes, footer, its size, magic.
 *
 * Row groups come encoded, from the writer's own encoder or from elsewhere, and are relative to their
 * first byte: splicing writes their bytes and adds the position in the file to each offset.
 */
#include <stdlib.h>

#include "format/parquet/encoder_int.h"
#include "format/parquet/thrift_int.h"

struct pq_writer {
	struct weir_byte_sink sink;
	struct weir_arena *arena;
	struct pq_layout layout;
	struct pq_write_options options;
	struct pq_encoder *encoder;
	uint64_t shape;
	uint64_t offset; /* bytes written */
	uint64_t rows;
	struct placed_group *groups;
	uint32_t group_count, group_capacity;
};

/* A row group that is in the file; offsets are those of the file. */
struct placed_group {
	struct pq_chunk *chunks;
	uint64_t start, size, rows, plain_size;
};

static int put(struct pq_writer *writer, const void *data, size_t size, struct weir_error *err)
{
	int code = size > 0 ? writer->sink.write(writer->sink.self, data, size, err) : 0;
	if (code == 0)
		writer->offset += size;
	return code;
}

int pq_writer_open(struct weir_byte_sink sink, const struct weir_schema *schema, const struct pq_write_options *options,
	struct pq_writer **ret_writer, struct weir_error *err)
{
	struct pq_writer *writer = weir_zalloc(sizeof *writer);
	writer->sink = sink;
	writer->options = *options;
	writer->arena = weir_arena_new(0);
	int code = pq_layout_make(writer->arena, weir_schema_copy(writer->arena, schema), &writer->layout, err);
	if (code == 0)
		code = put(writer, PQ_MAGIC, 4, err);
	if (code != 0) {
		pq_writer_abandon(writer);
		return code;
	}
	writer->shape = pq_elements_shape(writer->layout.elements, writer->layout.element_count);
	writer->encoder = pq_encoder_new(schema, options);
	*ret_writer = writer;
	return 0;
}

void pq_writer_abandon(struct pq_writer *writer)
{
	if (writer == NULL)
		return;
	pq_encoder_free(writer->encoder);
	free(writer->groups);
	weir_arena_free(writer->arena);
	free(writer);
}

static struct expr_value copy_value(struct weir_arena *arena, const struct expr_value *value)
{
	struct expr_value copy = *value;
	if (copy.kind == EXPR_TEXT)
		copy.u.text = weir_arena_str(arena, copy.u.text);
	return copy;
}

static struct weir_str copy_bound(struct weir_arena *arena, struct weir_str bound)
{
	return bound.data != NULL ? weir_arena_str(arena, bound) : bound;
}

static struct pq_chunk place_chunk(struct weir_arena *arena, const struct pq_chunk *from, uint64_t shift)
{
	struct pq_chunk chunk = *from;
	chunk.data_offset += shift;
	chunk.dictionary_offset += chunk.has_dictionary ? shift : 0;
	chunk.stats.min = copy_bound(arena, from->stats.min);
	chunk.stats.max = copy_bound(arena, from->stats.max);
	if (chunk.has_bounds) {
		chunk.min = copy_value(arena, &from->min);
		chunk.max = copy_value(arena, &from->max);
	}
	chunk.bloom = copy_bound(arena, from->bloom);
	chunk.pages = weir_arena_copy(arena, from->pages, from->page_count * sizeof *from->pages);
	for (uint32_t i = 0; i < chunk.page_count; i++) {
		chunk.pages[i].offset += shift;
		chunk.pages[i].min = copy_bound(arena, from->pages[i].min);
		chunk.pages[i].max = copy_bound(arena, from->pages[i].max);
	}
	return chunk;
}

static int place(struct pq_writer *writer, const struct pq_row_group *group, struct weir_error *err)
{
	uint64_t start = writer->offset;
	if (group->shape != writer->shape || group->chunk_count != writer->layout.leaf_count)
		return weir_fail(err, WEIR_E_INPUT,
			"a row group of another schema cannot be spliced into this file; decode and encode it");
	int code = put(writer, group->bytes.data, group->bytes.size, err);
	if (code != 0)
		return code;
	WEIR_GROW(writer->groups, writer->group_count, writer->group_capacity);
	struct placed_group *placed = &writer->groups[writer->group_count++];
	*placed = (struct placed_group){
		.start = start, .size = group->bytes.size, .rows = group->rows, .plain_size = group->plain_size};
	placed->chunks = weir_arena_calloc(writer->arena, group->chunk_count, sizeof *placed->chunks);
	for (uint32_t i = 0; i < group->chunk_count; i++)
		placed->chunks[i] = place_chunk(writer->arena, &group->chunks[i], start);
	writer->rows += group->rows;
	return 0;
}

static int place_finished(struct pq_writer *writer, struct weir_error *err)
{
	int code = 0;
	struct pq_row_group *group;
	while (code == 0 && (group = pq_encoder_take(writer->encoder)) != NULL) {
		code = place(writer, group, err);
		pq_row_group_free(group);
	}
	return code;
}

int pq_writer_add(struct pq_writer *writer, const struct weir_batch *batch, const struct weir_selection *selection,
	struct weir_error *err)
{
	int code = pq_encoder_add(writer->encoder, batch, selection, err);
	return code == 0 ? place_finished(writer, err) : code;
}

static int flush(struct pq_writer *writer, struct weir_error *err)
{
	int code = pq_encoder_flush(writer->encoder, err);
	return code == 0 ? place_finished(writer, err) : code;
}

int pq_writer_splice(struct pq_writer *writer, const struct pq_row_group *group, struct weir_error *err)
{
	int code = flush(writer, err);
	return code == 0 ? place(writer, group, err) : code;
}

/* Bloom filters, then column indexes, then offset indexes, each in the order of chunks. */
static int put_indexes(struct pq_writer *writer, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	for (unsigned pass = 0; pass < 3; pass++) {
		for (uint32_t g = 0; g < writer->group_count; g++) {
			for (uint32_t i = 0; i < writer->layout.leaf_count; i++) {
				struct pq_chunk *chunk = &writer->groups[g].chunks[i];
				uint64_t at = writer->offset + out.size;
				size_t before = out.size;
				if (pass == 0 && chunk->bloom.size > 0) {
					weir_buf_append(&out, chunk->bloom.data, chunk->bloom.size);
					chunk->bloom_offset = at;
					chunk->bloom_size = (uint32_t)(out.size - before);
				} else if (pass == 1 && chunk->has_index) {
					pq_column_index_encode(&out, chunk);
					chunk->column_index_offset = at;
					chunk->column_index_size = (uint32_t)(out.size - before);
				} else if (pass == 2 && chunk->page_count > 0) {
					pq_offset_index_encode(&out, chunk);
					chunk->offset_index_offset = at;
					chunk->offset_index_size = (uint32_t)(out.size - before);
				}
			}
		}
	}
	int code = put(writer, out.data, out.size, err);
	weir_buf_done(&out);
	return code;
}

static void encode_group(struct weir_buf *out, const struct pq_writer *writer, uint32_t index)
{
	const struct placed_group *group = &writer->groups[index];
	int16_t last = 0;
	thrift_put_list(out, &last, 1, THRIFT_STRUCT, writer->layout.leaf_count);
	for (uint32_t i = 0; i < writer->layout.leaf_count; i++)
		pq_chunk_encode(
			out, &group->chunks[i], writer->layout.leaves[i].path, writer->layout.leaves[i].path_count);
	thrift_put_i64(out, &last, 2, (int64_t)group->plain_size);
	thrift_put_i64(out, &last, 3, (int64_t)group->rows);
	thrift_put_i64(out, &last, 5, (int64_t)group->start);
	thrift_put_i64(out, &last, 6, (int64_t)group->size);
	if (index <= INT16_MAX) {
		thrift_put_field(out, &last, 7, THRIFT_I16);
		thrift_put_zigzag(out, (int64_t)index);
	}
	thrift_put_stop(out);
}

/* FileMetaData */
static void encode_footer(struct weir_buf *out, const struct pq_writer *writer)
{
	const struct pq_write_options *options = &writer->options;
	int16_t last = 0;
	thrift_put_i32(out, &last, 1, 2); /* version */
	thrift_put_list(out, &last, 2, THRIFT_STRUCT, writer->layout.element_count);
	for (uint32_t i = 0; i < writer->layout.element_count; i++)
		pq_element_encode(out, &writer->layout.elements[i]);
	thrift_put_i64(out, &last, 3, (int64_t)writer->rows);
	thrift_put_list(out, &last, 4, THRIFT_STRUCT, writer->group_count);
	for (uint32_t i = 0; i < writer->group_count; i++)
		encode_group(out, writer, i);
	if (options->metadata_count > 0)
		thrift_put_list(out, &last, 5, THRIFT_STRUCT, options->metadata_count);
	for (uint32_t i = 0; i < options->metadata_count; i++) {
		int16_t inner = 0;
		thrift_put_binary(out, &inner, 1, weir_str_from(options->metadata[i].key));
		thrift_put_binary(out, &inner, 2, weir_str_from(options->metadata[i].value));
		thrift_put_stop(out);
	}
	const char *created_by = options->created_by != NULL ? options->created_by : "weir version " WEIR_VERSION;
	thrift_put_binary(out, &last, 6, weir_str_from(created_by));
	thrift_put_list(out, &last, 7, THRIFT_STRUCT, writer->layout.leaf_count);
	for (uint32_t i = 0; i < writer->layout.leaf_count; i++) { /* ColumnOrder: TYPE_ORDER */
		int16_t inner = 0;
		thrift_put_field(out, &inner, 1, THRIFT_STRUCT);
		thrift_put_stop(out);
		thrift_put_stop(out);
	}
	thrift_put_stop(out);
}

static void widen_bounds(struct weir_arena *arena, struct pq_column_stats *stats, const struct pq_chunk *chunk)
{
	int order;
	if (!stats->has_bounds || (expr_compare(&chunk->min, &stats->min, &order) && order < 0))
		stats->min = copy_value(arena, &chunk->min);
	if (!stats->has_bounds || (expr_compare(&chunk->max, &stats->max, &order) && order > 0))
		stats->max = copy_value(arena, &chunk->max);
	stats->has_bounds = true;
}

static void column_info(
	const struct pq_writer *writer, uint32_t leaf, struct weir_arena *arena, struct pq_column_stats *stats)
{
	bool unknown = false;
	*stats = (struct pq_column_stats){.field_id = writer->layout.leaves[leaf].field->id};
	for (uint32_t g = 0; g < writer->group_count; g++) {
		const struct pq_chunk *chunk = &writer->groups[g].chunks[leaf];
		stats->value_count += chunk->value_count;
		stats->null_count += chunk->stats.null_count;
		stats->nan_count += chunk->nan_count;
		stats->size_bytes += chunk->packed_size;
		if (chunk->has_bounds)
			widen_bounds(arena, stats, chunk);
		else if (chunk->stats.null_count + chunk->nan_count < chunk->value_count)
			unknown = true;
	}
	if (unknown)
		stats->has_bounds = false;
}

static void file_info(const struct pq_writer *writer, struct weir_arena *arena, struct pq_file_info *info)
{
	*info = (struct pq_file_info){.size_bytes = writer->offset,
		.row_count = writer->rows,
		.column_count = writer->layout.leaf_count,
		.row_group_count = writer->group_count};
	info->columns = weir_arena_calloc(arena, info->column_count, sizeof *info->columns);
	for (uint32_t i = 0; i < info->column_count; i++)
		column_info(writer, i, arena, &info->columns[i]);
	info->split_offsets = weir_arena_calloc(arena, info->row_group_count, sizeof *info->split_offsets);
	for (uint32_t i = 0; i < info->row_group_count; i++)
		info->split_offsets[i] = writer->groups[i].start;
}

int pq_writer_close(
	struct pq_writer *writer, struct weir_arena *arena, struct pq_file_info *ret_info, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	int code = flush(writer, err);
	if (code == 0)
		code = put_indexes(writer, err);
	if (code == 0) {
		encode_footer(&out, writer);
		if (out.size > PQ_FOOTER_LIMIT)
			code = weir_fail(err, WEIR_E_LIMIT, "the footer takes %zu bytes, more than %zu: %u row groups",
				out.size, PQ_FOOTER_LIMIT, writer->group_count);
	}
	if (code == 0) {
		weir_buf_u32(&out, (uint32_t)out.size);
		weir_buf_append(&out, PQ_MAGIC, 4);
		code = put(writer, out.data, out.size, err);
	}
	if (code == 0)
		file_info(writer, arena, ret_info);
	weir_buf_done(&out);
	pq_writer_abandon(writer);
	return code;
}
