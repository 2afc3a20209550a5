/*
 * Splitting a stream of events into pieces that end where an event ends. NDJSON passes as it is. Of an array
 * only the framing is rewritten, byte for byte: brackets and commas between elements become line
 * ends, line ends inside an element become spaces (inside texts JSON has none). So a piece is NDJSON in both cases
 * and every offset stays true.
 *
 *   VALUE      before an element (`[` or `,` was read; at the start also `]`)
 *   INSIDE     within an element: depth counts brackets, in_text and escaped follow quotes
 *   AFTER      after an element: `,` or `]`
 *   CLOSED     after `]`: only spaces
 */
#include "format/json/json_int.h"

#include <stdlib.h>

enum state { VALUE, INSIDE, AFTER, CLOSED };

struct json_splitter {
	struct weir_byte_reader from;
	size_t block_bytes, max_event_bytes;
	struct weir_buf buf;
	size_t given;    /* bytes of the last piece, dropped by the next call */
	size_t scanned;  /* of buf, by the array's scanner */
	size_t boundary; /* bytes of buf that end with an event */
	uint64_t offset; /* of buf's first byte in the stream */
	bool started, array, ended, first;
	enum state state;
	uint32_t depth;
	bool in_text, escaped;
	uint64_t event_begin; /* in the stream: where the event being scanned began */
	int failure;          /* returned once all pieces before it have been */
	uint64_t failure_at;
	const char *failure_problem;
};

struct json_splitter *json_splitter_new(struct weir_byte_reader from, size_t block_bytes, size_t max_event_bytes)
{
	struct json_splitter *splitter = weir_zalloc(sizeof *splitter);
	WEIR_ASSERT(block_bytes > 0 && max_event_bytes > 0);
	splitter->from = from;
	splitter->block_bytes = block_bytes;
	splitter->max_event_bytes = max_event_bytes;
	splitter->first = true;
	return splitter;
}

