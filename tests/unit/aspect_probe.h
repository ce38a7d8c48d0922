/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aspect_probe - what the two halves of that program share: what it has open, what it can leave.
 */
#ifndef MAYFLY_ASPECT_PROBE_H
#define MAYFLY_ASPECT_PROBE_H

#include <stddef.h>

#define CHANNEL 3

/* What it has open before the snapshot. */
extern int probe_event, probe_epoll, probe_timer, probe_signals, probe_file;
extern int probe_pipe[2], probe_pair[2];

struct thing {
	const char *name;
	int (*leave)(void); /* negative with errno where it could not be done */
};

extern const struct thing things[];
extern const size_t n_things;

int leave_file(const char *path);
int leave_child(void);

#endif
