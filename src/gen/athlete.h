/* What the files of the athlete generator share: races, devices, rules. */
#ifndef WEIR_GEN_ATHLETE_H
#define WEIR_GEN_ATHLETE_H

#include "gen/physiology.h"
#include "gen/route.h"

/*
 * A race. Those of the lake's lookups/events.csv get their context there, by activity, time and place, unless the
 * sender names it; of the others every event names it.
 */
struct athlete_race {
	const char *name;
	enum athlete_activity activity;
	int year, month, day, hour, hours; /* starts (UTC) and lasts */
	struct place centre;
	int32_t radius_km, course_km;
	bool looked_up; /* is in lookups/events.csv */
};

#define ATHLETE_RACES 13u
const struct athlete_race *athlete_race_at(unsigned index); /* index < ATHLETE_RACES */

struct athlete_device {
	const char *source, *type;
	bool gps, power, oxygen;
};

enum { ATHLETE_WATCHES = 5, ATHLETE_BANDS = 3, ATHLETE_BICYCLE_COMPUTERS = 3 };
#define ATHLETE_DEVICES 11u /* watches, then bands, then bicycle computers */
const struct athlete_device *athlete_device_at(unsigned index);

char *athlete_put_id(char *out, uint32_t athlete);
/* The rules of one athlete; time windows lie around start_day. */
void athlete_rules(uint64_t seed, int32_t start_day, uint32_t athlete, struct weir_buf *out);

#endif
