/*
 * Parquet's metadata from bytes (parquet.thrift): footer, page headers, indexes, bloom filter headers.
 *
 * Everything is checked here: counts against each other, offsets against the file by file.c. Lists cost
 * memory in proportion to the bytes that announce them. Texts are borrowed from the footer's bytes,
 * which live as long as the arena's owner.
 */
#include <stdlib.h>

#include "format/parquet/parquet_int.h"
#include "format/parquet/thrift_int.h"

/* A column chunk takes more bytes than this in any footer; lists that claim more are not allocated. */
#define CHUNK_BYTES_LEAST 12

static uint64_t read_u64(struct thrift_reader *reader, uint8_t type, const char *problem)
{
	int64_t value = thrift_i64(reader, type);
	if (value < 0)
		thrift_fail(reader, problem);
	return value < 0 ? 0 : (uint64_t)value;
}

static uint32_t read_u32(struct thrift_reader *reader, uint8_t type, const char *problem)
{
	int32_t value = thrift_i32(reader, type);
	if (value < 0)
		thrift_fail(reader, problem);
	return value < 0 ? 0 : (uint32_t)value;
}

/* The one field that a union has. */
static int16_t read_union(struct thrift_reader *reader, uint8_t type)
{
	struct thrift_field field = {0};
	int16_t id = 0;
	if (type != THRIFT_STRUCT)
		thrift_fail(reader, "a union of the metadata is not a struct");
	while (thrift_next(reader, &field)) {
		id = field.id;
		thrift_skip(reader, field.type);
	}
	return id;
}

static void read_logical_type(struct thrift_reader *reader, struct pq_element *element)
{
	struct thrift_field field = {0};
	while (thrift_next(reader, &field)) {
		bool time = element->logical == PQ_LOGICAL_TIME || element->logical == PQ_LOGICAL_TIMESTAMP;
		if (element->logical == PQ_LOGICAL_DECIMAL && field.id == 1)
			element->scale = thrift_i32(reader, field.type);
		else if (element->logical == PQ_LOGICAL_DECIMAL && field.id == 2)
			element->precision = thrift_i32(reader, field.type);
		else if (time && field.id == 1)
			element->utc = thrift_bool(reader, field.type);
		else if (time && field.id == 2)
			element->unit = (uint8_t)read_union(reader, field.type);
		else if (element->logical == PQ_LOGICAL_INTEGER && field.id == 1)
			element->bit_width = (int8_t)thrift_i64(reader, field.type);
		else if (element->logical == PQ_LOGICAL_INTEGER && field.id == 2)
			element->is_signed = thrift_bool(reader, field.type);
		else
			thrift_skip(reader, field.type);
	}
}

static void read_logical(struct thrift_reader *reader, uint8_t type, struct pq_element *element)
{
	struct thrift_field field = {0};
	if (type != THRIFT_STRUCT)
		thrift_fail(reader, "a logical type is not a struct");
	while (thrift_next(reader, &field)) {
		if (field.type != THRIFT_STRUCT || field.id < 0 || field.id > UINT8_MAX) {
			thrift_skip(reader, field.type);
			continue;
		}
		element->logical = (uint8_t)field.id;
		read_logical_type(reader, element);
	}
}

