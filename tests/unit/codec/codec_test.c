/* Block codecs and gzip: what goes in comes out, and nothing else is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/rng.h"
#include "codec/codec.h"

static const enum codec all[] = {
	CODEC_NONE, CODEC_SNAPPY, CODEC_GZIP, CODEC_BROTLI, CODEC_ZSTD, CODEC_LZ4_RAW, CODEC_LZ4_HADOOP};
#define CODECS (sizeof all / sizeof all[0])

static void fill(char *data, size_t size, unsigned kind)
{
	struct weir_rng rng = weir_rng_new(size + kind);
	for (size_t i = 0; i < size; i++)
		data[i] = kind == 0 ? (char)(i / 7) : (char)weir_rng_next(&rng);
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = {0, 1, 13, 1000, 70000, 300000};
	struct codec_state *codec = codec_state_new();
	(void)state;
	for (size_t c = 0; c < CODECS; c++) {
		for (size_t s = 0; s < sizeof sizes / sizeof sizes[0] * 2; s++) {
			struct weir_error err = WEIR_ERROR_INIT;
			struct weir_buf out = WEIR_BUF_INIT;
			size_t size = sizes[s / 2];
			char *data = weir_alloc(size), *back = weir_alloc(size);
			fill(data, size, (unsigned)(s % 2));
			assert_int_equal(codec_compress(codec, all[c], 0, data, size, &out, &err), 0);
			if (size == 70000 && s % 2 == 0 && all[c] != CODEC_NONE)
				assert_true(out.size < size / 2);
			assert_int_equal(codec_decompress(codec, all[c], out.data, out.size, back, size, &err), 0);
			assert_memory_equal(data, back, size);
			weir_buf_done(&out);
			free(data);
			free(back);
		}
	}
	codec_state_free(codec);
}

static void test_wrong_sizes_and_damage(void **state)
{
	struct codec_state *codec = codec_state_new();
	char data[5000], back[6000];
	(void)state;
	fill(data, sizeof data, 0);
	for (size_t c = 0; c < CODECS; c++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_buf out = WEIR_BUF_INIT;
		assert_int_equal(codec_compress(codec, all[c], 0, data, sizeof data, &out, &err), 0);
		memset(back, 0x5a, sizeof back);
		assert_int_equal(codec_decompress(codec, all[c], out.data, out.size, back, 4999, &err), WEIR_E_CORRUPT);
		assert_int_equal(back[4999], 0x5a);
		assert_int_equal(codec_decompress(codec, all[c], out.data, out.size, back, 5001, &err), WEIR_E_CORRUPT);
		assert_int_equal(
			codec_decompress(codec, all[c], out.data, out.size - 3, back, 5000, &err), WEIR_E_CORRUPT);
		weir_buf_done(&out);
	}
	codec_state_free(codec);
}

struct drip {
	const char *data;
	size_t size, at, step;
};

static int drip_read(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct drip *drip = self;
	size_t size = drip->size - drip->at < drip->step ? drip->size - drip->at : drip->step;
	(void)err;
	size = size < capacity ? size : capacity;
	memcpy(buffer, drip->data + drip->at, size);
	drip->at += size;
	*ret_size = size;
	return 0;
}

static int drain(const struct weir_buf *packed, size_t size, size_t step, struct weir_buf *out, struct weir_error *err)
{
	struct drip drip = {packed->data, size, 0, step};
	struct codec_gunzip *gunzip = codec_gunzip_new((struct weir_byte_reader){drip_read, &drip});
	struct weir_byte_reader reader = codec_gunzip_reader(gunzip);
	char part[333];
	size_t got = 0;
	int code;
	do {
		code = reader.read(reader.self, part, sizeof part, &got, err);
		weir_buf_append(out, part, got);
	} while (code == 0 && got > 0);
	codec_gunzip_free(gunzip);
	return code;
}

static void test_gunzip_members(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf packed = WEIR_BUF_INIT, out = WEIR_BUF_INIT;
	char data[9000];
	(void)state;
	fill(data, sizeof data, 0);
	assert_int_equal(codec_gzip_all(data, 4000, &packed, &err), 0);
	assert_int_equal(codec_gzip_all(data + 4000, 5000, &packed, &err), 0);
	for (size_t step = 1; step < 70000; step = step * 7 + 3) {
		out.size = 0;
		assert_int_equal(drain(&packed, packed.size, step, &out, &err), 0);
		assert_int_equal(out.size, sizeof data);
		assert_memory_equal(out.data, data, sizeof data);
	}
	out.size = 0;
	assert_int_equal(drain(&packed, packed.size - 1, 100, &out, &err), WEIR_E_CORRUPT);
	packed.data[40] ^= 0x55;
	assert_int_equal(drain(&packed, packed.size, 100, &out, &err), WEIR_E_CORRUPT);
	assert_int_equal(drain(&packed, 0, 100, &out, &err), WEIR_E_CORRUPT);
	weir_buf_done(&packed);
	weir_buf_done(&out);
}

static void test_gunzip_limit(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_buf packed = WEIR_BUF_INIT, out = WEIR_BUF_INIT;
	char *zeros = weir_zalloc(1 << 20);
	(void)state;
	assert_int_equal(codec_gzip_all(zeros, 1 << 20, &packed, &err), 0);
	assert_int_equal(codec_gunzip_all(packed.data, packed.size, 1 << 20, &out, &err), 0);
	assert_int_equal(out.size, 1 << 20);
	out.size = 0;
	assert_int_equal(codec_gunzip_all(packed.data, packed.size, (1 << 20) - 1, &out, &err), WEIR_E_LIMIT);
	out.size = 0;
	assert_int_equal(codec_gunzip_all("plain text", 10, 100, &out, &err), WEIR_E_CORRUPT);
	free(zeros);
	weir_buf_done(&packed);
	weir_buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_wrong_sizes_and_damage),
		cmocka_unit_test(test_gunzip_members),
		cmocka_unit_test(test_gunzip_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
