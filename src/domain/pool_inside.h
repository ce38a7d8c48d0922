/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_inside - what the parts of a pool share: its places (pool.c) and its instances
 * (pool_start.c). For these two files only. ON_LOOP.
 *
 *	 starting ──READY──▶ idle ◀──▶ partial ◀──▶ full      one list for each
 *	     └───────────────┴───────────┴───────────┴──▶ ending ──on_gone──▶ freed
 *
 * Probes and refusals call back into the domain, which may give up the version there: `version`
 * is looked at again after each. The memory of the pool is held by n_refs.
 */
#ifndef MAYFLY_DOMAIN_POOL_INSIDE_H
#define MAYFLY_DOMAIN_POOL_INSIDE_H

#include "domain/function.h"
#include "domain/pool.h"

enum { POOL_RENEW_CALLS = 100000 }; /* an address layout does not live for ever */

struct pool_instance {
	struct pool *pool;         /* borrowed */
	struct instance *instance; /* owned until on_gone */
	struct list link;          /* in one of the pool's lists */
	struct list idle_link;     /* in domain.idle_instances while it is in `idle` */
	uint64_t idle_since_us, ready_us;
	unsigned n_calls;
	bool was_ready, is_ending;
};

struct pool {
	struct domain *domain;   /* borrowed */
	struct version *version; /* borrowed; NULL once given up */
	struct watchdog watchdog;
	struct loop_timer timer; /* patience, back-off, idle ends */
	uint64_t timer_us;       /* when it rings, 0 while it is not set */
	unsigned n_refs;         /* the pool's own, its two timers, its instances */

	struct list starting, idle /* the last used first */, partial, full, ending;
	unsigned n_starting, n_ready /* idle, partial, full */, n_idle, n_running;
	struct list waiting; /* of pool_place, the oldest first */
	unsigned n_waiting;
	struct list starved_link; /* in domain.starved_pools */

	pool_probe_fn *probe; /* NULL while nobody asks */
	void *probe_arg;
	bool is_retired, is_renewing;
	uint64_t scaled_us;  /* when instances were last added */
	uint64_t service_us; /* mean time of a call, 0 before the first */

	uint64_t backoff_ms, backoff_until_us;
	struct err boot_reason; /* of the last failed boot */
	uint64_t n_started, n_boot_failures;
};

/* ---- pool.c ---- */
void pool_unref(struct pool *pool);
void pool_arm(struct pool *pool, uint64_t at_us, uint64_t now_us) ON_LOOP;
void pool_set_ending(struct pool_instance *member);
void pool_set_idle(struct pool_instance *member, uint64_t now_us) ON_LOOP;
void pool_set_busy(struct pool_instance *member);
void pool_feed(struct pool *pool, uint64_t now_us) ON_LOOP; /* gives room to those that wait */
void pool_answer_probe(struct pool *pool, const struct err *reason, struct str log) ON_LOOP;

/* ---- pool_start.c ---- */
/* Starts what is wanted and may be started now. */
void pool_scale(struct pool *pool, uint64_t now_us) ON_LOOP;
/* Starts another for those that served long, which end when it is ready. */
void pool_renew(struct pool *pool, uint64_t now_us) ON_LOOP;
void pool_end_instance(struct pool_instance *member) ON_LOOP;
bool pool_is_in_backoff(const struct pool *pool, uint64_t now_us);
uint64_t pool_expected_wait_us(const struct pool *pool);

#endif
