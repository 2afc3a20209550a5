/* What a client that compresses would send. */
#ifndef WEIR_TESTS_GZIP_H
#define WEIR_TESTS_GZIP_H

#include "base/buf.h"

void test_gzip(struct weir_str plain, struct weir_buf *out);

#endif
