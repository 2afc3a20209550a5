/*
 * Private to lake: YAML nodes as typed values with errors that say where. In: the text of lake.yaml
 * (at most LAKE_MAX_TEXT_BYTES); out: values in the lake's arena. Errors name file:line:column and show
 * the value as it is written, never as it is expanded: an expanded one may hold a secret.
 *
 * A node that is absent is NULL; getters leave their output (the default) as it is for it.
 */
#ifndef WEIR_LAKE_LAKE_INT_H
#define WEIR_LAKE_LAKE_INT_H

#include <libfyaml.h>

#include "lake/lake.h"

#define LAKE_MAX_TEXT_BYTES     (1U << 20)  /* lake.yaml, a SQL file */
#define LAKE_MAX_SCHEMA_BYTES   (4U << 20)  /* a JSON Schema */
#define LAKE_MAX_SECRET_BYTES   (64U << 10) /* what ${file:PATH} names */
#define LAKE_MAX_ITEMS          1024        /* entries of one list or mapping */
#define LAKE_MAX_NAME_BYTES     64
#define LAKE_MAX_LOG_PARTITIONS 64
#define LAKE_MAX_PURPOSES       64

#define LAKE_COUNT(array) (sizeof(array) / sizeof *(array))

struct lake_yaml {
	struct lake *lake; /* being filled */
	struct weir_arena *arena;
	struct fy_document *document;
	struct fy_diag *diag;
};

/* One entry of a mapping. */
struct lake_entry {
	struct fy_node *key, *value; /* value NULL where it is empty */
	struct weir_str name;
};

/* Parses text; the caller calls lake_yaml_close also on failure. */
int lake_yaml_open(struct lake_yaml *yaml, struct weir_str text, struct weir_error *err);
void lake_yaml_close(struct lake_yaml *yaml);

/* WEIR_E_INPUT (or code) with the node's place; node NULL: the file as a whole. Returns the code. */
int lake_yaml_fail(const struct lake_yaml *yaml, struct fy_node *node, int code, struct weir_error *err,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same for a name that should be one of `names`: says the nearest, or all of them. what: "key", "format". */
int lake_yaml_unknown(const struct lake_yaml *yaml, struct fy_node *node, const char *what, struct weir_str name,
	const char *const *names, size_t name_count, struct weir_error *err);
/* The text of a scalar as it is written; "" where node is none. */
struct weir_str lake_yaml_raw(struct fy_node *node);

/* All entries of a mapping, in order. NULL, or an empty node: none. what names the place: "stream NAME". */
int lake_yaml_entries(const struct lake_yaml *yaml, struct fy_node *node, const char *what,
	struct lake_entry **ret_entries, uint32_t *ret_count, struct weir_error *err);
/* A mapping whose keys are all among keys: ret_values[i] is the value of keys[i] or NULL. */
int lake_yaml_members(const struct lake_yaml *yaml, struct fy_node *node, const char *what, const char *const *keys,
	size_t key_count, struct fy_node **ret_values, struct weir_error *err);

int lake_yaml_text(
	const struct lake_yaml *yaml, struct fy_node *node, struct weir_str *ret_text, struct weir_error *err);
/* A name: letters, digits, '_' and '-', not beginning with a digit or '-'. */
int lake_yaml_name(
	const struct lake_yaml *yaml, struct fy_node *node, struct weir_str *ret_name, struct weir_error *err);
int lake_yaml_bool(const struct lake_yaml *yaml, struct fy_node *node, bool *ret_value, struct weir_error *err);
int lake_yaml_count(const struct lake_yaml *yaml, struct fy_node *node, uint32_t least, uint32_t most,
	uint32_t *ret_value, struct weir_error *err);
int lake_yaml_duration(const struct lake_yaml *yaml, struct fy_node *node, int64_t *ret_us, struct weir_error *err);
int lake_yaml_size(const struct lake_yaml *yaml, struct fy_node *node, uint64_t *ret_bytes, struct weir_error *err);
/* One of `names`: its index. */
int lake_yaml_choice(const struct lake_yaml *yaml, struct fy_node *node, const char *what, const char *const *names,
	size_t name_count, uint32_t *ret_index, struct weir_error *err);
/* A list of texts, or one text that stands for a list of one. Names twice are refused. */
int lake_yaml_texts(const struct lake_yaml *yaml, struct fy_node *node, const struct weir_str **ret_texts,
	uint32_t *ret_count, struct weir_error *err);
/* The same, each a name by lake_yaml_name's rule. */
int lake_yaml_names(const struct lake_yaml *yaml, struct fy_node *node, const struct weir_str **ret_names,
	uint32_t *ret_count, struct weir_error *err);
/* The node of element i of a list, for errors; node itself where it is a scalar. */
struct fy_node *lake_yaml_element(struct fy_node *node, uint32_t index);
/* Reads the file that a node names, relative to the lake's directory. ret_path is absolute. */
int lake_yaml_file(const struct lake_yaml *yaml, struct fy_node *node, size_t limit_bytes, struct weir_str *ret_path,
	struct weir_str *ret_text, struct weir_error *err);
/* directory/path, or path where it is absolute; in arena. */
char *lake_path_join(struct weir_arena *arena, const char *directory, struct weir_str path);
int lake_name_check(const struct lake_yaml *yaml, struct fy_node *node, struct weir_str name, struct weir_error *err);
/* "timestamp >=" has a part before the space that is a column: an identifier. */
bool lake_is_identifier(struct weir_str text);

/* The sections; each fills its part of yaml->lake. node may be NULL: absent. */
int lake_read_warehouse(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err);
int lake_read_maintain(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err);
int lake_read_lookups(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err);
int lake_read_streams(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err);
int lake_read_consents(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err); /* before tables */
int lake_read_tables(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err);
int lake_read_queries(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err); /* after tables */

#endif
