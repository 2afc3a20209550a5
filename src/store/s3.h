/*
 * A bucket of an S3 server as a store (Amazon's, MinIO, versitygw and others that speak its protocol).
 *
 * What S3 gives and does not: an object becomes visible whole, when its barrier completes it, and not before;
 * WEIR_E_EXISTS comes then too, from store_barrier or store_put, by `If-None-Match: *`, since S3 has no way to hold a
 * name before. Until then the object is a buffer of at most one part (8 MiB), and parts of an upload that nobody sees.
 * A source reads by ranges: it ends with its object. Put a store_cache_open over it, and sources outlive objects as
 * those of files do.
 *
 * Each request is tried again where it may help (http_is_transient), after growing random waits. Each object carries
 * the random id of its writing as metadata, so that a write whose answer was lost is found by looking, and counts. A
 * bucket that keeps versions is refused: there a deletion would not delete.
 */
#ifndef WEIR_STORE_S3_H
#define WEIR_STORE_S3_H

#include "base/time.h"
#include "store/store.h"

enum store_s3_style {
	STORE_S3_STYLE_BY_HOST, /* path style where an endpoint is given, else virtual host */
	STORE_S3_STYLE_PATH,    /* http://host/bucket/key */
	STORE_S3_STYLE_VIRTUAL, /* http://bucket.host/key */
};

struct s3_keys {
	struct weir_str access_key, secret_key, session_token; /* session_token size 0: none */
	int64_t expires_us;                                    /* 0: they do not */
};

/* Where keys that expire are asked for anew: 5 minutes before, or after half of the time that they have less than ten of.
 * renew is called by one thread at a time, and fills ret_keys in arena. */
struct store_s3_renewal {
	int (*renew)(void *context, struct weir_arena *arena, struct s3_keys *ret_keys, struct weir_error *err);
	void *context;
	int64_t expires_us; /* of the keys that the store is opened with; 0: they do not, and renew is not called */
};

struct store_s3_options {
	const char *bucket, *prefix; /* prefix "" or NULL: the whole bucket; no slash at its ends */
	const char *endpoint;        /* "http://127.0.0.1:9000"; NULL: Amazon's of the region */
	const char *region;          /* NULL: us-east-1 */
	enum store_s3_style style;
	const char *access_key, *secret_key;
	const char *session_token; /* NULL: none */
	struct store_s3_renewal renewal;
	const char *ca_file;           /* NULL: the system's certificates */
	const char *uploads_directory; /* remembers uploads that were begun, for after a crash; NULL: nowhere */
	struct weir_clock clock;       /* now_us NULL: the system's */
	/* 0 is a good default for all of these. */
	uint32_t attempts, first_wait_ms, longest_wait_ms, connect_timeout_ms, idle_timeout_s;
	uint32_t list_page;  /* keys a page, at most 1,000 */
	uint32_t part_bytes; /* at least 5 MiB, as S3 asks, but for the last */
	/* The bucket is others' and only visited: it may keep versions, uploads that they began are left alone, and the server
	 * is not asked before it is needed (keys may fit some objects only). */
	bool is_guest;
};

/*
 * Asks the server once: a bucket that is missing, keys that are refused, and versioning are found here. Uploads that
 * this machine or anybody began under prefix and forgot (a day ago) are aborted. Everything is copied.
 */
int store_s3_open(const struct store_s3_options *options, struct store **ret_store, struct weir_error *err);

/* "s3://bucket/a/b", "s3a://" and "s3n://" too, as bucket and prefix in arena; WEIR_E_INPUT for what is none. */
int store_s3_parse(struct weir_arena *arena, struct weir_str uri, const char **ret_bucket, const char **ret_prefix,
	struct weir_error *err);

/*
 * A URL that anybody may use for `method` ("GET" or "PUT") on that object for seconds (1 to 604,800), in arena. It is a
 * secret for as long as that.
 */
int store_s3_presign(struct store *store, struct weir_arena *arena, const char *method, struct weir_str name,
	uint32_t seconds, struct weir_str *ret_url, struct weir_error *err);

#endif
