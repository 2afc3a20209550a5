/* The encodings by themselves: run lengths, differences, dictionaries, bloom filters, Thrift. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "format/parquet/read_int.h"
#include "format/parquet/thrift_int.h"
#include "support/seed.h"

static void test_rle_random(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("rle"));
	uint32_t values[3000], back[3000];
	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		unsigned width = (unsigned)weir_rng_below(&rng, 25);
		uint32_t count = (uint32_t)weir_rng_below(&rng, 3000), i = 0;
		while (i < count) {
			uint32_t run = weir_rng_chance(&rng, 0.3) ? (uint32_t)weir_rng_below(&rng, 60) : 1;
			uint32_t value = (uint32_t)weir_rng_below(&rng, 1ULL << width);
			for (uint32_t k = 0; k < run && i < count; k++)
				values[i++] = value;
		}
		struct weir_buf out = WEIR_BUF_INIT;
		struct pq_rle rle;
		pq_rle_encode(&out, values, count, width);
		pq_rle_open(&rle, out.data, out.size, width);
		uint32_t first = count > 0 ? (uint32_t)weir_rng_below(&rng, count) : 0;
		assert_true(pq_rle_read(&rle, first, back));
		assert_true(pq_rle_read(&rle, count - first, back + first));
		assert_memory_equal(values, back, count * sizeof values[0]);
		if (out.size > 1) {
			pq_rle_open(&rle, out.data, out.size / 2, width);
			pq_rle_read(&rle, count, back); /* may fail; must not read past the end */
		}
		weir_buf_done(&out);
	}
}

/* A PLAIN stream of random texts, many of which begin as the one before. */
static uint32_t random_texts(struct weir_rng *rng, struct weir_buf *plain)
{
	uint32_t count = (uint32_t)weir_rng_below(rng, 600);
	char text[300] = {0};
	size_t size = 0;
	for (uint32_t i = 0; i < count; i++) {
		size_t keep = weir_rng_chance(rng, 0.8) ? weir_rng_below(rng, size + 1) : 0;
		size = keep + weir_rng_below(rng, weir_rng_chance(rng, 0.1) ? 300 - keep : 20);
		size = size < sizeof text ? size : sizeof text;
		for (size_t b = keep; b < size; b++)
			text[b] = (char)weir_rng_below(rng, 256);
		weir_buf_u32(plain, (uint32_t)size);
		weir_buf_append(plain, text, size);
	}
	return count;
}

static void test_delta_texts(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("texts"));
	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		struct weir_buf plain = WEIR_BUF_INIT, out = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_view back[600];
		struct pq_values values = {0};
		struct pq_holder holder = {.arena = weir_arena_new(0), .text_limit = 1 << 24};
		uint32_t count = random_texts(&rng, &plain);
		bool shared = round % 2 == 0;
		if (shared)
			pq_delta_text_encode(&out, plain.data, count);
		else
			pq_delta_length_encode(&out, plain.data, count);
		const uint8_t *data = (const uint8_t *)out.data;
		assert_int_equal(pq_values_open(&values, shared ? PQ_DELTA_BYTE_ARRAY : PQ_DELTA_LENGTH_BYTE_ARRAY,
					 PQ_BYTE_ARRAY, 0, data, data + out.size, NULL, &err),
			0);
		assert_int_equal(pq_values_read(&values, count, back, &holder, &err), 0);
		const char *at = plain.data;
		for (uint32_t i = 0; i < count; i++) {
			struct weir_str text = {at + 4, weir_le32(at)}, seen = weir_view_str(&back[i]);
			assert_true(weir_str_equal(seen, text));
			at += 4 + text.size;
		}
		pq_values_done(&values);
		weir_arena_free(holder.arena);
		weir_buf_done(&plain);
		weir_buf_done(&out);
	}
}

static void test_levels(void **state)
{
	uint8_t levels[2500], back[2500];
	struct weir_rng rng = weir_rng_new(test_seed("levels"));
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		uint32_t count = 1 + (uint32_t)weir_rng_below(&rng, 2500);
		for (uint32_t i = 0; i < count; i++)
			levels[i] =
				i > 0 && weir_rng_chance(&rng, 0.9) ? levels[i - 1] : (uint8_t)weir_rng_below(&rng, 4);
		struct weir_buf out = WEIR_BUF_INIT;
		struct pq_rle rle;
		pq_rle_encode_levels(&out, levels, count, 2);
		pq_rle_open(&rle, out.data, out.size, 2);
		assert_true(pq_rle_read_levels(&rle, count, back));
		assert_memory_equal(levels, back, count);
		weir_buf_done(&out);
	}
}

