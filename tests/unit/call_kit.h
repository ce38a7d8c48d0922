/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_kit - a domain with one ready function on a fake spawner and a real store.
 *
 * kit_free() stops the domain as the daemon does and then checks that nothing is left: no call, no
 * instance, no byte of the queue.
 */
#ifndef MAYFLY_CALL_KIT_H
#define MAYFLY_CALL_KIT_H

#include "unit.h"

#include "domain/call.h"
#include "domain/function.h"
#include "domain/pool.h"
#include "domain/record.h"
#include "fake_spawner.h"

struct kit {
	char *folder; /* owned */
	struct loop *loop;
	struct spawner *spawner;
	struct store *store;
	struct domain domain;
	struct org *org;
	struct function *function;
	struct version *version; /* its active one: concurrency 1, 4 instances */
	bool is_over;
};

struct kit *kit_new(void);
void kit_free(struct kit *kit);
OWN_DEFINE(kit, struct kit *, kit_free)

/* Another ready version, of a function of that name that is made when there is none. */
struct version *kit_version(struct kit *kit, const char *function);
/* In an org of that name, which is made too. */
struct version *kit_version_of(struct kit *kit, const char *org, const char *function);

void kit_turn(struct kit *kit); /* of the loop, and of the fakes */
/* Turns until *flag is true; fails after a minute. */
void kit_until(struct kit *kit, const bool *flag);
void kit_wait_ms(struct kit *kit, uint64_t ms);

struct pool_stats kit_stats(struct version *version);

/* Records of the function as JSON, the newest first; decref'd by the caller. */
json_t *kit_records(struct kit *kit);

#endif
