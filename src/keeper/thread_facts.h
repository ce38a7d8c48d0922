/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_facts - what the kernel knows of each thread that its status does not say: how it is
 * scheduled, and where it is told of futexes and restartable sequences.
 *
 * Pid 1 of the sandbox counts as one of them: it has the user of the sandbox, so the program may
 * give it another priority and read that later. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_THREAD_FACTS_H
#define MAYFLY_KEEPER_THREAD_FACTS_H

#include "keeper/subject.h"

/* After status_learn(). */
int thread_facts_learn(struct subject *subject, struct keeper_reply *reply);
/* Adds to the batch what sets changed ones again. */
int thread_facts_look(struct subject *subject, struct keeper_reply *reply);
int thread_facts_check(struct subject *subject, struct keeper_reply *reply);

#endif
