/* Snappy's reader: what the format says, beside the library's own reader, byte for byte; and nothing past either end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <snappy-c.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/rng.h"
#include "codec/codec_int.h"
#include "support/seed.h"

#define GUARD 128

/* Reads from memory of exactly the block's size, so that a sanitizer sees a byte too far, and writes before a guard. */
static bool decode(const void *block, size_t block_size, void *out, size_t out_size)
{
	uint8_t *in = weir_alloc(block_size), *buffer = weir_alloc(out_size + GUARD);
	memcpy(in, block, block_size);
	memset(buffer, 0xA5, out_size + GUARD);
	bool good = codec_snappy_exact(in, block_size, buffer, out_size);
	for (size_t i = 0; i < GUARD; i++)
		assert_int_equal(buffer[out_size + i], 0xA5);
	memcpy(out, buffer, out_size);
	free(in);
	free(buffer);
	return good;
}

/* ---- elements by hand ---- */

#define TEN "0123456789"

static const struct {
	const char *what, *block;
	size_t block_size;
	const char *plain; /* NULL: it is damaged */
	size_t plain_size;
} by_hand[] = {
#define BLOCK(bytes) bytes, sizeof bytes - 1
	{"nothing", BLOCK("\x00"), "", 0},
	{"a literal", BLOCK("\x0a\x24" TEN), BLOCK(TEN)},
	{"a literal whose length takes a byte", BLOCK("\x0a\xf0\x09" TEN), BLOCK(TEN)},
	{"two bytes", BLOCK("\x0a\xf4\x09\x00" TEN), BLOCK(TEN)},
	{"three bytes", BLOCK("\x0a\xf8\x09\x00\x00" TEN), BLOCK(TEN)},
	{"four bytes", BLOCK("\x0a\xfc\x09\x00\x00\x00" TEN), BLOCK(TEN)},
	{"a near copy", BLOCK("\x0f\x24" TEN "\x05\x0a"), BLOCK(TEN "01234")},
	{"a near copy over itself", BLOCK("\x10\x24" TEN "\x09\x02"), BLOCK(TEN "898989")},
	{"a copy", BLOCK("\x0d\x24" TEN "\x0a\x0a\x00"), BLOCK(TEN "012")},
	{"a far copy", BLOCK("\x0d\x24" TEN "\x0b\x0a\x00\x00\x00"), BLOCK(TEN "012")},
	{"a size in three bytes for ten", BLOCK("\x8a\x80\x00\x24" TEN), BLOCK(TEN)},
	{"no size", BLOCK(""), NULL, 0},
	{"a size that does not end", BLOCK("\x8a"), NULL, 10},
	{"a size of more than 32 bits", BLOCK("\x8a\x80\x80\x80\x10\x24" TEN), NULL, 10},
	{"a size of more than five bytes", BLOCK("\x8a\x80\x80\x80\x80\x00\x24" TEN), NULL, 10},
	{"another size than expected", BLOCK("\x0b\x24" TEN), NULL, 10},
	{"fewer bytes than its size", BLOCK("\x0b\x24" TEN), NULL, 11},
	{"more bytes than its size", BLOCK("\x09\x24" TEN), NULL, 9},
	{"a literal that is not there", BLOCK("\x0a\x24"), NULL, 10},
	{"a literal that ends early",
		BLOCK("\x0a\x24"
		      "012345678"),
		NULL, 10},
	{"a literal's length that ends early", BLOCK("\x0a\xf4\x09"), NULL, 10},
	{"a literal of 4 GiB", BLOCK("\x0a\xfc\xff\xff\xff\xff" TEN), NULL, 10},
	{"a copy of nothing before", BLOCK("\x04\x01\x01"), NULL, 4},
	{"a copy from before the start", BLOCK("\x0f\x24" TEN "\x05\x0b"), NULL, 15},
	{"a copy from no distance", BLOCK("\x0f\x24" TEN "\x05\x00"), NULL, 15},
	{"a near copy without its distance", BLOCK("\x0f\x24" TEN "\x05"), NULL, 15},
	{"a copy with half its distance", BLOCK("\x0d\x24" TEN "\x0a\x0a"), NULL, 13},
	{"a far copy with half its distance", BLOCK("\x0d\x24" TEN "\x0b\x0a\x00"), NULL, 13},
	{"a far copy from before the start", BLOCK("\x0d\x24" TEN "\x0b\x0a\x00\x00\x80"), NULL, 13},
	{"a copy past the size", BLOCK("\x0c\x24" TEN "\x0a\x0a\x00"), NULL, 12},
#undef BLOCK
};

