/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aspect_probe - what the parts of that program share: what it has open, what it can leave.
 */
#ifndef MAYFLY_ASPECT_PROBE_H
#define MAYFLY_ASPECT_PROBE_H

#include <stddef.h>
#include <sys/types.h>

#define CHANNEL 3

/* What it has open before the snapshot. */
extern int probe_event, probe_epoll, probe_timer, probe_signals, probe_file;
extern int probe_pipe[2], probe_pair[2];
extern int probe_letters[2]; /* sockets with boundaries */
extern int probe_listener;   /* of IPv6 */

struct thing {
	const char *name;
	int (*leave)(void); /* negative with errno where it could not be done */
};

extern const struct thing things[];
extern const size_t n_things;

int leave_file(const char *path);
int leave_child(void);

/* ---- aspect_leave_kin.c ---- */
pid_t kin_find(void);
void kin_start_thread(void);
int leave_limits_of_kin(void);
int leave_rank_of_kin(void);
int leave_cpus_of_kin(void);
int leave_group_of_kin(void);
int leave_signal_for_kin(void);
int leave_dead_kin(void);
int leave_signal_for_thread(void);

/* ---- aspect_leave_net.c ---- */
int leave_backlog(void);
int leave_option_of_other_level(void);
int leave_peer(void);
int leave_shut_letters(void);

#endif
