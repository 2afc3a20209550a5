#include "support/sim_os.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/rng.h"

#define PAGE   4096U
#define SECTOR 512U

/* A file's bytes. seen is what programs read; durable what a cut leaves. */
struct inode {
	unsigned references; /* entries (seen, durable, pending) and open files */
	struct weir_buf seen, durable;
	bool *dirty; /* a flag a page of seen */
	size_t dirty_capacity;
};

struct entry {
	char *path;
	struct inode *inode; /* NULL: a directory */
};

struct entries {
	struct entry *items;
	size_t count, capacity;
};

/* A change of a directory that is not durable. */
struct change {
	char *directory, *path;
	struct inode *inode; /* NULL with remove false: a directory */
	bool remove;
};

struct sim_os {
	struct weir_os os;
	pthread_mutex_t lock;
	struct weir_rng rng;
	uint64_t generation;
	bool off;
	uint64_t calls[SIM_KINDS];
	uint64_t cut_at, cut_seed;
	enum sim_call fail_kind;
	uint64_t fail_from, fail_to; /* counts of calls of fail_kind */
	int fail_error;
	bool has_failed;
	struct entries seen, durable;
	struct change *changes;
	size_t change_count, change_capacity;
};

struct weir_file {
	struct inode *inode;
	uint64_t generation;
	char path[];
};

/* ---- inodes ---- */

static struct inode *ref(struct inode *inode)
{
	if (inode != NULL)
		inode->references++;
	return inode;
}

static void unref(struct inode *inode)
{
	if (inode == NULL || --inode->references > 0)
		return;
	weir_buf_done(&inode->seen);
	weir_buf_done(&inode->durable);
	free(inode->dirty);
	free(inode);
}

static size_t pages_of(size_t size)
{
	return (size + PAGE - 1) / PAGE;
}

static void mark_dirty(struct inode *inode, size_t from, size_t to)
{
	size_t pages = pages_of(inode->seen.size > to ? inode->seen.size : to);
	if (pages > inode->dirty_capacity) {
		inode->dirty = weir_realloc(inode->dirty, pages * 2, sizeof *inode->dirty);
		memset(inode->dirty + inode->dirty_capacity, 0, pages * 2 - inode->dirty_capacity);
		inode->dirty_capacity = pages * 2;
	}
	for (size_t page = from / PAGE; page < pages_of(to); page++)
		inode->dirty[page] = true;
}

static void resize(struct weir_buf *buf, size_t size)
{
	if (size > buf->size)
		weir_buf_append_zero(buf, size - buf->size);
	buf->size = size;
}

/* Copies up to `size` bytes of a page from seen to durable, which is long enough. */
static void persist_page(struct inode *inode, size_t page, size_t size)
{
	size_t at = page * PAGE, end = at + size;
	size_t limit = inode->seen.size < inode->durable.size ? inode->seen.size : inode->durable.size;
	if (end > limit)
		end = limit;
	if (end > at)
		memcpy(inode->durable.data + at, inode->seen.data + at, end - at);
}

static void sync_inode(struct inode *inode)
{
	resize(&inode->durable, inode->seen.size);
	for (size_t page = 0; page < pages_of(inode->seen.size) && page < inode->dirty_capacity; page++) {
		if (inode->dirty[page])
			persist_page(inode, page, PAGE);
		inode->dirty[page] = false;
	}
}

/* Pages that are not durable: each old, new or torn. clean: and none of them is dirty any more. */
static void persist_some(struct inode *inode, struct weir_rng *rng)
{
	size_t before = inode->durable.size;
	if (inode->seen.size != before && weir_rng_below(rng, 3) > 0) {
		size_t size = inode->seen.size;
		if (size > before && weir_rng_below(rng, 2) == 0)
			size = before + weir_rng_below(rng, size - before + 1);
		resize(&inode->durable, size);
	}
	for (size_t page = 0; page < pages_of(inode->durable.size) && page < inode->dirty_capacity; page++) {
		uint64_t fate = weir_rng_below(rng, 3);
		if (inode->dirty[page] && fate > 0)
			persist_page(inode, page, fate == 1 ? PAGE : weir_rng_below(rng, PAGE / SECTOR + 1) * SECTOR);
	}
}

static void make_clean(struct inode *inode)
{
	if (inode->dirty_capacity > 0)
		memset(inode->dirty, 0, inode->dirty_capacity * sizeof *inode->dirty);
}

