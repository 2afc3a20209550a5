/*
 * Temporary keys for clients that read and write a table's files themselves (REST specification, StorageCredential): asked of
 * the store's token service under a policy that says no more than the table's own folder, read only or written too.
 *
 *   operator   reads and writes; of a lake's own tables reads
 *   auditor    reads
 *   consumer   reads of gold its slice: the list and manifests of the version that it loaded, one by one, and the folders of its
 *              purposes. It lists nothing. Where a policy has no room for that, it gets none
 *
 * A key outlives the version that it was given for: what is removed from the folder meanwhile is destroyed, and what comes in
 * has been consented to. Keys are given again while they are good for a while; they are never written down, nor logged.
 */
#include <stdio.h>
#include <stdlib.h>

#include "access/catalog_int.h"
#include "base/json.h"
#include "iceberg/rest_slice.h"
#include "store/s3.h"

#define KEYS_SECONDS 1800
#define KEYS_LEAST   (900 * WEIR_US_PER_SECOND) /* what a key that is given has before it */
#define KEYS_MAX     256

/* Keys that were asked for; texts are in their own arena. */
struct catalog_keys {
	struct weir_arena *arena;
	struct weir_str policy;
	struct s3_keys keys;
};

static bool find_keys(
	struct catalog *catalog, struct weir_str policy, struct weir_arena *arena, struct s3_keys *ret_keys)
{
	int64_t now_us = weir_now_us(&catalog->config.clock);
	bool found = false;
	pthread_mutex_lock(&catalog->lock);
	for (uint32_t i = 0; i < catalog->keys_count && !found; i++) {
		const struct catalog_keys *kept = &catalog->keys[i];
		found = weir_str_equal(kept->policy, policy) && kept->keys.expires_us - now_us > KEYS_LEAST;
		if (found)
			*ret_keys = (struct s3_keys){weir_arena_str(arena, kept->keys.access_key),
				weir_arena_str(arena, kept->keys.secret_key),
				weir_arena_str(arena, kept->keys.session_token), kept->keys.expires_us};
	}
	pthread_mutex_unlock(&catalog->lock);
	return found;
}

static void keep_keys(struct catalog *catalog, struct weir_str policy, const struct s3_keys *keys)
{
	int64_t now_us = weir_now_us(&catalog->config.clock);
	struct weir_arena *arena = weir_arena_new(4096);
	struct catalog_keys kept = {arena, weir_arena_str(arena, policy),
		{weir_arena_str(arena, keys->access_key), weir_arena_str(arena, keys->secret_key),
			weir_arena_str(arena, keys->session_token), keys->expires_us}};
	pthread_mutex_lock(&catalog->lock);
	for (uint32_t i = catalog->keys_count; i > 0; i--) {
		struct catalog_keys *old = &catalog->keys[i - 1];
		if (old->keys.expires_us - now_us > KEYS_LEAST && catalog->keys_count < KEYS_MAX)
			continue;
		weir_arena_free(old->arena);
		*old = catalog->keys[--catalog->keys_count];
	}
	WEIR_GROW(catalog->keys, catalog->keys_count, catalog->keys_capacity);
	catalog->keys[catalog->keys_count++] = kept;
	pthread_mutex_unlock(&catalog->lock);
}

void catalog_keys_done(struct catalog *catalog)
{
	for (uint32_t i = 0; i < catalog->keys_count; i++)
		weir_arena_free(catalog->keys[i].arena);
	free(catalog->keys);
	s3_sts_free(catalog->sts);
}

/* ---- policies ---- */

/* A policy has wildcards and variables: a folder's name must mean itself alone. */
static bool is_plain(struct weir_str text)
{
	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < 0x20 || strchr("*?$\"\\", text.data[i]) != NULL)
			return false;
	return text.size > 0;
}

static void put_texts(struct weir_json *json, const char *key, const char *const *texts, size_t count)
{
	weir_json_key(json, key);
	weir_json_array(json);
	for (size_t i = 0; i < count; i++)
		weir_json_cstring(json, texts[i]);
	weir_json_array_end(json);
}

static void put_statement(
	struct weir_json *json, const char *const *actions, size_t action_count, const char *const *on, size_t count)
{
	weir_json_object(json);
	weir_json_key_cstring(json, "Effect", "Allow");
	put_texts(json, "Action", actions, action_count);
	put_texts(json, "Resource", on, count);
	weir_json_object_end(json);
}

static void begin_policy(struct weir_json *json)
{
	weir_json_object(json);
	weir_json_key_cstring(json, "Version", "2012-10-17");
	weir_json_key(json, "Statement");
	weir_json_array(json);
}

