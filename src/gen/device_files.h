/*
 * Files as a fitness device would write them, of points that the caller has: for tests and demonstrations of file
 * inputs. Formats: FIT (FIT protocol: file header, definition and data messages, CRC-16), TCX (TrainingCenterDatabase
 * v2), GPX 1.1 with the track point extension for heart rate and cadence.
 */
#ifndef WEIR_GEN_DEVICE_FILES_H
#define WEIR_GEN_DEVICE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct gen_point {
	int64_t time_us;              /* whole seconds are kept in FIT */
	int32_t lat_micro, lon_micro; /* millionths of a degree */
	int32_t heart, watts;         /* watts -1: not measured */
	int32_t cadence;              /* turns of a crank or strides (two steps) a minute */
	int32_t mm_s;
};

enum gen_device_format { GEN_FIT, GEN_TCX, GEN_GPX };

/*
 * One session of a seed, from home round a loop: points at an interval of whole seconds; the start must lie after
 * 1989-12-31, FIT's epoch. The activity is one of "running", "cycling".
 */
struct gen_device_session {
	uint64_t seed;
	int64_t start_us;
	uint32_t points, step_s;
	const char *activity;
	uint32_t serial; /* of the device */
};

/* Appends the session's points as a file of the format to out. */
void gen_write_device_file(
	const struct gen_device_session *session, enum gen_device_format format, struct weir_buf *out);
/* The point at an index of the session, as the files have it: what a test expects to read back. Walks from the first
 * one. */
struct gen_point gen_device_point(const struct gen_device_session *session, uint32_t index);

#endif
