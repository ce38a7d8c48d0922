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

#include "domain/domain.h"
#include "domain/limits.h"

enum version_state { VERSION_INITIALIZING, VERSION_READY, VERSION_FAILED };
enum version_isolation { VERSION_ISOLATION_INSTANCE }; /* `call` joins with templates */

struct version_variable {
	char *key;   /* owned: [A-Za-z_][A-Za-z0-9_]*, at most 128, not MAYFLY_* */
	char *value; /* owned: at most 32 KiB, no NUL */
};

struct version_config {
	struct limits limits;
	enum version_isolation isolation;
	unsigned concurrency; /* calls at once in an instance: 1 */
	unsigned max_instances;
	unsigned idle_ms;
	bool is_kept_on_disconnect; /* a client that goes away does not cancel the call */
	char description[256];
	struct version_variable *environment; /* owned */
	size_t n_environment;                 /* at most 100, 64 KiB in all */
};

void version_config_default(const struct domain *domain, struct version_config *ret);
/* Members: limits, isolation, concurrency, max_instances, idle_ms, keep_on_disconnect,
 * description, environment. What is not there stays as it is in *ret; an environment replaces the
 * one before. Other members are the caller's. */
int version_config_read(const struct domain *domain, const json_t *object, const char *path,
	struct version_config *ret, struct err *err);
/* What the store has, over *ret: what the provider no longer allows is cut down to it. */
int version_config_restore(
	const struct domain *domain, const char *text, struct version_config *ret, struct err *err);
/* Without values each variable is null. */
json_t *version_config_json(const struct version_config *config, bool is_with_values);
void version_config_done(struct version_config *config);
void version_config_copy(const struct version_config *from, struct version_config *ret);

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
