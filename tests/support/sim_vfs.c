#include "support/sim_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/rng.h"

/* What connections to one database file share: SQLite's locks and the WAL's index. */
struct shared {
	struct shared *next;
	char *path;
	uint64_t generation;
	unsigned references;
	unsigned readers;     /* connections at SHARED or above */
	const void *reserved; /* the connection at RESERVED or above */
	const void *pending;
	void **regions;
	int region_count;
	unsigned shm_shared[SQLITE_SHM_NLOCK];
	const void *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct sim_vfs {
	sqlite3_vfs vfs;
	char name[48];
	struct sim_os *sim;
	const struct weir_os *os;
	pthread_mutex_t lock; /* of all shared */
	struct shared *shared;
	struct weir_rng rng;
};

struct vfs_file {
	sqlite3_file base;
	struct sim_vfs *vfs;
	struct weir_file *file;
	struct shared *shared; /* of a database file */
	int level;
	unsigned shm_held; /* slots held shared, a bit each */
	char *path;
	bool sync_directory; /* opened to be created where missing: its first sync makes its name durable too */
	bool delete_on_close;
};

static struct vfs_file *file_of(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

/* ---- files ---- */

static int sync_parent(struct sim_vfs *vfs, const char *path)
{
	char *parent = weir_strdup(path);
	char *slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	int status = vfs->os->sync_dir(vfs->os->self, parent, NULL);
	free(parent);
	return status;
}

static void unref_shared(struct sim_vfs *vfs, struct shared *shared)
{
	pthread_mutex_lock(&vfs->lock);
	if (--shared->references == 0) {
		struct shared **at = &vfs->shared;
		while (*at != shared)
			at = &(*at)->next;
		*at = shared->next;
		for (int i = 0; i < shared->region_count; i++)
			free(shared->regions[i]);
		free(shared->regions);
		free(shared->path);
		free(shared);
	}
	pthread_mutex_unlock(&vfs->lock);
}

static struct shared *ref_shared(struct sim_vfs *vfs, const char *path)
{
	uint64_t generation = sim_os_generation(vfs->sim);
	pthread_mutex_lock(&vfs->lock);
	struct shared *shared = vfs->shared;
	while (shared != NULL && (shared->generation != generation || strcmp(shared->path, path) != 0))
		shared = shared->next;
	if (shared == NULL) {
		shared = weir_zalloc(sizeof *shared);
		shared->path = weir_strdup(path);
		shared->generation = generation;
		shared->next = vfs->shared;
		vfs->shared = shared;
	}
	shared->references++;
	pthread_mutex_unlock(&vfs->lock);
	return shared;
}

static int vfs_unlock(sqlite3_file *base, int level);

static int vfs_close(sqlite3_file *base)
{
	struct vfs_file *file = file_of(base);
	if (file->shared != NULL) {
		vfs_unlock(base, SQLITE_LOCK_NONE);
		unref_shared(file->vfs, file->shared);
	}
	file->vfs->os->close(file->vfs->os->self, file->file, NULL);
	if (file->delete_on_close)
		file->vfs->os->unlink(file->vfs->os->self, file->path, NULL);
	free(file->path);
	return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *buffer, int size, sqlite3_int64 offset)
{
	struct vfs_file *file = file_of(base);
	const struct weir_os *os = file->vfs->os;
	uint64_t end;
	if (os->size(os->self, file->file, &end, NULL) != 0)
		return SQLITE_IOERR_READ;
	uint64_t left = end > (uint64_t)offset ? end - (uint64_t)offset : 0;
	size_t take = left < (uint64_t)size ? (size_t)left : (size_t)size;
	if (take > 0 && os->read(os->self, file->file, (uint64_t)offset, buffer, take, NULL) != 0)
		return SQLITE_IOERR_READ;
	memset((char *)buffer + take, 0, (size_t)size - take);
	return take == (size_t)size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 offset)
{
	struct vfs_file *file = file_of(base);
	struct weir_error err = WEIR_ERROR_INIT;
	int status = file->vfs->os->write(file->vfs->os->self, file->file, (uint64_t)offset, data, (size_t)size, &err);
	if (status == 0)
		return SQLITE_OK;
	return strstr(err.message, "No space") != NULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct vfs_file *file = file_of(base);
	int status = file->vfs->os->truncate(file->vfs->os->self, file->file, (uint64_t)size, NULL);
	return status == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
	struct vfs_file *file = file_of(base);
	(void)flags;
	if (file->vfs->os->sync(file->vfs->os->self, file->file, NULL) != 0)
		return SQLITE_IOERR_FSYNC;
	if (file->sync_directory && sync_parent(file->vfs, file->path) != 0)
		return SQLITE_IOERR_DIR_FSYNC;
	file->sync_directory = false;
	return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
	struct vfs_file *file = file_of(base);
	uint64_t size;
	if (file->vfs->os->size(file->vfs->os->self, file->file, &size, NULL) != 0)
		return SQLITE_IOERR_FSTAT;
	*ret_size = (sqlite3_int64)size;
	return SQLITE_OK;
}

/* ---- locks: as https://www.sqlite.org/lockingv3.html has them ---- */

static bool may_lock(const struct vfs_file *file, int level)
{
	const struct shared *shared = file->shared;
	bool mine = shared->reserved == file;
	if (level == SQLITE_LOCK_SHARED)
		return shared->pending == NULL;
	if (level == SQLITE_LOCK_RESERVED)
		return shared->reserved == NULL || mine;
	return (shared->pending == NULL || shared->pending == file) && (shared->reserved == NULL || mine);
}

static int vfs_lock(sqlite3_file *base, int level)
{
	struct vfs_file *file = file_of(base);
	struct shared *shared = file->shared;
	int rc = SQLITE_OK;
	if (shared == NULL || level <= file->level)
		return SQLITE_OK;
	pthread_mutex_lock(&file->vfs->lock);
	if (!may_lock(file, level)) {
		rc = SQLITE_BUSY;
	} else if (level == SQLITE_LOCK_SHARED) {
		shared->readers++;
	} else {
		shared->reserved = file;
		if (level >= SQLITE_LOCK_PENDING)
			shared->pending = file;
		if (level == SQLITE_LOCK_EXCLUSIVE && shared->readers > 1) {
			file->level = SQLITE_LOCK_PENDING;
			rc = SQLITE_BUSY;
		}
	}
	if (rc == SQLITE_OK)
		file->level = level;
	pthread_mutex_unlock(&file->vfs->lock);
	return rc;
}

static int vfs_unlock(sqlite3_file *base, int level)
{
	struct vfs_file *file = file_of(base);
	struct shared *shared = file->shared;
	if (shared == NULL || level >= file->level)
		return SQLITE_OK;
	pthread_mutex_lock(&file->vfs->lock);
	if (shared->reserved == file)
		shared->reserved = NULL;
	if (shared->pending == file)
		shared->pending = NULL;
	if (level == SQLITE_LOCK_NONE && file->level >= SQLITE_LOCK_SHARED)
		shared->readers--;
	file->level = level;
	pthread_mutex_unlock(&file->vfs->lock);
	return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *ret_reserved)
{
	struct vfs_file *file = file_of(base);
	pthread_mutex_lock(&file->vfs->lock);
	*ret_reserved = file->shared != NULL && file->shared->reserved != NULL;
	pthread_mutex_unlock(&file->vfs->lock);
	return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int operation, void *argument)
{
	(void)base;
	(void)operation;
	(void)argument;
	return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

static int vfs_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory of the WAL ---- */

static int vfs_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **ret_region)
{
	struct vfs_file *file = file_of(base);
	struct shared *shared = file->shared;
	*ret_region = NULL;
	pthread_mutex_lock(&file->vfs->lock);
	if (page >= shared->region_count && extend) {
		shared->regions = weir_realloc(shared->regions, (size_t)page + 1, sizeof(*shared->regions));
		while (shared->region_count <= page)
			shared->regions[shared->region_count++] = weir_zalloc((size_t)size);
	}
	if (page < shared->region_count)
		*ret_region = shared->regions[page];
	pthread_mutex_unlock(&file->vfs->lock);
	return SQLITE_OK;
}

static bool slot_is_free(const struct vfs_file *file, int slot, bool exclusive)
{
	const struct shared *shared = file->shared;
	unsigned others = shared->shm_shared[slot] - (file->shm_held >> slot & 1U);
	bool taken = shared->shm_exclusive[slot] != NULL && shared->shm_exclusive[slot] != file;
	return !taken && (!exclusive || others == 0);
}

static int vfs_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
	struct vfs_file *file = file_of(base);
	struct shared *shared = file->shared;
	bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0, lock = (flags & SQLITE_SHM_LOCK) != 0;
	int rc = SQLITE_OK;
	pthread_mutex_lock(&file->vfs->lock);
	for (int slot = offset; slot < offset + count && lock; slot++)
		if (!slot_is_free(file, slot, exclusive))
			rc = SQLITE_BUSY;
	for (int slot = offset; slot < offset + count && rc == SQLITE_OK; slot++) {
		unsigned bit = 1U << slot;
		if (exclusive) {
			shared->shm_exclusive[slot] = lock ? file : NULL;
		} else if (lock != ((file->shm_held & bit) != 0)) {
			shared->shm_shared[slot] += lock ? 1U : -1U;
			file->shm_held ^= bit;
		}
	}
	pthread_mutex_unlock(&file->vfs->lock);
	return rc;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
	struct vfs_file *file = file_of(base);
	pthread_mutex_lock(&file->vfs->lock);
	pthread_mutex_unlock(&file->vfs->lock);
}

static int vfs_shm_unmap(sqlite3_file *base, int delete_it)
{
	struct vfs_file *file = file_of(base);
	(void)delete_it; /* freed with the last connection */
	pthread_mutex_lock(&file->vfs->lock);
	for (int slot = 0; slot < SQLITE_SHM_NLOCK; slot++) {
		if (file->shm_held >> slot & 1U)
			file->shared->shm_shared[slot]--;
		if (file->shared->shm_exclusive[slot] == file)
			file->shared->shm_exclusive[slot] = NULL;
	}
	file->shm_held = 0;
	pthread_mutex_unlock(&file->vfs->lock);
	return SQLITE_OK;
}

/* ---- the VFS ---- */

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_unlock,
	.xCheckReservedLock = vfs_check_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_characteristics,
	.xShmMap = vfs_shm_map,
	.xShmLock = vfs_shm_lock,
	.xShmBarrier = vfs_shm_barrier,
	.xShmUnmap = vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *base_file, int flags, int *ret_flags)
{
	struct sim_vfs *vfs = base->pAppData;
	struct vfs_file *file = file_of(base_file);
	struct weir_file_info info;
	char temporary[64];
	*file = (struct vfs_file){.vfs = vfs};
	if (name == NULL) {
		snprintf(temporary, sizeof temporary, "/temporary-%p", (void *)file);
		name = temporary;
	}
	bool there = vfs->os->stat(vfs->os->self, name, &info, NULL) == 0;
	enum weir_open_mode mode = there ? WEIR_OPEN_READ : WEIR_OPEN_READ_WRITE;
	if (flags & SQLITE_OPEN_CREATE)
		mode = WEIR_OPEN_READ_WRITE;
	else if (!there)
		return SQLITE_CANTOPEN;
	if (vfs->os->open(vfs->os->self, name, mode, &file->file, NULL) != 0)
		return SQLITE_CANTOPEN;
	file->path = weir_strdup(name);
	/* As SQLite's own: also where it is there already, for who made it may have died before it synced the directory. */
	file->sync_directory =
		(flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
	file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	if (flags & SQLITE_OPEN_MAIN_DB)
		file->shared = ref_shared(vfs, name);
	file->base.pMethods = &methods;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_directory)
{
	struct sim_vfs *vfs = base->pAppData;
	int status = vfs->os->unlink(vfs->os->self, name, NULL);
	if (status == WEIR_E_NOT_FOUND)
		return SQLITE_IOERR_DELETE_NOENT;
	if (status == 0 && sync_directory)
		status = sync_parent(vfs, name);
	return status == 0 ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *ret_there)
{
	struct sim_vfs *vfs = base->pAppData;
	struct weir_file_info info;
	(void)flags;
	int status = vfs->os->stat(vfs->os->self, name, &info, NULL);
	if (status != 0 && status != WEIR_E_NOT_FOUND)
		return SQLITE_IOERR_ACCESS;
	*ret_there = status == 0 && info.size_bytes > 0;
	return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *name, int size, char *path)
{
	(void)base;
	sqlite3_snprintf(size, path, "%s", name);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *base, int size, char *buffer)
{
	struct sim_vfs *vfs = base->pAppData;
	pthread_mutex_lock(&vfs->lock);
	for (int i = 0; i < size; i++)
		buffer[i] = (char)weir_rng_next(&vfs->rng);
	pthread_mutex_unlock(&vfs->lock);
	return size;
}

static int vfs_sleep(sqlite3_vfs *base, int us)
{
	(void)base;
	usleep((useconds_t)us);
	return us;
}

static int vfs_time(sqlite3_vfs *base, sqlite3_int64 *ret_ms)
{
	(void)base;
	*ret_ms = 212000000000000;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int size, char *buffer)
{
	(void)base;
	(void)size;
	(void)buffer;
	return 0;
}

struct sim_vfs *sim_vfs_new(struct sim_os *sim)
{
	struct sim_vfs *vfs = weir_zalloc(sizeof *vfs);
	vfs->sim = sim;
	vfs->os = sim_os_table(sim);
	vfs->rng = weir_rng_new(1);
	pthread_mutex_init(&vfs->lock, NULL);
	snprintf(vfs->name, sizeof vfs->name, "sim-%p", (void *)vfs);
	vfs->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = 512,
		.zName = vfs->name,
		.pAppData = vfs,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_time,
	};
	sqlite3_vfs_register(&vfs->vfs, 0);
	return vfs;
}

const char *sim_vfs_name(const struct sim_vfs *vfs)
{
	return vfs->name;
}

void sim_vfs_free(struct sim_vfs *vfs)
{
	WEIR_ASSERT(vfs->shared == NULL);
	sqlite3_vfs_unregister(&vfs->vfs);
	pthread_mutex_destroy(&vfs->lock);
	free(vfs);
}
