/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template - what goes between the spawner and a template: a booted runtime, without a line of a
 * tenant's, that instances are forked from.
 *
 * A template is a child of the spawner in the spawner's own user and pid namespaces, in a root of
 * its own, with the one capability to enter sandboxes. A SOCK_SEQPACKET pair, descriptor 4 in the
 * template, carries messages of one fixed size per direction; descriptors come beside a request.
 *
 *	spawner                              template
 *	                                ◀──    READY, once
 *	  request + descriptors        ──▶     clones a child whose parent is the spawner
 *	                                ◀──    FORKED pid; or REFUSED: nothing was cloned
 *	                              child
 *	                                ◀──    ENTERED: it is inside, and forgets this socket; or
 *	                                       FAILED: a step, and it ends
 *
 * When the socket ends the template ends. FORKED and what the child says come in any order.
 */
#ifndef MAYFLY_SANDBOX_TEMPLATE_H
#define MAYFLY_SANDBOX_TEMPLATE_H

#include <stdint.h>

#include "base/err.h"
#include "sandbox/spawner.h"
#include "sandbox/syscall_filter.h"

#define TEMPLATE_MAGIC 0x6d740001u

#define TEMPLATE_FILE "runtime/template" /* in a root: its command, one argument per line */
#define TEMPLATE_FD   4                  /* the socket; 3 is /dev/null there */

/* Descriptors of a request. */
enum template_fd {
	TEMPLATE_INIT, /* pidfd of pid 1 of the sandbox */
	TEMPLATE_CHANNEL,
	TEMPLATE_STDOUT,
	TEMPLATE_STDERR,
	TEMPLATE_PLACE, /* from here on: n_groups, of its cgroup */
};

struct template_request {
	uint32_t magic;
	uint32_t ticket;         /* comes back */
	uint32_t n_groups;       /* files to join by a "0", or with is_born_inside one folder */
	uint32_t is_born_inside; /* 1: for CLONE_INTO_CGROUP */
	uint32_t has_cgroup;     /* 1: a cgroup counts the processes */
	uint32_t is_user_shared; /* 1: with others, on the host */
	int32_t landlock_abi;
	int32_t last_capability;
	struct sandbox_limits limits;
	struct syscall_filter filter;
};

enum template_event {
	TEMPLATE_READY = 1,
	TEMPLATE_FORKED = 2,
	TEMPLATE_REFUSED = 3,
	TEMPLATE_ENTERED = 4,
	TEMPLATE_FAILED = 5,
};

struct template_report {
	uint32_t magic;
	uint32_t event; /* enum template_event */
	uint32_t ticket;
	int32_t pid;    /* FORKED: in the pid namespace of both */
	struct err err; /* REFUSED, FAILED */
};

#endif
