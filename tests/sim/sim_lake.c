/*
 * The whole engine on a simulated disk and clock, by one seed: events, consent, background work, restarts, power cuts,
 * faults and races in any order; then the lake is compared with the oracle.
 *
 *   sim_lake [--seeds N] [--first S] [--seconds T]   N stories (or as many as fit into T seconds) from seed S (WEIR_SEED) on
 *   sim_lake --cuts N [--first S]                    N power cuts, each in a short story
 *   sim_lake --between N [--first S]                 N deaths, faults or changes between the two commits of a removal
 *   sim_lake --epochs N                              N epochs back to back: files, snapshots and metadata stay bounded
 *
 * Each story runs in a process of its own, so that a crash or a hang is a failing seed like any other. A failing story
 * is made smaller by dropping steps while it still fails, and then printed.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/epochs.h"
#include "sim/world.h"
#include "support/seed.h"

#define STEPS_MAX     400
#define STORY_SECONDS 60 /* longer is a hang */
#define SHRINK_RUNS   300

/* What the stories met, from their processes. */
struct totals {
	uint64_t deltas, resumed;
};

struct story {
	const char *lake;
	struct totals *totals; /* NULL: not counted */
	uint64_t seed;
	struct step steps[STEPS_MAX];
	size_t count;
};

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Out of 1,000; what stories are made of. */
static const unsigned weights[STEP_KINDS] = {
	[STEP_POST] = 235,
	[STEP_CONSENT] = 180,
	[STEP_ADVANCE] = 100,
	[STEP_FLUSH] = 170,
	[STEP_WORK] = 120,
	[STEP_SETTLE] = 20,
	[STEP_QUERY] = 30,
	[STEP_RESTART] = 15,
	[STEP_CUT] = 15,
	[STEP_CUT_AT] = 20,
	[STEP_FAULT] = 25,
	[STEP_KILL] = 15,
	[STEP_RACE] = 30,
	[STEP_BETWEEN] = 25,
};

static enum step_kind draw_kind(struct weir_rng *rng)
{
	uint64_t at = weir_rng_below(rng, 1000);
	for (unsigned kind = 0; kind < STEP_KINDS; kind++) {
		if (at < weights[kind])
			return kind;
		at -= weights[kind];
	}
	return STEP_POST;
}

static void draw_story(uint64_t seed, struct story *story)
{
	struct weir_rng rng = weir_rng_fork(seed, 1);
	story->seed = seed;
	story->count = 15 + weir_rng_below(&rng, seed % 16 == 5 ? 250 : 50); /* some are long */
	for (size_t i = 0; i < story->count; i++)
		story->steps[i] = (struct step){draw_kind(&rng), weir_rng_next(&rng)};
}

/* A few steps, then a cut in the middle of the next ones. */
static void draw_cut(uint64_t seed, struct story *story)
{
	static const enum step_kind kinds[] = {STEP_POST, STEP_POST, STEP_CONSENT, STEP_FLUSH, STEP_WORK, STEP_ADVANCE};
	struct weir_rng rng = weir_rng_fork(seed, 2);
	story->seed = seed;
	story->count = 0;
	size_t before = 2 + weir_rng_below(&rng, 6), after = 2 + weir_rng_below(&rng, 5);
	for (size_t i = 0; i < before; i++)
		story->steps[story->count++] = (struct step){kinds[weir_rng_below(&rng, 6)], weir_rng_next(&rng)};
	story->steps[story->count++] = (struct step){STEP_CUT_AT, weir_rng_next(&rng)};
	for (size_t i = 0; i < after; i++)
		story->steps[story->count++] = (struct step){kinds[weir_rng_below(&rng, 6)], weir_rng_next(&rng)};
	story->steps[story->count++] = (struct step){STEP_CUT, weir_rng_next(&rng)};
}

