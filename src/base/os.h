/*
 * The operating system's files, behind a table of functions so that faults can enter here: the real
 * one, and in tests one that forgets every write, rename and unlink since its last sync, or fails on
 * command. Paths are those of the process. All calls are thread-safe on different files.
 */
#ifndef WEIR_BASE_OS_H
#define WEIR_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum weir_open_mode {
	WEIR_OPEN_READ,
	WEIR_OPEN_CREATE,     /* must not exist; write only */
	WEIR_OPEN_READ_WRITE, /* created where missing */
};

struct weir_file_info {
	uint64_t size_bytes;
	int64_t modified_us;
	bool is_directory;
};

struct weir_file; /* an open file of some weir_os */

/* Called for each entry: its name without the directory. A negative return stops and is returned. */
typedef int weir_dir_fn(void *context, const char *name, const struct weir_file_info *info, struct weir_error *err);

struct weir_os {
	int (*open)(void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file,
		struct weir_error *err);
	int (*close)(void *self, struct weir_file *take_file, struct weir_error *err);
	/* Exactly size_bytes, or WEIR_E_CORRUPT past the end. */
	int (*read)(void *self, struct weir_file *file, uint64_t offset, void *buffer, size_t size_bytes,
		struct weir_error *err);
	int (*write)(void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size_bytes,
		struct weir_error *err);
	/* Content (and size) durable. The directory entry is not: see sync_dir. */
	int (*sync)(void *self, struct weir_file *file, struct weir_error *err);
	/* A hint: begin writing [offset, offset + size_bytes) back now, without waiting. May do nothing. */
	void (*start_writeback)(void *self, struct weir_file *file, uint64_t offset, uint64_t size_bytes);
	int (*size)(void *self, struct weir_file *file, uint64_t *ret_size, struct weir_error *err);
	int (*truncate)(void *self, struct weir_file *file, uint64_t size_bytes, struct weir_error *err);
	/* The entries of a directory durable: creations, renames and unlinks in it. */
	int (*sync_dir)(void *self, const char *path, struct weir_error *err);
	int (*rename)(void *self, const char *from, const char *to, struct weir_error *err);
	int (*unlink)(void *self, const char *path, struct weir_error *err); /* missing: WEIR_E_NOT_FOUND */
	/* With parents; existing is fine. Mode 0700. New entries are durable after it. */
	int (*mkdir)(void *self, const char *path, struct weir_error *err);
	int (*rmdir)(void *self, const char *path, struct weir_error *err); /* empty ones only */
	int (*stat)(void *self, const char *path, struct weir_file_info *ret_info, struct weir_error *err);
	int (*list)(void *self, const char *path, weir_dir_fn *entry, void *context, struct weir_error *err);
	void *self;
};

/* The real one. Needs no cleanup. */
const struct weir_os *weir_os_real(void);

/* A whole file into malloc'ed memory (a zero byte follows). Larger than limit_bytes: WEIR_E_LIMIT. */
int weir_os_read_all(const struct weir_os *os, const char *path, size_t limit_bytes, char **ret_data, size_t *ret_size,
	struct weir_error *err);

#endif
