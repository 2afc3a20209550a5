/*
 * Changes of metadata as a REST catalog takes them: what the difference of two versions says is applied by the catalog's own
 * code to the first, which must become the second.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cli/rest_changes.h"
#include "iceberg/rest_document.h"
#include "iceberg/revise.h"

static const char table[] =
	"{\"format-version\":2,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"s3://b/t\","
	"\"last-sequence-number\":3,\"last-updated-ms\":1602638573590,\"last-column-id\":2,\"current-schema-id\":0,"
	"\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,\"fields\":["
	"{\"id\":1,\"name\":\"x\",\"required\":false,\"type\":\"int\"},"
	"{\"id\":2,\"name\":\"at\",\"required\":false,\"type\":\"timestamptz\"}]}],"
	"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-id\":999,"
	"\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],"
	"\"properties\":{\"a\":\"1\",\"b\":\"2\"},\"current-snapshot-id\":30,\"snapshots\":["
	"{\"snapshot-id\":10,\"sequence-number\":1,\"timestamp-ms\":1602638570000,\"manifest-list\":\"s3://b/t/1\","
	"\"summary\":{\"operation\":\"append\"},\"schema-id\":0},"
	"{\"snapshot-id\":20,\"parent-snapshot-id\":10,\"sequence-number\":2,\"timestamp-ms\":1602638571000,"
	"\"manifest-list\":\"s3://b/t/2\",\"summary\":{\"operation\":\"append\"},\"schema-id\":0},"
	"{\"snapshot-id\":30,\"parent-snapshot-id\":20,\"sequence-number\":3,\"timestamp-ms\":1602638572000,"
	"\"manifest-list\":\"s3://b/t/3\",\"summary\":{\"operation\":\"append\"},\"schema-id\":0}],"
	"\"refs\":{\"main\":{\"snapshot-id\":30,\"type\":\"branch\"},\"old\":{\"snapshot-id\":10,\"type\":\"tag\"}},"
	"\"snapshot-log\":[{\"snapshot-id\":10,\"timestamp-ms\":1602638570000},"
	"{\"snapshot-id\":20,\"timestamp-ms\":1602638571000},{\"snapshot-id\":30,\"timestamp-ms\":1602638572000}]}";

static const struct ice_metadata *parse(struct weir_arena *arena, const char *text)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct ice_metadata *metadata;
	if (ice_metadata_parse(arena, weir_str_from(text), WEIR_STR("t"), &metadata, &err) != 0)
		fail_msg("%s", err.message);
	return metadata;
}

#define TEXT(literal) \
	{ \
		literal, sizeof(literal) - 1 \
	}

/* Every kind of change that the commands make. */
static struct ice_evolve_step steps[] = {
	{.kind = ICE_ADD_COLUMN, .path = TEXT("y"), .type = TEXT("long")},
	{.kind = ICE_RENAME_COLUMN, .path = TEXT("x"), .value = TEXT("z")},
	{.kind = ICE_ADD_PARTITION, .path = TEXT("day(at)")},
	{.kind = ICE_SET_PROPERTY, .path = TEXT("c"), .value = TEXT("3")},
	{.kind = ICE_SET_PROPERTY, .path = TEXT("a"), .value = TEXT("9")},
	{.kind = ICE_UNSET_PROPERTY, .path = TEXT("b")},
	{.kind = ICE_UPGRADE, .path = TEXT("3")},
};
static struct ice_evolution all_steps = {steps, sizeof steps / sizeof steps[0]}, one_step = {steps, 1},
			    a_property = {steps + 3, 1};
static struct ice_ref_edit new_tag = {.action = ICE_REF_CREATE,
	.name = TEXT("v1"),
	.is_tag = true,
	.snapshot_id = 20,
	.max_ref_age_ms = 5000,
	.max_snapshot_age_ms = -1,
	.min_snapshots_to_keep = -1};
static struct ice_ref_edit drop_tag = {.action = ICE_REF_DROP, .name = TEXT("old"), .is_tag = true};
static struct ice_rollback back = {.snapshot_id = 20, .now_ms = 1602638580000};
static struct ice_expiry expiry = {.now_ms = 1602638580000, .older_than_ms = 1602638580000, .keep_last = 1};

