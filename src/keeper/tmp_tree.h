/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmp_tree - a folder that a tenant has filled: emptied, or compared with what was in it.
 *
 * Nobody else works in it meanwhile, so what is looked at is what is removed. Links are never
 * followed, names are bytes, and all is bounded: entries, depth, bytes kept. mayfly-keeper, with
 * the user of the sandbox; one thread.
 */
#ifndef MAYFLY_KEEPER_TMP_TREE_H
#define MAYFLY_KEEPER_TMP_TREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
	TMP_TREE_REMOVED_MAX = 16384,  /* entries */
	TMP_TREE_DEPTH_MAX = 256,      /* folders open at once */
	TMP_TREE_KEPT_MAX = 256,       /* entries of a tree that is compared */
	TMP_TREE_KEPT_BYTES = 4 << 20, /* of its files */
};

struct tmp_tree;

/* Reads the whole: names, what stat(2) says, contents. NULL with errno: E2BIG where it is too much
 * to keep, ENOTSUP for what cannot be compared. */
struct tmp_tree *tmp_tree_read(int folder);
void tmp_tree_free(struct tmp_tree *tree);
size_t tmp_tree_entries(const struct tmp_tree *tree);

/* Makes of the folder what `was` has: what is not in it is removed, and counted; files that were
 * written to are written again. Negative with errno: EBUSY where something of `was` is missing or
 * another, E2BIG beyond the bounds. */
int tmp_tree_restore(int folder, struct tmp_tree *was, uint32_t *n_removed);

#endif
