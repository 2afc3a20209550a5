/*
 * The Iceberg REST catalog over a lake: routes, errors in the specification's form, commits that conflict,
 * transactions, and the lake's own tables: who may load them, what a slice holds, what a removal does to it, and that
 * nobody changes them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "iceberg_asker.h"
#include "iceberg/rest_document.h"
#include "support/hook_os.h"

#define SCHEMA \
	"{'type': 'struct', 'fields': [{'id': 1, 'name': 'id', 'required': true, 'type': 'long'}," \
	" {'id': 2, 'name': 'word', 'required': false, 'type': 'string'}]}"

/* The status must be that, and an error of that type. */
static void expect(const struct asker *asker, const char *method, const char *path, const char *body, unsigned status,
	const char *type)
{
	json_t *answer;
	unsigned got = ask(asker, method, path, body, &answer);
	const json_t *error = json_object_get(answer, "error");
	const char *is = json_string_value(json_object_get(error, "type"));
	if (got != status || (type == NULL ? error != NULL : is == NULL || strcmp(is, type) != 0))
		fail_msg("%s %s: %u %s, expected %u %s (%s)", method, path, got, is != NULL ? is : "-", status,
			type != NULL ? type : "-",
			json_string_value(json_object_get(json_object_get(answer, "error"), "message")));
	if (type != NULL && strcmp(method, "HEAD") != 0)
		assert_int_equal(json_integer_value(json_object_get(error, "code")), status);
	json_decref(answer);
}

/* ---- tables of others ---- */

