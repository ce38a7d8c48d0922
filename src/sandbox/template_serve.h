/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_serve - the part of a template that is the same in every interpreter: forks when the
 * spawner asks, and makes the child the main program of a sandbox.
 *
 * Linked into a shared object that the interpreter loads (runtimes/python/template.c,
 * runtimes/node/), which calls it once everything that instances have in common is loaded. The fork
 * is a bare clone3(2): no handler of pthread_atfork() runs, and of all threads only the calling one
 * is in the child. Between the clone and the return nothing takes memory or a lock of a library.
 *
 *	 template_serve() ──▶ recv ──▶ on_fork() ──▶ clone3 ──▶ (template) recv …
 *	                                               └──▶ (child) template_enter.c ──▶ returns 1
 *
 * One thread calls it; others must hold no lock that the child needs.
 */
#ifndef MAYFLY_SANDBOX_TEMPLATE_SERVE_H
#define MAYFLY_SANDBOX_TEMPLATE_SERVE_H

#include <stddef.h>

struct template_hooks {
	void (*on_fork)(void *arg); /* in the template, before each fork; may be NULL */
	void *arg;                  /* borrowed */
	/* Descriptors above 3 that stay open in the child, rising: an interpreter's own. All others
	 * are closed, the template's socket too. */
	const int *kept; /* borrowed, may be NULL */
	size_t n_kept;
};

/* Says READY and serves until the spawner has enough of it.
 *	1   in a child, inside its sandbox: 0 is /dev/null, 1 and 2 are its output, 3 is its
 *	    channel, on which INIT has not been read; what a fork means to the interpreter
 *	    (PyOS_AfterFork_Child, uv_loop_fork, handlers of pthread_atfork) is for the caller now
 *	0   in the template: it is to end
 *	-1  in the template: the socket is none, or the kernel cannot (errno) */
int template_serve(int control, const struct template_hooks *hooks);

#endif
