/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org - a tenant: its functions, its route table. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_ORG_H
#define MAYFLY_DOMAIN_ORG_H

#include "domain/domain.h"
#include "domain/event_turn.h"

struct org {
	char name[64];
	uint64_t created_ms;
	struct map functions; /* name → struct function, owned */
	struct map routes;    /* route without slashes at its ends → struct function, borrowed */
	struct map schedules; /* name → struct schedule, owned */
	struct map triggers;  /* name → struct trigger, owned */
	struct trigger_index *trigger_index; /* owned: of those that are enabled */
	/* Of puts that are on their way to the disk: limits count them with what is there. */
	size_t n_schedules_coming, n_triggers_coming, n_conditions_coming;
	struct event_log *events;     /* owned: what it accepted last */
	struct event_line event_line; /* of events that wait to be matched */
	bool is_deleting;             /* not in domain.orgs any more */
	unsigned n_leaving;           /* its functions in domain.leaving, and who holds it */
	struct domain *domain;        /* borrowed */
};

struct org *org_find(const struct domain *domain, struct str name);

/* done(code, err, arg) after the commit. Deleting an org deletes its functions (calls in flight
 * finish) and its tokens. */
typedef void org_done_fn(int code, const struct err *err, void *arg);
void org_create(struct domain *domain, struct str name, org_done_fn *done, void *arg) ON_LOOP;
void org_delete(struct org *org, org_done_fn *done, void *arg) ON_LOOP;

/* ---- for this room ---- */

/* An org of the store, into domain.orgs. */
struct org *org_add(struct domain *domain, const char *name, uint64_t created_ms);
/* It lives on, though it may be deleted meanwhile, until it is released. */
void org_hold(struct org *org);
void org_release(struct org *org);
/* Frees an org that was deleted when its last function has left. */
void org_settle(struct org *org);
/* Frees it with all its functions, at the end of the process. */
void org_free(struct org *org);

#endif
