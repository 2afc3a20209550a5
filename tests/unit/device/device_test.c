/* FIT, TCX and GPX that this test writes itself: what each rule of the formats makes of a point. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/time.h"
#include "format/device/device.h"
#include "unit/device/fit_write.h"

#define T0    1000000000U /* FIT seconds: 2021-09-08T01:46:40Z */
#define T0_US ((T0 + 631065600LL) * WEIR_US_PER_SECOND)

static struct weir_batch *read_all(
	enum device_format format, struct weir_str bytes, int expected_code, struct weir_error *err)
{
	struct device_reader *reader = NULL;
	struct weir_batch *batch = NULL, *end = NULL;
	/* A copy of exactly the size, so that a sanitizer sees a byte too far. */
	char *copy = weir_alloc(bytes.size);
	if (bytes.size > 0)
		memcpy(copy, bytes.data, bytes.size);
	const struct weir_slice memory = {copy, bytes.size};
	*err = WEIR_ERROR_INIT;
	int code = device_reader_open(format, weir_source_from_memory(&memory, WEIR_STR("test")), &reader, err);
	if (code == 0)
		code = device_reader_next(reader, &batch, err);
	if (code == 0 && batch != NULL) {
		assert_int_equal(device_reader_next(reader, &end, err), 0);
		assert_null(end);
	}
	device_reader_close(reader);
	free(copy);
	if (code != expected_code)
		fail_msg("code %d, expected %d: %s", code, expected_code, err->message);
	return batch;
}

static void assert_number(const struct weir_batch *batch, uint32_t row, enum device_column column, double expected)
{
	assert_true(weir_column_is_valid(&batch->columns[column], row));
	double actual = weir_column_double(&batch->columns[column], row);
	if (fabs(actual - expected) > 1e-6)
		fail_msg("row %u, column %d: %g, expected %g", row, (int)column, actual, expected);
}

static void assert_null_at(const struct weir_batch *batch, uint32_t row, enum device_column column)
{
	assert_false(weir_column_is_valid(&batch->columns[column], row));
}

static void assert_text(const struct weir_batch *batch, uint32_t row, enum device_column column, const char *expected)
{
	assert_true(weir_column_is_valid(&batch->columns[column], row));
	struct weir_str actual = weir_column_str(&batch->columns[column], row);
	if (!weir_str_is(actual, expected))
		fail_msg("row %u, column %d: \"%.*s\", expected \"%s\"", row, (int)column, WEIR_STR_ARG(actual),
			expected);
}

