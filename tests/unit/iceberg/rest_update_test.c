/* Requirements and updates of a commit, as a table of cases: what a document becomes, or why it does not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iceberg/rest_document.h"

#define NOW 1700000000000

/* Single quotes for double ones, so that cases can be read. */
static json_t *load(const char *text)
{
	json_error_t problem;
	char *copy = strdup(text);
	for (char *at = copy; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	json_t *value = json_loads(copy, JSON_DECODE_ANY, &problem);
	if (value == NULL)
		fail_msg("%s in %s", problem.text, text);
	free(copy);
	return value;
}

/* The value at "a.b.2.c" of a document. */
static json_t *at_path(json_t *value, const char *path)
{
	char *copy = strdup(path), *rest = NULL;
	for (char *word = strtok_r(copy, ".", &rest); word != NULL && value != NULL; word = strtok_r(NULL, ".", &rest))
		value = json_is_array(value) ? json_array_get(value, strtoul(word, NULL, 10))
					     : json_object_get(value, word);
	free(copy);
	return value;
}

static const char table[] =
	"{'format-version': 2, 'table-uuid': '9c12d441-03fe-4693-9a96-a0705ddf69c1', 'location': 'file:///w/t',"
	" 'last-sequence-number': 5, 'last-updated-ms': 1600000000000, 'last-column-id': 3, 'current-schema-id': 1,"
	" 'schemas': [{'type': 'struct', 'schema-id': 0, 'fields': [{'id': 1, 'name': 'id', 'required': true, 'type': "
	"'long'}]},"
	" {'type': 'struct', 'schema-id': 1, 'fields': [{'id': 1, 'name': 'id', 'required': true, 'type': 'long'},"
	" {'id': 3, 'name': 'shape', 'required': false, 'type': 'geometry(srid:4326)', 'future': {'x': 1}}]}],"
	" 'default-spec-id': 0, 'partition-specs': [{'spec-id': 0, 'fields': [{'source-id': 1, 'field-id': 1000,"
	" 'name': 'id_bucket', 'transform': 'bucket[4]'}]}], 'last-partition-id': 1000, 'default-sort-order-id': 0,"
	" 'sort-orders': [{'order-id': 0, 'fields': []}], 'properties': {'a': '1'}, 'current-snapshot-id': 11,"
	" 'snapshots': [{'snapshot-id': 10, 'sequence-number': 4, 'timestamp-ms': 1500, 'manifest-list': 'm10',"
	" 'summary': {'operation': 'append'}}, {'snapshot-id': 11, 'parent-snapshot-id': 10, 'sequence-number': 5,"
	" 'timestamp-ms': 1600, 'manifest-list': 'm11', 'summary': {'operation': 'append'}, 'unheard-of': [1.5]}],"
	" 'refs': {'main': {'snapshot-id': 11, 'type': 'branch'}, 'old': {'snapshot-id': 10, 'type': 'tag'}},"
	" 'snapshot-log': [{'timestamp-ms': 1500, 'snapshot-id': 10}, {'timestamp-ms': 1600, 'snapshot-id': 11}],"
	" 'metadata-log': [], 'statistics': [{'snapshot-id': 10, 'statistics-path': 's'}], 'not-known': {'kept': "
	"[true, null]}}";

/* ---- requirements ---- */

static const struct {
	const char *requirement;
	int code;
	const char *says; /* part of the message */
} requirement_cases[] = {
	{"{'type': 'assert-create'}", WEIR_E_CONFLICT, "already exists"},
	{"{'type': 'assert-table-uuid', 'uuid': '9c12d441-03fe-4693-9a96-a0705ddf69c1'}", 0, NULL},
	{"{'type': 'assert-table-uuid', 'uuid': '9C12D441-03FE-4693-9A96-A0705DDF69C1'}", 0, NULL},
	{"{'type': 'assert-table-uuid', 'uuid': '00000000-03fe-4693-9a96-a0705ddf69c1'}", WEIR_E_CONFLICT,
		"UUID does not match"},
	{"{'type': 'assert-table-uuid'}", WEIR_E_INPUT, "no member 'uuid'"},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'main', 'snapshot-id': 11}", 0, NULL},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'main', 'snapshot-id': 10}", WEIR_E_CONFLICT, "has changed"},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'main', 'snapshot-id': null}", WEIR_E_CONFLICT,
		"created concurrently"},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'main'}", WEIR_E_CONFLICT, "created concurrently"},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'none', 'snapshot-id': null}", 0, NULL},
	{"{'type': 'assert-ref-snapshot-id', 'ref': 'none', 'snapshot-id': 11}", WEIR_E_CONFLICT, "is missing"},
	{"{'type': 'assert-ref-snapshot-id'}", WEIR_E_INPUT, "'ref'"},
	{"{'type': 'assert-last-assigned-field-id', 'last-assigned-field-id': 3}", 0, NULL},
	{"{'type': 'assert-last-assigned-field-id', 'last-assigned-field-id': 2}", WEIR_E_CONFLICT,
		"last assigned field id"},
	{"{'type': 'assert-current-schema-id', 'current-schema-id': 1}", 0, NULL},
	{"{'type': 'assert-current-schema-id', 'current-schema-id': 0}", WEIR_E_CONFLICT, "current schema changed"},
	{"{'type': 'assert-last-assigned-partition-id', 'last-assigned-partition-id': 1000}", 0, NULL},
	{"{'type': 'assert-last-assigned-partition-id', 'last-assigned-partition-id': 999}", WEIR_E_CONFLICT,
		"partition id"},
	{"{'type': 'assert-default-spec-id', 'default-spec-id': 0}", 0, NULL},
	{"{'type': 'assert-default-spec-id', 'default-spec-id': 1}", WEIR_E_CONFLICT, "partition spec"},
	{"{'type': 'assert-default-sort-order-id', 'default-sort-order-id': 0}", 0, NULL},
	{"{'type': 'assert-default-sort-order-id', 'default-sort-order-id': 2}", WEIR_E_CONFLICT, "sort order"},
	{"{'type': 'assert-default-sort-order-id'}", WEIR_E_INPUT, "no integer"},
	{"{'type': 'assert-view-uuid', 'uuid': 'x'}", WEIR_E_INPUT, "not known"},
	{"{'type': 'assert-tomorrow'}", WEIR_E_INPUT, "not known"},
	{"7", WEIR_E_INPUT, "not known"},
};

