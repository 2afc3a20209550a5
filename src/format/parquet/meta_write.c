/* Parquet's metadata to bytes (parquet.thrift). Field ids stand where they are used, with their names. */
#include <stdio.h>

#include "format/parquet/parquet_int.h"
#include "format/parquet/thrift_int.h"

/* SchemaElement.logicalType: a union, that is a struct with one field. */
static void put_logical(struct weir_buf *out, int16_t *last, const struct pq_element *element)
{
	int16_t in_union = 0, in_type = 0, in_unit = 0;
	thrift_put_field(out, last, 10, THRIFT_STRUCT);
	thrift_put_field(out, &in_union, element->logical, THRIFT_STRUCT);
	switch (element->logical) {
	case PQ_LOGICAL_DECIMAL:
		thrift_put_i32(out, &in_type, 1, element->scale);
		thrift_put_i32(out, &in_type, 2, element->precision);
		break;
	case PQ_LOGICAL_TIME:
	case PQ_LOGICAL_TIMESTAMP:
		thrift_put_bool(out, &in_type, 1, element->utc);
		thrift_put_field(out, &in_type, 2, THRIFT_STRUCT);
		thrift_put_field(out, &in_unit, element->unit, THRIFT_STRUCT);
		thrift_put_stop(out);
		thrift_put_stop(out);
		break;
	default:
		break;
	}
	thrift_put_stop(out);
	thrift_put_stop(out);
}

void pq_element_encode(struct weir_buf *out, const struct pq_element *element)
{
	int16_t last = 0;
	if (element->physical >= 0)
		thrift_put_i32(out, &last, 1, element->physical);
	if (element->physical == PQ_FIXED)
		thrift_put_i32(out, &last, 2, element->type_length);
	if (element->repetition >= 0)
		thrift_put_i32(out, &last, 3, element->repetition);
	thrift_put_binary(out, &last, 4, element->name);
	if (element->physical < 0)
		thrift_put_i32(out, &last, 5, element->child_count);
	if (element->converted != PQ_CONVERTED_NONE)
		thrift_put_i32(out, &last, 6, element->converted);
	if (element->converted == PQ_DECIMAL) {
		thrift_put_i32(out, &last, 7, element->scale);
		thrift_put_i32(out, &last, 8, element->precision);
	}
	if (element->has_field_id)
		thrift_put_i32(out, &last, 9, element->field_id);
	if (element->logical != PQ_LOGICAL_NONE)
		put_logical(out, &last, element);
	thrift_put_stop(out);
}

void pq_page_header_encode(struct weir_buf *out, const struct pq_page_header *header)
{
	int16_t last = 0, inner = 0;
	thrift_put_i32(out, &last, 1, header->type);
	thrift_put_i32(out, &last, 2, header->plain_size);
	thrift_put_i32(out, &last, 3, header->packed_size);
	thrift_put_field(out, &last, header->type == PQ_DICTIONARY_PAGE ? 7 : 5, THRIFT_STRUCT);
	thrift_put_i32(out, &inner, 1, header->value_count);
	thrift_put_i32(out, &inner, 2, header->encoding);
	if (header->type == PQ_DATA_PAGE) {
		thrift_put_i32(out, &inner, 3, PQ_RLE);
		thrift_put_i32(out, &inner, 4, PQ_RLE);
	}
	thrift_put_stop(out);
	thrift_put_stop(out);
}

static void put_statistics(struct weir_buf *out, int16_t *last, int16_t id, const struct pq_stats *stats)
{
	int16_t inner = 0;
	thrift_put_field(out, last, id, THRIFT_STRUCT);
	if (stats->has_null_count)
		thrift_put_i64(out, &inner, 3, (int64_t)stats->null_count);
	if (stats->max.data != NULL)
		thrift_put_binary(out, &inner, 5, stats->max);
	if (stats->min.data != NULL)
		thrift_put_binary(out, &inner, 6, stats->min);
	if (stats->max.data != NULL)
		thrift_put_bool(out, &inner, 7, stats->max_exact);
	if (stats->min.data != NULL)
		thrift_put_bool(out, &inner, 8, stats->min_exact);
	thrift_put_stop(out);
}

static void put_key_value(struct weir_buf *out, struct weir_str key, struct weir_str value)
{
	int16_t last = 0;
	thrift_put_binary(out, &last, 1, key);
	thrift_put_binary(out, &last, 2, value);
	thrift_put_stop(out);
}

static void put_nan_count(struct weir_buf *out, int16_t *last, uint64_t count)
{
	char text[24];
	int size = snprintf(text, sizeof text, "%llu", (unsigned long long)count);
	thrift_put_list(out, last, 8, THRIFT_STRUCT, 1);
	put_key_value(out, WEIR_STR(PQ_NAN_COUNT_KEY), (struct weir_str){text, (size_t)size});
}

