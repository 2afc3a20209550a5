/* Text in JSON: what is copied as it is, what is escaped, what is repaired. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

/* The plain rule (RFC 8259, section 7), byte by byte, for text of one byte that differs from 'a'. */
static void expect_text(char expected[96], const char *text, size_t size)
{
	size_t at = 0;
	expected[at++] = '"';
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c == '"' || c == '\\')
			at += (size_t)sprintf(expected + at, "\\%c", c);
		else if (c == '\n' || c == '\t' || c == '\r')
			at += (size_t)sprintf(expected + at, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
		else if (c < 0x20)
			at += (size_t)sprintf(expected + at, "\\u%04x", c);
		else if (c >= 0x80)
			at += (size_t)sprintf(expected + at, "\xef\xbf\xbd"); /* alone it is no UTF-8 */
		else
			expected[at++] = (char)c;
	}
	memcpy(expected + at, "\"", 2);
}

static void each_byte_at_each_place(void **state)
{
	char text[24], expected[96];
	(void)state;
	for (size_t size = 0; size < sizeof text; size++)
		for (size_t place = 0; place < size || place == 0; place++)
			for (unsigned byte = 0; byte < 256; byte++) {
				struct weir_buf out = WEIR_BUF_INIT;
				struct weir_json json = weir_json_to(&out);
				memset(text, 'a', sizeof text);
				text[place] = (char)byte;
				weir_json_string(&json, (struct weir_str){size > 0 ? text : NULL, size});
				expect_text(expected, text, size);
				assert_string_equal(weir_buf_cstr(&out), expected);
				weir_buf_done(&out);
			}
}

static void utf8_stays(void **state)
{
	static const char *const texts[] = {"Zürich", "日本", "🏃 10 km", "a very long run through Besançon \"today\""};
	static const char *const wanted[] = {
		"\"Zürich\"", "\"日本\"", "\"🏃 10 km\"", "\"a very long run through Besançon \\\"today\\\"\""};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct weir_buf out = WEIR_BUF_INIT;
		struct weir_json json = weir_json_to(&out);
		weir_json_cstring(&json, texts[i]);
		assert_string_equal(weir_buf_cstr(&out), wanted[i]);
		weir_buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_byte_at_each_place),
		cmocka_unit_test(utf8_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
