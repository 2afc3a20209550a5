/*
 * `warehouse`: a directory, "s3://BUCKET/PREFIX", or a mapping that says more of a bucket. What is not said there
 * (region, endpoint, keys) the engine takes from the environment. Keys are never written in the file itself.
 */
#include "lake/lake_int.h"

enum {
	K_URI,
	K_ENDPOINT,
	K_REGION,
	K_STYLE,
	K_ACCESS_KEY,
	K_SECRET_KEY,
	K_SESSION_TOKEN,
	K_CACHE,
	K_STS_ENDPOINT,
	K_STS_ROLE,
	K_COUNT
};
static const char *const keys[K_COUNT] = {"uri", "endpoint", "region", "style", "access_key", "secret_key",
	"session_token", "cache", "sts_endpoint", "sts_role"};

static int read_text(const struct lake_yaml *yaml, struct fy_node *node, const char **ret_text, struct weir_error *err)
{
	struct weir_str text = {0};
	int code = lake_yaml_text(yaml, node, &text, err);
	if (code == 0 && text.size > 0)
		*ret_text = text.data;
	return code;
}

static int read_endpoint(
	const struct lake_yaml *yaml, struct fy_node *node, const char **ret_text, struct weir_error *err)
{
	int code = read_text(yaml, node, ret_text, err);
	if (code == 0 && *ret_text != NULL && strncmp(*ret_text, "http://", 7) != 0 &&
		strncmp(*ret_text, "https://", 8) != 0)
		return lake_yaml_fail(
			yaml, node, WEIR_E_INPUT, err, "an endpoint is written http://HOST:PORT or https://HOST");
	return code;
}

/* A reference and nothing else: a secret in the file would end up wherever the file does. */
static int read_secret(
	const struct lake_yaml *yaml, struct fy_node *node, const char **ret_text, struct weir_error *err)
{
	struct weir_str raw = lake_yaml_raw(node);
	if (node != NULL &&
		((!weir_str_has_prefix(raw, WEIR_STR("${env:")) && !weir_str_has_prefix(raw, WEIR_STR("${file:"))) ||
			memchr(raw.data, '}', raw.size) != raw.data + raw.size - 1))
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
			"a key is not written here: name where it is, as in ${env:NAME} or ${file:PATH}");
	return read_text(yaml, node, ret_text, err);
}

static bool is_s3(struct weir_str text)
{
	return weir_str_has_prefix(text, WEIR_STR("s3://")) || weir_str_has_prefix(text, WEIR_STR("s3a://"));
}

static int set_s3(
	struct lake_yaml *yaml, struct fy_node *node, struct weir_str uri, struct lake_s3 *s3, struct weir_error *err)
{
	const char *rest = memmem(uri.data, uri.size, "://", 3);
	size_t from = (size_t)(rest + 3 - uri.data);
	while (uri.size > from && uri.data[uri.size - 1] == '/')
		uri.size--;
	struct weir_str place = {uri.data + from, uri.size - from};
	const char *slash = place.size > 0 ? memchr(place.data, '/', place.size) : NULL;
	size_t bucket = slash != NULL ? (size_t)(slash - place.data) : place.size;
	if (bucket == 0 || memmem(place.data, place.size, "//", 2) != NULL)
		return lake_yaml_fail(
			yaml, node, WEIR_E_INPUT, err, "names no bucket; write it as in s3://bucket/prefix");
	s3->bucket = weir_arena_cstr(yaml->arena, (struct weir_str){place.data, bucket});
	s3->prefix = slash != NULL ? weir_arena_cstr(yaml->arena, (struct weir_str){slash + 1, place.size - bucket - 1})
				   : "";
	yaml->lake->s3 = s3;
	yaml->lake->warehouse = weir_arena_printf(yaml->arena, "s3://%.*s", WEIR_STR_ARG(place));
	return 0;
}

static int read_bucket(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	static const char *const styles[] = {"path", "virtual"};
	struct fy_node *values[K_COUNT];
	struct weir_str uri = {0};
	struct lake_s3 *s3 = weir_arena_zalloc(yaml->arena, sizeof *s3);
	uint32_t style = 0;
	int code = lake_yaml_members(yaml, node, "warehouse", keys, K_COUNT, values, err);
	if (code == 0)
		code = lake_yaml_text(yaml, values[K_URI], &uri, err);
	if (code == 0 && !is_s3(uri))
		code = lake_yaml_fail(yaml, values[K_URI] != NULL ? values[K_URI] : node, WEIR_E_INPUT, err,
			"a warehouse with settings is a bucket: uri: s3://bucket/prefix");
	if (code == 0)
		code = read_endpoint(yaml, values[K_ENDPOINT], &s3->endpoint, err);
	if (code == 0)
		code = read_endpoint(yaml, values[K_STS_ENDPOINT], &s3->sts_endpoint, err);
	if (code == 0)
		code = read_text(yaml, values[K_STS_ROLE], &s3->sts_role, err);
	if (code == 0)
		code = read_text(yaml, values[K_REGION], &s3->region, err);
	if (code == 0)
		code = lake_yaml_choice(yaml, values[K_STYLE], "style", styles, LAKE_COUNT(styles), &style, err);
	if (code == 0 && values[K_STYLE] != NULL)
		s3->style = style == 0 ? LAKE_S3_PATH : LAKE_S3_VIRTUAL;
	if (code == 0)
		code = read_secret(yaml, values[K_ACCESS_KEY], &s3->access_key, err);
	if (code == 0)
		code = read_secret(yaml, values[K_SECRET_KEY], &s3->secret_key, err);
	if (code == 0)
		code = read_secret(yaml, values[K_SESSION_TOKEN], &s3->session_token, err);
	if (code == 0)
		code = lake_yaml_size(yaml, values[K_CACHE], &s3->cache_bytes, err);
	return code != 0 ? code : set_s3(yaml, values[K_URI], uri, s3, err);
}

int lake_read_warehouse(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake *lake = yaml->lake;
	struct weir_str warehouse = {0};
	if (node != NULL && fy_node_is_mapping(node))
		return read_bucket(yaml, node, err);
	int code = lake_yaml_text(yaml, node, &warehouse, err);
	if (code < 0)
		return code;
	if (is_s3(warehouse))
		return set_s3(yaml, node, warehouse, weir_arena_zalloc(yaml->arena, sizeof(struct lake_s3)), err);
	if (warehouse.size == 0)
		warehouse = weir_str_from(weir_arena_printf(lake->arena, "%s/warehouse", lake->data));
	if (weir_str_has_prefix(warehouse, WEIR_STR("file://")))
		warehouse = (struct weir_str){warehouse.data + 7, warehouse.size - 7};
	if (memmem(warehouse.data, warehouse.size, "://", 3) != NULL)
		return lake_yaml_fail(yaml, node, WEIR_E_UNSUPPORTED, err,
			"a warehouse is a local directory or s3://bucket/prefix; there is no other store");
	lake->warehouse = lake_path_join(lake->arena, lake->directory, warehouse);
	return 0;
}