static void routes_and_their_errors(void **state)
{
	static const struct {
		const char *method, *path, *body;
		unsigned status;
		const char *type;
	} steps[] = {
		{"GET", "config?warehouse=any&unknown=1", NULL, 200, NULL},
		{"GET", "nowhere", NULL, 404, "NotFoundException"},
		{"PUT", "namespaces", NULL, 405, "UnsupportedOperationException"},
		{"GET", "namespaces/mine", NULL, 404, "NoSuchNamespaceException"},
		{"HEAD", "namespaces/mine", NULL, 404, "NoSuchNamespaceException"},
		{"POST", "namespaces", "{'namespace': ['mine'], 'properties': {'a': 'b'}}", 200, NULL},
		{"POST", "namespaces", "{'namespace': ['mine']}", 409, "AlreadyExistsException"},
		{"POST", "namespaces", "{'namespace': []}", 400, "BadRequestException"},
		{"POST", "namespaces", "{'namespace': ['']}", 400, "BadRequestException"},
		{"POST", "namespaces", "no json", 400, "BadRequestException"},
		{"POST", "namespaces", "{'namespace': ['mine', 'in.ner']}", 200, NULL},
		{"HEAD", "namespaces/mine%1Fin.ner", NULL, 204, NULL},
		{"HEAD", "namespaces/mine.in.ner", NULL, 404, "NoSuchNamespaceException"},
		{"POST", "namespaces/mine/properties", "{'removals': ['a'], 'updates': {'a': 'c'}}", 422,
			"UnprocessableEntityException"},
		{"POST", "namespaces/mine/properties", "{'removals': ['a', 'q'], 'updates': {'x': 'y'}}", 200, NULL},
		{"POST", "namespaces/none/tables", "{'name': 't', 'schema': " SCHEMA "}", 404,
			"NoSuchNamespaceException"},
		{"POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL},
		{"POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 409,
			"AlreadyExistsException"},
		{"POST", "namespaces/mine/tables", "{'name': 'u'}", 400, "BadRequestException"},
		{"POST", "namespaces/mine/tables", "{'name': 'staged', 'stage-create': true, 'schema': " SCHEMA "}",
			200, NULL},
		{"HEAD", "namespaces/mine/tables/staged", NULL, 404, "NoSuchTableException"},
		{"HEAD", "namespaces/mine/tables/t", NULL, 204, NULL},
		{"GET", "namespaces/mine/tables/none", NULL, 404, "NoSuchTableException"},
		{"GET", "namespaces/mine/views/t", NULL, 404, "NoSuchViewException"},
		{"GET", "namespaces/mine/tables/t?snapshots=some", NULL, 400, "BadRequestException"},
		{"POST", "namespaces/mine/tables/t",
			"{'requirements': [{'type': 'assert-current-schema-id', 'current-schema-id': 4}],"
			" 'updates': []}",
			409, "CommitFailedException"},
		{"POST", "namespaces/mine/tables/t", "{'requirements': [], 'updates': [{'action': 'no-such'}]}", 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/tables/none", "{'requirements': [], 'updates': []}", 404,
			"NoSuchTableException"},
		{"POST", "namespaces/mine/tables/t/metrics", "{'report-type': 'scan-report'}", 204, NULL},
		{"POST", "tables/rename",
			"{'source': {'namespace': ['mine'], 'name': 't'}, 'destination': {'namespace': ['none'], "
			"'name': 't'}}",
			404, "NoSuchNamespaceException"},
		{"POST", "tables/rename",
			"{'source': {'namespace': ['mine'], 'name': 't'}, 'destination': {'namespace': ['mine'], "
			"'name': 'u'}}",
			204, NULL},
		{"POST", "tables/rename",
			"{'source': {'namespace': ['mine'], 'name': 't'}, 'destination': {'namespace': ['mine'], "
			"'name': 'x'}}",
			404, "NoSuchTableException"},
		{"POST", "namespaces/mine/views",
			"{'name': 'u', 'schema': " SCHEMA ", 'view-version': {'version-id': 1, 'schema-id': 0,"
			" 'timestamp-ms': 1, 'representations': [{'type': 'sql', 'sql': 'x', 'dialect': 'y'}]}}",
			409, "AlreadyExistsException"},
		{"POST", "namespaces/mine/register", "{'name': 'r', 'metadata-location': 'file:///etc/passwd'}", 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/register", "{'name': 'r'}", 400, "BadRequestException"},
		{"DELETE", "namespaces/mine", NULL, 409, "NamespaceNotEmptyException"},
		{"DELETE", "namespaces/mine/tables/u?purgeRequested=true", NULL, 204, NULL},
		{"DELETE", "namespaces/mine/tables/u", NULL, 404, "NoSuchTableException"},
		{"DELETE", "namespaces/mine%1Fin.ner", NULL, 204, NULL},
		{"DELETE", "namespaces/mine", NULL, 204, NULL},
		{"DELETE", "namespaces/mine", NULL, 404, "NoSuchNamespaceException"},
	};
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		expect(&operator, steps[i].method, steps[i].path, steps[i].body, steps[i].status, steps[i].type);
	lake_done(&lake);
}

static void endpoints_are_the_routes(void **state)
{
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	struct router router = {0};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	iceberg_routes_fill(&router);
	json_t *config = get(&operator, "config");
	assert_int_equal(
		json_array_size(json_object_get(config, "endpoints")), router.count - 2); /* config and tokens */
	assert_string_equal(json_string_value(json_array_get(json_object_get(config, "endpoints"), 0)),
		"GET /v1/{prefix}/namespaces");
	json_decref(config);
	lake_done(&lake);
}

static void pages(void **state)
{
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	char path[256], body[256], token[64] = "";
	unsigned seen = 0, rounds = 0;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	expect(&operator, "POST", "namespaces", "{'namespace': ['p']}", 200, NULL);
	for (unsigned i = 0; i < 7; i++) {
		snprintf(body, sizeof body, "{'name': 't%u', 'schema': " SCHEMA "}", i);
		expect(&operator, "POST", "namespaces/p/tables", body, 200, NULL);
	}
	do {
		snprintf(path, sizeof path, "namespaces/p/tables?pageSize=3&pageToken=%s", token);
		json_t *page = get(&operator, path);
		const char *next = json_string_value(json_object_get(page, "next-page-token"));
		seen += (unsigned)json_array_size(json_object_get(page, "identifiers"));
		snprintf(token, sizeof token, "%s", next != NULL ? next : "");
		rounds++;
		json_decref(page);
	} while (token[0] != '\0' && rounds < 10);
	assert_int_equal(seen, 7);
	assert_int_equal(rounds, 3);
	json_t *all = get(&operator, "namespaces/p/tables?pageSize=3"); /* no token: a client that knows no pages */
	assert_int_equal(json_array_size(json_object_get(all, "identifiers")), 7);
	json_decref(all);
	lake_done(&lake);
}

static void a_commit_changes_what_it_names(void **state)
{
	static const char change[] =
		"{'requirements': [], 'updates': [{'action': 'set-properties', 'updates': {'k': 'v'}}]}";
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	expect(&operator, "POST", "namespaces", "{'namespace': ['c']}", 200, NULL);
	expect(&operator, "POST", "namespaces/c/tables", "{'name': 'one', 'schema': " SCHEMA "}", 200, NULL);
	expect(&operator, "POST", "namespaces/c/tables", "{'name': 'two', 'schema': " SCHEMA "}", 200, NULL);
	expect(&operator, "POST", "namespaces/c/tables/one", change, 200, NULL);
	json_t *table = get(&operator, "namespaces/c/tables/one"), *metadata = json_object_get(table, "metadata");
	assert_string_equal(json_string_value(json_object_get(json_object_get(metadata, "properties"), "k")), "v");
	assert_int_equal(json_array_size(json_object_get(metadata, "metadata-log")), 1);
	assert_non_null(strstr(json_string_value(json_object_get(table, "metadata-location")), "/metadata/00001-"));
	json_decref(table);
	/* Two tables: the second's requirement does not hold, so the first stays as it is. */
	expect(&operator, "POST", "transactions/commit",
		"{'table-changes': [{'identifier': {'namespace': ['c'], 'name': 'one'}, 'requirements': [], 'updates': "
		"[{'action':"
		" 'set-properties', 'updates': {'k': 'w'}}]}, {'identifier': {'namespace': ['c'], 'name': 'two'}, "
		"'requirements':"
		" [{'type': 'assert-ref-snapshot-id', 'ref': 'main', 'snapshot-id': 5}], 'updates': []}]}",
		409, "CommitFailedException");
	expect(&operator, "POST", "transactions/commit", "{'table-changes': []}", 400, "BadRequestException");
	table = get(&operator, "namespaces/c/tables/one");
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(json_object_get(table, "metadata"), "properties"), "k")),
		"v");
	json_decref(table);
	/* A table that a commit creates. */
	expect(&operator, "POST", "namespaces/c/tables/three",
		"{'requirements': [{'type': 'assert-create'}], 'updates': [{'action': 'set-location', 'location': "
		"''}]}",
		400, "BadRequestException");
	expect(&operator, "POST", "namespaces/c/tables/one",
		"{'requirements': [{'type': 'assert-create'}], 'updates': []}", 409, "CommitFailedException");
	lake_done(&lake);
}

