/*
 * The process's own log: a sink that is handed down, one line a record, on stderr.
 *
 * Only programs log (cli, engine, serve and the threads that they own); libraries return errors. A
 * record has a level, an event in words and up to a few fields; never a payload, token or subject.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdio.h>

enum weir_log_level { WEIR_LOG_DEBUG, WEIR_LOG_INFO, WEIR_LOG_WARN, WEIR_LOG_ERROR };
enum weir_log_format { WEIR_LOG_TEXT, WEIR_LOG_JSON };

struct weir_log {
	FILE *out; /* NULL: silent */
	enum weir_log_format format;
	enum weir_log_level least;
};

/* One record; thread-safe (one write a line). log may be NULL: silent. */
void weir_log(const struct weir_log *log, enum weir_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