/* With what every policy grants on the bucket itself. The text is in arena; what it was written to is freed. */
static struct weir_str end_policy(struct weir_json *json, const char *const *bucket, struct weir_arena *arena)
{
	static const char *const places[] = {"s3:GetBucketLocation"};
	put_statement(json, places, 1, bucket, 1);
	weir_json_array_end(json);
	weir_json_object_end(json);
	struct weir_str policy = weir_arena_str(arena, weir_buf_str(json->out));
	weir_buf_done(json->out);
	return policy;
}

/* prefix: the folder in the bucket. */
static struct weir_str make_policy(struct weir_arena *arena, const char *bucket, const char *prefix, bool writes)
{
	static const char *const objects[] = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject",
		"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"},
				 *const lists[] = {"s3:ListBucket"};
	const char *inside[] = {weir_arena_printf(arena, "arn:aws:s3:::%s/%s/*", bucket, prefix)};
	const char *whole[] = {weir_arena_printf(arena, "arn:aws:s3:::%s", bucket)};
	const char *prefixes[] = {weir_arena_printf(arena, "%s/*", prefix), weir_arena_printf(arena, "%s/", prefix)};
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	begin_policy(&json);
	put_statement(&json, objects, writes ? 5 : 1, inside, 1);
	weir_json_object(&json);
	weir_json_key_cstring(&json, "Effect", "Allow");
	put_texts(&json, "Action", lists, 1);
	put_texts(&json, "Resource", whole, 1);
	weir_json_key(&json, "Condition");
	weir_json_object(&json);
	weir_json_key(&json, "StringLike");
	weir_json_object(&json);
	put_texts(&json, "s3:prefix", prefixes, 2);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	return end_policy(&json, whole, arena);
}

/* root: the warehouse in the bucket, "BUCKET" or "BUCKET/PREFIX". */
static struct weir_str make_slice_policy(
	struct weir_arena *arena, struct weir_str root, const struct ice_slice_objects *objects)
{
	static const char *const gets[] = {"s3:GetObject"};
	size_t bucket = strcspn(weir_arena_cstr(arena, root), "/"), count = 0;
	const char *whole[] = {weir_arena_printf(arena, "arn:aws:s3:::%.*s", (int)bucket, root.data)};
	const char **on = weir_arena_calloc(arena, objects->name_count + objects->folder_count, sizeof *on);
	struct weir_buf out = WEIR_BUF_INIT;
	struct weir_json json = weir_json_to(&out);
	for (uint32_t i = 0; i < objects->name_count; i++)
		on[count++] = weir_arena_printf(arena, "arn:aws:s3:::%.*s/%s", WEIR_STR_ARG(root), objects->names[i]);
	for (uint32_t i = 0; i < objects->folder_count; i++)
		on[count++] =
			weir_arena_printf(arena, "arn:aws:s3:::%.*s/%s/*", WEIR_STR_ARG(root), objects->folders[i]);
	begin_policy(&json);
	if (count > 0)
		put_statement(&json, gets, 1, on, count);
	return end_policy(&json, whole, arena);
}

/* *ret_policy size 0 and *ret_reason where a policy cannot say what the slice may read. */
static int slice_policy(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	const struct catalog_entry *entry, struct weir_arena *arena, struct weir_str *ret_policy,
	const char **ret_reason, struct weir_error *err)
{
	const struct lake *lake = catalog->config.lake;
	uint32_t index = lake != NULL ? lake_find_table(lake, name.ns, name.name) : UINT32_MAX, count;
	struct ice_slice_objects objects;
	struct ice_table *slice;
	*ret_policy = (struct weir_str){0};
	*ret_reason = "this token reads slices of gold alone";
	if (index == UINT32_MAX || lake->tables[index].kind != LAKE_GOLD)
		return 0;
	struct weir_str *purposes =
		catalog_purposes(catalog, &lake->tables[index], load->caller->purposes, arena, &count);
	struct ice_cache *cache = ice_cache_new(1 << 20);
	int status = ice_table_from_json(catalog->store, cache, (struct ice_name){name.ns, name.name}, WEIR_STR(""),
		weir_buf_str(&entry->metadata), &slice, err);
	if (status == 0) {
		status = ice_slice_objects(slice, WEIR_STR("purpose"), purposes, count, arena, &objects, err);
		ice_table_unref(slice);
	}
	ice_cache_free(cache);
	if (status == WEIR_E_UNSUPPORTED) {
		*ret_reason = "files of the slice lie where no policy can tell them from others";
		return 0;
	}
	if (status == WEIR_E_NOT_FOUND) /* a removal came between */
		return weir_fail_at(err, WEIR_E_BUSY, WEIR_STR(CATALOG_REMOVALS), WEIR_ERROR_NO_OFFSET,
			"rows of this table are being removed; load it again in a moment");
	if (status != 0)
		return status;
	struct weir_str root = catalog->warehouse;
	root = (struct weir_str){root.data + strlen("s3://"), root.size - strlen("s3://")};
	*ret_policy = make_slice_policy(arena, root, &objects);
	*ret_reason = NULL;
	return 0;
}

