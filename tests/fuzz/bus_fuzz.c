// uses: weir_bus weir_test_support
/*
 * Opens a log whose one segment holds the input, and reads everything that it finds. The first byte chooses: 0, the
 * rest is the segment as it stands (its checksums rarely hold); else the rest is cut into blocks that are given right
 * checksums, so that what is behind them is reached: tables of heads, frames, records, errors.
 */
#include <stdlib.h>

#include "bus/bus_int.h"
#include "support/sim_os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIGNED_FIXED 16 /* bytes of the input that say what a block's header holds */

/* One block from the front of the input; returns how much it took. */
static size_t sign_block(const uint8_t *data, size_t size, uint64_t *next_offset, struct weir_buf *segment)
{
	size_t frame_size = weir_le16(data + 4), errors_size = weir_le16(data + 6), left = size - SIGNED_FIXED;
	frame_size = frame_size < left ? frame_size : left;
	errors_size = errors_size < left - frame_size ? errors_size : left - frame_size;
	struct weir_str frame = {(const char *)data + SIGNED_FIXED, frame_size};
	struct weir_str errors = {frame.data + frame_size, errors_size};
	struct bus_header header = {
		.attributes.stream = {"streamstream", data[0] % 8},
		.attributes.partition = data[1] % 4,
		.base_offset = data[2] < 200 ? *next_offset : weir_le64(data + 8),
		.count = data[3] == 255 ? weir_le32(data + 8) : data[3],
		.frame_bytes = (uint32_t)frame_size,
		.errors_bytes = (uint32_t)errors_size,
		.payload_bytes = weir_le32(data + 12) % (1U << 20),
		.body_checksum = bus_body_checksum(frame, errors),
	};
	*next_offset = header.base_offset + header.count;
	bus_header_encode(&header, 1, segment);
	weir_buf_append(segment, frame.data, frame_size + errors_size);
	return SIGNED_FIXED + frame_size + errors_size;
}

static void make_segment(const uint8_t *data, size_t size, struct weir_buf *segment)
{
	uint64_t next_offset = 0;
	if (data[0] == 0) {
		weir_buf_append(segment, data + 1, size - 1);
		return;
	}
	for (size_t at = 1; size - at >= SIGNED_FIXED;)
		at += sign_block(data + at, size - at, &next_offset, segment);
}

static void read_everything(struct bus *bus, struct weir_str stream, uint32_t partition)
{
	struct weir_arena *arena = weir_arena_new(0);
	uint64_t end = bus_next_offset(bus, stream, partition);
	uint64_t steps = 0;
	for (uint64_t at = 0; at < end && steps < 1000; steps++) {
		struct bus_read_block block;
		struct weir_error err = WEIR_ERROR_INIT;
		int status = bus_read(bus, arena, stream, partition, at, &block, &err);
		at = status == 0 ? block.base_offset + block.count : at + 1;
		weir_arena_reset(arena);
	}
	weir_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct sim_os *sim = sim_os_new(1);
	const struct weir_os *os = sim_os_table(sim);
	struct weir_buf segment = WEIR_BUF_INIT;
	struct weir_file *file;
	struct weir_error err = WEIR_ERROR_INIT;
	struct bus *bus;
	struct bus_options options = {.os = os, .directory = "/log", .no_thread = true};
	make_segment(data, size, &segment);
	if (os->mkdir(os->self, "/log", &err) != 0 ||
		os->open(os->self, "/log/0000000001.log", WEIR_OPEN_CREATE, &file, &err) != 0 ||
		os->write(os->self, file, 0, segment.data, segment.size, &err) != 0)
		abort();
	os->close(os->self, file, NULL);
	if (bus_open(&options, &bus, &err) == 0) {
		for (uint32_t partition = 0; partition < 4; partition++)
			for (size_t name = 1; name < 8; name++)
				read_everything(bus, (struct weir_str){"streamstream", name}, partition);
		bus_release(bus, WEIR_STR("streams"), 0, 100, &err);
		bus_close(bus);
	} else if (err.code != WEIR_E_CORRUPT && err.code != WEIR_E_LIMIT) {
		abort();
	}
	weir_buf_done(&segment);
	sim_os_free(sim);
	return 0;
}
