/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_route - where the kernel of the host would send a packet, asked before it is sent.
 *
 * One question over rtnetlink (RTM_GETROUTE) tells what no list of interfaces tells as well: an
 * address that is the host's own, by whatever route, and one that the host has no way to. Asked
 * each time, so there is nothing that could be old. Knows no function. ON_LOOP.
 */
#ifndef MAYFLY_NET_EGRESS_ROUTE_H
#define MAYFLY_NET_EGRESS_ROUTE_H

#include "base/err.h"
#include "net/egress_policy.h"

enum egress_route {
	EGRESS_ROUTE_OUT,  /* to another machine */
	EGRESS_ROUTE_HOST, /* to this one, or to everybody on a network of it */
	EGRESS_ROUTE_NONE, /* there is no way */
};

int egress_route_open(int *ret_fd, struct err *err); /* for egress_route_ask() */
enum egress_route egress_route_ask(int fd, const struct egress_address *address);

#endif
