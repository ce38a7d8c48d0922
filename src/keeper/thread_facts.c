/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/thread_facts.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/procfile.h"
#include "keeper/rank.h"

#define FACTS_GET_RSEQ    0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */
#define FACTS_NAME_SIZE   68     /* of a name in its status: 16 bytes, each may be escaped */
#define FACTS_STATUS_SIZE 8192
#define FACTS_SIGNALS     64

/* struct ptrace_rseq_configuration */
struct facts_rseq {
	uint64_t address;
	uint32_t size, signature, flags, zero;
};

struct facts {
	struct facts_rseq rseq;
	uint64_t robust_head;
	uint64_t pending; /* a set of signals */
	char name[FACTS_NAME_SIZE];
	struct rank rank; /* last: only as much of it as there is is written */
};

static struct {
	struct facts threads[THREAD_FACTS_MAX];
	struct rank init;
	int statuses[THREAD_FACTS_MAX]; /* owned: files of /proc, from the second thread on */
	pid_t inside[THREAD_FACTS_MAX]; /* their numbers in the sandbox */
	size_t n_threads;
	bool is_any_mended, is_in_doubt;
	bool is_rseq_fixed; /* all are registered, and no call would undo that */
} facts;

/* ---- seeing ---- */

unsigned
thread_facts_count_signals(pid_t tid, bool is_shared)
{
	static siginfo_t found[FACTS_SIGNALS];
	struct __ptrace_peeksiginfo_args what = {
		.flags = is_shared ? PTRACE_PEEKSIGINFO_SHARED : 0, .nr = FACTS_SIGNALS};
	long n = ptrace(PTRACE_PEEKSIGINFO, tid, &what, found);

	/* What cannot be counted may be any number. */
	return n < 0 ? FACTS_SIGNALS : (unsigned)n;
}

/* Not its stat, which tells of 31 signals only. A signal for which there was no memory is in no
 * queue, but it is here. */
static int
facts_read_status(int status, struct facts *ret, struct keeper_reply *reply)
{
	char text[FACTS_STATUS_SIZE];
	struct str name, pending;

	if (procfile_read(status, text, sizeof(text)) < 0)
		return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has ended");
	name = procfile_value(text, "Name");
	pending = procfile_value(text, "SigPnd");
	if (name.len >= FACTS_NAME_SIZE || pending.len == 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "a status that cannot be read");
	memset(ret->name, 0, sizeof(ret->name));
	memcpy(ret->name, name.at, name.len);
	ret->pending = strtoull(pending.at, NULL, 16);
	return 0;
}

static int
facts_see(struct subject *subject, size_t thread, struct facts *ret, struct keeper_reply *reply)
{
	pid_t tid = subject->threads[thread].tid;
	size_t length;

	memset(ret, 0, offsetof(struct facts, rank));
	rank_see(tid, &ret->rank);
	if (!facts.is_rseq_fixed)
		ptrace(FACTS_GET_RSEQ, tid, sizeof(ret->rseq), &ret->rseq);
	if (thread == 0)
		return 0;
	syscall(SYS_get_robust_list, tid, &ret->robust_head, &length);
	return facts_read_status(facts.statuses[thread], ret, reply);
}

/* ---- KEEP ---- */

/* The last of "<outside> <inside>". */
static int
facts_learn_number(struct subject *subject, size_t thread, struct keeper_reply *reply)
{
	char text[4096], path[32];
	struct str rest, number = STR_NONE;
	uint64_t inside = 0;

	snprintf(path, sizeof(path), "task/%d/status", subject->threads[thread].tid);
	if (subject_read(subject, path, text, sizeof(text), reply) < 0)
		return -1;
	rest = procfile_value(text, "NSpid");
	while (rest.len > 0)
		number = str_cut(&rest, '\t');
	if (!str_to_u64(number, &inside) || inside == 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "a thread has no number");
	facts.inside[thread] = (pid_t)inside;
	return 0;
}

static int
facts_learn_one(struct subject *subject, size_t thread, struct keeper_reply *reply)
{
	struct facts *was = &facts.threads[thread];

	facts.statuses[thread] = -1;
	facts.n_threads = thread + 1;
	if (thread > 0) {
		facts.statuses[thread] = procfile_open(
			subject, reply, "task/%d/status", subject->threads[thread].tid);
		if (facts.statuses[thread] < 0)
			return -1;
	}
	if (facts_learn_number(subject, thread, reply) < 0 ||
		facts_see(subject, thread, was, reply) < 0)
		return -1;
	if (was->pending)
		return verdict(reply, KEEPER_CAUSE_SIGNALS, "a signal waits for a thread");
	return 0;
}

