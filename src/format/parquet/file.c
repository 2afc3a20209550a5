/*
 * A file's footer, decoded once; statistics; page indexes on request; raw row groups for splicing.
 * Immutable after opening, so any number of threads may share it.
 */
#include <stdlib.h>

#include "format/parquet/encoder_int.h"

#define TAIL_BYTES 65536

static int not_parquet(const struct pq_file *file, const char *why, struct weir_error *err)
{
	return weir_fail_at(
		err, WEIR_E_CORRUPT, file->source.name, file->source.size_bytes, "not a Parquet file: %s", why);
}

static int read_at(const struct pq_file *file, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	int code = file->source.read(file->source.self, offset, buffer, size, err);
	return weir_error_in(err, code, file->source.name);
}

/* The footer's bytes in the arena: its texts point into them. */
static int read_footer(struct pq_file *file, const uint8_t **ret_footer, size_t *ret_size, struct weir_error *err)
{
	uint64_t size = file->source.size_bytes;
	size_t tail = size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
	if (size < 12)
		return not_parquet(file, "it is shorter than 12 bytes", err);
	uint8_t *bytes = weir_arena_alloc(file->arena, tail);
	int code = read_at(file, size - tail, bytes, tail, err);
	if (code != 0)
		return code;
	if (memcmp(bytes + tail - 4, "PARE", 4) == 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->source.name, size - 4,
			"the footer is encrypted; weir reads files in the clear");
	if (memcmp(bytes + tail - 4, PQ_MAGIC, 4) != 0)
		return not_parquet(file, "it does not end with PAR1; it may be cut", err);
	size_t length = weir_le32(bytes + tail - 8);
	if (length > size - 12)
		return not_parquet(file, "the footer is longer than the file", err);
	if (length > PQ_FOOTER_LIMIT)
		return weir_fail_at(err, WEIR_E_LIMIT, file->source.name, size - 8,
			"the footer takes %zu bytes; the limit is %zu", length, PQ_FOOTER_LIMIT);
	file->footer_offset = size - 8 - length;
	*ret_size = length;
	if (length <= tail - 8) {
		*ret_footer = bytes + tail - 8 - length;
		return 0;
	}
	uint8_t *whole = weir_arena_alloc(file->arena, length);
	*ret_footer = whole;
	return read_at(file, file->footer_offset, whole, length, err);
}

static bool within(const struct pq_file *file, uint64_t offset, uint64_t size)
{
	return offset <= file->footer_offset && size <= file->footer_offset - offset;
}

static int check_chunks(const struct pq_file *file, struct weir_error *err)
{
	for (uint32_t g = 0; g < file->meta.group_count; g++) {
		for (uint32_t i = 0; i < file->meta.leaf_count; i++) {
			const struct pq_chunk *chunk = &file->meta.groups[g].chunks[i];
			if (chunk->external || chunk->encrypted)
				continue; /* refused when it is to be read */
			if (chunk->physical != file->tree.leaves[i].physical)
				return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, file->footer_offset,
					"column %u of row group %u has another type than the schema says", i, g);
			if (file->tree.leaves[i].max_rep == 0 && chunk->value_count < file->meta.groups[g].rows)
				return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, file->footer_offset,
					"column %u of row group %u has fewer values than the row group has rows", i, g);
			if (!within(file, chunk->data_offset, 0) || !within(file, chunk->dictionary_offset, 0))
				return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, file->footer_offset,
					"column %u of row group %u begins past the end of the file", i, g);
		}
	}
	return 0;
}

static int open_file(struct pq_file *file, struct weir_error *err)
{
	const uint8_t *footer = NULL;
	size_t size = 0;
	int code = read_footer(file, &footer, &size, err);
	if (code != 0)
		return code;
	code = pq_meta_decode(file->arena, file->source.name, file->footer_offset, footer, size, &file->meta, err);
	if (code != 0)
		return code;
	if (file->meta.encrypted)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, file->source.name, file->footer_offset,
			"the file has encrypted columns; weir reads files in the clear");
	code = pq_tree_make(file->arena, file->source.name, &file->meta, &file->tree, err);
	return code == 0 ? check_chunks(file, err) : code;
}