/* A few steps, then a death, a fault or a change of consent between the two commits of the next removal. */
static void draw_between(uint64_t seed, struct story *story)
{
	static const enum step_kind kinds[] = {STEP_POST, STEP_POST, STEP_CONSENT, STEP_FLUSH, STEP_WORK, STEP_CONSENT};
	struct weir_rng rng = weir_rng_fork(seed, 3);
	story->seed = seed - seed % 3 + 1; /* one that deletes rows first */
	story->count = 0;
	for (size_t i = 6 + weir_rng_below(&rng, 10); i > 0; i--)
		story->steps[story->count++] = (struct step){kinds[weir_rng_below(&rng, 6)], weir_rng_next(&rng)};
	for (size_t rounds = 1 + weir_rng_below(&rng, 3); rounds > 0; rounds--) {
		story->steps[story->count++] = (struct step){STEP_BETWEEN, weir_rng_next(&rng)};
		for (size_t i = 4 + weir_rng_below(&rng, 8); i > 0; i--)
			story->steps[story->count++] =
				(struct step){kinds[weir_rng_below(&rng, 6)], weir_rng_next(&rng)};
	}
}

/* ---- running ---- */

static struct lake *read_lake(const char *path)
{
	struct lake *lake;
	struct weir_error err = WEIR_ERROR_INIT;
	if (lake_read(path, "/lake", &lake, &err) != 0) {
		fprintf(stderr, "sim_lake: %s: %s (run it from the project's root)\n", err.object, err.message);
		exit(2);
	}
	return lake;
}

/* In a process of its own: true where it held; else the failure's text. */
static bool run_here(const struct story *story, char *failure, size_t size, bool verbose)
{
	struct lake *lake = read_lake(story->lake);
	struct world world;
	bool good = world_open(&world, lake, story->seed);
	size_t at = 0;
	for (; at < story->count && good; at++) {
		if (verbose)
			fprintf(stderr, "  %zu %s\n", at, step_name(story->steps[at].kind));
		good = world_step(&world, &story->steps[at]);
	}
	good = good && world_finish(&world, story->seed % 4 == 0);
	snprintf(failure, size, "%.1500s (after %zu of %zu steps)", world.failure, at, story->count);
	if (verbose)
		fprintf(stderr,
			"  %zu records, %zu changes, %u restarts, %u failed starts, %u faults, %u races, %u queries\n",
			world.oracle.record_count, world.oracle.change_count, world.restarts, world.failed_starts,
			world.faults_hit, world.races, world.audited);
	if (good && story->totals != NULL) {
		story->totals->deltas += world.deltas;
		story->totals->resumed += world.resumed;
	}
	if (good) {
		world_close(&world);
		lake_free(lake);
	}
	return good;
}

