/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/subject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/own.h"
#include "keeper/deadline.h"
#include "keeper/mould.h"

#define SUBJECT_STOP_US 200000

static const struct subject subject_closed = {
	.proc = -1, .pidfd = -1, .init = -1, .memory = -1, .tasks = -1};

static int
subject_failed(struct keeper_reply *reply, const char *what)
{
	int code = errno;

	if (code == ESRCH)
		return verdict(reply, KEEPER_CAUSE_GONE, "the main program has ended");
	return verdict(reply, KEEPER_CAUSE_KERNEL, "%s: %s", what, strerror(code));
}

/* ---- opening ---- */

static pid_t
subject_find_child(pid_t init_pid)
{
	char text[64] = "", *behind;
	OWN(fd) int fd = -1;
	long pid;

	snprintf(text, sizeof(text), "/proc/%d/task/%d/children", init_pid, init_pid);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	memset(text, 0, sizeof(text));
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return 0;
	pid = strtol(text, &behind, 10);
	return *behind == ' ' && behind[1] == '\0' ? (pid_t)pid : 0;
}

static int
subject_open_process(struct subject *subject, struct keeper_reply *reply)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", subject->main_pid);
	subject->pidfd = (int)syscall(SYS_pidfd_open, subject->main_pid, 0);
	if (subject->pidfd < 0)
		return subject_failed(reply, "pidfd_open");
	subject->proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (subject->proc < 0)
		return subject_failed(reply, "opening /proc");
	subject->tasks = openat(subject->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	subject->memory = openat(subject->proc, "mem", O_RDWR | O_CLOEXEC);
	if (subject->tasks < 0 || subject->memory < 0)
		return subject_failed(reply, "opening the memory");
	return 0;
}

int
subject_open(struct subject *subject, const struct keeper_subject *told, struct keeper_reply *reply)
{
	*subject = subject_closed;
	subject->init_pid = told->init_pid;
	subject->channel = told->channel;
	subject->batch = mem_new(SUBJECT_BATCH_MAX * sizeof(*subject->batch));
	subject->scratch = mem_new(SUBJECT_SCRATCH_MAX);
	subject->main_pid = told->main_pid ? told->main_pid : subject_find_child(told->init_pid);
	if (subject->main_pid <= 0)
		return verdict(reply, KEEPER_CAUSE_PROCESSES,
			"there is not one main program, but none or several");
	subject->init = (int)syscall(SYS_pidfd_open, subject->init_pid, 0);
	if (subject->init < 0)
		return subject_failed(reply, "pidfd_open");
	return subject_open_process(subject, reply);
}

void
subject_close(struct subject *subject)
{
	own_fd(&subject->proc);
	own_fd(&subject->pidfd);
	own_fd(&subject->init);
	own_fd(&subject->memory);
	own_fd(&subject->tasks);
	free(subject->threads);
	free(subject->batch);
	free(subject->scratch);
	*subject = subject_closed;
}

/* ---- stopping ---- */

int
subject_wait(pid_t tid, int *ret_status, struct keeper_reply *reply)
{
	for (;;) {
		pid_t found = waitpid(tid, ret_status, __WALL);

		if (found == tid)
			return 1;
		if (found < 0 && errno == ECHILD)
			return 0;
		if (found < 0 && errno != EINTR)
			return subject_failed(reply, "waitpid");
		if (deadline_is_over())
			return verdict(
				reply, KEEPER_CAUSE_BUSY, "a thread has not stopped in time");
	}
}

static bool
subject_has_thread(const struct subject *subject, pid_t tid)
{
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (subject->threads[i].tid == tid)
			return true;
	}
	return false;
}

static void
subject_add_thread(struct subject *subject, pid_t tid)
{
	if (subject->n_threads == subject->n_threads_room) {
		subject->n_threads_room = subject->n_threads_room * 2 + 16;
		subject->threads = mem_grow(
			subject->threads, subject->n_threads_room * sizeof(*subject->threads));
	}
	subject->threads[subject->n_threads++] =
		(struct subject_thread){tid, subject->n_threads_kept > 0};
}