/* The sandbox lets nobody unregister (sandbox/syscall_filter.c). */
static void
facts_fix_rseq(void)
{
	facts.is_rseq_fixed = true;
	for (size_t i = 0; i < facts.n_threads; i++)
		facts.is_rseq_fixed &= facts.threads[i].rseq.address != 0;
	for (size_t i = 0; facts.is_rseq_fixed && i < facts.n_threads; i++)
		facts.threads[i].rseq = (struct facts_rseq){0};
}

int
thread_facts_learn(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = 0; i < facts.n_threads; i++)
		own_fd(&facts.statuses[i]);
	facts.n_threads = 0;
	facts.is_rseq_fixed = false;
	if (subject->n_threads > THREAD_FACTS_MAX)
		return verdict(
			reply, KEEPER_CAUSE_THREADS, "it has %zu threads", subject->n_threads);
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (facts_learn_one(subject, i, reply) < 0)
			return -1;
	}
	rank_see(subject->init_pid, &facts.init);
	facts_fix_rseq();
	return 0;
}

/* ---- RENEW ---- */

/* The program itself may raise no priority that it has lowered: then check finds it changed. */
static void
facts_mend(struct subject *subject, const struct rank *was, const struct rank *is, pid_t inside)
{
	uint64_t tid = (uint64_t)inside;

	if (rank_is_same(was, is))
		return;
	facts.is_any_mended = true;
	if (!rank_is_same_schedule(was, is))
		subject_add_call(subject, SYS_sched_setattr, tid,
			subject_reserve(subject, was->schedule, sizeof(was->schedule)), 0);
	if (was->io_priority != is->io_priority)
		subject_add_call(
			subject, SYS_ioprio_set, RANK_IO_PROCESS, tid, (uint64_t)was->io_priority);
	if (!rank_is_same_cpus(was, is))
		subject_add_call(subject, SYS_sched_setaffinity, tid, was->cpus_size,
			subject_reserve(subject, was->cpus, was->cpus_size));
}

/* What no batch of the main thread can change. */
static int
facts_compare(const struct facts *was, const struct facts *is, struct keeper_reply *reply)
{
	if (is->pending)
		return verdict(reply, KEEPER_CAUSE_SIGNALS, "a signal waits for a thread");
	if (strcmp(was->name, is->name) != 0)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "a thread has another name");
	if (memcmp(&was->rseq, &is->rseq, sizeof(is->rseq)) != 0 ||
		was->robust_head != is->robust_head)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "a thread tells of itself elsewhere");
	return 0;
}

int
thread_facts_look(struct subject *subject, struct keeper_reply *reply)
{
	struct facts is;
	struct rank init;

	facts.is_any_mended = false;
	for (size_t i = 0; i < facts.n_threads; i++) {
		if (facts_see(subject, i, &is, reply) < 0 ||
			facts_compare(&facts.threads[i], &is, reply) < 0)
			return -1;
		facts_mend(subject, &facts.threads[i].rank, &is.rank, facts.inside[i]);
	}
	rank_see(subject->init_pid, &init);
	facts_mend(subject, &facts.init, &init, 1);
	return 0;
}

int
thread_facts_check(struct subject *subject, struct keeper_reply *reply)
{
	struct facts is;
	struct rank init;
	bool are_same = true;

	if (!facts.is_any_mended && !facts.is_in_doubt)
		return 0;
	facts.is_in_doubt = false;
	for (size_t i = 0; i < facts.n_threads; i++) {
		if (facts_see(subject, i, &is, reply) < 0 ||
			facts_compare(&facts.threads[i], &is, reply) < 0)
			return -1;
		are_same &= rank_is_same(&facts.threads[i].rank, &is.rank);
	}
	rank_see(subject->init_pid, &init);
	if (!are_same || !rank_is_same(&facts.init, &init))
		return verdict(reply, KEEPER_CAUSE_LIMITS, "a priority cannot be put back");
	return 0;
}

void
thread_facts_doubt(void)
{
	facts.is_in_doubt = true;
}