/* ---- what a client gets ---- */

static json_t *text_of(struct weir_str text)
{
	return json_stringn(text.data, text.size);
}

static json_t *credential(const struct catalog *catalog, struct weir_str location, const struct s3_keys *keys)
{
	char expires[24];
	const char *endpoint = s3_sts_bucket_endpoint(catalog->sts), *region = s3_sts_region(catalog->sts);
	json_t *config = json_object();
	snprintf(expires, sizeof expires, "%lld", (long long)(keys->expires_us / WEIR_US_PER_MS));
	json_object_set_new(config, "s3.access-key-id", text_of(keys->access_key));
	json_object_set_new(config, "s3.secret-access-key", text_of(keys->secret_key));
	if (keys->session_token.size > 0)
		json_object_set_new(config, "s3.session-token", text_of(keys->session_token));
	json_object_set_new(config, "s3.session-token-expires-at-ms", json_string(expires));
	json_object_set_new(config, "client.region", json_string(region));
	json_object_set_new(config, "s3.region", json_string(region));
	if (endpoint != NULL)
		json_object_set_new(config, "s3.endpoint", json_string(endpoint));
	if (s3_sts_path_style(catalog->sts))
		json_object_set_new(config, "s3.path-style-access", json_string("true"));
	return json_pack("{s:o,s:o}", "prefix", text_of(location), "config", config);
}

/* The table's folder as bucket and prefix; false where no policy can say it. */
static bool folder_of(struct catalog *catalog, const struct catalog_entry *entry, struct weir_arena *arena,
	struct weir_str *ret_location, const char **ret_bucket, const char **ret_prefix, const char **ret_reason)
{
	struct weir_error unfit = WEIR_ERROR_INIT;
	struct weir_str name;
	json_t *metadata = json_loadb(entry->metadata.data, entry->metadata.size, 0, NULL);
	struct weir_str location = weir_arena_str(arena, ice_rest_text(metadata, "location"));
	json_decref(metadata);
	while (location.size > 0 && location.data[location.size - 1] == '/')
		location.size--;
	*ret_location = location;
	*ret_reason = "the table lies outside of the warehouse";
	if (store_name_of(catalog->store, arena, location, &name, &unfit) != 0 || name.size == 0 ||
		store_s3_parse(arena, location, ret_bucket, ret_prefix, &unfit) != 0 || (*ret_prefix)[0] == '\0')
		return false;
	*ret_reason = "the table's location has characters that a policy takes for patterns";
	return is_plain(weir_str_from(*ret_prefix));
}

int catalog_vend(struct catalog *catalog, struct catalog_name name, const struct catalog_load *load,
	struct weir_arena *arena, struct catalog_entry *entry, struct weir_error *err)
{
	const char *bucket, *prefix, *reason = NULL;
	struct weir_str location, policy = {0};
	struct s3_keys keys;
	bool writes = load->caller->role == ACCESS_OPERATOR && !catalog_is_owned(catalog, name.ns);
	bool whole = load->caller->role == ACCESS_OPERATOR || load->caller->role == ACCESS_AUDITOR;
	if (catalog->sts == NULL) {
		reason = "the warehouse is a folder, or no token service is configured for its bucket";
	} else if (folder_of(catalog, entry, arena, &location, &bucket, &prefix, &reason)) {
		reason = NULL;
		int status = whole ? 0 : slice_policy(catalog, name, load, entry, arena, &policy, &reason, err);
		if (status != 0)
			return status;
		if (whole)
			policy = make_policy(arena, bucket, prefix, writes);
		if (policy.size > S3_STS_POLICY_MAX)
			reason = "what may be read is more than a policy has room for";
	}
	entry->no_credentials = reason;
	if (reason != NULL)
		return 0;
	if (!find_keys(catalog, policy, arena, &keys)) {
		struct weir_error refused = WEIR_ERROR_INIT;
		if (s3_sts_assume(catalog->sts, policy, KEYS_SECONDS, arena, &keys, &refused) != 0)
			return weir_fail_at(err, WEIR_E_BUSY, WEIR_STR("keys"), WEIR_ERROR_NO_OFFSET,
				"there are no keys for the table's files just now: %s",
				load->caller->role == ACCESS_OPERATOR
					? refused.message
					: "the bucket's token service gave none; an operator who asks is told why");
		keep_keys(catalog, policy, &keys);
	}
	entry->credentials = json_pack("[o]", credential(catalog, location, &keys));
	return 0;
}
