/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy - a forward HTTP proxy for one sandbox, to the listed destinations only.
 *
 * It accepts on a listener that lives inside the sandbox's network namespace and speaks CONNECT
 * (RFC 9110 9.3.6) and absolute-form http. A destination must match the list as "host:port",
 * exactly; names are resolved out here. Everything else is 403 with a sentence. It bounds
 * connections (64), the request head (8 KiB) and time without progress (60 s), and counts bytes.
 * Knows no function. ON_LOOP.
 */
#ifndef MAYFLY_NET_PROXY_H
#define MAYFLY_NET_PROXY_H

#include "net/loop.h"

struct proxy;

/* listener: ownership moves. allowed: NULL-terminated "host:port" list, copied. */
int proxy_new(struct loop *loop, int listener, const char *const *allowed, struct proxy **ret,
	struct err *err) ON_LOOP;
uint64_t proxy_bytes(const struct proxy *proxy); /* both directions, so far */
/* The destinations refused so far, "host:port" separated by ", " (at most 200 bytes). */
const char *proxy_refused(const struct proxy *proxy);
void proxy_free(struct proxy *proxy) ON_LOOP; /* closes everything */

#endif
