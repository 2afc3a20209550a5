/* YAML nodes as typed values, by libfyaml; see lake_int.h. */
#include "lake/lake_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/os.h"
#include "base/time.h"

/* The nearest name is offered where it is at most this many edits away. */
#define NEAR_EDITS 3

void lake_yaml_close(struct lake_yaml *yaml)
{
	if (yaml->document != NULL)
		fy_document_destroy(yaml->document);
	if (yaml->diag != NULL)
		fy_diag_destroy(yaml->diag);
	yaml->document = NULL;
	yaml->diag = NULL;
}

int lake_yaml_open(struct lake_yaml *yaml, struct weir_str text, struct weir_error *err)
{
	struct fy_diag_cfg diag_config;
	fy_diag_cfg_default(&diag_config);
	diag_config.fp = NULL;
	yaml->diag = fy_diag_create(&diag_config);
	if (yaml->diag == NULL)
		return weir_fail(err, WEIR_E_NO_MEMORY, "libfyaml cannot make its diagnostics");
	fy_diag_set_collect_errors(yaml->diag, true);
	/* Aliases stay unresolved: lake_yaml_* refuse them, and a small file cannot grow into a large one. */
	struct fy_parse_cfg config = {
		.search_path = "", .flags = FYPCF_DEFAULT_DOC & ~FYPCF_RESOLVE_DOCUMENT, .diag = yaml->diag};
	yaml->document = fy_document_build_from_string(&config, text.data, text.size);
	void *iterator = NULL;
	struct fy_diag_error *problem = fy_diag_errors_iterate(yaml->diag, &iterator);
	if (yaml->document != NULL && problem == NULL)
		return 0;
	char object[256];
	if (problem == NULL) {
		snprintf(object, sizeof object, "%s", yaml->lake->path);
		return weir_fail_at(
			err, WEIR_E_INPUT, weir_str_from(object), WEIR_ERROR_NO_OFFSET, "is empty or not YAML");
	}
	snprintf(object, sizeof object, "%.200s:%d:%d", yaml->lake->path, problem->line, problem->column);
	return weir_fail_at(
		err, WEIR_E_INPUT, weir_str_from(object), WEIR_ERROR_NO_OFFSET, "is not YAML: %s", problem->msg);
}

/* A block mapping has no token of its own: its first key stands for it. */
static const struct fy_mark *node_mark(struct fy_node *node)
{
	for (int depth = 0; node != NULL && depth < 64; depth++) {
		void *iterator = NULL;
		if (fy_node_is_mapping(node)) {
			struct fy_node_pair *pair = fy_node_mapping_iterate(node, &iterator);
			node = pair != NULL ? fy_node_pair_key(pair) : NULL;
		} else if (fy_node_is_sequence(node)) {
			node = fy_node_sequence_iterate(node, &iterator);
		} else {
			struct fy_token *token = fy_node_get_scalar_token(node);
			return token != NULL ? fy_token_start_mark(token) : NULL;
		}
	}
	return NULL;
}

int lake_yaml_fail(
	const struct lake_yaml *yaml, struct fy_node *node, int code, struct weir_error *err, const char *format, ...)
{
	char message[700], object[256];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	const struct fy_mark *mark = node_mark(node);
	if (mark != NULL)
		snprintf(object, sizeof object, "%.200s:%d:%d", yaml->lake->path, mark->line + 1, mark->column + 1);
	else
		snprintf(object, sizeof object, "%.200s", yaml->lake->path);
	return weir_fail_at(err, code, weir_str_from(object), WEIR_ERROR_NO_OFFSET, "%s", message);
}

int lake_yaml_unknown(const struct lake_yaml *yaml, struct fy_node *node, const char *what, struct weir_str name,
	const char *const *names, size_t name_count, struct weir_error *err)
{
	size_t nearest = 0;
	unsigned best = UINT32_MAX;
	struct weir_buf all = WEIR_BUF_INIT;
	for (size_t i = 0; i < name_count; i++) {
		unsigned distance = weir_str_distance(name, weir_str_from(names[i]));
		if (distance < best) {
			best = distance;
			nearest = i;
		}
		weir_buf_printf(&all, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	int code;
	if (name_count > 0 && best <= NEAR_EDITS && best < name.size)
		code = lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "unknown %s '%.*s'; did you mean '%s'?", what,
			WEIR_STR_ARG(name), names[nearest]);
	else
		code = lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "unknown %s '%.*s'; known: %s", what,
			WEIR_STR_ARG(name), name_count > 0 ? weir_buf_cstr(&all) : "(none)");
	weir_buf_done(&all);
	return code;
}