/* ColumnMetaData */
static void put_column_meta(
	struct weir_buf *out, const struct pq_chunk *chunk, const struct weir_str *path, uint32_t path_count)
{
	int16_t last = 0;
	thrift_put_i32(out, &last, 1, chunk->physical);
	thrift_put_list(out, &last, 2, THRIFT_I32, (uint32_t)__builtin_popcount(chunk->encodings));
	for (int i = 0; i < 32; i++)
		if ((chunk->encodings >> i & 1) != 0)
			thrift_put_zigzag(out, i);
	thrift_put_list(out, &last, 3, THRIFT_BINARY, path_count);
	for (uint32_t i = 0; i < path_count; i++)
		thrift_put_str(out, path[i]);
	thrift_put_i32(out, &last, 4, chunk->codec);
	thrift_put_i64(out, &last, 5, (int64_t)chunk->value_count);
	thrift_put_i64(out, &last, 6, (int64_t)chunk->plain_size);
	thrift_put_i64(out, &last, 7, (int64_t)chunk->packed_size);
	if (chunk->nan_count > 0)
		put_nan_count(out, &last, chunk->nan_count);
	thrift_put_i64(out, &last, 9, (int64_t)chunk->data_offset);
	if (chunk->has_dictionary)
		thrift_put_i64(out, &last, 11, (int64_t)chunk->dictionary_offset);
	put_statistics(out, &last, 12, &chunk->stats);
	if (chunk->bloom_offset > 0) {
		thrift_put_i64(out, &last, 14, (int64_t)chunk->bloom_offset);
		thrift_put_i32(out, &last, 15, (int32_t)chunk->bloom_size);
	}
	thrift_put_stop(out);
}

void pq_chunk_encode(
	struct weir_buf *out, const struct pq_chunk *chunk, const struct weir_str *path, uint32_t path_count)
{
	int16_t last = 0;
	thrift_put_i64(out, &last, 2, 0); /* file_offset: deprecated, and to be 0 */
	thrift_put_field(out, &last, 3, THRIFT_STRUCT);
	put_column_meta(out, chunk, path, path_count);
	if (chunk->offset_index_size > 0) {
		thrift_put_i64(out, &last, 4, (int64_t)chunk->offset_index_offset);
		thrift_put_i32(out, &last, 5, (int32_t)chunk->offset_index_size);
	}
	if (chunk->column_index_size > 0) {
		thrift_put_i64(out, &last, 6, (int64_t)chunk->column_index_offset);
		thrift_put_i32(out, &last, 7, (int32_t)chunk->column_index_size);
	}
	thrift_put_stop(out);
}

void pq_offset_index_encode(struct weir_buf *out, const struct pq_chunk *chunk)
{
	int16_t last = 0;
	thrift_put_list(out, &last, 1, THRIFT_STRUCT, chunk->page_count);
	for (uint32_t i = 0; i < chunk->page_count; i++) {
		int16_t inner = 0;
		thrift_put_i64(out, &inner, 1, (int64_t)chunk->pages[i].offset);
		thrift_put_i32(out, &inner, 2, (int32_t)chunk->pages[i].size);
		thrift_put_i64(out, &inner, 3, (int64_t)chunk->pages[i].first_row);
		thrift_put_stop(out);
	}
	thrift_put_stop(out);
}

void pq_column_index_encode(struct weir_buf *out, const struct pq_chunk *chunk)
{
	int16_t last = 0;
	struct weir_str nothing = {"", 0};
	thrift_put_list(out, &last, 1, THRIFT_TRUE, chunk->page_count);
	for (uint32_t i = 0; i < chunk->page_count; i++)
		weir_buf_u8(out, chunk->pages[i].all_null ? THRIFT_TRUE : THRIFT_FALSE);
	thrift_put_list(out, &last, 2, THRIFT_BINARY, chunk->page_count);
	for (uint32_t i = 0; i < chunk->page_count; i++)
		thrift_put_str(out, chunk->pages[i].all_null ? nothing : chunk->pages[i].min);
	thrift_put_list(out, &last, 3, THRIFT_BINARY, chunk->page_count);
	for (uint32_t i = 0; i < chunk->page_count; i++)
		thrift_put_str(out, chunk->pages[i].all_null ? nothing : chunk->pages[i].max);
	thrift_put_i32(out, &last, 4, chunk->index_order);
	thrift_put_list(out, &last, 5, THRIFT_I64, chunk->page_count);
	for (uint32_t i = 0; i < chunk->page_count; i++)
		thrift_put_zigzag(out, (int64_t)chunk->pages[i].null_count);
	thrift_put_stop(out);
}

/* BloomFilterHeader: algorithm BLOCK, hash XXHASH, UNCOMPRESSED, each a union of empty structs. */
void pq_bloom_header_encode(struct weir_buf *out, uint32_t bits_size)
{
	int16_t last = 0;
	thrift_put_i32(out, &last, 1, (int32_t)bits_size);
	for (int16_t id = 2; id <= 4; id++) {
		int16_t inner = 0;
		thrift_put_field(out, &last, id, THRIFT_STRUCT);
		thrift_put_field(out, &inner, 1, THRIFT_STRUCT);
		thrift_put_stop(out);
		thrift_put_stop(out);
	}
	thrift_put_stop(out);
}
