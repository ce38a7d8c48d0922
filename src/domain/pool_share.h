/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_share - how the pools of all orgs share the machine: who may start an instance next.
 *
 *	 pool_share_ask() ─▶ WANTS ──turn──▶ the pool starts one ─▶ WANTS again, last in its org
 *	                        └──wants no more at its turn──▶ out
 *
 * Two things are scarce. Slots: so many instances start at one time (config.starts), because more
 * of them only make each other slower; one that starts longer than POOL_SLOT_MS gives its slot up,
 * so that a program that hangs holds nobody. Places: so many instances are there at one time
 * (config.max_instances_total). Orgs take turns, and in an org its functions, one instance a turn:
 * who asks for a hundred waits behind who asks for one.
 *
 * Where places are scarce too, the org with the fewest instances comes first, and room is made for
 * it: the instance that is idle longest ends, of the org that has the most of those with an idle
 * one; if none is idle, an org that has at least two more gives the next that ends its call.
 * Instances that min_instances keeps make no room, and need none that calls use.
 *
 * Knows no call. ON_LOOP. Invariants: an org's share is there while it has a pool; a pool is in
 * `wanting` of its share, and the share in `turns`, as long as it is due an instance.
 */
#ifndef MAYFLY_DOMAIN_POOL_SHARE_H
#define MAYFLY_DOMAIN_POOL_SHARE_H

#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

struct domain;
struct pool;
struct pool_instance;

enum { POOL_SLOT_MS = 250, POOL_LOOK_MS = 100, POOL_END_LATE_MS = 1000 };

/* Of the machine; stands in the domain. */
struct pool_shares {
	struct map orgs;      /* name → struct pool_share, owned */
	struct list turns;    /* of pool_share that want, whose turn is next first */
	struct list starting; /* of pool_instance that hold a slot, the oldest first */
	unsigned n_slots, n_slots_taken, n_cpus;
	unsigned n_wanting;  /* pools */
	unsigned n_leaving;  /* instances that were told to end and are not gone */
	unsigned n_draining; /* instances that end after their calls, to make room */
	bool is_at_it;
};

/* Of an org; held by its pools. */
struct pool_share {
	struct domain *domain; /* borrowed */
	char org[64];
	unsigned n_pools;
	unsigned n_instances; /* start to gone */
	struct list turn_link;
	struct list wanting; /* of pool, whose turn is next first */
	struct list idle;    /* of pool_instance, the one that is idle longest first */
};

/* Once per domain. */
void pool_share_setup(struct domain *domain);

struct pool_share *pool_share_hold(struct domain *domain, const char *org);
void pool_share_release(struct pool_share *share);

/* The pool is due an instance: it gets its turn in pool_share_run(). */
void pool_share_ask(struct pool *pool);
void pool_share_withdraw(struct pool *pool);

/* Hands out what is free now. */
void pool_share_run(struct domain *domain) ON_LOOP;

/* The counters of an instance: it starts, it is ready, it was told to end, it is gone. */
void pool_share_started(struct pool_instance *member, uint64_t now_us);
void pool_share_ready(struct pool_instance *member);
void pool_share_leaving(struct pool_instance *member);
void pool_share_gone(struct pool_instance *member);

/* Whether an instance that ended a call ends as well, because others have a better right to its
 * place. */
bool pool_share_is_owed(const struct pool *pool, bool is_draining);

/* Instances start, or wait for their turn to. */
bool pool_share_is_starting(const struct domain *domain);

#endif
