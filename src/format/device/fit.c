/*
 * Garmin FIT (FIT protocol): a file is one or more parts, each
 *
 *   header  size u8 (12 or 14) | protocol u8 | profile u16 | data size u32 | ".FIT" | [crc u16, 0: absent]
 *   data    records: definition messages say how the data messages of a local number are laid out
 *   crc     u16 over header and data
 *
 *   record header  1 LL TTTTT   data with compressed timestamp: local number L, five low bits of the time
 *                  0 1 D 0 LLLL definition; D: developer fields follow
 *                  0 0 0 0 LLLL data
 *   definition     0 | architecture (1: big endian) | global number u16 | n | n * (number, size, base type)
 *                  [m | m * (number, size, developer index)]
 *
 * Two passes over the source with one walker. The first checks everything, so that a broken file yields no
 * point at all, and gathers what comes after the points that need it: sessions, laps, file_id. The second
 * makes the points. Developer fields are passed over. One reader belongs to one thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "format/device/device_int.h"

#define FIT_EPOCH_SECONDS 631065600LL   /* 1989-12-31T00:00:00Z */
#define FIT_SYSTEM_TIME   0x10000000U   /* below: seconds since the device was switched on */
#define FIT_WINDOW_BYTES  (512U * 1024) /* more than the largest message: 2 * 255 fields of 255 bytes */
#define FIT_LOCALS        16
#define FIT_FIELDS        255
#define FIT_MAX_SPANS     65536 /* parts, sessions and laps of a file */

enum fit_message { FIT_FILE_ID = 0, FIT_SPORT = 12, FIT_SESSION = 18, FIT_LAP = 19, FIT_RECORD = 20 };
enum { FIT_FIELD_TIMESTAMP = 253 };

struct fit_field {
	uint8_t number, size, base_type;
};

struct fit_definition {
	bool defined, big_endian;
	uint16_t message;
	uint32_t field_count;
	uint32_t size_bytes; /* of a data message with its developer fields, without the record header */
	struct fit_field fields[FIT_FIELDS];
};

/* A session, or a sport message that holds from its place on. */
struct fit_session {
	uint32_t part, start; /* start: FIT seconds, 0 where unknown */
	int32_t sport, sub_sport;
};

struct fit_lap {
	uint32_t part, start;
};

struct fit_part {
	uint64_t data_begin, data_end;
	int64_t manufacturer, product, serial; /* -1 where not said */
	char product_name[64];
};

/* One data message, borrowed from the window until the next step. */
struct fit_data {
	const struct fit_definition *definition;
	const uint8_t *bytes;
	uint64_t offset;
	bool has_time;
	uint32_t time; /* of its field 253 or its compressed header */
};

struct fit_reader {
	struct weir_byte_source source;
	uint8_t *window;
	uint64_t window_begin;
	size_t window_size;
	uint64_t at, data_end; /* within the current part */
	struct fit_definition locals[FIT_LOCALS];
	bool has_time;
	uint32_t last_time;

	struct fit_part *parts;
	struct fit_session *sessions;
	struct fit_lap *laps;
	size_t part_count, part_capacity, session_count, session_capacity, lap_count, lap_capacity;

	size_t part; /* being read */
	int64_t ordinal;
	int32_t sport, sub_sport;            /* of the last sport message, -1 where none */
	uint32_t distance_raw, distance_sum; /* of compressed speed and distance */
};

static int corrupt(const struct fit_reader *reader, uint64_t offset, struct weir_error *err, const char *problem)
{
	return weir_fail_at(
		err, WEIR_E_CORRUPT, reader->source.name, offset, "%s: upload the file again from the device", problem);
}

/* size bytes at offset, contiguous in the window; the caller knows that they are within the source. */
static int fetch(
	struct fit_reader *reader, uint64_t offset, size_t size, const uint8_t **ret_bytes, struct weir_error *err)
{
	WEIR_ASSERT(size <= FIT_WINDOW_BYTES && offset + size <= reader->source.size_bytes);
	if (offset < reader->window_begin || offset + size > reader->window_begin + reader->window_size) {
		uint64_t left = reader->source.size_bytes - offset;
		size_t want = left < FIT_WINDOW_BYTES ? (size_t)left : FIT_WINDOW_BYTES;
		reader->window_size = 0;
		int code = reader->source.read(reader->source.self, offset, reader->window, want, err);
		if (code != 0)
			return code;
		reader->window_begin = offset;
		reader->window_size = want;
	}
	*ret_bytes = reader->window + (offset - reader->window_begin);
	return 0;
}

