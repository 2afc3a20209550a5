/* Names of the catalog: namespaces of several levels as one text, and what names may be. */
#include "access/catalog_int.h"
#include "base/rng.h"

#define FOLDER_PART 60 /* bytes that a name gives to its folder's */

/* "%2E" and "%25" are the only escapes, and "%" is one only before "2E" or "25": so names that other programs wrote
 * read as they stand. */
static bool is_escape(const char *at, size_t left)
{
	return left >= 3 && at[0] == '%' && at[1] == '2' && (at[2] == 'E' || at[2] == '5');
}

static void add_level(struct weir_buf *out, struct weir_str level)
{
	if (out->size > 0)
		weir_buf_putc(out, '.');
	for (size_t i = 0; i < level.size; i++) {
		if (level.data[i] == '.')
			weir_buf_puts(out, "%2E");
		else if (is_escape(level.data + i, level.size - i))
			weir_buf_puts(out, "%25");
		else
			weir_buf_putc(out, level.data[i]);
	}
}

int catalog_check_name(struct weir_str name, const char *what, struct weir_error *err)
{
	if (name.size == 0 || name.size > CATALOG_NAME_BYTES)
		return weir_fail(err, WEIR_E_INPUT, "the name of a %s has 1 to %d bytes, this one %zu", what,
			CATALOG_NAME_BYTES, name.size);
	for (size_t i = 0; i < name.size; i++)
		if ((unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7f)
			return weir_fail(err, WEIR_E_INPUT, "the name of a %s holds a control character", what);
	return weir_utf8_valid(name) ? 0 : weir_fail(err, WEIR_E_INPUT, "the name of a %s is not UTF-8", what);
}

static int finish_ns(struct weir_arena *arena, struct weir_buf *text, unsigned levels, int status,
	struct weir_str *ret_ns, struct weir_error *err)
{
	if (status == 0 && (levels == 0 || levels > CATALOG_LEVELS))
		status = weir_fail(
			err, WEIR_E_INPUT, "a namespace has 1 to %d levels, this one %u", CATALOG_LEVELS, levels);
	if (status == 0)
		*ret_ns = weir_arena_str(arena, weir_buf_str(text));
	weir_buf_done(text);
	return status;
}

int catalog_ns_from_url(struct weir_arena *arena, struct weir_str text, struct weir_str *ret_ns, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	unsigned levels = 0;
	int status = 0;
	for (size_t from = 0, at = 0; at <= text.size && status == 0; at++) {
		if (at < text.size && text.data[at] != 0x1f)
			continue;
		struct weir_str level = {text.data + from, at - from};
		status = catalog_check_name(level, "namespace's level", err);
		if (status == 0)
			add_level(&out, level);
		levels++;
		from = at + 1;
	}
	return finish_ns(arena, &out, levels, status, ret_ns, err);
}

int catalog_ns_from_json(
	struct weir_arena *arena, const json_t *levels, struct weir_str *ret_ns, struct weir_error *err)
{
	struct weir_buf out = WEIR_BUF_INIT;
	size_t index;
	json_t *level;
	int status = json_is_array(levels) ? 0 : weir_fail(err, WEIR_E_INPUT, "'namespace' is not an array of texts");
	json_array_foreach(levels, index, level)
	{
		struct weir_str text = {json_string_value(level), json_string_length(level)};
		if (status == 0)
			status = catalog_check_name(text, "namespace's level", err);
		if (status == 0)
			add_level(&out, text);
	}
	return finish_ns(arena, &out, (unsigned)json_array_size(levels), status, ret_ns, err);
}

json_t *catalog_ns_to_json(struct weir_str ns)
{
	json_t *levels = json_array();
	struct weir_buf level = WEIR_BUF_INIT;
	for (size_t at = 0; at <= ns.size; at++) {
		if (at == ns.size || ns.data[at] == '.') {
			json_array_append_new(levels, json_stringn(level.data != NULL ? level.data : "", level.size));
			level.size = 0;
		} else if (is_escape(ns.data + at, ns.size - at)) {
			weir_buf_putc(&level, ns.data[at + 2] == 'E' ? '.' : '%');
			at += 2;
		} else {
			weir_buf_putc(&level, ns.data[at]);
		}
	}
	weir_buf_done(&level);
	return levels;
}

int catalog_name_from_json(
	struct weir_arena *arena, const json_t *identifier, struct catalog_name *ret_name, struct weir_error *err)
{
	struct weir_str name = ice_rest_text(identifier, "name");
	if (name.data == NULL)
		return weir_fail(err, WEIR_E_INPUT,
			"an identifier is {\"namespace\": [...], \"name\": \"...\"}; 'name' is missing");
	int status = catalog_check_name(name, "table", err);
	if (status == 0)
		status = catalog_ns_from_json(arena, json_object_get(identifier, "namespace"), &ret_name->ns, err);
	ret_name->name = weir_arena_str(arena, name);
	return status;
}

json_t *catalog_name_to_json(struct catalog_name name)
{
	return json_pack(
		"{s:o,s:s%}", "namespace", catalog_ns_to_json(name.ns), "name", name.name.data, name.name.size);
}

const char *catalog_kind_name(enum catalog_kind kind)
{
	return kind == CATALOG_TABLE ? "table" : "view";
}

/* A namespace for people: as it is, cut. */
const char *catalog_ns_show(struct weir_str ns, char *buffer, size_t size)
{
	snprintf(buffer, size, "%.*s", (int)(ns.size < size ? ns.size : size - 1), ns.data);
	return buffer;
}

int catalog_missing(enum catalog_kind kind, struct catalog_name name, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_NOT_FOUND, weir_str_from(catalog_kind_name(kind)), WEIR_ERROR_NO_OFFSET,
		"%s does not exist: %.*s.%.*s", kind == CATALOG_TABLE ? "Table" : "View", WEIR_STR_ARG(name.ns),
		WEIR_STR_ARG(name.name));
}

int catalog_taken(enum catalog_kind wanted, enum catalog_kind is, struct catalog_name name, struct weir_error *err)
{
	return weir_fail_at(err, WEIR_E_EXISTS, weir_str_from(catalog_kind_name(is)), WEIR_ERROR_NO_OFFSET,
		"%s %salready exists: %.*s.%.*s", is == CATALOG_TABLE ? "Table" : "View",
		wanted != is ? "with same name " : "", WEIR_STR_ARG(name.ns), WEIR_STR_ARG(name.name));
}

static void add_folder(struct weir_buf *out, struct weir_str name)
{
	size_t from = out->size;
	for (size_t i = 0; i < name.size && out->size - from < FOLDER_PART; i++) {
		char c = name.data[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
			c == '-';
		weir_buf_putc(out, plain ? c : '_');
	}
}

/* Folders are plain ASCII, because engines disagree on percent signs in paths; the digits keep a table that is made
 * after another was dropped or renamed out of its folder. */
struct weir_str catalog_new_folder(struct weir_arena *arena, struct catalog_name name)
{
	struct weir_buf out = WEIR_BUF_INIT;
	uint8_t random[4];
	for (size_t from = 0, at = 0; at <= name.ns.size; at++) {
		if (at < name.ns.size && name.ns.data[at] != '.')
			continue;
		add_folder(&out, (struct weir_str){name.ns.data + from, at - from});
		weir_buf_putc(&out, '/');
		from = at + 1;
	}
	add_folder(&out, name.name);
	weir_random_bytes(random, sizeof random);
	weir_buf_printf(&out, "-%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
	struct weir_str folder = weir_arena_str(arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return folder;
}
