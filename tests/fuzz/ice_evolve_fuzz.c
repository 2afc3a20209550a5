// uses: weir_iceberg
/*
 * Any bytes as steps of an evolution, one a line: a digit or letter for the kind, then path, type and value between tabs.
 * They are refused, or what comes of them is metadata that is written and parses again.
 */
#include <stddef.h>
#include <stdint.h>

#include "iceberg/internal.h"
#include "iceberg/revise.h"

#define STEPS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char table[] =
	"{\"format-version\":3,\"table-uuid\":\"9c12d441-03fe-4693-9a96-a0705ddf69c1\",\"location\":\"memory:///t\","
	"\"last-sequence-number\":0,\"last-updated-ms\":1602638573590,\"last-column-id\":12,\"current-schema-id\":0,"
	"\"next-row-id\":0,\"schemas\":[{\"type\":\"struct\",\"schema-id\":0,\"identifier-field-ids\":[1],\"fields\":["
	"{\"id\":1,\"name\":\"id\",\"required\":true,\"type\":\"int\"},"
	"{\"id\":2,\"name\":\"ts\",\"required\":false,\"type\":\"timestamptz\"},"
	"{\"id\":3,\"name\":\"d\",\"required\":false,\"type\":\"date\",\"initial-default\":\"2020-02-29\","
	"\"write-default\":\"2020-02-29\"},"
	"{\"id\":4,\"name\":\"f\",\"required\":false,\"type\":\"float\"},"
	"{\"id\":5,\"name\":\"n\",\"required\":false,\"type\":\"decimal(9, 2)\"},"
	"{\"id\":6,\"name\":\"u\",\"required\":false,\"type\":\"unknown\"},"
	"{\"id\":7,\"name\":\"s\",\"required\":false,\"type\":{\"type\":\"struct\",\"fields\":["
	"{\"id\":8,\"name\":\"a\",\"required\":false,\"type\":\"string\"},"
	"{\"id\":9,\"name\":\"b\",\"required\":false,\"type\":\"date\"}]}},"
	"{\"id\":10,\"name\":\"l\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":11,\"element\":"
	"\"int\","
	"\"element-required\":false}},"
	"{\"id\":12,\"name\":\"t\",\"required\":false,\"type\":\"string\"}]}],"
	"\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[{\"source-id\":3,\"field-id\":1000,"
	"\"name\":\"d_month\",\"transform\":\"month\"},{\"source-id\":12,\"field-id\":1001,\"name\":\"t_bucket\","
	"\"transform\":\"bucket[4]\"}]}],\"last-partition-id\":1001,\"default-sort-order-id\":1,\"sort-orders\":["
	"{\"order-id\":0,\"fields\":[]},{\"order-id\":1,\"fields\":[{\"source-id\":1,\"transform\":\"identity\","
	"\"direction\":\"asc\",\"null-order\":\"nulls-first\"}]}]}";

/* The part before the first `end`; *rest becomes what is behind it. */
static struct weir_str take(struct weir_str *rest, char end)
{
	const char *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
	struct weir_str part = {rest->data, at != NULL ? (size_t)(at - rest->data) : rest->size};
	size_t skip = part.size + (at != NULL);
	*rest = (struct weir_str){rest->data + skip, rest->size - skip};
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct weir_str rest = {(const char *)data, size};
	struct ice_evolve_step steps[STEPS_MAX];
	struct ice_evolution evolution = {steps, 0};
	struct ice_metadata *base, *again;
	struct weir_error err = WEIR_ERROR_INIT;
	WEIR_ASSERT(ice_metadata_parse(arena, weir_str_from(table), WEIR_STR("table"), &base, &err) == 0);
	while (rest.size > 0 && evolution.count < STEPS_MAX) {
		struct weir_str line = take(&rest, '\n');
		struct ice_evolve_step *step = &steps[evolution.count];
		if (line.size == 0)
			continue;
		step->kind = (enum ice_evolve_kind)((uint8_t)line.data[0] % (ICE_SET_SORT + 1));
		line = (struct weir_str){line.data + 1, line.size - 1};
		step->path = take(&line, '\t');
		step->type = take(&line, '\t');
		step->value = line;
		evolution.count++;
	}
	struct ice_metadata next = *base;
	if (ice_revise_evolve(&evolution, arena, base, &next, &err) == 0) {
		struct weir_buf json = WEIR_BUF_INIT;
		ice_metadata_write(&next, &json);
		WEIR_ASSERT(ice_metadata_parse(arena, weir_buf_str(&json), WEIR_STR("again"), &again, &err) == 0);
		WEIR_ASSERT(again->default_sort_order_id == next.default_sort_order_id);
		WEIR_ASSERT(ice_metadata_current_schema(again)->field_count ==
			ice_metadata_current_schema(&next)->field_count);
		weir_buf_done(&json);
	}
	weir_arena_free(arena);
	return 0;
}
