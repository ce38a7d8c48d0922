/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress - the way out of one function: its connections and its name server, under its rules.
 *
 * Inside the function's network every address leads to the sockets that are given here
 * (sandbox/anyip.h). A connection is accepted, the address that it was meant for is looked at
 * (egress_policy.h), and only then is a connection made outside and bytes passed both ways. An
 * address is open when a rule has it with the port, or when this function's own name server gave it
 * out, minutes ago at most, for a name that a rule has with the port; never when it is not of the
 * open Internet or the host's own, unless the provider lists it. What is refused is reset.
 *
 *	 egress_listen() ─▶ open ── egress_end_call() ─▶ closed ── egress_begin_call() ─▶ open …
 *
 * Closed, nothing goes out and nothing is resolved: every connection is reset, names that were
 * asked for since the call began are forgotten, what was waiting unseen is thrown away. Without
 * calls of its own (isolation `instance`) it stays open.
 *
 * Bounded: connections per function and on the machine, bytes held per connection, time to connect,
 * time without progress, questions and names.
 * Knows no call, no org, no sandbox. ON_LOOP.
 */
#ifndef MAYFLY_NET_EGRESS_H
#define MAYFLY_NET_EGRESS_H

#include "net/egress_policy.h"
#include "net/loop.h"

/* ---- what all functions share: one per daemon ---- */

struct egress_host;

struct egress_settings {
	const char *const *open; /* NULL-terminated: ranges that the provider lists; copied */
	unsigned connections;    /* at one time, of one function's instance */
	unsigned connect_ms, idle_ms;
};

/* ERR_INVALID names the range that is none. */
int egress_host_new(struct loop *loop, const struct egress_settings *settings,
	struct egress_host **ret, struct err *err) ON_LOOP;
void egress_host_free(struct egress_host *host) ON_LOOP; /* after the last egress_free() */

struct egress_stats {
	uint64_t n_connections, n_refused, n_failed; /* since the start */
	unsigned n_open;
};
void egress_host_stats(const struct egress_host *host, struct egress_stats *ret) ON_LOOP;

/* ---- one function's ---- */

struct egress;

/* Every descriptor is owned by whoever has the struct, -1 for none. */
struct egress_sockets {
	int dns_udp, dns_tcp;
	const int *tcp; /* n of them: listeners */
	unsigned n;
};

struct egress_spec {
	const struct egress_rule *rules; /* copied */
	size_t n_rules;
	const char *owner; /* copied: whose turns at the host's resolver it takes (an org) */
	/* What was refused or failed, and why: a sentence without a full stop, for the owner of
	 * the function. May be NULL. */
	void (*on_trouble)(struct egress *egress, const char *sentence, void *arg);
	void *arg; /* borrowed */
};

struct egress *egress_new(struct egress_host *host, const struct egress_spec *spec) ON_LOOP;
/* Once, when the function's network is there. Takes over the sockets, also when it fails. */
int egress_listen(
	struct egress *egress, const struct egress_sockets *sockets, struct err *err) ON_LOOP;
void egress_free(struct egress *egress) ON_LOOP; /* closes everything; NULL is fine */

/* Before the call is told to the function, in the same turn of the loop. */
void egress_begin_call(struct egress *egress) ON_LOOP;
void egress_end_call(struct egress *egress) ON_LOOP;

/* What passed since this was asked last: `out` from the function, `in` to it. */
struct egress_bytes {
	uint64_t in, out;
};
void egress_take_bytes(struct egress *egress, struct egress_bytes *ret) ON_LOOP;

#endif
