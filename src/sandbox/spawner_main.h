/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawner_main - what the parts of mayfly-spawner share: its state, its answers, what it watches.
 *
 * spawner_main.c has the loop, requests and seats; spawner_fork.c main programs that are
 * forked from a template; spawner_tree.c the trees that sandboxes get and make. Only these
 * include it. One thread.
 */
#ifndef MAYFLY_SANDBOX_SPAWNER_MAIN_H
#define MAYFLY_SANDBOX_SPAWNER_MAIN_H

#include "sandbox/seat.h"
#include "sandbox/spares.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/template.h"

#define MAIN_REMOVALS_MAX 256 /* trees being removed at one time */

enum main_source {
	MAIN_DAEMON,
	MAIN_PID,
	MAIN_CONTROL,
	MAIN_OOM,
	MAIN_KEEPER,
	MAIN_PROGRAM,
	MAIN_REMOVAL,
	MAIN_TEMPLATE,
};

struct main_removal {
	int pidfd;     /* owned, -1: free */
	bool is_asked; /* by the daemon, which gets an answer */
	uint32_t ticket;
};

struct spawner_main {
	struct seats seats;
	struct spawner_bounds bounds;
	struct seat **by_sandbox; /* the seat of each of the daemon's numbers, or NULL */
	struct main_removal removals[MAIN_REMOVALS_MAX];
	struct spares spares;
	bool wants_keepers; /* the last that was started does: spares get theirs ahead */
	bool is_spare_bad;  /* making spares failed: not again before the daemon asks */
	bool is_over;
};
extern struct spawner_main spawner; /* the process's own */

/* ---- spawner_main.c ---- */

void spawner_main_reply_failure(
	enum spawner_event event, uint32_t sandbox, const struct err *failure);
void spawner_main_reply_started(struct seat *seat);
int spawner_main_watch(int fd, enum main_source source, unsigned index, struct err *err);

/* ---- spawner_fork.c ---- */

void spawner_fork_on_walls(struct seat *seat); /* they stand: its program is forked, or started */
void spawner_fork_on_program(struct seat *seat);
void spawner_fork_on_report(const struct template_report *report);
void spawner_fork_on_template_end(unsigned slot);
int spawner_fork_watch_template(int fd, unsigned slot, struct err *err);

/* ---- spawner_tree.c ---- */

/* Copies of mounts, owned by the caller: of a tree, read-only; of the one that a seat makes. */
int spawner_tree_copy(const char *digest, int *ret, bool *ret_has_modules, struct err *err);
int spawner_tree_copy_out(struct seat *seat, int *ret, struct err *err);
void spawner_tree_end(struct seat *seat);
void spawner_tree_on_remove(const struct spawner_request *request);
void spawner_tree_on_removal(struct main_removal *removal);

#endif