static void test_requirements(void **state)
{
	(void)state;
	json_t *metadata = load(table);
	for (size_t i = 0; i < sizeof requirement_cases / sizeof requirement_cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *list = json_pack("[o]", load(requirement_cases[i].requirement));
		int code = ice_rest_check(list, metadata, ICE_REST_TABLE, &err);
		if (code != requirement_cases[i].code)
			fail_msg("%s gave %d: %s", requirement_cases[i].requirement, code, err.message);
		if (requirement_cases[i].says != NULL && strstr(err.message, requirement_cases[i].says) == NULL)
			fail_msg("%s says: %s", requirement_cases[i].requirement, err.message);
		json_decref(list);
	}
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *create = load("[{'type': 'assert-create'}]");
	assert_int_equal(ice_rest_check(create, NULL, ICE_REST_TABLE, &err), 0);
	assert_true(ice_rest_asserts_create(create));
	json_t *both = load("[{'type': 'assert-create'}, {'type': 'assert-default-spec-id', 'default-spec-id': 0}]");
	assert_int_equal(ice_rest_check(both, NULL, ICE_REST_TABLE, &err), WEIR_E_CONFLICT);
	assert_int_equal(ice_rest_check(NULL, metadata, ICE_REST_TABLE, &err), 0);
	json_decref(both);
	json_decref(create);
	json_decref(metadata);
}

/* ---- updates ---- */

#define SNAPSHOT(id, parent, sequence) \
	"{'action': 'add-snapshot', 'snapshot': {'snapshot-id': " #id ", 'parent-snapshot-id': " #parent \
	", 'sequence-number': " #sequence \
	", 'timestamp-ms': 1700, 'manifest-list': 'm', 'summary': {'operation': 'append'}}}"
#define MAIN(id) "{'action': 'set-snapshot-ref', 'ref-name': 'main', 'type': 'branch', 'snapshot-id': " #id "}"

