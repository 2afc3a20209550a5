#include "iceberg/puffin.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "iceberg/internal.h"

#define TAIL_BYTES      12 /* size, flags and magic behind the footer */
#define FLAG_COMPRESSED 1

static const char magic[4] = {'P', 'F', 'A', '1'};

static int refuse(struct weir_byte_source source, struct weir_error *err, const char *problem)
{
	return weir_fail_at(err, WEIR_E_CORRUPT, source.name, WEIR_ERROR_NO_OFFSET, "the Puffin file %s", problem);
}

/* The footer's JSON, in arena. */
static int read_footer(
	struct weir_arena *arena, struct weir_byte_source source, struct weir_str *ret_json, struct weir_error *err)
{
	char head[4], tail[TAIL_BYTES];
	if (source.size_bytes < 4 + 4 + TAIL_BYTES)
		return refuse(source, err, "is shorter than an empty one");
	int code = source.read(source.self, 0, head, sizeof head, err);
	if (code == 0)
		code = source.read(source.self, source.size_bytes - TAIL_BYTES, tail, sizeof tail, err);
	if (code != 0)
		return code;
	uint32_t size = weir_le32(tail);
	if (memcmp(head, magic, 4) != 0 || memcmp(tail + 8, magic, 4) != 0)
		return refuse(source, err, "does not begin and end with PFA1");
	if ((tail[4] & FLAG_COMPRESSED) != 0)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, source.name, WEIR_ERROR_NO_OFFSET,
			"the Puffin file's footer is compressed, which weir does not read");
	if (size > ICE_PUFFIN_FOOTER_MAX || size + 8ULL + TAIL_BYTES > source.size_bytes)
		return refuse(source, err, "has a footer that is not within it");
	char *json = weir_arena_alloc(arena, size + 4ULL);
	code = source.read(source.self, source.size_bytes - TAIL_BYTES - size - 4, json, size + 4ULL, err);
	if (code == 0 && memcmp(json, magic, 4) != 0)
		code = refuse(source, err, "lacks PFA1 before its footer");
	*ret_json = (struct weir_str){json + 4, size};
	return code;
}

static struct weir_str text_of(struct weir_arena *arena, const json_t *value)
{
	struct weir_str text = {json_string_value(value), json_string_length(value)};
	return json_is_string(value) ? weir_arena_str(arena, text) : (struct weir_str){0};
}

static struct ice_kv *pairs_of(struct weir_arena *arena, const json_t *object, uint32_t *ret_count)
{
	const char *key;
	json_t *value;
	struct ice_kv *pairs = weir_arena_calloc(arena, json_object_size(object), sizeof *pairs);
	*ret_count = 0;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		pairs[*ret_count].key = weir_arena_str(arena, weir_str_from(key));
		pairs[(*ret_count)++].value = text_of(arena, value);
	}
	return pairs;
}

static bool read_blob(struct weir_arena *arena, const json_t *item, uint64_t end, struct ice_puffin_blob *blob)
{
	int64_t offset = json_integer_value(json_object_get(item, "offset"));
	int64_t size = json_integer_value(json_object_get(item, "length"));
	*blob = (struct ice_puffin_blob){.type = text_of(arena, json_object_get(item, "type")),
		.codec = text_of(arena, json_object_get(item, "compression-codec")),
		.snapshot_id = json_integer_value(json_object_get(item, "snapshot-id")),
		.sequence_number = json_integer_value(json_object_get(item, "sequence-number")),
		.offset = (uint64_t)offset,
		.size_bytes = (uint64_t)size};
	blob->properties = pairs_of(arena, json_object_get(item, "properties"), &blob->property_count);
	return blob->type.size > 0 && json_is_integer(json_object_get(item, "offset")) && offset >= 4 && size >= 0 &&
		(uint64_t)offset <= end && (uint64_t)size <= end - (uint64_t)offset;
}

