/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject - the main program that a keeper keeps: its processes and threads, stopped and let go,
 * and system calls made in its name.
 *
 *	 subject_open()       subject_stop()            subject_let_go()
 *	 CLOSED ─────▶ FREE ─────────────────▶ STOPPED ────────────────▶ FREE
 *
 * While it is STOPPED no thread of it runs, except in a batch: a batch is a list of system calls
 * that its main thread makes, by a stub of code in two pages that the keeper has mapped in it, in
 * one round trip for all of them. A batch runs only when the memory of the stub is the snapshot's.
 *
 * Knows memory only as bytes at addresses; what a state of the program consists of is aspect.h's
 * business. mayfly-keeper; one thread (the kernel binds tracing to it).
 */
#ifndef MAYFLY_KEEPER_SUBJECT_H
#define MAYFLY_KEEPER_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "keeper/keeper.h"

/* Fills event (SPOILT or UNABLE is the caller's to choose), cause and text, unless a cause stands
 * there already. Always gives -1, so that a function can end with it. */
__attribute__((format(printf, 3, 4))) int verdict(
	struct keeper_reply *reply, enum keeper_cause cause, const char *format, ...);

enum {
	SUBJECT_BATCH_MAX = 1024,    /* system calls in a batch */
	SUBJECT_SCRATCH_MAX = 24576, /* bytes that they may point to */
};

/* One system call of a batch. `result` is -errno on failure. Nothing stops at a failure. */
struct subject_op {
	uint64_t number;
	uint64_t args[6];
	int64_t result;
};

struct subject_thread {
	pid_t tid;
	bool is_new; /* not there at the snapshot */
};

struct subject {
	pid_t init_pid, main_pid;
	int channel;                    /* number of a descriptor in the main program */
	int proc;                       /* owned: /proc/<main_pid> */
	int pidfd;                      /* owned: of main_pid */
	struct subject_thread *threads; /* owned: the main thread first */
	size_t n_threads;

	/* The next batch, and the bytes beside it. */
	struct subject_op *batch; /* owned: SUBJECT_BATCH_MAX */
	size_t n_batch;
	uint8_t *scratch; /* owned: SUBJECT_SCRATCH_MAX, copied in before and out after a batch */
	size_t n_scratch;
	uint64_t scratch_at; /* its address in the subject */
};

/* Appends a system call to the next batch; gives its index, to find the result by. Arguments that
 * are not named are 0. A batch that is full is a verdict of the run. */
size_t subject_add(struct subject *subject, long number, const uint64_t args[static 6]);
#define subject_add_call(subject, number, ...)                                                     \
	subject_add(subject, number, (const uint64_t[6]){__VA_ARGS__})

/* Reserves n bytes beside the batch (16-aligned), filled from `bytes` (NULL for zeroes): gives the
 * address that they have in the subject. subject_scratch() is where the keeper reads them after the
 * run. */
uint64_t subject_reserve(struct subject *subject, const void *bytes, size_t n);
const void *subject_scratch(const struct subject *subject, uint64_t address);

/* Runs the batch; results stand in it until the next subject_add() after a run starts a new one. */
int subject_run(struct subject *subject, struct keeper_reply *reply);

/* Reads a file of /proc/<main_pid> ("status", "task/7/stat") into ret, terminated. Its length, or
 * -1 with a verdict. */
ssize_t subject_read(struct subject *subject, const char *file, char *ret, size_t size,
	struct keeper_reply *reply);

#endif
