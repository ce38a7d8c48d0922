/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/thread_facts.h"

#include <errno.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/procfile.h"

#define FACTS_IOPRIO_PROCESS 1      /* IOPRIO_WHO_PROCESS */
#define FACTS_GET_RSEQ       0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */
#define FACTS_CPUS_SIZE      128    /* bytes of a set */
#define FACTS_NAME_SIZE      68     /* of a name in its stat: 16 bytes, each may be escaped */
#define FACTS_SIGNALS        64

/* struct ptrace_rseq_configuration */
struct facts_rseq {
	uint64_t address;
	uint32_t size, signature, flags, zero;
};

struct facts {
	struct sched_attr schedule;
	struct facts_rseq rseq;
	uint64_t robust_head;
	uint64_t pending;
	int io_priority;
	char name[FACTS_NAME_SIZE];
	size_t cpus_size;
	uint8_t cpus[FACTS_CPUS_SIZE]; /* last: only as many as there are are written */
};

static struct {
	struct facts threads[THREAD_FACTS_MAX], init;
	int stats[THREAD_FACTS_MAX];    /* owned: files of /proc, from the second thread on */
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

/* proc(5): the name in brackets, and `signal`, the 29th field behind it. A signal for which there
 * was no memory shows there only. */
static int
facts_read_stat(int stat, struct facts *ret, struct keeper_reply *reply)
{
	char text[1024];
	const char *from, *behind;

	if (procfile_read(stat, text, sizeof(text)) < 0)
		return verdict(reply, KEEPER_CAUSE_THREADS, "a thread has ended");
	from = strchr(text, '(');
	behind = strrchr(text, ')');
	if (!from || !behind || behind - from > FACTS_NAME_SIZE)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "a stat that cannot be read");
	memset(ret->name, 0, sizeof(ret->name));
	memcpy(ret->name, from + 1, (size_t)(behind - from - 1));
	for (int i = 0; behind && i < 29; i++)
		behind = strchr(behind + 1, ' ');
	ret->pending = behind ? strtoull(behind, NULL, 10) : 1;
	return 0;
}

static void
facts_see_schedule(pid_t tid, struct facts *ret)
{
	long size;

	syscall(SYS_sched_getattr, tid, &ret->schedule, sizeof(ret->schedule), 0);
	ret->io_priority = (int)syscall(SYS_ioprio_get, FACTS_IOPRIO_PROCESS, tid);
	size = syscall(SYS_sched_getaffinity, tid, sizeof(ret->cpus), ret->cpus);
	ret->cpus_size = size > 0 ? (size_t)size : 0;
}

static int
facts_see(struct subject *subject, size_t thread, struct facts *ret, struct keeper_reply *reply)
{
	pid_t tid = subject->threads[thread].tid;
	size_t length;

	memset(ret, 0, offsetof(struct facts, cpus));
	facts_see_schedule(tid, ret);
	if (!facts.is_rseq_fixed)
		ptrace(FACTS_GET_RSEQ, tid, sizeof(ret->rseq), &ret->rseq);
	if (thread == 0)
		return 0;
	syscall(SYS_get_robust_list, tid, &ret->robust_head, &length);
	if (facts_read_stat(facts.stats[thread], ret, reply) < 0)
		return -1;
	ret->pending += thread_facts_count_signals(tid, false);
	return 0;
}

static void
facts_see_init(struct subject *subject, struct facts *ret)
{
	memset(ret, 0, offsetof(struct facts, cpus));
	facts_see_schedule(subject->init_pid, ret);
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

	facts.stats[thread] = -1;
	facts.n_threads = thread + 1;
	if (thread > 0) {
		facts.stats[thread] =
			procfile_open(subject, reply, "task/%d/stat", subject->threads[thread].tid);
		if (facts.stats[thread] < 0)
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
		own_fd(&facts.stats[i]);
	facts.n_threads = 0;
	facts.is_rseq_fixed = false;
	if (subject->n_threads > THREAD_FACTS_MAX)
		return verdict(
			reply, KEEPER_CAUSE_THREADS, "it has %zu threads", subject->n_threads);
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (facts_learn_one(subject, i, reply) < 0)
			return -1;
	}
	facts_see_init(subject, &facts.init);
	facts_fix_rseq();
	return 0;
}

/* ---- RENEW ---- */

static bool
facts_are_same_cpus(const struct facts *was, const struct facts *is)
{
	return was->cpus_size == is->cpus_size && memcmp(was->cpus, is->cpus, is->cpus_size) == 0;
}

static bool
facts_are_same_schedule(const struct facts *was, const struct facts *is)
{
	return memcmp(&was->schedule, &is->schedule, sizeof(is->schedule)) == 0;
}

static bool
facts_are_same_rank(const struct facts *was, const struct facts *is)
{
	return facts_are_same_schedule(was, is) && was->io_priority == is->io_priority &&
	       facts_are_same_cpus(was, is);
}

/* The program itself may raise no priority that it has lowered: then check finds it changed. */
static void
facts_mend(struct subject *subject, const struct facts *was, const struct facts *is, pid_t inside)
{
	uint64_t tid = (uint64_t)inside;

	if (facts_are_same_rank(was, is))
		return;
	facts.is_any_mended = true;
	if (!facts_are_same_schedule(was, is))
		subject_add_call(subject, SYS_sched_setattr, tid,
			subject_reserve(subject, &was->schedule, sizeof(was->schedule)), 0);
	if (was->io_priority != is->io_priority)
		subject_add_call(subject, SYS_ioprio_set, FACTS_IOPRIO_PROCESS, tid,
			(uint64_t)was->io_priority);
	if (!facts_are_same_cpus(was, is))
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

	facts.is_any_mended = false;
	for (size_t i = 0; i < facts.n_threads; i++) {
		if (facts_see(subject, i, &is, reply) < 0 ||
			facts_compare(&facts.threads[i], &is, reply) < 0)
			return -1;
		facts_mend(subject, &facts.threads[i], &is, facts.inside[i]);
	}
	facts_see_init(subject, &is);
	facts_mend(subject, &facts.init, &is, 1);
	return 0;
}

int
thread_facts_check(struct subject *subject, struct keeper_reply *reply)
{
	struct facts is;
	bool are_same = true;

	if (!facts.is_any_mended && !facts.is_in_doubt)
		return 0;
	facts.is_in_doubt = false;
	for (size_t i = 0; i < facts.n_threads; i++) {
		if (facts_see(subject, i, &is, reply) < 0 ||
			facts_compare(&facts.threads[i], &is, reply) < 0)
			return -1;
		are_same &= facts_are_same_rank(&facts.threads[i], &is);
	}
	facts_see_init(subject, &is);
	if (!are_same || !facts_are_same_rank(&facts.init, &is))
		return verdict(reply, KEEPER_CAUSE_LIMITS, "a priority cannot be put back");
	return 0;
}

void
thread_facts_doubt(void)
{
	facts.is_in_doubt = true;
}
