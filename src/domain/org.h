/* SPDX-License-Identifier: Apache-2.0 */
/*
 * org - a tenant: its functions, its route table. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_ORG_H
#define MAYFLY_DOMAIN_ORG_H

#include "domain/domain.h"

struct org {
	char name[64];
	uint64_t created_ms;
	struct map functions; /* name → struct function, owned */
	struct map routes;    /* route without slashes at its ends → struct function, borrowed */
	bool is_deleting;
	struct domain *domain; /* borrowed */
};

struct org *org_find(const struct domain *domain, struct str name);

/* done(code, err, arg) after the commit. Deleting an org deletes its functions (calls in flight
 * finish) and its tokens. */
typedef void org_done_fn(int code, const struct err *err, void *arg);
void org_create(struct domain *domain, struct str name, org_done_fn *done, void *arg) ON_LOOP;
void org_delete(struct org *org, org_done_fn *done, void *arg) ON_LOOP;

#endif
