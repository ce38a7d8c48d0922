/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walls - what shuts a process of a sandbox in for ever: the same for pid 1, which main programs
 * are started by, and for a main program that was forked from a template.
 *
 * Runs in that process. Takes no memory and no lock.
 */
#ifndef MAYFLY_SANDBOX_WALLS_H
#define MAYFLY_SANDBOX_WALLS_H

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/spawner.h"

/* The rlimits. is_counted: a cgroup counts the processes, and shall be the one to refuse. */
int walls_set_limits(const struct sandbox_limits *limits, bool is_counted, struct err *err);

/* What no exec can give back: `last` is the highest that the kernel knows. */
int walls_drop_bounding(int last, struct err *err);

/* All other sets. */
int walls_drop_capabilities(struct err *err);

int walls_promise_no_privileges(struct err *err);

/* User and group INSIDE_USER, no further groups. is_user_shared: the kernel may forbid the last. */
int walls_become_user(bool is_user_shared, struct err *err);

/* abi 0: the kernel has none. */
int walls_enter_landlock(int abi, enum sandbox_kind kind, struct err *err);

#endif
