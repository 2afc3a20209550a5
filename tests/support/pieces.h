/* A text that comes in pieces of `step` bytes, as from a socket: (struct weir_byte_reader){read_piece, &pieces}. */
#ifndef WEIR_TESTS_PIECES_H
#define WEIR_TESTS_PIECES_H

#include <string.h>

#include "base/buf.h"

struct pieces {
	struct weir_str text;
	size_t at, step;
};

static inline int read_piece(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct pieces *pieces = self;
	size_t size = pieces->text.size - pieces->at;
	(void)err;
	size = size < pieces->step ? size : pieces->step;
	size = size < capacity ? size : capacity;
	memcpy(buffer, pieces->text.data + pieces->at, size);
	pieces->at += size;
	*ret_size = size;
	return 0;
}

#endif
