/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/registers.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "keeper/machine.h"

#define REGISTERS_VECTOR_MAX 16384 /* bytes of NT_X86_XSTATE */

struct registers_thread {
	struct user_regs_struct user;
	uint64_t mask;
	void *vector; /* owned */
	size_t n_vector;
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

static int
registers_put(pid_t tid, struct user_regs_struct *user)
{
	struct iovec where = {user, sizeof(*user)};

	return (int)ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &where);
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

int
registers_wait_again(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < subject->n_threads; i++) {
		pid_t tid = subject->threads[i].tid;
		struct user_regs_struct user;

		if (registers_get(tid, &user) < 0)
			return registers_failed(reply, "PTRACE_GETREGSET");
		if (!machine_is_remembered(&user))
			continue;
		machine_wait_again(&user);
		if (registers_put(tid, &user) < 0)
			return registers_failed(reply, "PTRACE_SETREGSET");
	}
	return 0;
}

static int
registers_learn_one(pid_t tid, struct registers_thread *ret)
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
	return 0;
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
		if (registers_learn_one(subject->threads[i].tid, &registers_threads[i]) < 0)
			return registers_failed(reply, "learning registers");
	}
	return registers_learn_base(subject, reply);
}

static bool
registers_has_vector(pid_t tid, const struct registers_thread *thread)
{
	static uint8_t vector[REGISTERS_VECTOR_MAX];
	struct iovec where = {vector, sizeof(vector)};

	return ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &where) == 0 &&
	       where.iov_len == thread->n_vector &&
	       memcmp(vector, thread->vector, thread->n_vector) == 0;
}

/* Asking costs less than setting: that pays for a thread that has slept meanwhile, as all but the
 * main one do as a rule. */
static int
registers_set(pid_t tid, struct registers_thread *thread, bool has_slept)
{
	struct iovec vector = {thread->vector, thread->n_vector};

	if (registers_put(tid, &thread->user) < 0)
		return -1;
	if (!(has_slept && registers_has_vector(tid, thread)) &&
		ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &vector) < 0)
		return -1;
	return (int)ptrace(PTRACE_SETSIGMASK, tid, sizeof(thread->mask), &thread->mask);
}

int
registers_restore(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (registers_set(subject->threads[i].tid, &registers_threads[i], i > 0) < 0)
			return registers_failed(reply, "setting registers");
	}
	return 0;
}

int
registers_give(pid_t child, struct keeper_reply *reply)
{
	if (registers_set(child, &registers_threads[0], false) < 0)
		return registers_failed(reply, "setting registers");
	return 0;
}
