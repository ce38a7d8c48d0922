/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version_config - how a version is to run: limits, isolation, scaling, environment, network,
 * queue.
 *
 * The same document is read from the API and written into the store; what does not go together is
 * refused where it is read. Knows no function and no instance. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_VERSION_CONFIG_H
#define MAYFLY_DOMAIN_VERSION_CONFIG_H

#include "domain/delivery_policy.h"
#include "domain/domain.h"
#include "domain/limits.h"
#include "domain/network.h"
#include "runtime/mechanism.h"

enum version_isolation {
	VERSION_ISOLATION_CALL,     /* every call begins from the state that loading left */
	VERSION_ISOLATION_INSTANCE, /* calls share an instance, `concurrency` at a time */
};

struct version_variable {
	char *key;   /* owned: [A-Za-z_][A-Za-z0-9_]*, at most 128, not MAYFLY_* */
	char *value; /* owned: at most 32 KiB, no NUL */
};

struct version_config {
	struct limits limits;
	enum version_isolation isolation;
	enum mechanism mechanism; /* the wish; AUTO with isolation `instance` */
	unsigned concurrency;     /* calls at once in an instance: 1 */
	unsigned min_instances;   /* kept ready without calls: 0 */
	unsigned max_instances;
	unsigned idle_ms;
	bool is_kept_on_disconnect; /* a client that goes away does not cancel the call */
	char description[256];
	struct version_variable *environment; /* owned */
	size_t n_environment;                 /* at most 100, 64 KiB in all */
	struct network network;               /* owned */
	struct delivery_policy queue;         /* owned: how its durable calls are tried */
};

void version_config_default(const struct domain *domain, struct version_config *ret);
/* Members: limits, isolation, mechanism, concurrency, min_instances, max_instances, idle_ms,
 * keep_on_disconnect, description, environment, network, queue. What is not there stays as it is in
 * *ret; an environment replaces the one before. Other members are the caller's. */
int version_config_read(const struct domain *domain, const json_t *object, const char *path,
	struct version_config *ret, struct err *err);
/* What the store has, over *ret: what the provider no longer allows is cut down to it. */
int version_config_restore(
	const struct domain *domain, const char *text, struct version_config *ret, struct err *err);
/* Without values each variable is null. */
json_t *version_config_json(const struct version_config *config, bool is_with_values);
void version_config_done(struct version_config *config);
void version_config_copy(const struct version_config *from, struct version_config *ret);

const char *version_isolation_word(enum version_isolation isolation);

#endif
