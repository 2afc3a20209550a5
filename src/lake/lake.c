/* lake.yaml as a whole: the file, its directory, the top level's keys, and what is found by name. */
#include "lake/lake_int.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/os.h"

enum {
	K_WEIR,
	K_LAKE,
	K_SERVE,
	K_WAREHOUSE,
	K_CONTROL,
	K_LOG,
	K_MAINTAIN,
	K_LOOKUPS,
	K_STREAMS,
	K_TABLES,
	K_CONSENT,
	K_QUERY,
	K_COUNT
};
static const char *const top_keys[K_COUNT] = {"weir", "lake", "serve", "warehouse", "control", "log", "maintain",
	"lookups", "streams", "tables", "consent", "query"};

/* path as an absolute one, whether it exists or not; in arena. */
static int absolute_path(struct weir_arena *arena, const char *path, char **ret_path, struct weir_error *err)
{
	if (path[0] == '/') {
		*ret_path = weir_arena_cstr(arena, weir_str_from(path));
		return 0;
	}
	char *here = getcwd(NULL, 0);
	if (here == NULL)
		return weir_fail_errno(err, errno, WEIR_STR("."), "find the working directory");
	*ret_path = lake_path_join(arena, here, weir_str_from(path));
	free(here);
	return 0;
}

/* Finds lake.yaml (path is it, or its folder), its absolute directory, and reads it (malloc'ed). */
static int read_text(struct lake *lake, const char *path, char **ret_text, size_t *ret_size, struct weir_error *err)
{
	const struct weir_os *os = weir_os_real();
	struct weir_file_info info;
	int code = os->stat(os->self, path, &info, err);
	if (code < 0)
		return code;
	lake->path = info.is_directory ? weir_arena_printf(lake->arena, "%s%slake.yaml", path,
						 path[0] != '\0' && path[strlen(path) - 1] == '/' ? "" : "/")
				       : weir_arena_cstr(lake->arena, weir_str_from(path));
	char *full = realpath(lake->path, NULL);
	if (full == NULL)
		return weir_fail_errno(err, errno, weir_str_from(lake->path), "open");
	*strrchr(full, '/') = '\0';
	lake->directory = weir_arena_cstr(lake->arena, weir_str_from(full));
	free(full);
	return weir_os_read_all(os, lake->path, LAKE_MAX_TEXT_BYTES, ret_text, ret_size, err);
}

/*
 * A PostgreSQL URL, with ${file:PATH} made absolute. Its references stay what they are: control_open resolves them, so
 * that no copy of a secret is here, and encodes them as a URL wants it.
 */
static const char *postgres_url(struct lake_yaml *yaml, struct weir_str raw)
{
	struct lake *lake = yaml->lake;
	struct weir_buf out = WEIR_BUF_INIT;
	for (size_t i = 0; i < raw.size;) {
		struct weir_str rest = {raw.data + i, raw.size - i};
		const char *end =
			weir_str_has_prefix(rest, WEIR_STR("${file:")) ? memchr(rest.data, '}', rest.size) : NULL;
		if (end == NULL) {
			weir_buf_putc(&out, raw.data[i++]);
			continue;
		}
		struct weir_str path = {rest.data + 7, (size_t)(end - rest.data) - 7};
		weir_buf_printf(&out, "${file:%s}", lake_path_join(lake->arena, lake->directory, path));
		i = (size_t)(end - raw.data) + 1;
	}
	const char *url = weir_arena_cstr(lake->arena, weir_buf_str(&out));
	weir_buf_done(&out);
	return url;
}

static int read_control(struct lake_yaml *yaml, struct fy_node *node, struct weir_error *err)
{
	struct lake *lake = yaml->lake;
	struct weir_str control = {0}, raw = {0};
	if (node != NULL && fy_node_is_scalar(node) && !fy_node_is_alias(node))
		raw = lake_yaml_raw(node);
	if (weir_str_has_prefix(raw, WEIR_STR("postgresql://")) || weir_str_has_prefix(raw, WEIR_STR("postgres://"))) {
		lake->control = postgres_url(yaml, raw);
		return 0;
	}
	int code = lake_yaml_text(yaml, node, &control, err);
	if (code < 0)
		return code;
	if (control.size == 0)
		control = weir_str_from(weir_arena_printf(lake->arena, "sqlite:%s/control.db", lake->data));
	if (weir_str_has_prefix(control, WEIR_STR("postgresql://"))) { /* the whole of it is a reference */
		lake->control = weir_arena_cstr(lake->arena, control);
		return 0;
	}
	if (!weir_str_has_prefix(control, WEIR_STR("sqlite:")) || control.size == 7)
		return lake_yaml_fail(yaml, node, WEIR_E_INPUT, err,
			"names no control database; write sqlite:PATH, as in sqlite:${DATA}/control.db, or "
			"postgresql://USER:${env:NAME}@HOST/DATABASE");
	control = (struct weir_str){control.data + 7, control.size - 7};
	lake->control = lake_path_join(lake->arena, lake->directory, control);
	return 0;
}

static int read_places(struct lake_yaml *yaml, struct fy_node *const *top, struct weir_error *err)
{
	int code = lake_read_warehouse(yaml, top[K_WAREHOUSE], err);
	return code < 0 ? code : read_control(yaml, top[K_CONTROL], err);
}

