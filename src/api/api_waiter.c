/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_waiter.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

struct api_waiter_org {
	char name[64];
	unsigned n[API_WAITER_KINDS];
};

void
api_waiters_init(struct api_waiters *waiters)
{
	list_init(&waiters->all);
}

void
api_waiters_done(struct api_waiters *waiters)
{
	map_each (&waiters->orgs, entry)
		free(entry->value);
	map_done(&waiters->orgs);
}

void
api_waiters_stop(struct api_waiters *waiters)
{
	while (!list_is_empty(&waiters->all)) {
		struct api_waiter *waiter = list_first(&waiters->all, struct api_waiter, link);

		waiter->stop(waiter);
	}
}

static int
api_waiter_check(const struct api_waiters *waiters, enum api_waiter_kind kind, const char *org,
	struct err *err)
{
	static const char *const words[] = {"requests wait for", "clients follow"};
	static const char *const keys[] = {"waits", "followers"};
	const struct api_waiter_org *of = map_find(&waiters->orgs, str_of(org));

	if (of && of->n[kind] >= waiters->max_org[kind])
		return err_set(err, ERR_RATE, "%u %s things of %s already (%s_org)", of->n[kind],
			words[kind], org, keys[kind]);
	if (waiters->n[kind] >= waiters->max[kind])
		return err_set(err, ERR_RATE, "%u %s things of all organisations already (%s)",
			waiters->n[kind], words[kind], keys[kind]);
	return 0;
}

int
api_waiter_join(struct api_waiters *waiters, struct api_waiter *waiter, enum api_waiter_kind kind,
	const char *org, struct err *err)
{
	int rc = api_waiter_check(waiters, kind, org, err);

	if (rc < 0)
		return rc;
	waiter->waiters = waiters;
	waiter->kind = kind;
	waiter->org = map_find(&waiters->orgs, str_of(org));
	if (!waiter->org) {
		waiter->org = mem_new(sizeof(*waiter->org));
		snprintf(waiter->org->name, sizeof(waiter->org->name), "%s", org);
		map_put(&waiters->orgs, str_of(waiter->org->name), waiter->org);
	}
	waiter->org->n[kind]++;
	waiters->n[kind]++;
	list_push_back(&waiters->all, &waiter->link);
	return 0;
}

void
api_waiter_leave(struct api_waiter *waiter)
{
	struct api_waiters *waiters = waiter->waiters;
	struct api_waiter_org *org = waiter->org;

	if (!waiters)
		return;
	waiter->waiters = NULL;
	list_remove(&waiter->link);
	waiters->n[waiter->kind]--;
	if (--org->n[waiter->kind] == 0 && !org->n[!waiter->kind]) {
		map_remove(&waiters->orgs, str_of(org->name));
		free(org);
	}
}
