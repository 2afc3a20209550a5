/*
 * The codecs of Avro's blocks ("Object Container Files"): null, deflate (raw, RFC 1951), zstandard and snappy with a
 * big-endian CRC-32 behind it. Avro does not say how large a block is once decompressed, so these work in pieces
 * and stop at AVRO_BLOCK_BYTES_MAX.
 */
#include "format/avro/internal.h"

#include <zlib.h>
#include <zstd.h>

#include "base/hash.h"

#define PIECE_BYTES (256U << 10)

const char *avro_codec_name(enum codec codec)
{
	switch (codec) {
	case CODEC_NONE:
		return "null";
	case CODEC_GZIP:
		return "deflate";
	case CODEC_ZSTD:
		return "zstandard";
	default:
		return NULL;
	}
}

static int too_large(struct weir_error *err)
{
	return weir_fail(err, WEIR_E_LIMIT, "an Avro block decompresses to more than %u bytes", AVRO_BLOCK_BYTES_MAX);
}

static int inflate_raw(struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	z_stream stream = {0};
	size_t start = out->size;
	int code = 0;
	if (block.size > UINT32_MAX || inflateInit2(&stream, -MAX_WBITS) != Z_OK)
		return weir_fail(err, WEIR_E_LIMIT, "a deflate block of %zu bytes cannot be read", block.size);
	memcpy(&stream.next_in, &block.data, sizeof stream.next_in); /* zlib does not write there */
	stream.avail_in = (uInt)block.size;
	for (;;) {
		weir_buf_reserve(out, PIECE_BYTES);
		stream.next_out = (Bytef *)out->data + out->size;
		stream.avail_out = PIECE_BYTES;
		int status = inflate(&stream, Z_NO_FLUSH);
		out->size += PIECE_BYTES - stream.avail_out;
		if (status == Z_STREAM_END)
			break;
		if (status != Z_OK || (stream.avail_in == 0 && stream.avail_out > 0)) {
			code = weir_fail(err, WEIR_E_CORRUPT, "a deflate block is damaged: %s",
				stream.msg != NULL ? stream.msg : "it ends early");
			break;
		}
		if (out->size - start > AVRO_BLOCK_BYTES_MAX) {
			code = too_large(err);
			break;
		}
	}
	inflateEnd(&stream);
	return code;
}

static int zstd_expand(struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	ZSTD_DCtx *context = ZSTD_createDCtx();
	ZSTD_inBuffer in = {block.data, block.size, 0};
	size_t start = out->size, status = 1;
	int code = 0;
	if (context == NULL)
		return weir_fail(err, WEIR_E_NO_MEMORY, "no memory for a zstd context");
	while (code == 0 && status != 0) {
		weir_buf_reserve(out, PIECE_BYTES);
		ZSTD_outBuffer piece = {out->data + out->size, PIECE_BYTES, 0};
		size_t consumed = in.pos;
		status = ZSTD_decompressStream(context, &piece, &in);
		out->size += piece.pos;
		if (ZSTD_isError(status))
			code = weir_fail(
				err, WEIR_E_CORRUPT, "a zstandard block is damaged: %s", ZSTD_getErrorName(status));
		else if (status != 0 && piece.pos == 0 && in.pos == consumed)
			code = weir_fail(err, WEIR_E_CORRUPT, "a zstandard block ends early");
		else if (out->size - start > AVRO_BLOCK_BYTES_MAX)
			code = too_large(err);
	}
	ZSTD_freeDCtx(context);
	return code;
}

static int snappy_expand(struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	size_t size;
	int code;
	if (block.size < 4 || !codec_snappy_size(block.data, block.size - 4, &size))
		return weir_fail(err, WEIR_E_CORRUPT, "a snappy block is damaged");
	if (size > AVRO_BLOCK_BYTES_MAX)
		return too_large(err);
	weir_buf_reserve(out, size);
	code = codec_decompress(NULL, CODEC_SNAPPY, block.data, block.size - 4, out->data + out->size, size, err);
	if (code != 0)
		return code;
	const uint8_t *tail = (const uint8_t *)block.data + block.size - 4;
	uint32_t expected = (uint32_t)tail[0] << 24 | (uint32_t)tail[1] << 16 | (uint32_t)tail[2] << 8 | tail[3];
	if (weir_crc32(0, out->data + out->size, size) != expected)
		return weir_fail(err, WEIR_E_CORRUPT, "a snappy block's checksum does not match its bytes");
	out->size += size;
	return 0;
}

int avro_block_decompress(struct weir_str codec, struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	if (codec.size == 0 || weir_str_is(codec, "null")) {
		weir_buf_append(out, block.data, block.size);
		return 0;
	}
	if (weir_str_is(codec, "deflate"))
		return inflate_raw(block, out, err);
	if (weir_str_is(codec, "zstandard"))
		return zstd_expand(block, out, err);
	if (weir_str_is(codec, "snappy"))
		return snappy_expand(block, out, err);
	return weir_fail(err, WEIR_E_UNSUPPORTED,
		"Avro codec '%.*s' is not supported; use null, deflate, zstandard or snappy",
		(int)(codec.size < 40 ? codec.size : 40), codec.data);
}

static int deflate_raw(struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	z_stream stream = {0};
	if (block.size > UINT32_MAX / 2 ||
		deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return weir_fail(err, WEIR_E_NO_MEMORY, "a block of %zu bytes cannot be deflated", block.size);
	uLong room = deflateBound(&stream, (uLong)block.size);
	weir_buf_reserve(out, room);
	memcpy(&stream.next_in, &block.data, sizeof stream.next_in); /* zlib does not write there */
	stream.avail_in = (uInt)block.size;
	stream.next_out = (Bytef *)out->data + out->size;
	stream.avail_out = (uInt)room;
	int status = deflate(&stream, Z_FINISH);
	WEIR_ASSERT(status == Z_STREAM_END); /* deflateBound is an upper bound */
	out->size += stream.total_out;
	deflateEnd(&stream);
	return 0;
}

int avro_block_compress(enum codec codec, struct weir_str block, struct weir_buf *out, struct weir_error *err)
{
	if (codec == CODEC_NONE) {
		weir_buf_append(out, block.data, block.size);
		return 0;
	}
	if (codec == CODEC_GZIP)
		return deflate_raw(block, out, err);
	WEIR_ASSERT(codec == CODEC_ZSTD);
	size_t room = ZSTD_compressBound(block.size);
	weir_buf_reserve(out, room);
	size_t size = ZSTD_compress(out->data + out->size, room, block.data, block.size, 1);
	if (ZSTD_isError(size))
		return weir_fail(err, WEIR_E_NO_MEMORY, "a block cannot be compressed: %s", ZSTD_getErrorName(size));
	out->size += size;
	return 0;
}
