/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_host - starts and ends the mayfly-keeper beside one sandbox (keeper/keeper.h).
 *
 * A keeper is a child of the spawner in the user namespace of one seat, as its user, with the right
 * to trace its processes and no other; it stays in the spawner's pid namespace and cgroup, so that
 * the sandbox neither sees it nor pays for it, and of all files it sees a /proc. It may end at any
 * time, by itself or by force: whoever asks it then finds the end of its socket.
 *
 *	 keeper_host_start()       keeper_host_introduce()      keeper_host_end()
 *	 NONE ─────▶ waiting ─────────────────▶ at work ─────────────▶ ENDING ─────▶ NONE
 *	                                                  its pidfd is readable: keeper_host_bury()
 *
 * Knows nothing of what a keeper does. mayfly-spawner; one thread.
 */
#ifndef MAYFLY_SANDBOX_KEEPER_HOST_H
#define MAYFLY_SANDBOX_KEEPER_HOST_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct keeper_host {
	int pidfd;   /* owned, -1: there is none */
	int subject; /* owned: to its KEEPER_FD_SPAWNER */
	int daemon;  /* owned: the end that the daemon gets, until it has it */
	bool is_ended;
};

#define KEEPER_HOST_NONE                                                                           \
	(struct keeper_host)                                                                       \
	{                                                                                          \
		-1, -1, -1, false                                                                  \
	}

struct keeper_host_plan {
	int program; /* borrowed: mayfly-keeper */
	int seat;    /* borrowed: pidfd of pid 1 of the sandbox, whose user namespace it is */
	bool is_user_shared; /* with others, on the host */
};

/* `keeper` must be NONE, and stays so on failure. */
int keeper_host_start(
	struct keeper_host *keeper, const struct keeper_host_plan *plan, struct err *err);

/* Tells it whom it keeps; main_pid 0: the one child of init_pid. */
void keeper_host_introduce(struct keeper_host *keeper, pid_t init_pid, pid_t main_pid);

/* Kills it; what it holds stopped dies with it. Its pidfd tells when. Harmless for NONE. */
void keeper_host_end(struct keeper_host *keeper);

/* When its pidfd is readable: takes its status. ERR_SYSTEM with the reason when it ended in another
 * way than it should; NONE afterwards. */
int keeper_host_bury(struct keeper_host *keeper, struct err *err);

#endif