static void a_load_of_the_same_version_is_304(void **state)
{
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	char etag[40];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	expect(&operator, "POST", "namespaces", "{'namespace': ['e']}", 200, NULL);
	expect(&operator, "POST", "namespaces/e/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	struct catalog *catalog;
	struct weir_error err = WEIR_ERROR_INIT;
	struct catalog_config config = {.registry = engine_registry(lake.engine), .clock = weir_clock_system()};
	struct access_identity identity = access_operator();
	struct catalog_load load = {.caller = &identity};
	struct catalog_entry entry;
	bool same;
	LAKE_OK(&lake, catalog_open(&config, &catalog, &err), &err);
	LAKE_OK(&lake,
		catalog_load(catalog, CATALOG_TABLE, (struct catalog_name){WEIR_STR("e"), WEIR_STR("t")}, &load,
			lake.arena, &entry, &same, &err),
		&err);
	memcpy(etag, entry.etag, sizeof etag);
	catalog_entry_done(&entry);
	catalog_close(catalog);
	struct asker again = {.lake = &lake, .etag = etag};
	assert_int_equal(ask(&again, "GET", "namespaces/e/tables/t", NULL, NULL), 304);
	assert_int_equal(ask(&again, "GET", "namespaces/e/tables/t?snapshots=refs", NULL, NULL), 200);
	expect(&operator, "POST", "namespaces/e/tables/t",
		"{'requirements': [], 'updates': [{'action': 'set-properties', 'updates': {'k': 'v'}}]}", 200, NULL);
	assert_int_equal(ask(&again, "GET", "namespaces/e/tables/t", NULL, NULL), 200);
	lake_done(&lake);
}

/* ---- the lake's own tables ---- */

static void nobody_changes_the_lakes_tables(void **state)
{
	static const struct {
		const char *method, *path, *body;
	} steps[] = {
		{"POST", "namespaces/gold/tables/athlete_data",
			"{'requirements': [], 'updates': [{'action': 'set-properties', 'updates': {'k': 'v'}}]}"},
		{"POST", "namespaces/gold/tables", "{'name': 'mine', 'schema': " SCHEMA "}"},
		{"POST", "namespaces/silver/register", "{'name': 'mine', 'metadata-location': 'x'}"},
		{"POST", "namespaces", "{'namespace': ['gold', 'inner']}"},
		{"POST", "namespaces/bronze/properties", "{'removals': [], 'updates': {'a': 'b'}}"},
		{"DELETE", "namespaces/gold/tables/athlete_data", NULL},
		{"DELETE", "namespaces/gold/tables/athlete_data?purgeRequested=true", NULL},
		{"DELETE", "namespaces/history", NULL},
		{"POST", "tables/rename",
			"{'source': {'namespace': ['gold'], 'name': 'athlete_data'}, 'destination': {'namespace': "
			"['mine'], 'name': 't'}}"},
		{"POST", "tables/rename",
			"{'source': {'namespace': ['mine'], 'name': 't'}, 'destination': {'namespace': ['gold'], "
			"'name': 't'}}"},
		{"POST", "transactions/commit",
			"{'table-changes': [{'identifier': {'namespace': ['mine'], 'name': 't'}, 'requirements': [], "
			"'updates':"
			" [{'action': 'set-properties', 'updates': {'k': 'v'}}]}, {'identifier': {'namespace': "
			"['audit'], 'name':"
			" 'access'}, 'requirements': [], 'updates': []}]}"},
		{"POST", "namespaces/silver/views",
			"{'name': 'v', 'schema': " SCHEMA
			", 'view-version': {'version-id': 1, 'schema-id': 0, 'timestamp-ms': 1,"
			" 'representations': []}}"},
	};
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	char body[2048];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	expect(&operator, "POST", "namespaces", "{'namespace': ['mine']}", 200, NULL);
	expect(&operator, "POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		expect(&operator, steps[i].method, steps[i].path, steps[i].body, 403, "ForbiddenException");
	/* Nor by way of a location among their files. */
	json_t *gold = get(&operator, "namespaces/gold/tables/athlete_data");
	const char *location = json_string_value(json_object_get(json_object_get(gold, "metadata"), "location"));
	snprintf(body, sizeof body, "{'name': 'sly', 'location': '%s/data', 'schema': " SCHEMA "}", location);
	expect(&operator, "POST", "namespaces/mine/tables", body, 403, "ForbiddenException");
	snprintf(body, sizeof body, "{'requirements': [], 'updates': [{'action': 'set-location', 'location': '%s'}]}",
		location);
	expect(&operator, "POST", "namespaces/mine/tables/t", body, 403, "ForbiddenException");
	snprintf(body, sizeof body, "{'name': 'sly', 'metadata-location': '%s'}",
		json_string_value(json_object_get(gold, "metadata-location")));
	expect(&operator, "POST", "namespaces/mine/register", body, 403, "ForbiddenException");
	json_decref(gold);
	lake_done(&lake); /* which proves the lake sound, too */
}

/* Spellings of a folder that the store would not write to, but that readers of metadata take for it. */
static void a_location_has_one_spelling(void **state)
{
	static const char *const folders[] = {
		"/gold/", "//gold/sly", "/./gold/sly", "/mine/../gold", "/gold/.", "/mine/.."};
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	struct weir_error err = WEIR_ERROR_INIT;
	char body[2048];
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct store *store = ice_registry_store(engine_registry(lake.engine));
	struct weir_str root = store_uri(store, lake.arena, WEIR_STR("x"));
	root.size -= 2;
	expect(&operator, "POST", "namespaces", "{'namespace': ['mine']}", 200, NULL);
	expect(&operator, "POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	json_t *table = get(&operator, "namespaces/mine/tables/t"), *metadata = json_object_get(table, "metadata");
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		const char *at = weir_arena_printf(lake.arena, "%.*s%s", WEIR_STR_ARG(root), folders[i]);
		const char *file = weir_arena_printf(lake.arena, "seen/metadata/%zu.json", i);
		if (i > 0) { /* a slash at the end is cut off there */
			snprintf(body, sizeof body, "{'name': 'sly', 'location': '%s', 'schema': " SCHEMA "}", at);
			expect(&operator, "POST", "namespaces/mine/tables", body, 403, "ForbiddenException");
			snprintf(body, sizeof body,
				"{'requirements': [], 'updates': [{'action': 'set-location', 'location': '%s'}]}", at);
			expect(&operator, "POST", "namespaces/mine/tables/t", body, 403, "ForbiddenException");
		}
		json_object_set_new(metadata, "location", json_string(at));
		char *text = json_dumps(metadata, 0);
		LAKE_OK(&lake, store_put(store, file, text, strlen(text), &err), &err);
		free(text);
		snprintf(
			body, sizeof body, "{'name': 'sly', 'metadata-location': '%.*s/%s'}", WEIR_STR_ARG(root), file);
		expect(&operator, "POST", "namespaces/mine/register", body, 403, "ForbiddenException");
	}
	json_decref(table);
	lake_done(&lake);
}

static void odd_requests_are_refused(void **state)
{
#define COMMIT(updates) "{'requirements': [], 'updates': [" updates "]}"
	static const struct {
		const char *method, *path, *body;
		unsigned status;
		const char *type;
	} steps[] = {
		{"GET", "namespaces/mine/tables/%FF%FE", NULL, 404, "NoSuchTableException"},
		{"GET", "namespaces/mine/tables/t%00", NULL, 404, "NotFoundException"},
		{"GET", "namespaces/mine/tables/%0D%0AX:1", NULL, 404, "NoSuchTableException"},
		{"GET", "namespaces/mine%1F/tables/t", NULL, 400, "BadRequestException"},
		{"GET", "namespaces/%1Fmine/tables/t", NULL, 400, "BadRequestException"},
		{"GET", "namespaces/mine%2E/tables/t", NULL, 404, "NoSuchTableException"},
		{"GET", "namespaces/mine/tables/..%2F..%2Fgold", NULL, 404, "NoSuchTableException"},
		{"POST", "namespaces/gold%1Fin/tables", "{'name': 't', 'schema': " SCHEMA "}", 403,
			"ForbiddenException"},
		{"POST", "namespaces/mine/tables",
			"{'name': 'u', 'schema': " SCHEMA ", 'partition-spec': {'fields': 'none'}}", 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/tables", "{'name': 'u', 'schema': " SCHEMA ", 'write-order': {'fields': {}}}",
			400, "BadRequestException"},
		{"POST", "namespaces/mine/tables",
			"{'name': 'u', 'schema': " SCHEMA ", 'partition-spec': {'fields': [1, null]}}", 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/register", "{'name': 'u', 'metadata-location': '../../../etc/passwd'}", 403,
			"ForbiddenException"},
		{"POST", "namespaces/mine/register", "{'name': 'u', 'metadata-location': 'file:///etc/passwd'}", 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/tables/t", COMMIT("1, null"), 400, "BadRequestException"},
		{"POST", "namespaces/mine/tables/t", COMMIT("{'action': 'add-snapshot', 'snapshot': []}"), 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/tables/t",
			COMMIT("{'action': 'add-spec', 'spec': {'fields': [{'source-id': 1, 'transform': 7}]}}"), 400,
			"BadRequestException"},
		{"POST", "namespaces/mine/tables/t", COMMIT("{'action': 'set-statistics', 'statistics': {}}"), 400,
			"BadRequestException"},
		{"POST", "tables/rename", "{'source': 1, 'destination': null}", 400, "BadRequestException"},
		{"POST", "transactions/commit", "{'table-changes': [7]}", 400, "BadRequestException"},
		{"POST", "transactions/commit", "{'table-changes': {}}", 400, "BadRequestException"},
	};
#undef COMMIT
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	expect(&operator, "POST", "namespaces", "{'namespace': ['mine']}", 200, NULL);
	expect(&operator, "POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		expect(&operator, steps[i].method, steps[i].path, steps[i].body, steps[i].status, steps[i].type);
	char *deep = weir_arena_alloc(lake.arena, 100001); /* deeper than any stack would bear */
	memset(deep, '[', 100000);
	deep[100000] = '\0';
	expect(&operator, "POST", "namespaces", deep, 400, "BadRequestException");
	expect(&operator, "GET", "namespaces/mine/tables/u", NULL, 404, "NoSuchTableException");
	lake_done(&lake);
}

/* Metadata that could not be read again is not written. */
static void a_table_cannot_outgrow_its_reader(void **state)
{
	enum { VALUE = 14 << 20, COMMITS = ICE_REST_BYTES_MAX / VALUE };
	struct lake_fixture lake;
	struct asker operator= {.lake = &lake};
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	expect(&operator, "POST", "namespaces", "{'namespace': ['mine']}", 200, NULL);
	expect(&operator, "POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	char *value = weir_arena_alloc(lake.arena, VALUE + 1);
	memset(value, 'v', VALUE);
	value[VALUE] = '\0';
	for (unsigned i = 0; i <= COMMITS; i++) {
		const char *body = weir_arena_printf(lake.arena,
			"{'requirements': [], 'updates': [{'action': 'set-properties', 'updates': {'k%u': '%s'}}]}", i,
			value);
		expect(&operator, "POST", "namespaces/mine/tables/t", body, i < COMMITS ? 200 : 413,
			i < COMMITS ? NULL : "RESTException");
	}
	expect(&operator, "GET", "namespaces/mine/tables/t", NULL, 200, NULL);
	lake_done(&lake);
}

/* A catalog that does not know the lake's description cannot tell whose rows a table holds: it gives none of them. */
static void without_the_lake_its_tables_are_closed(void **state)
{
	static const struct catalog_name names[] = {{{"gold", 4}, {"athlete_data", 12}},
		{{"history", 7}, {"athlete_data", 12}}, {{"bronze", 6}, {"telemetry", 9}}};
	static const enum access_role roles[] = {ACCESS_OPERATOR, ACCESS_AUDITOR, ACCESS_CONSUMER};
	struct lake_fixture lake;
	struct catalog *catalog;
	struct weir_error err = WEIR_ERROR_INIT;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct catalog_config config = {.registry = engine_registry(lake.engine), .clock = weir_clock_system()};
	LAKE_OK(&lake, catalog_open(&config, &catalog, &err), &err);
	for (size_t i = 0; i < 9; i++) {
		struct access_identity caller = {.role = roles[i % 3], .purposes = ~0ULL};
		struct catalog_load load = {.caller = &caller, .route = WEIR_STR("/")};
		struct catalog_entry entry;
		bool same;
		assert_int_equal(
			catalog_load(catalog, CATALOG_TABLE, names[i / 3], &load, lake.arena, &entry, &same, &err),
			WEIR_E_DENIED);
		catalog_entry_done(&entry);
	}
	catalog_close(catalog);
	lake_done(&lake);
}

static void each_role_sees_its_own(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker operator= {.lake = &lake};
	struct asker auditor = {.lake = &lake, .token = token_of(&lake, ACCESS_AUDITOR, NULL)};
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	struct asker ingest = {.lake = &lake, .token = token_of(&lake, ACCESS_INGEST, NULL)};
	struct asker unknown = {.lake = &lake, .token = "weir_nothing"};
	static const char *const layers[] = {"bronze/tables/telemetry", "silver/tables/telemetry",
		"gold/tables/athlete_data", "history/tables/athlete_data", "audit/tables/access"};
	expect(&operator, "POST", "namespaces", "{'namespace': ['mine']}", 200, NULL);
	expect(&operator, "POST", "namespaces/mine/tables", "{'name': 't', 'schema': " SCHEMA "}", 200, NULL);
	for (unsigned i = 0; i < 5; i++) {
		const char *path = weir_arena_printf(lake.arena, "namespaces/%s", layers[i]);
		expect(&operator, "GET", path, NULL, i == 3 ? 403 : 200, i == 3 ? "ForbiddenException" : NULL);
		expect(&auditor, "GET", path, NULL, 200, NULL);
		expect(&consumer, "GET", path, NULL, i == 2 ? 200 : 403, i == 2 ? NULL : "ForbiddenException");
		expect(&ingest, "GET", path, NULL, 403, "ForbiddenException");
		expect(&unknown, "GET", path, NULL, 401, "NotAuthorizedException");
	}
	expect(&consumer, "GET", "namespaces/mine/tables/t", NULL, 404, "NoSuchTableException");
	expect(&consumer, "GET", "namespaces/silver", NULL, 404, "NoSuchNamespaceException");
	expect(&consumer, "HEAD", "namespaces/mine", NULL, 404, "NoSuchNamespaceException");
	static const char *const unseen[] = {"namespaces/mine/tables", "namespaces/history/tables",
		"namespaces/none/tables", "namespaces/mine/views", "namespaces/history/views", "namespaces?parent=mine",
		"namespaces?parent=history", "namespaces?parent=none"};
	for (unsigned i = 0; i < sizeof unseen / sizeof unseen[0]; i++) /* alike, there or not */
		expect(&consumer, "GET", unseen[i], NULL, 404, "NoSuchNamespaceException");
	expect(&consumer, "GET", "namespaces/gold/tables", NULL, 200, NULL);
	expect(&consumer, "GET", "namespaces?parent=gold", NULL, 200, NULL);
	expect(&consumer, "HEAD", "namespaces/gold", NULL, 204, NULL);
	expect(&consumer, "POST", "namespaces", "{'namespace': ['theirs']}", 403, "ForbiddenException");
	expect(&auditor, "DELETE", "namespaces/mine/tables/t", NULL, 403, "ForbiddenException");
	json_t *list = get(&consumer, "namespaces");
	json_t *only = json_loads("[[\"gold\"]]", 0, NULL);
	assert_true(json_equal(json_object_get(list, "namespaces"), only));
	json_decref(only);
	json_decref(list);
	lake_done(&lake);
}

/* A table that lake.yaml no longer names is still gold, or history: who reads those does not grow by that. */
static void a_table_that_left_the_lake_stays_closed(void **state)
{
	struct lake_fixture lake;
	(void)state;
	lake_copy(&lake, LAKE_ATHLETE, true);
	fill(&lake);
	lake_close(&lake);
	lake_edit(&lake, "lake.yaml", "history.athlete_data:", "history.past_data:");
	lake_open(&lake);
	struct asker operator= {.lake = &lake};
	struct asker auditor = {.lake = &lake, .token = token_of(&lake, ACCESS_AUDITOR, NULL)};
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	expect(&operator, "GET", "namespaces/history/tables/athlete_data", NULL, 403, "ForbiddenException");
	expect(&operator, "GET", "namespaces/history/tables/past_data", NULL, 403, "ForbiddenException");
	expect(&operator, "GET", "namespaces/history/tables/none", NULL, 404, "NoSuchTableException");
	expect(&operator, "GET", "namespaces/gold/tables/none", NULL, 404, "NoSuchTableException");
	expect(&auditor, "GET", "namespaces/history/tables/athlete_data", NULL, 200, NULL);
	expect(&consumer, "GET", "namespaces/history/tables/athlete_data", NULL, 403, "ForbiddenException");
	expect(&consumer, "GET", "namespaces/gold/tables/none", NULL, 403, "ForbiddenException");
	lake_done(&lake);
}

static void a_secret_is_exchanged_for_a_bearer_token(void **state)
{
	static const struct {
		const char *form; /* the secret follows */
		unsigned status;
		const char *error;
	} cases[] = {
		{"grant_type=client_credentials&client_id=any&scope=catalog&client_secret=", 200, NULL},
		{"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=", 200, NULL},
		{"grant_type=client_credentials&client_secret=weir_wrong&client_id=", 401, "invalid_client"},
		{"grant_type=client_credentials&client_id=", 400, "invalid_request"},
		{"grant_type=password&client_secret=", 400, "unsupported_grant_type"},
	};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	struct asker anyone = {.lake = &lake};
	const char *secret = token_of(&lake, ACCESS_AUDITOR, NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char form[512];
		json_t *answer;
		snprintf(form, sizeof form, "%s%s", cases[i].form, secret);
		assert_int_equal(ask(&anyone, "POST", "oauth/tokens", form, &answer), cases[i].status);
		const char *given = json_string_value(json_object_get(answer, "access_token"));
		const char *error = json_string_value(json_object_get(answer, "error"));
		if (cases[i].error == NULL) {
			struct asker bearer = {.lake = &lake, .token = given};
			assert_string_equal(json_string_value(json_object_get(answer, "token_type")), "bearer");
			expect(&bearer, "GET", "namespaces", NULL, 200, NULL);
		} else {
			assert_null(given);
			assert_string_equal(error, cases[i].error);
		}
		json_decref(answer);
	}
	lake_done(&lake);
}

static const char *total_rows(const json_t *table)
{
	const json_t *snapshots = json_object_get(json_object_get(table, "metadata"), "snapshots");
	assert_int_equal(json_array_size(snapshots), 1);
	return json_string_value(
		json_object_get(json_object_get(json_array_get(snapshots, 0), "summary"), "total-records"));
}

struct slice_rows {
	struct lake_fixture *lake;
	unsigned rows, others;
};

/* Opens the answer's metadata as a table and counts its rows, and those of another purpose. */
static struct slice_rows read_slice(struct lake_fixture *lake, const json_t *table, const char *purpose)
{
	struct slice_rows found = {.lake = lake};
	struct weir_error err = WEIR_ERROR_INIT;
	struct store *store = ice_registry_store(engine_registry(lake->engine));
	struct ice_cache *cache = ice_cache_new(1 << 20);
	struct ice_table *opened;
	struct ice_file_list *list;
	struct ice_reader *reader;
	struct expr_filter all = {0};
	struct weir_batch *batch;
	uint32_t file;
	uint64_t row;
	char *text = json_dumps(json_object_get(table, "metadata"), 0);
	LAKE_OK(lake, store_put(store, "seen/metadata/a.json", text, strlen(text), &err), &err);
	struct weir_str uri = store_uri(store, lake->arena, WEIR_STR("seen/metadata/a.json"));
	LAKE_OK(lake, ice_table_open(store, cache, (struct ice_name){WEIR_STR("x"), WEIR_STR("y")}, uri, &opened, &err),
		&err);
	LAKE_OK(lake, ice_plan(opened, -1, &all, &list, &err), &err);
	LAKE_OK(lake, ice_reader_open(opened, list->files, list->count, ice_table_schema(opened), &all, &reader, &err),
		&err);
	for (;;) {
		LAKE_OK(lake, ice_reader_next(reader, &batch, &file, &row, &err), &err);
		if (batch == NULL)
			break;
		for (uint32_t i = 0; i < batch->row_count; i++) {
			found.rows++;
			found.others += strcmp(lake_cell(lake, batch, i, "purpose"), purpose) != 0;
		}
		weir_batch_release(batch);
	}
	ice_reader_close(reader);
	ice_file_list_free(list);
	ice_table_unref(opened);
	ice_cache_free(cache);
	const char *name = "seen/metadata/a.json";
	LAKE_OK(lake, store_delete_many(store, &name, 1, &err), &err);
	free(text);
	return found;
}

static void count_slice_file(void *context, const char *path, const char *name, struct weir_str content)
{
	(void)path;
	(void)content;
	if (strstr(name, "slice-") != NULL)
		++*(unsigned *)context;
}

static void a_consumer_gets_its_slice(void **state)
{
	static const struct {
		const char *purpose, *total;
		unsigned rows;
	} cases[] = {{"research", "30", 30}, {"education", "20", 20}, {"marketing", "0", 0}};
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, cases[i].purpose)};
		json_t *table = get(&consumer, "namespaces/gold/tables/athlete_data");
		const json_t *metadata = json_object_get(table, "metadata");
		assert_string_equal(total_rows(table), cases[i].total);
		assert_int_equal(json_array_size(json_object_get(metadata, "metadata-log")), 0);
		assert_true(json_is_null(json_object_get(table, "metadata-location")));
		struct slice_rows found = read_slice(&lake, table, cases[i].purpose);
		assert_int_equal(found.rows, cases[i].rows);
		assert_int_equal(found.others, 0);
		json_decref(table);
	}
	struct asker operator= {.lake = &lake};
	json_t *whole = get(&operator, "namespaces/gold/tables/athlete_data");
	assert_string_equal(total_rows(whole), "50");
	json_decref(whole);
	lake_done(&lake);
}

static void a_removal_is_waited_for_and_destroys_slices(void **state)
{
	struct lake_fixture lake;
	unsigned slices = 0;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker operator= {.lake = &lake};
	struct asker research = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	struct asker education = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "education")};
	json_decref(get(&research, "namespaces/gold/tables/athlete_data"));
	lake_each_file(&lake, "data/warehouse/gold", count_slice_file, &slices);
	assert_int_equal(slices, 1);
	lake_withdraw(&lake, "a1", "education");
	expect(&education, "GET", "namespaces/gold/tables/athlete_data", NULL, 503, "ServiceUnavailableException");
	expect(&operator, "GET", "namespaces/gold/tables/athlete_data", NULL, 503, "ServiceUnavailableException");
	json_decref(get(&research, "namespaces/gold/tables/athlete_data")); /* nothing of its slice goes */
	lake_settle(&lake);
	slices = 0;
	lake_each_file(&lake, "data/warehouse/gold", count_slice_file, &slices);
	assert_int_equal(slices, 0);
	json_t *table = get(&education, "namespaces/gold/tables/athlete_data");
	assert_string_equal(total_rows(table), "10");
	struct slice_rows found = read_slice(&lake, table, "education");
	assert_int_equal(found.rows, 10);
	json_decref(table);
	lake_done(&lake);
}

