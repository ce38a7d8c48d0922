/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep - how a program is brought back: by writing its memory back, or by another fork of it.
 *
 * mayfly-keeper; one subject, one mechanism.
 */
#ifndef MAYFLY_KEEPER_KEEP_H
#define MAYFLY_KEEPER_KEEP_H

#include "keeper/subject.h"

struct keep_mechanism {
	enum keeper_mechanism number;
	const char *name;

	/* 0, or -1 with a verdict. After a failed keep() the program goes on as it was, and another
	 * mechanism may be tried; after a failed renew() it stays stopped. */
	int (*keep)(struct subject *subject, struct keeper_reply *reply);
	int (*renew)(struct subject *subject, struct keeper_reply *reply);

	/* A descriptor that is readable when what runs in the subject's place has ended, -1: none;
	 * and what to do then. NULL without such a thing. */
	int (*watched)(void);
	void (*on_ended)(struct subject *subject);
};

extern const struct keep_mechanism keep_by_rollback;
extern const struct keep_mechanism keep_by_fork;

/* NULL for a number that is none. */
const struct keep_mechanism *keep_find(uint32_t number);

/* Stops the subject where its main thread waits, and the others too if they come to it. */
int keep_stop_calm(struct subject *subject, struct keeper_reply *reply);

/* The first half of KEEP: threads, stub, what `open` takes, aspects, where the heap ends. */
int keep_learn(struct subject *subject, uint64_t *ret_brk, struct keeper_reply *reply);

#endif
