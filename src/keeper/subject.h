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
#include <sys/user.h>

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

	/* The subject's own; others leave them alone. */
	int init;                     /* owned: pidfd of init_pid */
	int memory;                   /* owned: /proc/<main_pid>/mem */
	int tasks;                    /* owned: /proc/<main_pid>/task */
	size_t n_threads_room;        /* allocated */
	size_t n_threads_kept;        /* the first of them, which the snapshot has */
	struct user_regs_struct base; /* registers of the main thread as it waits, to call from */
	uint64_t base_mask;           /* its signal mask */
	uint64_t stub_at, ops_at;     /* addresses in the subject, 0 before subject_settle() */
	bool is_stopped, is_batch_run, is_batch_full;
	pid_t born; /* a child that a system call of the last batch made, held; 0: none */
};

/* CLOSED → FREE: finds the main program. subject_close() is harmless at any time. */
int subject_open(
	struct subject *subject, const struct keeper_subject *told, struct keeper_reply *reply);
void subject_close(struct subject *subject);

/* FREE → STOPPED: every thread, also those that come to be meanwhile. A thread that has not stopped
 * after 200 ms, though it had a processor, is a verdict. On failure some may be stopped:
 * subject_let_go(). */
int subject_stop(struct subject *subject, struct keeper_reply *reply);
/* STOPPED → FREE, with the registers that the threads have now. */
void subject_let_go(struct subject *subject);
/* From now on the threads of this moment are those of the snapshot; others are new. */
void subject_know_threads(struct subject *subject);
/* Makes the new ones exit. */
int subject_end_threads(struct subject *subject, struct keeper_reply *reply);

/* Until a thread or child that is traced stops or ends: 1 and its status, 0 when it is not there;
 * -1 with a verdict when the time is over. */
int subject_wait(pid_t tid, int *ret_status, struct keeper_reply *reply);

/* Makes one system call in the main thread, which waits in one, from there. Gives its result, or
 * -errno, in *ret. */
int subject_inject(struct subject *subject, int64_t *ret, struct keeper_reply *reply, long number,
	const uint64_t args[static 6]);
#define subject_inject_call(subject, ret, reply, number, ...)                                      \
	subject_inject(subject, ret, reply, number, (const uint64_t[6]){__VA_ARGS__})

/* Maps the stub and what a batch is written to. */
int subject_settle(struct subject *subject, struct keeper_reply *reply);
/* Whether something of [start, end) belongs to the stub. */
bool subject_is_stub(const struct subject *subject, uint64_t start, uint64_t end);
/* Whether the stub is still what was put there: a batch must not run otherwise. */
int subject_check_stub(struct subject *subject, struct keeper_reply *reply);
/* Zeroes what batches have left in the subject's memory. */
int subject_wipe(struct subject *subject, struct keeper_reply *reply);

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