struct weir_str lake_yaml_raw(struct fy_node *node)
{
	size_t size = 0;
	const char *text = node != NULL && fy_node_is_scalar(node) ? fy_node_get_scalar(node, &size) : NULL;
	return text != NULL ? (struct weir_str){text, size} : WEIR_STR("");
}

/* `key:` without a value, or a plain null. */
static bool is_absent(struct fy_node *node)
{
	if (node == NULL)
		return true;
	if (!fy_node_is_scalar(node) || fy_node_is_alias(node))
		return false;
	return fy_node_is_null(node) || (fy_node_get_style(node) == FYNS_PLAIN && lake_yaml_raw(node).size == 0);
}

int lake_yaml_entries(const struct lake_yaml *yaml, struct fy_node *node, const char *what,
	struct lake_entry **ret_entries, uint32_t *ret_count, struct weir_error *err)
{
	struct lake_entry *entries = NULL;
	size_t count = 0, capacity = 0;
	int code = 0;
	if (!is_absent(node) && !fy_node_is_mapping(node))
		return lake_yaml_fail(
			yaml, node, WEIR_E_INPUT, err, "%s is a mapping; write its members as 'key: value'", what);
	void *iterator = NULL;
	struct fy_node_pair *pair;
	while (!is_absent(node) && (pair = fy_node_mapping_iterate(node, &iterator)) != NULL) {
		struct lake_entry entry = {.key = fy_node_pair_key(pair), .value = fy_node_pair_value(pair)};
		entry.name = lake_yaml_raw(entry.key);
		if (entry.key == NULL || !fy_node_is_scalar(entry.key) || fy_node_is_alias(entry.key) ||
			entry.name.size == 0)
			code = lake_yaml_fail(yaml, entry.key, WEIR_E_INPUT, err, "a key of %s is not a name", what);
		else if (count == LAKE_MAX_ITEMS)
			code = lake_yaml_fail(yaml, entry.key, WEIR_E_LIMIT, err, "%s has more than %d members", what,
				LAKE_MAX_ITEMS);
		for (size_t i = 0; code == 0 && i < count; i++) {
			if (weir_str_equal(entries[i].name, entry.name))
				code = lake_yaml_fail(yaml, entry.key, WEIR_E_INPUT, err, "'%.*s' stands twice in %s",
					WEIR_STR_ARG(entry.name), what);
		}
		if (code < 0)
			goto done;
		if (is_absent(entry.value))
			entry.value = NULL;
		WEIR_GROW(entries, count, capacity);
		entries[count++] = entry;
	}
	*ret_entries = count > 0 ? weir_arena_copy(yaml->arena, entries, count * sizeof *entries) : NULL;
	*ret_count = (uint32_t)count;
done:
	free(entries);
	return code;
}

int lake_yaml_members(const struct lake_yaml *yaml, struct fy_node *node, const char *what, const char *const *keys,
	size_t key_count, struct fy_node **ret_values, struct weir_error *err)
{
	struct lake_entry *entries = NULL;
	uint32_t count = 0;
	int code = lake_yaml_entries(yaml, node, what, &entries, &count, err);
	for (size_t k = 0; k < key_count; k++)
		ret_values[k] = NULL;
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		size_t k = 0;
		while (k < key_count && !weir_str_is(entries[i].name, keys[k]))
			k++;
		if (k < key_count)
			ret_values[k] = entries[i].value;
		else {
			char kind[128];
			snprintf(kind, sizeof kind, "key in %s:", what);
			code = lake_yaml_unknown(yaml, entries[i].key, kind, entries[i].name, keys, key_count, err);
		}
	}
	return code;
}

/* Appends what ${inner} stands for. */
static int expand(const struct lake_yaml *yaml, struct fy_node *node, struct weir_str inner, struct weir_buf *out,
	struct weir_error *err)
{
	const struct lake *lake = yaml->lake;
	if (weir_str_is(inner, "DATA")) {
		if (lake->data == NULL)
			return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "${DATA} cannot be used here");
		weir_buf_puts(out, lake->data);
		return 0;
	}
	if (weir_str_has_prefix(inner, WEIR_STR("env:"))) {
		const char *name = weir_arena_cstr(yaml->arena, (struct weir_str){inner.data + 4, inner.size - 4});
		const char *value = getenv(name);
		if (value == NULL)
			return lake_yaml_fail(yaml, node, WEIR_E_NOT_FOUND, err,
				"the environment has no variable '%s'; set it, or name another", name);
		weir_buf_puts(out, value);
		return 0;
	}
	if (weir_str_has_prefix(inner, WEIR_STR("file:"))) {
		struct weir_str relative = {inner.data + 5, inner.size - 5};
		char *path = lake_path_join(yaml->arena, lake->directory, relative);
		char *data = NULL;
		size_t size = 0;
		struct weir_error reason = WEIR_ERROR_INIT;
		int code = weir_os_read_all(weir_os_real(), path, LAKE_MAX_SECRET_BYTES, &data, &size, &reason);
		if (code < 0)
			return lake_yaml_fail(yaml, node, code, err, "cannot read %s: %s", path, reason.message);
		while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r'))
			size--;
		weir_buf_append(out, data, size);
		free(data);
		return 0;
	}
	return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
		"unknown reference '${%.*s}'; known: ${DATA}, ${env:NAME}, ${file:PATH}", WEIR_STR_ARG(inner));
}