/* file_id, two sessions and laps, points with and without valid values, a compressed timestamp, developer fields. */
static void write_activity(struct fit_write *fit)
{
	static const struct fit_write_field file_id[] = {{1, 2, 0x84}, {2, 2, 0x84}, {3, 4, 0x8c}};
	static const struct fit_write_field point[] = {{253, 4, 0x86}, {0, 4, 0x85}, {1, 4, 0x85}, {2, 2, 0x84},
		{3, 1, 0x02}, {4, 1, 0x02}, {5, 4, 0x86}, {6, 2, 0x84}, {7, 2, 0x84}, {13, 1, 0x01}, {53, 1, 0x02},
		{73, 4, 0x86}, {78, 4, 0x86}, {108, 2, 0x84}};
	static const struct fit_write_field developer[] = {{0, 2, 0}, {1, 1, 0}};
	static const struct fit_write_field short_point[] = {{3, 1, 0x02}};
	static const struct fit_write_field session[] = {{253, 4, 0x86}, {2, 4, 0x86}, {5, 1, 0}, {6, 1, 0}};
	static const struct fit_write_field lap[] = {{253, 4, 0x86}, {2, 4, 0x86}};
	fit_write_begin(fit);
	fit_write_definition(fit, 0, 0, file_id, 3, NULL, 0);
	fit_write_header(fit, 0);
	fit_write_value(fit, 1, 2);
	fit_write_value(fit, 1036, 2);
	fit_write_value(fit, 3820987521, 4);
	fit_write_definition(fit, 1, 20, point, 14, developer, 2);
	for (unsigned i = 0; i < 2; i++) { /* all valid, then all invalid but the time */
		static const uint64_t values[2][13] = {{536870912, (uint64_t)-1073741824, 3000, 140, 80, 12345, 2500,
							       210, (uint64_t)-5, 64, 3000, 2600, 1850},
			{0x7fffffff, 0x7fffffff, 0xffff, 0xff, 0xff, 0xffffffff, 0xffff, 0xffff, 0x7f, 0xff, 0xffffffff,
				0xffffffff, 0xffff}};
		fit_write_header(fit, 1);
		fit_write_value(fit, T0 + i * 40, 4);
		for (unsigned k = 0; k < 13; k++)
			fit_write_value(fit, values[i][k], point[k + 1].size);
		fit_write_value(fit, 0x40404040, 3); /* the developer's bytes look like definitions */
	}
	fit_write_definition(fit, 2, 20, short_point, 1, NULL, 0);
	fit_write_header(fit, 0x80 | 2 << 5 | ((T0 + 40 + 9) & 31));
	fit_write_value(fit, 141, 1);
	fit_write_header(fit, 0x80 | 2 << 5 | ((T0 + 40 + 33) & 31)); /* wraps around */
	fit_write_value(fit, 142, 1);
	fit_write_definition(fit, 3, 18, session, 4, NULL, 0);
	for (unsigned i = 0; i < 2; i++) {
		fit_write_header(fit, 3);
		fit_write_value(fit, T0 + 100, 4);
		fit_write_value(fit, i == 0 ? T0 + 45 : T0, 4); /* not in order */
		fit_write_value(fit, i == 0 ? 2 : 1, 1);
		fit_write_value(fit, i == 0 ? 7 : 3, 1);
	}
	fit_write_definition(fit, 4, 19, lap, 2, NULL, 0);
	for (unsigned i = 0; i < 3; i++) {
		fit_write_header(fit, 4);
		fit_write_value(fit, T0 + 100, 4);
		fit_write_value(fit, T0 + i * 40, 4);
	}
	fit_write_end(fit);
}

static void check_activity(const struct weir_batch *batch, uint32_t row, uint32_t first_lap)
{
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], row), T0_US);
	assert_number(batch, row, DEVICE_LAT, 45);
	assert_number(batch, row, DEVICE_LON, -90);
	assert_number(batch, row, DEVICE_ALTITUDE, 20);
	assert_number(batch, row, DEVICE_HEART_RATE, 140);
	assert_number(batch, row, DEVICE_CADENCE, 80.5);
	assert_number(batch, row, DEVICE_POWER, 210);
	assert_number(batch, row, DEVICE_SPEED, 3);
	assert_number(batch, row, DEVICE_DISTANCE, 123.45);
	assert_number(batch, row, DEVICE_TEMPERATURE, -5);
	assert_number(batch, row, DEVICE_RESPIRATION, 18.5);
	assert_text(batch, row, DEVICE_SPORT, "running");
	assert_text(batch, row, DEVICE_SUB_SPORT, "trail");
	assert_text(batch, row, DEVICE_MANUFACTURER, "garmin");
	assert_text(batch, row, DEVICE_PRODUCT, "1036");
	assert_text(batch, row, DEVICE_SERIAL, "3820987521");
	assert_number(batch, row, DEVICE_LAP, first_lap);
	for (uint32_t column = DEVICE_LAT; column <= DEVICE_CORE_TEMPERATURE; column++)
		assert_null_at(batch, row + 1, column);
	assert_number(batch, row + 1, DEVICE_LAP, first_lap + 1);
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], row + 2), T0_US + 49 * WEIR_US_PER_SECOND);
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], row + 3), T0_US + 73 * WEIR_US_PER_SECOND);
	assert_number(batch, row + 2, DEVICE_HEART_RATE, 141);
	assert_text(batch, row + 2, DEVICE_SPORT, "cycling");
	assert_text(batch, row + 2, DEVICE_SUB_SPORT, "road");
}

