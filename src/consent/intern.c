/*
 * The table of distinct bodies and texts that all sets of one lake share. One lock: readers look texts
 * up once a batch, writers add and drop. A body leaves with its last record, its texts with it.
 */
#include "consent/compiled.h"

#include <stdlib.h>

#define FIRST_BUCKETS 256

struct consent_intern {
	atomic_uint_fast32_t refs;
	const struct consent_vocabulary *vocabulary;
	pthread_rwlock_t lock;
	struct consent_compiled **bodies;
	struct consent_text **texts;
	size_t body_count, body_buckets, text_count, text_buckets;
};

/* Its address says "a text that no rule compares with". */
static const struct consent_text other_text;

struct consent_intern *consent_intern_new(const struct consent_vocabulary *vocabulary)
{
	struct consent_intern *intern = weir_zalloc(sizeof *intern);
	atomic_init(&intern->refs, 1);
	intern->vocabulary = vocabulary;
	WEIR_ASSERT(pthread_rwlock_init(&intern->lock, NULL) == 0);
	intern->body_buckets = intern->text_buckets = FIRST_BUCKETS;
	intern->bodies = weir_zalloc(intern->body_buckets * sizeof *intern->bodies);
	intern->texts = weir_zalloc(intern->text_buckets * sizeof *intern->texts);
	return intern;
}

struct consent_intern *consent_intern_ref(struct consent_intern *intern)
{
	atomic_fetch_add_explicit(&intern->refs, 1, memory_order_relaxed);
	return intern;
}

void consent_intern_unref(struct consent_intern *intern)
{
	if (atomic_fetch_sub_explicit(&intern->refs, 1, memory_order_acq_rel) != 1)
		return;
	WEIR_ASSERT(intern->body_count == 0 && intern->text_count == 0);
	pthread_rwlock_destroy(&intern->lock);
	free(intern->bodies);
	free(intern->texts);
	free(intern);
}

static void grow_bodies(struct consent_intern *intern)
{
	size_t buckets = intern->body_buckets * 2;
	struct consent_compiled **bodies = weir_zalloc(buckets * sizeof *bodies);
	for (size_t i = 0; i < intern->body_buckets; i++)
		for (struct consent_compiled *body = intern->bodies[i], *next; body != NULL; body = next) {
			next = body->next;
			body->next = bodies[body->hash & (buckets - 1)];
			bodies[body->hash & (buckets - 1)] = body;
		}
	free(intern->bodies);
	intern->bodies = bodies;
	intern->body_buckets = buckets;
}

static void grow_texts(struct consent_intern *intern)
{
	size_t buckets = intern->text_buckets * 2;
	struct consent_text **texts = weir_zalloc(buckets * sizeof *texts);
	for (size_t i = 0; i < intern->text_buckets; i++)
		for (struct consent_text *text = intern->texts[i], *next; text != NULL; text = next) {
			next = text->next;
			text->next = texts[text->hash & (buckets - 1)];
			texts[text->hash & (buckets - 1)] = text;
		}
	free(intern->texts);
	intern->texts = texts;
	intern->text_buckets = buckets;
}

static struct consent_compiled *find_body(const struct consent_intern *intern, uint64_t hash, struct weir_str body)
{
	struct consent_compiled *found = intern->bodies[hash & (intern->body_buckets - 1)];
	while (found != NULL && (found->hash != hash || !weir_str_equal(found->body, body)))
		found = found->next;
	return found;
}

