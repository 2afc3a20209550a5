/*
 * The Iceberg REST catalog API (open-api/rest-catalog-open-api.yaml of the Iceberg project), under /iceberg/v1.
 *
 * iceberg_routes.c     the table of routes           iceberg_answer.c     JSON answers, errors in its form
 * iceberg_config.c     config, OAuth2, metrics       iceberg_namespaces.c
 * iceberg_tables.c     tables, transactions, views     iceberg_plan.c       scans planned here
 *
 * Clients send parameters and headers that this version of the API does not know: they are passed over.
 */
#ifndef WEIR_SERVE_ICEBERG_H
#define WEIR_SERVE_ICEBERG_H

#include "access/catalog.h"
#include "serve/serve_int.h"

#define ICEBERG_ROOT    "/iceberg/v1"
#define ICEBERG_NO_KEYS "Weir-No-Storage-Credentials" /* why there are none, in the answer of who asked for some */

/* ---- iceberg_routes.c ---- */
void iceberg_routes_fill(struct router *router);

/* ---- iceberg_answer.c ---- */
/* True for a path of this API: its errors have its own form. */
bool iceberg_is_path(struct weir_str path);
/* {"error": {"message", "type", "code"}} as the answer, in place of what was written. type NULL: that of the status. */
void iceberg_refuse(struct serve_call *call, unsigned status, const char *type, const char *message);
void iceberg_refuse_error(struct serve_call *call, const struct weir_error *err);
int iceberg_reply(struct serve_call *call, unsigned status, json_t *take_body);
int iceberg_reply_nothing(struct serve_call *call); /* 204 */
/* The body as a JSON object. */
int iceberg_body(struct serve_call *call, json_t **ret_body, struct weir_error *err);
/* The {namespace} of the path, and the {table} or {view} behind it. */
int iceberg_namespace(struct serve_call *call, struct weir_str *ret_ns, struct weir_error *err);
int iceberg_name(struct serve_call *call, struct catalog_name *ret_name, struct weir_error *err);
/* pageToken and pageSize. */
int iceberg_page(struct serve_call *call, struct catalog_page *ret_page, struct weir_error *err);
/* {KEY: items, "next-page-token"}; the page is used up. */
int iceberg_reply_page(struct serve_call *call, const char *key, struct catalog_page *page);
/* LoadTableResult, LoadViewResult, CommitTableResponse: metadata and where it lies. with_config: the first two. */
int iceberg_reply_entry(struct serve_call *call, struct catalog_entry *take_entry, bool with_config);

/* ---- handlers ---- */
serve_handler iceberg_config, iceberg_token, iceberg_metrics;
serve_handler iceberg_ns_list, iceberg_ns_create, iceberg_ns_load, iceberg_ns_exists, iceberg_ns_update,
	iceberg_ns_drop;
serve_handler iceberg_table_list, iceberg_table_create, iceberg_table_register, iceberg_table_load,
	iceberg_table_exists, iceberg_table_commit, iceberg_table_drop, iceberg_table_rename, iceberg_table_credentials,
	iceberg_transaction;
serve_handler iceberg_plan, iceberg_plan_fetch, iceberg_plan_cancel, iceberg_plan_task;
serve_handler iceberg_view_list, iceberg_view_create, iceberg_view_load, iceberg_view_exists, iceberg_view_replace,
	iceberg_view_drop, iceberg_view_rename, iceberg_view_register;

#endif
