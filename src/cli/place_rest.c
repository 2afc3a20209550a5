/*
 * Tables in a REST catalog (Iceberg REST catalog specification). A table is loaded with the catalog's own words on
 * how its bucket is reached (vended credentials); a change goes out as updates and the requirements that they stand on
 * (rest_changes.h), and the catalog writes the next metadata file: the one that was prepared here goes away again.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/iceberg_place_int.h"
#include "cli/rest_changes.h"
#include "net/http.h"

#define ANSWER_BYTES  ((size_t)128 << 20)
#define MESSAGE_BYTES 400
#define PAGES_MAX     10000
#define DEPTH_MAX     16 /* levels of namespaces that are listed */

static const struct http_retry patience = {5, 200, 5000};

struct rest {
	struct weir_arena *arena;
	struct http_client *http;
	const char *base;              /* "http://host:port/iceberg/v1/" with the catalog's prefix */
	struct weir_str authorization; /* size 0: none */
};

struct answer {
	uint32_t status; /* 0: none came */
	bool maybe_done; /* of a change: it may have been made all the same */
	json_t *json;    /* NULL: an empty body */
};

/* ---- asking ---- */

static int code_of(uint32_t status)
{
	switch (status) {
	case 400:
	case 422:
		return WEIR_E_INPUT;
	case 401:
	case 403:
		return WEIR_E_DENIED;
	case 404:
		return WEIR_E_NOT_FOUND;
	case 406:
	case 501:
		return WEIR_E_UNSUPPORTED;
	case 409:
		return WEIR_E_CONFLICT;
	case 429:
	case 503:
		return WEIR_E_BUSY;
	default:
		return WEIR_E_IO;
	}
}

static int refused(const struct rest *rest, const struct answer *answer, struct weir_error *err)
{
	const char *text = json_string_value(json_object_get(json_object_get(answer->json, "error"), "message"));
	if (text == NULL) /* of a token request */
		text = json_string_value(json_object_get(answer->json, "error_description"));
	return weir_fail(err, code_of(answer->status), "the catalog %s answers %u: %.*s%s", rest->base, answer->status,
		MESSAGE_BYTES, text != NULL ? text : "it gives no reason",
		answer->status == 401 ? "; set WEIR_TOKEN, or WEIR_CREDENTIAL, to what it accepts" : "");
}

static int read_answer(
	const struct rest *rest, const struct http_response *response, struct answer *answer, struct weir_error *err)
{
	json_error_t problem;
	answer->status = response->status;
	answer->json =
		response->body.size > 0 ? json_loadb(response->body.data, response->body.size, 0, &problem) : NULL;
	if (response->status / 100 != 2)
		return refused(rest, answer, err);
	if (response->body.size > 0 && answer->json == NULL)
		return weir_fail(err, WEIR_E_INPUT,
			"%s does not answer as an Iceberg REST catalog does; its address ends before /v1, as in "
			"http://127.0.0.1:8181/iceberg",
			rest->base);
	return 0;
}

/* path: behind base. text NULL: GET, which is tried again where that may help; else POST, once, of that type. */
static int ask_text(const struct rest *rest, const char *path, const char *text, struct weir_str type,
	struct answer *answer, struct weir_error *err)
{
	struct http_header headers[4] = {{WEIR_STR("accept"), WEIR_STR("application/json")},
		{WEIR_STR("x-iceberg-access-delegation"), WEIR_STR("vended-credentials")}};
	uint32_t count = 2, attempt = 0;
	struct http_response response = {0};
	struct weir_buf address = WEIR_BUF_INIT;
	int rc;
	weir_buf_printf(&address, "%s%s", rest->base, path);
	if (rest->authorization.size > 0)
		headers[count++] = (struct http_header){WEIR_STR("authorization"), rest->authorization};
	if (text != NULL)
		headers[count++] = (struct http_header){WEIR_STR("content-type"), type};
	const struct http_request request = {.method = text != NULL ? "POST" : "GET",
		.url = weir_buf_cstr(&address),
		.headers = headers,
		.header_count = count,
		.body = {text, text != NULL ? strlen(text) : 0},
		.limit_bytes = ANSWER_BYTES,
		.is_once = text != NULL};
	*answer = (struct answer){0};
	do {
		rc = http_perform(rest->http, &request, &response, err);
		attempt++;
	} while (text == NULL && http_is_transient(&response) && http_retry_wait(&patience, attempt, &response));
	if (rc == 0)
		rc = read_answer(rest, &response, answer, err);
	else
		weir_error_wrap(err, rc, "the catalog");
	/* Cut off, too long, or not what a catalog says: only a refusal tells that nothing was changed. */
	answer->maybe_done =
		rc != 0 && response.outcome != HTTP_NOT_SENT && (response.status < 300 || response.status >= 500);
	http_response_done(&response);
	weir_buf_done(&address);
	return rc;
}