static void test_delta_random(void **state)
{
	struct weir_rng rng = weir_rng_new(test_seed("delta"));
	int64_t values[700], back[700];
	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		uint32_t count = (uint32_t)weir_rng_below(&rng, 700);
		unsigned shift = (unsigned)weir_rng_below(&rng, 64);
		bool narrow = weir_rng_chance(&rng, 0.5);
		for (uint32_t i = 0; i < count; i++) {
			values[i] = (int64_t)weir_rng_next(&rng) >> shift;
			if (narrow)
				values[i] = (int32_t)values[i];
		}
		struct weir_buf out = WEIR_BUF_INIT;
		struct pq_delta delta;
		pq_delta_encode(&out, values, count, narrow ? 32 : 64);
		weir_buf_u8(&out, 0x77);
		const uint8_t *data = (const uint8_t *)out.data, *end = data + out.size - 1;
		assert_ptr_equal(pq_delta_end(data, end), end);
		assert_true(pq_delta_open(&delta, data, end));
		uint32_t first = count > 0 ? (uint32_t)weir_rng_below(&rng, count) : 0;
		assert_true(pq_delta_read(&delta, first, back));
		assert_true(pq_delta_read(&delta, count - first, back + first));
		for (uint32_t i = 0; i < count; i++)
			assert_true(narrow ? (int32_t)values[i] == (int32_t)back[i] : values[i] == back[i]);
		assert_false(pq_delta_read(&delta, 1, back));
		weir_buf_done(&out);
	}
}

static void test_dictionary(void **state)
{
	struct pq_dictionary dictionary;
	int64_t values[5000];
	uint32_t codes[5000];
	(void)state;
	for (int i = 0; i < 5000; i++)
		values[i] = i * 7919 % 1237;
	pq_dictionary_init(&dictionary, 8);
	assert_true(pq_dictionary_add_fixed(&dictionary, values, 5000, 2000, codes));
	assert_int_equal(dictionary.count, 1237);
	for (int i = 0; i < 5000; i++)
		assert_memory_equal(dictionary.bytes.data + (size_t)codes[i] * 8, &values[i], 8);
	pq_dictionary_clear(&dictionary);
	assert_false(pq_dictionary_add_fixed(&dictionary, values, 5000, 1000, codes));
	pq_dictionary_done(&dictionary);
	pq_dictionary_init(&dictionary, 0);
	for (int i = 0; i < 4000; i++) {
		char text[16];
		int size = snprintf(text, sizeof text, "t%d", i % 2000);
		struct weir_view view = weir_view_from((struct weir_str){text, (size_t)size});
		assert_int_equal(pq_dictionary_add_text(&dictionary, &view), i % 2000);
	}
	assert_true(weir_str_is(pq_dictionary_text(&dictionary, 1999), "t1999"));
	pq_dictionary_done(&dictionary);
}

static void test_bloom(void **state)
{
	struct pq_bloom bloom;
	unsigned wrong = 0;
	(void)state;
	pq_bloom_init(&bloom, 10000);
	for (uint64_t i = 0; i < 10000; i++)
		pq_bloom_add(&bloom, &i, sizeof i);
	for (uint64_t i = 0; i < 20000; i++) {
		bool has = pq_bloom_has(bloom.words, (size_t)bloom.block_count * 32, &i, sizeof i);
		if (i < 10000)
			assert_true(has);
		else
			wrong += has;
	}
	assert_true(wrong < 200);
	pq_bloom_done(&bloom);
}

static void test_thrift_bounds(void **state)
{
	/* A list of 2^32 - 1 structs in five bytes, and nesting without end. */
	const uint8_t huge[] = {0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f};
	uint8_t deep[200];
	(void)state;
	struct thrift_reader reader = thrift_reader_on(huge, sizeof huge);
	struct thrift_field field = {0};
	assert_true(thrift_next(&reader, &field));
	thrift_skip(&reader, field.type);
	assert_non_null(reader.problem);
	memset(deep, 0x1c, sizeof deep);
	reader = thrift_reader_on(deep, sizeof deep);
	field = (struct thrift_field){0};
	assert_true(thrift_next(&reader, &field));
	thrift_skip(&reader, field.type);
	assert_string_equal(reader.problem, "the metadata is nested too deeply");
}

static void test_decimal_bytes(void **state)
{
	(void)state;
	assert_int_equal(pq_decimal_bytes(19), 9);
	assert_int_equal(pq_decimal_bytes(20), 9);
	assert_int_equal(pq_decimal_bytes(21), 9);
	assert_int_equal(pq_decimal_bytes(22), 10);
	assert_int_equal(pq_decimal_bytes(38), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rle_random),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_delta_texts),
		cmocka_unit_test(test_delta_random),
		cmocka_unit_test(test_dictionary),
		cmocka_unit_test(test_bloom),
		cmocka_unit_test(test_thrift_bounds),
		cmocka_unit_test(test_decimal_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
