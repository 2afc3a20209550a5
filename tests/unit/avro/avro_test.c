/* Avro files: what is written reads back, real files read, damaged ones are refused with their place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"
#include "base/rng.h"
#include "format/avro/avro.h"

static void test_long_vectors(void **state)
{
	/* Avro 1.11, "Primitive Types": the zig-zag examples, and the ends of the range. */
	static const struct {
		int64_t value;
		const char *bytes;
		size_t size;
	} vectors[] = {
		{0, "\x00", 1},
		{-1, "\x01", 1},
		{1, "\x02", 1},
		{-2, "\x03", 1},
		{2, "\x04", 1},
		{-64, "\x7f", 1},
		{64, "\x80\x01", 2},
		{INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
		{INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
	};
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		struct weir_buf out = WEIR_BUF_INIT;
		avro_put_long(&out, vectors[i].value);
		assert_int_equal(out.size, vectors[i].size);
		assert_memory_equal(out.data, vectors[i].bytes, out.size);
		weir_buf_done(&out);
	}
}

static const char every_type[] =
	"{\"type\":\"record\",\"name\":\"all\",\"namespace\":\"a.b\",\"fields\":["
	"{\"name\":\"i\",\"type\":\"int\",\"field-id\":1},{\"name\":\"l\",\"type\":\"long\",\"field-id\":2},"
	"{\"name\":\"f\",\"type\":\"float\"},{\"name\":\"d\",\"type\":\"double\"},{\"name\":\"b\",\"type\":\"boolean\"}"
	","
	"{\"name\":\"s\",\"type\":[\"null\",\"string\"],\"field-id\":7},{\"name\":\"x\",\"type\":\"bytes\"},"
	"{\"name\":\"u\",\"type\":{\"type\":\"fixed\",\"name\":\"u16\",\"size\":4,\"logicalType\":\"uuid\"}},"
	"{\"name\":\"v\",\"type\":\"u16\"},"
	"{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}},"
	"{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"long\"}},"
	"{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"long\",\"element-id\":133}},"
	"{\"name\":\"next\",\"type\":[\"null\",\"a.b.all\"]}]}";

static void put_row(struct weir_buf *out, int64_t n, bool nested)
{
	avro_put_long(out, n % 1000);
	avro_put_long(out, n * 1000000007);
	avro_put_float(out, (float)n / 4);
	avro_put_double(out, (double)n / 3);
	avro_put_bool(out, n % 2 == 0);
	avro_put_long(out, n % 3 != 0);
	if (n % 3 != 0)
		avro_put_bytes(out, WEIR_STR("text"));
	avro_put_bytes(out, WEIR_STR("\0\1"));
	avro_put_fixed(out, "abcd", 4);
	avro_put_fixed(out, "efgh", 4);
	avro_put_long(out, n % 2);
	avro_put_long(out, 1);
	avro_put_bytes(out, WEIR_STR("key"));
	avro_put_long(out, n);
	avro_put_long(out, 0);
	avro_put_long(out, -2); /* a block that says its size in bytes */
	avro_put_long(out, 2);
	avro_put_long(out, 5);
	avro_put_long(out, 6);
	avro_put_long(out, 1);
	avro_put_long(out, 7);
	avro_put_long(out, 0);
	avro_put_long(out, nested);
	if (nested)
		put_row(out, n + 1, false);
}

static void write_file(enum codec codec, int64_t rows, struct weir_buf *out)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct avro_writer *writer;
	const struct avro_metadata keys[] = {{"content", WEIR_STR("data")}, {"empty", WEIR_STR("")}};
	uint64_t size;
	assert_int_equal(
		avro_writer_open(weir_sink_to_buf(out), weir_str_from(every_type), keys, 2, codec, &writer, &err), 0);
	for (int64_t i = 0; i < rows; i++) {
		put_row(avro_writer_record(writer), i, i % 5 == 0);
		assert_int_equal(avro_writer_end_record(writer, &err), 0);
	}
	assert_int_equal(avro_writer_close(writer, &size, &err), 0);
	assert_int_equal(size, out->size);
}

static int open_bytes(const struct weir_slice *bytes, struct avro_reader **ret_reader, struct weir_error *err)
{
	return avro_reader_open(weir_source_from_memory(bytes, WEIR_STR("test.avro")), 64U << 20, ret_reader, err);
}

