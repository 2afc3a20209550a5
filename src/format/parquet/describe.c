/*
 * What a file says of itself, for people: one column chunk at a time, from the footer and the offset index. Bounds are
 * those of the file, truncated ones included; nothing is decoded but metadata.
 */
#include "format/parquet/parquet_int.h"

static const char *const physical_names[] = {
	"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"};
static const char *const codec_names[] = {"none", "snappy", "gzip", "lzo", "brotli", "lz4 (old)", "zstd", "lz4"};
static const char *const encoding_names[] = {[PQ_PLAIN] = "PLAIN",
	[PQ_PLAIN_DICTIONARY] = "PLAIN_DICTIONARY",
	[PQ_RLE] = "RLE",
	[PQ_BIT_PACKED] = "BIT_PACKED",
	[PQ_DELTA_BINARY_PACKED] = "DELTA_BINARY_PACKED",
	[PQ_DELTA_LENGTH_BYTE_ARRAY] = "DELTA_LENGTH_BYTE_ARRAY",
	[PQ_DELTA_BYTE_ARRAY] = "DELTA_BYTE_ARRAY",
	[PQ_RLE_DICTIONARY] = "RLE_DICTIONARY",
	[PQ_BYTE_STREAM_SPLIT] = "BYTE_STREAM_SPLIT"};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

uint32_t pq_file_column_count(const struct pq_file *file)
{
	return file->tree.leaf_count;
}

struct weir_str pq_file_created_by(const struct pq_file *file)
{
	return file->meta.created_by;
}

/* Names from the top to a leaf, with points; false where it is not below these nodes. */
static bool find_path(const struct pq_node *nodes, uint32_t count, uint32_t leaf, struct weir_buf *path)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t size = path->size;
		const struct weir_field *field = nodes[i].field;
		weir_buf_puts(path, size > 0 ? "." : "");
		weir_buf_append(path, field->name.data, field->name.size);
		bool found = weir_type_is_nested(field->type)
			? find_path(nodes[i].children, field->child_count, leaf, path)
			: nodes[i].leaf == leaf;
		if (found)
			return true;
		path->size = size;
	}
	return false;
}

void pq_file_describe_column(const struct pq_file *file, uint32_t column, struct weir_arena *arena,
	struct pq_column_description *ret_description)
{
	struct weir_buf path = WEIR_BUF_INIT;
	WEIR_ASSERT(column < file->tree.leaf_count);
	const struct pq_leaf_levels *leaf = &file->tree.leaves[column];
	find_path(file->tree.nodes, file->tree.schema->field_count, column, &path);
	*ret_description = (struct pq_column_description){.path = weir_arena_str(arena, weir_buf_str(&path)),
		.field = leaf->node->field,
		.physical = physical_names[leaf->physical],
		.max_definition = leaf->max_def,
		.max_repetition = leaf->max_rep};
	weir_buf_done(&path);
}

static struct weir_str encodings_text(const struct pq_chunk *chunk, struct weir_arena *arena)
{
	struct weir_buf text = WEIR_BUF_INIT;
	for (uint32_t i = COUNT(encoding_names); i-- > 0;) { /* those of values before those of levels */
		if ((chunk->encodings >> i & 1) == 0 || encoding_names[i] == NULL)
			continue;
		weir_buf_puts(&text, text.size > 0 ? " " : "");
		weir_buf_puts(&text, encoding_names[i]);
	}
	struct weir_str copy = weir_arena_str(arena, weir_buf_str(&text));
	weir_buf_done(&text);
	return copy;
}

int pq_file_describe_chunk(const struct pq_file *file, uint32_t row_group, uint32_t column, struct weir_arena *arena,
	struct pq_chunk_description *ret_description, struct weir_error *err)
{
	WEIR_ASSERT(row_group < file->meta.group_count && column < file->tree.leaf_count);
	struct pq_chunk chunk = file->meta.groups[row_group].chunks[column];
	bool known = chunk.codec >= 0 && (size_t)chunk.codec < COUNT(codec_names);
	*ret_description = (struct pq_chunk_description){.codec = known ? codec_names[chunk.codec] : "unknown",
		.encodings = encodings_text(&chunk, arena),
		.value_count = chunk.value_count,
		.plain_bytes = chunk.plain_size,
		.size_bytes = chunk.packed_size,
		.encrypted = chunk.encrypted,
		.bloom_bytes = chunk.bloom_size,
		.has_bloom = chunk.bloom_offset > 0,
		.has_column_index = chunk.column_index_size > 0};
	if (chunk.encrypted)
		return 0;
	pq_chunk_bounds(file, row_group, file->tree.leaves[column].node, &ret_description->bounds);
	int code = pq_file_read_index(file, arena, &chunk, false, err);
	ret_description->page_count = code == 0 ? chunk.page_count : 0;
	return code;
}