static void forget_unsynced(struct inode *inode, struct weir_rng *rng)
{
	persist_some(inode, rng);
	inode->seen.size = 0;
	weir_buf_append(&inode->seen, inode->durable.data, inode->durable.size);
	make_clean(inode);
}

/* ---- entries ---- */

/* Entries are in the order of their paths. The first one that is not before path, or the end. */
static size_t entries_place(const struct entries *entries, const char *path)
{
	size_t from = 0, to = entries->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (strcmp(entries->items[middle].path, path) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct entry *entries_find(const struct entries *entries, const char *path)
{
	size_t at = entries_place(entries, path);
	return at < entries->count && strcmp(entries->items[at].path, path) == 0 ? &entries->items[at] : NULL;
}

static void entries_remove(struct entries *entries, const char *path)
{
	struct entry *entry = entries_find(entries, path);
	if (entry == NULL)
		return;
	free(entry->path);
	unref(entry->inode);
	entries->count--;
	memmove(entry, entry + 1, (size_t)(entries->items + entries->count - entry) * sizeof *entry);
}

static void entries_set(struct entries *entries, const char *path, struct inode *inode)
{
	struct inode *held = ref(inode);
	entries_remove(entries, path);
	WEIR_GROW(entries->items, entries->count, entries->capacity);
	size_t at = entries_place(entries, path);
	memmove(&entries->items[at + 1], &entries->items[at], (entries->count - at) * sizeof *entries->items);
	entries->items[at] = (struct entry){weir_strdup(path), held};
	entries->count++;
}

static void entries_clear(struct entries *entries)
{
	while (entries->count > 0)
		entries_remove(entries, entries->items[entries->count - 1].path);
}

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent = weir_strdup(slash == NULL ? "." : path);
	if (slash != NULL)
		parent[slash == path ? 1 : slash - path] = '\0';
	return parent;
}

/* A change of the seen entries, to be durable after sync_dir. */
static void change_entry(struct sim_os *sim, const char *path, struct inode *inode, bool remove)
{
	WEIR_GROW(sim->changes, sim->change_count, sim->change_capacity);
	sim->changes[sim->change_count++] = (struct change){parent_of(path), weir_strdup(path), ref(inode), remove};
	if (remove)
		entries_remove(&sim->seen, path);
	else
		entries_set(&sim->seen, path, inode);
}

static void apply_change(struct sim_os *sim, const struct change *change)
{
	if (change->remove)
		entries_remove(&sim->durable, change->path);
	else
		entries_set(&sim->durable, change->path, change->inode);
}

static void change_done(struct change *change)
{
	free(change->directory);
	free(change->path);
	unref(change->inode);
}

static void sync_entries(struct sim_os *sim, const char *directory)
{
	size_t kept = 0;
	for (size_t i = 0; i < sim->change_count; i++) {
		if (strcmp(sim->changes[i].directory, directory) != 0) {
			sim->changes[kept++] = sim->changes[i];
			continue;
		}
		apply_change(sim, &sim->changes[i]);
		change_done(&sim->changes[i]);
	}
	sim->change_count = kept;
}

/* Of each directory's changes a prefix. */
static void keep_some_changes(struct sim_os *sim, struct weir_rng *rng)
{
	struct entries stopped = {0};
	for (size_t i = 0; i < sim->change_count; i++) {
		const struct change *change = &sim->changes[i];
		bool stop = entries_find(&stopped, change->directory) != NULL;
		if (!stop && weir_rng_below(rng, 3) == 0) {
			entries_set(&stopped, change->directory, NULL);
			stop = true;
		}
		if (!stop)
			apply_change(sim, change);
	}
	for (size_t i = 0; i < sim->change_count; i++)
		change_done(&sim->changes[i]);
	sim->change_count = 0;
	entries_clear(&stopped);
	free(stopped.items);
}

static void cut(struct sim_os *sim, uint64_t seed)
{
	struct weir_rng rng = weir_rng_new(seed);
	keep_some_changes(sim, &rng);
	entries_clear(&sim->seen);
	for (size_t i = 0; i < sim->durable.count; i++) {
		struct entry *entry = &sim->durable.items[i];
		if (entry->inode != NULL)
			forget_unsynced(entry->inode, &rng);
		entries_set(&sim->seen, entry->path, entry->inode);
	}
	sim->generation++;
}

/* ---- calls ---- */

static bool is_change(enum sim_call call)
{
	return call == SIM_WRITE || call == SIM_SYNC || call == SIM_TRUNCATE || call == SIM_SYNC_DIR ||
		call == SIM_RENAME || call == SIM_UNLINK || call == SIM_MKDIR || call == SIM_RMDIR;
}

/* Locks, counts, and says whether this call fails: 0 or an errno. */
static int enter(struct sim_os *sim, enum sim_call call)
{
	pthread_mutex_lock(&sim->lock);
	sim->calls[call]++;
	sim->calls[SIM_ANY]++;
	sim->calls[SIM_CHANGES] += is_change(call);
	bool counts = sim->fail_kind == call || sim->fail_kind == SIM_ANY ||
		(sim->fail_kind == SIM_CHANGES && is_change(call));
	if (sim->cut_at != 0 && sim->calls[SIM_CHANGES] >= sim->cut_at) {
		sim->cut_at = 0;
		sim->off = true;
		cut(sim, sim->cut_seed);
	}
	if (sim->off)
		return EIO;
	uint64_t number = sim->calls[sim->fail_kind];
	if (counts && number >= sim->fail_from && number < sim->fail_to) {
		sim->has_failed = true;
		return sim->fail_error;
	}
	return 0;
}

static int leave(struct sim_os *sim, int error_number, const char *path, const char *operation, struct weir_error *err)
{
	pthread_mutex_unlock(&sim->lock);
	return error_number == 0 ? 0 : weir_fail_errno(err, error_number, weir_str_from(path), operation);
}

static int enter_file(struct sim_os *sim, enum sim_call call, const struct weir_file *file)
{
	int error = enter(sim, call);
	return file->generation != sim->generation ? EIO : error;
}

static int sim_open(
	void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_OPEN);
	struct entry *entry = entries_find(&sim->seen, path);
	struct inode *inode = entry != NULL ? entry->inode : NULL;
	char *parent = parent_of(path);
	const struct entry *above = entries_find(&sim->seen, parent);
	if (error == 0 && entry != NULL && inode == NULL)
		error = EISDIR;
	else if (error == 0 && entry != NULL && mode == WEIR_OPEN_CREATE)
		error = EEXIST;
	else if (error == 0 && entry == NULL && (mode == WEIR_OPEN_READ || above == NULL || above->inode != NULL))
		error = ENOENT;
	free(parent);
	if (error == 0 && inode == NULL) {
		inode = weir_zalloc(sizeof *inode);
		inode->references = 1;
		change_entry(sim, path, inode, false);
		inode->references--;
	}
	if (error == 0) {
		struct weir_file *file = weir_alloc(sizeof *file + strlen(path) + 1);
		file->inode = ref(inode);
		file->generation = sim->generation;
		memcpy(file->path, path, strlen(path) + 1);
		*ret_file = file;
	}
	return leave(sim, error, path, "open", err);
}

