/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privileges - what the daemon has at start and gives up before it reads its first network byte.
 *
 * As root: the data folder belongs to root with the daemon's group, mode 01770, so that the daemon
 * makes its own files in it and cannot put others in the place of root's (roots/, trees/). Then the
 * user is changed for ever, every capability goes from every set, no_new_privs is set, the memory
 * cannot be read by others of the user, and a filter denies what a daemon never does (running
 * programs, tracing, mounting, namespaces, modules). Without root only the latter part is needed.
 * Before the loop runs and any thread is started.
 */
#ifndef MAYFLY_DAEMON_PRIVILEGES_H
#define MAYFLY_DAEMON_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct privileges {
	bool is_root;
	uid_t uid; /* what the daemon becomes */
	gid_t gid;
	char user[64];
};

/* Looks the user up: `wanted`, or nobody where there is none. */
int privileges_find(const char *wanted, struct privileges *ret, struct err *err);

/* Makes the data folder, or takes over one that is there. */
int privileges_make_folder(
	const struct privileges *privileges, const char *data_dir, struct err *err);

/* For good; proves afterwards that nothing is left. */
int privileges_drop(const struct privileges *privileges, struct err *err);

#endif
