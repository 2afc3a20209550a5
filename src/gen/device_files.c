/* Each file is made of the same walk; the formats differ in what they can say, not in where it goes. */
#include "gen/device_files.h"

#include <string.h>

#include "base/error.h"
#include "base/time.h"
#include "gen/athlete.h"

#define FIT_EPOCH_S                  631065600LL /* 1989-12-31T00:00:00Z */
#define FIT_HEADER_SIZE              14u
#define FIT_PROTOCOL                 0x10
#define FIT_PROFILE                  2132
#define FIT_MANUFACTURER_DEVELOPMENT 255
/* Base types and their "invalid" values. */
#define FIT_ENUM    0x00
#define FIT_UINT8   0x02
#define FIT_UINT16  0x84
#define FIT_SINT32  0x85
#define FIT_UINT32  0x86
#define FIT_UINT32Z 0x8c

/* ---- the session ---- */

struct walk {
	struct weir_rng rng;
	struct body body;
	struct effort effort;
	struct route route;
	uint32_t index;
};

static enum athlete_activity activity_of(const struct gen_device_session *session)
{
	return strcmp(session->activity, "cycling") == 0 ? ACTIVITY_CYCLING : ACTIVITY_RUNNING;
}

static struct walk walk_begin(const struct gen_device_session *session)
{
	struct walk walk = {.rng = weir_rng_new(session->seed)};
	int32_t duration_ms = (int32_t)(session->points * session->step_s * 1000);
	walk.body = body_draw(&walk.rng);
	walk.effort = effort_begin(&walk.body, activity_of(session), EFFORT_STEADY, duration_ms, &walk.rng);
	int64_t mm_s = effort_mean_mm_s(&walk.body, walk.effort.activity, walk.effort.base);
	walk.route = route_loop(place_at((unsigned)(session->seed % PLACES)), mm_s * duration_ms / 1000, 1, &walk.rng);
	return walk;
}

static struct gen_point walk_next(struct walk *walk, const struct gen_device_session *session)
{
	int32_t step_ms = (int32_t)session->step_s * 1000;
	int32_t elapsed_ms = (int32_t)walk->index * step_ms;
	effort_step(&walk->effort, &walk->body, elapsed_ms, step_ms, &walk->rng);
	route_step(&walk->route, (int64_t)walk->effort.mm_s * step_ms / 1000, &walk->rng);
	bool cycling = walk->effort.activity == ACTIVITY_CYCLING;
	walk->index++;
	return (struct gen_point){session->start_us + elapsed_ms * 1000LL, (int32_t)(walk->route.lat_nano / 1000),
		(int32_t)(walk->route.lon_nano / 1000), walk->effort.heart_mbpm / 1000,
		cycling ? walk->effort.watts : -1, cycling ? walk->effort.cadence : walk->effort.cadence / 2,
		walk->effort.mm_s};
}

struct gen_point gen_device_point(const struct gen_device_session *session, uint32_t index)
{
	struct walk walk = walk_begin(session);
	WEIR_ASSERT(index < session->points);
	for (uint32_t i = 0; i < index; i++)
		walk_next(&walk, session);
	return walk_next(&walk, session);
}

/* ---- FIT ---- */

/* CRC-16 of the FIT protocol, a half byte at a time. */
static uint16_t fit_crc(const char *data, size_t size)
{
	static const uint16_t table[16] = {0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001,
		0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400};
	uint16_t crc = 0;
	for (size_t i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)data[i];
		crc = (uint16_t)((crc >> 4 & 0x0fff) ^ table[crc & 15] ^ table[byte & 15]);
		crc = (uint16_t)((crc >> 4 & 0x0fff) ^ table[crc & 15] ^ table[byte >> 4]);
	}
	return crc;
}

struct fit_field {
	uint8_t number, size, type;
};

static void fit_define(
	struct weir_buf *out, uint8_t local, uint16_t message, const struct fit_field *fields, uint8_t count)
{
	weir_buf_u8(out, 0x40 | local);
	weir_buf_u8(out, 0);
	weir_buf_u8(out, 0); /* little-endian */
	weir_buf_u16(out, message);
	weir_buf_u8(out, count);
	for (uint8_t i = 0; i < count; i++) {
		weir_buf_u8(out, fields[i].number);
		weir_buf_u8(out, fields[i].size);
		weir_buf_u8(out, fields[i].type);
	}
}

