/*
 * The store of a lake: a directory, or a bucket with local copies under DATA/cache. What lake.yaml leaves open of a
 * bucket comes from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION
 * (AWS_DEFAULT_REGION), AWS_ENDPOINT_URL_S3 (AWS_ENDPOINT_URL), AWS_ENDPOINT_URL_STS, AWS_CA_BUNDLE.
 */
#ifndef WEIR_ENGINE_WAREHOUSE_H
#define WEIR_ENGINE_WAREHOUSE_H

#include "base/os.h"
#include "base/time.h"
#include "lake/lake.h"
#include "store/s3.h"
#include "store/s3_sts.h"

/* os is for a directory alone. */
int engine_open_warehouse(const struct lake *lake, const struct weir_os *os, const struct weir_clock *clock,
	struct store **ret_store, struct weir_error *err);
/* A bucket's options but for clock and directories: what s3 leaves open is the environment's. Texts are those of s3 and
 * of the environment. */
void engine_bucket_options(const struct lake_s3 *s3, struct store_s3_options *ret_options);
/* data: the directory whose `cache` holds the copies. */
int engine_open_bucket(const struct lake_s3 *s3, const char *data, const struct weir_clock *clock,
	struct store **ret_store, struct weir_error *err);
/* How clients of the bucket are given keys of their own: false where neither the lake nor the environment names a token
 * service (AWS_ENDPOINT_URL_STS) or a role (WEIR_STS_ROLE). What it gives is borrowed from both. */
bool engine_sts_options(const struct lake_s3 *s3, const struct weir_clock *clock, struct s3_sts_options *ret_options);

#endif