static int take(struct fit_reader *reader, size_t size, const uint8_t **ret_bytes, struct weir_error *err)
{
	if (size > reader->data_end - reader->at)
		return corrupt(reader, reader->at, err, "a record runs past the end of its part");
	int code = fetch(reader, reader->at, size, ret_bytes, err);
	if (code == 0)
		reader->at += size;
	return code;
}

static int read_definition(struct fit_reader *reader, uint8_t header, struct weir_error *err)
{
	struct fit_definition *definition = &reader->locals[header & 15];
	const uint8_t *p;
	int code = take(reader, 5, &p, err);
	if (code != 0)
		return code;
	bool big = p[1] == 1;
	*definition = (struct fit_definition){.defined = true, .big_endian = big, .field_count = p[4]};
	uint16_t little = weir_le16(p + 2);
	definition->message = big ? __builtin_bswap16(little) : little;
	code = take(reader, (size_t)definition->field_count * 3, &p, err);
	if (code != 0)
		return code;
	for (uint32_t i = 0; i < definition->field_count; i++, p += 3) {
		definition->fields[i] = (struct fit_field){p[0], p[1], p[2]};
		definition->size_bytes += p[1];
	}
	if ((header & 0x20) == 0)
		return 0;
	code = take(reader, 1, &p, err);
	if (code != 0)
		return code;
	uint32_t count = p[0];
	code = take(reader, (size_t)count * 3, &p, err);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		definition->size_bytes += p[i * 3 + 1];
	return code;
}

/* A number of a message; false where it is not there or invalid. */
static bool get_number(const struct fit_data *data, uint8_t number, double *ret_value)
{
	const uint8_t *p = data->bytes;
	for (uint32_t i = 0; i < data->definition->field_count; i++) {
		const struct fit_field *field = &data->definition->fields[i];
		if (field->number == number)
			return fit_value_read(
				p, field->size, field->base_type, data->definition->big_endian, ret_value);
		p += field->size;
	}
	return false;
}

static int64_t get_integer(const struct fit_data *data, uint8_t number, int64_t otherwise)
{
	double value;
	if (!get_number(data, number, &value) || value < 0 || value > 4294967295.0)
		return otherwise;
	return (int64_t)value;
}

/* The five low bits of a time that is at most 31 s after the last one. */
static void expand_time(struct fit_reader *reader, uint8_t header, struct fit_data *data)
{
	uint32_t offset = header & 31;
	if (!reader->has_time)
		return;
	reader->last_time += (offset - reader->last_time) & 31;
	data->has_time = true;
	data->time = reader->last_time;
}

/* The next data message of the part; definition NULL at its end. */
static int step(struct fit_reader *reader, struct fit_data *ret_data, struct weir_error *err)
{
	const uint8_t *p;
	*ret_data = (struct fit_data){0};
	while (reader->at < reader->data_end) {
		uint64_t offset = reader->at;
		int code = take(reader, 1, &p, err);
		if (code != 0)
			return code;
		uint8_t header = p[0];
		bool compressed = (header & 0x80) != 0;
		if (!compressed && (header & 0x40) != 0) {
			code = read_definition(reader, header, err);
			if (code != 0)
				return code;
			continue;
		}
		const struct fit_definition *definition = &reader->locals[compressed ? header >> 5 & 3 : header & 15];
		if (!definition->defined)
			return corrupt(reader, offset, err, "a data message comes before its definition");
		code = take(reader, definition->size_bytes, &p, err);
		if (code != 0)
			return code;
		*ret_data = (struct fit_data){definition, p, offset, false, 0};
		int64_t time = get_integer(ret_data, FIT_FIELD_TIMESTAMP, -1);
		if (time >= 0) {
			reader->has_time = ret_data->has_time = true;
			reader->last_time = ret_data->time = (uint32_t)time;
		} else if (compressed) {
			expand_time(reader, header, ret_data);
		}
		return 0;
	}
	return 0;
}

static void enter_part(struct fit_reader *reader, size_t part)
{
	reader->part = part;
	reader->at = reader->parts[part].data_begin;
	reader->data_end = reader->parts[part].data_end;
	memset(reader->locals, 0, sizeof reader->locals);
	reader->has_time = false;
	reader->last_time = 0;
	reader->sport = reader->sub_sport = -1;
	reader->distance_raw = reader->distance_sum = 0;
}

