/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage - the mount namespace that the spawner itself lives in.
 *
 * A tmpfs holds all that sandboxes are made of and nothing else of the host:
 *
 *	/proc      the host's, for user maps and for the kernel's rule that a new /proc may be
 *	           mounted only where one can be seen
 *	/dev       what every sandbox gets as its /dev, ready made
 *	/root      empty: where a child hangs its root before it moves into it
 *	/roots/N   the runtime roots, /trees the folder of code trees
 *	/keeper    all that a mayfly-keeper sees: a /proc of its own
 *
 * It is small, so that copying it for a child is cheap, and a child that failed half way has
 * nothing to see. Without privileges a user namespace is entered first.
 * mayfly-spawner; one thread.
 */
#ifndef MAYFLY_SANDBOX_STAGE_H
#define MAYFLY_SANDBOX_STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define STAGE_KEEPER "/keeper"

struct stage_plan {
	const char *data_dir;     /* borrowed; trees/ is made in it */
	const char *const *roots; /* borrowed: absolute paths */
	size_t n_roots;
};

/* Enters it. Afterwards no other path of the host can be opened. */
int stage_enter(const struct stage_plan *plan, struct err *err);

/* True when this process holds no range of user ids, so that all sandboxes share one. */
bool stage_is_user_shared(unsigned first, unsigned n);

enum stage_flags {
	STAGE_READ_ONLY = 1,
	STAGE_NO_DEVICES = 2,
	STAGE_NO_EXEC = 4,
	STAGE_DEEP = 8, /* with the mounts below it */
};

/* A detached copy of the mount at `path`, always nosuid, for a child to attach. -1 with errno. */
int stage_copy(const char *path, enum stage_flags flags);

#endif