static void check_row(const struct avro_value *row, int64_t n, bool nested)
{
	assert_non_null(row);
	assert_int_equal(avro_field_with_id(row, 1)->u.integer, n % 1000);
	assert_int_equal(avro_field_with_id(row, 2)->u.integer, n * 1000000007);
	assert_true(avro_field_named(row, "f")->u.number == (double)((float)n / 4));
	assert_true(avro_field_named(row, "d")->u.number == (double)n / 3);
	assert_int_equal(avro_field_named(row, "b")->u.boolean, n % 2 == 0);
	const struct avro_value *text = avro_field_with_id(row, 7);
	if (n % 3 == 0)
		assert_int_equal(text->type->kind, AVRO_NULL);
	else
		assert_true(weir_str_is(text->u.bytes, "text"));
	assert_int_equal(avro_field_named(row, "x")->u.bytes.size, 2);
	assert_true(weir_str_is(avro_field_named(row, "u")->u.bytes, "abcd"));
	assert_true(weir_str_is(avro_field_named(row, "u")->type->logical, "uuid"));
	assert_true(weir_str_is(avro_field_named(row, "v")->u.bytes, "efgh"));
	assert_int_equal(avro_field_named(row, "e")->u.integer, n % 2);
	const struct avro_value *map = avro_field_named(row, "m");
	assert_int_equal(map->u.list.count, 1);
	assert_true(weir_str_is(map->u.list.items[0].u.bytes, "key"));
	assert_int_equal(map->u.list.items[1].u.integer, n);
	const struct avro_value *list = avro_field_named(row, "a");
	assert_int_equal(list->u.list.count, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(list->u.list.items[i].u.integer, 5 + i);
	assert_int_equal(list->type->fields[0].field_id, 133);
	const struct avro_value *next = avro_field_named(row, "next");
	assert_int_equal(next->type->kind, nested ? AVRO_RECORD : AVRO_NULL);
	if (nested)
		check_row(next, n + 1, false);
	assert_null(avro_field_named(row, "absent"));
}

static void test_round_trip(void **state)
{
	static const enum codec codecs[] = {CODEC_NONE, CODEC_GZIP, CODEC_ZSTD};
	(void)state;
	for (size_t c = 0; c < 3; c++) {
		struct weir_buf file = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct avro_reader *reader;
		const struct avro_value *row;
		write_file(codecs[c], 5000, &file); /* several blocks */
		struct weir_slice bytes = {file.data, file.size};
		assert_int_equal(open_bytes(&bytes, &reader, &err), 0);
		assert_true(weir_str_is(avro_reader_metadata(reader, "content"), "data"));
		assert_null(avro_reader_metadata(reader, "absent").data);
		assert_true(weir_str_is(avro_reader_metadata(reader, "avro.schema"), every_type));
		assert_true(weir_str_is(avro_reader_type(reader)->name, "a.b.all"));
		for (int64_t i = 0; i < 5000; i++) {
			assert_int_equal(avro_reader_next(reader, &row, &err), 0);
			check_row(row, i, i % 5 == 0);
		}
		assert_int_equal(avro_reader_next(reader, &row, &err), 0);
		assert_null(row);
		avro_reader_close(reader);
		weir_buf_done(&file);
	}
}

static void test_unsupported_codec(void **state)
{
	struct weir_buf file = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	struct avro_writer *writer;
	(void)state;
	assert_int_equal(
		avro_writer_open(weir_sink_to_buf(&file), WEIR_STR("\"int\""), NULL, 0, CODEC_BROTLI, &writer, &err),
		WEIR_E_UNSUPPORTED);
	weir_buf_done(&file);
}

static void test_bad_schemas(void **state)
{
	static const char *const schemas[] = {
		"",
		"{",
		"\"unknown\"",
		"{}",
		"[]",
		"{\"type\":\"record\"}",
		"{\"type\":\"record\",\"name\":\"a\"}",
		"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"type\":\"int\"}]}",
		"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\",\"type\":\"b\"}]}",
		"{\"type\":\"fixed\",\"name\":\"a\"}",
		"{\"type\":\"fixed\",\"name\":\"a\",\"size\":-1}",
		"{\"type\":\"enum\",\"name\":\"a\"}",
		"[[\"null\"]]",
		"{\"type\":\"array\"}",
		"{\"type\":\"map\"}",
		"[{\"type\":\"fixed\",\"name\":\"a\",\"size\":1},{\"type\":\"fixed\",\"name\":\"a\",\"size\":1}]",
	};
	(void)state;
	for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
		struct weir_buf file = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct avro_writer *writer;
		struct avro_reader *reader;
		assert_int_equal(avro_writer_open(weir_sink_to_buf(&file), weir_str_from(schemas[i]), NULL, 0,
					 CODEC_NONE, &writer, &err),
			0);
		assert_int_equal(avro_writer_close(writer, NULL, &err), 0);
		struct weir_slice bytes = {file.data, file.size};
		assert_int_equal(open_bytes(&bytes, &reader, &err), WEIR_E_CORRUPT);
		assert_string_equal(err.object, "test.avro");
		weir_buf_done(&file);
	}
}

