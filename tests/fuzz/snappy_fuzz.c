// uses: weir_codec
/*
 * Any bytes as a snappy block: weir's reader takes what the library's reader takes, with the same bytes, and nothing else; but
 * the library takes a literal of 4 GiB for an empty one, for its length does not fit its counter.
 * The same bytes as a text: what the library makes of it is read back.
 */
#include <snappy-c.h>
#include <stdlib.h>

#include "base/arena.h"
#include "codec/codec_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_LIMIT ((size_t)1 << 20)

static const uint8_t literal_of_4_gib[] = {0xfc, 0xff, 0xff, 0xff, 0xff};

/* Memory of exactly the block's and the result's size, so that a byte too far is seen. */
static void as_block(const uint8_t *data, size_t size)
{
	size_t expected = 0, theirs_size = 0;
	bool sized = codec_snappy_size(data, size, &expected);
	WEIR_ASSERT(sized == (snappy_uncompressed_length((const char *)data, size, &theirs_size) == SNAPPY_OK));
	if (!sized || expected > OUT_LIMIT)
		return;
	WEIR_ASSERT(expected == theirs_size);
	char *in = malloc(size), *ours = malloc(expected), *theirs = malloc(expected);
	memcpy(in, data, size);
	bool good = codec_snappy_exact(in, size, ours, expected);
	bool taken = snappy_uncompress(in, size, theirs, &theirs_size) == SNAPPY_OK;
	WEIR_ASSERT(good == taken || (!good && memmem(data, size, literal_of_4_gib, sizeof literal_of_4_gib) != NULL));
	WEIR_ASSERT(!good || memcmp(ours, theirs, expected) == 0);
	free(in);
	free(ours);
	free(theirs);
}

static void as_text(const uint8_t *data, size_t size)
{
	size_t packed_size = snappy_max_compressed_length(size);
	char *packed = malloc(packed_size), *back = malloc(size);
	WEIR_ASSERT(snappy_compress((const char *)data, size, packed, &packed_size) == SNAPPY_OK);
	WEIR_ASSERT(codec_snappy_exact(packed, packed_size, back, size));
	WEIR_ASSERT(memcmp(back, data, size) == 0);
	free(packed);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	as_block(data, size);
	as_text(data, size);
	return 0;
}