struct sweep {
	struct lake_fixture lake;
	struct hook_os hook;
	unsigned times;
};

/* A removal's sweep comes between the note that the list is doomed and the list itself. */
static int sweep_before_slice(void *context, const char *path, struct weir_error *err)
{
	struct sweep *sweep = context;
	if (path == NULL || strstr(path, "slice-") == NULL || sweep->times++ > 0)
		return 0;
	return ice_sweep_doomed(engine_registry(sweep->lake.engine), LAKE_NOW * 2, 0, NULL, err);
}

/* While a sweep destroys the list, it is noted anew: what was just written must be looked for once more. */
static int note_anew(void *context, const char *path, struct weir_error *err)
{
	struct sweep *sweep = context;
	struct control_result result;
	if (path == NULL || strstr(path, "slice-") == NULL || sweep->times++ > 0)
		return 0;
	struct control_change *change = control_change_new(CONTROL_BACKGROUND);
	control_change_sql(change, "note", 1,
		"UPDATE weir_doomed_files SET doomed_us = doomed_us - 1 WHERE name LIKE '%slice-%'", NULL, 0);
	int status = control_commit(ice_registry_control(engine_registry(sweep->lake.engine)), change, &result, err);
	control_change_free(change);
	return status;
}

static void a_slice_that_a_sweep_missed_goes_with_the_next(void **state)
{
	struct sweep sweep = {.times = 0};
	struct weir_error err = WEIR_ERROR_INIT;
	unsigned slices = 0;
	(void)state;
	lake_start(&sweep.lake, LAKE_ATHLETE);
	lake_close(&sweep.lake);
	hook_os_init(&sweep.hook, weir_os_real());
	sweep.hook.context = &sweep;
	sweep.lake.os = &sweep.hook.os;
	lake_open(&sweep.lake);
	fill(&sweep.lake);
	struct asker research = {.lake = &sweep.lake, .token = token_of(&sweep.lake, ACCESS_CONSUMER, "research")};
	sweep.hook.before = sweep_before_slice;
	json_decref(get(&research, "namespaces/gold/tables/athlete_data"));
	sweep.hook.before = NULL;
	assert_true(sweep.times > 0);
	lake_each_file(&sweep.lake, "data/warehouse/gold", count_slice_file, &slices);
	assert_int_equal(slices, 1);
	sweep.times = 0;
	sweep.hook.before = note_anew;
	LAKE_OK(&sweep.lake,
		ice_sweep_doomed(engine_registry(sweep.lake.engine), LAKE_NOW + WEIR_US_PER_DAY, 0, NULL, &err), &err);
	sweep.hook.before = NULL;
	assert_int_equal(sweep.times, 2);
	slices = 0;
	lake_each_file(&sweep.lake, "data/warehouse/gold", count_slice_file, &slices);
	assert_int_equal(slices, 0);
	lake_done(&sweep.lake);
}