int lake_yaml_text(
	const struct lake_yaml *yaml, struct fy_node *node, struct weir_str *ret_text, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	if (!fy_node_is_scalar(node) || fy_node_is_alias(node))
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
			fy_node_is_alias(node) ? "aliases are not used here; write the value out"
					       : "is a list or mapping; one value is wanted");
	struct weir_str raw = lake_yaml_raw(node);
	struct weir_buf out = WEIR_BUF_INIT;
	int code = 0;
	for (size_t i = 0; code == 0 && i < raw.size;) {
		const char *end = NULL;
		if (raw.size - i >= 2 && raw.data[i] == '$' && raw.data[i + 1] == '{')
			end = memchr(raw.data + i, '}', raw.size - i);
		if (end == NULL) {
			weir_buf_putc(&out, raw.data[i++]);
			continue;
		}
		struct weir_str inner = {raw.data + i + 2, (size_t)(end - (raw.data + i + 2))};
		code = expand(yaml, node, inner, &out, err);
		i = (size_t)(end - raw.data) + 1;
	}
	if (code == 0)
		*ret_text = weir_arena_str(yaml->arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return code;
}

bool lake_is_identifier(struct weir_str text)
{
	if (text.size == 0 || text.size > LAKE_MAX_NAME_BYTES)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
		if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return true;
}

int lake_name_check(const struct lake_yaml *yaml, struct fy_node *node, struct weir_str name, struct weir_error *err)
{
	if (lake_is_identifier(name))
		return 0;
	return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
		"'%.*s' is not a name; use 1 to %d letters, digits, '_' and '-', beginning with a letter or '_'",
		name.size > 100 ? 100 : (int)name.size, name.data, LAKE_MAX_NAME_BYTES);
}

int lake_yaml_name(
	const struct lake_yaml *yaml, struct fy_node *node, struct weir_str *ret_name, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str name = {0};
	int code = lake_yaml_text(yaml, node, &name, err);
	if (code == 0)
		code = lake_name_check(yaml, node, name, err);
	if (code == 0)
		*ret_name = name;
	return code;
}

int lake_yaml_bool(const struct lake_yaml *yaml, struct fy_node *node, bool *ret_value, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str raw = lake_yaml_raw(node);
	if (!weir_str_is(raw, "true") && !weir_str_is(raw, "false"))
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "'%.*s' is not true or false", WEIR_STR_ARG(raw));
	*ret_value = weir_str_is(raw, "true");
	return 0;
}

int lake_yaml_count(const struct lake_yaml *yaml, struct fy_node *node, uint32_t least, uint32_t most,
	uint32_t *ret_value, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str raw = lake_yaml_raw(node), text = raw;
	uint64_t value = 0;
	int code = lake_yaml_text(yaml, node, &text, err);
	if (code < 0)
		return code;
	if (!weir_str_to_u64(text, &value) || value < least || value > most)
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "'%.*s' is not a whole number from %u to %u",
			WEIR_STR_ARG(raw), least, most);
	*ret_value = (uint32_t)value;
	return 0;
}

int lake_yaml_duration(const struct lake_yaml *yaml, struct fy_node *node, int64_t *ret_us, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str raw = lake_yaml_raw(node), text = raw;
	int code = lake_yaml_text(yaml, node, &text, err);
	if (code < 0)
		return code;
	if (!weir_duration_parse(text, ret_us))
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
			"'%.*s' is not a duration; write a whole number and one of ms s m h d y, as in 250ms or 24h",
			WEIR_STR_ARG(raw));
	return 0;
}

int lake_yaml_size(const struct lake_yaml *yaml, struct fy_node *node, uint64_t *ret_bytes, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str raw = lake_yaml_raw(node), text = raw;
	uint64_t value = 0;
	int code = lake_yaml_text(yaml, node, &text, err);
	if (code < 0)
		return code;
	if (!weir_size_parse(text, &value) || value == 0)
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
			"'%.*s' is not a size; write a whole number above 0 and one of KiB MiB GiB, as in 64MiB",
			WEIR_STR_ARG(raw));
	*ret_bytes = value;
	return 0;
}

