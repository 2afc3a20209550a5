/* Device files are read back by the project's own reader of them: checksums hold and each point is the one that was
 * written. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "format/device/device.h"
#include "gen/device_files.h"

static const struct gen_device_session session = {
	.seed = 5, .start_us = 1738396800000000, .points = 300, .step_s = 4, .activity = "cycling", .serial = 77123};

static void check_number(
	const struct weir_batch *batch, uint32_t row, enum device_column column, double expected, double within)
{
	assert_true(weir_column_is_valid(&batch->columns[column], row));
	double difference = weir_column_double(&batch->columns[column], row) - expected;
	if (difference > within || difference < -within)
		fail_msg("row %u, column %d: off by %g from %g", row, column, difference, expected);
}

static void check_point(const struct weir_batch *batch, uint32_t row, struct gen_point point, bool has_speed)
{
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], row), point.time_us);
	check_number(batch, row, DEVICE_LAT, point.lat_micro / 1e6, 1.1e-6);
	check_number(batch, row, DEVICE_LON, point.lon_micro / 1e6, 1.1e-6);
	check_number(batch, row, DEVICE_HEART_RATE, point.heart, 0);
	check_number(batch, row, DEVICE_CADENCE, point.cadence, 0);
	if (point.watts >= 0)
		check_number(batch, row, DEVICE_POWER, point.watts, 0);
	if (has_speed)
		check_number(batch, row, DEVICE_SPEED, point.mm_s / 1000.0, 1e-9);
}

static void read_back(
	const struct gen_device_session *written, enum gen_device_format format, enum device_format expected)
{
	struct weir_buf file = WEIR_BUF_INIT;
	struct weir_error err = WEIR_ERROR_INIT;
	struct device_reader *reader = NULL;
	enum device_format found;
	uint32_t count = 0;
	gen_write_device_file(written, format, &file);
	struct weir_slice slice = {file.data, file.size};
	assert_true(device_format_detect(file.data, file.size, &found));
	assert_int_equal(found, expected);
	if (device_reader_open(found, weir_source_from_memory(&slice, WEIR_STR("session")), &reader, &err) != 0)
		fail_msg("%s", err.message);
	for (;;) {
		struct weir_batch *batch = NULL;
		if (device_reader_next(reader, &batch, &err) != 0)
			fail_msg("%s", err.message);
		if (batch == NULL)
			break;
		for (uint32_t row = 0; row < batch->row_count; row++)
			check_point(batch, row, gen_device_point(written, count++), format != GEN_GPX);
		weir_batch_release(batch);
	}
	assert_int_equal(count, written->points);
	device_reader_close(reader);
	weir_buf_done(&file);
}

static void files_read_back(void **state)
{
	(void)state;
	struct gen_device_session run = session;
	run.activity = "running";
	read_back(&session, GEN_FIT, DEVICE_FIT);
	read_back(&session, GEN_TCX, DEVICE_TCX);
	read_back(&session, GEN_GPX, DEVICE_GPX);
	read_back(&run, GEN_FIT, DEVICE_FIT);
	read_back(&run, GEN_TCX, DEVICE_TCX);
	read_back(&run, GEN_GPX, DEVICE_GPX);
}

static void a_changed_byte_is_found(void **state)
{
	(void)state;
	for (size_t position = 20; position < 6000; position += 997) {
		struct weir_buf file = WEIR_BUF_INIT;
		struct weir_error err = WEIR_ERROR_INIT;
		struct device_reader *reader = NULL;
		gen_write_device_file(&session, GEN_FIT, &file);
		assert_true(position < file.size);
		file.data[position] ^= 4;
		struct weir_slice slice = {file.data, file.size};
		struct weir_batch *batch = NULL;
		int rc = device_reader_open(
			DEVICE_FIT, weir_source_from_memory(&slice, WEIR_STR("session")), &reader, &err);
		if (rc == 0)
			rc = device_reader_next(reader, &batch, &err);
		assert_int_equal(rc, WEIR_E_CORRUPT);
		if (reader != NULL)
			device_reader_close(reader);
		weir_buf_done(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_read_back),
		cmocka_unit_test(a_changed_byte_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
