/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <elf.h>

#include "base/err.h"
#include "keeper/machine.h"
#include "keeper/subject.h"

#define BATCH_PAGE      4096
#define BATCH_OPS_SIZE  (SUBJECT_BATCH_MAX * sizeof(struct subject_op))
#define BATCH_DATA_SIZE (BATCH_OPS_SIZE + SUBJECT_SCRATCH_MAX)
#define BATCH_SIGNALS   64 /* that come between, which a hostile program has sent itself */

/* All but the one that the stub ends with: none of them is to be handled in the middle. */
#define BATCH_MASK (~(1ull << (SIGTRAP - 1)))

static int
subject_fail_batch(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

static int
subject_set_registers(pid_t tid, const struct user_regs_struct *registers)
{
	struct iovec where = {(void *)registers, sizeof(*registers)};

	return (int)ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &where);
}

static int
subject_get_registers(pid_t tid, struct user_regs_struct *registers)
{
	struct iovec where = {registers, sizeof(*registers)};

	return (int)ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &where);
}

static int
subject_set_mask(pid_t tid, uint64_t mask)
{
	return (int)ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask);
}

/* ---- filling ---- */

static void
subject_begin_batch(struct subject *subject)
{
	if (!subject->is_batch_run)
		return;
	subject->is_batch_run = subject->is_batch_full = false;
	subject->n_batch = subject->n_scratch = 0;
}

size_t
subject_add(struct subject *subject, long number, const uint64_t args[static 6])
{
	subject_begin_batch(subject);
	if (subject->n_batch == SUBJECT_BATCH_MAX) {
		subject->is_batch_full = true;
		return SUBJECT_BATCH_MAX - 1;
	}
	subject->batch[subject->n_batch] = (struct subject_op){.number = (uint64_t)number};
	memcpy(subject->batch[subject->n_batch].args, args, sizeof(subject->batch->args));
	return subject->n_batch++;
}

uint64_t
subject_reserve(struct subject *subject, const void *bytes, size_t n)
{
	size_t at, size = (n + 15) & ~(size_t)15;

	subject_begin_batch(subject);
	at = subject->n_scratch;
	if (size > SUBJECT_SCRATCH_MAX - at) {
		subject->is_batch_full = true;
		return subject->scratch_at;
	}
	memset(subject->scratch + at, 0, size);
	if (bytes)
		memcpy(subject->scratch + at, bytes, n);
	subject->n_scratch += size;
	return subject->scratch_at + at;
}

const void *
subject_scratch(const struct subject *subject, uint64_t address)
{
	must(address - subject->scratch_at < SUBJECT_SCRATCH_MAX);
	return subject->scratch + (address - subject->scratch_at);
}

/* ---- running ---- */

static int
subject_move_batch(struct subject *subject, struct keeper_reply *reply,
	ssize_t (*move)(pid_t, const struct iovec *, unsigned long, const struct iovec *,
		unsigned long, unsigned long))
{
	size_t ops = subject->n_batch * sizeof(struct subject_op);
	struct iovec here[] = {{subject->batch, ops}, {subject->scratch, subject->n_scratch}};
	struct iovec there[] = {{(void *)(uintptr_t)subject->ops_at, ops},
		{(void *)(uintptr_t)subject->scratch_at, subject->n_scratch}};

	if (move(subject->main_pid, here, 2, there, 2, 0) != (ssize_t)(ops + subject->n_scratch))
		return subject_fail_batch(reply, "copying a batch");
	return 0;
}

/* A child of the batch's is held where it was born; the batch goes on. */
static void
subject_note_birth(struct subject *subject)
{
	unsigned long pid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, subject->main_pid, NULL, &pid) == 0)
		subject->born = (pid_t)pid;
}

static int
subject_await_batch(struct subject *subject, struct keeper_reply *reply)
{
	pid_t pid = subject->main_pid;
	struct user_regs_struct now;

	for (int i = 0; i < BATCH_SIGNALS; i++) {
		int status = 0, rc;

		if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0)
			return subject_fail_batch(reply, "PTRACE_CONT");
		rc = subject_wait(pid, &status, reply);
		if (rc < 0)
			return -1;
		if (rc == 0 || !WIFSTOPPED(status))
			return verdict(reply, KEEPER_CAUSE_GONE, "it ended in a batch");
		if (status >> 16 == PTRACE_EVENT_FORK || status >> 16 == PTRACE_EVENT_CLONE)
			subject_note_birth(subject);
		if (status >> 16 || WSTOPSIG(status) != SIGTRAP)
			continue;
		if (subject_get_registers(pid, &now) < 0)
			return subject_fail_batch(reply, "PTRACE_GETREGSET");
		if (machine_is_batch_over(&now, subject->stub_at))
			return 0;
	}
	return verdict(reply, KEEPER_CAUSE_SIGNALS, "too many signals in a batch");
}