static const struct {
	const char *updates, *path, *expected; /* expected NULL: it is not there */
} update_cases[] = {
	{"[{'action': 'set-properties', 'updates': {'b': '2'}}]", "properties", "{'a': '1', 'b': '2'}"},
	{"[{'action': 'set-properties', 'updated': {'b': '2'}}]", "properties.b", "'2'"},
	{"[{'action': 'remove-properties', 'removals': ['a', 'zz']}]", "properties", "{}"},
	{"[{'action': 'set-location', 'location': 'file:///w/u/'}]", "location", "'file:///w/u'"},
	{"[{'action': 'assign-uuid', 'uuid': 'u'}]", "table-uuid", "'u'"},
	{"[{'action': 'upgrade-format-version', 'format-version': 3}]", "next-row-id", "0"},
	{"[{'action': 'upgrade-format-version', 'format-version': 3}]", "format-version", "3"},
	/* A schema that is there keeps its id; a new one gets the next, whatever it says. */
	{"[{'action': 'add-schema', 'schema': {'type': 'struct', 'schema-id': 9, 'fields': [{'id': 1, 'name': 'id', "
	 "'required': true,"
	 " 'type': 'long'}]}}, {'action': 'set-current-schema', 'schema-id': -1}]",
		"current-schema-id", "0"},
	{"[{'action': 'add-schema', 'schema': {'type': 'struct', 'schema-id': 9, 'fields': [{'id': 7, 'name': 'n', "
	 "'required': false,"
	 " 'type': {'type': 'list', 'element-id': 8, 'element': 'variant', 'element-required': false}}]}},"
	 " {'action': 'set-current-schema', 'schema-id': -1}]",
		"current-schema-id", "2"},
	{"[{'action': 'add-schema', 'schema': {'type': 'struct', 'fields': [{'id': 7, 'name': 'n', 'required': false,"
	 " 'type': {'type': 'list', 'element-id': 8, 'element': 'variant', 'element-required': false}}]}}]",
		"last-column-id", "8"},
	{"[{'action': 'add-schema', 'schema': {'type': 'struct', 'fields': []}, 'last-column-id': 0}]",
		"last-column-id", "3"},
	{"[{'action': 'set-current-schema', 'schema-id': 0}, {'action': 'remove-schemas', 'schema-ids': [1]}]",
		"schemas.1", NULL},
	/* Specs: the same one is found again; new fields get the next ids. */
	{"[{'action': 'add-spec', 'spec': {'fields': [{'source-id': 1, 'name': 'id_bucket', 'transform': "
	 "'bucket[4]'}]}},"
	 " {'action': 'set-default-spec', 'spec-id': -1}]",
		"default-spec-id", "0"},
	{"[{'action': 'add-spec', 'spec': {'fields': [{'source-id': 1, 'name': 'id', 'transform': 'identity'}]}},"
	 " {'action': 'set-default-spec', 'spec-id': -1}]",
		"partition-specs.1.fields.0.field-id", "1001"},
	{"[{'action': 'add-spec', 'spec': {'fields': [{'source-id': 1, 'name': 'id', 'transform': 'identity'}, "
	 "{'source-id': 1,"
	 " 'name': 'id_bucket', 'transform': 'bucket[4]'}]}}]",
		"partition-specs.1.fields.1.field-id", "1000"},
	{"[{'action': 'add-spec', 'spec': {'fields': [{'source-id': 1, 'name': 'id', 'transform': 'identity'}]}}]",
		"last-partition-id", "1001"},
	{"[{'action': 'add-spec', 'spec': {'fields': []}}, {'action': 'set-default-spec', 'spec-id': -1},"
	 " {'action': 'remove-partition-specs', 'spec-ids': [0]}]",
		"partition-specs.0.spec-id", "1"},
	{"[{'action': 'add-sort-order', 'sort-order': {'fields': [{'source-id': 1, 'transform': 'identity', "
	 "'direction': 'asc',"
	 " 'null-order': 'nulls-first'}]}}, {'action': 'set-default-sort-order', 'sort-order-id': -1}]",
		"default-sort-order-id", "1"},
	{"[{'action': 'add-sort-order', 'sort-order': {'order-id': 5, 'fields': []}}]", "sort-orders.1", NULL},
	/* Snapshots, refs, and the logs that follow. */
	{"[" SNAPSHOT(12, 11, 6) "," MAIN(12) "]", "current-snapshot-id", "12"},
	{"[" SNAPSHOT(12, 11, 6) "," MAIN(12) "]", "last-sequence-number", "6"},
	{"[" SNAPSHOT(12, 11, 6) "," MAIN(12) "]", "snapshot-log.2", "{'timestamp-ms': 1700, 'snapshot-id': 12}"},
	{"[" SNAPSHOT(12, 11, 6) "," MAIN(12) "," SNAPSHOT(13, 12, 7) "," MAIN(13) "]", "snapshot-log.2.snapshot-id",
		"13"},
	{"[" SNAPSHOT(12, 11, 6) "]", "current-snapshot-id", "11"},
	{"[" MAIN(10) "]", "snapshot-log.2", "{'timestamp-ms': 1700000000000, 'snapshot-id': 10}"},
	{"[" MAIN(11) "]", "snapshot-log.2", NULL},
	{"[{'action': 'set-snapshot-ref', 'ref-name': 'b', 'type': 'branch', 'snapshot-id': 10, 'max-ref-age-ms': 5}]",
		"refs.b", "{'type': 'branch', 'snapshot-id': 10, 'max-ref-age-ms': 5}"},
	{"[{'action': 'remove-snapshot-ref', 'ref-name': 'main'}]", "current-snapshot-id", "-1"},
	{"[{'action': 'remove-snapshots', 'snapshot-ids': [10]}]", "refs.old", NULL},
	{"[{'action': 'remove-snapshots', 'snapshot-ids': [10]}]", "statistics", "[]"},
	{"[{'action': 'remove-snapshots', 'snapshot-ids': [10]}]", "snapshot-log",
		"[{'timestamp-ms': 1600, 'snapshot-id': 11}]"},
	{"[{'action': 'remove-snapshots', 'snapshot-ids': [11]}]", "snapshot-log", "[]"},
	{"[{'action': 'remove-snapshots', 'snapshot-ids': [11]}]", "current-snapshot-id", "-1"},
	{"[{'action': 'set-statistics', 'snapshot-id': 10, 'statistics': {'snapshot-id': 10, 'statistics-path': 'n'}}]",
		"statistics", "[{'snapshot-id': 10, 'statistics-path': 'n'}]"},
	{"[{'action': 'remove-statistics', 'snapshot-id': 10}]", "statistics", "[]"},
	{"[{'action': 'set-partition-statistics', 'partition-statistics': {'snapshot-id': 11, 'x': 1}}]",
		"partition-statistics.0.x", "1"},
	{"[{'action': 'add-encryption-key', 'encryption-key': {'key-id': 'k', 'm': 'x'}}]", "encryption-keys.0.m",
		"'x'"},
	{"[{'action': 'add-encryption-key', 'encryption-key': {'key-id': 'k'}}, {'action': 'remove-encryption-key', "
	 "'key-id': 'k'}]",
		"encryption-keys", "[]"},
	/* What is not known stays, whatever else changes. */
	{"[" SNAPSHOT(12, 11, 6) "," MAIN(12) "]", "not-known", "{'kept': [true, null]}"},
	{"[{'action': 'set-properties', 'updates': {'b': '2'}}]", "schemas.1.fields.1.future.x", "1"},
	{"[{'action': 'set-properties', 'updates': {'b': '2'}}]", "snapshots.1.unheard-of", "[1.5]"},
};

