/*
 * Temporary keys for a bucket, from the Security Token Service beside it (AWS STS and MinIO: AssumeRole): what they may do is
 * bounded by a policy that is given along, and by nothing more than the keys that asked may do themselves.
 */
#ifndef WEIR_STORE_S3_STS_H
#define WEIR_STORE_S3_STS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/time.h"
#include "store/s3.h"

#define S3_STS_POLICY_MAX  2048 /* bytes of a policy, as both services bound it */
#define S3_STS_SECONDS_MIN 900

struct s3_sts;

struct s3_sts_options {
	const char *endpoint; /* of the service: "http://127.0.0.1:9000"; NULL: Amazon's of the region */
	const char *region;   /* NULL: us-east-1 */
	const char *role;     /* ARN; NULL: none, as MinIO has none */
	const char *access_key, *secret_key;
	const char *session_token; /* NULL: none */
	const char *ca_file;       /* NULL: the system's certificates */
	struct weir_clock clock;   /* now_us NULL: the system's */
	/* What whoever gets the keys is told of the bucket. */
	const char *bucket_endpoint; /* NULL: Amazon's */
	bool path_style;
};
/* Asks nobody yet. Everything is copied. */
int s3_sts_new(const struct s3_sts_options *options, struct s3_sts **ret_sts, struct weir_error *err);
void s3_sts_free(struct s3_sts *sts);

/* policy: JSON of an IAM policy. In arena. WEIR_E_DENIED where the service refuses; its code is in the text, no more. */
int s3_sts_assume(struct s3_sts *sts, struct weir_str policy, uint32_t seconds, struct weir_arena *arena,
	struct s3_keys *ret_keys, struct weir_error *err);
const char *s3_sts_region(const struct s3_sts *sts);
const char *s3_sts_bucket_endpoint(const struct s3_sts *sts); /* NULL: Amazon's */
bool s3_sts_path_style(const struct s3_sts *sts);

#endif