void json_splitter_free(struct json_splitter *splitter)
{
	if (splitter == NULL)
		return;
	weir_buf_done(&splitter->buf);
	free(splitter);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Notes the first failure; events before it are still handed out. */
static void fail_later(struct json_splitter *splitter, uint64_t at, int code, const char *problem)
{
	if (splitter->failure != 0)
		return;
	splitter->failure = code;
	splitter->failure_at = at;
	splitter->failure_problem = problem;
}

static void broken(struct json_splitter *splitter, size_t at, const char *problem)
{
	fail_later(splitter, splitter->offset + at, WEIR_E_INPUT, problem);
}

/* False where the event that began and goes to `end` is larger than events may be. */
static bool check_event(struct json_splitter *splitter, size_t end)
{
	if (splitter->offset + end - splitter->event_begin <= splitter->max_event_bytes)
		return true;
	fail_later(splitter, splitter->event_begin, WEIR_E_LIMIT, "an event is larger than the limit");
	return false;
}

/* Whether the stream is an array: by its first byte that is no space. */
static void look_at_start(struct json_splitter *splitter)
{
	size_t at = 0;
	if (splitter->buf.size < 3 && splitter->buf.size > 0 && splitter->buf.data[0] == '\xef' && !splitter->ended)
		return; /* perhaps half a byte order mark */
	if (splitter->buf.size >= 3 && memcmp(splitter->buf.data, "\xef\xbb\xbf", 3) == 0) {
		memset(splitter->buf.data, ' ', 3);
		at = 3;
	}
	while (at < splitter->buf.size && is_space(splitter->buf.data[at]))
		at++;
	if (at == splitter->buf.size)
		return;
	splitter->started = true;
	splitter->array = splitter->buf.data[at] == '[';
	if (splitter->array) {
		memset(splitter->buf.data, '\n', at + 1);
		splitter->scanned = splitter->boundary = at + 1;
	}
}

/* One byte within an element. */
static void scan_inside(struct json_splitter *splitter, char *p, size_t at)
{
	char c = *p;
	if (splitter->in_text) {
		if (splitter->escaped)
			splitter->escaped = false;
		else if (c == '\\')
			splitter->escaped = true;
		else if (c == '"')
			splitter->in_text = false;
	} else if (c == '"') {
		splitter->in_text = true;
	} else if (c == '{' || c == '[') {
		splitter->depth++;
	} else if (c == '}' || c == ']') {
		splitter->depth--;
		if (splitter->depth == 0) {
			splitter->state = AFTER;
			splitter->boundary = at + 1;
		}
	} else if (c == '\n' || c == '\r') {
		*p = ' ';
	}
}

/* One byte between elements; false where it must not be there. */
static bool scan_between(struct json_splitter *splitter, char c, size_t at)
{
	if (is_space(c))
		return true;
	if (splitter->state == CLOSED)
		broken(splitter, at, "something follows the array");
	else if (splitter->state == VALUE && (c == '{' || c == '['))
		splitter->state = INSIDE;
	else if (splitter->state == VALUE && !(c == ']' && splitter->first))
		broken(splitter, at, "an element of the array is no object");
	else if (splitter->state == AFTER && c != ',' && c != ']')
		broken(splitter, at, "expected ',' or ']'");
	else
		splitter->state = c == ',' ? VALUE : CLOSED;
	splitter->first = false;
	return splitter->failure == 0;
}

static void scan_array(struct json_splitter *splitter)
{
	for (; splitter->scanned < splitter->buf.size; splitter->scanned++) {
		size_t at = splitter->scanned;
		char *p = splitter->buf.data + at;
		if (splitter->state == INSIDE) {
			scan_inside(splitter, p, at);
			if (!check_event(splitter, at + 1)) {
				splitter->boundary = (size_t)(splitter->event_begin - splitter->offset);
				return;
			}
			continue;
		}
		if (!scan_between(splitter, *p, at))
			return;
		if (splitter->state == INSIDE) {
			splitter->depth = 1;
			splitter->event_begin = splitter->offset + at;
		} else {
			*p = '\n';
			splitter->boundary = at + 1;
		}
	}
	if (splitter->ended && splitter->state != CLOSED)
		broken(splitter, splitter->buf.size, "the array is not closed");
}

/* Lines end events; at the end of the stream everything does. */
static void scan_lines(struct json_splitter *splitter)
{
	while (splitter->scanned < splitter->buf.size || splitter->ended) {
		const char *from = splitter->buf.data + splitter->scanned;
		const char *end = splitter->scanned < splitter->buf.size
			? memchr(from, '\n', splitter->buf.size - splitter->scanned)
			: NULL;
		size_t stop = end != NULL ? (size_t)(end - splitter->buf.data) : splitter->buf.size;
		if (!check_event(splitter, stop))
			return;
		splitter->scanned = end != NULL ? stop + 1 : stop;
		if (end != NULL || splitter->ended) {
			splitter->boundary = splitter->scanned;
			splitter->event_begin = splitter->offset + splitter->scanned;
		}
		if (end == NULL)
			return;
	}
}

static void scan(struct json_splitter *splitter)
{
	if (!splitter->started)
		look_at_start(splitter);
	if (!splitter->started && !splitter->ended)
		return;
	if (splitter->array)
		scan_array(splitter);
	else
		scan_lines(splitter);
}

/* Drops the last piece and keeps what follows it. */
static void shift(struct json_splitter *splitter)
{
	size_t given = splitter->given;
	if (given == 0)
		return;
	memmove(splitter->buf.data, splitter->buf.data + given, splitter->buf.size - given);
	splitter->buf.size -= given;
	splitter->scanned -= given;
	splitter->boundary -= given;
	splitter->offset += given;
	splitter->given = 0;
}

/* A piece no longer than a block where that is possible: cut after the last line end within the block. */
static size_t piece_size(const struct json_splitter *splitter)
{
	if (splitter->boundary <= splitter->block_bytes)
		return splitter->boundary;
	const char *cut = memrchr(splitter->buf.data, '\n', splitter->block_bytes);
	if (cut == NULL)
		cut = memchr(splitter->buf.data, '\n', splitter->boundary);
	return cut != NULL ? (size_t)(cut - splitter->buf.data) + 1 : splitter->boundary;
}

int json_splitter_next(
	struct json_splitter *splitter, struct weir_str *ret_piece, uint64_t *ret_offset, struct weir_error *err)
{
	shift(splitter);
	while (!splitter->ended && splitter->failure == 0 &&
		(splitter->boundary == 0 || splitter->buf.size < splitter->block_bytes)) {
		size_t got = 0, room = splitter->block_bytes > 4096 ? splitter->block_bytes : 4096;
		weir_buf_reserve(&splitter->buf, room);
		int code = splitter->from.read(
			splitter->from.self, splitter->buf.data + splitter->buf.size, room, &got, err);
		if (code != 0)
			return code;
		splitter->ended = got == 0;
		splitter->buf.size += got;
		scan(splitter);
	}
	if (splitter->failure != 0 && splitter->boundary == 0)
		return splitter->failure == WEIR_E_LIMIT
			? weir_fail_at(err, WEIR_E_LIMIT, (struct weir_str){0}, splitter->failure_at,
				  "%s of %zu bytes: raise it, or send the event in parts", splitter->failure_problem,
				  splitter->max_event_bytes)
			: weir_fail_at(err, splitter->failure, (struct weir_str){0}, splitter->failure_at,
				  "is not JSON: %s", splitter->failure_problem);
	size_t size = piece_size(splitter);
	splitter->given = size;
	*ret_piece = (struct weir_str){splitter->buf.data, size};
	*ret_offset = splitter->offset;
	return 0;
}