static void test_updates(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof update_cases / sizeof update_cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *metadata = load(table), *updates = load(update_cases[i].updates);
		bool changed = false;
		if (ice_rest_update_table(metadata, updates, NOW, &changed, &err) != 0)
			fail_msg("%s: %s", update_cases[i].updates, err.message);
		json_t *found = at_path(metadata, update_cases[i].path);
		json_t *expected = update_cases[i].expected != NULL ? load(update_cases[i].expected) : NULL;
		if (expected == NULL ? found != NULL : found == NULL || !json_equal(found, expected)) {
			char *text = found != NULL ? json_dumps(found, JSON_ENCODE_ANY) : NULL;
			fail_msg("%s: %s is %s", update_cases[i].updates, update_cases[i].path,
				text != NULL ? text : "absent");
		}
		json_decref(expected);
		json_decref(updates);
		json_decref(metadata);
	}
}

static const struct {
	const char *updates;
	int code;
	const char *says;
} refusals[] = {
	{"[{'action': 'no-such'}]", WEIR_E_INPUT, "not known"},
	{"[5]", WEIR_E_INPUT, "not known"},
	{"{}", WEIR_E_INPUT, "array"},
	{"[{'action': 'upgrade-format-version', 'format-version': 1}]", WEIR_E_INPUT, "downgrade"},
	{"[{'action': 'upgrade-format-version', 'format-version': 9}]", WEIR_E_INPUT, "unsupported"},
	{"[{'action': 'set-properties', 'updates': {'x': 1}}]", WEIR_E_INPUT, "not a text"},
	{"[{'action': 'set-current-schema', 'schema-id': -1}]", WEIR_E_INPUT, "no schema has been added"},
	{"[{'action': 'set-current-schema', 'schema-id': 8}]", WEIR_E_INPUT, "unknown schema"},
	{"[{'action': 'remove-schemas', 'schema-ids': [1]}]", WEIR_E_INPUT, "current schema"},
	{"[{'action': 'add-schema', 'schema': {'type': 'struct', 'fields': [{'name': 'x', 'required': true, 'type': "
	 "'int'}]}}]",
		WEIR_E_INPUT, "no 'id'"},
	{"[{'action': 'add-spec', 'spec': {'fields': [{'source-id': 77, 'name': 'x', 'transform': 'identity'}]}}]",
		WEIR_E_INPUT, "Cannot find source column"},
	{"[{'action': 'remove-partition-specs', 'spec-ids': [0]}]", WEIR_E_INPUT, "default partition spec"},
	{"[{'action': 'set-default-spec', 'spec-id': 4}]", WEIR_E_INPUT, "unknown spec"},
	{"[{'action': 'set-default-sort-order', 'sort-order-id': 4}]", WEIR_E_INPUT, "unknown sort order"},
	{"[" SNAPSHOT(11, 10, 6) "]", WEIR_E_INPUT, "already exists"},
	{"[" SNAPSHOT(12, 11, 5) "]", WEIR_E_CONFLICT, "older than last sequence number"},
	{"[{'action': 'add-snapshot', 'snapshot': {'snapshot-id': 12}}]", WEIR_E_INPUT, "timestamp-ms"},
	{"[" MAIN(99) "]", WEIR_E_INPUT, "unknown snapshot"},
	{"[{'action': 'set-snapshot-ref', 'ref-name': 'main', 'type': 'tag', 'snapshot-id': 10}]", WEIR_E_INPUT,
		"must be a branch"},
	{"[{'action': 'set-snapshot-ref', 'ref-name': 'x', 'type': 'twig', 'snapshot-id': 10}]", WEIR_E_INPUT,
		"neither"},
	{"[{'action': 'upgrade-format-version', 'format-version': 3}, " SNAPSHOT(12, 11, 6) "]", WEIR_E_INPUT,
		"first-row-id is null"},
	{"[{'action': 'set-location', 'location': ''}]", WEIR_E_INPUT, "empty"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *metadata = load(table), *updates = load(refusals[i].updates);
		bool changed = false;
		int code = ice_rest_update_table(metadata, updates, NOW, &changed, &err);
		if (code != refusals[i].code || strstr(err.message, refusals[i].says) == NULL)
			fail_msg("%s gave %d: %s", refusals[i].updates, code, err.message);
		json_decref(updates);
		json_decref(metadata);
	}
}