static uint32_t fit_time(int64_t time_us)
{
	return (uint32_t)(time_us / WEIR_US_PER_SECOND - FIT_EPOCH_S);
}

/* Degrees as 2^31 to half a turn. */
static uint32_t fit_semicircles(int32_t micro)
{
	return (uint32_t)(int32_t)((int64_t)micro * (1LL << 31) / 180000000);
}

static void fit_file_id(const struct gen_device_session *session, struct weir_buf *out)
{
	static const struct fit_field fields[] = {
		{0, 1, FIT_ENUM}, {1, 2, FIT_UINT16}, {2, 2, FIT_UINT16}, {3, 4, FIT_UINT32Z}, {4, 4, FIT_UINT32}};
	fit_define(out, 0, 0, fields, 5);
	weir_buf_u8(out, 0);
	weir_buf_u8(out, 4); /* an activity */
	weir_buf_u16(out, FIT_MANUFACTURER_DEVELOPMENT);
	weir_buf_u16(out, 1);
	weir_buf_u32(out, session->serial);
	weir_buf_u32(out, fit_time(session->start_us));
}

static void fit_records(const struct gen_device_session *session, struct weir_buf *out)
{
	static const struct fit_field fields[] = {{253, 4, FIT_UINT32}, {0, 4, FIT_SINT32}, {1, 4, FIT_SINT32},
		{3, 1, FIT_UINT8}, {4, 1, FIT_UINT8}, {6, 2, FIT_UINT16}, {7, 2, FIT_UINT16}};
	struct walk walk = walk_begin(session);
	fit_define(out, 1, 20, fields, 7);
	for (uint32_t i = 0; i < session->points; i++) {
		struct gen_point point = walk_next(&walk, session);
		weir_buf_u8(out, 1);
		weir_buf_u32(out, fit_time(point.time_us));
		weir_buf_u32(out, fit_semicircles(point.lat_micro));
		weir_buf_u32(out, fit_semicircles(point.lon_micro));
		weir_buf_u8(out, (uint8_t)point.heart);
		weir_buf_u8(out, (uint8_t)point.cadence);
		weir_buf_u16(out, (uint16_t)point.mm_s);
		weir_buf_u16(out, point.watts >= 0 ? (uint16_t)point.watts : UINT16_MAX);
	}
}

static void fit_session(const struct gen_device_session *session, struct weir_buf *out)
{
	static const struct fit_field fields[] = {
		{253, 4, FIT_UINT32}, {2, 4, FIT_UINT32}, {7, 4, FIT_UINT32}, {5, 1, FIT_ENUM}};
	uint32_t elapsed_s = session->points * session->step_s;
	fit_define(out, 2, 18, fields, 4);
	weir_buf_u8(out, 2);
	weir_buf_u32(out, fit_time(session->start_us) + elapsed_s);
	weir_buf_u32(out, fit_time(session->start_us));
	weir_buf_u32(out, elapsed_s * 1000);
	weir_buf_u8(out, activity_of(session) == ACTIVITY_CYCLING ? 2 : 1);
}

static void write_fit(const struct gen_device_session *session, struct weir_buf *out)
{
	struct weir_buf body = WEIR_BUF_INIT;
	size_t begin = out->size;
	fit_file_id(session, &body);
	fit_records(session, &body);
	fit_session(session, &body);
	weir_buf_u8(out, FIT_HEADER_SIZE);
	weir_buf_u8(out, FIT_PROTOCOL);
	weir_buf_u16(out, FIT_PROFILE);
	weir_buf_u32(out, (uint32_t)body.size);
	weir_buf_puts(out, ".FIT");
	weir_buf_u16(out, fit_crc(out->data + begin, FIT_HEADER_SIZE - 2));
	weir_buf_append(out, body.data, body.size);
	weir_buf_u16(out, fit_crc(out->data + begin, out->size - begin));
	weir_buf_done(&body);
}

/* ---- TCX and GPX ---- */

struct point_text {
	char time[WEIR_TIME_TEXT], lat[24], lon[24], speed[24];
};

static struct point_text point_text(const struct gen_point *point)
{
	struct point_text text = {0};
	weir_time_format(point->time_us, text.time);
	*gen_put_decimal(text.lat, point->lat_micro, 6) = '\0';
	*gen_put_decimal(text.lon, point->lon_micro, 6) = '\0';
	*gen_put_decimal(text.speed, point->mm_s, 3) = '\0';
	return text;
}

