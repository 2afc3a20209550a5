/* Documents of any shape as rows of text, and streams split where events end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "format/json/json_events.h"
#include "support/pieces.h"

static void render_document(const char *text, struct weir_buf *out)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	const struct weir_schema *schema;
	struct weir_batch **batches;
	uint32_t count;
	int code = json_document_rows(weir_str_from(text), arena, &schema, &batches, &count, &err);
	if (code != 0) {
		weir_buf_printf(out, "E%d@%lld", code, (long long)err.offset);
	} else {
		for (uint32_t i = 0; i < schema->field_count; i++)
			weir_buf_printf(out, "%s%.*s", i > 0 ? "|" : "", WEIR_STR_ARG(schema->fields[i].name));
		weir_buf_putc(out, ';');
		for (uint32_t row = 0; count > 0 && row < batches[0]->row_count; row++) {
			for (uint32_t i = 0; i < schema->field_count; i++) {
				const struct weir_column *column = &batches[0]->columns[i];
				struct weir_str value = weir_column_is_valid(column, row) ? weir_column_str(column, row)
											  : WEIR_STR("~");
				weir_buf_printf(out, "%s%.*s", i > 0 ? "|" : "", WEIR_STR_ARG(value));
			}
			weir_buf_putc(out, ';');
		}
	}
	weir_arena_free(arena);
}

static void test_documents(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"{\"a\": 1, \"b\": \"x\\ty\", \"c\": [1, {\"d\": 2}], \"e\": null}",
			"a|b|c|e;1|x\ty|[1, {\"d\": 2}]|~;"},
		{"[{\"a\":1},{\"b\":true},{}, 7, \"s\", [1]]", "a|b|value;1|~|~;~|true|~;~|~|~;~|~|7;~|~|s;~|~|[1];"},
		{"[]", ";"},
		{"{}", ";;"},
		{"3", "value;3;"},
		{"{\"a\":1", "E-1@6"},
		{"[1,2", "E-1@4"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_buf out = WEIR_BUF_INIT;
		render_document(cases[i].text, &out);
		if (!weir_str_is(weir_buf_str(&out), cases[i].expected))
			fail_msg("%s: %s", cases[i].text, weir_buf_cstr(&out));
		weir_buf_done(&out);
	}
}

static void test_large_document(void **state)
{
	(void)state;
	enum { ROWS = 5000 };
	struct weir_buf text = WEIR_BUF_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	const struct weir_schema *schema;
	struct weir_batch **batches;
	uint32_t count, rows = 0;
	for (int i = 0; i < ROWS; i++)
		weir_buf_printf(&text, "%c{\"id\": %d}", i == 0 ? '[' : ',', i);
	weir_buf_putc(&text, ']');
	assert_int_equal(json_document_rows(weir_buf_str(&text), arena, &schema, &batches, &count, &err), 0);
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t row = 0; row < batches[i]->row_count; row++, rows++) {
			char id[16];
			snprintf(id, sizeof id, "%u", rows);
			assert_true(weir_str_is(weir_column_str(&batches[i]->columns[0], row), id));
		}
	assert_int_equal(rows, ROWS);
	weir_arena_free(arena);
	weir_buf_done(&text);
}

/* All pieces joined, each checked for its offset and its end; then the code. */
static int split_all(
	const char *text, size_t step, size_t block, size_t max_event, struct weir_buf *out, uint64_t *ret_offset)
{
	struct pieces pieces = {weir_str_from(text), 0, step};
	struct json_splitter *splitter =
		json_splitter_new((struct weir_byte_reader){read_piece, &pieces}, block, max_event);
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_str piece;
	uint64_t offset;
	int code;
	while ((code = json_splitter_next(splitter, &piece, &offset, &err)) == 0 && piece.size > 0) {
		assert_int_equal(offset, out->size);
		weir_buf_append(out, piece.data, piece.size);
	}
	*ret_offset = err.offset;
	json_splitter_free(splitter);
	return code;
}

static void test_splitting(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
		int code;
		uint64_t offset;
	} cases[] = {
		{"{\"a\":1}\n{\"a\":2}\n", "{\"a\":1}\n{\"a\":2}\n", 0, 0},
		{"{\"a\":1}\n{\"a\":2}", "{\"a\":1}\n{\"a\":2}", 0, 0},
		{" [{\"a\":1},\n {\"a\": [\n1,2]} ]\n", "\n\n{\"a\":1}\n\n\n{\"a\": [ 1,2]}\n\n\n", 0, 0},
		{"[{\"a\":\"],[\\\"{\"}]", "\n{\"a\":\"],[\\\"{\"}\n", 0, 0},
		{"[]", "\n\n", 0, 0},
		{"", "", 0, 0},
		{" \n ", " \n ", 0, 0},
		{"[{\"a\":1}{\"a\":2}]", NULL, WEIR_E_INPUT, 8},
		{"[{\"a\":1},]", NULL, WEIR_E_INPUT, 9},
		{"[{\"a\":1}] x", NULL, WEIR_E_INPUT, 10},
		{"[{\"a\":1}", NULL, WEIR_E_INPUT, 8},
		{"[{\"a\":1},3]", NULL, WEIR_E_INPUT, 9},
		{"[{\"a\":\"0123456789012345678901234567890123456789\"}]", NULL, WEIR_E_LIMIT, 1},
		{"{\"b\":1}\n{\"a\":\"0123456789012345678901234567890123456789\"}", NULL, WEIR_E_LIMIT, 8},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (size_t step = 1; step < 40; step += step < 8 ? 1 : 11)
			for (size_t block = 1; block < 64; block += block < 16 ? 5 : 20) {
				struct weir_buf out = WEIR_BUF_INIT;
				uint64_t offset;
				int code = split_all(cases[i].text, step, block, 32, &out, &offset);
				if (code != cases[i].code || (code != 0 && offset != cases[i].offset) ||
					(code == 0 && !weir_str_is(weir_buf_str(&out), cases[i].expected)))
					fail_msg("case %zu, reads of %zu, blocks of %zu: code %d, offset %llu, \"%s\"",
						i, step, block, code, (unsigned long long)offset, weir_buf_cstr(&out));
				weir_buf_done(&out);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_large_document),
		cmocka_unit_test(test_splitting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
