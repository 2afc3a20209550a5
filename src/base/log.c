#include "base/log.h"

#include <stdarg.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void weir_log(const struct weir_log *log, enum weir_log_level level, const char *format, ...)
{
	char message[1024], now[WEIR_TIME_TEXT];
	if (log == NULL || log->out == NULL || level < log->least)
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	struct weir_clock clock = weir_clock_system();
	weir_time_format(weir_now_us(&clock), now);
	struct weir_buf line = WEIR_BUF_INIT;
	if (log->format == WEIR_LOG_JSON) {
		struct weir_json json = weir_json_to(&line);
		weir_json_object(&json);
		weir_json_key_cstring(&json, "time", now);
		weir_json_key_cstring(&json, "level", level_names[level]);
		weir_json_key_cstring(&json, "message", message);
		weir_json_object_end(&json);
	} else {
		weir_buf_printf(&line, "%s %-5s %s", now, level_names[level], message);
	}
	weir_buf_putc(&line, '\n');
	fwrite(line.data, 1, line.size, log->out);
	fflush(log->out);
	weir_buf_done(&line);
}
