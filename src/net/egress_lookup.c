/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's resolver works on threads of libuv, few of them, and a name whose servers are silent
 * holds one for seconds: an owner has two at a time, so that names of one org do not hold those of
 * another.
 */
#include <netdb.h>
#include <stdlib.h>

#include "base/own.h"
#include "net/egress_inside.h"

#define LOOKUPS_OF_OWNER 2

struct egress_owner {
	char *name; /* owned */
	unsigned n_holders, n_running;
	struct list waiting; /* of egress_lookup */
};

struct egress_lookup {
	uv_getaddrinfo_t uv;
	struct list link;           /* in owner.waiting, or host.lookups while it runs */
	struct egress_host *host;   /* borrowed; NULL when it is gone */
	struct egress_owner *owner; /* held; NULL with the host */
	char *name;                 /* owned */
	bool is_running;
	egress_lookup_fn *done; /* NULL when nobody wants to know */
	void *arg;              /* borrowed */
};

struct egress_owner *
egress_lookup_hold(struct egress_host *host, const char *name)
{
	struct egress_owner *owner = map_find(&host->owners, str_of(name));

	if (!owner) {
		owner = mem_new(sizeof(*owner));
		owner->name = str_dup(str_of(name));
		list_init(&owner->waiting);
		map_put(&host->owners, str_of(name), owner);
	}
	owner->n_holders++;
	return owner;
}

void
egress_lookup_release(struct egress_host *host, struct egress_owner *owner)
{
	if (!owner || --owner->n_holders > 0)
		return;
	map_remove(&host->owners, str_of(owner->name));
	free(owner->name);
	free(owner);
}

static void ON_LOOP
lookup_free(struct egress_lookup *lookup)
{
	list_remove(&lookup->link);
	if (lookup->host)
		egress_lookup_release(lookup->host, lookup->owner);
	free(lookup->name);
	free(lookup);
}

static void ON_LOOP
lookup_tell(struct egress_lookup *lookup, int status, const struct addrinfo *found)
{
	struct egress_address addresses[EGRESS_ADDRESSES_MAX];
	enum egress_dns_code code = status == 0                   ? EGRESS_DNS_OK
				    : status == UV_EAI_NONAME     ? EGRESS_DNS_NO_NAME
				    : status == UV_EAI_NODATA     ? EGRESS_DNS_OK
				    : status == UV_EAI_ADDRFAMILY ? EGRESS_DNS_OK
								  : EGRESS_DNS_FAILED;
	size_t n = 0;

	for (; found && n < EGRESS_ADDRESSES_MAX; found = found->ai_next)
		n += egress_address_of(found->ai_addr, &addresses[n]);
	lookup->done(code, addresses, n, lookup->arg);
}

static void lookup_run_next(struct egress_owner *owner) ON_LOOP;

static void ON_LOOP
lookup_on_found(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
	struct egress_lookup *lookup = list_owner(uv, struct egress_lookup, uv);

	if (lookup->done)
		lookup_tell(lookup, status, found);
	uv_freeaddrinfo(found);
	if (lookup->host) {
		lookup->owner->n_running--;
		lookup_run_next(lookup->owner);
	}
	lookup_free(lookup);
}

static void ON_LOOP
lookup_run_next(struct egress_owner *owner)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct egress_lookup *lookup;

	while (owner->n_running < LOOKUPS_OF_OWNER &&
		(lookup = list_first(&owner->waiting, struct egress_lookup, link))) {
		int rc;

		list_remove(&lookup->link);
		list_push_back(&lookup->host->lookups, &lookup->link);
		lookup->is_running = true;
		owner->n_running++;
		rc = uv_getaddrinfo(loop_uv(lookup->host->loop), &lookup->uv, lookup_on_found,
			lookup->name, NULL, &hints);
		must(rc == 0);
	}
}

struct egress_lookup *
egress_lookup_start(struct egress_host *host, struct egress_owner *owner, const char *name,
	egress_lookup_fn *done, void *arg)
{
	struct egress_lookup *lookup = mem_new(sizeof(*lookup));

	lookup->host = host;
	lookup->owner = owner;
	lookup->name = str_dup(str_of(name));
	lookup->done = done;
	lookup->arg = arg;
	owner->n_holders++;
	list_push_back(&owner->waiting, &lookup->link);
	lookup_run_next(owner);
	return lookup;
}

/* One that runs ends by itself. */
void
egress_lookup_drop(struct egress_lookup *lookup)
{
	lookup->done = NULL;
	if (!lookup->is_running)
		lookup_free(lookup);
	else
		uv_cancel((uv_req_t *)&lookup->uv);
}

void
egress_lookup_end_all(struct egress_host *host)
{
	struct egress_lookup *lookup;

	list_each (&host->lookups, lookup, link) {
		lookup->done = NULL;
		egress_lookup_release(host, lookup->owner);
		lookup->host = NULL;
		list_remove(&lookup->link);
		uv_cancel((uv_req_t *)&lookup->uv);
	}
}