/* A program that is not kept yet, and does not come to stand still, goes on without its keeper. */
static bool
subject_seize(const struct subject *subject, pid_t tid)
{
	long options = PTRACE_O_TRACESYSGOOD | (subject->n_threads_kept ? PTRACE_O_EXITKILL : 0);

	return ptrace(PTRACE_SEIZE, tid, NULL, options) == 0 &&
	       ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0;
}

/* From here on it must not go on as it is. */
static int
subject_bind_lives(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (ptrace(PTRACE_SETOPTIONS, subject->threads[i].tid, NULL,
			    PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) < 0)
			return subject_failed(reply, "PTRACE_SETOPTIONS");
	}
	return 0;
}

static void
subject_seize_kept(struct subject *subject)
{
	for (size_t i = 0; i < subject->n_threads_kept; i++)
		subject_seize(subject, subject->threads[i].tid);
	subject->n_threads = subject->n_threads_kept;
}

/* A thread that is about to end cannot be seized, and is not there any more. */
static int
subject_seize_new(struct subject *subject, size_t *ret_seen, struct keeper_reply *reply)
{
	char names[2048];
	ssize_t n;

	*ret_seen = 0;
	if (lseek(subject->tasks, 0, SEEK_SET) < 0)
		return subject_failed(reply, "lseek");
	while ((n = syscall(SYS_getdents64, subject->tasks, names, sizeof(names))) > 0) {
		for (ssize_t at = 0; at < n;) {
			struct dirent64 *entry = (void *)(names + at);
			pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

			at += entry->d_reclen;
			if (tid <= 0)
				continue;
			++*ret_seen;
			if (!subject_has_thread(subject, tid) && subject_seize(subject, tid))
				subject_add_thread(subject, tid);
		}
	}
	return n < 0 ? subject_failed(reply, "getdents") : 0;
}

static char *
subject_read_text(int file, char *ret, size_t size)
{
	ssize_t n = pread(file, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	return ret;
}

static bool
subject_has_child(int children, long pid)
{
	char text[1024], *at = subject_read_text(children, text, sizeof(text));
	long next;

	while ((next = strtol(at, &at, 10)) > 0) {
		if (next == pid)
			return true;
	}
	return false;
}

/* A thread in vfork() does not stop before its child goes on, which only the past call wants. A
 * number means a child if it still does when it cannot mean another process any more. */
static void
subject_kill_children(struct subject *subject, pid_t tid)
{
	char text[1024], *at = text;
	OWN(fd) int children = -1;

	snprintf(text, sizeof(text), "%d/children", tid);
	children = openat(subject->tasks, text, O_RDONLY | O_CLOEXEC);
	subject_read_text(children, text, sizeof(text));
	for (long pid; (pid = strtol(at, &at, 10)) > 0;) {
		if (pid == mould_pid())
			continue;
		OWN(fd) int child = (int)syscall(SYS_pidfd_open, pid, 0);

		if (child >= 0 && subject_has_child(children, pid))
			syscall(SYS_pidfd_send_signal, child, SIGKILL, NULL, 0);
	}
}

/* It would stop if it got a processor: whatever else runs in the sandbox may have them all. */
static bool
subject_is_runnable(const struct subject *subject, pid_t tid)
{
	char text[512], *behind;
	OWN(fd) int stat = -1;

	snprintf(text, sizeof(text), "%d/stat", tid);
	stat = openat(subject->tasks, text, O_RDONLY | O_CLOEXEC);
	subject_read_text(stat, text, sizeof(text));
	behind = strrchr(text, ')');
	return behind && behind[1] == ' ' && behind[2] == 'R';
}

/* As subject_wait(), but not for longer than a thread needs that can stop at all. */
static int
subject_wait_for_stop(
	struct subject *subject, pid_t tid, int *ret_status, struct keeper_reply *reply)
{
	uint64_t until = 0;
	pid_t found;

	while ((found = waitpid(tid, ret_status, __WALL)) < 0 && errno == EINTR) {
		uint64_t now = clock_mono_us();

		until = until ? until : now + SUBJECT_STOP_US;
		if (now > until && (deadline_is_over() || !subject_is_runnable(subject, tid)))
			return verdict(reply, KEEPER_CAUSE_BUSY, "a thread does not stop");
		if (subject->n_threads_kept)
			subject_kill_children(subject, tid);
	}
	if (found < 0 && errno != ECHILD)
		return subject_failed(reply, "waitpid");
	return found == tid;
}

/* What comes before the stop that was asked for: a signal, which waits again before the snapshot
 * and is the past call's after it. */
static int
subject_await_stop(
	struct subject *subject, struct subject_thread *thread, struct keeper_reply *reply)
{
	for (;;) {
		int status = 0, rc = subject_wait_for_stop(subject, thread->tid, &status, reply);
		int signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

		if (rc < 0)
			return -1;
		if (rc == 0 || !WIFSTOPPED(status))
			return 0;
		if (status >> 16 == PTRACE_EVENT_STOP && signal != SIGTRAP)
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "it was stopped by a signal");
		if (status >> 16 == PTRACE_EVENT_STOP)
			return 1;
		if (status >> 16 != 0 || signal == (SIGTRAP | 0x80) || subject->n_threads_kept)
			signal = 0;
		if (ptrace(PTRACE_CONT, thread->tid, NULL, (long)signal) < 0 && errno != ESRCH)
			return subject_failed(reply, "PTRACE_CONT");
	}
}

