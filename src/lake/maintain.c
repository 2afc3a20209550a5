/* `maintain`: upkeep of the tables that others create through the lake's catalog. Without the key there is none. */
#include "lake/lake_int.h"

enum { K_EVERY, K_FILES, K_SNAPSHOTS, K_ORPHANS, K_READERS, K_COUNT };
static const char *const keys[K_COUNT] = {"every", "files", "snapshots", "orphans", "readers"};

static int at_least(const struct lake_yaml *yaml, struct fy_node *node, int64_t value_us, int64_t least_us,
	const char *why, struct weir_error *err)
{
	return node == NULL || value_us >= least_us ? 0 : lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "%s", why);
}

static int read_snapshots(
	const struct lake_yaml *yaml, struct fy_node *node, struct lake_maintain *maintain, struct weir_error *err)
{
	static const char *const snapshot_keys[] = {"keep", "age"};
	struct fy_node *values[LAKE_COUNT(snapshot_keys)];
	int code = lake_yaml_members(yaml, node, "snapshots", snapshot_keys, LAKE_COUNT(snapshot_keys), values, err);
	if (code == 0)
		code = lake_yaml_count(yaml, values[0], 1, UINT32_MAX, &maintain->snapshots_keep, err);
	return code == 0 ? lake_yaml_duration(yaml, values[1], &maintain->snapshot_age_us, err) : code;
}

static int read_files(
	const struct lake_yaml *yaml, struct fy_node *node, struct lake_maintain *maintain, struct weir_error *err)
{
	static const char *const file_keys[] = {"target"};
	struct fy_node *values[LAKE_COUNT(file_keys)];
	int code = lake_yaml_members(yaml, node, "files", file_keys, LAKE_COUNT(file_keys), values, err);
	return code == 0 ? lake_yaml_size(yaml, values[0], &maintain->target_bytes, err) : code;
}

int lake_read_maintain(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake_maintain *maintain = &yaml->lake->maintain;
	struct fy_node *values[K_COUNT];
	if (node == NULL)
		return 0;
	*maintain = LAKE_MAINTAIN_DEFAULT;
	int code = lake_yaml_members(yaml, node, "maintain", keys, K_COUNT, values, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[K_EVERY], &maintain->every_us, err);
	if (code == 0)
		code = at_least(yaml, values[K_EVERY], maintain->every_us, LAKE_MAINTAIN_EVERY_LEAST_US,
			"tables are looked at once a second at most; leave `maintain` out to leave them alone", err);
	if (code == 0)
		code = read_files(yaml, values[K_FILES], maintain, err);
	if (code == 0)
		code = read_snapshots(yaml, values[K_SNAPSHOTS], maintain, err);
	if (code == 0)
		code = lake_yaml_duration(yaml, values[K_ORPHANS], &maintain->orphans_us, err);
	if (code == 0)
		code = at_least(yaml, values[K_ORPHANS], maintain->orphans_us, LAKE_MAINTAIN_ORPHANS_LEAST_US,
			"a grace of less than an hour could take files that a writer is about to commit; write 1h or "
			"more",
			err);
	return code == 0 ? lake_yaml_duration(yaml, values[K_READERS], &maintain->readers_us, err) : code;
}
