#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/time.h"

struct weir_file {
	int fd;
	char path[]; /* for error texts */
};

static struct weir_str path_of(const struct weir_file *file)
{
	return weir_str_from(file->path);
}

static int real_open(
	void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file, struct weir_error *err)
{
	static const int flags[] = {O_RDONLY, O_WRONLY | O_CREAT | O_EXCL, O_RDWR | O_CREAT};
	(void)self;
	int fd = open(path, flags[mode] | O_CLOEXEC, 0600);
	if (fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open");
	struct weir_file *file = weir_alloc(sizeof *file + strlen(path) + 1);
	file->fd = fd;
	strcpy(file->path, path);
	*ret_file = file;
	return 0;
}

static int real_close(void *self, struct weir_file *take_file, struct weir_error *err)
{
	(void)self;
	int status = close(take_file->fd) == 0 ? 0 : weir_fail_errno(err, errno, path_of(take_file), "close");
	free(take_file);
	return status;
}

static int real_read(
	void *self, struct weir_file *file, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	(void)self;
	size_t done = 0;
	while (done < size) {
		ssize_t got = pread(file->fd, (char *)buffer + done, size - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return weir_fail_errno(err, errno, path_of(file), "read");
		if (got == 0)
			return weir_fail_at(err, WEIR_E_CORRUPT, path_of(file), offset + done,
				"the file ends before %zu expected bytes", size - done);
		done += (size_t)got;
	}
	return 0;
}

static int real_write(
	void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size, struct weir_error *err)
{
	(void)self;
	size_t done = 0;
	while (done < size) {
		ssize_t put = pwrite(file->fd, (const char *)data + done, size - done, (off_t)(offset + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return weir_fail_errno(err, put == 0 ? EIO : errno, path_of(file), "write");
		done += (size_t)put;
	}
	return 0;
}

static int real_sync(void *self, struct weir_file *file, struct weir_error *err)
{
	(void)self;
	if (fdatasync(file->fd) != 0)
		return weir_fail_errno(err, errno, path_of(file), "sync");
	return 0;
}

static void real_start_writeback(void *self, struct weir_file *file, uint64_t offset, uint64_t size)
{
	(void)self;
	(void)sync_file_range(file->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static int real_size(void *self, struct weir_file *file, uint64_t *ret_size, struct weir_error *err)
{
	struct stat st;
	(void)self;
	if (fstat(file->fd, &st) != 0)
		return weir_fail_errno(err, errno, path_of(file), "stat");
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

static int real_truncate(void *self, struct weir_file *file, uint64_t size, struct weir_error *err)
{
	(void)self;
	if (ftruncate(file->fd, (off_t)size) != 0)
		return weir_fail_errno(err, errno, path_of(file), "truncate");
	return 0;
}

static int real_sync_dir(void *self, const char *path, struct weir_error *err)
{
	(void)self;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "open the directory");
	int status = fsync(fd) == 0 ? 0 : weir_fail_errno(err, errno, weir_str_from(path), "sync the directory");
	close(fd);
	return status;
}

static int real_rename(void *self, const char *from, const char *to, struct weir_error *err)
{
	(void)self;
	return rename(from, to) == 0 ? 0 : weir_fail_errno(err, errno, weir_str_from(from), "rename");
}

static int real_unlink(void *self, const char *path, struct weir_error *err)
{
	(void)self;
	return unlink(path) == 0 ? 0 : weir_fail_errno(err, errno, weir_str_from(path), "delete");
}

static int sync_parent(const char *path, struct weir_error *err)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');
	size_t size = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
	memcpy(parent, slash == NULL ? "." : path, size);
	parent[size] = '\0';
	return real_sync_dir(NULL, parent, err);
}

static int real_mkdir(void *self, const char *path, struct weir_error *err)
{
	char partial[4096];
	size_t size = strlen(path);
	(void)self;
	if (size == 0 || size >= sizeof partial)
		return weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(path), WEIR_ERROR_NO_OFFSET,
			"a path has 1 to %zu bytes", sizeof partial - 1);
	memcpy(partial, path, size + 1);
	for (size_t i = 1; i <= size; i++) {
		if (partial[i] != '/' && partial[i] != '\0')
			continue;
		char kept = partial[i];
		partial[i] = '\0';
		if (mkdir(partial, 0700) == 0) {
			if (sync_parent(partial, err) != 0)
				return err->code;
		} else if (errno != EEXIST) {
			return weir_fail_errno(err, errno, weir_str_from(partial), "create the directory");
		}
		partial[i] = kept;
	}
	return 0;
}

static int real_rmdir(void *self, const char *path, struct weir_error *err)
{
	(void)self;
	return rmdir(path) == 0 ? 0 : weir_fail_errno(err, errno, weir_str_from(path), "remove the directory");
}

static void info_from_stat(const struct stat *st, struct weir_file_info *info)
{
	info->size_bytes = (uint64_t)st->st_size;
	info->modified_us = (int64_t)st->st_mtim.tv_sec * WEIR_US_PER_SECOND + st->st_mtim.tv_nsec / 1000;
	info->is_directory = S_ISDIR(st->st_mode);
}

static int real_stat(void *self, const char *path, struct weir_file_info *ret_info, struct weir_error *err)
{
	struct stat st;
	(void)self;
	if (stat(path, &st) != 0)
		return weir_fail_errno(err, errno, weir_str_from(path), "look at");
	info_from_stat(&st, ret_info);
	return 0;
}

static int real_list(void *self, const char *path, weir_dir_fn *entry, void *context, struct weir_error *err)
{
	(void)self;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return weir_fail_errno(err, errno, weir_str_from(path), "list");
	int status = 0;
	struct dirent *item;
	while (status == 0 && (item = readdir(dir)) != NULL) {
		struct stat st;
		struct weir_file_info info;
		if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
			continue;
		if (fstatat(dirfd(dir), item->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue; /* gone since */
		info_from_stat(&st, &info);
		status = entry(context, item->d_name, &info, err);
	}
	closedir(dir);
	return status;
}

const struct weir_os *weir_os_real(void)
{
	static const struct weir_os os = {
		.open = real_open,
		.close = real_close,
		.read = real_read,
		.write = real_write,
		.sync = real_sync,
		.start_writeback = real_start_writeback,
		.size = real_size,
		.truncate = real_truncate,
		.sync_dir = real_sync_dir,
		.rename = real_rename,
		.unlink = real_unlink,
		.mkdir = real_mkdir,
		.rmdir = real_rmdir,
		.stat = real_stat,
		.list = real_list,
	};
	return &os;
}

int weir_os_read_all(const struct weir_os *os, const char *path, size_t limit, char **ret_data, size_t *ret_size,
	struct weir_error *err)
{
	struct weir_file *file;
	uint64_t size;
	char *data = NULL;
	int status = os->open(os->self, path, WEIR_OPEN_READ, &file, err);
	if (status != 0)
		return status;
	status = os->size(os->self, file, &size, err);
	if (status == 0 && size > limit)
		status = weir_fail_at(err, WEIR_E_LIMIT, weir_str_from(path), WEIR_ERROR_NO_OFFSET,
			"%llu bytes are more than the %zu allowed here", (unsigned long long)size, limit);
	if (status == 0) {
		data = weir_alloc((size_t)size + 1);
		status = os->read(os->self, file, 0, data, (size_t)size, err);
	}
	struct weir_error ignored = WEIR_ERROR_INIT;
	os->close(os->self, file, &ignored);
	if (status != 0) {
		free(data);
		return status;
	}
	data[size] = '\0';
	*ret_data = data;
	*ret_size = (size_t)size;
	return 0;
}
