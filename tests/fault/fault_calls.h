/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_calls - system calls on files that fail when a test wants it, and a watch over syncs.
 *
 * The program that links this file calls its write, pwrite, fsync, … instead of libc's, and so do
 * the libraries it loads (SQLite among them). Standard input and output, pipes and the like are
 * left alone. One thread at a time writes files.
 */
#ifndef MAYFLY_FAULT_CALLS_H
#define MAYFLY_FAULT_CALLS_H

#include <stdbool.h>

/* From the n-th call on (1 is the next) calls fail with `error`: one of them, or all. */
void fault_arm(unsigned nth, bool is_lasting, int error);

/* Ends it; gives how many calls have failed. */
unsigned fault_disarm(void);

/* Without waiting for a disk: for tests that look at what happens when a call fails. */
void fault_skip_syncs(void);

/* True if every byte written was synced by its descriptor since, and every new name by its
 * folder's. */
bool fault_is_synced(void);

#endif
