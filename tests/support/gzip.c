#include "support/gzip.h"

#include <zlib.h>

void test_gzip(struct weir_str plain, struct weir_buf *out)
{
	z_stream z = {0};
	int begun = deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	WEIR_ASSERT(begun == Z_OK);
	weir_buf_reserve(out, plain.size + 1024);
	z.next_in = (Bytef *)(uintptr_t)plain.data;
	z.avail_in = (uInt)plain.size;
	z.next_out = (Bytef *)out->data;
	z.avail_out = (uInt)(plain.size + 1024);
	int ended = deflate(&z, Z_FINISH);
	WEIR_ASSERT(ended == Z_STREAM_END);
	out->size = z.total_out;
	deflateEnd(&z);
}