int lake_yaml_choice(const struct lake_yaml *yaml, struct fy_node *node, const char *what, const char *const *names,
	size_t name_count, uint32_t *ret_index, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str text = {0};
	int code = lake_yaml_text(yaml, node, &text, err);
	if (code < 0)
		return code;
	for (size_t i = 0; i < name_count; i++) {
		if (weir_str_is(text, names[i])) {
			*ret_index = (uint32_t)i;
			return 0;
		}
	}
	return lake_yaml_unknown(yaml, node, what, lake_yaml_raw(node), names, name_count, err);
}

struct fy_node *lake_yaml_element(struct fy_node *node, uint32_t index)
{
	if (node == NULL || !fy_node_is_sequence(node))
		return node;
	void *iterator = NULL;
	struct fy_node *element = fy_node_sequence_iterate(node, &iterator);
	while (element != NULL && index-- > 0)
		element = fy_node_sequence_iterate(node, &iterator);
	return element != NULL ? element : node;
}

int lake_yaml_texts(const struct lake_yaml *yaml, struct fy_node *node, const struct weir_str **ret_texts,
	uint32_t *ret_count, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	if (fy_node_is_mapping(node))
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "is a mapping; a list is wanted: [one, two]");
	struct weir_str *texts = NULL;
	size_t count = 0, capacity = 0;
	int code = 0;
	void *iterator = NULL;
	struct fy_node *element = fy_node_is_sequence(node) ? fy_node_sequence_iterate(node, &iterator) : node;
	while (element != NULL) {
		struct weir_str text = {0};
		if (count == LAKE_MAX_ITEMS)
			code = lake_yaml_fail(
				yaml, element, WEIR_E_LIMIT, err, "the list is longer than %d", LAKE_MAX_ITEMS);
		else
			code = lake_yaml_text(yaml, element, &text, err);
		for (size_t i = 0; code == 0 && i < count; i++) {
			if (weir_str_equal(texts[i], text))
				code = lake_yaml_fail(yaml, element, WEIR_E_INPUT, err,
					"'%.*s' stands twice in the list", WEIR_STR_ARG(text));
		}
		if (code < 0)
			goto done;
		WEIR_GROW(texts, count, capacity);
		texts[count++] = text;
		element = fy_node_is_sequence(node) ? fy_node_sequence_iterate(node, &iterator) : NULL;
	}
	*ret_texts = count > 0 ? weir_arena_copy(yaml->arena, texts, count * sizeof *texts) : NULL;
	*ret_count = (uint32_t)count;
done:
	free(texts);
	return code;
}

int lake_yaml_names(const struct lake_yaml *yaml, struct fy_node *node, const struct weir_str **ret_names,
	uint32_t *ret_count, struct weir_error *err)
{
	const struct weir_str *names = NULL;
	uint32_t count = 0;
	if (node == NULL)
		return 0;
	int code = lake_yaml_texts(yaml, node, &names, &count, err);
	for (uint32_t i = 0; code == 0 && i < count; i++)
		code = lake_name_check(yaml, lake_yaml_element(node, i), names[i], err);
	if (code < 0)
		return code;
	*ret_names = names;
	*ret_count = count;
	return 0;
}

char *lake_path_join(struct weir_arena *arena, const char *directory, struct weir_str path)
{
	if (path.size > 0 && path.data[0] == '/')
		return weir_arena_cstr(arena, path);
	while (weir_str_has_prefix(path, WEIR_STR("./")))
		path = (struct weir_str){path.data + 2, path.size - 2};
	return weir_arena_printf(arena, "%s/%.*s", directory, WEIR_STR_ARG(path));
}

int lake_yaml_file(const struct lake_yaml *yaml, struct fy_node *node, size_t limit_bytes, struct weir_str *ret_path,
	struct weir_str *ret_text, struct weir_error *err)
{
	if (node == NULL)
		return 0;
	struct weir_str name = {0};
	int code = lake_yaml_text(yaml, node, &name, err);
	if (code < 0)
		return code;
	if (name.size == 0)
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err, "a file's path is wanted");
	char *path = lake_path_join(yaml->arena, yaml->lake->directory, name);
	char *data = NULL;
	size_t size = 0;
	struct weir_error reason = WEIR_ERROR_INIT;
	code = weir_os_read_all(weir_os_real(), path, limit_bytes, &data, &size, &reason);
	if (code < 0)
		return lake_yaml_fail(yaml, node, code, err, "cannot read '%s': %s", path, reason.message);
	*ret_path = weir_str_from(path);
	*ret_text = weir_arena_str(yaml->arena, (struct weir_str){data, size});
	free(data);
	return 0;
}
