/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registers - what a thread is beside memory: its registers, vector state and signal mask.
 *
 * mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_REGISTERS_H
#define MAYFLY_KEEPER_REGISTERS_H

#include "keeper/subject.h"

enum registers_calm {
	REGISTERS_ALL_WAIT,   /* every thread is in a system call that waits */
	REGISTERS_MAIN_WAITS, /* at least the main thread is */
	REGISTERS_BUSY,
};

/* 0 and how calm it is, or -1. */
int registers_look(struct subject *subject, enum registers_calm *ret, struct keeper_reply *reply);

/* What is let go again waits from the beginning, not from what the kernel remembers: else a later
 * stop finds nothing to make the same call with. */
int registers_wait_again(struct subject *subject, struct keeper_reply *reply);

/* Learns all threads, of which the main one waits, and what calls are made from (subject->base). */
int registers_learn(struct subject *subject, struct keeper_reply *reply);
/* Brings all of them back. */
int registers_restore(struct subject *subject, struct keeper_reply *reply);
/* Gives a child of the main thread, which is stopped, what the main thread had. */
int registers_give(pid_t child, struct keeper_reply *reply);

#endif