int pq_file_open(struct weir_byte_source source, struct pq_file **ret_file, struct weir_error *err)
{
	struct pq_file *file = weir_zalloc(sizeof *file);
	file->arena = weir_arena_new(16384);
	file->source = source;
	file->source.name = weir_arena_str(file->arena, source.name);
	int code = open_file(file, err);
	if (code != 0) {
		pq_file_free(file);
		return code;
	}
	*ret_file = file;
	return 0;
}

void pq_file_free(struct pq_file *file)
{
	if (file == NULL)
		return;
	weir_arena_free(file->arena);
	free(file);
}

const struct weir_schema *pq_file_schema(const struct pq_file *file)
{
	return file->tree.schema;
}

uint64_t pq_file_row_count(const struct pq_file *file)
{
	uint32_t count = file->meta.group_count;
	return count > 0 ? file->meta.groups[count - 1].first_row + file->meta.groups[count - 1].rows : 0;
}

uint32_t pq_file_row_group_count(const struct pq_file *file)
{
	return file->meta.group_count;
}

uint64_t pq_file_row_group_rows(const struct pq_file *file, uint32_t row_group)
{
	WEIR_ASSERT(row_group < file->meta.group_count);
	return file->meta.groups[row_group].rows;
}

size_t pq_file_memory(const struct pq_file *file)
{
	return sizeof *file + weir_arena_used(file->arena);
}

const struct pq_node *pq_file_leaf(const struct pq_file *file, int32_t field_id)
{
	for (uint32_t i = 0; i < file->tree.leaf_count && field_id != 0; i++)
		if (file->tree.leaves[i].node->field->id == field_id)
			return file->tree.leaves[i].node;
	return NULL;
}

static bool decimal_value(struct weir_str bytes, struct expr_value *ret_value)
{
	if (bytes.size == 0 || bytes.size > 16)
		return false;
	weir_int128 value = (int8_t)bytes.data[0] < 0 ? -1 : 0;
	for (size_t i = 0; i < bytes.size; i++)
		value = (weir_int128)((unsigned char)bytes.data[i] + value * 256);
	*ret_value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = (int64_t)value};
	return value >= INT64_MIN && value <= INT64_MAX;
}

static bool integer_value(const struct pq_node *node, int64_t value, struct expr_value *ret_value)
{
	*ret_value = (struct expr_value){.kind = EXPR_INTEGER, .u.integer = value};
	switch (node->convert) {
	case PQ_I64_TIMES_1000:
	case PQ_I32_TIMES_1000:
		return !__builtin_mul_overflow(value, 1000, &ret_value->u.integer);
	case PQ_I64_OVER_1000:
		ret_value->u.integer = value / 1000 - (value % 1000 < 0);
		return true;
	case PQ_U32_I64:
		ret_value->u.integer = (uint32_t)value;
		return true;
	case PQ_U64_DECIMAL:
		return value >= 0;
	default:
		return true;
	}
}

bool pq_bound_decode(const struct pq_node *node, struct weir_str bytes, struct expr_value *ret_value)
{
	static const uint8_t sizes[] = {
		[PQ_BOOLEAN] = 1, [PQ_INT32] = 4, [PQ_INT64] = 8, [PQ_FLOAT] = 4, [PQ_DOUBLE] = 8, [PQ_FIXED] = 0};
	float f32;
	if (bytes.data == NULL || node->physical < 0 || node->physical == PQ_INT96)
		return false;
	if (node->physical <= PQ_DOUBLE && bytes.size != sizes[node->physical])
		return false;
	switch (node->physical) {
	case PQ_BOOLEAN:
		*ret_value = (struct expr_value){.kind = EXPR_BOOLEAN, .u.boolean = bytes.data[0] != 0};
		return true;
	case PQ_INT32:
		return integer_value(node, (int32_t)weir_le32(bytes.data), ret_value);
	case PQ_INT64:
		return integer_value(node, (int64_t)weir_le64(bytes.data), ret_value);
	case PQ_FLOAT:
		memcpy(&f32, bytes.data, sizeof f32);
		*ret_value = (struct expr_value){.kind = EXPR_NUMBER, .u.number = (double)f32};
		return f32 == f32; /* a NaN is no bound */
	case PQ_DOUBLE:
		ret_value->kind = EXPR_NUMBER;
		memcpy(&ret_value->u.number, bytes.data, sizeof ret_value->u.number);
		return ret_value->u.number == ret_value->u.number;
	default:
		break;
	}
	if (node->convert == PQ_BYTES_DECIMAL)
		return decimal_value(bytes, ret_value);
	if (node->convert == PQ_F16_F32 || node->convert == PQ_F16_F64)
		return false;
	if (node->convert == PQ_BYTES_UUID) {
		*ret_value = (struct expr_value){.kind = EXPR_UUID};
		if (bytes.size == sizeof ret_value->u.uuid.bytes)
			memcpy(ret_value->u.uuid.bytes, bytes.data, bytes.size);
		return bytes.size == sizeof ret_value->u.uuid.bytes;
	}
	*ret_value = (struct expr_value){.kind = EXPR_TEXT, .u.text = bytes};
	return true;
}

