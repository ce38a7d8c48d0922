/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network - what of the outside a version may reach: nothing, or what its owner lists.
 *
 *	{"mode": "none"}
 *	{"mode": "egress", "allow": ["api.example.com", "*.example.com:8443", "10.1.0.0/16:5432"]}
 *
 * At most 64 entries and 16 different ports; an entry without a port means 443 and 80. What an
 * entry can be stands in net/egress_policy.h. That private addresses need the provider's word too
 * is found when a connection is made, not here: a provider may change his mind.
 * Part of a version's configuration; knows no connection. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_NETWORK_H
#define MAYFLY_DOMAIN_NETWORK_H

#include "base/json.h"
#include "net/egress_policy.h"
#include "sandbox/spawner.h"

enum { NETWORK_RULES_MAX = 64, NETWORK_PORTS_MAX = SANDBOX_EGRESS_PORTS_MAX };

struct network {
	bool has_egress;           /* mode "egress"; all zero is mode "none" */
	struct egress_rule *rules; /* owned */
	size_t n_rules;
};

/* The member "network" at `path`; replaces *ret, which stays as it is on failure. ERR_INVALID names
 * "network.mode", "network.allow[3]" and the rule. */
int network_read(const json_t *object, const char *path, struct network *ret, struct err *err);
json_t *network_json(const struct network *network);
void network_copy(const struct network *from, struct network *ret);
void network_done(struct network *network); /* leaves mode "none" */
bool network_is_equal(const struct network *a, const struct network *b);

/* Every port of its rules once, in order of size; how many. */
unsigned network_ports(const struct network *network, uint16_t ret[static NETWORK_PORTS_MAX]);

static inline void
own_network(struct network *network)
{
	network_done(network);
}

#endif
