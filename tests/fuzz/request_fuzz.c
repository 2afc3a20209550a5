// uses: weir_serve
/* What a client says of a request: query string, path, Accept, and a multipart body in pieces. The first byte says how
 * long the pieces are. */
#include "serve/serve_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *context, struct weir_str bytes, struct weir_error *err)
{
	size_t *total = context;
	(void)err;
	*total += bytes.size;
	return 0;
}

static void feed(struct weir_str body, size_t piece)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct multipart *multipart = NULL;
	size_t total = 0, whole = body.size;
	int rc = multipart_new(WEIR_STR("multipart/form-data; boundary=B"), &multipart, &err);
	while (rc == 0 && body.size > 0) {
		size_t size = piece < body.size ? piece : body.size;
		rc = multipart_feed(multipart, (struct weir_str){body.data, size}, take, &total, &err);
		body = (struct weir_str){body.data + size, body.size - size};
	}
	if (rc == 0)
		multipart_end(multipart, &err);
	WEIR_ASSERT(total <= whole);
	multipart_free(multipart);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const offered[] = {"application/json", "text/csv"};
	struct weir_str text = {(const char *)data, size};
	struct serve_pair pairs[SERVE_PARAMETERS];
	struct weir_str values[SERVE_PATH_VALUES];
	struct weir_error err = WEIR_ERROR_INIT;
	uint32_t count = 0;
	if (size == 0)
		return 0;
	struct weir_arena *arena = weir_arena_new(4096);
	if (url_query(arena, text, pairs, &count, &err) == 0)
		WEIR_ASSERT(count <= SERVE_PARAMETERS);
	router_pattern_match("/a/{x}/{y}/rows", text, arena, values);
	url_file_name(arena, text);
	WEIR_ASSERT(accept_choose(text, offered, 2) < 2);
	accept_gzip(text);
	admit_host_is_loopback(text);
	admit_same_origin(text, text);
	feed((struct weir_str){text.data + 1, size - 1}, data[0] > 0 ? data[0] : 1);
	weir_arena_free(arena);
	return 0;
}