static int check_crc(struct fit_reader *reader, uint64_t begin, uint64_t end, struct weir_error *err)
{
	uint16_t crc = 0;
	const uint8_t *p;
	int code;
	for (uint64_t at = begin; at < end;) {
		size_t size = end - at < 65536 ? (size_t)(end - at) : 65536;
		code = fetch(reader, at, size, &p, err);
		if (code != 0)
			return code;
		crc = fit_crc16(crc, p, size);
		at += size;
	}
	code = fetch(reader, end, 2, &p, err);
	if (code == 0 && weir_le16(p) != crc)
		code = corrupt(reader, end, err, "the checksum of the file is wrong");
	return code;
}

/* Header and checksums of the part at *offset, which moves behind it. */
static int check_part(struct fit_reader *reader, uint64_t *offset, struct weir_error *err)
{
	uint64_t begin = *offset, size = reader->source.size_bytes;
	const uint8_t *p;
	if (size - begin < 14)
		return corrupt(reader, begin, err, "the file is cut within a header");
	int code = fetch(reader, begin, 14, &p, err);
	if (code != 0)
		return code;
	uint8_t header_size = p[0];
	if (header_size < 12 || memcmp(p + 8, ".FIT", 4) != 0)
		return corrupt(reader, begin, err, "there is no FIT header");
	if (header_size >= 14 && weir_le16(p + 12) != 0 && weir_le16(p + 12) != fit_crc16(0, p, 12))
		return corrupt(reader, begin + 12, err, "the checksum of the header is wrong");
	uint64_t data_end = begin + header_size + weir_le32(p + 4);
	if (data_end + 2 > size)
		return corrupt(reader, size, err, "the file is cut: its header promises more bytes");
	code = check_crc(reader, begin, data_end, err);
	if (code != 0)
		return code;
	if (reader->part_count >= FIT_MAX_SPANS)
		return weir_fail_at(err, WEIR_E_LIMIT, reader->source.name, begin, "more than 65,536 chained parts");
	WEIR_GROW(reader->parts, reader->part_count, reader->part_capacity);
	reader->parts[reader->part_count++] = (struct fit_part){.data_begin = begin + header_size,
		.data_end = data_end,
		.manufacturer = -1,
		.product = -1,
		.serial = -1};
	*offset = data_end + 2;
	return 0;
}

static void gather_file_id(struct fit_part *part, const struct fit_data *data)
{
	const uint8_t *p = data->bytes;
	part->manufacturer = get_integer(data, 1, -1);
	part->product = get_integer(data, 2, -1);
	part->serial = get_integer(data, 3, -1);
	for (uint32_t i = 0; i < data->definition->field_count; i++) {
		const struct fit_field *field = &data->definition->fields[i];
		if (field->number == 8 && (field->base_type & 31) == 7) {
			size_t size = strnlen((const char *)p, field->size);
			size = size < sizeof part->product_name ? size : sizeof part->product_name - 1;
			if (weir_utf8_valid((struct weir_str){(const char *)p, size})) {
				memcpy(part->product_name, p, size);
				part->product_name[size] = '\0';
			}
		}
		p += field->size;
	}
}

/* What the first pass keeps of a message. */
static int gather(struct fit_reader *reader, const struct fit_data *data, struct weir_error *err)
{
	uint16_t message = data->definition->message;
	if (message == FIT_FILE_ID)
		gather_file_id(&reader->parts[reader->part], data);
	if (message != FIT_SESSION && message != FIT_LAP)
		return 0;
	if (reader->session_count >= FIT_MAX_SPANS || reader->lap_count >= FIT_MAX_SPANS)
		return weir_fail_at(
			err, WEIR_E_LIMIT, reader->source.name, data->offset, "more than 65,536 sessions or laps");
	uint32_t start = (uint32_t)get_integer(data, 2, 0), part = (uint32_t)reader->part;
	if (message == FIT_LAP) {
		WEIR_GROW(reader->laps, reader->lap_count, reader->lap_capacity);
		reader->laps[reader->lap_count++] = (struct fit_lap){part, start};
	} else {
		WEIR_GROW(reader->sessions, reader->session_count, reader->session_capacity);
		reader->sessions[reader->session_count++] = (struct fit_session){
			part, start, (int32_t)get_integer(data, 5, -1), (int32_t)get_integer(data, 6, -1)};
	}
	return 0;
}

static int by_part_and_start(const void *a, const void *b)
{
	/* Sessions and laps both begin with part and start. */
	const uint32_t *x = a, *y = b;
	if (x[0] != y[0])
		return x[0] < y[0] ? -1 : 1;
	return x[1] < y[1] ? -1 : x[1] > y[1];
}

