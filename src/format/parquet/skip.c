/*
 * What need not be read: row groups by statistics and bloom filters, pages by column indexes. All of it
 * errs towards reading; damaged indexes are errors, missing ones are not.
 */
#include <stdlib.h>

#include "format/parquet/read_int.h"

#define BLOOM_LIMIT  ((uint32_t)16 << 20)
#define BLOOM_HEADER 64

/* A literal as the file's PLAIN bytes, for a bloom filter; 0 where it is not one of that column's. */
static size_t plain_literal(
	const struct pq_node *node, const struct expr_value *value, uint8_t buffer[16], const void **ret_bytes)
{
	*ret_bytes = buffer;
	if (value->kind == EXPR_INTEGER && node->convert == PQ_AS_IS && node->physical == PQ_INT32 &&
		value->u.integer >= INT32_MIN && value->u.integer <= INT32_MAX) {
		int32_t narrow = (int32_t)value->u.integer;
		memcpy(buffer, &narrow, sizeof narrow);
		return sizeof narrow;
	}
	if (value->kind == EXPR_INTEGER && node->convert == PQ_AS_IS && node->physical == PQ_INT64) {
		memcpy(buffer, &value->u.integer, sizeof value->u.integer);
		return sizeof value->u.integer;
	}
	if (value->kind == EXPR_UUID && node->convert == PQ_BYTES_UUID) {
		memcpy(buffer, value->u.uuid.bytes, sizeof value->u.uuid.bytes);
		return sizeof value->u.uuid.bytes;
	}
	if (value->kind == EXPR_TEXT && node->convert == PQ_BYTES_VIEW) {
		*ret_bytes = value->u.text.data;
		return value->u.text.size;
	}
	return 0;
}

static bool bloom_may_match(const struct pq_node *node, const struct expr_term *term, const uint8_t *bits, size_t size)
{
	for (uint32_t i = 0; i < term->value_count; i++) {
		uint8_t buffer[16];
		const void *bytes;
		size_t literal = plain_literal(node, &term->values[i], buffer, &bytes);
		if (literal == 0 || pq_bloom_has(bits, size, bytes, literal))
			return true;
	}
	return false;
}

static int bloom_check(const struct pq_file *file, const struct pq_chunk *chunk, const struct pq_node *node,
	const struct expr_term *term, bool *ret_may, struct weir_error *err)
{
	uint8_t header[BLOOM_HEADER];
	uint64_t left = file->footer_offset > chunk->bloom_offset ? file->footer_offset - chunk->bloom_offset : 0;
	size_t first = left < sizeof header ? (size_t)left : sizeof header, header_size = 0;
	uint32_t bits_size = 0;
	int code = file->source.read(file->source.self, chunk->bloom_offset, header, first, err);
	if (code == 0)
		code = pq_bloom_header_decode(header, first, &bits_size, &header_size, err);
	if (code == 0 && (bits_size > BLOOM_LIMIT || bits_size > left - header_size || bits_size % 32 != 0))
		code = weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, chunk->bloom_offset,
			"a bloom filter of %u bytes is not within the file", bits_size);
	if (code == 0) {
		uint8_t *bits = weir_alloc(bits_size);
		code = file->source.read(file->source.self, chunk->bloom_offset + header_size, bits, bits_size, err);
		*ret_may = code != 0 || bloom_may_match(node, term, bits, bits_size);
		free(bits);
	}
	return weir_error_in(err, code, file->source.name);
}

/* A field that the file lacks is null in each of its rows. */
static bool missing_may_match(const struct expr_term *term)
{
	return expr_term_value(term, NULL) == EXPR_TRUE;
}

static bool is_in_file(const struct pq_file *file, int32_t field_id)
{
	for (uint32_t i = 0; i < file->tree.schema->field_count; i++)
		if (file->tree.schema->fields[i].id != 0)
			return pq_file_leaf(file, field_id) != NULL ||
				weir_schema_find_id(file->tree.schema, field_id) != WEIR_NO_FIELD;
	return true; /* no field ids at all: nothing can be said */
}

/* A file's bounds are microseconds whatever its unit is; a column that is read in nanoseconds is filtered in them. */
static void to_units_of(const struct weir_schema *wanted, int32_t field_id, struct expr_bounds *bounds)
{
	uint32_t at = weir_schema_find_id(wanted, field_id);
	if (at == WEIR_NO_FIELD ||
		(wanted->fields[at].type != WEIR_TIMESTAMP_NS && wanted->fields[at].type != WEIR_TIMESTAMPTZ_NS))
		return;
	int64_t *min = &bounds->min.u.integer, *max = &bounds->max.u.integer;
	bounds->has_min = bounds->has_min && !__builtin_mul_overflow(*min, (int64_t)1000, min);
	bounds->has_max = bounds->has_max && !__builtin_mul_overflow(*max, (int64_t)1000, max) &&
		!__builtin_add_overflow(*max, (int64_t)999, max);
}

