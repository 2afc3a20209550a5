/* Sets of positions: against a plain array, the Roaring and Iceberg fixtures, damage; Puffin files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/rng.h"
#include "iceberg/puffin.h"

#define DELETES "iceberg-java/core/src/test/resources/org/apache/iceberg/deletes/"
#define PUFFIN  "iceberg-java/core/src/test/resources/org/apache/iceberg/puffin/v1/"

static struct weir_str read_fixture(struct weir_arena *arena, const char *name)
{
	char path[512], *data;
	size_t size;
	struct weir_error err = WEIR_ERROR_INIT;
	const char *root = getenv("WEIR_DATA");
	snprintf(path, sizeof path, "%s/D_conformance/%s", root != NULL ? root : "../shared/data", name);
	if (weir_os_read_all(weir_os_real(), path, 4U << 20, &data, &size, &err) != 0) {
		print_message("absent, not tested: %s\n", path);
		return (struct weir_str){0};
	}
	struct weir_str copy = weir_arena_str(arena, (struct weir_str){data, size});
	free(data);
	return copy;
}

#define SPAN 400000

/* Adds at random, in the shapes that make arrays, bitmaps and runs; then every question against a plain table. */
static void test_against_table(void **state)
{
	static bool table[SPAN];
	const char *given = getenv("WEIR_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 7, total = 0, at;
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	struct weir_rng rng = weir_rng_new(seed);
	for (unsigned round = 0; round < 20; round++) {
		struct ice_positions *positions = ice_positions_new(), *back = ice_positions_new();
		struct weir_buf bytes = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		memset(table, 0, sizeof table);
		total = 0;
		for (unsigned i = 0; i < 300; i++) {
			uint64_t start = weir_rng_below(&rng, SPAN), length = 1;
			if (round % 3 == 1)
				length = weir_rng_below(&rng, 3000);
			for (uint64_t k = start; k < start + length && k < SPAN; k += round % 3 == 2 ? 2 : 1) {
				assert_int_equal(ice_positions_add(positions, k), !table[k]);
				total += !table[k];
				table[k] = true;
			}
		}
		assert_int_equal(ice_positions_count(positions), total);
		ice_positions_encode(positions, &bytes);
		assert_int_equal(ice_positions_decode(back, weir_buf_str(&bytes), &err), 0);
		assert_int_equal(ice_positions_count(back), total);
		at = 0;
		for (uint64_t k = 0; k < SPAN; k++) {
			assert_int_equal(ice_positions_has(back, k), table[k]);
			if (table[k]) {
				assert_true(ice_positions_next(back, at, &at));
				assert_int_equal(at++, k);
			}
		}
		assert_false(ice_positions_next(back, at, &at));
		weir_buf_done(&bytes);
		ice_positions_free(positions);
		ice_positions_free(back);
	}
}

static const struct {
	const char *name;
	bool is_vector;
	int code;
	uint64_t count;
	uint64_t some[4]; /* positions that are there */
} fixtures[] = {
	{DELETES "64mapempty.bin", false, 0, 0, {0}},
	{DELETES "64map32bitvals.bin", false, 0, 10, {0, 1, 5, 9}},
	{DELETES "64mapspreadvals.bin", false, 0, 100, {0, 9, 4294967296, 38654705664}},
	{DELETES "64maphighvals.bin", false, WEIR_E_CORRUPT, 0, {0}},
	{DELETES "empty-position-index.bin", true, 0, 0, {0}},
	{DELETES "small-alternating-values-position-index.bin", true, 0, 5, {1, 3, 5, 9}},
	{DELETES "small-and-large-values-position-index.bin", true, 0, 4, {100, 101, 2147483747, 2147483748}},
	{DELETES "all-container-types-position-index.bin", true, 0, UINT64_MAX, {0}},
	{"roaring-format-spec/testdata64/portable_bitmap64.bin", false, 0, UINT64_MAX, {0}},
	{"roaring-format-spec/testdata64/bitmap64.bin", false, 0, UINT64_MAX, {0}},
};

/* What is read is written again and read back alike; where the fixture is Java's own vector, byte for byte. */
static void check_again(const struct ice_positions *positions, struct weir_str fixture, bool is_vector)
{
	struct weir_buf bytes = WEIR_BUF_INIT;
	struct ice_positions *back = ice_positions_new();
	struct weir_error err = WEIR_ERROR_INIT;
	uint64_t a = 0, b = 0;
	if (is_vector) {
		ice_vector_encode(positions, &bytes);
		assert_int_equal(bytes.size, fixture.size);
		assert_memory_equal(bytes.data, fixture.data, bytes.size);
		bytes.size = 0;
	}
	ice_positions_encode(positions, &bytes);
	assert_int_equal(ice_positions_decode(back, weir_buf_str(&bytes), &err), 0);
	while (ice_positions_next(positions, a, &a)) {
		assert_true(ice_positions_next(back, b, &b));
		assert_int_equal(a++, b++);
	}
	assert_false(ice_positions_next(back, b, &b));
	ice_positions_free(back);
	weir_buf_done(&bytes);
}

static void test_fixtures(void **state)
{
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	for (size_t i = 0; i < sizeof fixtures / sizeof fixtures[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_str bytes = read_fixture(arena, fixtures[i].name);
		struct ice_positions *positions = ice_positions_new();
		if (bytes.size > 0) {
			int code = fixtures[i].is_vector ? ice_vector_decode(positions, bytes, &err)
							 : ice_positions_decode(positions, bytes, &err);
			if (code != fixtures[i].code)
				fail_msg("%s: %d %s", fixtures[i].name, code, err.message);
			print_message("%s: %llu positions\n", fixtures[i].name,
				(unsigned long long)ice_positions_count(positions));
			if (code == 0 && fixtures[i].count != UINT64_MAX) {
				assert_int_equal(ice_positions_count(positions), fixtures[i].count);
				for (unsigned k = 0; k < 4 && fixtures[i].count > 0; k++)
					assert_true(ice_positions_has(positions, fixtures[i].some[k]));
			}
			if (code == 0)
				check_again(positions, bytes, fixtures[i].is_vector);
		}
		ice_positions_free(positions);
	}
	weir_arena_free(arena);
}

/* The 32-bit files hold what the format's own documentation generates: compare the two forms of the same set. */
static void test_roaring_32(void **state)
{
	static const char *const names[] = {"roaring-format-spec/testdata/bitmapwithoutruns.bin",
		"roaring-format-spec/testdata/bitmapwithruns.bin"};
	struct weir_arena *arena = weir_arena_new(0);
	struct ice_positions *sets[2] = {ice_positions_new(), ice_positions_new()};
	uint64_t at = 0;
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_buf framed = WEIR_BUF_INIT;
		struct weir_str bytes = read_fixture(arena, names[i]);
		if (bytes.size > 0) {
			weir_buf_u64(&framed, 1); /* one key, 0: the 64-bit form of the same */
			weir_buf_u32(&framed, 0);
			weir_buf_append(&framed, bytes.data, bytes.size);
			assert_int_equal(ice_positions_decode(sets[i], weir_buf_str(&framed), &err), 0);
			assert_int_equal(ice_positions_count(sets[i]), 200100);
		}
		weir_buf_done(&framed);
	}
	for (uint64_t k = 0; ice_positions_next(sets[0], k, &at); k = at + 1)
		assert_true(ice_positions_has(sets[1], at));
	ice_positions_free(sets[0]);
	ice_positions_free(sets[1]);
	weir_arena_free(arena);
}

/* Every cut of a vector, and every flipped bit of its frame, is refused or stays within its bytes. */
static void test_damage(void **state)
{
	struct ice_positions *positions = ice_positions_new();
	struct weir_buf bytes = WEIR_BUF_INIT;
	(void)state;
	for (uint64_t i = 0; i < 6000; i++)
		ice_positions_add(positions, i * 3 + (i % 7 == 0 ? 5000000000 : 0));
	ice_vector_encode(positions, &bytes);
	for (size_t size = 0; size < bytes.size; size += size < 200 ? 1 : 97) {
		struct ice_positions *back = ice_positions_new();
		struct weir_error err = WEIR_ERROR_INIT;
		assert_int_equal(ice_vector_decode(back, (struct weir_str){bytes.data, size}, &err), WEIR_E_CORRUPT);
		ice_positions_free(back);
	}
	for (size_t bit = 0; bit < bytes.size * 8; bit += bit < 800 ? 1 : 501) {
		struct ice_positions *back = ice_positions_new();
		struct weir_error err = WEIR_ERROR_INIT;
		bytes.data[bit / 8] ^= (char)(1 << (bit % 8));
		assert_int_equal(ice_vector_decode(back, weir_buf_str(&bytes), &err), WEIR_E_CORRUPT);
		/* without the checksum in its way */
		ice_positions_decode(back, (struct weir_str){bytes.data + 8, bytes.size - 12}, &err);
		bytes.data[bit / 8] ^= (char)(1 << (bit % 8));
		ice_positions_free(back);
	}
	weir_buf_done(&bytes);
	ice_positions_free(positions);
}

static const struct {
	const char *name;
	uint32_t blobs;
	const char *first;
} puffins[] = {
	{PUFFIN "empty-puffin-uncompressed.bin", 0, ""},
	{PUFFIN "sample-metric-data-uncompressed.bin", 2, "abcdefghi"},
	{PUFFIN "sample-metric-data-compressed-zstd.bin", 2, "abcdefghi"},
};

static void test_puffin(void **state)
{
	struct weir_arena *arena = weir_arena_new(0);
	(void)state;
	for (size_t i = 0; i < sizeof puffins / sizeof puffins[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		struct weir_str bytes = read_fixture(arena, puffins[i].name);
		struct weir_slice slice = {bytes.data, bytes.size};
		struct weir_byte_source source = weir_source_from_memory(&slice, weir_str_from(puffins[i].name));
		struct ice_puffin *puffin;
		if (bytes.size == 0)
			continue;
		assert_int_equal(ice_puffin_read(arena, source, &puffin, &err), 0);
		assert_int_equal(puffin->blob_count, puffins[i].blobs);
		if (puffin->blob_count > 0) {
			struct weir_buf blob = WEIR_BUF_INIT;
			assert_int_equal(ice_puffin_blob_read(source, &puffin->blobs[0], &blob, &err), 0);
			assert_true(weir_str_is(weir_buf_str(&blob), puffins[i].first));
			assert_true(weir_str_is(puffin->blobs[0].type, "some-blob"));
			blob.size = 0;
			assert_int_equal(ice_puffin_blob_read(source, &puffin->blobs[1], &blob, &err), 0);
			assert_int_equal(blob.size, 83);
			weir_buf_done(&blob);
		}
		for (size_t size = 0; size < bytes.size; size++) {
			struct weir_slice cut = {bytes.data, size};
			source = weir_source_from_memory(&cut, WEIR_STR("cut"));
			assert_true(ice_puffin_read(arena, source, &puffin, &err) < 0);
		}
	}
	weir_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_table),
		cmocka_unit_test(test_fixtures),
		cmocka_unit_test(test_roaring_32),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_puffin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
