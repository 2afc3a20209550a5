/* What the files of codec/ share: the per-owner contexts. */
#ifndef WEIR_CODEC_INT_H
#define WEIR_CODEC_INT_H

#include <zstd.h>

#include "codec/codec.h"

/* The largest input or output of one block; the libraries count in int, and Parquet's pages in int32. */
#define CODEC_BLOCK_LIMIT ((size_t)0x7E000000)

struct codec_state {
	ZSTD_CCtx *zstd_compress; /* made when first needed, then set for zstd_level, and for pages or not */
	int zstd_level;
	bool zstd_page;
	ZSTD_DCtx *zstd_decompress;
};

/* One snappy block into exactly expected_bytes; false: it is damaged, or holds another size. */
bool codec_snappy_exact(const void *data, size_t size_bytes, void *buffer, size_t expected_bytes);
/* One gzip or zlib document into exactly expected_bytes. */
int codec_inflate_exact(
	const void *data, size_t size_bytes, void *buffer, size_t expected_bytes, struct weir_error *err);
int codec_deflate_gzip(int level, const void *data, size_t size_bytes, struct weir_buf *out, struct weir_error *err);
/* "LZ4" of Parquet's old days: Hadoop's framing, or a bare block, or the frame format. */
int codec_lz4_hadoop_decompress(
	const void *data, size_t size_bytes, void *buffer, size_t expected_bytes, struct weir_error *err);

#endif
