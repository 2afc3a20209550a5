/* /iceberg/v1/namespaces/{namespace}/tables/{table}/plan and /tasks: scans planned by the server. */
#include "serve/iceberg.h"

static struct catalog_load load_of(const struct serve_call *call)
{
	return (struct catalog_load){.caller = &call->identity, .route = WEIR_STR(ICEBERG_ROOT "/plan")};
}

/* The answer is in call->out where status is 0. */
static int reply(struct serve_call *call, int status)
{
	if (status == 0)
		call_reply(call, 200, "application/json");
	return status;
}

static int name_and_body(
	struct serve_call *call, struct catalog_name *ret_name, json_t **ret_body, struct weir_error *err)
{
	int status = iceberg_name(call, ret_name, err);
	return status != 0 ? status : iceberg_body(call, ret_body, err);
}

int iceberg_plan(struct serve_call *call, struct weir_error *err)
{
	struct catalog_load load = load_of(call);
	struct catalog_name name;
	json_t *body;
	int status = name_and_body(call, &name, &body, err);
	if (status != 0)
		return status;
	status = catalog_plan(call->app->catalog, name, &load, body, call->arena, &call->out, err);
	json_decref(body);
	return reply(call, status);
}

int iceberg_plan_fetch(struct serve_call *call, struct weir_error *err)
{
	struct catalog_load load = load_of(call);
	struct catalog_name name;
	int status = iceberg_name(call, &name, err);
	if (status == 0)
		status = catalog_plan_fetch(
			call->app->catalog, name, &load, call->values[2], call->arena, &call->out, err);
	return reply(call, status);
}

int iceberg_plan_cancel(struct serve_call *call, struct weir_error *err)
{
	struct catalog_load load = load_of(call);
	struct catalog_name name;
	int status = iceberg_name(call, &name, err);
	if (status == 0)
		status = catalog_plan_cancel(call->app->catalog, name, &load, call->values[2], call->arena, err);
	return status == 0 ? iceberg_reply_nothing(call) : status;
}

int iceberg_plan_task(struct serve_call *call, struct weir_error *err)
{
	struct catalog_load load = load_of(call);
	struct catalog_name name;
	json_t *body;
	int status = name_and_body(call, &name, &body, err);
	if (status != 0)
		return status;
	const json_t *task = json_object_get(body, "plan-task");
	if (!json_is_string(task))
		status = weir_fail(err, WEIR_E_INPUT, "send the 'plan-task' that a plan gave");
	else
		status = catalog_plan_task(call->app->catalog, name, &load,
			(struct weir_str){json_string_value(task), json_string_length(task)}, call->arena, &call->out,
			err);
	json_decref(body);
	return reply(call, status);
}
