/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread_facts - what the kernel keeps of each thread: how it is scheduled, its name, signals that
 * wait for it alone, where it is told of futexes and restartable sequences.
 *
 * Name, signals and list of futexes of the main thread are others' business, who can change them in
 * the batch. Pid 1 of the sandbox counts as a thread: it has the user of the sandbox, so the
 * program may give it another priority and read that later. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_THREAD_FACTS_H
#define MAYFLY_KEEPER_THREAD_FACTS_H

#include "keeper/subject.h"

enum { THREAD_FACTS_MAX = 128 }; /* threads of a program that can be kept */

int thread_facts_learn(struct subject *subject, struct keeper_reply *reply);
/* Adds to the batch what sets changed ones again. */
int thread_facts_look(struct subject *subject, struct keeper_reply *reply);
int thread_facts_check(struct subject *subject, struct keeper_reply *reply);

/* Something may have sent signals since the look: check looks again. */
void thread_facts_doubt(void);

/* How many signals wait in a queue of a thread, or of all threads; more than 64 are 64. */
unsigned thread_facts_count_signals(pid_t tid, bool is_shared);

#endif