static int sim_close(void *self, struct weir_file *take_file, struct weir_error *err)
{
	struct sim_os *sim = self;
	(void)err;
	pthread_mutex_lock(&sim->lock);
	unref(take_file->inode);
	free(take_file);
	pthread_mutex_unlock(&sim->lock);
	return 0;
}

static int sim_read(
	void *self, struct weir_file *file, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter_file(sim, SIM_READ, file);
	const struct weir_buf *seen = &file->inode->seen;
	bool inside = offset <= seen->size && size <= seen->size - offset;
	if (error == 0 && inside && size > 0)
		memcpy(buffer, seen->data + offset, size);
	int status = leave(sim, error, file->path, "read", err);
	if (status == 0 && !inside)
		return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(file->path), offset,
			"the file ends before %zu expected bytes", size);
	return status;
}

static int sim_write(
	void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter_file(sim, SIM_WRITE, file);
	struct inode *inode = file->inode;
	/* A write that fails may have written its beginning. */
	if (error != 0)
		size = file->generation == sim->generation && !sim->off ? weir_rng_below(&sim->rng, size + 1) : 0;
	if (size > 0) {
		if (offset + size > inode->seen.size)
			resize(&inode->seen, offset + size);
		mark_dirty(inode, offset, offset + size);
		memcpy(inode->seen.data + offset, data, size);
	}
	return leave(sim, error, file->path, "write", err);
}

static int sim_sync(void *self, struct weir_file *file, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter_file(sim, SIM_SYNC, file);
	if (error == 0) {
		sync_inode(file->inode);
	} else if (file->generation == sim->generation && !sim->off) {
		persist_some(file->inode, &sim->rng);
		make_clean(file->inode);
	}
	return leave(sim, error, file->path, "sync", err);
}

static void sim_start_writeback(void *self, struct weir_file *file, uint64_t offset, uint64_t size)
{
	(void)self;
	(void)file;
	(void)offset;
	(void)size;
}

