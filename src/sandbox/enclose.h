/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enclose - the steps by which a fresh child of the spawner gets a place of its own.
 *
 * Its cgroup, namespaces, user and session, and an anteroom: an empty root with its /proc, /dev and
 * /tmp. Then it becomes mayfly-init, which waits for a plan (furnish.h). Nothing here depends on
 * what will run, so it is done ahead. Runs in the child alone, which never comes back.
 */
#ifndef MAYFLY_SANDBOX_ENCLOSE_H
#define MAYFLY_SANDBOX_ENCLOSE_H

#include "sandbox/cgroup.h"

struct enclosure {
	int control;               /* owned: to the spawner */
	int init;                  /* owned: the program mayfly-init */
	struct cgroup_place place; /* owned */
	int last_capability;
	bool is_user_shared; /* with others, on the host */
};

_Noreturn void enclose_run(struct enclosure *enclosure);

#endif
