/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aspect - one part of a program's state that a call may change: what it was, and that it is again.
 *
 *	KEEP    subject stopped ─▶ learn() of each (may add to the batch) ─▶ batch
 *	        ─▶ learnt() of each ─▶ the snapshot of memory is taken ─▶ let go
 *	RENEW   subject stopped ─▶ look() of each, adds what undoes ─▶ new threads exit, layout adds
 *	        what undoes ─▶ batch ─▶ check() of each ─▶ memory is written back ─▶ let go
 *
 * learn() and look() may read files of /proc and descriptors taken from the subject; what must be
 * done in the subject's name they add to the batch (subject.h), whose results check() finds by the
 * index that it got. An aspect keeps what it learnt in static memory of its own file: a keeper has
 * one subject. Steps that are NULL have nothing to do. Each gives 0, or -1 with a verdict: at KEEP
 * the program cannot be kept, at RENEW the sandbox is spoilt. What was undone is counted in
 * reply->figures.
 *
 * Costs count: look() and check() of all aspects together should take below 60 µs for a program
 * with one thread and ten descriptors.
 */
#ifndef MAYFLY_KEEPER_ASPECT_H
#define MAYFLY_KEEPER_ASPECT_H

#include "keeper/subject.h"

struct aspect {
	const char *name;
	int (*learn)(struct subject *subject, struct keeper_reply *reply);
	int (*learnt)(struct subject *subject, struct keeper_reply *reply);
	int (*look)(struct subject *subject, struct keeper_reply *reply);
	int (*check)(struct subject *subject, struct keeper_reply *reply);
};

/* In the order in which they are asked. */
extern const struct aspect aspect_processes;   /* every process of the sandbox but two is dead */
extern const struct aspect aspect_descriptors; /* what is open, and what the kernel says of it */
extern const struct aspect aspect_socket;      /* options and queues of the channel */
extern const struct aspect aspect_timers;      /* interval timers, POSIX timers */
extern const struct aspect aspect_signals;     /* handlers, alternate stack, pending ones */
extern const struct aspect aspect_limits; /* rlimits, priorities, affinity, prctl, umask, cwd */
extern const struct aspect aspect_files;  /* /tmp */

/* All of them, up to the first that fails. */
int aspect_learn_all(struct subject *subject, struct keeper_reply *reply);
int aspect_learnt_all(struct subject *subject, struct keeper_reply *reply);
int aspect_look_all(struct subject *subject, struct keeper_reply *reply);
int aspect_check_all(struct subject *subject, struct keeper_reply *reply);

#endif