static void test_row_ids(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *metadata = load(table);
	json_t *first = load(
		"[{'action': 'upgrade-format-version', 'format-version': 3}, {'action': 'add-snapshot', 'snapshot':"
		" {'snapshot-id': 12, 'parent-snapshot-id': 11, 'sequence-number': 6, 'timestamp-ms': 1700,"
		" 'manifest-list': 'm', 'first-row-id': 0, 'added-rows': 40}}]");
	json_t *behind = load("[{'action': 'add-snapshot', 'snapshot': {'snapshot-id': 13, 'parent-snapshot-id': 12,"
			      " 'sequence-number': 7, 'timestamp-ms': 1800, 'manifest-list': 'm', 'first-row-id': 39, "
			      "'added-rows': 1}}]");
	bool changed;
	(void)state;
	assert_int_equal(ice_rest_update_table(metadata, first, NOW, &changed, &err), 0);
	assert_int_equal(ice_rest_int(metadata, "next-row-id", -1), 40);
	assert_int_equal(ice_rest_update_table(metadata, behind, NOW, &changed, &err), WEIR_E_CONFLICT);
	json_decref(behind);
	json_decref(first);
	json_decref(metadata);
}

static void test_no_change_is_none(void **state)
{
	static const char *const same[] = {"[]", "[" MAIN(11) "]",
		"[{'action': 'set-location', 'location': 'file:///w/t'}]",
		"[{'action': 'upgrade-format-version', 'format-version': 2}]",
		"[{'action': 'remove-statistics', 'snapshot-id': 99}]"};
	(void)state;
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *metadata = load(table), *before = load(table), *updates = load(same[i]);
		bool changed = true;
		assert_int_equal(ice_rest_update_table(metadata, updates, NOW, &changed, &err), 0);
		assert_false(changed);
		assert_true(json_equal(metadata, before));
		json_decref(updates);
		json_decref(before);
		json_decref(metadata);
	}
}

