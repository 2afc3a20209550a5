/*
 * multipart/form-data (RFC 7578, RFC 2046 section 5.1) as a stream: the bytes of the field `file` go
 * on as they come, other fields are passed over.
 *
 * States: PREAMBLE (until the first boundary), HEADERS (of a part), CONTENT, DONE. What may be the
 * beginning of a boundary is held back in `held`, which never grows past a boundary line or a part's headers.
 */
#include "serve/serve_int.h"

#include <stdlib.h>
#include <strings.h>

#define BOUNDARY_BYTES    70 /* RFC 2046 */
#define PART_HEADER_BYTES 8192
#define PART_COUNT        64

enum multipart_state { MULTIPART_PREAMBLE, MULTIPART_HEADERS, MULTIPART_CONTENT, MULTIPART_DONE };

struct multipart {
	enum multipart_state state;
	char delimiter[BOUNDARY_BYTES + 5]; /* CRLF "--" boundary */
	size_t delimiter_size;
	struct weir_buf held;
	struct weir_arena *arena;
	struct weir_str file_name;
	bool in_file, found_file;
	unsigned parts;
};

/* The value of `name=` in "form-data; name=\"file\"; filename=x". Quoted values keep what a backslash escapes only for
 * quotes, because browsers send backslashes of file names as they are. */
static bool header_parameter(
	struct weir_arena *arena, struct weir_str header, const char *name, struct weir_str *ret_value)
{
	size_t name_size = strlen(name);
	bool quoted = false;
	for (size_t i = 0; i < header.size; i++) {
		if (header.data[i] == '"' && (i == 0 || header.data[i - 1] != '\\'))
			quoted = !quoted;
		if (quoted || header.data[i] != ';')
			continue;
		size_t at = i + 1;
		while (at < header.size && (header.data[at] == ' ' || header.data[at] == '\t'))
			at++;
		if (header.size - at <= name_size || strncasecmp(header.data + at, name, name_size) != 0 ||
			header.data[at + name_size] != '=')
			continue;
		at += name_size + 1;
		char *value = weir_arena_alloc(arena, header.size - at + 1);
		size_t size = 0;
		if (at < header.size && header.data[at] == '"') {
			for (at++; at < header.size && header.data[at] != '"'; at++) {
				if (header.data[at] == '\\' && at + 1 < header.size && header.data[at + 1] == '"')
					at++;
				value[size++] = header.data[at];
			}
		} else {
			while (at < header.size && header.data[at] != ';' && header.data[at] != ' ' &&
				header.data[at] != '\t')
				value[size++] = header.data[at++];
		}
		*ret_value = (struct weir_str){value, size};
		return true;
	}
	return false;
}

int multipart_new(struct weir_str content_type, struct multipart **ret_multipart, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct weir_str boundary;
	if (!header_parameter(arena, content_type, "boundary", &boundary) || boundary.size == 0 ||
		boundary.size > BOUNDARY_BYTES) {
		weir_arena_free(arena);
		return weir_fail(err, WEIR_E_INPUT,
			"Content-Type multipart/form-data needs a boundary of 1 to %d characters", BOUNDARY_BYTES);
	}
	struct multipart *multipart = weir_zalloc(sizeof *multipart);
	multipart->arena = arena;
	multipart->delimiter_size = (size_t)snprintf(
		multipart->delimiter, sizeof multipart->delimiter, "\r\n--%.*s", WEIR_STR_ARG(boundary));
	/* The first boundary may stand at the very start, where no line end precedes it. */
	weir_buf_append(&multipart->held, "\r\n", 2);
	*ret_multipart = multipart;
	return 0;
}

void multipart_free(struct multipart *multipart)
{
	if (multipart == NULL)
		return;
	weir_buf_done(&multipart->held);
	weir_arena_free(multipart->arena);
	free(multipart);
}

static void drop(struct weir_buf *buf, size_t size)
{
	memmove(buf->data, buf->data + size, buf->size - size);
	buf->size -= size;
}

static int bad(struct weir_error *err, const char *what)
{
	return weir_fail(err, WEIR_E_INPUT, "the multipart body %s", what);
}

