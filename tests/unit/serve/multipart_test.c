/* multipart/form-data, fed whole, byte by byte and in random pieces: the file must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/rng.h"
#include "serve/serve_int.h"

#define TYPE "multipart/form-data; boundary=XyZ"

static int keep(void *context, struct weir_str bytes, struct weir_error *err)
{
	(void)err;
	weir_buf_append(context, bytes.data, bytes.size);
	return 0;
}

/* 0 with the file's bytes, or the code of the error. piece 0: random pieces. */
static int parse(const char *type, struct weir_str body, size_t piece, struct weir_rng *rng, struct weir_buf *ret_file,
	char *ret_name, size_t name_size)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct multipart *multipart = NULL;
	int rc = multipart_new(weir_str_from(type), &multipart, &err);
	if (rc < 0)
		return rc;
	while (rc == 0 && body.size > 0) {
		size_t size = piece > 0 ? piece : (size_t)weir_rng_below(rng, 20) + 1;
		size = size < body.size ? size : body.size;
		/* Each piece in memory of its own: what reads past it is seen. */
		char *copy = malloc(size);
		memcpy(copy, body.data, size);
		rc = multipart_feed(multipart, (struct weir_str){copy, size}, keep, ret_file, &err);
		free(copy);
		body = (struct weir_str){body.data + size, body.size - size};
	}
	if (rc == 0)
		rc = multipart_end(multipart, &err);
	if (rc == 0)
		snprintf(ret_name, name_size, "%.*s", WEIR_STR_ARG(multipart_file_name(multipart)));
	multipart_free(multipart);
	return rc;
}

#define PART "Content-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\nContent-Type: text/plain\r\n\r\n"

static const struct {
	const char *body, *file, *name;
	int rc;
} cases[] = {
	{"--XyZ\r\n" PART "hello\r\n--XyZ--\r\n", "hello", "a.json", 0},
	{"--XyZ\r\n" PART "\r\n--XyZ--", "", "a.json", 0},
	{"preamble\r\n--XyZ  \r\n" PART "a\r\n--XyZ--", "a", "a.json", 0},
	{"--XyZ\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nfile?\r\n--XyZ\r\n" PART
	 "x\r\ny\r\n--Xy\r\n--XyZ--\r\nepilogue",
		"x\r\ny\r\n--Xy", "a.json", 0},
	{"--XyZ\r\ncontent-disposition: form-data; name=file; filename=b.csv\r\n\r\n1\r\n--XyZ--", "1", "b.csv", 0},
	{"--XyZ\r\nContent-Disposition: form-data; filename=\"q\\\"uote;name=.fit\"; name=\"file\"\r\n\r\n1\r\n--XyZ--",
		"1", "q\"uote;name=.fit", 0},
	{"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\run.fit\"\r\n\r\n1\r\n--XyZ--", "1",
		"C:\\run.fit", 0},
	{"--XyZ\r\n" PART "cut off", "", "", WEIR_E_INPUT},
	{"--XyZ\r\n" PART "a\r\n--XyZ\r\n", "", "", WEIR_E_INPUT},
	{"--XyZ\r\n" PART "a\r\n--XyZ\r\n" PART "b\r\n--XyZ--", "", "", WEIR_E_INPUT},
	{"--XyZ\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\na\r\n--XyZ--", "", "", WEIR_E_INPUT},
	{"--XyZ\r\nContent-Disposition: form-data\r\n\r\na\r\n--XyZ--", "", "", WEIR_E_INPUT},
	{"--XyZ\r\n" PART "a\r\n--XyZabc\r\n--XyZ--", "", "", WEIR_E_INPUT},
	{"no boundary at all", "", "", WEIR_E_INPUT},
};

static void test_cases(void **state)
{
	const char *seed_text = getenv("WEIR_SEED");
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 20250201;
	struct weir_rng rng = weir_rng_new(seed);
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		static const size_t pieces[] = {1, 2, 7, 100000, 0, 0, 0};
		for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
			struct weir_buf file = WEIR_BUF_INIT;
			char name[64] = "";
			int rc = parse(TYPE, weir_str_from(cases[i].body), pieces[j], &rng, &file, name, sizeof name);
			if (rc != cases[i].rc)
				print_error("case %zu in pieces of %zu\n", i, pieces[j]);
			assert_int_equal(rc, cases[i].rc);
			if (rc == 0) {
				assert_true(weir_str_is(weir_buf_str(&file), cases[i].file));
				assert_string_equal(name, cases[i].name);
			}
			weir_buf_done(&file);
		}
	}
}

static void test_boundary(void **state)
{
	struct weir_buf file = WEIR_BUF_INIT;
	char name[8];
	(void)state;
	struct weir_str body = WEIR_STR("--a b\r\n" PART "x\r\n--a b--");
	assert_int_equal(parse("multipart/form-data; boundary=\"a b\"", body, 3, NULL, &file, name, sizeof name), 0);
	assert_int_equal(parse("multipart/form-data", body, 3, NULL, &file, name, sizeof name), WEIR_E_INPUT);
	assert_int_equal(
		parse("multipart/form-data; boundary=", body, 3, NULL, &file, name, sizeof name), WEIR_E_INPUT);
	assert_int_equal(parse("multipart/form-data; "
			       "boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
				 body, 3, NULL, &file, name, sizeof name),
		WEIR_E_INPUT);
	weir_buf_done(&file);
}

/* Headers without end must not fill the memory. */
static void test_bounds(void **state)
{
	struct weir_buf body = WEIR_BUF_INIT, file = WEIR_BUF_INIT;
	char name[8];
	(void)state;
	weir_buf_puts(&body, "--XyZ\r\n");
	for (unsigned i = 0; i < 1000; i++)
		weir_buf_puts(&body, "X-Header: 0123456789\r\n");
	assert_int_equal(parse(TYPE, weir_buf_str(&body), 1000, NULL, &file, name, sizeof name), WEIR_E_INPUT);
	body.size = 0;
	for (unsigned i = 0; i < 100; i++)
		weir_buf_puts(&body, "--XyZ\r\nContent-Disposition: form-data; name=n\r\n\r\n\r\n");
	assert_int_equal(parse(TYPE, weir_buf_str(&body), 1000, NULL, &file, name, sizeof name), WEIR_E_LIMIT);
	weir_buf_done(&body);
	weir_buf_done(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_boundary),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
