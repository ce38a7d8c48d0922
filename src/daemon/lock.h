/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock - one daemon for one data folder: a file in it that is held as long as the process lives.
 */
#ifndef MAYFLY_DAEMON_LOCK_H
#define MAYFLY_DAEMON_LOCK_H

#include "base/err.h"

/* Takes <data_dir>/daemon.lock and writes the process's number into it. ERR_CONFLICT with the
 * number of who has it. The descriptor is the caller's: closing it gives the folder free. */
int lock_take(const char *data_dir, int *ret_fd, struct err *err);

#endif
