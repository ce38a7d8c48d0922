/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_lane - one child of a process of peer_process.h: frames there and back, and the time until
 * its connection is tried again.
 *
 * It has a socket from peer_lane_take() until its child dies or it is closed. What is sent in a
 * turn of the loop leaves in one system call. Knows no protocol. ON_LOOP.
 */
#ifndef MAYFLY_PEER_LANE_H
#define MAYFLY_PEER_LANE_H

#include "net/loop.h"
#include "peer/peer_frame.h"

struct peer_lane;

struct peer_lane_events {
	unsigned kinds; /* of frames */
	/* False for what the process does not say. May close the lane. */
	bool (*on_frame)(struct peer_lane *lane, const struct peer_frame *head, struct str texts);
	/* "ended"; the lane has no socket any more, and its timer does not run. */
	void (*on_died)(struct peer_lane *lane, const char *how);
	void (*on_again)(struct peer_lane *lane); /* behind peer_lane_back_off() */
};

struct peer_lane {
	const struct peer_lane_events *events; /* borrowed */
	struct loop *loop;                     /* borrowed */
	int fd;                                /* owned; -1 for none */
	struct loop_watch *watch;              /* owned; NULL without a socket */
	struct buf in, out;
	struct loop_flush flush;
	struct loop_timer timer; /* its owner closes it */
	unsigned back_off_ms;
};

void peer_lane_init(
	struct peer_lane *lane, struct loop *loop, const struct peer_lane_events *events);
/* Of a new child; one that was there is told as dead. False, and fd is closed, when it cannot be.
 */
bool peer_lane_take(struct peer_lane *lane, int fd) ON_LOOP;
/* But for its timer. What was sent before leaves, as far as the socket takes it. */
void peer_lane_close(struct peer_lane *lane) ON_LOOP;

/* Without a socket they are dropped. */
void peer_lane_send(struct peer_lane *lane, const char *frame, size_t len) ON_LOOP;
void peer_lane_tell(struct peer_lane *lane, const struct peer_frame *head, const struct str *texts,
	size_t n) ON_LOOP;

/* From 0.5 s doubling to 30 s until peer_lane_is_well(). */
void peer_lane_back_off(struct peer_lane *lane) ON_LOOP;
void peer_lane_is_well(struct peer_lane *lane) ON_LOOP;

#endif