static void test_fit_points(void **state)
{
	(void)state;
	struct fit_write fit = {0};
	struct weir_error err;
	/* Two chained parts, the second in the other byte order. */
	write_activity(&fit);
	fit.big_endian = true;
	write_activity(&fit);
	struct weir_batch *batch = read_all(DEVICE_FIT, weir_buf_str(&fit.out), 0, &err);
	assert_int_equal(batch->row_count, 8);
	check_activity(batch, 0, 0);
	check_activity(batch, 4, 3);
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_ORDINAL], 7), 7);
	weir_batch_release(batch);
	weir_buf_done(&fit.out);
}

/* Cut anywhere or changed anywhere, a file yields no point at all. */
static void test_fit_damage(void **state)
{
	(void)state;
	struct fit_write fit = {0};
	struct weir_error err;
	write_activity(&fit);
	size_t size = fit.out.size;
	for (size_t cut = 0; cut < size; cut++) {
		read_all(DEVICE_FIT, (struct weir_str){fit.out.data, cut}, WEIR_E_CORRUPT, &err);
		assert_true(err.offset <= cut);
	}
	for (size_t at = 0; at < size; at++) {
		if (at == 1 || at == 2 || at == 3)
			continue; /* versions: the header's checksum covers them, found below */
		fit.out.data[at] ^= 0x10;
		read_all(DEVICE_FIT, weir_buf_str(&fit.out), WEIR_E_CORRUPT, &err);
		assert_int_not_equal(err.offset, WEIR_ERROR_NO_OFFSET);
		fit.out.data[at] ^= 0x10;
	}
	fit.out.data[2] ^= 1;
	read_all(DEVICE_FIT, weir_buf_str(&fit.out), WEIR_E_CORRUPT, &err);
	assert_int_equal(err.offset, 12);
	fit.out.data[2] ^= 1;
	weir_buf_putc(&fit.out, 'x'); /* something after the last part */
	read_all(DEVICE_FIT, weir_buf_str(&fit.out), WEIR_E_CORRUPT, &err);
	assert_int_equal(err.offset, size);
	weir_buf_done(&fit.out);
}

/* Right checksums around wrong records. */
static void test_fit_bad_records(void **state)
{
	(void)state;
	static const struct fit_write_field heart_rate[] = {{3, 1, 2}};
	struct weir_error err;
	struct fit_write undefined = {0}, overrun = {0}, misaligned = {0};
	fit_write_begin(&undefined);
	fit_write_header(&undefined, 5);
	fit_write_end(&undefined);
	read_all(DEVICE_FIT, weir_buf_str(&undefined.out), WEIR_E_CORRUPT, &err);
	assert_int_equal(err.offset, 14);
	fit_write_begin(&overrun);
	fit_write_definition(&overrun, 0, 20, heart_rate, 1, NULL, 0);
	fit_write_header(&overrun, 0);
	fit_write_end(&overrun);
	read_all(DEVICE_FIT, weir_buf_str(&overrun.out), WEIR_E_CORRUPT, &err);
	assert_int_equal(err.offset, 24);
	/* A field whose size is no multiple of its type's is null; those after it are read. */
	static const struct fit_write_field odd[] = {{253, 3, 0x86}, {3, 1, 2}};
	fit_write_begin(&misaligned);
	fit_write_definition(&misaligned, 0, 20, odd, 2, NULL, 0);
	fit_write_header(&misaligned, 0);
	fit_write_value(&misaligned, 77, 3);
	fit_write_value(&misaligned, 99, 1);
	fit_write_end(&misaligned);
	struct weir_batch *batch = read_all(DEVICE_FIT, weir_buf_str(&misaligned.out), 0, &err);
	assert_null_at(batch, 0, DEVICE_TIMESTAMP);
	assert_null_at(batch, 0, DEVICE_SPORT);
	assert_null_at(batch, 0, DEVICE_LAP);
	assert_number(batch, 0, DEVICE_HEART_RATE, 99);
	weir_batch_release(batch);
	weir_buf_done(&undefined.out);
	weir_buf_done(&overrun.out);
	weir_buf_done(&misaligned.out);
}