/* The headers of a part, without the empty line that ends them. */
static int part_headers(struct multipart *multipart, struct weir_str headers, struct weir_error *err)
{
	if (++multipart->parts > PART_COUNT)
		return weir_fail(err, WEIR_E_LIMIT, "the multipart body has more than %d parts", PART_COUNT);
	multipart->in_file = false;
	while (headers.size > 0) {
		const char *end = memmem(headers.data, headers.size, "\r\n", 2);
		size_t size = end != NULL ? (size_t)(end - headers.data) : headers.size;
		struct weir_str line = {headers.data, size}, name;
		size_t skip = end != NULL ? size + 2 : size;
		headers = (struct weir_str){headers.data + skip, headers.size - skip};
		static const char disposition[] = "content-disposition:";
		if (line.size < sizeof disposition || strncasecmp(line.data, disposition, sizeof disposition - 1) != 0)
			continue;
		if (!header_parameter(multipart->arena, line, "name", &name))
			return bad(err, "has a part without a name");
		if (!weir_str_is(name, "file"))
			continue;
		if (multipart->found_file)
			return bad(err, "has two parts `file`; send one file a request");
		multipart->in_file = multipart->found_file = true;
		if (!header_parameter(multipart->arena, line, "filename", &multipart->file_name))
			multipart->file_name = (struct weir_str){"", 0};
	}
	return 0;
}

/* Everything in front of the next boundary; *ret_more false where more bytes are needed first. */
static int step_content(
	struct multipart *multipart, multipart_file_fn *file, void *context, bool *ret_more, struct weir_error *err)
{
	struct weir_buf *held = &multipart->held;
	size_t size = multipart->delimiter_size;
	const char *at = held->size > 0 ? memmem(held->data, held->size, multipart->delimiter, size) : NULL;
	/* Behind a boundary come "--", or a line end (perhaps after spaces). */
	size_t content = at != NULL ? (size_t)(at - held->data) : held->size >= size ? held->size - size + 1 : 0;
	bool wanted = multipart->state == MULTIPART_CONTENT && multipart->in_file;
	*ret_more = false;
	if (content > 0 && wanted) {
		int rc = file(context, (struct weir_str){held->data, content}, err);
		if (rc < 0)
			return rc;
	}
	drop(held, content);
	if (at == NULL || held->size < size + 2)
		return 0;
	if (memcmp(held->data + size, "--", 2) == 0) {
		multipart->state = MULTIPART_DONE;
		held->size = 0;
		return 0;
	}
	size_t after = size;
	while (after < held->size && (held->data[after] == ' ' || held->data[after] == '\t'))
		after++;
	if (after - size > PART_HEADER_BYTES)
		return bad(err, "has a boundary line without end");
	if (held->size - after < 2)
		return 0;
	if (memcmp(held->data + after, "\r\n", 2) != 0)
		return bad(err, "has something else than a line end behind a boundary");
	/* The line end stays: where a part has no headers at all, the empty line follows at once. */
	drop(held, after);
	multipart->state = MULTIPART_HEADERS;
	*ret_more = true;
	return 0;
}

static int step_headers(struct multipart *multipart, bool *ret_more, struct weir_error *err)
{
	struct weir_buf *held = &multipart->held;
	const char *end = memmem(held->data, held->size, "\r\n\r\n", 4);
	*ret_more = false;
	if (end == NULL)
		return held->size > PART_HEADER_BYTES ? bad(err, "has a part whose headers do not end") : 0;
	size_t size = (size_t)(end - held->data);
	struct weir_str headers = {held->data, size};
	if (size >= 2)
		headers = (struct weir_str){held->data + 2, size - 2};
	int rc = part_headers(multipart, headers, err);
	if (rc < 0)
		return rc;
	drop(held, size + 4);
	multipart->state = MULTIPART_CONTENT;
	*ret_more = true;
	return 0;
}

int multipart_feed(struct multipart *multipart, struct weir_str bytes, multipart_file_fn *file, void *context,
	struct weir_error *err)
{
	if (multipart->state == MULTIPART_DONE)
		return 0;
	weir_buf_append(&multipart->held, bytes.data, bytes.size);
	bool more = true;
	while (more) {
		int rc = 0;
		if (multipart->state == MULTIPART_HEADERS)
			rc = step_headers(multipart, &more, err);
		else if (multipart->state == MULTIPART_DONE)
			break;
		else
			rc = step_content(multipart, file, context, &more, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int multipart_end(struct multipart *multipart, struct weir_error *err)
{
	if (multipart->state != MULTIPART_DONE)
		return bad(err, "is cut off: its last boundary is missing");
	if (!multipart->found_file)
		return bad(err, "has no part `file`; send the file as the form field `file`");
	return 0;
}

struct weir_str multipart_file_name(const struct multipart *multipart)
{
	return multipart->file_name;
}
