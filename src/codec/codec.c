/*
 * Block compression behind one face.
 *
 * In: bytes and the name of a codec. Out: bytes appended to a buffer, or exactly as many bytes as the
 * caller expects. Invariant: a decompressor never writes past expected_bytes and a result of another
 * size is corruption, so hostile input costs no more memory than its reader allowed. Threads: a
 * codec_state belongs to one thread at a time; everything else is without state.
 */
#include "codec/codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <lz4.h>
#include <snappy-c.h>
#include <stdlib.h>

#include "base/arena.h"
#include "codec/codec_int.h"

#define ZSTD_DEFAULT_LEVEL   1
#define BROTLI_DEFAULT_LEVEL 4

const char *codec_name(enum codec codec)
{
	static const char *const names[] = {
		[CODEC_NONE] = "none",
		[CODEC_SNAPPY] = "snappy",
		[CODEC_GZIP] = "gzip",
		[CODEC_BROTLI] = "brotli",
		[CODEC_ZSTD] = "zstd",
		[CODEC_LZ4_RAW] = "lz4_raw",
		[CODEC_LZ4_HADOOP] = "lz4",
	};
	return (size_t)codec < sizeof names / sizeof names[0] ? names[codec] : "unknown";
}

struct codec_state *codec_state_new(void)
{
	return weir_zalloc(sizeof(struct codec_state));
}

void codec_state_free(struct codec_state *state)
{
	if (state == NULL)
		return;
	ZSTD_freeCCtx(state->zstd_compress);
	ZSTD_freeDCtx(state->zstd_decompress);
	free(state);
}

/*
 * What level 1 means for a page. zstd looks for matches of 6 bytes in inputs of 16 to 256 KiB and of 7 in larger ones, with
 * tables of 32 and 64 KiB. For pages 7 bytes and a table of 16 KiB are better: keys and hashes repeat by chance less
 * often, and the table stays in the first cache. On the pages that bench/parts/parquet.py writes, zstd takes 15 % less
 * time for 2 % more bytes of wide texts, and 7 % less time for 5 % fewer bytes of lineitem. Smaller blocks gain
 * little, and the log's, which are larger, would grow by 8 %: both keep zstd's own.
 */
#define ZSTD_PAGE_LEAST     ((size_t)16 << 10)
#define ZSTD_PAGE_MOST      ((size_t)256 << 10)
#define ZSTD_PAGE_MATCH     7
#define ZSTD_PAGE_TABLE_LOG 12

