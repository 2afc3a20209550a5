/*
 * weir catalog: a whole Iceberg REST catalog in one program, without a lake. DIR holds its control database and, unless
 * --warehouse names another folder or a bucket, the tables. One process owns DIR (a lease, as a lake's).
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/catalog.h"
#include "engine/warehouse.h"
#include "jobs/maintain.h"
#include "store/s3.h"

#define GRACE_MS       4000
#define DEFAULT_DATA   "weir-data/catalog"
#define DEFAULT_LISTEN "127.0.0.1:8181"

struct own {
	struct weir_arena *arena;
	int lease_fd;
	struct lake description; /* of a lake without anything in it */
	struct control *control;
	struct store *store;
	struct ice_registry *registry;
	struct access *access;
	struct catalog *catalog;
	struct lake_s3 s3; /* where the warehouse is a bucket */
	struct s3_sts_options sts;
	bool has_sts;
	struct lake_maintain upkeep; /* of the tables; every_us 0: none */
};

/* DIR and the folders above it; mode 0700. */
static int make_folder(char *path, struct weir_error *err)
{
	for (char *at = path + 1;; at++) {
		char old = *at;
		if (old != '/' && old != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return weir_fail_errno(err, errno, weir_str_from(path), "make the folder");
		*at = old;
		if (old == '\0')
			return 0;
	}
}

static int take_lease(struct own *own, struct weir_error *err)
{
	char pid[32] = "";
	const char *path = weir_arena_printf(own->arena, "%s/lease", own->description.data);
	own->lease_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (own->lease_fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open the lease");
	if (flock(own->lease_fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t got = pread(own->lease_fd, pid, sizeof pid - 1, 0);
		pid[got > 0 ? got : 0] = '\0';
		return weir_fail(err, WEIR_E_BUSY, "process %ld owns %s; stop it, or give another folder with --data",
			strtol(pid, NULL, 10), own->description.data);
	}
	int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	if (ftruncate(own->lease_fd, 0) != 0 || pwrite(own->lease_fd, pid, (size_t)size, 0) != size)
		return weir_fail_errno(err, errno, weir_str_from(path), "write the lease");
	return 0;
}

static int absolute(struct own *own, const char *path, const char **ret_path, struct weir_error *err)
{
	char folder[4096];
	if (path[0] == '/') {
		*ret_path = weir_arena_cstr(own->arena, weir_str_from(path));
		return 0;
	}
	if (getcwd(folder, sizeof folder) == NULL)
		return weir_fail_errno(err, errno, weir_str_from("."), "find the current folder");
	*ret_path = weir_arena_printf(own->arena, "%s/%s", folder, path);
	return 0;
}

static bool is_bucket(const char *text)
{
	return text != NULL && (strncmp(text, "s3://", 5) == 0 || strncmp(text, "s3a://", 6) == 0);
}

/* The store and its keys are the environment's; local copies lie in DIR/cache. */
static int open_bucket(struct own *own, const char *uri, struct weir_error *err)
{
	struct weir_clock clock = weir_clock_system();
	int status = store_s3_parse(own->arena, weir_str_from(uri), &own->s3.bucket, &own->s3.prefix, err);
	if (status == 0)
		status = engine_open_bucket(&own->s3, own->description.data, &clock, &own->store, err);
	own->has_sts = status == 0 && engine_sts_options(&own->s3, &clock, &own->sts);
	return status;
}

/* A path, or a file: URI of one. */
static int warehouse_path(struct own *own, const char *text, const char **ret_path, struct weir_error *err)
{
	if (text == NULL) {
		*ret_path = weir_arena_printf(own->arena, "%s/warehouse", own->description.data);
		return 0;
	}
	if (strncmp(text, "file:", 5) == 0) {
		text += 5;
		while (text[0] == '/' && text[1] == '/')
			text++;
	} else if (strstr(text, "://") != NULL) {
		return weir_fail(err, WEIR_E_UNSUPPORTED,
			"a warehouse is a folder or a bucket, not '%.100s'; give a path, a file:// URI or "
			"s3://BUCKET/PREFIX",
			text);
	}
	return absolute(own, text, ret_path, err);
}

static int open_all(struct own *own, const struct cli_args *args, struct weir_error *err)
{
	const char *data = cli_option(args, "--data"), *place = cli_option(args, "--warehouse"), *warehouse = NULL;
	struct control_options control = {0};
	int status = absolute(own, data != NULL ? data : DEFAULT_DATA, &own->description.data, err);
	if (status == 0)
		status = make_folder(weir_arena_cstr(own->arena, weir_str_from(own->description.data)), err);
	if (status == 0)
		status = take_lease(own, err);
	if (status == 0 && !is_bucket(place))
		status = warehouse_path(own, place, &warehouse, err);
	if (status == 0) {
		control.url = cli_option(args, "--control");
		if (control.url == NULL)
			control.url = weir_arena_printf(own->arena, "%s/control.db", own->description.data);
		status = control_open(&control, &own->control, err);
	}
	if (status == 0)
		status = is_bucket(place) ? open_bucket(own, place, err)
					  : store_local_open(weir_os_real(), warehouse, &own->store, err);
	if (status != 0)
		return status;
	own->registry = ice_registry_new(own->store, own->control);
	uint64_t deleted = 0;
	status = ice_recover_files(own->registry, &deleted, err);
	struct access_config access = {.lake = &own->description,
		.control = own->control,
		.registry = own->registry,
		.clock = weir_clock_system()};
	if (status == 0)
		status = access_open(&access, &own->access, err);
	struct catalog_config catalog = {
		.registry = own->registry, .clock = weir_clock_system(), .sts = own->has_sts ? &own->sts : NULL};
	if (status == 0)
		status = catalog_open(&catalog, &own->catalog, err);
	return status;
}

static void close_all(struct own *own)
{
	catalog_close(own->catalog);
	access_close(own->access);
	ice_registry_free(own->registry);
	if (own->store != NULL)
		store_close(own->store);
	if (own->control != NULL)
		control_close(own->control);
	if (own->lease_fd >= 0)
		close(own->lease_fd);
	weir_arena_free(own->arena);
}

static int serve_until_stopped(
	struct own *own, const struct cli_args *args, const sigset_t *signals, struct weir_error *err)
{
	struct serve_catalog what = {.catalog = own->catalog, .access = own->access, .description = &own->description};
	struct serve_options options = {.listen = weir_str_from(cli_option(args, "--listen")),
		.insecure = cli_flag(args, "--insecure"),
		.exact_port = cli_flag(args, "--exact-port"),
		.log = &args->log};
	struct serve *serve = NULL;
	int signal_number = 0;
	struct maintain_config upkeep = {
		.registry = own->registry, .settings = &own->upkeep, .log = &args->log, .sweeps = true};
	struct maintain *maintain = NULL;
	int status = serve_start_catalog(&what, &options, &serve, err);
	if (status != 0)
		return status;
	if (own->upkeep.every_us > 0) {
		maintain_open(&upkeep, &maintain);
		maintain_start(maintain);
	}
	printf("weir: the catalog is served at %s/iceberg\n", serve_url(serve));
	fflush(stdout);
	sigwait(signals, &signal_number);
	weir_log(&args->log, WEIR_LOG_INFO, "stopping: signal %d", signal_number);
	maintain_close(maintain);
	serve_stop(serve, GRACE_MS);
	return 0;
}

static int new_token(struct own *own, const char *role_name, struct weir_error *err)
{
	struct access_identity identity;
	enum access_role role;
	struct weir_str secret;
	if (!access_role_parse(weir_str_from(role_name), &role) || (role != ACCESS_OPERATOR && role != ACCESS_AUDITOR))
		return weir_fail(
			err, WEIR_E_INPUT, "a catalog's tokens have the role operator (all) or auditor (reading)");
	int status = access_token_create(own->access, role, WEIR_STR(""), NULL, 0, own->arena, &secret, &identity, err);
	if (status == 0)
		printf("id     %s\nsecret %.*s\n", identity.id, WEIR_STR_ARG(secret));
	return status;
}

int cmd_catalog(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct own own = {.lease_fd = -1};
	const char *role = cli_option(args, "--new-token"), *every = cli_option(args, "--maintain");
	sigset_t signals;
	own.upkeep = LAKE_MAINTAIN_DEFAULT;
	if (every == NULL)
		own.upkeep.every_us = 0;
	else if (!weir_duration_parse(weir_str_from(every), &own.upkeep.every_us) ||
		own.upkeep.every_us < LAKE_MAINTAIN_EVERY_LEAST_US)
		return cli_wrong_use(args, "--maintain takes a duration from 1s on, such as 10m, not '%s'", every);
	own.arena = weir_arena_new(0);
	own.description.name = WEIR_STR("catalog");
	own.description.listen = WEIR_STR(DEFAULT_LISTEN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	int status = open_all(&own, args, &err);
	if (status == 0)
		status = role != NULL ? new_token(&own, role, &err) : serve_until_stopped(&own, args, &signals, &err);
	close_all(&own);
	return status < 0 ? cli_fail(&err) : CLI_DONE;
}