static const struct {
	const char *name;
	ice_revise_fn *revise;
	void *context;
	const char *requires; /* types of requirements, in order */
	const char *updates;  /* actions, in order */
} cases[] = {
	{"evolve", ice_revise_evolve, &all_steps,
		"assert-table-uuid assert-last-assigned-field-id assert-current-schema-id "
		"assert-last-assigned-partition-id "
		"assert-default-spec-id ",
		"upgrade-format-version add-schema set-current-schema add-spec set-default-spec set-properties "
		"remove-properties "},
	{"column", ice_revise_evolve, &one_step,
		"assert-table-uuid assert-last-assigned-field-id assert-current-schema-id ",
		"add-schema set-current-schema "},
	{"property", ice_revise_evolve, &a_property, "assert-table-uuid ", "set-properties "},
	{"tag", ice_revise_ref, &new_tag, "assert-table-uuid assert-ref-snapshot-id ", "set-snapshot-ref "},
	{"drop", ice_revise_ref, &drop_tag, "assert-table-uuid assert-ref-snapshot-id ", "remove-snapshot-ref "},
	{"rollback", ice_revise_rollback, &back, "assert-table-uuid assert-ref-snapshot-id ", "set-snapshot-ref "},
	{"expire", ice_revise_expire, &expiry, "assert-table-uuid assert-ref-snapshot-id assert-ref-snapshot-id ",
		"remove-snapshots "},
};

static void join(const json_t *list, const char *member, struct weir_buf *out)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item) weir_buf_printf(out, "%s ", json_string_value(json_object_get(item, member)));
}

static void test_changes(void **state)
{
	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		struct weir_arena *arena = weir_arena_new(0);
		struct weir_error err = WEIR_ERROR_INIT;
		const struct ice_metadata *base = parse(arena, table);
		struct ice_metadata next = *base;
		struct weir_buf types = WEIR_BUF_INIT, text = WEIR_BUF_INIT;
		json_t *document;
		bool changed;
		if (cases[c].revise(cases[c].context, arena, base, &next, &err) != 0)
			fail_msg("%s: %s", cases[c].name, err.message);
		assert_false(rest_is_reached(base, &next));
		json_t *changes = rest_changes(base, &next);
		json_t *requirements = json_object_get(changes, "requirements"),
		       *updates = json_object_get(changes, "updates");
		join(requirements, "type", &types);
		assert_string_equal(weir_buf_cstr(&types), cases[c].requires);
		types.size = 0;
		join(updates, "action", &types);
		assert_string_equal(weir_buf_cstr(&types), cases[c].updates);
		assert_int_equal(
			ice_rest_parse(weir_str_from(table), ICE_REST_TABLE, WEIR_STR("t"), &document, &err), 0);
		if (ice_rest_check(requirements, document, ICE_REST_TABLE, &err) != 0 ||
			ice_rest_update_table(document, updates, 1602638590000, &changed, &err) != 0)
			fail_msg("%s: %s", cases[c].name, err.message);
		ice_rest_write(document, ICE_REST_TABLE, &text);
		assert_true(rest_is_reached(parse(arena, weir_buf_cstr(&text)), &next));
		assert_true(rest_same_snapshots(parse(arena, weir_buf_cstr(&text)), &next));
		json_decref(document);
		json_decref(changes);
		weir_buf_done(&types);
		weir_buf_done(&text);
		weir_arena_free(arena);
	}
}

/* What the change stands on has moved: the catalog must say no. */
static void test_requirements(void **state)
{
	(void)state;
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_error err = WEIR_ERROR_INIT;
	const struct ice_metadata *base = parse(arena, table);
	struct ice_metadata next = *base, moved = *base;
	struct weir_buf text = WEIR_BUF_INIT;
	json_t *document;
	assert_int_equal(ice_revise_rollback(&back, arena, base, &moved, &err), 0);
	ice_metadata_write(&moved, &text);
	assert_int_equal(ice_rest_parse(weir_buf_str(&text), ICE_REST_TABLE, WEIR_STR("t"), &document, &err), 0);
	assert_int_equal(ice_revise_expire(&expiry, arena, base, &next, &err), 0);
	json_t *changes = rest_changes(base, &next);
	assert_int_equal(ice_rest_check(json_object_get(changes, "requirements"), document, ICE_REST_TABLE, &err),
		WEIR_E_CONFLICT);
	assert_false(rest_same_snapshots(&moved, &next));
	json_decref(document);
	json_decref(changes);
	weir_buf_done(&text);
	weir_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_requirements),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
