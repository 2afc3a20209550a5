/* /iceberg/v1/namespaces... */
#include "serve/iceberg.h"

int iceberg_ns_list(struct serve_call *call, struct weir_error *err)
{
	struct weir_str parent = call_parameter(call, "parent"), ns = {0};
	struct catalog_page page;
	int status = iceberg_page(call, &page, err);
	if (status == 0 && parent.size > 0)
		status = catalog_ns_from_url(call->arena, parent, &ns, err);
	if (status != 0)
		return status;
	status = catalog_ns_list(call->app->catalog, &call->identity, ns, call->arena, &page, err);
	if (status == 0)
		return iceberg_reply_page(call, "namespaces", &page);
	json_decref(page.items);
	return status;
}

static int reply_namespace(struct serve_call *call, struct weir_str ns, json_t *take_properties)
{
	return iceberg_reply(
		call, 200, json_pack("{s:o,s:o}", "namespace", catalog_ns_to_json(ns), "properties", take_properties));
}

int iceberg_ns_create(struct serve_call *call, struct weir_error *err)
{
	json_t *body, *properties;
	struct weir_str ns;
	if (call->app->catalog == NULL)
		return weir_fail(err, WEIR_E_BUSY, "the catalog did not open; the server's log says why");
	int status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	status = catalog_ns_from_json(call->arena, json_object_get(body, "namespace"), &ns, err);
	if (status == 0)
		status = catalog_ns_create(call->app->catalog, ns, json_object_get(body, "properties"), err);
	if (status == 0)
		status = catalog_ns_load(call->app->catalog, ns, &properties, err);
	json_decref(body);
	return status == 0 ? reply_namespace(call, ns, properties) : status;
}

/* The {namespace} of the path, where the caller may know of it; else it is not there. */
static int visible_namespace(struct serve_call *call, struct weir_str *ret_ns, struct weir_error *err)
{
	int status = iceberg_namespace(call, ret_ns, err);
	if (status == 0 && !catalog_may_see(call->app->catalog, &call->identity, *ret_ns))
		status = weir_fail_at(err, WEIR_E_NOT_FOUND, WEIR_STR("namespace"), WEIR_ERROR_NO_OFFSET,
			"Namespace does not exist: %.*s", WEIR_STR_ARG(*ret_ns));
	return status;
}

int iceberg_ns_load(struct serve_call *call, struct weir_error *err)
{
	json_t *properties;
	struct weir_str ns;
	int status = visible_namespace(call, &ns, err);
	if (status == 0)
		status = catalog_ns_load(call->app->catalog, ns, &properties, err);
	return status == 0 ? reply_namespace(call, ns, properties) : status;
}

int iceberg_ns_exists(struct serve_call *call, struct weir_error *err)
{
	struct weir_str ns;
	int status = visible_namespace(call, &ns, err);
	if (status == 0)
		status = catalog_ns_need(call->app->catalog, ns, err);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

int iceberg_ns_update(struct serve_call *call, struct weir_error *err)
{
	json_t *body, *result;
	struct weir_str ns;
	int status = iceberg_namespace(call, &ns, err);
	if (status == 0)
		status = iceberg_body(call, &body, err);
	if (status != 0)
		return status;
	status = catalog_ns_update(call->app->catalog, ns, json_object_get(body, "removals"),
		json_object_get(body, "updates"), &result, err);
	json_decref(body);
	return status == 0 ? iceberg_reply(call, 200, result) : status;
}

int iceberg_ns_drop(struct serve_call *call, struct weir_error *err)
{
	struct weir_str ns;
	int status = iceberg_namespace(call, &ns, err);
	if (status == 0)
		status = catalog_ns_drop(call->app->catalog, ns, err);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}
