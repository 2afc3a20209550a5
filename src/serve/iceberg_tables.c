/* /iceberg/v1/namespaces/{namespace}/tables..., and what tables and views have in common. */
#include "serve/iceberg.h"

#include "iceberg/rest_document.h"

static int list(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_page page;
	struct weir_str ns;
	int status = iceberg_page(call, &page, err);
	if (status == 0)
		status = iceberg_namespace(call, &ns, err);
	if (status != 0)
		return status;
	status = catalog_list(call->app->catalog, &call->identity, kind, ns, call->arena, &page, err);
	if (status == 0)
		return iceberg_reply_page(call, "identifiers", &page);
	json_decref(page.items);
	return status;
}

/* X-Iceberg-Access-Delegation: a list of what the client can do with. Remote signing is not offered. */
static bool wants_keys(const struct serve_call *call)
{
	static const char vended[] = "vended-credentials";
	return call->delegation.size > 0 &&
		memmem(call->delegation.data, call->delegation.size, vended, sizeof vended - 1) != NULL;
}

/* Where keys are asked for anew, relative to the catalog's address: Iceberg's Java reads it before they end. */
static void name_refresh(struct catalog_name name, const json_t *credentials)
{
	struct weir_buf path = WEIR_BUF_INIT;
	json_t *levels = catalog_ns_to_json(name.ns), *level, *credential;
	size_t index;
	weir_buf_puts(&path, "v1/namespaces/");
	json_array_foreach(levels, index, level)
	{
		weir_buf_puts(&path, index > 0 ? "%1F" : "");
		url_encode(&path, (struct weir_str){json_string_value(level), json_string_length(level)});
	}
	weir_buf_puts(&path, "/tables/");
	url_encode(&path, name.name);
	weir_buf_puts(&path, "/credentials");
	json_array_foreach(credentials, index, credential) json_object_set_new(json_object_get(credential, "config"),
		"client.refresh-credentials-endpoint", json_stringn(path.data, path.size));
	weir_buf_done(&path);
	json_decref(levels);
}

/* With keys for the table's files, where the client asks for some. made: what happened is answered, keys or not. */
static int reply_table(struct serve_call *call, struct catalog_name name, bool made, struct catalog_entry *take_entry,
	struct weir_error *err)
{
	struct catalog_load load = {.caller = &call->identity};
	int status = wants_keys(call) ? catalog_vend(call->app->catalog, name, &load, call->arena, take_entry, err) : 0;
	if (status != 0 && made) {
		take_entry->no_credentials = "the token service gave none: load the table to ask it again";
		status = 0;
	}
	if (status == 0) {
		if (!made || take_entry->location.size > 0) /* else staged: there is no table to ask for */
			name_refresh(name, take_entry->credentials);
		return iceberg_reply_entry(call, take_entry, true);
	}
	catalog_entry_done(take_entry);
	return status;
}

static int create(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_entry entry;
	struct weir_str ns;
	json_t *body;
	int status = iceberg_namespace(call, &ns, err);
	if (status == 0)
		status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	status = catalog_create(call->app->catalog, kind, ns, body, call->arena, &entry, err);
	if (status == 0) {
		struct catalog_name name = {ns, weir_arena_str(call->arena, ice_rest_text(body, "name"))};
		status = kind == CATALOG_TABLE ? reply_table(call, name, true, &entry, err)
					       : iceberg_reply_entry(call, &entry, true);
	}
	json_decref(body);
	return status;
}

