/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_host - the templates (template.h) of a spawner: one that is ready for each root that has
 * a command for it, a new one before the old one ends, and again when one dies.
 *
 *	        host_start()          it says READY         an hour old, 10,000 forks
 *	 FREE ─────▶ BOOTING ─────────────▶ READY ─────────────▶ LEAVING, when the next is READY
 *	   ▲            └──── its socket is at the end: dead, buried, asked again later ───┤
 *	   └───────────────────────────────────────────────────────────────────────────────┘
 *
 * What it is asked goes to the one that is READY; nobody waits for one that is not. Each that
 * fails makes the next attempt wait twice as long, to a minute; one whose forks cannot enter their
 * sandboxes is not started again. Says in the log what becomes of them.
 * Knows nothing of seats: a ticket tells which fork is whose. mayfly-spawner; one thread.
 */
#ifndef MAYFLY_SANDBOX_TEMPLATE_HOST_H
#define MAYFLY_SANDBOX_TEMPLATE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/cgroup.h"
#include "sandbox/template.h"

struct template_host_plan {
	struct cgroup_parent *cgroups; /* borrowed */
	unsigned first_group;          /* their groups have numbers from here on */
	const char *const *roots;      /* borrowed: paths, for their names in the log */
	unsigned n_roots;              /* root n is /roots/n of the stage */
	int last_capability;
	/* Watches a socket, for template_host_on_readable(slot). */
	int (*watch)(int fd, unsigned slot, struct err *err);
	/* A report but READY. */
	void (*on_report)(const struct template_report *report);
	/* This one died: what it was asked and has not reported will not come. */
	void (*on_end)(unsigned slot);
};

/* On the stage. Starts one for each root that has a command. */
void template_host_open(const struct template_host_plan *plan);

bool template_host_is_ready(unsigned root);

/* The descriptors are borrowed. Gives the slot that was asked, or -1 when none is ready. */
int template_host_ask(
	unsigned root, const struct template_request *request, const int *fds, size_t n_fds);

void template_host_on_readable(unsigned slot);

/* Its forks cannot enter their sandboxes. */
void template_host_distrust(unsigned slot, const struct err *reason);

/* Starts and ends those whose time has come; gives when to come again, in ms, -1 for never. */
int template_host_tick(void);

/* Ends them all. */
void template_host_close(void);

#endif