/* Twelve bits each of speed and distance; the distance wraps around. Times in system time are no dates. */
static void test_fit_compressed_speed(void **state)
{
	(void)state;
	static const struct fit_write_field point[] = {{253, 4, 0x86}, {8, 3, 0x0d}};
	static const struct {
		uint8_t bytes[3];
		double speed, distance; /* negative: null */
	} cases[] = {{{0x62, 0x01, 0x00}, 3.54, 0}, {{0x62, 0x41, 0x0e}, 3.54, 14.25}, {{0xff, 0xff, 0xff}, -1, -1},
		{{0x64, 0x00, 0x00}, 1, 256}};
	struct fit_write fit = {0};
	struct weir_error err;
	fit_write_begin(&fit);
	fit_write_definition(&fit, 0, 20, point, 2, NULL, 0);
	for (unsigned i = 0; i < 4; i++) {
		fit_write_header(&fit, 0);
		fit_write_value(&fit, 17217869 + i, 4);
		weir_buf_append(&fit.out, cases[i].bytes, 3);
	}
	fit_write_end(&fit);
	struct weir_batch *batch = read_all(DEVICE_FIT, weir_buf_str(&fit.out), 0, &err);
	for (uint32_t i = 0; i < 4; i++) {
		assert_null_at(batch, i, DEVICE_TIMESTAMP);
		if (cases[i].speed < 0) {
			assert_null_at(batch, i, DEVICE_SPEED);
			assert_null_at(batch, i, DEVICE_DISTANCE);
		} else {
			assert_number(batch, i, DEVICE_SPEED, cases[i].speed);
			assert_number(batch, i, DEVICE_DISTANCE, cases[i].distance);
		}
	}
	weir_batch_release(batch);
	weir_buf_done(&fit.out);
}

static const char tcx[] =
	"<?xml version=\"1.0\"?><!-- a > comment --><t:TrainingCenterDatabase xmlns:t=\"a\" "
	"xmlns:e=\"b\"><t:Activities>"
	"<t:Activity Sport=\"Biking\"><t:Lap "
	"StartTime=\"2021-01-01T00:00:00Z\"><t:AverageHeartRateBpm><t:Value>1</t:Value>"
	"</t:AverageHeartRateBpm><t:Track><t:Trackpoint><t:Time> 2021-01-01T00:00:00Z </t:Time><t:Position>"
	"<t:LatitudeDegrees>45.5</t:LatitudeDegrees><t:LongitudeDegrees>-9</t:LongitudeDegrees></t:Position>"
	"<t:AltitudeMeters>20</t:AltitudeMeters><t:DistanceMeters>5.5</t:DistanceMeters><t:HeartRateBpm><t:Value>140"
	"</t:Value></t:HeartRateBpm><t:Cadence>80</t:Cadence><t:Extensions><e:TPX><e:Speed>3.5</e:Speed><e:Watts>210"
	"</e:Watts><e:RunCadence>99</e:RunCadence></e:TPX></t:Extensions></t:Trackpoint></t:Track></t:Lap>"
	"<t:Lap><t:Track><t:Trackpoint><t:HeartRateBpm><t:Value>fast</t:Value></t:HeartRateBpm></t:Trackpoint></"
	"t:Track>"
	"</t:Lap><t:Creator><t:Name>Watch</t:Name><t:UnitId>77</t:UnitId></t:Creator></t:Activity><t:Activity "
	"Sport=\"Running\"><t:Lap><t:Track><t:Trackpoint/></t:Track></t:Lap></t:Activity></t:Activities>"
	"<t:Author><t:Name>Somebody</t:Name></t:Author></t:TrainingCenterDatabase>";