static void test_by_hand(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof by_hand / sizeof by_hand[0]; i++) {
		uint8_t out[64];
		bool good = decode(by_hand[i].block, by_hand[i].block_size, out, by_hand[i].plain_size);
		if (good != (by_hand[i].plain != NULL))
			fail_msg("%s: %s", by_hand[i].what, good ? "taken for good" : "refused");
		if (good && memcmp(out, by_hand[i].plain, by_hand[i].plain_size) != 0)
			fail_msg("%s: wrong bytes", by_hand[i].what);
	}
}

static void test_sizes(void **state)
{
	size_t size = 7;
	(void)state;
	assert_true(codec_snappy_size("\xff\xff\xff\xff\x0f", 5, &size));
	assert_int_equal(size, UINT32_MAX);
	assert_false(codec_snappy_size("\x8a\x80\x80\x80\x10", 5, &size)); /* 2^32 and ten */
	assert_false(codec_snappy_size("\x80\x80\x80\x80\x80\x00", 6, &size));
	assert_false(codec_snappy_size("\x8a", 1, &size));
	assert_false(codec_snappy_size("", 0, &size));
}

/* ---- random elements, with what they mean written beside ---- */

struct pair {
	struct weir_buf block, plain;
};

static void literal(struct pair *pair, struct weir_rng *rng, size_t count)
{
	size_t length = count - 1;
	unsigned least = length < 60 ? 0 : length < 256 ? 1 : 2;
	unsigned bytes = weir_rng_chance(rng, 0.1) ? least + (unsigned)weir_rng_below(rng, 5 - least) : least;
	if (bytes == 0)
		weir_buf_u8(&pair->block, (uint8_t)(length << 2));
	else
		weir_buf_u8(&pair->block, (uint8_t)((59 + bytes) << 2));
	for (unsigned i = 0; i < bytes; i++)
		weir_buf_u8(&pair->block, (uint8_t)(length >> 8 * i));
	for (size_t i = 0; i < count; i++) {
		uint8_t byte = (uint8_t)weir_rng_next(rng);
		weir_buf_u8(&pair->block, byte);
		weir_buf_u8(&pair->plain, byte);
	}
}

static void copy(struct pair *pair, struct weir_rng *rng)
{
	size_t behind = pair->plain.size < 65535 ? pair->plain.size : 65535;
	size_t distance = 1 + weir_rng_below(rng, weir_rng_chance(rng, 0.5) && behind > 20 ? 20 : behind);
	size_t length = 1 + weir_rng_below(rng, 64);
	unsigned kind = 1 + (unsigned)weir_rng_below(rng, 3);
	if (kind == 1 && (distance > 2047 || length < 4 || length > 11))
		kind = 2;
	if (kind == 1) {
		weir_buf_u8(&pair->block, (uint8_t)(1 | (length - 4) << 2 | distance >> 8 << 5));
		weir_buf_u8(&pair->block, (uint8_t)distance);
	} else {
		weir_buf_u8(&pair->block, (uint8_t)(kind | (length - 1) << 2));
		for (unsigned i = 0; i < (kind == 2 ? 2 : 4); i++)
			weir_buf_u8(&pair->block, (uint8_t)(distance >> 8 * i));
	}
	for (size_t i = 0; i < length; i++)
		weir_buf_u8(&pair->plain, (uint8_t)pair->plain.data[pair->plain.size - distance]);
}

