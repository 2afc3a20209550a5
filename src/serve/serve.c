/*
 * Starting and stopping: the application, its workers, and a libmicrohttpd daemon for each of the two
 * sockets. Order of stopping: no new connections, running calls end (or are cancelled), workers join, daemons
 * stop. No connection may be suspended when a daemon stops, and no call may run when the engine closes.
 */
#include "serve/iceberg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/warehouse.h"

struct serve {
	struct serve_app *app;
	struct http *tcp, *local;
	uint16_t port;
	char url[300];
	char *port_path, *socket_path;
};

static int authenticate(
	struct serve_app *app, struct weir_str secret, struct access_identity *ret_identity, struct weir_error *err)
{
	return access_authenticate(app->access, secret, ret_identity, err);
}

static struct serve_app *app_make(const struct lake *lake, struct access *access, const struct weir_log *log)
{
	struct weir_clock clock = weir_clock_system();
	struct serve_app *app = weir_zalloc(sizeof *app);
	app->access = access;
	app->lake = lake;
	app->log = log;
	app->arena = weir_arena_new(0);
	app->authenticate = authenticate;
	app->local_operator = access_operator();
	app->started_us = weir_now_us(&clock);
	app->spill = weir_arena_printf(app->arena, "%s/spill", lake->data);
	return app;
}

/* The catalog over the engine's tables. Where it does not open, all else is served. */
static void open_catalog(struct serve_app *app)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct consent **consents = weir_arena_calloc(app->arena, app->lake->consent_count, sizeof *consents);
	char text[1200];
	for (uint32_t i = 0; i < app->lake->consent_count; i++)
		consents[i] = engine_consent(app->engine, i);
	struct catalog_config config = {.registry = engine_registry(app->engine),
		.lake = app->lake,
		.access = app->access,
		.consents = consents,
		.clock = weir_clock_system()};
	struct s3_sts_options sts;
	if (app->lake->s3 != NULL && engine_sts_options(app->lake->s3, &config.clock, &sts))
		config.sts = &sts;
	app->owns_catalog = catalog_open(&config, &app->catalog, &err) == 0;
	if (!app->owns_catalog)
		weir_log(app->log, WEIR_LOG_ERROR, "the catalog API is not served: %s",
			weir_error_text(&err, text, sizeof text));
}

struct serve_app *app_new(struct engine *engine, const struct lake *lake, const struct weir_log *log)
{
	struct serve_app *app = app_make(lake, engine_access(engine), log);
	app->engine = engine;
	open_catalog(app);
	routes_fill(&app->router, lake, app->arena);
	return app;
}

void app_free(struct serve_app *app)
{
	if (app == NULL)
		return;
	if (app->owns_catalog)
		catalog_close(app->catalog);
	weir_arena_free(app->arena);
	free(app);
}

/* As many descriptors as the system lets this process have. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int write_port(struct serve *serve, struct weir_error *err)
{
	char text[16];
	int size = snprintf(text, sizeof text, "%u\n", (unsigned)serve->port);
	int fd = open(serve->port_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, text, (size_t)size) == size;
	int error = errno;
	if (fd >= 0)
		close(fd);
	return good ? 0 : weir_fail_errno(err, error, weir_str_from(serve->port_path), "write the port");
}

static int start(struct serve_app *take_app, const struct serve_options *options, struct serve **ret_serve,
	struct weir_error *err)
{
	struct serve *serve = weir_zalloc(sizeof *serve);
	struct serve_app *app = serve->app = take_app;
	const struct lake *lake = app->lake;
	bool loopback = true;
	int fd = -1;
	raise_descriptors();
	serve->port_path = weir_arena_printf(app->arena, "%s/weir.port", lake->data);
	serve->socket_path = weir_arena_printf(app->arena, "%s/weir.sock", lake->data);
	app->pools[SERVE_SHORT] = pool_new(2);
	app->pools[SERVE_QUERY] = pool_new(4);
	app->pools[SERVE_LONG] = pool_new(3);
	app->pools[SERVE_CATALOG] = pool_new(4);
	int rc = listen_tcp(options->listen.size > 0 ? options->listen : lake->listen, options->insecure,
		options->exact_port, &fd, &loopback, serve->url, sizeof serve->url, &serve->port, err);
	if (rc == 0)
		rc = http_start(app, fd, loopback ? SERVE_DOOR_LOOPBACK : SERVE_DOOR_OPEN, &serve->tcp, err);
	if (rc == 0)
		rc = listen_unix(lake->data, &fd, err);
	if (rc == 0)
		rc = http_start(app, fd, SERVE_DOOR_UNIX, &serve->local, err);
	if (rc == 0)
		rc = write_port(serve, err);
	if (rc < 0) {
		serve_stop(serve, 0);
		return rc;
	}
	*ret_serve = serve;
	return 0;
}

int serve_start(
	struct engine *engine, const struct serve_options *options, struct serve **ret_serve, struct weir_error *err)
{
	return start(app_new(engine, engine_lake(engine), options->log), options, ret_serve, err);
}

int serve_start_catalog(const struct serve_catalog *catalog, const struct serve_options *options,
	struct serve **ret_serve, struct weir_error *err)
{
	struct serve_app *app = app_make(catalog->description, catalog->access, options->log);
	app->catalog = catalog->catalog;
	routes_fill_catalog(&app->router);
	return start(app, options, ret_serve, err);
}

uint16_t serve_port(const struct serve *serve)
{
	return serve->port;
}

const char *serve_url(const struct serve *serve)
{
	return serve->url;
}

static bool idle(const struct serve *serve)
{
	return (serve->tcp == NULL || http_idle(serve->tcp)) && (serve->local == NULL || http_idle(serve->local));
}

static void wait_idle(const struct serve *serve, uint32_t limit_ms)
{
	for (uint32_t waited = 0; waited < limit_ms && !idle(serve); waited += 10)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

void serve_stop(struct serve *take_serve, uint32_t grace_ms)
{
	struct serve *serve = take_serve;
	if (serve == NULL)
		return;
	struct http *both[2] = {serve->tcp, serve->local};
	__atomic_store_n(&serve->app->stopping, true, __ATOMIC_RELEASE);
	if (serve->local != NULL)
		unlink(serve->socket_path);
	if (serve->tcp != NULL)
		unlink(serve->port_path);
	for (unsigned i = 0; i < 2; i++) {
		if (both[i] != NULL)
			http_quiesce(both[i]);
	}
	wait_idle(serve, grace_ms);
	while (!idle(serve)) {
		for (unsigned i = 0; i < 2; i++) {
			if (both[i] != NULL)
				http_cancel(both[i]);
		}
		wait_idle(serve, 100);
	}
	for (unsigned i = 0; i < sizeof serve->app->pools / sizeof serve->app->pools[0]; i++)
		pool_free(serve->app->pools[i]);
	for (unsigned i = 0; i < 2; i++)
		http_stop(both[i]);
	app_free(serve->app);
	free(serve);
}