/* body NULL: GET. */
static int ask(
	const struct rest *rest, const char *path, const json_t *body, struct answer *answer, struct weir_error *err)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	int rc = ask_text(rest, path, text, WEIR_STR("application/json"), answer, err);
	free(text);
	return rc;
}

static void answer_done(struct answer *answer)
{
	json_decref(answer->json);
	answer->json = NULL;
}

/* ---- a catalog ---- */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void rest_close(struct rest *rest)
{
	http_client_free(rest->http);
}

static const char *encoded(struct weir_arena *arena, struct weir_str text)
{
	struct weir_buf out = WEIR_BUF_INIT;
	cli_encode(&out, text);
	const char *made = weir_arena_cstr(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return made;
}

/* A token for "ID:SECRET", or for a secret alone (specification, OAuth2 client credentials). */
static int fetch_token(struct rest *rest, const char *credential, struct weir_error *err)
{
	const char *colon = strchr(credential, ':'), *scope = getenv("WEIR_SCOPE"), *token;
	struct weir_buf form = WEIR_BUF_INIT;
	struct answer answer;
	weir_buf_puts(&form, "grant_type=client_credentials&scope=");
	cli_encode(&form, weir_str_from(scope != NULL && scope[0] != '\0' ? scope : "catalog"));
	if (colon != NULL) {
		weir_buf_puts(&form, "&client_id=");
		cli_encode(&form, (struct weir_str){credential, (size_t)(colon - credential)});
	}
	weir_buf_puts(&form, "&client_secret=");
	cli_encode(&form, weir_str_from(colon != NULL ? colon + 1 : credential));
	int rc = ask_text(rest, "oauth/tokens", weir_buf_cstr(&form), WEIR_STR("application/x-www-form-urlencoded"),
		&answer, err);
	token = text_of(answer.json, "access_token");
	if (rc == 0 && token == NULL)
		rc = weir_fail(err, WEIR_E_DENIED, "the catalog gives no access_token for WEIR_CREDENTIAL");
	if (rc == 0)
		rest->authorization = weir_str_from(weir_arena_printf(rest->arena, "Bearer %s", token));
	explicit_bzero(form.data, form.size);
	weir_buf_done(&form);
	answer_done(&answer);
	return rc;
}

/* GET /v1/config says under which prefix the routes of a warehouse are, and may name another address. */
static int rest_open(
	struct weir_arena *arena, const char *url, const char *warehouse, struct rest *rest, struct weir_error *err)
{
	const struct http_options options = {0};
	const char *token = getenv("WEIR_TOKEN"), *credential = getenv("WEIR_CREDENTIAL");
	struct weir_str address = weir_str_from(url);
	struct answer answer;
	while (address.size > 0 && address.data[address.size - 1] == '/')
		address.size--;
	if (weir_str_has_suffix(address, WEIR_STR("/v1")))
		address.size -= 3;
	*rest = (struct rest){.arena = arena, .http = http_client_new(&options)};
	rest->base = weir_arena_printf(arena, "%.*s/v1/", WEIR_STR_ARG(address));
	if (token != NULL && token[0] != '\0')
		rest->authorization = weir_str_from(weir_arena_printf(arena, "Bearer %s", token));
	const char *path = warehouse == NULL
		? "config"
		: weir_arena_printf(arena, "config?warehouse=%s", encoded(arena, weir_str_from(warehouse)));
	bool fetches = rest->authorization.size == 0 && credential != NULL && credential[0] != '\0';
	int rc = fetches ? fetch_token(rest, credential, err) : 0;
	if (rc != 0)
		return rc;
	rc = ask(rest, path, NULL, &answer, err);
	if (rc == 0) {
		const json_t *overrides = json_object_get(answer.json, "overrides");
		const json_t *defaults = json_object_get(answer.json, "defaults");
		const char *prefix = text_of(overrides, "prefix") != NULL ? text_of(overrides, "prefix")
									  : text_of(defaults, "prefix");
		const char *other = text_of(overrides, "uri");
		if (other != NULL)
			address = weir_arena_str(arena, weir_str_from(other));
		while (address.size > 0 && address.data[address.size - 1] == '/')
			address.size--;
		rest->base = weir_arena_printf(arena, "%.*s/v1/%s%s", WEIR_STR_ARG(address),
			prefix != NULL ? prefix : "", prefix != NULL && prefix[0] != '\0' ? "/" : "");
	}
	answer_done(&answer);
	return rc;
}

/* "namespaces/a%1Fb": levels are parted by dots in a name, and a dot within one is written %2E. */
static const char *namespace_path(struct weir_arena *arena, struct weir_str ns)
{
	struct weir_buf out = WEIR_BUF_INIT, level = WEIR_BUF_INIT;
	weir_buf_puts(&out, "namespaces/");
	for (size_t i = 0; i <= ns.size; i++) {
		struct weir_str rest = {ns.data + i, ns.size - i};
		if (i == ns.size || ns.data[i] == '.') {
			cli_encode(&out, weir_buf_str(&level));
			if (i < ns.size)
				weir_buf_puts(&out, "%1F");
			level.size = 0;
		} else if (weir_str_has_prefix(rest, WEIR_STR("%2E"))) {
			weir_buf_putc(&level, '.');
			i += 2;
		} else {
			weir_buf_putc(&level, ns.data[i]);
		}
	}
	const char *path = weir_arena_cstr(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	weir_buf_done(&level);
	return path;
}

/* ---- a table ---- */

struct remote {
	struct rest rest;
	const char *path; /* of the table */
};

/* The settings that fit the table's location best: those of `config`, and over them a credential's. */
static const json_t *credential_of(const json_t *loaded, const char *location)
{
	const json_t *best = NULL;
	json_t *credential;
	size_t index, most = 0;
	json_array_foreach(json_object_get(loaded, "storage-credentials"), index, credential)
	{
		const char *prefix = text_of(credential, "prefix");
		size_t size = prefix != NULL ? strlen(prefix) : 0;
		if (size >= most && strncmp(location, prefix != NULL ? prefix : "", size) == 0) {
			best = json_object_get(credential, "config");
			most = size;
		}
	}
	return best;
}

static const char *setting(const json_t *loaded, const json_t *credential, const char *key)
{
	const char *text = text_of(credential, key);
	return text != NULL ? text : text_of(json_object_get(loaded, "config"), key);
}

static int64_t expiry_us(const json_t *loaded, const json_t *credential)
{
	const char *text = setting(loaded, credential, "s3.session-token-expires-at-ms");
	int64_t ms = 0;
	bool known = text != NULL && weir_str_to_i64(weir_str_from(text), &ms) && ms > 0;
	return known && ms < INT64_MAX / WEIR_US_PER_MS ? ms * WEIR_US_PER_MS : 0;
}

/* By a load, which every catalog answers, not all a question for keys alone. */
static int renew_keys(void *context, struct weir_arena *arena, struct s3_keys *ret_keys, struct weir_error *err)
{
	const struct cli_place *place = context;
	const struct remote *remote = place->self;
	struct answer answer;
	int rc = ask(&remote->rest, remote->path, NULL, &answer, err);
	const char *location = text_of(json_object_get(answer.json, "metadata"), "location");
	const json_t *credential = credential_of(answer.json, location != NULL ? location : "");
	const char *parts[3] = {setting(answer.json, credential, "s3.access-key-id"),
		setting(answer.json, credential, "s3.secret-access-key"),
		setting(answer.json, credential, "s3.session-token")};
	if (rc == 0 && (parts[0] == NULL || parts[1] == NULL))
		rc = weir_fail(err, WEIR_E_DENIED, "the catalog gives none any more");
	if (rc == 0)
		*ret_keys = (struct s3_keys){weir_arena_str(arena, weir_str_from(parts[0])),
			weir_arena_str(arena, weir_str_from(parts[1])),
			weir_arena_str(arena, weir_str_from(parts[2] != NULL ? parts[2] : "")),
			expiry_us(answer.json, credential)};
	answer_done(&answer);
	return rc;
}

static int open_store(struct cli_place *place, const json_t *loaded, struct weir_error *err)
{
	const char *location = text_of(json_object_get(loaded, "metadata"), "location");
	if (location == NULL)
		return weir_fail(err, WEIR_E_CORRUPT, "the catalog's answer has no location of the table");
	const json_t *credential = credential_of(loaded, location);
	const struct store_s3_renewal renewal = {renew_keys, place, expiry_us(loaded, credential)};
	const char *by_path = setting(loaded, credential, "s3.path-style-access");
	const char *region = setting(loaded, credential, "client.region");
	const struct lake_s3 s3 = {.endpoint = setting(loaded, credential, "s3.endpoint"),
		.region = region != NULL ? region : setting(loaded, credential, "s3.region"),
		.style = by_path == NULL               ? LAKE_S3_BY_HOST
			: strcmp(by_path, "true") == 0 ? LAKE_S3_PATH
						       : LAKE_S3_VIRTUAL,
		.access_key = setting(loaded, credential, "s3.access-key-id"),
		.secret_key = setting(loaded, credential, "s3.secret-access-key"),
		.session_token = setting(loaded, credential, "s3.session-token")};
	return place_store_open(place->arena, weir_str_from(location), &s3, &renewal, &place->store, err);
}

static int take_table(
	struct cli_place *place, const json_t *loaded, struct ice_table **ret_table, struct weir_error *err)
{
	const json_t *metadata = json_object_get(loaded, "metadata");
	const char *uri = text_of(loaded, "metadata-location");
	if (!json_is_object(metadata))
		return weir_fail(err, WEIR_E_CORRUPT, "the catalog's answer holds no metadata of the table");
	int rc = place->store != NULL ? 0 : open_store(place, loaded, err);
	if (rc != 0)
		return rc;
	char *text = json_dumps(metadata, JSON_COMPACT);
	rc = ice_table_from_json(place->store, place->cache, place->name, weir_str_from(uri != NULL ? uri : ""),
		weir_str_from(text), ret_table, err);
	free(text);
	return rc;
}

static int load(struct cli_place *place, struct ice_table **ret_table, struct weir_error *err)
{
	const struct remote *remote = place->self;
	struct answer answer;
	int rc = ask(&remote->rest, remote->path, NULL, &answer, err);
	if (rc == 0)
		rc = take_table(place, answer.json, ret_table, err);
	answer_done(&answer);
	return rc;
}

/* A commit that changes nothing: the catalog says by it whether this caller may change the table. */
static int writable(struct cli_place *place, struct weir_error *err)
{
	const struct remote *remote = place->self;
	const struct ice_metadata *metadata = ice_table_metadata(place->table);
	struct answer answer;
	json_t *nothing = rest_changes(metadata, metadata);
	int rc = ask(&remote->rest, remote->path, nothing, &answer, err);
	json_decref(nothing);
	answer_done(&answer);
	return rc;
}

/* The catalog wrote its own metadata file. */
static void drop_prepared(struct cli_place *place, const struct ice_table *next)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct weir_str name;
	if (store_name_of(place->store, place->arena, ice_table_metadata_uri(next), &name, &ignored) == 0)
		store_delete_many(place->store, &name.data, 1, &ignored);
}

/* An answer that was lost: the change is there where the table is what was wanted. */
static int settle(struct cli_place *place, const struct ice_table *next, struct weir_error *err)
{
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct ice_table *now = NULL;
	bool happened =
		load(place, &now, &ignored) == 0 && rest_is_reached(ice_table_metadata(now), ice_table_metadata(next));
	ice_table_unref(now);
	if (happened)
		return 0;
	return weir_error_wrap(
		err, WEIR_E_UNKNOWN, "the change may have been made or not, look at the table before trying again");
}

static int swap(struct cli_place *place, const struct ice_table *old, const struct ice_table *next, bool *ret_spare,
	struct weir_error *err)
{
	const struct remote *remote = place->self;
	const struct ice_metadata *wanted = ice_table_metadata(next);
	struct ice_table *made = NULL;
	struct weir_error ignored = WEIR_ERROR_INIT;
	struct answer answer;
	json_t *changes = rest_changes(ice_table_metadata(old), wanted);
	int rc = ask(&remote->rest, remote->path, changes, &answer, err);
	bool told = rc == 0 && take_table(place, answer.json, &made, &ignored) == 0;
	if (rc != 0 && answer.maybe_done)
		rc = settle(place, next, err);
	/* Where the catalog put the change on another version than the one it was made for, what it frees is not known. */
	*ret_spare = !told || !rest_same_snapshots(ice_table_metadata(made), wanted);
	if (rc == 0)
		drop_prepared(place, next);
	ice_table_unref(made);
	json_decref(changes);
	answer_done(&answer);
	return rc;
}

static void close_place(struct cli_place *place)
{
	struct remote *remote = place->self;
	rest_close(&remote->rest);
}

static const struct place_ops ops = {load, writable, swap, close_place};

int place_rest_open(struct cli_place *place, const struct cli_args *args, const char *catalog, const char *word,
	struct weir_error *err)
{
	struct remote *remote = weir_arena_zalloc(place->arena, sizeof *remote);
	int rc = place_split_name(word, &place->name, err);
	if (rc != 0)
		return rc;
	place->ops = &ops;
	place->self = remote;
	rc = rest_open(place->arena, catalog, cli_option(args, "--catalog-name"), &remote->rest, err);
	remote->path = weir_arena_printf(place->arena, "%s/tables/%s", namespace_path(place->arena, place->name.ns),
		encoded(place->arena, place->name.table));
	return rc;
}

/* ---- listing ---- */

struct listing {
	struct rest rest;
	cli_place_table_fn *table;
	void *context;
};

typedef int item_fn(struct listing *listing, const json_t *item, unsigned depth, struct weir_error *err);

/* Every item of a list that may come in pages. path ends with '?' or '&'. */
static int each_item(struct listing *listing, const char *path, const char *member, item_fn *item, unsigned depth,
	struct weir_error *err)
{
	const char *token = "";
	int rc = 0;
	for (unsigned page = 0; rc == 0 && token != NULL && page < PAGES_MAX; page++) {
		struct answer answer;
		json_t *one;
		size_t index;
		const char *target = weir_arena_printf(listing->rest.arena, "%spageToken=%s", path,
			encoded(listing->rest.arena, weir_str_from(token)));
		rc = ask(&listing->rest, target, NULL, &answer, err);
		json_array_foreach(json_object_get(answer.json, member), index, one)
		{
			if (rc == 0)
				rc = item(listing, one, depth, err);
		}
		token = text_of(answer.json, "next-page-token");
		token = token != NULL && token[0] != '\0' ? weir_arena_cstr(listing->rest.arena, weir_str_from(token))
							  : NULL;
		answer_done(&answer);
	}
	return rc;
}

/* ["a", "b.c"] as "a.b%2Ec". */
static struct weir_str namespace_text(struct weir_arena *arena, const json_t *levels)
{
	struct weir_buf out = WEIR_BUF_INIT;
	json_t *level;
	size_t index;
	json_array_foreach(levels, index, level)
	{
		const char *text = json_string_value(level);
		if (index > 0)
			weir_buf_putc(&out, '.');
		for (; text != NULL && *text != '\0'; text++)
			if (*text == '.')
				weir_buf_puts(&out, "%2E");
			else
				weir_buf_putc(&out, *text);
	}
	struct weir_str made = weir_arena_str(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return made;
}

static int list_table(struct listing *listing, const json_t *item, unsigned depth, struct weir_error *err)
{
	const char *name = text_of(item, "name");
	(void)depth;
	if (name == NULL)
		return 0;
	return listing->table(listing->context, namespace_text(listing->rest.arena, json_object_get(item, "namespace")),
		weir_str_from(name), WEIR_STR(""), err);
}

static int list_namespace(struct listing *listing, const json_t *item, unsigned depth, struct weir_error *err)
{
	struct weir_arena *arena = listing->rest.arena;
	struct weir_str ns = namespace_text(arena, item);
	const char *path = namespace_path(arena, ns), *parent = path + strlen("namespaces/");
	int rc =
		each_item(listing, weir_arena_printf(arena, "%s/tables?", path), "identifiers", list_table, depth, err);
	if (rc == 0 && depth < DEPTH_MAX)
		rc = each_item(listing, weir_arena_printf(arena, "namespaces?parent=%s&", parent), "namespaces",
			list_namespace, depth + 1, err);
	return rc;
}

int place_rest_tables(const struct cli_args *args, const char *catalog, cli_place_table_fn *table, void *context,
	struct weir_error *err)
{
	struct listing listing = {.table = table, .context = context};
	int rc = rest_open(args->arena, catalog, cli_option(args, "--catalog-name"), &listing.rest, err);
	if (rc == 0)
		rc = each_item(&listing, "namespaces?", "namespaces", list_namespace, 1, err);
	rest_close(&listing.rest);
	return rc;
}