/* The elements behind a head that says size, into memory of that size. */
static bool decode_as(const struct weir_buf *elements, size_t size, void *out)
{
	struct weir_buf block = WEIR_BUF_INIT;
	size_t rest = size;
	for (; rest > 0x7f; rest >>= 7)
		weir_buf_u8(&block, (uint8_t)(rest | 0x80));
	weir_buf_u8(&block, (uint8_t)rest);
	weir_buf_append(&block, elements->data, elements->size);
	bool good = decode(block.data, block.size, out, size);
	weir_buf_done(&block);
	return good;
}

static void test_random_elements(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("snappy"));
	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct pair pair = {WEIR_BUF_INIT, WEIR_BUF_INIT};
		size_t elements = 1 + weir_rng_below(&rng, 200);
		for (size_t i = 0; i < elements; i++) {
			if (pair.plain.size == 0 || weir_rng_chance(&rng, 0.4))
				literal(&pair, &rng, 1 + weir_rng_below(&rng, weir_rng_chance(&rng, 0.05) ? 700 : 20));
			else
				copy(&pair, &rng);
		}
		uint8_t *out = weir_alloc(pair.plain.size + 1);
		assert_true(decode_as(&pair.block, pair.plain.size, out));
		assert_memory_equal(out, pair.plain.data, pair.plain.size);
		assert_false(decode_as(&pair.block, weir_rng_below(&rng, pair.plain.size), out));
		assert_false(decode_as(&pair.block, pair.plain.size + 1, out));
		free(out);
		weir_buf_done(&pair.block);
		weir_buf_done(&pair.plain);
	}
}

/* ---- what the library makes of texts, and its reading of what is damaged ---- */

static size_t pack(const char *plain, size_t size, struct weir_buf *out)
{
	size_t packed = snappy_max_compressed_length(size);
	out->size = 0;
	weir_buf_reserve(out, packed);
	assert_int_equal(snappy_compress(plain, size, out->data, &packed), SNAPPY_OK);
	return packed;
}

static void fill(struct weir_rng *rng, char *plain, size_t size)
{
	size_t period = 1 + weir_rng_below(rng, 80), noise = weir_rng_below(rng, 30);
	for (size_t i = 0; i < size; i++)
		plain[i] =
			i < period || weir_rng_below(rng, 200) < noise ? (char)weir_rng_next(rng) : plain[i - period];
}

static void test_beside_the_library(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("snappy library"));
	struct weir_buf packed = WEIR_BUF_INIT;
	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		size_t size = weir_rng_below(&rng, round % 100 == 0 ? 200000 : round % 2 == 0 ? 300 : 4000), back = 0;
		char *plain = weir_alloc(size), *out = weir_alloc(size);
		fill(&rng, plain, size);
		size_t packed_size = pack(plain, size, &packed);
		assert_true(codec_snappy_size(packed.data, packed_size, &back));
		assert_int_equal(back, size);
		assert_true(decode(packed.data, packed_size, out, size));
		assert_memory_equal(out, plain, size);
		assert_false(decode(packed.data, weir_rng_below(&rng, packed_size), out, size));
		free(plain);
		free(out);
	}
	weir_buf_done(&packed);
}

static void test_damage_as_the_library(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("snappy damage"));
	struct weir_buf packed = WEIR_BUF_INIT;
	char plain[3000], ours[3000], theirs[3000];
	unsigned refused = 0;
	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t size = 200 + weir_rng_below(&rng, sizeof plain - 200), back = sizeof theirs;
		fill(&rng, plain, size);
		size_t packed_size = pack(plain, size, &packed);
		size_t at = 2 + weir_rng_below(&rng, packed_size - 2); /* the size stays */
		packed.data[at] = (char)weir_rng_next(&rng);
		bool good = snappy_uncompress(packed.data, packed_size, theirs, &back) == SNAPPY_OK;
		refused += !good;
		assert_int_equal(decode(packed.data, packed_size, ours, size), good);
		if (good)
			assert_memory_equal(ours, theirs, size);
	}
	assert_in_range(refused, 1000, 19000);
	weir_buf_done(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_random_elements),
		cmocka_unit_test(test_beside_the_library),
		cmocka_unit_test(test_damage_as_the_library),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
