/* What a process of a benchmark says of itself: time and memory. For one thread at the start or end of a measurement. */
#ifndef WEIR_BENCH_MEASURE_H
#define WEIR_BENCH_MEASURE_H

#include <stdio.h>
#include <time.h>

/* One thread is charged with what it computes; of several, the slowest counts. */
static inline double measure_seconds(unsigned threads)
{
	struct timespec at;
	clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* VmHWM: what the process has had since its start; the kernel's ru_maxrss counts what was forked to become it. */
static inline long long measure_peak_bytes(void)
{
	char line[256];
	long long kilobytes = 0;
	FILE *file = fopen("/proc/self/status", "r");
	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (sscanf(line, "VmHWM: %lld kB", &kilobytes) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kilobytes * 1024;
}

#endif
