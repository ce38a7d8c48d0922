/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_inside - what the parts of a way out share: its life (egress.c), its connections
 * (egress_conn.c), its name server (egress_server.c), the names it gave out (egress_names.c), and
 * the host's resolver (egress_lookup.c). For these files only. ON_LOOP.
 */
#ifndef MAYFLY_NET_EGRESS_INSIDE_H
#define MAYFLY_NET_EGRESS_INSIDE_H

#include <netinet/in.h>

#include "base/map.h"
#include "net/egress.h"
#include "net/egress_dns.h"
#include "net/relay.h"

enum {
	EGRESS_RULES_MAX = 64,     /* bits of egress_name.rules */
	EGRESS_ADDRESSES_MAX = 32, /* of one name that are remembered */
	EGRESS_NAMES_MAX = 128,    /* remembered at one time */
	EGRESS_QUESTIONS_MAX = 32, /* that wait for an answer */
	EGRESS_SENTENCE_SIZE = 400,
};

struct egress_host {
	struct loop *loop; /* borrowed */
	struct egress_ranges open;
	unsigned connections, connect_ms, idle_ms;
	unsigned n_open, n_open_max; /* connections of all functions */
	int routes;                  /* owned: egress_route.h */
	struct egress_stats stats;
	struct map owners;   /* name → struct egress_owner; owned */
	struct list lookups; /* of egress_lookup: that run */
};

/* Why the host lets nobody reach this address; NULL when it does. */
const char *egress_host_fault(
	struct egress_host *host, const struct egress_address *address) ON_LOOP;

/* One socket that listens. */
struct egress_listener {
	struct egress *egress;
	int fd;                   /* owned */
	struct loop_watch *watch; /* owned */
};

struct egress {
	struct egress_host *host;  /* borrowed */
	struct egress_rule *rules; /* owned */
	size_t n_rules;
	struct egress_owner *owner; /* held */
	void (*on_trouble)(struct egress *egress, const char *sentence, void *arg);
	void *arg; /* borrowed */
	struct egress_listener dns_udp, dns_tcp;
	struct egress_listener *tcp; /* owned: n_tcp of them */
	unsigned n_tcp;
	bool is_open, is_in_call;
	struct loop_flush opening;
	struct loop_timer pause; /* after an accept that failed for want of descriptors */
	struct list conns;       /* of egress_conn; owned */
	unsigned n_conns;
	struct list clients; /* of egress_client: the name server's, over TCP; owned */
	unsigned n_clients;
	struct list names; /* of egress_name, the one used last at the end; owned */
	unsigned n_names, n_questions;
	struct egress_bytes bytes; /* not taken yet */
};

/* ---- egress.c ---- */
/* Says it to the function's owner. */
void
egress_say(struct egress *egress, const char *format, ...) ON_LOOP
__attribute__((format(printf, 2, 3)));
/* The next connection; -1 when there is none, or none that may be. Its listener rests when it
 * cannot be had. */
int egress_accept(struct egress_listener *listener) ON_LOOP;
/* Whether listeners are looked at: not while there are as many connections as may be. */
void egress_want_connections(struct egress *egress, bool wants) ON_LOOP;

/* ---- egress_conn.c ---- */
void egress_conn_on_accept(struct loop_watch *watch, int events, void *arg /* listener */);
void egress_conn_end_all(struct egress *egress) ON_LOOP;

/* ---- egress_server.c ---- */
struct egress_question {
	struct list link; /* in egress_name.waiting */
	struct egress_dns_question asked;
	struct egress_client *client; /* borrowed; NULL for one over UDP */
	struct sockaddr_storage from; /* UDP: who asked … */
	socklen_t from_size;
	struct in6_pktinfo to_v6; /* … and which address, in the form that its family has */
	struct in_pktinfo to_v4;
};
void egress_server_on_datagram(struct loop_watch *watch, int events, void *arg /* listener */);
void egress_server_on_accept(struct loop_watch *watch, int events, void *arg /* listener */);
/* Answers it and frees it. */
void egress_server_answer(struct egress *egress, struct egress_question *question,
	enum egress_dns_code code, const struct egress_address *addresses, size_t n) ON_LOOP;
void egress_server_end_all(struct egress *egress) ON_LOOP;

/* ---- egress_names.c ---- */
/* Answers a question about a name, at once or when the host's resolver has. */
void egress_names_ask(struct egress *egress, struct egress_question *question) ON_LOOP;
/* Whether an address was given out for a name that a rule has with this port. */
bool egress_names_allow(
	struct egress *egress, const struct egress_address *address, uint16_t port) ON_LOOP;
/* A client that asked is gone. */
void egress_names_drop(struct egress *egress, const struct egress_client *client) ON_LOOP;
/* Names and addresses that became known in a call, or all. */
void egress_names_forget(struct egress *egress, bool is_all) ON_LOOP;

/* ---- egress_lookup.c ---- */
struct egress_lookup;
/* The addresses of a name as the host's resolver has them, at most n_max; code: OK with none too,
 * NO_NAME, FAILED. */
typedef void egress_lookup_fn(
	enum egress_dns_code code, const struct egress_address *addresses, size_t n, void *arg);
struct egress_owner *egress_lookup_hold(struct egress_host *host, const char *owner) ON_LOOP;
void egress_lookup_release(struct egress_host *host, struct egress_owner *owner) ON_LOOP;
struct egress_lookup *egress_lookup_start(struct egress_host *host, struct egress_owner *owner,
	const char *name, egress_lookup_fn *done, void *arg) ON_LOOP;
void egress_lookup_drop(struct egress_lookup *lookup) ON_LOOP; /* nobody is told any more */
void egress_lookup_end_all(struct egress_host *host) ON_LOOP;

#endif
