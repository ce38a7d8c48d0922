/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build - how a version becomes ready: from a stored source to a handler that was loaded once.
 *
 *	 build_start()
 *	 WAITING ──turn──▶ UNPACKING ── no dependencies ─────────────────────────────────▶ PROBING
 *	                      └── dependencies ─▶ FINDING ── cached ─────────▶ PLACING ──────▲  │
 *	                                             └── not cached ─▶ QUEUED     ▲             │
 *	                                       JOINED ◀── same key ──┘  │ turn    │             │
 *	                                          └─▶ FINDING       INSTALLING ─▶ STORING       ▼
 *	 from any state: a step fails ─▶ FAILED with its reason;                            READY
 *	                 build_cancel() ─▶ no outcome
 *
 * In words: the blob becomes a tree; if the tree asks for dependencies that it has not brought
 * along they are taken from the cache, or installed in a sandbox whose result becomes a blob, a
 * row of the cache and a tree; then the pool starts one instance, which loads the handler.
 *
 * A version that was ready before, and whose trees are not on disk any more, gets these alone.
 *
 * Two lanes bound what goes on at one time: short steps, and installations (config.n_builds). In
 * each the orgs take turns. A crash at any step leaves the version INITIALIZING in the store, and
 * all of it is done again; so does a failure that is the platform's fault. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_BUILD_H
#define MAYFLY_DOMAIN_BUILD_H

#include "domain/version.h"

struct build_queue;

struct build_queue *build_queue_new(struct domain *domain);
/* Nothing goes on any more: after domain_stop(). */
void build_queue_free(struct build_queue *queue);

/* Holds the version until it is READY or FAILED, which function_settled() hears. */
void build_start(struct version *version) ON_LOOP;

/* Ends it without an outcome. */
void build_cancel(struct version *version) ON_LOOP;
void build_cancel_all(struct build_queue *queue) ON_LOOP;

struct build_stats {
	unsigned n_active;                                 /* versions on their way */
	unsigned n_installs;                               /* of them installing now */
	uint64_t n_ready, n_failed, n_cached, n_installed; /* since the start */
};
void build_stats(const struct build_queue *queue, struct build_stats *ret);

#endif
