/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch - the descriptors that the spawner waits for, each with a number that says whose it is.
 *
 * A child holds copies of all of them from its clone to its first steps, and what is closed here
 * alone goes on telling of itself as long as a copy is open. So what is watched is closed by
 * watch_close(), which forgets it first.
 *
 * mayfly-spawner; one thread, one set of descriptors.
 */
#ifndef MAYFLY_SANDBOX_WATCH_H
#define MAYFLY_SANDBOX_WATCH_H

#include <stdint.h>

#include "base/err.h"

#define WATCH_MOST 64 /* of what watch_wait() tells at one time */

/* Once, before all others. */
int watch_open(struct err *err);

/* Tells whenever it is readable or at its end. */
int watch_add(int fd, uint64_t whose, struct err *err);

/* Stays open, and is not told of any more. */
void watch_forget(int fd);

/* Forgets and closes it; then *fd is -1, which is harmless. One that is not watched is fine. */
void watch_close(int *fd);

/* Whose descriptors have something to tell; gives how many. wait_ms: -1 without an end. */
int watch_wait(uint64_t ret[static WATCH_MOST], int wait_ms);

#endif
