/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever lives in the sandbox descends from its init or from the main program. An orphan becomes
 * a child of init, or of the main program where that is a reaper: so when the threads of the main
 * program, which stand still, have no child, and then init has none but the main program, there is
 * nobody else. Killing the children that are there and looking again comes to that end, however
 * they fork: one that has been killed forks no more.
 *
 * The children of the main program stay as zombies until it waits for them itself, in the batch.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/mould.h"
#include "keeper/procfile.h"

#define PROCESSES_MAX       4096
#define PROCESSES_GO_US     500000
#define PROCESSES_PAUSE_NS  100000
#define PROCESSES_REAPED    256
#define PROCESSES_THREADS   512
#define PROCESSES_TEXT_SIZE (PROCESSES_MAX * 8)

/* Grows while it is walked: whoever is killed adds its children. */
struct processes_list {
	struct {
		pid_t pid, parent;
	} at[PROCESSES_MAX];
	size_t n;
};

static struct {
	int init;                       /* owned: children of init */
	int threads[PROCESSES_THREADS]; /* owned: children of each thread of the snapshot */
	pid_t tids[PROCESSES_THREADS];
	size_t n_threads;
	size_t first_wait, n_waits; /* in the batch */
	pid_t killed[PROCESSES_MAX];
	size_t n_killed;
} processes = {.init = -1};

/* Adds the children of `parent`, but for `but` and the mould. More than fit are left for the next
 * look. */
static int
processes_read(int children, pid_t parent, pid_t but, struct processes_list *found,
	struct keeper_reply *reply)
{
	static char text[PROCESSES_TEXT_SIZE];
	struct str rest;
	uint64_t pid;

	if (procfile_read(children, text, sizeof(text)) < 0)
		return verdict(
			reply, KEEPER_CAUSE_PROCESSES, "listing processes: %s", strerror(errno));
	rest = str_of(text);
	while (found->n < PROCESSES_MAX && str_to_u64(str_cut(&rest, ' '), &pid)) {
		if ((pid_t)pid == but || (pid_t)pid == mould_pid())
			continue;
		found->at[found->n].pid = (pid_t)pid;
		found->at[found->n++].parent = parent;
	}
	return 0;
}

static int
processes_read_thread(struct subject *subject, size_t thread, struct processes_list *found,
	struct keeper_reply *reply)
{
	pid_t tid = subject->threads[thread].tid;
	OWN(fd) int opened = -1;
	int fd;

	if (thread < processes.n_threads && processes.tids[thread] == tid)
		return processes_read(
			processes.threads[thread], subject->main_pid, 0, found, reply);
	fd = opened = procfile_open(subject, reply, "task/%d/children", tid);
	return fd < 0 ? -1 : processes_read(fd, subject->main_pid, 0, found, reply);
}

/* Children of the main program first, then of init: the order is the proof above. */
static int
processes_find(struct subject *subject, struct processes_list *of_main,
	struct processes_list *of_init, struct keeper_reply *reply)
{
	of_main->n = of_init->n = 0;
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (processes_read_thread(subject, i, of_main, reply) < 0)
			return -1;
	}
	return processes_read(processes.init, subject->init_pid, subject->main_pid, of_init, reply);
}

static void
processes_forget(void)
{
	own_fd(&processes.init);
	processes.init = -1;
	for (size_t i = 0; i < processes.n_threads; i++)
		own_fd(&processes.threads[i]);
	processes.n_threads = 0;
}

static int
processes_open(struct subject *subject, struct keeper_reply *reply)
{
	char path[64];

	processes_forget();
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", subject->init_pid,
		subject->init_pid);
	processes.init = open(path, O_RDONLY | O_CLOEXEC);
	if (processes.init < 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "opening children of pid 1: %s",
			strerror(errno));
	if (subject->n_threads > PROCESSES_THREADS)
		return verdict(
			reply, KEEPER_CAUSE_THREADS, "it has %zu threads", subject->n_threads);
	for (; processes.n_threads < subject->n_threads; processes.n_threads++) {
		pid_t tid = subject->threads[processes.n_threads].tid;
		int fd = procfile_open(subject, reply, "task/%d/children", tid);

		if (fd < 0)
			return -1;
		processes.threads[processes.n_threads] = fd;
		processes.tids[processes.n_threads] = tid;
	}
	return 0;
}

static int
processes_learn(struct subject *subject, struct keeper_reply *reply)
{
	static struct processes_list of_main, of_init;

	if (processes_open(subject, reply) < 0 ||
		processes_find(subject, &of_main, &of_init, reply) < 0)
		return -1;
	if (of_main.n + of_init.n > 0)
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "%zu other processes run",
			of_main.n + of_init.n);
	return 0;
}

struct processes_stat {
	char state;
	pid_t parent;
	unsigned n_threads;
};

/* Of a folder of /proc, which stays with its process when the number is used again. */
static bool
processes_stat(int folder, struct processes_stat *ret)
{
	OWN(fd) int fd = openat(folder, "stat", O_RDONLY | O_CLOEXEC);
	char text[1024], *behind;

	if (fd < 0 || procfile_read(fd, text, sizeof(text)) < 0)
		return false;
	behind = strrchr(text, ')');
	/* proc(5): after the name state, ppid, …, the 18th after it num_threads. */
	return behind && sscanf(behind + 1,
				 " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
				 " %*d %*d %u",
				 &ret->state, &ret->parent, &ret->n_threads) == 3;
}

