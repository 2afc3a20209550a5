/*
 * Parquet's codec number 5, which writers understood in three ways: blocks in Hadoop's framing
 * (big-endian sizes before and after compression, then the block; repeated), one bare LZ4 block, or
 * LZ4's own frame format. They are tried in that order; only a result of exactly the expected size counts.
 */
#include <lz4.h>
#include <lz4frame.h>

#include "codec/codec_int.h"

#define LZ4_FRAME_MAGIC 0x184D2204U

static uint32_t big_endian32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static bool hadoop_exact(const uint8_t *data, size_t size, char *buffer, size_t expected)
{
	size_t filled = 0;
	while (size >= 8) {
		size_t plain = big_endian32(data), packed = big_endian32(data + 4);
		data += 8;
		size -= 8;
		if (packed > size || plain > expected - filled || packed > CODEC_BLOCK_LIMIT)
			return false;
		if (LZ4_decompress_safe((const char *)data, buffer + filled, (int)packed, (int)plain) != (int)plain)
			return false;
		filled += plain;
		data += packed;
		size -= packed;
	}
	return size == 0 && filled == expected;
}

static bool frame_exact(const void *data, size_t size, void *buffer, size_t expected)
{
	LZ4F_dctx *context = NULL;
	if (size < 4 || weir_le32(data) != LZ4_FRAME_MAGIC ||
		LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return false;
	size_t in = 0, out = 0;
	bool good = false;
	while (in < size) {
		size_t taken = size - in, made = expected - out;
		size_t more =
			LZ4F_decompress(context, (char *)buffer + out, &made, (const char *)data + in, &taken, NULL);
		if (LZ4F_isError(more) || (taken == 0 && made == 0))
			break;
		in += taken;
		out += made;
		good = more == 0 && in == size && out == expected;
	}
	LZ4F_freeDecompressionContext(context);
	return good;
}

int codec_lz4_hadoop_decompress(const void *data, size_t size, void *buffer, size_t expected, struct weir_error *err)
{
	if (hadoop_exact(data, size, buffer, expected) ||
		LZ4_decompress_safe(data, buffer, (int)size, (int)expected) == (int)expected ||
		frame_exact(data, size, buffer, expected))
		return 0;
	return weir_fail(
		err, WEIR_E_CORRUPT, "%zu bytes of lz4 do not decompress to the expected %zu bytes", size, expected);
}
