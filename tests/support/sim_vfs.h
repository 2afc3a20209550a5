/*
 * SQLite over the simulated disk: a VFS whose files are a sim_os's, with locks and shared memory among the connections
 * of this process, so that a database in WAL mode obeys the same power cuts and faults as everything else. Connections
 * that were opened before a cut are dead: close them and open anew.
 */
#ifndef WEIR_TESTS_SIM_VFS_H
#define WEIR_TESTS_SIM_VFS_H

#include "support/sim_os.h"

struct sim_vfs;

/* Registers a VFS of its own name; sim outlives it. */
struct sim_vfs *sim_vfs_new(struct sim_os *sim);
const char *sim_vfs_name(const struct sim_vfs *vfs);
/* All connections must be closed. */
void sim_vfs_free(struct sim_vfs *vfs);

#endif
