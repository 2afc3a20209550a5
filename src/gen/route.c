#include "gen/route.h"

/* A millimetre along a meridian, in 10^-12 of a degree (the circle is 40,030 km round). */
#define PICO_PER_MM       8993
#define RECEIVER_NOISE_MM 1500

/* sin of 0 to a quarter turn, in 32,768ths. */
static const uint16_t sines[65] = {0, 804, 1608, 2411, 3212, 4011, 4808, 5602, 6393, 7180, 7962, 8740, 9512, 10279,
	11039, 11793, 12540, 13279, 14010, 14733, 15447, 16151, 16846, 17531, 18205, 18868, 19520, 20160, 20788, 21403,
	22006, 22595, 23170, 23732, 24279, 24812, 25330, 25833, 26320, 26791, 27246, 27684, 28106, 28511, 28899, 29269,
	29622, 29957, 30274, 30572, 30853, 31114, 31357, 31581, 31786, 31972, 32138, 32286, 32413, 32522, 32610, 32679,
	32729, 32758, 32768};

/* Linear between the table's entries: off by less than 10^-4. */
static int32_t sine(int32_t angle)
{
	uint32_t turned = (uint32_t)angle & (ROUTE_TURN - 1);
	uint32_t quarter = turned >> 14;
	uint32_t within = turned & 16383;
	if (quarter & 1)
		within = 16384 - within;
	uint32_t at = within >> 8;
	int32_t value = sines[at];
	if (at < 64)
		value += (sines[at + 1] - sines[at]) * (int32_t)(within & 255) / 256;
	return quarter & 2 ? -value : value;
}

static int32_t cosine(int32_t angle)
{
	return sine(angle + ROUTE_TURN / 4);
}

const struct place *place_at(unsigned index)
{
	static const struct place places[PLACES] = {
		{47376900000, 8541700000, 1477, 60},      /* Zurich */
		{59913900000, 10752200000, 1995, 60},     /* Oslo */
		{-1292100000, 36821900000, 1000, 180},    /* Nairobi */
		{35676200000, 139650300000, 1231, 540},   /* Tokyo */
		{40015000000, -105270500000, 1306, -420}, /* Boulder */
		{41979400000, 2821400000, 1345, 60},      /* Girona */
		{51507400000, -127800000, 1607, 0},       /* London */
		{-33924900000, 18424100000, 1205, 120},   /* Cape Town */
		{-33868800000, 151209300000, 1204, 600},  /* Sydney */
		{39569600000, 2650200000, 1297, 60},      /* Palma */
		{-23550500000, -46633300000, 1091, -180}, /* Sao Paulo */
		{9005400000, 38763600000, 1012, 180},     /* Addis Ababa */
	};
	return &places[index];
}

struct place place_moved(const struct place *place, int64_t north_mm, int64_t east_mm)
{
	struct place moved = *place;
	moved.lat_nano += north_mm * PICO_PER_MM / 1000;
	moved.lon_nano += east_mm * PICO_PER_MM / 1000 * place->meridian_permille / 1000;
	return moved;
}

/* How far from the centre the way runs at an angle: the circle, bent by two waves of a sixth and a twelfth of its
 * radius. */
static int64_t distance_at(const struct route *route, int32_t angle)
{
	int64_t waves = sine(2 * angle + route->phases[0]) / 6 + sine(3 * angle + route->phases[1]) / 12;
	return route->radius_mm + route->radius_mm * waves / 32768;
}

static struct place point_at(const struct route *route, int32_t angle)
{
	struct place centre = {.lat_nano = route->centre_lat_nano,
		.lon_nano = route->centre_lon_nano,
		.meridian_permille = route->meridian_permille};
	int64_t away_mm = distance_at(route, angle);
	return place_moved(&centre, away_mm * cosine(angle) / 32768, away_mm * sine(angle) / 32768);
}

struct route route_around(const struct place *centre, int64_t length_mm, int32_t course)
{
	struct route route = {.centre_lat_nano = centre->lat_nano,
		.centre_lon_nano = centre->lon_nano,
		.radius_mm = length_mm * 10000 / 62832,
		.length_mm = length_mm > 0 ? length_mm : 1,
		.meridian_permille = centre->meridian_permille,
		.rounds = 1,
		.first_angle = course,
		.phases = {5 * course, 11 * course}};
	struct place start = point_at(&route, course);
	route.lat_nano = start.lat_nano;
	route.lon_nano = start.lon_nano;
	return route;
}

struct route route_loop(const struct place *start, int64_t length_mm, int32_t rounds, struct weir_rng *rng)
{
	struct route route = route_around(start, length_mm / rounds, gen_between(rng, 0, ROUTE_TURN - 1));
	/* The way about the start, moved so that its first point is the start. */
	route.centre_lat_nano -= route.lat_nano - start->lat_nano;
	route.centre_lon_nano -= route.lon_nano - start->lon_nano;
	route.lat_nano = start->lat_nano;
	route.lon_nano = start->lon_nano;
	route.length_mm = length_mm > 0 ? length_mm : 1;
	route.rounds = rounds;
	return route;
}

void route_step(struct route *route, int64_t distance_mm, struct weir_rng *rng)
{
	route->done_mm += distance_mm;
	int64_t turned = route->done_mm * ROUTE_TURN / route->length_mm * route->rounds;
	struct place point = point_at(route, route->first_angle + (int32_t)(turned % ROUTE_TURN));
	point = place_moved(&point, gen_noise(rng, RECEIVER_NOISE_MM), gen_noise(rng, RECEIVER_NOISE_MM));
	route->lat_nano = point.lat_nano;
	route->lon_nano = point.lon_nano;
}
