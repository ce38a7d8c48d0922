/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/status.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"
#include "keeper/procfile.h"

#define STATUS_SIZE 4096

static struct {
	int fds[STATUS_THREADS_MAX]; /* owned */
	pid_t tids[STATUS_THREADS_MAX];
	char was[STATUS_THREADS_MAX][STATUS_SIZE];
	char is[STATUS_THREADS_MAX][STATUS_SIZE];
	size_t n;
	struct status_difference differences[STATUS_DIFFERENCES_MAX];
	size_t n_differences;
} status;

/* What is put back, or verified, elsewhere: registers and masks, memory, handlers; and counters. */
static bool
status_is_of_no_account(struct str key)
{
	static const char *const keys[] = {"State", "TracerPid", "FDSize", "HugetlbPages",
		"CoreDumping", "Threads", "SigQ", "SigBlk", "SigIgn", "SigCgt",
		"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"};

	if (str_starts(key, STR("Rss")) ||
		(str_starts(key, STR("Vm")) && !str_eq(key, STR("VmLck"))))
		return true;
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (str_eq(key, str_of(keys[i])))
			return true;
	}
	return false;
}

static void
status_forget(void)
{
	for (size_t i = 0; i < status.n; i++)
		own_fd(&status.fds[i]);
	status.n = status.n_differences = 0;
}

static int
status_read(size_t thread, char *ret, struct keeper_reply *reply)
{
	if (procfile_read(status.fds[thread], ret, STATUS_SIZE) < 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "reading a status: %s", strerror(errno));
	return 0;
}

int
status_learn(struct subject *subject, struct keeper_reply *reply)
{
	status_forget();
	if (subject->n_threads > STATUS_THREADS_MAX)
		return verdict(
			reply, KEEPER_CAUSE_THREADS, "it has %zu threads", subject->n_threads);
	for (size_t i = 0; i < subject->n_threads; i++) {
		pid_t tid = subject->threads[i].tid;
		int fd = procfile_open(subject, reply, "task/%d/status", tid);

		if (fd < 0)
			return -1;
		status.fds[i] = fd;
		status.tids[i] = tid;
		status.n = i + 1;
		if (status_read(i, status.was[i], reply) < 0)
			return -1;
	}
	return 0;
}

static int
status_note(
	size_t thread, struct str key, struct str was, struct str is, struct keeper_reply *reply)
{
	if (status.n_differences == STATUS_DIFFERENCES_MAX)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "too much has changed");
	status.differences[status.n_differences++] =
		(struct status_difference){thread, key, was, is};
	return 0;
}

static int
status_compare(size_t thread, struct keeper_reply *reply)
{
	struct str was = str_of(status.was[thread]), is = str_of(status.is[thread]);

	while (was.len > 0 && is.len > 0) {
		struct str old = str_cut(&was, '\n'), new = str_cut(&is, '\n'), key, key_now;

		if (old.len == new.len && memcmp(old.at, new.at, old.len) == 0)
			continue;
		key = str_cut(&old, ':');
		key_now = str_cut(&new, ':');
		if (!str_eq(key, key_now))
			break;
		if (!status_is_of_no_account(key) &&
			status_note(thread, key, str_trim(old), str_trim(new), reply) < 0)
			return -1;
	}
	if (was.len != 0 || is.len != 0)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "its status has other lines");
	return 0;
}

int
status_look(struct subject *subject, struct keeper_reply *reply)
{
	status.n_differences = 0;
	for (size_t i = 0; i < status.n; i++) {
		if (subject->threads[i].tid != status.tids[i])
			return verdict(reply, KEEPER_CAUSE_THREADS, "a thread is missing");
		if (status_read(i, status.is[i], reply) < 0 || status_compare(i, reply) < 0)
			return -1;
	}
	return 0;
}

size_t
status_differences(const struct status_difference **ret)
{
	*ret = status.differences;
	return status.n_differences;
}

struct str
status_was(size_t thread, const char *key)
{
	return procfile_value(status.was[thread], key);
}