static void tcx_point(const struct gen_point *point, struct weir_buf *out)
{
	struct point_text text = point_text(point);
	weir_buf_printf(out,
		"<Trackpoint><Time>%s</Time><Position><LatitudeDegrees>%s</LatitudeDegrees><LongitudeDegrees>%s</"
		"LongitudeDegrees>"
		"</Position><HeartRateBpm><Value>%d</Value></HeartRateBpm>",
		text.time, text.lat, text.lon, point->heart);
	if (point->watts >= 0) /* a bicycle's cadence; a runner's steps are an extension */
		weir_buf_printf(out, "<Cadence>%d</Cadence>", point->cadence);
	weir_buf_printf(out,
		"<Extensions><TPX xmlns=\"http://www.garmin.com/xmlschemas/ActivityExtension/v2\"><Speed>%s</Speed>",
		text.speed);
	if (point->watts >= 0)
		weir_buf_printf(out, "<Watts>%d</Watts>", point->watts);
	else
		weir_buf_printf(out, "<RunCadence>%d</RunCadence>", point->cadence);
	weir_buf_puts(out, "</TPX></Extensions></Trackpoint>\n");
}

static void write_tcx(const struct gen_device_session *session, struct weir_buf *out)
{
	struct walk walk = walk_begin(session);
	char start[WEIR_TIME_TEXT];
	weir_time_format(session->start_us, start);
	weir_buf_printf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<TrainingCenterDatabase xmlns=\"http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2\">"
		"<Activities><Activity Sport=\"%s\"><Id>%s</Id><Lap "
		"StartTime=\"%s\"><TotalTimeSeconds>%u</TotalTimeSeconds>"
		"<Intensity>Active</Intensity><TriggerMethod>Manual</TriggerMethod><Track>\n",
		activity_of(session) == ACTIVITY_CYCLING ? "Biking" : "Running", start, start,
		session->points * session->step_s);
	for (uint32_t i = 0; i < session->points; i++) {
		struct gen_point point = walk_next(&walk, session);
		tcx_point(&point, out);
	}
	weir_buf_printf(out,
		"</Track></Lap><Creator xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Device_t\">"
		"<Name>weir</Name><UnitId>%u</UnitId><ProductID>1</ProductID></Creator></Activity></Activities>"
		"</TrainingCenterDatabase>\n",
		session->serial);
}

static void write_gpx(const struct gen_device_session *session, struct weir_buf *out)
{
	struct walk walk = walk_begin(session);
	weir_buf_printf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<gpx version=\"1.1\" creator=\"weir\" xmlns=\"http://www.topografix.com/GPX/1/1\" "
		"xmlns:gpxtpx=\"http://www.garmin.com/xmlschemas/TrackPointExtension/v1\"><trk><type>%s</"
		"type><trkseg>\n",
		activity_name(activity_of(session)));
	for (uint32_t i = 0; i < session->points; i++) {
		struct gen_point point = walk_next(&walk, session);
		struct point_text text = point_text(&point);
		weir_buf_printf(
			out, "<trkpt lat=\"%s\" lon=\"%s\"><time>%s</time><extensions>", text.lat, text.lon, text.time);
		if (point.watts >= 0)
			weir_buf_printf(out, "<power>%d</power>", point.watts);
		weir_buf_printf(out,
			"<gpxtpx:TrackPointExtension><gpxtpx:hr>%d</gpxtpx:hr><gpxtpx:cad>%d</gpxtpx:cad>"
			"</gpxtpx:TrackPointExtension></extensions></trkpt>\n",
			point.heart, point.cadence);
	}
	weir_buf_puts(out, "</trkseg></trk></gpx>\n");
}

void gen_write_device_file(
	const struct gen_device_session *session, enum gen_device_format format, struct weir_buf *out)
{
	WEIR_ASSERT(session->start_us / WEIR_US_PER_SECOND >= FIT_EPOCH_S);
	WEIR_ASSERT(session->points > 0 && session->step_s > 0 && session->points <= 2000000 / session->step_s);
	switch (format) {
	case GEN_FIT:
		write_fit(session, out);
		break;
	case GEN_TCX:
		write_tcx(session, out);
		break;
	case GEN_GPX:
		write_gpx(session, out);
		break;
	}
}