/* Reads all it can; 0 or the error's code. */
static int read_all(const struct weir_slice *bytes)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct avro_reader *reader;
	const struct avro_value *row;
	int code = open_bytes(bytes, &reader, &err);
	if (code != 0)
		return code;
	do
		code = avro_reader_next(reader, &row, &err);
	while (code == 0 && row != NULL);
	avro_reader_close(reader);
	if (code != 0)
		assert_true(err.message[0] != '\0');
	return code;
}

static void test_cut_everywhere(void **state)
{
	struct weir_buf file = WEIR_BUF_INIT;
	(void)state;
	write_file(CODEC_NONE, 3, &file);
	for (size_t size = 0; size < file.size; size++) {
		char *exact = malloc(size > 0 ? size : 1);
		memcpy(exact, file.data, size);
		struct weir_slice bytes = {exact, size};
		int code = read_all(&bytes);
		/* A cut between header and block is a whole file without records. */
		assert_true(code == WEIR_E_CORRUPT || code == 0);
		free(exact);
	}
	struct weir_slice bytes = {file.data, file.size};
	assert_int_equal(read_all(&bytes), 0);
	weir_buf_done(&file);
}

static void test_random_damage(void **state)
{
	const char *text = getenv("WEIR_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 42;
	struct weir_rng rng = weir_rng_new(seed);
	unsigned refused = 0;
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned round = 0; round < 2000; round++) {
		struct weir_buf file = WEIR_BUF_INIT;
		write_file(round % 2 == 0 ? CODEC_NONE : CODEC_GZIP, 4, &file);
		for (unsigned i = 0; i < 3; i++)
			file.data[weir_rng_below(&rng, file.size)] ^= (char)(1U << weir_rng_below(&rng, 8));
		struct weir_slice bytes = {file.data, file.size};
		refused += read_all(&bytes) != 0;
		weir_buf_done(&file);
	}
	assert_true(refused > 500);
}

/* Small files that claim much: answered by an error at once, not by memory or time. */
static void test_claims(void **state)
{
	static const struct {
		const char *schema;
		const char *record;
		size_t size;
	} cases[] = {
		{"{\"type\":\"array\",\"items\":\"null\"}", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
		{"\"string\"", "\xfe\xff\xff\xff\x0f", 5},
		{"{\"type\":\"map\",\"values\":\"int\"}", "\xfe\xff\xff\xff\x0f\x00", 6},
		{"[\"null\",\"int\"]", "\x04", 1},
		{"\"int\"", "\xfe\xff\xff\xff\xff\xff\x01", 7},
		{"\"boolean\"", "\x02", 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_buf file = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct avro_writer *writer;
		assert_int_equal(avro_writer_open(weir_sink_to_buf(&file), weir_str_from(cases[i].schema), NULL, 0,
					 CODEC_NONE, &writer, &err),
			0);
		avro_put_fixed(avro_writer_record(writer), cases[i].record, cases[i].size);
		assert_int_equal(avro_writer_end_record(writer, &err), 0);
		assert_int_equal(avro_writer_close(writer, NULL, &err), 0);
		struct weir_slice bytes = {file.data, file.size};
		assert_int_equal(read_all(&bytes), WEIR_E_CORRUPT);
		weir_buf_done(&file);
	}
}

/* Files that others wrote: the count of records in each. */
static void test_foreign_files(void **state)
{
	static const struct {
		const char *path;
		unsigned records;
	} files[] = {
		{"avro-apache/share/test/data/weather.avro", 5},
		{"avro-apache/share/test/data/weather-deflate.avro", 5},
		{"avro-apache/share/test/data/weather-snappy.avro", 5},
		{"avro-apache/share/test/data/weather-zstd.avro", 5},
		{"iceberg-rust/crates/iceberg/testdata/manifests_lists/manifest-list-v2-1.avro", 1},
	};
	const char *root = getenv("WEIR_DATA");
	unsigned found = 0;
	(void)state;
	if (root == NULL)
		root = "../shared/data";
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		char path[512], *data;
		size_t size;
		struct weir_error err = WEIR_ERROR_INIT;
		struct avro_reader *reader;
		const struct avro_value *row;
		unsigned records = 0;
		snprintf(path, sizeof path, "%s/D_conformance/%s", root, files[i].path);
		if (weir_os_read_all(weir_os_real(), path, 1U << 20, &data, &size, &err) != 0) {
			print_message("absent, not tested: %s\n", path);
			continue;
		}
		struct weir_slice bytes = {data, size};
		assert_int_equal(open_bytes(&bytes, &reader, &err), 0);
		for (;; records++) {
			assert_int_equal(avro_reader_next(reader, &row, &err), 0);
			if (row == NULL)
				break;
		}
		assert_int_equal(records, files[i].records);
		avro_reader_close(reader);
		free(data);
		found++;
	}
	print_message("%u files of others read\n", found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_vectors),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unsupported_codec),
		cmocka_unit_test(test_bad_schemas),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_foreign_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
