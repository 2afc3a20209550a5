/* Many epochs back to back: does the lake stay as fast and as small as it was? */
#ifndef WEIR_TESTS_SIM_EPOCHS_H
#define WEIR_TESTS_SIM_EPOCHS_H

#include <stdint.h>

/* 0 where files, snapshots, metadata and the cost of a commit stay within their bounds. */
int run_epochs(const char *path, uint64_t count, uint64_t seed);

#endif
