/*
 * Errors: what went wrong with which value, where, and what to do about it.
 *
 * A function that can fail returns 0 or a negative code and, on failure, fills the caller's
 * struct weir_error. The struct is plain storage (no ownership), so it may live on the stack; start
 * from WEIR_ERROR_INIT. Libraries report and never log. Texts never hold a payload, a token or a
 * subject's id: error texts reach logs and clients.
 */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum weir_code {
	WEIR_OK = 0,
	WEIR_E_INPUT = -1, /* the input is wrong; the same input fails again */
	WEIR_E_NOT_FOUND = -2,
	WEIR_E_EXISTS = -3,
	WEIR_E_CONFLICT = -4,    /* somebody else was first; reload and try again */
	WEIR_E_BUSY = -5,        /* no room now; try again later */
	WEIR_E_IO = -6,          /* the operating system or a store said no */
	WEIR_E_CORRUPT = -7,     /* stored bytes are not what was written */
	WEIR_E_UNSUPPORTED = -8, /* valid, but weir does not do it */
	WEIR_E_LIMIT = -9,       /* larger than a named limit */
	WEIR_E_NO_MEMORY = -10,
	WEIR_E_UNKNOWN = -11, /* it may or may not have happened: verify before acting */
	WEIR_E_DENIED = -12,
	WEIR_E_CANCELLED = -13, /* stopped on request */
	WEIR_E_INTERNAL = -14,  /* a bug in weir */
};

#define WEIR_ERROR_NO_OFFSET UINT64_MAX

struct weir_error {
	int code;          /* enum weir_code */
	uint64_t offset;   /* byte offset in the object, or WEIR_ERROR_NO_OFFSET */
	char object[256];  /* the file, table, route or field that it is about; may be empty */
	char message[768]; /* one sentence: the value, the problem, the remedy */
};

#define WEIR_ERROR_INIT ((struct weir_error){.code = 0, .offset = WEIR_ERROR_NO_OFFSET})

/* Fill err (which may be NULL) and return code, so that a caller writes `return weir_fail(...)`. */
int weir_fail(struct weir_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with the object and the offset at which it went wrong. */
int weir_fail_at(struct weir_error *err, int code, struct weir_str object, uint64_t offset, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* The same from errno: "cannot OPERATION: strerror". ENOENT, EEXIST and ENOSPC keep their meaning. */
int weir_fail_errno(struct weir_error *err, int error_number, struct weir_str object, const char *operation);
/*
 * What passes an error on, and returns code: where code is 0 nothing has failed and err stays as it is. err may be NULL.
 * Put "context: " before its message, and make code its code.
 */
int weir_error_wrap(struct weir_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Name its object where it has none yet. */
int weir_error_in(struct weir_error *err, int code, struct weir_str object);
/* "object at byte 12: message" into buffer (always terminated); returns buffer. */
const char *weir_error_text(const struct weir_error *err, char *buffer, size_t size);
/* True where trying the same again later may work. */
bool weir_error_retriable(const struct weir_error *err);
const char *weir_code_name(int code);

/* An assertion for bugs only; stays on in release builds. Input is checked, never asserted. */
#define WEIR_ASSERT(condition) ((condition) ? (void)0 : weir_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void weir_assert_failed(const char *condition, const char *file, int line);

#endif