static void read_element(struct thrift_reader *reader, struct pq_element *element)
{
	struct thrift_field field = {0};
	*element =
		(struct pq_element){.physical = -1, .repetition = -1, .converted = PQ_CONVERTED_NONE, .name = {"", 0}};
	while (thrift_next(reader, &field)) {
		switch (field.id) {
		case 1:
			element->physical = thrift_i32(reader, field.type);
			break;
		case 2:
			element->type_length = thrift_i32(reader, field.type);
			break;
		case 3:
			element->repetition = thrift_i32(reader, field.type);
			break;
		case 4:
			element->name = thrift_binary(reader, field.type);
			break;
		case 5:
			element->child_count = thrift_i32(reader, field.type);
			break;
		case 6:
			element->converted = thrift_i32(reader, field.type);
			break;
		case 7:
			element->scale = thrift_i32(reader, field.type);
			break;
		case 8:
			element->precision = thrift_i32(reader, field.type);
			break;
		case 9:
			element->field_id = thrift_i32(reader, field.type);
			element->has_field_id = true;
			break;
		case 10:
			read_logical(reader, field.type, element);
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
	if (element->physical > PQ_FIXED || element->child_count < 0)
		thrift_fail(reader, "a schema element has a type that there is not, or fewer than no children");
	if (element->child_count > 0 && element->physical >= 0)
		element->physical = -1; /* a group, whatever else it says */
}

static void read_schema(struct thrift_reader *reader, uint8_t type, struct weir_arena *arena, struct pq_meta *meta)
{
	uint8_t element_type;
	uint32_t count = thrift_list(reader, type, &element_type);
	if (element_type != THRIFT_STRUCT || count == 0 || count > (uint32_t)(reader->end - reader->at) / 2) {
		thrift_fail(reader, "the schema is empty or cut");
		return;
	}
	meta->elements = weir_arena_calloc(arena, count, sizeof *meta->elements);
	meta->element_count = count;
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++) {
		read_element(reader, &meta->elements[i]);
		meta->leaf_count += meta->elements[i].child_count == 0 && meta->elements[i].physical >= 0;
	}
	if (meta->leaf_count > PQ_LEAF_LIMIT)
		thrift_fail(reader, "the schema has too many columns");
}

/* Fields 1 and 2 are of old, and ordered as signed bytes: only of use where that is the right order. */
static void read_stats(struct thrift_reader *reader, uint8_t type, struct pq_stats *stats)
{
	struct thrift_field field = {0};
	struct weir_str old_min = {NULL, 0}, old_max = {NULL, 0};
	*stats = (struct pq_stats){.min_exact = true, .max_exact = true};
	if (type != THRIFT_STRUCT)
		thrift_fail(reader, "statistics are not a struct");
	while (thrift_next(reader, &field)) {
		switch (field.id) {
		case 1:
			old_max = thrift_binary(reader, field.type);
			break;
		case 2:
			old_min = thrift_binary(reader, field.type);
			break;
		case 3:
			stats->null_count = read_u64(reader, field.type, "a null count is below zero");
			stats->has_null_count = true;
			break;
		case 5:
			stats->max = thrift_binary(reader, field.type);
			break;
		case 6:
			stats->min = thrift_binary(reader, field.type);
			break;
		case 7:
			stats->max_exact = thrift_bool(reader, field.type);
			break;
		case 8:
			stats->min_exact = thrift_bool(reader, field.type);
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
	if (stats->min.data == NULL && stats->max.data == NULL) {
		stats->min = old_min;
		stats->max = old_max;
		stats->old_order = true;
	}
}

static void read_encodings(struct thrift_reader *reader, uint8_t type, struct pq_chunk *chunk)
{
	uint8_t element;
	uint32_t count = thrift_list(reader, type, &element);
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++) {
		int32_t encoding = thrift_i32(reader, element);
		if (encoding >= 0 && encoding < 32)
			chunk->encodings |= 1U << encoding;
	}
}

static void read_key_values(struct thrift_reader *reader, uint8_t type, struct pq_chunk *chunk)
{
	uint8_t element;
	uint32_t count = thrift_list(reader, type, &element);
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++) {
		struct thrift_field field = {0};
		struct weir_str key = {"", 0}, value = {"", 0};
		if (element != THRIFT_STRUCT) {
			thrift_fail(reader, "key and value metadata are not structs");
			return;
		}
		while (thrift_next(reader, &field)) {
			if (field.id == 1)
				key = thrift_binary(reader, field.type);
			else if (field.id == 2)
				value = thrift_binary(reader, field.type);
			else
				thrift_skip(reader, field.type);
		}
		if (weir_str_is(key, PQ_NAN_COUNT_KEY) && !weir_str_to_u64(value, &chunk->nan_count))
			chunk->nan_count = 0;
	}
}

static void read_column_meta(struct thrift_reader *reader, uint8_t type, struct pq_chunk *chunk)
{
	struct thrift_field field = {0};
	uint32_t seen = 0;
	if (type != THRIFT_STRUCT)
		thrift_fail(reader, "the metadata of a column is not a struct");
	while (thrift_next(reader, &field)) {
		seen |= field.id > 0 && field.id < 32 ? 1U << field.id : 0;
		switch (field.id) {
		case 1:
			chunk->physical = thrift_i32(reader, field.type);
			break;
		case 2:
			read_encodings(reader, field.type, chunk);
			break;
		case 4:
			chunk->codec = thrift_i32(reader, field.type);
			break;
		case 5:
			chunk->value_count = read_u64(reader, field.type, "a column has fewer than no values");
			break;
		case 6:
			chunk->plain_size = read_u64(reader, field.type, "a column's size is below zero");
			break;
		case 7:
			chunk->packed_size = read_u64(reader, field.type, "a column's size is below zero");
			break;
		case 8:
			read_key_values(reader, field.type, chunk);
			break;
		case 9:
			chunk->data_offset = read_u64(reader, field.type, "a column's offset is below zero");
			break;
		case 11: {
			int64_t offset = thrift_i64(reader, field.type);
			chunk->has_dictionary = offset > 0; /* some writers say 0 for none */
			chunk->dictionary_offset = offset > 0 ? (uint64_t)offset : 0;
			break;
		}
		case 12:
			read_stats(reader, field.type, &chunk->stats);
			break;
		case 14:
			chunk->bloom_offset = read_u64(reader, field.type, "a bloom filter's offset is below zero");
			break;
		case 15:
			chunk->bloom_size = read_u32(reader, field.type, "a bloom filter's size is below zero");
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
	uint32_t needed = 1U << 1 | 1U << 4 | 1U << 5 | 1U << 7 | 1U << 9;
	if ((seen & needed) != needed)
		thrift_fail(reader, "the metadata of a column lacks its type, codec, sizes or offset");
}

static void read_chunk(struct thrift_reader *reader, struct pq_chunk *chunk)
{
	struct thrift_field field = {0};
	bool seen = false;
	while (thrift_next(reader, &field)) {
		switch (field.id) {
		case 1:
			chunk->external = thrift_binary(reader, field.type).size > 0;
			break;
		case 3:
			read_column_meta(reader, field.type, chunk);
			seen = true;
			break;
		case 4:
			chunk->offset_index_offset = read_u64(reader, field.type, "an index' offset is below zero");
			break;
		case 5:
			chunk->offset_index_size = read_u32(reader, field.type, "an index' size is below zero");
			break;
		case 6:
			chunk->column_index_offset = read_u64(reader, field.type, "an index' offset is below zero");
			break;
		case 7:
			chunk->column_index_size = read_u32(reader, field.type, "an index' size is below zero");
			break;
		case 8:
			chunk->encrypted = true;
			thrift_skip(reader, field.type);
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
	if (!seen && !chunk->encrypted)
		thrift_fail(reader, "a column chunk has no metadata");
}

static void read_chunks(struct thrift_reader *reader, uint8_t type, struct weir_arena *arena,
	const struct pq_meta *meta, struct pq_row_group_meta *group)
{
	uint8_t element;
	uint32_t count = thrift_list(reader, type, &element);
	if (element != THRIFT_STRUCT && count > 0)
		thrift_fail(reader, "column chunks are not structs");
	if (count != meta->leaf_count || group->chunks != NULL)
		thrift_fail(reader, "a row group has another number of columns than the schema");
	if ((uint64_t)count * CHUNK_BYTES_LEAST > (uint64_t)(reader->end - reader->at))
		thrift_fail(reader, "a row group's columns are cut");
	if (reader->problem != NULL)
		return;
	group->chunks = weir_arena_calloc(arena, count, sizeof *group->chunks);
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++)
		read_chunk(reader, &group->chunks[i]);
}

static void read_group(struct thrift_reader *reader, struct weir_arena *arena, const struct pq_meta *meta,
	struct pq_row_group_meta *group)
{
	struct thrift_field field = {0};
	bool rows = false;
	*group = (struct pq_row_group_meta){0};
	while (thrift_next(reader, &field)) {
		switch (field.id) {
		case 1:
			read_chunks(reader, field.type, arena, meta, group);
			break;
		case 2:
			group->plain_size = read_u64(reader, field.type, "a row group's size is below zero");
			break;
		case 3:
			group->rows = read_u64(reader, field.type, "a row group has fewer than no rows");
			rows = true;
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
	if (!rows || (group->chunks == NULL && meta->leaf_count > 0))
		thrift_fail(reader, "a row group lacks its columns or its number of rows");
}

static void read_groups(struct thrift_reader *reader, uint8_t type, struct weir_arena *arena, struct pq_meta *meta)
{
	uint8_t element;
	uint32_t capacity = 0, count = thrift_list(reader, type, &element);
	struct pq_row_group_meta *groups = NULL;
	if (element != THRIFT_STRUCT && count > 0)
		thrift_fail(reader, "row groups are not structs");
	if (meta->elements == NULL || meta->groups != NULL)
		thrift_fail(reader, "row groups come before the schema, or twice");
	if (reader->problem != NULL)
		return;
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++) {
		WEIR_GROW(groups, i, capacity);
		read_group(reader, arena, meta, &groups[i]);
		groups[i].first_row = i > 0 ? groups[i - 1].first_row + groups[i - 1].rows : 0;
		if (groups[i].first_row + groups[i].rows < groups[i].rows)
			thrift_fail(reader, "the row groups have too many rows");
		meta->group_count = i + 1;
	}
	meta->groups = weir_arena_copy(arena, groups, (size_t)meta->group_count * sizeof *groups);
	free(groups);
}

int pq_meta_decode(struct weir_arena *arena, struct weir_str name, uint64_t offset, const void *data, size_t size,
	struct pq_meta *meta, struct weir_error *err)
{
	struct thrift_reader reader = thrift_reader_on(data, size);
	struct thrift_field field = {0};
	*meta = (struct pq_meta){.created_by = {"", 0}};
	while (thrift_next(&reader, &field)) {
		switch (field.id) {
		case 2:
			if (meta->elements != NULL)
				thrift_fail(&reader, "there are two schemas");
			else
				read_schema(&reader, field.type, arena, meta);
			break;
		case 3:
			meta->rows = read_u64(&reader, field.type, "the file has fewer than no rows");
			break;
		case 4:
			read_groups(&reader, field.type, arena, meta);
			break;
		case 6:
			meta->created_by = thrift_binary(&reader, field.type);
			break;
		case 8:
			meta->encrypted = true;
			thrift_skip(&reader, field.type);
			break;
		default:
			thrift_skip(&reader, field.type);
		}
	}
	if (meta->elements == NULL)
		thrift_fail(&reader, "the footer has no schema");
	if (reader.problem != NULL)
		return weir_fail_at(
			err, WEIR_E_CORRUPT, name, offset + (uint64_t)(reader.at - reader.start), "%s", reader.problem);
	return 0;
}

/* DataPageHeader, or DictionaryPageHeader, whose third field is another. */
static void read_data_header(struct thrift_reader *reader, bool is_data, struct pq_page_header *header)
{
	struct thrift_field field = {0};
	while (thrift_next(reader, &field)) {
		if (field.id == 1)
			header->value_count = thrift_i32(reader, field.type);
		else if (field.id == 2)
			header->encoding = thrift_i32(reader, field.type);
		else if (is_data && field.id == 3)
			header->def_encoding = thrift_i32(reader, field.type);
		else if (is_data && field.id == 4)
			header->rep_encoding = thrift_i32(reader, field.type);
		else
			thrift_skip(reader, field.type);
	}
}

static void read_data_header_v2(struct thrift_reader *reader, struct pq_page_header *header)
{
	struct thrift_field field = {0};
	while (thrift_next(reader, &field)) {
		switch (field.id) {
		case 1:
			header->value_count = thrift_i32(reader, field.type);
			break;
		case 2:
			header->null_count = thrift_i32(reader, field.type);
			break;
		case 3:
			header->row_count = thrift_i32(reader, field.type);
			break;
		case 4:
			header->encoding = thrift_i32(reader, field.type);
			break;
		case 5:
			header->def_size = thrift_i32(reader, field.type);
			break;
		case 6:
			header->rep_size = thrift_i32(reader, field.type);
			break;
		case 7:
			header->compressed = thrift_bool(reader, field.type);
			break;
		default:
			thrift_skip(reader, field.type);
		}
	}
}

int pq_page_header_decode(
	const void *data, size_t size, struct pq_page_header *header, bool *ret_truncated, struct weir_error *err)
{
	struct thrift_reader reader = thrift_reader_on(data, size);
	struct thrift_field field = {0};
	*header = (struct pq_page_header){.type = -1,
		.plain_size = -1,
		.packed_size = -1,
		.compressed = true,
		.def_encoding = PQ_RLE,
		.rep_encoding = PQ_RLE};
	while (thrift_next(&reader, &field)) {
		if (field.id == 1)
			header->type = thrift_i32(&reader, field.type);
		else if (field.id == 2)
			header->plain_size = thrift_i32(&reader, field.type);
		else if (field.id == 3)
			header->packed_size = thrift_i32(&reader, field.type);
		else if (field.id == 4) {
			header->crc = (uint32_t)thrift_i32(&reader, field.type);
			header->has_crc = true;
		} else if ((field.id == 5 || field.id == 7) && field.type == THRIFT_STRUCT)
			read_data_header(&reader, field.id == 5, header);
		else if (field.id == 8 && field.type == THRIFT_STRUCT)
			read_data_header_v2(&reader, header);
		else
			thrift_skip(&reader, field.type);
	}
	header->header_size = (size_t)(reader.at - reader.start);
	*ret_truncated = reader.truncated;
	if (reader.problem == NULL &&
		(header->plain_size < 0 || header->packed_size < 0 || header->value_count < 0 || header->def_size < 0 ||
			header->rep_size < 0))
		thrift_fail(&reader, "a page header has sizes below zero");
	if (reader.problem != NULL)
		return weir_fail(err, WEIR_E_CORRUPT, "page header: %s", reader.problem);
	return 0;
}

static void read_page_location(struct thrift_reader *reader, struct pq_page_info *page)
{
	struct thrift_field field = {0};
	while (thrift_next(reader, &field)) {
		if (field.id == 1)
			page->offset = read_u64(reader, field.type, "a page's offset is below zero");
		else if (field.id == 2)
			page->size = read_u32(reader, field.type, "a page's size is below zero");
		else if (field.id == 3)
			page->first_row = read_u64(reader, field.type, "a page's first row is below zero");
		else
			thrift_skip(reader, field.type);
	}
}

int pq_offset_index_decode(
	struct weir_arena *arena, const void *data, size_t size, struct pq_chunk *chunk, struct weir_error *err)
{
	struct thrift_reader reader = thrift_reader_on(data, size);
	struct thrift_field field = {0};
	chunk->page_count = 0;
	while (thrift_next(&reader, &field)) {
		uint8_t element;
		if (field.id != 1) {
			thrift_skip(&reader, field.type);
			continue;
		}
		uint32_t count = thrift_list(&reader, field.type, &element);
		if (element != THRIFT_STRUCT || count > size / 4) {
			thrift_fail(&reader, "page locations are not structs, or cut");
			break;
		}
		chunk->pages = weir_arena_calloc(arena, count, sizeof *chunk->pages);
		chunk->page_count = count;
		for (uint32_t i = 0; i < count && reader.problem == NULL; i++) {
			read_page_location(&reader, &chunk->pages[i]);
			if (i > 0 &&
				(chunk->pages[i].first_row < chunk->pages[i - 1].first_row ||
					chunk->pages[i].offset <= chunk->pages[i - 1].offset))
				thrift_fail(&reader, "pages are out of order");
		}
	}
	if (reader.problem != NULL)
		return weir_fail(err, WEIR_E_CORRUPT, "offset index: %s", reader.problem);
	return 0;
}

static void read_page_bounds(struct thrift_reader *reader, const struct thrift_field *field, struct weir_arena *arena,
	struct pq_chunk *chunk)
{
	uint8_t element;
	uint32_t count = thrift_list(reader, field->type, &element);
	if (count != chunk->page_count)
		thrift_fail(reader, "the column index has another number of pages than the offset index");
	for (uint32_t i = 0; i < count && reader->problem == NULL; i++) {
		struct pq_page_info *page = &chunk->pages[i];
		if (field->id == 1) /* a boolean in a list is a byte; some writers have 0 for false */
			page->all_null = reader->at < reader->end && *reader->at++ == THRIFT_TRUE;
		else if (field->id == 2)
			page->min = weir_arena_str(arena, thrift_binary(reader, element));
		else if (field->id == 3)
			page->max = weir_arena_str(arena, thrift_binary(reader, element));
		else
			page->null_count = read_u64(reader, element, "a page's null count is below zero");
	}
}

int pq_column_index_decode(
	struct weir_arena *arena, const void *data, size_t size, struct pq_chunk *chunk, struct weir_error *err)
{
	struct thrift_reader reader = thrift_reader_on(data, size);
	struct thrift_field field = {0};
	uint32_t seen = 0;
	for (uint32_t i = 0; i < chunk->page_count; i++)
		chunk->pages[i].null_count = UINT64_MAX; /* not known */
	while (thrift_next(&reader, &field)) {
		if (field.id == 1 || field.id == 2 || field.id == 3 || field.id == 5) {
			read_page_bounds(&reader, &field, arena, chunk);
			seen |= 1U << field.id;
		} else if (field.id == 4) {
			chunk->index_order = (uint8_t)thrift_i32(&reader, field.type);
		} else {
			thrift_skip(&reader, field.type);
		}
	}
	if (reader.problem == NULL && (seen & 0x0e) != 0x0e)
		thrift_fail(&reader, "pages have no minima or maxima");
	if (reader.problem != NULL)
		return weir_fail(err, WEIR_E_CORRUPT, "column index: %s", reader.problem);
	chunk->has_index = true;
	return 0;
}

int pq_bloom_header_decode(
	const void *data, size_t size, uint32_t *ret_bits_size, size_t *ret_header_size, struct weir_error *err)
{
	struct thrift_reader reader = thrift_reader_on(data, size);
	struct thrift_field field = {0};
	*ret_bits_size = 0;
	while (thrift_next(&reader, &field)) {
		if (field.id == 1)
			*ret_bits_size = read_u32(&reader, field.type, "a bloom filter's size is below zero");
		else if (field.id >= 2 && field.id <= 4 && read_union(&reader, field.type) != 1)
			thrift_fail(&reader, "the bloom filter is of a kind that is not known");
		else if (field.id < 2 || field.id > 4)
			thrift_skip(&reader, field.type);
	}
	if (reader.problem != NULL)
		return weir_fail(err, WEIR_E_CORRUPT, "bloom filter: %s", reader.problem);
	*ret_header_size = (size_t)(reader.at - reader.start);
	return 0;
}
