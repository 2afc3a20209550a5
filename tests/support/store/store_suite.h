/* The rules that every kind of store keeps, as one list of cmocka tests that runs over any of them. */
#ifndef WEIR_TESTS_STORE_SUITE_H
#define WEIR_TESTS_STORE_SUITE_H

#include "store/store.h"

struct store_kind {
	const char *name;
	/* An empty store; each test has one of its own. */
	int (*open)(void *context, struct store **ret_store, struct weir_error *err);
	void (*close)(void *context, struct store *take_store);
	void *context;
	size_t name_max;       /* STORE_NAME_MAX, less a prefix */
	bool appears_whole;    /* an object cannot be seen before its barrier */
	bool ends_with_object; /* a source does not outlive its object */
	unsigned large_bytes;  /* the size of "a large object": several parts, where there are parts */
	unsigned steps;        /* of the random test; 0: 200 */
};

/* Returns the number of tests that failed. */
int store_suite_run(const struct store_kind *kind);

#endif