static void zstd_set(struct codec_state *state, int level, bool page)
{
	if (state->zstd_compress == NULL)
		state->zstd_compress = ZSTD_createCCtx();
	else if (state->zstd_level == level && state->zstd_page == page)
		return;
	WEIR_ASSERT(state->zstd_compress != NULL);
	ZSTD_CCtx_reset(state->zstd_compress, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(state->zstd_compress, ZSTD_c_compressionLevel, level);
	if (page) {
		ZSTD_CCtx_setParameter(state->zstd_compress, ZSTD_c_minMatch, ZSTD_PAGE_MATCH);
		ZSTD_CCtx_setParameter(state->zstd_compress, ZSTD_c_hashLog, ZSTD_PAGE_TABLE_LOG);
	}
	state->zstd_level = level;
	state->zstd_page = page;
}

static int zstd_compress(struct codec_state *state, int level, const void *data, size_t size, struct weir_buf *out,
	struct weir_error *err)
{
	level = level != 0 ? level : ZSTD_DEFAULT_LEVEL;
	zstd_set(state, level, level == 1 && size > ZSTD_PAGE_LEAST && size <= ZSTD_PAGE_MOST);
	size_t bound = ZSTD_compressBound(size);
	weir_buf_reserve(out, bound);
	size_t written = ZSTD_compress2(state->zstd_compress, out->data + out->size, bound, data, size);
	if (ZSTD_isError(written))
		return weir_fail(
			err, WEIR_E_INTERNAL, "zstd cannot compress %zu bytes: %s", size, ZSTD_getErrorName(written));
	out->size += written;
	return 0;
}

static int snappy_block(const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	size_t written = snappy_max_compressed_length(size);
	weir_buf_reserve(out, written);
	if (snappy_compress(data, size, out->data + out->size, &written) != SNAPPY_OK)
		return weir_fail(err, WEIR_E_INTERNAL, "snappy cannot compress %zu bytes", size);
	out->size += written;
	return 0;
}

static int brotli_block(int level, const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	size_t written = BrotliEncoderMaxCompressedSize(size);
	if (written == 0)
		written = size + size / 8 + 1024;
	weir_buf_reserve(out, written);
	if (!BrotliEncoderCompress(level != 0 ? level : BROTLI_DEFAULT_LEVEL, BROTLI_DEFAULT_WINDOW,
		    BROTLI_MODE_GENERIC, size, data, &written, (uint8_t *)out->data + out->size))
		return weir_fail(err, WEIR_E_INTERNAL, "brotli cannot compress %zu bytes", size);
	out->size += written;
	return 0;
}

static int lz4_block(const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	int bound = LZ4_compressBound((int)size);
	weir_buf_reserve(out, (size_t)bound);
	int written = LZ4_compress_default(data, out->data + out->size, (int)size, bound);
	if (written <= 0)
		return weir_fail(err, WEIR_E_INTERNAL, "lz4 cannot compress %zu bytes", size);
	out->size += (size_t)written;
	return 0;
}

/* Hadoop's framing of one block: sizes before and after as big-endian uint32, then the block. */
static int lz4_hadoop_block(const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	size_t at = out->size;
	weir_buf_append_zero(out, 8);
	int code = lz4_block(data, size, out, err);
	if (code != 0) {
		out->size = at;
		return code;
	}
	size_t written = out->size - at - 8;
	for (unsigned i = 0; i < 4; i++) {
		out->data[at + i] = (char)(size >> (24 - 8 * i));
		out->data[at + 4 + i] = (char)(written >> (24 - 8 * i));
	}
	return 0;
}

int codec_compress(struct codec_state *state, enum codec codec, int level, const void *data, size_t size,
	struct weir_buf *out, struct weir_error *err)
{
	if (size > CODEC_BLOCK_LIMIT)
		return weir_fail(err, WEIR_E_LIMIT, "a block of %zu bytes is larger than %zu; compress it in parts",
			size, CODEC_BLOCK_LIMIT);
	switch (codec) {
	case CODEC_NONE:
		weir_buf_append(out, data, size);
		return 0;
	case CODEC_SNAPPY:
		return snappy_block(data, size, out, err);
	case CODEC_GZIP:
		return codec_deflate_gzip(level, data, size, out, err);
	case CODEC_BROTLI:
		return brotli_block(level, data, size, out, err);
	case CODEC_ZSTD:
		return zstd_compress(state, level, data, size, out, err);
	case CODEC_LZ4_RAW:
		return lz4_block(data, size, out, err);
	case CODEC_LZ4_HADOOP:
		return lz4_hadoop_block(data, size, out, err);
	}
	return weir_fail(err, WEIR_E_UNSUPPORTED, "codec %d is not known", (int)codec);
}

static int wrong_size(enum codec codec, size_t size, size_t expected, struct weir_error *err)
{
	return weir_fail(err, WEIR_E_CORRUPT, "%zu bytes of %s do not decompress to the expected %zu bytes", size,
		codec_name(codec), expected);
}

static bool brotli_exact(const void *data, size_t size, void *buffer, size_t expected)
{
	size_t length = expected;
	return BrotliDecoderDecompress(size, data, &length, buffer) == BROTLI_DECODER_RESULT_SUCCESS &&
		length == expected;
}

static bool zstd_exact(struct codec_state *state, const void *data, size_t size, void *buffer, size_t expected)
{
	if (state->zstd_decompress == NULL)
		state->zstd_decompress = ZSTD_createDCtx();
	WEIR_ASSERT(state->zstd_decompress != NULL);
	return ZSTD_decompressDCtx(state->zstd_decompress, buffer, expected, data, size) == expected;
}

int codec_decompress(struct codec_state *state, enum codec codec, const void *data, size_t size, void *buffer,
	size_t expected, struct weir_error *err)
{
	char nothing[1]; /* the libraries want a place even for no bytes */
	bool good = false;
	if (size > CODEC_BLOCK_LIMIT || expected > CODEC_BLOCK_LIMIT)
		return weir_fail(err, WEIR_E_LIMIT, "a block of %zu bytes from %zu is larger than %zu", expected, size,
			CODEC_BLOCK_LIMIT);
	if (buffer == NULL && expected == 0)
		buffer = nothing;
	if (expected == 0 && size == 0)
		return 0;
	switch (codec) {
	case CODEC_NONE:
		good = size == expected;
		if (good)
			memcpy(buffer, data, size);
		break;
	case CODEC_SNAPPY:
		good = codec_snappy_exact(data, size, buffer, expected);
		break;
	case CODEC_GZIP:
		return codec_inflate_exact(data, size, buffer, expected, err);
	case CODEC_BROTLI:
		good = brotli_exact(data, size, buffer, expected);
		break;
	case CODEC_ZSTD:
		good = zstd_exact(state, data, size, buffer, expected);
		break;
	case CODEC_LZ4_RAW:
		good = LZ4_decompress_safe(data, buffer, (int)size, (int)expected) == (int)expected;
		break;
	case CODEC_LZ4_HADOOP:
		return codec_lz4_hadoop_decompress(data, size, buffer, expected, err);
	default:
		return weir_fail(err, WEIR_E_UNSUPPORTED, "codec %d is not known", (int)codec);
	}
	return good ? 0 : wrong_size(codec, size, expected, err);
}
