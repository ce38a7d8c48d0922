/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain - what mayfly is about: orgs, tokens, functions, versions, calls; and what they stand on.
 *
 * One `struct domain` per daemon, made by daemon/, handed to whoever needs it. Everything in this
 * room lives on the loop thread; the registry is in memory, and a change is acknowledged after
 * the store committed it.
 */
#ifndef MAYFLY_DOMAIN_DOMAIN_H
#define MAYFLY_DOMAIN_DOMAIN_H

#include "base/map.h"
#include "domain/pool_share.h"
#include "net/egress.h"
#include "net/loop.h"
#include "runtime/language.h"
#include "runtime/renewal.h"
#include "sandbox/spawner.h"
#include "store/store.h"

struct domain_config {
	const char *data_dir;
	unsigned max_instances;       /* of one function, ceiling and default: 1000, 16 */
	unsigned max_instances_total; /* of the machine: 2000 */
	unsigned max_concurrency;     /* of an instance: 1000 */
	unsigned idle_ms;             /* an instance without calls ends after it: 60 s */
	unsigned boot_ms;             /* start to READY: 10 s */
	unsigned starts;              /* instances that start at one time; 0: two per processor */
	unsigned queue_calls;         /* waiting calls of one function: 1000 */
	unsigned queue_ms;            /* most that a call waits for an instance: 30 s */
	uint64_t queue_bytes;         /* request bodies of waiting calls, all functions: 512 MiB */
	uint64_t source_bytes;        /* of an upload: 64 MiB */
	uint64_t build_memory_bytes;  /* 1 GiB, its tmpfs included */
	uint64_t build_bytes;         /* tmpfs of a build: 512 MiB */
	unsigned build_ms;            /* 5 min */
	unsigned n_builds;            /* at one time: 2 */
	const char *npm_registry;     /* "https://registry.npmjs.org/" */
	const char *pip_index;        /* "https://pypi.org/simple/" */
	const char *const *build_hosts; /* NULL-terminated extra "host:port", e.g.
					   files.pythonhosted.org:443 */
	unsigned keep_calls;            /* call records kept per function: 10000 */
	unsigned keep_days;             /* and at most so long: 7 */
	unsigned keep_versions;         /* per function; older ones that are not active go: 50 */
};

struct delivery_host;

struct domain {
	struct domain_config config;
	struct loop *loop;        /* borrowed */
	struct store *store;      /* borrowed */
	struct spawner *spawner;  /* borrowed */
	const struct root *roots; /* borrowed: from root_prepare(language_roots()) */
	size_t n_roots;
	struct egress_host *egress; /* borrowed: the way out of functions that have one */
	struct map orgs;            /* name → struct org, owned */
	struct map tokens;          /* SHA-256 of the secret → struct token, owned */
	struct map shelf;    /* name → struct shelf_tree, owned: what is unpacked on disk */
	struct list leaving; /* of struct function, owned: deleted, with calls in flight */
	struct map calls;    /* id → struct call in flight, borrowed */
	struct record_log *records;     /* owned */
	struct build_queue *builds;     /* owned */
	unsigned n_instances;           /* STARTING to GONE, builds too */
	uint64_t queue_bytes;           /* held by waiting calls */
	struct pool_shares shares;      /* who may start an instance next */
	struct renewal_tally *renewals; /* held: of all instances of the machine */
	bool is_stopping;
	struct event_known *events_known; /* owned: which events are certainly new */
	struct event_turns *event_turns;  /* owned: whose event is matched next */
	uint64_t triggers_looked_us;      /* when what waits of all was counted; 0 for never */
	struct schedule_clock *schedules; /* owned */
	struct delivery_host *deliveries; /* borrowed: durable calls; NULL before it is made */
	struct domain_upkeep *upkeep;     /* owned: what is done now and then */
};

void domain_config_default(struct domain_config *ret);

/* The root that was made of a plan; NULL if it was not made. */
const struct root *domain_root(const struct domain *domain, const struct root_plan *plan);

/* config, loop, store, spawner and roots are set, the rest is zero. Loads the registry from the
 * store, before the loop runs. After an error domain_free() is still to be called. */
int domain_open(struct domain *domain, struct err *err);

/* First turn of the loop. Brings every version back to its state: what was initializing is built
 * again, as is an active version whose trees are not on disk any more. Starts no instance of what
 * is ready. */
void domain_resume(struct domain *domain) ON_LOOP;

/* Refuses new calls (UNAVAILABLE), waits for those in flight up to grace_ms, flushes records and
 * meters, then calls done(arg). */
void domain_stop(
	struct domain *domain, unsigned grace_ms, void (*done)(void *arg), void *arg) ON_LOOP;
/* After store_close() and spawner_free(), which call back what was asked of them. */
void domain_free(struct domain *domain);

#endif
