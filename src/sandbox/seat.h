/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seat - a place for one sandbox: a process of its own namespaces, its user, its cgroup.
 *
 *	 seat_make()           seat_take()               its pid 1 is dead       cgroup removed
 *	 FREE ─────▶ SPARE ─────────────▶ TAKEN ─────────────────▶ ENDING ─────────▶ FREE
 *	               └──────────────────── it died before ───────▶
 *
 * A few spares are made ahead, when nothing else is to do: the network namespace and getting into
 * a cgroup are the slow parts of a start, and they do not depend on what will run. A spare has
 * run no tenant code; a seat that has is never used again, only its number is.
 * Knows nothing of the daemon. mayfly-spawner; one thread.
 */
#ifndef MAYFLY_SANDBOX_SEAT_H
#define MAYFLY_SANDBOX_SEAT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/list.h"
#include "sandbox/anyip.h"
#include "sandbox/cgroup.h"
#include "sandbox/inside.h"
#include "sandbox/keeper_host.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/syscall_filter.h"

enum seat_state { SEAT_FREE, SEAT_SPARE, SEAT_TAKEN, SEAT_ENDING };

/* A main program that is forked from a template: a child of the spawner. */
struct seat_fork {
	bool is_awaited;  /* neither forked nor booted yet */
	bool is_forked;   /* it is inside, and the sandbox started with it */
	bool has_entered; /* it said so itself */
	unsigned root;    /* whose template it comes from */
	struct sandbox_limits limits;
	uint32_t ticket;             /* of the request, 0 before it */
	int slot;                    /* of the template that was asked */
	int loan[SPAWNER_START_FDS]; /* owned: channel, output, until it has them */
	pid_t pid;                   /* 0 until it is known */
	int pidfd;                   /* owned */
};

#define SEAT_FORK_NONE                                                                             \
	(struct seat_fork)                                                                         \
	{                                                                                          \
		.loan = {-1, -1, -1, -1}, .pidfd = -1                                              \
	}

struct seat {
	struct list link; /* in spares or ending */
	enum seat_state state;
	unsigned index;
	pid_t pid;   /* of its pid 1, as seen from here */
	int pidfd;   /* owned */
	int control; /* owned: to enclose.c, then mayfly-init */
	int oom;     /* owned: eventfd, -1 where the kernel kills the whole group */

	/* What the spawner keeps of a sandbox. */
	uint32_t sandbox; /* the daemon's number */
	uint32_t kind;    /* enum sandbox_kind */
	char tree[ID_SHA256_SIZE];
	int listener;                  /* owned, -1 for none */
	int egress[ANYIP_SOCKETS_MAX]; /* owned: the first n_egress, of anyip.h */
	unsigned n_egress;
	struct keeper_host keeper;
	struct seat_fork fork;
	bool is_started, was_stopped, has_status;
	int status;
	struct err failure;
	struct sandbox_usage usage;
};

struct seats {
	struct cgroup_parent cgroups;
	struct seat *all; /* owned: n of them; children do not have it, to be born faster */
	unsigned n, n_used, n_spare, next;
	struct list spares, ending;
	uint32_t uid_base;
	bool is_user_shared;
	int init;   /* owned: the program mayfly-init */
	int keeper; /* owned: the program mayfly-keeper, -1 where there is none */
	int landlock_abi, last_capability;
	struct syscall_filter filter;
};

/* Memory for n seats; the fields that follow `ending` are the caller's to fill. */
int seat_open(struct seats *seats, unsigned n, struct err *err);

/* A new spare, or NULL. ERR_UNAVAILABLE when all seats are in use. */
struct seat *seat_make(struct seats *seats, struct err *err);

/* It is no spare any more, whatever becomes of it. */
void seat_take(struct seats *seats, struct seat *seat);

/* For a seat that was taken. Completes the plan, sends it with its descriptors, which are borrowed,
 * and sets the limits. On failure the seat is to be killed. */
int seat_use(struct seats *seats, struct seat *seat, struct inside_plan *plan,
	const int fds[INSIDE_FDS], struct err *err);

/* Starts a keeper beside a seat, spare or taken; the daemon's end then stands in seat->keeper. */
int seat_start_keeper(struct seats *seats, struct seat *seat, struct err *err);

/* A word to mayfly-init. 0, or -1 with errno. */
int seat_tell(const struct seat *seat, enum inside_word word);

/* Host user of everything on this seat. */
uid_t seat_uid(const struct seats *seats, const struct seat *seat);

void seat_kill(struct seats *seats, struct seat *seat);

/* Its sockets of egress were passed on, or are not wanted. */
void seat_close_egress(struct seat *seat);

/* Pid 1 is dead, and with it all of the sandbox: reads its status unless init told one, reads the
 * usage. Moves to ENDING. */
void seat_died(struct seats *seats, struct seat *seat);

/* Removes the cgroup of an ENDING seat; false while it cannot be yet, or its keeper is not buried.
 * Then FREE. */
bool seat_clear(struct seats *seats, struct seat *seat);

/* seat_fork.c */

/* Keeps what the fork is to get, with copies of the channel and the output. */
void seat_fork_await(
	struct seat *seat, const struct spawner_request *request, const int fds[SPAWNER_START_FDS]);

/* Asks the template of its root, when the walls of pid 1 stand. False when there is none. */
bool seat_fork_ask(struct seats *seats, struct seat *seat);

/* The main program, once the template has told its pid. */
int seat_fork_hold(struct seat *seat, pid_t pid, struct err *err);

/* Whose ticket it is, or NULL. */
struct seat *seat_fork_find(struct seats *seats, uint32_t ticket);

/* It died, or dies with its seat, and its keeper too: takes its exit status, which is the sandbox's
 * unless pid 1 told one. Harmless without one. */
void seat_fork_bury(struct seat *seat);

/* What is kept for a fork that is not to come any more. */
void seat_fork_forget(struct seat *seat);

#endif
