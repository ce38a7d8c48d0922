/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_policy - which addresses and names of the outside a function may reach.
 *
 * An address is always looked at in one form: 16 bytes of IPv6, IPv4 as ::ffff:a.b.c.d, so that no
 * second way of writing it gets around a rule. Addresses that carry an IPv4 address inside (NAT64,
 * 6to4, IPv4-compatible, Teredo, ISATAP) count as that one too. What is not of the open Internet
 * (loopback, private, link-local with the metadata services of clouds, …: RFC 6890 and its
 * successors) may be reached only where the provider says so.
 *
 * Knows addresses, names and ports; no socket, no function. Pure; any thread. What an owner writes
 * is hostile: tests/fuzz/fuzz_network.c.
 */
#ifndef MAYFLY_NET_EGRESS_POLICY_H
#define MAYFLY_NET_EGRESS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"

enum {
	EGRESS_NAME_SIZE = 254, /* a host name, terminated */
	EGRESS_RULE_PORTS = 2,
	EGRESS_TEXT_SIZE = 48, /* an address, terminated */
};

struct egress_address {
	uint8_t at[16];
};

/* The addresses that begin with the first `bits` of `base`; IPv4 ranges have 96 and more. */
struct egress_range {
	struct egress_address base;
	unsigned bits;
};

enum egress_rule_kind {
	EGRESS_NAME,  /* this host: "api.example.com" */
	EGRESS_BELOW, /* every host below: "*.example.com"; "*" is every host */
	EGRESS_RANGE, /* "10.1.0.0/16", "192.0.2.7", "2001:db8::/32" */
};

/* One thing that a function may reach, as its owner wrote it. */
struct egress_rule {
	enum egress_rule_kind kind;
	char name[EGRESS_NAME_SIZE]; /* lower case, no dot at the end; of BELOW without "*." */
	struct egress_range range;
	uint16_t ports[EGRESS_RULE_PORTS]; /* 443 and 80 where none was written */
	unsigned n_ports;
};

/* "host", "host:port", "range", "range:port", "[range6]:port". ERR_INVALID says what is wrong with
 * it, as words that follow its place ("has …", "is …"). */
int egress_rule_parse(struct str text, struct egress_rule *ret, struct err *err);
void egress_rule_write(const struct egress_rule *rule, struct buf *out);
bool egress_rule_has_port(const struct egress_rule *rule, uint16_t port);

/* "10.1.0.0/16", "192.0.2.7", "fd00::/8": what a provider lists. */
int egress_range_parse(struct str text, struct egress_range *ret, struct err *err);
bool egress_range_has(const struct egress_range *range, const struct egress_address *address);

/* A host name in its one form: lower case, no dot at the end. ERR_INVALID for what is none, numbers
 * that a resolver would take for an address among them. */
int egress_name_parse(struct str text, char ret[static EGRESS_NAME_SIZE], struct err *err);
bool egress_rule_has_name(const struct egress_rule *rule, const char *name);

/* False for what is neither IPv4 nor IPv6, and for an IPv6 address with a scope. */
bool egress_address_of(const struct sockaddr *from, struct egress_address *ret);
bool egress_address_is_v4(const struct egress_address *address);
/* As connect(2) takes it: IPv4 as IPv4. */
socklen_t egress_address_to(
	const struct egress_address *address, uint16_t port, struct sockaddr_storage *ret);
void egress_address_text(const struct egress_address *address, char ret[static EGRESS_TEXT_SIZE]);

/* Why nobody reaches this address unless the provider lists it ("loopback", "private", …); NULL for
 * an address of the open Internet. */
const char *egress_address_fault(const struct egress_address *address);

/* What a provider lists. */
struct egress_ranges {
	struct egress_range *at; /* owned */
	size_t n;
};
void egress_ranges_done(struct egress_ranges *ranges);

/* Whether the provider lists it, by a range of at least so many bits. */
bool egress_ranges_have(const struct egress_ranges *ranges, const struct egress_address *address,
	unsigned least_bits);

/* egress_address_fault() of what the provider does not list. A listed range opens what lies in one
 * special range only: a provider who lists 0.0.0.0/0 has not listed 127.0.0.1. */
const char *egress_ranges_fault(
	const struct egress_ranges *open, const struct egress_address *address);

static inline void
own_egress_ranges(struct egress_ranges *ranges)
{
	egress_ranges_done(ranges);
}

#endif
