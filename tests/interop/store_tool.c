// uses: weir_test_store
/*
 * A bucket of an S3 server, for scripts: store_tool ENDPOINT BUCKET PREFIX DO. Keys come from AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY. DO is
 *   rules [patient|virtual]  the rules of stores (tests/support/store); each test has a prefix of its own, and empties
 * it. patient: many attempts after short waits, for servers that fail; virtual: the bucket in the host cached DIRECTORY
 * [patient]  the same over a cache of local copies begin DIRECTORY       begins a large object, says "begun" and waits
 * to be killed; DIRECTORY remembers uploads open DIRECTORY        opens the store, which ends what was begun presign
 * NAME SECONDS  writes an object and prints a URL that reads it
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/cache.h"
#include "store/s3.h"
#include "support/store/store_suite.h"

struct bucket {
	const char *endpoint, *name, *prefix;
	char below[64];
	const char *cache; /* a directory, or NULL */
	unsigned tests;
	bool is_patient, is_virtual;
};

static int open_bucket(void *context, struct store **ret_store, struct weir_error *err)
{
	struct bucket *bucket = context;
	snprintf(bucket->below, sizeof bucket->below, "%.40s/%u", bucket->prefix, bucket->tests++);
	struct store_s3_options options = {.bucket = bucket->name,
		.prefix = bucket->below,
		.endpoint = bucket->endpoint,
		.style = bucket->is_virtual ? STORE_S3_STYLE_VIRTUAL : STORE_S3_STYLE_BY_HOST,
		.access_key = getenv("AWS_ACCESS_KEY_ID"),
		.secret_key = getenv("AWS_SECRET_ACCESS_KEY"),
		.part_bytes = 5U << 20,
		.list_page = 2};
	if (bucket->is_patient) {
		options.attempts = 60;
		options.first_wait_ms = 2;
		options.longest_wait_ms = 20;
		options.idle_timeout_s = 2;
	}
	struct store_cache_options cache = {bucket->cache, 24U << 20, "a test"};
	int status = store_s3_open(&options, ret_store, err);
	if (status == 0 && bucket->cache != NULL)
		status = store_cache_open(&cache, *ret_store, ret_store, err);
	return status;
}

struct doomed {
	char **names;
	size_t count, capacity;
};

static int doom(void *context, const struct store_object *object, struct weir_error *err)
{
	struct doomed *doomed = context;
	(void)err;
	WEIR_GROW(doomed->names, doomed->count, doomed->capacity);
	doomed->names[doomed->count++] = strndup(object->name.data, object->name.size);
	return 0;
}

static void close_bucket(void *context, struct store *take_store)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct doomed doomed = {0};
	char text[1200];
	(void)context;
	int status = store_list(take_store, "", doom, &doomed, &err);
	if (status == 0)
		status = store_delete_many(take_store, (const char *const *)doomed.names, doomed.count, &err);
	if (status != 0)
		fprintf(stderr, "cannot empty the store: %s\n", weir_error_text(&err, text, sizeof text));
	for (size_t i = 0; i < doomed.count; i++)
		free(doomed.names[i]);
	free(doomed.names);
	store_close(take_store);
}

static int run_rules(struct bucket *bucket)
{
	struct store_kind kind = {.name = bucket->cache != NULL ? "s3, cached" : "s3",
		.open = open_bucket,
		.close = close_bucket,
		.context = bucket,
		.name_max = 900,
		.appears_whole = true,
		.ends_with_object = bucket->cache == NULL,
		.large_bytes = 10U << 20,
		.steps = bucket->is_patient ? 60 : 120};
	return store_suite_run(&kind) == 0 ? 0 : 1;
}

/* begin, open, presign: on one store with the directory of uploads. */
static int run_one(const struct bucket *bucket, char **words, struct weir_error *err)
{
	bool presigns = strcmp(words[0], "presign") == 0;
	struct store_s3_options options = {.bucket = bucket->name,
		.prefix = bucket->prefix,
		.endpoint = bucket->endpoint,
		.access_key = getenv("AWS_ACCESS_KEY_ID"),
		.secret_key = getenv("AWS_SECRET_ACCESS_KEY"),
		.session_token = getenv("AWS_SESSION_TOKEN"),
		.uploads_directory = presigns ? NULL : words[1]};
	struct weir_arena *arena = weir_arena_new(0);
	struct store *store = NULL;
	struct weir_str url = {0};
	int status = store_s3_open(&options, &store, err);
	if (status == 0 && strcmp(words[0], "begin") == 0) {
		struct store_file *file;
		char *bytes = calloc(1, 17U << 20);
		status = store_create(store, "begun", &file, err);
		if (status == 0)
			status = store_append(file, bytes, 17U << 20, err);
		if (status == 0) {
			puts("begun");
			fflush(stdout);
			pause();
		}
	} else if (status == 0 && presigns) {
		status = store_put(store, words[1], "presigned\n", 10, err);
		if (status == 0)
			status = store_s3_presign(
				store, arena, "GET", weir_str_from(words[1]), (uint32_t)atoi(words[2]), &url, err);
		printf("%.*s\n", WEIR_STR_ARG(url));
	}
	store_close(store);
	weir_arena_free(arena);
	return status;
}

int main(int count, char **arguments)
{
	struct bucket bucket = {0};
	struct weir_error err = WEIR_ERROR_INIT;
	char text[1200];
	if (count < 5) {
		fprintf(stderr, "usage: store_tool ENDPOINT BUCKET PREFIX rules|cached|begin|open|presign ...\n");
		return 2;
	}
	bucket.endpoint = arguments[1];
	bucket.name = arguments[2];
	bucket.prefix = arguments[3];
	bucket.is_patient = strcmp(arguments[count - 1], "patient") == 0;
	bucket.is_virtual = strcmp(arguments[count - 1], "virtual") == 0;
	if (strcmp(arguments[4], "cached") == 0 && count > 5)
		bucket.cache = arguments[5];
	if (strcmp(arguments[4], "rules") == 0 || bucket.cache != NULL)
		return run_rules(&bucket);
	if (count < 6 || (strcmp(arguments[4], "presign") == 0 && count < 7))
		return 2;
	if (run_one(&bucket, arguments + 4, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", weir_error_text(&err, text, sizeof text));
	return 1;
}
