/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded process stays stopped for ever. Each call runs in a child that a system call of the
 * stub makes: with the number of its thread where the C library keeps it, and its list of robust
 * mutexes told to the kernel anew, which a fork forgets. It becomes what its parent was at the
 * snapshot, and is let go. It has no signal to send when it ends: its parent hears none.
 */
#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/deadline.h"
#include "keeper/fork_warm.h"
#include "keeper/keep.h"
#include "keeper/layout.h"
#include "keeper/machine.h"
#include "keeper/registers.h"

#define FORK_FLAGS   (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID)
#define FORK_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)
#define FORK_BIRTHS  (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)
#define FORK_SIGNALS 64
#define FORK_SIGSET  8 /* bytes of the kernel's sigset_t */

static struct {
	uint64_t tid_at;              /* where the C library keeps the number of the thread */
	uint64_t robust, robust_size; /* its list of robust mutexes */
	struct layout layout;
	uint64_t child;  /* its number in the sandbox, 0: none */
	pid_t child_pid; /* and outside */
	int child_fd;    /* owned: its pidfd, -1: none */
} held = {.child_fd = -1};

static int
fork_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

/* ---- a child for the next call ---- */

/* It stands behind the call that made it, and has the rest of the batch before it. */
static int
fork_end_batch(pid_t child, struct keeper_reply *reply)
{
	for (int i = 0; i < FORK_SIGNALS; i++) {
		int status = 0, rc = subject_wait(child, &status, reply);

		if (rc < 0)
			return -1;
		if (rc == 0 || !WIFSTOPPED(status))
			return verdict(reply, KEEPER_CAUSE_GONE, "the fork has ended");
		if (status >> 16 == 0 && WSTOPSIG(status) == SIGTRAP)
			return 0;
		if (ptrace(PTRACE_CONT, child, NULL, NULL) < 0)
			return fork_failed(reply, "PTRACE_CONT");
	}
	return verdict(reply, KEEPER_CAUSE_SIGNALS, "too many signals in a fork");
}

static int
fork_write(struct subject *subject, pid_t child, const struct subject_op *ops, size_t n,
	struct keeper_reply *reply)
{
	size_t size = n * sizeof(*ops);
	struct iovec here = {(void *)ops, size};
	struct iovec there = {(void *)(uintptr_t)subject->ops_at, size};

	if (process_vm_writev(child, &here, 1, &there, 1, 0) != (ssize_t)size)
		return fork_failed(reply, "writing to the fork");
	return 0;
}

/* The stub of the child makes calls for it alone, and forgets them. */
static int
fork_touch_ahead(struct subject *subject, pid_t child, struct keeper_reply *reply)
{
	static const struct subject_op nothing[FORK_WARM_MAX];
	static struct subject_op ops[FORK_WARM_MAX];
	struct user_regs_struct user = subject->base;
	struct iovec where = {&user, sizeof(user)};
	size_t n = fork_warm_calls(ops);

	if (n == 0)
		return 0;
	machine_set_batch(&user, subject->stub_at, subject->ops_at, n);
	if (fork_write(subject, child, ops, n, reply) < 0)
		return -1;
	if (ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &where) < 0 ||
		ptrace(PTRACE_CONT, child, NULL, NULL) < 0)
		return fork_failed(reply, "running the fork");
	if (fork_end_batch(child, reply) < 0)
		return -1;
	return fork_write(subject, child, nothing, n, reply);
}

static int
fork_release(struct subject *subject, pid_t child, struct keeper_reply *reply)
{
	if (fork_end_batch(child, reply) < 0 || fork_touch_ahead(subject, child, reply) < 0 ||
		registers_give(child, reply) < 0)
		return -1;
	held.child_fd = (int)syscall(SYS_pidfd_open, child, 0);
	if (held.child_fd < 0)
		return fork_failed(reply, "pidfd_open");
	if (ptrace(PTRACE_DETACH, child, NULL, NULL) < 0)
		return fork_failed(reply, "PTRACE_DETACH");
	return 0;
}

static int
fork_run_birth(struct subject *subject, struct keeper_reply *reply)
{
	int rc;

	if (ptrace(PTRACE_SETOPTIONS, subject->main_pid, NULL, FORK_OPTIONS | FORK_BIRTHS) < 0)
		return fork_failed(reply, "PTRACE_SETOPTIONS");
	subject->born = 0;
	rc = subject_run(subject, reply);
	if (ptrace(PTRACE_SETOPTIONS, subject->main_pid, NULL, FORK_OPTIONS) < 0 && rc == 0)
		rc = fork_failed(reply, "PTRACE_SETOPTIONS");
	return rc;
}

static int
fork_next(struct subject *subject, struct keeper_reply *reply)
{
	size_t birth = subject_add_call(subject, SYS_clone, FORK_FLAGS, 0, 0, held.tid_at);

	subject_add_call(subject, SYS_set_robust_list, held.robust, held.robust_size);
	if (fork_run_birth(subject, reply) < 0)
		return -1;
	if (subject->batch[birth].result <= 0 || !subject->born)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "fork in it: %s",
			strerror((int)-subject->batch[birth].result));
	held.child = (uint64_t)subject->batch[birth].result;
	if (subject_wipe(subject, reply) < 0)
		return -1;
	held.child_pid = subject->born;
	return fork_release(subject, subject->born, reply);
}

