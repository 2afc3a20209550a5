/* FIT's base types, its checksum, and names of its numbers (FIT protocol, "Base Types" and "Profile"). */
#include <stdio.h>

#include "format/device/device_int.h"

uint16_t fit_crc16(uint16_t crc, const uint8_t *data, size_t size)
{
	static const uint16_t table[16] = {0x0000, 0xcc01, 0xd801, 0x1400, 0xf001, 0x3c00, 0x2800, 0xe401, 0xa001,
		0x6c00, 0x7800, 0xb401, 0x5000, 0x9c01, 0x8801, 0x4400};
	for (size_t i = 0; i < size; i++) {
		crc = (uint16_t)(crc >> 4 ^ table[crc & 15] ^ table[data[i] & 15]);
		crc = (uint16_t)(crc >> 4 ^ table[crc & 15] ^ table[data[i] >> 4]);
	}
	return crc;
}

enum kind { TYPE_NONE, TYPE_UNSIGNED, TYPE_SIGNED, TYPE_FLOAT };

/* By the low five bits of the base type. `zero` marks the z types, whose invalid value is 0. */
static const struct {
	uint8_t kind, size;
	bool zero;
} types[32] = {
	[0x00] = {TYPE_UNSIGNED, 1, false}, /* enum */
	[0x01] = {TYPE_SIGNED, 1, false},
	[0x02] = {TYPE_UNSIGNED, 1, false},
	[0x03] = {TYPE_SIGNED, 2, false},
	[0x04] = {TYPE_UNSIGNED, 2, false},
	[0x05] = {TYPE_SIGNED, 4, false},
	[0x06] = {TYPE_UNSIGNED, 4, false},
	[0x08] = {TYPE_FLOAT, 4, false},
	[0x09] = {TYPE_FLOAT, 8, false},
	[0x0a] = {TYPE_UNSIGNED, 1, true},
	[0x0b] = {TYPE_UNSIGNED, 2, true},
	[0x0c] = {TYPE_UNSIGNED, 4, true},
	[0x0d] = {TYPE_UNSIGNED, 1, false}, /* byte */
	[0x0e] = {TYPE_SIGNED, 8, false},
	[0x0f] = {TYPE_UNSIGNED, 8, false},
	[0x10] = {TYPE_UNSIGNED, 8, true},
};

bool fit_value_read(const uint8_t *data, unsigned size, uint8_t base_type, bool big_endian, double *ret_value)
{
	unsigned type = base_type & 31, width = types[type].size;
	uint64_t bits = 0;
	if (types[type].kind == TYPE_NONE || size < width || size % width != 0)
		return false;
	for (unsigned i = 0; i < width; i++)
		bits = bits << 8 | data[big_endian ? i : width - 1 - i];
	uint64_t ones = width == 8 ? UINT64_MAX : (1ULL << (width * 8)) - 1;
	if (types[type].kind == TYPE_FLOAT) {
		float single;
		uint32_t low = (uint32_t)bits;
		if (bits == ones)
			return false;
		if (width == 4) {
			memcpy(&single, &low, sizeof single);
			*ret_value = (double)single;
		} else {
			memcpy(ret_value, &bits, sizeof *ret_value);
		}
		return *ret_value - *ret_value == 0; /* finite */
	}
	if (types[type].kind == TYPE_SIGNED) {
		if (bits == ones >> 1)
			return false;
		uint64_t sign = 1ULL << (width * 8 - 1);
		*ret_value = (double)(int64_t)((bits ^ sign) - sign);
		return true;
	}
	*ret_value = (double)bits;
	return bits != (types[type].zero ? 0 : ones);
}

struct number_name {
	uint32_t number;
	const char *name;
};

static struct weir_str look_up(const struct number_name *names, size_t count, uint32_t number, char buffer[16])
{
	for (size_t i = 0; i < count; i++)
		if (names[i].number == number)
			return weir_str_from(names[i].name);
	int size = snprintf(buffer, 16, "%u", number);
	return (struct weir_str){buffer, (size_t)size};
}

