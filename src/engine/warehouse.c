/* See warehouse.h. */
#include "engine/warehouse.h"

#include <stdlib.h>

#include "engine/engine_int.h"
#include "store/cache.h"

/* A variable that is set to nothing is not set. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *first(const char *a, const char *b, const char *c)
{
	return a != NULL ? a : b != NULL ? b : c;
}

/* Keys belong together: those of the lake, or those of the environment. */
static void set_keys(const struct lake_s3 *s3, struct store_s3_options *options)
{
	bool own = s3->access_key != NULL || s3->secret_key != NULL;
	options->access_key = own ? s3->access_key : variable("AWS_ACCESS_KEY_ID");
	options->secret_key = own ? s3->secret_key : variable("AWS_SECRET_ACCESS_KEY");
	options->session_token = own ? s3->session_token : variable("AWS_SESSION_TOKEN");
}

void engine_bucket_options(const struct lake_s3 *s3, struct store_s3_options *ret_options)
{
	*ret_options = (struct store_s3_options){
		.bucket = s3->bucket,
		.prefix = s3->prefix,
		.endpoint = first(s3->endpoint, variable("AWS_ENDPOINT_URL_S3"), variable("AWS_ENDPOINT_URL")),
		.region = first(s3->region, variable("AWS_REGION"), variable("AWS_DEFAULT_REGION")),
		.style = s3->style == LAKE_S3_PATH     ? STORE_S3_STYLE_PATH
			: s3->style == LAKE_S3_VIRTUAL ? STORE_S3_STYLE_VIRTUAL
						       : STORE_S3_STYLE_BY_HOST,
		.ca_file = variable("AWS_CA_BUNDLE"),
	};
	set_keys(s3, ret_options);
}

int engine_open_bucket(const struct lake_s3 *s3, const char *data, const struct weir_clock *clock,
	struct store **ret_store, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(4096);
	struct store_s3_options options;
	engine_bucket_options(s3, &options);
	options.uploads_directory = weir_arena_printf(arena, "%s/cache", data);
	options.clock = *clock;
	struct store_cache_options cache = {
		.directory = options.uploads_directory,
		.limit_bytes = s3->cache_bytes,
		.identity = weir_arena_printf(arena, "%s s3://%s/%s\n",
			options.endpoint != NULL ? options.endpoint : "aws", s3->bucket, s3->prefix),
	};
	struct store *below = NULL;
	int status = store_s3_open(&options, &below, err);
	if (status == 0)
		status = store_cache_open(&cache, below, ret_store, err);
	weir_error_wrap(err, status, "the warehouse s3://%s/%s", s3->bucket, s3->prefix);
	weir_arena_free(arena);
	return status;
}

bool engine_sts_options(const struct lake_s3 *s3, const struct weir_clock *clock, struct s3_sts_options *ret_options)
{
	struct store_s3_options keys = {0};
	const char *endpoint = first(s3->endpoint, variable("AWS_ENDPOINT_URL_S3"), variable("AWS_ENDPOINT_URL"));
	set_keys(s3, &keys);
	*ret_options = (struct s3_sts_options){
		.endpoint = first(s3->sts_endpoint, variable("AWS_ENDPOINT_URL_STS"), NULL),
		.role = first(s3->sts_role, variable("WEIR_STS_ROLE"), NULL),
		.region = first(s3->region, variable("AWS_REGION"), variable("AWS_DEFAULT_REGION")),
		.access_key = keys.access_key,
		.secret_key = keys.secret_key,
		.session_token = keys.session_token,
		.ca_file = variable("AWS_CA_BUNDLE"),
		.clock = *clock,
		.bucket_endpoint = endpoint,
		.path_style = s3->style == LAKE_S3_PATH ||
			(s3->style == LAKE_S3_BY_HOST && (endpoint != NULL || strchr(s3->bucket, '.') != NULL)),
	};
	return ret_options->endpoint != NULL || ret_options->role != NULL;
}

int engine_open_warehouse(const struct lake *lake, const struct weir_os *os, const struct weir_clock *clock,
	struct store **ret_store, struct weir_error *err)
{
	return lake->s3 != NULL ? engine_open_bucket(lake->s3, lake->data, clock, ret_store, err)
				: store_local_open(os, lake->warehouse, ret_store, err);
}
