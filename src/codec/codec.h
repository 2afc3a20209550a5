/* Compression behind one face: block codecs (Parquet's pages, log blocks) and a gzip reader for files. */
#ifndef WEIR_CODEC_CODEC_H
#define WEIR_CODEC_CODEC_H

#include "base/buf.h"

enum codec { CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, CODEC_BROTLI, CODEC_ZSTD, CODEC_LZ4_RAW, CODEC_LZ4_HADOOP };

const char *codec_name(enum codec codec);

/*
 * Per-thread contexts (a zstd context costs more than a small page), so one codec_state a thread or
 * an owner; not thread-safe. Only zstd has one: for other codecs it may be NULL.
 */
struct codec_state;
struct codec_state *codec_state_new(void);
void codec_state_free(struct codec_state *state);

/* Appends the compressed bytes to out. level: the codec's own; 0 means its default (zstd: 1). */
int codec_compress(struct codec_state *state, enum codec codec, int level, const void *data, size_t size_bytes,
	struct weir_buf *out, struct weir_error *err);
/* Exactly expected_bytes into buffer, else WEIR_E_CORRUPT. Never writes past expected_bytes. */
int codec_decompress(struct codec_state *state, enum codec codec, const void *data, size_t size_bytes, void *buffer,
	size_t expected_bytes, struct weir_error *err);
/* The size that a snappy block says it decompresses to; false: it says none, or one past 32 bits. */
bool codec_snappy_size(const void *data, size_t size_bytes, size_t *ret_size);

/* Reads a gzip stream (RFC 1952, members one after the other) from another reader, in bounded memory. */
struct codec_gunzip;
struct codec_gunzip *codec_gunzip_new(struct weir_byte_reader from);
void codec_gunzip_free(struct codec_gunzip *gunzip);
struct weir_byte_reader codec_gunzip_reader(struct codec_gunzip *gunzip);
/* A whole gzip document with a limit on what comes out (WEIR_E_LIMIT past it); for request bodies. */
int codec_gunzip_all(
	const void *data, size_t size_bytes, size_t limit_bytes, struct weir_buf *out, struct weir_error *err);
int codec_gzip_all(const void *data, size_t size_bytes, struct weir_buf *out, struct weir_error *err);

#endif
