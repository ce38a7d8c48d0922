/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_process - mayfly-amqp, from the daemon's side: started before the daemon gives up its
 * rights, since afterwards it cannot run a program any more.
 *
 *	 daemon ◀── control (SEQPACKET): "lane n", and a new socket ──── mayfly-amqp
 *	   │                                                               │ forks, starts anew
 *	   └──────── that socket: frames of amqp_frame.h ──────────▶ mayfly-amqp --lane n
 *
 * The parent reads nothing from anybody; it starts a child for each lane and another when one
 * ends. A lane is one connection to the broker: one publishes, one consumes, so that a broker
 * which takes no messages for a while can still be emptied.
 */
#ifndef MAYFLY_AMQP_PROCESS_H
#define MAYFLY_AMQP_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define AMQP_PROCESS_FD 3 /* in mayfly-amqp: control in the parent, frames in a child */

enum amqp_lane { AMQP_LANE_CONSUME, AMQP_LANE_PUBLISH, AMQP_LANES };

struct amqp_process {
	int fd; /* owned: control; -1 for none */
	pid_t pid;
};

/* As root it becomes uid and gid, whom nothing belongs to; uid 0: it stays who it is. */
int amqp_process_start(
	const char *program, uid_t uid, gid_t gid, struct amqp_process *ret, struct err *err);
/* Does not wait: a lane that was started, and its socket. ERR_NOT_FOUND for none now,
 * ERR_UNAVAILABLE when the process has ended. */
int amqp_process_lane(const struct amqp_process *process, enum amqp_lane *ret, int *ret_fd);
void amqp_process_stop(struct amqp_process *process); /* waits a moment for its end */

#endif
