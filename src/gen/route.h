/*
 * Ways over the ground: loops that come back to where they began, in thousand-millionths of a degree and millimetres.
 * A step is a few multiplications; no trigonometry but a table of 64 steps a quarter turn.
 */
#ifndef WEIR_GEN_ROUTE_H
#define WEIR_GEN_ROUTE_H

#include "gen/gen_int.h"

#define ROUTE_TURN 65536 /* a full turn in units of an angle */

struct place {
	int64_t lat_nano, lon_nano;
	int32_t meridian_permille; /* 1000 / cos(lat): degrees of longitude in one of latitude */
	int32_t zone_minutes;      /* local time less UTC */
};

#define PLACES 12u
const struct place *place_at(unsigned index); /* towns, index < PLACES */

struct route {
	int64_t lat_nano, lon_nano; /* where one is, as a receiver sees it: off by a few metres */
	int64_t centre_lat_nano, centre_lon_nano, radius_mm;
	int64_t length_mm, done_mm; /* of all rounds */
	int32_t meridian_permille, rounds;
	int32_t first_angle, phases[2]; /* units of a turn; the phases bend the circle into a way of its own */
};

/* A loop of so many rounds that begins and ends at the place. */
struct route route_loop(const struct place *start, int64_t length_mm, int32_t rounds, struct weir_rng *rng);
/* One round about the place, all of it between 0.7 and 1.3 times length / 2 pi away from it. The course is the same for
 * all. */
struct route route_around(const struct place *centre, int64_t length_mm, int32_t course);
void route_step(struct route *route, int64_t distance_mm, struct weir_rng *rng);
/* Moves a place: for homes around a town's centre. */
struct place place_moved(const struct place *place, int64_t north_mm, int64_t east_mm);

#endif
