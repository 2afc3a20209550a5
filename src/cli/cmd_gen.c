/* weir gen: lifelike events as NDJSON to a file, a pipe or a server, and the consent rules that go with them. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gen/gen.h"

#define WRITE_BYTES ((size_t)1 << 20)
#define POST_BYTES  ((size_t)1 << 20)

struct output {
	FILE *file;
	struct cli_api *api;
	uint64_t events, rejected;
	double rate; /* 0: as fast as it goes */
	int64_t start_us;
	struct weir_buf buf;
	uint64_t buffered; /* events in buf */
};

static bool options_of(const struct cli_args *args, struct gen_options *ret_options, double *ret_rate)
{
	struct gen_options options = gen_options_default();
	double subjects = (double)options.subjects, events = (double)options.events, days = options.days,
	       seed = (double)options.seed;
	bool good = cli_number(args, GEN_SUBJECTS_FLAG, 1, GEN_SUBJECTS_MAX, &subjects) &&
		cli_number(args, "--events", 1, 1e15, &events) && cli_number(args, "--days", 1, GEN_DAYS_MAX, &days) &&
		cli_number(args, "--seed", 0, 9e15, &seed) &&
		cli_number(args, "--duplicates", 0, GEN_DISTURBANCE_MAX, &options.duplicates) &&
		cli_number(args, "--late", 0, GEN_DISTURBANCE_MAX, &options.late) &&
		cli_number(args, "--bad", 0, GEN_DISTURBANCE_MAX, &options.bad) &&
		cli_number(args, "--rate", 0.001, 1e9, ret_rate);
	const char *start = cli_option(args, "--start");
	if (good && start != NULL && !weir_date_parse(weir_str_from(start), &options.start_day)) {
		cli_wrong_use(args, "--start is a date such as 2025-02-01, not '%s'", start);
		good = false;
	}
	options.subjects = (uint64_t)subjects;
	options.events = (uint64_t)events;
	options.days = (uint32_t)days;
	options.seed = (uint64_t)seed;
	*ret_options = options;
	return good;
}

static int post(struct output *output, struct weir_error *err)
{
	struct cli_request request = {
		.method = "POST",
		.target = "/api/ingest",
		.content_type = "application/x-ndjson",
		.body = weir_buf_str(&output->buf),
	};
	struct cli_answer answer;
	int rc = cli_call(output->api, &request, &answer, err);
	if (rc < 0)
		return rc;
	if (answer.status == 503) {
		/* The log is full for now: nothing of it was taken. */
		cli_answer_done(&answer);
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
		return post(output, err);
	}
	if (answer.status != 200 && answer.status != 422) {
		cli_problem(&answer);
		rc = weir_fail(err, WEIR_E_IO, "the server refused the events with status %u", answer.status);
	} else {
		json_t *result = cli_answer_json(&answer);
		output->rejected += (uint64_t)json_integer_value(json_object_get(result, "rejected"));
		json_decref(result);
	}
	cli_answer_done(&answer);
	return rc;
}

static int flush_output(struct output *output, struct weir_error *err)
{
	int rc = 0;
	if (output->buf.size == 0)
		return 0;
	if (output->api != NULL)
		rc = post(output, err);
	else if (fwrite(output->buf.data, 1, output->buf.size, output->file) != output->buf.size)
		rc = weir_fail_errno(err, errno, WEIR_STR("output"), "write events");
	else if (output->rate > 0)
		fflush(output->file);
	output->buf.size = 0;
	output->buffered = 0;
	return rc;
}

/* Sleeps until the events so far are due. */
static void keep_rate(const struct output *output)
{
	struct weir_clock clock = weir_clock_system();
	int64_t due = output->start_us + (int64_t)((double)output->events / output->rate * 1e6);
	int64_t wait = due - weir_steady_us(&clock);
	if (wait > 0)
		nanosleep(&(struct timespec){.tv_sec = wait / WEIR_US_PER_SECOND,
				  .tv_nsec = wait % WEIR_US_PER_SECOND * 1000},
			NULL);
}

