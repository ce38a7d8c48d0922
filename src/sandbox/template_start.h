/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_start - the steps by which a child of the spawner becomes a template: a place of its
 * own, a root with /proc and /dev, one capability, and the command of the root.
 *
 * Runs in the child alone, which never comes back. A step that fails is reported as a FAILED of
 * ticket 0 (template.h).
 */
#ifndef MAYFLY_SANDBOX_TEMPLATE_START_H
#define MAYFLY_SANDBOX_TEMPLATE_START_H

#include "sandbox/cgroup.h"

struct template_start {
	int control;               /* owned */
	int output;                /* owned: what it prints while it boots, and never again */
	struct cgroup_place place; /* owned */
	unsigned root;
	int last_capability;
};

_Noreturn void template_start_run(struct template_start *start);

#endif
