/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_enter - the steps by which a fork of a template becomes the main program of a sandbox
 * that mayfly-init has furnished (furnish.h): into its cgroup and namespaces, then the same walls.
 *
 * In the child alone, between its clone and the interpreter: no memory is taken and no lock.
 */
#ifndef MAYFLY_SANDBOX_TEMPLATE_ENTER_H
#define MAYFLY_SANDBOX_TEMPLATE_ENTER_H

#include "sandbox/spawner_protocol.h"
#include "sandbox/template.h"
#include "sandbox/template_serve.h"

/* What the child goes by. */
struct template_birth {
	int control; /* borrowed: to the spawner */
	const struct template_request *request;
	const struct spawner_fds *fds; /* of the request */
	const struct template_hooks *hooks;
};

/* Reports ENTERED, and gives back a process with descriptors 0 to 3 and those that are kept; or
 * reports FAILED and ends. */
void template_enter(const struct template_birth *birth);

#endif