static int
subject_run_stub(struct subject *subject, struct keeper_reply *reply)
{
	struct user_regs_struct registers = subject->base;

	machine_set_batch(&registers, subject->stub_at, subject->ops_at, subject->n_batch);
	if (subject_set_registers(subject->main_pid, &registers) < 0 ||
		subject_set_mask(subject->main_pid, BATCH_MASK) < 0)
		return subject_fail_batch(reply, "setting registers");
	if (subject_await_batch(subject, reply) < 0)
		return -1;
	if (subject_set_mask(subject->main_pid, subject->base_mask) < 0)
		return subject_fail_batch(reply, "setting the signal mask");
	return 0;
}

int
subject_run(struct subject *subject, struct keeper_reply *reply)
{
	must(subject->is_stopped && subject->stub_at);
	if (subject->is_batch_full)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "there is too much to undo");
	if (subject->is_batch_run || subject->n_batch == 0)
		return 0;
	subject->is_batch_run = true;
	if (subject_move_batch(subject, reply, process_vm_writev) < 0 ||
		subject_run_stub(subject, reply) < 0)
		return -1;
	return subject_move_batch(subject, reply, process_vm_readv);
}

int
subject_wipe(struct subject *subject, struct keeper_reply *reply)
{
	static const uint8_t zeroes[BATCH_DATA_SIZE];
	size_t ops = subject->n_batch * sizeof(struct subject_op);
	struct iovec here[] = {{(void *)zeroes, ops}, {(void *)zeroes, subject->n_scratch}};
	struct iovec there[] = {{(void *)(uintptr_t)subject->ops_at, ops},
		{(void *)(uintptr_t)subject->scratch_at, subject->n_scratch}};

	if (process_vm_writev(subject->main_pid, here, 2, there, 2, 0) !=
		(ssize_t)(ops + subject->n_scratch))
		return subject_fail_batch(reply, "wiping a batch");
	return 0;
}

/* ---- single calls ---- */

/* Where the filter of the sandbox leaves a call to its tracer it is let through. */
static int
subject_await_call(pid_t pid, struct keeper_reply *reply)
{
	struct __ptrace_syscall_info info;

	for (int i = 0; i < BATCH_SIGNALS; i++) {
		int status = 0, rc;

		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
			return subject_fail_batch(reply, "PTRACE_SYSCALL");
		rc = subject_wait(pid, &status, reply);
		if (rc < 0)
			return -1;
		if (rc == 0 || !WIFSTOPPED(status))
			return verdict(reply, KEEPER_CAUSE_GONE, "it ended in a system call");
		if (status >> 16 || WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			return subject_fail_batch(reply, "PTRACE_GET_SYSCALL_INFO");
		if (info.op == PTRACE_SYSCALL_INFO_EXIT)
			return 0;
	}
	return verdict(reply, KEEPER_CAUSE_SIGNALS, "too many signals in a system call");
}

static int
subject_make_call(
	struct subject *subject, struct user_regs_struct *registers, struct keeper_reply *reply)
{
	pid_t pid = subject->main_pid;

	if (subject_set_registers(pid, registers) < 0 || subject_set_mask(pid, BATCH_MASK) < 0)
		return subject_fail_batch(reply, "setting registers");
	if (subject_await_call(pid, reply) < 0)
		return -1;
	if (subject_get_registers(pid, registers) < 0 ||
		subject_set_registers(pid, &subject->base) < 0 ||
		subject_set_mask(pid, subject->base_mask) < 0)
		return subject_fail_batch(reply, "getting registers");
	return 0;
}

static int
subject_set_options(struct subject *subject, long more)
{
	return (int)ptrace(PTRACE_SETOPTIONS, subject->main_pid, NULL,
		PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | more);
}

int
subject_inject(struct subject *subject, int64_t *ret, struct keeper_reply *reply, long number,
	const uint64_t args[static 6])
{
	struct user_regs_struct registers = subject->base;
	int rc;

	machine_set_call(&registers, machine_position(&subject->base), number, args);
	if (subject_set_options(subject, PTRACE_O_TRACESECCOMP) < 0)
		return subject_fail_batch(reply, "PTRACE_SETOPTIONS");
	rc = subject_make_call(subject, &registers, reply);
	if (rc == 0 && subject_set_options(subject, 0) < 0)
		rc = subject_fail_batch(reply, "PTRACE_SETOPTIONS");
	*ret = machine_result(&registers);
	return rc;
}

/* ---- the stub ---- */

static int
subject_inject_well(struct subject *subject, int64_t *ret, struct keeper_reply *reply, long number,
	const uint64_t args[static 6])
{
	if (subject_inject(subject, ret, reply, number, args) < 0)
		return -1;
	if (*ret < 0 && *ret > -BATCH_PAGE)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "memory for the stub: %s",
			strerror((int)-*ret));
	return 0;
}