bool pq_chunk_bounds(
	const struct pq_file *file, uint32_t row_group, const struct pq_node *node, struct expr_bounds *ret_bounds)
{
	const struct pq_chunk *chunk = &file->meta.groups[row_group].chunks[node->leaf];
	*ret_bounds = (struct expr_bounds){.row_count = file->meta.groups[row_group].rows,
		.has_null_count = chunk->stats.has_null_count,
		.null_count = chunk->stats.null_count};
	if (chunk->stats.old_order && (node->physical >= PQ_BYTE_ARRAY || node->convert == PQ_U32_I64))
		return false;
	ret_bounds->has_min = pq_bound_decode(node, chunk->stats.min, &ret_bounds->min);
	ret_bounds->has_max = pq_bound_decode(node, chunk->stats.max, &ret_bounds->max);
	return ret_bounds->has_min || ret_bounds->has_max || ret_bounds->has_null_count;
}

bool pq_file_bounds(const struct pq_file *file, uint32_t row_group, int32_t field_id, struct expr_bounds *ret_bounds)
{
	const struct pq_node *node = pq_file_leaf(file, field_id);
	if (node == NULL || row_group >= file->meta.group_count)
		return false;
	if (file->meta.groups[row_group].chunks[node->leaf].encrypted || file->tree.leaves[node->leaf].max_rep > 0)
		return false;
	return pq_chunk_bounds(file, row_group, node, ret_bounds);
}

static int read_part(const struct pq_file *file, uint64_t offset, uint32_t size, struct weir_arena *arena,
	void **ret_bytes, struct weir_error *err)
{
	if (size > PQ_INDEX_LIMIT || !within(file, offset, size))
		return weir_fail_at(err, WEIR_E_CORRUPT, file->source.name, offset,
			"an index of %u bytes is not within the file", size);
	*ret_bytes = weir_arena_alloc(arena, size);
	return read_at(file, offset, *ret_bytes, size, err);
}

int pq_file_read_index(const struct pq_file *file, struct weir_arena *arena, struct pq_chunk *chunk, bool with_bounds,
	struct weir_error *err)
{
	void *bytes = NULL;
	if (chunk->offset_index_size == 0)
		return 0;
	int code = read_part(file, chunk->offset_index_offset, chunk->offset_index_size, arena, &bytes, err);
	if (code == 0)
		code = pq_offset_index_decode(arena, bytes, chunk->offset_index_size, chunk, err);
	for (uint32_t i = 0; code == 0 && i < chunk->page_count; i++)
		if (!within(file, chunk->pages[i].offset, chunk->pages[i].size))
			code = weir_fail(err, WEIR_E_CORRUPT, "offset index: page %u is not within the file", i);
	if (code == 0 && with_bounds && chunk->column_index_size > 0)
		code = read_part(file, chunk->column_index_offset, chunk->column_index_size, arena, &bytes, err);
	if (code == 0 && with_bounds && chunk->column_index_size > 0)
		code = pq_column_index_decode(arena, bytes, chunk->column_index_size, chunk, err);
	return weir_error_in(err, code, file->source.name);
}
