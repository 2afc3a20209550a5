/*
 * gzip (RFC 1952): blocks of known size, whole documents with a limit, and a stream in bounded memory.
 * Members may follow one another; bytes after the last member that do not begin another are an error.
 */
#define ZLIB_CONST
#include <stdlib.h>
#include <zlib.h>

#include "base/arena.h"
#include "codec/codec_int.h"

#define GZIP_WINDOW        31 /* 15 bits, with gzip's header */
#define ANY_WINDOW         47 /* 15 bits, gzip's or zlib's header */
#define GZIP_DEFAULT_LEVEL 6
#define STREAM_INPUT_BYTES 65536
#define GROW_BYTES         65536

static uInt clamp_uint(size_t size)
{
	return size < UINT32_MAX ? (uInt)size : UINT32_MAX;
}

int codec_deflate_gzip(int level, const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	z_stream stream = {0};
	if (deflateInit2(&stream, level != 0 ? level : GZIP_DEFAULT_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return weir_fail(err, WEIR_E_INPUT, "gzip has no level %d; use 1 to 9", level);
	size_t bound = deflateBound(&stream, size);
	weir_buf_reserve(out, bound);
	stream.next_in = data;
	stream.avail_in = clamp_uint(size);
	stream.next_out = (Bytef *)out->data + out->size;
	stream.avail_out = clamp_uint(bound);
	int state = deflate(&stream, Z_FINISH);
	size_t written = stream.total_out;
	deflateEnd(&stream);
	if (state != Z_STREAM_END)
		return weir_fail(err, WEIR_E_INTERNAL, "gzip cannot compress %zu bytes", size);
	out->size += written;
	return 0;
}

int codec_inflate_exact(const void *data, size_t size, void *buffer, size_t expected, struct weir_error *err)
{
	z_stream stream = {0};
	char nothing[1];
	if (inflateInit2(&stream, ANY_WINDOW) != Z_OK)
		return weir_fail(err, WEIR_E_NO_MEMORY, "no memory for a gzip decompressor");
	stream.next_in = data;
	stream.avail_in = clamp_uint(size);
	stream.next_out = expected > 0 ? buffer : (void *)nothing;
	stream.avail_out = clamp_uint(expected);
	int state = inflate(&stream, Z_FINISH);
	while (state == Z_STREAM_END && stream.avail_in > 0 && inflateReset(&stream) == Z_OK)
		state = inflate(&stream, Z_FINISH);
	bool good = state == Z_STREAM_END && stream.avail_out == 0;
	inflateEnd(&stream);
	if (!good)
		return weir_fail(err, WEIR_E_CORRUPT, "%zu bytes of gzip do not decompress to the expected %zu bytes",
			size, expected);
	return 0;
}

int codec_gzip_all(const void *data, size_t size, struct weir_buf *out, struct weir_error *err)
{
	if (size > CODEC_BLOCK_LIMIT)
		return weir_fail(err, WEIR_E_LIMIT, "%zu bytes are more than %zu for one gzip document", size,
			CODEC_BLOCK_LIMIT);
	return codec_deflate_gzip(0, data, size, out, err);
}

struct codec_gunzip {
	struct weir_byte_reader from;
	z_stream stream;
	bool opened;    /* inflate is initialised */
	bool ended;     /* the source has no more */
	bool in_member; /* between a member's first byte and its end */
	bool seen_member;
	uint8_t input[STREAM_INPUT_BYTES];
};

struct codec_gunzip *codec_gunzip_new(struct weir_byte_reader from)
{
	struct codec_gunzip *gunzip = weir_zalloc(sizeof *gunzip);
	gunzip->from = from;
	gunzip->opened = inflateInit2(&gunzip->stream, GZIP_WINDOW) == Z_OK;
	return gunzip;
}

void codec_gunzip_free(struct codec_gunzip *gunzip)
{
	if (gunzip == NULL)
		return;
	if (gunzip->opened)
		inflateEnd(&gunzip->stream);
	free(gunzip);
}

static int gunzip_fill(struct codec_gunzip *gunzip, struct weir_error *err)
{
	size_t got = 0;
	if (gunzip->stream.avail_in > 0 || gunzip->ended)
		return 0;
	int code = gunzip->from.read(gunzip->from.self, gunzip->input, sizeof gunzip->input, &got, err);
	if (code != 0)
		return code;
	gunzip->stream.next_in = gunzip->input;
	gunzip->stream.avail_in = (uInt)got;
	gunzip->ended = got == 0;
	return 0;
}

static int gunzip_end(const struct codec_gunzip *gunzip, struct weir_error *err)
{
	if (gunzip->in_member)
		return weir_fail(err, WEIR_E_CORRUPT, "the gzip stream ends within a member; it was cut");
	if (!gunzip->seen_member)
		return weir_fail(err, WEIR_E_CORRUPT, "no bytes where a gzip stream should begin");
	return 0;
}

/* Reads until something came out, the source ended, or an error. */
static int gunzip_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct codec_gunzip *gunzip = self;
	z_stream *stream = &gunzip->stream;
	*ret_size = 0;
	if (!gunzip->opened)
		return weir_fail(err, WEIR_E_NO_MEMORY, "no memory for a gzip decompressor");
	stream->next_out = buffer;
	stream->avail_out = clamp_uint(capacity);
	uInt room = stream->avail_out;
	while (room > 0 && stream->avail_out == room) {
		int code = gunzip_fill(gunzip, err);
		if (code != 0)
			return code;
		if (stream->avail_in == 0)
			return gunzip_end(gunzip, err);
		gunzip->in_member = true;
		int state = inflate(stream, Z_NO_FLUSH);
		if (state == Z_STREAM_END) {
			gunzip->in_member = false;
			gunzip->seen_member = true;
			inflateReset(stream);
		} else if (state != Z_OK && state != Z_BUF_ERROR) {
			return weir_fail(err, WEIR_E_CORRUPT, "not gzip, or damaged: %s",
				stream->msg != NULL ? stream->msg : "unknown reason");
		}
	}
	*ret_size = room - stream->avail_out;
	return 0;
}

struct weir_byte_reader codec_gunzip_reader(struct codec_gunzip *gunzip)
{
	return (struct weir_byte_reader){gunzip_read, gunzip};
}

static int slice_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct weir_slice *rest = self;
	(void)err;
	size_t size = rest->size < capacity ? rest->size : capacity;
	if (size > 0)
		memcpy(buffer, rest->data, size);
	rest->data = (const char *)rest->data + size;
	rest->size -= size;
	*ret_size = size;
	return 0;
}

int codec_gunzip_all(const void *data, size_t size, size_t limit, struct weir_buf *out, struct weir_error *err)
{
	struct weir_slice rest = {size > 0 ? data : "", size};
	struct codec_gunzip *gunzip = codec_gunzip_new((struct weir_byte_reader){slice_read, &rest});
	size_t total = 0, got = 0;
	int code;
	do {
		weir_buf_reserve(out, GROW_BYTES);
		code = gunzip_read(gunzip, out->data + out->size, GROW_BYTES, &got, err);
		out->size += got;
		total += got;
		if (code == 0 && total > limit)
			code = weir_fail(
				err, WEIR_E_LIMIT, "decompresses to more than the %zu bytes that are allowed", limit);
	} while (code == 0 && got > 0);
	codec_gunzip_free(gunzip);
	return code;
}
