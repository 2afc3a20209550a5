/* A seeded generator (xoshiro256**, Blackman and Vigna) for simulations and lifelike data; never for secrets. */
#ifndef WEIR_BASE_RNG_H
#define WEIR_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_rng {
	uint64_t state[4];
};

struct weir_rng weir_rng_new(uint64_t seed);
/* A stream of its own for (seed, index): the same on any machine, whatever was drawn elsewhere. */
struct weir_rng weir_rng_fork(uint64_t seed, uint64_t index);
uint64_t weir_rng_next(struct weir_rng *rng);
uint64_t weir_rng_below(struct weir_rng *rng, uint64_t bound); /* 0 .. bound-1; bound > 0 */
double weir_rng_double(struct weir_rng *rng);                  /* [0, 1) */
double weir_rng_normal(struct weir_rng *rng);                  /* mean 0, deviation 1 */
bool weir_rng_chance(struct weir_rng *rng, double probability);

/* The operating system's randomness, for tokens, salts and file-name prefixes. */
void weir_random_bytes(void *buffer, size_t size_bytes);

#endif
