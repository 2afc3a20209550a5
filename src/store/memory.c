/*
 * Objects in memory, for tests: the same rules as the local store (an object cannot be read before its
 * barrier, nor changed after), without a disk. One lock for everything; an object that is deleted while a source reads
 * it lives until the source is closed, as an unlinked file does.
 */
#include "store/store_int.h"

#include <pthread.h>
#include <stdlib.h>

struct object {
	char *name;
	struct weir_buf bytes;
	unsigned references;
	bool finished; /* its barrier is past */
};

struct memory {
	struct store store;
	pthread_mutex_t lock;
	struct object **objects;
	size_t count, capacity;
};

struct memory_file {
	struct store_file file;
	struct object *object;
};

static struct memory *memory_of(struct store *store)
{
	return (struct memory *)store;
}

static void unref(struct object *object)
{
	if (--object->references > 0)
		return;
	weir_buf_done(&object->bytes);
	free(object->name);
	free(object);
}

static struct object *find(struct memory *memory, const char *name, size_t *ret_index)
{
	for (size_t i = 0; i < memory->count; i++) {
		if (strcmp(memory->objects[i]->name, name) != 0)
			continue;
		if (ret_index != NULL)
			*ret_index = i;
		return memory->objects[i];
	}
	return NULL;
}

static void drop(struct memory *memory, const char *name)
{
	size_t index;
	struct object *object = find(memory, name, &index);
	if (object == NULL)
		return;
	memory->objects[index] = memory->objects[--memory->count];
	unref(object);
}

static int memory_create(struct store *store, const char *name, struct store_file **ret_file, struct weir_error *err)
{
	struct memory *memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	if (find(memory, name, NULL) != NULL) {
		pthread_mutex_unlock(&memory->lock);
		return weir_fail_at(err, WEIR_E_EXISTS, weir_str_from(name), WEIR_ERROR_NO_OFFSET, "the object exists");
	}
	struct memory_file *file = weir_zalloc(sizeof *file);
	file->file = (struct store_file){.store = store, .name = weir_strdup(name)};
	file->object = weir_zalloc(sizeof *file->object);
	*file->object = (struct object){.name = weir_strdup(name), .references = 2};
	WEIR_GROW(memory->objects, memory->count, memory->capacity);
	memory->objects[memory->count++] = file->object;
	pthread_mutex_unlock(&memory->lock);
	*ret_file = &file->file;
	return 0;
}

static int memory_append(struct store_file *file, const void *data, size_t size, struct weir_error *err)
{
	(void)err;
	weir_buf_append(&((struct memory_file *)file)->object->bytes, data, size);
	file->size_bytes += size;
	return 0;
}

/* Under lock. */
static void close_file(struct store_file *take_file)
{
	unref(((struct memory_file *)take_file)->object);
	free(take_file->name);
	free(take_file);
}

static int memory_barrier(struct store *store, struct store_file **take_files, size_t count, struct weir_error *err)
{
	struct memory *memory = memory_of(store);
	(void)err;
	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < count; i++) {
		((struct memory_file *)take_files[i])->object->finished = true;
		close_file(take_files[i]);
	}
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_abandon(struct store *store, struct store_file *take_file)
{
	struct memory *memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	drop(memory, take_file->name);
	close_file(take_file);
	pthread_mutex_unlock(&memory->lock);
}

struct memory_source {
	struct store_source source;
	struct memory *memory;
	struct object *object;
};

static int source_read(void *self, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	const struct weir_buf *bytes = &((struct memory_source *)self)->object->bytes;
	if (offset > bytes->size || size > bytes->size - offset)
		return weir_fail_at(err, WEIR_E_CORRUPT, weir_str_from(((struct memory_source *)self)->object->name),
			offset, "the object ends before %zu expected bytes", size);
	if (size > 0)
		memcpy(buffer, bytes->data + offset, size);
	return 0;
}

