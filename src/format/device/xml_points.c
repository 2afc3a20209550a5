/*
 * TCX (Garmin TrainingCenterDatabase v2) and GPX (1.0 and 1.1) by expat, as they stream.
 *
 * Elements are known by their local names, whatever prefix a writer chose. Two passes: the first checks
 * that the file is well-formed and notes each activity's device, which TCX names after its points; the
 * second makes the points, and suspends the parser whenever a batch is full. An entity declaration ends
 * either pass: no file of a device needs one, and expansion is how XML is made to explode.
 */
#include <expat.h>
#include <stdlib.h>

#include "base/time.h"
#include "format/device/device_int.h"

#define XML_CHUNK_BYTES    65536
#define XML_MAX_DEPTH      128
#define XML_MAX_TEXT       4096 /* of one value */
#define XML_MAX_ACTIVITIES 65536

/* Elements whose place or text matters. */
enum element {
	ELEMENT_OTHER,
	ELEMENT_GPX,
	ELEMENT_TRACK, /* trk, Activity */
	ELEMENT_LAP,
	ELEMENT_POINT, /* trkpt, Trackpoint */
	ELEMENT_CREATOR,
	ELEMENT_HEART_RATE_BPM,
	ELEMENT_TEXT, /* all from here on have text that is kept */
	ELEMENT_TIME,
	ELEMENT_LAT,
	ELEMENT_LON,
	ELEMENT_ALTITUDE,
	ELEMENT_HEART_RATE,
	ELEMENT_VALUE,
	ELEMENT_CADENCE,
	ELEMENT_RUN_CADENCE,
	ELEMENT_POWER,
	ELEMENT_SPEED,
	ELEMENT_DISTANCE,
	ELEMENT_TEMPERATURE,
	ELEMENT_RESPIRATION,
	ELEMENT_CORE_TEMPERATURE,
	ELEMENT_TYPE,
	ELEMENT_NAME,
	ELEMENT_UNIT_ID,
};

struct element_name {
	const char *name;
	enum element element;
};

static const struct element_name tcx_names[] = {{"Activity", ELEMENT_TRACK}, {"Lap", ELEMENT_LAP},
	{"Trackpoint", ELEMENT_POINT}, {"Creator", ELEMENT_CREATOR}, {"HeartRateBpm", ELEMENT_HEART_RATE_BPM},
	{"Value", ELEMENT_VALUE}, {"Time", ELEMENT_TIME}, {"LatitudeDegrees", ELEMENT_LAT},
	{"LongitudeDegrees", ELEMENT_LON}, {"AltitudeMeters", ELEMENT_ALTITUDE}, {"DistanceMeters", ELEMENT_DISTANCE},
	{"Cadence", ELEMENT_CADENCE}, {"RunCadence", ELEMENT_RUN_CADENCE}, {"Speed", ELEMENT_SPEED},
	{"Watts", ELEMENT_POWER}, {"Name", ELEMENT_NAME}, {"UnitId", ELEMENT_UNIT_ID}};

/* gpxtpx 1 and 2, Garmin's and Strava's power, Cluetrust's gpxdata, and plain names of other writers. */
static const struct element_name gpx_names[] = {{"gpx", ELEMENT_GPX}, {"trk", ELEMENT_TRACK}, {"trkpt", ELEMENT_POINT},
	{"time", ELEMENT_TIME}, {"ele", ELEMENT_ALTITUDE}, {"hr", ELEMENT_HEART_RATE},
	{"heartrate", ELEMENT_HEART_RATE}, {"cad", ELEMENT_CADENCE}, {"cadence", ELEMENT_CADENCE},
	{"atemp", ELEMENT_TEMPERATURE}, {"temp", ELEMENT_TEMPERATURE}, {"speed", ELEMENT_SPEED},
	{"distance", ELEMENT_DISTANCE}, {"power", ELEMENT_POWER}, {"watts", ELEMENT_POWER},
	{"PowerInWatts", ELEMENT_POWER}, {"respiration", ELEMENT_RESPIRATION},
	{"core_temperature", ELEMENT_CORE_TEMPERATURE}, {"type", ELEMENT_TYPE}};

struct xml_device {
	struct weir_str product, serial;
};

struct xml_reader {
	enum device_format format;
	struct weir_byte_source source;
	struct weir_arena *arena; /* of devices and the current sport */
	XML_Parser parser;
	uint64_t offset; /* bytes given to the parser */
	bool suspended, ended;
	bool gathering; /* the first pass */
	struct weir_builder *builder;
	int code; /* of the first failure inside a handler */
	uint64_t code_offset;
	const char *code_problem;

