/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay - passes bytes between two stream sockets, both ways, each as fast as the other takes it.
 *
 * What one side has not taken yet is held, at most one piece (64 KiB) per direction, and meanwhile
 * nothing is read from the other. The end of one direction is passed on and leaves the other open.
 * Stands inside its owner, who makes the watches, calls relay_turn() when one of them fires, and
 * keeps the time. Knows no protocol. ON_LOOP.
 */
#ifndef MAYFLY_NET_RELAY_H
#define MAYFLY_NET_RELAY_H

#include "base/buf.h"
#include "net/loop.h"

/* One side of a connection. */
struct relay_end {
	int fd;                   /* owned; -1 while there is none */
	struct loop_watch *watch; /* owned */
};
void relay_end_close(struct relay_end *end) ON_LOOP;
/* The other side finds its connection broken, not ended. */
void relay_end_reset(struct relay_end *end) ON_LOOP;

/* One direction. */
struct relay_pipe {
	struct relay_end *from, *to; /* borrowed */
	struct buf held;             /* owned: read and not yet written */
	uint64_t left;               /* how much may pass; UINT64_MAX for everything */
	uint64_t n_bytes;            /* written so far */
	bool is_eof;                 /* nothing more will be read */
	bool is_done;                /* and all of it was written */
};

struct relay {
	struct relay_end near, far;
	struct relay_pipe up, down; /* from near to far, from far to near */
};

enum relay_state {
	RELAY_IDLE,   /* nothing moved */
	RELAY_MOVED,  /* something did */
	RELAY_OVER,   /* both directions have ended */
	RELAY_BROKEN, /* one side is gone */
};

/* Both descriptors at -1, nothing held. */
void relay_init(struct relay *relay);
void relay_done(struct relay *relay) ON_LOOP; /* closes both sides */

/* Moves what there is, in bounds, so that others get their turn; then both watches want what is
 * still to be done. */
enum relay_state relay_turn(struct relay *relay) ON_LOOP;

#endif
