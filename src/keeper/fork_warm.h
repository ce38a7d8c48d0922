/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fork_warm - touches ahead, in the child for the next call, what the child of an earlier call has
 * touched, so that the answer does not wait for those faults.
 *
 * Which pages they are shows in the pagemap of a child that nothing was touched ahead in
 * (proc_pid_pagemap(5)): those that are its alone it has written, those of a file that are there it
 * has used. A guess and no more: what it misses is a fault in the call. mayfly-keeper.
 */
#ifndef MAYFLY_KEEPER_FORK_WARM_H
#define MAYFLY_KEEPER_FORK_WARM_H

#include "keeper/layout.h"
#include "keeper/subject.h"

enum { FORK_WARM_MAX = 256 }; /* ranges */

/* Before the child of a call is killed, if it was born cold. */
void fork_warm_learn(const struct layout *layout, pid_t child);

/* Whether the last child was born cold, so that something can be learnt from it: a few are. */
bool fork_warm_is_cold(void);

/* A child is born: the system calls that touch for it. */
size_t fork_warm_calls(struct subject_op ret[static FORK_WARM_MAX]);

#endif