	enum element stack[XML_MAX_DEPTH];
	unsigned depth;
	struct weir_buf text;
	bool in_point, in_creator;
	struct xml_device *devices; /* one an activity */
	size_t device_count, device_capacity;
	size_t track_count, lap_count; /* begun so far */
	int64_t ordinal;
	char sport[64];
	bool has_sport;

	bool has_time;
	int64_t time_us;
	uint32_t has; /* bit of each column of numbers */
	double values[DEVICE_COLUMNS];
};

static void stop(struct xml_reader *reader, int code, const char *problem)
{
	if (reader->code != 0)
		return;
	reader->code = code;
	reader->code_offset = (uint64_t)XML_GetCurrentByteIndex(reader->parser);
	reader->code_problem = problem;
	XML_StopParser(reader->parser, XML_FALSE);
}

static enum element look_up(const struct xml_reader *reader, const char *name)
{
	const struct element_name *names = reader->format == DEVICE_TCX ? tcx_names : gpx_names;
	size_t count = reader->format == DEVICE_TCX ? sizeof tcx_names / sizeof tcx_names[0]
						    : sizeof gpx_names / sizeof gpx_names[0];
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].element;
	return ELEMENT_OTHER;
}

static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');
	return colon != NULL ? colon + 1 : name;
}

static const char *attribute(const char **attributes, const char *name)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strcmp(local_name(attributes[0]), name) == 0)
			return attributes[1];
	return NULL;
}

/* A decimal number of XML Schema: JSON's, with a plus, leading zeros or a bare point allowed; no "NaN". */
static bool parse_number(struct weir_str text, double *ret_value)
{
	char copy[64], *end;
	if (text.size == 0 || text.size >= sizeof copy)
		return false;
	for (size_t i = 0; i < text.size; i++)
		if (memchr("0123456789+-.eE", text.data[i], 15) == NULL)
			return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	*ret_value = strtod(copy, &end);
	return end == copy + text.size && *ret_value - *ret_value == 0;
}

static void set_number(struct xml_reader *reader, enum device_column column, struct weir_str text, bool overwrite)
{
	double value;
	if (((reader->has >> column & 1) != 0 && !overwrite) || !parse_number(text, &value))
		return;
	reader->values[column] = value;
	reader->has |= 1U << column;
}

/* TCX says "Biking"; elsewhere it is what the file says, in lower case. */
static void set_sport(struct xml_reader *reader, struct weir_str text)
{
	reader->has_sport = text.size > 0 && text.size < sizeof reader->sport;
	if (!reader->has_sport)
		return;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		reader->sport[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
	}
	reader->sport[text.size] = '\0';
	if (reader->format == DEVICE_TCX && strcmp(reader->sport, "biking") == 0)
		memcpy(reader->sport, "cycling", sizeof "cycling");
}

static void begin_track(struct xml_reader *reader, const char **attributes)
{
	const char *sport = attribute(attributes, "Sport");
	reader->track_count++;
	reader->has_sport = false;
	if (reader->format == DEVICE_TCX)
		set_sport(reader, weir_str_from(sport));
	if (!reader->gathering || reader->format != DEVICE_TCX)
		return;
	if (reader->device_count >= XML_MAX_ACTIVITIES) {
		stop(reader, WEIR_E_LIMIT, "more than 65,536 activities");
		return;
	}
	WEIR_GROW(reader->devices, reader->device_count, reader->device_capacity);
	reader->devices[reader->device_count++] = (struct xml_device){0};
}

static void begin_point(struct xml_reader *reader, const char **attributes)
{
	reader->in_point = true;
	reader->has_time = false;
	reader->has = 0;
	if (reader->format == DEVICE_GPX) {
		set_number(reader, DEVICE_LAT, weir_str_trim(weir_str_from(attribute(attributes, "lat"))), true);
		set_number(reader, DEVICE_LON, weir_str_trim(weir_str_from(attribute(attributes, "lon"))), true);
	}
}

static void begin_gpx(struct xml_reader *reader, const char **attributes)
{
	const char *creator = attribute(attributes, "creator");
	if (!reader->gathering || reader->device_count > 0)
		return;
	WEIR_GROW(reader->devices, reader->device_count, reader->device_capacity);
	reader->devices[reader->device_count++] = (struct xml_device){
		.product = weir_arena_str(reader->arena, weir_str_from(creator != NULL ? creator : ""))};
}

