/*
 * What turns one version of a table's metadata into another, as a REST catalog takes it (Iceberg REST specification,
 * CommitTableRequest): updates, and the requirements under which they mean the same. Pure.
 */
#ifndef WEIR_CLI_REST_CHANGES_H
#define WEIR_CLI_REST_CHANGES_H

#include <jansson.h>

#include "iceberg/model.h"

/*
 * {"requirements": [...], "updates": [...]}; the caller's reference. Required is what the updates stand on: the
 * table's id; each branch and tag that moves, and all of them where snapshots go; the current schema, spec and order
 * and the last ids where these change. What the catalog keeps itself (logs, sequence numbers, times, statistics) is
 * left out.
 */
json_t *rest_changes(const struct ice_metadata *base, const struct ice_metadata *next);
/* Whether `now` is already what `next` wants: no update is left. */
bool rest_is_reached(const struct ice_metadata *now, const struct ice_metadata *next);
/* The same snapshots, and branches and tags on the same of them. */
bool rest_same_snapshots(const struct ice_metadata *a, const struct ice_metadata *b);

#endif
