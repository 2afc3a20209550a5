#include "base/rng.h"

#include <sys/random.h>

#include "base/error.h"

/* splitmix64: spreads a seed over the state. */
static uint64_t split_mix(uint64_t *x)
{
	uint64_t z = (*x += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

struct weir_rng weir_rng_new(uint64_t seed)
{
	struct weir_rng rng;
	for (unsigned i = 0; i < 4; i++)
		rng.state[i] = split_mix(&seed);
	return rng;
}

struct weir_rng weir_rng_fork(uint64_t seed, uint64_t index)
{
	uint64_t mixed = seed;
	uint64_t first = split_mix(&mixed);
	mixed = first ^ (index * 0xd1342543de82ef95ULL);
	return weir_rng_new(split_mix(&mixed));
}

static uint64_t rotate_left(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

uint64_t weir_rng_next(struct weir_rng *rng)
{
	uint64_t *s = rng->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

uint64_t weir_rng_below(struct weir_rng *rng, uint64_t bound)
{
	/* Lemire: multiply and keep the high half; the bias of 2^-64 * bound does not matter here. */
	__extension__ typedef unsigned __int128 wide;
	return (uint64_t)(((wide)weir_rng_next(rng) * bound) >> 64);
}

double weir_rng_double(struct weir_rng *rng)
{
	return (double)(weir_rng_next(rng) >> 11) * 0x1.0p-53;
}

double weir_rng_normal(struct weir_rng *rng)
{
	/* The sum of twelve uniforms: no libm, so the same bytes on every machine. */
	double sum = -6.0;
	for (unsigned i = 0; i < 12; i++)
		sum += weir_rng_double(rng);
	return sum;
}

bool weir_rng_chance(struct weir_rng *rng, double probability)
{
	return weir_rng_double(rng) < probability;
}

void weir_random_bytes(void *buffer, size_t size)
{
	char *out = buffer;
	while (size > 0) {
		ssize_t got = getrandom(out, size, 0);
		WEIR_ASSERT(got > 0);
		out += got;
		size -= (size_t)got;
	}
}
