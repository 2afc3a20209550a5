#include "support/hook_os.h"

static int tell(struct hook_os *hook, const char *path, struct weir_error *err)
{
	if (hook->before == NULL || hook->within)
		return 0;
	hook->within = true;
	int status = hook->before(hook->context, path, err);
	hook->within = false;
	return status;
}

static int hook_open(
	void *self, const char *path, enum weir_open_mode mode, struct weir_file **ret_file, struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = mode == WEIR_OPEN_READ ? 0 : tell(hook, path, err);
	return status != 0 ? status : hook->below->open(hook->below->self, path, mode, ret_file, err);
}

static int hook_write(void *self, struct weir_file *file, uint64_t offset, const void *data, size_t size_bytes,
	struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = tell(hook, NULL, err);
	return status != 0 ? status : hook->below->write(hook->below->self, file, offset, data, size_bytes, err);
}

static int hook_sync(void *self, struct weir_file *file, struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = tell(hook, NULL, err);
	return status != 0 ? status : hook->below->sync(hook->below->self, file, err);
}

static int hook_sync_dir(void *self, const char *path, struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = tell(hook, path, err);
	return status != 0 ? status : hook->below->sync_dir(hook->below->self, path, err);
}

static int hook_rename(void *self, const char *from, const char *to, struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = tell(hook, to, err);
	return status != 0 ? status : hook->below->rename(hook->below->self, from, to, err);
}

static int hook_unlink(void *self, const char *path, struct weir_error *err)
{
	struct hook_os *hook = self;
	int status = tell(hook, path, err);
	return status != 0 ? status : hook->below->unlink(hook->below->self, path, err);
}

void hook_os_init(struct hook_os *hook, const struct weir_os *below)
{
	/* The real one needs no self, so calls that are not told go to it directly. */
	*hook = (struct hook_os){.os = *below, .below = below};
	hook->os.open = hook_open;
	hook->os.write = hook_write;
	hook->os.sync = hook_sync;
	hook->os.sync_dir = hook_sync_dir;
	hook->os.rename = hook_rename;
	hook->os.unlink = hook_unlink;
	hook->os.self = hook;
}
