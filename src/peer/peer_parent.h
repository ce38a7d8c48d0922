/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_parent - the process that peer_process.h starts: a child for each lane, another when one
 * ends, and nothing else. It reads nothing, and ends when the daemon's end of PEER_FD is closed.
 */
#ifndef MAYFLY_PEER_PARENT_H
#define MAYFLY_PEER_PARENT_H

/* Becomes user and group (numbers), and starts `name --lane N`, its own program, for each lane.
 * Gives the exit code. */
int peer_parent_main(const char *name, unsigned n_lanes, const char *user, const char *group);

#endif
