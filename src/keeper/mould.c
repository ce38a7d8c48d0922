/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/mould.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "keeper/procfile.h"
#include "keeper/rank.h"

#define MOULD_OPTIONS (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD)
#define MOULD_BIRTH   (PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)
#define MOULD_LINE    48 /* bytes of a line of its status, at most */

/* What another process of its user can change of it, and see. */
struct mould_facts {
	pid_t group, session;
	struct rlimit64 limits[RLIM_NLIMITS];
	char state[MOULD_LINE], signals[MOULD_LINE], shared_signals[MOULD_LINE];
	struct rank rank; /* last: only as much of it as there is is written */
};

static struct {
	pid_t pid;
	int pidfd;  /* owned */
	int memory; /* owned: its memory as a file, which asks for no right */
	int status; /* owned: of /proc */
	struct mould_facts facts;
} mould = {.pidfd = -1, .memory = -1, .status = -1};

static int
mould_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, KEEPER_CAUSE_KERNEL, "%s: %s", what, strerror(errno));
}

/* Gives the child's number, 0 when there can be none. The table of descriptors is shared: with one
 * of its own it would hold open what a call closes. */
static int
mould_bear(struct subject *subject, struct keeper_reply *reply)
{
	size_t birth = subject_add_call(subject, SYS_clone, CLONE_FILES);
	int rc;

	if (ptrace(PTRACE_SETOPTIONS, subject->main_pid, NULL, MOULD_OPTIONS | MOULD_BIRTH) < 0)
		return mould_failed(reply, "PTRACE_SETOPTIONS");
	subject->born = 0;
	rc = subject_run(subject, reply);
	if (ptrace(PTRACE_SETOPTIONS, subject->main_pid, NULL, MOULD_OPTIONS) < 0 && rc == 0)
		rc = mould_failed(reply, "PTRACE_SETOPTIONS");
	if (rc == 0)
		rc = subject->batch[birth].result > 0 ? subject->born : 0;
	return rc < 0 || subject_wipe(subject, reply) < 0 ? -1 : rc;
}

static int
mould_open(const char *file)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", mould.pid, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Whether it has all that the subject has. */
static bool
mould_is_whole(struct str maps)
{
	OWN(fd) int fd = mould_open("maps");
	OWN(mem) char *text = mem_new(maps.len + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (fd >= 0 && len <= maps.len && n > 0) {
		n = read(fd, text + len, maps.len + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	return n == 0 && str_eq(str_n(text, len), maps);
}

/* ---- what becomes of it ---- */

static void
mould_copy_line(const char *text, const char *key, char ret[static MOULD_LINE])
{
	snprintf(ret, MOULD_LINE, "%.*s", STR_ARG(procfile_value(text, key)));
}

static int
mould_see(struct mould_facts *ret, struct keeper_reply *reply)
{
	char text[8192];

	memset(ret, 0, offsetof(struct mould_facts, rank));
	if (procfile_read(mould.status, text, sizeof(text)) < 0)
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "the mould is dead");
	mould_copy_line(text, "State", ret->state);
	mould_copy_line(text, "SigPnd", ret->signals);
	mould_copy_line(text, "ShdPnd", ret->shared_signals);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		if (syscall(SYS_prlimit64, mould.pid, i, NULL, &ret->limits[i]) < 0)
			return mould_failed(reply, "limits of the mould");
	}
	ret->group = getpgid(mould.pid);
	ret->session = getsid(mould.pid);
	rank_see(mould.pid, &ret->rank);
	return 0;
}

int
mould_check(struct keeper_reply *reply)
{
	struct mould_facts is;

	if (mould.pid == 0)
		return 0;
	if (mould_see(&is, reply) < 0)
		return -1;
	if (memcmp(&is, &mould.facts, offsetof(struct mould_facts, rank)) != 0 ||
		!rank_is_same(&is.rank, &mould.facts.rank))
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "the mould is not as it was");
	return 0;
}

/* ---- making it ---- */

/* Killed it becomes a zombie of the subject, which has to bury it. */
static int
mould_break(struct subject *subject, struct keeper_reply *reply)
{
	int status;
	size_t wait;

	kill(mould.pid, SIGKILL);
	if (subject_wait(mould.pid, &status, reply) < 0)
		return -1;
	own_fd(&mould.pidfd);
	own_fd(&mould.memory);
	own_fd(&mould.status);
	mould.pidfd = mould.memory = mould.status = -1;
	mould.pid = 0;
	wait = subject_add_call(subject, SYS_wait4, (uint64_t)-1, 0, __WALL);
	if (subject_run(subject, reply) < 0)
		return -1;
	if (subject->batch[wait].result <= 0)
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "a mould is not buried");
	return subject_wipe(subject, reply) < 0 ? -1 : 1;
}

int
mould_make(struct subject *subject, struct str maps, struct keeper_reply *reply)
{
	int pid = mould_bear(subject, reply), status;

	if (pid <= 0)
		return pid < 0 ? -1 : 1;
	mould.pid = pid;
	if (subject_wait(pid, &status, reply) < 0)
		return -1;
	mould.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	mould.memory = mould_open("mem");
	mould.status = mould_open("status");
	if (mould.pidfd < 0 || mould.memory < 0 || mould.status < 0)
		return mould_failed(reply, "opening the mould");
	return mould_is_whole(maps) ? mould_see(&mould.facts, reply) : mould_break(subject, reply);
}

pid_t
mould_pid(void)
{
	return mould.pid;
}

/* Its number is nobody else's as long as its tracer has not waited for it. */
int
mould_read(uint64_t at, void *ret, size_t size, struct keeper_reply *reply)
{
	struct iovec here = {ret, size}, there = {(void *)(uintptr_t)at, size};

	if (process_vm_readv(mould.pid, &here, 1, &there, 1, 0) == (ssize_t)size ||
		pread(mould.memory, ret, size, (off_t)at) == (ssize_t)size)
		return 0;
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL,
		"reading the snapshot: %s", strerror(errno));
}
