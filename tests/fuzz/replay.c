/* Runs a fuzzer's entry point over the files of a corpus directory, then over seeded mutations of them. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/os.h"
#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUTATIONS_PER_FILE 200

/* Flip, overwrite, cut or repeat a few bytes. */
static size_t mutate(struct weir_rng *rng, uint8_t *data, size_t size, size_t capacity)
{
	unsigned changes = 1 + (unsigned)weir_rng_below(rng, 8);
	for (unsigned i = 0; i < changes && size > 0; i++) {
		size_t at = weir_rng_below(rng, size);
		size_t length = 1 + weir_rng_below(rng, 8);
		switch (weir_rng_below(rng, 4)) {
		case 0:
			data[at] ^= (uint8_t)(1U << weir_rng_below(rng, 8));
			break;
		case 1:
			data[at] = (uint8_t)weir_rng_next(rng);
			break;
		case 2:
			size = at;
			break;
		default:
			if (at + length <= size && size + length <= capacity) {
				memmove(data + at + length, data + at, size - at);
				size += length;
			}
		}
	}
	return size;
}

static void run(const char *path, uint64_t seed)
{
	char *data;
	size_t size;
	struct weir_error err = WEIR_ERROR_INIT;
	if (weir_os_read_all(weir_os_real(), path, 64U << 20, &data, &size, &err) != 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
	LLVMFuzzerTestOneInput((const uint8_t *)data, size);
	uint8_t *copy = weir_alloc(size + 64);
	struct weir_rng rng = weir_rng_new(seed);
	for (unsigned i = 0; i < MUTATIONS_PER_FILE && size > 0; i++) {
		memcpy(copy, data, size);
		size_t mutated = mutate(&rng, copy, size, size + 64);
		uint8_t *exact = weir_alloc(mutated); /* so that a sanitizer sees reads past the end */
		memcpy(exact, copy, mutated);
		LLVMFuzzerTestOneInput(exact, mutated);
		free(exact);
	}
	free(copy);
	free(data);
}

int main(int argc, char **argv)
{
	unsigned files = 0;
	const char *seed_text = getenv("WEIR_SEED");
	uint64_t seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
	DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
	if (dir == NULL) {
		fprintf(stderr, "usage: %s CORPUS_DIRECTORY\n", argv[0]);
		return 2;
	}
	struct dirent *entry;
	while ((entry = readdir(dir)) != NULL) {
		char path[1024];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
		run(path, seed);
		files++;
	}
	closedir(dir);
	printf("%u corpus files, %u mutations of each, seed %llu\n", files, MUTATIONS_PER_FILE,
		(unsigned long long)seed);
	return files > 0 ? 0 : 1;
}
