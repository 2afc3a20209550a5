/* DuckDB's messages as weir's errors. */
#include "sql/sql_int.h"

#include <stdio.h>
#include <stdlib.h>

/* A line number in "LINE 12: SELECT ..."; 0 where there is none. */
static long message_line(const char *message)
{
	const char *at = strstr(message, "\nLINE ");
	return at != NULL ? strtol(at + 6, NULL, 10) : 0;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Copies message without the quoted line of SQL; masked: without texts in quotes and numbers, which may be data. */
static void copy_message(const char *message, bool masked, struct weir_buf *out)
{
	const char *end = strstr(message, "\n\nLINE ");
	if (end == NULL)
		end = strstr(message, "\nLINE ");
	if (end == NULL)
		end = strstr(message, "\n\nStack Trace");
	if (end == NULL)
		end = message + strlen(message);
	for (const char *p = message; p < end;) {
		bool number = *p >= '0' && *p <= '9' && (p == message || !is_word(p[-1]));
		if (masked && (*p == '\'' || *p == '"')) {
			char quote = *p;
			const char *close = p + 1;
			/* The last quote of its kind: the text between may hold quotes itself. */
			for (const char *q = p + 1; q < end; q++) {
				if (*q == quote && (q + 1 == end || !is_word(q[1])))
					close = q;
			}
			weir_buf_puts(out, "'...'");
			p = close + 1;
		} else if (masked && number) {
			while (p < end && (is_word(*p) || *p == '.' || *p == ':' || *p == '-' || *p == '+'))
				p++;
			weir_buf_puts(out, "...");
		} else {
			weir_buf_putc(out, *p == '\n' ? ' ' : *p);
			p++;
		}
	}
}

int sql_fail(struct weir_error *err, int code, const char *name, const char *message, bool masked)
{
	struct weir_buf text = WEIR_BUF_INIT;
	char object[256];
	if (message == NULL)
		message = "DuckDB gave no message";
	long line = message_line(message);
	copy_message(message, masked, &text);
	if (line > 0)
		snprintf(object, sizeof object, "%.220s:%ld", name, line);
	else
		snprintf(object, sizeof object, "%.240s", name);
	code = weir_fail_at(err, code, weir_str_from(object), WEIR_ERROR_NO_OFFSET, "%s", weir_buf_cstr(&text));
	weir_buf_done(&text);
	return code;
}
