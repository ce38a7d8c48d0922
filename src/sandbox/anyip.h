/* SPDX-License-Identifier: Apache-2.0 */
/*
 * anyip - makes every address of a network namespace lead to sockets of its own.
 *
 * Two local routes, 0.0.0.0/0 and ::/0 on the loopback interface, deliver every packet inside the
 * namespace, whatever its destination; a socket that listens on a port of every address accepts
 * what was meant for that port anywhere, and getsockname(2) of what it accepts says where. No
 * interface leads out. Whoever gets the sockets decides what becomes of a connection.
 *
 * In mayfly-init, before it gives up CAP_NET_ADMIN and CAP_NET_BIND_SERVICE over its own network
 * namespace. Knows no rule of who may reach what.
 */
#ifndef MAYFLY_SANDBOX_ANYIP_H
#define MAYFLY_SANDBOX_ANYIP_H

#include <stdint.h>

#include "base/err.h"
#include "sandbox/spawner.h"

/* What is passed out, in this order. */
enum {
	ANYIP_DNS_UDP, /* port 53; tells the address that was asked */
	ANYIP_DNS_TCP,
	ANYIP_TCP, /* the first of the ports */
	ANYIP_SOCKETS_MAX = ANYIP_TCP + SANDBOX_EGRESS_PORTS_MAX,
};

/* Fills the first ANYIP_TCP + n, owned by the caller, also after an error; the others are -1. A
 * kernel without IPv6 gives sockets of IPv4 alone. */
int anyip_open(
	const uint16_t *ports, unsigned n, int ret[static ANYIP_SOCKETS_MAX], struct err *err);

#endif
