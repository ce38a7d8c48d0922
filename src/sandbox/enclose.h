/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enclose - the steps by which a fresh child of the spawner becomes a sandbox.
 *
 * Two lists of named steps. The first makes a seat: a process in its own namespaces and cgroup,
 * as its own user, that waits for a plan; it can be made ahead. The second follows the plan:
 * root, limits, walls, and in the end mayfly-init in its place. A step that fails fills a
 * struct err; what the user reads is "<what was being done>: <reason>".
 *
 * Runs in the child alone, which never comes back.
 */
#ifndef MAYFLY_SANDBOX_ENCLOSE_H
#define MAYFLY_SANDBOX_ENCLOSE_H

#include "sandbox/cgroup.h"
#include "sandbox/syscall_filter.h"

struct enclosure {
	int control;                         /* owned: to the spawner */
	int init;                            /* owned: the program mayfly-init */
	struct cgroup_place place;           /* owned */
	const struct syscall_filter *filter; /* borrowed */
	int landlock_abi;
	int last_capability;
	bool is_user_shared; /* with others, on the host */
};

_Noreturn void enclose_run(struct enclosure *enclosure);

#endif