static int read_serve_and_log(
	struct lake_yaml *yaml, struct fy_node *serve, struct fy_node *log, struct weir_error *err)
{
	static const char *const serve_keys[] = {"listen"}, *const log_keys[] = {"kind", "partitions"};
	static const char *const log_kinds[] = {"embedded", "kafka"};
	struct lake *lake = yaml->lake;
	struct fy_node *serve_values[LAKE_COUNT(serve_keys)], *log_values[LAKE_COUNT(log_keys)];
	uint32_t kind = 0;
	lake->listen = WEIR_STR("127.0.0.1:8080");
	lake->log_partitions = 2;
	int code = lake_yaml_members(yaml, serve, "serve", serve_keys, LAKE_COUNT(serve_keys), serve_values, err);
	if (code == 0)
		code = lake_yaml_text(yaml, serve_values[0], &lake->listen, err);
	if (code == 0) {
		const char *colon = memrchr(lake->listen.data, ':', lake->listen.size);
		uint64_t port = 0;
		struct weir_str digits = {0};
		if (colon != NULL)
			digits = (struct weir_str){
				colon + 1, (size_t)(lake->listen.data + lake->listen.size - colon - 1)};
		if (colon == NULL || colon == lake->listen.data || !weir_str_to_u64(digits, &port) || port > 65535)
			code = lake_yaml_fail(yaml, serve_values[0], WEIR_E_INPUT, err,
				"is not HOST:PORT; write it as in 127.0.0.1:8080");
	}
	if (code == 0)
		code = lake_yaml_members(yaml, log, "log", log_keys, LAKE_COUNT(log_keys), log_values, err);
	if (code == 0)
		code = lake_yaml_choice(
			yaml, log_values[0], "kind of log", log_kinds, LAKE_COUNT(log_kinds), &kind, err);
	if (code == 0 && kind != 0)
		code = lake_yaml_fail(yaml, log_values[0], WEIR_E_UNSUPPORTED, err,
			"this version has the embedded log alone; write kind: embedded");
	if (code == 0)
		code = lake_yaml_count(yaml, log_values[1], 1, LAKE_MAX_LOG_PARTITIONS, &lake->log_partitions, err);
	return code;
}

static int read_document(struct lake_yaml *yaml, const char *data_directory, struct weir_error *err)
{
	struct lake *lake = yaml->lake;
	struct fy_node *root = fy_document_root(yaml->document), *top[K_COUNT];
	int code = lake_yaml_members(yaml, root, "the lake", top_keys, K_COUNT, top, err);
	if (code < 0)
		return code;
	if (top[K_WEIR] == NULL || !weir_str_is(lake_yaml_raw(top[K_WEIR]), "1"))
		return lake_yaml_fail(yaml, top[K_WEIR] != NULL ? top[K_WEIR] : root, WEIR_E_INPUT, err,
			"the file's format version must be 'weir: 1'");
	if (top[K_LAKE] == NULL)
		return lake_yaml_fail(yaml, root, WEIR_E_INPUT, err, "the lake has no name; add 'lake: NAME'");
	code = lake_yaml_name(yaml, top[K_LAKE], &lake->name, err);
	if (code < 0)
		return code;
	if (data_directory == NULL)
		data_directory = weir_arena_printf(lake->arena, "./weir-data/%.*s", WEIR_STR_ARG(lake->name));
	char *data = NULL;
	code = absolute_path(lake->arena, data_directory, &data, err);
	if (code < 0)
		return code;
	lake->data = data;
	code = read_places(yaml, top, err);
	if (code == 0)
		code = read_serve_and_log(yaml, top[K_SERVE], top[K_LOG], err);
	if (code == 0)
		code = lake_read_maintain(yaml, top[K_MAINTAIN], err);
	if (code == 0)
		code = lake_read_lookups(yaml, top[K_LOOKUPS], err);
	if (code == 0)
		code = lake_read_streams(yaml, top[K_STREAMS], err);
	if (code == 0)
		code = lake_read_consents(yaml, top[K_CONSENT], err);
	if (code == 0)
		code = lake_read_tables(yaml, top[K_TABLES], err);
	if (code == 0)
		code = lake_read_queries(yaml, top[K_QUERY], err);
	return code;
}

int lake_read(const char *path, const char *data_directory, struct lake **ret_lake, struct weir_error *err)
{
	struct weir_arena *arena = weir_arena_new(0);
	struct lake *lake = weir_arena_zalloc(arena, sizeof *lake);
	lake->arena = arena;
	lake->path = path;
	struct lake_yaml yaml = {.lake = lake, .arena = arena};
	char *text = NULL;
	size_t size = 0;
	int code = read_text(lake, path, &text, &size, err);
	if (code == 0)
		code = lake_yaml_open(&yaml, (struct weir_str){text, size}, err);
	if (code == 0)
		code = read_document(&yaml, data_directory, err);
	lake_yaml_close(&yaml);
	free(text);
	if (code < 0) {
		weir_error_in(err, code, weir_str_from(path));
		weir_arena_free(arena);
		return code;
	}
	*ret_lake = lake;
	return 0;
}

void lake_free(struct lake *lake)
{
	if (lake != NULL)
		weir_arena_free(lake->arena);
}

uint32_t lake_find_stream(const struct lake *lake, struct weir_str name)
{
	for (uint32_t i = 0; i < lake->stream_count; i++) {
		if (weir_str_equal(lake->streams[i].name, name))
			return i;
	}
	return UINT32_MAX;
}

uint32_t lake_find_table(const struct lake *lake, struct weir_str ns, struct weir_str name)
{
	for (uint32_t i = 0; i < lake->table_count; i++) {
		if (weir_str_equal(lake->tables[i].ns, ns) && weir_str_equal(lake->tables[i].name, name))
			return i;
	}
	return UINT32_MAX;
}

uint32_t lake_stream_table(const struct lake *lake, uint32_t stream, enum lake_table_kind kind)
{
	for (uint32_t i = 0; i < lake->table_count; i++) {
		if (lake->tables[i].stream == stream && lake->tables[i].kind == kind)
			return i;
	}
	return UINT32_MAX;
}