static int sim_size(void *self, struct weir_file *file, uint64_t *ret_size, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter_file(sim, SIM_SIZE, file);
	if (error == 0)
		*ret_size = file->inode->seen.size;
	return leave(sim, error, file->path, "stat", err);
}

static int sim_truncate(void *self, struct weir_file *file, uint64_t size, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter_file(sim, SIM_TRUNCATE, file);
	if (error == 0) {
		struct weir_buf *seen = &file->inode->seen;
		size_t before = seen->size;
		resize(seen, size);
		/* Bytes that come after a later growth are zero, durable ones too: those pages must be written again.
		 */
		mark_dirty(file->inode, before < size ? before : size, before < size ? size : before);
	}
	return leave(sim, error, file->path, "truncate", err);
}

static int sim_sync_dir(void *self, const char *path, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_SYNC_DIR);
	const struct entry *entry = entries_find(&sim->seen, path);
	if (error == 0 && (entry == NULL || entry->inode != NULL))
		error = ENOENT;
	if (error == 0)
		sync_entries(sim, path);
	return leave(sim, error, path, "sync the directory", err);
}

static int sim_rename(void *self, const char *from, const char *to, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_RENAME);
	const struct entry *entry = entries_find(&sim->seen, from);
	if (error == 0 && entry == NULL)
		error = ENOENT;
	if (error == 0) {
		struct inode *inode = ref(entry->inode);
		/* The new name first: a prefix of the two never loses the file. */
		change_entry(sim, to, inode, false);
		change_entry(sim, from, NULL, true);
		unref(inode);
	}
	return leave(sim, error, from, "rename", err);
}

static int sim_unlink(void *self, const char *path, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_UNLINK);
	const struct entry *entry = entries_find(&sim->seen, path);
	if (error == 0 && entry == NULL)
		error = ENOENT;
	else if (error == 0 && entry->inode == NULL)
		error = EISDIR;
	if (error == 0)
		change_entry(sim, path, NULL, true);
	return leave(sim, error, path, "delete", err);
}

static int sim_mkdir(void *self, const char *path, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_MKDIR);
	char *partial = weir_strdup(path);
	for (size_t i = 1; error == 0 && i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		partial[i] = '\0';
		const struct entry *entry = entries_find(&sim->seen, partial);
		if (entry != NULL && entry->inode != NULL)
			error = ENOTDIR;
		else if (entry == NULL) {
			change_entry(sim, partial, NULL, false);
			char *parent = parent_of(partial);
			sync_entries(sim, parent);
			free(parent);
		}
		partial[i] = path[i];
	}
	free(partial);
	return leave(sim, error, path, "create the directory", err);
}

static bool is_inside(const char *path, const char *directory)
{
	size_t size = strlen(directory);
	return strncmp(path, directory, size) == 0 && path[size] == '/';
}

static int sim_rmdir(void *self, const char *path, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_RMDIR);
	const struct entry *entry = entries_find(&sim->seen, path);
	if (error == 0 && entry == NULL)
		error = ENOENT;
	for (size_t i = 0; i < sim->seen.count && error == 0; i++)
		if (is_inside(sim->seen.items[i].path, path))
			error = ENOTEMPTY;
	if (error == 0) {
		/* The removed directory's own pending changes go with it. */
		sync_entries(sim, path);
		change_entry(sim, path, NULL, true);
	}
	return leave(sim, error, path, "remove the directory", err);
}

static struct weir_file_info info_of(const struct entry *entry)
{
	return (struct weir_file_info){
		.size_bytes = entry->inode != NULL ? entry->inode->seen.size : 0,
		.is_directory = entry->inode == NULL,
	};
}

static int sim_stat(void *self, const char *path, struct weir_file_info *ret_info, struct weir_error *err)
{
	struct sim_os *sim = self;
	int error = enter(sim, SIM_STAT);
	const struct entry *entry = entries_find(&sim->seen, path);
	if (error == 0 && entry == NULL)
		error = ENOENT;
	if (error == 0)
		*ret_info = info_of(entry);
	return leave(sim, error, path, "look at", err);
}

