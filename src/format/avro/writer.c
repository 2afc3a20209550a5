/*
 * Writing Avro object container files.
 *
 *   header  "Obj" 1, map of metadata (avro.schema, avro.codec, the caller's), sync marker (16 bytes)
 *   block   record count (long), byte size (long), the records through the codec, sync marker
 *
 * Records gather in one buffer; a block leaves when it holds AVRO_BLOCK_BYTES. One thread at a time.
 */
#include "format/avro/internal.h"

#include <stdlib.h>

#include "base/rng.h"

struct avro_writer {
	struct weir_byte_sink sink;
	enum codec codec;
	uint8_t sync[AVRO_SYNC_BYTES];
	struct weir_buf records; /* of the block that is being filled */
	struct weir_buf scratch; /* header and block as they go out */
	int64_t record_count;    /* in records */
	uint64_t size_bytes;     /* written so far */
};

static int write_out(struct avro_writer *writer, struct weir_error *err)
{
	if (writer->scratch.size == 0)
		return 0;
	int code = writer->sink.write(writer->sink.self, writer->scratch.data, writer->scratch.size, err);
	writer->size_bytes += writer->scratch.size;
	writer->scratch.size = 0;
	return code;
}

static int write_block(struct avro_writer *writer, struct weir_error *err)
{
	struct weir_buf packed = WEIR_BUF_INIT;
	if (writer->record_count == 0)
		return 0;
	int code = avro_block_compress(writer->codec, weir_buf_str(&writer->records), &packed, err);
	if (code == 0) {
		avro_put_long(&writer->scratch, writer->record_count);
		avro_put_bytes(&writer->scratch, weir_buf_str(&packed));
		weir_buf_append(&writer->scratch, writer->sync, sizeof writer->sync);
		code = write_out(writer, err);
	}
	writer->records.size = 0;
	writer->record_count = 0;
	weir_buf_done(&packed);
	return code;
}

int avro_writer_open(struct weir_byte_sink sink, struct weir_str schema_json, const struct avro_metadata *metadata,
	uint32_t metadata_count, enum codec codec, struct avro_writer **ret_writer, struct weir_error *err)
{
	const char *name = avro_codec_name(codec);
	if (name == NULL)
		return weir_fail(
			err, WEIR_E_UNSUPPORTED, "Avro has no codec for %s; use none, gzip or zstd", codec_name(codec));
	struct avro_writer *writer = weir_zalloc(sizeof *writer);
	writer->sink = sink;
	writer->codec = codec;
	weir_random_bytes(writer->sync, sizeof writer->sync);
	struct weir_buf *out = &writer->scratch;
	weir_buf_append(out, "Obj\1", 4);
	avro_put_long(out, (int64_t)metadata_count + 2);
	avro_put_bytes(out, WEIR_STR("avro.schema"));
	avro_put_bytes(out, schema_json);
	avro_put_bytes(out, WEIR_STR("avro.codec"));
	avro_put_bytes(out, weir_str_from(name));
	for (uint32_t i = 0; i < metadata_count; i++) {
		avro_put_bytes(out, weir_str_from(metadata[i].key));
		avro_put_bytes(out, metadata[i].value);
	}
	avro_put_long(out, 0);
	weir_buf_append(out, writer->sync, sizeof writer->sync);
	int code = write_out(writer, err);
	if (code != 0) {
		avro_writer_abandon(writer);
		return code;
	}
	*ret_writer = writer;
	return 0;
}

struct weir_buf *avro_writer_record(struct avro_writer *writer)
{
	return &writer->records;
}

int avro_writer_end_record(struct avro_writer *writer, struct weir_error *err)
{
	writer->record_count++;
	return writer->records.size >= AVRO_BLOCK_BYTES ? write_block(writer, err) : 0;
}

int avro_writer_close(struct avro_writer *take_writer, uint64_t *ret_size_bytes, struct weir_error *err)
{
	int code = write_block(take_writer, err);
	if (code == 0 && ret_size_bytes != NULL)
		*ret_size_bytes = take_writer->size_bytes;
	avro_writer_abandon(take_writer);
	return code;
}

void avro_writer_abandon(struct avro_writer *take_writer)
{
	if (take_writer == NULL)
		return;
	weir_buf_done(&take_writer->records);
	weir_buf_done(&take_writer->scratch);
	free(take_writer);
}