static int load(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct weir_str snapshots = call_parameter(call, "snapshots");
	struct catalog_load wish = {.caller = &call->identity,
		.route = WEIR_STR(ICEBERG_ROOT "/tables"),
		/* Keys do not live as long as a version: who asks for them gets them anew. */
		.if_none_match = wants_keys(call) && call->app->catalog != NULL &&
				weir_str_has_prefix(catalog_warehouse(call->app->catalog), WEIR_STR("s3://"))
			? (struct weir_str){0}
			: call->if_none_match,
		.refs_only = weir_str_is(snapshots, "refs")};
	struct catalog_entry entry;
	struct catalog_name name;
	bool same = false;
	int status = iceberg_name(call, &name, err);
	if (status == 0 && snapshots.size > 0 && !wish.refs_only && !weir_str_is(snapshots, "all"))
		status = weir_fail(err, WEIR_E_INPUT, "snapshots is 'all' or 'refs'");
	if (status == 0)
		status = catalog_load(call->app->catalog, kind, name, &wish, call->arena, &entry, &same, err);
	if (status != 0)
		return status;
	if (!same)
		return kind == CATALOG_TABLE ? reply_table(call, name, false, &entry, err)
					     : iceberg_reply_entry(call, &entry, true);
	call_header(call, "ETag", weir_str_from(entry.etag));
	call_reply(call, 304, NULL);
	return 0;
}