static int check_all(struct fit_reader *reader, struct weir_error *err)
{
	struct fit_data data;
	int code = 0;
	uint64_t offset = 0;
	do {
		code = check_part(reader, &offset, err);
		if (code != 0)
			return code;
		enter_part(reader, reader->part_count - 1);
		while ((code = step(reader, &data, err)) == 0 && data.definition != NULL)
			if ((code = gather(reader, &data, err)) != 0)
				return code;
		if (code != 0)
			return code;
	} while (offset < reader->source.size_bytes);
	if (reader->session_count > 1)
		qsort(reader->sessions, reader->session_count, sizeof *reader->sessions, by_part_and_start);
	if (reader->lap_count > 1)
		qsort(reader->laps, reader->lap_count, sizeof *reader->laps, by_part_and_start);
	return 0;
}

int fit_reader_open(struct weir_byte_source source, struct fit_reader **ret_reader, struct weir_error *err)
{
	struct fit_reader *reader = weir_zalloc(sizeof *reader);
	reader->source = source;
	reader->window = weir_alloc(FIT_WINDOW_BYTES);
	int code = check_all(reader, err);
	if (code != 0) {
		fit_reader_close(reader);
		return code;
	}
	enter_part(reader, 0);
	*ret_reader = reader;
	return 0;
}

void fit_reader_close(struct fit_reader *reader)
{
	if (reader == NULL)
		return;
	free(reader->window);
	free(reader->parts);
	free(reader->sessions);
	free(reader->laps);
	free(reader);
}

/* The last of the part's spans that began by the time, or the part's first; -1 where the part has none. Spans are
 * sorted. */
