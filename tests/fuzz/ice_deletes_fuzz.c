// uses: weir_iceberg
/*
 * Any bytes as a bitmap of positions, a deletion vector, a Puffin file and a default value: a value or an error. What decodes
 * as a bitmap is encoded, and must decode to the same set.
 */
#include <stddef.h>
#include <stdint.h>

#include "iceberg/internal.h"
#include "iceberg/puffin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_positions(struct weir_str bytes)
{
	struct ice_positions *positions = ice_positions_new(), *again = ice_positions_new();
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	if (ice_positions_decode(positions, bytes, &err) == 0) {
		ice_positions_encode(positions, &out);
		WEIR_ASSERT(ice_positions_decode(again, weir_buf_str(&out), &err) == 0);
		WEIR_ASSERT(ice_positions_count(again) == ice_positions_count(positions));
	}
	ice_vector_decode(again, bytes, &err);
	weir_buf_done(&out);
	ice_positions_free(positions);
	ice_positions_free(again);
}

static void as_puffin(struct weir_arena *arena, struct weir_byte_source source)
{
	struct ice_puffin *puffin;
	struct weir_error err = WEIR_ERROR_INIT;
	if (ice_puffin_read(arena, source, &puffin, &err) != 0)
		return;
	for (uint32_t i = 0; i < puffin->blob_count && i < 4; i++) {
		struct weir_buf blob = WEIR_BUF_INIT;
		if (puffin->blobs[i].size_bytes < 65536)
			ice_puffin_blob_read(source, &puffin->blobs[i], &blob, &err);
		weir_buf_done(&blob);
	}
}

static void as_default(struct weir_arena *arena, struct weir_str json)
{
	static const enum weir_type types[] = {WEIR_BOOL, WEIR_INT32, WEIR_DECIMAL, WEIR_DATE, WEIR_TIME,
		WEIR_TIMESTAMPTZ, WEIR_TIMESTAMP_NS, WEIR_STRING, WEIR_UUID, WEIR_FIXED, WEIR_BINARY};
	for (size_t i = 0; i < sizeof types / sizeof types[0] && json.size > 0; i++) {
		struct weir_field field = {.name = WEIR_STR("f"),
			.type = types[i],
			.precision = 9,
			.scale = 2,
			.fixed_size = 2,
			.initial_default = json};
		struct weir_column column;
		struct weir_error err = WEIR_ERROR_INIT;
		ice_default_column(arena, &field, 3, &column, &err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_slice bytes = {data, size};
	struct weir_str text = {(const char *)data, size};
	as_positions(text);
	as_puffin(arena, weir_source_from_memory(&bytes, WEIR_STR("fuzz")));
	as_default(arena, text);
	weir_arena_free(arena);
	return 0;
}
