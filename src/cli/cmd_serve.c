/*
 * weir serve. SIGTERM and SIGINT: no new connections, running requests end, the epoch closes, exit 0
 * within ten seconds; a second signal ends the process at once. What was acknowledged is in the log
 * either way, and the next start goes on from there.
 */
#include "cli/cli.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS     4000 /* for running requests */
#define STOP_SECONDS 9

static void *watch_stop(void *argument)
{
	const struct weir_log *log = argument;
	sigset_t signals;
	struct timespec limit = {.tv_sec = STOP_SECONDS};
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	int got = sigtimedwait(&signals, NULL, &limit);
	if (got > 0)
		_exit(CLI_FAILED);
	weir_log(log, WEIR_LOG_WARN, "closing took longer than %d s; the next start finishes it from the log",
		STOP_SECONDS);
	_exit(CLI_DONE);
}

static int run(const struct cli_args *args, struct engine *engine, const sigset_t *signals, struct weir_error *err)
{
	const char *listen = cli_option(args, "--listen");
	struct serve_options options = {
		.listen = weir_str_from(listen),
		.insecure = cli_flag(args, "--insecure"),
		.exact_port = cli_flag(args, "--exact-port"),
		.log = &args->log,
	};
	struct serve *serve = NULL;
	int signal_number = 0;
	pthread_t watcher;
	int rc = serve_start(engine, &options, &serve, err);
	if (rc < 0)
		return rc;
	const struct lake *lake = engine_lake(engine);
	struct weir_str wanted = options.listen.size > 0 ? options.listen : lake->listen;
	char port[16];
	int size = snprintf(port, sizeof port, ":%u", (unsigned)serve_port(serve));
	bool moved = !weir_str_has_suffix(wanted, (struct weir_str){port, (size_t)size}) &&
		!weir_str_has_suffix(wanted, WEIR_STR(":0"));
	printf("weir: lake %.*s is served at %s%s\n", WEIR_STR_ARG(lake->name), serve_url(serve),
		moved ? " (the port asked for is taken)" : "");
	fflush(stdout);
	weir_log(&args->log, WEIR_LOG_INFO, "serving at %s, data in %s", serve_url(serve), lake->data);
	sigwait(signals, &signal_number);
	weir_log(&args->log, WEIR_LOG_INFO, "stopping: signal %d", signal_number);
	if (pthread_create(&watcher, NULL, watch_stop, (void *)(uintptr_t)&args->log) == 0)
		pthread_detach(watcher);
	serve_stop(serve, GRACE_MS);
	return 0;
}

int cmd_serve(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct lake *lake = NULL;
	struct engine *engine = NULL;
	struct engine_options options = {.log = &args->log};
	sigset_t signals;
	/* Blocked before any thread starts, so that all of them inherit it and only sigwait gets one. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	int rc = lake_read(args->words[0], cli_option(args, "--data"), &lake, &err);
	if (rc == 0)
		rc = engine_open(lake, &options, &engine, &err);
	if (rc == 0)
		rc = run(args, engine, &signals, &err);
	if (engine != NULL)
		engine_close(engine);
	if (lake != NULL)
		lake_free(lake);
	if (rc < 0)
		return cli_fail(&err);
	weir_log(&args->log, WEIR_LOG_INFO, "stopped");
	return CLI_DONE;
}
