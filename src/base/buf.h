/*
 * Growable byte buffers, and the two faces through which formats see bytes they did not make:
 * byte_source (random access reading) and byte_sink (appending). store/ and os/ implement them.
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/str.h"

struct weir_buf {
	char *data;
	size_t size;
	size_t capacity;
};

#define WEIR_BUF_INIT ((struct weir_buf){0})

void weir_buf_done(struct weir_buf *buf);                    /* frees; may be used again */
void weir_buf_grow(struct weir_buf *buf, size_t more_bytes); /* what weir_buf_reserve does where there is no room */
void weir_buf_append_zero(struct weir_buf *buf, size_t size_bytes);
void weir_buf_printf(struct weir_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Little-endian integers, as all of weir's own formats have them. */
void weir_buf_u8(struct weir_buf *buf, uint8_t value);
void weir_buf_u16(struct weir_buf *buf, uint16_t value);
void weir_buf_u32(struct weir_buf *buf, uint32_t value);
void weir_buf_u64(struct weir_buf *buf, uint64_t value);
/* A zero byte after the content (not counted), so that data can be used as a C string. */
char *weir_buf_cstr(struct weir_buf *buf);

/* Room after size. The usual case is inlined: text is written a few bytes at a time. */
static inline void weir_buf_reserve(struct weir_buf *buf, size_t more_bytes)
{
	if (buf->capacity - buf->size < more_bytes || buf->data == NULL)
		weir_buf_grow(buf, more_bytes);
}

static inline void weir_buf_append(struct weir_buf *buf, const void *data, size_t size_bytes)
{
	weir_buf_reserve(buf, size_bytes);
	if (size_bytes > 0)
		memcpy(buf->data + buf->size, data, size_bytes);
	buf->size += size_bytes;
}

static inline void weir_buf_puts(struct weir_buf *buf, const char *text)
{
	weir_buf_append(buf, text, strlen(text));
}

static inline void weir_buf_putc(struct weir_buf *buf, char c)
{
	weir_buf_reserve(buf, 1);
	buf->data[buf->size++] = c;
}

static inline struct weir_str weir_buf_str(const struct weir_buf *buf)
{
	return (struct weir_str){buf->data, buf->size};
}

static inline uint16_t weir_le16(const void *p)
{
	const uint8_t *b = p;
	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t weir_le32(const void *p)
{
	const uint8_t *b = p;
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t weir_le64(const void *p)
{
	const uint8_t *b = p;
	return (uint64_t)weir_le32(b) | (uint64_t)weir_le32(b + 4) << 32;
}

/* An immutable object of known size that can be read anywhere. Thread-safe to read. */
struct weir_byte_source {
	/* Reads exactly size_bytes at offset, or fails (WEIR_E_CORRUPT past the end). */
	int (*read)(void *self, uint64_t offset, void *buffer, size_t size_bytes, struct weir_error *err);
	void *self;
	uint64_t size_bytes;
	struct weir_str name; /* for error texts */
};

struct weir_byte_sink {
	int (*write)(void *self, const void *data, size_t size_bytes, struct weir_error *err);
	void *self;
};

/* A stream of bytes from somewhere (file, request, decompressor): *ret_size 0 at the end. */
struct weir_byte_reader {
	int (*read)(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err);
	void *self;
};

/* A source over memory that outlives it, and a sink into a buffer. */
struct weir_byte_source weir_source_from_memory(const struct weir_slice *memory, struct weir_str name);
struct weir_byte_sink weir_sink_to_buf(struct weir_buf *buf);

#endif
