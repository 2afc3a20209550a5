/* Reads a device file to its end; what comes out must be in order and readable. */
#ifndef TESTS_FUZZ_DEVICE_DRAIN_H
#define TESTS_FUZZ_DEVICE_DRAIN_H

#include "format/device/device.h"

static inline int device_drain(enum device_format format, const uint8_t *data, size_t size, int64_t *ret_points)
{
	const struct weir_slice memory = {data, size};
	struct device_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	*ret_points = 0;
	int code = device_reader_open(format, weir_source_from_memory(&memory, WEIR_STR("fuzz")), &reader, &err);
	while (code == 0 && (code = device_reader_next(reader, &batch, &err)) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++) {
			WEIR_ASSERT(weir_column_i64(&batch->columns[DEVICE_ORDINAL], row) == (*ret_points)++);
			for (uint32_t i = DEVICE_SPORT; i < DEVICE_COLUMNS; i++)
				if (batch->columns[i].type == WEIR_STRING &&
					weir_column_is_valid(&batch->columns[i], row))
					WEIR_ASSERT(weir_utf8_valid(weir_column_str(&batch->columns[i], row)));
		}
		weir_batch_release(batch);
	}
	device_reader_close(reader);
	WEIR_ASSERT(code == 0 || (err.code == code && err.message[0] != '\0'));
	return code;
}

#endif