static void each_load_is_audited(void **state)
{
	static const char route[] = "/iceberg/v1/tables/gold.athlete_data";
	struct lake_fixture lake;
	(void)state;
	lake_start(&lake, LAKE_ATHLETE);
	fill(&lake);
	struct asker operator= {.lake = &lake};
	struct asker consumer = {.lake = &lake, .token = token_of(&lake, ACCESS_CONSUMER, "research")};
	struct asker has_it = consumer; /* what the client has spares it the bytes nowhere */
	has_it.etag = "*";
	for (unsigned i = 0; i < 3; i++)
		json_decref(get(i == 2 ? &has_it : &consumer, "namespaces/gold/tables/athlete_data"));
	expect(&consumer, "GET", "namespaces/silver/tables/telemetry", NULL, 403, "ForbiddenException");
	expect(&operator, "GET", "namespaces/history/tables/athlete_data", NULL, 403, "ForbiddenException");
	struct weir_error err = WEIR_ERROR_INIT;
	bool did;
	LAKE_OK(&lake, jobs_audit(lake.engine->jobs, true, &did, &err), &err);
	assert_int_equal(
		lake_count(&lake, "audit.access", "route", route, "purpose", "research", "outcome", "allowed", NULL),
		3);
	assert_int_equal(lake_count(&lake, "audit.access", "route", "/iceberg/v1/tables/silver.telemetry", "outcome",
				 "denied", NULL),
		1);
	assert_int_equal(lake_count(&lake, "audit.access", "route", "/iceberg/v1/tables/history.athlete_data",
				 "outcome", "denied", NULL),
		1);
	lake_done(&lake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_and_their_errors),
		cmocka_unit_test(endpoints_are_the_routes),
		cmocka_unit_test(pages),
		cmocka_unit_test(a_commit_changes_what_it_names),
		cmocka_unit_test(a_load_of_the_same_version_is_304),
		cmocka_unit_test(nobody_changes_the_lakes_tables),
		cmocka_unit_test(odd_requests_are_refused),
		cmocka_unit_test(a_table_cannot_outgrow_its_reader),
		cmocka_unit_test(a_location_has_one_spelling),
		cmocka_unit_test(without_the_lake_its_tables_are_closed),
		cmocka_unit_test(each_role_sees_its_own),
		cmocka_unit_test(a_table_that_left_the_lake_stays_closed),
		cmocka_unit_test(a_secret_is_exchanged_for_a_bearer_token),
		cmocka_unit_test(a_consumer_gets_its_slice),
		cmocka_unit_test(a_removal_is_waited_for_and_destroys_slices),
		cmocka_unit_test(a_slice_that_a_sweep_missed_goes_with_the_next),
		cmocka_unit_test(each_load_is_audited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