static int exists(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_name name;
	int status = iceberg_name(call, &name, err);
	if (status == 0)
		status = catalog_need(call->app->catalog, &call->identity, kind, name, err);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

static int commit(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_change change = {0};
	struct catalog_entry entry;
	json_t *body;
	int status = iceberg_name(call, &change.name, err);
	if (status == 0)
		status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	change.requirements = json_object_get(body, "requirements");
	change.updates = json_object_get(body, "updates");
	status = catalog_commit(call->app->catalog, kind, &change, 1, call->arena, &entry, err);
	json_decref(body);
	return status == 0 ? iceberg_reply_entry(call, &entry, kind == CATALOG_VIEW) : status;
}

static int drop(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct weir_str purge = call_parameter(call, "purgeRequested");
	struct catalog_name name;
	int status = iceberg_name(call, &name, err);
	if (status == 0) /* Python writes True */
		status = catalog_drop(call->app->catalog, kind, name,
			kind == CATALOG_TABLE && (weir_str_is(purge, "true") || weir_str_is(purge, "True")), err);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

static int rename_entry(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_name from, to;
	json_t *body;
	if (call->app->catalog == NULL)
		return weir_fail(err, WEIR_E_BUSY, "the catalog did not open; the server's log says why");
	int status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	status = catalog_name_from_json(call->arena, json_object_get(body, "source"), &from, err);
	if (status == 0)
		status = catalog_name_from_json(call->arena, json_object_get(body, "destination"), &to, err);
	if (status == 0)
		status = catalog_rename(call->app->catalog, kind, from, to, err);
	json_decref(body);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

static int register_entry(struct serve_call *call, enum catalog_kind kind, struct weir_error *err)
{
	struct catalog_entry entry;
	struct catalog_name name;
	json_t *body;
	int status = iceberg_namespace(call, &name.ns, err);
	if (status == 0)
		status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	const json_t *text = json_object_get(body, "name"), *at = json_object_get(body, "metadata-location");
	if (!json_is_string(text) || !json_is_string(at)) {
		json_decref(body);
		return weir_fail(err, WEIR_E_INPUT, "to register it, send its 'name' and its 'metadata-location'");
	}
	name.name = weir_arena_str(call->arena, (struct weir_str){json_string_value(text), json_string_length(text)});
	struct weir_str location =
		weir_arena_str(call->arena, (struct weir_str){json_string_value(at), json_string_length(at)});
	bool overwrite = json_is_true(json_object_get(body, "overwrite"));
	json_decref(body);
	status = catalog_register(call->app->catalog, kind, name, location, overwrite, call->arena, &entry, err);
	if (status != 0)
		return status;
	return kind == CATALOG_TABLE ? reply_table(call, name, true, &entry, err)
				     : iceberg_reply_entry(call, &entry, true);
}

/* ---- tables ---- */

int iceberg_table_list(struct serve_call *call, struct weir_error *err)
{
	return list(call, CATALOG_TABLE, err);
}

int iceberg_table_create(struct serve_call *call, struct weir_error *err)
{
	return create(call, CATALOG_TABLE, err);
}

int iceberg_table_load(struct serve_call *call, struct weir_error *err)
{
	return load(call, CATALOG_TABLE, err);
}

int iceberg_table_exists(struct serve_call *call, struct weir_error *err)
{
	return exists(call, CATALOG_TABLE, err);
}

int iceberg_table_commit(struct serve_call *call, struct weir_error *err)
{
	return commit(call, CATALOG_TABLE, err);
}

int iceberg_table_drop(struct serve_call *call, struct weir_error *err)
{
	return drop(call, CATALOG_TABLE, err);
}

int iceberg_table_rename(struct serve_call *call, struct weir_error *err)
{
	return rename_entry(call, CATALOG_TABLE, err);
}

int iceberg_table_register(struct serve_call *call, struct weir_error *err)
{
	return register_entry(call, CATALOG_TABLE, err);
}

/* Keys anew, by the rules of a load, which of a lake's own tables is audited. */
int iceberg_table_credentials(struct serve_call *call, struct weir_error *err)
{
	struct catalog_load load = {.caller = &call->identity, .route = WEIR_STR(ICEBERG_ROOT "/tables")};
	struct catalog_entry entry = {0};
	struct catalog_name name;
	bool same;
	int status = iceberg_name(call, &name, err);
	if (status == 0)
		status = catalog_load(call->app->catalog, CATALOG_TABLE, name, &load, call->arena, &entry, &same, err);
	if (status != 0)
		return status;
	status = catalog_vend(call->app->catalog, name, &load, call->arena, &entry, err);
	json_t *keys = entry.credentials != NULL ? json_incref(entry.credentials) : json_array();
	if (entry.no_credentials != NULL)
		call_header(call, ICEBERG_NO_KEYS, weir_str_from(entry.no_credentials));
	catalog_entry_done(&entry);
	if (status == 0)
		return iceberg_reply(call, 200, json_pack("{s:o}", "storage-credentials", keys));
	json_decref(keys);
	return status;
}

int iceberg_transaction(struct serve_call *call, struct weir_error *err)
{
	json_t *body, *item;
	size_t index;
	if (call->app->catalog == NULL)
		return weir_fail(err, WEIR_E_BUSY, "the catalog did not open; the server's log says why");
	int status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	const json_t *list_of = json_object_get(body, "table-changes");
	size_t count = json_array_size(list_of);
	if (count == 0 || count > CATALOG_CHANGES) {
		json_decref(body);
		return weir_fail(err, WEIR_E_INPUT, "'table-changes' is an array of 1 to %d changes", CATALOG_CHANGES);
	}
	struct catalog_change *changes = weir_arena_calloc(call->arena, count, sizeof *changes);
	json_array_foreach(list_of, index, item)
	{
		if (status == 0)
			status = catalog_name_from_json(
				call->arena, json_object_get(item, "identifier"), &changes[index].name, err);
		changes[index].requirements = json_object_get(item, "requirements");
		changes[index].updates = json_object_get(item, "updates");
	}
	if (status == 0)
		status = catalog_commit(
			call->app->catalog, CATALOG_TABLE, changes, (uint32_t)count, call->arena, NULL, err);
	json_decref(body);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

/* ---- views ---- */

int iceberg_view_list(struct serve_call *call, struct weir_error *err)
{
	return list(call, CATALOG_VIEW, err);
}

int iceberg_view_create(struct serve_call *call, struct weir_error *err)
{
	return create(call, CATALOG_VIEW, err);
}

int iceberg_view_load(struct serve_call *call, struct weir_error *err)
{
	return load(call, CATALOG_VIEW, err);
}

int iceberg_view_exists(struct serve_call *call, struct weir_error *err)
{
	return exists(call, CATALOG_VIEW, err);
}

int iceberg_view_replace(struct serve_call *call, struct weir_error *err)
{
	return commit(call, CATALOG_VIEW, err);
}

int iceberg_view_drop(struct serve_call *call, struct weir_error *err)
{
	return drop(call, CATALOG_VIEW, err);
}

int iceberg_view_rename(struct serve_call *call, struct weir_error *err)
{
	return rename_entry(call, CATALOG_VIEW, err);
}

int iceberg_view_register(struct serve_call *call, struct weir_error *err)
{
	return register_entry(call, CATALOG_VIEW, err);
}