static void test_tcx(void **state)
{
	(void)state;
	struct weir_error err;
	struct weir_batch *batch = read_all(DEVICE_TCX, weir_str_from(tcx), 0, &err);
	assert_int_equal(batch->row_count, 3);
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], 0), 1609459200000000LL);
	assert_text(batch, 0, DEVICE_SPORT, "cycling");
	assert_number(batch, 0, DEVICE_LAT, 45.5);
	assert_number(batch, 0, DEVICE_LON, -9);
	assert_number(batch, 0, DEVICE_ALTITUDE, 20);
	assert_number(batch, 0, DEVICE_DISTANCE, 5.5);
	assert_number(batch, 0, DEVICE_HEART_RATE, 140);
	assert_number(batch, 0, DEVICE_CADENCE, 80);
	assert_number(batch, 0, DEVICE_SPEED, 3.5);
	assert_number(batch, 0, DEVICE_POWER, 210);
	assert_number(batch, 0, DEVICE_LAP, 0);
	assert_text(batch, 0, DEVICE_PRODUCT, "Watch");
	assert_text(batch, 0, DEVICE_SERIAL, "77");
	assert_number(batch, 1, DEVICE_LAP, 1);
	assert_null_at(batch, 1, DEVICE_TIMESTAMP);
	assert_null_at(batch, 1, DEVICE_HEART_RATE);
	assert_text(batch, 2, DEVICE_SPORT, "running");
	assert_null_at(batch, 2, DEVICE_PRODUCT);
	weir_batch_release(batch);
}

static void test_gpx(void **state)
{
	(void)state;
	static const char gpx[] = "\xef\xbb\xbf<gpx creator=\"App\" xmlns:x=\"y\"><wpt lat=\"1\" "
				  "lon=\"2\"><time>2020-01-01T00:00:00Z</time></wpt>"
				  "<trk><type>Trail_Running</type><trkseg><trkpt lat=\"45.5\" "
				  "lon=\"-9.25\"><ele>20.5</ele><time>2021-01-01T01:00:00"
				  "+01:00</time><extensions><power>210</power><x:TrackPointExtension><x:hr>140</"
				  "x:hr><x:cad>80</x:cad><x:atemp>-3"
				  "</x:atemp><x:speed>2.5</x:speed></x:TrackPointExtension></extensions></trkpt><trkpt "
				  "lat=\"north\"><time>noon"
				  "</time></trkpt></trkseg></trk></gpx>";
	struct weir_error err;
	struct weir_batch *batch = read_all(DEVICE_GPX, weir_str_from(gpx), 0, &err);
	assert_int_equal(batch->row_count, 2);
	assert_int_equal(weir_column_i64(&batch->columns[DEVICE_TIMESTAMP], 0), 1609459200000000LL);
	assert_text(batch, 0, DEVICE_SPORT, "trail_running");
	assert_text(batch, 0, DEVICE_PRODUCT, "App");
	assert_number(batch, 0, DEVICE_LAT, 45.5);
	assert_number(batch, 0, DEVICE_LON, -9.25);
	assert_number(batch, 0, DEVICE_ALTITUDE, 20.5);
	assert_number(batch, 0, DEVICE_HEART_RATE, 140);
	assert_number(batch, 0, DEVICE_CADENCE, 80);
	assert_number(batch, 0, DEVICE_TEMPERATURE, -3);
	assert_number(batch, 0, DEVICE_SPEED, 2.5);
	assert_number(batch, 0, DEVICE_POWER, 210);
	assert_null_at(batch, 0, DEVICE_LAP);
	assert_null_at(batch, 1, DEVICE_LAT);
	assert_null_at(batch, 1, DEVICE_TIMESTAMP);
	weir_batch_release(batch);
}

