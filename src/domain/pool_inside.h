/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_inside - what the parts of a pool share: its places (pool.c), how many instances it wants
 * (pool_scale.c), whose turn it is (pool_share.c), their life (pool_start.c), what is told
 * (pool_stats.c). For these files only. ON_LOOP.
 *
 *	 starting ──READY──▶ idle ◀──▶ partial ◀──▶ full      one list for each; what is renewed
 *	     └───────────────┴───────────┴───────────┴──▶ ending ──on_gone──▶ freed     is in `full`
 *
 * Probes and refusals call back into the domain, which may give up the version there: `version`
 * is looked at again after each. The memory of the pool is held by n_refs.
 */
#ifndef MAYFLY_DOMAIN_POOL_INSIDE_H
#define MAYFLY_DOMAIN_POOL_INSIDE_H

#include "domain/function.h"
#include "domain/pool.h"

/* An address layout does not live for ever. An instance that keeps what its calls made, compiled
 * code too, is not replaced more often than that, however many calls it has a second. */
enum { POOL_RENEW_CALLS = 100000, POOL_RENEW_KEPT_US = 600000000 };

struct pool_instance {
	struct pool *pool;         /* borrowed */
	struct instance *instance; /* owned until on_gone */
	struct list link;          /* in one of the pool's lists */
	struct list idle_link;     /* in the share's `idle` while it is in the pool's */
	struct list slot_link;     /* in pool_shares.starting while it holds a slot */
	uint64_t started_us, ready_us, idle_since_us;
	uint64_t busy_since_us; /* when its last call was placed */
	uint64_t over_us;       /* when that one was over */
	unsigned n_calls;
	bool was_ready, is_ending;
	bool is_renewing; /* it has ended a call and is brought back */
	bool is_draining; /* ending, after the calls that it has */
};

struct pool {
	struct domain *domain;    /* borrowed */
	struct version *version;  /* borrowed; NULL once given up */
	struct pool_share *share; /* held */
	struct watchdog watchdog;
	struct loop_timer timer; /* patience, back-off, idle ends */
	uint64_t timer_us;       /* when it rings, 0 while it is not set */
	unsigned n_refs;         /* the pool's own, its two timers, its instances */

	struct list starting, idle /* the last used first */, partial, full, ending;
	unsigned n_starting, n_ready /* idle, partial, full */, n_idle, n_running;
	struct list waiting; /* of pool_place, the oldest first */
	unsigned n_waiting;

	struct list want_link; /* in the share's `wanting` while it is due an instance */
	unsigned n_due;

	pool_probe_fn *probe; /* NULL while nobody asks */
	void *probe_arg;
	bool is_serving; /* of the active version: min_instances are kept */
	bool is_retired;
	bool is_replacing; /* starts one for those that served long */
	bool is_once;      /* its instances serve one call each */
	bool is_rewound;   /* its instances are brought back after each call */
	bool is_spoilt;    /* the last used up could not be brought back */

	uint64_t scaled_us;    /* when instances were last added for what waits */
	uint64_t service_us;   /* mean time of a call, renewal included; 0 before the first */
	uint64_t renewal_us;   /* mean of that part of it */
	uint64_t cpu_us;       /* mean of the CPU time of a call */
	uint64_t quick_us;     /* the quickest of the last calls, without its renewal */
	uint64_t quick_now_us; /* of those since then, n_timed */
	unsigned n_timed;
	uint64_t start_us;     /* mean time from a start to READY; 0 before the first */
	uint64_t spent_us;     /* when an instance was last used up; 0 for never */
	uint64_t spent_gap_us; /* mean time between two of these */
	unsigned late_share;   /* of 65536 calls, those that found no room, of the last */

	uint64_t backoff_ms, backoff_until_us, failed_us;
	uint64_t excused_us;     /* when a boot was first late since one was in time; 0: none */
	struct err *boot_reason; /* owned: of the last failed boot; NULL before one */
	unsigned n_failed;       /* boots in a row */
	uint64_t n_started, n_boot_failures;
};

/* It served long enough to be replaced. */
static inline bool
pool_is_old(const struct pool_instance *member, uint64_t now_us)
{
	return instance_n_served(member->instance) >= POOL_RENEW_CALLS &&
	       (member->pool->is_rewound || now_us >= member->ready_us + POOL_RENEW_KEPT_US);
}

/* ---- pool.c ---- */
void pool_unref(struct pool *pool);
void pool_arm(struct pool *pool, uint64_t at_us, uint64_t now_us) ON_LOOP;
void pool_set_ending(struct pool_instance *member);
void pool_set_idle(struct pool_instance *member, uint64_t now_us) ON_LOOP;
void pool_set_busy(struct pool_instance *member);
void pool_feed(struct pool *pool, uint64_t now_us) ON_LOOP; /* gives room to those that wait */
void pool_room_again(struct pool_instance *member, uint64_t now_us) ON_LOOP;
void pool_answer_probe(struct pool *pool, const struct err *reason, struct str log) ON_LOOP;

/* ---- pool_scale.c ---- */
/* Asks for the instances that are wanted, and lets whoever has a turn start. */
void pool_scale(struct pool *pool, uint64_t now_us) ON_LOOP;
/* At its turn: whether the pool still needs what it asked for. */
bool pool_is_due(const struct pool *pool, uint64_t now_us);
/* Calls wait for it, or a probe. */
bool pool_is_urgent(const struct pool *pool);
bool pool_is_in_backoff(const struct pool *pool, uint64_t now_us);
uint64_t pool_expected_wait_us(const struct pool *pool);
unsigned pool_n_kept(const struct pool *pool); /* by min_instances */
void pool_learn_late(struct pool *pool, bool is_late);
void pool_learn_service(struct pool *pool, uint64_t us);
void pool_learn_renewal(struct pool *pool, uint64_t us);
void pool_learn_call(struct pool *pool, uint64_t us, uint64_t cpu_us);
void pool_learn_start(struct pool *pool, uint64_t us);
void pool_learn_spent(struct pool *pool, uint64_t now_us);

static inline unsigned
pool_n(const struct pool *pool)
{
	return pool->n_starting + pool->n_ready;
}

/* ---- pool_start.c ---- */
/* There is a place for it. */
void pool_start(struct pool *pool, uint64_t now_us) ON_LOOP;
/* Starts another for those that served long, which end when it is ready. */
void pool_replace(struct pool *pool, uint64_t now_us) ON_LOOP;
void pool_end_instance(struct pool_instance *member) ON_LOOP;
void pool_drain_instance(struct pool_instance *member) ON_LOOP;

#endif
