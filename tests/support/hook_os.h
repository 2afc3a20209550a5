/*
 * A weir_os before another: a function hears of each call that changes something, before it happens, and may do
 * anything (look at the tables, change consent) or make it fail. What it does itself is not told to it. For lakes
 * driven by one thread.
 */
#ifndef WEIR_TESTS_HOOK_OS_H
#define WEIR_TESTS_HOOK_OS_H

#include "base/os.h"

/* path: of a file that is created, unlinked or renamed (its new name), or of a directory; NULL for a write or a sync.
 * Anything but 0 is what the call returns. */
typedef int hook_fn(void *context, const char *path, struct weir_error *err);

struct hook_os {
	struct weir_os os; /* give this one away */
	const struct weir_os *below;
	hook_fn *before; /* NULL: nothing is told */
	void *context;
	bool within;
};

void hook_os_init(struct hook_os *hook, const struct weir_os *below);

#endif
