/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdinfo_mend - makes what the kernel says of a descriptor what it said at KEEP, where it can be.
 *
 * Position, flags, counts and timers belong to the open file and are set through a duplicate;
 * close-on-exec, masks of a signalfd and registrations of an epoll belong to the program, which
 * sets them in the batch. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_FDINFO_MEND_H
#define MAYFLY_KEEPER_FDINFO_MEND_H

#include "keeper/fdinfo.h"

/* A duplicate, the caller's to close. */
int fdinfo_mend_take(
	struct subject *subject, const struct fdinfo *info, struct keeper_reply *reply);

/* Whether a timerfd runs. */
bool fdinfo_mend_is_armed(const struct fdinfo *info);

/* `is`: its text now. */
int fdinfo_mend(struct subject *subject, const struct fdinfo *info, const char *is,
	struct keeper_reply *reply);

#endif