static int
subject_await_stops(struct subject *subject, size_t from, struct keeper_reply *reply)
{
	for (size_t i = from; i < subject->n_threads;) {
		int rc = subject_await_stop(subject, &subject->threads[i], reply);

		if (rc < 0)
			return -1;
		if (rc > 0)
			i++;
		else if (subject->threads[i].tid == subject->main_pid)
			return verdict(reply, KEEPER_CAUSE_GONE, "the main program has ended");
		else if (i < subject->n_threads_kept)
			return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has ended");
		else
			subject->threads[i] = subject->threads[--subject->n_threads];
	}
	return 0;
}

static void
subject_put_main_first(struct subject *subject)
{
	for (size_t i = 1; i < subject->n_threads; i++) {
		if (subject->threads[i].tid == subject->main_pid) {
			struct subject_thread main = subject->threads[i];

			subject->threads[i] = subject->threads[0];
			subject->threads[0] = main;
		}
	}
}

/* Once all that are known stand still no further one can come to be. */
int
subject_stop(struct subject *subject, struct keeper_reply *reply)
{
	size_t n_stopped = 0, n_seen;

	must(!subject->is_stopped);
	subject->is_stopped = true;
	subject_seize_kept(subject);
	do {
		if (subject_await_stops(subject, n_stopped, reply) < 0)
			return -1;
		n_stopped = subject->n_threads;
		if (subject_seize_new(subject, &n_seen, reply) < 0)
			return -1;
	} while (subject->n_threads > n_stopped);
	if (!subject_has_thread(subject, subject->main_pid))
		return verdict(reply, KEEPER_CAUSE_GONE, "the main program has ended");
	if (n_seen < subject->n_threads)
		return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has ended");
	if (subject->n_threads_kept)
		return 0;
	subject_put_main_first(subject);
	return subject_bind_lives(subject, reply);
}

void
subject_let_go(struct subject *subject)
{
	for (size_t i = 0; i < subject->n_threads; i++)
		ptrace(PTRACE_DETACH, subject->threads[i].tid, NULL, NULL);
	subject->n_threads = subject->n_threads_kept;
	subject->is_stopped = false;
}

void
subject_know_threads(struct subject *subject)
{
	subject->n_threads_kept = subject->n_threads;
}

/* ---- what it says ---- */

ssize_t
subject_read(struct subject *subject, const char *file, char *ret, size_t size,
	struct keeper_reply *reply)
{
	OWN(fd) int fd = openat(subject->proc, file, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return subject_failed(reply, file);
	while (len < size) {
		ssize_t n = read(fd, ret + len, size - len);

		if (n < 0)
			return subject_failed(reply, file);
		if (n == 0) {
			ret[len] = '\0';
			return (ssize_t)len;
		}
		len += (size_t)n;
	}
	return verdict(reply, KEEPER_CAUSE_KERNEL, "%s is too long", file);
}