static int write_events(struct gen *gen, struct output *output, struct weir_error *err)
{
	struct weir_clock clock = weir_clock_system();
	/* At a rate, a slice is a tenth of a second. */
	uint64_t slice = output->rate > 0 ? (uint64_t)(output->rate / 10) + 1 : UINT64_MAX;
	size_t limit = output->api != NULL ? POST_BYTES : WRITE_BYTES;
	int rc = 0;
	output->start_us = weir_steady_us(&clock);
	while (rc == 0 && gen_next(gen, &output->buf, NULL)) {
		output->events++;
		output->buffered++;
		if (output->buf.size < limit && output->buffered < slice)
			continue;
		rc = flush_output(output, err);
		if (output->rate > 0)
			keep_rate(output);
	}
	return rc < 0 ? rc : flush_output(output, err);
}

static int write_rules(const struct gen *gen, const char *path, struct weir_error *err)
{
	FILE *file = fopen(path, "wb");
	struct weir_buf buf = WEIR_BUF_INIT;
	bool good = file != NULL;
	for (uint64_t i = 0; good && i < gen_subjects(gen); i++) {
		gen_rules(gen, i, &buf);
		if (buf.size >= WRITE_BYTES || i + 1 == gen_subjects(gen)) {
			good = fwrite(buf.data, 1, buf.size, file) == buf.size;
			buf.size = 0;
		}
	}
	if (file != NULL && fclose(file) != 0)
		good = false;
	weir_buf_done(&buf);
	return good ? 0 : weir_fail_errno(err, errno, weir_str_from(path), "write the rules");
}

static int open_output(const struct cli_args *args, struct output *output, struct weir_error *err)
{
	const char *out = cli_option(args, "--out");
	if (cli_option(args, "--to") != NULL && out == NULL)
		return cli_api_open(args, &output->api, err);
	bool standard = out == NULL || strcmp(out, "-") == 0;
	output->file = standard ? stdout : fopen(out, "wb");
	return output->file != NULL ? 0 : weir_fail_errno(err, errno, weir_str_from(out), "create the file");
}

int cmd_gen(const struct cli_args *args)
{
	struct weir_error err = WEIR_ERROR_INIT;
	struct gen_options options;
	struct output output = {0};
	struct lake *lake = NULL;
	struct gen *gen = NULL;
	const char *rules = cli_option(args, "--rules");
	if (!options_of(args, &options, &output.rate))
		return CLI_WRONG_USE;
	int rc = lake_read(args->words[0], cli_option(args, "--data"), &lake, &err);
	const struct gen_kind *kind = rc == 0 ? gen_find(lake->name) : NULL;
	if (rc == 0 && kind == NULL)
		rc = weir_fail(&err, WEIR_E_NOT_FOUND,
			"there is no generator for the lake '%.*s'; there is one for '%s'", WEIR_STR_ARG(lake->name),
			gen_names()[0]);
	if (rc == 0)
		rc = gen_open(kind, &options, &gen, &err);
	if (rc == 0 && rules != NULL)
		rc = write_rules(gen, rules, &err);
	if (rc == 0)
		rc = open_output(args, &output, &err);
	if (rc == 0)
		rc = write_events(gen, &output, &err);
	if (output.file != NULL && output.file != stdout && fclose(output.file) != 0 && rc == 0)
		rc = weir_fail_errno(&err, errno, WEIR_STR("output"), "write events");
	gen_close(gen);
	bool posted = output.api != NULL;
	cli_api_close(output.api);
	weir_buf_done(&output.buf);
	if (lake != NULL)
		lake_free(lake);
	if (rc < 0)
		return cli_fail(&err);
	const char *out = cli_option(args, "--out");
	if (posted)
		fprintf(stderr, "weir: %llu events posted, %llu rejected\n", (unsigned long long)output.events,
			(unsigned long long)output.rejected);
	else if (out != NULL && strcmp(out, "-") != 0)
		fprintf(stderr, "weir: %llu events written\n", (unsigned long long)output.events);
	return CLI_DONE;
}
