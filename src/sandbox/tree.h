/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree - the folders of code and dependencies on disk, each named by its digest.
 *
 *	/trees/<digest>   whole and never changed
 *	/trees/.new-<n>   being made by an unpacking sandbox
 *	/trees/.old-<n>   being removed, by a child: a large tree must not make the spawner wait
 *
 * Trees can be made again from blobs, so they are not synced one by one. What the disk holds is
 * believed when it was synced at the end (.synced) or the machine has not been started since
 * (.boot); after a loss of power all are dropped.
 *
 * mayfly-spawner, on its stage; one thread.
 */
#ifndef MAYFLY_SANDBOX_TREE_H
#define MAYFLY_SANDBOX_TREE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/id.h"

#define TREE_PATH_SIZE 96

/* Once at the start: waits for an earlier spawner of this folder to end, then drops what cannot
 * be believed or was left half made. ERR_CONFLICT when another one goes on. */
int tree_open(struct err *err);

/* At the end: what is there is safe on disk. */
void tree_close(void);

/* The path of a tree that is there; ERR_NOT_FOUND. */
int tree_find(
	const char digest[static ID_SHA256_SIZE], char ret[static TREE_PATH_SIZE], struct err *err);

/* A new empty tree that `uid` may write. */
int tree_begin(unsigned seat, uid_t uid, char ret[static TREE_PATH_SIZE], struct err *err);

/* Gives the new tree its name. A tree of that name that is there already stays. */
int tree_finish(unsigned seat, const char digest[static ID_SHA256_SIZE], struct err *err);

/* Takes a tree, or a half made one, out of sight at once and starts a child that removes it.
 * *ret is the child's pidfd, which the caller closes; -1 when there was nothing to remove. */
int tree_discard(const char *path, int *ret, struct err *err);

#endif
