/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_calls - system calls on files that fail when a test wants it, a watch over syncs, and a
 * record of both, from which a test can tell what a disk has when its power is cut.
 *
 * The program that links this file calls its write, pwrite, fsync, … instead of libc's, and so do
 * the libraries it loads (SQLite among them). Standard input and output, pipes and the like are
 * left alone. One thread at a time writes files.
 */
#ifndef MAYFLY_FAULT_CALLS_H
#define MAYFLY_FAULT_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* From the n-th call on (1 is the next) calls fail with `error`: one of them, or all. */
void fault_arm(unsigned nth, bool is_lasting, int error);

/* Ends it; gives how many calls have failed. */
unsigned fault_disarm(void);

/* Without waiting for a disk: for tests that look at what happens when a call fails. */
void fault_skip_syncs(void);

/* True if every byte written was synced by its descriptor since, and every new name by its
 * folder's. */
bool fault_is_synced(void);

/* Appends to `journal` what is done to files below `folder` from now on, in the order in which it
 * is done: struct fault_record, then its bytes. Memory that SQLite shares is no file. */
void fault_record(const char *folder, const char *journal);

/* Something that others were told now. */
void fault_record_note(const char *text);

enum fault_record_kind {
	FAULT_OPENED,    /* bytes: the path; later records name the descriptor */
	FAULT_WROTE,     /* bytes, at `at` */
	FAULT_TRUNCATED, /* to `at` */
	FAULT_SYNCED,
	FAULT_NOTED,   /* bytes: the text */
	FAULT_REMOVED, /* bytes: the path */
};
struct fault_record { /* in the byte order of the machine */
	uint32_t kind, fd;
	uint64_t at;
	uint64_t n; /* bytes that follow */
};

#endif