static void XMLCALL on_start(void *context, const char *name, const char **attributes)
{
	struct xml_reader *reader = context;
	const char *local = local_name(name);
	enum element element = look_up(reader, local);
	if (reader->code != 0)
		return;
	if (reader->depth >= XML_MAX_DEPTH) {
		stop(reader, WEIR_E_LIMIT, "elements are nested deeper than 128");
		return;
	}
	if (reader->depth == 0) {
		const char *root = reader->format == DEVICE_TCX ? "TrainingCenterDatabase" : "gpx";
		if (strcmp(local, root) != 0) {
			stop(reader, WEIR_E_INPUT,
				reader->format == DEVICE_TCX ? "this is no TCX file" : "this is no GPX file");
			return;
		}
	}
	reader->stack[reader->depth++] = element;
	reader->text.size = 0;
	if (element == ELEMENT_GPX)
		begin_gpx(reader, attributes);
	else if (element == ELEMENT_TRACK)
		begin_track(reader, attributes);
	else if (element == ELEMENT_LAP)
		reader->lap_count++;
	else if (element == ELEMENT_POINT)
		begin_point(reader, attributes);
	else if (element == ELEMENT_CREATOR)
		reader->in_creator = true;
}

static void XMLCALL on_text(void *context, const char *text, int size)
{
	struct xml_reader *reader = context;
	if (reader->depth == 0 || reader->stack[reader->depth - 1] < ELEMENT_TEXT)
		return;
	if (reader->text.size + (size_t)size <= XML_MAX_TEXT)
		weir_buf_append(&reader->text, text, (size_t)size);
}

/* A value of a point. An extension does not replace what the point itself says. */
static void set_value(struct xml_reader *reader, enum element element, enum element parent, struct weir_str text)
{
	static const struct {
		enum element element;
		enum device_column column;
	} columns[] = {{ELEMENT_LAT, DEVICE_LAT}, {ELEMENT_LON, DEVICE_LON}, {ELEMENT_ALTITUDE, DEVICE_ALTITUDE},
		{ELEMENT_HEART_RATE, DEVICE_HEART_RATE}, {ELEMENT_CADENCE, DEVICE_CADENCE},
		{ELEMENT_RUN_CADENCE, DEVICE_CADENCE}, {ELEMENT_POWER, DEVICE_POWER}, {ELEMENT_SPEED, DEVICE_SPEED},
		{ELEMENT_DISTANCE, DEVICE_DISTANCE}, {ELEMENT_TEMPERATURE, DEVICE_TEMPERATURE},
		{ELEMENT_RESPIRATION, DEVICE_RESPIRATION}, {ELEMENT_CORE_TEMPERATURE, DEVICE_CORE_TEMPERATURE}};
	if (element == ELEMENT_TIME && parent == ELEMENT_POINT)
		reader->has_time = weir_time_parse(text, WEIR_ZONE_UTC, &reader->time_us);
	if (element == ELEMENT_VALUE && parent == ELEMENT_HEART_RATE_BPM)
		set_number(reader, DEVICE_HEART_RATE, text, false);
	for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
		if (columns[i].element == element)
			set_number(reader, columns[i].column, text, parent == ELEMENT_POINT);
}

static void end_point(struct xml_reader *reader)
{
	struct weir_builder *builder = reader->builder;
	reader->in_point = false;
	if (reader->gathering)
		return;
	weir_builder_i64(builder, DEVICE_ORDINAL, reader->ordinal++);
	if (reader->has_time)
		weir_builder_i64(builder, DEVICE_TIMESTAMP, reader->time_us);
	if (reader->has_sport)
		weir_builder_str(builder, DEVICE_SPORT, weir_str_from(reader->sport));
	for (uint32_t i = DEVICE_LAT; i <= DEVICE_CORE_TEMPERATURE; i++)
		if ((reader->has >> i & 1) != 0)
			weir_builder_double(builder, i, reader->values[i]);
	if (reader->lap_count > 0)
		weir_builder_i64(builder, DEVICE_LAP, (int64_t)reader->lap_count - 1);
	size_t index = reader->format == DEVICE_TCX ? reader->track_count - 1 : 0;
	if (index < reader->device_count && reader->devices[index].product.size > 0)
		weir_builder_str(builder, DEVICE_PRODUCT, reader->devices[index].product);
	if (index < reader->device_count && reader->devices[index].serial.size > 0)
		weir_builder_str(builder, DEVICE_SERIAL, reader->devices[index].serial);
	weir_builder_end_row(builder);
	if (weir_builder_full(builder)) {
		reader->suspended = true;
		XML_StopParser(reader->parser, XML_TRUE);
	}
}