static int
subject_protect(struct subject *subject, uint64_t at, uint64_t size, int protection,
	struct keeper_reply *reply)
{
	int64_t ret;

	return subject_inject_well(subject, &ret, reply, SYS_mprotect,
		(const uint64_t[6]){at, size, (uint64_t)protection});
}

/* A page that nobody may touch at both ends, so that no mapping of the program's own becomes one
 * with these. */
int
subject_settle(struct subject *subject, struct keeper_reply *reply)
{
	size_t size = machine_stub_size();
	int64_t at;

	if (subject->stub_at)
		return 0;
	if (subject_inject_well(subject, &at, reply, SYS_mmap,
		    (const uint64_t[6]){0, BATCH_DATA_SIZE + 3 * BATCH_PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0}) < 0)
		return -1;
	subject->ops_at = (uint64_t)at + BATCH_PAGE;
	subject->scratch_at = subject->ops_at + BATCH_OPS_SIZE;
	subject->stub_at = subject->ops_at + BATCH_DATA_SIZE;
	if (subject_protect(
		    subject, subject->ops_at, BATCH_DATA_SIZE, PROT_READ | PROT_WRITE, reply) < 0 ||
		subject_protect(
			subject, subject->stub_at, BATCH_PAGE, PROT_READ | PROT_EXEC, reply) < 0)
		return -1;
	if (pwrite(subject->memory, machine_stub, size, (off_t)subject->stub_at) != (ssize_t)size)
		return subject_fail_batch(reply, "writing the stub");
	return 0;
}

bool
subject_is_stub(const struct subject *subject, uint64_t start, uint64_t end)
{
	return start < subject->stub_at + BATCH_PAGE && end > subject->ops_at;
}

int
subject_check_stub(struct subject *subject, struct keeper_reply *reply)
{
	uint8_t found[256];
	size_t size = machine_stub_size();
	struct iovec here = {found, size}, there = {(void *)(uintptr_t)subject->stub_at, size};

	must(size <= sizeof(found));
	if (process_vm_readv(subject->main_pid, &here, 1, &there, 1, 0) != (ssize_t)size ||
		memcmp(found, machine_stub, size) != 0)
		return verdict(reply, KEEPER_CAUSE_LAYOUT, "the keeper's code was changed");
	return 0;
}

/* ---- threads that the call has left ---- */

static int
subject_end_thread(struct subject *subject, pid_t tid, struct keeper_reply *reply)
{
	struct user_regs_struct registers;
	int status = 0, rc = 1;

	if (subject_get_registers(tid, &registers) < 0)
		return subject_fail_batch(reply, "PTRACE_GETREGSET");
	machine_set_call(&registers, subject->stub_at + machine_stub_call(), SYS_exit,
		(const uint64_t[6]){0});
	if (subject_set_registers(tid, &registers) < 0 || subject_set_mask(tid, ~0ull) < 0)
		return subject_fail_batch(reply, "setting registers");
	for (int i = 0; i < BATCH_SIGNALS && rc > 0; i++) {
		if (ptrace(PTRACE_CONT, tid, NULL, NULL) < 0 && errno != ESRCH)
			return subject_fail_batch(reply, "PTRACE_CONT");
		rc = subject_wait(tid, &status, reply);
		if (rc > 0 && !WIFSTOPPED(status))
			rc = 0;
	}
	return rc > 0 ? verdict(reply, KEEPER_CAUSE_THREADS, "a thread does not end") : rc;
}

int
subject_end_threads(struct subject *subject, struct keeper_reply *reply)
{
	while (subject->n_threads > subject->n_threads_kept) {
		pid_t tid = subject->threads[subject->n_threads - 1].tid;

		if (subject_end_thread(subject, tid, reply) < 0)
			return -1;
		subject->n_threads--;
		reply->figures.n_threads++;
	}
	return 0;
}