static void test_broken_xml(void **state)
{
	(void)state;
	static const struct {
		enum device_format format;
		const char *text;
		int code;
		uint64_t offset; /* where it goes wrong, or a place within the declaration that begins there */
	} cases[] = {
		{DEVICE_GPX, "<gpx><trk></gpx>", WEIR_E_CORRUPT, 12},
		{DEVICE_GPX, "<gpx><trk>", WEIR_E_CORRUPT, 10},
		{DEVICE_GPX, "", WEIR_E_CORRUPT, 0},
		{DEVICE_GPX, "<kml></kml>", WEIR_E_INPUT, 0},
		{DEVICE_TCX, "<gpx></gpx>", WEIR_E_INPUT, 0},
		{DEVICE_GPX, "<!DOCTYPE gpx [<!ENTITY a \"b\">]><gpx/>", WEIR_E_CORRUPT, 15},
		{DEVICE_GPX, "<!DOCTYPE gpx [<!ENTITY % a SYSTEM \"file:///etc/passwd\">]><gpx/>", WEIR_E_CORRUPT, 15},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_error err;
		read_all(cases[i].format, weir_str_from(cases[i].text), cases[i].code, &err);
		bool declaration = strstr(cases[i].text, "ENTITY") != NULL;
		if (declaration ? err.offset < cases[i].offset || err.offset > strlen(cases[i].text) - 8
				: err.offset != cases[i].offset)
			fail_msg("case %zu: offset %llu: %s", i, (unsigned long long)err.offset, err.message);
	}
	struct weir_buf deep = WEIR_BUF_INIT;
	struct weir_error err;
	weir_buf_puts(&deep, "<gpx>");
	for (int i = 0; i < 200; i++)
		weir_buf_puts(&deep, "<a>");
	read_all(DEVICE_GPX, weir_buf_str(&deep), WEIR_E_LIMIT, &err);
	weir_buf_done(&deep);
}

/* More points than a batch holds, in one block of text. */
static void test_many_points(void **state)
{
	(void)state;
	enum { POINTS = 7000 };
	struct weir_buf text = WEIR_BUF_INIT;
	weir_buf_puts(&text, "<gpx><trk><trkseg>");
	for (int i = 0; i < POINTS; i++)
		weir_buf_puts(&text, "<trkpt/>");
	weir_buf_puts(&text, "</trkseg></trk></gpx>");
	const struct weir_slice memory = {text.data, text.size};
	struct device_reader *reader = NULL;
	struct weir_batch *batch = NULL;
	struct weir_error err = WEIR_ERROR_INIT;
	int64_t points = 0;
	assert_int_equal(
		device_reader_open(DEVICE_GPX, weir_source_from_memory(&memory, WEIR_STR("t")), &reader, &err), 0);
	while (device_reader_next(reader, &batch, &err) == 0 && batch != NULL) {
		for (uint32_t row = 0; row < batch->row_count; row++)
			assert_int_equal(weir_column_i64(&batch->columns[DEVICE_ORDINAL], row), points++);
		weir_batch_release(batch);
	}
	assert_int_equal(err.code, 0);
	assert_int_equal(points, POINTS);
	device_reader_close(reader);
	weir_buf_done(&text);
}

static void test_detection(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		size_t size;
		int format; /* -1: none */
	} cases[] = {
		{"\x0e\x10\0\0\0\0\0\0.FIT\0\0", 14, DEVICE_FIT},
		{"<?xml version=\"1.0\"?>\n<!-- <gpx> -->\n<TrainingCenterDatabase>", 62, DEVICE_TCX},
		{"\xef\xbb\xbf<gpx >", 9, DEVICE_GPX},
		{"<x:gpx>", 7, DEVICE_GPX},
		{"<html>", 6, -1},
		{"<gpx", 4, -1},
		{"gpx", 3, -1},
		{"", 0, -1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum device_format format = DEVICE_FIT;
		bool found = device_format_detect(cases[i].head, cases[i].size, &format);
		assert_int_equal(found, cases[i].format >= 0);
		if (found)
			assert_int_equal(format, cases[i].format);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit_points),
		cmocka_unit_test(test_fit_damage),
		cmocka_unit_test(test_fit_bad_records),
		cmocka_unit_test(test_fit_compressed_speed),
		cmocka_unit_test(test_tcx),
		cmocka_unit_test(test_gpx),
		cmocka_unit_test(test_broken_xml),
		cmocka_unit_test(test_many_points),
		cmocka_unit_test(test_detection),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
