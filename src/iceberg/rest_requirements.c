/* Requirements of a commit (REST specification, TableRequirement and ViewRequirement): what must still hold of the
 * table. */
#include "iceberg/rest_document.h"

struct check {
	const json_t *requirement, *metadata;
	struct weir_error *err;
};

static int changed(struct check *check, const char *what, int64_t expected, int64_t is)
{
	return weir_fail(check->err, WEIR_E_CONFLICT, "Requirement failed: %s changed: expected id %lld != %lld", what,
		(long long)expected, (long long)is);
}

static int check_uuid(struct check *check, const char *member)
{
	struct weir_str expected = ice_rest_text(check->requirement, "uuid");
	struct weir_str is = ice_rest_text(check->metadata, member);
	if (expected.size == 0)
		return weir_fail(check->err, WEIR_E_INPUT, "a requirement on the uuid has no member 'uuid'");
	/* UUIDs compare whatever the case of their digits. */
	bool same = expected.size == is.size;
	for (size_t i = 0; i < expected.size && same; i++)
		same = (expected.data[i] | 0x20) == (is.data[i] | 0x20);
	return same ? 0
		    : weir_fail(check->err, WEIR_E_CONFLICT,
			      "Requirement failed: UUID does not match: expected %.*s != %.*s",
			      (int)(expected.size < 60 ? expected.size : 60), expected.data, WEIR_STR_ARG(is));
}

static int check_ref(struct check *check)
{
	struct weir_str name = ice_rest_text(check->requirement, "ref");
	const json_t *wanted = json_object_get(check->requirement, "snapshot-id");
	if (name.data == NULL)
		return weir_fail(check->err, WEIR_E_INPUT, "requirement assert-ref-snapshot-id has no member 'ref'");
	const json_t *ref = json_object_get(json_object_get(check->metadata, "refs"), name.data);
	int size = (int)(name.size < 100 ? name.size : 100);
	if (wanted == NULL || json_is_null(wanted))
		return ref == NULL
			? 0
			: weir_fail(check->err, WEIR_E_CONFLICT,
				  "Requirement failed: branch or tag %.*s was created concurrently", size, name.data);
	if (ref == NULL)
		return weir_fail(check->err, WEIR_E_CONFLICT,
			"Requirement failed: branch or tag %.*s is missing, expected %lld", size, name.data,
			(long long)json_integer_value(wanted));
	int64_t is = ice_rest_int(ref, "snapshot-id", -1);
	if (is != json_integer_value(wanted))
		return weir_fail(check->err, WEIR_E_CONFLICT,
			"Requirement failed: branch or tag %.*s has changed: expected id %lld != %lld", size, name.data,
			(long long)json_integer_value(wanted), (long long)is);
	return 0;
}

static const struct {
	const char *type, *expected, *member, *what;
} numbers[] = {
	{"assert-last-assigned-field-id", "last-assigned-field-id", "last-column-id", "last assigned field id"},
	{"assert-current-schema-id", "current-schema-id", "current-schema-id", "current schema"},
	{"assert-last-assigned-partition-id", "last-assigned-partition-id", "last-partition-id",
		"last assigned partition id"},
	{"assert-default-spec-id", "default-spec-id", "default-spec-id", "default partition spec"},
	{"assert-default-sort-order-id", "default-sort-order-id", "default-sort-order-id", "default sort order"},
};

static int check_one(struct check *check, enum ice_rest_kind kind)
{
	struct weir_str type = ice_rest_text(check->requirement, "type");
	bool table = kind == ICE_REST_TABLE;
	if (table && weir_str_is(type, "assert-create"))
		return check->metadata == NULL
			? 0
			: weir_fail(check->err, WEIR_E_CONFLICT, "Requirement failed: table already exists");
	if (check->metadata == NULL)
		return weir_fail(check->err, WEIR_E_CONFLICT, "Requirement failed: the table does not exist yet");
	if (table && weir_str_is(type, "assert-table-uuid"))
		return check_uuid(check, "table-uuid");
	if (!table && weir_str_is(type, "assert-view-uuid"))
		return check_uuid(check, "view-uuid");
	if (table && weir_str_is(type, "assert-ref-snapshot-id"))
		return check_ref(check);
	for (size_t i = 0; table && i < sizeof numbers / sizeof numbers[0]; i++) {
		if (!weir_str_is(type, numbers[i].type))
			continue;
		const json_t *expected = json_object_get(check->requirement, numbers[i].expected);
		if (!json_is_integer(expected))
			return weir_fail(check->err, WEIR_E_INPUT, "requirement %s has no integer '%s'",
				numbers[i].type, numbers[i].expected);
		int64_t is = ice_rest_int(check->metadata, numbers[i].member, -1);
		return json_integer_value(expected) == is
			? 0
			: changed(check, numbers[i].what, json_integer_value(expected), is);
	}
	return weir_fail(check->err, WEIR_E_INPUT, "requirement '%.*s' of a %s is not known; nothing was changed",
		(int)(type.size < 60 ? type.size : 60), type.data != NULL ? type.data : "", table ? "table" : "view");
}

int ice_rest_check(const json_t *requirements, const json_t *metadata, enum ice_rest_kind kind, struct weir_error *err)
{
	struct check check = {.metadata = metadata, .err = err};
	size_t index;
	json_t *requirement;
	int status = 0;
	if (requirements != NULL && !json_is_array(requirements))
		return weir_fail(err, WEIR_E_INPUT, "'requirements' of a commit is an array");
	json_array_foreach(requirements, index, requirement)
	{
		check.requirement = requirement;
		if (status == 0)
			status = check_one(&check, kind);
	}
	return status;
}

bool ice_rest_asserts_create(const json_t *requirements)
{
	size_t index;
	json_t *requirement;
	json_array_foreach(requirements, index, requirement)
	{
		if (weir_str_is(ice_rest_text(requirement, "type"), "assert-create"))
			return true;
	}
	return false;
}