static ptrdiff_t find_span(const struct fit_reader *reader, const void *spans, size_t count, size_t size, uint32_t time)
{
	size_t low = 0, high = count;
	uint32_t key[2] = {(uint32_t)reader->part, time};
	while (low < high) { /* the first span that begins after the point */
		size_t middle = (low + high) / 2;
		if (by_part_and_start((const char *)spans + middle * size, key) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	const uint32_t *before = (const void *)((const char *)spans + (low > 0 ? low - 1 : 0) * size);
	const uint32_t *after = (const void *)((const char *)spans + low * size);
	if (low > 0 && before[0] == reader->part)
		return (ptrdiff_t)(low - 1);
	return low < count && after[0] == reader->part ? (ptrdiff_t)low : -1;
}

/* A point without time is in its part's first session. */
static const struct fit_session *find_session(const struct fit_reader *reader, bool has_time, uint32_t time)
{
	ptrdiff_t index = find_span(
		reader, reader->sessions, reader->session_count, sizeof *reader->sessions, has_time ? time : 0);
	return index >= 0 ? &reader->sessions[index] : NULL;
}

/* The lap's number in the file, or -1 where the part has none. */
static int32_t find_lap(const struct fit_reader *reader, uint32_t time)
{
	return (int32_t)find_span(reader, reader->laps, reader->lap_count, sizeof *reader->laps, time);
}

static void put_sport(struct fit_reader *reader, const struct fit_data *data, struct weir_builder *builder)
{
	const struct fit_session *session = find_session(reader, data->has_time, data->time);
	int32_t sport = session != NULL && session->sport >= 0 ? session->sport : reader->sport;
	int32_t sub_sport = session != NULL && session->sub_sport >= 0 ? session->sub_sport : reader->sub_sport;
	char buffer[16];
	if (sport >= 0)
		weir_builder_str(builder, DEVICE_SPORT, fit_sport_name((uint32_t)sport, buffer));
	if (sub_sport >= 0)
		weir_builder_str(builder, DEVICE_SUB_SPORT, fit_sub_sport_name((uint32_t)sub_sport, buffer));
}

static void put_device(const struct fit_part *part, struct weir_builder *builder)
{
	char buffer[24];
	if (part->manufacturer >= 0)
		weir_builder_str(
			builder, DEVICE_MANUFACTURER, fit_manufacturer_name((uint32_t)part->manufacturer, buffer));
	if (part->product_name[0] != '\0') {
		weir_builder_str(builder, DEVICE_PRODUCT, weir_str_from(part->product_name));
	} else if (part->product >= 0) {
		snprintf(buffer, sizeof buffer, "%lld", (long long)part->product);
		weir_builder_str(builder, DEVICE_PRODUCT, weir_str_from(buffer));
	}
	if (part->serial >= 0) {
		snprintf(buffer, sizeof buffer, "%lld", (long long)part->serial);
		weir_builder_str(builder, DEVICE_SERIAL, weir_str_from(buffer));
	}
}

/* Field 8: twelve bits of speed (/100 m/s), then twelve bits of distance (/16 m) that grow and wrap around. */
static void put_compressed(struct fit_reader *reader, const struct fit_data *data, bool need_speed, bool need_distance,
	struct weir_builder *builder)
{
	const uint8_t *p = data->bytes;
	for (uint32_t i = 0; i < data->definition->field_count; i++) {
		const struct fit_field *field = &data->definition->fields[i];
		if (field->number != 8 || field->size != 3) {
			p += field->size;
			continue;
		}
		if (p[0] == 0xff && p[1] == 0xff && p[2] == 0xff)
			return;
		uint32_t speed = (uint32_t)p[0] | (uint32_t)(p[1] & 15) << 8,
			 distance = (uint32_t)p[1] >> 4 | (uint32_t)p[2] << 4;
		reader->distance_sum += (distance - reader->distance_raw) & 0xfff;
		reader->distance_raw = distance;
		if (need_speed && speed != 0xfff)
			weir_builder_double(builder, DEVICE_SPEED, speed / 100.0);
		if (need_distance)
			weir_builder_double(builder, DEVICE_DISTANCE, reader->distance_sum / 16.0);
		return;
	}
}

/* value = raw / divisor - offset, from the first field that has a valid value. */
static bool put_scaled(const struct fit_data *data, uint8_t first, uint8_t second, double divisor, double offset,
	uint32_t column, struct weir_builder *builder)
{
	double value;
	if (!get_number(data, first, &value) && !get_number(data, second, &value))
		return false;
	weir_builder_double(builder, column, value / divisor - offset);
	return true;
}

static void put_point(struct fit_reader *reader, const struct fit_data *data, struct weir_builder *builder)
{
	double value, fraction;
	weir_builder_i64(builder, DEVICE_ORDINAL, reader->ordinal++);
	if (data->has_time && data->time >= FIT_SYSTEM_TIME)
		weir_builder_i64(builder, DEVICE_TIMESTAMP, (data->time + FIT_EPOCH_SECONDS) * WEIR_US_PER_SECOND);
	put_scaled(data, 0, 0, 2147483648.0 / 180, 0, DEVICE_LAT, builder);
	put_scaled(data, 1, 1, 2147483648.0 / 180, 0, DEVICE_LON, builder);
	put_scaled(data, 78, 2, 5, 500, DEVICE_ALTITUDE, builder);
	put_scaled(data, 3, 3, 1, 0, DEVICE_HEART_RATE, builder);
	if (get_number(data, 4, &value))
		weir_builder_double(
			builder, DEVICE_CADENCE, value + (get_number(data, 53, &fraction) ? fraction / 128 : 0));
	put_scaled(data, 7, 7, 1, 0, DEVICE_POWER, builder);
	bool has_speed = put_scaled(data, 73, 6, 1000, 0, DEVICE_SPEED, builder);
	bool has_distance = put_scaled(data, 5, 5, 100, 0, DEVICE_DISTANCE, builder);
	put_compressed(reader, data, !has_speed, !has_distance, builder);
	put_scaled(data, 13, 13, 1, 0, DEVICE_TEMPERATURE, builder);
	if (!put_scaled(data, 108, 108, 100, 0, DEVICE_RESPIRATION, builder))
		put_scaled(data, 99, 99, 1, 0, DEVICE_RESPIRATION, builder);
	put_scaled(data, 139, 139, 100, 0, DEVICE_CORE_TEMPERATURE, builder);
	int32_t lap = data->has_time ? find_lap(reader, data->time) : -1;
	if (lap >= 0)
		weir_builder_i64(builder, DEVICE_LAP, lap);
	put_sport(reader, data, builder);
	put_device(&reader->parts[reader->part], builder);
	weir_builder_end_row(builder);
}

int fit_reader_fill(struct fit_reader *reader, struct weir_builder *builder, struct weir_error *err)
{
	struct fit_data data;
	while (!weir_builder_full(builder)) {
		int code = step(reader, &data, err);
		if (code != 0)
			return code;
		if (data.definition == NULL) {
			if (reader->part + 1 >= reader->part_count)
				return 0;
			enter_part(reader, reader->part + 1);
		} else if (data.definition->message == FIT_SPORT) {
			reader->sport = (int32_t)get_integer(&data, 0, -1);
			reader->sub_sport = (int32_t)get_integer(&data, 1, -1);
		} else if (data.definition->message == FIT_RECORD) {
			put_point(reader, &data, builder);
		}
	}
	return 0;
}