static void test_finish(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *metadata = load(table), *dropped = json_array();
	json_object_set_new(
		json_object_get(metadata, "properties"), "write.metadata.previous-versions-max", json_string("2"));
	(void)state;
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof name, "file-%d", i);
		assert_int_equal(ice_rest_finish_table(metadata, weir_str_from(name), 100 + i, NOW, dropped, &err), 0);
	}
	json_t *log = load(
		"[{'timestamp-ms': 102, 'metadata-file': 'file-2'}, {'timestamp-ms': 103, 'metadata-file': 'file-3'}]");
	assert_true(json_equal(json_object_get(metadata, "metadata-log"), log));
	assert_int_equal(json_array_size(dropped), 2);
	assert_int_equal(ice_rest_int(metadata, "last-updated-ms", 0), NOW);
	json_object_set_new(
		json_object_get(metadata, "properties"), "write.metadata.previous-versions-max", json_string("two"));
	assert_int_equal(ice_rest_finish_table(metadata, WEIR_STR("file-4"), 104, NOW, dropped, &err), WEIR_E_INPUT);
	assert_non_null(strstr(err.message, "previous-versions-max is 'two'"));
	json_t *empty = ice_rest_table_empty(NULL);
	assert_int_equal(ice_rest_finish_table(empty, WEIR_STR(""), 0, NOW, NULL, &err), WEIR_E_INPUT);
	assert_non_null(strstr(err.message, "no current schema"));
	json_decref(empty);
	json_decref(log);
	json_decref(dropped);
	json_decref(metadata);
}

/* ---- creating ---- */

static void test_create(void **state)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *request =
		load("{'name': 't', 'schema': {'type': 'struct', 'identifier-field-ids': [30], 'fields': [{'id': 10, "
		     "'name': 's',"
		     " 'required': false, 'type': {'type': 'struct', 'fields': [{'id': 20, 'name': 'x', 'required': "
		     "true, 'type': 'int'}]}},"
		     " {'id': 30, 'name': 'k', 'required': true, 'type': 'long', 'write-default': 4},"
		     " {'id': 40, 'name': 'm', 'required': false, 'type': {'type': 'map', 'key-id': 50, 'key': "
		     "'string', 'value-id': 60,"
		     " 'value': 'variant', 'value-required': false}}]}, 'partition-spec': {'spec-id': 7, 'fields': "
		     "[{'source-id': 30,"
		     " 'field-id': 4000, 'name': 'k_bucket', 'transform': 'bucket[8]'}]}, 'write-order': {'order-id': "
		     "3, 'fields':"
		     " [{'source-id': 20, 'transform': 'identity', 'direction': 'desc', 'null-order': 'nulls-last'}]},"
		     " 'properties': {'format-version': '3', 'p': 'q'}}");
	static const struct {
		const char *path, *expected;
	} cases[] = {{"format-version", "3"}, {"properties", "{'p': 'q'}"}, {"next-row-id", "0"},
		{"last-column-id", "6"}, {"schemas.0.fields.0.id", "1"}, {"schemas.0.fields.1.id", "2"},
		{"schemas.0.fields.2.id", "3"}, {"schemas.0.fields.0.type.fields.0.id", "4"},
		{"schemas.0.fields.2.type.key-id", "5"}, {"schemas.0.fields.2.type.value-id", "6"},
		{"schemas.0.identifier-field-ids", "[2]"}, {"schemas.0.fields.1.write-default", "4"},
		{"partition-specs.0.spec-id", "0"}, {"partition-specs.0.fields.0.source-id", "2"},
		{"partition-specs.0.fields.0.field-id", "1000"}, {"sort-orders.0.order-id", "1"},
		{"sort-orders.0.fields.0.source-id", "4"}, {"default-sort-order-id", "1"},
		{"location", "'file:///w/t'"}, {"table-uuid", "'u-u'"}, {"refs", "{}"}};
	json_t *metadata = NULL;
	(void)state;
	assert_int_equal(ice_rest_table_new(request, WEIR_STR("file:///w/t"), "u-u", NOW, &metadata, &err), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		json_t *expected = load(cases[i].expected);
		if (!json_equal(at_path(metadata, cases[i].path), expected))
			fail_msg("%s is not %s", cases[i].path, cases[i].expected);
		json_decref(expected);
	}
	json_decref(metadata);
	json_object_set_new(at_path(request, "partition-spec.fields.0"), "source-id", json_integer(31));
	assert_int_equal(
		ice_rest_table_new(request, WEIR_STR("file:///w/t"), "u-u", NOW, &metadata, &err), WEIR_E_INPUT);
	json_decref(request);
}