static int sim_list(void *self, const char *path, weir_dir_fn *visit, void *context, struct weir_error *err)
{
	struct sim_os *sim = self;
	struct weir_file_info *infos = NULL;
	struct entries found = {0};
	size_t info_capacity = 0;
	int error = enter(sim, SIM_LIST);
	const struct entry *entry = entries_find(&sim->seen, path);
	if (error == 0 && (entry == NULL || entry->inode != NULL))
		error = ENOENT;
	for (size_t i = 0; i < sim->seen.count && error == 0; i++) {
		const char *inside = sim->seen.items[i].path + strlen(path) + 1;
		if (!is_inside(sim->seen.items[i].path, path) || strchr(inside, '/') != NULL)
			continue;
		WEIR_GROW(infos, found.count, info_capacity);
		infos[found.count] = info_of(&sim->seen.items[i]);
		WEIR_GROW(found.items, found.count, found.capacity);
		found.items[found.count++] = (struct entry){weir_strdup(inside), NULL};
	}
	int status = leave(sim, error, path, "list", err);
	for (size_t i = 0; i < found.count && status == 0; i++)
		status = visit(context, found.items[i].path, &infos[i], err);
	for (size_t i = 0; i < found.count; i++)
		free(found.items[i].path);
	free(found.items);
	free(infos);
	return status;
}

/* ---- steering ---- */

struct sim_os *sim_os_new(uint64_t seed)
{
	struct sim_os *sim = weir_zalloc(sizeof *sim);
	sim->os = (struct weir_os){
		.open = sim_open,
		.close = sim_close,
		.read = sim_read,
		.write = sim_write,
		.sync = sim_sync,
		.start_writeback = sim_start_writeback,
		.size = sim_size,
		.truncate = sim_truncate,
		.sync_dir = sim_sync_dir,
		.rename = sim_rename,
		.unlink = sim_unlink,
		.mkdir = sim_mkdir,
		.rmdir = sim_rmdir,
		.stat = sim_stat,
		.list = sim_list,
		.self = sim,
	};
	pthread_mutex_init(&sim->lock, NULL);
	sim->rng = weir_rng_new(seed);
	entries_set(&sim->seen, "/", NULL);
	entries_set(&sim->durable, "/", NULL);
	return sim;
}

void sim_os_free(struct sim_os *sim)
{
	for (size_t i = 0; i < sim->change_count; i++)
		change_done(&sim->changes[i]);
	free(sim->changes);
	entries_clear(&sim->seen);
	entries_clear(&sim->durable);
	free(sim->seen.items);
	free(sim->durable.items);
	pthread_mutex_destroy(&sim->lock);
	free(sim);
}

const struct weir_os *sim_os_table(struct sim_os *sim)
{
	return &sim->os;
}

void sim_os_power_cut(struct sim_os *sim, uint64_t seed)
{
	pthread_mutex_lock(&sim->lock);
	sim->cut_at = 0;
	cut(sim, seed);
	pthread_mutex_unlock(&sim->lock);
}

void sim_os_power_cut_at(struct sim_os *sim, uint64_t nth, uint64_t seed)
{
	pthread_mutex_lock(&sim->lock);
	sim->cut_at = sim->calls[SIM_CHANGES] + nth;
	sim->cut_seed = seed;
	pthread_mutex_unlock(&sim->lock);
}

void sim_os_power_on(struct sim_os *sim)
{
	pthread_mutex_lock(&sim->lock);
	sim->cut_at = 0;
	sim->off = false;
	pthread_mutex_unlock(&sim->lock);
}

bool sim_os_is_off(struct sim_os *sim)
{
	pthread_mutex_lock(&sim->lock);
	bool off = sim->off;
	pthread_mutex_unlock(&sim->lock);
	return off;
}

void sim_os_fail(struct sim_os *sim, enum sim_call kind, uint64_t nth, int error_number, uint64_t more)
{
	pthread_mutex_lock(&sim->lock);
	sim->fail_kind = kind;
	sim->fail_from = nth > 0 ? sim->calls[kind] + nth : 0;
	sim->fail_to = nth > 0 ? sim->fail_from + 1 + more : 0;
	sim->fail_error = error_number;
	sim->has_failed = false;
	pthread_mutex_unlock(&sim->lock);
}

bool sim_os_has_failed(struct sim_os *sim)
{
	pthread_mutex_lock(&sim->lock);
	bool failed = sim->has_failed;
	pthread_mutex_unlock(&sim->lock);
	return failed;
}

uint64_t sim_os_calls(struct sim_os *sim, enum sim_call kind)
{
	pthread_mutex_lock(&sim->lock);
	uint64_t calls = sim->calls[kind];
	pthread_mutex_unlock(&sim->lock);
	return calls;
}

uint64_t sim_os_generation(struct sim_os *sim)
{
	pthread_mutex_lock(&sim->lock);
	uint64_t generation = sim->generation;
	pthread_mutex_unlock(&sim->lock);
	return generation;
}
