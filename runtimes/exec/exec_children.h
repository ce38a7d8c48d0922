/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_children - the end of all that a program started.
 *
 * Who calls it must be the subreaper (PR_SET_CHILD_SUBREAPER) of what it started: whatever loses
 * its parent below it becomes its child, and so can be found. One thread.
 */
#ifndef MAYFLY_RUNTIMES_EXEC_CHILDREN_H
#define MAYFLY_RUNTIMES_EXEC_CHILDREN_H

#include <stdbool.h>

/* Kills and buries every process below this one. False if that could not be done: then this process
 * must end, and the sandbox ends with it. */
bool exec_children_end(void);

#endif
