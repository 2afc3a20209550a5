#include "support/seed.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t test_number(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);
	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

uint64_t test_seed(const char *test)
{
	uint64_t seed = test_number("WEIR_SEED", 1);
	printf("%s: WEIR_SEED=%llu\n", test, (unsigned long long)seed);
	return seed;
}
