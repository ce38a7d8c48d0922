/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version - one immutable state of a function: source, configuration, and how it becomes ready.
 *
 *	 INITIALIZING: store blob ─▶ unpack ─▶ (dependencies: cache or build) ─▶ first instance
 *loads it └─▶ READY (ready_ms)            └─ at any step ─▶ FAILED (reason, build_log)
 *
 * The steps are in build.c. A version owns the pool of its instances. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_VERSION_H
#define MAYFLY_DOMAIN_VERSION_H

#include "domain/version_config.h"

enum version_state { VERSION_INITIALIZING, VERSION_READY, VERSION_FAILED };
struct version {
	struct list link;          /* in function.versions */
	struct function *function; /* borrowed */
	uint32_t number;
	enum version_state state;
	const struct language *language; /* borrowed; NULL if the host has it no longer */
	char runtime[32];
	char handler[256];
	char source[ID_SHA256_SIZE];
	char filename[128];
	char tree[ID_SHA256_SIZE];
	char deps[ID_SHA256_SIZE];
	struct version_config config; /* owned */
	enum mechanism mechanism;     /* that serves it now; NONE with isolation `instance` */
	char mechanism_reason[192];   /* why it is not the best, or not the one wished; "" */
	unsigned n_unable;            /* keepers that failed, as by chance, since unable_ms */
	uint64_t unable_ms;           /* monotonic */
	uint64_t retry_ms;            /* when the best is tried again; 0 for never */
	char *reason;                 /* owned, "" unless FAILED */
	char *build_log;              /* owned, "" without */
	uint64_t created_ms, ready_ms;
	struct pool *pool;   /* owned: its instances and waiting calls */
	struct build *build; /* borrowed: while it is made ready, else NULL */
	bool is_retried;  /* FAILED, but not for a fault of its own: the next start tries again */
	unsigned n_users; /* calls and builds that hold it; freed at 0 when it was dropped */
	bool is_dropped;
};

const char *version_state_word(enum version_state state);

/* A call or a build holds its version. The last release frees what was dropped, and finishes the
 * deletion of a function that has no call left (its n_calls is lowered before). */
void version_hold(struct version *version) ON_LOOP;
void version_release(struct version *version) ON_LOOP;

/* ---- for this room ---- */

/* Once its language and its configuration stand: which mechanism serves it. */
void version_choose_mechanism(struct version *version);
/* The one for an instance that starts now. */
enum mechanism version_mechanism(struct version *version);
/* An instance that was started with `tried` could not be kept with it (instance_events.on_unable):
 * the next mechanism serves from now on, at once for what lies in the program; for what may be
 * chance after some such failures in a short time, and not for ever. */
void version_mechanism_failed(struct version *version, enum mechanism tried,
	enum renewal_cause cause, const char *why) ON_LOOP;

/* A version of a function, at the end of its list, INITIALIZING; its pool is made by the caller,
 * once the configuration stands. */
struct version *version_new(struct function *function, uint32_t number);

/* It belongs to its function no more for whoever asks; it is freed when nobody holds it. */
void version_drop(struct version *version) ON_LOOP;

/* At the end of the process: nothing is taken from the disk. */
void version_free(struct version *version);

/* What stands in the store; *ret_config, to which the row points, is freed by the caller. */
struct row_version;
void version_row(const struct version *version, struct row_version *ret, char **ret_config);

#endif