struct consent_compiled *consent_intern_body(struct consent_intern *intern, struct weir_str body)
{
	uint64_t hash = weir_hash64(body.data, body.size);
	pthread_rwlock_rdlock(&intern->lock);
	struct consent_compiled *compiled = find_body(intern, hash, body);
	if (compiled != NULL)
		atomic_fetch_add_explicit(&compiled->refs, 1, memory_order_relaxed);
	pthread_rwlock_unlock(&intern->lock);
	if (compiled != NULL)
		return compiled;
	pthread_rwlock_wrlock(&intern->lock);
	compiled = find_body(intern, hash, body);
	if (compiled == NULL) {
		struct weir_arena *arena = weir_arena_new(1024);
		compiled = weir_arena_zalloc(arena, sizeof *compiled);
		compiled->arena = arena;
		compiled->hash = hash;
		compiled->body = weir_arena_str(arena, body);
		atomic_init(&compiled->refs, 0);
		consent_compile(intern, intern->vocabulary, compiled);
		if (intern->body_count >= intern->body_buckets)
			grow_bodies(intern);
		compiled->next = intern->bodies[hash & (intern->body_buckets - 1)];
		intern->bodies[hash & (intern->body_buckets - 1)] = compiled;
		intern->body_count++;
	}
	atomic_fetch_add_explicit(&compiled->refs, 1, memory_order_relaxed);
	pthread_rwlock_unlock(&intern->lock);
	return compiled;
}

static struct consent_text *find_text(const struct consent_intern *intern, uint64_t hash, struct weir_str text)
{
	struct consent_text *found = intern->texts[hash & (intern->text_buckets - 1)];
	while (found != NULL && (found->hash != hash || !weir_str_equal(found->text, text)))
		found = found->next;
	return found;
}

struct consent_text *consent_intern_text(struct consent_intern *intern, struct weir_str text)
{
	uint64_t hash = weir_hash64(text.data, text.size);
	struct consent_text *found = find_text(intern, hash, text);
	if (found == NULL) {
		found = weir_zalloc(sizeof *found + text.size + 1);
		char *bytes = (char *)(found + 1);
		memcpy(bytes, text.data, text.size);
		found->hash = hash;
		found->text = (struct weir_str){bytes, text.size};
		if (intern->text_count >= intern->text_buckets)
			grow_texts(intern);
		found->next = intern->texts[hash & (intern->text_buckets - 1)];
		intern->texts[hash & (intern->text_buckets - 1)] = found;
		intern->text_count++;
	}
	found->refs++;
	return found;
}

static void drop_text(struct consent_intern *intern, struct consent_text *text)
{
	if (--text->refs > 0)
		return;
	struct consent_text **link = &intern->texts[text->hash & (intern->text_buckets - 1)];
	while (*link != text)
		link = &(*link)->next;
	*link = text->next;
	intern->text_count--;
	free(text);
}

static void drop_body(struct consent_intern *intern, struct consent_compiled *compiled)
{
	struct consent_compiled **link = &intern->bodies[compiled->hash & (intern->body_buckets - 1)];
	while (*link != compiled)
		link = &(*link)->next;
	*link = compiled->next;
	intern->body_count--;
	for (uint32_t i = 0; i < compiled->test_count; i++)
		for (uint32_t j = 0; j < compiled->tests[i].text_count; j++)
			drop_text(intern, compiled->tests[i].texts[j]);
	weir_arena_free(compiled->arena);
}

void consent_compiled_unref(struct consent_intern *intern, struct consent_compiled *compiled)
{
	/* All but the last reference go without the lock; the last goes under it, so that nobody can find a body that
	 * dies. */
	uint_fast64_t refs = atomic_load_explicit(&compiled->refs, memory_order_relaxed);
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &compiled->refs, &refs, refs - 1, memory_order_acq_rel, memory_order_relaxed))
			return;
	pthread_rwlock_wrlock(&intern->lock);
	if (atomic_fetch_sub_explicit(&compiled->refs, 1, memory_order_acq_rel) == 1)
		drop_body(intern, compiled);
	pthread_rwlock_unlock(&intern->lock);
}

void consent_intern_read(struct consent_intern *intern)
{
	pthread_rwlock_rdlock(&intern->lock);
}

void consent_intern_read_end(struct consent_intern *intern)
{
	pthread_rwlock_unlock(&intern->lock);
}

const struct consent_text *consent_intern_find(const struct consent_intern *intern, struct weir_str text)
{
	const struct consent_text *found = find_text(intern, weir_hash64(text.data, text.size), text);
	return found != NULL ? found : &other_text;
}
