/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_process - a process that speaks to a server of others, from the daemon's side: started
 * before the daemon gives up its rights, since afterwards it cannot run a program any more.
 *
 *	 daemon ◀── control (SEQPACKET): "lane n", and a new socket ──── mayfly-x UID GID
 *	   │                                                               │ forks, starts anew
 *	   └──────── that socket: frames of peer_frame.h ───────────▶ mayfly-x --lane n
 *
 * The parent (peer_parent.h) reads nothing from anybody; it starts a child for each lane and
 * another when one ends. A lane is one connection to the server. Knows no protocol.
 */
#ifndef MAYFLY_PEER_PROCESS_H
#define MAYFLY_PEER_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PEER_FD 3 /* in the process: control in the parent, frames in a child */

enum { PEER_LANES_MAX = 8 };

struct peer_process {
	int fd; /* owned: control; -1 for none */
	pid_t pid;
	unsigned n_lanes;
};

/* As root it becomes uid and gid, whom nothing belongs to; uid 0: it stays who it is. */
int peer_process_start(const char *program, unsigned n_lanes, uid_t uid, gid_t gid,
	struct peer_process *ret, struct err *err);
/* Does not wait: a lane that was started, and its socket. ERR_NOT_FOUND for none now,
 * ERR_UNAVAILABLE when the process has ended. */
int peer_process_lane(const struct peer_process *process, unsigned *ret, int *ret_fd);
void peer_process_stop(struct peer_process *process); /* waits a moment for its end */

#endif
