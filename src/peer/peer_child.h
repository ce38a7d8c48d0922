/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_child - the child that peer_parent.h starts for a lane: it gives up its rights, and speaks
 * frames with the daemon. It ends when the daemon's end of PEER_FD is closed.
 */
#ifndef MAYFLY_PEER_CHILD_H
#define MAYFLY_PEER_CHILD_H

#include <stdbool.h>

#include "peer/peer_frame.h"

enum { PEER_CHILD_TICK_MS = 1000 }; /* timers are looked after as often */

struct peer_child {
	unsigned kinds; /* of frames */
	/* What the daemon asks for. False: no such request, the daemon is not to be believed. */
	bool (*ask)(void *arg, const struct peer_frame *frame, struct str texts);
	void *arg; /* borrowed */
	struct buf in;
};

/* For good. What the process opens afterwards it may; see peer_guard.h. */
int peer_child_shut(const char *name, struct err *err);
/* Takes what the daemon has sent, without waiting; false at its end. */
bool peer_child_read(struct peer_child *child);
/* Writes all of `out`; false at the daemon's end. */
bool peer_child_write(struct buf *out);

#endif
