/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preload - what a process that is to be forked must see from its first moment, and so the addon
 * does by LD_PRELOAD, too: memory that V8 wants to keep from a fork stays for it, what libraries
 * want to do after a fork is remembered, for a bare clone3(2) does not do it, and there is no
 * io_uring.
 */
#ifndef MAYFLY_NODE_PRELOAD_H
#define MAYFLY_NODE_PRELOAD_H

#include <stdbool.h>
#include <stddef.h>

/* Whether this process was started so (Node's loop has handlers from the beginning), and all of
 * them had room. */
bool preload_is_whole(void);

/* Starts the program anew with the addon at `path` preloaded; descriptors above 2 stay open.
 * Returns, with errno, if it cannot. */
void preload_start_again(const char *path, char *const *arguments);

/* In a child, on its only thread: the handlers that pthread_atfork() was given for it. */
void preload_after_fork(void);

#endif