int ice_puffin_read(struct weir_arena *arena, struct weir_byte_source source, struct ice_puffin **ret_puffin,
	struct weir_error *err)
{
	struct weir_str text = {0};
	json_error_t problem;
	int code = read_footer(arena, source, &text, err);
	if (code != 0)
		return code;
	json_t *json = json_loadb(text.size > 0 ? text.data : "", text.size, 0, &problem);
	const json_t *blobs = json_object_get(json, "blobs");
	struct ice_puffin *puffin = weir_arena_zalloc(arena, sizeof *puffin);
	if (!json_is_array(blobs))
		code = refuse(source, err, "has no list of blobs in its footer");
	puffin->blob_count = code == 0 ? (uint32_t)json_array_size(blobs) : 0;
	puffin->blobs = weir_arena_calloc(arena, puffin->blob_count, sizeof *puffin->blobs);
	uint64_t end = source.size_bytes - TAIL_BYTES - text.size - 4;
	for (uint32_t i = 0; i < puffin->blob_count && code == 0; i++)
		if (!read_blob(arena, json_array_get(blobs, i), end, &puffin->blobs[i]))
			code = refuse(source, err, "has a blob without a type, or that is not within it");
	puffin->properties = pairs_of(arena, json_object_get(json, "properties"), &puffin->property_count);
	json_decref(json);
	if (code == 0)
		*ret_puffin = puffin;
	return code;
}

/* The decompressed size that a zstd frame's header says (RFC 8878, 3.1.1.1); UINT64_MAX where it says none. */
static uint64_t frame_size(const uint8_t *frame, size_t size)
{
	static const uint8_t dictionary_bytes[] = {0, 1, 2, 4};
	if (size < 6 || weir_le32(frame) != 0xFD2FB528)
		return UINT64_MAX;
	unsigned flag = frame[4] >> 6;
	bool single = (frame[4] & 0x20) != 0;
	size_t at = 5 + !single + dictionary_bytes[frame[4] & 3];
	size_t width = flag == 0 ? single : (size_t)1 << flag;
	if (width == 0 || at + width > size)
		return UINT64_MAX;
	uint64_t value = 0;
	for (size_t i = 0; i < width; i++)
		value |= (uint64_t)frame[at + i] << (8 * i);
	return flag == 1 ? value + 256 : value;
}

int ice_puffin_blob_read(struct weir_byte_source source, const struct ice_puffin_blob *blob, struct weir_buf *out,
	struct weir_error *err)
{
	bool is_zstd = weir_str_is(blob->codec, "zstd");
	if (blob->codec.size > 0 && !is_zstd)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, source.name, blob->offset,
			"the blob is compressed with '%.*s'; weir reads zstd",
			(int)(blob->codec.size < 20 ? blob->codec.size : 20), blob->codec.data);
	if (blob->size_bytes > ICE_PUFFIN_BLOB_MAX)
		return weir_fail_at(err, WEIR_E_LIMIT, source.name, blob->offset, "the blob is larger than 256 MiB");
	char *bytes = weir_alloc((size_t)blob->size_bytes + 1);
	int code = source.read(source.self, blob->offset, bytes, (size_t)blob->size_bytes, err);
	if (code == 0 && !is_zstd)
		weir_buf_append(out, bytes, (size_t)blob->size_bytes);
	if (code == 0 && is_zstd) {
		uint64_t size = frame_size((const uint8_t *)bytes, (size_t)blob->size_bytes);
		if (size > ICE_PUFFIN_BLOB_MAX) { /* unknown and damaged are larger still */
			code = refuse(source, err, "has a blob that does not say how large it is");
		} else {
			struct codec_state *state = codec_state_new();
			weir_buf_reserve(out, (size_t)size);
			code = codec_decompress(state, CODEC_ZSTD, bytes, (size_t)blob->size_bytes,
				out->data + out->size, (size_t)size, err);
			out->size += code == 0 ? (size_t)size : 0;
			codec_state_free(state);
		}
	}
	free(bytes);
	return code;
}

/* ---- writing deletion vectors ---- */

