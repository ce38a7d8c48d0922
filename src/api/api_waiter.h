/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_waiter - requests that wait for something without an end of their own, and how many may.
 *
 * Who waits (`?wait=30s`) and who follows (server-sent events) holds a connection and memory for
 * as long as it likes, so both are bounded, for an org and in all: ERR_RATE beyond. api_stop()
 * ends them. Knows nothing of what is waited for. ON_LOOP.
 */
#ifndef MAYFLY_API_API_WAITER_H
#define MAYFLY_API_API_WAITER_H

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"

enum api_waiter_kind { API_WAITER_WAITS, API_WAITER_FOLLOWS, API_WAITER_KINDS };

/* Stands inside its owner. */
struct api_waiter {
	struct list link; /* in api_waiters.all */
	void (*stop)(struct api_waiter *waiter);
	struct api_waiters *waiters; /* borrowed; NULL while it is not counted */
	struct api_waiter_org *org;  /* borrowed */
	enum api_waiter_kind kind;
};

struct api_waiters {
	struct list all; /* of struct api_waiter */
	struct map orgs; /* name → struct api_waiter_org, owned: of those that have any */
	unsigned n[API_WAITER_KINDS];
	unsigned max[API_WAITER_KINDS], max_org[API_WAITER_KINDS];
};

void api_waiters_init(struct api_waiters *waiters);
void api_waiters_done(struct api_waiters *waiters);
void api_waiters_stop(struct api_waiters *waiters) ON_LOOP; /* all of them */

/* `stop` is set. ERR_RATE when there are as many as there may be: nothing has happened. */
int api_waiter_join(struct api_waiters *waiters, struct api_waiter *waiter,
	enum api_waiter_kind kind, const char *org, struct err *err) ON_LOOP;
void api_waiter_leave(struct api_waiter *waiter) ON_LOOP; /* harmless a second time */

#endif
