// uses: weir_consent
/*
 * The consent log's speed on disk: rules posted in calls of 1,000, opening again, single changes, and closing tasks of
 * subjects without rows. Arguments: subjects (default 100,000), directory (default /tmp).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "consent/consent.h"

#define CHUNK 1000

static const struct weir_str purposes[] = {{"research", 8}, {"education", 9}, {"marketing", 9}, {"coaching", 8}};
static const struct consent_dimension dimensions[] = {
	{.name = {"activity", 8}, .kind = CONSENT_DIM_TEXT, .column = {"activity", 8}}};
static const struct consent_vocabulary vocabulary = {.name = {"athlete", 7},
	.subject = {"athlete_id", 10},
	.purpose_count = 4,
	.dimension_count = 1,
	.purposes = purposes,
	.dimensions = dimensions};

static double now(void)
{
	struct weir_clock clock = weir_clock_system();
	return (double)weir_steady_us(&clock) / 1e6;
}

static void check(int code, const struct weir_error *err)
{
	if (code == 0)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

static void post_all(struct consent *consent, uint32_t subjects)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct weir_arena *arena = weir_arena_new(0);
	struct consent_change *changes = weir_alloc(CHUNK * sizeof *changes);
	struct consent_changed *changed = weir_alloc(CHUNK * sizeof *changed);
	struct consent_rule *rules = weir_alloc(CHUNK * sizeof *rules);
	struct consent_problem problem;
	for (uint32_t first = 0; first < subjects; first += CHUNK) {
		uint32_t count = subjects - first < CHUNK ? subjects - first : CHUNK;
		for (uint32_t i = 0; i < count; i++) {
			const char *json = weir_arena_printf(arena,
				"{\"userId\":\"athlete-%u\",\"dimensions\":{\"purpose\":{\"operator\":\"IN\","
				"\"values\":[{\"value\":\"research\"},"
				"{\"value\":\"coaching\"}]},\"activity\":{\"operator\":\"EQUALS\",\"value\":\"sport-%"
				"u\"}}}",
				first + i, i % 20);
			check(consent_rule_parse(&vocabulary, arena, weir_str_from(json), &rules[i], &problem, &err),
				&err);
			changes[i] = (struct consent_change){.kind = CONSENT_CHANGE_POST, .rule = &rules[i]};
		}
		check(consent_append(consent, changes, count, changed, &err), &err);
		weir_arena_reset(arena);
	}
	weir_arena_free(arena);
	free(changes);
	free(changed);
	free(rules);
}

static void open_all(const char *path, struct control **ret_control, struct consent **ret_consent)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct control_options options = {.url = path};
	check(control_open(&options, ret_control, &err), &err);
	check(consent_open(*ret_control, &vocabulary, weir_clock_system(), ret_consent, &err), &err);
}

int main(int argc, char **argv)
{
	uint32_t subjects = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	char dir[256], path[300];
	struct weir_error err = WEIR_ERROR_INIT;
	struct control *control;
	struct consent *consent;
	snprintf(dir, sizeof dir, "%s/consent-bench-XXXXXX", argc > 2 ? argv[2] : "/tmp");
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof path, "%s/control.db", dir);
	open_all(path, &control, &consent);
	double start = now();
	post_all(consent, subjects);
	printf("posted %u rules in %.2f s, %.0f a second\n", subjects, now() - start, subjects / (now() - start));
	consent_close(consent);
	control_close(control);
	start = now();
	open_all(path, &control, &consent);
	printf("opened in %.2f s; %llu tasks open\n", now() - start,
		(unsigned long long)consent_tasks_open_count(consent));
	start = now();
	for (uint32_t i = 0; i < 100; i++) {
		char name[32];
		struct consent_changed changed;
		int size = snprintf(name, sizeof name, "athlete-%u", i);
		struct consent_change change = {
			.kind = CONSENT_CHANGE_WITHDRAW, .subject = {name, (size_t)size}, .purpose = 0};
		check(consent_append(consent, &change, 1, &changed, &err), &err);
	}
	printf("a withdrawal, durable: %.2f ms\n", (now() - start) * 10);
	uint64_t closed;
	start = now();
	check(consent_tasks_close_empty(consent, consent_head(consent), NULL, 0, &closed, &err), &err);
	printf("closed %llu tasks in %.2f s\n", (unsigned long long)closed, now() - start);
	consent_close(consent);
	control_close(control);
	unlink(path);
	rmdir(dir);
	return 0;
}
