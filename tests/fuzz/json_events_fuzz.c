// uses: weir_json
/*
 * Any bytes as a document, an event, a schema and a split stream. What the decoder takes must be JSON, and must
 * come out as an event that is taken again; split and unsplit streams must agree.
 */
#include <stdlib.h>

#include "format/json/json_events.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char schema[] =
	"{\"type\":\"object\",\"required\":[\"id\",\"at\"],\"properties\":{\"id\":{\"type\":\"string\",\"format\":"
	"\"uuid\"},"
	"\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"day\":{\"type\":\"string\",\"format\":\"date\"},"
	"\"name\":{\"type\":\"string\",\"pattern\":\"^[a-z]{1,9}-?[0-9]*$\"},\"n\":{\"type\":[\"integer\",\"null\"],"
	"\"minimum\":0},"
	"\"x\":{\"type\":\"number\"},\"ok\":{\"type\":\"boolean\"},\"metrics\":{\"type\":\"object\"},"
	"\"list\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"maxItems\":4}}}";

struct counts {
	const struct json_decoder *decoder;
	struct weir_builder *builder;
	uint32_t good, bad;
};

static int on_event(void *context, struct weir_str payload, const struct json_problem *problem, struct weir_error *err)
{
	struct counts *counts = context;
	(void)err;
	if (problem != NULL) {
		WEIR_ASSERT(problem->problem != NULL && problem->remedy != NULL);
		counts->bad++;
		return 0;
	}
	WEIR_ASSERT(json_validate(payload, true, NULL, NULL) == 0);
	counts->good++;
	weir_builder_end_row(counts->builder);
	struct weir_batch *batch = weir_builder_take(counts->builder);
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_buf out = WEIR_BUF_INIT;
	struct json_problem again = {0};
	json_encode_row(counts->decoder, batch, 0, &out);
	WEIR_ASSERT(json_decode_one(counts->decoder, weir_buf_str(&out), counts->builder, arena, &again, NULL) == 0);
	weir_builder_drop_row(counts->builder);
	WEIR_ASSERT(json_decode_row(counts->decoder, batch, 0, counts->builder, arena, &again, NULL) == 0);
	weir_builder_drop_row(counts->builder);
	weir_buf_done(&out);
	weir_arena_free(arena);
	weir_batch_release(batch);
	return 0;
}

static int decode(
	const struct json_decoder *decoder, struct weir_str text, enum json_framing framing, struct counts *ret_counts)
{
	struct weir_arena *arena = weir_arena_new(0);
	*ret_counts = (struct counts){decoder, weir_builder_new(json_decoder_schema(decoder)), 0, 0};
	int code = json_decode(decoder, text, framing, ret_counts->builder, arena, on_event, ret_counts, NULL);
	weir_builder_free(ret_counts->builder);
	weir_arena_free(arena);
	return code;
}

struct memory {
	struct weir_str text;
	size_t at;
};

static int read_some(void *self, void *buffer, size_t capacity, size_t *ret_size, struct weir_error *err)
{
	struct memory *memory = self;
	size_t size = memory->text.size - memory->at;
	(void)err;
	size = size < 11 ? size : 11;
	size = size < capacity ? size : capacity;
	memcpy(buffer, memory->text.data + memory->at, size);
	memory->at += size;
	*ret_size = size;
	return 0;
}

/* The pieces of a stream joined are as long as the stream, and an array has the same events split and whole. */
static void check_splitter(const struct json_decoder *decoder, struct weir_str text)
{
	struct memory memory = {text, 0};
	struct json_splitter *splitter = json_splitter_new((struct weir_byte_reader){read_some, &memory}, 32, 4096);
	struct weir_buf joined = WEIR_BUF_INIT;
	struct weir_str piece = {0};
	uint64_t offset;
	int code;
	while ((code = json_splitter_next(splitter, &piece, &offset, NULL)) == 0 && piece.size > 0) {
		WEIR_ASSERT(offset == joined.size);
		weir_buf_append(&joined, piece.data, piece.size);
	}
	if (code == 0) {
		struct counts whole, lines;
		WEIR_ASSERT(joined.size == text.size);
		if (decode(decoder, text, JSON_FRAME_ARRAY, &whole) == 0 &&
			decode(decoder, weir_buf_str(&joined), JSON_FRAME_LINES, &lines) == 0)
			WEIR_ASSERT(whole.good == lines.good && whole.bad == lines.bad);
	}
	json_splitter_free(splitter);
	weir_buf_done(&joined);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_decoder *decoder = NULL, *other = NULL;
	struct weir_str text = {(const char *)data, size};
	struct counts counts;
	WEIR_ASSERT(json_decoder_new(weir_str_from(schema), WEIR_STR("fuzz"), "id", &decoder, NULL) == 0);
	for (enum json_framing framing = JSON_FRAME_ONE; framing <= JSON_FRAME_AUTO; framing++)
		decode(decoder, text, framing, &counts);
	check_splitter(decoder, text);
	if (json_decoder_new(text, WEIR_STR("fuzz"), NULL, &other, NULL) == 0)
		decode(other, text, JSON_FRAME_ONE, &counts);
	json_decoder_free(other);
	json_decoder_free(decoder);
	struct weir_arena *arena = weir_arena_new(0);
	const struct weir_schema *columns;
	struct weir_batch **batches;
	uint32_t count;
	json_document_rows(text, arena, &columns, &batches, &count, NULL);
	weir_arena_free(arena);
	return 0;
}
