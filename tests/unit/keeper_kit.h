/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_kit - a program with a channel, as a sandbox has it, and mayfly-keeper beside it.
 *
 * The program is the one child of a process that plays mayfly-init: in namespaces of its own with a
 * fresh /tmp and no network, with descriptors 0 to 3. Root is needed for that.
 */
#ifndef MAYFLY_UNIT_KEEPER_KIT_H
#define MAYFLY_UNIT_KEEPER_KIT_H

#include <stddef.h>
#include <sys/types.h>

#include "keeper/keeper.h"

#define KIT_ANSWER_MAX 4096

struct keeper_kit {
	pid_t init, keeper;
	int channel;           /* owned: to the program */
	int keeper_fd;         /* owned: to the keeper */
	const char *last_call; /* borrowed */
};

void kit_start(struct keeper_kit *kit, const char *const *argv);
void kit_stop(struct keeper_kit *kit); /* kills all of it */

/* Sends a line and waits for one, at most 10 s; its length, 0 when the program has ended. */
size_t kit_call(struct keeper_kit *kit, const char *line, char *ret, size_t size);

struct keeper_reply kit_keep(struct keeper_kit *kit, enum keeper_mechanism mechanism);
struct keeper_reply kit_renew(struct keeper_kit *kit);

/* The same, which must do well. */
void kit_call_well(struct keeper_kit *kit, const char *line, char ret[static KIT_ANSWER_MAX]);
void kit_keep_well(struct keeper_kit *kit, enum keeper_mechanism mechanism);
struct keeper_reply kit_renew_well(struct keeper_kit *kit);

/* The program's process, as the test sees it. */
pid_t kit_program(const struct keeper_kit *kit);

/* How the process that plays mayfly-init saw the program end: its wait status. */
int kit_await_end(struct keeper_kit *kit);

#endif