static void XMLCALL on_end(void *context, const char *name)
{
	struct xml_reader *reader = context;
	(void)name;
	if (reader->code != 0 || reader->depth == 0)
		return;
	enum element element = reader->stack[--reader->depth];
	enum element parent = reader->depth > 0 ? reader->stack[reader->depth - 1] : ELEMENT_OTHER;
	struct weir_str text = weir_str_trim(weir_buf_str(&reader->text));
	reader->text.size = 0;
	if (element == ELEMENT_POINT) {
		end_point(reader);
	} else if (element == ELEMENT_CREATOR) {
		reader->in_creator = false;
	} else if (reader->in_point && element > ELEMENT_TEXT) {
		set_value(reader, element, parent, text);
	} else if (element == ELEMENT_TYPE && parent == ELEMENT_TRACK) {
		set_sport(reader, text);
	} else if (reader->gathering && reader->in_creator && parent == ELEMENT_CREATOR && reader->device_count > 0) {
		struct xml_device *device = &reader->devices[reader->device_count - 1];
		if (element == ELEMENT_NAME)
			device->product = weir_arena_str(reader->arena, text);
		else if (element == ELEMENT_UNIT_ID)
			device->serial = weir_arena_str(reader->arena, text);
	}
}

static void XMLCALL on_entity(void *context, const char *name, int is_parameter, const char *value, int size,
	const char *base, const char *system, const char *public, const char *notation)
{
	(void)name, (void)is_parameter, (void)value, (void)size, (void)base, (void)system, (void)public, (void)notation;
	stop(context, WEIR_E_CORRUPT, "the file declares an entity, which is not accepted");
}

static int begin_pass(struct xml_reader *reader, bool gathering, struct weir_error *err)
{
	if (reader->parser != NULL)
		XML_ParserFree(reader->parser);
	reader->parser = XML_ParserCreate(NULL);
	if (reader->parser == NULL)
		return weir_fail(err, WEIR_E_NO_MEMORY, "no memory for an XML parser");
	XML_SetUserData(reader->parser, reader);
	XML_SetElementHandler(reader->parser, on_start, on_end);
	XML_SetCharacterDataHandler(reader->parser, on_text);
	XML_SetEntityDeclHandler(reader->parser, on_entity);
	reader->gathering = gathering;
	reader->offset = 0;
	reader->depth = 0;
	reader->in_point = reader->in_creator = reader->suspended = reader->ended = reader->has_sport = false;
	reader->track_count = reader->lap_count = 0;
	return 0;
}

static int parser_failure(struct xml_reader *reader, struct weir_error *err)
{
	if (reader->code != 0)
		return weir_fail_at(
			err, reader->code, reader->source.name, reader->code_offset, "%s", reader->code_problem);
	return weir_fail_at(err, WEIR_E_CORRUPT, reader->source.name, (uint64_t)XML_GetCurrentByteIndex(reader->parser),
		"the XML is broken: %s", XML_ErrorString(XML_GetErrorCode(reader->parser)));
}

/* Parses until the end, a full batch, or a failure. */
static int run(struct xml_reader *reader, struct weir_error *err)
{
	while (!reader->ended) {
		enum XML_Status status;
		bool last;
		if (reader->suspended) {
			reader->suspended = false;
			status = XML_ResumeParser(reader->parser);
			last = reader->offset == reader->source.size_bytes;
		} else {
			uint64_t left = reader->source.size_bytes - reader->offset;
			size_t size = left < XML_CHUNK_BYTES ? (size_t)left : XML_CHUNK_BYTES;
			void *chunk = XML_GetBuffer(reader->parser, XML_CHUNK_BYTES);
			if (chunk == NULL)
				return weir_fail(err, WEIR_E_NO_MEMORY, "no memory for an XML parser");
			int code = size > 0 ? reader->source.read(reader->source.self, reader->offset, chunk, size, err)
					    : 0;
			if (code != 0)
				return code;
			reader->offset += size;
			last = reader->offset == reader->source.size_bytes;
			status = XML_ParseBuffer(reader->parser, (int)size, last);
		}
		if (status == XML_STATUS_ERROR)
			return parser_failure(reader, err);
		if (status == XML_STATUS_SUSPENDED)
			return 0;
		reader->ended = last;
	}
	return 0;
}

int xml_reader_open(enum device_format format, struct weir_byte_source source, struct xml_reader **ret_reader,
	struct weir_error *err)
{
	struct xml_reader *reader = weir_zalloc(sizeof *reader);
	reader->format = format;
	reader->source = source;
	reader->arena = weir_arena_new(4096);
	int code = begin_pass(reader, true, err);
	if (code == 0)
		code = run(reader, err);
	if (code == 0)
		code = begin_pass(reader, false, err);
	if (code != 0) {
		xml_reader_close(reader);
		return code;
	}
	*ret_reader = reader;
	return 0;
}

int xml_reader_fill(struct xml_reader *reader, struct weir_builder *builder, struct weir_error *err)
{
	reader->builder = builder;
	return run(reader, err);
}

void xml_reader_close(struct xml_reader *reader)
{
	if (reader == NULL)
		return;
	if (reader->parser != NULL)
		XML_ParserFree(reader->parser);
	weir_buf_done(&reader->text);
	weir_arena_free(reader->arena);
	free(reader->devices);
	free(reader);
}