/* ---- version 1, and going through unchanged ---- */

static void test_version_1(void **state)
{
	static const char old[] =
		"{\"format-version\": 1, \"location\": \"file:///w/o\", \"last-updated-ms\": 5, \"last-column-id\": 1, "
		"\"schema\":"
		" {\"type\": \"struct\", \"fields\": [{\"id\": 1, \"name\": \"a\", \"required\": false, \"type\": "
		"\"int\"}]},"
		" \"partition-spec\": [{\"source-id\": 1, \"name\": \"a\", \"transform\": \"identity\"}], "
		"\"current-snapshot-id\": 3,"
		" \"snapshots\": [{\"snapshot-id\": 3, \"timestamp-ms\": 4, \"manifests\": [\"x\"]}]}";
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *metadata;
	struct weir_buf text = WEIR_BUF_INIT;
	bool changed;
	(void)state;
	assert_int_equal(ice_rest_parse(weir_str_from(old), ICE_REST_TABLE, WEIR_STR("old"), &metadata, &err), 0);
	assert_int_equal(ice_rest_int(at_path(metadata, "partition-specs.0.fields.0"), "field-id", 0), 1000);
	assert_int_equal(ice_rest_int(at_path(metadata, "refs.main"), "snapshot-id", 0), 3);
	json_t *updates = load(
		"[{'action': 'add-schema', 'schema': {'type': 'struct', 'fields': [{'id': 1, 'name': 'b', 'required':"
		" false, 'type': 'int'}]}}, {'action': 'set-current-schema', 'schema-id': -1}]");
	assert_int_equal(ice_rest_update_table(metadata, updates, NOW, &changed, &err), 0);
	ice_rest_write(metadata, ICE_REST_TABLE, &text);
	json_decref(metadata);
	assert_int_equal(ice_rest_parse(weir_buf_str(&text), ICE_REST_TABLE, WEIR_STR("new"), &metadata, &err), 0);
	assert_string_equal(json_string_value(at_path(metadata, "schema.fields.0.name")), "b");
	assert_true(json_is_array(json_object_get(metadata, "partition-spec")));
	json_t *upgrade = load("[{'action': 'upgrade-format-version', 'format-version': 2}]");
	assert_int_equal(ice_rest_update_table(metadata, upgrade, NOW, &changed, &err), 0);
	text.size = 0;
	ice_rest_write(metadata, ICE_REST_TABLE, &text);
	assert_null(json_object_get(metadata, "schema"));
	json_decref(upgrade);
	json_decref(updates);
	json_decref(metadata);
	weir_buf_done(&text);
}

static void test_bad_documents(void **state)
{
	static const char *const bad[] = {"", "[]", "{}",
		"{\"format-version\": 7, \"location\": \"x\", \"schemas\": []}",
		"{\"format-version\": 2, \"schemas\": []}", "{\"format-version\": 2, \"location\": \"x\"}", "{",
		"\x1f\x8b garbage"};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *metadata;
		assert_true(
			ice_rest_parse(weir_str_from(bad[i]), ICE_REST_TABLE, WEIR_STR("bad"), &metadata, &err) < 0);
		assert_true(err.message[0] != '\0');
	}
}

static void test_refs_only(void **state)
{
	json_t *metadata = load(table);
	(void)state;
	json_object_del(json_object_get(metadata, "refs"), "old");
	ice_rest_keep_refs_only(metadata);
	assert_int_equal(json_array_size(json_object_get(metadata, "snapshots")), 1);
	assert_int_equal(ice_rest_int(at_path(metadata, "snapshots.0"), "snapshot-id", 0), 11);
	json_decref(metadata);
}

/* ---- views ---- */

#define VERSION(id, dialect, sql) \
	"{'version-id': " #id ", 'timestamp-ms': 9, 'schema-id': -1, 'summary': {}, 'default-namespace': ['n']," \
	" 'representations': [{'type': 'sql', 'dialect': '" dialect "', 'sql': '" sql "'}]}"
#define VIEW_SCHEMA "{'type': 'struct', 'fields': [{'id': 1, 'name': 'x', 'required': false, 'type': 'int'}]}"

static json_t *new_view(void)
{
	struct weir_error err = WEIR_ERROR_INIT;
	json_t *request =
		load("{'name': 'v', 'schema': " VIEW_SCHEMA ", 'view-version': " VERSION(1, "spark", "select 1") "}");
	json_t *view = NULL;
	assert_int_equal(ice_rest_view_new(request, WEIR_STR("file:///w/v"), "v-u", NOW, &view, &err), 0);
	json_decref(request);
	return view;
}