static bool run_story(const struct story *story, char *failure, size_t size, bool verbose)
{
	int ends[2], status;
	if (pipe(ends) != 0)
		abort();
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(STORY_SECONDS);
		bool good = run_here(story, failure, size, verbose);
		if (!good && write(ends[1], failure, strlen(failure)) < 0)
			_exit(3);
		_exit(good ? 0 : 1);
	}
	close(ends[1]);
	ssize_t got = read(ends[0], failure, size - 1);
	failure[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		snprintf(failure, size, "%s", WTERMSIG(status) == SIGALRM ? "it hangs" : strsignal(WTERMSIG(status)));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- making a story smaller ---- */

static void without(const struct story *from, size_t at, size_t count, struct story *to)
{
	*to = (struct story){.lake = from->lake, .seed = from->seed};
	for (size_t i = 0; i < from->count; i++)
		if (i < at || i >= at + count)
			to->steps[to->count++] = from->steps[i];
}

static void shrink(struct story *story, char *failure, size_t size)
{
	struct story *smaller = calloc(1, sizeof *smaller);
	unsigned runs = 0;
	char text[2048];
	for (size_t part = story->count / 2; part >= 1 && strcmp(failure, "it hangs") != 0; part /= 2)
		for (size_t at = 0; at < story->count && runs < SHRINK_RUNS; runs++) {
			without(story, at, part, smaller);
			if (run_story(smaller, text, sizeof text, false)) {
				at += part;
				continue;
			}
			*story = *smaller;
			snprintf(failure, size, "%s", text);
		}
	free(smaller);
}

static void print_story(const struct story *story, const char *failure)
{
	printf("seed %llu fails: %s\n  story:", (unsigned long long)story->seed, failure);
	for (size_t i = 0; i < story->count; i++)
		printf(" %s:%llx", step_name(story->steps[i].kind), (unsigned long long)story->steps[i].seed);
	printf("\n");
	fflush(stdout);
}

struct options {
	uint64_t seeds, first, cuts, between, epochs, seconds;
	bool verbose, no_shrink;
	const char *story, *lake;
};

static int run_seeds(const struct options *options, void (*draw)(uint64_t seed, struct story *story), uint64_t count)
{
	struct story *story = calloc(1, sizeof *story);
	story->lake = options->lake;
	story->totals = mmap(NULL, sizeof *story->totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (story->totals == MAP_FAILED)
		abort();
	unsigned failed = 0, ran = 0;
	double begin = seconds();
	for (uint64_t i = 0; i < count && (options->seconds == 0 || seconds() - begin < (double)options->seconds);
		i++) {
		char failure[2048];
		draw(options->first + i, story);
		ran++;
		if (run_story(story, failure, sizeof failure, options->verbose))
			continue;
		failed++;
		if (!options->no_shrink)
			shrink(story, failure, sizeof failure);
		print_story(story, failure);
	}
	printf("sim_lake: %u stories from seed %llu in %.1f s, %u failed; %llu removals in two commits, %llu went on "
	       "after a"
	       " death between them\n",
		ran, (unsigned long long)options->first, seconds() - begin, failed,
		(unsigned long long)story->totals->deltas, (unsigned long long)story->totals->resumed);
	munmap(story->totals, sizeof *story->totals);
	free(story);
	return failed > 0;
}

/* One story as it was printed: "post:1f consent:2e ...". */
static int run_text(const struct options *options)
{
	struct story *story = calloc(1, sizeof *story);
	char name[32], failure[2048];
	unsigned long long seed;
	int size;
	story->seed = options->first;
	story->lake = options->lake;
	for (const char *at = options->story; sscanf(at, " %31[^:]:%llx%n", name, &seed, &size) == 2; at += size)
		for (unsigned kind = 0; kind < STEP_KINDS; kind++)
			if (strcmp(step_name(kind), name) == 0 && story->count < STEPS_MAX)
				story->steps[story->count++] = (struct step){kind, seed};
	bool good = run_story(story, failure, sizeof failure, true);
	if (!good)
		print_story(story, failure);
	free(story);
	return !good;
}

int main(int argc, char **argv)
{
	struct options options = {.seeds = 20, .first = test_seed("sim_lake"), .lake = "tests/lakes/shop"};
	for (int i = 1; i < argc; i++) {
		uint64_t number = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
		if (strcmp(argv[i], "-v") == 0)
			options.verbose = true;
		else if (strcmp(argv[i], "--no-shrink") == 0)
			options.no_shrink = true;
		else if (i + 1 == argc)
			return fprintf(stderr,
				       "usage: sim_lake [--seeds N|--cuts N|--between N|--epochs N|--story STEPS] "
				       "[--first S] "
				       "[--seconds T]"
				       " [--lake DIR] [--no-shrink] [-v]\n"),
			       2;
		else if (strcmp(argv[i], "--seeds") == 0)
			options.seeds = number, i++;
		else if (strcmp(argv[i], "--first") == 0)
			options.first = number, i++;
		else if (strcmp(argv[i], "--seconds") == 0)
			options.seconds = number, i++;
		else if (strcmp(argv[i], "--cuts") == 0)
			options.cuts = number, i++;
		else if (strcmp(argv[i], "--between") == 0)
			options.between = number, i++;
		else if (strcmp(argv[i], "--epochs") == 0)
			options.epochs = number, i++;
		else if (strcmp(argv[i], "--story") == 0)
			options.story = argv[++i];
		else if (strcmp(argv[i], "--lake") == 0)
			options.lake = argv[++i];
	}
	if (options.story != NULL)
		return run_text(&options);
	if (options.epochs > 0)
		return run_epochs(options.lake, options.epochs, options.first);
	if (options.between > 0)
		return run_seeds(&options, draw_between, options.between);
	if (options.cuts > 0)
		return run_seeds(&options, draw_cut, options.cuts);
	return run_seeds(&options, draw_story, options.seconds > 0 ? UINT64_MAX / 2 : options.seeds);
}