struct weir_str fit_sport_name(uint32_t sport, char buffer[16])
{
	static const struct number_name names[] = {{0, "generic"}, {1, "running"}, {2, "cycling"}, {3, "transition"},
		{4, "fitness_equipment"}, {5, "swimming"}, {6, "basketball"}, {7, "soccer"}, {8, "tennis"},
		{9, "american_football"}, {10, "training"}, {11, "walking"}, {12, "cross_country_skiing"},
		{13, "alpine_skiing"}, {14, "snowboarding"}, {15, "rowing"}, {16, "mountaineering"}, {17, "hiking"},
		{18, "multisport"}, {19, "paddling"}, {20, "flying"}, {21, "e_biking"}, {22, "motorcycling"},
		{23, "boating"}, {24, "driving"}, {25, "golf"}, {26, "hang_gliding"}, {27, "horseback_riding"},
		{28, "hunting"}, {29, "fishing"}, {30, "inline_skating"}, {31, "rock_climbing"}, {32, "sailing"},
		{33, "ice_skating"}, {34, "sky_diving"}, {35, "snowshoeing"}, {36, "snowmobiling"},
		{37, "stand_up_paddleboarding"}, {38, "surfing"}, {39, "wakeboarding"}, {40, "water_skiing"},
		{41, "kayaking"}, {42, "rafting"}, {43, "windsurfing"}, {44, "kitesurfing"}, {45, "tactical"},
		{46, "jumpmaster"}, {47, "boxing"}, {48, "floor_climbing"}, {53, "diving"}, {62, "hiit"}};
	return look_up(names, sizeof names / sizeof names[0], sport, buffer);
}

struct weir_str fit_sub_sport_name(uint32_t sub_sport, char buffer[16])
{
	static const struct number_name names[] = {{0, "generic"}, {1, "treadmill"}, {2, "street"}, {3, "trail"},
		{4, "track"}, {5, "spin"}, {6, "indoor_cycling"}, {7, "road"}, {8, "mountain"}, {9, "downhill"},
		{10, "recumbent"}, {11, "cyclocross"}, {12, "hand_cycling"}, {13, "track_cycling"},
		{14, "indoor_rowing"}, {15, "elliptical"}, {16, "stair_climbing"}, {17, "lap_swimming"},
		{18, "open_water"}, {19, "flexibility_training"}, {20, "strength_training"}, {21, "warm_up"},
		{22, "match"}, {23, "exercise"}, {24, "challenge"}, {25, "indoor_skiing"}, {26, "cardio_training"},
		{27, "indoor_walking"}, {28, "e_bike_fitness"}, {29, "bmx"}, {30, "casual_walking"},
		{31, "speed_walking"}, {32, "bike_to_run_transition"}, {33, "run_to_bike_transition"},
		{34, "swim_to_bike_transition"}, {35, "atv"}, {36, "motocross"}, {37, "backcountry"}, {38, "resort"},
		{39, "rc_drone"}, {40, "wingsuit"}, {41, "whitewater"}, {42, "skate_skiing"}, {43, "yoga"},
		{44, "pilates"}, {45, "indoor_running"}, {46, "gravel_cycling"}, {47, "e_bike_mountain"},
		{48, "commuting"}, {49, "mixed_surface"}, {58, "virtual_activity"}};
	return look_up(names, sizeof names / sizeof names[0], sub_sport, buffer);
}

struct weir_str fit_manufacturer_name(uint32_t manufacturer, char buffer[16])
{
	static const struct number_name names[] = {{1, "garmin"}, {2, "garmin_fr405_antfs"}, {3, "zephyr"}, {6, "srm"},
		{7, "quarq"}, {8, "ibike"}, {9, "saris"}, {11, "tanita"}, {13, "dynastream_oem"}, {15, "dynastream"},
		{16, "timex"}, {19, "beurer"}, {23, "suunto"}, {32, "wahoo_fitness"}, {38, "osynce"}, {40, "concept2"},
		{48, "pioneer"}, {63, "specialized"}, {69, "stages_cycling"}, {70, "sigmasport"}, {71, "tomtom"},
		{73, "wattbike"}, {86, "elite"}, {89, "tacx"}, {115, "igpsport"}, {123, "polar_electro"},
		{255, "development"}, {260, "zwift"}, {265, "strava"}, {268, "bryton"}, {294, "coros"}};
	return look_up(names, sizeof names / sizeof names[0], manufacturer, buffer);
}
