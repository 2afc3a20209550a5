/*
 * Files of fitness devices -> record batches of points: Garmin FIT, TCX and GPX. Names begin with
 * device_. A reader streams: it holds one batch and its parser's state, whatever the file's size.
 *
 * Every format yields the same relation (device_schema), one row a trackpoint or FIT record; what the
 * file does not have is null. Which of it becomes an event is decided by the lake's SQL.
 */
#ifndef WEIR_FORMAT_DEVICE_H
#define WEIR_FORMAT_DEVICE_H

#include "base/buf.h"
#include "column/batch.h"

enum device_format { DEVICE_FIT, DEVICE_TCX, DEVICE_GPX };

/* Column indices of device_schema(). */
enum device_column {
	DEVICE_ORDINAL,          /* long, required: number of the point in the file, from 0 */
	DEVICE_TIMESTAMP,        /* timestamptz; null where the point has none */
	DEVICE_SPORT,            /* string: "running", "cycling", ... as the file's activity says, lower case */
	DEVICE_SUB_SPORT,        /* string */
	DEVICE_LAT,              /* double, degrees */
	DEVICE_LON,              /* double, degrees */
	DEVICE_ALTITUDE,         /* double, m */
	DEVICE_HEART_RATE,       /* double, bpm */
	DEVICE_CADENCE,          /* double, rpm (fractional part added) */
	DEVICE_POWER,            /* double, W */
	DEVICE_SPEED,            /* double, m/s */
	DEVICE_DISTANCE,         /* double, m from the start */
	DEVICE_TEMPERATURE,      /* double, degrees Celsius */
	DEVICE_RESPIRATION,      /* double, breaths a minute */
	DEVICE_CORE_TEMPERATURE, /* double, degrees Celsius */
	DEVICE_LAP,              /* int, from 0; by the laps' starts (FIT), Lap elements (TCX); null in GPX */
	DEVICE_MANUFACTURER,     /* string: FIT's manufacturer by name where known, else its number */
	DEVICE_PRODUCT,          /* string: product name or number; creator (GPX, TCX) */
	DEVICE_SERIAL,           /* string: the device's serial number, for content ids */
	DEVICE_COLUMNS,
};

const struct weir_schema *device_schema(void);

struct device_reader;

/*
 * FIT is checked whole before its first point: header, both CRCs of each chained part, and the
 * lengths of all records (so source must be seekable); a wrong CRC or a cut end is WEIR_E_CORRUPT
 * with its offset. TCX and GPX are read through first as well, for the devices that TCX names after its
 * points; broken XML is WEIR_E_CORRUPT with its offset, and so is any entity declaration. A value that is
 * no number or time, or FIT's "invalid", is null. FIT's system time (before 1998 as a date) has no
 * calendar: such points have no timestamp.
 */
int device_reader_open(enum device_format format, struct weir_byte_source source, struct device_reader **ret_reader,
	struct weir_error *err);
/* The next batch of points, owned by itself; NULL at the end. */
int device_reader_next(struct device_reader *reader, struct weir_batch **ret_batch, struct weir_error *err);
void device_reader_close(struct device_reader *reader);

/* Looks at the first bytes: FIT by its magic, TCX and GPX by their root element. False where it is none of them. */
bool device_format_detect(const void *head, size_t size_bytes, enum device_format *ret_format);

#endif