/* Once in its life. */
static bool
processes_note_killed(pid_t pid)
{
	for (size_t i = 0; i < processes.n_killed; i++) {
		if (processes.killed[i] == pid)
			return false;
	}
	if (processes.n_killed < PROCESSES_MAX)
		processes.killed[processes.n_killed++] = pid;
	return true;
}

static void
processes_read_orphans(int folder, pid_t pid, struct processes_list *found)
{
	struct keeper_reply nobody = {0};
	OWN(fd) int fd = -1;
	char path[48];

	snprintf(path, sizeof(path), "task/%d/children", pid);
	fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		processes_read(fd, pid, 0, found, &nobody);
}

enum processes_fate { PROCESSES_GONE, PROCESSES_ZOMBIE, PROCESSES_DYING, PROCESSES_KILLED };

/* Only a child of whom it was found under, or an orphan, is killed: whatever else has the number by
 * now is nobody's here. */
static enum processes_fate
processes_kill(struct subject *subject, struct processes_list *found, size_t i)
{
	pid_t pid = found->at[i].pid;
	struct processes_stat stat;
	OWN(fd) int folder = -1;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || !processes_stat(folder, &stat) ||
		(stat.parent != found->at[i].parent && stat.parent != subject->init_pid &&
			stat.parent != subject->main_pid))
		return PROCESSES_GONE;
	if (stat.state == 'Z' && stat.n_threads <= 1)
		return PROCESSES_ZOMBIE;
	syscall(SYS_pidfd_send_signal, folder, SIGKILL, NULL, 0);
	processes_read_orphans(folder, pid, found);
	return processes_note_killed(pid) ? PROCESSES_KILLED : PROCESSES_DYING;
}

/* Whether all that is left of them are zombies. */
static bool
processes_kill_all(struct subject *subject, struct processes_list *found, bool *is_any_fresh)
{
	bool are_zombies = true;

	for (size_t i = 0; i < found->n; i++) {
		enum processes_fate fate = processes_kill(subject, found, i);

		are_zombies &= fate == PROCESSES_ZOMBIE;
		*is_any_fresh |= fate == PROCESSES_KILLED || fate == PROCESSES_GONE;
	}
	return are_zombies;
}

static void
processes_add_waits(struct subject *subject, size_t n)
{
	processes.n_waits = n;
	for (size_t i = 0; i < n; i++) {
		size_t at =
			subject_add_call(subject, SYS_wait4, (uint64_t)-1, 0, WNOHANG | __WALL, 0);

		if (i == 0)
			processes.first_wait = at;
	}
}

/* Until there are zombies of the main program only, whose number is given, or -1. One that became a
 * zombie behind the list may have left its children to the main program, so they are counted twice.
 */
static int
processes_clear(struct subject *subject, struct keeper_reply *reply)
{
	static struct processes_list of_main, of_init;
	uint64_t end_us = clock_mono_us() + PROCESSES_GO_US;
	size_t n_zombies = 0;

	for (;;) {
		bool is_any_fresh = false, are_zombies;

		if (processes_find(subject, &of_main, &of_init, reply) < 0)
			return -1;
		are_zombies = processes_kill_all(subject, &of_main, &is_any_fresh);
		processes_kill_all(subject, &of_init, &is_any_fresh);
		if (are_zombies && of_init.n == 0) {
			if (of_main.n == n_zombies)
				return (int)of_main.n;
			n_zombies = of_main.n;
			continue;
		}
		if (clock_mono_us() > end_us)
			return verdict(reply, KEEPER_CAUSE_PROCESSES, "%zu processes do not go",
				of_main.n + of_init.n);
		/* Whoever forks without end is run after, whoever dies is waited for. */
		if (!is_any_fresh)
			nanosleep(&(struct timespec){.tv_nsec = PROCESSES_PAUSE_NS}, NULL);
	}
}

static int
processes_look(struct subject *subject, struct keeper_reply *reply)
{
	int n;

	processes.n_waits = processes.n_killed = 0;
	n = processes_clear(subject, reply);
	if (n < 0)
		return -1;
	reply->figures.n_processes += (uint32_t)processes.n_killed;
	if (n > PROCESSES_REAPED)
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "%d children were not waited for", n);
	processes_add_waits(subject, (size_t)n);
	return 0;
}

static int
processes_check(struct subject *subject, struct keeper_reply *reply)
{
	static struct processes_list of_main, of_init;

	if (processes.n_waits == 0)
		return 0;
	for (size_t i = 0; i < processes.n_waits; i++) {
		if (subject->batch[processes.first_wait + i].result <= 0)
			return verdict(reply, KEEPER_CAUSE_PROCESSES, "a child is not buried");
	}
	if (processes_find(subject, &of_main, &of_init, reply) < 0)
		return -1;
	if (of_main.n + of_init.n > 0)
		return verdict(reply, KEEPER_CAUSE_PROCESSES, "%zu processes are left",
			of_main.n + of_init.n);
	return 0;
}

const struct aspect aspect_processes = {
	"processes", processes_learn, NULL, processes_look, processes_check};
