#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void weir_buf_done(struct weir_buf *buf)
{
	free(buf->data);
	*buf = WEIR_BUF_INIT;
}

void weir_buf_grow(struct weir_buf *buf, size_t more)
{
	size_t needed;
	WEIR_ASSERT(!__builtin_add_overflow(buf->size, more, &needed));
	size_t capacity = buf->capacity > 0 ? buf->capacity : 256;
	while (capacity < needed)
		capacity += capacity / 2;
	buf->data = weir_realloc(buf->data, capacity, 1);
	buf->capacity = capacity;
}

void weir_buf_append_zero(struct weir_buf *buf, size_t size)
{
	weir_buf_reserve(buf, size);
	if (size > 0)
		memset(buf->data + buf->size, 0, size);
	buf->size += size;
}

void weir_buf_printf(struct weir_buf *buf, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	WEIR_ASSERT(size >= 0);
	weir_buf_reserve(buf, (size_t)size + 1);
	va_start(args, format);
	vsnprintf(buf->data + buf->size, (size_t)size + 1, format, args);
	va_end(args);
	buf->size += (size_t)size;
}

void weir_buf_u8(struct weir_buf *buf, uint8_t value)
{
	weir_buf_append(buf, &value, 1);
}

void weir_buf_u16(struct weir_buf *buf, uint16_t value)
{
	uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
	weir_buf_append(buf, bytes, sizeof bytes);
}

void weir_buf_u32(struct weir_buf *buf, uint32_t value)
{
	weir_buf_u16(buf, (uint16_t)value);
	weir_buf_u16(buf, (uint16_t)(value >> 16));
}

void weir_buf_u64(struct weir_buf *buf, uint64_t value)
{
	weir_buf_u32(buf, (uint32_t)value);
	weir_buf_u32(buf, (uint32_t)(value >> 32));
}

char *weir_buf_cstr(struct weir_buf *buf)
{
	weir_buf_reserve(buf, 1);
	buf->data[buf->size] = '\0';
	return buf->data;
}

static int memory_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	const struct weir_slice *memory = self;
	if (offset > memory->size || size > memory->size - offset)
		return weir_fail_at(err, WEIR_E_CORRUPT, (struct weir_str){NULL, 0}, offset,
			"%zu bytes asked for past the end of %zu", size, memory->size);
	if (size > 0)
		memcpy(buffer, (const char *)memory->data + offset, size);
	return 0;
}

struct weir_byte_source weir_source_from_memory(const struct weir_slice *memory, struct weir_str name)
{
	union {
		const struct weir_slice *from;
		void *to;
	} self = {.from = memory};
	return (struct weir_byte_source){memory_read, self.to, memory->size, name};
}

static int buf_write(void *self, const void *data, size_t size, struct weir_error *err)
{
	(void)err;
	weir_buf_append(self, data, size);
	return 0;
}

struct weir_byte_sink weir_sink_to_buf(struct weir_buf *buf)
{
	return (struct weir_byte_sink){buf_write, buf};
}
