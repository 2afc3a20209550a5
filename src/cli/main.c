/* The program: finds the command and runs it. */
#include <malloc.h>
#include <signal.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
	struct cli_args args = {0};
	int code = CLI_DONE;
	/* A pipe that closes (`weir sql ... | head`) is an error of write, not the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	/* Epochs allocate and free tens of megabytes: memory that is given back to the kernel each time has to be
	 * cleared by it each time, which was an eighth of all CPU of a load. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	mallopt(M_ARENA_MAX, 4);
	if (cli_parse(argc - 1, (const char *const *)argv + 1, cli_commands(), &args, stdout, stderr, &code))
		code = args.command->run(&args);
	cli_args_done(&args);
	if (fflush(stdout) != 0 && code == CLI_DONE)
		code = CLI_FAILED;
	return code;
}