static void test_views(void **state)
{
	static const struct {
		const char *updates;
		int code;
		const char *path, *expected;
	} cases[] = {
		{"[{'action': 'add-view-version', 'view-version': {'version-id': 1, 'schema-id': 0, 'timestamp-ms': 9, "
		 "'representations':"
		 " [{'type': 'sql', 'dialect': 'Spark', 'sql': 'select 2'}]}}, {'action': 'set-current-view-version',"
		 " 'view-version-id': -1}]",
			0, "current-version-id", "2"},
		{"[{'action': 'add-schema', 'schema': " VIEW_SCHEMA
		 "}, {'action': 'add-view-version', 'view-version': " VERSION(
			 5, "spark", "select 3") "}, {'action': 'set-current-view-version', 'view-version-id': -1}]",
			0, "version-log.1", "{'timestamp-ms': 9, 'version-id': 5}"},
		{"[{'action': 'add-schema', 'schema': " VIEW_SCHEMA
		 "}, {'action': 'add-view-version', 'view-version': " VERSION(
			 2, "trino", "select 3") "}, {'action': 'set-current-view-version', 'view-version-id': -1}]",
			WEIR_E_INPUT, NULL, "dialect"},
		{"[{'action': 'set-properties', 'updates': {'replace.drop-dialect.allowed': 'true'}}, {'action': "
		 "'add-schema', 'schema': " VIEW_SCHEMA "}, {'action': 'add-view-version', 'view-version': " VERSION(
			 2, "trino", "select 3") "}, {'action': 'set-current-view-version', 'view-version-id': -1}]",
			0, "current-version-id", "2"},
		{"[{'action': 'add-view-version', 'view-version': " VERSION(2, "spark", "select 3") "}]", WEIR_E_INPUT,
			NULL, "schema"},
		{"[{'action': 'assign-uuid', 'uuid': 'other'}]", WEIR_E_INPUT, NULL, "reassign"},
		{"[{'action': 'add-snapshot', 'snapshot': {}}]", WEIR_E_INPUT, NULL, "not known"},
		{"[{'action': 'set-current-view-version', 'view-version-id': 8}]", WEIR_E_INPUT, NULL,
			"unknown version"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		json_t *view = new_view(), *updates = load(cases[i].updates);
		bool changed;
		int code = ice_rest_update_view(view, updates, NOW, &changed, &err);
		if (code != cases[i].code || (code != 0 && strstr(err.message, cases[i].expected) == NULL))
			fail_msg("%s gave %d: %s", cases[i].updates, code, err.message);
		if (code == 0) {
			json_t *expected = load(cases[i].expected);
			if (!json_equal(at_path(view, cases[i].path), expected))
				fail_msg("%s: %s", cases[i].updates, cases[i].path);
			json_decref(expected);
		}
		json_decref(updates);
		json_decref(view);
	}
}

static void test_view_history(void **state)
{
	json_t *view = new_view();
	char text[1024];
	bool changed;
	(void)state;
	json_object_set_new(json_object_get(view, "properties"), "version.history.num-entries", json_string("3"));
	for (int i = 2; i < 9; i++) {
		struct weir_error err = WEIR_ERROR_INIT;
		snprintf(text, sizeof text,
			"[{'action': 'add-view-version', 'view-version': {'version-id': %d, 'schema-id': 0, "
			"'timestamp-ms': %d,"
			" 'representations': [{'type': 'sql', 'dialect': 'spark', 'sql': 'select %d'}]}},"
			" {'action': 'set-current-view-version', 'view-version-id': -1}]",
			i, i, i);
		json_t *updates = load(text);
		assert_int_equal(ice_rest_update_view(view, updates, NOW, &changed, &err), 0);
		json_decref(updates);
	}
	assert_int_equal(json_array_size(json_object_get(view, "versions")), 3);
	assert_int_equal(ice_rest_int(at_path(view, "versions.0"), "version-id", 0), 6);
	assert_int_equal(ice_rest_int(at_path(view, "version-log.0"), "version-id", 0), 6);
	assert_int_equal(ice_rest_int(view, "current-version-id", 0), 8);
	json_decref(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requirements),
		cmocka_unit_test(test_updates),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_row_ids),
		cmocka_unit_test(test_no_change_is_none),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_refs_only),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_view_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
