/*
 * A row group of a file as it stands, to be spliced into another: its bytes, its footer entry, its
 * indexes and bloom filters, with offsets relative to its first byte.
 */
#include <stdlib.h>

#include "format/parquet/encoder_int.h"

struct extent {
	uint64_t from, to;
};

static int cannot_copy(const struct pq_file *file, const char *why, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->source.name, file->footer_offset,
		"a row group cannot be copied: %s; decode and encode it", why);
}

/* The bytes of the row group's pages: chunks lie one after the other in files that can be spliced. */
static int find_extent(const struct pq_file *file, const struct pq_row_group_meta *group, struct extent *ret_extent,
	struct weir_error *err)
{
	uint64_t total = 0;
	*ret_extent = (struct extent){UINT64_MAX, 0};
	for (uint32_t i = 0; i < file->meta.leaf_count; i++) {
		const struct pq_chunk *chunk = &group->chunks[i];
		uint64_t from = chunk->data_offset, to;
		if (chunk->external || chunk->encrypted)
			return cannot_copy(file, "a column is encrypted or in another file", err);
		if (chunk->has_dictionary && chunk->dictionary_offset < from)
			from = chunk->dictionary_offset;
		if (__builtin_add_overflow(from, chunk->packed_size, &to) || to > file->footer_offset)
			return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, from,
				"column %u reaches past the end of the file", i);
		ret_extent->from = from < ret_extent->from ? from : ret_extent->from;
		ret_extent->to = to > ret_extent->to ? to : ret_extent->to;
		total += chunk->packed_size;
	}
	if (file->meta.leaf_count == 0)
		*ret_extent = (struct extent){0, 0};
	if (total != ret_extent->to - ret_extent->from)
		return cannot_copy(file, "other bytes lie between its columns", err);
	return 0;
}

static struct weir_str copy_bound(struct weir_arena *arena, struct weir_str bound)
{
	return bound.data != NULL ? weir_arena_str(arena, bound) : bound;
}

static int copy_bloom(
	const struct pq_file *file, struct weir_arena *arena, struct pq_chunk *chunk, struct weir_error *err)
{
	bool there = chunk->bloom_offset > 0 && chunk->bloom_size > 0;
	if (there &&
		(chunk->bloom_size > PQ_INDEX_LIMIT || chunk->bloom_offset > file->footer_offset ||
			chunk->bloom_size > file->footer_offset - chunk->bloom_offset))
		return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, chunk->bloom_offset,
			"a bloom filter is not within the file");
	if (there) {
		char *bytes = weir_arena_alloc(arena, chunk->bloom_size);
		chunk->bloom = (struct weir_str){bytes, chunk->bloom_size};
		int code = file->source.read(file->source.self, chunk->bloom_offset, bytes, chunk->bloom_size, err);
		if (code != 0)
			return code;
	}
	chunk->bloom_offset = 0;
	chunk->bloom_size = 0;
	return 0;
}

static bool copy_value(
	struct weir_arena *arena, const struct pq_node *node, struct weir_str bytes, struct expr_value *ret_value)
{
	if (!pq_bound_decode(node, bytes, ret_value))
		return false;
	if (ret_value->kind == EXPR_TEXT)
		ret_value->u.text = weir_arena_str(arena, ret_value->u.text);
	return true;
}

static int copy_chunk(const struct pq_file *file, struct weir_arena *arena, uint32_t leaf, uint64_t start,
	struct pq_chunk *chunk, struct weir_error *err)
{
	const struct pq_node *node = file->tree.leaves[leaf].node;
	int code = pq_file_read_index(file, arena, chunk, true, err);
	if (code == 0)
		code = copy_bloom(file, arena, chunk, err);
	if (code != 0)
		return code;
	chunk->column_index_offset = chunk->offset_index_offset = 0;
	chunk->column_index_size = chunk->offset_index_size = 0;
	for (uint32_t i = 0; i < chunk->page_count; i++) {
		if (chunk->pages[i].offset < start)
			return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, chunk->pages[i].offset,
				"page %u of column %u is not within its row group", i, leaf);
		chunk->pages[i].offset -= start;
		if (chunk->pages[i].null_count == UINT64_MAX)
			chunk->has_index = false; /* what is written counts the nulls of each page */
	}
	chunk->data_offset -= start;
	chunk->dictionary_offset -= chunk->has_dictionary ? start : 0;
	if (chunk->stats.old_order)
		chunk->stats.min = chunk->stats.max = (struct weir_str){NULL, 0};
	chunk->stats.min = copy_bound(arena, chunk->stats.min);
	chunk->stats.max = copy_bound(arena, chunk->stats.max);
	chunk->has_bounds = file->tree.leaves[leaf].max_rep == 0 && chunk->stats.min_exact && chunk->stats.max_exact &&
		copy_value(arena, node, chunk->stats.min, &chunk->min) &&
		copy_value(arena, node, chunk->stats.max, &chunk->max);
	return 0;
}

int pq_file_row_group_copy(
	const struct pq_file *file, uint32_t row_group, struct pq_row_group **ret_group, struct weir_error *err)
{
	struct extent extent;
	if (row_group >= file->meta.group_count)
		return weir_fail_at(err, WEIR_E_INPUT, file->source.name, WEIR_ERROR_NO_OFFSET,
			"row group %u is asked for and the file has %u", row_group, file->meta.group_count);
	const struct pq_row_group_meta *from = &file->meta.groups[row_group];
	int code = find_extent(file, from, &extent, err);
	if (code != 0)
		return code;
	struct pq_row_group *group = pq_row_group_new(file->meta.leaf_count);
	group->rows = from->rows;
	group->plain_size = from->plain_size;
	group->shape = pq_elements_shape(file->meta.elements, file->meta.element_count);
	weir_buf_reserve(&group->bytes, extent.to - extent.from);
	group->bytes.size = extent.to - extent.from;
	code = file->source.read(file->source.self, extent.from, group->bytes.data, group->bytes.size, err);
	for (uint32_t i = 0; i < group->chunk_count && code == 0; i++) {
		group->chunks[i] = from->chunks[i];
		code = copy_chunk(file, group->arena, i, extent.from, &group->chunks[i], err);
	}
	if (code != 0) {
		pq_row_group_free(group);
		return weir_error_in(err, code, file->source.name);
	}
	*ret_group = group;
	return 0;
}