static void put_blob(const struct ice_vector *vector, uint64_t offset, uint64_t size, struct weir_json *json)
{
	char count[24];
	snprintf(count, sizeof count, "%llu", (unsigned long long)ice_positions_count(vector->positions));
	weir_json_object(json);
	weir_json_key_cstring(json, "type", "deletion-vector-v1");
	weir_json_key(json, "fields");
	weir_json_array(json);
	weir_json_int(json, ICE_FIELD_POSITION);
	weir_json_array_end(json);
	weir_json_key_int(json, "snapshot-id", -1); /* inherited, as the sequence number is */
	weir_json_key_int(json, "sequence-number", -1);
	weir_json_key_uint(json, "offset", offset);
	weir_json_key_uint(json, "length", size);
	weir_json_key(json, "properties");
	weir_json_object(json);
	weir_json_key_string(json, "referenced-data-file", vector->file->path);
	weir_json_key_cstring(json, "cardinality", count);
	weir_json_object_end(json);
	weir_json_object_end(json);
}

static struct ice_data_file vector_file(
	struct weir_arena *arena, const struct ice_vector *vector, struct weir_str path, uint64_t offset, uint64_t size)
{
	struct ice_data_file file = {ICE_NEW_FILE, .content = ICE_POSITION_DELETES, .path = path,
		.format = WEIR_STR("PUFFIN"), .spec_id = vector->file->spec_id,
		.partition_count = vector->file->partition_count,
		.record_count = (int64_t)ice_positions_count(vector->positions),
		.referenced_data_file = weir_arena_str(arena, vector->file->path)};
	file.content_offset = (int64_t)offset;
	file.content_size_bytes = (int64_t)size;
	file.partition = weir_arena_calloc(arena, file.partition_count, sizeof *file.partition);
	for (uint32_t i = 0; i < file.partition_count; i++)
		file.partition[i] = ice_partition_value_copy(arena, &vector->file->partition[i]);
	return file;
}

/* The whole file in bytes; files[i] say where vector i is. */
static void build_puffin(const struct ice_vector *vectors, uint32_t count, struct weir_arena *arena,
	struct weir_str path, struct weir_buf *out, struct ice_data_file *files)
{
	struct weir_buf footer = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&footer);
	weir_buf_append(out, magic, sizeof magic);
	weir_json_object(&json);
	weir_json_key(&json, "blobs");
	weir_json_array(&json);
	for (uint32_t i = 0; i < count; i++) {
		size_t start = out->size;
		ice_vector_encode(vectors[i].positions, out);
		put_blob(&vectors[i], start, out->size - start, &json);
		files[i] = vector_file(arena, &vectors[i], path, start, out->size - start);
	}
	weir_json_array_end(&json);
	weir_json_key(&json, "properties");
	weir_json_object(&json);
	weir_json_key_cstring(&json, "created-by", "weir version " WEIR_VERSION);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	weir_buf_append(out, magic, sizeof magic);
	weir_buf_append(out, footer.data, footer.size);
	weir_buf_u32(out, (uint32_t)footer.size);
	weir_buf_u32(out, 0);
	weir_buf_append(out, magic, sizeof magic);
	weir_buf_done(&footer);
	for (uint32_t i = 0; i < count; i++)
		files[i].size_bytes = (int64_t)out->size;
}

int ice_vectors_write(struct ice_table *table, const struct ice_vector *vectors, uint32_t count, struct weir_str prefix,
	struct weir_arena *arena, struct ice_data_file **ret_files, struct weir_error *err)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	struct weir_str location;
	if (table->metadata->format_version < 3)
		return weir_fail_at(err, WEIR_E_UNSUPPORTED, table->metadata_uri, WEIR_ERROR_NO_OFFSET,
			"deletion vectors need format version 3; the table has %d", table->metadata->format_version);
	int code = store_name_of(table->store, arena, table->metadata->location, &location, err);
	if (code != 0)
		return code;
	struct weir_str name = weir_str_from(weir_arena_printf(
		arena, "%.*s/data/%.*s-deletes.puffin", WEIR_STR_ARG(location), WEIR_STR_ARG(prefix)));
	struct ice_data_file *files = weir_arena_calloc(arena, count, sizeof *files);
	build_puffin(vectors, count, arena, store_uri(table->store, arena, name), &bytes, files);
	code = store_put(table->store, name.data, bytes.data, bytes.size, err);
	weir_buf_done(&bytes);
	if (code == 0)
		*ret_files = files;
	return code;
}
