/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside - what the spawner says to the process that becomes a sandbox, and what it hears back.
 *
 * Over a SOCK_SEQPACKET pair, descriptor 5 inside, that tenant code never holds: the spawner
 * sends GO (one byte: the user map is written), then one plan with its descriptors, then GO (the
 * cgroup's limits are set); the process reports from its steps, and as init.
 *
 *	spawner ── clone3 ─▶ enclose.c: its own namespaces, cgroup, user      (a spare waits here ─┐
 *	                     exec mayfly-init                                                      │
 *	                     furnish.c: root, limits, walls                         after the plan ┘
 *	                     init_main.c: environment, main program, burials
 *
 * Where the plan says that the main program comes from a template (template.h), it waits for one
 * more word when its walls stand: whether it came, or is to be started here after all.
 */
#ifndef MAYFLY_SANDBOX_INSIDE_H
#define MAYFLY_SANDBOX_INSIDE_H

#include <stdint.h>

#include "base/err.h"
#include "sandbox/spawner.h"
#include "sandbox/syscall_filter.h"

/* Descriptors of mayfly-init; 0 to 4 are the runtime's too. */
#define INSIDE_CHANNEL 3
#define INSIDE_OUTPUT  4
#define INSIDE_CONTROL 5 /* close-on-exec in init */
#define INSIDE_INIT    6 /* mayfly-init itself, until it is exec'd; then free */

#define INSIDE_UNPACK "/runtime/mayfly-unpack" /* what an UNPACK sandbox runs */

#define INSIDE_USER 1000 /* uid and gid of everything in a sandbox */

#define INSIDE_PROXY_PORT 3128 /* BUILD: where the daemon's proxy listens, on 127.0.0.1 */

enum inside_event {
	INSIDE_FAILED = 1, /* a step failed: err */
	INSIDE_LISTENER =
		2, /* beside it: BUILD the listening socket; with egress those of anyip.h */
	INSIDE_STARTED = 3, /* mayfly-init runs */
	INSIDE_EXITED = 4,  /* the main program ended: status */
};

/* One byte to mayfly-init, which waits for it. */
enum inside_word {
	INSIDE_GO = 'g',     /* the user map is written; the cgroup's limits are set */
	INSIDE_BOOT = 'b',   /* no main program was forked: start it yourself */
	INSIDE_FORKED = 'f', /* it was forked */
};

struct inside_report {
	uint32_t event; /* enum inside_event */
	int32_t status; /* exit status, or -signal */
	struct err err;
};

/* Descriptors of a plan; which are there stands in has_fd. Mounts are detached (open_tree(2)). */
enum inside_fd {
	INSIDE_FD_ROOT,
	INSIDE_FD_CODE, /* /code, of a build /source */
	INSIDE_FD_DEPS,
	INSIDE_FD_OUT, /* UNPACK: the new tree, writable */
	INSIDE_FD_CHANNEL,
	INSIDE_FD_STDOUT,
	INSIDE_FD_STDERR,
	INSIDE_FD_OUTPUT,
	INSIDE_FDS,
};

struct inside_plan {
	uint32_t kind;   /* enum sandbox_kind */
	uint32_t has_fd; /* bit n: descriptor n (enum inside_fd) is beside the plan */
	uint32_t deps_are_node_modules; /* 1: over /code/node_modules, else at /deps */
	uint32_t has_cgroup;            /* 1: a cgroup counts the processes */
	uint32_t awaits_fork; /* 1: the main program comes from a template, unless told to BOOT */
	int32_t landlock_abi;
	uint32_t has_egress; /* 1: every address leads to sockets that are passed out (anyip.h) */
	uint32_t n_egress_ports;
	uint16_t egress_ports[SANDBOX_EGRESS_PORTS_MAX];
	struct sandbox_limits limits;
	struct syscall_filter filter;
};

enum {
	INSIDE_IS_INSTANCE = 1 << SANDBOX_INSTANCE,
	INSIDE_IS_UNPACK = 1 << SANDBOX_UNPACK,
	INSIDE_IS_BUILD = 1 << SANDBOX_BUILD,
	INSIDE_ALL = INSIDE_IS_INSTANCE | INSIDE_IS_UNPACK | INSIDE_IS_BUILD,
};

/* A step of the way, by its name: what fails is told as "<doing>: <reason>". */
struct inside_step {
	const char *doing;
	int (*run)(void *state, struct err *err);
	unsigned kinds; /* bit n: the step is for sandboxes of kind n (enum sandbox_kind) */
};

/* Takes the steps that are for this kind, in order. One that fails is reported on `control`, and
 * the process ends. The kind may become known, and `control` move,
 * in a step. */
void inside_walk(const struct inside_step *steps, size_t n, const uint32_t *kind, void *state,
	const int *control);

/* A network namespace's own 127.0.0.1. */
int inside_raise_loopback(struct err *err);

#endif
