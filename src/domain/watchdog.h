/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchdog - tells which calls of one version are over their deadline, or may be over their CPU
 * time, with one timer for all of them.
 *
 * A call has one deadline while it waits and, from when it runs, another: a function with a short
 * time limit must not lose it to the start of its instance. All calls of a version have the same
 * limits, so the order in which they wait, or run, is the order of their deadlines: a call that
 * ends in time costs two list operations and never moves the timer. A call
 * cannot use more CPU time than wall time × processors, so its CPU time is first looked at when
 * that could be past the budget, and from then on when the rest could be used up.
 *
 * Knows nothing of calls but their entry. ON_LOOP. Invariant: the timer is never later than the
 * earliest thing to tell.
 */
#ifndef MAYFLY_DOMAIN_WATCHDOG_H
#define MAYFLY_DOMAIN_WATCHDOG_H

#include "net/loop.h"

/* Of a call; n_cpus is how many processors it may use at once. */
struct watchdog_limits {
	uint64_t wait_us, deadline_us, cpu_us;
	unsigned n_cpus;
};

struct watchdog {
	struct loop_timer timer;
	uint64_t timer_us;     /* when it rings, 0 while it is not set */
	struct list waits;     /* of watchdog_entry that wait, the earliest deadline first */
	struct list deadlines; /* of those that run, the earliest first */
	struct list runs; /* that run and whose CPU time was never looked at, the oldest first */
	struct list suspects; /* whose CPU time was looked at, in no order */
	struct watchdog_limits limits;
};

/* Stands inside the call. */
struct watchdog_entry {
	struct list deadline_link, cpu_link;
	uint64_t deadline_us, cpu_check_us; /* monotonic */
	/* Either may remove this entry and those of other calls. */
	void (*on_deadline)(struct watchdog_entry *entry);
	uint64_t (*cpu_us)(struct watchdog_entry *entry); /* used by now */
	void (*on_cpu)(struct watchdog_entry *entry);     /* over the budget */
};

void watchdog_init(struct watchdog *watchdog, struct loop *loop);
/* Before the first call. */
void watchdog_limit(struct watchdog *watchdog, const struct watchdog_limits *limits);
/* Nothing may be watched any more. closed() is called once, when the memory may go. */
void watchdog_close(struct watchdog *watchdog, void (*closed)(struct loop_timer *timer)) ON_LOOP;

/* Before any of the next three. */
void watchdog_entry_init(struct watchdog_entry *entry);
/* Its wait begins. */
void watchdog_wait(
	struct watchdog *watchdog, struct watchdog_entry *entry, uint64_t now_us) ON_LOOP;
/* Its wait, if there was one, is over; its deadline and its CPU time begin. */
void watchdog_run(struct watchdog *watchdog, struct watchdog_entry *entry, uint64_t now_us) ON_LOOP;
void watchdog_remove(struct watchdog_entry *entry) ON_LOOP; /* harmless twice */

#endif