/* ---- the child of the last call ---- */

static bool
fork_has_ended(int wait_ms)
{
	struct pollfd child = {held.child_fd, POLLIN, 0};

	return held.child_fd >= 0 && poll(&child, 1, wait_ms) > 0;
}

static void
fork_forget_child(void)
{
	own_fd(&held.child_fd);
	held.child_fd = -1;
	held.child = 0;
}

static int
fork_reap(struct subject *subject, int *ret_status, struct keeper_reply *reply)
{
	uint64_t at = subject_reserve(subject, NULL, sizeof(*ret_status));
	size_t wait = subject_add_call(subject, SYS_wait4, held.child, at, __WALL);

	if (subject_run(subject, reply) < 0)
		return -1;
	if (subject->batch[wait].result != (int64_t)held.child)
		return verdict(
			reply, KEEPER_CAUSE_PROCESSES, "the fork of a call cannot be buried");
	memcpy(ret_status, subject_scratch(subject, at), sizeof(*ret_status));
	fork_forget_child();
	return 0;
}

static int
fork_kill(struct subject *subject, struct keeper_reply *reply)
{
	int status;

	fork_warm_learn(&held.layout, held.child_pid);
	if (syscall(SYS_pidfd_send_signal, held.child_fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return fork_failed(reply, "killing the fork of a call");
	while (!fork_has_ended(1000)) {
		if (deadline_is_over())
			return verdict(
				reply, KEEPER_CAUSE_PROCESSES, "the fork of a call does not end");
	}
	return fork_reap(subject, &status, reply);
}

static int
fork_watched(void)
{
	return held.child_fd;
}

/* The held process ends as its child did, so that whoever waits for the program sees that. */
static void
fork_end_as_child(struct subject *subject)
{
	static const uint8_t by_default[32];
	struct keeper_reply reply = {0};
	int status;

	if (fork_reap(subject, &status, &reply) < 0)
		return;
	if (WIFEXITED(status)) {
		subject_add_call(subject, SYS_exit_group, (uint64_t)WEXITSTATUS(status));
		subject_run(subject, &reply);
		return;
	}
	subject_add_call(subject, SYS_rt_sigaction, (uint64_t)WTERMSIG(status),
		subject_reserve(subject, by_default, sizeof(by_default)), 0, FORK_SIGSET);
	subject_run(subject, &reply);
	syscall(SYS_pidfd_send_signal, subject->pidfd, WTERMSIG(status), NULL, 0);
	subject_let_go(subject);
}

/* ---- the mechanism ---- */

static int
fork_learn_thread(struct subject *subject, struct keeper_reply *reply)
{
	uint64_t tid = subject_reserve(subject, NULL, 8),
		 robust = subject_reserve(subject, NULL, 8),
		 size = subject_reserve(subject, NULL, 8);
	size_t first = subject_add_call(subject, SYS_prctl, PR_GET_TID_ADDRESS, tid);

	subject_add_call(subject, SYS_get_robust_list, 0, robust, size);
	if (subject_run(subject, reply) < 0)
		return -1;
	if (subject->batch[first].result < 0 || subject->batch[first + 1].result < 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL,
			"the kernel does not tell what a fork needs (CONFIG_CHECKPOINT_RESTORE)");
	memcpy(&held.tid_at, subject_scratch(subject, tid), 8);
	memcpy(&held.robust, subject_scratch(subject, robust), 8);
	memcpy(&held.robust_size, subject_scratch(subject, size), 8);
	return 0;
}

static int
fork_learn(struct subject *subject, struct keeper_reply *reply)
{
	uint64_t brk;

	if (subject->n_threads > 1)
		return verdict(reply, KEEPER_CAUSE_THREADS, "it has %zu threads, a fork has one",
			subject->n_threads);
	if (subject_settle(subject, reply) < 0 || fork_learn_thread(subject, reply) < 0 ||
		keep_learn(subject, &brk, reply) < 0)
		return -1;
	/* Memory that a fork shares with its parent is memory that calls would share. */
	if (layout_learn(&held.layout, subject, brk, reply) < 0)
		return -1;
	subject_know_threads(subject);
	return fork_next(subject, reply);
}

static int
fork_keep(struct subject *subject, struct keeper_reply *reply)
{
	int rc = keep_stop_calm(subject, reply);

	if (rc == 0 && (rc = registers_learn(subject, reply)) == 0) {
		rc = fork_learn(subject, reply);
		if (rc < 0)
			registers_restore(subject, reply);
	}
	if (rc < 0)
		subject_let_go(subject);
	return rc;
}

static int
fork_renew(struct subject *subject, struct keeper_reply *reply)
{
	if (fork_has_ended(0)) {
		fork_end_as_child(subject);
		return verdict(reply, KEEPER_CAUSE_GONE, "the fork of the call has ended");
	}
	if (fork_kill(subject, reply) < 0 || aspect_look_all(subject, reply) < 0 ||
		subject_run(subject, reply) < 0 || aspect_check_all(subject, reply) < 0)
		return -1;
	return fork_next(subject, reply);
}

const struct keep_mechanism keep_by_fork = {
	.number = KEEPER_FORK,
	.name = "fork",
	.keep = fork_keep,
	.renew = fork_renew,
	.watched = fork_watched,
	.on_ended = fork_end_as_child,
};
