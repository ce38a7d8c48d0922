/* SPDX-License-Identifier: Apache-2.0 */
/*
 * furnish - the steps by which mayfly-init makes its place a sandbox, after the spawner's plan.
 *
 * Its root, its limits, and the walls that no process inside can take down. Until the capabilities
 * are dropped it may mount, in its own namespaces; tenant code starts long after. A step that
 * fails is reported to the spawner and ends the process.
 */
#ifndef MAYFLY_SANDBOX_FURNISH_H
#define MAYFLY_SANDBOX_FURNISH_H

#include "sandbox/inside.h"

/* Waits for the plan and follows it. */
const struct inside_plan *furnish_run(void);

#endif
