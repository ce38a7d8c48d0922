/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/registers.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "keeper/machine.h"

#define REGISTERS_VECTOR_MAX 16384 /* bytes of NT_X86_XSTATE */
#define REGISTERS_NAME_MAX   32

struct registers_thread {
	struct user_regs_struct user;
	uint64_t mask;
	void *vector; /* owned */
	size_t n_vector;
	int name; /* owned: its file `comm`, which no later thread with the same number has */
	char text[REGISTERS_NAME_MAX];
};

/* In the order of subject->threads. */
static struct registers_thread *registers_threads;

static int
registers_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

static int
registers_get(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec where = {ret, sizeof(*ret)};

	return (int)ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &where);
}

int
registers_look(struct subject *subject, enum registers_calm *ret, struct keeper_reply *reply)
{
	*ret = REGISTERS_ALL_WAIT;
	for (size_t i = 0; i < subject->n_threads; i++) {
		struct user_regs_struct user;

		if (registers_get(subject->threads[i].tid, &user) < 0)
			return registers_failed(reply, "PTRACE_GETREGSET");
		if (machine_is_waiting(&user))
			continue;
		*ret = i == 0 ? REGISTERS_BUSY : REGISTERS_MAIN_WAITS;
		if (i == 0)
			break;
	}
	return 0;
}

static int
registers_open_name(struct subject *subject, pid_t tid, struct registers_thread *ret)
{
	char path[32];

	snprintf(path, sizeof(path), "%d/comm", tid);
	ret->name = openat(subject->tasks, path, O_RDONLY | O_CLOEXEC);
	if (ret->name < 0)
		return -1;
	return pread(ret->name, ret->text, sizeof(ret->text), 0) < 0 ? -1 : 0;
}

static int
registers_learn_one(struct subject *subject, pid_t tid, struct registers_thread *ret)
{
	static uint8_t vector[REGISTERS_VECTOR_MAX];
	struct iovec where = {vector, sizeof(vector)};

	if (registers_get(tid, &ret->user) < 0 ||
		ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &where) < 0 ||
		ptrace(PTRACE_GETSIGMASK, tid, sizeof(ret->mask), &ret->mask) < 0)
		return -1;
	ret->n_vector = where.iov_len;
	ret->vector = mem_new(ret->n_vector);
	memcpy(ret->vector, vector, ret->n_vector);
	if (machine_is_waiting(&ret->user))
		machine_wait_again(&ret->user);
	return registers_open_name(subject, tid, ret);
}

/* Calls are made from where the main thread waits. */
static int
registers_learn_base(struct subject *subject, struct keeper_reply *reply)
{
	uint8_t bytes[2] = {0};

	subject->base = registers_threads[0].user;
	subject->base_mask = registers_threads[0].mask;
	if (pread(subject->memory, bytes, sizeof(bytes), (off_t)machine_position(&subject->base)) !=
		sizeof(bytes))
		return registers_failed(reply, "reading its code");
	if (!machine_is_call(bytes))
		return verdict(reply, KEEPER_CAUSE_KERNEL, "it waits in a call of another kind");
	return 0;
}

int
registers_learn(struct subject *subject, struct keeper_reply *reply)
{
	registers_threads = mem_new(subject->n_threads * sizeof(*registers_threads));
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (registers_learn_one(subject, subject->threads[i].tid, &registers_threads[i]) <
			0)
			return registers_failed(reply, "learning registers");
	}
	return registers_learn_base(subject, reply);
}

static int
registers_set(pid_t tid, struct registers_thread *thread)
{
	struct iovec user = {&thread->user, sizeof(thread->user)};
	struct iovec vector = {thread->vector, thread->n_vector};

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &user) < 0 ||
		ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &vector) < 0)
		return -1;
	return (int)ptrace(PTRACE_SETSIGMASK, tid, sizeof(thread->mask), &thread->mask);
}

/* A name that the call has given it is put back by writing it; its absence shows another thread. */
static int
registers_check_name(struct subject *subject, size_t i, struct keeper_reply *reply)
{
	struct registers_thread *thread = &registers_threads[i];
	char path[32], text[REGISTERS_NAME_MAX] = "";
	OWN(fd) int fd = -1;

	if (pread(thread->name, text, sizeof(text), 0) < 0)
		return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has ended");
	if (memcmp(text, thread->text, sizeof(text)) == 0)
		return 0;
	snprintf(path, sizeof(path), "%d/comm", subject->threads[i].tid);
	fd = openat(subject->tasks, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, thread->text, strcspn(thread->text, "\n")) < 0)
		return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has another name");
	return 0;
}

int
registers_restore(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (registers_check_name(subject, i, reply) < 0)
			return -1;
		if (registers_set(subject->threads[i].tid, &registers_threads[i]) < 0)
			return registers_failed(reply, "setting registers");
	}
	return 0;
}

int
registers_give(pid_t child, struct keeper_reply *reply)
{
	if (registers_set(child, &registers_threads[0]) < 0)
		return registers_failed(reply, "setting registers");
	return 0;
}
