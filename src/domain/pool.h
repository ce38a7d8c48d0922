/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool - the instances of one version, and the calls that wait for one of them.
 *
 *	 pool_place() ──an instance has room──▶ PLACED ──pool_give_back()──▶ gone
 *	     ├──no room──▶ WAITING ──room──▶ PLACED (on_placed)
 *	     │                └──no instance can be started──▶ on_refused, gone
 *	     └──queue full: RATE; back-off after failed boots: the reason of the last one
 *
 * A call goes to an instance that is busy and still has room, else to the one that became idle
 * last, so that the others can end. Another is started at once when there is none, or when those
 * at work would need longer than POOL_PATIENCE_MS for what waits; each wait of that length doubles
 * them, up to the function's max_instances. Instances end after idle_ms without a call, but for
 * the min_instances of the active version, which are there from when it serves.
 *
 * Calls that mostly compute do not become faster by more instances than two for each processor:
 * beyond these the patience is POOL_PATIENCE_BUSY_MS.
 *
 * With isolation `call` an instance that is brought back after a call has no room until it is: a
 * call and its renewal occupy one. Where more than one call in eight meets no room, a few more are
 * started. One that is used up is replaced at once; where each call uses one up, as many are
 * ready as calls come while another starts, and one.
 *
 * When an instance starts is the turn of its org (pool_share.h), which holds for the machine's
 * max_instances_total too. One that dies while it boots holds the next start back, 100 ms doubling
 * to 30 s; each step of that is a line in the log. One that is only late, of a version that was
 * loaded before, is followed by another at once, the first time.
 *
 * Knows no HTTP, no record and no deadline: a call that waits too long leaves. ON_LOOP.
 * Invariants: n_waiting > 0 means that no instance has room; an instance belongs to one version
 * for ever; domain.n_instances counts each from its start until it is gone.
 */
#ifndef MAYFLY_DOMAIN_POOL_H
#define MAYFLY_DOMAIN_POOL_H

#include "domain/watchdog.h"
#include "runtime/instance.h"

struct domain;
struct pool;
struct version;

enum { POOL_PATIENCE_MS = 10, POOL_PATIENCE_BUSY_MS = 100 };
enum { POOL_BACKOFF_MIN_MS = 100, POOL_BACKOFF_MAX_MS = 30000 };

/* Once per domain, before the first pool. */
void pool_setup(struct domain *domain);

/* Reads limits, environment, tree, deps and language of the version when its first call comes or an
 * instance starts, not before; borrows the version until pool_free(). */
struct pool *pool_new(struct version *version);

/* Ends its instances and gives up the version at once; nothing may wait or run in it. Its memory
 * lives until the last instance is gone: domain.n_instances says when all are. NULL is fine. */
void pool_free(struct pool *pool) ON_LOOP;

/* The version is the active one from here on: its min_instances are kept. */
void pool_serve(struct pool *pool) ON_LOOP;
/* It serves no more: idle instances end now, busy ones after their calls; calls still placed are
 * served. pool_serve() takes that back (rollback). */
void pool_retire(struct pool *pool) ON_LOOP;

/* Starts one instance to see whether the version loads. done(0) when it is READY (it stays as the
 * first idle one); else its reason, with what it printed. Once at a time, never called back
 * before it returns. pool_free() drops a probe without an answer. */
typedef void pool_probe_fn(int code, const struct err *reason, struct str log, void *arg);
void pool_probe(struct pool *pool, pool_probe_fn *done, void *arg) ON_LOOP;

/* After domain.n_instances was lowered by someone else (a build that ended): starts what waits
 * for a place on the machine. */
void pool_room_freed(struct domain *domain) ON_LOOP;

/* ---- a call's place; the struct stands inside the call ---- */
struct pool_place {
	/* set by the caller */
	size_t body_len; /* counted in domain.queue_bytes while it waits */
	uint64_t cpu_us; /* that the call has used, before it is given back; 0 if not known */
	void (*on_placed)(struct pool_place *place);
	void (*on_refused)(struct pool_place *place, const struct err *reason);
	/* for the caller to read */
	struct instance *instance; /* borrowed until given back; NULL while it waits */
	bool is_cold;              /* waited for an instance to start */
	/* private */
	struct pool *pool;
	struct pool_instance *on;
	struct list link;
	uint64_t since_us;
};

/* 1: `instance` has room for it now, the caller sends before it returns to the loop. 0: waits;
 * on_placed or on_refused will be called, unless it is given back first. Negative: refused. */
int pool_place(struct pool *pool, struct pool_place *place, struct err *err) ON_LOOP;

/* From any state, harmless twice: leaves the queue, or gives the room to the next that waits.
 * After the instance was told that the call is over (on_end, on_failure, instance_abandon). */
void pool_give_back(struct pool_place *place) ON_LOOP;

/* One timer for the deadlines of all calls of the version. */
struct watchdog *pool_watchdog(struct pool *pool);

/* Fills *err for a call that has waited too long: RATE when all the instances that the function
 * may have are at work, UNAVAILABLE when no other could be started. */
void pool_explain_wait(const struct pool *pool, uint64_t waited_us, struct err *err);

/* Whether a call that was not placed failed with this code because it came too early: then this
 * many seconds later, 1 to 60, it may have luck. */
bool pool_is_why(const struct pool *pool, int code);
unsigned pool_retry_after_s(const struct pool *pool);

struct pool_stats {
	unsigned n_starting, n_ready, n_idle; /* n_ready with n_idle */
	unsigned n_waiting, n_running;        /* calls */
	unsigned n_failed;                    /* boots in a row that failed */
	uint64_t retry_ms;                    /* until the next one may be tried */
	const struct err *boot_reason;        /* of the last, borrowed; NULL while n_failed is 0 */
	uint64_t n_started, n_boot_failures;  /* since the pool is there */
};
void pool_stats(const struct pool *pool, struct pool_stats *ret);

#endif
