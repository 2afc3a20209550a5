/* The routes of the Iceberg REST catalog API. What clients are told of them (`endpoints` of config) is made from this
 * table. */
#include "serve/iceberg.h"

#define READ   (SERVE_OPERATOR | SERVE_AUDITOR | SERVE_CONSUMER)
#define WRITE  SERVE_OPERATOR
#define NONE   SERVE_NO_BODY, 0
#define SMALL  SERVE_MEMORY, SERVE_SMALL_BODY_BYTES
#define LARGE  SERVE_MEMORY, SERVE_BODY_BYTES
#define QUICK  SERVE_SHORT
#define WORK   SERVE_CATALOG
#define SPACES ICEBERG_ROOT "/namespaces"
#define SPACE  SPACES "/{namespace}"
#define TABLE  SPACE "/tables/{table}"
#define VIEW   SPACE "/views/{view}"

static const struct serve_route iceberg_routes[] = {
	{"GET", ICEBERG_ROOT "/config", READ, QUICK, NONE, iceberg_config, "What the catalog offers", "warehouse", 0},
	{"POST", ICEBERG_ROOT "/oauth/tokens", SERVE_ANYONE, QUICK, SMALL, iceberg_token,
		"OAuth2 client credentials: a token's secret for a bearer token", "", 0},

	{"GET", SPACES, READ, QUICK, NONE, iceberg_ns_list, "The namespaces", "parent pageToken pageSize", 0},
	{"POST", SPACES, WRITE, QUICK, SMALL, iceberg_ns_create, "Make a namespace", "", 0},
	{"GET", SPACE, READ, QUICK, NONE, iceberg_ns_load, "A namespace's properties", "", 0},
	{"HEAD", SPACE, READ, QUICK, NONE, iceberg_ns_exists, "Whether a namespace is there", "", 0},
	{"DELETE", SPACE, WRITE, QUICK, NONE, iceberg_ns_drop, "Drop an empty namespace", "", 0},
	{"POST", SPACE "/properties", WRITE, QUICK, SMALL, iceberg_ns_update, "Set and remove a namespace's properties",
		"", 0},

	{"GET", SPACE "/tables", READ, QUICK, NONE, iceberg_table_list, "A namespace's tables", "pageToken pageSize",
		0},
	{"POST", SPACE "/tables", WRITE, WORK, LARGE, iceberg_table_create, "Create or stage a table", "", 0},
	{"POST", SPACE "/register", WRITE, WORK, SMALL, iceberg_table_register, "Take in a table by its metadata file",
		"", 0},
	{"GET", TABLE, READ, WORK, NONE, iceberg_table_load, "Load a table", "snapshots", 0},
	{"HEAD", TABLE, READ, QUICK, NONE, iceberg_table_exists, "Whether a table is there", "", 0},
	{"POST", TABLE, WRITE, WORK, LARGE, iceberg_table_commit, "Commit updates to a table", "", 0},
	{"DELETE", TABLE, WRITE, WORK, NONE, iceberg_table_drop, "Drop a table", "purgeRequested", 0},
	{"GET", TABLE "/credentials", READ, WORK, NONE, iceberg_table_credentials, "Storage credentials of a table", "",
		0},
	{"POST", TABLE "/metrics", READ, QUICK, SMALL, iceberg_metrics, "Take a client's metrics report", "", 0},
	{"POST", TABLE "/plan", READ, WORK, SMALL, iceberg_plan, "Plan a scan of a table", "", 0},
	{"GET", TABLE "/plan/{plan-id}", READ, WORK, NONE, iceberg_plan_fetch, "A plan's answer once more", "", 0},
	{"DELETE", TABLE "/plan/{plan-id}", READ, QUICK, NONE, iceberg_plan_cancel, "Give a plan up", "", 0},
	{"POST", TABLE "/tasks", READ, WORK, LARGE, iceberg_plan_task, "The files of one of a plan's tasks", "", 0},
	{"POST", ICEBERG_ROOT "/tables/rename", WRITE, QUICK, SMALL, iceberg_table_rename, "Rename a table", "", 0},
	{"POST", ICEBERG_ROOT "/transactions/commit", WRITE, WORK, LARGE, iceberg_transaction,
		"Commit updates to several tables, all or none", "", 0},

	{"GET", SPACE "/views", READ, QUICK, NONE, iceberg_view_list, "A namespace's views", "pageToken pageSize", 0},
	{"POST", SPACE "/views", WRITE, WORK, SMALL, iceberg_view_create, "Create a view", "", 0},
	{"POST", SPACE "/register-view", WRITE, WORK, SMALL, iceberg_view_register,
		"Take in a view by its metadata file", "", 0},
	{"GET", VIEW, READ, WORK, NONE, iceberg_view_load, "Load a view", "", 0},
	{"HEAD", VIEW, READ, QUICK, NONE, iceberg_view_exists, "Whether a view is there", "", 0},
	{"POST", VIEW, WRITE, WORK, SMALL, iceberg_view_replace, "Commit updates to a view", "", 0},
	{"DELETE", VIEW, WRITE, WORK, NONE, iceberg_view_drop, "Drop a view", "", 0},
	{"POST", ICEBERG_ROOT "/views/rename", WRITE, QUICK, SMALL, iceberg_view_rename, "Rename a view", "", 0},
};

void iceberg_routes_fill(struct router *router)
{
	uint32_t count = sizeof iceberg_routes / sizeof iceberg_routes[0];
	WEIR_ASSERT(router->count + count <= SERVE_ROUTES);
	memcpy(&router->routes[router->count], iceberg_routes, sizeof iceberg_routes);
	router->count += count;
}
