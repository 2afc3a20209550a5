/* The seed of a random test: WEIR_SEED, or a default; printed, so that a failure can be had again. */
#ifndef WEIR_TESTS_SEED_H
#define WEIR_TESTS_SEED_H

#include <stdint.h>

uint64_t test_seed(const char *test);
/* A number from the environment, for longer runs (WEIR_CUTS=100000). */
uint64_t test_number(const char *variable, uint64_t otherwise);

#endif
