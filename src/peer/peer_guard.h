/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_guard - what a process that speaks to a server of others gives up before it reads the first
 * byte.
 *
 * No capability, no new privileges, no core, no process more, few descriptors, bounded memory, and
 * a list of system calls: connections to the internet and to the resolver's socket, reading files
 * (certificates, /etc/hosts), nothing that writes one, runs one or looks at another process.
 */
#ifndef MAYFLY_PEER_GUARD_H
#define MAYFLY_PEER_GUARD_H

#include <sys/types.h>

#include "base/err.h"

/* For good, where root started it: another user, who owns nothing. uid 0 leaves it as it is. */
int peer_guard_become(uid_t uid, gid_t gid, struct err *err);
/* For good: no capabilities, no_new_privs, limits, the filter. */
int peer_guard_shut(struct err *err);

#endif
