/*
 * A disk that forgets, for tests: struct weir_os in memory.
 *
 * Files and directories have two states, what a program sees and what is on the platter. sync makes a file's
 * content durable, sync_dir a directory's entries. A power cut keeps what was durable; of every page of
 * 4,096 bytes that was written since, it keeps, by the seed, the old one, the new one or a torn one (its first
 * sectors new), and of every directory's changes a prefix. A sync that fails behaves as Linux does: some pages are
 * written, and all count as clean, so that a later sync that succeeds does not write them either.
 *
 * Thread-safe. After a cut, files that were open fail with EIO.
 */
#ifndef WEIR_TESTS_SIM_OS_H
#define WEIR_TESTS_SIM_OS_H

#include "base/os.h"

struct sim_os;

enum sim_call {
	SIM_OPEN,
	SIM_READ,
	SIM_WRITE,
	SIM_SYNC,
	SIM_SIZE,
	SIM_TRUNCATE,
	SIM_SYNC_DIR,
	SIM_RENAME,
	SIM_UNLINK,
	SIM_MKDIR,
	SIM_RMDIR,
	SIM_STAT,
	SIM_LIST,
	SIM_CALLS,
	SIM_ANY = SIM_CALLS, /* all of them, counted together */
	SIM_CHANGES,         /* write, sync, truncate, sync_dir, rename, unlink, mkdir, rmdir */
	SIM_KINDS,
};

struct sim_os *sim_os_new(uint64_t seed);
void sim_os_free(struct sim_os *sim);
const struct weir_os *sim_os_table(struct sim_os *sim);

/* The power goes and comes back: what is not durable is lost, or not, by the seed. */
void sim_os_power_cut(struct sim_os *sim, uint64_t seed);
/* The same at the nth call (1: the next one) of SIM_CHANGES; from then on all calls fail until sim_os_power_on. */
void sim_os_power_cut_at(struct sim_os *sim, uint64_t nth, uint64_t seed);
void sim_os_power_on(struct sim_os *sim);
bool sim_os_is_off(struct sim_os *sim);

/* The nth call from now on (1: the next one) of that kind fails with error_number; `more` further ones too. nth 0:
 * none. */
void sim_os_fail(struct sim_os *sim, enum sim_call kind, uint64_t nth, int error_number, uint64_t more);
/* True when a call has failed by sim_os_fail since it was told to. */
bool sim_os_has_failed(struct sim_os *sim);
uint64_t sim_os_calls(struct sim_os *sim, enum sim_call kind);
/* How many power cuts there were: what was opened before the last is dead. */
uint64_t sim_os_generation(struct sim_os *sim);

#endif