int pq_group_may_match(const struct pq_file *file, uint32_t row_group, const struct weir_schema *wanted,
	const struct expr_filter *filter, bool *ret_may, struct weir_error *err)
{
	*ret_may = true;
	for (uint32_t i = 0; i < filter->term_count; i++) {
		const struct expr_term *term = &filter->terms[i];
		struct expr_bounds bounds;
		const struct pq_node *node = pq_file_leaf(file, term->field_id);
		if (!is_in_file(file, term->field_id) && !missing_may_match(term)) {
			*ret_may = false;
			return 0;
		}
		if (node == NULL)
			continue;
		if (pq_file_bounds(file, row_group, term->field_id, &bounds)) {
			to_units_of(wanted, term->field_id, &bounds);
			*ret_may = expr_term_may_match(term, &bounds);
			if (!*ret_may)
				return 0;
		}
		const struct pq_chunk *chunk = &file->meta.groups[row_group].chunks[node->leaf];
		if (chunk->bloom_offset == 0 || (term->op != EXPR_EQ && term->op != EXPR_IN) ||
			file->tree.leaves[node->leaf].max_rep > 0)
			continue;
		int code = bloom_check(file, chunk, node, term, ret_may, err);
		if (code != 0 || !*ret_may)
			return code;
	}
	return 0;
}

static bool page_may_match(const struct pq_node *node, const struct pq_page_info *page, uint64_t rows,
	const struct weir_schema *wanted, const struct expr_term *term)
{
	struct expr_bounds bounds = {
		.row_count = rows, .has_null_count = page->null_count != UINT64_MAX, .null_count = page->null_count};
	if (page->all_null) {
		bounds.has_null_count = true;
		bounds.null_count = rows;
	} else {
		bounds.has_min = pq_bound_decode(node, page->min, &bounds.min);
		bounds.has_max = pq_bound_decode(node, page->max, &bounds.max);
		to_units_of(wanted, term->field_id, &bounds);
	}
	return expr_term_may_match(term, &bounds);
}

static void add_range(struct pq_range *ranges, uint32_t *count, uint64_t from, uint64_t to)
{
	if (from >= to)
		return;
	if (*count > 0 && ranges[*count - 1].to == from)
		ranges[*count - 1].to = to;
	else
		ranges[(*count)++] = (struct pq_range){from, to};
}

/* Rows in both lists. */
static void intersect(struct weir_arena *arena, struct pq_range **ranges, uint32_t *count, const struct pq_range *other,
	uint32_t other_count)
{
	struct pq_range *both = weir_arena_calloc(arena, (size_t)*count + other_count + 1, sizeof *both);
	uint32_t found = 0, a = 0, b = 0;
	while (a < *count && b < other_count) {
		uint64_t from = (*ranges)[a].from > other[b].from ? (*ranges)[a].from : other[b].from;
		uint64_t to = (*ranges)[a].to < other[b].to ? (*ranges)[a].to : other[b].to;
		add_range(both, &found, from, to);
		if ((*ranges)[a].to < other[b].to)
			a++;
		else
			b++;
	}
	*ranges = both;
	*count = found;
}

int pq_group_ranges(const struct pq_file *file, uint32_t row_group, const struct weir_schema *wanted,
	const struct expr_filter *filter, struct weir_arena *arena, struct pq_range **ret_ranges, uint32_t *ret_count,
	struct weir_error *err)
{
	uint64_t rows = file->meta.groups[row_group].rows;
	struct pq_range *ranges = weir_arena_calloc(arena, 1, sizeof *ranges);
	uint32_t count = 0;
	add_range(ranges, &count, 0, rows);
	for (uint32_t i = 0; i < filter->term_count; i++) {
		const struct pq_node *node = pq_file_leaf(file, filter->terms[i].field_id);
		if (node == NULL || file->tree.leaves[node->leaf].max_rep > 0)
			continue;
		struct pq_chunk chunk = file->meta.groups[row_group].chunks[node->leaf];
		if (chunk.column_index_size == 0 || chunk.encrypted)
			continue;
		int code = pq_file_read_index(file, arena, &chunk, true, err);
		if (code != 0)
			return code;
		if (!chunk.has_index || chunk.page_count == 0 || chunk.pages[0].first_row != 0)
			continue;
		struct pq_range *kept = weir_arena_calloc(arena, chunk.page_count, sizeof *kept);
		uint32_t kept_count = 0;
		for (uint32_t p = 0; p < chunk.page_count; p++) {
			uint64_t from = chunk.pages[p].first_row;
			uint64_t to = p + 1 < chunk.page_count ? chunk.pages[p + 1].first_row : rows;
			if (to > from && page_may_match(node, &chunk.pages[p], to - from, wanted, &filter->terms[i]))
				add_range(kept, &kept_count, from, to < rows ? to : rows);
		}
		intersect(arena, &ranges, &count, kept, kept_count);
	}
	*ret_ranges = ranges;
	*ret_count = count;
	return 0;
}