static void source_close(struct store_source *take_source)
{
	struct memory_source *source = (struct memory_source *)take_source;
	pthread_mutex_lock(&source->memory->lock);
	unref(source->object);
	pthread_mutex_unlock(&source->memory->lock);
	free(source);
}

static int memory_source_open(
	struct store *store, const char *name, struct weir_byte_source *ret_source, struct weir_error *err)
{
	struct memory *memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	struct object *object = find(memory, name, NULL);
	if (object != NULL && !object->finished)
		object = NULL;
	if (object != NULL)
		object->references++;
	pthread_mutex_unlock(&memory->lock);
	if (object == NULL)
		return weir_fail_at(
			err, WEIR_E_NOT_FOUND, weir_str_from(name), WEIR_ERROR_NO_OFFSET, "there is no such object");
	struct memory_source *source = weir_alloc(sizeof *source);
	*source = (struct memory_source){{source_close}, memory, object};
	*ret_source = (struct weir_byte_source){source_read, source, object->bytes.size, weir_str_from(object->name)};
	return 0;
}

static int memory_read(
	struct store *store, const char *name, uint64_t offset, void *buffer, size_t size, struct weir_error *err)
{
	struct weir_byte_source source;
	int status = memory_source_open(store, name, &source, err);
	if (status != 0)
		return status;
	status = source.read(source.self, offset, buffer, size, err);
	store_source_close(&source);
	return status;
}

static int memory_size(struct store *store, const char *name, uint64_t *ret_size, struct weir_error *err)
{
	struct weir_byte_source source;
	int status = memory_source_open(store, name, &source, err);
	if (status != 0)
		return status;
	*ret_size = source.size_bytes;
	store_source_close(&source);
	return 0;
}

/* Callbacks run without the lock, over references, so that they may call the store. */
static int memory_list(
	struct store *store, const char *prefix, store_list_fn *object, void *context, struct weir_error *err)
{
	struct memory *memory = memory_of(store);
	pthread_mutex_lock(&memory->lock);
	size_t count = memory->count;
	struct object **objects = weir_realloc(NULL, count, sizeof(*objects));
	for (size_t i = 0; i < count; i++) {
		objects[i] = memory->objects[i];
		objects[i]->references++;
	}
	pthread_mutex_unlock(&memory->lock);
	int status = 0;
	for (size_t i = 0; i < count && status == 0; i++) {
		struct store_object found = {weir_str_from(objects[i]->name), objects[i]->bytes.size, 0};
		if (weir_str_has_prefix(found.name, weir_str_from(prefix)))
			status = object(context, &found, err);
	}
	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < count; i++)
		unref(objects[i]);
	pthread_mutex_unlock(&memory->lock);
	free(objects);
	return status;
}

static int memory_delete_many(struct store *store, const char *const *names, size_t count, struct weir_error *err)
{
	struct memory *memory = memory_of(store);
	(void)err;
	pthread_mutex_lock(&memory->lock);
	for (size_t i = 0; i < count; i++)
		drop(memory, names[i]);
	pthread_mutex_unlock(&memory->lock);
	return 0;
}

static void memory_close(struct store *store)
{
	struct memory *memory = memory_of(store);
	for (size_t i = 0; i < memory->count; i++)
		unref(memory->objects[i]);
	free(memory->objects);
	pthread_mutex_destroy(&memory->lock);
	free(memory);
}

struct store *store_memory_new(void)
{
	static const struct store_ops ops = {
		.create = memory_create,
		.append = memory_append,
		.barrier = memory_barrier,
		.abandon = memory_abandon,
		.read = memory_read,
		.size = memory_size,
		.source_open = memory_source_open,
		.list = memory_list,
		.delete_many = memory_delete_many,
		.close = memory_close,
	};
	struct memory *memory = weir_zalloc(sizeof *memory);
	memory->store = (struct store){.ops = &ops, .root = "/memory", .scheme = "memory://"};
	pthread_mutex_init(&memory->lock, NULL);
	return &memory->store;
}
